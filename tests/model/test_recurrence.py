"""Series in time: clock changes, exceptions, broken and boundless rules, the edges of the calendar."""

from __future__ import annotations

import time
import tracemalloc
from datetime import UTC, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.model.builders import BERLIN, at, changed, moment, series, shown, span, utc

from gleichtakt.errors import Permanent, Scope
from gleichtakt.model.event import Event, Override, Series, Status
from gleichtakt.model.point import Day, Point, Timespan, shifted, wall_of
from gleichtakt.model.recurrence import (
    bounds,
    canonical_rule,
    expand,
    is_slot,
    match_slot,
    occurrence_event,
    orphans,
    repair_rule,
    same_slot,
    slot_key,
    slots,
)
from gleichtakt.model.zones import zone_of

MORNING = at("2026-03-02T09:00")


# --- time zones --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Australia/Melbourne"])
def test_tz_01_a_weekly_meeting_stays_at_nine_through_18_months(zone: str) -> None:
    found = shown(series(at("2026-01-05T09:00", zone), "FREQ=WEEKLY"), "2026-01-01", "2027-07-01")
    local = [occurrence.start.astimezone(zone_of(zone)) for occurrence in found]
    assert len(found) == 78
    assert {f"{start:%a %H:%M}" for start in local} == {"Mon 09:00"}
    assert len({start.utcoffset() for start in local}) == 2


def test_tz_04_occurrences_follow_the_organisers_clock_where_two_countries_change_apart() -> None:
    found = shown(series(at("2026-03-10T09:00", "America/New_York"), "FREQ=WEEKLY"), "2026-03-01", "2026-04-08", BERLIN)
    in_berlin = [f"{occurrence.start.astimezone(zone_of(BERLIN)):%m-%d %H:%M}" for occurrence in found]
    assert in_berlin == ["03-10 14:00", "03-17 14:00", "03-24 14:00", "03-31 15:00", "04-07 15:00"]


@pytest.mark.parametrize(
    ("start", "end", "kind"),
    [
        (at("2026-03-02T17:00", "America/Los_Angeles"), at("2026-03-09T17:00", "America/Los_Angeles"), "timed"),
        (at("2026-03-02T00:00"), at("2026-03-03T00:00"), "timed"),
        (at("2026-03-02T00:00", "UTC"), at("2026-03-03T00:00", "UTC"), "timed"),
        (at("2026-03-02"), at("2026-03-03"), "all-day"),
    ],
)
def test_tz_06_midnight_is_not_all_day(start: Point, end: Point, kind: str) -> None:
    one = Series("u", Event(start, end), canonical_rule("FREQ=WEEKLY;COUNT=2", start))
    for occurrence in shown(one, "2026-01-01", "2027-01-01"):
        assert occurrence.event.is_all_day is (kind == "all-day")
        assert type(occurrence.slot) is type(start)


def test_an_occurrence_in_the_spring_gap_is_shown_after_it_and_keeps_its_length() -> None:
    found = shown(series(at("2026-03-28T02:30"), "FREQ=DAILY;COUNT=3"), "2026-03-01", "2026-04-30")
    assert utc(found) == ["2026-03-28T01:30", "2026-03-29T01:30", "2026-03-30T00:30"]
    assert {occurrence.end - occurrence.start for occurrence in found} == {timedelta(hours=1)}


def test_a_night_shift_ends_at_six_on_the_clock_also_when_the_clock_changes() -> None:
    found = shown(series(at("2026-03-27T22:00"), "FREQ=DAILY;COUNT=3", length=timedelta(hours=8)), "2026-03-01", "2026-04-30")
    ends = [f"{occurrence.end.astimezone(zone_of(BERLIN)):%H:%M}" for occurrence in found]
    assert ends == ["06:00"] * 3
    assert [occurrence.end - occurrence.start for occurrence in found] == [timedelta(hours=n) for n in (8, 7, 8)]


