"""Tells what changes in calendars at an Exchange server, by the best way that works there.

Streaming, where the server knows it (2010 SP1 and later); else calls to an address of ours, where we can be reached; else
a list that the server keeps and we ask for. A way that turns out not to work here, because something between the server and
us holds it up, gives way to the next. Whatever is told is a hint. Source: «Notification subscriptions, mailbox events, and
EWS in Exchange» in Microsoft's documents.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from typing import Final

import structlog

from gleichtakt.errors import Permanent, Scope, Trouble
from gleichtakt.providers.ews import pulling, pushing, streaming
from gleichtakt.providers.ews.session import Session
from gleichtakt.providers.ews.subscribing import DoesNotWork, FolderOf, Watch
from gleichtakt.providers.protocol import Hint, Letterbox, Notice, Wanted

log = structlog.get_logger(__name__)

STREAMS_SINCE: Final = "Exchange2010_SP1"

WAYS: Final[Mapping[Notice, Callable[[Watch], Awaitable[None]]]] = {
    Notice.STREAMING: streaming.listen,
    Notice.PUSH: pushing.listen,
    Notice.PULL: pulling.listen,
}


async def watch(session: Session, folder_of: FolderOf, wanted: Wanted, letterbox: Letterbox | None) -> AsyncIterator[Hint]:
    """Tell what changes, until closed; see `Provider.watch`."""
    state = Watch(session, folder_of, wanted, letterbox)
    working = asyncio.ensure_future(_work(state))
    try:
        while True:
            telling = asyncio.ensure_future(state.hints.get())
            await asyncio.wait({telling, working}, return_when=asyncio.FIRST_COMPLETED)
            if telling.done():
                yield telling.result()
                continue
            telling.cancel()
            await working
            return
    finally:
        working.cancel()
        await asyncio.gather(working, return_exceptions=True)


async def _work(state: Watch) -> None:
    """Listen in the best way, and when that does not work here in the next. Raises what ended the last."""
    why: Trouble = Permanent("ews.subscription_lost", Scope.ACCOUNT, host=state.session.login.url)
    for way in await _ways(state):
        state.how = way
        try:
            await WAYS[way](state)
        except DoesNotWork as failed:
            why = failed.why
            log.warning("watch_way_given_up", way=way.value, code=why.code)
    raise why


async def _ways(state: Watch) -> Iterable[Notice]:
    """Give the ways to try, the best first: the one the connection names, or those that server and network may allow."""
    named = state.session.login.options.get("notify", "")
    if named in {way.value for way in WAYS} and not (named == Notice.PUSH and state.letterbox is None):
        return (Notice(named),)
    mailbox = next(iter(ref.mailbox for ref in state.wanted.refs), "")
    version = await state.session.version(mailbox)
    streams = (Notice.STREAMING,) if version.knows(STREAMS_SINCE) else ()
    pushes = (Notice.PUSH,) if state.letterbox is not None else ()
    return (*streams, *pushes, Notice.PULL)
