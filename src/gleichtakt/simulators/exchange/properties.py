"""The properties of items: how each is called, what kind of value it has, who may set it, and where it is given.

`PROPERTIES` is the order of the schema. Values are kept under the element's name; what is not stored is computed from
the item by `COMPUTED`, so an answer never says what the item does not.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any

from lxml import etree

from gleichtakt.simulators.exchange import bodies, calendar, goid, rights
from gleichtakt.simulators.exchange.ids import change_key, folder_id, folder_key, item_id
from gleichtakt.simulators.exchange.soap import add, local, t
from gleichtakt.simulators.exchange.state import VERSIONS, Item, Refused
from gleichtakt.simulators.exchange.zones import (
    UTC_ZONE,
    Zone,
    definition,
    known,
    meeting_zone,
    read_definition,
    read_meeting_zone,
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


# --- writing -----------------------------------------------------------------------------------------------------


def written_time(instant: datetime, zone: Zone) -> str:
    """Write an instant: with Z, or with the offset it has in the zone of the request."""
    if zone is UTC_ZONE:
        return f"{instant.astimezone(UTC):%Y-%m-%dT%H:%M:%S}Z"
    text = instant.astimezone(zone.rules).replace(microsecond=0).isoformat()
    return text[:-6] + "Z" if text.endswith("+00:00") else text


def add_person(parent: etree._Element, person: Person, *, names_only: bool = False) -> None:
    """Append a Mailbox element."""
    made = add(parent, t("Mailbox"))
    add(made, t("Name"), person.name)
    if names_only:
        return
    add(made, t("EmailAddress"), person.address)
    add(made, t("RoutingType"), person.routing)
    add(made, t("MailboxType"), person.type)


def _write_text(parent: etree._Element, tag: str, value: Any, view: View) -> None:
    add(parent, tag, str(value))


def _write_bool(parent: etree._Element, tag: str, value: Any, view: View) -> None:
    add(parent, tag, "true" if value else "false")


def _write_time(parent: etree._Element, tag: str, value: Any, view: View) -> None:
    add(parent, tag, written_time(value, view.zone))


def _write_wall(parent: etree._Element, tag: str, value: Any, view: View) -> None:
    zone, instant = value
    add(parent, tag, written_time(instant, zone))


def _write_body(parent: etree._Element, tag: str, value: Any, view: View) -> None:
    given = value.given(view.body)
    add(parent, tag, given.text, BodyType=given.kind)


def _write_text_body(parent: etree._Element, tag: str, value: Any, view: View) -> None:
    add(parent, tag, value.given("Text").text, BodyType="Text", IsTruncated="false")


def _write_strings(parent: etree._Element, tag: str, value: Any, view: View) -> None:
    if value:
        made = add(parent, tag)
        for text in value:
            add(made, t("String"), text)


def _write_person(parent: etree._Element, tag: str, value: Any, view: View) -> None:
    add_person(add(parent, tag), value, names_only=view.names_only)


def _write_people(parent: etree._Element, tag: str, value: Any, view: View) -> None:
    made = add(parent, tag)
    for person in value:
        add_person(made, person)


def _write_attendees(parent: etree._Element, tag: str, value: Any, view: View) -> None:
    if not value:
        return
    made = add(parent, tag)
    for attendee in value:
        one = add(made, t("Attendee"))
        add_person(one, attendee.person)
        add(one, t("ResponseType"), attendee.response)
        if attendee.answered:
            add(one, t("LastResponseTime"), written_time(attendee.answered, view.zone))


def _write_id(parent: etree._Element, tag: str, value: Any, view: View) -> None:
    add(parent, tag, Id=item_id(view.item, view.slot, view.version), ChangeKey=change_key(view.item))


def _write_id_of(parent: etree._Element, tag: str, value: Any, view: View) -> None:
    add(parent, tag, Id=item_id(value, None, view.version), ChangeKey=change_key(value))


def _write_folder(parent: etree._Element, tag: str, value: Any, view: View) -> None:
    folder = view.item.folder
    add(parent, tag, Id=folder_id(folder, view.version), ChangeKey=folder_key(folder))


def _write_rights(parent: etree._Element, tag: str, value: Any, view: View) -> None:
    view.right.write(parent, tag, is_folder=False, tells_private=view.version >= "Exchange2010")


def _write_recurrence(parent: etree._Element, tag: str, value: Any, view: View) -> None:
    parent.append(calendar.write_pattern(value, calendar.zone_of_item(view.item)))


def _write_occurrence(parent: etree._Element, tag: str, slot: Any, view: View) -> None:
    made, when = add(parent, tag), calendar.span(view.item, slot)
    add(made, t("ItemId"), Id=item_id(view.item, slot, view.version), ChangeKey=change_key(view.item))
    add(made, t("Start"), written_time(when.start, view.zone))
    add(made, t("End"), written_time(when.end, view.zone))
    add(made, t("OriginalStart"), written_time(calendar.original(view.item, slot).start, view.zone))


def _write_occurrences(parent: etree._Element, tag: str, value: Any, view: View) -> None:
    if value:
        made = add(parent, tag)
        for slot in value:
            _write_occurrence(made, t("Occurrence"), slot, view)


def _write_deleted(parent: etree._Element, tag: str, value: Any, view: View) -> None:
    if value:
        made = add(parent, tag)
        for slot in sorted(value):
            add(add(made, t("DeletedOccurrence")), t("Start"), written_time(value[slot], view.zone))


def _write_zone(parent: etree._Element, tag: str, value: Any, view: View) -> None:
    parent.append(definition(value, tag, view.year))


def _write_meeting_zone(parent: etree._Element, tag: str, value: Any, view: View) -> None:
    parent.append(meeting_zone(value, view.year))


_WRITERS: Mapping[str, Callable[[etree._Element, str, Any, View], None]] = {
    "text": _write_text,
    "bool": _write_bool,
    "time": _write_time,
    "wall": _write_wall,
    "body": _write_body,
    "text body": _write_text_body,
    "strings": _write_strings,
    "person": _write_person,
    "people": _write_people,
    "attendees": _write_attendees,
    "id of": _write_id_of,
    "recurrence": _write_recurrence,
    "occurrence": _write_occurrence,
    "occurrences": _write_occurrences,
    "deleted": _write_deleted,
    "zone": _write_zone,
    "meeting zone": _write_meeting_zone,
}
_WITHOUT_VALUE: Mapping[str, Callable[[etree._Element, str, Any, View], None]] = {
    "id": _write_id,
    "folder": _write_folder,
    "rights": _write_rights,
}


def is_given(one: Property, shape: Shape) -> bool:
    """Say whether a shape asks for a property."""
    if one.name in ("ItemId", "ExtendedProperty"):
        return True
    if shape.is_listing and "F" not in one.where:
        return False
    return one.name in shape.paths or shape.base[0] in one.where  # IdOnly, Default, AllProperties


@lru_cache(maxsize=256)
def _wanted(kind: str, version: str, shape: Shape) -> tuple[tuple[Property, str], ...]:
    """Give the properties a shape asks for that a version has, each with the name of its element."""
    return tuple((one, t(one.name)) for one in PROPERTIES[kind] if one.is_known(version) and is_given(one, shape))


def render(view: View, shape: Shape) -> etree._Element:
    """Write an item in a shape."""
    made = etree.Element(t(view.item.kind))
    for one, tag in _wanted(view.item.kind, view.version, shape):
        if one.kind == "extended":
            _write_extended(made, shape.extended, view)
        elif one.kind in _WITHOUT_VALUE:
            _WITHOUT_VALUE[one.kind](made, tag, None, view)
        elif (value := value_of(view, one.name)) is not None:
            _WRITERS[one.kind](made, tag, value, view)
    return made


# --- reading -----------------------------------------------------------------------------------------------------


def _text(element: etree._Element) -> str:
    return element.text or ""


def read_bool(text: str) -> bool:
    """Read an xs:boolean."""
    return text.strip() in ("true", "1", "True")


def read_time(text: str) -> datetime:
    """Read an xs:dateTime, naive where it has no offset. Raises Refused."""
    try:
        return datetime.fromisoformat(text.strip())
    except ValueError:
        raise Refused("ErrorSchemaValidation", f"The value '{text}' is no valid dateTime.") from None


def read_body(element: etree._Element) -> bodies.Body:
    """Read a Body element."""
    return bodies.stored(element.get("BodyType", "Text"), _text(element))


def _read_around(element: etree._Element) -> Person:
    return read_person(element.find(t("Mailbox")))


def read_person(mailbox: etree._Element | None) -> Person:
    """Read a Mailbox element. Raises Refused."""
    address = mailbox.findtext(t("EmailAddress")) if mailbox is not None else None
    if mailbox is None or not address:
        raise Refused("ErrorMissingInformationEmailAddress", "The e-mail address is missing.")
    return Person(mailbox.findtext(t("Name")) or address, address, mailbox.findtext(t("RoutingType")) or "SMTP")


def read_attendees(element: etree._Element) -> tuple[Attendee, ...]:
    """Read a list of attendees. What they answered is not for the client to say."""
    return tuple(Attendee(_read_around(one)) for one in element.iterfind(t("Attendee")))


def _read_people(element: etree._Element) -> tuple[Person, ...]:
    return tuple(read_person(one) for one in element.iterfind(t("Mailbox")))


def _read_strings(element: etree._Element) -> tuple[str, ...]:
    return tuple(_text(one) for one in element.iterfind(t("String")))


_READERS: Mapping[str, Callable[[etree._Element], Any]] = {
    "text": _text,
    "bool": lambda element: read_bool(_text(element)),
    "time": lambda element: read_time(_text(element)),
    "body": read_body,
    "strings": _read_strings,
    "person": _read_around,
    "people": _read_people,
    "attendees": read_attendees,
    "recurrence": calendar.read_pattern,
    "zone": read_definition,
    "meeting zone": read_meeting_zone,
}


def read_value(kind: str, element: etree._Element) -> tuple[str, Any]:
    """Read a property's element: the name it is kept under, and its value. Raises Refused for what cannot be set."""
    one = named(kind, local(element))
    if one is None or "w" not in one.where:
        raise Refused(
            "ErrorInvalidPropertySet", "Set action is invalid for property.", {"FieldURI": one.uri if one else local(element)}
        )
    return ("StartTimeZone" if one.name == "MeetingTimeZone" else one.name), _READERS[one.kind](element)


