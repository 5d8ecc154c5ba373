"""The floor of benchmarks/caldav.py: the requests nobody can do without, sent in a bare loop, and the events they carry.

No change: two getctag. Changes: getctag and a report of what changed of both, for the target holds what was written the
last time; one multiget; one PUT each. A first sync: one PUT each. As many PUTs are in flight as a pass of ours has, or as
the server bears.
"""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TypeVar

import aiohttp
from tests.servers import Server

from gleichtakt.providers.caldav import CalDAV, wire

T = TypeVar("T")
IN_FLIGHT = {"radicale": CalDAV.abilities.max_in_flight, "xandikos": 1}  # Xandikos answers 423 to a second one
FIRST = datetime.now(UTC).replace(tzinfo=None, hour=8, minute=0, second=0, microsecond=0) + timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Collection:
    """A calendar of the server. path: with a slash at the end."""

    name: str
    path: str


def event(number: int, generation: int = 0) -> bytes:
    """Give the n-th event as a firm's calendar has them: some 900 bytes, four people."""
    start = FIRST + timedelta(minutes=37 * number)
    people = "".join(f"ATTENDEE;CN=Mitarbeiter {n};PARTSTAT=ACCEPTED:mailto:user{n}@example.org\r\n" for n in range(4))
    return (
        "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//anchor//EN\r\nBEGIN:VEVENT\r\n"
        f"UID:ev{number:05d}@anchor\r\nDTSTAMP:20260101T000000Z\r\n"
        f"DTSTART:{start:%Y%m%dT%H%M%SZ}\r\nDTEND:{start + timedelta(minutes=45):%Y%m%dT%H%M%SZ}\r\n"
        f"SUMMARY:Besprechung {number} g{generation}\r\nLOCATION:Raum {number % 7}\r\n"
        f"DESCRIPTION:Guten Tag\\, anbei die Tagesordnung.\\n{'x' * 50}\r\n"
        + "".join(f" {'x' * 70}\r\n" for _ in range(4))
        + f"ORGANIZER;CN=Chef:mailto:boss@example.org\r\n{people}SEQUENCE:{generation}\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
    ).encode()


def name_of(number: int) -> str:
    """Give the name of the n-th event's object."""
    return f"ev{number:05d}.ics"


def fill(server: Server, events: int, names: Sequence[str], *, empty: Sequence[str] = ()) -> list[Collection]:
    """Make collections with the same events, but for those that stay empty."""
    made = [Collection(name, f"{server.home}{name}/") for name in names]
    asyncio.run(_fill(server, events, [one for one in made if one.name not in empty]))
    for one in made:
        if one.name in empty:
            asyncio.run(server.make_calendar(one.name))
    return made


async def _fill(server: Server, events: int, collections: Sequence[Collection]) -> None:
    """Fill one by requests or, where that takes too long, on disk; the others are copies of it."""
    first, *others = collections
    await server.make_calendar(first.name)
    if server.name == "radicale":
        folder = server.folder / "collections" / "collection-root" / server.user / first.name
        for number in range(events):
            (folder / name_of(number)).write_bytes(event(number))
    else:
        folder = server.folder / "data" / first.path.strip("/")
        await Bare(server, first, first).put_all(events)
    for other in others:
        shutil.copytree(folder, folder.parent / other.name, ignore=shutil.ignore_patterns(".Radicale.cache"))


