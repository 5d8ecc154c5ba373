"""What the doctor asks of an Exchange server: where it is, how to sign in, which version, and what may be done there."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from gleichtakt.errors import AuthRequired, Scope, Trouble
from gleichtakt.model.event import Event, Series, ShowAs
from gleichtakt.model.point import Zoned
from gleichtakt.providers.ews.calls import ask
from gleichtakt.providers.ews.directory import Directory
from gleichtakt.providers.ews.out_of_office import Replies
from gleichtakt.providers.ews.reading import Reader
from gleichtakt.providers.ews.session import Session
from gleichtakt.providers.ews.wire import requests
from gleichtakt.providers.ews.wire.folders import read_folders
from gleichtakt.providers.ews.wire.notices import read_subscription
from gleichtakt.providers.ews.writing import Writer
from gleichtakt.providers.protocol import CalendarRef, Check, IdempotencyKey, Mail, Mark
from gleichtakt.providers.reach import reach, timed

CLOCK_WARNS: Final = timedelta(minutes=2)  # Kerberos gives up at five
STREAMS_SINCE: Final = "Exchange2010_SP1"
#: Sign-in methods that a server has to offer by name; the tokens of the others are accepted unasked.
_OFFERED: Final = frozenset({"ntlm", "negotiate", "basic"})
_BOUND: Final = frozenset({"ntlm", "negotiate"})
_BINDING: Final = "channel_binding"

Step = Callable[[], Awaitable[Check]]


class Examination:
    """The checks of one login."""

    def __init__(self, session: Session, reader: Reader, writer: Writer, of: CalendarRef | None) -> None:
        """Examine this session. of: the calendar that is to be linked, if one is chosen."""
        self.session, self.reader, self.writer, self.of = session, reader, writer, of or CalendarRef("")
        self.directory = Directory(session)
        self.has_mailbox = bool(self.of.mailbox) or not session.impersonates

    async def server(self) -> Check:
        """Find the service: as the connection says, or by Autodiscover."""
        found = await self.session.endpoint(self.of.mailbox)
        return Check("server", "pass", facts={"url": found.url, "by": found.by})

    async def methods(self) -> Check:
        """See which sign-in methods the server offers; one that asks for none is no Exchange, or a proxy stands before it."""
        offered, method = await self.session.offered(), self.session.method
        facts = {"offered": ", ".join(offered)}
        if method in _OFFERED and offered and method not in offered:
            host = (await self.session.endpoint()).host
            params = {"host": host, "method": method, "offered": ", ".join(offered)}
            return Check("methods", "fail", "ews.method_not_offered", params, facts)
        return Check("methods", "pass", facts=facts)

    async def login(self) -> Check:
        """Sign in and learn the version. A login that works only without its channel binding tells of a proxy that ends TLS."""
        try:
            version = await self.session.version(self.of.mailbox)
        except AuthRequired:
            if self._binds() and await self._signs_in_without_binding():
                host = (await self.session.endpoint()).host
                return Check("login", "fail", "ews.binding_broken", {"host": host})
            raise
        return Check("login", "pass", facts={"method": self.session.method, "version": version.shown})

    async def binding(self) -> Check:
        """See whether the server insists on a channel binding (Extended Protection)."""
        if not self._binds():
            return Check("binding", "skip")
        free = await self._signs_in_without_binding()
        return Check("binding", "pass", facts={"extended_protection": "not required" if free else "required"})

    def _binds(self) -> bool:
        login = self.session.login
        return self.session.method in _BOUND and _BINDING not in login.options and not login.url.startswith("http:")

    async def _signs_in_without_binding(self) -> bool:
        login = self.session.login
        bare = Session(replace(login, url=(await self.session.endpoint()).url, options={**login.options, _BINDING: "off"}))
        try:
            await bare.version(self.of.mailbox)
        except AuthRequired:
            return False
        finally:
            await bare.close()
        return True

    async def mailbox(self) -> Check:
        """Open the default calendar of the mailbox, the way the connection has access to it."""
        if not self.has_mailbox:
            return Check("mailbox", "skip")
        folder = await self.directory.default(self.of.mailbox)
        return Check("mailbox", "pass", facts={"access": self.session.login.access, "calendar": folder.name})

    async def calendars(self) -> Check:
        """List the calendars."""
        found = await self.directory.calendars(self.of.mailbox)
        facts = {"calendars": str(len(found)), "writable": str(sum(one.can_write for one in found))}
        return Check("calendars", "pass", facts=facts)

    async def rights(self) -> Check:
        """See whether the chosen calendar can be written, as far as the server tells."""
        body = requests.get_folder([self.reader.folder_of(self.of)])
        folder = next(read_folders(await ask(self.session, "GetFolder", body, self.of.mailbox)), None)
        facts = {"calendar": folder.name, "events": str(folder.count)} if folder is not None else {}
        if folder is not None and folder.can_create:
            return Check("rights", "pass", facts=facts)
        host = (await self.session.endpoint()).host
        return Check("rights", "warn", "ews.read_only", {"host": host, "code": "EffectiveRights"}, facts)

    async def out_of_office(self) -> Check:
        """Read the automatic replies, which only the mailbox itself or who impersonates it may do."""
        if self.session.login.access == "delegate" or not self.of.mailbox:
            return Check("out_of_office", "skip")
        try:
            replies = await Replies(self.session).read(self.of.mailbox)
        except Trouble as trouble:
            if trouble.scope is Scope.ACCOUNT:
                raise
            return Check("out_of_office", "warn", trouble.code, trouble.params)
        return Check("out_of_office", "pass", facts={"state": replies.state})

    async def streaming(self) -> Check:
        """Subscribe to the calendar's changes, and end that again."""
        host = (await self.session.endpoint()).host
        if not (await self.session.version(self.of.mailbox)).knows(STREAMS_SINCE):
            return Check("streaming", "warn", "ews.no_streaming", {"host": host})
        body = requests.subscribe_streaming([self.reader.folder_of(self.of)])
        subscription = read_subscription(await ask(self.session, "Subscribe", body, self.of.mailbox))
        await ask(self.session, "Unsubscribe", requests.unsubscribe(subscription.id), self.of.mailbox)
        return Check("streaming", "pass")

    async def clock(self) -> Check:
        """Compare the clocks, by the answers so far."""
        apart = abs(self.session.clock.ahead)
        seconds = f"{apart.total_seconds():.0f}"
        if apart <= CLOCK_WARNS:
            return Check("clock", "pass", facts={"seconds": seconds})
        return Check("clock", "warn", "ews.clock", {"host": (await self.session.endpoint()).host, "seconds": seconds})

    async def test_item(self) -> Check:
        """Write a marked item far ahead, free, and remove it for good."""
        key = IdempotencyKey(secrets.token_hex(16))
        start = Zoned(datetime(2099, 12, 31, 12), "UTC")  # noqa: DTZ001  # a wall-clock reading
        event = Event(start, start, title="Gleichtakt", show_as=ShowAs.FREE)
        made = await self.writer.create(self.of, Series(f"gleichtakt-{key}", event), key, Mark("examination"), Mail.NONE)
        await self.writer.delete(self.of, made.href, made.etag, Mail.NONE, for_good=True)
        return Check("test_item", "pass")