# --- extended properties -----------------------------------------------------------------------------------------

SETS: Mapping[str, str] = {
    "Meeting": "6ed8da90-450b-101b-98da-00aa003f1305",
    "Appointment": "00062002-0000-0000-c000-000000000046",
    "Common": "00062008-0000-0000-c000-000000000046",
    "PublicStrings": "00020329-0000-0000-c000-000000000046",
    "Address": "00062004-0000-0000-c000-000000000046",
    "InternetHeaders": "00020386-0000-0000-c000-000000000046",
    "CalendarAssistant": "11000e07-b51b-40d6-af21-caa85edab1d0",
    "UnifiedMessaging": "4442858e-a9e3-4e80-b900-317a210cc15b",
    "Task": "00062003-0000-0000-c000-000000000046",
    "Sharing": "00062040-0000-0000-c000-000000000046",
}
_GLOBAL_ID = (SETS["Meeting"], "3", "Binary")
_CLEAN_GLOBAL_ID = (SETS["Meeting"], "35", "Binary")


def read_uri(element: etree._Element) -> Uri:
    """Read an ExtendedFieldURI. Raises Refused."""
    attributes = tuple(sorted((str(name), str(value)) for name, value in element.attrib.items()))
    given, kind = dict(attributes), element.get("PropertyType", "")
    if tag := given.get("PropertyTag"):
        return Uri(("tag", str(int(tag, 0)), kind), attributes)
    guid = given.get("PropertySetId", "").lower().strip("{}") or SETS.get(given.get("DistinguishedPropertySetId", ""), "")
    name = f"name {given['PropertyName']}" if "PropertyName" in given else given.get("PropertyId", "")
    if not guid or not name or not kind:
        raise Refused("ErrorInvalidExtendedProperty", "The extended property attribute combination is invalid.")
    return Uri((guid, name, kind), attributes)


