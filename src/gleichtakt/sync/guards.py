"""What looks like an accident waits for a person: most of a calendar deleted or changed, a side left empty, many mails.

A guard holds one kind of action on one side; the rest of the run goes on (rule 5, DEL-02).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gleichtakt.sync.plan import HoldKind, Side, Tally, Verb
from gleichtakt.sync.policy import Policy

SMALL: Final = 3  # a calendar of three or more is never emptied unasked


def held(tally: Tally, policy: Policy) -> Mapping[tuple[Side, Verb], HoldKind]:
    """Say which verbs are held on which side, and why."""
    holds: dict[tuple[Side, Verb], HoldKind] = {}
    for side in Side:
        updates, deletes, present = (counts.get(side, 0) for counts in (tally.updates, tally.deletes, tally.present))
        if updates > max(policy.guard_update_min, policy.guard_update_share * tally.mapped):
            holds[side, Verb.UPDATE] = HoldKind.MASS_UPDATE
        if deletes > max(policy.guard_delete_min, policy.guard_delete_share * tally.mapped):
            holds[side, Verb.DELETE] = HoldKind.MASS_DELETE
        if present >= SMALL and deletes >= present:
            holds[side, Verb.DELETE] = HoldKind.SIDE_EMPTY
    if tally.mails > policy.guard_mails:
        for verb in (Verb.CREATE, Verb.UPDATE, Verb.DELETE):
            holds.setdefault((Side.PROVIDER, verb), HoldKind.MAILS)
    return holds
