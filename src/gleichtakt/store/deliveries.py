"""Where each webhook stands in the change feed, and who delivers for it. One process per webhook keeps the order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit
from uuid import UUID

import msgspec
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from gleichtakt.store import changes
from gleichtakt.store.changes import Position, horizon
from gleichtakt.store.database import new_id


@dataclass(frozen=True, slots=True)
class Receiver:
    """A webhook that is ours to deliver for. secrets: sealed, the current one first; both sign. types: empty for all."""

    id: UUID
    organization_id: UUID
    url: str
    types: Sequence[str]
    secret: bytes | None
    previous_secret: bytes | None
    position: Position
    attempt: int
    failing_since: datetime | None
    owner: str


_COLUMNS = """webhook.id, webhook.organization_id, webhook.url, webhook.types, webhook.secret, webhook.previous_secret,
    webhook.cursor_xid, webhook.cursor_id, webhook.attempt, webhook.failing_since"""


async def claim(connection: AsyncConnection, owner: str, limit: int, lease_seconds: float) -> list[Receiver]:
    """Take webhooks that have something to be told and may be tried now."""
    below = await horizon(connection)
    rows = await connection.execute(
        text(f"""
            WITH waiting AS (
                SELECT id FROM webhook WHERE active AND (retry_at IS NULL OR retry_at <= now())
                AND (owner IS NULL OR lease_until <= now())
                AND EXISTS (SELECT 1 FROM change WHERE change.organization_id = webhook.organization_id
                    AND (change.xid, change.id) > (webhook.cursor_xid, webhook.cursor_id)
                    AND change.xid < :below)
                ORDER BY retry_at NULLS FIRST LIMIT :limit FOR UPDATE SKIP LOCKED)
            UPDATE webhook SET owner = :owner, lease_until = now() + make_interval(secs => :lease_seconds)
            FROM waiting WHERE webhook.id = waiting.id RETURNING {_COLUMNS}
        """),
        {"owner": owner, "limit": limit, "lease_seconds": float(lease_seconds), "below": below},
    )
    return [_receiver(row, owner) for row in rows]


async def find(connection: AsyncConnection, webhook_id: UUID) -> Receiver | None:
    """Give a webhook without taking it, for a test message."""
    row = await connection.execute(text(f"SELECT {_COLUMNS} FROM webhook WHERE id = :id"), {"id": webhook_id})
    found = row.one_or_none()
    return _receiver(found, "") if found else None


def _receiver(row: Row[tuple[object, ...]], owner: str) -> Receiver:
    position = Position(row.cursor_xid, row.cursor_id)
    sealed = [None if value is None else bytes(value) for value in (row.secret, row.previous_secret)]
    return Receiver(
        row.id, row.organization_id, row.url, row.types, sealed[0], sealed[1], position, row.attempt, row.failing_since, owner
    )


async def advance(
    connection: AsyncConnection, receiver: Receiver, before: Position, after: Position, status: str, lease_seconds: float
) -> bool:
    """Note that everything up to *after* was delivered, and keep the lease. status: empty where nothing was to be sent.

    False if the webhook was taken over, switched off or set to another position (a replay) meanwhile: then stop.
    """
    changed = await connection.execute(
        text("""
            UPDATE webhook SET cursor_xid = :xid, cursor_id = :at,
                last_status = CASE WHEN :status = '' THEN last_status ELSE :status END,
                attempt = CASE WHEN :status = '' THEN attempt ELSE 0 END,
                failing_since = CASE WHEN :status = '' THEN failing_since END,
                retry_at = NULL, lease_until = now() + make_interval(secs => :lease_seconds)
            WHERE id = :id AND owner = :owner AND active AND cursor_xid = :before_xid AND cursor_id = :before_at
        """),
        {
            "id": receiver.id,
            "owner": receiver.owner,
            "xid": after.xid,
            "at": after.id,
            "before_xid": before.xid,
            "before_at": before.id,
            "status": status,
            "lease_seconds": float(lease_seconds),
        },
    )
    if changed.rowcount == 1 and status and receiver.failing_since:
        await connection.execute(
            text("UPDATE problem SET state = 'resolved', last_at = now() WHERE key = :key AND state = 'open'"),
            {"key": _key(receiver)},
        )
    return changed.rowcount == 1


async def release(connection: AsyncConnection, receiver: Receiver) -> None:
    """Give a webhook back."""
    await connection.execute(
        text("UPDATE webhook SET owner = NULL, lease_until = NULL WHERE id = :id AND owner = :owner"),
        {"id": receiver.id, "owner": receiver.owner},
    )


async def postpone(connection: AsyncConnection, receiver: Receiver, status: str, retry_at: datetime) -> None:
    """Give a webhook back that could not be reached, to be tried again at *retry_at* from where it stands."""
    await connection.execute(
        text("""
            UPDATE webhook SET owner = NULL, lease_until = NULL, last_status = :status, attempt = attempt + 1,
                failing_since = coalesce(failing_since, now()), retry_at = :retry_at
            WHERE id = :id AND owner = :owner
        """),
        {"id": receiver.id, "owner": receiver.owner, "status": status, "retry_at": retry_at},
    )


async def switch_off(connection: AsyncConnection, receiver: Receiver, status: str) -> None:
    """Stop delivering until someone switches the webhook on again; it goes on from where it stands. Listed as a problem."""
    await connection.execute(
        text("""
            UPDATE webhook SET owner = NULL, lease_until = NULL, last_status = :status, active = false, retry_at = NULL,
                failing_since = coalesce(failing_since, now())
            WHERE id = :id AND owner = :owner
        """),
        {"id": receiver.id, "owner": receiver.owner, "status": status},
    )
    problem_id = new_id()
    await connection.execute(
        text("""
            INSERT INTO problem (id, organization_id, code, params, kind, scope, key)
            VALUES (:id, :organization_id, 'store.webhook_off', CAST(:params AS jsonb), 'permanent', 'account', :key)
            ON CONFLICT (organization_id, key) WHERE state = 'open'
            DO UPDATE SET count = problem.count + 1, last_at = now(), params = excluded.params
        """),
        {
            "id": problem_id,
            "organization_id": receiver.organization_id,
            "params": msgspec.json.encode({"host": urlsplit(receiver.url).hostname or "", "status": status}).decode(),
            "key": _key(receiver),
        },
    )
    await changes.append(connection, receiver.organization_id, "problem.opened", None, problem_id)


async def note_test(connection: AsyncConnection, webhook_id: UUID, status: str) -> None:
    """Note how a test message went."""
    await connection.execute(
        text("UPDATE webhook SET last_status = :status WHERE id = :id"), {"id": webhook_id, "status": status}
    )


async def is_held_up(connection: AsyncConnection) -> bool:
    """Say whether a webhook has something to be told that nobody may read yet, because an older transaction is still open."""
    found = await connection.execute(
        text("""
            SELECT EXISTS (SELECT FROM webhook WHERE active AND owner IS NULL AND (retry_at IS NULL OR retry_at <= now())
                AND EXISTS (SELECT FROM change WHERE change.organization_id = webhook.organization_id
                    AND (change.xid, change.id) > (webhook.cursor_xid, webhook.cursor_id)))
        """)
    )
    return bool(found.scalar_one())


async def next_retry(connection: AsyncConnection) -> datetime | None:
    """Give the earliest time at which a webhook is to be tried again; None if none waits."""
    row = await connection.execute(text("SELECT min(retry_at) FROM webhook WHERE active AND owner IS NULL"))
    found: datetime | None = row.scalar_one()
    return found


def _key(receiver: Receiver) -> str:
    return f"webhook/{receiver.id}"
