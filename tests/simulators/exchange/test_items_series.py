"""Series in the simulated Exchange: patterns, occurrences by number, exceptions, deletions, and what a new pattern does."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree
from tests.simulators.exchange.asking import (
    MARK,
    TYPES,
    WEEKLY,
    Office,
    bare,
    code,
    deleting,
    has,
    in_zone,
    item_id,
    occurrence,
    repeated,
    setting,
    text,
    texts,
    timed,
    weekly,
)

from gleichtakt.model import exchange_pattern as model
from gleichtakt.model.event import Event, Series
from gleichtakt.model.point import Timespan, Zoned
from gleichtakt.model.recurrence import expand
from gleichtakt.model.recurrence import slots as model_slots
from gleichtakt.simulators.exchange import calendar
from gleichtakt.simulators.exchange.state import Refused
from gleichtakt.simulators.exchange.zones import DAYS, MONTHS


@pytest.fixture
def office() -> Office:
    """A firm with empty calendars."""
    return Office()


@pytest.fixture
def master(office: Office) -> str:
    """The id of eight Tuesdays at nine in Berlin; the clocks change between the third and the fourth."""
    return item_id(office.create(weekly()))


def moved(office: Office, master: str, index: int, start: str, end: str) -> etree._Element:
    """Move an occurrence, named by number."""
    times = setting("calendar:Start", f"<t:Start>{start}</t:Start>") + setting("calendar:End", f"<t:End>{end}</t:End>")
    return office.update(occurrence(master, index), times)


def starts(office: Office, until: str = "2026-12-31T00:00:00Z") -> list[str]:
    """Give the starts of what a calendar view shows."""
    return texts(
        office.find(view=f'<m:CalendarView StartDate="2026-01-01T00:00:00Z" EndDate="{until}"/>', base="Default"), "Start"
    )


# --- patterns ----------------------------------------------------------------------------------------------------


def _weekdays(days: tuple[int, ...]) -> str:
    names = {model.EVERY_DAY: "Day", model.WEEKDAYS: "Weekday", model.WEEKEND: "WeekendDay"}
    return names.get(days) or " ".join(DAYS[day] for day in days)


def _parts(cycle: model.Cycle) -> tuple[str, dict[str, object]]:
    """Say a cycle of the model in the words of the protocol."""
    match cycle:
        case model.Daily(interval):
            return "DailyRecurrence", {"Interval": interval}
        case model.Weekly(interval, days, first):
            named = " ".join(DAYS[day] for day in days)
            return "WeeklyRecurrence", {"Interval": interval, "DaysOfWeek": named, "FirstDayOfWeek": DAYS[first]}
        case model.AbsoluteMonthly(interval, day):
            return "AbsoluteMonthlyRecurrence", {"Interval": interval, "DayOfMonth": day}
        case model.RelativeMonthly(interval, days, index):
            named = _weekdays(days)
            return "RelativeMonthlyRecurrence", {"Interval": interval, "DaysOfWeek": named, "DayOfWeekIndex": index.title()}
        case model.AbsoluteYearly(month, day):
            return "AbsoluteYearlyRecurrence", {"DayOfMonth": day, "Month": MONTHS[month - 1]}
        case model.RelativeYearly(month, days, index):
            parts = {"DaysOfWeek": _weekdays(days), "DayOfWeekIndex": index.title(), "Month": MONTHS[month - 1]}
            return "RelativeYearlyRecurrence", parts


_SETS = st.sampled_from([model.EVERY_DAY, model.WEEKDAYS, model.WEEKEND, *((day,) for day in range(7))])
_INDEX = st.sampled_from(model.Index)
_CYCLES = st.one_of(
    st.builds(model.Daily, st.integers(1, 9)),
    st.builds(
        model.Weekly,
        st.integers(1, 4),
        st.sets(st.integers(0, 6), min_size=1).map(lambda days: tuple(sorted(days))),
        st.integers(0, 6),
    ),
    st.builds(model.AbsoluteMonthly, st.integers(1, 14), st.integers(1, 31)),
    st.builds(model.RelativeMonthly, st.integers(1, 14), _SETS, _INDEX),
    st.builds(model.AbsoluteYearly, st.integers(1, 12), st.integers(1, 28)),
    st.builds(model.AbsoluteYearly, st.just(2), st.integers(29, 31)),
    st.builds(model.RelativeYearly, st.integers(1, 12), _SETS, _INDEX),
)


@given(cycle=_CYCLES, start=st.dates(date(2024, 1, 1), date(2027, 12, 31)), count=st.integers(1, 30))
def test_the_simulator_and_the_model_walk_every_pattern_alike(cycle: model.Cycle, start: date, count: int) -> None:
    """Two readings of the same document, written apart."""
    kind, parts = _parts(cycle)
    given_parts = tuple((name, str(value)) for name, value in parts.items())
    here = list(islice(calendar.days(calendar.Pattern(kind, given_parts, start, number=count)), count))
    rule = model.to_rule(model.Pattern(cycle, here[0], count=count), Zoned(datetime.combine(here[0], datetime.min.time()), "UTC"))
    begins = Zoned(datetime.combine(here[0], datetime.min.time()), "UTC")
    series = Series("u", Event(title="x", start=begins, end=begins), rrule=rule)
    there = model_slots(series, datetime(2000, 1, 1), datetime(2600, 1, 1))  # noqa: DTZ001 - wall clock
    assert here == [wall.date() for wall in there]


PLACES = {
    "W. Europe Standard Time": "Europe/Berlin",
    "Eastern Standard Time": "America/New_York",
    "India Standard Time": "Asia/Kolkata",
}


@settings(max_examples=60)
@given(
    cycle=_CYCLES,
    day=st.dates(date(2026, 1, 1), date(2026, 12, 31)),
    hour=st.integers(0, 22),
    zone=st.sampled_from(sorted(PLACES)),
    count=st.integers(2, 20),
)
def test_a_series_shows_the_occurrences_its_rule_has(cycle: model.Cycle, day: date, hour: int, zone: str, count: int) -> None:
    """Sent as XML, read back through a calendar view, against the model's own expansion, across changes of the clock."""
    office = Office()
    kind, parts = _parts(cycle)
    pattern = "".join(f"<t:{name}>{value}</t:{name}>" for name, value in parts.items())
    ends = f"<t:StartDate>{day}</t:StartDate><t:NumberOfOccurrences>{count}</t:NumberOfOccurrences>"
    rule = repeated(f"<t:{kind}>{pattern}</t:{kind}>", f"<t:NumberedRecurrence>{ends}</t:NumberedRecurrence>")
    times = timed(f"{day}T{hour:02}:30:00", f"{day}T{hour + 1:02}:00:00", after=rule + in_zone(zone))
    read = office.get(item_id(office.create(times)))
    first = datetime.fromisoformat(text(read, "Start")).astimezone(ZoneInfo(PLACES[zone])).replace(tzinfo=None)
    begins = Zoned(first, PLACES[zone])
    event = Event(title="x", start=begins, end=Zoned(first + timedelta(minutes=30), PLACES[zone]))
    series = Series("u", event, rrule=model.to_rule(model.Pattern(cycle, first.date(), count=count), begins))
    window = Timespan(datetime(2026, 1, 1, tzinfo=UTC), datetime(2028, 1, 1, tzinfo=UTC))
    view = '<m:CalendarView StartDate="2026-01-01T00:00:00Z" EndDate="2028-01-01T00:00:00Z"/>'
    here = [datetime.fromisoformat(start) for start in texts(office.find(view=view, base="Default"), "Start")]
    assert here == [one.start for one in expand(series, window, UTC)]


