"""Which events of both sides are the same, when nothing says so yet (rule 8, DUP-02).

Our own mark first, then the UID, then looks: start, end, rule, title, organizer. A match by looks counts only where it
is unique on both sides; the rest is for a person. Looks are levelled: one system writes out the weekday that a rule
takes from its start, another names the zone of Vienna after Berlin.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC

from gleichtakt.model.event import Series
from gleichtakt.model.point import Point, Zoned, instant, wall_of
from gleichtakt.model.rule import rules_of, write_rules
from gleichtakt.model.rule_walk import fill_days


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """One event to be matched. key: the caller's name of it. title, organizer: None where policy does not show them.

    marker: for ours the mark its copy would carry, for theirs the mark found on it.
    """

    key: str
    uid: str
    start: Point
    end: Point
    rule: str = ""
    title: str | None = None
    organizer: str | None = None
    marker: str = ""


@dataclass(frozen=True, slots=True)
class Matching:
    """pairs: (ours, theirs) by key. ambiguous: look-alikes, as (keys of ours, keys of theirs)."""

    pairs: tuple[tuple[str, str], ...] = ()
    ambiguous: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = ()
    by: Mapping[str, int] = field(default_factory=dict)  # how many by marker, uid, looks


def fingerprint(
    series: Series, key: str, *, marker: str = "", shows_title: bool = True, shows_people: bool = True
) -> Fingerprint:
    """Give the fingerprint of a series. shows_*: whether its title and organizer are real and not stand-ins."""
    event = series.event
    organizer = event.organizer.email.casefold() if event.organizer else None
    return Fingerprint(
        key,
        series.uid,
        event.start,
        event.end,
        series.rrule,
        level_title(event.title) if shows_title else None,
        organizer if shows_people else None,
        marker,
    )


def level_title(title: str) -> str:
    """Level what people's programs add to and change in a title."""
    return " ".join(title.split()).casefold()


def match(ours: Sequence[Fingerprint], theirs: Sequence[Fingerprint]) -> Matching:
    """Match by mark, then by UID, then by looks; each event at most once."""
    pairs: list[tuple[str, str]] = []
    by: dict[str, int] = {}
    left, right = {item.key: item for item in ours}, {item.key: item for item in theirs}
    for name, trait in (("marker", _marker), ("uid", _uid)):
        found = _unique(left.values(), right.values(), trait)
        by[name] = len(found)
        pairs += found
        _take_out(found, left, right)
    found, ambiguous = _by_looks(left.values(), right.values())
    by["looks"] = len(found)
    return Matching(tuple(pairs + found), tuple(ambiguous), by)


def _marker(item: Fingerprint) -> Hashable:
    return item.marker or None


def _uid(item: Fingerprint) -> Hashable:
    return item.uid or None


def _looks(item: Fingerprint) -> Hashable:
    return _moment(item.start), _moment(item.end), level_rule(item.rule, item.start)


def _moment(point: Point) -> Hashable:
    return instant(point, UTC) if isinstance(point, Zoned) else point


def level_rule(rrule: str, start: Point) -> str:
    """Write into a rule the days that it takes from its start."""
    return write_rules(fill_days(rule, wall_of(start)) for rule in rules_of(rrule)) if rrule else ""


def _grouped(items: Iterable[Fingerprint], trait: Callable[[Fingerprint], Hashable]) -> dict[Hashable, list[Fingerprint]]:
    groups: dict[Hashable, list[Fingerprint]] = {}
    for item in items:
        if (name := trait(item)) is not None:
            groups.setdefault(name, []).append(item)
    return groups


def _unique(
    ours: Iterable[Fingerprint], theirs: Iterable[Fingerprint], trait: Callable[[Fingerprint], Hashable]
) -> list[tuple[str, str]]:
    """Pair what is alone with its trait on both sides."""
    left, right = _grouped(ours, trait), _grouped(theirs, trait)
    return [
        (group[0].key, right[name][0].key) for name, group in left.items() if len(group) == 1 and len(right.get(name, ())) == 1
    ]


def _take_out(pairs: Iterable[tuple[str, str]], left: dict[str, Fingerprint], right: dict[str, Fingerprint]) -> None:
    for mine, yours in pairs:
        del left[mine], right[yours]


def _by_looks(
    ours: Iterable[Fingerprint], theirs: Iterable[Fingerprint]
) -> tuple[list[tuple[str, str]], list[tuple[tuple[str, ...], tuple[str, ...]]]]:
    """Pair look-alikes that are each other's only one; group the others."""
    left, right = _grouped(ours, _looks), _grouped(theirs, _looks)
    pairs: list[tuple[str, str]] = []
    ambiguous: list[tuple[tuple[str, ...], tuple[str, ...]]] = []
    for name in left.keys() & right.keys():
        mine, yours = left[name], right[name]
        alike = {item.key: [other.key for other in yours if _alike(item, other)] for item in mine}
        unsure: tuple[set[str], set[str]] = (set(), set())
        for key, others in alike.items():
            rivals = [rival for rival, liked in alike.items() if set(liked) & set(others)]
            if len(others) == 1 and rivals == [key]:
                pairs.append((key, others[0]))
            elif others:
                unsure[0].add(key)
                unsure[1].update(others)
        if unsure[0]:
            ambiguous.append((tuple(sorted(unsure[0])), tuple(sorted(unsure[1]))))
    return sorted(pairs), sorted(ambiguous)


def _alike(mine: Fingerprint, yours: Fingerprint) -> bool:
    """Say whether titles and organizers agree, where both are known."""
    titles = mine.title is None or yours.title is None or mine.title == yours.title
    people = mine.organizer is None or yours.organizer is None or mine.organizer == yours.organizer
    return titles and people
