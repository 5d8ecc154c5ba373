"""The nightly roll: what a series written today and one rolled night by night hold must be the same."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from uuid import UUID

import pytest
from sqlalchemy import text
from tests.firm import Firm

from gleichtakt.model.event import Event, Series
from gleichtakt.model.point import Zoned
from gleichtakt.store.calendars import OCCURRENCES_AHEAD, OCCURRENCES_BACK, Home, Write, read_document, write
from gleichtakt.store.database import Database, new_id
from gleichtakt.store.occurrences import coming
from gleichtakt.worker.expand_window import expand_window

NIGHT = timedelta(days=1)
NOW = datetime(2026, 11, 21, 1, tzinfo=UTC)


@pytest.fixture
async def home(database: Database, firm: Firm) -> Home:
    """A resource."""
    found = Home(new_id(), firm.organization_id)
    async with database.begin() as connection:
        await connection.execute(
            text("INSERT INTO resource (id, organization_id) VALUES (:id, :organization)"),
            {"id": found.resource_id, "organization": firm.organization_id},
        )
    return found


def at(day: datetime, hour: int = 9) -> Zoned:
    """Give a point in Berlin."""
    return Zoned(day.replace(hour=hour, minute=0, tzinfo=None), "Europe/Berlin")


def meeting(day: datetime, rrule: str = "") -> Series:
    """Make an hour's meeting."""
    return Series(new_id().hex, Event(at(day, 9), at(day, 10), title="Besprechung"), rrule)


async def store(database: Database, home: Home, content: Series, now: datetime) -> UUID:
    """Write a series as the application does."""
    series_id = new_id()
    async with database.begin() as connection:
        await write(connection, home, [Write(series_id, content, None, "api:test")], now)
    return series_id


async def starts(database: Database, series_id: UUID) -> list[datetime]:
    """Give the expanded starts of a series."""
    async with database.read() as connection:
        rows = await connection.execute(
            text("SELECT starts_at FROM occurrence WHERE series_id = :id ORDER BY starts_at"), {"id": series_id}
        )
        return list(rows.scalars())


async def test_nights_of_rolling_hold_the_same_as_writing_today(database: Database, home: Home) -> None:
    rolled = [
        await store(database, home, meeting(NOW, "FREQ=DAILY"), NOW),
        await store(database, home, meeting(NOW - 400 * NIGHT, "FREQ=WEEKLY;BYDAY=MO,WE"), NOW),
        await store(database, home, meeting(NOW + 368 * NIGHT), NOW),
        await store(database, home, meeting(NOW + 3 * NIGHT, "FREQ=DAILY;COUNT=5"), NOW),
    ]
    done_at, now = NOW, NOW
    for _ in range(4):
        now += NIGHT
        await expand_window(database, now, done_at)
        done_at = now
    for series_id in rolled:
        async with database.read() as connection:
            document = await connection.execute(text("SELECT document FROM series WHERE id = :id"), {"id": series_id})
        fresh = await store(database, home, read_document(document.scalar_one()), now)
        assert await starts(database, series_id) == await starts(database, fresh)


async def test_rolling_again_adds_nothing_twice(database: Database, home: Home) -> None:
    daily = await store(database, home, meeting(NOW, "FREQ=DAILY"), NOW)
    for _ in range(3):
        await expand_window(database, NOW + NIGHT, NOW)
    found = await starts(database, daily)
    assert len(found) == len(set(found))


async def test_missed_nights_are_made_up_for(database: Database, home: Home) -> None:
    daily = await store(database, home, meeting(NOW, "FREQ=DAILY"), NOW)
    await expand_window(database, NOW + 10 * NIGHT, NOW)
    found = await starts(database, daily)
    assert found[-1] >= NOW + 10 * NIGHT + OCCURRENCES_AHEAD - NIGHT
    assert all(later - earlier <= timedelta(hours=25) for earlier, later in pairwise(found)), "no day is missing"


async def test_the_first_roll_makes_everything(database: Database, home: Home) -> None:
    daily = await store(database, home, meeting(NOW, "FREQ=DAILY"), NOW)
    before = await starts(database, daily)
    async with database.begin() as connection:
        await connection.execute(text("DELETE FROM occurrence"))
    await expand_window(database, NOW, None)
    assert await starts(database, daily) == before


async def test_what_left_the_window_is_dropped(database: Database, home: Home) -> None:
    old = await store(database, home, meeting(NOW - OCCURRENCES_BACK + NIGHT), NOW)
    assert await starts(database, old)
    await expand_window(database, NOW + 3 * NIGHT, NOW)
    assert await starts(database, old) == []


async def test_a_deleted_series_is_not_expanded(database: Database, home: Home) -> None:
    daily = await store(database, home, meeting(NOW, "FREQ=DAILY"), NOW)
    async with database.begin() as connection:
        await connection.execute(text("UPDATE series SET deleted_at = now()"))
        await connection.execute(text("DELETE FROM occurrence"))
    await expand_window(database, NOW + NIGHT, NOW)
    assert await starts(database, daily) == []


async def test_scl_01_a_series_too_dense_for_the_window_does_not_creep_in(database: Database, home: Home) -> None:
    dense = await store(database, home, meeting(NOW, "FREQ=MINUTELY;INTERVAL=5"), NOW)
    assert await starts(database, dense) == []
    await expand_window(database, NOW + NIGHT, NOW)
    assert await starts(database, dense) == []


def test_the_stretch_joins_the_last_roll_without_a_gap() -> None:
    first, second = coming(NOW, None), coming(NOW + NIGHT, NOW)
    assert second.start <= first.end <= second.end
    assert coming(NOW + 1000 * NIGHT, NOW).start == NOW + 1000 * NIGHT - OCCURRENCES_BACK
