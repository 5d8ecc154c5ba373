"""Time zones of items: Windows ids, definitions with periods and transitions, and the older `MeetingTimeZone`. Pure.

A zone that Windows has a name for travels by it; any other as a definition: both ways, so that a custom zone survives.
Sources: [MS-OXWSGTZ] §2.2.4 (definitions), [MS-OXWSMTGS] (`MeetingTimeZone`); the bias is UTC minus local time.
"""

from __future__ import annotations

import calendar
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import lru_cache
from itertools import pairwise
from typing import Final

from gleichtakt.model.zone_rules import Observance, write_rules
from gleichtakt.model.zones import CUSTOM, canonical_zone, iana_from_windows, resolve_zone, windows_from_iana, zone_of
from gleichtakt.providers.ews.wire.elements import child, children, inside, number, said
from gleichtakt.providers.ews.wire.names import MONTHS, WEEKDAYS, local_name
from gleichtakt.providers.ews.wire.soap import Element, attribute
from gleichtakt.providers.ews.wire.times import read_duration, write_duration

CUSTOM_ID: Final = "tzone://Microsoft/Custom"
_UTC_IDS: Final = frozenset({"tzone://microsoft/utc", "utc", "coordinated universal time"})
_FIRST_YEAR: Final = 1970  # where a definition says «from the beginning»
YEARS_AHEAD: Final = 10  # through which a definition follows a zone whose rules change
_CODES: Final = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")


# --- reading ------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=1024)
def zone_by_id(name: str) -> str:
    """Give the zone of a Windows id, or of an IANA name as some servers write it; empty for another."""
    name = name.strip()
    if name.casefold() in _UTC_IDS:
        return "UTC"
    found = iana_from_windows(name)
    if found:
        return found
    try:
        return canonical_zone(name) if name and not name.startswith(CUSTOM) else ""
    except ValueError:
        return ""


def read_zone(element: Element, default: str = "", year: int = 2020) -> tuple[str, str]:
    """Give the zone of `StartTimeZone` or its like, and the code of a warning or nothing.

    default: for one that says nothing; year: from which on a definition is compared with the zones we know.
    """
    name = element.get("Id") or element.get("TimeZoneName") or ""
    if found := zone_by_id(name):
        return found, ""
    try:
        parts = _meeting_parts(element) if local_name(element.tag) == "MeetingTimeZone" else tuple(_parts(element))
    except (ValueError, LookupError, OverflowError):
        parts = ()
    described = element.get("Name") or name
    return resolve_zone(described, write_rules(described or "Custom", parts) if parts else None, default, year)


@dataclass(frozen=True, slots=True)
class _Change:
    """A yearly change of the clock, on the clock before it. nth: 1 to 4, or -1 for the last; 0: on a day of the month."""

    month: int
    weekday: int
    nth: int
    time: timedelta
    day: int = 0

    def in_year(self, year: int) -> datetime:
        """Give its moment in a year."""
        if not self.nth:
            on = date(year, self.month, min(self.day, calendar.monthrange(year, self.month)[1]))
        elif self.nth < 0:
            last = date(year, self.month, calendar.monthrange(year, self.month)[1])
            on = last - timedelta(days=(last.weekday() - self.weekday) % 7)
        else:
            first = date(year, self.month, 1)
            on = first + timedelta(days=(self.weekday - first.weekday()) % 7 + 7 * (self.nth - 1))
        return datetime(on.year, on.month, on.day) + self.time  # noqa: DTZ001 - wall clock

    def rule(self, last_year: int | None) -> str:
        """Give it as a rule, up to and with a year."""
        on = f"BYMONTHDAY={self.day}" if not self.nth else f"BYDAY={self.nth}{_CODES[self.weekday]}"
        until = f";UNTIL={last_year}1231T235959" if last_year else ""
        return f"FREQ=YEARLY{until};BYMONTH={self.month};{on}"


def _parts(definition: Element) -> Iterator[Observance]:
    """Turn periods, groups and the transitions between groups into the parts of a VTIMEZONE."""
    biases = {each.get("Id") or "": read_duration(each.get("Bias") or "PT0S") for each in inside(definition, "Period")}
    groups = {each.get("Id") or "": each for each in inside(definition, "TransitionsGroup")}
    eras = [(_since(each), said(each, "To")) for each in children(child(definition, "Transitions"))]
    eras = eras or [(None, name) for name in groups] or [(None, "")]
    offset: timedelta | None = None
    for (since, name), (until, _) in pairwise([*eras, (None, "")]):
        found = _era(groups.get(name), biases, since, until, offset)
        yield from found
        offset = found[-1].offset_to if found else offset


def _since(transition: Element) -> datetime | None:
    told = said(transition, "DateTime")
    return datetime.fromisoformat(told).replace(tzinfo=None) if told else None