def read_extended(element: etree._Element) -> tuple[Uri, tuple[str, ...]]:
    """Read an ExtendedProperty: its URI and its values, in one spelling per value. Raises Refused."""
    named_by = element.find(t("ExtendedFieldURI"))
    if named_by is None:
        raise Refused("ErrorInvalidExtendedProperty", "The extended property has no URI.")
    uri = read_uri(named_by)
    many = element.find(t("Values"))
    if (many is not None) != uri.type.endswith("Array"):
        raise Refused("ErrorInvalidExtendedPropertyValue", "The value does not match the type of the property.")
    texts = [_text(one) for one in many] if many is not None else [element.findtext(t("Value")) or ""]
    return uri, tuple(_normal(uri.type.removesuffix("Array"), text) for text in texts)


def _normal(kind: str, text: str) -> str:
    try:
        if kind in ("Integer", "Short", "Long"):
            return str(int(text))
        if kind == "Boolean":
            return "true" if read_bool(text) else "false"
        if kind == "Binary":
            return base64.b64encode(base64.b64decode(text, validate=True)).decode()
        if kind in ("SystemTime", "ApplicationTime"):
            return written_time(_aware(read_time(text)), UTC_ZONE)
    except (ValueError, binascii.Error, Refused):
        raise Refused("ErrorInvalidExtendedPropertyValue", "The value does not match the type of the property.") from None
    return text


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def extended_of(view: View, uri: Uri) -> tuple[str, ...] | None:
    """Give the values of an extended property, of those the server makes itself too; None where it is absent."""
    if view.item.kind == "CalendarItem" and uri.key in (_GLOBAL_ID, _CLEAN_GLOBAL_ID):
        day = view.slot if uri.key == _GLOBAL_ID else None
        return (base64.b64encode(goid.of_uid(view.get("UID") or "", day)).decode(),)
    own = view.item.overrides.get(view.slot, {}).get("ExtendedProperty", {}) if view.slot else {}
    found: tuple[str, ...] | None = {**(view.item.values.get("ExtendedProperty") or {}), **own}.get(uri)
    return found


def _write_extended(parent: etree._Element, wished: tuple[Uri, ...], view: View) -> None:
    for uri in wished:
        values = None if view.is_blank else extended_of(view, uri)
        if values is None:
            continue
        made = add(parent, t("ExtendedProperty"))
        add(made, t("ExtendedFieldURI"), None, **dict(uri.attributes))
        into = add(made, t("Values")) if uri.type.endswith("Array") else made
        for value in values:
            add(into, t("Value"), value)


def known_zone(windows_id: str) -> Zone:
    """Give the zone of a TimeZoneContext. Raises Refused."""
    found = known(windows_id) if windows_id else UTC_ZONE
    if found is None:
        raise Refused("ErrorTimeZone", "The specified time zone isn't valid.")
    return found
