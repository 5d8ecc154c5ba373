"""Lanes: one owner at a time, nothing lost, fair between organizations, and late writers kept out."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

from sqlalchemy import text
from tests.firm import Firm, make_firm
from tests.waiting import eventually, somebody_waits

from gleichtakt.store import lanes
from gleichtakt.store.database import Database
from gleichtakt.store.lanes import Claim

HOUR = timedelta(hours=1)


def now() -> datetime:
    """Give the time."""
    return datetime.now(UTC)


async def make_lanes(database: Database, firm: Firm, count: int, *, due: str = "now()") -> list[UUID]:
    """Store lanes with a due time, the first the earliest."""
    made = []
    async with database.begin() as connection:
        for number in range(count):
            lane_id = await lanes.ensure(connection, firm.organization_id, firm.connection_id, f"mailbox {number}")
            await connection.execute(
                text(f"UPDATE lane SET due = {due} + make_interval(secs => {number} * 0.001) WHERE id = :id"), {"id": lane_id}
            )
            made.append(lane_id)
    return made


async def claim(database: Database, owner: str = "worker", limit: int = 100, lease_seconds: float = 60) -> list[Claim]:
    """Claim in a transaction of its own."""
    async with database.begin() as connection:
        return await lanes.claim(connection, owner, limit, lease_seconds)


async def finish(database: Database, claimed: Claim, next_due: datetime | None) -> bool:
    """Finish in a transaction of its own."""
    async with database.begin() as connection:
        return await lanes.finish(connection, claimed, next_due)


async def wake(database: Database, *lane_ids: UUID) -> None:
    """Wake in a transaction of its own."""
    async with database.begin() as connection:
        await lanes.wake(connection, lane_ids)


async def test_a_lane_is_made_once_per_mailbox(database: Database, firm: Firm) -> None:
    assert await make_lanes(database, firm, 3) == await make_lanes(database, firm, 3)


async def test_only_what_is_due_is_claimed_and_only_once(database: Database, firm: Firm) -> None:
    due = await make_lanes(database, firm, 2, due="now() - interval '1 minute'")
    other = await make_firm(database)
    await make_lanes(database, other, 2, due="now() + interval '1 minute'")
    first = await claim(database)
    assert {found.id for found in first} == set(due)
    assert await claim(database, "another") == []


async def test_a_finished_lane_comes_back_when_it_is_due(database: Database, firm: Firm) -> None:
    await make_lanes(database, firm, 1)
    (held,) = await claim(database)
    assert await finish(database, held, now() + HOUR)
    assert await claim(database) == []
    async with database.read() as connection:
        due = await lanes.next_due(connection)
    assert due
    assert abs(due - now() - HOUR) < timedelta(seconds=30)


async def test_a_wake_during_the_run_is_not_lost(database: Database, firm: Firm) -> None:
    (lane_id,) = await make_lanes(database, firm, 1)
    (held,) = await claim(database)
    await wake(database, lane_id)
    assert await claim(database, "another") == [], "it is still being worked on"
    assert await finish(database, held, now() + HOUR)
    (again,) = await claim(database)
    assert again.id == lane_id


async def test_a_wake_before_the_run_is_served_by_it(database: Database, firm: Firm) -> None:
    (lane_id,) = await make_lanes(database, firm, 1, due="now() + interval '1 hour'")
    await wake(database, lane_id)
    await wake(database, lane_id)
    (held,) = await claim(database)
    await finish(database, held, now() + HOUR)
    assert await claim(database) == []


async def test_a_wake_is_heard_only_after_its_commit(database: Database, firm: Firm) -> None:
    (lane_id,) = await make_lanes(database, firm, 1, due="now() + interval '1 hour'")
    async with database.listen(lanes.CHANNEL) as wakes:
        await wakes.wait(0.01)
        async with database.begin() as connection:
            await lanes.wake(connection, [lane_id])
            assert not await wakes.wait(0.1)
        assert await wakes.wait(10)


async def test_an_expired_lease_goes_to_another_owner_and_the_first_is_locked_out(database: Database, firm: Firm) -> None:
    await make_lanes(database, firm, 1)
    (lost,) = await claim(database, "slow", lease_seconds=0)
    (held,) = await claim(database, "quick")
    assert held.fence > lost.fence
    assert held.attempt == 2
    assert not await finish(database, lost, None)
    async with database.begin() as connection:
        assert not await lanes.holds_lease(connection, lost)
        assert await lanes.holds_lease(connection, held)
        assert await lanes.heartbeat(connection, [lost, held], 60) == {held.id}


async def test_nobody_takes_a_lane_while_a_fenced_write_is_under_way(database: Database, firm: Firm) -> None:
    await make_lanes(database, firm, 1)
    (held,) = await claim(database, "slow", lease_seconds=0)
    async with database.begin() as connection:
        assert await lanes.holds_lease(connection, held)
        assert await claim(database, "quick") == []
    assert len(await claim(database, "quick")) == 1


async def test_a_heartbeat_keeps_a_lane(database: Database, firm: Firm) -> None:
    await make_lanes(database, firm, 1)
    (held,) = await claim(database, lease_seconds=0)
    async with database.begin() as connection:
        await lanes.heartbeat(connection, [held], 60)
    assert await claim(database, "another") == []


async def test_attempts_count_until_a_run_ends_well(database: Database, firm: Firm) -> None:
    await make_lanes(database, firm, 1)
    for attempt in (1, 2, 3):
        (held,) = await claim(database)
        assert held.attempt == attempt
        async with database.begin() as connection:
            await lanes.finish(connection, held, now(), failed=True)
    (held,) = await claim(database)
    await finish(database, held, now())
    assert (await claim(database))[0].attempt == 1


async def test_a_paused_lane_rests_although_it_is_woken(database: Database, firm: Firm) -> None:
    resting, other = await make_lanes(database, firm, 2)
    async with database.begin() as connection:
        await lanes.pause(connection, lane_id=resting, until=now() + HOUR)
    await wake(database, resting)
    assert [found.id for found in await claim(database)] == [other]
    async with database.begin() as connection:
        await lanes.pause(connection, lane_id=resting, until=None)
    assert [found.id for found in await claim(database)] == [resting]


async def test_an_account_that_was_asked_to_wait_rests_with_all_its_lanes(database: Database, firm: Firm) -> None:
    await make_lanes(database, firm, 3)
    (busy,) = await claim(database, limit=1)
    async with database.begin() as connection:
        await lanes.pause(connection, connection_id=firm.connection_id, until=now() + HOUR)
    await finish(database, busy, now())
    async with database.begin() as connection:
        late = await lanes.ensure(connection, firm.organization_id, firm.connection_id, "made later")
        await lanes.wake(connection, [late])
    assert await claim(database) == []


async def test_lanes_are_claimed_by_name_where_they_are_due_and_free(database: Database, firm: Firm) -> None:
    first, second, third = await make_lanes(database, firm, 3)
    await claim(database, limit=1)  # takes the first
    async with database.begin() as connection:
        taken = await lanes.claim_these(connection, "command", [first, third], 60)
    assert [found.id for found in taken] == [third]
    assert [found.id for found in await claim(database)] == [second]


async def test_a_lane_that_is_just_being_woken_is_claimed_by_name_and_not_passed_over(database: Database, firm: Firm) -> None:
    (lane,) = await make_lanes(database, firm, 1)

    async def claim_it() -> list[lanes.Claim]:
        async with database.begin() as connection:
            return await lanes.claim_these(connection, "command", [lane], 60)

    async with database.begin() as waking:
        await lanes.wake(waking, [lane])
        claiming = asyncio.create_task(claim_it())
        await eventually(lambda: somebody_waits(database))
    assert [found.id for found in await claiming] == [lane]


async def test_a_small_organization_does_not_wait_behind_a_large_one(database: Database) -> None:
    large, small = await make_firm(database, "groß"), await make_firm(database, "klein")
    await make_lanes(database, large, 300, due="now() - interval '1 hour'")
    await make_lanes(database, small, 2)
    first = await claim(database, limit=4)
    served = [found.organization_id for found in first]
    assert served.count(small.organization_id) == 2
    assert served.count(large.organization_id) == 2


async def test_slots_in_use_count_when_the_next_is_given_away(database: Database) -> None:
    large, small = await make_firm(database, "groß"), await make_firm(database, "klein")
    await make_lanes(database, large, 20, due="now() - interval '1 hour'")
    assert len(await claim(database, limit=8)) == 8
    await make_lanes(database, small, 1)
    (given,) = await claim(database, limit=1)
    assert given.organization_id == small.organization_id


async def test_every_organization_is_reached_although_one_has_a_backlog(database: Database) -> None:
    large = await make_firm(database, "groß")
    await make_lanes(database, large, 200, due="now() - interval '1 hour'")
    small = [await make_firm(database, f"klein {number}") for number in range(20)]
    for found in small:
        await make_lanes(database, found, 1)
    reached: set[UUID] = set()
    for _ in range(12):
        reached |= {held.organization_id for held in await claim(database, limit=4)}
    assert reached >= {found.organization_id for found in small}


async def test_many_tasks_claiming_at_once_never_get_the_same_lane(database: Database, firm: Firm) -> None:
    made = await make_lanes(database, firm, 60)
    claimed = await asyncio.gather(*(claim(database, f"worker {number}", 10) for number in range(12)))
    got = [held.id for batch in claimed for held in batch]
    assert len(got) == len(set(got))
    got += [held.id for held in await claim(database)]
    assert sorted(got) == sorted(made)


# --- with real processes -------------------------------------------------------------------------------------------


async def prepare(database: Database, firm: Firm, count: int, runs: int) -> None:
    """Store lanes, and the tables in which the processes leave their traces."""
    await make_lanes(database, firm, count)
    async with database.begin() as connection:
        await connection.execute(text("CREATE TABLE inside (lane_id uuid PRIMARY KEY, owner text)"))
        await connection.execute(text("CREATE TABLE written (id bigserial, lane_id uuid, fence bigint, owner text)"))
        await connection.execute(text(f"CREATE TABLE runs AS SELECT id AS lane_id, {runs} AS left_over FROM lane"))


def start(url: str, owner: str, lease_seconds: float, *more: str) -> subprocess.Popen[str]:
    """Start a worker process."""
    script = str(Path(__file__).with_name("lane_process.py"))
    return subprocess.Popen([sys.executable, script, url, owner, str(lease_seconds), *more], stdout=subprocess.PIPE, text=True)


async def ended_well(processes: list[subprocess.Popen[str]]) -> None:
    """Wait until all have done their work."""
    for process in processes:
        _, _ = await asyncio.to_thread(process.communicate, timeout=120)
        assert process.returncode == 0


async def assert_no_late_writer(database: Database) -> None:
    """Fences never go back in the order of writing, and one fence is one owner's."""
    async with database.read() as connection:
        rows = (await connection.execute(text("SELECT lane_id, fence, owner FROM written ORDER BY id"))).all()
    last: dict[UUID, int] = {}
    owners: dict[tuple[UUID, int], str] = {}
    for lane_id, fence, owner in rows:
        assert fence >= last.get(lane_id, 0), "a worker wrote after another had taken its lane"
        last[lane_id] = fence
        assert owners.setdefault((lane_id, fence), owner) == owner


