"""Time zones as Exchange has them: Windows ids with display names, definitions of periods and transitions, both ways.

Where a client sends a definition under an id the server does not know, the item has a custom zone with these rules.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from functools import cache
from itertools import pairwise

from lxml import etree

from gleichtakt.model import windows_zones
from gleichtakt.model.ics import Component
from gleichtakt.model.ics.lines import Line
from gleichtakt.model.zone_rules import RuleZone, Transition
from gleichtakt.model.zones import iana_from_windows, zone_of
from gleichtakt.simulators.exchange.soap import add, local, t
from gleichtakt.simulators.exchange.state import Refused

CUSTOM = "tzone://Microsoft/Custom"
DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
FIRST_YEAR, LAST_YEAR = 1990, 2060  # for which the changes of a custom zone are computed
_DURATION = re.compile(r"(-?)P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)(?:\.\d+)?S)?)?$")


@dataclass(frozen=True, slots=True)
class Zone:
    """One zone. rules: of its clock. definition: what the client sent, for a custom one; text: the same, to compare by."""

    id: str
    name: str
    rules: tzinfo = field(compare=False)
    definition: etree._Element | None = field(default=None, compare=False)
    text: str = ""

    def local(self, instant: datetime) -> datetime:
        """Give the naive wall clock at an instant."""
        return instant.astimezone(self.rules).replace(tzinfo=None)

    def instant(self, wall: datetime) -> datetime:
        """Give the aware UTC instant of a naive wall clock reading."""
        return wall.replace(tzinfo=self.rules).astimezone(UTC)


UTC_ZONE = Zone("UTC", "(UTC) Coordinated Universal Time", UTC)


# --- the server's table ------------------------------------------------------------------------------------------


@cache
def names() -> Mapping[str, str]:
    """Map Windows ids to display names, in the order of the server's table."""
    lines = (line for line in windows_zones.TEXT.splitlines() if not line.startswith(" "))
    parts = (line.partition(" = ") for line in lines)
    return {name: rest.partition(" | ")[2].split(" | ")[0] or name for name, _, rest in parts}


@cache
def _ids() -> Mapping[str, str]:
    return {name.casefold(): name for name in names()}


@cache
def known(windows_id: str) -> Zone | None:
    """Give a zone of the server's table, whatever the case of its id."""
    found = _ids().get(windows_id.strip().casefold())
    iana = iana_from_windows(found) if found else None
    if found is None or iana is None:
        return None
    return UTC_ZONE if found == "UTC" else Zone(found, names()[found], zone_of(iana))


def of_context(windows_id: str) -> Zone:
    """Give the zone of a TimeZoneContext. Raises Refused."""
    found = known(windows_id) if windows_id else UTC_ZONE
    if found is None:
        raise Refused("ErrorTimeZone", "The specified time zone isn't valid.")
    return found


# --- reading -----------------------------------------------------------------------------------------------------


def read_definition(element: etree._Element) -> Zone:
    """Read StartTimeZone, EndTimeZone or TimeZoneDefinition. Raises Refused for an unknown id without rules."""
    found = known(element.get("Id", ""))
    if found is not None:
        return found
    if element.find(t("Periods")) is None:
        raise Refused("ErrorTimeZone", "The specified time zone isn't valid.")
    definition = deepcopy(element)
    definition.set("Id", CUSTOM)
    try:
        steps = tuple(_steps(definition))
    except (KeyError, ValueError, AttributeError, TypeError):
        raise Refused("ErrorCalendarInvalidTimeZone", "The time zone definition is invalid.") from None
    parts = ((local(one), sorted(one.items()), (one.text or "").strip()) for one in definition.iterdescendants(etree.Element))
    text = repr(list(parts))
    return Zone(CUSTOM, element.get("Name", ""), RuleZone(CUSTOM, steps), definition, text)


