"""The embedded PostgreSQL: as root and as an ordinary user, shared, and after every kind of sudden death."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy import text
from tests.waiting import eventually, until

from gleichtakt.errors import Permanent, Transient
from gleichtakt.store import postgres_binaries
from gleichtakt.store.database import Database
from gleichtakt.store.embedded import Embedded, free_port
from gleichtakt.store.postgres_binaries import Account, choose, reachable

NOBODY = 65534
AS_ROOT = os.geteuid() == 0
#: What makes a test process an ordinary user's. The one capability lets it read this interpreter wherever it lies.
ORDINARY = [
    *("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"),
    *("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"),
]


def ask(url: str, query: str) -> object:
    """Run one statement and give its first value."""

    async def once() -> object:
        connection = await asyncpg.connect(url)
        try:
            return await connection.fetchval(query)
        finally:
            await connection.close()

    return asyncio.run(once())


def answers(url: str) -> bool:
    """Say whether the server can be asked."""
    try:
        return ask(url, "SELECT 1") == 1
    except (OSError, asyncpg.PostgresError):
        return False


def lives(pid: int) -> bool:
    """Say whether a process lives; a zombie does not."""
    path = Path("/proc", str(pid), "stat")
    try:
        return path.read_text().rpartition(") ")[2][0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@dataclass
class Sharer:
    """A process that shares the server."""

    process: subprocess.Popen[str]
    url: str
    keeper: bool
    server: int

    def leave(self) -> None:
        """Let it end in good order."""
        self.process.communicate("", timeout=60)
        assert self.process.returncode == 0

    def kill(self) -> None:
        """Kill it without warning."""
        self.process.kill()
        self.process.communicate()


@contextmanager
def sharer(folder: Path, *, prefix: tuple[str, ...] = ()) -> Iterator[Sharer]:
    """Start a process on a data folder."""
    script = Path(__file__).with_name("embedded_process.py")
    process = subprocess.Popen(
        [*prefix, sys.executable, str(script), str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd="/"
    )
    assert process.stdout
    line = process.stdout.readline()
    assert line, "the process did not start"
    told = json.loads(line)
    try:
        yield Sharer(process, told["url"], told["keeper"], told["server"])
    finally:
        if process.poll() is None:
            process.communicate("", timeout=60)


@pytest.fixture
def closed_folder(tmp_path: Path) -> Path:
    """A data folder, not yet made, below one that only its owner may enter, like /root."""
    above = tmp_path / "closed"
    above.mkdir(mode=0o700)
    return above / "deep" / "data"


@pytest.fixture(scope="module")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder in which a server has been before."""
    folder = tmp_path_factory.mktemp("made") / "data"
    Embedded.start(folder).stop()
    return folder


@pytest.fixture
def used_folder(made_once: Path, closed_folder: Path) -> Path:
    """A data folder of one's own in which a server has been before; its next start is quick."""
    closed_folder.parent.mkdir()
    subprocess.run(["cp", "-a", made_once, closed_folder], check=True)
    written = json.loads((closed_folder / "database.json").read_text())
    (closed_folder / "database.json").write_text(json.dumps(written | {"port": free_port()}))
    return closed_folder


def test_it_runs_below_a_closed_folder_without_opening_it_and_never_as_root(closed_folder: Path) -> None:
    modes = {folder: folder.stat().st_mode for folder in closed_folder.parents if folder.exists()}
    with Embedded.start(closed_folder) as embedded:
        assert answers(embedded.url)
        assert embedded.server_pid
        owner = Path("/proc", str(embedded.server_pid)).stat().st_uid
        assert owner == os.geteuid() if not AS_ROOT else owner != 0
    assert {folder: folder.stat().st_mode for folder in modes} == modes
    assert stat.S_IMODE(closed_folder.stat().st_mode) == 0o700


def test_it_runs_for_an_ordinary_user() -> None:
    with tempfile.TemporaryDirectory() as above:
        if AS_ROOT:
            os.chown(above, NOBODY, NOBODY)
        with sharer(Path(above, "data"), prefix=tuple(ORDINARY) if AS_ROOT else ()) as one:
            assert answers(one.url)
            assert Path("/proc", str(one.server)).stat().st_uid == (NOBODY if AS_ROOT else os.geteuid())
            assert Path(above, "data").stat().st_uid == (NOBODY if AS_ROOT else os.geteuid())
            one.leave()
            assert not lives(one.server)


