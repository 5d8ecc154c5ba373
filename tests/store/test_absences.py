"""The list of mailboxes whose automatic replies are read: who stands on it, who reads which, and what counts as news."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from tests.engine import Engine, engine

from gleichtakt.store import absences, links, resources, runs
from gleichtakt.store.absences import Absence, Asked, Failure, Reading
from gleichtakt.store.database import Database

NOW = datetime.now(UTC).replace(microsecond=0)
HOUR = timedelta(hours=1)
PROVIDERS = ["memory"]  # as if it told of automatic replies


@pytest.fixture
async def world(database: Database) -> AsyncIterator[Engine]:
    async with engine(database) as made:
        yield made


async def people(world: Engine, *names: str) -> list[UUID]:
    """Link people to a mailbox each, over one connection that works; give their ids."""
    login = await world.login("memory", world.running.url)
    await change(world, "update connection set state = 'online'")
    ids = [await world.resource(name) for name in names]
    for name, resource_id in zip(names, ids, strict=True):
        await world.bind(login, "calendar", f"{name}@memory.example", resource_id)
    await enrol(world)
    return ids


async def change(world: Engine, sql: str, **given: Any) -> None:
    async with world.database.begin() as connection:
        await connection.execute(text(sql), given)


async def enrol(world: Engine) -> tuple[int, int]:
    async with world.database.begin() as connection:
        return await absences.enrol(connection, PROVIDERS)


async def claim(world: Engine, limit: int = 100) -> list[Asked]:
    async with world.database.begin() as connection:
        return await absences.claim(connection, limit, period_seconds=600, ahead_seconds=60)


async def keep(world: Engine, readings: Sequence[Reading]) -> int:
    async with world.database.begin() as connection:
        return await absences.keep(connection, readings)


async def is_due(world: Engine) -> set[str]:
    """Name the mailboxes that are due."""
    rows = await world.rows("select mailbox from out_of_office join lane on lane.id = lane_id where out_of_office.due <= now()")
    return {row["mailbox"].partition("@")[0] for row in rows}


async def told(world: Engine) -> list[UUID]:
    """Give whose absence the feed said to have changed, in order."""
    return [
        row["object_id"] for row in await world.rows("select object_id from change where type = 'absence.changed' order by id")
    ]


async def test_people_with_a_working_link_are_listed_once_for_each_mailbox(world: Engine) -> None:
    (anna,) = await people(world, "anna")
    (tie,) = await world.rows("select connection_id from link")
    await world.bind(tie["connection_id"], "second", "anna@memory.example", anna)
    await world.bind(tie["connection_id"], "calendar", "north@memory.example", await world.resource("North", kind="room"))
    paused = await world.bind(tie["connection_id"], "calendar", "ben@memory.example", await world.resource("Ben"))
    await change(world, "update link set state = 'paused' where id = :id", id=paused.id)
    assert await enrol(world) == (0, 0)
    assert [one.mailbox for one in await claim(world)] == ["anna@memory.example"]
    await change(world, "update connection set provider = 'caldav'")  # which says nothing of them
    assert await enrol(world) == (0, 1)


@pytest.mark.parametrize("ending", ["disconnected", "deleted link", "deleted person", "room"])
async def test_nothing_is_kept_of_whoever_is_linked_no_more(world: Engine, ending: str) -> None:
    (anna,) = await people(world, "anna")
    (tie,) = await world.rows("select id from link")
    async with world.database.begin() as connection:
        if ending == "room":
            await connection.execute(text("update resource set kind = 'room'"))
        elif ending == "deleted link":
            await links.erase(connection, world.organization_id, tie["id"], "test")
        else:
            found = await links.links.get(connection, world.organization_id, tie["id"])
            await links.end(connection, found, forget=True)
        if ending == "deleted person":
            await resources.erase(connection, world.organization_id, anna)
    if ending in ("disconnected", "room"):
        await enrol(world)
    assert await world.rows("select 1 from out_of_office") == []


async def test_what_one_worker_takes_the_others_leave_alone(world: Engine) -> None:
    await people(world, *(f"person{number}" for number in range(12)))
    taken = await asyncio.gather(*(claim(world, 4) for _ in range(4)))
    mailboxes = [one.mailbox for group in taken for one in group]
    assert len(mailboxes) == len(set(mailboxes)) == 12
    assert await claim(world) == []
    async with world.database.begin() as connection:  # a worker that stops gives back what it has not read
        await absences.give_back(connection, taken[0])
    assert [one.mailbox for one in await claim(world)] == sorted(one.mailbox for one in taken[0])


async def test_what_is_due_soon_after_another_is_read_along_and_nothing_before_one_is_due(world: Engine) -> None:
    await people(world, "anna", "ben", "cleo")
    sql = """update out_of_office set due = now() + make_interval(secs => :seconds)
             where lane_id = (select id from lane where mailbox = :mailbox)"""
    for name, seconds in (("anna", 10), ("ben", 50), ("cleo", 200)):
        await change(world, sql, mailbox=f"{name}@memory.example", seconds=seconds)
    assert await claim(world) == []
    await change(world, sql, mailbox="anna@memory.example", seconds=-1)
    assert [one.mailbox.partition("@")[0] for one in await claim(world)] == ["anna", "ben"]


@pytest.mark.parametrize(
    ("why", "again_seconds"),
    [
        ("update connection set state = 'auth_required', paused_until = now() + interval '1 day'", 600),
        ("update connection set state = 'paused'", 600),
        ("update connection set state = 'offline'", 600),
        ("update connection set paused_until = now() + interval '2 minutes'", 150),
        ("update lane set paused_until = now() + interval '2 minutes'", 150),
        ("update link set state = 'paused'", 600),
        ("update link set active = false", 600),
    ],
)
async def test_what_rests_is_not_asked_and_looked_at_again_later(world: Engine, why: str, again_seconds: int) -> None:
    await people(world, "anna")
    await change(world, why)
    assert await claim(world) == []
    (row,) = await world.rows("select extract(epoch from due - now())::float as left from out_of_office")
    assert 100 < row["left"] <= again_seconds


async def test_only_another_state_or_span_is_news(world: Engine) -> None:
    (anna,) = await people(world, "anna")
    (one,) = await claim(world)
    steps = [
        (Reading(one, "disabled", audience="all"), 0),  # as everybody expected
        (Reading(one, "enabled", audience="all"), 1),
        (Reading(one, "enabled", audience="none"), 0),
        (Reading(one, "scheduled", NOW, NOW + HOUR), 1),
        (Reading(one, "scheduled", NOW, NOW + HOUR), 0),
        (Reading(one, "scheduled", NOW, NOW + 2 * HOUR), 1),
        (Reading(one, "disabled"), 1),
    ]
    for reading, expected in steps:
        assert await keep(world, [reading]) == expected, reading
    assert await told(world) == [anna] * 4
    (row,) = await world.rows("select state, starts_at, ends_at, changed_at is not null as has_changed from out_of_office")
    assert row == {"state": "disabled", "starts_at": None, "ends_at": None, "has_changed": True}


async def test_somebody_who_is_away_when_first_asked_is_news(world: Engine) -> None:
    (anna,) = await people(world, "anna")
    assert await keep(world, [Reading(one, "enabled") for one in await claim(world)]) == 1
    assert await told(world) == [anna]


async def test_a_refusal_waits_for_its_hour_unless_somebody_asks_and_keeps_what_was_read(world: Engine) -> None:
    await people(world, "anna")
    (one,) = await claim(world)
    await keep(world, [Reading(one, "enabled")])
    async with world.database.begin() as connection:
        refused = [Failure(one, "ews.replies_denied", {"host": "there"}, datetime.now(UTC) + HOUR)]
        assert await absences.note_failures(connection, refused) == 1
        assert await absences.note_failures(connection, refused) == 0, "it is told once"
    (row,) = await world.rows(
        "select state, error_code, error_params, due > now() + interval '59 minutes' as waits from out_of_office"
    )
    assert row == {"state": "enabled", "error_code": "ews.replies_denied", "error_params": {"host": "there"}, "waits": True}
    (tie,) = await world.rows("select id from link")
    async with world.database.begin() as connection:
        await runs.ask(connection, tie["id"], "plan", "test")
    assert await is_due(world) == set()
    async with world.database.begin() as connection:
        await runs.ask(connection, tie["id"], "sync", "test")
    assert await is_due(world) == {"anna"}
    async with world.database.begin() as connection:  # asked for while it was being read: the refusal is older than the wish
        await absences.note_failures(connection, refused)
    assert await is_due(world) == {"anna"}


@pytest.mark.parametrize(
    ("state", "start", "end", "expected"),
    [
        ("disabled", None, None, False),
        ("enabled", None, None, True),
        ("scheduled", -HOUR, HOUR, True),
        ("scheduled", HOUR, 2 * HOUR, False),
        ("scheduled", -2 * HOUR, -HOUR, False),
        ("scheduled", -HOUR, timedelta(), False),  # its end is no longer part of it
        ("scheduled", timedelta(), None, True),
        ("scheduled", None, None, True),
    ],
)
def test_who_is_away(state: str, start: timedelta | None, end: timedelta | None, expected: bool) -> None:
    first, last = (None if by is None else NOW + by for by in (start, end))
    found = Absence(state, first, last, "all", NOW, None, "", {}, UUID(int=1), UUID(int=2))
    assert found.is_away(NOW) is expected
