"""A whole synchronisation on a napkin: one resource, any number of remote calendars, no server and no clock.

It does with dictionaries what the worker does with rows, so that the planner alone is on trial.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from zoneinfo import ZoneInfo

from gleichtakt.model.event import Event, Override, Sensitivity, Series, ShowAs, Status
from gleichtakt.model.point import Point, Zoned, wall_of
from gleichtakt.sync import decide, guards
from gleichtakt.sync.flat import flatten, level_text
from gleichtakt.sync.plan import (
    Action,
    Base,
    Clash,
    Flat,
    Outcome,
    Side,
    Tally,
    Theirs,
    Verb,
    Verdict,
    View,
    action_document,
    read_action,
)
from gleichtakt.sync.policy import Limits, Policy
from gleichtakt.sync.projection import inward

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")
ZONE = "Europe/Berlin"


def at(day: int, hour: int = 9, minute: int = 0, month: int = 3) -> Zoned:
    """Give a time in March 2026, in Berlin."""
    return Zoned(datetime.fromisoformat(f"2026-{month:02}-{day:02}T{hour:02}:{minute:02}:00"), ZONE)


def event(title: str = "Termin", day: int = 10, hour: int = 9, hours: int = 1, **more: object) -> Event:
    """Give a timed event."""
    start = at(day, hour)
    return Event(start, Zoned(start.wall + timedelta(hours=hours), ZONE), title=title, **more)  # type: ignore[arg-type]


def single(title: str = "Termin", uid: str = "u1", **more: object) -> Series:
    """Give a series of one event."""
    return Series(uid, event(title, **more))  # type: ignore[arg-type]


def weekly(title: str = "Jour fixe", uid: str = "w1", rrule: str = "FREQ=WEEKLY;COUNT=6", **more: object) -> Series:
    """Give a weekly series from Tuesday 3 March."""
    return Series(uid, event(title, day=3, **more), rrule)  # type: ignore[arg-type]


def edited(series: Series, **fields: object) -> Series:
    """Give a series with fields of its master changed."""
    return replace(series, event=replace(series.event, **fields))  # type: ignore[arg-type]


def overridden(series: Series, slot: Point, **fields: object) -> Series:
    """Give a series with one occurrence changed."""
    from gleichtakt.model.recurrence import occurrence_event

    known = {override.recurrence_id: override.event for override in series.overrides}
    known[slot] = replace(known.get(slot) or occurrence_event(series.event, slot), **fields)  # type: ignore[arg-type]
    ordered = sorted(known.items(), key=lambda pair: wall_of(pair[0]))
    return replace(series, overrides=tuple(Override(point, content) for point, content in ordered))


def excluded(series: Series, slot: Point) -> Series:
    """Give a series without one occurrence."""
    overrides = tuple(override for override in series.overrides if override.recurrence_id != slot)
    dates = tuple(sorted({*series.exdate, slot}, key=wall_of))
    return replace(series, exdate=dates, overrides=overrides)


# --- what a remote side makes of what it is sent -----------------------------------------------------------------

Storing = Callable[[Series], Series]


def faithful(series: Series) -> Series:
    """Store everything as sent."""
    return series


def normalising(series: Series) -> Series:
    """Store what counts, in its own words: other line ends, composed letters, trailing blanks, people sorted."""

    def rewrite(content: Event) -> Event:
        texts: dict[str, Any] = {
            name: unicodedata.normalize("NFD", level_text(getattr(content, name))).replace("\n", "\r\n") + " "
            for name in ("title", "description", "location")
            if getattr(content, name)
        }
        return replace(content, categories=tuple(sorted(content.categories, reverse=True)), **texts)

    overrides = tuple(replace(o, event=rewrite(o.event)) for o in series.overrides)
    return replace(series, event=rewrite(series.event), overrides=overrides)


LOSSY = Limits(
    fields=frozenset({"title", "location", "show_as", "sensitivity"}),
    show_as=frozenset({"free", "busy"}),
    sensitivity=frozenset({"normal", "private"}),
)


def lossy(series: Series) -> Series:
    """Store title, place, times and two states; drop descriptions, labels, the status and the finer words."""

    def reduce(content: Event) -> Event:
        show_as = ShowAs.FREE if content.show_as in (ShowAs.FREE, ShowAs.WORKING_ELSEWHERE) else ShowAs.BUSY
        hidden = content.sensitivity is not Sensitivity.NORMAL
        sensitivity = Sensitivity.PRIVATE if hidden else Sensitivity.NORMAL
        kept: dict[str, Any] = {"title": content.title[:20], "location": content.location}
        return Event(content.start, content.end, show_as=show_as, sensitivity=sensitivity, **kept)

    overrides = tuple(replace(o, event=reduce(o.event)) for o in series.overrides)
    return replace(series, event=reduce(series.event), overrides=overrides)


# --- the world ---------------------------------------------------------------------------------------------------


@dataclass
class Ours:
    """One series of the resource. `series` is what it is, or was when it was deleted."""

    series: Series
    origin: str = "app"
    origin_link: int | None = None
    deleted: bool = False


@dataclass
class Pairing:
    """What is remembered of one series on one link."""

    href: str | None = None
    base: Base | None = None
    made_by_us: bool = False
    state: str = "open"
    verdict: Verdict = Verdict.NONE


@dataclass
class Remote:
    """One remote calendar with its link."""

    policy: Policy
    limits: Limits = field(default_factory=Limits)
    stores: Storing = faithful
    objects: dict[str, Series] = field(default_factory=dict)
    pairings: dict[int, Pairing] = field(default_factory=dict)
    organizes: dict[str, bool] = field(default_factory=dict)


@dataclass
class World:
    """A resource and its links."""

    remotes: list[Remote]
    ours: dict[int, Ours] = field(default_factory=dict)
    actions: list[Action] = field(default_factory=list)
    clashes: dict[int, Clash] = field(default_factory=dict)
    held: list[Action] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    guarded: bool = False
    numbers: count[int] = field(default_factory=lambda: count(1))

    @property
    def there(self) -> dict[str, Series]:
        """Give the objects of the first remote calendar."""
        return self.remotes[0].objects

    def put(self, series: Series) -> int:
        """Let the application make a series."""
        number = next(self.numbers)
        self.ours[number] = Ours(series)
        return number

    def add(self, series: Series, to: int = 0) -> str:
        """Let somebody make an event in a remote calendar."""
        href = f"h{next(self.numbers)}"
        self.remotes[to].objects[href] = series
        return href

    def live(self) -> dict[int, Series]:
        """Give our series that are not deleted."""
        return {number: row.series for number, row in self.ours.items() if not row.deleted}

    def run(self, rounds: int = 1) -> list[Action]:
        """Do one pass over every link, in turn; give the actions that changed content."""
        self.actions, self.held, self.notes = [], [], []
        self.clashes = {}
        for _ in range(rounds):
            for index in range(len(self.remotes)):
                self._pass(index)
        return [action for action in self.actions if action.is_effect]

    def preview(self, index: int = 0) -> list[tuple[int | None, str | None, Outcome]]:
        """Plan one link without doing anything."""
        remote = self.remotes[index]
        self._match(index)
        planned: list[tuple[int | None, str | None, Outcome]] = []
        paired = {pairing.href for pairing in remote.pairings.values()}
        for number in list(self.ours):
            pairing = remote.pairings.setdefault(number, Pairing())
            if pairing.state != "unlinked":
                planned.append((number, pairing.href, self._plan(index, number, pairing)))
        for href, series in remote.objects.items():
            if href not in paired:
                view = View("provider", None, self._seen(index, href, series, None), None, is_origin_link=True)
                view = replace(view, origin_writes=remote.policy.app_writes_foreign)
                planned.append((None, href, decide.plan(view, remote.policy, remote.limits, now=NOW, reader=BERLIN)))
        return planned

    def _pass(self, index: int) -> None:
        remote = self.remotes[index]
        planned = self.preview(index)
        blocked = self._guard(remote, planned) if self.guarded else {}
        for number, href, outcome in planned:
            self.notes += outcome.notes
            if outcome.clash is not None and number is not None:
                self.clashes[number] = outcome.clash
            exempt = number is not None and remote.pairings[number].verdict is not Verdict.NONE
            for action in outcome.actions:
                stored = read_action(action_document(action))
                assert stored == action, "an action survives being stored"
                if action.hold or (not exempt and (action.side, action.verb) in blocked):
                    self.held.append(action)
                    break
                self._do(index, number, href, action)
            else:
                if number is not None and number in remote.pairings:
                    remote.pairings[number].verdict = Verdict.NONE

    def _guard(self, remote: Remote, planned: Iterable[tuple[int | None, str | None, Outcome]]) -> dict[object, object]:
        actions = [action for _, _, outcome in planned for action in outcome.actions]
        mapped = sum(pairing.base is not None for pairing in remote.pairings.values())
        counts = {
            verb: {side: sum(a.side is side and a.verb is verb for a in actions) for side in Side}
            for verb in (Verb.DELETE, Verb.UPDATE)
        }
        tally = Tally(mapped, counts[Verb.DELETE], counts[Verb.UPDATE], dict.fromkeys(Side, mapped))
        return dict(guards.held(tally, remote.policy))

    def _match(self, index: int) -> None:
        """Tie new objects to series of the same uid that have no copy there."""
        remote = self.remotes[index]
        paired = {pairing.href for pairing in remote.pairings.values()}
        for href, series in remote.objects.items():
            alike = [
                number
                for number, row in self.ours.items()
                if not row.deleted
                and row.series.uid == series.uid
                and (number not in remote.pairings or remote.pairings[number].href is None)
            ]
            if href not in paired and len(alike) == 1:
                known = remote.pairings.setdefault(alike[0], Pairing())
                if known.state != "unlinked":
                    known.href = href

    def _plan(self, index: int, number: int, pairing: Pairing) -> Outcome:
        remote, row = self.remotes[index], self.ours[number]
        from_here = row.origin_link == index
        origin = self.remotes[row.origin_link].policy if row.origin_link is not None else remote.policy
        there = remote.objects.get(pairing.href) if pairing.href else None
        view = View(
            origin=row.origin,
            ours=None if row.deleted else row.series,
            theirs=self._seen(index, pairing.href or "", there, row) if there else None,
            base=pairing.base,
            ours_deleted=row.deleted,
            is_origin_link=from_here,
            relayed=row.origin == "provider" and not from_here,
            origin_writes=origin.app_writes_foreign,
            origin_detail=origin.inbound_detail,
            made_by_us=pairing.made_by_us,
            verdict=pairing.verdict,
            grace_over=True,
            uid=row.series.uid,
        )
        return decide.plan(view, remote.policy, remote.limits, now=NOW, reader=BERLIN)

    def _seen(self, index: int, href: str, series: Series, row: Ours | None) -> Theirs:
        remote = self.remotes[index]
        own_copy = row is not None and row.origin_link != index
        return inward(
            series,
            own_copy=own_copy,
            policy=remote.policy,
            limits=remote.limits,
            is_organizer=remote.organizes.get(href, True),
            window=remote.policy.window(NOW),
            reader=BERLIN,
            paired=row is not None,
            relayed=row is not None and row.origin == "provider",
        )

    def _do(self, index: int, number: int | None, href: str | None, action: Action) -> None:
        self.actions.append(action)
        if action.side is Side.APP or not action.is_effect:
            self._do_here(index, number, href, action)
        else:
            assert number is not None
            self._do_there(index, number, href, action)

    def _do_here(self, index: int, number: int | None, href: str | None, action: Action) -> None:
        remote = self.remotes[index]
        if number is None:
            number = next(self.numbers)
            assert action.series is not None
            self.ours[number] = Ours(action.series, "provider", index)
            remote.pairings[number] = Pairing(href)
        row, pairing = self.ours[number], remote.pairings[number]
        if action.verb is Verb.DELETE:
            row.deleted = True
            remote.pairings[number] = Pairing()
        elif action.verb is Verb.UNLINK:
            remote.pairings[number] = Pairing(state="unlinked")
        elif action.series is not None and action.is_effect:
            row.series, row.deleted = action.series, False
        if action.agreed:
            pairing.base = action.agreed

    def _do_there(self, index: int, number: int, href: str | None, action: Action) -> None:
        remote = self.remotes[index]
        pairing = remote.pairings[number]
        if action.verb is Verb.DELETE:
            assert href is not None
            del remote.objects[href]
            remote.pairings[number] = Pairing()
            return
        if action.verb is Verb.CREATE:
            href = f"h{next(self.numbers)}"
            assert action.series is not None
            remote.objects[href] = remote.stores(action.series)
            pairing.href, pairing.made_by_us = href, True
        else:
            assert href is not None
            remote.objects[href] = remote.stores(patched(remote.objects[href], action))
        seen = self._seen(index, href, remote.objects[href], self.ours[number])
        assert action.agreed is not None
        assert seen.series is not None
        pairing.base = Base(action.agreed.ours, flatten(seen.series))


def patched(there: Series, action: Action) -> Series:
    """Change of an object what an update means, and leave the rest, as a good provider does."""
    before, after = action.before, action.series
    assert before is not None
    assert after is not None
    names = action.fields - {"recurrence"}
    meant = {name: getattr(after.event, name) for name in names}
    if "description" in meant:
        meant["html"] = after.event.html
    patched_event = replace(there.event, **meant)
    if "recurrence" not in action.fields:
        return replace(there, event=patched_event)
    return replace(
        there,
        event=patched_event,
        rrule=after.rrule,
        rdate=after.rdate,
        exdate=after.exdate,
        overrides=_patched_overrides(there, before, after, patched_event),
    )


def _patched_overrides(there: Series, before: Series, after: Series, master: Event) -> tuple[Override, ...]:
    """Change single occurrences the same way: what an override holds that we never saw stays in it."""
    known = {override.recurrence_id: override.event for override in there.overrides}
    was = {override.recurrence_id: override.event for override in before.overrides}
    result = []
    for override in after.overrides:
        seen, old = known.get(override.recurrence_id), was.get(override.recurrence_id)
        if seen is None or old is None:
            result.append(override)
            continue
        names = [name for name in Event.__dataclass_fields__ if getattr(old, name) != getattr(override.event, name)]
        changed = {name: getattr(override.event, name) for name in names}
        result.append(Override(override.recurrence_id, replace(seen, **changed)))
    return tuple(result)


def full(**settings: object) -> Policy:
    """Give a policy that shares everything both ways."""
    return Policy(**{"inbound_detail": "full", "outbound_detail": "full", **settings})  # type: ignore[arg-type]


def one_link(policy: Policy | None = None, limits: Limits | None = None, stores: Storing = faithful) -> World:
    """Give a world with one remote calendar."""
    return World([Remote(policy or full(), limits or Limits(), stores)])


def flat(series: Series) -> Flat:
    """Give the flat form."""
    return flatten(series)


CANCELLED = Status.CANCELLED