def test_the_second_of_two_equal_readings_stays_the_second_at_the_start_only() -> None:
    first = at("2026-10-25T02:30:00")
    second = type(first)(wall_of(first).replace(fold=1), BERLIN)  # type: ignore[call-arg]
    assert utc(shown(series(second, "FREQ=DAILY;COUNT=2"), "2026-10-01", "2026-11-30")) == [
        "2026-10-25T01:30",
        "2026-10-26T01:30",
    ]
    assert slot_key(second) == "20261025T023000f"
    assert slot_key(first) == "20261025T023000"


def test_the_reader_gives_days_and_floating_times_their_hours() -> None:
    day, floating = series(at("2026-03-02")), series(at("2026-03-02T09:00", None))
    for reader, begin, nine in (
        ("UTC", "2026-03-02T00:00", "2026-03-02T09:00"),
        ("Pacific/Auckland", "2026-03-01T11:00", "2026-03-01T20:00"),
    ):
        assert utc(shown(day, "2026-03-01", "2026-03-04", reader)) == [begin]
        assert utc(shown(floating, "2026-03-01", "2026-03-04", reader)) == [nine]


def test_until_is_an_instant_and_includes_its_own() -> None:
    start = at("2026-03-02T00:30")
    assert len(shown(series(start, "FREQ=WEEKLY;UNTIL=20260315T233000Z"), "2026-01-01", "2027-01-01")) == 3
    assert len(shown(series(start, "FREQ=WEEKLY;UNTIL=20260315T232959Z"), "2026-01-01", "2027-01-01")) == 2
    assert len(shown(series(start, "FREQ=WEEKLY;UNTIL=20260316"), "2026-01-01", "2027-01-01")) == 3, "a date means its whole day"
    assert len(shown(series(start, "FREQ=WEEKLY;UNTIL=20260316T003000"), "2026-01-01", "2027-01-01")) == 3, "local without Z"


# --- exceptions --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "zone"),
    [("2026-04-13T09:00", "Pacific/Auckland"), ("2026-04-12T23:00", "Europe/Paris"), ("2026-04-12T21:00", "UTC")],
)
def test_rec_02_a_moved_occurrence_is_shown_once_in_whatever_zone_its_slot_is_written(text: str, zone: str) -> None:
    one = series(at("2026-04-06T09:00", "Pacific/Auckland"), "FREQ=WEEKLY;COUNT=4")
    slot = same_slot(one.event.start, at(text, zone))
    assert slot == at("2026-04-13T09:00", "Pacific/Auckland")
    moved = changed(one, slot, at("2026-04-22T11:00", "Pacific/Auckland"))  # beyond the next occurrence
    found = shown(series(one.event.start, "FREQ=WEEKLY;COUNT=4", overrides=(moved,)), "2026-04-01", "2026-06-01")
    assert utc(found) == ["2026-04-05T21:00", "2026-04-19T21:00", "2026-04-21T23:00", "2026-04-26T21:00"]
    assert [occurrence.is_override for occurrence in found] == [False, False, True, False]
    assert found[2].slot == slot


@pytest.mark.parametrize(
    ("zone", "written"),
    [
        ("Pacific/Auckland", "2026-04-07T12:00"),
        ("Europe/Berlin", "2026-04-07T22:00"),
        ("America/Los_Angeles", "2026-04-08T07:00"),
    ],
)
def test_rec_03_exceptions_of_an_all_day_series_written_as_utc_midnights_match_their_dates(zone: str, written: str) -> None:
    start = at("2026-04-06")
    gone = same_slot(start, at(written, "UTC"))
    assert gone == at("2026-04-08"), f"midnight of {zone}"
    one = series(start, "FREQ=DAILY;COUNT=4", exdate=(gone,))
    moved = changed(one, at("2026-04-07"), at("2026-04-20"))
    found = shown(series(start, "FREQ=DAILY;COUNT=4", exdate=(gone,), overrides=(moved,)), "2026-04-01", "2026-05-01", zone)
    assert [wall_of(occurrence.event.start).day for occurrence in found] == [6, 9, 20]


