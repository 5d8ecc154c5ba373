"""Exchange and Graph recurrence patterns: from rules and back, and what to do where no pattern says the same.

A pattern is exact or it is none: where Exchange would show other days than the rule (it moves the 31st to the last
day of short months, RFC 5545 skips them), the answer is `NotExpressible`, and the series is exploded into single
events within a window, or refused. Sources: [MS-OXOCAL] §2.2.1.44, Graph `recurrencePattern`, RFC 5545 §3.3.10.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from enum import StrEnum
from itertools import pairwise

from gleichtakt.errors import Permanent
from gleichtakt.model.event import Event, Series
from gleichtakt.model.point import Day, Point, Timespan, Zoned, wall_of, with_wall
from gleichtakt.model.recurrence import expand, slots
from gleichtakt.model.rule import Freq, Rule, Skip, fit_rule, local_until, rules_of, write_rule
from gleichtakt.model.rule_days import MONTH_DAYS
from gleichtakt.model.rule_walk import Budget, fill_days, walk
from gleichtakt.model.slot import same_slot


class Index(StrEnum):
    """Which one of a month, in the words of both protocols."""

    FIRST = "first"
    SECOND = "second"
    THIRD = "third"
    FOURTH = "fourth"
    LAST = "last"


@dataclass(frozen=True, slots=True)
class Daily:
    """Every n-th day."""

    interval: int


@dataclass(frozen=True, slots=True)
class Weekly:
    """On weekdays (Monday 0) of every n-th week; weeks begin on *first_day*, always written."""

    interval: int
    days: tuple[int, ...]
    first_day: int = 0


@dataclass(frozen=True, slots=True)
class AbsoluteMonthly:
    """On one day of every n-th month; beyond the month's end it means the last day."""

    interval: int
    day: int


@dataclass(frozen=True, slots=True)
class RelativeMonthly:
    """On the first to fourth or last of a set of weekdays in every n-th month; all seven mean any day."""

    interval: int
    days: tuple[int, ...]
    index: Index


@dataclass(frozen=True, slots=True)
class AbsoluteYearly:
    """On one day of the year; 29 February means the 28th in common years."""

    month: int
    day: int


@dataclass(frozen=True, slots=True)
class RelativeYearly:
    """On the first to fourth or last of a set of weekdays in one month of the year."""

    month: int
    days: tuple[int, ...]
    index: Index


Cycle = Daily | Weekly | AbsoluteMonthly | RelativeMonthly | AbsoluteYearly | RelativeYearly


@dataclass(frozen=True, slots=True)
class Pattern:
    """A cycle with its range. start: date of the first occurrence; end: date of the last possible one, inclusive.

    Without end and count it goes on for ever.
    """

    cycle: Cycle
    start: date
    end: date | None = None
    count: int | None = None


@dataclass(frozen=True, slots=True)
class NotExpressible:
    """Why no pattern says the same. reason: code of a sentence."""

    reason: str


class _NoPatternError(Exception):
    """Carries the reason out of the nested mapping."""


A_DAY, A_YEAR = timedelta(days=1), timedelta(days=366)
EARLIEST, LATEST = datetime.combine(date.min, time.min), datetime.combine(date.max, time.max)
EVERY_DAY = (0, 1, 2, 3, 4, 5, 6)
WEEKDAYS = (0, 1, 2, 3, 4)
WEEKEND = (5, 6)
_INDEX = {1: Index.FIRST, 2: Index.SECOND, 3: Index.THIRD, 4: Index.FOURTH, -1: Index.LAST}
_PLACE = {index: place for place, index in _INDEX.items()}
#: What the days 1–7, 8–14, … of a month say about the weekday that falls among them.
_SEVEN_DAYS = {tuple(range(7 * week + 1, 7 * week + 8)): week + 1 for week in range(4)}
_LONGEST = {Freq.DAILY: 999, Freq.WEEKLY: 99, Freq.MONTHLY: 99, Freq.YEARLY: 8}  # 8 years are written as 96 months


# --- from rule to pattern ----------------------------------------------------------------------------------------


def to_pattern(rule: str, start: Point) -> Pattern | NotExpressible:
    """Give the pattern that has the same occurrences as a rule, or why there is none.

    rule: canonical text. A start that the rule does not hit is no occurrence, so the pattern starts at the first hit.
    """
    try:
        return _pattern(rules_of(rule), start)
    except _NoPatternError as refused:
        return NotExpressible(f"recurrence.{refused}")
    except Permanent:
        return NotExpressible("recurrence.too_dense")


