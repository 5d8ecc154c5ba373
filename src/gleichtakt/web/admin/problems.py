"""Problems: what could not be done, why, who acts and when; tried again or laid aside by a click."""

from __future__ import annotations

from litestar import Response, get, post
from litestar.params import FromPath

from gleichtakt.store import desk
from gleichtakt.store import problems as problems_store
from gleichtakt.web.admin.frame import database_of, go, number_of, record, show, uuid_of
from gleichtakt.web.login.viewer import Asked, Onlooker, safe_path

STATES = ("open", "ignored", "resolved")


@get("/problems", include_in_schema=False)
async def problems_page(request: Asked, viewer: Onlooker) -> Response[str]:
    """Show problems, latest first."""
    state = request.query_params.get("state", "open")
    state = state if state in STATES else "open"
    async with database_of(request).read() as connection:
        rows = await desk.problems(connection, viewer.scope, state=state, number=number_of(request))
        return await show(request, viewer, connection, "problems.html", problems=rows, state=state, states=STATES)


async def _back(request: Asked, said: str) -> Response[str]:
    form = await request.form()
    return go(request, safe_path(str(form.get("next") or ""), "/problems"), said)


@post("/problems/{problem_id:str}/retry", include_in_schema=False)
async def retry(request: Asked, viewer: Onlooker, problem_id: FromPath[str]) -> Response[str]:
    """Try again now."""
    async with database_of(request).begin() as connection:
        problem = await problems_store.problems.get(connection, viewer.scope, uuid_of(problem_id))
        await problems_store.retry(connection, problem.organization_id, problem.id)
        await record(connection, viewer, problem, "problem.retry")
    return await _back(request, "retry")


@post("/problems/{problem_id:str}/ignore", include_in_schema=False)
async def ignore(request: Asked, viewer: Onlooker, problem_id: FromPath[str]) -> Response[str]:
    """Lay it aside."""
    async with database_of(request).begin() as connection:
        problem = await problems_store.problems.get(connection, viewer.scope, uuid_of(problem_id))
        await problems_store.ignore(connection, problem.organization_id, problem.id)
        await record(connection, viewer, problem, "problem.ignore")
    return await _back(request, "ignored")
