"""The feeds of the simulated publisher, how each is served, and the record of who asked."""

from __future__ import annotations

import hashlib
import uuid
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from gleichtakt.simulators.clock import Clock
from gleichtakt.simulators.faults import Faults, known

#: What can go wrong. `status`: an answer with `status`, `headers` and `body`. `lost`: no answer. `cut`: the connection
#: ends after the share `at` of the body, its length told or not (`tells_length`). `delay`: `seconds` before the answer.
FAULTS = frozenset({"status", "lost", "cut", "delay"})


@dataclass(frozen=True, slots=True)
class Item:
    """One published event. lines: what stands between BEGIN:VEVENT and END:VEVENT besides the UID. ends: when it is over."""

    uid: str
    lines: tuple[str, ...]
    ends: datetime | None = None


@dataclass(slots=True)
class Fault:
    """One rule. It is used up after `times` downloads, never if negative. path: what the address contains."""

    do: str
    path: str = ""
    skip: int = 0
    times: int = 1
    status: int = 500
    headers: dict[str, str] = field(default_factory=dict)
    body: str = ""
    at: float = 0.6
    tells_length: bool = True
    seconds: float = 0.0
    id: int = 0

    def __post_init__(self) -> None:
        """Raise ValueError for an unknown kind."""
        known(self.do, FAULTS, "fault")

    def matches(self, path: str) -> bool:
        """Say whether a download meets the conditions."""
        return self.path in path


@dataclass(slots=True)
class Feed:
    """One feed and how it is served.

    fresh_uids: each download has new ones. rolls_after: events that ended longer ago are no longer offered. head: lines
    of the calendar itself. raw: served instead of the items, as it is. etags, dates: whether conditions are answered.
    packed: sent with gzip; says_packed: and says so. bomb: megabytes of blanks are put before the end.
    """

    name: str
    items: list[Item] = field(default_factory=list)
    head: tuple[str, ...] = ()
    fresh_uids: bool = False
    rolls_after: timedelta | None = None
    raw: bytes | None = None
    etags: bool = True
    dates: bool = True
    packed: bool = False
    says_packed: bool = True
    bomb: int = 0
    changed_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    def write(self, now: datetime) -> bytes:
        """Give the file as it is served at a time."""
        if self.raw is not None:
            return self.raw
        lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//Publisher//EN", *self.head]
        for item in self.items:
            if self.rolls_after is not None and item.ends is not None and item.ends < now - self.rolls_after:
                continue
            uid = str(uuid.uuid4()) if self.fresh_uids else item.uid
            lines += ["BEGIN:VEVENT", f"UID:{uid}", "DTSTAMP:20260101T000000Z", *item.lines, "END:VEVENT"]
        text = "\r\n".join(lines).encode() + b"\r\n"
        return text + (b"\r\n" * (self.bomb << 19)) + b"END:VCALENDAR\r\n"


@dataclass(slots=True)
class Simulator:
    """One publisher."""

    feeds: dict[str, Feed] = field(default_factory=dict)
    faults: Faults[Fault] = field(default_factory=Faults)
    ledger: deque[dict[str, Any]] = field(default_factory=lambda: deque(maxlen=100_000))
    accounts: dict[str, str] = field(default_factory=dict)
    clock: Clock = field(default_factory=Clock)

    def feed(self, name: str) -> Feed:
        """Give a feed, made when first named."""
        return self.feeds.setdefault(name, Feed(name))


def etag_of(body: bytes) -> str:
    """Give the version of a file."""
    return f'"{hashlib.sha256(body).hexdigest()[:16]}"'
