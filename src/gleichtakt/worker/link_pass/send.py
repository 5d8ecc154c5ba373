"""Sending writes: many requests in flight, outcomes recorded in groups meanwhile, and what follows from each failure."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from gleichtakt.errors import Ambiguous, Conflict, Gone, Permanent, Scope, Throttled, Trouble
from gleichtakt.model.event import Series
from gleichtakt.providers.protocol import Href
from gleichtakt.store import calendars, observations, pairings, parts, records
from gleichtakt.worker.link_pass.context import Pass
from gleichtakt.worker.link_pass.effects import Done, Intent, perform, record
from gleichtakt.worker.link_pass.observe import fetch
from gleichtakt.worker.link_pass.resolve import resolve_one

RECORDED_AT_ONCE, RECORD_SECONDS = 25, 0.5  # their intents are stored, so that a crash before that costs a look, no more
RETRY_FIRST, RETRY_MOST = timedelta(seconds=30), timedelta(minutes=15)
STALE_MOST = 3
LOST_MOST = 2


async def prepare(work: Pass, intents: Sequence[Intent]) -> None:
    """Let the provider read at once what updates that follow need to know."""
    updates = [Href(intent.href) for intent in intents if intent.verb == "update"]
    if len(updates) > 1:
        await work.provider.prepare(work.calendar, updates)


async def send(work: Pass, plan_id: UUID, intents: Sequence[Intent]) -> bool:
    """Send writes whose intents are stored, and record outcomes as they come in; say whether all went through."""
    outcome = _Outcomes(work)
    recorder = asyncio.create_task(outcome.keep_recording())
    try:
        await _send_all(work, intents, outcome)
    finally:
        outcome.finish()
        await recorder
    await _after(work, plan_id, outcome)
    return not outcome.troubles and not outcome.unsent


class _Outcomes:
    """Writes whose outcome became known, recorded in groups by one task while others are still being sent."""

    def __init__(self, work: Pass) -> None:
        self._work = work
        self._known: list[Done] = []
        self._more = asyncio.Event()
        self._finished = False
        self.troubles: list[tuple[Intent, Trouble]] = []
        self.stopped_by: Trouble | None = None
        self.unsent: list[Intent] = []

    def add(self, done: Done) -> None:
        self._known.append(done)
        if len(self._known) >= RECORDED_AT_ONCE:
            self._more.set()

    def finish(self) -> None:
        self._finished = True
        self._more.set()

    async def keep_recording(self) -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(RECORD_SECONDS):
                    await self._more.wait()
            self._more.clear()
            group, self._known = self._known, []
            await record(self._work, group)
            if self._finished and not self._known:
                return


async def _send_all(work: Pass, intents: Sequence[Intent], outcome: _Outcomes) -> None:
    """Send with as many requests in flight as the mailbox bears; stop at a trouble wider than one series."""
    queue = list(reversed(intents))

    async def send_some() -> None:
        while queue:
            if outcome.stopped_by is not None:
                return
            intent = queue.pop()
            try:
                outcome.add(await perform(work, intent))
            except Trouble as trouble:
                outcome.troubles.append((intent, trouble))
                if trouble.scope is not Scope.SERIES:
                    outcome.stopped_by = trouble

    async with asyncio.TaskGroup() as group:
        for _ in range(max(1, min(work.provider.abilities.max_in_flight, len(queue)))):
            group.create_task(send_some())
    outcome.unsent = queue


async def _after(work: Pass, plan_id: UUID, outcome: _Outcomes) -> None:
    """Deal with what did not go through; raise what stops the calendar or the account."""
    if outcome.unsent:
        async with work.writing() as connection:
            await pairings.drop_intents(connection, work.link, [intent.series_id for intent in outcome.unsent])
            await parts.void(connection, work.link, [intent.part for intent in outcome.unsent if intent.part])
            await records.mark_actions(connection, plan_id, [intent.number for intent in outcome.unsent], "skipped")
    for intent, trouble in outcome.troubles:
        await _deal_with(work, plan_id, intent, trouble)
    if outcome.stopped_by is not None:
        raise outcome.stopped_by


async def _deal_with(work: Pass, plan_id: UUID, intent: Intent, trouble: Trouble) -> None:
    """Say what follows from a write that failed, by its kind."""
    if isinstance(trouble, Ambiguous):
        try:
            if await resolve_one(work, intent.series_id, intent.document()):
                return
        except Trouble:
            work.postponed += 1  # still open: the next pass reads back before anything else
            return
        await _lost(work, intent, trouble)
    elif isinstance(trouble, Conflict):
        await _read_again(work, intent, trouble)
    elif isinstance(trouble, Permanent) and trouble.scope is Scope.SERIES:
        await _park(work, intent, trouble)
    elif trouble.scope is Scope.SERIES:
        await _try_later(work, intent, trouble)
    else:
        async with work.writing() as connection:
            await pairings.drop_intents(connection, work.link, [intent.series_id])
    async with work.writing() as connection:
        if intent.part is not None:
            await parts.void(connection, work.link, [intent.part])
        await records.mark_actions(connection, plan_id, [intent.number], "failed", trouble.code)


async def _read_again(work: Pass, intent: Intent, trouble: Conflict) -> None:
    """Bring our picture up to date, so that the next round merges; after some rounds ask for a pause."""
    missing: list[str] = []
    if intent.href:
        missing = [intent.href] if isinstance(trouble, Gone) else await fetch(work, [intent.href])
    async with work.writing() as connection:
        await observations.mark_gone(connection, work.link, missing)
        attempts = await pairings.failed_again(connection, work.link, intent.series_id)
    if attempts >= STALE_MOST:
        await _try_later(work, intent, trouble)


async def _lost(work: Pass, intent: Intent, trouble: Ambiguous) -> None:
    """Count a write without answer and effect; one that gets none again and again steps aside, so that the rest goes on."""
    async with work.writing() as connection:
        attempts = await pairings.lost_again(connection, work.link, intent.series_id)
    if attempts >= LOST_MOST:
        await _try_later(work, intent, trouble)


async def _park(work: Pass, intent: Intent, trouble: Permanent) -> None:
    async with work.writing() as connection:
        await pairings.hold_still(connection, work.link, [intent.series_id])
        await pairings.postpone(
            connection,
            work.link,
            intent.series_id,
            retry_at=None,
            state="parked",
            code=trouble.code,
            version=intent.version or None,
        )
        await _list(work, connection, intent, trouble)
    work.problems.append({"code": trouble.code, "series_id": str(intent.series_id), "side": "provider"})


async def _list(
    work: Pass, connection: AsyncConnection, intent: Intent, trouble: Trouble, next_try_at: datetime | None = None
) -> None:
    """List a write that failed among the problems."""
    await records.open_problem(
        connection,
        work.link,
        trouble,
        series_id=intent.series_id,
        href=intent.href or None,
        event_start=_start(work, intent.series),
        next_try_at=next_try_at,
    )


async def _try_later(work: Pass, intent: Intent, trouble: Trouble) -> None:
    async with work.writing() as connection:
        attempts = await pairings.failed_again(connection, work.link, intent.series_id)
        pause = min(RETRY_FIRST * 2 ** min(attempts, 10), RETRY_MOST)
        until = work.now + pause
        if isinstance(trouble, Throttled):
            until = max(until, trouble.until)
        await pairings.postpone(connection, work.link, intent.series_id, retry_at=until, state="open", code=trouble.code)
        await _list(work, connection, intent, trouble, until)
    work.postponed += 1
    work.problems.append({"code": trouble.code, "series_id": str(intent.series_id), "side": "provider"})


def _start(work: Pass, series: Series | None) -> datetime | None:
    return calendars.span_of(series, work.link.time_zone)[0] if series else None
