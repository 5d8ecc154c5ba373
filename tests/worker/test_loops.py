"""Loops: copies of copies never multiply, and a to and fro with another program comes to rest with a problem."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from sqlalchemy import text
from tests.engine import Engine, engine, meeting

from gleichtakt.errors import cause, remedy
from gleichtakt.store import problems
from gleichtakt.store.database import Database

FULL = {"outbound_detail": "full", "inbound_detail": "full", "relay": "full", "delete_grace_minutes": 0}


@pytest.fixture
async def world(database: Database) -> AsyncIterator[Engine]:
    async with engine(database) as made:
        yield made


async def sync_now(world: Engine) -> None:
    """Make the passes of the next minute: what rests for longer goes on resting."""
    async with world.database.begin() as connection:
        await connection.execute(text("update link set due = now()"))
        await connection.execute(text("update lane set due = now()"))
    await world.sync(due=False)


async def test_dup_04_own_copies_are_known_although_the_calendar_strips_marks_and_rewrites_uids(world: Engine) -> None:
    first = await world.tie("one")
    others = [await world.tie(name, "normalising") for name in ("two", "three")]
    for tie in (first, *others):
        await tie.set(**FULL)
    first.add(meeting("Theirs", uid="theirs-1", rrule="FREQ=WEEKLY;COUNT=4"))
    await world.put(meeting("Ours"))
    await world.sync(rounds=3)
    assert [tie.titles for tie in (first, *others)] == [["Ours", "Theirs"]] * 3
    world.forget()
    for _ in range(10):
        for tie in others:
            world.simulator.expire_cursors(tie.folder)  # every copy is read back as if for the first time
        await world.sync()
    assert world.writes() == 0
    assert [tie.titles for tie in (first, *others)] == [["Ours", "Theirs"]] * 3
    assert await world.titles() == ["Ours", "Theirs"]


async def test_dup_04_an_event_that_is_changed_back_every_time_rests_after_five_writes(world: Engine) -> None:
    tie = await world.tie(**FULL, provider_writes_own="revert")
    ours = await world.put(meeting("Ours"))
    other = await world.put(meeting("Neighbour"))
    await sync_now(world)
    world.forget()
    (mine,) = [thing for thing in tie.things if thing.document["title"] == "Ours"]
    for number in range(9):
        tie.edit(mine, title="Another program was here")
        await world.put(replace(other.series, event=replace(other.series.event, title=f"Neighbour {number}")), other.id)
        await sync_now(world)
    assert [entry["href"] for entry in world.simulator.ledger if entry["verb"] == "update"].count(mine.href) == 4
    assert tie.titles == ["Another program was here", "Neighbour 8"], "its neighbour, which only we write, goes on"
    assert await world.titles() == ["Neighbour 8", "Ours"]

    (listed,) = await world.rows("select * from problem where state = 'open'")
    assert (listed["code"], listed["series_id"], listed["side"], listed["scope"]) == ("sync.loop", ours.id, "provider", "series")
    assert listed["next_try_at"] is not None
    for language in ("de", "en"):
        assert "5" in cause("sync.loop", listed["params"], language)
        assert remedy("sync.loop", listed["params"], language)
    assert (await world.rows("select state from link"))[0]["state"] == "degraded"

    async with world.database.begin() as connection:  # somebody has stopped the other program
        await problems.retry(connection, world.organization_id, listed["id"])
    await sync_now(world)
    assert tie.titles == ["Neighbour 8", "Ours"]
    assert not await world.rows("select 1 from problem where state = 'open'")


async def test_dup_04_a_loop_goes_on_by_itself_when_its_hour_is_over(world: Engine) -> None:
    tie = await world.tie(**FULL, provider_writes_own="revert")
    await world.put(meeting("Ours"))
    for _ in range(7):
        await sync_now(world)
        tie.edit(tie.things[0], title="Another program was here")
    await sync_now(world)
    assert tie.titles == ["Another program was here"]
    (resting,) = await world.rows("select retry_at > now() + interval '50 minutes' as is_long from pairing")
    assert resting["is_long"]
    async with world.database.begin() as connection:  # an hour later
        await connection.execute(
            text("""update pairing set retry_at = retry_at - interval '1 hour', writes = (
                      select jsonb_agg(jsonb_build_array(w->0, (w->>1)::float - 3600, w->2))
                    from jsonb_array_elements(writes) w)""")
        )
    await sync_now(world)
    assert tie.titles == ["Ours"]
    assert not await world.rows("select 1 from problem where state = 'open'")


async def test_dup_04_what_one_side_changes_again_and_again_arrives_every_time(world: Engine) -> None:
    tie = await world.tie(**FULL)
    ours = await world.put(meeting("Ours"))
    for number in range(8):
        await world.put(replace(ours.series, event=replace(ours.series.event, title=f"Ours {number}")), ours.id)
        await sync_now(world)
        assert tie.titles == [f"Ours {number}"]
    for number in range(8):
        tie.edit(tie.things[0], location=f"Raum {number}")
        await sync_now(world)
        assert (await world.ours())[0].series.event.location == f"Raum {number}"
    assert not await world.rows("select 1 from problem")


async def test_dup_04_a_deletion_ends_a_loop_at_any_time(world: Engine) -> None:
    tie = await world.tie(**FULL, provider_writes_own="revert")
    ours = await world.put(meeting("Ours"))
    for _ in range(7):
        await sync_now(world)
        tie.edit(tie.things[0], title="Another program was here")
    await sync_now(world)
    await world.delete(ours.id)
    await sync_now(world)
    assert not tie.things