async def test_con_05_several_processes_never_work_on_one_lane_at_once(database: Database, database_url: str, firm: Firm) -> None:
    await prepare(database, firm, 12, runs=8)
    await ended_well([start(database_url, f"worker {number}", 60) for number in range(3)])
    await assert_no_late_writer(database)
    async with database.read() as connection:
        rows = await connection.execute(text("SELECT count(*), count(DISTINCT owner) FROM written"))
        written, owners = rows.one()
    assert written == 12 * 8 * 3, "each run wrote, and none twice"
    assert owners > 1, "they shared the work"


async def test_lanes_of_a_killed_process_go_on_with_another_when_the_lease_ends(
    database: Database, database_url: str, firm: Firm
) -> None:
    await prepare(database, firm, 6, runs=2)
    doomed = start(database_url, "doomed", 1, "hang")
    assert doomed.stdout
    assert await asyncio.to_thread(doomed.stdout.readline) == "holding\n"
    doomed.kill()
    doomed.communicate()
    survivor = start(database_url, "survivor", 60)
    await ended_well([survivor])
    await assert_no_late_writer(database)
    async with database.read() as connection:
        left = await connection.execute(text("SELECT count(*) FROM runs WHERE left_over > 0"))
        assert left.scalar_one() == 0
        lost = await connection.execute(text("SELECT count(*) FROM lane WHERE owner IS NOT NULL"))
        assert lost.scalar_one() == 0


