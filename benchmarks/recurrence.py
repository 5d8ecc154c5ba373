"""Expand the same series with ours, recurring-ical-events and ical, side by side, and compare the occurrences.

Run: ``python -m benchmarks.recurrence [--peer .local/peers/bin/python] [--runs 5] [--series 1000]``. The peer
python has recurring-ical-events installed (it pins an older dateutil, so it lives in an environment of its own) and is
asked to run this very module with ``--as-peer``. Each library parses first; the clock runs for expansion alone.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from benchmarks.bench import ROOT, Figure, report

BERLIN = "Europe/Berlin"
RULES = (
    "FREQ=WEEKLY;BYDAY=MO,TH",
    "FREQ=DAILY",
    "FREQ=WEEKLY;INTERVAL=2;BYDAY=TU",
    "FREQ=MONTHLY;BYDAY=2WE",
    "FREQ=MONTHLY;BYMONTHDAY=-1",
    "FREQ=YEARLY;BYMONTH=6;BYDAY=-1FR",
    "FREQ=WEEKLY;BYDAY=FR;UNTIL=20261001T000000Z",
    "FREQ=DAILY;INTERVAL=3;COUNT=200",
)
WINDOW = datetime(2026, 1, 1, tzinfo=ZoneInfo(BERLIN)), datetime(2027, 1, 1, tzinfo=ZoneInfo(BERLIN))
LENGTH = timedelta(minutes=45)

Found = list[tuple[str, float]]


def starts(count: int) -> list[tuple[str, datetime, str]]:
    """Give uid, first start (local) and rule of each series."""
    first = datetime(2025, 9, 1, 9)  # noqa: DTZ001 – a local reading
    return [(f"r{n}@bench", first + timedelta(days=n % 28, minutes=15 * (n % 20)), RULES[n % len(RULES)]) for n in range(count)]


def exceptions(rule: str, start: datetime) -> tuple[datetime, datetime] | None:
    """Give a deleted and a moved slot of a series in 2026, by python-dateutil."""
    from dateutil.rrule import rrulestr

    local = rule.replace("UNTIL=20261001T000000Z", "UNTIL=20261001T020000")
    found = rrulestr(local, dtstart=start).xafter(datetime(2026, 2, 1), count=2)  # noqa: DTZ001
    slots = tuple(found)
    return slots if len(slots) == 2 else None


def calendar_text(count: int) -> str:
    """Write all series as one iCalendar file."""
    zone = (
        "BEGIN:VTIMEZONE\nTZID:Europe/Berlin\n"
        "BEGIN:DAYLIGHT\nTZOFFSETFROM:+0100\nTZOFFSETTO:+0200\nTZNAME:CEST\nDTSTART:19700329T020000\n"
        "RRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU\nEND:DAYLIGHT\n"
        "BEGIN:STANDARD\nTZOFFSETFROM:+0200\nTZOFFSETTO:+0100\nTZNAME:CET\nDTSTART:19701025T030000\n"
        "RRULE:FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU\nEND:STANDARD\nEND:VTIMEZONE\n"
    )
    events = "".join(event_text(uid, start, rule) for uid, start, rule in starts(count))
    text = f"BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:-//bench//EN\n{zone}{events}END:VCALENDAR\n"
    return text.replace("\n", "\r\n")


def event_text(uid: str, start: datetime, rule: str) -> str:
    """Write one master, and its override where it has one."""
    gone = exceptions(rule, start)
    deleted = f"EXDATE;TZID={BERLIN}:{gone[0]:%Y%m%dT%H%M%S}\n" if gone else ""
    text = one_event(uid, start, f"RRULE:{rule}\n{deleted}")
    if gone:
        text += one_event(uid, gone[1] + timedelta(hours=2), f"RECURRENCE-ID;TZID={BERLIN}:{gone[1]:%Y%m%dT%H%M%S}\n")
    return text


def one_event(uid: str, start: datetime, extra: str) -> str:
    """Write one VEVENT."""
    return (
        f"BEGIN:VEVENT\nUID:{uid}\nDTSTAMP:20260101T000000Z\nDTSTART;TZID={BERLIN}:{start:%Y%m%dT%H%M%S}\n"
        f"DTEND;TZID={BERLIN}:{start + LENGTH:%Y%m%dT%H%M%S}\nSUMMARY:Besprechung {uid}\n{extra}END:VEVENT\n"
    )


def timed(work: object, runs: int) -> tuple[float, Found]:
    """Give the median seconds of a callable, and what it found."""
    seconds = []
    found: Found = []
    for _ in range(runs):
        begin = time.perf_counter()
        found = work()  # type: ignore[operator]
        seconds.append(time.perf_counter() - begin)
    return statistics.median(seconds), sorted(found)


def ours(count: int, runs: int) -> tuple[float, Found]:
    """Expand with gleichtakt."""
    from gleichtakt.model.event import Event, Override, Series
    from gleichtakt.model.point import Timespan, Zoned
    from gleichtakt.model.recurrence import canonical_rule, expand
    from gleichtakt.model.zones import zone_of

    def series(uid: str, start: datetime, rule: str) -> Series:
        def at(wall: datetime) -> Zoned:
            return Zoned(wall, BERLIN)

        event = Event(at(start), at(start + LENGTH), f"Besprechung {uid}")
        gone = exceptions(rule, start)
        moved = gone and Event(at(gone[1] + timedelta(hours=2)), at(gone[1] + timedelta(hours=2) + LENGTH), event.title)
        return Series(
            uid,
            event,
            canonical_rule(rule, event.start),
            exdate=(at(gone[0]),) if gone else (),
            overrides=(Override(at(gone[1]), moved),) if gone and moved else (),
        )

    calendar = [series(*one) for one in starts(count)]
    window, reader = Timespan(*(edge.astimezone(UTC) for edge in WINDOW)), zone_of(BERLIN)
    return timed(lambda: [(one.uid, found.start.timestamp()) for one in calendar for found in expand(one, window, reader)], runs)


def with_ical(text: str, runs: int) -> tuple[float, Found]:
    """Expand with the ical library."""
    from ical.calendar_stream import IcsCalendarStream

    calendar = IcsCalendarStream.calendar_from_ics(text)
    zone = ZoneInfo(BERLIN)
    return timed(
        lambda: [(str(e.uid), e.start_datetime.timestamp()) for e in calendar.timeline_tz(zone).overlapping(*WINDOW)], runs
    )


def with_recurring_ical_events(text: str, runs: int) -> tuple[float, Found]:
    """Expand with recurring-ical-events, in its own environment."""
    import icalendar
    import recurring_ical_events  # type: ignore[import-not-found]

    calendar = icalendar.Calendar.from_ical(text)
    return timed(
        lambda: [(str(e["UID"]), e.decoded("DTSTART").timestamp()) for e in recurring_ical_events.of(calendar).between(*WINDOW)],
        runs,
    )


def main() -> int:
    """Print ratios and whether all three agree; 1 where they do not or a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peer", default=".local/peers/bin/python")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--series", type=int, default=1000)
    parser.add_argument("--as-peer", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.as_peer:
        print(json.dumps(with_recurring_ical_events(sys.stdin.read(), chosen.runs)))
        return 0
    text = calendar_text(chosen.series)
    own, found = ours(chosen.series, chosen.runs)
    command = [chosen.peer, "-m", "benchmarks.recurrence", "--as-peer", "--runs", str(chosen.runs)]
    answer = json.loads(subprocess.run(command, input=text, capture_output=True, text=True, check=True, cwd=ROOT).stdout)
    rie, rie_found = answer[0], [tuple(one) for one in answer[1]]
    ical, ical_found = with_ical(text, chosen.runs)
    again, _ = ours(chosen.series, chosen.runs)  # before and after the others: the machine is shared
    own = max(own, again)
    same = f"{len(found)} occurrences, {'identical' if found == rie_found == ical_found else 'DIFFERENT'}"
    made = "expand: {} / ours"
    figures = [
        Figure(made.format("recurring-ical-events"), rie / own, 8, "x", least=True, more=f"{rie:.2f} s / {own:.3f} s, {same}"),
        Figure(made.format("ical"), ical / own, 4, "x", least=True, more=f"{ical:.2f} s / {own:.3f} s, {same}"),
    ]
    return report("recurrence", figures) or (0 if found == rie_found == ical_found else 1)


if __name__ == "__main__":
    sys.exit(main())
