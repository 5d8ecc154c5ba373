"""One calendar object as bytes and as a series. Pure.

Reading takes a resource as a whole: a resource with one broken component is unreadable, because half a series would
look like deleted occurrences. Writing patches what was read and leaves the rest byte for byte.
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime

from gleichtakt.errors import Permanent, Scope, Trouble
from gleichtakt.model import ics
from gleichtakt.model.event import Event, Response, Series
from gleichtakt.providers.caldav import oddities
from gleichtakt.providers.clock import TheirClock
from gleichtakt.providers.protocol import Etag, Href, Mark, Seen, Unreadable

_MODIFIED = re.compile(rb"^LAST-MODIFIED[^:\r\n]*:(\d{8}T\d{6})Z", re.MULTILINE)
_ZONES = re.compile(rb"BEGIN:VTIMEZONE.*?END:VTIMEZONE", re.DOTALL)  # a zone's own LAST-MODIFIED says nothing of the event


def read_object(
    href: Href,
    etag: Etag,
    data: bytes,
    mine: frozenset[str] = frozenset(),
    *,
    repaired: bool = False,
    clock: TheirClock | None = None,
) -> Seen | Unreadable | None:
    """Read one resource; None when it holds no event.

    mine: our addresses, lower case. repaired: characters were replaced. clock: theirs, by which LAST-MODIFIED is read.
    """
    try:
        series = _only_series(data)
    except Trouble as trouble:
        alone = Permanent(trouble.code, Scope.SERIES, detail=trouble.detail, **trouble.params)  # the file is one event
        return Unreadable(href, etag, alone, data)
    if series is None:
        return None
    if repaired and "�".encode() in data:
        series = replace(series, warnings=(*series.warnings, "caldav.control_characters"))
    marker, key, foreign = oddities.marks_of(data)
    return Seen(
        href,
        etag,
        series,
        marker=marker,
        key=key,
        is_organizer=is_organizer(series.event, mine),
        response=response_of(series.event, mine),
        foreign_marker=foreign,
        modified_at=modified_at(data, clock or TheirClock()),
    )


def modified_at(data: bytes, clock: TheirClock) -> datetime | None:
    """Give when the newest part of a resource was last changed, on our clock; None where nothing says so."""
    if b"LAST-MODIFIED" not in data:
        return None
    told = [found.decode() for found in _MODIFIED.findall(_ZONES.sub(b"", data))]
    try:
        return clock.ours(datetime.strptime(max(told), "%Y%m%dT%H%M%S").replace(tzinfo=UTC)) if told else None
    except (ValueError, OverflowError):
        return None


def _only_series(data: bytes) -> Series | None:
    reading = ics.read_calendar(data)
    for broken in reading.broken:
        raise Permanent(broken.code, Scope.SERIES, **broken.params)
    if len({series.uid for series in reading.series}) > 1:
        raise Permanent("caldav.several_uids", Scope.SERIES, count=str(len(reading.series)))
    return reading.series[0] if reading.series else None


def series_in(data: bytes) -> Series | None:
    """Give the series of a resource, None when it cannot be read or holds none."""
    try:
        return _only_series(data)
    except Trouble:
        return None


def is_organizer(event: Event, mine: frozenset[str]) -> bool:
    """Say whether we organize an event: no one else does."""
    return event.organizer is None or not event.attendees or event.organizer.email.lower() in mine


def response_of(event: Event, mine: frozenset[str]) -> str:
    """Give our own answer."""
    if event.organizer is not None and event.organizer.email.lower() in mine:
        return Response.ORGANIZER.value
    return next((person.response.value for person in event.attendees if person.email.lower() in mine), Response.NONE.value)


def compose(series: Series, key: str, mark: Mark, *, silent: bool) -> bytes:
    """Write a new resource with our mark. silent: its people are left to us, not to the server."""
    marks = [pair for pair in ((oddities.MARK, mark.text), (oddities.KEY, key)) if pair[1]]
    return oddities.clean_text(ics.write_calendar([series], extra={series.uid: marks}, silent=silent))


def patched(data: bytes, base: Series, new: Series, fields: frozenset[str], mark: Mark, *, silent: bool) -> bytes:
    """Change the named fields of a resource and nothing else; a mark of ours on it becomes the one given."""
    changed = ics.patch(ics.parse(data), base, new, fields, silent=silent)
    for event in changed.named("VEVENT") if mark.text else ():
        event.lines = [
            line._replace(value=mark.text, raw=None) if line.name == oddities.MARK and line.value != mark.text else line
            for line in event.lines
        ]
    return oddities.clean_text(changed.write())
