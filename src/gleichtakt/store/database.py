"""The way to PostgreSQL: transactions, a pool, wake-ups between processes, ids that sort by age.

One pool serves SQLAlchemy Core, a few bare asyncpg connections serve hot paths. No transaction may stay open across
network I/O; the server ends those that idle. What a caller can wait out (server away, pool exhausted) is raised as
`Transient`; anything else is a bug and stays one.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, Final
from uuid import UUID

import asyncpg
import msgspec
import structlog
from sqlalchemy import event, text
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from gleichtakt.errors import Permanent, Scope, Transient

log = structlog.get_logger(__name__)

OLDEST_SERVER: Final = 15
COALESCE_SECONDS: Final = 0.05
MOST_BARE: Final = 6  # bare connections at work at once; more of them would only wait at the server instead of here
OPENING_SECONDS: Final = 2.0  # what a connection that is being opened gets to end when nobody waits for it any more
SERVER_SETTINGS: Final = {
    "timezone": "UTC",
    "jit": "off",
    "idle_in_transaction_session_timeout": "60s",
    "lock_timeout": "60s",
}
_WAKES: Final = "gleichtakt.wakes"
_AWAY: Final = (
    ConnectionError,
    PoolTimeout,
    asyncpg.CannotConnectNowError,
    asyncpg.TooManyConnectionsError,
    asyncpg.PostgresConnectionError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.InternalClientError,  # the server's farewell came, and the end of the socket did not yet
)
_CONTENDED: Final = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError, asyncpg.LockNotAvailableError)
_REFUSED: Final = (
    asyncpg.InvalidAuthorizationSpecificationError,  # a wrong password too
    asyncpg.InvalidCatalogNameError,
    asyncpg.ClientConfigurationError,
)


def new_id() -> UUID:
    """Make an id that sorts by age: UUID version 7 with the sub-millisecond part in `rand_a` (RFC 9562 §6.2, method 3)."""
    milliseconds, nanoseconds = divmod(time.time_ns(), 1_000_000)
    fraction = nanoseconds * 4096 // 1_000_000
    return UUID(int=milliseconds << 80 | 7 << 76 | fraction << 64 | 2 << 62 | secrets.randbits(62))


def wake_after_commit(connection: AsyncConnection, channel: str) -> None:
    """Let *channel* be notified once the transaction of *connection* (from `Database.begin`) has committed."""
    connection.info.setdefault(_WAKES, set()).add(channel)


class Wakes:
    """Wake-ups of one channel as one process sees them; several in a row count once."""

    def __init__(self) -> None:
        """Begin without a wake-up pending."""
        self._event = asyncio.Event()

    def set(self) -> None:
        """Wake whoever waits."""
        self._event.set()

    async def wait(self, timeout_seconds: float) -> bool:
        """Wait for a wake-up at most that long; say whether there was one, and forget it."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_seconds):
                await self._event.wait()
        woken = self._event.is_set()
        self._event.clear()
        return woken


