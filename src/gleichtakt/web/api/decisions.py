"""What waits for a person: held actions, conflicts, problems."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec
from litestar import Response, get, post
from litestar.params import FromPath, FromQuery, JSONBody

from gleichtakt.errors import Language, cause, remedy
from gleichtakt.model.document import read_series
from gleichtakt.store import conflicts as conflict_store
from gleichtakt.store import holds as hold_store
from gleichtakt.store import problems as problem_store
from gleichtakt.store.conflicts import conflicts
from gleichtakt.store.holds import Hold, holds
from gleichtakt.store.problems import Problem, problems
from gleichtakt.store.rows import Kept
from gleichtakt.web.api.context import Ask, Page, acting, found, language, paged, reading, shown
from gleichtakt.web.api.forms import Cursor, InState, Limit, after_of, number_of
from gleichtakt.web.api.shapes import EventBody
from gleichtakt.web.problems import invalid


class HeldView(msgspec.Struct):
    """One action that is held back."""

    number: int
    series_id: UUID | None
    side: str
    verb: str
    uid: str
    title: str
    why: str
    event_start: datetime | None


class HoldView(msgspec.Struct):
    """A question: may these actions go on. state: open, approved, rejected, or resolved by itself."""

    id: UUID
    link_id: UUID
    resource_id: UUID
    run_id: UUID | None
    kind: str
    params: dict[str, Any]
    state: str
    count: int
    created_at: datetime
    decided_at: datetime | None
    decided_by: str


class HoldDetail(HoldView, kw_only=True):
    """A hold with its actions. next: the following page of them."""

    actions: list[HeldView]
    next: str | None


class ConflictView(msgspec.Struct):
    """One field, two edits. base, ours, theirs: values by field; null where that side has deleted the event."""

    id: UUID
    link_id: UUID
    resource_id: UUID
    series_id: UUID
    fields: list[str]
    base: dict[str, Any] | None
    ours: dict[str, Any] | None
    theirs: dict[str, Any] | None
    state: str
    resolution: str
    created_at: datetime
    decided_at: datetime | None
    decided_by: str


class Resolution(msgspec.Struct):
    """What shall count on both sides. event: the whole event, for `merged`."""

    resolution: Literal["ours", "theirs", "merged"]
    event: EventBody | None = None


class ProblemView(msgspec.Struct):
    """What could not be done. cause, remedy: in the caller's language. next_try_at: when it is tried again by itself."""

    id: UUID
    resource_id: UUID | None
    link_id: UUID | None
    connection_id: UUID | None
    series_id: UUID | None
    side: str
    code: str
    kind: str
    scope: str
    cause: str
    remedy: str
    state: str
    count: int
    event_start: datetime | None
    first_at: datetime
    last_at: datetime
    next_try_at: datetime | None


def problem_view(row: Problem, spoken: Language) -> ProblemView:
    """Show a problem."""
    params = {name: str(value) for name, value in row.params.items()}
    return shown(ProblemView, row, cause=cause(row.code, params, spoken), remedy=remedy(row.code, params, spoken))


def hold_view(row: Hold) -> HoldView:
    """Show a hold without its actions."""
    return shown(HoldView, row, params=dict(row.params))


async def _listed(request: Ask, kept: Kept[Any], wanted: Mapping[str, Any], limit: int, cursor: str | None) -> Any:
    async with reading(request) as (connection, organization_id):
        conditions = [kept.table.c.organization_id == organization_id]
        conditions += [kept.table.c[name] == value for name, value in wanted.items() if value is not None]
        return await kept.page(connection, *conditions, after=after_of(cursor), limit=limit, newest_first=True)


# --- holds -------------------------------------------------------------------------------------------------------


@get("/holds")
async def list_holds(
    request: Ask, limit: Limit = 100, cursor: Cursor = None, in_state: InState = None, link_id: FromQuery[UUID | None] = None
) -> Response[Page[HoldView]]:
    """List what guards have held back, newest first."""
    listing = await _listed(request, holds, {"state": in_state, "link_id": link_id}, limit, cursor)
    return paged(request, listing, [hold_view(row) for row in listing.items])


@get("/holds/{hold_id:uuid}")
async def get_hold(request: Ask, hold_id: FromPath[UUID], limit: Limit = 200, cursor: Cursor = None) -> Response[HoldDetail]:
    """Read a hold with the actions it keeps back."""
    after = number_of(cursor)
    async with reading(request) as (connection, organization_id):
        row = await holds.get(connection, organization_id, hold_id)
        actions = await hold_store.held(connection, hold_id, after=-1 if after is None else after, limit=limit)
    following = str(actions[-1].number) if len(actions) == limit else None
    views = [shown(HeldView, one) for one in actions]
    return found(request, shown(HoldDetail, row, params=dict(row.params), actions=views, next=following))


