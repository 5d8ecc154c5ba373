"""Free/busy: stretches of time without content, and the algebra on them.

All stretches are half-open and in aware UTC. Where several events cover one instant, the strongest state counts, in
Exchange's order: away, busy, tentative, working elsewhere, free.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from itertools import pairwise

from gleichtakt.model.event import Series, ShowAs, Status
from gleichtakt.model.point import Timespan
from gleichtakt.model.recurrence import expand

STRENGTH = (ShowAs.OOF, ShowAs.BUSY, ShowAs.TENTATIVE, ShowAs.WORKING_ELSEWHERE, ShowAs.FREE)
#: States in which a person cannot be booked; a tentative booking holds its time until it is refused.
BLOCKING = frozenset({ShowAs.OOF, ShowAs.BUSY, ShowAs.TENTATIVE})


@dataclass(frozen=True, slots=True)
class Busy:
    """One stretch and what it does to a person's time."""

    span: Timespan
    show_as: ShowAs


@dataclass(frozen=True, slots=True)
class Common:
    """A stretch in which the same people are free from end to end. who: their places in the question, sorted."""

    span: Timespan
    who: tuple[int, ...]


def busy_times(series: Iterable[Series], window: Timespan, reader: tzinfo) -> tuple[Busy, ...]:
    """Give the busy stretches of a calendar within a window, cut to it, merged; cancelled and free events are none."""
    found = (
        Busy(Timespan(occurrence.start, occurrence.end), occurrence.source.show_as)
        for one in series
        for occurrence in expand(one, window, reader)
        if occurrence.source.status is not Status.CANCELLED and occurrence.source.show_as is not ShowAs.FREE
    )
    return merge(cut(found, window))


def cut(busy: Iterable[Busy], window: Timespan) -> Iterator[Busy]:
    """Cut stretches to a window; those outside it, and those without length, fall away."""
    for one in busy:
        span = one.span
        if window.start <= span.start < span.end <= window.end:
            yield one
            continue
        start, end = max(span.start, window.start), min(span.end, window.end)
        if start < end:
            yield Busy(Timespan(start, end), one.show_as)


def merge(busy: Iterable[Busy]) -> tuple[Busy, ...]:
    """Give stretches that neither overlap nor touch in the same state, by start; the strongest state counts."""
    merged: list[Busy] = []
    for overlapping in _clusters(busy):
        for one in overlapping if len(overlapping) == 1 else _strongest(overlapping):
            before = merged[-1] if merged else None
            if before is not None and before.span.end == one.span.start and before.show_as is one.show_as:
                merged[-1] = Busy(Timespan(before.span.start, one.span.end), one.show_as)
            else:
                merged.append(one)
    return tuple(merged)


def _clusters(busy: Iterable[Busy]) -> Iterator[list[Busy]]:
    """Part stretches into groups that have no instant in common, by start. Most groups of a calendar are one stretch."""
    group: list[Busy] = []
    end = None
    for one in sorted((one for one in busy if one.span.start < one.span.end), key=_start):
        if end is not None and one.span.start >= end:
            yield group
            group, end = [], None
        group.append(one)
        end = one.span.end if end is None else max(end, one.span.end)
    if group:
        yield group


def _start(one: Busy) -> datetime:
    return one.span.start


def _strongest(overlapping: Iterable[Busy]) -> Iterator[Busy]:
    """Yield from edge to edge which state counts where stretches overlap."""
    edges: dict[datetime, Counter[ShowAs]] = {}
    for one in overlapping:
        edges.setdefault(one.span.start, Counter())[one.show_as] += 1
        edges.setdefault(one.span.end, Counter())[one.show_as] -= 1
    running: Counter[ShowAs] = Counter()
    for start, end in pairwise(sorted(edges)):
        running.update(edges[start])
        state = next((state for state in STRENGTH if running[state] > 0), None)
        if state is not None:
            yield Busy(Timespan(start, end), state)