async def examine(session: Session, reader: Reader, writer: Writer, of: CalendarRef | None) -> AsyncIterator[Check]:
    """Run the checks, cheapest first; what a failed one makes pointless is skipped.

    of: the calendar that is to be linked; without it the default one, of the login itself where it does not impersonate.
    """
    found = Examination(session, reader, writer, of)
    check = await timed("server", found.server)
    yield check
    stopped = check.state == "fail"
    if not stopped:
        async for check in reach((await session.endpoint()).url, session.login):
            stopped = stopped or check.state == "fail"
            yield check
    steps: Mapping[str, Step] = {
        "methods": found.methods,
        "login": found.login,
        "binding": found.binding,
        "mailbox": found.mailbox,
        "calendars": found.calendars,
        "rights": found.rights,
        "out_of_office": found.out_of_office,
        "streaming": found.streaming,
        "clock": found.clock,
        "test_item": found.test_item,
    }
    for name, step in steps.items():
        check = Check(name, "skip") if stopped or _lacks_mailbox(name, found) else await timed(name, step)
        stopped = stopped or (check.state == "fail" and name in _DECIDING)
        yield check


#: What follows these could only say the same again.
_DECIDING: Final = frozenset({"methods", "login", "mailbox", "rights"})
_OF_A_MAILBOX: Final = frozenset({"calendars", "rights", "streaming", "test_item"})


def _lacks_mailbox(name: str, found: Examination) -> bool:
    """Say whether a check needs a mailbox and nobody has named one: an account that impersonates has no calendar of its own."""
    return name in _OF_A_MAILBOX and not found.has_mailbox
