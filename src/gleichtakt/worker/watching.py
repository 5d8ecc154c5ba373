"""Holds watches: one worker per connection listens to what its provider tells, and wakes the lanes concerned.

What is told is never more than a reason to look, so it is gathered for a moment and may be lost: after every
subscription each calendar is compared once, and the clock goes on slowly for safety. A watch that ends is tried again
after growing pauses; meanwhile its calendars are looked at as often as they would be without it.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Collection, Iterable
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, cast
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from gleichtakt.errors import AuthRequired, NotTried, Scope, Throttled, Transient, Trouble
from gleichtakt.onboarding.connect import Connections
from gleichtakt.providers.protocol import Ability, CalendarRef, Hint, Wanted
from gleichtakt.providers.registry import abilities_of, provider_names
from gleichtakt.settings import Settings
from gleichtakt.store import credentials, passes, records, watches
from gleichtakt.store.database import Database
from gleichtakt.store.watches import Held
from gleichtakt.worker.letterbox import Letters
from gleichtakt.worker.saying import say

log = structlog.get_logger(__name__)

BEATS: Final = 4  # in the time of one lease
ROUND_MOST_SECONDS: Final = 5.0
GATHER_SECONDS: Final = 0.03  # one change is often told in several pieces
PACE_SECONDS: Final = 1.0  # between two wake-ups of one calendar, however much is told of it
PROVEN_SECONDS: Final = 60.0  # a watch that lasted this long begins anew with counting its failures
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 300.0
AWAY_SECONDS: Final = 1.0

NEVER: Final = datetime.max.replace(tzinfo=UTC)

Key = tuple[UUID, CalendarRef]


@dataclass(slots=True)
class Holding:
    """One watch of ours. told: the calendars of which we noted that they are told of."""

    held: Held
    wanted: Wanted
    letters: Letters
    begun: float = field(default_factory=time.monotonic)
    told: set[CalendarRef] = field(default_factory=set)
    task: asyncio.Task[None] | None = None


@dataclass(slots=True)
class Keeper:
    """The watches of one worker. rung: what was told and is still to be passed on; last: when that was done before."""

    database: Database
    settings: Settings
    connections: Connections
    owner: str
    holdings: dict[UUID, Holding] = field(default_factory=dict)
    rung: set[Key] = field(default_factory=set)
    last: dict[Key, float] = field(default_factory=dict)
    something_rung: asyncio.Event = field(default_factory=asyncio.Event)
    again: datetime = NEVER  # when the first of those that failed may be begun again


def watchable() -> list[str]:
    """Give the names of the providers that can tell of changes."""
    return [name for name in provider_names() if Ability.WATCH in abilities_of(name).can]


async def keep_watch(keeper: Keeper) -> None:
    """Hold this worker's share of the watches until cancelled; then give them back."""
    seconds = min(ROUND_MOST_SECONDS, keeper.settings.lease_seconds / BEATS)
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(pass_on(keeper))
            group.create_task(_deliver(keeper))
            async with keeper.database.listen(watches.CHANNEL) as wakes:
                while True:
                    try:
                        await _round(keeper, group)
                    except Trouble as away:
                        say("watching_delayed", away)
                    except Exception:
                        log.exception("watching_failed", owner=keeper.owner)
                    await wakes.wait(_until_next_round(keeper, seconds))
    finally:
        await _farewell(keeper)


def _until_next_round(keeper: Keeper, seconds: float) -> float:
    """Give how long to rest between two rounds, unless woken."""
    now = datetime.now(UTC)
    if keeper.again <= now:
        keeper.again = NEVER
        return 0.0
    return min(seconds, (keeper.again - now).total_seconds())


async def _round(keeper: Keeper, group: asyncio.TaskGroup) -> None:
    """Renew what is ours, give up what is too much, take what nobody holds, and bring up to date what is wanted."""
    lease = keeper.settings.lease_seconds
    async with keeper.database.begin() as connection:
        kept = await watches.beat(connection, keeper.owner, [one.held for one in keeper.holdings.values()], lease)
    for connection_id in set(keeper.holdings) - kept:
        log.warning("watch_taken_over", connection=str(connection_id))
        await _drop(keeper, connection_id)
    async with keeper.database.begin() as connection:
        most = await watches.share(connection, watchable(), lease)
    for connection_id in list(keeper.holdings)[most:]:
        await _give_up(keeper, connection_id, "another worker is to hold it")
    if len(keeper.holdings) < most:
        async with keeper.database.begin() as connection:
            taken = await watches.claim(connection, keeper.owner, most - len(keeper.holdings), lease)
        for held in taken:
            keeper.holdings[held.connection_id] = Holding(held, Wanted(), Letters(keeper.database, keeper.settings, held))
    await _refresh(keeper, group)


