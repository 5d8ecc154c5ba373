"""Series as iCalendar text: deterministic, folded, with the zones it uses.

The same series give the same bytes, so that an ETag or a hash means something. DTSTAMP has to stand there; without a
stamp given it is the epoch.
Sources: RFC 5545 §3.6.1; RFC 7986; [MS-OXCICAL] §2.1.3.1.1.20.31 for X-MICROSOFT-CDO-BUSYSTATUS.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from gleichtakt.model.event import Attendee, Event, Override, Person, Response, Sensitivity, Series, ShowAs, Status
from gleichtakt.model.ics.lines import FOLD_OCTETS, clean, fold, parameter, write_duration, write_text
from gleichtakt.model.ics.moments import basic
from gleichtakt.model.ics.vtimezone import name_in_file, vtimezone
from gleichtakt.model.point import Day, Point, Zoned, wall_of
from gleichtakt.model.rule import rules_of
from gleichtakt.model.zones import zone_of

PRODUCT = "-//Gleichtakt//Gleichtakt//EN"
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

TRANSPS = {ShowAs.FREE: "TRANSPARENT", ShowAs.WORKING_ELSEWHERE: "TRANSPARENT"}
BUSY_STATUSES = {
    ShowAs.FREE: "FREE",
    ShowAs.TENTATIVE: "TENTATIVE",
    ShowAs.BUSY: "BUSY",
    ShowAs.OOF: "OOF",
    ShowAs.WORKING_ELSEWHERE: "WORKINGELSEWHERE",
}
CLASSES = {
    Sensitivity.NORMAL: "PUBLIC",
    Sensitivity.PERSONAL: "PRIVATE",
    Sensitivity.PRIVATE: "PRIVATE",
    Sensitivity.CONFIDENTIAL: "CONFIDENTIAL",
}
STATUSES = {Status.CONFIRMED: "CONFIRMED", Status.TENTATIVE: "TENTATIVE", Status.CANCELLED: "CANCELLED"}
PARTSTATS = {
    Response.ACCEPTED: "ACCEPTED",
    Response.DECLINED: "DECLINED",
    Response.TENTATIVE: "TENTATIVE",
    Response.ORGANIZER: "ACCEPTED",
}
ROLES = {"chair": "ROLE=CHAIR", "optional": "ROLE=OPT-PARTICIPANT", "resource": "CUTYPE=RESOURCE"}

Extra = Mapping[str, Sequence[tuple[str, str]]]  # by uid: names and raw values of further lines


def write_calendar(
    series: Iterable[Series],
    *,
    method: str | None = None,
    name: str = "",
    prodid: str = PRODUCT,
    extra: Extra | None = None,
    stamp: datetime | None = None,
    silent: bool = True,
) -> bytes:
    """Write series as one calendar.

    extra: further lines for each component of a series, values as they shall stand. stamp: aware UTC, for DTSTAMP.
    silent: mark people with SCHEDULE-AGENT=CLIENT, so that a CalDAV server sends them nothing (RFC 6638 §7.1).
    """
    listed = list(series)
    names = FileZones()
    for one in listed:
        names.use(one)
    written = f"{(stamp or EPOCH).astimezone(UTC):%Y%m%dT%H%M%SZ}"
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", f"PRODID:{write_text(prodid)}", "CALSCALE:GREGORIAN"]
    lines += [f"METHOD:{method}"] if method else []
    lines += [f"X-WR-CALNAME:{write_text(name)}"] if name else []
    lines += names.definitions()
    for one in listed:
        lines += series_lines(one, names, written, (extra or {}).get(one.uid, ()), silent=silent)
    lines.append("END:VCALENDAR")
    return joined(lines)


def joined(lines: Sequence[str]) -> bytes:
    """Encode and fold lines; most need neither."""
    parts = []
    for line in lines:
        if len(line) <= FOLD_OCTETS and line.isascii():
            parts.append(line.encode())
        else:
            parts.append(fold(line))
    parts.append(b"")
    return b"\r\n".join(parts)


def series_lines(
    series: Series, names: FileZones, stamp: str, extra: Sequence[tuple[str, str]] = (), *, silent: bool = True
) -> list[str]:
    """Give the VEVENTs of a series: the master first, then its overrides."""
    lines: list[str] = []
    further = [f"{name}:{uri(value)}" for name, value in extra]
    head = [f"UID:{uri(series.uid)}", f"DTSTAMP:{stamp}"]
    if not series.is_detached:
        lines += ["BEGIN:VEVENT", *head, *event_lines(series.event, names, silent=silent)]
        if series.rrule or series.rdate or series.exdate:
            lines += recurrence_lines(series, names)
        lines += [*further, *alarm_lines(series.event), "END:VEVENT"]
    for override in series.overrides:
        lines += ["BEGIN:VEVENT", *head, override_line(override, names)]
        lines += [*event_lines(override.event, names, silent=silent), *further, *alarm_lines(override.event), "END:VEVENT"]
    return lines


def override_line(override: Override, names: FileZones) -> str:
    """Name the slot of an override."""
    return point_line("RECURRENCE-ID", override.recurrence_id, names)


def event_lines(event: Event, names: FileZones, *, silent: bool = True) -> list[str]:
    """Give the lines of an event's content, without identity, recurrence and alarms."""
    lines = [point_line("DTSTART", event.start, names)]
    if event.end != event.start or isinstance(event.start, Day):
        lines.append(point_line("DTEND", event.end, names))
    if event.title:
        lines.append(f"SUMMARY:{write_text(event.title)}")
    if event.description:
        lines.append(f"DESCRIPTION:{write_text(event.description)}")
    if event.html:
        lines.append(html_line(event.html))
    if event.location:
        lines.append(f"LOCATION:{write_text(event.location)}")
    lines += _state_lines(event.status, event.show_as, event.sensitivity)
    if event.organizer:
        lines.append(organizer_line(event.organizer, silent=silent))
    if event.attendees:
        lines += [attendee_line(attendee, silent=silent) for attendee in event.attendees]
    if event.categories:
        lines.append(categories_line(event.categories))
    if event.conference_url:
        lines.append(conference_line(event.conference_url))
    if event.url:
        lines.append(f"URL:{uri(event.url)}")
    return lines


