"""A firm to hang rows on, for tests of what is stored."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import text

from gleichtakt.store.database import Database, new_id


@dataclass(frozen=True, slots=True)
class Firm:
    """An organization with a connection, for tests that need somewhere to hang their rows."""

    organization_id: UUID
    connection_id: UUID


async def make_firm(database: Database, name: str = "Muster GmbH", provider: str = "memory") -> Firm:
    """Store an organization with one connection."""
    firm = Firm(new_id(), new_id())
    async with database.begin() as connection:
        await connection.execute(
            text("INSERT INTO organization (id, name) VALUES (:id, :name)"), {"id": firm.organization_id, "name": name}
        )
        await connection.execute(
            text("INSERT INTO connection (id, organization_id, provider) VALUES (:id, :organization, :provider)"),
            {"id": firm.connection_id, "organization": firm.organization_id, "provider": provider},
        )
    return firm
