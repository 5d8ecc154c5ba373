"""Notifications of Exchange: by stream, by call, by asking; a sick mailbox, servers that differ, a way that does not work."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from aiohttp import web
from tests.exchange_world import SERVICE, SERVICE_PASSWORD, ExchangeWorld, everything_is_valid, exchange_world
from tests.waiting import eventually

from gleichtakt.errors import AuthRequired, Trouble
from gleichtakt.providers.ews import pulling, pushing, streaming
from gleichtakt.providers.ews.session import Session
from gleichtakt.providers.ews.watching import watch
from gleichtakt.providers.ews.wire.ids import Distinguished
from gleichtakt.providers.protocol import CalendarRef, Hint, Letter, Letterbox, Login, Notice, Secret, Wanted
from gleichtakt.simulators.control import serving
from gleichtakt.simulators.exchange.ids import folder_id
from gleichtakt.simulators.exchange.organization import DOMAIN
from gleichtakt.simulators.exchange.state import Event

RESULT = (
    '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><SendNotificationResult '
    'xmlns="http://schemas.microsoft.com/exchange/services/2006/messages"><SubscriptionStatus>{}</SubscriptionStatus>'
    "</SendNotificationResult></s:Body></s:Envelope>"
)


def ref(name: str) -> CalendarRef:
    """Name somebody's default calendar."""
    return CalendarRef(f"{name}@{DOMAIN}")


@dataclass
class Letters:
    """A letterbox in this process. url: where it is; addresses that are forgotten are told to stop."""

    url: str = ""
    places: dict[str, CalendarRef] = field(default_factory=dict)
    arrived: asyncio.Queue[Letter] = field(default_factory=asyncio.Queue)
    made: int = 0

    async def address(self, of: CalendarRef) -> str:
        """Give a new address."""
        await self.forget(of)
        self.made += 1
        self.places[str(self.made)] = of
        return f"{self.url}/{self.made}"

    async def forget(self, of: CalendarRef) -> None:
        """Forget an address."""
        self.places = {token: place for token, place in self.places.items() if place != of}

    async def letter(self) -> Letter:
        """Wait for a letter."""
        return await self.arrived.get()

    async def take(self, request: web.Request) -> web.Response:
        """Take a call."""
        of, body = self.places.get(request.match_info["token"]), await request.read()
        if of is not None:
            self.arrived.put_nowait(Letter(of, {}, body))
        return web.Response(text=RESULT.format("OK" if of else "Unsubscribe"), content_type="text/xml")


@asynccontextmanager
async def letterbox() -> AsyncIterator[Letters]:
    """Be reachable."""
    made = Letters()
    async with serving([web.post("/{token}", made.take)]) as made.url:
        yield made


@dataclass
class Watched:
    """A watch under way. by: how each calendar is told of; changed: how often each was told of."""

    wanted: Wanted
    by: dict[CalendarRef, Notice] = field(default_factory=dict)
    changed: Counter[CalendarRef] = field(default_factory=Counter)
    watched: Counter[CalendarRef] = field(default_factory=Counter)
    lost: list[tuple[CalendarRef, str]] = field(default_factory=list)
    ended: Trouble | None = None

    def hear(self, hint: Hint) -> None:
        """Take a hint."""
        self.changed.update(hint.changed)
        self.watched.update(hint.watched)
        self.by |= dict.fromkeys(hint.watched, hint.how)
        for gone in hint.lost:
            self.by.pop(gone, None)
            self.lost.append((gone, hint.why.code if hint.why else ""))

    async def until(self, look: Callable[[], object]) -> None:
        """Wait until something is so; fails when the watch ended instead."""

        async def looked() -> bool:
            assert self.ended is None, self.ended
            return bool(look())

        await eventually(looked)

    async def everybody(self, *names: str) -> None:
        """Wait until exactly these are told of."""
        await self.until(lambda: set(self.by) == {ref(name) for name in names})