def test_rec_03_an_exception_without_its_occurrence_is_listed_and_still_shown() -> None:
    one = series(MORNING, "FREQ=WEEKLY;COUNT=3")
    stray = changed(one, at("2026-03-05T09:00"), at("2026-03-05T15:00"))
    both = series(MORNING, "FREQ=WEEKLY;COUNT=3", overrides=(changed(one, at("2026-03-09T09:00")), stray))
    assert orphans(both) == (stray,)
    assert len(shown(both, "2026-03-01", "2026-04-01")) == 4


def test_a_slot_is_found_by_reading_then_by_instant_then_by_day() -> None:
    gap = series(at("2026-03-28T02:30"), "FREQ=DAILY;COUNT=3")
    assert match_slot(gap, at("2026-03-29T02:30")) == at("2026-03-29T02:30")
    assert match_slot(gap, at("2026-03-29T01:30", "UTC")) == at("2026-03-29T02:30"), "written back from the shown instant"
    weekly = series(MORNING, "FREQ=WEEKLY")
    assert match_slot(weekly, at("2026-03-30T08:00", "UTC")) == at("2026-03-30T09:00"), (
        "the zone had other rules when it was written"
    )
    assert match_slot(weekly, at("2026-03-31T08:00", "UTC")) is None
    assert match_slot(series(MORNING, "FREQ=HOURLY"), at("2026-03-02T09:17")) is None, "several slots that day"


def test_a_date_names_the_slot_of_a_timed_series_on_that_day() -> None:
    assert same_slot(MORNING, at("2026-03-09")) == at("2026-03-09T09:00")
    assert same_slot(at("2026-03-02T09:00", None), at("2026-03-09")) == at("2026-03-09T09:00", None)
    with pytest.raises(ValueError, match="without zone"):
        same_slot(at("2026-03-02T09:00", None), MORNING)


def test_a_slot_is_one_whether_deleted_or_not() -> None:
    one = series(MORNING, "FREQ=WEEKLY;COUNT=3", exdate=(at("2026-03-09T09:00"),), rdate=(at("2026-03-11T15:00"),))
    assert all(is_slot(one, at(text)) for text in ("2026-03-02T09:00", "2026-03-09T09:00", "2026-03-11T15:00"))
    assert not any(is_slot(one, at(text)) for text in ("2026-03-09T09:01", "2026-03-23T09:00"))


def test_an_override_beats_the_deletion_of_its_slot() -> None:
    one = series(MORNING, "FREQ=WEEKLY;COUNT=2")
    slot = at("2026-03-09T09:00")
    both = series(MORNING, "FREQ=WEEKLY;COUNT=2", exdate=(slot,), overrides=(changed(one, slot, at("2026-03-10T09:00")),))
    assert utc(shown(both, "2026-03-01", "2026-04-01")) == ["2026-03-02T08:00", "2026-03-10T08:00"]


def test_an_override_moved_into_the_window_is_shown_and_one_moved_out_is_not() -> None:
    one = series(MORNING, "FREQ=WEEKLY;COUNT=10")
    into = changed(one, at("2026-05-04T09:00"), at("2026-03-04T09:00"))
    out = changed(one, at("2026-03-09T09:00"), at("2026-06-09T09:00"))
    moved = series(MORNING, "FREQ=WEEKLY;COUNT=10", overrides=(out, into))
    assert utc(shown(moved, "2026-03-01", "2026-03-14")) == ["2026-03-02T08:00", "2026-03-04T08:00"]


def test_cancelled_and_detached_occurrences_are_shown_as_they_are() -> None:
    one = series(MORNING, "FREQ=WEEKLY;COUNT=2")
    off = changed(one, at("2026-03-09T09:00"), status=Status.CANCELLED)
    assert (
        shown(series(MORNING, "FREQ=WEEKLY;COUNT=2", overrides=(off,)), "2026-03-08", "2026-03-15")[0].event.status
        is Status.CANCELLED
    )
    invited = Series("u", off.event, overrides=(off,), is_detached=True)
    assert utc(shown(invited, "2026-01-01", "2027-01-01")) == ["2026-03-09T08:00"]


def test_listed_dates_make_a_series_of_their_own_with_the_start_as_first() -> None:
    one = series(MORNING, rdate=(at("2026-03-05T15:00"), at("2026-03-09T09:00")))
    assert utc(shown(one, "2026-03-01", "2026-04-01")) == ["2026-03-02T08:00", "2026-03-05T14:00", "2026-03-09T08:00"]


