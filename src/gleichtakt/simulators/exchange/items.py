"""What happens to items: they are made, changed, moved and deleted, and meetings reach those who are invited.

Everything here is what the server does for a client or a test (`put`, `change`, `remove`, …); how the wishes are read
off the wire is in `operations`. Each deed is told to the watchers, and each mail that goes out stands in the outbox.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from gleichtakt.simulators.exchange import calendar, delivery, goid
from gleichtakt.simulators.exchange.ids import change_key, folder_id, item_id
from gleichtakt.simulators.exchange.properties import ATTENDEE_LISTS, CLASSES, Attendee
from gleichtakt.simulators.exchange.state import Event, Folder, Item, Refused, Simulator
from gleichtakt.simulators.exchange.zones import UTC_ZONE, Zone, known

DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "CalendarItem": {
        "Subject": "",
        "Sensitivity": "Normal",
        "Importance": "Normal",
        "ReminderIsSet": True,
        "ReminderMinutesBeforeStart": "15",
        "Culture": "en-US",
        "IsAllDayEvent": False,
        "LegacyFreeBusyStatus": "Busy",
        "IsCancelled": False,
        "MeetingRequestWasSent": False,
        "IsResponseRequested": True,
        "AppointmentSequenceNumber": "0",
        "ConferenceType": "0",
        "AllowNewTimeProposal": True,
        "IsOnlineMeeting": False,
    }
}
_TIMES = ("Start", "End", "IsAllDayEvent", "StartTimeZone", "EndTimeZone", "Recurrence")
#: A change of these counts as a new version of a meeting.
_WEIGHTY = (*_TIMES, "Location")
_OF_THE_SERIES = ("Recurrence", "UID")


@dataclass(frozen=True, slots=True)
class Doer:
    """Who does something, and in which zone readings without offset are meant. name: as LastModifiedName."""

    name: str
    zone: Zone = UTC_ZONE


SOMEBODY = Doer("Somebody Else")

#: Original local date of an occurrence -> what differs there; None where it does not take place.
Occurrences = Mapping[date, Mapping[str, Any] | None]


# --- making ------------------------------------------------------------------------------------------------------


def put(
    simulator: Simulator,
    folder: Folder,
    values: Mapping[str, Any],
    *,
    kind: str = "CalendarItem",
    doer: Doer = SOMEBODY,
    event: str = "CreatedEvent",
    occurrences: Occurrences | None = None,
) -> Item:
    """Make an item. Raises Refused for what Exchange would not keep."""
    now = simulator.clock.now().replace(microsecond=0)
    folder.made += 1
    given = {name: value for name, value in _with_names(simulator, values).items() if value is not None}
    kept = {**DEFAULTS.get(kind, {}), "ItemClass": CLASSES[kind], **given}
    item = Item(folder, folder.made, kind, kept, now, now, modified_by=doer.name)
    if kind == "CalendarItem":
        _complete(item, now, doer)
        kept.setdefault("UID", goid.new_uid(now, hashlib.md5(item_id(item).encode(), usedforsecurity=False).digest()))
        _keep_occurrences(item, occurrences or {}, doer)
    folder.touch(item)
    _tell(simulator, event, item)
    return item


def _keep_occurrences(item: Item, occurrences: Occurrences, doer: Doer) -> None:
    """Take over what single occurrences have of their own. Raises Refused for one that the series does not have."""
    for slot in (slot for slot, own in occurrences.items() if own is None and calendar.is_alive(item, slot)):
        item.deleted[slot] = calendar.original(item, slot).start
    if item.deleted and not calendar.slots(item):
        raise Refused("ErrorRecurrenceHasNoOccurrence", "The recurrence has no occurrence.")
    for slot, own in sorted(occurrences.items(), key=lambda one: one[0]):
        if own is None:
            continue
        if not calendar.is_alive(item, slot):
            raise Refused("ErrorMimeContentConversionFailed", "The MIME content changes an occurrence that is not there.")
        wished = dict(own)
        _placed(item, wished, slot, doer)
        _change_occurrence(item, slot, wished)


def _complete(item: Item, now: datetime, doer: Doer) -> None:
    """Give a new calendar item the zones and times it lacks, and round what is all-day."""
    values = item.values
    values.setdefault("StartTimeZone", doer.zone)
    values.setdefault("EndTimeZone", values["StartTimeZone"])
    if "Start" not in values:
        values["Start"] = now + timedelta(minutes=30 - now.minute % 30, seconds=-now.second)
    values["Start"] = _instant(values["Start"], values["StartTimeZone"])
    values["End"] = _instant(values.get("End", values["Start"] + timedelta(minutes=30)), values["EndTimeZone"])
    _settle(values)


def _with_names(simulator: Simulator, values: Mapping[str, Any]) -> dict[str, Any]:
    """Give values in which the people of the house have the names they have in the directory."""
    named = {name: tuple(_named(simulator, one) for one in values[name]) for name in ATTENDEE_LISTS if values.get(name)}
    return {**values, **named}


def _named(simulator: Simulator, attendee: Attendee) -> Attendee:
    mailbox = simulator.mailboxes.get(attendee.person.address.lower())
    if mailbox is None or attendee.person.name != attendee.person.address:
        return attendee
    return replace(attendee, person=replace(attendee.person, name=mailbox.name))


def _instant(moment: datetime, zone: Zone) -> datetime:
    return moment.astimezone(UTC) if moment.tzinfo else zone.instant(moment)


def _settle(values: dict[str, Any]) -> None:
    """Bring the times of a master or single item into the form in which Exchange keeps them. Raises Refused."""
    zone, end_zone = values["StartTimeZone"], values["EndTimeZone"]
    when = calendar.Span(values["Start"], values["End"])
    pattern: calendar.Pattern | None = values.get("Recurrence")
    calendar.check_times(when, None, zone)
    if values["IsAllDayEvent"]:
        when = calendar.rounded(when, zone, end_zone)
    if pattern is not None:
        when = _on_first_day(when, pattern, zone)
    calendar.check_times(when, pattern, zone)
    values["Start"], values["End"] = when.start, when.end


def _on_first_day(when: calendar.Span, pattern: calendar.Pattern, zone: Zone) -> calendar.Span:
    """Give the times of the first occurrence: the day is the pattern's, the hours are the item's."""
    start, end = zone.local(when.start), zone.local(when.end)
    begins = datetime.combine(pattern.start, start.time())
    return calendar.Span(zone.instant(begins), zone.instant(begins + (end - start)))


# --- changing ----------------------------------------------------------------------------------------------------


def change(
    simulator: Simulator, item: Item, changes: Mapping[str, Any], *, slot: date | None = None, doer: Doer = SOMEBODY
) -> None:
    """Change properties of an item or of one occurrence; None takes a property away. Raises Refused, then nothing changed.

    A new pattern, start or zone of a series takes all its exceptions and deletions with it.
    """
    wished = _with_names(simulator, changes)
    _placed(item, wished, slot, doer)
    if slot is None:
        _change_whole(item, wished)
    else:
        _change_occurrence(item, slot, wished)
    if wished.keys() & set(_WEIGHTY) and attendees_of(item.values):
        item.values["AppointmentSequenceNumber"] = str(int(item.values.get("AppointmentSequenceNumber", 0)) + 1)
    note(simulator, item, doer)


def overwrite(
    simulator: Simulator, item: Item, changes: Mapping[str, Any], occurrences: Occurrences, *, doer: Doer = SOMEBODY
) -> None:
    """Give an item other properties and, in place of all its exceptions and deletions, others. Raises Refused as `change`."""
    before = item.values, dict(item.overrides), dict(item.deleted)
    wished = _with_names(simulator, changes)
    _placed(item, wished, None, doer)
    try:
        _change_whole(item, wished)
        item.overrides.clear()
        item.deleted.clear()
        _keep_occurrences(item, occurrences, doer)
    except Refused:
        item.values, item.overrides, item.deleted = before
        raise
    note(simulator, item, doer)


def note(simulator: Simulator, item: Item, doer: Doer) -> None:
    """Give an item a new version."""
    item.modified, item.modified_by = simulator.clock.now().replace(microsecond=0), doer.name
    item.folder.touch(item)
    _tell(simulator, "ModifiedEvent", item)


def _placed(item: Item, wished: dict[str, Any], slot: date | None, doer: Doer) -> None:
    """Turn readings without offset into instants, by the zone that comes with them or that of the request."""
    for name, zone_name in (("Start", "StartTimeZone"), ("End", "EndTimeZone")):
        if wished.get(name) is not None:
            wished[name] = _instant(wished[name], wished.get(zone_name) or wished.get("StartTimeZone") or doer.zone)


def _change_whole(item: Item, wished: dict[str, Any]) -> None:
    before = item.values
    after = {**before, **wished}
    after = {name: value for name, value in after.items() if value is not None}
    if item.kind == "CalendarItem":
        after = {**{name: value for name, value in DEFAULTS["CalendarItem"].items() if name not in after}, **after}
        after.setdefault("StartTimeZone", UTC_ZONE)
        after.setdefault("EndTimeZone", after["StartTimeZone"])
        _follow_start(before, after, wished)
        _settle(after)
        if any(before.get(name) != after.get(name) for name in _TIMES):
            item.overrides.clear()
            item.deleted.clear()
    item.values = _with_attendees(before, after)


def _follow_start(before: Mapping[str, Any], after: dict[str, Any], wished: Mapping[str, Any]) -> None:
    """Let a series whose start moves to another day begin its pattern there, unless a pattern comes along."""
    pattern: calendar.Pattern | None = after.get("Recurrence")
    if pattern is None or wished.get("Recurrence") is not None or "Start" not in wished:
        return
    day = after["StartTimeZone"].local(after["Start"]).date()
    if day != pattern.start:
        moved = replace(pattern, start=day)
        after["Recurrence"] = replace(moved, start=calendar.first_day(moved))


def _with_attendees(before: Mapping[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """Keep what people answered where they stay invited."""
    answers = {one.person.address.lower(): one for name in ATTENDEE_LISTS for one in before.get(name) or ()}
    for name in ATTENDEE_LISTS:
        if name in after:
            after[name] = tuple(_answered(one, answers.get(one.person.address.lower())) for one in after[name])
    return after


def _answered(wished: Attendee, known_as: Attendee | None) -> Attendee:
    if known_as is None or wished.response != "Unknown":
        return wished
    return replace(wished, response=known_as.response, answered=known_as.answered)


def _change_occurrence(item: Item, slot: date, wished: dict[str, Any]) -> None:
    for name in _OF_THE_SERIES:
        if name in wished and wished[name] != item.values.get(name):
            raise Refused("ErrorInvalidPropertySet", "The property can only be set on the recurring master.")
        wished.pop(name, None)
    own = {**item.overrides.get(slot, {}), **wished}
    if "ExtendedProperty" in wished:
        own["ExtendedProperty"] = {**item.overrides.get(slot, {}).get("ExtendedProperty", {}), **wished["ExtendedProperty"]}
    by_pattern = calendar.original(item, slot)
    when = calendar.Span(own.get("Start") or by_pattern.start, own.get("End") or by_pattern.end)
    calendar.check_times(when, None, UTC_ZONE)
    if own.get("IsAllDayEvent", item.values["IsAllDayEvent"]):
        when = calendar.rounded(when, *_zones(item, own))
    if when != calendar.span(item, slot):
        calendar.check_boundary(item, slot, when)
    item.overrides[slot] = {**own, "Start": when.start, "End": when.end}


def _zones(item: Item, own: Mapping[str, Any]) -> tuple[Zone, Zone]:
    start = own.get("StartTimeZone") or calendar.zone_of_item(item)
    return start, own.get("EndTimeZone") or start


# --- taking away -------------------------------------------------------------------------------------------------


def remove(simulator: Simulator, item: Item, *, slot: date | None = None, doer: Doer = SOMEBODY, to_bin: bool = False) -> None:
    """Delete an item, or one occurrence. to_bin: it goes to Deleted Items, under another id. Raises Refused."""
    if slot is None:
        if to_bin and item.folder.distinguished != "deleteditems":
            move(simulator, item, item.folder.mailbox.at("deleteditems"), doer=doer)
            return
        item.folder.drop(item, simulator.clock.now())
        _tell(simulator, "DeletedEvent", item)
        return
    if len(calendar.slots(item)) == 1:
        remove(simulator, item, doer=doer, to_bin=to_bin)  # with its last occurrence a series is gone
        return
    item.deleted[slot] = calendar.original(item, slot).start
    item.overrides.pop(slot, None)
    note(simulator, item, doer)


def move(simulator: Simulator, item: Item, into: Folder, *, doer: Doer = SOMEBODY) -> Item:
    """Move an item to another folder: it has another id there."""
    old_id, old_folder = item_id(item), folder_id(item.folder)
    made = _copied(simulator, item, into, doer)
    item.folder.drop(item, simulator.clock.now())
    _tell(simulator, "MovedEvent", made, old_item=old_id, old_folder=old_folder)
    return made


def copy(simulator: Simulator, item: Item, into: Folder, *, doer: Doer = SOMEBODY) -> Item:
    """Copy an item with all its properties, hidden ones and UID too."""
    made = _copied(simulator, item, into, doer)
    _tell(simulator, "CopiedEvent", made, old_item=item_id(item), old_folder=folder_id(item.folder))
    return made


def _copied(simulator: Simulator, item: Item, into: Folder, doer: Doer) -> Item:
    into.made += 1
    now = simulator.clock.now().replace(microsecond=0)
    overrides = {slot: dict(own) for slot, own in item.overrides.items()}
    made = Item(into, into.made, item.kind, dict(item.values), item.created, now, modified_by=doer.name)
    made.overrides, made.deleted, made.is_spoilt = overrides, dict(item.deleted), item.is_spoilt
    into.touch(made)
    return made


def spoil(simulator: Simulator, item: Item, *, is_spoilt: bool = True) -> None:
    """Make an item one the server stumbles over, or a good one again, as a change of it."""
    item.is_spoilt = is_spoilt
    note(simulator, item, SOMEBODY)


def _tell(simulator: Simulator, kind: str, item: Item, *, old_item: str = "", old_folder: str = "") -> None:
    if not simulator.watchers:
        return
    folder, now = item.folder, simulator.clock.now()
    address = folder.mailbox.address
    told = Event(kind, address, folder_id(folder), item_id(item), change_key(item), now, old_item, old_folder)
    simulator.tell(told)
    if item.kind == "CalendarItem":
        simulator.tell(replace(told, kind="FreeBusyChangedEvent"))


# --- meetings ----------------------------------------------------------------------------------------------------


def attendees_of(values: Mapping[str, Any]) -> dict[str, Attendee]:
    """Give everyone invited, by address in lower case."""
    return {one.person.address.lower(): one for name in ATTENDEE_LISTS for one in values.get(name) or ()}


def invite(
    simulator: Simulator, item: Item, wish: str, before: Mapping[str, Any] | None = None, *, doer: Doer = SOMEBODY
) -> None:
    """Send what a wish such as SendToAllAndSaveCopy asks for. before: the values until now; None for a new meeting."""
    if wish == "SendToNone" or not delivery.is_organized_here(item):
        return
    now, earlier = attendees_of(item.values), attendees_of(before or {})
    chosen = {who for who in now if before is None or "Changed" not in wish or who not in earlier}
    if now and not item.values.get("MeetingRequestWasSent"):
        item.values["MeetingRequestWasSent"] = True
        chosen = set(now)
        item.folder.touch(item)
    for who in sorted(chosen):
        kind = "update" if who in earlier else "request"
        delivery.mail(simulator, item, who, kind)
        _receive(simulator, item, who, kind)
    for who in sorted(set(earlier) - set(now)):
        delivery.mail(simulator, item, who, "cancellation")
        _cancel(simulator, item, who)


def call_off(simulator: Simulator, item: Item, wish: str, *, slot: date | None = None) -> None:
    """Tell those invited that a meeting, or one occurrence, does not take place; from an attendee's copy: decline."""
    if wish == "SendToNone" or item.kind != "CalendarItem":
        return
    if not delivery.is_organized_here(item):
        respond(simulator, item, "Decline", sends=True)
        return
    for who in sorted(attendees_of(item.values)):
        delivery.mail(simulator, item, who, "cancellation", slot)
        _cancel(simulator, item, who, slot)


