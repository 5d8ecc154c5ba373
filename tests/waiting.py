"""Waiting for what another process does: looking again and again, never longer than needed."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

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
