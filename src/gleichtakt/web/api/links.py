"""Links: a resource's calendar tied to one remote calendar, and what one can do with the tie."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal, cast
from uuid import UUID

import msgspec
from litestar import Response, delete, get, patch, post
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from msgspec import UNSET, UnsetType

from gleichtakt.errors import Language
from gleichtakt.onboarding.connect import provider_limits
from gleichtakt.store import levels, parts, runs
from gleichtakt.store import links as store
from gleichtakt.store.freshness import INTERVAL_SECONDS, freshness
from gleichtakt.store.links import Ending, Link, links
from gleichtakt.store.schema import link as table
from gleichtakt.web.api.context import (
    Ask,
    Deed,
    Page,
    acting,
    expected,
    found,
    language,
    paged,
    reading,
    services,
    shown,
)
from gleichtakt.web.api.forms import Address, Cursor, InState, Limit, Name, after_of, given, texts
from gleichtakt.web.api.runs import LONGEST_WAIT, PlanView, RunView, Wait, plan_view, view_of
from gleichtakt.web.api.words import Words, words
from gleichtakt.web.problems import invalid


class Health(msgspec.Struct):
    """How fresh a link is, judged by the last pass that proved something.

    lag_seconds: since then, while it should work. freshness: late after three missed intervals, stale after an hour.
    notified_by: how changes there reach us, and since when; but for `polling` the clock only looks now and then, for safety.
    """

    last_success: datetime | None
    last_attempt: datetime | None
    lag_seconds: int | None
    freshness: Literal["fresh", "late", "stale"] | None
    notified_by: Literal["streaming", "push", "pull", "polling"]
    notified_since: datetime | None
    next_run: datetime | None
    failing_since: datetime | None
    problem: Words | None


class LinkView(msgspec.Struct):
    """A tie. calendar: the calendar system's own name of it; empty for the mailbox's default one."""

    id: UUID
    resource_id: UUID
    connection_id: UUID
    mailbox: str
    calendar: str
    calendar_name: str
    active: bool
    state: str
    first_run_done: bool
    health: Health
    created_at: datetime
    updated_at: datetime
    etag: str


class NewLink(msgspec.Struct):
    """What a link is made from. settings: for this link, as under /links/{id}/settings."""

    resource_id: UUID
    connection_id: UUID
    mailbox: Name = ""
    calendar: Address = ""
    calendar_name: Name = ""
    active: bool = True
    settings: dict[str, Any] = {}


class LinkChange(msgspec.Struct):
    """What changes. Another resource, mailbox or calendar is another link."""

    active: bool | UnsetType = UNSET
    calendar_name: Name | UnsetType = UNSET
    resource_id: UUID | UnsetType = UNSET
    connection_id: UUID | UnsetType = UNSET
    mailbox: Name | UnsetType = UNSET
    calendar: Address | UnsetType = UNSET


class LinkEnding(msgspec.Struct):
    """What becomes of both sides. Deleting copies goes through the guards; the tie ends when they are gone."""

    copies: Literal["keep", "delete"] = "keep"
    imported: Literal["keep", "delete"] = "delete"
    memory: Literal["keep", "forget"] = "keep"


class LinkEnded(msgspec.Struct):
    """What a disconnection concerned. run_id: the run that deletes the copies."""

    link: LinkView
    copies: int
    imported: int
    run_id: UUID | None


class HeldSeriesView(msgspec.Struct):
    """How the calendar system holds a recurring series: as it is, as single events, or not at all, and why.

    parts: how many single events stand there for it.
    """

    series_id: UUID
    grade: Literal["exact", "exploded", "refused"]
    reason: Words | None
    parts: int


FIXED = ("resource_id", "connection_id", "mailbox", "calendar")


def _freshness(row: Link) -> Literal["fresh", "late", "stale"]:
    age = datetime.now(UTC) - (row.last_success or row.created_at)
    interval = float(row.facts.get("interval", INTERVAL_SECONDS))
    return freshness(age, interval, is_notified=row.notified_by != "polling").value


def link_view(row: Link, spoken: Language) -> LinkView:
    """Show a link."""
    working = row.active and row.state not in ("paused", "disconnected")
    lag = None
    if working and row.last_success is not None:
        lag = max(0, int((datetime.now(UTC) - row.last_success).total_seconds()))
    health = Health(
        row.last_success,
        row.last_attempt,
        lag,
        _freshness(row) if working else None,
        cast("Any", row.notified_by),
        row.notified_since,
        row.due if working else None,
        row.failing_since,
        words(row.error_code, row.error_params, spoken),
    )
    return shown(LinkView, row, health=health)


@get("/links")
async def list_links(
    request: Ask,
    limit: Limit = 100,
    cursor: Cursor = None,
    resource_id: FromQuery[UUID | None] = None,
    connection_id: FromQuery[UUID | None] = None,
    in_state: InState = None,
) -> Response[Page[LinkView]]:
    """List the links."""
    async with reading(request) as (connection, organization_id):
        wanted = {"resource_id": resource_id, "connection_id": connection_id, "state": in_state}
        conditions = [table.c.organization_id == organization_id]
        conditions += [table.c[name] == value for name, value in wanted.items() if value is not None]
        listing = await links.page(connection, *conditions, after=after_of(cursor), limit=limit)
    return paged(request, listing, [link_view(row, language(request)) for row in listing.items])


@post("/links")
async def create_link(request: Ask, data: JSONBody[NewLink]) -> Response[LinkView]:
    """Tie a resource to a remote calendar. The first run starts at once, unless the link is made inactive."""
    values = given(data)
    settings = values.pop("settings")
    async with acting(request) as deed:
        made = await store.create(deed.connection, organization_id=deed.organization_id, **values)
        if settings:
            await put_settings(deed, "link", made.id, settings)
        view = link_view(made, language(request))
        deed.note("link.create", f"link/{made.id}", None, view)
        return deed.answer(view, status=201, etag=view.etag, location=f"/api/v1/links/{made.id}")


async def put_settings(deed: Deed, level: str, object_id: UUID, values: dict[str, Any]) -> list[UUID]:
    """Set values at a level, within what the provider of a link can do; give the links concerned."""
    at = await levels.place(deed.connection, level, object_id, deed.organization_id)
    if level == "link":
        levels.within_ability(values, provider_limits(at.provider, at.options), at.provider)
    return await levels.put(deed.connection, deed.organization_id, level, object_id, values, deed.actor)


@get("/links/{link_id:uuid}")
async def get_link(request: Ask, link_id: FromPath[UUID]) -> Response[LinkView]:
    """Read a link with its health."""
    async with reading(request) as (connection, organization_id):
        view = link_view(await links.get(connection, organization_id, link_id), language(request))
    return found(request, view)  # its health moves without its version


@patch("/links/{link_id:uuid}")
async def change_link(request: Ask, link_id: FromPath[UUID], data: JSONBody[LinkChange]) -> Response[LinkView]:
    """Activate, deactivate or rename a link."""
    values = given(data)
    texts(values, "calendar_name")
    async with acting(request) as deed:
        before = await links.get(deed.connection, deed.organization_id, link_id)
        for name in FIXED:
            if values.pop(name, getattr(before, name)) != getattr(before, name):
                raise invalid(name, "cannot change; make another link")
        after = await store.change(deed.connection, deed.organization_id, link_id, values, expected(request))
        view = link_view(after, language(request))
        deed.note("link.change", f"link/{link_id}", link_view(before, language(request)), view)
        return deed.answer(view, etag=view.etag)


@delete("/links/{link_id:uuid}", status_code=204)
async def delete_link(request: Ask, link_id: FromPath[UUID]) -> None:
    """Delete a link with its history. Our copies at the calendar system stay; what came from there goes."""
    async with acting(request) as deed:
        gone = await store.erase(deed.connection, deed.organization_id, link_id, deed.actor, expected(request))
        deed.note("link.delete", f"link/{link_id}", link_view(gone, language(request)))
        deed.answer(None, status=204)


@get("/links/{link_id:uuid}/series")
async def list_held_series(
    request: Ask, link_id: FromPath[UUID], limit: Limit = 100, cursor: Cursor = None
) -> Response[Page[HeldSeriesView]]:
    """Say how a calendar system that knows few patterns holds each recurring series. Empty where it holds every rule."""
    async with reading(request) as (connection, organization_id):
        link = await links.get(connection, organization_id, link_id)
        listing = await parts.held(connection, link.resource_id, link.id, after_of(cursor), limit)
    spoken = language(request)
    views = [HeldSeriesView(row.id, cast("Any", row.grade), words(row.reason, {}, spoken), row.parts) for row in listing.items]
    return paged(request, listing, views)


# --- work --------------------------------------------------------------------------------------------------------


@post("/links/{link_id:uuid}/sync", status_code=202)
async def sync_link(request: Ask, link_id: FromPath[UUID], wait: Wait = 0.0) -> Response[RunView]:
    """Ask for a run now. With `wait` the answer comes when it has ended (200), or as it stands after so long (202)."""
    async with acting(request) as deed:
        await links.get(deed.connection, deed.organization_id, link_id)
        run_id = await runs.ask(deed.connection, link_id, "sync", deed.actor)
        row = await runs.runs.get(deed.connection, deed.organization_id, run_id)
        answer = deed.answer(view_of(row, language(request)), status=202, location=f"/api/v1/runs/{run_id}")
    if not wait:
        return answer
    row = await runs.wait(services(request).database, row.organization_id, run_id, wait)
    return _when_ended(request, view_of(row, language(request)), row)


@post("/links/{link_id:uuid}/plan", status_code=202)
async def plan_link(
    request: Ask,
    link_id: FromPath[UUID],
    wait: Annotated[float, QueryParameter(ge=0, le=LONGEST_WAIT, description="seconds to wait for the plan")] = 60.0,
) -> Response[PlanView]:
    """Ask what a run would do, without doing it: 200 with the plan, or 202 with the run that is making it."""
    async with acting(request) as deed:
        await links.get(deed.connection, deed.organization_id, link_id)
        run_id = await runs.ask(deed.connection, link_id, "plan", deed.actor)
        row = await runs.runs.get(deed.connection, deed.organization_id, run_id)
        deed.answer(plan_view(row, None, language(request)), status=202, location=f"/api/v1/runs/{run_id}")
    row = await runs.wait(services(request).database, row.organization_id, run_id, wait)
    async with services(request).database.read() as connection:
        plan = await runs.plan_of(connection, run_id)
    return _when_ended(request, plan_view(row, plan, language(request)), row)


def _when_ended(request: Ask, view: Any, row: runs.Run) -> Response[Any]:
    answer = found(request, view)
    answer.headers["location"] = f"/api/v1/runs/{row.id}"
    answer.status_code = 200 if row.state in runs.ENDED else 202
    return answer


@post("/links/{link_id:uuid}/pause", status_code=200)
async def pause_link(request: Ask, link_id: FromPath[UUID]) -> Response[LinkView]:
    """Let a link rest; copies and pairings stay."""
    async with acting(request) as deed:
        return _moved(request, deed, "link.pause", await store.pause(deed.connection, deed.organization_id, link_id))


@post("/links/{link_id:uuid}/resume", status_code=200)
async def resume_link(request: Ask, link_id: FromPath[UUID]) -> Response[LinkView]:
    """Let a paused link work again: it compares both sides at once."""
    async with acting(request) as deed:
        return _moved(request, deed, "link.resume", await store.resume(deed.connection, deed.organization_id, link_id))


@post("/links/{link_id:uuid}/reset", status_code=200)
async def reset_link(request: Ask, link_id: FromPath[UUID]) -> Response[LinkView]:
    """Forget what both sides agreed on and match them again. Nothing is deleted on either side."""
    async with acting(request) as deed:
        return _moved(request, deed, "link.reset", await store.reset(deed.connection, deed.organization_id, link_id))


def _moved(request: Ask, deed: Deed, action: str, row: Link) -> Response[LinkView]:
    view = link_view(row, language(request))
    deed.note(action, f"link/{row.id}", None, {"state": row.state})
    return deed.answer(view, etag=view.etag)


@post("/links/{link_id:uuid}/disconnect", status_code=202)
async def disconnect_link(request: Ask, link_id: FromPath[UUID], data: JSONBody[LinkEnding | None] = None) -> Response[LinkEnded]:
    """End a tie and say what becomes of the copies on either side."""
    form = data or LinkEnding()
    async with acting(request) as deed:
        row = await links.get(deed.connection, deed.organization_id, link_id)
        hits = await store.hits(deed.connection, row)
        ending = Ending(form.copies, form.imported, form.memory)
        run_id = await store.disconnect(deed.connection, row, ending, deed.actor)
        after = await links.get(deed.connection, deed.organization_id, link_id)
        deed.note("link.disconnect", f"link/{link_id}", None, form)
        return deed.answer(LinkEnded(link_view(after, language(request)), **hits, run_id=run_id), status=202)


route_handlers = [
    list_links,
    create_link,
    get_link,
    list_held_series,
    change_link,
    delete_link,
    sync_link,
    plan_link,
    pause_link,
    resume_link,
    reset_link,
    disconnect_link,
]
