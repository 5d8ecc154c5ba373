"""Step 2: settle writes whose outcome is not known, by reading back what is there.

An intent was stored before its request went out. What the provider holds now says whether the request took effect, so
that a lost answer is neither repeated nor taken for somebody else's edit. Where a write takes several requests, one that
broke off is known by the key it did not leave: an update is then planned again over what it reached, and what a create
made is kept as it stands and completed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID

from gleichtakt.model.event import Series
from gleichtakt.providers.protocol import Href, IdempotencyKey, Seen, Stored, Unreadable
from gleichtakt.store import pairings, parts
from gleichtakt.store.observations import Paired
from gleichtakt.sync.flat import flatten
from gleichtakt.worker.link_pass.context import Pass
from gleichtakt.worker.link_pass.effects import Done, Intent, read_intent, record
from gleichtakt.worker.link_pass.observe import inward


async def resolve(work: Pass) -> None:
    """Read back every open intent of the link and settle it or let it go."""
    async with work.database.read() as connection:
        waiting = await pairings.intents(connection, work.link)
    for series_id, document in waiting:
        if document["verb"] == parts.OPEN["verb"]:
            await _resolve_parts(work, series_id)
        else:
            await resolve_one(work, series_id, document)


async def _resolve_parts(work: Pass, series_id: UUID) -> None:
    """Read back the open writes of a series in parts; what is left to write the next plan finds."""
    async with work.database.read() as connection:
        known = (await parts.of(connection, work.link, [series_id])).get(series_id, [])
    for row in known:
        if row.intent is not None:
            await resolve_one(work, series_id, row.intent)
    async with work.writing() as connection:
        await parts.close(connection, work.link, series_id)


async def resolve_one(work: Pass, series_id: UUID, document: Mapping[str, Any]) -> bool:
    """Settle one intent if it took effect, else drop it so that it is planned again; say which."""
    intent = read_intent(series_id, document)
    seen = await _look_up(work, intent)
    if isinstance(seen, Unreadable):
        return False  # it is there, but what it holds is unknown: ask again in the next pass
    work.counts["resolved"] += 1
    if not _took_effect(intent, seen, marks_end=work.provider.abilities.marks_end):
        async with work.writing() as connection:
            if intent.part is None:
                await pairings.drop_intents(connection, work.link, [series_id])
            else:
                await parts.void(connection, work.link, [intent.part])
        return False
    if seen is not None and intent.verb == "create" and work.provider.abilities.marks_end and seen.key != intent.key:
        intent = _as_begun(work, intent, seen)
    stored = Stored(seen.href, seen.etag, seen.series, seen.series.uid) if seen else None
    await record(work, [Done(intent, stored, read_back=seen)])
    return True


async def _look_up(work: Pass, intent: Intent) -> Seen | Unreadable | None:
    if intent.verb == "create":
        return await work.provider.find(work.calendar, IdempotencyKey(intent.key), intent.uid)
    found = await work.provider.fetch(work.calendar, [Href(intent.href)])
    return found[0] if found else None


def _as_begun(work: Pass, intent: Intent, seen: Seen) -> Intent:
    """Give a create that broke off as one of what it did make: the rest is then a change of ours, still to be sent."""
    made = inward(work, seen, Paired(intent.series_id, intent.origin, intent.from_here)).series or seen.series
    return replace(intent, series=made, agreed=flatten(made), sent=flatten(made) if intent.part else None)


def _took_effect(intent: Intent, seen: Seen | None, *, marks_end: bool) -> bool:
    """Judge by what stands there now: its version, our key on it, and the fields we meant to change."""
    if intent.verb == "delete":
        return seen is None
    if seen is None:
        return False
    if intent.verb == "create" or seen.key == intent.key:
        return True
    if marks_end or seen.etag == intent.expect:
        return False
    return _any_field_arrived(intent, seen.series)


def _any_field_arrived(intent: Intent, there: Series) -> bool:
    """Say whether a field that we meant to change stands there as sent."""
    if intent.before is None or intent.series is None:
        return False
    before, sent, now = flatten(intent.before), flatten(intent.series), flatten(there)
    meant = {key for key in before.keys() | sent.keys() if before.get(key) != sent.get(key)}
    return any(now.get(key) == sent.get(key) for key in meant)
