"""Serve the believable firm, to look at the pages: `python -m tests.web.pages.look [PORT]`, sign in as admin."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from datetime import UTC, datetime
from types import SimpleNamespace

import uvicorn
from litestar import Litestar
from litestar.datastructures import State
from tests.web.pages.believable import PASSWORD, fill

from gleichtakt.settings import Settings
from gleichtakt.store.database import Database
from gleichtakt.store.embedded import Embedded
from gleichtakt.store.migrate import migrate
from gleichtakt.web import admin, login


def application(database: Database, settings: Settings | None = None, *, debug: bool = False) -> Litestar:
    """Give the pages alone, as the server mounts them."""
    services = SimpleNamespace(database=database, settings=settings or Settings())
    return Litestar(
        [*login.route_handlers, *admin.route_handlers], state=State({"services": services}), openapi_config=None, debug=debug
    )


async def serve(url: str, port: int) -> None:
    """Fill a database and serve it."""
    async with await Database.open(url) as database:
        await migrate(database)
        await fill(database, datetime.now(UTC))
        server = uvicorn.Server(
            uvicorn.Config(application(database, debug=True), port=port, log_level="warning", timeout_graceful_shutdown=1)
        )
        print(f"http://127.0.0.1:{port}/  admin  {PASSWORD}", flush=True)
        await server.serve()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder, Embedded.start(folder) as embedded:
        asyncio.run(serve(embedded.url, int(sys.argv[1]) if len(sys.argv) > 1 else 8765))
