"""Answers kept under the caller's idempotency key, so that a request repeated after a lost answer acts once.

The key is taken in the transaction that acts, and the answer is kept there too: either both the effect and its answer
exist, or neither. A second request with the same key waits for the first one's transaction.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from gleichtakt.errors import Permanent, Scope

_TAKE = text("""
insert into idempotency (organization_id, key, request_digest, status) values (:organization_id, :key, :digest, 0)
on conflict (organization_id, key) do nothing returning true
""")
_READ = text(
    "select request_digest, status, headers, body from idempotency where organization_id = :organization_id and key = :key"
)
_KEEP = text("""
update idempotency set status = :status, headers = cast(:headers as jsonb), body = :body
where organization_id = :organization_id and key = :key
""")


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer as it was given."""

    status: int
    headers: Mapping[str, str]
    body: bytes


async def take(connection: AsyncConnection, organization_id: UUID, key: str, digest: str) -> Answer | None:
    """Take a key for this request; give the answer of the earlier one that had it.

    Raises Permanent `web.key_reused` when the key came with another request.
    """
    given = {"organization_id": organization_id, "key": key, "digest": digest}
    if (await connection.execute(_TAKE, given)).scalar_one_or_none():
        return None
    row = (await connection.execute(_READ, {"organization_id": organization_id, "key": key})).one_or_none()
    if row is None:  # removed by retention between the two statements
        return await take(connection, organization_id, key, digest)
    if row.request_digest != digest:
        raise Permanent("web.key_reused", Scope.SERIES)
    return Answer(row.status, row.headers, bytes(row.body or b""))


async def keep(connection: AsyncConnection, organization_id: UUID, key: str, answer: Answer) -> None:
    """Keep the answer of the request that took the key."""
    await connection.execute(
        _KEEP,
        {
            "organization_id": organization_id,
            "key": key,
            "status": answer.status,
            "headers": msgspec.json.encode(answer.headers).decode(),
            "body": answer.body,
        },
    )
