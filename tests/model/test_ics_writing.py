"""Writing series: exact, deterministic, with the zones they use."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import icalendar
import pytest
from hypothesis import given, settings
from tests.model.builders import at, changed, series
from tests.model.ics_series import serieses
from tests.model.test_zones import rules

from gleichtakt.model import ics
from gleichtakt.model.event import Attendee, Event, Person, Sensitivity, Series, ShowAs
from gleichtakt.model.ics.vtimezone import vtimezone
from gleichtakt.model.zone_rules import normal_rules
from gleichtakt.model.zones import zone_names, zone_of

NINE = at("2026-03-02T09:00")
WEEKLY = series(NINE, "FREQ=WEEKLY;COUNT=4", exdate=(at("2026-03-09T09:00"),))


def lines_of(one: Series, **options) -> list[str]:
    return ics.write_calendar([one], **options).decode().replace("\r\n ", "").split("\r\n")


@settings(max_examples=150)
@given(serieses())
def test_what_is_written_is_read_again(one):
    data = ics.write_calendar([one])
    reading = ics.read_calendar(data)
    assert reading.series == (one,)
    assert not reading.broken
    assert not reading.warnings
    assert ics.write_calendar(reading.series) == data
    assert all(len(line) <= 75 for line in data.split(b"\r\n"))


@settings(max_examples=40)
@given(serieses())
def test_another_library_reads_it_too(one):
    events = icalendar.Calendar.from_ical(ics.write_calendar([one])).walk("VEVENT")
    assert len(events) == 1 + len(one.overrides)
    assert str(events[0]["UID"]) == one.uid
    assert str(events[0].get("SUMMARY", "")) == one.event.title


def test_the_same_series_give_the_same_bytes():
    assert ics.write_calendar([WEEKLY]) == ics.write_calendar([replace(WEEKLY)])


def test_a_series_is_written_with_its_overrides():
    one = replace(WEEKLY, overrides=(changed(WEEKLY, at("2026-03-16T09:00"), at("2026-03-17T11:00"), title="verschoben"),))
    written = lines_of(one, name="Büro; Nord", method="PUBLISH", stamp=datetime(2026, 2, 1, 8, tzinfo=UTC))
    for line in (
        "METHOD:PUBLISH",
        "X-WR-CALNAME:Büro\\; Nord",
        "DTSTAMP:20260201T080000Z",
        "DTSTART;TZID=Europe/Berlin:20260302T090000",
        "RRULE:FREQ=WEEKLY;COUNT=4",
        "EXDATE;TZID=Europe/Berlin:20260309T090000",
        "RECURRENCE-ID;TZID=Europe/Berlin:20260316T090000",
        "SUMMARY:verschoben",
        "TZID:Europe/Berlin",
    ):
        assert line in written
    assert written.count("BEGIN:VEVENT") == 2


@pytest.mark.parametrize("show_as", list(ShowAs))
def test_the_busy_status_of_outlook_stands_beside_transp(show_as):
    one = replace(WEEKLY, event=replace(WEEKLY.event, show_as=show_as))
    assert any(line.startswith("X-MICROSOFT-CDO-BUSYSTATUS:") for line in lines_of(one))
    assert ics.read_calendar(ics.write_calendar([one])).series == (one,)


def test_personal_becomes_private():
    assert "CLASS:PRIVATE" in lines_of(replace(WEEKLY, event=replace(WEEKLY.event, sensitivity=Sensitivity.PERSONAL)))


def test_people_are_written_so_that_no_server_mails_them():
    event = Event(NINE, NINE, organizer=Person("boss@example.org", "Chef"), attendees=(Attendee("anna@example.org"),))
    silent = lines_of(Series("u", event))
    assert "ORGANIZER;CN=Chef;SCHEDULE-AGENT=CLIENT:mailto:boss@example.org" in silent
    assert "ATTENDEE;PARTSTAT=NEEDS-ACTION;SCHEDULE-AGENT=CLIENT:mailto:anna@example.org" in silent
    assert not any("SCHEDULE-AGENT" in line for line in lines_of(Series("u", event), silent=False))


def test_further_lines_of_the_caller_stand_in_each_component_and_cannot_break_out():
    one = replace(WEEKLY, overrides=(changed(WEEKLY, at("2026-03-16T09:00"), title="x"),))
    written = ics.write_calendar([one], extra={one.uid: [("X-MARK", "a/b"), ("X-EVIL", "c\r\nBEGIN:VALARM")]})
    assert written.count(b"X-MARK:a/b\r\n") == 2
    assert b"\nBEGIN:VALARM" not in written
    assert ics.read_calendar(written).series == (one,)


@pytest.mark.parametrize("field", ["title", "description", "location", "url", "conference_url"])
def test_no_text_can_break_out_of_its_line(field):
    evil = "a\r\nEND:VEVENT\r\nBEGIN:VEVENT\r\nUID:evil\nSUMMARY:b\rc"
    one = Series("u", replace(WEEKLY.event, **{field: evil}))
    person = Series("u", replace(WEEKLY.event, organizer=Person(evil, evil), attendees=(Attendee(evil, evil),)))
    for written in (one, person, replace(WEEKLY, uid=evil)):
        assert ics.write_calendar([written]).count(b"\nBEGIN:VEVENT") == 1


def test_the_second_of_two_equal_readings_is_written_in_utc():
    first, second = at("2026-10-25T02:30"), at("2026-10-25T02:30")
    second = replace(second, wall=second.wall.replace(fold=1))
    assert "DTSTART;TZID=Europe/Berlin:20261025T023000" in lines_of(Series("u", Event(first, first)))
    assert "DTSTART:20261025T013000Z" in lines_of(Series("u", Event(second, second)))


def test_a_fold_where_nothing_repeats_means_nothing():
    point = replace(NINE, wall=NINE.wall.replace(fold=1))
    assert "DTSTART;TZID=Europe/Berlin:20260302T090000" in lines_of(Series("u", Event(point, point)))


# --- zones -------------------------------------------------------------------------------------------------------


def test_the_rules_of_a_zone_are_those_everyone_writes():
    text = vtimezone("Europe/Berlin", 2026, None)
    assert "RRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU\n" in text
    assert "RRULE:FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU\n" in text
    assert len(text) < 700
    assert "RRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=2SU\n" in vtimezone("America/New_York", 2026, None)


@pytest.mark.parametrize("name", zone_names()[::7])
def test_the_rules_of_a_zone_give_its_clock_in_the_years_needed(name):
    written = zone_of(normal_rules(vtimezone(name, 2005, 2027)))
    zone = zone_of(name)
    moment = datetime(2005, 1, 1, tzinfo=UTC)
    while moment.year < 2028:
        assert moment.astimezone(written).utcoffset() == moment.astimezone(zone).utcoffset(), moment
        moment += timedelta(hours=61)


@pytest.mark.parametrize(
    "name", ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Casablanca", "Asia/Kolkata"]
)
def test_a_zone_without_end_keeps_its_rules(name):
    written, zone = zone_of(normal_rules(vtimezone(name, 2026, None))), zone_of(name)
    for month in range(1, 13):
        for year in (2026, 2036, 2044):
            moment = datetime(year, month, 15, tzinfo=UTC)
            assert moment.astimezone(written).utcoffset() == moment.astimezone(zone).utcoffset()


def test_a_custom_zone_travels_with_its_rules():
    zone = normal_rules(rules("Customized Time Zone", "+0245", "+0345"))
    one = series(at("2026-03-02T09:00", zone), "FREQ=WEEKLY;COUNT=4")
    assert ics.read_calendar(ics.write_calendar([one])).series == (one,)


def test_tz_05_two_custom_zones_of_one_name_keep_their_own_hours_in_one_file():
    zones = [normal_rules(rules("Customized Time Zone", winter, "+0345")) for winter in ("+0245", "+0215")]
    written = ics.write_calendar(series(at("2026-01-05T12:00", zone), uid=str(n)) for n, zone in enumerate(zones))
    hours = [
        one.event.start.wall.replace(tzinfo=zone_of(one.event.start.tzid)).utcoffset()
        for one in ics.read_calendar(written).series
    ]
    assert hours == [timedelta(hours=2, minutes=45), timedelta(hours=2, minutes=15)]
