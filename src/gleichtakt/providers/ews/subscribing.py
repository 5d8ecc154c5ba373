"""What the ways of being told share: who is subscribed, who is tried again when, and what is to be told."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, TypeVar

import structlog

from gleichtakt.errors import AuthRequired, Scope, Throttled, Trouble
from gleichtakt.providers.ews.calls import malformed, refused
from gleichtakt.providers.ews.session import Affinity, Session
from gleichtakt.providers.ews.wire import notices, requests, soap
from gleichtakt.providers.ews.wire.ids import FolderRef
from gleichtakt.providers.ews.wire.notices import Subscription
from gleichtakt.providers.patience import Patience
from gleichtakt.providers.protocol import CalendarRef, Hint, Letterbox, Notice, Wanted

log = structlog.get_logger(__name__)

AT_ONCE: Final = 8  # calls about subscriptions under way

FolderOf = Callable[[CalendarRef], FolderRef]
T = TypeVar("T")


class DoesNotWork(Exception):
    """This way of being told does not work between this server and us."""

    def __init__(self, why: Trouble) -> None:
        """why: what showed it."""
        super().__init__(why.code)
        self.why = why


@dataclass(slots=True)
class Watch:
    """One watch of one login. told: the calendars of which we said that they are told of."""

    session: Session
    folder_of: FolderOf
    wanted: Wanted
    letterbox: Letterbox | None
    how: Notice = Notice.STREAMING
    hints: asyncio.Queue[Hint] = field(default_factory=asyncio.Queue)
    patience: Patience[CalendarRef] = field(default_factory=Patience)
    told: set[CalendarRef] = field(default_factory=set)

    def changed(self, refs: Iterable[CalendarRef]) -> None:
        """Say that something may have happened there."""
        if found := frozenset(refs):
            self.hints.put_nowait(Hint(changed=found))

    def watched(self, refs: Iterable[CalendarRef]) -> None:
        """Say that these are told of from now on; of those that are so already, nothing."""
        if new := frozenset(refs) - self.told:
            self.told |= new
            self.hints.put_nowait(Hint(watched=new, how=self.how))

    def lost(self, refs: Iterable[CalendarRef], why: Trouble | None = None) -> None:
        """Say that these are not told of any more."""
        if found := frozenset(refs) & self.told:
            self.told -= found
            self.hints.put_nowait(Hint(lost=found, how=self.how, why=why))

    async def subscribe(self, ref: CalendarRef, body: bytes, affinity: Affinity | None = None) -> Subscription:
        """Subscribe one calendar. A refusal rests that calendar, and is raised."""
        log.info("subscribing", mailbox=masked(ref.mailbox), by=self.how.value)
        try:
            answer = await self.session.call("Subscribe", body, mailbox=ref.mailbox, affinity=affinity)
            outcome = next(iter(soap.outcomes(answer)), None)
            if outcome is None:
                raise await malformed(self.session, ref.mailbox, "Subscribe without an answer")
            if outcome.is_error:
                raise await refused(self.session, outcome, ref.mailbox, least=Scope.CALENDAR)
            made = notices.read_subscription(outcome.element)
            if not made.id:
                raise await malformed(self.session, ref.mailbox, "a subscription without an id")
        except Trouble as trouble:
            self.rest(ref, trouble)
            raise
        self.patience.worked(ref)
        return made

    async def unsubscribe(self, ref: CalendarRef, subscription: str, affinity: Affinity | None = None) -> None:
        """End a subscription; one that is gone already is as good."""
        try:
            body = requests.unsubscribe(subscription)
            await self.session.call("Unsubscribe", body, mailbox=ref.mailbox, affinity=affinity)
        except Trouble as trouble:
            raise_if_all(trouble)

    def rest(self, ref: CalendarRef, trouble: Trouble) -> None:
        """Let one calendar rest after a failure, as long as was asked for."""
        self.patience.failed(ref, seconds_asked(trouble))

    def may_try(self, refs: Iterable[CalendarRef]) -> list[CalendarRef]:
        """Give those that need not rest, in an order that is the same each time."""
        return sorted((ref for ref in refs if self.patience.may(ref)), key=lambda ref: (ref.mailbox.lower(), ref.calendar))


def masked(mailbox: str) -> str:
    """Give an address as logs show it: recognisable for who knows it, for nobody else."""
    name, at, host = mailbox.partition("@")
    return f"{name[:1]}•••{at}{host}"


def seconds_asked(trouble: Trouble) -> float:
    """Give how long the server asks us to wait."""
    return (trouble.until - datetime.now(UTC)).total_seconds() if isinstance(trouble, Throttled) else 0.0


def raise_if_all(trouble: Trouble) -> None:
    """Raise what ends the watch of the whole login: a sign-in that was refused. All else concerns some calendars."""
    if isinstance(trouble, AuthRequired) and trouble.scope is Scope.ACCOUNT:
        raise trouble


async def each(refs: Iterable[T], do: Callable[[T], Awaitable[None]]) -> dict[T, Trouble]:
    """Do something for many, some at a time; give those for which it failed. Raises what concerns the whole login."""
    turns, failed = asyncio.Semaphore(AT_ONCE), {}

    async def one(ref: T) -> None:
        async with turns:
            try:
                await do(ref)
            except Trouble as trouble:
                raise_if_all(trouble)
                failed[ref] = trouble

    async with asyncio.TaskGroup() as group:
        for ref in refs:
            group.create_task(one(ref))
    return failed
