"""One VEVENT as an `Event`: which property means what, and what a doubtful one is taken for.

Missing or contradictory values are read by published rules (see `_end`, `_show_as`); what was repaired is named in the
warnings. An event without a readable start is `Unreadable`.
Sources: RFC 5545 §3.6.1, §3.8; RFC 7986 §5.11; [MS-OXCICAL] §2.1.3 for X-MICROSOFT-CDO-*.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, time, timedelta
from functools import lru_cache

from gleichtakt.errors import Permanent, Scope
from gleichtakt.model.event import Attendee, Event, Person, Reminder, Response, Sensitivity, ShowAs, Status
from gleichtakt.model.ics.component import Component
from gleichtakt.model.ics.lines import Line, clean, parameters, read_duration, read_text, split_texts
from gleichtakt.model.ics.moments import Zones, read_line_point, read_moment, read_point, read_points
from gleichtakt.model.point import Day, Floating, Point, Zoned, instant, wall_of, with_wall
from gleichtakt.model.slot import same_slot
from gleichtakt.model.zones import zone_of

MANY = frozenset({"ATTENDEE", "CATEGORIES", "EXDATE", "RDATE", "RRULE", "EXRULE", "CONFERENCE"})

STATUSES = {"CONFIRMED": Status.CONFIRMED, "TENTATIVE": Status.TENTATIVE, "CANCELLED": Status.CANCELLED}
CLASSES = {
    "PUBLIC": Sensitivity.NORMAL,
    "PRIVATE": Sensitivity.PRIVATE,
    "CONFIDENTIAL": Sensitivity.CONFIDENTIAL,
    "PERSONAL": Sensitivity.PERSONAL,
}
BUSY_STATUSES = {
    "FREE": ShowAs.FREE,
    "TENTATIVE": ShowAs.TENTATIVE,
    "BUSY": ShowAs.BUSY,
    "OOF": ShowAs.OOF,
    "WORKINGELSEWHERE": ShowAs.WORKING_ELSEWHERE,
}
RESPONSES = {"ACCEPTED": Response.ACCEPTED, "DECLINED": Response.DECLINED, "TENTATIVE": Response.TENTATIVE}
ROLES = {"CHAIR": "chair", "OPT-PARTICIPANT": "optional", "NON-PARTICIPANT": "optional"}
RESOURCE_TYPES = frozenset({"ROOM", "RESOURCE"})
#: Where producers put the link of an online meeting, best first.
CONFERENCES = ("X-GOOGLE-CONFERENCE", "X-MICROSOFT-SKYPETEAMSMEETINGURL", "X-MICROSOFT-ONLINEMEETINGCONFLINK")
#: What TRANSP cannot stand beside.
_CONTRADICTED = {"OPAQUE": (ShowAs.FREE,), "TRANSPARENT": (ShowAs.TENTATIVE, ShowAs.BUSY, ShowAs.OOF)}
SILENT_ALARMS = frozenset({"EMAIL", "NONE", "PROCEDURE"})  # kept where they are, no reminders of ours

MAX_ATTENDEES = 20_000
_DAY = timedelta(days=1)


class Unreadable(ValueError):
    """A component that cannot be understood. code: sentence. line: number of the line that stops it."""

    def __init__(self, code: str, line: int) -> None:
        """Name the sentence and the line."""
        super().__init__(code)
        self.code, self.line = f"ics.{code}", line

    def trouble(self) -> Permanent:
        """Give it as the trouble of one series."""
        return Permanent(self.code, Scope.SERIES, line=str(self.line))


@dataclass(slots=True)
class Part:
    """One VEVENT read, before it is joined with the others of its UID. version: which of two duplicates is newer."""

    uid: str
    event: Event
    line: int
    recurrence_id: Point | None = None
    is_this_and_future: bool = False
    rules: str = ""
    rdate: list[Point] = field(default_factory=list)
    periods: list[tuple[Point, Point]] = field(default_factory=list)
    exdate: list[Point] = field(default_factory=list)
    version: tuple[int, str, int] = (0, "", 0)
    warnings: list[str] = field(default_factory=list)


def read_part(component: Component, zones: Zones, *, is_cancelled: bool = False) -> Part:
    """Read one VEVENT. is_cancelled: the file as a whole says so (METHOD:CANCEL). Raises Unreadable."""
    if not component.is_closed:
        raise Unreadable("unclosed", component.number)
    one: dict[str, Line] = {}
    many: dict[str, list[Line]] = {}
    for line in component.lines:
        name = line.name
        if name in MANY:
            many.setdefault(name, []).append(line)
        elif name not in one:
            one[name] = line
    warnings: list[str] = []
    if "" in one:
        warnings.append("ics.line_ignored")
    start, end = _times(one, zones, warnings, component.number)
    event = _content(component, one, many, start, end, warnings)
    if is_cancelled and event.status is not Status.CANCELLED:
        event = replace(event, status=Status.CANCELLED)
    uid_line = one.get("UID")
    part = Part(clean(uid_line.value).strip() if uid_line else "", event, component.number, warnings=warnings)
    part.version = (_number(one.get("SEQUENCE")), _stamp(one), component.number)
    if "RECURRENCE-ID" in one:
        _read_recurrence_id(part, one["RECURRENCE-ID"], zones)
    if many:
        _read_recurrence(part, many, zones)
    return part


def _number(line: Line | None) -> int:
    return int(line.value) if line and line.value.isdecimal() and len(line.value) < 10 else 0


def _stamp(one: Mapping[str, Line]) -> str:
    line = one.get("LAST-MODIFIED") or one.get("DTSTAMP")
    return line.value if line else ""


# --- times -------------------------------------------------------------------------------------------------------


def _times(one: Mapping[str, Line], zones: Zones, warnings: list[str], number: int) -> tuple[Point, Point]:
    line = one.get("DTSTART")
    if line is None:
        raise Unreadable("no_start", number)
    try:
        start = read_line_point(line, zones, warnings)
    except ValueError:
        raise Unreadable("bad_start", line.number) from None
    end = _end(one, start, zones, warnings)
    if "X-MICROSOFT-CDO-ALLDAYEVENT" in one and not isinstance(start, Day):
        whole = _whole_days(one["X-MICROSOFT-CDO-ALLDAYEVENT"].value, start, end)
        if whole:
            return whole
    return start, end


def _end(one: Mapping[str, Line], start: Point, zones: Zones, warnings: list[str]) -> Point:
    """Give the end: DTEND, else DURATION, else one day or no time at all.

    An end before its start becomes the start, an all-day event lasts one day at least. DTEND beats a DURATION of zero.
    """
    end: Point | None = None
    if "DTEND" in one:
        line = one["DTEND"]
        try:
            end = _of_kind(start, read_line_point(line, zones, warnings))
        except ValueError:
            warnings.append("ics.end_ignored")
    if end is None and "DURATION" in one:
        end = _after(start, one["DURATION"].value, warnings)
    if isinstance(start, Day):
        if isinstance(end, Day) and end.date > start.date:
            return end
        if end is not None and end != start:
            warnings.append("ics.end_before_start")
        return Day(start.date + _DAY) if start.date.year < 9999 or start.date.month < 12 or start.date.day < 31 else start
    if end is None:
        return start
    if _is_before(end, start):
        warnings.append("ics.end_before_start")
        return start
    return end


def _of_kind(start: Point, end: Point) -> Point:
    """Bring an end to the kind of its start: a day ends a timed event at its midnight, hours end a day on the next one."""
    if isinstance(start, Day) and not isinstance(end, Day):
        day = end.wall.date()
        return Day(day if end.wall.time() == time() else day + _DAY)
    if isinstance(end, Day) and not isinstance(start, Day):
        return with_wall(start, wall_of(end))
    if isinstance(start, Floating) and isinstance(end, Zoned):
        return Floating(end.wall)
    if isinstance(start, Zoned) and isinstance(end, Floating):
        return Zoned(end.wall, start.tzid)
    return end


def _is_before(end: Point, start: Point) -> bool:
    if isinstance(end, Zoned) and isinstance(start, Zoned) and end.tzid != start.tzid:
        return instant(end, UTC) < instant(start, UTC)
    return wall_of(end) < wall_of(start)


def _after(start: Point, value: str, warnings: list[str]) -> Point | None:
    try:
        length = read_duration(value)
        if isinstance(start, Day):
            return Day(start.date + timedelta(days=length.nominal.days + bool(length.nominal.seconds)))
        later = start.wall + timedelta(days=length.days)
        if isinstance(start, Zoned) and length.exact:
            zone = zone_of(start.tzid)
            moment = (later.replace(tzinfo=zone).astimezone(UTC) + length.exact).astimezone(zone)
            return Zoned(moment.replace(tzinfo=None), start.tzid)
        return with_wall(start, later + length.exact)
    except (ValueError, OverflowError):
        warnings.append("ics.end_ignored")
        return None


def _whole_days(flag: str, start: Floating | Zoned, end: Point) -> tuple[Day, Day] | None:
    """Read Outlook's all-day flag; it counts only with midnights."""
    ends = wall_of(end)
    if flag.strip().upper() != "TRUE" or start.wall.time() != time() or ends.time() != time():
        return None
    last = ends.date() if ends.date() > start.wall.date() else start.wall.date() + _DAY
    return Day(start.wall.date()), Day(last)


