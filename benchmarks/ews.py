"""What reading a calendar from Exchange costs the client: ours and exchangelib, the same calendar, the same server, in turns.

The simulated Exchange runs in a process of its own. Both sign in with NTLM, act for the mailbox, ask what is there and fetch
every item in full, series with their exceptions; then what fifty changes need; then nothing has changed. The figures are
CPU seconds of the client alone, so that neither the server nor a busy machine decides; the best round counts. What
was read is compared and must be identical.

usage: python -m benchmarks.ews [--items 5000] [--changes 50] [--polls 200] [--rounds 3]
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import structlog
from benchmarks.bench import Figure, report
from benchmarks.ews_world import SERVICE, SERVICE_PASSWORD, Owners, Simulated, delete, mailbox, simulated, update, whole

from gleichtakt.model.point import Timespan, instant
from gleichtakt.providers.protocol import CalendarRef, Cursor, Href, Known, Login, Provider, Secret, Seen
from gleichtakt.providers.registry import connect

OWNER = mailbox(0)
OURS, THEIRS, THEIRS_LESS = "ours", "exchangelib", "lean exchangelib"
FEWER, POLL_MS = 5.0, 3.0
#: What lean exchangelib is asked for: no more than ours reads. By itself it asks for everything it knows.
SAME_FIELDS = (
    *("subject", "sensitivity", "categories", "body", "reminder_is_set", "reminder_minutes_before_start", "uid", "start", "end"),
    *("last_modified_time", "original_start", "is_all_day", "legacy_free_busy_status", "location", "is_cancelled", "type"),
    *("my_response_type", "organizer", "required_attendees", "optional_attendees", "resources", "recurrence"),
    *("modified_occurrences", "deleted_occurrences", "_start_timezone", "_end_timezone"),
)

Row = tuple[str, float, float, str, int, tuple[str, ...], int]  # id, start, end, title, guests, exceptions, left out


@dataclass(frozen=True, slots=True)
class Reading:
    """What one pass brought. found: as its client gives it. at: where the next begins. etags: what is known since."""

    found: Any
    gone: int
    at: str
    etags: Mapping[str, str] = field(default_factory=dict)


# --- ours ---------------------------------------------------------------------------------------------------------


class Ours:
    """Our provider, as a worker uses it."""

    def __init__(self, url: str) -> None:
        """Connect when first needed."""
        auth: dict[str, str | Secret] = {"method": "ntlm", "username": SERVICE, "password": Secret(SERVICE_PASSWORD)}
        self.provider: Provider = connect(Login("ews", url, auth, access="impersonation", allow_insecure=True))
        now = datetime.now(UTC)
        self.window = Timespan(now, now + timedelta(days=365))

    async def read(self, before: Reading | None) -> Reading:
        """Read everything, or what changed."""
        etags = dict(before.etags) if before else {}

        async def look_up(hrefs: Iterable[Href]) -> dict[str, str]:
            return {href: etags[href] for href in hrefs if href in etags}

        found: list[Seen] = []
        since, gone, at = Cursor(before.at) if before else None, 0, ""
        async for page in self.provider.changes(CalendarRef(OWNER), since, known=Known(look_up=look_up), window=self.window):
            found += page.upserts
            gone += len(page.gone)
            at = page.next or at
        etags |= {one.href: one.etag for one in found}
        return Reading(found, gone, at, etags)

    def rows(self, reading: Reading) -> list[Row]:
        """Give what was read in a form to compare."""
        return sorted(
            (
                one.href,
                instant(one.series.event.start, UTC).timestamp(),
                instant(one.series.event.end, UTC).timestamp(),
                one.series.event.title,
                len(one.series.event.attendees),
                tuple(sorted(override.event.title for override in one.series.overrides)),
                len(one.series.exdate),
            )
            for one in reading.found
        )

    async def close(self) -> None:
        """Let go of connections."""
        await self.provider.close()


# --- exchangelib --------------------------------------------------------------------------------------------------


class Theirs:
    """exchangelib: what changed by `sync_items`, then the items in full by `fetch`, and the exceptions these name."""

    def __init__(self, url: str, only_fields: tuple[str, ...] | None = None) -> None:
        """Sign in. only_fields: none means all there are."""
        from exchangelib import IMPERSONATION, NTLM, Account, Configuration, Credentials, EWSTimeZone

        credentials = Credentials(SERVICE, SERVICE_PASSWORD)
        config = Configuration(service_endpoint=url, credentials=credentials, auth_type=NTLM)
        zone = EWSTimeZone("Europe/Berlin")
        self.account = Account(OWNER, config=config, autodiscover=False, access_type=IMPERSONATION, default_timezone=zone)
        self.calendar, self.only_fields = self.account.calendar, only_fields

    async def read(self, before: Reading | None) -> Reading:
        """Read everything, or what changed; it blocks."""
        self.calendar.item_sync_state = before.at if before else None
        changes = list(self.calendar.sync_items(only_fields=["id", "changekey"]))
        items = self._fetch((what.id, what.changekey) for kind, what in changes if kind != "delete")
        exceptions = self._fetch((each.id, each.changekey) for one in items for each in one.modified_occurrences or ())
        gone = sum(kind == "delete" for kind, _ in changes)
        return Reading((items, exceptions), gone, self.calendar.item_sync_state)

    def _fetch(self, ids: Iterable[tuple[str, str]]) -> list[Any]:
        wanted = list(ids)
        return list(self.account.fetch(wanted, folder=self.calendar, only_fields=self.only_fields)) if wanted else []

    def rows(self, reading: Reading) -> list[Row]:
        """Give what was read in a form to compare."""
        items, exceptions = reading.found
        titles = {one.id: one.subject for one in exceptions}
        return sorted(
            (
                one.id,
                one.start.timestamp(),
                one.end.timestamp(),
                one.subject,
                len(one.required_attendees or ()),
                tuple(sorted(titles[each.id] for each in one.modified_occurrences or ())),
                len(one.deleted_occurrences or ()),
            )
            for one in items
        )

    async def close(self) -> None:
        """Let go of connections."""
        self.account.protocol.close()


# --- measuring ----------------------------------------------------------------------------------------------------

Client = Ours | Theirs


@dataclass(frozen=True, slots=True)
class Best:
    """The best round of one client. rows: what it read."""

    seconds: float
    reading: Reading
    rows: list[Row]


async def timed(read: Callable[[], Awaitable[Reading]]) -> tuple[float, Reading]:
    """Give the CPU seconds of this process for one reading; nobody pays for what another left in memory."""
    gc.collect()
    begun = time.process_time()
    made = await read()
    return time.process_time() - begun, made


@asynccontextmanager
async def clients(url: str) -> AsyncIterator[dict[str, Client]]:
    """Make the three, and let go of their connections at the end."""
    made: dict[str, Client] = {OURS: Ours(url), THEIRS: Theirs(url), THEIRS_LESS: Theirs(url, SAME_FIELDS)}
    try:
        yield made
    finally:
        for client in made.values():
            await client.close()


async def in_turns(made: dict[str, Client], before: Mapping[str, Reading | None], rounds: int) -> dict[str, Best]:
    """Let each read the same, in turns; give the best of each. Raises when they read different things."""
    best: dict[str, Best] = {}
    for _ in range(rounds):
        for name, client in made.items():
            seconds, reading = await timed(lambda client=client, name=name: client.read(before[name]))  # type: ignore[misc]
            fastest = min(seconds, best[name].seconds) if name in best else seconds
            best[name] = Best(fastest, reading, client.rows(reading))
    ours = best[OURS]
    for other in best.values():
        unlike = [pair for pair in zip(ours.rows, other.rows, strict=False) if pair[0] != pair[1]][:3]
        sizes = [(len(one.rows), one.reading.gone) for one in (ours, other)]
        assert sizes[0] == sizes[1] and not unlike, f"items and deletions: {sizes}, read differently: {unlike}"
    return best


async def change(owners: Owners, ids: list[str], count: int) -> None:
    """Change what is in the calendar: half of the changes are edits, three in ten are new, two in ten deletions."""
    edits, new = count // 2, count * 3 // 10
    for number in range(edits):
        await owners.call(OWNER, update(whole(ids[7 * number]), f"Verlegt {number}"))
    for number in range(new):
        await owners.put(OWNER, len(ids) + number)
    for number in range(count - edits - new):
        await owners.call(OWNER, delete(whole(ids[7 * number + 1])))


def compared(name: str, best: Mapping[str, Best]) -> list[Figure]:
    """Give the ratios to both ways of using exchangelib."""
    ours = best[OURS]
    read = f"{len(ours.rows)} items, {ours.reading.gone} gone, results identical"
    return [
        Figure(
            f"{name}: {who} / ours",
            best[who].seconds / ours.seconds,
            goal,
            "x",
            least=True,
            more=f"{best[who].seconds * 1000:.0f} / {ours.seconds * 1000:.0f} ms CPU, {read}",
        )
        for who, goal in ((THEIRS, FEWER), (THEIRS_LESS, None))
    ]


async def polls(made: Mapping[str, Client], best: Mapping[str, Best], count: int, rounds: int) -> Figure:
    """Ask again and again where nothing has changed; give the milliseconds of one time."""

    async def often(name: str) -> Reading:
        reading = best[name].reading
        for _ in range(count):
            reading = await made[name].read(reading)
        assert not made[name].rows(reading), "something has changed"
        return reading

    spent: dict[str, list[float]] = {OURS: [], THEIRS: []}
    for _ in range(rounds):
        for name, taken in spent.items():
            seconds, _ = await timed(lambda name=name: often(name))  # type: ignore[misc]
            taken.append(seconds * 1000 / count)
    return Figure("nothing changed, one pass", min(spent[OURS]), POLL_MS, "ms", more=f"exchangelib {min(spent[THEIRS]):.2f} ms")


async def measure(asked: argparse.Namespace, server: Simulated) -> list[Figure]:
    """Fill the calendar and measure."""
    async with aiohttp.ClientSession() as http, clients(server.url) as made:
        owners = Owners(http, server.control)
        ids = await owners.fill(OWNER, asked.items)
        everything = await in_turns(made, dict.fromkeys(made), asked.rounds)
        await change(owners, ids, asked.changes)
        changed = await in_turns(made, {name: one.reading for name, one in everything.items()}, asked.rounds)
        return [
            *compared(f"initial read of {asked.items}", everything),
            *compared(f"{asked.changes} changes", changed),
            await polls(made, changed, asked.polls, asked.rounds),
        ]


def main() -> int:
    """Read the arguments, measure, print; 1 where a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--items", type=int, default=5_000)
    parser.add_argument("--changes", type=int, default=50)
    parser.add_argument("--polls", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    with tempfile.TemporaryDirectory() as folder, simulated(Path(folder), mailboxes=[OWNER]) as server:
        return report("ews", asyncio.run(measure(asked, server)))


if __name__ == "__main__":
    sys.exit(main())
