"""Small jobs that are no pass over a mailbox: mails, webhook tests, exports. Put in the transaction that needs them.

A job is done at least once: its row goes when it is done, and comes back when the lease of a lost worker ends.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from gleichtakt.store.database import wake_after_commit

CHANNEL: Final = "outbox"
MAIL: Final = "mail"  # a mail of our own; args: to, subject, text, perhaps html
DOCTOR: Final = "doctor"  # the doctor looks at a connection; args: connection_id


@dataclass(frozen=True, slots=True)
class Job:
    """One job, taken by one owner. attempt: 1 for the first."""

    id: int
    kind: str
    organization_id: UUID | None
    args: Mapping[str, Any]
    attempt: int
    owner: str


async def put(
    connection: AsyncConnection,
    kind: str,
    args: Mapping[str, Any],
    *,
    key: str | None = None,
    organization_id: UUID | None = None,
    run_at: datetime | None = None,
) -> None:
    """Let a job be done at *run_at* (now if None). key: replaces the waiting job of the same key, at its earlier time."""
    await connection.execute(
        text("""
            INSERT INTO outbox (kind, key, organization_id, args, run_at)
            VALUES (:kind, :key, :organization_id, CAST(:args AS jsonb), coalesce(:run_at, now()))
            ON CONFLICT (key) WHERE key IS NOT NULL AND owner IS NULL
            DO UPDATE SET args = excluded.args, run_at = least(outbox.run_at, excluded.run_at), attempt = 0, error_code = ''
        """),
        {
            "kind": kind,
            "key": key,
            "organization_id": organization_id,
            "args": msgspec.json.encode(args).decode(),
            "run_at": run_at,
        },
    )
    wake_after_commit(connection, CHANNEL)


async def put_mail(
    connection: AsyncConnection, to: str, subject: str, text_: str, *, html: str = "", organization_id: UUID | None = None
) -> None:
    """Let a mail of our own be sent, once the transaction has committed."""
    args = {"to": to, "subject": subject, "text": text_, "html": html}
    await put(connection, MAIL, args, organization_id=organization_id)


async def claim(
    connection: AsyncConnection, owner: str, limit: int, lease_seconds: float, *, kinds: Sequence[str] = ()
) -> list[Job]:
    """Take up to *limit* jobs that are due or whose worker was lost; kinds: only these, all if empty."""
    rows = await connection.execute(
        text(f"""
            UPDATE outbox SET owner = :owner, attempt = attempt + 1,
                lease_until = now() + make_interval(secs => :lease_seconds)
            WHERE id = ANY(ARRAY(
                SELECT id FROM outbox
                WHERE ((owner IS NULL AND run_at <= now()) OR (owner IS NOT NULL AND lease_until <= now()))
                {"AND kind = ANY(:kinds)" if kinds else ""}
                ORDER BY run_at, id LIMIT :limit FOR UPDATE SKIP LOCKED))
            RETURNING id, kind, organization_id, args, attempt
        """),
        {
            "owner": owner,
            "limit": limit,
            "lease_seconds": float(lease_seconds),
            **({"kinds": list(kinds)} if kinds else {}),
        },
    )
    return [Job(row.id, row.kind, row.organization_id, row.args, row.attempt, owner) for row in rows]


async def done(connection: AsyncConnection, job: Job) -> bool:
    """Remove a job; say whether it was still ours."""
    return await _gone(connection, job)


async def retry(connection: AsyncConnection, job: Job, at: datetime, error_code: str) -> bool:
    """Let a job be tried again at *at*; a newer waiting job of the same key takes its place. Say whether it was ours."""
    replaced = await connection.execute(
        text("""
            SELECT 1 FROM outbox newer JOIN outbox mine ON mine.key = newer.key
            WHERE mine.id = :id AND newer.id <> mine.id AND newer.owner IS NULL
        """),
        {"id": job.id},
    )
    if replaced.first():
        return await _gone(connection, job)
    changed = await connection.execute(
        text("""
            UPDATE outbox SET owner = NULL, lease_until = NULL, run_at = :at, error_code = :error_code
            WHERE id = :id AND owner = :owner AND attempt = :attempt
        """),
        {"id": job.id, "owner": job.owner, "attempt": job.attempt, "at": at, "error_code": error_code},
    )
    return changed.rowcount == 1


async def next_due(connection: AsyncConnection) -> datetime | None:
    """Give the time at which there will be something to claim; None if nothing waits."""
    row = await connection.execute(text("SELECT min(CASE WHEN owner IS NULL THEN run_at ELSE lease_until END) FROM outbox"))
    found: datetime | None = row.scalar_one()
    return found


async def _gone(connection: AsyncConnection, job: Job) -> bool:
    removed = await connection.execute(
        text("DELETE FROM outbox WHERE id = :id AND owner = :owner AND attempt = :attempt"),
        {"id": job.id, "owner": job.owner, "attempt": job.attempt},
    )
    return removed.rowcount == 1
