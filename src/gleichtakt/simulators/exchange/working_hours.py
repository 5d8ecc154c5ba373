"""The working hours of a mailbox, as answers about free/busy tell them: Monday to Friday, in the zone their owner has set.

The zone comes in the older form: minutes of bias (UTC less local time) and the two changes of the clock in a year.
"""

from __future__ import annotations

import calendar
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import pairwise

from lxml import etree

from gleichtakt.simulators.exchange.soap import add, t
from gleichtakt.simulators.exchange.zones import DAYS, UTC_ZONE, Zone, known

WORKDAYS = " ".join(DAYS[:5])
FROM, UNTIL = 8 * 60, 17 * 60
_LAST = 5  # as the number of a weekday in its month


def write_working_hours(view: etree._Element, zone_id: str, year: int) -> None:
    """Append them. year: whose changes of the clock are told."""
    made = add(view, t("WorkingHours"))
    _write_zone(add(made, t("TimeZone")), known(zone_id) or UTC_ZONE, year)
    period = add(add(made, t("WorkingPeriodArray")), t("WorkingPeriod"))
    add(period, t("DayOfWeek"), WORKDAYS)
    add(period, t("StartTimeInMinutes"), str(FROM))
    add(period, t("EndTimeInMinutes"), str(UNTIL))


def _write_zone(made: etree._Element, zone: Zone, year: int) -> None:
    changes = _changes(zone, year)
    lowest = min((ahead for _, ahead in changes), default=_ahead(zone, datetime(year, 1, 1)))  # noqa: DTZ001  # a wall clock
    add(made, t("Bias"), str(-_minutes(lowest)))
    to_winter = next((wall for wall, ahead in changes if ahead == lowest), None)
    to_summer = next(((wall, ahead) for wall, ahead in changes if ahead != lowest), None)
    _write_change(add(made, t("StandardTime")), 0, to_winter if to_summer else None)
    saving = _minutes(to_summer[1] - lowest) if to_summer else 0
    _write_change(add(made, t("DaylightTime")), -saving, to_summer[0] if to_summer else None)


def _write_change(made: etree._Element, bias: int, wall: datetime | None) -> None:
    add(made, t("Bias"), str(bias))
    add(made, t("Time"), f"{wall:%H:%M:%S}" if wall else "00:00:00")
    add(made, t("DayOrder"), str(_order(wall)) if wall else "0")
    add(made, t("Month"), str(wall.month) if wall else "0")
    add(made, t("DayOfWeek"), DAYS[wall.weekday()] if wall else DAYS[6])


def _order(wall: datetime) -> int:
    is_last = wall.day + 7 > calendar.monthrange(wall.year, wall.month)[1]
    return _LAST if is_last else (wall.day - 1) // 7 + 1


@lru_cache(maxsize=256)
def _changes(zone: Zone, year: int) -> tuple[tuple[datetime, timedelta], ...]:
    """Give the changes of the clock in a year: the reading at which each happens, and how far ahead it is after it."""
    first = datetime(year, 1, 1)  # noqa: DTZ001  # a wall clock
    hours = [first + timedelta(hours=hour) for hour in range(366 * 24)]
    return tuple((now, _ahead(zone, now)) for before, now in pairwise(hours) if _ahead(zone, before) != _ahead(zone, now))


def _ahead(zone: Zone, wall: datetime) -> timedelta:
    return zone.rules.utcoffset(wall.replace(tzinfo=zone.rules)) or timedelta()


def _minutes(length: timedelta) -> int:
    return int(length.total_seconds()) // 60
