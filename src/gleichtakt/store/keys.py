"""API keys: 256 random bits that a program shows; only their SHA-256 is kept, so a stolen database opens nothing."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gleichtakt.store.rows import Kept
from gleichtakt.store.schema import api_key

SCOPES = ("read", "write", "admin")  # each includes the ones before it
PREFIX = "gt_"
SHOWN = 10  # characters of a key that lists show, so that people can tell keys apart


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What may be shown of a key. organization_id None: of every organization."""

    id: UUID
    organization_id: UUID | None
    name: str
    prefix: str
    scopes: Sequence[str]
    created_at: datetime
    last_used_at: datetime | None
    expires_at: datetime | None
    revoked_at: datetime | None


api_keys = Kept(api_key, ApiKey, "api_key")


def new_key() -> str:
    """Draw a key."""
    return PREFIX + secrets.token_urlsafe(32)


def hash_of(key: str) -> str:
    """Give what is kept of a key. No salt and no slow hash: the key has 256 random bits."""
    return hashlib.sha256(key.encode()).hexdigest()


async def create(
    connection: AsyncConnection,
    *,
    organization_id: UUID | None,
    name: str,
    scopes: Sequence[str],
    expires_at: datetime | None = None,
    key: str = "",
) -> tuple[ApiKey, str]:
    """Make a key; give what is kept and the key itself, which nobody can read again."""
    drawn = key or new_key()
    values = {
        "organization_id": organization_id,
        "name": name,
        "prefix": drawn[:SHOWN],
        "key_hash": hash_of(drawn),
        "scopes": list(scopes),
        "expires_at": expires_at,
    }
    return await api_keys.add(connection, values), drawn


async def by_hash(connection: AsyncConnection, key_hash: str) -> ApiKey | None:
    """Give the living key with this hash, and note that it was used."""
    living = (
        api_key.c.key_hash == key_hash,
        api_key.c.revoked_at.is_(None),
        or_(api_key.c.expires_at.is_(None), api_key.c.expires_at > func.now()),
    )
    row = (await connection.execute(select(*api_keys.columns).where(*living))).one_or_none()
    if row is None:
        return None
    await connection.execute(
        text("""update api_key set last_used_at = now() where id = :id
                and (last_used_at is null or last_used_at < now() - interval '1 minute')"""),
        {"id": row.id},
    )
    return api_keys.value(row)


async def revoke(connection: AsyncConnection, organization_id: UUID | None, key_id: UUID) -> ApiKey:
    """End a key for good; its row stays for the audit. Raises `web.not_found`."""
    await api_keys.get(connection, organization_id, key_id)
    query = (
        update(api_key)
        .where(api_key.c.id == key_id)
        .values(revoked_at=func.coalesce(api_key.c.revoked_at, func.now()))
        .returning(*api_keys.columns)
    )
    return api_keys.value((await connection.execute(query)).one())
