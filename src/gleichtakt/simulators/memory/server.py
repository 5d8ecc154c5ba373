"""The simulator on the network: one JSON array a line, many calls under way on one connection.

A call is ``[number, verb, mailbox, calendar, arguments]``, an answer ``[number, "ok", result]`` or
``[number, word, parameters]``. The first call of a connection is ``hello`` with username, password and variant.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any, cast

import msgspec

from gleichtakt.simulators.control import serving
from gleichtakt.simulators.memory.control import control_of
from gleichtakt.simulators.memory.state import Failure, Lost, Simulator

MAX_LINE = 64_000_000
_numbers = count(1)
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


class Session(asyncio.Protocol):
    """One connection of one client."""

    def __init__(self, simulator: Simulator, sessions: set[Session]) -> None:
        """Begin before sign-in."""
        self.simulator, self.sessions = simulator, sessions
        self.transport: asyncio.Transport | None = None
        self.buffer = bytearray()
        self.is_signed_in = False
        self.variant = ""
        self.number = next(_numbers)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note the way back."""
        self.transport = cast("asyncio.Transport", transport)
        self.sessions.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the client."""
        self.transport = None
        self.sessions.discard(self)
        self.simulator.vanish(self.number)

    def data_received(self, data: bytes) -> None:
        """Answer every complete line."""
        self.buffer += data
        end = self.buffer.rfind(b"\n")
        if end < 0:
            if len(self.buffer) > MAX_LINE:
                self._break()
            return
        lines, self.buffer = bytes(self.buffer[:end]).split(b"\n"), self.buffer[end + 1 :]
        for line in lines:
            self._answer(line)

    def _answer(self, line: bytes) -> None:
        try:
            number, verb, mailbox, calendar, args = _decode(line)
            if not (isinstance(number, int) and verb in VERBS and isinstance(args, dict)):
                raise ValueError(verb)
        except (ValueError, TypeError):  # msgspec's DecodeError is a ValueError
            self._break()
            return
        seconds = 0.0
        try:
            if verb == "hello":
                self._sign_in(args)
                result: Any = None
            elif not self.is_signed_in:
                raise Failure("login")
            else:
                self.simulator.enter(self.number, verb, mailbox)
                result, seconds = self.simulator.answer(verb, mailbox, calendar, args, self.variant, self.number)
            reply: list[Any] = [number, "ok", result]
        except Failure as failed:
            reply = [number, failed.word, failed.params]
        except Lost:
            self._break()
            return
        if seconds:
            asyncio.get_running_loop().call_later(seconds, self._send, reply, mailbox)
        else:
            self._send(reply, mailbox)

    def _sign_in(self, args: dict[str, Any]) -> None:
        self.is_signed_in = False
        self.simulator.sign_in(str(args.get("username", "")), str(args.get("password", "")))
        self.is_signed_in, self.variant = True, str(args.get("variant", ""))

    def _send(self, reply: list[Any], mailbox: str) -> None:
        self.simulator.leave(self.number, mailbox)
        if self.transport is not None:
            self.transport.write(_encode(reply) + b"\n")

    def _break(self) -> None:
        if self.transport is not None:
            self.transport.abort()


VERBS = frozenset({"hello", "calendars", "changes", "fetch", "find", "create", "update", "delete"})


@dataclass(frozen=True, slots=True)
class Running:
    """A simulator that answers. url: for connections; control: address of its control interface."""

    simulator: Simulator
    url: str
    control: str
    sessions: set[Session]

    def break_connections(self) -> None:
        """Cut every client off, as a restart of that system does."""
        for session in tuple(self.sessions):
            if session.transport is not None:
                session.transport.abort()


@asynccontextmanager
async def start(
    simulator: Simulator | None = None, *, host: str = "127.0.0.1", port: int = 0, control_port: int = 0, control: bool = True
) -> AsyncIterator[Running]:
    """Run a simulator in this event loop until the block ends. Port 0: any free one."""
    held = simulator or Simulator()
    sessions: set[Session] = set()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Session(held, sessions), host, port)
    url = f"memory://{host}:{server.sockets[0].getsockname()[1]}"
    try:
        if control:
            async with serving(control_of(held).routes(), host=host, port=control_port) as address:
                yield Running(held, url, f"{address}/_sim/", sessions)
        else:
            yield Running(held, url, "", sessions)
    finally:
        server.close()
        for session in tuple(sessions):
            if session.transport is not None:
                session.transport.abort()
        await server.wait_closed()
