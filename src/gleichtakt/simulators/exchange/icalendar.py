"""Calendar items as iCalendar text, which is what their MimeContent is: written as Exchange writes it, read as anyone does.

A text holds one item: a single one, or a series with those of its occurrences that differ. Sources: [MS-OXCICAL]
§2.1.3, RFC 5545.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from gleichtakt.errors import Permanent
from gleichtakt.model.event import Attendee as Invited
from gleichtakt.model.event import Event, Response, Sensitivity, Series, ShowAs
from gleichtakt.model.ics import Component, read_calendar
from gleichtakt.model.ics.lines import Line, parameter, write_duration, write_text
from gleichtakt.model.point import Point, Zoned, wall_of
from gleichtakt.model.zones import windows_from_iana, zone_of
from gleichtakt.simulators.exchange import bodies, calendar
from gleichtakt.simulators.exchange.properties import ATTENDEE_LISTS, Attendee, Person, View, value_of
from gleichtakt.simulators.exchange.rules import pattern_of_rule, rule_of_pattern
from gleichtakt.simulators.exchange.state import VERSIONS, Refused
from gleichtakt.simulators.exchange.zones import CUSTOM, UTC_ZONE, Zone, known, vtimezone

PRODUCT = "Microsoft Exchange Server 2010"
#: From this version on all-day items have dates; before, midnights.
DATES_SINCE = "Exchange2010"
_BUSY = {
    ShowAs.FREE: "Free",
    ShowAs.TENTATIVE: "Tentative",
    ShowAs.BUSY: "Busy",
    ShowAs.OOF: "OOF",
    ShowAs.WORKING_ELSEWHERE: "WorkingElsewhere",
}
_SENSITIVITIES = {one: one.value.title() for one in Sensitivity}
_RESPONSES = {
    Response.ACCEPTED: "Accept",
    Response.TENTATIVE: "Tentative",
    Response.DECLINED: "Decline",
    Response.NONE: "Unknown",
    Response.ORGANIZER: "Organizer",
}
_PARTSTATS = {"Accept": "ACCEPTED", "Tentative": "TENTATIVE", "Decline": "DECLINED"}
_LISTS = {"optional": "OptionalAttendees", "resource": "Resources"}
#: What a text says of an item by being silent about it.
_EMPTY: Mapping[str, Any] = dict.fromkeys(("Location", "Categories", *ATTENDEE_LISTS, "Organizer"))


# --- reading -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Told:
    """What a text says. values: of the item, by property; None is nothing.

    occurrences: original local date of an occurrence -> what differs there, or None where it does not take place.
    """

    values: Mapping[str, Any]
    occurrences: Mapping[date, Mapping[str, Any] | None]


def read(content: str, zone: Zone) -> Told:
    """Read a MimeContent. zone: in which times without one are meant. Raises Refused."""
    try:
        data = base64.b64decode("".join(content.split()), validate=True)
    except (ValueError, binascii.Error):
        raise Refused("ErrorMimeContentInvalidBase64String", "The MIME content is no valid Base64 string.") from None
    try:
        found = read_calendar(data)
    except Permanent:
        raise Refused("ErrorMimeContentInvalid", "The MIME content is invalid.") from None
    if found.broken or len(found.series) != 1:
        raise Refused("ErrorMimeContentInvalid", "The MIME content is invalid.")
    return _told(found.series[0], zone)


def _told(series: Series, zone: Zone) -> Told:
    if series.is_detached or series.rdate:
        raise Refused("ErrorMimeContentConversionFailed", "The MIME content cannot be converted to an item.")
    pattern = pattern_of_rule(series.rrule, series.event.start) if series.rrule else None
    values = {**_values(series.event, zone), "UID": series.uid, "Recurrence": pattern}
    occurrences: dict[date, Mapping[str, Any] | None] = {wall_of(point).date(): None for point in series.exdate}
    for override in series.overrides:
        own = _values(override.event, zone)
        differing = {name: value for name, value in own.items() if name in ("Start", "End") or value != values.get(name)}
        occurrences[wall_of(override.recurrence_id).date()] = differing
    return Told(values, occurrences)


def _values(event: Event, zone: Zone) -> dict[str, Any]:
    values = {**_EMPTY, "Subject": event.title, "Sensitivity": _SENSITIVITIES[event.sensitivity]}
    values |= {"LegacyFreeBusyStatus": _BUSY[event.show_as], "IsAllDayEvent": event.is_all_day}
    values |= {"StartTimeZone": _zone(event.start, zone), "EndTimeZone": _zone(event.end, zone)}
    values |= {"Start": _moment(event.start, zone), "End": _moment(event.end, zone), "Body": _body(event)}
    if event.location:
        values["Location"] = event.location
    if event.categories:
        values["Categories"] = event.categories
    if event.organizer is not None:
        values["Organizer"] = Person(event.organizer.name or event.organizer.email, event.organizer.email)
    if event.reminders:
        values |= {"ReminderIsSet": True, "ReminderMinutesBeforeStart": str(event.reminders[0].minutes)}
    for one in event.attendees:
        name = _LISTS.get(one.role, "RequiredAttendees")
        values[name] = (*(values[name] or ()), _attendee(one))
    return values


def _body(event: Event) -> bodies.Body | None:
    if event.html:
        return bodies.stored("HTML", event.html)
    return bodies.stored("Text", event.description) if event.description else None


def _attendee(invited: Invited) -> Attendee:
    return Attendee(Person(invited.name or invited.email, invited.email), _RESPONSES[invited.response])


def _zone(point: Point, zone: Zone) -> Zone:
    """Give the zone of a point: one of the server's table where there is one, else a custom one."""
    if not isinstance(point, Zoned):
        return zone
    found = known(windows_from_iana(point.tzid) or "")
    if point.tzid == "UTC" or found is not None:
        return found or UTC_ZONE
    return Zone(CUSTOM, "", zone_of(point.tzid), text=point.tzid)


