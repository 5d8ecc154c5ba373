"""PRV, PRS, BAD, PRO, NOT and OPS at Exchange: what is in an event, what is wrong with it, and who may see or write it."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

from tests.caldav_world import MAILBOX
from tests.engine import Engine, meeting, moment
from tests.ews_world import Person
from tests.scenarios.calendars import edited, ours, shown, with_override
from tests.scenarios.desk import Desk
from tests.scenarios.outlook import DOMAIN, OWNED, firm, invite, linked, only_item, there, titles, writes_nothing
from tests.scenarios.test_bad_input import EDGES
from tests.scenarios.test_privacy import canaries_in, telling

from gleichtakt.model.event import Event, Series, ShowAs
from gleichtakt.model.point import Day, Point, Zoned
from gleichtakt.providers.protocol import CalendarRef
from gleichtakt.simulators.exchange import Fault
from gleichtakt.simulators.exchange.faults import WRITES
from gleichtakt.simulators.exchange.ids import folder_id
from gleichtakt.simulators.exchange.items import spoil


def sent(person: Person) -> str:
    """Give every write since the ledger was cleared, word by word."""
    return "".join(entry.request for entry in person.exchange.ledger if entry.operation in WRITES)


async def person_of(exchange: Any, name: str) -> Person:
    """Give the default calendar of somebody in a firm."""
    folder = exchange.simulator.mailbox(f"{name}@{DOMAIN}").calendar
    return Person(exchange, folder, CalendarRef(f"{name}@{DOMAIN}", folder_id(folder)))


# --- PRV -------------------------------------------------------------------------------------------------------------


async def test_prv_03_busy_only_carries_times_and_going_back_to_it_takes_everything_away(world: Engine) -> None:
    async with linked(world, outbound_detail="busy") as person:
        person.exchange.habits.keeps_texts = True
        for number in range(3):
            await world.put(telling(days=number + 1))
        series = telling(days=5, rrule="FREQ=WEEKLY;COUNT=4")
        await world.put(with_override(series, moment(12), moment(12, 14), location="canary-location of an occurrence"))
        await world.sync()
        assert set(await titles(person)) == {"Busy"}
        assert not canaries_in(sent(person))
        await world.set("resource", world.resource_id, outbound_detail="full")
        await world.sync()
        assert "canary-description" in sent(person)
        await world.set("resource", world.resource_id, outbound_detail="busy")
        await world.sync()  # one run
        assert set(await titles(person)) == {"Busy"}
        kept = [(item.values, item.overrides) for item in person.folder.items.values()]
        assert not canaries_in(str(kept))
        assert await ours(world) != shown(await there(person))
        assert [start for start, _ in await ours(world)] == [start for start, _ in shown(await there(person))]
        await writes_nothing(world, person.exchange)


async def test_prv_05_a_room_that_rewrites_the_subject_gives_nothing_back(world: Engine) -> None:
    async with firm(world, "anna", "ben", "north") as (exchange, connection_id):
        room = await world.resource("North", kind="room")
        anna = await world.bind(connection_id, "", f"anna@{DOMAIN}")
        await world.set("link", anna.id, **OWNED)
        await world.bind(connection_id, "", f"north@{DOMAIN}", room)
        invite(exchange, "anna", "Process to fire user X", [f"north@{DOMAIN}"])
        mails = list(exchange.simulator.outbox)
        await world.sync()

        async def displayed() -> str:
            rows = await world.rows("select document from series where resource_id = :id and deleted_at is null", id=room)
            return str([row["document"] for row in rows])

        assert "fire" not in await displayed()
        item = only_item(exchange, "north")
        item.values["Subject"] = "Anna"  # seconds after the room accepted
        item.folder.touch(item)
        await writes_nothing(world, exchange)
        assert only_item(exchange, "anna").values["Subject"] == "Process to fire user X"
        assert await world.titles() == ["Process to fire user X"]
        await world.set("resource", room, inbound_detail="title_time")
        await writes_nothing(world, exchange)
        assert "Anna" in await displayed()
        item.values["Sensitivity"] = "Private"
        item.folder.touch(item)
        await writes_nothing(world, exchange)
        assert "Anna" not in await displayed()
        assert list(exchange.simulator.outbox) == mails


async def test_prs_06_the_five_states_of_exchange_come_back_unharmed_from_a_coarser_calendar(world: Engine) -> None:
    async with linked(world, relay="full") as person:
        coarse = await world.tie("coarse", "lossy")
        for number, state in enumerate(ShowAs):
            await person.create(meeting(state.value, days=number + 1, show_as=state))
        await world.sync(rounds=2)
        assert coarse.titles == ["busy", "oof", "tentative"], "what takes no time is not shown"
        world.forget()
        await writes_nothing(world, person.exchange, rounds=3)
        assert world.writes() == 0
        assert {series.event.title: series.event.show_as for series in await there(person)} == {s.value: s for s in ShowAs}
        things = {thing.document["title"]: thing for thing in coarse.things}
        coarse.edit(things["tentative"], location="Room 2")
        coarse.edit(things["oof"], show_as="free")  # a real change counts
        await world.sync(rounds=3)
        held = {series.event.title: series.event for series in await there(person)}
        assert (held["tentative"].show_as, held["tentative"].location) == (ShowAs.TENTATIVE, "Room 2")
        assert held["oof"].show_as is ShowAs.FREE
        assert held["working_elsewhere"].show_as is ShowAs.WORKING_ELSEWHERE


# --- BAD, PRO --------------------------------------------------------------------------------------------------------


async def test_bad_02_broken_items_are_listed_retried_and_never_hold_up_the_others(world: Engine, desk: Desk) -> None:
    async with linked(world) as person:
        hrefs = [await person.create(meeting(f"Theirs {number:02}", days=number + 1)) for number in range(40)]
        broken = [hrefs[place] for place in (0, 9, 10, 39)]
        for href in broken[:3]:
            spoil(person.exchange.simulator, person.item(href))
        weird = await person.create(meeting("Lunar", days=3, rrule="FREQ=WEEKLY;COUNT=3"))
        person.exchange.faults.add(Fault("item", "GetItem", contains=broken[3], code="ErrorContentConversionFailed", times=-1))
        person.exchange.faults.add(Fault("item", "GetItem", contains=weird, code="ErrorCalendarInvalidRecurrence", times=-1))
        await world.sync()
        assert len(await world.ours()) == 36
        told = await desk.problems()
        assert len(told) == 5
        assert all(one["scope"] == "series" and one["cause"] and one["remedy"] for one in told)
        (link,) = (await desk.get("/links"))["items"]
        assert link["state"] == "degraded"
        await person.create(meeting("New", days=50))
        await world.sync()
        assert "New" in await world.titles(), "the position moves on"
        person.exchange.faults.clear()
        for href in broken[:3]:
            spoil(person.exchange.simulator, person.item(href), is_spoilt=False)
        await world.sync()
        assert len(await world.ours()) == 42
        assert not await desk.problems()


async def test_bad_03_events_without_length_are_levelled_once_and_never_sent_again(world: Engine) -> None:
    async with linked(world) as person:
        spans: dict[str, tuple[Point, Point]] = {
            "no length": (moment(2), moment(2)),
            "a day of none": (Day(moment(3).wall.date()), Day(moment(3).wall.date())),
            "over midnight": (moment(4, 23), moment(5, 1)),
        }
        for title, (start, end) in spans.items():
            await world.put(Series("", Event(start, end, title=title)))
            await person.create(Series("", Event(start, end, title=f"{title} there")))
        await world.sync()
        lengths = {series.event.title: (series.event.start, series.event.end) for series in await there(person)}
        day = moment(3).wall.date()
        wanted = {**spans, "a day of none": (Day(day), Day(day + timedelta(days=1)))}
        assert lengths == {**wanted, **{f"{title} there": span for title, span in wanted.items()}}
        assert await ours(world) == shown(await there(person))
        await writes_nothing(world, person.exchange)


async def test_bad_05_dates_at_the_edge_of_the_world_are_held_where_they_can_be_and_told_where_not(
    world: Engine, desk: Desk
) -> None:
    async with linked(world, window_back_days=3650, window_ahead_days=3650) as person:
        for name, start in EDGES.items():
            end = start if isinstance(start, Zoned) else Day(date(1604, 3, 1))
            await world.put(Series("", Event(start, end, title=name), "FREQ=YEARLY"))
        born = Event(Day(date(1604, 5, 1)), Day(date(1604, 5, 2)), title="Birthday")
        await person.create(Series("", born, "FREQ=YEARLY"))
        await person.create(meeting("Today", days=0, hour=12))
        await world.sync()
        assert {"Today", "Birthday"} <= set(await world.titles())
        assert "Today" in await titles(person)
        days = {start.date() for start, title in await ours(world) if title == "Birthday"}
        assert all((day + timedelta(days=1)).month == 5 or day.month == 5 for day in days)
        for told in await desk.problems():
            assert told["scope"] == "series"
        await writes_nothing(world, person.exchange)


async def test_pro_02_half_a_list_is_no_list(world: Engine, desk: Desk) -> None:
    async with linked(world) as person:
        for number in range(25):
            await person.create(meeting(f"Theirs {number:02}", days=number + 1))
        await world.sync()
        for fault in (
            Fault("lost", "SyncFolderItems", skip=2),
            Fault("cut", "SyncFolderItems", skip=1),
            Fault("item", "GetItem", place=3, code="ErrorBatchProcessingStopped", times=2),
            Fault("cut", "GetItem", skip=1),
            Fault("lost", "GetItem", skip=2),
        ):
            await person.create(meeting("New", hour=12))
            person.exchange.faults.add(fault)
            async with world.database.begin() as connection:
                await connection.exec_driver_sql("update link set force_listing = true")
            await world.sync()
            assert not [title for title in (f"Theirs {number:02}" for number in range(25)) if title not in await world.titles()]
            person.exchange.faults.clear()
            await world.sync()
            assert await titles(person) == await world.titles()
        assert not await desk.holds()
        assert not await desk.problems()


# --- OPS -------------------------------------------------------------------------------------------------------------


async def test_ops_05_a_link_that_only_reads_never_writes_whatever_is_done(world: Engine, desk: Desk) -> None:
    async with linked(world, direction="inbound") as person:
        await person.create(meeting("Theirs"))
        await person.create(meeting("Weekly", rrule="FREQ=WEEKLY;COUNT=4"))
        await world.put(meeting("Ours", days=2))
        await world.sync()
        for row in await world.ours():
            await world.put(edited(row, location="Room 2"), row.id)
        await writes_nothing(world, person.exchange)
        for row in await world.ours():
            await world.delete(row.id)
        (link,) = await world.rows("select id from link")
        await desk.do(f"/links/{link['id']}/reset")
        await writes_nothing(world, person.exchange)
        assert await titles(person) == ["Theirs", "Weekly"]


async def test_ops_06_leaving_takes_our_copies_spares_what_people_edited_and_finds_them_without_our_records(
    world: Engine, desk: Desk
) -> None:
    async with linked(world, guard_delete_min=5) as person:
        for number in range(14):
            await world.put(meeting(f"Ours {number:02}", days=number - 5))
        weekly = meeting("Ours, weekly", days=3, rrule="FREQ=WEEKLY;COUNT=4")
        await world.put(with_override(weekly, moment(10), moment(10, 14)))
        for number in range(5):
            await person.create(meeting(f"Theirs {number}", days=number + 1, hour=15))
        await world.sync()
        before = person.hrefs()
        assert len(before) == 20
        (link,) = await world.rows("select connection_id, calendar from link")
        async with world.database.begin() as connection:  # the table of links is lost
            for table in ("pairing", "observed", "link", "lane"):
                await connection.exec_driver_sql(f"delete from {table}")
        tie = await world.bind(link["connection_id"], link["calendar"], MAILBOX)
        await world.set("link", tie.id, window_back_days=2)  # most of them lie outside
        await world.sync()
        assert person.hrefs() == before, "our copies were found by their marks"
        assert len(await world.rows("select * from pairing where made_by_us and href is not null")) == 15

        ended = await desk.do(f"/links/{tie.id}/disconnect", {"copies": "delete", "imported": "delete"})
        assert ended["copies"] == 15
        spared = [href for href, series in (await person.read(before)).items() if series.event.title in ("Ours 03", "Ours 12")]
        for href, series in (await person.read(spared)).items():
            await person.change(href, replace(series, event=replace(series.event, location="Somebody's note")))
        await world.sync()
        (hold,) = await desk.holds()
        assert (hold["count"], person.hrefs()) == (13, before)
        await desk.decide("approve")
        person.exchange.faults.add(Fault("fault", "DeleteItem", skip=5, times=3))  # interrupted on the way
        await world.sync(rounds=2)
        assert await titles(person) == ["Ours 03", "Ours 12", *(f"Theirs {number}" for number in range(5))]
        assert (await desk.get(f"/links/{tie.id}"))["state"] == "disconnected"
