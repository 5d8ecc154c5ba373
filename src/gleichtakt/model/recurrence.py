"""Recurrence of a series: its occurrences in a window, its slots, its bounds, its splitting.

A slot is the original start of an occurrence, in the kind and zone of the master. Rules run on the local clock and
meet the zone last, so a meeting stays at ten when the clocks change. Reading and writing rules: `rule`; verdicts on
sloppy ones: `rule_repair`; the readings they produce: `rule_walk`.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from itertools import islice, takewhile, zip_longest
from typing import NamedTuple

from gleichtakt.errors import Permanent, Scope
from gleichtakt.model.event import Event, Override, Series
from gleichtakt.model.point import Day, Floating, Point, Timespan, Zoned, instant, wall_of, with_wall
from gleichtakt.model.rule import Freq, Rule, fit_rule, fit_until, lines_of, local_until, parse_rule, rules_of, write_rules
from gleichtakt.model.rule_repair import repair_rule
from gleichtakt.model.rule_walk import Budget, walk
from gleichtakt.model.slot import same_slot, slot_key
from gleichtakt.model.zones import zone_of

__all__ = [
    "MAX_OCCURRENCES",
    "Occurrence",
    "are_alike",
    "bounds",
    "canonical_rule",
    "expand",
    "is_slot",
    "match_slot",
    "occurrence_event",
    "orphans",
    "readings",
    "repair_rule",
    "same_slot",
    "slot_key",
    "slots",
]

MAX_OCCURRENCES = 20_000  # of one series in one window; half a century of working days
MOST_COMPARED = 1_000  # slots by which two rules are held against each other: no calendar program counts further

_EARLIEST, _LATEST = wall_of(Day(date.min)), datetime.combine(date.max, time(23, 59, 59))
_EPOCH, _EPOCH_UTC = wall_of(Day(date(1970, 1, 1))), datetime(1970, 1, 1, tzinfo=UTC)
_SLACK = timedelta(hours=26)  # what a local clock may differ from UTC, and a little


class Occurrence(NamedTuple):
    """One occurrence. start, end: aware UTC; wall: reading of its slot; source: the content it takes."""

    start: datetime
    end: datetime
    wall: datetime
    source: Event
    override: Override | None = None

    @property
    def slot(self) -> Point:
        """Its original start, in the master's kind and zone."""
        return self.override.recurrence_id if self.override else _slot_at(self.source.start, self.wall)

    @property
    def event(self) -> Event:
        """The effective content, with its own start and end."""
        return self.source if self.override else occurrence_event(self.source, self.slot)

    @property
    def is_override(self) -> bool:
        """Say whether it differs from what the rule gives."""
        return self.override is not None


def canonical_rule(text: str, start: Point) -> str:
    """Check the rules of a series and give them in canonical form, one per line. Raises ValueError with a reason.

    start: gives UNTIL its form. Blanks and case do not matter, ``RRULE:`` in front is allowed; ``EXRULE:`` lines come last.
    """
    rules = [fit_rule(parse_rule(line), start) for line in lines_of(text)]
    if not any(not rule.excludes for rule in rules):
        raise ValueError("expected a rule such as FREQ=WEEKLY;BYDAY=MO")
    return write_rules(rules)


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


def _slot_at(start: Point, wall: datetime) -> Point:
    """Give the slot at a reading; the first one keeps the pass of the clock its start says."""
    return start if wall == wall_of(start) else with_wall(start, wall)


def is_slot(series: Series, point: Point) -> bool:
    """Say whether the rule or the list puts an occurrence at a point, deleted (EXDATE) or not."""
    wall = wall_of(same_slot(series.event.start, point))
    return wall in slots(series, wall, _clamped(wall, timedelta(seconds=1)))


def match_slot(series: Series, point: Point) -> Point | None:
    """Find the slot another system means by a point: the same reading, else the same instant, else the one of that day.

    Instants part from readings in the gap of a clock change, and where the rules of a zone changed after the exception
    was written. None where no slot fits, or several do.
    """
    start = series.event.start
    wanted = same_slot(start, point)
    wall = wall_of(wanted)
    if wall in slots(series, wall, _clamped(wall, timedelta(seconds=1))):
        return wanted if wall != wall_of(start) else start
    near = slots(series, _clamped(wall, -_SLACK), _clamped(wall, _SLACK))
    if isinstance(start, Zoned):
        zone = zone_of(start.tzid)
        same = [slot for slot in near if instant(_slot_at(start, slot), zone) == instant(wanted, zone)]
    else:
        same = []
    same = same or [slot for slot in near if slot.date() == wall.date()]
    return _slot_at(start, same[0]) if len(same) == 1 else None


def orphans(series: Series) -> tuple[Override, ...]:
    """Give the overrides whose slot the series does not have: they are shown, and someone should look at them."""
    if series.is_detached:
        return ()
    return tuple(override for override in series.overrides if not is_slot(series, override.recurrence_id))


