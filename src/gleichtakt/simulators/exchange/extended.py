"""Extended properties: how clients name them, their values in one spelling, and those the server makes itself."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from datetime import UTC, datetime

from lxml import etree

from gleichtakt.simulators.exchange import goid
from gleichtakt.simulators.exchange.properties import Uri, View
from gleichtakt.simulators.exchange.reading import read_bool, read_time
from gleichtakt.simulators.exchange.soap import t
from gleichtakt.simulators.exchange.state import Refused
from gleichtakt.simulators.exchange.zones import UTC_ZONE, written_time

SETS: Mapping[str, str] = {
    "Meeting": "6ed8da90-450b-101b-98da-00aa003f1305",
    "Appointment": "00062002-0000-0000-c000-000000000046",
    "Common": "00062008-0000-0000-c000-000000000046",
    "PublicStrings": "00020329-0000-0000-c000-000000000046",
    "Address": "00062004-0000-0000-c000-000000000046",
    "InternetHeaders": "00020386-0000-0000-c000-000000000046",
    "CalendarAssistant": "11000e07-b51b-40d6-af21-caa85edab1d0",
    "UnifiedMessaging": "4442858e-a9e3-4e80-b900-317a210cc15b",
    "Task": "00062003-0000-0000-c000-000000000046",
    "Sharing": "00062040-0000-0000-c000-000000000046",
}
_GLOBAL_ID = (SETS["Meeting"], "3", "Binary")
_CLEAN_GLOBAL_ID = (SETS["Meeting"], "35", "Binary")


def read_uri(element: etree._Element) -> Uri:
    """Read an ExtendedFieldURI. Raises Refused."""
    attributes = tuple(sorted((str(name), str(value)) for name, value in element.attrib.items()))
    given, kind = dict(attributes), element.get("PropertyType", "")
    if tag := given.get("PropertyTag"):
        return Uri(("tag", str(int(tag, 0)), kind), attributes)
    guid = given.get("PropertySetId", "").lower().strip("{}") or SETS.get(given.get("DistinguishedPropertySetId", ""), "")
    name = f"name {given['PropertyName']}" if "PropertyName" in given else given.get("PropertyId", "")
    if not guid or not name or not kind:
        raise Refused("ErrorInvalidExtendedProperty", "The extended property attribute combination is invalid.")
    return Uri((guid, name, kind), attributes)


def read_extended(element: etree._Element) -> tuple[Uri, tuple[str, ...]]:
    """Read an ExtendedProperty: its URI and its values, in one spelling per value. Raises Refused."""
    named_by = element.find(t("ExtendedFieldURI"))
    if named_by is None:
        raise Refused("ErrorInvalidExtendedProperty", "The extended property has no URI.")
    uri = read_uri(named_by)
    many = element.find(t("Values"))
    if (many is not None) != uri.type.endswith("Array"):
        raise Refused("ErrorInvalidExtendedPropertyValue", "The value does not match the type of the property.")
    texts = [one.text or "" for one in many] if many is not None else [element.findtext(t("Value")) or ""]
    return uri, tuple(_normal(uri.type.removesuffix("Array"), text) for text in texts)


def _normal(kind: str, text: str) -> str:
    try:
        if kind in ("Integer", "Short", "Long"):
            return str(int(text))
        if kind == "Boolean":
            return "true" if read_bool(text) else "false"
        if kind == "Binary":
            return base64.b64encode(base64.b64decode(text, validate=True)).decode()
        if kind in ("SystemTime", "ApplicationTime"):
            return written_time(_aware(read_time(text)), UTC_ZONE)
    except (ValueError, binascii.Error, Refused):
        raise Refused("ErrorInvalidExtendedPropertyValue", "The value does not match the type of the property.") from None
    return text


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def extended_of(view: View, uri: Uri) -> tuple[str, ...] | None:
    """Give the values of an extended property, of those the server makes itself too; None where it is absent."""
    if view.item.kind == "CalendarItem" and uri.key in (_GLOBAL_ID, _CLEAN_GLOBAL_ID):
        day = view.slot if uri.key == _GLOBAL_ID else None
        return (base64.b64encode(goid.of_uid(view.get("UID") or "", day)).decode(),)
    own = view.item.overrides.get(view.slot, {}).get("ExtendedProperty", {}) if view.slot else {}
    found: tuple[str, ...] | None = {**(view.item.values.get("ExtendedProperty") or {}), **own}.get(uri)
    return found
