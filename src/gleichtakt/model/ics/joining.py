"""The VEVENTs of one UID as series: master, overrides, deleted and added occurrences.

RANGE=THISANDFUTURE becomes a series of its own, as the other calendar systems have it. Of two components for the same
slot the newer counts (SEQUENCE, then LAST-MODIFIED, then place in the file).
Sources: RFC 5545 §3.8.4.4, §3.8.5; RFC 5546 §2.1.5.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from hashlib import sha256
from itertools import islice

from gleichtakt.errors import Permanent
from gleichtakt.model.event import Event, Override, Series
from gleichtakt.model.ics.reading import Part, Unreadable, slots_of
from gleichtakt.model.point import Point, wall_of, with_wall
from gleichtakt.model.recurrence import match_slot, occurrence_event, readings, repair_rule
from gleichtakt.model.rule import rules_of
from gleichtakt.model.rule_walk import Budget
from gleichtakt.model.slot import same_slot, slot_key
from gleichtakt.model.split import move, split

MAX_LISTED = 1_000  # occurrences listed one by one where no rule says the same


def uid_from_content(part: Part) -> str:
    """Make a UID for an event that has none: the same content gives the same one at each download."""
    event = part.event
    content = "\n".join([repr(event.start), repr(event.end), event.title, event.location, part.rules])
    return f"ics-{sha256(content.encode()).hexdigest()[:32]}"


def join(uid: str, parts: Sequence[Part]) -> tuple[Series, ...]:
    """Make the series of one UID: one, or several where «this and following» was changed. Raises Unreadable."""
    if len(parts) == 1 and parts[0].recurrence_id is None:
        part = parts[0]
        if not (part.rules or part.rdate or part.exdate or part.periods):
            return (Series(uid, part.event, warnings=tuple(dict.fromkeys(part.warnings))),)
    masters = [part for part in parts if part.recurrence_id is None]
    changed = [part for part in parts if part.recurrence_id is not None]
    warnings = [code for part in parts for code in part.warnings]
    if len(masters) > 1:
        warnings.append("ics.duplicate_uid")
    if not masters:
        return (_detached(uid, changed, warnings),)
    master = max(masters, key=lambda part: part.version)
    series = _of_master(uid, master, warnings)
    found = _with_overrides(series, changed, warnings) if changed else (series,)
    codes = tuple(dict.fromkeys(warnings))
    return tuple(replace(one, warnings=codes) for one in found) if codes else found


def _with_overrides(series: Series, changed: Sequence[Part], warnings: list[str]) -> tuple[Series, ...]:
    by_slot = _by_slot(series, changed, warnings)
    plain = {slot: part.event for slot, part in by_slot.items() if not part.is_this_and_future}
    listed = {override.recurrence_id: override.event for override in series.overrides}
    series = replace(series, overrides=_overrides({**listed, **plain}))
    later = [(slot, part) for slot, part in by_slot.items() if part.is_this_and_future]
    return _cut(series, sorted(later, key=lambda pair: wall_of(pair[0]))) if later else (series,)


def _of_master(uid: str, master: Part, warnings: list[str]) -> Series:
    start = master.event.start
    rrule = ""
    if master.rules:
        try:
            rrule, codes = repair_rule(master.rules, start)
        except ValueError:
            raise Unreadable("other_calendar", master.line) from None
        warnings += codes
    if not (master.periods or master.rdate or master.exdate):
        return Series(uid, master.event, rrule)
    periods = _periods(master, start, warnings)
    return Series(
        uid,
        master.event,
        rrule,
        slots_of([*master.rdate, *periods], start, warnings),
        slots_of(master.exdate, start, warnings),
        _overrides({slot: event for slot, event in periods.items() if event != occurrence_event(master.event, slot)}),
    )


def _periods(master: Part, start: Point, warnings: list[str]) -> dict[Point, Event]:
    """Give the added occurrences that have a length of their own, as what they look like."""
    found: dict[Point, Event] = {}
    for first, last in master.periods:
        try:
            slot = same_slot(start, first)
            found[slot] = replace(occurrence_event(master.event, slot), end=same_slot(start, last))
        except ValueError:
            warnings.append("ics.date_ignored")
    return found


def _overrides(events: Mapping[Point, Event]) -> tuple[Override, ...]:
    found = (Override(slot, event) for slot, event in events.items())
    return tuple(sorted(found, key=lambda override: wall_of(override.recurrence_id)))


def _by_slot(series: Series, changed: Iterable[Part], warnings: list[str]) -> dict[Point, Part]:
    """Give the overriding parts by the slot they mean; the newer of two for one slot."""
    found: dict[Point, Part] = {}
    for part in changed:
        slot = _slot(series, part, warnings)
        if slot not in found or found[slot].version < part.version:
            found[slot] = part
    return found


def _slot(series: Series, part: Part, warnings: list[str]) -> Point:
    """Find the slot a RECURRENCE-ID means; one that fits none is kept as it stands, with a warning."""
    start, point = series.event.start, part.recurrence_id
    assert point is not None  # noqa: S101 - only such parts come here
    try:
        found = match_slot(series, point)
        if found is not None:
            return found
        slot = same_slot(start, point)
    except Permanent:
        return same_slot(start, point)
    except ValueError:
        slot = with_wall(start, wall_of(point))
    warnings.append("ics.override_unmatched")
    return slot


def _detached(uid: str, changed: Sequence[Part], warnings: list[str]) -> Series:
    """Make a series of overrides only: an invitation to single occurrences."""
    newest: dict[Point, Part] = {}
    for part in sorted(changed, key=lambda part: part.version):
        if part.recurrence_id is not None:
            newest[part.recurrence_id] = part
    overrides = _overrides({slot: part.event for slot, part in newest.items()})
    first = overrides[0].event
    return Series(uid, first, overrides=overrides, is_detached=True, warnings=tuple(dict.fromkeys(warnings)))


# --- this and following ------------------------------------------------------------------------------------------


def _cut(series: Series, later: Sequence[tuple[Point, Part]]) -> tuple[Series, ...]:
    """Cut a series at each slot from which on it changes; each later change is one of the master, not of its copy."""
    found: list[Series] = []
    rest = series
    for slot, part in reversed(later):
        try:
            head, tail = split(rest, slot, f"{series.uid}/{slot_key(slot)}")
            found.insert(0, _changed(tail, part.event))
        except (ValueError, Permanent):
            raise Unreadable("this_and_future", part.line) from None
        if head is None:
            return tuple(found)
        rest = head
    return (rest, *found)


def _changed(tail: Series, event: Event) -> Series:
    """Give the rest of a series its new content and its new times, all later occurrences moved alike."""
    by = wall_of(event.start) - wall_of(tail.event.start)
    expected = [wall + by for wall in _first_walls(tail)]
    moved = move(tail, event, tail.rrule).series
    if _first_walls(moved) == expected:
        return moved
    if len(expected) > MAX_LISTED:
        raise ValueError("the rule cannot be moved and has no near end")
    return _listed(tail, event, tuple(with_wall(event.start, wall) for wall in expected))


def _listed(tail: Series, event: Event, dates: tuple[Point, ...]) -> Series:
    """Give a series by its dates where its rule, moved to another day, would mean others."""
    by = wall_of(event.start) - wall_of(tail.event.start)

    def new(point: Point) -> Point:
        return with_wall(event.start, wall_of(point) + by)

    return replace(
        tail,
        event=event,
        rrule="",
        rdate=dates,
        exdate=tuple(map(new, tail.exdate)),
        overrides=tuple(Override(new(override.recurrence_id), override.event) for override in tail.overrides),
    )


def _first_walls(series: Series) -> list[datetime]:
    walls = [wall_of(point) for point in series.rdate]
    for rule in (rule for rule in rules_of(series.rrule) if not rule.excludes):
        walls += islice(readings(rule, series.event.start, Budget()), MAX_LISTED + 1)
    return sorted(set(walls))
