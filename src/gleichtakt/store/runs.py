"""Runs: what was asked for, by whom, and what came of it.

Callers join a run that is still queued and never one that has begun, because that one may already be past what they
want to see. A run over a link is done by whoever holds its lane.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from gleichtakt.errors import Conflict, Scope
from gleichtakt.store import absences, lanes
from gleichtakt.store.database import Database, new_id
from gleichtakt.store.rows import Kept, missing
from gleichtakt.store.schema import run

ENDED = ("done", "partial", "failed")
CHANNEL = "runs"  # woken when a run ends
POLL_SECONDS = 1.0  # in case a wake-up was lost


@dataclass(frozen=True, slots=True)
class Run:
    """One run. counts: side -> created, updated, deleted. problems: what a person may have to look at."""

    id: UUID
    organization_id: UUID
    link_id: UUID | None
    connection_id: UUID | None
    kind: str
    state: str
    asked_by: str
    counts: Mapping[str, Any]
    held: int
    conflicts: int
    problems: Sequence[Mapping[str, Any]]
    progress: Mapping[str, Any]
    undo_of: UUID | None
    error_code: str
    error_params: Mapping[str, str]
    asked_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


runs = Kept(run, Run, "run")

_LINK = text("select id, organization_id, connection_id, lane_id, active, state from link where id = :id for update")
_QUEUED = text("""
select id from run where link_id = :link_id and state = 'queued' and kind = :kind and undo_of is not distinct from :undo_of
order by asked_at limit 1
""")
_ASK = text("""
insert into run (id, organization_id, link_id, connection_id, kind, asked_by, undo_of)
values (:id, :organization_id, :link_id, :connection_id, :kind, :asked_by, :undo_of)
""")


async def ask(connection: AsyncConnection, link_id: UUID, kind: str, asked_by: str, *, undo_of: UUID | None = None) -> UUID:
    """Ask for a run over a link and make its lane due; give the id of the run, or of the queued one of that kind.

    Raises Conflict `web.link_resting` for a link that is paused, inactive or disconnected: nobody would serve it.
    """
    link = (await connection.execute(_LINK, {"id": link_id})).one_or_none()
    if link is None:
        raise missing("link")
    if not link.active or link.state in ("paused", "disconnected"):
        raise Conflict("web.link_resting", Scope.CALENDAR, state=link.state if link.active else "inactive")
    wanted = {"link_id": link_id, "kind": kind, "undo_of": undo_of}
    run_id: UUID | None = (await connection.execute(_QUEUED, wanted)).scalar_one_or_none()
    if run_id is None:
        run_id = new_id()
        row = {**wanted, "id": run_id, "organization_id": link.organization_id, "connection_id": link.connection_id}
        await connection.execute(_ASK, {**row, "asked_by": asked_by})
    await make_due(connection, [link_id])
    if kind == "sync":  # whoever asks wants to see everything of that mailbox as it is now
        await absences.make_due(connection, link_id)
    return run_id


async def make_due(connection: AsyncConnection, link_ids: Sequence[UUID]) -> None:
    """Let links be worked on as soon as somebody is free."""
    due = await connection.execute(
        text("""update link set due = least(due, now()), calls = calls + 1 where id = any(cast(:ids as uuid[])) and active
                and state not in ('paused', 'disconnected') returning lane_id"""),
        {"ids": list(link_ids)},
    )
    lane_ids = list({row.lane_id for row in due})
    if lane_ids:
        await lanes.wake(connection, lane_ids)


async def undo(connection: AsyncConnection, organization_id: UUID, run_id: UUID, asked_by: str) -> UUID:
    """Ask for the reverse of a run; give the new run. Raises Conflict `web.nothing_to_undo`."""
    undone = await runs.get(connection, organization_id, run_id)
    if undone.link_id is None or undone.state not in ENDED or undone.kind not in ("sync", "undo"):
        raise Conflict("web.nothing_to_undo", Scope.CALENDAR, state=undone.state)
    return await ask(connection, undone.link_id, "undo", asked_by, undo_of=run_id)


async def wait(database: Database, organization_id: UUID, run_id: UUID, seconds: float) -> Run:
    """Give a run once it has ended, or as it stands after so many seconds. Holds no connection meanwhile."""
    until = time.monotonic() + seconds
    async with database.listen(CHANNEL) as wakes:
        while True:
            async with database.read() as connection:
                found = await runs.get(connection, organization_id, run_id)
            left = until - time.monotonic()
            if found.state in ENDED or left <= 0:
                return found
            await wakes.wait(min(left, POLL_SECONDS))


@dataclass(frozen=True, slots=True)
class PlannedAction:
    """One row of a plan, as an operator may see it."""

    side: str
    verb: str
    uid: str
    title: str
    fields: Sequence[str]
    why: str
    state: str
    series_id: UUID | None
    mails: int


@dataclass(frozen=True, slots=True)
class Planned:
    """What a run means or meant to do."""

    plan_id: UUID
    counts: Mapping[str, Any]
    mails: int
    actions: Sequence[PlannedAction]
    next: int | None  # number after which the next page begins


async def plan_of(connection: AsyncConnection, run_id: UUID, *, after: int = -1, limit: int = 1000) -> Planned | None:
    """Give a page of the plan of a run; None when it made none."""
    plan = await connection.execute(
        text("select id, counts, mails from plan where run_id = :id order by created_at desc limit 1"), {"id": run_id}
    )
    head = plan.one_or_none()
    if head is None:
        return None
    found = await connection.execute(
        text("""select number, side, verb, uid, title, fields, why, state, series_id, mails from plan_action
                where plan_id = :id and number > :after order by number limit :limit"""),
        {"id": head.id, "after": after, "limit": limit},
    )
    rows = found.all()
    actions = tuple(PlannedAction(*row[1:]) for row in rows)
    return Planned(head.id, head.counts, head.mails, actions, rows[-1].number if len(rows) == limit else None)
