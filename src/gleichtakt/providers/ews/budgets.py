"""How much at once, and until when not at all: per mailbox under impersonation, per account otherwise.

Exchange counts what is done on the mailbox that is impersonated, else on the caller, and says «slow down» to one of them;
sending on prolongs it. A short pause is sat out, a longer one is told to whoever asks, before anything is sent.
Source: «EWS throttling in Exchange» in Microsoft's documents.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

from gleichtakt.errors import Scope
from gleichtakt.providers.ews.faults import throttled

SAT_OUT: Final = timedelta(seconds=3)  # a pause that is not worth giving up a pass for
EASE: Final = timedelta(minutes=2)  # after so long without being told off one request more is tried at once
KEPT: Final = 1024  # budgets kept before those at rest are forgotten


@dataclass(slots=True)
class Budget:
    """What one mailbox or one account may do at once. most: as set; allowed: as learnt; until: a pause, if one was asked for."""

    most: int
    allowed: int
    until: datetime | None = None
    told_off: datetime | None = None
    running: int = 0
    waiting: int = 0
    _changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    def is_at_rest(self, now: datetime) -> bool:
        """Say whether nothing would be lost by forgetting it."""
        return not self.running and not self.waiting and self.told_off is None and (self.until is None or self.until <= now)

    def lower(self, now: datetime) -> None:
        """Allow half as much at once."""
        self.allowed, self.told_off = max(1, self.allowed // 2), now

    def ease(self, now: datetime) -> None:
        """Allow one more at once where the last complaint is long ago."""
        if self.told_off is not None and now - self.told_off >= EASE:
            self.allowed = min(self.most, self.allowed + 1)
            self.told_off = now if self.allowed < self.most else None

    @asynccontextmanager
    async def turn(self, now: Callable[[], datetime]) -> AsyncIterator[None]:
        """Wait for a place; those who came first go first."""
        self.waiting += 1
        try:
            async with self._changed:
                self.ease(now())
                await self._changed.wait_for(lambda: self.running < self.allowed)
                self.running += 1
        finally:
            self.waiting -= 1
        try:
            yield
        finally:
            self.running -= 1
            async with self._changed:
                self._changed.notify()


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(slots=True)
class Budgets:
    """The budgets of one login. is_shared: one for the account, whatever the mailbox."""

    is_shared: bool
    most: int
    now: Callable[[], datetime] = _utc_now
    _kept: dict[str, Budget] = field(default_factory=dict)

    @property
    def scope(self) -> Scope:
        """Say how much stops when one of them rests."""
        return Scope.ACCOUNT if self.is_shared else Scope.CALENDAR

    def of(self, mailbox: str) -> Budget:
        """Give the budget that a call for a mailbox draws on."""
        key = "" if self.is_shared else mailbox.lower()
        found = self._kept.get(key)
        if found is None:
            if len(self._kept) >= KEPT:
                self._forget()
            found = self._kept[key] = Budget(self.most, self.most)
        return found

    @asynccontextmanager
    async def turn(self, mailbox: str, host: str) -> AsyncIterator[Budget]:
        """Take a place for one request. Raises Throttled while the budget rests for longer than is sat out."""
        budget = self.of(mailbox)
        await self.ready(budget, host)
        async with budget.turn(self.now):
            await self.ready(budget, host)  # others may have been told to wait while we stood in line
            yield budget

    async def ready(self, budget: Budget, host: str) -> None:
        """Return when the budget does not rest. Raises Throttled where that is too long to wait for."""
        while (until := budget.until) is not None and (left := until - self.now()) > timedelta():
            if left > SAT_OUT:
                raise throttled(until, self.scope, host)
            await asyncio.sleep(left.total_seconds())

    def pause(self, budget: Budget, until: datetime) -> bool:
        """Let a budget rest. Say whether that is news; a shorter pause does not cut a longer one."""
        is_news = budget.until is None or budget.until < until
        if is_news:
            budget.until = until
        return is_news

    def _forget(self) -> None:
        now = self.now()
        self._kept = {key: budget for key, budget in self._kept.items() if not budget.is_at_rest(now)}
