"""The simulated Exchange asked without a server around it: every request and every answer is held against the schema."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from pathlib import Path

from lxml import etree

from gleichtakt.simulators.clock import Clock
from gleichtakt.simulators.exchange.operations import OPERATIONS, Call
from gleichtakt.simulators.exchange.state import Item, Simulator

SCHEMA = Path(__file__).parents[2] / "data" / "ews" / "schema" / "ews-all.xsd"
TYPES = "http://schemas.microsoft.com/exchange/services/2006/types"
MESSAGES = "http://schemas.microsoft.com/exchange/services/2006/messages"
NAMES = {"t": TYPES, "m": MESSAGES}
BERLIN = "W. Europe Standard Time"
NOW = datetime(2026, 3, 1, 8, tzinfo=UTC)
ANNA, BO, ROOM = "anna@firm.example", "bo@firm.example", "room@firm.example"
MARK = '<t:ExtendedFieldURI PropertySetId="11111111-2222-3333-4444-555555555555" PropertyName="mark" PropertyType="String"/>'


@cache
def schema() -> etree.XMLSchema:
    """Give the published schema."""
    return etree.XMLSchema(etree.parse(SCHEMA))


class Office:
    """A simulated firm: Anna, Bo and a room that answers requests by itself, on the first of March 2026, nine in Berlin."""

    def __init__(self) -> None:
        """Begin with empty calendars."""
        self.simulator = Simulator(Clock(frozen_at=NOW))
        self.anna = self.simulator.add_mailbox(ANNA, "Anna Meyer")
        self.bo = self.simulator.add_mailbox(BO, "Bo Li")
        self.room = self.simulator.add_mailbox(ROOM, "Room 101", kind="room", accepts=True)
        self.version, self.zone = "Exchange2016", ""

    def ask(self, body: str, who: str = ANNA, *, is_valid: bool = True) -> etree._Element:
        """Send the body of a request and give that of the answer. is_valid: the answer follows the schema."""
        head, _, rest = body.partition(" ")
        request = etree.fromstring(f'{head} xmlns:t="{TYPES}" xmlns:m="{MESSAGES}" {rest}')
        schema().assertValid(request)
        call = Call(self.simulator, who, who, self.version, self.simulator.clock, self.zone)
        answer = OPERATIONS[etree.QName(request).localname](call, request)
        read = etree.fromstring(etree.tostring(answer))
        if is_valid:
            schema().assertValid(read)
        return read

    # --- what tests ask for -------------------------------------------------------------------------------------

    def create(self, inside: str, send: str = "SendToNone", who: str = ANNA, folder: str = "") -> etree._Element:
        """Create one calendar item."""
        saved = f"<m:SavedItemFolderId>{folder}</m:SavedItemFolderId>" if folder else ""
        item = f"<m:Items><t:CalendarItem>{inside}</t:CalendarItem></m:Items>"
        return self.ask(f'<m:CreateItem SendMeetingInvitations="{send}">{saved}{item}</m:CreateItem>', who)

    def get(
        self, ids: str, who: str = ANNA, *, more: str = "", base: str = "AllProperties", body: str = "Best"
    ) -> etree._Element:
        """Read items."""
        extra = f"<t:AdditionalProperties>{more}</t:AdditionalProperties>" if more else ""
        shape = f"<m:ItemShape><t:BaseShape>{base}</t:BaseShape><t:BodyType>{body}</t:BodyType>{extra}</m:ItemShape>"
        return self.ask(f"<m:GetItem >{shape}<m:ItemIds>{ids}</m:ItemIds></m:GetItem>", who)

    def update(
        self, target: str, updates: str, *, send: str = "SendToNone", resolve: str = "NeverOverwrite", who: str = ANNA
    ) -> etree._Element:
        """Change one item."""
        change = f"<t:ItemChange>{target}<t:Updates>{updates}</t:Updates></t:ItemChange>"
        attributes = f'ConflictResolution="{resolve}" SendMeetingInvitationsOrCancellations="{send}"'
        return self.ask(f"<m:UpdateItem {attributes}><m:ItemChanges>{change}</m:ItemChanges></m:UpdateItem>", who)

    def delete(self, ids: str, *, send: str = "SendToNone", how: str = "HardDelete", who: str = ANNA) -> etree._Element:
        """Delete items."""
        attributes = f'DeleteType="{how}" SendMeetingCancellations="{send}"'
        return self.ask(f"<m:DeleteItem {attributes}><m:ItemIds>{ids}</m:ItemIds></m:DeleteItem>", who)

    def sync(self, state: str = "", *, most: int = 100, base: str = "IdOnly", who: str = ANNA) -> etree._Element:
        """Ask for one page of changes of the calendar."""
        told = f"<m:SyncState>{state}</m:SyncState>" if state else ""
        return self.ask(
            f"<m:SyncFolderItems ><m:ItemShape><t:BaseShape>{base}</t:BaseShape></m:ItemShape>"
            f'<m:SyncFolderId><t:DistinguishedFolderId Id="calendar"/></m:SyncFolderId>{told}'
            f"<m:MaxChangesReturned>{most}</m:MaxChangesReturned></m:SyncFolderItems>",
            who,
        )

    def find(self, inside: str = "", *, view: str = "", base: str = "IdOnly", more: str = "", who: str = ANNA) -> etree._Element:
        """Find items of the calendar. inside: restriction and order."""
        extra = f"<t:AdditionalProperties>{more}</t:AdditionalProperties>" if more else ""
        return self.ask(
            f'<m:FindItem Traversal="Shallow"><m:ItemShape><t:BaseShape>{base}</t:BaseShape>{extra}</m:ItemShape>{view}{inside}'
            '<m:ParentFolderIds><t:DistinguishedFolderId Id="calendar"/></m:ParentFolderIds></m:FindItem>',
            who,
        )

    @property
    def item(self) -> Item:
        """The newest item of Anna's calendar, as the simulator holds it."""
        return list(self.anna.calendar.items.values())[-1]


