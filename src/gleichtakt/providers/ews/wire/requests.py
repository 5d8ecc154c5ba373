"""One function per operation: the body of the request, to be wrapped by `soap.envelope`. Pure.

The prefixes `m` and `t` are those of the envelope. The order of elements is the schema's; a server refuses any other.
Nothing is ever sent to attendees unless `mail` says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from gleichtakt.providers.ews.wire.ids import FolderRef, ItemRef, Property
from gleichtakt.providers.ews.wire.marks import DONE, FOREIGN_MARKS, KEY, MARK
from gleichtakt.providers.ews.wire.names import knows
from gleichtakt.providers.ews.wire.soap import attribute, text
from gleichtakt.providers.protocol import Mail, OutOfOffice

MOST_CHANGES: Final = 512  # the schema's limit for one page of SyncFolderItems


# --- shapes -------------------------------------------------------------------------------------------------------

ID_ONLY: Final = "<t:BaseShape>IdOnly</t:BaseShape>"

#: What `items.read_item` looks at, by the version that brought it.
ITEM_FIELDS: Final[Mapping[str, tuple[str, ...]]] = {
    "Exchange2007_SP1": (
        "item:Subject",
        "item:Sensitivity",
        "item:Categories",
        "item:ReminderIsSet",
        "item:ReminderMinutesBeforeStart",
        "item:LastModifiedTime",
        "calendar:UID",
        "calendar:Start",
        "calendar:End",
        "calendar:OriginalStart",
        "calendar:IsAllDayEvent",
        "calendar:LegacyFreeBusyStatus",
        "calendar:Location",
        "calendar:IsCancelled",
        "calendar:CalendarItemType",
        "calendar:MyResponseType",
        "calendar:Organizer",
        "calendar:RequiredAttendees",
        "calendar:OptionalAttendees",
        "calendar:Resources",
        "calendar:Recurrence",
        "calendar:ModifiedOccurrences",
        "calendar:DeletedOccurrences",
        "calendar:MeetingTimeZone",
    ),
    "Exchange2010": ("calendar:StartTimeZone", "calendar:EndTimeZone"),
    "Exchange2013": ("calendar:JoinOnlineMeetingUrl",),
}
BODY: Final = "item:Body"


def _fields(names: Iterable[str], properties: Iterable[Property] = ()) -> str:
    paths = "".join(f'<t:FieldURI FieldURI="{name}"/>' for name in names)
    return paths + "".join(each.write() for each in properties)


def item_shape(version: str) -> str:
    """Give the shape of a calendar item as `items.read_item` wants it; the body as it is stored, HTML or text."""
    known = [name for since, names in ITEM_FIELDS.items() if knows(version, since) for name in names]
    more = _fields([*known, BODY], (MARK, KEY, DONE, *FOREIGN_MARKS))
    return f"{ID_ONLY}<t:BodyType>Best</t:BodyType><t:AdditionalProperties>{more}</t:AdditionalProperties>"


def shape_of(names: Iterable[str] = (), properties: Iterable[Property] = ()) -> str:
    """Give a shape of the id and some fields."""
    more = _fields(names, properties)
    return ID_ONLY + (f"<t:AdditionalProperties>{more}</t:AdditionalProperties>" if more else "")


# --- folders ------------------------------------------------------------------------------------------------------

FOLDER_FIELDS: Final = (
    "folder:DisplayName",
    "folder:FolderClass",
    "folder:ParentFolderId",
    "folder:TotalCount",
    "folder:EffectiveRights",
)


def _folders(folders: Iterable[FolderRef]) -> str:
    return "".join(each.write() for each in folders)


def get_folder(folders: Sequence[FolderRef], fields: Sequence[str] = FOLDER_FIELDS) -> bytes:
    """Ask for folders: name, class, size, and what the caller may do there."""
    return (
        f"<m:GetFolder><m:FolderShape>{shape_of(fields)}</m:FolderShape>"
        f"<m:FolderIds>{_folders(folders)}</m:FolderIds></m:GetFolder>"
    ).encode()


def find_folder(
    parent: FolderRef, *, deep: bool = True, offset: int = 0, most: int = 500, fields: Sequence[str] = FOLDER_FIELDS
) -> bytes:
    """Ask for the calendars below a folder, page by page."""
    is_calendar = (
        '<t:IsEqualTo><t:FieldURI FieldURI="folder:FolderClass"/>'
        '<t:FieldURIOrConstant><t:Constant Value="IPF.Appointment"/></t:FieldURIOrConstant></t:IsEqualTo>'
    )
    return (
        f'<m:FindFolder Traversal="{"Deep" if deep else "Shallow"}"><m:FolderShape>{shape_of(fields)}</m:FolderShape>'
        f'<m:IndexedPageFolderView MaxEntriesReturned="{most}" Offset="{offset}" BasePoint="Beginning"/>'
        f"<m:Restriction>{is_calendar}</m:Restriction><m:ParentFolderIds>{parent.write()}</m:ParentFolderIds></m:FindFolder>"
    ).encode()


# --- reading items ------------------------------------------------------------------------------------------------


def sync_folder_items(folder: FolderRef, state: str = "", most: int = MOST_CHANGES, *, with_type: bool = False) -> bytes:
    """Ask what changed in a folder since a state, or for everything without one; ids only, the rest is left out anyway.

    with_type: tell series apart from single items.
    """
    shape = shape_of(["calendar:CalendarItemType"]) if with_type else ID_ONLY
    since = f"<m:SyncState>{text(state)}</m:SyncState>" if state else ""
    return (
        f"<m:SyncFolderItems><m:ItemShape>{shape}</m:ItemShape><m:SyncFolderId>{folder.write()}</m:SyncFolderId>{since}"
        f"<m:MaxChangesReturned>{most}</m:MaxChangesReturned></m:SyncFolderItems>"
    ).encode()


def get_item(items: Sequence[ItemRef], shape: str) -> bytes:
    """Ask for items in a shape; Microsoft advises ten at a time."""
    ids = "".join(each.write() for each in items)
    return f"<m:GetItem><m:ItemShape>{shape}</m:ItemShape><m:ItemIds>{ids}</m:ItemIds></m:GetItem>".encode()


@dataclass(frozen=True, slots=True)
class Paged:
    """Masters and single items, page by page. offset: of the first."""

    offset: int = 0
    most: int = 500

    def write(self) -> str:
        """Give the element."""
        return f'<m:IndexedPageItemView MaxEntriesReturned="{self.most}" Offset="{self.offset}" BasePoint="Beginning"/>'


@dataclass(frozen=True, slots=True)
class Holds:
    """Items whose property has a value; binary ones in base64."""

    property: Property
    value: str

    def write(self) -> str:
        """Give the element."""
        constant = f"<t:FieldURIOrConstant><t:Constant Value={attribute(self.value)}/></t:FieldURIOrConstant>"
        return f"<m:Restriction><t:IsEqualTo>{self.property.write()}{constant}</t:IsEqualTo></m:Restriction>"


def find_item(folder: FolderRef, view: Paged, *, where: Holds | None = None, shape: str = ID_ONLY) -> bytes:
    """Ask for the items of a folder page by page, all or those that hold a value."""
    restriction = where.write() if where else ""
    return (
        f'<m:FindItem Traversal="Shallow"><m:ItemShape>{shape}</m:ItemShape>{view.write()}{restriction}'
        f"<m:ParentFolderIds>{folder.write()}</m:ParentFolderIds></m:FindItem>"
    ).encode()


# --- writing items ------------------------------------------------------------------------------------------------

#: Exchange cannot write to outsiders alone, so `external_only` writes to nobody.
_ON_CREATE_OR_DELETE: Final[Mapping[Mail, str]] = {
    Mail.NONE: "SendToNone",
    Mail.EXTERNAL: "SendToNone",
    Mail.ALL: "SendToAllAndSaveCopy",
}


def create_item(items: Iterable[str], folder: FolderRef, mail: Mail = Mail.NONE) -> bytes:
    """Create items, given as elements (see `items.write_item`)."""
    return (
        f'<m:CreateItem SendMeetingInvitations="{_ON_CREATE_OR_DELETE[mail]}">'
        f"<m:SavedItemFolderId>{folder.write()}</m:SavedItemFolderId><m:Items>{''.join(items)}</m:Items></m:CreateItem>"
    ).encode()


@dataclass(frozen=True, slots=True)
class Update:
    """Changes to one item, given as elements (see `items.changes`); at least one."""

    item: ItemRef
    changes: Sequence[str]

    def write(self) -> str:
        """Give the element."""
        return f"<t:ItemChange>{self.item.write()}<t:Updates>{''.join(self.changes)}</t:Updates></t:ItemChange>"


def update_item(updates: Iterable[Update], mail: Mail = Mail.NONE, *, overwrite: bool = False) -> bytes:
    """Change items; one that is no longer at its change key is refused, unless *overwrite*."""
    send = "SendToAllAndSaveCopy" if mail is Mail.ALL else "SendToNone"
    conflict = "AlwaysOverwrite" if overwrite else "NeverOverwrite"
    changes = "".join(each.write() for each in updates)
    return (
        f'<m:UpdateItem ConflictResolution="{conflict}" SendMeetingInvitationsOrCancellations="{send}">'
        f"<m:ItemChanges>{changes}</m:ItemChanges></m:UpdateItem>"
    ).encode()


def delete_item(items: Iterable[ItemRef], mail: Mail = Mail.NONE, *, for_good: bool = False) -> bytes:
    """Delete items or single occurrences, into the folder of deleted items or for good."""
    ids = "".join(each.write() for each in items)
    where = "HardDelete" if for_good else "MoveToDeletedItems"
    return (
        f'<m:DeleteItem DeleteType="{where}" SendMeetingCancellations="{_ON_CREATE_OR_DELETE[mail]}">'
        f"<m:ItemIds>{ids}</m:ItemIds></m:DeleteItem>"
    ).encode()


# --- directory ----------------------------------------------------------------------------------------------------


def resolve_names(entry: str, *, full: bool = False) -> bytes:
    """Ask the directory who is meant by a name, a part of one, or an address; ``smtp:`` before it asks for this address."""
    return (
        f'<m:ResolveNames ReturnFullContactData="{"true" if full else "false"}" SearchScope="ActiveDirectory">'
        f"<m:UnresolvedEntry>{text(entry)}</m:UnresolvedEntry></m:ResolveNames>"
    ).encode()


def get_room_lists() -> bytes:
    """Ask for the lists of rooms; there is no operation for all rooms."""
    return b"<m:GetRoomLists/>"


def get_rooms(room_list: str) -> bytes:
    """Ask for the rooms of a list, by its address."""
    return f"<m:GetRooms><m:RoomList><t:EmailAddress>{text(room_list)}</t:EmailAddress></m:RoomList></m:GetRooms>".encode()


# --- free/busy and automatic replies ------------------------------------------------------------------------------

#: UTC, told with two changes of the clock that change nothing: a zone without any is not understood everywhere.
_NO_CHANGE: Final = (
    "<t:Bias>0</t:Bias><t:Time>02:00:00</t:Time><t:DayOrder>1</t:DayOrder><t:Month>{}</t:Month><t:DayOfWeek>Sunday</t:DayOfWeek>"
)
_IN_UTC: Final = (
    f"<t:TimeZone><t:Bias>0</t:Bias><t:StandardTime>{_NO_CHANGE.format(10)}</t:StandardTime>"
    f"<t:DaylightTime>{_NO_CHANGE.format(4)}</t:DaylightTime></t:TimeZone>"
)


def get_user_availability(addresses: Iterable[str], start: datetime, end: datetime, *, minutes: int = 30) -> bytes:
    """Ask when people are busy, at most 100 of them and 42 days. minutes: of one digit of the merged view."""
    people = "".join(
        f"<t:MailboxData><t:Email><t:Address>{text(each)}</t:Address></t:Email><t:AttendeeType>Required</t:AttendeeType>"
        "<t:ExcludeConflicts>false</t:ExcludeConflicts></t:MailboxData>"
        for each in addresses
    )
    return (
        f"<m:GetUserAvailabilityRequest>{_IN_UTC}<m:MailboxDataArray>{people}</m:MailboxDataArray>"
        f"<t:FreeBusyViewOptions>{_span('TimeWindow', start, end)}"
        f"<t:MergedFreeBusyIntervalInMinutes>{minutes}</t:MergedFreeBusyIntervalInMinutes>"
        "<t:RequestedView>FreeBusyMerged</t:RequestedView></t:FreeBusyViewOptions></m:GetUserAvailabilityRequest>"
    ).encode()


def _span(name: str, start: datetime, end: datetime) -> str:
    first, last = (f"{each.astimezone(UTC):%Y-%m-%dT%H:%M:%S}" for each in (start, end))
    return f"<t:{name}><t:StartTime>{first}</t:StartTime><t:EndTime>{last}</t:EndTime></t:{name}>"


def get_user_oof_settings(address: str) -> bytes:
    """Ask for the automatic replies of a mailbox: one's own, or the impersonated one."""
    who = f"<t:Mailbox><t:Address>{text(address)}</t:Address></t:Mailbox>"
    return f"<m:GetUserOofSettingsRequest>{who}</m:GetUserOofSettingsRequest>".encode()


