"""The example firm: who works there, which rooms it has, what is booked and what people put into their own calendars.

Pure data and small functions of the day on which the demo runs, so that it always shows the coming weeks.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from random import Random
from typing import Any, Final

from gleichtakt.model.event import Event, Override, Sensitivity, Series, ShowAs
from gleichtakt.model.point import Day, Zoned
from gleichtakt.model.zones import zone_of

ZONE: Final = "Europe/Berlin"
NAME: Final = "Nordlicht Optik GmbH"
GROUPS: Final = {"beratung": "Beratung", "werkstatt": "Werkstatt", "verwaltung": "Verwaltung", "raeume": "Räume"}


@dataclass(frozen=True, slots=True)
class One:
    """A person or a room. id: external id, and the name of the account at the CalDAV server."""

    id: str
    name: str
    group: str
    kind: str = "person"


PEOPLE: Final = (
    One("anna.lorenz", "Anna Lorenz", "beratung"),
    One("jonas.petersen", "Jonas Petersen", "beratung"),
    One("mira.oezdemir", "Mira Özdemir", "beratung"),
    One("tobias.weiss", "Tobias Weiß", "beratung"),
    One("leni.brandt", "Leni Brandt", "beratung"),
    One("karl.johannsen", "Karl Johannsen", "werkstatt"),
    One("sofia.marin", "Sofia Marin", "werkstatt"),
    One("david.krueger", "David Krüger", "werkstatt"),
    One("elif.demir", "Elif Demir", "werkstatt"),
    One("hanna.voss", "Hanna Voss", "verwaltung"),
    One("paul.ritter", "Paul Ritter", "verwaltung"),
    One("grete.lindholm", "Grete Lindholm", "verwaltung"),
)
ROOMS: Final = (
    One("sehlabor", "Sehlabor", "raeume", "room"),
    One("anpassraum", "Anpassraum", "raeume", "room"),
    One("hafenblick", "Besprechung Hafenblick", "raeume", "room"),
)
ADVISORS: Final = tuple(person for person in PEOPLE if person.group == "beratung")
ARGUES: Final = ADVISORS[1]  # edits the same booking as the application does, at the same time
LABORATORY: Final = ROOMS[0]  # loses most of its calendar at once

TREATMENTS: Final = (
    ("Sehtest", 30),
    ("Erstberatung Gleitsicht", 60),
    ("Kontaktlinsen anpassen", 45),
    ("Brille abholen", 15),
    ("Kindersehtest", 45),
    ("Reparatur besprechen", 15),
)
OWN: Final = (
    ("Zahnarzt", 60, Sensitivity.PRIVATE, ShowAs.BUSY),
    ("Fortbildung Linsentechnik", 120, Sensitivity.NORMAL, ShowAs.BUSY),
    ("Homeoffice", 240, Sensitivity.NORMAL, ShowAs.WORKING_ELSEWHERE),
    ("Vertreterbesuch Gläser", 45, Sensitivity.NORMAL, ShowAs.BUSY),
    ("Kita-Fest", 90, Sensitivity.PRIVATE, ShowAs.TENTATIVE),
    ("Lieferung abwarten", 30, Sensitivity.NORMAL, ShowAs.TENTATIVE),
)


def configuration(url: str) -> str:
    """Give the firm as a configuration file; its one secret is in DEMO_CALDAV_PASSWORD."""

    def manual(one: One) -> str:
        return ", settings: {conflict_rule: manual}" if one is ARGUES else ""

    groups = "\n".join(f"      - {{external_id: {key}, name: {name}}}" for key, name in GROUPS.items())
    resources = "\n".join(
        f'      - {{external_id: {one.id}, name: "{one.name}", kind: {one.kind}, group: {one.group},'
        f" email: {one.id}@nordlicht-optik.example,"
        f" links: [{{connection: radicale, mailbox: {one.id}, calendar: /{one.id}/kalender/{manual(one)}}}]}}"
        for one in (*PEOPLE, *ROOMS)
    )
    return f"""
