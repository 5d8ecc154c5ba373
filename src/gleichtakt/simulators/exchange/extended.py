"""Extended properties: how clients name them, their values in one spelling, and those the server makes itself."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from lxml import etree

from gleichtakt.simulators.exchange import bodies, calendar, goid
from gleichtakt.simulators.exchange.properties import Uri, View, value_of
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
NUMBERS = ("Integer", "Short", "Long")
Values = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Mirror:
    """A property of an item under the name MAPI gives it. read: values -> what is kept under *name*."""

    name: str
    write: Callable[[Any], Values]
    read: Callable[[Values], Any]


def _one(text: object) -> Values:
    return (str(text),)


def _flag(value: object) -> Values:
    return ("true" if value else "false",)


def _when(instant: datetime) -> Values:
    return (written_time(instant, UTC_ZONE),)


#: What may be set under either name. Sources: [MS-OXPROPS], [MS-OXOCAL] §2.2.
MIRRORS: Mapping[tuple[str, ...], Mirror] = {
    ("tag", str(0x001A), "String"): Mirror("ItemClass", _one, lambda values: values[0]),
    ("tag", str(0x0037), "String"): Mirror("Subject", _one, lambda values: values[0]),
    ("tag", str(0x1000), "String"): Mirror(
        "Body", lambda body: _one(body.given("Text").text), lambda values: bodies.stored("Text", values[0])
    ),
    (SETS["PublicStrings"], "name Keywords", "StringArray"): Mirror("Categories", tuple, lambda values: values),
    (SETS["Appointment"], str(0x8208), "String"): Mirror("Location", _one, lambda values: values[0]),
}
_SENSITIVITIES = ("Normal", "Personal", "Private", "Confidential")
_BUSY = ("Free", "Tentative", "Busy", "OOF", "WorkingElsewhere")


def _global_id(view: View) -> Values:
    return _id_of(view, is_clean=False)


def _clean_global_id(view: View) -> Values:
    return _id_of(view, is_clean=True)


def _id_of(view: View, *, is_clean: bool) -> Values:
    return (base64.b64encode(goid.of_uid(view.get("UID") or "", None if is_clean else view.slot)).decode(),)


def _instance(view: View) -> Values | None:
    """CdoInstanceType, which the store of 2007 computed and later ones no longer do."""
    kind: int = ("Single", "RecurringMaster", "Occurrence", "Exception").index(value_of(view, "CalendarItemType"))
    return _one(kind) if view.version < "Exchange2010" else None


#: What the store says of every item.
_OF_ITEMS: Mapping[tuple[str, ...], Callable[[View], Values | None]] = {
    ("tag", str(0x0E06), "SystemTime"): lambda view: _when(view.item.created),
    ("tag", str(0x0E08), "Integer"): lambda view: _one(value_of(view, "Size")),
    ("tag", str(0x0E23), "Integer"): lambda view: _one(view.item.number),
    ("tag", str(0x3007), "SystemTime"): lambda view: _when(view.item.created),
    ("tag", str(0x3008), "SystemTime"): lambda view: _when(view.item.modified),
    ("tag", str(0x0036), "Integer"): lambda view: _one(_SENSITIVITIES.index(view.get("Sensitivity") or "Normal")),
}
#: What it says of calendar items.
_OF_APPOINTMENTS: Mapping[tuple[str, ...], Callable[[View], Values | None]] = {
    (SETS["Meeting"], "3", "Binary"): _global_id,
    (SETS["Meeting"], "35", "Binary"): _clean_global_id,
    (SETS["Appointment"], str(0x8205), "Integer"): lambda view: _one(_BUSY.index(view.get("LegacyFreeBusyStatus") or "Busy")),
    (SETS["Appointment"], str(0x820D), "SystemTime"): lambda view: _when(view.span.start),
    (SETS["Appointment"], str(0x820E), "SystemTime"): lambda view: _when(view.span.end),
    (SETS["Appointment"], str(0x8215), "Boolean"): lambda view: _flag(view.get("IsAllDayEvent")),
    (SETS["Appointment"], str(0x8223), "Boolean"): lambda view: _flag(calendar.pattern_of(view.item)),
    (SETS["PublicStrings"], "name urn:schemas:calendar:instancetype", "Integer"): _instance,
}


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
        if kind in NUMBERS:
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
    if (mirror := MIRRORS.get(uri.key)) is not None:
        value = value_of(view, mirror.name)
        return mirror.write(value) if value is not None else None
    made = _OF_ITEMS.get(uri.key) or (_OF_APPOINTMENTS.get(uri.key) if view.item.kind == "CalendarItem" else None)
    if made is not None:
        return made(view)
    own = view.item.overrides.get(view.slot, {}).get("ExtendedProperty", {}) if view.slot else {}
    found: tuple[str, ...] | None = {**(view.item.values.get("ExtendedProperty") or {}), **own}.get(uri)
    return found
