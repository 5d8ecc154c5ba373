"""Brings a feed's file, once for all who read it: one conditional request per interval and address, whoever asks.

What one reader learnt (the file, «unchanged», «come back later») holds for the others in this process. Files are kept
within a number of bytes; what falls out is asked for again when somebody needs it.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote, urlsplit

import aiohttp

from gleichtakt.errors import Permanent, Scope, Throttled, Transient
from gleichtakt.providers.feed import oddities
from gleichtakt.providers.protocol import Login
from gleichtakt.providers.transport import Answer, Transport, authorization, trouble_of

HEAD_BYTES = 16_384
SHELF_BYTES = 64 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """What one feed may ask of us, and how often we ask. Options of the connection, in their own units."""

    most_bytes: int = 50 << 20
    least_seconds: float = 300.0
    most_seconds: float = 3600.0

    @classmethod
    def of(cls, login: Login) -> Limits:
        """Read `max_megabytes`, `min_interval_seconds` and `max_interval_seconds`."""
        options = login.options
        default = cls()
        return cls(
            int(float(options.get("max_megabytes") or default.most_bytes / (1 << 20)) * (1 << 20)),
            float(options.get("min_interval_seconds") or default.least_seconds),
            float(options.get("max_interval_seconds") or default.most_seconds),
        )

    def rest(self, wish: int) -> float:
        """Give the seconds for which a file counts as fresh. wish: the publisher's, 0 for none."""
        return min(max(wish, self.least_seconds), max(self.most_seconds, self.least_seconds))


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A file as it was at one time. digest: of the bytes. wish: seconds between visits, by the publisher; 0 for none.

    body None: not at hand.
    """

    digest: str
    etag: str = ""
    modified: str = ""
    wish: int = 0
    body: bytes | None = None

    @classmethod
    def of(cls, body: bytes, etag: str = "", modified: str = "") -> Snapshot:
        """Describe a file."""
        return cls(hashlib.sha256(body).hexdigest(), etag, modified, oddities.refresh_wish(body[:HEAD_BYTES]), body)


@dataclass(slots=True)
class Entry:
    """What is known of one address. asked_at: monotonic. resting: do not ask before, whoever wants to."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    loop: asyncio.AbstractEventLoop | None = None
    snapshot: Snapshot | None = None
    asked_at: float = float("-inf")
    resting: Throttled | None = None


class Shelf:
    """The files of this process by address."""

    def __init__(self, most: int = SHELF_BYTES, clock: Callable[[], float] = time.monotonic) -> None:
        """most: bytes of files kept at hand."""
        self.entries: OrderedDict[str, Entry] = OrderedDict()
        self.most, self.clock = most, clock

    def entry(self, key: str) -> Entry:
        """Give what is known of an address; an event loop that ended takes its lock with it."""
        found = self.entries.setdefault(key, Entry())
        self.entries.move_to_end(key)
        if found.loop is not asyncio.get_running_loop():
            found.loop, found.lock = asyncio.get_running_loop(), asyncio.Lock()
        return found

    def tidy(self, but: Entry) -> None:
        """Let go of the files not used for longest, beyond the number of bytes; then of addresses beyond ten thousand.

        but: the one just used.
        """
        size = sum(len(one.snapshot.body) for one in self.entries.values() if one.snapshot and one.snapshot.body)
        for one in self.entries.values():
            if size <= self.most:
                break
            if one is not but and one.snapshot and one.snapshot.body:
                size -= len(one.snapshot.body)
                one.snapshot = replace(one.snapshot, body=None)
        while len(self.entries) > 10_000:
            self.entries.popitem(last=False)


SHELF = Shelf()


