"""Organizers and attendees, both ways. Pure.

An address may be no SMTP address but the directory's own name (``/O=FIRST ORGANIZATION/…``); it is kept as it is and
written back with its routing type.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Final

from gleichtakt.model.event import Attendee, Event, Person, Response
from gleichtakt.providers.ews.wire.names import RESPONSE, T
from gleichtakt.providers.ews.wire.soap import Element, text

_NAME: Final = T + "Name"
_EMAIL: Final = T + "EmailAddress"
_MAILBOX: Final = T + "Mailbox"
_RESPONSE: Final = T + "ResponseType"

#: Element that lists them, by role; `chair` is required too.
ROLES: Final[Mapping[str, str]] = {
    "RequiredAttendees": "required",
    "OptionalAttendees": "optional",
    "Resources": "resource",
}
_LIST_OF: Final = {
    "required": "RequiredAttendees",
    "chair": "RequiredAttendees",
    "optional": "OptionalAttendees",
    "resource": "Resources",
}


def read_person(element: Element | None) -> Person | None:
    """Read an `Organizer`; None where nobody is named."""
    if element is None:
        return None
    email = next(element.iter(_EMAIL), None)
    name = next(element.iter(_NAME), None)
    found = Person(_said(email), _said(name))
    return found if found.email or found.name else None


def _said(element: Element | None) -> str:
    return (element.text or "").strip() if element is not None else ""


def read_attendees(element: Element, role: str) -> list[Attendee]:
    """Read a list of attendees; one without an address is nobody we could name."""
    count = len(element)
    emails = [each.text for each in element.iter(_EMAIL)]
    names = [each.text for each in element.iter(_NAME)]
    answers = [each.text for each in element.iter(_RESPONSE)]
    if not len(emails) == len(names) == len(answers) == count:
        return [found for each in element if (found := _attendee(each, role)).email]
    return [_known(*each, role) for each in zip(emails, names, answers, strict=True) if each[0]]


@lru_cache(maxsize=4096)
def _known(email: str, name: str | None, answer: str | None, role: str) -> Attendee:
    """Make an attendee; the same colleagues meet again and again."""
    return Attendee(email.strip(), (name or "").strip(), RESPONSE.get((answer or "").strip(), Response.NONE), role)


def _attendee(element: Element, role: str) -> Attendee:
    answer = element.findtext(_RESPONSE) or ""
    who = element.find(_MAILBOX)
    who = element if who is None else who
    return Attendee(_said(who.find(_EMAIL)), _said(who.find(_NAME)), RESPONSE.get(answer.strip(), Response.NONE), role)


def by_list(event: Event) -> Mapping[str, Sequence[Attendee]]:
    """Give the attendees by the element that lists them; the organizer is not invited."""
    own = event.organizer.email.lower() if event.organizer else ""
    found: dict[str, list[Attendee]] = {name: [] for name in ROLES}
    for each in event.attendees:
        if each.response is not Response.ORGANIZER and each.email.lower() != own:
            found[_LIST_OF.get(each.role, "RequiredAttendees")].append(each)
    return found


def write_attendees(name: str, people: Iterable[Attendee]) -> str:
    """Give a list of attendees; empty where there are none, as the schema allows no empty list."""
    listed = "".join(map(_write, people))
    return f"<t:{name}>{listed}</t:{name}>" if listed else ""


def _write(who: Attendee) -> str:
    shown = f"<t:Name>{text(who.name)}</t:Name>" if who.name else ""
    routing = "<t:RoutingType>EX</t:RoutingType>" if who.email.upper().startswith("/O=") else ""
    return f"<t:Attendee><t:Mailbox>{shown}<t:EmailAddress>{text(who.email)}</t:EmailAddress>{routing}</t:Mailbox></t:Attendee>"
