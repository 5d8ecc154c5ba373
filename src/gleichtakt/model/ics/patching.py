"""Changing named fields of a calendar object and nothing else in it.

Lines that no changed field owns stay byte for byte, with their order; what another program keeps in them survives.
A line that would contradict the change (the HTML twin of a new description, the coordinates of an old place) goes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from gleichtakt.errors import Permanent, Scope
from gleichtakt.model.event import Attendee, Event, Override, Series
from gleichtakt.model.ics.component import Component, parse
from gleichtakt.model.ics.joining import uid_from_content
from gleichtakt.model.ics.lines import Line, parameters, read_lines, with_parameter, write_text
from gleichtakt.model.ics.moments import Zones, read_line_point, read_points
from gleichtakt.model.ics.reading import CONFERENCES, Unreadable, minutes_before, read_part
from gleichtakt.model.ics.writing import (
    BUSY_STATUSES,
    CLASSES,
    EPOCH,
    PARTSTATS,
    ROLES,
    STATUSES,
    TRANSPS,
    FileZones,
    alarm_content,
    attendee_line,
    categories_line,
    conference_line,
    event_lines,
    html_line,
    joined,
    last_year,
    organizer_line,
    point_line,
    recurrence_lines,
    uri,
)
from gleichtakt.model.point import Day, Point, Zoned, wall_of
from gleichtakt.model.recurrence import occurrence_event
from gleichtakt.model.slot import same_slot

RECURRENCE = "recurrence"
_MOMENTS = ("DTSTART", "DTEND", "DURATION", "RECURRENCE-ID", "RDATE", "EXDATE")


def patch(
    calendar: Component,
    base: Series,
    new: Series,
    fields: frozenset[str],
    *,
    stamp: datetime | None = None,
    silent: bool = True,
) -> Component:
    """Give the tree with what differs between *base* and *new* in *fields* changed.

    fields: names of `Event` fields, and `recurrence` for rule, dates and all that concerns single occurrences. stamp:
    aware UTC, for DTSTAMP and LAST-MODIFIED where they stand; without one they stay. Raises Permanent (SERIES) where the
    object does not hold the series.
    """
    changed = calendar.copy()
    work = _Work(changed, base, new, fields, silent=silent)
    before = changed.copy() if stamp else None
    if base != new:
        work.run()
    if before is not None and stamp is not None and before.write() != changed.write():
        for event in work.events():
            _restamp(event, stamp)
    return changed


def _restamp(event: Component, stamp: datetime) -> None:
    text = f"{stamp.astimezone(UTC):%Y%m%dT%H%M%SZ}"
    event.lines = [
        Line(line.name, line.params, text, line.number) if line.name in ("DTSTAMP", "LAST-MODIFIED") else line
        for line in event.lines
    ]


class _Work:
    """One patch under way: the tree being changed, and what its zones are called."""

    def __init__(self, calendar: Component, base: Series, new: Series, fields: frozenset[str], *, silent: bool) -> None:
        self.calendar, self.base, self.new, self.fields, self.silent = calendar, base, new, fields, silent
        self.zones = Zones()
        self.zones.define_from(calendar)
        self.names = _KnownZones(calendar, self.zones)

    def events(self) -> list[Component]:
        return [child for child in self.calendar.named("VEVENT") if child.value("UID").strip() == self.base.uid]

    def name_events(self) -> None:
        """Write the UID into the events that have none: it was made from the content that now changes."""
        for event in self.calendar.named("VEVENT"):
            if not event.value("UID").strip() and uid_from_content(read_part(event, self.zones)) == self.base.uid:
                _set(event, "UID", Line("UID", "", self.base.uid))

    def run(self) -> None:
        if not self.events():
            self.name_events()
        master, overrides = self._held()
        if master is not None and not self.base.is_detached:
            self._content(master, self.base.event, self.new.event)
            if RECURRENCE in self.fields:
                self._recurrence(master)
        self._overrides(master, overrides)
        self.names.add_definitions(self.calendar, self.new)

    def _held(self) -> tuple[Component | None, dict[Point, Component]]:
        """Find the component of the master and those of the overrides, by slot; of duplicates the one that counts."""
        masters: list[tuple[tuple[int, str, int], Component]] = []
        overrides: dict[Point, tuple[tuple[int, str, int], Component]] = {}
        for event in self.events():
            try:
                part = read_part(event, self.zones)
            except Unreadable as reason:
                raise reason.trouble() from None
            if part.recurrence_id is None:
                masters.append((part.version, event))
                continue
            slot = _slot(self.base, part.recurrence_id)
            if slot not in overrides or overrides[slot][0] < part.version:
                overrides[slot] = part.version, event
        if not masters and not overrides:
            raise Permanent("ics.series_missing", Scope.SERIES)
        master = max(masters, key=lambda pair: pair[0])[1] if masters else None
        return master, {slot: event for slot, (_, event) in overrides.items()}

    # --- times ---

    def _times(self, event: Component, base: Event, new: Event, fields: frozenset[str]) -> None:
        """Change start and end; a DURATION stays while it still says the truth."""
        moved = [name for name in ("start", "end") if name in fields and getattr(base, name) != getattr(new, name)]
        if not moved:
            return
        if "start" in moved:
            _set(event, "DTSTART", self._point("DTSTART", new.start))
            _drop(event, "X-MICROSOFT-CDO-ALLDAYEVENT")
        end = new.end if "end" in fields else occurrence_event(base, new.start).end
        is_other_kind = isinstance(base.start, Day) is not isinstance(new.start, Day)  # DTEND has to follow
        if is_other_kind or not self._ends_at(event, end):
            _drop(event, "DURATION")
            _set(event, "DTEND", self._point("DTEND", end), after="DTSTART")

    def _ends_at(self, event: Component, end: Point) -> bool:
        """Say whether an event ends there in so many words; one whose end lies before its start is read as if it did not."""
        line = event.first("DTEND")
        if line is None:
            return read_part(event, self.zones).event.end == end
        try:
            return read_line_point(line, self.zones, []) == end
        except ValueError:
            return False

    def _point(self, name: str, point: Point) -> Line:
        return _line(point_line(name, point, self.names))

    # --- recurrence ---

    def _recurrence(self, master: Component) -> None:
        base, new = self.base, self.new
        if base.rrule != new.rrule:
            rules = [_line(line) for line in recurrence_lines(replace(new, rdate=(), exdate=()), self.names)]
            _replace_all(master, ("RRULE", "EXRULE"), rules)
        for name, before, after in (("RDATE", base.rdate, new.rdate), ("EXDATE", base.exdate, new.exdate)):
            if before != after:
                self._dates(master, name, after)

    def _dates(self, master: Component, name: str, wanted: Sequence[Point]) -> None:
        """Keep the lines whose dates are all still wanted; write the others anew."""
        left = set(wanted)
        kept: list[Line] = []
        for line in master.all(name):
            points = {_slot(self.new, point) for point in read_points(line, self.zones, [])}
            is_right = "/" not in line.value and points <= left and self._speaks(line)
            if is_right:
                kept.append(line)
                left -= points
        rest = [point for point in wanted if point in left]
        _replace_all(master, (name,), kept + [self._point(name, point) for point in rest])

    def _speaks(self, line: Line) -> bool:
        """Say whether a line gives its dates in the form the series has now."""
        points = read_points(line, self.zones, [])
        return all(_slot(self.new, point) == point for point in points)

    # --- overrides ---

    def _overrides(self, master: Component | None, held: dict[Point, Component]) -> None:
        pairs, removed, added = _matched(self.base, self.new)
        for old, new in pairs:
            event = held.get(old.recurrence_id)
            if event is None:
                added.append(new)
                continue
            if old.recurrence_id != new.recurrence_id:
                _set(event, "RECURRENCE-ID", self._point("RECURRENCE-ID", new.recurrence_id))
            self._content(event, old.event, new.event, is_override=True)
        if RECURRENCE not in self.fields:
            return
        for override in removed:
            if override.recurrence_id in held:
                self.calendar.children.remove(held[override.recurrence_id])
        for override in added:
            self._add(master, override)

    def _content(self, event: Component, old: Event, new: Event, *, is_override: bool = False) -> None:
        fields = _ALL if is_override and RECURRENCE in self.fields else self.fields
        for name, change in _FIELDS.items():
            if name in fields and getattr(old, name) != getattr(new, name):
                change(self, event, old, new)
        self._times(event, old, new, fields)

    def _add(self, master: Component | None, override: Override) -> None:
        """Add an override: the master's own lines where there is one, so that what we do not model is kept."""
        slot = self._point("RECURRENCE-ID", override.recurrence_id)
        if master is None or self.new.is_detached:
            event = self._from_nothing(override)
        else:
            event = master.copy()
            event.lines = [line for line in event.lines if line.name not in ("RRULE", "EXRULE", "RDATE", "EXDATE")]
            plain = occurrence_event(self.new.event, override.recurrence_id)
            _set(event, "DTSTART", self._point("DTSTART", plain.start))
            if event.first("DTEND"):
                _set(event, "DTEND", self._point("DTEND", plain.end))
            self._content(event, plain, override.event, is_override=True)
        _set(event, "RECURRENCE-ID", slot, after="UID")
        self.calendar.children.append(event)

    def _from_nothing(self, override: Override) -> Component:
        lines = [f"UID:{self.base.uid}", f"DTSTAMP:{EPOCH:%Y%m%dT%H%M%SZ}"]
        lines += event_lines(override.event, self.names, silent=self.silent)
        event = Component("VEVENT", [_line(line) for line in lines])
        event.children = [_alarm(reminder.minutes) for reminder in override.event.reminders]
        return event


