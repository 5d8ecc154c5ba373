"""Recurrence rules as values: one RRULE read from its text, checked, and written in one canonical form.

Strict on purpose; the verdicts on sloppy rules live in `rule_repair`, the readings a rule produces in `rule_walk`.
Source: RFC 5545 §3.3.10, RFC 7529 (RSCALE and SKIP).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from enum import IntEnum, StrEnum
from functools import lru_cache

from gleichtakt.model.point import Day, Floating, Point, Zoned, wall_of
from gleichtakt.model.zones import zone_of

WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
MAX_TEXT = 20_000  # characters of all rules of one event; the fullest sensible list needs 2,000


class Freq(IntEnum):
    """The period a rule counts in."""

    YEARLY = 0
    MONTHLY = 1
    WEEKLY = 2
    DAILY = 3
    HOURLY = 4
    MINUTELY = 5
    SECONDLY = 6


class Skip(StrEnum):
    """What becomes of a date that does not exist, such as 30 February."""

    OMIT = "OMIT"
    BACKWARD = "BACKWARD"
    FORWARD = "FORWARD"


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule. Lists are sorted and unique, empty where the part is absent.

    by_day: (ordinal, weekday) with ordinal 0 for «every» and Monday as 0. until: inclusive; a `Zoned` is in UTC.
    excludes: an EXRULE, which takes readings away.
    """

    freq: Freq
    interval: int = 1
    count: int | None = None
    until: Point | None = None
    by_month: tuple[int, ...] = ()
    by_week_no: tuple[int, ...] = ()
    by_year_day: tuple[int, ...] = ()
    by_month_day: tuple[int, ...] = ()
    by_day: tuple[tuple[int, int], ...] = ()
    by_hour: tuple[int, ...] = ()
    by_minute: tuple[int, ...] = ()
    by_second: tuple[int, ...] = ()
    by_set_pos: tuple[int, ...] = ()
    week_start: int = 0
    skip: Skip = Skip.OMIT
    excludes: bool = False


# --- reading -----------------------------------------------------------------------------------------------------

#: Lists of numbers: part, field, smallest and largest size, and whether they may count from the end.
NUMBERS: Mapping[str, tuple[str, int, int, bool]] = {
    "BYMONTH": ("by_month", 1, 12, False),
    "BYWEEKNO": ("by_week_no", 1, 53, True),
    "BYYEARDAY": ("by_year_day", 1, 366, True),
    "BYMONTHDAY": ("by_month_day", 1, 31, True),
    "BYHOUR": ("by_hour", 0, 23, False),
    "BYMINUTE": ("by_minute", 0, 59, False),
    "BYSECOND": ("by_second", 0, 60, False),
    "BYSETPOS": ("by_set_pos", 1, 366, True),
}
KNOWN = frozenset((*NUMBERS, "FREQ", "INTERVAL", "COUNT", "UNTIL", "BYDAY", "WKST", "RSCALE", "SKIP"))
_DAY = re.compile(r"([+-]?\d{1,2})?(MO|TU|WE|TH|FR|SA|SU)", re.ASCII)
_NUMBER = re.compile(r"[+-]?\d{1,9}", re.ASCII)
_UNTIL = re.compile(r"(\d{4})(\d\d)(\d\d)(?:T(\d\d)(\d\d)(\d\d)(Z?))?", re.ASCII)


def lines_of(text: str) -> list[str]:
    """Give the rules of a text, one per line, in upper case; ``RRULE:`` in front is allowed, ``EXRULE:`` is kept."""
    if len(text) > MAX_TEXT:
        raise ValueError(f"the rules are longer than {MAX_TEXT} characters")
    lines = (re.sub(r"\s+", "", line).upper().removeprefix("RRULE:") for line in text.splitlines())
    return [line for line in lines if line]


