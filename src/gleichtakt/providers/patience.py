"""When to try again what failed for one of many, so that a sick one neither stops the others nor is asked all the time."""

from __future__ import annotations

import random
import time
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)


@dataclass(slots=True)
class Patience(Generic[T]):
    """Growing pauses for each of many, with jitter. first_seconds doubles with each failure in a row, up to most_seconds."""

    first_seconds: float = 2.0
    most_seconds: float = 900.0
    failures: dict[T, int] = field(default_factory=dict)
    until: dict[T, float] = field(default_factory=dict)

    def failed(self, one: T, at_least_seconds: float = 0.0) -> None:
        """Let it rest, longer than the last time. at_least_seconds: what the other side asked for."""
        self.failures[one] = self.failures.get(one, 0) + 1
        pause = min(self.first_seconds * 2 ** min(self.failures[one] - 1, 20), self.most_seconds)
        self.until[one] = time.monotonic() + max(pause * random.uniform(0.5, 1.5), at_least_seconds)  # noqa: S311 - jitter

    def worked(self, one: T) -> None:
        """Forget its failures."""
        self.failures.pop(one, None)
        self.until.pop(one, None)

    def keep(self, those: Iterable[T]) -> None:
        """Forget all but these."""
        for gone in self.failures.keys() - set(those):
            self.worked(gone)

    def may(self, one: T) -> bool:
        """Say whether it may be tried now."""
        return self.until.get(one, 0.0) <= time.monotonic()

    def seconds(self, those: Iterable[T]) -> float | None:
        """Give how long until the first of these may be tried; None where none of them rests."""
        waits = [self.until[one] - time.monotonic() for one in those if one in self.until]
        return max(0.0, min(waits)) if waits else None
