"""The credential breaker: how often a refused login may be tried again, over all processes and links of a connection.

Directories lock an account after a few wrong passwords, and servers under load refuse right ones. So a login that has
worked of late is tried again with growing pauses, three times in a quarter of an hour at most, by one pass at a time.
One that has not is left alone until somebody saves the connection, lets the doctor look, or asks to try again.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

MOST: Final = 3
SPAN: Final = timedelta(minutes=15)
PROVEN: Final = timedelta(hours=1)  # a success within that time speaks for load, not for a wrong password
PAUSES: Final = (timedelta(minutes=1), timedelta(minutes=4))  # after the first and the second refusal
ONE_TRY: Final = timedelta(minutes=2)  # how long the others wait for the one that tries
LOOK_AGAIN: Final = timedelta(days=1)  # lanes of a login that rests for good

_WORKED = """(select max(l.last_success) from link l where l.connection_id = connection.id)
             > greatest(connection.updated_at, cast(:now as timestamptz) - cast(:proven as interval))"""


async def refused(connection: AsyncConnection, connection_id: UUID, now: datetime) -> datetime | None:
    """Count a refused login; give when it may be tried again, None where only a person can help."""
    given = {"id": connection_id, "now": now, "proven": PROVEN}
    row = (
        await connection.execute(
            text(f"select refusals, coalesce({_WORKED}, false) as worked from connection where id = :id for no key update"), given
        )
    ).one()
    recent = [at for at in row.refusals if at > (now - PROVEN).timestamp()] + [now.timestamp()]
    until = _next_try(recent, now) if row.worked else None
    await connection.execute(
        text("update connection set refusals = cast(:refusals as jsonb), paused_until = :until where id = :id"),
        {"id": connection_id, "refusals": msgspec.json.encode(recent).decode(), "until": until or now + LOOK_AGAIN},
    )
    return until


def _next_try(recent: list[float], now: datetime) -> datetime:
    """Give a time at which one more refusal is not one too many for any quarter of an hour."""
    if len(recent) < MOST:
        return now + PAUSES[len(recent) - 1]
    return now + SPAN


async def is_resting(connection: AsyncConnection, connection_id: UUID) -> bool:
    """Say whether the login still rests; whoever was let in meanwhile has ended that for all."""
    found = await connection.execute(text("select state from connection where id = :id"), {"id": connection_id})
    return found.scalar_one_or_none() == "auth_required"


async def may_try(connection: AsyncConnection, connection_id: UUID, now: datetime) -> datetime | None:
    """Let one pass try a login that was refused: None for the one that may, for all others until when they rest."""
    given = {"id": connection_id, "now": now, "proven": PROVEN, "one_try": ONE_TRY}
    taken = await connection.execute(
        text(f"""update connection set paused_until = cast(:now as timestamptz) + cast(:one_try as interval)
                 where id = :id and state = 'auth_required' and coalesce(paused_until, :now) <= :now and {_WORKED}
                 returning id"""),
        given,
    )
    if taken.one_or_none():
        return None
    found = await connection.execute(text("select state, paused_until from connection where id = :id"), {"id": connection_id})
    state, until = found.one()
    if state != "auth_required":
        return None  # somebody got in meanwhile
    return until if until is not None and until > now else now + LOOK_AGAIN
