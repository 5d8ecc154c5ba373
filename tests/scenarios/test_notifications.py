"""Notifications that come by calls: endpoints that answer at once, strangers, odd words, and silence."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import aiohttp
import httpx
import pytest
from sqlalchemy import text
from tests.at_work import arrives, at_work, comes_true, is_notified, reachable
from tests.engine import Engine, Tie, engine, meeting
from tests.scenarios.conftest import SETTINGS
from tests.waiting import eventually

from gleichtakt.simulators.memory import Fault
from gleichtakt.simulators.memory.subscriptions import Subscription
from gleichtakt.store.database import Database
from gleichtakt.web.hooks import MAX_BODY

STORM = 500


@pytest.fixture
async def pushed(world: Engine) -> AsyncIterator[Tie]:
    """A calendar of a system that calls us, with a worker at work and the interface reachable."""
    login = await world.login("memory", world.running.url, options={"notify": "push"})
    linked = await world.bind(login, "calendar")
    await world.set("link", linked.id, inbound_detail="full")
    tie = Tie(linked.id, linked.lane_id, login, world, "anna@memory.example", "calendar", "")
    async with reachable(world), at_work(world):
        await is_notified(world, "push")
        yield tie


def subscription(world: Engine) -> Subscription:
    """Give the only subscription there is."""
    (found,) = world.simulator.subscriptions.living.values()
    return found


def say(world: Engine, word: str) -> None:
    """The system says a word of its choice."""
    world.simulator.subscriptions.say(subscription(world), word)


async def has_called(world: Engine, times: int, status: int = 202) -> None:
    """Wait until the system has called so often and heard what it wants to."""

    async def look() -> bool:
        return world.running.teller.answers[status] >= times

    await eventually(look)


async def test_not_01_a_system_that_stops_calling_is_found_out_by_the_clock(world: Engine, pushed: Tie) -> None:
    before = subscription(world).id
    world.simulator.faults.add(Fault("silence", "event", times=1))
    pushed.add(meeting("Not told"))
    await world.make_due()
    world.database.notify("lanes")
    await arrives(world, "Not told")
    await comes_true(world, "select 1 as one from link where notified_by = 'push'")
    assert subscription(world).id != before
    pushed.add(meeting("Told again"))
    await arrives(world, "Told again")


async def test_not_02_calls_are_answered_at_once_while_the_database_is_locked(world: Engine, pushed: Tie) -> None:
    url = subscription(world).url
    seconds: list[float] = []
    turns = asyncio.Semaphore(10)

    async def call(client: aiohttp.ClientSession, number: int) -> None:
        headers = {"X-Memory-State": "changed", "X-Memory-Subscription": f"{number}"}
        async with turns:
            begun = time.perf_counter()
            async with client.post(url, headers=headers) as answer:
                assert answer.status == 202
            seconds.append(time.perf_counter() - begun)

    async with aiohttp.ClientSession() as client:
        async with world.database.begin() as connection:
            await connection.execute(text("lock table letter, hook in access exclusive mode"))
            await asyncio.gather(*(call(client, number) for number in range(STORM)))
            async with client.post(url, params={"validationToken": "are you <there>?"}) as echo:
                assert (echo.status, await echo.text()) == (200, "are you <there>?")
                assert echo.headers["content-type"].startswith("text/plain")
        async with client.post(url, headers={"X-Memory-State": "changed"}) as answer:
            assert answer.status == 202
    assert sorted(seconds)[int(STORM * 0.99)] < 1.0
    await comes_true(world, "select 1 as one from link where calls > 1 and calls = heard")


async def test_not_03_a_call_without_content_is_a_reason_to_look(world: Engine, pushed: Tie) -> None:
    pushed.add(meeting("By headers alone"))
    await arrives(world, "By headers alone")
    (link,) = await world.rows("select calls from link")
    say(world, "sync")  # confirms and says nothing
    await has_called(world, 3)  # at the beginning, for the change, and now
    assert await world.rows("select 1 as one from link where calls = :calls", calls=link["calls"])
    say(world, "a word of next year")
    await comes_true(world, f"select 1 as one from link where calls > {link['calls']} and calls = heard")
    async with aiohttp.ClientSession() as client, client.post(subscription(world).url) as answer:  # nothing at all is said
        assert answer.status == 202
    await comes_true(world, f"select 1 as one from link where calls > {link['calls'] + 1} and calls = heard")


async def test_not_03_a_change_between_subscribing_and_the_first_look_is_found(database: Database) -> None:
    async with engine(database) as world:
        world.settings = SETTINGS
        login = await world.login("memory", world.running.url, options={"notify": "push"})
        linked = await world.bind(login, "calendar")
        await world.set("link", linked.id, inbound_detail="full")
        tie = Tie(linked.id, linked.lane_id, login, world, "anna@memory.example", "calendar", "")
        world.simulator.faults.add(Fault("silence", "event", times=-1))  # no call ever comes
        async with reachable(world), at_work(world):
            await comes_true(world, "select 1 as one from hook")
            tie.add(meeting("In between"))
            await arrives(world, "In between")


async def test_not_05_strangers_cause_nothing_and_learn_nothing(world: Engine, pushed: Tie) -> None:
    address = subscription(world).url
    base, _, token = address.rpartition("/")
    (before,) = await world.rows("select calls, heard from link")
    async with httpx.AsyncClient() as client:
        unknown = f"{base}/{token[:-2]}xx"
        assert (await client.post(unknown)).status_code == 202  # not looked up while he waits
        await eventually(lambda: _refused(client, unknown))
        assert (await client.post(unknown)).text == ""
        for verb in ("GET", "PUT", "DELETE"):
            assert (await client.request(verb, address)).status_code in (404, 405)
        assert (await client.post(address, content=b"x" * (MAX_BODY + 1))).status_code == 413
        html = await client.post(unknown, params={"validationToken": "<script>alert(1)</script>"})
        assert html.headers["content-type"].startswith("text/plain")
        assert html.headers["x-content-type-options"] == "nosniff"
        assert (await client.post(unknown, params={"validationToken": "x" * 1025})).status_code == 400
        foreign = {"X-Memory-State": "changed", "X-Memory-Subscription": "s0-of-somebody-else"}
        assert (await client.post(address, headers=foreign)).status_code == 202
        metrics = (await client.get(f"{world.settings.public_url}/metrics")).text
        assert 'gleichtakt_hooks_rejected_total{reason="unknown"}' in metrics
    await comes_true(world, "select 1 as one where not exists (select from letter)")
    assert await world.rows("select 1 as one from link where calls = :calls and heard = :heard", **before)


async def _refused(client: httpx.AsyncClient, url: str) -> bool:
    return (await client.post(url)).status_code == 404


async def test_not_05_exchange_is_told_in_its_own_words_to_stop_calling_an_address_nobody_knows(
    world: Engine, pushed: Tie
) -> None:
    async with httpx.AsyncClient() as client:
        address = f"{world.settings.public_url}/hooks/ews/of-yesterday"

        async def answered() -> bool:
            answer = await client.post(address, content=b"<SendNotification/>")
            return answer.status_code == 200 and "<SubscriptionStatus>Unsubscribe</SubscriptionStatus>" in answer.text

        first = await client.post(address, content=b"<SendNotification/>")
        assert "<SubscriptionStatus>OK</SubscriptionStatus>" in first.text
        await eventually(answered)


async def test_not_06_a_renewal_that_is_asked_for_again_and_again_is_made_once(world: Engine, pushed: Tie) -> None:
    for number in range(5):
        say(world, "reauthorize")
        await has_called(world, 2 + number)
    await eventually(lambda: _has_renewed(world))
    say(world, "reauthorize")
    pushed.add(meeting("Still told"))
    await arrives(world, "Still told")
    assert world.simulator.calls["renew"] == 1


async def _has_renewed(world: Engine) -> bool:
    return world.simulator.calls["renew"] > 0


async def test_not_06_missed_is_a_reason_to_look_and_removed_to_subscribe_again(world: Engine, pushed: Tie) -> None:
    world.simulator.faults.add(Fault("silence", "event", times=1))
    pushed.add(meeting("Missed"))
    say(world, "missed")
    await arrives(world, "Missed")
    before = subscription(world).id
    world.simulator.faults.add(Fault("ended", "event", times=1))
    pushed.add(meeting("At the end of it"))
    await arrives(world, "At the end of it")
    await is_notified(world, "push")
    assert subscription(world).id != before


async def test_not_06_a_password_changed_without_a_word_is_found_out_by_the_clock(world: Engine, pushed: Tie) -> None:
    world.simulator.accounts["sync"] = "changed at nine"
    for session in world.running.sessions:
        session.is_signed_in = False
    for found in list(world.simulator.subscriptions.living):
        world.simulator.subscriptions.end(found)  # and says nothing
    await world.make_due()
    world.database.notify("lanes")
    await comes_true(world, "select 1 as one from link where state = 'auth_required' and notified_by = 'polling'")
    assert world.simulator.refused_logins <= 3
