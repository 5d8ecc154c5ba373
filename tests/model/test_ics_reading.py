"""Reading VEVENTs: what each property means, and what a doubtful one is taken for."""

from __future__ import annotations

import pytest
from tests.model.builders import at, shown
from tests.model.ics_text import BERLIN_RULES, calendar, event, read

from gleichtakt.errors import Permanent
from gleichtakt.model import ics
from gleichtakt.model.event import Attendee, Person, Reminder, Response, Sensitivity, ShowAs, Status
from gleichtakt.model.zones import zone_of

NINE, TEN = at("2026-03-02T09:00"), at("2026-03-02T10:00")


def starts(series, first="2026-01-01", last="2027-01-01", reader="UTC"):
    """Give the starts of a series, in UTC, as text."""
    return [f"{occurrence.start:%m-%d %H:%M}" for occurrence in shown(series, first, last, reader)]


# --- content -----------------------------------------------------------------------------------------------------


def test_an_event_is_read_with_all_its_fields():
    one = read(
        event("""DTSTART;TZID=Europe/Berlin:20260302T090000
DTEND;TZID=Europe/Berlin:20260302T100000
SUMMARY:Beratung\\, kurz\\; knapp
DESCRIPTION:Zeile eins\\nZeile zwei \\\\ Ende
X-ALT-DESC;FMTTYPE=text/html:<p>Zeile eins</p>
LOCATION:Raum 1
STATUS:CONFIRMED
X-MICROSOFT-CDO-BUSYSTATUS:OOF
CLASS:PRIVATE
ORGANIZER;CN="Chef, Der":mailto:boss@example.org
ATTENDEE;CN=Anna;PARTSTAT=ACCEPTED:mailto:anna@example.org
ATTENDEE;ROLE=OPT-PARTICIPANT;PARTSTAT=DECLINED;CN=^'Bo^':MAILTO:bo@example.org
ATTENDEE;CUTYPE=ROOM;PARTSTAT=TENTATIVE:mailto:raum@example.org
ATTENDEE;ROLE=CHAIR;EMAIL=c@example.org:urn:uuid:1
CATEGORIES:rot,blau
CATEGORIES:rot,grün\\, hell
CONFERENCE;VALUE=URI:tel:+49301
CONFERENCE;VALUE=URI:https://meet.example.org/1
URL:https://example.org/e
BEGIN:VALARM
ACTION:DISPLAY
TRIGGER:-PT15M
END:VALARM
BEGIN:VALARM
ACTION:AUDIO
TRIGGER;RELATED=END:-PT1H30M
END:VALARM
BEGIN:VALARM
ACTION:EMAIL
TRIGGER:-P1D
END:VALARM
BEGIN:VALARM
ACTION:DISPLAY
TRIGGER;VALUE=DATE-TIME:20260302T070000Z
END:VALARM""")
    ).event
    assert (one.start, one.end) == (NINE, TEN)
    assert one.title == "Beratung, kurz; knapp"
    assert one.description == "Zeile eins\nZeile zwei \\ Ende"
    assert one.html == "<p>Zeile eins</p>"
    assert (one.location, one.status, one.show_as) == ("Raum 1", Status.CONFIRMED, ShowAs.OOF)
    assert one.sensitivity is Sensitivity.PRIVATE
    assert one.organizer == Person("boss@example.org", "Chef, Der")
    assert one.attendees == (
        Attendee("anna@example.org", "Anna", Response.ACCEPTED),
        Attendee("bo@example.org", '"Bo"', Response.DECLINED, "optional"),
        Attendee("raum@example.org", "", Response.TENTATIVE, "resource"),
        Attendee("c@example.org", "", Response.NONE, "chair"),
    )
    assert one.categories == ("rot", "blau", "grün, hell")
    assert one.conference_url == "https://meet.example.org/1"
    assert one.url == "https://example.org/e"
    assert one.reminders == (Reminder(15), Reminder(30), Reminder(60))


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("", ShowAs.BUSY),
        ("TRANSP:OPAQUE", ShowAs.BUSY),
        ("TRANSP:TRANSPARENT", ShowAs.FREE),
        ("STATUS:TENTATIVE", ShowAs.TENTATIVE),
        ("STATUS:TENTATIVE\nX-MICROSOFT-CDO-BUSYSTATUS:BUSY", ShowAs.BUSY),
        ("X-MICROSOFT-CDO-BUSYSTATUS:FREE", ShowAs.FREE),
        ("X-MICROSOFT-CDO-BUSYSTATUS:TENTATIVE\nTRANSP:OPAQUE", ShowAs.TENTATIVE),
        ("X-MICROSOFT-CDO-BUSYSTATUS:WORKINGELSEWHERE\nTRANSP:TRANSPARENT", ShowAs.WORKING_ELSEWHERE),
        ("X-MICROSOFT-CDO-BUSYSTATUS:WORKINGELSEWHERE\nTRANSP:OPAQUE", ShowAs.WORKING_ELSEWHERE),
        # someone without the finer words changed TRANSP: that is the newer of the two
        ("X-MICROSOFT-CDO-BUSYSTATUS:BUSY\nTRANSP:TRANSPARENT", ShowAs.FREE),
        ("X-MICROSOFT-CDO-BUSYSTATUS:FREE\nTRANSP:OPAQUE", ShowAs.BUSY),
        ("X-MICROSOFT-CDO-BUSYSTATUS:SOMETHING", ShowAs.BUSY),
    ],
)
def test_show_as_is_the_finer_word_unless_transp_contradicts_it(lines, expected):
    assert read(event(lines)).event.show_as is expected


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("PUBLIC", Sensitivity.NORMAL),
        ("private", Sensitivity.PRIVATE),
        ("CONFIDENTIAL", Sensitivity.CONFIDENTIAL),
        ("X-SECRET", Sensitivity.PRIVATE),  # RFC 5545 §3.8.1.3: an unknown class is to be treated as private
        ("", Sensitivity.NORMAL),
    ],
)
def test_an_unknown_class_is_private(written, expected):
    assert read(event(f"CLASS:{written}")).event.sensitivity is expected


