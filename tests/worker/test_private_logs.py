"""What a worker says while it works: a story in numbers and ids, at every level without content, people or secrets."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from sqlalchemy import text
from tests.crash.crew import Crew, crew
from tests.engine import Engine, engine, meeting
from tests.waiting import eventually

from gleichtakt.model.event import Attendee, Sensitivity
from gleichtakt.simulators.memory import Fault
from gleichtakt.store import connections, lanes, webhooks
from gleichtakt.store.database import Database

MARK = "zimtstern"  # stands in everything that nobody but the people concerned may read
MAILBOX = f"{MARK}-box@memory.example"
PASSWORD = f"{MARK}-password"
SECRET = "whsec_" + "emltdHN0ZXJuemltdHN0ZXJuemltdHN0ZXJu"
FULL: dict[str, Any] = {"outbound_detail": "full", "inbound_detail": "full", "delete_grace_minutes": 0, "conflict_rule": "manual"}

#: Where a person's words belong: the calendars themselves, what was held or undone of them, and which mailbox is meant.
MAY_HOLD = {"series", "observed", "pairing", "journal", "plan_action", "hold_action", "conflict", "link", "lane", "resource"}


@dataclass
class Receiver:
    """An application that takes webhooks."""

    url: str = ""
    got: list[str] = field(default_factory=list)

    async def take(self, request: web.Request) -> web.Response:
        """Keep headers and body."""
        self.got.append(f"{dict(request.headers)} {(await request.read()).decode()}")
        return web.Response()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    made = Receiver()
    application = web.Application()
    application.router.add_post("/hook", made.take)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    yield made
    await runner.cleanup()


@pytest.fixture
async def world(database: Database) -> AsyncIterator[Engine]:
    async with engine(database) as made:
        made.simulator.accounts = {"sync": PASSWORD}
        yield made


@pytest.fixture
async def workers(database_url: str, tmp_path: Path) -> AsyncIterator[Crew]:
    async with crew(tmp_path, database_url, log_level="debug", allow_private_hosts="127.0.0.1") as made:
        yield made


async def rests(world: Engine) -> bool:
    """Say whether no lane is being worked on or wants to be."""
    return not await world.rows("select 1 from lane where owner is not null or due <= now()")


async def passes(world: Engine) -> None:
    """Wait until a worker has made the passes that are due."""
    await world.make_due()
    async with world.database.begin() as connection:
        await lanes.wake(connection, [row["id"] for row in await world.rows("select id from lane")])
    assert await eventually(lambda: rests(world), 60)


async def told_of(world: Engine, table: str) -> str:
    """Give everything a table holds, as text."""
    return str(await world.rows(f"select to_jsonb(t)::text from {table} t"))


async def test_prv_04_titles_people_and_secrets_stand_in_no_log_problem_run_or_webhook(
    world: Engine, workers: Crew, receiver: Receiver
) -> None:
    linked = await world.link("memory", world.running.url, ("sync", PASSWORD), MAILBOX, "calendar")
    await world.set("link", linked.id, **FULL)
    async with world.database.begin() as connection:
        await webhooks.create(connection, world.box, organization_id=world.organization_id, url=receiver.url, secret=SECRET)
    folder = world.simulator.folder(MAILBOX, "calendar")
    people = (Attendee(f"{MARK}@example.org", MARK.title()),)
    words: dict[str, Any] = {"description": f"{MARK} in the text", "location": MARK, "attendees": people}
    ours = [await world.put(meeting(f"{MARK} {number}", days=number + 2, **words)) for number in range(4)]
    private = meeting(f"{MARK} private", days=9, sensitivity=Sensitivity.PRIVATE, **words)
    await world.put(private)
    worker = await workers.work()
    await passes(world)
    things = {thing.document["title"]: thing for thing in folder.things.values()}

    # everything that can go wrong, one after the other
    world.simulator.edit(folder, things[f"{MARK} 0"].href, {"title": f"{MARK} theirs"})
    await world.put(replace(ours[0].series, event=replace(ours[0].series.event, title=f"{MARK} ours")), ours[0].id)
    world.simulator.spoil(folder, things[f"{MARK} 1"].href)
    world.simulator.faults.add(Fault("rejected", "update"))
    await world.put(replace(ours[2].series, event=replace(ours[2].series.event, title=f"{MARK} refused")), ours[2].id)
    await passes(world)
    for fault in ("cursor", "garbage", "failure", "lost", "cap"):
        world.simulator.faults.add(Fault(fault, "changes", effect=fault in ("garbage", "cap")))
        await passes(world)
    async with world.database.begin() as connection:  # a row that only a bug could write: the pass breaks on it
        await connection.execute(
            text("update series set document = :broken, version = version + 1 where id = :id"),
            {"broken": f'{{"title": "{MARK}", "start": "{MARK}"}}', "id": ours[3].id},
        )
        await connection.execute(text("update pairing set stale = true where series_id = :id"), {"id": ours[3].id})
    await passes(world)
    world.simulator.accounts = {"sync": "changed"}
    world.running.break_connections()
    await passes(world)
    await passes(world)
    async with world.database.begin() as connection:
        await connections.try_again(connection, linked.connection_id)
    await passes(world)
    assert await eventually(lambda: _told(receiver))
    assert await worker.stop() == 0

    log = worker.log.read_text()
    events = {json.loads(line)["event"] for line in log.splitlines()}
    assert {"worker_started", "link_synced", "link_stopped", "pass_failed", "worker_stopped"} <= events
    codes = {row["code"] for row in await world.rows("select code from problem")}
    assert {"general.login_refused", "general.cursor_expired"} <= codes
    assert MARK not in log.lower(), next(line for line in log.splitlines() if MARK in line.lower())
    assert SECRET.removeprefix("whsec_") not in log
    assert receiver.got
    assert MARK not in str(receiver.got).lower()
    tables = await world.rows(
        """select relname from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p')
           and not relispartition"""
    )
    leaks = {row["relname"] for row in tables if MARK in (await told_of(world, row["relname"])).lower()}
    assert leaks <= MAY_HOLD, leaks - MAY_HOLD


async def _told(receiver: Receiver) -> bool:
    return bool(receiver.got)
