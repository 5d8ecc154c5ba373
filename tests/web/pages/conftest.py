"""The pages over a believable firm, and a browser's part: a client that keeps cookies and sends forms."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from httpx import ASGITransport, AsyncClient
from tests.web.pages.believable import PASSWORD, Desk, fill
from tests.web.pages.look import application

from gleichtakt.store.database import Database

Client = AsyncClient


def browser(database: Database) -> Client:
    """A browser in front of the application, in the test's own event loop."""
    return AsyncClient(transport=ASGITransport(application(database)), base_url="http://testserver.local")


@pytest.fixture
async def desk(database: Database) -> Desk:
    """A firm with something of everything."""
    return await fill(database, datetime.now(UTC))


@pytest.fixture
async def stranger(database: Database, desk: Desk) -> AsyncIterator[Client]:
    """A browser of someone who has not signed in."""
    async with browser(database) as client:
        yield client


@pytest.fixture
async def admin(stranger: Client) -> Client:
    """A browser of an administrator."""
    await sign_in(stranger, "admin")
    return stranger


async def sign_in(client: Client, username: str, password: str = PASSWORD) -> Any:
    """Send the sign-in form."""
    return await client.post("/login", data={"username": username, "password": password}, follow_redirects=False)


async def token(client: Client) -> str:
    """Read the token that forms carry."""
    found = re.search(r'name="csrf" value="([^"]+)"', (await client.get("/account")).text)
    assert found is not None
    return found[1]


async def send(client: Client, path: str, **fields: str) -> Any:
    """Send a form of ours and go where it leads."""
    return await client.post(path, data={"csrf": await token(client), **fields}, follow_redirects=True)
