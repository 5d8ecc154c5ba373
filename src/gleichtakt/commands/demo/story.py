"""What happens in the demo: bookings through the REST interface, colleagues in their calendars, and what goes wrong.

The story uses nothing but what a customer has: a configuration file, the REST interface with its key, and CalDAV.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any, Self
from uuid import uuid4

import aiohttp

from gleichtakt.commands.demo import firm
from gleichtakt.commands.demo.caldav_server import SYNC, Server
from gleichtakt.commands.serving import Served
from gleichtakt.commands.telling import either, progress
from gleichtakt.model.event import Series
from gleichtakt.onboarding import configuration
from gleichtakt.onboarding.first_start import first_credentials

WAIT_SECONDS = 30
PAUSE_SECONDS = 15.0
TRIES = 20  # of a request the server asks to repeat
MOST_LATER = 200  # bookings after the beginning; then it stays quiet


class Colleagues:
    """People and rooms of the firm with their calendars at the CalDAV server, which fill from the first moment on."""

    def __init__(self, server: Server) -> None:
        """server: where the calendars are."""
        self.server = server
        self.random = Random(4)  # noqa: S311  # the same firm every time
        self.days = firm.working_days(datetime.now(UTC).date(), 15)

    async def __aenter__(self) -> Self:
        """Begin to fill the calendars; `filled` waits for the end of it."""
        self._filling = asyncio.create_task(self._fill_all())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Leave it."""
        self._filling.cancel()
        await asyncio.gather(self._filling, return_exceptions=True)

    async def filled(self) -> None:
        """Wait until everybody's calendar is there with what stands in it."""
        await self._filling

    async def add(self, one: firm.One, name: str, series: Series) -> None:
        """Somebody puts an event into the own calendar."""
        from gleichtakt.model.ics import write_calendar

        await self.server.put(one.id, name, write_calendar([series]))

    async def _fill_all(self) -> None:
        await asyncio.gather(*(self._fill(one) for one in (*firm.PEOPLE, *firm.ROOMS)))

    async def _fill(self, one: firm.One) -> None:
        """A calendar before the first pass: own appointments, a holiday, a room's maintenance. Once per folder."""
        if not await self.server.make_calendar(one.id, one.name):
            return
        if one is firm.LABORATORY:
            for name, series in firm.laboratory_slots(self.days):
                await self.add(one, name, series)
            return
        for number in range(3):
            name = f"eigen-{number}"
            await self.add(one, name, firm.own_event(self.random, self.days, f"{name}-{one.id}"))
        if one is firm.PEOPLE[-1]:
            await self.add(one, "urlaub", firm.holiday(self.days))


