"""Properties beside the schema: our mark and keys, other products' marks; and UIDs of other systems. Pure.

Every pair of GUID and name takes a slot of the mailbox for ever, so there is one GUID with three names, and no data in
names. Source: [MS-OXCICAL] §2.1.3.1.1.20.26 (foreign UIDs).
"""

from __future__ import annotations

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


# --- UIDs ---------------------------------------------------------------------------------------------------------

_FOREIGN_HEX: Final = b"vCal-Uid\x01\x00\x00\x00".hex().upper()
_HEX: Final = re.compile(r"(?:[0-9A-Fa-f]{2}){40,}")


def plain_uid(said: str) -> str:
    """Give the UID an item tells; one that wraps a foreign UID, as some versions tell it, is unwrapped."""
    if said[80:104].upper() != _FOREIGN_HEX or not _HEX.fullmatch(said):
        return said
    return bytes.fromhex(said[104:]).rstrip(b"\x00").decode("utf-8", "replace") or said
