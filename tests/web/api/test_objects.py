"""What holds for every kind of object: made, read, changed against a version, listed by page, deleted."""

from __future__ import annotations

from typing import Any

import pytest
from tests.web.api.conftest import STANDUP, Caller
from tests.web.api.world import make_world

from gleichtakt.store.database import Database

#: Kind, what it is made from, a change, and what the change shows.
KINDS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "organizations": ({"name": "Filiale"}, {"name": "Zweigstelle"}),
    "groups": ({"name": "Consultants", "external_id": "g-1"}, {"name": "Advisers"}),
    "resources": ({"name": "Anna", "external_id": "u-1"}, {"time_zone": "Europe/Vienna"}),
    "connections": ({"provider": "memory", "url": "http://127.0.0.1:9", "external_id": "c-1"}, {"name": "There"}),
    "webhooks": ({"url": "https://hooks.example.org/"}, {"types": ["event.created"]}),
}
kinds = pytest.mark.parametrize("kind", KINDS)


@kinds
async def test_an_object_lives_from_post_to_delete(api: Caller, kind: str) -> None:
    made_from, change = KINDS[kind]
    answer = await api("POST", f"/{kind}", made_from)
    assert answer.status_code == 201
    made = answer.json()
    path = f"/{kind}/{made['id']}"
    assert answer.headers["location"] == f"/api/v1{path}"
    assert answer.headers["etag"] == made["etag"] == '"1"'
    assert made_from.items() <= {**made, "url": made_from.get("url")}.items()
    read = await api.read(path)
    assert {**read, "secret": ""} == {**made, "secret": ""}
    changed = await api("PATCH", path, change)
    assert (changed.status_code, changed.headers["etag"]) == (200, '"2"')
    assert change.items() <= changed.json().items()
    assert changed.json()["created_at"] == made["created_at"]
    assert made["id"] in {one["id"] for one in await api.items(f"/{kind}?limit=1000")}
    gone = await api("DELETE", path)
    assert (gone.status_code, gone.content) == (204, b"")
    assert (await api.refused("GET", path)).status == 404
    assert (await api.refused("DELETE", path)).status == 404


@kinds
async def test_a_change_against_an_older_version_is_refused(api: Caller, kind: str) -> None:
    made_from, change = KINDS[kind]
    path = f"/{kind}/{(await api.made(f'/{kind}', **made_from))['id']}"
    assert (await api("PATCH", path, change, if_match='"1"')).status_code == 200
    for verb, body in (("PATCH", change), ("DELETE", None)):
        refused = await api.refused(verb, path, body, if_match='"1"')
        assert (refused.status, refused.code, refused.document["kind"]) == (412, "web.etag_stale", "conflict")
        assert (await api.refused(verb, path, body, if_match='W/"2"')).status == 412
    assert (await api("DELETE", path, if_match='"2"')).status_code == 204


@pytest.mark.parametrize("kind", ["organizations", "groups", "resources", "connections"])
async def test_what_is_known_already_is_not_sent_again(api: Caller, kind: str) -> None:
    path = f"/{kind}/{(await api.made(f'/{kind}', **KINDS[kind][0]))['id']}"
    assert (await api("GET", path, if_none_match='"0", "1"')).status_code == 304
    assert (await api("GET", path, if_none_match='"2"')).status_code == 200


@kinds
async def test_a_repeated_request_acts_once(api: Caller, kind: str) -> None:
    made_from, change = KINDS[kind]
    first, again = [await api("POST", f"/{kind}", made_from, idempotency_key=f"make-{kind}") for _ in range(2)]
    assert again.json() == first.json()
    path = f"/{kind}/{first.json()['id']}"
    one, two = [await api("PATCH", path, change, idempotency_key=f"change-{kind}") for _ in range(2)]
    assert one.json()["etag"] == two.json()["etag"] == '"2"'
    gone = [await api("DELETE", path, idempotency_key=f"end-{kind}") for _ in range(2)]
    assert [answer.status_code for answer in gone] == [204, 204]