def test_rec_06_several_rules_join_and_exclusions_take_away() -> None:
    rule = "FREQ=WEEKLY;BYDAY=MO\nFREQ=WEEKLY;BYDAY=MO,WE\nEXRULE:FREQ=MONTHLY;BYDAY=2MO"
    found = shown(series(MORNING, rule), "2026-03-01", "2026-03-20")
    assert [wall_of(occurrence.slot).day for occurrence in found] == [2, 4, 11, 16, 18]


def test_an_event_that_began_before_the_window_is_in_it_while_it_lasts() -> None:
    week = series(MORNING, "FREQ=MONTHLY", length=timedelta(days=7))
    assert utc(shown(week, "2026-03-08", "2026-03-09")) == ["2026-03-02T08:00"]
    assert shown(week, "2026-03-09T08:00", "2026-03-10") == [], "it ends where the window begins"
    point = series(MORNING, length=timedelta(0))
    assert len(shown(point, "2026-03-02T08:00", "2026-03-03")) == 1, "no length: its instant lies in the window"
    assert shown(point, "2026-03-01", "2026-03-02T08:00") == []


def test_occurrences_take_the_masters_content_and_their_own_times() -> None:
    one = series(MORNING, "FREQ=WEEKLY")
    second = shown(one, "2026-03-09", "2026-03-10")[0]
    assert second.event == Event(at("2026-03-09T09:00"), at("2026-03-09T10:00"), "Standup")
    assert occurrence_event(one.event, at("2026-03-09T09:00")) == second.event


# --- broken rules ------------------------------------------------------------------------------------------------

REPAIRED, FIRST_ONLY = ("recurrence.repaired",), ("recurrence.first_only",)

VERDICTS = [
    ("FREQ=DAILY;COUNT=0", "", FIRST_ONLY),
    ("FREQ=DAILY;COUNT=-1", "FREQ=DAILY", REPAIRED),  # some servers write «for ever» so
    ("FREQ=DAILY;COUNT=3;UNTIL=20261231T090000Z", "FREQ=DAILY;COUNT=3", REPAIRED),
    ("FREQ=DAILY;COUNT=300;UNTIL=20260312T080000Z", "FREQ=DAILY;UNTIL=20260312T080000Z", REPAIRED),
    ("FREQ=DAILY;UNTIL=20250101", "", FIRST_ONLY),
    ("FREQ=DAILY;UNTIL=soon", "", FIRST_ONLY),
    ("FREQ=DAILY;UNTIL=20261399", "", FIRST_ONLY),
    ("FREQ=DAILY;INTERVAL=0", "FREQ=DAILY", REPAIRED),
    ("FREQ=DAILY;INTERVAL=-2", "FREQ=DAILY", REPAIRED),
    ("FREQ=DAILY;INTERVAL=two", "FREQ=DAILY", REPAIRED),
    ("FREQ=WEEKLY;BYDAY=", "FREQ=WEEKLY", REPAIRED),
    ("FREQ=WEEKLY;BYDAY=MO,,XX", "FREQ=WEEKLY;BYDAY=MO", REPAIRED),
    ("FREQ=WEEKLY;BYDAY=XX", "", FIRST_ONLY),
    ("FREQ=MONTHLY;BYMONTHDAY=32,1", "FREQ=MONTHLY;BYMONTHDAY=1", REPAIRED),
    ("FREQ=MONTHLY;BYMONTHDAY=32", "", FIRST_ONLY),
    ("FREQ=MONTHLY;BYMONTH=;BYSETPOS=0", "", FIRST_ONLY),
    ("FREQ=MONTHLY;BYSETPOS=1", "FREQ=MONTHLY", REPAIRED),
    ("FREQ=YEARLY;BYWEEKNO=20;BYDAY=1MO", "FREQ=YEARLY;BYWEEKNO=20;BYDAY=MO", REPAIRED),
    ("BYDAY=MO", "", FIRST_ONLY),
    ("FREQ=FORTNIGHTLY", "", FIRST_ONLY),
    ("FREQ=YEARLY;BYEASTER=0", "", FIRST_ONLY),
    ("FREQ=DAILY;X-COLOR=red", "FREQ=DAILY", REPAIRED),
    ("FREQ=DAILY;FREQ=WEEKLY", "FREQ=DAILY", REPAIRED),
    ("FREQ=MONTHLY;SKIP=BACKWARD", "RSCALE=GREGORIAN;FREQ=MONTHLY;SKIP=BACKWARD", REPAIRED),
    ("RRULE:freq=weekly; byday=mo,we;", "FREQ=WEEKLY;BYDAY=MO,WE", ()),
    ("FREQ=WEEKLY;UNTIL=20260330", "FREQ=WEEKLY;UNTIL=20260330T215959Z", ()),
    ("FREQ=WEEKLY;UNTIL=20260330T090000", "FREQ=WEEKLY;UNTIL=20260330T070000Z", ()),
    ("FREQ=WEEKLY;INTERVAL=1;WKST=SU;BYDAY=MO", "FREQ=WEEKLY;BYDAY=MO", ()),  # where weeks begin changes nothing
    ("FREQ=WEEKLY\nFREQ=DAILY;COUNT=0", "FREQ=WEEKLY", FIRST_ONLY),
    ("EXRULE:FREQ=WEEKLY", "", ()),
    ("", "", ()),
    (";;;===", "", FIRST_ONLY),
]


