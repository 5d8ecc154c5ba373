"""Short ways to say points, events and series in tests."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

from gleichtakt.model.event import Event, Override, Series
from gleichtakt.model.point import Day, Floating, Point, Timespan, Zoned, shifted
from gleichtakt.model.recurrence import Occurrence, canonical_rule, expand
from gleichtakt.model.zones import zone_of

BERLIN = "Europe/Berlin"


def at(text: str, zone: str | None = BERLIN) -> Point:
    """Read a point: ``2026-03-02`` is a day, ``2026-03-02T09:00`` a time; without zone a floating one."""
    if "T" not in text:
        return Day(date.fromisoformat(text))
    wall = datetime.fromisoformat(text)
    return Zoned(wall, zone) if zone else Floating(wall)


def moment(text: str) -> datetime:
    """Read an instant in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def span(start: str, end: str) -> Timespan:
    """Read a stretch in UTC."""
    return Timespan(moment(start), moment(end))


def series(
    start: Point,
    rule: str = "",
    *,
    length: timedelta = timedelta(hours=1),
    exdate: tuple[Point, ...] = (),
    rdate: tuple[Point, ...] = (),
    overrides: tuple[Override, ...] = (),
    uid: str = "series@example.org",
) -> Series:
    """Make a series of one hour, or one day."""
    event = Event(start, shifted(start, timedelta(days=1) if isinstance(start, Day) else length), "Standup")
    rrule = canonical_rule(rule, start) if rule else ""
    return Series(uid, event, rrule, rdate, exdate, overrides)


def changed(one: Series, slot: Point, start: Point | None = None, **fields: object) -> Override:
    """Make an override of a slot, moved or with other content."""
    begin = start if start is not None else slot
    end = shifted(begin, timedelta(days=1) if isinstance(begin, Day) else timedelta(hours=1))
    return Override(slot, replace(one.event, start=begin, end=end, **fields))  # type: ignore[arg-type]


def shown(one: Series, start: str, end: str, reader: str = "UTC") -> list[Occurrence]:
    """Expand between two UTC times."""
    return list(expand(one, span(start, end), zone_of(reader)))


def utc(occurrences: list[Occurrence]) -> list[str]:
    """Give the starts as ``2026-03-02T08:00`` in UTC."""
    return [f"{found.start:%Y-%m-%dT%H:%M}" for found in occurrences]
