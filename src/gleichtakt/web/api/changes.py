"""The change feed by cursor, and the webhooks that are sent from it."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Annotated
from urllib.parse import urlsplit
from uuid import UUID

import msgspec
from litestar import Response, delete, get, patch, post
from litestar.params import FromPath, JSONBody, QueryParameter
from msgspec import UNSET, Meta, UnsetType

from gleichtakt.store import changes as feed
from gleichtakt.store import outbox
from gleichtakt.store import webhooks as store
from gleichtakt.store.connections import MASK
from gleichtakt.store.schema import webhook as table
from gleichtakt.store.webhooks import webhooks
from gleichtakt.web.api.context import (
    Ask,
    Page,
    acting,
    expected,
    found,
    organization_of,
    paged,
    reading,
    services,
    shown,
)
from gleichtakt.web.api.forms import Address, Cursor, Limit, Name, after_of, given, texts
from gleichtakt.web.problems import invalid

LONGEST_WAIT = 60.0
LOOK_AGAIN_SECONDS = 1.0  # a change becomes readable when older transactions have ended, which wakes nobody


class ChangeView(msgspec.Struct):
    """Something that happened, without content. cursor: reading on from here gives what came after.

    type: event.created, event.updated, event.deleted, link.created, link.deleted, link.state, connection.state,
    absence.changed (read it under /resources/{id}/absence), hold.opened, hold.approved, hold.rejected, conflict.opened,
    conflict.resolved, problem.opened; others may follow.
    """

    id: int
    type: str
    organization_id: UUID
    resource_id: UUID | None
    object_id: UUID | None
    cursor: str
    occurred_at: datetime


class ChangePage(msgspec.Struct):
    """Changes in their order. next: always there; send it as `cursor` when you come back."""

    items: list[ChangeView]
    next: str


@get("/changes")
async def read_changes(
    request: Ask,
    cursor: Annotated[
        str | None, QueryParameter(description="`next` of the page before; left out: from the oldest; `now`: from here on")
    ] = None,
    limit: Limit = 100,
    wait: Annotated[float, QueryParameter(ge=0, le=LONGEST_WAIT, description="seconds to wait for a change")] = 0.0,
) -> Response[ChangePage]:
    """Read what has changed since a cursor. A cursor of before a restore is gone (410): read everything anew."""
    organization_id = await organization_of(request)
    if cursor == "now":
        async with services(request).database.read() as connection:
            here, _ = await feed.latest(connection)
        return found(request, ChangePage([], here))
    return found(request, await _wait_for(request, organization_id, cursor, limit, wait))


async def _wait_for(request: Ask, organization_id: UUID, cursor: str | None, limit: int, wait: float) -> ChangePage:
    page = await _read(request, organization_id, cursor, limit)
    if page.items or not wait:
        return page
    until = time.monotonic() + wait
    async with services(request).database.listen(feed.CHANNEL) as wakes:
        while not page.items and (left := until - time.monotonic()) > 0:
            await wakes.wait(min(left, LOOK_AGAIN_SECONDS))
            page = await _read(request, organization_id, cursor, limit)
    return page


async def _read(request: Ask, organization_id: UUID, cursor: str | None, limit: int) -> ChangePage:
    async with services(request).database.read() as connection:
        rows, following = await feed.read(connection, organization_id, cursor, limit)
    return ChangePage([shown(ChangeView, row) for row in rows], following)


# --- webhooks ----------------------------------------------------------------------------------------------------

Types = Annotated[list[Name], Meta(max_length=100)]


class WebhookView(msgspec.Struct):
    """Where to tell of changes. types: of changes, empty for all. secret: masked; it is given when made or renewed."""

    id: UUID
    url: str
    types: list[str]
    active: bool
    failing_since: datetime | None
    retry_at: datetime | None
    last_status: str
    created_at: datetime
    updated_at: datetime
    etag: str
    secret: str = MASK


class NewWebhook(msgspec.Struct):
    """What a webhook is made from. It tells of everything from now on."""

    url: Address
    types: Types = []
    active: bool = True


class WebhookChange(msgspec.Struct):
    """What changes. renew_secret: the answer holds the new one, the old one stays valid beside it."""

    url: Address | UnsetType = UNSET
    types: Types | UnsetType = UNSET
    active: bool | UnsetType = UNSET
    renew_secret: bool = False


class Replay(msgspec.Struct):
    """From where to send again. cursor: of the change feed; null for the oldest change that is kept."""

    cursor: str | None = None


class Accepted(msgspec.Struct):
    """Work that was taken on."""

    state: str


def _url(url: str) -> str:
    """Refuse what cannot be called."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("https", "http") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        usable = False
    if not usable or "@" in url.partition("://")[2].partition("/")[0]:
        raise invalid("url", "expected an address such as https://example.org/hook, without a user name")
    return url


