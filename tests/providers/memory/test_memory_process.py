"""The simulator as a process of its own, with its control interface."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
from tests.contract.samples import RICH, WINDOW, meeting
from tests.memory_world import MAILBOX, memory_login

from gleichtakt.model.document import series_document
from gleichtakt.providers.protocol import CalendarRef, IdempotencyKey, Known, Mail, Mark, Page, Provider
from gleichtakt.providers.registry import connect

OF = CalendarRef(MAILBOX, "calendar")


@asynccontextmanager
async def process(*arguments: str) -> AsyncIterator[tuple[dict[str, Any], asyncio.subprocess.Process]]:
    """Start the simulator as its own process; give what it printed."""
    started = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gleichtakt.simulators.memory", "--json", *arguments, stdout=asyncio.subprocess.PIPE
    )
    assert started.stdout is not None
    try:
        yield json.loads(await started.stdout.readline()), started
    finally:
        if started.returncode is None:
            started.send_signal(signal.SIGTERM)
        assert await started.wait() == 0


async def changes(provider: Provider) -> list[Page]:
    """Read everything."""
    return [page async for page in provider.changes(OF, None, known=Known(), window=WINDOW)]


async def test_it_outlives_its_clients_and_shows_what_they_did() -> None:
    async with process() as (told, _), aiohttp.ClientSession(told["control"]) as control:
        first = connect(memory_login(told["url"]))
        made = await first.create(OF, RICH, key=IdempotencyKey("a" * 32), mark=Mark("m"), mail=Mail.NONE)
        await first.close()
        second = connect(memory_login(told["url"]))
        assert [seen.href for page in await changes(second) for seen in page.upserts] == [made.href]
        await second.close()
        async with control.get("ledger") as answer:
            assert (await answer.json())["calls"] == {"create": 1, "changes": 1}
        async with control.get("state") as answer:
            (calendar,) = await answer.json()
        assert calendar["objects"][0]["document"]["title"] == RICH.event.title


async def test_someone_else_works_through_the_control_interface() -> None:
    async with process() as (told, _), aiohttp.ClientSession(told["control"]) as control:
        base = {"mailbox": MAILBOX, "calendar": "calendar"}
        provider = connect(memory_login(told["url"]))

        async def do(op: str, status: int = 200, **body: Any) -> Any:
            async with control.post("state", json={**base, "op": op, **body}) as answer:
                assert answer.status == status, await answer.text()
                return await answer.json()

        made = await do("put", document=series_document(meeting()), facts={"response": "accepted"})
        await do("edit", href=made["href"], changes={"title": "Geändert"})
        await do("clone", href=made["href"])
        await do("spoil", href=(await do("clone", href=made["href"]))["href"])
        await do("remove", 404, href="nowhere")
        await do("paint", 422)
        (page,) = await changes(provider)
        assert [(seen.series.event.title, seen.response) for seen in page.upserts] == [
            ("Geändert", "accepted"),
            ("Geändert", "none"),
        ]
        assert len(page.unreadable) == 1
        await provider.close()


async def test_faults_and_clock_are_set_from_outside() -> None:
    async with process() as (told, _), aiohttp.ClientSession(told["control"]) as control:
        async with control.put("clock", json={"now": "2027-03-28T00:59:59+00:00", "frozen": True}) as answer:
            assert (await answer.json())["now"] == "2027-03-28T00:59:59+00:00"
        async with control.post("faults", json={"do": "failure", "verb": "changes", "times": 2}) as answer:
            assert answer.status == 200
        async with control.post("faults", json={"do": "explode"}) as answer:
            assert answer.status == 422
        async with control.get("faults") as answer:
            assert [rule["do"] for rule in await answer.json()] == ["failure"]
        async with control.delete("faults") as answer:
            assert answer.status == 200
        provider = connect(memory_login(told["url"]))
        await provider.create(OF, meeting(), key=IdempotencyKey("a" * 32), mark=Mark("m"), mail=Mail.NONE)
        (page,) = await changes(provider)
        told_at = page.upserts[0].modified_at
        assert told_at is not None
        assert abs(told_at - datetime.now(UTC)) < timedelta(minutes=1)  # read on our clock, whatever theirs says
        await provider.close()


async def test_it_begins_with_a_seed_and_names_its_accounts(tmp_path: Path) -> None:
    seed = tmp_path / "seed.json"
    seed.write_text(json.dumps([{"mailbox": MAILBOX, "objects": [{"document": series_document(meeting())}]}]))
    async with process("--seed", str(seed)) as (told, _):
        assert told["accounts"] == [{"mailbox": MAILBOX, "username": "sync", "password": "sync-password"}]
        provider = connect(memory_login(told["url"]))
        assert len((await changes(provider))[0].upserts) == 1
        await provider.close()
