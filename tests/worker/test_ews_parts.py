"""A series without a pattern over whole passes at Exchange: single events there, one series here."""

from __future__ import annotations

from dataclasses import replace

from tests.engine import engine, meeting, moment
from tests.simulation.ews_remote import SimulatedExchange, exchange_with_account, tie_exchange

from gleichtakt.model.event import Override, Series
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


async def test_a_series_in_parts_that_was_moved_is_known_again_by_its_marks(database: Database) -> None:
    async with engine(database) as world, start(exchange_with_account()) as running:
        exchange = await tie_exchange(world, running)
        await world.set("resource", world.resource_id, outbound_detail="full", guard_update_min=100)
        row = await world.put(meeting("Weekly", rrule="FREQ=WEEKLY;COUNT=2\nFREQ=DAILY;COUNT=3"))
        await world.sync(rounds=2)
        later = replace(row.series.event, start=moment(1, 14), end=moment(1, 15))
        await world.put(replace(row.series, event=later), row.id)
        await world.sync(rounds=2)
        before = await exchange.marked()
        assert {mark.rpartition("T")[2] for mark, _ in before.values()} == {"140000"}
        for table in ("part", "pairing", "observed"):
            async with world.database.begin() as connection:
                await connection.exec_driver_sql(f"delete from {table}")
        async with world.database.begin() as connection:
            await connection.exec_driver_sql("update link set cursor = null")
        await world.sync(rounds=2)
        assert (await exchange.marked()).keys() == before.keys(), "adopted, not made anew"


async def test_parts_that_were_about_to_go_go_with_the_object_that_took_their_place(database: Database) -> None:
    async with engine(database) as world, start(exchange_with_account()) as running:
        exchange = await tie_exchange(world, running)
        settings = {"outbound_detail": "full", "on_remote_delete": "cancel_booking", "delete_grace_minutes": 0}
        await world.set("resource", world.resource_id, **settings)
        row = await world.put(meeting("Weekly", rrule="FREQ=WEEKLY;COUNT=2\nFREQ=DAILY;COUNT=3"))
        await world.sync(rounds=2)
        exchange.exchange.faults.add(Fault("fault", "DeleteItem", times=100))
        await world.put(replace(row.series, rrule="FREQ=DAILY;COUNT=3"), row.id)
        await world.sync()
        await exchange.calm()
        (whole,) = [href for href, series in (await exchange.content()).items() if series.is_recurring]
        assert len(await exchange.content()) > 1
        await exchange.drop(whole)
        await world.sync(rounds=3)
        assert (await world.ours(), await exchange.content()) == ([], {})
        assert await world.rows("select id from part") == []


async def test_a_series_that_gets_its_pattern_by_an_edit_there_stands_as_a_whole_though_ours_moved_too(
    database: Database,
) -> None:
    async with engine(database) as world, start(exchange_with_account()) as running:
        exchange = await tie_exchange(world, running)
        await world.set("resource", world.resource_id, outbound_detail="full", inbound_detail="full", guard_update_min=100)
        plain = meeting("Weekly", rrule="FREQ=WEEKLY;COUNT=4")
        past = replace(plain.event, title="Moved", start=moment(16), end=moment(16, 10))
        row = await world.put(replace(plain, overrides=(Override(moment(8), past),)))
        await world.sync(rounds=2)
        assert len(await exchange.content()) == 4
        await exchange.drop((await one(exchange, 16))[0])
        await world.put(replace(row.series, event=replace(row.series.event, title="Renamed")), row.id)
        await world.sync(rounds=2)
        (whole,) = (await exchange.content()).values()
        assert (whole.event.title, whole.exdate, whole.overrides) == ("Renamed", (moment(8),), ())
