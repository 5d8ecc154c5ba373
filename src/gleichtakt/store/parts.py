"""The single events that stand for a series the other side cannot express, and the pairing they belong to.

Towards the rest of the store such a series has one copy, under a name that no calendar system gives (`place`); its
pairing counts once, is held once and goes wrong once. What each object there holds is in `part`. Every function works in
the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from gleichtakt.store.passes import LinkRow, decode, encode
from gleichtakt.store.rows import Listing

Json = Any
PLACE = "parts:"
#: Stands as the intent of a pairing while writes of its parts are open, so that nothing else is begun on it.
OPEN: Mapping[str, Json] = {"verb": "parts"}


def place(series_id: UUID) -> str:
    """Name the copy of a series that is kept in parts."""
    return f"{PLACE}{series_id}"


def is_place(href: str | None) -> bool:
    """Say whether a pairing's copy is kept in parts."""
    return href is not None and href.startswith(PLACE)


@dataclass(frozen=True, slots=True)
class PartRow:
    """One part with what stands there. document: None where it could not be read, or is not known yet."""

    series_id: UUID
    id: UUID
    slot: str
    href: str | None
    stored: dict[str, Json] | None
    sent: dict[str, Json] | None
    intent: dict[str, Json] | None
    etag: str
    document: str | None
    gone: bool
    is_organizer: bool
    seen_at: datetime | None
    modified_at: datetime | None
    marker: str


async def of(connection: AsyncConnection, link: LinkRow, series_ids: Sequence[UUID]) -> dict[UUID, list[PartRow]]:
    """Give the parts of these series by slot, for those that have any."""
    found = await connection.execute(
        text("""select p.series_id, p.id, p.slot, p.href, p.stored::text, p.sent::text, p.intent::text, coalesce(o.etag, ''),
                       case when o.reason <> '' then null else o.document end, coalesce(o.gone, false),
                       coalesce(o.is_organizer, true), o.seen_at, o.modified_at, coalesce(o.marker, '')
                from part p left join observed o on o.resource_id = p.resource_id and o.link_id = p.link_id and o.href = p.href
                where p.resource_id = :resource_id and p.link_id = :link_id and p.series_id = any(cast(:ids as uuid[]))
                order by p.series_id, p.slot, p.id"""),
        {"resource_id": link.resource_id, "link_id": link.id, "ids": list(series_ids)},
    )
    by_series: dict[UUID, list[PartRow]] = {}
    for row in found:
        stored, sent = decode(row[4]), decode(row[5])
        part = PartRow(*[*row[:4], stored, stored if sent is None else sent, decode(row[6]), *row[7:]])
        by_series.setdefault(part.series_id, []).append(part)
    return by_series


async def adopt(connection: AsyncConnection, link: LinkRow, found: Iterable[tuple[UUID, UUID, str, str]]) -> None:
    """Tie objects that are there already to slots of series, for (part, series, slot, href); both are planned next."""
    rows: list[dict[str, Any]] = [
        {"resource_id": link.resource_id, "link_id": link.id, "id": part_id, "series_id": series_id, "slot": slot, "href": href}
        for part_id, series_id, slot, href in found
    ]
    if not rows:
        return
    await connection.execute(
        text("""insert into part (resource_id, id, link_id, series_id, slot, href)
                values (:resource_id, :id, :link_id, :series_id, :slot, :href)"""),
        rows,
    )
    places = {row["series_id"]: place(row["series_id"]) for row in rows}
    await connection.execute(
        text("""insert into pairing (resource_id, link_id, series_id, href, made_by_us, stale)
                values (:resource_id, :link_id, :series_id, :place, true, true)
                on conflict (resource_id, link_id, series_id) do update set stale = true, retry_at = null,
                  base_ours = case when pairing.href = excluded.href then pairing.base_ours end,
                  base_theirs = case when pairing.href = excluded.href then pairing.base_theirs end,
                  made_by_us = true, href = excluded.href"""),
        [
            {"resource_id": link.resource_id, "link_id": link.id, "series_id": series_id, "place": name}
            for series_id, name in places.items()
        ],
    )


