"""A series in parts: joined it is the series, brought in step it settles, and an edit of a part is one of an occurrence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import hypothesis.strategies as st
import pytest
from hypothesis import given

from gleichtakt.model.event import Event, Override, Series, Status
from gleichtakt.model.exchange_pattern import Grade
from gleichtakt.model.point import Day, Floating, Point, Timespan, Zoned, shifted, wall_of
from gleichtakt.model.recurrence import expand, occurrence_event
from gleichtakt.model.zones import zone_of
from gleichtakt.sync.flat import flatten, unflatten
from gleichtakt.sync.parts import (
    WHOLE,
    Part,
    Step,
    agreement,
    assembled,
    filled,
    grade,
    in_parts,
    pending,
    renamed,
    singles,
)
from gleichtakt.sync.policy import Limits

READER = zone_of("Europe/Berlin")
WINDOW = Timespan(datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 12, 31, tzinfo=UTC))
EXCHANGE = Limits(recurrence="exchange", zones=frozenset({"iana"}))
FIELDS = EXCHANGE.storable
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
NINE = Zoned(datetime.fromisoformat("2026-03-02T09:00"), "Europe/Berlin")


def series(start: Point = NINE, rrule: str = "FREQ=WEEKLY;COUNT=4", **more: Any) -> Series:
    """Give a series with an extra date, which no pattern has."""
    rdate = (shifted(start, timedelta(days=40)),)
    return replace(Series("u", Event(start, shifted(start, HOUR), title="Weekly"), rrule, rdate), **more)


def number(index: int) -> UUID:
    return UUID(int=index)


def made(steps: Sequence[Step], parts: Sequence[Part] = ()) -> tuple[Part, ...]:
    """Give the parts as they stand once all steps are done."""
    standing = {part.id: part for part in parts}
    for step in steps:
        known = step.part.id if step.part else number(len(standing) + 1000)
        if step.verb in ("delete", "forget"):
            del standing[known]
        elif step.verb == "note" and step.part:
            standing[known] = replace(step.part, sent=step.sent)
        elif step.series is not None:
            now = flatten(step.series)
            standing[known] = Part(known, step.slot, f"href-{known.int}", now, step.sent, now, named=step.slot)
    return tuple(standing.values())


def parts_of(of: Series) -> tuple[Part, ...]:
    return made(pending(of, (), EXCHANGE, WINDOW, READER, FIELDS))


def brought(of: Series | None, parts: Sequence[Part]) -> tuple[Step, ...]:
    return pending(of, parts, EXCHANGE, WINDOW, READER, FIELDS)


def shown(of: Series) -> list[tuple[datetime, datetime, str]]:
    return [(one.start, one.end, one.event.title) for one in expand(of, WINDOW, READER)]


def shown_by(parts: Sequence[Part]) -> list[tuple[datetime, datetime, str]]:
    return sorted(one for part in parts if part.now is not None for one in shown(unflatten(part.now, "")))


def test_rec_06_parts_are_single_events_named_after_their_slots() -> None:
    moved = Override(shifted(NINE, 7 * DAY), replace(occurrence_event(series().event, shifted(NINE, 8 * DAY)), title="Moved"))
    of = series(exdate=(NINE,), overrides=(moved,))
    found = singles(of, WINDOW, READER, ())
    assert [(slot, single.uid) for slot, single in found.items()] == [(slot, f"u-{slot}") for slot in found]
    assert list(found)[:2] == ["20260309T090000", "20260316T090000"]
    assert found["20260309T090000"].event.start == shifted(NINE, 8 * DAY)
    assert not any(single.is_recurring or single.overrides for single in found.values())
    later = singles(of, Timespan(WINDOW.start + timedelta(days=70), WINDOW.end), READER, ())
    assert later.items() <= found.items(), "an occurrence keeps its name as the window moves"


# --- grades ------------------------------------------------------------------------------------------------------

GRADES = [
    ("FREQ=WEEKLY", (), "exchange", Grade.EXACT, ""),
    ("FREQ=WEEKLY", (NINE,), "exchange", Grade.EXPLODED, "recurrence.extra_dates"),
    ("FREQ=WEEKLY", (NINE,), "rfc5545", Grade.EXACT, ""),
    ("FREQ=WEEKLY", (), "none", Grade.EXPLODED, "recurrence.none"),
    ("", (), "none", Grade.EXACT, ""),
    ("FREQ=HOURLY", (), "exchange", Grade.REFUSED, "recurrence.too_dense"),
    ("FREQ=HOURLY", (), "none", Grade.REFUSED, "recurrence.too_dense"),
]


@pytest.mark.parametrize(("rule", "rdate", "can", "expected", "reason"), GRADES)
def test_a_grade_says_how_a_series_is_held_and_why(
    rule: str, rdate: tuple[Point, ...], can: str, expected: Grade, reason: str
) -> None:
    found = grade(series(rrule=rule, rdate=rdate), replace(EXCHANGE, recurrence=can), WINDOW, READER)
    assert (found.grade, found.reason) == (expected, reason)


def test_a_series_that_stands_is_kept_where_a_new_one_would_just_be_refused() -> None:
    dense = series(rrule="FREQ=HOURLY;INTERVAL=6;COUNT=430")
    assert grade(dense, EXCHANGE, WINDOW, READER).grade is Grade.REFUSED
    assert grade(dense, EXCHANGE, WINDOW, READER, begun=True).grade is Grade.EXPLODED


# --- there and back ----------------------------------------------------------------------------------------------

STARTS: st.SearchStrategy[Point] = st.sampled_from(
    [
        NINE,
        Day(NINE.wall.date()),
        Floating(NINE.wall),
        Zoned(NINE.wall, "America/New_York"),
        Zoned(datetime.fromisoformat("2026-03-25T02:30"), "Europe/Berlin"),
    ]
)
RULES = st.sampled_from(
    [
        "FREQ=WEEKLY;COUNT=4",
        "FREQ=DAILY;COUNT=9",
        "FREQ=MONTHLY;BYMONTHDAY=-2;COUNT=3",
        "FREQ=WEEKLY;COUNT=2\nFREQ=MONTHLY;COUNT=3",
        "FREQ=WEEKLY",
    ]
)


@st.composite
def some_series(draw: st.DrawFn) -> Series:
    """Give a series that has no pattern, with occurrences moved, renamed, called off and excluded."""
    plain = series(draw(STARTS), draw(RULES))
    if isinstance(plain.event.start, Day):
        plain = replace(plain, event=replace(plain.event, end=shifted(plain.event.start, DAY)))
    slots = [one.slot for one in expand(plain, WINDOW, READER)]
    overrides, exdate = [], []
    for slot in draw(st.lists(st.sampled_from(slots), max_size=4, unique=True)):
        event = occurrence_event(plain.event, slot)
        what = draw(st.sampled_from(["moved", "renamed", "excluded"]))
        if what == "excluded":
            exdate.append(slot)
            continue
        by = DAY if isinstance(slot, Day) else timedelta(minutes=30)
        changed = replace(event, start=shifted(event.start, by), end=shifted(event.end, by)) if what == "moved" else event
        overrides.append(Override(slot, replace(changed, title=what)))
    return replace(
        plain,
        overrides=tuple(sorted(overrides, key=lambda one: wall_of(one.recurrence_id))),
        exdate=tuple(sorted(exdate, key=wall_of)),
    )


@given(some_series())
def test_parts_show_what_their_series_shows_and_joined_they_are_it(of: Series) -> None:
    parts = parts_of(of)
    assert shown_by(parts) == sorted(shown(of))
    assert assembled(of, parts, READER) == of
    assert brought(of, parts) == ()


@given(some_series(), some_series())
def test_parts_are_brought_from_one_series_to_another_and_settle(first: Series, second: Series) -> None:
    parts = parts_of(first)
    names = renamed(parts, first, second, WINDOW, READER)
    parts = tuple(replace(part, slot=names.get(part.id, part.slot)) for part in parts)
    parts = made(brought(second, parts), parts)
    assert shown_by(parts) == sorted(shown(second))
    assert brought(second, parts) == ()
    assert made(brought(None, parts), parts) == ()


@given(some_series(), st.data())
def test_any_interruption_leaves_something_from_which_it_goes_on(of: Series, data: st.DataObject) -> None:
    steps = pending(of, (), EXCHANGE, WINDOW, READER, FIELDS)
    parts = made([step for step in steps if data.draw(st.booleans())])
    assert assembled(of, parts, READER) == of  # what is not made yet was not deleted by anybody
    parts = made(brought(of, parts), parts)
    assert shown_by(parts) == sorted(shown(of))


@given(some_series(), st.data())
def test_what_people_change_on_parts_is_what_the_series_then_shows(of: Series, data: st.DataObject) -> None:
    parts = list(parts_of(of))
    for place in data.draw(st.lists(st.integers(0, len(parts) - 1), max_size=4, unique=True)):
        parts[place] = data.draw(st.sampled_from([retitled, moved, deleted]))(parts[place])
    now = assembled(of, parts, READER)
    standing = [part for part in parts if not part.gone]
    if not standing:
        assert now is None
        return
    assert now is not None
    assert sorted(shown(now)) == shown_by(standing)
    seen = agreement(parts, of, now, now, settled=False)
    left = tuple(
        replace(part, stored=seen.halves[part.id][0], sent=seen.halves[part.id][1]) for part in parts if part.id in seen.halves
    )
    assert {part.id for part in parts if part.gone} == set(seen.gone)
    assert assembled(now, left, READER) == now
    assert {step.verb for step in brought(now, left)} <= {"note"}


def retitled(part: Part) -> Part:
    return replace(part, now={**(part.now or {}), "title": "Other"})


def moved(part: Part) -> Part:
    single = unflatten(part.now or {}, "")
    by = timedelta(days=400) if isinstance(single.event.start, Day) else timedelta(minutes=45)
    by = DAY if isinstance(single.event.start, Day) else by
    event = replace(single.event, start=shifted(single.event.start, by), end=shifted(single.event.end, by))
    return replace(part, now=flatten(replace(single, event=event)))


def deleted(part: Part) -> Part:
    return replace(part, now=None, gone=True)


# --- single rules ------------------------------------------------------------------------------------------------


def test_only_the_parts_concerned_are_written() -> None:
    of = series()
    parts = parts_of(of)
    moved_one = replace(
        of, overrides=(Override(parts_slot(of, 1), replace(occurrence_event(of.event, parts_slot(of, 1)), title="X")),)
    )
    assert [(step.verb, step.slot) for step in brought(moved_one, parts)] == [("update", "20260309T090000")]
    fewer = replace(of, rrule="FREQ=WEEKLY;COUNT=2")
    assert [step.verb for step in brought(fewer, parts)] == ["delete", "delete"]
    elsewhere = replace(of, rdate=(shifted(NINE, timedelta(days=41)),))
    assert [step.verb for step in brought(elsewhere, parts)] == ["create", "delete"]


def parts_slot(of: Series, place: int) -> Point:
    return [one.slot for one in expand(of, WINDOW, READER)][place]


def test_a_series_moved_as_a_whole_moves_its_parts() -> None:
    before, after = series(), series(shifted(NINE, HOUR))
    parts = parts_of(before)
    names = renamed(parts, before, after, WINDOW, READER)
    steps = brought(after, tuple(replace(part, slot=names[part.id]) for part in parts))
    assert [step.verb for step in steps] == ["update"] * 5


def test_a_series_moved_to_where_somebody_had_moved_a_part_names_that_part_anew() -> None:
    before, after = series(), series(shifted(NINE, HOUR))
    first, *rest = parts_of(before)
    at_ten = flatten(Series("", after.event))
    first = replace(first, stored=at_ten, sent=at_ten, now=at_ten)
    names = renamed([first, *rest], before, after, WINDOW, READER)
    parts = tuple(replace(part, slot=names[part.id]) for part in (first, *rest))
    steps = brought(after, parts)
    assert [(step.verb, step.slot) for step in steps] == [("update", part.slot) for part in parts]
    assert steps[0].before == steps[0].series  # only its mark is written: by it, it is found again
    assert brought(after, made(steps, parts)) == ()
    without_marks = tuple(replace(part, named="") for part in parts)
    assert [step.slot for step in brought(after, without_marks)] == [part.slot for part in parts[1:]]


def test_who_deletes_every_part_means_the_series_and_who_deletes_the_only_one_in_sight_means_that_one() -> None:
    of = series(rrule="FREQ=YEARLY", rdate=())
    parts = parts_of(of)
    assert len(parts) == 1
    now = assembled(of, [deleted(parts[0])], READER)
    assert now is not None
    assert now.exdate == (NINE,)
    of = replace(of, rrule="FREQ=YEARLY;COUNT=1")
    assert assembled(of, [deleted(parts[0])], READER) is None
    several = parts_of(series())
    assert assembled(series(), [deleted(part) for part in several], READER) is None


def test_what_waits_is_seen_again_and_what_was_decided_is_not() -> None:
    of = series()
    parts = [retitled(parts_of(of)[0]), *parts_of(of)[1:]]
    now = assembled(of, parts, READER)
    assert now is not None
    waiting = agreement(parts, of, now, of, settled=False).halves[parts[0].id]
    assert (waiting[0]["title"], waiting[1]["title"]) == ("Weekly", "Other")
    ours = replace(of, overrides=(Override(NINE, replace(of.event, title="Ours")),))
    decided = agreement(parts, of, now, ours, settled=True).halves[parts[0].id]
    assert (decided[0]["title"], decided[1]["title"]) == ("Other", "Other")
    after = [replace(parts[0], stored=decided[0], sent=decided[1]), *parts[1:]]
    assert assembled(ours, after, READER) == ours
    (step,) = brought(ours, after)
    assert step.series is not None
    assert step.series.event.title == "Ours"


def test_a_part_stored_differently_is_no_edit_and_is_not_written_again() -> None:
    of = series()
    first, *rest = parts_of(of)
    tidied = {**(first.now or {}), "title": "WEEKLY", "location": "Somewhere"}
    parts = [replace(first, stored=tidied, now=tidied), *rest]
    assert assembled(of, parts, READER) == of
    assert brought(of, parts) == ()


def test_a_field_that_is_no_longer_shown_is_taken_off_although_it_is_not_held_any_more() -> None:
    of = series(event=replace(series().event, description="Secret"))
    first = parts_of(of)[0]
    now = {key: value for key, value in (first.now or {}).items() if key != "description"}
    bare = replace(of, event=replace(of.event, description=""))
    (step,) = [step for step in brought(bare, [replace(first, stored=now, now=now)]) if step.verb == "update"]
    assert step.before is not None
    assert step.before.event.description == "Secret"


def test_a_part_found_again_counts_what_differs_as_their_edit() -> None:
    of = series()
    found = [replace(part, stored=None, sent=None) for part in parts_of(of)]
    found[1] = retitled(found[1])
    now = assembled(of, filled(found, of, EXCHANGE, READER), READER)
    assert now is not None
    assert [one.event.title for one in now.overrides] == ["Other"]


def test_times_come_back_on_the_clock_of_the_series() -> None:
    of = series(Floating(NINE.wall))
    first, *rest = parts_of(of)
    start = Zoned(datetime.fromisoformat("2026-03-02T09:30"), "UTC")
    end = Zoned(datetime.fromisoformat("2026-03-02T10:30"), "UTC")
    later = replace(unflatten(first.now or {}, "").event, start=start, end=end)
    now = assembled(of, [replace(first, now=flatten(Series("", later))), *rest], READER)
    assert now is not None
    assert now.overrides[0].event.start == Floating(datetime.fromisoformat("2026-03-02T10:30"))


def test_an_object_that_gives_way_is_heard_until_it_is_gone_and_goes_last() -> None:
    of = series()
    stood = flatten(replace(of, rdate=()))
    whole = Part(number(1), WHOLE, "old", stood, stood, {**stood, "title": "Renamed"})
    now = assembled(of, [whole], READER)
    assert now is not None
    assert (now.event.title, now.rdate) == ("Renamed", of.rdate)
    assert [step.verb for step in brought(of, [whole])] == ["create"] * 5 + ["delete"]


def test_an_occurrence_called_off_has_no_part_where_there_is_no_word_for_it() -> None:
    of = series()
    off = Override(NINE, replace(of.event, status=Status.CANCELLED))
    wordless = replace(EXCHANGE, fields=EXCHANGE.fields - {"status"})
    assert len(pending(replace(of, overrides=(off,)), (), wordless, WINDOW, READER, FIELDS)) == 4


def test_parts_behind_the_window_follow_and_go_with_their_series() -> None:
    of = series()
    parts = parts_of(of)
    late = Timespan(datetime(2026, 3, 10, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC))
    assert pending(of, parts, EXCHANGE, late, READER, FIELDS) == ()
    renamed_all = replace(of, event=replace(of.event, title="New"))
    assert len(pending(renamed_all, parts, EXCHANGE, late, READER, FIELDS)) == 5
    assert len(singles(of, late, READER, [part.slot for part in parts])) == 5


def test_in_parts_every_rule_and_zone_is_held() -> None:
    assert in_parts(EXCHANGE).recurrence == "rfc5545"
    assert "custom" in in_parts(EXCHANGE).zones
