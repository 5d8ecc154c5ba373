"""A week as a grid: days, lanes, clock changes, and what must not be read there."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from gleichtakt.model.event import Event, Sensitivity, Series
from gleichtakt.model.point import Day, Zoned, shifted
from gleichtakt.store.calendars import EventRow, write_document
from gleichtakt.web.admin.week import lay_out, monday_of, week_name

BERLIN = ZoneInfo("Europe/Berlin")
MONDAY = date(2026, 11, 16)


def row(series: Series, origin: str = "app") -> EventRow:
    nil, now = UUID(int=0), datetime(2026, 1, 1, tzinfo=UTC)
    return EventRow(nil, nil, nil, None, series.uid, origin, None, 1, write_document(series), now, now, None)


def meeting(day: date, begin: str, end: str, title: str = "x", **values: object) -> Series:
    def at(clock: str) -> Zoned:
        return Zoned(datetime.combine(day, time.fromisoformat(clock)), "Europe/Berlin")

    return Series(title, Event(at(begin), at(end), title=title, **values))  # type: ignore[arg-type]


def test_overlaps_stand_side_by_side_and_a_new_knot_begins_afresh() -> None:
    times = (("09:00", "10:00", "a"), ("09:30", "11:00", "b"), ("10:15", "10:30", "c"), ("11:00", "12:00", "d"))
    series = [meeting(MONDAY, *found) for found in times]
    blocks = lay_out(MONDAY, map(row, series), BERLIN, with_titles=True).columns[0].timed
    assert [(block.title, block.lane, block.lanes) for block in blocks] == [("a", 0, 2), ("b", 1, 2), ("c", 0, 2), ("d", 0, 1)]
    assert [(block.first, block.span) for block in blocks] == [(36, 4), (38, 6), (41, 1), (44, 4)]


def test_an_event_past_midnight_is_cut_into_days_and_the_grid_grows() -> None:
    begin = meeting(date(2026, 11, 17), "22:00", "22:30", "n").event
    night = Series("n", replace(begin, end=shifted(begin.start, timedelta(hours=4))))
    week = lay_out(MONDAY, [row(night)], BERLIN, with_titles=True)
    assert [(block.first, block.span) for block in week.columns[1].timed] == [(88, 8)]
    assert [(block.first, block.span) for block in week.columns[2].timed] == [(0, 8)]
    assert (week.first_hour, week.last_hour) == (0, 24)


def test_days_stand_above_the_hours_and_end_before_their_last() -> None:
    fair = Series("f", Event(Day(date(2026, 11, 19)), Day(date(2026, 11, 21)), title="Messe"))
    week = lay_out(MONDAY, [row(fair)], BERLIN, with_titles=True)
    assert [len(column.all_day) for column in week.columns] == [0, 0, 0, 1, 1, 0, 0]
    assert not week.is_empty


def test_ten_stands_at_ten_when_the_clocks_change() -> None:
    series = Series("w", meeting(date(2026, 10, 19), "10:00", "11:00").event, rrule="FREQ=DAILY")
    week = lay_out(date(2026, 10, 19), [row(series)], BERLIN, with_titles=True)  # Sunday the 25th is an hour longer
    assert [column.timed[0].first for column in week.columns] == [40] * 7


def test_a_private_event_is_a_block_without_words() -> None:
    secret = meeting(MONDAY, "09:00", "10:00", "Kündigung", sensitivity=Sensitivity.PERSONAL, location="Zimmer 4")
    block = lay_out(MONDAY, [row(secret)], BERLIN, with_titles=True).columns[0].timed[0]
    assert (block.title, block.location, block.is_private) == ("", "", True)


def test_who_may_not_read_titles_sees_only_that_time_is_taken() -> None:
    block = lay_out(MONDAY, [row(meeting(MONDAY, "09:00", "10:00", "Plan"))], BERLIN, with_titles=False).columns[0].timed[0]
    assert (block.title, block.is_private) == ("", False)


def test_a_week_is_named_as_iso_does_and_anything_else_is_this_week() -> None:
    assert monday_of("2026-W47", MONDAY) == MONDAY
    assert week_name(MONDAY) == "2026-W47"
    for odd in ("", "2026-W99", "W47", "2026-47", "9999-W53", "abcd-Wef"):
        assert monday_of(odd, date(2026, 11, 18)) == MONDAY
