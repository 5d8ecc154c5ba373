"""Recurrence patterns in XML: the rows of tests/data/recurrence both ways, and what is no pattern."""

from __future__ import annotations

from datetime import date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.model.recurrence_rows import ALL_TIME, Row, ids, rows
from tests.providers.ews.wire_series import cycles
from tests.providers.ews.wire_world import calendar_items, element, sample

from gleichtakt.model.event import Event, Series
from gleichtakt.model.exchange_pattern import NotExpressible, Pattern, Weekly, to_rule
from gleichtakt.model.point import Day, Zoned
from gleichtakt.model.recurrence import expand
from gleichtakt.model.zones import zone_of
from gleichtakt.providers.ews.wire import soap
from gleichtakt.providers.ews.wire.items import read_item
from gleichtakt.providers.ews.wire.patterns import UnknownPattern, index_of, pattern_of, read_pattern, rule_of, write_pattern

ROWS = rows("exchange-patterns")


def xml_of(row: Row) -> str:
    """Write a row in the words of the schema."""
    said = dict(row["pattern"])
    name, start = said.pop("type"), row["start"]
    order = ("Interval", "DaysOfWeek", "FirstDayOfWeek", "DayOfMonth", "DayOfWeekIndex", "Month")
    content = "".join(
        f"<t:{key}>{' '.join(said[key]) if isinstance(said[key], list) else said[key]}</t:{key}>" for key in order if key in said
    )
    span = {
        "Numbered": f"<t:NumberedRecurrence><t:StartDate>{start}+01:00</t:StartDate>"
        f"<t:NumberOfOccurrences>{row['count']}</t:NumberOfOccurrences></t:NumberedRecurrence>",
        "EndDate": f"<t:EndDateRecurrence><t:StartDate>{start}</t:StartDate>"
        f"<t:EndDate>{row['end']}Z</t:EndDate></t:EndDateRecurrence>",
        "NoEnd": f"<t:NoEndRecurrence><t:StartDate>{start}</t:StartDate></t:NoEndRecurrence>",
    }[row["range"]]
    return f"<t:Recurrence><t:{name}Recurrence>{content}</t:{name}Recurrence>{span}</t:Recurrence>"


def days_of(rule: str, start: date, limit: int) -> list[str]:
    first = Day(start)
    one = Series("u", Event(first, Day(date.fromordinal(start.toordinal() + 1))), rule)
    found = expand(one, ALL_TIME, zone_of("UTC"))
    return [day for _, day in zip(range(limit), (f"{each.wall:%Y-%m-%d}" for each in found), strict=False)]


@pytest.mark.parametrize("row", ROWS, ids=ids(ROWS))
def test_a_pattern_read_from_xml_falls_on_the_same_days(row: Row) -> None:
    start = date.fromisoformat(row["expected"][0])
    rule = rule_of(read_pattern(element(xml_of(row))), Day(start))
    more = 0 if row["complete"] else 1
    assert days_of(rule, start, len(row["expected"]) + 1 - more) == row["expected"]


@pytest.mark.parametrize("row", ROWS, ids=ids(ROWS))
def test_a_rule_written_as_xml_falls_on_the_same_days(row: Row) -> None:
    if not row["equivalent_rrule"]:
        pytest.fail("a row without a rule proves nothing")
    start = date.fromisoformat(row["expected"][0])
    before = Series("u", Event(Day(start), Day(start)), rule_of(read_pattern(element(xml_of(row))), Day(start)))
    pattern = pattern_of(before, "Exchange2013")
    assert isinstance(pattern, Pattern)
    again = read_pattern(element(write_pattern(pattern, "Exchange2013")))
    assert again == pattern
    assert days_of(rule_of(again, Day(start)), start, len(row["expected"])) == row["expected"]


@given(cycle=cycles(), count=st.one_of(st.none(), st.integers(1, 999)), ordinal=st.integers(720_000, 760_000))
def test_every_pattern_is_read_as_it_was_written(cycle: object, count: int | None, ordinal: int) -> None:
    start = date.fromordinal(ordinal)
    for end in (None,) if count else (None, date.fromordinal(ordinal + 400)):
        pattern = Pattern(cycle, start, end, count)  # type: ignore[arg-type]
        assert read_pattern(element(write_pattern(pattern, "Exchange2013"))) == pattern


SAMPLES = {
    "getitem-response-pattern-daily-every-3.xml": "FREQ=DAILY;INTERVAL=3",
    "getitem-response-pattern-relative-monthly-last-day.xml": "FREQ=MONTHLY;BYMONTHDAY=-1",
    "getitem-response-pattern-relative-monthly-second-weekendday.xml": "FREQ=MONTHLY;INTERVAL=3;BYDAY=SU,SA;BYSETPOS=2",
    "getitem-response-pattern-relative-yearly-fourth-thursday-november.xml": "FREQ=YEARLY;BYMONTH=11;BYDAY=4TH",
    "getitem-response-pattern-weekly-biweekly-mon-wed-fri-first-sunday.xml": "FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,WE,FR;WKST=SU",
}


