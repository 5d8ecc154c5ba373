"""The directory: who is meant by a name, the lists of rooms, the rooms. Pure."""

from __future__ import annotations

from typing import Final

from gleichtakt.providers.ews.wire.elements import child, children, inside, said
from gleichtakt.providers.ews.wire.soap import Element
from gleichtakt.providers.protocol import Entry

_KINDS: Final = {
    "Mailbox": "person",
    "OneOff": "contact",
    "Contact": "contact",
    "PublicDL": "group",
    "PrivateDL": "group",
    "GroupMailbox": "group",
}


def read_resolutions(message: Element) -> tuple[Entry, ...]:
    """Read one message of ResolveNames; several results come with a warning and are all good."""
    return tuple(found for each in inside(message, "Resolution") if (found := _entry(child(each, "Mailbox"))).mailbox)


def _entry(mailbox: Element | None, kind: str = "", listed_in: str = "") -> Entry:
    named = said(mailbox, "MailboxType")
    address = said(mailbox, "EmailAddress") if said(mailbox, "RoutingType") in ("", "SMTP") else ""
    return Entry(address, said(mailbox, "Name"), kind or _KINDS.get(named, "person"), listed_in)


def read_room_lists(answer: Element) -> tuple[Entry, ...]:
    """Read the lists of GetRoomLists."""
    return tuple(_entry(each, "group") for each in children(child(answer, "RoomLists"), "Address") if said(each, "EmailAddress"))


def read_rooms(answer: Element, listed_in: str) -> tuple[Entry, ...]:
    """Read the rooms of GetRooms, as members of a list."""
    found = (child(each, "Id") for each in children(child(answer, "Rooms"), "Room"))
    return tuple(_entry(each, "room", listed_in) for each in found if said(each, "EmailAddress"))
