"""CON: edits on both sides, clocks that disagree, answers that get lost, writers that overlap."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.engine import Engine, meeting, moment
from tests.scenarios.calendars import edited
from tests.scenarios.desk import Desk
from tests.scenarios.places import FULL, Dav

from gleichtakt.model.event import Event, Reminder, Series, ShowAs
from gleichtakt.simulators import caldav
from gleichtakt.simulators.memory import Fault
from gleichtakt.store import lanes
from gleichtakt.store.calendars import EventRow
from gleichtakt.worker.loop import work

APART = timedelta(minutes=10)


@dataclass
class Interfering:
    """Somebody at the calendar who edits between our reading and our writing, so many times."""

    world: Engine
    edit: Callable[[int], None]
    times: int
    done: int = 0
    expects: list[str] = field(default_factory=list)

    def begin(self) -> None:
        """Sit down beside the simulator: see every update before it is carried out."""
        carry_out = self.world.simulator._update

        def update(folder: Any, mailbox: str, args: Any) -> Any:
            self.expects.append(args["expect"])
            if self.done < self.times:
                self.done += 1
                self.edit(self.done)
            return carry_out(folder, mailbox, args)

        self.world.simulator._update = update  # type: ignore[method-assign]


async def test_con_01_an_edit_made_between_our_reading_and_our_writing_is_never_lost(world: Engine) -> None:
    tie = await world.tie(**FULL)
    row = await world.put(meeting("Title", location="Room 1"))
    await world.sync()
    thing = tie.things[0]
    merged_from = thing.etag
    other = Interfering(world, lambda n: void(tie.edit(thing, location=f"Room {n + 1}")), 1)
    other.begin()
    await world.put(edited(row, title="New title"), row.id)
    await world.sync()
    there, (after,) = tie.there()[0].event, await world.ours()
    assert (there.title, there.location) == ("New title", "Room 2")
    assert (after.series.event.title, after.series.event.location) == ("New title", "Room 2")
    assert other.expects[0] == merged_from  # never the version somebody else had just made
    assert not await world.rows("select * from conflict")


async def test_con_01_who_is_overtaken_again_and_again_goes_on_in_the_next_run(world: Engine, desk: Desk) -> None:
    tie = await world.tie(**FULL)
    row = await world.put(meeting("Title", location="Room 1"))
    await world.sync()
    thing = tie.things[0]
    other = Interfering(world, lambda n: void(tie.edit(thing, location=f"Room {n + 1}")), 4)
    other.begin()
    await world.put(edited(row, title="New title"), row.id)
    await world.sync()
    assert len(other.expects) == 4  # once, and three times again
    assert (await desk.get("/runs"))["items"][0]["state"] == "partial"
    await world.sync()
    there = tie.there()[0].event
    assert (there.title, there.location) == ("New title", "Room 5")
    assert (await desk.get("/runs"))["items"][0]["state"] == "done"


async def test_con_01_a_version_that_never_holds_still_is_told_and_tried_later(world: Engine, desk: Desk) -> None:
    tie = await world.tie(**FULL)
    row = await world.put(meeting("Title"))
    await world.sync()
    thing = tie.things[0]
    other = Interfering(world, lambda n: void(tie.edit(thing, x_touched=n)), 3)
    other.begin()
    await world.put(edited(row, title="New title"), row.id)
    await world.sync()
    assert len(other.expects) == 3
    (told,) = await desk.problems()
    assert (told["code"], told["series_id"]) == ("general.stale", str(row.id))
    assert told["next_try_at"]
    await world.sync()
    assert (tie.titles, thing.document["x_touched"]) == (["New title"], 3)
    assert not await desk.problems()


def void(_: object) -> None:
    """Drop a result."""


# --- CON-02 ------------------------------------------------------------------------------------------------------


def set_clock(dav: Dav, skew: timedelta) -> None:
    """Let the clock of a server differ from ours."""
    dav.simulator.clock.offset = skew


def stamped(text: str, at: datetime) -> str:
    """Write when an object was modified, as its server's clock says."""
    return text.replace("END:VEVENT", f"LAST-MODIFIED:{at:%Y%m%dT%H%M%SZ}\r\nEND:VEVENT")


