"""What a link does, in words: from where to where, and how much of an event travels.

Pure. The words stand in `web.i18n.terms`.
"""

from __future__ import annotations

from gleichtakt.store.desk import way
from gleichtakt.sync.policy import Policy
from gleichtakt.web.i18n import Words, terms


def told(policy: Policy, words: Words, notified_by: str) -> list[str]:
    """Say what goes out, what comes back, and how its changes are noticed."""
    goes = way(policy)
    out = _detail(policy.outbound_detail) if goes in ("two_way", "outbound") else "off"
    back = _detail(policy.inbound_detail) if goes in ("two_way", "inbound") else "off"
    often = words.say("Both sides are compared every %(often)s.", often=words.length(policy.interval_seconds))
    if notified_by != "polling":
        often = words.say(terms.NOTICES[notified_by])
    return [words.say(terms.OUTWARD[out]), words.say(terms.INWARD[back]), *([often] if goes != "off" else [])]


def _detail(detail: str | tuple[str, ...]) -> str:
    return detail if isinstance(detail, str) else "chosen"
