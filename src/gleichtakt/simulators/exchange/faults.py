"""Faults on demand: which request goes wrong, in which part of it, and whether it took effect before it did."""

from __future__ import annotations

from dataclasses import dataclass, field

from gleichtakt.simulators.exchange.state import Refused
from gleichtakt.simulators.faults import known

WRITES = frozenset({"CreateItem", "UpdateItem", "DeleteItem"})

#: What can go wrong. `fault`: a SOAP fault with `code`. `item`: the parts of a request that contain `contains`, or the
#: one at `place`, are answered with `code`. `status`: an HTTP answer with `status`, `headers` and `body`. `lost`: the
#: connection breaks without an answer. `cut`: the answer breaks off after `count` bytes, or in the middle. `garbage`:
#: the answer is `body`. `spoil`: bytes stand in the answer that XML forbids. `delay`: it comes `seconds` later.
KINDS = frozenset({"fault", "item", "status", "lost", "cut", "garbage", "spoil", "delay"})


@dataclass(slots=True)
class Fault:
    """One rule. Empty conditions match everything; it is used up after `times` matching requests, never if negative.

    operation: name of an operation, `Autodiscover`, `write` for the three writes, or `*`. effect: whether the request
    is carried out all the same. skip: so many matching requests pass unharmed first. contains: text of the request,
    such as an id. back_off: milliseconds that an error of throttling names.
    """

    do: str
    operation: str = "*"
    mailbox: str = ""
    contains: str = ""
    place: int = -1
    effect: bool = False
    skip: int = 0
    times: int = 1
    code: str = "ErrorInternalServerError"
    back_off: int = 0
    status: int = 500
    headers: dict[str, str] = field(default_factory=dict)
    body: str = ""
    seconds: float = 0.0
    count: int = 0
    id: int = 0

    def __post_init__(self) -> None:
        """Raise ValueError for an unknown kind."""
        known(self.do, KINDS, "fault")

    def matches(self, operation: str, mailbox: str, text: str) -> bool:
        """Say whether a request meets the conditions."""
        return (
            (self.operation in ("*", operation) or (self.operation == "write" and operation in WRITES))
            and self.mailbox.lower() in ("", mailbox.lower())
            and self.contains in text
        )

    def strikes(self, place: int, text: str) -> bool:
        """Say whether one part of a request is meant."""
        return self.contains in text and self.place in (-1, place)

    def refusal(self) -> Refused:
        """Give what the server says."""
        params = {"BackOffMilliseconds": str(self.back_off)} if self.back_off else {}
        return Refused(self.code, f"{self.code}, as ordered.", params)