def _era(
    group: Element | None,
    biases: Mapping[str, timedelta],
    since: datetime | None,
    until: datetime | None,
    before: timedelta | None,
) -> tuple[Observance, ...]:
    """Give the parts that hold from one moment to another; a group without yearly changes is one offset."""
    begin = since or datetime(_FIRST_YEAR, 1, 1)  # noqa: DTZ001 - wall clock
    moves = [(_bias(each, biases), change) for each in children(group) if (change := _change(each))]
    if len(moves) < 2:
        fixed = [_bias(each, biases) for each in children(group)] or list(biases.values())
        if not fixed:
            raise ValueError("a time zone without a period")
        return (Observance(begin, -fixed[0] if before is None else before, -fixed[0], is_daylight=False),)
    moves.sort(key=lambda move: move[1].in_year(begin.year))
    winter = max(bias for bias, _ in moves)
    last_year = until.year - 1 if until else None
    found = []
    if since is not None and before is not None:  # the last change of a year still holds when the next one begins
        found.append(Observance(begin, before, -moves[-1][0], is_daylight=moves[-1][0] != winter))
    for (earlier, _), (bias, change) in zip([moves[-1], *moves], moves, strict=False):
        onset = change.in_year(begin.year)
        onset = onset if onset >= begin else change.in_year(begin.year + 1)
        if last_year is None or onset.year <= last_year:
            found.append(Observance(onset, -earlier, -bias, is_daylight=bias != winter, rule=change.rule(last_year)))
    return tuple(found)


def _bias(transition: Element, biases: Mapping[str, timedelta]) -> timedelta:
    name = said(transition, "To")
    if name not in biases:
        raise ValueError("a transition to an unknown period")
    return biases[name]


def _change(transition: Element) -> _Change | None:
    month = number(transition, "Month")
    if month is None:
        return None
    time = read_duration(said(transition, "TimeOffset") or "PT0S")
    if day := number(transition, "Day"):
        return _Change(month, 0, 0, time, day)
    nth = number(transition, "Occurrence") or -1
    return _Change(month, WEEKDAYS.index(said(transition, "DayOfWeek")), nth if 0 < nth < 5 else -1, time)


_NTH: Final = {"First": 1, "Second": 2, "Third": 3, "Fourth": 4, "Last": -1}


def _meeting_parts(zone: Element) -> tuple[Observance, ...]:
    """Read the form of 2007: a base offset, and two changes a year relative to it."""
    base = read_duration(said(zone, "BaseOffset"))
    moves = [
        (base + read_duration(said(each, "Offset") or "PT0S"), _yearly(each))
        for each in (*children(zone, "Standard"), *children(zone, "Daylight"))
    ]
    if len(moves) < 2:
        return (Observance(datetime(_FIRST_YEAR, 1, 1), -base, -base, is_daylight=False),)  # noqa: DTZ001
    (winter, to_winter), (summer, to_summer) = moves
    return (
        Observance(to_winter.in_year(_FIRST_YEAR), -summer, -winter, is_daylight=False, rule=to_winter.rule(None)),
        Observance(to_summer.in_year(_FIRST_YEAR), -winter, -summer, is_daylight=True, rule=to_summer.rule(None)),
    )


def _yearly(change: Element) -> _Change:
    clock = datetime.strptime(said(change, "Time")[:8] or "00:00:00", "%H:%M:%S")  # noqa: DTZ007 - wall clock
    time = timedelta(hours=clock.hour, minutes=clock.minute, seconds=clock.second)
    pattern = child(change, "RelativeYearlyRecurrence")
    month = MONTHS.index(said(pattern, "Month")) + 1
    return _Change(month, WEEKDAYS.index(said(pattern, "DaysOfWeek")), _NTH[said(pattern, "DayOfWeekIndex")], time)


def read_bias(zone: Element, default: str = "") -> str:
    """Give the zone of the form that free/busy answers use: minutes of bias, and two changes a year.

    default: of the zones with these rules the one hoped for, and what is given where none is understood.
    """
    try:
        parts = tuple(_biased_parts(zone))
    except (ValueError, LookupError, OverflowError):
        return default
    return resolve_zone("", write_rules("Custom", parts), default)[0]


def _biased_parts(zone: Element) -> Iterator[Observance]:
    base = timedelta(minutes=number(zone, "Bias") or 0)
    (winter, to_winter), (summer, to_summer) = (_biased(child(zone, name)) for name in ("StandardTime", "DaylightTime"))
    cold, warm = -(base + winter), -(base + summer)
    if cold == warm or to_winter is None or to_summer is None:
        yield Observance(datetime(_FIRST_YEAR, 1, 1), cold, cold, is_daylight=False)  # noqa: DTZ001 - wall clock
    else:
        yield Observance(to_winter.in_year(_FIRST_YEAR), warm, cold, is_daylight=False, rule=to_winter.rule(None))
        yield Observance(to_summer.in_year(_FIRST_YEAR), cold, warm, is_daylight=True, rule=to_summer.rule(None))


