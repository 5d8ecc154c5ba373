"""Recurrence of a series: its occurrences in a window, its slots, its bounds, its splitting.

A slot is the original start of an occurrence, in the kind and zone of the master. Rules run on the local clock and
meet the zone last, so a meeting stays at ten when the clocks change. Reading and writing rules: `rule`; verdicts on
sloppy ones: `rule_repair`; the readings they produce: `rule_walk`.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import NamedTuple

from gleichtakt.errors import Permanent, Scope
from gleichtakt.model.event import Event, Series
from gleichtakt.model.point import Day, Floating, Point, Timespan, Zoned, instant, wall_of, with_wall
from gleichtakt.model.rule import Rule, fit_rule, fit_until, lines_of, parse_rule, rules_of, write_rule
from gleichtakt.model.rule_repair import repair_rule
from gleichtakt.model.rule_walk import Budget, walk
from gleichtakt.model.slot import same_slot, slot_key
from gleichtakt.model.zones import zone_of

__all__ = [
    "MAX_OCCURRENCES",
    "Occurrence",
    "bounds",
    "canonical_rule",
    "expand",
    "is_slot",
    "occurrence_event",
    "repair_rule",
    "same_slot",
    "slot_key",
]

MAX_OCCURRENCES = 20_000  # of one series in one window; half a century of working days

_EARLIEST, _LATEST = wall_of(Day(date.min)), datetime.combine(date.max, time(23, 59, 59))
_SLACK = timedelta(hours=26)  # what a local clock may differ from UTC, and a little


class Occurrence(NamedTuple):
    """One occurrence. slot: its original start; start, end: aware UTC; source: the master's event or the override's."""

    start: datetime
    end: datetime
    slot: Point
    source: Event
    is_override: bool

    @property
    def event(self) -> Event:
        """The effective content, with its own start and end."""
        return self.source if self.is_override else occurrence_event(self.source, self.slot)


def canonical_rule(text: str, start: Point) -> str:
    """Check the rules of a series and give them in canonical form, one per line. Raises ValueError with a reason.

    start: gives UNTIL its form. Blanks and case do not matter, ``RRULE:`` in front is allowed; ``EXRULE:`` lines come last.
    """
    rules = [fit_rule(parse_rule(line), start) for line in lines_of(text)]
    if not any(not rule.excludes for rule in rules):
        raise ValueError("expected a rule such as FREQ=WEEKLY;BYDAY=MO")
    return "\n".join(sorted({write_rule(rule) for rule in rules}, key=lambda line: (line.startswith("EXRULE:"), line)))


def occurrence_event(event: Event, slot: Point) -> Event:
    """Give the master's content moved to a slot; the end keeps its distance on the wall clock."""
    if slot == event.start:
        return event
    length = wall_of(event.end) - wall_of(event.start)
    return replace(event, start=slot, end=with_wall(event.end, _clamped(wall_of(slot), length)))


def _clamped(wall: datetime, by: timedelta) -> datetime:
    try:
        return wall + by
    except OverflowError:
        return _LATEST if by > timedelta(0) else _EARLIEST


def is_slot(series: Series, point: Point) -> bool:
    """Say whether the rule or the list puts an occurrence at a point, deleted (EXDATE) or not."""
    wall = wall_of(same_slot(series.event.start, point))
    return wall in _walls(series, Budget(), wall, _clamped(wall, timedelta(seconds=1)))


def _walls(series: Series, budget: Budget, since: datetime | None, before: datetime | None) -> Iterator[datetime]:
    """Yield the readings of all slots, EXDATE not applied, in order and once each, within a part of the series."""
    start = series.event.start
    begin = wall_of(start)
    rules = rules_of(series.rrule)
    streams = [_of_rule(rule, start, budget, since, before) for rule in rules if not rule.excludes]
    listed = [wall_of(point) for point in series.rdate]
    if not streams:
        listed.append(begin)
    if len(streams) == 1 and not series.rdate and len(rules) == 1:
        yield from streams[0]
        return
    merged = heapq.merge(*streams, sorted(listed))
    taken = _Taken([_of_rule(rule, start, budget, since, before) for rule in rules if rule.excludes])
    last = None
    for wall in merged:
        if wall != last and not taken.holds(wall):
            yield wall
        last = wall


class _Taken:
    """Readings that EXRULE takes away, walked along with the others."""

    def __init__(self, streams: list[Iterator[datetime]]) -> None:
        self.stream = heapq.merge(*streams)
        self.next = next(self.stream, None)

    def holds(self, wall: datetime) -> bool:
        while self.next is not None and self.next < wall:
            self.next = next(self.stream, None)
        return self.next == wall


def _of_rule(rule: Rule, start: Point, budget: Budget, since: datetime | None, before: datetime | None) -> Iterator[datetime]:
    """Yield a rule's readings up to its UNTIL, which counts as an instant where the start has a zone."""
    walls = walk(rule, wall_of(start), budget, since, before)
    if rule.until is None:
        return walls
    return _until(walls, rule.until, start)