@pytest.mark.parametrize(("text", "rule", "codes"), VERDICTS)
def test_bad_04_every_broken_rule_has_a_verdict(text: str, rule: str, codes: tuple[str, ...]) -> None:
    begin = time.process_time()
    assert repair_rule(text, MORNING) == (rule, codes)
    assert time.process_time() - begin < 0.05
    if rule:
        assert canonical_rule(rule, MORNING) == rule
        assert repair_rule(rule, MORNING) == (rule, ()), "a repaired rule needs no second repair"


def test_bad_04_hours_mean_nothing_on_an_all_day_series() -> None:
    assert repair_rule("FREQ=DAILY;BYHOUR=9", at("2026-03-02")) == ("FREQ=DAILY", ())
    assert repair_rule("FREQ=HOURLY", at("2026-03-02")) == ("", FIRST_ONLY)
    assert repair_rule("FREQ=DAILY;UNTIL=20260305T225959Z", at("2026-03-02")) == ("FREQ=DAILY;UNTIL=20260305", ())


def test_other_calendars_are_refused_even_when_repairing() -> None:
    with pytest.raises(ValueError, match="RSCALE=HEBREW"):
        repair_rule("RSCALE=HEBREW;FREQ=YEARLY;BYMONTH=5L", MORNING)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "expected a rule"),
        ("EXRULE:FREQ=DAILY", "expected a rule"),
        ("BYDAY=MO", "FREQ is missing"),
        ("FREQ=SOMETIMES", "FREQ=SOMETIMES is unknown"),
        ("FREQ=DAILY;COUNT=0", "COUNT=0 is no positive number"),
        ("FREQ=DAILY;COUNT=1;UNTIL=20270101", "COUNT and UNTIL exclude each other"),
        ("FREQ=DAILY;INTERVAL=0", "INTERVAL=0 is no positive number"),
        ("FREQ=DAILY;BYHOUR=24", "BYHOUR=24 is not allowed"),
        ("FREQ=WEEKLY;BYDAY=", "BYDAY= is no weekday"),
        ("FREQ=WEEKLY;BYDAY=0MO", "BYDAY=0MO is no weekday"),
        ("FREQ=DAILY;UNTIL=20260230", "does not exist in the calendar"),
        ("FREQ=DAILY;COLOUR=RED", "COLOUR is no part of a recurrence rule"),
        ("FREQ=DAILY;COUNT=1;COUNT=2", "COUNT stands twice"),
        ("FREQ=DAILY;BYSETPOS=1", "BYSETPOS needs another BY part"),
        ("FREQ=DAILY;SKIP=FORWARD", "SKIP needs RSCALE"),
        ("FREQ=MINUTELY;COUNT=999999999999", "no positive number"),
        ("FREQ=DAILY;" * 5000, "longer than"),
    ],
)
def test_a_rule_of_an_application_is_refused_with_its_reason(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        canonical_rule(text, MORNING)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                [
                    "FREQ",
                    "INTERVAL",
                    "COUNT",
                    "UNTIL",
                    "BYDAY",
                    "BYMONTH",
                    "BYMONTHDAY",
                    "BYHOUR",
                    "BYSETPOS",
                    "WKST",
                    "SKIP",
                    "X-A",
                ]
            ),
            st.sampled_from(
                [
                    "DAILY",
                    "WEEKLY",
                    "MONTHLY",
                    "YEARLY",
                    "SECONDLY",
                    "MO",
                    "-1FR",
                    "0",
                    "-1",
                    "1",
                    "31",
                    "20260901",
                    "20261231T000000Z",
                    "",
                ]
            )
            | st.text(max_size=6),
        ),
        max_size=6,
    )
)
def test_bad_04_whatever_stands_in_a_rule_is_repaired_or_left_at_the_first_instance(parts: list[tuple[str, str]]) -> None:
    text = ";".join(f"{name}={value}" for name, value in parts)
    begin = time.process_time()
    rule, codes = repair_rule(text, MORNING)
    assert time.process_time() - begin < 0.3
    if rule:
        assert canonical_rule(rule, MORNING) == rule
    assert set(codes) <= {*REPAIRED, *FIRST_ONLY}


