"""Undo of a run: each side is set back for itself, both count as agreed, and life goes on from there."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tests.engine import Engine, meeting
from tests.scenarios.desk import Desk
from tests.scenarios.places import FULL


async def undo_last(world: Engine, desk: Desk) -> dict[str, Any]:
    """Undo the newest run and give the undoing one."""
    run = (await desk.get("/runs"))["items"][0]
    await desk.do(f"/runs/{run['id']}/undo")
    await world.sync(due=False)
    done: dict[str, Any] = (await desk.get("/runs"))["items"][0]
    assert done["kind"] == "undo"
    return done


async def quiet(world: Engine) -> bool:
    """Say whether further passes, even over everything anew, write nothing on any side."""
    before = await world.rows("select id, version from series order by id")
    world.forget()
    await world.sync(rounds=2)
    await world.rows("select 1")
    async with world.database.begin() as connection:
        await connection.exec_driver_sql("update pairing set stale = true where state <> 'unlinked'")
        await connection.exec_driver_sql("update link set force_listing = true")
    await world.sync(rounds=2)
    return world.writes() == 0 and before == await world.rows("select id, version from series order by id")


async def test_an_undone_update_of_ours_stays_undone_and_later_edits_merge(world: Engine, desk: Desk) -> None:
    tie = await world.tie(**FULL)
    ours = await world.put(meeting("Title", location="Room 1"))
    await world.sync()
    tie.edit(tie.things[0], title="Their title", description="Their text")
    await world.sync()
    assert await world.titles() == ["Their title"]

    done = await undo_last(world, desk)
    assert done["counts"]["app"]["updated"] == 1
    assert (await world.titles(), tie.titles) == (["Title"], ["Their title"])  # it does not travel on
    assert await quiet(world)
    assert (await world.titles(), tie.titles) == (["Title"], ["Their title"])

    tie.edit(tie.things[0], location="Room 2")
    await world.sync()
    (row,) = await world.ours()
    assert (row.series.event.title, row.series.event.location, row.series.event.description) == ("Title", "Room 2", "")
    await world.put(replace(row.series, event=replace(row.series.event, categories=("Customer",))), ours.id)
    await world.sync()
    there = tie.there()[0].event
    assert (there.title, there.categories, there.description) == ("Their title", ("Customer",), "Their text")
    assert await quiet(world)


async def test_an_undone_update_of_theirs_stays_undone_and_later_edits_merge(world: Engine, desk: Desk) -> None:
    tie = await world.tie(**FULL)
    ours = await world.put(meeting("Title", location="Room 1"))
    await world.sync()
    await world.put(replace(ours.series, event=replace(ours.series.event, title="New title")), ours.id)
    await world.sync()
    assert tie.titles == ["New title"]

    await undo_last(world, desk)
    assert (await world.titles(), tie.titles) == (["New title"], ["Title"])
    assert await quiet(world)

    tie.edit(tie.things[0], location="Room 2")
    await world.sync()
    (row,) = await world.ours()
    assert (row.series.event.title, row.series.event.location) == ("New title", "Room 2")
    assert tie.titles == ["Title"]
    await world.put(replace(row.series, event=replace(row.series.event, title="Third title")), ours.id)
    await world.sync()
    assert tie.titles == ["Third title"]
    assert await quiet(world)


async def test_both_halves_of_a_merge_are_undone(world: Engine, desk: Desk) -> None:
    tie = await world.tie(**FULL)
    ours = await world.put(meeting("Title", location="Room 1"))
    await world.sync()
    tie.edit(tie.things[0], location="Room 2")
    await world.put(replace(ours.series, event=replace(ours.series.event, title="New title")), ours.id)
    await world.sync()
    await undo_last(world, desk)
    (row,) = await world.ours()
    there = tie.there()[0].event
    assert (row.series.event.title, row.series.event.location) == ("New title", "Room 1")
    assert (there.title, there.location) == ("Title", "Room 2")
    assert await quiet(world)


async def test_an_undone_deletion_brings_the_copy_back_and_it_stays(world: Engine, desk: Desk) -> None:
    tie = await world.tie(**FULL)
    ours = await world.put(meeting("Ours"))
    thing = tie.add(meeting("Theirs", uid="t", days=2))
    await world.sync()
    await world.delete(ours.id)
    tie.remove(thing)
    await world.sync()
    assert (await world.titles(), tie.titles) == ([], [])
    await undo_last(world, desk)
    assert (await world.titles(), tie.titles) == (["Theirs"], ["Ours"])
    assert await quiet(world)
    assert (await world.titles(), tie.titles) == (["Theirs"], ["Ours"])


async def test_an_undone_creation_goes_away_and_stays_away(world: Engine, desk: Desk) -> None:
    tie = await world.tie(**FULL)
    await world.sync()
    await world.put(meeting("Ours"))
    tie.add(meeting("Theirs", uid="t", days=2))
    await world.sync()
    await undo_last(world, desk)
    assert (await world.titles(), tie.titles) == (["Ours"], ["Theirs"])
    assert await quiet(world)
    assert (await world.titles(), tie.titles) == (["Ours"], ["Theirs"])


async def test_what_was_edited_since_is_told_and_left_alone(world: Engine, desk: Desk) -> None:
    tie = await world.tie(**FULL)
    await world.sync()
    await world.put(meeting("Ours"))
    await world.sync()
    tie.edit(tie.things[0], location="Someone needs it")
    await undo_last(world, desk)
    assert tie.titles == ["Ours"]
    (told,) = await desk.problems()
    assert told["code"] == "sync.undo_edited_since"
    assert told["remedy"]