def slots(series: Series, since: datetime, before: datetime) -> list[datetime]:
    """Give the readings of all slots from *since* to *before*, on the series' own clock, deleted ones among them.

    Raises Permanent (SERIES) beyond the steps allowed.
    """
    walls = _walls(series, Budget(), since, before)
    return [wall for wall in takewhile(before.__gt__, walls) if wall >= since]


def are_alike(rrule: str, other: str, start: Point) -> bool:
    """Say whether two rules have the same slots from a start on, which one of them may need to know its days.

    Raises Permanent (SERIES) beyond the steps allowed.
    """
    found = [
        islice(_walls(Series("", Event(start, start), text), Budget(), None, None), MOST_COMPARED) for text in (rrule, other)
    ]
    return all(mine == yours for mine, yours in zip_longest(*found))


def _walls(series: Series, budget: Budget, since: datetime | None, before: datetime | None) -> Iterator[datetime]:
    """Yield the readings of all slots, EXDATE not applied, in order and once each.

    since, before: which part is wanted; readings around it may come too.
    """
    start = series.event.start
    rules = rules_of(series.rrule)
    streams = [readings(rule, start, budget, since, before) for rule in rules if not rule.excludes]
    if len(rules) == 1 and streams and not series.rdate:
        return streams[0]
    listed = [wall_of(point) for point in series.rdate]
    if not streams:
        listed.append(wall_of(start))
    taken = heapq.merge(*(readings(rule, start, budget, since, before) for rule in rules if rule.excludes))
    return _joined(heapq.merge(*streams, sorted(listed)), taken)


def _joined(walls: Iterator[datetime], taken: Iterator[datetime]) -> Iterator[datetime]:
    """Yield each reading once, without those an EXRULE takes away."""
    last = None
    gone = next(taken, None)
    for wall in walls:
        while gone is not None and gone < wall:
            gone = next(taken, None)
        if wall not in (last, gone):
            yield wall
        last = wall


def readings(
    rule: Rule, start: Point, budget: Budget, since: datetime | None = None, before: datetime | None = None
) -> Iterator[datetime]:
    """Yield a rule's readings up to its UNTIL, which counts as an instant where the start has a zone.

    since, before: as for `walk`; readings before *since* may come too.
    """
    walls = walk(rule, wall_of(start), budget, since, before)
    return walls if rule.until is None else _until(walls, fit_until(rule.until, start), start)


def _until(walls: Iterator[datetime], until: Point, start: Point) -> Iterator[datetime]:
    limit = wall_of(until)
    if not isinstance(start, Zoned):
        return takewhile(limit.__ge__, walls)
    zone, moment = zone_of(start.tzid), limit.replace(tzinfo=UTC)
    sure, past = _clamped(limit, -_SLACK), _clamped(limit, _SLACK)
    return takewhile(lambda wall: wall < sure or (wall < past and instant(Floating(wall), zone) <= moment), walls)


# --- occurrences -------------------------------------------------------------------------------------------------


def expand(series: Series, window: Timespan, reader: tzinfo, limit: int = MAX_OCCURRENCES) -> Iterator[Occurrence]:
    """Yield the occurrences that touch *window*, by start, as they are asked for.

    window: half-open, aware UTC. reader: zone that gives all-day and floating events their hours. Cancelled overrides
    are among them. An override beats an EXDATE of its slot, and stands also where the rule has no slot.
    Raises Permanent (SERIES) beyond *limit* or the steps of `rule_walk`. Sources: RFC 5545 §3.8.5.3, §3.8.4.4.
    """
    changed = [_changed(override, reader) for override in series.overrides]
    changed = sorted((found for found in changed if _touches(found.start, found.end, window)), key=_by_start)
    if series.is_detached:
        found: Iterator[Occurrence] = iter(changed)
    else:
        plain = _plain(series, window, reader)
        found = _merged(plain, changed) if _is_sparse(series) else _settled(plain, changed, _clock_of(series, reader))
    return _within(found, limit)


def _within(found: Iterator[Occurrence], limit: int) -> Iterator[Occurrence]:
    yield from islice(found, limit)
    if next(found, None) is not None:
        raise Permanent("ics.too_dense", Scope.SERIES, detail=f"more than {limit} occurrences in the window")


def _plain(series: Series, window: Timespan, reader: tzinfo) -> Iterator[Occurrence]:
    """Yield the occurrences without an override, by slot."""
    event = series.event
    span, begin = _spans(event, reader), wall_of(event.start)
    length = max(wall_of(event.end) - wall_of(event.start), timedelta(0))
    zone = _clock_of(series, reader)
    since = _clamped(_local(window.start, zone), -length - _SLACK)
    before = _clamped(_local(window.end, zone), _SLACK)
    absent = {wall_of(override.recurrence_id) for override in series.overrides}
    absent.update(wall_of(point) for point in series.exdate)
    opens, closes = window.start, window.end
    for wall in _walls(series, Budget(), since, before):
        if wall in absent:
            continue
        start, end = span(begin if begin.fold and wall == begin else wall)
        if start < closes and (end > opens or start == end == opens):
            yield Occurrence(start, end, wall, event)
        elif wall >= before:
            return


