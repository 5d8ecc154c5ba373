"""The database that needs no installing: PostgreSQL as a child of one of our processes, in the data folder.

Several processes may share one data folder. The one that holds the file lock keeps the server: it starts it, starts it
again when it dies, and stops it when it leaves as the last. When the keeper is killed the server lives on and another
sharer, or the next start, takes it over. The server listens on loopback only, asks for a random password (SCRAM), and
never runs as root: there it runs as the owner of its files, reaching them through its working directory, so that no
folder above has to be opened up.
"""

from __future__ import annotations

import asyncio
import atexit
import fcntl
import json
import os
import pwd
import random
import re
import secrets
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import asyncpg
import structlog

from gleichtakt.errors import Permanent, Scope, Transient
from gleichtakt.store.postgres_binaries import Account, Binaries, choose, reachable

log = structlog.get_logger(__name__)

#: Accounts root drops to, the first that exists. The owner of an existing folder comes before them.
ACCOUNTS: Final = ("gleichtakt", "postgres", "nobody")
NAME: Final = "gleichtakt"  # of the role and of the database
PORTS: Final = range(20000, 32000)  # below the range the system takes for outgoing connections
OPTIONS: Final = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_wal_size": "1GB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "lc_messages": "C",
    "jit": "off",
}
HBA: Final = (
    f"# Written once. Only our own role, only over loopback, only by password.\nhost all {NAME} 127.0.0.1/32 scram-sha-256\n"
)
LOOK_SECONDS: Final = 0.1  # how often the keeper looks after the server
START_SECONDS: Final = 120.0  # recovery after a crash included
ORPHANS_SECONDS: Final = 20.0  # how long backends of a killed server may hold its shared memory
#: What the server says about obstacles that pass by themselves.
PORT_TAKEN: Final = ("could not bind", "could not create any TCP/IP sockets")
PASSING: Final = (*PORT_TAKEN, "shared memory block", "lock file")
LOG_BYTES: Final = 10_000_000
HERE: Final = "/proc/self/cwd"  # the data folder, as the server names it: needs no right on the folders above