def _pattern(rules: tuple[Rule, ...], start: Point) -> Pattern:
    if len(rules) != 1 or rules[0].excludes:
        raise _NoPatternError("several_rules")
    rule = _without_clock(fit_rule(rules[0], start), start)
    first = next(walk(rule, wall_of(start), Budget()), None)
    end = _end_date(rule, start)
    if first is None or (end is not None and end < first.date()):
        raise _NoPatternError("never")
    if rule.interval > _LONGEST[rule.freq]:
        raise _NoPatternError("interval")
    cycle = _CYCLES[rule.freq](_simplified(rule, start), first)
    return Pattern(cycle, first.date(), end, rule.count)


def _without_clock(rule: Rule, start: Point) -> Rule:
    wall = wall_of(start)
    same = ((), (wall.hour,)), ((), (wall.minute,)), ((), (wall.second,))
    clock = rule.by_hour, rule.by_minute, rule.by_second
    if rule.freq > Freq.DAILY or any(given not in allowed for given, allowed in zip(clock, same, strict=True)):
        raise _NoPatternError("hours")
    return replace(rule, by_hour=(), by_minute=(), by_second=())


def _end_date(rule: Rule, start: Point) -> date | None:
    if rule.until is None:
        return None
    until = local_until(rule.until, start)
    reached = until.time() >= wall_of(start).time()
    return until.date() if reached else until.date() - timedelta(days=1)


def _simplified(rule: Rule, start: Point) -> Rule:
    """Fill in what the start says, drop parts that change nothing, and refuse what no pattern knows."""
    rule = fill_days(rule, wall_of(start))
    if rule.by_week_no:
        raise _NoPatternError("week_numbers")
    if rule.by_year_day:
        raise _NoPatternError("year_days")
    if len(rule.by_month) == 12:
        rule = replace(rule, by_month=())
    if rule.by_set_pos in ((1,), (-1,)) and len(rule.by_day) == 1 and rule.freq == Freq.WEEKLY:
        rule = replace(rule, by_set_pos=())
    if len(rule.by_set_pos) > 1:
        raise _NoPatternError("positions")
    return rule


def _daily(rule: Rule, first: datetime) -> Cycle:
    del first
    if rule.by_month or rule.by_month_day or rule.by_set_pos or (rule.by_day and rule.interval > 1):
        raise _NoPatternError("daily_limits")
    return Weekly(1, _weekdays(rule)) if rule.by_day else Daily(rule.interval)


def _weekly(rule: Rule, first: datetime) -> Cycle:
    del first
    if rule.by_month or rule.by_month_day or rule.by_set_pos:
        raise _NoPatternError("weekly_limits")
    return Weekly(rule.interval, _weekdays(rule), rule.week_start)


def _weekdays(rule: Rule) -> tuple[int, ...]:
    return tuple(sorted(weekday for _, weekday in rule.by_day))


def _monthly(rule: Rule, first: datetime) -> Cycle:
    if rule.by_month:
        if len(rule.by_month) > 1 or rule.interval > 1:
            raise _NoPatternError("months")
        return _yearly(replace(rule, freq=Freq.YEARLY), first)
    if found := _relative(rule):
        return RelativeMonthly(rule.interval, *found)
    visited = {(first.month - 1 + rule.interval * step) % 12 + 1 for step in range(12)}
    return AbsoluteMonthly(rule.interval, _day_of_month(rule, visited))


def _yearly(rule: Rule, first: datetime) -> Cycle:
    rule = _with_month(rule)
    if not rule.by_month and rule.interval == 1:
        return _monthly(replace(rule, freq=Freq.MONTHLY), first)
    if len(rule.by_month) != 1:
        raise _NoPatternError("months")
    month = rule.by_month[0]
    if rule.interval > 1:
        return _monthly(replace(rule, freq=Freq.MONTHLY, interval=12 * rule.interval, by_month=()), first)
    if found := _relative(rule):
        return RelativeYearly(month, *found)
    if month == 2 and rule.by_month_day == (-1,):
        return RelativeYearly(month, EVERY_DAY, Index.LAST)
    return AbsoluteYearly(month, min(_day_of_month(rule, {month}), MONTH_DAYS[month - 1] + (month == 2)))


