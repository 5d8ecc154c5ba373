"""Conflicts: one field, two edits; a person chooses, or writes what shall count."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from gleichtakt.errors import Conflict as Stale
from gleichtakt.errors import Scope
from gleichtakt.model.event import Series
from gleichtakt.store import calendars, changes, runs
from gleichtakt.store.calendars import Write
from gleichtakt.store.rows import Kept, missing
from gleichtakt.store.schema import conflict
from gleichtakt.sync.plan import Verdict

CHOICES: Mapping[str, Verdict] = {"ours": Verdict.OURS, "theirs": Verdict.THEIRS}


@dataclass(frozen=True, slots=True)
class Clash:
    """One conflict. base, ours, theirs: flat forms (`sync.flat`); None where deleted, base None where never agreed."""

    id: UUID
    organization_id: UUID
    link_id: UUID
    resource_id: UUID
    series_id: UUID
    href: str | None
    fields: Sequence[str]
    base: Mapping[str, Any] | None
    ours: Mapping[str, Any] | None
    theirs: Mapping[str, Any] | None
    state: str
    resolution: str
    created_at: datetime
    decided_at: datetime | None
    decided_by: str


conflicts = Kept(conflict, Clash, "conflict")

_DECIDE = text("""
update conflict set state = 'resolved', resolution = :resolution, decided_at = now(), decided_by = :by
where id = :id and organization_id = :organization_id and state = 'open'
returning link_id, resource_id, series_id
""")
_VERDICT = text("""
update pairing set verdict = :verdict, stale = true, retry_at = null
where resource_id = :resource_id and link_id = :link_id and series_id = :series_id
""")


async def resolve(
    connection: AsyncConnection, organization_id: UUID, conflict_id: UUID, resolution: str, by: str, merged: Series | None = None
) -> Clash:
    """Decide a conflict: `ours`, `theirs`, or `merged` with the content that shall count on both sides.

    Raises `web.not_found`, Conflict `web.decided`.
    """
    given = {"id": conflict_id, "organization_id": organization_id, "resolution": resolution, "by": by}
    decided = (await connection.execute(_DECIDE, given)).one_or_none()
    if decided is None:
        found = await conflicts.get(connection, organization_id, conflict_id)
        raise Stale("web.decided", Scope.SERIES, state=found.state)
    if merged is not None:
        await _write_merged(connection, decided.resource_id, decided.series_id, merged, by)
    verdict = CHOICES.get(resolution, Verdict.OURS)
    pairing = {"resource_id": decided.resource_id, "link_id": decided.link_id, "series_id": decided.series_id}
    await connection.execute(_VERDICT, {**pairing, "verdict": verdict.value})
    await runs.make_due(connection, [decided.link_id])
    await changes.append(connection, organization_id, "conflict.resolved", decided.resource_id, conflict_id)
    return await conflicts.get(connection, organization_id, conflict_id)


async def _write_merged(connection: AsyncConnection, resource_id: UUID, series_id: UUID, merged: Series, by: str) -> None:
    """Put the merged content on our side; the verdict `ours` then carries it over."""
    home = await calendars.home_of(connection, resource_id)
    before = (await calendars.lock(connection, resource_id, [series_id])).get(series_id)
    if home is None or before is None:
        raise missing("event")
    await calendars.write(connection, home, [Write(series_id, merged, before, by, origin=before.origin)])
