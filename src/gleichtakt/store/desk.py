"""What the pages show: links with their condition, runs, problems, holds, conflicts, resources, connections.

Reading only; what people decide goes through `runs`, `holds`, `conflicts`, `problems` and `links`. Every function takes
the organization whose rows may be seen, None for all. Titles leave here together with whether the event is private, so
that a page cannot show what it must not; a private event's title is empty already here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from gleichtakt.sync import policy

BEATS = 24
PAGE = 50
WAYS = ("direction", "inbound_enabled", "outbound_enabled")  # the settings that decide which way a link goes
PUNCTUAL_SECONDS = 60.0  # a run that is due for less than this is on time

Json = Any


@dataclass(frozen=True, slots=True)
class Shelf:
    """One page of rows. number counts from 1; `more` says whether another follows."""

    rows: Sequence[Any]
    number: int
    more: bool


def _shelf(rows: Sequence[Any], number: int, size: int = PAGE) -> Shelf:
    return Shelf(rows[:size], number, len(rows) > size)


# --- the condition of a link -------------------------------------------------------------------------------------

#: Worst first: this is the order of the overview. The first condition that holds is the one shown.
CONDITIONS = (
    ("disconnected", "link.state = 'disconnected'"),
    ("paused", "not link.active or link.state = 'paused' or connection.state = 'paused'"),
    ("auth_required", "link.state = 'auth_required' or connection.state = 'auth_required'"),
    ("error", "link.state = 'error'"),
    ("verify", "link.state = 'verify'"),
    ("throttled", "greatest(connection.paused_until, lane.paused_until) > :now"),
    ("failing", "link.failing_since is not null or link.state = 'delayed'"),
    ("waiting", "coalesce(held.count, 0) + coalesce(clashing.count, 0) > 0"),
    ("late", "link.due < cast(:now as timestamptz) - interval '3 minutes'"),
    ("degraded", "link.state = 'degraded'"),
    ("listing", "link.state = 'listing'"),
    ("new", "link.state = 'new'"),
)
ORDER = (
    "error",
    "auth_required",
    "failing",
    "late",
    "waiting",
    "degraded",
    "throttled",
    "verify",
    "listing",
    "new",
    "in_step",
    "paused",
    "disconnected",
)
NEEDS_A_LOOK = ("error", "auth_required", "failing", "late", "waiting", "degraded")

_CONDITION = f"case {' '.join(f'when {test} then {chr(39)}{name}{chr(39)}' for name, test in CONDITIONS)} else 'in_step' end"
_RANK = f"array_position(array[{', '.join(f'{chr(39)}{name}{chr(39)}' for name in ORDER)}], condition)"

_LINKS = f"""
select link.id, link.organization_id, link.resource_id, link.connection_id, link.mailbox, link.calendar, link.calendar_name,
       link.active, link.state, link.due, link.last_attempt, link.last_success, link.failing_since, link.first_run_done,
       link.notified_by, link.notified_since,
       case when link.error_code <> '' then link.error_code else connection.state_code end as code,
       case when link.error_code <> '' then link.error_params else connection.state_params end as params,
       resource.name as resource_name, resource.kind as resource_kind, connection.name as connection_name,
       connection.provider, greatest(connection.paused_until, lane.paused_until) as paused_until,
       coalesce(held.count, 0) as holds, coalesce(clashing.count, 0) as conflicts, coalesce(parked.count, 0) as problems,
       exists (select from run where run.link_id = link.id and run.state in ('queued', 'running')) as running,
       {_CONDITION} as condition
from link
join resource on resource.id = link.resource_id
join connection on connection.id = link.connection_id
join lane on lane.id = link.lane_id
left join (select link_id, count(*) from hold where state = 'open' group by link_id) held on held.link_id = link.id
left join (select link_id, count(*) from conflict where state = 'open' group by link_id) clashing on clashing.link_id = link.id
left join (select link_id, count(*) from problem where state = 'open' and kind <> 'notice' group by link_id) parked
  on parked.link_id = link.id
