"""Waiting for what another process does: looking again and again, never longer than needed."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from sqlalchemy import text

from gleichtakt.store.database import Database

T = TypeVar("T")

PATIENCE_SECONDS = 30.0
_never = threading.Event()


def until(look: Callable[[], T], seconds: float = PATIENCE_SECONDS) -> T:
    """Give the first true answer of *look*; fails the test when there is none in time."""
    deadline = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < deadline, "what was waited for did not happen"
        _never.wait(0.02)
    return found


async def eventually(look: Callable[[], Awaitable[T]], seconds: float = PATIENCE_SECONDS) -> T:
    """Give the first true answer of *look*; fails the test when there is none in time."""
    deadline = time.monotonic() + seconds
    while not (found := await look()):
        assert time.monotonic() < deadline, "what was waited for did not happen"
        await asyncio.sleep(0.02)
    return found


async def somebody_waits(database: Database) -> bool:
    """Say whether a statement in this database waits for another one's lock."""
    async with database.read() as connection:
        found = await connection.execute(
            text("select exists (select from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock')")
        )
        return bool(found.scalar_one())
