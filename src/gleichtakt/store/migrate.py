"""Brings a database to the schema of this program, and refuses one that is newer.

Every process may call `migrate` at its start: an advisory lock lets one work while the others wait, each migration is
a transaction, and an interrupted upgrade goes on where it stopped. A schema made by a newer program is never touched.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncConnection

from gleichtakt.errors import Permanent, Scope
from gleichtakt.store.database import Database

LOCK: Final = 0x676C6569636874  # «gleicht»: the advisory lock of whoever migrates


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).with_name("migrations")).replace("%", "%%"))
    return config


@cache
def known_versions() -> tuple[str, ...]:
    """Give the schema versions this program knows, newest first."""
    return tuple(found.revision for found in ScriptDirectory.from_config(_config()).walk_revisions())


async def version_of(connection: AsyncConnection) -> str | None:
    """Give the schema version of a database; None for an empty one."""
    if (await connection.execute(text("SELECT to_regclass('schema_version')"))).scalar_one() is None:
        return None
    found: str | None = (await connection.execute(text("SELECT version_num FROM schema_version"))).scalar_one_or_none()
    return found


async def migrate(database: Database) -> tuple[str | None, str]:
    """Upgrade to the newest known schema; give the versions before and after.

    Raises Permanent where the schema is newer than this program.
    """
    newest = known_versions()[0]
    async with database.engine.connect() as connection:
        await connection.execute(text("SET lock_timeout = 0"))
        await connection.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": LOCK})
        await connection.commit()
        try:
            before = await version_of(connection)
            _refuse_newer(before)
            await connection.commit()
            if before != newest:
                await connection.run_sync(_upgrade)
                await connection.commit()
        finally:
            await connection.rollback()
            await connection.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": LOCK})
            await connection.execute(text("RESET lock_timeout"))
            await connection.commit()
    return before, newest


async def check(database: Database) -> None:
    """Raise Permanent unless the database has exactly the schema of this program."""
    async with database.read() as connection:
        found = await version_of(connection)
    _refuse_newer(found)
    if found != known_versions()[0]:
        raise Permanent("store.schema_older", Scope.ACCOUNT, found=found or "–", known=known_versions()[0])


def _refuse_newer(found: str | None) -> None:
    if found is not None and found not in known_versions():
        raise Permanent("store.schema_newer", Scope.ACCOUNT, found=found, known=known_versions()[0])


def _upgrade(connection: Connection) -> None:
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
