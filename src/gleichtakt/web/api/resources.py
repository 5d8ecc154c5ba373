"""Resources (people, rooms, equipment), the groups they stand in, and «this person has just signed in»."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec
from litestar import Response, delete, get, patch, post
from litestar.params import FromPath, FromQuery, JSONBody
from msgspec import UNSET, UnsetType
from sqlalchemy.ext.asyncio import AsyncConnection

from gleichtakt.onboarding import directory
from gleichtakt.store import levels, outbox, runs
from gleichtakt.store import resources as store
from gleichtakt.store.connections import connections
from gleichtakt.store.organizations import organizations
from gleichtakt.store.resources import groups, resources
from gleichtakt.store.schema import connection as connection_table
from gleichtakt.store.schema import resource as table
from gleichtakt.store.schema import resource_group as group_table
from gleichtakt.web.api.context import Ask, Page, acting, expected, found, paged, reading, shown
from gleichtakt.web.api.forms import (
    Cursor,
    ExternalId,
    Language,
    Limit,
    Name,
    after_of,
    given,
    texts,
    zone_name,
)

Kind = Literal["person", "room", "equipment"]


class ResourceView(msgspec.Struct):
    """Whose calendar it is. external_id: the application's own name of it."""

    id: UUID
    external_id: str | None
    group_id: UUID | None
    kind: str
    name: str
    email: str
    time_zone: str
    language: str
    login_at: datetime | None
    created_at: datetime
    updated_at: datetime
    etag: str


class NewResource(msgspec.Struct):
    """What a resource is made from. time_zone, language: the organization's, where left out."""

    name: Name = ""
    external_id: ExternalId | None = None
    group_id: UUID | None = None
    kind: Kind = "person"
    email: Name = ""
    time_zone: str | None = None
    language: Language | None = None


class ResourceChange(msgspec.Struct):
    """What changes; the rest stays."""

    name: Name | UnsetType = UNSET
    external_id: ExternalId | UnsetType | None = UNSET
    group_id: UUID | UnsetType | None = UNSET
    kind: Kind | UnsetType = UNSET
    email: Name | UnsetType = UNSET
    time_zone: str | UnsetType = UNSET
    language: Language | UnsetType = UNSET


class Standing(msgspec.Struct):
    """How far a person is connected: not_found, connected, paused, auth_expired or error. matching: a search is queued."""

    resource_id: UUID
    state: str
    matching: bool
    login_at: datetime | None


class GroupView(msgspec.Struct):
    """Resources that share settings; a resource joins by its `group_id`."""

    id: UUID
    name: str
    external_id: str | None
    created_at: datetime
    updated_at: datetime
    etag: str


class NewGroup(msgspec.Struct):
    """What a group is made from."""

    name: Name
    external_id: ExternalId | None = None


class GroupChange(msgspec.Struct):
    """What changes; the rest stays."""

    name: Name | UnsetType = UNSET
    external_id: ExternalId | UnsetType | None = UNSET


async def _checked(connection: AsyncConnection, organization_id: UUID, values: dict[str, Any]) -> None:
    """Refuse zones nobody knows and groups of others."""
    if values.get("time_zone") is not None:
        zone_name(values["time_zone"])
    if values.get("group_id") is not None:
        await groups.get(connection, organization_id, values["group_id"])


@get("/resources")
async def list_resources(
    request: Ask,
    limit: Limit = 100,
    cursor: Cursor = None,
    external_id: FromQuery[str | None] = None,
    email: FromQuery[str | None] = None,
    group_id: FromQuery[UUID | None] = None,
) -> Response[Page[ResourceView]]:
    """List the resources, or find one by the application's own id."""
    async with reading(request) as (connection, organization_id):
        conditions = [table.c.organization_id == organization_id]
        wanted = {"external_id": external_id, "email": email, "group_id": group_id}
        conditions += [table.c[name] == value for name, value in wanted.items() if value is not None]
        listing = await resources.page(connection, *conditions, after=after_of(cursor), limit=limit)
    return paged(request, listing, [shown(ResourceView, row) for row in listing.items])


@post("/resources")
async def create_resource(request: Ask, data: JSONBody[NewResource]) -> Response[ResourceView]:
    """Add a resource."""
    async with acting(request) as deed:
        values = {name: value for name, value in given(data).items() if value is not None}
        await _checked(deed.connection, deed.organization_id, values)
        own = await organizations.get(deed.connection, None, deed.organization_id)
        row = {"time_zone": own.time_zone, "language": own.language, **values, "organization_id": deed.organization_id}
        view = shown(ResourceView, await resources.add(deed.connection, row))
        deed.note("resource.create", f"resource/{view.id}", None, view)
        return deed.answer(view, status=201, etag=view.etag, location=f"/api/v1/resources/{view.id}")


@get("/resources/{resource_id:uuid}")
async def get_resource(request: Ask, resource_id: FromPath[UUID]) -> Response[ResourceView]:
    """Read a resource."""
    async with reading(request) as (connection, organization_id):
        view = shown(ResourceView, await resources.get(connection, organization_id, resource_id))
    return found(request, view, view.etag)


