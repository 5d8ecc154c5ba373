"""Workers as real processes: they share the work, die at any moment, and nothing is lost, doubled or written twice."""

from __future__ import annotations

import asyncio
import os
import random
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID

import pytest
from tests.caldav_world import MAILBOX
from tests.crash.crew import NIGHTLY, BrittleWire, Crew, DeadlyExchange, DeadlySimulator, Process, Strike, crew
from tests.crash.people import People
from tests.engine import ACCOUNT, KEY, Engine, meeting
from tests.simulation.ews_remote import tie_exchange
from tests.simulation.history import Remote
from tests.simulation.memory_remote import MemoryRemote
from tests.waiting import eventually

from gleichtakt.settings import Settings
from gleichtakt.simulators import exchange
from gleichtakt.simulators.memory import Fault, start
from gleichtakt.store import lanes, runs
from gleichtakt.store.database import Database
from gleichtakt.store.secrets import SecretBox

KILLS, KILLS_AT_EXCHANGE = (100, 100) if NIGHTLY else (5, 3)
FULL: dict[str, Any] = {"outbound_detail": "full", "inbound_detail": "full", "delete_grace_minutes": 0}
OPEN: dict[str, Any] = {**FULL, "relay": "full", "app_writes_foreign": "allow"}


@asynccontextmanager
async def site(database: Database) -> AsyncIterator[Engine]:
    """Run a simulator that may kill, and an engine over it; passes are made by processes only."""
    async with start(DeadlySimulator(page_size=4), control=False) as running:
        made = Engine(database, running, Settings(), SecretBox(KEY))
        await made.begin()
        yield made
        assert not made.simulator.outbox, "a mail would have gone out"


@pytest.fixture
async def world(database: Database) -> AsyncIterator[Engine]:
    async with site(database) as made:
        yield made


@pytest.fixture
async def workers(database_url: str, tmp_path: Path) -> AsyncIterator[Crew]:
    async with crew(tmp_path, database_url) as made:
        yield made


async def at_rest(engine: Engine) -> bool:
    """Say whether no lane is being worked on or wants to be."""
    busy = await engine.rows("select 1 from lane where owner is not null or due <= now()")
    return not busy


async def wake(engine: Engine, *lane_ids: UUID) -> None:
    """Make lanes due, as whoever enqueues work does."""
    async with engine.database.begin() as connection:
        await lanes.wake(connection, lane_ids)


async def test_con_05_workers_share_the_mailboxes_and_never_work_on_one_at_once(world: Engine, workers: Crew) -> None:
    world.simulator.faults.add(Fault("delay", seconds=0.05, times=-1, effect=True))
    ties = [await world.tie(f"calendar-{number}", mailbox=f"m{number}@memory.example", **FULL) for number in range(6)]
    for tie in ties:
        tie.add(meeting(f"Theirs {tie.mailbox}"))
    for number in range(5):
        await world.put(meeting(f"Ours {number}"))
    crowd = list(await asyncio.gather(*(workers.start("work", lease_seconds="60") for _ in range(3))))
    assert await eventually(lambda: at_rest(world), 60)
    for _ in range(3):  # one calendar, asked for by three people at once while it is due anyway
        async with world.database.begin() as connection:
            await runs.ask(connection, ties[0].id, "sync", "account:test")
    assert await eventually(lambda: at_rest(world), 60)

    titles = await world.titles()
    assert len(titles) == 5 + len(ties)
    assert all(len(tie.things) == 5 + len(ties) for tie in ties), "every calendar shows every event once"
    assert world.simulator.overlaps == []
    assert len({entry["client"] for entry in world.simulator.ledger}) >= 2, "one worker did everything"
    assert all([await member.stop() == 0 for member in crowd])


async def test_con_05_a_lane_of_a_killed_worker_is_taken_over_when_its_lease_ends(world: Engine, workers: Crew) -> None:
    tie = await world.tie(**FULL)
    await world.put(meeting("Ours"))
    hung = world.simulator.faults.add(Fault("delay", "create", seconds=600, effect=True))
    first = await workers.work()
    await workers.work()
    assert await eventually(lambda: _under_way(world))
    (held,) = await world.rows("select owner, lease_until from lane")
    victim = next(member for member in workers.members if held["owner"].startswith(f"{socket.gethostname()}/{member.pid}/"))
    await victim.kill()
    world.simulator.faults.clear(hung.id)
    assert await eventually(lambda: at_rest(world))
    (after,) = await world.rows("select last_served_at from lane")
    assert after["last_served_at"] >= held["lease_until"], "it was taken over before its lease had ended"  # or was renewed
    assert tie.titles == ["Ours"], "the create whose answer nobody heard was found again"
    assert world.simulator.overlaps == []
    assert first.log.exists()


async def _under_way(world: Engine) -> bool:
    return any(world.simulator.under_way.values())


