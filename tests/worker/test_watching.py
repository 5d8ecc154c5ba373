"""Watching: a change over there is brought at once, and whatever is not told is found all the same."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from tests.at_work import arrives, at_work, comes_true, is_notified
from tests.engine import Engine, engine, meeting
from tests.waiting import eventually, somebody_waits

from gleichtakt.errors import Permanent, Scope, Throttled, Transient
from gleichtakt.onboarding.connect import Connections
from gleichtakt.providers.protocol import CalendarRef
from gleichtakt.simulators.memory import Fault
from gleichtakt.store import changes, connections, watches
from gleichtakt.store.database import Database
from gleichtakt.store.passes import SAFETY_SECONDS
from gleichtakt.worker.watch_freshness import watch_freshness
from gleichtakt.worker.watching import LONGEST_PAUSE_SECONDS, Keeper, next_try, pass_on, watchable

NOW = datetime(2026, 11, 21, 12, 30, 15, tzinfo=UTC)


@pytest.fixture
async def world(database: Database) -> AsyncIterator[Engine]:
    async with engine(database) as made:
        yield made


async def test_a_change_over_there_arrives_without_waiting_for_the_clock(world: Engine) -> None:
    tie = await world.tie(inbound_detail="full")
    async with at_work(world):
        await is_notified(world)
        (link,) = await world.rows("select notified_since, extract(epoch from due - now()) as seconds from link")
        assert link["notified_since"] is not None
        assert SAFETY_SECONDS * 0.8 < link["seconds"] <= SAFETY_SECONDS, "the clock is for safety only"
        made = tie.add(meeting("Made there"))
        await arrives(world, "Made there")
        tie.edit(made, title="Changed there")
        await arrives(world, "Changed there")
        tie.remove(made)
        await comes_true(world, "select 1 as one from series where deleted_at is not null")


async def test_a_change_of_ours_goes_out_at_once_although_the_clock_is_slow(world: Engine) -> None:
    tie = await world.tie(outbound_detail="full")
    async with at_work(world):
        await is_notified(world)
        await world.put(meeting("Made here"))
        await eventually(lambda: _is(tie.titles, ["Made here"]))


async def test_whoever_reads_the_changes_is_told_of_an_event_at_once(world: Engine) -> None:
    tie = await world.tie(inbound_detail="full")
    await world.sync()
    async with world.database.listen(changes.CHANNEL) as wakes:
        await wakes.wait(0.01)
        await world.put(meeting("Made here"))
        assert await wakes.wait(10)
        tie.add(meeting("Made there"))
        await world.sync()
        assert await wakes.wait(10)


async def test_what_is_told_while_the_same_calendar_is_being_woken_wakes_it_again(world: Engine) -> None:
    tie = await world.tie()
    keeper = Keeper(world.database, world.settings, Connections(world.box, world.settings), "this worker")
    passing_on = asyncio.create_task(pass_on(keeper))

    def told() -> None:
        keeper.rung.add((tie.connection_id, CalendarRef(tie.mailbox, tie.calendar)))
        keeper.something_rung.set()

    async with world.database.begin() as connection:
        await connection.execute(text("select 1 from link for update"))
        told()
        await eventually(lambda: somebody_waits(world.database))
        told()
    await comes_true(world, "select 1 as one from link where calls = 2")
    passing_on.cancel()


async def _is(found: list[str], wanted: list[str]) -> bool:
    return found == wanted


async def test_not_01_what_happened_in_a_gap_is_found_after_subscribing_again(world: Engine) -> None:
    tie = await world.tie(inbound_detail="full")
    async with at_work(world):
        await is_notified(world)
        world.simulator.faults.add(Fault("silence", "event", times=-1))
        tie.add(meeting("In the gap"))
        assert world.simulator.subscriptions.untold == 1
        world.simulator.faults.clear()
        world.running.break_connections()
        await arrives(world, "In the gap")
        await is_notified(world)


async def test_not_01_a_watch_that_went_deaf_is_noticed_by_the_clock_and_renewed(world: Engine) -> None:
    tie = await world.tie(inbound_detail="full")
    async with at_work(world):
        await is_notified(world)
        (before,) = world.simulator.subscriptions.living
        world.simulator.faults.add(Fault("silence", "event", times=1))
        tie.add(meeting("Not told"))
        await world.make_due()
        world.database.notify("lanes")
        await arrives(world, "Not told")
        await eventually(lambda: _renewed(world, before))
        await is_notified(world)
        tie.add(meeting("Told again"))
        await arrives(world, "Told again")


async def test_a_new_day_is_no_reason_to_doubt_a_watch(world: Engine) -> None:
    tie = await world.tie(inbound_detail="full")
    tie.add(meeting("Known"))
    async with at_work(world):
        await is_notified(world)
        before = set(world.simulator.subscriptions.living)
        yesterday = 'update link set facts = facts || \'{"rolled_on": "2020-01-01"}\', due = now(), last_attempt = null'
        async with world.database.begin() as connection:
            await connection.exec_driver_sql(yesterday)
            await connection.exec_driver_sql("update lane set due = now()")
        world.database.notify("lanes")
        await comes_true(world, "select 1 as one from link where facts ->> 'rolled_on' > '2020-01-01' and due > now()")
        assert await world.rows("select 1 as one from link where notified_by = 'streaming'")
        assert set(world.simulator.subscriptions.living) == before


async def _renewed(world: Engine, before: str) -> bool:
    living = world.simulator.subscriptions.living
    return len(living) == 1 and before not in living


async def test_not_01_a_subscription_is_renewed_when_half_its_time_is_over(world: Engine) -> None:
    world.simulator.subscriptions.seconds = 0.4
    await world.tie()
    async with at_work(world):
        await is_notified(world)
        (before,) = world.simulator.subscriptions.living
        await eventually(lambda: _has_calls(world, "renew", 4))
        assert set(world.simulator.subscriptions.living) == {before}


async def _has_calls(world: Engine, verb: str, count: int) -> bool:
    return world.simulator.calls[verb] >= count


async def test_not_01_a_subscription_that_ran_out_while_nobody_renewed_it_is_made_anew(world: Engine) -> None:
    world.simulator.subscriptions.seconds = 0.2
    tie = await world.tie(inbound_detail="full")
    async with at_work(world):
        await is_notified(world)
        world.simulator.clock.offset = timedelta(days=4)  # they think that long has passed: nothing of ours is left
        tie.add(meeting("While it was over"))
        await arrives(world, "While it was over")
        await is_notified(world)


async def test_a_watch_that_ends_leaves_its_links_to_the_clock_until_it_is_back(world: Engine) -> None:
    tie = await world.tie(inbound_detail="full")
    async with at_work(world):
        await is_notified(world)
        world.simulator.faults.add(Fault("failure", "subscribe", times=2))
        world.running.break_connections()
        await comes_true(world, "select 1 as one from link where notified_by = 'polling' and due < now() + interval '61 seconds'")
        await is_notified(world)
        tie.add(meeting("Afterwards"))
        await arrives(world, "Afterwards")


async def test_one_calendar_that_cannot_be_watched_leaves_the_others_alone(world: Engine) -> None:
    login = await world.login("memory", world.running.url)
    for number in range(5):
        await world.bind(login, "calendar", f"m{number}@memory.example")
    world.simulator.faults.add(Fault("forbidden", "subscribe", mailbox="m3@memory.example", times=-1))
    async with at_work(world):
        await is_notified(world, count=4)
        (sick,) = await world.rows(
            "select mailbox, due < now() + interval '61 seconds' as is_soon from link where notified_by = 'polling'"
        )
        assert dict(sick) == {"mailbox": "m3@memory.example", "is_soon": True}
        world.simulator.faults.clear()
        await is_notified(world, count=5)  # tried again by itself


async def test_what_is_told_of_a_failing_link_does_not_make_it_ask_more_often(world: Engine) -> None:
    tie = await world.tie()
    async with at_work(world):
        await is_notified(world)
        world.simulator.faults.add(Fault("forbidden", "changes", times=-1))
        tie.add(meeting("One"))
        await comes_true(world, "select 1 as one from link where failing_since is not null")
        world.forget()
        for number in range(20):
            tie.add(meeting(f"Another {number}", days=2 + number))
        await comes_true(world, "select 1 as one from link where calls > heard + 1")
        assert world.simulator.calls["changes"] == 0


async def test_not_04_a_storm_of_messages_makes_few_passes_and_misses_nothing(world: Engine) -> None:
    storming = await world.tie(inbound_detail="full")
    quiet = await world.tie("quiet", inbound_detail="full", mailbox="quiet@memory.example")
    async with at_work(world):
        await is_notified(world, count=2)
        world.forget()
        world.simulator.faults.add(Fault("repeat", "event", times=-1))
        thing = storming.add(meeting("Restless"))
        for number in range(500):
            storming.edit(thing, title=f"Restless {number}")
        quiet.add(meeting("Quiet"))
        await arrives(world, "Quiet")
        await arrives(world, "Restless 499")
        assert world.simulator.calls["changes"] <= 8


async def test_links_that_come_rest_and_go_are_watched_as_they_do(world: Engine) -> None:
    first = await world.tie()
    async with at_work(world):
        await is_notified(world)
        second = await world.bind(first.connection_id, "other", "other@memory.example")
        await is_notified(world, count=2)
        assert len(world.simulator.subscriptions.living) == 2
        async with world.database.begin() as connection:
            await connection.execute(text("update link set active = false where id = :id"), {"id": second.id})
        await eventually(lambda: _living(world, 1))


async def _living(world: Engine, count: int) -> bool:
    return len(world.simulator.subscriptions.living) == count


async def test_a_worker_that_stops_lets_go_and_the_next_one_goes_on(world: Engine) -> None:
    tie = await world.tie(inbound_detail="full")
    async with at_work(world):
        await is_notified(world)
    assert not world.simulator.subscriptions.living
    assert await world.rows("select 1 as one from watch where owner is null and due <= now()")
    tie.add(meeting("Between two workers"))
    async with at_work(world):
        await arrives(world, "Between two workers")
        await is_notified(world)


async def test_the_watch_of_a_worker_that_died_is_taken_over_and_its_late_words_are_not_heard(world: Engine) -> None:
    tie = await world.tie(inbound_detail="full")
    await world.sync()
    async with world.database.begin() as connection:
        await watches.beat(connection, "the dead", [], 0.3)
        assert await watches.share(connection, watchable(), 0.3) == 1
        (late,) = await watches.claim(connection, "the dead", 1, 0.3)
        assert await watches.watched(connection, late, [(tie.mailbox, tie.calendar)], "streaming")
    await world.sync(due=False)
    tie.add(meeting("Nobody was told"))
    async with at_work(world):
        await arrives(world, "Nobody was told")
        await is_notified(world)
        assert await world.rows("select 1 as one from watch where owner <> 'the dead'")
        async with world.database.begin() as connection:
            assert not await watches.lost(connection, late, None)
            assert not await watches.watched(connection, late, [(tie.mailbox, tie.calendar)], "push")
            await watches.failed(connection, late, datetime.now(UTC), 1, "general.timeout", {})
        assert await world.rows("select 1 as one from link where notified_by = 'streaming'")


async def test_workers_share_the_watches_between_them(world: Engine) -> None:
    for number in range(5):
        await world.tie(f"calendar-{number}", mailbox=f"m{number}@memory.example")
    async with at_work(world):
        await is_notified(world, count=5)
        async with at_work(world):
            counts = "select owner from watch where owner is not null group by owner having count(*) between 2 and 3"
            await eventually(lambda: _shared(world, counts))
            await is_notified(world, count=5)
        await comes_true(world, "select 1 as one from watch where owner is not null group by owner having count(*) = 5")
        await is_notified(world, count=5)


async def _shared(world: Engine, counts: str) -> bool:
    return len(await world.rows(counts)) == 2


async def test_aut_03_a_watch_does_not_try_a_refused_login_again_and_again(world: Engine) -> None:
    tie = await world.tie()
    async with at_work(world):
        await is_notified(world)
        world.simulator.accounts["sync"] = "changed at nine"
        world.running.break_connections()
        await comes_true(world, "select 1 as one from connection where state = 'auth_required'")
        await comes_true(world, "select 1 as one from link where notified_by = 'polling'")
        await comes_true(world, "select 1 as one from problem where state = 'open' and code = 'general.login_refused'")
        await world.make_due()
        world.database.notify("lanes")
        assert world.simulator.refused_logins == 1
        world.simulator.accounts["sync"] = "sync-password"
        async with world.database.begin() as connection:
            await connections.try_again(connection, tie.connection_id)
        await is_notified(world)


async def test_a_connection_can_be_left_to_the_clock(world: Engine) -> None:
    login = await world.login("memory", world.running.url, options={"notify": "polling"})
    await world.bind(login, "calendar")
    other = await world.login("memory", world.running.url)
    await world.bind(other, "calendar", "other@memory.example")
    async with at_work(world):
        await is_notified(world, count=1)
        (left,) = await world.rows("select connection_id from link where notified_by = 'polling'")
        assert left["connection_id"] == login


async def test_links_whose_watch_nobody_holds_any_more_go_back_to_the_clock(world: Engine) -> None:
    tie = await world.tie()
    await world.sync()
    async with world.database.begin() as connection:
        await watches.share(connection, watchable(), 1)
        (held,) = await watches.claim(connection, "the dead", 1, 1)
        await watches.watched(connection, held, [(tie.mailbox, tie.calendar)], "streaming")
    await world.sync(due=False)
    assert await world.rows("select 1 as one from link where notified_by = 'streaming' and due > now() + interval '5 minutes'")
    async with world.database.begin() as connection:
        await connection.execute(text("update watch set lease_until = now() - interval '2 minutes'"))
    await watch_freshness(world.database, datetime.now(UTC), None)
    assert await world.rows("select 1 as one from link where notified_by = 'polling' and due <= now() + interval '1 minute'")
    assert await world.rows("select 1 as one from lane where due <= now() + interval '1 minute'")


@pytest.mark.parametrize(
    ("trouble", "attempt", "seconds"),
    [
        (Transient("general.timeout", Scope.ACCOUNT), 1, 0.5),  # a stream that lasted is opened again at once
        (Transient("general.timeout", Scope.ACCOUNT), 2, 2.0),
        (Transient("general.timeout", Scope.ACCOUNT), 5, 16.0),
        (Permanent("general.forbidden", Scope.ACCOUNT), 40, LONGEST_PAUSE_SECONDS),
        (Throttled("general.throttled", Scope.ACCOUNT, until=NOW + timedelta(minutes=3)), 1, 180.5),
    ],
)
def test_a_watch_that_ends_again_and_again_is_begun_ever_more_rarely(trouble: Transient, attempt: int, seconds: float) -> None:
    assert next_try(trouble, attempt, NOW, 0.5) == NOW + timedelta(seconds=seconds)
