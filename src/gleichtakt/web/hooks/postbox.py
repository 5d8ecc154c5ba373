"""Takes down what is called in, and puts it away when the database can: callers never wait for it.

What is said twice before it is put away counts once. Memory is bounded: what does not fit is refused, so that the caller
comes again. A process that dies with letters in hand loses hints and nothing else: the clock finds what they were about.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from enum import Enum, auto
from typing import Final

import structlog

from gleichtakt.errors import Trouble
from gleichtakt.store import watches
from gleichtakt.store.database import Database

log = structlog.get_logger(__name__)

MOST_WAITING: Final = 5_000
MOST_BYTES: Final = 32 * 1024 * 1024
MOST_UNKNOWN: Final = 10_000  # addresses remembered to be nobody's
AT_ONCE: Final = 200
AWAY_SECONDS: Final = 0.5
LAST_SECONDS: Final = 2.0  # for putting away what is in hand at the end

Waiting = tuple[str, Mapping[str, str], bytes]


class Verdict(Enum):
    """What became of a letter."""

    KEPT = auto()
    UNKNOWN = auto()
    FULL = auto()


class Postbox:
    """The letters of one web process on their way to the database. rejected: counts what was not kept, by reason."""

    def __init__(self) -> None:
        """Begin empty."""
        self._waiting: dict[bytes, Waiting] = {}
        self._bytes = 0
        self._unknown: dict[str, None] = {}
        self._carrying: asyncio.Task[None] | None = None
        self.rejected: Counter[str] = Counter()

    def drop(self, database: Database, token_hash: str, headers: Mapping[str, str], body: bytes) -> Verdict:
        """Take a letter down; never waits."""
        if token_hash in self._unknown:
            self.rejected["unknown"] += 1
            return Verdict.UNKNOWN
        digest = hashlib.sha256(repr((token_hash, sorted(headers.items()), body)).encode()).digest()
        if digest in self._waiting:
            return Verdict.KEPT
        if len(self._waiting) >= MOST_WAITING or self._bytes + len(body) > MOST_BYTES:
            self.rejected["full"] += 1
            return Verdict.FULL
        self._waiting[digest] = (token_hash, headers, body)
        self._bytes += len(body)
        if self._carrying is None or self._carrying.done():
            self._carrying = asyncio.get_running_loop().create_task(self._carry(database))
        return Verdict.KEPT

    async def _carry(self, database: Database) -> None:
        """Put everything away, however long the database takes."""
        while self._waiting:
            batch = dict(list(self._waiting.items())[:AT_ONCE])
            try:
                async with database.begin() as connection:
                    known = await watches.keep_letters(connection, list(batch.values()))
            except Trouble as away:
                log.debug("letters_wait", code=away.code, letters=len(self._waiting))
                await asyncio.sleep(AWAY_SECONDS)
                continue
            for digest, (token_hash, _, body) in batch.items():
                del self._waiting[digest]
                self._bytes -= len(body)
                if token_hash not in known:
                    self._refuse(token_hash)

    def _refuse(self, token_hash: str) -> None:
        self.rejected["unknown"] += 1
        self._unknown[token_hash] = None
        if len(self._unknown) > MOST_UNKNOWN:
            del self._unknown[next(iter(self._unknown))]

    async def settled(self) -> None:
        """Wait until everything in hand is put away."""
        if self._carrying is not None:
            await self._carrying

    async def close(self) -> None:
        """Put away what is in hand, as far as a moment allows."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_SECONDS):
                await self.settled()
