"""One organization never sees, changes or learns of another's anything; every operation of the interface is tried.

The operations come from the description, so that a new one cannot be forgotten here.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import text
from tests.web.api.conftest import Caller, make_key
from tests.web.api.world import Ids, description_of, make_world

from gleichtakt.store.database import Database
from gleichtakt.store.schema import metadata
from gleichtakt.web.api.description import operations
from gleichtakt.web.api.examples import BODIES

#: What the scope of a key has to be: admin here, else read for GET and write for the rest.
ADMIN = {
    "create_organization",
    "change_organization",
    "delete_organization",
    "list_keys",
    "create_key",
    "get_key",
    "change_key",
    "revoke_key",
    "create_connection",
    "change_connection",
    "delete_connection",
    "disconnect_connection",
    "match_connection",
    "change_settings",
    "create_webhook",
    "change_webhook",
    "delete_webhook",
}
WINDOW = "?from=2026-11-01&to=2026-12-01"
QUERIES = {"free_busy": WINDOW, "list_events": WINDOW}


@pytest.fixture
async def ids(api: Caller, database: Database) -> Ids:
    """One object of every kind in the organization of the test."""
    return await make_world(api, database)


async def every_operation(caller: Caller, ids: Ids) -> AsyncIterator[tuple[str, str, str, str, Any]]:
    """Give name, verb, path template, path with the ids, and a body for every operation."""
    for template, verb, operation in operations(await description_of(caller.client)):
        name = operation["operationId"]
        body = BODIES.get(name)
        yield (
            name,
            verb.upper(),
            template,
            template.format(**ids) + QUERIES.get(name, ""),
            dict(body) if body is not None else None,
        )


async def test_without_a_key_no_operation_tells_anything(api: Caller, ids: Ids) -> None:
    nobody = Caller(api.client, api.organization_id)
    async for name, verb, _, path, body in every_operation(nobody, ids):
        assert (await nobody(verb, path, body)).status_code == 401, name


async def test_every_operation_demands_its_scope(api: Caller, database: Database, ids: Ids) -> None:
    async def with_scope(scope: str) -> Caller:
        return Caller(api.client, api.organization_id, await make_key(database, api.organization_id, scope))

    weaker = {"write": await with_scope("read"), "admin": await with_scope("write")}
    demanding = set()
    async for name, verb, _, path, body in every_operation(api, ids):
        needed = "admin" if name in ADMIN else "read" if verb == "GET" else "write"
        if name == "find_times":  # a question, though it is sent with POST
            assert (await weaker["write"](verb, path, body)).status_code != 403
            continue
        if needed != "read":
            refused = await weaker[needed].refused(verb, path, body)
            assert (refused.status, refused.code) == (403, "web.forbidden"), name
            assert needed in refused.document["cause"]
            demanding.add(name)
    assert demanding >= ADMIN


async def test_what_belongs_to_another_organization_does_not_exist(stranger: Caller, ids: Ids) -> None:
    async for name, verb, template, path, body in every_operation(stranger, ids):
        if "{" not in template:
            continue
        answer = await stranger(verb, path, body)
        expected = 403 if name == "delete_organization" else 404  # only a key of all may delete one at all
        assert answer.status_code == expected, (name, answer.text)
        assert "Secret" not in answer.text


async def test_lists_show_only_ones_own(stranger: Caller, ids: Ids) -> None:
    foreign = set(ids.values())
    async for name, verb, template, path, _ in every_operation(stranger, ids):
        if verb == "GET" and "{" not in template:
            answer = await stranger(verb, path)
            assert answer.status_code == 200, name
            assert not [one for one in foreign if one in answer.text], name


@pytest.mark.parametrize("kind", ["runs", "holds", "conflicts", "problems", "links", "resources"])
async def test_naming_anothers_object_as_a_filter_finds_nothing(stranger: Caller, ids: Ids, kind: str) -> None:
    for name in ("link_id", "connection_id", "resource_id", "group_id"):
        assert await stranger.items(f"/{kind}?{name}={ids[name]}") == []


async def test_one_can_refer_to_ones_own_things_only(stranger: Caller, ids: Ids) -> None:
    mine = await stranger.made("/resources", name="Carla", external_id="u-1")
    login = await stranger.made("/connections", provider="memory", url="http://127.0.0.1:9")
    for verb, path, body in (
        ("POST", "/resources", {"name": "Ben", "group_id": ids["group_id"]}),
        ("PATCH", f"/resources/{mine['id']}", {"group_id": ids["group_id"]}),
        ("POST", "/links", {"resource_id": ids["resource_id"], "connection_id": login["id"], "mailbox": "a"}),
        ("POST", "/links", {"resource_id": mine["id"], "connection_id": ids["connection_id"], "mailbox": "a"}),
        ("POST", "/availability", _question(resource_ids=[ids["resource_id"]])),
        ("POST", "/availability", _question(group_id=ids["group_id"])),
        ("POST", "/availability", _question(external_ids=["u-1", "u-2"])),
        ("GET", f"/resources/{mine['id']}/events/{ids['event_id']}", None),
        ("PUT", f"/resources/{ids['resource_id']}/events/{ids['event_id']}", BODIES["put_event"]),
        ("DELETE", f"/resources/{mine['id']}/feeds/{ids['feed_id']}", None),
    ):
        refused = await stranger.refused(verb, path, body)
        assert refused.status == 404, (verb, path, refused)
    # the same external ids mean one's own
    answer = await stranger("POST", "/availability", _question(external_ids=["u-1"]))
    assert list(answer.json()["busy"]) == [mine["id"]]


def _question(**participants: Any) -> dict[str, Any]:
    return {"from": "2026-11-23", "to": "2026-11-24", "participants": [participants]}


async def test_whatever_a_stranger_tries_nothing_changes(stranger: Caller, database: Database, ids: Ids) -> None:
    before = await _content(database, ids)
    async for _name, verb, template, path, body in every_operation(stranger, ids):
        if verb != "GET" and "{" in template:
            await stranger(verb, path, body)
    assert await _content(database, ids) == before


async def _content(database: Database, ids: Ids) -> dict[str, str]:
    """Give what each table holds of an organization, as digests."""
    found = {}
    async with database.read() as connection:
        for table in metadata.sorted_tables:
            if "organization_id" in table.c:
                condition = "organization_id = cast(:organization_id as uuid)"
            elif "resource_id" in table.c:
                condition = "resource_id = cast(:resource_id as uuid)"
            else:
                continue
            rows = await connection.execute(
                text(f"select coalesce(string_agg(t::text, '|' order by t::text), '') from {table.name} t where {condition}"),
                {name: ids[name] for name in ("organization_id", "resource_id") if f":{name}" in condition},
            )
            found[table.name] = hashlib.sha256(rows.scalar_one().encode()).hexdigest()
    return found


async def test_an_idempotency_key_of_another_organization_replays_nothing(api: Caller, stranger: Caller, ids: Ids) -> None:
    body = {"name": "Consultants of mine"}
    mine = await api("POST", "/groups", body, idempotency_key="same")
    theirs = await stranger("POST", "/groups", body, idempotency_key="same")
    assert mine.json()["id"] != theirs.json()["id"]
    assert "idempotency-replayed" not in theirs.headers


async def test_the_change_feed_tells_of_ones_own_changes_only(api: Caller, stranger: Caller, ids: Ids) -> None:
    here = (await stranger.read("/changes?cursor=now"))["next"]
    await api("PUT", f"/resources/{ids['resource_id']}/events/{ids['event_id']}", BODIES["put_event"])
    assert (await stranger.read(f"/changes?cursor={here}"))["items"] == []
    assert ids["event_id"] in str(await api.read(f"/changes?cursor={here}"))