@asynccontextmanager
async def watching(world: ExchangeWorld, *names: str, letters: Letterbox | None = None, **options: str) -> AsyncIterator[Watched]:
    """Watch the calendars of people through the service account until the block ends."""
    auth: dict[str, str | Secret] = {"method": "basic", "username": SERVICE, "password": Secret(SERVICE_PASSWORD)}
    session = Session(Login("ews", world.url, auth, access="impersonation", allow_insecure=True, options=options))
    made = Watched(Wanted([ref(name) for name in names]))

    async def listen() -> None:
        try:
            async for hint in watch(session, lambda of: Distinguished("calendar"), made.wanted, letters):
                made.hear(hint)
        except Trouble as trouble:
            made.ended = trouble

    task = asyncio.create_task(listen())
    try:
        yield made
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await session.close()


def happen(world: ExchangeWorld, name: str) -> None:
    """Let something happen in somebody's calendar."""
    folder = world.mailbox(name).calendar
    now = world.simulator.clock.now()
    world.simulator.tell(Event("CreatedEvent", folder.mailbox.address, folder_id(folder), "AAA=", "AQ==", now))


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask more often than in life."""
    monkeypatch.setattr(pulling, "LEAST_SECONDS", 0.05)
    monkeypatch.setattr(pulling, "EACH_SECONDS", 0.0)


async def test_many_mailboxes_are_told_of_over_one_connection() -> None:
    people = [f"p{number}" for number in range(12)]
    async with exchange_world(*people, methods=("basic",)) as world, watching(world, *people) as seen:
        await seen.everybody(*people)
        assert set(seen.by.values()) == {Notice.STREAMING}
        happen(world, "p7")
        await seen.until(lambda: seen.changed[ref("p7")])
        assert list(seen.changed) == [ref("p7")]
        assert len({one.connection for one in world.asked("GetStreamingEvents")}) == 1
        assert {one.anchor for one in world.asked("Subscribe")} == {ref("p0").mailbox}
        assert everything_is_valid(world.exchange)


async def test_a_connection_that_ends_in_good_order_is_opened_again_at_once_and_nothing_is_lost() -> None:
    async with exchange_world("anna", methods=("basic",), minute=0.02) as world, watching(world, "anna") as seen:
        await seen.everybody("anna")
        for number in range(5):
            happen(world, "anna")
            await seen.until(lambda number=number: seen.changed[ref("anna")] > number)  # type: ignore[misc]
            opened = len(world.asked("GetStreamingEvents"))
            await seen.until(lambda opened=opened: len(world.asked("GetStreamingEvents")) > opened)  # type: ignore[misc]
        assert seen.watched[ref("anna")] == 1
        assert len(world.asked("Subscribe")) == 1


async def test_one_bad_subscription_leaves_the_others_alone() -> None:
    async with exchange_world("anna", "ben", "cleo", methods=("basic",)) as world, watching(world, "anna", "ben", "cleo") as seen:
        await seen.everybody("anna", "ben", "cleo")
        world.exchange.move(ref("ben").mailbox)
        await seen.until(lambda: seen.watched[ref("ben")] == 2)
        await seen.everybody("anna", "ben", "cleo")
        assert {of for of, _ in seen.lost} == {ref("ben")}
        for name in ("anna", "ben", "cleo"):
            happen(world, name)
        await seen.until(lambda: len(seen.changed) == 3)


async def test_one_mailbox_that_cannot_be_subscribed_is_tried_again_and_slows_nobody() -> None:
    async with exchange_world("anna", "ben", methods=("basic",)) as world:
        world.fail("item", "Subscribe", mailbox=ref("ben").mailbox, code="ErrorAccountDisabled", times=2)
        async with watching(world, "anna", "ben") as seen:
            await seen.everybody("anna")
            happen(world, "anna")
            await seen.until(lambda: seen.changed[ref("anna")])
            await seen.everybody("anna", "ben")


def throttled(world: ExchangeWorld, name: str) -> None:
    """Refuse every call for a mailbox for an hour."""
    world.exchange.throttle.pause(ref(name).mailbox, 3600)


def unlicensed(world: ExchangeWorld, name: str) -> None:
    """Take the licence of a mailbox."""
    world.mailbox(name).is_enabled = False


@pytest.mark.parametrize("fall_sick", [throttled, unlicensed])
async def test_a_connection_outlives_the_health_of_the_mailbox_in_whose_name_it_was_open(
    fall_sick: Callable[[ExchangeWorld, str], None],
) -> None:
    people = ("anna", "ben", "cleo")
    async with exchange_world(*people, methods=("basic",)) as world, watching(world, *people) as seen:
        await seen.everybody(*people)
        first = world.asked("GetStreamingEvents")[0].mailbox
        fall_sick(world, first.partition("@")[0])
        world.exchange.notifications.interrupt(cut=True)
        others = [name for name in people if ref(name).mailbox != first]
        await seen.until(lambda: all(seen.watched[ref(name)] == 2 for name in others))
        happen(world, others[0])
        await seen.until(lambda: seen.changed[ref(others[0])])


@pytest.mark.parametrize("be_sick", [throttled, unlicensed])
async def test_a_mailbox_that_is_sick_from_the_beginning_is_nobodys_anchor(
    be_sick: Callable[[ExchangeWorld, str], None],
) -> None:
    async with exchange_world("anna", "ben", "cleo", methods=("basic",)) as world:
        be_sick(world, "anna")
        async with watching(world, "anna", "ben", "cleo") as seen:
            await seen.everybody("ben", "cleo")
            assert set(seen.by.values()) == {Notice.STREAMING}


async def test_a_connection_outlives_the_mailbox_in_whose_name_it_was_open() -> None:
    async with exchange_world("anna", "ben", "cleo", methods=("basic",)) as world, watching(world, "anna", "ben", "cleo") as seen:
        await seen.everybody("anna", "ben", "cleo")
        seen.wanted.become([ref("ben"), ref("cleo")])
        await seen.until(lambda: len(world.exchange.notifications.held) == 2)
        del world.simulator.mailboxes[ref("anna").mailbox]
        world.exchange.notifications.interrupt(cut=True)
        happen(world, "cleo")
        await seen.until(lambda: seen.changed[ref("cleo")] or seen.watched[ref("cleo")] > 2)
        assert {one.mailbox for one in world.asked("GetStreamingEvents")[-1:]} <= {ref("ben").mailbox, ref("cleo").mailbox}


async def test_a_broken_connection_is_opened_again_and_everything_on_it_compared() -> None:
    async with exchange_world("anna", "ben", methods=("basic",)) as world, watching(world, "anna", "ben") as seen:
        await seen.everybody("anna", "ben")
        world.exchange.notifications.interrupt(cut=True)
        await seen.until(lambda: seen.watched[ref("anna")] == 2 and seen.watched[ref("ben")] == 2)
        happen(world, "ben")
        await seen.until(lambda: seen.changed[ref("ben")])


async def test_mailboxes_that_lie_on_several_servers_are_all_told_of() -> None:
    people = [f"p{number}" for number in range(6)]
    async with exchange_world(*people, methods=("basic",), backends=3) as world, watching(world, *people) as seen:
        await seen.everybody(*people)
        for name in people:
            happen(world, name)
        await seen.until(lambda: len(seen.changed) == len(people))


async def test_calendars_come_and_go_while_the_watch_runs() -> None:
    async with exchange_world("anna", "ben", methods=("basic",)) as world, watching(world, "anna") as seen:
        await seen.everybody("anna")
        seen.wanted.become([ref("anna"), ref("ben")])
        await seen.everybody("anna", "ben")
        seen.wanted.become([ref("ben")])
        happen(world, "ben")
        await seen.until(lambda: seen.changed[ref("ben")])
        await seen.until(lambda: len(world.exchange.notifications.held) == 1)


async def test_a_doubted_subscription_is_made_anew() -> None:
    async with exchange_world("anna", "ben", methods=("basic",)) as world, watching(world, "anna", "ben") as seen:
        await seen.everybody("anna", "ben")
        before = set(world.exchange.notifications.held)
        seen.wanted.become(seen.wanted.refs, [ref("anna")])
        await seen.until(lambda: seen.watched[ref("anna")] == 2)
        assert len(set(world.exchange.notifications.held) & before) == 1


async def test_more_calendars_than_fit_on_one_connection_get_another(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "MOST", 4)
    people = [f"p{number}" for number in range(10)]
    async with exchange_world(*people, methods=("basic",)) as world, watching(world, *people) as seen:
        await seen.everybody(*people)
        for name in people:
            happen(world, name)
        await seen.until(lambda: len(seen.changed) == len(people))


async def test_an_old_server_is_asked_for_its_list_where_nobody_can_call_us() -> None:
    async with exchange_world("anna", "ben", methods=("basic",), version="2007_SP1") as world:
        async with watching(world, "anna", "ben") as seen:
            await seen.everybody("anna", "ben")
            assert set(seen.by.values()) == {Notice.PULL}
            happen(world, "anna")
            await seen.until(lambda: seen.changed[ref("anna")])
            world.exchange.notifications.lose(ref("ben").mailbox)
            await seen.until(lambda: seen.watched[ref("ben")] == 2)
            happen(world, "ben")
            await seen.until(lambda: seen.changed[ref("ben")])
        assert everything_is_valid(world.exchange)


async def test_an_old_server_calls_us_where_it_can() -> None:
    async with (
        exchange_world("anna", "ben", methods=("basic",), version="2007_SP1") as world,
        letterbox() as letters,
        watching(world, "anna", "ben", letters=letters) as seen,
    ):
        await seen.everybody("anna", "ben")
        assert set(seen.by.values()) == {Notice.PUSH}
        happen(world, "anna")
        await seen.until(lambda: seen.changed[ref("anna")])
        seen.wanted.become([ref("anna")])
        await seen.until(lambda: len(letters.places) == 1)
        happen(world, "ben")
        await seen.until(lambda: len(world.exchange.notifications.held) == 1)  # it was told to stop calling
        assert not seen.changed[ref("ben")]


async def test_strangers_who_call_are_not_heard() -> None:
    async with (
        exchange_world("anna", methods=("basic",), version="2007_SP1") as world,
        letterbox() as letters,
        watching(world, "anna", letters=letters, notify="push") as seen,
    ):
        await seen.everybody("anna")
        for body in (b"", b"<html/>", RESULT.format("x").encode()):
            letters.arrived.put_nowait(Letter(ref("anna"), {}, body))
        happen(world, "anna")
        await seen.until(lambda: seen.changed[ref("anna")] == 1)


async def test_a_server_that_cannot_reach_us_is_asked_for_its_list_instead(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pushing, "SILENCE_SECONDS", 0.2)
    unreachable = Letters("http://127.0.0.1:9")
    async with (
        exchange_world("anna", methods=("basic",), version="2007_SP1") as world,
        watching(world, "anna", letters=unreachable) as seen,
    ):
        await seen.everybody("anna")
        assert seen.by == {ref("anna"): Notice.PULL}


async def test_where_something_holds_streams_up_another_way_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streaming, "FIRST_SECONDS", 0.2)
    async with exchange_world("anna", methods=("basic",)) as world:
        world.fail("delay", "GetStreamingEvents", seconds=5, times=-1)
        async with watching(world, "anna") as seen:
            await seen.everybody("anna")
            assert seen.by == {ref("anna"): Notice.PULL}
            happen(world, "anna")
            await seen.until(lambda: seen.changed[ref("anna")])


async def test_a_refused_login_ends_the_watch_and_is_not_tried_again() -> None:
    async with exchange_world("anna", "ben", methods=("basic",)) as world:
        world.exchange.accounts[SERVICE].password = "changed at nine"
        async with watching(world, "anna", "ben") as seen:

            async def over() -> bool:
                return seen.ended is not None

            await eventually(over)
            assert isinstance(seen.ended, AuthRequired)
