"""DEL: nothing is deleted without proof, and not much without a person."""

from __future__ import annotations

import pytest
from tests.engine import Engine, meeting, moment
from tests.scenarios.calendars import edited
from tests.scenarios.desk import Desk
from tests.scenarios.places import FULL, Dav, Feeds
from tests.scenarios.test_duplicates import book

from gleichtakt.model.document import point_document
from gleichtakt.simulators import caldav, feed
from gleichtakt.simulators.memory import Fault

PAGE = "<html>Please sign in</html>"
DAV_FAULTS = [
    *(caldav.Fault("status", status=status, times=-1) for status in (500, 403, 404, 401)),
    caldav.Fault("lost", times=-1),
    caldav.Fault("garbage", body=PAGE, times=-1),
    caldav.Fault("garbage", body="", times=-1),
    caldav.Fault("garbage", body='<multistatus xmlns="DAV:"></multistatus>', times=-1),
]
FEED_FAULTS = [
    *(feed.Fault("status", status=status, times=-1) for status in (500, 403, 404)),
    feed.Fault("lost", times=-1),
    feed.Fault("status", status=200, body=PAGE, times=-1),
    feed.Fault("status", status=200, body="", times=-1),
]


async def test_del_01_no_failed_download_looks_like_an_empty_calendar(world: Engine, desk: Desk, dav: Dav, feeds: Feeds) -> None:
    tie = await dav.tie(**FULL)
    published, feed_link = await feeds.tie(**FULL)
    for number in range(5):
        tie.add(meeting(f"Dav {number}", uid=f"dav-{number}", days=number + 1))
    feeds.publish(published, *(meeting(f"Feed {n}", uid=f"feed-{n}", days=n + 1, hour=15) for n in range(5)))
    await world.sync()
    before = await world.rows("select id, version from series where deleted_at is null order by id")
    assert len(before) == 10
    for number in range(max(len(DAV_FAULTS), len(FEED_FAULTS))):
        broken, unread = DAV_FAULTS[number % len(DAV_FAULTS)], FEED_FAULTS[number % len(FEED_FAULTS)]
        dav.simulator.faults.add(broken)
        feeds.simulator.faults.add(unread)
        async with world.database.begin() as connection:  # the worst moment: everything is listed anew
            await connection.exec_driver_sql("update link set cursor = null, force_listing = true")
        await world.sync()
        assert await world.rows("select id, version from series where deleted_at is null order by id") == before
        for link_id in (tie.id, feed_link):
            link = await desk.get(f"/links/{link_id}")
            assert link["state"] in ("delayed", "error", "auth_required"), (broken, unread)
            assert link["health"]["failing_since"]
        assert len(await desk.problems()) >= 2
        assert not await desk.holds()
        dav.simulator.faults.clear()
        feeds.simulator.faults.clear()
        dav.simulator.refused_logins = 0
        async with world.database.begin() as connection:
            await connection.exec_driver_sql("update connection set paused_until = null, state = 'online', refusals = '[]'")
        await world.sync()
        assert not await desk.problems(), (broken, unread)
        assert await world.rows("select id, version from series where deleted_at is null order by id") == before


async def test_del_01_after_an_hour_of_failures_the_delay_becomes_an_alarm(world: Engine, desk: Desk) -> None:
    tie = await world.tie(**FULL)
    await world.sync()
    world.simulator.faults.add(Fault("failure", "changes", times=-1))
    await world.sync()
    assert (await desk.get(f"/links/{tie.id}"))["state"] == "delayed"
    async with world.database.begin() as connection:
        await connection.exec_driver_sql("update link set failing_since = now() - interval '61 minutes'")
    await world.sync()
    assert (await desk.get(f"/links/{tie.id}"))["state"] == "error"
    assert [
        one["type"]
        for one in await world.rows("select type from change where type = 'link.state' and object_id = :id", id=tie.id)
    ]


async def test_del_02_a_calendar_that_is_suddenly_empty_waits_for_a_person(world: Engine, desk: Desk) -> None:
    tie = await world.tie(**FULL)
    things = [tie.add(meeting(f"Event {n}", uid=f"event-{n}", days=n % 300 + 1)) for n in range(100)]
    await world.sync()
    documents = {thing.href: thing.document for thing in things}
    for thing in things:
        tie.remove(thing)
    tie.add(meeting("New", uid="new"))
    await world.sync(rounds=2)
    assert len(await world.ours()) == 101  # the rest of the run went on
    (hold,) = await desk.holds()
    assert (hold["kind"], hold["count"]) == ("side_empty", 100)

    for thing in things[90:]:  # ten come back: fewer are held now, none is deleted
        world.simulator.put(tie.folder, documents[thing.href], href=thing.href)
    await world.sync(rounds=2)
    assert len(await world.ours()) == 101
    (hold,) = await desk.holds()
    assert hold["count"] == 90
    shown = (await desk.get(f"/holds/{hold['id']}"))["actions"]
    assert len(shown) == 90
    assert all(action["verb"] == "delete" and action["event_start"] for action in shown)

    await desk.do(f"/holds/{hold['id']}/approve")  # read by a worker that was not there when it was made
    await world.sync(rounds=2)
    assert len(await world.ours()) == 11
    assert not await desk.holds()
    tie.remove(tie.things[0])  # two of eleven is not much
    tie.remove(tie.things[0])
    await world.sync()
    assert len(await world.ours()) == 9
    assert not await desk.holds()


