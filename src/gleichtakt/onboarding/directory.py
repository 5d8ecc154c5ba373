"""What a calendar system tells about itself before anything is synced: which kinds there are, their calendars, their people.

The web asks here, because it never talks to a provider itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from uuid import UUID

from gleichtakt.errors import Permanent, Scope, Transient
from gleichtakt.onboarding.connect import stored_login
from gleichtakt.providers.protocol import Ability, Calendar, CalendarRef, Provider
from gleichtakt.providers.registry import abilities_of, provider_names
from gleichtakt.providers.registry import connect as make_provider
from gleichtakt.settings import Settings
from gleichtakt.store.connections import connections
from gleichtakt.store.database import Database
from gleichtakt.store.secrets import SecretBox

__all__ = ["Calendar", "CalendarRef", "calendars", "has_directory", "methods", "need_directory", "providers", "tell_of_absence"]

PATIENCE_SECONDS = 30.0


def providers() -> Sequence[str]:
    """Name the calendar systems that can be connected."""
    return provider_names()


def has_directory(provider: str, options: Mapping[str, str] | None = None) -> bool:
    """Say whether people can be matched through the system's own directory."""
    return Ability.DIRECTORY in abilities_of(provider, options).can


def tell_of_absence() -> Sequence[str]:
    """Name the calendar systems that say whether somebody is away."""
    return [name for name in provider_names() if Ability.OUT_OF_OFFICE in abilities_of(name).can]


def methods(provider: str, options: Mapping[str, str] | None = None) -> Sequence[str]:
    """Give the ways to sign in at a calendar system, the usual one first."""
    return abilities_of(provider, options).methods


def need_directory(provider: str, options: Mapping[str, str] | None = None) -> None:
    """Raise Permanent `web.cannot` for a system without a directory."""
    if not has_directory(provider, options):
        raise Permanent("web.cannot", Scope.ACCOUNT, provider=provider, ability="directory")


@asynccontextmanager
async def opened(
    database: Database, box: SecretBox, settings: Settings, organization_id: UUID | None, connection_id: UUID
) -> AsyncIterator[Provider]:
    """Give a provider for one question, and close it. No database connection is held meanwhile.

    organization_id: whose connection it has to be; None for an operator's own question.
    """
    async with database.read() as connection:
        await connections.get(connection, organization_id, connection_id)
        login = await stored_login(connection, box, settings, connection_id)
    provider = make_provider(login)
    try:
        yield provider
    finally:
        await provider.close()


async def calendars(
    database: Database, box: SecretBox, settings: Settings, organization_id: UUID, connection_id: UUID, mailbox: str
) -> Sequence[Calendar]:
    """Ask a calendar system which calendars a mailbox has. Raises what is wrong with the connection."""
    async with opened(database, box, settings, organization_id, connection_id) as provider:
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                return await provider.calendars(mailbox)
        except TimeoutError:
            raise Transient("web.upstream_slow", Scope.ACCOUNT) from None
