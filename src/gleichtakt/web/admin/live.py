"""What keeps pages live: one look at the database per organization and process, told to every open page.

A page is told only that something happened and fetches its own live part again, so that nothing is rendered for nobody
and no event carries content. Nobody looks while no page is open; a notification wakes the watcher before its time.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import UUID

import structlog
from litestar import get
from litestar.response import ServerSentEvent
from litestar.types import SSEData

from gleichtakt.errors import Trouble
from gleichtakt.store import desk
from gleichtakt.store.database import Database
from gleichtakt.web.login.viewer import Asked, Onlooker, database_of

log = structlog.get_logger(__name__)

LOOK_SECONDS = 1.5
QUIET_SECONDS = 20.0  # a sign of life, so that proxies do not end a quiet stream
SESSION_CHECK_SECONDS = 600.0  # a stream ends after so long; the page opens the next one and is asked who it is again
CHANNEL = "runs"


@dataclass(slots=True)
class Watched:
    """One organization that someone looks at."""

    pages: set[asyncio.Event] = field(default_factory=set)
    task: asyncio.Task[None] | None = None


class Pulse:
    """Tells open pages that there is something new. One per process."""

    def __init__(self, database: Database) -> None:
        """Begin with nobody watching."""
        self._database = database
        self._watched: dict[UUID | None, Watched] = {}

    async def beats(self, organization_id: UUID | None, until_seconds: float) -> AsyncIterator[bool]:
        """Yield True when something is new, False as a sign of life; end after so many seconds."""
        news = asyncio.Event()
        watched = self._watched.setdefault(organization_id, Watched())
        watched.pages.add(news)
        if watched.task is None or watched.task.done():
            watched.task = asyncio.create_task(self._watch(organization_id, watched))
        loop = asyncio.get_running_loop()
        end = loop.time() + until_seconds
        try:
            while (left := end - loop.time()) > 0:
                with suppress(TimeoutError):
                    await asyncio.wait_for(news.wait(), min(left, QUIET_SECONDS))
                yield news.is_set()
                news.clear()
        finally:
            watched.pages.discard(news)
            if not watched.pages:
                watched.task.cancel()
                self._watched.pop(organization_id, None)

    async def _watch(self, organization_id: UUID | None, watched: Watched) -> None:
        seen = await self._look(organization_id)
        async with self._database.listen(CHANNEL) as wakes:
            while True:
                await wakes.wait(LOOK_SECONDS)
                now = await self._look(organization_id)
                if now != seen and now is not None:
                    seen = now
                    for page in watched.pages:
                        page.set()

    async def _look(self, organization_id: UUID | None) -> str | None:
        try:
            async with self._database.read() as connection:
                return await desk.pulse(connection, organization_id, datetime.now(UTC))
        except Trouble as away:  # the database is being restarted: look again at the next beat
            log.warning("pulse_missed", code=away.code)
            return None


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

    async def events() -> AsyncIterator[SSEData]:
        yield {"event": "hello", "data": "1"}
        async for news in pulse_of(request).beats(viewer.scope, SESSION_CHECK_SECONDS):
            yield {"event": "pulse" if news else "alive", "data": "1"}

    return ServerSentEvent(events(), headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
