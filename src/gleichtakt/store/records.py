"""What a pass leaves for people to read: runs, plans and their actions, holds, conflicts and problems.

Every function works in the caller's transaction. What people do with these rows (approve, resolve, retry) is in `runs`,
`holds`, `conflicts` and `problems`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from gleichtakt.errors import Scope, Trouble
from gleichtakt.store import changes, lanes, runs
from gleichtakt.store.database import new_id, wake_after_commit
from gleichtakt.store.passes import LinkRow, decode, encode
from gleichtakt.sync.undo import LOST

Json = Any


# --- runs --------------------------------------------------------------------------------------------------------


async def begin_run(connection: AsyncConnection, link: LinkRow, kind: str) -> UUID:
    """Start the run that was asked for, or one of our own; give its id."""
    if link.run_id is not None:
        await connection.execute(
            text("update run set state = 'running', started_at = coalesce(started_at, now()) where id = :id"),
            {"id": link.run_id},
        )
        return link.run_id
    run_id = new_id()
    await connection.execute(
        text("""insert into run (id, organization_id, link_id, connection_id, kind, state, asked_by, started_at)
                values (:id, :organization_id, :link_id, :connection_id, :kind, 'running', 'schedule', now())"""),
        {
            "id": run_id,
            "organization_id": link.organization_id,
            "link_id": link.id,
            "connection_id": link.connection_id,
            "kind": kind,
        },
    )
    return run_id


async def progress(connection: AsyncConnection, run_id: UUID, values: Mapping[str, Json]) -> None:
    """Show how far a long run is."""
    await connection.execute(
        text("update run set progress = cast(:progress as jsonb) where id = :id"), {"id": run_id, "progress": encode(values)}
    )


async def end_run(
    connection: AsyncConnection,
    run_id: UUID,
    *,
    state: str,
    counts: Mapping[str, Json],
    held: int = 0,
    conflicts: int = 0,
    problems: Sequence[Mapping[str, Json]] = (),
    trouble: Trouble | None = None,
) -> None:
    """Close a run with what it did; `trouble` is why it failed."""
    await connection.execute(
        text("""update run set state = :state, counts = cast(:counts as jsonb), held = :held, conflicts = :conflicts,
                  problems = cast(:problems as jsonb), error_code = :code, error_params = cast(:params as jsonb),
                  finished_at = now(), started_at = coalesce(started_at, now()) where id = :id"""),
        {
            "id": run_id,
            "state": state,
            "counts": encode(counts),
            "held": held,
            "conflicts": conflicts,
            "problems": encode(list(problems)[:100]),
            "code": trouble.code if trouble else "",
            "params": encode(trouble.params if trouble else {}),
        },
    )
    wake_after_commit(connection, runs.CHANNEL)


class OfConnection(Protocol):
    """What belongs to a connection: a link, a watch."""

    @property
    def connection_id(self) -> UUID:
        """Say to which."""

    @property
    def organization_id(self) -> UUID:
        """Say whose."""


async def note_connection(connection: AsyncConnection, link: OfConnection, trouble: Trouble | None) -> None:
    """Bring the state of a link's connection up to date: online again, or what keeps the whole account from working."""
    state, code, params = "online", "", {}
    if trouble is not None:
        if trouble.scope is not Scope.ACCOUNT:
            return
        state = {"auth_required": "auth_required", "throttled": "degraded"}.get(trouble.kind, "offline")
        code, params = trouble.code, trouble.params
    changed = await connection.execute(
        text("""update connection set state = :state, state_code = :code, state_params = cast(:params as jsonb), state_since = now()
                where id = :id and (state <> :state or state_code <> :code) and state <> 'paused' returning id"""),
        {"id": link.connection_id, "state": state, "code": code, "params": encode(params)},
    )
    if changed.one_or_none():
        await changes.append(connection, link.organization_id, "connection.state", None, link.connection_id)
        wake_after_commit(connection, lanes.WATCHES)


# --- plans -------------------------------------------------------------------------------------------------------


async def add_plan(connection: AsyncConnection, link: LinkRow, run_id: UUID | None, kind: str) -> UUID:
    """Open a plan and give its id."""
    plan_id = new_id()
    await connection.execute(
        text(
            "insert into plan (id, organization_id, link_id, run_id, kind) values (:id, :organization_id, :link_id, :run_id, :kind)"
        ),
        {"id": plan_id, "organization_id": link.organization_id, "link_id": link.id, "run_id": run_id, "kind": kind},
    )
    return plan_id


