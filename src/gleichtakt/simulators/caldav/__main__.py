"""``python -m gleichtakt.simulators.caldav``: the simulator as a process of its own, until it is told to stop."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from pathlib import Path
from typing import Any

from gleichtakt.simulators.caldav.server import start
from gleichtakt.simulators.caldav.state import ACCOUNTS, DOMAIN, Simulator


def seeded(simulator: Simulator, calendars: list[dict[str, Any]]) -> Simulator:
    """Fill a simulator. calendars: as the control interface shows them in `state`; `owner` is enough for an empty one."""
    for calendar in calendars:
        name = str(calendar.get("path", "/calendar/")).strip("/").rpartition("/")[2]
        folder = simulator.add_calendar(calendar["owner"], name, calendar.get("title", ""))
        for found in calendar.get("objects", ()):
            simulator.put(folder, found["name"], found["text"], mails=False)
    return simulator


async def run(*, host: str, port: int, seed: Path | None, as_json: bool) -> None:
    """Serve until SIGINT or SIGTERM; say where, on standard output."""
    simulator = Simulator()
    simulator.add_calendar("sync", "calendar")
    if seed is not None:
        seeded(simulator, json.loads(seed.read_text(encoding="utf-8")))  # noqa: ASYNC240  # before anyone is served
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with start(simulator, host=host, port=port) as running:
        accounts = [
            {"mailbox": f"{username}@{DOMAIN}", "username": username, "password": password}
            for username, password in ACCOUNTS.items()
        ]
        told = {"url": running.url, "control": running.control, "accounts": accounts}
        line = json.dumps(told) if as_json else f"CalDAV simulator at {running.url}, control at {running.control}"
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
        await stopped.wait()


def main() -> None:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(prog="python -m gleichtakt.simulators.caldav", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--seed", type=Path)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    asyncio.run(run(host=given.host, port=given.port, seed=given.seed, as_json=given.json))


if __name__ == "__main__":
    main()
