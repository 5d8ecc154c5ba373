"""``python -m gleichtakt.simulators.feed``: the publisher as a process of its own, until it is told to stop."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys

from gleichtakt.simulators.feed.server import start
from gleichtakt.simulators.feed.state import Simulator


async def run(*, host: str, port: int, as_json: bool) -> None:
    """Serve until SIGINT or SIGTERM; say where, on standard output."""
    simulator = Simulator()
    simulator.feed("calendar")
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with start(simulator, host=host, port=port) as running:
        told = {"url": running.address("calendar"), "control": running.control}
        line = json.dumps(told) if as_json else f"feed at {told['url']}, control at {told['control']}"
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
        await stopped.wait()


def main() -> None:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(prog="python -m gleichtakt.simulators.feed", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    asyncio.run(run(host=given.host, port=given.port, as_json=given.json))


if __name__ == "__main__":
    main()
