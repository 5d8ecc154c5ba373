"""Short ways to write calendar text in tests."""

from __future__ import annotations

from gleichtakt.model import ics
from gleichtakt.model.event import Series

BERLIN_RULES = """BEGIN:VTIMEZONE
TZID:Europe/Berlin
BEGIN:STANDARD
DTSTART:19701025T030000
RRULE:FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU
TZOFFSETFROM:+0200
TZOFFSETTO:+0100
END:STANDARD
BEGIN:DAYLIGHT
DTSTART:19700329T020000
RRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU
TZOFFSETFROM:+0100
TZOFFSETTO:+0200
END:DAYLIGHT
END:VTIMEZONE
"""


def event(lines: str, uid: str = "e@example.org") -> str:
    """Wrap lines as an event; without a start of their own it begins on 2 March 2026 at nine in Berlin."""
    start = "" if "DTSTART" in lines else "DTSTART;TZID=Europe/Berlin:20260302T090000\n"
    return f"BEGIN:VEVENT\nUID:{uid}\nDTSTAMP:20260201T080000Z\n{start}{lines.strip()}\nEND:VEVENT\n"


def calendar(*parts: str, head: str = "VERSION:2.0\nPRODID:-//test//EN\n") -> bytes:
    """Wrap parts as a calendar."""
    return f"BEGIN:VCALENDAR\n{head}{''.join(parts)}END:VCALENDAR\n".replace("\n", "\r\n").encode()


def read(*parts: str, head: str = "", default_zone: str = "") -> Series:
    """Read the one series of a calendar of these parts."""
    reading = ics.read_calendar(calendar(*parts, head=f"VERSION:2.0\n{head}"), default_zone=default_zone)
    assert not reading.broken, reading.broken
    (series,) = reading.series
    return series
