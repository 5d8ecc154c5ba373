"""``python -m gleichtakt.simulators.memory``: the simulator as a process of its own, until it is told to stop."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from pathlib import Path
from typing import Any

from gleichtakt.simulators.memory.server import start
from gleichtakt.simulators.memory.state import ACCOUNTS, Simulator


def seeded(simulator: Simulator, calendars: list[dict[str, Any]]) -> Simulator:
    """Fill a simulator. calendars: as the control interface shows them in `state`; only `document` is needed of an object."""
    for calendar in calendars:
        folder = simulator.folder(calendar["mailbox"], calendar.get("calendar", ""), calendar.get("variant", "exact"))
        for found in calendar.get("objects", ()):
            simulator.put(folder, found["document"], href=found.get("href", ""), marker=found.get("marker", ""))
    return simulator


async def run(*, host: str, port: int, control_port: int = 0, seed: Path | None, as_json: bool) -> None:
    """Serve until SIGINT or SIGTERM; say where, on standard output."""
    simulator = Simulator()
    if seed is not None:
        seeded(simulator, json.loads(seed.read_text(encoding="utf-8")))  # noqa: ASYNC240  # before anyone is served
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with start(simulator, host=host, port=port, control_port=control_port) as running:
        mailboxes = sorted({mailbox for mailbox, _ in simulator.folders}) or ["anyone@example.org"]
        accounts = [
            {"mailbox": mailbox, "username": username, "password": password}
            for mailbox in mailboxes
            for username, password in ACCOUNTS.items()
        ]
        told = {"url": running.url, "control": running.control, "accounts": accounts}
        line = json.dumps(told) if as_json else f"memory simulator at {running.url}, control at {running.control}"
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
        await stopped.wait()


def main() -> None:
    """Read the arguments and run."""
    parser = argparse.ArgumentParser(prog="python -m gleichtakt.simulators.memory", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--control-port", type=int, default=0)
    parser.add_argument("--seed", type=Path)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    asyncio.run(run(host=given.host, port=given.port, control_port=given.control_port, seed=given.seed, as_json=given.json))


if __name__ == "__main__":
    main()
