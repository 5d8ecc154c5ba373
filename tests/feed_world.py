"""Feeds under test: our publisher inside the test's own loop, and a reader of one feed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from tests.contract.samples import WINDOW

from gleichtakt.model import ics
from gleichtakt.model.event import Series
from gleichtakt.providers.feed import wire
from gleichtakt.providers.protocol import CalendarRef, Cursor, Href, Known, Login, Page, Provider, Secret
from gleichtakt.providers.registry import connect
from gleichtakt.simulators.feed import Fault, Feed, Item, Running, Simulator, start

#: Loopback is private; an interval of nothing lets every reading ask.
OPTIONS = {"private_hosts": "127.0.0.1", "min_interval_seconds": "0.000001", "max_interval_seconds": "0.000001"}


def feed_login(url: str, *, password: str = "", **options: str) -> Login:
    """Give a login to a feed at an address."""
    auth: dict[str, str | Secret] = {"method": "none"}
    if password:
        auth = {"method": "basic", "username": "reader", "password": Secret(password)}
    return Login("feed", url, auth, options={**OPTIONS, **options})


def item_of(series: Series) -> tuple[Item, ...]:
    """Give a series as a publisher would write it."""
    text = ics.write_calendar([series]).decode().replace("\r\n ", "")
    items = []
    for event in text.split("BEGIN:VEVENT\r\n")[1:]:
        lines = event.partition("END:VEVENT")[0].strip().split("\r\n")
        items.append(Item(series.uid, tuple(line for line in lines if not line.startswith(("UID:", "DTSTAMP")))))
    return tuple(items)


def zones_of(series: Series) -> tuple[str, ...]:
    """Give the definitions of the zones a series uses."""
    text = ics.write_calendar([series]).decode()
    return tuple(text[text.find("BEGIN:VTIMEZONE") : text.find("BEGIN:VEVENT")].split("\r\n")[:-1]) if "VTIMEZONE" in text else ()


@dataclass
class FeedWorld:
    """One feed and a reader of it. What is published is kept as series here."""

    running: Running
    feed: Feed
    calendar: CalendarRef
    provider: Provider
    published: dict[str, Series] = field(default_factory=dict)
    spoilt: set[str] = field(default_factory=set)
    _opened: list[Provider] = field(default_factory=list)

    @property
    def simulator(self) -> Simulator:
        """The publisher."""
        return self.running.simulator

    def _publish(self) -> None:
        items, head = [], {}
        for uid, series in self.published.items():
            head |= dict.fromkeys(["\n".join(zones_of(series))])
            made = item_of(series)
            items += [replace(item, lines=("DTSTART:never",)) for item in made] if uid in self.spoilt else made
        self.feed.items = items
        self.feed.head = tuple(line for block in head for line in block.split("\n") if line)

    async def reconnect(self) -> Provider:
        """Give a second provider."""
        self._opened.append(connect(feed_login(self.running.address(self.feed.name))))
        return self._opened[-1]

    async def close(self) -> None:
        """Let go of every provider."""
        for provider in (self.provider, *self._opened):
            await provider.close()

    def href(self, series: Series) -> Href:
        """Give the name under which a reader meets an event for the first time."""
        (read,) = ics.read_calendar(ics.write_calendar([series])).series
        return wire.print_of(read).href

    async def hrefs(self) -> frozenset[Href]:
        """Give the names of all events."""
        return frozenset(self.href(series) for series in self.published.values())

    async def create(self, series: Series) -> Href:
        """The publisher adds an event."""
        self.published[series.uid] = series
        self._publish()
        return self.href(series)

    async def edit(self, href: Href, changes: Mapping[str, Any]) -> None:
        """The publisher changes an event."""
        uid = wire.parts_of(href)[1]
        series = self.published[uid]
        self.published[uid] = replace(series, event=replace(series.event, **changes))
        self._publish()

    async def delete(self, href: Href) -> None:
        """The publisher withdraws an event."""
        del self.published[wire.parts_of(href)[1]]
        self._publish()

    async def spoil(self, href: Href) -> None:
        """Make one event unreadable."""
        self.spoilt.add(wire.parts_of(href)[1])
        self._publish()

    async def lose_answer(self, verb: str, *, effect: bool) -> None:
        """Break the connection at the next download."""
        self.simulator.faults.add(Fault("lost"))

    async def fail(self, verb: str, *, effect: bool) -> None:
        """Answer the next download with an error."""
        self.simulator.faults.add(Fault("status", status=500))

    async def throttle(self, seconds: float) -> None:
        """Ask the next download to wait."""
        self.simulator.faults.add(Fault("status", status=429, headers={"Retry-After": f"{seconds:.0f}"}))

    async def refuse_login(self) -> None:
        """Ask for a password nobody knows."""
        self.simulator.accounts["reader"] = "changed"

    async def stop_short(self, count: int) -> None:
        """End the next download in the middle."""
        self.simulator.faults.add(Fault("cut"))


async def listing(
    provider: Provider, since: Cursor | None = None, known: Mapping[str, str] | None = None
) -> tuple[list[Page], dict[str, str]]:
    """Read a feed as a pass does, and give the pages with what is known afterwards."""
    pages = [page async for page in provider.changes(CalendarRef(""), since, known=Known(known or {}), window=WINDOW)]
    after = dict(known or {})
    if pages[-1].is_listing:
        met = {href for page in pages for href in page.unchanged} | {one.href for page in pages for one in page.unreadable}
        after = {href: etag for href, etag in after.items() if href in met}
        after |= {one.href: one.etag for page in pages for one in page.upserts}
    return pages, after


@asynccontextmanager
async def feed_world(**options: str) -> AsyncIterator[FeedWorld]:
    """Run a publisher with one empty feed, and a reader of it."""
    async with start() as running:
        feed = running.simulator.feed("calendar")
        provider = connect(feed_login(running.address("calendar"), **options))
        world = FeedWorld(running, feed, CalendarRef("feed@feeds.example"), provider)
        try:
            yield world
        finally:
            await world.close()
