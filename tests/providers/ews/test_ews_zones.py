"""Time zones: Windows names, definitions both ways, the form of 2007, and what other servers call them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from tests.providers.ews.wire_world import calendar_items, element, item, sample

from gleichtakt.model.zone_rules import Observance, write_rules
from gleichtakt.model.zones import CUSTOM, zone_of
from gleichtakt.providers.ews.wire import soap
from gleichtakt.providers.ews.wire.items import read_item
from gleichtakt.providers.ews.wire.times import read_date, read_duration, read_instant, write_duration
from gleichtakt.providers.ews.wire.zones import read_bias, read_zone, write_meeting_zone, write_zone, zone_by_id

MASTER = calendar_items(soap.read(sample("synthetic/getitem-response-recurring-master-with-exceptions.xml")))[0]


def clock(tzid: str, year: int) -> list[timedelta | None]:
    """Give what a zone's clock shows on every third day of a year."""
    first = datetime(year, 1, 1, tzinfo=UTC)
    return [(first + timedelta(days=day, hours=12)).astimezone(zone_of(tzid)).utcoffset() for day in range(0, 365, 3)]


@pytest.mark.parametrize(
    ("name", "tzid"),
    [
        ("W. Europe Standard Time", "Europe/Berlin"),
        ("w. europe standard time", "Europe/Berlin"),
        ("UTC", "UTC"),
        ("tzone://Microsoft/Utc", "UTC"),
        ("Europe/Vienna", "Europe/Vienna"),  # as servers that are no Exchange write it
        ("Alberta Standard Time", "America/Edmonton"),
        ("tzone://Microsoft/Custom", ""),
        ("", ""),
    ],
)
def test_a_zone_is_known_by_its_name(name: str, tzid: str) -> None:
    assert zone_by_id(name) == tzid


def test_a_definition_with_a_known_name_is_not_looked_at() -> None:
    assert read_zone(MASTER.find("{*}StartTimeZone"))[0] == "Europe/Berlin"  # type: ignore[arg-type]


def test_a_definition_without_a_name_is_recognised_by_its_rules() -> None:
    definition = MASTER.find("{*}StartTimeZone")
    assert definition is not None
    definition.set("Id", "tzone://Microsoft/Custom")
    definition.set("Name", "Customized Time Zone")
    assert read_zone(definition, year=2026) == ("Europe/Berlin", "")


@pytest.mark.parametrize("name", ["(UTC+01:00) Amsterdam, Berlin, Bern, Rome, Stockholm, Vienna", "Mitteleuropäische Zeit"])
def test_a_name_for_people_is_understood(name: str) -> None:
    assert read_zone(element(f'<t:StartTimeZone Id="{name}"/>'))[0] == "Europe/Berlin"


def test_a_zone_nobody_knows_is_that_of_the_calendar_with_a_warning() -> None:
    assert read_zone(element('<t:StartTimeZone Id="Zone of nowhere"/>'), "Europe/Paris") == ("Europe/Paris", "ics.zone_guessed")


@pytest.mark.parametrize(
    "broken",
    [
        '<t:StartTimeZone Id="?"><t:Periods><t:Period Bias="soon" Id="a"/></t:Periods></t:StartTimeZone>',
        '<t:StartTimeZone Id="?"><t:Periods/></t:StartTimeZone>',
        '<t:StartTimeZone Id="?"><t:Periods><t:Period Bias="PT0S" Id="a"/></t:Periods><t:TransitionsGroups>'
        '<t:TransitionsGroup Id="0"><t:Transition><t:To Kind="Period">b</t:To></t:Transition></t:TransitionsGroup>'
        "</t:TransitionsGroups></t:StartTimeZone>",
    ],
)
def test_a_broken_definition_is_no_definition(broken: str) -> None:
    assert read_zone(element(broken), "Europe/Paris")[0] == "Europe/Paris"


def test_a_definition_may_change_its_rules_with_the_years() -> None:
    """Like Russia: summer time until 2010, then another offset for good."""
    rules = "".join(
        f'<t:RecurringDayTransition><t:To Kind="Period">{to}</t:To><t:TimeOffset>{at}</t:TimeOffset><t:Month>{month}</t:Month>'
        "<t:DayOfWeek>Sunday</t:DayOfWeek><t:Occurrence>-1</t:Occurrence></t:RecurringDayTransition>"
        for to, at, month in (("d", "PT2H", 3), ("s", "PT3H", 10))
    )
    definition = element(
        '<t:StartTimeZone Id="tzone://Microsoft/Custom"><t:Periods><t:Period Bias="-PT3H" Id="s"/>'
        '<t:Period Bias="-P0DT4H0M0.0S" Id="d"/>'
        f'</t:Periods><t:TransitionsGroups><t:TransitionsGroup Id="0">{rules}</t:TransitionsGroup><t:TransitionsGroup Id="1">'
        '<t:Transition><t:To Kind="Period">d</t:To></t:Transition></t:TransitionsGroup></t:TransitionsGroups><t:Transitions>'
        '<t:Transition><t:To Kind="Group">0</t:To></t:Transition><t:AbsoluteDateTransition><t:To Kind="Group">1</t:To>'
        "<t:DateTime>2011-01-01T00:00:00</t:DateTime></t:AbsoluteDateTransition></t:Transitions></t:StartTimeZone>"
    )
    found, _ = read_zone(definition, year=2009)
    assert found.startswith(CUSTOM)
    assert {offset.total_seconds() / 3600 for offset in clock(found, 2009) if offset} == {3, 4}
    assert {offset.total_seconds() / 3600 for offset in clock(found, 2015) if offset} == {4}