where (cast(:organization_id as uuid) is null or link.organization_id = :organization_id)
"""


@dataclass(frozen=True, slots=True)
class LinkRow:
    """One link with its condition (a word of `ORDER`) and, where it is not well, the code of the sentence that says why."""

    id: UUID
    organization_id: UUID
    resource_id: UUID
    connection_id: UUID
    mailbox: str
    calendar: str
    calendar_name: str
    active: bool
    state: str
    due: datetime | None
    last_attempt: datetime | None
    last_success: datetime | None
    failing_since: datetime | None
    first_run_done: bool
    notified_by: str
    notified_since: datetime | None
    code: str
    params: Mapping[str, str]
    resource_name: str
    resource_kind: str
    connection_name: str
    provider: str
    paused_until: datetime | None
    holds: int
    conflicts: int
    problems: int
    running: bool
    condition: str

    @property
    def calendar_label(self) -> str:
        """Name the remote calendar as people know it."""
        return self.calendar_name or self.mailbox or self.calendar

    def lag_seconds(self, now: datetime) -> float | None:
        """Say for how long our picture has been older than planned: 0 for none, None when it was never read."""
        if self.last_success is None:
            return None
        since = self.failing_since or (self.last_success if self.condition in ("error", "auth_required") else self.due)
        late = (now - since).total_seconds() if since else 0.0
        return late if late > PUNCTUAL_SECONDS else 0.0


async def links(
    connection: AsyncConnection,
    organization_id: UUID | None,
    now: datetime,
    *,
    conditions: Sequence[str] = (),
    search: str = "",
    resource_id: UUID | None = None,
    connection_id: UUID | None = None,
    number: int = 1,
) -> Shelf:
    """Give one page of links, worst condition first, then by name. conditions: only these; none for all."""
    found = await connection.execute(
        text(f"""select * from ({_LINKS}) shown
                 where (cast(:any_condition as boolean) or condition = any(cast(:conditions as text[])))
                   and (cast(:resource_id as uuid) is null or resource_id = :resource_id)
                   and (cast(:connection_id as uuid) is null or connection_id = :connection_id)
                   and (:search = '' or strpos(lower(resource_name || ' ' || mailbox || ' ' || calendar_name || ' ' ||
                        connection_name), lower(:search)) > 0)
                 order by {_RANK}, lower(resource_name), id limit :limit offset :offset"""),
        {
            "organization_id": organization_id,
            "now": now,
            "any_condition": not conditions,
            "conditions": list(conditions),
            "resource_id": resource_id,
            "connection_id": connection_id,
            "search": search,
            "limit": PAGE + 1,
            "offset": (number - 1) * PAGE,
        },
    )
    return _shelf([LinkRow(*row) for row in found], number)


async def link(connection: AsyncConnection, organization_id: UUID | None, link_id: UUID, now: datetime) -> LinkRow | None:
    """Give one link, or None."""
    found = await connection.execute(
        text(f"{_LINKS} and link.id = :id"), {"organization_id": organization_id, "now": now, "id": link_id}
    )
    row = found.one_or_none()
    return LinkRow(*row) if row else None


_SAID = text("""
select link.id, connection.provider, setting.level, setting.name, setting.value #>> '{}'
from link join resource on resource.id = link.resource_id join connection on connection.id = link.connection_id
left join setting on setting.name = any(cast(:names as text[])) and (setting.level, setting.object_id) in (
  ('global', link.organization_id), ('group', resource.group_id), ('resource', resource.id), ('link', link.id))