def _slot(series: Series, point: Point) -> Point:
    try:
        return point if series.is_detached else same_slot(series.event.start, point)
    except ValueError:
        return point


def _matched(base: Series, new: Series) -> tuple[list[tuple[Override, Override]], list[Override], list[Override]]:
    """Pair the overrides of both by slot, then by the slot as it moved with the start; give removed and added ones."""
    left = {override.recurrence_id: override for override in new.overrides}
    by = wall_of(new.event.start) - wall_of(base.event.start)
    pairs: list[tuple[Override, Override]] = []
    removed: list[Override] = []
    pending: list[Override] = []
    for override in base.overrides:
        same = left.pop(_slot(new, override.recurrence_id), None)
        if same is not None:
            pairs.append((override, same))
        else:
            pending.append(override)
    moved = {wall_of(slot): slot for slot in left}
    for override in pending:
        slot = moved.pop(wall_of(override.recurrence_id) + by, None) if by else None
        if slot is None:
            removed.append(override)
        else:
            pairs.append((override, left.pop(slot)))
    return pairs, removed, list(left.values())


# --- lines -------------------------------------------------------------------------------------------------------


def _line(text: str) -> Line:
    """Make a line from its text."""
    return next(read_lines(text.encode()))._replace(raw=None)


def _set(event: Component, name: str, line: Line, after: str = "") -> None:
    """Put a line in the place of the first of its name; further ones go. A new one stands after another, or last."""
    places = [index for index, found in enumerate(event.lines) if found.name == name]
    if places:
        event.lines[places[0]] = line
        event.lines = [found for index, found in enumerate(event.lines) if index not in places[1:]]
        return
    behind = [index for index, found in enumerate(event.lines) if found.name == after]
    event.lines.insert(behind[0] + 1 if behind else len(event.lines), line)


