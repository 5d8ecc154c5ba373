"""Organizations and API keys. Both are for keys with the scope `admin`; making organizations needs a key of all of them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from litestar import Response, delete, get, patch, post
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from msgspec import UNSET, Meta, UnsetType

from gleichtakt.errors import Permanent, Scope
from gleichtakt.store import keys
from gleichtakt.store import organizations as store
from gleichtakt.store.keys import api_keys
from gleichtakt.store.organizations import organizations
from gleichtakt.store.rows import Listing, missing
from gleichtakt.store.schema import api_key
from gleichtakt.store.schema import organization as table
from gleichtakt.web.api.context import Ask, Page, access_of, acting, expected, found, paged, reading, services, shown
from gleichtakt.web.api.forms import Cursor, ExternalId, Language, Limit, Name, after_of, given, texts, zone_name
from gleichtakt.web.problems import Unconfirmed, invalid

ScopeName = Literal["read", "write", "admin"]


class OrganizationView(msgspec.Struct):
    """An organization."""

    id: UUID
    name: str
    external_id: str | None
    time_zone: str
    language: str
    created_at: datetime
    updated_at: datetime
    etag: str


class NewOrganization(msgspec.Struct):
    """What an organization is made from. time_zone, language: what resources of it begin with."""

    name: Name
    external_id: ExternalId | None = None
    time_zone: str = "Europe/Berlin"
    language: Language = "de"


class OrganizationChange(msgspec.Struct):
    """What changes; the rest stays."""

    name: Name | UnsetType = UNSET
    external_id: ExternalId | UnsetType | None = UNSET
    time_zone: str | UnsetType = UNSET
    language: Language | UnsetType = UNSET


def _own(request: Ask, organization_id: UUID) -> UUID:
    """Refuse an organization that is not the key's own. Other ones do not exist for it."""
    own = access_of(request).organization_id
    if own not in (None, organization_id):
        raise missing("organization")
    return organization_id


@get("/organizations")
async def list_organizations(
    request: Ask, limit: Limit = 100, cursor: Cursor = None, external_id: FromQuery[str | None] = None
) -> Response[Page[OrganizationView]]:
    """List the organizations the key may see."""
    own = access_of(request).organization_id
    conditions = [] if own is None else [table.c.id == own]
    if external_id is not None:
        conditions.append(table.c.external_id == external_id)
    async with services(request).database.read() as connection:
        listing = await organizations.page(connection, *conditions, after=after_of(cursor), limit=limit)
    return paged(request, listing, [shown(OrganizationView, row) for row in listing.items])


@post("/organizations", opt={"needs": "admin"})
async def create_organization(request: Ask, data: JSONBody[NewOrganization]) -> Response[OrganizationView]:
    """Make an organization."""
    if access_of(request).organization_id is not None:
        raise Permanent("web.forbidden_organization", Scope.ACCOUNT)
    zone_name(data.time_zone)
    async with acting(request) as deed:
        made = await organizations.add(deed.connection, given(data))
        view = shown(OrganizationView, made)
        deed.note("organization.create", f"organization/{made.id}", None, view)
        return deed.answer(view, status=201, etag=view.etag, location=f"/api/v1/organizations/{made.id}")


@get("/organizations/{organization_id:uuid}")
async def get_organization(request: Ask, organization_id: FromPath[UUID]) -> Response[OrganizationView]:
    """Read an organization."""
    _own(request, organization_id)
    async with services(request).database.read() as connection:
        view = shown(OrganizationView, await organizations.get(connection, None, organization_id))
    return found(request, view, view.etag)


@patch("/organizations/{organization_id:uuid}", opt={"needs": "admin"})
async def change_organization(
    request: Ask, organization_id: FromPath[UUID], data: JSONBody[OrganizationChange]
) -> Response[OrganizationView]:
    """Change an organization."""
    _own(request, organization_id)
    values = given(data)
    if "time_zone" in values:
        zone_name(values["time_zone"])
    async with acting(request) as deed:
        before = shown(OrganizationView, await organizations.get(deed.connection, None, organization_id, lock=True))
        after = await organizations.change(deed.connection, None, organization_id, values, expected(request))
        view = shown(OrganizationView, after)
        deed.note("organization.change", f"organization/{organization_id}", before, view)
        return deed.answer(view, etag=view.etag)


@delete("/organizations/{organization_id:uuid}", status_code=204, opt={"needs": "admin"})
async def delete_organization(
    request: Ask,
    organization_id: FromPath[UUID],
    confirm: Annotated[str, QueryParameter(description="the organization's name, where it is not empty")] = "",
) -> None:
    """Delete an organization with everything in it. Copies at calendar systems stay as they are."""
    if access_of(request).organization_id is not None:
        raise Permanent("web.forbidden_organization", Scope.ACCOUNT)
    async with acting(request) as deed:
        gone = await organizations.get(deed.connection, None, organization_id, lock=True)
        if await store.default_id(deed.connection) == organization_id:
            raise Permanent("web.last_organization", Scope.ACCOUNT)
        hits = await store.contents(deed.connection, organization_id)
        if any(hits.values()) and confirm != gone.name:
            raise Unconfirmed(gone.name, hits)
        await store.erase(deed.connection, organization_id, expected(request))
        deed.note("organization.delete", f"organization/{organization_id}", shown(OrganizationView, gone))
        deed.answer(None, status=204)
    services(request).keys.forget()


