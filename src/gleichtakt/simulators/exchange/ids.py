"""Ids and change keys: opaque to clients, case matters, each format a coat around the same place in a mailbox.

An item id names folder and item, so it changes when the item moves; that of an occurrence names its original day too.
"""

from __future__ import annotations

import base64
import binascii
import struct
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from urllib.parse import quote, unquote
from uuid import NAMESPACE_URL, UUID, uuid5

from gleichtakt.simulators.exchange.state import Folder, Item, Mailbox, Refused, Simulator

_LEGACY = b"\x01\x04\x24\x00"
_GUID, _ENTRY = b"\x00\x03\x24\x00", b"\x00\x46\x00"  # what the two parts of an EwsId begin with; both say its length
_PLACE = struct.Struct(">III")  # folder, item, ordinal of the day
_KEY = struct.Struct(">HIH")  # folder, change, a count of the mailbox's moves
_KEY_HEAD = b"\x0f\x00\x00\x00\x16\x00\x00\x00"
LEGACY_VERSION = "Exchange2007"


@dataclass(frozen=True, slots=True)
class Place:
    """What an id names: an item, an occurrence of it, or, without item, a folder. owner: bytes that name the mailbox."""

    owner: bytes
    folder: int
    item: int = 0
    slot: date | None = None

    def packed(self) -> bytes:
        """Give all of it as bytes that notice a changed one."""
        body = self.owner + _PLACE.pack(self.folder, self.item, self.slot.toordinal() if self.slot else 0)
        return body + zlib.crc32(body).to_bytes(4)


@lru_cache(maxsize=4096)
def _owner(address: str, number: int) -> bytes:
    return uuid5(NAMESPACE_URL, f"{number}/{address.lower()}").bytes


def owner_of(mailbox: Mailbox) -> bytes:
    """Give the bytes that name a mailbox in ids."""
    return _owner(mailbox.address, mailbox.number)


def item_place(item: Item, slot: date | None = None) -> Place:
    """Give the place of an item, or of one occurrence."""
    return Place(owner_of(item.folder.mailbox), item.folder.number, item.number, slot)


def item_id(item: Item, slot: date | None = None, version: str = "") -> str:
    """Write an item id."""
    return written(item_place(item, slot), "EwsLegacyId" if version == LEGACY_VERSION else "EwsId")


def folder_id(folder: Folder, version: str = "") -> str:
    """Write a folder id."""
    place = Place(owner_of(folder.mailbox), folder.number)
    return written(place, "EwsLegacyId" if version == LEGACY_VERSION else "EwsId")


def change_key(item: Item) -> str:
    """Write the change key an item has now; its occurrences have the same."""
    return _key(item.folder, item.change)


def folder_key(folder: Folder) -> str:
    """Write the change key of a folder."""
    return _key(folder, folder.version)


def _key(folder: Folder, change: int) -> str:
    packed = _KEY.pack(folder.number, change, folder.mailbox.number & 0xFFFF)
    return base64.b64encode(_KEY_HEAD + owner_of(folder.mailbox) + packed[:6]).decode()


def change_of(key: str) -> int:
    """Read the number of the change a key stands for. Raises Refused."""
    try:
        raw = base64.b64decode(key, validate=True)
        if not raw.startswith(_KEY_HEAD) or len(raw) != len(_KEY_HEAD) + 22:
            raise ValueError
    except (ValueError, binascii.Error):
        raise Refused("ErrorInvalidChangeKey", "The change key is invalid.") from None
    return int.from_bytes(raw[-4:])


# --- formats -----------------------------------------------------------------------------------------------------


def _ews(packed: bytes) -> str:
    """Write an id as long as those of real servers: the mailbox as a GUID in letters, then an entry id of 70 bytes."""
    guid, entry = str(UUID(bytes=packed[:16])).encode(), bytes(4) + packed + bytes(34)
    return base64.b64encode(_GUID + guid + _ENTRY + entry).decode()


def _read_ews(text: str) -> bytes:
    raw = base64.b64decode(text, validate=True)
    packed = raw[47:79]
    if _ews(packed) != text:
        raise ValueError
    return packed


def _legacy(packed: bytes) -> str:
    return base64.b64encode(_LEGACY + packed).decode()


def _entry(packed: bytes) -> str:
    return base64.b64encode(b"\x00\x00\x00\x00" + packed).decode()


def _hex(packed: bytes) -> str:
    return "00000000" + packed.hex().upper()


def _store(packed: bytes) -> str:
    return base64.b64encode(b"\x46\x00\x00\x00" + packed).decode()


def _owa(packed: bytes) -> str:
    return quote("RgAAAA" + base64.b64encode(packed).decode(), safe="")


def _headed(head: bytes) -> Callable[[str], bytes]:
    def read(text: str) -> bytes:
        raw = base64.b64decode(text, validate=True)
        if not raw.startswith(head):
            raise ValueError
        return raw[len(head) :]

    return read


FORMATS: Mapping[str, tuple[Callable[[bytes], str], Callable[[str], bytes]]] = {
    "EwsLegacyId": (_legacy, _headed(_LEGACY)),
    "EwsId": (_ews, _read_ews),
    "EntryId": (_entry, _headed(b"\x00\x00\x00\x00")),
    "HexEntryId": (_hex, lambda text: bytes.fromhex(text.removeprefix("00000000"))),
    "StoreId": (_store, _headed(b"\x46\x00\x00\x00")),
    "OwaId": (_owa, lambda text: base64.b64decode(unquote(text).removeprefix("RgAAAA"), validate=True)),
}


def written(place: Place, form: str) -> str:
    """Write a place as an id of one of the formats."""
    return FORMATS[form][0](place.packed())


def read_id(text: str, form: str = "EwsId") -> Place:
    """Read an id of one of the formats. Raises Refused."""
    if not text:
        raise Refused("ErrorInvalidIdEmpty", "Id must be non-empty.")
    try:
        packed = FORMATS[form][1](text)
        if len(packed) != 32 or zlib.crc32(packed[:28]) != int.from_bytes(packed[28:]):
            raise ValueError
    except (ValueError, binascii.Error):
        raise _malformed(text, form) from None
    folder, item, ordinal = _PLACE.unpack(packed[16:28])
    return Place(packed[:16], folder, item, date.fromordinal(ordinal) if ordinal else None)


def _malformed(text: str, form: str) -> Refused:
    if form == "EwsId" and text.startswith(base64.b64encode(_LEGACY[:3]).decode()):
        return Refused(
            "ErrorInvalidIdMalformedEwsLegacyIdFormat",
            "Id is malformed. It looks like one in the EwsLegacyId format; use ConvertId to convert it.",
        )
    return Refused("ErrorInvalidIdMalformed", "Id is malformed.")


def mailbox_of(simulator: Simulator, place: Place) -> Mailbox | None:
    """Give the mailbox an id belongs to."""
    if len(simulator.owners) != len(simulator.mailboxes):
        simulator.owners = {owner_of(one): one for one in simulator.mailboxes.values()}
    return simulator.owners.get(place.owner)
