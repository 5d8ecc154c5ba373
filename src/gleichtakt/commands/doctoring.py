"""`doctor`: every check of a connection with what was measured, and what helps where one fails."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from gleichtakt.commands.opening import opened
from gleichtakt.commands.telling import DONE, PROBLEMS, either, language_here, paint, say, say_json, tell
from gleichtakt.errors import Language, Permanent, Scope, cause, remedy
from gleichtakt.onboarding.directory import methods
from gleichtakt.onboarding.doctor import examine, look, name_of, report_of, worst
from gleichtakt.providers.protocol import CalendarRef, Check, Login, Secret
from gleichtakt.providers.registry import connect, provider_names
from gleichtakt.settings import Settings
from gleichtakt.store import connections
from gleichtakt.store.rows import Kept

MARKS = {"pass": ("✓", "good"), "warn": ("!", "warn"), "fail": ("✗", "bad"), "skip": ("–", "faint")}
FACTS: Mapping[str, Mapping[Language, str]] = {
    "addresses": {"de": "Adressen", "en": "addresses"},
    "address": {"de": "Adresse", "en": "address"},
    "version": {"de": "Fassung", "en": "version"},
    "issuer": {"de": "ausgestellt von", "en": "issued by"},
    "until": {"de": "gilt bis", "en": "valid until"},
    "sha256": {"de": "Pin (SHA-256)", "en": "pin (SHA-256)"},
    "principal": {"de": "Konto", "en": "account"},
    "homes": {"de": "Kalenderordner", "en": "calendar homes"},
    "calendars": {"de": "Kalender", "en": "calendars"},
    "writable": {"de": "davon beschreibbar", "en": "writable of them"},
    "calendar": {"de": "Kalender", "en": "calendar"},
    "known": {"de": "zu sehen sind", "en": "there are"},
    "seconds": {"de": "Abweichung in Sekunden", "en": "difference in seconds"},
    "bytes": {"de": "Bytes", "en": "bytes"},
    "events": {"de": "Termine", "en": "events"},
    "unreadable": {"de": "nicht lesbar", "en": "unreadable"},
    "href": {"de": "geschrieben und wieder entfernt", "en": "written and removed again"},
    "sync_collection": {"de": "sync-collection", "en": "sync-collection"},
    "ctag": {"de": "getctag", "en": "getctag"},
    "sends_invitations": {"de": "verschickt Einladungen", "en": "sends invitations"},
    "schedule_agent": {"de": "lässt sich das ausreden", "en": "leaves that to us when told"},
    "offered": {"de": "angeboten", "en": "offered"},
    "url": {"de": "Adresse", "en": "address"},
    "by": {"de": "bekannt durch", "en": "known by"},
    "method": {"de": "Verfahren", "en": "method"},
    "access": {"de": "Zugriff", "en": "access"},
    "extended_protection": {"de": "Kanalbindung", "en": "channel binding"},
    "state": {"de": "Stand", "en": "state"},
}
VALUES: Mapping[str, Mapping[Language, str]] = {
    "yes": {"de": "ja", "en": "yes"},
    "no": {"de": "nein", "en": "no"},
    "honoured": {"de": "ja", "en": "yes"},
    "ignored": {"de": "nein", "en": "no"},
    "required": {"de": "verlangt", "en": "required"},
    "not required": {"de": "nicht verlangt", "en": "not required"},
    "connection": {"de": "die Verbindung", "en": "the connection"},
    "impersonation": {"de": "im Namen der Person", "en": "impersonation"},
    "delegate": {"de": "Stellvertretung", "en": "delegate"},
    "own": {"de": "eigenes Postfach", "en": "own mailbox"},
    "disabled": {"de": "aus", "en": "off"},
    "enabled": {"de": "an", "en": "on"},
    "scheduled": {"de": "geplant", "en": "scheduled"},
}


@dataclass(frozen=True, slots=True)
class Given:
    """A connection described on the command line. mailbox, calendar: where the test item is written; none without."""

    provider: str
    server: str
    username: str
    password: str
    mailbox: str
    calendar: str
    ca_file: Path | None
    pin: str
    allow_insecure: bool
    method: str = ""
    access: str = "own"
    autodiscover_address: str = ""

    @property
    def place(self) -> CalendarRef | None:
        """Give the calendar that was named."""
        return CalendarRef(self.mailbox, self.calendar) if self.mailbox or self.calendar else None

    def login(self, settings: Settings) -> Login:
        """Give the login that was described. Raises Permanent for a provider nobody knows or a CA that is not readable."""
        if self.provider not in provider_names():
            known = ", ".join(provider_names())
            raise Permanent("command.no_such_provider", Scope.ACCOUNT, name=self.provider, known=known)
        ways = methods(self.provider)
        if self.method and self.method not in ways:
            raise Permanent("command.no_such_method", Scope.ACCOUNT, name=self.method, known=", ".join(ways))
        usual = ways[0] if self.username else "none"
        auth: dict[str, str | Secret] = {"method": self.method or usual, "username": self.username}
        return Login(
            self.provider,
            self.server,
            {**auth, "password": Secret(self.password)},
            access=self.access,
            autodiscover_address=self.autodiscover_address,
            ca_pem=_pem(self.ca_file),
            pin_sha256=self.pin,
            allow_insecure=self.allow_insecure,
            options={"private_hosts": settings.allow_private_hosts} if settings.allow_private_hosts else {},
        )


async def doctor(settings: Settings, name: str, given: Given, *, as_json: bool) -> int:
    """Examine a stored connection, or one that is described."""
    if not name:
        return _tell(await _looked(given.login(settings), given.place), as_json=as_json)
    async with opened(settings) as here:
        async with here.database.read() as connection:
            row = await _find(connection, connections.connections, name)
        if row is None:
            raise Permanent("command.no_such_connection", Scope.ACCOUNT, name=name)
        checks = await examine(here.database, here.box, here.settings, row.organization_id, row.id, given.place)
        async with here.database.begin() as connection:
            await connections.keep_report(connection, row.id, report_of(checks))
    return _tell(checks, as_json=as_json)


async def _looked(login: Login, place: CalendarRef | None) -> Sequence[Check]:
    provider = connect(login)
    try:
        return await look(provider, place)
    finally:
        await provider.close()


async def _find(connection: AsyncConnection, kept: Kept[Any], name: str) -> Any:
    """Give the row with this id, external id or name; the oldest where several share a name."""
    after: UUID | None = None
    while True:
        page = await kept.page(connection, after=after)
        for row in page.items:
            if name in (str(row.id), row.external_id, row.name):
                return row
        if page.next is None:
            return None
        after = page.next


def _tell(checks: Sequence[Check], *, as_json: bool) -> int:
    language = language_here()
    if as_json:
        say_json({"result": worst(checks), "checks": [_told(check) for check in checks]})
        return PROBLEMS if worst(checks) == "fail" else DONE
    for check in checks:
        mark, style = MARKS[check.state]
        say(f"{paint(mark, style)} {paint(name_of(check.name, language), 'bold')}{_measured(check)}")
        for name, value in check.facts.items():
            if name != "milliseconds":
                tell(f"{_worded(FACTS, name)}: {_worded(VALUES, value)}", indent=4, style="faint")
        if check.code:
            tell(cause(check.code, check.params, language), indent=4, style=style)
            tell(remedy(check.code, check.params, language), indent=4, mark="→ ")
    return PROBLEMS if worst(checks) == "fail" else DONE


def _worded(table: Mapping[str, Mapping[Language, str]], word: str) -> str:
    return table[word][language_here()] if word in table else word


def _measured(check: Check) -> str:
    if check.state == "skip":
        return f" ({either('nicht geprüft', 'not checked')})"
    return f" ({check.facts['milliseconds']} ms)" if "milliseconds" in check.facts else ""


def _told(check: Check) -> dict[str, Any]:
    """Give a check in the form in which the pages keep and show it."""
    told: dict[str, Any] = {"name": check.name, "result": check.state, "facts": dict(check.facts)}
    if check.code:
        language = language_here()
        told |= {"code": check.code, "params": dict(check.params)}
        told |= {"cause": cause(check.code, check.params, language), "remedy": remedy(check.code, check.params, language)}
    return told


def _pem(file: Path | None) -> str:
    if file is None:
        return ""
    try:
        return file.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as refused:
        reason = getattr(refused, "strerror", None) or "PEM?"
        raise Permanent("command.file_unreadable", Scope.ACCOUNT, file=str(file), reason=reason) from None
