"""SCL: much of everything, and what others notice of it."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from datetime import timedelta

from tests.engine import ACCOUNT, Engine, engine, meeting
from tests.memory_world import MAILBOX
from tests.scenarios.calendars import with_override
from tests.scenarios.conftest import SETTINGS
from tests.scenarios.desk import Desk
from tests.scenarios.places import FULL, Feeds
from tests.scenarios.test_bad_input import told
from tests.simulation.breaking import BreakingDatabase, Crash

from gleichtakt.model.document import series_document
from gleichtakt.model.event import Attendee
from gleichtakt.model.point import shifted
from gleichtakt.simulators.feed.state import Item
from gleichtakt.worker.loop import work

BIG, PAGE = 900, 20


async def test_scl_02_a_feed_beyond_its_limit_is_told_with_the_figure_and_others_go_on(
    world: Engine, desk: Desk, feeds: Feeds
) -> None:
    good, _ = await feeds.tie("good", relay="none", **FULL)
    huge, bomb = feeds.simulator.feed("huge"), feeds.simulator.feed("bomb")
    for name in ("huge", "bomb"):
        connection_id = await world.login("feed", feeds.running.address(name), ("", ""), {"max_bytes": "200000"})
        linked = await world.bind(connection_id, "", "", await world.resource(name))
        await world.set("link", linked.id, **FULL)
    feeds.publish(good, meeting("Good", uid="good"))
    huge.items = [Item(f"huge-{n}", ("DTSTART:20261123T090000Z", f"SUMMARY:{'x' * 100}")) for n in range(2000)]
    bomb.bomb, bomb.packed = 4, True
    await world.sync()
    assert await world.titles() == ["Good"]
    codes = {one["code"] for one in await desk.problems()}
    assert codes <= {"feed.too_large", "feed.bomb", "general.answer_too_large"}
    for code in codes:
        if [one["code"] for one in await desk.problems()].count(code) == 1:
            await told(desk, code)
    huge.items, bomb.bomb = huge.items[:3], 0
    huge.changed_at = bomb.changed_at = feeds.simulator.clock.now()
    await world.sync()
    assert not await desk.problems()


async def test_scl_03_many_links_to_one_address_ask_it_once(world: Engine, desk: Desk, feeds: Feeds) -> None:
    published = feeds.simulator.feed("calendar")
    feeds.publish(published, meeting("Shared", uid="shared"))
    address = feeds.running.address("calendar")
    spellings = (
        address,
        address.replace("http://", "HTTP://"),
        address.replace("127.0.0.1", "127.0.0.1"),
        address.replace("http:", "webcal:"),
    )
    ids = []
    for number in range(24):
        connection_id = await world.login("feed", spellings[number % 3], ("", ""))
        linked = await world.bind(connection_id, "", "", await world.resource(f"Reader {number}"))
        ids.append(linked.id)
    await world.sync()
    assert len(feeds.simulator.ledger) == 1
    assert len(await world.rows("select id from series")) == 24
    await world.sync(rounds=2)  # within the interval nobody asks again
    assert len(feeds.simulator.ledger) == 1
    assert (await desk.get(f"/links/{ids[-1]}"))["state"] == "in_step"


async def test_scl_04_a_giant_first_run_that_dies_again_and_again_goes_on_where_it_stopped(database_url: str) -> None:
    async with await BreakingDatabase.open(database_url, pool=6) as database:
        assert isinstance(database, BreakingDatabase)
        database.arm(None)
        async with engine(database, page_size=PAGE) as world:
            world.settings = SETTINGS
            giant = await world.tie("giant", **FULL)
            for number in range(BIG):
                giant.add(meeting(f"Event {number:04}", uid=f"event-{number}", days=number % 360 + 1, hour=8 + number % 9))
            login = await world.login("memory", world.running.url, ACCOUNT)
            small = [await world.bind(login, f"small-{n}", f"{n}.{MAILBOX}", await world.resource(f"P{n}")) for n in range(4)]
            for number in range(4):
                folder = world.simulator.folder(f"{number}.{MAILBOX}", f"small-{number}")
                world.simulator.put(folder, series_document(meeting(f"Small {number}", uid=f"small-{number}")))
            kills, seen = 0, [0]
            while not (await world.rows("select first_run_done from link where id = :id", id=giant.id))[0]["first_run_done"]:
                await die_after(world, database, 110)
                kills += 1
                seen.append((await world.rows("select count(*) as n from observed where link_id = :id", id=giant.id))[0]["n"])
                assert kills < 200
                if kills == 3:  # the small ones do not wait for the giant
                    fresh = await world.rows("select count(*) as n from link where first_run_done")
                    assert fresh[0]["n"] == len(small)
            await world.sync()
            assert kills >= 3
            assert seen == sorted(seen), "nothing that was read is read away"
            pages = sum(1 for entry in world.simulator.ledger if entry["verb"] == "changes" and entry["calendar"] == "giant")
            assert pages <= BIG / PAGE + kills + 5, "at most one page again for each time it died"
            assert await world.titles() == giant.titles
            assert len(giant.things) == BIG
            assert world.writes() == 0


async def die_after(world: Engine, database: BreakingDatabase, borders: int) -> None:
    """Work until the process dies at a border of a transaction; its lease ends."""
    async with database.begin() as connection:
        await connection.exec_driver_sql(
            "update lane set due = now(), lease_until = now() - interval '1 second' where owner is not null"
        )
    await world.make_due()
    database.arm(borders)
    running = asyncio.create_task(work(database, world.settings, world.box, once=True))
    died = asyncio.create_task(database.died.wait())
    await asyncio.wait({running, died}, return_when=asyncio.FIRST_COMPLETED)
    died.cancel()
    if database.is_dead:
        running.cancel()
    with suppress(Crash, asyncio.CancelledError, BaseExceptionGroup):
        await running
    database.arm(None)


async def test_scl_06_one_oversized_event_delays_its_calendar_a_little_and_others_not_at_all(world: Engine) -> None:
    tie, other = await world.tie(relay="none", **FULL, attendees="write"), await world.tie("other", relay="none", **FULL)
    crowd = tuple(Attendee(f"guest-{n}@partner.example", f"Guest {n}") for n in range(5000))
    tie.add(meeting("Crowd", uid="crowd", attendees=crowd))
    exceptions = meeting("Exceptions", uid="exceptions", rrule="FREQ=HOURLY;COUNT=1200")
    start = exceptions.event.start
    for number in range(0, 1000, 10):
        exceptions = with_override(exceptions, shifted(start, timedelta(hours=number)), location=f"Room {number}")
    tie.add(exceptions)
    tie.add(meeting("Neighbour", uid="neighbour", days=2))
    other.add(meeting("Elsewhere", uid="elsewhere", days=3))
    began = time.process_time()
    await world.sync()
    assert time.process_time() - began < 10
    assert set(await world.titles()) == {"Crowd", "Exceptions", "Neighbour", "Elsewhere"}
    (held,) = [row.series for row in await world.ours() if row.uid == "exceptions"]
    assert len(held.overrides) == 100
    (crowded,) = [row.series for row in await world.ours() if row.uid == "crowd"]
    assert len(crowded.event.attendees) == 5000
    world.forget()
    await world.sync()
    assert world.writes() == 0
