"""A server that asks us to leave one mailbox alone is not asked again before its time, by no worker, and others go on."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import text
from tests.engine import Engine, engine, meeting

from gleichtakt.providers.ews.faults import PAUSE_MOST
from gleichtakt.simulators.exchange import Exchange, start
from gleichtakt.store import desk
from gleichtakt.store.database import Database

SERVICE = ("svc-sync", "svc-password")
ANNA, BEN = "anna@firm.example", "ben@firm.example"


def firm() -> Exchange:
    """Make two mailboxes and an account that may act for both."""
    made = Exchange(methods=("basic",))
    for address in (ANNA, BEN):
        made.simulator.add_mailbox(address)
    made.add_account(*SERVICE, impersonates=("*@firm.example",))
    return made


def subjects(exchange: Exchange, address: str) -> list[str]:
    return [item.values["Subject"] for item in exchange.simulator.mailbox(address).calendar.items.values()]


async def condition(world: Engine, link_id: UUID) -> str:
    """Give what the pages say of a link."""
    async with world.database.read() as connection:
        found = await desk.link(connection, world.organization_id, link_id, datetime.now(UTC))
    assert found is not None
    return found.condition


@pytest.mark.parametrize("is_busy", [False, True])
async def test_a_mailbox_that_is_to_rest_waits_while_its_neighbour_goes_on(database: Database, is_busy: bool) -> None:
    async with engine(database) as world, start(firm()) as running:
        exchange = running.exchange
        login = await world.login("ews", running.url, SERVICE)
        async with database.begin() as connection:
            await connection.execute(text("update connection set access = 'impersonation' where id = :id"), {"id": login})
        resting, _ = await world.bind(login, "", ANNA), await world.bind(login, "", BEN)
        await world.sync()
        exchange.throttle.pause(ANNA, PAUSE_MOST.total_seconds())
        begun = datetime.now(UTC)
        await world.put(meeting("Meanwhile"))
        await world.sync()
        refused = exchange.throttle.budget(ANNA).impatient
        assert refused > 0

        for _ in range(3):  # each worker is a new one, which remembers nothing
            if is_busy:
                await world.put(meeting("Later"))
            await world.sync(due=False)
        assert exchange.throttle.budget(ANNA).impatient == refused
        assert "Meanwhile" in subjects(exchange, BEN)
        (lane,) = await world.rows("select paused_until from lane where id = :id", id=resting.lane_id)
        assert timedelta() < lane["paused_until"] - begun <= PAUSE_MOST + timedelta(seconds=30)
        assert await condition(world, resting.id) == "throttled"

        exchange.throttle.budgets.clear()
        await world.sync()
        assert sorted(subjects(exchange, ANNA)) == sorted(subjects(exchange, BEN))
        assert not exchange.simulator.outbox
