"""Items as XML: every kind of value as its element, in the order of the schema and in the shape that is asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

from lxml import etree

from gleichtakt.simulators.exchange import calendar, icalendar
from gleichtakt.simulators.exchange.extended import extended_of
from gleichtakt.simulators.exchange.ids import change_key, folder_id, folder_key, item_id
from gleichtakt.simulators.exchange.properties import PROPERTIES, Person, Property, Shape, Uri, View, value_of
from gleichtakt.simulators.exchange.soap import add, t
from gleichtakt.simulators.exchange.zones import definition, meeting_zone, written_time


def add_person(parent: etree._Element, person: Person, *, names_only: bool = False) -> None:
    """Append a Mailbox element."""
    made = add(parent, t("Mailbox"))
    add(made, t("Name"), person.name)
    if names_only:
        return
    add(made, t("EmailAddress"), person.address)
    add(made, t("RoutingType"), person.routing)
    add(made, t("MailboxType"), person.type)


def _write_text(parent: etree._Element, tag: str, value: Any, view: View) -> None:
    add(parent, tag, str(value))


def _write_bool(parent: etree._Element, tag: str, value: Any, view: View) -> None:
    add(parent, tag, "true" if value else "false")


def _write_time(parent: etree._Element, tag: str, value: Any, view: View) -> None:
    add(parent, tag, written_time(value, view.zone))


def _write_wall(parent: etree._Element, tag: str, value: Any, view: View) -> None:
    zone, instant = value
    add(parent, tag, written_time(instant, zone))


def _write_body(parent: etree._Element, tag: str, value: Any, view: View) -> None:
    given = value.given(view.body)
    add(parent, tag, given.text, BodyType=given.kind)


def _write_text_body(parent: etree._Element, tag: str, value: Any, view: View) -> None:
    add(parent, tag, value.given("Text").text, BodyType="Text", IsTruncated="false")


def _write_strings(parent: etree._Element, tag: str, value: Any, view: View) -> None:
    if value:
        made = add(parent, tag)
        for text in value:
            add(made, t("String"), text)


def _write_person(parent: etree._Element, tag: str, value: Any, view: View) -> None:
    add_person(add(parent, tag), value, names_only=view.names_only)


def _write_people(parent: etree._Element, tag: str, value: Any, view: View) -> None:
    made = add(parent, tag)
    for person in value:
        add_person(made, person)


def _write_attendees(parent: etree._Element, tag: str, value: Any, view: View) -> None:
    if not value:
        return
    made = add(parent, tag)
    for attendee in value:
        one = add(made, t("Attendee"))
        add_person(one, attendee.person)
        add(one, t("ResponseType"), attendee.response)
        if attendee.answered:
            add(one, t("LastResponseTime"), written_time(attendee.answered, view.zone))


def _write_id(parent: etree._Element, tag: str, value: Any, view: View) -> None:
    add(parent, tag, Id=item_id(view.item, view.slot, view.version), ChangeKey=change_key(view.item))


def _write_id_of(parent: etree._Element, tag: str, value: Any, view: View) -> None:
    add(parent, tag, Id=item_id(value, None, view.version), ChangeKey=change_key(value))


def _write_folder(parent: etree._Element, tag: str, value: Any, view: View) -> None:
    folder = view.item.folder
    add(parent, tag, Id=folder_id(folder, view.version), ChangeKey=folder_key(folder))


def _write_rights(parent: etree._Element, tag: str, value: Any, view: View) -> None:
    view.right.write(parent, tag, is_folder=False, tells_private=view.version >= "Exchange2010")


def _write_recurrence(parent: etree._Element, tag: str, value: Any, view: View) -> None:
    parent.append(calendar.write_pattern(value, calendar.zone_of_item(view.item)))


def _write_occurrence(parent: etree._Element, tag: str, slot: Any, view: View) -> None:
    made, when = add(parent, tag), calendar.span(view.item, slot)
    add(made, t("ItemId"), Id=item_id(view.item, slot, view.version), ChangeKey=change_key(view.item))
    add(made, t("Start"), written_time(when.start, view.zone))
    add(made, t("End"), written_time(when.end, view.zone))
    add(made, t("OriginalStart"), written_time(calendar.original(view.item, slot).start, view.zone))


def _write_occurrences(parent: etree._Element, tag: str, value: Any, view: View) -> None:
    if value:
        made = add(parent, tag)
        for slot in value:
            _write_occurrence(made, t("Occurrence"), slot, view)


def _write_deleted(parent: etree._Element, tag: str, value: Any, view: View) -> None:
    if value:
        made = add(parent, tag)
        for slot in sorted(value):
            add(add(made, t("DeletedOccurrence")), t("Start"), written_time(value[slot], view.zone))


def _write_zone(parent: etree._Element, tag: str, value: Any, view: View) -> None:
    parent.append(definition(value, tag, view.year))


def _write_meeting_zone(parent: etree._Element, tag: str, value: Any, view: View) -> None:
    parent.append(meeting_zone(value, view.year))


def _write_mime(parent: etree._Element, tag: str, value: Any, view: View) -> None:
    if view.item.kind == "CalendarItem":  # mails are kept without their text
        add(parent, tag, icalendar.write(view), CharacterSet="UTF-8")


_WRITERS: Mapping[str, Callable[[etree._Element, str, Any, View], None]] = {
    "text": _write_text,
    "bool": _write_bool,
    "time": _write_time,
    "wall": _write_wall,
    "body": _write_body,
    "text body": _write_text_body,
    "strings": _write_strings,
    "person": _write_person,
    "people": _write_people,
    "attendees": _write_attendees,
    "id of": _write_id_of,
    "recurrence": _write_recurrence,
    "occurrence": _write_occurrence,
    "occurrences": _write_occurrences,
    "deleted": _write_deleted,
    "zone": _write_zone,
    "meeting zone": _write_meeting_zone,
}
_WITHOUT_VALUE: Mapping[str, Callable[[etree._Element, str, Any, View], None]] = {
    "id": _write_id,
    "folder": _write_folder,
    "rights": _write_rights,
    "mime": _write_mime,
}


def _write_extended(parent: etree._Element, wished: tuple[Uri, ...], view: View) -> None:
    for uri in wished:
        values = None if view.is_blank else extended_of(view, uri)
        if values is None:
            continue
        made = add(parent, t("ExtendedProperty"))
        add(made, t("ExtendedFieldURI"), None, **dict(uri.attributes))
        into = add(made, t("Values")) if uri.type.endswith("Array") else made
        for value in values:
            add(into, t("Value"), value)


def is_given(one: Property, shape: Shape) -> bool:
    """Say whether a shape asks for a property."""
    if one.name in ("ItemId", "ExtendedProperty"):
        return True
    if shape.is_listing and "F" not in one.where:
        return False
    return one.name in shape.paths or shape.base[0] in one.where  # IdOnly, Default, AllProperties


@lru_cache(maxsize=256)
def _wanted(kind: str, version: str, shape: Shape) -> tuple[tuple[Property, str], ...]:
    """Give the properties a shape asks for that a version has, each with the name of its element."""
    return tuple((one, t(one.name)) for one in PROPERTIES[kind] if one.is_known(version) and is_given(one, shape))


def render(view: View, shape: Shape) -> etree._Element:
    """Write an item in a shape."""
    made = etree.Element(t(view.item.kind))
    for one, tag in _wanted(view.item.kind, view.version, shape):
        if one.kind == "extended":
            _write_extended(made, shape.extended, view)
        elif one.kind in _WITHOUT_VALUE:
            _WITHOUT_VALUE[one.kind](made, tag, None, view)
        elif (value := value_of(view, one.name)) is not None:
            _WRITERS[one.kind](made, tag, value, view)
    return made