# --- bombs -------------------------------------------------------------------------------------------------------

EVERY = {"BYHOUR": 24, "BYMINUTE": 60, "BYSECOND": 60}
FULL = ";".join(f"{name}=" + ",".join(map(str, range(size))) for name, size in EVERY.items())
ALL_PLACES = "BYSETPOS=" + ",".join(str(place) for place in range(-366, 367) if place)

BOMBS = [
    ("FREQ=SECONDLY", False),
    ("FREQ=SECONDLY;COUNT=999999999", False),
    (f"FREQ=DAILY;{FULL}", False),
    (f"FREQ=YEARLY;BYDAY=MO,TU,WE,TH,FR,SA,SU;{FULL}", False),
    (f"FREQ=YEARLY;BYDAY=MO,TU,WE,TH,FR,SA,SU;{FULL};{ALL_PLACES}", True),
    (f"FREQ=MINUTELY;{FULL};{ALL_PLACES}", False),
    ("FREQ=SECONDLY;BYMONTH=2;BYMONTHDAY=30", True),  # never, and python-dateutil looks for it second by second
    ("FREQ=MINUTELY;BYYEARDAY=366;BYMONTH=1", True),
    ("FREQ=HOURLY;BYWEEKNO=53;BYMONTH=6", True),
    ("FREQ=DAILY;BYMONTH=2;BYMONTHDAY=30", True),
    ("FREQ=MONTHLY;BYMONTHDAY=31;BYMONTH=2,4,6", True),
    ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", True),
    ("FREQ=WEEKLY;BYMONTH=2;BYMONTHDAY=30", True),
    ("FREQ=MONTHLY;BYDAY=MO;BYSETPOS=366", True),
    ("FREQ=HOURLY;INTERVAL=2;BYHOUR=10", True),  # a step that never meets its list
    ("FREQ=SECONDLY;INTERVAL=86399;BYHOUR=3;BYMINUTE=0;BYSECOND=0", True),
    ("FREQ=SECONDLY;INTERVAL=999999999", True),
    ("FREQ=DAILY;INTERVAL=999999999", True),
    ("FREQ=DAILY\nEXRULE:FREQ=DAILY", True),
    ("FREQ=SECONDLY\nEXRULE:FREQ=SECONDLY", False),
]


