"""Runs: what was asked for, what came of it, what exactly was written, and the way back."""

from __future__ import annotations

from litestar import Response, get, post
from litestar.params import FromPath

from gleichtakt.store import desk
from gleichtakt.store import runs as runs_store
from gleichtakt.web.admin.frame import database_of, found, go, number_of, record, show, uuid_of
from gleichtakt.web.login.viewer import Asked, Onlooker

SHOW = ("all", "wrote", "failed")
LEFT = ("held", "failed", "skipped")  # what a run planned and did not do


@get("/runs", include_in_schema=False)
async def runs_page(request: Asked, viewer: Onlooker) -> Response[str]:
    """Show runs, newest first."""
    only = request.query_params.get("show", "all")
    async with database_of(request).read() as connection:
        rows = await desk.runs(connection, viewer.scope, only=only if only != "all" else "", number=number_of(request))
        return await show(request, viewer, connection, "runs.html", runs=rows, only=only, filters=SHOW)


@get("/runs/{run_id:str}", include_in_schema=False)
async def run_page(request: Asked, viewer: Onlooker, run_id: FromPath[str]) -> Response[str]:
    """Show one run with its journal. Titles are masked unless asked for, and that is recorded."""
    titles = request.query_params.get("titles") == "shown" and viewer.may_see_titles
    async with database_of(request).begin() as connection:
        run = found(await desk.run(connection, viewer.scope, uuid_of(run_id)))
        journal = await desk.journal_of_run(connection, viewer.scope, run.id, number_of(request))
        plan = await desk.latest_plan(connection, viewer.scope, run_id=run.id)
        actions = desk.Shelf((), 1, more=False)
        if plan is not None:
            left = () if not journal.rows else LEFT
            actions = await desk.plan_actions(connection, plan.id, number_of(request), states=left)
        answer = await show(
            request,
            viewer,
            connection,
            "run.html",
            run=run,
            journal=journal,
            plan=plan,
            actions=actions,
            why=await desk.reasons(connection, plan.id, journal.rows) if plan else {},
            titles=titles,
        )
        if titles and not request.headers.get("hx-request"):
            await record(connection, viewer, run, "run.titles_shown")
        return answer


@post("/runs/{run_id:str}/undo", include_in_schema=False)
async def undo(request: Asked, viewer: Onlooker, run_id: FromPath[str]) -> Response[str]:
    """Ask for the reverse of a run."""
    async with database_of(request).begin() as connection:
        run = found(await desk.run(connection, viewer.scope, uuid_of(run_id)))
        undoing = await runs_store.undo(connection, run.organization_id, run.id, viewer.actor)
        await record(connection, viewer, run, "run.undo", {"run": str(undoing)})
    return go(request, f"/runs/{undoing}", "undo")