def _moment(point: Point, zone: Zone) -> datetime:
    return _zone(point, zone).instant(wall_of(point))


# --- writing -----------------------------------------------------------------------------------------------------


def write(view: View) -> str:
    """Write an item, or one occurrence, as MimeContent."""
    zones = {zone.id: zone for zone in (_zone_of(view, "StartTimeZone"), _zone_of(view, "EndTimeZone"))}
    method = "REQUEST" if value_of(view, "IsMeeting") else "PUBLISH"
    head = [Line("METHOD", "", method), Line("PRODID", "", PRODUCT), Line("VERSION", "", "2.0")]
    views = [view] if view.slot else [view, *(replace(view, slot=slot) for slot in sorted(view.item.overrides))]
    parts = [*(vtimezone(zone, view.year) for zone in zones.values()), *(_event(one) for one in views)]
    return base64.b64encode(Component("VCALENDAR", head, parts).write()).decode()


def _zone_of(view: View, name: str) -> Zone:
    found: Zone = view.get(name) or view.get("StartTimeZone") or UTC_ZONE
    return found


def _event(view: View) -> Component:
    lines = [*_people(view), *_described(view), *_repeated(view), *_timed(view), *_marked(view)]
    return Component("VEVENT", lines, [_alarm(view)] if view.get("ReminderIsSet") else [])


def _people(view: View) -> Iterator[Line]:
    if not value_of(view, "IsMeeting"):
        return
    organizer = value_of(view, "Organizer")
    if organizer is not None:
        yield Line("ORGANIZER", parameter("CN", organizer.name), f"MAILTO:{organizer.address}")
    for name, role in zip(ATTENDEE_LISTS, ("REQ-PARTICIPANT", "OPT-PARTICIPANT", "NON-PARTICIPANT"), strict=True):
        for one in view.get(name) or () if value_of(view, name) else ():
            told = [f"ROLE={role}", f"PARTSTAT={_PARTSTATS.get(one.response, 'NEEDS-ACTION')}", "RSVP=TRUE"]
            if name == "Resources":
                told.insert(0, "CUTYPE=RESOURCE")
            yield Line("ATTENDEE", ";".join([*told, parameter("CN", one.person.name)]), f"MAILTO:{one.person.address}")


