"""The address book: names resolved to mailboxes, and room lists with their rooms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lxml import etree

from gleichtakt.simulators.exchange.operations import Call, Operation, Refused
from gleichtakt.simulators.exchange.soap import add, fill_error, m, message, responses, t, text_of
from gleichtakt.simulators.exchange.state import Mailbox, Simulator

MOST_FOUND = 100


@dataclass(slots=True)
class RoomList:
    """A distribution group that is a list of rooms. rooms: their addresses."""

    address: str
    name: str
    rooms: tuple[str, ...] = ()


@dataclass(slots=True)
class Directory:
    """What is in the address book besides the mailboxes themselves. room_lists: by address in small letters."""

    room_lists: dict[str, RoomList] = field(default_factory=dict)

    def add_room_list(self, address: str, name: str, *rooms: str) -> RoomList:
        """Make a room list."""
        made = self.room_lists[address.lower()] = RoomList(address, name, rooms)
        return made

    @property
    def operations(self) -> Mapping[str, Operation]:
        """Give the operations on the address book."""
        return {"ResolveNames": self.resolve_names, "GetRoomLists": self.get_room_lists, "GetRooms": self.get_rooms}

    def get_room_lists(self, call: Call, request: etree._Element) -> etree._Element:
        """Give every room list."""
        made = _succeeded("GetRoomListsResponse")
        found = add(made, m("RoomLists"))
        for one in sorted(self.room_lists.values(), key=lambda room_list: room_list.name):
            _write_address(add(found, t("Address")), one.name, one.address, "PublicDL")
        return made

    def get_rooms(self, call: Call, request: etree._Element) -> etree._Element:
        """Give the rooms of one list."""
        address = text_of(request, "m:RoomList/t:EmailAddress")
        one = self.room_lists.get(address.lower())
        if one is None:
            made = message("GetRoomsResponse", ResponseClass="Error")
            fill_error(made, Refused("ErrorNameResolutionNoResults", "No results were found."))
            return made
        made = _succeeded("GetRoomsResponse")
        rooms = add(made, m("Rooms"))
        for room in one.rooms:
            found = call.simulator.mailboxes.get(room.lower())
            if found is not None:
                _write_address(add(add(rooms, t("Room")), t("Id")), found.name, found.address, "Mailbox")
        return made

    def resolve_names(self, call: Call, request: etree._Element) -> etree._Element:
        """Give whom a name, or the beginning of one, may mean."""
        wanted = text_of(request, "m:UnresolvedEntry")
        found = self._matching(call.simulator, wanted)
        if not found:
            made = message("ResolveNamesResponseMessage", ResponseClass="Error")
            fill_error(made, Refused("ErrorNameResolutionNoResults", "No results were found."))
            return responses("ResolveNames", made)
        made = message("ResolveNamesResponseMessage", ResponseClass="Success" if len(found) == 1 else "Warning")
        if len(found) > 1:
            fill_error(made, Refused("ErrorNameResolutionMultipleResults", "Multiple results were found."))
        else:
            add(made, m("ResponseCode"), "NoError")
        told = str(len(found) <= MOST_FOUND).lower()
        resolutions = add(made, m("ResolutionSet"), TotalItemsInView=str(len(found)), IncludesLastItemInRange=told)
        for name, address, kind in found[:MOST_FOUND]:
            resolution = add(resolutions, t("Resolution"))
            _write_address(add(resolution, t("Mailbox")), name, address, kind)
            if request.get("ReturnFullContactData") == "true" and kind == "Mailbox":
                _write_contact(resolution, name, address)
        return responses("ResolveNames", made)

    def _matching(self, simulator: Simulator, wanted: str) -> list[tuple[str, str, str]]:
        """Give name, address and kind of each entry meant. `smtp:` and a whole address mean exactly one."""
        sought = wanted.lower().removeprefix("smtp:")
        exactly = wanted.lower().startswith("smtp:") or "@" in sought
        entries = [(one.name, one.address, "Mailbox") for one in simulator.mailboxes.values() if _is_listed(one)]
        entries += [(one.name, one.address, "PublicDL") for one in self.room_lists.values()]
        if exactly:
            return [entry for entry in entries if entry[1].lower() == sought]
        return sorted(entry for entry in entries if _begins(entry[0], entry[1], sought))


def _is_listed(mailbox: Mailbox) -> bool:
    return mailbox.is_enabled


def _begins(name: str, address: str, sought: str) -> bool:
    words = (name.lower(), address.lower(), *name.lower().split())
    return bool(sought) and any(word.startswith(sought) for word in words)


def _succeeded(name: str) -> etree._Element:
    made = message(name, ResponseClass="Success")
    add(made, m("ResponseCode"), "NoError")
    return made


def _write_address(made: etree._Element, name: str, address: str, kind: str) -> None:
    add(made, t("Name"), name)
    add(made, t("EmailAddress"), address)
    add(made, t("RoutingType"), "SMTP")
    add(made, t("MailboxType"), kind)


def _write_contact(resolution: etree._Element, name: str, address: str) -> None:
    contact = add(resolution, t("Contact"))
    add(contact, t("DisplayName"), name)
    add(add(contact, t("EmailAddresses")), t("Entry"), f"SMTP:{address}", Key="EmailAddress1")
    add(contact, t("ContactSource"), "ActiveDirectory")
