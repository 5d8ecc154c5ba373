"""What is thrown away when its time has come, and what stays."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import text
from tests.firm import Firm, make_firm

from gleichtakt.errors import CursorExpired
from gleichtakt.store import changes, lanes, retention
from gleichtakt.store.database import Database, new_id

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def ago(days: float) -> datetime:
    """Give a time before NOW."""
    return NOW - timedelta(days=days)


async def run_sql(database: Database, statement: str, **values: object) -> None:
    """Run one statement in a transaction of its own."""
    async with database.begin() as connection:
        await connection.execute(text(statement), values)


async def count(database: Database, table: str) -> int:
    """Count the rows of a table."""
    async with database.read() as connection:
        found: int = (await connection.execute(text(f"SELECT count(*) FROM {table}"))).scalar_one()
    return found


async def add_problem(database: Database, firm: Firm, state: str, at: datetime) -> None:
    """Store a problem."""
    await run_sql(
        database,
        "INSERT INTO problem (id, organization_id, state, last_at, key) VALUES (:id, :organization, :state, :at, :key)",
        id=new_id(),
        organization=firm.organization_id,
        state=state,
        at=at,
        key=str(new_id()),
    )


async def test_what_is_open_stays_whatever_its_age(database: Database, firm: Firm) -> None:
    await add_problem(database, firm, "open", ago(400))
    await add_problem(database, firm, "resolved", ago(31))
    await add_problem(database, firm, "resolved", ago(29))
    assert (await retention.clean(database, NOW))["problems"] == 1
    assert await count(database, "problem") == 2


async def test_each_organization_has_its_own_period(database: Database, firm: Firm) -> None:
    other = await make_firm(database)
    await run_sql(
        database,
        "INSERT INTO setting (organization_id, level, object_id, name, value) VALUES (:id, 'global', :id, 'retention_days', '7')",
        id=other.organization_id,
    )
    for found in (firm, other):
        await add_problem(database, found, "resolved", ago(10))
    await retention.clean(database, NOW)
    async with database.read() as connection:
        left = await connection.execute(text("SELECT organization_id FROM problem"))
        assert left.scalars().all() == [firm.organization_id]


async def add_series(
    database: Database, firm: Firm, resource: UUID, *, deleted: datetime | None, link: UUID | None = None
) -> UUID:
    """Store a series."""
    series_id = new_id()
    await run_sql(
        database,
        """INSERT INTO series (resource_id, id, organization_id, starts_at, deleted_at, origin, origin_link_id)
           VALUES (:resource, :id, :organization, :starts, :deleted, :origin, :link)""",
        resource=resource,
        id=series_id,
        organization=firm.organization_id,
        starts=ago(100),
        deleted=deleted,
        origin="provider" if link else "app",
        link=link,
    )
    return series_id


async def test_a_tombstone_stays_until_its_last_copy_is_gone(database: Database, firm: Firm) -> None:
    resource = new_id()
    old = await add_series(database, firm, resource, deleted=ago(91))
    await add_series(database, firm, resource, deleted=ago(89))
    await add_series(database, firm, resource, deleted=None)
    copied = await add_series(database, firm, resource, deleted=ago(200))
    await run_sql(
        database,
        "INSERT INTO pairing (resource_id, link_id, series_id, href) VALUES (:resource, :link, :series, '/copy.ics')",
        resource=resource,
        link=new_id(),
        series=copied,
    )
    assert (await retention.clean(database, NOW))["tombstones"] == 1
    async with database.read() as connection:
        left = (await connection.execute(text("SELECT id FROM series"))).scalars().all()
    assert old not in left
    assert copied in left


async def test_a_reader_behind_the_cut_of_the_feed_is_told(database: Database, firm: Firm) -> None:
    for _ in range(3):
        async with database.begin() as connection:
            await changes.append(connection, firm.organization_id, "event.created")
    async with database.read() as connection:
        rows, _ = await changes.read(connection, firm.organization_id, None, 10)
    await run_sql(database, "UPDATE change SET occurred_at = :old WHERE id <= :id", old=ago(91), id=rows[1].id)
    await run_sql(database, "UPDATE change SET occurred_at = :new WHERE id > :id", new=ago(1), id=rows[1].id)
    assert (await retention.clean(database, NOW))["changes"] == 2
    async with database.read() as connection:
        with pytest.raises(CursorExpired) as refused:
            await changes.read(connection, firm.organization_id, rows[0].cursor, 10)
        assert refused.value.code == "store.cursor_pruned"
        left, _ = await changes.read(connection, firm.organization_id, rows[1].cursor, 10)
        assert [row.id for row in left] == [rows[2].id]
        anew, _ = await changes.read(connection, firm.organization_id, None, 10)
        assert [row.id for row in anew] == [rows[2].id]


async def add_link(database: Database, firm: Firm, resource: UUID, state: str, at: datetime) -> UUID:
    """Store a resource with a link."""
    link_id = new_id()
    await run_sql(
        database,
        "INSERT INTO resource (id, organization_id) VALUES (:id, :organization) ON CONFLICT DO NOTHING",
        id=resource,
        organization=firm.organization_id,
    )
    async with database.begin() as connection:
        lane = await lanes.ensure(connection, firm.organization_id, firm.connection_id, str(link_id))
    await run_sql(
        database,
        """INSERT INTO link (id, organization_id, resource_id, connection_id, lane_id, mailbox, state, updated_at)
           VALUES (:id, :organization, :resource, :connection, :lane, :mailbox, :state, :at)""",
        id=link_id,
        organization=firm.organization_id,
        resource=resource,
        connection=firm.connection_id,
        lane=lane,
        mailbox=str(link_id),
        state=state,
        at=at,
    )
    await run_sql(
        database,
        "INSERT INTO observed (resource_id, link_id, href) VALUES (:resource, :link, '/a.ics')",
        resource=resource,
        link=link_id,
    )
    return link_id


async def test_copies_of_a_disconnected_calendar_go_after_the_period(database: Database, firm: Firm) -> None:
    resource = new_id()
    gone = await add_link(database, firm, resource, "disconnected", ago(31))
    fresh = await add_link(database, firm, resource, "disconnected", ago(29))
    living = await add_link(database, firm, resource, "in_step", ago(400))
    for link in (gone, fresh, living, None):
        await add_series(database, firm, resource, deleted=None, link=link)
    await retention.clean(database, NOW)
    async with database.read() as connection:
        observed = (await connection.execute(text("SELECT link_id FROM observed"))).scalars().all()
        series = (await connection.execute(text("SELECT origin_link_id FROM series"))).scalars().all()
        told = (await connection.execute(text("SELECT type FROM change"))).scalars().all()
    assert set(observed) == {fresh, living}
    assert set(series) == {fresh, living, None}
    assert told == ["event.deleted"], "the application learns that they are gone"


async def test_cleaning_again_finds_nothing(database: Database, firm: Firm) -> None:
    await add_problem(database, firm, "resolved", ago(31))
    await retention.clean(database, NOW)
    assert set((await retention.clean(database, NOW)).values()) == {0}


async def test_large_amounts_go_in_several_transactions(database: Database, firm: Firm, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "BATCH", 3)
    for _ in range(8):
        await add_problem(database, firm, "resolved", ago(31))
    assert (await retention.clean(database, NOW))["problems"] == 8
