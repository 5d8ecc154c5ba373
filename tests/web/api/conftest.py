"""The web application over a fresh database, with callers of different rights."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import httpx
import pytest
from litestar import Litestar

from gleichtakt.settings import Settings
from gleichtakt.store import keys
from gleichtakt.store.database import Database
from gleichtakt.store.organizations import organizations
from gleichtakt.store.secrets import SecretBox, new_key
from gleichtakt.web.app import create_app, services_of

ROOT = "/api/v1"


@dataclass(slots=True)
class Caller:
    """A program that calls the interface with one key."""

    client: httpx.AsyncClient
    organization_id: UUID
    key: str = ""

    async def __call__(self, verb: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        """Send a request; header names with `_` for `-`."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.key:
            sent.setdefault("authorization", f"Bearer {self.key}")
        whole = path if path.startswith(("/api/", "/feeds/", "/healthz", "/readyz", "/metrics")) else ROOT + path
        if isinstance(body, bytes):
            return await self.client.request(verb, whole, content=body, headers=sent)
        return await self.client.request(verb, whole, json=body, headers=sent)

    async def made(self, path: str, **body: Any) -> dict[str, Any]:
        """Create something and give it."""
        answer = await self("POST", path, body)
        assert answer.status_code == 201, answer.text
        found: dict[str, Any] = answer.json()
        return found


@pytest.fixture
def box() -> SecretBox:
    """A box with a key of its own."""
    return SecretBox(new_key())


SETTINGS = Settings(public_url="https://calendars.example.org")


@pytest.fixture(scope="session")
def made_once() -> Litestar:
    """The application without a database: making it takes longer than a test."""
    return create_app(None, SETTINGS, None)  # type: ignore[arg-type]


@pytest.fixture
def app(made_once: Litestar, database: Database, box: SecretBox) -> Litestar:
    """The application over a fresh database."""
    made_once.state.services = services_of(database, SETTINGS, box)
    return made_once


@pytest.fixture
async def client(app: Litestar) -> AsyncIterator[httpx.AsyncClient]:
    """A client that calls the application in this process."""
    transport = httpx.ASGITransport(app=app)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="https://calendars.example.org") as opened:
        yield opened


async def make_key(database: Database, organization_id: UUID | None, *scopes: str) -> str:
    """Store a key."""
    async with database.begin() as connection:
        _, key = await keys.create(connection, organization_id=organization_id, name="test", scopes=scopes)
    return key


async def make_organization(database: Database, name: str) -> UUID:
    """Store an organization."""
    async with database.begin() as connection:
        return (await organizations.add(connection, {"name": name, "language": "en"})).id


@pytest.fixture
async def organization_id(database: Database) -> UUID:
    """The default organization."""
    return await make_organization(database, "Muster GmbH")


@pytest.fixture
async def api(client: httpx.AsyncClient, database: Database, organization_id: UUID) -> Caller:
    """A caller who may do everything in every organization."""
    return Caller(client, organization_id, await make_key(database, None, "admin"))


@pytest.fixture
async def reader(client: httpx.AsyncClient, database: Database, organization_id: UUID) -> Caller:
    """A caller who may only read, in the default organization."""
    return Caller(client, organization_id, await make_key(database, organization_id, "read"))


@pytest.fixture
async def writer(client: httpx.AsyncClient, database: Database, organization_id: UUID) -> Caller:
    """A caller who may change calendars but not the configuration, in the default organization."""
    return Caller(client, organization_id, await make_key(database, organization_id, "write"))


@pytest.fixture
async def stranger(client: httpx.AsyncClient, database: Database, api: Caller) -> Caller:
    """A caller with every right in another organization."""
    other = await make_organization(database, "Andere AG")
    return Caller(client, other, await make_key(database, other, "admin"))


STANDUP = {
    "title": "Standup",
    "description": "Every day",
    "location": "Room 1",
    "start": {"date_time": "2026-11-23T09:00:00", "time_zone": "Europe/Berlin"},
    "end": {"date_time": "2026-11-23T09:15:00", "time_zone": "Europe/Berlin"},
}


@pytest.fixture
async def anna(api: Caller) -> dict[str, Any]:
    """A person of the default organization."""
    return await api.made("/resources", name="Anna Muster", external_id="u-1", email="anna@example.org")


@pytest.fixture
async def login(api: Caller) -> dict[str, Any]:
    """A connection of the default organization, to a simulated system that nobody runs."""
    return await api.made("/connections", provider="memory", name="Simulated", url="http://127.0.0.1:9", auth={"method": "none"})


@pytest.fixture
async def link(api: Caller, anna: dict[str, Any], login: dict[str, Any]) -> dict[str, Any]:
    """Anna's calendar tied to one there."""
    return await api.made(
        "/links", resource_id=anna["id"], connection_id=login["id"], mailbox="anna@example.org", calendar="main"
    )