def text(answer: etree._Element, name: str) -> str:
    """Give the text of the first element with a name."""
    found = answer.find(f".//{{*}}{name}")
    return found.text or "" if found is not None else ""


def texts(answer: etree._Element, name: str) -> list[str]:
    """Give the texts of all elements with a name."""
    return [one.text or "" for one in answer.iterfind(f".//{{*}}{name}")]


def has(answer: etree._Element, name: str) -> bool:
    """Say whether an element is there."""
    return answer.find(f".//{{*}}{name}") is not None


def code(answer: etree._Element) -> str:
    """Give the code of the first response message."""
    return text(answer, "ResponseCode")


def codes(answer: etree._Element) -> list[str]:
    """Give the codes of all response messages."""
    return texts(answer, "ResponseCode")


def item_id(answer: etree._Element, place: int = 0) -> str:
    """Give an ItemId of an answer as it goes into a request."""
    found = answer.findall(".//{*}ItemId")[place]
    return f'<t:ItemId Id="{found.get("Id")}" ChangeKey="{found.get("ChangeKey")}"/>'


def bare(ident: str) -> tuple[str, str]:
    """Give id and change key of an ItemId."""
    element = etree.fromstring(ident.replace("t:", ""))
    return element.get("Id", ""), element.get("ChangeKey", "")


def occurrence(ident: str, index: int) -> str:
    """Name an occurrence by its master and number."""
    where, key = bare(ident)
    return f'<t:OccurrenceItemId RecurringMasterId="{where}" ChangeKey="{key}" InstanceIndex="{index}"/>'


def setting(uri: str, element: str) -> str:
    """Write a SetItemField."""
    path = uri if uri.startswith("<") else f'<t:FieldURI FieldURI="{uri}"/>'
    return f"<t:SetItemField>{path}<t:CalendarItem>{element}</t:CalendarItem></t:SetItemField>"


def deleting(uri: str) -> str:
    """Write a DeleteItemField."""
    path = uri if uri.startswith("<") else f'<t:FieldURI FieldURI="{uri}"/>'
    return f"<t:DeleteItemField>{path}</t:DeleteItemField>"


def timed(start: str, end: str, before: str = "", after: str = "") -> str:
    """Write the parts of an item around its times, in the order of the schema."""
    return f"{before}<t:Start>{start}</t:Start><t:End>{end}</t:End>{after}"


def in_zone(windows_id: str = BERLIN) -> str:
    """Write both zones of an item, with the rules the schema wants."""
    periods = '<t:Periods><t:Period Bias="-PT1H" Name="Standard" Id="s"/></t:Periods>'
    return "".join(f'<t:{name} Id="{windows_id}">{periods}</t:{name}>' for name in ("StartTimeZone", "EndTimeZone"))


def repeated(pattern: str, ends: str) -> str:
    """Write a Recurrence."""
    return f"<t:Recurrence>{pattern}{ends}</t:Recurrence>"


WEEKLY = repeated(
    "<t:WeeklyRecurrence><t:Interval>1</t:Interval><t:DaysOfWeek>Tuesday</t:DaysOfWeek></t:WeeklyRecurrence>",
    "<t:NumberedRecurrence><t:StartDate>2026-03-10</t:StartDate><t:NumberOfOccurrences>8</t:NumberOfOccurrences></t:NumberedRecurrence>",
)


def calendar_of(address: str) -> str:
    """Name somebody's calendar."""
    mailbox = f"<t:Mailbox><t:EmailAddress>{address}</t:EmailAddress></t:Mailbox>"
    return f'<t:DistinguishedFolderId Id="calendar">{mailbox}</t:DistinguishedFolderId>'


def weekly(subject: str = "Weekly plan", more: str = "") -> str:
    """Write a series of eight Tuesdays at nine in Berlin, from 10 March 2026 on."""
    named = f"<t:Subject>{subject}</t:Subject>"
    return timed("2026-03-10T09:00:00", "2026-03-10T09:30:00", named, f"{more}{WEEKLY}{in_zone()}")


def attendee(address: str) -> str:
    """Write someone invited."""
    mailbox = f"<t:Mailbox><t:EmailAddress>{address}</t:EmailAddress></t:Mailbox>"
    return f"<t:RequiredAttendees><t:Attendee>{mailbox}</t:Attendee></t:RequiredAttendees>"
