"""What keeps pages live: one look at the database per organization and process, told to every open page.

A page is told only that something happened and fetches its own live part again, so that nothing is rendered for nobody
and no event carries content. Nobody looks while no page is open; a notification wakes the watcher before its time.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

import structlog
from litestar import get
from litestar.response import ServerSentEvent
from litestar.types import SSEData
from sqlalchemy.ext.asyncio import AsyncConnection

from gleichtakt.errors import Trouble
from gleichtakt.store import desk
from gleichtakt.store.database import Database
from gleichtakt.web.login.viewer import Asked, Onlooker, database_of

log = structlog.get_logger(__name__)

LOOK_SECONDS = 1.5
QUIET_SECONDS = 20.0  # a sign of life, so that proxies do not end a quiet stream
SESSION_CHECK_SECONDS = 600.0  # a stream ends after so long; the page opens the next one and is asked who it is again
CHANNEL = "runs"


@dataclass(slots=True, eq=False)
class OpenPage:
    """One page that wants to be told. seen: the fingerprint it was made from, empty for «whatever is now»."""

    seen: str
    news: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(slots=True)
class Watched:
    """One organization that someone looks at."""

    pages: set[OpenPage] = field(default_factory=set)
    task: asyncio.Task[None] | None = None
    again: asyncio.Event = field(default_factory=asyncio.Event)


class Pulse:
    """Tells open pages that there is something new. One per process."""

    def __init__(self, database: Database) -> None:
        """Begin with nobody watching."""
        self._database = database
        self._watched: dict[UUID | None, Watched] = {}

    @property
    def is_resting(self) -> bool:
        """Say whether nobody watches."""
        return not self._watched

    async def beats(self, organization_id: UUID | None, seen: str, until_seconds: float) -> AsyncGenerator[bool, None]:
        """Yield True when something is new, False as a sign of life; end after so many seconds.

        What changed between making the page (*seen*) and listening, or while the line was down, is told at once.
        """
        page = OpenPage(seen)
        watched = self._watched.setdefault(organization_id, Watched())
        watched.pages.add(page)
        if watched.task is None or watched.task.done():
            watched.task = asyncio.create_task(self._watch(organization_id, watched))
        watched.again.set()
        loop = asyncio.get_running_loop()
        end = loop.time() + until_seconds
        try:
            while (left := end - loop.time()) > 0:
                with suppress(TimeoutError):
                    async with asyncio.timeout(min(left, QUIET_SECONDS)):
                        await page.news.wait()
                yield page.news.is_set()
                page.news.clear()
        finally:
            watched.pages.discard(page)
            if not watched.pages:
                watched.task.cancel()
                self._watched.pop(organization_id, None)

    async def _watch(self, organization_id: UUID | None, watched: Watched) -> None:
        async with self._database.listen(CHANNEL) as wakes:
            while True:
                watched.again.clear()
                now = await fingerprint(self._database, organization_id)
                for page in watched.pages if now else ():
                    if page.seen and page.seen != now:
                        page.news.set()
                    page.seen = now
                if not watched.again.is_set():
                    await wakes.wait(LOOK_SECONDS)


async def fingerprint(database: Database, organization_id: UUID | None) -> str:
    """Look at an organization with a connection of its own; empty while the database is away."""
    try:
        async with database.read() as connection:
            return await look(connection, organization_id)
    except Trouble as away:  # it is being restarted: look again at the next beat
        log.warning("pulse_missed", code=away.code)
        return ""


async def look(connection: AsyncConnection, organization_id: UUID | None) -> str:
    """Give a short text that differs when a page would."""
    state = await desk.pulse(connection, organization_id, datetime.now(UTC))
    return hashlib.blake2s(state.encode(), digest_size=8).hexdigest()


def pulse_of(request: Asked) -> Pulse:
    """Give the one pulse of this process."""
    state = request.app.state
    if "pulse" not in state:
        state.pulse = Pulse(database_of(request))
    pulse: Pulse = state.pulse
    return pulse


@get("/live", include_in_schema=False)
async def live(request: Asked, viewer: Onlooker) -> ServerSentEvent:
    """Stream `pulse` events to one page."""
    seen = request.query_params.get("seen", "")[:64]

    async def events() -> AsyncIterator[SSEData]:
        yield {"event": "hello", "data": "1"}
        async for news in pulse_of(request).beats(viewer.scope, seen, SESSION_CHECK_SECONDS):
            yield {"event": "pulse" if news else "alive", "data": "1"}

    return ServerSentEvent(events(), headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
