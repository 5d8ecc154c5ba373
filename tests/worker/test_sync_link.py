"""A pass over a link, seen from both sides: what an application and a calendar system hold afterwards."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from sqlalchemy import text
from tests.engine import Engine, engine, meeting, moment

from gleichtakt.model.document import point_document, read_series
from gleichtakt.model.event import Sensitivity, ShowAs
from gleichtakt.model.point import Zoned
from gleichtakt.simulators.memory import Fault
from gleichtakt.store import runs
from gleichtakt.store.database import Database

FULL = {"outbound_detail": "full", "inbound_detail": "full", "delete_grace_minutes": 0}


@pytest.fixture
async def world(database: Database) -> AsyncIterator[Engine]:
    async with engine(database) as made:
        yield made


async def test_a_booking_is_written_to_the_calendar(world: Engine) -> None:
    tie = await world.tie()
    await world.put(meeting("Beratung", description="intern"))
    await world.sync()
    assert tie.titles == ["Beratung"]
    assert tie.there()[0].event.description == ""  # title_time is the default: the description stays here


async def test_an_event_of_theirs_arrives_as_a_busy_block(world: Engine) -> None:
    tie = await world.tie()
    tie.add(meeting("Zahnarzt", uid="theirs-1", description="Wurzel", location="Praxis"))
    await world.sync()
    (row,) = await world.ours()
    assert row.origin == "provider"
    assert (row.series.event.title, row.series.event.description, row.series.event.location) == ("Busy", "", "")
    assert row.series.event.start == tie.there()[0].event.start
    assert "Wurzel" not in str(await world.rows("select document from observed"))
    assert "Zahnarzt" not in str(await world.rows("select document, title_digest from observed"))


async def test_a_second_pass_writes_nothing(world: Engine) -> None:
    tie = await world.tie(**FULL)
    await world.put(meeting("Ours", rrule="FREQ=WEEKLY;COUNT=5"))
    tie.add(meeting("Theirs", uid="t"))
    await world.sync()
    before = await world.rows("select id, version from series order by id")
    world.forget()
    await world.sync(rounds=3)
    assert world.writes() == 0
    assert await world.rows("select id, version from series order by id") == before


async def test_a_run_over_nothing_new_ends_without_a_plan(world: Engine) -> None:
    tie = await world.tie()
    await world.put(meeting())
    await world.sync(rounds=2)
    async with world.database.begin() as connection:
        run_id = await runs.ask(connection, tie.id, "sync", "test")
    await world.sync(due=False)
    (run,) = await world.rows("select state, counts::text as counts from run where id = :id", id=run_id)
    assert run["state"] == "done"
    assert await world.rows("select id from plan where run_id = :id", id=run_id) == []


async def test_edits_travel_both_ways(world: Engine) -> None:
    tie = await world.tie(**FULL)
    ours = await world.put(meeting("Ours"))
    await world.sync()
    (thing,) = tie.things
    tie.edit(thing, location="Raum 2")
    await world.sync()
    (row,) = await world.ours()
    assert row.series.event.location == "Raum 2"
    await world.put(replace(row.series, event=replace(row.series.event, title="Ours, renamed")), ours.id)
    await world.sync()
    assert tie.titles == ["Ours, renamed"]
    assert tie.there()[0].event.location == "Raum 2"


async def test_con_04_different_fields_edited_on_both_sides_are_merged(world: Engine) -> None:
    tie = await world.tie(**FULL)
    ours = await world.put(meeting("Title"))
    await world.sync()
    (thing,) = tie.things
    tie.edit(thing, location="Raum 2")
    await world.put(replace(ours.series, event=replace(ours.series.event, title="New title")), ours.id)
    await world.sync()
    (row,) = await world.ours()
    there = tie.there()[0].event
    assert (row.series.event.title, row.series.event.location) == ("New title", "Raum 2")
    assert (there.title, there.location) == ("New title", "Raum 2")
    assert not await world.rows("select * from conflict")


async def test_con_04_the_same_field_follows_the_rule_and_keeps_the_loser(world: Engine) -> None:
    tie = await world.tie(**FULL, conflict_rule="provider_first")
    ours = await world.put(meeting("Title"))
    await world.sync()
    tie.edit(tie.things[0], title="Their title")
    await world.put(replace(ours.series, event=replace(ours.series.event, title="Our title")), ours.id)
    await world.sync()
    assert await world.titles() == tie.titles == ["Their title"]
    journal = await world.rows("select loser from journal where loser is not null")
    assert "Our title" in str(journal)


async def test_a_clash_under_manual_waits_for_a_person(world: Engine) -> None:
    tie = await world.tie(**FULL, conflict_rule="manual")
    ours = await world.put(meeting("Title"))
    await world.sync()
    tie.edit(tie.things[0], title="Their title")
    await world.put(replace(ours.series, event=replace(ours.series.event, title="Our title")), ours.id)
    world.forget()
    await world.sync(rounds=2)
    assert (await world.titles(), tie.titles, world.writes()) == (["Our title"], ["Their title"], 0)
    (conflict,) = await world.rows("select state, fields::text from conflict")
    assert conflict["state"] == "open"
    assert "title" in conflict["fields"]


async def test_a_deleted_booking_is_deleted_there(world: Engine) -> None:
    tie = await world.tie(**FULL)
    ours = await world.put(meeting("Ours"))
    await world.sync()
    await world.delete(ours.id)
    await world.sync()
    assert not tie.things
    assert not await world.rows("select * from pairing")


async def test_a_block_deleted_there_is_deleted_here(world: Engine) -> None:
    tie = await world.tie(**FULL)
    thing = tie.add(meeting("Theirs", uid="t"))
    await world.sync()
    tie.remove(thing)
    await world.sync()
    assert not await world.ours()


async def test_a_booking_deleted_there_waits_for_a_person(world: Engine) -> None:
    tie = await world.tie(**FULL)
    await world.put(meeting("Ours"))
    await world.sync()
    tie.remove(tie.things[0])
    await world.sync(rounds=2)
    assert await world.titles() == ["Ours"]
    (hold,) = await world.rows("select kind, state, count from hold")
    assert hold == {"kind": "remote_delete", "state": "open", "count": 1}


async def test_dup_01_a_lost_answer_is_recognised_not_repeated(world: Engine) -> None:
    tie = await world.tie(**FULL)
    for verb in ("create", "update", "delete"):
        world.simulator.faults.add(Fault("lost", verb, effect=True))
    ours = await world.put(meeting("Once"))
    await world.sync(rounds=2)
    assert tie.titles == ["Once"]
    await world.put(replace(ours.series, event=replace(ours.series.event, title="Twice")), ours.id)
    await world.sync(rounds=2)
    assert tie.titles == ["Twice"]
    assert not await world.rows("select * from conflict")
    await world.delete(ours.id)
    await world.sync(rounds=2)
    assert not tie.things
    assert not await world.rows("select * from problem where state = 'open'")


async def test_con_06_a_write_that_was_answered_with_an_error(world: Engine) -> None:
    tie = await world.tie(**FULL)
    world.simulator.faults.add(Fault("failure", "create", effect=True))
    await world.put(meeting("Once"))
    await world.sync(rounds=3)
    assert tie.titles == ["Once"]


async def test_del_02_a_mass_deletion_is_held_and_the_rest_goes_on(world: Engine) -> None:
    tie = await world.tie(**FULL)
    things = [tie.add(meeting(f"Event {n}", uid=f"t{n}", days=n + 1)) for n in range(12)]
    await world.sync()
    assert len(await world.ours()) == 12
    for thing in things[:10]:
        tie.remove(thing)
    tie.add(meeting("New", uid="new", days=20))
    await world.sync(rounds=2)
    assert len(await world.ours()) == 13
    (hold,) = await world.rows("select kind, state, count from hold")
    assert hold["count"] == 10


async def test_series_with_overrides_travel_whole(world: Engine) -> None:
    tie = await world.tie(**FULL)
    series = meeting("Weekly", rrule="FREQ=WEEKLY;COUNT=6")
    await world.put(series)
    await world.sync()
    (thing,) = tie.things
    first = series.event.start
    assert isinstance(first, Zoned)
    moved = moment(8, 14)
    recurrence = thing.document["recurrence"] | {
        "overrides": [
            {
                **thing.document,
                "recurrence_id": point_document(moment(8)),
                "start": point_document(moved),
                "end": point_document(moment(8, 15)),
            }
        ],
        "exdate": [point_document(moment(15))],
    }
    tie.edit(thing, recurrence=recurrence)
    await world.sync()
    (row,) = await world.ours()
    assert [override.event.start for override in row.series.overrides] == [moved]
    assert row.series.exdate == (moment(15),)
    world.forget()
    await world.sync()
    assert world.writes() == 0


async def test_prv_01_private_events_come_without_content(world: Engine) -> None:
    tie = await world.tie(**FULL)
    tie.add(meeting("Therapie", uid="p", sensitivity=Sensitivity.PRIVATE, location="Klinik"))
    await world.sync()
    (row,) = await world.ours()
    assert row.series.event.title == "Private"
    stored = str(await world.rows("select document from observed union all select document from series"))
    assert "Therapie" not in stored
    assert "Klinik" not in stored


async def test_free_events_are_not_mirrored(world: Engine) -> None:
    tie = await world.tie(**FULL)
    tie.add(meeting("Reminder", uid="f", show_as=ShowAs.FREE))
    await world.sync()
    assert not await world.ours()
    assert await world.rows("select reason, document from observed") == [{"reason": "filtered", "document": None}]


async def test_dup_02_first_run_links_what_both_sides_hold(world: Engine) -> None:
    tie = await world.tie(**FULL)
    for n in range(10):
        await world.put(meeting(f"By uid {n}", uid=f"same-{n}", days=n + 1))
        tie.add(meeting(f"By uid {n}", uid=f"same-{n}", days=n + 1))
    await world.put(meeting("Look-alike", uid="a", days=15))
    tie.add(meeting("Look-alike", uid="b", days=15))
    await world.put(meeting("Only ours", days=16))
    tie.add(meeting("Only theirs", uid="c", days=17))
    world.forget()
    await world.sync()
    assert len(tie.things) == len(await world.ours()) == 13
    assert world.writes() == 1
    assert tie.titles == await world.titles()


async def test_pro_01_an_expired_cursor_leads_to_a_comparison_not_to_duplicates(world: Engine) -> None:
    tie = await world.tie(**FULL)
    for n in range(25):
        tie.add(meeting(f"Event {n}", uid=f"t{n}", days=n + 1))
    await world.sync()
    world.simulator.expire_cursors(tie.folder)
    tie.edit(tie.things[0], title="Changed")
    tie.remove(tie.things[3])
    await world.sync()
    assert await world.titles() == tie.titles


async def test_bad_02_an_unreadable_event_is_neither_deleted_nor_a_reason_to_stop(world: Engine) -> None:
    tie = await world.tie(**FULL)
    thing = tie.add(meeting("Will break", uid="x"))
    tie.add(meeting("Fine", uid="y", days=2))
    await world.sync()
    world.simulator.spoil(tie.folder, thing.href)
    tie.add(meeting("Later", uid="z", days=3))
    await world.sync(rounds=2)
    assert await world.titles() == ["Fine", "Later", "Will break"]
    assert len(await world.rows("select * from problem where state = 'open'")) == 1
    world.simulator.spoil(tie.folder, thing.href, is_spoilt=False)
    await world.sync(rounds=2)
    assert not await world.rows("select * from problem where state = 'open'")


async def test_dup_06_a_copy_made_by_the_user_is_a_second_event(world: Engine) -> None:
    tie = await world.tie(**FULL)
    await world.put(meeting("Original"))
    await world.sync()
    copy = world.simulator.clone(tie.folder, tie.things[0].href)
    tie.edit(copy, start=point_document(moment(5)), end=point_document(moment(5, 10)))
    await world.sync(rounds=2)
    assert len(await world.ours()) == 2
    assert len(tie.things) == 2


@pytest.mark.parametrize(("relay", "title"), [("none", None), ("busy", "Busy"), ("full", "Theirs")])
async def test_relay_says_in_which_detail_events_go_to_the_other_calendar(world: Engine, relay: str, title: str | None) -> None:
    first = await world.tie("one", **FULL, relay=relay)
    second = await world.tie("two", **FULL, relay=relay)
    first.add(meeting("Theirs", uid="t"))
    await world.sync(rounds=3)
    assert second.titles == ([title] if title else [])
    assert first.titles == ["Theirs"]
    world.forget()
    await world.sync(rounds=3)
    assert world.writes() == 0


async def test_events_of_theirs_are_not_touched_when_our_side_may_not_write_them(world: Engine) -> None:
    first = await world.tie("one", **FULL, relay="full")
    second = await world.tie("two", **FULL, relay="full")
    first.add(meeting("Theirs", uid="t"))
    await world.sync(rounds=3)
    second.edit(second.things[0], title="Edited in the copy")
    await world.sync(rounds=3)
    assert first.titles == second.titles == ["Theirs"]


async def test_read_series_of_what_stands_there_is_what_was_put(world: Engine) -> None:
    tie = await world.tie(**FULL)
    row = await world.put(meeting("Emoji 🎈 und Umlaute", description="Zeile 1\nZeile 2"))
    await world.sync()
    assert read_series(tie.things[0].document).event == row.series.event


async def test_scl_06_an_event_whose_writes_are_always_lost_does_not_hold_up_the_others(world: Engine) -> None:
    tie = await world.tie(**FULL)
    rows = [await world.put(meeting(f"Beratung {number}", days=number + 1)) for number in range(30)]
    await world.sync()
    stuck = next(thing for thing in tie.things if thing.document["title"] == "Beratung 0")
    world.simulator.faults.add(Fault("lost", "update", href=stuck.href, times=-1))
    for row in rows[:14]:
        await world.put(replace(row.series, event=replace(row.series.event, location="Raum Spree")), row.id)
    for _ in range(3):
        async with world.database.begin() as connection:  # the links' pauses end, those of single events do not
            await connection.execute(text("update link set due = now()"))
            await connection.execute(text("update lane set due = now(), paused_until = null"))
        await world.sync(due=False)
    moved = {thing.document["title"] for thing in tie.things if thing.document["location"]}
    assert moved == {f"Beratung {number}" for number in range(1, 14)}
    (problem,) = await world.rows("select series_id, state from problem where series_id is not null")
    assert problem == {"series_id": rows[0].id, "state": "open"}
