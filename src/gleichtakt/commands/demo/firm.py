"""The example firm: who works there, where their calendars are, which rooms it has, and what stands in all of them.

Pure data and small functions of the day on which the demo runs, so that it always shows the coming weeks.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from random import Random
from typing import Any, Final

from gleichtakt.model.event import Attendee, Event, Override, Sensitivity, Series, ShowAs
from gleichtakt.model.point import Day, Zoned
from gleichtakt.model.zones import zone_of

ZONE: Final = "Europe/Berlin"
NAME: Final = "Nordlicht Optik GmbH"
GROUPS: Final = {"beratung": "Beratung", "werkstatt": "Werkstatt", "verwaltung": "Verwaltung", "raeume": "Räume"}


DOMAIN: Final = "nordlicht-optik.example"
RADICALE: Final = "radicale"  # the external ids of both connections
EXCHANGE: Final = "exchange"


@dataclass(frozen=True, slots=True)
class One:
    """A person or a room. id: external id, and the name of the account. homes: the connections with a calendar of theirs."""

    id: str
    name: str
    group: str
    homes: tuple[str, ...] = (RADICALE,)
    kind: str = "person"

    @property
    def address(self) -> str:
        """Give the address of the mailbox."""
        return f"{self.id}@{DOMAIN}"


PEOPLE: Final = (
    One("anna.lorenz", "Anna Lorenz", "beratung"),
    One("jonas.petersen", "Jonas Petersen", "beratung"),
    One("mira.oezdemir", "Mira Özdemir", "beratung"),
    One("tobias.weiss", "Tobias Weiß", "beratung"),
    One("leni.brandt", "Leni Brandt", "beratung"),
    One("karl.johannsen", "Karl Johannsen", "werkstatt", (EXCHANGE,)),
    One("sofia.marin", "Sofia Marin", "werkstatt", (EXCHANGE,)),
    One("david.krueger", "David Krüger", "werkstatt", (EXCHANGE,)),
    One("elif.demir", "Elif Demir", "werkstatt", (EXCHANGE,)),
    One("hanna.voss", "Hanna Voss", "verwaltung", (EXCHANGE,)),
    One("paul.ritter", "Paul Ritter", "verwaltung", (EXCHANGE,)),
    One("grete.lindholm", "Grete Lindholm", "verwaltung", (EXCHANGE,)),
)
ROOMS: Final = (
    One("sehlabor", "Sehlabor", "raeume", kind="room"),
    One("anpassraum", "Anpassraum", "raeume", (EXCHANGE,), "room"),
    One("hafenblick", "Besprechung Hafenblick", "raeume", (EXCHANGE, RADICALE), "room"),
)
EVERYONE: Final = (*PEOPLE, *ROOMS)
BOOKABLE: Final = tuple(person for person in PEOPLE if person.group in ("beratung", "werkstatt"))
BY_ID: Final = {one.id: one for one in EVERYONE}
HOSTS_JOUR_FIXE: Final = BY_ID["anna.lorenz"]
ARGUES: Final = BY_ID["jonas.petersen"]  # edits the same booking as the application does, at the same time
LEADS_WORKSHOP: Final = BY_ID["sofia.marin"]  # has a series in Exchange with one meeting moved and one deleted
THROTTLED: Final = BY_ID["david.krueger"]  # of whose mailbox Exchange asks us to go slowly
UNLICENSED: Final = BY_ID["paul.ritter"]  # whose mailbox loses its licence
INVITES_ROOM: Final = BY_ID["hanna.voss"]  # books the shared room in Outlook
AWAY: Final = BY_ID["grete.lindholm"]  # whose mailbox answers by itself until the end of her week off
REPLY: Final = "Ich bin nicht im Haus; Hanna Voss vertritt mich."
LABORATORY: Final = BY_ID["sehlabor"]  # loses most of its calendar at once
SHARED: Final = BY_ID["hafenblick"]  # has a calendar in either system

#: What applies to the links of one person or room only. Elsewhere the application sees when somebody is busy, not why.
LINK_SETTINGS: Final[Mapping[One, str]] = {
    ARGUES: "conflict_rule: manual",
    LEADS_WORKSHOP: "inbound_detail: full",
    SHARED: "inbound_detail: full, relay: full",
}

TREATMENTS: Final[Mapping[str, Sequence[tuple[str, int]]]] = {
    "beratung": (
        ("Sehtest", 30),
        ("Erstberatung Gleitsicht", 60),
        ("Kontaktlinsen anpassen", 45),
        ("Brille abholen", 15),
        ("Kindersehtest", 45),
    ),
    "werkstatt": (
        ("Reparatur besprechen", 15),
        ("Fassung richten", 30),
        ("Gläser einschleifen", 45),
        ("Sportbrille anpassen", 30),
    ),
}
OWN: Final = (
    ("Zahnarzt", 60, Sensitivity.PRIVATE, ShowAs.BUSY),
    ("Fortbildung Linsentechnik", 120, Sensitivity.NORMAL, ShowAs.BUSY),
    ("Homeoffice", 240, Sensitivity.NORMAL, ShowAs.WORKING_ELSEWHERE),
    ("Vertreterbesuch Gläser", 45, Sensitivity.NORMAL, ShowAs.BUSY),
    ("Kita-Fest", 90, Sensitivity.PRIVATE, ShowAs.TENTATIVE),
    ("Lieferung abwarten", 30, Sensitivity.NORMAL, ShowAs.TENTATIVE),
)


def configuration(radicale: str, exchange: str) -> str:
    """Give the firm as a configuration file; its secrets are in DEMO_CALDAV_PASSWORD and DEMO_EXCHANGE_PASSWORD.

    radicale, exchange: addresses of the two servers.
    """
    groups = "\n".join(f"      - {{external_id: {key}, name: {name}}}" for key, name in GROUPS.items())
    resources = "\n".join(
        f'      - {{external_id: {one.id}, name: "{one.name}", kind: {one.kind}, group: {one.group},'
        f" email: {one.address}, links: [{', '.join(_link(one, home) for home in one.homes)}]}}"
        for one in EVERYONE
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
      - external_id: {RADICALE}
        name: Radicale
        provider: caldav
        url: {radicale}
        auth: {{method: basic, username: gleichtakt, password: "env:DEMO_CALDAV_PASSWORD"}}
        access: delegate
        allow_insecure: true
        options: {{private_hosts: 127.0.0.1}}
      - external_id: {EXCHANGE}
        name: Exchange
        provider: ews
        url: {exchange}
        auth: {{method: ntlm, username: svc-gleichtakt@{DOMAIN}, password: "env:DEMO_EXCHANGE_PASSWORD"}}
        access: impersonation
        allow_insecure: true
        options: {{private_hosts: 127.0.0.1}}
    resources:
{resources}
"""