version: 1
organizations:
  - external_id: nordlicht
    name: {NAME}
    time_zone: {ZONE}
    settings: {{interval_seconds: 5, delete_grace_minutes: 1}}
    groups:
{groups}
    connections:
      - external_id: radicale
        name: Radicale
        provider: caldav
        url: {url}
        auth: {{method: basic, username: gleichtakt, password: "env:DEMO_CALDAV_PASSWORD"}}
        access: delegate
        allow_insecure: true
        options: {{private_hosts: 127.0.0.1}}
    resources:
{resources}
"""


def working_days(today: date, count: int) -> list[date]:
    """Give the next working days after a day."""
    days: list[date] = []
    day = today
    while len(days) < count:
        day += timedelta(days=1)
        if day.weekday() < 5:
            days.append(day)
    return days


def clock_change(today: date) -> date:
    """Give the day of the next change between summer and winter time."""
    zone = zone_of(ZONE)
    noon = datetime.combine(today, time(12))
    offset = noon.replace(tzinfo=zone).utcoffset()
    while noon.replace(tzinfo=zone).utcoffset() == offset:
        noon += timedelta(days=1)
    return noon.date()


def at(day: date, hour: int, minute: int = 0) -> Zoned:
    """Give a reading in the firm's zone."""
    return Zoned(datetime.combine(day, time(hour, minute)), ZONE)


def later(start: Zoned, minutes: int) -> Zoned:
    """Give the reading so many minutes later on the clock."""
    return Zoned(start.wall + timedelta(minutes=minutes), ZONE)


def booking(random: Random, days: list[date], number: int) -> tuple[str, Series]:
    """Give a booking as a customer makes it: the application's own id, and the event."""
    title, minutes = random.choice(TREATMENTS)
    start = at(random.choice(days), random.randrange(9, 17), random.choice((0, 15, 30, 45)))
    event = Event(start, later(start, minutes), f"{title} – Kunde {number}", location="Lübeck, Am Kai 4")
    return f"booking-{number}", Series(f"booking-{number}@nordlicht-optik.example", event)


def own_event(random: Random, days: list[date], name: str) -> Series:
    """Give an event as somebody puts it into the own calendar."""
    title, minutes, sensitivity, show_as = random.choice(OWN)
    start = at(random.choice(days), random.randrange(8, 17), random.choice((0, 30)))
    event = Event(start, later(start, minutes), title, sensitivity=sensitivity, show_as=show_as)
    return Series(f"{name}@calendar.example", event)


def holiday(days: list[date]) -> Series:
    """Give a week off, as all-day event."""
    first = next(day for day in days if day.weekday() == 0)
    event = Event(Day(first), Day(first + timedelta(days=5)), "Urlaub", show_as=ShowAs.OOF)
    return Series("urlaub@calendar.example", event)


def jour_fixe(today: date) -> Series:
    """Give a weekly series across the clock change, with one meeting moved and one left out."""
    change = clock_change(today)
    first = change - timedelta(days=(change.weekday() - 1) % 7 + 21)  # a Tuesday, some three weeks before
    event = Event(at(first, 9), at(first, 9, 45), "Jour fixe Beratung", location="Besprechung Hafenblick")
    moved_from, left_out = at(first + timedelta(weeks=2), 9), at(first + timedelta(weeks=5), 9)
    moved = replace(event, start=later(moved_from, 330), end=later(moved_from, 375), title="Jour fixe Beratung (verlegt)")
    return Series(
        "jour-fixe@nordlicht-optik.example",
        event,
        rrule="FREQ=WEEKLY;BYDAY=TU;COUNT=8",
        exdate=(left_out,),
        overrides=(Override(moved_from, moved),),
    )


def laboratory_slots(days: list[date]) -> list[tuple[str, Series]]:
    """Give the room's maintenance slots, made in the room's own calendar."""
    slots: list[tuple[str, Series]] = []
    for number, day in enumerate(days[:12]):
        start = at(day, 7, 30)
        series = Series(f"wartung-{number}@calendar.example", Event(start, later(start, 30), "Geräte kalibrieren"))
        slots.append((f"wartung-{number}", series))
    return slots


def body_of(series: Series, external_id: str) -> dict[str, Any]:
    """Give an event as the application sends it."""
    from gleichtakt.model.document import series_document

    return {**series_document(series), "external_id": external_id}
