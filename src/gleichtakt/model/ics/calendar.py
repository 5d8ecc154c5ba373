"""A whole iCalendar text as series: what was read, what was broken, and what the file says about itself.

A text is read component by component. One broken event never loses the others; a text that is cut off is refused as
a whole, since a shorter calendar would look like deletions.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta

from gleichtakt.model.event import Series
from gleichtakt.model.ics.component import Component, Scanner
from gleichtakt.model.ics.joining import join, uid_from_content
from gleichtakt.model.ics.lines import DEFAULT_LIMITS, Limits, read_duration, read_text
from gleichtakt.model.ics.moments import Zones
from gleichtakt.model.ics.reading import Part, Unreadable, read_part
from gleichtakt.model.ics.vcalendar import is_old, upgraded

SHORTEST_REFRESH, LONGEST_REFRESH = timedelta(minutes=1), timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Broken:
    """A series that could not be read. uid: may be empty. line: where it stopped. code: a sentence, with params."""

    uid: str
    line: int
    code: str
    params: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reading:
    """What a text held. warnings: what was wrong with it as a whole, code and line. others: components that are no events."""

    series: tuple[Series, ...]
    broken: tuple[Broken, ...] = ()
    warnings: tuple[tuple[str, int], ...] = ()
    name: str = ""
    method: str = ""
    product: str = ""
    zone: str = ""  # X-WR-TIMEZONE, resolved
    refresh: timedelta | None = None
    others: int = 0
    complete: bool = True  # always: what is not complete raises


def read_calendar(data: bytes, *, default_zone: str = "", limits: Limits = DEFAULT_LIMITS) -> Reading:
    """Read a text. default_zone: for zone ids that nothing explains; the file's own X-WR-TIMEZONE comes first.

    Raises Permanent (CALENDAR) for what is no calendar, is cut off, or exceeds the limits.
    """
    zones = Zones(default_zone)
    zones.define_all(data)
    scanner = Scanner(data, limits)
    parts = _Parts(zones)
    for root, child in scanner.children():
        parts.take(root, child)
    found, broken = parts.joined()
    root = next((root for root in scanner.roots if root.lines), scanner.roots[0])
    return Reading(
        series=found,
        broken=broken,
        warnings=tuple(scanner.warnings.items()),
        name=read_text(root.value("X-WR-CALNAME") or root.value("NAME")),
        method=root.value("METHOD").strip().upper(),
        product=read_text(root.value("PRODID")),
        zone=zones.resolve(named, 2020)[0] if (named := root.value("X-WR-TIMEZONE").strip()) else "",
        refresh=_refresh(root),
        others=parts.others,
    )


def series_of(calendar: Component, *, default_zone: str = "") -> tuple[Series, ...]:
    """Give the series of a tree. Raises Permanent (SERIES) for the first that cannot be read."""
    zones = Zones(default_zone)
    zones.define_from(calendar)
    parts = _Parts(zones)
    for child in calendar.children:
        parts.take(calendar, child)
    found, broken = parts.joined()
    if broken:
        raise Unreadable(broken[0].code.removeprefix("ics."), broken[0].line).trouble()
    return found


class _Parts:
    """Events on their way to series, by UID in the order of the file."""

    def __init__(self, zones: Zones) -> None:
        self.others = 0
        self._zones = zones
        self._root: Component | None = None
        self._is_cancelled = self._is_old = False
        self._by_uid: dict[str, list[Part]] = {}
        self._broken: dict[str, Broken] = {}
        self._nameless: list[Broken] = []

    def take(self, root: Component, child: Component) -> None:
        if root is not self._root:
            self._enter(root)
        if child.name != "VEVENT":
            self.others += child.name != "VTIMEZONE"
            return
        if self._is_old:
            child = upgraded(child, root)
        try:
            part = read_part(child, self._zones, is_cancelled=self._is_cancelled)
        except Unreadable as reason:
            self._note(child.value("UID").strip(), reason)
            return
        if not part.uid:
            part.uid = uid_from_content(part)
            part.warnings.append("ics.no_uid")
        self._by_uid.setdefault(part.uid, []).append(part)

    def _enter(self, root: Component) -> None:
        """Take in what the calendar says before its first component."""
        self._root = root
        self._is_cancelled = root.value("METHOD").strip().upper() == "CANCEL"
        self._is_old = is_old(root)
        named = root.value("X-WR-TIMEZONE").strip()
        if named:
            self._zones.default_zone = self._zones.resolve(named, 2020)[0] or self._zones.default_zone

    def _note(self, uid: str, reason: Unreadable) -> None:
        found = Broken(uid, reason.line, reason.code, {"line": str(reason.line)})
        if uid:
            self._broken.setdefault(uid, found)
        else:
            self._nameless.append(found)

    def joined(self) -> tuple[tuple[Series, ...], tuple[Broken, ...]]:
        """Give the series; one broken component breaks its whole series, since half of it would look like deletions."""
        found: list[Series] = []
        for uid, parts in self._by_uid.items():
            if uid not in self._broken:
                try:
                    found += join(uid, parts)
                except Unreadable as reason:
                    self._note(uid, reason)
        return tuple(found), (*self._broken.values(), *self._nameless)


def _refresh(root: Component) -> timedelta | None:
    """Give how often the publisher wants to be asked, within sensible bounds."""
    for value in _values(root, ("REFRESH-INTERVAL", "X-PUBLISHED-TTL")):
        try:
            length = read_duration(value).nominal
        except ValueError:
            continue
        if length > timedelta():
            return min(max(length, SHORTEST_REFRESH), LONGEST_REFRESH)
    return None


def _values(root: Component, names: Iterable[str]) -> Iterable[str]:
    return (value for name in names if (value := root.value(name)))