def _link(one: One, home: str) -> str:
    """Give a link: in Exchange to the calendar everyone has, at the CalDAV server to one by its path."""
    own = f", settings: {{{LINK_SETTINGS[one]}}}" if one in LINK_SETTINGS else ""
    if home == EXCHANGE:
        return f"{{connection: {EXCHANGE}, mailbox: {one.address}{own}}}"
    return f"{{connection: {RADICALE}, mailbox: {one.id}, calendar: /{one.id}/kalender/{own}}}"


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


def booking(random: Random, one: One, days: list[date], number: int) -> tuple[str, Series]:
    """Give a booking with somebody as a customer makes it: the application's own id, and the event."""
    title, minutes = random.choice(TREATMENTS[one.group])
    start = at(random.choice(days), random.randrange(9, 17), random.choice((0, 15, 30, 45)))
    event = Event(start, later(start, minutes), f"{title} – Kunde {number}", location="Lübeck, Am Kai 4")
    return f"booking-{number}", Series(f"booking-{number}@{DOMAIN}", event)


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
        f"jour-fixe@{DOMAIN}",
        event,
        rrule="FREQ=WEEKLY;BYDAY=TU;COUNT=8",
        exdate=(left_out,),
        overrides=(Override(moved_from, moved),),
    )


def workshop_round(days: list[date]) -> Series:
    """Give a weekly series made in Outlook, with one meeting moved to the next day and one deleted."""
    first = next(day for day in days if day.weekday() == 0)
    event = Event(at(first, 8), at(first, 8, 30), "Werkstattrunde", location="Werkstatt")
    weeks = [at(first + timedelta(weeks=week), 8) for week in range(6)]
    moved = replace(event, start=later(weeks[1], 1440 + 60), end=later(weeks[1], 1440 + 90), title="Werkstattrunde (verlegt)")
    return Series("", event, rrule="FREQ=WEEKLY;BYDAY=MO;COUNT=6", exdate=(weeks[3],), overrides=(Override(weeks[1], moved),))


def budget_meeting(days: list[date]) -> Series:
    """Give a meeting to which somebody invites the shared room in Outlook."""
    start = at(days[1], 10)
    event = Event(start, later(start, 90), "Budgetrunde", location=SHARED.name)
    return Series("", replace(event, attendees=(Attendee(SHARED.address, SHARED.name, role="resource"),)))


def team_meeting(days: list[date]) -> Series:
    """Give a meeting put into the shared room's calendar at the CalDAV server."""
    start = at(days[1], 14)
    return Series("teamrunde@calendar.example", Event(start, later(start, 60), "Teamrunde Beratung", location=SHARED.name))


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
