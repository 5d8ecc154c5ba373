"""Step 5: carry the plan out, each action alone: our side in batches of one transaction, theirs one request at a time.

Before a request goes out its intent is stored; when its outcome is known, base, observation and journal are recorded.
Outcomes are recorded in groups while further requests are under way, so that the provider is never waited for twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncConnection

from gleichtakt.store import calendars, observations, pairings, parts, passes, records
from gleichtakt.store.calendars import Write
from gleichtakt.store.records import ActionRow
from gleichtakt.sync.breaker import write_row
from gleichtakt.sync.plan import Action, Side, Verb, read_action
from gleichtakt.worker.link_pass.context import Pass
from gleichtakt.worker.link_pass.effects import VERBS, Intent
from gleichtakt.worker.link_pass.send import prepare, send
from gleichtakt.worker.link_pass.settle_parts import agree_on_parts, settle_parts

OURS_AT_ONCE = 100
THEIRS_AT_ONCE = 100


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
        await pairings.settle(
            connection, [_agreed(work, row, actions[row.number], written.versions) for row in going if _keeps(row)]
        )
        left = await _settle_their_parts(work, connection, going)
        halves = [row.number for row in going if row.side == Side.APP and row.verb == Verb.UPDATE]
        await pairings.expect_more(connection, link, plan_id, halves)
        await parts.look_again(connection, link, [row.series_id for row in going if row.series_id and row.action.get("halved")])
        for row in going:
            action = actions[row.number]
            if action.verb is Verb.DELETE and row.series_id and row.series_id not in left:
                await pairings.unpair(connection, link, row.series_id, forget=True)
            if action.verb is Verb.UNLINK and row.series_id:
                await pairings.unpair(connection, link, row.series_id, forget=bool(row.action["ours_gone"]))
                if not row.action["ours_gone"]:
                    await pairings.set_aside(connection, link, row.series_id, "unlinked")
        ended = [row.href for row in going if row.href and row.verb in (Verb.DELETE, Verb.UNLINK)]
        await observations.forget_gone(connection, link, ended)
        taken_over = [row.href for row in going if row.href and row.why == "sync.organizer_changed"]
        await observations.planned(connection, link, [row.href for row in going if row.href and row.href not in taken_over])
        await observations.look_again(connection, link, taken_over)
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


async def _settle_their_parts(work: Pass, connection: AsyncConnection, going: Sequence[ActionRow]) -> frozenset[UUID]:
    """Note what both sides now agree on of the parts that a series is kept in over there, or let them go with it.

    Gives the series whose object somebody deleted there while its former parts still stood: the next plan deletes those.
    """
    rows = [(row, row.series_id) for row in going if row.series_id and row.action.get("has_parts")]
    left: set[UUID] = set()
    for row, series_id in rows:
        if _keeps(row):
            await agree_on_parts(work, connection, row)
        elif row.verb == Verb.DELETE and row.href and not parts.is_place(row.href):
            await parts.enter(connection, work.link, series_id)
            left.add(series_id)
        else:
            await parts.drop_all(connection, work.link, series_id)
    await parts.leaving(connection, work.link, list(left))
    await parts.look_again(connection, work.link, [series_id for row, series_id in rows if _keeps(row)])
    return frozenset(left)


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
        in_parts = [row for row in rows if row.action.get("shape") == "parts" and row not in records_only]
        intents = [_intent(plan_id, row) for row in rows if row not in records_only and row not in in_parts]
        if made_whole := [row for row in rows if row.action.get("shape") == "whole"]:
            async with work.writing() as connection:
                for row in made_whole:
                    await agree_on_parts(work, connection, row)
        await _send_batch(work, plan_id, intents)
        for row in in_parts:
            await settle_parts(work, plan_id, row)
        if len(rows) < THEIRS_AT_ONCE:
            return


def _intent(plan_id: UUID, row: ActionRow) -> Intent:
    action, facts = read_action(row.action["action"]), row.action
    if row.series_id is None:
        raise ValueError("an effect without a series")
    made_whole = facts.get("shape") == "whole"  # its parts give way to one object
    return Intent(
        series_id=row.series_id,
        verb="create" if made_whole else row.verb,
        key=uuid4().hex,
        uid=action.uid,
        href="" if made_whole else row.href or "",
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
        made_whole=made_whole,
        has_parts=bool(facts.get("has_parts")),
    )


async def _send_batch(work: Pass, plan_id: UUID, intents: Sequence[Intent]) -> None:
    """Store the intents, send them, and record outcomes in groups as they come in."""
    if not intents:
        return
    await prepare(work, intents)
    async with work.writing() as connection:
        wanted = [(intent.series_id, intent.version or None, intent.document()) for intent in intents]
        await pairings.hold_still(connection, work.link, [intent.series_id for intent in intents])
        may_go = await pairings.open_intents(connection, work.link, wanted)
        skipped = [intent.number for intent in intents if intent.series_id not in may_go]
        await records.mark_actions(connection, plan_id, skipped, "skipped")
    await send(work, plan_id, [intent for intent in intents if intent.series_id in may_go])
