"""Calls of which every part counts: the parts of an answer that were refused become troubles here."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Sequence
from typing import Any, TypeVar

from gleichtakt.errors import Scope, Transient, Trouble
from gleichtakt.providers.ews import faults
from gleichtakt.providers.ews.session import Session
from gleichtakt.providers.ews.wire import soap

T = TypeVar("T")


async def refused(
    session: Session, outcome: soap.Outcome, mailbox: str, *, writes: bool = False, least: Scope = Scope.SERIES
) -> Trouble:
    """Classify one part of an answer that was refused. least: how much stops at least."""
    found = await session.endpoint(mailbox)
    budgets = session.budgets
    return faults.trouble(
        outcome.code, outcome.params, host=found.host, now=budgets.now(), writes=writes, least=least, budget=budgets.scope
    )


async def ask(session: Session, operation: str, body: bytes, mailbox: str, *, least: Scope = Scope.CALENDAR) -> soap.Element:
    """Ask for one thing and give the element that holds it. Raises what it was refused for."""
    outcome = next(iter(soap.outcomes(await session.call(operation, body, mailbox=mailbox))), None)
    if outcome is None:
        raise await malformed(session, mailbox, f"{operation} without an answer")
    if outcome.is_error:
        raise await refused(session, outcome, mailbox, least=least)
    return outcome.element


async def malformed(session: Session, mailbox: str, reason: str) -> Transient:
    """Give the trouble of an answer in which something is missing."""
    return Transient("general.malformed", Scope.CALENDAR, host=(await session.endpoint(mailbox)).host, reason=reason)


async def together(calls: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Make calls side by side, as many at once as the mailbox bears; the first that fails ends the others."""
    tasks = [asyncio.ensure_future(call) for call in calls]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()


def groups(things: Sequence[T], size: int) -> list[Sequence[T]]:
    """Cut a list into pieces of a size."""
    return [things[at : at + size] for at in range(0, len(things), size)]
