"""The words in which a pass speaks: what it sees of one series on both sides, and what it means to do.

A plan is a sequence of actions, kept as rows by the store. An action carries all that settling needs, so that it can
be printed, stored, held back, approved later or undone. The texts in `why` are codes of `sentences.sync`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from gleichtakt.model.document import read_series, series_document
from gleichtakt.model.event import Series

Flat = dict[str, Any]  # see sync.flat


class Side(StrEnum):
    """Where something is written."""

    APP = "app"
    PROVIDER = "provider"


class Verb(StrEnum):
    """What is done there. LINK only records that both sides agree; UNLINK forgets a pairing without touching copies."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"
    LINK = "link"
    UNLINK = "unlink"


class HoldKind(StrEnum):
    """Why an action waits for a person."""

    MASS_DELETE = "mass_delete"
    MASS_UPDATE = "mass_update"
    SIDE_EMPTY = "side_empty"
    REMOTE_DELETE = "remote_delete"
    REMOTE_UPDATE = "remote_update"  # a change of our event made there, under provider_writes_own: ask
    AMBIGUOUS_MATCH = "ambiguous_match"
    MAILS = "mails"
    ON_DISABLE = "on_disable"


class Verdict(StrEnum):
    """What a person decided about a pairing; consumed by the next plan."""

    NONE = ""
    ACCEPT = "accept"  # do what was held, guard lifted
    RESTORE = "restore"  # undo what the held change did: the other side is brought back
    OURS = "ours"  # a conflict: the application's version counts
    THEIRS = "theirs"


@dataclass(frozen=True, slots=True)
class Base:
    """What both sides last agreed on: the flat projection of each. They may differ: providers store what they can."""

    ours: Flat
    theirs: Flat


@dataclass(frozen=True, slots=True)
class Theirs:
    """The remote copy as observed: content already projected to what policy lets us hold.

    series None with a `reason`: it exists but is not mirrored (filtered, private, unreadable, outside, mirror).
    """

    series: Series | None
    reason: str = ""
    is_organizer: bool = True
    modified_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class View:
    """One series on both sides, as a pass finds it.

    ours: full content, None when absent or deleted (`ours_deleted` tells which). theirs: None when proven absent.
    base None: never agreed. is_origin_link: a provider-origin series on the link it came from. relayed: provider-origin
    on another link of the resource. obstacle: code of why the other side can hold no copy of ours, not even in parts; the
    caller knows, because it depends on the window. origin_writes: `app_writes_foreign` of the link it came from (for both cases).
    """

    origin: str  # app | provider
    ours: Series | None
    theirs: Theirs | None
    base: Base | None
    ours_deleted: bool = False
    is_origin_link: bool = False
    relayed: bool = False
    origin_writes: str = "refuse"
    origin_detail: str | tuple[str, ...] = "full"  # inbound detail of the origin link, for relays
    made_by_us: bool = False
    verdict: Verdict = Verdict.NONE
    ours_modified_at: datetime | None = None
    grace_over: bool = False  # the remote deletion is older than delete_grace_minutes
    in_window: bool = True
    uid: str = ""
    obstacle: str = ""
    first_run: bool = False  # the link has never finished a pass: `first_run` of the policy limits what is created


@dataclass(frozen=True, slots=True)
class Action:
    """One step towards agreement.

    series: what the side holds afterwards (for PROVIDER the projection that is sent, for APP the full series; None
    for a deletion). before: what an update starts from on that side. fields: event field names that change, with
    `recurrence` for rule, dates and overrides. agreed: the base to record once settled; the provider's half is
    replaced by what was read back. loser: fields of the version that lost a conflict, for the journal.
    """

    side: Side
    verb: Verb
    uid: str
    why: str
    title: str = ""
    series: Series | None = None
    before: Series | None = None
    fields: frozenset[str] = frozenset()
    agreed: Base | None = None
    loser: Flat | None = None
    hold: HoldKind | None = None
    mails: int = 0

    @property
    def is_effect(self) -> bool:
        """Say whether it changes content on a side (and not only our records)."""
        return self.verb in (Verb.CREATE, Verb.UPDATE, Verb.DELETE)

    def digest(self) -> str:
        """Name what is done, whatever the reason: an approval lifts the guard for exactly this action."""
        done = {
            "side": self.side.value,
            "verb": self.verb.value,
            "uid": self.uid,
            "fields": sorted(self.fields),
            "series": series_document(self.series) if self.series else None,
        }
        return hashlib.sha256(json.dumps(done, sort_keys=True, ensure_ascii=False).encode()).hexdigest()[:32]


def action_document(action: Action) -> dict[str, Any]:
    """Give an action as JSON, in the form that plans and holds are stored in."""
    agreed = action.agreed
    return {
        "side": action.side.value,
        "verb": action.verb.value,
        "uid": action.uid,
        "why": action.why,
        "title": action.title,
        "series": series_document(action.series) if action.series else None,
        "before": series_document(action.before) if action.before else None,
        "fields": sorted(action.fields),
        "agreed": {"ours": agreed.ours, "theirs": agreed.theirs} if agreed else None,
        "loser": action.loser,
        "hold": action.hold.value if action.hold else None,
        "mails": action.mails,
    }


def read_action(document: Mapping[str, Any]) -> Action:
    """Read a stored action."""
    agreed, hold = document["agreed"], document["hold"]
    return Action(
        side=Side(document["side"]),
        verb=Verb(document["verb"]),
        uid=document["uid"],
        why=document["why"],
        title=document["title"],
        series=read_series(document["series"]) if document["series"] else None,
        before=read_series(document["before"]) if document["before"] else None,
        fields=frozenset(document["fields"]),
        agreed=Base(agreed["ours"], agreed["theirs"]) if agreed else None,
        loser=document["loser"],
        hold=HoldKind(hold) if hold else None,
        mails=document["mails"],
    )


@dataclass(frozen=True, slots=True)
class Clash:
    """A conflict that waits for a person: the clashing fields with all three versions; None where deleted."""

    fields: frozenset[str]
    base: Flat | None
    ours: Flat | None
    theirs: Flat | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one view leads to: at most one action per side, in order, or a clash that waits; nothing when in step.

    The order counts: each action's base says what is agreed once it and those before it are done. Where one fails or is
    held, the ones after it are not done either; the next plan finds what is left.
    wait_until_grace: a remote deletion is not acted on before its grace is over; look again then. refused: code of why
    the other side cannot hold ours at all, which somebody has to know.
    """

    actions: tuple[Action, ...] = ()
    clash: Clash | None = None
    wait_until_grace: bool = False
    notes: tuple[str, ...] = field(default=())  # codes of sentences.sync worth a line in the log: degraded, exploded …
    refused: str = ""


@dataclass(frozen=True, slots=True)
class Tally:
    """The counts a guard needs, per side: effects planned, and how many pairings exist and would remain."""

    mapped: int
    deletes: dict[Side, int]
    updates: dict[Side, int]
    present: dict[Side, int]  # linked copies on that side before the plan
    mails: int = 0