def _steps(definition: etree._Element) -> Iterator[Transition]:
    biases = {one.get("Id"): -duration(one.get("Bias") or "") for one in definition.iterfind(f"{t('Periods')}/{t('Period')}")}
    groups = {one.get("Id"): one for one in definition.iterfind(f"{t('TransitionsGroups')}/{t('TransitionsGroup')}")}
    onsets: list[tuple[datetime, timedelta]] = []  # wall clock before the change, offset after it
    eras = [(_era(one), one.find(t("To"))) for one in definition.iterfind(f"{t('Transitions')}/*")]
    if not eras:
        eras = [(datetime(FIRST_YEAR, 1, 1), None)]  # noqa: DTZ001 - wall clock
    for (begins, to), (ends, _) in pairwise([*eras, (datetime(LAST_YEAR, 1, 1), None)]):  # noqa: DTZ001 - wall clock
        if to is None or to.get("Kind") == "Period":
            onsets.append((begins, biases[to.text] if to is not None else next(iter(biases.values()))))
            continue
        for year in range(begins.year, ends.year + 1):
            onsets += [one for one in _onsets(groups[to.text], biases, year, begins) if begins <= one[0] < ends]
    onsets.sort(key=lambda one: one[0])
    before = onsets[1][1] if len({after for _, after in onsets}) > 1 and len(onsets) > 1 else onsets[0][1]
    standard = min(after for _, after in onsets)
    for wall, after in onsets:
        yield Transition(wall - before, before, after, "", after - standard)
        before = after


def _era(transition: etree._Element) -> datetime:
    at = transition.findtext(t("DateTime"))
    return datetime.fromisoformat(at.rstrip("Z")).replace(tzinfo=None) if at else datetime(FIRST_YEAR, 1, 1)  # noqa: DTZ001


def _onsets(
    group: etree._Element, biases: Mapping[str | None, timedelta], year: int, begins: datetime
) -> Iterator[tuple[datetime, timedelta]]:
    for change in group:
        to = change.findtext(t("To"))
        if local(change) == "Transition":
            yield max(begins, datetime(year, 1, 1)), biases[to]  # noqa: DTZ001 - wall clock
            continue
        offset = duration(change.findtext(t("TimeOffset")) or "PT0S")
        month = int(change.findtext(t("Month")) or 0)
        if local(change) == "RecurringDateTransition":
            day = datetime(year, month, int(change.findtext(t("Day")) or 0))  # noqa: DTZ001 - wall clock
        else:
            weekday = DAYS.index(change.findtext(t("DayOfWeek")) or "")
            day = nth_weekday(year, month, weekday, int(change.findtext(t("Occurrence")) or 0))
        yield day + offset, biases[to]


def nth_weekday(year: int, month: int, weekday: int, occurrence: int) -> datetime:
    """Give the n-th such weekday of a month; 5 and -1 are the last one."""
    if occurrence in (-1, 5):
        after = datetime(year + month // 12, month % 12 + 1, 1)  # noqa: DTZ001 - wall clock
        back = (after.weekday() - weekday - 1) % 7 + 1
        return after - timedelta(days=back)
    first = datetime(year, month, 1)  # noqa: DTZ001 - wall clock
    return first + timedelta(days=(weekday - first.weekday()) % 7 + 7 * (occurrence - 1))


def read_meeting_zone(element: etree._Element) -> Zone:
    """Read MeetingTimeZone, the form of 2007: a name the server knows, or a base offset with two changes a year."""
    found = known(element.get("TimeZoneName", ""))
    if found is not None:
        return found
    base = element.findtext(t("BaseOffset"))
    if base is None:
        raise Refused("ErrorTimeZone", "The specified time zone isn't valid.")
    try:
        return read_definition(_as_definition(element, base))
    except ValueError:
        raise Refused("ErrorCalendarInvalidTimeZone", "The time zone definition is invalid.") from None


def _as_definition(element: etree._Element, base: str) -> etree._Element:
    definition = etree.Element(t("TimeZoneDefinition"), Id="", Name=element.get("TimeZoneName", ""))
    periods, groups = add(definition, t("Periods")), add(definition, t("TransitionsGroups"))
    group = add(groups, t("TransitionsGroup"), Id="0")
    for part in ("Standard", "Daylight"):
        change = element.find(t(part))
        if change is None:
            continue
        bias = duration(base) + duration(change.findtext(t("Offset")) or "PT0S")
        add(periods, t("Period"), Bias=write_duration(bias), Name=part, Id=part)
        _write_change(group, part, change)
    if not len(periods):
        add(periods, t("Period"), Bias=base, Name="Standard", Id="Standard")
        add(add(group, t("Transition")), t("To"), "Standard", Kind="Period")
    add(add(add(definition, t("Transitions")), t("Transition")), t("To"), "0", Kind="Group")
    return definition


def _write_change(group: etree._Element, part: str, change: etree._Element) -> None:
    yearly = change.find(t("RelativeYearlyRecurrence"))
    if yearly is None:
        add(add(group, t("Transition")), t("To"), part, Kind="Period")
        return
    hours, minutes, seconds = (int(one) for one in re.split("[:.Z]", change.findtext(t("Time")) or "0:0:0")[:3])
    made = add(group, t("RecurringDayTransition"))
    add(made, t("To"), part, Kind="Period")
    add(made, t("TimeOffset"), write_duration(timedelta(hours=hours, minutes=minutes, seconds=seconds)))
    add(made, t("Month"), str(MONTHS.index(yearly.findtext(t("Month")) or "") + 1))
    add(made, t("DayOfWeek"), yearly.findtext(t("DaysOfWeek")))
    index = yearly.findtext(t("DayOfWeekIndex")) or ""
    add(made, t("Occurrence"), str(INDEXES.index(index) + 1 if index != "Last" else -1))


MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
INDEXES = ("First", "Second", "Third", "Fourth", "Last")


def duration(text: str) -> timedelta:
    """Read an xs:duration of days and less. Raises ValueError."""
    found = _DURATION.match(text)
    if found is None:
        raise ValueError(f"no duration: {text!r}")
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups()[1:])
    length = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    return -length if found[1] else length