def _biased(change: Element | None) -> tuple[timedelta, _Change | None]:
    bias = timedelta(minutes=number(change, "Bias") or 0)
    month, order, weekday = number(change, "Month"), number(change, "DayOrder") or 0, said(change, "DayOfWeek")
    if not month:
        return bias, None
    clock = [int(part) for part in (said(change, "Time") or "00:00:00").split(":")]
    time = timedelta(hours=clock[0], minutes=clock[1])
    return bias, _Change(month, WEEKDAYS.index(weekday), order if 0 < order < 5 else -1, time)


# --- writing ------------------------------------------------------------------------------------------------------


def write_zone(name: str, tzid: str, year: int, *, defined: bool = False) -> str:
    """Give `StartTimeZone` or its like: by Windows id, or as a definition where there is none or *defined* asks for it.

    year: of the event; a definition holds the changes of the clock in that year and what becomes of them in the years after.
    """
    windows = "" if defined else windows_from_iana(tzid)
    if windows:
        return f"<t:{name} Id={attribute(windows)}/>"
    return f"<t:{name} {_definition(tzid, year)}</t:{name}>"


@lru_cache(maxsize=256)
def _definition(tzid: str, year: int) -> str:
    eras = _eras(tzid, year)
    offsets = sorted({each for era in eras for each in era.clock.offsets})
    labels = dict(zip(offsets, ("Standard", "Daylight", *map(str, offsets[2:])), strict=False))
    periods = "".join(
        f'<t:Period Bias="{write_duration(-offset)}" Name="{label}" Id="{label}"/>' for offset, label in labels.items()
    )
    groups = "".join(
        f'<t:TransitionsGroup Id="{place}">{_group(era.clock, labels)}</t:TransitionsGroup>' for place, era in enumerate(eras)
    )
    begins = "".join(
        f'<t:AbsoluteDateTransition><t:To Kind="Group">{place}</t:To><t:DateTime>{era.since.isoformat()}</t:DateTime>'
        "</t:AbsoluteDateTransition>"
        for place, era in enumerate(eras)
        if place
    )
    return (
        f'Id="{CUSTOM_ID}" Name={attribute(_label(tzid))}><t:Periods>{periods}</t:Periods>'
        f"<t:TransitionsGroups>{groups}</t:TransitionsGroups>"
        f'<t:Transitions><t:Transition><t:To Kind="Group">0</t:To></t:Transition>{begins}</t:Transitions>'
    )


def _group(clock: _Clock, labels: Mapping[timedelta, str]) -> str:
    steps = "".join(_transition(labels[offset], change) for offset, change in clock.changes)
    return steps or f'<t:Transition><t:To Kind="Period">{labels[clock.winter]}</t:To></t:Transition>'


def _label(tzid: str) -> str:
    return "Customized Time Zone" if tzid.startswith(CUSTOM) else tzid


def _transition(label: str, change: _Change) -> str:
    common = (
        f'<t:To Kind="Period">{label}</t:To><t:TimeOffset>{write_duration(change.time)}</t:TimeOffset>'
        f"<t:Month>{change.month}</t:Month>"
    )
    if not change.nth:
        return f"<t:RecurringDateTransition>{common}<t:Day>{change.day}</t:Day></t:RecurringDateTransition>"
    day = f"<t:DayOfWeek>{WEEKDAYS[change.weekday]}</t:DayOfWeek><t:Occurrence>{change.nth}</t:Occurrence>"
    return f"<t:RecurringDayTransition>{common}{day}</t:RecurringDayTransition>"


def write_meeting_zone(tzid: str, year: int, *, defined: bool = False) -> str:
    """Give `MeetingTimeZone`, the form servers of 2007 know; by name or as a definition like `write_zone`."""
    windows = "" if defined else windows_from_iana(tzid)
    if windows:
        return f"<t:MeetingTimeZone TimeZoneName={attribute(windows)}/>"
    clock = _clock(tzid, year)
    parts = f"<t:BaseOffset>{write_duration(-clock.winter)}</t:BaseOffset>"
    moves = dict(clock.changes)
    if clock.summer is not None and moves.keys() == {clock.winter, clock.summer}:
        both = (("Standard", clock.winter), ("Daylight", clock.summer))
        parts += "".join(_time_change(label, clock.winter - offset, moves[offset]) for label, offset in both)
    return f"<t:MeetingTimeZone TimeZoneName={attribute(_label(tzid))}>{parts}</t:MeetingTimeZone>"


