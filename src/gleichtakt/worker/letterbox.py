"""Where providers that push reach one watch: secret addresses of ours, and what was said there."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping

from gleichtakt.providers.protocol import CalendarRef, Letter
from gleichtakt.settings import Settings
from gleichtakt.store import watches
from gleichtakt.store.database import Database
from gleichtakt.store.watches import Held

MOST_WAITING = 10_000  # letters; beyond that the oldest say nothing that the newest would not


class Letters:
    """The letterbox of a watch, as `protocol.Letterbox` describes it."""

    def __init__(self, database: Database, settings: Settings, held: Held) -> None:
        """Begin empty."""
        self._database, self._settings, self._held = database, settings, held
        self._arrived: asyncio.Queue[Letter] = asyncio.Queue()

    async def address(self, of: CalendarRef) -> str:
        """Give a new secret address for one calendar; the one before it is no longer known."""
        token = secrets.token_urlsafe(32)
        async with self._database.begin() as connection:
            await watches.open_hook(connection, self._held, (of.mailbox, of.calendar), token)
        return f"{self._settings.public_url.rstrip('/')}/hooks/{self._held.provider}/{token}"

    async def forget(self, of: CalendarRef) -> None:
        """Let the address of a calendar be unknown from now on."""
        async with self._database.begin() as connection:
            await watches.close_hook(connection, self._held, (of.mailbox, of.calendar))

    async def letter(self) -> Letter:
        """Wait for the next letter."""
        return await self._arrived.get()

    def put(self, of: CalendarRef, headers: Mapping[str, str], body: bytes) -> None:
        """Take a letter in."""
        while self._arrived.qsize() >= MOST_WAITING:
            self._arrived.get_nowait()
        self._arrived.put_nowait(Letter(of, headers, body))
