"""Acceptance scenarios: the whole engine over a real database, the simulators, and the interface people use.

Each test is named after the field report it answers and goes the whole way: what the application and the calendar
system hold afterwards, what was asked of the calendar system, what people are told.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
from tests.engine import Engine, engine
from tests.scenarios.desk import Desk
from tests.scenarios.places import Dav, Feeds, dav_server, publisher
from tests.web.api.conftest import make_key

from gleichtakt.settings import Settings
from gleichtakt.store.database import Database
from gleichtakt.web.app import create_app, services_of

SETTINGS = Settings(public_url="https://calendars.example.org", worker_slots=4, allow_private_hosts="127.0.0.1,localhost")


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