async def test_del_02_a_rejected_hold_brings_the_missing_side_back(world: Engine, desk: Desk) -> None:
    tie = await world.tie(**FULL, on_remote_delete="cancel_booking")
    await book(world, [meeting(f"Ours {n}", uid=f"ours-{n}", days=n + 1) for n in range(20)])
    await world.sync()
    for thing in tie.things:
        tie.remove(thing)
    await world.sync(rounds=2)
    assert len(await world.ours()) == 20
    await desk.decide("reject")
    await world.sync(rounds=2)
    assert tie.titles == await world.titles()
    assert len(tie.things) == 20
    world.forget()
    await world.sync()
    assert (world.writes(), await desk.holds()) == (0, [])


async def test_del_03_what_cannot_be_read_is_neither_deleted_nor_overwritten(world: Engine, desk: Desk, dav: Dav) -> None:
    tie, exact = await dav.tie(**FULL), await world.tie(**FULL, relay="none")
    rows = [await world.put(meeting(f"Ours {n}", uid=f"ours-{n}", days=n + 1)) for n in range(20)]
    await world.sync()
    for thing in tie.things[:5]:
        tie.edit(thing, location="There")
        dav.simulator.faults.add(caldav.Fault("item", "fetch", status=500, path=thing.name, times=-1))
    for thing in tie.things[5:8]:
        tie.edit(thing, location="There")
    for item in exact.things[:5]:
        exact.edit(item, location="There")
        world.simulator.spoil(exact.folder, item.href)
    unread = {thing.name: thing.text for thing in tie.things[:5]}
    await world.put(edited(rows[0], title="Edited here"), rows[0].id)
    await world.put(edited(rows[19], title="Last"), rows[19].id)
    await world.sync(rounds=2)
    assert len(await world.ours()) == len(tie.things) == len(exact.things) == 20
    assert {thing.name: thing.text for thing in tie.things[:5]} == unread
    assert "Last" in tie.titles  # the others go on
    problems = await desk.problems()
    assert len([one for one in problems if one["link_id"] == str(tie.id)]) == 5
    assert len([one for one in problems if one["link_id"] == str(exact.id)]) == 5
    assert {run["state"] for run in (await desk.get("/runs"))["items"][:2]} == {"partial"}

    dav.simulator.faults.clear()
    for item in exact.things:
        world.simulator.spoil(exact.folder, item.href, is_spoilt=False)
    await world.sync(rounds=3)
    assert not await desk.problems()
    assert tie.titles == exact.titles == await world.titles()
    assert sum(one.event.location == "There" for one in tie.there()) == 8


async def test_del_04_an_entry_that_says_gone_is_asked_about_before_anything_is_deleted(world: Engine) -> None:
    tie = await world.tie(**FULL)
    stays, goes = tie.add(meeting("Moves on", uid="stays")), tie.add(meeting("Goes", uid="goes", days=2))
    await world.sync()
    (row,) = [one for one in await world.ours() if one.uid == "stays"]
    world.simulator.faults.add(Fault("withdrawn", "changes", times=-1))
    tie.edit(stays, start=point_document(moment(500)), end=point_document(moment(500, 10)))  # out of the window
    tie.add(meeting("Next year", uid="next-year", days=500))
    tie.remove(goes)
    await world.sync(rounds=2)
    (after,) = await world.ours()
    assert (after.id, after.series.event.start) == (row.id, moment(500))  # the link is kept, our side has followed
    assert [one["href"] for one in await world.rows("select href from pairing")] == [stays.href]
    tie.edit(stays, start=point_document(moment(3)), end=point_document(moment(3, 10)))
    await world.sync()
    assert [one.series.event.start for one in await world.ours()] == [moment(3)]


async def test_del_05_a_feed_that_forgets_its_past_deletes_nothing_but_what_was_cancelled(
    world: Engine, desk: Desk, feeds: Feeds
) -> None:
    published, _ = await feeds.tie(**FULL, window_back_days=120)
    events = [meeting(f"Event {n}", uid=f"event-{n}", days=n) for n in range(-90, 31, 3)]
    feeds.publish(published, *events)
    await world.sync()
    assert len(await world.ours()) == len(events)
    for oldest in range(-80, -9, 10):  # every download reaches less far back
        feeds.publish(published, *(one for one in events if one.event.start.wall > moment(oldest).wall))  # type: ignore[union-attr]
        await world.sync()
    assert len(await world.ours()) == len(events)
    left = [one for one in events if one.event.start.wall > moment(-10).wall]  # type: ignore[union-attr]
    cancelled = left.pop()
    feeds.publish(published, *left)
    await world.sync(rounds=2)
    assert len(await world.ours()) == len(events) - 1
    assert cancelled.uid not in {row.uid for row in await world.ours()}
    assert not await desk.holds()


@pytest.mark.parametrize("side", ["ours", "theirs"])
async def test_del_06_an_event_dragged_into_the_window_moves_on_the_other_side(world: Engine, side: str) -> None:
    tie = await world.tie(**FULL)
    row = await world.put(meeting("Dragged", days=-10))
    await world.sync()
    await tie.set(window_back_days=1)
    await world.sync()
    (thing,) = tie.things
    world.forget()
    if side == "ours":
        await world.put(edited(row, start=moment(1), end=moment(1, 10)), row.id)
    else:
        tie.edit(thing, start=point_document(moment(1)), end=point_document(moment(1, 10)))
    await world.sync()
    (after,) = await world.ours()
    assert after.id == row.id
    assert after.series.event.start == tie.there()[0].event.start == moment(1)
    assert [one.href for one in tie.things] == [thing.href]
    assert not {"create", "delete"} & {entry["verb"] for entry in world.simulator.ledger}
