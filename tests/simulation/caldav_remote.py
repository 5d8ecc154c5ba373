"""A CalDAV calendar as a history handles it: of our simulator, with every fault; of Radicale, as it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote
from uuid import UUID

import aiohttp
from tests.caldav_world import MAILBOX, OPTIONS, series_in
from tests.engine import Engine
from tests.servers import Server

from gleichtakt.model import ics
from gleichtakt.model.event import Series
from gleichtakt.simulators.caldav import Fault, Running, Simulator, Thing
from gleichtakt.simulators.caldav.state import Folder
from gleichtakt.store.database import new_id
from gleichtakt.sync.flat import ALL_FIELDS

#: Every fault of this calendar's server, by the name histories know it under; the path is filled in.
FAULTS: Mapping[str, Callable[[str], Fault]] = {
    "create applied, answer lost": lambda path: Fault("lost", "create", effect=True, path=path),
    "create lost": lambda path: Fault("lost", "create", path=path),
    "update applied, answer lost": lambda path: Fault("lost", "update", effect=True, path=path),
    "update lost": lambda path: Fault("lost", "update", path=path),
    "delete applied, answer lost": lambda path: Fault("lost", "delete", effect=True, path=path),
    "delete lost": lambda path: Fault("lost", "delete", path=path),
    "write applied, error answered": lambda path: Fault("status", "write", effect=True, status=502, path=path),
    "write refused with an error": lambda path: Fault("status", "write", status=500, path=path),
    "listing cut short": lambda path: Fault("cut", "list", path=path),
    "fetch fails": lambda path: Fault("status", "fetch", status=500, path=path),
    "objects passed over": lambda path: Fault("cap", "fetch", count=1, path=path),
    "one object refused": lambda path: Fault("item", "fetch", status=403, path=path),
    "asked to wait": lambda path: Fault("status", "list", status=503, headers={"Retry-After": "120"}, path=path),
    "garbage": lambda path: Fault("garbage", "list", body="<html>Wartung</html>", path=path),
}


def as_stored(series: Series) -> Series:
    """Say how iCalendar holds an event of ours: the second of two equal hours as UTC, a zone's text in its own order."""
    return series_in(ics.write_calendar([series]).decode())


def rewritten(text: str, series: Series) -> str:
    """Change an object as other programs do: half of them write it anew and lose what they do not know, half patch it."""
    if len(series.event.title) % 2:
        return ics.write_calendar([series]).decode()
    return ics.patch(ics.parse(text.encode()), series_in(text), series, ALL_FIELDS).write().decode()


@dataclass
class SimulatedCalDAV:
    """One calendar of the CalDAV simulator, handled directly."""

    simulator: Simulator
    folder: Folder
    lane_id: UUID

    def _href(self, thing: Thing) -> str:
        return self.folder.path + thing.name

    def _name(self, href: str) -> str:
        return href.removeprefix(self.folder.path)

    async def content(self) -> dict[str, Series]:
        """Give what stands there by href."""
        return {self._href(thing): series_in(thing.text) for thing in self.folder.things.values()}

    def as_stored(self, series: Series) -> Series:
        """Say how this calendar holds an event of ours."""
        return as_stored(series)

    async def put(self, series: Series) -> str:
        """Someone else creates."""
        name = f"{new_id().hex}.ics"
        return self._href(self.simulator.put(self.folder, name, ics.write_calendar([series]).decode(), mails=False))

    async def change(self, href: str, series: Series) -> None:
        """Someone else edits."""
        name = self._name(href)
        self.simulator.put(self.folder, name, rewritten(self.folder.things[name].text, series), mails=False)

    async def drop(self, href: str) -> None:
        """Someone else deletes."""
        self.simulator.remove(self.folder, self._name(href), mails=False)

    async def trouble(self, kind: str) -> None:
        """Play a trick at the next calls on this calendar."""
        if kind == "cursor refused":
            self.simulator.expire(self.folder)
        elif kind == "notification repeated":
            for name in self.folder.log:
                self.folder.touch(name)
        else:
            self.simulator.faults.add(FAULTS[kind](self.folder.path))

    async def calm(self) -> None:
        """Stop all tricks."""
        self.simulator.faults.clear()

    async def mails(self) -> int:
        """Count the mails."""
        return len(self.simulator.outbox)

    async def writes(self) -> int:
        """Count the requests since `forget` that would change this calendar, whatever came of them."""
        return sum(
            entry["method"] in ("PUT", "DELETE") and entry["path"].startswith(self.folder.path) for entry in self.simulator.ledger
        )

    async def forget(self) -> None:
        """Forget the requests so far."""
        self.simulator.ledger.clear()


