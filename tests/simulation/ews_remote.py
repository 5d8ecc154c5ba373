"""A calendar of the simulated Exchange as a history handles it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC
from functools import cache
from uuid import UUID

from tests.caldav_world import MAILBOX
from tests.engine import ZONE, Engine
from tests.ews_world import OPTIONS, Person

from gleichtakt.model.event import Event, Override, Series, Status
from gleichtakt.model.event import Person as Somebody
from gleichtakt.model.exchange_pattern import Grade, NotExpressible, grade, to_pattern, to_rule
from gleichtakt.model.point import Day, Point, Timespan, Zoned, instant, shifted, wall_of
from gleichtakt.model.recurrence import bounds, same_slot
from gleichtakt.model.zones import zone_of
from gleichtakt.providers.ews.wire import soap
from gleichtakt.providers.ews.wire.names import TYPES
from gleichtakt.providers.ews.wire.zones import read_zone, write_zone
from gleichtakt.providers.protocol import CalendarRef, Href, Seen
from gleichtakt.simulators.exchange import Exchange, Fault, Running
from gleichtakt.simulators.exchange.faults import WRITES
from gleichtakt.simulators.exchange.ids import folder_id
from gleichtakt.store.database import new_id

ACCOUNT = ("sync", "sync-password")
FAULTS: Mapping[str, Callable[[], Fault]] = {
    "create applied, answer lost": lambda: Fault("lost", "CreateItem", effect=True),
    "create lost": lambda: Fault("lost", "CreateItem"),
    "update applied, answer lost": lambda: Fault("lost", "UpdateItem", effect=True),
    "update lost": lambda: Fault("lost", "UpdateItem"),
    "delete applied, answer lost": lambda: Fault("lost", "DeleteItem", effect=True),
    "delete lost": lambda: Fault("lost", "DeleteItem"),
    "write applied, error answered": lambda: Fault("fault", "write", effect=True),
    "write refused with an error": lambda: Fault("fault", "write", skip=1),
    "listing cut short": lambda: Fault("cut", "SyncFolderItems"),
    "fetch fails": lambda: Fault("fault", "GetItem", code="ErrorMailboxStoreUnavailable"),
    "objects passed over": lambda: Fault("item", "GetItem", place=0, code="ErrorBatchProcessingStopped"),
    "one object refused": lambda: Fault("item", "GetItem", place=0, code="ErrorItemCorrupt"),
    "asked to wait": lambda: Fault("fault", "SyncFolderItems", code="ErrorServerBusy", back_off=120_000),
    "garbage": lambda: Fault("garbage", "SyncFolderItems", body="<html>Wartung</html>"),
}


def exchange_with_account() -> Exchange:
    """Give a simulated Exchange with one mailbox and its owner's login."""
    made = Exchange(methods=("basic",), keeps_texts=False)
    made.simulator.add_mailbox(MAILBOX)
    made.add_account(*ACCOUNT, MAILBOX)
    return made


@cache
def _zone(tzid: str) -> str:
    """Say by which name a zone comes back: one that Windows has no name for is told by its rules."""
    element = soap.parse(f'<x xmlns:t="{TYPES}">{write_zone("StartTimeZone", tzid, 2026)}</x>'.encode())[0]
    return read_zone(element)[0]


def _kept(point: Point) -> Point:
    """Give a time as it is read back: Exchange keeps the instant, so an hour that does not exist is the one after it."""
    if isinstance(point, Day):
        return point
    there = Zoned(wall_of(point), _zone(point.tzid) if isinstance(point, Zoned) else ZONE)
    return replace(there, wall=instant(there, UTC).astimezone(zone_of(there.tzid)).replace(tzinfo=None))


def _event_as_stored(event: Event) -> Event:
    """Say how an event is kept: who invites is the owner of the calendar, and there is no status nor link."""
    return replace(
        event,
        start=_kept(event.start),
        end=_kept(event.end),
        status=Status.CONFIRMED,
        organizer=Somebody(MAILBOX, "Sync") if event.attendees else None,
        reminders=event.reminders[:1],
        conference_url="",
        url="",
    )


def as_stored(series: Series) -> Series:
    """Say how Exchange holds an event of ours: by the pattern that has the same days, from its first one on."""
    pattern = to_pattern(series.rrule, series.event.start) if series.rrule else None
    if pattern is None or isinstance(pattern, NotExpressible):
        return replace(series, event=_event_as_stored(series.event))
    by = pattern.start - wall_of(series.event.start).date()
    first = replace(series.event, start=shifted(series.event.start, by), end=shifted(series.event.end, by))
    event = _event_as_stored(first)
    overrides = tuple(
        Override(same_slot(event.start, one.recurrence_id), _event_as_stored(one.event)) for one in series.overrides
    )
    exdate = tuple(same_slot(event.start, point) for point in series.exdate)
    return replace(series, event=event, rrule=to_rule(pattern, event.start), exdate=exdate, overrides=overrides)


@dataclass
class SimulatedExchange:
    """One calendar, handled directly in the simulator."""

    person: Person
    lane_id: UUID
    link_id: UUID

    @property
    def exchange(self) -> Exchange:
        """The simulator."""
        return self.person.exchange

    async def content(self) -> dict[str, Series]:
        """Give what stands there by href."""
        return {href: series for href, (_, series) in (await self.marked()).items()}

    async def marked(self) -> Mapping[str, tuple[str, Series]]:
        """Give what stands there by href: our mark on it, and its content."""
        found = await self.person.reader.fetch(self.person.of, list(self.person.hrefs()))
        return {one.href: (one.marker, one.series) for one in found if isinstance(one, Seen)}

    def as_stored(self, series: Series) -> Series:
        """Say how this calendar holds an event of ours."""
        return as_stored(series)

    async def put(self, series: Series) -> str:
        """Someone else creates."""
        return await self.person.create(series)

    async def change(self, href: str, series: Series) -> None:
        """Someone else edits, as far as Outlook lets them."""
        start, end = bounds(series, UTC)
        if grade(series, Timespan(start, end or start)).grade is Grade.EXACT:
            await self.person.change(Href(href), series)

    async def drop(self, href: str) -> None:
        """Someone else deletes."""
        self.person.delete(Href(href))

    async def trouble(self, kind: str) -> None:
        """Play a trick at the next calls."""
        if kind == "cursor refused":
            self.person.folder.expire_sync_states()
        elif kind == "notification repeated":
            for item in list(self.person.folder.items.values()):
                self.person.folder.touch(item)
        else:
            self.exchange.faults.add(FAULTS[kind]())

    async def calm(self) -> None:
        """Stop all tricks."""
        self.exchange.faults.clear()

    async def mails(self) -> int:
        """Count the mails."""
        return len(self.exchange.simulator.outbox)

    async def writes(self) -> int:
        """Count the requests since `forget` that would change something, whatever came of them."""
        return sum(entry.operation in WRITES for entry in self.exchange.ledger)

    async def forget(self) -> None:
        """Forget the requests so far."""
        self.exchange.ledger.clear()


async def tie_exchange(engine: Engine, running: Running) -> SimulatedExchange:
    """Link the engine's resource to a new calendar of the simulated Exchange."""
    folder = running.exchange.simulator.mailbox(MAILBOX).add_folder(new_id().hex)
    ref = CalendarRef(MAILBOX, folder_id(folder))
    linked = await engine.link("ews", running.url, ACCOUNT, ref.mailbox, ref.calendar, OPTIONS)
    return SimulatedExchange(Person(running.exchange, folder, ref), linked.lane_id, linked.id)
