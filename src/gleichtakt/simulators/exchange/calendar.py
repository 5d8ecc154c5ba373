"""What Exchange makes of a calendar item: the days of a pattern, occurrences by number, all-day rounding, neighbours.

Occurrences are keyed by their original date on the wall clock of the series' zone: Exchange has one a day, in order,
and keeps them so. Patterns are walked here once more, apart from the model's rules. Source: [MS-OXOCAL] §2.2.1.44.
"""

from __future__ import annotations

from bisect import bisect_left
from calendar import monthrange
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from itertools import count, islice, pairwise

from lxml import etree

from gleichtakt.simulators.exchange.soap import add, local, t
from gleichtakt.simulators.exchange.state import Item, Refused
from gleichtakt.simulators.exchange.zones import DAYS, INDEXES, MONTHS, UTC_ZONE, Zone

#: Pattern -> the elements without which it says nothing.
PATTERNS: Mapping[str, frozenset[str]] = {
    "RelativeYearlyRecurrence": frozenset({"DaysOfWeek", "DayOfWeekIndex", "Month"}),
    "AbsoluteYearlyRecurrence": frozenset({"DayOfMonth", "Month"}),
    "RelativeMonthlyRecurrence": frozenset({"Interval", "DaysOfWeek", "DayOfWeekIndex"}),
    "AbsoluteMonthlyRecurrence": frozenset({"Interval", "DayOfMonth"}),
    "WeeklyRecurrence": frozenset({"Interval", "DaysOfWeek"}),
    "DailyRecurrence": frozenset({"Interval"}),
}
RANGES = ("NoEndRecurrence", "EndDateRecurrence", "NumberedRecurrence")
FIRST_DAY = date(1601, 1, 1)
LAST_DAY = date(4500, 8, 31)  # until when a series without end goes
MOST_OCCURRENCES = 999
LONGEST = timedelta(days=5 * 366)
FAR = 4_000  # occurrences of a series without end that are looked at, at most
_SETS: Mapping[str, frozenset[int]] = {
    "Day": frozenset(range(7)),
    "Weekday": frozenset(range(5)),
    "WeekendDay": frozenset((5, 6)),
} | {name: frozenset((number,)) for number, name in enumerate(DAYS)}


@dataclass(frozen=True, slots=True)
class Pattern:
    """A Recurrence element. parts: its pattern's own elements as they came, in order."""

    kind: str
    parts: tuple[tuple[str, str], ...]
    start: date
    end: date | None = None
    number: int | None = None

    def part(self, name: str) -> str:
        """Give one of its parts; empty where it is not given."""
        return dict(self.parts).get(name, "")

    @property
    def interval(self) -> int:
        """Every how many days, weeks or months."""
        return int(self.part("Interval") or 1)

    @property
    def weekdays(self) -> frozenset[int]:
        """The weekdays it names, Monday 0."""
        return frozenset().union(*(_SETS[name] for name in self.part("DaysOfWeek").split()))


# --- reading and writing -----------------------------------------------------------------------------------------


def read_pattern(element: etree._Element) -> Pattern:
    """Read a Recurrence element. Raises Refused for what makes no sense."""
    parts = [one for one in element if isinstance(one.tag, str)]
    if len(parts) != 2 or local(parts[0]) not in PATTERNS or local(parts[1]) not in RANGES:
        raise Refused("ErrorCalendarInvalidRecurrence", "The recurrence is invalid.")
    try:
        start, end = _date(parts[1], "StartDate"), _date(parts[1], "EndDate")
        number = parts[1].findtext(t("NumberOfOccurrences"))
        read = tuple((local(one), (one.text or "").strip()) for one in parts[0])
        found = Pattern(local(parts[0]), read, start or date.min, end, int(number) if number else None)
        _check(found)
    except (KeyError, ValueError):
        raise Refused("ErrorCalendarInvalidRecurrence", "The recurrence is invalid.") from None
    return replace(found, start=first_day(found))


def _date(element: etree._Element, name: str) -> date | None:
    text = element.findtext(t(name))
    return date.fromisoformat(text.strip()[:10]) if text else None


def _check(pattern: Pattern) -> None:
    if not FIRST_DAY <= pattern.start <= LAST_DAY:
        raise Refused("ErrorCalendarOutOfRange", "The start date of the recurrence is out of range.")
    if not PATTERNS[pattern.kind] <= dict(pattern.parts).keys():
        raise ValueError
    if not 1 <= pattern.interval <= (999 if pattern.kind == "DailyRecurrence" else 99):
        raise ValueError
    if pattern.number is not None and not 1 <= pattern.number <= MOST_OCCURRENCES:
        raise ValueError
    if "DaysOfWeek" in dict(pattern.parts) and not pattern.weekdays:
        raise Refused("ErrorCalendarInvalidDayForWeeklyRecurrence", "The day of the week is invalid.")
    if "DayOfMonth" in dict(pattern.parts) and not 1 <= int(pattern.part("DayOfMonth")) <= 31:
        raise ValueError
    if pattern.end is not None and pattern.end > LAST_DAY:
        raise Refused("ErrorRecurrenceEndDateTooBig", "The end date of the recurrence is too big.")


