"""The reference adapter: what it is called, what it can. Its calendars live in the simulator of the same name.

Every other provider has the same files: `client` sends and waits, `wire` translates, `watching` listens, `oddities` names
the surprises, `NOTES.md` holds limits and sources.
"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from gleichtakt.providers.memory.client import Client
from gleichtakt.providers.memory.wire import ALL_FIELDS
from gleichtakt.providers.protocol import Abilities, Ability, Recurrence

EXACT = Abilities(
    can=Ability.READ | Ability.WRITE | Ability.WATCH | Ability.SINGLE_OCCURRENCES | Ability.SILENT_ATTENDEES | Ability.CHEAP_POLL,
    fields=ALL_FIELDS - {"start", "end"},
    max_in_flight=8,
)
LOSSY = replace(
    EXACT,
    can=EXACT.can & ~Ability.SILENT_ATTENDEES,
    fields=EXACT.fields - {"categories", "conference_url", "html", "url"},
    show_as=frozenset({"free", "tentative", "busy"}),
    sensitivity=frozenset({"normal", "private"}),
    zones=frozenset({"iana"}),
    max_bytes=200_000,
    first_year=1900,
    last_year=2200,
)
NORMALISING = replace(EXACT, caller_uid=False)
PATTERNED = replace(EXACT, recurrence=Recurrence.EXCHANGE)


class Memory(Client):
    """Keeps everything as it was sent."""

    abilities: ClassVar[Abilities] = EXACT
    variant: ClassVar[str] = "exact"


class LossyMemory(Client):
    """Holds fewer fields and words, and says so."""

    abilities: ClassVar[Abilities] = LOSSY
    variant: ClassVar[str] = "lossy"


class NormalisingMemory(Client):
    """Rewrites texts, lists and UIDs, and keeps no markers."""

    abilities: ClassVar[Abilities] = NORMALISING
    variant: ClassVar[str] = "normalising"


class PatternedMemory(Client):
    """Repeats events only by the patterns that Exchange has."""

    abilities: ClassVar[Abilities] = PATTERNED
    variant: ClassVar[str] = "patterned"
