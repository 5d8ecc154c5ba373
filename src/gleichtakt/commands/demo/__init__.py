"""`demo`: the real server between a real CalDAV server and a simulated Exchange, and a firm that books, moves, deletes.

Everything lives in one folder and ends with the process; a temporary folder is removed afterwards.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from gleichtakt.commands.demo import firm
from gleichtakt.commands.demo.caldav_server import radicale
from gleichtakt.commands.demo.colleagues import Colleagues, living_at
from gleichtakt.commands.demo.exchange_server import Mailbox, exchange
from gleichtakt.commands.demo.sights import lines, told
from gleichtakt.commands.demo.story import Story
from gleichtakt.commands.serving import announce, listen, running, stop_on_signals
from gleichtakt.commands.telling import DONE, either, progress, say
from gleichtakt.errors import Permanent
from gleichtakt.settings import Settings


async def demo(settings: Settings, *, folder: Path | None, as_json: bool) -> int:
    """Run the demonstration until SIGINT or SIGTERM; it says where once the firm is in step and something waits."""
    stop = stop_on_signals()
    home = _home(folder)
    try:
        progress(
            either(
                "Ein CalDAV-Server (Radicale) und ein simulierter Exchange-Server starten …",
                "A CalDAV server (Radicale) and a simulated Exchange server start …",
            )
        )
        async with _colleagues(home) as colleagues:
            progress(either("Datenbank, Webserver und Worker starten …", "Database, web server and worker start …"))
            async with running(_settings(settings, home), stop) as served, Story(served, colleagues) as story:
                if await _unless(stop, story.begin()):
                    announce(served, as_json=as_json, more=told(served, colleagues))
                    for line in () if as_json else lines(served, story):
                        say(line)
                    await _unless(stop, story.go_on())
                    await stop.wait()
    finally:
        if folder is None:
            shutil.rmtree(home, ignore_errors=True)
    return DONE


@asynccontextmanager
async def _colleagues(home: Path) -> AsyncIterator[Colleagues]:
    """Run both servers around a block, whose calendars begin to fill."""
    at_radicale = [one.id for one in living_at(firm.RADICALE)]
    mailboxes = [Mailbox(one.id, one.address, one.name, one.kind == "room") for one in living_at(firm.EXCHANGE)]
    async with (
        radicale(home / "radicale", at_radicale) as caldav_server,
        exchange(home / "exchange", mailboxes, zone=firm.ZONE) as exchange_server,
        Colleagues(caldav_server, exchange_server) as colleagues,
    ):
        yield colleagues


async def _unless(stop: asyncio.Event, work: Coroutine[Any, Any, None]) -> bool:
    """Do the work, or leave it when the process is told to stop; say whether it was done."""
    working = asyncio.create_task(work)
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait([working, stopping], return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            await working
        return working.done()
    finally:
        for task in (working, stopping):
            task.cancel()
        await asyncio.gather(working, stopping, return_exceptions=True)


def _home(folder: Path | None) -> Path:
    return folder.absolute() if folder else Path(tempfile.mkdtemp(prefix="gleichtakt-demo-"))


def _settings(settings: Settings, home: Path) -> Settings:
    """Keep everything in the demo's own folder, and take another port where the usual one is in use."""
    own = replace(settings, database_url="", data_dir=str(home / "data"), secret_key="", public_url="", smtp_url="")
    try:
        listen(own).close()
    except Permanent:
        return replace(own, listen="127.0.0.1:0")
    return own
