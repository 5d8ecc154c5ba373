"""Failures seen with Exchange, over whole passes: a write there takes several steps, and may end between any two."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import text
from tests.engine import Engine, engine, meeting
from tests.simulation.ews_remote import SimulatedExchange, exchange_with_account, tie_exchange

from gleichtakt.model.event import Override, Series
from gleichtakt.model.point import Point, shifted, wall_of
from gleichtakt.model.recurrence import occurrence_event
from gleichtakt.simulators.exchange import Fault, start
from gleichtakt.store.database import Database

FULL = {
    "outbound_detail": "full",
    "inbound_detail": "full",
    "app_writes_foreign": "allow",
    "delete_grace_minutes": 0,
    "guard_update_min": 100,
}


@pytest.fixture
async def world(database: Database) -> AsyncIterator[Engine]:
    async with engine(database) as made:
        yield made


@asynccontextmanager
async def linked(world: Engine) -> AsyncIterator[SimulatedExchange]:
    """Link the application's resource to a new calendar of a simulated Exchange; no mail may go out."""
    async with start(exchange_with_account()) as running:
        made = await tie_exchange(world, running)
        await world.set("resource", world.resource_id, **FULL)
        yield made
        assert not await made.mails()


def slot(series: Series, weeks: int) -> Point:
    """Give the start of an occurrence of a weekly series."""
    return shifted(series.event.start, timedelta(weeks=weeks))


def weekly() -> Series:
    """Give a weekly series with one occurrence left out and another with a title of its own."""
    plain = meeting("Standup", rrule="FREQ=WEEKLY;COUNT=6")
    renamed = replace(occurrence_event(plain.event, slot(plain, 3)), title="Mit Gast")
    return replace(plain, exdate=(slot(plain, 2),), overrides=(Override(slot(plain, 3), renamed),))


def exceptions(series: Series) -> tuple[int, list[str]]:
    """Give how many occurrences are left out, and the titles of those that differ."""
    return len(series.exdate), [override.event.title for override in series.overrides]


BROKEN_AT = [("DeleteItem", 0), ("UpdateItem", 0), ("UpdateItem", 1), ("GetItem", 2)]
KINDS = [Fault("lost", effect=True, times=2), Fault("fault", code="ErrorMailboxStoreUnavailable")]


@pytest.mark.parametrize("fault", KINDS, ids=lambda fault: fault.do)
@pytest.mark.parametrize(("operation", "skip"), BROKEN_AT, ids=str)
async def test_a_series_whose_creation_broke_off_is_completed_and_not_made_twice(
    world: Engine, operation: str, skip: int, fault: Fault
) -> None:
    async with linked(world) as calendar:
        await world.sync()
        await world.put(weekly())
        calendar.exchange.faults.add(replace(fault, operation=operation, skip=skip))
        await world.sync(rounds=4)
        (there,) = (await calendar.content()).values()
        (ours,) = await world.ours()
        assert exceptions(there) == exceptions(ours.series) == (1, ["Mit Gast"])
        await calendar.forget()
        await world.sync(rounds=2)
        assert await calendar.writes() == 0


@pytest.mark.parametrize("fault", KINDS, ids=lambda fault: fault.do)
@pytest.mark.parametrize(("operation", "skip"), BROKEN_AT, ids=str)
async def test_no_part_of_an_edit_is_lost_that_broke_off_in_the_middle(
    world: Engine, operation: str, skip: int, fault: Fault
) -> None:
    async with linked(world) as calendar:
        row = await world.put(weekly())
        await world.sync(rounds=2)
        more = replace(
            row.series,
            event=replace(row.series.event, title="Daily"),
            exdate=(*row.series.exdate, slot(row.series, 4)),
            overrides=(replace(row.series.overrides[0], event=replace(row.series.overrides[0].event, title="Ohne Gast")),),
        )
        await world.put(more, row.id)
        calendar.exchange.faults.add(replace(fault, operation=operation, skip=skip))
        await world.sync(rounds=4)
        (there,) = (await calendar.content()).values()
        (ours,) = await world.ours()
        assert (there.event.title, exceptions(there)) == (ours.series.event.title, exceptions(ours.series))
        assert (ours.series.event.title, exceptions(ours.series)) == ("Daily", (2, ["Ohne Gast"]))
        assert await world.rows("select * from conflict") == []


