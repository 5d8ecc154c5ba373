"""The embedded database is killed at any moment while the server works: it comes back by itself, and nothing was lost."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import pytest
from tests.crash.crew import NIGHTLY, Crew, DeadlySimulator, Process, Strike, crew
from tests.engine import KEY, Engine, Tie, meeting, moment
from tests.waiting import eventually

from gleichtakt.errors import Transient
from gleichtakt.settings import Settings
from gleichtakt.simulators.memory import start
from gleichtakt.store import lanes
from gleichtakt.store.database import Database
from gleichtakt.store.embedded import Embedded
from gleichtakt.store.secrets import SecretBox

KILLS = 100 if NIGHTLY else 3
AWAY = 503  # the interface says so while its database is away
FULL: dict[str, Any] = {"outbound_detail": "full", "inbound_detail": "full", "delete_grace_minutes": 0}


@dataclass
class Application:
    """Writes through the interface and believes only what was acknowledged; what was not, it asks for again."""

    session: aiohttp.ClientSession
    resource_id: UUID
    rng: random.Random
    titles: dict[UUID, str] = field(default_factory=dict)
    unanswered: int = 0

    async def book(self) -> None:
        """Create an event."""
        await self._write(uuid4(), f"booking {len(self.titles)}")

    async def rename(self) -> None:
        """Change one of the events."""
        if self.titles:
            await self._write(self.rng.choice(list(self.titles)), f"renamed {self.rng.randrange(10**6)}")

    async def cancel(self) -> None:
        """Delete one of the events."""
        if self.titles:
            event_id = self.rng.choice(list(self.titles))
            await self._ask("DELETE", event_id, None, {204, 404})
            del self.titles[event_id]

    async def _write(self, event_id: UUID, title: str) -> None:
        begin, end = moment(2), moment(2, 10)
        body = {
            "title": title,
            "start": {"date_time": begin.wall.isoformat(), "time_zone": begin.tzid},
            "end": {"date_time": end.wall.isoformat(), "time_zone": end.tzid},
        }
        await self._ask("PUT", event_id, body, {200, 201})
        self.titles[event_id] = title

    async def _ask(self, verb: str, event_id: UUID, body: Any, done: set[int]) -> None:
        path = f"/api/v1/resources/{self.resource_id}/events/{event_id}"

        async def is_acknowledged() -> bool:
            async with self.session.request(verb, path, json=body) as answer:
                assert answer.status in {*done, AWAY}, await answer.text()
                self.unanswered += answer.status == AWAY
                return answer.status in done

        assert await eventually(is_acknowledged, 60)


@dataclass
class Office:
    """A server with its embedded database, a second worker beside it, and a calendar that both serve."""

    crew: Crew
    engine: Engine
    tie: Tie
    server: Process
    folder: Path

    def postmaster(self) -> int:
        """Give the process id of the database server, or of the last one."""
        try:
            return int((self.folder / "postgres" / "postmaster.pid").read_text().splitlines()[0])
        except (FileNotFoundError, IndexError, ValueError):
            return 0  # it is just being replaced

    async def is_back(self, dead: int) -> bool:
        """Say whether another server answers: the sessions of a dead one live on for a moment."""
        if self.postmaster() in (0, dead):
            return False
        try:
            return bool(await self.engine.rows("select 1 as one"))
        except Transient:
            return False

    async def is_in_step(self) -> bool:
        """Say whether nothing is left to do."""
        busy = await self.engine.rows(
            """select 1 from lane where owner is not null or due <= now()
               union all select 1 from pairing where intent is not null or (stale and state <> 'unlinked')
               union all select 1 from observed where stale"""
        )
        return not busy

    async def sync(self) -> None:
        """Let every pause be over, and wait until a worker has made the pass."""
        await self.engine.make_due()
        async with self.engine.database.begin() as connection:
            await lanes.wake(connection, [self.tie.lane_id])
        assert await eventually(self.is_in_step, 60)


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    """Start everything as an operator does: nothing given but a folder."""
    async with start(DeadlySimulator(page_size=4), control=False) as running, crew(tmp_path) as made:
        server = await made.start("serve")
        await made.work()
        with Embedded.start(tmp_path / "data") as embedded:
            async with await Database.open(embedded.url, pool=3) as database:
                engine = Engine(database, running, Settings(), SecretBox(KEY))
                await engine.begin()
                tie = await engine.tie(**FULL)
                yield Office(made, engine, tie, server, tmp_path / "data")
        assert not running.simulator.outbox, "a mail would have gone out"


async def test_a_database_killed_at_random_moments_comes_back_and_no_acknowledged_write_is_lost(office: Office) -> None:
    rng = random.Random(20261025)
    engine, simulator = office.engine, office.engine.simulator
    assert isinstance(simulator, DeadlySimulator)
    headers = {"Authorization": f"Bearer {office.server.told['api_key']}", "X-Organization": str(engine.organization_id)}
    async with aiohttp.ClientSession(office.server.told["url"], headers=headers) as session:
        application = Application(session, engine.resource_id, rng)
        theirs: list[str] = []
        for number in range(KILLS):
            victim = office.postmaster()
            killed = asyncio.Event()

            def kill(victim: int = victim, killed: asyncio.Event = killed) -> None:
                os.kill(victim, 9)
                killed.set()

            simulator.strike = Strike.at_random(rng, kill)
            for step in rng.choices([application.book, application.rename, application.cancel], weights=[5, 4, 1], k=12):
                theirs.append(f"theirs {number}.{len(theirs)}")
                office.tie.add(meeting(theirs[-1]))
                await step()
            if not killed.is_set():  # so few calls were made that the moment never came
                simulator.strike = None
                kill()
            assert await eventually(partial(office.is_back, victim), 60)
        await office.sync()
        assert office.tie.titles == await engine.titles() == sorted([*application.titles.values(), *theirs])
        stored = {row.id: row.series.event.title for row in await engine.ours() if row.origin == "app"}
        assert stored == application.titles
        engine.forget()
        await office.sync()
        assert engine.writes() == 0, "a pass without changes wrote"
    assert not simulator.overlaps
    assert sum(len(member.said("embedded_postgres_gone")) for member in office.crew.members) >= KILLS
