"""The doctor: one connection, looked at step by step, with what was measured and what helps.

The steps are the provider's own; here is where they look (a linked calendar, if none is named), how long they may take,
and what they are called. What was found stays with the connection until it is looked at again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from gleichtakt.errors import Language
from gleichtakt.onboarding.directory import opened
from gleichtakt.providers.protocol import CalendarRef, Check, Provider
from gleichtakt.settings import Settings
from gleichtakt.store.connections import keep_report
from gleichtakt.store.database import Database
from gleichtakt.store.links import links
from gleichtakt.store.schema import link
from gleichtakt.store.secrets import SecretBox

PATIENCE_SECONDS: Final = 120.0

#: What the steps are called, in the order in which a person would look.
NAMES: Final[Mapping[str, Mapping[Language, str]]] = {
    "server": {"de": "Server", "en": "Server"},
    "dns": {"de": "Name", "en": "Name"},
    "tcp": {"de": "Netz", "en": "Network"},
    "tls": {"de": "Verschlüsselung", "en": "Encryption"},
    "login": {"de": "Anmeldung", "en": "Sign-in"},
    "discovery": {"de": "Anmeldung", "en": "Sign-in"},
    "methods": {"de": "Anmeldeverfahren", "en": "Sign-in methods"},
    "binding": {"de": "Erweiterter Schutz", "en": "Extended Protection"},
    "mailbox": {"de": "Postfach", "en": "Mailbox"},
    "calendars": {"de": "Kalender", "en": "Calendars"},
    "rights": {"de": "Rechte", "en": "Rights"},
    "sync": {"de": "Änderungen finden", "en": "Finding changes"},
    "scheduling": {"de": "Keine ungewollten Mails", "en": "No unwanted mails"},
    "out_of_office": {"de": "Abwesenheit", "en": "Automatic replies"},
    "streaming": {"de": "Meldung von Änderungen", "en": "Notice of changes"},
    "clock": {"de": "Uhr", "en": "Clock"},
    "test_item": {"de": "Testeintrag", "en": "Test item"},
    "download": {"de": "Abruf", "en": "Download"},
    "content": {"de": "Inhalt", "en": "Content"},
    "conditional": {"de": "Abruf nur bei Änderung", "en": "Download only when changed"},
    "time": {"de": "Dauer", "en": "Time"},
}


def name_of(check: str, language: Language) -> str:
    """Give what a step is called; its own name where nobody has given it one."""
    return NAMES.get(check, {}).get(language, check)


def report_of(checks: Sequence[Check]) -> dict[str, Any]:
    """Give the checks as they are kept with the connection."""
    kept = [
        {"name": one.name, "result": one.state, "facts": dict(one.facts), "code": one.code, "params": dict(one.params)}
        for one in checks
    ]
    return {"checks": kept}


def worst(checks: Sequence[Check]) -> str:
    """Give the worst result; skipped checks count for nothing."""
    results = {one.state for one in checks}
    return next((state for state in ("fail", "warn") if state in results), "pass")


async def look(provider: Provider, place: CalendarRef | None) -> Sequence[Check]:
    """Run the checks of a provider, as far as they come in the time there is."""
    found: list[Check] = []
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            async for check in provider.examine(place):
                found.append(check)
    except TimeoutError:
        found.append(Check("time", "fail", "web.upstream_slow"))
    return found


async def examine(
    database: Database,
    box: SecretBox,
    settings: Settings,
    organization_id: UUID | None,
    connection_id: UUID,
    place: CalendarRef | None = None,
) -> Sequence[Check]:
    """Examine a stored connection. place: where a marked test item is written and removed; else in a linked calendar.

    Where nothing is linked yet it is the calendar the system offers first. Raises `web.not_found`.
    """
    async with database.read() as connection:
        place = place or await _linked(connection, connection_id)
    async with opened(database, box, settings, organization_id, connection_id) as provider:
        return await look(provider, place)


async def examine_and_keep(database: Database, box: SecretBox, settings: Settings, connection_id: UUID) -> None:
    """Examine a stored connection and leave the report with it."""
    checks = await examine(database, box, settings, None, connection_id)
    async with database.begin() as connection:
        await keep_report(connection, connection_id, report_of(checks))


async def _linked(connection: AsyncConnection, connection_id: UUID) -> CalendarRef | None:
    """Give the calendar of the connection's oldest link."""
    page = await links.page(connection, link.c.connection_id == connection_id, link.c.state != "disconnected", limit=1)
    return CalendarRef(page.items[0].mailbox, page.items[0].calendar) if page.items else None