def first_day(pattern: Pattern) -> date:
    """Give the first day of a pattern. Raises Refused where there is none."""
    found = next(days(pattern), None)
    if found is None:
        raise Refused("ErrorRecurrenceHasNoOccurrence", "The recurrence has no occurrence.")
    return found


def write_pattern(pattern: Pattern, zone: Zone) -> etree._Element:
    """Write a Recurrence element. Dates carry the offset they have in the zone of the series."""
    made = etree.Element(t("Recurrence"))
    shape = add(made, t(pattern.kind))
    for name, text in pattern.parts:
        add(shape, t(name), text)
    ends = "NumberedRecurrence" if pattern.number else "EndDateRecurrence" if pattern.end else "NoEndRecurrence"
    limits = add(made, t(ends))
    add(limits, t("StartDate"), _dated(pattern.start, zone))
    if pattern.end:
        add(limits, t("EndDate"), _dated(pattern.end, zone))
    if pattern.number:
        add(limits, t("NumberOfOccurrences"), str(pattern.number))
    return made


def _dated(day: date, zone: Zone) -> str:
    offset = datetime.combine(day, time(), zone.rules).isoformat()[19:]
    return f"{day.isoformat()}{'Z' if offset == '+00:00' else offset[:6]}"


# --- days --------------------------------------------------------------------------------------------------------


def days(pattern: Pattern) -> Iterator[date]:
    """Yield the days of a pattern, in order, deleted ones included."""
    found = (day for day in _WALKS[pattern.kind](pattern) if day >= pattern.start)
    last = pattern.end or LAST_DAY
    for place, day in enumerate(found):
        if day > last or (pattern.number is not None and place >= pattern.number):
            return
        yield day


def _daily(pattern: Pattern) -> Iterator[date]:
    for step in count(0, pattern.interval):
        yield pattern.start + timedelta(days=step)


def _weekly(pattern: Pattern) -> Iterator[date]:
    first = DAYS.index(pattern.part("FirstDayOfWeek") or "Sunday")
    week = pattern.start - timedelta(days=(pattern.start.weekday() - first) % 7)
    places = sorted((weekday - first) % 7 for weekday in pattern.weekdays)
    for step in count(0, pattern.interval):
        yield from (week + timedelta(days=7 * step + place) for place in places)


def _months(pattern: Pattern, month: int = 0) -> Iterator[tuple[int, int]]:
    """Yield the months looked at. month: the only one of the year."""
    step = 12 if month else pattern.interval
    for number in count(pattern.start.year * 12 + (month or pattern.start.month) - 1, step):
        yield number // 12, number % 12 + 1


def _absolute(pattern: Pattern) -> Iterator[date]:
    wished = int(pattern.part("DayOfMonth"))
    for year, month in _months(pattern, _month(pattern)):
        yield date(year, month, min(wished, monthrange(year, month)[1]))  # Exchange takes the last day of a shorter month


def _relative(pattern: Pattern) -> Iterator[date]:
    wished, index = pattern.weekdays, INDEXES.index(pattern.part("DayOfWeekIndex"))
    for year, month in _months(pattern, _month(pattern)):
        found = [date(year, month, day) for day in range(1, monthrange(year, month)[1] + 1)]
        hits = [day for day in found if day.weekday() in wished]
        yield hits[-1] if index == 4 else hits[index]


def _month(pattern: Pattern) -> int:
    return MONTHS.index(pattern.part("Month")) + 1 if "Yearly" in pattern.kind else 0


_WALKS: Mapping[str, Callable[[Pattern], Iterator[date]]] = {
    "DailyRecurrence": _daily,
    "WeeklyRecurrence": _weekly,
    "AbsoluteMonthlyRecurrence": _absolute,
    "AbsoluteYearlyRecurrence": _absolute,
    "RelativeMonthlyRecurrence": _relative,
    "RelativeYearlyRecurrence": _relative,
}


@lru_cache(maxsize=512)
def known_days(pattern: Pattern) -> tuple[date, ...]:
    """Give the days of a pattern, of one without end the first few thousand."""
    return tuple(islice(days(pattern), FAR if pattern.number is None else None))


# --- one item ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Span:
    """When something is, aware UTC."""

    start: datetime
    end: datetime


def zone_of_item(item: Item) -> Zone:
    """Give the zone whose wall clock a series follows."""
    found: Zone = item.values.get("StartTimeZone") or UTC_ZONE
    return found


def pattern_of(item: Item) -> Pattern | None:
    """Give the pattern of a series."""
    found: Pattern | None = item.values.get("Recurrence")
    return found


