"""Parse and write the same calendars with ours, icalendar and ical, side by side, and compare what they read.

Run: ``python -m benchmarks.ics [--peer .local/peers/bin/python] [--runs 3] [--events 10000] [--series 1000]``.
The peer python has icalendar and ical installed and is asked to run this very module with ``--as-peer``, our own with
``--as-us``. Each round runs all three after each other; the figures are CPU seconds, so that a busy machine does not
decide. Ours goes all the way to checked `Series` values (zones resolved, overrides joined); the others stop at their
own components.
Expansion is measured by benchmarks/recurrence.py on the same series file.
"""

from __future__ import annotations

import argparse
import gc
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from benchmarks.bench import ROOT, Figure, report

FIRST = datetime(2026, 1, 1, 8)  # noqa: DTZ001 - a wall clock
ZONE = (
    "BEGIN:VTIMEZONE\nTZID:Europe/Berlin\n"
    "BEGIN:DAYLIGHT\nTZOFFSETFROM:+0100\nTZOFFSETTO:+0200\nTZNAME:CEST\nDTSTART:19700329T020000\n"
    "RRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU\nEND:DAYLIGHT\n"
    "BEGIN:STANDARD\nTZOFFSETFROM:+0200\nTZOFFSETTO:+0100\nTZNAME:CET\nDTSTART:19701025T030000\n"
    "RRULE:FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU\nEND:STANDARD\nEND:VTIMEZONE\n"
)
RULES = (
    "FREQ=WEEKLY;BYDAY=MO,TH",
    "FREQ=DAILY",
    "FREQ=WEEKLY;INTERVAL=2;BYDAY=TU",
    "FREQ=MONTHLY;BYDAY=2WE",
    "FREQ=DAILY;COUNT=60",
)

TIMES = 3  # that each side does the same before the best counts

Row = tuple[str, float, float, str]  # uid, start, end, title
Measured = dict[str, dict[str, Any]]


def event(uid: str, start: datetime, extra: str = "") -> str:
    """Write one meeting with four people, as a busy firm has them: about 700 bytes."""
    people = "".join(
        f"ATTENDEE;CN=Mitarbeiter {n};PARTSTAT=ACCEPTED;ROLE=REQ-PARTICIPANT:mailto:user{n}@example.org\n" for n in range(4)
    )
    end = start + timedelta(minutes=45)
    return (
        f"BEGIN:VEVENT\nUID:{uid}\nDTSTAMP:20260101T000000Z\nDTSTART;TZID=Europe/Berlin:{start:%Y%m%dT%H%M%S}\n"
        f"DTEND;TZID=Europe/Berlin:{end:%Y%m%dT%H%M%S}\nSUMMARY:Besprechung {uid}\nLOCATION:Raum 1\n"
        "DESCRIPTION:Guten Tag\\, anbei die Tagesordnung.\\nGruß\nORGANIZER;CN=Chef:mailto:boss@example.org\n"
        f"{people}{extra}SEQUENCE:1\nSTATUS:CONFIRMED\nTRANSP:OPAQUE\nEND:VEVENT\n"
    )


def wrapped(parts: list[str]) -> str:
    """Wrap events as a calendar."""
    return f"BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:-//bench//EN\n{ZONE}{''.join(parts)}END:VCALENDAR\n".replace("\n", "\r\n")


