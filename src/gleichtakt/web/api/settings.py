"""Settings at four levels. Reading gives every value with the level it comes from; writing null clears a value.

A change counts from the next pass. Where it could take copies away, a plan is asked for as well, and its run is named in
the header `gleichtakt-plan`; deletions wait for approval in any case, by the guards.
"""

from __future__ import annotations

import hashlib
from typing import Any
from uuid import UUID

import msgspec
from litestar import Response, get, patch
from litestar.params import FromPath, JSONBody
from sqlalchemy.ext.asyncio import AsyncConnection

from gleichtakt.errors import Conflict, Scope
from gleichtakt.onboarding.connect import provider_limits
from gleichtakt.store import levels, runs
from gleichtakt.sync.policy import SETTINGS, to_json
from gleichtakt.web.api.context import Ask, acting, found, organization_of, reading
from gleichtakt.web.api.links import put_settings

#: What may take copies or imported events away when it is narrowed.
NARROWING = frozenset(
    {
        "direction",
        "inbound_enabled",
        "outbound_enabled",
        "inbound_detail",
        "outbound_detail",
        "relay",
        "private_events",
        "outbound_private",
        "event_kinds",
        "all_day",
        "on_disable",
        "remove_copy",
        "attendees",
    }
)
MOST_PLANS = 20  # links for which one change asks for a plan; beyond that an operator looks at samples


class SettingView(msgspec.Struct):
    """A value and the level it comes from: default, global, group, resource, link or provider ability."""

    value: Any
    origin: str


Settings = dict[str, SettingView]


async def _settings(connection: AsyncConnection, organization_id: UUID, level: str, object_id: UUID) -> Settings:
    at = await levels.place(connection, level, object_id, organization_id)
    limits = provider_limits(at.provider, at.options) if level == "link" else None
    resolved = await levels.resolved(connection, at, limits)
    return {
        name: SettingView(to_json(getattr(resolved.policy, name)), resolved.origins.get(name, "default")) for name in SETTINGS
    }


def _tag(settings: Settings) -> str:
    content = msgspec.json.encode(settings, order="deterministic")
    return f'"{hashlib.sha256(content).hexdigest()[:32]}"'


async def _read(request: Ask, level: str, object_id: UUID) -> Response[Settings]:
    async with reading(request) as (connection, organization_id):
        settings = await _settings(connection, organization_id, level, object_id)
    return found(request, settings, _tag(settings))


async def _write(request: Ask, level: str, object_id: UUID, values: dict[str, Any]) -> Response[Settings]:
    async with acting(request) as deed:
        before = await _settings(deed.connection, deed.organization_id, level, object_id)
        wanted = request.headers.get("if-match", "*").strip()
        if wanted not in ("*", _tag(before)):
            raise Conflict("web.etag_stale", Scope.SERIES)
        concerned = await put_settings(deed, level, object_id, values)
        after = await _settings(deed.connection, deed.organization_id, level, object_id)
        changed = {name for name in values if after[name] != before[name]}
        deed.note(
            "settings.change",
            f"{level}/{object_id}",
            {name: before[name] for name in sorted(changed)},
            {name: after[name] for name in sorted(changed)},
        )
        plans = await _plans(deed.connection, concerned, deed.actor) if changed & NARROWING else []
        headers = {"gleichtakt-plan": ", ".join(str(run_id) for run_id in plans)} if plans else {}
        return deed.answer(after, etag=_tag(after), headers=headers)


async def _plans(connection: AsyncConnection, link_ids: list[UUID], actor: str) -> list[UUID]:
    """Ask what the next pass of each link will do, so that a person can look before approving what is held."""
    asked = []
    for link_id in link_ids[:MOST_PLANS]:
        try:
            asked.append(await runs.ask(connection, link_id, "plan", actor))
        except Conflict:  # resting links plan when they work again
            continue
    return asked


@get("/settings")
async def get_settings(request: Ask) -> Response[Settings]:
    """Read the settings of the organization."""
    return await _read(request, "global", await organization_of(request))


@patch("/settings", opt={"needs": "admin"})
async def change_settings(request: Ask, data: JSONBody[dict[str, Any]]) -> Response[Settings]:
    """Change settings of the organization: `{key: value}`; null clears."""
    return await _write(request, "global", await organization_of(request), data)


@get("/groups/{group_id:uuid}/settings")
async def get_group_settings(request: Ask, group_id: FromPath[UUID]) -> Response[Settings]:
    """Read the settings of a group."""
    return await _read(request, "group", group_id)


@patch("/groups/{group_id:uuid}/settings")
async def change_group_settings(request: Ask, group_id: FromPath[UUID], data: JSONBody[dict[str, Any]]) -> Response[Settings]:
    """Change settings of a group: `{key: value}`; null clears."""
    return await _write(request, "group", group_id, data)


@get("/resources/{resource_id:uuid}/settings")
async def get_resource_settings(request: Ask, resource_id: FromPath[UUID]) -> Response[Settings]:
    """Read the settings of a resource."""
    return await _read(request, "resource", resource_id)


@patch("/resources/{resource_id:uuid}/settings")
async def change_resource_settings(
    request: Ask, resource_id: FromPath[UUID], data: JSONBody[dict[str, Any]]
) -> Response[Settings]:
    """Change settings of a resource: `{key: value}`; null clears."""
    return await _write(request, "resource", resource_id, data)


@get("/links/{link_id:uuid}/settings")
async def get_link_settings(request: Ask, link_id: FromPath[UUID]) -> Response[Settings]:
    """Read the settings of a link, with what its provider caps."""
    return await _read(request, "link", link_id)


@patch("/links/{link_id:uuid}/settings")
async def change_link_settings(request: Ask, link_id: FromPath[UUID], data: JSONBody[dict[str, Any]]) -> Response[Settings]:
    """Change settings of a link: `{key: value}`; null clears."""
    return await _write(request, "link", link_id, data)


route_handlers = [
    get_settings,
    change_settings,
    get_group_settings,
    change_group_settings,
    get_resource_settings,
    change_resource_settings,
    get_link_settings,
    change_link_settings,
]