# --- content -----------------------------------------------------------------------------------------------------


def _content(
    component: Component,
    one: Mapping[str, Line],
    many: Mapping[str, list[Line]],
    start: Point,
    end: Point,
    warnings: list[str],
) -> Event:
    attendees: tuple[Attendee, ...] = ()
    if "ATTENDEE" in many:
        people = many["ATTENDEE"]
        if len(people) > MAX_ATTENDEES:
            raise Unreadable("too_many_attendees", people[0].number)
        attendees = tuple(_attendee(line.params, line.value) for line in people)
    status = STATUSES.get(_word(one, "STATUS"), Status.CONFIRMED) if "STATUS" in one else Status.CONFIRMED
    organizer = one.get("ORGANIZER")
    return Event(
        start=start,
        end=end,
        title=_text(one, "SUMMARY"),
        description=_text(one, "DESCRIPTION"),
        html=_html(one),
        location=_text(one, "LOCATION"),
        status=status,
        show_as=_show_as(one, status),
        sensitivity=CLASSES.get(_word(one, "CLASS") or "PUBLIC", Sensitivity.PRIVATE) if "CLASS" in one else Sensitivity.NORMAL,
        organizer=_person(organizer.params, organizer.value) if organizer and organizer.value else None,
        attendees=attendees,
        categories=_categories(many["CATEGORIES"]) if "CATEGORIES" in many else (),
        reminders=_reminders(component, start, end, warnings) if component.children else (),
        conference_url=_conference(one, many),
        url=clean(one["URL"].value).strip() if "URL" in one else "",
    )


