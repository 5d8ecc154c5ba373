"""`serve`, `web` and `work`: processes that run until they are told to stop."""

from __future__ import annotations

import asyncio
import errno
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from typing import Any

import structlog
import uvicorn

from gleichtakt import __version__
from gleichtakt.commands.opening import COMMAND, WEB, WORKER, Here, attended, keep_beating, opened
from gleichtakt.commands.telling import DONE, either, language_here, paint, progress, say, say_json
from gleichtakt.errors import Permanent, Scope
from gleichtakt.onboarding.first_start import ADMIN, Made, credentials_file, first_start
from gleichtakt.settings import Settings
from gleichtakt.worker.jobs import Shop, serve_jobs
from gleichtakt.worker.loop import work

log = structlog.get_logger(__name__)

STOPPING_SECONDS = 20  # how long requests under way may take when the process ends


class Web(uvicorn.Server):
    """The web server inside our own event loop: we handle signals, and learn when it answers."""

    def __init__(self, config: uvicorn.Config, ready: asyncio.Event) -> None:
        """ready: set when it answers."""
        super().__init__(config)
        self.ready = ready

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the process."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and say so."""
        await super().startup(sockets)
        self.ready.set()


@dataclass(frozen=True, slots=True)
class Served:
    """A running server. url: empty without web. made: what its first start made."""

    here: Here
    url: str
    made: Made


async def serve(settings: Settings, *, web: bool, worker: bool, as_json: bool) -> int:
    """Run the web server, a worker, or both, until SIGINT or SIGTERM."""
    stop = stop_on_signals()
    async with running(settings, stop, web=web, worker=worker) as served:
        announce(served, as_json=as_json)
        if not as_json and sys.stdout.isatty():
            say(paint(either("Strg-C beendet.", "Ctrl-C ends it."), "faint"))
        await stop.wait()
    return DONE


@asynccontextmanager
async def running(settings: Settings, stop: asyncio.Event, *, web: bool = True, worker: bool = True) -> AsyncIterator[Served]:
    """Run web server and worker around a block, which begins when both are ready and ends with *stop* set."""
    listening = listen(settings) if web else None
    if listening is not None:
        host, port = listening.getsockname()[:2]
        settings = replace(settings, listen=f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
    log.info("service_starting", version=__version__, web=settings.listen if web else "", worker=worker)
    application = WORKER if worker else WEB if web else COMMAND
    if not settings.database_url and not (settings.data_path / "postgres").exists():
        progress(
            either(f"Die Datenbank wird in {settings.data_path} eingerichtet …", f"Making the database in {settings.data_path} …")
        )
    async with opened(settings, application=application, pool=10, upgrade=True) as here:
        made = await first_start(here.database, settings, language=language_here())
        async with asyncio.TaskGroup() as group:
            beating = group.create_task(keep_beating(here, await attended(here)))
            tasks = [group.create_task(_work(here, stop))] if worker else []
            if listening is not None:
                ready = asyncio.Event()
                tasks.append(group.create_task(_answer(here, listening, stop, ready)))
                await ready.wait()
            log.info("service_ready", version=__version__)
            try:
                yield Served(here, url_of(settings) if web else "", made)
            finally:
                log.info("service_stopping")
                stop.set()
                await asyncio.gather(*tasks)
                beating.cancel()


def stop_on_signals() -> asyncio.Event:
    """Give an event that SIGINT and SIGTERM set."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


def listen(settings: Settings) -> socket.socket:
    """Take the address before anything else is started; port 0 is any free one."""
    host, port = settings.address
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listening = socket.create_server((host, port), family=family, backlog=2048)
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # asyncio leaves sockets it was given alone
        return listening
    except OSError as refused:
        code = "command.address_taken" if refused.errno == errno.EADDRINUSE else "command.address_refused"
        raise Permanent(code, Scope.ACCOUNT, address=settings.listen, reason=str(refused.strerror)) from None


def url_of(settings: Settings) -> str:
    """Give the address under which the server is reached: the public one, else that of this machine."""
    if settings.public_url:
        return settings.public_url.rstrip("/")
    host, port = settings.address
    named = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  # where any address is listened on
    return f"http://[{named}]:{port}" if ":" in named else f"http://{named}:{port}"


async def _work(here: Here, stop: asyncio.Event) -> None:
    """Make passes, and do the background jobs beside them, until *stop*."""
    async with asyncio.TaskGroup() as group:
        jobs = group.create_task(serve_jobs(Shop(here.database, here.settings, here.box)))
        await work(here.database, here.settings, here.box, stop=stop)
        jobs.cancel()
    if not stop.is_set():
        raise RuntimeError("the worker ended by itself")


async def _answer(here: Here, listening: socket.socket, stop: asyncio.Event, ready: asyncio.Event) -> None:
    from gleichtakt.web.app import create_app

    config = uvicorn.Config(
        create_app(here.database, here.settings, here.box),
        log_config=None,
        access_log=False,
        lifespan="on",
        server_header=False,
        proxy_headers=bool(here.settings.public_url),
        timeout_graceful_shutdown=STOPPING_SECONDS,
    )
    server = Web(config, ready)
    stopping = asyncio.create_task(stop.wait())
    serving = asyncio.create_task(server.serve([listening]))
    await asyncio.wait([serving, stopping], return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    server.should_exit = True
    await serving
    if not stop.is_set():
        raise RuntimeError("the web server ended by itself")


def announce(served: Served, *, as_json: bool, more: Mapping[str, Any] | None = None) -> None:
    """Say once that the process is ready, and what was made at the first start. more: for the JSON line."""
    made, url = served.made, served.url
    if as_json:
        told: dict[str, Any] = {"url": url} if url else {"ready": True}
        if made.api_key:
            told["api_key"] = made.api_key
        if made.password:
            told["admin"] = {"username": ADMIN, "password": made.password}
        say_json({**told, **(more or {})})
        return
    say(f"Gleichtakt {__version__} {either('läuft', 'is running')}{f': {url}' if url else ''}")
    if made.password:
        say(f"  {either('Anmeldung', 'sign in')}: {ADMIN} / {made.password}")
    if made.api_key:
        say(f"  {either('API-Schlüssel', 'API key')}: {made.api_key}")
    if made.file:
        kept = either("Beides steht nur für den Besitzer lesbar in", "both are kept, readable for the owner only, in")
        say(f"  {kept} {made.file}")
    elif url and (file := credentials_file(served.here.settings)).exists():
        say(f"  {either('Anmeldung und API-Schlüssel vom ersten Start', 'sign-in and API key of the first start')}: {file}")
