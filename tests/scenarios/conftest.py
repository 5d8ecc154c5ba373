"""Acceptance scenarios: the whole engine over a real database, the simulators, and the interface people use.

Each test is named after the field report it answers and goes the whole way: what the application and the calendar
system hold afterwards, what was asked of the calendar system, what people are told.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import asyncpg
import httpx
import pytest
from tests.conftest import with_name
from tests.engine import Engine, engine
from tests.scenarios.desk import Desk
from tests.scenarios.places import Dav, Feeds, dav_server, publisher
from tests.web.api.conftest import make_key

from gleichtakt.settings import Settings
from gleichtakt.store.database import Database, new_id
from gleichtakt.store.schema import metadata
from gleichtakt.web.app import create_app, services_of

SETTINGS = Settings(public_url="https://calendars.example.org", worker_slots=4, allow_private_hosts="127.0.0.1,localhost")


#: Removes every row but those that a new database has. Cheaper than a new database, which is thousands of files.
WIPE = [f"delete from {table.name}" for table in reversed(metadata.sorted_tables) if table.name != "instance"]


@pytest.fixture(scope="session")
def shared_url(postgres_url: str, template: str) -> Iterator[str]:
    """Address of the database that all scenarios of this process use, one after the other."""
    name = f"scenarios_{new_id().hex}"

    async def run(statement: str) -> None:
        connection = await asyncpg.connect(postgres_url)
        await connection.execute(statement)
        await connection.close()

    asyncio.run(run(f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY file_copy'))
    yield with_name(postgres_url, name)
    asyncio.run(run(f'DROP DATABASE "{name}" WITH (FORCE)'))


@pytest.fixture
async def database(shared_url: str) -> AsyncIterator[Database]:
    """An empty database with the product's schema, opened."""
    async with await Database.open(shared_url, pool=4) as opened:
        async with opened.begin() as connection:
            for statement in WIPE:
                await connection.exec_driver_sql(statement)
        yield opened


@pytest.fixture
async def world(database: Database) -> AsyncIterator[Engine]:
    """An application, its database and the memory simulator; no mail may go out."""
    async with engine(database) as made:
        made.settings = SETTINGS
        yield made


@pytest.fixture
async def dav(world: Engine) -> AsyncIterator[Dav]:
    """The CalDAV simulator beside it; no mail may go out."""
    async with dav_server(world) as found:
        yield found


@pytest.fixture
async def feeds(world: Engine) -> AsyncIterator[Feeds]:
    """The publisher of feeds beside it."""
    async with publisher(world) as found:
        yield found


@pytest.fixture(scope="session")
def application() -> object:
    """The web application without a database: making it takes longer than a test."""
    return create_app(None, SETTINGS, None)  # type: ignore[arg-type]


@pytest.fixture
async def desk(world: Engine, application: object) -> AsyncIterator[Desk]:
    """An administrator's program at the interface of this world."""
    application.state.services = services_of(world.database, SETTINGS, world.box)  # type: ignore[attr-defined]
    transport = httpx.ASGITransport(app=application)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="https://calendars.example.org") as client:
        yield Desk(client, await make_key(world.database, world.organization_id, "admin"), world)