def texts(events: int, series: int) -> dict[str, str]:
    """Give the calendars: many single events, and series with a deleted and a moved occurrence."""
    single = [event(f"s{n}@x", FIRST + timedelta(minutes=37 * n)) for n in range(events)]
    recurring: list[str] = []
    for n in range(series):
        start, rule = FIRST + timedelta(days=n % 28), RULES[n % len(RULES)]
        step = timedelta(days=28 if "2WE" in rule else 14)
        deleted, moved = start + step, start + 2 * step
        recurring.append(event(f"r{n}@x", start, f"RRULE:{rule}\nEXDATE;TZID=Europe/Berlin:{deleted:%Y%m%dT%H%M%S}\n"))
        slot = f"RECURRENCE-ID;TZID=Europe/Berlin:{moved:%Y%m%dT%H%M%S}\n"
        recurring.append(event(f"r{n}@x", moved + timedelta(hours=2), slot))
    return {f"{events} events": wrapped(single), f"{series} series": wrapped(recurring)}


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Give CPU seconds and the result: the best of a few times, because the first one fills caches and memory."""
    best, result = float("inf"), None
    for _ in range(TIMES):
        result = None
        gc.collect()
        started = time.process_time()
        result = work()
        best = min(best, time.process_time() - started)
    return best, result


# --- the three ---------------------------------------------------------------------------------------------------


def with_us(text: str) -> tuple[float, float, list[Row]]:
    """Parse and write with ours."""
    from gleichtakt.model import ics
    from gleichtakt.model.point import instant

    data = text.encode()
    parsing, reading = timed(lambda: ics.read_calendar(data))
    writing, _ = timed(lambda: ics.write_calendar(reading.series))
    rows = [
        (one.uid, instant(event.start, UTC).timestamp(), instant(event.end, UTC).timestamp(), event.title)
        for one in reading.series
        for event in (one.event, *(override.event for override in one.overrides))
    ]
    return parsing, writing, rows


def with_icalendar(text: str) -> tuple[float, float, list[Row]]:
    """Parse and write with icalendar."""
    import icalendar

    parsing, calendar = timed(lambda: icalendar.Calendar.from_ical(text))
    writing, _ = timed(calendar.to_ical)
    rows = [
        (str(one["UID"]), one.decoded("DTSTART").timestamp(), one.decoded("DTEND").timestamp(), str(one["SUMMARY"]))
        for one in calendar.walk("VEVENT")
    ]
    return parsing, writing, rows


def with_ical(text: str) -> tuple[float, float, list[Row]]:
    """Parse and write with ical."""
    from ical.calendar_stream import IcsCalendarStream

    parsing, calendar = timed(lambda: IcsCalendarStream.calendar_from_ics(text))
    writing, _ = timed(lambda: IcsCalendarStream.calendar_to_ics(calendar))
    rows = [(one.uid, one.dtstart.timestamp(), one.end.timestamp(), one.summary) for one in calendar.events]
    return parsing, writing, rows


OURS = {"ours": with_us}
PEERS = {"icalendar": with_icalendar, "ical": with_ical}
GOALS = {"icalendar": 8.0, "ical": 4.0}


def one_side(peers: bool, events: int, series: int) -> None:
    """Print one round of one side as JSON."""
    runs = PEERS if peers else OURS
    answer = {name: {file: run(text) for file, text in texts(events, series).items()} for name, run in runs.items()}
    json.dump(answer, sys.stdout)


def one_round(peer: Path, events: int, series: int) -> Measured:
    """Run the three after each other, each side in a fresh process: neither pays for what the other left in memory."""
    found: Measured = {}
    for python, side in ((sys.executable, "--as-us"), (str(peer), "--as-peer")):
        command = [python, "-m", "benchmarks.ics", side, "--events", str(events), "--series", str(series)]
        found |= json.loads(subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout)
    return found


def main() -> int:
    """Print medians and ratios; 1 where a goal is missed or the results differ."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer", type=Path, default=Path(".local/peers/bin/python"))
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--events", type=int, default=10_000)
    parser.add_argument("--series", type=int, default=1_000)
    parser.add_argument("--as-us", action="store_true")
    parser.add_argument("--as-peer", action="store_true")
    chosen = parser.parse_args()
    if chosen.as_us or chosen.as_peer:
        one_side(chosen.as_peer, chosen.events, chosen.series)
        return 0
    rounds = [one_round(chosen.peer, chosen.events, chosen.series) for _ in range(chosen.runs)]
    figures, same = [], True
    for file in rounds[0]["ours"]:
        rows = {name: sorted(map(tuple, rounds[0][name][file][2])) for name in ("ours", *PEERS)}
        equal = rows["ours"] == rows["icalendar"] == rows["ical"]
        same = same and equal
        for place, verb in ((0, "parse"), (1, "write")):
            seconds = {name: statistics.median(found[name][file][place] for found in rounds) for name in rows}
            for name, goal in GOALS.items():
                made = f"{seconds[name]:.3f} s / {seconds['ours']:.3f} s, results {'identical' if equal else 'DIFFERENT'}"
                ratio = seconds[name] / seconds["ours"]
                figures.append(Figure(f"{verb} {file}: {name} / ours", ratio, goal, "x", least=True, more=made))
    return report("ics", figures) or (0 if same else 1)


if __name__ == "__main__":
    sys.exit(main())
