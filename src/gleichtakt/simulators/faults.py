"""The rules by which a simulated system goes wrong, the same bookkeeping for each of them."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar


class Rule(Protocol):
    """What every kind of fault has: it passes `skip` matching calls, then strikes `times` of them, always if negative."""

    skip: int
    times: int
    id: int

    @property
    def matches(self) -> Callable[..., bool]:
        """Say whether a call meets the conditions."""


AnyRule = TypeVar("AnyRule", bound=Rule)


@dataclass(slots=True)
class Faults(Generic[AnyRule]):
    """The rules in force, in the order in which they were made."""

    rules: list[AnyRule] = field(default_factory=list)
    made: int = 0

    def add(self, fault: AnyRule) -> AnyRule:
        """Put a rule in force and give it a number."""
        self.made += 1
        fault.id = self.made
        self.rules.append(fault)
        return fault

    def clear(self, number: int | None = None) -> None:
        """Lift one rule, or all."""
        self.rules = [rule for rule in self.rules if number is not None and rule.id != number]

    def take(self, *call: str) -> list[AnyRule]:
        """Give the rules that strike a call, and count it against them."""
        struck: list[AnyRule] = []
        for rule in self.rules:
            if not rule.matches(*call):
                continue
            if rule.skip:
                rule.skip -= 1
                continue
            rule.times -= 1
            struck.append(rule)
        if struck:
            self.rules = [rule for rule in self.rules if rule.times != 0]
        return struck


def known(name: str, names: Collection[str], what: str) -> None:
    """Raise ValueError that lists those there are, unless the name is one of them."""
    if name not in names:
        raise ValueError(f"unknown {what} {name!r}; known are {', '.join(sorted(names))}")
