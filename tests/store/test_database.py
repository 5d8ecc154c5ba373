"""Transactions, wake-ups and ids."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest
from sqlalchemy import text

from gleichtakt.errors import Permanent, Transient
from gleichtakt.store.database import Database, Wakes, is_away, new_id, wake_after_commit

END_OTHERS = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


def test_ids_sort_by_age() -> None:
    ids = [new_id() for _ in range(100)]
    assert [found.version for found in ids] == [7] * 100
    assert sorted(ids, key=lambda found: found.int >> 64) == ids


async def test_a_failed_block_leaves_nothing(database: Database) -> None:
    with pytest.raises(ZeroDivisionError):
        async with database.begin() as connection:
            await connection.execute(text("INSERT INTO organization (id) VALUES (:id)"), {"id": new_id()})
            _ = 1 / 0
    async with database.read() as connection:
        assert (await connection.execute(text("SELECT count(*) FROM organization"))).scalar_one() == 0


async def test_a_listener_hears_of_a_commit_and_several_in_a_row_count_once(database: Database) -> None:
    async with database.listen("lanes") as wakes:
        await wakes.wait(0.01)
        for _ in range(20):
            async with database.begin() as connection:
                wake_after_commit(connection, "lanes")
        assert await wakes.wait(5)
        await wakes.wait(0.2)
        assert not await wakes.wait(0.1)


async def test_nothing_is_heard_of_a_rolled_back_transaction(database: Database) -> None:
    async with database.listen("lanes") as wakes:
        await wakes.wait(0.01)
        with pytest.raises(ZeroDivisionError):
            async with database.begin() as connection:
                wake_after_commit(connection, "lanes")
                _ = 1 / 0
        assert not await wakes.wait(0.2)


async def test_a_pool_outlives_the_end_of_its_connections(database: Database, database_url: str) -> None:
    async with database.read() as connection:
        await connection.execute(text("SELECT 1"))
    other = await asyncpg.connect(database_url)
    await other.execute(END_OTHERS)
    await other.close()
    for _ in range(3):  # the socket's end may reach us only with the first statement
        try:
            async with database.read() as connection:
                assert (await connection.execute(text("SELECT 1"))).scalar_one() == 1
                return
        except Transient as away:
            assert away.code == "store.database_away"
    pytest.fail("the pool did not recover")


async def test_a_listener_comes_back_after_its_connection_was_lost(database: Database, database_url: str) -> None:
    async with database.listen("lanes") as wakes:
        await wakes.wait(0.01)
        other = await asyncpg.connect(database_url)
        await other.execute(END_OTHERS)
        assert await wakes.wait(10)  # a gap counts as a wake-up: something may have been said meanwhile
        await other.execute("NOTIFY lanes")
        assert await wakes.wait(10)
        await other.close()


async def test_an_absent_server_is_something_to_wait_for() -> None:
    with pytest.raises(Transient, match="database"):
        await Database.open("postgresql://nobody:x@127.0.0.1:1/none")


@pytest.mark.parametrize("change", [("gleichtakt:", "somebody:"), ("/test_", "/none_"), ("postgresql://", "mysql://")])
async def test_a_wrong_address_is_refused_with_what_to_correct(database_url: str, change: tuple[str, str]) -> None:
    with pytest.raises(Permanent) as refused:
        await Database.open(database_url.replace(*change))
    assert refused.value.code == "store.database_refused"
    assert "GLEICHTAKT_DATABASE_URL" in refused.value.remedy("de")


async def test_a_bare_connection_is_lent_again_unless_its_block_failed(database: Database) -> None:
    seen: list[int] = []
    for _ in range(2):
        async with database.raw() as raw:
            seen.append(await raw.fetchval("SELECT pg_backend_pid()"))
    with pytest.raises(ZeroDivisionError):
        async with database.raw() as raw:
            _ = 1 / 0
    async with database.raw() as raw:
        seen.append(await raw.fetchval("SELECT pg_backend_pid()"))
    assert seen[0] == seen[1] != seen[2]


async def test_bare_connections_outlive_a_restart_of_the_server(database: Database, database_url: str) -> None:
    async with database.raw() as raw:
        await raw.execute("SELECT 1")
    other = await asyncpg.connect(database_url)
    await other.execute(END_OTHERS)
    await other.close()
    answered = 0
    for _ in range(3):  # the socket's end may reach us only with the first statement
        try:
            async with database.raw() as raw:
                answered += await raw.fetchval("SELECT 1")
        except Transient:
            continue
    assert answered >= 2


def test_a_connection_between_the_farewell_of_the_server_and_the_end_of_its_socket_is_away() -> None:
    assert is_away(asyncpg.InternalClientError("cannot switch to state 11; another operation (2) is in progress"))


@pytest.mark.parametrize("turns", range(6))
async def test_a_wait_that_is_cancelled_while_it_is_woken_ends(turns: int) -> None:
    wakes = Wakes()
    waiting = asyncio.create_task(wakes.wait(60))
    await asyncio.sleep(0.01)
    wakes.set()
    for _ in range(turns):
        await asyncio.sleep(0)
    if waiting.cancel():  # a loop around it would else go on for ever, and the process never end
        with pytest.raises(asyncio.CancelledError):
            await waiting
    else:
        assert waiting.result()
