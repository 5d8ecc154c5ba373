"""Rows of tests/data/recurrence as values."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from gleichtakt.model.event import Event, Series
from gleichtakt.model.point import Day, Floating, Point, Timespan, Zoned
from gleichtakt.model.recurrence import canonical_rule

DATA = Path(__file__).parent.parent / "data" / "recurrence"
ALL_TIME = Timespan(datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC))

Row = dict[str, Any]


def rows(name: str) -> list[Row]:
    """Read one file of rows."""
    return [json.loads(line) for line in (DATA / f"{name}.jsonl").read_text().splitlines()]


def ids(found: Sequence[Row]) -> list[str]:
    """Name the test of each row after it."""
    return [row["id"] for row in found]


def point(text: str, zone: str) -> Point:
    """Read a local time of a row."""
    if "T" not in text:
        return Day(date.fromisoformat(text))
    wall = datetime.fromisoformat(text)
    return Floating(wall) if zone == "floating" else Zoned(wall, zone)


def series_of(row: Row) -> Series:
    """Make the series a row speaks of: events without length."""
    start = point(row["dtstart"], row["tz"])
    listed = {key: tuple(point(text, row["tz"]) for text in row.get(key, ())) for key in ("rdate", "exdate")}
    return Series(row["id"], Event(start, start), canonical_rule(row["rrule"], start), listed["rdate"], listed["exdate"])
