"""Series that show one thing each; all in one window, in forms every system can take unless its abilities say no."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

from gleichtakt.model.event import (
    Attendee,
    Event,
    Override,
    Person,
    Reminder,
    Response,
    Sensitivity,
    Series,
    ShowAs,
    Status,
)
from gleichtakt.model.point import Day, Floating, Point, Timespan, Zoned

WINDOW = Timespan(datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC))
BERLIN = "Europe/Berlin"


def at(day: int, hour: int, minute: int = 0, *, month: int = 3, tzid: str = BERLIN) -> Zoned:
    """Give a reading in 2026."""
    return Zoned(datetime(2026, month, day, hour, minute), tzid)  # noqa: DTZ001  # the zone stands beside it


def event(start: Point, end: Point, **fields: Any) -> Event:
    """Give an event."""
    return Event(start, end, **{"title": "Besprechung", **fields})


def meeting(number: int = 1, **fields: Any) -> Series:
    """Give a plain one-hour meeting; the number makes it another one."""
    start, end = at(2 + number % 20, 9), at(2 + number % 20, 10)
    return Series(f"meeting-{number}@contract.example", event(start, end, **{"title": f"Besprechung {number}", **fields}))


#: Three emails below one domain, in order, as a system that sorts would give them.
ATTENDEES = (
    Attendee("anna@contract.example", "Anna Arndt", Response.ACCEPTED),
    Attendee("bela@contract.example", "Béla Brandt", Response.NONE, "optional"),
)

RICH = Series(
    "rich@contract.example",
    event(
        at(10, 14),
        at(10, 15, 30),
        title="Quartalsplanung, Runde 2; mit \\ und „Anführung“",
        description="Erste Zeile\nzweite, mit Komma; Semikolon\n\nvierte",
        location="Raum Spree, 2. Stock",
        status=Status.TENTATIVE,
        show_as=ShowAs.TENTATIVE,
        sensitivity=Sensitivity.PRIVATE,
        categories=("Blau", "Planung"),
        reminders=(Reminder(15),),
    ),
)

INVITED = Series(
    "invited@contract.example",
    event(at(11, 9), at(11, 10), organizer=Person("anna@contract.example", "Anna Arndt"), attendees=ATTENDEES),
)

ALL_DAY = Series("all-day@contract.example", event(Day(date(2026, 5, 14)), Day(date(2026, 5, 15)), title="Himmelfahrt"))
HOLIDAY = Series("holiday@contract.example", event(Day(date(2026, 8, 3)), Day(date(2026, 8, 22)), title="Urlaub"))
FLOATING = Series(
    "floating@contract.example",
    event(Floating(datetime(2026, 4, 7, 9)), Floating(datetime(2026, 4, 7, 9, 30)), title="Tabletten"),  # noqa: DTZ001
)
NEW_YORK = Series(
    "new-york@contract.example", event(at(9, 9, tzid="America/New_York"), at(9, 10, tzid="America/New_York"), title="Call")
)
IN_UTC = Series("utc@contract.example", event(at(9, 9, tzid="UTC"), at(9, 10, tzid="UTC"), title="UTC"))
#: Both readings of the hour that happens twice: 02:30 before and after the clocks go back.
TWICE = Series(
    "twice@contract.example",
    event(
        Zoned(datetime(2026, 10, 25, 1, 30), BERLIN),  # noqa: DTZ001
        Zoned(datetime(2026, 10, 25, 3, 30), BERLIN),  # noqa: DTZ001
        title="Nachtschicht",
    ),
)

#: Weekly across the clock change of 29 March 2026, one occurrence moved, one renamed, one left out.
STANDUP_EVENT = event(at(2, 9), at(2, 9, 15), title="Standup", description="Was ist neu?")
STANDUP = Series(
    "standup@contract.example",
    STANDUP_EVENT,
    rrule="FREQ=WEEKLY;BYDAY=MO;COUNT=8",
    exdate=(at(16, 9),),
    overrides=(
        Override(at(9, 9), replace(STANDUP_EVENT, start=at(10, 11), end=at(10, 11, 15))),
        Override(at(30, 9), replace(STANDUP_EVENT, start=at(30, 9), end=at(30, 9, 15), title="Standup mit Gast")),
    ),
)
#: A yearly all-day series: dates as recurrence ids.
BIRTHDAY = Series(
    "birthday@contract.example",
    event(Day(date(2026, 6, 1)), Day(date(2026, 6, 2)), title="Geburtstag"),
    rrule="FREQ=YEARLY;COUNT=5",
    exdate=(Day(date(2028, 6, 1)),),
)

#: Texts that break naive writers. The second is what every system may keep of the first: what XML cannot hold is gone.
NASTY = "Emoji 🧑‍💻 und Umlaut ü, Bidi \u202babc\u202c, Klammer ]]> <b>&amp;</b>, Zeilenende \\n, lang " + "x" * 300
CONTROL = "vor\x07nach\x0bdanach\x1bEnde"
