"""Conflicts: one field changed on both sides; the versions side by side, and a choice per field."""

from __future__ import annotations

from litestar import Response, get, post
from litestar.params import FromPath

from gleichtakt.errors import Conflict, Scope
from gleichtakt.store import calendars, desk
from gleichtakt.store import conflicts as conflicts_store
from gleichtakt.web.admin import clash
from gleichtakt.web.admin.frame import database_of, found, go, number_of, record, show, uuid_of
from gleichtakt.web.login.viewer import Asked, Onlooker

RESOLUTIONS = ("ours", "theirs", "merged")


@get("/conflicts", include_in_schema=False)
async def conflicts_page(request: Asked, viewer: Onlooker) -> Response[str]:
    """Show conflicts, newest first."""
    is_open = request.query_params.get("show") != "decided"
    async with database_of(request).read() as connection:
        rows = await desk.conflicts(connection, viewer.scope, is_open=is_open, number=number_of(request))
        return await show(request, viewer, connection, "conflicts.html", conflicts=rows, is_open=is_open)


@get("/conflicts/{conflict_id:str}", include_in_schema=False)
async def conflict_page(request: Asked, viewer: Onlooker, conflict_id: FromPath[str]) -> Response[str]:
    """Show one conflict."""
    async with database_of(request).read() as connection:
        conflict = found(await desk.conflict(connection, viewer.scope, uuid_of(conflict_id)))
        return await show(
            request,
            viewer,
            connection,
            "conflict.html",
            conflict=conflict,
            lines=clash.lines(conflict, viewer.words),
            seen=clash.fingerprint(conflict),
        )


@post("/conflicts/{conflict_id:str}/resolve", include_in_schema=False)
async def resolve(request: Asked, viewer: Onlooker, conflict_id: FromPath[str]) -> Response[str]:
    """Decide: one side's version, or field by field. Refused when the conflict has moved on since it was shown."""
    form = await request.form()
    resolution = str(form.get("resolution") or "")
    async with database_of(request).begin() as connection:
        conflict = found(await desk.conflict(connection, viewer.scope, uuid_of(conflict_id)))
        if resolution not in RESOLUTIONS or form.get("seen") != clash.fingerprint(conflict):
            raise Conflict("web.etag_stale", Scope.SERIES)
        content = None
        if resolution == "merged":
            present = await calendars.get_event(connection, conflict.resource_id, conflict.series_id)
            if present is None or conflict.theirs is None:
                raise Conflict("web.etag_stale", Scope.SERIES)
            wins = [key for number, key in enumerate(conflict.fields) if form.get(f"choice-{number}") == "theirs"]
            content = clash.merged(conflict, present.series, wins)
        await conflicts_store.resolve(connection, conflict.organization_id, conflict.id, resolution, viewer.actor, content)
        await record(connection, viewer, conflict, "conflict.resolve", {"resolution": resolution})
    return go(request, f"/conflicts/{conflict.id}", "resolved")