def respond(simulator: Simulator, item: Item, response: str, *, sends: bool, doer: Doer = SOMEBODY) -> None:
    """Answer an invitation: Accept, Tentative or Decline. The organizer's copy learns of it only by the mail."""
    me = item.folder.mailbox.address.lower()
    if response == "Decline":
        if item.number in item.folder.items:
            remove(simulator, item, doer=doer, to_bin=True)
    else:
        shown = item.values.get("IntendedFreeBusyStatus", "Busy") if response == "Accept" else "Tentative"
        now = simulator.clock.now().replace(microsecond=0)
        item.values |= {"MyResponseType": response, "LegacyFreeBusyStatus": shown, "AppointmentReplyTime": now}
        note(simulator, item, doer)
    if not sends:
        return
    organizer = item.values["Organizer"].address
    delivery.respond_mail(simulator, item, organizer, response)
    theirs = delivery.copy_of(simulator, organizer, item.values["UID"])
    if theirs is not None:
        for name in ATTENDEE_LISTS:
            people = theirs.values.get(name) or ()
            theirs.values[name] = tuple(delivery.marked(one, me, response, simulator.clock.now()) for one in people)
        note(simulator, theirs, doer)


def _receive(simulator: Simulator, item: Item, who: str, kind: str) -> None:
    """Put a meeting into the calendar of someone invited, and the request into the inbox, as the server does by itself."""
    mailbox = simulator.mailboxes.get(who)
    if mailbox is None or not mailbox.is_enabled:
        return
    theirs = delivery.copy_of(simulator, who, item.values["UID"])
    values = delivery.received(item, theirs)
    if theirs is None:
        doer = Doer("Microsoft Exchange", known(mailbox.zone) or UTC_ZONE)
        theirs = put(simulator, mailbox.calendar, values, doer=doer)
        theirs.overrides, theirs.deleted = delivery.copied_occurrences(item)
        theirs.folder.touch(theirs)
    else:
        theirs.values = values
        theirs.overrides, theirs.deleted = delivery.copied_occurrences(item)
        note(simulator, theirs, Doer("Microsoft Exchange"))
    if mailbox.accepts:
        free = not delivery.clashes(theirs)
        respond(simulator, theirs, "Accept" if free else "Decline", sends=True, doer=Doer(mailbox.name))
        return
    request = delivery.request_values(item, theirs, kind)
    put(simulator, mailbox.at("inbox"), request, kind="MeetingRequest", event="NewMailEvent")