CUSTOM_RULES = write_rules(
    "Own",
    [
        Observance(
            datetime.fromisoformat("1990-10-07T01:00"),
            timedelta(hours=4, minutes=30),
            timedelta(hours=3, minutes=30),
            False,
            rule="FREQ=YEARLY;BYMONTH=10;BYDAY=1SU",
        ),
        Observance(
            datetime.fromisoformat("1990-04-14T01:00"),
            timedelta(hours=3, minutes=30),
            timedelta(hours=4, minutes=30),
            True,
            rule="FREQ=YEARLY;BYMONTH=4;BYDAY=2SA",
        ),
    ],
)


@pytest.mark.parametrize(
    "tzid", [CUSTOM_RULES, "Europe/Berlin", "Australia/Lord_Howe", "America/Santiago", "Antarctica/Troll", "Asia/Kathmandu"]
)
@pytest.mark.parametrize("year", [2024, 2026, 2031])
def test_a_zone_travels_as_a_definition_and_shows_the_same_clock(tzid: str, year: int) -> None:
    definition = element(write_zone("StartTimeZone", tzid, year, defined=True))
    definition.set("Name", "Customized Time Zone")  # so that the rules alone can tell
    found, warning = read_zone(definition, year=year)
    assert (clock(found, year), warning) == (clock(tzid, year), "")


@pytest.mark.parametrize(
    ("tzid", "begun"), [("America/Vancouver", 2025), ("America/Vancouver", 2026), ("Africa/Casablanca", 2026)]
)
def test_a_definition_follows_a_government_that_changes_the_rules(tzid: str, begun: int) -> None:
    definition = element(write_zone("StartTimeZone", tzid, begun, defined=True))
    definition.set("Name", "Customized Time Zone")
    found, _ = read_zone(definition, year=begun)
    for year in range(begun, begun + 4):
        assert clock(found, year) == clock(tzid, year)


@pytest.mark.parametrize("tzid", [CUSTOM_RULES, "Europe/Berlin", "America/Santiago", "Antarctica/Troll"])
def test_a_zone_travels_in_the_form_of_2007(tzid: str) -> None:
    found, _ = read_zone(element(write_meeting_zone(tzid, 2026)), year=2026)
    assert clock(found, 2026) == clock(tzid, 2026)


def test_a_zone_windows_has_a_name_for_travels_by_it() -> None:
    assert write_zone("EndTimeZone", "Europe/Vienna", 2026) == '<t:EndTimeZone Id="W. Europe Standard Time"/>'
    assert 'TimeZoneName="W. Europe Standard Time"' in write_meeting_zone("Europe/Berlin", 2026)


def test_an_item_names_its_zone_by_id_where_the_definition_was_not_asked_for() -> None:
    named = item(
        "<t:Start>2026-03-10T08:00:00Z</t:Start><t:End>2026-03-10T09:00:00Z</t:End>"
        "<t:StartTimeZoneId>W. Europe Standard Time</t:StartTimeZoneId>"
    )
    assert str(read_item(named).series.event.start) == str(read_item(MASTER).series.event.start)


def test_the_zone_of_working_hours_is_recognised() -> None:
    berlin = (
        "<t:TimeZone><t:Bias>-60</t:Bias><t:StandardTime><t:Bias>0</t:Bias><t:Time>03:00:00</t:Time><t:DayOrder>5</t:DayOrder>"
        "<t:Month>10</t:Month><t:DayOfWeek>Sunday</t:DayOfWeek></t:StandardTime><t:DaylightTime><t:Bias>-60</t:Bias>"
        "<t:Time>02:00:00</t:Time><t:DayOrder>5</t:DayOrder><t:Month>3</t:Month><t:DayOfWeek>Sunday</t:DayOfWeek>"
        "</t:DaylightTime></t:TimeZone>"
    )
    assert clock(read_bias(element(berlin)), 2026) == clock("Europe/Berlin", 2026)
    assert read_bias(element(berlin), "Europe/Rome") == "Europe/Rome"  # of the zones with these rules the one hoped for
    assert read_bias(element("<t:TimeZone><t:Bias>-330</t:Bias></t:TimeZone>"), "Asia/Kolkata") == "Asia/Kolkata"


# --- times --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "meant"),
    [("-PT60M", -3600), ("PT2H", 7200), ("P0DT2H0M0.0S", 7200), ("PT0S", 0), ("-PT1H30M", -5400), ("P1D", 86400)],
)
def test_durations(said: str, meant: int) -> None:
    assert read_duration(said) == timedelta(seconds=meant)
    assert read_duration(write_duration(timedelta(seconds=meant))) == timedelta(seconds=meant)


def test_what_is_no_duration_is_refused() -> None:
    with pytest.raises(ValueError, match="no duration"):
        read_duration("an hour")


def test_a_date_loses_the_offset_behind_it() -> None:
    assert read_date("2026-03-10+01:00") == read_date("2026-03-10Z") == read_date(" 2026-03-10") == date(2026, 3, 10)


def test_an_instant_without_offset_is_read_in_the_zone_asked_in() -> None:
    assert read_instant("2026-03-10T09:00:00", zone_of("Europe/Berlin")) == datetime(2026, 3, 10, 8, tzinfo=UTC)
