"""Dates and times of one file: values and TZIDs to points and back.

A file's own VTIMEZONEs stay within its `Zones`: an id means what that file says, and never leaks into the next one.
Sources: RFC 5545 §3.3.4, §3.3.5, §3.2.19.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta

from gleichtakt.model.ics.component import Component
from gleichtakt.model.ics.lines import Line, parameters
from gleichtakt.model.point import Day, Floating, Point, Zoned
from gleichtakt.model.zones import resolve_zone

#: What else than 20260401T090000Z was seen and can mean only one thing.
_SLOPPY = re.compile(
    r"\s*(\d{4})-?(\d\d)-?(\d\d)(?:[T ]?(\d\d):?(\d\d):?(\d\d)?(?:[.,]\d+)?\s*(Z|[+-]\d\d:?\d\d)?)?\s*$",
    re.IGNORECASE,
)
_BEGIN, _END = b"BEGIN:VTIMEZONE", b"END:VTIMEZONE"
_FOLDED = re.compile(r"\r?\n[ \t]")
_TZID = re.compile(r"^TZID[^:\n]*:(.*?)\s*$", re.MULTILINE)


class Zones:
    """The zones of one file, and what had to be guessed about them."""

    def __init__(self, default_zone: str = "") -> None:
        """default_zone: IANA name for ids that nothing explains."""
        self.default_zone = default_zone
        self._definitions: dict[str, str] = {}
        self._resolved: dict[tuple[str, int], tuple[str, str]] = {}

    def define(self, text: str) -> None:
        """Take in a VTIMEZONE; the first of two with the same id counts."""
        text = _FOLDED.sub("", text).replace("\r", "")
        found = _TZID.search(text)
        if found:
            self._definitions.setdefault(found[1].strip().strip('"'), text)

    def define_all(self, data: bytes) -> None:
        """Take in the VTIMEZONEs of a whole text, wherever they stand."""
        start = data.find(_BEGIN)
        while start >= 0:
            end = data.find(_END, start)
            if end < 0:
                return
            self.define(data[start : end + len(_END)].decode("utf-8", "replace"))
            start = data.find(_BEGIN, end)

    def define_from(self, calendar: Component) -> None:
        """Take in the VTIMEZONEs of a tree."""
        for child in calendar.named("VTIMEZONE"):
            self.define(child.write().decode("utf-8", "replace"))

    def resolve(self, tzid: str, year: int) -> tuple[str, str]:
        """Give the zone of a TZID for events of a year, and the code of a warning or nothing."""
        key = tzid, year
        found = self._resolved.get(key)
        if found is None:
            definition = self._definitions.get(tzid.strip().strip('"'))
            found = self._resolved[key] = resolve_zone(tzid, definition, self.default_zone, year)
        return found


def read_moment(value: str) -> Day | datetime:
    """Read a date or a date-time; UTC comes aware, a local reading naive. Raises ValueError."""
    size = len(value)
    try:
        if size == 15:
            return datetime.fromisoformat(value)
        if size == 16 and value[-1] == "Z":
            return datetime.fromisoformat(value)
        if size == 8:
            return Day(date.fromisoformat(value))
    except ValueError:
        pass  # the long way also knows 24:00 and second 60
    return _read_sloppy(value)


def _read_sloppy(value: str) -> Day | datetime:
    found = _SLOPPY.match(value.strip(' "'))
    if not found:
        raise ValueError(f"{value[:40]!r} is no date")
    year, month, day = int(found[1]), int(found[2]), int(found[3])
    if found[4] is None:
        return Day(date(year, month, day))
    hour, minute, second = int(found[4]), int(found[5]), min(int(found[6] or 0), 59)
    ends_day = hour == 24
    moment = datetime(year, month, day, 0 if ends_day else hour, minute, second)  # noqa: DTZ001 - a wall clock
    try:
        moment += timedelta(days=int(ends_day))
        return moment if found[7] is None else (moment - _offset(found[7])).replace(tzinfo=UTC)
    except OverflowError:
        raise ValueError(f"{value[:40]!r} lies outside the years 1 to 9999") from None


def _offset(text: str) -> timedelta:
    if text in "Zz":
        return timedelta()
    length = timedelta(hours=int(text[1:3]), minutes=int(text[-2:]))
    return -length if text[0] == "-" else length


def read_point(value: str, params: str, zones: Zones, warnings: list[str]) -> Point:
    """Read one value with its parameters. Raises ValueError where it is no date."""
    moment = read_moment(value)
    if isinstance(moment, Day):
        return moment
    if moment.tzinfo is not None:
        return Zoned(moment.replace(tzinfo=None), "UTC")
    if not params:
        return Floating(moment)
    tzid = params[5:] if params.startswith("TZID=") and ";" not in params and '"' not in params else None
    if tzid is None:
        found = parameters(params)
        tzid = found.get("TZID", "")
        if found.get("VALUE", "").upper() == "DATE" and not tzid:
            return Day(moment.date())  # seen in exports: VALUE=DATE with a time
    if not tzid:
        return Floating(moment)
    zone, warning = zones.resolve(tzid, moment.year)
    if warning:
        warnings.append(warning)
    return Zoned(moment, zone) if zone else Floating(moment)


def read_line_point(line: Line, zones: Zones, warnings: list[str]) -> Point:
    """Read the one value of a line; a colon in an unquoted TZID is taken as part of it. Raises ValueError."""
    try:
        return read_point(line.value, line.params, zones, warnings)
    except ValueError:
        params, _, value = f"{line.params}:{line.value}".rpartition(":")
        return read_point(value, params, zones, warnings)


def read_points(line: Line, zones: Zones, warnings: list[str]) -> list[Point]:
    """Read a list of values (EXDATE, RDATE); what is no date is left out with a warning."""
    found = []
    for value in line.value.split(","):
        if value.strip():
            try:
                found.append(read_point(value, line.params, zones, warnings))
            except ValueError:
                warnings.append("ics.date_ignored")
    return found


def basic(wall: datetime) -> str:
    """Write a wall-clock reading as ``20260401T090000``."""
    return wall.isoformat(timespec="seconds").replace("-", "").replace(":", "")