@post("/holds/{hold_id:uuid}/approve", status_code=200)
async def approve_hold(request: Ask, hold_id: FromPath[UUID]) -> Response[HoldView]:
    """Let the held actions be done, exactly those that were shown."""
    async with acting(request) as deed:
        row = hold_view(await hold_store.approve(deed.connection, deed.organization_id, hold_id, deed.actor))
        deed.note("hold.approve", f"hold/{hold_id}", None, row)
        return deed.answer(row)


@post("/holds/{hold_id:uuid}/reject", status_code=200)
async def reject_hold(request: Ask, hold_id: FromPath[UUID]) -> Response[HoldView]:
    """Refuse the held actions: the side that changed is brought back."""
    async with acting(request) as deed:
        row = hold_view(await hold_store.reject(deed.connection, deed.organization_id, hold_id, deed.actor))
        deed.note("hold.reject", f"hold/{hold_id}", None, row)
        return deed.answer(row)


# --- conflicts ---------------------------------------------------------------------------------------------------


@get("/conflicts")
async def list_conflicts(
    request: Ask, limit: Limit = 100, cursor: Cursor = None, in_state: InState = None, link_id: FromQuery[UUID | None] = None
) -> Response[Page[ConflictView]]:
    """List edits that contradict each other, newest first."""
    listing = await _listed(request, conflicts, {"state": in_state, "link_id": link_id}, limit, cursor)
    return paged(request, listing, [shown(ConflictView, row) for row in listing.items])


@get("/conflicts/{conflict_id:uuid}")
async def get_conflict(request: Ask, conflict_id: FromPath[UUID]) -> Response[ConflictView]:
    """Read a conflict with all three versions."""
    async with reading(request) as (connection, organization_id):
        row = await conflicts.get(connection, organization_id, conflict_id)
    return found(request, shown(ConflictView, row))


@post("/conflicts/{conflict_id:uuid}/resolve", status_code=200)
async def resolve_conflict(request: Ask, conflict_id: FromPath[UUID], data: JSONBody[Resolution]) -> Response[ConflictView]:
    """Say whose version counts, or write the one that shall."""
    if (data.resolution == "merged") != (data.event is not None):
        raise invalid("event", "goes with the resolution `merged`, and only with it")
    merged = read_series(dict(data.event)) if data.event is not None else None
    async with acting(request) as deed:
        row = await conflict_store.resolve(
            deed.connection, deed.organization_id, conflict_id, data.resolution, deed.actor, merged
        )
        deed.note("conflict.resolve", f"conflict/{conflict_id}", None, {"resolution": data.resolution})
        return deed.answer(shown(ConflictView, row))


# --- problems ----------------------------------------------------------------------------------------------------


@get("/problems")
async def list_problems(
    request: Ask,
    limit: Limit = 100,
    cursor: Cursor = None,
    in_state: InState = None,
    link_id: FromQuery[UUID | None] = None,
    connection_id: FromQuery[UUID | None] = None,
    resource_id: FromQuery[UUID | None] = None,
) -> Response[Page[ProblemView]]:
    """List what could not be done, newest first."""
    wanted = {"state": in_state, "link_id": link_id, "connection_id": connection_id, "resource_id": resource_id}
    listing = await _listed(request, problems, wanted, limit, cursor)
    return paged(request, listing, [problem_view(row, language(request)) for row in listing.items])


@get("/problems/{problem_id:uuid}")
async def get_problem(request: Ask, problem_id: FromPath[UUID]) -> Response[ProblemView]:
    """Read a problem with its remedy."""
    async with reading(request) as (connection, organization_id):
        row = await problems.get(connection, organization_id, problem_id)
    return found(request, problem_view(row, language(request)))


@post("/problems/{problem_id:uuid}/retry", status_code=202)
async def retry_problem(request: Ask, problem_id: FromPath[UUID]) -> Response[ProblemView]:
    """Try again now; the problem closes by itself once that works."""
    async with acting(request) as deed:
        row = await problem_store.retry(deed.connection, deed.organization_id, problem_id)
        deed.note("problem.retry", f"problem/{problem_id}")
        return deed.answer(problem_view(row, language(request)), status=202)


@post("/problems/{problem_id:uuid}/ignore", status_code=200)
async def ignore_problem(request: Ask, problem_id: FromPath[UUID]) -> Response[ProblemView]:
    """Take a problem off the list until it happens again."""
    async with acting(request) as deed:
        row = await problem_store.ignore(deed.connection, deed.organization_id, problem_id)
        deed.note("problem.ignore", f"problem/{problem_id}")
        return deed.answer(problem_view(row, language(request)))


route_handlers = [
    list_holds,
    get_hold,
    approve_hold,
    reject_hold,
    list_conflicts,
    get_conflict,
    resolve_conflict,
    list_problems,
    get_problem,
    retry_problem,
    ignore_problem,
]
