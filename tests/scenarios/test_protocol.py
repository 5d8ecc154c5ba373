"""PRO and NOT: positions that die, lists that stop, servers that ask to wait, news that come in crowds."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from tests.engine import Engine, meeting
from tests.memory_world import MAILBOX
from tests.scenarios.calendars import edited
from tests.scenarios.desk import Desk
from tests.scenarios.places import FULL, Dav

from gleichtakt.simulators import caldav
from gleichtakt.simulators.memory import Fault
from gleichtakt.store import lanes
from gleichtakt.worker.loop import work


@pytest.mark.parametrize("skip", [0, 1, 2], ids=["before the first page", "between pages", "at the last page"])
async def test_pro_01_whenever_a_position_dies_there_is_one_comparison_and_nothing_is_lost(
    world: Engine, desk: Desk, skip: int
) -> None:
    tie = await world.tie(**FULL, guard_update_min=100)
    for number in range(30):  # three pages
        tie.add(meeting(f"Theirs {number:02}", uid=f"theirs-{number}", days=number + 1))
        await world.put(meeting(f"Ours {number:02}", uid=f"ours-{number}", days=number + 1, hour=14))
    await world.sync()
    for thing in tie.things[:20]:
        tie.edit(thing, location="There")
    for row in (await world.ours())[-20:]:
        await world.put(edited(row, description="Here"), row.id) if row.origin == "app" else None
    gone = next(thing for thing in tie.things if thing.document["uid"] == "theirs-29")
    tie.remove(gone)
    world.simulator.faults.add(Fault("cursor", "changes", skip=skip))
    if skip == 0:
        world.simulator.expire_cursors(tie.folder)
    world.forget()
    await world.sync()
    assert tie.titles == await world.titles()
    assert len(tie.things) == 59
    listings = [entry for entry in world.simulator.ledger if entry["verb"] == "changes" and entry.get("cursor") is None]
    assert len(listings) == 1
    assert {one.event.location for one in tie.there()[:19]} == {row.series.event.location for row in await world.ours()} - {
        ""
    } | {"There"}
    run = (await desk.get("/runs"))["items"][0]
    assert run["counts"]["cursor_expired"] == 1  # counted and visible
    assert "create" not in {entry["verb"] for entry in world.simulator.ledger}
    world.forget()
    await world.sync()
    assert (world.writes(), await desk.problems()) == (0, [])


async def test_pro_02_half_a_list_is_no_list(world: Engine, dav: Dav) -> None:
    exact, there = await world.tie(**FULL, relay="none"), await dav.tie(**FULL, relay="none")
    for number in range(60):
        exact.add(meeting(f"Exact {number:02}", uid=f"exact-{number}", days=number + 1))
        there.add(meeting(f"Dav {number:02}", uid=f"dav-{number}", days=number + 1, hour=14))
    tricks = [
        (Fault("cap", "changes", count=4), caldav.Fault("cap", "fetch", count=20)),  # fewer objects than asked for, in silence
        (Fault("lost", "changes", skip=3), caldav.Fault("cut", "fetch")),  # the connection breaks at the fourth page
        (Fault("repeat", "changes", times=-1), caldav.Fault("cap", "fetch", count=1, times=3)),
    ]
    for stop_short, cap in tricks:
        world.simulator.faults.add(stop_short)
        dav.simulator.faults.add(cap)
        async with world.database.begin() as connection:
            await connection.exec_driver_sql("update link set cursor = null, listing = null, force_listing = true")
        await world.sync()
        world.simulator.faults.clear()
        dav.simulator.faults.clear()
        assert len([one for one in await world.ours() if one.uid.startswith("dav")]) == 60
        await world.sync(rounds=2)
        titles = await world.titles()
        assert len(titles) == len(set(titles)) == 120
    assert (len(exact.things), len(there.things)) == (60, 60)


CALENDARS = 15
ADVICE = [
    "",
    "0",
    "1",
    "86400",
    "soon",
    "-5",
    "Mon, 01 Jan 2001 00:00:00 GMT",
    f"{datetime.now(UTC) + timedelta(hours=30):%a, %d %b %Y %H:%M:%S GMT}",
]


async def test_pro_05_whatever_a_server_advises_work_is_parked_not_dropped_and_others_go_on(
    world: Engine, desk: Desk, dav: Dav
) -> None:
    tie, other = await dav.tie(**FULL), await world.tie(**FULL)
    await world.sync()
    for number, advice in enumerate(ADVICE):
        headers = {"Retry-After": advice} if advice else {}
        dav.simulator.faults.add(caldav.Fault("status", status=429, headers=headers, times=-1))
        await world.put(meeting(f"Event {number}", uid=f"event-{number}", days=number + 1))
        dav.forget()
        begun = datetime.now(UTC)
        await world.sync()
        asked = len(dav.simulator.ledger)
        link = await desk.get(f"/links/{tie.id}")
        parked_until = datetime.fromisoformat(link["health"]["next_run"])
        assert begun < parked_until <= datetime.now(UTC) + timedelta(hours=1, seconds=5), advice
        for _ in range(3):
            await world.sync(due=False)
        again = [datetime.fromisoformat(entry["at"]) for entry in list(dav.simulator.ledger)[asked:]]
        assert all(at >= parked_until for at in again), "not asked again before its time"
        assert f"Event {number}" in other.titles  # others are not concerned
        (told,) = await desk.problems()
        assert (told["code"], link["state"]) == ("general.throttled", "delayed")
        dav.simulator.faults.clear()
        await world.sync()
        assert tie.titles == other.titles
        assert not await desk.problems()


async def test_pro_06_an_object_that_comes_without_content_is_fetched_never_blank(world: Engine, dav: Dav) -> None:
    tie = await dav.tie(**FULL)
    for number in range(20):
        tie.add(meeting(f"Event {number:02}", uid=f"event-{number}", days=number + 1, description="Text", location="Room"))
    await world.sync()
    before = {row.uid: row.series for row in await world.ours()}
    for thing in tie.things[:10]:
        tie.edit(thing, title="Changed")
    dav.simulator.faults.add(caldav.Fault("bare", "fetch"))
    dav.forget()
    await world.sync(rounds=2)
    for row in await world.ours():
        assert (row.series.event.description, row.series.event.location) == ("Text", "Room")
        assert row.series.event.title in ("Changed", before[row.uid].event.title)
    assert (await world.titles()).count("Changed") == 10
    assert dav.writes() == 0


async def test_not_04_a_storm_of_news_costs_a_pass_or_two_for_each_calendar(world: Engine) -> None:
    connection_id = await world.login("memory", world.running.url)
    linked = [
        await world.bind(connection_id, f"calendar-{n}", f"{n}.{MAILBOX}", await world.resource(f"P{n}"))
        for n in range(CALENDARS)
    ]
    await world.sync()
    world.forget()
    for number in range(CALENDARS):
        world.simulator.put(world.simulator.folder(f"{number}.{MAILBOX}", f"calendar-{number}"), _document(number))
    stop = asyncio.Event()
    worker = asyncio.create_task(work(world.database, world.settings, world.box, stop=stop))
    chosen = random.Random(4)
    news = [linked[0].id] * 100 + [one.id for one in linked] * 2
    chosen.shuffle(news)
    started = datetime.now(UTC)
    for link_id in news:  # each notification makes its link due and wakes its lane
        async with world.database.begin() as connection:
            await connection.exec_driver_sql(f"update link set due = now() where id = '{link_id}'")
            await lanes.wake(connection, [next(one.lane_id for one in linked if one.id == link_id)])
    while len(await world.rows("select id from series")) < CALENDARS:
        assert datetime.now(UTC) - started < timedelta(seconds=60)
        await asyncio.sleep(0.05)
    stop.set()
    await worker
    asked = Counter(entry["calendar"] for entry in world.simulator.ledger if entry["verb"] == "changes")
    assert len(asked) == CALENDARS, "every calendar was served"
    assert sum(asked.values()) - asked["calendar-0"] <= 4 * CALENDARS
    assert asked["calendar-0"] < 100, "news that came together are one"


def _document(number: int) -> dict[str, object]:
    from gleichtakt.model.document import series_document

    return series_document(meeting(f"News {number}", uid=f"news-{number}"))
