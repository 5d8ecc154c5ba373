"""Backup into one file and back again, without any chance of mass writes afterwards.

The file is a tar archive: `manifest.json` and `database.dump` (pg_dump's own format), with the keys only if asked for.
A restore replaces everything in one transaction and marks the database, so that the next start makes it a new epoch in
mode `verify`: nothing is written outside until an operator has looked at the plans and confirmed.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit, urlunsplit

from sqlalchemy import text

from gleichtakt import __version__
from gleichtakt.errors import Permanent, Scope
from gleichtakt.settings import Settings
from gleichtakt.store import instance, migrate, secrets
from gleichtakt.store.database import Database, dsn_of
from gleichtakt.store.embedded import Embedded
from gleichtakt.store.instance import Instance
from gleichtakt.store.postgres_binaries import installed
from gleichtakt.store.schema import metadata

FORMAT: Final = 1
MANIFEST, DUMP, KEYS = "manifest.json", "database.dump", "secret.key"


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup says about itself. key: name of the key its secrets are sealed with."""

    format: int
    program: str
    schema: str
    postgres: int
    epoch: str
    made_at: str
    key: str
    with_keys: bool


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Database]:
    """Open the database of the settings: the external one, else the embedded one, started if nobody runs it."""
    if settings.database_url:
        async with await Database.open(settings.database_url, pool=2, application="gleichtakt backup") as database:
            yield database
        return
    with Embedded.start(settings.data_path) as embedded:
        async with await Database.open(embedded.url, pool=2, application="gleichtakt backup") as database:
            yield database


async def backup(settings: Settings, target: Path, *, with_keys: bool = False) -> Manifest:
    """Write everything to *target*, a state of one moment; the server may run on.

    with_keys: puts the keys beside what they seal. Who holds such a file holds every password in it.
    """
    async with opened(settings) as database:
        await migrate.check(database)
        async with database.read() as connection:
            found = await instance.current(connection)
            major = int((await connection.execute(text("SHOW server_version_num"))).scalar_one()) // 10_000
        box = secrets.open_box(settings)
        manifest = Manifest(
            FORMAT,
            __version__,
            migrate.known_versions()[0],
            major,
            str(found.epoch),
            datetime.now(UTC).isoformat(timespec="seconds"),
            box.key_name,
            with_keys,
        )
        with _workspace(target.parent) as folder:
            _run("pg_dump", major, database.url, ["--format=custom", "--no-owner", "--no-privileges", f"--file={folder / DUMP}"])
            (folder / MANIFEST).write_text(json.dumps(asdict(manifest), indent=1))
            if with_keys:
                secrets.write_key_file(folder / KEYS, _keys(settings))
            _pack(folder, target)
    return manifest


def read_manifest(source: Path) -> Manifest:
    """Say what a backup file holds. Raises Permanent for a file that is none, or of a newer program."""
    try:
        with tarfile.open(source, "r:") as archive:
            member = archive.extractfile(MANIFEST)
            written: dict[str, Any] = json.loads(member.read()) if member else {}
    except (OSError, KeyError, tarfile.TarError, ValueError) as broken:
        raise Permanent("store.backup_unreadable", Scope.ACCOUNT, file=source.name, reason=type(broken).__name__) from broken
    if written.get("format") != FORMAT or written.get("schema") not in migrate.known_versions():
        raise Permanent(
            "store.backup_newer", Scope.ACCOUNT, file=source.name, program=str(written.get("program", "–")), ours=__version__
        )
    return Manifest(**written)


async def restore(settings: Settings, source: Path) -> tuple[Manifest, Instance]:
    """Replace everything by the content of *source*; give what it was and the instance in mode `verify`.

    Raises Permanent while another process uses the database. If anything fails, all is as it was before.
    """
    manifest = read_manifest(source)
    async with opened(settings) as database:
        await _refuse_in_use(database)
        async with database.read() as connection:
            major = int((await connection.execute(text("SHOW server_version_num"))).scalar_one()) // 10_000
        await database.engine.dispose()
        with _workspace(settings.data_path) as folder:
            _unpack(source, folder)
            _replace(database.url, folder, manifest.postgres, major)
            if manifest.with_keys and not settings.secret_key:
                _bring_keys(settings, folder / KEYS)
        await migrate.migrate(database)
        found = await instance.attend(database, settings.data_path, embedded=not settings.database_url)
    return manifest, found


