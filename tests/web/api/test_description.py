"""The description of the interface: complete, consistent, with examples that work, and readable without the Internet."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
from tests.web.api.conftest import Caller
from tests.web.api.world import description_of, make_world

from gleichtakt.store.database import Database
from gleichtakt.sync.policy import SETTINGS
from gleichtakt.web.api.description import TAGS, VERBS, operations
from gleichtakt.web.api.examples import BODIES, CONNECTION, RESOURCE

#: What applications rely on by name.
PROMISED = """
get post /connections · get patch delete /connections/{connection_id} · post /connections/{connection_id}/doctor
post /connections/{connection_id}/match · get /connections/{connection_id}/calendars
post /connections/{connection_id}/disconnect · get post /resources · get patch delete /resources/{resource_id}
get put delete /resources/{resource_id}/events/{event_id} · get post /resources/{resource_id}/events
post /resources/{resource_id}/login · get post /links · get patch delete /links/{link_id}
post /links/{link_id}/sync · post /links/{link_id}/plan · post /links/{link_id}/pause · post /links/{link_id}/resume
post /links/{link_id}/reset · post /links/{link_id}/disconnect · get patch /settings · get patch /groups/{group_id}/settings
get patch /resources/{resource_id}/settings · get patch /links/{link_id}/settings
get post /organizations · get patch delete /organizations/{organization_id} · get post /groups
get patch delete /groups/{group_id} · get post /api-keys · get patch delete /api-keys/{key_id} · get /runs · get /runs/{run_id}
post /runs/{run_id}/undo · get /holds · get /conflicts · get /problems · post /holds/{hold_id}/approve
post /holds/{hold_id}/reject · post /conflicts/{conflict_id}/resolve · post /problems/{problem_id}/retry · post /availability
get /changes · get post /webhooks · get patch delete /webhooks/{webhook_id} · post /webhooks/{webhook_id}/test
post /webhooks/{webhook_id}/replay
"""


@pytest.fixture
async def description(client: httpx.AsyncClient) -> dict[str, Any]:
    """The description as programs read it."""
    return await description_of(client)


def test_every_promised_path_is_there(description: dict[str, Any]) -> None:
    for line in re.split(r"[·\n]", PROMISED.strip()):
        *verbs, path = line.split()
        described = description["paths"]["/api/v1" + path]
        assert set(verbs) <= set(described), path


def test_every_operation_says_what_it_is_who_may_and_how_it_refuses(description: dict[str, Any]) -> None:
    names = [operation["operationId"] for _, _, operation in operations(description)]
    assert len(names) == len(set(names))
    for path, verb, operation in operations(description):
        where = f"{verb} {path}"
        assert operation["tags"][0] in TAGS, where
        assert operation["summary"], where
        assert operation["security"] == [{"bearer": []}], where
        assert {"401", "403", "422", "default"} <= set(operation["responses"]), where
        assert any(status.startswith("2") for status in operation["responses"]), where
        named = set(re.findall(r"{(\w+)}", path))
        assert named == {one["name"] for one in operation["parameters"] if one.get("in") == "path"}, where
    assert {tag["name"] for tag in description["tags"]} == {one["tags"][0] for _, _, one in operations(description)}
    assert description["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"
    assert description["openapi"].startswith("3.1")


def test_every_reference_leads_somewhere(description: dict[str, Any]) -> None:
    for reference in _references(description):
        found: Any = description
        for part in reference.removeprefix("#/").split("/"):
            found = found[part]
        assert found, reference


def _references(found: Any) -> Iterator[str]:
    if isinstance(found, dict):
        if isinstance(found.get("$ref"), str):
            yield found["$ref"]
        for part in found.values():
            yield from _references(part)
    elif isinstance(found, list):
        for part in found:
            yield from _references(part)


def test_shapes_have_names_and_say_what_they_are(description: dict[str, Any]) -> None:
    for name, shape in description["components"]["schemas"].items():
        assert re.fullmatch(r"[A-Z]\w+", name), name
        assert shape.get("description"), name
    problem = description["components"]["schemas"]["Problem"]
    assert {"code", "kind", "scope", "cause", "remedy"} <= set(problem["required"])


def test_every_setting_is_described(description: dict[str, Any]) -> None:
    assert set(description["components"]["schemas"]["SettingValues"]["properties"]) == set(SETTINGS)


async def test_every_body_has_an_example_and_every_example_is_accepted(
    api: Caller, database: Database, description: dict[str, Any]
) -> None:
    ids = await make_world(api, database)
    etags: dict[str, str] = {}
    tried = set()
    for path, verb, operation in sorted(operations(description), key=_endings_last):
        name = operation["operationId"]
        if "requestBody" not in operation:
            continue
        shown = operation["requestBody"]["content"]["application/json"]["examples"]["example"]["value"]
        text = json.dumps(shown).replace(RESOURCE, ids["resource_id"]).replace(CONNECTION, ids["connection_id"])
        text = text.replace("customer-7", uuid4().hex)  # the only name that is shared with other organizations
        if name == "create_link":
            text = text.replace("anna@example.org", "anna.second@example.org")
        if name == "disconnect_connection":
            text = text.replace(BODIES["create_connection"]["name"], "There")
        answer = await api(verb.upper(), path.format(**ids), json.loads(text), **etags)
        assert answer.status_code in (200, 201, 202), (name, answer.text)
        assert str(answer.status_code) in operation["responses"], name
        tried.add(name)
    assert tried == set(BODIES)


def _endings_last(found: tuple[str, str, dict[str, Any]]) -> tuple[bool, str]:
    path, verb, operation = found
    return "disconnect" in operation["operationId"], path + verb


async def test_the_page_for_people_needs_nothing_from_elsewhere(client: httpx.AsyncClient) -> None:
    answer = await client.get("/api/v1/docs")
    assert answer.headers["content-type"].startswith("text/html")
    assert not re.search(r"(?:src|href)=[\"'](?:https?:)?//", answer.text)
    assert 'fetch("openapi.json")' in answer.text
    assert not re.search(r"@import|cdn|unpkg|googleapis", answer.text)


async def test_the_description_is_the_same_every_time(client: httpx.AsyncClient) -> None:
    first, second = [await client.get("/api/v1/openapi.json") for _ in range(2)]
    assert first.content == second.content
    assert {verb for item in first.json()["paths"].values() for verb in item} <= set(VERBS)


async def test_every_problem_type_is_explained_under_its_address(api: Caller) -> None:
    problem = (await api("GET", "/resources?limit=0")).json()
    explained = (await api("GET", problem["type"])).json()
    assert explained["code"] == problem["code"]
    assert set(explained["cause"]) == set(explained["remedy"]) == {"de", "en"}
    assert (await api.refused("GET", "/api/v1/problem-types/web.none")).status == 404
