"""Whether people are away, as their mailboxes say: automatic replies, read now and then and kept without their words.

A row is a person and a mailbox of theirs; what a reply says is not stored, because nothing uses it. Taking rows to be
read moves their due time on by a whole period, so each is read by one worker, and what a worker takes to its grave is
read in the next period. A mailbox whose connection or lane rests is passed over until then.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from gleichtakt.store import changes
from gleichtakt.store.database import wake_after_commit

CHANNEL: Final = "absences"  # woken when a mailbox is to be read earlier than planned
CHANGED: Final = "absence.changed"
UNKNOWN, DISABLED, ENABLED, SCHEDULED = "unknown", "disabled", "enabled", "scheduled"
LATE: Final = timedelta(minutes=20)  # two readings missed: what is wrong with the connection is then told beside it
KEPT: Final = timedelta(days=1)  # what was read longer ago says nothing about today
RESUME_SECONDS: Final = 30.0  # over which mailboxes come back after a pause

_LIVE = "link.active and link.state not in ('paused', 'disconnected')"
#: Only a login that works is used: passes find out when it does again.
_WORKS = "connection.state in ('online', 'degraded')"

_ENROL = text(f"""
insert into out_of_office (resource_id, lane_id, organization_id)
select distinct link.resource_id, link.lane_id, link.organization_id from link
join connection on connection.id = link.connection_id join resource on resource.id = link.resource_id
where {_LIVE} and {_WORKS} and connection.provider = any(cast(:providers as text[])) and resource.kind = 'person'
and not exists (select from out_of_office held where held.resource_id = link.resource_id and held.lane_id = link.lane_id)
on conflict do nothing returning 1
""")
_DROP = text("""
with over as (
    select held.resource_id, held.lane_id from out_of_office held where not exists (
        select from link join resource on resource.id = link.resource_id join connection on connection.id = link.connection_id
        where link.resource_id = held.resource_id and link.lane_id = held.lane_id and link.state <> 'disconnected'
        and resource.kind = 'person' and connection.provider = any(cast(:providers as text[])))
    for update of held skip locked)
delete from out_of_office using over
where out_of_office.resource_id = over.resource_id and out_of_office.lane_id = over.lane_id returning 1
""")

_CLAIM = text(f"""
with taken as (
    select resource_id, lane_id from out_of_office
    where due <= now() + make_interval(secs => :ahead) and (select min(due) from out_of_office) <= now()
    order by due limit :limit for update skip locked
), looked as (
    select taken.*, lane.connection_id, lane.mailbox, connection.version, rest.until, live.link_id,
        {_WORKS} and live.link_id is not null and coalesce(rest.until <= now(), true) as may_be_asked
    from taken join lane on lane.id = taken.lane_id join connection on connection.id = lane.connection_id
    cross join lateral (select greatest(lane.paused_until, connection.paused_until) as until) rest
    left join lateral (select link.id as link_id from link where link.lane_id = taken.lane_id
        and link.resource_id = taken.resource_id and {_LIVE} order by link.id limit 1) live on true
), moved as (
    update out_of_office set due = case when may_be_asked or coalesce(looked.until <= now(), true)
        then now() + make_interval(secs => :period)
        else least(now() + make_interval(secs => :period), looked.until + random() * make_interval(secs => {RESUME_SECONDS})) end
    from looked where out_of_office.resource_id = looked.resource_id and out_of_office.lane_id = looked.lane_id
    returning looked.*, out_of_office.organization_id
)
select resource_id, lane_id, link_id, organization_id, connection_id, version, mailbox from moved where may_be_asked
order by connection_id, mailbox
""")

_KEEP = text(f"""
with given as (
    select * from unnest(cast(:resources as uuid[]), cast(:lanes as uuid[]), cast(:states as text[]),
        cast(:starts as timestamptz[]), cast(:ends as timestamptz[]), cast(:audiences as text[]))
        as given(resource_id, lane_id, state, starts_at, ends_at, audience)
), before as (
    select held.* from out_of_office held join given using (resource_id, lane_id)
    order by held.resource_id, held.lane_id for no key update of held
), told as (
    select given.*, before.organization_id, (before.state, before.starts_at, before.ends_at)
            is distinct from (given.state, given.starts_at, given.ends_at)
        and not (before.state = '{UNKNOWN}' and given.state = '{DISABLED}') as is_news
    from given join before using (resource_id, lane_id)
)
update out_of_office set state = told.state, starts_at = told.starts_at, ends_at = told.ends_at, audience = told.audience,
    read_at = now(), error_code = '', error_params = '{{}}',
    changed_at = case when is_news then now() else out_of_office.changed_at end