@lru_cache(maxsize=128)
def _state_lines(status: Status, show_as: ShowAs, sensitivity: Sensitivity) -> tuple[str, ...]:
    return (
        f"STATUS:{STATUSES[status]}",
        f"TRANSP:{TRANSPS.get(show_as, 'OPAQUE')}",
        f"X-MICROSOFT-CDO-BUSYSTATUS:{BUSY_STATUSES[show_as]}",
        *(() if sensitivity is Sensitivity.NORMAL else (f"CLASS:{CLASSES[sensitivity]}",)),
    )


def html_line(html: str) -> str:
    """Give the formatted body, as Outlook writes it."""
    return f"X-ALT-DESC;FMTTYPE=text/html:{write_text(html)}"


def categories_line(categories: Sequence[str]) -> str:
    """Give all categories in one line."""
    return f"CATEGORIES:{','.join(map(write_text, categories))}"


def conference_line(url: str) -> str:
    """Give the link of an online meeting (RFC 7986)."""
    return f"CONFERENCE;VALUE=URI;FEATURE=VIDEO:{uri(url)}"


def uri(url: str) -> str:
    """Give an address as one line."""
    return clean(url).replace("\n", " ")


@lru_cache(maxsize=4096)
def organizer_line(person: Person, *, silent: bool = True) -> str:
    """Give the organizer."""
    parts = [parameter("CN", person.name)] if person.name else []
    parts += ["SCHEDULE-AGENT=CLIENT"] if silent else []
    return f"{';'.join(['ORGANIZER', *parts])}:{address(person.email)}"


@lru_cache(maxsize=4096)
def attendee_line(attendee: Attendee, *, silent: bool = True) -> str:
    """Give one attendee."""
    parts = [parameter("CN", attendee.name)] if attendee.name else []
    parts += [ROLES[attendee.role]] if attendee.role in ROLES else []
    parts.append(f"PARTSTAT={PARTSTATS.get(attendee.response, 'NEEDS-ACTION')}")
    parts += ["SCHEDULE-AGENT=CLIENT"] if silent else []
    return f"{';'.join(['ATTENDEE', *parts])}:{address(attendee.email)}"


def address(email: str) -> str:
    """Give a calendar address: a mail address as `mailto:`, other addresses as they are."""
    email = uri(email)
    return email if ":" in email or "/" in email else f"mailto:{email}"


def alarm_lines(event: Event) -> list[str]:
    """Give the reminders."""
    lines: list[str] = []
    for reminder in event.reminders:
        lines += ["BEGIN:VALARM", *alarm_content(reminder.minutes), "END:VALARM"]
    return lines


def alarm_content(minutes: int) -> list[str]:
    """Give what stands in one VALARM."""
    return ["ACTION:DISPLAY", "DESCRIPTION:Reminder", f"TRIGGER:{write_duration(timedelta(minutes=-minutes))}"]