where link.id = any(cast(:ids as uuid[])) order by array_position(array['global', 'group', 'resource', 'link'], setting.level)
""")


async def directions(connection: AsyncConnection, link_ids: Sequence[UUID]) -> Mapping[UUID, str]:
    """Say which way each link goes, all switches counted: two_way, outbound, inbound or off."""
    said: dict[UUID, list[tuple[str, dict[str, Json]]]] = defaultdict(list)
    providers: dict[UUID, str] = {}
    for link_id, provider, level, name, value in await connection.execute(_SAID, {"ids": list(link_ids), "names": list(WAYS)}):
        providers[link_id] = provider
        if level is not None:
            said[link_id].append((level, {name: {"true": True, "false": False}.get(value, value)}))
    return {link_id: way(policy.resolve(said[link_id], provider=provider).policy) for link_id, provider in providers.items()}


def way(of: policy.Policy) -> str:
    """Say which way a link goes: two_way, outbound, inbound or off."""
    out = of.outbound_enabled and of.direction in ("two_way", "outbound")
    back = of.inbound_enabled and of.direction in ("two_way", "inbound")
    return {(True, True): "two_way", (True, False): "outbound", (False, True): "inbound"}.get((out, back), "off")


@dataclass(frozen=True, slots=True)
class Contents:
    """What a link carries. in_step: events both sides share; left_out: how many are not mirrored, by reason.

    in_parts: series that stand there as single events.
    """

    in_step: int
    parked: int
    in_parts: int
    left_out: Mapping[str, int]


async def contents(connection: AsyncConnection, resource_id: UUID, link_id: UUID) -> Contents:
    """Count what a link carries, and what it leaves out."""
    given = {"resource_id": resource_id, "link_id": link_id}
    own = "resource_id = :resource_id and link_id = :link_id"
    pairs = await connection.execute(
        text(f"""select count(*) filter (where state = 'linked' and href is not null), count(*) filter (where state = 'parked'),
                        count(*) filter (where href like 'parts:%')
                 from pairing where {own}"""),
        given,
    )
    shared, parked, in_parts = pairs.one()
    rest = await connection.execute(
        text(f"select reason, count(*) from observed where {own} and reason <> '' and not gone group by reason order by 2 desc"),
        given,
    )
    return Contents(shared, parked, in_parts, {row[0]: row[1] for row in rest})


@dataclass(frozen=True, slots=True)
class Tally:
    """What waits and how the links stand. conditions: links by condition."""

    conditions: Mapping[str, int]
    holds: int
    conflicts: int
    problems: int
    connections: int  # that need someone
    resources: int
    last_change: datetime | None

    @property
    def links(self) -> int:
        """Count all links that are meant to be in step."""
        return sum(count for name, count in self.conditions.items() if name not in ("paused", "disconnected"))

    @property
    def in_step(self) -> int:
        """Count the links that are."""
        return self.conditions.get("in_step", 0)

    @property
    def needs_a_look(self) -> int:
        """Count the links that someone should look at."""
        return sum(self.conditions.get(name, 0) for name in NEEDS_A_LOOK)


_OWN = "(cast(:organization_id as uuid) is null or organization_id = :organization_id)"


async def waiting(connection: AsyncConnection, organization_id: UUID | None) -> Mapping[str, int]:
    """Count what waits for a person, for the navigation."""
    found = await connection.execute(
        text(f"""select (select count(*) from hold where state = 'open' and {_OWN}) as holds,
                        (select count(*) from conflict where state = 'open' and {_OWN}) as conflicts,
                        (select count(*) from problem where state = 'open' and kind <> 'notice' and {_OWN}) as problems"""),
        {"organization_id": organization_id},
    )
    return dict(found.mappings().one())


async def verifying(connection: AsyncConnection) -> str:
    """Say why this installation only compares and writes nothing outside, as `store.instance` does; empty when it is live."""
    found = await connection.execute(text("select coalesce(nullif(reason, ''), 'restored') from instance where mode = 'verify'"))
    return str(found.scalar_one_or_none() or "")


async def tally(connection: AsyncConnection, organization_id: UUID | None, now: datetime) -> Tally:
    """Count everything the overview's head tells."""
    given = {"organization_id": organization_id, "now": now}
    found = await connection.execute(text(f"select condition, count(*) from ({_LINKS}) shown group by condition"), given)
    conditions = {row[0]: row[1] for row in found}
    rest = await connection.execute(
        text(f"""select (select count(*) from connection where state in ('auth_required', 'offline', 'degraded') and {_OWN}),
                        (select count(*) from resource where {_OWN}),
                        (select max(finished_at) from (select finished_at from run where finished_at is not null and {_OWN}
                                                       order by asked_at desc limit 50) latest)"""),
        {"organization_id": organization_id},
    )
    connections, resources, last_change = rest.one()
    counts = await waiting(connection, organization_id)
    return Tally(conditions, counts["holds"], counts["conflicts"], counts["problems"], connections, resources, last_change)


async def pulse(connection: AsyncConnection, organization_id: UUID | None, now: datetime) -> str:
    """Give a text that differs when a page would: after a run, a decision, a new state. Cheap enough for every second."""
    found = await connection.execute(
        text(f"""select concat_ws('/',
          (select max(xid)::text from change where {_OWN}),
          (select concat(count(*), max(started_at), max(asked_at), max(md5(progress::text))) from run
           where state in ('queued', 'running') and {_OWN}),
          (select max(finished_at)::text from run where asked_at > cast(:now as timestamptz) - interval '2 days' and {_OWN}),
          (select concat(count(*), max(last_at)) from problem where state = 'open' and {_OWN}),
          (select concat(count(*), sum(count)) from hold where state = 'open' and {_OWN}),
          (select count(*)::text from conflict where state = 'open' and {_OWN}),
          (select md5(string_agg(concat_ws(',', state, failing_since is null, active, count), ';' order by state, active,
                                 failing_since is null))
           from (select state, active, failing_since, count(*) from link where {_OWN} group by 1, 2, 3) states),
          (select concat(max(state_since), max(doctor_at), max(updated_at)) from connection where {_OWN}))"""),
        {"organization_id": organization_id, "now": now},
    )
    return str(found.scalar_one())


