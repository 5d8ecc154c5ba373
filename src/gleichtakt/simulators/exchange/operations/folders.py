"""GetFolder, FindFolder, CreateFolder and DeleteFolder."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from lxml import etree

from gleichtakt.simulators.exchange import rights
from gleichtakt.simulators.exchange.extended import read_uri
from gleichtakt.simulators.exchange.ids import folder_id, folder_key
from gleichtakt.simulators.exchange.operations.call import Call, Filler, answer_each
from gleichtakt.simulators.exchange.operations.paging import Page, page_of
from gleichtakt.simulators.exchange.operations.restriction import Value, test_of
from gleichtakt.simulators.exchange.operations.targets import folder_in, folder_of
from gleichtakt.simulators.exchange.properties import Uri
from gleichtakt.simulators.exchange.soap import add, local, m, t
from gleichtakt.simulators.exchange.state import Folder, Refused
from gleichtakt.simulators.exchange.zones import UTC_ZONE, written_time

_CLASSES = {"CalendarFolder": "IPF.Appointment", "Folder": "IPF.Note", "ContactsFolder": "IPF.Contact", "TasksFolder": "IPF.Task"}
#: The distinguished name is told from 2013 on.
_SINCE = {"DistinguishedFolderId": "Exchange2013"}
_COUNTS_UNREAD = ("Folder", "TasksFolder")
_DEFAULT = ("DisplayName", "TotalCount", "ChildFolderCount", "UnreadCount")


@dataclass(frozen=True, slots=True)
class FolderShape:
    """What of a folder is asked for."""

    base: str
    paths: frozenset[str]
    extended: tuple[Uri, ...] = ()

    def has(self, name: str) -> bool:
        """Say whether a property is asked for."""
        return self.base == "AllProperties" or name in self.paths or (self.base == "Default" and name in _DEFAULT)


def read_folder_shape(element: etree._Element | None) -> FolderShape:
    """Read a FolderShape. Raises Refused."""
    if element is None:
        raise Refused("ErrorSchemaValidation", "The request failed schema validation: FolderShape is missing.")
    paths = element.findall(f"{t('AdditionalProperties')}/{t('FieldURI')}")
    names = frozenset(path.get("FieldURI", "").partition(":")[2] for path in paths)
    extended = tuple(read_uri(one) for one in element.iterfind(f"{t('AdditionalProperties')}/{t('ExtendedFieldURI')}"))
    return FolderShape(element.findtext(t("BaseShape")) or "IdOnly", names, extended)


def _unread(folder: Folder) -> int:
    return sum(1 for item in folder.items.values() if item.values.get("IsRead") is False)


#: Properties that are text, in the order of the schema; ids and rights are written apart.
_TEXTS: Mapping[str, Callable[[Folder], str]] = {
    "FolderClass": lambda folder: folder.folder_class,
    "DisplayName": lambda folder: folder.name,
    "TotalCount": lambda folder: str(len(folder.items)),
    "ChildFolderCount": lambda folder: str(sum(1 for _ in folder.mailbox.below(folder))),
}
#: What the store says of a folder under the names of MAPI. Source: [MS-OXPROPS].
_EXTENDED: Mapping[tuple[str, ...], Callable[[Folder], str]] = {
    ("tag", str(0x3001), "String"): _TEXTS["DisplayName"],
    ("tag", str(0x3008), "SystemTime"): lambda folder: written_time(folder.changed, UTC_ZONE),
    ("tag", str(0x3602), "Integer"): _TEXTS["TotalCount"],
    ("tag", str(0x3603), "Integer"): lambda folder: str(_unread(folder)),
    ("tag", str(0x360A), "Boolean"): lambda folder: "true" if any(folder.mailbox.below(folder)) else "false",
    ("tag", str(0x3613), "String"): _TEXTS["FolderClass"],
    ("tag", str(0x670A), "SystemTime"): lambda folder: written_time(folder.changed, UTC_ZONE),
    ("tag", str(0x6751), "Integer"): lambda folder: str(folder.made + 1),
}


def _extended(folder: Folder, uri: Uri) -> str | None:
    text = _EXTENDED.get(uri.key)
    return text(folder) if text is not None else None


def write_folder(call: Call, folder: Folder, shape: FolderShape) -> etree._Element:
    """Write a folder in a shape."""
    made = etree.Element(t(folder.kind))
    add(made, t("FolderId"), Id=folder_id(folder, call.version), ChangeKey=folder_key(folder))
    if shape.has("ParentFolderId") and folder.parent is not None:
        add(made, t("ParentFolderId"), Id=folder_id(folder.parent, call.version), ChangeKey=folder_key(folder.parent))
    for name, text in _TEXTS.items():
        if shape.has(name) and (name != "FolderClass" or folder.folder_class):
            add(made, t(name), text(folder))
    for uri in shape.extended:
        if value := _extended(folder, uri):
            one = add(made, t("ExtendedProperty"))
            add(one, t("ExtendedFieldURI"), None, **dict(uri.attributes))
            add(one, t("Value"), value)
    if shape.has("EffectiveRights"):
        right = rights.right_of(call.mailbox, folder)
        right.write(made, t("EffectiveRights"), is_folder=True, tells_private=call.knows("Exchange2010"))
    if shape.has("DistinguishedFolderId") and folder.distinguished and call.knows(_SINCE["DistinguishedFolderId"]):
        add(made, t("DistinguishedFolderId"), folder.distinguished)
    if shape.has("UnreadCount") and folder.kind in _COUNTS_UNREAD:
        add(made, t("UnreadCount"), str(_unread(folder)))
    return made


def _holding(*folders: etree._Element) -> Filler:
    def fill(message: etree._Element) -> None:
        add(message, m("Folders")).extend(folders)

    return fill


def get_folder(call: Call, request: etree._Element) -> etree._Element:
    """Answer each id with its folder."""
    shape = read_folder_shape(request.find(m("FolderShape")))
    ids = request.find(m("FolderIds"))
    return answer_each(
        "GetFolder",
        ids if ids is not None else (),
        lambda part: _holding(write_folder(call, folder_of(call, part), shape)),
        empty="Folders",
    )


# --- finding -----------------------------------------------------------------------------------------------------


def find_folder(call: Call, request: etree._Element) -> etree._Element:
    """Answer each parent with the folders under it that the caller may see."""
    shape = read_folder_shape(request.find(m("FolderShape")))
    is_deep = request.get("Traversal") == "Deep"
    test = test_of(request.find(m("Restriction")))
    page = page_of(request, "IndexedPageFolderView", "FractionalPageFolderView")
    ids = request.find(m("ParentFolderIds"))

    def find(part: etree._Element) -> Filler:
        parent = folder_of(call, part)
        below = _below(parent, is_deep=is_deep) if request.get("Traversal") != "SoftDeleted" else iter(())
        seen = [one for one in below if rights.right_of(call.mailbox, one).visible and test(_values(call, one))]
        return _found(call, seen, page, shape)

    return answer_each("FindFolder", ids if ids is not None else (), find)


def _below(folder: Folder, *, is_deep: bool) -> Iterator[Folder]:
    for one in folder.mailbox.below(folder):
        yield one
        if is_deep:
            yield from _below(one, is_deep=True)


def _values(call: Call, folder: Folder) -> Callable[[etree._Element], Value]:
    def value(path: etree._Element) -> Value:
        if local(path) == "ExtendedFieldURI":
            return _extended(folder, read_uri(path))
        name = path.get("FieldURI", "").partition(":")[2]
        return _TEXTS[name](folder) if name in _TEXTS else None

    return value


def _found(call: Call, folders: list[Folder], page: Page, shape: FolderShape) -> Filler:
    chosen, attributes = page.cut(folders)

    def fill(message: etree._Element) -> None:
        root = add(message, m("RootFolder"), **attributes)
        add(root, t("Folders")).extend(write_folder(call, one, shape) for one in chosen)

    return fill


# --- making and taking away --------------------------------------------------------------------------------------


def create_folder(call: Call, request: etree._Element) -> etree._Element:
    """Make folders under a parent."""
    wished = request.find(m("Folders"))

    def create(part: etree._Element) -> Filler:
        parent = folder_in(call, request.find(m("ParentFolderId")))
        rights.check(rights.right_of(call.mailbox, parent), "creates")
        name = part.findtext(t("DisplayName")) or ""
        if any(one.name.casefold() == name.casefold() for one in parent.mailbox.below(parent)):
            raise Refused("ErrorFolderExists", "A folder with the specified name already exists.")
        folder_class = part.findtext(t("FolderClass")) or _CLASSES.get(local(part), "IPF.Note")
        kind = next((one for one, its in _CLASSES.items() if its == folder_class), local(part))
        made = parent.mailbox.add_folder(name, parent=parent, kind=kind, folder_class=folder_class)
        return _holding(write_folder(call, made, FolderShape("IdOnly", frozenset())))

    return answer_each("CreateFolder", wished if wished is not None else (), create, empty="Folders")


def delete_folder(call: Call, request: etree._Element) -> etree._Element:
    """Delete folders with what they hold."""
    ids = request.find(m("FolderIds"))

    def delete(part: etree._Element) -> Filler:
        folder = folder_of(call, part)
        if folder.distinguished:
            raise Refused("ErrorDeleteDistinguishedFolder", "Distinguished folders cannot be deleted.")
        rights.check(rights.right_of(call.mailbox, folder), "deletes")
        for one in [*_below(folder, is_deep=True), folder]:
            del folder.mailbox.folders[one.number]
        return lambda message: None

    return answer_each("DeleteFolder", ids if ids is not None else (), delete)