@pytest.mark.parametrize("rule", ["app_first", "provider_first", "newest"])
async def test_con_02_clocks_that_disagree_change_nothing(world: Engine, dav: Dav, rule: str) -> None:
    ends = {}
    for skew in (-APART, timedelta(), APART):
        set_clock(dav, skew)
        tie = await dav.tie(f"calendar {skew}", **FULL, conflict_rule=rule, relay="none")
        person = await world.resource("Somebody")
        async with world.database.begin() as connection:
            await connection.exec_driver_sql(f"update link set resource_id = '{person}' where id = '{tie.id}'")
        mine = replace(world, resource_id=person)
        early = await mine.put(meeting("Early", uid=f"early {skew}"))
        late = await mine.put(meeting("Late", uid=f"late {skew}", days=2))
        apart = await mine.put(meeting("Apart", uid=f"apart {skew}", days=3))
        await mine.sync()
        now = datetime.now(UTC)
        for row, theirs_at in ((early, now + timedelta(seconds=30)), (late, now - timedelta(seconds=30)), (apart, now)):
            (thing,) = [one for one in tie.things if f"UID:{row.uid}" in one.text]
            change = {"location": "Room 9"} if row is apart else {"title": "Theirs"}
            tie.edit(thing, **change)
            tie.rewrite(thing, stamped(tie.folder.things[thing.name].text, theirs_at + skew))
            await mine.put(edited(row, title="Ours"), row.id)
        async with world.database.begin() as connection:  # seen a minute later
            await connection.exec_driver_sql(
                "update series set updated_at = updated_at - interval '60 seconds' where uid like 'early%'"
            )
            await connection.exec_driver_sql(
                "update series set updated_at = updated_at - interval '10 seconds' where uid like 'late%'"
            )
        await mine.sync()
        ends[skew] = sorted((one.event.title, one.event.location) for one in tie.there())
        assert ends[skew] == sorted((one.series.event.title, one.series.event.location) for one in await mine.ours())
    early_late = {"app_first": ("Ours", "Ours"), "provider_first": ("Theirs", "Theirs"), "newest": ("Theirs", "Ours")}[rule]
    wanted = sorted([*((title, "") for title in early_late), ("Ours", "Room 9")])
    assert ends == dict.fromkeys(ends, wanted)


async def test_con_02_a_clock_that_stands_still_hides_no_edit(world: Engine) -> None:
    tie = await world.tie(**FULL)
    world.simulator.clock.frozen_at = datetime(2026, 1, 1, tzinfo=UTC)
    row = await world.put(meeting("Title"))
    await world.sync()
    tie.edit(tie.things[0], title="Theirs")
    await world.sync()
    assert await world.titles() == ["Theirs"]
    tie.edit(tie.things[0], location="Room 2")
    await world.put(edited((await world.ours())[0], title="Ours"), row.id)
    await world.sync()
    (after,) = await world.ours()
    assert (after.series.event.title, after.series.event.location) == ("Ours", "Room 2")
    assert tie.titles == ["Ours"]


# --- CON-03 ------------------------------------------------------------------------------------------------------


async def test_con_03_word_of_our_own_write_causes_no_second_one(world: Engine) -> None:
    tie = await world.tie(**FULL)
    await world.sync()
    row = await world.put(meeting("Once"))
    world.forget()
    world.simulator.faults.add(Fault("delay", "create", seconds=0.3))
    await world.make_due()
    first = asyncio.create_task(work(world.database, world.settings, world.box, once=True))
    while not tie.things:  # the create is open: it has taken effect, its answer has not come
        await asyncio.sleep(0.01)
    async with world.database.begin() as connection:  # a notification says that something changed there
        await lanes.wake(connection, [tie.lane_id])
    await asyncio.gather(first, work(world.database, world.settings, world.box, once=True))
    await world.sync(rounds=2)
    assert (tie.titles, world.writes()) == (["Once"], 1)
    assert len(await world.ours()) == 1
    told = await world.rows("select type from change where object_id = :id", id=row.id)
    assert told == [{"type": "event.created"}]