def _cancel(simulator: Simulator, item: Item, who: str, slot: date | None = None) -> None:
    theirs = delivery.copy_of(simulator, who, item.values["UID"])
    if theirs is None:
        return
    if slot is not None:
        remove(simulator, theirs, slot=slot, doer=Doer("Microsoft Exchange"))
        return
    theirs.values |= {
        "IsCancelled": True,
        "LegacyFreeBusyStatus": "Free",
        "Subject": f"Canceled: {theirs.values['Subject']}",
        "ReminderIsSet": False,
    }
    note(simulator, theirs, Doer("Microsoft Exchange"))
    cancellation = delivery.request_values(item, theirs, "cancellation")
    put(simulator, theirs.folder.mailbox.at("inbox"), cancellation, kind="MeetingCancellation", event="NewMailEvent")


# --- for tests and the control interface -------------------------------------------------------------------------


def all_day(day: date, days: int = 1) -> tuple[datetime, datetime]:
    """Give the wall clock readings of an all-day item."""
    return datetime.combine(day, time()), datetime.combine(day + timedelta(days=days), time())


def found(folder: Folder, test: Callable[[Item], bool]) -> Iterable[Item]:
    """Yield the items of a folder that pass a test, the latest changed last."""
    return (item for item in list(folder.items.values()) if test(item))
