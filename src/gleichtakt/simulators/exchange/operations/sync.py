"""SyncFolderItems and SyncFolderHierarchy.

A sync state says what the client was given and which changes it has seen, as Exchange's own does: so nothing is told
twice and nothing is left out, however the folder changes between two pages. Deletions come last.
"""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from lxml import etree

from gleichtakt.simulators.exchange import rights
from gleichtakt.simulators.exchange.ids import Place, folder_id, item_id, owner_of
from gleichtakt.simulators.exchange.ids import written as written_id
from gleichtakt.simulators.exchange.operations.call import Call, whole
from gleichtakt.simulators.exchange.operations.folders import read_folder_shape, write_folder
from gleichtakt.simulators.exchange.operations.shapes import read_shape, written
from gleichtakt.simulators.exchange.operations.targets import folder_in
from gleichtakt.simulators.exchange.properties import Shape
from gleichtakt.simulators.exchange.soap import add, error_message, m, responses, success, t
from gleichtakt.simulators.exchange.state import Folder, Item, Refused

MOST_CHANGES = 512
NEWEST_FIRST = "Exchange2010_SP2"  # since when; before, the oldest came first
_LAST = {"SyncFolderItems": "IncludesLastItemInRange", "SyncFolderHierarchy": "IncludesLastFolderInRange"}


@dataclass(slots=True)
class Ranges:
    """A set of whole numbers as ascending, disjoint stretches, ends included."""

    parts: list[list[int]]

    def __contains__(self, number: int) -> bool:
        """Say whether a number is in it."""
        return any(low <= number <= high for low, high in self.parts)

    def merged(self, numbers: Iterable[int]) -> Ranges:
        """Give the set with some numbers more."""
        made: list[list[int]] = []
        for low, high in sorted([*self.parts, *([number, number] for number in numbers)]):
            if made and low <= made[-1][1] + 1:
                made[-1][1] = max(made[-1][1], high)
            else:
                made.append([low, high])
        return Ranges(made)

    def without(self, numbers: Iterable[int]) -> Ranges:
        """Give the set with some numbers less."""
        made = [list(part) for part in self.parts]
        for number in numbers:
            place = next((place for place, (low, high) in enumerate(made) if low <= number <= high), None)
            if place is not None:
                low, high = made[place]
                made[place : place + 1] = [part for part in ([low, number - 1], [number + 1, high]) if part[0] <= part[1]]
        return Ranges(made)


@dataclass(slots=True)
class State:
    """What a client knows. floor: all changes up to this one were seen; seen: those above it; given: items it holds."""

    floor: int
    seen: Ranges
    given: Ranges

    def written(self, folder: Folder) -> str:
        """Write it as the opaque text a client keeps."""
        told = [folder_id(folder), folder.epoch, self.floor, self.seen.parts, self.given.parts]
        return base64.b64encode(zlib.compress(json.dumps(told, separators=(",", ":")).encode(), 1)).decode()


def _read_state(text: str, folder: Folder) -> State:
    if not text:
        return State(0, Ranges([]), Ranges([]))
    try:
        place, epoch, floor, seen, given = json.loads(zlib.decompress(base64.b64decode(text, validate=True)))
    except (ValueError, TypeError, binascii.Error, zlib.error):
        raise _invalid() from None
    if place != folder_id(folder) or epoch != folder.epoch:
        raise _invalid()
    return State(floor, Ranges(seen), Ranges(given))


def _invalid() -> Refused:
    return Refused("ErrorInvalidSyncStateData", "Synchronization state data is corrupt or otherwise invalid.")


def _refusal(operation: str, refused: Refused) -> etree._Element:
    message = error_message(f"{operation}ResponseMessage", refused)
    add(message, m("SyncState"))
    add(message, m(_LAST[operation]), "true")
    return responses(operation, message)


def _folder_named(call: Call, request: etree._Element) -> Folder:
    try:
        folder = folder_in(call, request.find(m("SyncFolderId")))
    except Refused as refused:
        if refused.code == "ErrorFolderNotFound":
            raise Refused("ErrorSyncFolderNotFound", "The folder to synchronize could not be found.") from None
        raise
    rights.check(rights.right_of(call.mailbox, folder), "reads")
    return folder


# --- items -------------------------------------------------------------------------------------------------------


