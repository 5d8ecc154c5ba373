"""The ways in which a simulated calendar stores what it is sent, as data.

`exact` keeps everything. `lossy` holds less than we do and says so in its abilities. `normalising` holds everything,
but writes it its own way: other UIDs, tidied texts, sorted lists, no markers. `patterned` repeats events only by the
patterns that Exchange has.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gleichtakt.model.document import read_point
from gleichtakt.model.exchange_pattern import NotExpressible, to_pattern

Document = dict[str, Any]  # a series or an override in the JSON of `model.document`


@dataclass(frozen=True, slots=True)
class Variant:
    """How one kind of calendar stores."""

    name: str
    empty: Mapping[str, Any] = field(default_factory=dict)  # fields it does not keep -> what stands there instead
    coarser: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # field -> word sent -> word kept
    tidy: Mapping[str, Callable[[Any], Any]] = field(default_factory=dict)  # field -> how it rewrites it
    keeps_uid: bool = True
    keeps_marker: bool = True
    unique_uid: bool = False  # refuses a second object with the same UID
    silent: bool = True  # writes attendees without a mail when asked to
    named_zones_only: bool = False
    years: tuple[int, int] = (1, 9999)
    max_bytes: int | None = None
    patterns_only: bool = False


def _one_line(text: str) -> str:
    return re.sub(r"\s+", " ", text).strip()


def _tidy_text(text: str) -> str:
    lines = [line.rstrip() for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n")]
    return "\r\n".join(lines).rstrip()


def _by_address(people: list[Document]) -> list[Document]:
    return sorted(({**person, "email": person["email"].lower()} for person in people), key=lambda p: str(p["email"]))


EXACT = Variant("exact")
LOSSY = Variant(
    "lossy",
    empty={"categories": [], "conference_url": "", "html": "", "url": ""},
    coarser={
        "show_as": {"oof": "busy", "working_elsewhere": "free"},
        "sensitivity": {"personal": "private", "confidential": "private"},
    },
    unique_uid=True,
    silent=False,
    named_zones_only=True,
    years=(1900, 2200),
    max_bytes=200_000,
)
NORMALISING = Variant(
    "normalising",
    tidy={
        "title": _one_line,
        "location": _one_line,
        "description": _tidy_text,
        "categories": sorted,
        "reminders": lambda minutes: sorted(set(minutes)),
        "attendees": _by_address,
    },
    keeps_uid=False,
    keeps_marker=False,
)
PATTERNED = Variant("patterned", patterns_only=True)
VARIANTS: Mapping[str, Variant] = {variant.name: variant for variant in (EXACT, LOSSY, NORMALISING, PATTERNED)}


class Refused(Exception):
    """The calendar will never store this; the text names the reason in one English word or two."""


def stored(variant: Variant, document: Document) -> Document:
    """Give the document as this kind of calendar keeps it. Raises Refused."""
    kept = _kept(variant, document)
    recurrence = kept.get("recurrence")
    if recurrence:
        if variant.patterns_only and not _has_pattern(recurrence, kept["start"]):
            raise Refused("recurrence unknown")
        overrides = [_kept(variant, override) for override in recurrence["overrides"]]
        kept["recurrence"] = {**recurrence, "overrides": overrides}
    return kept


def _has_pattern(recurrence: Mapping[str, Any], start: Document) -> bool:
    if not recurrence["rrule"] or recurrence["rdate"]:
        return False
    return not isinstance(to_pattern(recurrence["rrule"], read_point(start, "start")), NotExpressible)


def _kept(variant: Variant, document: Document) -> Document:
    _check(variant, document)
    kept = {name: variant.empty.get(name, value) for name, value in document.items()}
    for name, words in variant.coarser.items():
        if name in kept:
            kept[name] = words.get(kept[name], kept[name])
    for name, rewrite in variant.tidy.items():
        if name in kept:
            kept[name] = rewrite(kept[name])
    return kept


def _check(variant: Variant, document: Document) -> None:
    for name in ("start", "end"):
        point = document[name]
        year = int((point.get("date") or point["date_time"])[:4])
        if not variant.years[0] <= year <= variant.years[1]:
            raise Refused("year out of range")
        if variant.named_zones_only and "date" not in point and not isinstance(point.get("time_zone"), str):
            raise Refused("time zone unknown")
