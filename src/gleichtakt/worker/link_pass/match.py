"""Step 3: find out which new objects and which of our series are the same thing, before anything is created.

By our own mark, by UID, and, in a first run only, by a fingerprint of start, end, title and organizer. A match must be
unique on both sides; look-alikes that are not go to a person. What is matched is read again, because a copy of a booking
of ours may be held in other detail than an event of theirs.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from gleichtakt.model.event import Series
from gleichtakt.store import calendars, observations, pairings, parts, records
from gleichtakt.store.database import new_id
from gleichtakt.store.observations import NewRow
from gleichtakt.sync.matching import Fingerprint, match
from gleichtakt.sync.plan import HoldKind
from gleichtakt.worker.link_pass.context import Pass, marked_part, marked_series
from gleichtakt.worker.link_pass.observe import fetch

BATCH = 500


async def match_new(work: Pass) -> None:
    """Adopt unpaired objects as copies of series that have none on this link yet."""
    after = ""
    while True:
        async with work.database.read() as connection:
            rows = await observations.unpaired_observed(connection, work.link, after, BATCH)
        if not rows:
            break
        after = rows[-1].href
        await _adopt_known(work, [row for row in rows if not row.gone])
        if len(rows) < BATCH:
            break
    if not work.link.first_run_done:
        await _match_look_alikes(work)


async def _adopt_known(work: Pass, rows: Sequence[NewRow]) -> None:
    rows = await _adopt_parts(work, rows)
    marked = {row.href: series_id for row in rows if (series_id := marked_series(row.marker))}
    async with work.database.read() as connection:
        found = await pairings.unpaired_series(
            connection, work.link, ids=list(marked.values()), uids=[row.uid for row in rows if row.uid], limit=4 * BATCH
        )
    by_id = {series_id: uid for series_id, uid, _, _ in found}
    by_uid: dict[str, list[UUID]] = {}
    for series_id, uid, _, _ in found:
        by_uid.setdefault(uid, []).append(series_id)
    taken: set[UUID] = set()
    ours: list[tuple[UUID, str]] = []
    alike: list[tuple[UUID, str]] = []
    for row in rows:
        series_id = marked.get(row.href)
        if series_id in by_id and series_id not in taken and series_id is not None:
            taken.add(series_id)
            ours.append((series_id, row.href))
            continue
        same = [candidate for candidate in by_uid.get(row.uid, ()) if candidate not in taken]
        if len(same) == 1:
            taken.add(same[0])
            alike.append((same[0], row.href))
    await _adopt(work, ours, made_by_us=True)
    await _adopt(work, alike, made_by_us=False)


async def _adopt_parts(work: Pass, rows: Sequence[NewRow]) -> list[NewRow]:
    """Adopt single events that carry our mark as parts of their series; give the objects that are none."""
    marked = {row.href: part for row in rows if (part := marked_part(row.marker))}
    if not marked:
        return list(rows)
    async with work.database.read() as connection:
        taken = await parts.adoptable(connection, work.link, [series_id for series_id, _ in marked.values()])
    found: list[tuple[UUID, UUID, str, str]] = []
    for href, (series_id, slot) in marked.items():
        if series_id in taken and slot not in taken[series_id]:
            taken[series_id].add(slot)
            found.append((new_id(), series_id, slot, href))
    if found:
        async with work.writing() as connection:
            await parts.adopt(connection, work.link, found)
        await fetch(work, [href for _, _, _, href in found])
        work.counts["matched"] += len(found)
    adopted = {href for _, _, _, href in found}
    return [row for row in rows if row.href not in adopted]


async def _adopt(work: Pass, pairs: Sequence[tuple[UUID, str]], *, made_by_us: bool) -> None:
    if not pairs:
        return
    async with work.writing() as connection:
        await pairings.adopt(connection, work.link, pairs, made_by_us)
    await fetch(work, [href for _, href in pairs])
    work.counts["matched"] += len(pairs)


async def _match_look_alikes(work: Pass) -> None:
    """Pair by fingerprint what is unique on both sides; hold the rest for review."""
    ours = await _our_fingerprints(work)
    theirs: list[Fingerprint] = []
    after = ""
    while True:
        async with work.database.read() as connection:
            rows = await observations.unpaired_observed(connection, work.link, after, BATCH)
        if not rows:
            break
        after = rows[-1].href
        for row in rows:
            if row.document and not row.gone:
                there = calendars.read_document(row.document)
                theirs.append(_looks(row.href, there, row.title_digest))
    found = match(ours, theirs)
    await _adopt(work, [(UUID(ours_key), href) for ours_key, href in found.pairs], made_by_us=False)
    if found.ambiguous:
        async with work.writing() as connection:
            work.held += await records.hold_look_alikes(
                connection, work.link, work.run_id, HoldKind.AMBIGUOUS_MATCH.value, found.ambiguous
            )


async def _our_fingerprints(work: Pass) -> list[Fingerprint]:
    ours: list[Fingerprint] = []
    after: UUID | None = None
    while True:
        async with work.database.read() as connection:
            rows = await pairings.unpaired_series(connection, work.link, every=True, after=after, limit=BATCH)
        if not rows:
            return ours
        after = rows[-1][0]
        for series_id, _, document, _ in rows:
            series = calendars.read_document(document)
            ours.append(_looks(str(series_id), series, work.title_digest(series)))


def _looks(key: str, series: Series, title_digest: str) -> Fingerprint:
    """Give what two look-alikes share; their UIDs and marks have been tried before."""
    return Fingerprint(key, "", series.event.start, series.event.end, series.rrule, title_digest)
