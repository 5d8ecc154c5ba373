"""What tests say about series: when they take place, and what stands in a text of iCalendar."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.engine import ZONE, Engine, moment

from gleichtakt.model.event import Override, Series
from gleichtakt.model.point import Point, Timespan, Zoned, shifted
from gleichtakt.model.recurrence import expand, occurrence_event
from gleichtakt.model.zones import zone_of
from gleichtakt.store.calendars import EventRow, write_document

READER = zone_of(ZONE)


def shown(series: Iterable[Series], days: int = 400) -> list[tuple[datetime, str]]:
    """Give start and title of all occurrences from a year ago on, by start: what a person sees in a calendar."""
    now = datetime.now(UTC)
    window = Timespan(now - timedelta(days=365), now + timedelta(days=days))
    found = [(one.start, one.event.title) for each in series for one in expand(each, window, READER)]
    return sorted(found)


async def ours(world: Engine, days: int = 400) -> list[tuple[datetime, str]]:
    """Give what a person sees in the application."""
    return shown((row.series for row in await world.ours()), days)


def with_override(series: Series, slot: Point, start: Point | None = None, **changes: Any) -> Series:
    """Give a series with one occurrence changed or moved."""
    event = occurrence_event(series.event, slot)
    if start is not None:
        event = replace(event, start=start, end=shifted(start, timedelta(hours=1)))
    kept = tuple(one for one in series.overrides if one.recurrence_id != slot)
    return replace(series, overrides=(*kept, Override(slot, replace(event, **changes))))


def edited(row: EventRow, **changes: Any) -> Series:
    """Give the series of a row with fields of its master changed."""
    return replace(row.series, event=replace(row.series.event, **changes))


def stamp(point: Zoned) -> str:
    """Write a wall-clock time as iCalendar does."""
    return f"{point.wall:%Y%m%dT%H%M%S}"


def vevent(uid: str, *lines: str, start: Zoned | None = None, title: str = "Standup") -> str:
    """Write an object with one event of an hour; *lines* come after its usual ones."""
    begin = start or moment()
    end = shifted(begin, timedelta(hours=1))
    assert isinstance(end, Zoned)
    usual = [
        "BEGIN:VEVENT",
        f"UID:{uid}",
        "DTSTAMP:20260101T000000Z",
        f"DTSTART;TZID={begin.tzid}:{stamp(begin)}",
        f"DTEND;TZID={begin.tzid}:{stamp(end)}",
        f"SUMMARY:{title}",
    ]
    return vcalendar(*usual, *lines, "END:VEVENT")


def vcalendar(*lines: str) -> str:
    """Put lines between the first and the last one of a calendar."""
    return "\r\n".join(["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//Other//EN", *lines, "END:VCALENDAR", ""])


def documents(series: Sequence[Series]) -> set[str]:
    """Give the content of series, comparable, without their UIDs."""
    return {write_document(replace(one, uid="")) for one in series}