_ADD_ACTION = text("""
insert into plan_action (plan_id, number, resource_id, link_id, series_id, href, side, verb, uid, title, fields, why, action,
                         digest, state, mails)
values (:plan_id, :number, :resource_id, :link_id, :series_id, :href, :side, :verb, :uid, :title, cast(:fields as jsonb), :why,
        cast(:action as jsonb), :digest, :state, :mails)
""")


async def add_actions(connection: AsyncConnection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Append actions to a plan, as `planned` or, where a person has already agreed, `approved`."""
    if rows:
        await connection.execute(_ADD_ACTION, rows)


@dataclass(frozen=True, slots=True)
class ActionRow:
    """One planned action as stored."""

    number: int
    series_id: UUID | None
    href: str | None
    side: str
    verb: str
    uid: str
    title: str
    why: str
    action: dict[str, Json]
    digest: str


_LAST = text("select coalesce(max(number), 0) from plan_action where plan_id = :plan_id")
_PLANNED = text("""
select number, series_id, href, side, verb, uid, title, why, action::text, digest from plan_action
where plan_id = :plan_id and state in ('planned', 'approved') and side = :side and number > :after and number <= :until
order by number limit :limit
""")
LOOKED_AT = 1_000


async def planned_actions(connection: AsyncConnection, plan_id: UUID, side: str, after: int, limit: int) -> list[ActionRow]:
    """Give planned actions of one side in their order, as many as asked for unless the plan ends.

    Looks at a stretch of numbers at a time: without an upper end, a planner that knows little of a fresh table reads and
    sorts the whole rest of the plan for each page.
    """
    last: int = (await connection.execute(_LAST, {"plan_id": plan_id})).scalar_one()
    rows: list[ActionRow] = []
    while after < last and len(rows) < limit:
        given = {"plan_id": plan_id, "side": side, "after": after, "until": after + LOOKED_AT, "limit": limit - len(rows)}
        found = await connection.execute(_PLANNED, given)
        rows += [ActionRow(*[*row[:8], decode(row[8]), row[9]]) for row in found]
        after = after + LOOKED_AT if len(rows) < limit else rows[-1].number
    return rows


async def mark_actions(connection: AsyncConnection, plan_id: UUID, numbers: Sequence[int], state: str, code: str = "") -> None:
    """Note what became of actions; their payload is no longer needed."""
    if numbers:
        await connection.execute(
            text("""update plan_action set state = :state, error_code = :code, action = '{}'
                    where plan_id = :plan_id and number = any(cast(:numbers as int[]))"""),
            {"plan_id": plan_id, "numbers": list(numbers), "state": state, "code": code},
        )


async def skip_after(connection: AsyncConnection, plan_id: UUID, state: str) -> None:
    """Leave out actions that depend on one that is held or was skipped: the next plan finds what is left."""
    await connection.execute(
        text("""update plan_action a set state = 'skipped', action = '{}' from plan_action first
                where a.plan_id = :plan_id and first.plan_id = :plan_id and first.state = :state
                  and a.state in ('planned', 'approved') and a.series_id = first.series_id and a.number > first.number"""),
        {"plan_id": plan_id, "state": state},
    )


async def close_plan(connection: AsyncConnection, plan_id: UUID, counts: Mapping[str, Json], mails: int) -> None:
    """Store the plan's totals."""
    await connection.execute(
        text("update plan set counts = cast(:counts as jsonb), mails = :mails where id = :id"),
        {"id": plan_id, "counts": encode(counts), "mails": mails},
    )


# --- holds and conflicts -----------------------------------------------------------------------------------------


async def hold_actions(
    connection: AsyncConnection,
    link: LinkRow,
    plan_id: UUID,
    run_id: UUID | None,
    kind: str,
    params: Mapping[str, Json],
    *,
    classes: Sequence[tuple[str, str]] = (),
    numbers: Sequence[int] = (),
) -> int:
    """Keep back actions of a plan, by class (side, verb) or by number, under one new hold; give how many.

    Their pairings wait (`hold_id`) until a person decides or the reason goes away.
    """
    hold_id = new_id()
    await connection.execute(
        text("""insert into hold (id, organization_id, link_id, resource_id, run_id, kind, params)
                values (:id, :organization_id, :link_id, :resource_id, :run_id, :kind, cast(:params as jsonb))"""),
        {
            "id": hold_id,
            "organization_id": link.organization_id,
            "link_id": link.id,
            "resource_id": link.resource_id,
            "run_id": run_id,
            "kind": kind,
            "params": encode(params),
        },
    )
    await connection.execute(
        text("""insert into hold_action (hold_id, number, resource_id, link_id, series_id, href, side, verb, uid, title, why,
                                         digest, event_start)
                select :hold_id, a.number, a.resource_id, a.link_id, a.series_id, a.href, a.side, a.verb, a.uid, a.title, a.why,
                       a.digest, s.starts_at
                from plan_action a left join series s on s.resource_id = :resource_id and s.id = a.series_id
                where a.plan_id = :plan_id and a.state = 'planned'
                  and (a.number = any(cast(:numbers as int[]))
                       or (a.side, a.verb) in (select * from unnest(cast(:sides as text[]), cast(:verbs as text[]))))"""),
        {
            "hold_id": hold_id,
            "resource_id": link.resource_id,
            "plan_id": plan_id,
            "numbers": list(numbers),
            "sides": [side for side, _ in classes],
            "verbs": [verb for _, verb in classes],
        },
    )
    await connection.execute(  # none may move on unnoticed while it is marked as waiting; see `pairings.hold_still`
        text("""select from series where resource_id = :resource_id
                  and id in (select series_id from hold_action where hold_id = :hold_id) order by id for share"""),
        {"hold_id": hold_id, "resource_id": link.resource_id},
    )
    found = await connection.execute(
        text("""with kept as (select h.number, h.series_id, coalesce(s.version, 0) <> coalesce((a.action->>'version')::bigint, 0) as moved
                              from hold_action h join plan_action a on a.plan_id = :plan_id and a.number = h.number
                              left join series s on s.resource_id = :resource_id and s.id = h.series_id
                              where h.hold_id = :hold_id),
                marked as (update plan_action a set state = 'held' from kept where a.plan_id = :plan_id and a.number = kept.number),
                waiting as (update pairing p set hold_id = :hold_id, stale = kept.moved, verdict = '' from kept
                            where p.resource_id = :resource_id and p.link_id = :link_id and p.series_id = kept.series_id)
                update hold set count = (select count(*) from kept) where id = :hold_id returning count"""),
        {"hold_id": hold_id, "plan_id": plan_id, "resource_id": link.resource_id, "link_id": link.id},
    )
    count: int = found.scalar_one()
    await changes.append(connection, link.organization_id, "hold.opened", link.resource_id, hold_id)
    return count


async def hold_look_alikes(
    connection: AsyncConnection,
    link: LinkRow,
    run_id: UUID | None,
    kind: str,
    groups: Sequence[tuple[Sequence[str], Sequence[str]]],
) -> int:
    """Keep apart what looks alike but is not unique: groups of (series ids, hrefs). Give how many look-alikes wait.

    Neither side is copied until a person says that they are different events (approve), or leaves them as they are.
    """
    hold_id, number = new_id(), 0
    rows: list[dict[str, Any]] = []
    for ours, theirs in groups:
        for series_id, href in [(UUID(key), None) for key in ours] + [(None, key) for key in theirs]:
            number += 1
            rows.append({"hold_id": hold_id, "number": number, "series_id": series_id, "href": href})
    await connection.execute(
        text("""insert into hold (id, organization_id, link_id, resource_id, run_id, kind, count)
                values (:id, :organization_id, :link_id, :resource_id, :run_id, :kind, :count)"""),
        {
            "id": hold_id,
            "organization_id": link.organization_id,
            "link_id": link.id,
            "resource_id": link.resource_id,
            "run_id": run_id,
            "kind": kind,
            "count": number,
        },
    )
    common = {"resource_id": link.resource_id, "link_id": link.id}
    await connection.execute(
        text("""insert into hold_action (hold_id, number, resource_id, link_id, series_id, href, side, verb, why, uid, title, digest,
                                         event_start)
                select :hold_id, :number, :resource_id, :link_id, cast(:series_id as uuid), cast(:href as text),
                       case when cast(:href as text) is null then 'provider' else 'app' end, 'create', 'sync.ambiguous_match', '',
                       '', '', coalesce(s.starts_at, o.starts_at)
                from (select 1) one
                left join series s on s.resource_id = :resource_id and s.id = cast(:series_id as uuid)
                left join observed o on o.resource_id = :resource_id and o.link_id = :link_id and o.href = cast(:href as text)"""),
        [row | common for row in rows],
    )
    given = common | {"hold_id": hold_id}
    await connection.execute(
        text("""update observed set stale = false where resource_id = :resource_id and link_id = :link_id
                and href in (select href from hold_action where hold_id = :hold_id)"""),
        given,
    )
    await connection.execute(
        text("""update pairing set stale = false, hold_id = :hold_id where resource_id = :resource_id and link_id = :link_id
                and series_id in (select series_id from hold_action where hold_id = :hold_id)"""),
        given,
    )
    await changes.append(connection, link.organization_id, "hold.opened", link.resource_id, hold_id)
    return number


async def held_digests(connection: AsyncConnection, link: LinkRow, series_ids: Sequence[UUID]) -> dict[UUID, str]:
    """Give the digest of what an open hold keeps back for each of these series."""
    found = await connection.execute(
        text("""select a.series_id, a.digest from hold_action a join hold h on h.id = a.hold_id
                where a.link_id = :link_id and h.state = 'open' and a.series_id = any(cast(:ids as uuid[]))"""),
        {"link_id": link.id, "ids": list(series_ids)},
    )
    return {row[0]: row[1] for row in found}


async def release(connection: AsyncConnection, link: LinkRow, series_ids: Sequence[UUID]) -> None:
    """Take series out of their holds because what was held is no longer meant; an emptied hold is resolved."""
    if not series_ids:
        return
    given = {"link_id": link.id, "resource_id": link.resource_id, "ids": list(series_ids)}
    await connection.execute(
        text("""delete from hold_action a using hold h where h.id = a.hold_id and h.state = 'open' and a.link_id = :link_id
                and a.series_id = any(cast(:ids as uuid[]))"""),
        given,
    )
    await connection.execute(
        text("""update pairing set hold_id = null where resource_id = :resource_id and link_id = :link_id
                and series_id = any(cast(:ids as uuid[]))"""),
        given,
    )
    await connection.execute(
        text("""update hold set count = (select count(*) from hold_action a where a.hold_id = hold.id),
                  state = case when exists (select from hold_action a where a.hold_id = hold.id) then state else 'resolved' end,
                  decided_at = case when exists (select from hold_action a where a.hold_id = hold.id) then null else now() end
                where link_id = :link_id and state = 'open'"""),
        {"link_id": link.id},
    )


async def open_conflict(
    connection: AsyncConnection,
    link: LinkRow,
    series_id: UUID,
    href: str | None,
    fields: Sequence[str],
    versions: tuple[Json, Json, Json],
) -> bool:
    """List a clash for a person: base, ours, theirs as flat forms. An open one of the series is brought up to date."""
    base, ours, theirs = (None if version is None else encode(version) for version in versions)
    given = {
        "link_id": link.id,
        "series_id": series_id,
        "fields": encode(sorted(fields)),
        "base": base,
        "ours": ours,
        "theirs": theirs,
    }
    moved = await connection.execute(
        text("""update conflict set fields = cast(:fields as jsonb), base = cast(:base as jsonb), ours = cast(:ours as jsonb),
                  theirs = cast(:theirs as jsonb) where link_id = :link_id and series_id = :series_id and state = 'open'
                returning id"""),
        given,
    )
    if moved.one_or_none():
        return False
    conflict_id = new_id()
    await connection.execute(
        text("""insert into conflict (id, organization_id, link_id, resource_id, series_id, href, fields, base, ours, theirs)
                values (:id, :organization_id, :link_id, :resource_id, :series_id, :href, cast(:fields as jsonb),
                        cast(:base as jsonb), cast(:ours as jsonb), cast(:theirs as jsonb))"""),
        given
        | {
            "id": conflict_id,
            "organization_id": link.organization_id,
            "resource_id": link.resource_id,
            "href": href,
        },
    )
    await changes.append(connection, link.organization_id, "conflict.opened", link.resource_id, conflict_id)
    return True


async def close_conflicts(connection: AsyncConnection, link: LinkRow, series_ids: Sequence[UUID], resolution: str) -> None:
    """Close conflicts that went away by themselves or by a decision that has now been carried out."""
    if series_ids:
        await connection.execute(
            text("""update conflict set state = 'resolved', resolution = case when resolution = '' then :resolution else resolution end,
                      decided_at = coalesce(decided_at, now())
                    where link_id = :link_id and series_id = any(cast(:ids as uuid[])) and state = 'open'"""),
            {"link_id": link.id, "ids": list(series_ids), "resolution": resolution},
        )


# --- problems ----------------------------------------------------------------------------------------------------


async def open_problem(
    connection: AsyncConnection,
    link: LinkRow,
    trouble: Trouble,
    *,
    series_id: UUID | None = None,
    href: str | None = None,
    side: str = "provider",
    event_start: datetime | None = None,
    next_try_at: datetime | None = None,
) -> None:
    """List a trouble once; the same one again only counts up. Announced to consumers when it is new."""
    about = str(series_id or href or "") if trouble.scope is Scope.SERIES else ""
    key = f"{link.id if trouble.scope is not Scope.ACCOUNT else link.connection_id}/{about}/{trouble.code}"
    found = await connection.execute(
        text("""insert into problem (id, organization_id, resource_id, link_id, connection_id, series_id, href, side, code, params,
                                     kind, scope, event_start, next_try_at, key)
                values (:id, :organization_id, :resource_id, :link_id, :connection_id, :series_id, :href, :side, :code,
                        cast(:params as jsonb), :kind, :scope, :event_start, :next_try_at, :key)
                on conflict (organization_id, key) where state = 'open' do update set count = problem.count + 1,
                  last_at = now(), params = excluded.params, next_try_at = excluded.next_try_at
                returning id, count"""),
        {
            "id": new_id(),
            "organization_id": link.organization_id,
            "resource_id": link.resource_id,
            "link_id": link.id,
            "connection_id": link.connection_id,
            "series_id": series_id,
            "href": href,
            "side": side,
            "code": trouble.code,
            "params": encode(trouble.params),
            "kind": trouble.kind,
            "scope": trouble.scope.value,
            "event_start": event_start,
            "next_try_at": next_try_at,
            "key": key,
        },
    )
    row = found.one()
    if row[1] == 1:
        await changes.append(connection, link.organization_id, "problem.opened", link.resource_id, row[0])


async def close_problems(
    connection: AsyncConnection,
    link: LinkRow,
    *,
    series_ids: Sequence[UUID] = (),
    hrefs: Sequence[str] = (),
    wider: bool = False,
) -> None:
    """Close problems of series that are in step now, and of objects without one that can be read again.

    wider: those of the link and its connection as well. What an undo could not bring back stays listed until somebody has read it.
    """
    if not (series_ids or hrefs or wider):
        return
    await connection.execute(
        text("""update problem set state = 'resolved', last_at = now() where state = 'open' and organization_id = :organization_id
                and kind <> 'notice' and code <> all(cast(:to_read as text[])) and (
                  (link_id = :link_id and (series_id = any(cast(:ids as uuid[]))
                                              or (series_id is null and href = any(cast(:hrefs as text[])))))
                  or (cast(:wider as boolean) and scope <> 'series'
                      and (link_id = :link_id or (scope = 'account' and connection_id = :connection_id))))"""),
        {
            "organization_id": link.organization_id,
            "link_id": link.id,
            "connection_id": link.connection_id,
            "ids": list(series_ids),
            "hrefs": list(hrefs),
            "wider": wider,
            "to_read": list(LOST),
        },
    )


async def open_problem_count(connection: AsyncConnection, link: LinkRow) -> int:
    """Give how many problems of this link are open."""
    found = await connection.execute(
        text("""select count(*) from problem where state = 'open' and kind <> 'notice' and organization_id = :organization_id
                and link_id = :link_id"""),
        {"organization_id": link.organization_id, "link_id": link.id},
    )
    count: int = found.scalar_one()
    return count


# --- notices -----------------------------------------------------------------------------------------------------


async def post_notice(
    connection: AsyncConnection,
    link: LinkRow,
    code: str,
    series_id: UUID,
    event_start: datetime | None,
) -> None:
    """List something worth knowing beside the problems: it keeps nothing from happening and needs nobody."""
    await connection.execute(
        text("""insert into problem (id, organization_id, resource_id, link_id, connection_id, series_id, side, code, kind,
                                     scope, event_start, key)
                values (:id, :organization_id, :resource_id, :link_id, :connection_id, :series_id, 'provider', :code, 'notice',
                        'series', :event_start, :key)
                on conflict (organization_id, key) where state = 'open' do update set last_at = now()"""),
        {
            "id": new_id(),
            "organization_id": link.organization_id,
            "resource_id": link.resource_id,
            "link_id": link.id,
            "connection_id": link.connection_id,
            "series_id": series_id,
            "code": code,
            "event_start": event_start,
            "key": f"{link.id}/{series_id}/{code}",
        },
    )


async def withdraw_notices(connection: AsyncConnection, link: LinkRow, series_ids: Sequence[UUID]) -> None:
    """Take notices about series off the list."""
    if series_ids:
        await connection.execute(
            text("""update problem set state = 'resolved', last_at = now() where state = 'open' and kind = 'notice'
                    and organization_id = :organization_id and link_id = :link_id and series_id = any(cast(:ids as uuid[]))"""),
            {"organization_id": link.organization_id, "link_id": link.id, "ids": list(series_ids)},
        )
