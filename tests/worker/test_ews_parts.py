"""A series without a pattern over whole passes at Exchange: single events there, one series here."""

from __future__ import annotations

from dataclasses import replace

from tests.engine import engine, meeting, moment
from tests.simulation.ews_remote import SimulatedExchange, exchange_with_account, tie_exchange

from gleichtakt.model.event import Series
from gleichtakt.simulators.exchange import Fault, start
from gleichtakt.store.database import Database


async def there(exchange: SimulatedExchange) -> list[tuple[str, str]]:
    """Give title and start of what stands there; all of it single events."""
    content = await exchange.content()
    assert all(not series.is_recurring for series in content.values())
    return sorted((series.event.title, str(series.event.start)) for series in content.values())


async def one(exchange: SimulatedExchange, day: int) -> tuple[str, Series]:
    """Give the event of a day."""
    content = await exchange.content()
    ((href, series),) = [(href, series) for href, series in content.items() if series.event.start == moment(day)]
    return href, series


async def test_a_series_without_a_pattern_goes_through_its_life_at_exchange(database: Database) -> None:
    async with engine(database) as world, start(exchange_with_account()) as running:
        exchange = await tie_exchange(world, running)
        await world.set(
            "resource",
            world.resource_id,
            outbound_detail="full",
            inbound_detail="full",
            delete_grace_minutes=0,
            guard_update_min=100,
        )
        exchange.exchange.faults.add(Fault("lost", operation="CreateItem", effect=True))
        row = await world.put(meeting("Weekly", rrule="FREQ=WEEKLY;COUNT=3", rdate=(moment(30),)))
        await world.sync(rounds=3)
        assert [title for title, _ in await there(exchange)] == ["Weekly"] * 4

        href, series = await one(exchange, 8)
        await exchange.change(href, replace(series, event=replace(series.event, title="Other")))
        await exchange.drop((await one(exchange, 15))[0])
        await world.sync(rounds=2)
        (after,) = await world.ours()
        assert [override.event.title for override in after.series.overrides] == ["Other"]
        assert after.series.exdate == (moment(15),)
        await exchange.forget()
        await world.sync(rounds=2)
        assert await exchange.writes() == 0

        await world.put(replace(after.series, rdate=()), row.id)
        await world.sync(rounds=2)
        (whole,) = (await exchange.content()).values()
        assert whole.rrule.startswith("FREQ=WEEKLY")
        await world.delete(row.id)
        await world.sync(rounds=2)
        assert not await exchange.content()
        assert not await exchange.mails()