@dataclass
class RealCalDAV:
    """One calendar on a Radicale of its own process: plain requests write, its files are read."""

    server: Server
    path: str
    lane_id: UUID
    session: aiohttp.ClientSession
    _remembered: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    @property
    def _files(self) -> list[Path]:
        return sorted((self.server.folder / "collections" / "collection-root" / self.path.strip("/")).glob("*.ics"))

    def _versions(self) -> dict[str, tuple[int, int]]:
        found = {file.name: file.stat() for file in self._files}
        return {name: (stat.st_mtime_ns, stat.st_ino) for name, stat in found.items()}

    async def _send(self, method: str, href: str, text: str = "") -> None:
        headers = {"Content-Type": "text/calendar; charset=utf-8"} if text else {}
        url = self.server.url + quote(href)
        async with self.session.request(method, url, data=text.encode() or None, headers=headers) as answer:
            assert answer.status in {200, 201, 204}, await answer.text()

    async def content(self) -> dict[str, Series]:
        """Give what stands there by href."""
        return {self.path + file.name: series_in(file.read_bytes().decode()) for file in self._files}

    def as_stored(self, series: Series) -> Series:
        """Say how this calendar holds an event of ours."""
        return as_stored(series)

    async def put(self, series: Series) -> str:
        """Someone else creates."""
        href = f"{self.path}{new_id().hex}.ics"
        await self._send("PUT", href, ics.write_calendar([series]).decode())
        return href

    async def change(self, href: str, series: Series) -> None:
        """Someone else edits."""
        text = next(file for file in self._files if href.endswith(file.name)).read_bytes().decode()
        await self._send("PUT", href, rewritten(text, series))

    async def drop(self, href: str) -> None:
        """Someone else deletes."""
        await self._send("DELETE", href)

    async def trouble(self, kind: str) -> None:
        """Do nothing: a real server plays no tricks on demand."""

    async def calm(self) -> None:
        """Do nothing."""

    async def mails(self) -> int:
        """Count none: Radicale sends no mail."""
        return 0

    async def writes(self) -> int:
        """Count the objects that were written or deleted since `forget`."""
        return len(self._versions().items() ^ self._remembered.items())

    async def forget(self) -> None:
        """Remember the files as they are."""
        self._remembered = self._versions()


async def tie_simulated(engine: Engine, running: Running) -> SimulatedCalDAV:
    """Link the engine's resource to a new calendar of the simulator."""
    folder = running.simulator.add_calendar("sync", new_id().hex)
    linked = await engine.link("caldav", running.url, ("sync", "sync-password"), MAILBOX, folder.path, OPTIONS)
    return SimulatedCalDAV(running.simulator, folder, linked.lane_id)


async def tie_real(engine: Engine, server: Server, session: aiohttp.ClientSession) -> RealCalDAV:
    """Link the engine's resource to a new calendar of a real server, where others organize what the application books."""
    path = await server.make_calendar(new_id().hex)
    linked = await engine.link("caldav", server.url + "/", (server.user, server.password), f"colleague.{MAILBOX}", path, OPTIONS)
    return RealCalDAV(server, path, linked.lane_id, session)
