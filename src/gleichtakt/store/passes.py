"""What a pass over a link reads and writes: links that are due, what was observed, pairings and their open intents.

Every function works in the caller's transaction. Rows of a link are always addressed with their `resource_id`, so that
one partition is touched. Times are aware UTC; documents are JSON text.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
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

#: A write that did not happen is forgotten. A series in parts stays open until all its parts are known (`parts.close`).
_LET_GO = "intent = case when intent ->> 'verb' = 'parts' then intent end"

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


# --- observing ---------------------------------------------------------------------------------------------------


async def known_etags(connection: AsyncConnection, link: LinkRow, hrefs: Sequence[str] | None = None) -> dict[str, str]:
    """Give href and etag of what was readable when last seen, of all or of these, so that only what moved is fetched."""
    which = "" if hrefs is None else "and href = any(cast(:hrefs as text[]))"
    found = await connection.execute(
        text(f"""select href, etag from observed where resource_id = :resource_id and link_id = :link_id
                 and not gone and reason <> 'unreadable' {which}"""),
        {"resource_id": link.resource_id, "link_id": link.id} | ({} if hrefs is None else {"hrefs": list(hrefs)}),
    )
    return {row[0]: row[1] for row in found}


@dataclass(frozen=True, slots=True)
class Paired:
    """What a remote object is to us: a copy of our own or of another link's event, or the original of an event of ours."""

    series_id: UUID
    origin: str
    from_here: bool  # its event came over this link

    @property
    def is_own_copy(self) -> bool:
        """Say whether it is a copy that we write."""
        return not (self.origin == "provider" and self.from_here)

    @property
    def is_relayed(self) -> bool:
        """Say whether its event came over another link."""
        return self.origin == "provider" and not self.from_here


async def paired(connection: AsyncConnection, link: LinkRow, hrefs: Sequence[str]) -> dict[str, Paired]:
    """Give what the paired ones of these objects are to us."""
    found = await connection.execute(
        text("""select p.href, p.series_id, s.origin, s.origin_link_id is not distinct from p.link_id
                from (select resource_id, link_id, series_id, href from pairing union all
                      select resource_id, link_id, series_id, href from part) p
                join series s on s.resource_id = p.resource_id and s.id = p.series_id
                where p.resource_id = :resource_id and p.link_id = :link_id and p.href = any(cast(:hrefs as text[]))"""),
        {"resource_id": link.resource_id, "link_id": link.id, "hrefs": list(hrefs)},
    )
    return {row[0]: Paired(*row[1:]) for row in found}


_OBSERVE = text("""
insert into observed (resource_id, link_id, href, etag, uid, starts_at, ends_at, document, reason, reason_code,
                      reason_params, marker, key, title_digest, is_organizer, response, kind, stale, gone, listing, seen_at,
                      modified_at)
values (:resource_id, :link_id, :href, :etag, :uid, :starts_at, :ends_at, :document, :reason, :reason_code,
        cast(:reason_params as jsonb), :marker, :key, :title_digest, :is_organizer, :response, :kind, :stale, false,
        :listing, now(), :modified_at)
on conflict (resource_id, link_id, href) do update set etag = excluded.etag, uid = excluded.uid,
  starts_at = excluded.starts_at, ends_at = excluded.ends_at, document = excluded.document, reason = excluded.reason,
  reason_code = excluded.reason_code, reason_params = excluded.reason_params, marker = excluded.marker,
  key = excluded.key, title_digest = excluded.title_digest, is_organizer = excluded.is_organizer,
  response = excluded.response, kind = excluded.kind, listing = excluded.listing, seen_at = now(), attempt = 0,
  retry_at = null, gone = false, modified_at = excluded.modified_at,
  stale = excluded.stale and (observed.stale or observed.gone or observed.document is distinct from excluded.document
                              or observed.reason <> excluded.reason or observed.response <> excluded.response)
""")
_UNREADABLE = text("""
insert into observed (resource_id, link_id, href, etag, reason, reason_code, reason_params, stale, listing, attempt, retry_at)
values (:resource_id, :link_id, :href, :etag, 'unreadable', :reason_code, cast(:reason_params as jsonb), false, :listing, 1,
        now() + interval '15 minutes')
on conflict (resource_id, link_id, href) do update set etag = excluded.etag, reason = 'unreadable',
  reason_code = excluded.reason_code, reason_params = excluded.reason_params, listing = excluded.listing, gone = false,
  stale = false, attempt = observed.attempt + 1,
  retry_at = now() + least(interval '1 day', interval '15 minutes' * power(2, least(observed.attempt, 7)))
""")
_UNPARK = text("""
update pairing set stale = true, retry_at = null, state = 'linked' where resource_id = :resource_id and link_id = :link_id
  and state = 'parked' and (href = any(cast(:hrefs as text[])) or series_id in (
    select series_id from part where resource_id = :resource_id and link_id = :link_id and href = any(cast(:hrefs as text[]))))
""")


