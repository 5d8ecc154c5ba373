"""Which event is which between two downloads. Pure.

A feed has no object names and no versions, and some have no lasting UIDs either. An event's name here is its UID with a
fingerprint of what people recognise it by; its version is a digest of its content with the time at which it is over.
Two downloads are matched by UID first, then by fingerprint, each event once.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import msgspec

from gleichtakt.errors import Trouble
from gleichtakt.model.document import point_document, series_document
from gleichtakt.model.event import Series
from gleichtakt.model.recurrence import bounds
from gleichtakt.providers.protocol import Cursor, Etag, Href

NEVER = "-"  # the end of a series without end
UNSTABLE_SHARE = 0.5


def _short(value: object, length: int) -> str:
    return hashlib.sha256(msgspec.json.encode(value)).hexdigest()[:length]


def fingerprint_of(series: Series) -> str:
    """Give what an event is recognised by without its UID: start, end, title and rule."""
    event = series.event
    return _short([point_document(event.start), point_document(event.end), event.title, series.rrule], 16)


@dataclass(frozen=True, slots=True)
class Print:
    """One event of a download. digest: of all its content but the UID. over: when it is over, as UTC text, or NEVER."""

    series: Series
    fingerprint: str
    digest: str
    over: str

    @property
    def etag(self) -> Etag:
        """Give its version."""
        return Etag(f"{self.digest}.{self.fingerprint}.{self.over}")

    @property
    def href(self) -> Href:
        """Give its name, when it is met for the first time."""
        return Href(f"{self.fingerprint}:{self.series.uid}")


def print_of(series: Series) -> Print:
    """Describe one event."""
    document = series_document(series)
    document.pop("uid", None)
    return Print(series, fingerprint_of(series), _short(document, 24), _over(series))


def _over(series: Series) -> str:
    try:
        last = bounds(series, UTC)[1]
    except (Trouble, OverflowError):
        return NEVER
    return f"{last:%Y%m%dT%H%M%SZ}" if last is not None else NEVER


def _parts(etag: str) -> tuple[str, str, str]:
    digest, _, rest = etag.partition(".")
    fingerprint, _, over = rest.partition(".")
    return digest, fingerprint, over or NEVER


def parts_of(href: str) -> tuple[str, str]:
    """Give the fingerprint and the UID an event was first met with."""
    fingerprint, _, uid = href.partition(":")
    return fingerprint, uid


def as_uid(one: Print, uid: str) -> Print:
    """Give an event under the UID by which it is known here."""
    return one if one.series.uid == uid else replace(one, series=replace(one.series, uid=uid))


@dataclass(frozen=True, slots=True)
class Matched:
    """Two downloads compared. named: the events of the new one by lasting name. kept: over and no longer offered, but
    not withdrawn. is_unstable: most UIDs were replaced while the events stayed."""

    named: Mapping[Href, Print]
    kept: tuple[Href, ...] = ()
    is_unstable: bool = False


def match(offered: Sequence[Print], known: Mapping[str, str], now: datetime) -> Matched:
    """Name the events of a download by what we know. known: href -> etag of the last one. now: aware UTC."""
    named: dict[Href, Print] = {}
    left = _match_by_uid(offered, known, named)
    new = _match_by_fingerprint(left, known, named)
    for one in new:
        named[_free(one.href, named)] = one
    absent = [Href(href) for href in known if href not in named]
    edge = _oldest(offered, now)
    kept = tuple(href for href in absent if _parts(known[href])[2] < edge)
    return Matched(named, kept, len(left) - len(new) > UNSTABLE_SHARE * max(len(known), 1))


def _match_by_uid(offered: Sequence[Print], known: Mapping[str, str], named: dict[Href, Print]) -> list[Print]:
    by_uid = {parts_of(href)[1]: Href(href) for href in known}
    left = []
    for one in offered:
        href = by_uid.pop(one.series.uid, None)
        if href is None:
            left.append(one)
        else:
            named[href] = one
    return left


def _match_by_fingerprint(left: Sequence[Print], known: Mapping[str, str], named: dict[Href, Print]) -> Sequence[Print]:
    """Match by fingerprint, equal content first, each known name once; give what stays new."""
    free: dict[str, list[tuple[str, Href]]] = defaultdict(list)
    for href, etag in known.items():
        if href not in named:
            digest, fingerprint, _ = _parts(etag)
            free[fingerprint].append((digest, Href(href)))
    for exactly in (True, False):
        still = []
        for one in left:
            names = free.get(one.fingerprint, [])
            place = next((place for place, (digest, _) in enumerate(names) if not exactly or digest == one.digest), None)
            if place is None:
                still.append(one)
            else:
                href = names.pop(place)[1]
                named[href] = as_uid(one, parts_of(href)[1])
        left = still
    return left


def _free(href: Href, named: Mapping[Href, Print]) -> Href:
    number, wanted = 1, href
    while href in named:
        number += 1
        href = Href(f"{wanted}#{number}")
    return href


def _oldest(offered: Iterable[Print], now: datetime) -> str:
    """Give the instant before which a feed has stopped offering: the start of its oldest single event.

    Series are left out: a birthday that began in 1960 says nothing of what else is still offered. Without single events
    it is now.
    """
    starts = []
    for one in offered:
        if not one.series.is_recurring:
            try:
                starts.append(f"{bounds(one.series, UTC)[0]:%Y%m%dT%H%M%SZ}")
            except (Trouble, OverflowError):
                continue
    return min(starts, default=f"{now:%Y%m%dT%H%M%SZ}")


@dataclass(frozen=True, slots=True)
class Position:
    """What a reader has seen: the file and how to ask whether it is still that one. count: events listed."""

    digest: str
    etag: str = ""
    modified: str = ""
    wish: int = 0
    count: int = 0

    def write(self) -> Cursor:
        """Give it as a cursor."""
        return Cursor(json.dumps([1, self.digest, self.etag, self.modified, self.wish, self.count], separators=(",", ":")))


def read_position(cursor: str) -> Position | None:
    """Read a cursor of ours; None for anything else."""
    try:
        version, *found = json.loads(cursor)
        return Position(*found) if version == 1 and len(found) == 5 else None
    except (ValueError, TypeError):
        return None
