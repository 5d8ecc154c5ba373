"""CalDAV calendars under test: in our simulator inside the test's own loop, and on real servers in their own processes."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote, unquote
from uuid import uuid4

import aiohttp
from tests.servers import XML, Server, shared

from gleichtakt.model import ics
from gleichtakt.model.event import Series
from gleichtakt.providers.protocol import CalendarRef, Href, Login, Provider, Secret
from gleichtakt.providers.registry import connect
from gleichtakt.simulators.caldav import Fault, Habits, Running, Simulator, start
from gleichtakt.simulators.caldav.state import DOMAIN, Folder

MAILBOX = f"sync@{DOMAIN}"
OPTIONS = {"at_once": "10"}
_LIST = '<D:propfind xmlns:D="DAV:"><D:prop><D:getetag/></D:prop></D:propfind>'


def caldav_login(url: str, username: str = "sync", password: str = "sync-password", **options: str) -> Login:
    """Give a login to a CalDAV server at an address."""
    auth: dict[str, str | Secret] = {"method": "basic", "username": username, "password": Secret(password)}
    return Login("caldav", url, auth, options=options)


def series_in(text: str) -> Series:
    """Read the one series of an object."""
    (series,) = ics.read_calendar(text.encode()).series
    return series


def changed(text: str, changes: Mapping[str, Any]) -> str:
    """Change fields of the master as another program would, leaving the rest."""
    base = series_in(text)
    new = replace(base, event=replace(base.event, **changes))
    return ics.patch(ics.parse(text.encode()), base, new, frozenset(changes)).write().decode()


def planted(text: str) -> str:
    """Put a property we do not know into every component."""
    return text.replace("BEGIN:VEVENT\r\n", "BEGIN:VEVENT\r\nX-PLANTED;X-KIND=odd:teal\r\n")


def is_planted(text: str) -> bool:
    """Say whether that property is still in every component. Servers may fold and order lines anew."""
    events = re.findall(r"BEGIN:VEVENT.*?END:VEVENT", text, re.DOTALL)
    return bool(events) and all("X-PLANTED;X-KIND=odd:teal" in event for event in events)


@dataclass
class Opened:
    """A provider signed in to one calendar, and those opened after it."""

    calendar: CalendarRef
    login: Login
    provider: Provider = field(init=False)
    _opened: list[Provider] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Sign in."""
        self.provider = connect(self.login)

    async def reconnect(self) -> Provider:
        """Give a second provider."""
        self._opened.append(connect(self.login))
        return self._opened[-1]

    async def close(self) -> None:
        """Let go of every provider."""
        for provider in (self.provider, *self._opened):
            await provider.close()


@dataclass(kw_only=True)
class SimulatedWorld(Opened):
    """A calendar of the simulator. `simulator` may be handled directly as well."""

    running: Running
    folder: Folder

    @property
    def simulator(self) -> Simulator:
        """The simulator behind it."""
        return self.running.simulator

    def text(self, href: Href) -> str:
        """Give an object as it is stored."""
        return self.folder.things[href.removeprefix(self.folder.path)].text

    def put(self, name: str, text: str) -> Href:
        """Someone else stores an object."""
        return Href(self.folder.path + self.simulator.put(self.folder, name, text, mails=False).name)

    async def hrefs(self) -> frozenset[Href]:
        """Give the names of all objects."""
        return frozenset(Href(self.folder.path + name) for name in self.folder.things)

    async def content(self, href: Href) -> Series:
        """Give what is stored under a name."""
        return series_in(self.text(href))

    async def create(self, series: Series) -> Href:
        """Someone else creates."""
        return self.put(f"{uuid4().hex}.ics", ics.write_calendar([series]).decode())

    async def edit(self, href: Href, changes: Mapping[str, Any]) -> None:
        """Someone else changes fields of the master."""
        self.put(href.removeprefix(self.folder.path), changed(self.text(href), changes))

    async def delete(self, href: Href) -> None:
        """Someone else deletes."""
        self.simulator.remove(self.folder, href.removeprefix(self.folder.path), mails=False)

    async def plant(self, href: Href) -> None:
        """Put a property there that the model does not know."""
        self.put(href.removeprefix(self.folder.path), planted(self.text(href)))

    async def has_planted(self, href: Href) -> bool:
        """Say whether it is still everywhere."""
        return is_planted(self.text(href))

    async def spoil(self, href: Href) -> None:
        """Make one object unreadable."""
        name = href.removeprefix(self.folder.path)
        self.put(name, self.text(href))
        self.folder.things[name].is_spoilt = True

    async def lose_answer(self, verb: str, *, effect: bool) -> None:
        """Break the connection at the next call."""
        self.simulator.faults.add(Fault("lost", _verb(verb), effect))

    async def fail(self, verb: str, *, effect: bool) -> None:
        """Answer the next call with an error."""
        self.simulator.faults.add(Fault("status", _verb(verb), effect, status=500))

    async def throttle(self, seconds: float) -> None:
        """Ask the next call to wait."""
        self.simulator.faults.add(Fault("status", status=429, headers={"Retry-After": f"{seconds:.0f}"}))

    async def refuse_login(self) -> None:
        """Refuse the login from now on."""
        self.simulator.accounts.clear()

    async def expire_cursors(self) -> None:
        """Refuse every cursor."""
        self.simulator.expire(self.folder)

    async def stop_short(self, count: int) -> None:
        """End the next listing in the middle."""
        self.simulator.faults.add(Fault("cut", "list"))

    async def mails(self) -> int:
        """Count the mails."""
        return len(self.simulator.outbox)

    async def fields_sent(self) -> frozenset[str]:
        """Give the fields in which the last write differed from what was there."""
        thing = max(self.folder.things.values(), key=lambda one: one.number)
        before, after = series_in(thing.before), series_in(thing.text)
        names = {name for name in type(after.event).__slots__ if getattr(before.event, name) != getattr(after.event, name)}
        recurrence = [(one.rrule, one.rdate, one.exdate, one.overrides) for one in (before, after)]
        return frozenset(names | ({"recurrence"} if recurrence[0] != recurrence[1] else set()))


