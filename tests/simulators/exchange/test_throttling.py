"""How much one caller may ask for, and what happens to who does not wait."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from tests.exchange_world import SERVICE, SERVICE_PASSWORD, exchange_world
from tests.simulators.exchange.plain_client import ROOMS, signed_in

NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)


async def test_a_budget_belongs_to_the_mailbox_under_impersonation_and_to_the_account_otherwise() -> None:
    async with exchange_world(methods=("basic",)) as world, signed_in(world.url, SERVICE, SERVICE_PASSWORD) as client:
        world.exchange.throttle.set({"calls": 1})
        for mailbox in ("anna@firm.example", "ben@firm.example", ""):
            assert (await client.ask(ROOMS, impersonate=mailbox)).status == 200
        for mailbox in ("anna@firm.example", "ben@firm.example", ""):
            reply = await client.ask(ROOMS, impersonate=mailbox)
            assert (reply.status, reply.fault, reply.back_off) == (500, "ErrorServerBusy", 5000)


async def test_who_waits_may_go_on_and_who_does_not_waits_from_the_start() -> None:
    async with exchange_world(methods=("basic",)) as world, signed_in(world.url, "anna", "anna-password") as client:
        clock, throttle = world.simulator.clock, world.exchange.throttle
        clock.frozen_at = NOON
        throttle.pause("anna", 4)
        assert (await client.ask(ROOMS)).back_off == 5000
        clock.frozen_at = NOON + timedelta(seconds=4)
        assert (await client.ask(ROOMS)).fault == "ErrorServerBusy"
        assert throttle.budget("anna").impatient == 2
        clock.frozen_at = NOON + timedelta(seconds=9)
        assert (await client.ask(ROOMS)).status == 200


async def test_a_busy_server_may_say_so_inside_an_answer() -> None:
    async with (
        exchange_world(methods=("basic",), busy_in_message=True) as world,
        signed_in(world.url, "anna", "anna-password") as client,
    ):
        world.exchange.throttle.pause("anna", 60)
        name = '<m:ResolveNames ReturnFullContactData="false"><m:UnresolvedEntry>ben</m:UnresolvedEntry></m:ResolveNames>'
        reply = await client.ask(name)
        assert (reply.status, reply.codes) == (200, ["ErrorServerBusy"])
        assert reply.back_off > 50_000


async def test_too_many_calls_at_once_are_refused_without_a_time_to_wait() -> None:
    async with exchange_world(methods=("basic",)) as world:
        world.exchange.throttle.set({"at_once": 1})
        world.fail("delay", seconds=60)
        async with (
            signed_in(world.url, "anna", "anna-password") as first,
            signed_in(world.url, "anna", "anna-password") as second,
        ):
            slow = asyncio.create_task(first.ask(ROOMS))
            while not world.exchange.throttle.budget("anna").at_once:
                await asyncio.sleep(0)
            reply = await second.ask(ROOMS)
            assert (reply.fault, reply.back_off) == ("ErrorExceededConnectionCount", 0)
            slow.cancel()
            while world.exchange.throttle.budget("anna").at_once:
                await asyncio.sleep(0)
            assert (await second.ask(ROOMS)).status == 200