def write_duration(length: timedelta) -> str:
    """Write an xs:duration as Exchange does: ``PT1H30M``, ``-PT1H``, ``P1D``, ``PT0S``."""
    sign, length = ("-", -length) if length < timedelta() else ("", length)
    minutes, seconds = divmod(length.seconds, 60)
    hours, minutes = divmod(minutes, 60)
    clock = "".join(f"{count}{unit}" for count, unit in ((hours, "H"), (minutes, "M"), (seconds, "S")) if count)
    days = f"{length.days}D" if length.days else ""
    return f"{sign}P{days}T{clock}" if clock else f"{sign}P{days}" if days else "PT0S"


# --- writing -----------------------------------------------------------------------------------------------------


def definition(zone: Zone, tag: str, year: int) -> etree._Element:
    """Write a zone with its rules as they are in *year*."""
    if zone.definition is not None:
        made = deepcopy(zone.definition)
        made.tag = tag
        return made
    made = deepcopy(_definition(zone.id, zone.name, zone.rules, year))
    made.tag = tag
    return made


@cache
def _definition(windows_id: str, name: str, rules: tzinfo, year: int) -> etree._Element:
    made = etree.Element(t("TimeZoneDefinition"), Id=windows_id, Name=name)
    changes = _changes(rules, year)
    offsets = [after for _, after in changes] or [_offset(rules, datetime(year, 1, 1))]  # noqa: DTZ001 - naive UTC
    standard = min(offsets)
    prefix = f"trule:Microsoft/Registry/{windows_id}/1-"
    periods = add(made, t("Periods"))
    for offset in sorted(set(offsets)):
        part = "Standard" if offset == standard else "Daylight"
        add(periods, t("Period"), Bias=write_duration(-offset), Name=part, Id=prefix + part)
    group = add(add(made, t("TransitionsGroups")), t("TransitionsGroup"), Id="0")
    if not changes:
        add(add(group, t("Transition")), t("To"), prefix + "Standard", Kind="Period")
    for wall, after in changes:
        change = add(group, t("RecurringDayTransition"))
        add(change, t("To"), prefix + ("Standard" if after == standard else "Daylight"), Kind="Period")
        add(change, t("TimeOffset"), write_duration(timedelta(hours=wall.hour, minutes=wall.minute)))
        add(change, t("Month"), str(wall.month))
        add(change, t("DayOfWeek"), DAYS[wall.weekday()])
        add(change, t("Occurrence"), str(_occurrence(wall)))
    add(add(add(made, t("Transitions")), t("Transition")), t("To"), "0", Kind="Group")
    return made


def _occurrence(wall: datetime) -> int:
    return -1 if (wall + timedelta(days=7)).month != wall.month else (wall.day - 1) // 7 + 1


