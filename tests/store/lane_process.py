"""A worker process for tests: claims lanes, writes under the fence, gives them back. usage: URL OWNER LEASE_SECONDS [hang]

Each claim makes a few fenced writes, each in a transaction of its own. With `hang` it stops after its first write, holding
its lanes, until it is killed; a line on its output says that it has got there.
"""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime, timedelta

from sqlalchemy import text

from gleichtakt.store import lanes
from gleichtakt.store.database import Database

WRITES = 3
RUN = text("UPDATE runs SET left_over = left_over - 1 WHERE lane_id = :id RETURNING left_over")


async def write(database: Database, claim: lanes.Claim) -> bool:
    """Write as a pass does: only while the lane is ours."""
    async with database.begin() as connection:
        if not await lanes.holds_lease(connection, claim):
            return False
        await connection.execute(
            text("INSERT INTO written (lane_id, fence, owner) VALUES (:lane_id, :fence, :owner)"),
            {"lane_id": claim.id, "fence": claim.fence, "owner": claim.owner},
        )
    return True


async def serve(database: Database, claim: lanes.Claim) -> None:
    """Work on one lane: being inside is a row only one can have."""
    async with database.begin() as connection:
        await connection.execute(
            text("INSERT INTO inside (lane_id, owner) VALUES (:lane_id, :owner)"),
            {"lane_id": claim.id, "owner": claim.owner},
        )
    for _ in range(WRITES):
        await write(database, claim)
    async with database.begin() as connection:
        await connection.execute(text("DELETE FROM inside WHERE lane_id = :lane_id"), {"lane_id": claim.id})


async def main(url: str, owner: str, lease_seconds: float, *, hang: bool) -> None:
    """Serve until every lane has had its runs."""
    async with await Database.open(url, pool=2) as database, database.listen(lanes.CHANNEL) as wakes:
        while True:
            async with database.begin() as connection:
                claims = await lanes.claim(connection, owner, 3, lease_seconds)
            if claims and hang:
                await write(database, claims[0])
                print("holding", flush=True)
                await asyncio.Event().wait()
            for claim in claims:
                await serve(database, claim)
                async with database.begin() as connection:
                    runs = await connection.execute(
                        text("UPDATE runs SET left_over = left_over - 1 WHERE lane_id = :id RETURNING left_over"),
                        {"id": claim.id},
                    )
                    due = datetime.now(UTC) if runs.scalar_one() > 0 else None
                    await lanes.finish(connection, claim, due and due + timedelta(milliseconds=1))
            if not claims:
                async with database.read() as connection:
                    left = await connection.execute(text("SELECT count(*) FROM runs WHERE left_over > 0"))
                    if left.scalar_one() == 0:
                        return
                await wakes.wait(0.02)


asyncio.run(main(sys.argv[1], sys.argv[2], float(sys.argv[3]), hang=sys.argv[4:] == ["hang"]))