@kinds
async def test_a_change_that_says_nothing_changes_nothing(api: Caller, kind: str) -> None:
    made = await api.made(f"/{kind}", **KINDS[kind][0])
    answer = await api("PATCH", f"/{kind}/{made['id']}", {})
    assert (answer.status_code, answer.json()["etag"]) == (200, made["etag"])


@pytest.mark.parametrize("kind", ["groups", "resources", "connections"])
async def test_an_external_id_stands_for_one_object_of_an_organization(api: Caller, stranger: Caller, kind: str) -> None:
    made_from, _ = KINDS[kind]
    made = await api.made(f"/{kind}", **made_from)
    found = await api.items(f"/{kind}?external_id={made_from['external_id']}")
    assert [one["id"] for one in found] == [made["id"]]
    assert await api.items(f"/{kind}?external_id=unknown") == []
    assert (await api.refused("POST", f"/{kind}", made_from)).code == "web.taken"
    other = await api.made(f"/{kind}", **{**made_from, "external_id": "other"})
    assert (await api.refused("PATCH", f"/{kind}/{other['id']}", {"external_id": made_from["external_id"]})).status == 409
    assert (await api("PATCH", f"/{kind}/{other['id']}", {"external_id": None})).json()["external_id"] is None
    await stranger.made(f"/{kind}", **made_from)  # another organization has names of its own


# --- lists -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["groups", "resources", "connections", "webhooks", "api-keys"])
async def test_a_list_goes_on_page_by_page_whatever_changes_between(api: Caller, kind: str) -> None:
    made_from = {key: value for key, value in KINDS.get(kind, ({"name": "k"}, {}))[0].items() if key != "external_id"}
    made = [await api.made(f"/{kind}", **made_from) for _ in range(6)]
    seen = [one["id"] for one in await api.items(f"/{kind}?limit=1000")]
    there = len(seen) - 6  # a key of every organization sees those of its like
    first = await api.read(f"/{kind}?limit={there + 2}")
    assert [one["id"] for one in first["items"]][there:] == [one["id"] for one in made[:2]]
    if kind == "api-keys":
        await api("PATCH", f"/{kind}/{made[3]['id']}", {"name": "renamed"})
    else:
        await api("DELETE", f"/{kind}/{made[0]['id']}")  # behind us
        await api("DELETE", f"/{kind}/{made[1]['id']}")  # the very row the cursor names
        await api("DELETE", f"/{kind}/{made[3]['id']}")  # before us
    new = await api.made(f"/{kind}", **made_from)
    rest: list[str] = []
    cursor = first["next"]
    while cursor:
        page = await api.read(f"/{kind}?limit=2&cursor={cursor}")
        rest += [one["id"] for one in page["items"]]
        cursor = page["next"]
    expected = [one["id"] for one in (*made[2:], new) if kind == "api-keys" or one is not made[3]]
    assert rest == expected


@pytest.mark.parametrize("kind", ["runs", "holds", "conflicts", "problems"])
async def test_what_happened_is_listed_newest_first_page_by_page(api: Caller, database: Database, kind: str) -> None:
    from tests.web.api.world import make_work

    ids = await make_world(api, database)
    parameter = f"{kind[:-1]}_id"
    made = [ids[parameter], *[(await make_work(database, ids))[parameter] for _ in range(4)]]
    first = await api.read(f"/{kind}?limit=2&link_id={ids['link_id']}")
    await make_work(database, ids)  # newer ones do not shift the pages that follow
    second = await api.read(f"/{kind}?limit=1000&link_id={ids['link_id']}&cursor={first['next']}")
    listed = [one["id"] for one in (*first["items"], *second["items"])]
    assert [one for one in listed if one in made] == list(reversed(made))
    assert second["next"] is None


# --- strict callers ----------------------------------------------------------------------------------------------


