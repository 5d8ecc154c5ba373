"""A simulated Exchange in a process of its own, and what is in its calendars."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
from benchmarks.bench import PRODUCT, environment_of, process
from benchmarks.memory_world import World, firm

from gleichtakt.store.embedded import Embedded

DOMAIN = "firm.example"
SERVICE, SERVICE_PASSWORD = "svc-sync", "svc-password"  # may act for everyone
TODAY = datetime.now(UTC).replace(hour=8, minute=0, second=0, microsecond=0)
ZONE = "W. Europe Standard Time"
AT_ONCE = 4
EVERY_SERIES, EVERY_CHANGED = 10, 20  # each tenth is a series, each second of those has exceptions

Item = dict[str, Any]


def mailbox(number: int) -> str:
    """Name the n-th mailbox."""
    return f"person{number:05d}@{DOMAIN}"


# --- what is in a calendar ---------------------------------------------------------------------------------------


def body(number: int) -> str:
    """Write an HTML body of about a kilobyte, no two alike."""
    lines = (f"&lt;p&gt;Guten Tag, Punkt {line} von {number} &amp;amp; mehr.&lt;/p&gt;" for line in range(24))
    return f"&lt;html&gt;&lt;body&gt;{''.join(lines)}&lt;/body&gt;&lt;/html&gt;"


def guests(count: int) -> str:
    """Write those who are invited."""
    people = (
        f"<t:Attendee><t:Mailbox><t:Name>Guest {number}</t:Name><t:EmailAddress>guest{number}@example.org</t:EmailAddress>"
        "</t:Mailbox></t:Attendee>"
        for number in range(count)
    )
    return f"<t:RequiredAttendees>{''.join(people)}</t:RequiredAttendees>" if count else ""


def start_of(number: int) -> datetime:
    """Give when the n-th event starts."""
    return TODAY + timedelta(days=1 + number % 200, minutes=15 * (number // 200 % 40))


def is_series(number: int) -> bool:
    """Say whether the n-th event is a series of ten weeks."""
    return number % EVERY_SERIES == 0


def item(number: int) -> str:
    """Write an event: each has a body, each third six guests, each tenth is a series."""
    start = start_of(number)
    said, until = (f"{moment:%Y-%m-%dT%H:%M:%SZ}" for moment in (start, start + timedelta(minutes=45)))
    weekly = (
        f"<t:Recurrence><t:WeeklyRecurrence><t:Interval>1</t:Interval><t:DaysOfWeek>{start:%A}</t:DaysOfWeek>"
        f"</t:WeeklyRecurrence><t:NumberedRecurrence><t:StartDate>{start:%Y-%m-%d}</t:StartDate>"
        "<t:NumberOfOccurrences>10</t:NumberOfOccurrences></t:NumberedRecurrence></t:Recurrence>"
    )
    return (
        f'<t:CalendarItem><t:Subject>Besprechung {number} – Entwürfe</t:Subject><t:Body BodyType="HTML">{body(number)}</t:Body>'
        "<t:Categories><t:String>Projekt</t:String></t:Categories>"
        f"<t:Start>{said}</t:Start><t:End>{until}</t:End><t:LegacyFreeBusyStatus>Busy</t:LegacyFreeBusyStatus>"
        f"<t:Location>Raum {number % 7}</t:Location>{guests(0 if number % 3 else 6)}{weekly if is_series(number) else ''}"
        f'<t:StartTimeZone Id="{ZONE}"/><t:EndTimeZone Id="{ZONE}"/></t:CalendarItem>'
    )


def update(target: str, title: str) -> str:
    """Write what gives an item, or an occurrence, another title. target: its id as an element."""
    return (
        '<m:UpdateItem ConflictResolution="AlwaysOverwrite" SendMeetingInvitationsOrCancellations="SendToNone"><m:ItemChanges>'
        f'<t:ItemChange>{target}<t:Updates><t:SetItemField><t:FieldURI FieldURI="item:Subject"/><t:CalendarItem>'
        f"<t:Subject>{title}</t:Subject></t:CalendarItem></t:SetItemField></t:Updates></t:ItemChange></m:ItemChanges></m:UpdateItem>"
    )


def delete(target: str) -> str:
    """Write what deletes an item, or an occurrence."""
    return (
        '<m:DeleteItem DeleteType="HardDelete" SendMeetingCancellations="SendToNone">'
        f"<m:ItemIds>{target}</m:ItemIds></m:DeleteItem>"
    )


def whole(name: str) -> str:
    """Write the id of an item."""
    return f'<t:ItemId Id="{name}"/>'


def occurrence(name: str, number: int) -> str:
    """Write the id of the n-th occurrence, from 1."""
    return f'<t:OccurrenceItemId RecurringMasterId="{name}" InstanceIndex="{number}"/>'


# --- the server --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Simulated:
    """A running simulator. url: of EWS."""

    url: str
    control: str
    process_id: int


@contextmanager
def simulated(folder: Path, *, mailboxes: Sequence[str], **habits: Any) -> Iterator[Simulated]:
    """Run a firm with these mailboxes and a service account."""
    seed = {
        "domain": DOMAIN,
        "habits": {"methods": ["ntlm"], "keeps_texts": False, **habits},
        "state": [{"op": "mailbox", "mailbox": name, "name": name} for name in mailboxes],
        "accounts": [{"username": SERVICE, "password": SERVICE_PASSWORD, "impersonates": [f"*@{DOMAIN}"]}],
    }
    (folder / "seed.json").write_text(json.dumps(seed))
    command = [str(PRODUCT), "simulate", "ews", "--json", "--seed", str(folder / "seed.json")]
    with process(command, folder / "simulator.log", environment_of(folder / "data")) as (running, line):
        told = json.loads(line)
        yield Simulated(told["url"], told["control"], running.pid)


class Owners:
    """What people do in their own calendars, past sign-in and network rules."""

    def __init__(self, http: aiohttp.ClientSession, control: str) -> None:
        """Act through the control interface."""
        self.http, self.control = http, control

    async def post(self, path: str, body: Item) -> Item:
        """Change something. Raises for a refusal."""
        async with self.http.post(f"{self.control}{path}", json=body) as answer:
            assert answer.status == 200, await answer.text()
            found: Item = await answer.json()
            return found

    async def get(self, path: str) -> Any:
        """Look at something."""
        async with self.http.get(f"{self.control}{path}") as answer:
            return await answer.json()

    async def put(self, owner: str, number: int) -> str:
        """Make the n-th event, series with their exceptions; give its id."""
        made = await self.post("state", {"op": "put", "mailbox": owner, "item": item(number)})
        name = str(made["id"])
        if is_series(number) and number % EVERY_CHANGED == 0:
            await self.call(owner, update(occurrence(name, 3), f"Besprechung {number}, ausnahmsweise"))
            await self.call(owner, update(occurrence(name, 7), f"Besprechung {number}, noch einmal"))
            await self.call(owner, delete(occurrence(name, 5)))
        return name

    async def call(self, owner: str, operation: str) -> None:
        """Carry out an operation."""
        await self.post("state", {"op": "call", "mailbox": owner, "xml": operation})

    async def fill(self, owner: str, count: int) -> list[str]:
        """Make so many events; give their ids."""
        turns = asyncio.Semaphore(AT_ONCE)

        async def one(number: int) -> str:
            async with turns:
                return await self.put(owner, number)

        return await asyncio.gather(*map(one, range(count)))


# --- an installation ---------------------------------------------------------------------------------------------


def configuration(url: str, mailboxes: Sequence[str], settings: str) -> str:
    """Give the configuration: one service account for all, a person for each mailbox."""
    connection = f"""{{external_id: exchange, name: exchange, provider: ews, url: "{url}", access: impersonation,
          auth: {{method: ntlm, username: {SERVICE}, password: "env:BENCH_PASSWORD"}}, allow_insecure: true}}"""
    return firm("exchange", connection, mailboxes, settings)


@contextmanager
def linked_firm(folder: Path, *, mailboxes: int, settings: str, **habits: Any) -> Iterator[tuple[World, Simulated]]:
    """Make an installation that is linked to so many mailboxes by one service account. Nothing is synced yet."""
    names = [mailbox(number) for number in range(mailboxes)]
    environment = environment_of(folder / "data", BENCH_PASSWORD=SERVICE_PASSWORD)
    with simulated(folder, mailboxes=names, **habits) as server, Embedded.start(folder / "data") as embedded:
        (folder / "firm.yaml").write_text(configuration(server.url, names, settings))
        apply = [str(PRODUCT), "apply", str(folder / "firm.yaml")]
        subprocess.run(apply, env=environment, check=True, stdout=subprocess.DEVNULL)
        yield World(folder, environment, server.process_id, embedded.url), server
