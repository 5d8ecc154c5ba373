"""The calls of the protocol for Exchange. Each is carried out by the file named after what it does."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import ClassVar, Self

from gleichtakt.errors import Trouble
from gleichtakt.model.event import Series
from gleichtakt.model.freebusy import Busy
from gleichtakt.model.point import Timespan
from gleichtakt.providers.ews.availability import free_busy
from gleichtakt.providers.ews.directory import Directory
from gleichtakt.providers.ews.examination import examine
from gleichtakt.providers.ews.out_of_office import Replies
from gleichtakt.providers.ews.reading import Reader
from gleichtakt.providers.ews.session import Session
from gleichtakt.providers.ews.watching import watch
from gleichtakt.providers.ews.writing import Writer
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
    Seen,
    Stored,
    Unreadable,
    Wanted,
)


class Client:
    """The calls. What the provider is called and can is data of the class beside it."""

    name: ClassVar[str] = "ews"
    abilities: ClassVar[Abilities]

    def __init__(self, login: Login) -> None:
        """Keep the login; connect when first needed."""
        self.session = Session(login)
        self.directory, self.replies = Directory(self.session), Replies(self.session)
        self.reader = Reader(self.session)
        self.writer = Writer(self.session, self.reader)

    @classmethod
    def connect(cls, login: Login) -> Self:
        """Make a client; nothing is sent yet."""
        return cls(login)

    async def close(self) -> None:
        """Let go of connections."""
        await self.session.close()

    async def calendars(self, mailbox: str) -> tuple[Calendar, ...]:
        """Give the calendars of a mailbox, as far as this login sees them."""
        return await self.directory.calendars(mailbox)

    def changes(self, of: CalendarRef, since: Cursor | None, *, known: Known, window: Timespan) -> AsyncIterator[Page]:
        """Yield what changed, or everything. *window* is not used: a sync state covers the whole calendar."""
        return self.reader.changes(of, since, known)

    async def fetch(self, of: CalendarRef, hrefs: Sequence[Href]) -> tuple[Seen | Unreadable, ...]:
        """Read items by id, series with all their exceptions."""
        return await self.reader.fetch(of, hrefs)

    async def create(self, into: CalendarRef, series: Series, *, key: IdempotencyKey, mark: Mark, mail: Mail) -> Stored:
        """Create, or give what this key made before."""
        return await self.writer.create(into, series, key, mark, mail)

    async def find(self, of: CalendarRef, key: IdempotencyKey, uid: str) -> Seen | None:
        """Look up what a create with this key made."""
        return await self.reader.find(of, key, uid)

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
        """Change the properties that differ in *fields*; everything else of the item stays, a mark that does not move too."""
        return await self.writer.update(of, href, expect=expect, base=base, new=new, fields=fields, key=key, mark=mark, mail=mail)

    async def prepare(self, of: CalendarRef, hrefs: Sequence[Href]) -> None:
        """Do nothing: an update names its version and needs nothing read before."""

    async def delete(self, of: CalendarRef, href: Href, *, expect: Etag, key: IdempotencyKey, mail: Mail) -> None:
        """Delete at a version."""
        await self.writer.delete(of, href, expect, mail)

    async def free_busy(self, mailboxes: Sequence[str], window: Timespan) -> Mapping[str, tuple[Busy, ...] | Trouble]:
        """Give the busy stretches of people, without content."""
        return await free_busy(self.session, mailboxes, window)

    async def out_of_office(self, mailbox: str) -> OutOfOffice:
        """Read the automatic replies of a mailbox."""
        return await self.replies.read(mailbox)

    async def set_out_of_office(self, mailbox: str, base: OutOfOffice, new: OutOfOffice) -> OutOfOffice:
        """Change automatic replies; what *base* and *new* agree on stays as it is there now."""
        return await self.replies.change(mailbox, base, new)

    async def look_up(self, text: str) -> tuple[Entry, ...]:
        """Find people in the address book."""
        return await self.directory.look_up(text)

    async def rooms(self) -> tuple[Entry, ...]:
        """Give the rooms of all room lists."""
        return await self.directory.rooms()

    def watch(self, wanted: Wanted, letterbox: Letterbox | None) -> AsyncIterator[Hint]:
        """Tell what changes, in the best way that works with this server."""
        return watch(self.session, self.reader.folder_of, wanted, letterbox)

    def examine(self, of: CalendarRef | None) -> AsyncIterator[Check]:
        """Run the checks of this system."""
        return examine(self.session, self.reader, self.writer, of)
