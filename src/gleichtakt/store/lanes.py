"""Who works on which mailbox, and when: due rows, claimed on a lease that ends by itself.

A lane is all work for one mailbox at one connection. Its due time is the earliest reason to look at it; claiming takes
it for one owner, finishing gives it back with the next due time. A wake-up during the run is counted and not lost. Each
claim raises the fence, and every write of a pass checks it, so that a worker that lost its lease cannot write late.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from gleichtakt.store.database import new_id, wake_after_commit

CHANNEL: Final = "lanes"
WATCHES: Final = "watches"  # woken when there may be more or less to watch, or another worker to do it
WINDOW: Final = 4  # candidates looked at for each lane claimed
AT_ONCE: Final = 20  # lanes of a connection that may come back at the same moment
SPREAD_EACH, SPREAD_MOST = 0.05, 60.0  # seconds that each further one adds to the time over which they come back
WALK: Final = 64  # organizations visited per claim while the backlog is larger than that

_KEY = "hashtextextended({id}::text, 0)"  # of a lane's advisory lock; see `holds_lease`
_FREE = f"""((lane.owner IS NULL AND lane.due <= now())
    OR (lane.owner IS NOT NULL AND lane.lease_until <= now() AND pg_try_advisory_xact_lock({_KEY.format(id="lane.id")})))"""
_SHARE = text(f"SELECT pg_advisory_xact_lock_shared({_KEY.format(id='CAST(:id AS uuid)')})")
_SHARE_LAZILY = text(f"{_SHARE.text}, set_config('synchronous_commit', 'off', true)")
_TAKE = """
UPDATE lane SET owner = :owner, lease_until = now() + make_interval(secs => :lease_seconds), fence = fence + 1,
    attempt = attempt + 1, last_served_at = now()
FROM picked WHERE lane.id = picked.id
RETURNING lane.id, lane.connection_id, lane.organization_id, lane.mailbox, lane.fence, lane.wake, lane.attempt
"""

#: Fair between organizations: each candidate's turn is its place among its organization's due lanes plus the lanes of
#: that organization already being worked on. With a backlog beyond the window the earliest due might all be one
#: organization's, so a walk from a random organization on adds the first due lanes of its neighbours.
_CLAIM = text(f"""
WITH RECURSIVE running AS (
    SELECT organization_id, count(*) AS lanes FROM lane WHERE owner IS NOT NULL GROUP BY organization_id
), earliest AS MATERIALIZED (
    SELECT id, organization_id, due FROM lane WHERE owner IS NULL AND due <= now() ORDER BY due LIMIT :window
), expired AS (
    SELECT id, organization_id, lease_until AS due FROM lane
    WHERE owner IS NOT NULL AND lease_until <= now() ORDER BY lease_until LIMIT :limit
), begin_at AS (
    SELECT id FROM organization WHERE (SELECT count(*) FROM earliest) >= :window ORDER BY id LIMIT 1
    OFFSET greatest(0, floor(random() * ((SELECT count(*) FROM organization) + {WALK - 1}))::bigint - {WALK - 1})
), walk AS (
    (SELECT first.organization_id, 1 AS step FROM begin_at, LATERAL (
        SELECT organization_id FROM lane WHERE owner IS NULL AND due IS NOT NULL
        AND organization_id >= begin_at.id ORDER BY organization_id LIMIT 1) first)
    UNION ALL
    SELECT neighbour.organization_id, walk.step + 1 FROM walk, LATERAL (
        SELECT organization_id FROM lane WHERE owner IS NULL AND due IS NOT NULL
        AND organization_id > walk.organization_id ORDER BY organization_id LIMIT 1) neighbour
    WHERE walk.step < {WALK}
), neighbours AS (
    SELECT first.id, first.organization_id, first.due FROM walk, LATERAL (
        SELECT id, organization_id, due FROM lane WHERE owner IS NULL AND due <= now()
        AND organization_id = walk.organization_id ORDER BY due LIMIT 2) first
), ranked AS (
    SELECT id, due, coalesce(running.lanes, 0)
        + row_number() OVER (PARTITION BY organization_id ORDER BY due, id) AS turn
    FROM (SELECT * FROM earliest UNION SELECT * FROM neighbours UNION SELECT * FROM expired) candidate
    LEFT JOIN running USING (organization_id)
), picked AS (
    SELECT lane.id FROM lane JOIN (SELECT * FROM ranked ORDER BY turn, due LIMIT 2 * :limit) first ON first.id = lane.id
    WHERE {_FREE}
    ORDER BY first.turn, first.due LIMIT :limit FOR UPDATE OF lane SKIP LOCKED
)
{_TAKE}
""")

_CLAIM_THESE = text(f"""
WITH picked AS (
    SELECT id FROM lane WHERE id = ANY(:ids) AND {_FREE} ORDER BY id FOR UPDATE
)
{_TAKE}
""")

#: How much later than the first one a lane comes back.
_LATER = f"""random() * least({SPREAD_MOST}, {SPREAD_EACH} * greatest(0, (SELECT count(*) FROM lane WHERE {{where}}) - {AT_ONCE}))
    * interval '1 second'"""

_FINISH = text("""
UPDATE lane SET owner = NULL, lease_until = NULL,
    due = greatest(CASE WHEN lane.wake <> done.wake THEN now() ELSE done.next_due END, paused_until),
    attempt = CASE WHEN :failed THEN attempt ELSE 0 END
