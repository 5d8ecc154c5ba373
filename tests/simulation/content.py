"""What people put into calendars in a history, how they edit it, and what of an edit must not be lost."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from tests.caldav_world import MAILBOX
from tests.engine import ZONE, meeting

from gleichtakt.model.event import Attendee, Event, Override, Person, Series, ShowAs
from gleichtakt.model.point import Day, Floating, Point, Zoned, shifted, wall_of
from gleichtakt.model.recurrence import occurrence_event
from gleichtakt.sync.flat import content_of, flatten, slot_of

FAR = timedelta(days=350)  # within the window of every link
YEAR = timedelta(days=365)
OWN_ZONE = """BEGIN:VTIMEZONE\r
TZID:Werk Nord\r
BEGIN:STANDARD\r
DTSTART:19701025T030000\r
RRULE:FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU\r
TZOFFSETFROM:+0215\r
TZOFFSETTO:+0115\r
END:STANDARD\r
BEGIN:DAYLIGHT\r
DTSTART:19700329T020000\r
RRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU\r
TZOFFSETFROM:+0115\r
TZOFFSETTO:+0215\r
END:DAYLIGHT\r
END:VTIMEZONE\r
"""


def clock_change(month: int, hour: int, minute: int = 30) -> datetime:
    """Give an hour on the day clocks change in Berlin, in March or October: the next such day within the window."""
    today = datetime.now(UTC).date()
    days = [_last_sunday(year, month) for year in range(today.year - 1, today.year + 2)]
    return datetime.combine(max(day for day in days if day <= today + FAR), time(hour, minute))


def _last_sunday(year: int, month: int) -> date:
    last = date(year, month, 31)  # both months have 31 days
    return last - timedelta(days=(last.weekday() + 1) % 7)


def at(series: Series, start: Point, length: timedelta = timedelta(hours=1)) -> Series:
    """Give a series that begins at another time."""
    return replace(series, event=replace(series.event, start=start, end=shifted(start, length)))


def _whole_days(series: Series, count: int) -> Series:
    start = series.event.start
    return at(series, Day(wall_of(start).date()), timedelta(days=count))


def _invited(series: Series) -> Series:
    people = (Attendee("anna@elsewhere.example", "Anna"), Attendee("bela@elsewhere.example", "Béla", role="optional"))
    return replace(series, event=replace(series.event, organizer=Person(MAILBOX), attendees=people))


#: Kinds of events: from a plain meeting of an hour in Berlin to what is hard.
KINDS: Mapping[str, Callable[[Series], Series]] = {
    "single": lambda series: series,
    "all-day": lambda series: _whole_days(series, 2),
    "series": lambda series: replace(series, rrule="FREQ=WEEKLY;COUNT=6"),
    "daily": lambda series: replace(series, rrule="FREQ=DAILY;COUNT=9"),
    "days in a row": lambda series: replace(_whole_days(series, 1), rrule="FREQ=DAILY;COUNT=5"),
    "last of month": lambda series: replace(series, rrule="FREQ=MONTHLY;BYDAY=-1FR;COUNT=4"),
    "elsewhere": lambda series: replace(
        at(series, Zoned(wall_of(series.event.start), "America/New_York")), rrule="FREQ=WEEKLY;COUNT=5"
    ),
    "utc": lambda series: at(series, Zoned(wall_of(series.event.start), "UTC")),
    "in no hour": lambda series: at(series, Zoned(clock_change(3, 2), ZONE)),
    "in the second hour": lambda series: at(series, Zoned(clock_change(10, 2).replace(fold=1), ZONE), timedelta(hours=2)),
    "across spring": lambda series: replace(
        at(series, Zoned(clock_change(3, 2) - timedelta(days=14), ZONE)), rrule="FREQ=WEEKLY;COUNT=5"
    ),
    "across autumn": lambda series: replace(
        at(series, Zoned(clock_change(10, 2) - timedelta(days=2), ZONE)), rrule="FREQ=DAILY;COUNT=5"
    ),
    "floating": lambda series: at(series, Floating(wall_of(series.event.start))),
    "zone of its own": lambda series: replace(
        at(series, Zoned(wall_of(series.event.start), OWN_ZONE)), rrule="FREQ=WEEKLY;COUNT=4"
    ),
    "invited": _invited,
}


def _extra_dates(series: Series) -> Series:
    return replace(series, rrule="FREQ=WEEKLY;COUNT=3", rdate=(shifted(series.event.start, timedelta(days=50)),))


#: Kinds of series that no pattern of Exchange expresses.
WITHOUT_PATTERN: Mapping[str, Callable[[Series], Series]] = {
    "extra dates": _extra_dates,
    "two rules": lambda series: replace(series, rrule="FREQ=WEEKLY;COUNT=3\nFREQ=MONTHLY;COUNT=3"),
    "every six hours": lambda series: replace(series, rrule="FREQ=HOURLY;INTERVAL=6;COUNT=7"),
    "last day but one": lambda series: replace(series, rrule="FREQ=MONTHLY;BYMONTHDAY=-2;COUNT=3"),
}
#: What calendars with few zones or with mails hold otherwise than we do.
NEEDS_MORE = frozenset({"floating", "zone of its own", "invited"})


def new_event(kind: str, token: str, number: int, uid: str) -> Series:
    """Give an event of a kind. token: first word of its title, by which tests know it. number: makes it another one."""
    return {**KINDS, **WITHOUT_PATTERN}[kind](meeting(f"{token} title", days=number % 20 + 1, uid=uid))


def token_of(series: Series) -> str:
    """Give the name a test gave an event: the first word of its title, which every calendar keeps."""
    return series.event.title.split()[0]


# --- edits -------------------------------------------------------------------------------------------------------


def edited(series: Series, what: str, value: str) -> Series | None:
    """Give a series with one thing changed; None where it has no such thing."""
    return EDITS[what](series, value)


def _text(name: str) -> Callable[[Series, str], Series]:
    def change(series: Series, value: str) -> Series:
        changes: dict[str, Any] = {name: value}
        return replace(series, event=replace(series.event, **changes))

    return change


def _title(series: Series, value: str) -> Series:
    title = f"{token_of(series)} {value}".replace("\n", " ")
    return replace(series, event=replace(series.event, title=title))


def _show_as(series: Series, value: str) -> Series:
    states = (ShowAs.BUSY, ShowAs.TENTATIVE, ShowAs.OOF)
    return replace(series, event=replace(series.event, show_as=states[number_of(value) % 3]))


def _time(series: Series, value: str) -> Series | None:
    if series.is_recurring and (series.exdate or series.overrides):
        return None  # who moves a whole series moves its exceptions too, each program in its own way
    by = timedelta(days=1) if isinstance(series.event.start, Day) else timedelta(minutes=15 * (number_of(value) % 7 + 1))
    return replace(series, event=moved(series.event, by))


def _step(series: Series) -> int:
    """Give the days from one occurrence to the next; 0 where they are not always as many."""
    return {"WEEKLY": 7, "DAILY": 1}.get(series.rrule.partition(";")[0].removeprefix("FREQ="), 0)


def _slot(series: Series, value: str) -> Point:
    """Give the second, third or fourth occurrence, by the value."""
    return shifted(series.event.start, timedelta(days=_step(series) * (number_of(value) % 3 + 1)))


def _exdate(series: Series, value: str) -> Series | None:
    slot = _slot(series, value)
    if not series.is_recurring or slot == series.event.start or slot in series.exdate:
        return None
    return replace(series, exdate=in_order((*series.exdate, slot)), overrides=_without(series, slot))


def _restore(series: Series, value: str) -> Series | None:
    return replace(series, exdate=series.exdate[1:]) if series.exdate else None


def _override(series: Series, value: str) -> Series | None:
    by = timedelta(days=1) if isinstance(series.event.start, Day) else timedelta(minutes=30)
    return _moved_by(series, value, by)


def _past(series: Series, value: str) -> Series | None:
    """Move an occurrence to the day of the next one, or past it."""
    return _moved_by(series, value, timedelta(days=_step(series) + number_of(value) // 3 % 2))


def _moved_by(series: Series, value: str, by: timedelta) -> Series | None:
    slot = _slot(series, value)
    if not series.is_recurring or slot == series.event.start or slot in series.exdate:
        return None
    changed = replace(moved(occurrence_event(series.event, slot), by), title=f"moved {value}".replace("\n", " "))
    overrides = (*_without(series, slot), Override(slot, changed))
    return replace(series, overrides=tuple(sorted(overrides, key=lambda one: wall_of(one.recurrence_id))))


def _undo(series: Series, value: str) -> Series | None:
    return replace(series, overrides=series.overrides[1:]) if series.overrides else None


def _longer(series: Series, value: str) -> Series | None:
    count = series.rrule.partition("\n")[0].partition("COUNT=")[2].partition(";")[0]
    return replace(series, rrule=series.rrule.replace(f"COUNT={count}", f"COUNT={int(count) + 1}")) if count else None


def _without(series: Series, slot: Point) -> tuple[Override, ...]:
    return tuple(override for override in series.overrides if override.recurrence_id != slot)


def in_order(points: tuple[Point, ...]) -> tuple[Point, ...]:
    """Sort the dates of one series."""
    return tuple(sorted(points, key=wall_of))


def number_of(value: str) -> int:
    """Give a number that a text always gives."""
    return sum(value.encode())


def moved(event: Event, by: timedelta) -> Event:
    """Give an event at another time."""
    return replace(event, start=shifted(event.start, by), end=shifted(event.end, by))


EDITS: Mapping[str, Callable[[Series, str], Series | None]] = {
    "title": _title,
    "description": _text("description"),
    "location": _text("location"),
    "show as": _show_as,
    "time": _time,
    "exdate": _exdate,
    "restore": _restore,
    "override": _override,
    "past": _past,
    "undo": _undo,
    "longer": _longer,
}


# --- what an edit touched ----------------------------------------------------------------------------------------

PATTERN = "pattern"


def parts_of(series: Series) -> dict[str, Any]:
    """Give an event as parts that are edited as a whole: its fields, its times, its pattern, each single occurrence."""
    parts: dict[str, Any] = {}
    for key, value in sorted(flatten(series).items()):
        parts.setdefault(_part(key, series.is_recurring), []).append((key, value))
    return parts


def _part(key: str, is_recurring: bool) -> str:
    if slot_of(key):
        return f"occurrence {slot_of(key)}"
    field = content_of(key)
    if field in ("start", "end", "recurrence"):
        return PATTERN if is_recurring else "time"
    return field


def touched(before: Series, after: Series) -> dict[str, Any]:
    """Give the parts in which two versions differ, as they stand in the later one; None for what is no more."""
    old, new = parts_of(before), parts_of(after)
    return {part: new.get(part) for part in old.keys() | new.keys() if old.get(part) != new.get(part)}