def _verb(verb: str) -> str:
    return {"changes": "*", "fetch": "fetch"}.get(verb, verb)


@asynccontextmanager
async def simulated_world(**habits: Any) -> AsyncIterator[SimulatedWorld]:
    """Run a simulator with one empty calendar, and a provider signed in to it."""
    simulator = Simulator(Habits(**habits))
    folder = simulator.add_calendar("sync", "calendar", "Kalender")
    async with start(simulator) as running:
        login = caldav_login(running.url, **OPTIONS)
        world = SimulatedWorld(CalendarRef(MAILBOX, folder.path), login, running=running, folder=folder)
        try:
            yield world
        finally:
            await world.close()


@dataclass(kw_only=True)
class ServerWorld(Opened):
    """A calendar on a real server, with somebody else's plain requests."""

    server: Server
    session: aiohttp.ClientSession

    async def send(self, method: str, path: str, body: str = "", **headers: str) -> tuple[int, str]:
        """Send a plain request and give status and text."""
        url = self.server.url + quote(path)
        async with self.session.request(method, url, data=body.encode() or None, headers=headers) as answer:
            return answer.status, await answer.text()

    async def store(self, href: Href, text: str) -> None:
        """Someone else stores an object."""
        status, told = await self.send("PUT", href, text, **{"Content-Type": "text/calendar; charset=utf-8"})
        assert status in {201, 204}, told

    async def text(self, href: Href) -> str:
        """Give an object as the server hands it out."""
        status, text = await self.send("GET", href)
        assert status == 200, text
        return text

    async def hrefs(self) -> frozenset[Href]:
        """Give the names of all objects."""
        _, listed = await self.send("PROPFIND", self.calendar.calendar, _LIST, Depth="1", **XML)
        found = (unquote(href) for href in re.findall(r"<(?:\w+:)?href>([^<]*)<", listed))
        return frozenset(Href(href) for href in found if href.endswith(".ics"))

    async def content(self, href: Href) -> Series:
        """Give what is stored under a name."""
        return series_in(await self.text(href))

    async def create(self, series: Series) -> Href:
        """Someone else creates."""
        href = Href(f"{self.calendar.calendar}{uuid4().hex}.ics")
        await self.store(href, ics.write_calendar([series]).decode())
        return href

    async def edit(self, href: Href, changes: Mapping[str, Any]) -> None:
        """Someone else changes fields of the master."""
        await self.store(href, changed(await self.text(href), changes))

    async def delete(self, href: Href) -> None:
        """Someone else deletes."""
        status, told = await self.send("DELETE", href)
        assert status in {200, 204}, told

    async def plant(self, href: Href) -> None:
        """Put a property there that the model does not know."""
        await self.store(href, planted(await self.text(href)))

    async def has_planted(self, href: Href) -> bool:
        """Say whether it is still everywhere."""
        return is_planted(await self.text(href))


@asynccontextmanager
async def server_world(name: str) -> AsyncIterator[ServerWorld]:
    """Give one new calendar on a real server, and a provider signed in to it."""
    server = shared(name)
    path = await server.make_calendar(uuid4().hex)
    login = caldav_login(server.url + "/", server.user, server.password, **OPTIONS)
    async with aiohttp.ClientSession(headers=server.headers()) as session:
        world = ServerWorld(CalendarRef("", path), login, server=server, session=session)
        try:
            yield world
        finally:
            await world.close()
