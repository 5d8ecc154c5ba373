"""How much memory a worker process takes at most during a first sync, by the number of events in the calendar.

One link to the memory simulator, which lists in pages. The worker is a process of its own, so that nothing else counts.

usage: python -m benchmarks.first_sync_memory [--events 25000 50000]
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.bench import Figure, cpu_seconds, peak_megabytes, report
from benchmarks.memory_world import World, memory_world

from gleichtakt.store.database import Database

MOST, GROWTH = 250.0, 1.1
FULL = "{interval_seconds: 86400, inbound_detail: full, outbound_detail: full}"


async def measure(world: World, events: int) -> tuple[float, float, float]:
    """Run the first sync; give peak megabytes, seconds, and processor seconds of the worker."""
    async with await Database.open(world.database, pool=1) as database:
        begun = time.perf_counter()
        with world.worker() as worker:
            while not (await world.rows(database, "select first_run_done from link"))[0][0]:
                await asyncio.sleep(0.2)
            seconds, used, peak = time.perf_counter() - begun, cpu_seconds(worker), peak_megabytes(worker)
        stored = (await world.rows(database, "select count(*) from series"))[0][0]
    assert stored == events, f"{stored} of {events} events arrived"
    return peak, seconds, used


def main() -> int:
    """Read the arguments, measure, print; 1 where a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, nargs="+", default=[25_000, 50_000])
    figures, peaks = [], []
    for events in parser.parse_args().events:
        with (
            tempfile.TemporaryDirectory() as folder,
            memory_world(Path(folder), links=1, events=events, settings=FULL) as world,
        ):
            peak, seconds, used = asyncio.run(measure(world, events))
        peaks.append(peak)
        made = f"{seconds:.0f} s, {events / seconds:.0f} events/s, {1000 * used / events:.2f} ms CPU each"
        figures.append(Figure(f"peak memory, first sync of {events}", peak, MOST, "MB", more=made))
    if len(peaks) > 1:
        figures.append(Figure("growth of the peak with the calendar", peaks[-1] / peaks[0], GROWTH, "x"))
    return report("first sync memory", figures)


if __name__ == "__main__":
    sys.exit(main())
