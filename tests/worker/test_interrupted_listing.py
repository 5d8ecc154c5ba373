"""A listing that is interrupted, wherever that is: what was deleted meanwhile is seen, and nothing else is taken for it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from tests.engine import Engine, engine, meeting
from tests.simulation.breaking import BreakingDatabase
from tests.simulation.caldav_remote import tie_simulated
from tests.simulation.history import Remote, begin_history
from tests.simulation.memory_remote import MemoryRemote

from gleichtakt.simulators import caldav

BORDERS = 13  # a pass over a listing of two pages has no more borders of transactions before its conclusion


@asynccontextmanager
async def remote(world: Engine, kind: str) -> AsyncIterator[Remote]:
    """Link a calendar of a kind."""
    if kind == "memory":
        yield MemoryRemote(await world.tie())
        return
    async with caldav.start(caldav.Simulator()) as running:
        yield await tie_simulated(world, running)


@pytest.mark.parametrize("kind", ["memory", "caldav"])
async def test_an_interrupted_listing_misses_no_deletion(database_url: str, kind: str) -> None:
    async with await BreakingDatabase.open(database_url, pool=4) as database:
        assert isinstance(database, BreakingDatabase)
        database.arm(None)
        async with engine(database, page_size=10) as world, remote(world, kind) as calendar:
            history = await begin_history(world, database, [calendar])
            stay = {f"Bleibt {number:02}" for number in range(11)}  # more than one page
            for title in sorted(stay):
                await calendar.put(meeting(title, uid=f"{title}@there.example"))
            for border in range(1, BORDERS + 1):
                first, second = [
                    await calendar.put(meeting(f"{word} {border}", uid=f"{word}-{border}@there.example"))
                    for word in ("Geht vorher", "Geht nachher")
                ]
                await history.passes()
                await calendar.drop(first)
                await calendar.trouble("cursor refused")
                await history.passes(border)
                await calendar.drop(second)
                await history.passes()
                assert set(await world.titles()) == stay, f"interrupted at border {border}"