async def observe(connection: AsyncConnection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Store what was seen; a row becomes stale only where what we may hold of it changed."""
    if rows:
        await connection.execute(_OBSERVE, rows)
        first = rows[0]
        hrefs = [row["href"] for row in rows if row["stale"]]
        if hrefs:
            await connection.execute(_UNPARK, {"resource_id": first["resource_id"], "link_id": first["link_id"], "hrefs": hrefs})


async def observe_unreadable(connection: AsyncConnection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Store that objects could not be read: the last content stays, and they are asked for again by id."""
    if rows:
        await connection.execute(_UNREADABLE, rows)


async def mark_gone(connection: AsyncConnection, link: LinkRow, hrefs: Sequence[str]) -> None:
    """Note a proven absence; the plan says what follows."""
    if hrefs:
        await connection.execute(
            text("""update observed set gone = true, stale = true, seen_at = now() where resource_id = :resource_id
                    and link_id = :link_id and href = any(cast(:hrefs as text[])) and not gone"""),
            {"resource_id": link.resource_id, "link_id": link.id, "hrefs": list(hrefs)},
        )


async def mark_listed(connection: AsyncConnection, link: LinkRow, hrefs: Sequence[str], listing: str) -> None:
    """Note that a listing met these objects unchanged."""
    if hrefs:
        await connection.execute(
            text("""update observed set listing = :listing, gone = false, stale = stale or gone
                    where resource_id = :resource_id and link_id = :link_id and href = any(cast(:hrefs as text[]))"""),
            {"resource_id": link.resource_id, "link_id": link.id, "hrefs": list(hrefs), "listing": listing},
        )


async def unlisted(connection: AsyncConnection, link: LinkRow, listing: str, limit: int) -> list[str]:
    """Give objects that a complete listing did not meet."""
    found = await connection.execute(
        text("""select href from observed where resource_id = :resource_id and link_id = :link_id and not gone
                and listing <> :listing order by href limit :limit"""),
        {"resource_id": link.resource_id, "link_id": link.id, "listing": listing, "limit": limit},
    )
    return [row[0] for row in found]


#: Stands for a listing at objects we wrote: the next reading has to meet them.
WRITTEN = "written"


async def mark_met(connection: AsyncConnection, link: LinkRow, hrefs: Sequence[str]) -> None:
    """Note that a reading met these objects as we wrote them."""
    if hrefs:
        await connection.execute(
            text("""update observed set listing = '' where resource_id = :resource_id and link_id = :link_id
                    and href = any(cast(:hrefs as text[])) and listing = 'written'"""),
            {"resource_id": link.resource_id, "link_id": link.id, "hrefs": list(hrefs)},
        )


async def not_met(connection: AsyncConnection, link: LinkRow, limit: int) -> list[str]:
    """Give objects that we wrote and no reading has met since."""
    found = await connection.execute(
        text("""select href from observed where resource_id = :resource_id and link_id = :link_id and not gone
                and listing = 'written' order by href limit :limit"""),
        {"resource_id": link.resource_id, "link_id": link.id, "limit": limit},
    )
    return [row[0] for row in found]


async def to_fetch(connection: AsyncConnection, link: LinkRow, start: datetime, end: datetime, limit: int) -> list[str]:
    """Give objects to ask for by id: unreadable ones whose pause is over, and what has entered the window."""
    found = await connection.execute(
        text("""select href from observed where resource_id = :resource_id and link_id = :link_id and not gone and
                ((reason = 'unreadable' and retry_at <= now()) or
                 (reason = 'outside' and starts_at < :end and (ends_at is null or ends_at > :start)))
                order by href limit :limit"""),
        {"resource_id": link.resource_id, "link_id": link.id, "start": start, "end": end, "limit": limit},
    )
    return [row[0] for row in found]


async def roll(connection: AsyncConnection, link: LinkRow) -> None:
    """Look again at series without a copy there, or with one in parts: the window has moved, and some may have entered it."""
    await connection.execute(
        text("""update pairing set stale = true where resource_id = :resource_id and link_id = :link_id
                and (href is null or href like 'parts:%') and intent is null and hold_id is null"""),
        {"resource_id": link.resource_id, "link_id": link.id},
    )


async def save_cursor(connection: AsyncConnection, link: LinkRow, values: Mapping[str, Any]) -> None:
    """Set columns of the link in the transaction that makes them true; facts are added to those that others noted."""
    given = {name: encode(value) if name in ("facts", "error_params") else value for name, value in values.items()}
    special = {"facts": "facts || cast(:facts as jsonb)", "error_params": "cast(:error_params as jsonb)"}
    columns = ", ".join(f"{name} = {special.get(name, f':{name}')}" for name in given)
    await connection.execute(text(f"update link set {columns} where id = :id"), {**given, "id": link.id})


# --- pairing -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PairRow:
    """One stale pairing with both sides as stored."""

    series_id: UUID
    href: str | None
    base_ours: dict[str, Json] | None
    base_theirs: dict[str, Json] | None
    made_by_us: bool
    state: str
    hold_id: UUID | None
    verdict: str
    attempt: int
    writes: list[list[Json]]  # ours of late, as `sync.breaker` keeps them
    series_version: int
    # ours
    version: int | None
    document: str | None
    origin: str | None
    origin_link_id: UUID | None
    deleted_at: datetime | None
    updated_at: datetime | None
    uid: str
    starts_at: datetime | None
    ends_at: datetime | None
    # theirs
    seen: bool
    etag: str
    theirs: str | None
    reason: str
    gone: bool
    is_organizer: bool
    response: str
    has_moved: bool  # theirs, since both sides last agreed
    seen_at: datetime | None
    modified_at: datetime | None
    problem_code: str  # why it was put aside, or has no copy
    grade: str  # how the other side holds ours, as last asked: exact, exploded or refused
    grade_reason: str


_PAIR = """
select p.series_id, p.href, p.base_ours::text, p.base_theirs::text, p.made_by_us, p.state, p.hold_id, p.verdict, p.attempt,
       p.writes::text, p.series_version, s.version, s.document, s.origin, s.origin_link_id, s.deleted_at, s.updated_at,
       coalesce(s.uid, ''), s.starts_at, s.ends_at, o.href is not null, coalesce(o.etag, ''), o.document, coalesce(o.reason, ''),
       coalesce(o.gone, true), coalesce(o.is_organizer, true), coalesce(o.response, 'none'),
       coalesce(o.gone or o.etag <> p.etag, false), o.seen_at,
       o.modified_at, p.problem_code, p.grade, p.grade_reason
from pairing p
left join series s on s.resource_id = p.resource_id and s.id = p.series_id
left join observed o on o.resource_id = p.resource_id and o.link_id = p.link_id and o.href = p.href
where p.resource_id = :resource_id and p.link_id = :link_id"""


def _pair(row: Sequence[Any]) -> PairRow:
    return PairRow(*[*row[:2], decode(row[2]), decode(row[3]), *row[4:9], decode(row[9]), *row[10:]])


async def mark_pairings(connection: AsyncConnection, link: LinkRow) -> None:
    """Carry staleness of what was observed over to its pairing, so that one list is left to plan."""
    await connection.execute(
        text("""update pairing p set stale = true, retry_at = null from observed o join part on part.resource_id = o.resource_id
                  and part.link_id = o.link_id and part.href = o.href
                where o.resource_id = :resource_id and o.link_id = :link_id and o.stale
                  and p.resource_id = :resource_id and p.link_id = :link_id and p.series_id = part.series_id
                  and not (p.stale and p.retry_at is null)"""),
        {"resource_id": link.resource_id, "link_id": link.id},
    )
    await connection.execute(
        text("""update pairing p set stale = true, retry_at = null from observed o
                where o.resource_id = :resource_id and o.link_id = :link_id and o.stale
                  and p.resource_id = :resource_id and p.link_id = :link_id and p.href = o.href
                  and not (p.stale and p.retry_at is null)"""),
        {"resource_id": link.resource_id, "link_id": link.id},
    )


async def stale_pairs(connection: AsyncConnection, link: LinkRow, after: UUID | None, limit: int) -> list[PairRow]:
    """Give stale pairings that are not waiting for a retry, by series id, after one."""
    found = await connection.execute(
        text(
            _PAIR
            + """ and p.stale and p.intent is null and p.state <> 'unlinked' and (p.retry_at is null or p.retry_at <= now())
                  and (cast(:after as uuid) is null or p.series_id > :after) order by p.series_id limit :limit"""
        ),
        {"resource_id": link.resource_id, "link_id": link.id, "after": after, "limit": limit},
    )
    return [_pair(row) for row in found]


@dataclass(frozen=True, slots=True)
class NewRow:
    """One observed object that no series is paired with yet."""

    href: str
    etag: str
    uid: str
    document: str | None
    reason: str
    gone: bool
    marker: str
    title_digest: str
    is_organizer: bool
    response: str
    starts_at: datetime | None


async def unpaired_observed(connection: AsyncConnection, link: LinkRow, after: str, limit: int) -> list[NewRow]:
    """Give stale observed objects without a pairing, by href, after one."""
    found = await connection.execute(
        text("""select o.href, o.etag, o.uid, o.document, o.reason, o.gone, o.marker, o.title_digest, o.is_organizer,
                       o.response, o.starts_at
                from observed o where o.resource_id = :resource_id and o.link_id = :link_id and o.stale and o.href > :after
                and not exists (select from pairing p where p.resource_id = o.resource_id and p.link_id = o.link_id
                                and p.href = o.href)
                and not exists (select from part p where p.resource_id = o.resource_id and p.link_id = o.link_id
                                and p.href = o.href)
                order by o.href limit :limit"""),
        {"resource_id": link.resource_id, "link_id": link.id, "after": after, "limit": limit},
    )
    return [NewRow(*row) for row in found]


async def unpaired_series(
    connection: AsyncConnection,
    link: LinkRow,
    *,
    ids: Sequence[UUID] = (),
    uids: Sequence[str] = (),
    after: UUID | None = None,
    every: bool = False,
    limit: int = 500,
) -> list[tuple[UUID, str, str, str]]:
    """Give live series of the resource that have no copy on this link: (id, uid, document, origin).

    Chosen by id or uid, or all of them page by page.
    """
    found = await connection.execute(
        text("""select s.id, s.uid, s.document, s.origin from series s
                left join pairing p on p.resource_id = s.resource_id and p.series_id = s.id and p.link_id = :link_id
                where s.resource_id = :resource_id and s.deleted_at is null and p.href is null
                  and (cast(:every as boolean) or s.id = any(cast(:ids as uuid[])) or s.uid = any(cast(:uids as text[])))
                  and (cast(:after as uuid) is null or s.id > :after)
                  and (p.intent is null)
                order by s.id limit :limit"""),
        {
            "resource_id": link.resource_id,
            "link_id": link.id,
            "ids": list(ids),
            "uids": list(uids),
            "every": every,
            "after": after,
            "limit": limit,
        },
    )
    return [(row[0], row[1], row[2], row[3]) for row in found]


async def adopt(connection: AsyncConnection, link: LinkRow, pairs: Iterable[tuple[UUID, str]], made_by_us: bool) -> None:
    """Tie series to objects that are already there; both are planned next, with no base."""
    rows = [
        {"resource_id": link.resource_id, "link_id": link.id, "series_id": series_id, "href": href, "made": made_by_us}
        for series_id, href in pairs
    ]
    if rows:
        await connection.execute(
            text("""insert into pairing (resource_id, link_id, series_id, href, made_by_us, stale)
                    values (:resource_id, :link_id, :series_id, :href, :made, true)
                    on conflict (resource_id, link_id, series_id) do update set href = excluded.href, stale = true,
                      made_by_us = excluded.made_by_us, base_ours = null, base_theirs = null, state = 'open'"""),
            rows,
        )


async def spread(connection: AsyncConnection, link: LinkRow) -> None:
    """Give every live series of the resource a pairing on this link, so that a first run looks at them all."""
    await connection.execute(
        text("""insert into pairing (resource_id, link_id, series_id, stale)
                select resource_id, :link_id, id, true from series where resource_id = :resource_id and deleted_at is null
                on conflict (resource_id, link_id, series_id) do nothing"""),
        {"resource_id": link.resource_id, "link_id": link.id},
    )


_SETTLE = text("""
insert into pairing (resource_id, link_id, series_id, href, remote_uid, etag, series_version, base_ours, base_theirs,
                     made_by_us, stale, state, writes)
values (:resource_id, :link_id, :series_id, :href, :remote_uid, :etag, :series_version, cast(:base_ours as jsonb),
        cast(:base_theirs as jsonb), :made_by_us, false, 'linked', cast(:wrote as jsonb))
on conflict (resource_id, link_id, series_id) do update set href = excluded.href,
  remote_uid = case when excluded.remote_uid = '' then pairing.remote_uid else excluded.remote_uid end,
  etag = excluded.etag, series_version = excluded.series_version, base_ours = excluded.base_ours,
  base_theirs = excluded.base_theirs, made_by_us = pairing.made_by_us or excluded.made_by_us, intent = null, hold_id = null,
  verdict = '', attempt = 0, retry_at = null, problem_code = '', state = 'linked',
  writes = jsonb_path_query_array(pairing.writes || excluded.writes, '$[last-59 to last]'),
  stale = exists (select from series s where s.resource_id = pairing.resource_id and s.id = pairing.series_id
                  and s.version <> excluded.series_version)
""")


async def hold_still(connection: AsyncConnection, link: LinkRow, series_ids: Iterable[UUID]) -> None:
    """Keep series of ours from moving on until the transaction ends.

    Who changes a series locks it, counts its version up and marks its pairings, in this order. After this call a
    comparison with its version says the truth, and a mark that comes later is not wiped away.
    """
    await connection.execute(
        text("""select from series where resource_id = :resource_id and id = any(cast(:ids as uuid[])) order by id for share"""),
        {"resource_id": link.resource_id, "ids": list(series_ids)},
    )


async def settle(connection: AsyncConnection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Record what both sides now agree on; a pairing stays stale where our series moved on meanwhile."""
    if rows:
        await connection.execute(_SETTLE, rows)


async def expect_more(connection: AsyncConnection, link: LinkRow, plan_id: UUID, numbers: Sequence[int]) -> None:
    """Keep pairings stale of which these actions settled only the first half: a crash before the second must not lose it."""
    if numbers:
        await connection.execute(
            text("""update pairing p set stale = true from plan_action first, plan_action later
                    where first.plan_id = :plan_id and first.number = any(cast(:numbers as int[]))
                      and later.plan_id = :plan_id and later.series_id = first.series_id and later.number > first.number
                      and later.state in ('planned', 'approved')
                      and p.resource_id = :resource_id and p.link_id = :link_id and p.series_id = first.series_id"""),
            {"plan_id": plan_id, "numbers": list(numbers), "resource_id": link.resource_id, "link_id": link.id},
        )


async def in_step(connection: AsyncConnection, link: LinkRow, pairs: Sequence[PairRow]) -> None:
    """Note that there is nothing to do for these pairings as both sides stood when they were read.

    What moved on or was decided by a person since then stays stale. The series must be held still.
    """
    if pairs:
        await connection.execute(
            text("""update pairing p set stale = false, attempt = 0, retry_at = null, verdict = '', problem_code = '',
                      state = case when p.state <> 'parked' then p.state when p.href is null then 'open' else 'linked' end
                    from unnest(cast(:ids as uuid[]), cast(:versions as bigint[]), cast(:verdicts as text[]))
                         as given(id, version, verdict)
                    left join series s on s.resource_id = :resource_id and s.id = given.id
                    where p.resource_id = :resource_id and p.link_id = :link_id and p.series_id = given.id and p.intent is null
                      and s.version is not distinct from given.version and p.verdict = given.verdict"""),
            {
                "resource_id": link.resource_id,
                "link_id": link.id,
                "ids": [pair.series_id for pair in pairs],
                "versions": [pair.version for pair in pairs],
                "verdicts": [pair.verdict for pair in pairs],
            },
        )


async def refuse(connection: AsyncConnection, link: LinkRow, series_id: UUID, code: str) -> None:
    """Note why a series can have no copy there."""
    await connection.execute(
        text("""update pairing set problem_code = :code where resource_id = :resource_id and link_id = :link_id
                and series_id = :series_id"""),
        {"resource_id": link.resource_id, "link_id": link.id, "series_id": series_id, "code": code},
    )


async def planned(connection: AsyncConnection, link: LinkRow, hrefs: Sequence[str]) -> None:
    """Note that what was observed under these hrefs has been planned."""
    if hrefs:
        await connection.execute(  # «is not false» keeps it away from the index of stale rows, all of which it would walk
            text("""update observed set stale = false where resource_id = :resource_id and link_id = :link_id
                    and href = any(cast(:hrefs as text[])) and stale is not false"""),
            {"resource_id": link.resource_id, "link_id": link.id, "hrefs": list(hrefs)},
        )


async def unpair(connection: AsyncConnection, link: LinkRow, series_id: UUID, *, forget: bool) -> None:
    """Let go of a copy that no longer exists; it is planned again as «no copy there».

    forget: drop the row, unless our series has come back to life. The series must be held still.
    """
    given = {"resource_id": link.resource_id, "link_id": link.id, "series_id": series_id}
    where = "where resource_id = :resource_id and link_id = :link_id and series_id = :series_id"
    if forget:
        lives = """exists (select from series s where s.resource_id = pairing.resource_id and s.id = pairing.series_id
                           and s.deleted_at is null)"""
        await connection.execute(text(f"delete from pairing {where} and not {lives}"), given)
    await connection.execute(
        text(f"""update pairing set href = null, etag = '', base_ours = null, base_theirs = null, intent = null,
                 hold_id = null, verdict = '', stale = true, made_by_us = false, state = 'open' {where}"""),
        given,
    )


async def forget_observed(connection: AsyncConnection, link: LinkRow, hrefs: Sequence[str]) -> None:
    """Drop rows of objects that are gone and planned."""
    if hrefs:
        await connection.execute(
            text("""delete from observed where resource_id = :resource_id and link_id = :link_id
                    and href = any(cast(:hrefs as text[]))"""),
            {"resource_id": link.resource_id, "link_id": link.id, "hrefs": list(hrefs)},
        )


async def forget_gone(connection: AsyncConnection, link: LinkRow, hrefs: Sequence[str]) -> None:
    """Drop those of these rows whose object is gone; one that still stands there stays known."""
    if hrefs:
        await connection.execute(
            text("""delete from observed where resource_id = :resource_id and link_id = :link_id and gone
                    and href = any(cast(:hrefs as text[]))"""),
            {"resource_id": link.resource_id, "link_id": link.id, "hrefs": list(hrefs)},
        )


async def look_again(connection: AsyncConnection, link: LinkRow, hrefs: Sequence[str]) -> None:
    """Plan these objects anew, as if they had just been seen."""
    if hrefs:
        await connection.execute(
            text("""update observed set stale = true where resource_id = :resource_id and link_id = :link_id
                    and href = any(cast(:hrefs as text[]))"""),
            {"resource_id": link.resource_id, "link_id": link.id, "hrefs": list(hrefs)},
        )


async def failed_again(connection: AsyncConnection, link: LinkRow, series_id: UUID) -> int:
    """Count a failed write, let go of its intent so that it is planned again, and give how often in a row it failed."""
    found = await connection.execute(
        text(f"""update pairing set attempt = attempt + 1, {_LET_GO}, stale = true where resource_id = :resource_id
                and link_id = :link_id and series_id = :series_id returning attempt"""),
        {"resource_id": link.resource_id, "link_id": link.id, "series_id": series_id},
    )
    return found.scalar_one_or_none() or 0


async def lost_again(connection: AsyncConnection, link: LinkRow, series_id: UUID) -> int:
    """Count a write that had no effect, and give how often in a row; 0 while its outcome is still open."""
    found = await connection.execute(
        text("""update pairing set attempt = attempt + 1 where resource_id = :resource_id and link_id = :link_id
                and series_id = :series_id and intent is null returning attempt"""),
        {"resource_id": link.resource_id, "link_id": link.id, "series_id": series_id},
    )
    return found.scalar_one_or_none() or 0


async def look_at_all(connection: AsyncConnection, link: LinkRow) -> None:
    """Plan every pairing of a link anew, because what it may do has changed."""
    await connection.execute(
        text("""update pairing set stale = true, retry_at = null where resource_id = :resource_id and link_id = :link_id
                and hold_id is null"""),
        {"resource_id": link.resource_id, "link_id": link.id},
    )


# --- intents -----------------------------------------------------------------------------------------------------


async def open_intents(
    connection: AsyncConnection, link: LinkRow, intents: Sequence[tuple[UUID, int | None, Mapping[str, Json]]]
) -> set[UUID]:
    """Store what is about to be sent, for (series, version it was planned from, intent); give those that may go.

    A series that moved on since is left out: it is planned again. The series must be held still.
    """
    found = await connection.execute(
        text("""update pairing p set intent = cast(given.intent as jsonb)
                from unnest(cast(:ids as uuid[]), cast(:versions as bigint[]), cast(:intents as text[]))
                     as given(id, version, intent)
                left join series s on s.resource_id = :resource_id and s.id = given.id
                where p.resource_id = :resource_id and p.link_id = :link_id and p.series_id = given.id and p.intent is null
                  and (given.version is null or given.version = s.version)
                returning p.series_id"""),
        {
            "resource_id": link.resource_id,
            "link_id": link.id,
            "ids": [series_id for series_id, _, _ in intents],
            "versions": [version for _, version, _ in intents],
            "intents": [encode(intent) for _, _, intent in intents],
        },
    )
    return {row[0] for row in found}


async def intents(connection: AsyncConnection, link: LinkRow) -> list[tuple[UUID, dict[str, Json]]]:
    """Give the open intents of a link: writes whose outcome is not known."""
    found = await connection.execute(
        text("""select series_id, intent::text from pairing where resource_id = :resource_id and link_id = :link_id
                and intent is not null order by series_id"""),
        {"resource_id": link.resource_id, "link_id": link.id},
    )
    return [(row[0], decode(row[1])) for row in found]


async def drop_intents(connection: AsyncConnection, link: LinkRow, series_ids: Sequence[UUID]) -> None:
    """Forget intents that did not happen; the pairings are planned again."""
    if series_ids:
        await connection.execute(
            text(f"""update pairing set {_LET_GO}, stale = true where resource_id = :resource_id and link_id = :link_id
                    and series_id = any(cast(:ids as uuid[]))"""),
            {"resource_id": link.resource_id, "link_id": link.id, "ids": list(series_ids)},
        )


async def postpone(
    connection: AsyncConnection,
    link: LinkRow,
    series_id: UUID,
    *,
    retry_at: datetime | None,
    state: str,
    code: str,
    version: int | None = None,
) -> None:
    """Put a pairing aside after a trouble: until a time, or (`parked`) until either side changes.

    version: of our series that met the trouble; a later one is planned at once. The series must be held still.
    """
    await connection.execute(
        text(f"""update pairing set retry_at = :retry_at, problem_code = :code, {_LET_GO}, state = :state,
                  stale = cast(:stale as boolean) or exists (
                    select from series s where s.resource_id = pairing.resource_id and s.id = pairing.series_id
                      and s.version <> cast(:version as bigint))
                where resource_id = :resource_id and link_id = :link_id and series_id = :series_id"""),
        {
            "resource_id": link.resource_id,
            "link_id": link.id,
            "series_id": series_id,
            "retry_at": retry_at,
            "code": code,
            "state": state,
            "stale": retry_at is not None,
            "version": version,
        },
    )


async def set_aside(
    connection: AsyncConnection,
    link: LinkRow,
    series_id: UUID,
    state: str,
    *,
    until: datetime | None = None,
    version: int | None = None,
) -> None:
    """Let a pairing rest in a state: `conflict` and `unlinked` until somebody acts, any other until a time.

    version: of our series as it was looked at; a later one is planned at once. The series must be held still.
    """
    await connection.execute(
        text("""update pairing set state = :state, retry_at = :until, verdict = '', stale = cast(:stale as boolean) or exists (
                  select from series s where s.resource_id = pairing.resource_id and s.id = pairing.series_id
                    and s.version <> cast(:version as bigint))
                where resource_id = :resource_id and link_id = :link_id and series_id = :series_id"""),
        {
            "resource_id": link.resource_id,
            "link_id": link.id,
            "series_id": series_id,
            "state": state,
            "until": until,
            "stale": until is not None,
            "version": version,
        },
    )


async def has_stale(connection: AsyncConnection, link: LinkRow) -> bool:
    """Say whether something is left that can be planned now."""
    found = await connection.execute(
        text("""select exists (select from pairing where resource_id = :resource_id and link_id = :link_id and stale
                               and intent is null and state <> 'unlinked' and (retry_at is null or retry_at <= now()))
                    or exists (select from observed where resource_id = :resource_id and link_id = :link_id and stale)"""),
        {"resource_id": link.resource_id, "link_id": link.id},
    )
    return bool(found.scalar_one())


async def next_retry(connection: AsyncConnection, link: LinkRow) -> datetime | None:
    """Give when the next pairing or unreadable object wants to be tried again."""
    found = await connection.execute(
        text("""select least(
                  (select min(coalesce(retry_at, now())) from pairing where resource_id = :resource_id and link_id = :link_id
                     and stale and state <> 'unlinked'),
                  (select min(coalesce(retry_at, now())) from pairing where resource_id = :resource_id and link_id = :link_id
                     and intent is not null),
                  (select min(retry_at) from observed where resource_id = :resource_id and link_id = :link_id
                     and reason = 'unreadable'))"""),
        {"resource_id": link.resource_id, "link_id": link.id},
    )
    value: datetime | None = found.scalar_one()
    return value


async def tally(connection: AsyncConnection, link: LinkRow) -> tuple[int, int]:
    """Give how many pairings have a copy there, and how many of our own series of this link are live."""
    found = await connection.execute(
        text("""select count(*) filter (where p.href is not null),
                       count(*) filter (where p.href is not null and s.deleted_at is null)
                from pairing p left join series s on s.resource_id = p.resource_id and s.id = p.series_id
                where p.resource_id = :resource_id and p.link_id = :link_id"""),
        {"resource_id": link.resource_id, "link_id": link.id},
    )
    row = found.one()
    return row[0], row[1]


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
                           and born.link_id = j.link_id and born.href = j.href and born.side = 'provider' and born.verb = 'create'))
                from run r join journal j on j.run_id = r.undo_of and j.resource_id = :resource_id and j.link_id = :link_id
                left join pairing p on p.resource_id = j.resource_id and p.link_id = j.link_id and p.series_id = j.series_id
                where r.id = :run_id order by j.id"""),
        {"resource_id": link.resource_id, "link_id": link.id, "run_id": undoing},
    )
    return [JournalRow(*row) for row in found]


