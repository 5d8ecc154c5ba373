"""What is done now and then, by one process of all: taken on a lease, given back with its next time."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection


@dataclass(frozen=True, slots=True)
class Chore:
    """A chore that is ours for now. done_at: when it was last finished, None for the first time."""

    name: str
    owner: str
    done_at: datetime | None


async def claim(connection: AsyncConnection, name: str, owner: str, lease_seconds: float) -> Chore | None:
    """Take a chore if it is due and nobody else does it. One that was never heard of is due at once."""
    await connection.execute(text("INSERT INTO chore (name) VALUES (:name) ON CONFLICT DO NOTHING"), {"name": name})
    row = await connection.execute(
        text("""
            UPDATE chore SET owner = :owner, lease_until = now() + make_interval(secs => :lease_seconds)
            WHERE name = (SELECT name FROM chore WHERE name = :name AND due <= now()
                          AND (owner IS NULL OR lease_until <= now()) FOR UPDATE SKIP LOCKED)
            RETURNING done_at
        """),
        {"name": name, "owner": owner, "lease_seconds": float(lease_seconds)},
    )
    found = row.one_or_none()
    return Chore(name, owner, found.done_at) if found else None


async def finish(connection: AsyncConnection, chore: Chore, next_due: datetime, *, done_at: datetime | None) -> bool:
    """Give a chore back. done_at: None when it failed and is to be repeated from where it stood. Say whether it was ours."""
    changed = await connection.execute(
        text("""
            UPDATE chore SET owner = NULL, lease_until = NULL, due = :due, done_at = coalesce(:done_at, done_at)
            WHERE name = :name AND owner = :owner
        """),
        {"name": chore.name, "owner": chore.owner, "due": next_due, "done_at": done_at},
    )
    return changed.rowcount == 1