async def test_a_process_that_was_frozen_past_its_lease_writes_nothing_more(
    database: Database, database_url: str, firm: Firm
) -> None:
    await prepare(database, firm, 1, runs=1)
    (frozen,) = await claim(database, "frozen", lease_seconds=0)
    await ended_well([start(database_url, "survivor", 60)])

    async def late_write() -> bool:
        async with database.begin() as connection:
            return not await lanes.holds_lease(connection, frozen)

    assert await eventually(late_write)
    assert not await finish(database, frozen, now())


async def dues(database: Database) -> list[datetime]:
    """Give the due times of all lanes, in order."""
    async with database.read() as connection:
        return list((await connection.execute(text("SELECT due FROM lane ORDER BY due"))).scalars())


async def test_scl_05_lanes_of_an_account_come_back_one_after_the_other(database: Database, firm: Firm) -> None:
    await make_lanes(database, firm, 300)
    until = now() + HOUR
    async with database.begin() as connection:
        await lanes.pause(connection, connection_id=firm.connection_id, until=until)
    found = await dues(database)
    assert min(found) >= until
    assert timedelta(seconds=10) < found[-1] - found[0] <= timedelta(seconds=15)
    busiest = max(sum(at <= other < at + timedelta(seconds=1) for other in found) for at in found)
    assert busiest < 60, "300 at once became at most a few dozen a second"
    await wake(database, *[lane.id for lane in await claim(database)])
    assert await dues(database) == found, "waking does not put them in step again"

    async with database.begin() as connection:
        await lanes.pause(connection, connection_id=firm.connection_id, until=None)
    found = await dues(database)
    assert found[0] < now() + timedelta(seconds=2)
    assert timedelta(seconds=10) < found[-1] - found[0] <= timedelta(seconds=15)


