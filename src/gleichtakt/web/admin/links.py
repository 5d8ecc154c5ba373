"""One link: how it stands and why, what it did, what waits, and the plan of what it would do."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from litestar import Response, get, post
from litestar.params import FromPath
from sqlalchemy.ext.asyncio import AsyncConnection

from gleichtakt.store import desk, levels, runs
from gleichtakt.store import links as links_store
from gleichtakt.store.desk import LinkRow
from gleichtakt.web.admin import flow
from gleichtakt.web.admin.frame import database_of, found, go, number_of, record, show, uuid_of
from gleichtakt.web.login.viewer import Asked, Onlooker, Viewer

RECENT = 12


async def _link(connection: AsyncConnection, viewer: Viewer, link_id: UUID) -> LinkRow:
    link: LinkRow = found(await desk.link(connection, viewer.scope, link_id, viewer.words.now))
    return link


@get("/links/{link_id:str}", include_in_schema=False)
async def link_page(request: Asked, viewer: Onlooker, link_id: FromPath[str]) -> Response[str]:
    """Show one link."""
    async with database_of(request).read() as connection:
        link = await _link(connection, viewer, uuid_of(link_id))
        policy = await levels.link_policy(connection, link.id)
        return await show(
            request,
            viewer,
            connection,
            "link.html",
            link=link,
            flow=flow.told(policy, viewer.words, link.notified_by) if policy else [],
            way=desk.way(policy) if policy else "off",
            contents=await desk.contents(connection, link.resource_id, link.id),
            beats=await desk.beats(connection, [link.id]),
            runs=await desk.runs(connection, viewer.scope, link_id=link.id, size=RECENT),
            problems=await desk.problems(connection, viewer.scope, link_id=link.id, size=RECENT),
            holds=await desk.holds(connection, viewer.scope, link_id=link.id),
            conflicts=await desk.conflicts(connection, viewer.scope, link_id=link.id),
            plan=await desk.latest_plan(connection, viewer.scope, link_id=link.id),
        )


@get("/links/{link_id:str}/plan", include_in_schema=False)
async def plan_page(request: Asked, viewer: Onlooker, link_id: FromPath[str]) -> Response[str]:
    """Show what a run over this link would do, as of its latest dry run."""
    side, verb = request.query_params.get("side", ""), request.query_params.get("verb", "")
    async with database_of(request).read() as connection:
        link = await _link(connection, viewer, uuid_of(link_id))
        plan = await desk.latest_plan(connection, viewer.scope, link_id=link.id)
        actions = desk.Shelf((), 1, more=False)
        counts: Sequence[tuple[str, str, int, int]] = ()
        if plan is not None:
            actions = await desk.plan_actions(connection, plan.id, number_of(request), side=side, verb=verb)
            counts = await desk.plan_counts(connection, plan.id)
        pending = await desk.runs(connection, viewer.scope, link_id=link.id, size=RECENT)
        planning = any(run.kind == "plan" and run.state in ("queued", "running") for run in pending.rows)
        return await show(
            request,
            viewer,
            connection,
            "plan.html",
            link=link,
            plan=plan,
            actions=actions,
            counts=counts,
            side=side,
            verb=verb,
            planning=planning,
        )


@post("/links/{link_id:str}/sync", include_in_schema=False)
async def sync_now(request: Asked, viewer: Onlooker, link_id: FromPath[str]) -> Response[str]:
    """Ask for a run now."""
    async with database_of(request).begin() as connection:
        link = await _link(connection, viewer, uuid_of(link_id))
        await runs.ask(connection, link.id, "sync", viewer.actor)
    return go(request, f"/links/{link.id}", "sync")


@post("/links/{link_id:str}/plan", include_in_schema=False)
async def plan_now(request: Asked, viewer: Onlooker, link_id: FromPath[str]) -> Response[str]:
    """Ask for a dry run."""
    async with database_of(request).begin() as connection:
        link = await _link(connection, viewer, uuid_of(link_id))
        await runs.ask(connection, link.id, "plan", viewer.actor)
    return go(request, f"/links/{link.id}/plan", "plan")


@post("/links/{link_id:str}/pause", include_in_schema=False)
async def pause(request: Asked, viewer: Onlooker, link_id: FromPath[str]) -> Response[str]:
    """Pause the link; copies and what was agreed stay."""
    async with database_of(request).begin() as connection:
        link = await _link(connection, viewer, uuid_of(link_id))
        await links_store.pause(connection, link.organization_id, link.id)
        await record(connection, viewer, link, "link.pause")
    return go(request, f"/links/{link.id}", "paused")


@post("/links/{link_id:str}/resume", include_in_schema=False)
async def resume(request: Asked, viewer: Onlooker, link_id: FromPath[str]) -> Response[str]:
    """Let a paused link go on; both sides are compared first."""
    async with database_of(request).begin() as connection:
        link = await _link(connection, viewer, uuid_of(link_id))
        await links_store.resume(connection, link.organization_id, link.id)
        await record(connection, viewer, link, "link.resume")
    return go(request, f"/links/{link.id}", "resumed")
