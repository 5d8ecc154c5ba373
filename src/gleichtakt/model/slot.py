"""Slots: the original starts that name the occurrences of a series, in the kind and zone of its master."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from gleichtakt.model.point import Day, Floating, Point, Zoned, wall_of, with_wall
from gleichtakt.model.zones import zone_of


def same_slot(start: Point, point: Point) -> Point:
    """Bring a point to the kind and zone of a start, so that equal slots are equal values.

    Tolerated, as other systems write it: a date for a timed series (that day at the start's hour), a reading for an
    all-day series (its date; a UTC midnight of another zone counts for the date it was midnight of), UTC against
    local, one zone against another. Raises ValueError where no zone connects the two.
    """
    if isinstance(start, Day):
        return point if isinstance(point, Day) else Day(_date_of(point))
    if isinstance(point, Day):
        return with_wall(start, datetime.combine(point.date, wall_of(start).time()))
    if isinstance(start, Floating):
        if isinstance(point, Floating):
            return point
        raise ValueError("a time in a zone cannot name an occurrence of a series without zone")
    if isinstance(point, Floating):
        return Zoned(point.wall, start.tzid)
    if point.tzid == start.tzid:
        return point
    try:
        local = point.wall.replace(tzinfo=zone_of(point.tzid)).astimezone(zone_of(start.tzid))
    except OverflowError:
        return Zoned(point.wall, start.tzid)
    return Zoned(local.replace(tzinfo=None), start.tzid)


def _date_of(point: Floating | Zoned) -> date:
    is_utc = isinstance(point, Zoned) and point.tzid == "UTC"
    late = is_utc and point.wall.hour >= 11 and point.wall.date() < date.max
    return point.wall.date() + timedelta(days=1) if late else point.wall.date()


def slot_key(point: Point) -> str:
    """Give a slot as short text: ``20260401``, ``20260401T090000``, or with ``f`` the second of two equal readings."""
    wall = wall_of(point)
    day = f"{wall.year:04}{wall.month:02}{wall.day:02}"
    if isinstance(point, Day):
        return day
    return f"{day}T{wall.hour:02}{wall.minute:02}{wall.second:02}{'f' if wall.fold else ''}"
