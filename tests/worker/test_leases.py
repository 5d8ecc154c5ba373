"""Leases of lanes under the hands of one worker: who has one keeps it, and who lost it stops."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import pytest
from sqlalchemy import text
from tests.engine import Engine, engine
from tests.waiting import eventually, somebody_waits

from gleichtakt.onboarding.connect import Connections
from gleichtakt.store import lanes
from gleichtakt.store.database import Database
from gleichtakt.worker.loop import Worker, renew


@pytest.fixture
async def world(database: Database) -> AsyncIterator[Engine]:
    async with engine(database) as made:
        yield made


async def _for_ever() -> None:
    await asyncio.Event().wait()


async def take(worker: Worker, lane_id: UUID) -> asyncio.Task[None]:
    """Let a worker begin a pass that never ends."""
    async with worker.database.begin() as connection:
        (claim,) = await lanes.claim_these(connection, worker.owner, [lane_id], worker.settings.lease_seconds)
    worker.running[lane_id] = claim
    worker.tasks[lane_id] = asyncio.create_task(_for_ever())
    return worker.tasks[lane_id]


async def test_what_is_claimed_during_a_heartbeat_is_not_taken_for_lost(world: Engine) -> None:
    first, second = await world.tie("one", mailbox="one@example.org"), await world.tie("two", mailbox="two@example.org")
    worker = Worker(world.database, world.settings, Connections(world.box, world.settings))
    early = await take(worker, first.lane_id)
    async with world.database.begin() as connection:
        await connection.execute(text("select 1 from lane where id = :id for update"), {"id": first.lane_id})
        renewing = asyncio.create_task(renew(worker))
        await eventually(lambda: somebody_waits(world.database))
        late = await take(worker, second.lane_id)
    await renewing
    assert set(worker.running) == {first.lane_id, second.lane_id}
    for task in (early, late):
        assert not task.cancelling()
        task.cancel()


async def test_what_another_worker_took_over_is_stopped(world: Engine) -> None:
    tie = await world.tie()
    worker = Worker(world.database, world.settings, Connections(world.box, world.settings))
    task = await take(worker, tie.lane_id)
    async with world.database.begin() as connection:
        await connection.execute(text("update lane set owner = 'another', fence = fence + 1"))
    await renew(worker)
    assert task.cancelling()
    assert not worker.running
