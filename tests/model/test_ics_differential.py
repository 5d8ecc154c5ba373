"""Three readers, one calendar: ours against `icalendar` and `ical`, over the corpus and over random series.

Differences are allowed where they are explained: those libraries drop or refuse what we read, and `icalendar` keeps the
first VTIMEZONE of an id for the whole process (hours of another file).
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import icalendar
import pytest
from hypothesis import given, settings
from ical.calendar_stream import IcsCalendarStream
from tests.corpus.run import HERE, files
from tests.model.ics_series import serieses

from gleichtakt.errors import Trouble
from gleichtakt.model import ics
from gleichtakt.model.event import Event, Series
from gleichtakt.model.point import Day, Floating, Point, instant

FILES = files([HERE])
Moment = datetime | date

#: Where `icalendar` reads a file of the corpus differently, and why ours is meant.
EXPLAINED = {
    "ical-js--recur-instances.ics": "an added occurrence (RDATE period) has a length of its own; there it has none",
    "ical-net--bug2148092.ics": "Latin-1 is read, there its letters are lost",
    "ical4j--schedule-unstable.ics": "a start of eight digits is a date, whatever its parameters say",
    "synthetic--all-day-multi-no-dtend.ics": "an all-day event that ends on its first day lasts that day",
    "synthetic--date-time-with-value-date.ics": "VALUE=DATE counts, the hours behind it do not",
    "synthetic--fold-inside-multibyte.ics": "folds are undone before decoding",
    "synthetic--outlook-all-day-timed.ics": "midnight to midnight with Outlook's all-day flag is all-day",
}


def ours(point: Point) -> Moment:
    """Give a point as other libraries have it: a date, a naive reading, or an instant."""
    if isinstance(point, Day):
        return point.date
    return point.wall if isinstance(point, Floating) else instant(point, UTC)


def theirs(moment: Moment) -> Moment:
    """Give a moment of a library in the same form."""
    if not isinstance(moment, datetime):
        return moment
    return moment.astimezone(UTC) if moment.tzinfo else moment


def events_of(series: Series) -> list[Event]:
    events = [override.event for override in series.overrides]
    return events if series.is_detached else [series.event, *events]


def comparable(event: Event) -> tuple[Moment, Moment, str]:
    return ours(event.start), ours(event.end), event.title


def by_icalendar(data: bytes) -> dict[str, set[tuple[Moment, Moment, str]]]:
    found: dict[str, set[tuple[Moment, Moment, str]]] = {}
    for event in icalendar.Calendar.from_ical(data).walk("VEVENT"):
        start = event.start
        end = max(event.end, start) if type(event.end) is type(start) else event.end
        row = (theirs(start), theirs(end), str(event.get("SUMMARY", "")))
        found.setdefault(str(event["UID"]), set()).add(row)
    return found


def by_us(data: bytes) -> dict[str, set[tuple[Moment, Moment, str]]]:
    found: dict[str, set[tuple[Moment, Moment, str]]] = {}
    for series in ics.read_calendar(data).series:
        found.setdefault(series.uid, set()).update(comparable(event) for event in events_of(series))
    return found


@pytest.mark.filterwarnings("ignore::UserWarning")  # their guesses about zone ids
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_icalendar_reads_the_same_from_the_corpus(path):
    data = path.read_bytes()
    try:
        expected = by_icalendar(data)
        found = by_us(data)
    except (ValueError, KeyError, TypeError, AttributeError, icalendar.IncompleteComponent, Trouble):
        return  # one of us refuses the file
    differ = {uid: found[uid] - events for uid, events in expected.items() if uid in found and not found[uid] <= events}
    assert bool(differ) is (path.name in EXPLAINED), differ


@settings(max_examples=60)
@given(serieses())
def test_icalendar_reads_what_we_write(one):
    assert by_icalendar(ics.write_calendar([one])) == {one.uid: {comparable(event) for event in events_of(one)}}


@settings(max_examples=40)
@given(serieses())
def test_ical_reads_what_we_write(one):
    calendar = IcsCalendarStream.calendar_from_ics(ics.write_calendar([one]).decode())
    found = {(theirs(event.dtstart), theirs(event.end), event.summary or "") for event in calendar.events}
    assert {row[:2] for row in found} == {comparable(event)[:2] for event in events_of(one)}


@settings(max_examples=40)
@given(serieses())
def test_we_read_what_icalendar_writes(one):
    written = icalendar.Calendar.from_ical(ics.write_calendar([one])).to_ical()
    (again,) = ics.read_calendar(written).series
    assert [comparable(event) for event in events_of(again)] == [comparable(event) for event in events_of(one)]
    assert (again.rrule, again.exdate) == (one.rrule, one.exdate)


def test_the_zone_of_one_file_does_not_reach_the_next_as_it_does_there():
    def text(offset: str) -> bytes:
        return (
            "BEGIN:VCALENDAR\r\nBEGIN:VTIMEZONE\r\nTZID:Customized Leak\r\nBEGIN:STANDARD\r\nDTSTART:16010101T000000\r\n"
            f"TZOFFSETFROM:{offset}\r\nTZOFFSETTO:{offset}\r\nEND:STANDARD\r\nEND:VTIMEZONE\r\nBEGIN:VEVENT\r\nUID:1\r\n"
            "DTSTART;TZID=Customized Leak:20260302T120000\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
        ).encode()

    starts = [ours(ics.read_calendar(text(offset)).series[0].event.start) for offset in ("+0345", "+0500")]
    assert starts == [datetime(2026, 3, 2, 8, 15, tzinfo=UTC), datetime(2026, 3, 2, 7, tzinfo=UTC)]
    assert starts[0] - starts[1] == timedelta(hours=1, minutes=15)
