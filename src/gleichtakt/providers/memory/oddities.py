"""Each surprise of this system as a named function or a table row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from gleichtakt.errors import (
    Ambiguous,
    AuthRequired,
    Conflict,
    CursorExpired,
    Gone,
    Permanent,
    Scope,
    Throttled,
    Transient,
    Trouble,
)
from gleichtakt.model.event import Series

WRITES = frozenset({"create", "update", "delete"})

#: Bounds for «wait until»: never less than a second, never more than an hour, whatever they say.
SHORTEST, LONGEST = timedelta(seconds=1), timedelta(hours=1)

#: Their word of refusal -> our kind, how much stops, and the sentence. An unlisted word is Transient.
KINDS: Mapping[str, tuple[type[Trouble], Scope, str]] = {
    "login": (AuthRequired, Scope.ACCOUNT, "general.login_refused"),
    "forbidden": (Permanent, Scope.CALENDAR, "general.forbidden"),
    "no_calendar": (Permanent, Scope.CALENDAR, "general.calendar_missing"),
    "version": (Conflict, Scope.SERIES, "general.stale"),
    "rejected": (Permanent, Scope.SERIES, "general.rejected"),
    "too_large": (Permanent, Scope.SERIES, "general.too_large"),
}


def trouble_of(word: str, params: Mapping[str, str], *, verb: str, host: str, now: datetime) -> Trouble:
    """Give the trouble for a refusal. An error of their own after a write leaves open whether it took effect."""
    if word == "cursor":
        return CursorExpired()
    if word == "not_found":
        return Gone()
    if word == "busy":
        until = wait_until(params.get("until", ""), now)
        return Throttled("general.throttled", Scope.ACCOUNT, until=until, host=host)
    if word in KINDS:
        kind, scope, code = KINDS[word]
        return kind(code, scope, host=host, reason=params.get("reason", word))
    lost = Ambiguous if verb in WRITES else Transient
    return lost("general.server_error", Scope.ACCOUNT, host=host, status=word)


def wait_until(text: str, now: datetime) -> datetime:
    """Give the moment until which we rest; advice that is missing, unreadable or absurd is brought into bounds."""
    try:
        wanted = datetime.fromisoformat(text)
    except ValueError:
        wanted = now + timedelta(minutes=1)
    if wanted.tzinfo is None:
        wanted = now + timedelta(minutes=1)
    return min(max(wanted, now + SHORTEST), now + LONGEST)


def with_suffix(series: Series, key: str) -> Series:
    """Give the series a UID of its own: this system refuses a second object with the same one."""
    return replace(series, uid=f"{series.uid}-{key[:8]}")
