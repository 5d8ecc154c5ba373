"""Our side of the calendars: series, their occurrences, and everything that a change to one makes necessary.

Whoever writes a series (the REST interface, a pass over a link, an undo) goes through `write`: it keeps the row, its
expanded occurrences, the journal and the change feed together and makes the other links of the resource due, all in
the caller's transaction. Reading gives finished JSON where speed matters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from gleichtakt.errors import Conflict, Gone, Permanent, Scope, Trouble
from gleichtakt.model.document import read_series, series_document
from gleichtakt.model.event import Override, Sensitivity, Series, Status
from gleichtakt.model.point import Day, Timespan
from gleichtakt.model.recurrence import bounds, expand, slot_key
from gleichtakt.model.zones import zone_of
from gleichtakt.store import changes, lanes
from gleichtakt.store.database import new_id, wake_after_commit

OCCURRENCES_BACK = timedelta(days=31)
OCCURRENCES_AHEAD = timedelta(days=366)
OCCURRENCES_MOST = 5_000  # rows of one series in the window; a denser one is a problem entry, not a slow table


@dataclass(frozen=True, slots=True)
class EventRow:
    """One series of a resource as stored. document: JSON text of `model.document`."""

    id: UUID
    resource_id: UUID
    organization_id: UUID
    external_id: str | None
    uid: str
    origin: str  # app | provider
    origin_link_id: UUID | None
    version: int
    document: str
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None

    @property
    def series(self) -> Series:
        """Read the content."""
        return read_document(self.document)

    @property
    def etag(self) -> str:
        """Give the strong entity tag, quotes included."""
        return f'"{self.version}"'


@dataclass(frozen=True, slots=True)
class Home:
    """The resource a write belongs to: what expansion and the feed need to know of it."""

    resource_id: UUID
    organization_id: UUID
    time_zone: str = "Europe/Berlin"


@dataclass(frozen=True, slots=True)
class Write:
    """One change of our side. series None deletes. before: the row it starts from, None when it creates.

    link_id: the link whose pass makes the change, None for the application; that link is not made due again.
    """

    series_id: UUID
    series: Series | None
    before: EventRow | None
    actor: str
    origin: str = "app"
    origin_link_id: UUID | None = None
    external_id: str | None = None
    link_id: UUID | None = None
    run_id: UUID | None = None
    fields: Sequence[str] = ()
    loser: Mapping[str, Any] | None = None


@lru_cache(maxsize=4096)
def read_document(document: str) -> Series:
    """Read the JSON text of a series; recent ones are kept, because passes read a row more than once."""
    return read_series(msgspec.json.decode(document))


def write_document(series: Series) -> str:
    """Give the JSON text of a series as stored."""
    return msgspec.json.encode(series_document(series)).decode()


def occurrences_window(now: datetime) -> Timespan:
    """Give the rolling window for which occurrences are kept."""
    return Timespan(now - OCCURRENCES_BACK, now + OCCURRENCES_AHEAD)


def occurrence_rows(home: Home, series_id: UUID, series: Series, window: Timespan) -> tuple[list[dict[str, Any]], Trouble | None]:
    """Expand a series to rows of `occurrence`; a rule too dense for the window gives none, and the trouble."""
    rows: list[dict[str, Any]] = []
    try:
        for occurrence in expand(series, window, zone_of(home.time_zone), limit=OCCURRENCES_MOST):
            event = occurrence.event
            rows.append(
                {
                    "resource_id": home.resource_id,
                    "series_id": series_id,
                    "slot": slot_key(occurrence.slot) if series.is_recurring else "",
                    "starts_at": occurrence.start,
                    "ends_at": occurrence.end,
                    "show_as": event.show_as.value,
                    "status": event.status.value,
                    "is_all_day": event.is_all_day,
                    "is_private": event.sensitivity is not Sensitivity.NORMAL,
                }
            )
    except Trouble as dense:
        return [], dense
    return rows, None


def span_of(series: Series, time_zone: str) -> tuple[datetime, datetime | None]:
    """Give earliest start and latest end of a series as aware UTC; the end is None for an endless one."""
    return bounds(series, zone_of(time_zone))


_ROW = """id, resource_id, organization_id, external_id, uid, origin, origin_link_id, version, document, created_at,
 updated_at, deleted_at"""

_UPSERT = text("""
insert into series (resource_id, id, organization_id, uid, external_id, origin, origin_link_id, version, document,
                    starts_at, ends_at, is_recurring, updated_at, deleted_at)
