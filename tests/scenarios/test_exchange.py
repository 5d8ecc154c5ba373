"""Acceptance scenarios at Exchange: what reports from the field say of EWS, over whole passes."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.caldav_world import MAILBOX
from tests.engine import ACCOUNT, Engine, meeting, moment
from tests.scenarios.calendars import edited, ours, shown
from tests.scenarios.desk import Desk
from tests.scenarios.outlook import asked, firm, invite, linked, there, titles
from tests.scenarios.places import FULL
from tests.scenarios.test_privacy import canaries_in, everything_stored, telling

from gleichtakt.model.event import Event, Override, Sensitivity, Series
from gleichtakt.model.point import Day, Zoned, instant
from gleichtakt.model.recurrence import occurrence_event
from gleichtakt.simulators.exchange import Fault
from gleichtakt.simulators.exchange.faults import WRITES
from gleichtakt.simulators.exchange.items import spoil

AUCKLAND, BERLIN, LOS_ANGELES = "New Zealand Standard Time", "W. Europe Standard Time", "Pacific Standard Time"


# --- what a server says wrong ----------------------------------------------------------------------------------------

REFUSALS = {
    "the store is away": Fault("fault", "SyncFolderItems", code="ErrorMailboxStoreUnavailable", times=-1),
    "an error of its own": Fault("fault", "SyncFolderItems", times=-1),
    "no access": Fault("item", "SyncFolderItems", code="ErrorAccessDenied", times=-1),
    "the folder is not found": Fault("item", "SyncFolderItems", code="ErrorSyncFolderNotFound", times=-1),
    "403": Fault("status", "SyncFolderItems", status=403, times=-1),
    "404": Fault("status", "SyncFolderItems", status=404, times=-1),
    "503": Fault("status", "SyncFolderItems", status=503, times=-1),
    "a page to sign in": Fault("garbage", "SyncFolderItems", body="<html>Sign in</html>", times=-1),
    "nothing": Fault("garbage", "SyncFolderItems", body="", times=-1),
    "a cut answer": Fault("cut", "SyncFolderItems", times=-1),
    "a lost connection": Fault("lost", "SyncFolderItems", times=-1),
}


async def test_del_01_no_refusal_of_exchange_looks_like_an_empty_calendar(world: Engine, desk: Desk) -> None:
    async with linked(world) as person:
        await person.create(meeting("Theirs"))
        await world.put(meeting("Ours", days=2))
        await world.sync(rounds=2)
        for number, (name, fault) in enumerate(REFUSALS.items()):
            if number % 2:  # as everything is listed, and as changes are
                async with world.database.begin() as connection:
                    await connection.exec_driver_sql("update link set force_listing = true")
            person.exchange.faults.add(replace(fault))
            person.exchange.ledger.clear()
            await world.sync()
            assert await world.titles() == ["Ours", "Theirs"], name
            assert asked(person.exchange, *WRITES) == 0, name
            assert await desk.problems(), f"{name}: nobody is told"
            person.exchange.faults.clear()
            await world.sync()
            assert not await desk.problems(), name
        assert await titles(person) == ["Ours", "Theirs"]
        assert not await desk.holds()


async def test_del_03_items_that_exchange_does_not_give_are_neither_deleted_nor_overwritten(world: Engine, desk: Desk) -> None:
    async with linked(world) as person:
        rows = [await world.put(meeting(f"Ours {number}", days=number + 1)) for number in range(8)]
        await world.sync(rounds=2)
        for href, series in (await person.read(person.hrefs())).items():
            if series.event.title in ("Ours 0", "Ours 1"):
                await person.change(href, replace(series, event=replace(series.event, location="There")))
                spoil(person.exchange.simulator, person.item(href))
        await world.put(edited(rows[0], title="Edited here"), rows[0].id)
        await world.put(edited(rows[7], title="Last"), rows[7].id)
        await world.sync(rounds=2)
        assert len(await world.ours()) == len(person.hrefs()) == 8
        assert len(await desk.problems()) == 2
        for item in list(person.folder.items.values()):
            spoil(person.exchange.simulator, item, is_spoilt=False)
        await world.sync(rounds=3)
        assert await titles(person) == await world.titles()
        assert "Last" in await world.titles()
        assert sum(series.event.location == "There" for series in await there(person)) == 2
        assert not await desk.problems()


@pytest.mark.parametrize("skip", [0, 1, 2], ids=["first page", "second page", "after the last page"])
async def test_pro_01_a_sync_state_may_die_at_any_page(world: Engine, desk: Desk, skip: int) -> None:
    async with linked(world, guard_delete_min=100) as person:
        for number in range(6):
            await person.create(meeting(f"Theirs {number}", days=number + 1))
        await world.sync(rounds=2)
        for number in range(20):
            await person.create(meeting(f"New {number:02}", days=number + 1))
            await world.put(meeting(f"Ours {number:02}", days=number + 1))
        person.delete(sorted(person.hrefs())[0])
        person.exchange.faults.add(Fault("item", "SyncFolderItems", code="ErrorInvalidSyncStateData", skip=skip))
        await world.sync(rounds=3)
        assert await titles(person) == await world.titles()
        assert len(await world.titles()) == 45
        assert not await desk.holds()


@pytest.mark.parametrize("milliseconds", [0, 1, 300_000, 86_400_000])
async def test_pro_05_whatever_back_off_exchange_advises_work_is_parked_for_a_time_within_bounds(
    world: Engine, desk: Desk, milliseconds: int
) -> None:
    async with linked(world) as person:
        await world.sync()
        await world.put(meeting("Parked"))
        person.exchange.faults.add(Fault("fault", code="ErrorServerBusy", back_off=milliseconds, times=-1))
        begun = datetime.now(UTC)
        await world.sync()
        (link,) = (await desk.get("/links"))["items"]
        assert begun < datetime.fromisoformat(link["health"]["next_run"]) <= datetime.now(UTC) + timedelta(hours=1, seconds=5)
        person.exchange.faults.clear()
        await world.sync(rounds=2)
        assert await titles(person) == ["Parked"]
        assert not await desk.problems()


async def test_pro_07_a_year_of_thousands_of_occurrences_is_complete_without_asking_for_a_view(world: Engine) -> None:
    async with linked(world) as person:
        for number in range(16):
            await person.create(meeting(f"Daily {number:02}", days=-300, hour=number + 6, rrule="FREQ=DAILY"))
        await person.create(meeting("Once"))
        await world.sync()
        mine = await ours(world, 60)
        assert len(mine) > 5_500
        assert mine == shown(await there(person), 60)
        assert asked(person.exchange, "FindItem") == 0, "a view holds a thousand, or two years"


async def test_bad_01_what_xml_forbids_in_an_answer_of_exchange_costs_itself_only(world: Engine, desk: Desk) -> None:
    async with linked(world) as person:
        for number in range(5):
            await person.create(meeting(f"Theirs {number}", days=number + 1))
        person.exchange.faults.add(Fault("spoil", times=-1))
        await world.put(meeting("Ours\x0b with a \x1a sign", days=7))
        await world.sync(rounds=2)
        assert len(await world.titles()) == 6
        assert not await desk.problems()
        person.exchange.ledger.clear()
        await world.sync()
        assert asked(person.exchange, *WRITES) == 0


# --- writing ---------------------------------------------------------------------------------------------------------


async def test_con_01_an_edit_in_outlook_between_our_reading_and_our_writing_is_never_lost(world: Engine) -> None:
    async with linked(world) as person:
        row = await world.put(meeting("Ours"))
        await world.sync(rounds=2)
        (href,) = person.hrefs()
        operations = dict(person.exchange.operations)

        def edit_first(call: Any, request: Any) -> Any:
            person.exchange.operations = operations
            location = '<t:SetItemField><t:FieldURI FieldURI="calendar:Location"/><t:CalendarItem><t:Location>There</t:Location>'
            person.exchange.carry_out(
                MAILBOX,
                '<m:UpdateItem ConflictResolution="AlwaysOverwrite" SendMeetingInvitationsOrCancellations="SendToNone">'
                f'<m:ItemChanges><t:ItemChange><t:ItemId Id="{href}"/><t:Updates>{location}</t:CalendarItem></t:SetItemField>'
                "</t:Updates></t:ItemChange></m:ItemChanges></m:UpdateItem>",
            )
            return operations["UpdateItem"](call, request)

        person.exchange.operations = {**operations, "UpdateItem": edit_first}
        await world.put(edited(row, title="Renamed"), row.id)
        await world.sync(rounds=3)
        for event in ((await there(person))[0].event, (await world.ours())[0].series.event):
            assert (event.title, event.location) == ("Renamed", "There")


async def test_att_03_a_change_that_exchange_forbids_is_kept_and_never_becomes_delete_and_create(
    world: Engine, desk: Desk
) -> None:
    async with linked(world) as person:
        row = await world.put(meeting("Ours"))
        await world.sync(rounds=2)
        person.exchange.faults.add(Fault("item", "UpdateItem", code="ErrorAccessDenied", times=-1))
        person.exchange.ledger.clear()
        await world.put(edited(row, title="Renamed"), row.id)
        await world.sync(rounds=3)
        assert asked(person.exchange, "CreateItem", "DeleteItem") == 0
        assert asked(person.exchange, "UpdateItem") == 1, "tried once; again only when something changes"
        assert (await titles(person), await world.titles()) == (["Ours"], ["Renamed"])
        (told,) = await desk.problems()
        person.exchange.faults.clear()
        await desk.do(f"/problems/{told['id']}/retry")
        await world.sync(due=False)
        assert await titles(person) == ["Renamed"]
        assert not await desk.problems()


@pytest.mark.parametrize(("do", "operation"), [("lost", "CreateItem"), ("fault", "UpdateItem"), ("status", "DeleteItem")])
async def test_con_06_a_write_that_took_effect_and_was_not_answered_is_done_once(
    world: Engine, desk: Desk, do: str, operation: str
) -> None:
    async with linked(world) as person:
        row = await world.put(meeting("Old"))
        await world.sync(rounds=2)
        person.exchange.ledger.clear()
        person.exchange.faults.add(Fault(do, operation, effect=True))
        await world.put(meeting("New", days=2))
        if operation == "DeleteItem":
            await world.delete(row.id)
        else:
            await world.put(edited(row, title="Renamed"), row.id)
        await world.sync(rounds=3)
        assert await titles(person) == await world.titles()
        assert len(await world.titles()) == (1 if operation == "DeleteItem" else 2)
        assert asked(person.exchange, operation) == 1
        assert await world.rows("select id from conflict") == []
        assert not await desk.problems()


async def test_dup_06_an_event_that_a_person_copied_in_outlook_is_an_event_of_its_own(world: Engine) -> None:
    async with linked(world) as person:
        await world.put(meeting("Ours"))
        await world.sync(rounds=2)
        ((original, item),) = person.folder.items.items()
        person.folder.made += 1
        copied = replace(item, number=person.folder.made, values={**item.values, "UID": "copied"}, rendered={})
        person.folder.touch(copied)  # with everything that stands on the first, our marks too
        await world.sync(rounds=2)
        assert set(person.folder.items) == {original, copied.number}
        assert await titles(person) == await world.titles() == ["Ours", "Ours"]
        (first, _) = await world.ours()
        person.exchange.ledger.clear()
        await world.put(edited(first, title="Renamed"), first.id)
        await world.sync(rounds=2)
        assert await titles(person) == ["Ours", "Renamed"]
        assert asked(person.exchange, "CreateItem", "DeleteItem") == 0


async def test_rec_06_a_rule_that_exchange_has_no_pattern_for_is_told_and_keeps_nobody_back(world: Engine, desk: Desk) -> None:
    async with linked(world) as person:
        row = await world.put(meeting("Every hour", rrule="FREQ=HOURLY"))
        await world.put(meeting("Mondays", rrule="FREQ=WEEKLY;BYDAY=MO;COUNT=4"))
        await world.sync(rounds=2)
        assert await titles(person) == ["Mondays"]
        (told,) = await desk.problems()
        assert (told["series_id"], told["scope"]) == (str(row.id), "series")
        person.exchange.ledger.clear()
        await world.sync(rounds=2)
        assert asked(person.exchange, *WRITES) == 0
        assert row.series in [each.series for each in await world.ours()]


# --- what is nobody's business -----------------------------------------------------------------------------------------


async def test_prv_01_a_private_appointment_is_a_time_and_nothing_more(world: Engine, desk: Desk) -> None:
    async with linked(world) as person:
        for number, kind in enumerate((Sensitivity.PRIVATE, Sensitivity.CONFIDENTIAL)):
            await person.create(telling(sensitivity=kind, days=number + 1))
        await world.sync(rounds=2)
        assert [row.series.event.start for row in await world.ours()] == [moment(1), moment(2)]
        assert not canaries_in(await everything_stored(world))


async def test_prv_02_how_private_an_appointment_is_changes_only_on_purpose(world: Engine) -> None:
    async with linked(world, private_events="as_normal") as person:
        for number, kind in enumerate(Sensitivity):
            await person.create(meeting(f"Theirs {kind}", days=number + 1, sensitivity=kind))
        await world.sync()
        for row in await world.ours():
            await world.put(edited(row, start=moment(20), end=moment(20, 10)), row.id)
        person.exchange.habits.keeps_texts = True
        await world.sync(rounds=2)
        assert {series.event.title: series.event.sensitivity for series in await there(person)} == {
            f"Theirs {kind}": kind for kind in Sensitivity
        }
        written = "".join(entry.request for entry in person.exchange.ledger if entry.operation == "UpdateItem")
        assert "calendar:Start" in written
        assert "item:Sensitivity" not in written


# --- time ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("zone", [AUCKLAND, BERLIN, LOS_ANGELES])
async def test_rec_03_days_of_an_all_day_series_stay_days_wherever_the_mailbox_is(world: Engine, zone: str) -> None:
    async with linked(world) as person:
        person.exchange.simulator.mailbox(MAILBOX).zone = zone
        first = moment(3).wall.date()
        days = [Day(first + timedelta(days=number)) for number in range(12)]
        await world.put(Series("", Event(days[0], days[1], title="Watch"), "FREQ=DAILY;INTERVAL=3;COUNT=4"))
        await world.sync(rounds=2)
        ((href, held),) = (await person.read(person.hrefs())).items()
        moved = replace(occurrence_event(held.event, days[6]), start=days[7], end=days[8])
        await person.change(href, replace(held, exdate=(days[3],), overrides=(Override(days[6], moved),)))
        await world.sync(rounds=2)
        (mine,) = await world.ours()
        assert mine.series.exdate == (days[3],)
        assert [(each.recurrence_id, each.event.start, each.event.end) for each in mine.series.overrides] == [
            (days[6], days[7], days[8])
        ]
        person.exchange.ledger.clear()
        await world.sync()
        assert asked(person.exchange, *WRITES) == 0


@pytest.mark.parametrize("zone", [AUCKLAND, BERLIN, LOS_ANGELES])
async def test_tz_02_an_all_day_event_keeps_its_days_when_only_its_title_changes(world: Engine, zone: str) -> None:
    async with linked(world) as person:
        person.exchange.simulator.mailbox(MAILBOX).zone = zone
        first = moment(3).wall.date()
        row = await world.put(Series("", Event(Day(first), Day(first + timedelta(days=3)), title="Away")))
        await world.sync(rounds=2)
        await world.put(edited(row, title="Far away"), row.id)
        await world.sync(rounds=2)
        ((href, held),) = (await person.read(person.hrefs())).items()
        await person.change(href, replace(held, event=replace(held.event, title="Very far away")))
        await world.sync(rounds=2)
        for event in (held.event, (await world.ours())[0].series.event):
            assert (event.start, event.end) == (Day(first), Day(first + timedelta(days=3)))
        assert await world.titles() == ["Very far away"]


async def test_tz_04_a_series_of_an_organizer_abroad_follows_the_clocks_there(world: Engine) -> None:
    async with linked(world, window_back_days=400) as person:
        person.exchange.simulator.mailbox(MAILBOX).zone = BERLIN
        year = moment().wall.year
        first = Zoned(datetime(year, 3, 3, 9), "America/New_York")  # noqa: DTZ001  # the zone stands beside it
        last = Zoned(datetime(year, 3, 3, 10), "America/New_York")  # noqa: DTZ001
        await person.create(Series("", Event(first, last, title="Call"), "FREQ=WEEKLY;COUNT=40"))
        await world.sync()
        (row,) = await world.ours()
        starts = [at.astimezone(UTC) for at, _ in shown([row.series])]
        meant = [Zoned(first.wall + timedelta(weeks=week), first.tzid) for week in range(40)]
        assert starts == [instant(point, UTC) for point in meant]
        assert {at.hour for at in starts} == {13, 14}


# --- mailboxes -------------------------------------------------------------------------------------------------------


async def test_aut_03_a_changed_password_is_tried_a_few_times_at_most_for_all_mailboxes(world: Engine) -> None:
    people = [f"m{number}" for number in range(6)]
    async with firm(world, *people) as (exchange, connection_id):
        for name in people:
            await world.bind(connection_id, "", f"{name}@firm.example", await world.resource(name))
        await world.sync()
        assert {entry.mailbox for entry in exchange.ledger if entry.operation == "SyncFolderItems"} == {
            f"{name}@firm.example" for name in people
        }
        exchange.door.refused.clear()
        exchange.add_account(ACCOUNT[0], "another password", impersonates=("*@firm.example",))
        await world.sync(rounds=4)
        assert 1 <= len(exchange.door.refused) <= 3, "a directory locks an account after five"


@pytest.mark.parametrize("order", [("anna", "ben", "north"), ("north", "ben", "anna")], ids=" ".join)
async def test_dup_03_a_meeting_in_several_mailboxes_is_one_in_each_whatever_the_order(
    world: Engine, order: tuple[str, ...]
) -> None:
    async with firm(world, "anna", "ben", "north") as (exchange, connection_id):
        invite(exchange, "anna", "Together", ["ben@firm.example", "north@firm.example"])
        sent = len(exchange.simulator.outbox)  # by Anna herself
        resources = {name: await world.resource(name) for name in order}
        for name in order:
            linked = await world.bind(connection_id, "", f"{name}@firm.example", resources[name])
            await world.set("link", linked.id, **FULL, relay="full")
            await world.sync()
        exchange.ledger.clear()
        await world.sync(rounds=3)
        assert asked(exchange, *WRITES) == 0
        assert len(exchange.simulator.outbox) == sent
        rows = await world.rows("select resource_id, uid from series where deleted_at is null")
        assert {row["resource_id"] for row in rows} == set(resources.values())
        assert len(rows) == 3
        assert len({row["uid"] for row in rows}) == 1
        for name in order:
            mailbox = exchange.simulator.mailbox(f"{name}@firm.example")
            assert len(mailbox.calendar.items) == 1, name


async def test_aut_05_a_mailbox_without_licence_rests_and_goes_on_when_it_has_one_again(world: Engine, desk: Desk) -> None:
    async with linked(world) as person:
        await person.create(meeting("Theirs"))
        row = await world.put(meeting("Ours", days=2))
        await world.sync(rounds=2)
        mailbox = person.exchange.simulator.mailbox(MAILBOX)
        mailbox.is_enabled = False
        await world.sync(rounds=3)
        assert await world.titles() == ["Ours", "Theirs"]
        assert not await desk.holds()
        assert len(await desk.problems()) == 1
        mailbox.is_enabled = True
        await world.put(edited(row, title="Renamed"), row.id)
        person.exchange.ledger.clear()
        await world.sync(rounds=2)
        assert await titles(person) == ["Renamed", "Theirs"]
        assert asked(person.exchange, "CreateItem", "DeleteItem") == 0
        assert not await desk.problems()


async def test_aut_04_a_mailbox_that_moves_to_another_database_is_not_empty(world: Engine) -> None:
    async with linked(world) as person:
        await person.create(meeting("Theirs"))
        await world.sync()
        person.exchange.move(MAILBOX, refusals=3)
        await world.put(meeting("Ours", days=2))
        await world.sync(rounds=5)
        assert await titles(person) == await world.titles() == ["Ours", "Theirs"]
