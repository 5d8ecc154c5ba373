"""Being told over connections held open: one for up to 200 mailboxes that the same back end serves.

The back end is kept by an anchor mailbox and a cookie; when that mailbox is refused, another one of the group stands for
all. Where the groups cannot be learnt all mailboxes share one, and one that turns out to lie elsewhere gets a connection
of its own. A bad subscription ends a connection for all: it is dropped, the others go on at once, and the server keeps
meanwhile what happened to them. Source: «How to: Maintain affinity between a group of subscriptions and the Mailbox
server» in Microsoft's documents.
"""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

import structlog

from gleichtakt.errors import Permanent, Scope, Transient, Trouble
from gleichtakt.providers.ews.calls import refused
from gleichtakt.providers.ews.session import Affinity, Element
from gleichtakt.providers.ews.subscribing import DoesNotWork, Watch, each, masked, raise_if_all, seconds_asked
from gleichtakt.providers.ews.wire import notices, requests, soap
from gleichtakt.providers.protocol import CalendarRef

log = structlog.get_logger(__name__)

MOST: Final = 200  # subscriptions of one connection
MINUTES: Final = 29  # after which the server closes a connection, and it is opened again
FIRST_SECONDS: Final = 30.0  # for the first word: a server says «OK» at once, unless something on the way collects answers
SILENCE_SECONDS: Final = 150.0  # without a word; a server shows a sign of life every 45 seconds
PROVEN_SECONDS: Final = 60.0
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 300.0


@dataclass(slots=True, eq=False)
class Group:
    """Mailboxes on one connection. living: subscriptions; names: their ids. heard_at: when the server last said anything."""

    affinity: Affinity
    wanted: set[CalendarRef] = field(default_factory=set)
    renewed: set[CalendarRef] = field(default_factory=set)  # whose subscription is to be another one
    living: dict[CalendarRef, str] = field(default_factory=dict)
    names: dict[str, CalendarRef] = field(default_factory=dict)
    moved: asyncio.Event = field(default_factory=asyncio.Event)
    heard_at: float = 0.0
    failures: int = 0

    def drop(self, ref: CalendarRef) -> str | None:
        """Forget a subscription; give its id."""
        gone = self.living.pop(ref, None)
        if gone is not None:
            self.names.pop(gone, None)
        return gone

    def choose_anchor(self, *, anew: bool) -> bool:
        """Let a mailbox that works stand for all, another one if *anew*; say whether that changed anything."""
        names = sorted({ref.mailbox for ref in self.living or self.wanted}, key=str.lower)
        before = self.affinity.anchor
        if names and (anew or before not in names):
            self.affinity.anchor = next((name for name in names if name.lower() > before.lower()), names[0])
        return self.affinity.anchor != before


@dataclass(slots=True)
class Streams:
    """The connections of one watch. groups: by what names the back end. alone: those that do not go together with others."""

    watch: Watch
    groups: dict[str, list[Group]] = field(default_factory=dict)
    tasks: dict[Group, asyncio.Task[None]] = field(default_factory=dict)
    places: dict[CalendarRef, Group] = field(default_factory=dict)
    alone: set[CalendarRef] = field(default_factory=set)
    is_proven: bool = False
    strays: asyncio.Event = field(default_factory=asyncio.Event)  # somebody is to have a connection of its own


