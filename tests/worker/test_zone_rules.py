"""A government changes its clocks: wall times stay, instants follow, and nobody else's calendar is touched."""

from __future__ import annotations

import zoneinfo
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from pathlib import Path

import pytest
import tzdata  # type: ignore[import-untyped]
from tests.engine import Engine, engine, meeting

from gleichtakt.model.event import Event, Series
from gleichtakt.model.point import Zoned
from gleichtakt.model.zones import tzdata_version, zone_of
from gleichtakt.store.database import Database
from gleichtakt.worker.expand_window import expand_window

CITY = "America/Vancouver"  # keeps summer time since 2026; before, its rules were those of Los Angeles
NOW = datetime.now(UTC)
#: A coming day of winter, at nine on the wall.
WINTER = datetime.fromisoformat(f"{NOW.year}-02-10T09:00" if NOW.month == 1 else f"{NOW.year + 1}-01-20T09:00")


@contextmanager
def older_rules(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let a block live with the release before the change."""
    place = folder / CITY
    place.parent.mkdir(parents=True)
    place.write_bytes(files("tzdata").joinpath("zoneinfo", "America", "Los_Angeles").read_bytes())
    with monkeypatch.context() as patched:
        patched.setattr(tzdata, "IANA_VERSION", "2025b")
        zoneinfo.reset_tzpath(to=(str(folder),))
        _forget_rules()
        try:
            yield
        finally:
            zoneinfo.reset_tzpath(to=())
            _forget_rules()


def _forget_rules() -> None:
    zoneinfo.ZoneInfo.clear_cache()
    zone_of.cache_clear()


@pytest.fixture
async def world(database: Database) -> AsyncIterator[Engine]:
    async with engine(database) as made:
        yield made


async def test_tz_05_a_series_keeps_its_hour_when_a_government_changes_the_clock(
    world: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tie = await world.tie(outbound_detail="full")
    yesterday = NOW - timedelta(days=1)
    with older_rules(tmp_path, monkeypatch):
        await expand_window(world.database, yesterday, None)
        there = Event(Zoned(WINTER, CITY), Zoned(WINTER + timedelta(hours=1), CITY), title="Standup")
        weekly = await world.put(Series("weekly", there, "FREQ=WEEKLY;COUNT=2"))
        await world.put(meeting("Untouched", uid="berlin"))
        await world.sync()
    assert await _starts(world, weekly.id) == [WINTER + timedelta(hours=8), WINTER + timedelta(days=7, hours=8)]
    (told,) = await world.rows("select coalesce(max(id), 0) as last from change")
    world.forget()

    await expand_window(world.database, NOW, yesterday)
    await world.sync()

    assert await _starts(world, weekly.id) == [WINTER + timedelta(hours=7), WINTER + timedelta(days=7, hours=7)]
    (span,) = await world.rows("select starts_at from series where id = :id", id=weekly.id)
    assert span["starts_at"] == (WINTER + timedelta(hours=7)).replace(tzinfo=UTC)
    assert [one.event.start for one in tie.there() if one.rrule] == [Zoned(WINTER, CITY)]
    assert world.writes() == 0, "the calendar there follows the same government by itself"
    changes = await world.rows("select type, object_id from change where id > :last", last=told["last"])
    assert [(one["type"], one["object_id"]) for one in changes] == [("event.updated", weekly.id)]
    (noted,) = await world.rows("select zone_release from instance")
    assert noted["zone_release"] == tzdata_version()


async def _starts(world: Engine, series_id: object) -> list[datetime]:
    rows = await world.rows("select starts_at from occurrence where series_id = :id order by starts_at", id=series_id)
    return [row["starts_at"].replace(tzinfo=None) for row in rows]