def _with_month(rule: Rule) -> Rule:
    """The first Monday of the year is the first of January, the last one the last of December."""
    if rule.by_month or rule.by_month_day or len(rule.by_day) != 1 or rule.by_set_pos:
        return rule
    ordinal, _ = rule.by_day[0]
    if ordinal not in _INDEX:
        raise _NoPatternError("ordinals")
    return replace(rule, by_month=(12 if ordinal == -1 else 1,))


def _relative(rule: Rule) -> tuple[tuple[int, ...], Index] | None:
    """Read «the second Tuesday» in its spellings: 2TU, TU with BYSETPOS=2, TU with the days 8 to 14."""
    if not rule.by_day:
        return None
    ordinals = {ordinal for ordinal, _ in rule.by_day}
    days = _weekdays(rule)
    if rule.by_month_day:
        place = _SEVEN_DAYS.get(rule.by_month_day) if ordinals == {0} and len(days) == 1 else None
        if place is None or rule.by_set_pos not in ((), (1,), (-1,)):
            raise _NoPatternError("month_days")
    elif ordinals == {0} and rule.by_set_pos:
        place = rule.by_set_pos[0]
        if len(days) > 1 and days not in (EVERY_DAY, WEEKDAYS, WEEKEND):
            raise _NoPatternError("positions")
    else:
        if len(rule.by_day) > 1 or ordinals == {0} or rule.by_set_pos:
            raise _NoPatternError("ordinals")
        place = rule.by_day[0][0]
    if place not in _INDEX:
        raise _NoPatternError("ordinals")
    return days, _INDEX[place]


def _day_of_month(rule: Rule, months: set[int]) -> int:
    """Give the day Exchange must be told so that it shows the rule's days in all of *months*."""
    days = rule.by_month_day
    shortest = min(MONTH_DAYS[month - 1] for month in months)
    if rule.by_set_pos == (-1,) and days == tuple(range(28, days[-1] + 1)):
        return days[-1]
    if len(days) != 1 or rule.by_set_pos not in ((), (1,), (-1,)):
        raise _NoPatternError("month_days")
    if days == (-1,):
        return 31
    if not 0 < days[0] <= shortest and not (days[0] > 0 and rule.skip is Skip.BACKWARD):
        raise _NoPatternError("short_months" if days[0] > 0 else "month_days")
    return days[0]


_CYCLES: dict[Freq, Callable[[Rule, datetime], Cycle]] = {
    Freq.DAILY: _daily,
    Freq.WEEKLY: _weekly,
    Freq.MONTHLY: _monthly,
    Freq.YEARLY: _yearly,
}


# --- from pattern to rule ----------------------------------------------------------------------------------------


def to_rule(pattern: Pattern, start: Point | None = None) -> str:
    """Give the canonical rule with the same occurrences. start: of the series; without it UNTIL is a date."""
    rule = replace(_rule_of(pattern.cycle), count=pattern.count)
    first = start if start is not None else Day(pattern.start)
    if pattern.end is not None:
        last = with_wall(first, datetime.combine(pattern.end, wall_of(first).time()))
        rule = replace(rule, until=last)
    return write_rule(fit_rule(rule, first))


def _rule_of(cycle: Cycle) -> Rule:
    match cycle:
        case Daily(interval):
            return Rule(Freq.DAILY, interval)
        case Weekly(interval, days, first_day):
            return Rule(Freq.WEEKLY, interval, by_day=_every(days), week_start=first_day)
        case AbsoluteMonthly(interval, day):
            return replace(_on_day(day), freq=Freq.MONTHLY, interval=interval)
        case RelativeMonthly(interval, days, index):
            return replace(_on_index(days, index), freq=Freq.MONTHLY, interval=interval)
        case AbsoluteYearly(month, day):
            size = MONTH_DAYS[month - 1]
            on_day = Rule(Freq.YEARLY, by_month_day=(min(day, size),)) if month != 2 or day <= size else _on_day(31)
            return replace(on_day, freq=Freq.YEARLY, by_month=(month,))
        case RelativeYearly(month, days, index):
            return replace(_on_index(days, index), freq=Freq.YEARLY, by_month=(month,))


def _every(days: tuple[int, ...]) -> tuple[tuple[int, int], ...]:
    return tuple((0, day) for day in sorted(set(days)))