class Embedded:
    """A running server in a data folder, as one process shares it. `url` stays the same when the server is restarted."""

    def __init__(self, folder: Path, options: Mapping[str, str]) -> None:
        """Use `start` instead."""
        self._folder = folder
        self._options = {**OPTIONS, **options}
        self._cluster = folder / "postgres"
        self._keeping = _Lock(folder / "database.keeper")
        self._sharing = _Lock(folder / "database.sharers")
        self._process: subprocess.Popen[bytes] | None = None
        self._leaving = threading.Event()
        self._thread = threading.Thread(target=self._look_after, name="postgres-keeper", daemon=True)

    @classmethod
    def start(cls, data_dir: Path | str, *, options: Mapping[str, str] | None = None) -> Embedded:
        """Start or join the server of *data_dir*; blocks until it answers.

        options: server settings on top of OPTIONS. Raises Permanent with what to install or correct, Transient when
        the server does not answer in time.
        """
        folder = Path(data_dir).absolute()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        embedded = cls(folder, options or {})
        embedded._sharing.share()
        try:
            embedded._join()
        except BaseException:
            embedded._sharing.release()
            embedded._keeping.release()
            raise
        embedded._thread.start()
        atexit.register(embedded.stop)
        return embedded

    def __enter__(self) -> Embedded:
        """Give itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Leave."""
        self.stop()

    @property
    def url(self) -> str:
        """Give the address with the password in it."""
        written = self._written()
        return f"postgresql://{NAME}:{written['password']}@127.0.0.1:{written['port']}/{NAME}"

    @property
    def is_keeper(self) -> bool:
        """Say whether this process looks after the server, and not another sharer."""
        return self._keeping.held

    @property
    def server_pid(self) -> int | None:
        """Give the process id of the living server."""
        return self._living()

    def stop(self) -> None:
        """Leave; the last sharer stops the server."""
        atexit.unregister(self.stop)
        if self._leaving.is_set():
            return
        self._leaving.set()
        self._thread.join()
        if self._keeping.try_hold() and self._sharing.try_hold():
            self._stop_server()
        self._keeping.release()
        self._sharing.release()

    # --- sharing -----------------------------------------------------------------------------------------------------

    def _join(self) -> None:
        """Become the keeper of a running server, or find that another process is."""
        deadline = time.monotonic() + START_SECONDS
        while True:
            if self._keeping.try_hold():
                self._make_run()
                return
            if self._living() and self._answers():
                return
            if time.monotonic() > deadline:
                raise Transient("store.database_away", Scope.ACCOUNT, detail="the keeper's server does not answer")
            time.sleep(0.05)

    def _look_after(self) -> None:
        """Keep the server running while we hold the lock, and try to get the lock while we do not."""
        pause = LOOK_SECONDS
        while not self._leaving.wait(pause):
            if not self._keeping.try_hold() or self._living():
                pause = LOOK_SECONDS
                continue
            log.warning("embedded_postgres_gone")
            try:
                self._make_run()
                pause = LOOK_SECONDS
            except Exception as failed:
                log.exception("embedded_postgres_not_restarted", reason=str(failed))
                pause = min(pause * 2, 10.0)

    # --- the server --------------------------------------------------------------------------------------------------

    def _make_run(self) -> None:
        """Take over a living server, else make the cluster if there is none and start it."""
        if self._process:
            self._process.poll()  # reaps it
        if self._living() and self._comes_to_answer():
            return
        account = self._account()
        binaries = reachable(choose(self._major()), account)
        if not self._cluster.exists():
            self._initialize(binaries, account)
        self._remove_stale_pid_file()
        self._launch(binaries, account)

    def _major(self) -> int | None:
        version = self._cluster / "PG_VERSION"
        return int(version.read_text()) if version.exists() else None

    def _account(self) -> Account:
        owner = self._cluster.stat().st_uid if self._cluster.exists() else None
        if os.geteuid() != 0:
            if owner not in (None, os.geteuid()):
                raise Permanent("store.foreign_folder", Scope.ACCOUNT, folder=str(self._cluster))
            return Account()
        if owner:
            return Account(owner, self._cluster.stat().st_gid)
        for name in ACCOUNTS:
            with suppress(KeyError):
                found = pwd.getpwnam(name)
                return Account(found.pw_uid, found.pw_gid)
        raise Permanent("store.no_account", Scope.ACCOUNT, accounts=", ".join(ACCOUNTS))

    def _initialize(self, binaries: Binaries, account: Account) -> None:
        """Make the cluster beside its place and move it there when complete, so that a crash leaves no half of one."""
        fresh = self._folder / "postgres.new"
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(mode=0o700)
        if account.uid is not None:
            os.chown(fresh, account.uid, account.gid or -1)
        password = secrets.token_urlsafe(32)
        quick = ["--no-sync"] if self._options.get("fsync") == "off" else []
        encoding = ["--encoding=UTF8", "--no-locale", "--auth=reject", "--username=keeper"]
        self._run(binaries, account, fresh, ["initdb", "-D", HERE, *encoding, *quick])
        (fresh / "pg_hba.conf").write_text(HBA)
        statements = (
            f"CREATE ROLE {NAME} LOGIN CREATEDB PASSWORD '{password}'\n"
            f"CREATE DATABASE {NAME} OWNER {NAME}\n"
            f"REVOKE ALL ON DATABASE {NAME} FROM PUBLIC\n"
        )
        self._run(
            binaries, account, fresh, ["postgres", "--single", "-D", HERE, "-c", "log_min_messages=fatal", "postgres"], statements
        )
        self._write(password=password, port=free_port())
        fresh.rename(self._cluster)

    def _run(self, binaries: Binaries, account: Account, folder: Path, command: list[str], given: str = "") -> None:
        done = subprocess.run(  # noqa: S603 - our own programs
            [str(binaries.folder / command[0]), *command[1:]],
            input=given,
            text=True,
            capture_output=True,
            cwd=folder,
            env=_environment(),
            check=False,
            **account.options,
        )
        # The stand-alone server reports a failed statement but ends with success.
        if done.returncode or "ERROR:" in done.stderr:
            raise _failed(done.stderr or done.stdout)

    def _launch(self, binaries: Binaries, account: Account) -> None:
        """Start the server as our direct child and wait until it answers.

        For a moment after a kill, orphaned backends hold the shared memory and the port; that is waited out.
        """
        begun = time.monotonic()
        while True:
            said = self._spawn(binaries, account)
            if said is None and self._comes_to_answer():
                return
            waited = time.monotonic() - begun
            if said is not None and (waited > ORPHANS_SECONDS or not any(mark in said for mark in PASSING)):
                raise _failed(said)
            if said is not None and waited > ORPHANS_SECONDS / 2 and any(mark in said for mark in PORT_TAKEN):
                self._write(port=free_port())
            time.sleep(0.05)

    def _spawn(self, binaries: Binaries, account: Account) -> str | None:
        """Start the server; None once it runs, else what it said before it ended."""
        options = [f"--{name}={value}" for name, value in self._options.items()]
        path = self._folder / "postgres.log"
        if path.exists() and path.stat().st_size > LOG_BYTES:
            path.replace(path.with_suffix(".log.1"))
        with path.open("ab") as output:
            begun = output.tell()
            self._process = subprocess.Popen(  # noqa: S603 - our own program
                [str(binaries.folder / "postgres"), "-D", HERE, "-p", str(self._written()["port"]), *options],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=self._cluster,
                env=_environment(),
                start_new_session=True,  # Ctrl-C is ours; the server is stopped last
                **account.options,
            )
        deadline = time.monotonic() + START_SECONDS
        while self._process.poll() is None:
            if self._pid_file()[-1:] == ["ready"] and self._pid_file()[0] == str(self._process.pid):
                return None
            if time.monotonic() > deadline:
                raise Transient("store.database_away", Scope.ACCOUNT, detail="the server does not become ready")
            time.sleep(0.01)
        with path.open("rb") as written:
            written.seek(begun)
            return written.read().decode(errors="replace")

    def _comes_to_answer(self) -> bool:
        """Wait until a living server answers, through its recovery if need be; False if it died meanwhile."""
        deadline = time.monotonic() + START_SECONDS
        while self._living():
            if self._answers():
                return True
            if time.monotonic() > deadline:
                raise Transient("store.database_away", Scope.ACCOUNT, detail="the server does not answer")
            time.sleep(0.02)
        return False

    def _answers(self) -> bool:
        """Prove that whoever listens is our server: SCRAM makes both sides show that they know the password."""
        return _in_thread(lambda: asyncio.run(_probe(self.url)))

    def _stop_server(self) -> None:
        """Stop without waiting for sessions (SIGINT), at once where that takes too long (SIGQUIT)."""
        for sign, patience in ((signal.SIGINT, 30.0), (signal.SIGQUIT, 10.0)):
            pid = self._living()
            if pid is None:
                break
            with suppress(ProcessLookupError):
                os.kill(pid, sign)
            deadline = time.monotonic() + patience
            while self._living() and time.monotonic() < deadline:
                time.sleep(0.01)
        if self._process:
            self._process.wait()

    # --- proof of life -----------------------------------------------------------------------------------------------

    def _pid_file(self) -> list[str]:
        """Give the lines the server wrote: pid, folder, start time, port, socket, address, shared memory, state."""
        with suppress(FileNotFoundError, UnicodeDecodeError):
            return [line.strip() for line in (self._cluster / "postmaster.pid").read_text().splitlines()]
        return []

    def _living(self) -> int | None:
        """Give the pid of the server in our folder if it lives: no zombie, and no stranger that got its number."""
        if self._process and self._process.poll() is not None:
            self._process = None
        lines = self._pid_file()
        if not lines or not lines[0].isdecimal():
            return None
        pid = int(lines[0])
        return pid if _is_server(pid, self._cluster) else None

    def _remove_stale_pid_file(self) -> None:
        """Remove the file if its number belongs to someone else now: the server would refuse to start.

        Where nobody has the number the server itself decides, by the shared memory that orphans may still hold.
        """
        lines = self._pid_file()
        if lines and lines[0].isdecimal() and Path("/proc", lines[0]).exists():
            self._end_orphans()
            (self._cluster / "postmaster.pid").unlink(missing_ok=True)

    def _end_orphans(self) -> None:
        deadline = time.monotonic() + ORPHANS_SECONDS
        while orphans := [pid for pid in _pids() if _is_server(pid, self._cluster, proven=True)]:
            if time.monotonic() > deadline:
                for pid in orphans:
                    with suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGQUIT)
            time.sleep(0.05)

    # --- what is written beside the cluster --------------------------------------------------------------------------

    def _written(self) -> dict[str, Any]:
        written: dict[str, Any] = json.loads((self._folder / "database.json").read_text())
        return written

    def _write(self, **values: object) -> None:
        path = self._folder / "database.json"
        known = self._written() if path.exists() else {}
        fresh = path.with_suffix(".new")
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(known | values, file)
        fresh.replace(path)


