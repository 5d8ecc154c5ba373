"""Being called: the server sends what happened to a secret address of ours.

That it can reach us shows with its first call, which it makes of its own accord; only then we rely on it. No call for more
than two periods: the subscription is gone, whatever the server thinks. Source: «Push subscriptions» in Microsoft's documents.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import structlog

from gleichtakt.errors import Permanent, Scope, Transient
from gleichtakt.providers.ews.subscribing import DoesNotWork, Watch, each
from gleichtakt.providers.ews.wire import notices, requests, soap
from gleichtakt.providers.protocol import CalendarRef, Letter, Letterbox

log = structlog.get_logger(__name__)

MINUTES: Final = 5  # between two signs of life
SILENCE_SECONDS: Final = (2 * MINUTES + 1) * 60.0


@dataclass(slots=True)
class Promise:
    """A subscription with which the server promised to call. heard_at: when it last did, or promised."""

    id: str
    heard_at: float


@dataclass(slots=True)
class Calls:
    """The subscriptions of one watch. is_proven: the server has reached us."""

    watch: Watch
    letterbox: Letterbox
    living: dict[CalendarRef, Promise] = field(default_factory=dict)
    is_proven: bool = False
    under_way: dict[str, asyncio.Future[Any]] = field(default_factory=dict)


async def listen(watch: Watch) -> None:
    """Subscribe, and hear. Raises DoesNotWork when no call ever comes, and what concerns the whole login."""
    if watch.letterbox is None:
        raise DoesNotWork(Permanent("ews.push_url", Scope.ACCOUNT, host=watch.session.login.url))
    calls = Calls(watch, watch.letterbox)
    try:
        while True:
            await _attend(calls)
            await _hear(calls)
    finally:
        for future in calls.under_way.values():
            future.cancel()
        await asyncio.gather(*calls.under_way.values(), return_exceptions=True)


async def _attend(calls: Calls) -> None:
    """Subscribe what is wanted, drop what is not, and what fell silent."""
    watch, now = calls.watch, time.monotonic()
    silent = [ref for ref, promise in calls.living.items() if now - promise.heard_at > SILENCE_SECONDS]
    if silent:
        never = Transient("general.timeout", Scope.CALENDAR, host=watch.session.login.url)
        if not calls.is_proven:
            raise DoesNotWork(never)
        watch.lost(silent, never)
    wanted, doubted = watch.wanted.refs, watch.wanted.doubted()
    watch.lost(doubted)
    for ref in {*silent, *doubted} & calls.living.keys() | (calls.living.keys() - wanted):
        del calls.living[ref]
        await calls.letterbox.forget(ref)  # whoever calls there from now on is told to stop
    watch.told &= wanted
    watch.patience.keep(wanted)
    await each(watch.may_try(wanted - calls.living.keys()), lambda ref: _subscribe(calls, ref))


async def _subscribe(calls: Calls, ref: CalendarRef) -> None:
    url = await calls.letterbox.address(ref)
    made = await calls.watch.subscribe(ref, requests.subscribe_push([calls.watch.folder_of(ref)], url, minutes=MINUTES))
    calls.living[ref] = Promise(made.id, time.monotonic())


async def _hear(calls: Calls) -> None:
    """Wait for a call, for other wishes, or until somebody may be tried again."""
    for name, source in (("letter", calls.letterbox.letter), ("moved", calls.watch.wanted.moved)):
        if name not in calls.under_way:
            calls.under_way[name] = asyncio.ensure_future(source())
    await asyncio.wait(calls.under_way.values(), timeout=_seconds(calls), return_when=asyncio.FIRST_COMPLETED)
    for name in [name for name, future in calls.under_way.items() if future.done()]:
        came = calls.under_way.pop(name).result()
        if isinstance(came, Letter):
            _read(calls, came)


def _seconds(calls: Calls) -> float:
    now = time.monotonic()
    waits = [promise.heard_at + SILENCE_SECONDS - now for promise in calls.living.values()]
    resting = calls.watch.patience.seconds(calls.watch.wanted.refs - calls.living.keys())
    return max(0.05, min([*waits, SILENCE_SECONDS if resting is None else resting]))


def _read(calls: Calls, letter: Letter) -> None:
    """Take a call for what it is: a sign of life, or a hint, of the subscription we know; anything else is no word of theirs."""
    promise = calls.living.get(letter.of)
    try:
        said = [each for each in _said(letter.body) if promise is not None and each.subscription == promise.id]
    except (soap.Fault, soap.NotSoap):
        log.info("push_unreadable")
        return
    if promise is None or not said:
        return
    promise.heard_at, calls.is_proven = time.monotonic(), True
    calls.watch.watched([letter.of])
    if not all(each.is_alive for each in said):
        calls.watch.changed([letter.of])


def _said(body: bytes) -> Iterator[notices.Notification]:
    for outcome in soap.outcomes(soap.read(body)):
        yield from notices.read_told(outcome.element).notifications
