"""What can go wrong, how much of the work it stops, and the sentence a user reads.

Adapters only classify: they raise a `Trouble` with a code, and the worker and the web alone catch it.
A bug is no `Trouble`. The sentences live in `gleichtakt.sentences`, one file per area, and carry no secrets:
parameters are host names, numbers, field names and times, never titles, people or passwords.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import cache
from importlib import import_module
from typing import ClassVar, Literal

Language = Literal["de", "en"]
LANGUAGES: tuple[Language, ...] = ("de", "en")

#: The files of `gleichtakt.sentences`; a new area adds its name here.
AREAS = ("general", "ics", "recurrence", "sync", "caldav", "feed", "memory", "ews", "store", "web", "onboarding", "command")


class Scope(StrEnum):
    """How much stops: the rest of the calendar goes on, the rest of the account does, or nothing there does."""

    SERIES = "series"
    CALENDAR = "calendar"
    ACCOUNT = "account"


@dataclass(frozen=True, slots=True)
class Sentence:
    """One trouble in words: what happened, and what the reader can do. `{name}` marks take the parameters."""

    cause: Mapping[Language, str]
    remedy: Mapping[Language, str]


def sentence(*, en: str, de: str, remedy_en: str, remedy_de: str) -> Sentence:
    """Make a sentence from its four texts."""
    return Sentence({"en": en, "de": de}, {"en": remedy_en, "de": remedy_de})


class Trouble(Exception):
    """Something a person or the worker can act on. Raise one of the five kinds, never this."""

    kind: ClassVar[str] = "trouble"

    def __init__(self, code: str, scope: Scope, *, detail: str = "", **params: str) -> None:
        """code: key of a sentence, e.g. `caldav.not_found`. detail: for the operator's log, without content."""
        super().__init__(code)
        self.code, self.scope, self.detail, self.params = code, scope, detail, params

    def cause(self, language: Language = "en") -> str:
        """Say what happened, in the reader's language."""
        return cause(self.code, self.params, language)

    def remedy(self, language: Language = "en") -> str:
        """Say what the reader can do about it."""
        return remedy(self.code, self.params, language)

    def __str__(self) -> str:
        """Give the English cause with the code, for logs and command lines."""
        return f"{self.cause()} [{self.code}]" + (f" ({self.detail})" if self.detail else "")


class Transient(Trouble):
    """Network, 5xx, timeout: the worker tries again with growing pauses."""

    kind = "transient"


class Throttled(Trouble):
    """The other side asked us to wait: the whole account rests until then."""

    kind = "throttled"

    def __init__(self, code: str, scope: Scope, *, until: datetime, detail: str = "", **params: str) -> None:
        """until: aware UTC, already limited to sensible bounds by the adapter."""
        super().__init__(code, scope, detail=detail, until=f"{until:%H:%M} UTC", **params)
        self.until = until


class AuthRequired(Trouble):
    """Login refused or expired: only a person can help."""

    kind = "auth_required"


class NotTried(AuthRequired):
    """The same login was refused a moment ago, so this call was not even made."""


class Permanent(Trouble):
    """Will never be accepted as it is: parked and listed."""

    kind = "permanent"


class Conflict(Trouble):
    """Our picture of the other side is stale: read again, plan again."""

    kind = "conflict"


class CursorExpired(Conflict):
    """The stored cursor is no longer accepted: list everything, compare, delete nothing on that ground."""

    def __init__(self, code: str = "general.cursor_expired", *, detail: str = "", **params: str) -> None:
        """Scope is always the calendar."""
        super().__init__(code, Scope.CALENDAR, detail=detail, **params)


class Gone(Conflict):
    """The one object addressed does not exist there any more."""

    def __init__(self, code: str = "general.gone", *, detail: str = "", **params: str) -> None:
        """Scope is always the series."""
        super().__init__(code, Scope.SERIES, detail=detail, **params)


class Ambiguous(Transient):
    """A write was sent and its answer is unknown: read back before anything else."""


@cache
def sentences() -> Mapping[str, Sentence]:
    """Join the sentences of all areas, by code."""
    joined: dict[str, Sentence] = {}
    for area in AREAS:
        joined.update(import_module(f"gleichtakt.sentences.{area}").SENTENCES)
    return joined


class _Lenient(dict[str, str]):
    def __missing__(self, key: str) -> str:
        return "–"


def cause(code: str, params: Mapping[str, str], language: Language = "en") -> str:
    """Say what happened; an unknown code is shown as it is rather than hidden."""
    found = sentences().get(code)
    return found.cause[language].format_map(_Lenient(params)) if found else code


def remedy(code: str, params: Mapping[str, str], language: Language = "en") -> str:
    """Say what to do; empty for an unknown code."""
    found = sentences().get(code)
    return found.remedy[language].format_map(_Lenient(params)) if found else ""
