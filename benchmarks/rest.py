"""How fast the REST interface answers: 100 events from the database with 50 connections, and free/busy of one month.

One web process as `gleichtakt web` runs it, the embedded PostgreSQL, and a load generator in a process of its own that
only counts bytes. `events` asks each connection for another calendar, `events_one_calendar` all for the same. The best of
several short runs counts, because whatever else the machine does can only slow them down.

usage: python -m benchmarks.rest [--seconds 3] [--runs 3] [--connections 50]
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import socket
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from uuid import UUID

from benchmarks.bench import Figure, cpu_seconds, report
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from gleichtakt.model.event import Event, Series
from gleichtakt.model.point import Zoned
from gleichtakt.settings import Settings
from gleichtakt.store import calendars, keys
from gleichtakt.store.calendars import Write
from gleichtakt.store.database import Database, new_id
from gleichtakt.store.embedded import Embedded
from gleichtakt.store.instance import attend
from gleichtakt.store.migrate import migrate
from gleichtakt.store.organizations import organizations
from gleichtakt.store.resources import resources
from gleichtakt.store.secrets import SecretBox, new_key

EVENTS = 100
RATES = {"events": 2_000.0}
TIMES = {"free_busy": 5.0}


async def prepare(url: str, data_dir: Path, number: int = 1) -> tuple[list[UUID], str]:
    """Store resources with 100 events of this month each; give their ids and a key."""
    async with await Database.open(url, pool=2) as database:
        await migrate(database)
        await attend(database, data_dir, embedded=True)
        async with database.begin() as connection:
            own = await organizations.add(connection, {"name": "Benchmark"})
            _, key = await keys.create(connection, organization_id=own.id, name="bench", scopes=["read"])
            made = [await fill(connection, own.id, f"Anna {place}") for place in range(number)]
        async with database.begin() as connection:
            await connection.execute(text("analyze"))
    return made, key


async def fill(connection: AsyncConnection, organization_id: UUID, name: str) -> UUID:
    """Store a resource with its events; give its id."""
    row = await resources.add(connection, {"organization_id": organization_id, "name": name})
    home = await calendars.home_of(connection, row.id)
    assert home is not None
    await calendars.write(connection, home, [Write(new_id(), series(place), None, "bench") for place in range(EVENTS)])
    return row.id


def series(number: int) -> Series:
    """Make the n-th event."""
    first = datetime.now(UTC).replace(tzinfo=None, day=1, hour=8, minute=0, second=0, microsecond=0)
    start = first + timedelta(hours=6 * number)
    event = Event(
        Zoned(start, "Europe/Berlin"),
        Zoned(start + timedelta(hours=1), "Europe/Berlin"),
        title=f"Besprechung {number}",
        description="Tagesordnung: Rückblick, Ausblick, Verschiedenes. " * 2,
        location="Raum 1",
    )
    return Series(f"bench-{number}@gleichtakt", event)


def serve(url: str, listening: socket.socket) -> None:
    """Be the web process."""
    import uvicorn

    from gleichtakt.web.app import create_app

    async def main() -> None:
        async with await Database.open(url, pool=10) as database:
            app = create_app(database, Settings(), SecretBox(new_key()))
            config = uvicorn.Config(app, log_config=None, access_log=False, server_header=False)
            await uvicorn.Server(config).serve([listening])

    asyncio.run(main())


class Caller(asyncio.Protocol):
    """One connection that sends the same request over and over; counts whole answers."""

    def __init__(self, request: bytes) -> None:
        """Begin without answers."""
        self.request, self.missing, self.head, self.bytes = request, 0, b"", 0
        self.times: list[float] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send the first request."""
        self.transport = transport
        self.send()

    def send(self) -> None:
        """Send the request again."""
        self.began = time.perf_counter()
        self.transport.write(self.request)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        """Count an answer once it is whole, and send the next request."""
        self.bytes += len(data)
        if self.missing:
            self.missing -= len(data)
        else:
            self.head += data
            end = self.head.find(b"\r\n\r\n")
            if end < 0:
                return
            head = self.head[:end].lower()
            assert head.startswith(b"http/1.1 200"), self.head[:500]
            length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
            self.missing = length - (len(self.head) - end - 4)
            self.head = b""
        if self.missing <= 0:
            self.times.append(time.perf_counter() - self.began)
            self.send()


