"""How the copy of a series stands on the other side, and how it is to stand: as a whole or in parts.

Rows of parts become one copy here, before anything is decided, and what is decided is completed by what the parts
themselves need: new ones as the window rolls, and the change from one shape to the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from gleichtakt.errors import Permanent
from gleichtakt.model.event import Series
from gleichtakt.model.exchange_pattern import Grade, Verdict
from gleichtakt.store import calendars
from gleichtakt.store.pairings import PairRow
from gleichtakt.store.parts import PartRow, is_place
from gleichtakt.sync import decide, projection
from gleichtakt.sync import parts as rules
from gleichtakt.sync.flat import flatten, unflatten
from gleichtakt.sync.parts import Agreement, Part
from gleichtakt.sync.plan import Action, Base, Outcome, Side, Verb, View
from gleichtakt.sync.policy import PEOPLE, Limits
from gleichtakt.sync.projection import Flow
from gleichtakt.worker.link_pass.context import Pass, marked_part

IN_STEP, WHOLE_AGAIN = "sync.parts_in_step", "sync.whole_again"
TOO_DENSE, NOT_HELD = "recurrence.too_dense", "sync.rule_not_held"


@dataclass(frozen=True, slots=True)
class Shape:
    """The shape of one copy. stands, goes: whether it stands in parts, and is to.

    base, now: theirs as last agreed on and as it stands, where it has parts. limits: what the other side can hold of it in
    the shape it is to have. obstacle: code of why it can have no copy.
    """

    verdict: Verdict
    stands: bool
    goes: bool
    limits: Limits
    recurs: bool = False
    obstacle: str = ""
    parts: tuple[Part, ...] = ()
    base: Series | None = None
    now: Series | None = None

    @property
    def grade(self) -> tuple[str, str]:
        """Give the grade to be shown and the code of its reason; empty for a single event, which always fits."""
        return (self.verdict.grade.value, self.verdict.reason) if self.recurs else ("", "")

    @property
    def is_plain(self) -> bool:
        """Say whether no part is concerned."""
        return not (self.stands or self.goes or self.parts)


def look(work: Pass, row: PairRow, rows: Sequence[PartRow]) -> tuple[PairRow, Shape]:
    """Give a pairing with its parts joined to one copy, and their shape."""
    stands = is_place(row.href)
    shape = _shape(work, row, stands)
    if not stands and not rows:
        return row, shape
    base = _base(work, row, shape) if stands else _document(row)
    parts = tuple(_reduced(work, row, part) for part in read_parts(rows))
    if base is None:
        return (_without_base(row, rows) if stands else row), replace(shape, parts=parts)
    parts = rules.filled(parts, base, work.limits, work.reader)
    now = rules.assembled(base, parts, work.reader)
    if not stands and now is None:
        now = base
    return _joined(row, rows, parts, now, stands=stands), replace(shape, parts=parts, base=base, now=now)


def _shape(work: Pass, row: PairRow, stands: bool) -> Shape:
    alive = row.document is not None and row.deleted_at is None and row.version is not None
    is_original = row.origin == "provider" and row.origin_link_id == work.link.id
    if not alive or is_original or row.document is None:
        return Shape(rules.EXACT, stands, stands, rules.in_parts(work.limits) if stands else work.limits)
    if not stands and rules.in_parts(work.limits) == work.limits:
        return Shape(rules.EXACT, stands, False, work.limits)  # it holds everything
    series = calendars.read_document(row.document)
    verdict = rules.grade(series, work.limits, work.window, work.reader, begun=stands)
    if verdict.grade is Grade.EXPLODED and row.href and not stands and not row.made_by_us:
        verdict = Verdict(Grade.REFUSED, verdict.reason)  # it is somebody else's object: nothing is put in its place
    recurs = series.is_recurring or bool(series.overrides)
    if verdict.grade is Grade.EXACT:
        return Shape(verdict, stands, False, work.limits, recurs)
    refused = verdict.grade is Grade.REFUSED
    obstacle = (TOO_DENSE if verdict.reason == TOO_DENSE else NOT_HELD) if refused else ""
    return Shape(verdict, stands, not refused or stands, rules.in_parts(work.limits), recurs, obstacle)


def agreed_there(row: PairRow) -> Series | None:
    """Give theirs as both sides last agreed on it."""
    flat = row.base_ours if row.base_theirs is None else row.base_theirs
    return unflatten(flat, row.uid) if flat is not None else None


def written_fields(work: Pass, row: PairRow | None) -> frozenset[str]:
    """Give the fields that we write into the parts of a series; what is no longer shown is among them, to be taken off."""
    sends = row.base_ours.get(decide.OUT, ()) if row is not None and row.base_ours is not None else ()
    with_people = work.limits.silent_attendees or "attendees" in sends  # taking people off would mail them
    return work.limits.storable if with_people else work.limits.storable - PEOPLE


def read_parts(rows: Iterable[PartRow]) -> tuple[Part, ...]:
    """Turn rows into what the rules see."""
    return tuple(map(_read_part, rows))


def _read_part(row: PartRow) -> Part:
    now = flatten(calendars.read_document(row.document)) if row.document is not None and not row.gone else None
    _, named = marked_part(row.marker) or (None, "")
    return Part(row.id, row.slot, row.href or "", row.stored, row.sent, now, row.gone, named)


def _base(work: Pass, row: PairRow, shape: Shape) -> Series | None:
    """Give theirs as last agreed on, as far as policy lets us hold it; ours as it would stand there where it never was."""
    agreed = agreed_there(row)
    if agreed is None:
        view = _view(row, calendars.read_document(row.document)) if row.document is not None else None
        flat = decide.shown(view, work.policy, shape.limits, language=work.language, reader=work.reader) if view else {}
        return unflatten(flat, row.uid) if flat else None
    return _held(work, row, agreed)


def _held(work: Pass, row: PairRow, theirs: Series) -> Series | None:
    """Give what policy lets us hold of a copy today."""
    found = projection.inward(
        theirs,
        own_copy=True,
        policy=work.policy,
        limits=work.limits,
        window=work.window,
        reader=work.reader,
        language=work.language,
        paired=True,
        relayed=row.origin == "provider",
    )
    return found.series


def _reduced(work: Pass, row: PairRow, part: Part) -> Part:
    """Give a part with what policy lets us hold today of what it held, or a field that is held back would look edited."""
    held = _held(work, row, unflatten(part.stored, "")) if part.stored is not None else None
    return part if held is None else replace(part, stored=flatten(held))


def _view(row: PairRow, ours: Series) -> View:
    return View(row.origin or "app", ours, None, None, relayed=row.origin == "provider", made_by_us=True, uid=row.uid)


def _document(row: PairRow) -> Series | None:
    return calendars.read_document(row.theirs) if row.theirs is not None and not row.gone else None


def _joined(row: PairRow, rows: Sequence[PartRow], parts: Sequence[Part], now: Series | None, *, stands: bool) -> PairRow:
    """Give a pairing whose copy is what its parts say together."""
    moved = {part.id for part in parts if part.has_moved}
    seen = [found.seen_at for found in rows if found.id in moved and found.seen_at]
    said = [found.modified_at for found in rows if found.id in moved and found.modified_at]
    joined = replace(
        row,
        theirs=calendars.write_document(now) if now is not None else None,
        has_moved=bool(moved) or (row.has_moved and not stands),
        seen_at=max(seen, default=row.seen_at),
        modified_at=max(said, default=row.modified_at),
    )
    if not stands:
        return joined
    organizes = any(found.is_organizer for found in rows) or not rows
    return replace(joined, seen=True, gone=now is None, reason="", etag="", is_organizer=organizes)


def _without_base(row: PairRow, rows: Sequence[PartRow]) -> PairRow:
    """Give a pairing of which nobody knows what its parts were to say: it is there as long as any of them is."""
    standing = [found for found in rows if found.document is not None and not found.gone]
    return replace(row, seen=True, gone=not standing, theirs=standing[0].document if standing else None, reason="", etag="")


# --- what follows from a decision --------------------------------------------------------------------------------


def completed(work: Pass, row: PairRow, shape: Shape, found: Outcome) -> Action | None:
    """Give the action that brings the parts of a series in step to what is agreed; None where they are."""
    idle = not (found.actions or found.clash or found.wait_until_grace or found.refused)
    out, _ = projection.flows(work.policy, work.limits)
    if not idle or shape.obstacle or out is not Flow.OPEN or row.hold_id is not None or not (shape.stands or shape.parts):
        return None
    agreed = agreed_there(row)
    if shape.base is None or agreed is None or row.deleted_at is not None or row.version is None:
        return None
    title = agreed.event.title
    if shape.stands and not shape.goes:
        series = projection.fitted(shape.now or agreed, work.limits, work.reader)
        base = Base(row.base_ours or {}, flatten(agreed))
        return Action(Side.PROVIDER, Verb.UPDATE, row.uid, WHOLE_AGAIN, title, series=series, before=shape.now, agreed=base)
    fields = written_fields(work, row)
    try:
        steps = rules.pending(agreed if shape.goes else None, shape.parts, work.limits, work.window, work.reader, fields)
    except Permanent:  # beyond the steps of a walk: the grade says so with the next plan
        return None
    stands = shape.now or agreed
    return Action(Side.PROVIDER, Verb.UPDATE, row.uid, IN_STEP, title, series=stands, before=stands) if steps else None


def is_reshaped(work: Pass, row: PairRow, shape: Shape, found: Outcome) -> bool:
    """Say whether what is taken over from there gives our series another shape before anything is written there."""
    first = found.actions[0] if len(found.actions) > 1 else None
    if first is None or first.side is not Side.APP or first.verb is not Verb.UPDATE or first.series is None:
        return False
    after = _shape(work, replace(row, document=calendars.write_document(first.series)), shape.stands)
    return (after.goes, after.obstacle) != (shape.goes, shape.obstacle)


def facts(row: PairRow, shape: Shape, action: Action) -> dict[str, Any]:
    """Give what settling an action needs to know of the shape of the copy."""
    if shape.is_plain:
        return {}
    known: dict[str, Any] = {"has_parts": True, "goes_to_parts": shape.goes and not shape.obstacle}
    if action.side is Side.PROVIDER and action.is_effect:
        known["shape"] = _way(shape, action)
    if shape.goes and not shape.stands and (stood := _document(row)) is not None:
        known["whole"] = flatten(stood)
    if action.verb is Verb.CREATE:
        known["parts"] = _document_of(Agreement({}, tuple(part.id for part in shape.parts if part.gone)))
    elif action.agreed is not None and shape.base is not None and shape.now is not None:
        agreed = unflatten(action.agreed.theirs, action.uid)
        seen = rules.agreement(shape.parts, shape.base, shape.now, agreed, settled=action.side is Side.PROVIDER)
        known["parts"] = _document_of(seen)
    return known


def _way(shape: Shape, action: Action) -> str:
    """Say how an effect is settled: part by part, as one object in their place, or as any other."""
    if shape.goes or action.verb is Verb.DELETE or action.why == IN_STEP:
        return "parts"
    return "whole" if shape.stands else ""


def _document_of(seen: Agreement) -> dict[str, Any]:
    return {
        "halves": [[str(part_id), stored, sent] for part_id, (stored, sent) in seen.halves.items()],
        "gone": [str(part_id) for part_id in seen.gone],
    }
