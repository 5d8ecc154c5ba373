"""``python -m gleichtakt.simulators.memory``: the simulator as a process of its own, until it is told to stop."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from gleichtakt.simulators.memory.server import Running, start
from gleichtakt.simulators.memory.state import ACCOUNTS, Simulator
from gleichtakt.simulators.process import main, until_stopped


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

    def told(running: Running) -> dict[str, Any]:
        mailboxes = sorted({mailbox for mailbox, _ in simulator.folders}) or ["anyone@example.org"]
        accounts = [
            {"mailbox": mailbox, "username": username, "password": password}
            for mailbox in mailboxes
            for username, password in ACCOUNTS.items()
        ]
        return {"url": running.url, "control": running.control, "accounts": accounts}

    starting = start(simulator, host=host, port=port, control_port=control_port)
    await until_stopped(starting, told, name="memory simulator", as_json=as_json)


if __name__ == "__main__":
    main("memory", run, "control-port")
