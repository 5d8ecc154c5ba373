"""Subscriptions, and the three ways in which their events arrive: streaming, pull and push."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from tests.exchange_world import ExchangeWorld, everything_is_valid, exchange_world, violations
from tests.simulators.exchange.plain_client import CALENDAR, PlainClient, Reply, envelope, signed_in
from tests.waiting import PATIENCE_SECONDS

from gleichtakt.simulators.control import serving
from gleichtakt.simulators.exchange.ids import folder_id
from gleichtakt.simulators.exchange.soap import NAMESPACES
from gleichtakt.simulators.exchange.state import Event

KINDS = "".join(
    f"<t:EventType>{kind}Event</t:EventType>" for kind in ("Created", "Modified", "Deleted", "Moved", "Copied", "NewMail")
)
WHERE = f"<t:FolderIds>{CALENDAR}</t:FolderIds><t:EventTypes>{KINDS}</t:EventTypes>"
STREAMING = f"<m:Subscribe><m:StreamingSubscriptionRequest>{WHERE}</m:StreamingSubscriptionRequest></m:Subscribe>"
PULL = f"<m:Subscribe><m:PullSubscriptionRequest>{WHERE}<t:Timeout>10</t:Timeout></m:PullSubscriptionRequest></m:Subscribe>"


def push(url: str) -> str:
    """Write a push subscription."""
    inner = f"{WHERE}<t:StatusFrequency>1</t:StatusFrequency><t:URL>{url}</t:URL>"
    return f"<m:Subscribe><m:PushSubscriptionRequest>{inner}</m:PushSubscriptionRequest></m:Subscribe>"


def listen(*names: str) -> str:
    """Write a request for a stream."""
    listed = "".join(f"<t:SubscriptionId>{name}</t:SubscriptionId>" for name in names)
    return (
        f"<m:GetStreamingEvents><m:SubscriptionIds>{listed}</m:SubscriptionIds>"
        "<m:ConnectionTimeout>1</m:ConnectionTimeout></m:GetStreamingEvents>"
    )


def get_events(name: str, watermark: str) -> str:
    """Write a request for events."""
    return f"<m:GetEvents><m:SubscriptionId>{name}</m:SubscriptionId><m:Watermark>{watermark}</m:Watermark></m:GetEvents>"


def happen(world: ExchangeWorld, name: str = "anna", kind: str = "CreatedEvent", item: str = "AAA=") -> None:
    """Let something happen in a calendar."""
    folder = world.mailbox(name).calendar
    world.simulator.tell(Event(kind, folder.mailbox.address, folder_id(folder), item, "AQ==", world.simulator.clock.now()))


@asynccontextmanager
async def world_with(*people: str, **habits: Any) -> AsyncIterator[tuple[ExchangeWorld, PlainClient]]:
    """Run a firm and sign its first person in."""
    people = people or ("anna", "ben")
    async with (
        exchange_world(*people, methods=("basic",), **habits) as world,
        signed_in(world.url, people[0], f"{people[0]}-password") as client,
    ):
        yield world, client


class Stream:
    """The answers of an open stream, one envelope after the other."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        """Read from an answer."""
        self.answer, self.left = answer, b""

    async def next(self) -> Reply:
        """Give the next one."""
        while b":Envelope>" not in self.left.partition(b">")[2]:
            chunk = await self.answer.content.readany()
            assert chunk, "the stream ended"
            self.left += chunk
        end = self.left.index(b"</s:Envelope>") + len(b"</s:Envelope>")
        data, self.left = self.left[:end], self.left[end:]
        assert not violations(data)
        return Reply(200, data)


@asynccontextmanager
async def streaming(world: ExchangeWorld, *names: str, account: str = "anna") -> AsyncIterator[Stream]:
    """Open a stream and take its first sign of life."""
    async with (
        signed_in(world.url, account, f"{account}-password") as client,
        client.session.post(world.url, data=envelope(listen(*names)), headers=client.headers) as answer,
    ):
        stream = Stream(answer)
        assert (await stream.next()).texts("ConnectionStatus") == ["OK"]
        yield stream


async def subscribed(client: PlainClient, request: str = STREAMING) -> str:
    """Subscribe and give the id."""
    reply = await client.ask(request)
    assert reply.codes == ["NoError"], reply.data
    return reply.texts("SubscriptionId")[0]


async def test_a_stream_tells_what_happens_while_it_is_open() -> None:
    async with world_with() as (world, client):
        name = await subscribed(client)
        async with streaming(world, name) as stream:
            happen(world)
            happen(world, "ben")
            told = await stream.next()
            assert told.texts("SubscriptionId") == [name]
            assert len(told.all("CreatedEvent")) == 1
        assert everything_is_valid(world.exchange)


async def test_what_happened_between_two_streams_is_told_by_the_second() -> None:
    async with world_with() as (world, client):
        name = await subscribed(client)
        happen(world)
        async with streaming(world, name) as stream:
            assert len((await stream.next()).all("CreatedEvent")) == 1


async def test_a_quiet_stream_shows_that_it_lives() -> None:
    async with world_with(heartbeat=0.01) as (world, client), streaming(world, await subscribed(client)) as stream:
        assert (await stream.next()).texts("ConnectionStatus") == ["OK"]


async def test_a_stream_ends_when_its_time_is_over() -> None:
    async with world_with(minute=0.01) as (world, client), streaming(world, await subscribed(client)) as stream:
        assert (await stream.next()).texts("ConnectionStatus") == ["Closed"]
        assert not await stream.answer.content.read()


async def test_one_lost_subscription_ends_the_stream_for_all() -> None:
    async with world_with() as (world, client):
        lost, other = await subscribed(client), await subscribed(client)
        async with streaming(world, lost, other) as stream:
            await client.ask(f"<m:Unsubscribe><m:SubscriptionId>{lost}</m:SubscriptionId></m:Unsubscribe>")
            reply = await stream.next()
            assert (reply.codes, reply.texts("SubscriptionId")) == (["ErrorInvalidSubscription"], [lost])
            assert reply.texts("ConnectionStatus") == ["Closed"]
        reply = await client.ask(listen(lost, other, "nonsense"))
        assert (reply.codes, reply.texts("SubscriptionId")) == (["ErrorInvalidSubscription"], [lost, "nonsense"])


async def test_a_subscription_belongs_to_the_account_that_made_it() -> None:
    async with world_with() as (world, client):
        name = await subscribed(client)
        async with signed_in(world.url, "ben", "ben-password") as other:
            assert (await other.ask(listen(name))).codes == ["ErrorInvalidSubscription"]


async def test_a_second_stream_takes_over_from_the_first() -> None:
    async with world_with() as (world, client):
        name = await subscribed(client)
        async with streaming(world, name) as first, streaming(world, name) as second:
            assert (await first.next()).texts("ConnectionStatus") == ["Closed"]
            happen(world)
            assert (await second.next()).all("CreatedEvent")


async def test_a_stream_can_be_broken_off() -> None:
    async with world_with() as (world, client), streaming(world, await subscribed(client)) as stream:
        assert world.exchange.notifications.interrupt(cut=True) == 1
        with pytest.raises(aiohttp.ClientError):
            await stream.answer.content.read()
    assert not any(one.hanging for one in world.exchange.throttle.budgets.values())


async def test_who_hangs_up_no_longer_holds_a_connection() -> None:
    async with world_with() as (world, client):
        name = await subscribed(client)
        async with streaming(world, name) as stream:
            assert world.exchange.throttle.budget("anna").hanging == 1
            stream.answer.close()
            while world.exchange.throttle.budget("anna").hanging:
                await asyncio.sleep(0.01)
        happen(world)
        async with streaming(world, name) as stream:
            assert (await stream.next()).all("CreatedEvent")


async def test_too_many_streams_and_too_many_subscriptions_are_refused() -> None:
    async with world_with() as (world, client):
        world.exchange.throttle.set({"hanging": 1, "subscriptions": 2})
        first, second = await subscribed(client), await subscribed(client)
        assert (await client.ask(STREAMING)).codes == ["ErrorExceededSubscriptionCount"]
        async with streaming(world, first):
            assert (await client.ask(listen(second))).fault == "ErrorExceededConnectionCount"


async def test_a_mailbox_that_moves_loses_its_subscriptions() -> None:
    async with world_with(backends=2) as (world, client):
        name = await subscribed(client)
        world.exchange.move("anna@firm.example", refusals=1)
        assert (await client.ask(STREAMING)).fault == "ErrorMailboxMoveInProgress"
        assert (await client.ask(listen(name))).codes == ["ErrorInvalidSubscription"]


async def test_a_subscription_lives_on_the_server_its_group_is_bound_to() -> None:
    async with world_with("anna", "ben", backends=2) as (world, client):
        bound = {"X_AnchorMailbox": "ben@firm.example", "X_PreferServerAffinity": "true"}
        reply = await client.ask(STREAMING, **bound)
        name = reply.texts("SubscriptionId")[0]
        cookie = reply.headers["Set-Cookie"].partition(";")[0]
        assert cookie.startswith("X-BackEndOverrideCookie=")
        client.session.cookie_jar.clear()
        assert (await client.ask(listen(name))).codes == ["ErrorInvalidSubscription"]
        happen(world)
        world.exchange.notifications.minute = 0.05
        reply = await client.ask(listen(name), X_PreferServerAffinity="true", Cookie=cookie)
        assert b"CreatedEvent" in reply.data


# --- pull --------------------------------------------------------------------------------------------------------


async def test_pulled_events_go_forward_with_the_watermark() -> None:
    async with world_with() as (world, client):
        reply = await client.ask(PULL)
        name, start = reply.texts("SubscriptionId")[0], reply.texts("Watermark")[0]
        quiet = await client.ask(get_events(name, start))
        assert quiet.all("StatusEvent")
        for number in range(60):
            happen(world, item=f"item{number}")
        first = await client.ask(get_events(name, start))
        assert (len(first.all("CreatedEvent")), first.texts("MoreEvents")) == (50, ["true"])
        rest = await client.ask(get_events(name, first.texts("Watermark")[-1]))
        assert (len(rest.all("CreatedEvent")), rest.texts("MoreEvents")) == (10, ["false"])
        assert (await client.ask(get_events(name, start))).codes == ["ErrorInvalidWatermark"]
        assert everything_is_valid(world.exchange)


async def test_a_pull_subscription_nobody_asks_about_lapses() -> None:
    async with world_with() as (world, client):
        reply = await client.ask(PULL)
        name, start = reply.texts("SubscriptionId")[0], reply.texts("Watermark")[0]
        world.simulator.clock.offset = timedelta(minutes=11)
        assert (await client.ask(get_events(name, start))).codes == ["ErrorExpiredSubscription"]
        assert (await client.ask(get_events(name, start))).codes == ["ErrorSubscriptionNotFound"]


# --- push --------------------------------------------------------------------------------------------------------


class Callback:
    """Where a server posts its notifications. answers: what to say to each; then OK."""

    def __init__(self, *answers: str) -> None:
        """Begin without any."""
        self.answers, self.arrived = list(answers), asyncio.Event()
        self.heard: list[Reply] = []

    async def take(self, request: web.Request) -> web.Response:
        """Take one."""
        data = await request.read()
        assert not violations(data)
        self.heard.append(Reply(200, data))
        self.arrived.set()
        said = self.answers.pop(0) if self.answers else "OK"
        if said == "fail":
            return web.Response(status=503)
        result = f'<m:SendNotificationResult xmlns:m="{NAMESPACES["m"]}"><m:SubscriptionStatus>{said}</m:SubscriptionStatus>'
        wrapped = f'<s:Envelope xmlns:s="{NAMESPACES["s"]}"><s:Body>{result}</m:SendNotificationResult></s:Body></s:Envelope>'
        return web.Response(text=wrapped, content_type="text/xml")

    async def hears(self, name: str) -> Reply:
        """Wait for a notification with such an event."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while True:
                for one in self.heard:
                    if one.all(name):
                        return one
                self.arrived.clear()
                await self.arrived.wait()


