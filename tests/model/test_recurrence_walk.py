"""Walks of random rules: equal to python-dateutil, and the same from wherever they begin."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import islice, pairwise

from dateutil.rrule import rrulestr
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gleichtakt.model.point import Floating
from gleichtakt.model.recurrence import canonical_rule
from gleichtakt.model.rule import WEEKDAYS, Freq, parse_rule, write_rule
from gleichtakt.model.rule_walk import Budget, walk

STARTS = st.datetimes(datetime.fromisoformat("1900-01-01"), datetime.fromisoformat("2100-01-01")).map(
    lambda wall: wall.replace(microsecond=0)
)


def listed(name: str, numbers: st.SearchStrategy[int]) -> st.SearchStrategy[str]:
    return st.lists(numbers, min_size=1, max_size=4).map(lambda found: f"{name}=" + ",".join(map(str, found)))


def either_end(low: int, high: int) -> st.SearchStrategy[int]:
    return st.integers(low, high) | st.integers(-high, -low)


@st.composite
def rules(draw: st.DrawFn, freqs: tuple[Freq, ...] = tuple(Freq)) -> str:
    freq = draw(st.sampled_from(freqs))
    parts = [f"FREQ={freq.name}", f"INTERVAL={draw(st.sampled_from([1, 1, 1, 2, 3, 5, 13]))}"]
    weekdays = st.lists(st.sampled_from(WEEKDAYS), min_size=1, max_size=4).map(lambda days: "BYDAY=" + ",".join(days))
    ordinals = st.tuples(either_end(1, 5), st.sampled_from(WEEKDAYS)).map(lambda day: f"BYDAY={day[0]}{day[1]}")
    choices = {
        "month": listed("BYMONTH", st.integers(1, 12)),
        "month_day": listed("BYMONTHDAY", either_end(1, 31)),
        "day": weekdays | ordinals if freq <= Freq.MONTHLY else weekdays,
        "hour": listed("BYHOUR", st.integers(0, 23)),
        "minute": listed("BYMINUTE", st.integers(0, 59)),
        "second": listed("BYSECOND", st.integers(0, 59)),
    }
    if freq in (Freq.YEARLY, Freq.HOURLY, Freq.MINUTELY, Freq.SECONDLY):
        choices["year_day"] = listed("BYYEARDAY", either_end(1, 366))
    names = draw(st.lists(st.sampled_from(sorted(choices)), unique=True, max_size=3))
    parts += [draw(choices[name]) for name in names]
    if names and freq <= Freq.DAILY and draw(st.booleans()):
        parts.append(draw(listed("BYSETPOS", either_end(1, 5))))
    if draw(st.booleans()):
        parts.append(f"WKST={draw(st.sampled_from(WEEKDAYS))}")
    return ";".join(parts)


def readings(text: str, start: datetime, since: datetime | None = None, before: datetime | None = None) -> Iterator[datetime]:
    return walk(parse_rule(text), start, Budget(), since, before)


def first_of(text: str, start: datetime) -> list[datetime]:
    return list(islice(readings(text, start, before=start + timedelta(days=400)), 40))


def agrees_with_dateutil(text: str, start: datetime, days: int) -> bool:
    """Compare what we find within some days; dateutil, asked for more than there is, would search until 9999."""
    before = start + timedelta(days=days)
    found = list(islice(readings(text, start, before=before), 20))
    assume(found)
    return found == list(islice(rrulestr(text, dtstart=start), len(found)))


@settings(max_examples=150, deadline=None)
@given(rules((Freq.YEARLY, Freq.MONTHLY, Freq.WEEKLY, Freq.DAILY)), STARTS)
def test_a_walk_finds_what_dateutil_finds(text: str, start: datetime) -> None:
    assume("WEEKLY" not in text or "BYSETPOS" not in text)  # dateutil cuts the first week at its start, libical does not
    assert agrees_with_dateutil(text, start, 3000)


@settings(max_examples=100, deadline=None)
@given(rules((Freq.HOURLY, Freq.MINUTELY, Freq.SECONDLY)), STARTS)
def test_a_walk_within_a_day_finds_what_dateutil_finds(text: str, start: datetime) -> None:
    assert agrees_with_dateutil(text, start, 20)


@settings(max_examples=100, deadline=None)
@given(rules(), STARTS, st.integers(0, 400))
def test_a_walk_from_the_middle_continues_the_walk_from_the_start(text: str, start: datetime, hours: int) -> None:
    hours = hours // 20 if "SECONDLY" in text else hours
    since = start + timedelta(hours=hours)
    before = since + timedelta(hours=5 if "SECONDLY" in text else 200)
    whole = [wall for wall in readings(text, start, before=before) if wall >= since]
    assert [wall for wall in readings(text, start, since, before) if wall >= since] == whole


@settings(max_examples=100, deadline=None)
@given(rules(), STARTS)
def test_readings_rise_and_never_repeat(text: str, start: datetime) -> None:
    found = list(islice(readings(text, start, before=start + timedelta(days=800)), 200))
    assert all(earlier < later for earlier, later in pairwise(found))
    assert all(wall >= start for wall in found)


@settings(max_examples=150, deadline=None)
@given(rules(), STARTS)
def test_the_canonical_form_is_stable_and_means_the_same(text: str, start: datetime) -> None:
    canonical = canonical_rule(text.lower(), Floating(start))
    assert canonical_rule(canonical, Floating(start)) == canonical
    assert write_rule(parse_rule(canonical)) == canonical
    assert first_of(canonical, start) == first_of(text, start)


@settings(max_examples=100, deadline=None)
@given(rules(), STARTS, st.integers(1, 40))
def test_count_ends_a_walk_after_so_many_readings(text: str, start: datetime, count: int) -> None:
    assert first_of(f"{text};COUNT={count}", start) == first_of(text, start)[:count]
