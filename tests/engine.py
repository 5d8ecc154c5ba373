"""The whole engine over real PostgreSQL and simulators, as a test drives it: an application, links, passes.

`Engine.sync` makes the passes that a worker would make now. Nothing is mocked: events go in through `store.calendars`,
passes through `worker.loop`, and what stands at the other side is read from the simulator.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any
from uuid import UUID

from sqlalchemy import text
from tests.memory_world import MAILBOX

from gleichtakt.model.document import read_series, series_document
from gleichtakt.model.event import Event, Series
from gleichtakt.model.point import Zoned
from gleichtakt.settings import Settings
from gleichtakt.simulators.memory import Running, Simulator, Thing, start
from gleichtakt.simulators.memory.state import Folder
from gleichtakt.store import calendars, lanes
from gleichtakt.store.calendars import EventRow
from gleichtakt.store.database import Database, new_id
from gleichtakt.store.passes import encode
from gleichtakt.store.secrets import SecretBox, place_of
from gleichtakt.worker.loop import work

KEY = bytes(range(32))
ZONE = "Europe/Berlin"
ACCOUNT = ("sync", "sync-password")  # who may sign in at every simulator


def moment(days: int = 1, hour: int = 9, minute: int = 0) -> Zoned:
    """Give a wall-clock time so many days from today, in Berlin."""
    day = datetime.now(UTC).replace(tzinfo=None, hour=hour, minute=minute, second=0, microsecond=0)
    return Zoned(day + timedelta(days=days), ZONE)


def meeting(title: str = "Standup", days: int = 1, hour: int = 9, minutes: int = 60, **more: Any) -> Series:
    """Give a single event; what belongs to the series (rrule, exdate …) may be named as well."""
    of_series = {name: more.pop(name) for name in ("uid", "rrule", "rdate", "exdate", "overrides") if name in more}
    start_at = moment(days, hour)
    end = Zoned(start_at.wall + timedelta(minutes=minutes), ZONE)
    return Series(of_series.pop("uid", ""), Event(start_at, end, title=title, **more), **of_series)


@dataclass(frozen=True)
class Linked:
    """The rows of one link."""

    id: UUID
    lane_id: UUID
    connection_id: UUID


@dataclass
class Tie:
    """One link with its simulated calendar."""

    id: UUID
    lane_id: UUID
    connection_id: UUID
    engine: Engine
    mailbox: str
    calendar: str
    variant: str

    @property
    def folder(self) -> Folder:
        """The calendar as the simulator holds it."""
        return self.engine.simulator.folder(self.mailbox, self.calendar, self.variant or "exact")

    @property
    def things(self) -> list[Thing]:
        """What stands there."""
        return list(self.folder.things.values())

    @property
    def titles(self) -> list[str]:
        """The titles there, sorted."""
        return sorted(thing.document["title"] for thing in self.things)

    def there(self) -> list[Series]:
        """What stands there, read."""
        return [read_series(thing.document) for thing in self.things]

    def add(self, series: Series, **more: Any) -> Thing:
        """Someone else creates an event there."""
        return self.engine.simulator.put(self.folder, series_document(series), **more)

    def edit(self, thing: Thing, **changes: Any) -> Thing:
        """Someone else changes JSON fields of an event there."""
        return self.engine.simulator.edit(self.folder, thing.href, changes)

    def remove(self, thing: Thing) -> None:
        """Someone else deletes an event there."""
        self.engine.simulator.remove(self.folder, thing.href)

    async def set(self, **settings: Any) -> None:
        """Set link settings."""
        await self.engine.set("link", self.id, **settings)


@dataclass
class Engine:
    """One organization with one resource, its links, and what happened."""

    database: Database
    running: Running
    settings: Settings
    box: SecretBox
    organization_id: UUID = field(default_factory=new_id)
    resource_id: UUID = field(default_factory=new_id)
    ties: list[Tie] = field(default_factory=list)

    @property
    def simulator(self) -> Simulator:
        """The memory simulator."""
        return self.running.simulator

    async def begin(self) -> None:
        """Store the organization and its resource."""
        async with self.database.begin() as connection:
            await connection.execute(
                text("insert into organization (id, name, language) values (:id, 'Muster GmbH', 'en')"),
                {"id": self.organization_id},
            )
        await self.resource("Anna Beispiel", self.resource_id)

    async def resource(self, name: str, resource_id: UUID | None = None, kind: str = "person") -> UUID:
        """Store a resource."""
        given = {"id": resource_id or new_id(), "organization_id": self.organization_id, "name": name, "kind": kind}
        async with self.database.begin() as connection:
            await connection.execute(
                text("""insert into resource (id, organization_id, name, kind, time_zone, language)
                        values (:id, :organization_id, :name, :kind, 'Europe/Berlin', 'en')"""),
                given,
            )
        return UUID(str(given["id"]))

    async def tie(self, calendar: str = "calendar", variant: str = "", mailbox: str = MAILBOX, **settings: Any) -> Tie:
        """Tie the resource to a calendar of the simulator."""
        options = {"variant": variant} if variant else {}
        linked = await self.link("memory", self.running.url, ACCOUNT, mailbox, calendar, options)
        tie = Tie(linked.id, linked.lane_id, linked.connection_id, self, mailbox, calendar, variant)
        self.ties.append(tie)
        if settings:
            await tie.set(**settings)
        return tie

    async def link(
        self,
        provider: str,
        url: str,
        account: tuple[str, str],
        mailbox: str,
        calendar: str,
        options: Mapping[str, str] = MappingProxyType({}),
    ) -> Linked:
        """Tie the resource to a calendar of any system by a login of its own. account: user and password."""
        return await self.bind(await self.login(provider, url, account, options), calendar, mailbox)

    async def login(
        self, provider: str, url: str, account: tuple[str, str] = ACCOUNT, options: Mapping[str, str] = MappingProxyType({})
    ) -> UUID:
        """Store a connection; give its id."""
        connection_id, (user, password) = new_id(), account
        secret = self.box.seal(encode({"password": password}).encode(), place_of("connection", "secret", connection_id))
        async with self.database.begin() as connection:
            await connection.execute(
                text("""insert into connection (id, organization_id, provider, name, url, auth_method, auth, secret, options)
                        values (:id, :organization_id, :provider, :name, :url, :method, cast(:auth as jsonb), :secret,
                                cast(:options as jsonb))"""),
                {
                    "id": connection_id,
                    "organization_id": self.organization_id,
                    "provider": provider,
                    "name": provider.title(),
                    "url": url,
                    "method": "none" if provider == "feed" else "basic",
                    "auth": encode({"username": user, "password": "•••"}),
                    "secret": secret,
                    "options": encode(dict(options)),
                },
            )
        return connection_id

    async def bind(self, connection_id: UUID, calendar: str, mailbox: str = MAILBOX, resource_id: UUID | None = None) -> Linked:
        """Tie a resource, ours unless told otherwise, to a calendar of a stored connection."""
        link_id = new_id()
        async with self.database.begin() as connection:
            lane_id = await lanes.ensure(connection, self.organization_id, connection_id, mailbox)
            await connection.execute(
                text("""insert into link (id, organization_id, resource_id, connection_id, lane_id, mailbox, calendar, due)
                        values (:id, :organization_id, :resource_id, :connection_id, :lane_id, :mailbox, :calendar, now())"""),
                {
                    "id": link_id,
                    "organization_id": self.organization_id,
                    "resource_id": resource_id or self.resource_id,
                    "connection_id": connection_id,
                    "lane_id": lane_id,
                    "mailbox": mailbox,
                    "calendar": calendar,
                },
            )
            await lanes.wake(connection, [lane_id])
        return Linked(link_id, lane_id, connection_id)

    async def set(self, level: str, object_id: UUID, **settings: Any) -> None:
        """Store settings at a level."""
        async with self.database.begin() as connection:
            for name, value in settings.items():
                await connection.execute(
                    text("""insert into setting (organization_id, level, object_id, name, value)
                            values (:organization_id, :level, :object_id, :name, cast(:value as jsonb))
                            on conflict (level, object_id, name) do update set value = excluded.value"""),
                    {
                        "organization_id": self.organization_id,
                        "level": level,
                        "object_id": object_id,
                        "name": name,
                        "value": encode(value),
                    },
                )

    async def put(self, series: Series, series_id: UUID | None = None, expect: int | None = None) -> EventRow:
        """The application creates or replaces an event."""
        async with self.database.begin() as connection:
            row, _ = await calendars.put_event(
                connection,
                organization_id=self.organization_id,
                resource_id=self.resource_id,
                series_id=series_id,
                external_id=None,
                series=series,
                expect=expect,
                actor="api:test",
            )
        return row

    async def delete(self, series_id: UUID) -> None:
        """The application deletes an event."""
        async with self.database.begin() as connection:
            await calendars.delete_event(
                connection, resource_id=self.resource_id, series_id=series_id, expect=None, actor="api:test"
            )

    async def ours(self) -> list[EventRow]:
        """The application's live events."""
        async with self.database.read() as connection:
            return await calendars.list_events(
                connection, self.resource_id, datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)
            )

    async def titles(self) -> list[str]:
        """The titles of the application's live events, sorted."""
        return sorted(row.series.event.title for row in await self.ours())

    async def sync(self, *, rounds: int = 1, due: bool = True) -> None:
        """Make the passes a worker would make; *due* makes every link due first, as time would."""
        for _ in range(rounds):
            if due:
                await self.make_due()
            await work(self.database, self.settings, self.box, once=True)

    async def make_due(self) -> None:
        """Let every pause and interval be over."""
        async with self.database.begin() as connection:
            await connection.execute(text("update link set due = now() where state not in ('paused', 'disconnected')"))
            await connection.execute(
                text("update pairing set retry_at = null, writes = '[]' where retry_at is not null or writes <> '[]'")
            )
            await connection.execute(text("update observed set retry_at = now() where retry_at is not null"))
            await connection.execute(text("update lane set due = now(), paused_until = null where owner is null"))

    async def rows(self, sql: str, **given: Any) -> list[Mapping[str, Any]]:
        """Read rows of any table."""
        async with self.database.read() as connection:
            return [dict(row) for row in (await connection.execute(text(sql), given)).mappings()]

    def writes(self) -> int:
        """Count the writes the simulator was asked for since the last `forget`."""
        return sum(entry["verb"] in ("create", "update", "delete") for entry in self.simulator.ledger)

    def forget(self) -> None:
        """Forget the calls so far."""
        self.simulator.forget_calls()


@asynccontextmanager
async def engine(database: Database, *, page_size: int = 10) -> AsyncIterator[Engine]:
    """Run an engine over a fresh database and a fresh simulator."""
    async with start(Simulator(page_size=page_size), control=False) as running:
        made = Engine(database, running, Settings(worker_slots=4), SecretBox(KEY))
        await made.begin()
        yield made
        assert not made.simulator.outbox, "a mail would have gone out"
