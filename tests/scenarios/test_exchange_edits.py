"""DUP, DEL and CON at Exchange: one event stays one, no deletion without proof, and edits on both sides."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.caldav_world import MAILBOX
from tests.engine import Engine, meeting, moment
from tests.ews_world import Person
from tests.scenarios.calendars import edited, with_override
from tests.scenarios.desk import Desk
from tests.scenarios.outlook import asked, linked, there, titles, writes_nothing
from tests.scenarios.places import Dav
from tests.scenarios.test_conflicts import ENDS, OTHER, RICH
from tests.scenarios.test_duplicates import CHANGES

from gleichtakt.model.event import Event, Series
from gleichtakt.model.point import Zoned, shifted
from gleichtakt.providers.protocol import Href
from gleichtakt.simulators.exchange import Fault
from gleichtakt.simulators.exchange.faults import WRITES
from gleichtakt.simulators.exchange.items import move
from gleichtakt.store import lanes
from gleichtakt.store.calendars import EventRow
from gleichtakt.worker.loop import work


async def by_title(person: Person) -> dict[str, tuple[Href, Series]]:
    """Give the events there by their titles."""
    return {series.event.title: (href, series) for href, series in (await person.read(person.hrefs())).items()}


async def edit(person: Person, which: str, /, **changes: Any) -> None:
    """Somebody changes fields of an event there."""
    href, series = (await by_title(person))[which]
    await person.change(href, replace(series, event=replace(series.event, **changes)))


async def link_id(world: Engine) -> Any:
    """Give the id of the only link."""
    (row,) = await world.rows("select id from link")
    return row["id"]


# --- DUP -------------------------------------------------------------------------------------------------------------


async def test_dup_01_a_create_of_which_the_answer_is_lost_makes_one_event_and_one_link(world: Engine, desk: Desk) -> None:
    async with linked(world) as person:
        await world.sync()
        person.exchange.faults.add(Fault("lost", "CreateItem", effect=True, times=2))
        person.exchange.faults.add(Fault("status", "FindItem", status=503))  # nor can it be looked up at once
        rows = [await world.put(meeting("Once"))]
        rows.append(await world.put(replace(meeting("Weekly", rrule="FREQ=WEEKLY;COUNT=4"), exdate=(moment(8),))))
        await world.sync(rounds=4)
        assert await titles(person) == ["Once", "Weekly"]
        assert (await by_title(person))["Weekly"][1].exdate == (moment(8),)
        pairs = await world.rows("select series_id, href, made_by_us, state from pairing")
        assert {pair["series_id"] for pair in pairs} == {row.id for row in rows}
        assert {pair["href"] for pair in pairs} == person.hrefs()
        assert {(pair["made_by_us"], pair["state"]) for pair in pairs} == {(True, "linked")}
        assert not await desk.problems()


async def test_dup_02_two_calendars_that_hold_the_same_are_linked_as_the_preview_said(world: Engine, desk: Desk) -> None:
    async with linked(world) as person:
        same = [meeting(f"Same {n}", uid=f"same-{n}", days=n + 1) for n in range(20)]
        alike = [meeting(f"Alike {n}", days=n + 1, hour=12) for n in range(2)]
        alike += [meeting(f"Alike {rule}", days=3, rrule=rule) for rule in ("FREQ=WEEKLY;COUNT=3", "FREQ=YEARLY")]
        vienna = Zoned(moment(4).wall, "Europe/Vienna")  # Windows has one name for Vienna and Berlin
        alike.append(replace(meeting("Vienna", days=4), event=Event(vienna, shifted(vienna, timedelta(hours=1)), title="Vienna")))
        for series in [*same, *alike, *(meeting(f"Theirs {n}", days=n + 1, hour=15) for n in range(3))]:
            await person.create(series)
        for series in [*same, *alike, *(meeting(f"Ours {n}", days=n + 1, hour=17) for n in range(3))]:
            await world.put(series)
        person.exchange.ledger.clear()
        plan = await desk.plan(await link_id(world))
        assert asked(person.exchange, *WRITES) == 0
        assert {verb: plan["counts"].get(verb, 0) for verb in ("app.create", "provider.create")} == {
            "app.create": 3,
            "provider.create": 3,
        }
        assert [action["title"] for action in plan["actions"] if action["verb"] in ("update", "delete")] in ([], ["Vienna"])
        await world.sync()
        assert (asked(person.exchange, "CreateItem"), asked(person.exchange, "DeleteItem")) == (3, 0)
        assert len(await world.ours()) == len(person.hrefs()) == 31
        await writes_nothing(world, person.exchange)


async def test_dup_04_own_copies_are_known_although_somebody_strips_our_marks_and_changes_the_uids(
    world: Engine, dav: Dav
) -> None:
    async with linked(world, relay="full") as person:
        second, third = await dav.tie("second"), await dav.tie("third")
        await person.create(meeting("Theirs"))
        second.add(meeting("At dav", uid="dav", days=2))
        await world.put(meeting("Ours", days=3, rrule="FREQ=WEEKLY;COUNT=3"))
        await world.sync(rounds=2)
        for _ in range(3):
            for item in list(person.folder.items.values()):
                item.values.pop("ExtendedProperty", None)
                item.values["UID"] = f"rewritten-{item.number}-{item.change}"
                person.folder.touch(item)
            dav.forget()
            await writes_nothing(world, person.exchange)
            assert dav.writes() == 0
            assert await titles(person) == second.titles == third.titles == await world.titles() == ["At dav", "Ours", "Theirs"]


async def test_dup_07_whatever_is_edited_it_stays_the_same_event_on_both_sides(world: Engine) -> None:
    async with linked(world) as person:
        changes = [*({name: value} for name, value in CHANGES.items() if name != "end"), CHANGES]
        changes = [{**one, "end": CHANGES["end"]} if "start" in one else one for one in changes]
        for number in range(len(changes)):
            await world.put(meeting(f"Here {number}", days=number + 1, location="Place"))
            await person.create(meeting(f"There {number}", days=number + 1, location="Place"))
        await world.sync()
        hrefs, rows = person.hrefs(), {row.series.event.title: row for row in await world.ours()}
        person.exchange.ledger.clear()
        for number, change in enumerate(changes):
            await world.put(edited(rows[f"Here {number}"], **change), rows[f"Here {number}"].id)
            await edit(person, f"There {number}", **change)
        await world.sync(rounds=2)
        assert person.hrefs() == hrefs
        after = {row.id: row.series.event for row in await world.ours()}
        assert after.keys() == {row.id for row in rows.values()}
        assert asked(person.exchange, "CreateItem", "DeleteItem") == 0
        for number, change in enumerate(changes):
            for side in ("Here", "There"):
                event = after[rows[f"{side} {number}"].id]
                assert {name: getattr(event, name) for name in change} == change


# --- DEL -------------------------------------------------------------------------------------------------------------


async def test_del_02_a_calendar_that_is_suddenly_empty_waits_for_a_person(world: Engine, desk: Desk) -> None:
    async with linked(world, on_remote_delete="cancel_booking") as person:
        for number in range(8):
            await person.create(meeting(f"Theirs {number}", days=number + 1))
            await world.put(meeting(f"Ours {number}", days=number + 1, hour=14))
        await world.sync(rounds=2)
        for href in person.hrefs():
            person.delete(href)
        await person.create(meeting("New"))
        await world.sync(rounds=2)
        assert len(await world.ours()) == 17, "the rest of the run went on"
        assert sum(hold["count"] for hold in await desk.holds()) == 16
        await desk.decide("reject")
        await world.sync(rounds=2)
        assert await titles(person) == await world.titles()
        assert len(person.hrefs()) == 17
        await writes_nothing(world, person.exchange)
        assert not await desk.holds()


@pytest.mark.parametrize("side", ["ours", "theirs"])
async def test_del_06_an_event_dragged_into_the_window_moves_on_the_other_side(world: Engine, side: str) -> None:
    async with linked(world) as person:
        row = await world.put(meeting("Dragged", days=-10))
        await world.sync()
        await world.set("resource", world.resource_id, window_back_days=1)
        await world.sync()
        before = person.hrefs()
        person.exchange.ledger.clear()
        if side == "ours":
            await world.put(edited(row, start=moment(1), end=moment(1, 10)), row.id)
        else:
            await edit(person, "Dragged", start=moment(1), end=moment(1, 10))
        await world.sync()
        (after,) = await world.ours()
        assert after.id == row.id
        assert after.series.event.start == (await there(person))[0].event.start == moment(1)
        assert person.hrefs() == before
        assert asked(person.exchange, "CreateItem", "DeleteItem") == 0


# --- CON -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("rule", "title"), [("app_first", "Ours"), ("newest", "Theirs")])
async def test_con_02_clocks_that_disagree_change_nothing(world: Engine, rule: str, title: str) -> None:
    async with linked(world, conflict_rule=rule) as person:
        for minutes in (-10, 10):
            person.exchange.simulator.clock.offset = timedelta(minutes=minutes)
            row = await world.put(meeting(f"Base {minutes}", days=20 + minutes))
            await world.sync()
            await world.put(edited(row, title="Ours"), row.id)
            async with world.database.begin() as connection:  # theirs comes half a minute after ours
                await connection.exec_driver_sql("update series set updated_at = updated_at - interval '30 seconds'")
            await edit(person, f"Base {minutes}", title="Theirs")
            await world.sync()
            assert await titles(person) == await world.titles() == [title], minutes
            await world.delete(row.id)
            await world.sync()


async def test_con_03_word_of_our_own_write_causes_no_second_one(world: Engine) -> None:
    async with linked(world) as person:
        await world.sync()
        row = await world.put(meeting("Once"))
        person.exchange.ledger.clear()
        person.exchange.faults.add(Fault("delay", "CreateItem", seconds=0.3))
        await world.make_due()
        first = asyncio.create_task(work(world.database, world.settings, world.box, once=True))
        while not person.folder.items:  # the create is open: it has taken effect, its answer has not come
            await asyncio.sleep(0.01)
        (lane,) = await world.rows("select id from lane")
        async with world.database.begin() as connection:  # a notification says that something changed there
            await lanes.wake(connection, [lane["id"]])
        await asyncio.gather(first, work(world.database, world.settings, world.box, once=True))
        await world.sync()
        assert await titles(person) == ["Once"]
        assert asked(person.exchange, *WRITES) == 1
        told = await world.rows("select type from change where object_id = :id", id=row.id)
        assert told == [{"type": "event.created"}]


async def test_con_04_any_two_different_fields_go_together(world: Engine) -> None:
    async with linked(world) as person:
        names = [name for name in OTHER if name != "url"]  # Exchange has no place for it
        pairs: list[tuple[EventRow, str, str]] = []
        for number, (name, other) in enumerate(zip(names, names[1:] + names[:1], strict=True)):
            series = replace(meeting(days=number + 2), event=replace(RICH, title=f"Title {number}", url=""))
            pairs.append((await world.put(series), name, other))
        await world.sync()
        for number, (row, here, beyond) in enumerate(pairs):
            await edit(person, f"Title {number}", **{beyond: OTHER[beyond]})
            await world.put(edited(row, **{here: OTHER[here]}), row.id)
        await world.sync()
        mine, held = {row.id: row.series.event for row in await world.ours()}, await person.read(person.hrefs())
        copies = await world.rows("select series_id, href from pairing")
        hrefs = {pair["series_id"]: pair["href"] for pair in copies}
        for row, here, beyond in pairs:
            for event in (mine[row.id], held[hrefs[row.id]].event):
                assert {name: getattr(event, name) for name in (here, beyond)} == {name: OTHER[name] for name in (here, beyond)}
        assert not await world.rows("select * from conflict")


@pytest.mark.parametrize("status", [500, 502])
async def test_con_06_every_verb_answered_with_an_error_after_its_effect_is_read_back(
    world: Engine, desk: Desk, status: int
) -> None:
    async with linked(world) as person:
        plain, weekly = (
            meeting("Once"),
            with_override(meeting("Weekly", days=2, rrule="FREQ=WEEKLY;COUNT=4"), moment(9), title="Odd"),
        )
        for operation in sorted(WRITES):
            person.exchange.faults.add(Fault("status", operation, effect=True, status=status, times=2))
        rows = [await world.put(plain), await world.put(replace(weekly, exdate=(moment(16),)))]
        await world.sync(rounds=4)
        assert await titles(person) == ["Once", "Weekly"]
        for row in rows:
            await world.put(edited(row, location="Room 2"), row.id)
        person.exchange.faults.add(Fault("status", "UpdateItem", effect=True, status=status, times=2))
        await world.sync(rounds=4)
        assert {series.event.location for series in await there(person)} == {"Room 2"}
        assert (len((await by_title(person))["Weekly"][1].overrides), await titles(person)) == (1, ["Once", "Weekly"])
        person.exchange.ledger.clear()
        for row in rows:
            await world.delete(row.id)
        person.exchange.faults.add(Fault("status", "DeleteItem", effect=True, status=status, times=2))
        await world.sync(rounds=2)
        assert not person.hrefs()
        assert asked(person.exchange, "DeleteItem") == 2
        assert not await world.rows("select * from conflict")
        assert not await desk.problems()


async def carry_out(world: Engine, person: Person, row: EventRow, here: str, beyond: str) -> None:
    """Do on both sides what was meant: here first an edit, a deletion, or a deletion taken back; then there."""
    title = row.series.event.title
    if here in ("delete", "restore"):
        await world.delete(row.id)
    if here in ("edit", "restore"):
        await world.put(edited(row, location="Ours" if here == "edit" else "Restored"), row.id)
    if beyond == "edit":
        await edit(person, title, location="Theirs")
    if beyond == "delete":
        person.delete((await by_title(person))[title][0])


@pytest.mark.parametrize(("rule", "rrule"), [("app_first", ""), ("provider_first", "FREQ=WEEKLY;COUNT=3")])
async def test_con_07_every_pair_of_deeds_comes_to_one_end(world: Engine, rule: str, rrule: str) -> None:
    settings: dict[str, Any] = {"conflict_rule": rule, "on_remote_delete": "cancel_booking", "guard_delete_min": 100}
    async with linked(world, **settings) as person:
        rows = {pair: await world.put(meeting(" ".join(pair), rrule=rrule, location="Base")) for pair in ENDS}
        await world.sync()
        for (here, beyond), row in rows.items():
            await carry_out(world, person, row, here, beyond)
        await world.sync(rounds=2)
        mine = {row.series.event.title: row.series.event.location for row in await world.ours()}
        held = {title: series.event.location for title, (_, series) in (await by_title(person)).items()}
        for (here, beyond), row in rows.items():
            wanted, title = ENDS[here, beyond][0 if rule == "app_first" else 1], row.series.event.title
            assert (mine.get(title), held.get(title)) == (wanted, wanted), (here, beyond)
        assert len(person.hrefs()) == len(await world.ours())
        await writes_nothing(world, person.exchange)


def taken_out(person: Person, wanted: Sequence[str]) -> None:
    """Somebody drags appointments from the deleted ones back to the calendar: they have new ids, and all our marks."""
    for item in list(person.exchange.simulator.mailbox(MAILBOX).at("deleteditems").items.values()):
        if item.values["Subject"] in wanted:
            move(person.exchange.simulator, item, person.folder)


@pytest.mark.parametrize("is_seen_deleted", [True, False])
async def test_con_07_what_somebody_takes_out_of_the_deleted_items_lives_on_both_sides(
    world: Engine, desk: Desk, is_seen_deleted: bool
) -> None:
    async with linked(world, on_remote_delete="cancel_booking", guard_delete_min=100) as person:
        await world.put(meeting("Ours"))
        await world.put(with_override(meeting("Weekly", rrule="FREQ=WEEKLY;COUNT=3"), moment(8), title="Odd"))
        await person.create(meeting("Theirs", days=2))
        await world.sync(rounds=2)
        for href in person.hrefs():
            person.delete(href)
        if is_seen_deleted:
            await world.sync(rounds=2)
            assert not await world.ours()
        taken_out(person, ["Ours", "Weekly", "Theirs"])
        await world.sync(rounds=3)
        assert await titles(person) == await world.titles() == ["Ours", "Theirs", "Weekly"]
        assert len((await by_title(person))["Weekly"][1].overrides) == 1
        await writes_nothing(world, person.exchange)
        for row in await world.ours():
            await world.put(edited(row, location="Room 2"), row.id)
        await world.sync(rounds=2)
        assert {series.event.location for series in await there(person)} == {"Room 2"}
        assert not await desk.problems()
        assert asked(person.exchange, "CreateItem", "DeleteItem") == 0
