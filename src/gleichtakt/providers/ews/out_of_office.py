"""The automatic replies of a mailbox: read, and changed without touching what nobody meant to change.

SetUserOofSettings replaces everything, so the settings are read just before and what differs is laid over them; texts a
person wrote meanwhile survive. Only the mailbox itself, or who impersonates it, may do either.
"""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import datetime, timedelta
from typing import Any, Final

from gleichtakt.errors import Permanent, Scope, Trouble
from gleichtakt.model.point import Timespan
from gleichtakt.providers.ews.calls import refused
from gleichtakt.providers.ews.session import Session
from gleichtakt.providers.ews.wire import availability, requests, soap
from gleichtakt.providers.protocol import OutOfOffice

AUDIENCES: Final = ("none", "known", "all")
SCHEDULED: Final = "scheduled"


class Replies:
    """Reads and changes automatic replies through one session."""

    def __init__(self, session: Session) -> None:
        """Ask through this session."""
        self.session = session

    async def read(self, mailbox: str) -> OutOfOffice:
        """Give the replies of a mailbox as they stand. mailbox: empty for that of whoever signs in, named by an address."""
        return (await self._read(self._named(mailbox))).settings

    async def change(self, mailbox: str, base: OutOfOffice, new: OutOfOffice) -> OutOfOffice:
        """Change what differs between *base* and *new*, and give what then stands there."""
        mailbox = self._named(mailbox)
        there = await self._read(mailbox)
        wanted = laid_over(there, base, new, self.session.budgets.now() + self.session.clock.ahead)
        if wanted == there.settings:
            return wanted
        if wanted.state == SCHEDULED and wanted.span is None:
            host = (await self.session.endpoint(mailbox)).host
            raise Permanent("ews.times_refused", Scope.SERIES, host=host, reason="OutOfOffice")
        await self._ask("SetUserOofSettings", requests.set_user_oof_settings(mailbox, wanted), mailbox, writes=True)
        return await self.read(mailbox)

    def _named(self, mailbox: str) -> str:
        """Give an address: these two operations have no form without one."""
        return mailbox or str(self.session.login.auth.get("username", ""))

    async def _read(self, mailbox: str) -> availability.Replies:
        body = requests.get_user_oof_settings(mailbox)
        return availability.read_replies(await self._ask("GetUserOofSettings", body, mailbox))

    async def _ask(self, operation: str, body: bytes, mailbox: str, *, writes: bool = False) -> soap.Element:
        answer = await self.session.call(operation, body, mailbox=mailbox, writes=writes)
        for outcome in soap.outcomes(answer):
            if outcome.is_error:
                raise _told_apart(await refused(self.session, outcome, mailbox, writes=writes))
        return answer


def _told_apart(trouble: Trouble) -> Trouble:
    """Give a denial words of its own: rights on a calendar would not help."""
    if trouble.code != "ews.access_denied":
        return trouble
    return Permanent("ews.replies_denied", Scope.CALENDAR, detail=trouble.detail, **trouble.params)


def laid_over(there: availability.Replies, base: OutOfOffice, new: OutOfOffice, now: datetime) -> OutOfOffice:
    """Give the settings to write: the ones there, with what differs, within what the server allows and from now on."""
    differing: dict[str, Any] = {
        each.name: getattr(new, each.name) for each in fields(OutOfOffice) if getattr(base, each.name) != getattr(new, each.name)
    }
    wanted = replace(there.settings, **differing)
    most = AUDIENCES.index(there.allowed) if there.allowed in AUDIENCES else len(AUDIENCES) - 1
    if wanted.audience in AUDIENCES and AUDIENCES.index(wanted.audience) > most:
        wanted = replace(wanted, audience=AUDIENCES[most])
    return wanted if wanted == there.settings else replace(wanted, span=_from_now_on(wanted, now))


def _from_now_on(wanted: OutOfOffice, now: datetime) -> Timespan | None:
    """Give the schedule as servers take it: not begun in the past; one that is over is left out."""
    span = wanted.span
    if span is None or span.end <= now + timedelta(minutes=1):
        return None
    return Timespan(max(span.start, now), span.end) if wanted.state == SCHEDULED else span
