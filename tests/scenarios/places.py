"""Other calendar systems beside the world: a CalDAV server and a publisher of feeds, as other people handle them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from tests.caldav_world import MAILBOX, changed, series_in
from tests.engine import ACCOUNT, Engine
from tests.feed_world import item_of

from gleichtakt.model import ics
from gleichtakt.model.event import Series
from gleichtakt.simulators import caldav, feed
from gleichtakt.simulators.caldav.state import Folder, Thing
from gleichtakt.simulators.feed.state import Feed

WRITES = ("create", "update", "delete")
#: Both sides say everything to each other, and a deletion follows at once.
FULL: dict[str, Any] = {"outbound_detail": "full", "inbound_detail": "full", "delete_grace_minutes": 0}


@dataclass
class DavTie:
    """One CalDAV calendar that is linked."""

    id: UUID
    lane_id: UUID
    connection_id: UUID
    server: Dav
    folder: Folder

    @property
    def things(self) -> list[Thing]:
        """What stands there."""
        return list(self.folder.things.values())

    def there(self) -> list[Series]:
        """What stands there, read."""
        return [series_in(thing.text) for thing in self.things]

    @property
    def titles(self) -> list[str]:
        """The titles there, sorted."""
        return sorted(series.event.title for series in self.there())

    def href(self, thing: Thing) -> str:
        """Name an object as the provider does."""
        return self.folder.path + thing.name

    def add(self, series: Series | str, name: str = "") -> Thing:
        """Someone else creates an event, given as a series or as text."""
        text = series if isinstance(series, str) else ics.write_calendar([series]).decode()
        return self.server.simulator.put(self.folder, name or f"other-{len(self.folder.log)}.ics", text, mails=False)

    def edit(self, thing: Thing, **changes: Any) -> Thing:
        """Someone else changes fields of an event."""
        return self.rewrite(thing, changed(self.folder.things[thing.name].text, changes))

    def rewrite(self, thing: Thing, text: str) -> Thing:
        """Someone else replaces the text of an event."""
        return self.server.simulator.put(self.folder, thing.name, text, mails=False)

    def remove(self, thing: Thing) -> None:
        """Someone else deletes an event."""
        self.server.simulator.remove(self.folder, thing.name, mails=False)

    async def set(self, **settings: Any) -> None:
        """Set link settings."""
        await self.server.world.set("link", self.id, **settings)


@dataclass
class Dav:
    """A CalDAV server with its own calendars."""

    world: Engine
    running: caldav.Running

    @property
    def simulator(self) -> caldav.Simulator:
        """The simulator."""
        return self.running.simulator

    async def tie(self, name: str = "calendar", *, url: str = "", resource_id: UUID | None = None, **settings: Any) -> DavTie:
        """Tie a resource to a calendar of this server."""
        folder = self.simulator.add_calendar("sync", name)
        connection_id = await self.world.login("caldav", url or self.running.url, ACCOUNT, {"at_once": "50"})
        linked = await self.world.bind(connection_id, folder.path, MAILBOX, resource_id)
        tie = DavTie(linked.id, linked.lane_id, linked.connection_id, self, folder)
        if settings:
            await tie.set(**settings)
        return tie

    def writes(self) -> int:
        """Count the requests since `forget` that change something."""
        return sum(entry["verb"] in WRITES for entry in self.simulator.ledger)

    def sent(self) -> str:
        """Give the bodies of all writes since `forget`."""
        return "\n".join(entry["body"] for entry in self.simulator.ledger if entry["verb"] in WRITES)

    def forget(self) -> None:
        """Forget the requests so far."""
        self.simulator.ledger.clear()


@asynccontextmanager
async def dav_server(world: Engine, **habits: Any) -> AsyncIterator[Dav]:
    """Run a CalDAV server beside a world; it may not have had a reason to mail anybody."""
    async with caldav.start(caldav.Simulator(caldav.Habits(**habits))) as running:
        found = Dav(world, running)
        yield found
        assert not found.simulator.outbox, "a mail would have gone out"


@dataclass
class Feeds:
    """A publisher of feeds."""

    world: Engine
    running: feed.Running

    @property
    def simulator(self) -> feed.Simulator:
        """The simulator."""
        return self.running.simulator

    async def tie(self, name: str = "calendar", *, resource_id: UUID | None = None, **settings: Any) -> tuple[Feed, UUID]:
        """Tie a resource to a feed; each download is due at once."""
        options: Mapping[str, str] = {"min_interval_seconds": "0.000001", "max_interval_seconds": "0.000001"}
        connection_id = await self.world.login("feed", self.running.address(name), ("", ""), options)
        linked = await self.world.bind(connection_id, "", "", resource_id)
        if settings:
            await self.world.set("link", linked.id, **settings)
        return self.simulator.feed(name), linked.id

    def publish(self, published: Feed, *series: Series) -> None:
        """Serve exactly these events from now on."""
        published.items = [item for one in series for item in item_of(one)]
        published.changed_at = self.simulator.clock.now()


@asynccontextmanager
async def publisher(world: Engine) -> AsyncIterator[Feeds]:
    """Run a publisher beside a world."""
    async with feed.start() as running:
        yield Feeds(world, running)
