"""From a stored connection to a provider: the secret is unsealed here, for the life of the provider, and nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from gleichtakt.providers.guarded import Guarded
from gleichtakt.providers.protocol import Abilities, Ability, Login, Secret
from gleichtakt.providers.registry import abilities_of
from gleichtakt.settings import Settings
from gleichtakt.store import connections
from gleichtakt.store.connections import MASK, Connection
from gleichtakt.store.secrets import SecretBox
from gleichtakt.sync.policy import Limits


def login_of(row: Connection, secrets: Mapping[str, str], settings: Settings) -> Login:
    """Join what may be shown of a connection with its secrets."""
    shown: dict[str, str | Secret] = {name: value for name, value in row.auth.items() if value != MASK}
    hidden = {name: Secret(value) for name, value in secrets.items()}
    options = {name: str(value) for name, value in row.options.items()}
    if settings.allow_private_hosts:
        options.setdefault("private_hosts", settings.allow_private_hosts)
    return Login(
        provider=row.provider,
        url=row.url,
        auth={"method": row.auth_method, **shown, **hidden},
        access=row.access,
        autodiscover_address=row.autodiscover_address,
        ca_pem=row.tls.get("ca_pem", ""),
        pin_sha256=row.tls.get("pin_sha256", ""),
        allow_insecure=row.allow_insecure,
        options=options,
    )


async def stored_login(connection: AsyncConnection, box: SecretBox, settings: Settings, connection_id: UUID) -> Login:
    """Give the login of a stored connection. Raises `web.not_found`."""
    row = await connections.connections.get(connection, None, connection_id)
    return login_of(row, await connections.secrets_of(connection, box, connection_id), settings)


def limits_of(abilities: Abilities) -> Limits:
    """Say in the words of sync what survives at a provider."""
    return Limits(
        fields=abilities.fields,
        show_as=abilities.show_as,
        sensitivity=abilities.sensitivity,
        recurrence=abilities.recurrence.value,
        zones=abilities.zones,
        can_write=Ability.WRITE in abilities.can,
        silent_attendees=Ability.SILENT_ATTENDEES in abilities.can,
        first_year=abilities.first_year,
        last_year=abilities.last_year,
    )


def provider_limits(name: str, options: Mapping[str, str] | None = None) -> Limits:
    """Give the limits of a provider by its name, without connecting."""
    return limits_of(abilities_of(name, options))


@dataclass(slots=True)
class Connected:
    """A provider in use, and the version of the connection it was made from."""

    provider: Guarded
    version: int


class Connections:
    """The providers of one worker: one per connection, kept while its row does not change, closed when replaced."""

    def __init__(self, box: SecretBox, settings: Settings) -> None:
        """box: opens the sealed logins."""
        self._box, self._settings = box, settings
        self._open: dict[UUID, Connected] = {}

    async def get(self, connection: AsyncConnection, connection_id: UUID, version: int) -> Guarded:
        """Give the provider of a connection at a version of its row."""
        found = self._open.get(connection_id)
        if found is not None and found.version == version:
            return found.provider
        login = await stored_login(connection, self._box, self._settings, connection_id)
        current = self._open.get(connection_id)
        if current is not None and current.version >= version:
            return current.provider  # made by another pass while we read
        self._open[connection_id] = Connected(Guarded.connect(login), version)
        if current is not None:
            await current.provider.close()
        return self._open[connection_id].provider

    async def close(self) -> None:
        """Close every provider."""
        opened, self._open = self._open, {}
        for item in opened.values():
            await item.provider.close()