async def documents(connection: AsyncConnection, link: LinkRow, hrefs: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Give content and etag of what stands under these hrefs, as last observed."""
    found = await connection.execute(
        text("""select href, document, etag from observed where resource_id = :resource_id and link_id = :link_id and not gone
                and document is not null and href = any(cast(:hrefs as text[]))"""),
        {"resource_id": link.resource_id, "link_id": link.id, "hrefs": list(hrefs)},
    )
    return {row[0]: (row[1], row[2]) for row in found}


async def pair_of(connection: AsyncConnection, link: LinkRow, series_id: UUID) -> PairRow | None:
    """Give one pairing with both sides as stored."""
    given = {"resource_id": link.resource_id, "link_id": link.id, "series_id": series_id}
    found = (await connection.execute(text(_PAIR + " and p.series_id = :series_id"), given)).one_or_none()
    return _pair(found) if found else None


async def agree_on(
    connection: AsyncConnection,
    link: LinkRow,
    series_id: UUID,
    *,
    ours: Mapping[str, Json] | None = None,
    theirs: Mapping[str, Json] | None = None,
    etag: str | None = None,
    href: str | None = None,
) -> None:
    """Record halves of a base after an undo. The pairing is compared again, for edits made since.

    href: of a copy that was brought back; it rests as it is until either side moves.
    """
    await connection.execute(
        text("""update pairing set base_ours = coalesce(cast(:ours as jsonb), base_ours),
                  base_theirs = coalesce(cast(:theirs as jsonb), base_theirs, base_ours), etag = coalesce(:etag, etag),
                  made_by_us = made_by_us or cast(:href as text) is not null, href = coalesce(:href, href), state = 'linked',
                  stale = cast(:href as text) is null, intent = null, hold_id = null, verdict = '', retry_at = null
                where resource_id = :resource_id and link_id = :link_id and series_id = :series_id"""),
        {
            "resource_id": link.resource_id,
            "link_id": link.id,
            "series_id": series_id,
            "ours": encode(ours) if ours is not None else None,
            "theirs": encode(theirs) if theirs is not None else None,
            "etag": etag,
            "href": href,
        },
    )
