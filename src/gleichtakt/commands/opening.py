"""From settings to an open database: the embedded one is started, or joined where another process runs it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from sqlalchemy import text

from gleichtakt.errors import Trouble
from gleichtakt.settings import Settings
from gleichtakt.store import instance
from gleichtakt.store.database import Database
from gleichtakt.store.embedded import Embedded
from gleichtakt.store.instance import Instance
from gleichtakt.store.migrate import check, migrate
from gleichtakt.store.secrets import SecretBox, open_box

COMMAND, WORKER, WEB = "gleichtakt command", "gleichtakt worker", "gleichtakt web"


@dataclass(frozen=True, slots=True)
class Here:
    """What a command works with."""

    settings: Settings
    database: Database
    box: SecretBox
    is_embedded: bool


@asynccontextmanager
async def opened(settings: Settings, *, application: str = COMMAND, pool: int = 4, upgrade: bool = False) -> AsyncIterator[Here]:
    """Open the database of this installation. application: how this process is seen by the others.

    upgrade: bring the schema up to date; else only an embedded database is, and any other schema is refused.
    """
    embedded: Embedded | None = None
    if not settings.database_url:
        embedded = await asyncio.to_thread(Embedded.start, settings.data_path)
    try:
        url = embedded.url if embedded else settings.database_url
        async with await Database.open(url, pool=pool, application=application) as database:
            await (migrate(database) if upgrade or embedded else check(database))
            yield Here(settings, database, open_box(settings), embedded is not None)
    finally:
        if embedded:
            await asyncio.to_thread(embedded.stop)


async def attended(here: Here) -> Instance:
    """Recognise the database: a restored or copied one begins by verifying, and writes nothing outside."""
    return await instance.attend(here.database, here.settings.data_path, embedded=here.is_embedded)


async def keep_beating(here: Here, found: Instance) -> None:
    """Count heartbeats until cancelled, and notice a database that was set back meanwhile."""
    while True:
        await asyncio.sleep(instance.BEAT_SECONDS)
        with suppress(Trouble):  # the database is away: whoever works with it says so
            found = await instance.beat(here.database, here.settings.data_path, found)


async def has_worker(database: Database) -> bool:
    """Say whether a worker process is connected to this database."""
    async with database.read() as connection:
        found = await connection.execute(
            text("""select exists (select from pg_stat_activity
                    where datname = current_database() and application_name = :worker)"""),
            {"worker": WORKER},
        )
        return bool(found.scalar_one())
