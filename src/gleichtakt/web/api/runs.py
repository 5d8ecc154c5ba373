"""Runs: what was asked for and what came of it; and their undoing."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import Response, get, post
from litestar.params import FromPath, FromQuery, QueryParameter

from gleichtakt.errors import Language
from gleichtakt.store import runs as store
from gleichtakt.store.rows import missing
from gleichtakt.store.runs import Planned, Run, runs
from gleichtakt.store.schema import run as table
from gleichtakt.web.api.context import Ask, Page, acting, found, language, paged, reading, services, shown
from gleichtakt.web.api.forms import Cursor, InState, Limit, after_of, number_of
from gleichtakt.web.api.words import Words, words

LONGEST_WAIT = 300.0
VERBS = ("created", "updated", "deleted")

Wait = Annotated[float, QueryParameter(ge=0, le=LONGEST_WAIT, description="seconds to wait for the end")]


class RunView(msgspec.Struct):
    """A run. counts: what it changed, per side. problem: why it failed. problems: single events that did not go through."""

    id: UUID
    link_id: UUID | None
    connection_id: UUID | None
    kind: str
    state: str
    asked_by: str
    counts: dict[str, Any]
    held: int
    conflicts: int
    problems: list[dict[str, Any]]
    problem: Words | None
    progress: dict[str, Any]
    undo_of: UUID | None
    asked_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class ActionView(msgspec.Struct):
    """One step of a plan. why: a code with its sentence."""

    side: str
    verb: str
    uid: str
    title: str
    fields: list[str]
    why: str
    state: str
    series_id: UUID | None
    mails: int


class PlanView(msgspec.Struct):
    """What a run means to do, step by step. mails: messages that would go out. next: the following page of actions."""

    run: RunView
    actions: list[ActionView]
    counts: dict[str, Any]
    mails: int
    next: str | None


def counted(counts: Mapping[str, Any]) -> dict[str, Any]:
    """Give counts with every side and verb, so that nobody has to ask whether one is there."""
    sides = {side: dict.fromkeys(VERBS, 0) | dict(counts.get(side) or {}) for side in ("app", "provider")}
    return {**counts, **sides}


def view_of(row: Run, spoken: Language) -> RunView:
    """Show a run."""
    problems = [
        {**problem, **msgspec.to_builtins(words(problem.get("code", ""), problem.get("params") or {}, spoken))}
        for problem in row.problems
        if problem.get("code")
    ]
    return shown(
        RunView,
        row,
        counts=counted(row.counts),
        problems=problems,
        problem=words(row.error_code, row.error_params, spoken),
        progress=dict(row.progress),
    )


def plan_view(row: Run, plan: Planned | None, spoken: Language) -> PlanView:
    """Show the plan of a run; empty while there is none."""
    if plan is None:
        return PlanView(view_of(row, spoken), [], counted({}), 0, None)
    actions = [shown(ActionView, one, fields=list(one.fields)) for one in plan.actions]
    following = str(plan.next) if plan.next is not None else None
    return PlanView(view_of(row, spoken), actions, counted(plan.counts), plan.mails, following)


@get("/runs")
async def list_runs(
    request: Ask,
    limit: Limit = 100,
    cursor: Cursor = None,
    link_id: FromQuery[UUID | None] = None,
    connection_id: FromQuery[UUID | None] = None,
    in_state: InState = None,
    kind: FromQuery[str | None] = None,
) -> Response[Page[RunView]]:
    """List the runs, newest first."""
    async with reading(request) as (connection, organization_id):
        wanted = {"link_id": link_id, "connection_id": connection_id, "state": in_state, "kind": kind}
        conditions = [table.c.organization_id == organization_id]
        conditions += [table.c[name] == value for name, value in wanted.items() if value is not None]
        listing = await runs.page(connection, *conditions, after=after_of(cursor), limit=limit, newest_first=True)
    return paged(request, listing, [view_of(row, language(request)) for row in listing.items])


@get("/runs/{run_id:uuid}")
async def get_run(request: Ask, run_id: FromPath[UUID], wait: Wait = 0.0) -> Response[RunView]:
    """Read a run, on request once it has ended."""
    async with reading(request) as (connection, organization_id):
        row = await runs.get(connection, organization_id, run_id)
    if wait and row.state not in store.ENDED:
        row = await store.wait(services(request).database, organization_id, run_id, wait)
    return found(request, view_of(row, language(request)))


@get("/runs/{run_id:uuid}/plan")
async def get_plan(request: Ask, run_id: FromPath[UUID], limit: Limit = 1000, cursor: Cursor = None) -> Response[PlanView]:
    """Read what a run means or meant to do."""
    after = number_of(cursor)
    async with reading(request) as (connection, organization_id):
        row = await runs.get(connection, organization_id, run_id)
        plan = await store.plan_of(connection, run_id, after=-1 if after is None else after, limit=limit)
    if plan is None and row.kind != "plan":
        raise missing("plan")
    return found(request, plan_view(row, plan, language(request)))


@post("/runs/{run_id:uuid}/undo", status_code=202)
async def undo_run(request: Ask, run_id: FromPath[UUID], wait: Wait = 0.0) -> Response[RunView]:
    """Take back what a run wrote on either side, through the same guards; what was never stored is named."""
    async with acting(request) as deed:
        undoing = await store.undo(deed.connection, deed.organization_id, run_id, deed.actor)
        row = await runs.get(deed.connection, deed.organization_id, undoing)
        deed.note("run.undo", f"run/{run_id}", None, {"run_id": str(undoing)})
        answer = deed.answer(view_of(row, language(request)), status=202, location=f"/api/v1/runs/{undoing}")
    if not wait:
        return answer
    row = await store.wait(services(request).database, row.organization_id, undoing, wait)
    return found(request, view_of(row, language(request)))


route_handlers = [list_runs, get_run, get_plan, undo_run]
