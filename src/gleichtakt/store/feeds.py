"""Published calendars: the secret addresses under which a resource can be subscribed, each in its own detail."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gleichtakt.store.rows import Kept
from gleichtakt.store.schema import feed_token

DETAILS = ("busy", "title_time", "full")


@dataclass(frozen=True, slots=True)
class Feed:
    """One published address; the address itself is known to its holder only."""

    id: UUID
    organization_id: UUID
    resource_id: UUID
    name: str
    detail: str
    created_at: datetime
    revoked_at: datetime | None


feeds = Kept(feed_token, Feed, "feed")


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


async def create(
    connection: AsyncConnection, *, organization_id: UUID, resource_id: UUID, name: str, detail: str
) -> tuple[Feed, str]:
    """Publish a calendar; give the row and its token of 256 random bits, which nobody can read again."""
    token = secrets.token_urlsafe(32)
    values = {"organization_id": organization_id, "resource_id": resource_id, "name": name, "detail": detail}
    return await feeds.add(connection, {**values, "token_hash": _hash(token)}), token


async def revoke(connection: AsyncConnection, organization_id: UUID, feed_id: UUID) -> Feed:
    """Close an address at once and for good."""
    await feeds.get(connection, organization_id, feed_id)
    query = (
        update(feed_token)
        .where(feed_token.c.id == feed_id)
        .values(revoked_at=func.coalesce(feed_token.c.revoked_at, func.now()))
        .returning(*feeds.columns)
    )
    return feeds.value((await connection.execute(query)).one())


@dataclass(frozen=True, slots=True)
class Published:
    """What a subscriber gets: a resource's calendar in a detail."""

    feed_id: UUID
    resource_id: UUID
    detail: str
    name: str
    time_zone: str
    language: str
    changed_at: datetime | None  # last change of any event, tombstones included
    events: int


async def by_token(connection: AsyncConnection, token: str) -> Published | None:
    """Give what a living address publishes."""
    found = await connection.execute(
        text("""select f.id, f.resource_id, f.detail, r.name, r.time_zone, r.language,
                       (select max(updated_at) from series s where s.resource_id = f.resource_id),
                       (select count(*) from series s where s.resource_id = f.resource_id and s.deleted_at is null)
                from feed_token f join resource r on r.id = f.resource_id
                where f.token_hash = :token_hash and f.revoked_at is null"""),
        {"token_hash": _hash(token)},
    )
    row = found.one_or_none()
    return Published(*row) if row else None


async def documents(connection: AsyncConnection, resource_id: UUID, start: datetime, end: datetime) -> Sequence[tuple[UUID, str]]:
    """Give id and stored text of the live events that touch a stretch of time, by start."""
    found = await connection.execute(
        text("""select id, document from series where resource_id = :resource_id and deleted_at is null
                and starts_at < :end and (ends_at is null or ends_at > :start or starts_at >= :start) order by starts_at, id"""),
        {"resource_id": resource_id, "start": start, "end": end},
    )
    return [(row.id, row.document) for row in found]
