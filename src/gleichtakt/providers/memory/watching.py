"""Tells what changes: one subscription per calendar, over the open connection or by letters to an address of ours.

A calendar that cannot be subscribed is tried again after growing pauses while the others go on. Subscriptions are renewed
when half their time is over; one that is asked to be renewed out of turn is so once in a while, however often that is said.
A connection without a sign of life counts as broken.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Protocol

import msgspec
import structlog

from gleichtakt.errors import AuthRequired, Gone, Scope, Throttled, Transient, Trouble
from gleichtakt.providers.memory import wire
from gleichtakt.providers.patience import Patience
from gleichtakt.providers.protocol import CalendarRef, Hint, Letterbox, Login, Notice, Wanted

log = structlog.get_logger(__name__)

AT_ONCE: Final = 32  # subscriptions asked for at the same time
DEAD_BEATS: Final = 3  # signs of life that may be missing
RENEW_LEAST_SECONDS: Final = 30.0  # between two renewals out of turn
LEAVE_SECONDS: Final = 1.0  # for saying that nothing is wanted any more
TICK_SECONDS: Final = 30.0  # the longest time without looking whether something is to be renewed

#: Words after which a calendar is looked at: anything not listed is taken for `changed`, and logged.
QUIET: Final = frozenset({"sync", "beat"})
KNOWN: Final = QUIET | {"changed", "missed", "reauthorize", "removed"}


class Channel(Protocol):
    """A connection on which something may be said unasked. transport: None once it has ended."""

    unasked: asyncio.Queue[wire.Answer | None]
    transport: asyncio.Transport | None


class Caller(Protocol):
    """What watching needs of the client."""

    login: Login
    address: str

    async def ask(self, verb: str, of: CalendarRef, args: Mapping[str, Any], read: Callable[[bytes], Any]) -> Any:
        """Make a call and read its result."""

    async def channel(self) -> Any:
        """Give the open connection."""


@dataclass(slots=True)
class Subscription:
    """One of ours. renew_at, asked_at: on the monotonic clock; the latter of the last renewal out of turn."""

    id: str
    renew_at: float
    asked_at: float = float("-inf")


@dataclass(slots=True)
class Watch:
    """What one watch knows. said: what is still to be told to whoever watches."""

    client: Caller
    wanted: Wanted
    letterbox: Letterbox | None
    living: dict[CalendarRef, Subscription] = field(default_factory=dict)
    names: dict[str, CalendarRef] = field(default_factory=dict)  # id of a subscription -> calendar
    patience: Patience[CalendarRef] = field(default_factory=Patience)
    beat_seconds: float = 60.0
    heard_at: float = field(default_factory=time.monotonic)

    @property
    def how(self) -> Notice:
        """Say how we are told."""
        return Notice.STREAMING if self.letterbox is None else Notice.PUSH

    def forget(self, ref: CalendarRef) -> None:
        """Drop a subscription of ours."""
        gone = self.living.pop(ref, None)
        if gone is not None:
            self.names.pop(gone.id, None)


async def watch(client: Caller, wanted: Wanted, letterbox: Letterbox | None) -> AsyncIterator[Hint]:
    """Tell what changes, until closed; see `Provider.watch`."""
    by_letter = client.login.options.get("notify") == Notice.PUSH and letterbox is not None
    state = Watch(client, wanted, letterbox if by_letter else None)
    channel = await client.channel()
    while not channel.unasked.empty():  # of a watch before this one
        channel.unasked.get_nowait()
    listening = _Listening()
    try:
        while True:
            for hint in await _attend(state):
                yield hint
            woken = await listening.wait(state, channel)
            for hint in _told(state, woken):
                yield hint
    finally:
        await listening.close()
        if channel.transport is not None or state.letterbox is not None:
            await _leave(state)


class _Listening:
    """Waits for several things at once, and keeps those under way that did not come."""

    def __init__(self) -> None:
        self._under_way: dict[str, asyncio.Future[Any]] = {}

    async def wait(self, state: Watch, channel: Channel) -> dict[str, Any]:
        """Give what came first, and what came together with it; nothing when it is time to look after subscriptions."""
        sources: dict[str, Callable[[], Any]] = {"said": channel.unasked.get, "moved": state.wanted.moved}
        if state.letterbox is not None:
            sources["letter"] = state.letterbox.letter
        for name, source in sources.items():
            if name not in self._under_way:
                self._under_way[name] = asyncio.ensure_future(source())
        seconds = _seconds_to_wait(state)
        await asyncio.wait(self._under_way.values(), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        came = {name: future.result() for name, future in self._under_way.items() if future.done()}
        for name in came:
            del self._under_way[name]
        if "said" in came:
            came["said"] = [came["said"], *_rest(channel.unasked)]
        return came

    async def close(self) -> None:
        """Stop waiting."""
        for future in self._under_way.values():
            future.cancel()
        await asyncio.gather(*self._under_way.values(), return_exceptions=True)


def _rest(queue: asyncio.Queue[wire.Answer | None]) -> list[wire.Answer | None]:
    found = []
    while not queue.empty():
        found.append(queue.get_nowait())
    return found


def _seconds_to_wait(state: Watch) -> float:
    now = time.monotonic()
    waits = [TICK_SECONDS, *(found.renew_at - now for found in state.living.values())]
    resting = state.patience.seconds(state.wanted.refs - state.living.keys())
    if resting is not None:
        waits.append(resting)
    if state.letterbox is None and state.living:
        waits.append(state.heard_at + DEAD_BEATS * state.beat_seconds - now)
    return max(0.0, min(waits))


# --- what was said -----------------------------------------------------------------------------------------------


def _told(state: Watch, came: Mapping[str, Any]) -> list[Hint]:
    """Give the hints in what came. Raises Transient when the connection has ended or shows no sign of life."""
    hints: list[Hint] = []
    for said in came.get("said", ()):
        if said is None:
            raise Transient(
                "general.unreachable", Scope.ACCOUNT, host=state.client.address, url=f"telnet://{state.client.address}"
            )
        state.heard_at = time.monotonic()
        ref = state.names.get(_subscription(state, said))
        if ref is not None:
            hints += _understood(state, ref, said.word)
    if "letter" in came:
        letter = came["letter"]
        headers = {name.lower(): value for name, value in letter.headers.items()}
        subscription = headers.get("x-memory-subscription", "")
        if subscription in ("", state.living.get(letter.of, _NOBODY).id):  # else of an earlier one
            hints += _understood(state, letter.of, headers.get("x-memory-state", ""))
    silent = time.monotonic() - state.heard_at
    if state.letterbox is None and state.living and silent > DEAD_BEATS * state.beat_seconds:
        raise Transient("general.timeout", Scope.ACCOUNT, host=state.client.address)
    return hints


def _subscription(state: Watch, said: wire.Answer) -> str:
    try:
        return wire.read_told(said.result).subscription
    except msgspec.DecodeError as broken:
        raise Transient("general.malformed", Scope.ACCOUNT, host=state.client.address, reason=str(broken)) from None


_NOBODY: Final = Subscription("", 0.0)


def _understood(state: Watch, ref: CalendarRef, word: str) -> list[Hint]:
    """Give the hints in one word about a calendar."""
    if word in QUIET:
        return []
    if word not in KNOWN:
        log.info("watch_word_unknown", provider="memory", word=word[:40])
    if word == "removed":
        state.forget(ref)
        return [Hint(lost=frozenset({ref}), how=state.how)]
    if word == "reauthorize":
        _renew_out_of_turn(state, ref)
        return []
    return [Hint(changed=frozenset({ref}))]


def _renew_out_of_turn(state: Watch, ref: CalendarRef) -> None:
    """Renew a subscription because it was asked for; not again and again because it is asked for again and again."""
    found = state.living.get(ref)
    now = time.monotonic()
    if found is not None and now - found.asked_at >= RENEW_LEAST_SECONDS:
        found.asked_at, found.renew_at = now, now


# --- subscriptions -----------------------------------------------------------------------------------------------


async def _attend(state: Watch) -> list[Hint]:
    """Subscribe what is wanted, renew what is half over, drop what is not wanted any more."""
    wanted = state.wanted.refs
    for ref in state.wanted.doubted() | (state.living.keys() - wanted):
        await _unsubscribe(state, ref)
    state.patience.keep(wanted)
    now = time.monotonic()
    lost = await _each(state, [ref for ref, found in state.living.items() if found.renew_at <= now], _renew)
    tried = [ref for ref in wanted - state.living.keys() if state.patience.may(ref)]
    failed = await _each(state, tried, _subscribe)
    watched = frozenset(tried) - failed.keys()
    hints = [Hint(lost=frozenset({ref}), how=state.how, why=why) for ref, why in {**failed, **lost}.items()]
    return hints + ([Hint(watched=watched, how=state.how)] if watched else [])


async def _each(state: Watch, refs: Iterable[CalendarRef], do: Callable[[Watch, CalendarRef], Any]) -> dict[CalendarRef, Trouble]:
    """Do something for many calendars, some at a time; give those for which it failed. Raises what concerns the login."""
    turns = asyncio.Semaphore(AT_ONCE)
    failed: dict[CalendarRef, Trouble] = {}

    async def one(ref: CalendarRef) -> None:
        async with turns:
            try:
                await do(state, ref)
            except Trouble as trouble:
                failed[ref] = trouble

    await asyncio.gather(*(one(ref) for ref in refs))
    for trouble in failed.values():
        if trouble.scope is Scope.ACCOUNT and isinstance(trouble, AuthRequired):
            raise trouble
    return failed


async def _subscribe(state: Watch, ref: CalendarRef) -> None:
    try:
        args = {"url": await state.letterbox.address(ref)} if state.letterbox else {}
        made = await state.client.ask("subscribe", ref, args, wire.read_subscribed)
    except Trouble as trouble:
        state.patience.failed(ref, _seconds_asked(trouble))
        raise
    state.patience.worked(ref)
    state.living[ref] = Subscription(made.subscription, time.monotonic() + made.seconds / 2)
    state.names[made.subscription] = ref
    state.beat_seconds, state.heard_at = made.beat, time.monotonic()


async def _renew(state: Watch, ref: CalendarRef) -> None:
    found = state.living[ref]
    try:
        renewed = await state.client.ask("renew", ref, {"subscription": found.id}, wire.read_renewed)
    except Gone:
        state.forget(ref)  # subscribed anew in the same breath
    except Trouble as trouble:
        state.forget(ref)
        state.patience.failed(ref, _seconds_asked(trouble))
        raise
    else:
        found.renew_at = time.monotonic() + renewed.seconds / 2


def _seconds_asked(trouble: Trouble) -> float:
    return (trouble.until - datetime.now(UTC)).total_seconds() if isinstance(trouble, Throttled) else 0.0


async def _unsubscribe(state: Watch, ref: CalendarRef) -> None:
    """End a subscription; whether they hear of it does not matter."""
    found = state.living.get(ref)
    state.forget(ref)
    if found is not None:
        with suppress(Trouble):
            await state.client.ask("unsubscribe", ref, {"subscription": found.id}, bytes)
        if state.letterbox is not None:
            await state.letterbox.forget(ref)


async def _leave(state: Watch) -> None:
    """Let go of everything, without waiting for answers that may not come."""
    with suppress(TimeoutError):
        async with asyncio.timeout(LEAVE_SECONDS):
            await asyncio.gather(*(_unsubscribe(state, ref) for ref in list(state.living)))