values (:resource_id, :id, :organization_id, :uid, :external_id, :origin, :origin_link_id, :version, :document,
        :starts_at, :ends_at, :is_recurring, :now, :deleted_at)
on conflict (resource_id, id) do update set uid = excluded.uid, external_id = excluded.external_id,
  origin_link_id = excluded.origin_link_id, version = excluded.version, document = excluded.document,
  starts_at = excluded.starts_at, ends_at = excluded.ends_at, is_recurring = excluded.is_recurring,
  updated_at = excluded.updated_at, deleted_at = excluded.deleted_at
""")
_FORGET_OCCURRENCES = text("delete from occurrence where resource_id = :resource_id and series_id = any(cast(:ids as uuid[]))")
_ADD_OCCURRENCES = text("""
insert into occurrence (resource_id, series_id, slot, starts_at, ends_at, show_as, status, is_all_day, is_private)
values (:resource_id, :series_id, :slot, :starts_at, :ends_at, :show_as, :status, :is_all_day, :is_private)
""")
_JOURNAL = text("""
insert into journal (resource_id, organization_id, link_id, run_id, series_id, href, side, verb, actor, fields, before,
                     after, loser)
values (:resource_id, :organization_id, :link_id, :run_id, :series_id, :href, :side, :verb, :actor,
        cast(:fields as jsonb), :before, :after, :loser)