@get("/webhooks")
async def list_webhooks(request: Ask, limit: Limit = 100, cursor: Cursor = None) -> Response[Page[WebhookView]]:
    """List the webhooks."""
    async with reading(request) as (connection, organization_id):
        condition = table.c.organization_id == organization_id
        listing = await webhooks.page(connection, condition, after=after_of(cursor), limit=limit)
    return paged(request, listing, [_view(row) for row in listing.items])


def _view(row: store.Webhook, secret: str = MASK) -> WebhookView:
    return shown(WebhookView, row, secret=secret)


@post("/webhooks", opt={"needs": "admin"})
async def create_webhook(request: Ask, data: JSONBody[NewWebhook]) -> Response[WebhookView]:
    """Add a webhook; its signing secret is given once."""
    _url(data.url)
    async with acting(request) as deed:
        row, secret = await store.create(
            deed.connection, services(request).box, organization_id=deed.organization_id, **given(data)
        )
        deed.note("webhook.create", f"webhook/{row.id}", None, _view(row))
        view = _view(row, secret)
        return deed.answer(view, status=201, etag=view.etag, location=f"/api/v1/webhooks/{row.id}")


@get("/webhooks/{webhook_id:uuid}")
async def get_webhook(request: Ask, webhook_id: FromPath[UUID]) -> Response[WebhookView]:
    """Read a webhook and how its deliveries go."""
    async with reading(request) as (connection, organization_id):
        view = _view(await webhooks.get(connection, organization_id, webhook_id))
    return found(request, view)  # its deliveries move without its version


@patch("/webhooks/{webhook_id:uuid}", opt={"needs": "admin"})
async def change_webhook(request: Ask, webhook_id: FromPath[UUID], data: JSONBody[WebhookChange]) -> Response[WebhookView]:
    """Change a webhook, or renew its secret."""
    values = given(data)
    renew = values.pop("renew_secret")
    texts(values, "url")
    if "url" in values:
        _url(values["url"])
    async with acting(request) as deed:
        before = await webhooks.get(deed.connection, deed.organization_id, webhook_id, lock=True)
        row = await store.change(deed.connection, deed.organization_id, webhook_id, values, expected(request))
        view = _view(row)
        if renew:
            row, secret = await store.renew_secret(deed.connection, services(request).box, deed.organization_id, webhook_id)
            view = _view(row, secret)
        deed.note("webhook.change", f"webhook/{webhook_id}", _view(before), _view(row))
        return deed.answer(view, etag=view.etag)


@delete("/webhooks/{webhook_id:uuid}", status_code=204, opt={"needs": "admin"})
async def delete_webhook(request: Ask, webhook_id: FromPath[UUID]) -> None:
    """Delete a webhook."""
    async with acting(request) as deed:
        gone = await webhooks.remove(deed.connection, deed.organization_id, webhook_id, expected(request))
        deed.note("webhook.delete", f"webhook/{webhook_id}", _view(gone))
        deed.answer(None, status=204)


@post("/webhooks/{webhook_id:uuid}/test", status_code=202)
async def test_webhook(request: Ask, webhook_id: FromPath[UUID]) -> Response[Accepted]:
    """Send a signed test message soon; `last_status` of the webhook tells how it went."""
    async with acting(request) as deed:
        await webhooks.get(deed.connection, deed.organization_id, webhook_id)
        await outbox.put(
            deed.connection,
            store.TEST_JOB,
            {"webhook_id": str(webhook_id)},
            key=f"{store.TEST_JOB}/{webhook_id}",
            organization_id=deed.organization_id,
        )
        return deed.answer(Accepted("queued"), status=202)


@post("/webhooks/{webhook_id:uuid}/replay", status_code=202)
async def replay_webhook(request: Ask, webhook_id: FromPath[UUID], data: JSONBody[Replay | None] = None) -> Response[Accepted]:
    """Send everything again from a cursor of the change feed."""
    async with acting(request) as deed:
        cursor = data.cursor if data else None
        await store.replay(deed.connection, deed.organization_id, webhook_id, cursor)
        deed.note("webhook.replay", f"webhook/{webhook_id}", None, {"cursor": cursor})
        return deed.answer(Accepted("queued"), status=202)


route_handlers = [
    read_changes,
    list_webhooks,
    create_webhook,
    get_webhook,
    change_webhook,
    delete_webhook,
    test_webhook,
    replay_webhook,
]
