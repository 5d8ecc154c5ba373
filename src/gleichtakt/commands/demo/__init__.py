"""`demo`: the real server with a real CalDAV server beside it, and an example firm that books, moves and deletes.

Everything lives in one folder and ends with the process; a temporary folder is removed afterwards.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

from gleichtakt.commands.demo.caldav_server import radicale
from gleichtakt.commands.demo.firm import PEOPLE, ROOMS
from gleichtakt.commands.demo.story import Colleagues, Story
from gleichtakt.commands.serving import announce, listen, running, stop_on_signals
from gleichtakt.commands.telling import DONE, either, progress, say
from gleichtakt.errors import Permanent
from gleichtakt.settings import Settings


async def demo(settings: Settings, *, folder: Path | None, as_json: bool) -> int:
    """Run the demonstration until SIGINT or SIGTERM; it says where once the firm is in step and something waits."""
    stop = stop_on_signals()
    home = _home(folder)
    try:
        progress(either("Ein CalDAV-Server (Radicale) startet …", "A CalDAV server (Radicale) starts …"))
        async with radicale(home / "radicale", [one.id for one in (*PEOPLE, *ROOMS)]) as server, Colleagues(server) as colleagues:
            progress(either("Datenbank, Webserver und Worker starten …", "Database, web server and worker start …"))
            async with running(_settings(settings, home), stop) as served, Story(served, server, colleagues) as story:
                if await _unless(stop, story.begin()):
                    announce(served, as_json=as_json, more=story.told())
                    for line in () if as_json else story.lines():
                        say(line)
                    await _unless(stop, story.go_on())
                    await stop.wait()
    finally:
        if folder is None:
            shutil.rmtree(home, ignore_errors=True)
    return DONE


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