def _time_change(label: str, offset: timedelta, change: _Change) -> str:
    place = next(name for name, nth in _NTH.items() if nth == change.nth)
    clock = (datetime.min + change.time).time().isoformat()  # noqa: DTZ901 - wall clock
    return (
        f"<t:{label}><t:Offset>{write_duration(offset)}</t:Offset><t:RelativeYearlyRecurrence>"
        f"<t:DaysOfWeek>{WEEKDAYS[change.weekday]}</t:DaysOfWeek><t:DayOfWeekIndex>{place}</t:DayOfWeekIndex>"
        f"<t:Month>{MONTHS[change.month - 1]}</t:Month></t:RelativeYearlyRecurrence><t:Time>{clock}</t:Time></t:{label}>"
    )


@dataclass(frozen=True, slots=True)
class _Clock:
    """A zone's year: its lower offset, its higher one if there are two, and the changes with the offset after each."""

    winter: timedelta
    summer: timedelta | None = None
    changes: tuple[tuple[timedelta, _Change], ...] = ()

    @property
    def offsets(self) -> tuple[timedelta, ...]:
        """Give every offset it takes."""
        return self.winter, *(offset for offset, _ in self.changes)


@dataclass(frozen=True, slots=True)
class _Era:
    """How a clock goes from a moment on, read on the clock before it."""

    since: datetime
    clock: _Clock


def _eras(tzid: str, year: int) -> list[_Era]:
    """Follow a zone through the years; one whose government changes the rules begins a new era with them."""
    found = [_Era(datetime(year, 1, 1), _clock(tzid, year))]  # noqa: DTZ001 - wall clock
    for each in range(year, year + YEARS_AHEAD):
        clock = _clock(tzid, each)
        if clock != found[-1].clock:
            found.append(_Era(datetime(each, 1, 1), clock))  # noqa: DTZ001 - wall clock
        if not clock.changes:
            found += [_Era(wall, _Clock(after)) for wall, after in _changes(tzid, each)]
    return found


def _clock(tzid: str, year: int) -> _Clock:
    """Look at a zone in a year. Two changes are a rule; any other number of them is told as the offset the year begins with."""
    first = _offset(zone_of(tzid), datetime(year, 1, 1, tzinfo=UTC))
    found = _changes(tzid, year)
    if len(found) != 2:
        return _Clock(first)
    winter, summer = sorted({after for _, after in found} | {first})[:2]
    later = _changes(tzid, year + 1), _changes(tzid, year + 2), _changes(tzid, year + 3)
    walls = [[wall, *(each[place][0] for each in later if len(each) == 2)] for place, (wall, _) in enumerate(found)]
    return _Clock(winter, summer, tuple((after, _fitted(each)) for (_, after), each in zip(found, walls, strict=True)))


def _fitted(walls: list[datetime]) -> _Change:
    """Say which day of the month the changes of some years are on: the last such weekday, or the n-th, as fits them all."""
    first = walls[0]
    time = timedelta(hours=first.hour, minutes=first.minute, seconds=first.second)
    nth = (first.day - 1) // 7 + 1
    candidates = [_Change(first.month, first.weekday(), each, time) for each in (-1, min(nth, 4))]
    fitting = (each for each in candidates if all(each.in_year(wall.year) == wall for wall in walls))
    exact = (each for each in candidates if each.in_year(first.year) == first)
    return next(fitting, None) or next(exact)


def _offset(zone: tzinfo, moment: datetime) -> timedelta:
    return moment.astimezone(zone).utcoffset() or timedelta()


@lru_cache(maxsize=4096)
def _changes(tzid: str, year: int) -> tuple[tuple[datetime, timedelta], ...]:
    """Give the changes of the clock in a year: the reading before each, and the offset after it."""
    zone, first = zone_of(tzid), datetime(year, 1, 1, tzinfo=UTC)
    days = [first + timedelta(days=day) for day in range((datetime(year + 1, 1, 1, tzinfo=UTC) - first).days + 1)]
    found = []
    for low, high in pairwise(days):
        if _offset(zone, low) != _offset(zone, high):
            at, before = _moment(zone, low, high), _offset(zone, low)
            found.append(((at + before).replace(tzinfo=None), _offset(zone, high)))
    return tuple(found)


def _moment(zone: tzinfo, low: datetime, high: datetime) -> datetime:
    """Find the minute between two moments at which the offset changes."""
    before = _offset(zone, low)
    while high - low > timedelta(minutes=1):
        middle = low + timedelta(minutes=int((high - low).total_seconds() // 120))
        low, high = (middle, high) if _offset(zone, middle) == before else (low, middle)
    return high
