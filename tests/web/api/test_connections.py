"""Logins at calendar systems: written in clear, never read again, checked before anything is sent."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import text
from tests.exchange_world import SERVICE, SERVICE_PASSWORD, exchange_world
from tests.web.api.conftest import Caller

from gleichtakt.store.database import Database

CALDAV = {
    "provider": "caldav",
    "name": "Company",
    "url": "https://dav.example.org/",
    "auth": {"method": "basic", "username": "sync", "password": "s3cret-word"},
}

EWS: dict[str, Any] = {
    "provider": "ews",
    "autodiscover_address": "anna@firm.example",
    "auth": {"username": "FIRM\\svc-sync", "password": "s3cret-word"},
}


async def test_a_secret_is_never_given_back(api: Caller, reader: Caller, database: Database) -> None:
    answer = await api("POST", "/connections", CALDAV, idempotency_key="c-1")
    made = answer.json()
    assert made["auth"] == {"method": "basic", "username": "sync", "password": "•••"}
    path = f"/connections/{made['id']}"
    changed = await api("PATCH", path, {"auth": {"client_secret": "0ther-s3cret"}})
    replayed = await api("POST", "/connections", CALDAV, idempotency_key="c-1")
    for answer in (changed, replayed, await api("GET", path), await reader("GET", "/connections"), await api("GET", "/changes")):
        assert "s3cret" not in answer.text
    async with database.raw() as raw:
        for table in ("connection", "idempotency", "audit", "change"):
            dump = await raw.fetchval(f"select coalesce(string_agg(row_to_json(t)::text, ''), '') from {table} t")
            assert "s3cret" not in dump, table


async def test_what_was_read_may_be_written_back_without_losing_the_secret(api: Caller, database: Database) -> None:
    made = await api.made("/connections", **CALDAV)
    path = f"/connections/{made['id']}"

    async def sealed() -> bytes:
        async with database.read() as connection:
            row = await connection.execute(text("select secret from connection where id = :id"), {"id": made["id"]})
            return bytes(row.scalar_one() or b"")

    before = await sealed()
    same = await api("PATCH", path, {"name": "Company", "auth": made["auth"]})
    assert same.json()["auth"] == made["auth"]
    assert await sealed()
    gone = await api("PATCH", path, {"auth": {"password": None}})
    assert gone.json()["auth"] == {"method": "basic", "username": "sync"}
    assert await sealed() != before


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"provider": "carrier_pigeon"}, "provider"),
        ({"provider": None}, "provider"),
        ({"url": "https://user:word@dav.example.org/"}, "url"),
        ({"auth": {"method": "handshake"}}, "auth.method"),
        ({"auth": "secret"}, "auth"),
        ({"access": "root"}, "access"),
        ({"tls": {"ca_pem": "not a certificate"}}, "tls.ca_pem"),
        ({"tls": []}, "tls"),
        ({"allow_insecure": "yes"}, "allow_insecure"),
        ({"options": {"a": 5}}, "options"),
        ({"url": "x" * 4001}, "url"),
    ],
)
async def test_a_login_that_cannot_work_is_refused(api: Caller, change: dict[str, Any], place: str) -> None:
    refused = await api.refused("POST", "/connections", {**CALDAV, **change})
    assert (refused.status, refused.code) == (422, "web.invalid")
    assert refused.place.startswith(place)
    assert "word" not in str(refused.document)


async def test_a_connection_stays_with_its_calendar_system(api: Caller) -> None:
    made = await api.made("/connections", **CALDAV)
    refused = await api.refused("PATCH", f"/connections/{made['id']}", {"provider": "memory"})
    assert (refused.status, refused.place) == (422, "provider")
    assert (await api("PATCH", f"/connections/{made['id']}", {"provider": "caldav"})).status_code == 200
    assert [one["id"] for one in await api.items("/connections?provider=caldav")] == [made["id"]]


async def test_an_unreachable_system_is_told_with_what_helps_not_as_our_fault(api: Caller, login: dict[str, Any]) -> None:
    refused = await api.refused("GET", f"/connections/{login['id']}/calendars", accept_language="de")
    assert refused.status == 424
    assert refused.document["kind"] == "transient"
    report = await api("POST", f"/connections/{login['id']}/doctor", {})
    assert (report.status_code, report.json()["result"]) == (200, "fail")
    broken = [check for check in report.json()["checks"] if check["result"] == "fail"]
    assert broken
    assert broken[0]["problem"]["remedy"]
    kept = await api.read(f"/connections/{login['id']}")
    assert kept["doctor_at"]
    assert kept["etag"] == login["etag"]  # looking is no change


async def test_people_are_matched_only_where_there_is_a_directory(api: Caller) -> None:
    made = await api.made("/connections", **CALDAV)
    answer = await api("POST", f"/connections/{made['id']}/match")
    if answer.status_code != 202:
        assert answer.json()["code"] == "web.cannot"


async def test_a_link_ties_each_calendar_once(api: Caller, anna: dict[str, Any], link: dict[str, Any]) -> None:
    again = {name: link[name] for name in ("resource_id", "connection_id", "mailbox", "calendar")}
    refused = await api.refused("POST", "/links", again)
    assert (refused.status, refused.code) == (409, "web.taken")
    other = await api.made("/links", **{**again, "calendar": "second"}, active=False)
    assert (other["active"], other["health"]["next_run"]) == (False, None)
    moved = await api.refused("PATCH", f"/links/{link['id']}", {"calendar": "third"})
    assert (moved.status, moved.place) == (422, "calendar")
    assert (await api("PATCH", f"/links/{link['id']}", {"calendar": link["calendar"]})).status_code == 200
    assert (await api.refused("POST", f"/links/{other['id']}/sync")).code == "web.link_resting"
    assert len(await api.items(f"/links?resource_id={anna['id']}&connection_id={link['connection_id']}&state=new")) == 2


async def test_exchange_takes_its_own_ways_of_signing_in_and_of_access(api: Caller) -> None:
    for method in ("ntlm", "negotiate", "basic", "bearer", "oauth_app"):
        for access in ("impersonation", "delegate", "own"):
            made = await api.made("/connections", **{**EWS, "auth": {**EWS["auth"], "method": method}, "access": access})
            assert made["auth"] == {"method": method, "username": "FIRM\\svc-sync", "password": "•••"}
            assert (made["access"], made["autodiscover_address"]) == (access, "anna@firm.example")


async def test_exchange_is_signed_in_to_by_ntlm_unless_told_otherwise_and_never_by_digest(api: Caller) -> None:
    made = await api.made("/connections", **EWS)
    assert made["auth"]["method"] == "ntlm"
    for verb, path, body in (
        ("POST", "/connections", {**EWS, "auth": {"method": "digest"}}),
        ("PATCH", f"/connections/{made['id']}", {"auth": {"method": "digest"}}),
    ):
        refused = await api.refused(verb, path, body)
        assert (refused.status, refused.place) == (422, "auth.method")


async def test_an_exchange_server_is_examined_and_its_calendars_are_listed(api: Caller) -> None:
    async with exchange_world("anna") as world:
        world.mailbox("anna").add_folder("Urlaub")
        auth = {"username": SERVICE, "password": SERVICE_PASSWORD}
        made = await api.made("/connections", provider="ews", url=world.url, auth=auth, access="impersonation")
        path = f"/connections/{made['id']}"
        report = (await api("POST", f"{path}/doctor", {"mailbox": "anna@firm.example"})).json()
        assert report["result"] == "pass"
        assert {check["name"] for check in report["checks"]} >= {"methods", "login", "mailbox", "out_of_office", "streaming"}
        listed = (await api("GET", f"{path}/calendars?mailbox=anna@firm.example")).json()["items"]
        assert [(one["name"], one["is_default"]) for one in listed] == [("Calendar", True), ("Urlaub", False)]
