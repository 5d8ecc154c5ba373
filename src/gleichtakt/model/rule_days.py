"""The days of a year or a month that meet a rule, as ordinals (`date.toordinal`), which reach past both ends of the calendar.

Every part of a rule that names days gives a set, and the sets meet; a year of the Gregorian calendar is the widest frame.
Sources: RFC 5545 §3.3.10 (table of BY parts), RFC 7529 §4.1 (SKIP).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from gleichtakt.model.rule import Rule, Skip

MONTH_DAYS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def days_of_year(rule: Rule, year: int) -> set[int]:
    """Give the days of a year that meet every part of a rule."""
    found: set[int] | None = None
    months = rule.by_month or range(1, 13)
    if rule.by_month_day:
        found = {day for month in months for day in _month_days(rule, year, month)}
    elif rule.by_month and not any(ordinal for ordinal, _ in rule.by_day):
        found = {day for month in months for day in _all_of_month(year, month)}
    if rule.by_year_day:
        found = _both(found, _year_days(rule, year))
    if rule.by_week_no:
        found = _both(found, _week_days(rule, year))
    if rule.by_day:
        found = _both(found, _weekdays_of_year(rule, year))
    return found if found is not None else set(range(year_start(year), year_start(year + 1)))


def days_of_month(rule: Rule, year: int, month: int) -> set[int]:
    """Give the days of a month that meet every part of a rule."""
    if rule.by_month and month not in rule.by_month:
        return set()
    found = set(_month_days(rule, year, month)) if rule.by_month_day else None
    if rule.by_day:
        first, size = month_start(year, month), month_size(year, month)
        found = _both(found, _weekdays_within(rule, first, size))
    if rule.by_year_day:
        found = _both(found, _year_days(rule, year))
    if rule.by_week_no:
        found = _both(found, _week_days(rule, year))
    everyday = set(_all_of_month(year, month))
    return found if found is not None and rule.by_month_day else _both(found, everyday)


def _both(found: set[int] | None, more: set[int]) -> set[int]:
    return more if found is None else found & more


def _all_of_month(year: int, month: int) -> range:
    first = month_start(year, month)
    return range(first, first + month_size(year, month))


def _month_days(rule: Rule, year: int, month: int) -> list[int]:
    first, size = month_start(year, month), month_size(year, month)
    return _placed(rule.by_month_day, first, size, rule.skip)


def _year_days(rule: Rule, year: int) -> set[int]:
    first = year_start(year)
    return set(_placed(rule.by_year_day, first, year_start(year + 1) - first, rule.skip))


def _placed(numbers: Sequence[int], first: int, size: int, skip: Skip) -> list[int]:
    """Turn day numbers of a stretch into days; SKIP says what a number beyond the stretch becomes (RFC 7529 §4.1)."""
    days = [first + (number - 1 if number > 0 else size + number) for number in numbers]
    if skip is Skip.OMIT:
        return [day for day in days if first <= day < first + size]
    return [_moved(day, first, size, skip) for day in days]


def _moved(day: int, first: int, size: int, skip: Skip) -> int:
    if day < first:
        return first - 1 if skip is Skip.BACKWARD else first
    if day >= first + size:
        return first + size - (skip is Skip.BACKWARD)
    return day


def _weekdays_of_year(rule: Rule, year: int) -> set[int]:
    if not rule.by_month:
        return _weekdays_within(rule, year_start(year), year_start(year + 1) - year_start(year))
    stretches = ((month_start(year, month), month_size(year, month)) for month in rule.by_month)
    return {day for first, size in stretches for day in _weekdays_within(rule, first, size)}


def _weekdays_within(rule: Rule, first: int, size: int) -> set[int]:
    """Give the days of a stretch named by BYDAY: every such weekday, or its n-th from either end."""
    found: set[int] = set()
    for ordinal, weekday in rule.by_day:
        days = range(first + (weekday - first + 1) % 7, first + size, 7)
        if not ordinal:
            found.update(days)
        elif abs(ordinal) <= len(days):
            found.add(days[ordinal - 1 if ordinal > 0 else ordinal])
    return found


def _week_days(rule: Rule, year: int) -> set[int]:
    """Give the days of a calendar year that lie in the numbered weeks, also those of its neighbours' edge weeks."""
    within = range(year_start(year), year_start(year + 1))
    found: set[int] = set()
    for week_year in (year - 1, year, year + 1):
        first = week_one(week_year, rule.week_start)
        weeks = (week_one(week_year + 1, rule.week_start) - first) // 7
        for number in rule.by_week_no:
            week = number - 1 if number > 0 else weeks + number
            if 0 <= week < weeks:
                found.update(day for day in range(first + 7 * week, first + 7 * week + 7) if day in within)
    return found


def year_start(year: int) -> int:
    """Give the ordinal of 1 January, also of the years 0 and 10000."""
    before = year - 1
    return before * 365 + before // 4 - before // 100 + before // 400 + 1


def month_start(year: int, month: int) -> int:
    """Give the ordinal of the first of a month."""
    return date(year, month, 1).toordinal()


def month_size(year: int, month: int) -> int:
    """Give the number of days of a month."""
    leap = month == 2 and year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    return MONTH_DAYS[month - 1] + leap


def week_one(year: int, week_start: int) -> int:
    """Give the ordinal of the first day of week 1: the first week with four days in the year."""
    fourth = year_start(year) + 3
    return fourth - (fourth - 1 - week_start) % 7
