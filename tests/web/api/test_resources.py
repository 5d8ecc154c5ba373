"""People and rooms: what they begin with, who has signed in, and what goes when they go."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import text
from tests.web.api.conftest import STANDUP, Caller

from gleichtakt.store.database import Database


async def test_a_resource_begins_with_the_zone_and_language_of_its_organization(api: Caller) -> None:
    await api("PATCH", f"/organizations/{api.organization_id}", {"time_zone": "Europe/Vienna", "language": "en"})
    made = await api.made("/resources", name="Anna")
    assert (made["time_zone"], made["language"], made["kind"]) == ("Europe/Vienna", "en", "person")
    room = await api.made("/resources", name="Room 1", kind="room", time_zone="America/New_York", language="de")
    assert (room["time_zone"], room["language"], room["kind"]) == ("America/New_York", "de", "room")


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({"kind": "robot"}, "kind"),
        ({"language": "fr"}, "language"),
        ({"time_zone": "Mars/Phobos"}, "time_zone"),
        ({"time_zone": "BEGIN:VTIMEZONE"}, "time_zone"),
        ({"name": "x" * 501}, "name"),
        ({"name": None}, "name"),
        ({"external_id": ""}, "external_id"),
        ({"group_id": "none"}, "group_id"),
    ],
)
async def test_what_a_resource_cannot_be_is_refused(api: Caller, anna: dict[str, Any], body: dict[str, Any], place: str) -> None:
    for verb, path in (("POST", "/resources"), ("PATCH", f"/resources/{anna['id']}")):
        refused = await api.refused(verb, path, body)
        assert (refused.status, refused.place) == (422, place)


async def test_resources_are_found_by_address_and_group(api: Caller, anna: dict[str, Any]) -> None:
    group = await api.made("/groups", name="Consultants")
    await api("PATCH", f"/resources/{anna['id']}", {"group_id": group["id"]})
    await api.made("/resources", name="Ben", email="ben@example.org")
    assert [one["name"] for one in await api.items("/resources?email=anna@example.org")] == ["Anna Muster"]
    assert [one["name"] for one in await api.items(f"/resources?group_id={group['id']}")] == ["Anna Muster"]


async def test_who_has_signed_in_is_looked_up(api: Caller, anna: dict[str, Any], login: dict[str, Any]) -> None:
    standing = await api("POST", f"/resources/{anna['id']}/login")
    assert standing.status_code == 202
    assert standing.json()["state"] == "not_found"
    assert (await api.read(f"/resources/{anna['id']}"))["login_at"]
    await api.made("/links", resource_id=anna["id"], connection_id=login["id"], mailbox="anna@example.org")
    assert (await api("POST", f"/resources/{anna['id']}/login")).json()["state"] == "connected"


async def test_a_deleted_resource_takes_its_calendar_along_and_nothing_else(
    api: Caller, database: Database, anna: dict[str, Any]
) -> None:
    ben = await api.made("/resources", name="Ben")
    for one in (anna, ben):
        await api.made(f"/resources/{one['id']}/events", **STANDUP)
    feed = await api.made(f"/resources/{anna['id']}/feeds", name="Phone")
    assert (await api("DELETE", f"/resources/{anna['id']}")).status_code == 204
    for path in ("", "/events", "/free-busy?from=2026-11-01&to=2026-12-01", "/feeds", "/settings"):
        assert (await api.refused("GET", f"/resources/{anna['id']}{path}")).status == 404
    assert (await api("GET", feed["url"].removeprefix("https://calendars.example.org"))).status_code == 404
    assert len(await api.items(f"/resources/{ben['id']}/events")) == 1
    async with database.read() as connection:
        for table in ("series", "occurrence", "journal"):
            left = await connection.execute(text(f"select count(*) from {table} where resource_id = :id"), {"id": anna["id"]})
            assert left.scalar_one() == 0, table


# --- published calendars -----------------------------------------------------------------------------------------

TODAY = "2026-11-23"


async def published(api: Caller, anna: dict[str, Any], detail: str) -> tuple[str, str]:
    """Publish Anna's calendar; give its id and its path."""
    made = await api.made(f"/resources/{anna['id']}/feeds", name="Phone", detail=detail)
    return made["id"], made["url"].removeprefix("https://calendars.example.org")


