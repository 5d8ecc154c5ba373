"""Connections: one login at one calendar system, its secrets sealed.

`auth` holds what may be shown; the names of secrets stand there with `MASK` as their value, and what they hide lies
sealed in `secret`. Writing the mask back leaves a secret as it is, so that a form or a script may return what it read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gleichtakt.errors import Conflict, Scope
from gleichtakt.store import lanes
from gleichtakt.store.database import new_id
from gleichtakt.store.rows import Kept, missing
from gleichtakt.store.schema import connection as table
from gleichtakt.store.secrets import SecretBox, place_of

MASK = "•••"
#: What of a login is no secret. Anything else is sealed, so that a new kind of secret is never shown by oversight.
SHOWN = frozenset({"username", "domain", "tenant_id", "client_id", "subject", "scope", "token_url", "mailbox"})

#: Checks of the doctor that only pass with a login that works.
SIGNED_IN = frozenset({"login", "discovery", "calendars"})

#: Columns whose change means that the system may answer differently: what was refused before is tried again.
REACHES = frozenset({"url", "autodiscover_address", "auth_method", "auth", "access", "tls", "allow_insecure", "options"})


@dataclass(frozen=True, slots=True)
class Connection:
    """A connection as it may be shown. auth: without secrets, their names masked."""

    id: UUID
    organization_id: UUID
    provider: str
    name: str
    external_id: str | None
    url: str
    autodiscover_address: str
    auth_method: str
    auth: Mapping[str, str]
    access: str
    tls: Mapping[str, str]
    allow_insecure: bool
    options: Mapping[str, str]
    state: str
    state_code: str
    state_params: Mapping[str, str]
    state_since: datetime | None
    paused_until: datetime | None
    server_version: str
    doctor: Mapping[str, Any] | None
    doctor_at: datetime | None
    version: int
    created_at: datetime
    updated_at: datetime


connections = Kept(table, Connection, "connection")


def parted(auth: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Part a login into what may be shown (secrets masked) and the secrets themselves. Empty values and masks count as absent."""
    given = {name: value for name, value in auth.items() if value not in ("", MASK)}
    secret = {name: value for name, value in given.items() if name not in SHOWN}
    return {name: MASK if name in secret else value for name, value in given.items()}, secret


def sealed(box: SecretBox, connection_id: UUID, secret: Mapping[str, str]) -> bytes | None:
    """Seal the secrets of a connection; None for none."""
    if not secret:
        return None
    return box.seal(msgspec.json.encode(dict(secret)), place_of("connection", "secret", connection_id))


def unsealed(box: SecretBox, connection_id: UUID, secret: bytes | None) -> dict[str, str]:
    """Open what `sealed` made."""
    if not secret:
        return {}
    opened: dict[str, str] = msgspec.json.decode(box.open(bytes(secret), place_of("connection", "secret", connection_id)))
    return opened


async def secrets_of(connection: AsyncConnection, box: SecretBox, connection_id: UUID) -> dict[str, str]:
    """Give the secrets of a connection, for whoever is about to sign in with them."""
    found = (await connection.execute(select(table.c.secret).where(table.c.id == connection_id))).one_or_none()
    if found is None:
        raise missing("connection")
    return unsealed(box, connection_id, found.secret)


async def create(connection: AsyncConnection, box: SecretBox, values: Mapping[str, Any], auth: Mapping[str, str]) -> Connection:
    """Add a connection. values: columns; auth: the login with its secrets in clear."""
    connection_id = new_id()
    shown, secret = parted(auth)
    row = {**values, "id": connection_id, "auth": shown, "secret": sealed(box, connection_id, secret)}
    return await connections.add(connection, row)


async def change(
    connection: AsyncConnection,
    box: SecretBox,
    organization_id: UUID,
    connection_id: UUID,
    values: Mapping[str, Any],
    auth: Mapping[str, str | None] | None = None,
    expect: int | None = None,
) -> Connection:
    """Change a connection. auth: what changes of the login; None or an empty text removes, the mask keeps.

    A change of how the system is reached clears what it refused before and makes the connection's lanes due.
    """
    before = await connections.get(connection, organization_id, connection_id, lock=True)
    changed = dict(values)
    if auth is not None:
        secret = await secrets_of(connection, box, connection_id)
        whole = {**before.auth, **secret, **{name: value or "" for name, value in auth.items() if value != MASK}}
        shown, kept = parted(whole)
        changed |= {"auth": shown, "secret": sealed(box, connection_id, kept)}
    reaches = REACHES & changed.keys()
    if reaches:
        changed |= {"state": "new", "state_code": "", "state_params": {}, "paused_until": None}
    after = await connections.change(connection, organization_id, connection_id, changed, expect)
    if reaches:
        await try_again(connection, connection_id)
    return after


async def try_again(connection: AsyncConnection, connection_id: UUID) -> None:
    """Make everything on a connection due now, whatever it was waiting for; a refused login is tried again."""
    given = {"id": connection_id}
    await connection.execute(
        text("""update connection set paused_until = null, refusals = '[]',
                  state = case when state = 'auth_required' then 'new' else state end where id = :id"""),
        given,
    )
    await connection.execute(
        text("""update link set due = now(), state = case when state <> 'auth_required' then state
                  when first_run_done then 'in_step' else 'new' end
                where connection_id = :id and active and state not in ('paused', 'disconnected')"""),
        given,
    )
    await lanes.release(connection, connection_id)


async def keep_report(connection: AsyncConnection, connection_id: UUID, report: Mapping[str, Any]) -> None:
    """Keep what the doctor found, without counting a version: a check is no change.

    Where he could sign in, a login that was refused before is tried again.
    """
    values = {"doctor": dict(report), "doctor_at": text("now()")}
    kept = await connection.execute(update(table).where(table.c.id == connection_id).values(values).returning(table.c.state))
    let_in = any(check["name"] in SIGNED_IN and check["result"] == "pass" for check in report["checks"])
    if let_in and kept.scalar_one_or_none() == "auth_required":
        await try_again(connection, connection_id)


async def dependants(connection: AsyncConnection, connection_id: UUID) -> dict[str, int]:
    """Count what hangs on a connection: links, the people and rooms they serve, our copies there, events from there."""
    found = await connection.execute(
        text("""
        with tied as (select id, resource_id from link where connection_id = :id and state <> 'disconnected')
        select (select count(*) from tied) as links, (select count(distinct resource_id) from tied) as resources,
               (select count(*) from pairing p join tied on tied.id = p.link_id and tied.resource_id = p.resource_id
                where p.made_by_us and p.href is not null) as copies,
               (select count(*) from series s join tied on tied.id = s.origin_link_id and tied.resource_id = s.resource_id
                where s.deleted_at is null) as imported"""),
        {"id": connection_id},
    )
    return dict(found.mappings().one())


async def erase(connection: AsyncConnection, organization_id: UUID, connection_id: UUID, expect: int | None = None) -> Connection:
    """Delete a connection. Raises Conflict `web.still_linked` while links use it."""
    await connections.get(connection, organization_id, connection_id, lock=True)
    links = (await dependants(connection, connection_id))["links"]
    if links:
        raise Conflict("web.still_linked", Scope.ACCOUNT, links=str(links))
    for name in ("pairing", "part", "observed"):  # what disconnected links still remember
        await connection.execute(
            text(f"""delete from {name} t using link l where l.connection_id = :id and t.link_id = l.id
                     and t.resource_id = l.resource_id"""),
            {"id": connection_id},
        )
    return await connections.remove(connection, organization_id, connection_id, expect)
