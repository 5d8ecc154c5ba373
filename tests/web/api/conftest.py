"""The web application in this process, with callers of different rights.

Making a database costs more than a test: all tests here share one, and each has an organization of its own. Tests in
which workers take whatever is due ask for `fresh`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg
import httpx
import pytest
from litestar import Litestar
from tests.conftest import with_name

from gleichtakt.settings import Settings
from gleichtakt.store import keys
from gleichtakt.store.database import Database, new_id
from gleichtakt.store.organizations import organizations
from gleichtakt.store.secrets import SecretBox, new_key
from gleichtakt.web.app import create_app, services_of

ROOT = "/api/v1"


class Refusal(NamedTuple):
    """What a problem document says. place: of the first value that is not accepted."""

    status: int
    code: str
    place: str
    document: dict[str, Any]


@dataclass(slots=True)
class Caller:
    """A program that calls the interface with one key."""

    client: httpx.AsyncClient
    organization_id: UUID
    key: str = ""
    names_it: bool = False  # a key of every organization, which names the one of this test

    async def __call__(self, verb: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        """Send a request; header names with `_` for `-`."""
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if self.key:
            sent.setdefault("authorization", f"Bearer {self.key}")
        if self.names_it and "organization_id=" not in path:
            sent.setdefault("x-organization", str(self.organization_id))
        whole = path if path.startswith(("/api/", "/feeds/", "/healthz", "/readyz", "/metrics")) else ROOT + path
        if isinstance(body, bytes):
            return await self.client.request(verb, whole, content=body, headers=sent)
        return await self.client.request(verb, whole, json=body, headers=sent)

    async def read(self, path: str) -> dict[str, Any]:
        """Read something that is there."""
        answer = await self("GET", path)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def items(self, path: str) -> list[dict[str, Any]]:
        """Read the first page of a list."""
        found: list[dict[str, Any]] = (await self.read(path))["items"]
        return found

    async def refused(self, verb: str, path: str, body: Any = None, **headers: str) -> Refusal:
        """Ask for something that is refused; every refusal is a problem document with a remedy."""
        answer = await self(verb, path, body, **headers)
        assert answer.status_code >= 400, answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        problem = answer.json()
        assert problem["status"] == answer.status_code
        assert problem["remedy"]
        assert problem["cause"]
        places = [one["place"] for one in problem.get("errors", [])]
        return Refusal(answer.status_code, problem["code"], places[0] if places else "", problem)

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
    """The application over the shared database."""
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


@pytest.fixture(scope="session")
def shared_url(postgres_url: str, template: str, worker_id_or_master: str) -> str:
    """Address of the database that the tests of one process share."""
    name = f"rest_{worker_id_or_master}_{new_id().hex}"

    async def make() -> None:
        connection = await asyncpg.connect(postgres_url)
        await connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY file_copy')
        await connection.close()

    asyncio.run(make())
    return with_name(postgres_url, name)


@pytest.fixture
async def database(shared_url: str) -> AsyncIterator[Database]:
    """The shared database."""
    async with await Database.open(shared_url, pool=4) as opened:
        yield opened


@pytest.fixture
async def fresh(database_url: str) -> AsyncIterator[Database]:
    """A database of the test's own."""
    async with await Database.open(database_url, pool=4) as opened:
        yield opened


@pytest.fixture
async def organization_id(database: Database) -> UUID:
    """The organization of this test."""
    return await make_organization(database, "Muster GmbH")


@pytest.fixture
async def api(client: httpx.AsyncClient, database: Database, organization_id: UUID) -> Caller:
    """A caller who may do everything in every organization, and means that of the test."""
    return Caller(client, organization_id, await make_key(database, None, "admin"), names_it=True)


@pytest.fixture
async def reader(client: httpx.AsyncClient, database: Database, organization_id: UUID) -> Caller:
    """A caller who may only read, in the organization of the test."""
    return Caller(client, organization_id, await make_key(database, organization_id, "read"))


@pytest.fixture
async def writer(client: httpx.AsyncClient, database: Database, organization_id: UUID) -> Caller:
    """A caller who may change calendars but not the configuration, in the organization of the test."""
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
    """A person of the organization of the test."""
    return await api.made("/resources", name="Anna Muster", external_id="u-1", email="anna@example.org")


@pytest.fixture
async def login(api: Caller) -> dict[str, Any]:
    """A connection of the organization of the test, to a simulated system that nobody runs."""
    return await api.made("/connections", provider="memory", name="Simulated", url="http://127.0.0.1:9", auth={"method": "none"})


@pytest.fixture
async def link(api: Caller, anna: dict[str, Any], login: dict[str, Any]) -> dict[str, Any]:
    """Anna's calendar tied to one there."""
    return await api.made(
        "/links", resource_id=anna["id"], connection_id=login["id"], mailbox="anna@example.org", calendar="main"
    )
