"""Events of a resource: the application's own calendar, read and written.

Reading a stretch of time is the busiest path of the interface: the database finishes the JSON, and it leaves as it came.
"""

from __future__ import annotations

import base64
import binascii
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Response, delete, get, post, put
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter

from gleichtakt.errors import Gone, Permanent, Scope, Trouble
from gleichtakt.model.document import event_document, point_document, read_series
from gleichtakt.model.event import Series
from gleichtakt.model.point import Timespan
from gleichtakt.model.recurrence import expand
from gleichtakt.store import calendars
from gleichtakt.store.calendars import EventRow
from gleichtakt.store.database import Database
from gleichtakt.store.rows import missing
from gleichtakt.web.api.context import Ask, Deed, acting, expected, found, only_new, organization_of, reading, services
from gleichtakt.web.api.forms import Cursor, From, Limit, To, reader_of, stretch
from gleichtakt.web.api.shapes import EventBody, EventDocument, EventPage
from gleichtakt.web.problems import invalid

LONGEST_EXPANSION = timedelta(days=800)
MOST_OCCURRENCES = 20_000
REMEMBER_SECONDS = 5.0
MOST_REMEMBERED = 100_000
JSON_HEADERS = {"cache-control": "no-store"}


@dataclass(frozen=True, slots=True)
class Known:
    """What reading needs to know of a resource. until: monotonic; when it has to be looked up again."""

    organization_id: UUID
    reader: tzinfo
    until: float


class KnownResources:
    """The resources this process has lately read, so that a list of events costs one query."""

    def __init__(self, database: Database) -> None:
        """Begin empty."""
        self._database = database
        self._known: dict[UUID, Known] = {}

    async def get(self, organization_id: UUID, resource_id: UUID) -> Known:
        """Look a resource up. Raises `web.not_found`, also for one of another organization."""
        known = self._known.get(resource_id)
        if known is None or known.until < time.monotonic():
            async with self._database.read() as connection:
                home = await calendars.home_of(connection, resource_id)
            if home is None:
                raise missing("resource")
            known = Known(home.organization_id, reader_of(home.time_zone), time.monotonic() + REMEMBER_SECONDS)
            if len(self._known) >= MOST_REMEMBERED:
                self._known.clear()
            self._known[resource_id] = known
        if known.organization_id != organization_id:
            raise missing("resource")
        return known


def _after(cursor: str | None) -> tuple[datetime, UUID]:
    """Read the cursor of a list by start."""
    if cursor is None:
        return calendars.FIRST
    try:
        written = base64.urlsafe_b64decode(cursor.encode() + b"=" * (-len(cursor) % 4)).decode()
        start, _, event_id = written.partition("|")
        return datetime.fromisoformat(start).astimezone(UTC), UUID(event_id)
    except (ValueError, UnicodeError, binascii.Error, OverflowError):
        raise invalid("cursor", "expected `next` of an earlier page") from None


def _cursor(after: tuple[datetime, UUID] | None) -> bytes:
    """Write a cursor as JSON."""
    if after is None:
        return b"null"
    written = base64.urlsafe_b64encode(f"{after[0].isoformat()}|{after[1]}".encode()).rstrip(b"=")
    return b'"' + written + b'"'


