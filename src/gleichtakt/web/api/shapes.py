"""How events look in the description of the interface. `model.document` reads and writes them; this tells about it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from litestar.openapi.spec import OpenAPIFormat, OpenAPIType, Reference, Schema
from litestar.plugins import OpenAPISchemaPlugin
from litestar.typing import FieldDefinition

from gleichtakt.model.document import ATTENDEE_ROLES
from gleichtakt.model.event import Response, Sensitivity, ShowAs, Status


class EventBody(dict[str, Any]):
    """An event as a caller writes it."""


class EventDocument(dict[str, Any]):
    """An event as it is given."""


class EventPage(msgspec.Struct):
    """One page of events. next: send it as `cursor` for the following page; null on the last."""

    items: list[EventDocument]
    next: str | None = None


def read_body(_kind: type, found: object) -> EventBody:
    """Take any JSON object as an event; `model.document` looks closer and says where it is wrong."""
    if not isinstance(found, Mapping):
        raise TypeError("Expected `object`")
    return EventBody(found)


def _text(description: str = "") -> Schema:
    return Schema(type=OpenAPIType.STRING, description=description or None)


def _list(of: Schema) -> Schema:
    return Schema(type=OpenAPIType.ARRAY, items=of)


def _object(required: list[str], tells: str = "", /, **properties: Schema) -> Schema:
    parts: dict[str, Schema | Reference] = {**properties}
    return Schema(type=OpenAPIType.OBJECT, properties=parts, required=required or None, description=tells or None)


def _nullable(schema: Schema) -> Schema:
    return Schema(one_of=[schema, Schema(type=OpenAPIType.NULL)])


def _choice(values: list[str]) -> Schema:
    return Schema(type=OpenAPIType.STRING, enum=values)


_ZONE = Schema(
    one_of=[
        _text("IANA name; null is a floating time"),
        _object(["custom"], "rules no name fits", custom=_text("BEGIN:VTIMEZONE…")),
        Schema(type=OpenAPIType.NULL),
    ]
)
_FOLD = Schema(type=OpenAPIType.INTEGER, enum=[0, 1], description="1: the second of two equal clock times in autumn")
POINT = Schema(
    one_of=[
        _object(
            ["date_time"],
            "a clock time in a zone",
            date_time=Schema(type=OpenAPIType.STRING, examples=["2026-11-23T09:00:00"]),
            time_zone=_ZONE,
            fold=_FOLD,
        ),
        _object(["date"], "a whole day", date=Schema(type=OpenAPIType.STRING, examples=["2026-11-23"])),
    ]
)
_PERSON = _object(["email"], email=_text(), name=_text())
_ATTENDEE = _object(
    ["email"],
    email=_text(),
    name=_text(),
    response=_choice([response.value for response in Response]),
    role=_choice(list(ATTENDEE_ROLES)),
)
_CONTENT: Mapping[str, Schema] = {
    "title": _text(),
    "description": _text(),
    "location": _text(),
    "start": POINT,
    "end": POINT,
    "show_as": _choice([state.value for state in ShowAs]),
    "sensitivity": _choice([level.value for level in Sensitivity]),
    "status": _choice([status.value for status in Status]),
    "organizer": _nullable(_PERSON),
    "attendees": _list(_ATTENDEE),
    "categories": _list(_text()),
    "reminders": _list(Schema(type=OpenAPIType.INTEGER, description="minutes before the start")),
    "conference_url": _text(),
    "url": _text(),
}
_RECURRENCE = _object(
    [],
    "how it repeats; times have the form of `start`",
    rrule=_nullable(_text("RFC 5545, without «RRULE:»")),
    rdate=_list(POINT),
    exdate=_list(POINT),
    overrides=_list(_object(["recurrence_id"], recurrence_id=POINT, **_CONTENT)),
)
BODY = _object(
    ["start"],
    "An event. What is left out is empty; without `end` it lasts no time, or one day.",
    external_id=_nullable(_text("the application's own id, unique per resource")),
    uid=_text("kept for ever; chosen by the server where left out"),
    recurrence=_nullable(_RECURRENCE),
    **_CONTENT,
)
DOCUMENT = _object(
    ["id", "uid", "start", "end", "origin", "etag"],
    "An event with what the server knows of it.",
    id=Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.UUID),
    resource_id=Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.UUID),
    external_id=_nullable(_text()),
    uid=_text(),
    origin=_choice(["app", "provider"]),
    link_id=_nullable(_text("the link it came from")),
    etag=_text("send as If-Match to change exactly this version"),
    created_at=Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.DATE_TIME),
    updated_at=Schema(type=OpenAPIType.STRING, format=OpenAPIFormat.DATE_TIME),
    recurrence=_nullable(_RECURRENCE),
    recurrence_id=POINT,
    html=_text("the calendar system's own body, while nobody edited the text"),
    **_CONTENT,
)


class EventShapes(OpenAPISchemaPlugin):
    """Tells the description of the interface what an event looks like."""

    @staticmethod
    def is_plugin_supported_type(value: Any) -> bool:
        """Say whether a type is one of ours."""
        return value in (EventBody, EventDocument)

    def to_openapi_schema(self, field_definition: FieldDefinition, schema_creator: Any) -> Schema:
        """Give the shape of a type."""
        return BODY if field_definition.annotation is EventBody else DOCUMENT