def _until(walls: Iterator[datetime], until: Point, start: Point) -> Iterator[datetime]:
    limit = wall_of(until)
    if isinstance(start, Day) or not isinstance(until, Zoned):
        if isinstance(until, Day) and not isinstance(start, Day):
            limit = limit.replace(hour=23, minute=59, second=59)
        for wall in walls:
            if wall > limit:
                return
            yield wall
        return
    zone: tzinfo = zone_of(start.tzid) if isinstance(start, Zoned) else UTC
    sure, past = _clamped(limit, -_SLACK), _clamped(limit, _SLACK)
    moment = limit.replace(tzinfo=UTC)
    for wall in walls:
        if wall > past or (wall > sure and wall.replace(tzinfo=zone).astimezone(UTC) > moment):
            return
        yield wall


def expand(series: Series, window: Timespan, reader: tzinfo, limit: int = MAX_OCCURRENCES) -> Iterator[Occurrence]:
    """Yield the occurrences that touch *window*, by start.

    window: half-open, aware UTC. reader: zone that gives all-day and floating events their hours. Cancelled overrides
    are among them. An override beats an EXDATE of its slot, and stands also where the rule has no slot.
    Raises Permanent (SERIES) beyond *limit* or the steps of `rule_walk`. Sources: RFC 5545 §3.8.5.3, §3.8.4.4.
    """
    found: list[Occurrence] = []
    for override in series.overrides:
        occurrence = _occurrence(override.event, override.recurrence_id, override.event, reader, True)
        if _touches(occurrence, window):
            found.append(occurrence)
    if not series.is_detached:
        found.extend(_plain(series, window, reader, limit))
    if len(found) > limit:
        raise Permanent("ics.too_dense", Scope.SERIES, detail=f"more than {limit} occurrences in the window")
    found.sort(key=_by_start)
    return iter(found)


def _plain(series: Series, window: Timespan, reader: tzinfo, limit: int) -> Iterator[Occurrence]:
    event = series.event
    zone = zone_of(event.start.tzid) if isinstance(event.start, Zoned) else reader
    length = wall_of(event.end) - wall_of(event.start)
    since = _clamped(_local(window.start, zone), -max(length, timedelta(0)) - _SLACK)
    before = _clamped(_local(window.end, zone), _SLACK)
    replaced = {wall_of(override.recurrence_id) for override in series.overrides}
    replaced.update(wall_of(point) for point in series.exdate)
    count = 0
    for wall in _walls(series, Budget(), since, before):
        if wall < since or wall in replaced:
            continue
        if wall >= before:
            return
        slot = event.start if wall == wall_of(event.start) else with_wall(event.start, wall)
        occurrence = _occurrence(event, slot, occurrence_event(event, slot), reader, False)
        if _touches(occurrence, window):
            count += 1
            if count > limit:
                raise Permanent("ics.too_dense", Scope.SERIES, detail=f"more than {limit} occurrences in the window")
            yield occurrence


def _local(moment: datetime, zone: tzinfo) -> datetime:
    try:
        return moment.astimezone(zone).replace(tzinfo=None)
    except OverflowError:
        return moment.replace(tzinfo=None)


def _occurrence(source: Event, slot: Point, event: Event, reader: tzinfo, is_override: bool) -> Occurrence:
    start, end = instant(event.start, reader), instant(event.end, reader)
    return Occurrence(start, max(start, end), slot, source, is_override)


def _by_start(occurrence: Occurrence) -> tuple[datetime, datetime]:
    return occurrence.start, wall_of(occurrence.slot)


def _touches(occurrence: Occurrence, window: Timespan) -> bool:
    start, end, *_ = occurrence
    if start == end:
        return window.start <= start < window.end
    return start < window.end and end > window.start


def bounds(series: Series, reader: tzinfo) -> tuple[datetime, datetime | None]:
    """Give a lower bound of the starts and an upper one of the ends, aware UTC; None where the series has no end.

    Raises Permanent (SERIES) where COUNT cannot be counted within the steps allowed.
    """
    events = [override.event for override in series.overrides]
    if not series.is_detached:
        events.append(series.event)
        events += [occurrence_event(series.event, point) for point in series.rdate]
    last: Point | None = series.event.start
    for rule in rules_of(series.rrule):
        if not rule.excludes and last is not None:
            last = _last_start(rule, series.event.start)
            events += [occurrence_event(series.event, last)] if last is not None else []
    ends = [max(instant(event.start, reader), instant(event.end, reader)) for event in events]
    return min(instant(event.start, reader) for event in events), max(ends) if last is not None else None


def _last_start(rule: Rule, start: Point) -> Point | None:
    """Give the last slot a rule can have, not before the start; None where it has no end."""
    if rule.until is not None:
        until = rule.until if not isinstance(start, Day) else Day(wall_of(rule.until).date())
        until = until if isinstance(start, Zoned) or isinstance(until, Day) else Floating(wall_of(until))
        last = same_slot(start, fit_until(until, start))
        return last if wall_of(last) > wall_of(start) else start
    if rule.count is None:
        return None
    walls = deque(walk(rule, wall_of(start), Budget()), maxlen=1)
    return with_wall(start, walls[0]) if walls else start
