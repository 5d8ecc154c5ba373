"""Holds: what looked like an accident and waits; the list of what would happen, and a decision with its consequence."""

from __future__ import annotations

from litestar import Response, get, post
from litestar.params import FromPath

from gleichtakt.store import desk
from gleichtakt.store import holds as holds_store
from gleichtakt.web.admin.frame import database_of, found, go, number_of, record, show, uuid_of
from gleichtakt.web.login.viewer import Asked, Onlooker, Viewer


@get("/holds", include_in_schema=False)
async def holds_page(request: Asked, viewer: Onlooker) -> Response[str]:
    """Show holds, newest first."""
    is_open = request.query_params.get("show") != "decided"
    async with database_of(request).read() as connection:
        rows = await desk.holds(connection, viewer.scope, is_open=is_open, number=number_of(request))
        return await show(request, viewer, connection, "holds.html", holds=rows, is_open=is_open)


@get("/holds/{hold_id:str}", include_in_schema=False)
async def hold_page(request: Asked, viewer: Onlooker, hold_id: FromPath[str]) -> Response[str]:
    """Show one hold with its actions."""
    async with database_of(request).read() as connection:
        hold = found(await desk.hold(connection, viewer.scope, uuid_of(hold_id)))
        actions = await desk.held_actions(connection, hold.id, number_of(request))
        counts = await desk.held_counts(connection, hold.id)
        return await show(request, viewer, connection, "hold.html", hold=hold, actions=actions, counts=counts)


async def _decide(request: Asked, viewer: Viewer, hold_id: str, *, approve: bool) -> Response[str]:
    async with database_of(request).begin() as connection:
        hold = found(await desk.hold(connection, viewer.scope, uuid_of(hold_id)))
        decide = holds_store.approve if approve else holds_store.reject
        await decide(connection, hold.organization_id, hold.id, viewer.actor)
        await record(connection, viewer, hold, "hold.approve" if approve else "hold.reject", {"count": hold.count})
    return go(request, f"/holds/{hold.id}", "approved" if approve else "rejected")


@post("/holds/{hold_id:str}/approve", include_in_schema=False)
async def approve(request: Asked, viewer: Onlooker, hold_id: FromPath[str]) -> Response[str]:
    """Let exactly these actions happen."""
    return await _decide(request, viewer, hold_id, approve=True)


@post("/holds/{hold_id:str}/reject", include_in_schema=False)
async def reject(request: Asked, viewer: Onlooker, hold_id: FromPath[str]) -> Response[str]:
    """Put things back."""
    return await _decide(request, viewer, hold_id, approve=False)
