"""One login's way to a CalDAV server: requests, collections by reference, and what was learnt about them.

What is remembered here only saves requests; nothing of it has to survive.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from gleichtakt.errors import Permanent, Scope, Transient
from gleichtakt.providers.caldav import wire
from gleichtakt.providers.caldav.discovery import Account, Discovery, start_url
from gleichtakt.providers.clock import TheirClock
from gleichtakt.providers.protocol import Calendar, CalendarRef, Etag, Href, Login
from gleichtakt.providers.transport import Answer, Transport, revealed

KEPT_BYTES = 8 << 20  # objects kept from `fetch` for the updates that follow it


@dataclass(frozen=True, slots=True)
class Place:
    """A collection: where it is, and its path as hrefs are compared (with a slash at the end)."""

    origin: str
    path: Href
    url: str = field(init=False)

    def __post_init__(self) -> None:
        """Write the address once."""
        object.__setattr__(self, "url", self.origin + wire.write_href(self.path))

    @property
    def host(self) -> str:
        """Give the host, for sentences."""
        return urlsplit(self.origin).hostname or ""

    def url_of(self, href: str) -> str:
        """Give the address of a member."""
        return self.origin + wire.write_href(href)

    def is_self(self, href: str) -> bool:
        """Say whether an href means the collection itself."""
        return href.rstrip("/") == self.path.rstrip("/")


@dataclass(slots=True)
class Kept:
    """The newest objects read, within a number of bytes, so that an update need not read them again."""

    most: int = KEPT_BYTES
    size: int = 0
    objects: OrderedDict[tuple[str, Href], tuple[Etag, bytes]] = field(default_factory=OrderedDict)

    def put(self, place: Place, href: Href, etag: Etag, data: bytes) -> None:
        """Keep one; the oldest go."""
        self.take(place, href)
        self.objects[place.url, href] = etag, data
        self.size += len(data)
        while self.size > self.most:
            self.size -= len(self.objects.popitem(last=False)[1][1])

    def __contains__(self, found: tuple[Place, Href]) -> bool:
        """Say whether one is kept."""
        place, href = found
        return (place.url, href) in self.objects

    def take(self, place: Place, href: Href) -> tuple[Etag, bytes] | None:
        """Give one away."""
        found = self.objects.pop((place.url, href), None)
        self.size -= len(found[1]) if found else 0
        return found


class Session:
    """Requests of one login, and where its collections are."""

    def __init__(self, login: Login) -> None:
        """Keep the login; connect when first needed."""
        self.login = login
        self.transport = Transport(login, limit=int(login.options.get("concurrency") or 8))
        self.discovery = Discovery(login, self.transport)
        self.kept, self.clock = Kept(), TheirClock()
        self.silences: dict[str, bool] = {}
        self.probing = asyncio.Lock()  # two probes of one collection would remove each other's
        self.turns: dict[str, asyncio.Lock] = {}  # of collections that take one write at a time
        self._accounts: dict[str, Account] = {}
        self._places: dict[CalendarRef, Place] = {}
        self._announced: dict[str, str] = {}

    async def account(self, mailbox: str = "") -> Account:
        """Give the account behind a mailbox; looked up once."""
        if mailbox not in self._accounts:
            own = self._accounts.get("") or await self.discovery.account(mailbox)
            if "{" not in self.login.url:
                self._accounts[""] = own
            self._accounts[mailbox] = await self.discovery.account_of(mailbox, own)
        return self._accounts[mailbox]

    async def calendars(self, mailbox: str) -> tuple[Calendar, ...]:
        """Give the calendars of a mailbox."""
        return await self.discovery.calendars(await self.account(mailbox), mailbox)

    async def place(self, of: CalendarRef) -> Place:
        """Give the collection a reference means; discovery runs only where the reference does not say it all."""
        if of not in self._places:
            self._places[of] = await self._find_place(of)
        return self._places[of]

    async def _find_place(self, of: CalendarRef) -> Place:
        start, named = start_url(self.login, of.mailbox), of.calendar
        if not named:
            found = await self.calendars(of.mailbox)
            named = next((one.ref.calendar for one in found if one.is_default), "")
        if not named:
            raise Permanent("general.calendar_missing", Scope.CALENDAR, host=urlsplit(start).hostname or start)
        if "://" in named:
            self.discovery.permit(start if "://" in start else named, named)
            home, path = named, wire.read_href(urlsplit(named).path)
        else:
            home, path = start if "://" in start else (await self.account(of.mailbox)).start, wire.read_href(named)
        parts = urlsplit(home)
        return Place(f"{parts.scheme}://{parts.netloc}", Href(path.rstrip("/") + "/"))

    async def ask(self, verb: str, url: str, body: bytes, depth: str = "") -> Answer:
        """Send a PROPFIND or REPORT; «sign in» and «wait» are raised, every other answer is the caller's."""
        headers = {**wire.XML_TYPE, "Depth": depth} if depth else wire.XML_TYPE
        answer = await self.transport.send(verb, url, headers=headers, body=body)
        if answer.status in {401, 429} or (answer.status == 503 and "Retry-After" in answer.headers):
            raise self.discovery.refused(answer)
        return answer

    async def state(self, place: Place, names: Sequence[str]) -> wire.Member:
        """Give properties of a collection. Raises when there is no such collection."""
        answer = await self.ask("PROPFIND", place.url, wire.propfind(names), "0")
        if answer.status != 207:
            raise self.discovery.refused(answer)
        first = next(each_member(wire.MultistatusReader(answer.body), place), None)
        if first is None or first.status in {404, 410}:
            raise Permanent("general.calendar_missing", Scope.CALENDAR, host=place.host)
        return first

    async def announced(self, place: Place) -> str:
        """Give the DAV header of a collection; asked once."""
        if place.url not in self._announced:
            answer = await self.transport.send("OPTIONS", place.url)
            self._announced[place.url] = ", ".join(answer.headers.getall("DAV", []))
        return self._announced[place.url]

    async def own_addresses(self, mailbox: str) -> frozenset[str]:
        """Give the addresses under which this login organizes meetings; at least its name and the mailbox."""
        near = {mailbox.lower(), revealed(self.login.auth.get("username")).lower()}
        try:
            found = (await self.account(mailbox)).addresses
        except Permanent:  # a calendar given by its own address may have no principal
            found = frozenset()
        return frozenset(found | near) - {""}

    async def mine(self, of: CalendarRef, data: bytes) -> frozenset[str]:
        """Give our addresses where an object needs them to tell whether we organize it."""
        if b"ORGANIZER" not in data and b"ATTENDEE" not in data:
            return frozenset()
        return await self.own_addresses(of.mailbox)


def each_member(reader: wire.MultistatusReader, place: Place) -> Iterator[wire.Member]:
    """Yield the members of an answer; one that is broken or breaks off is a trouble of the calendar."""
    try:
        yield from reader.members()
    except wire.NotMultistatus as broken:
        raise Transient("general.malformed", Scope.CALENDAR, host=place.host, reason=str(broken)) from None
