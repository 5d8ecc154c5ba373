"""Exchange and Graph patterns: exact both ways, or refused with a reason."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import islice

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.model.builders import at, changed, series, span
from tests.model.recurrence_rows import ALL_TIME, Row, ids, rows

from gleichtakt.errors import sentences
from gleichtakt.model.event import Series
from gleichtakt.model.exchange_pattern import (
    EVERY_DAY,
    WEEKDAYS,
    WEEKEND,
    AbsoluteMonthly,
    AbsoluteYearly,
    Cycle,
    Daily,
    Grade,
    Index,
    NotExpressible,
    Pattern,
    RelativeMonthly,
    RelativeYearly,
    Weekly,
    grade,
    to_pattern,
    to_rule,
)
from gleichtakt.model.point import Day, shifted
from gleichtakt.model.recurrence import canonical_rule, expand

NAMES = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
DAYS = {name: (place,) for place, name in enumerate(NAMES)} | {"Day": EVERY_DAY, "Weekday": WEEKDAYS, "WeekendDay": WEEKEND}
PATTERNS = rows("exchange-patterns")
MORNING = at("2026-01-31T09:00")
YEAR = span("2026-01-01", "2027-01-01")


def cycle_of(found: Row) -> Cycle:
    days = tuple(day for name in found.get("DaysOfWeek", "").split() for day in DAYS[name])
    index = Index(found.get("DayOfWeekIndex", "First").lower())
    month = datetime.strptime(found.get("Month", "January"), "%B").replace(tzinfo=UTC).month
    interval = found.get("Interval", 1)
    makers: dict[str, Callable[[], Cycle]] = {
        "Daily": lambda: Daily(interval),
        "Weekly": lambda: Weekly(interval, days, DAYS[found["FirstDayOfWeek"]][0]),
        "AbsoluteMonthly": lambda: AbsoluteMonthly(interval, found["DayOfMonth"]),
        "RelativeMonthly": lambda: RelativeMonthly(interval, days, index),
        "AbsoluteYearly": lambda: AbsoluteYearly(month, found["DayOfMonth"]),
        "RelativeYearly": lambda: RelativeYearly(month, days, index),
    }
    return makers[found["type"]]()


def pattern_of(row: Row) -> Pattern:
    end = date.fromisoformat(row["end"]) if row["end"] else None
    return Pattern(cycle_of(row["pattern"]), date.fromisoformat(row["start"]), end, row["count"])


def days_of(rule: str, start: date, count: int = 12) -> list[str]:
    one = series(Day(start), rule)
    return [f"{found.wall:%Y-%m-%d}" for found in islice(expand(one, ALL_TIME, UTC), count)]


@pytest.mark.parametrize("row", PATTERNS, ids=ids(PATTERNS))
def test_a_pattern_becomes_the_rule_with_its_days(row: Row) -> None:
    pattern = pattern_of(row)
    rule = to_rule(pattern)
    assert days_of(rule, pattern.start) == row["expected"]
    assert rule == canonical_rule(row["equivalent_rrule"], Day(pattern.start))


@pytest.mark.parametrize("row", PATTERNS, ids=ids(PATTERNS))
def test_the_rule_of_a_pattern_leads_back_to_its_days(row: Row) -> None:
    pattern = pattern_of(row)
    back = to_pattern(to_rule(pattern), Day(pattern.start))
    assert isinstance(back, Pattern)
    assert back.start.isoformat() == row["expected"][0], "Exchange wants the first occurrence as the start"
    assert days_of(to_rule(back), back.start) == row["expected"]


EXACT: list[tuple[str, Cycle]] = [
    ("FREQ=DAILY;INTERVAL=5", Daily(5)),
    ("FREQ=DAILY;BYDAY=MO,TU,WE,TH,FR", Weekly(1, WEEKDAYS)),
    ("FREQ=WEEKLY", Weekly(1, (5,))),
    ("FREQ=WEEKLY;INTERVAL=2;BYDAY=SU,MO;WKST=SU", Weekly(2, (0, 6), 6)),
    ("FREQ=MONTHLY;BYMONTHDAY=15", AbsoluteMonthly(1, 15)),
    ("FREQ=MONTHLY;BYMONTHDAY=-1", AbsoluteMonthly(1, 31)),
    ("FREQ=MONTHLY;BYMONTHDAY=28,29,30;BYSETPOS=-1", AbsoluteMonthly(1, 30)),
    ("RSCALE=GREGORIAN;FREQ=MONTHLY;SKIP=BACKWARD", AbsoluteMonthly(1, 31)),
    ("FREQ=MONTHLY;INTERVAL=12", AbsoluteMonthly(12, 31)),  # always January, which has a 31st
    ("FREQ=MONTHLY;BYDAY=2TU", RelativeMonthly(1, (1,), Index.SECOND)),
    ("FREQ=MONTHLY;BYDAY=TU;BYSETPOS=2", RelativeMonthly(1, (1,), Index.SECOND)),
    ("FREQ=MONTHLY;BYDAY=TU;BYMONTHDAY=8,9,10,11,12,13,14", RelativeMonthly(1, (1,), Index.SECOND)),
    ("FREQ=MONTHLY;BYDAY=-1FR", RelativeMonthly(1, (4,), Index.LAST)),
    ("FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1", RelativeMonthly(1, WEEKDAYS, Index.LAST)),
    ("FREQ=MONTHLY;BYDAY=SA,SU;BYSETPOS=1", RelativeMonthly(1, WEEKEND, Index.FIRST)),
    ("FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR,SA,SU;BYSETPOS=3", RelativeMonthly(1, EVERY_DAY, Index.THIRD)),
    ("FREQ=YEARLY", AbsoluteYearly(1, 31)),
    ("FREQ=YEARLY;INTERVAL=4", AbsoluteMonthly(48, 31)),
    ("FREQ=YEARLY;BYMONTH=12;BYMONTHDAY=25", AbsoluteYearly(12, 25)),
    ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=-1", RelativeYearly(2, EVERY_DAY, Index.LAST)),
    ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=28,29;BYSETPOS=-1", AbsoluteYearly(2, 29)),
    ("FREQ=YEARLY;BYMONTH=11;BYDAY=4TH", RelativeYearly(11, (3,), Index.FOURTH)),
    ("FREQ=YEARLY;BYDAY=-1MO", RelativeYearly(12, (0,), Index.LAST)),
    ("FREQ=MONTHLY;BYMONTH=11;BYDAY=4TH", RelativeYearly(11, (3,), Index.FOURTH)),
    ("FREQ=DAILY;BYHOUR=9;BYMINUTE=0", Daily(1)),  # what the start says anyway
]

REFUSED = [
    ("FREQ=HOURLY", "hours"),
    ("FREQ=DAILY;BYHOUR=9,15", "hours"),
    ("FREQ=DAILY;BYHOUR=10", "hours"),
    ("FREQ=DAILY;INTERVAL=2;BYDAY=MO", "daily_limits"),
    ("FREQ=DAILY;BYMONTH=3", "daily_limits"),
    ("FREQ=DAILY;INTERVAL=1000", "interval"),
    ("FREQ=WEEKLY;INTERVAL=100", "interval"),
    ("FREQ=WEEKLY;BYMONTH=3", "weekly_limits"),
    ("FREQ=MONTHLY", "short_months"),  # from 31 January: RFC 5545 skips February, Exchange takes its last day
    ("FREQ=MONTHLY;BYMONTHDAY=29", "short_months"),
    ("FREQ=MONTHLY;BYMONTHDAY=1,15", "month_days"),
    ("FREQ=MONTHLY;BYMONTHDAY=-2", "month_days"),
    ("FREQ=MONTHLY;BYDAY=FR;BYMONTHDAY=13", "month_days"),
    ("FREQ=MONTHLY;BYDAY=5MO", "ordinals"),
    ("FREQ=MONTHLY;BYDAY=-2MO", "ordinals"),
    ("FREQ=MONTHLY;BYDAY=1MO,3MO", "ordinals"),
    ("FREQ=MONTHLY;BYDAY=MO", "ordinals"),
    ("FREQ=MONTHLY;BYDAY=MO,WE;BYSETPOS=1", "positions"),
    ("FREQ=MONTHLY;BYDAY=SA,SU;BYSETPOS=1,-1", "positions"),
    ("FREQ=MONTHLY;BYMONTH=1,7", "months"),
    ("FREQ=YEARLY;BYMONTH=1,7", "months"),
    ("FREQ=YEARLY;BYDAY=20MO", "ordinals"),
    ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29", "short_months"),
    ("FREQ=YEARLY;BYWEEKNO=20;BYDAY=MO", "week_numbers"),
    ("FREQ=YEARLY;BYYEARDAY=100", "year_days"),
    ("FREQ=WEEKLY\nFREQ=MONTHLY;BYMONTHDAY=1", "several_rules"),
    ("FREQ=DAILY\nEXRULE:FREQ=WEEKLY", "several_rules"),
    ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30", "never"),
    ("FREQ=DAILY;UNTIL=20250101T000000Z", "never"),
]


@pytest.mark.parametrize(("rule", "cycle"), EXACT)
def test_rec_06_a_rule_with_an_equal_pattern_finds_it(rule: str, cycle: Cycle) -> None:
    found = to_pattern(canonical_rule(rule, MORNING), MORNING)
    assert isinstance(found, Pattern)
    assert found.cycle == cycle


@pytest.mark.parametrize(("rule", "reason"), REFUSED)
def test_rec_06_a_rule_without_an_equal_pattern_is_refused_with_its_reason(rule: str, reason: str) -> None:
    assert to_pattern(canonical_rule(rule, MORNING), MORNING) == NotExpressible(f"recurrence.{reason}")


def test_every_reason_has_a_sentence() -> None:
    reasons = {reason for _, reason in REFUSED} | {"too_dense", "extra_dates", "order", "detached", "repaired", "first_only"}
    assert {f"recurrence.{reason}" for reason in reasons} <= sentences().keys()


@pytest.mark.parametrize(
    ("until", "end"),
    [
        ("20260310T080000Z", date(2026, 3, 10)),  # nine in Berlin
        ("20260310T075959Z", date(2026, 3, 9)),  # a second too early for that day
        ("20260309T230000Z", date(2026, 3, 9)),  # midnight in Berlin
    ],
)
def test_the_end_of_a_range_is_the_local_day_of_the_last_start(until: str, end: date) -> None:
    found = to_pattern(f"FREQ=DAILY;UNTIL={until}", MORNING)
    assert isinstance(found, Pattern)
    assert found.end == end
    assert to_rule(found, MORNING) == f"FREQ=DAILY;UNTIL={end:%Y%m%d}T080000Z", "the start of the last one, in UTC"


RULES = st.one_of(
    st.builds("FREQ=DAILY;INTERVAL={}".format, st.integers(1, 30)),
    st.builds(
        "FREQ=WEEKLY;INTERVAL={};BYDAY={};WKST={}".format,
        st.integers(1, 5),
        st.lists(st.sampled_from(["MO", "TU", "WE", "TH", "FR", "SA", "SU"]), min_size=1, max_size=5, unique=True).map(",".join),
        st.sampled_from(["MO", "SU", "SA"]),
    ),
    st.builds("FREQ=MONTHLY;INTERVAL={};BYMONTHDAY={}".format, st.integers(1, 14), st.integers(-1, 31).filter(bool)),
    st.builds(
        "FREQ=MONTHLY;INTERVAL={};BYDAY={}{}".format,
        st.integers(1, 5),
        st.sampled_from([1, 2, 3, 4, 5, -1]),
        st.sampled_from(["MO", "SA"]),
    ),
    st.builds(
        "FREQ=MONTHLY;BYDAY={};BYSETPOS={}".format,
        st.sampled_from(["MO,TU,WE,TH,FR", "SA,SU", "MO,WE", "FR"]),
        st.sampled_from([1, 4, 5, -1]),
    ),
    st.builds(
        "FREQ=YEARLY;INTERVAL={};BYMONTH={};BYMONTHDAY={}".format,
        st.integers(1, 4),
        st.integers(1, 12),
        st.integers(-1, 31).filter(bool),
    ),
    st.builds("FREQ=YEARLY;BYMONTH={};BYDAY={}TH".format, st.integers(1, 12), st.sampled_from([1, 3, 5, -1])),
)


@settings(max_examples=300, deadline=None)
@given(RULES, st.dates(date(2020, 1, 1), date(2030, 12, 31)), st.sampled_from(["", ";COUNT=7", ";UNTIL=20291231"]))
def test_a_pattern_is_exact_or_there_is_none(rule: str, start: date, end: str) -> None:
    canonical = canonical_rule(rule + end, Day(start))
    found = to_pattern(canonical, Day(start))
    if isinstance(found, NotExpressible):
        assert found.reason in sentences()
        return
    assert days_of(to_rule(found), found.start) == days_of(canonical, start)
    again = to_pattern(to_rule(found), Day(found.start))
    assert isinstance(again, Pattern)
    assert to_rule(again) == to_rule(found), "a second round trip changes nothing"


# --- grades ------------------------------------------------------------------------------------------------------


def test_rec_06_a_series_is_exact_exploded_or_refused() -> None:
    assert grade(series(MORNING), YEAR).grade is Grade.EXACT
    assert grade(series(MORNING, "FREQ=WEEKLY"), YEAR).grade is Grade.EXACT
    assert grade(series(MORNING, "FREQ=MONTHLY"), YEAR) == type(grade(series(MORNING), YEAR))(
        Grade.EXPLODED, "recurrence.short_months"
    )
    assert grade(series(MORNING, "FREQ=WEEKLY", rdate=(at("2026-02-03T09:00"),)), YEAR).reason == "recurrence.extra_dates"
    assert grade(series(MORNING, "FREQ=HOURLY"), YEAR).grade is Grade.REFUSED
    assert grade(series(MORNING, "FREQ=HOURLY"), YEAR).reason == "recurrence.too_dense"


def test_an_occurrence_moved_past_its_neighbour_cannot_stay_in_the_series() -> None:
    one = series(MORNING, "FREQ=WEEKLY")

    def moved(day: str) -> Series:
        return series(MORNING, "FREQ=WEEKLY", overrides=(changed(one, at("2026-02-07T09:00"), at(day)),))

    assert grade(moved("2026-02-12T09:00"), YEAR).grade is Grade.EXACT
    assert grade(moved("2026-02-07T15:00"), YEAR).grade is Grade.EXACT
    assert grade(moved("2026-02-14T15:00"), YEAR).reason == "recurrence.order", "two on one day"
    assert grade(moved("2026-02-16T09:00"), YEAR).reason == "recurrence.order"


def test_occurrences_that_overlap_cannot_stay_in_the_series() -> None:
    one = series(MORNING, "FREQ=DAILY")

    def lasting(start: str, end: str) -> Series:
        override = changed(one, at("2026-02-07T09:00"), at(start))
        return series(MORNING, "FREQ=DAILY", overrides=(replace(override, event=replace(override.event, end=at(end))),))

    assert grade(lasting("2026-02-07T09:00", "2026-02-08T09:00"), YEAR).grade is Grade.EXACT
    assert grade(lasting("2026-02-07T09:00", "2026-02-08T09:30"), YEAR).reason == "recurrence.order"
    assert grade(lasting("2026-02-07T14:00", "2026-02-09T08:00"), YEAR).reason == "recurrence.order"


def test_an_occurrence_is_in_its_place_by_the_clock_of_its_series() -> None:
    one = series(MORNING, "FREQ=DAILY")
    in_tokyo = changed(one, at("2026-02-07T09:00"), at("2026-02-08T05:00", "Asia/Tokyo"))  # nine in the evening of the 7th
    assert grade(series(MORNING, "FREQ=DAILY", overrides=(in_tokyo,)), YEAR).grade is Grade.EXACT


@pytest.mark.parametrize(
    ("rule", "days", "fits"),
    [
        ("FREQ=DAILY", 1, True),
        ("FREQ=DAILY", 2, False),
        ("FREQ=WEEKLY;BYDAY=SU,TU", 2, True),
        ("FREQ=WEEKLY;BYDAY=SU,MO", 2, False),
    ],
)
def test_an_occurrence_that_lasts_longer_than_to_the_next_one_cannot_repeat(rule: str, days: int, fits: bool) -> None:
    one = series(MORNING, rule)
    long = replace(one, event=replace(one.event, end=shifted(one.event.start, timedelta(days=days))))
    assert grade(long, YEAR).reason == ("" if fits else "recurrence.order")
