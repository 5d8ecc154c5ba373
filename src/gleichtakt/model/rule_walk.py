"""The wall-clock readings a rule produces, in order, on naive local time; zones are attached elsewhere.

Own and not a library's, for three reasons: a walk must stop within a budget even where a rule never hits anything,
it must start near the window asked for and not in 1604, and SKIP (RFC 7529) acts in the middle of it. The tests hold
it against python-dateutil. Which days of a year or month meet a rule is said in `rule_days`.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from itertools import count as counting
from itertools import islice, product, takewhile

from gleichtakt.errors import Permanent, Scope
from gleichtakt.model.rule import Freq, Rule
from gleichtakt.model.rule_days import days_of_month, days_of_year, month_start, year_start

MAX_STEPS = 150_000  # periods looked at and readings produced in one walk: about a tenth of a second

_LAST = date.max.toordinal()
_END = datetime.combine(date.max, time.max)
_PER_DAY = {Freq.HOURLY: 24, Freq.MINUTELY: 1440, Freq.SECONDLY: 86400}
#: Periods in 400 years, after which the calendar repeats to the weekday: silent for so long is silent for ever.
_CYCLE = {Freq.YEARLY: 400, Freq.MONTHLY: 4_800, Freq.WEEKLY: 20_871, Freq.DAILY: 146_097}


class Budget:
    """Steps a caller is ready to pay for; shared by all rules of one series."""

    def __init__(self, steps: int = MAX_STEPS) -> None:
        """steps: as counted by `walk`."""
        self.left = steps

    def spend(self, steps: int = 1) -> None:
        """Raise Permanent (SERIES) when nothing is left."""
        self.left -= steps
        if self.left < 0:
            raise Permanent("ics.too_dense", Scope.SERIES, detail="the recurrence rule exceeds the steps allowed")


def walk(
    rule: Rule, start: datetime, budget: Budget, since: datetime | None = None, before: datetime | None = None
) -> Iterator[datetime]:
    """Yield the readings of a rule from its start on, in order, without UNTIL.

    since, before: a hint which part is wanted, half-open; readings before it may still come first, none after it.
    A start that the rule does not hit is not among them and does not count.
    """
    if (even := _even(rule, start)) is not None:
        return _by_addition(rule, *even, budget, since, before)
    filled = fill(rule, start)
    lower = start if since is None or rule.count is not None else max(start, since)
    by = _by_days if rule.freq <= Freq.DAILY else _by_units
    readings = by(filled, start, lower, before, budget)
    if before is not None:
        readings = takewhile(before.__gt__, readings)
    return readings if rule.count is None else islice(readings, rule.count)


def fill(rule: Rule, start: datetime) -> Rule:
    """Take from the start what the rule leaves open (RFC 5545 §3.3.10, «derived from DTSTART»)."""
    seconds = tuple(sorted({min(second, 59) for second in rule.by_second}))  # a leap second has no place on our clocks
    return replace(
        fill_days(rule, start),
        by_hour=rule.by_hour or ((start.hour,) if rule.freq < Freq.HOURLY else ()),
        by_minute=rule.by_minute or ((start.minute,) if rule.freq < Freq.MINUTELY else ()),
        by_second=seconds or ((start.second,) if rule.freq < Freq.SECONDLY else ()),
    )


def fill_days(rule: Rule, start: date) -> Rule:
    """Take the day from the start where the rule names none."""
    if rule.by_week_no or rule.by_year_day or rule.by_month_day or rule.by_day:
        return rule
    if rule.freq == Freq.WEEKLY:
        return replace(rule, by_day=((0, start.weekday()),))
    if rule.freq == Freq.MONTHLY:
        return replace(rule, by_month_day=(start.day,))
    if rule.freq == Freq.YEARLY:
        return replace(rule, by_month=rule.by_month or (start.month,), by_month_day=(start.day,))
    return rule


# --- rules with one reading every so many days -------------------------------------------------------------------


def _even(rule: Rule, start: datetime) -> tuple[datetime, timedelta] | None:
    """Give the first reading and the step of a rule that is nothing but a step, as most are."""
    if rule.freq not in (Freq.DAILY, Freq.WEEKLY) or len(rule.by_day) > 1 or _limits_more_than_weekdays(rule):
        return None
    if rule.freq == Freq.DAILY:
        return (start, timedelta(days=min(rule.interval, _LAST))) if not rule.by_day else None
    step = timedelta(days=min(7 * rule.interval, _LAST))
    weekday = rule.by_day[0][1] if rule.by_day else start.weekday()
    days = (weekday - rule.week_start) % 7 - (start.weekday() - rule.week_start) % 7
    try:
        return start + timedelta(days=days) + (step if days < 0 else timedelta(0)), step
    except OverflowError:
        return None


def _limits_more_than_weekdays(rule: Rule) -> bool:
    return bool(
        rule.by_month
        or rule.by_month_day
        or rule.by_year_day
        or rule.by_week_no
        or rule.by_hour
        or rule.by_minute
        or rule.by_second
        or rule.by_set_pos
    )


def _by_addition(
    rule: Rule, first: datetime, step: timedelta, budget: Budget, since: datetime | None, before: datetime | None
) -> Iterator[datetime]:
    passed = max(0, (since - first) // step) if since is not None else 0
    total = (min(before, _END) if before is not None else _END) - first
    hits = -(-total // step) if rule.count is None else min(-(-total // step), rule.count)
    if passed >= hits:
        return
    reading = first + passed * step
    for _ in range(hits - passed - 1):
        budget.left -= 1
        if budget.left < 0:
            budget.spend()
        yield reading
        reading += step
    yield reading


# --- rules that count in days or longer --------------------------------------------------------------------------


def _by_days(rule: Rule, start: datetime, lower: datetime, before: datetime | None, budget: Budget) -> Iterator[datetime]:
    readings_of = _readings(rule)
    last_day = before.toordinal() + 31 if before is not None else _LAST + 31  # SKIP and weeks reach a little back
    lower_day = lower.toordinal()
    last: datetime | None = None
    silent = 0
    for first_day, days in _PERIODS[rule.freq](rule, start, lower):
        if silent > _CYCLE[rule.freq] or first_day > last_day:
            return
        budget.spend()
        silent += 1
        if days and days[0] < lower_day and not rule.by_set_pos:
            days = days[bisect_left(days, lower_day) :]  # noqa: PLW2901 – the first period begins in its middle
        for reading in readings_of(days):
            budget.left -= 1
            if budget.left < 0:
                budget.spend()
            if reading < lower or (last is not None and reading <= last):  # SKIP may name a day twice
                continue
            silent, last = 0, reading
            yield reading


def _readings(rule: Rule) -> Callable[[Sequence[int]], Iterable[datetime]]:
    """Give the function from the days of a period to its readings, BYSETPOS applied."""
    clock = _Clock(rule.by_hour, rule.by_minute, rule.by_second)
    times: Sequence[time] = tuple(clock) if len(clock) <= 1440 else clock
    combine, day_of = datetime.combine, date.fromordinal

    def every(days: Sequence[int]) -> Iterable[datetime]:
        if len(times) == 1:
            return [combine(day_of(day), times[0]) for day in days if 1 <= day <= _LAST]
        return (combine(day_of(day), moment) for day in days if 1 <= day <= _LAST for moment in times)

    def placed(days: Sequence[int]) -> Iterable[datetime]:
        size = len(days) * len(times)
        places = sorted({place - 1 if place > 0 else size + place for place in rule.by_set_pos})
        found = (divmod(place, len(times)) for place in places if 0 <= place < size)
        return (combine(day_of(days[day]), times[moment]) for day, moment in found if 1 <= days[day] <= _LAST)

    return placed if rule.by_set_pos else every


class _Clock(Sequence[time]):
    """Every combination of hours, minutes and seconds, in order, without building the list."""

    def __init__(self, hours: Sequence[int], minutes: Sequence[int], seconds: Sequence[int]) -> None:
        self.hours, self.minutes, self.seconds = hours, minutes, seconds

    def __len__(self) -> int:
        return len(self.hours) * len(self.minutes) * len(self.seconds)

    def __getitem__(self, place: int) -> time:  # type: ignore[override]
        if not 0 <= place < len(self):
            raise IndexError(place)
        rest, second = divmod(place, len(self.seconds))
        hour, minute = divmod(rest, len(self.minutes))
        return time(self.hours[hour], self.minutes[minute], self.seconds[second])


def _years(rule: Rule, start: datetime, lower: datetime) -> Iterator[tuple[int, Sequence[int]]]:
    skipped = max(0, lower.year - start.year - 1) // rule.interval * rule.interval
    for year in range(start.year + skipped, 10_000, rule.interval):
        yield year_start(year), sorted(days_of_year(rule, year))


def _months(rule: Rule, start: datetime, lower: datetime) -> Iterator[tuple[int, Sequence[int]]]:
    first = start.year * 12 + start.month - 1
    skipped = max(0, lower.year * 12 + lower.month - 2 - first) // rule.interval * rule.interval
    for month in range(first + skipped, 120_000, rule.interval):
        year, zero_based = divmod(month, 12)
        yield month_start(year, zero_based + 1), sorted(days_of_month(rule, year, zero_based + 1))


def _weeks(rule: Rule, start: datetime, lower: datetime) -> Iterator[tuple[int, Sequence[int]]]:
    first = start.toordinal() - (start.weekday() - rule.week_start) % 7
    step = 7 * rule.interval
    skipped = max(0, lower.toordinal() - first) // step * step
    fits = _limit(replace(rule, by_day=()))
    offsets = sorted((weekday - rule.week_start) % 7 for _, weekday in rule.by_day) or list(range(7))
    for week in range(first + skipped, _LAST + 1, step):
        days = [week + offset for offset in offsets]
        yield week, days if fits is None else [day for day in days if day >= 1 and fits(day)]


def _days(rule: Rule, start: datetime, lower: datetime) -> Iterator[tuple[int, Sequence[int]]]:
    first = start.toordinal()
    skipped = max(0, lower.toordinal() - first) // rule.interval * rule.interval
    if not _narrows(rule):
        for day in range(first + skipped, _LAST + 1, rule.interval):
            yield day, (day,)
        return
    for day in _fitting_days(rule, first + skipped):
        hit = day > 0 and (day - first) % rule.interval == 0
        yield abs(day), (day,) if hit else ()


#: For each frequency the first days of its periods and the days hit in them, beginning with the one that holds *lower*.
_PERIODS: dict[Freq, Callable[[Rule, datetime, datetime], Iterator[tuple[int, Sequence[int]]]]] = {
    Freq.YEARLY: _years,
    Freq.MONTHLY: _months,
    Freq.WEEKLY: _weeks,
    Freq.DAILY: _days,
}


def _fitting_days(rule: Rule, first: int) -> Iterator[int]:
    """Yield the days from *first* on that meet the limits of a rule; a month without any as its negated first day."""
    begin = date.fromordinal(first)
    for month in range(begin.year * 12 + begin.month - 1, 120_000):
        year, zero_based = divmod(month, 12)
        days = sorted(days_of_month(rule, year, zero_based + 1))
        if not days:
            yield -month_start(year, zero_based + 1)
        yield from (day for day in days if day >= first)


def _narrows(rule: Rule) -> bool:
    return bool(rule.by_month or rule.by_month_day or rule.by_year_day or rule.by_week_no or rule.by_day)


def _limit(rule: Rule) -> Callable[[int], bool] | None:
    """Give the test whether a day meets the parts of a rule, or None where it names none."""
    if not _narrows(rule):
        return None
    months: dict[tuple[int, int], set[int]] = {}

    def fits(day: int) -> bool:
        when = date.fromordinal(day)
        key = when.year, when.month
        if key not in months:
            months.clear()
            months[key] = days_of_month(rule, *key)
        return day in months[key]

    return fits


# --- rules that count in hours, minutes or seconds ---------------------------------------------------------------


def _by_units(rule: Rule, start: datetime, lower: datetime, before: datetime | None, budget: Budget) -> Iterator[datetime]:
    per_day = _PER_DAY[rule.freq]
    inner = _inner_seconds(rule)
    unit_seconds = 86400 // per_day
    limit = before.toordinal() if before is not None else _LAST
    for day, unit in _units(rule, start, lower, limit, budget):
        midnight = datetime.fromordinal(day)
        for second in inner:
            budget.left -= 1
            if budget.left < 0:
                budget.spend()
            reading = midnight + timedelta(0, unit * unit_seconds + second)
            if reading >= lower:
                yield reading


def _inner_seconds(rule: Rule) -> list[int]:
    """Give the seconds hit within each unit, BYSETPOS applied."""
    minutes = rule.by_minute if rule.freq == Freq.HOURLY else (0,)
    seconds = rule.by_second if rule.freq < Freq.SECONDLY else (0,)
    every = [minute * 60 + second for minute, second in product(minutes, seconds)]
    if not rule.by_set_pos:
        return every
    places = {place - 1 if place > 0 else len(every) + place for place in rule.by_set_pos}
    return [every[place] for place in sorted(places) if 0 <= place < len(every)]


def _units(rule: Rule, start: datetime, lower: datetime, last_day: int, budget: Budget) -> Iterator[tuple[int, int]]:
    """Yield day and unit of the day (hour, minute or second) of every step that meets the limits."""
    per_day = _PER_DAY[rule.freq]
    first = _unit_number(start, per_day)
    wanted = _unit_number(lower, per_day)
    if rule.interval >= per_day:
        yield from _long_steps(rule, first, wanted, last_day, budget)
        return
    if not (allowed := _reachable(_allowed_units(rule), first, math.gcd(rule.interval, per_day))):
        return
    for day in _fitting_days(rule, lower.toordinal()) if _narrows(rule) else counting(lower.toordinal()):
        budget.spend(3)
        if abs(day) > last_day:
            return
        if day > 0:
            yield from ((day, unit) for unit in _in_step(allowed, day * per_day, first, rule.interval, wanted, budget))


def _reachable(units: Sequence[int], first: int, step: int) -> Sequence[int]:
    """Drop the units of the day that no number of steps ever meets."""
    return units if isinstance(units, range) else [unit for unit in units if (unit - first) % step == 0]


def _unit_number(wall: datetime, per_day: int) -> int:
    return wall.toordinal() * per_day + (wall.hour * 3600 + wall.minute * 60 + wall.second) * per_day // 86400


def _long_steps(rule: Rule, first: int, wanted: int, last_day: int, budget: Budget) -> Iterator[tuple[int, int]]:
    per_day = _PER_DAY[rule.freq]
    allowed = _allowed_units(rule)
    fits = _limit(rule)
    skipped = max(0, wanted - first) // rule.interval * rule.interval
    for number in range(first + skipped, (last_day + 1) * per_day, rule.interval):
        budget.spend()
        day, unit = divmod(number, per_day)
        if unit in allowed and (fits is None or fits(day)):
            yield day, unit


def _in_step(allowed: Sequence[int], midnight: int, first: int, interval: int, wanted: int, budget: Budget) -> Iterator[int]:
    if isinstance(allowed, range):
        begin = max(midnight, wanted)
        begin += (first - begin) % interval
        yield from (number - midnight for number in range(begin, midnight + len(allowed), interval))
        return
    budget.spend(len(allowed) // 16)
    yield from (unit for unit in allowed if midnight + unit >= wanted and (midnight + unit - first) % interval == 0)


def _allowed_units(rule: Rule) -> Sequence[int]:
    hours = rule.by_hour or range(24)
    minutes = rule.by_minute or range(60)
    seconds = rule.by_second or range(60)
    if rule.freq == Freq.HOURLY:
        return rule.by_hour or range(24)
    if rule.freq == Freq.MINUTELY:
        limited = rule.by_hour or rule.by_minute
        return [hour * 60 + minute for hour, minute in product(hours, minutes)] if limited else range(1440)
    limited = rule.by_hour or rule.by_minute or rule.by_second
    every = product(hours, minutes, seconds)
    return sorted({h * 3600 + m * 60 + min(s, 59) for h, m, s in every}) if limited else range(86400)
