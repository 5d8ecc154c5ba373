"""Sends calls, waits for answers, turns refusals into troubles. One connection, many calls under way on it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Self, cast
from urllib.parse import urlsplit

import msgspec

from gleichtakt.errors import Ambiguous, AuthRequired, Scope, Transient, Trouble
from gleichtakt.model.document import series_document
from gleichtakt.model.event import Event, Series
from gleichtakt.model.point import Timespan, Zoned
from gleichtakt.providers.clock import TheirClock
from gleichtakt.providers.memory import wire
from gleichtakt.providers.memory.oddities import WRITES, trouble_of, with_suffix
from gleichtakt.providers.memory.watching import watch
from gleichtakt.providers.protocol import (
    Abilities,
    Calendar,
    CalendarRef,
    Check,
    Cursor,
    Etag,
    Hint,
    Href,
    IdempotencyKey,
    Known,
    Letterbox,
    Login,
    Mail,
    Mark,
    Page,
    Secret,
    Seen,
    Stored,
    Unreadable,
    Wanted,
)

CONNECT_SECONDS = 10.0
ANSWER_SECONDS = 60.0
MAX_LINE = 256_000_000
FETCH_AT_ONCE = 100
MOST_UNASKED = 10_000


class Channel(asyncio.Protocol):
    """One connection. `call` may be awaited many times at once; answers find their callers by number."""

    def __init__(self) -> None:
        """Begin unconnected."""
        self.transport: asyncio.Transport | None = None
        self.waiting: dict[int, asyncio.Future[wire.Answer]] = {}
        self.pieces: list[bytes] = []
        self.number = 0
        self.unasked: asyncio.Queue[wire.Answer | None] = asyncio.Queue(MOST_UNASKED)  # None: the connection has ended
        self.is_garbled = False  # something came that is no answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note the way out."""
        self.transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell every caller that its answer will not come."""
        self.transport = None
        self._say(None)
        waiting, self.waiting = self.waiting, {}
        for future in waiting.values():
            if not future.done():
                future.set_exception(ConnectionResetError())

    def data_received(self, data: bytes) -> None:
        """Hand complete lines to their callers; a line may come in many pieces."""
        end = data.rfind(b"\n")
        if end < 0:
            self.pieces.append(data)
            return
        lines = b"".join((*self.pieces, data[:end])).split(b"\n")
        self.pieces = [data[end + 1 :]] if end + 1 < len(data) else []
        for line in lines:
            try:
                answer = wire.read_answer(line)
            except msgspec.DecodeError:
                self.is_garbled = True
                self.abort()
                return
            if answer.number == wire.UNASKED:
                self._say(answer)
                continue
            future = self.waiting.pop(answer.number, None)
            if future is not None and not future.done():
                future.set_result(answer)

    def _say(self, said: wire.Answer | None) -> None:
        """Keep what was said unasked; where nobody listens the oldest is forgotten."""
        if self.unasked.full():
            self.unasked.get_nowait()
        self.unasked.put_nowait(said)

    async def call(self, verb: str, mailbox: str, calendar: str, args: Mapping[str, Any]) -> wire.Answer:
        """Send one call and wait for its answer. Raises ConnectionError or TimeoutError."""
        if self.transport is None:
            raise ConnectionResetError
        loop = asyncio.get_running_loop()
        self.number += 1
        number = self.number
        future: asyncio.Future[wire.Answer] = loop.create_future()
        self.waiting[number] = future
        self.transport.write(wire.call_line(number, verb, mailbox, calendar, args))
        timer = loop.call_later(ANSWER_SECONDS, _give_up, future)
        try:
            return await future
        finally:
            timer.cancel()
            self.waiting.pop(number, None)

    def abort(self) -> None:
        """Cut the connection at once."""
        if self.transport is not None:
            self.transport.abort()


def _give_up(future: asyncio.Future[wire.Answer]) -> None:
    if not future.done():
        future.set_exception(TimeoutError())


class Client:
    """The calls of the protocol. What kind of calendar answers is data of the classes beside it."""

    name: ClassVar[str] = "memory"
    abilities: ClassVar[Abilities]
    variant: ClassVar[str] = "exact"

    def __init__(self, login: Login) -> None:
        """Keep the login; connect when first needed."""
        address = urlsplit(login.url)
        self.host, self.port = address.hostname or "", address.port or 0
        self.address = f"{self.host}:{self.port}"
        self.login, self.clock = login, TheirClock()
        self._channel: Channel | None = None
        self._opening = asyncio.Lock()
        self._refused: AuthRequired | None = None

    @classmethod
    def connect(cls, login: Login) -> Self:
        """Make a client; nothing is sent yet."""
        return cls(login)

    async def close(self) -> None:
        """Let go of the connection."""
        channel, self._channel = self._channel, None
        if channel is not None:
            channel.abort()

    async def calendars(self, mailbox: str) -> tuple[Calendar, ...]:
        """Give the calendars of a mailbox."""
        return wire.calendars_of(mailbox, wire.read_directory(await self._call("calendars", CalendarRef(mailbox), {})))

    async def changes(self, of: CalendarRef, since: Cursor | None, *, known: Known, window: Timespan) -> AsyncIterator[Page]:
        """Yield pages until the end mark; stop without one where they stop without one."""
        cursor = since
        while True:
            changes = self._read(wire.read_changes, await self._call("changes", of, {"cursor": cursor}))
            self.clock.hear(wire.instant_of(changes.now))
            page = wire.page_of(changes, known, self.clock)
            yield page
            if page.final or page.next is None:
                return
            cursor = page.next

    async def fetch(self, of: CalendarRef, hrefs: Sequence[Href]) -> tuple[Seen | Unreadable, ...]:
        """Read objects by name; an answer that passes over some of them is completed, or is no answer."""
        found: list[Seen | Unreadable] = []
        for start in range(0, len(hrefs), FETCH_AT_ONCE):
            wanted = list(dict.fromkeys(hrefs[start : start + FETCH_AT_ONCE]))
            while wanted:
                fetched = self._read(wire.read_fetched, await self._call("fetch", of, {"hrefs": wanted}))
                self.clock.hear(wire.instant_of(fetched.now))
                found += [wire.seen(frame, self.clock) for frame in fetched.upserts]
                told = {frame.href for frame in fetched.upserts} | set(fetched.missing)
                if not told & set(wanted):
                    raise Transient("general.malformed", Scope.CALENDAR, host=self.address, reason="incomplete answer")
                wanted = [href for href in wanted if href not in told]
        return tuple({one.href: one for one in found}.values())

    async def create(self, into: CalendarRef, series: Series, *, key: IdempotencyKey, mark: Mark, mail: Mail) -> Stored:
        """Create, or give what this key made before."""
        args = {"document": series_document(series), "key": key, "marker": mark.text, "mail": mail.value}
        answer = await self._exchange("create", into, args)
        if answer.word == "uid_taken":
            args["document"] = series_document(with_suffix(series, key))
            answer = await self._exchange("create", into, args)
        return wire.stored(self._read(wire.read_frame, self._accepted("create", answer)))

    async def find(self, of: CalendarRef, key: IdempotencyKey, uid: str) -> Seen | None:
        """Look up what a create with this key made."""
        frame = self._read(wire.read_found, await self._call("find", of, {"key": key}))
        found = wire.seen(frame, self.clock) if frame is not None else None
        if isinstance(found, Unreadable):
            raise found.trouble
        return found

    async def update(
        self,
        of: CalendarRef,
        href: Href,
        *,
        expect: Etag,
        base: Series,
        new: Series,
        fields: frozenset[str],
        key: IdempotencyKey,
        mark: Mark,
        mail: Mail,
    ) -> Stored:
        """Send what differs in *fields*, at a version."""
        patch = wire.patch_of(base, new, fields)
        args = {"href": href, "expect": expect, "patch": patch, "key": key, "marker": mark.text, "mail": mail.value}
        return wire.stored(self._read(wire.read_frame, await self._call("update", of, args)))

    async def prepare(self, of: CalendarRef, hrefs: Sequence[Href]) -> None:
        """Do nothing: no update needs more than it is given."""

    async def delete(self, of: CalendarRef, href: Href, *, expect: Etag, key: IdempotencyKey, mail: Mail) -> None:
        """Delete at a version."""
        await self._call("delete", of, {"href": href, "expect": expect, "key": key, "mail": mail.value})

    def watch(self, wanted: Wanted, letterbox: Letterbox | None) -> AsyncIterator[Hint]:
        """Tell what changes: over the connection, or by letter where the option `notify` says push and we can be reached."""
        return watch(self, wanted, letterbox)

    async def examine(self, of: CalendarRef | None) -> AsyncIterator[Check]:
        """Reach it, sign in, list calendars, write and remove a marked item."""
        for name, step in (
            ("login", self._examine_login),
            ("calendars", self._examine_calendars),
            ("test_item", self._examine_item),
        ):
            started = time.monotonic()
            try:
                facts = await step(of)
            except Trouble as trouble:
                yield Check(name, "fail", trouble.code, trouble.params)
                return
            if facts is None:
                yield Check(name, "skip")
                continue
            yield Check(name, "pass", facts={**facts, "milliseconds": f"{(time.monotonic() - started) * 1000:.0f}"})

    async def _examine_login(self, of: CalendarRef | None) -> dict[str, str] | None:
        await self._call("calendars", of or CalendarRef(""), {})
        return {"address": self.address}

    async def _examine_calendars(self, of: CalendarRef | None) -> dict[str, str] | None:
        if of is None:
            return None
        found = await self.calendars(of.mailbox)
        return {"calendars": str(len(found))}

    async def _examine_item(self, of: CalendarRef | None) -> dict[str, str] | None:
        if of is None:
            return None
        start = datetime.now(UTC).replace(tzinfo=None, microsecond=0) + timedelta(days=3650)
        key = IdempotencyKey(f"{time.time_ns():032x}")
        probe = Series(f"gleichtakt-check-{key}", Event(Zoned(start, "UTC"), Zoned(start, "UTC"), title="Gleichtakt"))
        made = await self.create(of, probe, key=key, mark=Mark("check"), mail=Mail.NONE)
        await self.delete(of, made.href, expect=made.etag, key=key, mail=Mail.NONE)
        return {"written": "1", "removed": "1"}

    async def ask(self, verb: str, of: CalendarRef, args: Mapping[str, Any], read: Callable[[bytes], Any]) -> Any:
        """Make a call and read its result."""
        return self._read(read, await self._call(verb, of, args))

    async def channel(self) -> Channel:
        """Give the connection, opened where there is none."""
        return self._channel if self._channel is not None and self._channel.transport is not None else await self._open()

    async def _call(self, verb: str, of: CalendarRef, args: Mapping[str, Any]) -> bytes:
        return self._accepted(verb, await self._exchange(verb, of, args))

    async def _exchange(self, verb: str, of: CalendarRef, args: Mapping[str, Any]) -> wire.Answer:
        """Send and wait. What breaks before a write is sent has surely not happened; after that it may have."""
        channel = self._channel
        if channel is None or channel.transport is None:
            channel = await self._open()
        try:
            return await channel.call(verb, of.mailbox, of.calendar, args)
        except TimeoutError:
            channel.abort()
            kind = Ambiguous if verb in WRITES else Transient
            raise kind("general.timeout", Scope.ACCOUNT, host=self.address) from None
        except ConnectionError:
            if verb in WRITES:
                raise Ambiguous("general.answer_lost", Scope.SERIES, host=self.address) from None
            if channel.is_garbled:
                raise Transient("general.malformed", Scope.CALENDAR, host=self.address, reason="no JSON") from None
            raise Transient("general.unreachable", Scope.ACCOUNT, host=self.address, url=f"telnet://{self.address}") from None

    async def _open(self) -> Channel:
        """Sign in; those who waited for a login that was refused do not try it again."""
        known = self._refused
        async with self._opening:
            if self._channel is not None and self._channel.transport is not None:
                return self._channel
            if self._refused is not None and self._refused is not known:
                raise type(self._refused)(self._refused.code, self._refused.scope, **self._refused.params)
            loop = asyncio.get_running_loop()
            secret = self.login.auth.get("password", "")
            password = secret.reveal() if isinstance(secret, Secret) else secret
            greeting = {"username": str(self.login.auth.get("username", "")), "password": password, "variant": self.variant}
            try:
                async with asyncio.timeout(CONNECT_SECONDS):
                    _, channel = await loop.create_connection(Channel, self.host, self.port)
                    answer = await channel.call("hello", "", "", greeting)
            except TimeoutError:
                raise Transient("general.timeout", Scope.ACCOUNT, host=self.address) from None
            except (OSError, OverflowError):
                raise Transient("general.unreachable", Scope.ACCOUNT, host=self.address, url=f"telnet://{self.address}") from None
            try:
                self._accepted("hello", answer)
            except AuthRequired as refused:
                self._refused = refused
                raise
            self._channel = channel
            return channel

    def _accepted(self, verb: str, answer: wire.Answer) -> bytes:
        if answer.word == "ok":
            return bytes(answer.result)
        params = self._read(wire.read_parameters, bytes(answer.result))
        raise trouble_of(answer.word, params, verb=verb, host=self.address, now=datetime.now(UTC))

    def _read(self, read: Any, line: bytes) -> Any:
        try:
            return read(line)
        except msgspec.DecodeError as broken:
            raise Transient("general.malformed", Scope.CALENDAR, host=self.address, reason=str(broken)) from None
