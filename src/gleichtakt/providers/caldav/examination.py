"""What the doctor asks of a CalDAV server, cheapest first: sign-in, calendars, rights, reports, mails, clock, a test item."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from gleichtakt.errors import Trouble
from gleichtakt.model.event import Event, Series, ShowAs
from gleichtakt.model.point import Zoned
from gleichtakt.providers.caldav import oddities, wire
from gleichtakt.providers.caldav.discovery import may_write
from gleichtakt.providers.caldav.session import Session
from gleichtakt.providers.caldav.writing import Writer
from gleichtakt.providers.protocol import CalendarRef, Check, IdempotencyKey, Mail, Mark

CLOCK_WARNS = timedelta(minutes=2)


class Examination:
    """The checks of one login."""

    def __init__(self, session: Session, writer: Writer, of: CalendarRef | None) -> None:
        """Examine this session. of: the calendar that is to be linked, if one is chosen."""
        self.session, self.writer, self.of = session, writer, of or CalendarRef("")

    async def discovery(self) -> Check:
        """Find the principal."""
        account = await self.session.account(self.of.mailbox)
        return Check("discovery", "pass", facts={"principal": account.principal, "homes": str(len(account.homes))})

    async def calendars(self) -> Check:
        """List the calendars."""
        found = await self.session.calendars(self.of.mailbox)
        facts = {"calendars": str(len(found)), "writable": str(sum(one.can_write for one in found))}
        return Check("calendars", "pass" if found else "warn", "" if found else "caldav.no_calendars", facts=facts)

    async def rights(self) -> Check:
        """See whether the chosen calendar can be written, as far as the server tells."""
        place = await self.session.place(self.of)
        state = await self.session.state(place, wire.COLLECTION)
        if may_write(state):
            return Check("rights", "pass", facts={"calendar": place.path})
        return Check("rights", "warn", "caldav.read_only", {"host": place.host}, {"calendar": place.path})

    async def sync(self) -> Check:
        """See which ways of finding changes the server offers."""
        place = await self.session.place(self.of)
        state = await self.session.state(place, wire.COLLECTION)
        by_token = wire.DAV + "sync-collection" in state.children(wire.DAV + "supported-report-set")
        by_ctag = bool(state.text(wire.SERVER + "getctag"))
        facts = {"sync_collection": _yes(by_token), "ctag": _yes(by_ctag)}
        if by_token or by_ctag:
            return Check("sync", "pass", facts=facts)
        return Check("sync", "warn", "caldav.slow_poll", {"host": place.host}, facts)

    async def scheduling(self) -> Check:
        """See whether the server sends invitations by itself, and leaves that to us when told so."""
        place = await self.session.place(self.of)
        mails = oddities.schedules(await self.session.announced(place))
        silent = not mails or await self.writer.keeps_silence(place, self.of)
        facts = {"sends_invitations": _yes(mails), "schedule_agent": "honoured" if silent else "ignored"}
        if silent:
            return Check("scheduling", "pass", facts=facts)
        return Check("scheduling", "warn", "caldav.would_mail", {"host": place.host}, facts)

    async def clock(self) -> Check:
        """Compare the clocks."""
        place = await self.session.place(self.of)
        answer = await self.session.transport.send("OPTIONS", place.url)
        if "Date" not in answer.headers:
            return Check("clock", "skip")
        apart = datetime.now(UTC) - parsedate_to_datetime(answer.headers["Date"])
        seconds = f"{abs(apart).total_seconds():.0f}"
        if abs(apart) <= CLOCK_WARNS:
            return Check("clock", "pass", facts={"seconds": seconds})
        return Check("clock", "warn", "caldav.clock", {"host": place.host, "seconds": seconds})

    async def test_item(self) -> Check:
        """Write a marked item far ahead, free, and remove it."""
        key = IdempotencyKey(secrets.token_hex(16))
        start = Zoned(datetime(2099, 12, 31, 12), "UTC")  # noqa: DTZ001  # a wall-clock reading
        event = Event(start, start, title="Gleichtakt", show_as=ShowAs.FREE)
        made = await self.writer.create(self.of, Series(f"gleichtakt-{key}", event), key, Mark("examination"), Mail.NONE)
        await self.writer.delete(self.of, made.href, made.etag, Mail.NONE)
        return Check("test_item", "pass", facts={"href": made.href})


def _yes(value: bool) -> str:
    return "yes" if value else "no"


async def examine(session: Session, writer: Writer, of: CalendarRef | None) -> AsyncIterator[Check]:
    """Run the checks. When sign-in fails the others are skipped; of the rest each stands alone."""
    found = Examination(session, writer, of)
    first: tuple[str, Callable[[], Awaitable[Check]]] = ("discovery", found.discovery)
    rest = (
        ("calendars", found.calendars),
        ("rights", found.rights),
        ("sync", found.sync),
        ("scheduling", found.scheduling),
        ("clock", found.clock),
        ("test_item", found.test_item),
    )
    begun = await _run(*first)
    yield begun
    must_stop = begun.state == "fail" and not (of and of.calendar)
    for name, check in rest:
        yield Check(name, "skip") if must_stop else await _run(name, check)


async def _run(name: str, check: Callable[[], Awaitable[Check]]) -> Check:
    started = time.monotonic()
    try:
        done = await check()
    except Trouble as trouble:
        return Check(name, "fail", trouble.code, trouble.params)
    facts = {**done.facts, "milliseconds": f"{(time.monotonic() - started) * 1000:.0f}"}
    return Check(done.name, done.state, done.code, done.params, facts)
