"""Recurrence patterns as XML, both ways, by way of `model.exchange_pattern`. Pure.

What is no pattern we know (lunar calendars, the regenerating ones of tasks) is refused, never guessed. The date of the
first occurrence is local to the series' zone, whatever offset it carries. Source: [MS-OXWSCDATA] §2.2.4 (`RecurrenceType`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from functools import lru_cache
from typing import Final

from gleichtakt.model.event import Series
from gleichtakt.model.exchange_pattern import (
    EVERY_DAY,
    WEEKDAYS,
    WEEKEND,
    AbsoluteMonthly,
    AbsoluteYearly,
    Cycle,
    Daily,
    Index,
    NotExpressible,
    Pattern,
    RelativeMonthly,
    RelativeYearly,
    Weekly,
    to_pattern,
    to_rule,
)
from gleichtakt.model.point import Point, wall_of
from gleichtakt.model.recurrence import slots
from gleichtakt.providers.ews.wire import names
from gleichtakt.providers.ews.wire.names import MONTHS, knows, local_name
from gleichtakt.providers.ews.wire.soap import Element
from gleichtakt.providers.ews.wire.times import read_date

SUNDAY: Final = 6  # where weeks begin for a server that is told nothing


class UnknownPattern(ValueError):
    """The recurrence says something no rule of ours says."""


# --- reading ------------------------------------------------------------------------------------------------------

_DAY_SETS: Final[Mapping[str, tuple[int, ...]]] = {
    **{name: (day,) for day, name in enumerate(names.WEEKDAYS)},
    "Day": EVERY_DAY,
    "Weekday": WEEKDAYS,
    "WeekendDay": WEEKEND,
}
_INDEX: Final = {index.value.capitalize(): index for index in Index}


Said = Mapping[str, str]  # what the elements of one pattern or range say, by local name


def _days(said: Said) -> tuple[int, ...]:
    found = {day for name in said["DaysOfWeek"].split() for day in _DAY_SETS[name]}
    if not found:
        raise UnknownPattern("DaysOfWeek")
    return tuple(sorted(found))


def _interval(said: Said) -> int:
    return int(said.get("Interval") or 1)


def _month(said: Said) -> int:
    return MONTHS.index(said["Month"]) + 1


def _weekly(said: Said) -> Cycle:
    first = said.get("FirstDayOfWeek")
    return Weekly(_interval(said), _days(said), names.WEEKDAYS.index(first) if first else SUNDAY)


def _absolute_monthly(said: Said) -> Cycle:
    return AbsoluteMonthly(_interval(said), int(said["DayOfMonth"]))


def _relative_monthly(said: Said) -> Cycle:
    return RelativeMonthly(_interval(said), _days(said), _INDEX[said["DayOfWeekIndex"]])


def _absolute_yearly(said: Said) -> Cycle:
    return AbsoluteYearly(_month(said), int(said["DayOfMonth"]))


def _relative_yearly(said: Said) -> Cycle:
    return RelativeYearly(_month(said), _days(said), _INDEX[said["DayOfWeekIndex"]])


_CYCLES: Final[Mapping[str, Callable[[Said], Cycle]]] = {
    "DailyRecurrence": lambda said: Daily(_interval(said)),
    "WeeklyRecurrence": _weekly,
    "AbsoluteMonthlyRecurrence": _absolute_monthly,
    "RelativeMonthlyRecurrence": _relative_monthly,
    "AbsoluteYearlyRecurrence": _absolute_yearly,
    "RelativeYearlyRecurrence": _relative_yearly,
}
_RANGES: Final = frozenset({"NoEndRecurrence", "EndDateRecurrence", "NumberedRecurrence"})


def read_pattern(recurrence: Element) -> Pattern:
    """Read a `Recurrence`. Raises UnknownPattern, with the name of what is unknown."""
    parts = {local_name(each.tag): each for each in recurrence}
    kind = next((name for name in parts if name in _CYCLES), "")
    span = next((name for name in parts if name in _RANGES), "")
    if not kind or not span:
        raise UnknownPattern(", ".join(parts) or "Recurrence")
    try:
        cycle, limits = _CYCLES[kind](_said(parts[kind])), _said(parts[span])
    except (KeyError, ValueError):
        raise UnknownPattern(kind) from None
    try:
        end, count = limits.get("EndDate"), limits.get("NumberOfOccurrences")
        return Pattern(
            cycle,
            read_date(limits["StartDate"]),
            read_date(end) if end is not None else None,
            int(count) if count is not None else None,
        )
    except (KeyError, ValueError):
        raise UnknownPattern(span) from None


def _said(element: Element) -> Said:
    return {local_name(each.tag): (each.text or "").strip() for each in element}


@lru_cache(maxsize=1024)
def rule_of(pattern: Pattern, start: Point) -> str:
    """Give the rule of a pattern for a series that starts at a point."""
    return to_rule(pattern, start)


# --- writing ------------------------------------------------------------------------------------------------------


def pattern_of(series: Series, version: str) -> Pattern | NotExpressible:
    """Give the pattern a server of *version* shows the same occurrences for, or why there is none."""
    found = to_pattern(series.rrule, series.event.start)
    if isinstance(found, NotExpressible) or not isinstance(found.cycle, Weekly) or knows(version, "Exchange2010_SP1"):
        return found
    said_nothing = replace(found.cycle, first_day=SUNDAY)
    if _weeks_differ(found.cycle, said_nothing, found.start.weekday()):
        return NotExpressible("recurrence.weekly_limits")
    return replace(found, cycle=said_nothing)


def _weeks_differ(one: Weekly, other: Weekly, start: int) -> bool:
    """Say whether the first day of the week decides in which week the days of a series that starts on a weekday fall."""

    def distances(cycle: Weekly) -> set[int]:
        return {(day - cycle.first_day) % 7 - (start - cycle.first_day) % 7 for day in cycle.days}

    return one.interval > 1 and distances(one) != distances(other)


def write_pattern(pattern: Pattern, version: str) -> str:
    """Give the `Recurrence` element."""
    return f"<t:Recurrence>{_cycle(pattern.cycle, version)}{_span(pattern)}</t:Recurrence>"


def _cycle(cycle: Cycle, version: str) -> str:
    match cycle:
        case Daily(interval):
            return _element("DailyRecurrence", Interval=interval)
        case Weekly(interval, days, first_day):
            written = " ".join(names.WEEKDAYS[day] for day in days)
            if not knows(version, "Exchange2010_SP1"):
                return _element("WeeklyRecurrence", Interval=interval, DaysOfWeek=written)
            return _element("WeeklyRecurrence", Interval=interval, DaysOfWeek=written, FirstDayOfWeek=names.WEEKDAYS[first_day])
        case AbsoluteMonthly(interval, day):
            return _element("AbsoluteMonthlyRecurrence", Interval=interval, DayOfMonth=day)
        case RelativeMonthly(interval, days, index):
            return _element(
                "RelativeMonthlyRecurrence", Interval=interval, DaysOfWeek=_set(days), DayOfWeekIndex=index.value.capitalize()
            )
        case AbsoluteYearly(month, day):
            return _element("AbsoluteYearlyRecurrence", DayOfMonth=day, Month=MONTHS[month - 1])
        case RelativeYearly(month, days, index):
            found = {"DaysOfWeek": _set(days), "DayOfWeekIndex": index.value.capitalize(), "Month": MONTHS[month - 1]}
            return _element("RelativeYearlyRecurrence", **found)


def _set(days: tuple[int, ...]) -> str:
    return next(name for name, found in _DAY_SETS.items() if found == tuple(sorted(days)))


def _element(name: str, **content: object) -> str:
    inner = "".join(f"<t:{key}>{value}</t:{key}>" for key, value in content.items())
    return f"<t:{name}>{inner}</t:{name}>"


def _span(pattern: Pattern) -> str:
    start = pattern.start.isoformat()
    if pattern.count is not None:
        return _element("NumberedRecurrence", StartDate=start, NumberOfOccurrences=pattern.count)
    if pattern.end is not None:
        return _element("EndDateRecurrence", StartDate=start, EndDate=pattern.end.isoformat())
    return _element("NoEndRecurrence", StartDate=start)


# --- occurrences by number ----------------------------------------------------------------------------------------


def index_of(series: Series, slot: Point) -> int | None:
    """Give the number Exchange knows an occurrence by: from 1, deleted ones counted; None where the series has no such slot."""
    wall = wall_of(slot)
    before = slots(series, wall_of(series.event.start), wall + timedelta(seconds=1))
    return len(before) if before and before[-1] == wall else None