def load(
    port: int, web: int, paths: list[str], key: str, connections: int, seconds: float, results: multiprocessing.Queue[object]
) -> None:
    """Be the load generator: the connections ask for the paths in turn."""
    asked = [
        f"GET {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {key}\r\naccept: */*\r\n\r\n".encode() for path in paths
    ]

    async def main() -> None:
        loop = asyncio.get_running_loop()
        made = []
        for place in range(connections):
            begin = partial(Caller, asked[place % len(asked)])
            made.append(await loop.create_connection(begin, "127.0.0.1", port))
        callers = [caller for _, caller in made]
        await asyncio.sleep(1.0)
        for caller in callers:
            caller.times.clear()
            caller.bytes = 0
        began, used = time.perf_counter(), cpu_seconds(web)
        await asyncio.sleep(seconds)
        took, used = time.perf_counter() - began, cpu_seconds(web) - used
        times = sorted(one for caller in callers for one in caller.times)
        results.put(
            {
                "requests_per_second": round(len(times) / took),
                "p50_ms": round(1000 * statistics.median(times), 2),
                "p99_ms": round(1000 * times[int(len(times) * 0.99)], 2),
                "web_cpu_us_per_request": round(1_000_000 * used / max(1, len(times))),
                "bytes_per_answer": sum(caller.bytes for caller in callers) // max(1, len(times)),
            }
        )
        for transport, _ in made:
            transport.abort()

    asyncio.run(main())


def main() -> int:
    """Measure and print; 1 where a goal is missed."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=float, default=3.0)
    options.add_argument("--runs", type=int, default=3)
    options.add_argument("--connections", type=int, default=50)
    chosen = options.parse_args()
    spawn, figures = multiprocessing.get_context("spawn"), list[Figure]()
    with tempfile.TemporaryDirectory() as folder, Embedded.start(Path(folder) / "postgres") as embedded:
        resource_ids, key = asyncio.run(prepare(embedded.url, Path(folder), chosen.connections))
        listening = socket.create_server(("127.0.0.1", 0), backlog=2048)
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        port = listening.getsockname()[1]
        web = spawn.Process(target=serve, args=(embedded.url, listening), daemon=True)
        web.start()
        wait_for(port)
        month = datetime.now(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        span = f"from={month:%Y-%m-%d}&to={month + timedelta(days=31):%Y-%m-%d}"
        events = [f"/api/v1/resources/{one}/events?{span}&limit={EVENTS}" for one in resource_ids]
        busy = [f"/api/v1/resources/{one}/free-busy?{span}" for one in resource_ids]
        for name, paths, connections in (
            ("events", events, chosen.connections),
            ("events_one_calendar", events[:1], chosen.connections),
            ("free_busy", busy[:1], 1),
            ("free_busy_many", busy, chosen.connections),
            ("healthz", ["/healthz"], chosen.connections),
        ):
            runs = [measured(port, web.pid, paths, key, connections, chosen.seconds) for _ in range(chosen.runs)]
            best = max(runs, key=lambda run: run["requests_per_second"])
            figures += figures_of(name, connections, best)
        web.kill()
    return report("rest", figures)


def figures_of(name: str, connections: int, found: dict[str, float]) -> list[Figure]:
    """Give the figures of one path: how many requests a second, and how long one takes where that is the goal."""
    made = f"p50 {found['p50_ms']} ms, p99 {found['p99_ms']} ms, {found['web_cpu_us_per_request']} µs CPU each"
    figures = [
        Figure(f"{name}, {connections} connections", found["requests_per_second"], RATES.get(name), "/s", least=True, more=made)
    ]
    if name in TIMES:
        figures.append(Figure(f"{name}, one request", found["p50_ms"], TIMES[name], "ms"))
    return figures


def measured(port: int, web: int | None, paths: list[str], key: str, connections: int, seconds: float) -> dict[str, float]:
    """Let a load generator of its own process ask for so long; give what it found."""
    spawn = multiprocessing.get_context("spawn")
    results = spawn.Queue()
    process = spawn.Process(target=load, args=(port, web, paths, key, connections, seconds, results))
    process.start()
    found: dict[str, float] = results.get(timeout=seconds + 60)
    process.join()
    return found


def wait_for(port: int) -> None:
    """Wait until the web process answers."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1) as opened:
                opened.sendall(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
                if opened.recv(20).startswith(b"HTTP/1.1 200"):
                    return
        except OSError:
            time.sleep(0.05)
    raise TimeoutError("the web process did not start")


if __name__ == "__main__":
    sys.exit(main())
