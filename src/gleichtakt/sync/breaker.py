"""The loop breaker: notices that an event is written to and fro, by us and by somebody who answers every write of ours.

A person may change an event many times in an hour, and each change has to arrive. A loop is told from that by its
answers: the side that is written moves by itself each time, because a rule, an add-in or another sync product undoes or
continues what we wrote. Writes to a side that stays as we left it count as well, with far more patience, since a loop
may also run through a third calendar that we do not see.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from gleichtakt.sync.plan import Side

SPAN_SECONDS: Final = 3600
ANSWERED_MOST: Final = 5  # writes to one side of one event, where all but the first answer a movement there
WRITES_MOST: Final = 30  # of any kind; 60 are remembered per event, those of both sides together


@dataclass(frozen=True, slots=True)
class Written:
    """One write of ours to an event. at: seconds since 1970; answers: whether that side had moved since our last one."""

    side: Side
    at: float
    answers: bool


def read_writes(rows: Sequence[Sequence[Any]], now: float) -> tuple[Written, ...]:
    """Read what is stored of an event's writes, as far as it still counts."""
    return tuple(Written(Side(side), at, answers) for side, at, answers in rows if at > now - SPAN_SECONDS)


def write_row(side: Side, at: float, answers: bool) -> list[Any]:
    """Give the stored form of one write."""
    return [side.value, at, answers]


def answers(writes: Sequence[Written], side: Side, *, has_moved: bool) -> bool:
    """Say whether a write to a side answers it: it has moved, or the last thing we wrote was its change, over there."""
    return bool(writes) and (has_moved or writes[-1].side is not side)


def closed_until(writes: Sequence[Written], side: Side) -> float | None:
    """Say until when nothing more may be written to a side of an event, in seconds since 1970; None while it may."""
    here = [written for written in writes if written.side is side]
    if sum(written.answers for written in here) >= ANSWERED_MOST - 1 and len(here) >= ANSWERED_MOST:
        return here[-ANSWERED_MOST].at + SPAN_SECONDS
    if len(here) >= WRITES_MOST:
        return here[-WRITES_MOST].at + SPAN_SECONDS
    return None
