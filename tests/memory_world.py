"""The memory simulator inside the test's own loop: for the contract, for provider tests and for whole-system tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from gleichtakt.model.document import read_series, series_document
from gleichtakt.model.event import Series
from gleichtakt.providers.protocol import CalendarRef, Href, Login, Provider, Secret
from gleichtakt.providers.registry import connect
from gleichtakt.simulators.memory import Fault, Running, Simulator, start
from gleichtakt.simulators.memory.state import Folder

MAILBOX = "anna@memory.example"


def memory_login(url: str, variant: str = "") -> Login:
    """Give a login to a memory simulator at an address."""
    auth: dict[str, str | Secret] = {"method": "basic", "username": "sync", "password": Secret("sync-password")}
    return Login("memory", url, auth, options={"variant": variant} if variant else {})


@dataclass
class MemoryWorld:
    """A calendar of the memory simulator under test. `simulator` may be handled directly as well."""

    running: Running
    variant: str
    calendar: CalendarRef
    provider: Provider
    _opened: list[Provider] = field(default_factory=list)

    @property
    def simulator(self) -> Simulator:
        """The simulator behind it."""
        return self.running.simulator

    @property
    def folder(self) -> Folder:
        """The calendar under test as the simulator holds it."""
        return self.simulator.folder(self.calendar.mailbox, self.calendar.calendar, self.variant or "exact")

    async def reconnect(self) -> Provider:
        """Give a second provider."""
        self._opened.append(connect(memory_login(self.running.url, self.variant)))
        return self._opened[-1]

    async def close(self) -> None:
        """Let go of every provider."""
        for provider in (self.provider, *self._opened):
            await provider.close()

    async def hrefs(self) -> frozenset[Href]:
        """Give the names of all objects."""
        return frozenset(Href(href) for href in self.folder.things)

    async def content(self, href: Href) -> Series:
        """Give what is stored under a name."""
        return read_series(self.folder.things[href].document)

    async def create(self, series: Series) -> Href:
        """Someone else creates."""
        return Href(self.simulator.put(self.folder, series_document(series)).href)

    async def edit(self, href: Href, changes: Mapping[str, Any]) -> None:
        """Someone else changes fields of the master."""
        series = await self.content(href)
        changed = series_document(replace(series, event=replace(series.event, **changes)))
        self.simulator.edit(self.folder, href, {name: changed[name] for name in changes})

    async def delete(self, href: Href) -> None:
        """Someone else deletes."""
        self.simulator.remove(self.folder, href)

    async def plant(self, href: Href) -> None:
        """Put a property there that the model does not know."""
        document = self.folder.things[href].document
        recurrence = document["recurrence"]
        if recurrence:
            recurrence["overrides"] = [{**override, "x_colour": "teal"} for override in recurrence["overrides"]]
        self.simulator.edit(self.folder, href, {"x_colour": "teal", "recurrence": recurrence})

    async def has_planted(self, href: Href) -> bool:
        """Say whether it is still everywhere."""
        document = self.folder.things[href].document
        overrides = (document["recurrence"] or {"overrides": []})["overrides"]
        return all(part.get("x_colour") == "teal" for part in (document, *overrides))

    async def spoil(self, href: Href) -> None:
        """Make one object unreadable."""
        self.simulator.spoil(self.folder, href)

    async def lose_answer(self, verb: str, *, effect: bool) -> None:
        """Break the connection at the next call."""
        self.simulator.faults.add(Fault("lost", verb, effect))

    async def fail(self, verb: str, *, effect: bool) -> None:
        """Answer the next call with an error."""
        self.simulator.faults.add(Fault("failure", verb, effect))

    async def throttle(self, seconds: float) -> None:
        """Ask the next call to wait."""
        self.simulator.faults.add(Fault("throttle", seconds=seconds))

    async def refuse_login(self) -> None:
        """Refuse the login from now on."""
        self.simulator.accounts.clear()
        self.running.break_connections()

    async def expire_cursors(self) -> None:
        """Refuse every cursor."""
        self.simulator.expire_cursors(self.folder)

    async def stop_short(self, count: int) -> None:
        """End the next listing without its end mark."""
        self.simulator.faults.add(Fault("cap", "changes", count=count))

    async def mails(self) -> int:
        """Count the mails."""
        return len(self.simulator.outbox)

    async def fields_sent(self) -> frozenset[str]:
        """Give what the last write carried."""
        return frozenset(next(entry["fields"] for entry in reversed(self.simulator.ledger) if "fields" in entry))


@asynccontextmanager
async def memory_world(variant: str = "", *, page_size: int = 10) -> AsyncIterator[MemoryWorld]:
    """Run a simulator with one empty calendar of a variant, and a provider signed in to it."""
    async with start(Simulator(page_size=page_size), control=False) as running:
        calendar = CalendarRef(MAILBOX, "calendar")
        world = MemoryWorld(running, variant, calendar, connect(memory_login(running.url, variant)))
        assert not world.folder.things
        try:
            yield world
        finally:
            await world.close()