# --- API keys ----------------------------------------------------------------------------------------------------


class KeyView(msgspec.Struct):
    """What may be shown of an API key. prefix: its first characters. organization_id null: of every organization."""

    id: UUID
    organization_id: UUID | None
    name: str
    prefix: str
    scopes: list[str]
    created_at: datetime
    last_used_at: datetime | None
    expires_at: datetime | None
    revoked_at: datetime | None


class NewKeyView(KeyView, kw_only=True):
    """A key that was just made: the only answer that holds `key`."""

    key: str


class NewKey(msgspec.Struct):
    """What a key is made from. Each scope includes the ones before it: read, write, admin.

    every_organization: only for keys that are of every organization themselves.
    """

    name: Name
    scopes: Annotated[list[ScopeName], Meta(min_length=1, max_length=3)] = msgspec.field(default_factory=lambda: ["read"])
    expires_at: datetime | None = None
    every_organization: bool = False


class KeyChange(msgspec.Struct):
    """What changes of a key. Scopes and the key itself do not: make another one."""

    name: Name | UnsetType = UNSET
    expires_at: datetime | UnsetType | None = UNSET


def _aware(at: datetime | None) -> datetime | None:
    if at is None:
        return None
    if at.tzinfo is None:
        raise invalid("expires_at", "expected a time with an offset or Z")
    try:
        return at.astimezone(UTC)
    except OverflowError:
        raise invalid("expires_at", "lies outside the years 1 to 9999") from None


def _visible(request: Ask, organization_id: UUID) -> list[Any]:
    """Give the conditions for keys a caller sees: its organization's, and those of every one where it is one of them."""
    if access_of(request).organization_id is not None:
        return [api_key.c.organization_id == organization_id]
    return [(api_key.c.organization_id == organization_id) | api_key.c.organization_id.is_(None)]


@get("/api-keys", opt={"needs": "admin"})
async def list_keys(request: Ask, limit: Limit = 100, cursor: Cursor = None) -> Response[Page[KeyView]]:
    """List the API keys, revoked ones included."""
    async with reading(request) as (connection, organization_id):
        listing: Listing[keys.ApiKey] = await api_keys.page(
            connection, *_visible(request, organization_id), after=after_of(cursor), limit=limit
        )
    return paged(request, listing, [shown(KeyView, row) for row in listing.items])


@post("/api-keys", opt={"needs": "admin"})
async def create_key(request: Ask, data: JSONBody[NewKey]) -> Response[NewKeyView]:
    """Make an API key; its text is given once and cannot be read again."""
    expires_at = _aware(data.expires_at)
    if data.every_organization and access_of(request).organization_id is not None:
        raise Permanent("web.forbidden_organization", Scope.ACCOUNT)
    async with acting(request) as deed:
        made, text = await keys.create(
            deed.connection,
            organization_id=None if data.every_organization else deed.organization_id,
            name=data.name,
            scopes=data.scopes,
            expires_at=expires_at,
        )
        deed.note("api_key.create", f"api_key/{made.id}", None, shown(KeyView, made))
        return deed.answer(shown(NewKeyView, made, key=text), status=201, location=f"/api/v1/api-keys/{made.id}")


async def _key(request: Ask, connection: Any, organization_id: UUID, key_id: UUID) -> keys.ApiKey:
    key = await api_keys.get(connection, None, key_id)
    hidden = access_of(request).organization_id is not None or key.organization_id is not None
    if hidden and key.organization_id != organization_id:
        raise missing("api_key")
    return key


@get("/api-keys/{key_id:uuid}", opt={"needs": "admin"})
async def get_key(request: Ask, key_id: FromPath[UUID]) -> Response[KeyView]:
    """Read what is known of an API key."""
    async with reading(request) as (connection, organization_id):
        return found(request, shown(KeyView, await _key(request, connection, organization_id, key_id)))


@patch("/api-keys/{key_id:uuid}", opt={"needs": "admin"})
async def change_key(request: Ask, key_id: FromPath[UUID], data: JSONBody[KeyChange]) -> Response[KeyView]:
    """Rename an API key or let it expire."""
    values = given(data)
    texts(values, "name")
    if "expires_at" in values:
        values["expires_at"] = _aware(values["expires_at"])
    async with acting(request) as deed:
        before = await _key(request, deed.connection, deed.organization_id, key_id)
        after = shown(KeyView, await api_keys.change(deed.connection, None, key_id, values))
        deed.note("api_key.change", f"api_key/{key_id}", shown(KeyView, before), after)
        answer = deed.answer(after)
    services(request).keys.forget()
    return answer


@delete("/api-keys/{key_id:uuid}", status_code=204, opt={"needs": "admin"})
async def revoke_key(request: Ask, key_id: FromPath[UUID]) -> None:
    """Revoke an API key. It ends at once here, and within half a minute in other web processes."""
    async with acting(request) as deed:
        before = await _key(request, deed.connection, deed.organization_id, key_id)
        await keys.revoke(deed.connection, None, key_id)
        deed.note("api_key.revoke", f"api_key/{key_id}", shown(KeyView, before))
        deed.answer(None, status=204)
    services(request).keys.forget()


route_handlers = [
    list_organizations,
    create_organization,
    get_organization,
    change_organization,
    delete_organization,
    list_keys,
    create_key,
    get_key,
    change_key,
    revoke_key,
]
