"""Items as we write them: a new one whole, a changed one field by field. Pure.

Each changed property is an entry of its own, and an empty one is deleted, not set. Times carry their offset beside the
zone of the item, so that they mean the same whichever of the two a server reads. Sources: [MS-OXWSCORE] §3.1.4.9.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta
from typing import Final

from gleichtakt.errors import Permanent, Scope
from gleichtakt.model.event import Event, Series, ShowAs
from gleichtakt.model.exchange_pattern import NotExpressible, Pattern
from gleichtakt.model.point import Day, Point, Zoned, wall_of, with_wall
from gleichtakt.model.recurrence import occurrence_event
from gleichtakt.model.zones import zone_of
from gleichtakt.providers.ews.wire.bodies import text_of_html
from gleichtakt.providers.ews.wire.ids import Property
from gleichtakt.providers.ews.wire.marks import DONE, KEY, MARK, write_property
from gleichtakt.providers.ews.wire.names import FREE_BUSY_STATUS, SENSITIVITY_CHOICE, knows
from gleichtakt.providers.ews.wire.patterns import pattern_of, write_pattern
from gleichtakt.providers.ews.wire.people import ROLES, by_list, write_attendees
from gleichtakt.providers.ews.wire.soap import text
from gleichtakt.providers.ews.wire.zones import write_meeting_zone, write_zone

LONGEST_TITLE: Final = 255
LONGEST_REMINDER: Final = 2_629_800  # minutes: five years


@dataclass(frozen=True, slots=True)
class Draft:
    """How to write. version: of the request. zone: of days and floating times, which Exchange stores as instants.

    defined: zones that travel as definitions, for a server that does not know them by name.
    """

    version: str
    zone: str = "UTC"
    defined: frozenset[str] = frozenset()


# --- one property at a time ---------------------------------------------------------------------------------------


def _title(event: Event, draft: Draft) -> str:
    del draft
    return f"<t:Subject>{text(event.title[:LONGEST_TITLE])}</t:Subject>" if event.title else ""


def _sensitivity(event: Event, draft: Draft) -> str:
    del draft
    return f"<t:Sensitivity>{SENSITIVITY_CHOICE[event.sensitivity]}</t:Sensitivity>"


def _body(event: Event, draft: Draft) -> str:
    """Give the HTML where it still says what the text says, else the text."""
    del draft
    if event.html and text_of_html(event.html) == event.description:
        return f'<t:Body BodyType="HTML">{text(event.html)}</t:Body>'
    return f'<t:Body BodyType="Text">{text(event.description)}</t:Body>' if event.description else ""


def _categories(event: Event, draft: Draft) -> str:
    del draft
    listed = "".join(f"<t:String>{text(each)}</t:String>" for each in event.categories if each)
    return f"<t:Categories>{listed}</t:Categories>" if listed else ""


def _reminder_is_set(event: Event, draft: Draft) -> str:
    del draft
    return f"<t:ReminderIsSet>{'true' if event.reminders else 'false'}</t:ReminderIsSet>"


def _reminder_minutes(event: Event, draft: Draft) -> str:
    """Give the first reminder: an item holds one, and none after the start."""
    del draft
    if not event.reminders:
        return ""
    minutes = min(max(event.reminders[0].minutes, 0), LONGEST_REMINDER)
    return f"<t:ReminderMinutesBeforeStart>{minutes}</t:ReminderMinutesBeforeStart>"


def _start(event: Event, draft: Draft) -> str:
    return f"<t:Start>{write_point(event.start, draft.zone)}</t:Start>"


def _end(event: Event, draft: Draft) -> str:
    return f"<t:End>{write_point(event.end, draft.zone)}</t:End>"


def _all_day(event: Event, draft: Draft) -> str:
    del draft
    return f"<t:IsAllDayEvent>{'true' if event.is_all_day else 'false'}</t:IsAllDayEvent>"


def _show_as(event: Event, draft: Draft) -> str:
    """Servers before 2013 know no «working elsewhere»; Outlook shows it there as free."""
    older = event.show_as is ShowAs.WORKING_ELSEWHERE and not knows(draft.version, "Exchange2013")
    return f"<t:LegacyFreeBusyStatus>{FREE_BUSY_STATUS[ShowAs.FREE if older else event.show_as]}</t:LegacyFreeBusyStatus>"


def _location(event: Event, draft: Draft) -> str:
    del draft
    return f"<t:Location>{text(event.location)}</t:Location>" if event.location else ""


def _people(name: str) -> Callable[[Event, Draft], str]:
    return lambda event, draft: write_attendees(name, by_list(event)[name])


def _meeting_zone(event: Event, draft: Draft) -> str:
    if knows(draft.version, "Exchange2010"):
        return ""
    tzid = zone_in(event.start, draft.zone)
    return write_meeting_zone(tzid, wall_of(event.start).year, defined=tzid in draft.defined)


def _start_zone(event: Event, draft: Draft) -> str:
    return _zone("StartTimeZone", event.start, draft)


def _end_zone(event: Event, draft: Draft) -> str:
    return _zone("EndTimeZone", event.end, draft)


def _zone(name: str, point: Point, draft: Draft) -> str:
    if not knows(draft.version, "Exchange2010"):
        return ""
    tzid = zone_in(point, draft.zone)
    return write_zone(name, tzid, wall_of(point).year, defined=tzid in draft.defined)


def zone_in(point: Point, zone: str) -> str:
    """Give the zone a time is written in. zone: of days and floating times."""
    return point.tzid if isinstance(point, Zoned) else zone


def write_point(point: Point, zone: str) -> str:
    """Give a time with its offset. zone: of days and floating times; a gap or an overlap is read as everywhere else."""
    wall = datetime.combine(point.date, time()) if isinstance(point, Day) else point.wall.replace(microsecond=0)
    rules = zone_of(zone_in(point, zone))
    ahead = rules.utcoffset(wall) or timedelta()
    if ahead.total_seconds() % 60:  # of before there were zones; an offset has no seconds
        return f"{(wall - ahead).replace(fold=0).isoformat()}Z"
    sign, minutes = ("-", -ahead) if ahead < timedelta() else ("+", ahead)
    hours, rest = divmod(int(minutes.total_seconds()) // 60, 60)
    return f"{wall.replace(fold=0).isoformat()}{sign}{hours:02}:{rest:02}"


Writer = Callable[[Event, Draft], str]

#: Every property an event has there, in the order of the schema; an empty text means it is not there.
_PROPERTIES: Final[Mapping[str, Writer]] = {
    "item:Subject": _title,
    "item:Sensitivity": _sensitivity,
    "item:Body": _body,
    "item:Categories": _categories,
    "item:ReminderIsSet": _reminder_is_set,
    "item:ReminderMinutesBeforeStart": _reminder_minutes,
    "calendar:Start": _start,
    "calendar:End": _end,
    "calendar:IsAllDayEvent": _all_day,
    "calendar:LegacyFreeBusyStatus": _show_as,
    "calendar:Location": _location,
    **{f"calendar:{name}": _people(name) for name in ROLES},
    "calendar:MeetingTimeZone": _meeting_zone,
    "calendar:StartTimeZone": _start_zone,
    "calendar:EndTimeZone": _end_zone,
}

#: Which properties carry which field of ours. What is not here cannot be written: organizer, status, links.
_TIMES: Final = (
    "calendar:Start",
    "calendar:End",
    "calendar:IsAllDayEvent",
    "calendar:MeetingTimeZone",
    "calendar:StartTimeZone",
    "calendar:EndTimeZone",
)
FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    "title": ("item:Subject",),
    "sensitivity": ("item:Sensitivity",),
    "description": ("item:Body",),
    "categories": ("item:Categories",),
    "reminders": ("item:ReminderIsSet", "item:ReminderMinutesBeforeStart"),
    "show_as": ("calendar:LegacyFreeBusyStatus",),
    "location": ("calendar:Location",),
    "attendees": tuple(f"calendar:{name}" for name in ROLES),
    "start": _TIMES,
    "end": _TIMES,
}


# --- a new item ---------------------------------------------------------------------------------------------------


def write_item(series: Series, draft: Draft, *, mark: str = "", key: str = "", done: str = "") -> str:
    """Give the `CalendarItem` of a new single event or master; exceptions and deletions follow as changes of occurrences.

    done: *key* where nothing follows. Raises Permanent (SERIES) where no pattern says what the rule says.
    """
    series = _begun(series, draft)
    written = {name: write(series.event, draft) for name, write in _PROPERTIES.items()}
    marks = "".join(write_property(which, value) for which, value in ((MARK, mark), (KEY, key), (DONE, done)) if value)
    uid = f"<t:UID>{text(series.uid)}</t:UID>" if series.uid else ""
    parts = []
    for name, element in written.items():
        parts += [marks, uid] if name == "calendar:Start" else []
        parts += [_recurrence(series, draft)] if name == "calendar:MeetingTimeZone" else []
        parts.append(element)
    return f"<t:CalendarItem>{''.join(parts)}</t:CalendarItem>"


def _begun(series: Series, draft: Draft) -> Series:
    """Let a series begin with its first occurrence; a start the rule does not hit is none."""
    pattern = pattern_of(series, draft.version) if series.is_recurring and not series.rdate else None
    start = series.event.start
    if not isinstance(pattern, Pattern) or pattern.start == wall_of(start).date():
        return series
    first = with_wall(start, datetime.combine(pattern.start, wall_of(start).time()))
    return replace(series, event=occurrence_event(series.event, first))


def _recurrence(series: Series, draft: Draft) -> str:
    if not series.is_recurring:
        return ""
    if series.rdate:
        raise Permanent("recurrence.extra_dates", Scope.SERIES)
    pattern = pattern_of(series, draft.version)
    if isinstance(pattern, NotExpressible):
        raise Permanent(pattern.reason, Scope.SERIES)
    return write_pattern(pattern, draft.version)


# --- a changed item -----------------------------------------------------------------------------------------------


def changes(base: Series, new: Series, fields: frozenset[str], draft: Draft, *, mark: str = "", key: str = "") -> tuple[str, ...]:
    """Give the updates that turn a single event or a master from *base* into *new*, in those fields that differ.

    fields: event field names, and `recurrence`. Exceptions are not looked at; the server drops them when the pattern
    or the start is written. Raises Permanent (SERIES) where no pattern says what the rule says.
    """
    base, new = _begun(base, draft), _begun(new, draft)
    found = list(event_changes(base.event, new.event, fields, draft))
    if "recurrence" in fields or {"start", "end"} & fields:
        found += _recurrence_changes(base, new, draft)
    found += [_set_property(which, value) for which, value in ((MARK, mark), (KEY, key)) if value]
    return tuple(found)


def _recurrence_changes(base: Series, new: Series, draft: Draft) -> Iterator[str]:
    before, after = (_recurrence(each, draft) if each is new or _is_writable(each, draft) else "" for each in (base, new))
    if before == after and base.is_recurring == new.is_recurring:
        return
    yield _set("calendar:Recurrence", after) if after else _delete("calendar:Recurrence")


def _is_writable(series: Series, draft: Draft) -> bool:
    return series.is_recurring and not series.rdate and not isinstance(pattern_of(series, draft.version), NotExpressible)


def event_changes(base: Event, new: Event, fields: frozenset[str], draft: Draft) -> tuple[str, ...]:
    """Give the updates that turn one event, or one occurrence, from *base* into *new*."""
    wanted = [name for name in fields & FIELDS.keys() if getattr(base, name) != getattr(new, name)]
    uris = {uri for name in wanted for uri in FIELDS[name]}
    return tuple(change for uri in _PROPERTIES if uri in uris and (change := _change(uri, base, new, draft)))


def _change(uri: str, base: Event, new: Event, draft: Draft) -> str:
    """Give one update. Times are written together, because each is read by the zones beside it."""
    before, after = _PROPERTIES[uri](base, draft), _PROPERTIES[uri](new, draft)
    if before == after and uri not in _TIMES:
        return ""
    if after:
        return _set(uri, after)
    return _delete(uri) if before and uri not in _TIMES and uri != "item:ReminderMinutesBeforeStart" else ""


def _set(uri: str, element: str) -> str:
    return f'<t:SetItemField><t:FieldURI FieldURI="{uri}"/><t:CalendarItem>{element}</t:CalendarItem></t:SetItemField>'


def _set_property(which: Property, value: str) -> str:
    inner = f"<t:CalendarItem>{write_property(which, value)}</t:CalendarItem>"
    return f"<t:SetItemField>{which.write()}{inner}</t:SetItemField>"


def set_done(key: str) -> str:
    """Give the update that says: the write of this key came to its end."""
    return _set_property(DONE, key)


def drop_done() -> str:
    """Give the update that says: a write is under way."""
    return f"<t:DeleteItemField>{DONE.write()}</t:DeleteItemField>"


def _delete(uri: str) -> str:
    return f'<t:DeleteItemField><t:FieldURI FieldURI="{uri}"/></t:DeleteItemField>'
