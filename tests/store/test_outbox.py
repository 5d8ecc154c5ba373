"""The outbox: at least once, never lost with a worker, one waiting job per key."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from gleichtakt.store import outbox
from gleichtakt.store.database import Database
from gleichtakt.store.outbox import Job


async def put(database: Database, number: int, **options: object) -> None:
    """Put a job in a transaction of its own."""
    async with database.begin() as connection:
        await outbox.put(connection, "mail", {"number": number}, **options)  # type: ignore[arg-type]


async def claim(database: Database, owner: str = "worker", lease_seconds: float = 60, **options: object) -> list[Job]:
    """Claim in a transaction of its own."""
    async with database.begin() as connection:
        return await outbox.claim(connection, owner, 10, lease_seconds, **options)  # type: ignore[arg-type]


async def test_a_job_is_done_once_and_goes(database: Database) -> None:
    await put(database, 1)
    (job,) = await claim(database)
    assert (job.kind, job.args, job.attempt) == ("mail", {"number": 1}, 1)
    assert await claim(database, "another") == []
    async with database.begin() as connection:
        assert await outbox.done(connection, job)
        assert not await outbox.done(connection, job)
        assert await outbox.next_due(connection) is None


async def test_a_job_of_a_lost_worker_comes_back_and_the_lost_one_changes_nothing(database: Database) -> None:
    await put(database, 1)
    (lost,) = await claim(database, "lost", lease_seconds=0)
    (again,) = await claim(database, "another")
    assert again.attempt == 2
    async with database.begin() as connection:
        assert not await outbox.done(connection, lost)
        assert not await outbox.retry(connection, lost, datetime.now(UTC), "x")
        assert await outbox.done(connection, again)


async def test_a_retried_job_waits_for_its_time(database: Database) -> None:
    await put(database, 1)
    (job,) = await claim(database)
    later = datetime.now(UTC) + timedelta(hours=1)
    async with database.begin() as connection:
        assert await outbox.retry(connection, job, later, "mail.away")
    assert await claim(database) == []
    async with database.read() as connection:
        assert await outbox.next_due(connection) == later


async def test_a_waiting_job_is_replaced_by_the_next_of_its_key(database: Database) -> None:
    for number in (1, 2, 3):
        await put(database, number, key="alert")
    assert [job.args["number"] for job in await claim(database)] == [3]


async def test_a_retried_job_makes_way_for_a_newer_one_of_its_key(database: Database) -> None:
    await put(database, 1, key="alert")
    (job,) = await claim(database)
    await put(database, 2, key="alert")
    async with database.begin() as connection:
        await outbox.retry(connection, job, datetime.now(UTC), "mail.away")
    assert [job.args["number"] for job in await claim(database)] == [2]


async def test_a_job_for_later_waits(database: Database) -> None:
    await put(database, 1, run_at=datetime.now(UTC) + timedelta(hours=1))
    assert await claim(database) == []


async def test_a_worker_takes_only_the_kinds_it_knows(database: Database) -> None:
    await put(database, 1)
    assert await claim(database, kinds=["export"]) == []
    assert len(await claim(database, kinds=["mail", "export"])) == 1


async def test_several_claim_at_once_without_a_job_twice(database: Database) -> None:
    for number in range(30):
        await put(database, number)
    batches = await asyncio.gather(*(claim(database, f"worker {number}") for number in range(6)))
    got = [job.args["number"] for batch in batches for job in batch]
    assert len(got) == len(set(got))