def test_a_cancelling_message_cancels_its_events():
    assert read(event("SUMMARY:x"), head="METHOD:CANCEL\n").event.status is Status.CANCELLED


def test_bad_01_what_xml_cannot_hold_is_left_out():
    one = read(event("SUMMARY:a\x00b\x01c\x1ad\x7fe\x0bf\tg￾￿h")).event
    assert one.title == "abcdef\tgh"


# --- times: BAD-03, TZ-02, TZ-06 ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "start", "end", "warning"),
    [
        ("DTSTART:20260302T090000Z\nDTEND:20260302T100000Z", "2026-03-02T09:00", "2026-03-02T10:00", None),
        ("DTSTART:20260302T090000Z", "2026-03-02T09:00", "2026-03-02T09:00", None),
        ("DTSTART:20260302T090000Z\nDTEND:20260302T090000Z", "2026-03-02T09:00", "2026-03-02T09:00", None),
        ("DTSTART:20260302T090000Z\nDTEND:20260302T080000Z", "2026-03-02T09:00", "2026-03-02T09:00", "ics.end_before_start"),
        ("DTSTART:20260302T090000Z\nDURATION:PT90M", "2026-03-02T09:00", "2026-03-02T10:30", None),
        ("DTSTART:20260302T090000Z\nDURATION:-PT90M", "2026-03-02T09:00", "2026-03-02T09:00", "ics.end_before_start"),
        ("DTSTART:20260302T090000Z\nDTEND:20260302T100000Z\nDURATION:PT0S", "2026-03-02T09:00", "2026-03-02T10:00", None),
        ("DTSTART:20260302T090000Z\nDTEND:nonsense", "2026-03-02T09:00", "2026-03-02T09:00", "ics.end_ignored"),
        ("DTSTART:20260302T090000Z\nDURATION:P", "2026-03-02T09:00", "2026-03-02T09:00", "ics.end_ignored"),
        ("DTSTART:20260302T230000Z\nDTEND:20260302T240000Z", "2026-03-02T23:00", "2026-03-03T00:00", None),
        ("DTSTART:20260302T235960Z", "2026-03-02T23:59:59", "2026-03-02T23:59:59", None),
        ("DTSTART:2026-03-02T09:00:00Z\nDTEND:20260302T1000Z", "2026-03-02T09:00", "2026-03-02T10:00", None),
        ("DTSTART:20260302T100000+0100", "2026-03-02T09:00", "2026-03-02T09:00", None),
        ("DTSTART:20260302T090000Z\nDTEND;VALUE=DATE:20260303", "2026-03-02T09:00", "2026-03-03T00:00", None),
    ],
)
def test_bad_03_a_timed_event_has_its_published_end(lines, start, end, warning):
    one = read(event(lines))
    assert (one.event.start, one.event.end) == (at(start, "UTC"), at(end, "UTC"))
    assert one.warnings == ((warning,) if warning else ())