class Fetcher:
    """Brings the file of one login."""

    def __init__(self, login: Login, shelf: Shelf = SHELF) -> None:
        """Keep the login; connect when first needed."""
        self.login, self.shelf, self.limits = login, shelf, Limits.of(login)
        self.url = oddities.canonical(login.url)
        self.transport = Transport(login, guarded=True, roams=True, limit=2)
        secret = hashlib.sha256((authorization(login.auth) + repr(sorted(login.options.items()))).encode()).hexdigest()
        self.key = f"{self.url} {secret[:16]}"

    @property
    def host(self) -> str:
        """Give the host, for sentences."""
        parts = urlsplit(self.url)
        return parts.hostname or parts.scheme

    async def get(self, held: Snapshot | None = None) -> Snapshot:
        """Give the newest version within the interval. held: what the caller has seen; the answer has a body or is that."""
        entry = self.shelf.entry(self.key)
        async with entry.lock:
            if entry.resting is not None and entry.resting.until > datetime.now(UTC):
                raise entry.resting
            known = entry.snapshot
            is_at_hand = known is not None and (known.body is not None or (held is not None and held.digest == known.digest))
            if known is not None and is_at_hand and self.shelf.clock() - entry.asked_at < self.limits.rest(known.wish):
                return known
            basis = known if known is not None and known.body is not None else held
            found = entry.snapshot = await self._ask(entry, basis)
            entry.asked_at = self.shelf.clock()
            self.shelf.tidy(but=entry)
        return found

    def forget(self, snapshot: Snapshot) -> None:
        """Drop a version that turned out to be no whole calendar; «unchanged» must never refer to it."""
        entry = self.shelf.entry(self.key)
        if entry.snapshot is not None and entry.snapshot.digest == snapshot.digest:
            entry.snapshot = None

    async def _ask(self, entry: Entry, basis: Snapshot | None) -> Snapshot:
        if self.url.startswith("file:"):
            return await asyncio.to_thread(self._read_file)
        headers = {"Accept": "text/calendar, */*;q=0.5", "Accept-Encoding": "gzip, deflate"}
        if basis is not None and basis.etag:
            headers["If-None-Match"] = basis.etag
        if basis is not None and basis.modified:
            headers["If-Modified-Since"] = basis.modified
        async with self.transport.stream("GET", self.url, headers=headers) as response:
            if response.status == 304 and basis is not None:
                return basis
            if response.status != 200:
                raise self._refused(entry, Answer(response.status, response.headers, b"", str(response.url)))
            body = await self._download(response)
        return Snapshot.of(body, response.headers.get("ETag", ""), response.headers.get("Last-Modified", ""))

    async def _download(self, response: aiohttp.ClientResponse) -> bytes:
        unpacker = oddities.Unpacker(response.headers.get("Content-Encoding", ""), self.limits.most_bytes)
        body = bytearray()
        most = f"{self.limits.most_bytes >> 20} MB"
        try:
            while piece := await response.content.readany():
                body += unpacker.feed(piece)
            body += unpacker.close()
        except oddities.TooLarge:
            raise Permanent("feed.too_large", Scope.CALENDAR, host=self.host, most=most) from None
        except oddities.Bomb:
            raise Permanent("feed.bomb", Scope.CALENDAR, host=self.host) from None
        except oddities.Incomplete:
            raise Transient("feed.truncated", Scope.CALENDAR, host=self.host) from None
        return bytes(body)

    def _refused(self, entry: Entry, answer: Answer) -> Exception:
        if answer.status in {404, 410}:
            return Permanent("feed.gone", Scope.CALENDAR, host=answer.host)
        trouble = trouble_of(answer)
        if isinstance(trouble, Throttled):
            entry.resting = trouble
        return trouble

    def _read_file(self) -> Snapshot:
        """Read a file below the folder that the option `files_below` allows; without it no file is read."""
        allowed = self.login.options.get("files_below", "")
        path = Path(unquote(urlsplit(self.url).path))
        if not allowed or not path.resolve().is_relative_to(Path(allowed).resolve()):
            raise Permanent("feed.file_refused", Scope.CALENDAR)
        try:
            if path.stat().st_size > self.limits.most_bytes:
                most = f"{self.limits.most_bytes >> 20} MB"
                raise Permanent("feed.too_large", Scope.CALENDAR, host=path.name, most=most)
            body = path.read_bytes()
        except OSError:
            raise Permanent("feed.gone", Scope.CALENDAR, host=path.name) from None
        return Snapshot.of(body)

    async def close(self) -> None:
        """Let go of connections."""
        await self.transport.close()