class Story:
    """The demo under way; a context manager that holds the HTTP session."""

    def __init__(self, served: Served, server: Server, colleagues: Colleagues) -> None:
        """served: ours. server: the CalDAV server."""
        self.served, self.server, self.colleagues = served, server, colleagues
        self.random = Random(5)  # noqa: S311  # the same bookings every time
        self.days = colleagues.days
        self.resources: dict[str, str] = {}  # external id -> id
        self.links: dict[str, str] = {}  # external id -> id of its link
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

        In a folder of an earlier demo everything is there already.
        """
        await self.colleagues.filled()
        progress(either("Die Firma wird eingerichtet, Buchungen kommen herein …", "The firm is set up, bookings arrive …"))
        await self._set_up()
        if not self.served.made.api_key:
            self.number += int(datetime.now(UTC).timestamp())
            return
        disputed = await self._book(firm.ARGUES)
        await asyncio.gather(*(self._book(advisor) for advisor in firm.ADVISORS for _ in range(5)))
        await self._post(firm.ADVISORS[0], "jour-fixe", firm.jour_fixe(self.days[0]))
        progress(either("15 Kalender werden zum ersten Mal abgeglichen …", "15 calendars are synced for the first time …"))
        await self._sync_all()
        progress(either("Zwei ändern dasselbe, ein Kalender wird geleert …", "Two edit the same, a calendar is emptied …"))
        await asyncio.gather(self._argue(disputed), self._empty_laboratory())

    async def go_on(self) -> None:
        """Let bookings arrive and colleagues add events, one now and then."""
        for _ in range(MOST_LATER):
            await asyncio.sleep(PAUSE_SECONDS)
            await self._book(self.random.choice(firm.ADVISORS))
            if self.random.random() < 0.3:
                one = self.random.choice(firm.PEOPLE)
                name = f"spontan-{uuid4().hex[:8]}"
                await self.colleagues.add(one, name, firm.own_event(self.random, self.days, name))

    def told(self) -> Mapping[str, Any]:
        """Give what the JSON line says beyond the server's own."""
        accounts = [
            {"mailbox": one.id, "username": one.id, "password": self.server.passwords[one.id]}
            for one in (*firm.PEOPLE, *firm.ROOMS)
        ]
        kept = first_credentials(self.served.here.settings)
        return {
            "api_key": kept["api_key"],
            "admin": kept["admin"],
            "accounts": accounts,
            "simulators": {},
            "caldav": {"url": self.server.url},
            "data_dir": str(self.served.here.settings.data_path),
        }

    def lines(self) -> Sequence[str]:
        """Give what to look at and to try, for people."""
        url, user, jour_fixe = self.served.url, firm.ARGUES, firm.ADVISORS[0]
        admin = first_credentials(self.served.here.settings)["admin"]
        change = firm.clock_change(self.days[0])
        sign_in = f"  {either('Anmeldung', 'sign in')}: {admin['username']} / {admin['password']}"
        people, rooms, pause = len(firm.PEOPLE), len(firm.ROOMS), f"{PAUSE_SECONDS:.0f}"
        return (
            *([] if self.served.made.password else [sign_in]),
            either(
                f"  {firm.NAME}: {people} Personen, {rooms} Räume; alle {pause} s kommt eine Buchung",
                f"  {firm.NAME}: {people} people, {rooms} rooms; a booking arrives every {pause} s",
            ),
            "",
            either("Zum Ausprobieren", "Things to try"),
            either(
                f"  Eine Buchung von {user.name} wurde auf beiden Seiten geändert; wer hat recht?",
                f"  A booking of {user.name} was edited on both sides; who is right?",
            ),
            f"    {url}/conflicts",
            either(
                f"  Neun Löschungen im Kalender «{firm.LABORATORY.name}» werden zurückgehalten; ein Versehen?",
                f"  Nine deletions in the calendar «{firm.LABORATORY.name}» are held back; a mistake?",
            ),
            f"    {url}/holds",
            either(
                f"  Der Jour fixe von {jour_fixe.name} bleibt über die Zeitumstellung ({change:%d.%m.%Y}) um neun.",
                f"  The jour fixe of {jour_fixe.name} stays at nine across the clock change ({change}).",
            ),
            f"    {url}/resources/{self.resources[jour_fixe.id]}",
            either(
                f"  {user.name} im eigenen Kalenderprogramm (CalDAV): {user.id} / {self.server.passwords[user.id]}",
                f"  {user.name} in a calendar program (CalDAV): {user.id} / {self.server.passwords[user.id]}",
            ),
            f"    {self.server.url}/{user.id}/",
            either("  Dasselbe in einem zweiten Terminal", "  The same in a second terminal"),
            f"    export GLEICHTAKT_DATA_DIR={self.served.here.settings.data_path}",
            f"    {_program()} status",
            f"    {_program()} plan {jour_fixe.id}",
            f"    {_program()} doctor Radicale",
            "",
            either("Strg-C beendet die Vorführung.", "Ctrl-C ends the demonstration."),
        )

    # --- scenes --------------------------------------------------------------------------------------------------

    async def _set_up(self) -> None:
        wanted = configuration.read(firm.configuration(self.server.url))
        secret = {"DEMO_CALDAV_PASSWORD": self.server.passwords[SYNC]}
        here = self.served.here
        await configuration.apply(here.database, here.box, wanted, environment=secret)
        listed = await self._all("/api/v1/resources")
        self.resources = {one["external_id"]: one["id"] for one in listed}
        by_resource = {link["resource_id"]: link["id"] for link in await self._all("/api/v1/links")}
        self.links = {name: by_resource[resource_id] for name, resource_id in self.resources.items()}

    async def _argue(self, booking: tuple[str, Series, dict[str, Any]]) -> None:
        """One booking gets another title on both sides between two passes; its link asks a person who is right."""
        external_id, series, made = booking
        link, user = self.links[firm.ARGUES.id], firm.ARGUES.id
        await self._call("POST", f"/api/v1/links/{link}/pause")
        title = series.event.title
        path = await self._path_of(user, title)
        await self.server.replace_text(user, path, title, f"{title} (bitte 10 Minuten früher)")
        document = firm.body_of(series, external_id) | {"title": f"{title} (Stammkunde)"}
        address = f"/api/v1/resources/{self.resources[user]}/events/{made['id']}"
        await self._call("PUT", address, document)
        await self._call("POST", f"/api/v1/links/{link}/resume")
        await self._call("POST", f"/api/v1/links/{link}/sync?wait={WAIT_SECONDS}")

    async def _path_of(self, user: str, title: str) -> str:
        for path in await self.server.names(user):
            if title.partition(" – ")[2] in await self.server.text(user, path):
                return path
        raise RuntimeError("the booking has not arrived in the calendar")

    async def _empty_laboratory(self) -> None:
        """Most of a room's calendar is deleted there by mistake; our side holds the deletion until a person looks."""
        for name, _ in firm.laboratory_slots(self.days)[:9]:
            await self.server.delete(firm.LABORATORY.id, name)
        await self._call("POST", f"/api/v1/links/{self.links[firm.LABORATORY.id]}/sync?wait={WAIT_SECONDS}")

    # --- steps ---------------------------------------------------------------------------------------------------

    async def _book(self, one: firm.One) -> tuple[str, Series, dict[str, Any]]:
        self.number += 1
        external_id, series = firm.booking(self.random, self.days, self.number)
        return external_id, series, await self._post(one, external_id, series)

    async def _post(self, one: firm.One, external_id: str, series: Series) -> dict[str, Any]:
        address = f"/api/v1/resources/{self.resources[one.id]}/events"
        made: dict[str, Any] = await self._call("POST", address, firm.body_of(series, external_id), key=external_id)
        return made

    async def _sync_all(self) -> None:
        answers = await asyncio.gather(
            *(self._call("POST", f"/api/v1/links/{link}/sync?wait={WAIT_SECONDS}") for link in self.links.values())
        )
        failed = [answer for answer in answers if answer["state"] != "done"]
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


def _program() -> str:
    """Give the way to call us from another terminal."""
    return "gleichtakt" if shutil.which("gleichtakt") else str(Path(sys.argv[0]).absolute())
