"""The simulated Exchange Server as a program of its own beside the demo, and what colleagues do there in Outlook.

What they do goes through its control interface: it carries operations out as the owner of a mailbox.
"""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import aiohttp
from lxml import etree

from gleichtakt.commands.demo.programs import Program, free_port, program, remembered, write_private
from gleichtakt.model.event import Series
from gleichtakt.model.point import Point, Timespan
from gleichtakt.model.zones import windows_from_iana
from gleichtakt.providers.ews.wire import requests, soap
from gleichtakt.providers.ews.wire.drafts import FIELDS, Draft, event_changes, write_item
from gleichtakt.providers.ews.wire.folders import read_ids
from gleichtakt.providers.ews.wire.ids import Distinguished, Occurrence
from gleichtakt.providers.ews.wire.patterns import index_of
from gleichtakt.providers.protocol import Mail, OutOfOffice

SERVICE: Final = "svc-gleichtakt"  # the account that may act for every mailbox of the firm
VERSION: Final = "2019"
_SPEAKS: Final = "Exchange2013_SP1"


@dataclass(frozen=True, slots=True)
class Mailbox:
    """A mailbox to be made. id: what its owner's account is called."""

    id: str
    address: str
    name: str
    is_room: bool = False


@dataclass(frozen=True, slots=True)
class Exchange:
    """The running server. passwords: by name of the account, the service account among them. zone: of the firm."""

    url: str
    control: str
    zone: str
    program: Program
    passwords: Mapping[str, str]
    session: aiohttp.ClientSession

    async def put(self, address: str, series: Series, *, mail: Mail = Mail.NONE) -> None:
        """The owner of a mailbox makes an event or a series, with what single occurrences have of their own.

        mail: whether Outlook invites whom the event names.
        """
        draft = Draft(_SPEAKS, self.zone)
        made = await self._do(address, requests.create_item([write_item(series, draft)], Distinguished(), mail))
        (named,) = read_ids(next(iter(soap.outcomes(made))).element)
        for override in series.overrides:
            place = Occurrence(named.id, _place(series, override.recurrence_id))
            fields = event_changes(series.event, override.event, frozenset(FIELDS), draft)
            await self._do(address, requests.update_item([requests.Update(place, fields)], overwrite=True))
        for slot in series.exdate:
            await self._do(address, requests.delete_item([Occurrence(named.id, _place(series, slot))]))

    async def throttle(self, address: str, seconds: float) -> None:
        """The server refuses every call for a mailbox for so long, and says until when."""
        await self._send("throttle", {"owner": address, "seconds": seconds})

    async def remove_licence(self, address: str) -> None:
        """An administrator takes a mailbox its licence."""
        await self._send("state", {"op": "mailbox", "mailbox": address, "is_enabled": False})

    async def leave(self, address: str, until: datetime, reply: str) -> None:
        """The owner of a mailbox lets it answer by itself from now on."""
        away = OutOfOffice("scheduled", Timespan(datetime.now(UTC), until), "all", reply, reply)
        await self._do(address, requests.set_user_oof_settings(address, away))

    async def _do(self, address: str, operation: bytes) -> soap.Element:
        told = await self._send("state", {"op": "call", "mailbox": address, "xml": operation.decode()})
        answer = etree.fromstring(told["xml"])
        for outcome in soap.outcomes(answer):
            if outcome.is_error:
                raise RuntimeError(f"the simulated Exchange refused: {outcome.code}")
        return answer

    async def _send(self, what: str, body: Mapping[str, Any]) -> Any:
        async with self.session.post(f"{self.control}{what}", json=body) as answer:
            told = await answer.json()
            if answer.status != 200:
                raise RuntimeError(f"the simulated Exchange answered {answer.status}: {told}")
            return told


def _place(series: Series, slot: Point) -> int:
    """Give the place of an occurrence within its series, as Exchange counts."""
    place = index_of(series, slot)
    if place is None:
        raise RuntimeError("the series has no such occurrence")
    return place


@asynccontextmanager
async def exchange(folder: Path, mailboxes: Sequence[Mailbox], *, zone: str) -> AsyncIterator[Exchange]:
    """Run the simulated Exchange around a block, with empty mailboxes. The block begins before it answers.

    In a folder used before, the passwords are those of then; what the mailboxes held was forgotten with the server.
    """
    _, passwords = remembered(folder, (SERVICE, *(one.id for one in mailboxes)))
    port = free_port()  # another one each time: nobody may take the empty mailboxes for those of the last time
    write_private(folder, {"seed.json": json.dumps(_seed(mailboxes, passwords, zone))})
    words = (sys.executable, "-m", "gleichtakt.simulators.exchange", "--port", str(port), "--seed", str(folder / "seed.json"))
    async with (
        program("Exchange", words, folder=folder, port=port) as running,
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session,
    ):
        base = f"http://127.0.0.1:{port}"
        yield Exchange(f"{base}/EWS/Exchange.asmx", f"{base}/_sim/", zone, running, passwords, session)


def _seed(mailboxes: Sequence[Mailbox], passwords: Mapping[str, str], zone: str) -> Mapping[str, Any]:
    """Describe the firm for the simulator: people, rooms in a list, an account each, and the service account."""
    domain = mailboxes[0].address.partition("@")[2]
    state: list[Mapping[str, Any]] = [
        {
            "op": "mailbox",
            "mailbox": one.address,
            "name": one.name,
            "zone": windows_from_iana(zone),
            "kind": "room" if one.is_room else "user",
            "accepts": one.is_room,
        }
        for one in mailboxes
    ]
    rooms = [one.address for one in mailboxes if one.is_room]
    state.append({"op": "room_list", "address": f"raeume@{domain}", "name": "Räume", "rooms": rooms})
    owners = [{"username": one.id, "password": passwords[one.id], "mailbox": one.address} for one in mailboxes if not one.is_room]
    service = {"username": SERVICE, "password": passwords[SERVICE], "impersonates": [f"*@{domain}"]}
    return {"domain": domain, "habits": {"version": VERSION}, "state": state, "accounts": [service, *owners]}
