"""Verdicts on sloppy recurrence rules: what they are taken to mean, or that only the first instance stands.

| found | verdict |
|---|---|
| lower case, blanks, ``RRULE:`` in front, a trailing semicolon | read as meant |
| UNTIL as a date on a timed start; UNTIL without Z on a zoned one | end of that local day; local reading |
| COUNT and UNTIL | whichever ends the series first |
| COUNT=-1 and less, or of ten digits | no end: some servers write «for ever» so |
| COUNT=0, UNTIL before the start, UNTIL unreadable | first instance only |
| INTERVAL=0, negative, unreadable | every period |
| an empty BY list, an unknown part that starts with X- | part ignored |
| numbers out of range beside good ones; BYDAY numbers where none are allowed | the bad ones ignored |
| a list of bad numbers only; unknown parts; FREQ missing or unknown; hours on an all-day series | first instance only |
| a part twice | its first writing |
| SKIP without RSCALE | Gregorian |
| a calendar other than the Gregorian one | refused |
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime, timedelta
from functools import lru_cache
from itertools import islice

from gleichtakt.errors import Permanent
from gleichtakt.model.point import Day, Floating, Point, wall_of
from gleichtakt.model.rule import (
    KNOWN,
    WEEKDAYS,
    Rule,
    Skip,
    check_rule,
    check_scale,
    fit_rule,
    lines_of,
    local_until,
    parse_rule,
    parts_of,
    read_days,
    read_freq,
    read_numbers,
    read_positive,
    read_until,
    read_weekday,
    without_idle_parts,
    without_ordinals,
    write_days,
    write_rules,
)
from gleichtakt.model.rule_walk import Budget, walk

REPAIRED = "recurrence.repaired"  # a part was read as it was meant, or ignored
_SOME_DAY, _SOME_TIME = Day(date(1970, 1, 1)), Floating(datetime(1970, 1, 1))  # noqa: DTZ001 - a wall clock
FIRST_ONLY = "recurrence.first_only"  # no rule can be made of it: one instance at the start


def repair_rule(text: str, start: Point) -> tuple[str, tuple[str, ...]]:
    """Give the canonical rules a sloppy text is taken for, and the codes of what was repaired.

    Empty where only the first instance stands. Raises ValueError for calendars that are not Gregorian.
    """
    if "UNTIL" in text.upper():
        return _repaired(text, start)
    return _repaired(text, _SOME_DAY if isinstance(start, Day) else _SOME_TIME)  # all that matters of a start without UNTIL


@lru_cache(maxsize=4096)
def _repaired(text: str, start: Point) -> tuple[str, tuple[str, ...]]:
    rules: list[Rule] = []
    codes: list[str] = []
    for line in lines_of(text):
        rule, found = _repair_line(line, start)
        codes += found
        rules += [rule] if rule is not None else []
    goes_on = any(not rule.excludes for rule in rules)
    return write_rules(rules) if goes_on else "", tuple(dict.fromkeys(codes))


def _repair_line(line: str, start: Point) -> tuple[Rule | None, list[str]]:
    try:
        rule, code = parse_rule(line), []
    except ValueError:
        check_scale({"RSCALE": dict(parts_of(line)).get("RSCALE", "GREGORIAN")})
        try:
            rule, code = _read_leniently(line, start), [REPAIRED]
        except ValueError:
            return None, [FIRST_ONLY]
    try:
        rule = fit_rule(rule, start)
    except ValueError:
        return None, [FIRST_ONLY]
    if rule.until is not None and local_until(rule.until, start) < wall_of(start):
        return None, [FIRST_ONLY]
    return rule, code


# --- reading part by part ----------------------------------------------------------------------------------------


def _read_leniently(line: str, start: Point) -> Rule:
    parts: dict[str, str] = {}
    for name, value in parts_of(line):
        parts.setdefault(name, value)
    if any(name not in KNOWN and not name.startswith("X-") for name in parts):
        raise ValueError("an unknown part may change what the rule means")
    count = _count(parts.get("COUNT"))
    rule = Rule(
        freq=read_freq(parts.get("FREQ", "")),
        interval=_interval(parts.get("INTERVAL", "1")),
        until=read_until(parts["UNTIL"]) if parts.get("UNTIL") else None,
        by_day=_days(parts.get("BYDAY", "")),
        by_month=_numbers("BYMONTH", parts),
        by_week_no=_numbers("BYWEEKNO", parts),
        by_year_day=_numbers("BYYEARDAY", parts),
        by_month_day=_numbers("BYMONTHDAY", parts),
        by_hour=_numbers("BYHOUR", parts),
        by_minute=_numbers("BYMINUTE", parts),
        by_second=_numbers("BYSECOND", parts),
        by_set_pos=_numbers("BYSETPOS", parts),
        week_start=_week_start(parts.get("WKST", "")),
        skip=Skip(parts["SKIP"]) if parts.get("SKIP") in Skip.__members__ else Skip.OMIT,
        excludes=line.startswith("EXRULE:"),
    )
    rule = _without_forbidden(rule)
    return replace(rule, count=count) if rule.until is None else _first_end(rule, count, start)


def _count(value: str | None) -> int | None:
    if not value:
        return None
    number = int(value)
    if number == 0:
        raise ValueError("COUNT=0")
    return number if 0 < number < 10**9 else None


def _interval(value: str) -> int:
    try:
        return read_positive("INTERVAL", value)
    except ValueError:
        return 1


def _week_start(value: str) -> int:
    return read_weekday("WKST", value) if value in WEEKDAYS else 0


def _numbers(name: str, parts: Mapping[str, str]) -> tuple[int, ...]:
    """Keep the numbers that are allowed; a list of bad ones only would widen the rule, so it is refused."""
    value = parts.get(name, "")
    good = [item for item in value.split(",") if item and _is_good(name, item)]
    if not good and value.strip(","):
        raise ValueError(f"{name}={value}")
    return read_numbers(name, ",".join(good)) if good else ()


def _is_good(name: str, item: str) -> bool:
    try:
        read_numbers(name, item)
    except ValueError:
        return False
    return True


def _days(value: str) -> tuple[tuple[int, int], ...]:
    good: list[tuple[int, int]] = []
    for item in value.split(","):
        try:
            good += read_days(item)
        except ValueError:
            continue
    if not good and value.strip(","):
        raise ValueError(f"BYDAY={value}")
    return read_days(write_days(tuple(good))) if good else ()


def _without_forbidden(rule: Rule) -> Rule:
    rule = without_ordinals(rule) if rule.by_week_no else without_idle_parts(rule)
    try:
        check_rule(rule)
    except ValueError:
        return replace(rule, by_set_pos=())
    return rule


def _first_end(rule: Rule, count: int | None, start: Point) -> Rule:
    """Of COUNT and UNTIL keep the one that ends the series first."""
    if count is None or rule.until is None:
        return rule
    until = local_until(rule.until, start)
    hits = walk(replace(rule, until=None), wall_of(start), Budget(), before=until + timedelta(seconds=1))
    try:
        reached = sum(1 for _ in islice(hits, count)) == count
    except Permanent:
        reached = False
    return replace(rule, until=None, count=count) if reached else rule
