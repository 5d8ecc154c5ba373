"""Resources of the application (people, rooms, equipment) and the groups they stand in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from gleichtakt.errors import Conflict, Scope
from gleichtakt.store.rows import Kept, missing
from gleichtakt.store.schema import PARTITIONED, resource, resource_group

KINDS = ("person", "room", "equipment")


@dataclass(frozen=True, slots=True)
class Resource:
    """Whose calendar it is. external_id: the application's own name of it."""

    id: UUID
    organization_id: UUID
    group_id: UUID | None
    external_id: str | None
    kind: str
    name: str
    email: str
    time_zone: str
    language: str
    login_at: datetime | None
    version: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Group:
    """Resources that share settings."""

    id: UUID
    organization_id: UUID
    name: str
    external_id: str | None
    version: int
    created_at: datetime
    updated_at: datetime


resources = Kept(resource, Resource, "resource")
groups = Kept(resource_group, Group, "group")


async def signed_in(connection: AsyncConnection, organization_id: UUID, resource_id: UUID) -> Resource:
    """Note that this person has just signed in to the application."""
    query = (
        update(resource)
        .where(resource.c.id == resource_id, resource.c.organization_id == organization_id)
        .values(login_at=text("now()"))
        .returning(*resources.columns)
    )
    row = (await connection.execute(query)).one_or_none()
    if row is None:
        raise missing("resource")
    return resources.value(row)


async def erase(connection: AsyncConnection, organization_id: UUID, resource_id: UUID, expect: int | None = None) -> Resource:
    """Delete a resource with its calendar. Raises Conflict `web.still_linked` while links tie it to a calendar system."""
    found = await resources.get(connection, organization_id, resource_id, lock=True)
    tied = await connection.execute(
        text("select count(*) from link where resource_id = :id and state <> 'disconnected'"), {"id": resource_id}
    )
    if number := tied.scalar_one():
        raise Conflict("web.still_linked", Scope.SERIES, links=str(number))
    for table in PARTITIONED:
        await connection.execute(text(f"delete from {table.name} where resource_id = :id"), {"id": resource_id})
    await resources.remove(connection, organization_id, resource_id, expect)
    return found


async def members(connection: AsyncConnection, organization_id: UUID, group_id: UUID) -> list[UUID]:
    """Give the resources of a group, by age."""
    found = await connection.execute(
        text("select id from resource where organization_id = :organization_id and group_id = :group_id order by id"),
        {"organization_id": organization_id, "group_id": group_id},
    )
    return [row.id for row in found]


async def standing(connection: AsyncConnection, resource_id: UUID) -> str:
    """Say how far a resource is connected: not_found, connected, paused, auth_expired or error; the best of its links."""
    found = await connection.execute(
        text("""select l.state, l.active, c.state as at from link l join connection c on c.id = l.connection_id
                where l.resource_id = :id and l.state <> 'disconnected'"""),
        {"id": resource_id},
    )
    states = [_standing(row) for row in found]
    return next((state for state in ("connected", "paused", "auth_expired", "error") if state in states), "not_found")


def _standing(row: Any) -> str:
    if not row.active or row.state == "paused" or row.at == "paused":
        return "paused"
    if "auth_required" in (row.state, row.at):
        return "auth_expired"
    return "error" if row.state == "error" else "connected"
