"""The change feed: nothing is lost to late commits, and a cursor knows which instance it belongs to."""

from __future__ import annotations

import asyncio
import random

import pytest
from sqlalchemy import text
from tests.firm import Firm, make_firm

from gleichtakt.errors import CursorExpired, Permanent
from gleichtakt.store import changes
from gleichtakt.store.database import Database, new_id


async def read(database: Database, firm: Firm, cursor: str | None = None, limit: int = 100) -> tuple[list[str], str]:
    """Give the types of what comes after a cursor, and the next one."""
    async with database.read() as connection:
        rows, following = await changes.read(connection, firm.organization_id, cursor, limit)
    return [row.type for row in rows], following


async def test_a_cursor_goes_on_where_it_stopped(database: Database, firm: Firm) -> None:
    for number in range(5):
        async with database.begin() as connection:
            await changes.append(connection, firm.organization_id, f"event.{number}")
    first, cursor = await read(database, firm, None, 3)
    rest, cursor = await read(database, firm, cursor)
    assert first + rest == [f"event.{number}" for number in range(5)]
    assert await read(database, firm, cursor) == ([], cursor)


async def test_each_organization_reads_its_own(database: Database, firm: Firm) -> None:
    other = await make_firm(database)
    async with database.begin() as connection:
        await changes.append(connection, other.organization_id, "event.created")
    assert (await read(database, firm))[0] == []


async def test_a_late_commit_is_not_skipped(database: Database, firm: Firm) -> None:
    late = await database.engine.connect()
    await changes.append(late, firm.organization_id, "late")  # takes the smaller number, commits last
    async with database.begin() as connection:
        await changes.append(connection, firm.organization_id, "early")
    seen, cursor = await read(database, firm)
    assert seen == [], "nobody may read past a transaction that is still open"
    await late.commit()
    await late.close()
    assert (await read(database, firm, cursor))[0] == ["late", "early"]


async def test_another_database_of_the_server_holds_nothing_up(database: Database, empty_database: Database, firm: Firm) -> None:
    async with empty_database.begin() as connection:
        await connection.execute(text("SELECT pg_current_xact_id()"))
        async with database.begin() as here:
            await changes.append(here, firm.organization_id, "event.created")
        assert (await read(database, firm))[0] == ["event.created"]


async def test_a_late_commit_is_seen_by_a_reader_inside_a_longer_transaction(database: Database, firm: Firm) -> None:
    async with database.begin() as reader:
        assert await changes.read_after(reader, firm.organization_id, changes.START, 10) == []
        late = await database.engine.connect()
        await changes.append(late, firm.organization_id, "late")
        async with database.begin() as connection:
            await changes.append(connection, firm.organization_id, "early")
        assert await changes.read_after(reader, firm.organization_id, changes.START, 10) == []
        await late.commit()
        await late.close()
        found = await changes.read_after(reader, firm.organization_id, changes.START, 10)
    assert [change.type for change in found] == ["late", "early"]


async def test_a_rolled_back_change_blocks_nobody(database: Database, firm: Firm) -> None:
    failed = await database.engine.connect()
    await changes.append(failed, firm.organization_id, "never")
    await failed.rollback()
    await failed.close()
    async with database.begin() as connection:
        await changes.append(connection, firm.organization_id, "event.created")
    assert (await read(database, firm))[0] == ["event.created"]


@pytest.mark.parametrize("seed", range(3))
async def test_pro_readers_miss_nothing_while_many_write_and_commit_in_any_order(
    database: Database, firm: Firm, seed: int
) -> None:
    dice = random.Random(seed)
    written: set[str] = set()
    gates = [asyncio.Event() for _ in range(3)]

    async def writer(number: int) -> None:
        for turn in range(10):
            names = [f"{number}.{turn}.{part}" for part in range(dice.randint(1, 3))]
            async with database.begin() as connection:
                for name in names:
                    await changes.append(connection, firm.organization_id, name)
                    gates[dice.randrange(3)].set()
                    await asyncio.sleep(0)
                if dice.random() < 0.3:
                    gate = gates[dice.randrange(3)]
                    gate.clear()
                    await asyncio.wait_for(asyncio.shield(_either(gate, done)), 5)
            written.update(names)

    done = asyncio.Event()

    async def _either(*events: asyncio.Event) -> None:
        waits = [asyncio.ensure_future(event.wait()) for event in events]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED, timeout=0.02)
        for wait in waits:
            wait.cancel()

    async def reader() -> list[str]:
        seen: list[str] = []
        cursor = None
        while True:
            finished = done.is_set()
            found, cursor = await read(database, firm, cursor, dice.randint(1, 5))
            seen += found
            if finished and not found:
                return seen

    reading = asyncio.create_task(reader())
    await asyncio.gather(*(writer(number) for number in range(3)))
    done.set()
    seen = await reading
    assert len(seen) == len(set(seen)), "nothing twice"
    assert set(seen) == written, "nothing lost"


async def test_now_is_a_cursor_after_everything_that_was(database: Database, firm: Firm) -> None:
    async with database.begin() as connection:
        await changes.append(connection, firm.organization_id, "before")
    async with database.read() as connection:
        cursor, _ = await changes.latest(connection)
    async with database.begin() as connection:
        await changes.append(connection, firm.organization_id, "after")
    assert (await read(database, firm, cursor))[0] == ["after"]


@pytest.mark.parametrize("text_", ["", "1", "abc-1-2", "ffffffffffffffffffffffffffffffff-1-x", "' or 1=1 --", "9" * 500])
async def test_what_is_no_cursor_is_refused(database: Database, firm: Firm, text_: str) -> None:
    with pytest.raises(Permanent) as refused:
        await read(database, firm, text_)
    assert refused.value.code == "store.cursor_malformed"


async def test_a_cursor_of_another_instance_is_refused(database: Database, firm: Firm) -> None:
    with pytest.raises(CursorExpired) as refused:
        await read(database, firm, changes.encode(new_id(), changes.Position(1, 1)))
    assert refused.value.code == "store.cursor_epoch"


async def test_readers_are_told_after_the_commit(database: Database, firm: Firm) -> None:
    async with database.listen(changes.CHANNEL) as wakes:
        await wakes.wait(0.01)
        async with database.begin() as connection:
            await changes.append(connection, firm.organization_id, "event.created")
        assert await wakes.wait(10)


async def test_the_transaction_number_is_the_server_s_own(database: Database, firm: Firm) -> None:
    async with database.begin() as connection:
        await changes.append(connection, firm.organization_id, "event.created")
        row = await connection.execute(text("SELECT xid = pg_current_xact_id()::text::bigint FROM change"))
        assert row.scalar_one() is True
