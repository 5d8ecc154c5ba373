"""The shapes in which items are asked for, and items written in them: each version of an item once, then copied."""

from __future__ import annotations

from copy import deepcopy
from datetime import date

from lxml import etree

from gleichtakt.simulators.exchange.extended import read_uri
from gleichtakt.simulators.exchange.ids import change_key, item_id
from gleichtakt.simulators.exchange.operations.call import Call
from gleichtakt.simulators.exchange.properties import Shape, Uri, View
from gleichtakt.simulators.exchange.reading import read_bool
from gleichtakt.simulators.exchange.rights import Right
from gleichtakt.simulators.exchange.soap import add, local, t
from gleichtakt.simulators.exchange.state import Item, Refused
from gleichtakt.simulators.exchange.writing import render
from gleichtakt.simulators.exchange.zones import of_context

MOST_RENDERED = 8  # shapes kept of one version of an item
_PREFIXES = frozenset({"item", "calendar", "message", "meeting", "meetingRequest", "conversation", "sharingMessage", "postitem"})


def read_shape(element: etree._Element | None, *, is_listing: bool = False) -> Shape:
    """Read an ItemShape. Raises Refused for a property no item here can have."""
    if element is None:
        raise Refused("ErrorSchemaValidation", "The request failed schema validation: ItemShape is missing.")
    paths: set[str] = set()
    extended: list[Uri] = []
    for path in element.iterfind(f"{t('AdditionalProperties')}/*"):
        if local(path) == "ExtendedFieldURI":
            extended.append(read_uri(path))
        elif local(path) == "FieldURI":
            paths.add(property_name(path))
    if read_bool(element.findtext(t("IncludeMimeContent")) or ""):
        paths.add("MimeContent")
    return Shape(
        element.findtext(t("BaseShape")) or "IdOnly",
        element.findtext(t("BodyType")) or "Best",
        frozenset(paths),
        tuple(extended),
        is_listing,
    )


def property_name(path: etree._Element) -> str:
    """Give the name of the property a FieldURI means. Raises Refused for one of other things than items in a mailbox."""
    prefix, _, name = path.get("FieldURI", "").partition(":")
    if prefix not in _PREFIXES:
        raise Refused(
            "ErrorInvalidPropertyRequest", "The property is not valid for this object.", {"FieldURI": path.get("FieldURI", "")}
        )
    return name


def written(call: Call, item: Item, shape: Shape, right: Right, slot: date | None = None) -> etree._Element:
    """Write an item, or one occurrence, as a call asks for it."""
    key = (shape, slot, call.version, call.zone, right)
    found = item.rendered.get(key)
    if found is None:
        view = View(item, slot, call.version, of_context(call.zone), right, shape.body, names_only=shape.is_listing)
        found = render(view, shape)
        if len(item.rendered) >= MOST_RENDERED:
            item.rendered.clear()
        item.rendered[key] = found
    copied: etree._Element = deepcopy(found)
    return copied


def bare(call: Call, item: Item, slot: date | None = None) -> etree._Element:
    """Write an item as those operations answer that made or changed it: its id alone."""
    made = etree.Element(t(item.kind))
    add(made, t("ItemId"), Id=item_id(item, slot, call.version), ChangeKey=change_key(item))
    return made
