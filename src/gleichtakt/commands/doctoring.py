"""`doctor`: every check of a connection with what was measured, and what helps where one fails."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from gleichtakt.commands.opening import Here, opened
from gleichtakt.commands.telling import DONE, PROBLEMS, language_here, say, say_json
from gleichtakt.errors import Permanent, Scope, cause, remedy
from gleichtakt.onboarding.connect import stored_login
from gleichtakt.providers.protocol import CalendarRef, Check, Login, Secret
from gleichtakt.providers.registry import connect, provider_names
from gleichtakt.settings import Settings
from gleichtakt.store import connections
from gleichtakt.store.rows import Kept

MARKS = {"pass": "✓", "warn": "!", "fail": "✗", "skip": "–"}


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
    allow_insecure: bool

    @property
    def place(self) -> CalendarRef | None:
        """Give the calendar that was named."""
        return CalendarRef(self.mailbox, self.calendar) if self.mailbox or self.calendar else None

    def login(self, settings: Settings) -> Login:
        """Give the login that was described. Raises Permanent for a provider nobody knows or a CA that is not readable."""
        if self.provider not in provider_names():
            known = ", ".join(provider_names())
            raise Permanent("command.no_such_provider", Scope.ACCOUNT, name=self.provider, known=known)
        auth: dict[str, str | Secret] = {"method": "basic" if self.username else "none", "username": self.username}
        return Login(
            self.provider,
            self.server,
            {**auth, "password": Secret(self.password)},
            ca_pem=_pem(self.ca_file),
            allow_insecure=self.allow_insecure,
            options={"private_hosts": settings.allow_private_hosts} if settings.allow_private_hosts else {},
        )


async def doctor(settings: Settings, name: str, given: Given, *, as_json: bool) -> int:
    """Examine a stored connection, or one that is described."""
    if not name:
        return _tell(await examined(given.login(settings), given.place), as_json=as_json)
    async with opened(settings) as here:
        row, login, place = await _stored(here, name, given)
        checks = await examined(login, place)
        async with here.database.begin() as connection:
            await connections.keep_report(connection, row.id, {"checks": [_told(check) for check in checks]})
    return _tell(checks, as_json=as_json)


async def examined(login: Login, place: CalendarRef | None) -> list[Check]:
    """Run the checks of a provider, one after the other."""
    provider = connect(login)
    try:
        return [check async for check in provider.examine(place)]
    finally:
        await provider.close()


async def _stored(here: Here, name: str, given: Given) -> tuple[Any, Login, CalendarRef | None]:
    async with here.database.read() as connection:
        row = await _find(connection, connections.connections, name)
        if row is None:
            raise Permanent("command.no_such_connection", Scope.ACCOUNT, name=name)
        return row, await stored_login(connection, here.box, here.settings, row.id), given.place


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


def _tell(checks: list[Check], *, as_json: bool) -> int:
    language = language_here()
    if as_json:
        say_json({"checks": [_told(check) for check in checks]})
    for check in () if as_json else checks:
        facts = ", ".join(f"{name} {value}" for name, value in check.facts.items())
        say(f"{MARKS[check.state]} {check.name}" + (f": {facts}" if facts else ""))
        if check.code:
            say(f"    {cause(check.code, check.params, language)}")
            say(f"    → {remedy(check.code, check.params, language)}")
    return PROBLEMS if any(check.state == "fail" for check in checks) else DONE


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