""")
_TOUCH_PAIRINGS = text("""
insert into pairing (resource_id, link_id, series_id, stale)
select :resource_id, link.id, touched.id, true
from link cross join unnest(cast(:ids as uuid[])) as touched(id)
where link.resource_id = :resource_id and link.state <> 'disconnected' and link.id is distinct from :except_link
on conflict (resource_id, link_id, series_id) do update set stale = true, retry_at = null, attempt = 0
""")
_DUE_LINKS = text("""
update link set due = least(due, now()), calls = calls + 1
where resource_id = :resource_id and active and state <> 'disconnected' and id is distinct from :except_link returning lane_id
""")
_CHANGES = text("""
insert into change (organization_id, type, resource_id, object_id)
select :organization_id, changed.type, :resource_id, changed.id
from unnest(cast(:ids as uuid[]), cast(:types as text[])) as changed(id, type)
""")

_TYPES = {"create": "event.created", "update": "event.updated", "delete": "event.deleted"}


@dataclass(slots=True)
class Written:
    """What `write` did: the new version of each series, and troubles worth a problem entry."""

    versions: dict[UUID, int] = field(default_factory=dict)
    troubles: dict[UUID, Trouble] = field(default_factory=dict)


async def write(connection: AsyncConnection, home: Home, writes: Sequence[Write], now: datetime | None = None) -> Written:
    """Apply changes of one resource and everything that follows from them. The rows in `before` are locked by the caller.

    A tombstone keeps its document, so that an undo or a later edit against the deletion has what it needs.
    """
    written = Written()
    if not writes:
        return written
    moment = now or datetime.now(UTC)
    window = occurrences_window(moment)
    rows, occurrences, entries, types = [], [], [], []
    for change in writes:
        before, series = change.before, change.series
        version = (before.version if before else 0) + 1
        verb = "delete" if series is None else "update" if before and before.deleted_at is None else "create"
        content = series or (before.series if before else None)
        if content is None:
            continue  # deleting what never was
        start, end = span_of(content, home.time_zone)
        document = write_document(series) if series else before.document if before else ""
        rows.append(
            {
                "resource_id": home.resource_id,
                "id": change.series_id,
                "organization_id": home.organization_id,
                "uid": content.uid,
                "external_id": before.external_id if before and change.external_id is None else change.external_id,
                "origin": before.origin if before else change.origin,
                "origin_link_id": before.origin_link_id if before else change.origin_link_id,
                "version": version,
                "document": document,
                "starts_at": start,
                "ends_at": end,
                "is_recurring": content.is_recurring,
                "now": moment,
                "deleted_at": moment if series is None else None,
            }
        )
        written.versions[change.series_id] = version
        types.append(_TYPES[verb])
        if series is not None and series.event.status is not Status.CANCELLED:
            expanded, dense = occurrence_rows(home, change.series_id, series, window)
            occurrences += expanded
            if dense:
                written.troubles[change.series_id] = dense
        entries.append(
            {
                "resource_id": home.resource_id,
                "organization_id": home.organization_id,
                "link_id": change.link_id,
                "run_id": change.run_id,
                "series_id": change.series_id,
                "href": None,
                "side": "app",
                "verb": verb,
                "actor": change.actor,
                "fields": msgspec.json.encode(sorted(change.fields)).decode(),
                "before": before.document if before and before.deleted_at is None else None,
                "after": document if series else None,
                "loser": msgspec.json.encode(change.loser).decode() if change.loser is not None else None,
            }
        )
    if not rows:
        return written
    ids = list(written.versions)
    await connection.execute(_UPSERT, rows)
    await connection.execute(_FORGET_OCCURRENCES, {"resource_id": home.resource_id, "ids": ids})
    if occurrences:
        await connection.execute(_ADD_OCCURRENCES, occurrences)
    await connection.execute(_JOURNAL, entries)
    await connection.execute(
        _CHANGES, {"organization_id": home.organization_id, "resource_id": home.resource_id, "ids": ids, "types": types}
    )
    wake_after_commit(connection, changes.CHANNEL)
    await touch(connection, home.resource_id, ids, except_link=writes[0].link_id)
    return written


async def touch(
    connection: AsyncConnection, resource_id: UUID, series_ids: Sequence[UUID], except_link: UUID | None = None
) -> None:
    """Make the links of a resource look at these series again, soon; all but the one whose pass changed them."""
    given = {"resource_id": resource_id, "ids": list(series_ids), "except_link": except_link}
    await connection.execute(_TOUCH_PAIRINGS, given)
    due = await connection.execute(_DUE_LINKS, {"resource_id": resource_id, "except_link": except_link})
    lane_ids = list({row.lane_id for row in due})
    if lane_ids:
        await lanes.wake(connection, lane_ids)


async def home_of(connection: AsyncConnection, resource_id: UUID) -> Home | None:
    """Give what a write needs to know of a resource."""
    found = await connection.execute(
        text("select id, organization_id, time_zone from resource where id = :id"), {"id": resource_id}
    )
    row = found.one_or_none()
    return Home(row.id, row.organization_id, row.time_zone) if row else None


async def lock(connection: AsyncConnection, resource_id: UUID, series_ids: Sequence[UUID]) -> dict[UUID, EventRow]:
    """Lock rows of one resource in id order, tombstones included, and give them by id."""
    found = await connection.execute(
        text(f"""select {_ROW} from series where resource_id = :resource_id and id = any(cast(:ids as uuid[]))
                 order by id for update"""),
        {"resource_id": resource_id, "ids": list(series_ids)},
    )
    return {row.id: EventRow(*row) for row in found}


async def put_event(
    connection: AsyncConnection,
    *,
    organization_id: UUID,
    resource_id: UUID,
    series_id: UUID | None,
    external_id: str | None,
    series: Series,
    expect: int | None,
    actor: str,
) -> tuple[EventRow, bool]:
    """Create or replace an event of the application; give the row and whether it is new.

    The row is found by series_id, else by external_id. expect: the version the caller read, None for any. An empty
    uid is chosen by us. Raises Conflict `web.etag_stale`, and Permanent `web.foreign_event` for an event that came
    from a calendar system and that the application may not change (`app_writes_foreign`).
    """
    home = await home_of(connection, resource_id)
    if home is None or home.organization_id != organization_id:
        raise Permanent("web.resource_missing", Scope.SERIES)
    before = await _find_for_update(connection, resource_id, series_id, external_id)
    live = before is not None and before.deleted_at is None
    if expect is not None and (not live or before is None or before.version != expect):
        raise Conflict("web.etag_stale", Scope.SERIES)
    if before and live and before.origin == "provider":
        await _refuse_foreign(connection, before, series)
    identity = before.id if before else series_id or new_id()
    uid = series.uid or (before.uid if before else "") or f"{identity}@gleichtakt"
    series = replace(series, uid=uid)
    if before and live and write_document(series) == before.document and external_id in (None, before.external_id):
        return before, False  # the same content again is no change
    change = Write(identity, series, before, actor, external_id=external_id)
    await write(connection, home, [change])
    row = await _one(connection, resource_id, identity)
    return row, not live


async def delete_event(
    connection: AsyncConnection, *, resource_id: UUID, series_id: UUID, expect: int | None, actor: str
) -> EventRow:
    """Delete an event; give the tombstone. Raises as `put_event`, and Gone for what is not there."""
    home = await home_of(connection, resource_id)
    before = await _find_for_update(connection, resource_id, series_id, None)
    if home is None or before is None or before.deleted_at is not None:
        raise Gone("web.event_missing")
    if expect is not None and before.version != expect:
        raise Conflict("web.etag_stale", Scope.SERIES)
    if before.origin == "provider":
        await _refuse_foreign(connection, before, None)
    await write(connection, home, [Write(series_id, None, before, actor)])
    return await _one(connection, resource_id, series_id)


async def _refuse_foreign(connection: AsyncConnection, row: EventRow, series: Series | None) -> None:
    """Hold the application to `app_writes_foreign` of the link an event came from."""
    from gleichtakt.store.levels import link_policy

    if row.origin_link_id is None:
        return
    policy = await link_policy(connection, row.origin_link_id)
    if policy is None or policy.app_writes_foreign == "allow":
        return
    if policy.app_writes_foreign == "times" and series is not None:
        old, new = row.series, series
        if series_document(_timeless(old)) == series_document(_timeless(new)):
            return
    raise Permanent("web.foreign_event", Scope.SERIES)


def _timeless(series: Series) -> Series:
    """Blank what `app_writes_foreign: times` lets the application change."""
    nowhen = Day(datetime(2000, 1, 1, tzinfo=UTC).date())
    overrides = tuple(Override(nowhen, replace(override.event, start=nowhen, end=nowhen)) for override in series.overrides)
    event = replace(series.event, start=nowhen, end=nowhen)
    return replace(series, uid="", event=event, overrides=overrides, rrule="", rdate=(), exdate=())


async def _find_for_update(
    connection: AsyncConnection, resource_id: UUID, series_id: UUID | None, external_id: str | None
) -> EventRow | None:
    by, value = ("id = :value", series_id) if series_id else ("external_id = :value and deleted_at is null", external_id)
    if value is None:
        return None
    found = await connection.execute(
        text(f"select {_ROW} from series where resource_id = :resource_id and {by} for update"),
        {"resource_id": resource_id, "value": value},
    )
    row = found.one_or_none()
    return EventRow(*row) if row else None


async def _one(connection: AsyncConnection, resource_id: UUID, series_id: UUID) -> EventRow:
    found = await connection.execute(
        text(f"select {_ROW} from series where resource_id = :resource_id and id = :id"),
        {"resource_id": resource_id, "id": series_id},
    )
    return EventRow(*found.one())


async def get_event(connection: AsyncConnection, resource_id: UUID, series_id: UUID) -> EventRow | None:
    """Give a live event, or None."""
    found = await connection.execute(
        text(f"select {_ROW} from series where resource_id = :resource_id and id = :id and deleted_at is null"),
        {"resource_id": resource_id, "id": series_id},
    )
    row = found.one_or_none()
    return EventRow(*row) if row else None


async def find_event(connection: AsyncConnection, resource_id: UUID, *, external_id: str) -> EventRow | None:
    """Give a live event by the application's own id, or None."""
    found = await connection.execute(
        text(f"select {_ROW} from series where resource_id = :resource_id and external_id = :value and deleted_at is null"),
        {"resource_id": resource_id, "value": external_id},
    )
    row = found.one_or_none()
    return EventRow(*row) if row else None


