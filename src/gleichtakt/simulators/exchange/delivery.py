"""The mails a simulated Exchange sends, and what of a meeting arrives in the mailboxes of those invited.

Custom properties, categories and reminders stay with the organizer; what somebody did to the own copy stays there.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime
from typing import Any

from gleichtakt.simulators.exchange import calendar
from gleichtakt.simulators.exchange.properties import ATTENDEE_LISTS, Attendee, Person
from gleichtakt.simulators.exchange.state import Item, Simulator

_OWN = ("Categories", "ExtendedProperty", "ReminderIsSet", "ReminderMinutesBeforeStart", "ReminderDueBy", "Culture")
_ANSWER = ("MyResponseType", "LegacyFreeBusyStatus", "AppointmentReplyTime")
_TIMES = ("Start", "End", "IsAllDayEvent", "Recurrence")


def is_organized_here(item: Item) -> bool:
    """Say whether an item belongs to the mailbox it lies in, rather than being somebody's copy."""
    organizer: Person | None = item.values.get("Organizer")
    return organizer is None or organizer.address.lower() == item.folder.mailbox.address.lower()


def mail(simulator: Simulator, item: Item, to: str, kind: str, slot: date | None = None) -> None:
    """Note a mail that goes out. kind: request, update, cancellation or response."""
    entry: dict[str, Any] = {
        "from": item.folder.mailbox.address,
        "to": to,
        "kind": kind,
        "uid": item.values.get("UID", ""),
        "subject": item.values.get("Subject", ""),
        "at": simulator.clock.now().isoformat(),
    }
    simulator.outbox.append(entry | ({"recurrence_id": slot.isoformat()} if slot else {}))


def respond_mail(simulator: Simulator, item: Item, organizer: str, response: str) -> None:
    """Note an answer to an invitation."""
    mail(simulator, item, organizer, "response")
    simulator.outbox[-1]["response"] = response


def copy_of(simulator: Simulator, address: str, uid: str) -> Item | None:
    """Give the item with a UID in somebody's calendar."""
    mailbox = simulator.mailboxes.get(address.lower())
    if mailbox is None or not mailbox.is_enabled:
        return None
    return next((one for one in mailbox.calendar.items.values() if one.values.get("UID") == uid), None)


def received(item: Item, theirs: Item | None) -> dict[str, Any]:
    """Give the values of a copy. theirs: the one they have; its answer stands unless the meeting is at another time."""
    mailbox = item.folder.mailbox
    values = {name: value for name, value in item.values.items() if name not in _OWN}
    values |= {"Organizer": Person(mailbox.name, mailbox.address), "MeetingRequestWasSent": True, "IsCancelled": False}
    values |= {"IntendedFreeBusyStatus": item.values["LegacyFreeBusyStatus"]}
    fresh = {"MyResponseType": "NoResponseReceived", "LegacyFreeBusyStatus": "Tentative"}
    if theirs is None:
        return values | fresh
    values |= {name: theirs.values[name] for name in _OWN if name in theirs.values}
    if any(theirs.values.get(name) != item.values.get(name) for name in _TIMES):
        return values | fresh
    return values | {name: theirs.values[name] for name in _ANSWER if name in theirs.values}


def copied_occurrences(item: Item) -> tuple[dict[date, dict[str, Any]], dict[date, datetime]]:
    """Give what single occurrences of a series have of their own, without what stays with the organizer."""
    overrides = {slot: {k: v for k, v in own.items() if k not in _OWN} for slot, own in item.overrides.items()}
    return overrides, dict(item.deleted)


def request_values(item: Item, theirs: Item, kind: str) -> Mapping[str, Any]:
    """Give the values of the mail in the inbox."""
    mailbox = item.folder.mailbox
    sender = Person(mailbox.name, mailbox.address)
    prefix = "Canceled: " if kind == "cancellation" else ""
    return {
        "Subject": prefix + item.values["Subject"],
        "Sensitivity": item.values["Sensitivity"],
        "Importance": "Normal",
        "Sender": sender,
        "From": sender,
        "ToRecipients": tuple(one.person for name in ATTENDEE_LISTS for one in item.values.get(name) or ()),
        "IsRead": False,
        "AssociatedCalendarItemId": theirs,
        "IsDelegated": False,
        "IsOutOfDate": False,
        "HasBeenProcessed": True,
        "ResponseType": "NoResponseReceived",
        "UID": item.values["UID"],
        **{name: item.values[name] for name in ("Start", "End", "IsAllDayEvent", "Location") if name in item.values},
        "Organizer": sender,
        "RequiredAttendees": item.values.get("RequiredAttendees", ()),
    }


def marked(attendee: Attendee, who: str, response: str, at: datetime) -> Attendee:
    """Note an answer with the attendee who gave it."""
    if attendee.person.address.lower() != who:
        return attendee
    return replace(attendee, response=response, answered=at.replace(microsecond=0))


def clashes(item: Item) -> bool:
    """Say whether something else in the calendar is at the same time: any occurrence, a year ahead."""
    others = [one for one in item.folder.items.values() if one is not item and one.kind == "CalendarItem"]
    spans = [calendar.span(item, slot) for slot in calendar.slots(item)[:60]] or [calendar.span(item)]
    return any(_busy(other, when) for when in spans for other in others)


def _busy(item: Item, when: calendar.Span) -> bool:
    if item.values.get("LegacyFreeBusyStatus") == "Free" or item.values.get("IsCancelled"):
        return False
    if calendar.pattern_of(item) is None:
        return calendar.touches(calendar.span(item), when.start, when.end)
    return next(calendar.slots_between(item, when.start, when.end), None) is not None
