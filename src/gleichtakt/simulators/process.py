"""A simulator as a process of its own, until it is told to stop."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any


async def until_stopped(
    starting: AbstractAsyncContextManager[Any], told: Callable[[Any], Mapping[str, Any]], *, name: str, as_json: bool
) -> None:
    """Serve until SIGINT or SIGTERM; say where, on standard output. told: what the line of JSON says of what runs."""
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with starting as running:
        facts = told(running)
        line = json.dumps(facts) if as_json else f"{name} at {facts['url']}, control at {facts['control']}"
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
        await stopped.wait()


def main(name: str, run: Callable[..., Coroutine[Any, Any, None]], *numbers: str) -> None:
    """Read the arguments every simulator takes, and whole numbers of its own, and run it."""
    parser = argparse.ArgumentParser(prog=f"python -m gleichtakt.simulators.{name}")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--seed", type=Path)
    parser.add_argument("--json", action="store_true", dest="as_json")
    for number in numbers:
        parser.add_argument(f"--{number}", type=int, default=0)
    asyncio.run(run(**vars(parser.parse_args())))