def set_user_oof_settings(address: str, settings: OutOfOffice) -> bytes:
    """Replace the automatic replies of a mailbox; both replies are always written, as the server wants them."""
    span = _span("Duration", settings.span.start, settings.span.end) if settings.span else ""
    state, audience = settings.state.capitalize(), settings.audience.capitalize()
    return (
        f"<m:SetUserOofSettingsRequest><t:Mailbox><t:Address>{text(address)}</t:Address></t:Mailbox><t:UserOofSettings>"
        f"<t:OofState>{state}</t:OofState><t:ExternalAudience>{audience}</t:ExternalAudience>{span}"
        f"<t:InternalReply><t:Message>{text(settings.internal)}</t:Message></t:InternalReply>"
        f"<t:ExternalReply><t:Message>{text(settings.external)}</t:Message></t:ExternalReply>"
        "</t:UserOofSettings></m:SetUserOofSettingsRequest>"
    ).encode()


# --- notifications ------------------------------------------------------------------------------------------------

EVENTS: Final = ("CopiedEvent", "CreatedEvent", "DeletedEvent", "ModifiedEvent", "MovedEvent")


def _watched(folders: Iterable[FolderRef]) -> str:
    kinds = "".join(f"<t:EventType>{name}</t:EventType>" for name in EVENTS)
    return f"<t:FolderIds>{_folders(folders)}</t:FolderIds><t:EventTypes>{kinds}</t:EventTypes>"