# --- CON-04 ------------------------------------------------------------------------------------------------------

RICH = Event(
    start=moment(2),
    end=moment(2, 10),
    title="Title",
    description="Text",
    location="Room 1",
    categories=("A",),
    reminders=(Reminder(10),),
    url="https://example.org/1",
)
OTHER: dict[str, Any] = {
    "title": "New title",
    "description": "New text",
    "location": "Room 2",
    "categories": ("B", "C"),
    "reminders": (Reminder(30),),
    "url": "https://example.org/2",
    "show_as": ShowAs.TENTATIVE,
}


async def test_con_04_any_two_different_fields_go_together_in_every_calendar(world: Engine, dav: Dav) -> None:
    there = await dav.tie(**FULL, guard_update_min=1000)
    names = list(OTHER)
    rows: list[tuple[EventRow, str, str]] = []
    for number, name in enumerate(names):
        row = await world.put(Series(f"uid-{name}", RICH))
        rows.append((row, name, names[(number + 1) % len(names)]))
    await world.sync()
    for row, here, beyond in rows:
        (thing,) = [one for one in there.things if f"UID:{row.uid}" in one.text]
        there.edit(thing, **{beyond: OTHER[beyond]})
        await world.put(edited(row, **{here: OTHER[here]}), row.id)
    await world.sync()
    at_dav = {one.uid: one.event for one in there.there()}
    for after in await world.ours():
        _, here, beyond = next(one for one in rows if one[0].id == after.id)
        for event in (after.series.event, at_dav[after.uid]):
            assert {name: getattr(event, name) for name in (here, beyond)} == {name: OTHER[name] for name in (here, beyond)}
    assert not await world.rows("select * from conflict")


# --- CON-06 ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [500, 502])
async def test_con_06_a_caldav_write_that_was_answered_with_an_error_is_read_back(world: Engine, dav: Dav, status: int) -> None:
    tie = await dav.tie(**FULL)
    for verb in ("create", "update", "delete"):
        dav.simulator.faults.add(caldav.Fault("status", verb, effect=True, status=status))
    row = await world.put(meeting("Once"))
    await world.sync(rounds=2)
    assert tie.titles == ["Once"]
    await world.put(edited(row, title="Twice"), row.id)
    await world.sync(rounds=2)
    assert (tie.titles, await world.titles()) == (["Twice"], ["Twice"])
    await world.delete(row.id)
    await world.sync(rounds=2)
    assert not tie.things
    assert not await world.rows("select * from conflict")
    assert not await world.rows("select * from problem where state = 'open'")


async def test_con_06_every_verb_answered_with_an_error_after_its_effect_is_read_back(world: Engine) -> None:
    tie = await world.tie(**FULL)
    for verb in ("create", "update", "delete"):
        world.simulator.faults.add(Fault("failure", verb, effect=True))
    row = await world.put(meeting("Once"))
    await world.sync(rounds=2)
    await world.put(edited(row, title="Twice"), row.id)
    await world.sync(rounds=2)
    assert tie.titles == ["Twice"]
    await world.delete(row.id)
    await world.sync(rounds=2)
    assert not tie.things
    assert not await world.rows("select * from conflict")
    assert not await world.rows("select * from problem where state = 'open'")


# --- CON-07 ------------------------------------------------------------------------------------------------------

#: what each side does between two runs -> the titles both sides hold in the end, under each rule. An edit against a
#: deletion follows the rule; «ask» waits.
DEEDS = ("none", "edit", "delete", "restore")
ENDS: dict[tuple[str, str], tuple[str | None, str | None]] = {
    ("none", "none"): ("Base", "Base"),
    ("none", "edit"): ("Theirs", "Theirs"),
    ("none", "delete"): (None, None),
    ("edit", "none"): ("Ours", "Ours"),
    ("edit", "edit"): ("Ours", "Theirs"),
    ("edit", "delete"): ("Ours", None),
    ("delete", "none"): (None, None),
    ("delete", "edit"): (None, "Theirs"),
    ("delete", "delete"): (None, None),
    ("restore", "none"): ("Restored", "Restored"),
    ("restore", "edit"): ("Restored", "Theirs"),
    ("restore", "delete"): ("Restored", None),
}


