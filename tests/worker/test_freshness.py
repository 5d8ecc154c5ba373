"""Freshness: a calendar counts as in step only by what was proven, whatever its runs say of themselves."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from tests.engine import Engine, Tie, engine, meeting

from gleichtakt.errors import cause, remedy
from gleichtakt.simulators.memory import Fault
from gleichtakt.store import connections, figures
from gleichtakt.store.database import Database
from gleichtakt.store.freshness import Freshness, freshness
from gleichtakt.worker.jobs import next_at
from gleichtakt.worker.watch_freshness import watch_freshness

NOW = datetime(2026, 11, 21, 12, 30, 15, tzinfo=UTC)
BROKEN = {
    "login refused": Fault("login", "hello", times=-1),
    "cursor refused each time": Fault("cursor", "changes", times=-1),
    "asked to wait": Fault("throttle", "changes", seconds=300, times=-1),
    "no answer": Fault("lost", "changes", times=-1),
    "server error": Fault("failure", "changes", times=-1),
    "list cut short": Fault("cap", "changes", count=0, effect=True, times=-1),
    "garbage": Fault("garbage", "changes", effect=True, times=-1),
}


@pytest.fixture
async def world(database: Database) -> AsyncIterator[Engine]:
    async with engine(database) as made:
        yield made


async def later(world: Engine, by: timedelta) -> None:
    """Let time pass, with the chore that each minute brings."""
    shift = "cast(:by as interval)"
    columns = {
        "link": ("due", "last_success", "last_attempt", "failing_since", "created_at"),
        "lane": ("due", "paused_until"),
        "connection": ("paused_until", "updated_at"),
    }
    async with world.database.begin() as connection:
        for table, names in columns.items():
            moved = ", ".join(f"{name} = {name} - {shift}" for name in names)
            await connection.execute(text(f"update {table} set {moved}"), {"by": by})
    await watch_freshness(world.database, datetime.now(UTC), None)


async def health(world: Engine, tie: Tie) -> tuple[str, set[str]]:
    """Give the state of a link, and the problems that are open."""
    (link,) = await world.rows("select state from link where id = :id", id=tie.id)
    return link["state"], {row["code"] for row in await world.rows("select code from problem where state = 'open'")}


async def metric(world: Engine, name: str) -> float:
    """Give one of the figures for monitoring."""
    async with world.database.read() as connection:
        (figure,) = [found for found in await figures.read(connection) if found.name == name]
    return sum(number for _, number in figure.values)


@pytest.mark.parametrize("trouble", list(BROKEN))
async def test_ops_03_a_broken_calendar_is_late_after_three_intervals_and_alarms_after_an_hour(
    world: Engine, trouble: str
) -> None:
    tie = await world.tie()
    await world.put(meeting("Ours"))
    await world.sync()
    assert await health(world, tie) == ("in_step", set())

    fault = BROKEN[trouble]
    world.simulator.faults.add(Fault(fault.do, fault.verb, fault.effect, times=-1, count=fault.count, seconds=fault.seconds))
    world.running.break_connections()
    for _ in range(2):
        await later(world, timedelta(minutes=2))
        await world.sync(due=False)
    state, _ = await health(world, tie)
    assert state in ("delayed", "auth_required", "error")
    assert await metric(world, "gleichtakt_links_late") == 1
    for _ in range(5):
        await later(world, timedelta(minutes=13))
        await world.sync(due=False)
    state, listed = await health(world, tie)
    assert state in ("error", "auth_required")
    assert listed, "nobody is told"
    assert await metric(world, "gleichtakt_links_stale") == 1

    world.simulator.faults.clear()
    async with world.database.begin() as connection:  # a login that was refused for an hour waits for a person
        await connections.try_again(connection, tie.connection_id)
    await world.sync()
    assert await health(world, tie) == ("in_step", set())
    assert await metric(world, "gleichtakt_links_late") == await metric(world, "gleichtakt_links_stale") == 0


async def test_ops_03_a_calendar_that_no_worker_serves_is_noticed_as_well(world: Engine) -> None:
    tie = await world.tie()
    await world.sync()
    await later(world, timedelta(minutes=4))
    assert await health(world, tie) == ("delayed", set())
    await later(world, timedelta(minutes=58))
    assert await health(world, tie) == ("error", {"sync.stale"})
    (listed,) = await world.rows("select params, count from problem")
    for language in ("de", "en"):
        assert listed["params"]["since"] in cause("sync.stale", listed["params"], language)
        assert remedy("sync.stale", listed["params"], language)
    await later(world, timedelta(minutes=1))
    assert [row["count"] for row in await world.rows("select count from problem")] == [1], "told once"
    await world.sync()
    assert await health(world, tie) == ("in_step", set())


async def test_a_quick_or_paused_calendar_is_not_called_late(world: Engine) -> None:
    slow, paused = await world.tie("slow", interval_seconds=3600), await world.tie("paused", mailbox="other@memory.example")
    await world.sync()
    async with world.database.begin() as connection:
        await connection.execute(text("update link set state = 'paused', due = null where id = :id"), {"id": paused.id})
    await later(world, timedelta(hours=2))
    assert (await health(world, slow))[0] == "in_step"
    assert await health(world, paused) == ("paused", set())


async def test_a_first_list_that_was_cut_short_is_finished_before_anything_is_written(world: Engine) -> None:
    tie = await world.tie(outbound_detail="full", inbound_detail="full")
    twin = meeting("Standup")
    for number in range(12):
        tie.add(meeting(f"Theirs {number}", days=number + 2))
    tie.add(twin)
    await world.put(twin)
    world.simulator.faults.add(Fault("cap", "changes", count=3, effect=True, times=1))
    await world.sync()
    assert world.writes() == 0
    await world.sync(rounds=2)
    assert tie.titles.count("Standup") == 1
    assert (await world.titles()).count("Standup") == 1
    assert await health(world, tie) == ("in_step", set())


@pytest.mark.parametrize(
    ("minutes", "interval", "expected"),
    [
        (0.9, 5, Freshness.FRESH),  # three missed intervals of five seconds are no news yet
        (1.1, 5, Freshness.LATE),
        (2.9, 60, Freshness.FRESH),
        (3.1, 60, Freshness.LATE),
        (60.5, 60, Freshness.STALE),
        (60.5, 1800, Freshness.FRESH),
        (90.5, 1800, Freshness.STALE),
    ],
)
def test_freshness(minutes: float, interval: int, expected: Freshness) -> None:
    assert freshness(timedelta(minutes=minutes), interval) is expected


def test_the_watch_is_kept_every_minute() -> None:
    assert next_at(None, NOW) == datetime(2026, 11, 21, 12, 31, tzinfo=UTC)
