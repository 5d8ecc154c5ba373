"""The calls of the protocol for CalDAV. Each is carried out by the file named after what it does."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import ClassVar, Self

from gleichtakt.model.event import Series
from gleichtakt.model.point import Timespan
from gleichtakt.providers.caldav.examination import examine
from gleichtakt.providers.caldav.reading import Reader
from gleichtakt.providers.caldav.session import Session
from gleichtakt.providers.caldav.writing import Writer
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


class Client:
    """The calls. What the provider is called and can is data of the class beside it."""

    name: ClassVar[str] = "caldav"
    abilities: ClassVar[Abilities]

    def __init__(self, login: Login) -> None:
        """Keep the login; connect when first needed."""
        self.session = Session(login)
        self.reader, self.writer = Reader(self.session), Writer(self.session)

    @classmethod
    def connect(cls, login: Login) -> Self:
        """Make a client; nothing is sent yet."""
        return cls(login)

    async def close(self) -> None:
        """Let go of connections."""
        await self.session.transport.close()

    async def calendars(self, mailbox: str) -> tuple[Calendar, ...]:
        """Give the calendars of a mailbox."""
        return await self.session.calendars(mailbox)

    def changes(self, of: CalendarRef, since: Cursor | None, *, known: Known, window: Timespan) -> AsyncIterator[Page]:
        """Yield what changed, or everything. *known* is not looked at while nothing has changed; *window* is not used."""
        return self.reader.changes(of, since, known)

    async def fetch(self, of: CalendarRef, hrefs: Sequence[Href]) -> tuple[Seen | Unreadable, ...]:
        """Read objects by name. Updates that follow soon need no request of their own to read them."""
        return await self.reader.fetch(of, hrefs)

    async def create(self, into: CalendarRef, series: Series, *, key: IdempotencyKey, mark: Mark, mail: Mail) -> Stored:
        """Create, or give what this key made before."""
        return await self.writer.create(into, series, key, mark, mail)

    async def find(self, of: CalendarRef, key: IdempotencyKey, uid: str) -> Seen | None:
        """Look up what a create with this key made."""
        return await self.writer.find(of, key, uid)

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
        """Change what differs in *fields*; the rest of the object stays byte for byte."""
        return await self.writer.update(of, href, expect=expect, base=base, new=new, fields=fields, mark=mark, mail=mail)

    async def prepare(self, of: CalendarRef, hrefs: Sequence[Href]) -> None:
        """Read objects in one request, so that their updates need none of their own for that."""
        await self.reader.keep(of, hrefs)

    async def delete(self, of: CalendarRef, href: Href, *, expect: Etag, key: IdempotencyKey, mail: Mail) -> None:
        """Delete at a version."""
        await self.writer.delete(of, href, expect, mail)

    def examine(self, of: CalendarRef | None) -> AsyncIterator[Check]:
        """Run the checks of this system."""
        return examine(self.session, self.writer, of)