async def _refresh(keeper: Keeper, group: asyncio.TaskGroup) -> None:
    """Tell each watch which calendars it is for, and begin those that have not begun."""
    async with keeper.database.read() as connection:
        found = await watches.targets(connection, [one.held for one in keeper.holdings.values()])
    for connection_id, holding in list(keeper.holdings.items()):
        version, targets = found.get(connection_id, (holding.held.version, []))
        if not targets or version != holding.held.version:
            why = "its connection has changed" if targets else "nothing is to be watched"
            await _give_up(keeper, connection_id, why, for_another=False)
            continue
        refs = {CalendarRef(target.mailbox, target.calendar): target.notified_by for target in targets}
        holding.told &= refs.keys()
        doubted = {ref for ref in holding.told if refs[ref] == "polling"}
        holding.told -= doubted
        holding.wanted.become(refs, doubted)
        if holding.task is None:
            holding.task = group.create_task(_hold(keeper, holding), name=f"watch {connection_id}")


# --- one watch ---------------------------------------------------------------------------------------------------


async def _hold(keeper: Keeper, holding: Holding) -> None:
    """Listen until the watch ends, and say in rows why it did."""
    held = holding.held
    trouble: Trouble = Transient("general.unreachable", Scope.ACCOUNT, host=held.provider, url="")
    log.info("watch_subscribing", connection=str(held.connection_id), calendars=len(holding.wanted.refs))
    try:
        await _listen(keeper, holding)
    except Trouble as ended:
        trouble = ended
    except Exception:
        log.exception("watch_broken", connection=str(held.connection_id))
    if keeper.holdings.get(held.connection_id) is holding:
        await _until_noted(lambda: _failed(keeper, holding, trouble))
        if keeper.holdings.get(held.connection_id) is holding:  # else it has been taken again already
            del keeper.holdings[held.connection_id]
        keeper.database.notify(watches.CHANNEL)


async def _listen(keeper: Keeper, holding: Holding) -> None:
    held = holding.held
    async with keeper.database.read() as connection:
        provider = await keeper.connections.get(connection, held.connection_id, held.version)
    letterbox = holding.letters if keeper.settings.public_url else None
    async with aclosing(provider.watch(holding.wanted, letterbox)) as hints:
        async for hint in hints:
            if hint.changed:
                keeper.rung.update((held.connection_id, ref) for ref in hint.changed)
                keeper.something_rung.set()
            if hint.watched or hint.lost:
                await _until_noted(lambda hint=hint: _note(keeper, holding, hint))  # type: ignore[misc]


async def _note(keeper: Keeper, holding: Holding, hint: Hint) -> None:
    """Write down what is watched and what is not any more."""
    held = holding.held
    async with keeper.database.begin() as connection:
        if hint.lost:
            await watches.lost(connection, held, _places(hint.lost))
        if hint.watched:
            await watches.watched(connection, held, _places(hint.watched), hint.how.value)
            await watches.works(connection, held)
    holding.told |= hint.watched
    holding.told -= hint.lost
    if hint.watched:
        log.info("watch_held", connection=str(held.connection_id), calendars=len(hint.watched), by=hint.how.value)
    if hint.lost:
        code = hint.why.code if hint.why else ""
        log.warning("watch_lost", connection=str(held.connection_id), calendars=len(hint.lost), code=code)


async def _failed(keeper: Keeper, holding: Holding, trouble: Trouble) -> None:
    """Give a watch back that ended: until when it rests, and what that says of the login."""
    held = holding.held
    has_lasted = time.monotonic() - holding.begun > PROVEN_SECONDS
    attempt = 1 if has_lasted else held.attempt + 1
    again = next_try(trouble, attempt, datetime.now(UTC), random.random())  # noqa: S311 - jitter
    keeper.again = min(keeper.again, again)
    async with keeper.database.begin() as connection:
        if isinstance(trouble, AuthRequired) and trouble.scope is Scope.ACCOUNT and not isinstance(trouble, NotTried):
            await _note_refusal(connection, held, trouble)
        await watches.failed(connection, held, again, attempt, trouble.code, trouble.params)
    log.warning(
        "watch_ended",
        connection=str(held.connection_id),
        calendars=len(holding.told),
        code=trouble.code,
        next_try=again.isoformat(timespec="seconds"),
    )


async def _note_refusal(connection: AsyncConnection, held: Held, trouble: AuthRequired) -> None:
    """Count a refused login, and tell people, as a pass that met it would have."""
    until = await credentials.refused(connection, held.connection_id, datetime.now(UTC))
    await records.note_connection(connection, held, trouble)
    link_id = await watches.one_link(connection, held)
    link = await passes.link_row(connection, link_id) if link_id else None
    if link is not None:
        await records.open_problem(connection, link, trouble, next_try_at=until)