@pytest.mark.parametrize(("name", "rule"), SAMPLES.items())
def test_the_patterns_of_real_answers(name: str, rule: str) -> None:
    (master,) = calendar_items(soap.read(sample(f"synthetic/{name}")))
    found = read_item(master).series.rrule
    said = {part for part in found.split(";") if not part.startswith(("COUNT", "UNTIL"))}
    assert {_sorted(part) for part in said} == {_sorted(part) for part in rule.split(";")}


def _sorted(part: str) -> str:
    name, _, values = part.partition("=")
    return f"{name}={','.join(sorted(values.split(',')))}"


@pytest.mark.parametrize(
    "said",
    [
        "",
        "<t:DailyRecurrence><t:Interval>1</t:Interval></t:DailyRecurrence>",  # no range
        "<t:NoEndRecurrence><t:StartDate>2026-03-10</t:StartDate></t:NoEndRecurrence>",  # no pattern
        "<t:HebrewMonthlyRecurrence/><t:NoEndRecurrence><t:StartDate>2026-03-10</t:StartDate></t:NoEndRecurrence>",
        "<t:WeeklyRecurrence><t:DaysOfWeek>Someday</t:DaysOfWeek></t:WeeklyRecurrence>"
        "<t:NoEndRecurrence><t:StartDate>2026-03-10</t:StartDate></t:NoEndRecurrence>",
        "<t:WeeklyRecurrence><t:DaysOfWeek/></t:WeeklyRecurrence><t:NoEndRecurrence/>",
        "<t:DailyRecurrence/><t:NumberedRecurrence><t:StartDate>2026-03-10</t:StartDate><t:NumberOfOccurrences>many"
        "</t:NumberOfOccurrences></t:NumberedRecurrence>",
    ],
)
def test_what_is_no_pattern_is_refused_never_guessed(said: str) -> None:
    with pytest.raises(UnknownPattern):
        read_pattern(element(f"<t:Recurrence>{said}</t:Recurrence>"))


def test_a_week_begins_on_sunday_for_a_server_that_says_nothing() -> None:
    said = (
        "<t:WeeklyRecurrence><t:Interval>2</t:Interval><t:DaysOfWeek>Sunday Monday</t:DaysOfWeek></t:WeeklyRecurrence>"
        "<t:NoEndRecurrence><t:StartDate>2026-03-08</t:StartDate></t:NoEndRecurrence>"
    )
    assert read_pattern(element(f"<t:Recurrence>{said}</t:Recurrence>")).cycle == Weekly(2, (0, 6), 6)


@pytest.mark.parametrize(
    ("rule", "fits"),
    [
        ("FREQ=WEEKLY;BYDAY=MO,SU", True),
        ("FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,WE", True),  # both in one week, wherever that begins
        ("FREQ=WEEKLY;INTERVAL=2;BYDAY=TU,SU", False),  # the Sunday would come a fortnight earlier
        ("FREQ=WEEKLY;INTERVAL=2;BYDAY=TU,SU;WKST=SU", True),
    ],
)
def test_before_2010_a_week_begins_on_sunday_or_the_pattern_says_something_else(rule: str, fits: bool) -> None:
    start = Day(date(2026, 3, 10))
    found = pattern_of(Series("u", Event(start, Day(date(2026, 3, 11))), rule), "Exchange2007_SP1")
    assert isinstance(found, Pattern) is fits
    if isinstance(found, Pattern):
        assert "FirstDayOfWeek" not in write_pattern(found, "Exchange2007_SP1")
        same = read_pattern(element(write_pattern(found, "Exchange2007_SP1")))
        assert days_of(to_rule(same, start), date(2026, 3, 10), 9) == days_of(rule, date(2026, 3, 10), 9)
    else:
        assert found == NotExpressible("recurrence.weekly_limits")


def test_occurrences_are_numbered_from_one_with_the_deleted_ones() -> None:
    def at(text: str) -> Zoned:
        return Zoned(datetime.fromisoformat(text), "Europe/Berlin")

    start = at("2026-03-10T09:00")
    one = Series("u", Event(start, start), "FREQ=WEEKLY;BYDAY=TU", exdate=(at("2026-03-17T09:00"),))
    assert index_of(one, start) == 1
    assert index_of(one, at("2026-03-24T09:00")) == 3
    assert index_of(one, at("2026-03-25T09:00")) is None