@asynccontextmanager
async def called_back(*answers: str) -> AsyncIterator[tuple[Callback, str]]:
    """Run a client's web server."""
    callback = Callback(*answers)
    async with serving([web.post("/hook", callback.take)]) as root:
        yield callback, f"{root}/hook"


async def test_a_push_subscription_posts_what_happens_after_a_sign_of_life() -> None:
    async with world_with() as (world, client), called_back() as (callback, url):
        name = await subscribed(client, push(url))
        await callback.hears("StatusEvent")
        happen(world)
        assert (await callback.hears("CreatedEvent")).texts("SubscriptionId") == [name]


async def test_a_push_that_fails_is_tried_again_and_then_given_up() -> None:
    async with world_with(minute=0.05) as (world, client), called_back("OK", "fail") as (callback, url):
        await subscribed(client, push(url))
        await callback.hears("StatusEvent")
        happen(world)
        await callback.hears("CreatedEvent")
        callback.answers += ["fail"] * 50
        async with asyncio.timeout(PATIENCE_SECONDS):
            while world.exchange.notifications.held:
                await asyncio.sleep(0.01)


async def test_a_client_ends_its_push_subscription_with_its_answer() -> None:
    async with world_with() as (world, client), called_back("Unsubscribe") as (callback, url):
        await subscribed(client, push(url))
        await callback.hears("StatusEvent")
        async with asyncio.timeout(PATIENCE_SECONDS):
            while world.exchange.notifications.held:
                await asyncio.sleep(0)
        assert (await client.ask(push("ftp://x/"))).codes == ["ErrorInvalidPushSubscriptionUrl"]