class _Lock:
    """A file lock that ends with its process, however that ends."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None
        self.held = False  # exclusively

    def _open(self) -> int:
        if self._file is None:
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        return self._file

    def share(self) -> None:
        """Wait until nobody holds it exclusively, then share it."""
        fcntl.flock(self._open(), fcntl.LOCK_SH)

    def try_hold(self) -> bool:
        """Hold it exclusively if nobody else has it; say whether that is so."""
        if not self.held:
            with suppress(BlockingIOError):
                fcntl.flock(self._open(), fcntl.LOCK_EX | fcntl.LOCK_NB)
                self.held = True
        return self.held

    def release(self) -> None:
        """Let go."""
        if self._file is not None:
            os.close(self._file)
        self._file, self.held = None, False


async def _probe(url: str) -> bool:
    try:
        connection = await asyncpg.connect(url, timeout=3)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return False
    await connection.close()
    return True


def _in_thread(work: Callable[[], bool]) -> bool:
    """Run *work* where no event loop runs, since the caller may be inside one."""
    answers: list[bool] = []
    thread = threading.Thread(target=lambda: answers.append(work()))
    thread.start()
    thread.join()
    return bool(answers and answers[0])


def _pids() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal()]


def _is_server(pid: int, cluster: Path, *, proven: bool = False) -> bool:
    """Say whether *pid* is a living process of the server in *cluster*.

    Its working directory proves it. Root without the right to look there (a container) goes by program and owner,
    unless *proven* is asked for.
    """
    try:
        _, _, rest = Path(f"/proc/{pid}/stat").read_text().partition("(")
        program, _, state = rest.rpartition(") ")
        if program != "postgres" or state[0] in "ZX":
            return False
        with suppress(PermissionError):
            return Path(f"/proc/{pid}/cwd").samefile(cluster)
        return not proven and Path(f"/proc/{pid}").stat().st_uid == cluster.stat().st_uid
    except (FileNotFoundError, ProcessLookupError):
        return False


def free_port() -> int:
    """Give a port that nobody listens on, of those the system does not give away by itself."""
    while True:
        port = random.choice(PORTS)  # noqa: S311 - not a secret
        with socket.socket() as trial, suppress(OSError):
            trial.bind(("127.0.0.1", port))
            return port


def _environment() -> dict[str, str]:
    return {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}


def _failed(said: str) -> Permanent:
    """Make the error from the server's last words."""
    found = re.findall(r"(?:FATAL|PANIC|ERROR|error):\s+(.+)", said)
    return Permanent("store.postgres_failed", Scope.ACCOUNT, reason=found[0] if found else said.strip()[-300:])