def next_try(trouble: Trouble, attempt: int, now: datetime, dice: float) -> datetime:
    """Give when a watch that ended is begun again. attempt: failures in a row. dice: 0 to 1, so that not all come together."""
    if isinstance(trouble, Throttled):
        return max(trouble.until, now) + timedelta(seconds=dice * FIRST_PAUSE_SECONDS)
    if attempt <= 1:
        return now + timedelta(seconds=dice * FIRST_PAUSE_SECONDS)
    pause = min(FIRST_PAUSE_SECONDS * 2 ** min(attempt - 1, 20), LONGEST_PAUSE_SECONDS)
    return now + timedelta(seconds=pause * (0.5 + dice))


def _places(refs: Iterable[CalendarRef]) -> list[watches.Place]:
    return [(ref.mailbox, ref.calendar) for ref in refs]


async def _until_noted(note: Callable[[], object]) -> None:
    """Write something down, however long our database is away."""
    while True:
        try:
            await cast("asyncio.Future[None]", note())
        except Transient as away:
            say("watch_not_noted", away)
            await asyncio.sleep(AWAY_SECONDS)
        else:
            return


# --- the end of a watch ------------------------------------------------------------------------------------------


async def _drop(keeper: Keeper, connection_id: UUID) -> None:
    """Stop a watch; its rows are somebody else's."""
    holding = keeper.holdings.pop(connection_id)
    if holding.task is not None:
        holding.task.cancel()
        await asyncio.wait([holding.task])


async def _give_up(keeper: Keeper, connection_id: UUID, why: str, *, for_another: bool = True) -> None:
    """Stop a watch and give it back. for_another: who takes it at once, subscribes again and compares everything once."""
    held = keeper.holdings[connection_id].held
    await _drop(keeper, connection_id)
    async with keeper.database.begin() as connection:
        if not for_another:
            await watches.lost(connection, held, None)
        await watches.release(connection, held)
    log.info("watch_given_back", connection=str(connection_id), why=why)


async def _farewell(keeper: Keeper) -> None:
    """Give everything back, because this worker ends."""
    held: Collection[UUID] = list(keeper.holdings)
    with suppress(Trouble):  # leases end by themselves
        for connection_id in held:
            await _give_up(keeper, connection_id, "the worker stops")
        async with keeper.database.begin() as connection:
            await watches.farewell(connection, keeper.owner)


# --- passing on --------------------------------------------------------------------------------------------------


async def pass_on(keeper: Keeper) -> None:
    """Wake lanes for what was told: at once when it is the first in a while, else at a pace."""
    while True:
        await keeper.something_rung.wait()
        await asyncio.sleep(GATHER_SECONDS)
        keeper.something_rung.clear()
        now = time.monotonic()
        due = {key for key in keeper.rung if keeper.last.get(key, -PACE_SECONDS) + PACE_SECONDS <= now}
        if due:
            keeper.rung -= due  # what is told of them from now on is news again
            try:
                await _ring(keeper, due)
            except Trouble as away:
                keeper.rung |= due
                say("watch_not_passed_on", away)
                await asyncio.sleep(AWAY_SECONDS)
                keeper.something_rung.set()
                continue
            keeper.last = {key: at for key, at in keeper.last.items() if at + PACE_SECONDS > now} | dict.fromkeys(due, now)
        if keeper.rung:
            soonest = min(keeper.last.get(key, now) for key in keeper.rung) + PACE_SECONDS
            asyncio.get_running_loop().call_later(max(soonest - now, 0.0), keeper.something_rung.set)


async def _ring(keeper: Keeper, due: Collection[Key]) -> None:
    told: dict[UUID, list[watches.Place]] = {}
    for connection_id, ref in due:
        told.setdefault(connection_id, []).append((ref.mailbox, ref.calendar))
    async with keeper.database.begin() as connection:
        await watches.ring(connection, told)


async def _deliver(keeper: Keeper) -> None:
    """Hand what providers called in to say to the watches it is for."""
    async with keeper.database.listen(watches.LETTERS) as wakes:
        while True:
            try:
                async with keeper.database.begin() as connection:
                    arrived = await watches.take_letters(connection, list(keeper.holdings))
                for connection_id, mailbox, calendar, headers, body in arrived:
                    if connection_id in keeper.holdings:
                        keeper.holdings[connection_id].letters.put(CalendarRef(mailbox, calendar), headers, body)
            except Trouble as away:
                say("letters_delayed", away)
            await wakes.wait(ROUND_MOST_SECONDS)
