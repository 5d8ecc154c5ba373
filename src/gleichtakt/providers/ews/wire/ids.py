"""What a request can point at: folders, items, occurrences of a series, properties. Pure.

Ids are compared byte by byte; a change key names one version. Each value writes itself as the element the schema asks for.
"""

from __future__ import annotations

from dataclasses import dataclass

from gleichtakt.providers.ews.wire.soap import Element, attribute, text


def _key(change_key: str) -> str:
    return f" ChangeKey={attribute(change_key)}" if change_key else ""


@dataclass(frozen=True, slots=True)
class FolderId:
    """A folder by id."""

    id: str
    change_key: str = ""

    def write(self) -> str:
        """Give the element."""
        return f"<t:FolderId Id={attribute(self.id)}{_key(self.change_key)}/>"


@dataclass(frozen=True, slots=True)
class Distinguished:
    """A folder every mailbox has, such as `calendar`. mailbox: the owner's address; empty for the caller's own."""

    name: str = "calendar"
    mailbox: str = ""

    def write(self) -> str:
        """Give the element."""
        if not self.mailbox:
            return f'<t:DistinguishedFolderId Id="{self.name}"/>'
        owner = f"<t:Mailbox><t:EmailAddress>{text(self.mailbox)}</t:EmailAddress></t:Mailbox>"
        return f'<t:DistinguishedFolderId Id="{self.name}">{owner}</t:DistinguishedFolderId>'


@dataclass(frozen=True, slots=True)
class ItemId:
    """An item, a series' master or one of its exceptions, at a version or at any."""

    id: str
    change_key: str = ""

    def write(self) -> str:
        """Give the element."""
        return f"<t:ItemId Id={attribute(self.id)}{_key(self.change_key)}/>"


@dataclass(frozen=True, slots=True)
class Occurrence:
    """The n-th occurrence of a master, counted from 1, deleted ones included. change_key: of the master."""

    master: str
    index: int
    change_key: str = ""

    def write(self) -> str:
        """Give the element."""
        key = _key(self.change_key)
        return f'<t:OccurrenceItemId RecurringMasterId={attribute(self.master)}{key} InstanceIndex="{self.index}"/>'


@dataclass(frozen=True, slots=True)
class Property:
    """An extended property: a name or number within a set, a well-known set by name or any by GUID."""

    type: str
    name: str = ""
    number: int | None = None
    set_name: str = ""
    set_guid: str = ""

    def write(self) -> str:
        """Give the path to it."""
        place = f"DistinguishedPropertySetId={attribute(self.set_name)}"
        if self.set_guid:
            place = f"PropertySetId={attribute(self.set_guid)}"
        which = f"PropertyName={attribute(self.name)}" if self.number is None else f'PropertyId="{self.number}"'
        return f'<t:ExtendedFieldURI {place} {which} PropertyType="{self.type}"/>'


FolderRef = FolderId | Distinguished
ItemRef = ItemId | Occurrence


def read_item_id(element: Element | None) -> ItemId | None:
    """Read an element with an id and a change key; None where there is none."""
    found = element.get("Id") if element is not None else None
    return ItemId(found, element.get("ChangeKey") or "") if element is not None and found else None
