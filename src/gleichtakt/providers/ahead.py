"""Reading a long list in batches: while one is worked on, the next one is already asked for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from typing import Any, TypeVar

Batch = TypeVar("Batch")
Answer = TypeVar("Answer")


async def read_ahead(
    batches: Sequence[Batch], read: Callable[[Batch], Coroutine[Any, Any, Answer]]
) -> AsyncGenerator[tuple[Batch, Answer], None]:
    """Yield each batch with its answer, in order. Close it (`aclosing`): then nothing goes on being read."""
    if not batches:
        return
    asked = asyncio.ensure_future(read(batches[0]))
    try:
        for number, batch in enumerate(batches, 1):
            answer = await asked
            if number < len(batches):
                asked = asyncio.ensure_future(read(batches[number]))
                await asyncio.sleep(0)  # lets that request leave before this answer is worked on
            yield batch, answer
    finally:
        asked.cancel()