def original(item: Item, slot: date) -> Span:
    """Give when the occurrence of a day is by the pattern. Start and end are read off the wall clock of the series' zone."""
    zone = zone_of_item(item)
    start, end = zone.local(item.values["Start"]), zone.local(item.values["End"])
    begins = datetime.combine(slot, start.time())
    return Span(zone.instant(begins), zone.instant(begins + (end - start)))


def span(item: Item, slot: date | None = None) -> Span:
    """Give when an item, or an occurrence of it, is."""
    if slot is None:
        return Span(item.values["Start"], item.values["End"])
    own = item.overrides.get(slot, {})
    by_pattern = original(item, slot)
    return Span(own.get("Start", by_pattern.start), own.get("End", by_pattern.end))


def slots(item: Item) -> list[date]:
    """Give the days of the occurrences that are not deleted."""
    pattern = pattern_of(item)
    return [day for day in known_days(pattern) if day not in item.deleted] if pattern else []


def slots_between(item: Item, start: datetime, end: datetime) -> Iterator[date]:
    """Yield the days of the occurrences that touch a stretch of time, moved ones included."""
    pattern = pattern_of(item)
    if pattern is None:
        return
    length = item.values["End"] - item.values["Start"] + timedelta(days=2)
    low, high = (start - length).date(), (end + timedelta(days=2)).date()
    found = known_days(pattern)
    near = set(found[bisect_left(found, low) : bisect_left(found, high)]) | set(item.overrides)
    for slot in sorted(near - set(item.deleted)):
        when = span(item, slot)
        if touches(when, start, end):
            yield slot


def touches(when: Span, start: datetime, end: datetime) -> bool:
    """Say whether something lies in a half-open stretch of time; what has no length lies where it begins."""
    return when.start < end and (when.end > start or when.start >= start)


def slot_at(item: Item, index: int) -> date:
    """Give the day of the n-th occurrence, deleted ones counted. Raises Refused."""
    pattern = pattern_of(item)
    if pattern is None:
        raise Refused("ErrorCalendarCannotUseIdForOccurrenceId", "The id is not that of a recurring master.")
    found = known_days(pattern)
    if not 1 <= index <= len(found):
        raise Refused("ErrorCalendarOccurrenceIndexIsOutOfRecurrenceRange", "Occurrence index is out of recurrence range.")
    if found[index - 1] in item.deleted:
        raise Refused("ErrorCalendarOccurrenceIsDeletedFromRecurrence", "Occurrence is deleted from recurrence.")
    return found[index - 1]


def is_alive(item: Item, slot: date) -> bool:
    """Say whether a series has an occurrence of that day."""
    pattern = pattern_of(item)
    if pattern is None or slot in item.deleted:
        return False
    found = known_days(pattern)
    place = bisect_left(found, slot)
    return place < len(found) and found[place] == slot


def check_boundary(item: Item, slot: date, wished: Span) -> None:
    """Raise Refused where an occurrence would reach the day of its neighbour, or lie across it."""
    zone, alive = zone_of_item(item), slots(item)
    place = alive.index(slot)
    day = zone.local(wished.start).date()
    before = span(item, alive[place - 1]) if place else None
    after = span(item, alive[place + 1]) if place + 1 < len(alive) else None
    crosses = (before is not None and (day <= zone.local(before.start).date() or wished.start < before.end)) or (
        after is not None and (day >= zone.local(after.start).date() or wished.end > after.start)
    )
    if crosses:
        raise Refused("ErrorOccurrenceCrossingBoundary", "Modified occurrence is crossing or overlapping adjacent occurrence.")


def rounded(when: Span, zone: Zone, end_zone: Zone) -> Span:
    """Give an all-day item's times: down and up to midnight on the wall clock where it was made, a day at least."""
    start, end = zone.local(when.start), end_zone.local(when.end)
    begins = datetime.combine(start.date(), time())
    ends = datetime.combine(end.date(), time())
    if ends < end or ends <= begins:
        ends += timedelta(days=1)
    return Span(zone.instant(begins), end_zone.instant(max(ends, begins + timedelta(days=1))))


def check_times(when: Span, pattern: Pattern | None, zone: Zone) -> None:
    """Raise Refused for times no calendar item can have."""
    if when.end < when.start:
        raise Refused("ErrorCalendarEndDateIsEarlierThanStartDate", "EndDate is earlier than StartDate")
    if when.end - when.start > LONGEST:
        raise Refused("ErrorCalendarDurationIsTooLong", "Duration is too long.")
    if pattern is not None and zone.local(when.end) - zone.local(when.start) > _shortest_gap(pattern):
        raise Refused("ErrorOccurrenceTimeSpanTooBig", "The duration of an occurrence is longer than the time to the next one.")


@lru_cache(maxsize=512)
def _shortest_gap(pattern: Pattern) -> timedelta:
    gaps = [after - before for before, after in pairwise(islice(days(pattern), 60))]
    return min(gaps, default=LONGEST)
