"""The strip of beats beside each link: its last runs as bars, the application's writes upwards, the calendar's down."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import log2

from gleichtakt.store.desk import BEATS, Beat
from gleichtakt.web.i18n import Words

STEP, MIDDLE, TALLEST = 7, 15, 13  # units of the drawing
WIDTH = BEATS * STEP


@dataclass(frozen=True, slots=True)
class Bar:
    """One run. x: left edge; up, down: heights, 0 for none; mark: quiet, moved, failed, partial or open."""

    x: int
    up: int
    down: int
    mark: str


def bars(beats: Sequence[Beat]) -> list[Bar]:
    """Give the bars of a strip, the newest at the right edge."""
    offset = BEATS - len(beats)
    return [
        Bar((offset + number) * STEP, height(beat.app), height(beat.provider), _mark(beat)) for number, beat in enumerate(beats)
    ]


def height(writes: int) -> int:
    """Give the height for a number of writes: each doubling adds the same, so that one is seen beside a thousand."""
    return min(TALLEST, round(4 + 1.6 * log2(writes))) if writes > 0 else 0


def _mark(beat: Beat) -> str:
    if beat.state in ("queued", "running"):
        return "open"
    if beat.state in ("failed", "partial"):
        return beat.state
    return "moved" if beat.app or beat.provider else "quiet"


def summary(beats: Sequence[Beat], words: Words) -> str:
    """Say in words what the strip shows."""
    seen = Counter(_mark(beat) for beat in beats)
    parts = [words.count("%(num)s run", "%(num)s runs", len(beats))]
    if seen["moved"]:
        parts.append(words.count("%(num)s with changes", "%(num)s with changes", seen["moved"]))
    if seen["partial"]:
        parts.append(words.count("%(num)s partly done", "%(num)s partly done", seen["partial"]))
    if seen["failed"]:
        parts.append(words.count("%(num)s failed", "%(num)s failed", seen["failed"]))
    return words.join(parts)
