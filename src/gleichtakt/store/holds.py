"""Holds: actions a guard kept back, and what a person decides about them.

The verdict is put on the pairings; the next pass carries it out. An approval lifts the guard for exactly the actions
that were shown: what has changed meanwhile is planned and guarded anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from gleichtakt.errors import Conflict, Scope
from gleichtakt.store import changes, runs
from gleichtakt.store.rows import Kept
from gleichtakt.store.schema import hold
from gleichtakt.sync.plan import HoldKind, Verdict


@dataclass(frozen=True, slots=True)
class Hold:
    """One question to a person: may these actions go on."""

    id: UUID
    organization_id: UUID
    link_id: UUID
    resource_id: UUID
    run_id: UUID | None
    kind: str
    params: Mapping[str, Any]
    state: str
    count: int
    created_at: datetime
    decided_at: datetime | None
    decided_by: str


@dataclass(frozen=True, slots=True)
class HeldAction:
    """One action kept back."""

    number: int
    series_id: UUID | None
    side: str
    verb: str
    uid: str
    title: str
    why: str
    event_start: datetime | None


holds = Kept(hold, Hold, "hold")


async def held(connection: AsyncConnection, hold_id: UUID, *, after: int = -1, limit: int = 200) -> Sequence[HeldAction]:
    """Give a page of the actions of a hold in their order."""
    found = await connection.execute(
        text("""select number, series_id, side, verb, uid, title, why, event_start from hold_action
                where hold_id = :id and number > :after order by number limit :limit"""),
        {"id": hold_id, "after": after, "limit": limit},
    )
    return [HeldAction(*row) for row in found]


_DECIDE = text("""
update hold set state = :state, decided_at = now(), decided_by = :by
where id = :id and organization_id = :organization_id and state = 'open' returning link_id, resource_id, kind
""")
_VERDICT = text("""
update pairing p set verdict = :verdict, stale = true, retry_at = null from hold_action a
where a.hold_id = :id and p.resource_id = a.resource_id and p.link_id = a.link_id
  and (p.series_id = a.series_id or (a.series_id is null and p.href = a.href))
""")
#: Look-alikes that a person calls different events are copied to the other side, each for itself.
_APART = text("""
update pairing p set hold_id = null, stale = true from hold_action a
where a.hold_id = :id and p.resource_id = a.resource_id and p.link_id = a.link_id and p.series_id = a.series_id
""")
_COPY_BOTH = text("""
update observed o set stale = true from hold_action a
where a.hold_id = :id and o.resource_id = a.resource_id and o.link_id = a.link_id and o.href = a.href
""")


async def approve(connection: AsyncConnection, organization_id: UUID, hold_id: UUID, by: str) -> Hold:
    """Let the held actions be done. Raises `web.not_found`, Conflict `web.decided`."""
    return await _decide(connection, organization_id, hold_id, by, "approved", Verdict.ACCEPT)


async def reject(connection: AsyncConnection, organization_id: UUID, hold_id: UUID, by: str) -> Hold:
    """Undo what the held changes would have followed: the side that moved is brought back."""
    return await _decide(connection, organization_id, hold_id, by, "rejected", Verdict.RESTORE)


async def _decide(
    connection: AsyncConnection, organization_id: UUID, hold_id: UUID, by: str, state: str, verdict: Verdict
) -> Hold:
    given = {"id": hold_id, "organization_id": organization_id, "state": state, "by": by}
    decided = (await connection.execute(_DECIDE, given)).one_or_none()
    if decided is None:
        found = await holds.get(connection, organization_id, hold_id)
        raise Conflict("web.decided", Scope.SERIES, state=found.state)
    if decided.kind != HoldKind.AMBIGUOUS_MATCH:
        await connection.execute(_VERDICT, {"id": hold_id, "verdict": verdict.value})
    elif verdict is Verdict.ACCEPT:
        await connection.execute(_APART, {"id": hold_id})
        await connection.execute(_COPY_BOTH, {"id": hold_id})
    await runs.make_due(connection, [decided.link_id])
    await changes.append(connection, organization_id, f"hold.{state}", decided.resource_id, hold_id)
    return await holds.get(connection, organization_id, hold_id)
