"""The feed of changes that applications read by cursor, and webhooks are sent from.

A sequence is no reading order: a transaction may take a number and commit after later ones were read. Readers go by
(transaction, number) and stop below the oldest transaction still open, so nothing is skipped; what other databases of
the same server do holds nothing up. A cursor carries the epoch of the instance: after a restore it is refused instead
of silently pointing elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from gleichtakt.errors import CursorExpired, Permanent, Scope
from gleichtakt.store.database import wake_after_commit

CHANNEL: Final = "changes"


class Position(NamedTuple):
    """A place in the reading order; everything up to and including it has been read."""

    xid: int
    id: int


START: Final = Position(0, 0)


@dataclass(frozen=True, slots=True)
class Change:
    """Something that happened, without content. cursor: reading on from here gives what came after."""

    id: int
    type: str
    organization_id: UUID
    resource_id: UUID | None
    object_id: UUID | None
    occurred_at: datetime
    position: Position
    cursor: str


def encode(epoch: UUID, position: Position) -> str:
    """Make a cursor."""
    return f"{epoch.hex}-{position.xid}-{position.id}"


def decode(cursor: str) -> tuple[UUID, Position]:
    """Read a cursor. Raises Permanent for what never was one."""
    found = re.fullmatch(r"([0-9a-f]{32})-(\d{1,18})-(\d{1,18})", cursor)
    if not found:
        raise Permanent("store.cursor_malformed", Scope.CALENDAR, place="cursor")
    return UUID(found[1]), Position(int(found[2]), int(found[3]))


async def horizon(connection: AsyncConnection) -> int:
    """Give the transaction below which every change of this database is committed, or never will be.

    For statements after this one, each with a snapshot of its own (READ COMMITTED or autocommit). Cheaper questions mislead:
    `pg_snapshot_xmin` waits for every database of the server. Here the next number is noted first, and then who is still
    open; whoever took a smaller number and is not among them has ended, so the next statement sees what they wrote.
    """
    await connection.execute(text("SELECT pg_stat_clear_snapshot()"))  # the list of sessions is kept for a transaction
    found = await connection.execute(
        text("""
            WITH upper AS MATERIALIZED (SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint AS xid),
            open AS (
                SELECT backend_xid::text::bigint AS xid FROM pg_stat_get_activity(NULL)
                WHERE backend_xid IS NOT NULL AND datid = (SELECT oid FROM pg_database WHERE datname = current_database())
                UNION ALL
                SELECT transaction::text::bigint FROM pg_prepared_xacts WHERE database = current_database())
            SELECT least(upper.xid, (
                SELECT min(upper.xid + ((open.xid - upper.xid % 4294967296 + 6442450944) % 4294967296) - 2147483648) FROM open
            )) FROM upper
        """)  # sessions are listed with 32 bits of their number: the nearest of 64 bits is meant
    )
    return int(found.scalar_one())


async def append(
    connection: AsyncConnection,
    organization_id: UUID,
    type_: str,
    resource_id: UUID | None = None,
    object_id: UUID | None = None,
) -> None:
    """Record a change in the transaction that makes it; readers are told after the commit.

    type_: event.created, event.updated, event.deleted, link.created, link.deleted, link.state, connection.state,
    absence.changed (whether, or in which span, a mailbox answers by itself; the object is the resource), hold.opened,
    hold.approved, hold.rejected, conflict.opened, conflict.resolved, problem.opened.
    """
    await append_many(connection, [(organization_id, type_, resource_id, object_id)])


async def append_many(connection: AsyncConnection, changes: Iterable[tuple[UUID, str, UUID | None, UUID | None]]) -> None:
    """Record several changes: organization, type, resource, object."""
    rows = [
        {"organization_id": organization, "type": type_, "resource_id": resource, "object_id": object_id}
        for organization, type_, resource, object_id in changes
    ]
    if not rows:
        return
    await connection.execute(
        text("""
            INSERT INTO change (organization_id, type, resource_id, object_id)
            VALUES (:organization_id, :type, :resource_id, :object_id)
        """),
        rows,
    )
    wake_after_commit(connection, CHANNEL)


async def read(
    connection: AsyncConnection, organization_id: UUID | None, cursor: str | None, limit: int
) -> tuple[list[Change], str]:
    """Give up to *limit* changes after *cursor* (None: from the beginning) and the cursor to go on with.

    organization_id None: of every organization. Raises CursorExpired after a restore or beyond what is kept, Permanent
    for a text that is no cursor.
    """
    epoch, pruned = await _instance(connection)
    position = START
    if cursor is not None:
        of_epoch, position = decode(cursor)
        if of_epoch != epoch:
            raise CursorExpired("store.cursor_epoch")
        if position < pruned:
            raise CursorExpired("store.cursor_pruned")
    changes = await read_after(connection, organization_id, position, limit, epoch=epoch)
    return changes, changes[-1].cursor if changes else cursor or encode(epoch, max(START, pruned))


async def read_after(
    connection: AsyncConnection,
    organization_id: UUID | None,
    position: Position,
    limit: int,
    *,
    epoch: UUID | None = None,
    types: Iterable[str] = (),
) -> list[Change]:
    """Give up to *limit* changes after *position*, in order; types: only these, all if empty."""
    epoch = epoch or (await _instance(connection))[0]
    wanted = sorted(types)
    below = await horizon(connection)
    conditions = [
        "(xid, id) > (:xid, :id)",
        "xid < :below",
        *(["organization_id = :organization_id"] if organization_id else []),
        *(["type = ANY(:types)"] if wanted else []),
    ]
    rows = await connection.execute(
        text(f"""
            SELECT id, type, organization_id, resource_id, object_id, occurred_at, xid FROM change
            WHERE {" AND ".join(conditions)} ORDER BY xid, id LIMIT :limit
        """),
        {
            "xid": position.xid,
            "id": position.id,
            "below": below,
            "limit": limit,
            **({"organization_id": organization_id} if organization_id else {}),
            **({"types": wanted} if wanted else {}),
        },
    )
    return [
        Change(
            row.id,
            row.type,
            row.organization_id,
            row.resource_id,
            row.object_id,
            row.occurred_at,
            Position(row.xid, row.id),
            encode(epoch, Position(row.xid, row.id)),
        )
        for row in rows
    ]


async def latest(connection: AsyncConnection) -> tuple[str, Position]:
    """Give cursor and position of «now»: only what commits from here on comes after it."""
    epoch, _ = await _instance(connection)
    position = Position(await horizon(connection) - 1, 10**18 - 1)
    return encode(epoch, position), position


async def _instance(connection: AsyncConnection) -> tuple[UUID, Position]:
    row = (await connection.execute(text("SELECT epoch, pruned_xid, pruned_id FROM instance"))).one()
    return row[0], Position(row[1], row[2])