def _watermark(mark: str) -> str:
    return f"<t:Watermark>{text(mark)}</t:Watermark>" if mark else ""


def subscribe_streaming(folders: Iterable[FolderRef]) -> bytes:
    """Ask to be told over a connection of ours (2010 SP1 and later)."""
    return (
        f"<m:Subscribe><m:StreamingSubscriptionRequest>{_watched(folders)}</m:StreamingSubscriptionRequest></m:Subscribe>"
    ).encode()


def subscribe_pull(folders: Iterable[FolderRef], *, minutes: int = 30, watermark: str = "") -> bytes:
    """Ask to be told when we ask; lost after *minutes* (1 to 1440) without a question."""
    return (
        f"<m:Subscribe><m:PullSubscriptionRequest>{_watched(folders)}{_watermark(watermark)}"
        f"<t:Timeout>{minutes}</t:Timeout></m:PullSubscriptionRequest></m:Subscribe>"
    ).encode()


def subscribe_push(folders: Iterable[FolderRef], url: str, *, minutes: int = 5, watermark: str = "") -> bytes:
    """Ask to be called at a URL. minutes: 1 to 1440 between signs of life, and as long it tries again after a failure."""
    return (
        f"<m:Subscribe><m:PushSubscriptionRequest>{_watched(folders)}{_watermark(watermark)}"
        f"<t:StatusFrequency>{minutes}</t:StatusFrequency><t:URL>{text(url)}</t:URL>"
        "</m:PushSubscriptionRequest></m:Subscribe>"
    ).encode()


def unsubscribe(subscription: str) -> bytes:
    """End a pull or streaming subscription."""
    return f"<m:Unsubscribe><m:SubscriptionId>{text(subscription)}</m:SubscriptionId></m:Unsubscribe>".encode()


def get_events(subscription: str, watermark: str) -> bytes:
    """Ask a pull subscription what happened since a watermark."""
    return (
        f"<m:GetEvents><m:SubscriptionId>{text(subscription)}</m:SubscriptionId>"
        f"<m:Watermark>{text(watermark)}</m:Watermark></m:GetEvents>"
    ).encode()


def get_streaming_events(subscriptions: Iterable[str], *, minutes: int = 30) -> bytes:
    """Open the stream of up to 200 subscriptions of one affinity group, for 1 to 30 minutes."""
    ids = "".join(f"<t:SubscriptionId>{text(each)}</t:SubscriptionId>" for each in subscriptions)
    return (
        f"<m:GetStreamingEvents><m:SubscriptionIds>{ids}</m:SubscriptionIds>"
        f"<m:ConnectionTimeout>{minutes}</m:ConnectionTimeout></m:GetStreamingEvents>"
    ).encode()
