"""What is in a mailbox: its calendars, what changed in one, and what a search found. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from gleichtakt.providers.ews.wire.elements import child, children, flag, inside, number, said
from gleichtakt.providers.ews.wire.ids import ItemId, read_item_id
from gleichtakt.providers.ews.wire.names import local_name
from gleichtakt.providers.ews.wire.soap import Element

CALENDAR_CLASS: Final = "IPF.Appointment"


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder, and what the caller may do there."""

    id: str
    change_key: str
    name: str
    folder_class: str = CALENDAR_CLASS
    parent: str = ""
    count: int | None = None
    can_read: bool = True
    can_create: bool = True
    can_change: bool = True
    can_delete: bool = True

    @property
    def is_calendar(self) -> bool:
        """Say whether it holds appointments; special calendars carry a longer class (``IPF.Appointment.Birthday``)."""
        return self.folder_class == CALENDAR_CLASS or self.folder_class.startswith(f"{CALENDAR_CLASS}.")


def read_folders(message: Element) -> Iterator[Folder]:
    """Read the folders of one message of GetFolder or FindFolder."""
    for holder in inside(message, "Folders"):
        yield from (_folder(each) for each in holder if local_name(each.tag).endswith("Folder"))


def _folder(element: Element) -> Folder:
    named = read_item_id(child(element, "FolderId"))
    parent = read_item_id(child(element, "ParentFolderId"))
    rights = child(element, "EffectiveRights")
    told = rights is not None
    kind = CALENDAR_CLASS if local_name(element.tag) == "CalendarFolder" else ""
    return Folder(
        named.id if named else "",
        named.change_key if named else "",
        said(element, "DisplayName"),
        said(element, "FolderClass") or kind,
        parent.id if parent else "",
        number(element, "TotalCount"),
        can_read=not told or flag(rights, "Read"),
        can_create=not told or flag(rights, "CreateContents"),
        can_change=not told or flag(rights, "Modify"),
        can_delete=not told or flag(rights, "Delete"),
    )


# --- changes ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Changes:
    """One page of SyncFolderItems. state: to go on from; empty where a server forgot it. is_last: nothing follows.

    changed: calendar items that are new or other than before; gone: ids. others: items of other classes, which are
    counted and left alone. masters: ids of those that are said to be series, or not said to be anything else.
    """

    state: str
    is_last: bool
    changed: tuple[ItemId, ...] = ()
    gone: tuple[str, ...] = ()
    others: int = 0
    masters: frozenset[str] = frozenset()


def read_changes(message: Element) -> Changes:
    """Read one message of SyncFolderItems; an item told twice counts once, as it was told last."""
    changed: dict[str, ItemId] = {}
    gone: dict[str, None] = {}
    masters: set[str] = set()
    others = 0
    for each in children(child(message, "Changes")):
        what = local_name(each.tag)
        if what in ("Delete", "ReadFlagChange"):
            named = read_item_id(child(each, "ItemId"))
            if named and what == "Delete":
                changed.pop(named.id, None)
                gone[named.id] = None
            continue
        item = next(iter(each), None)
        named = read_item_id(child(item, "ItemId"))
        if named is None or item is None or local_name(item.tag) != "CalendarItem":
            others += 1
            continue
        gone.pop(named.id, None)
        changed[named.id] = named
        if said(item, "CalendarItemType") in ("RecurringMaster", ""):
            masters.add(named.id)
    last = said(message, "IncludesLastItemInRange").lower()
    is_last = last in ("true", "1", "")
    return Changes(said(message, "SyncState"), is_last, tuple(changed.values()), tuple(gone), others, frozenset(masters))


# --- searches -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Found:
    """One page of FindItem. items: calendar items in the asked shape; next_offset: of the page after it, None at the end."""

    items: tuple[Element, ...]
    next_offset: int | None = None
    total: int | None = None


def read_found(message: Element) -> Found:
    """Read one message of FindItem, or of FindFolder for its paging."""
    root = child(message, "RootFolder")
    holder = child(root, "Items")
    items = tuple(each for each in children(holder, "CalendarItem") if child(each, "ItemId") is not None)
    if root is None or (root.get("IncludesLastItemInRange") or "true").lower() in ("true", "1"):
        return Found(items, None, _attribute(root, "TotalItemsInView"))
    return Found(items, _attribute(root, "IndexedPagingOffset"), _attribute(root, "TotalItemsInView"))


def _attribute(element: Element | None, name: str) -> int | None:
    told = element.get(name) if element is not None else None
    return int(told) if told and told.isdigit() else None


def read_ids(message: Element) -> tuple[ItemId, ...]:
    """Give the ids of the items of one message, as CreateItem and UpdateItem answer."""
    found = (read_item_id(child(each, "ItemId")) for each in children(child(message, "Items")))
    return tuple(each for each in found if each is not None)
