"""Exchange tells of changes, and they arrive: the whole way from a mailbox to the application, for several people at once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from tests.at_work import at_work, comes_true, is_notified, reachable
from tests.engine import Engine, engine
from tests.exchange_world import SERVICE, SERVICE_PASSWORD, ExchangeWorld, exchange_world
from tests.waiting import eventually

from gleichtakt.simulators.exchange.organization import DOMAIN
from gleichtakt.store.database import Database

PEOPLE = ("anna", "ben", "cleo")


@pytest.fixture
async def world(database: Database) -> AsyncIterator[Engine]:
    async with engine(database) as made:
        yield made


async def linked(world: Engine, exchange: ExchangeWorld, *people: str, **options: str) -> None:
    """Tie people to their mailboxes through one service account."""
    login = await world.login("ews", exchange.url, (SERVICE, SERVICE_PASSWORD), options)
    async with world.database.begin() as connection:
        await connection.exec_driver_sql("update connection set access = 'impersonation', allow_insecure = true")
    for name in people:
        bound = await world.bind(login, "", f"{name}@{DOMAIN}", await world.resource(name.title()))
        await world.set("link", bound.id, inbound_detail="full")


def happens(exchange: ExchangeWorld, name: str, title: str) -> str:
    """Somebody makes an appointment in Outlook."""
    day = f"{datetime.now(UTC) + timedelta(days=10):%Y-%m-%d}"
    return exchange.put(name, {"Subject": title, "Start": f"{day}T09:00:00Z", "End": f"{day}T10:00:00Z"})


async def has(world: Engine, *titles: str) -> None:
    """Wait until the application has these events, and no others."""

    async def look() -> bool:
        rows = await world.rows("select document::jsonb ->> 'title' as title from series where deleted_at is null")
        return sorted(row["title"] for row in rows) == sorted(titles)

    await eventually(look)


async def test_what_happens_in_mailboxes_arrives_by_one_stream(world: Engine) -> None:
    async with exchange_world(*PEOPLE, methods=("basic",)) as exchange:
        await linked(world, exchange, *PEOPLE)
        async with at_work(world):
            await is_notified(world, "streaming", count=3)
            for name in PEOPLE:
                happens(exchange, name, f"Of {name}")
            await has(world, "Of anna", "Of ben", "Of cleo")
            assert len({one.connection for one in exchange.asked("GetStreamingEvents")}) == 1


async def test_not_01_what_happens_while_a_stream_is_broken_arrives_once_it_is_back(world: Engine) -> None:
    async with exchange_world(*PEOPLE, methods=("basic",)) as exchange:
        await linked(world, exchange, *PEOPLE)
        async with at_work(world):
            await is_notified(world, "streaming", count=3)
            exchange.exchange.notifications.interrupt(cut=True)
            exchange.exchange.notifications.lose()
            happens(exchange, "ben", "In between")
            await has(world, "In between")
            await is_notified(world, "streaming", count=3)


async def test_a_mailbox_that_moves_costs_the_others_nothing(world: Engine) -> None:
    async with exchange_world(*PEOPLE, methods=("basic",), backends=3) as exchange:
        await linked(world, exchange, *PEOPLE)
        async with at_work(world):
            await is_notified(world, "streaming", count=3)
            exchange.exchange.move(f"ben@{DOMAIN}", refusals=2)
            happens(exchange, "anna", "Meanwhile")
            happens(exchange, "ben", "Of the one who moves")
            await has(world, "Meanwhile", "Of the one who moves")
            await is_notified(world, "streaming", count=3)


async def test_an_old_server_calls_the_application(world: Engine) -> None:
    async with exchange_world("anna", methods=("basic",), version="2007_SP1") as exchange:
        await linked(world, exchange, "anna")
        async with reachable(world), at_work(world):
            await is_notified(world, "push")
            happens(exchange, "anna", "By call")
            await has(world, "By call")


async def test_an_old_server_is_asked_for_its_list_where_it_cannot_call(world: Engine) -> None:
    world.settings = replace(world.settings, public_url="")
    async with exchange_world("anna", methods=("basic",), version="2007_SP1") as exchange:
        await linked(world, exchange, "anna")
        async with at_work(world):
            await is_notified(world, "pull")
            happens(exchange, "anna", "From the list")
            await comes_true(world, "select 1 as one from link where calls > 1")
            await has(world, "From the list")