def _on_day(day: int) -> Rule:
    """Say «the d-th, or the last day of a shorter month»."""
    if day <= 28:
        return Rule(Freq.MONTHLY, by_month_day=(day,))
    if day >= 31:
        return Rule(Freq.MONTHLY, by_month_day=(-1,))
    return Rule(Freq.MONTHLY, by_month_day=tuple(range(28, day + 1)), by_set_pos=(-1,))


def _on_index(days: tuple[int, ...], index: Index) -> Rule:
    place = _PLACE[index]
    if tuple(sorted(days)) == EVERY_DAY:
        return Rule(Freq.MONTHLY, by_month_day=(place,))
    if len(days) == 1:
        return Rule(Freq.MONTHLY, by_day=((place, days[0]),))
    return Rule(Freq.MONTHLY, by_day=_every(days), by_set_pos=(place,))


# --- what a target without the pattern gets ----------------------------------------------------------------------


class Grade(StrEnum):
    """How a series can live in a system with Exchange patterns."""

    EXACT = "exact"
    EXPLODED = "exploded"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Verdict:
    """A grade with its reason, the code of a sentence; empty where exact."""

    grade: Grade
    reason: str = ""


def grade(series: Series, window: Timespan, limit: int = 400, reader: tzinfo = UTC) -> Verdict:
    """Say whether a series fits as it is, as at most *limit* single events within *window*, or not at all."""
    reason = _obstacle(series)
    if not reason:
        return Verdict(Grade.EXACT)
    try:
        occurrences = sum(1 for _ in expand(series, window, reader, limit))
    except Permanent:
        return Verdict(Grade.REFUSED, "recurrence.too_dense")
    return Verdict(Grade.EXPLODED, reason) if occurrences <= limit else Verdict(Grade.REFUSED, "recurrence.too_dense")


def _obstacle(series: Series) -> str:
    if series.is_detached:
        return "recurrence.detached"
    if not series.is_recurring:
        return ""
    if series.rdate:
        return "recurrence.extra_dates"
    found = to_pattern(series.rrule, series.event.start)
    if isinstance(found, NotExpressible):
        return found.reason
    return "recurrence.order" if _reorders(series) else ""


def _reorders(series: Series) -> bool:
    """Say whether occurrences pass or overlap each other: Exchange has one a day, in order, each over before the next."""
    length = wall_of(series.event.end) - wall_of(series.event.start)
    return (length > A_DAY and _is_too_long(series, length)) or _is_crossed(series, length)


def _is_too_long(series: Series, length: timedelta) -> bool:
    start = min(wall_of(series.event.start), LATEST - A_YEAR)
    return any(later - earlier < length for earlier, later in pairwise(slots(series, start, start + A_YEAR)))


def _is_crossed(series: Series, length: timedelta) -> bool:
    """Say whether an override leaves the room between its neighbours. All is told on the clock of the series."""
    told = {wall_of(override.recurrence_id): _on_clock(series.event.start, override.event) for override in series.overrides}
    moved = {slot: span for slot, span in told.items() if span != (slot, slot + length)}
    if not moved:
        return False
    reach = max(length, A_DAY)
    spans = {slot: _widened(min(slot, start), max(slot, end), reach) for slot, (start, end) in moved.items()}
    days = slots(series, min(low for low, _ in spans.values()), max(high for _, high in spans.values()))
    return any(
        _crosses(slot, moved[slot], other, told.get(other) or (other, other + length))
        for slot, (low, high) in spans.items()
        for other in days[bisect_left(days, low) : bisect_left(days, high)]
    )


def _on_clock(start: Point, event: Event) -> tuple[datetime, datetime]:
    begin, end = (
        wall_of(same_slot(start, point) if isinstance(start, Zoned) and isinstance(point, Zoned) else point)
        for point in (event.start, event.end)
    )
    return begin, end


def _widened(low: datetime, high: datetime, by: timedelta) -> tuple[datetime, datetime]:
    return max(low, EARLIEST + by) - by, min(high, LATEST - by) + by


def _crosses(slot: datetime, span: tuple[datetime, datetime], other: datetime, others: tuple[datetime, datetime]) -> bool:
    """Say whether an occurrence is not in its place before or after another one."""
    before, after = (span, others) if slot < other else (others, span)
    return slot != other and (before[0].date() >= after[0].date() or before[1] > after[0])
