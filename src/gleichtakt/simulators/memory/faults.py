"""Faults on demand: which call goes wrong, how, and whether it took effect before it did."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from gleichtakt.simulators.faults import known

WRITES = ("create", "update", "delete")

#: What can go wrong. `lost`: the connection breaks without an answer. `cap`: a listing or answer stops after `count`
#: objects without its end mark. `repeat`: what was just delivered is delivered again. `withdrawn`: what changed is
#: told as gone although it stands there. `unreadable`: an object's content is garbage in this answer. `garbage`: the
#: answer is no JSON. `delay`: the answer comes `seconds` later. Of messages about changes (verb `event`): `silence`: it is
#: not sent. `ended`: the subscription ends instead, and says so; `lost`, `repeat` and `delay` as for answers.
KINDS = (
    "failure",
    "lost",
    "throttle",
    "login",
    "forbidden",
    "no_calendar",
    "cursor",
    "cap",
    "repeat",
    "withdrawn",
    "unreadable",
    "garbage",
    "delay",
    "rejected",
    "silence",
    "ended",
)


@dataclass(slots=True)
class Fault:
    """One rule. Empty conditions match everything; it is used up after `times` matching calls, never if negative.

    verb: a call (`create`, `changes` …), `write` for the three writes, `event` for messages, or `*` for any call. effect:
    whether the call is carried out all the same. skip: so many matching calls pass unharmed first («at page n» is
    `changes` with skip n-1).
    """

    do: str
    verb: str = "*"
    effect: bool = False
    mailbox: str = ""
    calendar: str = ""
    href: str = ""
    skip: int = 0
    times: int = 1
    seconds: float = 0.0
    until: datetime | None = None
    count: int = 0
    id: int = 0

    def __post_init__(self) -> None:
        """Raise ValueError for an unknown kind."""
        known(self.do, KINDS, "fault")

    def matches(self, verb: str, mailbox: str, calendar: str, href: str) -> bool:
        """Say whether a call meets the conditions."""
        return (
            (self.verb == verb or (self.verb == "*" and verb != "event") or (self.verb == "write" and verb in WRITES))
            and self.mailbox in ("", mailbox)
            and self.calendar in ("", calendar)
            and self.href in ("", href)
        )