@get("/resources/{resource_id:uuid}/events")
async def list_events(
    request: Ask,
    resource_id: FromPath[UUID],
    start: From = None,
    end: To = None,
    expand: Annotated[bool, QueryParameter(description="give the occurrences of series one by one")] = False,
    external_id: FromQuery[str | None] = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Response[EventPage]:
    """List the events that touch a stretch of time, by start; whole series, unless they are to be expanded."""
    at = services(request)
    known = await at.resources.get(await organization_of(request), resource_id)
    if external_id is not None:
        return await _by_external_id(request, resource_id, external_id)
    if expand:
        return await _occurrences(request, resource_id, known, start, end)
    begin, finish = stretch(start, end, known.reader)
    async with at.database.raw() as raw:
        items, after = await calendars.list_events_json(raw, resource_id, begin, finish, limit, _after(cursor))
    body = b'{"items":[%b],"next":%b}' % (items, _cursor(after))
    return Response(body, media_type="application/json", headers=JSON_HEADERS)  # type: ignore[arg-type]


async def _by_external_id(request: Ask, resource_id: UUID, external_id: str) -> Response[EventPage]:
    async with reading(request) as (connection, _):
        row = await calendars.find_event(connection, resource_id, external_id=external_id)
    items = [calendars.rest_document(row)] if row else []
    return found(request, EventPage(items))  # type: ignore[arg-type]


async def _occurrences(request: Ask, resource_id: UUID, known: Known, start: str | None, end: str | None) -> Response[EventPage]:
    """Give single occurrences: each as an event with its own times, `recurrence_id` where it belongs to a series."""
    begin, finish = stretch(start, end, known.reader, longest=LONGEST_EXPANSION)
    async with reading(request) as (connection, _):
        rows = await calendars.list_events(connection, resource_id, begin, finish)
    items: list[tuple[datetime, dict[str, Any]]] = []
    for row in rows:
        items += _expanded(row, Timespan(begin, finish), known.reader)
        if len(items) > MOST_OCCURRENCES:
            raise Permanent("web.window_too_wide", Scope.CALENDAR, days=str((finish - begin).days // 2))
    items.sort(key=lambda item: item[0])
    return found(request, EventPage([document for _, document in items]))  # type: ignore[misc]


def _expanded(row: EventRow, window: Timespan, reader: tzinfo) -> list[tuple[datetime, dict[str, Any]]]:
    """Expand one row. A rule too dense to expand gives the series as it stands, so that it is not lost from sight."""
    series, whole = row.series, calendars.rest_document(row)
    if not (series.is_recurring or series.overrides):
        return [(row_start(series, reader), whole)]
    found: list[tuple[datetime, dict[str, Any]]] = []
    try:
        for one in expand(series, window, reader, limit=MOST_OCCURRENCES):
            own = {**event_document(one.event), "recurrence": None, "recurrence_id": point_document(one.slot)}
            found.append((one.start, {**whole, **own}))
    except Trouble:
        return [(row_start(series, reader), whole)]
    return found


def row_start(series: Series, reader: tzinfo) -> datetime:
    """Give the instant by which an event is sorted."""
    return calendars.span_of(series, str(getattr(reader, "key", "UTC")))[0]


# --- single events -----------------------------------------------------------------------------------------------


@post("/resources/{resource_id:uuid}/events")
async def create_event(request: Ask, resource_id: FromPath[UUID], data: JSONBody[EventBody]) -> Response[EventDocument]:
    """Add an event. With an `external_id` that is in use the event of that name is replaced (200 instead of 201)."""
    series, external_id = _content(data)
    async with acting(request) as deed:
        if external_id is not None and only_new(request):
            await _refuse_existing(deed, resource_id, external_id=external_id)
        return await _put(deed, resource_id, None, external_id, series, None)


@get("/resources/{resource_id:uuid}/events/{event_id:uuid}")
async def get_event(request: Ask, resource_id: FromPath[UUID], event_id: FromPath[UUID]) -> Response[EventDocument]:
    """Read an event."""
    async with reading(request) as (connection, organization_id):
        row = await calendars.get_event(connection, resource_id, event_id)
    if row is None or row.organization_id != organization_id:
        raise Gone("web.event_missing")
    return found(request, calendars.rest_document(row), row.etag)  # type: ignore[arg-type]


@put("/resources/{resource_id:uuid}/events/{event_id:uuid}")
async def put_event(
    request: Ask, resource_id: FromPath[UUID], event_id: FromPath[UUID], data: JSONBody[EventBody]
) -> Response[EventDocument]:
    """Replace an event, or create it under an id of the caller's choice."""
    series, external_id = _content(data)
    async with acting(request) as deed:
        if only_new(request):
            await _refuse_existing(deed, resource_id, event_id=event_id)
        return await _put(deed, resource_id, event_id, external_id, series, expected(request))


@delete("/resources/{resource_id:uuid}/events/{event_id:uuid}", status_code=204)
async def delete_event(request: Ask, resource_id: FromPath[UUID], event_id: FromPath[UUID]) -> None:
    """Delete an event, here and where it was copied to."""
    async with acting(request) as deed:
        row = await calendars.get_event(deed.connection, resource_id, event_id)
        if row is None or row.organization_id != deed.organization_id:
            raise Gone("web.event_missing")
        await calendars.delete_event(
            deed.connection, resource_id=resource_id, series_id=event_id, expect=expected(request), actor=deed.actor
        )
        deed.answer(None, status=204)


async def _put(
    deed: Deed, resource_id: UUID, event_id: UUID | None, external_id: str | None, series: Series, expect: int | None
) -> Response[EventDocument]:
    row, created = await calendars.put_event(
        deed.connection,
        organization_id=deed.organization_id,
        resource_id=resource_id,
        series_id=event_id,
        external_id=external_id,
        series=series,
        expect=expect,
        actor=deed.actor,
    )
    where = f"/api/v1/resources/{resource_id}/events/{row.id}" if created else ""
    document = calendars.rest_document(row)
    return deed.answer(document, status=201 if created else 200, etag=row.etag, location=where)  # type: ignore[arg-type]


async def _refuse_existing(
    deed: Deed, resource_id: UUID, *, event_id: UUID | None = None, external_id: str | None = None
) -> None:
    """Hold `If-None-Match: *` to its word."""
    if event_id is not None:
        row = await calendars.get_event(deed.connection, resource_id, event_id)
    else:
        row = await calendars.find_event(deed.connection, resource_id, external_id=external_id or "")
    if row is not None:
        raise Permanent("web.exists", Scope.SERIES)


def _content(data: Mapping[str, Any]) -> tuple[Series, str | None]:
    """Read what an event is to be. Raises Malformed with the place."""
    external_id = data.get("external_id")
    if external_id is not None and not _is_name(external_id):
        raise invalid("external_id", "expected a text of 1 to 500 characters, without NUL")
    return read_series(msgspec.to_builtins(data)), external_id


def _is_name(found: object) -> bool:
    return isinstance(found, str) and 0 < len(found) <= 500 and "\0" not in found


route_handlers = [list_events, create_event, get_event, put_event, delete_event]