# --- runs --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run with the link it was for."""

    id: UUID
    organization_id: UUID
    link_id: UUID | None
    kind: str
    state: str
    asked_by: str
    counts: Mapping[str, Json]
    held: int
    conflicts: int
    problems: Sequence[Mapping[str, Json]]
    progress: Mapping[str, Json]
    undo_of: UUID | None
    code: str
    params: Mapping[str, str]
    asked_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    resource_name: str | None
    calendar_name: str | None
    connection_name: str | None
    asker: str | None

    def written(self, side: str) -> int:
        """Count what was written on one side."""
        return sum_of(self.counts.get(side))

    @property
    def wrote(self) -> int:
        """Count what was written on both sides."""
        return self.written("app") + self.written("provider")

    @property
    def seconds(self) -> float | None:
        """Say how long it took, None while it has not ended."""
        return (self.finished_at - self.started_at).total_seconds() if self.finished_at and self.started_at else None


def sum_of(counts: Json) -> int:
    """Add up the counts of one side: created, updated, deleted."""
    if not isinstance(counts, Mapping):
        return 0
    return sum(value for name, value in counts.items() if name in ("created", "updated", "deleted") and isinstance(value, int))


_RUNS = """
select run.id, run.organization_id, run.link_id, run.kind, run.state, run.asked_by, run.counts, run.held, run.conflicts,
       run.problems, run.progress, run.undo_of, run.error_code, run.error_params, run.asked_at, run.started_at,
       run.finished_at, resource.name, coalesce(nullif(link.calendar_name, ''), nullif(link.mailbox, ''), link.calendar),
       connection.name, account.username
from run left join link on link.id = run.link_id left join resource on resource.id = link.resource_id
left join connection on connection.id = coalesce(run.connection_id, link.connection_id)
left join account on run.asked_by = 'account:' || account.id
where (cast(:organization_id as uuid) is null or run.organization_id = :organization_id)
"""


async def runs(
    connection: AsyncConnection,
    organization_id: UUID | None,
    *,
    link_id: UUID | None = None,
    only: str = "",
    number: int = 1,
    size: int = PAGE,
) -> Shelf:
    """Give one page of runs, newest first. only: `wrote`, `failed` or nothing for all."""
    wrote = " or ".join(f"jsonb_path_exists(run.counts, '$.*.{verb} ? (@ > 0)')" for verb in ("created", "updated", "deleted"))
    filters = {"wrote": f"and ({wrote})", "failed": "and run.state in ('failed', 'partial')"}
    found = await connection.execute(
        text(f"""{_RUNS} and (cast(:link_id as uuid) is null or run.link_id = :link_id) {filters.get(only, "")}
                 order by run.asked_at desc, run.id desc limit :limit offset :offset"""),
        {"organization_id": organization_id, "link_id": link_id, "limit": size + 1, "offset": (number - 1) * size},
    )
    return _shelf([RunRow(*row) for row in found], number, size)


async def run(connection: AsyncConnection, organization_id: UUID | None, run_id: UUID) -> RunRow | None:
    """Give one run, or None."""
    found = await connection.execute(text(f"{_RUNS} and run.id = :id"), {"organization_id": organization_id, "id": run_id})
    row = found.one_or_none()
    return RunRow(*row) if row else None


@dataclass(frozen=True, slots=True)
class Beat:
    """One run of a link in its strip: what was written on each side, and whether it went well."""

    run_id: UUID
    state: str
    app: int
    provider: int
    at: datetime


async def beats(connection: AsyncConnection, link_ids: Sequence[UUID]) -> Mapping[UUID, Sequence[Beat]]:
    """Give the last runs of each link, oldest first."""
    found = await connection.execute(
        text("""select wanted.id, latest.id, latest.state, latest.counts, latest.asked_at
                from unnest(cast(:ids as uuid[])) as wanted(id)
                cross join lateral (select id, state, counts, asked_at from run
                                    where link_id = wanted.id and kind in ('sync', 'undo')
                                    order by asked_at desc limit :most) latest
                order by latest.asked_at"""),
        {"ids": list(link_ids), "most": BEATS},
    )
    strips: dict[UUID, list[Beat]] = defaultdict(list)
    for link_id, run_id, state, counts, at in found:
        strips[link_id].append(Beat(run_id, state, sum_of(counts.get("app")), sum_of(counts.get("provider")), at))
    return strips


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the journal. title is empty for a private event."""

    id: int
    resource_id: UUID
    resource_name: str
    series_id: UUID | None
    link_id: UUID | None
    side: str
    verb: str
    actor: str
    fields: Sequence[str]
    title: str
    is_private: bool
    start: Mapping[str, Json] | None
    has_loser: bool
    at: datetime


_JOURNAL = """
select journal.id, journal.resource_id, resource.name, journal.series_id, journal.link_id, journal.side, journal.verb,
       journal.actor, journal.fields, journal.before, journal.after, journal.loser is not null, journal.at