def _described(view: View) -> Iterator[Line]:
    language = parameter("LANGUAGE", view.get("Culture") or "en-US")
    body: bodies.Body | None = value_of(view, "Body")
    yield Line("DESCRIPTION", language, write_text(body.given("Text").text.strip("\r\n") if body else ""))
    yield Line("UID", "", view.get("UID") or "")
    yield Line("SUMMARY", language, write_text(value_of(view, "Subject") or ""))
    yield Line("LOCATION", language, write_text(value_of(view, "Location") or ""))
    if categories := value_of(view, "Categories"):
        yield Line("CATEGORIES", "", ",".join(write_text(one) for one in categories))


def _repeated(view: View) -> Iterator[Line]:
    pattern, zone = calendar.pattern_of(view.item), calendar.zone_of_item(view.item)
    if pattern is None:
        return
    if view.slot is not None:
        yield _time("RECURRENCE-ID", calendar.original(view.item, view.slot).start, zone, view)
        return
    first = zone.local(view.span.start)
    yield Line("RRULE", "", rule_of_pattern(pattern, first, zone, is_all_day=_has_dates(view)))
    for start in sorted(view.item.deleted.values()):
        yield _time("EXDATE", start, zone, view)


def _timed(view: View) -> Iterator[Line]:
    yield _time("DTSTART", view.span.start, _zone_of(view, "StartTimeZone"), view)
    yield _time("DTEND", view.span.end, _zone_of(view, "EndTimeZone"), view)


def _has_dates(view: View) -> bool:
    return bool(view.get("IsAllDayEvent")) and VERSIONS.index(view.version) >= VERSIONS.index(DATES_SINCE)


def _time(name: str, instant: datetime, zone: Zone, view: View) -> Line:
    wall = zone.local(instant)
    if _has_dates(view):
        return Line(name, "VALUE=DATE", f"{wall:%Y%m%d}")
    return Line(name, parameter("TZID", zone.id), f"{wall:%Y%m%dT%H%M%S}")


def _marked(view: View) -> Iterator[Line]:
    sensitivity = {"Normal": "PUBLIC", "Confidential": "CONFIDENTIAL"}.get(value_of(view, "Sensitivity"), "PRIVATE")
    busy = (value_of(view, "LegacyFreeBusyStatus") or "Busy").upper()
    cancelled = "CANCELLED" if view.get("IsCancelled") else "TENTATIVE" if busy == "TENTATIVE" else "CONFIRMED"
    kind = ("Single", "RecurringMaster", "Occurrence", "Exception").index(value_of(view, "CalendarItemType"))
    sequence = str(view.get("AppointmentSequenceNumber") or 0)
    for name, value in (
        ("CLASS", sensitivity),
        ("PRIORITY", "5"),
        ("DTSTAMP", f"{view.item.modified.astimezone(UTC):%Y%m%dT%H%M%SZ}"),
        ("TRANSP", "TRANSPARENT" if busy in ("FREE", "WORKINGELSEWHERE") else "OPAQUE"),
        ("STATUS", cancelled),
        ("SEQUENCE", sequence),
        ("X-MICROSOFT-CDO-APPT-SEQUENCE", sequence),
        ("X-MICROSOFT-CDO-BUSYSTATUS", busy),
        ("X-MICROSOFT-CDO-INTENDEDSTATUS", (view.get("IntendedFreeBusyStatus") or busy).upper()),
        ("X-MICROSOFT-CDO-ALLDAYEVENT", "TRUE" if view.get("IsAllDayEvent") else "FALSE"),
        ("X-MICROSOFT-CDO-IMPORTANCE", "1"),
        ("X-MICROSOFT-CDO-INSTTYPE", str(kind)),
        ("X-MICROSOFT-DISALLOW-COUNTER", "FALSE"),
    ):
        yield Line(name, "", value)


def _alarm(view: View) -> Component:
    before = timedelta(minutes=-int(view.get("ReminderMinutesBeforeStart") or 0))
    lines = [Line("DESCRIPTION", "", "REMINDER"), Line("TRIGGER", "RELATED=START", write_duration(before))]
    return Component("VALARM", [*lines, Line("ACTION", "", "DISPLAY")])
