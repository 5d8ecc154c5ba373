"""Time zones: one name each, rules from the wheel, and what other systems call them."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
import tzlocal.windows_tz
from hypothesis import given
from hypothesis import strategies as st

from gleichtakt.model.zone_rules import normal_rules
from gleichtakt.model.zones import (
    canonical_zone,
    iana_from_windows,
    known_zone,
    resolve_zone,
    tzdata_version,
    windows_from_iana,
    zone_names,
    zone_of,
)

WALL = datetime(1980, 1, 1)  # noqa: DTZ001 - a wall clock
HOUR = timedelta(hours=1)


def rules(tzid: str, winter: str = "+0100", summer: str = "+0200", extra: str = "") -> str:
    """Write a VTIMEZONE as Exchange does, with the European dates."""
    return (
        f"BEGIN:VTIMEZONE\nTZID:{tzid}\n{extra}"
        f"BEGIN:STANDARD\nDTSTART:16010101T030000\nTZOFFSETFROM:{summer}\nTZOFFSETTO:{winter}\n"
        "RRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=10\nEND:STANDARD\n"
        f"BEGIN:DAYLIGHT\nDTSTART:16010101T020000\nTZOFFSETFROM:{winter}\nTZOFFSETTO:{summer}\n"
        "RRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=3\nEND:DAYLIGHT\nEND:VTIMEZONE"
    )


def fixed(tzid: str, offset: str) -> str:
    """Write a VTIMEZONE without summer time."""
    return (
        f"BEGIN:VTIMEZONE\nTZID:{tzid}\nBEGIN:STANDARD\nDTSTART:16010101T000000\n"
        f"TZOFFSETFROM:{offset}\nTZOFFSETTO:{offset}\nEND:STANDARD\nEND:VTIMEZONE"
    )


@pytest.mark.parametrize(
    ("name", "canonical"),
    [
        ("Europe/Berlin", "Europe/Berlin"),
        ("europe/berlin", "Europe/Berlin"),
        ("Europe/Oslo", "Europe/Oslo"),  # a country keeps its own zone where the data merged the rules
        ("Asia/Calcutta", "Asia/Kolkata"),
        ("Europe/Kiev", "Europe/Kyiv"),
        ("America/Buenos_Aires", "America/Argentina/Buenos_Aires"),
        ("Asia/Rangoon", "Asia/Yangon"),
        ("US/Eastern", "America/New_York"),
        ("EST5EDT", "America/New_York"),
        ("Iceland", "Atlantic/Reykjavik"),
        ("Africa/Asmera", "Africa/Asmara"),
        ("Etc/UTC", "UTC"),
        ("Zulu", "UTC"),
        ("GMT", "UTC"),
        ("Etc/GMT+5", "Etc/GMT+5"),
    ],
)
def test_a_zone_has_one_modern_name(name, canonical):
    assert canonical_zone(name) == canonical


def test_canonical_names_have_the_rules_of_what_they_stand_for():
    moments = [datetime(year, month, 1, tzinfo=UTC) for year in (2015, 2026) for month in (1, 7)]
    for name in zone_names():
        assert known_zone(name)
        assert canonical_zone(name) == name
    for old, new in (("Africa/Asmera", "Africa/Asmara"), ("Pacific/Truk", "Pacific/Chuuk"), ("Iceland", "Atlantic/Reykjavik")):
        for moment in moments:
            assert moment.astimezone(ZoneInfo(old)).utcoffset() == moment.astimezone(zone_of(new)).utcoffset()


def test_tz_05_rules_come_from_the_wheel_and_say_which_release():
    assert tzdata_version() >= "2026"
    assert datetime(2027, 1, 10, tzinfo=UTC).astimezone(zone_of("America/Vancouver")).utcoffset() == -7 * HOUR


def test_tz_02_the_zone_of_the_machine_changes_nothing():
    program = (
        "from gleichtakt.model import ics; print(ics.read_calendar(b'BEGIN:VCALENDAR\\nBEGIN:VEVENT\\nUID:a\\n"
        "DTSTART;VALUE=DATE:20260329\\nEND:VEVENT\\nBEGIN:VEVENT\\nUID:b\\nDTSTART:20260329T023000Z\\nEND:VEVENT\\n"
        "END:VCALENDAR').series)"
    )
    answers = {
        subprocess.run(
            [sys.executable, "-c", program], env={**os.environ, "TZ": zone}, capture_output=True, check=True, text=True
        ).stdout
        for zone in ("UTC", "Pacific/Auckland", "Pacific/Honolulu")
    }
    assert len(answers) == 1
    assert "datetime.date(2026, 3, 29)" in answers.pop()


# --- Windows -----------------------------------------------------------------------------------------------------


def test_every_windows_id_is_known_as_tzlocal_knows_it():
    for name, zone in tzlocal.windows_tz.win_tz.items():
        assert iana_from_windows(name) == canonical_zone(zone), name


def test_every_zone_has_the_windows_id_that_tzlocal_gives():
    for zone, name in tzlocal.windows_tz.tz_win.items():
        if zone and zone != "Factory":
            assert windows_from_iana(zone) == name, zone


def test_a_territory_chooses_among_the_zones_of_a_windows_id():
    assert iana_from_windows("W. Europe Standard Time") == "Europe/Berlin"
    assert iana_from_windows("w. europe standard time", "AT") == "Europe/Vienna"
    assert iana_from_windows("No Such Standard Time") is None


def test_a_zone_without_a_windows_id_has_none():
    assert windows_from_iana("Antarctica/Troll") is None
    assert windows_from_iana("Nowhere/At_All") is None


# --- TZ-03 -------------------------------------------------------------------------------------------------------

BERLIN_RULES = rules("x")
ODD_RULES = rules("x", "+0245", "+0345")

SPELLINGS = [
    # what is written, its own rules, the zone, the warning
    ("Europe/Berlin", None, "Europe/Berlin", ""),
    ("EUROPE/BERLIN", None, "Europe/Berlin", ""),
    ('"Europe/Berlin"', None, "Europe/Berlin", ""),
    (" Europe/Berlin ", None, "Europe/Berlin", ""),
    ("Europe/Berlin", ODD_RULES, "Europe/Berlin", ""),  # rules of a known name are ours, not the file's
    ("America/New York", None, "America/New_York", ""),
    ("US/Pacific", None, "America/Los_Angeles", ""),
    ("Asia/Saigon", None, "Asia/Ho_Chi_Minh", ""),
    ("UTC", None, "UTC", ""),
    ("Z", None, "UTC", ""),
    ("GMT", None, "UTC", ""),
    ("Etc/GMT-2", None, "Etc/GMT-2", ""),
    ("/freeassociation.sourceforge.net/Tzfile/Europe/Vienna", None, "Europe/Vienna", ""),
    ("/mozilla.org/20050126_1/Europe/Berlin", None, "Europe/Berlin", ""),
    ("/softwarestudio.org/Olson_20011030_5/America/New_York", None, "America/New_York", ""),
    ("/citadel.org/20210210_1/America/Argentina/Buenos_Aires", None, "America/Argentina/Buenos_Aires", ""),
    ("/mozilla.org/20071231_1/UTC", None, "UTC", ""),
    ('sun.util.calendar.ZoneInfo[id="Europe/Zurich",offset=3600000]', None, "Europe/Zurich", ""),
    ("W. Europe Standard Time", None, "Europe/Berlin", ""),
    ("w. europe standard time", None, "Europe/Berlin", ""),
    ("W. Europe Standard Time", ODD_RULES, "Europe/Berlin", ""),
    ("Romance Standard Time", None, "Europe/Paris", ""),
    ("GMT Standard Time", None, "Europe/London", ""),
    ("Greenwich Standard Time", None, "Atlantic/Reykjavik", ""),
    ("Eastern Standard Time", None, "America/New_York", ""),
    ("India Standard Time", None, "Asia/Kolkata", ""),
    ("AUS Eastern Standard Time", None, "Australia/Sydney", ""),
    ("Alberta Standard Time", None, "America/Edmonton", ""),
    ("British Columbia Standard Time", None, "America/Vancouver", ""),
    ("Manitoba Standard Time", None, "America/Winnipeg", ""),
    ("UTC+12", None, "Etc/GMT-12", ""),  # a Windows id
    ("Customized Time Zone", BERLIN_RULES, "Europe/Berlin", ""),
    ("Customized Time Zone 1", fixed("x", "+0500"), "Etc/GMT-5", ""),
    ("Customized Time Zone", fixed("x", "+0530"), "Asia/Kolkata", ""),
    ("Customized Time Zone", fixed("x", "+0000"), "UTC", ""),
    ("tzone://Microsoft/Custom", rules("x", "-0500", "-0400"), "custom", ""),  # New York's hours at Europe's dates
    ("tzone://Microsoft/Custom", ODD_RULES, "custom", ""),
    ("tzone://Microsoft/Utc", fixed("x", "+0000"), "UTC", ""),
    ("Standard", rules("x", extra="X-LIC-LOCATION:Europe/Rome\n"), "Europe/Rome", ""),
    ("(UTC+01:00) Amsterdam, Berlin, Bern, Rome, Stockholm, Vienna", None, "Europe/Berlin", ""),
    ("(UTC+01:00) Amsterdam, Berlin, Bern, Rome, Stockholm, Vienna", BERLIN_RULES, "Europe/Berlin", ""),
    ("(GMT+01.00) Sarajevo/Warsaw/Zagreb", None, "Europe/Warsaw", ""),
    ("(GMT-05:00) Eastern Time (US & Canada)", None, "America/New_York", ""),
    ("(UTC-08:00) Pacific Time (US & Canada)", None, "America/Los_Angeles", ""),
    ("(UTC) Coordinated Universal Time", None, "UTC", ""),
    ("Amsterdam, Berlin, Bern, Rom, Stockholm, Wien", None, "Europe/Berlin", ""),
    ("Greenwich Mean Time:Dublin; Edinburgh; Lisbon; London", None, "Europe/London", ""),
    ("(UTC+09:00) Osaka, Sapporo, Tokyo", None, "Asia/Tokyo", ""),
    ("(UTC+05:30) Chennai, Kolkata, Mumbai, New Delhi", None, "Asia/Kolkata", ""),
    ("Mitteleuropäische Zeit", None, "Europe/Berlin", ""),
    ("Mitteleuropäische Normalzeit", None, "Europe/Berlin", ""),
    ("MEZ", None, "Europe/Berlin", ""),
    ("Central European Time", None, "Europe/Berlin", ""),
    ("Central European Standard Time", None, "Europe/Warsaw", ""),  # a Windows id
    ("PST", None, "America/Los_Angeles", ""),
    ("Eastern", None, "America/New_York", ""),
    ("Berlin", None, "Europe/Berlin", ""),
    ("Z=-1$DO=1$DL=3 -1 1 10 -1 1$ZX=45$ZN=W. Europe", None, "Europe/Berlin", ""),
    ("GMT+2", None, "Etc/GMT-2", ""),
    ("GMT-0300", None, "Etc/GMT+3", ""),
    ("UTC+02:00", None, "Etc/GMT-2", ""),
    ("+0200", None, "Etc/GMT-2", ""),
    ("UTC-03:30", None, "custom", ""),
    ("(UTC+02:00)", None, "Etc/GMT-2", ""),
    ("GMT +0100 (Standard) / GMT +0200 (Daylight)", None, "default", "ics.zone_guessed"),
    ("GMT +0100 (Standard) / GMT +0200 (Daylight)", BERLIN_RULES, "Europe/Berlin", ""),
    ("Customized Time Zone", None, "default", "ics.zone_guessed"),
    ("Nowhere/At_All", None, "default", "ics.zone_guessed"),
    ("X", "BEGIN:VTIMEZONE\nTZID:X\nEND:VTIMEZONE", "default", "ics.zone_guessed"),
    ("", None, "default", "ics.zone_guessed"),
]


@pytest.mark.parametrize(("written", "own", "zone", "warning"), SPELLINGS)
def test_tz_03_a_spelling_has_its_verdict(written, own, zone, warning):
    found, said = resolve_zone(written, own, "Asia/Dubai")
    assert said == warning
    if zone == "custom":
        assert found.startswith("BEGIN:VTIMEZONE")
        assert known_zone(found)
    else:
        assert found == {"default": "Asia/Dubai"}.get(zone, zone)


def test_tz_03_an_unknown_zone_without_a_default_floats_with_a_warning_and_is_never_utc():
    assert resolve_zone("Nowhere/At_All", None, "") == ("", "ics.zone_unknown")


def test_tz_03_there_are_sixty_spellings():
    assert len(SPELLINGS) >= 60


def test_rules_that_fit_several_zones_are_taken_for_the_calendars_own():
    assert resolve_zone("Customized Time Zone", BERLIN_RULES, "Europe/Vienna") == ("Europe/Vienna", "")


def test_rules_are_compared_for_the_years_of_the_event():
    american = (
        rules("x", "-0500", "-0400")
        .replace("BYDAY=-1SU;BYMONTH=10", "BYDAY=1SU;BYMONTH=11")
        .replace("BYDAY=-1SU;BYMONTH=3", "BYDAY=2SU;BYMONTH=3")
        .replace("16010101T030000", "16010101T020000")
    )
    assert resolve_zone("Custom", american, "", 2026) == ("America/New_York", "")
    assert resolve_zone("Custom", american, "", 2000)[0].startswith("BEGIN:VTIMEZONE")  # other dates then


# --- custom zones ------------------------------------------------------------------------------------------------


def test_a_custom_zone_with_berlins_rules_shows_berlins_clock():
    custom, berlin = zone_of(BERLIN_RULES), zone_of("Europe/Berlin")
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    while moment.year < 2028:
        here, there = moment.astimezone(custom), moment.astimezone(berlin)
        assert (here.replace(tzinfo=None), here.fold) == (there.replace(tzinfo=None), there.fold)
        for fold in (0, 1):
            wall = here.replace(tzinfo=None, fold=fold)
            assert wall.replace(tzinfo=custom).utcoffset() == wall.replace(tzinfo=berlin).utcoffset()
        moment += timedelta(minutes=30)


def test_a_custom_zone_with_until_and_dates_keeps_its_history():
    text = (
        "BEGIN:VTIMEZONE\nTZID:x\n"
        "BEGIN:STANDARD\nDTSTART:20001029T030000\nRDATE:20011028T030000\nTZOFFSETFROM:+0200\nTZOFFSETTO:+0100\nEND:STANDARD\n"
        "BEGIN:DAYLIGHT\nDTSTART:20000326T020000\nRRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=3;UNTIL=20010325T010000Z\n"
        "TZOFFSETFROM:+0100\nTZOFFSETTO:+0200\nEND:DAYLIGHT\nEND:VTIMEZONE"
    )
    zone = zone_of(text)
    offsets = [datetime(year, 7, 1, tzinfo=UTC).astimezone(zone).utcoffset() for year in (2000, 2001, 2002)]
    assert offsets == [2 * HOUR, 2 * HOUR, HOUR]


def test_equal_rules_are_equal_names_however_they_are_written():
    parts = BERLIN_RULES.split("BEGIN:DAYLIGHT")
    swapped = (
        parts[0].split("BEGIN:STANDARD")[0]
        + "BEGIN:DAYLIGHT"
        + parts[1].replace("END:VTIMEZONE", "BEGIN:STANDARD" + parts[0].split("BEGIN:STANDARD")[1] + "END:VTIMEZONE")
    )
    assert swapped != BERLIN_RULES
    assert normal_rules(swapped) == normal_rules(BERLIN_RULES.replace("\n", "\r\n")) == normal_rules(normal_rules(BERLIN_RULES))


@pytest.mark.parametrize(
    "text",
    [
        "BEGIN:VTIMEZONE",
        "BEGIN:VTIMEZONE\nTZID:x\nEND:VTIMEZONE",
        "BEGIN:VTIMEZONE\nTZID:x\nBEGIN:STANDARD\nEND:STANDARD\nEND:VTIMEZONE",
        fixed("x", "+99").replace("+99", "+9900"),
        fixed("x", "hello"),
        rules("x").replace("FREQ=YEARLY", "FREQ=SECONDLY"),
        "BEGIN:VTIMEZONE\n" + "X" * 100_000,
    ],
)
def test_a_text_without_rules_is_no_zone(text):
    if "SECONDLY" in text:  # too many changes of the clock are cut, not walked for ever
        assert known_zone(text) in (True, False)
    else:
        assert not known_zone(text)
        with pytest.raises(ValueError, match=r".+"):
            zone_of(text)


@given(st.sampled_from(zone_names()), st.datetimes(WALL, WALL.replace(year=2036)))
def test_any_wall_clock_meets_its_instant_and_comes_back(name, wall):
    zone = zone_of(name)
    moment = wall.replace(microsecond=0, tzinfo=zone).astimezone(UTC)
    again = moment.astimezone(zone).replace(tzinfo=zone).astimezone(UTC)
    assert again == moment


def test_transitions_are_in_order():
    steps = zone_of(BERLIN_RULES).steps
    assert all(a.at <= b.at for a, b in pairwise(steps))