from journal join resource on resource.id = journal.resource_id
where (cast(:organization_id as uuid) is null or journal.organization_id = :organization_id)
"""


async def journal_of_run(connection: AsyncConnection, organization_id: UUID | None, run_id: UUID, number: int = 1) -> Shelf:
    """Give one page of what a run wrote, side by side and in order."""
    found = await connection.execute(
        text(f"{_JOURNAL} and journal.run_id = :run_id order by journal.side, journal.id limit :limit offset :offset"),
        {"organization_id": organization_id, "run_id": run_id, "limit": PAGE + 1, "offset": (number - 1) * PAGE},
    )
    return _shelf([_entry(row) for row in found], number)


async def reasons(connection: AsyncConnection, plan_id: UUID, entries: Sequence[Entry]) -> Mapping[int, str]:
    """Give, for entries of a run's journal, the code of the sentence why its plan meant them."""
    found = await connection.execute(
        text("select series_id, side, why from plan_action where plan_id = :id and series_id = any(cast(:series as uuid[]))"),
        {"id": plan_id, "series": list({entry.series_id for entry in entries if entry.series_id})},
    )
    why = {(row[0], row[1]): row[2] for row in found}
    return {entry.id: why.get((entry.series_id, entry.side), "") for entry in entries}


def _entry(row: Sequence[Any]) -> Entry:
    *told, before, after, has_loser, at = row
    was, now = document_of(before), document_of(after)
    content, private = now or was or {}, is_private(was) or is_private(now)
    title = "" if private else str(content.get("title") or "")
    return Entry(*[*told, title, private, content.get("start"), has_loser, at])


def document_of(stored: str | None) -> dict[str, Json] | None:
    """Read a stored document; None when there is none."""
    return msgspec.json.decode(stored) if stored else None


def is_private(document: Mapping[str, Json] | None) -> bool:
    """Say whether an event is marked as more than normal, as a whole or in one occurrence."""
    if not document:
        return False
    recurrence = document.get("recurrence") or {}
    parts = [document, *(recurrence.get("overrides") or [])]
    return any((part.get("sensitivity") or "normal") != "normal" for part in parts)


# --- problems, holds, conflicts, plans ---------------------------------------------------------------------------

#: Title and privacy of the event a row speaks of.
_TITLE = """coalesce(nullif(series.document, '')::jsonb ->> 'title', ''),
 coalesce(nullif(series.document, '')::jsonb ->> 'sensitivity', 'normal') <> 'normal'
 or jsonb_path_exists(coalesce(nullif(series.document, '')::jsonb, '{}'),
                      '$.recurrence.overrides[*].sensitivity ? (@ <> "normal")')"""


@dataclass(frozen=True, slots=True)
class ProblemRow:
    """One problem with what it concerns. title is empty for a private event or where none is concerned."""

    id: UUID
    organization_id: UUID
    resource_id: UUID | None
    link_id: UUID | None
    connection_id: UUID | None
    series_id: UUID | None
    side: str
    code: str
    params: Mapping[str, str]
    kind: str
    scope: str
    state: str
    count: int
    event_start: datetime | None
    first_at: datetime
    last_at: datetime
    next_try_at: datetime | None
    resource_name: str | None
    calendar_name: str | None
    connection_name: str | None
    title: str
    is_private: bool


_PROBLEMS = f"""
select problem.id, problem.organization_id, problem.resource_id, problem.link_id,
       coalesce(problem.connection_id, link.connection_id), problem.series_id, problem.side, problem.code, problem.params,
       problem.kind, problem.scope, problem.state, problem.count, problem.event_start, problem.first_at, problem.last_at,
       problem.next_try_at, resource.name, coalesce(nullif(link.calendar_name, ''), nullif(link.mailbox, ''), link.calendar),
       connection.name, {_TITLE}
from problem left join link on link.id = problem.link_id
left join connection on connection.id = coalesce(problem.connection_id, link.connection_id)
left join resource on resource.id = coalesce(problem.resource_id, link.resource_id)
left join series on series.resource_id = coalesce(problem.resource_id, link.resource_id) and series.id = problem.series_id
where (cast(:organization_id as uuid) is null or problem.organization_id = :organization_id)
"""


async def problems(
    connection: AsyncConnection,
    organization_id: UUID | None,
    *,
    state: str = "open",
    link_id: UUID | None = None,
    connection_id: UUID | None = None,
    number: int = 1,
    size: int = PAGE,
) -> Shelf:
    """Give one page of problems, latest first, and after them what is listed for information only."""
    found = await connection.execute(
        text(f"""{_PROBLEMS} and problem.state = :state and (cast(:link_id as uuid) is null or problem.link_id = :link_id)
                 and (cast(:connection_id as uuid) is null
                      or coalesce(problem.connection_id, link.connection_id) = :connection_id)
                 order by problem.kind = 'notice', problem.last_at desc, problem.id limit :limit offset :offset"""),
        {
            "organization_id": organization_id,
            "state": state,
            "link_id": link_id,
            "connection_id": connection_id,
            "limit": size + 1,
            "offset": (number - 1) * size,
        },
    )
    return _shelf([_concealed(ProblemRow, row) for row in found], number, size)


