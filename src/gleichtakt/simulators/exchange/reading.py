"""The elements clients send, as values: one reader for each kind of property."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from lxml import etree

from gleichtakt.simulators.exchange import bodies, calendar
from gleichtakt.simulators.exchange.properties import Attendee, Person, named
from gleichtakt.simulators.exchange.soap import local, t
from gleichtakt.simulators.exchange.state import Refused
from gleichtakt.simulators.exchange.zones import read_definition, read_meeting_zone


def _text(element: etree._Element) -> str:
    return element.text or ""


def read_bool(text: str) -> bool:
    """Read an xs:boolean."""
    return text.strip() in ("true", "1", "True")


def read_time(text: str) -> datetime:
    """Read an xs:dateTime, naive where it has no offset. Raises Refused."""
    try:
        return datetime.fromisoformat(text.strip())
    except ValueError:
        raise Refused("ErrorSchemaValidation", f"The value '{text}' is no valid dateTime.") from None


def read_body(element: etree._Element) -> bodies.Body:
    """Read a Body element."""
    return bodies.stored(element.get("BodyType", "Text"), _text(element))


def _read_around(element: etree._Element) -> Person:
    return read_person(element.find(t("Mailbox")))


def read_person(mailbox: etree._Element | None) -> Person:
    """Read a Mailbox element. Raises Refused."""
    address = mailbox.findtext(t("EmailAddress")) if mailbox is not None else None
    if mailbox is None or not address:
        raise Refused("ErrorMissingInformationEmailAddress", "The e-mail address is missing.")
    return Person(mailbox.findtext(t("Name")) or address, address, mailbox.findtext(t("RoutingType")) or "SMTP")


def read_attendees(element: etree._Element) -> tuple[Attendee, ...]:
    """Read a list of attendees. What they answered is not for the client to say."""
    return tuple(Attendee(_read_around(one)) for one in element.iterfind(t("Attendee")))


def _read_people(element: etree._Element) -> tuple[Person, ...]:
    return tuple(read_person(one) for one in element.iterfind(t("Mailbox")))


def _read_strings(element: etree._Element) -> tuple[str, ...]:
    return tuple(_text(one) for one in element.iterfind(t("String")))


_READERS: Mapping[str, Callable[[etree._Element], Any]] = {
    "text": _text,
    "bool": lambda element: read_bool(_text(element)),
    "time": lambda element: read_time(_text(element)),
    "body": read_body,
    "strings": _read_strings,
    "person": _read_around,
    "people": _read_people,
    "attendees": read_attendees,
    "recurrence": calendar.read_pattern,
    "zone": read_definition,
    "meeting zone": read_meeting_zone,
    "mime": _text,
}


def read_value(kind: str, element: etree._Element) -> tuple[str, Any]:
    """Read a property's element: the name it is kept under, and its value. Raises Refused for what cannot be set."""
    one = named(kind, local(element))
    if one is None or "w" not in one.where:
        raise Refused(
            "ErrorInvalidPropertySet", "Set action is invalid for property.", {"FieldURI": one.uri if one else local(element)}
        )
    return ("StartTimeZone" if one.name == "MeetingTimeZone" else one.name), _READERS[one.kind](element)