from told where out_of_office.resource_id = told.resource_id and out_of_office.lane_id = told.lane_id
returning told.organization_id, told.resource_id, is_news
""")

_FAILED = text("""
with given as (
    select * from unnest(cast(:resources as uuid[]), cast(:lanes as uuid[]), cast(:codes as text[]), cast(:params as text[]),
        cast(:dues as timestamptz[])) as given(resource_id, lane_id, code, params, due)
), before as (
    select held.* from out_of_office held join given using (resource_id, lane_id)
    order by held.resource_id, held.lane_id for no key update of held
), told as (
    select given.*, before.error_code <> given.code as is_news from given join before using (resource_id, lane_id)
)
update out_of_office set error_code = told.code, error_params = cast(told.params as jsonb),
    due = case when out_of_office.due <= now() then out_of_office.due else coalesce(told.due, out_of_office.due) end
from told where out_of_office.resource_id = told.resource_id and out_of_office.lane_id = told.lane_id returning is_news
""")


@dataclass(frozen=True, slots=True)
class Asked:
    """One mailbox that is ours to read now. link_id: one of the links that lead to it. version: of its connection."""

    resource_id: UUID
    lane_id: UUID
    link_id: UUID
    organization_id: UUID
    connection_id: UUID
    version: int
    mailbox: str


@dataclass(frozen=True, slots=True)
class Reading:
    """What a mailbox said. starts_at, ends_at: only where a schedule counts."""

    of: Asked
    state: str
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    audience: str = ""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a mailbox was not read. again: when it is tried again, None for the ordinary time."""

    of: Asked
    code: str
    params: Mapping[str, str]
    again: datetime | None = None


async def enrol(connection: AsyncConnection, providers: Collection[str]) -> tuple[int, int]:
    """Bring the list of mailboxes up to date: people with a working link over one of these providers, nobody else.

    Gives how many joined and how many left.
    """
    given = {"providers": sorted(providers)}
    left = len((await connection.execute(_DROP, given)).all())
    joined = len((await connection.execute(_ENROL, given)).all())
    if joined:
        wake_after_commit(connection, CHANNEL)
    return joined, left


async def claim(connection: AsyncConnection, limit: int, *, period_seconds: float, ahead_seconds: float = 0.0) -> list[Asked]:
    """Take up to *limit* mailboxes that are due, and plan their next reading; of those, give the ones that may be asked.

    ahead_seconds: once one is due, those due so soon after it come along, so that readings stay together.
    """
    rows = await connection.execute(_CLAIM, {"limit": limit, "period": float(period_seconds), "ahead": float(ahead_seconds)})
    return [Asked(*row) for row in rows]


async def keep(connection: AsyncConnection, readings: Sequence[Reading]) -> int:
    """Keep what mailboxes said and tell of what is news; give how much is."""
    if not readings:
        return 0
    rows = await connection.execute(
        _KEEP,
        {
            **_keys(one.of for one in readings),
            "states": [one.state for one in readings],
            "starts": [one.starts_at for one in readings],
            "ends": [one.ends_at for one in readings],
            "audiences": [one.audience for one in readings],
        },
    )
    news = [(row.organization_id, CHANGED, row.resource_id, row.resource_id) for row in rows if row.is_news]
    await changes.append_many(connection, news)
    return len(news)


async def note_failures(connection: AsyncConnection, failures: Sequence[Failure]) -> int:
    """Note why mailboxes were not read; what they said before stays. Give how many failed otherwise, or not at all, before."""
    if not failures:
        return 0
    rows = await connection.execute(
        _FAILED,
        {
            **_keys(one.of for one in failures),
            "codes": [one.code for one in failures],
            "params": [msgspec.json.encode(dict(one.params)).decode() for one in failures],
            "dues": [one.again for one in failures],
        },
    )
    return sum(row.is_news for row in rows)


def _keys(asked: Iterable[Asked]) -> dict[str, Any]:
    keys = [(one.resource_id, one.lane_id) for one in asked]
    return {"resources": [resource for resource, _ in keys], "lanes": [lane for _, lane in keys]}