def _concealed(shape: Any, row: Sequence[Any]) -> Any:
    *rest, title, private = row
    return shape(*rest, "" if private else title, bool(private))


@dataclass(frozen=True, slots=True)
class HoldRow:
    """Actions that wait for a person."""

    id: UUID
    organization_id: UUID
    link_id: UUID
    run_id: UUID | None
    kind: str
    params: Mapping[str, Json]
    state: str
    count: int
    created_at: datetime
    decided_at: datetime | None
    decider: str | None
    resource_name: str
    calendar_name: str
    connection_name: str
    provider: str


_HOLDS = """
select hold.id, hold.organization_id, hold.link_id, hold.run_id, hold.kind, hold.params, hold.state, hold.count,
       hold.created_at, hold.decided_at, coalesce(account.username, nullif(hold.decided_by, '')), resource.name,
       coalesce(nullif(link.calendar_name, ''), nullif(link.mailbox, ''), link.calendar), connection.name, connection.provider
from hold join link on link.id = hold.link_id join resource on resource.id = hold.resource_id
join connection on connection.id = link.connection_id
left join account on hold.decided_by = 'account:' || account.id
where (cast(:organization_id as uuid) is null or hold.organization_id = :organization_id)
"""


async def holds(
    connection: AsyncConnection,
    organization_id: UUID | None,
    *,
    is_open: bool = True,
    link_id: UUID | None = None,
    number: int = 1,
) -> Shelf:
    """Give one page of holds, newest first: those that wait, or those that were decided."""
    found = await connection.execute(
        text(f"""{_HOLDS} and (hold.state = 'open') = :is_open and (cast(:link_id as uuid) is null or hold.link_id = :link_id)
                 order by hold.created_at desc, hold.id limit :limit offset :offset"""),
        {
            "organization_id": organization_id,
            "is_open": is_open,
            "link_id": link_id,
            "limit": PAGE + 1,
            "offset": (number - 1) * PAGE,
        },
    )
    return _shelf([HoldRow(*row) for row in found], number)


async def hold(connection: AsyncConnection, organization_id: UUID | None, hold_id: UUID) -> HoldRow | None:
    """Give one hold, or None."""
    found = await connection.execute(text(f"{_HOLDS} and hold.id = :id"), {"organization_id": organization_id, "id": hold_id})
    row = found.one_or_none()
    return HoldRow(*row) if row else None


@dataclass(frozen=True, slots=True)
class ActionRow:
    """One step that is meant or held. title is empty for a private event."""

    number: int
    side: str
    verb: str
    fields: Sequence[str]
    why: str
    state: str
    code: str
    mails: int
    event_start: datetime | None
    title: str
    is_private: bool


_UNDER_TITLE = "left join series on series.resource_id = action.resource_id and series.id = action.series_id"
_ACTION_TITLE = _TITLE.replace("coalesce(nullif(series.document, '')::jsonb ->> 'title', '')", "action.title", 1)


async def held_actions(connection: AsyncConnection, hold_id: UUID, number: int = 1) -> Shelf:
    """Give one page of what a hold keeps back, by the time of the event."""
    found = await connection.execute(
        text(f"""select action.number, action.side, action.verb, '[]'::jsonb, action.why, 'held', '', 0,
                        coalesce(action.event_start, series.starts_at), {_ACTION_TITLE}
                 from hold_action action {_UNDER_TITLE} where action.hold_id = :id
                 order by coalesce(action.event_start, series.starts_at), action.number limit :limit offset :offset"""),
        {"id": hold_id, "limit": PAGE + 1, "offset": (number - 1) * PAGE},
    )
    return _shelf([_concealed(ActionRow, row) for row in found], number)


async def held_counts(connection: AsyncConnection, hold_id: UUID) -> Sequence[tuple[str, str, int]]:
    """Count what a hold keeps back, by side and verb."""
    found = await connection.execute(
        text("select side, verb, count(*) from hold_action where hold_id = :id group by side, verb order by 3 desc"),
        {"id": hold_id},
    )
    return [(row[0], row[1], row[2]) for row in found]


@dataclass(frozen=True, slots=True)
class PlanRow:
    """A plan: what a run would do, or did."""

    id: UUID
    link_id: UUID
    run_id: UUID | None
    kind: str
    counts: Mapping[str, Json]
    mails: int
    created_at: datetime
    run_state: str | None