@pytest.fixture
def embedded(used_folder: Path) -> Iterator[Embedded]:
    """A server of our own, with its normal durable settings."""
    with Embedded.start(used_folder) as started:
        yield started


def test_it_survives_the_death_of_the_server(embedded: Embedded) -> None:
    url = embedded.url
    ask(url, "CREATE TABLE kept AS SELECT 42 AS n")
    for _ in range(3):
        before = embedded.server_pid
        assert before
        os.kill(before, signal.SIGKILL)
        until(lambda before=before: embedded.server_pid not in (None, before))
        until(lambda: answers(url))
        assert embedded.url == url, "other processes need no new address"
        assert ask(url, "SELECT n FROM kept") == 42


async def test_a_pool_and_its_listener_outlive_a_killed_server(embedded: Embedded) -> None:
    async with await Database.open(embedded.url, pool=2) as database, database.listen("lanes") as wakes:

        async def works() -> bool:
            try:
                async with database.begin() as connection:
                    await connection.execute(text("SELECT 1"))
            except Transient:
                return False
            return True

        for _ in range(2):
            server = embedded.server_pid
            assert server
            os.kill(server, signal.SIGKILL)
            until(lambda server=server: embedded.server_pid not in (None, server))  # a last backend may answer until then
            await eventually(works)
            await wakes.wait(30)  # the gap itself
            database.notify("lanes")
            assert await wakes.wait(30)


def test_a_start_after_the_death_of_its_process_takes_over_the_living_server(used_folder: Path) -> None:
    with sharer(used_folder) as one:
        ask(one.url, "CREATE TABLE kept AS SELECT 42 AS n")
        one.kill()
        assert lives(one.server)
        with Embedded.start(used_folder) as embedded:
            assert embedded.server_pid == one.server
            assert embedded.url == one.url
            assert ask(embedded.url, "SELECT n FROM kept") == 42
        until(lambda: not lives(one.server))


def test_a_start_after_the_death_of_everything_recovers(used_folder: Path) -> None:
    with sharer(used_folder) as one:
        ask(one.url, "CREATE TABLE kept AS SELECT 42 AS n")
        one.kill()
        os.kill(one.server, signal.SIGKILL)
        with Embedded.start(used_folder) as embedded:
            assert ask(embedded.url, "SELECT n FROM kept") == 42


def test_several_processes_share_one_server_and_the_last_stops_it(used_folder: Path) -> None:
    with sharer(used_folder) as one, sharer(used_folder) as two, sharer(used_folder) as three:
        assert {one.server, two.server, three.server} == {one.server}
        assert [found.keeper for found in (one, two, three)] == [True, False, False]
        one.leave()
        assert answers(two.url), "the keeper left, the others go on"
        two.leave()
        assert answers(three.url)
        three.leave()
        assert not lives(one.server)


def test_processes_that_start_at_once_make_one_server(closed_folder: Path) -> None:
    script = str(Path(__file__).with_name("embedded_process.py"))
    command = [sys.executable, script, str(closed_folder)]
    started = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    told = [json.loads(process.stdout.readline()) for process in started if process.stdout]
    assert len({found["server"] for found in told}) == 1
    assert sorted(found["keeper"] for found in told) == [False, False, True]
    for process in started:
        process.communicate("", timeout=60)


def test_another_sharer_takes_over_when_the_keeper_is_killed(used_folder: Path) -> None:
    with sharer(used_folder) as keeper, Embedded.start(used_folder) as other:
        assert not other.is_keeper
        keeper.kill()
        until(lambda: other.is_keeper)
        os.kill(keeper.server, signal.SIGKILL)
        until(lambda: other.server_pid not in (None, keeper.server))
        until(lambda: answers(other.url))


