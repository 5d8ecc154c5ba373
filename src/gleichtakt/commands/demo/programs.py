"""Servers beside the demo, each a program of its own that ends with it: started at once, waited for when first needed."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import socket
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from gleichtakt.errors import Permanent, Scope

READY_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Program:
    """A server that was started. name: for people. log: what it says."""

    name: str
    process: asyncio.subprocess.Process
    port: int
    log: Path

    async def answers(self) -> None:
        """Wait until it takes connections. Raises Permanent when it does not, with its last word."""
        until = time.monotonic() + READY_SECONDS
        while self.process.returncode is None and time.monotonic() < until:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", self.port)
            except OSError:
                await asyncio.sleep(0.05)
                continue
            writer.close()
            return
        raise Permanent("command.server_silent", Scope.ACCOUNT, name=self.name, reason=_last_line(self.log))


@asynccontextmanager
async def program(name: str, words: Sequence[str], *, folder: Path, port: int) -> AsyncIterator[Program]:
    """Run a server around a block, with its log in *folder*."""
    log = folder / "server.log"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *words,
            stdout=output,
            stderr=output,
            env={**os.environ, "HOME": str(folder)},
            start_new_session=True,  # Ctrl-C is for us: the server ends after the last pass
        )
    try:
        yield Program(name, process, port, log)
    finally:
        with suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


def remembered(folder: Path, users: Iterable[str]) -> tuple[int, dict[str, str]]:
    """Give the port and the passwords of an earlier run in this folder; new ones where it had none or they are taken."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    kept = folder / "demo.json"
    earlier = json.loads(kept.read_text(encoding="utf-8")) if kept.is_file() else {}
    passwords = {user: earlier.get("passwords", {}).get(user) or secrets.token_urlsafe(9) for user in users}
    port = earlier.get("port", 0)
    port = port if port and _is_free(port) else free_port()
    write_private(folder, {"demo.json": json.dumps({"port": port, "passwords": passwords})})
    return port, passwords


def write_private(folder: Path, files: Mapping[str, str]) -> None:
    """Write files that only the owner may read."""
    for name, content in files.items():
        with os.fdopen(os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as written:
            written.write(content)


def free_port() -> int:
    """Give a port nothing listens on at the moment."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _is_free(port: int) -> bool:
    with socket.socket() as tried:
        try:
            tried.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1][:300] if lines else "–"
