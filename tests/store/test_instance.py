"""OPS-01, OPS-07: a restored, copied or moved database is recognised and writes nothing outside until confirmed."""

from __future__ import annotations

import shutil
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy import text
from tests.conftest import with_name
from tests.firm import Firm

from gleichtakt.errors import CursorExpired
from gleichtakt.store import changes, instance
from gleichtakt.store.database import Database, new_id
from gleichtakt.store.instance import LIVE, VERIFY, Instance


async def mode_of(database: Database) -> tuple[str, str]:
    async with database.read() as connection:
        found = await instance.current(connection)
    return found.mode, found.reason


async def test_a_first_start_is_live_and_stays_so(database: Database, data_dir: Path) -> None:
    first = await instance.attend(database, data_dir, embedded=False)
    second = await instance.attend(database, data_dir, embedded=False)
    assert (first.mode, second.mode) == (LIVE, LIVE)
    assert first.epoch == second.epoch
    assert second.beat > first.beat


async def test_further_machines_may_join_an_external_database(database: Database, tmp_path: Path) -> None:
    for machine in ("one", "two", "three"):
        assert (await instance.attend(database, tmp_path / machine, embedded=False)).mode == LIVE


async def test_ops_07_a_cloned_data_folder_starts_in_verify_and_the_original_goes_on(database: Database, tmp_path: Path) -> None:
    original, clone = tmp_path / "original", tmp_path / "clone"
    (original / "postgres" / "global").mkdir(parents=True)
    (original / "postgres" / "global" / "pg_control").write_text("")
    live = await instance.attend(database, original, embedded=True)
    assert (await instance.attend(database, original, embedded=True)).epoch == live.epoch
    shutil.copytree(original, clone)
    cloned = await instance.attend(database, clone, embedded=True)
    assert (cloned.mode, cloned.reason) == (VERIFY, "moved")
    assert cloned.epoch > live.epoch


async def test_ops_01_a_data_folder_put_back_from_a_copy_starts_in_verify(database: Database, tmp_path: Path) -> None:
    folder, copy = tmp_path / "data", tmp_path / "copy"
    (folder / "postgres" / "global").mkdir(parents=True)
    (folder / "postgres" / "global" / "pg_control").write_text("")
    await instance.attend(database, folder, embedded=True)
    shutil.copytree(folder, copy)
    shutil.move(folder, tmp_path / "thrown away")
    shutil.move(copy, folder)
    assert (await instance.attend(database, folder, embedded=True)).mode == VERIFY


async def test_ops_07_a_copied_database_starts_in_verify(
    database: Database, postgres_url: str, database_url: str, data_dir: Path
) -> None:
    await instance.attend(database, data_dir, embedded=False)
    await database.engine.dispose()
    name = f"clone_{new_id().hex}"
    server = await asyncpg.connect(postgres_url)
    await server.execute(f'CREATE DATABASE "{name}" TEMPLATE "{database_url.rpartition("/")[2]}"')
    async with await Database.open(with_name(postgres_url, name), pool=1) as clone:
        cloned = await instance.attend(clone, data_dir / "elsewhere", embedded=False)
    await server.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    await server.close()
    assert (cloned.mode, cloned.reason) == (VERIFY, "copied")
    assert (await instance.attend(database, data_dir, embedded=False)).mode == LIVE, "the original is not disturbed"


async def set_back(database: Database, to: Instance) -> None:
    """Do what a restore behind our back does to the counter."""
    async with database.begin() as connection:
        await connection.execute(text("UPDATE instance SET epoch = :epoch, beat = :beat"), {"epoch": to.epoch, "beat": to.beat})


async def test_ops_01_a_database_set_back_to_yesterday_is_recognised_at_the_start(database: Database, data_dir: Path) -> None:
    noon = await instance.attend(database, data_dir, embedded=False)
    last = noon
    for _ in range(3):
        last = await instance.beat(database, data_dir, last)
    await set_back(database, noon)
    restored = await instance.attend(database, data_dir, embedded=False)
    assert (restored.mode, restored.reason) == (VERIFY, "rolled_back")


async def test_ops_01_a_database_set_back_under_a_running_process_is_recognised(database: Database, data_dir: Path) -> None:
    noon = await instance.attend(database, data_dir, embedded=False)
    last = await instance.beat(database, data_dir, noon)
    last = await instance.beat(database, data_dir, last)
    await set_back(database, noon)
    assert (await instance.beat(database, data_dir, last)).mode == VERIFY


async def test_heartbeats_of_several_processes_do_not_look_like_a_restore(database: Database, data_dir: Path) -> None:
    one = await instance.attend(database, data_dir, embedded=False)
    two = await instance.attend(database, data_dir, embedded=False)
    for _ in range(3):
        one = await instance.beat(database, data_dir, one)
        two = await instance.beat(database, data_dir, two)
    assert (one.mode, two.mode) == (LIVE, LIVE)


async def test_an_operator_lets_a_verified_instance_write_again(database: Database, data_dir: Path) -> None:
    async with database.begin() as connection:
        await instance.new_epoch(connection, "copied")
    assert await mode_of(database) == (VERIFY, "copied")
    async with database.begin() as connection:
        assert not await instance.may_write(connection)
        await instance.confirm(connection)
        assert await instance.may_write(connection)
    assert await mode_of(database) == (LIVE, "")


async def test_a_new_epoch_voids_cursors_and_keeps_the_feed_readable(database: Database, firm: Firm) -> None:
    async with database.begin() as connection:
        for _ in range(3):
            await changes.append(connection, firm.organization_id, "event.created")
    async with database.read() as connection:
        _, cursor = await changes.read(connection, firm.organization_id, None, 2)
    async with database.begin() as connection:
        await connection.execute(text("UPDATE change SET xid = xid + 1000000000"))  # numbers of another server
        await instance.new_epoch(connection, "restored")
        await changes.append(connection, firm.organization_id, "event.updated")
    async with database.read() as connection:
        with pytest.raises(CursorExpired):
            await changes.read(connection, firm.organization_id, cursor, 10)
        rows, _ = await changes.read(connection, firm.organization_id, None, 10)
    assert [row.type for row in rows] == ["event.created"] * 3 + ["event.updated"]


async def test_a_new_epoch_delivers_to_webhooks_what_they_had_not_got(database: Database, firm: Firm) -> None:
    async with database.begin() as connection:
        for _ in range(4):
            await changes.append(connection, firm.organization_id, "event.created")
    async with database.read() as connection:
        rows, _ = await changes.read(connection, firm.organization_id, None, 10)
    got = rows[1].position
    async with database.begin() as connection:
        await connection.execute(
            text(
                "INSERT INTO webhook (id, organization_id, url, cursor_xid, cursor_id) VALUES (:id, :organization, '', :xid, :at)"
            ),
            {"id": new_id(), "organization": firm.organization_id, "xid": got.xid, "at": got.id},
        )
        await instance.new_epoch(connection, "restored")
        row = (await connection.execute(text("SELECT cursor_xid, cursor_id FROM webhook"))).one()
    async with database.read() as connection:
        left = await changes.read_after(connection, firm.organization_id, changes.Position(*row), 10)
    assert [change.id for change in left] == [change.id for change in rows[2:]]
