"""VTIMEZONE text for the zones a calendar uses, from the rules of `tzdata`, bounded to the years needed.

Changes of the clock that repeat («last Sunday of March») become a yearly rule; the last of them stays open. What does
not repeat is listed. Source: RFC 5545 §3.6.5.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from itertools import pairwise

from gleichtakt.model.ics.moments import basic
from gleichtakt.model.zone_rules import Observance, tzid_of, write_rules
from gleichtakt.model.zones import CUSTOM, zone_of

WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
OPEN_YEARS = 20  # how far ahead changes are looked at before the last rule is taken to go on
_FIRST_YEAR, _LAST_YEAR = 1902, 2200
_PROBES = 24  # per year; a zone that changes twice within a fortnight is seen as one change


@dataclass(frozen=True, slots=True)
class Change:
    """One change of the clock. wall: naive, on the clock before it."""

    wall: datetime
    before: timedelta
    after: timedelta
    saving: timedelta
    name: str

    @property
    def pattern(self) -> tuple[object, ...]:
        """Give what repeats from year to year besides the day."""
        return self.before, self.after, bool(self.saving), self.name, self.wall.month, self.wall.time(), self.wall.weekday()


def name_in_file(tzid: str) -> str:
    """Give the TZID a zone gets in a file."""
    return tzid_of(tzid) if tzid.startswith(CUSTOM) else tzid


@lru_cache(maxsize=512)
def vtimezone(tzid: str, first_year: int, last_year: int | None, called: str = "") -> str:
    """Give the VTIMEZONE (LF lines) of a zone for events from one year to another; None for events without end.

    called: another TZID, where a file already uses the zone's own for something else.
    """
    name = called or name_in_file(tzid)
    if tzid.startswith(CUSTOM):
        return tzid.replace(f"TZID:{tzid_of(tzid)}", f"TZID:{name}", 1)
    zone = zone_of(tzid)
    first = min(max(first_year - 1, _FIRST_YEAR), _LAST_YEAR)
    last = min(max(last_year if last_year is not None else first_year, first), _LAST_YEAR) + OPEN_YEARS
    changes = [change for year in range(first, last + 1) for change in _changes(tzid, year)]
    start = datetime(first, 1, 1, tzinfo=UTC).astimezone(zone)
    base = Observance(
        start.replace(tzinfo=None, month=1, day=1, hour=0, minute=0, second=0),
        start.utcoffset() or timedelta(),
        start.utcoffset() or timedelta(),
        bool(start.dst()),
        _name(zone, start),
    )
    needed = last - OPEN_YEARS if last_year is not None else None
    return write_rules(name, [base, *_observances(changes, last, needed)])


def _name(zone: tzinfo, moment: datetime) -> str:
    name = zone.tzname(moment) or ""
    return name if name.isalpha() else ""


@lru_cache(maxsize=8192)
def _changes(tzid: str, year: int) -> tuple[Change, ...]:
    """Find the changes of the clock in a year, by probing and halving."""
    zone = zone_of(tzid)
    start = datetime(year, 1, 1, tzinfo=UTC)
    step = timedelta(days=366) / _PROBES
    probes = [start + step * index for index in range(_PROBES)] + [datetime(year + 1, 1, 1, tzinfo=UTC)]
    return tuple(_between(zone, a, b) for a, b in pairwise(probes) if _offset(zone, a) != _offset(zone, b))


def _offset(zone: tzinfo, moment: datetime) -> timedelta:
    return moment.astimezone(zone).utcoffset() or timedelta()


def _between(zone: tzinfo, low: datetime, high: datetime) -> Change:
    before = _offset(zone, low)
    while high - low > timedelta(seconds=1):
        middle = (low + (high - low) / 2).replace(microsecond=0)
        if _offset(zone, middle) == before:
            low = middle
        else:
            high = middle
    local = high.astimezone(zone)
    return Change(
        (high + before).replace(tzinfo=None), before, _offset(zone, high), local.dst() or timedelta(), _name(zone, local)
    )


# --- repeating changes -------------------------------------------------------------------------------------------


def _observances(changes: Sequence[Change], last: int, needed: int | None) -> Iterator[Observance]:
    """Group changes of equal pattern in consecutive years; runs of three and more become rules.

    last: the last year looked at; a run that reaches it goes on for ever. needed: the last year wanted, if any.
    """
    runs: list[list[Change]] = []
    for change in changes:
        run = next((run for run in runs if _continues(run, change)), None)
        if run is None:
            runs.append([change])
        else:
            run.append(change)
    for run in runs:
        if needed is not None and run[0].wall.year > needed:
            continue
        yield _observance(run, last)


def _continues(run: Sequence[Change], change: Change) -> bool:
    latest = run[-1]
    if latest.pattern != change.pattern or latest.wall.year + 1 != change.wall.year:
        return False
    return bool(_positions(*run, change))


def _positions(*changes: Change) -> set[str]:
    """Give the BYDAY forms that fit all changes: ``2SU`` by count from the front, ``-1SU`` from the end."""
    found: set[str] | None = None
    for change in changes:
        day, weekday = change.wall.day, WEEKDAYS[change.wall.weekday()]
        size = monthrange(change.wall.year, change.wall.month)[1]
        here = {f"{(day - 1) // 7 + 1}{weekday}"} | ({f"-1{weekday}"} if day + 7 > size else set())
        found = here if found is None else found & here
    return found or set()


def _observance(run: Sequence[Change], last: int) -> Observance:
    first = run[0]
    rule, dates = "", tuple(change.wall for change in run[1:])
    if len(run) >= 3:
        until = "" if run[-1].wall.year >= last else f";UNTIL={basic(run[-1].wall - run[-1].before)}Z"
        position = max(_positions(*run))  # a digit sorts after the minus: «second» before «last» where both fit
        rule, dates = f"FREQ=YEARLY;BYMONTH={first.wall.month};BYDAY={position}{until}", ()
    return Observance(first.wall, first.before, first.after, bool(first.saving), first.name, rule, dates)