async def adoptable(connection: AsyncConnection, link: LinkRow, series_ids: Sequence[UUID]) -> dict[UUID, set[str]]:
    """Give those of these series that may have parts: live, and not held as a whole; with the slots they have parts for."""
    found = await connection.execute(
        text("""select s.id, coalesce((select array_agg(part.slot) from part where part.resource_id = s.resource_id
                                         and part.link_id = :link_id and part.series_id = s.id), '{}')
                from series s left join pairing p on p.resource_id = s.resource_id and p.series_id = s.id and p.link_id = :link_id
                where s.resource_id = :resource_id and s.deleted_at is null and s.id = any(cast(:ids as uuid[]))
                  and p.intent is null and (p.href is null or p.href like 'parts:%')"""),
        {"resource_id": link.resource_id, "link_id": link.id, "ids": list(series_ids)},
    )
    return {row[0]: set(row[1]) for row in found}


async def add(connection: AsyncConnection, link: LinkRow, rows: Sequence[Mapping[str, Any]]) -> None:
    """Note parts that are about to be made, or an object that is about to give way: id, series_id, slot, href and halves."""
    if rows:
        await connection.execute(
            text("""insert into part (resource_id, link_id, id, series_id, slot, href, stored, sent)
                    values (:resource_id, :link_id, :id, :series_id, :slot, :href, cast(:stored as jsonb),
                            cast(:sent as jsonb))"""),
            [{"resource_id": link.resource_id, "link_id": link.id, **row} for row in rows],
        )


async def agree(connection: AsyncConnection, link: LinkRow, halves: Iterable[tuple[UUID, Json, Json]]) -> None:
    """Note what counts as seen of parts: for (part, stored, sent)."""
    rows = [
        {
            "resource_id": link.resource_id,
            "id": part_id,
            "stored": encode(stored),
            "sent": encode(sent) if sent != stored else None,
        }
        for part_id, stored, sent in halves
    ]
    if rows:
        await connection.execute(
            text("""update part set stored = cast(:stored as jsonb), sent = cast(:sent as jsonb)
                    where resource_id = :resource_id and id = :id"""),
            rows,
        )


async def rename(connection: AsyncConnection, link: LinkRow, slots: Mapping[UUID, str]) -> None:
    """Give parts other slots, because their series was moved as a whole."""
    if slots:
        await connection.execute(
            text("update part set slot = :slot where resource_id = :resource_id and id = :id"),
            [{"resource_id": link.resource_id, "id": part_id, "slot": slot} for part_id, slot in slots.items()],
        )


async def drop(connection: AsyncConnection, link: LinkRow, part_ids: Sequence[UUID]) -> None:
    """Let parts go together with what was seen of objects that are gone; one that still stands there stays known."""
    if part_ids:
        await connection.execute(
            text("""with ended as (delete from part where resource_id = :resource_id and id = any(cast(:ids as uuid[]))
                                   returning href)
                    delete from observed o using ended where o.resource_id = :resource_id and o.link_id = :link_id
                      and o.href = ended.href and o.gone"""),
            {"resource_id": link.resource_id, "link_id": link.id, "ids": list(part_ids)},
        )


async def drop_all(connection: AsyncConnection, link: LinkRow, series_id: UUID) -> None:
    """Let all parts of a series go; the objects that still stand there stay known."""
    found = await connection.execute(
        text("select id from part where resource_id = :resource_id and link_id = :link_id and series_id = :series_id"),
        {"resource_id": link.resource_id, "link_id": link.id, "series_id": series_id},
    )
    await drop(connection, link, [row[0] for row in found])


