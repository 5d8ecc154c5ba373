"""REC-06: a series that the calendar system cannot express stands there as single events, and is one series to everybody."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from tests.engine import Engine, Tie, meeting, moment
from tests.scenarios.calendars import edited, ours, shown, with_override
from tests.scenarios.desk import Desk
from tests.scenarios.places import FULL

from gleichtakt.model.document import series_document
from gleichtakt.model.event import Series
from gleichtakt.simulators.memory import Fault, Thing
from gleichtakt.store.calendars import EventRow

TWO_RULES = "FREQ=WEEKLY;COUNT=3\nFREQ=MONTHLY;COUNT=3"
RULES = {
    "several days by position": "FREQ=MONTHLY;BYDAY=MO,TU;BYSETPOS=2,3;COUNT=6",
    "a week of the year": "FREQ=YEARLY;BYWEEKNO=20;BYDAY=MO",
    "hourly": "FREQ=HOURLY;INTERVAL=6;COUNT=8",
    "two rules": TWO_RULES,
    "the last day but one": "FREQ=MONTHLY;BYMONTHDAY=-2;COUNT=5",
    "short months passed over": "FREQ=MONTHLY;BYMONTHDAY=31;COUNT=5",
}
REASONS = {
    "several days by position": "positions",
    "a week of the year": "week_numbers",
    "hourly": "hours",
    "two rules": "several_rules",
    "the last day but one": "month_days",
    "short months passed over": "short_months",
}


async def with_parts(world: Engine, **settings: object) -> tuple[Tie, EventRow]:
    """Keep a series of three weekly occurrences and an extra one in parts."""
    tie = await world.tie("patterns", "patterned", **{**FULL, **settings})
    row = await world.put(weekly())
    await world.sync()
    assert len(tie.things) == 4
    world.forget()
    return tie, row


def weekly(title: str = "Weekly", hour: int = 9) -> Series:
    return meeting(title, hour=hour, rrule="FREQ=WEEKLY;COUNT=3", rdate=(moment(30, hour),))


def at(tie: Tie, day: int, hour: int = 9) -> Thing:
    """Give the part that stands for a day."""
    (found,) = [one for one in tie.things if one.document["start"] == series_document(meeting(days=day, hour=hour))["start"]]
    return found


async def in_step(world: Engine, tie: Tie) -> None:
    """Both sides show the same, and a further pass writes nothing."""
    await world.sync(rounds=2)
    assert await ours(world) == shown(tie.there())
    world.forget()
    await world.sync(rounds=2)
    assert world.writes() == 0


def written(world: Engine) -> list[str]:
    """What was asked of the calendar system since `forget`."""
    return sorted(entry["verb"] for entry in world.simulator.ledger if entry["verb"] in ("create", "update", "delete"))


@pytest.mark.parametrize("kind", RULES)
async def test_what_has_no_pattern_stands_there_as_single_events_and_is_told_as_information(
    world: Engine, desk: Desk, kind: str
) -> None:
    tie = await world.tie("patterns", "patterned", **FULL)
    row = await world.put(meeting(kind, rrule=RULES[kind]))
    await world.put(meeting("Plain", days=3))
    await world.sync()
    assert len(tie.things) > 1
    assert all(series.rrule == "" for series in tie.there())
    assert await ours(world, 360) == shown(tie.there(), 360)
    (told,) = await desk.problems()
    assert (told["kind"], told["code"], told["series_id"]) == ("notice", f"recurrence.{REASONS[kind]}", str(row.id))
    assert (await desk.get(f"/links/{tie.id}"))["state"] == "in_step"
    kept = {one.id: one.series for one in await world.ours()}
    assert kept[row.id] == row.series  # the source rule is never rewritten
    world.forget()
    await world.sync(rounds=2)
    assert world.writes() == 0
    await world.delete(row.id)
    await world.sync()
    assert tie.titles == ["Plain"]
    assert not await desk.problems()


HERE: dict[str, tuple[Callable[[EventRow], Series], list[str]]] = {
    "one moved": (lambda row: with_override(row.series, moment(8), moment(8, 14)), ["update"]),
    "one deleted": (lambda row: replace(row.series, exdate=(moment(15),)), ["delete"]),
    "one more": (lambda row: replace(row.series, rdate=(moment(30), moment(33))), ["create"]),
    "one date for another": (lambda row: replace(row.series, rdate=(moment(31),)), ["create", "delete"]),
    "renamed": (lambda row: edited(row, title="New"), ["update"] * 4),
    "an hour later": (lambda row: replace(weekly(hour=10), uid=row.series.uid), ["update"] * 4),
    "two fewer": (lambda row: replace(row.series, rrule="FREQ=WEEKLY;COUNT=1"), ["delete"] * 2),
}


@pytest.mark.parametrize("change", HERE)
async def test_a_change_here_touches_exactly_the_events_concerned(world: Engine, change: str) -> None:
    tie, row = await with_parts(world)
    changed, expected = HERE[change]
    await world.put(changed(row), row.id)
    await world.sync()
    assert written(world) == expected
    await in_step(world, tie)


THERE: dict[str, Callable[[Tie], object]] = {
    "one renamed": lambda tie: tie.edit(at(tie, 8), title="Other"),
    "one moved": lambda tie: tie.edit(at(tie, 8), **times(9, 15)),
    "one deleted": lambda tie: tie.remove(at(tie, 15)),
    "the extra one deleted": lambda tie: tie.remove(at(tie, 30)),
}


def times(day: int, hour: int) -> dict[str, object]:
    document = series_document(meeting(days=day, hour=hour))
    return {"start": document["start"], "end": document["end"]}


@pytest.mark.parametrize("change", THERE)
async def test_a_change_of_one_event_there_comes_back_as_a_change_of_one_occurrence(world: Engine, change: str) -> None:
    tie, row = await with_parts(world)
    THERE[change](tie)
    expected = shown(tie.there())
    await world.sync()
    assert await ours(world) == expected
    assert world.writes() == 0
    (after,) = await world.ours()
    assert (after.series.rrule, after.series.rdate) == (row.series.rrule, row.series.rdate)
    assert len(after.series.overrides) + len(after.series.exdate) == 1
    await in_step(world, tie)


@pytest.mark.parametrize("change", THERE)
async def test_what_may_not_be_changed_there_is_set_back(world: Engine, change: str) -> None:
    tie, row = await with_parts(world, provider_writes_own="revert")
    expected = shown(tie.there())
    THERE[change](tie)
    await world.sync(rounds=2)
    assert shown(tie.there()) == expected
    (after,) = await world.ours()
    assert after.version == row.version
    await in_step(world, tie)


@pytest.mark.parametrize("verdict", ["approve", "reject"])
async def test_a_change_there_that_needs_a_person_waits_for_one(world: Engine, desk: Desk, verdict: str) -> None:
    tie, _ = await with_parts(world, provider_writes_own="ask")
    before = shown(tie.there())
    tie.edit(at(tie, 8), title="Other")
    tie.remove(at(tie, 15))
    after = shown(tie.there())
    await world.sync(rounds=2)
    (hold,) = await desk.holds()
    assert (hold["kind"], hold["count"]) == ("remote_update", 1)
    assert await ours(world) == before
    await desk.decide(verdict)
    await in_step(world, tie)
    assert await ours(world) == (after if verdict == "approve" else before)


async def test_edits_of_two_occurrences_on_two_sides_go_together(world: Engine) -> None:
    tie, row = await with_parts(world)
    await world.put(with_override(edited(row, location="Room 2"), moment(8), moment(8, 14)), row.id)
    tie.edit(at(tie, 15), title="Other")
    await in_step(world, tie)
    assert sorted(title for _, title in await ours(world)) == ["Other", "Weekly", "Weekly", "Weekly"]
    assert {series.event.location for series in tie.there()} == {"Room 2"}


@pytest.mark.parametrize(("rule", "title"), [("app_first", "Here"), ("provider_first", "There")])
async def test_two_edits_of_one_occurrence_follow_the_conflict_rule(world: Engine, rule: str, title: str) -> None:
    tie, row = await with_parts(world, conflict_rule=rule)
    await world.put(with_override(row.series, moment(8), title="Here"), row.id)
    tie.edit(at(tie, 8), title="There")
    await in_step(world, tie)
    assert (moment(8).wall.date(), title) in [(start.date(), told) for start, told in await ours(world)]


async def test_all_events_deleted_there_are_the_series_and_wait_as_one(world: Engine, desk: Desk) -> None:
    tie, _ = await with_parts(world)
    for thing in tie.things:
        tie.remove(thing)
    await world.sync(rounds=2)
    (hold,) = await desk.holds()
    assert (hold["kind"], hold["count"]) == ("remote_delete", 1)
    await desk.decide("reject")
    await in_step(world, tie)
    assert len(tie.things) == 4
    for thing in tie.things:
        tie.remove(thing)
    await world.sync(rounds=2)
    await desk.decide("approve")
    await in_step(world, tie)
    assert not await world.ours()


async def test_the_guards_count_a_series_in_parts_once(world: Engine, desk: Desk) -> None:
    tie = await world.tie("patterns", "patterned", **FULL, guard_delete_min=1, guard_delete_share=0.0)
    rows = [await world.put(weekly(title)) for title in ("One", "Two", "Three", "Four")]
    await world.sync()
    await world.delete(rows[0].id)
    await world.sync()
    assert len(tie.things) == 12
    for row in rows[1:3]:
        await world.delete(row.id)
    await world.sync()
    (hold,) = await desk.holds()
    assert (hold["kind"], hold["count"], len(tie.things)) == ("mass_delete", 2, 12)
    await desk.decide("approve")
    await in_step(world, tie)
    assert len(tie.things) == 4


async def test_new_events_enter_when_the_window_goes_on(world: Engine) -> None:
    tie = await world.tie("patterns", "patterned", **FULL, window_ahead_days=14)
    await world.put(meeting("Weekly", rrule="FREQ=WEEKLY", rdate=(moment(3),)))
    await world.sync()
    assert len(tie.things) == 3
    world.forget()
    await tie.set(window_ahead_days=21)
    await world.sync()
    assert (written(world), len(tie.things)) == (["create"], 4)
    tie.remove(at(tie, 15))
    await tie.set(window_ahead_days=28)
    await world.sync(rounds=2)
    assert len(tie.things) == 4
    assert await ours(world, 27) == shown(tie.there())


async def test_a_series_that_becomes_expressible_is_made_one_object_and_back(world: Engine, desk: Desk) -> None:
    tie, row = await with_parts(world)
    tie.edit(at(tie, 8), title="Other")
    await world.sync()
    (row,) = await world.ours()
    row = await world.put(replace(row.series, rdate=()), row.id)
    await in_step(world, tie)
    (whole,) = tie.there()
    assert whole.rrule == "FREQ=WEEKLY;COUNT=3"
    assert not await desk.problems()
    await world.put(replace(row.series, rdate=(moment(30),)), row.id)
    await in_step(world, tie)
    assert len(tie.things) == 4
    assert len(await desk.problems()) == 1


LOST = [
    Fault("lost", "create", effect=True),
    Fault("lost", "create"),
    Fault("failure", "create", effect=True),
    Fault("failure", "create"),
]


@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("fault", LOST)
async def test_a_lost_answer_doubles_no_event(world: Engine, fault: Fault, times: int) -> None:
    tie = await world.tie("patterns", "patterned", **FULL)
    for _ in range(times):
        world.simulator.faults.add(replace(fault))
    await world.put(weekly())
    await world.sync(rounds=4)
    assert len(tie.things) == 4
    await in_step(world, tie)


@pytest.mark.parametrize("verb", ["update", "delete"])
@pytest.mark.parametrize("effect", [True, False])
async def test_a_lost_answer_to_a_change_is_nobodys_edit(world: Engine, verb: str, effect: bool) -> None:
    tie, row = await with_parts(world)
    for _ in range(2):
        world.simulator.faults.add(Fault("lost", verb, effect=effect))
    changed = edited(row, title="New") if verb == "update" else replace(row.series, rrule="FREQ=WEEKLY;COUNT=1")
    await world.put(changed, row.id)
    await world.sync(rounds=4)
    await in_step(world, tie)
    (after,) = await world.ours()
    assert (after.series, after.version) == (changed, row.version + 1)


async def test_an_event_refused_there_is_told_and_its_neighbours_stand(world: Engine, desk: Desk) -> None:
    tie = await world.tie("patterns", "patterned", **FULL)
    world.simulator.faults.add(Fault("rejected", "create"))
    row = await world.put(weekly())
    await world.sync()
    assert len(tie.things) == 3
    told = {one["kind"]: one for one in await desk.problems()}
    assert told["permanent"]["series_id"] == str(row.id)
    await desk.do(f"/problems/{told['permanent']['id']}/retry")
    await in_step(world, tie)
    assert len(tie.things) == 4
    assert [one["kind"] for one in await desk.problems()] == ["notice"]


async def test_a_link_made_anew_finds_its_events_again(world: Engine, desk: Desk) -> None:
    tie, row = await with_parts(world)
    await desk.do(f"/links/{tie.id}/reset")
    world.forget()
    await world.sync(rounds=2)
    assert world.writes() == 0
    assert [one.id for one in await world.ours()] == [row.id]
    tie.edit(at(tie, 8), title="Other")
    await in_step(world, tie)
    assert "Other" in [title for _, title in await ours(world)]


async def test_a_run_is_undone_as_a_whole(world: Engine, desk: Desk) -> None:
    tie, row = await with_parts(world)
    await world.put(edited(row, title="New"), row.id)
    await world.sync()
    assert set(tie.titles) == {"New"}
    run = (await desk.get(f"/runs?link_id={tie.id}"))["items"][0]
    await desk.do(f"/runs/{run['id']}/undo?wait=0")
    await world.sync(due=False)
    assert set(tie.titles) == {"Weekly"}
    world.forget()
    await world.sync(rounds=2)
    assert (set(tie.titles), world.writes()) == ({"Weekly"}, 0)


async def test_an_undone_creation_goes_and_stays_away(world: Engine, desk: Desk) -> None:
    tie, row = await with_parts(world)
    run = (await desk.get(f"/runs?link_id={tie.id}"))["items"][-1]
    await desk.do(f"/runs/{run['id']}/undo?wait=0")
    await world.sync(due=False)
    await world.sync(rounds=2)
    assert not tie.things
    assert [one.id for one in await world.ours()] == [row.id]


async def test_an_undone_deletion_brings_every_event_back(world: Engine, desk: Desk) -> None:
    tie, row = await with_parts(world)
    before = shown(tie.there())
    await world.delete(row.id)
    await world.sync()
    assert not tie.things
    run = (await desk.get(f"/runs?link_id={tie.id}"))["items"][0]
    await desk.do(f"/runs/{run['id']}/undo?wait=0")
    await world.sync(due=False)
    await world.sync(rounds=2)
    assert shown(tie.there()) == before


async def test_a_series_of_another_calendar_is_relayed_in_parts_and_its_edits_come_back(world: Engine) -> None:
    source = await world.tie("source", **FULL, relay="full", app_writes_foreign="allow")
    tie = await world.tie("patterns", "patterned", **FULL, relay="full")
    source.add(replace(weekly(), uid="theirs"))
    await world.sync(rounds=2)
    assert len(tie.things) == 4
    tie.edit(at(tie, 8), title="Other")
    await world.sync(rounds=3)
    assert shown(source.there()) == shown(tie.there()) == await ours(world)
    assert "Other" in [title for _, title in await ours(world)]
    (thing,) = source.things
    source.remove(thing)
    await world.sync(rounds=3)
    assert not tie.things


async def test_each_series_is_graded_and_the_grades_can_be_read(world: Engine, desk: Desk) -> None:
    tie, row = await with_parts(world)
    exact = await world.put(meeting("Exact", rrule="FREQ=WEEKLY;COUNT=3"))
    refused = await world.put(meeting("Dense", rrule="FREQ=HOURLY"))
    await world.put(meeting("Single", days=5))
    await world.sync()
    graded = (await desk.get(f"/links/{tie.id}/series"))["items"]
    assert {one["series_id"]: (one["grade"], one["parts"], (one["reason"] or {}).get("code")) for one in graded} == {
        str(row.id): ("exploded", 4, "recurrence.extra_dates"),
        str(exact.id): ("exact", 0, None),
        str(refused.id): ("refused", 0, "recurrence.too_dense"),
    }
    assert "extra dates" in next(one["reason"]["cause"] for one in graded if one["grade"] == "exploded")


async def test_too_many_occurrences_are_refused_with_the_reason(world: Engine, desk: Desk) -> None:
    tie = await world.tie("patterns", "patterned", **FULL)
    row = await world.put(meeting("Hourly", rrule="FREQ=HOURLY"))
    await world.put(meeting("Plain", days=3))
    await world.sync(rounds=2)
    assert tie.titles == ["Plain"]
    for language, word in (("en", "too often"), ("de", "zu oft")):
        (told,) = await desk.problems(language=language)
        assert (told["code"], told["kind"], told["series_id"]) == ("recurrence.too_dense", "permanent", str(row.id))
        assert word in told["cause"]
    assert (await desk.get(f"/links/{tie.id}"))["state"] == "degraded"
    await world.put(replace(row.series, rrule=RULES["hourly"]), row.id)
    await world.sync()
    assert len(tie.things) == 9


async def test_a_copy_that_became_too_many_goes_and_the_reason_is_told(world: Engine, desk: Desk) -> None:
    tie, row = await with_parts(world)
    await world.put(replace(row.series, rrule="FREQ=HOURLY"), row.id)
    await world.sync(rounds=2)
    assert not tie.things
    (told,) = await desk.problems()
    assert (told["code"], told["kind"]) == ("recurrence.too_dense", "permanent")


async def test_occurrences_in_another_order_stand_one_by_one(world: Engine) -> None:
    tie = await world.tie("patterns", "patterned", **FULL)
    row = await world.put(meeting("Daily", rrule="FREQ=DAILY;COUNT=5"))
    await world.sync()
    assert len(tie.things) == 1
    await world.put(with_override(row.series, moment(2), moment(4, 14)), row.id)
    await in_step(world, tie)
    assert len(tie.things) == 5


async def test_less_detail_reaches_every_event(world: Engine) -> None:
    tie = await world.tie("patterns", "patterned", **FULL, guard_update_min=100)
    await world.put(replace(weekly(), event=replace(weekly().event, description="Secret", location="Room")))
    await world.sync()
    await tie.set(outbound_detail="busy")
    await world.sync(rounds=2)
    assert {(one.event.title, one.event.description, one.event.location) for one in tie.there()} == {("Busy", "", "")}
    await in_step_without_titles(world, tie)


async def in_step_without_titles(world: Engine, tie: Tie) -> None:
    assert [start for start, _ in await ours(world)] == [start for start, _ in shown(tie.there())]
    world.forget()
    await world.sync(rounds=2)
    assert world.writes() == 0


async def test_a_copied_event_is_a_new_one_and_not_a_part(world: Engine) -> None:
    tie, _ = await with_parts(world)
    world.simulator.clone(tie.folder, at(tie, 8).href)
    await world.sync()
    assert len(await world.ours()) == 2
    await in_step(world, tie)


@pytest.mark.parametrize("ending", ["delete", "keep"])
async def test_a_link_that_ends_takes_the_events_along_or_leaves_them(world: Engine, desk: Desk, ending: str) -> None:
    tie, _ = await with_parts(world)
    await desk.do(f"/links/{tie.id}/disconnect", {"copies": ending})
    await world.sync(rounds=2)
    assert len(tie.things) == (0 if ending == "delete" else 4)
    assert len(await world.ours()) == 1