async def give_back(connection: AsyncConnection, asked: Iterable[Asked]) -> None:
    """Let mailboxes that were taken and not read be taken by others at once."""
    await connection.execute(
        text("""with given as (
                  select held.resource_id, held.lane_id from out_of_office held
                  join unnest(cast(:resources as uuid[]), cast(:lanes as uuid[])) as given(resource_id, lane_id)
                    using (resource_id, lane_id) order by held.resource_id, held.lane_id for no key update of held)
                update out_of_office set due = now() from given
                where out_of_office.resource_id = given.resource_id and out_of_office.lane_id = given.lane_id"""),
        _keys(asked),
    )
    wake_after_commit(connection, CHANNEL)


async def make_due(connection: AsyncConnection, link_id: UUID) -> None:
    """Let the mailbox of a link be read as soon as somebody is free."""
    made = await connection.execute(
        text("""with these as (
                  select held.resource_id, held.lane_id from out_of_office held join link on link.lane_id = held.lane_id
                  where link.id = :id and held.due > now() order by held.resource_id for no key update of held)
                update out_of_office set due = now() from these
                where out_of_office.resource_id = these.resource_id and out_of_office.lane_id = these.lane_id"""),
        {"id": link_id},
    )
    if made.rowcount:
        wake_after_commit(connection, CHANNEL)


async def next_due(connection: AsyncConnection) -> datetime | None:
    """Give when the first mailbox is to be read, perhaps already past; None for none at all."""
    found: datetime | None = (await connection.execute(text("select min(due) from out_of_office"))).scalar_one()
    return found


# --- who is away -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Absence:
    """What a mailbox of a person last said. error_code: why it says no more, of the mailbox or else of its connection."""

    state: str
    starts_at: datetime | None
    ends_at: datetime | None
    audience: str
    read_at: datetime | None
    changed_at: datetime | None
    error_code: str
    error_params: Mapping[str, str]
    link_id: UUID
    connection_id: UUID

    def is_known(self, now: datetime) -> bool:
        """Say whether it was read, and not too long ago to count."""
        return self.state != UNKNOWN and self.read_at is not None and now - self.read_at < KEPT

    def is_away(self, now: datetime) -> bool:
        """Say whether the person is away now; a schedule without a beginning or an end is open there."""
        if self.state == SCHEDULED:
            return (self.starts_at is None or self.starts_at <= now) and (self.ends_at is None or now < self.ends_at)
        return self.state == ENABLED


@dataclass(frozen=True, slots=True)
class Standing:
    """What is known of somebody's absence. absence: None where nothing is, because of `code`; the code may stand beside it."""

    absence: Absence | None
    code: str = ""
    params: Mapping[str, str] = field(default_factory=dict)


async def of_resource(
    connection: AsyncConnection, resource_id: UUID, kind: str, providers: Collection[str], now: datetime
) -> Standing:
    """Say whether a person is away: the mailbox that says so counts, else the one that was read last.

    providers: those that can be asked. A room is never away, and a person without a link to such a provider is nobody's news.
    """
    if kind != "person":
        return Standing(None, "web.absence_of_people")
    found = await connection.execute(
        text("""select connection.provider, link.id as link_id, link.connection_id, connection.state_code,
                  connection.state_params, held.state, held.starts_at, held.ends_at, held.audience,
                  held.read_at, held.changed_at, held.error_code, held.error_params
                from link join connection on connection.id = link.connection_id
                left join out_of_office held on held.resource_id = link.resource_id and held.lane_id = link.lane_id
                where link.resource_id = :id and link.state <> 'disconnected' order by link.active desc, link.id"""),
        {"id": resource_id},
    )
    rows = found.all()
    able = [row for row in rows if row.provider in providers]
    if not able:
        return Standing(None, "web.absence_unsupported" if rows else "web.absence_unlinked")
    heard = [_absence(row, now) for row in able if row.state is not None]
    known = [one for one in heard if one.is_known(now)]
    if known:
        best = max(known, key=lambda one: (one.is_away(now), one.read_at))
        return Standing(best, best.error_code, best.error_params)
    silent = next((one for one in heard if one.error_code), None)
    if silent is not None:
        return Standing(None, silent.error_code, silent.error_params)
    stopped = next((row for row in able if row.state_code), None)
    if stopped is not None:
        return Standing(None, stopped.state_code, stopped.state_params)
    return Standing(None, "web.absence_waiting")


def _absence(row: Any, now: datetime) -> Absence:
    is_late = row.read_at is None or now - row.read_at > LATE
    code, params = row.error_code, row.error_params
    if not code and is_late:
        code, params = row.state_code, row.state_params
    return Absence(
        row.state,
        row.starts_at,
        row.ends_at,
        row.audience,
        row.read_at,
        row.changed_at,
        code,
        params,
        row.link_id,
        row.connection_id,
    )
