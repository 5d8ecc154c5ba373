"""Writes what is configured as a file that `apply` finds nothing to do for. Secrets appear as references only."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any
from uuid import UUID

import yaml
from sqlalchemy.ext.asyncio import AsyncConnection

from gleichtakt.onboarding.configuration.document import VERSION
from gleichtakt.onboarding.configuration.reconcile import all_of, handle
from gleichtakt.store import connections, levels, links, organizations, resources, webhooks
from gleichtakt.store.connections import MASK
from gleichtakt.store.database import Database
from gleichtakt.sync.policy import to_json

Document = dict[str, Any]


async def export(database: Database) -> str:
    """Give the whole configuration as YAML. What has its default is left out where that says the same."""
    async with database.begin() as connection:
        found = [await _organization(connection, row) for row in await all_of(connection, organizations.organizations, None)]
    document = {"version": VERSION, "organizations": found}
    return yaml.safe_dump(document, allow_unicode=True, sort_keys=False, width=120, default_flow_style=False)


async def _organization(connection: AsyncConnection, row: Any) -> Document:
    groups = await all_of(connection, resources.groups, row.id)
    logins = await all_of(connection, connections.connections, row.id)
    people = await all_of(connection, resources.resources, row.id)
    ties = [tie for tie in await all_of(connection, links.links, row.id) if tie.state != "disconnected"]
    hooks = await all_of(connection, webhooks.webhooks, row.id)
    by_id = {found.id: handle(found) for found in (*groups, *logins)}
    return _filled(
        {
            **_named(row, "time_zone", "language"),
            "settings": await _settings(connection, row.id, "global", row.id),
            "groups": [
                _filled({**_named(group), "settings": await _settings(connection, row.id, "group", group.id)}) for group in groups
            ],
            "connections": [_login(login) for login in logins],
            "resources": [await _resource(connection, person, ties, by_id) for person in people],
            "webhooks": [_filled({"url": hook.url, "types": list(hook.types), "active": hook.active}) for hook in hooks],
        }
    )


async def _resource(connection: AsyncConnection, row: Any, ties: Iterable[Any], by_id: Mapping[UUID, str]) -> Document:
    own = [tie for tie in ties if tie.resource_id == row.id]
    return _filled(
        {
            **_named(row, "kind", "email", "time_zone", "language"),
            "group": by_id.get(row.group_id, "") if row.group_id else "",
            "settings": await _settings(connection, row.organization_id, "resource", row.id),
            "links": [
                _filled(
                    {
                        "connection": by_id[tie.connection_id],
                        "mailbox": tie.mailbox,
                        "calendar": tie.calendar,
                        "active": None if tie.active else False,
                        "settings": await _settings(connection, row.organization_id, "link", tie.id),
                    }
                )
                for tie in own
            ],
        }
    )


def _login(row: Any) -> Document:
    auth = {name: value if value != MASK else f"env:{_variable(row, name)}" for name, value in row.auth.items()}
    return _filled(
        {
            **_named(row, "provider", "url", "autodiscover_address"),
            "auth": {"method": row.auth_method, **auth},
            "access": row.access,
            "tls": dict(row.tls),
            "allow_insecure": row.allow_insecure or None,
            "options": dict(row.options),
        }
    )


def _variable(row: Any, secret: str) -> str:
    """Name the environment variable that is to hold a secret elsewhere, such as RADICALE_PASSWORD."""
    return re.sub(r"[^A-Z0-9]+", "_", f"{handle(row)}_{secret}".upper()).strip("_")


def _named(row: Any, *more: str) -> Document:
    return {name: getattr(row, name) for name in ("external_id", "name", *more)}


async def _settings(connection: AsyncConnection, organization_id: UUID, level: str, object_id: UUID) -> Document:
    at = await levels.place(connection, level, object_id, organization_id)
    said = (await levels.layers(connection, at))[-1][1]
    return {name: to_json(said[name]) for name in sorted(said)}


def _filled(document: Document) -> Document:
    return {name: value for name, value in document.items() if value not in (None, "", [], {})}
