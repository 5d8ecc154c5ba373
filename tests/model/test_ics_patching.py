"""Patching: named fields change, everything else in the object stays byte for byte."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from tests.model.builders import at
from tests.model.ics_series import events, serieses
from tests.model.ics_text import BERLIN_RULES, calendar, event

from gleichtakt.errors import Permanent
from gleichtakt.model import ics
from gleichtakt.model.event import Attendee, Event, Override, Person, Reminder, Response, Series, ShowAs, Status
from gleichtakt.model.point import Day, shifted
from gleichtakt.model.recurrence import canonical_rule, occurrence_event

ALL = frozenset({field.name for field in fields(Event)} | {"recurrence"})

OBJECT = calendar(
    BERLIN_RULES,
    event("""X-EVOLUTION-CALDAV-HREF:/keep/me
DTSTART;TZID=Europe/Berlin:20260302T090000
DTEND;TZID=Europe/Berlin:20260302T100000
SUMMARY;LANGUAGE=de:Standup
DESCRIPTION;ALTREP="data:text/html,old":kurz
X-ALT-DESC;FMTTYPE=text/html:<p>kurz</p>
LOCATION:Raum 1
X-APPLE-STRUCTURED-LOCATION;VALUE=URI;X-TITLE="Raum 1":geo:52.5,13.4
ORGANIZER;CN=Chef;SENT-BY="mailto:office@example.org":mailto:boss@example.org
ATTENDEE;CN=Anna;RSVP=TRUE;X-NUM-GUESTS=2;PARTSTAT=NEEDS-ACTION:mailto:anna@example.org
ATTENDEE;CN=Bo;PARTSTAT=ACCEPTED:mailto:bo@example.org
RRULE:freq=weekly;byday=MO
EXDATE;TZID=Europe/Berlin:20260309T090000
EXDATE;TZID=Europe/Berlin:20260316T090000
attach;FMTTYPE=application/pdf:https://example.org/agenda.pdf
X-LONG:this line is much longer than seventy-five octets and nobody folded it, which is how it shall stay
BEGIN:VALARM
UID:alarm-1
ACTION:DISPLAY
DESCRIPTION:Ding
TRIGGER:-PT15M
X-WR-ALARMUID:alarm-1
END:VALARM
BEGIN:VALARM
ACTION:EMAIL
TRIGGER:-P1D
END:VALARM"""),
    event("""RECURRENCE-ID;TZID=Europe/Berlin:20260323T090000