@pytest.mark.parametrize(
    ("lines", "start", "end"),
    [
        ("DTSTART;VALUE=DATE:20260302", "2026-03-02", "2026-03-03"),
        ("DTSTART:20260302", "2026-03-02", "2026-03-03"),
        ("DTSTART;VALUE=DATE:20260302\nDTEND;VALUE=DATE:20260302", "2026-03-02", "2026-03-03"),
        ("DTSTART;VALUE=DATE:20260302\nDTEND;VALUE=DATE:20260301", "2026-03-02", "2026-03-03"),
        ("DTSTART;VALUE=DATE:20260302\nDTEND;VALUE=DATE:20260305", "2026-03-02", "2026-03-05"),
        ("DTSTART;VALUE=DATE:20260302\nDURATION:P2D", "2026-03-02", "2026-03-04"),
        ("DTSTART;VALUE=DATE:20260302\nDURATION:PT1H", "2026-03-02", "2026-03-03"),
        ("DTSTART;VALUE=DATE:20260302\nDTEND:20260303T000000", "2026-03-02", "2026-03-03"),
        ("DTSTART;VALUE=DATE:20260302\nDTEND:20260303T120000", "2026-03-02", "2026-03-04"),
        ("DTSTART;VALUE=DATE:20260302T000000\nDTEND;VALUE=DATE:20260303T000000", "2026-03-02", "2026-03-03"),
        ("DTSTART;VALUE=DATE:99991231", "9999-12-31", "9999-12-31"),
        ("DTSTART;VALUE=DATE:00010101", "0001-01-01", "0001-01-02"),
    ],
)
def test_bad_03_an_all_day_event_lasts_a_day_at_least(lines, start, end):
    one = read(event(lines)).event
    assert (one.start, one.end) == (at(start), at(end))


@pytest.mark.parametrize(
    ("lines", "is_all_day"),
    [
        ("DTSTART:20260302T000000Z\nDTEND:20260309T000000Z", False),
        ("DTSTART;TZID=America/Los_Angeles:20260302T170000\nDTEND;TZID=America/Los_Angeles:20260309T170000", False),
        ("DTSTART;TZID=Europe/Berlin:20260302T000000\nDTEND;TZID=Europe/Berlin:20260303T000000", False),
        ("DTSTART:20260302T000000\nDTEND:20260302T240000", False),
        (
            "X-MICROSOFT-CDO-ALLDAYEVENT:TRUE\nDTSTART;TZID=Europe/Berlin:20260302T000000\n"
            "DTEND;TZID=Europe/Berlin:20260303T000000",
            True,
        ),
        ("X-MICROSOFT-CDO-ALLDAYEVENT:TRUE\nDTSTART:20260302T090000\nDTEND:20260302T100000", False),
        ("X-MICROSOFT-CDO-ALLDAYEVENT:FALSE\nDTSTART:20260302T000000\nDTEND:20260303T000000", False),
        ("DTSTART;VALUE=DATE:20260302", True),
    ],
)
def test_tz_06_midnight_is_not_all_day_unless_it_is_said(lines, is_all_day):
    one = read(event(lines))
    assert one.event.is_all_day is is_all_day
    assert ics.read_calendar(ics.write_calendar([one])).series == (one,)


def test_a_day_is_a_day_across_the_clock_change_and_hours_are_hours():
    nominal = read(event("DTSTART;TZID=Europe/Berlin:20260328T120000\nDURATION:P1D")).event
    exact = read(event("DTSTART;TZID=Europe/Berlin:20260328T120000\nDURATION:PT24H")).event
    assert nominal.end == at("2026-03-29T12:00")
    assert exact.end == at("2026-03-29T13:00")


