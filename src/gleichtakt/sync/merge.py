"""Both sides moved: which edits go together, which clash, and who wins a clash.

Edits of different fields go together. Some keys only make sense as a whole: start and end of one event, what becomes
of one occurrence, and the pattern of a series with the occurrences counted from it. A clash in one key of such a group
is a clash of the group, so that no merge makes an event that nobody meant.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from gleichtakt.sync.flat import TIME_FIELDS, content_of, same, slot_of
from gleichtakt.sync.plan import Side

Keys = frozenset[str]
NEWEST_MARGIN: Final = timedelta(seconds=2)  # nearer than this, two clocks prove nothing (rule 6)


@dataclass(frozen=True, slots=True)
class Merge:
    """Whose keys count. ours: carried to their side; theirs: carried to ours; open: groups that wait for a person."""

    ours: Keys
    theirs: Keys
    open: tuple[Keys, ...] = ()
    decided: Keys = frozenset()  # keys that clashed and were decided by rule


@dataclass(frozen=True, slots=True)
class Rule:
    """Who wins a clash: a conflict rule, owners of single fields, and when each side was last changed."""

    name: str  # app_first | provider_first | newest | manual
    owners: Mapping[str, str]
    ours_at: datetime | None = None
    theirs_at: datetime | None = None

    def winner(self, keys: Iterable[str]) -> Side | None:
        """Say which side wins a clash in these keys; None where a person is to decide."""
        for key in sorted(keys):
            owner = self.owners.get(content_of(key)) or (self.owners.get("recurrence") if slot_of(key) else None)
            if owner:
                return Side(owner)
        return self.of_the_whole()

    def of_the_whole(self) -> Side | None:
        """Say which side wins where the whole event is at stake: an edit against a deletion."""
        return _WINNERS[self.name](self)

    def newer(self) -> Side:
        """Say which side was changed last by a clear margin, else the application."""
        if self.ours_at is None or self.theirs_at is None:
            return Side.APP
        return Side.PROVIDER if self.theirs_at - self.ours_at > NEWEST_MARGIN else Side.APP


_WINNERS: Final[Mapping[str, Callable[[Rule], Side | None]]] = {
    "app_first": lambda rule: Side.APP,
    "provider_first": lambda rule: Side.PROVIDER,
    "newest": Rule.newer,
    "manual": lambda rule: None,
}


def merge(ours: Keys, theirs: Keys, our_flat: Mapping[str, Any], their_flat: Mapping[str, Any], rule: Rule) -> Merge:
    """Merge two sets of changed keys, given how each side stands now."""
    agreed = {key for key in ours & theirs if same(our_flat, their_flat, key)}
    left, right = ours - agreed, theirs - agreed
    clashing = clashes(left, right, our_flat, their_flat)
    in_clash = frozenset[str]().union(*clashing)
    win: dict[Side, set[str]] = {Side.APP: set(left - in_clash), Side.PROVIDER: set(right - in_clash)}
    waiting: list[Keys] = []
    for group in clashing:
        winner = rule.winner(group)
        if winner is None:
            waiting.append(group)
        else:
            win[winner] |= group
    decided = in_clash - frozenset[str]().union(*waiting)
    return Merge(frozenset(win[Side.APP]), frozenset(win[Side.PROVIDER]), tuple(waiting), decided)


def clashes(left: Keys, right: Keys, our_flat: Mapping[str, Any], their_flat: Mapping[str, Any]) -> tuple[Keys, ...]:
    """Group the keys that cannot both be carried over; the groups are disjoint, in a fixed order."""
    groups: list[Keys] = []
    rest_left, rest_right = set(left), set(right)
    for belongs in (_pattern_group(left, right, our_flat, their_flat), *_slot_groups(left, right), _is_time):
        mine, yours = {key for key in rest_left if belongs(key)}, {key for key in rest_right if belongs(key)}
        if mine and yours:
            groups.append(frozenset(mine | yours))
            rest_left -= mine | yours
            rest_right -= mine | yours
    groups += [frozenset({key}) for key in sorted(rest_left & rest_right)]
    return tuple(groups)


Belongs = Callable[[str], bool]


def _is_time(key: str) -> bool:
    return key in TIME_FIELDS


def _pattern_group(left: Keys, right: Keys, our_flat: Mapping[str, Any], their_flat: Mapping[str, Any]) -> Belongs:
    """Where one side moved the pattern and the other touched it or an occurrence counted from it, all of that clashes.

    Occurrences are counted from the start, so for a recurring series the start is part of the pattern.
    """
    recurs = any("rrule" in flat or any(slot_of(key) for key in flat) for flat in (our_flat, their_flat))
    pattern = {"rrule", "is_detached", *(("start",) if recurs else ())}
    if not recurs or not any(moved & pattern and _depends(other, pattern) for moved, other in ((left, right), (right, left))):
        return lambda key: False
    with_times = bool((left | right) & {"start"})
    return lambda key: key in pattern or bool(slot_of(key)) or (with_times and key in TIME_FIELDS)


def _depends(keys: Keys, pattern: set[str]) -> bool:
    return any(key in pattern or slot_of(key) for key in keys)


def _slot_groups(left: Keys, right: Keys) -> tuple[Belongs, ...]:
    """For each occurrence both sides touched: all of it where one ended or began it, else its times."""
    both = {slot_of(key) for key in left} & {slot_of(key) for key in right} - {""}
    return tuple(_slot_group(slot, left | right) for slot in sorted(both))


def _slot_group(slot: str, keys: Keys) -> Belongs:
    whole = bool(keys & {f"exdate:{slot}", f"rdate:{slot}", f"@{slot}"})
    if whole:
        return lambda key: slot_of(key) == slot
    return lambda key: slot_of(key) == slot and content_of(key) in TIME_FIELDS