@pytest.mark.parametrize(
    ("detail", "shown", "hidden"),
    [
        ("busy", ["SUMMARY:Busy"], ["Standup", "Every day", "Room 1", "Secret", "anna@example.org"]),
        ("title_time", ["SUMMARY:Standup"], ["Every day", "Room 1", "Secret"]),
        ("full", ["SUMMARY:Standup", "LOCATION:Room 1", "DESCRIPTION:Every day"], ["Secret", "ben@example.org"]),
    ],
)
async def test_a_published_calendar_shows_no_more_than_it_was_made_for(
    api: Caller, anna: dict[str, Any], detail: str, shown: list[str], hidden: list[str]
) -> None:
    from datetime import UTC, datetime, timedelta

    soon = (datetime.now(UTC) + timedelta(days=3)).date().isoformat()
    times = {
        "start": {"date_time": f"{soon}T09:00:00", "time_zone": "Europe/Berlin"},
        "end": {"date_time": f"{soon}T10:00:00", "time_zone": "Europe/Berlin"},
    }
    events = f"/resources/{anna['id']}/events"
    await api("PATCH", f"/resources/{anna['id']}", {"language": "en"})
    await api.made(events, **{**STANDUP, **times, "attendees": [{"email": "ben@example.org"}]})
    await api.made(events, **{**STANDUP, **times, "title": "Secret", "location": "Secret", "sensitivity": "private"})
    _, path = await published(api, anna, detail)
    anyone = Caller(api.client, api.organization_id)
    answer = await anyone("GET", path)
    assert answer.headers["content-type"].startswith("text/calendar")
    assert answer.text.count("BEGIN:VEVENT") == 2
    for words in shown:
        assert words in answer.text
    for words in hidden:
        assert words not in answer.text
    assert (await anyone("GET", path, if_none_match=answer.headers["etag"])).status_code == 304


async def test_a_published_address_is_shown_once_and_closed_for_good(api: Caller, anna: dict[str, Any]) -> None:
    feed_id, path = await published(api, anna, "busy")
    listed = await api.items(f"/resources/{anna['id']}/feeds")
    assert path.rpartition("/")[2].removesuffix(".ics") not in str(listed)
    assert (await api("GET", path.removesuffix(".ics"))).status_code == 404
    for _ in range(2):
        assert (await api("DELETE", f"/resources/{anna['id']}/feeds/{feed_id}")).status_code == 204
    assert (await api("GET", path)).status_code == 404
    assert (await api.items(f"/resources/{anna['id']}/feeds"))[0]["revoked_at"]


# --- API keys ----------------------------------------------------------------------------------------------------


async def test_a_key_of_one_organization_makes_only_keys_of_its_own(api: Caller, stranger: Caller) -> None:
    made = await stranger.made("/api-keys", name="mine", scopes=["admin"])
    assert made["organization_id"] == str(stranger.organization_id)
    refused = await stranger.refused("POST", "/api-keys", {"name": "all", "every_organization": True})
    assert (refused.status, refused.code) == (403, "web.forbidden_organization")
    assert (await stranger.refused("POST", "/organizations", {"name": "New"})).status == 403
    every = await api.made("/api-keys", name="all", scopes=["read"], every_organization=True)
    assert every["organization_id"] is None
    assert every["id"] not in {one["id"] for one in await stranger.items("/api-keys?limit=1000")}


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({"name": "k", "scopes": []}, "scopes"),
        ({"name": "k", "scopes": ["root"]}, "scopes[0]"),
        ({"scopes": ["read"]}, "name"),
        ({"name": "k", "expires_at": "2030-01-01T00:00:00"}, "expires_at"),
        ({"name": "k", "expires_at": "soon"}, "expires_at"),
    ],
)
async def test_a_key_that_cannot_be_is_refused(api: Caller, body: dict[str, Any], place: str) -> None:
    refused = await api.refused("POST", "/api-keys", body)
    assert (refused.status, refused.place) == (422, place)


async def test_a_key_ends_at_its_time_and_lives_on_when_it_is_prolonged(api: Caller) -> None:
    made = await api.made("/api-keys", name="short", scopes=["read"])
    holder = Caller(api.client, api.organization_id, made["key"], names_it=True)
    assert (await holder("GET", "/resources")).status_code == 200
    await api("PATCH", f"/api-keys/{made['id']}", {"expires_at": "2020-01-01T00:00:00+02:00"})
    assert (await holder("GET", "/resources")).status_code == 401
    changed = await api("PATCH", f"/api-keys/{made['id']}", {"expires_at": None, "name": "long"})
    assert (changed.json()["name"], changed.json()["expires_at"]) == ("long", None)
    assert (await holder("GET", "/resources")).status_code == 200
