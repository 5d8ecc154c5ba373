"""Many links to the memory simulator in a process of its own, and workers as processes beside it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks.bench import PRODUCT, environment_of, process
from sqlalchemy import text

from gleichtakt.store.database import Database
from gleichtakt.store.embedded import Embedded

ACCOUNT = ("sync", "sync-password")
FIRST = datetime.now(UTC).replace(tzinfo=None, hour=8, minute=0, second=0, microsecond=0) + timedelta(days=1)


def document(number: int, spread: int) -> dict[str, Any]:
    """Give the n-th event, so that *spread* of them fill the window that is mirrored."""
    start = FIRST + timedelta(seconds=number * 300 * 86_400 // max(spread, 1))

    def at(moment: datetime) -> dict[str, str]:
        return {"date_time": moment.isoformat(timespec="seconds"), "time_zone": "Europe/Berlin"}

    return {
        "uid": f"bench-{number}@example.org",
        "title": f"Besprechung {number}",
        "description": "Guten Tag, anbei die Tagesordnung.\n" + "x" * 300,
        "location": f"Raum {number % 7}",
        "start": at(start),
        "end": at(start + timedelta(minutes=45)),
    }


def mailbox(number: int) -> str:
    """Name the n-th mailbox."""
    return f"person{number:05d}@example.org"


def configuration(url: str, links: int, settings: str, notify: str = "polling") -> str:
    """Give the configuration: one login, so many people with a calendar each. notify: how changes are to be told of."""
    connection = f"""{{external_id: memory, name: memory, provider: memory, url: "{url}",
          auth: {{method: basic, username: {ACCOUNT[0]}, password: "env:BENCH_PASSWORD"}}, allow_insecure: true,
          options: {{notify: {notify}}}}}"""
    return firm("memory", connection, [mailbox(number) for number in range(links)], settings)


def firm(name: str, connection: str, mailboxes: Sequence[str], settings: str) -> str:
    """Give the configuration of a firm with a person for each mailbox, over one connection of that name."""
    people = "\n".join(
        f"      - {{external_id: p{number}, name: P{number}, links: [{{connection: {name}, mailbox: {one}}}]}}"
        for number, one in enumerate(mailboxes)
    )
    return f"""
version: 1
organizations:
  - external_id: bench
    name: Benchmark
    settings: {settings}
    connections:
      - {connection}
    resources:
{people}
"""


@dataclass(frozen=True, slots=True)
class World:
    """An installation and what it is linked to."""

    folder: Path
    environment: dict[str, str]
    simulator: int  # process id
    database: str

    @contextmanager
    def worker(self, name: str = "worker") -> Iterator[int]:
        """Run one worker process; give its id."""
        command = [str(PRODUCT), "work", "--json"]
        with process(command, self.folder / f"{name}.log", self.environment) as (running, _):
            yield running.pid

    async def rows(self, database: Database, sql: str) -> list[Any]:
        """Ask the database."""
        async with database.begin() as connection:
            found = await connection.execute(text(sql))
            return list(found) if found.returns_rows else []


@contextmanager
def memory_world(folder: Path, *, links: int, events: int, settings: str) -> Iterator[World]:
    """Make an installation with so many links, each to a calendar with so many events. Nothing is synced yet."""
    calendars = [
        {"mailbox": mailbox(number), "objects": [{"document": document(one, events)} for one in range(events)]}
        for number in range(links)
    ]
    (folder / "seed.json").write_text(json.dumps(calendars))
    environment = environment_of(folder / "data", BENCH_PASSWORD=ACCOUNT[1])
    with ExitStack() as stack:
        command = [str(PRODUCT), "simulate", "memory", "--json", "--seed", str(folder / "seed.json")]
        simulator, line = stack.enter_context(process(command, folder / "simulator.log", environment))
        (folder / "firm.yaml").write_text(configuration(json.loads(line)["url"], links, settings))
        embedded = stack.enter_context(Embedded.start(folder / "data"))
        apply = [str(PRODUCT), "apply", str(folder / "firm.yaml")]
        subprocess.run(apply, env=environment, check=True, stdout=subprocess.DEVNULL)
        yield World(folder, environment, simulator.pid, embedded.url)