# --- times -------------------------------------------------------------------------------------------------------


class FileZones:
    """The zones a file uses and what they are called in it."""

    def __init__(self) -> None:
        """Nothing is used yet."""
        self._years: dict[str, tuple[int, int | None]] = {}
        self._called: dict[str, str] = {}

    def use(self, series: Series) -> None:
        """Note the zones and years of a series."""
        last = last_year(series)
        for event in (series.event, *(override.event for override in series.overrides)):
            start, end = event.start, event.end
            if isinstance(start, Zoned):
                self.note(start.tzid, start.wall.year, last and max(last, wall_of(end).year))
            if isinstance(end, Zoned):
                self.note(end.tzid, end.wall.year, last and max(last, end.wall.year))

    def note(self, tzid: str, first: int, last: int | None) -> None:
        """Widen the years of a zone; None is without end."""
        if tzid == "UTC":
            return
        known = self._years.get(tzid)
        if known is None:
            self._years[tzid] = (first, last)
            self._called[tzid] = self._free_name(name_in_file(tzid))
        elif first < known[0] or (known[1] is not None and (last is None or last > known[1])):
            both = None if last is None or known[1] is None else max(last, known[1])
            self._years[tzid] = (min(first, known[0]), both)

    def _free_name(self, name: str) -> str:
        taken = set(self._called.values())
        numbered = (name if number == 1 else f"{name} {number}" for number in range(1, len(taken) + 2))
        return next(candidate for candidate in numbered if candidate not in taken)

    def zones(self) -> list[str]:
        """Give the zones in use."""
        return list(self._years)

    def called(self, tzid: str) -> str:
        """Give the TZID of a zone in this file."""
        return self._called.get(tzid) or name_in_file(tzid)

    def definitions(self) -> list[str]:
        """Give the VTIMEZONEs, by name."""
        lines: list[str] = []
        for tzid in sorted(self._years, key=self.called):
            lines += vtimezone(tzid, *self._years[tzid], self.called(tzid)).split("\n")
        return lines


def last_year(series: Series) -> int | None:
    """Give the last year a series may reach; None where its rule has no end that can be read off."""
    years = [wall_of(point).year for point in (series.event.end, *series.rdate)]
    for rule in rules_of(series.rrule) if series.rrule else ():
        if rule.until is None:
            return None
        years.append(wall_of(rule.until).year + 1)
    return max(years)


def point_line(name: str, point: Point, names: FileZones) -> str:
    """Give a property whose value is a point."""
    if isinstance(point, Day):
        day = point.date
        return f"{name};VALUE=DATE:{day.year:04}{day.month:02}{day.day:02}"
    if not isinstance(point, Zoned):
        return f"{name}:{basic(point.wall)}"
    if point.tzid == "UTC":
        return f"{name}:{basic(point.wall)}Z"
    if point.wall.fold and _is_second(point):
        return f"{name}:{basic(_utc(point))}Z"
    return f"{name};{zone_parameter(names.called(point.tzid))}:{basic(point.wall)}"


@lru_cache(maxsize=512)
def zone_parameter(name: str) -> str:
    """Give the TZID parameter, quoted where it must be."""
    return parameter("TZID", name)


def _is_second(point: Zoned) -> bool:
    """Say whether a reading is the second of two equal ones, which local time cannot express in iCalendar."""
    zone = zone_of(point.tzid)
    first, second = (point.wall.replace(tzinfo=zone, fold=fold).utcoffset() for fold in (0, 1))
    return first != second


def _utc(point: Zoned) -> datetime:
    return point.wall.replace(tzinfo=zone_of(point.tzid)).astimezone(UTC).replace(tzinfo=None)


def recurrence_lines(series: Series, names: FileZones) -> list[str]:
    """Give the rules and the listed dates."""
    lines = [rule if rule.startswith("EXRULE:") else f"RRULE:{rule}" for rule in series.rrule.split("\n") if rule]
    return [*lines, *dates_lines("RDATE", series.rdate, names), *dates_lines("EXDATE", series.exdate, names)]


def dates_lines(name: str, points: Sequence[Point], names: FileZones) -> list[str]:
    """Give points, those with equal parameters in one line."""
    by_head: dict[str, list[str]] = {}
    for point in points:
        head, _, value = point_line(name, point, names).rpartition(":")
        by_head.setdefault(head, []).append(value)
    return [f"{head}:{','.join(values)}" for head, values in by_head.items()]