class Database:
    """One database, as one process uses it. Open with `open`, close with `close` or as a context manager."""

    def __init__(self, url: str, engine: AsyncEngine, settings: dict[str, str]) -> None:
        """Use `open` instead."""
        self.url = url
        self.engine = engine
        self._settings = settings
        self._bare: list[asyncpg.Connection] = []  # those nobody has at the moment; the last used one goes first
        self._turns = asyncio.Semaphore(MOST_BARE)
        self._reading = engine.execution_options(isolation_level="AUTOCOMMIT")
        self._listeners: dict[str, set[Wakes]] = {}
        self._listening: asyncio.Task[None] | None = None
        self._listener_ready = asyncio.Event()
        self._listener_again = asyncio.Event()
        self._pending: set[str] = set()
        self._notifying: asyncio.Task[None] | None = None
        self._notified_at = -COALESCE_SECONDS
        self._away_since: float | None = None

    @classmethod
    async def open(cls, url: str, *, pool: int = 10, application: str = "gleichtakt") -> Database:
        """Connect and look at the server's version.

        url: as libpq takes it, `sslmode` and sockets included. pool: connections kept open; twice as many at a peak.
        Raises Transient while the server is away, Permanent when it is too old.
        """
        settings = SERVER_SETTINGS | {"application_name": application}
        dsn = dsn_of(url)

        async def connect(*_: object, **__: object) -> Any:
            return await _connect(dsn, settings)

        engine = create_async_engine(
            "postgresql+asyncpg://",
            async_creator=connect,
            pool_size=pool,
            max_overflow=pool,
            pool_timeout=30,
            hide_parameters=True,  # else titles and people would stand in tracebacks
            json_serializer=lambda value: msgspec.json.encode(value).decode(),
            json_deserializer=msgspec.json.decode,
        )
        event.listen(engine.sync_engine, "checkout", _refuse_closed)
        database = cls(url, engine, settings)
        try:
            await database._check_server()
        except BaseException:
            await engine.dispose()
            raise
        return database

    async def _check_server(self) -> None:
        async with self.read() as connection:
            number = int((await connection.execute(text("SHOW server_version_num"))).scalar_one())
        if number // 10_000 < OLDEST_SERVER:
            raise Permanent("store.postgres_too_old", Scope.ACCOUNT, found=str(number // 10_000), oldest=str(OLDEST_SERVER))

    async def __aenter__(self) -> Database:
        """Give itself."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close."""
        await self.close()

    async def close(self) -> None:
        """Send the last wake-ups and close every connection."""
        if self._notifying:
            with suppress(Transient):
                await self._notifying
        if self._listening:
            self._listening.cancel()
            with suppress(asyncio.CancelledError):
                await self._listening
            self._listening = None
        while self._bare:
            await self._bare.pop().close()
        await self.engine.dispose()

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[AsyncConnection]:
        """Open a transaction (READ COMMITTED): committed at the end, rolled back on any exception."""
        with self._watching():
            async with self.engine.begin() as connection:
                connection.info.pop(_WAKES, None)
                yield connection
                channels = connection.info.pop(_WAKES, ())
        for channel in channels:
            self.notify(channel)

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """Give a connection on which each statement stands alone (autocommit); for queries."""
        with self._watching():
            async with self._reading.connect() as connection:
                yield connection

    @asynccontextmanager
    async def raw(self) -> AsyncIterator[asyncpg.Connection]:
        """Lend a bare asyncpg connection for short statements, in autocommit; json columns come as text there.

        One that was lent to a block that raised is not lent again: what it was doing is not known.
        """
        with self._watching():
            async with self._turns:
                lent = await self._take_bare()
                try:
                    yield lent
                except BaseException:
                    lent.terminate()
                    raise
                self._bare.append(lent)

    async def _take_bare(self) -> asyncpg.Connection:
        while self._bare:
            lent = self._bare.pop()
            if not lent.is_closed():
                return lent
        return await _connect(dsn_of(self.url), self._settings)

    @contextmanager
    def _watching(self) -> Iterator[None]:
        """Turn what can be waited out into `Transient`, and say once that the server went away, and once that it is back."""
        try:
            yield
        except Exception as error:
            if is_away(error):
                self._went_away(type(error).__name__)
                raise Transient("store.database_away", Scope.ACCOUNT, detail=type(error).__name__) from error
            if isinstance(error, DBAPIError) and isinstance(error.orig and error.orig.__cause__, _CONTENDED):
                raise Transient("store.contended", Scope.SERIES, detail=type(error.orig).__name__) from error
            raise
        if self._away_since is not None:
            self._came_back(self._away_since)

    def _went_away(self, reason: str) -> None:
        if self._away_since is None:
            self._away_since = time.monotonic()
            log.warning("database_away", reason=reason, then="work goes on by itself once it answers")

    def _came_back(self, since: float) -> None:
        self._away_since = None
        log.warning("database_back", after_seconds=round(time.monotonic() - since, 1))

    def notify(self, channel: str) -> None:
        """Wake the listeners of *channel* in every process soon; calls within 50 ms go out as one."""
        self._pending.add(channel)
        if self._notifying is None or self._notifying.done():
            self._notifying = asyncio.get_running_loop().create_task(self._send_notifications())

    async def _send_notifications(self) -> None:
        while self._pending:
            await asyncio.sleep(max(0.0, self._notified_at + COALESCE_SECONDS - time.monotonic()))
            channels, self._pending = sorted(self._pending), set()
            self._notified_at = time.monotonic()
            try:
                async with self.raw() as connection:
                    await connection.execute("SELECT pg_notify(channel, '') FROM unnest($1::text[]) channel", channels)
            except Transient as away:  # pollers find the work without us
                log.debug("notify_failed", code=away.code)

    @asynccontextmanager
    async def listen(self, channel: str) -> AsyncIterator[Wakes]:
        """Give the wake-ups of *channel* while the block runs. A lost connection counts as a wake-up once restored."""
        wakes = Wakes()
        self._listeners.setdefault(channel, set()).add(wakes)
        self._listener_ready.clear()
        if self._listening is None:
            self._listening = asyncio.get_running_loop().create_task(self._keep_listening())
        self._listener_again.set()
        try:
            await self._listener_ready.wait()
            yield wakes
        finally:
            self._listeners[channel].discard(wakes)

    async def _keep_listening(self) -> None:
        pause = 0.1
        while True:
            try:
                connection = await _connect(dsn_of(self.url), SERVER_SETTINGS)
                pause = 0.1
                try:
                    await self._listen_on(connection)
                finally:
                    connection.terminate()
            except Exception as lost:
                if isinstance(lost, Permanent):
                    log.warning("listener_refused", code=lost.code)
                elif is_away(lost):
                    self._went_away(type(lost).__name__)
                else:
                    log.exception("listener_failed")
            self._listener_ready.set()  # callers poll until the listener is back
            await asyncio.sleep(pause)
            pause = min(pause * 2, 5.0)

    async def _listen_on(self, connection: asyncpg.Connection) -> None:
        heard: set[str] = set()
        connection.add_termination_listener(lambda _: self._listener_again.set())
        while not connection.is_closed():
            self._listener_again.clear()
            for channel in sorted(set(self._listeners) - heard):
                await connection.add_listener(channel, self._hear)
                heard.add(channel)
                self._hear(None, 0, channel, "")  # what was sent before we listened
            self._listener_ready.set()
            await self._listener_again.wait()

    def _hear(self, _connection: object, _pid: int, channel: str, _payload: object) -> None:
        for wakes in self._listeners.get(channel, ()):
            wakes.set()


def dsn_of(url: str) -> str:
    """Give *url* as asyncpg takes it: without a driver's name in the scheme."""
    scheme, separator, rest = url.partition("://")
    return f"{scheme.partition('+')[0]}{separator}{rest}"


async def _connect(dsn: str, settings: dict[str, str]) -> Any:
    opening = asyncio.create_task(asyncpg.connect(dsn, server_settings=settings, statement_cache_size=256))
    try:
        return await asyncio.shield(opening)
    except asyncio.CancelledError:
        await _let_go(opening)
        raise
    except OSError as away:  # an unknown host, a refused or a timed out connection
        raise ConnectionError(str(away)) from away
    except _REFUSED as refused:
        raise Permanent("store.database_refused", Scope.ACCOUNT, reason=str(refused)) from None


async def _let_go(opening: asyncio.Task[Any]) -> None:
    """End a connection nobody waits for. Cancelled half-way, asyncpg leaves an error behind that is reported at the end."""
    await asyncio.wait([opening], timeout=OPENING_SECONDS)
    if opening.done() and not opening.cancelled() and opening.exception() is None:
        opening.result().terminate()
    else:
        opening.cancel()


def _refuse_closed(driver: Any, _record: object, _proxy: object) -> None:
    """Replace pooled connections whose socket has ended, e.g. since the server restarted; costs no round trip."""
    if driver.driver_connection.is_closed():
        raise DisconnectionError("the server closed this connection")


def is_away(error: BaseException) -> bool:
    """Say whether *error* means that the database cannot be reached at the moment."""
    if isinstance(error, DBAPIError):
        return error.connection_invalidated or isinstance(error.orig and error.orig.__cause__, _AWAY)
    if isinstance(error, asyncpg.InterfaceError):
        return "closed" in str(error)
    return isinstance(error, _AWAY)
