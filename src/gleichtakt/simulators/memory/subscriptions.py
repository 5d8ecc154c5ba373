"""Who wants to be told of changes, and how this system tells: over the open connection, or by calling an address.

Telling is as little to be relied on as elsewhere: faults of the verbs `subscribe`, `renew` and `event` let subscriptions be
refused, end with or without a word, and messages be lost, doubled or late. A message says no more than that something
happened: `sync` (a subscription begins), `changed`, `missed` (something was not told), `reauthorize` (asks to be renewed
out of turn), `removed`, or whatever a test makes up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from secrets import token_hex

from gleichtakt.simulators.clock import Clock
from gleichtakt.simulators.faults import Faults
from gleichtakt.simulators.memory.faults import Fault

Place = tuple[str, str]  # mailbox and calendar

BREAK = ""  # the word at which the connection breaks instead


@dataclass(slots=True)
class Subscription:
    """One wish to be told of a calendar. client: number of the connection it goes over; url: the address to call instead."""

    id: str
    place: Place
    client: int
    url: str
    expires_at: datetime


#: Tells a subscriber a word, so many seconds later.
Tell = Callable[[Subscription, str, float], None]


def _to_nobody(_subscription: Subscription, _word: str, _seconds: float) -> None:
    """Stand in until there is a network."""


@dataclass(slots=True)
class Subscriptions:
    """All subscriptions. seconds: how long one lasts without renewal; beat_seconds: between two signs of life of a connection."""

    clock: Clock
    faults: Faults[Fault]
    seconds: float = 3600.0
    beat_seconds: float = 15.0
    tell: Tell = _to_nobody
    living: dict[str, Subscription] = field(default_factory=dict)
    by_place: dict[Place, dict[str, Subscription]] = field(default_factory=dict)
    told: int = 0  # messages that went out
    untold: int = 0  # changes of which somebody should have heard and did not
    numbers: Iterator[int] = field(default_factory=count)

    def begin(self, place: Place, client: int, url: str) -> Subscription:
        """Begin to tell of a calendar. Where it is by calling, the first word is `sync`."""
        ends = self.clock.now() + timedelta(seconds=self.seconds)
        made = Subscription(f"s{next(self.numbers)}-{token_hex(8)}", place, client, url, ends)
        self.living[made.id] = self.by_place.setdefault(place, {})[made.id] = made
        if url:
            self.tell(made, "sync", 0.0)
        return made

    def renew(self, subscription_id: str) -> Subscription | None:
        """Let a subscription last longer; None where there is none any more."""
        found = self.living.get(subscription_id)
        if found is None or found.expires_at <= self.clock.now():
            return None
        found.expires_at = self.clock.now() + timedelta(seconds=self.seconds)
        return found

    def end(self, subscription_id: str) -> None:
        """Stop telling, without a word."""
        ended = self.living.pop(subscription_id, None)
        if ended is not None:
            self.by_place[ended.place].pop(subscription_id)

    def vanish(self, client: int) -> None:
        """End what went over a connection that is gone."""
        for found in [found for found in self.living.values() if not found.url and found.client == client]:
            self.end(found.id)

    def changed(self, place: Place) -> None:
        """Tell everybody who wants to know that something happened there."""
        for found in list(self.by_place.get(place, {}).values()):
            if found.expires_at <= self.clock.now():
                self.end(found.id)
            else:
                self.say(found, "changed")

    def say(self, subscription: Subscription, word: str) -> None:
        """Tell one subscriber a word, as the faults of the verb `event` let it."""
        struck = self.faults.take("event", *subscription.place, "") if self.faults.rules else []
        kinds = {fault.do for fault in struck}
        if "silence" in kinds:
            self.untold += 1
        elif "lost" in kinds:
            self.untold += 1
            self.tell(subscription, BREAK, 0.0)
        elif "ended" in kinds:
            self.untold += 1
            self.end(subscription.id)
            self.tell(subscription, "removed", 0.0)
        else:
            later = sum(fault.seconds for fault in struck if fault.do == "delay")
            for _ in range(2 if "repeat" in kinds else 1):
                self.told += 1
                self.tell(subscription, word, later)
