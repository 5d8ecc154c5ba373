"""A provider that many passes share, and that stops asking once its login is refused.

While it is not known whether the login works, calls go out one at a time, and what the first learns of the login or of
an unreachable server counts for all that waited behind it. So a changed password costs one refused login and not one
per mailbox, and a dead server one time-out.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import ClassVar, Final, TypeVar

from gleichtakt.errors import AuthRequired, NotTried, Scope, Transient, Trouble
from gleichtakt.model.event import Series
from gleichtakt.model.freebusy import Busy
from gleichtakt.model.point import Timespan
from gleichtakt.providers.protocol import (
    Abilities,
    Calendar,
    CalendarRef,
    Check,
    Cursor,
    Entry,
    Etag,
    Hint,
    Href,
    IdempotencyKey,
    Known,
    Letterbox,
    Login,
    Mail,
    Mark,
    OutOfOffice,
    Page,
    Provider,
    Seen,
    Stored,
    Unreadable,
    Wanted,
)
from gleichtakt.providers.registry import connect as make_provider

T = TypeVar("T")

TRUST_SECONDS: Final = 5.0  # after a call that worked, others need not wait for one another
MET_BY_ANOTHER: Final = "met by another call"


class Guarded:
    """A provider behind its guard."""

    name: ClassVar[str]
    abilities: ClassVar[Abilities]

    def __init__(self, inner: Provider) -> None:
        """Use `connect` instead, which gives it the abilities of what it guards."""
        self._inner = inner
        self._alone = asyncio.Lock()
        self._trusted_until = 0.0
        self._refused: AuthRequired | None = None
        self._unreachable: tuple[float, Transient] | None = None  # when that was learnt

    @classmethod
    def connect(cls, login: Login) -> Guarded:
        """Make a provider for a login, guarded."""
        inner = make_provider(login)
        made: Guarded = type(cls.__name__, (cls,), {"name": inner.name, "abilities": inner.abilities})(inner)
        return made

    def release(self) -> None:
        """Forget a refusal, because there is reason to try again."""
        self._refused = None

    async def close(self) -> None:
        """Let go of connections."""
        await self._inner.close()

    async def _through(self, call: Callable[[], Awaitable[T]]) -> T:
        """Make a call, alone where the login has yet to prove itself."""
        begun = time.monotonic()
        if begun > self._trusted_until:
            async with self._alone:
                if self._unreachable is not None and self._unreachable[0] > begun:
                    raise _again(self._unreachable[1])
                if time.monotonic() > self._trusted_until:
                    return await self._try(call)
        return await self._try(call)

    async def _try(self, call: Callable[[], Awaitable[T]]) -> T:
        if self._refused is not None:
            raise NotTried(self._refused.code, self._refused.scope, **self._refused.params)
        try:
            found = await call()
        except Trouble as trouble:
            self._learn(trouble)
            raise
        self._trusted_until = time.monotonic() + TRUST_SECONDS
        return found

    def _learn(self, trouble: Trouble) -> None:
        """Draw from a failure what it says about the login."""
        if trouble.scope is not Scope.ACCOUNT:
            self._trusted_until = time.monotonic() + TRUST_SECONDS  # whoever answers about a calendar let us in
            return
        if isinstance(trouble, AuthRequired):
            self._refused = trouble
        if isinstance(trouble, Transient):
            self._unreachable = (time.monotonic(), trouble)
        self._trusted_until = 0.0

    async def calendars(self, mailbox: str) -> tuple[Calendar, ...]:
        """Give the calendars of a mailbox."""
        return await self._through(lambda: self._inner.calendars(mailbox))

    async def changes(self, of: CalendarRef, since: Cursor | None, *, known: Known, window: Timespan) -> AsyncIterator[Page]:
        """Yield pages."""
        pages = self._inner.changes(of, since, known=known, window=window)
        while (page := await self._through(lambda: _next(pages))) is not None:
            yield page

    async def fetch(self, of: CalendarRef, hrefs: Sequence[Href]) -> tuple[Seen | Unreadable, ...]:
        """Read single objects."""
        return await self._through(lambda: self._inner.fetch(of, hrefs))

    async def create(self, into: CalendarRef, series: Series, *, key: IdempotencyKey, mark: Mark, mail: Mail) -> Stored:
        """Create."""
        return await self._through(lambda: self._inner.create(into, series, key=key, mark=mark, mail=mail))

    async def find(self, of: CalendarRef, key: IdempotencyKey, uid: str) -> Seen | None:
        """Look up what a create made."""
        return await self._through(lambda: self._inner.find(of, key, uid))

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
        """Change an object."""
        return await self._through(
            lambda: self._inner.update(of, href, expect=expect, base=base, new=new, fields=fields, key=key, mark=mark, mail=mail)
        )

    async def prepare(self, of: CalendarRef, hrefs: Sequence[Href]) -> None:
        """Make updates of these objects cheaper."""
        await self._through(lambda: self._inner.prepare(of, hrefs))

    async def delete(self, of: CalendarRef, href: Href, *, expect: Etag, key: IdempotencyKey, mail: Mail) -> None:
        """Delete an object."""
        await self._through(lambda: self._inner.delete(of, href, expect=expect, key=key, mail=mail))

    async def free_busy(self, mailboxes: Sequence[str], window: Timespan) -> Mapping[str, tuple[Busy, ...] | Trouble]:
        """Give the busy stretches of people."""
        return await self._through(lambda: self._inner.free_busy(mailboxes, window))

    async def out_of_office(self, mailbox: str) -> OutOfOffice:
        """Read automatic replies."""
        return await self._through(lambda: self._inner.out_of_office(mailbox))

    async def set_out_of_office(self, mailbox: str, base: OutOfOffice, new: OutOfOffice) -> OutOfOffice:
        """Change automatic replies."""
        return await self._through(lambda: self._inner.set_out_of_office(mailbox, base, new))

    async def look_up(self, text: str) -> tuple[Entry, ...]:
        """Find people."""
        return await self._through(lambda: self._inner.look_up(text))

    async def rooms(self) -> tuple[Entry, ...]:
        """Give the rooms."""
        return await self._through(self._inner.rooms)

    async def watch(self, wanted: Wanted, letterbox: Letterbox | None) -> AsyncGenerator[Hint]:
        """Tell what changes; not begun with a login that was refused."""
        hints = self._inner.watch(wanted, letterbox)
        try:
            while (hint := await self._next_hint(hints)) is not None:
                yield hint
        finally:
            if isinstance(hints, AsyncGenerator):
                await hints.aclose()

    async def _next_hint(self, hints: AsyncIterator[Hint]) -> Hint | None:
        """Wait for the next hint, in nobody's way; what ends the watch says what it says of the login."""
        if self._refused is not None:
            raise NotTried(self._refused.code, self._refused.scope, **self._refused.params)
        try:
            return await anext(hints, None)
        except Trouble as trouble:
            self._learn(trouble)
            raise

    async def examine(self, of: CalendarRef | None) -> AsyncIterator[Check]:
        """Run the doctor's checks; a person who asks for them is never held up."""
        async for check in self._inner.examine(of):
            yield check


async def _next(pages: AsyncIterator[Page]) -> Page | None:
    return await anext(pages, None)


def _again(trouble: Transient) -> Transient:
    """Give what another call met, for one that was not made because of it."""
    return Transient(trouble.code, trouble.scope, detail=MET_BY_ANOTHER, **trouble.params)
