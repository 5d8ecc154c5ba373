"""Parts: a series that the other side cannot express, kept there as single events, one per occurrence in the window.

Towards the planner the parts are one copy. `assembled` joins them to the series that the other side shows: what both
sides last agreed on, with what somebody changed on single parts since, as overrides and deleted occurrences. So
`decide`, `merge`, guards, holds and undo know nothing of parts, and a change of one part is judged like a change of one
occurrence elsewhere. In the other direction `pending` compares the agreed series with the parts and gives the writes
that are missing; it also finds what enters as the window rolls, and what an interrupted pass left undone.

A part keeps two forms of its content, as a base does: `stored`, what stood there when both sides last agreed, and
`sent`, what we last wanted it to say. Providers store what they can, so the two may differ for ever.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, tzinfo
from itertools import islice
from typing import Final
from uuid import UUID

from gleichtakt.errors import Permanent
from gleichtakt.model import exchange_pattern
from gleichtakt.model.event import Event, Override, Series, Status
from gleichtakt.model.exchange_pattern import Grade, Verdict
from gleichtakt.model.point import Floating, Point, Timespan, Zoned, instant, wall_of
from gleichtakt.model.recurrence import MAX_OCCURRENCES, expand, is_slot, occurrence_event, same_slot, slot_key
from gleichtakt.sync.flat import apply, changed, flatten, moved_slot, restrict, same, slot_point, take, unflatten
from gleichtakt.sync.plan import Flat
from gleichtakt.sync.policy import Limits
from gleichtakt.sync.projection import fitted

MOST: Final = 400  # parts of one series that are begun; more would bury a calendar
KEPT: Final = 500  # parts that are kept on, so that no series comes and goes with the day on which it is counted
WHOLE: Final = ""  # the slot of an object that holds the series as a whole and gives way to its parts
ANYTIME: Final = Timespan(datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC))
EXACT: Final = Verdict(Grade.EXACT)


@dataclass(frozen=True, slots=True)
class Part:
    """One single event there that stands for an occurrence; `WHOLE` for an object that is to give way.

    href: empty while it is being made. stored, sent: None while both sides never agreed on it. now: its content as last
    seen; None where it could not be read. gone: proven absent. named: the slot that the mark on it names; empty where it
    carries none.
    """

    id: UUID
    slot: str
    href: str = ""
    stored: Flat | None = None
    sent: Flat | None = None
    now: Flat | None = None
    gone: bool = False
    named: str = ""

    @property
    def stands(self) -> bool:
        """Say whether there is an object to write to."""
        return bool(self.href) and not self.gone

    @property
    def has_moved(self) -> bool:
        """Say whether somebody changed or deleted it since both sides agreed."""
        return self.gone or (self.now is not None and self.stored is not None and bool(changed(self.stored, self.now)))


# --- may it, and how ---------------------------------------------------------------------------------------------


def grade(series: Series, limits: Limits, window: Timespan, reader: tzinfo, *, begun: bool = False) -> Verdict:
    """Say whether the other side holds a series as it is, in parts within *window*, or not at all.

    begun: it stands there in parts already.
    """
    if limits.recurrence == "exchange":
        found = exchange_pattern.grade(series, window, KEPT if begun else MOST, reader)
        if found.grade is not Grade.EXACT:
            return found
    reason = _obstacle(series, limits)
    if not reason:
        return EXACT
    try:
        count = sum(1 for _ in islice(expand(series, window, reader), KEPT + 1))
    except Permanent:
        return Verdict(Grade.REFUSED, "recurrence.too_dense")
    fits = count <= (KEPT if begun else MOST)
    return Verdict(Grade.EXPLODED, reason) if fits else Verdict(Grade.REFUSED, "recurrence.too_dense")


def _obstacle(series: Series, limits: Limits) -> str:
    """Say what but a pattern keeps the other side from holding a series as a whole."""
    if limits.recurrence == "none" and (series.is_recurring or series.overrides):
        return "recurrence.none"
    events = (series.event, *(override.event for override in series.overrides))
    own_zone = any(
        isinstance(point, Zoned) and point.tzid.startswith("BEGIN:") for event in events for point in (event.start, event.end)
    )
    return "recurrence.own_zone" if series.is_recurring and own_zone and "custom" not in limits.zones else ""


def in_parts(limits: Limits) -> Limits:
    """Give what the other side can hold of a series in parts: every rule and zone, for each part carries its own times."""
    return replace(limits, recurrence="rfc5545", zones=frozenset({"iana", "custom", "floating"}))


# --- from the other side -----------------------------------------------------------------------------------------


def assembled(agreed: Series, parts: Sequence[Part], reader: tzinfo) -> Series | None:
    """Give the series as the other side shows it; None where all of it was deleted there.

    agreed: theirs, as both sides last agreed on it. Who deletes every part means the series; who deletes the only one
    in sight means the series where it has no other occurrence, else this one.
    """
    if _is_gone(agreed, parts):
        return None
    series = agreed
    moved = [part for part in parts if part.has_moved]
    for part in moved:
        if part.slot == WHOLE and part.now is not None and part.stored is not None and not part.gone:
            flat = flatten(series)
            series = unflatten(apply(flat, changed(part.stored, part.now), part.now), series.uid)
    if not moved:
        return series
    overrides = {slot_key(same_slot(series.event.start, one.recurrence_id)): one for one in series.overrides}
    ended: list[Point] = []
    for part in moved:
        event = None if part.slot == WHOLE else _occurrence(series, part.slot)
        if event is None:
            continue
        point = slot_point(series.event.start, part.slot)
        if part.gone:
            overrides.pop(part.slot, None)
            ended += [point] if _has_slot(series, point) else []
        elif (shown := _with_changes(event, part, reader)) != event:
            overrides[part.slot] = Override(point, shown)
    kept = tuple(one for _, one in sorted(overrides.items()) if not _says_nothing(series, one))
    exdate = tuple(sorted({*series.exdate, *ended}, key=lambda point: (wall_of(point), wall_of(point).fold)))
    if series.is_detached and not kept:
        return None
    return replace(series, overrides=kept, exdate=exdate)


def _is_gone(agreed: Series, parts: Sequence[Part]) -> bool:
    known = [part for part in parts if part.href]
    if not known or not all(part.gone for part in known):
        return False
    return len(known) > 1 or len(list(islice(expand(agreed, ANYTIME, UTC, MAX_OCCURRENCES), 2))) < 2


def _has_slot(series: Series, point: Point) -> bool:
    return not series.is_detached and (is_slot(series, point) if series.is_recurring else point == series.event.start)


def _occurrence(series: Series, slot: str) -> Event | None:
    """Give the occurrence of a slot as a series says it; None where it has none."""
    point = slot_point(series.event.start, slot)
    for override in series.overrides:
        if slot_key(same_slot(series.event.start, override.recurrence_id)) == slot:
            return override.event
    if point in series.exdate or not _has_slot(series, point):
        return None
    return occurrence_event(series.event, point)


def _with_changes(event: Event, part: Part, reader: tzinfo) -> Event:
    """Give an occurrence with what somebody changed on its part, told on the clock of the series."""
    if part.now is None or part.stored is None:
        return event
    keys = changed(part.stored, part.now)
    if not keys:
        return event
    shown = unflatten(apply(flatten(Series("", event)), keys, part.now), "").event
    if keys & {"start", "end"}:
        shown = replace(shown, start=_told(shown.start, event.start, reader), end=_told(shown.end, event.end, reader))
    return shown


def _told(point: Point, like: Point, reader: tzinfo) -> Point:
    """Bring a time to the zone of another one; a day stays a day."""
    if isinstance(point, Zoned) and isinstance(like, Zoned):
        return same_slot(like, point)
    if isinstance(point, Zoned) and isinstance(like, Floating):
        return Floating(instant(point, reader).astimezone(reader).replace(tzinfo=None))
    return point


def _says_nothing(series: Series, override: Override) -> bool:
    """Say whether an override is what the rule gives anyway."""
    return _has_slot(series, override.recurrence_id) and override.event == occurrence_event(
        series.event, same_slot(series.event.start, override.recurrence_id)
    )


# --- what both sides now agree on --------------------------------------------------------------------------------


def filled(parts: Iterable[Part], agreed: Series, limits: Limits, reader: tzinfo) -> tuple[Part, ...]:
    """Give parts that were only just found again the content they would have had."""
    return tuple(_filled(part, agreed, limits, reader) for part in parts)


def _filled(part: Part, agreed: Series, limits: Limits, reader: tzinfo) -> Part:
    if part.stored is not None or part.now is None:
        return part
    event = _occurrence(agreed, part.slot) if part.slot != WHOLE else None
    single = flatten(fitted(Series("", event), limits, reader)) if event is not None else part.now
    differs = changed(restrict(single, limits.storable), restrict(part.now, limits.storable))
    return replace(part, stored=take(part.now, differs, single), sent=single)


@dataclass(frozen=True, slots=True)
class Agreement:
    """What becomes of parts once both sides agree: new halves (stored, sent) by part, other slots, and parts let go."""

    halves: Mapping[UUID, tuple[Flat, Flat]]
    gone: tuple[UUID, ...]


def agreement(parts: Iterable[Part], base: Series, now: Series, agreed: Series, *, settled: bool) -> Agreement:
    """Say what of the parts counts as seen.

    base, now, agreed: theirs as last agreed on, as it stands, and as it is agreed on now. Where *agreed* still says what
    the base said, a change of theirs waits and is seen again. settled: nothing waits, what is missing there is made anew.
    """
    halves: dict[UUID, tuple[Flat, Flat]] = {}
    let_go: list[UUID] = []
    for part in parts:
        if part.gone:
            if settled or part.slot == WHOLE or _occurrence(agreed, part.slot) is None:
                let_go.append(part.id)
        elif part.now is not None and part.stored is not None:
            differs = changed(part.stored, part.now)
            waits = differs & _waiting(part.slot, base, now, agreed) if differs else differs
            halves[part.id] = take(part.now, waits, part.stored), take(part.sent or part.stored, differs, part.now)
    return Agreement(halves, tuple(let_go))


def _waiting(slot: str, base: Series, now: Series, agreed: Series) -> frozenset[str]:
    """Give the keys of an occurrence in which an agreement says what was agreed before, and not what stands there."""
    events = [_occurrence(series, slot) if slot != WHOLE else series.event for series in (base, now, agreed)]
    was, stands, says = (flatten(Series("", event)) if event is not None else None for event in events)
    if was is None or stands is None or says is None:
        return frozenset()
    return frozenset(key for key in was.keys() | stands.keys() if same(was, says, key) and not same(stands, says, key))


def renamed(parts: Sequence[Part], before: Series, after: Series, window: Timespan, reader: tzinfo) -> Mapping[UUID, str]:
    """Give the new slots of parts whose series was moved as a whole, so that they are moved and not made anew."""
    old, new = before.event.start, after.event.start
    if wall_of(old) == wall_of(new):
        return {}
    wanted = singles(after, window, reader, ())
    taken = {part.slot for part in parts if part.slot in wanted}
    names: dict[UUID, str] = {}
    for part in sorted(parts, key=lambda part: part.slot):
        slot = moved_slot(part.slot, old, new) if part.slot != WHOLE and part.slot not in wanted else ""
        if slot and slot in wanted and slot not in taken:
            taken.add(slot)
            names[part.id] = slot
    return names


# --- towards the other side --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Step:
    """One write that brings a part to what is agreed.

    verb: create, update or delete; `note` writes nothing there, it only records what is meant; `forget` lets a part go.
    """

    verb: str
    slot: str
    part: Part | None = None
    before: Series | None = None
    series: Series | None = None
    sent: Flat | None = None


def singles(series: Series, window: Timespan, reader: tzinfo, besides: Collection[str], limit: int = KEPT) -> dict[str, Series]:
    """Give the occurrences within a window as single events by slot, and those of other slots that stand there already."""
    found: dict[str, Series] = {}
    for occurrence in expand(series, window, reader):
        if len(found) == limit:
            break
        slot = slot_key(same_slot(series.event.start, occurrence.slot))
        found[slot] = Series(f"{series.uid}-{slot}", occurrence.event)
    for slot in sorted(set(besides) - found.keys() - {WHOLE}):
        event = _occurrence(series, slot)
        if event is not None:
            found[slot] = Series(f"{series.uid}-{slot}", event)
    return found


def pending(
    agreed: Series | None, parts: Sequence[Part], limits: Limits, window: Timespan, reader: tzinfo, fields: frozenset[str]
) -> tuple[Step, ...]:
    """Give the writes that bring the parts to what is agreed, deletions last; nothing where all stand as they should.

    agreed: the series that is to stand there in parts, None where it no longer does. limits: what the other side holds
    of a single event. fields: those that we write. A part that is gone waits for the planner.
    """
    wanted = singles(agreed, window, reader, [part.slot for part in parts]) if agreed is not None else {}
    wanted = {slot: single for slot, single in wanted.items() if _may_stand(single, limits)}
    steps: list[Step] = []
    last: list[Step] = []
    taken: set[str] = set()
    for part in parts:
        single = wanted.get(part.slot) if part.slot not in taken else None
        if single is None:
            last.append(Step("delete" if part.stands else "forget", part.slot, part))
            continue
        taken.add(part.slot)
        if step := _brought(part, fitted(single, limits, reader), fields):
            steps.append(step)
    for slot in sorted(wanted.keys() - taken):
        single = fitted(wanted[slot], limits, reader)
        steps.append(Step("create", slot, series=single, sent=flatten(single)))
    return (*steps, *last)


def _may_stand(single: Series, limits: Limits) -> bool:
    """Say whether a single occurrence can be shown at all: one called off cannot, where there is no word for it."""
    years = (wall_of(point).year for point in (single.event.start, single.event.end))
    fits = all(limits.first_year <= year <= limits.last_year for year in years)
    return fits and (single.event.status is not Status.CANCELLED or "status" in limits.fields)


def _brought(part: Part, single: Series, fields: frozenset[str]) -> Step | None:
    """Give the write that brings one part to what it should say; None where it says so."""
    if not part.href:
        return Step("create", part.slot, part, series=single, sent=flatten(single))
    if part.now is None or part.gone:
        return None
    said, says = part.sent or {}, flatten(single)
    keys = changed(restrict(said, fields), restrict(says, fields))
    misnamed = part.named not in ("", part.slot)  # its series moved to where it had been moved to before
    if not keys and not misnamed:
        return None
    before = take(part.now, [key for key in keys if key not in part.now and key in said], said)
    after = apply(before, keys, says)
    sent = take(said, keys, says)
    if not misnamed and not changed(before, after):
        return Step("note", part.slot, part, sent=sent)
    return Step("update", part.slot, part, unflatten(before, single.uid), unflatten(after, single.uid), sent)
