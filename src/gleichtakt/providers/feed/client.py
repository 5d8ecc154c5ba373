"""The calls of the protocol for feeds. There is only reading; what the file says as a whole is compared with what is known."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import ClassVar, NoReturn, Self

from gleichtakt.errors import CursorExpired, Permanent, Scope, Transient, Trouble
from gleichtakt.model.event import Series
from gleichtakt.model.ics import Limits as TextLimits
from gleichtakt.model.ics import read_calendar
from gleichtakt.model.point import Timespan
from gleichtakt.providers.feed import wire
from gleichtakt.providers.feed.fetching import Fetcher, Snapshot
from gleichtakt.providers.protocol import (
    Abilities,
    Calendar,
    CalendarRef,
    Check,
    Cursor,
    Etag,
    Href,
    IdempotencyKey,
    Known,
    Login,
    Mail,
    Mark,
    Page,
    Seen,
    Stored,
    Unreadable,
)
from gleichtakt.providers.reach import reach

AT_ONCE = 200  # events in one page
UNSTABLE = "feed.unstable_uids"
#: Refusal of a whole text -> what it means of a download. Unlisted: the file is no calendar for us.
_REFUSALS = {
    "ics.truncated": (Transient, "feed.truncated"),
    "ics.too_large": (Permanent, "feed.too_large"),
    "ics.line_too_long": (Permanent, "feed.too_large"),
}


@dataclass(frozen=True, slots=True)
class Read:
    """A file that was read. digest: which one."""

    digest: str
    prints: tuple[wire.Print, ...]
    unreadable: tuple[Unreadable, ...]
    name: str
    by_uid: Mapping[str, wire.Print]
    by_fingerprint: Mapping[str, wire.Print]

    def look_up(self, href: Href) -> wire.Print | None:
        """Find one event by its lasting name: by UID, else by the fingerprint it was first met with."""
        fingerprint, uid = wire.parts_of(href)
        found = self.by_uid.get(uid) or self.by_fingerprint.get(fingerprint)
        return wire.as_uid(found, uid) if found is not None else None


class Client:
    """The calls. What the provider is called and can is data of the class beside it."""

    name: ClassVar[str] = "feed"
    abilities: ClassVar[Abilities]

    def __init__(self, login: Login) -> None:
        """Keep the login; connect when first needed."""
        self.fetcher = Fetcher(login)
        self._read: Read | None = None
        self._listed = ""

    @classmethod
    def connect(cls, login: Login) -> Self:
        """Make a client; nothing is sent yet."""
        return cls(login)

    async def close(self) -> None:
        """Let go of connections."""
        await self.fetcher.close()

    async def calendars(self, mailbox: str) -> tuple[Calendar, ...]:
        """Give the one calendar a feed is, by the name its publisher gave it."""
        read = await self._reading(await self.fetcher.get())
        return (Calendar(CalendarRef(mailbox), read.name or self.fetcher.host, can_write=False, is_default=True),)

    async def changes(self, of: CalendarRef, since: Cursor | None, *, known: Known, window: Timespan) -> AsyncIterator[Page]:
        """Yield nothing when the file is the same, else the whole feed as a listing.

        known has to be complete: what is recognised although its UID changed, and what is only over and not withdrawn,
        shows in comparison with it. Without it a changed file is a `CursorExpired`.
        """
        position = wire.read_position(since) if since is not None else None
        if since is not None and position is None:
            raise CursorExpired(detail="not a cursor of ours")
        held = Snapshot(position.digest, position.etag, position.modified, position.wish) if position else None
        snapshot = await self.fetcher.get(held)
        if position is not None and snapshot.digest == position.digest:
            yield Page(next=since, final=True)
            return
        if position is not None and position.count and not known.etags:
            raise CursorExpired(detail="the file changed and what is known was not given")
        read = await self._reading(snapshot)
        for page in self._pages(read, snapshot, known):
            yield page
        self._listed = read.digest

    def _pages(self, read: Read, snapshot: Snapshot, known: Known) -> list[Page]:
        matched = wire.match(read.prints, known.etags, datetime.now(UTC))
        fresh = [(href, one) for href, one in matched.named.items() if not _is_known(known.etags.get(href, ""), one)]
        named = {href for href, _ in fresh}
        unchanged = (*(href for href in matched.named if href not in named), *matched.kept)
        count = len(matched.named) + len(matched.kept) + len(read.unreadable)
        after = wire.Position(read.digest, snapshot.etag, snapshot.modified, snapshot.wish, count)
        batches = [fresh[at : at + AT_ONCE] for at in range(0, len(fresh), AT_ONCE)] or [[]]
        return [
            Page(
                upserts=tuple(_seen(href, one, is_unstable=matched.is_unstable) for href, one in batch),
                unreadable=read.unreadable if number == 1 else (),
                unchanged=unchanged if number == 1 else (),
                next=after.write() if number == len(batches) else None,
                final=number == len(batches),
                is_listing=True,
            )
            for number, batch in enumerate(batches, 1)
        ]

    async def fetch(self, of: CalendarRef, hrefs: Sequence[Href]) -> tuple[Seen | Unreadable, ...]:
        """Find events in the file. What is not there is gone only after this client has listed this very file."""
        read = await self._reading(await self.fetcher.get())
        broken = {one.href: one for one in read.unreadable}
        found: list[Seen | Unreadable] = []
        for href in dict.fromkeys(hrefs):
            one = read.look_up(href)
            if one is not None:
                found.append(_seen(href, one))
            elif (lying := broken.get(_broken_href(wire.parts_of(href)[1]))) is not None:
                found.append(replace(lying, href=href))
            elif href in broken:
                found.append(broken[href])
            elif self._listed != read.digest:
                found.append(Unreadable(href, Etag(""), Transient("feed.look_later", Scope.SERIES, host=self.fetcher.host)))
        return tuple(found)

    async def _reading(self, snapshot: Snapshot) -> Read:
        if self._read is None or self._read.digest != snapshot.digest:
            if snapshot.body is None:
                raise Transient("feed.look_later", Scope.CALENDAR, host=self.fetcher.host)
            try:
                self._read = await asyncio.to_thread(self._parse, snapshot.digest, snapshot.body)
            except Trouble:
                self.fetcher.forget(snapshot)
                raise
        return self._read

    def _parse(self, digest: str, body: bytes) -> Read:
        try:
            reading = read_calendar(body, limits=TextLimits(total_bytes=self.fetcher.limits.most_bytes))
        except Trouble as refused:
            kind, code = _REFUSALS.get(refused.code, (Transient, "feed.not_a_calendar"))
            most = f"{self.fetcher.limits.most_bytes >> 20} MB"
            params = {"host": self.fetcher.host, "line": refused.params.get("line", ""), "most": most}
            raise kind(code, Scope.CALENDAR, detail=refused.code, **params) from None
        unreadable = []
        for number, broken in enumerate(reading.broken):
            trouble = Permanent(broken.code, Scope.SERIES, **broken.params)
            unreadable.append(Unreadable(_broken_href(broken.uid or f"#{number}"), Etag(digest[:24]), trouble))
        prints = tuple(wire.print_of(series) for series in reading.series)
        by_uid = {one.series.uid: one for one in prints}
        by_fingerprint = {one.fingerprint: one for one in prints}
        return Read(digest, prints, tuple(unreadable), reading.name, by_uid, by_fingerprint)

    # --- a feed is never written

    async def create(self, into: CalendarRef, series: Series, *, key: IdempotencyKey, mark: Mark, mail: Mail) -> Stored:
        """Refuse."""
        self._refuse()

    async def find(self, of: CalendarRef, key: IdempotencyKey, uid: str) -> Seen | None:
        """Give nothing: nothing here was made by us."""
        return None

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
        """Refuse."""
        self._refuse()

    async def prepare(self, of: CalendarRef, hrefs: Sequence[Href]) -> None:
        """Do nothing: no update needs more than it is given."""

    async def delete(self, of: CalendarRef, href: Href, *, expect: Etag, key: IdempotencyKey, mail: Mail) -> None:
        """Refuse."""
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise Permanent("feed.read_only", Scope.CALENDAR, host=self.fetcher.host)

    # --- the doctor

    async def examine(self, of: CalendarRef | None) -> AsyncIterator[Check]:
        """Reach the publisher, fetch the file and read it; a local file needs no network."""
        stopped = False
        if not self.fetcher.url.startswith("file:"):
            async for check in reach(self.fetcher.url, self.fetcher.login, guarded=True):
                stopped = stopped or check.state == "fail"
                yield check
        if stopped:
            for name in ("download", "content", "conditional"):
                yield Check(name, "skip")
            return
        started = time.monotonic()
        try:
            snapshot = await self.fetcher.get()
            size = len(snapshot.body or b"")
            yield Check("download", "pass", facts={"bytes": str(size), "milliseconds": _since(started)})
            read = await self._reading(snapshot)
        except Trouble as trouble:
            yield Check("download", "fail", trouble.code, trouble.params)
            yield Check("content", "skip")
            yield Check("conditional", "skip")
            return
        facts = {"events": str(len(read.prints)), "unreadable": str(len(read.unreadable)), "milliseconds": _since(started)}
        if read.unreadable:
            params = {"host": self.fetcher.host, "count": str(len(read.unreadable))}
            yield Check("content", "warn", "feed.some_unreadable", params, facts)
        else:
            yield Check("content", "pass", facts=facts)
        can_ask = bool(snapshot.etag or snapshot.modified)
        yield Check("conditional", "pass", facts={"offered": "yes" if can_ask else "no"})


def _since(started: float) -> str:
    return f"{(time.monotonic() - started) * 1000:.0f}"


def _broken_href(uid: str) -> Href:
    return Href(f"broken:{uid}")


def _is_known(etag: str, one: wire.Print) -> bool:
    return etag.partition(".")[0] == one.digest


def _seen(href: Href, one: wire.Print, *, is_unstable: bool = False) -> Seen:
    series = replace(one.series, warnings=(*one.series.warnings, UNSTABLE)) if is_unstable else one.series
    return Seen(href, one.etag, series)
