"""What the contract suite asks of a calendar system under test, besides the provider that talks to it.

A provider joins the suite by writing a `World` for its simulator: the same calendar seen and handled by someone else,
and the tricks that simulator can be told to play. What a system cannot do is data (`tricks`), never an `if`.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Flag, auto
from typing import Any, Protocol

from tests.contract.samples import WINDOW

from gleichtakt.model.event import Series
from gleichtakt.providers.protocol import CalendarRef, Cursor, Href, Known, Page, Provider


class Trick(Flag):
    """What a world can do to its calendar beyond plain reading and writing."""

    EDIT = auto()  # others create, edit and delete there
    PLANT = auto()  # put a property there that we do not know, and look for it
    SPOIL = auto()  # make one object unreadable
    LOSE = auto()  # break the connection before or after a call took effect
    FAIL = auto()  # answer a call with an error of its own, before or after it took effect
    THROTTLE = auto()
    REFUSE_LOGIN = auto()
    EXPIRE = auto()  # refuse all cursors given out
    STOP_SHORT = auto()  # end a listing without its end mark
    OUTBOX = auto()  # show the mails it would have sent
    LEDGER = auto()  # show which fields each write sent
    SMALL_PAGES = auto()  # page its listings, at most ten objects each


ALL_TRICKS = ~Trick(0)


class World(Protocol):
    """One calendar under test. `provider` is signed in to it; everything else is someone else's doing."""

    provider: Provider
    calendar: CalendarRef

    async def reconnect(self) -> Provider:
        """Give a second, fresh provider for the same login, as after a restart."""

    async def hrefs(self) -> frozenset[Href]:
        """Give the names of all objects there, without asking the provider."""

    async def create(self, series: Series) -> Href:
        """Someone else creates."""

    async def edit(self, href: Href, changes: Mapping[str, Any]) -> None:
        """Someone else changes fields of the master. changes: `Event` field names and values."""

    async def delete(self, href: Href) -> None:
        """Someone else deletes."""

    async def plant(self, href: Href) -> None:
        """Put a property there that our model does not know, into the master and every override."""

    async def has_planted(self, href: Href) -> bool:
        """Say whether it is still in all of them."""

    async def spoil(self, href: Href) -> None:
        """Make one object unreadable, as a change of it."""

    async def lose_answer(self, verb: str, *, effect: bool) -> None:
        """Break the connection at the next call. verb: create, update, delete, changes or fetch."""

    async def fail(self, verb: str, *, effect: bool) -> None:
        """Answer the next call with an error of its own."""

    async def throttle(self, seconds: float) -> None:
        """Ask the next call to wait."""

    async def refuse_login(self) -> None:
        """Refuse the login from now on; open connections included."""

    async def expire_cursors(self) -> None:
        """Refuse every cursor handed out so far."""

    async def stop_short(self, count: int) -> None:
        """End the next listing after so many objects without saying that it is the end."""

    async def mails(self) -> int:
        """Count the mails that would have gone out."""

    async def fields_sent(self) -> frozenset[str]:
        """Give the field names the last write carried, `recurrence` among them."""


async def read(
    world: World, since: Cursor | None = None, *, known: Known | None = None, provider: Provider | None = None
) -> list[Page]:
    """Read all pages of changes."""
    pages = (provider or world.provider).changes(world.calendar, since, known=known or Known(), window=WINDOW)
    return [page async for page in pages]


def last_cursor(pages: list[Page]) -> Cursor:
    """Give the cursor after the last page."""
    cursor = pages[-1].next
    assert cursor is not None
    return cursor
