"""The audit trail: who changed what in the configuration, and what people decided.

Each row carries a hash over itself and the row before it in its organization, so that a row that was changed or taken
out afterwards is found by `first_break`. Calendar content never comes here; the journal keeps that.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from gleichtakt.store.schema import audit

_LOCK = text("select pg_advisory_xact_lock(hashtextextended(:chain, 4711))")
_LAST = text("select hash from audit where organization_id is not distinct from :organization_id order by id desc limit 1")
_ADD = text("""
insert into audit (organization_id, actor, action, object, before, after, at, hash)
values (:organization_id, :actor, :action, :object, cast(:before as jsonb), cast(:after as jsonb), :at, :hash)
""")


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the trail. object: `<table>/<id>`. before, after: the changed columns, secrets masked."""

    id: int
    organization_id: UUID | None
    actor: str  # api:<key id>, account:<id>, command
    action: str  # connection.create, hold.approve, …
    object: str
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None
    at: datetime
    hash: str


def _plain(value: Mapping[str, Any] | None) -> Any:
    """Give a value as it comes back from the database, so that the hash can be computed again."""
    return msgspec.json.decode(msgspec.json.encode(value))


def _hash(previous: str, actor: str, action: str, of: str, before: Any, after: Any, at: datetime) -> str:
    content = [previous, actor, action, of, before, after, at.astimezone(UTC).isoformat()]
    return hashlib.sha256(msgspec.json.encode(content, order="deterministic")).hexdigest()


async def record(
    connection: AsyncConnection,
    *,
    organization_id: UUID | None,
    actor: str,
    action: str,
    of: str,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    """Add a row to an organization's trail, in the transaction of the change it tells of.

    Writers of one organization wait for each other until their transactions end: write it last.
    """
    await connection.execute(_LOCK, {"chain": f"audit:{organization_id}"})
    previous = (await connection.execute(_LAST, {"organization_id": organization_id})).scalar_one_or_none() or ""
    at, was, now = datetime.now(UTC), _plain(before), _plain(after)
    await connection.execute(
        _ADD,
        {
            "organization_id": organization_id,
            "actor": actor,
            "action": action,
            "object": of,
            "before": None if was is None else msgspec.json.encode(was).decode(),
            "after": None if now is None else msgspec.json.encode(now).decode(),
            "at": at,
            "hash": _hash(previous, actor, action, of, was, now, at),
        },
    )


async def entries(
    connection: AsyncConnection, organization_id: UUID | None, *, after: int | None = None, limit: int = 100
) -> list[Entry]:
    """Give a page of the trail, newest first. after: the id of the last entry of the page before."""
    query = select(*(audit.c[name] for name in Entry.__slots__)).where(
        audit.c.organization_id.is_not_distinct_from(organization_id)
    )
    if after is not None:
        query = query.where(audit.c.id < after)
    return [Entry(*row) for row in await connection.execute(query.order_by(audit.c.id.desc()).limit(limit))]


async def first_break(connection: AsyncConnection, organization_id: UUID | None) -> int | None:
    """Give the id of the first entry that does not follow from the one before it, or None when the trail is whole."""
    query = (
        select(*(audit.c[name] for name in Entry.__slots__))
        .where(audit.c.organization_id.is_not_distinct_from(organization_id))
        .order_by(audit.c.id)
    )
    previous = ""
    async with connection.stream(query) as rows:
        async for row in rows:
            entry = Entry(*row)
            expected = _hash(previous, entry.actor, entry.action, entry.object, entry.before, entry.after, entry.at)
            if entry.hash != expected:
                return entry.id
            previous = entry.hash
    return None
