"""Real worker processes over one database and one simulator, and the moments at which they are killed."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

from tests.engine import KEY

from gleichtakt.simulators.exchange import Exchange
from gleichtakt.simulators.exchange.notifications import Operation
from gleichtakt.simulators.memory import Simulator

T = TypeVar("T")
NIGHTLY = bool(os.environ.get("GLEICHTAKT_NIGHTLY"))
READY_SECONDS = 120
PROGRAM = "from gleichtakt.main import cli; cli()"


@dataclass
class Process:
    """A process of ours. told: its line of JSON when it was ready; log: where it says what it does."""

    running: asyncio.subprocess.Process
    told: dict[str, Any]
    log: Path

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.running.pid

    @property
    def is_alive(self) -> bool:
        """Whether it runs, as far as this process has heard."""
        return self.running.returncode is None

    async def kill(self) -> None:
        """Kill it without warning."""
        if self.is_alive:
            self.running.kill()
        await self.running.wait()

    async def stop(self, seconds: float = READY_SECONDS) -> int:
        """Ask it to end; give its exit status."""
        self.running.send_signal(signal.SIGTERM)
        return await asyncio.wait_for(self.running.wait(), seconds)

    def said(self, event: str) -> list[dict[str, Any]]:
        """Give what it logged under a name."""
        lines = [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]
        return [line for line in lines if line["event"] == event]


@dataclass
class Crew:
    """Starts processes of one installation and ends what is left of them."""

    folder: Path
    environment: Mapping[str, str]
    members: list[Process] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=count)

    async def start(self, *words: str, **more: str) -> Process:
        """Start a command and wait until it is ready. more: further settings."""
        log = self.folder / f"{'-'.join(words)}-{next(self.numbers)}.log"
        settings = {f"GLEICHTAKT_{name.upper()}": value for name, value in more.items()}
        with log.open("wb") as written:
            running = await asyncio.create_subprocess_exec(
                *(sys.executable, "-c", PROGRAM, *words, "--json"),
                stdout=asyncio.subprocess.PIPE,
                stderr=written,
                env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **self.environment, **settings},
            )
        made = Process(running, {}, log)
        self.members.append(made)
        assert running.stdout is not None
        line = await asyncio.wait_for(running.stdout.readline(), READY_SECONDS)
        assert line, f"it did not start: {log.read_text()[-2000:]}"
        made.told.update(json.loads(line))
        return made

    async def work(self) -> Process:
        """Start a worker."""
        return await self.start("work")


@asynccontextmanager
async def crew(folder: Path, database_url: str = "", **settings: str) -> AsyncIterator[Crew]:
    """Give a crew whose leases end within seconds; at the end nobody of it is left. No url: an embedded database."""
    environment = {
        "GLEICHTAKT_DATA_DIR": str(folder / "data"),
        "GLEICHTAKT_LISTEN": "127.0.0.1:0",
        "GLEICHTAKT_SECRET_KEY": b64encode(KEY).decode(),
        "GLEICHTAKT_LEASE_SECONDS": "3",  # long enough for a starved machine, short enough to wait for
        "GLEICHTAKT_LOG_FORMAT": "json",
        **({"GLEICHTAKT_DATABASE_URL": database_url} if database_url else {}),
        **{f"GLEICHTAKT_{name.upper()}": value for name, value in settings.items()},
    }
    made = Crew(folder, environment)
    try:
        yield made
    finally:
        for member in reversed(made.members):
            if member.is_alive and database_url:
                await member.kill()
            elif member.is_alive:
                await member.stop()  # the last one stops the embedded server


@dataclass
class Strike:
    """Kills at the n-th call to come: before it takes effect, after that but before the answer, or some time later."""

    kill: Callable[[], None]
    calls: int
    when: str
    seconds: float = 0.0

    @classmethod
    def at_random(cls, rng: random.Random, kill: Callable[[], None]) -> Strike:
        """Choose a moment."""
        when = rng.choice(["before", "after", "later"])
        return cls(kill, rng.randint(1, 12), when, rng.uniform(0, 0.05))

    def over(self, answer: Callable[[], T]) -> T:
        """Let a call be answered, and kill if it is the one."""
        self.calls -= 1
        if self.calls != 0:
            return answer()
        if self.when == "later":
            asyncio.get_running_loop().call_later(self.seconds, self.kill)
            return answer()
        if self.when == "after":
            try:
                return answer()
            finally:
                self.kill()
        self.kill()
        return answer()  # the request had left before its sender died


class DeadlySimulator(Simulator):
    """A simulator at whose calls clients die."""

    strike: Strike | None = None

    def answer(self, *args: Any, **named: Any) -> tuple[Any, float]:
        """Answer, unless this is the call."""
        answer = partial(super().answer, *args, **named)
        return answer() if self.strike is None else self.strike.over(answer)


class DeadlyExchange(Exchange):
    """A simulated Exchange at whose calls clients die."""

    strike: Strike | None = None

    def __init__(self, **habits: Any) -> None:
        """Look at every operation of a client."""
        super().__init__(**habits)
        self.operations = {name: partial(self._answer, operation) for name, operation in self.operations.items()}

    def _answer(self, operation: Operation, *given: Any) -> Any:
        answer = partial(operation, *given)
        return answer() if self.strike is None else self.strike.over(answer)


class BrittleWire:
    """A way to a server that can be cut: whoever goes through it loses the server, and finds it again once it is mended."""

    def __init__(self, host: str, port: int) -> None:
        """Lead to this address."""
        self._there = (host, port)
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self.port = 0

    async def mend(self) -> None:
        """Let connections through, at the same address as before."""
        self._server = await asyncio.start_server(self._pass_on, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def cut(self) -> None:
        """End every connection and refuse new ones."""
        if self._server is not None:
            self._server.close()
        for writer in tuple(self._open):
            writer.transport.abort()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_connection(*self._there)
        self._open |= {writer, there_writer}
        await asyncio.gather(_pump(reader, there_writer), _pump(there_reader, writer))
        self._open -= {writer, there_writer}


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass
    finally:
        writer.transport.abort()
