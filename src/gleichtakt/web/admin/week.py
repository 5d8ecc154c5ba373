"""One week of one calendar as a grid: which block stands on which day, from which quarter hour, in which lane.

Pure. Wall clocks are those of the calendar's zone, so that ten o'clock stands at ten on the days the clocks change too.
Events that pass midnight are cut into days; those without hours, or of a day and more, stand above the hours.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta, tzinfo

from gleichtakt.errors import Trouble
from gleichtakt.model.event import Event, Sensitivity, Status
from gleichtakt.model.point import Day, Timespan
from gleichtakt.model.recurrence import expand
from gleichtakt.store.calendars import EventRow

QUARTERS = 96  # of a day
FIRST_HOUR, LAST_HOUR = 7, 19  # always shown; the grid grows where events lie outside
MOST_LANES = 4
MOST_OCCURRENCES = 400  # of one series in one week; a denser one is counted, not drawn


@dataclass(frozen=True, slots=True)
class Block:
    """One event, or the part of it that lies on one day. title is empty for a private event.

    first, span: quarter hours since midnight; lane of lanes: where it stands beside what happens at the same time.
    """

    title: str
    location: str
    start: datetime  # local, of the whole event
    end: datetime
    show_as: str
    origin: str
    is_private: bool
    is_recurring: bool
    is_cancelled: bool
    first: int = 0
    span: int = 1
    lane: int = 0
    lanes: int = 1


@dataclass(frozen=True, slots=True)
class Column:
    """One day."""

    date: date
    all_day: Sequence[Block]
    timed: Sequence[Block]


@dataclass(frozen=True, slots=True)
class Week:
    """Seven days from a Monday. undrawn: events too dense or too odd to be drawn."""

    monday: date
    columns: Sequence[Column]
    first_hour: int
    last_hour: int
    undrawn: int

    @property
    def sunday(self) -> date:
        """Give its last day."""
        return self.monday + timedelta(days=6)

    @property
    def is_empty(self) -> bool:
        """Say whether nothing happens."""
        return not any(column.all_day or column.timed for column in self.columns)


def monday_of(text: str, today: date) -> date:
    """Read a week such as `2026-W47`; the present one for anything else."""
    try:
        return date.fromisocalendar(int(text[:4]), int(text[6:]), 1) if text[4:6] == "-W" else _monday(today)
    except ValueError:
        return _monday(today)


def _monday(day: date) -> date:
    return day - timedelta(days=day.weekday())


def week_name(monday: date) -> str:
    """Write a week as ISO 8601 does."""
    year, week, _ = monday.isocalendar()
    return f"{year:04d}-W{week:02d}"


def span_of_week(monday: date, zone: tzinfo) -> Timespan:
    """Give the instants between which a week lies in a zone."""
    begin = datetime.combine(monday, time(), zone)
    end = datetime.combine(monday + timedelta(days=7), time(), zone)
    return Timespan(begin.astimezone(UTC), end.astimezone(UTC))


def lay_out(monday: date, rows: Iterable[EventRow], zone: tzinfo, *, with_titles: bool) -> Week:
    """Draw a week. with_titles: whether this reader may read what is not private."""
    blocks, undrawn = _blocks(rows, span_of_week(monday, zone), zone, with_titles)
    columns = [_column(monday + timedelta(days=number), blocks) for number in range(7)]
    timed = [block for column in columns for block in column.timed]
    first = min([FIRST_HOUR, *(block.first // 4 for block in timed)])
    last = max([LAST_HOUR, *(-(-(block.first + block.span) // 4) for block in timed)])
    return Week(monday, columns, first, last, undrawn)


def _blocks(rows: Iterable[EventRow], window: Timespan, zone: tzinfo, with_titles: bool) -> tuple[list[tuple[Block, bool]], int]:
    """Give the events of a week, each with whether it stands above the hours; and how many could not be drawn."""
    found, undrawn = [], 0
    for row in rows:
        try:
            series = row.series
            for occurrence in expand(series, window, zone, limit=MOST_OCCURRENCES):
                start, end = occurrence.start.astimezone(zone), occurrence.end.astimezone(zone)
                above = isinstance(occurrence.event.start, Day) or end - start >= timedelta(days=1)
                found.append((_block(occurrence.event, start, end, row, series.is_recurring, with_titles), above))
        except (Trouble, ValueError):
            undrawn += 1
    return sorted(found, key=lambda pair: (pair[0].start, pair[0].end, pair[0].title)), undrawn


def _block(event: Event, start: datetime, end: datetime, row: EventRow, recurring: bool, with_titles: bool) -> Block:
    private = event.sensitivity is not Sensitivity.NORMAL
    told = with_titles and not private
    return Block(
        event.title if told else "",
        event.location if told else "",
        start,
        end,
        event.show_as.value,
        row.origin,
        private,
        recurring,
        event.status is Status.CANCELLED,
    )


def _column(day: date, blocks: Sequence[tuple[Block, bool]]) -> Column:
    begin = datetime.combine(day, time())
    above, timed = [], []
    for block, is_above in blocks:
        start, end = block.start.replace(tzinfo=None), block.end.replace(tzinfo=None)
        if not (start < begin + timedelta(days=1) and (end > begin or start == end >= begin)):
            continue
        if is_above:
            above.append(block)
            continue
        first = max(0, int((start - begin).total_seconds() // 900))
        last = min(QUARTERS, -int(-(end - begin).total_seconds() // 900))
        timed.append(replace(block, first=first, span=max(1, last - first)))
    return Column(day, above, _lanes(timed))


def _lanes(blocks: Sequence[Block]) -> list[Block]:
    """Put what overlaps side by side: each into the first lane that is free, lanes counted per knot of overlaps."""
    placed: list[Block] = []
    knot: list[Block] = []
    until = 0
    for block in sorted(blocks, key=lambda found: (found.first, -found.span)):
        if knot and block.first >= until:
            placed += _spread(knot)
            knot = []
        taken = {other.lane for other in knot if other.first + other.span > block.first}
        lane = next(number for number in range(len(knot) + 1) if number not in taken)
        knot.append(replace(block, lane=min(lane, MOST_LANES - 1)))
        until = max(until, block.first + block.span)
    return placed + _spread(knot)


def _spread(knot: Sequence[Block]) -> list[Block]:
    lanes = max((block.lane for block in knot), default=0) + 1
    return [replace(block, lanes=lanes) for block in knot]
