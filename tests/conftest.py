"""What every test may ask for: a real PostgreSQL with the product's schema, fresh for each test.

One server per test session, run by the product's own supervisor and shared by the processes of pytest-xdist; or the one
that GLEICHTAKT_TEST_DATABASE_URL names, whose role may create databases. A test gets a copy of a migrated template.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
import structlog
from hypothesis import HealthCheck, settings
from tests.firm import Firm, make_firm

from gleichtakt.store.database import Database, new_id
from gleichtakt.store.embedded import Embedded
from gleichtakt.store.migrate import migrate

#: Every run tries the same examples, so that one is not red by chance; the nightly run tries others each time.
NIGHTLY = bool(os.environ.get("GLEICHTAKT_NIGHTLY"))
settings.register_profile(
    "house",
    derandomize=not NIGHTLY,
    deadline=None,  # a busy machine is no defect
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("house")

TEMPLATE_LOCK = 0x74656D706C617465
#: Nothing here outlives the session. Autovacuum could be at work in a database just when its test drops it, which a role
#: without superuser rights then may not do.
QUICK = {
    **{"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off"},
    **{"shared_buffers": "256MB", "autovacuum": "off"},
}


def with_name(url: str, name: str) -> str:
    """Give the address of another database of the same server."""
    return urlunsplit(urlsplit(url)._replace(path=f"/{name}"))


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory, worker_id_or_master: str) -> Iterator[str]:
    """Address of a running server, for as long as the session lasts."""
    if given := os.environ.get("GLEICHTAKT_TEST_DATABASE_URL"):
        yield given
        return
    base = tmp_path_factory.getbasetemp()
    shared = base if worker_id_or_master == "master" else base.parent
    with Embedded.start(shared / "postgres", options=QUICK) as embedded:
        yield embedded.url


@pytest.fixture(scope="session")
def worker_id_or_master() -> str:
    """Name of this process under pytest-xdist."""
    return os.environ.get("PYTEST_XDIST_WORKER", "master")


@pytest.fixture(scope="session")
def template(postgres_url: str) -> str:
    """Name of a database with the schema of this program, made once."""
    return asyncio.run(_make_template(postgres_url))


async def _make_template(url: str) -> str:
    name = f"template_{os.environ.get('PYTEST_XDIST_TESTRUNUID', os.getpid())}"
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("SELECT pg_advisory_lock($1)", TEMPLATE_LOCK)
        if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", name):
            await connection.execute(f'CREATE DATABASE "{name}_new"')
            async with await Database.open(with_name(url, f"{name}_new"), pool=1) as database:
                await migrate(database)
            await connection.execute(f'ALTER DATABASE "{name}_new" RENAME TO "{name}"')
    finally:
        await connection.close()
    return name


@pytest.fixture
async def database_url(postgres_url: str, template: str) -> AsyncIterator[str]:
    """Address of a fresh database with the product's schema; for tests that start processes."""
    name = f"test_{new_id().hex}"
    connection = await asyncpg.connect(postgres_url)
    try:
        await connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY file_copy')
        yield with_name(postgres_url, name)
        await connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    finally:
        await connection.close()


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """A fresh database with the product's schema, opened."""
    async with await Database.open(database_url, pool=4) as opened:
        yield opened


@pytest.fixture
async def empty_database(postgres_url: str) -> AsyncIterator[Database]:
    """A database without any table."""
    name = f"test_{new_id().hex}"
    connection = await asyncpg.connect(postgres_url)
    try:
        await connection.execute(f'CREATE DATABASE "{name}"')
        async with await Database.open(with_name(postgres_url, name), pool=4) as opened:
            yield opened
        await connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')
    finally:
        await connection.close()


@pytest.fixture
async def firm(database: Database) -> Firm:
    """One organization with one connection."""
    return await make_firm(database)


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """A data folder of one's own."""
    return tmp_path / "data"


@pytest.fixture(scope="session", autouse=True)
def _quiet_log() -> None:
    """Show warnings only: what a worker tells an operator at work is not what a failed test is about."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
