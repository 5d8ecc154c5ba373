"""The live stream over a real connection: what happens in the database reaches a browser that only listens."""

from __future__ import annotations

import asyncio
import re
import socket

import aiohttp
import uvicorn
from sqlalchemy import text
from tests.web.pages.believable import PASSWORD, Desk
from tests.web.pages.look import application

from gleichtakt.store.database import Database


async def events(stream: aiohttp.ClientResponse) -> list[str]:
    """Read up to the first news, or the stream's end."""
    seen = []
    async for line in stream.content:
        if line.startswith(b"event:"):
            seen.append(line.decode().split(":", 1)[1].strip())
            if seen[-1] == "pulse":
                break
    return seen


async def test_a_change_reaches_an_open_page_by_itself(database: Database, desk: Desk) -> None:
    listening = socket.create_server(("127.0.0.1", 0))
    address = f"http://127.0.0.1:{listening.getsockname()[1]}"
    config = uvicorn.Config(application(database), log_config=None, access_log=False, timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve([listening]))
    try:
        async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as browser:
            async with browser.get(f"{address}/live", allow_redirects=False) as refused:
                assert refused.status == 303  # nobody listens without signing in
            await browser.post(f"{address}/login", data={"username": "admin", "password": PASSWORD})
            async with browser.get(f"{address}/") as page:
                source = re.search(r'sse-connect="(/live\?seen=\w+)"', await page.text())
            assert source is not None
            async with browser.get(f"{address}{source[1]}") as stream:
                assert stream.headers["content-type"].startswith("text/event-stream")
                async with database.begin() as connection:
                    await connection.execute(text("update hold set state = 'approved' where id = :id"), {"id": desk.hold_id})
                async with asyncio.timeout(30):
                    assert (await events(stream))[-1] == "pulse"
    finally:
        server.should_exit = True
        await serving
