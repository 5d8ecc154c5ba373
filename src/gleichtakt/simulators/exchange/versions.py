"""Which Exchange this is: its build, what its clients may name, and what it had not learned yet.

A server refuses what came after it, and so does a newer one that is spoken to as an older one. Beyond that it looks at
requests as far as their order and their names go, which is where clients err.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from lxml import etree

from gleichtakt.simulators.exchange.properties import named
from gleichtakt.simulators.exchange.soap import TYPES, Request, local
from gleichtakt.simulators.exchange.state import VERSIONS, Refused
from gleichtakt.simulators.faults import known


@dataclass(frozen=True, slots=True)
class Release:
    """One server on sale. build: major, minor, build, revision. speaks: the newest version a client may name to it.

    label: the Version attribute of its answers, which says less than the build.
    """

    build: tuple[int, int, int, int]
    speaks: str
    label: str = ""

    def header(self) -> Mapping[str, str]:
        """Give the attributes of ServerVersionInfo."""
        names = ("MajorVersion", "MinorVersion", "MajorBuildNumber", "MinorBuildNumber")
        told = {name: str(number) for name, number in zip(names, self.build, strict=True)}
        return told | ({"Version": self.label} if self.label else {})


#: By the name under which a habit asks for it, oldest first.
RELEASES: Final[Mapping[str, Release]] = {
    "2007_SP1": Release((8, 1, 240, 5), "Exchange2007_SP1"),
    "2007_SP3": Release((8, 3, 83, 6), "Exchange2007_SP1"),
    "2010": Release((14, 0, 639, 21), "Exchange2010", "Exchange2010"),
    "2010_SP1": Release((14, 1, 218, 15), "Exchange2010_SP1", "Exchange2010_SP1"),
    "2010_SP2": Release((14, 2, 247, 5), "Exchange2010_SP2", "Exchange2010_SP2"),
    "2010_SP3": Release((14, 3, 123, 3), "Exchange2010_SP2", "Exchange2010_SP2"),
    "2013": Release((15, 0, 516, 32), "Exchange2013", "Exchange2013"),
    "2013_SP1": Release((15, 0, 847, 32), "Exchange2013_SP1", "V2_8"),
    "2016": Release((15, 1, 2507, 6), "Exchange2016", "V2017_07_11"),
    "2019": Release((15, 2, 1118, 7), "Exchange2016", "V2017_07_11"),
    "SE": Release((15, 2, 2562, 17), "Exchange2016", "V2017_07_11"),
}
NEWEST = "SE"

#: Names of interim versions -> the one they amount to.
_ALIASES: Final[Mapping[str, str]] = {"Exchange2009": "Exchange2007_SP1", "Exchange2012": "Exchange2010_SP2"} | {
    f"V20{interim}": "Exchange2016"
    for interim in ("15_10_05", "16_01_06", "16_04_13", "16_07_13", "16_10_10", "17_01_07", "17_04_14", "17_07_11")
}

#: Operation, element or value -> the version it came with. Those of properties stand in `properties`.
OPERATIONS_SINCE: Final[Mapping[str, str]] = {
    "GetServerTimeZones": "Exchange2010",
    "GetUserConfiguration": "Exchange2010",
    "GetRoomLists": "Exchange2010",
    "GetRooms": "Exchange2010",
    "GetStreamingEvents": "Exchange2010_SP1",
}
ELEMENTS_SINCE: Final[Mapping[str, str]] = {"StreamingSubscriptionRequest": "Exchange2010_SP1"}
VALUES_SINCE: Final[Mapping[tuple[str, str], str]] = {("LegacyFreeBusyStatus", "WorkingElsewhere"): "Exchange2013"}
CONTEXT_SINCE = "Exchange2010"

#: The properties of a calendar item in the order of the schema.
SEQUENCE: Final = (
    *("MimeContent", "ItemId", "ParentFolderId", "ItemClass", "Subject", "Sensitivity", "Body", "Attachments"),
    *("DateTimeReceived", "Size", "Categories", "Importance", "InReplyTo", "IsSubmitted", "IsDraft", "IsFromMe", "IsResend"),
    *("IsUnmodified", "InternetMessageHeaders", "DateTimeSent", "DateTimeCreated", "ResponseObjects", "ReminderDueBy"),
    *("ReminderIsSet", "ReminderNextTime", "ReminderMinutesBeforeStart", "DisplayCc", "DisplayTo", "DisplayBcc"),
    *("HasAttachments", "ExtendedProperty", "Culture", "EffectiveRights", "LastModifiedName", "LastModifiedTime"),
    *("IsAssociated", "WebClientReadFormQueryString", "WebClientEditFormQueryString", "ConversationId", "UniqueBody"),
    *("Flag", "StoreEntryId", "InstanceKey", "NormalizedBody", "EntityExtractionResult", "PolicyTag", "ArchiveTag"),
    *("RetentionDate", "Preview", "RightsManagementLicenseData", "PredictedActionReasons", "IsClutter", "BlockStatus"),
    *("HasBlockedImages", "TextBody", "IconIndex"),
    *("UID", "RecurrenceId", "DateTimeStamp", "Start", "End", "OriginalStart", "IsAllDayEvent", "LegacyFreeBusyStatus"),
    *("Location", "When", "IsMeeting", "IsCancelled", "IsRecurring", "MeetingRequestWasSent", "IsResponseRequested"),
    *("CalendarItemType", "MyResponseType", "Organizer", "RequiredAttendees", "OptionalAttendees", "Resources"),
    *("InboxReminders", "ConflictingMeetingCount", "AdjacentMeetingCount", "ConflictingMeetings", "AdjacentMeetings"),
    *("Duration", "TimeZone", "AppointmentReplyTime", "AppointmentSequenceNumber", "AppointmentState", "Recurrence"),
    *("FirstOccurrence", "LastOccurrence", "ModifiedOccurrences", "DeletedOccurrences", "MeetingTimeZone"),
    *("StartTimeZone", "EndTimeZone", "ConferenceType", "AllowNewTimeProposal", "IsOnlineMeeting"),
    *("MeetingWorkspaceUrl", "NetShowUrl", "EnhancedLocation", "StartWallClock", "EndWallClock", "StartTimeZoneId"),
    *("EndTimeZoneId", "IntendedFreeBusyStatus", "JoinOnlineMeetingUrl", "OnlineMeetingSettings", "IsOrganizer"),
    *("CalendarActivityData", "DoNotForwardMeeting"),
)
_PLACE = {name: place for place, name in enumerate(SEQUENCE)}


def release(name: str) -> Release:
    """Give a server by its name. Raises ValueError that lists those there are."""
    known(name, RELEASES, "version")
    return RELEASES[name]


def agreed(request: Request, server: Release) -> str:
    """Give the version a request is answered in. Raises Refused for one the server does not speak."""
    asked = _ALIASES.get(request.version, request.version) or VERSIONS[0]
    if asked not in VERSIONS or VERSIONS.index(asked) > VERSIONS.index(server.speaks):
        raise Refused("ErrorInvalidServerVersion", "The specified server version is invalid.")
    return asked


def context(request: Request, version: str) -> str:
    """Give the Windows id of the zone a request speaks in. Older versions pass over a header they do not know."""
    return "" if is_newer(CONTEXT_SINCE, version) else request.zone


def check(request: Request, version: str) -> None:
    """Raise Refused for what this version had not learned, and for a calendar item the schema does not allow."""
    if is_newer(OPERATIONS_SINCE.get(request.name, ""), version):
        raise invalid(f"The element '{request.name}' in namespace '{TYPES}' is not expected.")
    for element in request.operation.iter(etree.Element):
        _check_element(element, version)


def _check_element(element: etree._Element, version: str) -> None:
    name = local(element)
    parent = element.getparent()
    is_property = parent is not None and local(parent) == "CalendarItem"
    field = (element.get("FieldURI") or "").rpartition(":")[2] or (name if is_property else "")
    found = named("CalendarItem", field) if field else None
    if is_newer(ELEMENTS_SINCE.get(name, ""), version) or (found is not None and is_newer(found.since, version)):
        raise invalid(f"'{field or name}' is not known in {version}.")
    if is_newer(VALUES_SINCE.get((name, (element.text or "").strip()), ""), version):
        raise invalid(f"The value '{element.text}' of '{name}' failed the Enumeration constraint.")
    if name == "CalendarItem":
        _check_order(element)
    if name in {"SetItemField", "AppendToItemField"}:
        _check_single(element)


def _check_order(item: etree._Element) -> None:
    last = -1
    for child in item:
        place = _PLACE.get(local(child))
        if place is None or place < last or (place == last and local(child) != "ExtendedProperty"):
            raise invalid(f"The element 'CalendarItem' has invalid child element '{local(child)}'.")
        last = place


def _check_single(change: etree._Element) -> None:
    if len(change) != 2 or len(change[1]) != 1:
        raise Refused("ErrorIncorrectUpdatePropertyCount", "Set or append a property takes exactly one property.")


def is_newer(since: str, version: str) -> bool:
    """Say whether something came with a later version; what has none was always there."""
    return bool(since) and VERSIONS.index(since) > VERSIONS.index(version)


def invalid(violation: str) -> Refused:
    """Give the refusal of a request that does not fit the schema."""
    return Refused(
        "ErrorSchemaValidation",
        f"The request failed schema validation: {violation}",
        {"LineNumber": "1", "LinePosition": "1", "Violation": violation},
    )
