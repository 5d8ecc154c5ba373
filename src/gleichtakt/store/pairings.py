"""What a series of ours is to a calendar: its copy there, what both sides agreed on, what waits, and writes under way.

Every function works in the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from gleichtakt.store.passes import Json, LinkRow, decode, encode

#: A write that did not happen is forgotten. A series in parts stays open until all its parts are known (`parts.close`).
_LET_GO = "intent = case when intent ->> 'verb' = 'parts' then intent end"

#: What is put aside is planned all the same where our series is not at the version any more that was looked at.
_RESTS = """stale = cast(:stale as boolean) or exists (
  select from series s where s.resource_id = pairing.resource_id and s.id = pairing.series_id
    and s.version <> cast(:version as bigint))
where resource_id = :resource_id and link_id = :link_id and series_id = :series_id"""


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


# --- writes under way --------------------------------------------------------------------------------------------


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
                  {_RESTS}"""),
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
        text(f"update pairing set state = :state, retry_at = :until, verdict = '', {_RESTS}"),
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


# --- what is left to do ------------------------------------------------------------------------------------------


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