ROWS = [
    json.loads(line) for line in (Path(__file__).parents[2] / "data/recurrence/exchange-patterns.jsonl").read_text().splitlines()
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["id"])
def test_patterns_have_the_days_of_the_corpus(row: dict[str, Any]) -> None:
    parts = tuple((name, str(value)) for name, value in row["pattern"].items() if name != "type")
    end = date.fromisoformat(row["end"]) if row["end"] else None
    pattern = calendar.Pattern(f"{row['pattern']['type']}Recurrence", parts, date.fromisoformat(row["start"]), end, row["count"])
    assert [day.isoformat() for day in calendar.days(pattern)] == row["expected"]


def test_a_day_beyond_the_end_of_a_month_is_its_last(office: Office) -> None:
    pattern = (
        "<t:AbsoluteMonthlyRecurrence><t:Interval>1</t:Interval><t:DayOfMonth>31</t:DayOfMonth></t:AbsoluteMonthlyRecurrence>"
    )
    ends = "<t:EndDateRecurrence><t:StartDate>2026-01-31</t:StartDate><t:EndDate>2026-05-01</t:EndDate></t:EndDateRecurrence>"
    office.create(timed("2026-01-31T09:00:00", "2026-01-31T10:00:00", after=repeated(pattern, ends)))
    assert [start[:10] for start in starts(office)] == ["2026-01-31", "2026-02-28", "2026-03-31", "2026-04-30"]


