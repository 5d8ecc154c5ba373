"""What an administrator reads of an Exchange server in the log: found, connected, subscribed, asked to wait; no addresses."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import cast

import pytest
from tests.ews_world import ews_login
from tests.exchange_world import exchange_world
from tests.iis import logged

from gleichtakt.errors import Throttled
from gleichtakt.providers.protocol import CalendarRef, Hint, Wanted
from gleichtakt.providers.registry import connect

PEOPLE = [CalendarRef(f"{name}@firm.example") for name in ("anna", "ben")]


async def test_the_log_tells_the_way_from_the_address_to_the_pause() -> None:
    async with exchange_world(version="2016") as world:
        client = connect(ews_login(world.url))
        with logged() as lines:
            watching = cast("AsyncGenerator[Hint]", client.watch(Wanted(PEOPLE), None))
            async with asyncio.timeout(30), aclosing(watching) as hints:
                watched: set[CalendarRef] = set()
                async for hint in hints:
                    watched |= hint.watched
                    if watched == set(PEOPLE):
                        break
            world.exchange.throttle.pause(PEOPLE[0].mailbox, 300)
            with pytest.raises(Throttled) as paused:
                await client.calendars(PEOPLE[0].mailbox)
        await client.close()
    assert [line["event"] for line in lines] == ["endpoint_found", "connected", "subscribing", "subscribing", "paused_by_server"]
    found, connected, *subscribing, pause = lines
    assert (found["host"], found["by"]) == ("127.0.0.1", "connection")
    assert (connected["server"].partition(" (")[0], connected["method"]) == ("Exchange Server 2016", "ntlm")
    assert sorted(line["mailbox"] for line in subscribing) == ["a•••@firm.example", "b•••@firm.example"]
    assert pause["until"] == paused.value.until.isoformat(timespec="seconds")
    assert not [line for line in lines if "anna" in str(line)]
