"""Links as a pass sees them: which are due, how far they were read, and what was written over them.

What was seen there is in `observations`, what our series are there in `pairings`. Every function works in the caller's
transaction. Rows of a link are always addressed with their `resource_id`, so that one partition is touched. Times are
aware UTC; documents are JSON text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

Json = Any


def encode(value: Json) -> str:
    """Give JSON text for a `jsonb` parameter."""
    return msgspec.json.encode(value).decode()


def decode(value: str | None) -> Json:
    """Read a `jsonb` column."""
    return None if value is None else msgspec.json.decode(value)


@dataclass(frozen=True, slots=True)
class LinkRow:
    """A due link with all a pass needs to begin: its resource, its settings by level, and whether work waits."""

    id: UUID
    organization_id: UUID
    resource_id: UUID
    connection_id: UUID
    lane_id: UUID
    mailbox: str
    calendar: str
    state: str
    cursor: str | None
    policy_digest: str
    listing: str | None
    listed_at: datetime | None
    first_run_done: bool
    force_listing: bool
    failing_since: datetime | None
    facts: dict[str, Json]
    time_zone: str
    language: str
    layers: tuple[tuple[str, dict[str, Json]], ...]  # (level, values), far to near
    has_work: bool
    connection_version: int
    connection_state: str
    provider: str
    run_id: UUID | None  # the oldest run asked for
    run_kind: str | None
    notified_by: str = "polling"
    calls: int = 0  # reasons to look that were counted when the pass began
    heard: int = 0  # those that an earlier pass knew

    @property
    def is_notified(self) -> bool:
        """Say whether somebody tells us of changes there, so that looking by the clock is only for safety."""
        return self.notified_by != "polling"


LEVELS = ("global", "group", "resource", "link")

#: How often, at the most, a calendar is looked at whose changes we are told: what a lost message costs.
SAFETY_SECONDS = 600

_FAR = f"cast(:now as timestamptz) + {SAFETY_SECONDS} * (0.9 + 0.1 * random()) * interval '1 second'"  # not all at once
_IS_CALLED = "link.calls <> link.heard and link.failing_since is null"  # a failing link waits for its next try

_LAYERS = """(select coalesce(jsonb_agg(jsonb_build_array(s.level, s.name, s.value)), '[]')::text from setting s
  where (s.level, s.object_id) in (('global', l.organization_id), ('group', r.group_id), ('resource', r.id), ('link', l.id)))"""

_LINK = f"""
select l.id, l.organization_id, l.resource_id, l.connection_id, l.lane_id, l.mailbox, l.calendar, l.state, l.cursor,
       l.policy_digest, l.listing, l.listed_at, l.first_run_done, l.force_listing, l.failing_since, l.facts::text,
       r.time_zone, r.language, {_LAYERS} as layers,
       (exists (select from pairing p where p.resource_id = l.resource_id and p.link_id = l.id and p.stale
                  and (p.retry_at is null or p.retry_at <= now()))
        or exists (select from observed o where o.resource_id = l.resource_id and o.link_id = l.id and o.stale)
        or exists (select from pairing p where p.resource_id = l.resource_id and p.link_id = l.id and p.intent is not null)
        or exists (select from observed o where o.resource_id = l.resource_id and o.link_id = l.id
                     and o.reason = 'unreadable' and o.retry_at <= now())
       ) as has_work,
       c.version, c.state, c.provider, q.id, q.kind, l.notified_by, l.calls, l.heard
from link l join resource r on r.id = l.resource_id join connection c on c.id = l.connection_id
left join lateral (select id, kind from run where link_id = l.id and state in ('queued', 'running')
                   order by asked_at limit 1) q on true