def _drop(event: Component, *names: str) -> None:
    event.lines = [line for line in event.lines if line.name not in names]


def _replace_all(event: Component, names: tuple[str, ...], lines: Iterable[Line]) -> None:
    """Put lines where the first of some names stands, or last, in place of all of them."""
    places = [index for index, line in enumerate(event.lines) if line.name in names]
    at = places[0] if places else len(event.lines)
    before = [line for line in event.lines[:at] if line.name not in names]
    after = [line for line in event.lines[at:] if line.name not in names]
    event.lines = [*before, *lines, *after]


# --- fields ------------------------------------------------------------------------------------------------------


def _text_field(name: str, stale: tuple[str, ...] = ()) -> Callable[[_Work, Component, str], None]:
    """Make the change of one text: its language stays, an alternative representation goes."""

    def change(_work: _Work, event: Component, text: str) -> None:
        _drop(event, *stale)
        if not text:
            _drop(event, name)
            return
        held = event.first(name)
        params = with_parameter(with_parameter(held.params, "ALTREP", None), "ENCODING", None) if held else ""
        _set(event, name, Line(name, params, write_text(text)), after="DTEND" if event.first("DTEND") else "DTSTART")

    return change


_set_title = _text_field("SUMMARY")
_set_description = _text_field("DESCRIPTION")
_set_location = _text_field("LOCATION", ("GEO", "X-APPLE-STRUCTURED-LOCATION"))