def _spans(event: Event, reader: tzinfo) -> Callable[[datetime], tuple[datetime, datetime]]:
    """Give the function from the reading of a slot to the instants of the occurrence there.

    The end keeps its distance on the wall clock, as people mean it; an occurrence that starts in the gap of a clock
    change is shown after it and keeps its length.
    """
    start_zone, end_zone = (zone_of(p.tzid) if isinstance(p, Zoned) else reader for p in (event.start, event.end))
    length = wall_of(event.end) - wall_of(event.start)

    kept = max(length, timedelta(0))
    years = abs(length).days // 365 + 1
    first, last = 1 + years, 9999 - years
    start_offset, end_offset = start_zone.utcoffset, end_zone.utcoffset

    def span(wall: datetime) -> tuple[datetime, datetime]:
        if not first < wall.year < last:
            return _edge_span(wall, length, start_zone, end_zone)
        since_epoch = wall - _EPOCH  # subtraction, because `replace(tzinfo=…)` costs ten times as much
        ahead, ahead_at_end = start_offset(wall), end_offset(wall + length)
        start = _EPOCH_UTC + (since_epoch - ahead)  # type: ignore[operator]
        if ahead == ahead_at_end:
            return start, start + kept
        end = _EPOCH_UTC + (since_epoch + length - ahead_at_end)  # type: ignore[operator]
        if start_zone is end_zone and start.astimezone(start_zone).replace(tzinfo=None) != wall:
            end = start + kept
        return start, max(start, end)

    return span


def _edge_span(wall: datetime, length: timedelta, start_zone: tzinfo, end_zone: tzinfo) -> tuple[datetime, datetime]:
    """Give the instants at the edges of the calendar, where a zone could lead out of it."""
    start, end = instant(Floating(wall), start_zone), instant(Floating(_clamped(wall, length)), end_zone)
    return start, max(start, end)


def _changed(override: Override, reader: tzinfo) -> Occurrence:
    event = override.event
    start, end = _spans(event, reader)(wall_of(event.start))
    return Occurrence(start, end, wall_of(override.recurrence_id), event, override)


def _local(moment: datetime, zone: tzinfo) -> datetime:
    try:
        return moment.astimezone(zone).replace(tzinfo=None)
    except OverflowError:
        return moment.replace(tzinfo=None)


def _touches(start: datetime, end: datetime, window: Timespan) -> bool:
    return start < window.end and (end > window.start or start == end == window.start)


def _by_start(occurrence: Occurrence) -> tuple[datetime, datetime]:
    return occurrence.start, occurrence.wall


def _is_sparse(series: Series) -> bool:
    """Say whether slots lie a day apart or more, so that their order is that of their instants."""
    rules = rules_of(series.rrule)
    if len(rules) > 1 or (rules and series.rdate):
        return False
    return all(
        rule.freq <= Freq.DAILY and max(len(rule.by_hour), len(rule.by_minute), len(rule.by_second)) <= 1 for rule in rules
    )


def _merged(plain: Iterator[Occurrence], changed: list[Occurrence]) -> Iterator[Occurrence]:
    """Put the changed ones among the plain ones."""
    if not changed:
        return plain
    return heapq.merge(plain, changed, key=_by_start)


def _settled(plain: Iterator[Occurrence], changed: list[Occurrence], zone: tzinfo) -> Iterator[Occurrence]:
    """Put all in order of their instants, which around a clock change is not that of their readings."""
    held = [(*_by_start(found), place, found) for place, found in enumerate(changed)]
    heapq.heapify(held)
    for place, found in enumerate(plain, len(held)):
        heapq.heappush(held, (*_by_start(found), place, found))
        settled = found.start - _pull(found.wall, zone)
        while held and held[0][0] <= settled:
            yield heapq.heappop(held)[3]
    while held:
        yield heapq.heappop(held)[3]


def _pull(wall: datetime, zone: tzinfo) -> timedelta:
    """Give how far a clock change within the next day can bring a later reading before this one."""
    if not 1 < wall.year < 9999:
        return _SLACK
    now, soon = zone.utcoffset(wall), zone.utcoffset(wall + _SLACK)
    return max((soon or timedelta(0)) - (now or timedelta(0)), timedelta(0))


def _clock_of(series: Series, reader: tzinfo) -> tzinfo:
    start = series.event.start
    return zone_of(start.tzid) if isinstance(start, Zoned) else reader


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
        wall = local_until(rule.until, start)
        return with_wall(start, wall) if wall > wall_of(start) else start
    if rule.count is None:
        return None
    walls = deque(walk(rule, wall_of(start), Budget()), maxlen=1)
    return with_wall(start, walls[0]) if walls else start
