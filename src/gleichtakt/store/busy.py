"""When resources are busy, from the expanded window; and how fresh that knowledge is.

Rows tell times and states, never content. Outside the window for which occurrences are kept, series are expanded on the
spot.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from gleichtakt.errors import Permanent
from gleichtakt.model.event import ShowAs
from gleichtakt.model.freebusy import Busy, busy_times, cut, merge
from gleichtakt.model.point import Timespan
from gleichtakt.model.zones import zone_of
from gleichtakt.store import calendars

#: What daily rolling may leave uncovered at both ends of the window.
SLACK = timedelta(days=2)

_STATES = {state.value: state for state in ShowAs}

#: $1 resources, $2 from, $3 to. Free and cancelled occurrences take nobody's time.
_ROWS = """
select resource_id, starts_at, ends_at, show_as from occurrence
where resource_id = any($1::uuid[]) and starts_at < $3 and ends_at > $2 and show_as <> 'free' and status <> 'cancelled'
"""

#: $1 resources. Per resource: the age of the least recent link that works, and the links that do.
_FRESH = """
select resource_id, case when bool_and(last_success is not null) then min(last_success) end as as_of,
       array_agg(id) as links from link
where resource_id = any($1::uuid[]) and active and state not in ('paused', 'disconnected') group by resource_id
"""


@dataclass(frozen=True, slots=True)
class Freshness:
    """How old what we know of a resource may be. as_of: None while a link has never been read. links: that feed it."""

    as_of: datetime | None
    links: Sequence[UUID]


def is_kept(window: Timespan, now: datetime) -> bool:
    """Say whether occurrences are kept for all of a stretch of time."""
    kept = calendars.occurrences_window(now)
    return kept.start + SLACK <= window.start and window.end <= kept.end - SLACK


async def busy(raw: Any, resource_ids: Sequence[UUID], window: Timespan) -> Mapping[UUID, tuple[Busy, ...]]:
    """Give the merged busy times of resources, from kept occurrences. raw: a bare asyncpg connection."""
    found: dict[UUID, list[Busy]] = {resource_id: [] for resource_id in resource_ids}
    for resource_id, start, end, show_as in await raw.fetch(_ROWS, list(resource_ids), window.start, window.end):
        found[resource_id].append(Busy(Timespan(start, end), _STATES[show_as]))
    return {resource_id: merge(cut(rows, window)) for resource_id, rows in found.items()}


async def busy_beyond(
    connection: AsyncConnection, resource_ids: Sequence[UUID], window: Timespan
) -> Mapping[UUID, tuple[Busy, ...]]:
    """Give the same for any stretch of time, by expanding. A rule too dense to expand is left out, as it is when kept."""
    found: dict[UUID, tuple[Busy, ...]] = {}
    for resource_id in resource_ids:
        home = await calendars.home_of(connection, resource_id)
        reader = zone_of(home.time_zone if home else "UTC")
        rows: list[Busy] = []
        for row in await calendars.list_events(connection, resource_id, window.start, window.end):
            try:
                rows += busy_times([row.series], window, reader)
            except Permanent:
                continue
        found[resource_id] = merge(rows)
    return found


async def freshness(raw: Any, resource_ids: Sequence[UUID]) -> Mapping[UUID, Freshness]:
    """Say how old what we know of resources may be; one without working links is always current and not listed."""
    rows = await raw.fetch(_FRESH, list(resource_ids))
    return {row["resource_id"]: Freshness(row["as_of"], tuple(row["links"])) for row in rows}


async def resolve(
    connection: AsyncConnection,
    organization_id: UUID,
    resource_ids: Sequence[UUID],
    external_ids: Sequence[str],
    group_id: UUID | None,
) -> list[UUID]:
    """Give the resources of an organization that are meant by id, by the application's id or by group, each once."""
    found = await connection.execute(
        text("""select id, external_id from resource where organization_id = :organization_id and
                (id = any(cast(:ids as uuid[])) or external_id = any(cast(:externals as text[]))
                 or group_id = cast(:group_id as uuid)) order by id"""),
        {
            "organization_id": organization_id,
            "ids": list(resource_ids),
            "externals": list(external_ids),
            "group_id": group_id,
        },
    )
    return [row.id for row in found]