def _title(work: _Work, event: Component, _old: Event, new: Event) -> None:
    _set_title(work, event, new.title)


def _description(work: _Work, event: Component, _old: Event, new: Event) -> None:
    _set_description(work, event, new.description)
    _html(work, event, _old, new)


def _html(_work: _Work, event: Component, _old: Event, new: Event) -> None:
    if not new.html:
        _drop(event, "X-ALT-DESC")
    else:
        _set(event, "X-ALT-DESC", _line(html_line(new.html)), after="DESCRIPTION")


def _location(work: _Work, event: Component, _old: Event, new: Event) -> None:
    _set_location(work, event, new.location)


def _status(work: _Work, event: Component, old: Event, new: Event) -> None:
    """Change the status; where `show_as` was read off it, say that in its own words now."""
    _set(event, "STATUS", Line("STATUS", "", STATUSES[new.status]), after="SUMMARY")
    if read_part(event, work.zones).event.show_as is not old.show_as:
        _show_as(work, event, old, old)


def _show_as(_work: _Work, event: Component, _old: Event, new: Event) -> None:
    _set(event, "TRANSP", Line("TRANSP", "", TRANSPS.get(new.show_as, "OPAQUE")), after="STATUS")
    _set(event, "X-MICROSOFT-CDO-BUSYSTATUS", Line("X-MICROSOFT-CDO-BUSYSTATUS", "", BUSY_STATUSES[new.show_as]), after="TRANSP")


def _sensitivity(_work: _Work, event: Component, _old: Event, new: Event) -> None:
    _set(event, "CLASS", Line("CLASS", "", CLASSES[new.sensitivity]), after="TRANSP")


def _organizer(work: _Work, event: Component, _old: Event, new: Event) -> None:
    if new.organizer is None:
        _drop(event, "ORGANIZER")
    else:
        _set(event, "ORGANIZER", _line(organizer_line(new.organizer, silent=work.silent)))


def _attendees(work: _Work, event: Component, old: Event, new: Event) -> None:
    """Change people one by one: who did not change keeps the line as it is, with all its parameters."""
    before = {attendee.email.casefold(): attendee for attendee in old.attendees}
    lines = {_address(line): line for line in event.all("ATTENDEE")}
    wanted: list[Line] = []
    for attendee in new.attendees:
        key = attendee.email.casefold()
        line = lines.get(key)
        if line is None:
            wanted.append(_line(attendee_line(attendee, silent=work.silent)))
        elif before.get(key) == attendee:
            wanted.append(line)
        else:
            wanted.append(_changed_attendee(line, before.get(key), attendee))
    _replace_all(event, ("ATTENDEE",), wanted)


def _address(line: Line) -> str:
    value = line.value.strip()
    return (value[7:] if value[:7].lower() == "mailto:" else value).strip().casefold()


