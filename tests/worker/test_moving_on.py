"""What people do while a pass is under way: it is seen by the next look, never wiped away by what the pass records."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection
from tests.engine import Engine, Tie, engine, meeting
from tests.waiting import eventually

from gleichtakt.store import calendars, holds, passes
from gleichtakt.store.calendars import EventRow
from gleichtakt.store.database import Database
from gleichtakt.store.passes import LinkRow, PairRow

FULL = {"outbound_detail": "full", "inbound_detail": "full", "delete_grace_minutes": 0}
Work = Callable[[AsyncConnection, LinkRow], Awaitable[None]]


@pytest.fixture
async def world(database: Database) -> AsyncIterator[Engine]:
    async with engine(database) as made:
        yield made


async def test_an_edit_stored_while_a_write_is_recorded_is_planned_next(world: Engine) -> None:
    tie = await world.tie(**FULL)
    row = await world.put(meeting("Beratung"))
    await world.sync()
    (pair,) = await world.rows("select * from pairing where resource_id = :id", id=world.resource_id)
    settled = {name: pair[name] for name in ("resource_id", "link_id", "series_id", "href", "remote_uid", "etag", "made_by_us")}
    settled |= {"series_version": row.version, "base_ours": "{}", "base_theirs": "{}", "wrote": "[]"}

    async def record(connection: AsyncConnection, link: LinkRow) -> None:
        await passes.hold_still(connection, link, [row.id])
        await passes.settle(connection, [settled])

    await _while_an_edit_is_stored(world, tie, row, record)
    await _check_that_the_edit_arrives(world, tie)


async def test_an_edit_stored_while_nothing_is_found_to_do_is_planned_next(world: Engine) -> None:
    tie = await world.tie(**FULL)
    row = await world.put(meeting("Beratung"))
    await world.sync()
    (pair,) = await _read_again(world, tie)

    async def leave_it(connection: AsyncConnection, link: LinkRow) -> None:
        await passes.hold_still(connection, link, [row.id])
        await passes.in_step(connection, link, [pair])

    await _while_an_edit_is_stored(world, tie, row, leave_it)
    await _check_that_the_edit_arrives(world, tie)


async def test_a_decision_made_while_a_pass_looks_at_what_is_held_is_carried_out(world: Engine) -> None:
    tie = await world.tie(**FULL)
    await world.put(meeting("Beratung"))
    await world.sync()
    tie.remove(tie.things[0])
    await world.sync()
    (held,) = await world.rows("select id from hold where organization_id = :id", id=world.organization_id)
    (pair,) = await _read_again(world, tie)
    async with world.database.begin() as connection:
        await holds.approve(connection, world.organization_id, held["id"], "account:test")
    async with world.database.begin() as connection:
        await passes.in_step(connection, await _link(connection, tie), [pair])
    await world.sync()
    assert await world.titles() == []


async def test_a_booking_brought_back_while_its_deletion_is_recorded_gets_a_copy_again(world: Engine) -> None:
    tie = await world.tie(**FULL)
    row = await world.put(meeting("Beratung"))
    await world.sync()
    await world.delete(row.id)
    await world.put(meeting("Beratung, doch"), row.id)
    async with world.database.begin() as connection:
        link = await _link(connection, tie)
        await passes.hold_still(connection, link, [row.id])
        await passes.unpair(connection, link, row.id, forget=True)
    tie.remove(tie.things[0])
    await world.sync()
    assert tie.titles == ["Beratung, doch"]


async def _while_an_edit_is_stored(world: Engine, tie: Tie, row: EventRow, work: Work) -> None:
    """Do something of a pass that began before an edit of the application was committed."""
    async with world.database.begin() as connection:
        link = await _link(connection, tie)

    async def passing() -> None:
        async with world.database.begin() as connection:
            await work(connection, link)

    async with world.database.begin() as connection:
        edited = replace(row.series, event=replace(row.series.event, title="Beratung, verlegt"))
        await calendars.put_event(
            connection,
            organization_id=world.organization_id,
            resource_id=world.resource_id,
            series_id=row.id,
            external_id=None,
            series=edited,
            expect=None,
            actor="api:test",
        )
        task = asyncio.create_task(passing())
        await eventually(lambda: _somebody_waits(world))
    await task


async def _somebody_waits(world: Engine) -> bool:
    (found,) = await world.rows(
        "select exists (select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock') as waits"
    )
    return bool(found["waits"])


async def _read_again(world: Engine, tie: Tie) -> list[PairRow]:
    """Let everything be planned anew and read it as a pass does."""
    async with world.database.begin() as connection:
        await connection.execute(text("update pairing set stale = true where resource_id = :id"), {"id": world.resource_id})
        return await passes.stale_pairs(connection, await _link(connection, tie), None, 10)


async def _link(connection: AsyncConnection, tie: Tie) -> LinkRow:
    await connection.execute(text("update link set due = now() where id = :id"), {"id": tie.id})
    (link,) = await passes.due_links(connection, [tie.lane_id])
    return link


async def _check_that_the_edit_arrives(world: Engine, tie: Tie) -> None:
    await world.sync()
    assert tie.titles == ["Beratung, verlegt"]