@dataclass
class Bare:
    """Sends the unavoidable, one session per measurement, on kept connections."""

    server: Server
    source: Collection
    target: Collection
    token: str = ""  # where we stand in the source
    written: str = ""  # and in the target
    etags: dict[str, str] = field(default_factory=dict)

    async def learn(self) -> None:
        """Remember where the source stands, and the versions in the target."""
        async with self._session() as session:
            self.token, _ = await self._report(session, self.source, "")
            self.written, etags = await self._report(session, self.target, "")
            self.etags = {path.rpartition("/")[2]: etag for path, etag in etags.items()}

    async def warm(self) -> None:
        """Let the server look at the whole source once, so that its caches are warm."""
        async with self._session() as session:
            _, etags = await self._report(session, self.source, "")
            names = list(etags)
            for at in range(0, len(names), 100):
                await self._ask(session, "REPORT", self.source.path, wire.multiget(names[at : at + 100]), "1")

    async def poll(self) -> float:
        """Ask both collections for their ctag; give the seconds."""
        async with self._session() as session:
            begun = time.perf_counter()
            for one in (self.source, self.target):
                await self._ask(session, "PROPFIND", one.path, wire.propfind(wire.POLL), "0")
            return time.perf_counter() - begun

    async def carry(self) -> float:
        """Carry what changed in the source over to the target; give the seconds."""
        async with self._session() as session:
            begun = time.perf_counter()
            await self._ask(session, "PROPFIND", self.source.path, wire.propfind(wire.POLL), "0")
            self.token, changed = await self._report(session, self.source, self.token)
            answer = await self._ask(session, "REPORT", self.source.path, wire.multiget(changed), "1")
            bodies = {
                member.href.rpartition("/")[2]: member.text(wire.CAL + "calendar-data").encode()
                for member in wire.MultistatusReader(answer).members()
            }
            await self._ask(session, "PROPFIND", self.target.path, wire.propfind(wire.POLL), "0")
            self.written, _ = await self._report(session, self.target, self.written)

            async def put(name: str) -> None:
                self.etags[name] = await self._put(session, self.target, name, bodies[name], {"If-Match": self.etags[name]})

            await in_flight(put, bodies, IN_FLIGHT[self.server.name])
            return time.perf_counter() - begun

    async def put_all(self, events: int) -> float:
        """Write events into the empty target; give the seconds."""
        async with self._session() as session:
            bodies = {name_of(number): event(number) for number in range(events)}
            begun = time.perf_counter()

            async def put(name: str) -> None:
                await self._put(session, self.target, name, bodies[name], {"If-None-Match": "*"})

            await in_flight(put, bodies, IN_FLIGHT[self.server.name])
            return time.perf_counter() - begun

    async def change(self, numbers: Iterable[int], generation: int) -> None:
        """Somebody changes events of the source."""
        async with self._session() as session:

            async def put(number: int) -> None:
                await self._put(session, self.source, name_of(number), event(number, generation), {})

            await in_flight(put, numbers, IN_FLIGHT[self.server.name])

    def _session(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(self.server.url, headers=self.server.headers())

    async def _ask(self, session: aiohttp.ClientSession, verb: str, path: str, body: bytes, depth: str) -> bytes:
        headers = {**wire.XML_TYPE, "Depth": depth}
        async with session.request(verb, path, data=body, headers=headers) as answer:
            assert answer.status == 207, (verb, answer.status)
            return await answer.read()

    async def _report(self, session: aiohttp.ClientSession, of: Collection, token: str) -> tuple[str, dict[str, str]]:
        depth = "0" if self.server.name == "radicale" else "1"
        reader = wire.MultistatusReader(await self._ask(session, "REPORT", of.path, wire.sync_collection(token), depth))
        etags = {str(member.href): str(member.etag) for member in reader.members() if member.is_event}
        return reader.token, etags

    async def _put(
        self, session: aiohttp.ClientSession, of: Collection, name: str, body: bytes, condition: dict[str, str]
    ) -> str:
        headers = {**wire.CALENDAR_TYPE, **condition}
        async with session.put(of.path + name, data=body, headers=headers) as answer:
            assert answer.status in {200, 201, 204}, (name, answer.status, await answer.text())
            return answer.headers["ETag"]


async def in_flight(send: Callable[[T], Awaitable[None]], things: Iterable[T], most: int) -> None:
    """Send for each thing, so many at the same time."""
    waiting = iter(list(things))

    async def some() -> None:
        for thing in waiting:
            await send(thing)

    await asyncio.gather(*(some() for _ in range(most)))
