"""Published calendars: a secret address for each subscriber, in the detail it was made for, revocable at once.

Private events are busy times in every feed. UIDs are made for each address, so that two subscribers cannot compare
notes and nothing leads back to where an event came from.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from litestar import Request, Response, delete, get, post
from litestar.datastructures import State
from litestar.params import FromPath, JSONBody, PathParameter

from gleichtakt.errors import Permanent, Scope
from gleichtakt.model.event import Event, Override, Sensitivity, Series, ShowAs
from gleichtakt.store import feeds as store
from gleichtakt.store.calendars import read_document
from gleichtakt.store.feeds import Published, feeds
from gleichtakt.store.resources import resources
from gleichtakt.store.schema import feed_token as table
from gleichtakt.web.api.access import header
from gleichtakt.web.api.context import Ask, Page, acting, paged, reading, services, shown
from gleichtakt.web.api.forms import Cursor, Limit, Name, after_of

BACK, AHEAD = timedelta(days=90), timedelta(days=730)
PRODID = "-//Gleichtakt//Feed//EN"
BUSY_TITLE = {"de": "Belegt", "en": "Busy"}


class FeedView(msgspec.Struct):
    """A published address. detail: busy, title_time or full."""

    id: UUID
    resource_id: UUID
    name: str
    detail: str
    created_at: datetime
    revoked_at: datetime | None


class NewFeedView(FeedView, kw_only=True):
    """An address that was just made: the only answer that holds `url`."""

    url: str


class NewFeed(msgspec.Struct):
    """Whom it is for and how much it shows."""

    name: Name = ""
    detail: Literal["busy", "title_time", "full"] = "busy"


@get("/resources/{resource_id:uuid}/feeds")
async def list_feeds(
    request: Ask, resource_id: FromPath[UUID], limit: Limit = 100, cursor: Cursor = None
) -> Response[Page[FeedView]]:
    """List the addresses under which a calendar is published, without the addresses."""
    async with reading(request) as (connection, organization_id):
        await resources.get(connection, organization_id, resource_id)
        listing = await feeds.page(connection, table.c.resource_id == resource_id, after=after_of(cursor), limit=limit)
    return paged(request, listing, [shown(FeedView, row) for row in listing.items])


@post("/resources/{resource_id:uuid}/feeds")
async def create_feed(request: Ask, resource_id: FromPath[UUID], data: JSONBody[NewFeed | None] = None) -> Response[NewFeedView]:
    """Publish a calendar under a new secret address."""
    form = data or NewFeed()
    async with acting(request) as deed:
        await resources.get(deed.connection, deed.organization_id, resource_id)
        row, token = await store.create(
            deed.connection,
            organization_id=deed.organization_id,
            resource_id=resource_id,
            name=form.name,
            detail=form.detail,
        )
        deed.note("feed.create", f"feed/{row.id}", None, shown(FeedView, row))
        base = services(request).settings.public_url.rstrip("/") or str(request.base_url).rstrip("/")
        return deed.answer(shown(NewFeedView, row, url=f"{base}/feeds/{token}.ics"), status=201)


@delete("/resources/{resource_id:uuid}/feeds/{feed_id:uuid}", status_code=204)
async def revoke_feed(request: Ask, resource_id: FromPath[UUID], feed_id: FromPath[UUID]) -> None:
    """Close an address at once and for good."""
    async with acting(request) as deed:
        await resources.get(deed.connection, deed.organization_id, resource_id)
        row = await store.revoke(deed.connection, deed.organization_id, feed_id)
        deed.note("feed.revoke", f"feed/{feed_id}", shown(FeedView, row))
        deed.answer(None, status=204)


route_handlers = [list_feeds, create_feed, revoke_feed]


# --- for subscribers ---------------------------------------------------------------------------------------------


@get("/feeds/{name:str}", include_in_schema=False)
async def subscribe(
    request: Request[None, None, State], name: Annotated[str, PathParameter(description="the secret, and .ics")]
) -> Response[bytes]:
    """Give a published calendar to whoever knows its address."""
    from gleichtakt.model.ics import write_calendar

    token = name.removesuffix(".ics")
    async with services(request).database.read() as connection:
        published = await store.by_token(connection, token) if token != name else None
        if published is None:
            raise Permanent("web.no_such_path", Scope.SERIES)
        tag = _tag(published)
        headers = {
            "etag": tag,
            "cache-control": "private, no-cache",
            "referrer-policy": "no-referrer",
            "x-robots-tag": "noindex",
        }
        if header(request.scope, b"if-none-match").decode("latin-1").strip() == tag:
            return Response(b"", status_code=304, headers=headers, media_type=None)
        now = datetime.now(UTC)
        rows = await store.documents(connection, published.resource_id, now - BACK, now + AHEAD)
    calendar = [shown_as(read_document(document), series_id, published) for series_id, document in rows]
    body = write_calendar([one for one in calendar if one is not None], name=published.name, prodid=PRODID)
    headers["content-disposition"] = 'inline; filename="calendar.ics"'
    return Response(body, media_type="text/calendar; charset=utf-8", headers=headers)


def _tag(published: Published) -> str:
    """Name the state of a feed: it changes with any event, and once a day because the window rolls."""
    parts = (published.feed_id, published.detail, published.name, published.changed_at, published.events)
    day = datetime.now(UTC).date()
    return f'"{hashlib.sha256(repr((*parts, day)).encode()).hexdigest()[:32]}"'


def shown_as(series: Series, series_id: UUID, published: Published) -> Series | None:
    """Reduce a series to what a feed shows; None for what takes nobody's time where only busy times are shown."""
    uid = hashlib.sha256(f"{published.feed_id}/{series_id}".encode()).hexdigest()[:32]
    event = _reduced(series.event, published)
    if published.detail == "busy" and event.show_as is ShowAs.FREE and not series.overrides:
        return None
    overrides = tuple(Override(one.recurrence_id, _reduced(one.event, published)) for one in series.overrides)
    return replace(series, uid=f"{uid}@gleichtakt", event=event, overrides=overrides)


def _reduced(event: Event, published: Published) -> Event:
    """Reduce one event. People, reminders and links to join are in no feed."""
    private = event.sensitivity is not Sensitivity.NORMAL
    detail = "busy" if private else published.detail
    bare = Event(
        start=event.start,
        end=event.end,
        title=BUSY_TITLE.get(published.language, "Busy"),
        show_as=event.show_as,
        status=event.status,
        sensitivity=Sensitivity.PRIVATE if private else Sensitivity.NORMAL,
    )
    if detail == "busy":
        return bare
    titled = replace(bare, title=event.title)
    if detail == "title_time":
        return titled
    return replace(titled, description=event.description, location=event.location, categories=event.categories, url=event.url)
