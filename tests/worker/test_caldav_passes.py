"""Failures seen with CalDAV servers, over whole passes: what stands on both sides afterwards and what was asked for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest
from tests.engine import Engine, engine, meeting
from tests.simulation.caldav_remote import SimulatedCalDAV, tie_simulated

from gleichtakt.model.ics import write_calendar
from gleichtakt.simulators.caldav import Fault, Habits, Simulator, start
from gleichtakt.simulators.faults import Faults
from gleichtakt.store.database import Database

FULL = {
    "outbound_detail": "full",
    "inbound_detail": "full",
    "app_writes_foreign": "allow",
    "delete_grace_minutes": 0,
    "guard_update_min": 100,
}
NO_SUCH_TOKEN = '<D:error xmlns:D="DAV:"><D:valid-sync-token/></D:error>'


@pytest.fixture
async def world(database: Database) -> AsyncIterator[Engine]:
    async with engine(database) as made:
        yield made


@asynccontextmanager
async def linked(world: Engine, **habits: Any) -> AsyncIterator[SimulatedCalDAV]:
    """Link the application's resource to a new calendar on a server with these habits; no mail may go out."""
    async with start(Simulator(Habits(**habits))) as running:
        made = await tie_simulated(world, running)
        await world.set("resource", world.resource_id, **FULL)
        yield made
        assert not running.simulator.outbox


async def titles(calendar: SimulatedCalDAV) -> list[str]:
    """Give the titles there, sorted."""
    return sorted(series.event.title for series in (await calendar.content()).values())


def asked(calendar: SimulatedCalDAV) -> list[str]:
    """Give what was asked of the server, in order."""
    return [entry["verb"] for entry in calendar.simulator.ledger]


@dataclass
class Overtaking(Faults[Fault]):
    """Lets somebody else do something in the moment in which our next update arrives."""

    other: Callable[[], object] | None = None

    def take(self, *call: str) -> list[Fault]:
        """Be a moment faster."""
        if call[0] == "update" and self.other is not None:
            other, self.other = self.other, None
            other()
        return super().take(*call)


async def test_con_01_an_edit_made_there_between_our_reading_and_our_put_is_kept(world: Engine) -> None:
    async with linked(world) as calendar:
        row = await world.put(meeting("Beratung"))
        await world.sync(rounds=2)
        await world.put(replace(row.series, event=replace(row.series.event, description="von hier")), row.id)
        ((href, there),) = (await calendar.content()).items()
        name, folder = href.removeprefix(calendar.folder.path), calendar.folder
        edited = write_calendar([replace(there, event=replace(there.event, location="von dort"))]).decode()
        calendar.simulator.faults = Overtaking(other=lambda: calendar.simulator.put(folder, name, edited, mails=False))
        await world.sync()
        (after,) = await world.ours()
        ((_, now),) = (await calendar.content()).items()
        assert now == after.series
        assert (now.event.description, now.event.location) == ("von hier", "von dort")
        assert await world.rows("select * from conflict") == []


async def test_con_03_our_own_writes_come_back_as_nothing_new(world: Engine) -> None:
    async with linked(world) as calendar:
        await world.sync()
        row = await world.put(meeting("Beratung"))
        await world.sync()
        await world.put(replace(row.series, event=replace(row.series.event, title="Beratung, verlegt")), row.id)
        await world.sync()
        await calendar.forget()
        await world.sync(rounds=2)
        assert set(asked(calendar)) == {"state", "list"}  # what changed is named once, and not even read
        told = await world.rows("select type from change where object_id = :id order by id", id=row.id)
        assert [one["type"] for one in told] == ["event.created", "event.updated"]


@pytest.mark.parametrize("skip", [0, 1], ids=["at once", "between two parts"])
@pytest.mark.parametrize("status", [403, 410, 418])
async def test_pro_01_a_dead_token_costs_one_listing_and_nothing_is_lost(world: Engine, status: int, skip: int) -> None:
    async with linked(world, page=7) as calendar:
        for number in range(12):
            await calendar.put(meeting(f"Dort {number:02}", uid=f"there-{number}", days=number + 1))
            await world.put(meeting(f"Hier {number:02}", uid=f"here-{number}", days=number + 1, hour=14))
        await world.sync(rounds=2)
        for href, series in (await calendar.content()).items():
            await calendar.change(href, replace(series, event=replace(series.event, location="dort geändert")))
        for row in await world.ours():
            await world.put(replace(row.series, event=replace(row.series.event, description="hier geändert")), row.id)
        calendar.simulator.faults.add(Fault("status", "list", status=status, body=NO_SUCH_TOKEN, skip=skip))
        await calendar.forget()
        await world.sync()
        assert asked(calendar).count("create") == 0
        assert await titles(calendar) == await world.titles()
        assert len(await titles(calendar)) == 24
        everywhere = [*(await calendar.content()).values(), *(row.series for row in await world.ours())]
        assert {(one.event.location, one.event.description) for one in everywhere} == {("dort geändert", "hier geändert")}
        await calendar.forget()
        await world.sync(rounds=2)
        assert await calendar.writes() == 0


@pytest.mark.parametrize("verb", ["create", "update", "delete"])
@pytest.mark.parametrize("status", [500, 502, 504])
async def test_con_06_a_write_that_took_effect_and_was_answered_with_an_error_is_done_once(
    world: Engine, status: int, verb: str
) -> None:
    async with linked(world) as calendar:
        kept = await world.put(meeting("Bleibt"))
        other = await world.put(meeting("Geht"))
        if verb != "create":
            await world.sync(rounds=2)
        await calendar.forget()
        calendar.simulator.faults.add(Fault("status", verb, effect=True, status=status))
        await world.put(replace(kept.series, event=replace(kept.series.event, title="Bleibt doch")), kept.id)
        await world.delete(other.id)
        await world.sync(rounds=3)
        assert await titles(calendar) == await world.titles() == ["Bleibt doch"]
        assert asked(calendar).count(verb) == 1
        assert await world.rows("select * from conflict") == []
        assert await world.rows("select * from problem where state = 'open'") == []