async def latest_plan(
    connection: AsyncConnection, organization_id: UUID | None, *, link_id: UUID | None = None, run_id: UUID | None = None
) -> PlanRow | None:
    """Give the latest dry plan of a link, or the plan of a run."""
    found = await connection.execute(
        text("""select plan.id, plan.link_id, plan.run_id, plan.kind, plan.counts, plan.mails, plan.created_at, run.state
                from plan left join run on run.id = plan.run_id
                where (cast(:organization_id as uuid) is null or plan.organization_id = :organization_id)
                  and (cast(:run_id as uuid) is null or plan.run_id = :run_id)
                  and (cast(:link_id as uuid) is null or (plan.link_id = :link_id and plan.kind = 'dry'))
                order by plan.created_at desc limit 1"""),
        {"organization_id": organization_id, "link_id": link_id, "run_id": run_id},
    )
    row = found.one_or_none()
    return PlanRow(*row) if row else None


async def plan_actions(
    connection: AsyncConnection, plan_id: UUID, number: int = 1, *, side: str = "", verb: str = "", states: Sequence[str] = ()
) -> Shelf:
    """Give one page of a plan's steps, side by side; only those of one side, one verb or some states where asked."""
    found = await connection.execute(
        text(f"""select action.number, action.side, action.verb, action.fields, action.why, action.state, action.error_code,
                        action.mails, series.starts_at, {_ACTION_TITLE}
                 from plan_action action {_UNDER_TITLE} where action.plan_id = :id
                   and (:side = '' or action.side = :side) and (:verb = '' or action.verb = :verb)
                   and (cast(:any_state as boolean) or action.state = any(cast(:states as text[])))
                 order by action.side, action.number limit :limit offset :offset"""),
        {
            "id": plan_id,
            "side": side,
            "verb": verb,
            "any_state": not states,
            "states": list(states),
            "limit": PAGE + 1,
            "offset": (number - 1) * PAGE,
        },
    )
    return _shelf([_concealed(ActionRow, row) for row in found], number)


async def plan_counts(connection: AsyncConnection, plan_id: UUID) -> Sequence[tuple[str, str, int, int]]:
    """Count a plan's steps by side and verb, with how many of them are held back."""
    found = await connection.execute(
        text("""select side, verb, count(*), count(*) filter (where state = 'held') from plan_action where plan_id = :id
                group by side, verb order by side, verb"""),
        {"id": plan_id},
    )
    return [(row[0], row[1], row[2], row[3]) for row in found]


@dataclass(frozen=True, slots=True)
class ConflictRow:
    """One clash: the fields both sides changed, with all three versions as flat forms; None where deleted."""

    id: UUID
    organization_id: UUID
    link_id: UUID
    resource_id: UUID
    series_id: UUID
    fields: Sequence[str]
    base: Mapping[str, Json] | None
    ours: Mapping[str, Json] | None
    theirs: Mapping[str, Json] | None
    state: str
    resolution: str
    created_at: datetime
    decided_at: datetime | None
    decider: str | None
    resource_name: str
    calendar_name: str
    connection_name: str
    title: str
    is_private: bool


_CONFLICTS = f"""
select conflict.id, conflict.organization_id, conflict.link_id, conflict.resource_id, conflict.series_id, conflict.fields,
       conflict.base, conflict.ours, conflict.theirs, conflict.state, conflict.resolution, conflict.created_at,
       conflict.decided_at, coalesce(account.username, nullif(conflict.decided_by, '')), resource.name,
       coalesce(nullif(link.calendar_name, ''), nullif(link.mailbox, ''), link.calendar), connection.name, {_TITLE}
from conflict join link on link.id = conflict.link_id join resource on resource.id = conflict.resource_id
join connection on connection.id = link.connection_id
left join series on series.resource_id = conflict.resource_id and series.id = conflict.series_id
left join account on conflict.decided_by = 'account:' || account.id
where (cast(:organization_id as uuid) is null or conflict.organization_id = :organization_id)
"""


def _conflict(row: Sequence[Any]) -> ConflictRow:
    found: ConflictRow = _concealed(ConflictRow, row)
    return found


async def conflicts(
    connection: AsyncConnection,
    organization_id: UUID | None,
    *,
    is_open: bool = True,
    link_id: UUID | None = None,
    number: int = 1,
) -> Shelf:
    """Give one page of conflicts, newest first: those that wait, or those that were decided."""
    found = await connection.execute(
        text(f"""{_CONFLICTS} and (conflict.state = 'open') = :is_open
                 and (cast(:link_id as uuid) is null or conflict.link_id = :link_id)
                 order by conflict.created_at desc, conflict.id limit :limit offset :offset"""),
        {
            "organization_id": organization_id,
            "is_open": is_open,
            "link_id": link_id,
            "limit": PAGE + 1,
            "offset": (number - 1) * PAGE,
        },
    )
    return _shelf([_conflict(row) for row in found], number)


