"""Series cut in two, and series whose start or rule moved: what becomes of their exceptions.

Exchange, Google and Graph cannot store «this and following» (RANGE=THISANDFUTURE): it is two series there, and here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice

from gleichtakt.model.event import Event, Override, Series
from gleichtakt.model.point import Day, Point, shifted, wall_of, with_wall
from gleichtakt.model.recurrence import is_slot, occurrence_event, readings
from gleichtakt.model.rule import Rule, fit_rule, rules_of, write_rules
from gleichtakt.model.rule_walk import Budget, fill, fill_days
from gleichtakt.model.slot import same_slot

COMPARED = 50  # readings by which a cut rule is held against the whole one


@dataclass(frozen=True, slots=True)
class Moved:
    """A series after its master moved, and the exceptions whose slot is no more."""

    series: Series
    lost_overrides: tuple[Override, ...] = ()
    lost_exdates: tuple[Point, ...] = ()


# --- this and following ------------------------------------------------------------------------------------------


def split(series: Series, at: Point, uid: str) -> tuple[Series | None, Series]:
    """Cut a series before the slot *at*: what was, ending with its last slot, and the rest under a new uid.

    The first part is None where *at* is its first slot. Exceptions go with their slots; COUNT is divided. Raises
    ValueError where *at* is no slot, or a rule with an interval cannot begin there.
    """
    at = same_slot(series.event.start, at)
    if not is_slot(series, at):
        raise ValueError("the series has no occurrence there")
    rules = rules_of(series.rrule)
    tail = replace(
        _only(series, at, later=True),
        uid=uid,
        event=occurrence_event(series.event, at),
        rrule=write_rules(filter(None, (_after(rule, series.event.start, at) for rule in rules))),
    )
    ended = filter(None, (_before(rule, series.event.start, at) for rule in rules))
    return _begun(replace(_only(series, at, later=False), rrule=write_rules(ended)), at), tail


def _only(series: Series, at: Point, *, later: bool) -> Series:
    """Keep the listed dates and exceptions of one part."""

    def stays(point: Point) -> bool:
        return (wall_of(point) >= wall_of(at)) is later

    return replace(
        series,
        rdate=tuple(filter(stays, series.rdate)),
        exdate=tuple(filter(stays, series.exdate)),
        overrides=tuple(override for override in series.overrides if stays(override.recurrence_id)),
    )


def _begun(head: Series, at: Point) -> Series | None:
    """Give the first part, or None where it has no slot; without a rule left it starts at its first slot."""
    if head.rrule:
        return head
    walls = sorted(wall_of(point) for point in head.rdate)
    if is_slot(head, head.event.start) and wall_of(head.event.start) < wall_of(at):
        return head
    if not walls:
        return None
    return replace(head, event=occurrence_event(head.event, with_wall(at, walls[0])))


def _before(rule: Rule, start: Point, at: Point) -> Rule | None:
    """Give a rule that ends with its last reading before *at*, or None where there is none."""
    earlier = [wall for wall in readings(rule, start, Budget(), before=wall_of(at)) if wall < wall_of(at)]
    if not earlier:
        return None
    if rule.count is not None:
        return replace(rule, count=len(earlier))
    return fit_rule(replace(rule, until=with_wall(start, earlier[-1])), start)


def _after(rule: Rule, start: Point, at: Point) -> Rule | None:
    """Give a rule that has the same readings from *at* on when it starts there, or None where there are none."""
    wanted = _from(readings(rule, start, Budget(), wall_of(at)), wall_of(at))
    if not wanted:
        return None
    left = rule
    if rule.count is not None:
        passed = sum(1 for wall in readings(rule, start, Budget(), before=wall_of(at)) if wall < wall_of(at))
        left = replace(rule, count=rule.count - passed)
    for candidate in (left, _spelled_out(left, start)):
        if _from(readings(candidate, at, Budget()), wall_of(at)) == wanted:
            return candidate
    raise ValueError("a rule with an interval cannot begin at an occurrence that it does not produce")


def _from(walls: Iterable[datetime], first: datetime) -> list[datetime]:
    return list(islice((wall for wall in walls if wall >= first), COMPARED))


def _spelled_out(rule: Rule, start: Point) -> Rule:
    """Write into a rule what it took from its start."""
    wall = wall_of(start)
    return fill_days(rule, wall) if isinstance(start, Day) else fill(rule, wall)


# --- a master that moved -----------------------------------------------------------------------------------------


def move(series: Series, event: Event, rrule: str) -> Moved:
    """Give a series its new master and rule, with the exceptions that still have a slot.

    An exception stays at its slot where the new series has it, else it moves along with the start; an override that
    only differed in content keeps following its slot. rrule: canonical.
    """
    bare = replace(series, event=event, rrule=rrule, overrides=(), exdate=(), rdate=_moved_dates(series, event))
    kept, lost = [], []
    for override in series.overrides:
        slot = _new_slot(bare, series.event.start, override.recurrence_id)
        if slot is None:
            lost.append(override)
        else:
            kept.append(Override(slot, _following(override, slot)))
    slots = [(point, _new_slot(bare, series.event.start, point)) for point in series.exdate]
    return Moved(
        replace(
            bare,
            overrides=tuple(sorted(kept, key=lambda override: wall_of(override.recurrence_id))),
            exdate=tuple(sorted({slot for _, slot in slots if slot is not None}, key=wall_of)),
        ),
        tuple(lost),
        tuple(point for point, slot in slots if slot is None),
    )


def _moved_dates(series: Series, event: Event) -> tuple[Point, ...]:
    by = wall_of(event.start) - wall_of(series.event.start)
    return tuple(with_wall(event.start, wall_of(point) + by) for point in series.rdate)


def _new_slot(series: Series, old_start: Point, point: Point) -> Point | None:
    start = series.event.start
    by = wall_of(start) - wall_of(old_start)
    for wall in (wall_of(point), wall_of(point) + by):
        slot = with_wall(start, wall)
        if wall_of(slot) == wall and is_slot(series, slot):
            return slot
    return None


def _following(override: Override, slot: Point) -> Event:
    event = override.event
    if event.start != override.recurrence_id:
        return event
    by = wall_of(slot) - wall_of(event.start)
    return replace(event, start=slot, end=_end_like(slot, shifted(event.end, by)))


def _end_like(start: Point, end: Point) -> Point:
    """Bring an end to the kind of its start; its own zone stays while the start has one."""
    return end if type(end) is type(start) else with_wall(start, wall_of(end))
