"""OPS-01: backup and restore, and that a restored instance writes nothing outside by itself."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest
from sqlalchemy import text
from tests.firm import Firm

from gleichtakt.errors import Permanent
from gleichtakt.settings import Settings
from gleichtakt.store import backup, instance, lanes, outbox, secrets
from gleichtakt.store.backup import without_password
from gleichtakt.store.database import Database
from gleichtakt.store.secrets import open_box, place_of


@pytest.fixture
def settings(database_url: str, data_dir: Path) -> Settings:
    """Settings that name the test's database."""
    return Settings(database_url=database_url, data_dir=str(data_dir))


@pytest.fixture
def target(tmp_path: Path) -> Iterator[Path]:
    """Where the backup goes."""
    yield tmp_path / "backup.tar"


async def stored_names(database: Database) -> list[str]:
    """Give the organizations."""
    async with database.read() as connection:
        return list((await connection.execute(text("SELECT name FROM organization ORDER BY name"))).scalars())


async def rename(database: Database, name: str) -> None:
    """Change something."""
    async with database.begin() as connection:
        await connection.execute(text("UPDATE organization SET name = :name"), {"name": name})


async def fill(database: Database, firm: Firm, settings: Settings) -> UUID:
    """Store a sealed secret, a lane with work, and a mail that waits."""
    place = place_of("connection", "secret", firm.connection_id)
    async with database.begin() as connection:
        await connection.execute(
            text("UPDATE connection SET secret = :secret"), {"secret": open_box(settings).seal(b"Passwort", place)}
        )
        lane_id = await lanes.ensure(connection, firm.organization_id, firm.connection_id, "mailbox")
        await lanes.wake(connection, [lane_id])
        await outbox.put(connection, "mail", {"to": "anna@firma.example"})
    return lane_id


async def test_ops_01_what_was_saved_comes_back_as_a_new_epoch_that_only_verifies(
    database: Database, firm: Firm, settings: Settings, target: Path
) -> None:
    await fill(database, firm, settings)
    before = await instance.attend(database, settings.data_path, embedded=False)
    made = await backup.backup(settings, target)
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert list(target.parent.glob(".gleichtakt*")) == [], "nothing is left beside it"
    await rename(database, "changed since")
    await database.close()

    manifest, after = await backup.restore(settings, target)
    assert manifest == made
    assert (after.mode, after.reason) == (instance.VERIFY, "restored")
    assert after.epoch > before.epoch
    async with await Database.open(settings.database_url, pool=1) as again:
        assert await stored_names(again) == ["Muster GmbH"]
        async with again.begin() as connection:
            assert await outbox.claim(connection, "worker", 10, 60) == [], "its mails went out from the original"
            secret = (await connection.execute(text("SELECT secret FROM connection"))).scalar_one()
        place = place_of("connection", "secret", firm.connection_id)
        assert open_box(settings).open(bytes(secret), place) == b"Passwort"


async def test_a_restore_into_an_empty_database_makes_it_whole(
    database: Database, firm: Firm, settings: Settings, target: Path, empty_database: Database, tmp_path: Path
) -> None:
    await fill(database, firm, settings)
    await backup.backup(settings, target, with_keys=True)
    elsewhere = Settings(database_url=empty_database.url, data_dir=str(tmp_path / "elsewhere"))
    await empty_database.engine.dispose()
    _, found = await backup.restore(elsewhere, target)
    assert found.mode == instance.VERIFY
    async with empty_database.read() as connection:
        secret = (await connection.execute(text("SELECT secret FROM connection"))).scalar_one()
        parts = await connection.execute(text("SELECT count(*) FROM pg_class WHERE relname LIKE 'series\\__'"))
        assert parts.scalar_one() == 8
    place = place_of("connection", "secret", firm.connection_id)
    assert open_box(elsewhere).open(bytes(secret), place) == b"Passwort", "the keys came along"


async def test_the_keys_are_not_in_a_backup_unless_asked_for(
    database: Database, firm: Firm, settings: Settings, target: Path
) -> None:
    await fill(database, firm, settings)
    manifest = await backup.backup(settings, target)
    key = secrets.key_file(settings).read_bytes().strip()
    assert key not in target.read_bytes()
    assert manifest.key == open_box(settings).key_name, "but it says which are needed"


async def test_a_restore_is_refused_while_the_server_runs(
    database: Database, firm: Firm, settings: Settings, target: Path
) -> None:
    await backup.backup(settings, target)
    await rename(database, "still here")
    with pytest.raises(Permanent) as refused:
        await backup.restore(settings, target)
    assert refused.value.code == "store.in_use"
    assert await stored_names(database) == ["still here"]


async def test_a_restore_that_fails_leaves_everything_as_it_was(
    database: Database, firm: Firm, settings: Settings, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await backup.backup(settings, target)
    await rename(database, "still here")
    await database.engine.dispose()
    monkeypatch.setattr(instance, "RESTORED", "broken' || 1/0 || '")
    with pytest.raises(Permanent) as refused:
        await backup.restore(settings, target)
    assert refused.value.code == "store.program_failed"
    assert "division by zero" in refused.value.params["reason"]
    assert await stored_names(database) == ["still here"]


@pytest.mark.parametrize("content", [b"", b"no archive", b"\x1f\x8b broken"])
async def test_a_file_that_is_no_backup_is_refused(settings: Settings, target: Path, content: bytes) -> None:
    target.write_bytes(content)
    with pytest.raises(Permanent) as refused:
        await backup.restore(settings, target)
    assert refused.value.code == "store.backup_unreadable"


async def test_a_backup_of_a_newer_release_is_refused(
    database: Database, settings: Settings, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await backup.backup(settings, target)
    monkeypatch.setattr(backup.migrate, "known_versions", lambda: ("0000",))
    with pytest.raises(Permanent) as refused:
        await backup.restore(settings, target)
    assert refused.value.code == "store.backup_newer"


async def test_the_embedded_database_is_backed_up_and_restored(data_dir: Path, target: Path) -> None:
    settings = Settings(data_dir=str(data_dir))
    async with backup.opened(settings) as database:
        await backup.migrate.migrate(database)
        async with database.begin() as connection:
            await connection.execute(text("INSERT INTO organization (id, name) VALUES (gen_random_uuid(), 'vorher')"))
    await backup.backup(settings, target)
    async with backup.opened(settings) as database:
        await rename(database, "nachher")
    _, found = await backup.restore(settings, target)
    assert found.mode == instance.VERIFY
    async with backup.opened(settings) as database:
        assert await stored_names(database) == ["vorher"]


def test_the_password_never_stands_on_a_command_line() -> None:
    assert without_password("postgresql://user:p%40ss@host:5432/db?sslmode=require") == (
        "postgresql://user@host:5432/db?sslmode=require",
        "p@ss",
    )
    assert without_password("postgresql:///db?host=/run") == ("postgresql:///db?host=/run", "")
