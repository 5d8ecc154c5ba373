"""The simulator on the network: one JSON array a line, many calls under way on one connection.

A call is ``[number, verb, mailbox, calendar, arguments]``, an answer ``[number, "ok", result]`` or
``[number, word, parameters]``. The first call of a connection is ``hello`` with username, password and variant.
Unasked come ``[0, word, {"subscription": id}]`` about what a connection subscribed to, and ``[0, "beat", {}]`` as a sign of
life while it has. A subscription with an address is told there: a POST without a body, all in its headers.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from typing import Any, cast

import aiohttp
import msgspec

from gleichtakt.simulators.control import serving
from gleichtakt.simulators.memory.control import control_of
from gleichtakt.simulators.memory.state import Failure, Lost, Simulator
from gleichtakt.simulators.memory.subscriptions import BREAK, Subscription

MAX_LINE = 64_000_000
CALL_SECONDS = 10.0  # for an address to answer
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
        self.beat: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note the way back."""
        self.transport = cast("asyncio.Transport", transport)
        self.sessions.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the client."""
        self.transport = None
        if self.beat is not None:
            self.beat.cancel()
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
        worked_on = None if verb in TELLING else mailbox
        try:
            if verb == "hello":
                self._sign_in(args)
                result: Any = None
            elif not self.is_signed_in:
                raise Failure("login")
            else:
                if worked_on is not None:
                    self.simulator.enter(self.number, verb, worked_on)
                result, seconds = self.simulator.answer(verb, mailbox, calendar, args, self.variant, self.number)
                if verb == "subscribe" and self.beat is None and "url" not in args:
                    self._begin_beating()
            reply: list[Any] = [number, "ok", result]
        except Failure as failed:
            reply = [number, failed.word, failed.params]
        except Lost:
            self._break()
            return
        if seconds:
            asyncio.get_running_loop().call_later(seconds, self._send, reply, worked_on)
        else:
            self._send(reply, worked_on)

    def _sign_in(self, args: dict[str, Any]) -> None:
        self.is_signed_in = False
        self.simulator.sign_in(str(args.get("username", "")), str(args.get("password", "")))
        self.is_signed_in, self.variant = True, str(args.get("variant", ""))

    def _send(self, reply: list[Any], mailbox: str | None) -> None:
        if mailbox is not None:
            self.simulator.leave(self.number, mailbox)
        if self.transport is not None:
            self.transport.write(_encode(reply) + b"\n")

    def tell(self, word: str, subscription: str) -> None:
        """Say something unasked."""
        if word == BREAK:
            self._break()
        elif self.transport is not None:
            self.transport.write(_encode([0, word, {"subscription": subscription}]) + b"\n")

    def _keep_beating(self) -> None:
        if self.transport is not None:
            self.transport.write(b'[0,"beat",{}]\n')
            self._begin_beating()

    def _begin_beating(self) -> None:
        self.beat = asyncio.get_running_loop().call_later(self.simulator.subscriptions.beat_seconds, self._keep_beating)

    def _break(self) -> None:
        if self.transport is not None:
            self.transport.abort()


TELLING = frozenset({"subscribe", "renew", "unsubscribe"})  # no work on a mailbox
VERBS = frozenset({"hello", "calendars", "changes", "fetch", "find", "create", "update", "delete"}) | TELLING


class Teller:
    """Brings words to subscribers: over their connection, or to the address they gave."""

    def __init__(self, sessions: set[Session]) -> None:
        """sessions: those that are open."""
        self.sessions = sessions
        self.calls: aiohttp.ClientSession | None = None
        self.under_way: set[asyncio.Task[None]] = set()
        self.answers: Counter[int] = Counter()  # of addresses, by status; 0: nobody answered

    def tell(self, subscription: Subscription, word: str, seconds: float) -> None:
        """Tell one subscriber a word, so many seconds later."""
        if seconds:
            asyncio.get_running_loop().call_later(seconds, self.tell, subscription, word, 0.0)
        elif subscription.url:
            task = asyncio.get_running_loop().create_task(self._call(subscription, word))
            self.under_way.add(task)
            task.add_done_callback(self.under_way.discard)
        else:
            for session in self.sessions:
                if session.number == subscription.client:
                    session.tell(word, subscription.id)
                    break

    async def _call(self, subscription: Subscription, word: str) -> None:
        self.calls = self.calls or aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=CALL_SECONDS))
        headers = {"X-Memory-Subscription": subscription.id, "X-Memory-State": word}
        try:
            async with self.calls.post(subscription.url, headers=headers) as answer:
                self.answers[answer.status] += 1
        except (aiohttp.ClientError, TimeoutError):
            self.answers[0] += 1

    async def close(self) -> None:
        """Stop calling."""
        for task in tuple(self.under_way):
            task.cancel()
        if self.calls is not None:
            await self.calls.close()


@dataclass(frozen=True, slots=True)
class Running:
    """A simulator that answers. url: for connections; control: address of its control interface."""

    simulator: Simulator
    url: str
    control: str
    sessions: set[Session]
    teller: Teller

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
    teller = Teller(sessions)
    held.subscriptions.tell = teller.tell
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Session(held, sessions), host, port)
    url = f"memory://{host}:{server.sockets[0].getsockname()[1]}"
    try:
        if control:
            async with serving(control_of(held).routes(), host=host, port=control_port) as address:
                yield Running(held, url, f"{address}/_sim/", sessions, teller)
        else:
            yield Running(held, url, "", sessions, teller)
    finally:
        await teller.close()
        server.close()
        for session in tuple(sessions):
            if session.transport is not None:
                session.transport.abort()
        await server.wait_closed()