def parts_of(line: str) -> list[tuple[str, str]]:
    """Split one rule into its parts; an empty part (a trailing semicolon) is passed over."""
    pairs = (part.partition("=") for part in line.removeprefix("EXRULE:").split(";") if part)
    return [(name, value) for name, _, value in pairs]


@lru_cache(maxsize=4096)
def parse_rule(line: str) -> Rule:
    """Read one rule, cached by its text: calendars repeat a few. Raises ValueError with a reason that names part and value."""
    parts: dict[str, str] = {}
    for name, value in parts_of(line):
        if name not in KNOWN:
            raise ValueError(f"{name} is no part of a recurrence rule")
        if name in parts:
            raise ValueError(f"{name} stands twice")
        parts[name] = value
    if "FREQ" not in parts:
        raise ValueError("FREQ is missing")
    check_scale(parts)
    rule = Rule(
        freq=read_freq(parts["FREQ"]),
        interval=read_positive("INTERVAL", parts["INTERVAL"]) if "INTERVAL" in parts else 1,
        count=read_positive("COUNT", parts["COUNT"]) if "COUNT" in parts else None,
        until=read_until(parts["UNTIL"]) if "UNTIL" in parts else None,
        by_day=read_days(parts["BYDAY"]) if "BYDAY" in parts else (),
        week_start=read_weekday("WKST", parts["WKST"]) if "WKST" in parts else 0,
        skip=read_skip(parts["SKIP"]) if "SKIP" in parts else Skip.OMIT,
        excludes=line.startswith("EXRULE:"),
        **{NUMBERS[name][0]: read_numbers(name, value) for name, value in parts.items() if name in NUMBERS},
    )
    check_rule(rule)
    return without_idle_parts(rule)


def without_idle_parts(rule: Rule) -> Rule:
    """Drop what a short period gives no meaning: the numbers of BYDAY, and SKIP where dates only limit."""
    if rule.freq <= Freq.MONTHLY:
        return rule
    rule = rule if rule.skip is Skip.OMIT else replace(rule, skip=Skip.OMIT)
    return without_ordinals(rule)


def without_ordinals(rule: Rule) -> Rule:
    """Make «the n-th Monday» every Monday, which is how a number is read where the period has no n-th one."""
    days = tuple((0, weekday) for weekday in sorted({weekday for _, weekday in rule.by_day}))
    return rule if days == rule.by_day else replace(rule, by_day=days)


def check_scale(parts: Mapping[str, str]) -> None:
    """Refuse calendars other than the Gregorian one: their months cannot be mapped."""
    if (scale := parts.get("RSCALE", "GREGORIAN")) != "GREGORIAN":
        raise ValueError(f"RSCALE={scale} is not supported: only the Gregorian calendar is")
    if "SKIP" in parts and "RSCALE" not in parts:
        raise ValueError("SKIP needs RSCALE")


def check_rule(rule: Rule) -> None:
    """Refuse combinations that RFC 5545 forbids and implementations read differently."""
    if rule.count is not None and rule.until is not None:
        raise ValueError("COUNT and UNTIL exclude each other")
    if rule.by_week_no and any(ordinal for ordinal, _ in rule.by_day):
        raise ValueError("BYDAY with a number and BYWEEKNO exclude each other")
    listed = (rule.by_month, rule.by_week_no, rule.by_year_day, rule.by_month_day, rule.by_day)
    if rule.by_set_pos and not any((*listed, rule.by_hour, rule.by_minute, rule.by_second)):
        raise ValueError("BYSETPOS needs another BY part")


def read_freq(value: str) -> Freq:
    """Read the period."""
    if value not in Freq.__members__:
        raise ValueError(f"FREQ={value} is unknown: expected {', '.join(Freq.__members__)}")
    return Freq[value]


def read_positive(name: str, value: str) -> int:
    """Read INTERVAL or COUNT."""
    if not _NUMBER.fullmatch(value) or int(value) < 1:
        raise ValueError(f"{name}={value} is no positive number")
    return int(value)


