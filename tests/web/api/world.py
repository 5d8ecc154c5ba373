"""One object of every kind the interface knows, in one organization, named as the parameters of its paths."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID, uuid4

import httpx
from sqlalchemy import text
from tests.web.api.conftest import STANDUP, Caller

from gleichtakt.store.database import Database, new_id

Ids = dict[str, str]

_RUN = text("""
insert into run (id, organization_id, link_id, connection_id, kind, state, asked_by, finished_at)
values (:id, :organization_id, :link_id, :connection_id, 'sync', 'done', 'test', now())
""")
_HOLD = text("""
insert into hold (id, organization_id, link_id, resource_id, run_id, kind, count)
values (:id, :organization_id, :link_id, :resource_id, :run_id, 'mass_delete', 1)
""")
_HELD = text("""
insert into hold_action (hold_id, number, resource_id, link_id, series_id, side, verb, uid, title, why)
values (:id, 0, :resource_id, :link_id, :event_id, 'provider', 'delete', 'u-1', 'Secret meeting', 'ours_deleted')
""")
_CONFLICT = text("""
insert into conflict (id, organization_id, link_id, resource_id, series_id, fields, base, ours, theirs)
values (:id, :organization_id, :link_id, :resource_id, :event_id, cast(:fields as jsonb), '{"title": "A"}',
        '{"title": "B"}', '{"title": "C"}')
""")
_PROBLEM = text("""
insert into problem (id, organization_id, resource_id, link_id, connection_id, series_id, side, code, kind, scope, key)
values (:id, :organization_id, :resource_id, :link_id, :connection_id, :event_id, 'provider', 'web.upstream_slow',
        'transient', 'series', :key)
""")


async def make_world(api: Caller, database: Database) -> Ids:
    """Make everything in the organization of the caller; give the ids by parameter name."""
    group = await api.made("/groups", name="Consultants", external_id="g-1")
    resource = await api.made("/resources", name="Anna Muster", external_id="u-1", email="anna@example.org", group_id=group["id"])
    event = await api.made(f"/resources/{resource['id']}/events", **STANDUP, external_id="b-1")
    login = await api.made("/connections", provider="memory", name="There", external_id="c-1", url="http://127.0.0.1:9")
    link = await api.made("/links", resource_id=resource["id"], connection_id=login["id"], mailbox="anna@example.org")
    feed = await api.made(f"/resources/{resource['id']}/feeds", name="Phone")
    webhook = await api.made("/webhooks", url="https://hooks.example.org/")
    key = await api.made("/api-keys", name="Booking")
    ids = {
        "organization_id": str(api.organization_id),
        "group_id": group["id"],
        "resource_id": resource["id"],
        "event_id": event["id"],
        "connection_id": login["id"],
        "link_id": link["id"],
        "feed_id": feed["id"],
        "webhook_id": webhook["id"],
        "key_id": key["id"],
    }
    return ids | await make_work(database, ids)


async def make_work(database: Database, ids: Ids) -> Ids:
    """Store what runs leave behind: a run, a hold with its action, a conflict and a problem."""
    made = {name: str(new_id()) for name in ("run_id", "hold_id", "conflict_id", "problem_id")}
    given: dict[str, Any] = {name: UUID(value) for name, value in (ids | made).items()}
    given |= {"fields": json.dumps(["title"]), "key": str(uuid4())}
    async with database.begin() as connection:
        await connection.execute(_RUN, {**given, "id": given["run_id"]})
        await connection.execute(_HOLD, {**given, "id": given["hold_id"]})
        await connection.execute(_HELD, {**given, "id": given["hold_id"]})
        await connection.execute(_CONFLICT, {**given, "id": given["conflict_id"]})
        await connection.execute(_PROBLEM, {**given, "id": given["problem_id"]})
    return made


async def description_of(client: httpx.AsyncClient) -> dict[str, Any]:
    """Read the description of the interface."""
    found: dict[str, Any] = (await client.get("/api/v1/openapi.json")).json()
    return found
