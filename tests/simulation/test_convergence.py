"""The application and its calendars come to the same end, whatever happens on the way.

A Hypothesis state machine drives both sides with random edits, faults and crashes; `History.check` looks at the end.
`scripts/test nightly` runs thousands of histories instead of hundreds.
"""

from __future__ import annotations

import asyncio
import os
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test
from tests.conftest import with_name
from tests.engine import KEY, Engine
from tests.simulation.breaking import BreakingDatabase
from tests.simulation.history import TROUBLES, History, begin_history
from tests.simulation.memory_remote import MemoryRemote

from gleichtakt.settings import Settings
from gleichtakt.simulators.memory import Simulator, start
from gleichtakt.store.database import new_id
from gleichtakt.store.secrets import SecretBox

NIGHTLY = bool(os.environ.get("GLEICHTAKT_NIGHTLY"))
HISTORIES = 400 if NIGHTLY else 25  # per kind of calendar; there are five kinds
STEPS = 30 if NIGHTLY else 15

KINDS = st.sampled_from(["single", "single", "all-day", "series", "daily"])
WHAT = st.sampled_from(["title", "description", "location", "time", "exdate", "override"])
VALUE = st.sampled_from(["a", "Zwei Wörter", "Emoji 🎈", "Zeile 1\nZeile 2", 'Anführung; "x", \\y', "b" * 80])
WHICH = st.integers(0, 6)


class World:
    """One server, simulator and event loop for all histories of a test."""

    def __init__(self, url: str) -> None:
        self.runner = asyncio.Runner()
        self.database: BreakingDatabase = self.run(self._open(url))
        self._simulator = start(Simulator(page_size=4), control=False)
        self.running = self.run(self._simulator.__aenter__())

    async def _open(self, url: str) -> BreakingDatabase:
        opened = await BreakingDatabase.open(url, pool=6)
        assert isinstance(opened, BreakingDatabase)
        opened.arm(None)
        return opened

    def run(self, step: Any) -> Any:
        return self.runner.run(step)

    def close(self) -> None:
        self.run(self._simulator.__aexit__(None, None, None))
        self.run(self.database.close())
        self.runner.close()

    async def history(self, variants: tuple[str, ...]) -> History:
        engine = Engine(self.database, self.running, Settings(worker_slots=4), SecretBox(KEY))
        await engine.begin()
        self.running.simulator.forget_calls()
        mailbox = f"{new_id().hex}@memory.example"
        ties = [await engine.tie(f"calendar-{index}", variant, mailbox) for index, variant in enumerate(variants)]
        return await begin_history(engine, self.database, [MemoryRemote(tie) for tie in ties])


class Machine(RuleBasedStateMachine):
    """Steps of a history in any order."""

    world: World
    variants: tuple[str, ...]

    @initialize()
    def begin(self) -> None:
        self.history: History = self.world.run(self.world.history(self.variants))

    def _remote(self, index: int) -> int:
        return index % len(self.history.remotes)

    @rule(kind=KINDS)
    def app_creates(self, kind: str) -> None:
        self.world.run(self.history.app_creates(kind))

    @rule(index=WHICH, kind=KINDS)
    def remote_creates(self, index: int, kind: str) -> None:
        self.world.run(self.history.remote_creates(self._remote(index), kind))

    @rule(which=WHICH, what=WHAT, value=VALUE)
    def app_edits(self, which: int, what: str, value: str) -> None:
        self.world.run(self.history.app_edits(which, what, value))

    @rule(index=WHICH, which=WHICH, what=WHAT, value=VALUE)
    def remote_edits(self, index: int, which: int, what: str, value: str) -> None:
        self.world.run(self.history.remote_edits(self._remote(index), which, what, value))

    @rule(which=WHICH)
    def app_deletes(self, which: int) -> None:
        self.world.run(self.history.app_deletes(which))

    @rule(index=WHICH, which=WHICH)
    def remote_deletes(self, index: int, which: int) -> None:
        self.world.run(self.history.remote_deletes(self._remote(index), which))

    @rule(index=WHICH, kind=st.sampled_from(TROUBLES))
    def trouble(self, index: int, kind: str) -> None:
        self.world.run(self.history.remotes[self._remote(index)].trouble(kind))

    @rule()
    def passes(self) -> None:
        self.world.run(self.history.passes())

    @rule(border=st.integers(1, 40))
    def passes_and_dies(self, border: int) -> None:
        self.world.run(self.history.passes(crash_at=border))

    @rule()
    def approves(self) -> None:
        self.world.run(self.history.decide_holds())

    @precondition(lambda self: self.history.made > 2)
    @rule()
    def comes_to_rest(self) -> None:
        self.world.run(self.history.check())

    def teardown(self) -> None:
        if hasattr(self, "history"):
            self.world.run(self.history.check())


@pytest.mark.parametrize(
    "variants",
    [("",), ("lossy",), ("normalising",), ("", ""), ("", "lossy")],
    ids=lambda found: "+".join(v or "exact" for v in found),
)
def test_all_sides_come_to_the_same_end(postgres_url: str, template: str, variants: tuple[str, ...]) -> None:
    import asyncpg

    name = f"history_{new_id().hex}"

    async def create() -> None:
        connection = await asyncpg.connect(postgres_url)
        await connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY file_copy')
        await connection.close()

    asyncio.run(create())
    world = World(with_name(postgres_url, name))
    try:
        machine = type("Machine", (Machine,), {"world": world, "variants": variants})
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=HISTORIES,
                stateful_step_count=STEPS,
                deadline=None,
                suppress_health_check=list(HealthCheck),
                derandomize=not NIGHTLY,
                phases=[Phase.generate, *([Phase.shrink] if NIGHTLY else [])],
                database=None,
            ),
        )
    finally:
        world.close()