async def planned(connection: AsyncConnection, link: LinkRow, series_ids: Sequence[UUID]) -> None:
    """Note that what was observed of the parts of these series has been planned."""
    if series_ids:
        await connection.execute(
            text("""update observed o set stale = false from part p
                    where p.resource_id = :resource_id and p.link_id = :link_id and p.series_id = any(cast(:ids as uuid[]))
                      and o.resource_id = :resource_id and o.link_id = :link_id and o.href = p.href and o.stale is not false"""),
            {"resource_id": link.resource_id, "link_id": link.id, "ids": list(series_ids)},
        )


async def look_again(connection: AsyncConnection, link: LinkRow, series_ids: Sequence[UUID]) -> None:
    """Plan these series once more: what is agreed now may not have reached all their parts."""
    if series_ids:
        await connection.execute(
            text("""update pairing set stale = true where resource_id = :resource_id and link_id = :link_id
                    and series_id = any(cast(:ids as uuid[]))"""),
            {"resource_id": link.resource_id, "link_id": link.id, "ids": list(series_ids)},
        )


async def leaving(connection: AsyncConnection, link: LinkRow, series_ids: Sequence[UUID]) -> None:
    """Plan those of these series once more that are held as a whole again but still have parts, which are to go."""
    if series_ids:
        await connection.execute(
            text("""update pairing set stale = true where resource_id = :resource_id and link_id = :link_id
                      and series_id = any(cast(:ids as uuid[])) and exists (
                        select from part where part.resource_id = pairing.resource_id and part.link_id = pairing.link_id
                          and part.series_id = pairing.series_id)"""),
            {"resource_id": link.resource_id, "link_id": link.id, "ids": list(series_ids)},
        )


# --- open writes -------------------------------------------------------------------------------------------------


async def begin(connection: AsyncConnection, link: LinkRow, series_id: UUID, intents: Mapping[UUID, Mapping[str, Json]]) -> None:
    """Store what is about to be sent of a series, by part. The parts exist, and the series must be held still."""
    given = {"resource_id": link.resource_id, "link_id": link.id, "series_id": series_id}
    await connection.execute(
        text("""update pairing set intent = cast(:intent as jsonb), stale = true where resource_id = :resource_id
                and link_id = :link_id and series_id = :series_id"""),
        given | {"intent": encode(OPEN)},
    )
    if intents:
        await connection.execute(
            text("update part set intent = cast(:intent as jsonb) where resource_id = :resource_id and id = :id"),
            [given | {"id": part_id, "intent": encode(intent)} for part_id, intent in intents.items()],
        )


async def settle(connection: AsyncConnection, link: LinkRow, rows: Sequence[Mapping[str, Any]]) -> None:
    """Record what became of writes: id, href and both halves of parts that stand there."""
    if rows:
        await connection.execute(
            text("""update part set href = :href, stored = cast(:stored as jsonb), sent = cast(:sent as jsonb), intent = null
                    where resource_id = :resource_id and id = :id"""),
            [{"resource_id": link.resource_id, **row} for row in rows],
        )


async def void(connection: AsyncConnection, link: LinkRow, part_ids: Sequence[UUID]) -> None:
    """Forget open writes that did not happen, together with parts that were never made."""
    if part_ids:
        given = {"resource_id": link.resource_id, "ids": list(part_ids)}
        which = "resource_id = :resource_id and id = any(cast(:ids as uuid[]))"
        await connection.execute(text(f"delete from part where {which} and href is null"), given)
        await connection.execute(text(f"update part set intent = null where {which}"), given)


async def close(connection: AsyncConnection, link: LinkRow, series_id: UUID) -> None:
    """Let a pairing go on after an interruption, unless the outcome of a write is still open."""
    await connection.execute(
        text("""update pairing set intent = case when exists (
                  select from part where part.resource_id = pairing.resource_id and part.link_id = pairing.link_id
                    and part.series_id = pairing.series_id and part.intent is not null) then cast(:intent as jsonb) end
                where resource_id = :resource_id and link_id = :link_id and series_id = :series_id"""),
        {"resource_id": link.resource_id, "link_id": link.id, "series_id": series_id, "intent": encode(OPEN)},
    )


