"""A database that dies on demand: before or after any commit, and stays dead until it is mended.

Every effect of a pass stands between two transactions, so a fuse that blows at the n-th border of a transaction stops
a pass before or after each of them. What was not committed is gone, as when the process is killed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy.ext.asyncio import AsyncConnection

from gleichtakt.store.database import Database


class Crash(BaseException):
    """The process is gone."""


class BreakingDatabase(Database):
    """Counts the borders of transactions down and blows."""

    fuse: int | None = None
    is_dead = False
    died: asyncio.Event

    def arm(self, borders: int | None) -> None:
        """Blow at this border from now on; never with None."""
        self.fuse, self.is_dead, self.died = borders, False, asyncio.Event()

    def _burn(self) -> None:
        if self.is_dead:
            raise Crash
        if self.fuse is not None:
            self.fuse -= 1
            if self.fuse <= 0:
                self.is_dead = True
                self.died.set()
                raise Crash

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncConnection]:
        """Open a transaction that may not live to be committed, or whose end nobody learns of."""
        self._burn()
        async with super().begin() as connection:
            yield connection
            self._burn()
        self._burn()

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """Read, unless dead."""
        if self.is_dead:
            raise Crash
        async with super().read() as connection:
            yield connection
