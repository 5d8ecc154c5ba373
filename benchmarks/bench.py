"""What the benchmarks share: the product as running processes, processor time, and results as rows.

Every benchmark prints a small table and one JSON line per figure. A figure is compared with something measured beside
it in the same run wherever there is such a thing, because absolute times say more about the machine than about us.
"""

from __future__ import annotations

import json
import os
import platform
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
PRODUCT = Path(sys.executable).parent / "gleichtakt"
PEERS = ROOT / ".local" / "peers" / "bin"
READY_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured value and what it should be. least: the goal is a lower bound."""

    name: str
    value: float
    goal: float | None = None
    unit: str = ""
    least: bool = False
    more: str = ""  # what it was made of

    @property
    def is_met(self) -> bool:
        """Say whether the goal is reached; a figure without one is for the record."""
        if self.goal is None:
            return True
        return self.value >= self.goal if self.least else self.value <= self.goal


def report(bench: str, figures: Sequence[Figure]) -> int:
    """Print the figures as a table and as JSON lines; give the exit status: 1 where a goal is missed."""
    for one in figures:
        goal = "" if one.goal is None else f"{'≥' if one.least else '≤'} {one.goal:g}"
        verdict = "" if one.goal is None else "met" if one.is_met else "MISSED"
        print(f"{one.name:44} {one.value:10.3f} {one.unit:6} {goal:9} {verdict:7} {one.more}", flush=True)
    for one in figures:
        print(json.dumps({"bench": bench, **asdict(one), "met": one.is_met, **machine()}), flush=True)
    return 0 if all(one.is_met for one in figures) else 1


def machine() -> dict[str, object]:
    """Say what it was measured on, and how busy that was."""
    return {"cpus": os.cpu_count(), "load_average": round(os.getloadavg()[0], 1), "python": platform.python_version()}


# --- processor time and memory -----------------------------------------------------------------------------------


def family(process_id: int) -> list[int]:
    """Give a process and all that descend from it."""
    found = [process_id]
    for parent in found:
        with suppress(FileNotFoundError, ProcessLookupError):
            for task in Path(f"/proc/{parent}/task").glob("*/children"):
                found += [int(child) for child in task.read_text().split()]
    return found


def cpu_seconds(process_id: int) -> float:
    """Give the processor time of a process and its descendants, those included that have ended since it started."""
    ticks = 0
    for one in family(process_id):
        with suppress(FileNotFoundError, ProcessLookupError):
            fields = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
            ticks += sum(int(field) for field in fields[11:15])
    return ticks / os.sysconf("SC_CLK_TCK")


def peak_megabytes(process_id: int) -> float:
    """Give the most memory a process has had resident since it started or since `forget_peak`."""
    status = Path(f"/proc/{process_id}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def forget_peak(process_id: int) -> None:
    """Let the peak begin anew."""
    Path(f"/proc/{process_id}/clear_refs").write_text("5")


# --- the product as it is run ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Server:
    """A running `gleichtakt serve`. environment: with which further commands find it."""

    url: str
    key: str
    process_id: int
    environment: Mapping[str, str]

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Ask the REST interface. Raises HTTPError for a refusal."""
        request = urllib.request.Request(
            f"{self.url}/api/v1{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=120) as answer:
            return json.loads(answer.read() or b"null")

    def command(self, *words: str) -> float:
        """Run a command of the product against it; give its wall-clock seconds."""
        begun = time.perf_counter()
        subprocess.run([PRODUCT, *words], env=self.environment, check=True, capture_output=True)
        return time.perf_counter() - begun


def environment_of(folder: Path, **settings: str) -> dict[str, str]:
    """Give the environment of an installation that keeps everything in *folder*."""
    return {
        **os.environ,
        "GLEICHTAKT_DATA_DIR": str(folder),
        "GLEICHTAKT_LISTEN": "127.0.0.1:0",
        "GLEICHTAKT_ALLOW_PRIVATE_HOSTS": "127.0.0.1",
        "GLEICHTAKT_LOG_LEVEL": "warning",
        **settings,
    }


@contextmanager
def serving(folder: Path, **settings: str) -> Iterator[Server]:
    """Run `gleichtakt serve` with a database of its own in *folder*."""
    environment = environment_of(folder, **settings)
    with process([str(PRODUCT), "serve", "--json"], folder.with_suffix(".log"), environment) as (running, line):
        told = json.loads(line)
        yield Server(told["url"], told["api_key"], running.pid, environment)


@contextmanager
def process(
    command: Sequence[str], log: Path, environment: Mapping[str, str] | None = None
) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run a program that prints one line when it is ready; give it and the line. It is told to stop at the end."""
    with log.open("w") as errors:
        running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, env=environment, text=True)
        try:
            assert running.stdout is not None
            line = running.stdout.readline()
            if not line:
                raise RuntimeError(log.read_text()[-2000:])
            yield running, line
        finally:
            running.send_signal(signal.SIGTERM)
            try:
                running.wait(60)
            except subprocess.TimeoutExpired:
                running.kill()
                running.wait()
