"""Real CalDAV servers as processes of their own, on free loopback ports: Radicale and Xandikos.

They are installed by `scripts/setup` into `.local/servers` and never imported. A server lives as long as its block; `shared`
gives one for the whole test run.
"""

from __future__ import annotations

import atexit
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import aiohttp

BIN = Path(__file__).resolve().parents[1] / ".local" / "servers" / "bin"
READY_SECONDS = 30.0
XML = {"Content-Type": "application/xml; charset=utf-8"}

_RADICALE = """
[server]
hosts = 127.0.0.1:{port}
[auth]
type = {auth}
htpasswd_filename = {folder}/users
htpasswd_encryption = plain
delay = 0
[rights]
type = owner_only
[storage]
type = multifilesystem
filesystem_folder = {folder}/collections
[logging]
level = warning
"""

_MKCALENDAR = (
    '<C:mkcalendar xmlns:D="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav"><D:set><D:prop>'
    '<D:displayname>{title}</D:displayname><C:supported-calendar-component-set><C:comp name="VEVENT"/>'
    "</C:supported-calendar-component-set></D:prop></D:set></C:mkcalendar>"
)


@dataclass(frozen=True, slots=True)
class Server:
    """A server that answers. home: path of the calendars of `user`. folder: where it keeps its files. pid: of its process."""

    name: str
    url: str
    home: str
    user: str
    password: str
    folder: Path
    pid: int

    def headers(self) -> Mapping[str, str]:
        """Give what signs a plain request in."""
        return {"Authorization": aiohttp.encode_basic_auth(self.user, self.password)}

    async def make_calendar(self, name: str, title: str = "") -> str:
        """Make a calendar and give its path."""
        path = f"{self.home}{name}/"
        async with (
            aiohttp.ClientSession(headers=self.headers()) as session,
            session.request("MKCALENDAR", self.url + path, data=_MKCALENDAR.format(title=title or name), headers=XML) as answer,
        ):
            assert answer.status == 201, await answer.text()
        return path


def free_port() -> int:
    """Give a port nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _await_answer(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + READY_SECONDS
    while time.monotonic() < until:
        if process.poll() is not None:
            break
        with socket.socket() as attempt:
            if attempt.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError(f"the server does not answer: {log.read_text(errors='replace')[-2000:]}")


@contextmanager
def _running(command: list[str], port: int, folder: Path) -> Iterator[int]:
    log = folder / "server.log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, cwd=folder, env={**os.environ, "HOME": str(folder)})
    try:
        _await_answer(port, process, log)
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def radicale(folder: Path, *, users: Mapping[str, str] | None = None) -> Iterator[Server]:
    """Run Radicale. users: names and passwords; without any it believes every name."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    known = users or {"sync": "sync"}
    (folder / "users").write_text("".join(f"{name}:{word}\n" for name, word in known.items()))
    written = _RADICALE.format(port=port, folder=folder, auth="htpasswd" if users else "none")
    (folder / "radicale.conf").write_text(written)
    command = [str(BIN / "radicale"), "--config", str(folder / "radicale.conf")]
    user, password = next(iter(known.items()))
    with _running(command, port, folder) as pid:
        yield Server("radicale", f"http://127.0.0.1:{port}", f"/{user}/", user, password, folder, pid)


@contextmanager
def xandikos(folder: Path) -> Iterator[Server]:
    """Run Xandikos with one principal; it asks nobody for a password."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    command = [
        *(str(BIN / "xandikos"), "serve", "-d", str(folder / "data"), "--state-dir", str(folder / "state")),
        *("-l", "127.0.0.1", "-p", str(port), "--current-user-principal", "/sync/", "--defaults"),
    ]
    with _running(command, port, folder) as pid:
        yield Server("xandikos", f"http://127.0.0.1:{port}", "/sync/calendars/", "sync", "sync", folder, pid)


SERVERS = {"radicale": radicale, "xandikos": xandikos}


@cache
def shared(name: str) -> Server:
    """Give a server that lives until this process ends: for tests that make a calendar of their own in it."""
    stack = ExitStack()
    atexit.register(stack.close)
    folder = stack.enter_context(tempfile.TemporaryDirectory(prefix=f"{name}-"))
    return stack.enter_context(SERVERS[name](Path(folder)))