def _changed_attendee(line: Line, old: Attendee | None, new: Attendee) -> Line:
    params = line.params
    if old is None or old.name != new.name:
        params = with_parameter(params, "CN", new.name or None)
    if old is None or old.response is not new.response:
        params = with_parameter(params, "PARTSTAT", PARTSTATS.get(new.response, "NEEDS-ACTION"))
    if old is None or old.role != new.role:
        params = with_parameter(with_parameter(params, "ROLE", None), "CUTYPE", None)
        name, _, value = ROLES.get(new.role, "").partition("=")
        params = with_parameter(params, name, value) if name else params
    return Line(line.name, params, line.value, line.number)


def _categories(_work: _Work, event: Component, _old: Event, new: Event) -> None:
    _replace_all(event, ("CATEGORIES",), [_line(categories_line(new.categories))] if new.categories else [])


def _conference(_work: _Work, event: Component, _old: Event, new: Event) -> None:
    lines = [_line(conference_line(new.conference_url))] if new.conference_url else []
    _replace_all(event, ("CONFERENCE", *CONFERENCES), lines)


def _url(_work: _Work, event: Component, _old: Event, new: Event) -> None:
    if new.url:
        _set(event, "URL", Line("URL", "", uri(new.url)))
    else:
        _drop(event, "URL")


def _reminders(_work: _Work, event: Component, old: Event, new: Event) -> None:
    """Remove the alarms that are no reminders any more, add the new ones, leave all others as they are."""
    ours: dict[int, Component] = {}
    others: list[Component] = []
    for child in event.children:
        minutes = minutes_before(child, old.start, old.end) if child.name == "VALARM" else None
        if minutes is None:
            others.append(child)
        else:
            ours.setdefault(minutes, child)
    event.children = [*others, *(ours.get(reminder.minutes) or _alarm(reminder.minutes) for reminder in new.reminders)]


def _alarm(minutes: int) -> Component:
    return Component("VALARM", [_line(line) for line in alarm_content(minutes)])


_FIELDS: dict[str, Callable[[_Work, Component, Event, Event], None]] = {
    "title": _title,
    "description": _description,
    "html": _html,
    "location": _location,
    "status": _status,
    "show_as": _show_as,
    "sensitivity": _sensitivity,
    "organizer": _organizer,
    "attendees": _attendees,
    "categories": _categories,
    "reminders": _reminders,
    "conference_url": _conference,
    "url": _url,
}
_ALL = frozenset({*_FIELDS, "start", "end"})


# --- zones -------------------------------------------------------------------------------------------------------


class _KnownZones(FileZones):
    """The zones of a file that exists: a zone it already has keeps the name it has there."""

    def __init__(self, calendar: Component, zones: Zones) -> None:
        super().__init__()
        self._held: dict[str, str] = {}
        for event in calendar.named("VEVENT"):
            for line in event.lines:
                if line.name in _MOMENTS and "TZID" in line.params.upper():
                    self._take(line, zones)

    def _take(self, line: Line, zones: Zones) -> None:
        tzid = parameters(line.params).get("TZID", "")
        try:
            point = read_line_point(line._replace(value=line.value.partition(",")[0].partition("/")[0]), zones, [])
        except ValueError:
            return
        if isinstance(point, Zoned) and tzid:
            self._held.setdefault(point.tzid, tzid)

    def called(self, tzid: str) -> str:
        return self._held.get(tzid) or super().called(tzid)

    def add_definitions(self, calendar: Component, new: Series) -> None:
        """Define the zones that the series uses now and the file does not know yet."""
        used = FileZones()
        used.use(new)
        last = last_year(new)
        defined = {child.value("TZID").strip() for child in calendar.named("VTIMEZONE")}
        for tzid in used.zones():
            if tzid not in self._held and used.called(tzid) not in defined:
                only = FileZones()
                only.note(tzid, wall_of(new.event.start).year, last)
                text = joined(["BEGIN:VCALENDAR", *only.definitions(), "END:VCALENDAR"])
                calendar.children[:0] = parse(text).children
