"""What people of the firm do in their own calendar programs, at the CalDAV server and in Outlook."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from random import Random
from typing import Self

from gleichtakt.commands.demo import firm
from gleichtakt.commands.demo.caldav_server import Server
from gleichtakt.commands.demo.exchange_server import Exchange
from gleichtakt.model.event import Series
from gleichtakt.model.point import instant
from gleichtakt.model.zones import zone_of
from gleichtakt.providers.protocol import Mail


class Colleagues:
    """People and rooms with their calendars, which fill from the first moment on."""

    def __init__(self, radicale: Server, exchange: Exchange) -> None:
        """radicale, exchange: where the calendars are."""
        self.radicale, self.exchange = radicale, exchange
        self.days = firm.working_days(datetime.now(UTC).date(), 15)

    async def __aenter__(self) -> Self:
        """Begin to fill the calendars; `filled` waits for the end of it."""
        self._filling = asyncio.create_task(self._fill_all())
        return self

    async def __aexit__(self, *_: object) -> None:
        """Leave it."""
        self._filling.cancel()
        await asyncio.gather(self._filling, return_exceptions=True)

    async def filled(self) -> None:
        """Wait until everybody's calendar is there with what stands in it."""
        await self._filling

    async def add(self, one: firm.One, name: str, series: Series) -> None:
        """Somebody puts an event into the own calendar; who has two, into the first."""
        if one.homes[0] == firm.EXCHANGE:
            await self.exchange.put(one.address, series)
        else:
            await self._add_at_radicale(one, name, series)

    async def _add_at_radicale(self, one: firm.One, name: str, series: Series) -> None:
        from gleichtakt.model.ics import write_calendar

        await self.radicale.put(one.id, name, write_calendar([series]))

    # --- before the first pass

    async def _fill_all(self) -> None:
        await asyncio.gather(self._fill_radicale(), self._fill_exchange())

    async def _fill_radicale(self) -> None:
        """Fill each calendar that is new; in a folder of an earlier demo they are as they were left."""
        await self.radicale.program.answers()
        await asyncio.gather(*(self._fill_calendar(one) for one in living_at(firm.RADICALE)))

    async def _fill_calendar(self, one: firm.One) -> None:
        if not await self.radicale.make_calendar(one.id, one.name):
            return
        if one is firm.LABORATORY:
            for name, series in firm.laboratory_slots(self.days):
                await self._add_at_radicale(one, name, series)
        elif one is firm.SHARED:
            await self._add_at_radicale(one, "teamrunde", firm.team_meeting(self.days))
        else:
            for name, series in self._own_events(one):
                await self._add_at_radicale(one, name, series)

    async def _fill_exchange(self) -> None:
        """Fill all mailboxes: the simulator begins empty each time."""
        await self.exchange.program.answers()
        people = [one for one in living_at(firm.EXCHANGE) if one.kind == "person"]
        await asyncio.gather(*(self._fill_mailbox(one) for one in people))
        await self.exchange.put(firm.INVITES_ROOM.address, firm.budget_meeting(self.days), mail=Mail.ALL)

    async def _fill_mailbox(self, one: firm.One) -> None:
        for _, series in self._own_events(one):
            await self.exchange.put(one.address, series)
        if one is firm.LEADS_WORKSHOP:
            await self.exchange.put(one.address, firm.workshop_round(self.days))
        if one is firm.AWAY:
            holiday = firm.holiday(self.days)
            await self.exchange.put(one.address, holiday)
            await self.exchange.leave(one.address, instant(holiday.event.end, zone_of(firm.ZONE)), firm.REPLY)

    def _own_events(self, one: firm.One) -> Sequence[tuple[str, Series]]:
        random = Random(one.id)  # noqa: S311  # the same firm every time
        names = [f"eigen-{number}" for number in range(3)]
        return [(name, firm.own_event(random, self.days, f"{name}-{one.id}")) for name in names]


def living_at(home: str) -> Sequence[firm.One]:
    """Give the people and rooms with a calendar at one of the two servers."""
    return [one for one in firm.EVERYONE if home in one.homes]
