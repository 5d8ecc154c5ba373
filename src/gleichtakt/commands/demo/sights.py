"""What the demo says once it runs: to programs where everything is, to people what to look at and to try."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from gleichtakt.commands.demo import firm
from gleichtakt.commands.demo.caldav_server import Server
from gleichtakt.commands.demo.colleagues import Colleagues, living_at
from gleichtakt.commands.demo.exchange_server import SERVICE, VERSION, Exchange
from gleichtakt.commands.demo.story import PAUSE_SECONDS, REST_MINUTES, Story
from gleichtakt.commands.serving import Served
from gleichtakt.commands.telling import either
from gleichtakt.model.point import wall_of
from gleichtakt.onboarding.first_start import first_credentials


def told(served: Served, colleagues: Colleagues) -> Mapping[str, Any]:
    """Give what the JSON line says beyond the server's own. An account without mailbox acts for all of its system."""
    kept, radicale, exchange = first_credentials(served.here.settings), colleagues.radicale, colleagues.exchange
    return {
        "api_key": kept["api_key"],
        "admin": kept["admin"],
        "accounts": [*_at_radicale(radicale), *_at_exchange(exchange)],
        "simulators": {"ews": {"url": exchange.url, "control": exchange.control, "version": VERSION}},
        "caldav": {"url": radicale.url},
        "data_dir": str(served.here.settings.data_path),
    }


def _at_radicale(radicale: Server) -> Sequence[Mapping[str, str]]:
    return [
        {"provider": "caldav", "mailbox": one.id, "username": one.id, "password": radicale.passwords[one.id]}
        for one in living_at(firm.RADICALE)
    ]


def _at_exchange(exchange: Exchange) -> Sequence[Mapping[str, str]]:
    people = {SERVICE: "", **{one.id: one.address for one in living_at(firm.EXCHANGE) if one.kind == "person"}}
    return [
        {"provider": "ews", "mailbox": mailbox, "username": name, "password": exchange.passwords[name]}
        for name, mailbox in people.items()
    ]


def lines(served: Served, story: Story) -> Sequence[str]:
    """Give what to look at and to try, for people."""
    admin = first_credentials(served.here.settings)["admin"]
    sign_in = f"  {either('Anmeldung', 'sign in')}: {admin['username']} / {admin['password']}"
    people, rooms, pause = len(firm.PEOPLE), len(firm.ROOMS), f"{PAUSE_SECONDS:.0f}"
    return (
        *([] if served.made.password else [sign_in]),
        either(
            f"  {firm.NAME}: {people} Personen, {rooms} Räume, teils in Exchange, teils bei einem CalDAV-Server;"
            f" alle {pause} s kommt eine Buchung",
            f"  {firm.NAME}: {people} people, {rooms} rooms, some in Exchange, some at a CalDAV server;"
            f" a booking arrives every {pause} s",
        ),
        "",
        either("Zum Ausprobieren", "Things to try"),
        *_waiting(served.url),
        *_unwell(served.url, story),
        *_away(served.url, story),
        *_in_step(served.url, story),
        *_by_hand(served, story),
        "",
        either("Strg-C beendet die Vorführung.", "Ctrl-C ends the demonstration."),
    )


def _waiting(url: str) -> Sequence[str]:
    """Tell what a person has to decide."""
    return (
        either(
            f"  Eine Buchung von {firm.ARGUES.name} wurde auf beiden Seiten geändert; wer hat recht?",
            f"  A booking of {firm.ARGUES.name} was edited on both sides; who is right?",
        ),
        f"    {url}/conflicts",
        either(
            f"  Neun Löschungen im Kalender «{firm.LABORATORY.name}» werden zurückgehalten; ein Versehen?",
            f"  Nine deletions in the calendar «{firm.LABORATORY.name}» are held back; a mistake?",
        ),
        f"    {url}/holds",
    )


