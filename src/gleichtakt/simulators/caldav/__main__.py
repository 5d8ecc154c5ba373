"""``python -m gleichtakt.simulators.caldav``: the simulator as a process of its own, until it is told to stop."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from gleichtakt.simulators.caldav.server import Running, start
from gleichtakt.simulators.caldav.state import ACCOUNTS, DOMAIN, Simulator
from gleichtakt.simulators.process import main, until_stopped


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

    def told(running: Running) -> dict[str, Any]:
        accounts = [
            {"mailbox": f"{username}@{DOMAIN}", "username": username, "password": password}
            for username, password in ACCOUNTS.items()
        ]
        return {"url": running.url, "control": running.control, "accounts": accounts}

    await until_stopped(start(simulator, host=host, port=port), told, name="CalDAV simulator", as_json=as_json)


if __name__ == "__main__":
    main("caldav", run)
