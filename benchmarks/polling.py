"""How many calendars without changes worker processes poll in a second, and what a pass costs.

Each link is to a mailbox of its own at the memory simulator. All are made due at once; a round ends when the last lane
has been given back. Best of the rounds counts: the machine is shared.

usage: python -m benchmarks.polling [--links 1000] [--rounds 7] [--workers 1 2]
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from benchmarks.bench import Figure, cpu_seconds, report
from benchmarks.memory_world import World, memory_world

from gleichtakt.store.database import Database

GOALS = {1: 200.0, 2: 350.0}
MAKE_DUE = """
with due as (update link set due = now() returning lane_id)
update lane set due = now(), wake = wake + 1 from due where id = lane_id
"""
OPEN = "select count(*) from lane where owner is not null or due <= now() + interval '1 hour'"
QUIET = "select count(*) from link where state = 'in_step'"


async def until_over(world: World, database: Database) -> None:
    """Wait until every lane has been given back."""
    while (await world.rows(database, OPEN))[0][0]:
        await asyncio.sleep(0.05)


async def one_round(world: World, database: Database) -> float:
    """Make all due; give the seconds until the last is given back."""
    begun = time.perf_counter()
    await world.rows(database, MAKE_DUE)
    database.notify("lanes")
    await until_over(world, database)
    return time.perf_counter() - begun


def spent(groups: Mapping[str, list[int]]) -> dict[str, float]:
    """Give the processor seconds of each group of processes."""
    return {name: sum(map(cpu_seconds, group)) for name, group in groups.items()}


async def measure(world: World, links: int, workers: int, rounds: int) -> list[Figure]:
    """Measure with so many worker processes."""
    with ExitStack() as stack:
        processes = [stack.enter_context(world.worker(f"worker{number}")) for number in range(workers)]
        async with await Database.open(world.database, pool=1) as database:
            postgres = (await world.rows(database, "select pg_backend_pid()"))[0][0]
            postmaster = int(Path(f"/proc/{postgres}/stat").read_text().rpartition(")")[2].split()[1])
            await until_over(world, database)
            assert (await world.rows(database, QUIET))[0][0] == links, "not every link is in step"
            await one_round(world, database)
            groups = {"worker": processes, "database": [postmaster], "simulator": [world.simulator]}
            times, used = [], []
            for _ in range(rounds):
                before = spent(groups)
                times.append(await one_round(world, database))
                used.append({name: (after - before[name]) * 1000 / links for name, after in spent(groups).items()})
    cost = ", ".join(f"{name} {min(round_[name] for round_ in used):.2f} ms" for name in groups)
    name = f"polling {links} links, {workers} worker process{'es' if workers > 1 else ''}"
    return [Figure(name, links / min(times), GOALS.get(workers), "/s", least=True, more=f"CPU per pass: {cost}")]


def main() -> int:
    """Read the arguments, measure, print; 1 where a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--links", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    asked = parser.parse_args()
    figures = []
    with (
        tempfile.TemporaryDirectory() as folder,
        memory_world(Path(folder), links=asked.links, events=3, settings="{interval_seconds: 86400}") as world,
    ):
        for workers in asked.workers:
            figures += asyncio.run(measure(world, asked.links, workers, asked.rounds))
    return report("polling", figures)


if __name__ == "__main__":
    sys.exit(main())