"""


def _link(row: Sequence[Any]) -> LinkRow:
    by_level: dict[str, dict[str, Json]] = {level: {} for level in LEVELS}
    for level, name, value in decode(row[18]):
        by_level[level][name] = value
    return LinkRow(*[*row[:15], decode(row[15]) or {}, *row[16:18], tuple(by_level.items()), *row[19:]])


async def due_links(connection: AsyncConnection, lane_ids: Sequence[UUID]) -> list[LinkRow]:
    """Give the active links of these lanes that are due, were called or for which a run was asked."""
    found = await connection.execute(
        text(
            _LINK
            + f""" where l.lane_id = any(cast(:lanes as uuid[])) and l.active and l.state not in ('paused', 'disconnected')
                  and (l.due is null or l.due <= now() or q.id is not null or ({_IS_CALLED.replace("link.", "l.")}))
                  order by l.due nulls first"""
        ),
        {"lanes": list(lane_ids)},
    )
    return [_link(row) for row in found]


async def link_row(connection: AsyncConnection, link_id: UUID) -> LinkRow | None:
    """Give one link whatever its state."""
    found = (await connection.execute(text(_LINK + " where l.id = :id"), {"id": link_id})).one_or_none()
    return _link(found) if found else None


async def next_due(connection: AsyncConnection, lane_ids: Sequence[UUID]) -> dict[UUID, datetime]:
    """Give for each lane the earliest due time of its links; a lane without active links is missing."""
    found = await connection.execute(
        text(f"""select lane_id, min(case when {_IS_CALLED} then now() else coalesce(due, now()) end) from link
                 where lane_id = any(cast(:lanes as uuid[])) and active and state not in ('paused', 'disconnected')
                 group by lane_id"""),
        {"lanes": list(lane_ids)},
    )
    return {row[0]: row[1] for row in found}


async def rest(connection: AsyncConnection, links: Sequence[tuple[UUID, datetime, int]], now: datetime) -> None:
    """Note polls that found nothing: for (link, next due, calls it knew of). Where we are told of changes, the next is far."""
    if links:
        await connection.execute(
            text(f"""update link set last_attempt = :now, last_success = :now, heard = quiet.heard,
                       due = case when notified_by = 'polling' then quiet.due else greatest(quiet.due, {_FAR}) end
                     from unnest(cast(:ids as uuid[]), cast(:dues as timestamptz[]), cast(:heard as bigint[]))
                       as quiet(id, due, heard)
                     where link.id = quiet.id and link.state not in ('paused', 'disconnected')"""),
            {
                "ids": [link_id for link_id, _, _ in links],
                "dues": [due for _, due, _ in links],
                "heard": [heard for _, _, heard in links],
                "now": now,
            },
        )


async def may_wait(connection: AsyncConnection, link: LinkRow, at_the_latest: datetime | None) -> None:
    """Put the next look far off where we are told of changes, as the link stands now; not beyond what waits for a retry."""
    await connection.execute(
        text(f"""update link set due = least(
                   case when notified_by = 'polling' then due else greatest(due, {_FAR}) end, cast(:latest as timestamptz))
                 where id = :id and (notified_by <> 'polling' or due > cast(:latest as timestamptz))"""),
        {"id": link.id, "now": datetime.now(UTC), "latest": at_the_latest},
    )


async def save_cursor(connection: AsyncConnection, link: LinkRow, values: Mapping[str, Any]) -> None:
    """Set columns of the link in the transaction that makes them true; facts are added to those that others noted."""
    given = {name: encode(value) if name in ("facts", "error_params") else value for name, value in values.items()}
    special = {"facts": "facts || cast(:facts as jsonb)", "error_params": "cast(:error_params as jsonb)"}
    columns = ", ".join(f"{name} = {special.get(name, f':{name}')}" for name in given)
    await connection.execute(text(f"update link set {columns} where id = :id"), {**given, "id": link.id})


# --- what was written --------------------------------------------------------------------------------------------

_JOURNAL = text("""
insert into journal (resource_id, organization_id, link_id, run_id, series_id, href, side, verb, actor, fields, before, after)
values (:resource_id, :organization_id, :link_id, :run_id, :series_id, :href, 'provider', :verb, 'sync',
        cast(:fields as jsonb), :before, :after)
""")


async def journal(connection: AsyncConnection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Keep what was written at the provider, with what stood there before."""
    if rows:
        await connection.execute(_JOURNAL, rows)


@dataclass(frozen=True, slots=True)
class JournalRow:
    """One write of a run, in its order. made_by_us: whether the remote object is a copy of ours."""

    side: str
    verb: str
    series_id: UUID | None
    href: str | None
    before: str | None
    after: str | None
    made_by_us: bool


async def journal_of(connection: AsyncConnection, link: LinkRow, undoing: UUID | None) -> list[JournalRow]:
    """Give what the run that *undoing* is to undo wrote over this link."""
    found = await connection.execute(
        text("""select j.side, j.verb, j.series_id, j.href, j.before, j.after,
                       coalesce(p.made_by_us, j.verb <> 'delete' or exists (
                         select from journal born where born.resource_id = j.resource_id and born.series_id = j.series_id
                           and born.link_id = j.link_id and born.href = j.href
                           and born.side = 'provider' and born.verb = 'create'))
                from run r join journal j on j.run_id = r.undo_of and j.resource_id = :resource_id and j.link_id = :link_id
                left join pairing p on p.resource_id = j.resource_id and p.link_id = j.link_id and p.series_id = j.series_id
                where r.id = :run_id order by j.id"""),
        {"resource_id": link.resource_id, "link_id": link.id, "run_id": undoing},
    )
    return [JournalRow(*row) for row in found]