def rest_document(row: EventRow) -> dict[str, Any]:
    """Give an event in the form of the REST interface."""
    return {
        "id": str(row.id),
        "resource_id": str(row.resource_id),
        "external_id": row.external_id,
        "origin": row.origin,
        "link_id": str(row.origin_link_id) if row.origin_link_id else None,
        "etag": row.etag,
        "created_at": _moment(row.created_at),
        "updated_at": _moment(row.updated_at),
        **msgspec.json.decode(row.document),
    }


def _moment(moment: datetime) -> str:
    """Write an instant as the database does in `to_json`: microseconds without trailing zeros."""
    whole, _, fraction = moment.astimezone(UTC).isoformat().removesuffix("+00:00").partition(".")
    return f"{whole}{f'.{fraction}'.rstrip('0') if fraction else ''}+00:00"


#: The same form, finished by the database: the row's own columns are put in front of the stored document.
REST_JSON = """concat('{"id":"', id, '","resource_id":"', resource_id, '","external_id":',
 case when external_id is null then 'null' else to_json(external_id)::text end, ',"origin":"', origin, '","link_id":',
 coalesce('"' || origin_link_id || '"', 'null'), ',"etag":"\\"', version, '\\"","created_at":', to_json(created_at),
 ',"updated_at":', to_json(updated_at), ',', right(document, -1))"""