def test_occurrences_keep_their_hour_when_the_clocks_change(office: Office, master: str) -> None:
    found = starts(office)
    assert found[2:4] == ["2026-03-24T08:00:00Z", "2026-03-31T07:00:00Z"]
    assert len(found) == 8


def test_a_start_that_is_no_hit_gives_way_to_the_first_one(office: Office) -> None:
    office.create(
        timed("2026-03-08T09:00:00", "2026-03-08T09:30:00", after=WEEKLY.replace("2026-03-10", "2026-03-08") + in_zone())
    )
    read = office.get(item_id(office.sync()))
    assert text(read, "Start") == "2026-03-10T08:00:00Z"
    assert text(read, "StartDate") == "2026-03-10+01:00"
    assert len(starts(office)) == 8


@pytest.mark.parametrize(
    ("pattern", "ends", "refusal"),
    [
        ("<t:DailyRecurrence><t:Interval>1000</t:Interval></t:DailyRecurrence>", "", "ErrorCalendarInvalidRecurrence"),
        (
            "<t:DailyRecurrence><t:Interval>1</t:Interval></t:DailyRecurrence>",
            "<t:NoEndRecurrence><t:StartDate>0001-01-01</t:StartDate></t:NoEndRecurrence>",
            "ErrorCalendarOutOfRange",
        ),
        (
            "<t:DailyRecurrence><t:Interval>1</t:Interval></t:DailyRecurrence>",
            "<t:EndDateRecurrence><t:StartDate>2026-03-10</t:StartDate><t:EndDate>2026-03-09</t:EndDate></t:EndDateRecurrence>",
            "ErrorRecurrenceHasNoOccurrence",
        ),
    ],
)
def test_a_pattern_without_sense_is_refused(office: Office, pattern: str, ends: str, refusal: str) -> None:
    ends = ends or "<t:NoEndRecurrence><t:StartDate>2026-03-10</t:StartDate></t:NoEndRecurrence>"
    made = office.create(timed("2026-03-10T09:00:00", "2026-03-10T10:00:00", after=repeated(pattern, ends)))
    assert code(made) == refusal


def test_a_pattern_without_its_parts_is_refused() -> None:
    ends = "<t:NoEndRecurrence><t:StartDate>2026-03-10</t:StartDate></t:NoEndRecurrence>"
    text_of = repeated("<t:WeeklyRecurrence><t:Interval>1</t:Interval></t:WeeklyRecurrence>", ends)
    element = etree.fromstring(text_of.replace("<t:Recurrence>", f'<t:Recurrence xmlns:t="{TYPES}">'))
    with pytest.raises(Refused, match="ErrorCalendarInvalidRecurrence"):
        calendar.read_pattern(element)


def test_an_occurrence_is_not_longer_than_the_time_to_the_next(office: Office) -> None:
    made = office.create(timed("2026-03-10T09:00:00", "2026-03-18T10:00:00", after=WEEKLY + in_zone()))
    assert code(made) == "ErrorOccurrenceTimeSpanTooBig"


# --- what a series looks like ------------------------------------------------------------------------------------


def test_a_master_tells_its_first_and_last_occurrence(office: Office, master: str) -> None:
    read = office.get(master)
    assert text(read, "CalendarItemType") == "RecurringMaster"
    assert read.findtext(".//{*}FirstOccurrence/{*}Start") == "2026-03-10T08:00:00Z"
    assert read.findtext(".//{*}LastOccurrence/{*}Start") == "2026-04-28T07:00:00Z"
    assert text(read, "IsRecurring") == "false"  # so Exchange says of the organizer's master


def test_without_an_end_there_is_no_last_occurrence(office: Office) -> None:
    endless = "<t:NoEndRecurrence><t:StartDate>2026-03-10</t:StartDate></t:NoEndRecurrence>"
    daily = repeated("<t:DailyRecurrence><t:Interval>1</t:Interval></t:DailyRecurrence>", endless)
    read = office.get(item_id(office.create(timed("2026-03-10T09:00:00", "2026-03-10T10:00:00", after=daily))))
    assert has(read, "FirstOccurrence") and not has(read, "LastOccurrence")