@cache
def _changes(rules: tzinfo, year: int) -> list[tuple[datetime, timedelta]]:
    """Give the two changes of the clock in a year: wall clock before it, offset after it. None where it is not two."""
    found: list[tuple[datetime, timedelta]] = []
    at = datetime(year, 1, 1)  # noqa: DTZ001 - naive UTC
    while at.year == year:
        after = at + timedelta(days=1)
        if _offset(rules, at) != _offset(rules, after):
            while after - at > timedelta(minutes=1):
                middle = at + (after - at) / 2
                at, after = (middle, after) if _offset(rules, middle) == _offset(rules, at) else (at, middle)
            exact = (after + timedelta(seconds=30)).replace(second=0, microsecond=0)
            found.append((exact + _offset(rules, at), _offset(rules, after)))
            at = exact
        at += timedelta(days=1)
    return found if len(found) == 2 else []


def _offset(rules: tzinfo, naive_utc: datetime) -> timedelta:
    return naive_utc.replace(tzinfo=UTC).astimezone(rules).utcoffset() or timedelta()


def meeting_zone(zone: Zone, year: int) -> etree._Element:
    """Write MeetingTimeZone: base offset and, where the clock changes, the two changes of the year."""
    made = etree.Element(t("MeetingTimeZone"), TimeZoneName=zone.name or zone.id)
    changes = _changes(zone.rules, year)
    offsets = [after for _, after in changes] or [_offset(zone.rules, datetime(year, 1, 1))]  # noqa: DTZ001 - naive UTC
    add(made, t("BaseOffset"), write_duration(-min(offsets)))
    for wall, after in sorted(changes, key=lambda one: one[1]):
        part = add(made, t("Standard" if after == min(offsets) else "Daylight"), TimeZoneName=zone.id)
        add(part, t("Offset"), write_duration(min(offsets) - after))
        yearly = add(part, t("RelativeYearlyRecurrence"))
        add(yearly, t("DaysOfWeek"), DAYS[wall.weekday()])
        add(yearly, t("DayOfWeekIndex"), INDEXES[_occurrence(wall) - 1] if _occurrence(wall) > 0 else "Last")
        add(yearly, t("Month"), MONTHS[wall.month - 1])
        add(part, t("Time"), f"{wall:%H:%M:%S}")
    return made


def written_time(instant: datetime, zone: Zone) -> str:
    """Write an instant: with Z, or with the offset it has in the zone of the request."""
    if zone is UTC_ZONE:
        return f"{instant.astimezone(UTC):%Y-%m-%dT%H:%M:%S}Z"
    text = instant.astimezone(zone.rules).replace(microsecond=0).isoformat()
    return text[:-6] + "Z" if text.endswith("+00:00") else text


def vtimezone(zone: Zone, year: int) -> Component:
    """Write a zone as iCalendar has it, with its rules as they are in *year*, under the id it has in Exchange."""
    changes = _changes(zone.rules, year)
    fixed = _offset(zone.rules, datetime(year, 1, 1))  # noqa: DTZ001 - naive UTC
    offsets = {after for _, after in changes} or {fixed}
    parts = [_observance(wall, sum(offsets, -after), after, after == min(offsets)) for wall, after in changes]
    return Component("VTIMEZONE", [Line("TZID", "", zone.id)], parts or [_observance(None, fixed, fixed, True)])


def _observance(wall: datetime | None, before: timedelta, after: timedelta, is_standard: bool) -> Component:
    begins = f"{wall:%H%M%S}" if wall is not None else "000000"
    lines = [
        Line("DTSTART", "", f"16010101T{begins}"),
        Line("TZOFFSETFROM", "", _signed(before)),
        Line("TZOFFSETTO", "", _signed(after)),
    ]
    if wall is not None:
        day = f"{_occurrence(wall)}{DAYS[wall.weekday()][:2].upper()}"
        lines.append(Line("RRULE", "", f"FREQ=YEARLY;INTERVAL=1;BYDAY={day};BYMONTH={wall.month}"))
    return Component("STANDARD" if is_standard else "DAYLIGHT", lines)


def _signed(offset: timedelta) -> str:
    minutes = round(offset.total_seconds() / 60)
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}{abs(minutes) % 60:02}"