def free(busy: Iterable[Busy], window: Timespan, blocking: frozenset[ShowAs] = BLOCKING) -> tuple[Timespan, ...]:
    """Give the stretches of a window in which nothing blocks."""
    taken = merge(Busy(one.span, ShowAs.BUSY) for one in cut(busy, window) if one.show_as in blocking)
    edges = [window.start, *(edge for one in taken for edge in (one.span.start, one.span.end)), window.end]
    gaps = zip(edges[::2], edges[1::2], strict=True)
    return tuple(Timespan(start, end) for start, end in gaps if start < end)


def widened(busy: Iterable[Busy], before: timedelta, after: timedelta) -> Iterator[Busy]:
    """Add travel or cleaning time around each stretch."""
    for one in busy:
        yield Busy(Timespan(one.span.start - before, one.span.end + after), one.show_as)


def overlap(first: Sequence[Timespan], second: Sequence[Timespan]) -> tuple[Timespan, ...]:
    """Give what two ordered sequences of stretches share."""
    shared: list[Timespan] = []
    i = j = 0
    while i < len(first) and j < len(second):
        start, end = max(first[i].start, second[j].start), min(first[i].end, second[j].end)
        if start < end:
            shared.append(Timespan(start, end))
        if first[i].end < second[j].end:
            i += 1
        else:
            j += 1
    return tuple(shared)


def common_free(
    people: Sequence[Sequence[Busy]],
    window: Timespan,
    *,
    length: timedelta,
    required: int | None = None,
    before: timedelta = timedelta(0),
    after: timedelta = timedelta(0),
    hours: Sequence[Sequence[Timespan] | None] = (),
    blocking: frozenset[ShowAs] = BLOCKING,
) -> tuple[Common, ...]:
    """Give every stretch of at least *length* in which *required* people (all, if None) are free throughout.

    before, after: how long a person must be free around the meeting. hours: for each person the stretches in which
    they can be asked at all, ordered; None or missing for no limit. A stretch is as long as its people allow, so
    stretches with different people may overlap; none lies within another of the same people or more.
    """
    wanted = len(people) if required is None else required
    if wanted < 1 or wanted > len(people):
        raise ValueError("required: expected a number from 1 to the number of people")
    frees = [
        free(widened(busy, after, before), window, blocking)  # what a meeting needs before it, an event takes after it
        for busy in people
    ]
    limited = [
        overlap(spans, hours[place]) if place < len(hours) and hours[place] is not None else spans  # type: ignore[arg-type]
        for place, spans in enumerate(frees)
    ]
    return tuple(found for found in _lasting(limited, wanted) if found.span.end - found.span.start >= length)


def _lasting(frees: Sequence[Sequence[Timespan]], wanted: int) -> Iterator[Common]:
    """Yield the longest stretches in which the same *wanted* people or more stay free."""
    steps = _steps(frees)
    for place, (start, who) in enumerate(steps[:-1]):
        earlier = steps[place - 1][1] if place else frozenset()
        staying = who
        for following in range(place + 1, len(steps)):
            left = staying & steps[following][1]
            if len(staying) >= wanted and left != staying and not staying <= earlier:
                yield Common(Timespan(start, steps[following][0]), tuple(sorted(staying)))
            staying = left
            if len(staying) < wanted:
                break


def _steps(frees: Sequence[Sequence[Timespan]]) -> list[tuple[datetime, frozenset[int]]]:
    """Give who is free from each edge on; the last edge ends with nobody."""
    changes: dict[datetime, set[int]] = {}
    for person, spans in enumerate(frees):
        for span in spans:
            for edge in (span.start, span.end):
                changes.setdefault(edge, set()).symmetric_difference_update({person})
    running: frozenset[int] = frozenset()
    steps = []
    for edge in sorted(changes):
        running ^= changes[edge]
        steps.append((edge, running))
    return steps
