"""What an update means for a whole series: the one that is wanted in the end, and the steps that lead there. Pure.

What stands there may hold more than we were shown (policy hides fields), so an edit is the difference between *base* and
*new*, laid over what is held. Exchange keeps exceptions by the days of the pattern: it drops them all with a new
pattern or start, and takes no deleted occurrence back, so then they are made anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from gleichtakt.model.event import Event, Override, Series
from gleichtakt.model.exchange_pattern import Grade, NotExpressible, grade, to_pattern, to_rule
from gleichtakt.model.point import Point, Timespan, instant, wall_of, with_wall
from gleichtakt.model.recurrence import is_slot, occurrence_event
from gleichtakt.providers.ews.oddities import comes_back, loses_exceptions

RECURRENCE: Final = "recurrence"
LONG: Final = 900  # occurrences; Outlook shows up to 999
ALL: Final = frozenset(field.name for field in fields(Event)) - {"html"}


def merged(held: Series, base: Series, new: Series, changing: frozenset[str]) -> Series:
    """Lay what differs between *base* and *new* over what is held. changing: event field names, and `recurrence`."""
    event = laid_over(held.event, base.event, new.event, changing)
    if RECURRENCE not in changing:
        return replace(held, event=event, overrides=_same_overrides(held, base, new, changing))
    more = [point for point in held.exdate if point not in base.exdate]  # since we looked, or beyond what we may see
    bare = replace(held, event=event, rrule=new.rrule, rdate=new.rdate, exdate=(), overrides=())
    overrides = {each.recurrence_id: each for each in _unseen(held, base, bare)}
    overrides |= {each.recurrence_id: each for each in _wanted_overrides(held, base, new, bare)}
    exdate = {*new.exdate, *(point for point in more if bare.is_recurring and is_slot(bare, point))} - overrides.keys()
    return replace(bare, exdate=tuple(sorted(exdate, key=wall_of)), overrides=tuple(sorted(overrides.values(), key=_by_slot)))


def laid_over(held: Event, base: Event, new: Event, changing: frozenset[str]) -> Event:
    """Give an event with the fields that differ between two others taken from the second."""
    changed: dict[str, Any] = {name: getattr(new, name) for name in changing & ALL if getattr(base, name) != getattr(new, name)}
    if "description" in changed:
        changed["html"] = new.html
    return replace(held, **changed) if changed else held


def _by_slot(override: Override) -> datetime:
    return wall_of(override.recurrence_id)


def _of(series: Series) -> Mapping[Point, Event]:
    return {override.recurrence_id: override.event for override in series.overrides}


def _same_overrides(held: Series, base: Series, new: Series, changing: frozenset[str]) -> tuple[Override, ...]:
    """Give the overrides there are, with the same fields changed where both others have them."""
    before, after = _of(base), _of(new)
    return tuple(
        replace(each, event=laid_over(each.event, before[each.recurrence_id], after[each.recurrence_id], changing))
        if each.recurrence_id in before and each.recurrence_id in after
        else each
        for each in held.overrides
    )


def _unseen(held: Series, base: Series, bare: Series) -> list[Override]:
    """Give the overrides that are held and were not shown to us, as far as the pattern still has their day."""
    hidden = [each for each in held.overrides if each.recurrence_id not in {*_of(base), *base.exdate}]
    return [each for each in hidden if bare.is_recurring and is_slot(bare, each.recurrence_id)]


def _wanted_overrides(held: Series, base: Series, new: Series, bare: Series) -> list[Override]:
    """Give the overrides of the new version; one that stood there, its day moved with the start or not, keeps the rest."""
    there, before = _of(held), _of(base)
    moved = wall_of(new.event.start) - wall_of(base.event.start)
    found = []
    for each in new.overrides:
        was = _slot_before(each.recurrence_id, base, moved)
        if was in before and was in there:
            event = laid_over(there[was], before[was], each.event, ALL)
        else:
            plain = occurrence_event(new.event, each.recurrence_id)
            event = laid_over(occurrence_event(bare.event, each.recurrence_id), plain, each.event, ALL)
        found.append(replace(each, event=event))
    return found


def _slot_before(slot: Point, base: Series, moved: timedelta) -> Point:
    """Give the day an override had: the same, or the one that moved there with the start of the series."""
    same = with_wall(base.event.start, wall_of(slot))
    return same if not moved or same in _of(base) else with_wall(base.event.start, wall_of(slot) - moved)


def not_held(held: Series, wanted: Series) -> str:
    """Give the code of why no pattern holds what is wanted; empty where it does, or where what is held has none either."""
    start = instant(wanted.event.start, UTC)
    was, now = (grade(series, Timespan(start, start)) for series in (held, wanted))
    return now.reason if was.grade is Grade.EXACT else ""


def begins_anew(held: Series, wanted: Series, version: str) -> bool:
    """Say whether all exceptions have to be made anew: the pattern or times are others, or an occurrence is to be as it was."""
    if not held.is_recurring or not wanted.is_recurring:
        return False
    return loses_exceptions(held, wanted, version) or holds_too_much(held, wanted)


def holds_too_much(held: Series, wanted: Series) -> bool:
    """Say whether occurrences are missing or changed that are to be as the pattern has them."""
    no_more = _of(held).keys() - _of(wanted).keys() - {*wanted.exdate}
    return bool(comes_back(held, wanted) or no_more)


def with_another_end(series: Series) -> Series:
    """Give a series whose pattern ends a little later: writing it makes any server drop all exceptions."""
    pattern = to_pattern(series.rrule, series.event.start)
    if isinstance(pattern, NotExpressible):
        return series
    if pattern.end is not None:
        later = replace(pattern, end=pattern.end + timedelta(days=1))
    else:
        later = replace(pattern, count=(pattern.count or LONG) + 1)
    return replace(series, rrule=to_rule(later, series.event.start))


@dataclass(frozen=True, slots=True)
class Steps:
    """What is left to do about single occurrences. changed: slot -> (how it stands there, how it is wanted)."""

    deleted: tuple[Point, ...] = ()
    changed: tuple[tuple[Point, Event, Event], ...] = ()

    def __bool__(self) -> bool:
        """Say whether there is anything."""
        return bool(self.deleted or self.changed)


def steps(there: Series, wanted: Series) -> Steps:
    """Give what turns the occurrences of a series as it stands there into those that are wanted."""
    if not wanted.is_recurring:
        return Steps()
    have = _of(there)
    changed = [
        (each.recurrence_id, was, each.event)
        for each in wanted.overrides
        if (was := have.get(each.recurrence_id) or occurrence_event(there.event, each.recurrence_id)) != each.event
    ]
    return Steps(tuple(point for point in wanted.exdate if point not in there.exdate), tuple(changed))
