"""What people do while a pass is under way: it is seen by the next look, never wiped away by what the pass records."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection
from tests.engine import Engine, Tie, engine, meeting
from tests.simulation.caldav_remote import tie_simulated
from tests.waiting import eventually, somebody_waits

from gleichtakt.onboarding.connect import Connections, limits_of
from gleichtakt.simulators import caldav
from gleichtakt.store import calendars, holds, instance, lanes, pairings, passes
from gleichtakt.store.calendars import EventRow
from gleichtakt.store.database import Database
from gleichtakt.store.pairings import PairRow
from gleichtakt.store.passes import LinkRow
from gleichtakt.worker.link_pass.context import Pass, utc_now
from gleichtakt.worker.link_pass.observe import observe
from gleichtakt.worker.link_pass.plan import make_plan
from gleichtakt.worker.link_pass.settle import settle
from gleichtakt.worker.loop import work
from gleichtakt.worker.sync_link import link_policy

FULL = {"outbound_detail": "full", "inbound_detail": "full", "delete_grace_minutes": 0}
Step = Callable[[AsyncConnection, LinkRow], Awaitable[None]]


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
        await pairings.hold_still(connection, link, [row.id])
        await pairings.settle(connection, [settled])

    await _while_an_edit_is_stored(world, tie, row, record)
    await _check_that_the_edit_arrives(world, tie)


async def test_an_edit_stored_while_nothing_is_found_to_do_is_planned_next(world: Engine) -> None:
    tie = await world.tie(**FULL)
    row = await world.put(meeting("Beratung"))
    await world.sync()
    (pair,) = await _read_again(world, tie)

    async def leave_it(connection: AsyncConnection, link: LinkRow) -> None:
        await pairings.hold_still(connection, link, [row.id])
        await pairings.in_step(connection, link, [pair])

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
        await pairings.in_step(connection, await _link(connection, tie), [pair])
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
        await pairings.hold_still(connection, link, [row.id])
        await pairings.unpair(connection, link, row.id, forget=True)
    tie.remove(tie.things[0])
    await world.sync()
    assert tie.titles == ["Beratung, doch"]


async def test_a_copy_that_is_deleted_before_we_read_again_is_missed(world: Engine) -> None:
    async with caldav.start(caldav.Simulator(caldav.Habits(compares=True))) as running:
        calendar = await tie_simulated(world, running)
        await world.set("resource", world.resource_id, **FULL)
        for title in ("Beratung", "Einweisung"):
            await world.put(meeting(title))
        await world.sync()
        await calendar.drop(min(await calendar.content()))
        await world.sync()
        (held,) = await world.rows("select kind, count from hold where organization_id = :id", id=world.organization_id)
        assert held == {"kind": "remote_delete", "count": 1}
        await calendar.forget()
        await world.sync(rounds=2)
        assert {entry["verb"] for entry in running.simulator.ledger} == {"state"}  # and it is not asked for again


async def _while_an_edit_is_stored(world: Engine, tie: Tie, row: EventRow, step: Step) -> None:
    """Do something of a pass that began before an edit of the application was committed."""
    async with world.database.begin() as connection:
        link = await _link(connection, tie)

    async def passing() -> None:
        async with world.database.begin() as connection:
            await step(connection, link)

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
        await eventually(lambda: somebody_waits(world.database))
    await task


async def _read_again(world: Engine, tie: Tie) -> list[PairRow]:
    """Let everything be planned anew and read it as a pass does."""
    async with world.database.begin() as connection:
        await connection.execute(text("update pairing set stale = true where resource_id = :id"), {"id": world.resource_id})
        return await pairings.stale_pairs(connection, await _link(connection, tie), None, 10)


async def _link(connection: AsyncConnection, tie: Tie) -> LinkRow:
    await connection.execute(text("update link set due = now() where id = :id"), {"id": tie.id})
    (link,) = await passes.due_links(connection, [tie.lane_id])
    return link


async def _check_that_the_edit_arrives(world: Engine, tie: Tie) -> None:
    await world.sync()
    assert tie.titles == ["Beratung, verlegt"]


async def test_a_plan_whose_first_half_is_overtaken_leaves_its_second_half(world: Engine) -> None:
    """Both links edited one event; the other link's edit arrives between this link's plan and its effects."""
    one, other = await world.tie("one", **FULL), await world.tie("other", **FULL)
    row = await world.put(meeting("Beratung"))
    await world.sync(rounds=2)
    await world.put(replace(row.series, event=replace(row.series.event, location="Raum Spree")), row.id)
    one.edit(one.things[0], description="vom einen")
    other.edit(other.things[0], title="Beratung, vom anderen")
    planned = await _plan(world, one)
    await _pass_over(world, other)
    await _carry_out(planned)
    await world.sync(rounds=3)
    for event in ((await world.ours())[0].series.event, one.there()[0].event, other.there()[0].event):
        assert (event.title, event.description, event.location) == ("Beratung, vom anderen", "vom einen", "Raum Spree")


async def _plan(world: Engine, tie: Tie) -> Pass:
    """Begin a pass over one link and stop before its first effect."""
    async with world.database.begin() as connection:
        await connection.execute(text("update lane set due = now() where id = :id"), {"id": tie.lane_id})
        (claim,) = await lanes.claim_these(connection, "tests", [tie.lane_id], 60)
        link = await _link(connection, tie)
        provider = await Connections(world.box, world.settings).get(connection, tie.connection_id, link.connection_version)
        epoch = str((await instance.current(connection)).epoch)
    limits = limits_of(provider.abilities)
    planned = Pass(world.database, claim, link, link_policy(link, provider), limits, provider, epoch, utc_now())
    await observe(planned)
    planned.plan_id = await make_plan(planned, "run")
    return planned


async def _pass_over(world: Engine, tie: Tie) -> None:
    """Make a whole pass over one link."""
    async with world.database.begin() as connection:
        await connection.execute(text("update link set due = now() where id = :id"), {"id": tie.id})
        await connection.execute(text("update lane set due = now() where id = :id"), {"id": tie.lane_id})
    await work(world.database, world.settings, world.box, once=True, lane_ids=[tie.lane_id])


async def _carry_out(planned: Pass) -> None:
    """Go on with a pass where `_plan` stopped, and give its lane back."""
    assert planned.plan_id is not None
    await settle(planned, planned.plan_id)
    await planned.provider.close()
    async with planned.database.begin() as connection:
        await lanes.finish(connection, planned.claim, None)