async def test_scl_05_lanes_that_somebody_releases_come_back_one_after_the_other(database: Database, firm: Firm) -> None:
    await make_lanes(database, firm, 300, due="now() + interval '1 day'")
    async with database.begin() as connection:
        await lanes.release(connection, firm.connection_id)
    found = await dues(database)
    assert timedelta(seconds=10) < found[-1] - found[0] <= timedelta(seconds=15)


async def test_scl_05_a_few_mailboxes_need_not_wait_for_one_another(database: Database, firm: Firm) -> None:
    made = await make_lanes(database, firm, 20, due="now() + interval '1 day'")
    async with database.begin() as connection:
        await lanes.release(connection, firm.connection_id)
    assert {found.id for found in await claim(database)} == set(made)


async def test_scl_05_a_huge_account_is_back_within_a_minute(database: Database, firm: Firm) -> None:
    await make_lanes(database, firm, 1)
    async with database.begin() as connection:
        await connection.execute(
            text("""INSERT INTO lane (id, organization_id, connection_id, mailbox, due)
                    SELECT gen_random_uuid(), :organization, :connection, number::text, now()
                    FROM generate_series(1, 3000) number"""),
            {"organization": firm.organization_id, "connection": firm.connection_id},
        )
        await lanes.release(connection, firm.connection_id)
    found = await dues(database)
    assert timedelta(seconds=50) < found[-1] - found[0] <= timedelta(seconds=60)


async def test_a_lane_that_is_taken_away_is_free_and_its_worker_locked_out(database: Database, firm: Firm) -> None:
    (lane_id,) = await make_lanes(database, firm, 1)
    (taken,) = await claim(database)
    async with database.begin() as connection:
        await lanes.take_away(connection, [lane_id])
    async with database.begin() as connection:
        assert not await lanes.holds_lease(connection, taken)
        assert not await lanes.finish(connection, taken, None)
    assert [found.id for found in await claim(database)] == [lane_id]


async def test_a_lane_is_taken_away_only_between_the_writes_of_its_worker(database: Database, firm: Firm) -> None:
    (lane_id,) = await make_lanes(database, firm, 1)
    (taken,) = await claim(database)

    async def take_away() -> None:
        async with database.begin() as connection:
            await lanes.take_away(connection, [lane_id])

    async with database.begin() as connection:
        assert await lanes.holds_lease(connection, taken)
        taking = asyncio.create_task(take_away())
        done, _ = await asyncio.wait([taking], timeout=0.2)
        assert not done
    await taking