@pytest.mark.parametrize("operation", ["CreateItem", "UpdateItem"])
async def test_a_rule_that_exchange_spells_out_is_no_edit_there_after_a_lost_answer(world: Engine, operation: str) -> None:
    async with linked(world) as calendar:
        row = await world.put(meeting("Weekly", rrule="FREQ=WEEKLY;COUNT=4"))
        if operation == "UpdateItem":
            await world.sync(rounds=2)
            row = await world.put(replace(row.series, rrule="FREQ=WEEKLY;COUNT=5"), row.id)
        calendar.exchange.faults.add(Fault("lost", operation, effect=True, times=2))
        await world.sync(rounds=3)
        (there,) = (await calendar.content()).values()
        (ours,) = await world.ours()
        assert "BYDAY" in there.rrule
        assert (ours.series.rrule, ours.version) == (row.series.rrule, row.version)


def two_days_on() -> Series:
    """Give a weekly series whose rule does not hit its start: Exchange begins it two days later."""
    series = meeting("Weekly")
    day = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")[(wall_of(series.event.start).weekday() + 2) % 7]
    return replace(series, rrule=f"FREQ=WEEKLY;BYDAY={day};COUNT=3")


@pytest.mark.parametrize("rule", ["FREQ=DAILY;COUNT=3", ""])
async def test_a_series_that_exchange_begins_later_follows_a_new_rule_from_our_start(world: Engine, rule: str) -> None:
    async with linked(world) as calendar:
        row = await world.put(two_days_on())
        await world.sync(rounds=2)
        await world.put(replace(row.series, rrule=rule), row.id)
        await world.sync(rounds=2)
        (there,) = (await calendar.content()).values()
        assert (there.event.start, there.rrule) == (row.series.event.start, rule)


async def test_a_series_that_exchange_begins_later_gives_its_start_with_a_new_rule(world: Engine) -> None:
    async with linked(world) as calendar:
        row = await world.put(two_days_on())
        await world.sync(rounds=2)
        ((href, there),) = (await calendar.content()).items()
        assert there.event.start == shifted(row.series.event.start, timedelta(days=2))
        await calendar.change(href, replace(there, rrule="FREQ=DAILY;COUNT=3"))
        await world.sync(rounds=2)
        (ours,) = await world.ours()
        assert (ours.series.event.start, ours.series.rrule) == (there.event.start, "FREQ=DAILY;COUNT=3")


async def test_an_edit_of_one_occurrence_in_outlook_meets_ours_of_another(world: Engine) -> None:
    async with linked(world) as calendar:
        row = await world.put(weekly())
        await world.sync(rounds=2)
        ((href, there),) = (await calendar.content()).items()
        await calendar.change(href, replace(there, exdate=(*there.exdate, slot(there, 5))))
        await world.put(replace(row.series, exdate=(*row.series.exdate, slot(row.series, 4))), row.id)
        await world.sync(rounds=3)
        (after,) = (await calendar.content()).values()
        (ours,) = await world.ours()
        assert exceptions(after) == exceptions(ours.series) == (3, ["Mit Gast"])


async def test_when_nothing_changed_a_pass_asks_one_question(world: Engine) -> None:
    async with linked(world) as calendar:
        await world.put(weekly())
        await world.sync(rounds=3)
        await calendar.forget()
        await world.sync()
        asked = [entry.operation for entry in calendar.exchange.ledger if entry.operation]
        assert asked == ["ResolveNames", "SyncFolderItems"]  # the first is for the version, once in the life of a process


async def test_a_server_that_keeps_silent_about_an_occurrence_is_found_out_within_a_day(world: Engine) -> None:
    async with linked(world) as calendar:
        row = await world.put(weekly())
        await world.sync(rounds=2)
        (item,) = calendar.person.folder.items.values()
        item.overrides[wall_of(slot(row.series, 1)).date()] = {"Subject": "Umbenannt"}  # past sync state and change key
        item.rendered.clear()
        await world.sync()
        (ours,) = await world.ours()
        assert exceptions(ours.series) == (1, ["Mit Gast"])
        async with world.database.begin() as connection:
            await connection.execute(text("update link set listed_at = listed_at - interval '25 hours'"))
        await world.sync()
        (ours,) = await world.ours()
        assert exceptions(ours.series) == (1, ["Umbenannt", "Mit Gast"])
