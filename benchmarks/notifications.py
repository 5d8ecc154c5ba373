"""How soon a change over there reaches the application's webhook, and whether any is lost when streams break.

One server as `gleichtakt serve` runs it, the simulated Exchange (or the memory simulator) in a process of its own with a
mailbox for each person, all over one login, and an application that takes webhooks. First changes come one by one to
mailboxes at rest, and each is timed from the call that makes it to the arrival of its webhook. Then many come as fast as
the simulator takes them while the streams break again and again, and messages with them; everything has to have arrived
at the end.

usage: python -m benchmarks.notifications [--provider ews|memory] [--links 100] [--changes 300] [--rate 5]
                                          [--storm 10000] [--breaks 20]
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from benchmarks import ews_world, memory_world
from benchmarks.bench import PRODUCT, Figure, Server, cpu_seconds, environment_of, process, report, serving
from benchmarks.ews_world import SERVICE_PASSWORD, Owners
from benchmarks.memory_world import ACCOUNT, document

GOAL_SECONDS = 1.0
SETTLE_SECONDS = 600.0
AT_ONCE = 8
SPREAD = 25_000  # events that fill the window that is mirrored; more than are made
FULL = "{inbound_detail: full}"


@dataclass
class Application:
    """What takes the webhooks. due: when a change was made to which an answer is awaited, by resource."""

    url: str = ""
    due: dict[str, float] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    created: set[str] = field(default_factory=set)

    async def take(self, request: web.Request) -> web.Response:
        """Take one message."""
        told = json.loads(await request.read())
        if told["type"] == "event.created":
            self.created.add(told["object_id"])
            begun = self.due.pop(told["resource_id"], None)
            if begun is not None:
                self.seconds.append(time.perf_counter() - begun)
        return web.Response()


@asynccontextmanager
async def application() -> AsyncIterator[Application]:
    """Run an application that takes webhooks."""
    made = Application()
    app = web.Application()
    app.router.add_post("/", made.take)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    yield made
    await runner.cleanup()


@dataclass
class Memory:
    """The memory simulator: makes changes in its calendars and breaks its streams."""

    http: aiohttp.ClientSession
    control: str

    async def change(self, number: int, place: int) -> None:
        """Make an event in a mailbox."""
        await self._post("state", {"op": "put", "mailbox": memory_world.mailbox(place), "document": document(number, SPREAD)})

    async def hurt(self, turn: int) -> None:
        """Break the stream when it tells of the next change, which it does not tell of again."""
        await self._post("faults", {"do": "lost", "verb": "event", "times": 1})

    async def _post(self, path: str, body: dict[str, Any]) -> None:
        async with self.http.post(f"{self.control}{path}", json=body) as answer:
            assert answer.status == 200, await answer.text()


@dataclass
class Exchange:
    """The simulated Exchange: its owners make changes, its streams are cut and its subscriptions are forgotten."""

    owners: Owners

    async def change(self, number: int, place: int) -> None:
        """Let the owner of a mailbox make an event."""
        start = ews_world.start_of(number)
        said, until = (f"{moment:%Y-%m-%dT%H:%M:%SZ}" for moment in (start, start + timedelta(minutes=45)))
        item = {"Subject": f"Besprechung {number}", "Start": said, "End": until}
        await self.owners.post("state", {"op": "put", "mailbox": ews_world.mailbox(place), "item": item})

    async def hurt(self, turn: int) -> None:
        """Cut every open stream; the next time forget every subscription, with what it had to tell."""
        await self.owners.post("streams", {"op": "lose" if turn % 2 else "cut"})


@dataclass
class World:
    """Everything that runs. resources: their ids, in the order of their mailboxes."""

    server: Server
    there: Memory | Exchange
    application: Application
    query: str  # names the organization
    resources: list[str] = field(default_factory=list)

    async def links(self) -> list[dict[str, Any]]:
        """Read all links."""
        found: list[dict[str, Any]] = []
        path = f"/links?limit=1000&{self.query}"
        while path:
            page = await asyncio.to_thread(self.server.call, "GET", path)
            found += page["items"]
            path = f"/links?limit=1000&{self.query}&cursor={page['next']}" if page.get("next") else ""
        return found

    async def watched(self) -> None:
        """Wait until every link is told of changes, and has been compared since."""
        async with asyncio.timeout(SETTLE_SECONDS):
            while not all(
                one["health"]["notified_by"] == "streaming" and one["state"] == "in_step" for one in await self.links()
            ):
                await asyncio.sleep(0.5)
        await asyncio.sleep(2.0)


async def one_by_one(world: World, changes: int, rate: float) -> list[Figure]:
    """Make changes at a steady rate, each in another mailbox; time each."""
    used = cpu_seconds(world.server.process_id)
    for number in range(changes):
        place = number % len(world.resources)
        world.application.due[world.resources[place]] = time.perf_counter()
        await world.there.change(number, place)
        await asyncio.sleep(1 / rate)
    async with asyncio.timeout(SETTLE_SECONDS):
        while len(world.application.created) < changes:
            await asyncio.sleep(0.05)
    cost = 1000 * (cpu_seconds(world.server.process_id) - used) / changes
    seconds = sorted(world.application.seconds)
    made = f"{changes} changes, {rate:g}/s over {len(world.resources)} mailboxes, {cost:.0f} ms CPU each"
    return [
        Figure("change there → webhook, half of them", statistics.median(seconds), None, "s", more=made),
        Figure(
            "change there → webhook, p95",
            seconds[int(len(seconds) * 0.95)],
            GOAL_SECONDS,
            "s",
            more=f"slowest {seconds[-1]:.2f} s",
        ),
    ]


async def storm(world: World, changes: int, breaks: int) -> list[Figure]:
    """Make changes as fast as they are taken while streams break; count what never arrives."""
    before = len(world.application.created)
    turns = asyncio.Semaphore(AT_ONCE)
    every = max(changes // breaks, 1)

    async def one(number: int) -> None:
        async with turns:
            if number % every == every // 2:
                await world.there.hurt(number // every)
            await world.there.change(10_000 + number, number % len(world.resources))

    begun = time.perf_counter()
    await asyncio.gather(*(one(number) for number in range(changes)))
    made = time.perf_counter() - begun
    waited = time.perf_counter()
    while len(world.application.created) - before < changes and time.perf_counter() - waited < SETTLE_SECONDS:
        await asyncio.sleep(0.2)
    arrived = time.perf_counter() - begun
    more = f"made in {made:.0f} s, all told after {arrived:.0f} s; streams broken {breaks} times"
    lost = changes - (len(world.application.created) - before)
    return [Figure(f"lost of {changes} changes with breaking streams", lost, 0, "", more=more)]


@contextmanager
def simulated(provider: str, folder: Path, links: int) -> Iterator[tuple[str, str]]:
    """Run the simulator; give its control address and the configuration that links to it."""
    if provider == "ews":
        names = [ews_world.mailbox(number) for number in range(links)]
        with ews_world.simulated(folder, mailboxes=names, backends=2) as server:
            yield server.control, ews_world.configuration(server.url, names, FULL)
        return
    command = [str(PRODUCT), "simulate", "memory", "--json"]
    with process(command, folder / "simulator.log", environment_of(folder / "data")) as (_, line):
        told = json.loads(line)
        yield told["control"], memory_world.configuration(told["url"], links, FULL, "streaming")


async def measure(asked: argparse.Namespace, folder: Path) -> list[Figure]:
    """Start everything and measure."""
    password = SERVICE_PASSWORD if asked.provider == "ews" else ACCOUNT[1]
    with (
        simulated(asked.provider, folder, asked.links) as (control, configuration),
        serving(folder / "data", BENCH_PASSWORD=password) as server,
    ):
        (folder / "firm.yaml").write_text(configuration)
        apply = [str(PRODUCT), "apply", str(folder / "firm.yaml")]
        await asyncio.to_thread(subprocess.run, apply, env=server.environment, check=True, stdout=subprocess.DEVNULL)
        async with application() as receiver, aiohttp.ClientSession() as http:
            there = Exchange(Owners(http, control)) if asked.provider == "ews" else Memory(http, control)
            organizations = await asyncio.to_thread(server.call, "GET", "/organizations")
            (own,) = [one["id"] for one in organizations["items"] if one["external_id"] == "bench"]
            world = World(server, there, receiver, f"organization_id={own}")
            await prepare(world, asked.links)
            figures = await one_by_one(world, asked.changes, asked.rate)
            figures += await storm(world, asked.storm, asked.breaks)
    return figures


async def prepare(world: World, links: int) -> None:
    """Register the webhook, and wait until everything is in step and watched."""
    await asyncio.to_thread(world.server.call, "POST", f"/webhooks?{world.query}", {"url": world.application.url})
    found = await world.links()
    assert len(found) == links, f"{len(found)} links"
    world.resources = [one["resource_id"] for one in sorted(found, key=lambda one: str(one["mailbox"]))]
    await world.watched()


def main() -> int:
    """Read the arguments, measure, print; 1 where a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--provider", choices=["ews", "memory"], default="ews")
    parser.add_argument("--links", type=int, default=100)
    parser.add_argument("--changes", type=int, default=300)
    parser.add_argument("--rate", type=float, default=5.0)
    parser.add_argument("--storm", type=int, default=10_000)
    parser.add_argument("--breaks", type=int, default=20)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        figures = asyncio.run(measure(asked, Path(folder)))
    return report(f"notifications {asked.provider}", figures)


if __name__ == "__main__":
    sys.exit(main())
