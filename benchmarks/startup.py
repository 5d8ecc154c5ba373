"""How long a person waits: for help, for the server at its first start and later, for the demo.

usage: python -m benchmarks.startup [--times 5] [--demo]
Each wait is the best of several, and is set beside `python -c pass`, which is what the machine needs to start anything.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from benchmarks.bench import PRODUCT, Figure, environment_of, report

HELP_GOAL, WARM_GOAL, FIRST_GOAL, DEMO_GOAL = 0.3, 4.0, 10.0, 15.0


def ended(*words: str | Path, environment: Mapping[str, str] | None = None) -> float:
    """Give the seconds a command takes to its end."""
    begun = time.perf_counter()
    subprocess.run([*map(str, words)], check=True, stdout=subprocess.DEVNULL, env=environment)
    return time.perf_counter() - begun


def ready(environment: Mapping[str, str], *words: str) -> float:
    """Give the seconds until a service says in one line of JSON that it is ready; it is ended afterwards."""
    begun = time.perf_counter()
    process = subprocess.Popen([PRODUCT, *words, "--json"], env=environment, stdout=subprocess.PIPE)
    assert process.stdout is not None
    json.loads(process.stdout.readline())
    taken = time.perf_counter() - begun
    process.send_signal(signal.SIGTERM)
    process.wait()
    return taken


def best(times: int, measure: Callable[[], float]) -> float:
    """Give the shortest of several."""
    return min(measure() for _ in range(times))


def first_start() -> float:
    """Give the seconds of a start in a folder that is not there yet."""
    with tempfile.TemporaryDirectory() as folder:
        return ready(environment_of(Path(folder) / "data"), "serve")


def main() -> int:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--times", type=int, default=5)
    options.add_argument("--demo", action="store_true", help="measure the demo too")
    given = options.parse_args()
    bare = best(given.times, lambda: ended(sys.executable, "-c", "pass"))
    quick = best(given.times, lambda: ended(PRODUCT, "--help"))
    first = best(max(1, given.times // 2), first_start)
    with tempfile.TemporaryDirectory() as folder:
        environment = environment_of(Path(folder) / "data")
        ready(environment, "serve")
        warm = best(given.times, lambda: ready(environment, "serve"))
        asked = best(given.times, lambda: ended(PRODUCT, "status", environment=environment))
    figures = [
        Figure("python -c pass", bare, None, "s"),
        Figure("gleichtakt --help", quick, HELP_GOAL, "s", more=f"{quick / bare:.1f} × pass"),
        Figure("gleichtakt serve, first start", first, FIRST_GOAL, "s", more=f"{first / bare:.0f} × pass"),
        Figure("gleichtakt serve, warm", warm, WARM_GOAL, "s", more=f"{warm / bare:.0f} × pass"),
        Figure("gleichtakt status, nothing running", asked, None, "s", more=f"{asked / bare:.0f} × pass"),
    ]
    if given.demo:
        with tempfile.TemporaryDirectory() as folder:
            demo = ready({**os.environ, "TMPDIR": folder, "GLEICHTAKT_LISTEN": "127.0.0.1:0"}, "demo")
        figures.append(Figure("gleichtakt demo, firm in step", demo, DEMO_GOAL, "s", more=f"{demo / bare:.0f} × pass"))
    return report("startup", figures)


if __name__ == "__main__":
    sys.exit(main())