def _unpack(source: Path, folder: Path) -> None:
    """Write the files we know, and nothing else an archive may hold. (Python 3.11.2 of Debian 12 knows no filters yet.)"""
    with tarfile.open(source, "r:") as archive:
        for name in archive.getnames():
            content = archive.extractfile(name) if name in (DUMP, KEYS) else None
            if content is not None:
                with (folder / name).open("wb") as written:
                    shutil.copyfileobj(content, written)


def _replace(url: str, folder: Path, made_by: int, major: int) -> None:
    """Put the dump in the place of our tables and mark the database, all in one transaction."""
    plain = ["--no-owner", "--no-privileges", f"--file={folder / 'dump.sql'}", str(folder / DUMP)]
    _run("pg_restore", made_by, url, plain)
    (folder / "before.sql").write_text(_clearing())
    (folder / "after.sql").write_text(f"RESET search_path;\nUPDATE instance SET database_id = '{instance.RESTORED}';\n")
    script = [f"--file={folder / name}" for name in ("before.sql", "dump.sql", "after.sql")]
    _run("psql", major, url, ["--no-psqlrc", "--quiet", "--single-transaction", "--set=ON_ERROR_STOP=1", *script])


async def _refuse_in_use(database: Database) -> None:
    """Refuse while someone else is connected: what it wrote after the restore would be of another past."""
    async with database.read() as connection:
        row = await connection.execute(
            text(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
                "AND application_name LIKE 'gleichtakt%' AND application_name <> 'gleichtakt backup'"
            )
        )
    if row.scalar_one():
        raise Permanent("store.in_use", Scope.ACCOUNT)


def _clearing() -> str:
    """Give the statements that drop our tables, and nothing else that may live in the same schema."""
    tables = ", ".join(f'"{name}"' for name in ("schema_version", *metadata.tables))
    return f"SET lock_timeout = '10s';\nDROP TABLE IF EXISTS {tables} CASCADE;\nDROP SEQUENCE IF EXISTS journal_id_seq;\n"


def _keys(settings: Settings) -> tuple[bytes, ...]:
    return secrets.read_keys(settings.secret_key) if settings.secret_key else secrets.read_key_file(secrets.key_file(settings))


def _bring_keys(settings: Settings, brought: Path) -> None:
    """Put the keys of the backup first; those that were here stay behind them."""
    path, keys = secrets.key_file(settings), list(secrets.read_key_file(brought))
    here = secrets.read_key_file(path) if path.exists() else ()
    secrets.write_key_file(path, [*keys, *(key for key in here if key not in keys)])


@contextmanager
def _workspace(beside: Path) -> Iterator[Path]:
    beside.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".gleichtakt-", dir=beside) as folder:
        yield Path(folder)


def _pack(folder: Path, target: Path) -> None:
    """Write the archive whole or not at all, for its owner's eyes only."""
    fresh = folder / "archive"
    with os.fdopen(os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600), "w+b") as file:
        with tarfile.open(fileobj=file, mode="w") as archive:
            for name in (MANIFEST, DUMP, KEYS):
                if (folder / name).exists():
                    archive.add(folder / name, arcname=name, filter=_anonymous)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(target)


def _anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
    member.uid = member.gid = 0
    member.uname = member.gname = ""
    member.mode = 0o600
    return member


def _run(program: str, least: int, url: str, arguments: list[str]) -> None:
    """Run one of PostgreSQL's programs on a database, at least of its major version; the password is not on its command line."""
    fitting = [found for found in installed() if found.major >= least and (found.folder / program).exists()]
    if not fitting:
        raise Permanent("store.no_program", Scope.ACCOUNT, program=program, major=str(least))
    found = min(fitting, key=lambda binaries: binaries.major)
    bare, password = without_password(dsn_of(url))
    database = [] if program == "pg_restore" else [f"--dbname={bare}"]
    done = subprocess.run(  # noqa: S603 - our own programs
        [str(found.folder / program), *database, *arguments],
        env={"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC", **({"PGPASSWORD": password} if password else {})},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise Permanent("store.program_failed", Scope.ACCOUNT, program=program, reason=done.stderr.strip()[-300:])


def without_password(url: str) -> tuple[str, str]:
    """Take the password out of a database address: the address without it, and the password."""
    parts = urlsplit(url)
    if not parts.password:
        return url, ""
    user, host = parts.netloc.rpartition("@")[0].partition(":")[0], parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{user}@{host}")), unquote(parts.password)
