"""Free and busy time: merged states, gaps, and when enough people are free together."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.model.builders import at, changed, moment, series, span

from gleichtakt.model.availability import Shift, WorkingHours, working_times
from gleichtakt.model.event import Series, ShowAs, Status
from gleichtakt.model.freebusy import BLOCKING, STRENGTH, Busy, Common, busy_times, common_free, free, merge
from gleichtakt.model.point import Timespan
from gleichtakt.model.zones import zone_of

DAY = span("2026-03-02T08:00", "2026-03-02T18:00")


def hours(start: float, end: float) -> Timespan:
    midnight = moment("2026-03-02")
    return Timespan(midnight + timedelta(hours=start), midnight + timedelta(hours=end))


def busy(start: float, end: float, show_as: ShowAs = ShowAs.BUSY) -> Busy:
    return Busy(hours(start, end), show_as)


def test_the_strongest_state_counts_and_neighbours_of_one_state_join() -> None:
    assert merge([busy(9, 12, ShowAs.TENTATIVE), busy(10, 11), busy(11, 11.5), busy(14, 15), busy(15, 16)]) == (
        busy(9, 10, ShowAs.TENTATIVE),
        busy(10, 11.5),
        busy(11.5, 12, ShowAs.TENTATIVE),
        busy(14, 16),
    )


def test_exchanges_order_of_states() -> None:
    everything = [busy(9, 10, state) for state in ShowAs]
    for strongest in STRENGTH:
        assert merge(everything) == (busy(9, 10, strongest),)
        everything.remove(busy(9, 10, strongest))


def test_gaps_are_what_nothing_blocks() -> None:
    found = [busy(7, 9), busy(10, 11, ShowAs.WORKING_ELSEWHERE), busy(12, 13, ShowAs.TENTATIVE), busy(17, 20, ShowAs.OOF)]
    assert free(found, DAY) == (hours(9, 12), hours(13, 17))
    assert free(found, DAY, BLOCKING - {ShowAs.TENTATIVE}) == (hours(9, 17),)
    assert free([], DAY) == (DAY,)
    assert free([busy(0, 24)], DAY) == ()


def test_a_calendar_is_busy_where_its_occurrences_are() -> None:
    weekly = series(at("2026-03-02T09:00"), "FREQ=WEEKLY")
    calendar = [
        weekly,
        Series(
            "off",
            weekly.event,
            overrides=(changed(weekly, at("2026-03-02T09:00"), at("2026-03-02T15:00"), status=Status.CANCELLED),),
            is_detached=True,
        ),
        Series("free", changed(weekly, at("2026-03-02T12:00"), show_as=ShowAs.FREE).event),
        Series("away", changed(weekly, at("2026-03-03"), show_as=ShowAs.OOF).event),
    ]
    assert busy_times(calendar, span("2026-03-02", "2026-03-10"), zone_of("Europe/Berlin")) == (
        Busy(span("2026-03-02T08:00", "2026-03-02T09:00"), ShowAs.BUSY),
        Busy(span("2026-03-02T23:00", "2026-03-03T23:00"), ShowAs.OOF),
        Busy(span("2026-03-09T08:00", "2026-03-09T09:00"), ShowAs.BUSY),
    )


def test_all_must_be_free_for_the_whole_length() -> None:
    people = [[busy(8, 9), busy(12, 13)], [busy(10, 10.5)], []]
    found = common_free(people, DAY, length=timedelta(hours=1))
    assert [one.span for one in found] == [hours(9, 10), hours(10.5, 12), hours(13, 18)]
    assert all(one.who == (0, 1, 2) for one in found)
    assert [one.span for one in common_free(people, DAY, length=timedelta(hours=2))] == [hours(13, 18)]


def test_two_of_three_must_be_the_same_two_from_end_to_end() -> None:
    people = [[busy(8, 10)], [busy(10, 18)], [busy(9, 11)]]
    found = common_free(people, DAY, length=timedelta(minutes=30), required=2)
    assert found == (Common(hours(8, 9), (1, 2)), Common(hours(11, 18), (0, 2)))
    assert common_free(people, DAY, length=timedelta(minutes=30)) == ()


def test_stretches_with_other_people_may_overlap() -> None:
    people = [[busy(12, 18)], [busy(8, 10)], []]
    found = common_free(people, DAY, length=timedelta(hours=1), required=2)
    assert found == (Common(hours(8, 12), (0, 2)), Common(hours(10, 12), (0, 1, 2)), Common(hours(10, 18), (1, 2)))


def test_a_meeting_with_travel_time_needs_room_around_it() -> None:
    people = [[busy(10, 11)]]
    found = common_free(people, DAY, length=timedelta(0), before=timedelta(minutes=30), after=timedelta(minutes=15))
    assert [one.span for one in found] == [hours(8, 9.75), hours(11.5, 18)]


def test_only_hours_in_which_people_can_be_asked_count() -> None:
    found = common_free([[], []], DAY, length=timedelta(hours=1), hours=[[hours(9, 12), hours(13, 17)], None])
    assert [one.span for one in found] == [hours(9, 12), hours(13, 17)]


@pytest.mark.parametrize("required", [0, 3])
def test_more_people_than_there_are_cannot_be_required(required: int) -> None:
    with pytest.raises(ValueError, match="required"):
        common_free([[], []], DAY, length=timedelta(hours=1), required=required)


def test_working_hours_follow_the_local_clock_and_skip_holidays() -> None:
    week = WorkingHours("Europe/Berlin", tuple(Shift(day, time(9), time(17)) for day in range(5)), frozenset({date(2026, 3, 30)}))
    found = working_times(week, span("2026-03-27", "2026-04-01"))
    assert found == (span("2026-03-27T08:00", "2026-03-27T16:00"), span("2026-03-31T07:00", "2026-03-31T15:00"))


def test_a_night_shift_ends_on_the_next_day_and_meets_the_next_shift() -> None:
    nights = WorkingHours("UTC", (Shift(0, time(22), time(6)), Shift(1, time(6), time(10))))
    assert working_times(nights, span("2026-03-02", "2026-03-04")) == (span("2026-03-02T22:00", "2026-03-03T10:00"),)


STRETCHES = st.lists(
    st.builds(
        lambda start, length, state: busy(start, start + length, state),
        st.integers(6, 19),
        st.integers(1, 5),
        st.sampled_from(list(ShowAs)),
    ),
    max_size=8,
)


def state_at(found: list[Busy], instant: datetime) -> ShowAs | None:
    covering = [one.show_as for one in found if one.span.start <= instant < one.span.end]
    return min(covering, key=STRENGTH.index) if covering else None


@settings(max_examples=200, deadline=None)
@given(STRETCHES)
def test_merging_keeps_the_state_of_every_instant(found: list[Busy]) -> None:
    merged = merge(found)
    for half_hours in range(10, 52):
        instant = moment("2026-03-02") + timedelta(minutes=30 * half_hours)
        assert state_at(list(merged), instant) == state_at(found, instant)
    assert merge(merged) == merged


@settings(max_examples=200, deadline=None)
@given(st.lists(STRETCHES, min_size=1, max_size=4), st.integers(1, 4))
def test_common_stretches_are_free_for_their_people_and_none_is_missed(people: list[list[Busy]], required: int) -> None:
    required = min(required, len(people))
    found = common_free(people, DAY, length=timedelta(hours=1), required=required)
    frees = [free(one, DAY) for one in people]
    for one in found:
        assert len(one.who) >= required
        assert all(any(gap.start <= one.span.start and one.span.end <= gap.end for gap in frees[who]) for who in one.who)
    for start in range(8, 18):
        slot = hours(start, start + 1)
        able = {who for who, gaps in enumerate(frees) if any(gap.start <= slot.start and slot.end <= gap.end for gap in gaps)}
        if len(able) >= required:
            assert any(one.span.start <= slot.start and slot.end <= one.span.end and able <= set(one.who) for one in found)
