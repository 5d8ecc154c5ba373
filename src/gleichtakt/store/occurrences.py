"""Rolls the window of expanded occurrences forward: adds the days that came into it, drops those that left.

Writing a series expands it for the window of that day; what begins beyond comes in here, night by night. Series are
locked while their rows change, so that a write at the same moment is not overtaken by what was read before it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from gleichtakt.model.point import Timespan
from gleichtakt.store import changes
from gleichtakt.store.calendars import (
    OCCURRENCES_AHEAD,
    OCCURRENCES_MOST,
    Home,
    occurrence_rows,
    occurrences_window,
    read_document,
    span_of,
)
from gleichtakt.store.database import Database

RESOURCES, SERIES = 200, 500
OVERLAP: Final = timedelta(days=1)  # the last roll and the writes of its day used windows a little apart

_SERIES = text(f"""
SELECT id, document FROM series
WHERE resource_id = :resource_id AND id > :after AND deleted_at IS NULL AND starts_at < :end
  AND (ends_at IS NULL OR ends_at > :start) AND (is_recurring OR starts_at >= :start)
ORDER BY id LIMIT {SERIES} FOR NO KEY UPDATE
""")
_FORGET = text("""
DELETE FROM occurrence WHERE resource_id = :resource_id AND series_id = ANY(:ids) AND starts_at >= :start
""")
_ADD = text("""
INSERT INTO occurrence (resource_id, series_id, slot, starts_at, ends_at, show_as, status, is_all_day, is_private)
VALUES (:resource_id, :series_id, :slot, :starts_at, :ends_at, :show_as, :status, :is_all_day, :is_private)
""")
_SPANS = text(f"""
SELECT id, document, starts_at, ends_at FROM series
WHERE resource_id = :resource_id AND id > :after AND deleted_at IS NULL AND (ends_at IS NULL OR ends_at > :past)
ORDER BY id LIMIT {SERIES} FOR NO KEY UPDATE
""")
_MOVE = text("UPDATE series SET starts_at = :starts_at, ends_at = :ends_at WHERE resource_id = :resource_id AND id = :id")
_DROP_PAST = text("DELETE FROM occurrence WHERE resource_id = :resource_id AND starts_at < :past AND ends_at < :past")


def coming(now: datetime, since: datetime | None) -> Timespan:
    """Give the stretch to be expanded: what came into the window since the last roll, all of it the first time."""
    window = occurrences_window(now)
    if since is None:
        return window
    return Timespan(max(window.start, min(since, now) + OCCURRENCES_AHEAD - OVERLAP), window.end)


async def roll(database: Database, now: datetime, since: datetime | None) -> int:
    """Bring every resource's window up to *now*; since: the last roll. Gives how many rows were added. Repeatable."""
    stretch, past, added = coming(now, since), occurrences_window(now).start, 0
    async for home in _homes(database):
        added += await _roll_resource(database, home, stretch, past)
    return added


async def _homes(database: Database) -> AsyncIterator[Home]:
    after = UUID(int=0)
    while True:
        async with database.read() as connection:
            rows = (
                await connection.execute(
                    text("SELECT id, organization_id, time_zone FROM resource WHERE id > :after ORDER BY id LIMIT :limit"),
                    {"after": after, "limit": RESOURCES},
                )
            ).all()
        for row in rows:
            yield Home(row.id, row.organization_id, row.time_zone)
        if len(rows) < RESOURCES:
            return
        after = rows[-1].id


async def _roll_resource(database: Database, home: Home, stretch: Timespan, past: datetime) -> int:
    added, after = 0, UUID(int=0)
    while True:
        async with database.begin() as connection:
            last, count = await _roll_some(connection, home, stretch, after)
            added += count
            if last is None:
                await connection.execute(_DROP_PAST, {"resource_id": home.resource_id, "past": past})
                return added
        after = last


async def _roll_some(connection: AsyncConnection, home: Home, stretch: Timespan, after: UUID) -> tuple[UUID | None, int]:
    """Expand one batch of series; give the last id, None when there are no more, and how many rows were added."""
    of = {"resource_id": home.resource_id, "start": stretch.start}
    found = (await connection.execute(_SERIES, {**of, "after": after, "end": stretch.end})).all()
    rows = [row for series_id, document in found for row in _rows(home, series_id, document, stretch)]
    if found:
        await connection.execute(_FORGET, {**of, "ids": [row.id for row in found]})
    if rows:
        await connection.execute(_ADD, rows)
    return (found[-1].id if len(found) == SERIES else None), len(rows)


def _rows(home: Home, series_id: UUID, document: str, stretch: Timespan) -> list[dict[str, Any]]:
    """Expand one series into the stretch; one that is too dense for the whole window stays out of it."""
    rows, _ = occurrence_rows(home, series_id, read_document(document), stretch)
    whole = OCCURRENCES_AHEAD / (stretch.end - stretch.start)
    kept = [row for row in rows if row["starts_at"] >= stretch.start]
    return kept if len(kept) * min(whole, 400.0) <= OCCURRENCES_MOST * 2 else []


async def retime(database: Database, past: datetime) -> int:
    """Compute the instants of series that are not over at *past* anew, because zones have other rules now.

    Wall times stay, so nothing is to be written anywhere; applications are told. Gives how many moved. Repeatable.
    """
    moved = 0
    async for home in _homes(database):
        after: UUID | None = UUID(int=0)
        while after is not None:
            async with database.begin() as connection:
                after, count = await _retime_some(connection, home, past, after)
            moved += count
    return moved


async def _retime_some(connection: AsyncConnection, home: Home, past: datetime, after: UUID) -> tuple[UUID | None, int]:
    found = (await connection.execute(_SPANS, {"resource_id": home.resource_id, "past": past, "after": after})).all()
    rows = []
    for series_id, document, *before in found:
        start, end = span_of(read_document(document), home.time_zone)
        if [start, end] != before:
            rows.append({"resource_id": home.resource_id, "id": series_id, "starts_at": start, "ends_at": end})
    if rows:
        await connection.execute(_MOVE, rows)
        told = [(home.organization_id, "event.updated", home.resource_id, row["id"]) for row in rows]
        await changes.append_many(connection, told)
    return (found[-1].id if len(found) == SERIES else None), len(rows)
