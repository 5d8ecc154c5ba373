"""Undo of what a run wrote to a series that the other side keeps in parts: the series is set back, its parts follow.

A part that only entered with the window was no change of anything, and stays. What was set back counts as agreed, as with
any copy, so that it does not travel on.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from gleichtakt.errors import Permanent, Scope
from gleichtakt.store import pairings, parts, passes, records
from gleichtakt.store.database import new_id
from gleichtakt.store.pairings import PairRow
from gleichtakt.sync.flat import flatten
from gleichtakt.sync.parts import WHOLE
from gleichtakt.sync.plan import Action, Verb
from gleichtakt.sync.undo import rebase
from gleichtakt.worker.link_pass.context import Pass
from gleichtakt.worker.link_pass.plan import shown_there
from gleichtakt.worker.link_pass.settle_parts import begin, bring, journal_entry
from gleichtakt.worker.link_pass.shape import look


async def joined_documents(work: Pass, connection: AsyncConnection, series_ids: Sequence[UUID]) -> dict[str, tuple[str, str]]:
    """Give what series in parts say together, by the name of their copy, as `observations.documents` does of others."""
    known = await parts.of(connection, work.link, series_ids)
    joined: dict[str, tuple[str, str]] = {}
    for series_id in series_ids:
        pair = await pairings.pair_of(connection, work.link, series_id)
        if pair is None or not parts.is_place(pair.href):
            continue
        row, _ = look(work, pair, known.get(series_id, ()))
        if row.theirs is not None and not row.gone:
            joined[parts.place(series_id)] = row.theirs, ""
    return joined


async def undo_in_parts(work: Pass, place: str, series_id: UUID, action: Action) -> None:
    """Set back one series and bring its parts to that. Repeating it after a crash is safe."""
    link, keep = work.link, action.verb is not Verb.DELETE
    async with work.writing() as connection:
        await pairings.hold_still(connection, link, [series_id])
        pair = await pairings.pair_of(connection, link, series_id)
        if is_lent := pair is None:
            await parts.lend(connection, link, series_id)
            pair = await pairings.pair_of(connection, link, series_id)
        if pair is None:
            raise ValueError("a pairing that was just made is missing")
        if keep:
            await _agree(work, connection, pair, action, place)
            await passes.journal(connection, [journal_entry(work, series_id, action)])
        facts = {"origin": pair.origin or "app", "version": pair.version or 0}
        intents = await begin(work, connection, series_id, keep=keep, facts=facts)
    if not await bring(work, new_id(), series_id, intents):
        async with work.writing() as connection:
            edited = Permanent("sync.undo_edited_since", Scope.SERIES)
            await records.open_problem(connection, link, edited, series_id=series_id)
        work.problems.append({"code": "sync.undo_edited_since", "place": place})
        return
    async with work.writing() as connection:
        await pairings.hold_still(connection, link, [series_id])
        if is_lent:
            await parts.take_back(connection, link, series_id)
            return
        if keep:
            await parts.finish(connection, link, series_id)
            return
        await pairings.unpair(connection, link, series_id, forget=False)
        await parts.drop_all(connection, link, series_id)
        await pairings.set_aside(connection, link, series_id, "unlinked")
        await passes.journal(connection, [journal_entry(work, series_id, action)])


async def _agree(work: Pass, connection: AsyncConnection, pair: PairRow, action: Action, place: str) -> None:
    """Record what counts as agreed: what was set back there, and nothing of what was edited since."""
    if action.series is None:
        raise ValueError("only what is to stand there is agreed on")
    if action.before is None:
        ours = shown_there(work, pair) if pair.document is not None else {}
        await pairings.agree_on(
            connection,
            work.link,
            pair.series_id,
            ours=ours,
            theirs=flatten(action.series),
            href=parts.place(pair.series_id),
        )
        return
    before = flatten(action.before)
    if not parts.is_place(place):
        await parts.enter(connection, work.link, pair.series_id)
        whole = {"id": new_id(), "series_id": pair.series_id, "slot": WHOLE, "href": place, "stored": passes.encode(before)}
        await parts.add(connection, work.link, [{**whole, "sent": None}])
    half = (pair.base_ours if pair.base_theirs is None else pair.base_theirs) or {}
    await pairings.agree_on(connection, work.link, pair.series_id, theirs=rebase(half, before, flatten(action.series)))