def _unwell(url: str, story: Story) -> Sequence[str]:
    """Tell what stands still, and what helps."""
    return (
        either(
            f"  Das Postfach von {firm.UNLICENSED.name} hat seine Lizenz verloren; was hilft?",
            f"  The mailbox of {firm.UNLICENSED.name} lost its licence; what helps?",
        ),
        f"    {url}/problems",
        either(
            f"  Exchange bittet für {firm.THROTTLED.name} um {REST_MINUTES} Minuten Pause; danach geht es von selbst weiter.",
            f"  Exchange asks for {REST_MINUTES} minutes of rest for {firm.THROTTLED.name}; then it goes on by itself.",
        ),
        f"    {url}/links/{story.links[firm.THROTTLED.id, firm.EXCHANGE]}",
    )


def _away(url: str, story: Story) -> Sequence[str]:
    """Tell who is away, as the mailbox says."""
    return (
        either(
            f"  Das Postfach von {firm.AWAY.name} antwortet selbst: Die Abwesenheit steht binnen einer Minute auf der Seite.",
            f"  The mailbox of {firm.AWAY.name} replies by itself: within a minute her page says until when she is away.",
        ),
        f"    {url}/resources/{story.resources[firm.AWAY.id]}",
    )


def _in_step(url: str, story: Story) -> Sequence[str]:
    """Tell what is well although it is not easy."""
    change = firm.clock_change(story.days[0])
    guest = firm.HOSTS_JOUR_FIXE.name

    def week(one: firm.One, day: date) -> str:
        return f"    {url}/resources/{story.resources[one.id]}?week={day:%G-W%V}"

    jour_fixe = week(firm.HOSTS_JOUR_FIXE, change)
    workshop = week(firm.LEADS_WORKSHOP, wall_of(firm.workshop_round(story.days).overrides[0].event.start).date())
    room = week(firm.SHARED, story.days[1])
    return (
        either(
            f"  Der Jour fixe von {guest} bleibt über die Zeitumstellung ({change:%d.%m.%Y}) um neun.",
            f"  The jour fixe of {guest} stays at nine across the clock change ({change}).",
        ),
        jour_fixe,
        either(
            f"  Die Serie von {firm.LEADS_WORKSHOP.name} aus Outlook: ein Termin ist verlegt, einer gelöscht.",
            f"  The series of {firm.LEADS_WORKSHOP.name} from Outlook: one meeting is moved, one deleted.",
        ),
        workshop,
        either(
            f"  «{firm.SHARED.name}»: {firm.INVITES_ROOM.name} bucht in Outlook, {guest} über CalDAV; beide sehen beides.",
            f"  «{firm.SHARED.name}»: {firm.INVITES_ROOM.name} books in Outlook, {guest} by CalDAV; both see both.",
        ),
        room,
    )


def _by_hand(served: Served, story: Story) -> Sequence[str]:
    """Tell how to get in from other programs."""
    radicale, exchange = story.colleagues.radicale, story.colleagues.exchange
    at_caldav, at_exchange = firm.ARGUES, firm.LEADS_WORKSHOP
    return (
        either(
            f"  {at_caldav.name} im eigenen Kalenderprogramm (CalDAV): {at_caldav.id} / {radicale.passwords[at_caldav.id]}",
            f"  {at_caldav.name} in a calendar program (CalDAV): {at_caldav.id} / {radicale.passwords[at_caldav.id]}",
        ),
        f"    {radicale.url}/{at_caldav.id}/",
        either(
            f"  {at_exchange.name} in einem Programm, das Exchange spricht (EWS):"
            f" {at_exchange.address} / {exchange.passwords[at_exchange.id]}",
            f"  {at_exchange.name} in a program that speaks Exchange (EWS):"
            f" {at_exchange.address} / {exchange.passwords[at_exchange.id]}",
        ),
        f"    {exchange.url}",
        either("  Dasselbe in einem zweiten Terminal", "  The same in a second terminal"),
        f"    export GLEICHTAKT_DATA_DIR={served.here.settings.data_path}",
        *(f"    {_program()} {words}" for words in ("status", f"plan {firm.HOSTS_JOUR_FIXE.id}", "doctor Exchange")),
    )


def _program() -> str:
    """Give the way to call us from another terminal."""
    return "gleichtakt" if shutil.which("gleichtakt") else str(Path(sys.argv[0]).absolute())
