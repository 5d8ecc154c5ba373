"""Undo of a run: its journal played backwards over this link, and nothing else.

What the run created goes away again and stays away (its pairing is `unlinked` until the link is reset), what it changed
or deleted comes back, edits made since stay. Undoing does not travel on: each side is set back for itself, and what was
set back counts as agreed. Where an original was never stored, a problem says so. Repeating it after a crash is safe,
because it starts from what stands there now and its creations carry keys made from the run.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from uuid import UUID

from gleichtakt.errors import Conflict, Gone, Permanent, Scope
from gleichtakt.model.event import Series
from gleichtakt.model.exchange_pattern import Grade
from gleichtakt.providers.protocol import Stored
from gleichtakt.store import calendars, observations, pairings, parts, passes, records
from gleichtakt.store.calendars import Write
from gleichtakt.store.pairings import PairRow
from gleichtakt.store.passes import JournalRow
from gleichtakt.sync import decide
from gleichtakt.sync.flat import flatten
from gleichtakt.sync.parts import grade
from gleichtakt.sync.plan import Action, Flat, Side, Verb
from gleichtakt.sync.undo import Entry, rebase, reverse
from gleichtakt.worker.link_pass.context import Pass
from gleichtakt.worker.link_pass.effects import VERBS, Intent, journal_entry, perform, seen_after
from gleichtakt.worker.link_pass.observe import fetch, inward, observed_row
from gleichtakt.worker.link_pass.plan import view_of
from gleichtakt.worker.undo_parts import joined_documents, undo_in_parts


async def undo_run(work: Pass) -> None:
    """Set back what the run named by this one (`undo_of`) wrote over this link."""
    async with work.database.read() as connection:
        rows = await passes.journal_of(connection, work.link, work.link.run_id)
    written = {row.href: row.series_id for row in rows if row.side == Side.PROVIDER and row.href and row.series_id}
    hrefs = sorted(href for href in written if not parts.is_place(href))
    in_parts = [series_id for href, series_id in written.items() if parts.is_place(href)]
    async with work.database.read() as connection:
        known = await parts.of(connection, work.link, in_parts)
    gone = await fetch(work, [*hrefs, *(row.href for found in known.values() for row in found if row.href)])
    async with work.writing() as connection:
        await observations.mark_gone(connection, work.link, gone)

        ours = await calendars.lock(connection, work.link.resource_id, [row.series_id for row in rows if row.series_id])
        theirs = await observations.documents(connection, work.link, hrefs)
        theirs |= await joined_documents(work, connection, in_parts)
    series_of = {row.href: row.series_id for row in rows if row.href and row.series_id}
    reversal = reverse([_entry(row, ours, theirs) for row in rows])
    for place, action in reversal.actions:
        if action.side is Side.APP:
            await _undo_ours(work, UUID(place), action)
        elif parts.is_place(place) or _needs_parts(work, action):
            await undo_in_parts(work, place, series_of[place], action)
        else:
            await _undo_theirs(work, place, series_of[place], action)
    for place, code in reversal.lost:
        await _note_lost(work, place, code, series_of)


def _needs_parts(work: Pass, action: Action) -> bool:
    """Say whether what is brought back can stand there in parts only."""
    if action.series is None:
        return False
    return grade(action.series, work.limits, work.window, work.reader, begun=True).grade is Grade.EXPLODED


def _entry(row: JournalRow, ours: dict[UUID, calendars.EventRow], theirs: dict[str, tuple[str, str]]) -> Entry:
    """Turn a journal row into what can be reversed, with what stands at its place today."""
    now, uid = None, ""
    if row.side == Side.APP and row.series_id:
        standing = ours.get(row.series_id)
        if standing is not None and standing.deleted_at is None:
            now, uid = standing.series, standing.uid
    elif row.href in theirs:
        now = calendars.read_document(theirs[row.href][0])
        uid = now.uid
    before = calendars.read_document(row.before) if row.before else None
    after = calendars.read_document(row.after) if row.after else None
    uid = uid or (before.uid if before else after.uid if after else "")
    place = str(row.series_id) if row.side == Side.APP else row.href or ""
    is_partial = row.side == Side.PROVIDER and not row.made_by_us
    return Entry(Side(row.side), place, Verb(row.verb), uid, before, after, now, is_partial)


async def _undo_ours(work: Pass, series_id: UUID, action: Action) -> None:
    link = work.link
    async with work.writing() as connection:
        before = (await calendars.lock(connection, link.resource_id, [series_id])).get(series_id)
        change = Write(
            series_id,
            action.series if action.verb is not Verb.DELETE else None,
            before,
            "undo",
            origin="provider",
            origin_link_id=link.id,
            link_id=link.id,
            run_id=work.run_id,
            fields=sorted(action.fields),
        )
        await calendars.write(connection, work.home, [change], work.now)
        if action.verb is Verb.DELETE:
            await pairings.set_aside(connection, link, series_id, "unlinked")
        pair = await pairings.pair_of(connection, link, series_id)
        if action.verb is Verb.UPDATE and pair is not None and pair.base_ours is not None:
            half = rebase(pair.base_ours, _shown(work, pair, action.before), _shown(work, pair, action.series))
            await pairings.agree_on(connection, link, series_id, ours=half)
    work.counts[f"app.{VERBS[action.verb.value]}"] += 1


def _shown(work: Pass, pair: PairRow, ours: Series | None) -> Flat:
    """Give a version of ours as the other side would hold it."""
    view = replace(view_of(work, pair), ours=ours)
    return decide.shown(view, work.policy, work.limits, language=work.language, reader=work.reader)


async def _undo_theirs(work: Pass, href: str, series_id: UUID, action: Action) -> None:
    async with work.database.read() as connection:
        standing = await observations.documents(connection, work.link, [href])
    intent = Intent(
        series_id=series_id,
        verb=action.verb.value,
        key=hashlib.blake2b(f"{work.link.run_id}/{href}".encode(), digest_size=16).hexdigest(),
        uid=action.uid,
        href=href,
        expect=standing[href][1] if href in standing else "",
        series=action.series,
        before=action.before,
        fields=action.fields,
    )
    try:
        done = await perform(work, intent)
    except (Conflict, Gone):
        await _note_lost(work, href, "sync.undo_edited_since", {href: series_id})
        return
    await _record(work, intent, done.stored)


async def _record(work: Pass, intent: Intent, stored: Stored | None) -> None:
    """Record what a write of the undo came to, and what counts as agreed from now on."""
    link = work.link
    async with work.writing() as connection:
        if stored is None:
            await pairings.unpair(connection, link, intent.series_id, forget=False)
            await pairings.set_aside(connection, link, intent.series_id, "unlinked")
            await observations.forget_observed(connection, link, [intent.href])
        else:
            seen = seen_after(work, intent, stored)
            paired = (await observations.paired(connection, link, [intent.href])).get(intent.href)
            await observations.observe(connection, [observed_row(work, seen, paired, link.listing or "", stale=False)])
            held = flatten(inward(work, seen, paired).series or seen.series)
            pair = await pairings.pair_of(connection, link, intent.series_id)
            if intent.before is None and pair is not None:
                ours = _shown(work, pair, view_of(work, pair).ours)
                await pairings.agree_on(
                    connection, link, intent.series_id, ours=ours, theirs=held, etag=stored.etag, href=stored.href
                )
            elif intent.before is not None and pair is not None and pair.base_ours is not None:
                half = rebase(pair.base_theirs or pair.base_ours, flatten(intent.before), held)
                await pairings.agree_on(connection, link, intent.series_id, theirs=half, etag=stored.etag)
        await passes.journal(connection, [journal_entry(work, intent, stored)])
    work.counts[f"provider.{VERBS[intent.verb]}"] += 1


async def _note_lost(work: Pass, place: str, code: str, series_of: dict[str, UUID]) -> None:
    """Say that something could not be brought back, and why."""
    trouble = Permanent(code, Scope.SERIES)
    series_id = series_of.get(place)
    async with work.writing() as connection:
        await records.open_problem(connection, work.link, trouble, series_id=series_id, href=None if series_id else place)
    work.problems.append({"code": code, "place": place})