def sync_folder_items(call: Call, request: etree._Element) -> etree._Element:
    """Answer with what changed in a folder since a state, at most as much as is asked for."""
    most = whole(request.findtext(m("MaxChangesReturned")), "MaxChangesReturned")
    if not 1 <= most <= MOST_CHANGES:
        raise Refused("ErrorSchemaValidation", "The request failed schema validation: MaxChangesReturned is 1 to 512.")
    shape = read_shape(request.find(m("ItemShape")), is_listing=True)
    try:
        folder = _folder_named(call, request)
        state = _read_state((request.findtext(m("SyncState")) or "").strip(), folder)
    except Refused as refused:
        return _refusal("SyncFolderItems", refused)
    ignored = {element.get("Id") for element in request.findall(f"{m('Ignore')}/*")}
    return _page(call, folder, state, shape, most, ignored)


def _page(call: Call, folder: Folder, state: State, shape: Shape, most: int, ignored: set[str | None]) -> etree._Element:
    news = _news(folder, state)
    if not call.knows(NEWEST_FIRST):
        news = reversed(list(news))
    fresh = list(islice(news, most + 1))
    gone = list(islice(_gone(folder, state), most + 1 - len(fresh)))
    final = len(fresh) + len(gone) <= most
    fresh, gone = fresh[:most], gone[: most - len(fresh[:most])]
    if final:
        after = State(folder.change, Ranges([]), Ranges([]))
    else:
        after = State(state.floor, state.seen.merged(item.change for item in fresh), Ranges([]))
    after.given = state.given.without(gone).merged(item.number for item in fresh)
    right = rights.right_of(call.mailbox, folder)

    def fill(message: etree._Element) -> None:
        add(message, m("SyncState"), after.written(folder))
        add(message, m("IncludesLastItemInRange"), "true" if final else "false")
        changes = add(message, m("Changes"))
        for item in fresh:
            if not ignored or item_id(item, None, call.version) not in ignored:
                verb = "Update" if item.number in state.given else "Create"
                add(changes, t(verb)).append(written(call, item, shape, right))
        for number in gone:
            add(add(changes, t("Delete")), t("ItemId"), Id=_dead_id(call, folder, number), ChangeKey="")

    return responses("SyncFolderItems", success("SyncFolderItemsResponseMessage", parts=fill))


def _news(folder: Folder, state: State) -> Iterator[Item]:
    for item in reversed(folder.items.values()):
        if item.change <= state.floor:
            return
        if item.change not in state.seen:
            yield item


def _gone(folder: Folder, state: State) -> Iterator[int]:
    for change in reversed(folder.dead):
        if change <= state.floor:
            return
        if folder.dead[change] in state.given:
            yield folder.dead[change]


def _dead_id(call: Call, folder: Folder, number: int) -> str:
    return written_id(Place(owner_of(folder.mailbox), folder.number, number), call.id_format)


# --- folders -----------------------------------------------------------------------------------------------------


def sync_folder_hierarchy(call: Call, request: etree._Element) -> etree._Element:
    """Answer with the folders that are new, changed or gone since a state."""
    shape = read_folder_shape(request.find(m("FolderShape")))
    try:
        named = request.find(m("SyncFolderId"))
        root = folder_in(call, named) if named is not None else call.home.at("root")
        known = _read_versions((request.findtext(m("SyncState")) or "").strip())
    except Refused as refused:
        return _refusal("SyncFolderHierarchy", refused)
    folders = {folder.number: folder for folder in _under(root)}

    def fill(message: etree._Element) -> None:
        versions = {str(number): folder.version for number, folder in folders.items()}
        add(message, m("SyncState"), base64.b64encode(json.dumps(versions).encode()).decode())
        add(message, m("IncludesLastFolderInRange"), "true")
        changes = add(message, m("Changes"))
        for number, folder in folders.items():
            if known.get(str(number)) != folder.version:
                verb = "Update" if str(number) in known else "Create"
                add(changes, t(verb)).append(write_folder(call, folder, shape))
        for name in known:
            if int(name) not in folders:
                gone = _dead_folder(call, root, int(name))
                add(add(changes, t("Delete")), t("FolderId"), Id=gone, ChangeKey="")

    return responses("SyncFolderHierarchy", success("SyncFolderHierarchyResponseMessage", parts=fill))


def _read_versions(text: str) -> dict[str, int]:
    try:
        found: dict[str, int] = json.loads(base64.b64decode(text, validate=True)) if text else {}
    except (ValueError, binascii.Error):
        raise _invalid() from None
    return found


def _under(root: Folder) -> Iterator[Folder]:
    for folder in root.mailbox.below(root):
        yield folder
        yield from _under(folder)


def _dead_folder(call: Call, root: Folder, number: int) -> str:
    return written_id(Place(owner_of(root.mailbox), number), call.id_format)