async def test_a_strict_caller_hears_of_fields_nobody_knows(api: Caller, anna: dict[str, Any]) -> None:
    slip = {"nmae": "Anne", "emial": "a@example.org"}
    for verb, path, body in (
        ("POST", "/resources", {"name": "Ben", **slip}),
        ("PATCH", f"/resources/{anna['id']}", slip),
        ("POST", f"/resources/{anna['id']}/events", {**STANDUP, **slip}),
        ("POST", f"/resources/{anna['id']}/feeds", slip),
    ):
        refused = await api.refused(verb, path, body, prefer="handling=strict", if_match="*")
        assert (refused.status, refused.code) == (422, "web.invalid")
        assert [one["place"] for one in refused.document["errors"]] == ["emial", "nmae"]
        assert (await api(verb, path, body)).status_code < 300  # others may send back what they read


async def test_a_strict_caller_names_the_version_a_change_starts_from(api: Caller, anna: dict[str, Any]) -> None:
    strict = {"prefer": "respond-async, Handling = strict"}
    path = f"/resources/{anna['id']}"
    for verb, body in (("PATCH", {"name": "Anne"}), ("DELETE", None)):
        refused = await api.refused(verb, path, body, **strict)
        assert (refused.status, refused.code) == (428, "web.unconditional")
    assert (await api("PATCH", path, {"name": "Anne"}, if_match='"1"', **strict)).status_code == 200
    assert (await api("PATCH", path, {"name": "Anna"}, if_match="*", **strict)).status_code == 200
    event = await api.made(f"{path}/events", **STANDUP)
    echoed = await api("PUT", f"{path}/events/{event['id']}", event, if_match=event["etag"], **strict)
    assert echoed.json()["etag"] == event["etag"]  # what was read may be sent back, and is no change
    assert (await api.refused("PUT", f"{path}/events/{event['id']}", STANDUP, **strict)).status == 428
    assert (await api("GET", path, **strict)).status_code == 200


# --- problems as documents ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("accept", "language"),
    [
        ("de", "de"),
        ("de-AT, en;q=0.5", "de"),
        ("en-GB", "en"),
        ("fr, de;q=0.3, en;q=0.2", "de"),
        ("fr", "en"),
        ("", "en"),
        ("*", "en"),
    ],
)
async def test_a_problem_speaks_the_callers_language(api: Caller, accept: str, language: str) -> None:
    answer = await api("GET", "/resources?limit=0", accept_language=accept)
    problem = answer.json()
    assert answer.headers["content-language"] == language
    assert ("berichtigen" in problem["remedy"]) is (language == "de")
    assert problem["errors"][0]["place"] == "limit"


@pytest.mark.parametrize(
    ("verb", "path", "status", "code"),
    [
        ("GET", "/api/v1/none", 404, "web.no_such_path"),
        ("GET", "/api/v1/resources/none", 404, "web.no_such_path"),
        ("PUT", "/api/v1/resources", 405, "web.method_not_allowed"),
        ("DELETE", "/healthz", 405, "web.method_not_allowed"),
        ("GET", "/feeds/none.ics", 404, "web.no_such_path"),
    ],
)
async def test_addresses_nobody_knows_are_problems_too(api: Caller, verb: str, path: str, status: int, code: str) -> None:
    answer = await api(verb, path)
    problem = answer.json()
    assert (answer.status_code, problem["status"], problem["code"]) == (status, status, code)
    assert problem["type"].endswith(code)
    assert problem["remedy"]
    if status == 405:
        assert "GET" in answer.headers["allow"]


async def test_every_change_leaves_an_audit_row_without_secrets(api: Caller, database: Database) -> None:
    from sqlalchemy import text

    login = {"provider": "memory", "url": "http://127.0.0.1:9", "auth": {"method": "basic", "username": "u", "password": "p4ss"}}
    made = await api.made("/connections", **login)
    await api("PATCH", f"/connections/{made['id']}", {"name": "There"})
    await api("DELETE", f"/connections/{made['id']}")
    async with database.read() as connection:
        rows = await connection.execute(
            text("select action, before::text, after::text from audit where organization_id = :id order by at, id"),
            {"id": api.organization_id},
        )
        found = [tuple(row) for row in rows]
    assert [action for action, _, _ in found] == ["connection.create", "connection.change", "connection.delete"]
    assert "p4ss" not in str(found)
