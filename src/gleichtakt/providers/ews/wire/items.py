"""A calendar item of Exchange as a `Series`: the master with its exceptions and deleted occurrences. Pure.

Elements are looked up by name, so their order does not matter, and of doubled ones the last counts. What the server
leaves out is empty. Writing stands in `drafts`; both are offered here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final

from gleichtakt.errors import Permanent, Scope
from gleichtakt.model.event import Event, Override, Reminder, Response, Sensitivity, Series, ShowAs, Status
from gleichtakt.model.point import Day, Point, Zoned, wall_of, with_wall
from gleichtakt.model.recurrence import match_slot
from gleichtakt.model.zones import zone_of
from gleichtakt.providers.ews.wire.bodies import plain, text_of_html
from gleichtakt.providers.ews.wire.drafts import Draft, changes, event_changes, write_item
from gleichtakt.providers.ews.wire.ids import ItemId, read_item_id
from gleichtakt.providers.ews.wire.marks import Marks, plain_uid, read_marks
from gleichtakt.providers.ews.wire.names import RESPONSE, SENSITIVITY, SHOW_AS, T
from gleichtakt.providers.ews.wire.patterns import UnknownPattern, read_pattern, rule_of
from gleichtakt.providers.ews.wire.people import ROLES, read_attendees, read_person
from gleichtakt.providers.ews.wire.soap import Element
from gleichtakt.providers.ews.wire.zones import read_zone, zone_by_id

__all__ = ["Draft", "Item", "changes", "event_changes", "exception_ids", "read_item", "write_item"]


@dataclass(frozen=True, slots=True)
class Item:
    """One item as it is there now.

    missing: exceptions it names whose content was not given; they stand with the master's content at their own time.
    done: key of our last write that came to its end.
    """

    id: str
    change_key: str
    series: Series
    marker: str = ""
    key: str = ""
    foreign_marker: str = ""
    is_organizer: bool = True
    response: str = "none"
    type: str = "Single"
    modified_at: datetime | None = None
    missing: tuple[str, ...] = ()
    done: str = ""


Parts = Mapping[object, Element]

_ITEM_ID: Final = T + "ItemId"
_SUBJECT: Final = T + "Subject"
_SENSITIVITY: Final = T + "Sensitivity"
_BODY: Final = T + "Body"
_CATEGORIES: Final = T + "Categories"
_REMINDER_IS_SET: Final = T + "ReminderIsSet"
_REMINDER_MINUTES: Final = T + "ReminderMinutesBeforeStart"
_PROPERTY: Final = T + "ExtendedProperty"
_MODIFIED: Final = T + "LastModifiedTime"
_UID: Final = T + "UID"
_START: Final = T + "Start"
_END: Final = T + "End"
_ORIGINAL: Final = T + "OriginalStart"
_ALL_DAY: Final = T + "IsAllDayEvent"
_STATUS: Final = T + "LegacyFreeBusyStatus"
_LOCATION: Final = T + "Location"
_CANCELLED: Final = T + "IsCancelled"
_TYPE: Final = T + "CalendarItemType"
_MY_RESPONSE: Final = T + "MyResponseType"
_ORGANIZER: Final = T + "Organizer"
_RECURRENCE: Final = T + "Recurrence"
_CHANGED: Final = T + "ModifiedOccurrences"
_DELETED: Final = T + "DeletedOccurrences"
_START_ZONE: Final = T + "StartTimeZone"
_END_ZONE: Final = T + "EndTimeZone"
_MEETING_ZONE: Final = T + "MeetingTimeZone"
_ZONE_IDS: Final = (T + "StartTimeZoneId", T + "EndTimeZoneId")
_JOIN: Final = T + "JoinOnlineMeetingUrl"
_LISTS: Final = tuple((T + name, role) for name, role in ROLES.items())

_TRUE: Final = frozenset({"true", "1", "True"})
_HALF_A_DAY: Final = timedelta(hours=12)
_ONE_DAY: Final = timedelta(days=1)


def read_item(element: Element, *, exceptions: Mapping[str, Element] | None = None, zone: str = "UTC") -> Item:
    """Read a `CalendarItem` with the exceptions it names, by id.

    zone: of an item that tells none, as some products do. Raises Permanent (SERIES) where it cannot be understood.
    """
    parts: Parts = {each.tag: each for each in element}
    named = parts.get(_ITEM_ID)
    try:
        series, missing = _series(parts, exceptions or {}, zone)
    except UnknownPattern as unknown:
        raise unreadable(f"recurrence {unknown}") from None
    except (KeyError, ValueError, OverflowError) as broken:
        raise unreadable(str(broken)[:80]) from None
    marks = read_marks(element.iterchildren(_PROPERTY)) if _PROPERTY in parts else Marks()
    answer = _said(parts, _MY_RESPONSE)
    return Item(
        (named.get("Id") or "") if named is not None else "",
        (named.get("ChangeKey") or "") if named is not None else "",
        series,
        marks.mark,
        marks.key,
        marks.foreign,
        answer == "Organizer" or (not series.event.attendees and answer in ("", "Unknown")),
        RESPONSE.get(answer, Response.NONE).value,
        _said(parts, _TYPE) or "Single",
        _moment(parts, _MODIFIED),
        missing,
        marks.done,
    )


def unreadable(reason: str) -> Permanent:
    """Give the trouble of an item that says what we have no word for."""
    return Permanent("general.unreadable", Scope.SERIES, reason=reason)


def exception_ids(element: Element) -> tuple[ItemId, ...]:
    """Give the ids of the exceptions a master names: each is an item of its own, to be fetched for its content."""
    listed = element.find(_CHANGED)
    found = (read_item_id(each.find(_ITEM_ID)) for each in listed) if listed is not None else ()
    return tuple(each for each in found if each is not None)


# --- the series ---------------------------------------------------------------------------------------------------


def _series(parts: Parts, exceptions: Mapping[str, Element], default: str) -> tuple[Series, tuple[str, ...]]:
    tzid, end_tzid, warning = _zones(parts, default)
    event = _event(parts, tzid, end_tzid)
    uid = plain_uid(_said(parts, _UID))
    warnings = (warning,) if warning else ()
    recurrence = parts.get(_RECURRENCE)
    if recurrence is None:
        if _said(parts, _TYPE) == "RecurringMaster":
            raise UnknownPattern("missing")
        return Series(uid, event, warnings=warnings), ()
    rule = rule_of(read_pattern(recurrence), event.start)
    bare = Series(uid, event, rule)
    overrides, missing = _overrides(parts, bare, exceptions, tzid, end_tzid)
    series = Series(uid, event, rule, (), tuple(_exdates(parts, bare, tzid)), overrides, warnings=warnings)
    return series, missing


def _exdates(parts: Parts, series: Series, tzid: str) -> list[Point]:
    listed = parts.get(_DELETED)
    if listed is None:
        return []
    starts = [_slot(series, each.text, tzid) for each in listed.iter(_START) if each.text]
    return sorted(set(starts), key=wall_of)


def _overrides(
    parts: Parts, series: Series, exceptions: Mapping[str, Element], tzid: str, end_tzid: str
) -> tuple[tuple[Override, ...], tuple[str, ...]]:
    """Give the exceptions by slot; one is told twice where a server doubles it, and the last one counts."""
    listed = parts.get(_CHANGED)
    if listed is None:
        return (), ()
    found: dict[Point, Override] = {}
    missing = []
    for each in listed:
        times: Parts = {part.tag: part for part in each}
        named = read_item_id(times.get(_ITEM_ID))
        content = exceptions.get(named.id) if named else None
        if content is None and named:
            missing.append(named.id)
        original = _said(times, _ORIGINAL) or (_said({p.tag: p for p in content}, _ORIGINAL) if content is not None else "")
        if not original:
            continue
        slot = _slot(series, original, tzid)
        found[slot] = Override(slot, _exception(times, content, series.event, tzid, end_tzid))
    return tuple(sorted(found.values(), key=lambda override: wall_of(override.recurrence_id))), tuple(missing)


def _exception(times: Parts, content: Element | None, master: Event, tzid: str, end_tzid: str) -> Event:
    """Read one exception. How private it is and how it shows follow the master where it says nothing."""
    if content is None:
        start, end = _times(times, tzid, end_tzid, is_all_day=master.is_all_day)
        return replace(master, start=start, end=end)
    parts: Parts = {**times, **{each.tag: each for each in content}}
    own = _zones(parts, tzid)
    event = _event(parts, own[0], own[1] if _END_ZONE in parts else end_tzid)
    if _SENSITIVITY not in parts:
        event = replace(event, sensitivity=master.sensitivity)
    return event if _STATUS in parts else replace(event, show_as=master.show_as)


def _slot(series: Series, said: str, tzid: str) -> Point:
    """Give the original start another clock may have told: by its reading, else the slot of the series that is meant."""
    start = series.event.start
    wall = _wall(said, zone_of(tzid))
    if isinstance(start, Day):
        return Day((wall + _HALF_A_DAY).date())
    point = Zoned(wall, tzid)
    if wall.time() == wall_of(start).time():
        return with_wall(start, wall)
    return match_slot(series, point) or with_wall(start, wall)


# --- one event ----------------------------------------------------------------------------------------------------


def _event(parts: Parts, tzid: str, end_tzid: str) -> Event:
    start, end = _times(parts, tzid, end_tzid, is_all_day=_said(parts, _ALL_DAY) in _TRUE)
    description, html = _content(parts.get(_BODY))
    attendees = [who for name, role in _LISTS if name in parts for who in read_attendees(parts[name], role)]
    return Event(
        start,
        end,
        _text(parts, _SUBJECT),
        description,
        html,
        _text(parts, _LOCATION),
        Status.CANCELLED if _said(parts, _CANCELLED) in _TRUE else Status.CONFIRMED,
        SHOW_AS.get(_said(parts, _STATUS), ShowAs.BUSY),
        SENSITIVITY.get(_said(parts, _SENSITIVITY), Sensitivity.NORMAL),
        read_person(parts.get(_ORGANIZER)) if attendees else None,
        tuple(attendees),
        tuple(each.text.strip() for each in parts[_CATEGORIES] if each.text) if _CATEGORIES in parts else (),
        _reminders(parts),
        _text(parts, _JOIN),
    )


def _said(parts: Parts, name: str) -> str:
    found = parts.get(name)
    return (found.text or "").strip() if found is not None else ""


def _text(parts: Parts, name: str) -> str:
    found = parts.get(name)
    return (found.text or "") if found is not None else ""


def _content(body: Element | None) -> tuple[str, str]:
    """Give the text of a body and its HTML; a body that shows nothing has neither."""
    said = (body.text or "") if body is not None else ""
    if not said or body is None:
        return "", ""
    if (body.get("BodyType") or "").upper() != "HTML":
        return plain(said), ""
    shown = text_of_html(said)
    return shown, said if shown or "<img" in said else ""


def _reminders(parts: Parts) -> tuple[Reminder, ...]:
    if _said(parts, _REMINDER_IS_SET) not in _TRUE:
        return ()
    minutes = _said(parts, _REMINDER_MINUTES)
    return (Reminder(int(minutes) if minutes.isdigit() else 15),)


# --- times --------------------------------------------------------------------------------------------------------


def _moment(parts: Parts, name: str) -> datetime | None:
    try:
        return datetime.fromisoformat(_said(parts, name)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _zones(parts: Parts, default: str) -> tuple[str, str, str]:
    """Give the zones of start and end, and the code of a warning: as told for each, for the meeting, or by name alone."""
    start = parts.get(_START_ZONE)
    start = parts.get(_MEETING_ZONE) if start is None else start
    end = parts.get(_END_ZONE)
    if start is None:
        told = [zone_by_id(_said(parts, name)) for name in _ZONE_IDS]
        return told[0] or default, told[1] or told[0] or default, ""
    named = zone_by_id(start.get("Id") or start.get("TimeZoneName") or "")
    if named and (end is None or end.get("Id") == start.get("Id")):
        return named, named, ""
    year = _year(parts)
    first, warning = read_zone(start, default, year)
    return first, read_zone(end, first, year)[0] if end is not None else first, warning


def _year(parts: Parts) -> int:
    said = _said(parts, _START)[:4]
    return int(said) if said.isdigit() else 2020


def _wall(said: str, zone: tzinfo) -> datetime:
    """Give the reading of a time on the clock of a zone; one without offset is read on that clock already."""
    moment = datetime.fromisoformat(said)
    if moment.tzinfo is not None:
        moment = moment.astimezone(zone).replace(tzinfo=None)
    return moment.replace(microsecond=0) if moment.microsecond else moment


def _times(parts: Parts, tzid: str, end_tzid: str, *, is_all_day: bool) -> tuple[Point, Point]:
    if _START not in parts:
        raise ValueError("no start")
    start = _wall(_said(parts, _START), zone_of(tzid))
    end = _wall(_said(parts, _END) or _said(parts, _START), zone_of(end_tzid))
    if not is_all_day:
        return Zoned(start, tzid), Zoned(end, end_tzid)
    first, last = (start + _HALF_A_DAY).date(), (end + _HALF_A_DAY).date()
    return Day(first), Day(last if last > first else first + _ONE_DAY)