@dataclass
class Shift:
    """One worker at a time, killed again and again, while people act."""

    crew: Crew
    people: People
    worker: Process
    deadly: DeadlySimulator | DeadlyExchange

    @property
    def _lanes(self) -> set[UUID]:
        return {remote.lane_id for remote in self.people.remotes}

    async def _begin(self) -> None:
        await self.people.engine.make_due()
        await wake(self.people.engine, *self._lanes)

    async def work_and_die(self) -> None:
        """Let the worker begin, kill it at a random moment, and put a new one in its place."""
        engine, doomed = self.people.engine, self.worker
        self.deadly.strike = Strike.at_random(self.people.rng, lambda: os.kill(doomed.pid, 9))
        await self._begin()
        died = asyncio.create_task(doomed.running.wait())
        rested = asyncio.create_task(eventually(lambda: at_rest(engine), 90))
        await asyncio.wait({died, rested}, return_when=asyncio.FIRST_COMPLETED)
        rested.cancel()
        self.deadly.strike = None
        await doomed.kill()
        await died
        self.worker = await self.crew.work()

    async def come_to_rest(self) -> None:
        """Let the worker finish, with everything approved that is held."""
        for _ in range(12):
            await self._begin()
            assert await eventually(lambda: at_rest(self.people.engine), 90)
            if not await self.people.approve() and not await self._left():
                return
        raise AssertionError(f"does not come to rest: {await self._left()}")

    async def _left(self) -> list[Any]:
        return list(
            await self.people.engine.rows(
                """select series_id, href, state, problem_code, intent::text from pairing
                   where intent is not null or (stale and state <> 'unlinked')
                   union all select null, href, reason, '', null from observed where stale"""
            )
        )

    async def check(self) -> None:
        """Come to rest, compare all sides, and see that one more pass writes nothing."""
        await self.come_to_rest()
        await self.people.check()
        engine, versions = self.people.engine, "select id, version from series order by id"
        for remote in self.people.remotes:
            await remote.forget()
        before = await engine.rows(versions)
        await self._begin()
        assert await eventually(lambda: at_rest(engine), 90)
        assert not any([await remote.writes() for remote in self.people.remotes]), "a pass without changes wrote"
        assert await engine.rows(versions) == before

    async def live_through(self, kills: int) -> None:
        """Let people act and workers die, and compare now and then."""
        for _ in range(kills):
            await self.people.act()
            await self.work_and_die()
            if self.people.rng.random() < 0.5:
                await self.check()
        await self.check()
        assert not await self.people.engine.rows("select 1 from run where state = 'running'")


async def test_a_worker_killed_at_random_moments_loses_and_doubles_nothing(world: Engine, workers: Crew) -> None:
    ties = [await world.tie("calendar-1", **OPEN), await world.tie("calendar-2", "normalising", **OPEN)]
    people = People(world, [MemoryRemote(tie) for tie in ties], random.Random(20260329))
    assert isinstance(world.simulator, DeadlySimulator)
    await Shift(workers, people, await workers.work(), world.simulator).live_through(KILLS)
    assert not world.simulator.overlaps


async def test_a_worker_killed_in_the_middle_of_writing_to_exchange_loses_and_doubles_nothing(
    world: Engine, workers: Crew
) -> None:
    deadly = DeadlyExchange(methods=("basic",), keeps_texts=False)
    deadly.simulator.add_mailbox(MAILBOX)
    deadly.add_account(*ACCOUNT, MAILBOX)
    async with exchange.start(deadly) as running:
        calendars: list[Remote] = [await tie_exchange(world, running), MemoryRemote(await world.tie("calendar-1"))]
        await world.set("resource", world.resource_id, **OPEN)
        people = People(world, calendars, random.Random(20261121))
        await Shift(workers, people, await workers.work(), deadly).live_through(KILLS_AT_EXCHANGE)
        assert not deadly.simulator.outbox


async def test_a_worker_that_is_asked_to_end_gives_its_lanes_back_within_seconds(world: Engine, workers: Crew) -> None:
    tie = await world.tie(**FULL)
    await world.put(meeting("Ours"))
    hung = world.simulator.faults.add(Fault("delay", "create", seconds=600, effect=True))
    worker = await workers.work()
    assert await eventually(lambda: _under_way(world))
    assert await worker.stop(10) == 0
    (lane,) = await world.rows("select owner, lease_until, due <= now() as is_due from lane")
    assert (lane["owner"], lane["lease_until"], lane["is_due"]) == (None, None, True)
    assert [len(worker.said(event)) for event in ("worker_started", "worker_stopped", "pass_failed")] == [1, 1, 0]
    world.simulator.faults.clear(hung.id)
    await workers.work()
    assert await eventually(lambda: at_rest(world))
    assert tie.titles == ["Ours"]
    assert {row["state"] for row in await world.rows("select state from run")} == {"done"}


async def test_work_pauses_while_the_database_is_away_and_goes_on_by_itself(
    database_url: str, world: Engine, tmp_path: Path
) -> None:
    address = urlsplit(database_url)
    wire = BrittleWire(address.hostname or "127.0.0.1", address.port or 5432)
    await wire.mend()
    login, _, _ = address.netloc.rpartition("@")
    through = urlunsplit(address._replace(netloc=f"{login}@127.0.0.1:{wire.port}"))
    tie = await world.tie(**FULL)
    async with crew(tmp_path, through) as made:
        worker = await made.work()
        assert await eventually(lambda: at_rest(world))
        await wire.cut()
        await world.put(meeting("Booked meanwhile"))

        async def is_told(event: str) -> bool:
            return bool(worker.said(event))

        assert await eventually(lambda: is_told("database_away"))
        assert worker.is_alive
        await wire.mend()
        assert await eventually(lambda: _has(tie, "Booked meanwhile"))
        assert await eventually(lambda: is_told("database_back"))
        assert len(worker.said("database_away")) == len(worker.said("database_back")) == 1, "told once, not every second"
        assert await worker.stop() == 0
        await wire.cut()


async def _has(tie: Any, title: str) -> bool:
    return title in tie.titles
