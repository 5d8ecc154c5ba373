"""When people are busy, by GetUserAvailability: stretches without content, and the zone a mailbox lives in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final

from gleichtakt.errors import Permanent, Scope, Trouble
from gleichtakt.model import windows_zones
from gleichtakt.model.freebusy import Busy, cut, merge
from gleichtakt.model.point import Timespan
from gleichtakt.model.zones import CUSTOM, zone_of
from gleichtakt.providers.ews.calls import groups, refused
from gleichtakt.providers.ews.session import Session
from gleichtakt.providers.ews.wire import requests, soap
from gleichtakt.providers.ews.wire.availability import read_busy, read_working_hours

PEOPLE_AT_ONCE: Final = 100
LONGEST: Final = timedelta(days=42)  # newer servers give 62
NO_CALLER: Final = frozenset({"ews.mailbox_unknown", "ews.mailbox_disabled"})  # the account itself has no mailbox
_OPERATION: Final = "GetUserAvailability"

Told = tuple[Busy, ...] | Trouble


async def free_busy(session: Session, mailboxes: Sequence[str], window: Timespan) -> Mapping[str, Told]:
    """Give the busy stretches of people within a window; for each that nothing is told of, why."""
    found: dict[str, Told] = {}
    for people in groups(list(dict.fromkeys(mailboxes)), PEOPLE_AT_ONCE):
        for part in _parts(window):
            for mailbox, told in (await _ask(session, people, part)).items():
                found[mailbox] = _joined(found.get(mailbox, ()), told)
    return {mailbox: merge(cut(told, window)) if isinstance(told, tuple) else told for mailbox, told in found.items()}


def _parts(window: Timespan) -> Iterator[Timespan]:
    """Cut a window into stretches the server answers about."""
    start = window.start
    while start < window.end:
        end = min(start + LONGEST, window.end)
        yield Timespan(start, end)
        start = end


def _joined(before: Told, told: Told) -> Told:
    if isinstance(before, Trouble) or isinstance(told, Trouble):
        return before if isinstance(before, Trouble) else told
    return (*before, *told)


async def _ask(session: Session, people: Sequence[str], window: Timespan) -> dict[str, Told]:
    """Ask about some people at once, as the account; where that has no mailbox, about each as that person."""
    found = await _try(session, people, window, "")
    told = next(iter(found.values()))
    if not session.impersonates or not isinstance(told, Trouble) or told.code not in NO_CALLER:
        return found
    return {mailbox: (await _try(session, [mailbox], window, mailbox))[mailbox] for mailbox in people}


async def _try(session: Session, people: Sequence[str], window: Timespan, caller: str) -> dict[str, Told]:
    """Ask; a trouble of the caller's mailbox is one of everybody asked about, one of the account is raised."""
    try:
        return await _answers(session, people, window, caller)
    except Trouble as trouble:
        if trouble.scope is Scope.ACCOUNT:
            raise
        return dict.fromkeys(people, trouble)


async def _answers(session: Session, people: Sequence[str], window: Timespan, mailbox: str) -> dict[str, Told]:
    body = requests.get_user_availability(people, window.start, window.end)
    outcomes = soap.outcomes(await session.call(_OPERATION, body, mailbox=mailbox))
    found: dict[str, Told] = {}
    for person, outcome in zip(people, outcomes, strict=False):
        if outcome.is_error:
            found[person] = await refused(session, outcome, mailbox)
            continue
        told = read_busy(outcome.element, window)
        found[person] = told if told is not None else await _nothing(session, person)
    return found | {person: await _nothing(session, person) for person in people if person not in found}


async def _nothing(session: Session, mailbox: str) -> Trouble:
    """Give the trouble of a mailbox nothing is told of."""
    host = (await session.endpoint(mailbox)).host
    return Permanent("ews.access_denied", Scope.SERIES, host=host, reason="NoData")


@lru_cache(maxsize=256)
def named(tzid: str, year: int) -> str:
    """Give a zone that Windows has a name for and that has the same clock in a year; the zone itself where there is none."""
    if not tzid.startswith(CUSTOM):
        return tzid
    months = [datetime(year, month, day, 12) for month in range(1, 13) for day in (1, 15)]  # noqa: DTZ001  # wall clocks

    def clock(name: str) -> list[timedelta | None]:
        zone = zone_of(name)
        return [zone.utcoffset(wall) for wall in months]

    wanted = clock(tzid)
    listed = (line.partition(" = ")[2].partition(" | ")[0] for line in windows_zones.TEXT.splitlines() if line[:1] != " ")
    return next((name for name in listed if clock(name) == wanted), tzid)


class Zones:
    """The zone each mailbox lives in: days need one, because Exchange keeps them as instants."""

    def __init__(self, session: Session) -> None:
        """Ask through this session."""
        self._session = session
        self._known: dict[str, str] = {}
        self.hoped = session.login.options.get("zone", "")
        self.usual = self.hoped or "UTC"

    async def of(self, mailbox: str) -> str:
        """Give the zone a person has set for the working hours; else the connection's option `zone`, else UTC."""
        if mailbox not in self._known:
            self._known[mailbox] = await self._ask(mailbox) or self.usual
        return self._known[mailbox]

    async def _ask(self, mailbox: str) -> str:
        today = self._session.budgets.now()
        body = requests.get_user_availability([mailbox], today, today + timedelta(days=1))
        try:
            outcomes = soap.outcomes(await self._session.call(_OPERATION, body, mailbox=mailbox))
        except Permanent:
            return ""
        told = next((read_working_hours(each.element, self.hoped) for each in outcomes if not each.is_error), None)
        return named(told.tzid, today.year) if told is not None else ""