@pytest.mark.parametrize(("rule", "fits"), BOMBS, ids=[rule[:60] for rule, _ in BOMBS])
def test_scl_01_no_rule_costs_more_than_its_budget(rule: str, fits: bool) -> None:
    one = series(MORNING, rule, length=timedelta(0))
    begin = time.process_time()
    try:
        for _ in expand(one, span("2026-01-01", "2028-01-01"), UTC):
            pass
        refused = None
    except Permanent as dense:
        refused = dense
    assert time.process_time() - begin < 1.0, "the limit is a fifth of that; this machine may be busy"
    assert (refused is None) is fits
    assert refused is None or (refused.code, refused.scope) == ("ics.too_dense", Scope.SERIES)


@pytest.mark.parametrize(("rule", "fits"), BOMBS, ids=[rule[:60] for rule, _ in BOMBS])
def test_scl_01_the_bounds_of_a_bomb_are_known_or_refused_in_time(rule: str, fits: bool) -> None:
    begin = time.process_time()
    try:
        bounds(series(MORNING, rule), UTC)
    except Permanent as dense:
        assert dense.code == "ics.too_dense"
    assert time.process_time() - begin < 1.0


def test_scl_01_the_next_occurrence_of_an_endless_rule_costs_only_itself() -> None:
    found = expand(series(MORNING, "FREQ=SECONDLY"), span("2026-03-02T12:00", "9990-01-01"), UTC)
    assert utc([next(found)]) == ["2026-03-02T11:00"], "an hour long, so it still runs at noon"


def test_scl_01_fifty_thousand_deleted_dates_are_no_burden() -> None:
    start = at("1900-01-01T09:00", "UTC")
    gone = tuple(shifted(start, timedelta(days=n)) for n in range(50_000))
    one = series(start, "FREQ=DAILY", exdate=gone)
    tracemalloc.start()
    begin = time.process_time()
    assert len(shown(one, "2026-01-01", "2037-01-01")) == 39, "the last one deleted is of 22 November 2036"
    assert time.process_time() - begin < 1.0
    assert tracemalloc.get_traced_memory()[1] < 50_000_000
    tracemalloc.stop()


# --- the edges of the calendar -----------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["0001-01-01", "1601-01-01", "1604-02-29", "1899-12-30", "4501-01-01", "9998-12-31"])
@pytest.mark.parametrize("clock", ["", "T00:00", "T23:59"])
@pytest.mark.parametrize("rule", ["", "FREQ=DAILY", "FREQ=YEARLY", "FREQ=WEEKLY;BYDAY=MO,SU", "FREQ=MONTHLY;BYMONTHDAY=-1"])
def test_bad_05_no_date_leads_out_of_the_calendar(text: str, clock: str, rule: str) -> None:
    for zone in (BERLIN, "Pacific/Auckland", "America/Los_Angeles", None):
        one = series(at(text + clock, zone), rule)
        for window in (
            Timespan(moment("0001-01-01"), moment("0002-01-01")),
            span("2026-01-01", "2026-02-01"),
            span("9998-06-01", "9999-12-31"),
        ):
            for occurrence in expand(one, window, zone_of("Asia/Tokyo")):
                assert occurrence.start <= occurrence.end
        earliest, latest = bounds(one, zone_of("Asia/Tokyo"))
        assert latest is None or earliest <= latest


def test_bad_05_the_last_minute_of_the_calendar_can_be_stored_and_shown() -> None:
    one = series(at("9999-12-31T23:59"), "FREQ=DAILY", length=timedelta(0))
    found = shown(one, "9999-01-01", "9999-12-31T23:59:59")
    assert [slot_key(occurrence.slot) for occurrence in found] == ["99991231T235900"]


def test_bad_05_a_birthday_without_a_year_shows_on_its_day_this_year() -> None:
    begin = time.process_time()
    for start, day in (("1604-11-23", "2026-11-23"), ("1604-02-29", "2028-02-29")):
        found = shown(series(at(start), "FREQ=YEARLY"), "2026-01-01", "2029-01-01", BERLIN)
        assert day in {f"{wall_of(occurrence.event.start):%Y-%m-%d}" for occurrence in found}
    endless = series(at("1601-01-01T09:00"), "FREQ=DAILY")
    assert len(shown(endless, "2026-01-01", "2026-02-01")) == 31
    assert time.process_time() - begin < 0.2, "a walk begins near its window, not in 1601"


