"""The application and its calendars come to the same end, whatever happens on the way.

A Hypothesis state machine drives both sides with random edits, faults and crashes; `History.check` looks at the end.
`scripts/test nightly` runs thousands of histories of each world instead of a handful: in shards, so that all cores have
some, others every night. A failure says how to have the same histories once more. Only those of Exchange:
`scripts/test nightly tests/simulation -k ews -n auto`.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar
from zlib import crc32

import aiohttp
import asyncpg
import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test
from tests.caldav_world import MAILBOX
from tests.conftest import with_name
from tests.engine import KEY, Engine
from tests.servers import shared
from tests.simulation.breaking import BreakingDatabase
from tests.simulation.caldav_remote import tie_real, tie_simulated
from tests.simulation.content import EDITS, KINDS, NEEDS_MORE, WITHOUT_PATTERN
from tests.simulation.ews_remote import exchange_with_account, tie_exchange
from tests.simulation.history import APP, TROUBLES, History, Remote, begin_history
from tests.simulation.memory_remote import MemoryRemote
from tests.simulation.parts_remote import PartsHistory, PartsRemote

from gleichtakt.settings import Settings
from gleichtakt.simulators import caldav, exchange, memory
from gleichtakt.store.database import new_id
from gleichtakt.store.secrets import SecretBox

NIGHT = os.environ.get("GLEICHTAKT_NIGHTLY", "")  # under another name, others happen
STEPS = 30 if NIGHT else 20
STEP_SECONDS = 120  # what takes longer hangs
A_NIGHT, A_SHARD = 2_000, 50

#: Kinds of CalDAV server: as most are; an old one without reports and etags; one behind a proxy, that answers in parts.
HABITS: dict[str, caldav.Habits] = {
    "caldav": caldav.Habits(),
    "caldav, old": caldav.Habits(sync=False, multiget=False, put_etag=False),
    "caldav, behind a proxy": caldav.Habits(weak=True, ctag=False, page=3, sync_depth="1", compares=True),
}
#: Which calendars one resource is linked to -> how many histories by day.
WORLDS: dict[tuple[str, ...], int] = {
    ("exact",): 40,
    ("lossy",): 40,
    ("normalising",): 40,
    ("exact", "exact"): 40,
    ("exact", "lossy"): 40,
    ("caldav",): 12,
    ("caldav, old",): 6,
    ("caldav, behind a proxy",): 6,
    ("caldav", "caldav"): 8,
    ("exact", "caldav"): 8,
    ("radicale",): 5,
    ("ews",): 12,
    ("ews", "caldav"): 8,
    ("patterned",): 30,
    ("exact", "patterned"): 15,
}
#: Kinds of events that a calendar holds otherwise than we do.
LACKS: dict[str, frozenset[str]] = {
    "lossy": NEEDS_MORE,
    "normalising": NEEDS_MORE,
}
ONLY_PATTERNS = frozenset({"ews", "patterned"})  # the rest of our series stands there in parts

PLAIN = ["single", "single", *(kind for kind in KINDS if kind not in NEEDS_MORE)]
VALUE = st.sampled_from(["a", "Zwei Wörter", "Emoji 🎈", "Zeile 1\nZeile 2", 'Anführung; "x", \\y', "b" * 80])
PAST = "past"  # an edit that no calendar of patterns can hold
WHAT = st.sampled_from(list(EDITS))
NUMBER = st.integers(0, 99)  # of a kind, a side or an event: counted around


class World:
    """One database, event loop and set of servers for all histories of a test."""

    def __init__(self, url: str, calendars: tuple[str, ...]) -> None:
        self.runner = asyncio.Runner()
        self.calendars = calendars
        self.stack = AsyncExitStack()
        self.caldav: dict[str, caldav.Running] = {}
        self.run(self._start(url))

    async def _start(self, url: str) -> None:
        opened = await BreakingDatabase.open(url, pool=6)
        assert isinstance(opened, BreakingDatabase)
        opened.arm(None)
        self.database = opened
        self.stack.push_async_callback(opened.close)
        self.memory = await self.stack.enter_async_context(memory.start(memory.Simulator(page_size=4), control=False))
        self.session = await self.stack.enter_async_context(aiohttp.ClientSession())
        if "ews" in self.calendars:
            self.exchange = await self.stack.enter_async_context(exchange.start(exchange_with_account()))
        for name in HABITS.keys() & set(self.calendars):
            server = caldav.start(caldav.Simulator(HABITS[name]))
            self.caldav[name] = await self.stack.enter_async_context(server)

    def run(self, step: Any) -> Any:
        return self.runner.run(asyncio.wait_for(step, STEP_SECONDS))

    def close(self) -> None:
        self.runner.run(self.stack.aclose())
        self.runner.close()

    async def history(self) -> History:
        engine = Engine(self.database, self.memory, Settings(worker_slots=4), SecretBox(KEY))
        await engine.begin()
        self.memory.simulator.forget_calls()
        of = PartsHistory if ONLY_PATTERNS & {*self.calendars} else History
        return await begin_history(engine, self.database, [await self._remote(engine, name) for name in self.calendars], of)

    async def _remote(self, engine: Engine, name: str) -> Remote:
        if name in self.caldav:
            return await tie_simulated(engine, self.caldav[name])
        if name == "ews":
            return PartsRemote(await tie_exchange(engine, self.exchange), engine)
        if name == "radicale":
            return await tie_real(engine, shared(name), self.session)
        remote = MemoryRemote(await engine.tie(new_id().hex, "" if name == "exact" else name, MAILBOX))
        return PartsRemote(remote, engine) if name in ONLY_PATTERNS else remote


class Machine(RuleBasedStateMachine):
    """Steps of a history in any order. What was done stands in the note of a failure, step by step."""

    world: ClassVar[World]
    kinds: ClassVar[list[str]]

    @initialize(ours=st.lists(NUMBER, min_size=1, max_size=3), theirs=st.lists(NUMBER, min_size=1, max_size=3))
    def begin(self, ours: list[int], theirs: list[int]) -> None:
        self.steps: list[str] = []
        self.history: History = self.world.run(self.world.history())
        for kind in ours:
            self._do("creates", APP, self._kind(kind))
        for kind in theirs:
            self._do("creates", self._remote(kind), self._kind(kind))

    def _do(self, step: str, *given: Any) -> None:
        self.steps.append(f"{step}{given}")
        try:
            self.world.run(getattr(self.history, step)(*given))
        except Exception as failed:
            failed.add_note("\n".join(self.steps))
            raise

    def _remote(self, number: int) -> int:
        return number % len(self.history.remotes)

    def _who(self, number: int) -> int:
        """Give the application in one of three cases, else one of the calendars."""
        return APP if number % 3 == 2 else self._remote(number)

    def _kind(self, number: int) -> str:
        return self.kinds[number % len(self.kinds)]

    @rule(who=NUMBER, kind=NUMBER)
    def creates(self, who: int, kind: int) -> None:
        self._do("creates", self._who(who), self._kind(kind))

    @rule(edits=st.lists(st.tuples(NUMBER, NUMBER, WHAT, VALUE), min_size=2, max_size=6))
    def edits(self, edits: list[tuple[int, int, str, str]]) -> None:
        for who, which, what, value in edits:
            self._do("edits", self._who(who), which, what, value)

    @rule(who=NUMBER, which=NUMBER)
    def deletes(self, who: int, which: int) -> None:
        self._do("deletes", self._who(who), which)

    @rule(number=NUMBER, kind=st.sampled_from(TROUBLES))
    def trouble(self, number: int, kind: str) -> None:
        self._do("trouble", self._remote(number), kind)

    @rule()
    def passes(self) -> None:
        self._do("passes")

    @rule(border=st.integers(1, 40))
    def passes_and_dies(self, border: int) -> None:
        self._do("passes", border)

    @rule()
    def approves(self) -> None:
        self._do("decide_holds")

    @rule()
    def comes_to_rest(self) -> None:
        self._do("check")

    def teardown(self) -> None:
        if hasattr(self, "history"):
            self._do("check")


class PartsMachine(Machine):
    """A world in which series have no pattern, and get one."""

    @rule(who=NUMBER, which=NUMBER, value=VALUE)
    def moves_past(self, who: int, which: int, value: str) -> None:
        self._do("edits", self._who(who), which, PAST, value)

    @rule(which=NUMBER, other=NUMBER)
    def rewrites(self, which: int, other: int) -> None:
        self._do("rewrites", which, other)


@contextmanager
def world_of(calendars: tuple[str, ...], url: str, template: str) -> Iterator[World]:
    """Run a world over a database of its own around a block."""
    name = f"history_{new_id().hex}"

    async def tell(order: str) -> None:
        connection = await asyncpg.connect(url)
        await connection.execute(order)
        await connection.close()

    asyncio.run(tell(f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY file_copy'))
    world = World(with_name(url, name), calendars)
    try:
        yield world
    finally:
        world.close()
        asyncio.run(tell(f'DROP DATABASE "{name}" WITH (FORCE)'))


@dataclass(frozen=True)
class Shard:
    """Some histories of a world, the same ones whenever it has this number on this night."""

    calendars: tuple[str, ...]
    count: int
    number: int = 0

    def __str__(self) -> str:
        name = " + ".join(self.calendars)
        return f"{name}, {self.number}" if self.number else name

    @property
    def seed(self) -> int:
        """Give what its histories are drawn from."""
        return crc32(f"{self} {NIGHT}".encode())


def shards() -> list[Shard]:
    """Give the histories of each world: a few by day, and a whole night's in handy portions."""
    if not NIGHT:
        return [Shard(calendars, count) for calendars, count in WORLDS.items()]
    return [Shard(calendars, A_SHARD, number + 1) for calendars in WORLDS for number in range(A_NIGHT // A_SHARD)]


@pytest.mark.parametrize("shard", shards(), ids=str)
def test_all_sides_come_to_the_same_end(postgres_url: str, template: str, shard: Shard, request: pytest.FixtureRequest) -> None:
    lacking = {kind for name in shard.calendars for kind in LACKS.get(name, ())}
    kinds = [kind for kind in (*PLAIN, *sorted(NEEDS_MORE)) if kind not in lacking]
    in_parts = bool(ONLY_PATTERNS & {*shard.calendars})
    kinds += [*WITHOUT_PATTERN, *WITHOUT_PATTERN] if in_parts else []
    with world_of(shard.calendars, postgres_url, template) as world:
        machine = type("Machine", (PartsMachine if in_parts else Machine,), {"world": world, "kinds": kinds})
        try:
            run_state_machine_as_test(
                seed(shard.seed)(machine),
                settings=settings(
                    max_examples=shard.count,
                    stateful_step_count=STEPS,
                    deadline=None,
                    suppress_health_check=list(HealthCheck),
                    phases=[Phase.generate],  # two links are worked on at once, so that a failure seldom happens twice
                    database=None,
                ),
            )
        except Exception as failed:
            failed.add_note(f"once more: GLEICHTAKT_NIGHTLY={NIGHT} .venv/bin/python -m pytest '{request.node.nodeid}'")
            raise


def test_a_merge_that_dies_at_any_border_arrives_whole(postgres_url: str, template: str) -> None:
    with world_of(("exact",), postgres_url, template) as world:
        for border in range(1, 31):
            history = world.run(world.history())
            for step, *given in (
                ("creates", APP, "single"),
                ("check",),
                ("edits", APP, 0, "description", "ours"),
                ("edits", 0, 0, "time", "theirs"),
                ("passes", border),
                ("check",),
            ):
                world.run(getattr(history, step)(*given))


def test_a_series_that_gets_and_loses_its_pattern_and_dies_at_any_border_stands_once(postgres_url: str, template: str) -> None:
    with world_of(("patterned",), postgres_url, template) as world:
        for border in range(1, 44, 3):
            history = world.run(world.history())
            for step, *given in (
                ("creates", APP, "two rules"),
                ("passes", border),
                ("rewrites", 0, 2),  # every day: one object
                ("passes", border),
                ("rewrites", 0, 0),  # every week: one object
                ("passes", 44 - border),
                ("check",),
                ("rewrites", 0, 3),  # every nine hours: parts
                ("passes", border),
                ("edits", 0, 0, "title", "theirs"),
                ("check",),
            ):
                world.run(getattr(history, step)(*given))


def test_parts_whose_answer_is_lost_stand_once_at_whatever_border_we_die(postgres_url: str, template: str) -> None:
    with world_of(("ews",), postgres_url, template) as world:
        for border in range(33, 47, 2):
            history = world.run(world.history())
            for step, *given in (
                ("trouble", 0, "create applied, answer lost"),
                ("trouble", 0, "objects passed over"),
                ("creates", APP, "two rules"),
                ("passes", border),
                ("passes",),
                ("check",),
            ):
                world.run(getattr(history, step)(*given))
