"""What was seen in a calendar, object by object: the reading side of a pass over a link.

Every function works in the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from gleichtakt.store.passes import LinkRow


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


async def planned(connection: AsyncConnection, link: LinkRow, hrefs: Sequence[str]) -> None:
    """Note that what was observed under these hrefs has been planned."""
    if hrefs:
        await connection.execute(  # «is not false» keeps it away from the index of stale rows, all of which it would walk
            text("""update observed set stale = false where resource_id = :resource_id and link_id = :link_id
                    and href = any(cast(:hrefs as text[])) and stale is not false"""),
            {"resource_id": link.resource_id, "link_id": link.id, "hrefs": list(hrefs)},
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


async def documents(connection: AsyncConnection, link: LinkRow, hrefs: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Give content and etag of what stands under these hrefs, as last observed."""
    found = await connection.execute(
        text("""select href, document, etag from observed where resource_id = :resource_id and link_id = :link_id and not gone
                and document is not null and href = any(cast(:hrefs as text[]))"""),
        {"resource_id": link.resource_id, "link_id": link.id, "hrefs": list(hrefs)},
    )
    return {row[0]: (row[1], row[2]) for row in found}
