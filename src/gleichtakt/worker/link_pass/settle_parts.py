"""Settling a series that the other side keeps in parts: first what is agreed, then each part towards it.

What both sides agree on is recorded before the first write, in one transaction with the intents. So an interruption
leaves nothing to decide again: the next plan finds the parts that do not stand as agreed, and goes on. Only a deletion is
recorded at its end, as with any copy. What gives way, to parts or from them, is deleted last: for a moment a meeting
stands twice, never not at all.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncConnection

from gleichtakt.errors import Trouble
from gleichtakt.store import calendars, pairings, parts, passes, records
from gleichtakt.store.database import new_id
from gleichtakt.store.parts import PartRow
from gleichtakt.store.records import ActionRow
from gleichtakt.sync import parts as rules
from gleichtakt.sync.breaker import write_row
from gleichtakt.sync.decide import series_fields
from gleichtakt.sync.flat import unflatten
from gleichtakt.sync.parts import Step
from gleichtakt.sync.plan import Action, Side, Verb, read_action
from gleichtakt.worker.link_pass.context import Pass
from gleichtakt.worker.link_pass.effects import Intent
from gleichtakt.worker.link_pass.send import prepare, send
from gleichtakt.worker.link_pass.shape import agreed_there, read_parts, written_fields

#: Verbs in the order in which they are sent: what is new stands before what is old goes.
BATCHES = (("create", "update"), ("delete",))


async def settle_parts(work: Pass, plan_id: UUID, row: ActionRow) -> None:
    """Carry out one action on a series in parts."""
    if row.series_id is None:
        raise ValueError("parts without a series")
    action = read_action(row.action["action"])
    intents = await _begin(work, plan_id, row.series_id, row, action)
    if intents is not None and await bring(work, plan_id, row.series_id, intents):
        await _end(work, plan_id, row.series_id, row, action)


async def bring(work: Pass, plan_id: UUID, series_id: UUID, intents: Sequence[Intent]) -> bool:
    """Send the stored writes of one series; say whether all went through. Raises what stops more than one series."""
    waiting = list(intents)
    all_went = True
    try:
        for verbs in BATCHES:
            batch = [intent for intent in waiting if intent.verb in verbs]
            waiting = [intent for intent in waiting if intent not in batch]
            await prepare(work, batch)
            all_went = all_went and (not batch or await send(work, plan_id, batch))
            if not all_went:
                break
    except Trouble:
        await _let_go_on(work, series_id, waiting)
        raise
    if not all_went:
        await _let_go_on(work, series_id, waiting)
    return all_went


async def _let_go_on(work: Pass, series_id: UUID, unsent: Sequence[Intent]) -> None:
    """After a write that failed: forget those that were not even sent, and keep those whose outcome is open."""
    async with work.writing() as connection:
        await parts.void(connection, work.link, [intent.part for intent in unsent if intent.part])
        await parts.close(connection, work.link, series_id)


# --- what is agreed, and the intents -----------------------------------------------------------------------------


async def _begin(work: Pass, plan_id: UUID, series_id: UUID, row: ActionRow, action: Action) -> list[Intent] | None:
    """Record what is agreed and what is about to be written; None where our series has moved on since the plan."""
    version = row.action["version"] or None
    async with work.writing() as connection:
        await pairings.hold_still(connection, work.link, [series_id])
        if not await pairings.open_intents(connection, work.link, [(series_id, version, parts.OPEN)]):
            await records.mark_actions(connection, plan_id, [row.number], "skipped")
            return None
        if not parts.is_place(row.href) and (row.action["goes_to_parts"] or action.verb is Verb.DELETE):
            await _enter(work, connection, series_id, row)
        if action.verb is not Verb.DELETE and action.agreed is not None:
            await _agree(work, connection, series_id, row, action)
        keep = action.verb is not Verb.DELETE and row.action["goes_to_parts"]
        context = {"plan_id": plan_id, "number": row.number, "version": row.action["version"] or 0}
        return await begin(work, connection, series_id, keep=keep, facts={**row.action, **context})


async def _enter(work: Pass, connection: AsyncConnection, series_id: UUID, row: ActionRow) -> None:
    """Begin to keep a copy in parts: the object that held it as a whole is to give way."""
    await parts.enter(connection, work.link, series_id)
    if row.href:
        stands = row.action.get("whole")
        held = passes.encode(stands) if stands is not None else None
        whole = {"id": new_id(), "series_id": series_id, "slot": rules.WHOLE, "href": row.href, "stored": held, "sent": None}
        await parts.add(connection, work.link, [whole])


async def _agree(work: Pass, connection: AsyncConnection, series_id: UUID, row: ActionRow, action: Action) -> None:
    link, facts, agreed = work.link, row.action, action.agreed
    if agreed is None:
        raise ValueError("an agreement without a base")
    before = await pairings.pair_of(connection, link, series_id)
    known = (await parts.of(connection, link, [series_id])).get(series_id, [])
    await pairings.settle(
        connection,
        [
            {
                "resource_id": link.resource_id,
                "link_id": link.id,
                "series_id": series_id,
                "href": parts.place(series_id),
                "remote_uid": "",
                "etag": "",
                "series_version": facts["version"] or 0,
                "base_ours": passes.encode(agreed.ours),
                "base_theirs": passes.encode(agreed.theirs),
                "made_by_us": True,
                "wrote": passes.encode([write_row(Side.PROVIDER, work.now.timestamp(), "provider" in facts.get("answers", ()))]),
            }
        ],
    )
    await agree_on_parts(work, connection, row)
    if before is not None and (base := agreed_there(before)) is not None:
        after = unflatten(agreed.theirs, base.uid)
        await parts.rename(connection, link, rules.renamed(read_parts(known), base, after, work.window, work.reader))
    await passes.journal(connection, [journal_entry(work, series_id, action)])


async def agree_on_parts(work: Pass, connection: AsyncConnection, row: ActionRow) -> None:
    """Note what counts as seen of the parts by what was agreed, as the plan worked it out."""
    seen = row.action.get("parts") or {"halves": [], "gone": []}
    await parts.agree(connection, work.link, [(UUID(part_id), stored, sent) for part_id, stored, sent in seen["halves"]])
    await parts.drop(connection, work.link, [UUID(part_id) for part_id in seen["gone"]])


def journal_entry(work: Pass, series_id: UUID, action: Action) -> dict[str, Any]:
    """Give the journal row of a write of a whole series that is kept in parts."""
    return {
        "resource_id": work.link.resource_id,
        "organization_id": work.link.organization_id,
        "link_id": work.link.id,
        "run_id": work.run_id,
        "series_id": series_id,
        "href": parts.place(series_id),
        "verb": action.verb.value,
        "fields": passes.encode(sorted(action.fields)),
        "before": calendars.write_document(action.before) if action.before else None,
        "after": calendars.write_document(action.series) if action.series and action.verb is not Verb.DELETE else None,
    }


async def begin(
    work: Pass, connection: AsyncConnection, series_id: UUID, *, keep: bool, facts: Mapping[str, Any]
) -> list[Intent]:
    """Store the intents that bring the parts of a series to what is agreed; without *keep*, to nothing.

    facts: origin, from_here, version, and plan_id and number of the action.
    """
    link = work.link
    pair = await pairings.pair_of(connection, link, series_id)
    rows = {row.id: row for row in (await parts.of(connection, link, [series_id])).get(series_id, [])}
    agreed = agreed_there(pair) if keep and pair is not None else None
    steps = rules.pending(agreed, read_parts(rows.values()), work.limits, work.window, work.reader, written_fields(work, pair))
    await parts.drop(connection, link, [step.part.id for step in steps if step.verb == "forget" and step.part])
    noted = [(step.part, step.sent) for step in steps if step.verb == "note"]
    await parts.agree(connection, link, [(part.id, part.stored, sent) for part, sent in noted if part])
    intents = [_intent(work, series_id, step, rows, facts) for step in steps if step.verb in ("create", "update", "delete")]
    fresh = [intent for intent in intents if intent.part not in rows]
    nothing = {"href": None, "stored": None, "sent": None, "series_id": series_id}
    await parts.add(connection, link, [{**nothing, "id": intent.part, "slot": intent.slot} for intent in fresh])
    await parts.begin(connection, link, series_id, {intent.part: intent.document() for intent in intents if intent.part})
    return intents


def _intent(work: Pass, series_id: UUID, step: Step, rows: Mapping[UUID, PartRow], facts: Mapping[str, Any]) -> Intent:
    row = rows.get(step.part.id) if step.part else None
    series = step.series
    return Intent(
        series_id=series_id,
        verb=step.verb,
        key=_key(work, series_id, step.slot, facts["version"]) if step.verb == "create" else uuid4().hex,
        uid=series.uid if series else "",
        href=(row.href or "") if row else "",
        expect=row.etag if row else "",
        series=series,
        before=step.before,
        fields=series_fields(step.before, step.series) if step.before and step.series else frozenset(),
        origin=facts["origin"],
        from_here=False,
        version=facts["version"],
        plan_id=facts.get("plan_id"),
        number=facts.get("number", 0),
        part=row.id if row else new_id(),
        slot=step.slot,
        sent=step.sent,
    )


def _key(work: Pass, series_id: UUID, slot: str, version: int) -> str:
    """Give the idempotency key of a part: the same for every attempt to make it from one version of its series."""
    name = f"{work.epoch}/{work.link.id}/{series_id}/{slot}/{version}"
    return hashlib.blake2b(name.encode(), digest_size=16).hexdigest()


# --- the end -----------------------------------------------------------------------------------------------------


async def _end(work: Pass, plan_id: UUID, series_id: UUID, row: ActionRow, action: Action) -> None:
    """Note that every write went through."""
    link = work.link
    async with work.writing() as connection:
        await pairings.hold_still(connection, link, [series_id])
        if action.verb is Verb.DELETE:
            await pairings.unpair(connection, link, series_id, forget=bool(row.action["ours_gone"]))
            await parts.drop_all(connection, link, series_id)
            await passes.journal(connection, [journal_entry(work, series_id, action)])
        else:
            await parts.finish(connection, link, series_id)
        await records.mark_actions(connection, plan_id, [row.number], "done")
        await records.close_problems(connection, link, series_ids=[series_id])
        await records.close_conflicts(connection, link, [series_id], "merged")
