"""Schema versions: one upgrade at a time, and never an older program on a newer database."""

from __future__ import annotations

import asyncio

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, text

from gleichtakt.errors import Permanent
from gleichtakt.store import migrate
from gleichtakt.store.database import Database
from gleichtakt.store.schema import PARTITIONED, PARTITIONS, metadata


async def test_the_migrations_make_exactly_the_schema_of_the_program(database: Database) -> None:
    def differences(connection: Connection) -> list[object]:
        options = {"include_object": _is_ours, "compare_type": True}
        return list(compare_metadata(MigrationContext.configure(connection, opts=options), metadata))

    async with database.begin() as connection:
        assert await connection.run_sync(differences) == []


def _is_ours(_thing: object, name: str | None, kind: str, reflected: bool, _other: object) -> bool:
    partitions = {f"{table.name}_{number}" for table in PARTITIONED for number in range(PARTITIONS)}
    return not (kind == "table" and reflected and name in partitions | {"schema_version"})


async def test_large_tables_are_partitioned_from_the_start(database: Database) -> None:
    async with database.read() as connection:
        rows = await connection.execute(
            text("""
                SELECT inhparent::regclass::text AS name, count(*) AS parts
                FROM pg_inherits JOIN pg_class ON pg_class.oid = inhparent WHERE relkind = 'p' GROUP BY 1
            """)
        )
        assert {row.name: row.parts for row in rows} == {table.name: PARTITIONS for table in PARTITIONED}


async def test_ops_02_a_second_migration_does_nothing(database: Database) -> None:
    newest = migrate.known_versions()[0]
    assert await migrate.migrate(database) == (newest, newest)
    await migrate.check(database)


async def test_ops_02_several_programs_that_start_at_once_migrate_once(empty_database: Database) -> None:
    results = await asyncio.gather(*(migrate.migrate(empty_database) for _ in range(4)))
    assert sorted(before or "" for before, _ in results) == ["", *[migrate.known_versions()[0]] * 3]


async def test_ops_02_an_older_program_refuses_a_newer_database_and_changes_nothing(database: Database) -> None:
    async with database.begin() as connection:
        await connection.execute(text("UPDATE schema_version SET version_num = '9999'"))
    for attempt in (migrate.migrate, migrate.check):
        with pytest.raises(Permanent) as refused:
            await attempt(database)
        assert refused.value.code == "store.schema_newer"
        assert "9999" in refused.value.cause("de")
    async with database.read() as connection:
        assert await migrate.version_of(connection) == "9999"


async def test_ops_02_a_program_asks_for_the_upgrade_of_an_older_database(empty_database: Database) -> None:
    with pytest.raises(Permanent) as refused:
        await migrate.check(empty_database)
    assert refused.value.code == "store.schema_older"


async def test_ops_02_an_interrupted_migration_leaves_nothing_and_goes_on(empty_database: Database) -> None:
    async with empty_database.begin() as connection:
        await connection.execute(text("CREATE TABLE change (stands_in_the_way int)"))  # the upgrade breaks in its middle
    with pytest.raises(Exception, match="already exists"):
        await migrate.migrate(empty_database)
    async with empty_database.begin() as connection:
        assert await migrate.version_of(connection) is None
        await connection.execute(text("DROP TABLE change"))
    assert await migrate.migrate(empty_database) == (None, migrate.known_versions()[0])
