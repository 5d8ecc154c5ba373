"""Forty mailboxes under one service account: kept in step by streaming, whoever is sick among them and whatever dies."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.at_work import at_work
from tests.crash.crew import crew
from tests.engine import Engine, engine
from tests.exchange_world import SERVICE, SERVICE_PASSWORD, ExchangeWorld, exchange_world
from tests.waiting import eventually

from gleichtakt.simulators.exchange.organization import DOMAIN
from gleichtakt.store.database import Database

PEOPLE = tuple(f"person{number:02d}" for number in range(40))
BACK_ENDS = 2
A_DAY = 86_400  # what nobody tells would come so late
PATIENCE_SECONDS = 90.0  # many passes on a busy machine


@pytest.fixture
async def exchange() -> AsyncIterator[ExchangeWorld]:
    async with exchange_world(*PEOPLE, methods=("basic",), backends=BACK_ENDS) as made:
        yield made


@pytest.fixture
async def world(database: Database, exchange: ExchangeWorld) -> AsyncIterator[Engine]:
    """Everybody is linked to their mailbox through one service account; the clock looks once a day."""
    async with engine(database) as made:
        await made.set("global", made.organization_id, inbound_detail="full", interval_seconds=A_DAY)
        login = await made.login("ews", exchange.url, (SERVICE, SERVICE_PASSWORD))
        async with database.begin() as connection:
            await connection.exec_driver_sql("update connection set access = 'impersonation', allow_insecure = true")
        for name in PEOPLE:
            await made.bind(login, "", f"{name}@{DOMAIN}", await made.resource(name.title()))
        yield made


def happens(exchange: ExchangeWorld, what: str, people: Collection[str] = PEOPLE) -> set[str]:
    """Everybody makes an appointment in Outlook; give the titles."""
    day = f"{datetime.now(UTC) + timedelta(days=10):%Y-%m-%d}"
    for name in people:
        exchange.put(name, {"Subject": f"{what} {name}", "Start": f"{day}T09:00:00Z", "End": f"{day}T10:00:00Z"})
    return {f"{what} {name}" for name in people}


async def arrived(world: Engine) -> set[str]:
    """Give what the application has."""
    return {row["title"] for row in await world.rows("select document::jsonb ->> 'title' as title from series")}


async def arrive(world: Engine, titles: set[str]) -> None:
    """Wait until the application has all of these."""

    async def look() -> bool:
        return titles <= await arrived(world)

    await eventually(look, PATIENCE_SECONDS)


async def all_are_watched(world: Engine) -> None:
    """Wait until everybody is told of by streaming, and has been compared since."""

    async def look() -> bool:
        watched = await world.rows("select 1 from link where notified_by = 'streaming' and calls = heard")
        return len(watched) == len(PEOPLE)

    await eventually(look, PATIENCE_SECONDS)


async def test_mailboxes_that_are_throttled_or_lose_their_licence_slow_nobody_else(
    world: Engine, exchange: ExchangeWorld
) -> None:
    async with at_work(world, lease_seconds=30):
        await all_are_watched(world)
        throttled, unlicensed = anchors(exchange)
        exchange.exchange.throttle.pause(f"{throttled}@{DOMAIN}", 3600)
        exchange.mailbox(unlicensed).is_enabled = False
        well = set(PEOPLE) - {throttled, unlicensed}
        happens(exchange, "Throttled", [throttled])
        await arrive(world, happens(exchange, "While they fall sick", well))
        exchange.exchange.notifications.interrupt(cut=True)
        await arrive(world, happens(exchange, "Once the streams are back", well))


def anchors(exchange: ExchangeWorld) -> tuple[str, str]:
    """Give the people in whose names the streams are open, one for each back end."""
    first, second = sorted({one.mailbox.partition("@")[0] for one in exchange.asked("GetStreamingEvents")})
    return first, second


async def test_a_worker_that_is_killed_among_changes_loses_none(
    world: Engine, exchange: ExchangeWorld, database_url: str, tmp_path: Path
) -> None:
    async with crew(tmp_path, database_url) as hands:
        worker = await hands.work()
        await all_are_watched(world)
        titles = happens(exchange, "Before")
        await eventually(lambda: arrived(world))
        await worker.kill()
        titles |= happens(exchange, "Nobody there")
        await hands.work()
        titles |= happens(exchange, "After")
        await arrive(world, titles)
        assert len(await world.rows("select 1 from series")) == len(titles)
