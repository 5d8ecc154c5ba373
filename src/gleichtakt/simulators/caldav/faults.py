"""Faults on demand: which request goes wrong, how, and whether it took effect before it did."""

from __future__ import annotations

from dataclasses import dataclass, field

from gleichtakt.simulators.faults import known

WRITES = frozenset({"create", "update", "delete"})

#: What can go wrong. `status`: an answer with `status`, `headers` and `body`. `lost`: the connection breaks without an
#: answer. `cut`: the answer breaks off after `count` bytes, or in the middle. `garbage`: the answer is `body`. `delay`:
#: it comes `seconds` later. `cap`: only the first `count` objects are answered, in silence. `item`: one object inside
#: an answer has `status`. `spoil`: forbidden bytes stand in the answer. `bare`: a multiget names objects without content.
KINDS = frozenset({"status", "lost", "cut", "garbage", "delay", "cap", "item", "spoil", "bare"})

#: verb of a request: `create`, `update`, `delete`; `fetch` (GET, multiget), `list` (sync-collection, PROPFIND of
#: members), `state` (PROPFIND of one collection), `discover` (everything else).
VERBS = frozenset({"create", "update", "delete", "fetch", "list", "state", "discover"})


@dataclass(slots=True)
class Fault:
    """One rule. Empty conditions match everything; it is used up after `times` matching requests, never if negative.

    verb: see VERBS, `write` for the three writes, or `*`. effect: whether the request is carried out all the same.
    skip: so many matching requests pass unharmed first. path: what the path contains,
    for `item` that of the object.
    """

    do: str
    verb: str = "*"
    effect: bool = False
    path: str = ""
    skip: int = 0
    times: int = 1
    status: int = 500
    headers: dict[str, str] = field(default_factory=dict)
    body: str = ""
    seconds: float = 0.0
    count: int = 0
    id: int = 0

    def __post_init__(self) -> None:
        """Raise ValueError for an unknown kind or verb."""
        known(self.do, KINDS, "fault")
        known(self.verb, VERBS | {"*", "write"}, "verb")

    def matches(self, verb: str, path: str) -> bool:
        """Say whether a request meets the conditions."""
        is_there = self.do == "item" or self.path in path
        return is_there and (self.verb in ("*", verb) or (self.verb == "write" and verb in WRITES))