def test_start_and_end_may_be_in_two_zones():
    one = read(event("DTSTART;TZID=Europe/Berlin:20260302T090000\nDTEND;TZID=America/New_York:20260302T080000"))
    assert one.event.end == at("2026-03-02T08:00", "America/New_York")
    assert one.warnings == ()


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        ("SUMMARY:x\nDTSTART:", "ics.bad_start"),
        ("DTSTART:20171032T000000", "ics.bad_start"),
        ("DTSTART:00000101T000000Z", "ics.bad_start"),
        ("DTSTART:99991231T235959-0500", "ics.bad_start"),
        ("RECURRENCE-ID:hello", "ics.bad_recurrence_id"),
        ("RRULE:RSCALE=HEBREW;FREQ=YEARLY;BYMONTH=5L", "ics.other_calendar"),
    ],
)
def test_an_event_that_cannot_be_understood_is_named_with_its_line(lines, code):
    reading = ics.read_calendar(calendar(event(lines)))
    assert reading.series == ()
    (broken,) = reading.broken
    assert (broken.uid, broken.code) == ("e@example.org", code)
    assert broken.line > 3
    assert broken.params["line"] == str(broken.line)


@pytest.mark.parametrize(
    "value",
    ["16010101T000000Z", "16040229", "18991230T000000Z", "45010101", "99991231T235900Z", "00010101T000000Z", "00010101"],
)
def test_bad_05_dates_at_the_edge_of_the_world_are_read_and_written(value):
    one = read(event(f"DTSTART:{value}\nRRULE:FREQ=YEARLY"))
    assert ics.read_calendar(ics.write_calendar([one])).series == (one,)


def test_bad_05_a_birthday_without_a_year_shows_this_year():
    one = read(event("DTSTART;VALUE=DATE:16040229\nRRULE:FREQ=YEARLY"))
    assert starts(one, "2028-01-01", "2029-01-01") == ["02-29 00:00"]


# --- zones in the file -------------------------------------------------------------------------------------------


def custom(tzid: str, offset: str) -> str:
    return (
        f"BEGIN:VTIMEZONE\nTZID:{tzid}\nBEGIN:STANDARD\nDTSTART:16010101T000000\nTZOFFSETFROM:{offset}\n"
        f"TZOFFSETTO:{offset}\nEND:STANDARD\nEND:VTIMEZONE\n"
    )


def test_tz_05_one_files_zone_never_leaks_into_the_next_one():
    def start(*parts: str) -> str:
        one = read(*parts, event("DTSTART;TZID=Customized Time Zone:20260302T120000"), default_zone="Europe/Berlin")
        return starts(one)[0]

    assert start(custom("Customized Time Zone", "+0345")) == "03-02 08:15"
    assert start(custom("Customized Time Zone", "+0500")) == "03-02 07:00"
    assert start() == "03-02 11:00"


def test_a_zone_may_be_defined_after_its_use():
    one = read(event("DTSTART;TZID=Odd:20260302T120000"), custom("Odd", "+0345"))
    assert starts(one) == ["03-02 08:15"]


def test_tz_05_rules_of_a_known_name_are_ours_not_the_files():
    old = BERLIN_RULES.replace("+0200", "+0300")
    assert starts(read(old, event("DTSTART;TZID=Europe/Berlin:20260702T120000"))) == ["07-02 10:00"]


def test_tz_03_an_unknown_zone_takes_the_calendars_own_with_a_warning():
    one = read(event("DTSTART;TZID=Nowhere:20260302T120000"), head="X-WR-TIMEZONE:America/New_York\n")
    assert one.event.start == at("2026-03-02T12:00", "America/New_York")
    assert one.warnings == ("ics.zone_guessed",)


def test_tz_03_an_unknown_zone_without_any_default_floats_with_a_warning():
    one = read(event("DTSTART;TZID=Nowhere:20260302T120000"))
    assert one.event.start == at("2026-03-02T12:00", None)
    assert one.warnings == ("ics.zone_unknown",)


@pytest.mark.parametrize(
    "line",
    [
        "DTSTART;TZID=tzone://Microsoft/Custom:20260302T090000",
        'DTSTART;TZID="tzone://Microsoft/Custom":20260302T090000',
        'DTSTART;TZID="tzone://Microsoft/Custom:20260302T090000"',
    ],
)
def test_a_colon_in_a_zone_id_is_part_of_it_however_it_is_quoted(line):
    rules = BERLIN_RULES.replace("TZID:Europe/Berlin", "TZID:tzone://Microsoft/Custom")
    assert read(rules, event(line)).event.start == NINE


