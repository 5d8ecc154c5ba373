"""Undoing a run: its journal played backwards as a new plan, through the same guards (part 3, point 9).

Only what the run changed is set back; an edit made since stays. Where an original was never stored, or is stored only
in part, that is said instead of guessed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from gleichtakt.model.event import Series
from gleichtakt.sync.decide import series_fields
from gleichtakt.sync.flat import ALL_FIELDS, apply, changed, flatten, take, unflatten
from gleichtakt.sync.plan import Action, Flat, Side, Verb

WHY = "sync.undone"
LOST = ("sync.undo_edited_since", "sync.undo_not_stored", "sync.undo_gone")  # why something cannot be brought back


@dataclass(frozen=True, slots=True)
class Entry:
    """One journaled write, in the order it was made.

    place: where it was written, an href or the id of a series; entries of one side and place follow each other.
    now: what stands there today, None where it is gone. is_partial: before was never held in full.
    """

    side: Side
    place: str
    verb: Verb
    uid: str
    before: Series | None = None
    after: Series | None = None
    now: Series | None = None
    is_partial: bool = False


@dataclass(frozen=True, slots=True)
class Reversal:
    """What brings back the state before a run. lost: (place, code of `sentences.sync`) of what cannot be brought back."""

    actions: tuple[tuple[str, Action], ...] = ()
    lost: tuple[tuple[str, str], ...] = ()


def reverse(entries: Iterable[Entry]) -> Reversal:
    """Give the actions that undo these writes, last one first, each with its place."""
    written: dict[tuple[Side, str], Entry] = {}
    for entry in entries:
        known = written.pop((entry.side, entry.place), None)
        written[entry.side, entry.place] = _joined(known, entry) if known else entry
    actions: list[tuple[str, Action]] = []
    lost: list[tuple[str, str]] = []
    for entry in reversed(written.values()):
        found = _undone(entry)
        if isinstance(found, Action):
            actions.append((entry.place, found))
        elif found:
            lost.append((entry.place, found))
    return Reversal(tuple(actions), tuple(lost))


def rebase(half: Flat, before: Flat, after: Flat) -> Flat:
    """Give one side's half of a base once an undo has brought that side from *before* to *after*.

    What was set back counts as agreed, so that it does not travel on; an edit made since the last agreement does not.
    """
    return take(half, changed(before, after), after)


def _joined(first: Entry, last: Entry) -> Entry:
    """See two writes at one place as one."""
    born, died = first.verb is Verb.CREATE, last.verb is Verb.DELETE
    verb = Verb.DELETE if died else Verb.CREATE if born else Verb.UPDATE
    return replace(last, verb=verb, before=first.before, is_partial=first.is_partial or last.is_partial)


def _undone(entry: Entry) -> Action | str:
    """Give the action that undoes one write, or why there is none; empty where nothing is left to undo."""
    if entry.verb is Verb.CREATE:
        return _removed(entry)
    if entry.verb is Verb.UPDATE:
        return _set_back(entry)
    return _brought_back(entry) if entry.verb is Verb.DELETE else ""


def _removed(entry: Entry) -> Action | str:
    if entry.now is None:
        return ""
    if entry.after is not None and changed(flatten(entry.after), flatten(entry.now)):
        return "sync.undo_edited_since"  # somebody has made it theirs
    return Action(entry.side, Verb.DELETE, entry.uid, WHY, entry.now.event.title, before=entry.now)


def _set_back(entry: Entry) -> Action | str:
    if entry.before is None:
        return "sync.undo_not_stored"
    if entry.now is None:
        return "sync.undo_gone"
    before, after, now = flatten(entry.before), flatten(entry.after or entry.now), flatten(entry.now)
    keys = frozenset(key for key in changed(before, after) if now.get(key) == after.get(key))
    restored = unflatten(apply(now, keys, before), entry.now.uid)
    fields = series_fields(entry.now, restored)
    if not fields:
        return ""
    title = restored.event.title
    return Action(entry.side, Verb.UPDATE, entry.uid, WHY, title, series=restored, before=entry.now, fields=fields)


def _brought_back(entry: Entry) -> Action | str:
    if entry.now is not None:
        return ""
    if entry.before is None or entry.is_partial:
        return "sync.undo_not_stored"
    title = entry.before.event.title
    return Action(entry.side, Verb.CREATE, entry.uid, WHY, title, series=entry.before, fields=ALL_FIELDS)
