"""What somebody may do in somebody else's folder: the permission levels Outlook shows, as plain rights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lxml import etree

from gleichtakt.simulators.exchange.soap import add, t
from gleichtakt.simulators.exchange.state import Folder, Refused


@dataclass(frozen=True, slots=True)
class Right:
    """visible: the folder can be found. reads: the items in full. creates, edits, deletes: items. sees_private: those too."""

    visible: bool = False
    reads: bool = False
    creates: bool = False
    edits: bool = False
    deletes: bool = False
    sees_private: bool = False

    def write(self, parent: etree._Element, tag: str, *, is_folder: bool, tells_private: bool) -> None:
        """Append EffectiveRights. Creating is a right in a folder; an item has none of it."""
        made, creates = add(parent, tag), self.creates and is_folder
        told = (("CreateAssociated", creates), ("CreateContents", creates), ("CreateHierarchy", creates and self.sees_private))
        for name, value in (*told, ("Delete", self.deletes), ("Modify", self.edits), ("Read", self.reads)):
            add(made, t(name), "true" if value else "false")
        if tells_private:
            add(made, t("ViewPrivateItems"), "true" if self.sees_private else "false")


OWNER = Right(visible=True, reads=True, creates=True, edits=True, deletes=True, sees_private=True)
#: Permission level -> right; `Delegate` is Editor with the box «can see my private items» ticked.
LEVELS: Mapping[str, Right] = {
    "None": Right(),
    "FreeBusyTimeOnly": Right(),
    "FreeBusyTimeAndSubjectAndLocation": Right(),
    "Contributor": Right(visible=True, creates=True),
    "Reviewer": Right(visible=True, reads=True),
    "NoneditingAuthor": Right(visible=True, reads=True, creates=True, deletes=True),
    "Author": Right(visible=True, reads=True, creates=True, edits=True, deletes=True),
    "PublishingAuthor": Right(visible=True, reads=True, creates=True, edits=True, deletes=True),
    "Editor": Right(visible=True, reads=True, creates=True, edits=True, deletes=True),
    "PublishingEditor": Right(visible=True, reads=True, creates=True, edits=True, deletes=True),
    "Delegate": OWNER,
    "Owner": Right(visible=True, reads=True, creates=True, edits=True, deletes=True),
}


def right_of(who: str, folder: Folder) -> Right:
    """Give what somebody may do in a folder. who: address."""
    if who.lower() == folder.mailbox.address.lower():
        return OWNER
    granted = {address.lower(): level for address, level in folder.permissions.items()}
    return LEVELS[granted.get(who.lower(), granted.get("default", "None"))]


def check(right: Right, deed: str) -> None:
    """Raise Refused unless a right allows a deed: reads, creates, edits or deletes."""
    if not getattr(right, deed):
        code = "ErrorCreateItemAccessDenied" if deed == "creates" else "ErrorAccessDenied"
        raise Refused(code, "Access is denied. Check credentials and try again.")
