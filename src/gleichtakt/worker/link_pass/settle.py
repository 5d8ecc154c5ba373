"""Step 5: carry the plan out, each action alone: our side in batches of one transaction, theirs one request at a time.

Before a request goes out its intent is stored; when its outcome is known, base, observation and journal are recorded.
Outcomes are recorded in groups while further requests are under way, so that the provider is never waited for twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from gleichtakt.errors import Ambiguous, Conflict, Gone, Permanent, Scope, Throttled, Trouble
from gleichtakt.model.event import Series
from gleichtakt.providers.protocol import Href
from gleichtakt.store import calendars, passes, records
from gleichtakt.store.calendars import Write
from gleichtakt.store.records import ActionRow
from gleichtakt.sync.breaker import write_row
from gleichtakt.sync.plan import Action, Side, Verb, read_action
from gleichtakt.worker.link_pass.context import Pass
from gleichtakt.worker.link_pass.effects import VERBS, Done, Intent, perform, record
from gleichtakt.worker.link_pass.observe import fetch
from gleichtakt.worker.link_pass.resolve import resolve_one

OURS_AT_ONCE = 100
THEIRS_AT_ONCE = 100
RECORDED_AT_ONCE, RECORD_SECONDS = 25, 0.5  # their intents are stored, so that a crash before that costs a look, no more
RETRY_FIRST, RETRY_MOST = timedelta(seconds=30), timedelta(minutes=15)
STALE_MOST = 3
LOST_MOST = 2


async def settle(work: Pass, plan_id: UUID) -> None:
    """Carry out what the guards left in the plan, our side first."""
    await _settle_ours(work, plan_id)
    await _settle_theirs(work, plan_id)


# --- our side ----------------------------------------------------------------------------------------------------


async def _settle_ours(work: Pass, plan_id: UUID) -> None:
    after = 0
    while True:
        async with work.database.read() as connection:
            rows = await records.planned_actions(connection, plan_id, Side.APP.value, after, OURS_AT_ONCE)
        if not rows:
            return
        after = rows[-1].number
        await _write_ours(work, plan_id, rows)
        if len(rows) < OURS_AT_ONCE:
            return


async def _write_ours(work: Pass, plan_id: UUID, rows: Sequence[ActionRow]) -> None:
    """Write one batch of our side: lock, check that nothing moved since the plan, write, record the base."""
    link = work.link
    actions = {row.number: read_action(row.action["action"]) for row in rows}
    async with work.writing() as connection:
        standing = await calendars.lock(connection, link.resource_id, [row.series_id for row in rows if row.series_id])
        writes: list[Write] = []
        going: list[ActionRow] = []
        moved: list[int] = []
        for row in rows:
            before = standing.get(row.series_id) if row.series_id else None
            if row.series_id is None or (before.version if before else 0) != (row.action["version"] or 0):
                moved.append(row.number)  # changed since it was planned: it stays stale and is planned again
                continue
            going.append(row)
            action = actions[row.number]
            if action.is_effect:
                writes.append(
                    Write(
                        row.series_id,
                        action.series if action.verb is not Verb.DELETE else None,
                        before,
                        "sync",
                        origin="provider",
                        origin_link_id=link.id,
                        link_id=link.id,
                        run_id=work.run_id,
                        fields=sorted(action.fields),
                        loser=action.loser,
                    )
                )
        written = await calendars.write(connection, work.home, writes, work.now)
        await passes.settle(
            connection, [_agreed(work, row, actions[row.number], written.versions) for row in going if _keeps(row)]
        )
        halves = [row.number for row in going if row.side == Side.APP and row.verb == Verb.UPDATE]
        await passes.expect_more(connection, link, plan_id, halves)
        for row in going:
            action = actions[row.number]
            if action.verb is Verb.DELETE and row.series_id:
                await passes.unpair(connection, link, row.series_id, forget=True)
            if action.verb is Verb.UNLINK and row.series_id:
                await passes.unpair(connection, link, row.series_id, forget=bool(row.action["ours_gone"]))
                if not row.action["ours_gone"]:
                    await passes.set_aside(connection, link, row.series_id, "unlinked")
        ended = [row.href for row in going if row.href and row.verb in (Verb.DELETE, Verb.UNLINK)]
        await passes.forget_gone(connection, link, ended)
        taken_over = [row.href for row in going if row.href and row.why == "sync.organizer_changed"]
        await passes.planned(connection, link, [row.href for row in going if row.href and row.href not in taken_over])
        await passes.look_again(connection, link, taken_over)
        await records.mark_actions(connection, plan_id, [row.number for row in going], "done")
        await records.mark_actions(connection, plan_id, moved, "skipped")
        if moved:
            await records.skip_after(connection, plan_id, "skipped")
        for series_id, trouble in written.troubles.items():
            await records.open_problem(connection, link, trouble, series_id=series_id, side="app")
        done = [row.series_id for row in going if row.series_id and row.series_id not in written.troubles]
        await records.close_problems(connection, link, series_ids=done, hrefs=[row.href for row in going if row.href])
        kept = [row.series_id for row in going if row.series_id and _keeps(row)]
        await records.close_conflicts(connection, link, kept, "agreed")
    for row in going:
        if actions[row.number].is_effect:
            work.counts[f"app.{VERBS[row.verb]}"] += 1
        elif row.verb == Verb.LINK:
            work.counts["linked"] += 1


def _keeps(row: ActionRow) -> bool:
    """Say whether both sides hold it afterwards, so that there is a base to record."""
    return row.verb in (Verb.CREATE, Verb.UPDATE, Verb.LINK)


def _agreed(work: Pass, row: ActionRow, action: Action, versions: dict[UUID, int]) -> dict[str, Any]:
    if action.agreed is None or row.series_id is None:
        raise ValueError("an agreement without a base")
    return {
        "resource_id": work.link.resource_id,
        "link_id": work.link.id,
        "series_id": row.series_id,
        "href": row.href,
        "remote_uid": action.uid,
        "etag": row.action["expect"],
        "series_version": versions.get(row.series_id, row.action["version"]),
        "base_ours": passes.encode(action.agreed.ours),
        "base_theirs": passes.encode(action.agreed.theirs),
        "made_by_us": bool(row.action.get("made_by_us", False)),
        "wrote": passes.encode([write_row(Side.APP, work.now.timestamp(), _answers(row))] if action.is_effect else []),
    }


def _answers(row: ActionRow) -> bool:
    """Say whether a write answers a movement of the side it goes to, as the plan saw it."""
    return row.side in row.action.get("answers", ())


# --- their side --------------------------------------------------------------------------------------------------


async def _settle_theirs(work: Pass, plan_id: UUID) -> None:
    after = 0
    while True:
        async with work.database.read() as connection:
            rows = await records.planned_actions(connection, plan_id, Side.PROVIDER.value, after, THEIRS_AT_ONCE)
        if not rows:
            return
        after = rows[-1].number
        records_only = [row for row in rows if row.verb in (Verb.LINK, Verb.UNLINK)]
        if records_only:
            await _write_ours(work, plan_id, records_only)
        intents = [_intent(plan_id, row) for row in rows if row not in records_only]
        await _send_batch(work, plan_id, intents)
        if len(rows) < THEIRS_AT_ONCE:
            return


def _intent(plan_id: UUID, row: ActionRow) -> Intent:
    action, facts = read_action(row.action["action"]), row.action
    if row.series_id is None:
        raise ValueError("an effect without a series")
    return Intent(
        series_id=row.series_id,
        verb=row.verb,
        key=uuid4().hex,
        uid=action.uid,
        href=row.href or "",
        expect=facts["expect"],
        series=action.series,
        before=action.before,
        fields=action.fields,
        agreed=action.agreed.ours if action.agreed else None,
        origin=facts["origin"],
        from_here=facts["from_here"],
        version=facts["version"] or 0,
        plan_id=plan_id,
        number=row.number,
        why=row.why,
        ours_deleted=facts["ours_gone"],
        answers=_answers(row),
    )


async def _send_batch(work: Pass, plan_id: UUID, intents: Sequence[Intent]) -> None:
    """Store the intents, send them, and record outcomes in groups as they come in."""
    if not intents:
        return
    updates = [Href(intent.href) for intent in intents if intent.verb == "update"]
    if len(updates) > 1:
        await work.provider.prepare(work.calendar, updates)
    async with work.writing() as connection:
        wanted = [(intent.series_id, intent.version or None, intent.document()) for intent in intents]
        await passes.hold_still(connection, work.link, [intent.series_id for intent in intents])
        may_go = await passes.open_intents(connection, work.link, wanted)
        skipped = [intent.number for intent in intents if intent.series_id not in may_go]
        await records.mark_actions(connection, plan_id, skipped, "skipped")
    waiting = [intent for intent in intents if intent.series_id in may_go]
    outcome = _Outcomes(work)
    recorder = asyncio.create_task(outcome.keep_recording())
    try:
        await _send_all(work, waiting, outcome)
    finally:
        outcome.finish()
        await recorder
    await _after(work, plan_id, outcome)


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
                await asyncio.wait_for(self._more.wait(), RECORD_SECONDS)
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
            await passes.drop_intents(connection, work.link, [intent.series_id for intent in outcome.unsent])
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
            await passes.drop_intents(connection, work.link, [intent.series_id])
    async with work.writing() as connection:
        await records.mark_actions(connection, plan_id, [intent.number], "failed", trouble.code)


async def _read_again(work: Pass, intent: Intent, trouble: Conflict) -> None:
    """Bring our picture up to date, so that the next round merges; after some rounds ask for a pause."""
    missing: list[str] = []
    if intent.href:
        missing = [intent.href] if isinstance(trouble, Gone) else await fetch(work, [intent.href])
    async with work.writing() as connection:
        await passes.mark_gone(connection, work.link, missing)
        attempts = await passes.failed_again(connection, work.link, intent.series_id)
    if attempts >= STALE_MOST:
        await _try_later(work, intent, trouble)


async def _lost(work: Pass, intent: Intent, trouble: Ambiguous) -> None:
    """Count a write without answer and effect; one that gets none again and again steps aside, so that the rest goes on."""
    async with work.writing() as connection:
        attempts = await passes.lost_again(connection, work.link, intent.series_id)
    if attempts >= LOST_MOST:
        await _try_later(work, intent, trouble)


async def _park(work: Pass, intent: Intent, trouble: Permanent) -> None:
    async with work.writing() as connection:
        await passes.hold_still(connection, work.link, [intent.series_id])
        await passes.postpone(
            connection,
            work.link,
            intent.series_id,
            retry_at=None,
            state="parked",
            code=trouble.code,
            version=intent.version or None,
        )
        await records.open_problem(
            connection,
            work.link,
            trouble,
            series_id=intent.series_id,
            href=intent.href or None,
            event_start=_start(work, intent.series),
        )
    work.problems.append({"code": trouble.code, "series_id": str(intent.series_id), "side": "provider"})


async def _try_later(work: Pass, intent: Intent, trouble: Trouble) -> None:
    async with work.writing() as connection:
        attempts = await passes.failed_again(connection, work.link, intent.series_id)
        pause = min(RETRY_FIRST * 2 ** min(attempts, 10), RETRY_MOST)
        until = work.now + pause
        if isinstance(trouble, Throttled):
            until = max(until, trouble.until)
        await passes.postpone(connection, work.link, intent.series_id, retry_at=until, state="open", code=trouble.code)
        await records.open_problem(
            connection,
            work.link,
            trouble,
            series_id=intent.series_id,
            href=intent.href or None,
            event_start=_start(work, intent.series),
            next_try_at=until,
        )
    work.postponed += 1
    work.problems.append({"code": trouble.code, "series_id": str(intent.series_id), "side": "provider"})


def _start(work: Pass, series: Series | None) -> datetime | None:
    return calendars.span_of(series, work.link.time_zone)[0] if series else None
