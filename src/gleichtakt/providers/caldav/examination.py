"""What the doctor asks of a CalDAV server once it is reached: sign-in, calendars, rights, reports, mails, clock, a test item."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from gleichtakt.errors import Permanent
from gleichtakt.model.event import Event, Series, ShowAs
from gleichtakt.model.point import Zoned
from gleichtakt.providers.caldav import oddities, wire
from gleichtakt.providers.caldav.discovery import may_write
from gleichtakt.providers.caldav.session import Session
from gleichtakt.providers.caldav.writing import Writer
from gleichtakt.providers.protocol import CalendarRef, Check, IdempotencyKey, Mail, Mark
from gleichtakt.providers.reach import reach, timed

MOST_NAMED = 10
CLOCK_WARNS = timedelta(minutes=2)


class Examination:
    """The checks of one login."""

    def __init__(self, session: Session, writer: Writer, of: CalendarRef | None) -> None:
        """Examine this session. of: the calendar that is to be linked, if one is chosen."""
        self.session, self.writer, self.of = session, writer, of or CalendarRef("")
        self.known: tuple[str, ...] = ()  # calendars that were seen

    async def address(self) -> str:
        """Give the first address that is asked: the given one, or the one a domain's records lead to."""
        return await anext(self.session.discovery.candidates(self.of.mailbox))

    def is_pointless_after(self, check: Check) -> bool:
        """Say whether the checks after this one could only repeat it. A calendar with a path needs no discovery."""
        if check.name == "calendars" and check.state == "warn":
            return not self.of.calendar
        if check.name == "discovery" and self.of.calendar and check.code != "general.login_refused":
            return False
        return check.state == "fail" and check.name in {"discovery", "calendars", "rights"}

    async def discovery(self) -> Check:
        """Find the principal of the login."""
        account = await self.session.account(self.of.mailbox if "{" in self.session.login.url else "")
        return Check("discovery", "pass", facts={"principal": account.principal, "homes": str(len(account.homes))})

    async def calendars(self) -> Check:
        """List the calendars. One that is named by its path may belong to a person whose others we do not see."""
        try:
            found = await self.session.calendars(self.of.mailbox)
        except Permanent:
            if self.of.calendar:
                return Check("calendars", "skip")
            raise
        self.known = tuple(one.ref.calendar for one in found[:MOST_NAMED])
        facts = {"calendars": str(len(found)), "writable": str(sum(one.can_write for one in found))}
        return Check("calendars", "pass" if found else "warn", "" if found else "caldav.no_calendars", facts=facts)

    async def rights(self) -> Check:
        """See whether the chosen calendar can be written, as far as the server tells."""
        place = await self.session.place(self.of)
        try:
            state = await self.session.state(place, wire.COLLECTION)
        except Permanent as missing:
            if missing.code != "general.calendar_missing" or not self.known:
                raise
            return Check("rights", "fail", missing.code, missing.params, {"known": ", ".join(self.known)})
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
        facts = {"sends_invitations": _yes(mails)}
        if mails:
            facts["schedule_agent"] = "honoured" if silent else "ignored"
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
    """Run the checks, cheapest first; what a failed one makes pointless is skipped.

    of: the calendar that is to be linked; without it the one the server offers first is looked at.
    """
    found = Examination(session, writer, of)
    stopped = False
    async for check in reach(await found.address(), session.login):
        stopped = stopped or check.state == "fail"
        yield check
    steps: tuple[tuple[str, Callable[[], Awaitable[Check]]], ...] = (
        ("discovery", found.discovery),
        ("calendars", found.calendars),
        ("rights", found.rights),
        ("sync", found.sync),
        ("scheduling", found.scheduling),
        ("clock", found.clock),
        ("test_item", found.test_item),
    )
    for name, step in steps:
        check = Check(name, "skip") if stopped else await timed(name, step)
        stopped = stopped or found.is_pointless_after(check)
        yield check
