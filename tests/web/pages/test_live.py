"""Pages are told when there is something new, once for all of them, and nobody looks while nobody watches."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import text
from tests.web.pages.believable import Desk

from gleichtakt.store import desk as desk_store
from gleichtakt.store.database import Database
from gleichtakt.web.admin.live import Pulse, fingerprint


async def change(database: Database, statement: str, row_id: UUID) -> None:
    async with database.begin() as connection:
        await connection.execute(text(statement), {"id": row_id})


async def test_every_open_page_is_told_of_a_change_and_pages_of_others_are_not(database: Database, desk: Desk) -> None:
    pulse = Pulse(database)
    seen = await fingerprint(database, desk.organization_id)
    pages = [asyncio.create_task(anext(pulse.beats(desk.organization_id, seen, 30.0))) for _ in range(2)]
    elsewhere = pulse.beats(desk.other_organization_id, await fingerprint(database, desk.other_organization_id), 0.2)
    await change(database, "update link set state = 'paused' where id = :id", desk.links["Georg Hinz"])
    assert await asyncio.gather(*pages) == [True, True]
    assert [news async for news in elsewhere] == [False]


async def test_what_changed_before_the_page_listened_is_told_at_once(database: Database, desk: Desk) -> None:
    pulse = Pulse(database)
    seen = await fingerprint(database, desk.organization_id)
    await change(database, "update link set state = 'paused' where id = :id", desk.links["Georg Hinz"])
    page = pulse.beats(desk.organization_id, seen, 30.0)
    assert await anext(page)
    await page.aclose()
    assert pulse.is_resting


async def test_the_pulse_differs_after_whatever_a_page_would_show(database: Database, desk: Desk) -> None:
    now = datetime.now(UTC)
    steps = {
        "update hold set state = 'approved' where id = :id": desk.hold_id,
        "update conflict set state = 'resolved' where id = :id": desk.conflict_id,
        "update problem set state = 'ignored' where id = :id": desk.problem_id,
        "update link set failing_since = now() where id = :id": desk.links["Georg Hinz"],
        "update run set state = 'running', started_at = now() where id = :id": desk.run_id,
        "update run set progress = '{\"read\": 7}' where id = :id": desk.run_id,
        "update connection set doctor_at = now() where id = :id": desk.connections["Exchange Hamburg"],
    }
    seen: set[str] = set()
    for statement, row_id in steps.items():
        await change(database, statement, row_id)
        async with database.read() as connection:
            seen.add(await desk_store.pulse(connection, desk.organization_id, now))
    assert len(seen) == len(steps)
