"""The properties of items: how each is called, what kind of value it has, who may set it, and where it is given.

`PROPERTIES` is the order of the schema. Values are kept under the element's name; what is not stored is computed from
the item by `COMPUTED`, so an answer never says what the item does not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from gleichtakt.simulators.exchange import bodies, calendar, rights
from gleichtakt.simulators.exchange.state import VERSIONS, Item
from gleichtakt.simulators.exchange.zones import (
    UTC_ZONE,
    Zone,
    write_duration,
)


@dataclass(frozen=True, slots=True)
class Person:
    """A mailbox as it is written into items."""

    name: str
    address: str
    routing: str = "SMTP"
    type: str = "Mailbox"


@dataclass(frozen=True, slots=True)
class Attendee:
    """Someone invited. answered: when."""

    person: Person
    response: str = "Unknown"
    answered: datetime | None = None


@dataclass(frozen=True, slots=True)
class Shape:
    """What of an item is asked for. paths: names of further properties; extended: URIs of extended ones.

    is_listing: asked by FindItem or SyncFolderItems, which give less.
    """

    base: str = "AllProperties"
    body: str = "Best"
    paths: frozenset[str] = frozenset()
    extended: tuple[Uri, ...] = ()
    is_listing: bool = False


@dataclass(frozen=True, slots=True)
class Uri:
    """An extended property. attributes: as the client writes them, which is how they are answered."""

    key: tuple[str, ...]
    attributes: tuple[tuple[str, str], ...] = field(compare=False, default=())

    @property
    def type(self) -> str:
        """The MAPI type, such as String or BinaryArray."""
        return self.key[-1]


@dataclass(frozen=True, slots=True)
class View:
    """An item, or one occurrence of it, as somebody may see it. zone: in which times are written. right: of the reader.

    names_only: people without addresses, as listings give them.
    """

    item: Item
    slot: date | None = None
    version: str = VERSIONS[-1]
    zone: Zone = UTC_ZONE
    right: rights.Right = rights.OWNER
    body: str = "Best"
    names_only: bool = False

    @property
    def is_blank(self) -> bool:
        """Whether the reader may not see what a private item is about."""
        return not self.right.sees_private and self.get("Sensitivity") == "Private"

    def get(self, name: str) -> Any:
        """Give a stored value."""
        return self.item.get(name, self.slot)

    @property
    def is_exception(self) -> bool:
        """Whether it is an occurrence with something of its own."""
        return self.slot is not None and self.slot in self.item.overrides

    @property
    def span(self) -> calendar.Span:
        """When it is."""
        return calendar.span(self.item, self.slot)

    @property
    def year(self) -> int:
        """The year by which zones are described."""
        return int(self.span.start.year)


@dataclass(frozen=True, slots=True)
class Property:
    """One property. since: version it came with; until: version that no longer gives it.

    where: w can be set, n cannot be deleted, D given in Default, A in AllProperties, F in listings, S can be searched by.
    """

    name: str
    prefix: str
    kind: str = "text"
    where: str = "wAFS"
    since: str = "Exchange2007"
    until: str = ""

    @property
    def uri(self) -> str:
        """The FieldURI."""
        return f"{self.prefix}:{self.name}"

    def is_known(self, version: str) -> bool:
        """Say whether a version has it."""
        rank = VERSIONS.index(version)
        return VERSIONS.index(self.since) <= rank and (not self.until or rank < VERSIONS.index(self.until))


_ITEM = (
    Property("MimeContent", "item", "mime", "w"),
    Property("ItemId", "item", "id", "ADF"),
    Property("ParentFolderId", "item", "folder", "AF"),
    Property("ItemClass", "item", "text", "wnAFS"),
    Property("Subject", "item", "text", "wADFS"),
    Property("Sensitivity", "item", "text", "wnAFS"),
    Property("Body", "item", "body", "wA"),
    Property("DateTimeReceived", "item", "time", "AFS"),
    Property("Size", "item", "text", "AFS"),
    Property("Categories", "item", "strings", "wAFS"),
    Property("Importance", "item", "text", "wnAFS"),
    Property("InReplyTo", "item", "text", "wAS"),
    Property("IsSubmitted", "item", "bool", "AF"),
    Property("IsDraft", "item", "bool", "AFS"),
    Property("IsFromMe", "item", "bool", "AF"),
    Property("IsResend", "item", "bool", "AF"),
    Property("IsUnmodified", "item", "bool", "AF"),
    Property("DateTimeSent", "item", "time", "AFS"),
    Property("DateTimeCreated", "item", "time", "AFS"),
    Property("ReminderDueBy", "item", "time", "wAFS"),
    Property("ReminderIsSet", "item", "bool", "wnAFS"),
    Property("ReminderNextTime", "item", "time", "AF", "Exchange2013"),
    Property("ReminderMinutesBeforeStart", "item", "text", "wAFS"),
    Property("DisplayCc", "item", "text", "AFS"),
    Property("DisplayTo", "item", "text", "AFS"),
    Property("HasAttachments", "item", "bool", "ADFS"),
    Property("ExtendedProperty", "item", "extended", "w"),
    Property("Culture", "item", "text", "wAF"),
    Property("EffectiveRights", "item", "rights", "A"),
    Property("LastModifiedName", "item", "text", "AFS"),
    Property("LastModifiedTime", "item", "time", "AFS"),
    Property("IsAssociated", "item", "bool", "AF", "Exchange2010"),
    Property("TextBody", "item", "text body", "", "Exchange2013"),
)
_MESSAGE = (
    Property("Sender", "message", "person", "wADF"),
    Property("ToRecipients", "message", "people", "wAD"),
    Property("From", "message", "person", "wADF"),
    Property("IsRead", "message", "bool", "wADFS"),
)
_MEETING = (
    Property("AssociatedCalendarItemId", "meeting", "id of", "AD"),
    Property("IsDelegated", "meeting", "bool", "AD"),
    Property("IsOutOfDate", "meeting", "bool", "AD"),
    Property("HasBeenProcessed", "meeting", "bool", "AD"),
    Property("ResponseType", "meeting", "text", "AD"),
    Property("UID", "calendar", "text", "AD", "Exchange2007_SP1"),
)
_CALENDAR = (
    Property("UID", "calendar", "text", "wAF", "Exchange2007_SP1"),
    Property("RecurrenceId", "calendar", "time", "AF", "Exchange2007_SP1"),
    Property("DateTimeStamp", "calendar", "time", "A", "Exchange2007_SP1"),
    Property("Start", "calendar", "time", "wnADFS"),
    Property("End", "calendar", "time", "wnADFS"),
    Property("OriginalStart", "calendar", "time", "AFS"),
    Property("IsAllDayEvent", "calendar", "bool", "wnAFS"),
    Property("LegacyFreeBusyStatus", "calendar", "text", "wnADFS"),
    Property("Location", "calendar", "text", "wADFS"),
    Property("When", "calendar", "text", "wAFS"),
    Property("IsMeeting", "calendar", "bool", "AFS"),
    Property("IsCancelled", "calendar", "bool", "AFS"),
    Property("IsRecurring", "calendar", "bool", "ADFS"),
    Property("MeetingRequestWasSent", "calendar", "bool", "AFS"),
    Property("IsResponseRequested", "calendar", "bool", "wAF"),
    Property("CalendarItemType", "calendar", "text", "ADFS"),
    Property("MyResponseType", "calendar", "text", "AFS"),
    Property("Organizer", "calendar", "person", "ADFS"),
    Property("RequiredAttendees", "calendar", "attendees", "wAD"),
    Property("OptionalAttendees", "calendar", "attendees", "wAD"),
    Property("Resources", "calendar", "attendees", "wAD"),
    Property("Duration", "calendar", "text", "AFS"),
    Property("TimeZone", "calendar", "text", "AF"),
    Property("AppointmentReplyTime", "calendar", "time", "AFS"),
    Property("AppointmentSequenceNumber", "calendar", "text", "AFS"),
    Property("AppointmentState", "calendar", "text", "AFS"),
    Property("Recurrence", "calendar", "recurrence", "wAD"),
    Property("FirstOccurrence", "calendar", "occurrence", "AD"),
    Property("LastOccurrence", "calendar", "occurrence", "AD"),
    Property("ModifiedOccurrences", "calendar", "occurrences", "AD"),
    Property("DeletedOccurrences", "calendar", "deleted", "AD"),
    Property("MeetingTimeZone", "calendar", "meeting zone", "wA", until="Exchange2010"),
    Property("StartTimeZone", "calendar", "zone", "wA", "Exchange2010"),
    Property("EndTimeZone", "calendar", "zone", "wA", "Exchange2010"),
    Property("ConferenceType", "calendar", "text", "wAFS"),
    Property("AllowNewTimeProposal", "calendar", "bool", "wAF"),
    Property("IsOnlineMeeting", "calendar", "bool", "wAF"),
    Property("MeetingWorkspaceUrl", "calendar", "text", "wAF"),
    Property("NetShowUrl", "calendar", "text", "wAF"),
    Property("StartWallClock", "calendar", "wall", "AF", "Exchange2013"),
    Property("EndWallClock", "calendar", "wall", "AF", "Exchange2013"),
    Property("StartTimeZoneId", "calendar", "text", "AF", "Exchange2013"),
    Property("EndTimeZoneId", "calendar", "text", "AF", "Exchange2013"),
    Property("IntendedFreeBusyStatus", "calendar", "text", "w", "Exchange2013"),
    Property("IsOrganizer", "calendar", "bool", "AF", "Exchange2013"),
)
_REQUEST_NAMES = frozenset({"Start", "End", "IsAllDayEvent", "Location", "CalendarItemType", "Organizer", "RequiredAttendees"})
#: By element of the item, in the order of the schema.
PROPERTIES: Mapping[str, tuple[Property, ...]] = {
    "CalendarItem": _ITEM + _CALENDAR,
    "Message": _ITEM + _MESSAGE,
    "MeetingRequest": _ITEM + _MESSAGE + _MEETING + tuple(one for one in _CALENDAR if one.name in _REQUEST_NAMES),
    "MeetingCancellation": _ITEM + _MESSAGE + _MEETING,
    "MeetingResponse": _ITEM + _MESSAGE + _MEETING,
    "Item": _ITEM,
}
_BY_NAME = {kind: {one.name: one for one in properties} for kind, properties in PROPERTIES.items()}
CLASSES = {
    "CalendarItem": "IPM.Appointment",
    "Message": "IPM.Note",
    "MeetingRequest": "IPM.Schedule.Meeting.Request",
    "MeetingCancellation": "IPM.Schedule.Meeting.Canceled",
    "MeetingResponse": "IPM.Schedule.Meeting.Resp.Pos",
    "Item": "IPM.Note",
}
ATTENDEE_LISTS = ("RequiredAttendees", "OptionalAttendees", "Resources")
#: What a reader without the right does not see of a private item.
_PRIVATE = frozenset(
    {"Body", "TextBody", "Categories", "Location", "When", "DisplayTo", "DisplayCc", "Organizer", *ATTENDEE_LISTS}
)


def named(kind: str, name: str) -> Property | None:
    """Give a property of a kind of item."""
    return _BY_NAME[kind].get(name)


# --- what is computed --------------------------------------------------------------------------------------------


def _kind_of(view: View) -> str:
    if calendar.pattern_of(view.item) is None:
        return "Single"
    if view.slot is None:
        return "RecurringMaster"
    return "Exception" if view.is_exception else "Occurrence"


def _is_recurring(view: View) -> bool:
    """False on the master in the organizer's calendar, true on the attendee's: Exchange has always done so."""
    if calendar.pattern_of(view.item) is None:
        return False
    return view.slot is not None or not _is_organizer(view)


def _is_organizer(view: View) -> bool:
    organizer: Person | None = view.get("Organizer")
    return organizer is None or organizer.address.lower() == view.item.folder.mailbox.address.lower()


def _organizer(view: View) -> Person:
    found: Person | None = view.get("Organizer")
    mailbox = view.item.folder.mailbox
    return found or Person(mailbox.name, mailbox.address)


def _required(view: View) -> tuple[Attendee, ...]:
    """The organizer stands among them as soon as invitations went out."""
    people: tuple[Attendee, ...] = view.get("RequiredAttendees") or ()
    if not view.get("MeetingRequestWasSent") and _is_organizer(view):
        return people
    organizer = _organizer(view)
    others = tuple(one for one in people if one.person.address.lower() != organizer.address.lower())
    return (Attendee(organizer, "Organizer"), *others)


def _invited(view: View) -> list[Attendee]:
    return [one for name in ATTENDEE_LISTS for one in view.get(name) or ()]


def _original_start(view: View) -> datetime | None:
    return calendar.original(view.item, view.slot).start if view.slot else None


def _first(view: View) -> date | None:
    found = calendar.slots(view.item) if view.slot is None else []
    return found[0] if found else None


def _last(view: View) -> date | None:
    pattern = calendar.pattern_of(view.item)
    endless = pattern is None or (pattern.end is None and pattern.number is None)
    found = calendar.slots(view.item) if view.slot is None and not endless else []
    return found[-1] if found else None


def _zone_name(view: View) -> str | None:
    zone: Zone | None = view.get("StartTimeZone")
    return zone.name or zone.id if zone else None


def _names(view: View, *lists: str) -> str:
    return "; ".join(one.person.name for name in lists for one in view.get(name) or ())


def _state(view: View) -> str:
    if not _invited(view) and _is_organizer(view):
        return "0"
    return str(1 + (0 if _is_organizer(view) else 2) + (4 if view.get("IsCancelled") else 0))


def _zone_id(view: View, name: str) -> str | None:
    zone: Zone | None = view.get(name)
    return zone.id if zone else None


def _master_only(view: View, value: Any) -> Any:
    return None if view.slot else value


def _before(view: View) -> datetime | None:
    if not view.get("ReminderIsSet"):
        return None
    return view.span.start - timedelta(minutes=int(view.get("ReminderMinutesBeforeStart") or 0))


def _size(view: View) -> str:
    body: bodies.Body | None = view.get("Body")
    return str(512 + 2 * len(body.text if body else "") + 2 * len(view.get("Subject") or ""))


#: Property -> how its value comes about where it is not simply stored.
COMPUTED: Mapping[str, Callable[[View], Any]] = {
    "Subject": lambda view: "Private Appointment" if view.is_blank else view.get("Subject"),
    "DateTimeReceived": lambda view: view.item.created,
    "DateTimeSent": lambda view: view.item.created,
    "DateTimeCreated": lambda view: view.item.created,
    "DateTimeStamp": lambda view: view.get("DateTimeStamp") or view.item.created,
    "LastModifiedTime": lambda view: view.item.modified,
    "LastModifiedName": lambda view: view.item.modified_by,
    "Size": _size,
    "IsSubmitted": lambda view: False,
    "IsDraft": lambda view: False,
    "IsFromMe": lambda view: False,
    "IsResend": lambda view: False,
    "IsUnmodified": lambda view: False,
    "IsAssociated": lambda view: False,
    "HasAttachments": lambda view: False,
    "ReminderDueBy": lambda view: view.get("ReminderDueBy") or (view.span.start if view.item.kind == "CalendarItem" else None),
    "ReminderNextTime": _before,
    "DisplayTo": lambda view: _names(view, "RequiredAttendees", "Resources"),
    "DisplayCc": lambda view: _names(view, "OptionalAttendees"),
    "TextBody": lambda view: view.get("Body"),
    "Start": lambda view: view.span.start,
    "End": lambda view: view.span.end,
    "RecurrenceId": _original_start,
    "OriginalStart": _original_start,
    "IsMeeting": lambda view: bool(_invited(view)) or not _is_organizer(view),
    "IsRecurring": _is_recurring,
    "IsOrganizer": _is_organizer,
    "CalendarItemType": _kind_of,
    "MyResponseType": lambda view: "Organizer" if _is_organizer(view) else view.get("MyResponseType") or "NoResponseReceived",
    "Organizer": _organizer,
    "RequiredAttendees": _required,
    "Duration": lambda view: write_duration(view.span.end - view.span.start),
    "TimeZone": _zone_name,
    "AppointmentState": _state,
    "Recurrence": lambda view: _master_only(view, calendar.pattern_of(view.item)),
    "FirstOccurrence": _first,
    "LastOccurrence": _last,
    "ModifiedOccurrences": lambda view: _master_only(view, sorted(view.item.overrides)),
    "DeletedOccurrences": lambda view: _master_only(view, view.item.deleted),
    "MeetingTimeZone": lambda view: view.get("StartTimeZone"),
    "StartWallClock": lambda view: (view.get("StartTimeZone") or UTC_ZONE, view.span.start),
    "EndWallClock": lambda view: (view.get("EndTimeZone") or UTC_ZONE, view.span.end),
    "StartTimeZoneId": lambda view: _zone_id(view, "StartTimeZone"),
    "EndTimeZoneId": lambda view: _zone_id(view, "EndTimeZone"),
}


def value_of(view: View, name: str) -> Any:
    """Give the value a property has for a reader; None where there is none."""
    if view.is_blank and name in _PRIVATE:
        return None
    compute = COMPUTED.get(name)
    return compute(view) if compute else view.get(name)
