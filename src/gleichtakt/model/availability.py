"""When people can be asked at all: weekly working hours as stretches of time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from gleichtakt.model.point import Timespan, Zoned, instant
from gleichtakt.model.zones import zone_of


@dataclass(frozen=True, slots=True)
class Shift:
    """Hours of one weekday (Monday 0) on the local clock; an end at or before the start lies on the next day."""

    weekday: int
    start: time
    end: time


@dataclass(frozen=True, slots=True)
class WorkingHours:
    """The weekly hours of a person or room in a zone, and the days without any (holidays)."""

    tzid: str
    shifts: tuple[Shift, ...]
    closed: frozenset[date] = frozenset()


def working_times(hours: WorkingHours, window: Timespan) -> tuple[Timespan, ...]:
    """Give the working stretches that touch a window, ordered and joined, cut to it."""
    joined: list[Timespan] = []
    for span in sorted(_shifts(hours, window), key=lambda span: (span.start, span.end)):
        start, end = max(span.start, window.start), min(span.end, window.end)
        if start >= end:
            continue
        if joined and start <= joined[-1].end:
            start, end = joined[-1].start, max(end, joined.pop().end)
        joined.append(Timespan(start, end))
    return tuple(joined)


def _shifts(hours: WorkingHours, window: Timespan) -> Iterator[Timespan]:
    zone = zone_of(hours.tzid)
    day, last = window.start.astimezone(zone).date() - timedelta(days=1), window.end.astimezone(zone).date()
    while day <= last:
        for shift in hours.shifts:
            if shift.weekday == day.weekday() and day not in hours.closed:
                until = day + timedelta(days=1) if shift.end <= shift.start else day
                yield Timespan(_moment(hours, day, shift.start), _moment(hours, until, shift.end))
        day += timedelta(days=1)


def _moment(hours: WorkingHours, day: date, clock: time) -> datetime:
    return instant(Zoned(datetime.combine(day, clock), hours.tzid), zone_of(hours.tzid))
