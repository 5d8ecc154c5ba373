"""Patterns of series as the RRULE they are in iCalendar, and back. What no pattern says is refused."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from gleichtakt.model import exchange_pattern as model
from gleichtakt.model.exchange_pattern import Index, NotExpressible
from gleichtakt.model.point import Day, Floating, Point
from gleichtakt.simulators.exchange.calendar import Pattern
from gleichtakt.simulators.exchange.state import Refused
from gleichtakt.simulators.exchange.zones import DAYS, MONTHS, Zone

_SETS = {model.EVERY_DAY: "Day", model.WEEKDAYS: "Weekday", model.WEEKEND: "WeekendDay"}
_INDEXES = {index: index.value.title() for index in Index}


def _names(days: tuple[int, ...]) -> str:
    return " ".join(DAYS[day] for day in days)


def _set(days: tuple[int, ...]) -> str:
    return _SETS.get(days) or _names(days)


def _parts(cycle: model.Cycle) -> tuple[str, Mapping[str, str]]:
    match cycle:
        case model.Daily(interval):
            return "DailyRecurrence", {"Interval": str(interval)}
        case model.Weekly(interval, days, first):
            told = {"Interval": str(interval), "DaysOfWeek": _names(days), "FirstDayOfWeek": DAYS[first]}
            return "WeeklyRecurrence", told
        case model.AbsoluteMonthly(interval, day):
            return "AbsoluteMonthlyRecurrence", {"Interval": str(interval), "DayOfMonth": str(day)}
        case model.RelativeMonthly(interval, days, index):
            told = {"Interval": str(interval), "DaysOfWeek": _set(days), "DayOfWeekIndex": _INDEXES[index]}
            return "RelativeMonthlyRecurrence", told
        case model.AbsoluteYearly(month, day):
            return "AbsoluteYearlyRecurrence", {"DayOfMonth": str(day), "Month": MONTHS[month - 1]}
        case model.RelativeYearly(month, days, index):
            told = {"DaysOfWeek": _set(days), "DayOfWeekIndex": _INDEXES[index], "Month": MONTHS[month - 1]}
            return "RelativeYearlyRecurrence", told


def pattern_of_rule(rule: str, start: Point) -> Pattern:
    """Give the pattern of a rule. start: of the series. Raises Refused where there is none."""
    found = model.to_pattern(rule, start)
    if isinstance(found, NotExpressible):
        raise Refused("ErrorMimeContentConversionFailed", "The recurrence of the MIME content cannot be converted.")
    kind, parts = _parts(found.cycle)
    return Pattern(kind, tuple(parts.items()), found.start, found.end, found.count)


# --- to a rule ---------------------------------------------------------------------------------------------------


def _number(pattern: Pattern, name: str) -> int:
    return int(pattern.part(name))


def _days(pattern: Pattern) -> tuple[int, ...]:
    return tuple(sorted(pattern.weekdays))


def _index(pattern: Pattern) -> Index:
    return Index(pattern.part("DayOfWeekIndex").lower())


def _month(pattern: Pattern) -> int:
    return MONTHS.index(pattern.part("Month")) + 1


_CYCLES: Mapping[str, Callable[[Pattern], model.Cycle]] = {
    "DailyRecurrence": lambda one: model.Daily(one.interval),
    "WeeklyRecurrence": lambda one: model.Weekly(one.interval, _days(one), DAYS.index(one.part("FirstDayOfWeek") or "Sunday")),
    "AbsoluteMonthlyRecurrence": lambda one: model.AbsoluteMonthly(one.interval, _number(one, "DayOfMonth")),
    "RelativeMonthlyRecurrence": lambda one: model.RelativeMonthly(one.interval, _days(one), _index(one)),
    "AbsoluteYearlyRecurrence": lambda one: model.AbsoluteYearly(_month(one), _number(one, "DayOfMonth")),
    "RelativeYearlyRecurrence": lambda one: model.RelativeYearly(_month(one), _days(one), _index(one)),
}


def rule_of_pattern(pattern: Pattern, first: datetime, zone: Zone, *, is_all_day: bool) -> str:
    """Give the rule of a pattern. first: wall clock of the first occurrence. An end is written in UTC, or as a date."""
    start: Point = Day(first.date()) if is_all_day else Floating(first)
    endless = model.Pattern(_CYCLES[pattern.kind](pattern), pattern.start, None, pattern.number)
    rule = model.to_rule(endless, start)
    if pattern.end is None:
        return rule
    if is_all_day:
        return f"{rule};UNTIL={pattern.end:%Y%m%d}"
    last = zone.instant(datetime.combine(pattern.end, first.time())).astimezone(UTC)
    return f"{rule};UNTIL={last:%Y%m%dT%H%M%SZ}"
