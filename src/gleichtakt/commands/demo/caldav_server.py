"""Radicale as a program of its own beside the demo, and what colleagues do there with their calendar programs.

It is installed by `scripts/setup` into an environment of its own and never imported: its licence is the GPL.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from gleichtakt.commands.demo.programs import Program, program, remembered, write_private
from gleichtakt.errors import Permanent, Scope

SYNC = "gleichtakt"  # the account that may read and write everybody's calendars
CALENDAR = "kalender"

_CONFIG = """
[server]
hosts = 127.0.0.1:{port}
max_connections = 100
[auth]
type = htpasswd
htpasswd_filename = {folder}/users
htpasswd_encryption = plain
[rights]
type = from_file
file = {folder}/rights
[storage]
filesystem_folder = {folder}/collections
[logging]
level = warning
"""
_RIGHTS = f"""
[sync]
user: {SYNC}
collection: .*
permissions: RrWw

[root]
user: .+
collection:
permissions: R

[own]
user: .+
collection: {{user}}(/.*)?
permissions: RrWw
"""
_MKCALENDAR = (
    '<C:mkcalendar xmlns:D="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav"><D:set><D:prop>'
    '<D:displayname>{title}</D:displayname><C:supported-calendar-component-set><C:comp name="VEVENT"/>'
    "</C:supported-calendar-component-set></D:prop></D:set></C:mkcalendar>"
)


@dataclass
class Server:
    """A Radicale. passwords: by user name, the sync account among them."""

    url: str
    program: Program
    passwords: Mapping[str, str]
    session: aiohttp.ClientSession
    auth: dict[str, aiohttp.BasicAuth] = field(default_factory=dict)

    def path(self, user: str) -> str:
        """Give the path of somebody's calendar."""
        return f"/{user}/{CALENDAR}/"

    async def make_calendar(self, user: str, title: str) -> bool:
        """Somebody makes a calendar; say whether it is new, or there from an earlier demo."""
        body = _MKCALENDAR.format(title=title).encode()
        status, _ = await self._send("MKCALENDAR", user, self.path(user), body, accept=(201, 405, 409))
        return status == 201

    async def put(self, user: str, name: str, calendar: bytes) -> None:
        """Somebody stores an event."""
        await self._send("PUT", user, f"{self.path(user)}{name}.ics", calendar, accept=(201, 204))

    async def delete(self, user: str, name: str) -> None:
        """Somebody deletes an event."""
        await self._send("DELETE", user, f"{self.path(user)}{name}.ics", b"", accept=(200, 204))

    async def replace_text(self, user: str, path: str, old: str, new: str) -> None:
        """Somebody changes a text in an event, whoever made it."""
        text = await self.text(user, path)
        if old not in text:
            raise RuntimeError(f"the event at {path} does not hold the text to be changed")
        await self._send("PUT", user, path, text.replace(old, new).encode(), accept=(201, 204))

    async def text(self, user: str, path: str) -> str:
        """Give an event as it is stored, with its long lines joined."""
        _, stored = await self._send("GET", user, path, b"", accept=(200,))
        return stored.decode().replace("\r\n ", "").replace("\n ", "")

    async def names(self, user: str) -> Sequence[str]:
        """Give the paths of all events in somebody's calendar."""
        _, listed = await self._send("PROPFIND", user, self.path(user), b"", accept=(207,))
        parts = listed.decode().split("href>")
        return [part.removesuffix("</") for part in parts if part.endswith(".ics</")]

    async def _send(self, method: str, user: str, path: str, body: bytes, *, accept: tuple[int, ...]) -> tuple[int, bytes]:
        auth = self.auth.setdefault(user, aiohttp.BasicAuth(user, self.passwords[user]))
        headers = {"Content-Type": "text/calendar; charset=utf-8", "Depth": "1"}
        async with self.session.request(method, self.url + path, data=body, auth=auth, headers=headers) as answer:
            text = await answer.read()
            if answer.status not in accept:
                raise RuntimeError(f"Radicale answered {answer.status} to {method} {path}")
            return answer.status, text


@asynccontextmanager
async def radicale(folder: Path, users: Sequence[str]) -> AsyncIterator[Server]:
    """Run Radicale around a block, for these users and the sync account; in a folder used before, as it was there.

    The block begins before it answers.
    """
    found = find()
    port, passwords = remembered(folder, (SYNC, *users))
    listed = "".join(f"{user}:{password}\n" for user, password in passwords.items())
    write_private(folder, {"users": listed, "rights": _RIGHTS, "config": _CONFIG.format(port=port, folder=folder)})
    words = (str(found), "--config", str(folder / "config"))
    async with (
        program("Radicale", words, folder=folder, port=port) as running,
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session,
    ):
        yield Server(f"http://127.0.0.1:{port}", running, passwords, session)


def find() -> Path:
    """Give the program: from GLEICHTAKT_SERVERS_DIR, beside the project, below the current folder, or on the path.

    Raises Permanent with what to do when there is none.
    """
    named = os.environ.get("GLEICHTAKT_SERVERS_DIR")
    project = Path(__file__).resolve().parents[4]
    folders = [Path(named)] if named else [project / ".local" / "servers", Path(".local") / "servers"]
    candidates = [folder / "bin" / "radicale" for folder in folders]
    on_path = shutil.which("radicale")
    if on_path and not named:
        candidates.append(Path(on_path))
    for candidate in candidates:
        if candidate.is_file():
            return candidate.absolute()
    raise Permanent("command.no_server", Scope.ACCOUNT)
