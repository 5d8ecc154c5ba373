"""A worker at work inside the test's own loop, and what it takes to wait for what it does."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import uvicorn
from tests.engine import Engine
from tests.waiting import eventually

from gleichtakt.web.app import create_app
from gleichtakt.worker.loop import work


@asynccontextmanager
async def at_work(world: Engine, **settings: Any) -> AsyncIterator[None]:
    """Run a worker while the block lasts; it ends in good order. settings: other than those of the world."""
    stop = asyncio.Event()
    wished = replace(world.settings, **{"lease_seconds": 1, **settings})
    worker = asyncio.create_task(work(world.database, wished, world.box, stop=stop))
    try:
        yield
    finally:
        stop.set()
        await worker


async def is_notified(world: Engine, by: str = "streaming", count: int = 1) -> None:
    """Wait until so many links say that they are notified that way, and have been compared since."""

    async def look() -> bool:
        rows = await world.rows("select calls = heard as is_done from link where notified_by = :by", by=by)
        return len(rows) == count and all(row["is_done"] for row in rows)

    await eventually(look)


async def arrives(world: Engine, title: str) -> None:
    """Wait until the application has an event of that title. Longer than the clock alone would take is no option here."""

    async def look() -> bool:
        return title in await world.titles()

    await eventually(look)


async def comes_true(world: Engine, sql: str) -> None:
    """Wait until a query gives a row."""
    await eventually(_asking(world, sql))


def _asking(world: Engine, sql: str) -> Callable[[], Awaitable[list[Any]]]:
    async def look() -> list[Any]:
        return list(await world.rows(sql))

    return look


@asynccontextmanager
async def reachable(world: Engine) -> AsyncIterator[str]:
    """Serve the interface on loopback, so that calendar systems can call it; give its address, which the world then names."""
    listening = socket.create_server(("127.0.0.1", 0))
    address = f"http://127.0.0.1:{listening.getsockname()[1]}"
    world.settings = replace(world.settings, public_url=address)
    app = create_app(world.database, world.settings, world.box)
    config = uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve([listening]))
    try:
        yield address
    finally:
        server.should_exit = True
        await serving