def read_skip(value: str) -> Skip:
    """Read SKIP."""
    if value not in Skip.__members__:
        raise ValueError(f"SKIP={value} is unknown: expected OMIT, BACKWARD or FORWARD")
    return Skip(value)


def read_weekday(name: str, value: str) -> int:
    """Read a weekday, Monday as 0."""
    if value not in WEEKDAYS:
        raise ValueError(f"{name}={value} is no weekday: expected one of {', '.join(WEEKDAYS)}")
    return WEEKDAYS.index(value)


def read_numbers(name: str, value: str) -> tuple[int, ...]:
    """Read a list of numbers within the limits of its part."""
    return tuple(sorted({_read_number(name, item) for item in value.split(",")}, key=_from_end_last))


def _read_number(name: str, item: str) -> int:
    _, low, high, may_be_negative = NUMBERS[name]
    number = int(item) if _NUMBER.fullmatch(item) else None
    if number is None or not low <= (abs(number) if may_be_negative else number) <= high:
        raise ValueError(f"{name}={item} is not allowed: expected numbers from {low} to {high}")
    return number


def _from_end_last(number: int) -> tuple[bool, int]:
    return number < 0, number


def read_days(value: str) -> tuple[tuple[int, int], ...]:
    """Read BYDAY: weekdays, each with an optional number."""
    days = set()
    for item in value.split(","):
        found = _DAY.fullmatch(item)
        ordinal = int(found[1] or 0) if found else 0
        if not found or abs(ordinal) > 53 or (found[1] and not ordinal):
            raise ValueError(f"BYDAY={item} is no weekday such as MO or -1FR")
        days.add((ordinal, WEEKDAYS.index(found[2])))
    return tuple(sorted(days, key=lambda day: (_from_end_last(day[0]), day[1])))


def read_until(value: str) -> Point:
    """Read UNTIL as it stands: a date, a local reading, or a UTC one."""
    if not (found := _UNTIL.fullmatch(value)):
        raise ValueError(f"UNTIL={value} is no date such as 20261231 or 20261231T090000Z")
    try:
        day = date(int(found[1]), int(found[2]), int(found[3]))
        if found[4] is None:
            return Day(day)
        wall = datetime.combine(day, time(int(found[4]), int(found[5]), min(int(found[6]), 59)))
    except ValueError:
        raise ValueError(f"UNTIL={value} does not exist in the calendar") from None
    return Zoned(wall, "UTC") if found[7] else Floating(wall)


# --- fitting to a start ------------------------------------------------------------------------------------------


def fit_rule(rule: Rule, start: Point) -> Rule:
    """Bring a rule to the kind of its start: the form of UNTIL, no hours for whole days.

    A date as UNTIL of a timed start means the end of that local day; a reading without Z is one in the start's zone.
    """
    if isinstance(start, Day):
        if rule.freq > Freq.DAILY:
            raise ValueError(f"FREQ={rule.freq.name} needs a start with hours, not an all-day one")
        rule = replace(rule, by_hour=(), by_minute=(), by_second=())  # RFC 5545: MUST be ignored
    if rule.until is not None:
        rule = replace(rule, until=fit_until(rule.until, start))
    return replace(rule, week_start=0) if rule.week_start and not _week_start_matters(rule) else rule


def fit_until(until: Point, start: Point) -> Point:
    """Give the same last moment in the form RFC 5545 wants for this start."""
    if isinstance(until, Day):
        if isinstance(start, Day):
            return until
        until = Floating(datetime.combine(until.date, time(23, 59, 59)))
    if isinstance(start, Zoned):
        return _to_utc(until.wall, until.tzid if isinstance(until, Zoned) else start.tzid)
    return Day(until.wall.date()) if isinstance(start, Day) else Floating(until.wall)


