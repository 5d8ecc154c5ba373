"""How fast lanes are claimed and given back while 100,000 wait, on one connection.

usage: python -m benchmarks.lanes [--lanes 100000] [--organizations 200] [--batch 100] [--url postgresql://…]
Without a URL an embedded server is started in a temporary folder, with its normal, durable settings.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

from benchmarks.bench import Figure, report

from gleichtakt.store import lanes
from gleichtakt.store.database import Database, new_id
from gleichtakt.store.embedded import Embedded
from gleichtakt.store.migrate import migrate

GOAL = 5_000.0


async def fill(database: Database, count: int, organizations: int) -> None:
    """Store lanes spread over organizations; all due, the oldest first."""
    async with database.raw() as connection:
        ids = [new_id() for _ in range(organizations)]
        await connection.execute("TRUNCATE organization CASCADE")
        await connection.execute("INSERT INTO organization (id) SELECT unnest($1::uuid[])", ids)
        await connection.execute(
            "INSERT INTO connection (id, organization_id, provider) SELECT id, id, 'memory' FROM organization"
        )
        await connection.execute(
            """INSERT INTO lane (id, organization_id, connection_id, mailbox, due)
               SELECT gen_random_uuid(), ids[1 + n % $2], ids[1 + n % $2], 'mailbox ' || n, now() - make_interval(secs => $3 - n)
               FROM (SELECT $1::uuid[] AS ids) given, generate_series(1, $3) n""",
            ids,
            organizations,
            count,
        )
        await connection.execute("VACUUM ANALYZE lane")


async def timed(step: Callable[[], Awaitable[object]]) -> float:
    """Give the milliseconds a step takes."""
    begun = time.perf_counter()
    await step()
    return (time.perf_counter() - begun) * 1000


async def drain(database: Database, batch: int, total: int) -> dict[str, float]:
    """Claim and finish *total* lanes in batches; each claim and each finish is a transaction of its own."""
    claiming, finishing, done = [], [], 0
    begun = time.perf_counter()
    later = datetime.now(UTC) + timedelta(hours=1)
    while done < total:
        held: list[lanes.Claim] = []

        async def claim(held: list[lanes.Claim] = held) -> None:
            async with database.begin() as connection:
                held.extend(await lanes.claim(connection, "bench", batch, 60))

        async def finish(held: list[lanes.Claim] = held) -> None:
            async with database.begin() as connection:
                await lanes.finish_many(connection, [(claim, later) for claim in held])

        claiming.append(await timed(claim))
        if not held:
            break
        finishing.append(await timed(finish))
        done += len(held)
    seconds = time.perf_counter() - begun
    return {
        "lanes_per_second": round(done / seconds),
        "claim_ms": round(statistics.median(claiming), 2),
        "finish_ms": round(statistics.median(finishing), 2),
        "done": done,
    }


async def measure(url: str, count: int, organizations: int, batch: int) -> dict[str, dict[str, float]]:
    """Fill a database and measure with a backlog, and with few due among many waiting."""
    async with await Database.open(url, pool=1) as database:
        await migrate(database)
        await fill(database, count, organizations)
        backlog = await drain(database, batch, count // 4)
        async with database.raw() as connection:
            await connection.execute("UPDATE lane SET due = now() + interval '1 hour', owner = NULL, lease_until = NULL")
            await connection.execute("UPDATE lane SET due = now() WHERE id IN (SELECT id FROM lane LIMIT $1)", count // 20)
            await connection.execute("VACUUM ANALYZE lane")
        few = await drain(database, batch, count // 20)
    return {"backlog": backlog, "few_due": few}


def main() -> int:
    """Read the arguments, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lanes", type=int, default=100_000)
    parser.add_argument("--organizations", type=int, default=200)
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--url", default="")
    asked = parser.parse_args()
    with ExitStack() as stack:
        url = asked.url
        if not url:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            url = stack.enter_context(Embedded.start(folder)).url
        found = asyncio.run(measure(url, asked.lanes, asked.organizations, asked.batch))
    figures = []
    for name, told in (("backlog", "all due"), ("few_due", "few due")):
        one = found[name]
        made = f"claim {one['claim_ms']} ms, finish {one['finish_ms']} ms by {asked.batch}"
        what = f"claim and finish, {asked.lanes} lanes, {told}"
        figures.append(Figure(what, one["lanes_per_second"], GOAL, "/s", least=True, more=made))
    return report("lanes", figures)


if __name__ == "__main__":
    sys.exit(main())
