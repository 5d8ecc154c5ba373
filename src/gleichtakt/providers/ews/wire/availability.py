"""Free/busy, working hours and automatic replies, as they are answered. Pure.

Times of free/busy come in the zone they were asked in, which is UTC with us, and by rule without an offset.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from itertools import groupby
from typing import Final

from gleichtakt.model.availability import Shift, WorkingHours
from gleichtakt.model.event import ShowAs
from gleichtakt.model.freebusy import Busy
from gleichtakt.model.point import Timespan
from gleichtakt.providers.ews.wire.elements import child, children, number, said
from gleichtakt.providers.ews.wire.names import SHOW_AS, WEEKDAYS
from gleichtakt.providers.ews.wire.soap import Element
from gleichtakt.providers.ews.wire.times import read_instant
from gleichtakt.providers.ews.wire.zones import read_bias
from gleichtakt.providers.protocol import OutOfOffice

#: Digits of the merged view. 4 is documented as «no data»; newer servers mean «working elsewhere» by it, which is free too.
_DIGITS: Final = {"1": ShowAs.TENTATIVE, "2": ShowAs.BUSY, "3": ShowAs.OOF, "4": ShowAs.WORKING_ELSEWHERE}
_NOTHING: Final = frozenset({"Free", "NoData"})


def read_busy(response: Element, window: Timespan, minutes: int = 30) -> tuple[Busy, ...] | None:
    """Read the busy stretches of one mailbox; None where the server knows nothing of it.

    response: what `soap.outcomes` gives for one mailbox. window, minutes: as they were asked, for servers that answer
    with digits only.
    """
    view = child(response, "FreeBusyView")
    if view is None or said(view, "FreeBusyViewType") in ("None", ""):
        return None
    events, digits = child(view, "CalendarEventArray"), said(view, "MergedFreeBusy")
    try:
        if events is not None:
            return tuple(_events(events))
    except (ValueError, OverflowError):  # times nobody can read; the digits tell the same, only coarser
        if not digits:
            return None
    return tuple(_merged(digits, window.start, timedelta(minutes=minutes)))


def _events(listed: Element) -> Iterator[Busy]:
    for each in children(listed, "CalendarEvent"):
        kind = said(each, "BusyType")
        span = Timespan(read_instant(said(each, "StartTime")), read_instant(said(each, "EndTime")))
        if kind not in _NOTHING and span.start < span.end:
            yield Busy(span, SHOW_AS.get(kind, ShowAs.BUSY))


def _merged(digits: str, start: datetime, step: timedelta) -> Iterator[Busy]:
    place = 0
    for digit, run in groupby(digits):
        length = len(list(run))
        if digit in _DIGITS:
            yield Busy(Timespan(start + place * step, start + (place + length) * step), _DIGITS[digit])
        place += length


def read_working_hours(response: Element, default: str = "") -> WorkingHours | None:
    """Read the working hours of one mailbox with its zone; None where it tells none. default: where the zone is unknown."""
    hours = child(response, "FreeBusyView", "WorkingHours")
    zone = child(hours, "TimeZone")
    tzid = read_bias(zone, default) if zone is not None else default
    if hours is None or not tzid:
        return None
    shifts = [
        Shift(WEEKDAYS.index(day), _clock(number(each, "StartTimeInMinutes")), _clock(number(each, "EndTimeInMinutes")))
        for each in children(child(hours, "WorkingPeriodArray"), "WorkingPeriod")
        for day in said(each, "DayOfWeek").split()
        if day in WEEKDAYS
    ]
    return WorkingHours(tzid, tuple(sorted(shifts, key=lambda shift: (shift.weekday, shift.start))))


def _clock(minutes: int | None) -> time:
    hours, rest = divmod((minutes or 0) % (24 * 60), 60)
    return time(hours, rest)


@dataclass(frozen=True, slots=True)
class Replies:
    """The automatic replies of a mailbox. allowed: the most audience the server permits: none | known | all."""

    settings: OutOfOffice
    allowed: str = "all"


def read_replies(answer: Element) -> Replies:
    """Read GetUserOofSettings. The span counts only where the state is scheduled, but it is always told."""
    settings = child(answer, "OofSettings")
    found = OutOfOffice(
        (said(settings, "OofState") or "Disabled").lower(),
        _span(child(settings, "Duration")),
        (said(settings, "ExternalAudience") or "None").lower(),
        said(settings, "InternalReply", "Message"),
        said(settings, "ExternalReply", "Message"),
    )
    return Replies(found, (said(answer, "AllowExternalOof") or "All").lower())


def _span(duration: Element | None) -> Timespan | None:
    if duration is None:
        return None
    try:
        start, end = (read_instant(said(duration, name), UTC) for name in ("StartTime", "EndTime"))
    except (ValueError, OverflowError):
        return None
    return Timespan(start, end)