@pytest.mark.parametrize("rule", ["app_first", "provider_first"])
async def test_con_07_every_pair_of_deeds_comes_to_one_end(world: Engine, rule: str) -> None:
    settings: dict[str, Any] = {
        "conflict_rule": rule,
        "on_remote_delete": "cancel_booking",
        "guard_delete_min": 100,
        "guard_update_min": 100,
    }
    tie = await world.tie(**FULL, **settings)
    for filler in range(20):
        await world.put(meeting("Filler", uid=f"filler {filler}", days=filler + 3))
    rows = {pair: await world.put(meeting("Base", uid=f"{pair[0]} {pair[1]}", days=1)) for pair in ENDS}
    await world.sync()
    for (here, beyond), row in rows.items():
        (thing,) = [one for one in tie.things if one.document["uid"] == row.uid]
        if here in ("delete", "restore"):
            await world.delete(row.id)
        if here in ("edit", "restore"):
            await world.put(edited(row, title="Ours" if here == "edit" else "Restored"), row.id)
        if beyond == "edit":
            tie.edit(thing, title="Theirs")
        if beyond == "delete":
            tie.remove(thing)
    await world.sync(rounds=3)
    mine = {row.uid: row.series.event.title for row in await world.ours()}
    there = {one.uid: one.event.title for one in tie.there()}
    for (here, beyond), ends in ENDS.items():
        wanted = ends[0 if rule == "app_first" else 1]
        found = (mine.get(f"{here} {beyond}"), there.get(f"{here} {beyond}"))
        assert found == (wanted, wanted), (here, beyond)
    world.forget()
    await world.sync()
    assert world.writes() == 0


async def test_con_07_what_was_deleted_in_an_earlier_run_comes_back_on_both_sides_when_restored(world: Engine) -> None:
    tie = await world.tie(**FULL, on_remote_delete="cancel_booking")
    row = await world.put(meeting("Title"))
    thing = tie.add(meeting("Theirs", uid="theirs", days=2))
    await world.sync()
    tie.remove(next(one for one in tie.things if one.document["title"] == "Title"))
    tie.remove(thing)
    await world.sync(rounds=2)
    assert (await world.titles(), tie.titles) == ([], [])
    await world.put(row.series, row.id)
    tie.add(meeting("Theirs", uid="theirs", days=2))
    await world.sync(rounds=3)
    assert await world.titles() == tie.titles == ["Theirs", "Title"]


async def test_con_07_under_manual_an_edit_against_a_deletion_waits_for_a_person(world: Engine, desk: Desk) -> None:
    tie = await world.tie(**FULL, conflict_rule="manual", on_remote_delete="cancel_booking")
    rows = [await world.put(meeting(f"Title {n}", days=n + 1)) for n in range(2)]
    await world.sync()
    for thing in tie.things:
        tie.remove(thing)
    for row in rows:
        await world.put(edited(row, location="Room 2"), row.id)
    await world.sync(rounds=2)
    assert (await world.titles(), tie.titles) == (["Title 0", "Title 1"], [])
    open_conflicts = (await desk.get("/conflicts?state=open"))["items"]
    assert [one["theirs"] for one in open_conflicts] == [None, None]
    choice = dict(zip((row.id for row in rows), ("ours", "theirs"), strict=True))
    for one in open_conflicts:
        (of,) = [row.id for row in rows if str(row.id) == one["series_id"]]
        await desk.do(f"/conflicts/{one['id']}/resolve", {"resolution": choice[of]})
    await world.sync(rounds=2)
    assert await world.titles() == tie.titles == ["Title 0"]
