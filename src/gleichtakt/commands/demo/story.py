"""What happens in the demo: bookings through the REST interface, colleagues in their calendars, and what goes wrong.

The story uses nothing but what a customer has: a configuration file, the REST interface with its key, and calendar
programs.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from random import Random
from typing import Any, Self
from uuid import uuid4

import aiohttp

from gleichtakt.commands.demo import firm
from gleichtakt.commands.demo.caldav_server import SYNC
from gleichtakt.commands.demo.colleagues import Colleagues
from gleichtakt.commands.demo.exchange_server import SERVICE
from gleichtakt.commands.serving import Served
from gleichtakt.commands.telling import either, progress
from gleichtakt.model.event import Series
from gleichtakt.onboarding import configuration
from gleichtakt.onboarding.first_start import first_credentials

WAIT_SECONDS = 30
PAUSE_SECONDS = 15.0
REST_MINUTES = 10  # for which Exchange asks us to leave a mailbox alone
TRIES = 20  # of a request the server asks to repeat
MOST_LATER = 200  # bookings after the beginning; then it stays quiet


class Story:
    """The demo under way; a context manager that holds the HTTP session."""

    def __init__(self, served: Served, colleagues: Colleagues) -> None:
        """served: ours. colleagues: what the others do, and where."""
        self.served, self.colleagues = served, colleagues
        self.radicale, self.exchange = colleagues.radicale, colleagues.exchange
        self.random = Random(5)  # noqa: S311  # the same bookings every time
        self.days = colleagues.days
        self.resources: dict[str, str] = {}  # external id -> id
        self.links: dict[tuple[str, str], str] = {}  # external ids of resource and connection -> id
        self.number = 1000

    async def __aenter__(self) -> Self:
        """Open the session."""
        key = self.served.made.api_key or first_credentials(self.served.here.settings)["api_key"]
        headers = {"Authorization": f"Bearer {key}"}
        timeout = aiohttp.ClientTimeout(total=WAIT_SECONDS + 30)
        self.session = aiohttp.ClientSession(self.served.url, headers=headers, timeout=timeout)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close it."""
        await self.session.close()

    async def begin(self) -> None:
        """Set the firm up and bring it to the point where there is something to decide.

        In a folder of an earlier demo the firm is there already; only Exchange has forgotten everything.
        """
        is_first = bool(self.served.made.api_key)
        await self.colleagues.filled()
        progress(either("Die Firma wird eingerichtet, Buchungen kommen herein …", "The firm is set up, bookings arrive …"))
        if is_first:
            await self._set_up()
            disputed = await self._first_bookings()
        else:
            self.number += int(datetime.now(UTC).timestamp())
            await self._begin_again_at_exchange()
            await self._set_up()
        count = len(self.links)
        progress(either(f"{count} Kalender werden abgeglichen …", f"{count} calendars are synced …"))
        await self._sync_all()
        progress(either("Und nun geht einiges schief …", "And now a few things go wrong …"))
        scenes = [self._share_room(), self._throttle(), self._remove_licence()]
        await asyncio.gather(*scenes, *([self._argue(disputed), self._empty_laboratory()] if is_first else []))

    async def go_on(self) -> None:
        """Let bookings arrive and colleagues add events, one now and then."""
        for _ in range(MOST_LATER):
            await asyncio.sleep(PAUSE_SECONDS)
            await self._book(self.random.choice(firm.BOOKABLE))
            if self.random.random() < 0.3:
                one = self.random.choice([person for person in firm.PEOPLE if person is not firm.UNLICENSED])
                name = f"spontan-{uuid4().hex[:8]}"
                await self.colleagues.add(one, name, firm.own_event(self.random, self.days, name))

    # --- scenes --------------------------------------------------------------------------------------------------

    async def _set_up(self) -> None:
        wanted = configuration.read(firm.configuration(self.radicale.url, self.exchange.url))
        secrets = {
            "DEMO_CALDAV_PASSWORD": self.radicale.passwords[SYNC],
            "DEMO_EXCHANGE_PASSWORD": self.exchange.passwords[SERVICE],
        }
        here = self.served.here
        await configuration.apply(here.database, here.box, wanted, environment=secrets)
        await self._learn()

    async def _learn(self) -> None:
        """Take note of what the firm's people, rooms and links are called by the server."""
        self.resources = {one["external_id"]: one["id"] for one in await self._all("/api/v1/resources")}
        names = {found: name for name, found in self.resources.items()}
        homes = {one["id"]: one["external_id"] for one in await self._all("/api/v1/connections")}
        self.links = {
            (names[link["resource_id"]], homes[link["connection_id"]]): link["id"] for link in await self._all("/api/v1/links")
        }

    async def _begin_again_at_exchange(self) -> None:
        """Let the links to Exchange forget what they agreed on with a server that forgot everything."""
        await self._learn()
        for (_, home), link in self.links.items():
            if home == firm.EXCHANGE:
                await self._call("POST", f"/api/v1/links/{link}/reset")

    async def _first_bookings(self) -> tuple[str, Series, dict[str, Any]]:
        """Let customers book, and give the booking that is going to be disputed."""
        disputed = await self._book(firm.ARGUES)
        await asyncio.gather(*(self._book(one) for one in firm.BOOKABLE for _ in range(3)))
        await self._post(firm.HOSTS_JOUR_FIXE, "jour-fixe", firm.jour_fixe(self.days[0]))
        return disputed

    async def _share_room(self) -> None:
        """What either calendar of the shared room brought in the first pass goes on into the other one."""
        await asyncio.gather(*(self._sync(self.links[firm.SHARED.id, home]) for home in firm.SHARED.homes))

    async def _throttle(self) -> None:
        """Exchange asks us to leave one mailbox alone for a while; what is booked meanwhile waits."""
        await self.exchange.throttle(firm.THROTTLED.address, REST_MINUTES * 60)
        await self._book(firm.THROTTLED)
        await self._until_it_stands(self.links[firm.THROTTLED.id, firm.EXCHANGE])

    async def _remove_licence(self) -> None:
        """One mailbox loses its licence; its link stands still and says why."""
        await self.exchange.remove_licence(firm.UNLICENSED.address)
        await self._until_it_stands(self.links[firm.UNLICENSED.id, firm.EXCHANGE])

    async def _argue(self, booking: tuple[str, Series, dict[str, Any]]) -> None:
        """One booking gets another title on both sides between two passes; its link asks a person who is right."""
        external_id, series, made = booking
        link, user = self.links[firm.ARGUES.id, firm.RADICALE], firm.ARGUES.id
        async with self._pausing(link):
            title = series.event.title
            path = await self._path_of(user, title)
            await self.radicale.replace_text(user, path, title, f"{title} (bitte 10 Minuten früher)")
            document = firm.body_of(series, external_id) | {"title": f"{title} (Stammkunde)"}
            address = f"/api/v1/resources/{self.resources[user]}/events/{made['id']}"
            await self._call("PUT", address, document)
        await self._sync(link)

    async def _path_of(self, user: str, title: str) -> str:
        for path in await self.radicale.names(user):
            if title.partition(" – ")[2] in await self.radicale.text(user, path):
                return path
        raise RuntimeError("the booking has not arrived in the calendar")

    async def _empty_laboratory(self) -> None:
        """Most of a room's calendar is deleted there by mistake; our side holds the deletion until a person looks."""
        link = self.links[firm.LABORATORY.id, firm.RADICALE]
        async with self._pausing(link):
            for name, _ in firm.laboratory_slots(self.days)[:9]:
                await self.radicale.delete(firm.LABORATORY.id, name)
        await self._sync(link)

    # --- steps ---------------------------------------------------------------------------------------------------

    async def _book(self, one: firm.One) -> tuple[str, Series, dict[str, Any]]:
        self.number += 1
        external_id, series = firm.booking(self.random, one, self.days, self.number)
        return external_id, series, await self._post(one, external_id, series)

    async def _post(self, one: firm.One, external_id: str, series: Series) -> dict[str, Any]:
        address = f"/api/v1/resources/{self.resources[one.id]}/events"
        made: dict[str, Any] = await self._call("POST", address, firm.body_of(series, external_id), key=external_id)
        return made

    @asynccontextmanager
    async def _pausing(self, link: str) -> AsyncIterator[None]:
        """Let a link rest, so that what happens in the block is seen at once."""
        await self._call("POST", f"/api/v1/links/{link}/pause")
        yield
        await self._call("POST", f"/api/v1/links/{link}/resume")

    async def _sync(self, link: str) -> dict[str, Any]:
        """Let a pass be made now and give how it ended."""
        ended: dict[str, Any] = await self._call("POST", f"/api/v1/links/{link}/sync?wait={WAIT_SECONDS}")
        return ended

    async def _until_it_stands(self, link: str) -> None:
        """Let a pass be made now and wait for what it meets; a run over a mailbox that is to rest would wait as well."""
        await self._call("POST", f"/api/v1/links/{link}/sync")
        for _ in range(WAIT_SECONDS * 10):
            if (await self._call("GET", f"/api/v1/links/{link}"))["health"]["problem"] is not None:
                return
            await asyncio.sleep(0.1)
        raise RuntimeError(f"nothing stopped the link {link}")

    async def _sync_all(self) -> None:
        ended = await asyncio.gather(*map(self._sync, self.links.values()))
        failed = [run for run in ended if run["state"] != "done"]
        if failed:
            raise RuntimeError(f"{len(failed)} first passes did not end well: {failed[0]}")

    async def _all(self, address: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        cursor = ""
        while True:
            page = await self._call("GET", f"{address}?limit=100{cursor}")
            found += page["items"]
            if not page["next"]:
                return found
            cursor = f"&cursor={page['next']}"

    async def _call(self, method: str, address: str, body: Any = None, *, key: str = "") -> Any:
        """Send a request; what the server asks to repeat in a moment is repeated."""
        headers = {"Idempotency-Key": f"demo-{key}"} if key else {}
        for last in (False,) * TRIES + (True,):
            async with self.session.request(method, address, json=body, headers=headers) as answer:
                told: Any = await answer.json() if answer.status != 204 else None
            if answer.status < 400:
                return told
            if last or told.get("kind") != "transient":
                raise RuntimeError(f"{method} {address}: {answer.status} {told}")
            await asyncio.sleep(0.2)
        raise AssertionError("unreachable")
