"""What the ids of a request mean for the one who asks: folders and items that are there and may be seen."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from lxml import etree

from gleichtakt.simulators.exchange import calendar, rights
from gleichtakt.simulators.exchange.ids import Place, change_of, mailbox_of, read_id
from gleichtakt.simulators.exchange.operations.call import Call, whole
from gleichtakt.simulators.exchange.soap import local, t
from gleichtakt.simulators.exchange.state import Folder, Item, Refused

_NO_FOLDER = "The specified folder could not be found in the store."
_NO_ITEM = "The specified object was not found in the store."


@dataclass(frozen=True, slots=True)
class Target:
    """An item, or one occurrence of it, with the change key the client knows and what the client may do."""

    item: Item
    slot: date | None
    key: str
    right: rights.Right


def folder_in(call: Call, parent: etree._Element | None) -> Folder:
    """Give the one folder named inside an element. Raises Refused."""
    if parent is None or not len(parent):
        raise Refused("ErrorFolderNotFound", _NO_FOLDER)
    return folder_of(call, parent[0])


def folder_of(call: Call, element: etree._Element) -> Folder:
    """Give the folder of a FolderId or DistinguishedFolderId. Raises Refused for what is not there, or not to be seen."""
    if local(element) == "DistinguishedFolderId":
        named = element.findtext(f"{t('Mailbox')}/{t('EmailAddress')}")
        mailbox = call.simulator.mailbox(named.strip()) if named else call.home
        found = mailbox.at(element.get("Id", ""))
    else:
        found = _folder_at(call, read_id(element.get("Id", ""), call.id_format))
    if not rights.right_of(call.mailbox, found).visible:
        raise Refused("ErrorFolderNotFound", _NO_FOLDER)
    return found


def _folder_at(call: Call, place: Place) -> Folder:
    if place.item:
        raise Refused("ErrorCannotUseItemIdForFolderId", "The id is that of an item, not of a folder.")
    mailbox = mailbox_of(call.simulator, place)
    folder = mailbox.folders.get(place.folder) if mailbox else None
    if folder is None:
        raise Refused("ErrorFolderNotFound", _NO_FOLDER)
    call.simulator.mailbox(folder.mailbox.address)
    return folder


def target_of(call: Call, element: etree._Element) -> Target:
    """Give what an ItemId, OccurrenceItemId or RecurringMasterItemId names. Raises Refused."""
    return _TARGETS.get(local(element), _by_item)(call, element)


def _by_item(call: Call, element: etree._Element) -> Target:
    place = read_id(element.get("Id", ""), call.id_format)
    item, right = item_at(call, place)
    if place.slot is not None and not calendar.is_alive(item, place.slot):
        raise Refused("ErrorItemNotFound", _NO_ITEM)
    return Target(item, place.slot, _key(element), right)


def _by_index(call: Call, element: etree._Element) -> Target:
    place = read_id(element.get("RecurringMasterId", ""), call.id_format)
    item, right = item_at(call, place)
    if place.slot is not None or calendar.pattern_of(item) is None:
        raise Refused("ErrorCalendarCannotUseIdForOccurrenceId", "The id is not that of a recurring master.")
    return Target(item, calendar.slot_at(item, whole(element.get("InstanceIndex"), "InstanceIndex")), _key(element), right)


def _master(call: Call, element: etree._Element) -> Target:
    place = read_id(element.get("OccurrenceId", ""), call.id_format)
    item, right = item_at(call, place)
    if place.slot is None:
        raise Refused("ErrorCalendarCannotUseIdForRecurringMasterId", "The id is not that of an occurrence.")
    return Target(item, None, _key(element), right)


_TARGETS = {"ItemId": _by_item, "OccurrenceItemId": _by_index, "RecurringMasterItemId": _master}


def item_at(call: Call, place: Place) -> tuple[Item, rights.Right]:
    """Give the item of a place, and what may be done with it. Raises Refused."""
    if not place.item:
        raise Refused("ErrorCannotUseFolderIdForItemId", "The id is that of a folder, not of an item.")
    mailbox = mailbox_of(call.simulator, place)
    folder = mailbox.folders.get(place.folder) if mailbox else None
    item = folder.items.get(place.item) if folder else None
    if folder is None or item is None:
        raise Refused("ErrorItemNotFound", _NO_ITEM)
    call.simulator.mailbox(folder.mailbox.address)
    right = rights.right_of(call.mailbox, folder)
    if not right.visible:
        raise Refused("ErrorItemNotFound", _NO_ITEM)
    rights.check(right, "reads")
    if item.is_spoilt:
        raise Refused("ErrorItemCorrupt", "The item is corrupt.")
    return item, right


def _key(element: etree._Element) -> str:
    key = element.get("ChangeKey", "")
    if key:
        change_of(key)
    return key
