"""The decision about one pairing: what would bring both sides together, and may it.

Each side is compared with what it looked like when both last agreed (`Base`), never with the other's clock (CON-02).
Both are compared as projected: ours as the other side may and can hold it, theirs as we may hold it; so a provider that
stores less, or a little differently, is in step. A change that is not allowed is set back on the side it was made, not
left to diverge. Which function answers a pairing is one table (`_ANSWERS`) over what exists on each side.

A base's own half carries two notes, `#in` and `#out`: the fields that were compared when it was recorded. A field that
is compared for the first time is no edit of the side that only copies it; a field that policy withdrew is cleared.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, tzinfo
from typing import Any, Final

from gleichtakt.errors import Language
from gleichtakt.model.event import Series
from gleichtakt.sync import projection
from gleichtakt.sync.flat import (
    EVENT_FIELDS,
    RECURRENCE,
    apply,
    changed,
    content_of,
    flatten,
    has_same_days,
    is_note,
    restrict,
    slot_of,
    take,
    unflatten,
)
from gleichtakt.sync.merge import Keys, Merge, Rule, clashes, merge
from gleichtakt.sync.plan import Action, Base, Clash, Flat, HoldKind, Outcome, Side, Theirs, Verb, Verdict, View
from gleichtakt.sync.policy import PEOPLE, TIMES_AND_STATE, Limits, Policy
from gleichtakt.sync.projection import Flow, Role, Terms, Withheld

NONE: Final[Keys] = frozenset()
IN, OUT = "#in", "#out"


@dataclass(frozen=True, slots=True)
class Case:
    """One view with what follows from it and the policy, worked out once."""

    view: View
    policy: Policy
    limits: Limits
    language: Language
    reader: tzinfo
    terms: Terms
    rule: Rule
    theirs: Flat  # flat, empty where there is no content

    @property
    def role(self) -> Role:
        return self.terms.role

    def outward(self, series: Series) -> Series | Withheld:
        """Project a series of ours for the other side."""
        found = projection.outward(
            series,
            role=self.role,
            policy=self.policy,
            limits=self.limits,
            origin_detail=self.view.origin_detail,
            reader=self.reader,
            language=self.language,
        )
        if self.view.obstacle and isinstance(found, Series) and self.role is not Role.FOREIGN:
            return Withheld(self.view.obstacle, by_policy=False)
        return found

    def noted(self, flat: Mapping[str, Any]) -> Flat:
        """Give our half of a base, with the fields that are compared today."""
        return {**flat, IN: sorted(self.terms.takes), OUT: sorted(self.terms.sends)}

    def action(self, side: Side, verb: Verb, why: str, **more: Any) -> Action:
        """Make an action about this view."""
        view = self.view
        shown = view.ours or (view.theirs.series if view.theirs else None)
        title = shown.event.title if shown else ""
        return Action(side, verb, view.uid or (shown.uid if shown else ""), why, title, **more)


def plan(
    view: View, policy: Policy, limits: Limits, *, language: Language = "de", now: datetime, reader: tzinfo = UTC
) -> Outcome:
    """Say what would bring both sides of one pairing together; nothing when they are in step.

    reader: zone that gives floating events their hours where the other side has no floating time. now is there for the
    caller's log of a decision; no rule compares it with another clock (CON-02).
    """
    case = _case(view, policy, limits, language, reader)
    if _is_hijacked(view, case.role):
        return _one(case.action(Side.PROVIDER, Verb.UNLINK, "sync.organizer_changed"))
    return _ANSWERS[_ours(view), _theirs(view.theirs), view.base is not None](case)


def shown(view: View, policy: Policy, limits: Limits, *, language: Language = "de", reader: tzinfo = UTC) -> Flat:
    """Give ours of one pairing as the other side would hold it, flat; empty where it gets none."""
    projected = _case(view, policy, limits, language, reader).outward(view.ours) if view.ours is not None else None
    return flatten(projected) if isinstance(projected, Series) else {}


def _case(view: View, policy: Policy, limits: Limits, language: Language, reader: tzinfo) -> Case:
    theirs = view.theirs.series if view.theirs else None
    sides = [series for series in (view.ours, theirs) if series is not None]
    terms = projection.terms(
        projection.role_of(view.origin, is_origin_link=view.is_origin_link),
        policy,
        limits,
        origin_writes=view.origin_writes,
        origin_detail=view.origin_detail,
        hidden=any(series.event.sensitivity in projection.HIDDEN for series in sides),
        made_by_us=view.made_by_us or view.theirs is None,
        organizes=view.theirs is None or view.theirs.is_organizer,
    )
    return Case(view, policy, limits, language, reader, terms, _rule(view, policy), flatten(theirs) if theirs else {})


def _rule(view: View, policy: Policy) -> Rule:
    """Give the rule for clashes; a person's verdict comes before the link's."""
    decided = {Verdict.OURS: "app_first", Verdict.THEIRS: "provider_first"}.get(view.verdict)
    if decided:
        return Rule(decided, {})
    theirs_at = view.theirs.modified_at if view.theirs else None
    return Rule(policy.conflict_rule, policy.field_owners, view.ours_modified_at, theirs_at)


def _ours(view: View) -> str:
    return "live" if view.ours is not None else "deleted" if view.ours_deleted else "absent"


def _theirs(theirs: Theirs | None) -> str:
    """Say how the other side stands: with content, existing without content for us, or proven gone."""
    return "gone" if theirs is None else "live" if theirs.series is not None else "closed"


def _is_hijacked(view: View, role: Role) -> bool:
    """Say whether a copy we made has become somebody else's meeting (rule 7).

    A booking that somebody else organizes from the beginning is none: that is how we wrote it.
    """
    if role is not Role.OWN or not view.made_by_us or view.base is None or view.theirs is None or view.theirs.is_organizer:
        return False
    organizer = view.theirs.series.event.organizer if view.theirs.series else None
    agreed = view.base.theirs.get("organizer")
    return organizer is None or not agreed or organizer.email.casefold() != agreed["email"].casefold()


def _one(*actions: Action, notes: Iterable[str] = ()) -> Outcome:
    return Outcome(actions, notes=tuple(notes))


def _nothing(case: Case) -> Outcome:
    return Outcome()


def _forget(case: Case) -> Outcome:
    return _one(case.action(Side.PROVIDER, Verb.UNLINK, "sync.both_gone"))


# --- both are there ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Moves:
    """What moved on each side since both agreed, sorted by what may become of it.

    ours, theirs: may be carried over; ours_refused, theirs_refused: to be set back; withdrawn_*: no longer allowed
    to stand on that side.
    """

    ours: Keys = NONE
    theirs: Keys = NONE
    ours_refused: Keys = NONE
    theirs_refused: Keys = NONE
    withdrawn_there: Keys = NONE
    withdrawn_here: Keys = NONE

    @property
    def any(self) -> bool:
        return bool(
            self.ours | self.theirs | self.ours_refused | self.theirs_refused | self.withdrawn_there | self.withdrawn_here
        )


def _both(case: Case) -> Outcome:
    """Both sides hold it and have agreed before: carry over what moved."""
    terms, projected = case.terms, _projected(case)
    if _is_switched_off(case):
        return _switched_off(case)
    if isinstance(projected, Withheld):
        return _withheld(case, projected)
    ours = flatten(projected)
    moves = _verdict_applied(case, _moves(case, ours))
    if terms.into is Flow.STOPPED and moves.theirs:
        return Outcome(notes=("sync.waits_inbound",))  # to push without taking their edit would forget it
    merged = merge(moves.ours, moves.theirs, ours, case.theirs, case.rule)
    if terms.out is Flow.STOPPED:
        return _carry(case, ours, moves, replace(merged, ours=NONE, theirs=merged.theirs - merged.decided, open=()))
    if merged.open:
        return Outcome(clash=_clash(case, ours, frozenset().union(*merged.open)))
    outcome = _carry(case, ours, moves, merged)
    return _held_back(outcome) if terms.asks and merged.theirs and case.view.verdict is Verdict.NONE else outcome


def _projected(case: Case) -> Series | Withheld:
    if case.view.ours is None:
        raise ValueError("only what exists is projected")
    return case.outward(case.view.ours)


def _base(case: Case) -> Base:
    if case.view.base is None:
        raise ValueError("both sides have never agreed")
    return case.view.base


def _moves(case: Case, ours: Flat) -> Moves:
    """Compare each side with its base and sort what moved by whose it is to change."""
    terms = case.terms
    base = _known_base(case, ours)
    our_moves = changed(restrict(base.ours, terms.sends), restrict(ours, terms.sends))
    their_moves = changed(restrict(base.theirs, terms.takes), restrict(case.theirs, terms.takes))
    if terms.role is Role.FOREIGN:
        our_moves -= _hidden_keys(case, our_moves)
    else:
        their_moves -= _hidden_keys(case, their_moves)
    may_go = _allowed(our_moves, terms.allowed_out, only_times=terms.times_out) if terms.out is not Flow.CLOSED else NONE
    may_come = _allowed(their_moves, terms.allowed_in, only_times=terms.times_in) if terms.into is not Flow.CLOSED else NONE
    settable = frozenset(key for key in their_moves - may_come if content_of(key) in terms.allowed_out)
    return Moves(
        ours=may_go,
        theirs=may_come,
        ours_refused=our_moves - may_go if terms.into is Flow.OPEN else NONE,
        theirs_refused=settable if terms.out is Flow.OPEN else NONE,
        withdrawn_there=_withdrawn_there(case, base) if terms.out is Flow.OPEN else NONE,
        withdrawn_here=_withdrawn_here(case, base) if terms.into is Flow.OPEN else NONE,
    )


def _allowed(keys: Keys, fields: frozenset[str], *, only_times: bool) -> Keys:
    allowed = frozenset(key for key in keys if content_of(key) in fields)
    return projection.times_only(allowed) if only_times else allowed


def _known_base(case: Case, ours: Flat) -> Base:
    """Give the base, with what the copying side holds today in fields that were never compared before."""
    base, terms = _base(case), case.terms
    if terms.role is Role.FOREIGN:
        fresh = terms.sends - frozenset(base.ours.get(OUT, terms.sends))
        return Base(take(base.ours, _keys_in(fresh, base.ours, ours), ours), base.theirs) if fresh else base
    fresh = terms.takes - frozenset(base.ours.get(IN, terms.takes))
    return Base(base.ours, take(base.theirs, _keys_in(fresh, base.theirs, case.theirs), case.theirs)) if fresh else base


def _keys_in(fields: frozenset[str], *flats: Mapping[str, Any]) -> Keys:
    return frozenset(key for flat in flats for key in flat if content_of(key) in fields and not is_note(key))


def _hidden_keys(case: Case, keys: Keys) -> Keys:
    """Give the keys that would carry more than times of a single private occurrence (rule 11)."""
    if not projection.protects(case.role, case.policy):
        return NONE
    theirs = case.view.theirs.series if case.view.theirs else None
    hidden = {
        slot for series in (case.view.ours, theirs) if series is not None and series.overrides for slot in _hidden_slots(series)
    }
    return frozenset(key for key in keys if slot_of(key) in hidden and content_of(key) not in TIMES_AND_STATE)


def _hidden_slots(series: Series) -> Iterable[str]:
    flat = flatten(series)
    for key, value in flat.items():
        if key.startswith("@") and key.endswith(":sensitivity") and value in projection.HIDDEN:
            yield slot_of(key)


def _withdrawn_there(case: Case, base: Base) -> Keys:
    """Give what stands on their copy but policy shows no longer (PRV-03, ATT-07)."""
    if case.role is Role.FOREIGN or not case.view.made_by_us:
        return NONE
    fields = frozenset(base.ours.get(OUT, ())) - case.terms.granted_out
    if not case.limits.silent_attendees:
        fields -= PEOPLE  # taking people off would mail them
    return _keys_in(fields, base.ours)


def _withdrawn_here(case: Case, base: Base) -> Keys:
    """Give what stands on our copy of their event but policy holds no longer."""
    if case.role is not Role.FOREIGN or case.view.ours is None:
        return NONE
    fields = frozenset(base.ours.get(IN, ())) - case.terms.granted_in
    return _keys_in(fields, flatten(case.view.ours))


def _verdict_applied(case: Case, moves: Moves) -> Moves:
    """Turn a rejected change into one to be set back: theirs if they moved, else ours."""
    if case.view.verdict is not Verdict.RESTORE:
        return moves
    if moves.theirs:
        there = moves.theirs if case.terms.out is Flow.OPEN else NONE
        return replace(moves, theirs=moves.theirs - there, theirs_refused=moves.theirs_refused | there)
    return replace(moves, ours=NONE, ours_refused=moves.ours_refused | moves.ours)


def _clash(case: Case, ours: Flat, keys: Keys) -> Clash:
    fields = frozenset(content_of(key) for key in keys)
    base = case.view.base
    shown = case.terms.sends | case.terms.takes
    return Clash(fields, restrict(base.ours, shown) if base else None, restrict(ours, shown), restrict(case.theirs, shown))


def _held_back(outcome: Outcome) -> Outcome:
    """Hold the change that came from the other side for a person; what depends on it waits too."""
    first = outcome.actions[:1]
    return replace(outcome, actions=tuple(replace(action, hold=HoldKind.REMOTE_UPDATE) for action in first))


def _carry(case: Case, ours: Flat, moves: Moves, merged: Merge, why: str = "") -> Outcome:
    """Make the actions that carry keys over: first to our side, then to theirs."""
    view = case.view
    if view.ours is None:
        raise ValueError("only what exists is carried")
    base = view.base or Base({}, {})
    pull = merged.theirs | moves.ours_refused | moves.withdrawn_here
    push = merged.ours | moves.theirs_refused
    full = flatten(view.ours)
    new_full = apply(full, pull, case.theirs)
    moved_here = bool(changed(full, new_full))
    new_ours = unflatten(new_full, view.ours.uid) if moved_here else view.ours
    projected = case.outward(new_ours) if moved_here else None
    new_flat = (
        flatten(projected) if isinstance(projected, Series) else ours if projected is None else take(ours, pull, case.theirs)
    )
    if isinstance(projected, Withheld):
        push = NONE  # it goes from there with the next plan
    else:
        push |= _followed(case, ours, new_flat, pull)
    new_theirs = apply(case.theirs, push, new_flat)
    moved_there = bool(changed(case.theirs, new_theirs)) or bool(moves.withdrawn_there)
    waiting = frozenset() if case.terms.out is not Flow.STOPPED else moves.ours | (moves.theirs - merged.theirs)
    settled = Base(case.noted(take(new_flat, waiting, base.ours)), take(new_theirs, waiting, base.theirs))
    actions: list[Action] = []
    if moved_here:
        later = push | moves.withdrawn_there
        halfway = Base({**case.noted(take(new_flat, later, base.ours)), **_notes(base)}, take(case.theirs, later, base.theirs))
        actions.append(
            case.action(
                Side.APP,
                Verb.UPDATE,
                why or ("sync.changed_there" if merged.theirs else "sync.foreign_restored"),
                series=new_ours,
                before=view.ours,
                fields=series_fields(view.ours, new_ours),
                agreed=halfway if moved_there else settled,
                loser=_lost(ours, merged.decided & merged.theirs),
            )
        )
    if moved_there:
        actions.append(_update_there(case, moves, merged, new_theirs, base, settled, why))
    if not actions and (moves.any or _notes(base) not in ({}, _notes(settled))) and not waiting:
        actions.append(case.action(Side.APP, Verb.LINK, why or "sync.in_step", agreed=settled))
    return Outcome(tuple(actions))


def _followed(case: Case, before: Flat, after: Flat, pulled: Keys) -> Keys:
    """Give what their edit changes in our projection beyond itself: a booking made private loses its title there."""
    if case.terms.out is not Flow.OPEN:
        return NONE
    sends = case.terms.sends & case.terms.allowed_out
    return changed(restrict(before, sends), restrict(after, sends)) - pulled


def _update_there(case: Case, moves: Moves, merged: Merge, new_theirs: Flat, base: Base, settled: Base, why: str) -> Action:
    uid = case.view.theirs.series.uid if case.view.theirs and case.view.theirs.series else case.view.uid
    before = unflatten(take(case.theirs, moves.withdrawn_there, base.ours), uid)
    after = unflatten({key: value for key, value in new_theirs.items() if key not in moves.withdrawn_there}, uid)
    ours_counts = merged.ours or moves.withdrawn_there
    return case.action(
        Side.PROVIDER,
        Verb.UPDATE,
        why or ("sync.changed_here" if ours_counts else "sync.own_restored"),
        series=after,
        before=before,
        fields=series_fields(before, after),
        agreed=settled,
        loser=_lost(case.theirs, merged.decided & merged.ours),
        mails=_mails(case, after, before),
    )


def _notes(base: Base) -> Flat:
    return {key: value for key, value in base.ours.items() if is_note(key)}


def _lost(flat: Flat, keys: Keys) -> Flat | None:
    return {key: flat.get(key) for key in sorted(keys)} or None


def series_fields(before: Series, after: Series) -> frozenset[str]:
    """Give the fields in which two versions differ: of the master, and `recurrence` for rule, dates and overrides."""
    fields = {name for name in EVENT_FIELDS if getattr(before.event, name) != getattr(after.event, name)}
    if before.event.html != after.event.html:
        fields.add("description")
    if _recurrence(before) != _recurrence(after):
        fields.add(RECURRENCE)
    return frozenset(fields)


def _recurrence(series: Series) -> tuple[Any, ...]:
    return series.rrule, series.rdate, series.exdate, series.overrides, series.is_detached


def _mails(case: Case, *versions: Series | None) -> int:
    """Give how many people the provider may notify about a write."""
    if case.policy.notify == "none":
        return 0
    people = {person.email.casefold() for series in versions if series is not None for person in series.event.attendees}
    return len(people)


# --- first meeting -----------------------------------------------------------------------------------------------


def _adopt(case: Case) -> Outcome:
    """Both sides hold it and were matched, but never agreed: link them, and settle what differs (rule 8)."""
    projected = _projected(case)
    if isinstance(projected, Withheld):
        return _withheld(case, projected)
    ours, terms = flatten(projected), case.terms
    shared = (terms.sends if terms.out is Flow.OPEN else terms.takes) & terms.takes
    if terms.role is Role.FOREIGN:
        shared = terms.takes
    differs = changed(restrict(ours, shared), restrict(case.theirs, shared))
    differs -= _hidden_keys(case, differs)
    if "rrule" in differs and has_same_days(ours, case.theirs):
        differs -= {"rrule"}
    counts: dict[Side | None, set[str]] = {Side.APP: set(), Side.PROVIDER: set(), None: set()}
    decided: set[str] = set()
    for group in clashes(differs, differs, ours, case.theirs):
        side = _first_word(case, group, ours)
        if side != "neither":
            counts[Side(side) if side else None] |= group
        if side and _has_any(group, ours) and _has_any(group, case.theirs):
            decided |= group
    if counts[None]:
        return Outcome(clash=_clash(case, ours, frozenset(counts[None])))
    merged = Merge(frozenset(counts[Side.APP]), frozenset(counts[Side.PROVIDER]), (), frozenset(decided))
    outcome = _carry(case, ours, Moves(ours=differs, theirs=differs), merged, "sync.matched")
    if outcome.actions or terms.out is Flow.STOPPED:
        return outcome
    return _one(case.action(Side.APP, Verb.LINK, "sync.matched", agreed=Base(case.noted(ours), case.theirs)))


def _first_word(case: Case, group: Keys, ours: Flat) -> str | None:
    """Say which side counts in a group that differs at the first meeting: app, provider, neither, or None to ask."""
    terms = case.terms
    may_go = terms.out is Flow.OPEN and all(content_of(key) in terms.allowed_out for key in group)
    may_come = terms.into is Flow.OPEN and all(content_of(key) in terms.allowed_in for key in group)
    if case.policy.first_run == "link_only" or not (may_go or may_come):
        return "neither"
    if terms.role is Role.FOREIGN:  # theirs is the original
        return "provider" if may_come else "neither"
    if not (may_go and may_come):
        return "provider" if may_come else "app"
    fixed = {"app_to_provider": "app", "provider_to_app": "provider"}.get(case.policy.first_run)
    if fixed:
        return fixed
    if not _has_any(group, case.theirs):
        return "app"
    if not _has_any(group, ours):
        return "provider"
    winner = case.rule.winner(group)
    return winner.value if winner else None


def _has_any(keys: Keys, flat: Flat) -> bool:
    return any(key in flat for key in keys)


_TAKES_IN: Final = frozenset({"merge", "provider_to_app"})
_GIVES_OUT: Final = frozenset({"merge", "app_to_provider"})


def _offer(case: Case) -> Outcome:
    """Ours has no copy there and never had: create one, within the window."""
    view, terms = case.view, case.terms
    if terms.out is not Flow.OPEN or not view.in_window or (view.first_run and case.policy.first_run not in _GIVES_OUT):
        return Outcome()
    if terms.role is Role.FOREIGN and view.origin_writes != "allow":
        return Outcome()
    return _create_there(case, "sync.created_here")


def _create_there(case: Case, why: str, loser: Flat | None = None) -> Outcome:
    projected = _projected(case)
    if isinstance(projected, Withheld):
        if case.view.base is None:
            return Outcome(notes=(projected.reason,), refused=_refused(projected))
        gone = _one(case.action(Side.PROVIDER, Verb.UNLINK, projected.reason), notes=(projected.reason,))
        return replace(gone, refused=_refused(projected))
    flat = flatten(projected)
    action = case.action(
        Side.PROVIDER,
        Verb.CREATE,
        why,
        series=projected,
        fields=case.terms.sends,
        agreed=Base(case.noted(flat), flat),
        loser=loser,
        mails=_mails(case, projected),
    )
    return _one(action, notes=_degraded(case, projected))


def _refused(withheld: Withheld) -> str:
    """Give the code of what is not possible there; what policy wants is no news to anybody."""
    return "" if withheld.by_policy else withheld.reason


def _degraded(case: Case, projected: Series) -> tuple[str, ...]:
    """Say whether the other side holds it only roughly."""
    ours = case.view.ours
    if ours is None or case.role is Role.FOREIGN:
        return ()
    plain, sent = ours.event, projected.event
    rough = plain.show_as != sent.show_as or plain.sensitivity != sent.sensitivity or plain.start != sent.start
    return ("sync.degraded",) if rough or plain.end != sent.end else ()


def _import(case: Case) -> Outcome:
    """Theirs is new to us: take it over."""
    view = case.view
    if view.origin == "app":
        return Outcome() if view.base is None else _forget(case)
    if not view.in_window or (view.first_run and case.policy.first_run not in _TAKES_IN):
        return Outcome()
    return _create_here(case, "sync.created_there") if case.terms.into is Flow.OPEN else Outcome()


def _create_here(case: Case, why: str, loser: Flat | None = None) -> Outcome:
    theirs = case.view.theirs.series if case.view.theirs else None
    if theirs is None:
        raise ValueError("only what has content is taken over")
    projected = case.outward(theirs)
    ours = flatten(projected) if isinstance(projected, Series) else dict(case.theirs)
    agreed = Base(case.noted(ours), case.theirs)
    return _one(case.action(Side.APP, Verb.CREATE, why, series=theirs, fields=case.terms.takes, agreed=agreed, loser=loser))


# --- a deletion --------------------------------------------------------------------------------------------------


def _they_deleted(case: Case) -> Outcome:
    """Their copy is proven gone: what follows depends on whose event it is, on policy and on what we changed."""
    return _DELETED_THERE[_answer_to_their_deletion(case)](case)


def _answer_to_their_deletion(case: Case) -> str:
    decided = {
        Verdict.ACCEPT: "delete",
        Verdict.THEIRS: "delete",
        Verdict.RESTORE: "recreate",
        Verdict.OURS: "recreate",
    }.get(case.view.verdict)
    if case.terms.into is Flow.STOPPED:
        return "wait"
    if decided:
        return decided if decided == "delete" or case.terms.out is Flow.OPEN else "wait"
    return _foreign_gone(case) if case.role is Role.FOREIGN else _copy_gone(case)


def _foreign_gone(case: Case) -> str:
    """The original was deleted: our copy goes too, unless the application may edit it and did (rule 4, CON-07)."""
    if case.terms.into is Flow.CLOSED:
        return "unlink"
    may_recreate = case.terms.out is Flow.OPEN and case.view.origin_writes == "allow"
    return _edit_against(case) if may_recreate and _we_edited(case) else "delete"


def _edit_against(case: Case) -> str:
    """Our edit against their deletion: the conflict rule says whose action counts."""
    winner = case.rule.of_the_whole()
    return "clash" if winner is None else "recreate" if winner is Side.APP else "delete"


def _copy_gone(case: Case) -> str:
    """A copy of our event, or of one that came over another link, was deleted there."""
    policy, terms = case.policy, case.terms
    if policy.on_remote_delete == "unlink" or terms.out is Flow.CLOSED:
        return "unlink"
    writes = case.view.origin_writes if case.role is Role.RELAYED else "allow"
    refused = terms.into is Flow.CLOSED or writes != "allow" or policy.provider_writes_own == "revert"
    answer = "recreate" if refused else _DELETION_RULE[policy.on_remote_delete]
    if not refused and _we_edited(case):
        against = _edit_against(case)
        answer = answer if against == "delete" else against
    if answer == "delete" and policy.provider_writes_own == "ask":
        answer = "hold"
    if answer == "delete" and not case.view.grace_over:
        return "grace"
    return "wait" if answer == "recreate" and terms.out is not Flow.OPEN else answer


_DELETION_RULE: Final = {"cancel_booking": "delete", "recreate": "recreate", "ask": "hold"}


def _we_edited(case: Case) -> bool:
    projected = _projected(case)
    if isinstance(projected, Withheld):
        return False
    sends = case.terms.sends & case.terms.allowed_out
    return bool(changed(restrict(_base(case).ours, sends), restrict(flatten(projected), sends)))


def _delete_here(case: Case, why: str = "sync.deleted_there", hold: HoldKind | None = None) -> Outcome:
    return _one(case.action(Side.APP, Verb.DELETE, why, before=case.view.ours, hold=hold))


def _deletion_clash(case: Case) -> Outcome:
    """An edit against a deletion that waits for a person."""
    base, ours = case.view.base, case.view.ours
    shown = case.terms.sends | case.terms.takes
    projected = case.outward(ours) if ours else None
    our_flat = restrict(flatten(projected), shown) if isinstance(projected, Series) else None
    their_flat = restrict(case.theirs, shown) if case.theirs else None
    present, half = (our_flat, base.ours if base else {}) if ours else (their_flat, base.theirs if base else {})
    moved = changed(restrict(half, shown), present or {})
    fields = frozenset(content_of(key) for key in moved)
    return Outcome(clash=Clash(fields, restrict(base.ours, shown) if base else None, our_flat, their_flat))


_DELETED_THERE: Final[Mapping[str, Callable[[Case], Outcome]]] = {
    "delete": _delete_here,
    "hold": lambda case: _delete_here(case, hold=HoldKind.REMOTE_DELETE),
    "grace": lambda case: Outcome(wait_until_grace=True),
    "recreate": lambda case: _create_there(case, "sync.recreated"),
    "unlink": lambda case: _one(case.action(Side.PROVIDER, Verb.UNLINK, "sync.copy_gone")),
    "clash": _deletion_clash,
    "wait": lambda case: Outcome(notes=("sync.waits_stopped",)),
}


def _we_deleted(case: Case) -> Outcome:
    """Ours was deleted, theirs is there."""
    return _DELETED_HERE[_answer_to_our_deletion(case)](case)


def _answer_to_our_deletion(case: Case) -> str:
    terms, verdict = case.terms, case.view.verdict
    decided = {
        Verdict.ACCEPT: "delete",
        Verdict.OURS: "delete",
        Verdict.RESTORE: "restore",
        Verdict.THEIRS: "restore",
    }.get(verdict)
    if Flow.STOPPED in (terms.out, terms.into):
        return "wait"
    if decided == "restore":
        return "restore" if terms.into is Flow.OPEN else "wait"
    if case.role is Role.FOREIGN and (terms.out is Flow.CLOSED or case.view.origin_writes != "allow"):
        return "set_back" if terms.into is Flow.OPEN else "unlink"
    if terms.out is Flow.CLOSED:
        return "unlink"
    if decided is None and _they_edited(case):
        winner = case.rule.of_the_whole()
        if winner is not Side.APP:
            return "clash" if winner is None else "restore"
    may_delete = case.role is Role.FOREIGN or case.view.made_by_us or case.policy.app_writes_foreign == "allow"
    return "delete" if may_delete else "leave"


def _they_edited(case: Case) -> bool:
    """Say whether they changed something that we would take; a relayed copy ends with its original."""
    if case.role is Role.RELAYED or case.terms.into is not Flow.OPEN or case.view.base is None:
        return False
    takes = case.terms.takes & case.terms.allowed_in
    return bool(changed(restrict(_known_base(case, {}).theirs, takes), restrict(case.theirs, takes)))


def _delete_there(case: Case, why: str = "sync.deleted_here", hold: HoldKind | None = None) -> Outcome:
    theirs = case.view.theirs.series if case.view.theirs else None
    return _one(
        case.action(Side.PROVIDER, Verb.DELETE, why, before=theirs, hold=hold, mails=_mails(case, theirs, case.view.ours))
    )


_DELETED_HERE: Final[Mapping[str, Callable[[Case], Outcome]]] = {
    "delete": _delete_there,
    "restore": lambda case: _create_here(case, "sync.restored_there"),
    "set_back": lambda case: _create_here(case, "sync.foreign_restored"),
    "leave": lambda case: _one(case.action(Side.PROVIDER, Verb.UNLINK, "sync.left_there")),
    "unlink": lambda case: _one(case.action(Side.PROVIDER, Verb.UNLINK, "sync.copy_kept")),
    "clash": _deletion_clash,
    "wait": lambda case: Outcome(notes=("sync.waits_stopped",)),
}


def _we_deleted_before(case: Case) -> Outcome:
    """Ours was deleted before both ever agreed: a copy of ours goes, an event of theirs comes (back)."""
    if case.role is Role.FOREIGN:
        return _import(case)
    if case.view.made_by_us and case.terms.out is Flow.OPEN:
        return _delete_there(case)
    return Outcome()


# --- what is there but not for us --------------------------------------------------------------------------------


def _closed(case: Case) -> Outcome:
    """Theirs exists but we hold no content: only what a filter or privacy took out follows, never a guess (DEL-03)."""
    reason = case.view.theirs.reason if case.view.theirs else ""
    if case.role is not Role.FOREIGN or reason not in ("filtered", "private") or case.terms.into is not Flow.OPEN:
        return Outcome()
    if case.view.verdict is Verdict.RESTORE:
        return _one(case.action(Side.APP, Verb.UNLINK, "sync.copy_kept"))
    return _delete_here(case, f"sync.{reason}") if case.policy.remove_copy else Outcome()


def _closed_deleted(case: Case) -> Outcome:
    """Ours was deleted and theirs has no content for us: only a copy that we made is deleted."""
    reason = case.view.theirs.reason if case.view.theirs else ""
    if case.role is Role.FOREIGN:
        return _one(case.action(Side.PROVIDER, Verb.UNLINK, "sync.both_gone")) if case.view.base else Outcome()
    if reason != "unreadable" and case.view.made_by_us and case.terms.out is Flow.OPEN:
        return _delete_there(case)
    return Outcome()


def _withheld(case: Case, withheld: Withheld) -> Outcome:
    """The other side may not or cannot hold ours: a copy that we made there goes, another one stays as it is."""
    notes = (withheld.reason,)
    if case.terms.out is not Flow.OPEN:
        return Outcome(notes=notes)
    if not case.view.made_by_us or case.role is Role.FOREIGN:
        return Outcome(notes=notes, refused=_refused(withheld))
    if case.view.verdict is Verdict.RESTORE:
        return _one(case.action(Side.PROVIDER, Verb.UNLINK, "sync.copy_kept"), notes=notes)
    return replace(_delete_there(case, withheld.reason), notes=notes)


def _is_switched_off(case: Case) -> bool:
    """Say whether this link's direction no longer has a copy on the side that copies (rule 1)."""
    if case.role is Role.FOREIGN:
        return case.terms.into is Flow.CLOSED
    return case.terms.out is Flow.CLOSED and case.view.made_by_us