async def finish(connection: AsyncConnection, link: LinkRow, series_id: UUID) -> None:
    """Note that all parts stand as agreed; the pairing stays stale where our series moved on meanwhile."""
    await connection.execute(
        text("""update pairing p set intent = null, attempt = 0, retry_at = null, problem_code = '', verdict = '',
                  state = 'linked',
                  stale = exists (select from series s where s.resource_id = p.resource_id and s.id = p.series_id
                                  and s.version <> p.series_version)
                where p.resource_id = :resource_id and p.link_id = :link_id and p.series_id = :series_id"""),
        {"resource_id": link.resource_id, "link_id": link.id, "series_id": series_id},
    )


async def lend(connection: AsyncConnection, link: LinkRow, series_id: UUID) -> None:
    """Make a pairing for a series that has none any more, for as long as its parts are written."""
    await connection.execute(
        text("""insert into pairing (resource_id, link_id, series_id, href, stale, state)
                values (:resource_id, :link_id, :series_id, :place, false, 'unlinked')"""),
        {"resource_id": link.resource_id, "link_id": link.id, "series_id": series_id, "place": place(series_id)},
    )


async def take_back(connection: AsyncConnection, link: LinkRow, series_id: UUID) -> None:
    """Forget a lent pairing and its parts; what they named stands there on its own."""
    given = {"resource_id": link.resource_id, "link_id": link.id, "series_id": series_id}
    for table in ("part", "pairing"):
        await connection.execute(
            text(f"delete from {table} where resource_id = :resource_id and link_id = :link_id and series_id = :series_id"), given
        )


async def enter(connection: AsyncConnection, link: LinkRow, series_id: UUID) -> None:
    """Let a copy be held in parts from now on."""
    await connection.execute(
        text("""update pairing set href = :place
                where resource_id = :resource_id and link_id = :link_id and series_id = :series_id"""),
        {"resource_id": link.resource_id, "link_id": link.id, "series_id": series_id, "place": place(series_id)},
    )


# --- how a copy is held ------------------------------------------------------------------------------------------


async def graded(connection: AsyncConnection, link: LinkRow, grades: Iterable[tuple[UUID, str, str]]) -> None:
    """Note how the other side holds series: for (series, grade, code of the reason)."""
    rows = [
        {"resource_id": link.resource_id, "link_id": link.id, "series_id": series_id, "grade": grade, "reason": reason}
        for series_id, grade, reason in grades
    ]
    if rows:
        await connection.execute(
            text("""update pairing set grade = :grade, grade_reason = :reason where resource_id = :resource_id
                    and link_id = :link_id and series_id = :series_id"""),
            rows,
        )


@dataclass(frozen=True, slots=True)
class Held:
    """How the other side holds one recurring series. parts: how many single events stand there for it."""

    id: UUID
    grade: str
    reason: str
    parts: int


async def held(connection: AsyncConnection, resource_id: UUID, link_id: UUID, after: UUID | None, limit: int) -> Listing[Held]:
    """Give one page of the series that a calendar of patterns holds, or should hold, over a link."""
    found = await connection.execute(
        text("""select p.series_id, p.grade, p.grade_reason,
                       (select count(*) from part where part.resource_id = p.resource_id and part.link_id = p.link_id
                          and part.series_id = p.series_id and part.href is not null and part.slot <> '')
                from pairing p where p.resource_id = :resource_id and p.link_id = :link_id and p.grade <> ''
                  and (cast(:after as uuid) is null or p.series_id > :after) order by p.series_id limit :limit"""),
        {"resource_id": resource_id, "link_id": link_id, "after": after, "limit": limit + 1},
    )
    rows = [Held(*row) for row in found]
    return Listing(rows[:limit], rows[limit - 1].id if len(rows) > limit else None)
