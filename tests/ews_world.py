"""A calendar of the simulated Exchange under test: what the provider sees of it, and what others do there meanwhile."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, cast

from tests.exchange_world import SERVICE, SERVICE_PASSWORD, firm

from gleichtakt.model.event import Series
from gleichtakt.providers.clock import TheirClock
from gleichtakt.providers.ews import versions
from gleichtakt.providers.ews.autodiscover import Found
from gleichtakt.providers.ews.budgets import Budgets
from gleichtakt.providers.ews.edits import begins_anew
from gleichtakt.providers.ews.reading import Reader
from gleichtakt.providers.ews.session import Session
from gleichtakt.providers.ews.wire import items, requests
from gleichtakt.providers.ews.wire.drafts import FIELDS, Draft
from gleichtakt.providers.ews.wire.ids import ItemId, ItemRef, Occurrence, Property
from gleichtakt.providers.ews.wire.patterns import index_of
from gleichtakt.providers.ews.writing import EVERYTHING, Writer
from gleichtakt.providers.protocol import CalendarRef, Href, Login, Mail, Provider, Secret, Seen
from gleichtakt.providers.registry import connect
from gleichtakt.simulators.exchange import Exchange, Fault, Running, start
from gleichtakt.simulators.exchange.faults import WRITES
from gleichtakt.simulators.exchange.ids import folder_id, item_id
from gleichtakt.simulators.exchange.items import spoil
from gleichtakt.simulators.exchange.soap import NAMESPACES
from gleichtakt.simulators.exchange.state import Folder, Item

NAME = "anna"
ADDRESS = f"{NAME}@firm.example"
ZONE = "Europe/Berlin"
OPTIONS = {"at_once": "4", "changes_at_once": "10"}
PLANTED = Property("String", name="Planted", set_name="PublicStrings")
OPERATIONS = {
    "create": "CreateItem",
    "update": "UpdateItem",
    "delete": "DeleteItem",
    "fetch": "GetItem",
    "changes": "SyncFolderItems",
}


def ews_login(url: str, *, access: str = "impersonation", method: str = "ntlm", **options: str) -> Login:
    """Give a login: of the service account that may act for everyone, or of the owner of the mailbox, or of a colleague."""
    who = {"impersonation": (SERVICE, SERVICE_PASSWORD), "own": (NAME, f"{NAME}-password"), "delegate": ("ben", "ben-password")}
    username, password = who[access]
    auth: dict[str, str | Secret] = {"method": method, "username": username, "password": Secret(password)}
    return Login("ews", url, auth, access=access, options=options)


class Inside:
    """The calls of a session, carried out in the simulator itself: past network, sign-in, faults and ledger."""

    def __init__(self, exchange: Exchange, address: str) -> None:
        """Act as the owner of a mailbox."""
        self.exchange, self.address = exchange, address
        self.login, self.clock, self.budgets = Login("ews", exchange.url, access="own"), TheirClock(), Budgets(True, 8)
        self.impersonates = False

    async def call(self, operation: str, body: bytes, *, mailbox: str, writes: bool = False) -> Any:
        """Carry out."""
        return self.exchange.carry_out(self.address, body.decode())

    async def version(self, mailbox: str = "") -> versions.Version:
        """Give the version of the simulated server."""
        return versions.Version(self.exchange.release.build)

    async def endpoint(self, mailbox: str = "") -> Found:
        """Give an address."""
        return Found(self.exchange.url, "test")


@dataclass
class Person:
    """Somebody else at a calendar, in a program that knows nothing of us."""

    exchange: Exchange
    folder: Folder
    of: CalendarRef

    def __post_init__(self) -> None:
        """Open the calendar."""
        inside = cast("Session", Inside(self.exchange, self.folder.mailbox.address))
        self.reader = Reader(inside)
        self.writer = Writer(inside, self.reader)

    def hrefs(self) -> frozenset[Href]:
        """Give the ids of all events."""
        return frozenset(Href(item_id(item)) for item in self.folder.items.values() if item.kind == "CalendarItem")

    def item(self, href: Href) -> Item:
        """Give an item as the simulator keeps it."""
        return next(item for item in self.folder.items.values() if item_id(item) == href)

    async def read(self, hrefs: Iterable[Href]) -> dict[Href, Series]:
        """Read events."""
        found = await self.reader.fetch(self.of, list(hrefs))
        return {one.href: one.series for one in found if isinstance(one, Seen)}

    def _draft(self) -> Draft:
        return Draft(versions.Version(self.exchange.release.build).schema, zone=ZONE)

    async def create(self, series: Series) -> Href:
        """Make an event."""
        draft = self._draft()
        body = requests.create_item([items.write_item(series, draft)], self.reader.folder_of(self.of))
        made = self.exchange.carry_out(self.folder.mailbox.address, body.decode()).find(".//t:ItemId", NAMESPACES)
        href = Href(made.get("Id", "")) if made is not None else Href("")
        if series.is_recurring:
            await self.writer.bring_occurrences(self.of, href, series, draft, Mail.NONE)
        return href

    async def change(self, href: Href, wanted: Series) -> None:
        """Bring an event to what is wanted."""
        (series,) = (await self.read([href])).values()
        draft = self._draft()
        before = replace(series, rrule="") if begins_anew(series, wanted, draft.version) else series
        changes = items.changes(before, wanted, EVERYTHING, draft)
        if changes:
            self._update(ItemId(href), *changes)
        if wanted.is_recurring:
            await self.writer.bring_occurrences(self.of, href, wanted, draft, Mail.NONE)

    def delete(self, href: Href) -> None:
        """Delete an event."""
        self.exchange.carry_out(self.folder.mailbox.address, requests.delete_item([ItemId(href)]).decode())

    async def plant(self, href: Href) -> None:
        """Put a property there that nobody knows, into the master and every exception."""
        value = f"<t:ExtendedProperty>{PLANTED.write()}<t:Value>teal</t:Value></t:ExtendedProperty>"
        change = f"<t:SetItemField>{PLANTED.write()}<t:CalendarItem>{value}</t:CalendarItem></t:SetItemField>"
        for one in await self._all(href):
            self._update(one, change)

    async def has_planted(self, href: Href) -> bool:
        """Say whether it is still in all of them."""
        body = requests.get_item(await self._all(href), requests.shape_of((), [PLANTED])).decode()
        found = self.exchange.carry_out(self.folder.mailbox.address, body).iterfind(".//t:CalendarItem", NAMESPACES)
        return all(item.findtext(".//t:Value", "", NAMESPACES) == "teal" for item in found)

    async def _all(self, href: Href) -> list[ItemRef]:
        (series,) = (await self.read([href])).values()
        indices = [index_of(series, override.recurrence_id) or 0 for override in series.overrides]
        return [ItemId(href), *(Occurrence(href, index) for index in indices)]

    def _update(self, what: ItemRef, *changes: str) -> None:
        body = requests.update_item([requests.Update(what, changes)], overwrite=True)
        answer = self.exchange.carry_out(self.folder.mailbox.address, body.decode())
        said = answer.findtext(".//m:MessageText", "", NAMESPACES)
        assert answer.findtext(".//m:ResponseCode", "", NAMESPACES) == "NoError", said


@dataclass
class EwsWorld:
    """One calendar of a running simulator, empty at first. login: how the provider signs in."""

    running: Running
    folder: Folder
    login: Login
    calendar: CalendarRef
    provider: Provider = field(init=False)
    _opened: list[Provider] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Sign in, and let somebody else look at it too."""
        self.provider = connect(self.login)
        self.person = Person(self.exchange, self.folder, self.calendar)

    @property
    def exchange(self) -> Exchange:
        """The simulator behind it."""
        return self.running.exchange

    async def reconnect(self) -> Provider:
        """Give a second provider."""
        self._opened.append(connect(self.login))
        return self._opened[-1]

    async def close(self) -> None:
        """Let go of every provider."""
        for provider in (self.provider, *self._opened):
            await provider.close()

    async def hrefs(self) -> frozenset[Href]:
        """Give the names of all events."""
        return self.person.hrefs()

    async def create(self, series: Series) -> Href:
        """Someone else creates."""
        return await self.person.create(series)

    async def edit(self, href: Href, changes: Mapping[str, Any]) -> None:
        """Someone else changes fields of the master."""
        (series,) = (await self.person.read([href])).values()
        await self.person.change(href, replace(series, event=replace(series.event, **changes)))

    async def delete(self, href: Href) -> None:
        """Someone else deletes."""
        self.person.delete(href)

    async def plant(self, href: Href) -> None:
        """Put a property there that the model does not know."""
        await self.person.plant(href)

    async def has_planted(self, href: Href) -> bool:
        """Say whether it is still everywhere."""
        return await self.person.has_planted(href)

    async def spoil(self, href: Href) -> None:
        """Make one event one the server stumbles over."""
        spoil(self.exchange.simulator, self.person.item(href))

    async def lose_answer(self, verb: str, *, effect: bool) -> None:
        """Break the connection at the next call; a question is asked once more over a new one."""
        operation = OPERATIONS[verb]
        self.exchange.faults.add(Fault("lost", operation, effect=effect, times=1 if operation in WRITES else 2))

    async def fail(self, verb: str, *, effect: bool) -> None:
        """Answer the next call with an error."""
        self.exchange.faults.add(Fault("fault", OPERATIONS[verb], effect=effect))

    async def throttle(self, seconds: float) -> None:
        """Ask the next call to wait."""
        self.exchange.faults.add(Fault("fault", "SyncFolderItems", code="ErrorServerBusy", back_off=int(seconds * 1000)))

    async def refuse_login(self) -> None:
        """Refuse every login from now on."""
        self.exchange.accounts.clear()

    async def expire_cursors(self) -> None:
        """Refuse every sync state."""
        self.folder.expire_sync_states()

    async def stop_short(self, count: int) -> None:
        """Break the next listing off."""
        self.exchange.faults.add(Fault("cut", "SyncFolderItems"))

    async def mails(self) -> int:
        """Count the mails."""
        return len(self.exchange.simulator.outbox)

    async def fields_sent(self) -> frozenset[str]:
        """Give the fields the last update carried; our own properties are none."""
        last = next(entry for entry in reversed(self.exchange.ledger) if entry.operation == "UpdateItem")
        uris = set(re.findall(r'FieldURI="([^"]+)"', last.request))
        names = {name for name, places in FIELDS.items() if uris & set(places)}
        return frozenset(names | ({"recurrence"} if "calendar:Recurrence" in uris else set()))


def open_calendar(exchange: Exchange, access: str, calendar: str) -> tuple[Folder, CalendarRef]:
    """Give a calendar of Anna: the default one (no name), or one beside it; a colleague may see and edit all of it."""
    mailbox = exchange.simulator.mailbox(ADDRESS)
    folder = mailbox.add_folder(calendar) if calendar else mailbox.calendar
    if access == "delegate":
        folder.permissions["ben@firm.example"] = "Delegate"
    return folder, CalendarRef(ADDRESS, folder_id(folder) if calendar else "")


@asynccontextmanager
async def ews_world(
    access: str = "impersonation", method: str = "ntlm", calendar: str = "", **habits: Any
) -> AsyncIterator[EwsWorld]:
    """Run a simulated firm with an empty calendar, and a provider signed in to it. habits: of the simulator."""
    habits.setdefault("methods", (method,))
    exchange = firm(**habits)
    async with start(exchange) as running:
        folder, ref = open_calendar(exchange, access, calendar)
        world = EwsWorld(running, folder, ews_login(running.url, access=access, method=method, **OPTIONS), ref)
        try:
            yield world
        finally:
            await world.close()