async def listen(watch: Watch) -> None:
    """Hold connections for all that is wanted. Raises DoesNotWork, and what concerns the whole login."""
    streams = Streams(watch)
    try:
        while True:
            await _arrange(streams)
            waits = [asyncio.ensure_future(watch.wanted.moved()), asyncio.ensure_future(streams.strays.wait())]
            try:
                done, _ = await asyncio.wait({*waits, *streams.tasks.values()}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for wait in waits:
                    wait.cancel()
            for task in done.intersection(streams.tasks.values()):
                await task  # raises why it ended
    finally:
        for task in streams.tasks.values():
            task.cancel()
        await asyncio.gather(*streams.tasks.values(), return_exceptions=True)


# --- who goes together -------------------------------------------------------------------------------------------


async def _arrange(streams: Streams) -> None:
    """Give every wanted calendar a place on a connection, and end those that nobody needs."""
    watch = streams.watch
    streams.strays.clear()
    wanted, doubted = watch.wanted.refs, watch.wanted.doubted()
    watch.lost(doubted)
    watch.told &= wanted
    watch.patience.keep(wanted)
    streams.alone &= wanted
    for ref in [ref for ref in streams.places if ref not in wanted]:
        _leave(streams, ref)
    for ref in doubted & streams.places.keys():
        streams.places[ref].renewed.add(ref)
        streams.places[ref].moved.set()
    new = [ref for ref in watch.may_try(wanted) if ref not in streams.places]
    new += [ref for ref in wanted if ref not in streams.places and ref not in new]
    if new:
        keys = await watch.session.groups(sorted({ref.mailbox for ref in new}, key=str.lower))
        for ref in new:
            key = f"alone {ref.mailbox.lower()}" if ref in streams.alone else keys.get(ref.mailbox, "")
            _place(streams, ref, key)
    for groups in streams.groups.values():
        for group in [group for group in groups if not group.wanted and not group.living]:
            groups.remove(group)
            streams.tasks.pop(group).cancel()


def _place(streams: Streams, ref: CalendarRef, key: str) -> None:
    groups = streams.groups.setdefault(key, [])
    group = next((found for found in groups if len(found.wanted) < MOST), None)
    if group is None:
        group = Group(Affinity(ref.mailbox))
        groups.append(group)
        streams.tasks[group] = asyncio.ensure_future(_keep(streams, group))
    group.wanted.add(ref)
    group.moved.set()
    streams.places[ref] = group


def _leave(streams: Streams, ref: CalendarRef) -> None:
    group = streams.places.pop(ref)
    group.wanted.discard(ref)
    group.moved.set()


# --- one connection ----------------------------------------------------------------------------------------------


async def _keep(streams: Streams, group: Group) -> None:
    """Keep one connection open, whatever it takes; its calendars are lost while it is not."""
    while True:
        begun = time.monotonic()
        try:
            await _subscribe(streams, group)
            group.choose_anchor(anew=not group.living)
            if group.living:
                await _listen(streams, group)
            else:
                await _until_moved(streams, group)
            group.failures = 0
        except Trouble as trouble:
            raise_if_all(trouble)
            if not streams.is_proven and isinstance(trouble, Permanent):
                raise DoesNotWork(trouble) from None
            group.failures = 1 if time.monotonic() - begun > PROVEN_SECONDS else group.failures + 1
            streams.watch.lost(group.living, trouble)
            is_of_one = trouble.scope is not Scope.ACCOUNT and group.choose_anchor(anew=True)
            seconds = _pause(group.failures, 0.0 if is_of_one else seconds_asked(trouble))
            log.info("stream_broken", code=trouble.code, calendars=len(group.living), pause_seconds=round(seconds, 1))
            await asyncio.sleep(seconds)


def _pause(failures: int, asked: float) -> float:
    """Give how long to wait before a connection is opened again: at once after a first break, then ever longer."""
    pause = 0.0 if failures <= 1 else min(FIRST_PAUSE_SECONDS * 2 ** min(failures - 2, 20), LONGEST_PAUSE_SECONDS)
    return max(pause * random.uniform(0.5, 1.5) + random.uniform(0.0, 0.2), asked)  # noqa: S311 - jitter


async def _subscribe(streams: Streams, group: Group) -> None:
    """Bring the subscriptions in line with what is wanted; one that is refused rests, and the others go on."""
    watch = streams.watch
    group.moved.clear()
    for ref in [ref for ref in group.living if ref not in group.wanted or ref in group.renewed]:
        gone = group.drop(ref)
        if gone is not None:
            await watch.unsubscribe(ref, gone, group.affinity)
    group.renewed.clear()

    async def one(ref: CalendarRef) -> None:
        body = requests.subscribe_streaming([watch.folder_of(ref)])
        made = await watch.subscribe(ref, body, group.affinity)
        group.living[ref], group.names[made.id] = made.id, ref

    missing = watch.may_try(group.wanted - group.living.keys())
    first = missing[: 1 if not group.affinity.cookies else 0]  # its cookie leads the others to the same back end
    for part in (first, missing[len(first) :]):
        for ref, trouble in (await each(part, one)).items():
            watch.lost([ref], trouble)
            log.info("subscription_refused", mailbox=masked(ref.mailbox), code=trouble.code)


async def _until_moved(streams: Streams, group: Group) -> None:
    """Wait until something else is wanted, or somebody may be tried again."""
    seconds = streams.watch.patience.seconds(group.wanted - group.living.keys())
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await group.moved.wait()


async def _listen(streams: Streams, group: Group) -> None:
    """Read one connection until the server closes it in good order, or other subscriptions are to be on it."""
    ids = list(group.living.values())
    body, anchor = requests.get_streaming_events(ids, minutes=MINUTES), group.affinity.anchor
    answers = streams.watch.session.stream("GetStreamingEvents", body, mailbox=anchor, affinity=group.affinity)
    reading: asyncio.Future[Element | None] | None = None
    heard, group.heard_at = False, time.monotonic()
    try:
        while True:
            reading = reading or asyncio.ensure_future(anext(answers, None))
            if not await _came(streams, group, reading, heard=heard):
                if await _has_others(streams, group):
                    return
                _complain_of_silence(streams, group, heard=heard)
                continue
            answer, reading = reading.result(), None
            if answer is None:
                return
            heard, group.heard_at = True, time.monotonic()
            if await _take(streams, group, answer, ids):
                return
    finally:
        if reading is not None:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
        await answers.aclose()  # type: ignore[attr-defined]


async def _came(streams: Streams, group: Group, reading: asyncio.Future[Element | None], *, heard: bool) -> bool:
    """Wait for the next word; False when it is time to look after the subscriptions instead."""
    patience = SILENCE_SECONDS if heard else FIRST_SECONDS
    resting = streams.watch.patience.seconds(group.wanted - group.living.keys())
    silent = group.heard_at + patience - time.monotonic()
    moving = asyncio.ensure_future(group.moved.wait())
    try:
        seconds = max(0.0, silent if resting is None else min(silent, resting))
        waits: set[asyncio.Future[Any]] = {reading, moving}
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        moving.cancel()
    return reading.done()


async def _has_others(streams: Streams, group: Group) -> bool:
    """Bring subscriptions in line, and say whether the connection has to be opened anew for that.

    What the server says into a connection that we close is said to nobody, so all are compared once it is open again.
    """
    before = dict(group.living)
    await _subscribe(streams, group)
    if group.living == before:
        return False
    streams.watch.told.difference_update(group.living)
    return True


def _complain_of_silence(streams: Streams, group: Group, *, heard: bool) -> None:
    """Raise Transient when the server has been silent for too long, DoesNotWork when it never said a word."""
    if time.monotonic() - group.heard_at < (SILENCE_SECONDS if heard else FIRST_SECONDS):
        return
    trouble = Transient("general.timeout", Scope.CALENDAR, host=streams.watch.session.login.url)
    if not streams.is_proven:
        raise DoesNotWork(trouble)
    raise trouble


async def _take(streams: Streams, group: Group, answer: Element, ids: list[str]) -> bool:
    """Take one answer; say whether the connection is over."""
    watch, is_over = streams.watch, False
    for outcome in soap.outcomes(answer):
        told = notices.read_told(outcome.element)
        bad = told.lost if outcome.is_error else ()
        if outcome.is_error and not bad:
            raise await refused(watch.session, outcome, group.affinity.anchor, least=Scope.CALENDAR)
        why = await refused(watch.session, outcome, group.affinity.anchor) if bad else None
        for ref in [group.names[name] for name in bad if name in group.names]:
            _drop_bad(streams, group, ref, why)
        if not outcome.is_error:
            streams.is_proven = True
            watch.watched(ref for ref, name in group.living.items() if name in ids)
        watch.changed(
            group.names[said.subscription]
            for said in told.notifications
            if not said.is_alive and said.subscription in group.names
        )
        is_over = is_over or told.closed or bool(bad)
    return is_over


def _drop_bad(streams: Streams, group: Group, ref: CalendarRef, why: Trouble | None) -> None:
    """Drop a subscription the server does not know. One that never worked among the others may lie on another back end."""
    group.drop(ref)
    if ref in streams.watch.told:
        streams.watch.lost([ref], why)
        return
    streams.watch.patience.failed(ref)
    if len(group.wanted) > 1 and ref not in streams.alone:
        streams.alone.add(ref)
        _leave(streams, ref)
        streams.strays.set()