def test_a_stranger_with_the_number_of_the_dead_server_does_not_matter(used_folder: Path) -> None:
    with Embedded.start(used_folder) as embedded:
        ask(embedded.url, "CREATE TABLE kept AS SELECT 42 AS n")
    pid_file = used_folder / "postgres" / "postmaster.pid"
    pid_file.write_text(f"{os.getpid()}\n/proc/self/cwd\n1\n5432\n\n127.0.0.1\n0 0\nready\n")
    with Embedded.start(used_folder) as embedded:
        assert ask(embedded.url, "SELECT n FROM kept") == 42


def test_a_zombie_is_not_taken_for_a_living_server(used_folder: Path) -> None:
    with Embedded.start(used_folder):
        pass
    zombie = subprocess.Popen(["true"])
    until(lambda: not lives(zombie.pid))
    pid_file = used_folder / "postgres" / "postmaster.pid"
    pid_file.write_text(f"{zombie.pid}\n/proc/self/cwd\n1\n5432\n\n127.0.0.1\n0 0\nready\n")
    with Embedded.start(used_folder) as embedded:
        assert answers(embedded.url)
    zombie.wait()


def test_an_interrupted_first_start_begins_anew(closed_folder: Path) -> None:
    (closed_folder / "postgres.new").mkdir(parents=True)
    (closed_folder / "postgres.new" / "PG_VERSION").write_text("18")
    with Embedded.start(closed_folder) as embedded:
        assert answers(embedded.url)
    assert not (closed_folder / "postgres.new").exists()


def test_only_our_role_with_its_password_gets_in_and_only_over_loopback(embedded: Embedded, used_folder: Path) -> None:
    assert stat.S_IMODE((used_folder / "database.json").stat().st_mode) == 0o600
    password = json.loads((used_folder / "database.json").read_text())["password"]
    for wrong in (
        embedded.url.replace(password, "guessed"),
        embedded.url.replace("gleichtakt:", "keeper:"),
        embedded.url.replace(password, ""),
    ):
        with pytest.raises(asyncpg.PostgresError):
            ask(wrong, "SELECT 1")
    assert ask(embedded.url, "SHOW listen_addresses") == "127.0.0.1"
    assert ask(embedded.url, "SELECT rolsuper FROM pg_roles WHERE rolname = current_user") is False


def test_a_folder_of_another_major_version_is_refused_with_what_to_install(closed_folder: Path) -> None:
    (closed_folder / "postgres").mkdir(parents=True)
    (closed_folder / "postgres" / "PG_VERSION").write_text("12")
    with pytest.raises(Permanent) as refused:
        Embedded.start(closed_folder)
    assert refused.value.code == "store.postgres_other_major"
    assert "postgresql-12" in refused.value.remedy("de")


def test_without_any_postgres_the_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres_binaries, "installed", tuple)
    with pytest.raises(Permanent) as refused:
        choose()
    assert "apt install postgresql" in refused.value.remedy("en")


def test_a_server_that_cannot_start_says_why(closed_folder: Path) -> None:
    with pytest.raises(Permanent) as refused:
        Embedded.start(closed_folder, options={"shared_buffers": "nonsense"})
    assert "shared_buffers" in refused.value.cause("de")


def test_programs_the_account_cannot_reach_are_copied_to_where_it_can(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = choose()
    site, install = there.folder.parents[2], there.folder.parent
    closed = tmp_path / "closed"
    shutil.copytree(install, closed / install.relative_to(site), ignore=shutil.ignore_patterns("*.a", "include"))
    for libraries in site.glob(f"{install.parent.name}.libs"):
        shutil.copytree(libraries, closed / libraries.name)
    closed.chmod(0o700)
    hidden = postgres_binaries.Binaries(closed / there.folder.relative_to(site), there.major, there.version)
    with tempfile.TemporaryDirectory() as public:
        Path(public).chmod(0o755)
        monkeypatch.setattr(postgres_binaries, "COPIES", (Path(public, "copies"),))
        account = Account(NOBODY, NOBODY) if AS_ROOT else Account()
        found = reachable(hidden, account)
        again = reachable(hidden, account)
        assert found == again
        assert found.folder.is_relative_to(public if AS_ROOT else closed)
        told = subprocess.run([found.folder / "initdb", "--version"], check=True, capture_output=True, **account.options)
        assert b"PostgreSQL" in told.stdout