def test_an_occurrence_by_number_knows_its_place(office: Office, master: str) -> None:
    read = office.get(occurrence(master, 4))
    assert text(read, "CalendarItemType") == "Occurrence"
    assert text(read, "RecurrenceId") == text(read, "OriginalStart") == text(read, "Start") == "2026-03-31T07:00:00Z"
    assert not has(read, "Recurrence") and text(read, "IsRecurring") == "true"


def test_the_master_is_found_from_an_occurrence(office: Office, master: str) -> None:
    where, _ = bare(item_id(office.get(occurrence(master, 4))))
    read = office.get(f'<t:RecurringMasterItemId OccurrenceId="{where}"/>')
    assert bare(item_id(read)) == bare(master)


@pytest.mark.parametrize(
    ("target", "refusal"),
    [
        (lambda master, single: occurrence(master, 9), "ErrorCalendarOccurrenceIndexIsOutOfRecurrenceRange"),
        (lambda master, single: occurrence(single, 1), "ErrorCalendarCannotUseIdForOccurrenceId"),
        (
            lambda master, single: f'<t:RecurringMasterItemId OccurrenceId="{bare(single)[0]}"/>',
            "ErrorCalendarCannotUseIdForRecurringMasterId",
        ),
    ],
)
def test_what_is_no_occurrence_is_refused(office: Office, master: str, target: object, refusal: str) -> None:
    single = item_id(office.create(timed("2026-03-02T11:00:00Z", "2026-03-02T12:00:00Z")))
    assert code(office.get(target(master, single))) == refusal  # type: ignore[operator]


# --- exceptions --------------------------------------------------------------------------------------------------


def test_a_changed_occurrence_is_an_exception_under_its_original_start(office: Office, master: str) -> None:
    changed = moved(office, master, 2, "2026-03-18T10:00:00Z", "2026-03-18T10:45:00Z")
    read = office.get(master)
    assert texts(read.find(".//{*}ModifiedOccurrences"), "OriginalStart") == ["2026-03-17T08:00:00Z"]
    exception = office.get(item_id(changed))
    assert text(exception, "CalendarItemType") == "Exception"
    assert text(exception, "RecurrenceId") == "2026-03-17T08:00:00Z"
    assert text(exception, "Start") == "2026-03-18T10:00:00Z"
    assert bare(item_id(changed))[1] == bare(item_id(read))[1], "the change key is that of the series"


def test_a_change_of_one_occurrence_makes_the_key_of_the_series_stale(office: Office, master: str) -> None:
    moved(office, master, 2, "2026-03-18T10:00:00Z", "2026-03-18T10:45:00Z")
    assert code(moved(office, master, 3, "2026-03-25T10:00:00Z", "2026-03-25T10:45:00Z")) == "ErrorIrresolvableConflict"


def test_an_exception_has_what_it_was_given_and_the_rest_from_its_series(office: Office, master: str) -> None:
    marked = f"<t:ExtendedProperty>{MARK}<t:Value>k</t:Value></t:ExtendedProperty>"
    key = item_id(office.update(master, setting(MARK, marked)))
    own = item_id(office.update(occurrence(key, 2), setting("item:Subject", "<t:Subject>Long</t:Subject>")))
    again = item_id(office.get(master))
    office.update(
        again,
        setting("item:Subject", "<t:Subject>New plan</t:Subject>")
        + setting("calendar:Location", "<t:Location>Attic</t:Location>"),
    )
    read = office.get(own, more=MARK)
    assert (text(read, "Subject"), text(read, "Location"), text(read, "Value")) == ("Long", "Attic", "k")
    assert text(office.get(occurrence(again, 3)), "Subject") == "New plan"


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("2026-03-24T15:00:00Z", "2026-03-24T16:00:00Z"),  # the day of the next
        ("2026-03-26T08:00:00Z", "2026-03-26T09:00:00Z"),  # past it
        ("2026-03-10T20:00:00Z", "2026-03-10T21:00:00Z"),  # the day of the one before
        ("2026-03-17T08:00:00Z", "2026-03-24T08:30:00Z"),  # into the next
    ],
)
def test_an_occurrence_does_not_reach_its_neighbours(office: Office, master: str, start: str, end: str) -> None:
    assert code(moved(office, master, 2, start, end)) == "ErrorOccurrenceCrossingBoundary"
    assert not office.item.overrides


def test_a_neighbour_that_is_deleted_or_moved_away_makes_room(office: Office, master: str) -> None:
    key = item_id(moved(office, master, 3, "2026-03-27T08:00:00Z", "2026-03-27T09:00:00Z"))
    where = f'<t:OccurrenceItemId RecurringMasterId="{bare(master)[0]}" ChangeKey="{bare(key)[1]}" InstanceIndex="2"/>'
    times = setting("calendar:Start", "<t:Start>2026-03-24T15:00:00Z</t:Start>") + setting(
        "calendar:End", "<t:End>2026-03-24T16:00:00Z</t:End>"
    )
    assert code(office.update(where, times)) == "NoError"


