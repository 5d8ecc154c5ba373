"""Read every file of some folders, write it, read it again, and count: python -m tests.corpus.run FOLDER…

A file passes when it is read, or refused with line and reason, and what was read survives a write and a re-read.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from pathlib import Path

from gleichtakt.errors import Trouble, cause
from gleichtakt.model import ics

HERE = Path(__file__).parent
SUFFIXES = {".ics", ".vcs", ".ical", ".icalendar"}
MAX_SECONDS = 5.0


def files(folders: list[Path]) -> list[Path]:
    """Give the calendar files below some folders."""
    return sorted(path for folder in folders for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)


def verdict(data: bytes) -> tuple[str, ics.Reading | None]:
    """Say what became of a text: `read`, `refused: …`, or what is wrong with us."""
    try:
        reading = ics.read_calendar(data)
    except Trouble as trouble:
        return f"refused: {trouble.cause()}", None
    written = ics.write_calendar(reading.series)
    again = ics.read_calendar(written)
    if again.series != reading.series or again.broken:
        return "CHANGED by a write and re-read", reading
    if ics.write_calendar(again.series) != written:
        return "WRITTEN differently the second time", reading
    return "read", reading


def main(folders: list[Path]) -> int:
    """Print a line per remarkable file and the count at the end; fail where anything failed."""
    counts: Counter[str] = Counter()
    events = broken = 0
    for path in files(folders):
        started = time.perf_counter()
        said, reading = verdict(path.read_bytes())
        took = time.perf_counter() - started
        counts[said.partition(":")[0] if took < MAX_SECONDS else "SLOW"] += 1
        if said != "read":
            print(f"{path.name}: {said}")
        for one in reading.broken if reading else ():
            print(f"{path.name}: {cause(one.code, one.params)}")
        events += len(reading.series) if reading else 0
        broken += len(reading.broken) if reading else 0
    print(dict(counts), f"series read: {events}, refused one by one: {broken}")
    return 1 if set(counts) - {"read", "refused"} else 0


if __name__ == "__main__":
    sys.exit(main([Path(name) for name in sys.argv[1:]] or [HERE]))