#: One page of a resource's events as JSON, joined by commas, by start; $1 resource, $2 from, $3 to, $4 rows, $5/$6 after.
#: The aggregates read the page in its order, so none of them sorts again.
LIST_SQL = f"""
select convert_to(string_agg(json, ','), 'UTF8'), count(*), (array_agg(starts_at))[count(*)], (array_agg(id))[count(*)]
from (select id, starts_at, {REST_JSON} as json from series
      where resource_id = $1 and deleted_at is null and starts_at < $3 and (ends_at is null or ends_at > $2 or starts_at >= $2)
        and (starts_at, id) > ($5, $6)
      order by starts_at, id limit $4) page
"""

FIRST = (datetime(1, 1, 1, tzinfo=UTC), UUID(int=0))


async def list_events_json(
    raw: Any,
    resource_id: UUID,
    start: datetime,
    end: datetime,
    limit: int,
    after: tuple[datetime, UUID] = FIRST,
) -> tuple[bytes, tuple[datetime, UUID] | None]:
    """Give one page of events that touch a stretch of time as JSON (comma-joined documents), and where to go on.

    raw: a bare asyncpg connection. The page comes as bytes and is never made a text on its way.
    """
    joined, count, last_start, last_id = await raw.fetchrow(LIST_SQL, resource_id, start, end, limit, *after)
    return joined or b"", (last_start, last_id) if count == limit else None


async def list_events(connection: AsyncConnection, resource_id: UUID, start: datetime, end: datetime) -> list[EventRow]:
    """Give the live events that touch a stretch of time, by start; for expansion."""
    found = await connection.execute(
        text(f"""select {_ROW} from series where resource_id = :resource_id and deleted_at is null
                 and starts_at < :end and (ends_at is null or ends_at > :start or starts_at >= :start) order by starts_at, id"""),
        {"resource_id": resource_id, "start": start, "end": end},
    )
    return [EventRow(*row) for row in found]