def _switched_off(case: Case) -> Outcome:
    """A direction was switched off: what becomes of the copies is `on_disable`; nothing else is written."""
    if case.policy.on_disable == "keep" or (case.role is not Role.FOREIGN and not case.limits.can_write):
        return Outcome()
    if case.view.verdict is Verdict.RESTORE:
        return _one(case.action(Side.PROVIDER, Verb.UNLINK, "sync.copy_kept"))
    if case.role is not Role.FOREIGN and changed(_base(case).theirs, case.theirs):
        return _one(case.action(Side.PROVIDER, Verb.UNLINK, "sync.copy_edited"))
    ask = case.policy.on_disable == "ask" and case.view.verdict is not Verdict.ACCEPT
    delete = _delete_here if case.role is Role.FOREIGN else _delete_there
    return delete(case, "sync.switched_off", HoldKind.ON_DISABLE if ask else None)


#: Who answers: (ours is live, deleted or absent; theirs is live, closed to us or gone; both agreed once).
_ANSWERS: Final[Mapping[tuple[str, str, bool], Callable[[Case], Outcome]]] = {
    ("live", "live", True): _both,
    ("live", "live", False): _adopt,
    ("live", "closed", True): _closed,
    ("live", "closed", False): _nothing,
    ("live", "gone", True): _they_deleted,
    ("live", "gone", False): _offer,
    ("deleted", "live", True): _we_deleted,
    ("deleted", "live", False): _we_deleted_before,
    ("deleted", "closed", True): _closed_deleted,
    ("deleted", "closed", False): _closed_deleted,
    ("deleted", "gone", True): _forget,
    ("deleted", "gone", False): _nothing,
    ("absent", "live", True): _import,
    ("absent", "live", False): _import,
    ("absent", "closed", True): _nothing,
    ("absent", "closed", False): _nothing,
    ("absent", "gone", True): _forget,
    ("absent", "gone", False): _nothing,
}