# --- recurrence --------------------------------------------------------------------------------------------------


def test_a_series_is_read_with_rule_dates_and_overrides():
    one = read(
        event("RRULE:FREQ=WEEKLY;COUNT=4\nEXDATE;TZID=Europe/Berlin:20260309T090000\nRDATE;TZID=Europe/Berlin:20260304T090000"),
        event(
            "RECURRENCE-ID;TZID=Europe/Berlin:20260316T090000\nDTSTART;TZID=Europe/Berlin:20260317T110000\n"
            "DTEND;TZID=Europe/Berlin:20260317T120000\nSUMMARY:verschoben"
        ),
    )
    assert one.rrule == "FREQ=WEEKLY;COUNT=4"
    assert one.exdate == (at("2026-03-09T09:00"),)
    assert one.rdate == (at("2026-03-04T09:00"),)
    assert [override.recurrence_id for override in one.overrides] == [at("2026-03-16T09:00")]
    assert starts(one) == ["03-02 08:00", "03-04 08:00", "03-17 10:00", "03-23 08:00"]


@pytest.mark.parametrize(
    "slot",
    [
        "RECURRENCE-ID;TZID=Pacific/Auckland:20260316T090000",
        "RECURRENCE-ID;TZID=Europe/Paris:20260315T210000",
        "RECURRENCE-ID:20260315T200000Z",
        "RECURRENCE-ID;VALUE=DATE:20260316",
        "RECURRENCE-ID:20260316T090000",
    ],
)
def test_rec_02_a_moved_occurrence_is_shown_once_however_its_slot_is_written(slot):
    one = read(
        event("DTSTART;TZID=Pacific/Auckland:20260302T090000\nRRULE:FREQ=WEEKLY;COUNT=4"),
        event(f"{slot}\nDTSTART;TZID=Pacific/Auckland:20260325T100000\nSUMMARY:beyond its neighbour"),
    )
    assert [override.recurrence_id for override in one.overrides] == [at("2026-03-16T09:00", "Pacific/Auckland")]
    assert starts(one) == ["03-01 20:00", "03-08 20:00", "03-22 20:00", "03-24 21:00"]
    assert one.warnings == ()
    assert b"RECURRENCE-ID;TZID=Pacific/Auckland:20260316T090000" in ics.write_calendar([one])


@pytest.mark.parametrize("zone", ["Pacific/Auckland", "Europe/Berlin", "America/Los_Angeles"])
@pytest.mark.parametrize("form", ["date", "utc midnight"])
def test_rec_03_exceptions_of_an_all_day_series_match_as_dates(zone, form):
    from datetime import UTC, datetime

    def slot(name: str, day: int) -> str:
        if form == "date":
            return f"{name};VALUE=DATE:202603{day:02}"
        midnight = datetime(2026, 3, day, tzinfo=zone_of(zone)).astimezone(UTC)
        return f"{name}:{midnight:%Y%m%dT%H%M%SZ}"

    one = read(
        event(f"DTSTART;VALUE=DATE:20260302\nRRULE:FREQ=DAILY;COUNT=5\n{slot('EXDATE', 3)}"),
        event(f"{slot('RECURRENCE-ID', 5)}\nDTSTART;VALUE=DATE:20260308"),
    )
    assert starts(one) == ["03-02 00:00", "03-04 00:00", "03-06 00:00", "03-08 00:00"]
    assert one.warnings == ()


def test_rec_03_an_unmatched_exception_is_kept_and_reported():
    one = read(
        event("RRULE:FREQ=WEEKLY;COUNT=2"),
        event("RECURRENCE-ID;TZID=Europe/Berlin:20260304T100000\nDTSTART;TZID=Europe/Berlin:20260304T110000"),
    )
    assert one.warnings == ("ics.override_unmatched",)
    assert starts(one) == ["03-02 08:00", "03-04 10:00", "03-09 08:00"]


def test_overrides_without_a_master_are_a_detached_series():
    one = read(event("RECURRENCE-ID:20260309T080000Z\nDTSTART:20260309T090000Z\nSUMMARY:nur dieser"))
    assert one.is_detached
    assert one.event.title == "nur dieser"
    assert starts(one) == ["03-09 09:00"]
    assert ics.read_calendar(ics.write_calendar([one])).series == (one,)