def _text(one: Mapping[str, Line], name: str) -> str:
    line = one.get(name)
    if line is None:
        return ""
    text = read_text(line.value)
    return "" if text.isspace() else text


def _word(one: Mapping[str, Line], name: str) -> str:
    line = one.get(name)
    return line.value.strip().upper() if line else ""


def _html(one: Mapping[str, Line]) -> str:
    line = one.get("X-ALT-DESC")
    if line is None or "TEXT/HTML" not in line.params.upper():
        return ""
    return read_text(line.value)


def _show_as(one: Mapping[str, Line], status: Status) -> ShowAs:
    """Give the finer of the two; where TRANSP contradicts it, TRANSP was changed by a program that knows no other."""
    fine = BUSY_STATUSES.get(_word(one, "X-MICROSOFT-CDO-BUSYSTATUS"))
    transp = _word(one, "TRANSP")
    if fine is not None and fine not in _CONTRADICTED.get(transp, ()):
        return fine
    if transp == "TRANSPARENT":
        return ShowAs.FREE
    return ShowAs.TENTATIVE if status is Status.TENTATIVE else ShowAs.BUSY


@lru_cache(maxsize=4096)
def _person(params: str, value: str) -> Person:
    found = parameters(params)
    return Person(_address(value, found), clean(found.get("CN", "")))


@lru_cache(maxsize=4096)
def _attendee(params: str, value: str) -> Attendee:
    found = parameters(params)
    role = ROLES.get(found.get("ROLE", "").upper(), "required")
    if found.get("CUTYPE", "").upper() in RESOURCE_TYPES:
        role = "resource"
    response = RESPONSES.get(found.get("PARTSTAT", "").upper(), Response.NONE)
    return Attendee(_address(value, found), clean(found.get("CN", "")), response, role)


