"""Organizations: each owns its connections, resources and everything below; the first one is the default."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from gleichtakt.store.rows import Kept
from gleichtakt.store.schema import PARTITIONED, organization


@dataclass(frozen=True, slots=True)
class Organization:
    """One customer, firm or department; nothing of it is visible to another."""

    id: UUID
    name: str
    external_id: str | None
    time_zone: str
    language: str
    version: int
    created_at: datetime
    updated_at: datetime


organizations = Kept(organization, Organization, "organization")

#: Tables whose rows name an organization without a foreign key that would take them along.
LOOSE = (*(table.name for table in PARTITIONED if "organization_id" in table.c), "change", "outbox", "idempotency")
#: Partitioned tables that know only their resource.
OF_RESOURCE = tuple(table.name for table in PARTITIONED if "organization_id" not in table.c)


async def default_id(connection: AsyncConnection) -> UUID | None:
    """Give the oldest organization: the one meant when a request names none."""
    query = select(organization.c.id).order_by(organization.c.created_at, organization.c.id).limit(1)
    return (await connection.execute(query)).scalar_one_or_none()


async def contents(connection: AsyncConnection, organization_id: UUID) -> dict[str, int]:
    """Count what a deletion of an organization would take along."""
    found = await connection.execute(
        text("""select (select count(*) from connection where organization_id = :id) as connections,
                       (select count(*) from resource where organization_id = :id) as resources,
                       (select count(*) from link where organization_id = :id and state <> 'disconnected') as links"""),
        {"id": organization_id},
    )
    return dict(found.mappings().one())


async def erase(connection: AsyncConnection, organization_id: UUID, expect: int | None = None) -> Organization:
    """Delete an organization with everything that belongs to it. Copies at providers stay as they are.

    The audit trail stays: it tells who did this.
    """
    erased = await organizations.get(connection, None, organization_id, lock=True)
    given = {"id": organization_id}
    for name in OF_RESOURCE:
        await connection.execute(
            text(f"delete from {name} where resource_id in (select id from resource where organization_id = :id)"), given
        )
    for name in LOOSE:
        await connection.execute(text(f"delete from {name} where organization_id = :id"), given)
    await organizations.remove(connection, None, organization_id, expect)
    return erased
