"""Being told by asking: the server keeps a list for each subscription, and we ask for it every few seconds."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from gleichtakt.errors import Conflict, Trouble
from gleichtakt.providers.ews.calls import refused
from gleichtakt.providers.ews.session import Affinity
from gleichtakt.providers.ews.subscribing import Watch, each
from gleichtakt.providers.ews.wire import notices, requests, soap
from gleichtakt.providers.protocol import CalendarRef

MINUTES: Final = 30  # without a question after which the server forgets
LEAST_SECONDS: Final = 5.0  # between two questions about one calendar …
EACH_SECONDS: Final = 0.1  # … and more, the more calendars there are


@dataclass(slots=True)
class Asked:
    """One subscription of ours, and where its list goes on. All calls about it have to reach the same server."""

    id: str
    watermark: str
    affinity: Affinity


@dataclass(slots=True)
class Lists:
    """The subscriptions of one watch."""

    watch: Watch
    living: dict[CalendarRef, Asked] = field(default_factory=dict)


async def listen(watch: Watch) -> None:
    """Subscribe and ask, again and again. Raises what concerns the whole login."""
    lists = Lists(watch)
    while True:
        wanted = watch.wanted.refs
        doubted = watch.wanted.doubted()
        watch.lost(doubted)
        await each(doubted & lists.living.keys() | (lists.living.keys() - wanted), lambda ref: _end(lists, ref))
        watch.told &= wanted
        watch.patience.keep(wanted)
        await each(watch.may_try(wanted - lists.living.keys()), lambda ref: _subscribe(lists, ref))
        await each(list(lists.living), lambda ref: _ask(lists, ref))
        pause = LEAST_SECONDS + EACH_SECONDS * len(lists.living)
        with suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await watch.wanted.moved()


async def _subscribe(lists: Lists, ref: CalendarRef) -> None:
    affinity = Affinity(ref.mailbox)
    body = requests.subscribe_pull([lists.watch.folder_of(ref)], minutes=MINUTES)
    made = await lists.watch.subscribe(ref, body, affinity)
    lists.living[ref] = Asked(made.id, made.watermark, affinity)
    lists.watch.watched([ref])


async def _ask(lists: Lists, ref: CalendarRef) -> None:
    """Ask what happened. A subscription the server does not know is made anew; any other failure is only a question less."""
    asked, more = lists.living[ref], True
    try:
        while more:
            more = await _ask_once(lists, ref, asked)
    except Conflict as gone:
        del lists.living[ref]
        lists.watch.lost([ref], gone)
    except Trouble as trouble:
        lists.watch.rest(ref, trouble)
        raise


async def _ask_once(lists: Lists, ref: CalendarRef, asked: Asked) -> bool:
    """Ask once, and say whether there is more to be asked for."""
    session, more = lists.watch.session, False
    if not lists.watch.patience.may(ref):
        return False
    body = requests.get_events(asked.id, asked.watermark)
    for outcome in soap.outcomes(await session.call("GetEvents", body, mailbox=ref.mailbox, affinity=asked.affinity)):
        if outcome.is_error:
            raise await refused(session, outcome, ref.mailbox)
        for said in notices.read_told(outcome.element).notifications:
            moved = bool(said.watermark) and said.watermark != asked.watermark
            asked.watermark, more = said.watermark or asked.watermark, said.more and moved
            if not said.is_alive:
                lists.watch.changed([ref])
    lists.watch.patience.worked(ref)
    return more


async def _end(lists: Lists, ref: CalendarRef) -> None:
    asked = lists.living.pop(ref)
    await lists.watch.unsubscribe(ref, asked.id, asked.affinity)
