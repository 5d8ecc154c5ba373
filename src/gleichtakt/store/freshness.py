"""How fresh a link is, judged by the last time both sides were proven to be in step, and never by a run that ended.

Late is a link that missed three of its intervals, stale one without success for an hour. Both are looked at from outside
the passes, so that a lane nobody serves, or a pass that never ends, is noticed as well.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from gleichtakt.errors import Scope, Transient
from gleichtakt.store import changes, passes, records

MISSED: Final = 3  # intervals
INTERVAL_SECONDS: Final = 60  # of a link that has not told its own yet
LATE_SECONDS: Final = 60  # at least: a moment's delay of a quick link is no news
STALE: Final = timedelta(hours=1)
AT_ONCE: Final = 200

#: SQL over a row of `link`: how old its last proof is, its interval, and whether anybody expects it to be fresh.
AGE: Final = "extract(epoch from now() - coalesce(link.last_success, link.created_at))"
INTERVAL: Final = f"""greatest(coalesce((link.facts ->> 'interval')::int, {INTERVAL_SECONDS}),
    case when link.notified_by = 'polling' then 0 else {passes.SAFETY_SECONDS} end)"""
EXPECTED: Final = "link.active and link.state not in ('paused', 'disconnected', 'verify')"
IS_LATE: Final = f"{EXPECTED} and {AGE} > greatest({MISSED} * {INTERVAL}, {LATE_SECONDS})"
IS_STALE: Final = f"{EXPECTED} and {AGE} > greatest({MISSED} * {INTERVAL}, {STALE.total_seconds():.0f})"


class Freshness(StrEnum):
    """What the age of a link's last success means."""

    FRESH = "fresh"
    LATE = "late"
    STALE = "stale"


def freshness(age: timedelta, interval_seconds: float, *, is_notified: bool = False) -> Freshness:
    """Judge a link that is expected to be fresh; says the same as the SQL above."""
    missed = timedelta(seconds=MISSED * max(interval_seconds, passes.SAFETY_SECONDS if is_notified else 0))
    if age > max(missed, STALE):
        return Freshness.STALE
    return Freshness.LATE if age > max(missed, timedelta(seconds=LATE_SECONDS)) else Freshness.FRESH


async def warn(connection: AsyncConnection) -> int:
    """Call links late that still count as in step; give how many."""
    found = await connection.execute(
        text(f"""update link set state = 'delayed' where id in (
                   select link.id from link where {IS_LATE} and link.state in ('in_step', 'degraded', 'new', 'listing')
                   and link.last_success is not null limit {AT_ONCE} for no key update skip locked)
                 returning id, organization_id, resource_id""")
    )
    rows = found.all()
    for row in rows:
        await changes.append(connection, row.organization_id, "link.state", row.resource_id, row.id)
    return len(rows)


async def alarm(connection: AsyncConnection) -> int:
    """List a problem for stale links that nothing else explains; give how many. Their next success closes it."""
    found = await connection.execute(
        text(f"""select link.id, coalesce(link.last_success, link.created_at) as since from link where {IS_STALE}
                 and (link.state not in ('error', 'auth_required') or not exists (
                   select from problem p where p.state = 'open' and p.scope <> 'series'
                   and (p.link_id = link.id or (p.scope = 'account' and p.connection_id = link.connection_id))))
                 limit {AT_ONCE} for no key update skip locked""")
    )
    rows = found.all()
    for row in rows:
        await _alarm_one(connection, row.id, row.since)
    return len(rows)


async def _alarm_one(connection: AsyncConnection, link_id: UUID, since: datetime) -> None:
    link = await passes.link_row(connection, link_id)
    if link is None:
        return
    trouble = Transient("sync.stale", Scope.CALENDAR, since=f"{since:%Y-%m-%d %H:%M} UTC")
    if link.state != "auth_required":
        await passes.save_cursor(connection, link, {"state": "error", "error_code": trouble.code, "error_params": trouble.params})
        await changes.append(connection, link.organization_id, "link.state", link.resource_id, link.id)
    await records.open_problem(connection, link, trouble)