def _address(value: str, found: Mapping[str, str]) -> str:
    value = clean(value).strip()
    if value[:7].lower() == "mailto:":
        return value[7:].strip()
    return found.get("EMAIL") or value


def _categories(lines: list[Line]) -> tuple[str, ...]:
    found = (item.strip() for line in lines for item in split_texts(line.value))
    return tuple(dict.fromkeys(item for item in found if item))


def _conference(one: Mapping[str, Line], many: Mapping[str, list[Line]]) -> str:
    links = [line.value.strip() for line in many.get("CONFERENCE", ())]
    web = next((link for link in links if link.lower().startswith("http")), links[0] if links else "")
    return clean(web or next((one[name].value.strip() for name in CONFERENCES if name in one), ""))


def _reminders(component: Component, start: Point, end: Point, warnings: list[str]) -> tuple[Reminder, ...]:
    found = (minutes_before(alarm, start, end) for alarm in component.children if alarm.name == "VALARM")
    return tuple(dict.fromkeys(Reminder(minutes) for minutes in found if minutes is not None))


def minutes_before(alarm: Component, start: Point, end: Point) -> int | None:
    """Give an alarm's minutes before the start; None for one that is no reminder of ours (mails, unreadable triggers)."""
    trigger = alarm.first("TRIGGER")
    if trigger is None or alarm.value("ACTION").strip().upper() in SILENT_ALARMS:
        return None
    try:
        if "DATE-TIME" in trigger.params.upper():
            moment = read_moment(trigger.value)
            if not isinstance(moment, datetime) or not isinstance(start, Zoned):
                return None
            ahead = instant(start, UTC) - moment.replace(tzinfo=UTC)
        else:
            ahead = -read_duration(trigger.value).nominal
            if "RELATED=END" in trigger.params.upper():
                ahead -= instant(end, UTC) - instant(start, UTC)
    except (ValueError, OverflowError):
        return None
    return int(ahead.total_seconds() // 60)


# --- recurrence --------------------------------------------------------------------------------------------------


def _read_recurrence_id(part: Part, line: Line, zones: Zones) -> None:
    try:
        part.recurrence_id = read_line_point(line, zones, part.warnings)
    except ValueError:
        raise Unreadable("bad_recurrence_id", line.number) from None
    part.is_this_and_future = "THISANDFUTURE" in line.params.upper()


def _read_recurrence(part: Part, many: Mapping[str, list[Line]], zones: Zones) -> None:
    rules = [line.value for line in many.get("RRULE", ())]
    rules += [f"EXRULE:{line.value}" for line in many.get("EXRULE", ())]
    part.rules = "\n".join(rule for rule in rules if rule.strip())
    for line in many.get("EXDATE", ()):
        part.exdate += read_points(line, zones, part.warnings)
    for line in many.get("RDATE", ()):
        if "/" in line.value:
            part.periods += _periods(line, zones, part.warnings)
        else:
            part.rdate += read_points(line, zones, part.warnings)


def _periods(line: Line, zones: Zones, warnings: list[str]) -> list[tuple[Point, Point]]:
    """Read RDATE periods: a start with an end or a length of its own."""
    found: list[tuple[Point, Point]] = []
    for value in line.value.split(","):
        first, _, last = value.partition("/")
        try:
            start = read_point(first, line.params, zones, warnings)
            if last.lstrip("+-")[:1].upper() == "P":
                end = _after(start, last, warnings)
            else:
                end = _of_kind(start, read_point(last, line.params, zones, warnings)) if last else None
            found.append((start, end if end is not None else start))
        except ValueError:
            warnings.append("ics.date_ignored")
    return found


def slots_of(points: list[Point], start: Point, warnings: list[str]) -> tuple[Point, ...]:
    """Bring points to the kind and zone of a start, sorted and once each; what cannot be brought is left out."""
    found = set()
    for point in points:
        try:
            found.add(same_slot(start, point))
        except ValueError:
            warnings.append("ics.date_ignored")
    return tuple(sorted(found, key=wall_of))