def test_of_two_components_for_one_slot_the_newer_counts():
    one = read(
        event("SUMMARY:alt\nSEQUENCE:1\nLAST-MODIFIED:20260301T000000Z"),
        event("SUMMARY:neu\nSEQUENCE:2\nLAST-MODIFIED:20250101T000000Z"),
        event("SUMMARY:älter\nSEQUENCE:1\nLAST-MODIFIED:20260302T000000Z"),
    )
    assert one.event.title == "neu"
    assert one.warnings == ("ics.duplicate_uid",)


def test_an_added_occurrence_with_a_length_of_its_own_keeps_it():
    one = read(
        event(
            "DTEND;TZID=Europe/Berlin:20260302T100000\nRDATE;VALUE=PERIOD:20260304T080000Z/PT2H,20260305T080000Z/20260305T090000Z"
        )
    )
    lengths = [(occurrence.end - occurrence.start).seconds // 3600 for occurrence in shown(one, "2026-01-01", "2027-01-01")]
    assert lengths == [1, 2, 1]
    assert len(one.overrides) == 1


def test_tz_01_a_series_keeps_its_hour_across_the_clock_change():
    for zone, expected in (
        ("Europe/Berlin", {"03-23 08:00", "03-30 07:00"}),
        ("America/New_York", {"03-02 14:00", "03-09 13:00"}),
        ("Australia/Melbourne", {"03-29 22:00", "04-05 23:00"}),
    ):
        one = read(event(f"DTSTART;TZID={zone}:20260105T090000\nRRULE:FREQ=WEEKLY"))
        assert expected <= set(starts(one, "2026-01-01", "2027-06-01"))
        (again,) = ics.read_calendar(ics.write_calendar([one])).series
        assert again.event.start == at("2026-01-05T09:00", zone)


# --- this and following ------------------------------------------------------------------------------------------


def both(*parts):
    return ics.read_calendar(calendar(*parts)).series


def test_rec_01_this_and_following_becomes_a_series_of_its_own():
    old, new = both(
        event("DTEND;TZID=Europe/Berlin:20260302T093000\nRRULE:FREQ=WEEKLY;COUNT=6\nSUMMARY:alt"),
        event(
            "RECURRENCE-ID;RANGE=THISANDFUTURE;TZID=Europe/Berlin:20260316T090000\n"
            "DTSTART;TZID=Europe/Berlin:20260316T103000\nDTEND;TZID=Europe/Berlin:20260316T113000\nSUMMARY:neu"
        ),
    )
    assert (old.uid, new.uid) == ("e@example.org", "e@example.org/20260316T090000")
    assert starts(old) == ["03-02 08:00", "03-09 08:00"]
    assert starts(new) == ["03-16 09:30", "03-23 09:30", "03-30 08:30", "04-06 08:30"]
    assert new.event.title == "neu"


def test_rec_01_a_series_without_end_stays_without_end():
    old, new = both(
        event("RRULE:FREQ=WEEKLY;BYDAY=MO,TH"),
        event("RECURRENCE-ID;RANGE=THISANDFUTURE;TZID=Europe/Berlin:20260316T090000\nDTSTART;TZID=Europe/Berlin:20260316T100000"),
    )
    assert starts(old) == ["03-02 08:00", "03-05 08:00", "03-09 08:00", "03-12 08:00"]
    assert starts(new, "2030-03-01", "2030-03-08") == ["03-04 09:00", "03-07 09:00"]


def test_rec_01_moved_to_another_weekday_the_dates_are_listed():
    old, new = both(
        event("RRULE:FREQ=WEEKLY;BYDAY=MO,TH;COUNT=6"),
        event("RECURRENCE-ID;RANGE=THISANDFUTURE;TZID=Europe/Berlin:20260309T090000\nDTSTART;TZID=Europe/Berlin:20260310T090000"),
    )
    assert starts(old) == ["03-02 08:00", "03-05 08:00"]
    assert starts(new) == ["03-10 08:00", "03-13 08:00", "03-17 08:00", "03-20 08:00"]


def test_rec_01_what_cannot_be_moved_exactly_is_refused():
    reading = ics.read_calendar(
        calendar(
            event("RRULE:FREQ=WEEKLY;BYDAY=MO,TH"),
            event(
                "RECURRENCE-ID;RANGE=THISANDFUTURE;TZID=Europe/Berlin:20260309T090000\nDTSTART;TZID=Europe/Berlin:20260310T090000"
            ),
        )
    )
    assert [broken.code for broken in reading.broken] == ["ics.this_and_future"]


# --- the file ----------------------------------------------------------------------------------------------------


def test_the_calendar_tells_its_name_and_how_often_to_ask():
    reading = ics.read_calendar(
        calendar(
            head="VERSION:2.0\nMETHOD:PUBLISH\nPRODID:-//x//EN\nX-WR-CALNAME:Büro\\, Nord\n"
            "X-WR-TIMEZONE:W. Europe Standard Time\n"
            "REFRESH-INTERVAL;VALUE=DURATION:P1W\n"
        )
    )
    assert (reading.name, reading.method, reading.product) == ("Büro, Nord", "PUBLISH", "-//x//EN")
    assert reading.zone == "Europe/Berlin"
    assert reading.refresh is not None
    assert reading.refresh.days == 7
    assert reading.complete


def test_an_event_without_uid_is_known_by_its_content():
    def uids(title: str) -> list[str]:
        text = calendar(event(f"SUMMARY:{title}").replace("UID:e@example.org\n", ""))
        return [series.uid for series in ics.read_calendar(text).series]

    assert uids("a") == uids("a") != uids("b")


def test_series_of_a_tree_refuses_what_it_cannot_read():
    with pytest.raises(Permanent) as refused:
        ics.series_of(ics.parse(calendar(event("SUMMARY:gut", "1"), event("DTSTART:never", "2"))))
    assert refused.value.code == "ics.bad_start"
    assert "line" in refused.value.cause("en")


def test_vcalendar_1_0_is_read():
    (one,) = ics.read_calendar(
        b"BEGIN:VCALENDAR\r\nVERSION:1.0\r\nTZ:+01:00\r\nBEGIN:VEVENT\r\nUID:old\r\nDTSTART:20260302T090000\r\n"
        b"DTEND:20260302T100000\r\nSUMMARY;CHARSET=ISO-8859-1;ENCODING=QUOTED-PRINTABLE:Bespre=\r\nchung mit M=FCller, kurz\r\n"
        b"RRULE:W1 MO WE #4\r\nEXDATE:20260304T090000;20260309T090000\r\nCATEGORIES:MEETING;WORK\r\nTRANSP:1\r\n"
        b"DALARM:20260302T075000Z;PT5M;2;Beep\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
    ).series
    assert one.event.title == "Besprechung mit Müller, kurz"
    assert one.rrule == "FREQ=WEEKLY;BYDAY=MO,WE;COUNT=4"
    assert one.event.categories == ("MEETING", "WORK")
    assert one.event.show_as is ShowAs.FREE
    assert one.event.reminders == (Reminder(10),)
    assert starts(one) == ["03-02 08:00", "03-11 08:00"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("D2 #5", "FREQ=DAILY;COUNT=5;INTERVAL=2"),
        ("D1 #0", "FREQ=DAILY"),
        ("W2 TU TH #0", "FREQ=WEEKLY;INTERVAL=2;BYDAY=TU,TH"),
        ("MP1 1+ SU #3", "FREQ=MONTHLY;COUNT=3;BYDAY=1SU"),
        ("MP1 2- FR #0", "FREQ=MONTHLY;BYDAY=-2FR"),
        ("MD1 LD #0", "FREQ=MONTHLY;BYMONTHDAY=-1"),
        ("MD1 2 15 #0", "FREQ=MONTHLY;BYMONTHDAY=2,15"),
        ("YM1 6 7 #4", "FREQ=YEARLY;COUNT=4;BYMONTH=6,7"),
        ("W1 MO", "FREQ=WEEKLY;COUNT=2;BYDAY=MO"),
    ],
)
def test_old_recurrence_rules_are_translated(old, new):
    from gleichtakt.model.recurrence import canonical_rule

    text = (
        f"BEGIN:VCALENDAR\nVERSION:1.0\nBEGIN:VEVENT\nUID:1\nDTSTART:20260302T090000Z\nRRULE:{old}\nEND:VEVENT\nEND:VCALENDAR\n"
    )
    (one,) = ics.read_calendar(text.encode()).series
    assert one.rrule == canonical_rule(new, at("2026-03-02T09:00", "UTC"))