@pytest.mark.parametrize("update", [setting("calendar:UID", "<t:UID>x</t:UID>"), deleting("calendar:Recurrence")])
def test_an_occurrence_has_no_pattern_and_no_uid_of_its_own(office: Office, master: str, update: str) -> None:
    assert code(office.update(occurrence(master, 2), update)) == "ErrorInvalidPropertySet"


# --- deletions ---------------------------------------------------------------------------------------------------


def test_a_deleted_occurrence_leaves_its_original_start_and_its_number(office: Office, master: str) -> None:
    office.delete(occurrence(master, 4))
    read = office.get(master)
    assert texts(read.find(".//{*}DeletedOccurrences"), "Start") == ["2026-03-31T07:00:00Z"]
    assert code(office.get(occurrence(master, 4))) == "ErrorCalendarOccurrenceIsDeletedFromRecurrence"
    assert text(office.get(occurrence(master, 5)), "Start") == "2026-04-07T07:00:00Z"
    assert len(starts(office)) == 7


def test_a_deleted_exception_is_one_no_more(office: Office, master: str) -> None:
    changed = item_id(moved(office, master, 2, "2026-03-18T10:00:00Z", "2026-03-18T10:45:00Z"))
    office.delete(changed)
    read = office.get(master)
    assert not has(read, "ModifiedOccurrences")
    assert texts(read.find(".//{*}DeletedOccurrences"), "Start") == ["2026-03-17T08:00:00Z"]
    assert code(office.get(changed)) == "ErrorItemNotFound"


def test_with_its_last_occurrence_a_series_is_gone(office: Office, master: str) -> None:
    for index in range(1, 9):
        assert code(office.delete(occurrence(master, index))) == "NoError"
    assert not office.anna.calendar.items


# --- changes of the whole ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("updates", "keeps"),
    [
        (setting("item:Subject", "<t:Subject>x</t:Subject>"), True),
        (setting("calendar:LegacyFreeBusyStatus", "<t:LegacyFreeBusyStatus>OOF</t:LegacyFreeBusyStatus>"), True),
        (setting("calendar:Recurrence", WEEKLY), True),  # the same pattern once more
        (setting("calendar:Recurrence", WEEKLY.replace(">8<", ">9<")), False),
        (setting("calendar:End", "<t:End>2026-03-10T11:00:00Z</t:End>"), False),
        (setting("calendar:Start", "<t:Start>2026-03-10T07:00:00Z</t:Start>"), False),
    ],
)
def test_a_new_pattern_or_time_takes_all_exceptions_with_it(office: Office, master: str, updates: str, keeps: bool) -> None:
    moved(office, master, 2, "2026-03-18T10:00:00Z", "2026-03-18T10:45:00Z")
    office.delete(occurrence(master, 4))
    assert code(office.update(item_id(office.get(master)), updates)) == "NoError"
    read = office.get(master)
    assert has(read, "ModifiedOccurrences") is has(read, "DeletedOccurrences") is keeps


def test_a_series_without_its_pattern_is_a_single_item(office: Office, master: str) -> None:
    office.update(master, deleting("calendar:Recurrence"))
    assert text(office.get(master), "CalendarItemType") == "Single"
    assert starts(office) == ["2026-03-10T08:00:00Z"]


def test_the_change_of_a_single_occurrence_shows_as_one_of_the_series(office: Office, master: str) -> None:
    state = text(office.sync(), "SyncState")
    moved(office, master, 2, "2026-03-18T10:00:00Z", "2026-03-18T10:45:00Z")
    news = office.sync(state)
    assert [bare(item_id(news))[0]] == [bare(master)[0]]
    assert has(news, "Update")


# --- all-day -----------------------------------------------------------------------------------------------------


def test_an_all_day_series_stays_at_midnight_of_its_zone(office: Office) -> None:
    all_day = "<t:IsAllDayEvent>true</t:IsAllDayEvent>"
    office.create(timed("2026-03-10T00:00:00", "2026-03-11T00:00:00", after=all_day + WEEKLY + in_zone()))
    assert starts(office)[2:4] == ["2026-03-23T23:00:00Z", "2026-03-30T22:00:00Z"]
