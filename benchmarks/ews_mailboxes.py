"""Very many Exchange mailboxes under one service account, kept in step by streaming, on one worker process.

First 1,000 mailboxes are only held: how many connections that takes, how much memory, what it costs while nothing happens, and
what a look at each costs when the clock asks for one. Then 500 are kept in step: changes are made in one mailbox after the
other and timed until the application has them, with all in good health, and with two that are not (one is throttled, one
has lost its licence). Last the worker is killed while changes are made, and another one started: none may be lost.

usage: python -m benchmarks.ews_mailboxes [--held 1000] [--idle 60] [--kept 500] [--changes 500] [--rate 10]
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
from benchmarks.bench import Figure, cpu_seconds, peak_megabytes, report
from benchmarks.ews_world import Owners, Simulated, linked_firm, mailbox, start_of
from benchmarks.memory_world import World
from benchmarks.polling import MAKE_DUE

from gleichtakt.store.database import Database

MEMORY_MB, POLL_MS, LATE_SECONDS = 300.0, 3.0, 1.0
SETTLE_SECONDS = 900.0
BACK_ENDS = 4  # servers over which the mailboxes are spread
THROTTLED, UNLICENSED = 7, 11  # numbers of the sick mailboxes
SETTLED = "select count(*) from link where notified_by = 'streaming' and state = 'in_step' and calls = heard"
OPEN = "select count(*) from lane where owner is not null or due <= now()"
ARRIVED = "select document::jsonb ->> 'title', extract(epoch from created_at)::float from series where deleted_at is null"


@dataclass(frozen=True, slots=True)
class Firm:
    """An installation, the Exchange it is linked to, and its database."""

    world: World
    server: Simulated
    owners: Owners
    database: Database
    mailboxes: int

    async def settled(self, count: int | None = None) -> None:
        """Wait until so many (all) mailboxes are told of by streaming, and compared since."""
        wanted = self.mailboxes if count is None else count
        async with asyncio.timeout(SETTLE_SECONDS):
            while (await self.world.rows(self.database, SETTLED))[0][0] < wanted:
                await asyncio.sleep(0.2)

    async def looked_at(self) -> None:
        """Make every mailbox due, and wait until all have been looked at."""
        await self.world.rows(self.database, MAKE_DUE)
        self.database.notify("lanes")
        while (await self.world.rows(self.database, OPEN))[0][0]:
            await asyncio.sleep(0.05)

    async def arrived(self) -> dict[str, float]:
        """Give the titles of what the application has, and since when."""
        return {str(title): at for title, at in await self.world.rows(self.database, ARRIVED)}

    async def make(self, number: int, place: int) -> None:
        """Let the owner of a mailbox make an event."""
        start = f"{start_of(number):%Y-%m-%dT%H:%M:%SZ}"
        item = {"Subject": f"Change {number}", "Start": start, "End": start}
        await self.owners.post("state", {"op": "put", "mailbox": mailbox(place), "item": item})


@asynccontextmanager
async def firm(mailboxes: int) -> AsyncIterator[Firm]:
    """Make one, with an event in each mailbox."""
    with (
        tempfile.TemporaryDirectory() as folder,
        linked_firm(Path(folder), mailboxes=mailboxes, settings="{inbound_detail: full}", backends=BACK_ENDS) as (world, server),
    ):
        async with aiohttp.ClientSession() as http, await Database.open(world.database, pool=2) as database:
            made = Firm(world, server, Owners(http, server.control), database, mailboxes)
            for number in range(mailboxes):
                await made.make(-1 - number, number)
            yield made


# --- held --------------------------------------------------------------------------------------------------------


def connections(process_id: int, url: str) -> int:
    """Count the TCP connections a process has open to a server."""
    port = f"{urlsplit(url).port:04X}"
    table = [line.split() for line in Path(f"/proc/{process_id}/net/tcp").read_text().splitlines()[1:]]
    theirs = {fields[9] for fields in table if fields[2].endswith(f":{port}") and fields[3] == "01"}
    return sum(f"socket:[{inode}]" in targets_of(process_id) for inode in theirs)


def targets_of(process_id: int) -> frozenset[str]:
    """Give what the open files of a process are."""
    return frozenset(str(one.readlink()) for one in Path(f"/proc/{process_id}/fd").iterdir())


async def hold(mailboxes: int, idle_seconds: float, rounds: int) -> list[Figure]:
    """Hold mailboxes in which nothing happens."""
    async with firm(mailboxes) as made:
        begun = time.perf_counter()
        with made.world.worker() as process_id:
            await made.settled()
            seconds = time.perf_counter() - begun
            subscriptions = await made.owners.get("subscriptions")
            heard = len({one["backend"] for one in subscriptions if one["is_heard"]})
            open_now = connections(process_id, made.server.url)
            joined = cpu_seconds(process_id)
            await asyncio.sleep(idle_seconds)
            idle = 100 * (cpu_seconds(process_id) - joined) / idle_seconds
            costs = []
            for _ in range(rounds):
                before = cpu_seconds(process_id)
                await made.looked_at()
                costs.append(1000 * (cpu_seconds(process_id) - before) / mailboxes)
            peak = peak_megabytes(process_id)
    name = f"{mailboxes} mailboxes held"
    spread = f"{len(subscriptions)} subscriptions on {heard} back ends"
    return [
        Figure(f"{name}: until all are", seconds, None, "s", more=f"{joined:.0f} s CPU, first sync of each included, {spread}"),
        Figure(f"{name}: connections", open_now, None, "", more="streams and those of the calls"),
        Figure(f"{name}: memory", peak, MEMORY_MB, "MB", more="peak of the worker, first sync and all else included"),
        Figure(f"{name}: idle", idle, None, "% CPU", more=f"over {idle_seconds:g} s, the clock's own looks included"),
        Figure(f"{name}: a look that finds nothing", min(costs), POLL_MS, "ms", more="CPU of the worker per pass, all included"),
    ]


# --- kept in step ------------------------------------------------------------------------------------------------


async def changes(made: Firm, first: int, count: int, rate: float, *, some_sick: bool = False) -> dict[str, float]:
    """Make changes at a steady rate, in one mailbox after the other; give when each was made that must arrive."""
    at: dict[str, float] = {}
    for number in range(first, first + count):
        place, begun = number % made.mailboxes, time.time()
        if not (some_sick and place == UNLICENSED):  # whose owner cannot do anything either
            await made.make(number, place)
        if not (some_sick and place in (THROTTLED, UNLICENSED)):
            at[f"Change {number}"] = begun
        await asyncio.sleep(max(0.0, 1 / rate - (time.time() - begun)))
    return at


async def all_there(made: Firm, at: dict[str, float]) -> list[float]:
    """Wait for changes; give how many seconds each took, the fastest first."""
    async with asyncio.timeout(SETTLE_SECONDS):
        while at.keys() - (arrived := await made.arrived()).keys():
            await asyncio.sleep(0.5)
    return sorted(arrived[title] - begun for title, begun in at.items())


def late(name: str, seconds: list[float], more: str) -> Figure:
    """Give what nineteen of twenty changes needed at most."""
    made = f"half in {statistics.median(seconds):.2f} s, all in {seconds[-1]:.2f} s; {more}"
    return Figure(name, seconds[int(len(seconds) * 0.95)], LATE_SECONDS, "s", more=made)


async def sicken(made: Firm) -> None:
    """Make one mailbox wait for an hour, and take the licence of another."""
    await made.owners.post("throttle", {"owner": mailbox(THROTTLED), "seconds": 3600})
    await made.owners.post("state", {"op": "mailbox", "mailbox": mailbox(UNLICENSED), "is_enabled": False})


async def keep(mailboxes: int, count: int, rate: float) -> list[Figure]:
    """Keep mailboxes in step: in good health, with two sick ones, and over the death of the worker."""
    async with firm(mailboxes) as made:
        with made.world.worker() as process_id:
            await made.settled()
            begun = cpu_seconds(process_id)
            well = await all_there(made, await changes(made, 0, count, rate))
            cost = 1000 * (cpu_seconds(process_id) - begun) / count
            await sicken(made)
            some_sick = await all_there(made, await changes(made, count, count, rate, some_sick=True))
            before = asyncio.ensure_future(changes(made, 2 * count, count, rate, some_sick=True))
            await asyncio.sleep(count / rate / 3)
            os.kill(process_id, signal.SIGKILL)
            await asyncio.sleep(1.0)
        with made.world.worker("another"):
            restarted = time.time()
            at = await before
            await all_there(made, at)
            arrived = await made.arrived()
            back = max(arrived[title] for title in at) - restarted
            lost = len(at.keys() - arrived.keys())
    told = f"{count} changes, {rate:g}/s over {mailboxes} mailboxes"
    return [
        late("change there → here, p95", well, f"{told}, {cost:.0f} ms CPU each"),
        late("the same beside two sick mailboxes", some_sick, "one throttled, one without its licence"),
        Figure("lost when the worker is killed", lost, 0, "", more=f"{told}; all here {back:.0f} s after the start of another"),
    ]


async def measure(asked: argparse.Namespace) -> list[Figure]:
    """Measure what is asked for."""
    figures: list[Figure] = []
    if asked.held:
        figures += await hold(asked.held, asked.idle, asked.rounds)
    if asked.kept:
        figures += await keep(asked.kept, asked.changes, asked.rate)
    return figures


def main() -> int:
    """Read the arguments, measure, print; 1 where a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--held", type=int, default=1_000)
    parser.add_argument("--idle", type=float, default=60.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--kept", type=int, default=500)
    parser.add_argument("--changes", type=int, default=500)
    parser.add_argument("--rate", type=float, default=10.0)
    return report("ews_mailboxes", asyncio.run(measure(parser.parse_args())))


if __name__ == "__main__":
    sys.exit(main())
