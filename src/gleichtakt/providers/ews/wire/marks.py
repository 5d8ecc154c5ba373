"""Properties beside the schema: our mark and key, other products' marks, and the ids of meetings. Pure.

Every pair of GUID and name takes a slot of the mailbox for ever, so there is one GUID with three names, and no data in
names. Sources: [MS-OXOCAL] §2.2.1.27 and §2.2.1.28 (global object ids), [MS-OXCICAL] §2.1.3.1.1.20.26 (foreign UIDs).
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from gleichtakt.providers.ews.wire.ids import Property
from gleichtakt.providers.ews.wire.names import T
from gleichtakt.providers.ews.wire.soap import Element, text

_OURS: Final = "c5d7a0f2-3c1e-4b52-9d0e-2f6b8a417e93"
MARK: Final = Property("String", name="GleichtaktMark", set_guid=_OURS)
KEY: Final = Property("String", name="GleichtaktKey", set_guid=_OURS)
DONE: Final = Property("String", name="GleichtaktDone", set_guid=_OURS)  # key of the last write that came to its end

#: What names a meeting in every copy of it; in an occurrence the clean one lacks the date. `UID` cannot be searched by.
GLOBAL_OBJECT_ID: Final = Property("Binary", number=0x03, set_name="Meeting")
CLEAN_GLOBAL_OBJECT_ID: Final = Property("Binary", number=0x23, set_name="Meeting")

#: Properties by which other products mark what they mirrored. Seen in the sources of Outlook Google Calendar Sync.
FOREIGN_MARKS: Final[Mapping[Property, str]] = {
    Property("String", name="googleEventID", set_name="PublicStrings"): "Outlook Google Calendar Sync",
}


def write_property(which: Property, value: str) -> str:
    """Give an extended property with its value."""
    return f"<t:ExtendedProperty>{which.write()}<t:Value>{text(value)}</t:Value></t:ExtendedProperty>"


_PROPERTY: Final = T + "ExtendedProperty"
_URI: Final = T + "ExtendedFieldURI"
_VALUE: Final = T + "Value"
_OF_NAME: Final = {
    "GleichtaktMark": "mark",
    "GleichtaktKey": "key",
    "GleichtaktDone": "done",
    **{which.name: "foreign" for which in FOREIGN_MARKS},
}
_PRODUCT: Final = {which.name: product for which, product in FOREIGN_MARKS.items()}


class Marks(NamedTuple):
    """What stands on an item beside its content; empty where it is not there.

    mark: ours. key: of the write that made it. done: of the last write that came to its end. foreign: the product that
    marked it.
    """

    mark: str = ""
    key: str = ""
    done: str = ""
    foreign: str = ""


def read_marks(properties: Iterator[Element]) -> Marks:
    """Read the marks of an item."""
    found: dict[str, str] = {}
    for each in properties:
        uri = each.find(_URI)
        name = (uri.get("PropertyName") or "") if uri is not None else ""
        if (role := _OF_NAME.get(name)) and uri is not None:
            if role != "foreign" and (uri.get("PropertySetId") or "").lower() != _OURS:
                continue
            value = (each.findtext(_VALUE) or "").strip()
            found[role] = _PRODUCT[name] if role == "foreign" and value else value
    return Marks(**found)


# --- ids of meetings ----------------------------------------------------------------------------------------------

_CLASS: Final = bytes.fromhex("040000008200E00074C5B7101A82E008")
_DATE: Final = slice(16, 20)  # of an occurrence: year, month, day
_FOREIGN: Final = b"vCal-Uid\x01\x00\x00\x00"
_FOREIGN_HEX: Final = _FOREIGN.hex().upper()
_HEX: Final = re.compile(r"(?:[0-9A-Fa-f]{2}){40,}")


def clean_global_object_id(uid: str) -> bytes:
    """Give the id Exchange keeps for a UID: its own ones in hexadecimal without the date, others wrapped."""
    if _HEX.fullmatch(uid) and bytes.fromhex(uid[:32]) == _CLASS:
        own = bytearray.fromhex(uid)
        own[_DATE] = bytes(4)
        return bytes(own)
    content = _FOREIGN + uid.encode() + b"\x00"
    return _CLASS + bytes(20) + len(content).to_bytes(4, "little") + content


def search_value(uid: str) -> str:
    """Give the value to search `CLEAN_GLOBAL_OBJECT_ID` by."""
    return base64.b64encode(clean_global_object_id(uid)).decode()


def plain_uid(said: str) -> str:
    """Give the UID an item tells; one that wraps a foreign UID, as some versions tell it, is unwrapped."""
    if said[80:104].upper() != _FOREIGN_HEX or not _HEX.fullmatch(said):
        return said
    return bytes.fromhex(said[104:]).rstrip(b"\x00").decode("utf-8", "replace") or said


def uid_of(encoded: str) -> str:
    """Give the UID of a global object id in base64; empty where it is none."""
    try:
        found = bytearray(base64.b64decode(encoded, validate=True))
    except (binascii.Error, ValueError):
        return ""
    if len(found) < 40 or found[:16] != _CLASS:
        return ""
    found[_DATE] = bytes(4)
    return plain_uid(found.hex().upper())
