"""``python -m gleichtakt.simulators.feed``: the publisher as a process of its own, until it is told to stop."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from gleichtakt.simulators.feed.server import Running, change_feed, start
from gleichtakt.simulators.feed.state import Simulator
from gleichtakt.simulators.process import main, until_stopped


def seeded(simulator: Simulator, feeds: list[dict[str, Any]]) -> Simulator:
    """Fill a publisher. feeds: as POSTed to `state` of the control interface."""
    for feed in feeds:
        change_feed(simulator, feed)
    return simulator


async def run(*, host: str, port: int, seed: Path | None, as_json: bool) -> None:
    """Serve until SIGINT or SIGTERM; say where, on standard output."""
    simulator = Simulator()
    simulator.feed("calendar")
    if seed is not None:
        seeded(simulator, json.loads(seed.read_text(encoding="utf-8")))  # noqa: ASYNC240  # before anyone is served

    def told(running: Running) -> dict[str, Any]:
        return {"url": running.address("calendar"), "control": running.control, "accounts": []}

    await until_stopped(start(simulator, host=host, port=port), told, name="feed", as_json=as_json)


if __name__ == "__main__":
    main("feed", run)
