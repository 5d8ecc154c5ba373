"""«This and following», and series whose master moved."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.model.builders import at, changed, series, shown, utc

from gleichtakt.model.event import Series
from gleichtakt.model.point import Point, Zoned, shifted, wall_of
from gleichtakt.model.recurrence import canonical_rule, slots
from gleichtakt.model.split import move, split

MORNING = at("2026-03-02T09:00")
RULES = [
    "FREQ=DAILY",
    "FREQ=DAILY;INTERVAL=3;COUNT=40",
    "FREQ=WEEKLY;BYDAY=MO,TH",
    "FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,SU;WKST=SU;COUNT=30",
    "FREQ=WEEKLY;UNTIL=20261001T070000Z",
    "FREQ=MONTHLY;BYMONTHDAY=2,-1",
    "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=1,-1",
    "FREQ=DAILY;BYHOUR=9,15;COUNT=50",
    "RSCALE=GREGORIAN;FREQ=MONTHLY;BYMONTHDAY=2,31;SKIP=BACKWARD",
    "FREQ=WEEKLY;BYDAY=MO\nFREQ=MONTHLY;BYDAY=1WE",
    "FREQ=DAILY\nEXRULE:FREQ=WEEKLY;BYDAY=SA,SU",
]


def readings(one: Series | None) -> list[str]:
    return utc(shown(one, "2026-01-01", "2027-01-01")) if one else []


def test_rec_01_this_and_following_makes_two_series_without_a_gap_or_a_double() -> None:
    one = series(MORNING, "FREQ=WEEKLY")
    old_change, new_change = (
        changed(one, at("2026-03-09T09:00"), title="Retro"),
        changed(one, at("2026-04-06T09:00"), title="Demo"),
    )
    gone = at("2026-03-23T09:00")
    whole = series(MORNING, "FREQ=WEEKLY", exdate=(gone,), overrides=(old_change, new_change))
    head, tail = split(whole, at("2026-03-16T09:00"), "second@example.org")
    assert head is not None
    assert head.rrule == "FREQ=WEEKLY;UNTIL=20260309T080000Z", "the start of the last occurrence, not a midnight"
    assert (tail.uid, tail.rrule, tail.event.start) == ("second@example.org", "FREQ=WEEKLY", at("2026-03-16T09:00"))
    assert (head.overrides, head.exdate) == ((old_change,), ())
    assert (tail.overrides, tail.exdate) == ((new_change,), (gone,))
    assert readings(head) + readings(tail) == readings(whole)


def test_rec_01_splitting_the_second_part_again_leaves_the_first_alone() -> None:
    one = series(MORNING, "FREQ=WEEKLY;COUNT=20")
    parts: list[Series] = []
    rest = one
    for week in range(5, 1, -1):
        head, rest = split(rest, shifted(rest.event.start, timedelta(weeks=week)), f"part{week}")
        assert head is not None
        parts.append(head)
    assert [text for part in [*parts, rest] for text in readings(part)] == readings(one)
    assert [part.rrule for part in [*parts, rest]] == [f"FREQ=WEEKLY;COUNT={count}" for count in (5, 4, 3, 2, 6)]


def test_a_split_at_the_first_occurrence_leaves_nothing_before() -> None:
    head, tail = split(series(MORNING, "FREQ=WEEKLY;COUNT=3"), MORNING, "all")
    assert head is None
    assert readings(tail) == readings(series(MORNING, "FREQ=WEEKLY;COUNT=3"))


def test_a_split_where_nothing_happens_is_refused() -> None:
    with pytest.raises(ValueError, match="no occurrence there"):
        split(series(MORNING, "FREQ=WEEKLY"), at("2026-03-10T09:00"), "x")


def test_a_rule_with_an_interval_cannot_begin_at_an_extra_date() -> None:
    one = series(MORNING, "FREQ=WEEKLY;INTERVAL=2", rdate=(at("2026-03-25T09:00"),))
    with pytest.raises(ValueError, match="cannot begin"):
        split(one, at("2026-03-25T09:00"), "x")


def test_listed_dates_split_too() -> None:
    one = series(MORNING, rdate=(at("2026-03-05T15:00"), at("2026-03-09T09:00")))
    head, tail = split(one, at("2026-03-05T15:00"), "x")
    assert readings(head) + readings(tail) == readings(one)


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(RULES), st.integers(0, 25))
def test_both_parts_together_are_the_whole(rule: str, place: int) -> None:
    start = at("2026-03-02T09:00")
    whole = series(start, rule)
    walls = slots(whole, wall_of(start), wall_of(at("2026-12-01T00:00")))
    cut = Zoned(walls[place % len(walls)], "Europe/Berlin")
    head, tail = split(whole, cut, "tail")
    assert readings(head) + readings(tail) == readings(whole)
    for part in (head, tail):
        assert part is None or canonical_rule(part.rrule, part.event.start) == part.rrule


# --- moved masters -----------------------------------------------------------------------------------------------


def moved_start(one: Series, start: Point, rule: str = "FREQ=WEEKLY;COUNT=6") -> tuple[list[str], int, int]:
    target = series(start, rule)
    moved = move(one, target.event, target.rrule)
    return readings(moved.series), len(moved.lost_overrides), len(moved.lost_exdates)


def exceptional() -> Series:
    one = series(MORNING, "FREQ=WEEKLY;COUNT=6")
    renamed = changed(one, at("2026-03-09T09:00"), title="Retro")
    elsewhere = changed(one, at("2026-03-16T09:00"), at("2026-03-17T14:00"))
    return series(MORNING, "FREQ=WEEKLY;COUNT=6", exdate=(at("2026-03-23T09:00"),), overrides=(renamed, elsewhere))


def test_rec_05_a_series_shifted_by_an_hour_keeps_its_exceptions_on_their_occurrences() -> None:
    found, lost, lost_deletions = moved_start(exceptional(), at("2026-03-02T10:00"))
    assert found == ["2026-03-02T09:00", "2026-03-09T09:00", "2026-03-17T13:00", "2026-03-30T08:00", "2026-04-06T08:00"]
    assert (lost, lost_deletions) == (0, 0)


def test_rec_05_an_extended_series_keeps_every_exception() -> None:
    found, lost, lost_deletions = moved_start(exceptional(), MORNING, "FREQ=WEEKLY;COUNT=9")
    assert (len(found), lost, lost_deletions) == (8, 0, 0)


def test_rec_05_a_series_moved_to_another_weekday_takes_its_exceptions_along() -> None:
    found, lost, lost_deletions = moved_start(exceptional(), at("2026-03-04T09:00"))
    assert found[:3] == ["2026-03-04T08:00", "2026-03-11T08:00", "2026-03-17T13:00"]
    assert (lost, lost_deletions) == (0, 0)


def test_rec_05_exceptions_whose_slot_is_gone_are_listed() -> None:
    found, lost, lost_deletions = moved_start(exceptional(), MORNING, "FREQ=WEEKLY;COUNT=2")
    assert found == ["2026-03-02T08:00", "2026-03-09T08:00"]
    assert (lost, lost_deletions) == (1, 1)


def test_rec_05_a_series_that_becomes_all_day_keeps_the_days_of_its_exceptions() -> None:
    target = series(at("2026-03-02"), "FREQ=WEEKLY;COUNT=6")
    moved = move(exceptional(), target.event, target.rrule)
    assert moved.series.exdate == (at("2026-03-23"),)
    assert [override.recurrence_id for override in moved.series.overrides] == [at("2026-03-09"), at("2026-03-16")]
    assert moved.series.overrides[0].event.start == at("2026-03-09")


def test_rec_05_a_series_that_drops_its_first_week_keeps_exceptions_where_they_were() -> None:
    found, _, _ = moved_start(exceptional(), at("2026-03-09T09:00"))
    assert found[:2] == ["2026-03-09T08:00", "2026-03-17T13:00"]
