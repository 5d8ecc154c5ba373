"""What the simulated Exchange holds: mailboxes with their folders, items with their versions, and the mails it sent.

Items are kept by the names of their elements, as `properties` reads and writes them; what a series means is in
`calendar`. Whoever wants to hear of changes (notifications) puts a function into `Simulator.watchers`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

from gleichtakt.simulators.clock import Clock

#: What a client may name as RequestServerVersion, oldest first.
VERSIONS = (
    "Exchange2007",
    "Exchange2007_SP1",
    "Exchange2010",
    "Exchange2010_SP1",
    "Exchange2010_SP2",
    "Exchange2013",
    "Exchange2013_SP1",
    "Exchange2015",
    "Exchange2016",
)
DEFAULT_ZONE = "W. Europe Standard Time"

#: Distinguished name -> what it is called, element, folder class, distinguished name of the parent.
FOLDERS: Mapping[str, tuple[str, str, str, str]] = {
    "root": ("", "Folder", "", ""),
    "msgfolderroot": ("Top of Information Store", "Folder", "IPF.Note", "root"),
    "inbox": ("Inbox", "Folder", "IPF.Note", "msgfolderroot"),
    "outbox": ("Outbox", "Folder", "IPF.Note", "msgfolderroot"),
    "sentitems": ("Sent Items", "Folder", "IPF.Note", "msgfolderroot"),
    "deleteditems": ("Deleted Items", "Folder", "IPF.Note", "msgfolderroot"),
    "drafts": ("Drafts", "Folder", "IPF.Note", "msgfolderroot"),
    "junkemail": ("Junk Email", "Folder", "IPF.Note", "msgfolderroot"),
    "calendar": ("Calendar", "CalendarFolder", "IPF.Appointment", "msgfolderroot"),
    "contacts": ("Contacts", "ContactsFolder", "IPF.Contact", "msgfolderroot"),
    "tasks": ("Tasks", "TasksFolder", "IPF.Task", "msgfolderroot"),
    "notes": ("Notes", "Folder", "IPF.StickyNote", "msgfolderroot"),
    "journal": ("Journal", "Folder", "IPF.Journal", "msgfolderroot"),
    "searchfolders": ("Finder", "Folder", "", "root"),
}


class Refused(Exception):
    """What the server does not do. code: of the answer. params: name -> text of the values it tells with it (MessageXml).

    Out of an operation as a whole it is a SOAP fault; for a single item it becomes that item's response message.
    """

    def __init__(self, code: str, text: str = "", params: Mapping[str, str] | None = None) -> None:
        """Keep what the answer says."""
        super().__init__(code)
        self.code, self.text, self.params = code, text or code, dict(params or {})


@dataclass(frozen=True, slots=True)
class Event:
    """What a watcher hears. kind: CreatedEvent, ModifiedEvent, DeletedEvent, MovedEvent, CopiedEvent, NewMailEvent.

    item, folder: ids; folder is the parent. item is empty where the folder itself is meant. old_*: before a move or copy.
    """

    kind: str
    mailbox: str
    folder: str
    item: str
    change_key: str
    at: datetime
    old_item: str = ""
    old_folder: str = ""


@dataclass(slots=True, eq=False)
class Item:
    """One item of a folder; a series is one item, with what single occurrences have of their own.

    kind: name of its element. change: number of its last change in the folder. values: property name -> value.
    overrides: original local date of an occurrence -> what differs there. deleted: original local date -> its start.
    rendered: its XML in this version, by shape. is_spoilt: the server stumbles over it.
    """

    folder: Folder
    number: int
    kind: str
    values: dict[str, Any]
    created: datetime
    modified: datetime
    change: int = 0
    modified_by: str = ""
    overrides: dict[date, dict[str, Any]] = field(default_factory=dict)
    deleted: dict[date, datetime] = field(default_factory=dict)
    rendered: dict[Any, Any] = field(default_factory=dict)
    is_spoilt: bool = False

    def get(self, name: str, slot: date | None = None) -> Any:
        """Give a value, of the occurrence on *slot* where that has its own; None where there is none."""
        if slot is not None and name in (own := self.overrides.get(slot, {})):
            return own[name]
        return self.values.get(name)


@dataclass(slots=True, eq=False)
class Folder:
    """One folder. items: by number, in the order in which they were last changed. dead: change -> number of what went.

    change, made: how many changes and items it ever had. version: of its own properties.
    permissions: address -> name of a permission level. epoch: sync states of an older one are refused.
    changed: when anything in it last was.
    """

    mailbox: Mailbox
    number: int
    name: str
    kind: str = "CalendarFolder"
    folder_class: str = "IPF.Appointment"
    parent: Folder | None = None
    distinguished: str = ""
    items: dict[int, Item] = field(default_factory=dict)
    dead: dict[int, int] = field(default_factory=dict)
    change: int = 0
    made: int = 0
    version: int = 1
    epoch: int = 1
    permissions: dict[str, str] = field(default_factory=dict)
    changed: datetime = datetime(2000, 1, 1, tzinfo=UTC)

    def touch(self, item: Item) -> None:
        """Note that an item changed: it is the newest now."""
        self.change += 1
        item.change = self.change
        self.changed = max(self.changed, item.modified)
        item.rendered.clear()
        self.items.pop(item.number, None)
        self.items[item.number] = item

    def drop(self, item: Item, at: datetime) -> None:
        """Note that an item is gone from here."""
        self.change += 1
        self.changed = max(self.changed, at)
        del self.items[item.number]
        self.dead[self.change] = item.number

    def expire_sync_states(self) -> None:
        """Refuse every sync state handed out so far."""
        self.epoch += 1


@dataclass(slots=True, eq=False)
class Mailbox:
    """One mailbox. number: of it in the simulator, part of every id. zone: Windows id. made: how many folders it ever had."""

    address: str
    name: str
    number: int
    zone: str = DEFAULT_ZONE
    folders: dict[int, Folder] = field(default_factory=dict)
    is_enabled: bool = True
    kind: str = "user"  # or room, equipment
    accepts: bool = False  # a room that answers requests by itself
    made: int = 0

    def add_folder(self, name: str, *, parent: Folder | None = None, kind: str = "CalendarFolder", **more: Any) -> Folder:
        """Make a folder, below the top of what a person sees unless told otherwise."""
        self.made += 1
        above = parent if parent is not None or not self.folders else self.at("msgfolderroot")
        folder = self.folders[self.made] = Folder(self, self.made, name, kind, parent=above, **more)
        return folder

    def at(self, distinguished: str) -> Folder:
        """Give a folder by its distinguished name. Raises Refused."""
        for folder in self.folders.values():
            if folder.distinguished == distinguished:
                return folder
        raise Refused("ErrorFolderNotFound", "The specified folder could not be found in the store.")

    @property
    def calendar(self) -> Folder:
        """The calendar everyone has."""
        return self.at("calendar")

    def below(self, folder: Folder) -> Iterator[Folder]:
        """Yield the folders right under one, by name."""
        return iter(sorted((one for one in self.folders.values() if one.parent is folder), key=lambda one: one.name))


class Simulator:
    """Everything one simulated organization holds. outbox: the mails it sent, newest last."""

    def __init__(self, clock: Clock | None = None) -> None:
        """Begin without mailboxes."""
        self.clock = clock or Clock()
        self.mailboxes: dict[str, Mailbox] = {}
        self.owners: dict[bytes, Mailbox] = {}  # as ids name them, see `ids`
        self.outbox: list[dict[str, Any]] = []
        self.watchers: list[Callable[[Event], None]] = []

    def add_mailbox(self, address: str, name: str = "", **more: Any) -> Mailbox:
        """Make a mailbox with the folders everyone has; one of that address that is there already goes."""
        made = Mailbox(address, name or address.partition("@")[0].title(), len(self.mailboxes) + 1, **more)
        for distinguished, (title, kind, folder_class, parent) in FOLDERS.items():
            above = made.at(parent) if parent else None
            made.add_folder(title, parent=above, kind=kind, folder_class=folder_class, distinguished=distinguished)
        self.mailboxes[address.lower()] = made
        self.owners.clear()  # in place of another one of that address: ids of the old one lead nowhere
        return made

    def mailbox(self, address: str) -> Mailbox:
        """Give a mailbox. Raises Refused for one that is not there, or not enabled."""
        found = self.mailboxes.get(address.lower())
        if found is None:
            raise Refused(
                "ErrorNonExistentMailbox", "The SMTP address has no mailbox associated with it.", {"SmtpAddress": address}
            )
        if not found.is_enabled:
            raise Refused("ErrorAccountDisabled", "The account is disabled.")
        return found

    def tell(self, event: Event) -> None:
        """Let the watchers hear of a change."""
        for watcher in self.watchers:
            watcher(event)