@patch("/resources/{resource_id:uuid}")
async def change_resource(request: Ask, resource_id: FromPath[UUID], data: JSONBody[ResourceChange]) -> Response[ResourceView]:
    """Change a resource."""
    values = given(data)
    texts(values, "name", "email")
    async with acting(request) as deed:
        await _checked(deed.connection, deed.organization_id, values)
        before = await resources.get(deed.connection, deed.organization_id, resource_id, lock=True)
        after = await resources.change(deed.connection, deed.organization_id, resource_id, values, expected(request))
        view = shown(ResourceView, after)
        deed.note("resource.change", f"resource/{resource_id}", shown(ResourceView, before), view)
        return deed.answer(view, etag=view.etag)


@delete("/resources/{resource_id:uuid}", status_code=204)
async def delete_resource(request: Ask, resource_id: FromPath[UUID]) -> None:
    """Delete a resource with its calendar; its links are disconnected first."""
    async with acting(request) as deed:
        gone = await store.erase(deed.connection, deed.organization_id, resource_id, expected(request))
        await levels.forget(deed.connection, "resource", resource_id)
        deed.note("resource.delete", f"resource/{resource_id}", shown(ResourceView, gone))
        deed.answer(None, status=204)


@post("/resources/{resource_id:uuid}/login", status_code=202)
async def note_login(request: Ask, resource_id: FromPath[UUID]) -> Response[Standing]:
    """Say that this person has just signed in to the application: they are looked up in the directories."""
    async with acting(request) as deed:
        row = await store.signed_in(deed.connection, deed.organization_id, resource_id)
        state = await store.standing(deed.connection, resource_id)
        matching = state == "not_found" and await _match(deed.connection, deed.organization_id, resource_id)
        return deed.answer(Standing(resource_id, state, matching, row.login_at), status=202)


async def _match(connection: AsyncConnection, organization_id: UUID, resource_id: UUID) -> bool:
    """Have a person looked up wherever there is a directory; say whether there is one."""
    listing = await connections.page(connection, connection_table.c.organization_id == organization_id, limit=1000)
    asked = [row for row in listing.items if directory.has_directory(row.provider, row.options)]
    for row in asked:
        job = {"connection_id": str(row.id), "resource_id": str(resource_id)}
        key = f"match/{row.id}/{resource_id}"
        await outbox.put(connection, "match_directory", job, key=key, organization_id=organization_id)
    return bool(asked)


# --- groups ------------------------------------------------------------------------------------------------------


@get("/groups")
async def list_groups(
    request: Ask, limit: Limit = 100, cursor: Cursor = None, external_id: FromQuery[str | None] = None
) -> Response[Page[GroupView]]:
    """List the groups."""
    async with reading(request) as (connection, organization_id):
        conditions = [group_table.c.organization_id == organization_id]
        if external_id is not None:
            conditions.append(group_table.c.external_id == external_id)
        listing = await groups.page(connection, *conditions, after=after_of(cursor), limit=limit)
    return paged(request, listing, [shown(GroupView, row) for row in listing.items])


@post("/groups")
async def create_group(request: Ask, data: JSONBody[NewGroup]) -> Response[GroupView]:
    """Add a group."""
    async with acting(request) as deed:
        row = {**given(data), "organization_id": deed.organization_id}
        view = shown(GroupView, await groups.add(deed.connection, row))
        deed.note("group.create", f"group/{view.id}", None, view)
        return deed.answer(view, status=201, etag=view.etag, location=f"/api/v1/groups/{view.id}")


@get("/groups/{group_id:uuid}")
async def get_group(request: Ask, group_id: FromPath[UUID]) -> Response[GroupView]:
    """Read a group."""
    async with reading(request) as (connection, organization_id):
        view = shown(GroupView, await groups.get(connection, organization_id, group_id))
    return found(request, view, view.etag)


@patch("/groups/{group_id:uuid}")
async def change_group(request: Ask, group_id: FromPath[UUID], data: JSONBody[GroupChange]) -> Response[GroupView]:
    """Change a group."""
    values = given(data)
    texts(values, "name")
    async with acting(request) as deed:
        before = await groups.get(deed.connection, deed.organization_id, group_id, lock=True)
        after = await groups.change(deed.connection, deed.organization_id, group_id, values, expected(request))
        view = shown(GroupView, after)
        deed.note("group.change", f"group/{group_id}", shown(GroupView, before), view)
        return deed.answer(view, etag=view.etag)


@delete("/groups/{group_id:uuid}", status_code=204)
async def delete_group(request: Ask, group_id: FromPath[UUID]) -> None:
    """Delete a group. Its resources stay, without a group and its settings."""
    async with acting(request) as deed:
        concerned = await levels.links_below(deed.connection, deed.organization_id, "group", group_id)
        gone = await groups.remove(deed.connection, deed.organization_id, group_id, expected(request))
        await levels.forget(deed.connection, "group", group_id)
        await runs.make_due(deed.connection, concerned)
        deed.note("group.delete", f"group/{group_id}", shown(GroupView, gone))
        deed.answer(None, status=204)


route_handlers = [
    list_resources,
    create_resource,
    get_resource,
    change_resource,
    delete_resource,
    note_login,
    list_groups,
    create_group,
    get_group,
    change_group,
    delete_group,
]