async def conflict(connection: AsyncConnection, organization_id: UUID | None, conflict_id: UUID) -> ConflictRow | None:
    """Give one conflict, or None."""
    found = await connection.execute(
        text(f"{_CONFLICTS} and conflict.id = :id"), {"organization_id": organization_id, "id": conflict_id}
    )
    row = found.one_or_none()
    return _conflict(row) if row else None


# --- resources and connections -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ResourceRow:
    """A person, room or thing, with what its links look like."""

    id: UUID
    organization_id: UUID
    external_id: str | None
    kind: str
    name: str
    email: str
    time_zone: str
    group_name: str | None
    links: int
    events: int


_RESOURCES = """
select resource.id, resource.organization_id, resource.external_id, resource.kind, resource.name, resource.email,
       resource.time_zone, resource_group.name,
       (select count(*) from link where link.resource_id = resource.id and link.state <> 'disconnected'),
       (select count(*) from series where series.resource_id = resource.id and series.deleted_at is null)
from resource left join resource_group on resource_group.id = resource.group_id
where (cast(:organization_id as uuid) is null or resource.organization_id = :organization_id)
"""


async def resources(
    connection: AsyncConnection, organization_id: UUID | None, *, kind: str = "", search: str = "", number: int = 1
) -> Shelf:
    """Give one page of resources by name."""
    found = await connection.execute(
        text(f"""{_RESOURCES} and (:kind = '' or resource.kind = :kind)
                 and (:search = '' or strpos(lower(concat_ws(' ', resource.name, resource.email, resource.external_id,
                      resource_group.name)), lower(:search)) > 0)
                 order by lower(resource.name), resource.id limit :limit offset :offset"""),
        {
            "organization_id": organization_id,
            "kind": kind,
            "search": search,
            "limit": PAGE + 1,
            "offset": (number - 1) * PAGE,
        },
    )
    return _shelf([ResourceRow(*row) for row in found], number)


async def resource(connection: AsyncConnection, organization_id: UUID | None, resource_id: UUID) -> ResourceRow | None:
    """Give one resource, or None."""
    found = await connection.execute(
        text(f"{_RESOURCES} and resource.id = :id"), {"organization_id": organization_id, "id": resource_id}
    )
    row = found.one_or_none()
    return ResourceRow(*row) if row else None


async def next_start(connection: AsyncConnection, resource_id: UUID, after: datetime) -> datetime | None:
    """Give when the next event of a resource begins, None when none is known."""
    found = await connection.execute(
        text("select min(starts_at) from occurrence where resource_id = :id and starts_at >= :after"),
        {"id": resource_id, "after": after},
    )
    first: datetime | None = found.scalar_one()
    return first


@dataclass(frozen=True, slots=True)
class ConnectionRow:
    """One login at one provider with its state and what the doctor last found. No secrets."""

    id: UUID
    organization_id: UUID
    provider: str
    name: str
    url: str
    auth_method: str
    access: str
    allow_insecure: bool
    state: str
    code: str
    params: Mapping[str, str]
    state_since: datetime | None
    paused_until: datetime | None
    server_version: str
    doctor: Json
    doctor_at: datetime | None
    links: int


_CONNECTIONS = """
select connection.id, connection.organization_id, connection.provider, connection.name, connection.url,
       connection.auth_method, connection.access, connection.allow_insecure, connection.state, connection.state_code,
       connection.state_params, connection.state_since, connection.paused_until, connection.server_version, connection.doctor,
       connection.doctor_at,
       (select count(*) from link where link.connection_id = connection.id and link.state <> 'disconnected')
from connection
where (cast(:organization_id as uuid) is null or connection.organization_id = :organization_id)
"""


async def connections(connection: AsyncConnection, organization_id: UUID | None, number: int = 1) -> Shelf:
    """Give one page of connections: those that need someone first, then by name."""
    found = await connection.execute(
        text(f"""{_CONNECTIONS} order by array_position(array['auth_required', 'offline', 'degraded'], connection.state)
                 nulls last, lower(connection.name), connection.id limit :limit offset :offset"""),
        {"organization_id": organization_id, "limit": PAGE + 1, "offset": (number - 1) * PAGE},
    )
    return _shelf([ConnectionRow(*row) for row in found], number)


async def connection_of(connection: AsyncConnection, organization_id: UUID | None, connection_id: UUID) -> ConnectionRow | None:
    """Give one connection, or None."""
    found = await connection.execute(
        text(f"{_CONNECTIONS} and connection.id = :id"), {"organization_id": organization_id, "id": connection_id}
    )
    row = found.one_or_none()
    return ConnectionRow(*row) if row else None