def local_until(until: Point, start: Point) -> datetime:
    """Give the last moment as a reading of the start's own clock."""
    fitted = fit_until(until, start)
    if not isinstance(start, Zoned):
        return wall_of(fitted)
    try:
        return wall_of(fitted).replace(tzinfo=UTC).astimezone(zone_of(start.tzid)).replace(tzinfo=None)
    except OverflowError:
        return wall_of(fitted)


def _to_utc(wall: datetime, tzid: str) -> Zoned:
    if tzid == "UTC":
        return Zoned(wall, tzid)
    try:
        return Zoned(wall.replace(tzinfo=zone_of(tzid)).astimezone(UTC).replace(tzinfo=None), "UTC")
    except OverflowError:
        return Zoned(wall, "UTC")


def _week_start_matters(rule: Rule) -> bool:
    names_days = rule.by_day or rule.by_month_day or rule.by_year_day
    is_grouped = rule.freq == Freq.WEEKLY and (rule.interval > 1 or bool(rule.by_set_pos))
    return bool(rule.by_week_no) or (is_grouped and bool(names_days))


# --- writing -----------------------------------------------------------------------------------------------------


def write_rule(rule: Rule) -> str:
    """Write a rule in canonical form: defaults left out, parts from the coarse to the fine, the end last."""
    parts = [("FREQ", rule.freq.name)]
    if rule.skip is not Skip.OMIT:
        parts.insert(0, ("RSCALE", "GREGORIAN"))
    if rule.interval != 1:
        parts.append(("INTERVAL", str(rule.interval)))
    parts.extend((name, write(rule)) for name, write in _WRITTEN if getattr(rule, _FIELDS[name]))
    if rule.week_start:
        parts.append(("WKST", WEEKDAYS[rule.week_start]))
    if rule.skip is not Skip.OMIT:
        parts.append(("SKIP", rule.skip.value))
    if rule.until is not None:
        parts.append(("UNTIL", write_until(rule.until)))
    if rule.count is not None:
        parts.append(("COUNT", str(rule.count)))
    return ("EXRULE:" if rule.excludes else "") + ";".join(f"{name}={value}" for name, value in parts)


def write_rules(rules: Iterable[Rule]) -> str:
    """Write the rules of a series, each once, one per line; what excludes comes last."""
    return "\n".join(sorted({write_rule(rule) for rule in rules}, key=lambda line: (line.startswith("EXRULE:"), line)))


def write_days(days: tuple[tuple[int, int], ...]) -> str:
    """Write BYDAY."""
    return ",".join(f"{ordinal or ''}{WEEKDAYS[weekday]}" for ordinal, weekday in days)


def write_until(until: Point) -> str:
    """Write UNTIL in the basic format, with Z where it is in UTC."""
    if isinstance(until, Day):
        return basic_date(until.date)
    return f"{basic_date(until.wall)}T{until.wall:%H%M%S}" + ("Z" if isinstance(until, Zoned) else "")


def basic_date(day: date) -> str:
    """Write a date without hyphens; `strftime` forgets the leading zeros of early years."""
    return f"{day.year:04}{day.month:02}{day.day:02}"


def _listed(field: str) -> Callable[[Rule], str]:
    return lambda rule: ",".join(map(str, getattr(rule, field)))


_FIELDS = {**{name: field for name, (field, *_) in NUMBERS.items()}, "BYDAY": "by_day"}
_WRITTEN: tuple[tuple[str, Callable[[Rule], str]], ...] = tuple(
    (name, (lambda rule: write_days(rule.by_day)) if name == "BYDAY" else _listed(_FIELDS[name]))
    for name in (
        "BYMONTH", "BYWEEKNO", "BYYEARDAY", "BYMONTHDAY", "BYDAY", "BYHOUR", "BYMINUTE", "BYSECOND", "BYSETPOS",
    )
)  # fmt: skip


@lru_cache(maxsize=4096)
def rules_of(text: str) -> tuple[Rule, ...]:
    """Read all rules of a series, cached by their text."""
    return tuple(parse_rule(line) for line in lines_of(text))
