"""Who may do what, and whose things one sees."""

from __future__ import annotations

from typing import Any

import pytest
from tests.web.api.conftest import Caller, make_key

from gleichtakt.store.database import Database


async def test_without_a_key_nothing_is_told(api: Caller) -> None:
    answer = await Caller(api.client, api.organization_id)("GET", "/resources")
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    problem = answer.json()
    assert (problem["code"], problem["kind"], problem["status"]) == ("web.unauthorized", "permanent", 401)
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("sent", ["", "Bearer", "Bearer ", "Bearer gt_wrong", "Basic YTpi", "Bearer ü"])
async def test_a_wrong_key_opens_nothing(api: Caller, sent: str) -> None:
    answer = await api.client.get("/api/v1/resources", headers={b"authorization": sent.encode("latin-1")})
    assert answer.status_code == 401


async def test_a_key_that_may_read_changes_nothing(reader: Caller, anna: dict[str, Any]) -> None:
    assert (await reader("GET", f"/resources/{anna['id']}")).status_code == 200
    refused = await reader("POST", "/resources", {"name": "Ben"})
    assert refused.status_code == 403
    assert "write" in refused.json()["cause"]


async def test_configuration_needs_an_admin_key(writer: Caller) -> None:
    assert (await writer("POST", "/resources", {"name": "Ben"})).status_code == 201
    assert (await writer("POST", "/connections", {"provider": "memory"})).status_code == 403
    assert (await writer("GET", "/api-keys")).status_code == 403


async def test_another_organizations_things_do_not_exist(stranger: Caller, anna: dict[str, Any], link: dict[str, Any]) -> None:
    for path in (
        f"/resources/{anna['id']}",
        f"/resources/{anna['id']}/events",
        f"/resources/{anna['id']}/settings",
        f"/resources/{anna['id']}/free-busy?from=2026-11-01&to=2026-11-30",
        f"/links/{link['id']}",
        f"/links/{link['id']}/settings",
        f"/connections/{link['connection_id']}",
        f"/organizations/{anna['id']}",
    ):
        answer = await stranger("GET", path)
        assert answer.status_code == 404, path
    assert (await stranger("GET", "/resources")).json()["items"] == []
    assert (await stranger("POST", f"/links/{link['id']}/sync")).status_code == 404


async def test_a_key_of_every_organization_names_the_one_it_means(api: Caller, stranger: Caller) -> None:
    await api.made(f"/resources?organization_id={stranger.organization_id}", name="Carla")
    found = (await api("GET", "/resources", x_organization=str(stranger.organization_id))).json()["items"]
    assert [one["name"] for one in found] == ["Carla"]
    assert (await api("GET", "/resources")).json()["items"] == []
    assert (await api("GET", "/resources?organization_id=nobody")).status_code == 404
    assert (await api("GET", "/resources", x_organization="nobody")).status_code == 404


async def test_a_key_of_one_organization_cannot_name_another(stranger: Caller, api: Caller) -> None:
    answer = await stranger("GET", f"/resources?organization_id={api.organization_id}")
    assert answer.status_code == 403


async def test_a_key_is_shown_once_and_ends_when_it_is_revoked(api: Caller) -> None:
    made = await api.made("/api-keys", name="booking", scopes=["write"])
    booking = Caller(api.client, api.organization_id, made["key"])
    assert (await booking("GET", "/resources")).status_code == 200
    listed = (await api("GET", "/api-keys")).json()["items"]
    assert made["key"] not in str(listed)
    assert made["prefix"] in str(listed)
    assert (await api("DELETE", f"/api-keys/{made['id']}")).status_code == 204
    assert (await booking("GET", "/resources")).status_code == 401
    assert (await api("GET", f"/api-keys/{made['id']}")).json()["revoked_at"]


async def test_a_key_past_its_time_is_refused(api: Caller) -> None:
    made = await api.made("/api-keys", name="old", scopes=["read"], expires_at="2020-01-01T00:00:00Z")
    old = Caller(api.client, api.organization_id, made["key"])
    assert (await old("GET", "/resources")).status_code == 401


async def test_the_key_itself_is_not_in_the_database(api: Caller, database: Database) -> None:
    key = await make_key(database, None, "read")
    async with database.raw() as raw:
        dump = await raw.fetch("select row_to_json(k)::text from api_key k")
    assert key not in str(dump)


async def test_an_organization_with_content_is_deleted_only_by_name(api: Caller, stranger: Caller) -> None:
    await api.made(f"/resources?organization_id={stranger.organization_id}", name="Carla")
    path = f"/organizations/{stranger.organization_id}"
    refused = await api("DELETE", path)
    assert refused.status_code == 409
    assert refused.json()["resources"] == 1
    assert (await api("DELETE", f"{path}?confirm=Andere AG")).status_code == 204
    assert (await api("GET", path)).status_code == 404
    assert (await stranger("GET", "/resources")).status_code == 401


async def test_the_default_organization_stays(api: Caller) -> None:
    oldest = (await api.items("/organizations?limit=1"))[0]
    answer = await api("DELETE", f"/organizations/{oldest['id']}?confirm={oldest['name']}")
    assert answer.json()["code"] == "web.last_organization"