FROM unnest(CAST(:ids AS uuid[]), CAST(:owners AS text[]), CAST(:fences AS bigint[]), CAST(:wakes AS bigint[]),
    CAST(:dues AS timestamptz[])) AS done(id, owner, fence, wake, next_due)
WHERE lane.id = done.id AND lane.owner = done.owner AND lane.fence = done.fence
RETURNING lane.id
""")


@dataclass(frozen=True, slots=True)
class Claim:
    """One lane, taken by one owner. wake: counter at that moment. attempt: 1 after a finished run, more after lost ones."""

    id: UUID
    connection_id: UUID
    organization_id: UUID
    mailbox: str
    fence: int
    wake: int
    owner: str
    attempt: int = 1


async def ensure(connection: AsyncConnection, organization_id: UUID, connection_id: UUID, mailbox: str) -> UUID:
    """Give the lane of a mailbox, made if there is none; it inherits the pause of its connection. Makes nothing due."""
    made = await connection.execute(
        text("""
            INSERT INTO lane (id, organization_id, connection_id, mailbox, paused_until)
            SELECT :id, :organization_id, :connection_id, :mailbox, paused_until FROM connection WHERE id = :connection_id
            ON CONFLICT (connection_id, mailbox) DO UPDATE SET mailbox = excluded.mailbox RETURNING id
        """),
        {"id": new_id(), "organization_id": organization_id, "connection_id": connection_id, "mailbox": mailbox},
    )
    lane_id: UUID = made.scalar_one()
    return lane_id


async def claim(connection: AsyncConnection, owner: str, limit: int, lease_seconds: float) -> list[Claim]:
    """Take up to *limit* lanes that are due or whose lease has ended, fair between organizations.

    owner: names one worker process for its life. Fewer than asked for may mean that another worker was quicker.
    """
    rows = await connection.execute(
        _CLAIM, {"owner": owner, "limit": limit, "window": WINDOW * limit, "lease_seconds": float(lease_seconds)}
    )
    return _claims(rows, owner)


def _claims(rows: Iterable[Row[Any]], owner: str) -> list[Claim]:
    return [
        Claim(row.id, row.connection_id, row.organization_id, row.mailbox, row.fence, row.wake, owner, row.attempt)
        for row in rows
    ]


async def claim_these(connection: AsyncConnection, owner: str, lane_ids: Sequence[UUID], lease_seconds: float) -> list[Claim]:
    """Take those of these lanes that are due and free, or whose lease has ended; for work asked for by name.

    Waits for a lane that somebody is just waking or giving back: passed over, it would not be served at all.
    """
    rows = await connection.execute(
        _CLAIM_THESE, {"owner": owner, "ids": sorted(lane_ids), "lease_seconds": float(lease_seconds)}
    )
    return _claims(rows, owner)


async def due_now(connection: AsyncConnection, lane_ids: Sequence[UUID] | None = None) -> list[UUID]:
    """Give the lanes that can be claimed now, or those of the ones named."""
    rows = await connection.execute(
        text("""
            SELECT id FROM lane WHERE ((owner IS NULL AND due <= now()) OR (owner IS NOT NULL AND lease_until <= now()))
            AND (CAST(:ids AS uuid[]) IS NULL OR id = ANY(CAST(:ids AS uuid[]))) ORDER BY due
        """),
        {"ids": None if lane_ids is None else list(lane_ids)},
    )
    return list(rows.scalars())


async def finish(connection: AsyncConnection, claim: Claim, next_due: datetime | None, *, failed: bool = False) -> bool:
    """Give a lane back, due again at *next_due* or at once if it was woken meanwhile; say whether it was still ours.

    failed: keeps counting attempts, for the length of the next pause.
    """
    return claim.id in await finish_many(connection, [(claim, next_due)], failed=failed)


async def finish_many(
    connection: AsyncConnection, finished: Sequence[tuple[Claim, datetime | None]], *, failed: bool = False
) -> set[UUID]:
    """Give several lanes back in one statement; the ids of those that were still ours."""
    done = sorted(finished, key=lambda pair: pair[0].id)
    rows = await connection.execute(
        _FINISH,
        {
            "ids": [claim.id for claim, _ in done],
            "owners": [claim.owner for claim, _ in done],
            "fences": [claim.fence for claim, _ in done],
            "wakes": [claim.wake for claim, _ in done],
            "dues": [due for _, due in done],
            "failed": failed,
        },
    )
    return set(rows.scalars())


async def wake(connection: AsyncConnection, lane_ids: Iterable[UUID]) -> None:
    """Make lanes due now, in the transaction that makes it necessary; a paused one when its pause ends.

    Workers are told once, after the commit.
    """
    ids = sorted(set(lane_ids))
    if not ids:
        return
    await connection.execute(
        text("""
            WITH woken AS (SELECT id FROM lane WHERE id = ANY(:ids) ORDER BY id FOR NO KEY UPDATE)
            UPDATE lane SET wake = wake + 1, due = greatest(least(due, now()), paused_until)
            FROM woken WHERE lane.id = woken.id
        """),
        {"ids": ids},
    )
    wake_after_commit(connection, CHANNEL)


async def schedule(connection: AsyncConnection, lane_id: UUID, due: datetime) -> None:
    """Make a lane due at *due* at the latest, without counting as a wake-up."""
    await connection.execute(
        text("UPDATE lane SET due = greatest(least(due, :due), paused_until) WHERE id = :id"), {"id": lane_id, "due": due}
    )


async def heartbeat(connection: AsyncConnection, claims: Collection[Claim], lease_seconds: float) -> set[UUID]:
    """Renew the leases of running claims; the ids of those still ours. Whoever is missing must stop."""
    held = sorted(claims, key=lambda claim: claim.id)
    rows = await connection.execute(
        text("""
            UPDATE lane SET lease_until = now() + make_interval(secs => :lease_seconds)
            FROM unnest(CAST(:ids AS uuid[]), CAST(:owners AS text[]), CAST(:fences AS bigint[])) AS held(id, owner, fence)
            WHERE lane.id = held.id AND lane.owner = held.owner AND lane.fence = held.fence RETURNING lane.id
        """),
        {
            "ids": [claim.id for claim in held],
            "owners": [claim.owner for claim in held],
            "fences": [claim.fence for claim in held],
            "lease_seconds": float(lease_seconds),
        },
    )
    return set(rows.scalars())


async def holds_lease(connection: AsyncConnection, claim: Claim, *, lazily: bool = False) -> bool:
    """Say whether the lane is still ours, and keep it so until the transaction ends: nobody can take it over meanwhile.

    The advisory lock, shared here and exclusive for whoever takes over an ended lease, stands in for a row lock,
    because waking a lane must neither wait for a pass nor come into a deadlock with it. lazily: the transaction's
    commit need not wait for the disk, because whatever it writes is found again when the next pass looks.
    """
    await connection.execute(_SHARE_LAZILY if lazily else _SHARE, {"id": claim.id})
    row = await connection.execute(
        text("SELECT 1 FROM lane WHERE id = :id AND owner = :owner AND fence = :fence"),
        {"id": claim.id, "owner": claim.owner, "fence": claim.fence},
    )
    return row.first() is not None


async def take_away(connection: AsyncConnection, lane_ids: Iterable[UUID]) -> None:
    """Let whoever works on these lanes stop before its next write; they are free, and due, at once.

    For a person's word (rest, start anew, end), which a pass that began before it would overwrite with its own end. To be
    called before rows of links are locked: a pass has its lane first, too, and is waited for.
    """
    ids = sorted(set(lane_ids))
    await connection.execute(
        text(f"SELECT pg_advisory_xact_lock({_KEY.format(id='id')}) FROM unnest(CAST(:ids AS uuid[])) AS lane(id)"),
        {"ids": ids},
    )
    taken = await connection.execute(
        text("""
            UPDATE lane SET owner = NULL, lease_until = NULL, fence = fence + 1, due = greatest(now(), paused_until)
            WHERE id = ANY(:ids) AND owner IS NOT NULL RETURNING id
        """),
        {"ids": ids},
    )
    if taken.first() is not None:
        wake_after_commit(connection, CHANNEL)


async def pause(
    connection: AsyncConnection,
    *,
    until: datetime | None,
    lane_id: UUID | None = None,
    connection_id: UUID | None = None,
) -> None:
    """Let a lane, or all lanes of a connection, rest until then; None ends the pause and makes them due now.

    Lanes of a connection come back one after the other, so that whoever asked us to wait is not run over at the end.
    """
    where, value = ("id = :value", lane_id) if lane_id else ("connection_id = :value", connection_id)
    paused, due = "NULL", "now() + resting.later"
    if until is not None:
        paused = "CAST(:until AS timestamptz) + resting.later"
        due = f"greatest(due, {paused})"
    await connection.execute(
        text(f"""
            WITH resting AS (SELECT id, {_LATER.format(where=where)} AS later FROM lane
                             WHERE {where} ORDER BY id FOR NO KEY UPDATE)
            UPDATE lane SET paused_until = {paused}, due = CASE WHEN due IS NULL THEN NULL ELSE {due} END
            FROM resting WHERE lane.id = resting.id
        """),
        {"value": value, **({} if until is None else {"until": until})},
    )
    if connection_id:
        await connection.execute(
            text("UPDATE connection SET paused_until = :until WHERE id = :value"), {"value": connection_id, "until": until}
        )
    if until is None:
        wake_after_commit(connection, CHANNEL)


async def release(connection: AsyncConnection, connection_id: UUID) -> None:
    """Let all lanes of a connection work again, whatever they waited for: each is woken, and they come one by one."""
    await connection.execute(
        text(f"""
            WITH rested AS (SELECT id, {_LATER.format(where="connection_id = :id")} AS later FROM lane
                            WHERE connection_id = :id ORDER BY id FOR NO KEY UPDATE)
            UPDATE lane SET paused_until = NULL, attempt = 0, wake = wake + 1, due = now() + rested.later
            FROM rested WHERE lane.id = rested.id
        """),
        {"id": connection_id},
    )
    wake_after_commit(connection, CHANNEL)


async def next_due(connection: AsyncConnection) -> datetime | None:
    """Give the time at which there will be something to claim, perhaps already past; None if nothing is planned."""
    row = await connection.execute(
        text("""
            SELECT least((SELECT min(due) FROM lane WHERE owner IS NULL AND due IS NOT NULL),
                         (SELECT min(lease_until) FROM lane WHERE owner IS NOT NULL))
        """)
    )
    found: datetime | None = row.scalar_one()
    return found