# --- bounds and windows ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "latest"),
    [
        ("", "2026-03-02T09:00"),
        ("FREQ=DAILY;COUNT=3", "2026-03-04T09:00"),
        ("FREQ=WEEKLY;UNTIL=20260316T080000Z", "2026-03-16T09:00"),
        ("FREQ=WEEKLY", None),
        ("FREQ=DAILY;COUNT=3\nFREQ=WEEKLY", None),
    ],
)
def test_bounds_hold_all_occurrences(rule: str, latest: str | None) -> None:
    assert bounds(series(MORNING, rule), UTC) == (moment("2026-03-02T08:00"), moment(latest) if latest else None)


def test_bounds_reach_to_moved_occurrences() -> None:
    one = series(MORNING, "FREQ=WEEKLY;COUNT=2")
    early, late = (
        changed(one, at("2026-03-02T09:00"), at("2026-01-02T09:00")),
        changed(one, at("2026-03-09T09:00"), at("2026-12-09T09:00")),
    )
    moved = series(MORNING, "FREQ=WEEKLY;COUNT=2", overrides=(early, late))
    assert bounds(moved, UTC) == (moment("2026-01-02T08:00"), moment("2026-12-09T09:00"))


@st.composite
def some_series(draw: st.DrawFn) -> Series:
    start = draw(
        st.sampled_from([at("2026-03-02T09:00"), at("2026-03-28T02:30"), at("2026-03-02"), at("2026-03-02T23:30", None)])
    )
    rule = draw(
        st.sampled_from(
            [
                "FREQ=DAILY",
                "FREQ=WEEKLY;BYDAY=MO,TH",
                "FREQ=MONTHLY;BYMONTHDAY=-1",
                "FREQ=DAILY;BYHOUR=1,2,3",
                "FREQ=DAILY;COUNT=40",
            ]
        )
    )
    hours = draw(st.integers(0, 70))
    one = series(start, rule, length=timedelta(hours=hours))
    near = slots(one, wall_of(start), wall_of(start) + timedelta(days=60))
    picked = draw(st.lists(st.sampled_from(near), max_size=4, unique=True)) if near else []
    points = sorted(
        (type(start)(wall.date()) if isinstance(start, Day) else shifted(start, wall - wall_of(start)) for wall in picked),
        key=wall_of,
    )
    days = draw(st.integers(-20, 20))
    overrides = tuple(Override(point, occurrence_event(one.event, shifted(point, timedelta(days=days)))) for point in points[::2])
    return series(start, rule, length=timedelta(hours=hours), exdate=tuple(points[1::2]), overrides=overrides)


@settings(max_examples=100, deadline=None)
@given(some_series(), st.lists(st.integers(0, 70 * 24), min_size=1, max_size=6, unique=True))
def test_windows_laid_side_by_side_show_each_occurrence_where_it_touches(one: Series, hours: list[int]) -> None:
    edges = [
        moment("2026-03-01"),
        *(moment("2026-03-01") + timedelta(hours=hour) for hour in sorted(hours)),
        moment("2026-06-01"),
    ]
    reader = zone_of(BERLIN)
    whole = list(expand(one, Timespan(edges[0], edges[-1]), reader))
    assert [found.start for found in whole] == sorted(found.start for found in whole)
    keys = [slot_key(found.slot) for found in whole]
    assert len(set(keys)) == len(keys), "slots are unique"
    for start, end in pairwise(edges):
        if start < end:
            window = Timespan(start, end)
            assert list(expand(one, window, reader)) == [f for f in whole if Timespan(f.start, f.end).touches(window)]


@settings(max_examples=40, deadline=None)
@given(some_series())
def test_every_occurrence_lies_within_the_bounds_and_on_a_slot(one: Series) -> None:
    reader = zone_of(BERLIN)
    earliest, latest = bounds(one, reader)
    for found in expand(one, span("2026-03-01", "2026-04-15"), reader):
        assert earliest <= found.start
        assert latest is None or found.end <= latest
        assert is_slot(one, found.slot)
        assert match_slot(one, found.slot) == found.slot
