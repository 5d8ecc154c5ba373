"""How much one caller may ask for: calls in a time, at once, and left open. Each budget belongs to whom a call is for.

Under impersonation that is the mailbox, else the account. Who goes on asking while told to wait, waits from the start.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from typing import Any

from gleichtakt.simulators.clock import Clock
from gleichtakt.simulators.exchange.state import Refused
from gleichtakt.simulators.faults import known


@dataclass(slots=True)
class Policy:
    """What every budget allows. calls: in `window_seconds`; 0 for any number. hanging: streams open at once."""

    calls: int = 0
    window_seconds: float = 60.0
    at_once: int = 27
    hanging: int = 10
    subscriptions: int = 5000
    back_off_ms: int = 5000


@dataclass(slots=True)
class Budget:
    """What one owner used. impatient: calls that came although it was told to wait."""

    calls: list[datetime] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0
    hanging: int = 0
    refused: int = 0
    impatient: int = 0
    until: datetime | None = None


@dataclass(slots=True)
class Throttle:
    """The budgets, by owner in small letters."""

    clock: Clock
    policy: Policy = field(default_factory=Policy)
    budgets: dict[str, Budget] = field(default_factory=dict)

    def budget(self, owner: str) -> Budget:
        """Give the budget of an owner."""
        return self.budgets.setdefault(owner.lower(), Budget())

    @contextmanager
    def spending(self, owner: str) -> Iterator[None]:
        """Count a call while it lasts. Raises Refused for one too many."""
        budget = self.count(owner)
        if budget.at_once >= self.policy.at_once:
            budget.refused += 1
            raise Refused(
                "ErrorExceededConnectionCount", "You have exceeded the available concurrent connections for your account."
            )
        budget.at_once += 1
        budget.most_at_once = max(budget.most_at_once, budget.at_once)
        try:
            yield
        finally:
            budget.at_once -= 1

    @contextmanager
    def hanging(self, owner: str) -> Iterator[None]:
        """Count an open stream while it lasts. Raises Refused for one too many."""
        budget = self.budget(owner)
        if budget.hanging >= self.policy.hanging:
            budget.refused += 1
            raise Refused(
                "ErrorExceededConnectionCount", "You have exceeded the available concurrent connections for your account."
            )
        budget.hanging += 1
        try:
            yield
        finally:
            budget.hanging -= 1

    def count(self, owner: str) -> Budget:
        """Count a call, which may be too many in a time. Raises Refused then."""
        budget, now = self.budget(owner), self.clock.now()
        if budget.until is not None and now < budget.until:
            budget.impatient += 1
            raise self._busy(budget, now)
        budget.until = None
        if not self.policy.calls:
            return budget
        since = now - timedelta(seconds=self.policy.window_seconds)
        budget.calls = [call for call in budget.calls if call > since]
        if len(budget.calls) >= self.policy.calls:
            raise self._busy(budget, now)
        budget.calls.append(now)
        return budget

    def _busy(self, budget: Budget, now: datetime) -> Refused:
        wanted = now + timedelta(milliseconds=self.policy.back_off_ms)
        budget.until = max(wanted, budget.until or wanted)
        budget.refused += 1
        left = max(1, round((budget.until - now).total_seconds() * 1000))
        return Refused(
            "ErrorServerBusy",
            "The server cannot service this request right now. Try again later.",
            {"BackOffMilliseconds": str(left)},
        )

    def pause(self, owner: str, seconds: float) -> None:
        """Refuse every call of an owner for so long."""
        self.budget(owner).until = self.clock.now() + timedelta(seconds=seconds)

    def set(self, values: dict[str, Any]) -> Policy:
        """Change what is allowed. Raises ValueError for something there is no limit of."""
        for name, value in values.items():
            known(name, {one.name for one in fields(Policy)}, "limit")
            setattr(self.policy, name, value)
        return self.policy
