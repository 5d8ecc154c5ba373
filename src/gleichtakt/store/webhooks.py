"""Webhooks: where an application wants to be told of changes. Each reads the change feed at its own position.

The secret signs deliveries after the Standard Webhooks convention; a new one leaves the old one valid beside it, so that
receivers can change over without losing a delivery.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from gleichtakt.errors import CursorExpired
from gleichtakt.store import changes
from gleichtakt.store.database import new_id, wake_after_commit
from gleichtakt.store.rows import Kept
from gleichtakt.store.schema import webhook
from gleichtakt.store.secrets import SecretBox, place_of


@dataclass(frozen=True, slots=True)
class Webhook:
    """Where to, and what for. types: of changes; empty for all. retry_at: next try while it is failing."""

    id: UUID
    organization_id: UUID
    url: str
    types: Sequence[str]
    active: bool
    cursor_xid: int
    cursor_id: int
    failing_since: datetime | None
    attempt: int
    retry_at: datetime | None
    last_status: str
    version: int
    created_at: datetime
    updated_at: datetime


webhooks = Kept(webhook, Webhook, "webhook")

TEST_JOB = "webhook_test"  # kind of the outbox row that asks for a test delivery


def new_secret() -> str:
    """Draw a signing secret in the form of the convention."""
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


async def create(
    connection: AsyncConnection,
    box: SecretBox,
    *,
    organization_id: UUID,
    url: str,
    types: Sequence[str] = (),
    active: bool = True,
    secret: str = "",
) -> tuple[Webhook, str]:
    """Add a webhook that tells of everything from now on; give it with its secret, which nobody can read again."""
    webhook_id, drawn = new_id(), secret or new_secret()
    _, position = await changes.latest(connection)
    values = {
        "id": webhook_id,
        "organization_id": organization_id,
        "url": url,
        "types": list(types),
        "active": active,
        "secret": box.seal(drawn.encode(), place_of("webhook", "secret", webhook_id)),
        "cursor_xid": position.xid,
        "cursor_id": position.id,
    }
    return await webhooks.add(connection, values), drawn


async def change(
    connection: AsyncConnection,
    organization_id: UUID,
    webhook_id: UUID,
    values: Mapping[str, Any],
    expect: int | None = None,
) -> Webhook:
    """Change a webhook; one that was failing is tried again at once."""
    again = {"retry_at": None, "attempt": 0, "failing_since": None} if values else {}
    after = await webhooks.change(connection, organization_id, webhook_id, {**values, **again}, expect)
    wake_after_commit(connection, changes.CHANNEL)
    return after


async def renew_secret(
    connection: AsyncConnection, box: SecretBox, organization_id: UUID, webhook_id: UUID
) -> tuple[Webhook, str]:
    """Give a webhook a new secret; the one before stays valid beside it until the next change."""
    await webhooks.get(connection, organization_id, webhook_id, lock=True)
    drawn = new_secret()
    row = await connection.execute(text("select secret from webhook where id = :id"), {"id": webhook_id})
    old = row.scalar_one()
    values: dict[str, Any] = {"secret": box.seal(drawn.encode(), place_of("webhook", "secret", webhook_id))}
    if old is not None:
        opened = box.open(bytes(old), place_of("webhook", "secret", webhook_id))
        values["previous_secret"] = box.seal(opened, place_of("webhook", "previous_secret", webhook_id))
    return await webhooks.change(connection, organization_id, webhook_id, values), drawn


async def replay(connection: AsyncConnection, organization_id: UUID, webhook_id: UUID, cursor: str | None) -> Webhook:
    """Send everything again from a cursor of the change feed; None: from the oldest change that is kept.

    Raises CursorExpired for a cursor of before a restore, Permanent for a text that is none.
    """
    position = changes.START
    if cursor is not None:
        epoch, position = changes.decode(cursor)
        current, _ = changes.decode((await changes.latest(connection))[0])
        if epoch != current:
            raise CursorExpired("store.cursor_epoch")
    return await change(connection, organization_id, webhook_id, {"cursor_xid": position.xid, "cursor_id": position.id})
