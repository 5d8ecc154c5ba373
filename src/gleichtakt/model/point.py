"""Points in a calendar: a day, a floating reading, or a wall-clock reading in a zone.

DTSTART, DTEND, RECURRENCE-ID, EXDATE, RDATE and UNTIL are all points. Instants (aware UTC) exist only where a point
meets a zone's rules, in `instant`. Names of zones are IANA names; other systems' names end at their adapter. A zone
that no IANA name fits is carried as a custom zone: its VTIMEZONE text is the name (`Zoned.tzid` then starts with
``BEGIN:VTIMEZONE``), and `zones.zone_of` turns either into rules.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo


@dataclass(frozen=True, slots=True)
class Day:
    """A calendar date without hours or zone, as all-day events have."""

    date: date


@dataclass(frozen=True, slots=True)
class Floating:
    """A wall-clock reading without a zone: ten o'clock wherever the reader is."""

    wall: datetime  # naive


@dataclass(frozen=True, slots=True)
class Zoned:
    """A wall-clock reading in a named zone: the meeting stays at ten when the clocks change."""

    wall: datetime  # naive on purpose, the zone is beside it; `fold=1` is the second of two equal readings
    tzid: str  # IANA name ("UTC" for UTC), or the text of a custom VTIMEZONE


Point = Day | Floating | Zoned

_EPOCH_UTC = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH = _EPOCH_UTC.replace(tzinfo=None)


@dataclass(frozen=True, slots=True)
class Timespan:
    """A half-open stretch of time, aware UTC."""

    start: datetime
    end: datetime

    def touches(self, other: Timespan) -> bool:
        """Say whether both share an instant; a stretch without length is touched by what contains its start."""
        if self.start == self.end or other.start == other.end:
            return self.start <= other.start < self.end or other.start <= self.start < other.end or self == other
        return self.start < other.end and other.start < self.end


def wall_of(point: Point) -> datetime:
    """Give the naive wall-clock reading of a point; a day begins at midnight."""
    return datetime.combine(point.date, time()) if isinstance(point, Day) else point.wall


def with_wall(point: Point, wall: datetime) -> Point:
    """Give a point of the same kind and zone at another wall-clock reading."""
    if isinstance(point, Day):
        return Day(wall.date())
    return Floating(wall) if isinstance(point, Floating) else Zoned(wall, point.tzid)


def instant(point: Point, reader: tzinfo) -> datetime:
    """Give the aware UTC instant of a point. reader: zone that gives days and floating readings their hours.

    A reading that does not exist (spring) takes the offset before the gap, an ambiguous one its first pass unless
    `fold` says otherwise (RFC 5545 §3.3.5). Years 1 and 9999 are clamped instead of overflowing.
    """
    from gleichtakt.model.zones import zone_of

    zone = zone_of(point.tzid) if isinstance(point, Zoned) else reader
    wall = wall_of(point)
    if wall.year in (1, 9999):  # UTC conversion could leave the calendar of Python
        return wall.replace(tzinfo=UTC, fold=0)
    ahead = zone.utcoffset(wall)
    return _EPOCH_UTC + (wall - _EPOCH - (ahead or timedelta(0)))  # `replace(tzinfo=…)` costs ten times as much


def shifted(point: Point, by: timedelta) -> Point:
    """Move a point by a nominal length on its own wall clock."""
    return with_wall(point, wall_of(point) + by)