DTSTART;TZID=Europe/Berlin:20260324T110000
DTEND;TZID=Europe/Berlin:20260324T120000
SUMMARY:verschoben
X-ONLY-HERE:yes"""),
)


def held(data: bytes = OBJECT) -> Series:
    (series,) = ics.read_calendar(data).series
    return series


def patched(new: Series, names: frozenset[str] = ALL, data: bytes = OBJECT, **options) -> bytes:
    return ics.patch(ics.parse(data), held(data), new, names, **options).write()


def changes(new: Series, names: frozenset[str] = ALL, data: bytes = OBJECT) -> tuple[list[str], list[str]]:
    """Give the lines that went and those that came."""
    before, after = data.decode().split("\r\n"), patched(new, names, data).decode().split("\r\n")
    return [line for line in before if line not in after], [line for line in after if line not in before]


def edited(**content: object) -> Series:
    return replace(held(), event=replace(held().event, **content))  # type: ignore[arg-type]


def test_nothing_changed_changes_no_byte():
    assert patched(held()) == OBJECT
    assert ics.parse(OBJECT).write() == OBJECT


@pytest.mark.parametrize(
    ("new", "went", "came"),
    [
        ({"title": "Runde"}, ["SUMMARY;LANGUAGE=de:Standup"], ["SUMMARY;LANGUAGE=de:Runde"]),
        ({"title": ""}, ["SUMMARY;LANGUAGE=de:Standup"], []),
        (
            {"location": "Raum 2"},
            ["LOCATION:Raum 1", 'X-APPLE-STRUCTURED-LOCATION;VALUE=URI;X-TITLE="Raum 1":geo:52.5,13.4'],
            ["LOCATION:Raum 2"],
        ),
        (
            {"description": "lang", "html": ""},
            ['DESCRIPTION;ALTREP="data:text/html,old":kurz', "X-ALT-DESC;FMTTYPE=text/html:<p>kurz</p>"],
            ["DESCRIPTION:lang"],
        ),
        ({"status": Status.TENTATIVE}, [], ["STATUS:TENTATIVE", "TRANSP:OPAQUE", "X-MICROSOFT-CDO-BUSYSTATUS:BUSY"]),
        ({"show_as": ShowAs.FREE}, [], ["TRANSP:TRANSPARENT", "X-MICROSOFT-CDO-BUSYSTATUS:FREE"]),
        ({"url": "https://example.org/"}, [], ["URL:https://example.org/"]),
        ({"categories": ("rot", "a,b")}, [], ["CATEGORIES:rot,a\\,b"]),
        (
            {"organizer": None},
            ['ORGANIZER;CN=Chef;SENT-BY="mailto:office@example.org":mailto:boss@example.org'],
            [],
        ),
        (
            {"end": at("2026-03-02T10:30")},
            ["DTEND;TZID=Europe/Berlin:20260302T100000"],
            ["DTEND;TZID=Europe/Berlin:20260302T103000"],
        ),
        ({"reminders": ()}, ["UID:alarm-1", "ACTION:DISPLAY", "DESCRIPTION:Ding", "TRIGGER:-PT15M", "X-WR-ALARMUID:alarm-1"], []),
        ({"reminders": (Reminder(15), Reminder(60))}, [], ["DESCRIPTION:Reminder", "TRIGGER:-PT1H"]),
    ],
)
def test_a_field_changes_its_own_lines_only(new, went, came):
    assert changes(edited(**new)) == (went, came)
    (again,) = ics.read_calendar(patched(edited(**new))).series
    assert again == edited(**new)


def test_what_is_not_among_the_fields_does_not_change():
    new = edited(title="Runde", location="Raum 2", reminders=())
    assert changes(new, frozenset({"title"})) == (["SUMMARY;LANGUAGE=de:Standup"], ["SUMMARY;LANGUAGE=de:Runde"])
    assert patched(new, frozenset({"recurrence"})) == OBJECT


def test_a_person_keeps_the_parameters_we_do_not_know():
    anna, bo = held().event.attendees
    new = edited(attendees=(replace(anna, response=Response.ACCEPTED), bo, Attendee("cy@example.org")))
    assert changes(new) == (
        ["ATTENDEE;CN=Anna;RSVP=TRUE;X-NUM-GUESTS=2;PARTSTAT=NEEDS-ACTION:mailto:anna@example.org"],
        [
            "ATTENDEE;CN=Anna;RSVP=TRUE;X-NUM-GUESTS=2;PARTSTAT=ACCEPTED:mailto:anna@exa",
            " mple.org",
            "ATTENDEE;PARTSTAT=NEEDS-ACTION;SCHEDULE-AGENT=CLIENT:mailto:cy@example.org",
        ],
    )
    assert changes(edited(attendees=(bo,)))[1] == []


def test_rules_and_dates_not_changed_stay_as_they_were_written():
    new = replace(held(), exdate=(at("2026-03-16T09:00"), at("2026-03-30T09:00")))
    assert changes(new) == (
        ["EXDATE;TZID=Europe/Berlin:20260309T090000"],
        ["EXDATE;TZID=Europe/Berlin:20260330T090000"],
    )
    ended = replace(held(), rrule=canonical_rule("FREQ=WEEKLY;BYDAY=MO;COUNT=8", held().event.start))
    assert changes(ended) == (["RRULE:freq=weekly;byday=MO"], ["RRULE:FREQ=WEEKLY;BYDAY=MO;COUNT=8"])


def test_an_override_changes_alone():
    (override,) = held().overrides
    new = replace(held(), overrides=(replace(override, event=replace(override.event, title="anders")),))
    assert changes(new) == (["SUMMARY:verschoben"], ["SUMMARY:anders"])


def test_an_override_goes_alone():
    data = patched(replace(held(), overrides=()))
    assert b"X-ONLY-HERE" not in data
    assert data.count(b"BEGIN:VEVENT") == 1


def test_an_added_override_brings_the_lines_of_its_master():
    slot = at("2026-03-30T09:00")
    plain = occurrence_event(held().event, slot)
    moved = replace(plain, start=at("2026-03-30T14:00"), end=at("2026-03-30T15:00"), title="später")
    new = replace(held(), overrides=(*held().overrides, Override(slot, moved)))
    data = patched(new)
    assert ics.read_calendar(data).series == (new,)
    added = data.split(b"BEGIN:VEVENT")[-1]
    for line in (b"attach;FMTTYPE=application/pdf", b"X-EVOLUTION-CALDAV-HREF", b"UID:alarm-1", b"SUMMARY;LANGUAGE=de:sp"):
        assert line in added
    assert b"RRULE" not in added
    assert patched(new, frozenset({"title", "start", "end"})) == OBJECT  # it is a change of the recurrence


def test_rec_05_overrides_follow_a_series_that_moves():
    old = held()
    by = timedelta(hours=1)

    def later(point):
        return shifted(point, by)

    (override,) = old.overrides
    new = replace(
        old,
        event=replace(old.event, start=later(old.event.start), end=later(old.event.end)),
        exdate=tuple(map(later, old.exdate)),
        overrides=(replace(override, recurrence_id=later(override.recurrence_id)),),
    )
    data = patched(new)
    assert ics.read_calendar(data).series == (new,)
    assert b"X-ONLY-HERE:yes" in data


def test_a_zone_the_file_lacks_is_defined_and_one_it_has_keeps_its_name():
    data = OBJECT.replace(b"Europe/Berlin", b"W. Europe Standard Time")
    moved = replace(held(data), event=replace(held(data).event, end=at("2026-03-02T10:30")))
    assert b"DTEND;TZID=W. Europe Standard Time:20260302T103000" in patched(moved, data=data)
    far = replace(held(data), event=replace(held(data).event, end=at("2026-03-02T05:30", "America/New_York")))
    text = patched(far, data=data)
    assert b"TZID:America/New_York" in text
    assert ics.read_calendar(text).series == (far,)


def test_a_duration_stays_while_it_is_true():
    data = calendar(event("DTSTART:20260302T090000Z\nDURATION:PT1H\nSUMMARY:a"))
    event_ = held(data).event
    later = replace(held(data), event=replace(event_, start=at("2026-03-02T12:00", "UTC"), end=at("2026-03-02T13:00", "UTC")))
    assert changes(later, data=data) == (["DTSTART:20260302T090000Z"], ["DTSTART:20260302T120000Z"])
    longer = replace(held(data), event=replace(event_, end=at("2026-03-02T11:00", "UTC")))
    assert changes(longer, data=data) == (["DURATION:PT1H"], ["DTEND:20260302T110000Z"])


def test_a_start_that_moves_alone_takes_the_end_along():
    new = edited(start=at("2026-03-02T10:00"), end=at("2026-03-02T11:00"))
    (again,) = ics.read_calendar(patched(new, frozenset({"start"}))).series
    assert (again.event.start, again.event.end) == (new.event.start, new.event.end)


@pytest.mark.parametrize(("start", "end"), [("2026-03-06", "2026-03-07"), ("2026-03-04", "2026-03-05")])
def test_an_end_that_a_moved_start_left_behind_follows_it(start, end):
    data = calendar(event("DTSTART;VALUE=DATE:20260302\nDTEND;VALUE=DATE:20260304\nSUMMARY:a"))
    new = replace(held(data), event=replace(held(data).event, start=at(start), end=at(end)))
    text = patched(new, data=data)
    assert f"DTEND;VALUE=DATE:{end.replace('-', '')}".encode() in text
    assert held(text) == new


def test_tz_06_only_a_change_of_the_times_makes_an_event_all_day():
    data = calendar(event("DTSTART:20260302T000000Z\nDTEND:20260303T000000Z\nX-MICROSOFT-CDO-ALLDAYEVENT:FALSE"))
    whole = replace(held(data), event=replace(held(data).event, start=at("2026-03-02"), end=at("2026-03-03")))
    text = patched(whole, data=data)
    assert b"DTSTART;VALUE=DATE:20260302" in text
    assert isinstance(held(text).event.start, Day)
    assert b"ALLDAY" not in text


def test_bad_04_a_broken_rule_is_not_written_back_for_another_change():
    data = calendar(event("RRULE:FREQ=WEEKLY;COUNT=3;UNTIL=20270101T000000Z;BYDAY=\nSUMMARY:a"))
    new = replace(held(data), event=replace(held(data).event, title="b"))
    assert b"RRULE:FREQ=WEEKLY;COUNT=3;UNTIL=20270101T000000Z;BYDAY=\r\n" in patched(new, data=data)


def test_bad_03_an_end_before_the_start_stays_where_only_the_title_changes():
    data = calendar(event("DTSTART:20260302T090000Z\nDTEND:20260302T080000Z\nSUMMARY:a"))
    new = replace(held(data), event=replace(held(data).event, title="b"))
    assert changes(new, data=data) == (["SUMMARY:a"], ["SUMMARY:b"])


def test_the_stamp_moves_only_with_a_change():
    stamp = datetime(2026, 3, 1, 12, tzinfo=UTC)
    assert patched(held(), stamp=stamp) == OBJECT
    assert b"DTSTAMP:20260301T120000Z" in patched(edited(title="b"), stamp=stamp)


def test_an_object_without_the_series_is_refused():
    with pytest.raises(Permanent) as refused:
        ics.patch(ics.parse(calendar()), held(), edited(title="b"), ALL)
    assert refused.value.code == "ics.series_missing"


def test_an_object_without_uid_gets_the_one_it_is_known_by():
    data = calendar(event("SUMMARY:a").replace("UID:e@example.org\n", ""))
    new = replace(held(data), event=replace(held(data).event, title="b"))
    assert held(patched(new, data=data)) == new


@settings(max_examples=100)
@given(serieses(), serieses())
def test_a_patch_reaches_any_series_from_any_other(base, new):
    tree = ics.parse(ics.write_calendar([base], extra={base.uid: [("X-KEEP", "1")]}))
    before = tree.write()
    patch = ics.patch(tree, base, new, ALL)
    assert tree.write() == before
    (reached,) = ics.read_calendar(patch.write()).series
    assert _as_stored(reached) == _as_stored(new)
    assert patch.write().count(b"X-KEEP:1") == 1 + len(new.overrides)
    assert ics.patch(patch, new, new, ALL).write() == patch.write()


def _as_stored(series: Series) -> Series:
    return replace(series, warnings=())


@settings(max_examples=40)
@given(serieses(), events())
def test_the_fields_named_are_those_that_change(base, other):
    names = frozenset({"title", "description", "html", "attendees", "show_as"})
    new = replace(base, event=other)
    (reached,) = ics.series_of(ics.patch(ics.parse(ics.write_calendar([base])), base, new, names))
    for field in fields(Event):
        expected = getattr(new.event if field.name in names else base.event, field.name)
        assert getattr(reached.event, field.name) == expected, field.name
    assert reached.overrides == base.overrides


def test_people_are_added_silently_or_not_as_asked():
    new = edited(organizer=Person("new@example.org"))
    assert b"ORGANIZER;SCHEDULE-AGENT=CLIENT:mailto:new@example.org" in patched(new)
    assert b"ORGANIZER:mailto:new@example.org" in patched(new, silent=False)
