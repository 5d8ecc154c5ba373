"""Events: written, read, changed by whoever may, and never twice."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text
from tests.web.api.conftest import STANDUP, Caller

from gleichtakt.store.database import Database

WEEKLY = {**STANDUP, "recurrence": {"rrule": "FREQ=WEEKLY;COUNT=4"}}


async def test_an_event_is_given_back_as_it_was_written(api: Caller, anna: dict[str, Any]) -> None:
    made = await api("POST", f"/resources/{anna['id']}/events", {**STANDUP, "external_id": "b-1"})
    assert made.status_code == 201
    event = made.json()
    assert {name: event[name] for name in STANDUP} == STANDUP
    assert (event["origin"], event["external_id"], event["link_id"]) == ("app", "b-1", None)
    assert made.headers["etag"] == event["etag"] == '"1"'
    assert made.headers["location"] == f"/api/v1/resources/{anna['id']}/events/{event['id']}"
    read = await api("GET", made.headers["location"])
    assert read.json() == event
    listed = (await api("GET", f"/resources/{anna['id']}/events?from=2026-11-01&to=2026-12-01")).json()
    assert listed == {"items": [event], "next": None}


async def test_a_date_of_a_query_is_midnight_on_the_resources_clock(api: Caller, anna: dict[str, Any]) -> None:
    late = {**STANDUP, "start": {"date_time": "2026-11-23T23:30:00", "time_zone": "Europe/Berlin"}, "end": None}
    await api("POST", f"/resources/{anna['id']}/events", late)

    async def between(start: str, end: str) -> int:
        answer = await api("GET", f"/resources/{anna['id']}/events?from={start}&to={end}")
        return len(answer.json()["items"])

    assert await between("2026-11-23", "2026-11-24") == 1
    assert await between("2026-11-24", "2026-11-25") == 0
    assert await between("2026-11-23T22:00:00Z", "2026-11-23T22:45:00Z") == 1
    assert await between("2026-11-23T23:00:00 01:00", "2026-11-23T23:45:00+01:00") == 1  # a + that was not escaped


@pytest.mark.parametrize("query", ["from=tomorrow", "to=2026-13-01", "from=2026-02-01&to=2026-01-01", "cursor=x", "limit=0"])
async def test_a_query_that_cannot_be_meant_is_refused_with_its_place(api: Caller, anna: dict[str, Any], query: str) -> None:
    answer = await api("GET", f"/resources/{anna['id']}/events?{query}")
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["place"] in query


async def test_a_list_goes_on_page_by_page_without_gap_or_double(api: Caller, anna: dict[str, Any]) -> None:
    for number in range(7):
        start = {"date_time": "2026-11-23T09:00:00", "time_zone": "UTC"}  # all at one instant: order goes by id
        await api.made(f"/resources/{anna['id']}/events", title=f"{number}", start=start)
    seen: list[str] = []
    cursor = ""
    while True:
        page = (await api("GET", f"/resources/{anna['id']}/events?limit=3{cursor}")).json()
        seen += [event["title"] for event in page["items"]]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert sorted(seen) == [str(number) for number in range(7)]


async def test_a_series_expands_to_its_occurrences_with_their_own_times(api: Caller, anna: dict[str, Any]) -> None:
    moved = {
        "recurrence_id": {"date_time": "2026-11-30T09:00:00", "time_zone": "Europe/Berlin"},
        "start": {"date_time": "2026-12-01T11:00:00", "time_zone": "Europe/Berlin"},
    }
    series = {**STANDUP, "recurrence": {"rrule": "FREQ=WEEKLY;COUNT=3", "overrides": [moved]}}
    await api.made(f"/resources/{anna['id']}/events", **series)
    found = (await api("GET", f"/resources/{anna['id']}/events?from=2026-11-01&to=2026-12-31&expand=true")).json()["items"]
    assert [one["start"]["date_time"] for one in found] == [
        "2026-11-23T09:00:00",
        "2026-12-01T11:00:00",
        "2026-12-07T09:00:00",
    ]
    assert found[1]["recurrence_id"]["date_time"] == "2026-11-30T09:00:00"
    assert {one["id"] for one in found} == {found[0]["id"]}


async def test_an_endless_stretch_is_not_expanded(api: Caller, anna: dict[str, Any]) -> None:
    answer = await api("GET", f"/resources/{anna['id']}/events?expand=true&from=2026-01-01&to=2036-01-01")
    assert (answer.status_code, answer.json()["errors"][0]["place"]) == (422, "to")


async def test_a_change_against_an_older_version_is_refused_and_changes_nothing(api: Caller, anna: dict[str, Any]) -> None:
    event = await api.made(f"/resources/{anna['id']}/events", **STANDUP)
    path = f"/resources/{anna['id']}/events/{event['id']}"
    first = await api("PUT", path, {**STANDUP, "title": "One"}, if_match=event["etag"])
    assert (first.status_code, first.headers["etag"]) == (200, '"2"')
    late = await api("PUT", path, {**STANDUP, "title": "Two"}, if_match=event["etag"])
    assert (late.status_code, late.json()["code"], late.json()["kind"]) == (412, "web.etag_stale", "conflict")
    assert (await api("DELETE", path, if_match=event["etag"])).status_code == 412
    assert (await api("GET", path)).json()["title"] == "One"
    assert (await api("DELETE", path, if_match='"2"')).status_code == 204
    assert (await api("GET", path)).status_code == 404


@pytest.mark.parametrize("tag", ['W/"1"', "1", '"x"', '"1", "2"', '"99999999999999999999"'])
async def test_a_tag_that_is_none_of_ours_never_fits(api: Caller, anna: dict[str, Any], tag: str) -> None:
    event = await api.made(f"/resources/{anna['id']}/events", **STANDUP)
    answer = await api("PUT", f"/resources/{anna['id']}/events/{event['id']}", STANDUP, if_match=tag)
    assert answer.status_code == 412


async def test_what_is_known_already_is_not_sent_again(api: Caller, anna: dict[str, Any]) -> None:
    event = await api.made(f"/resources/{anna['id']}/events", **STANDUP)
    path = f"/resources/{anna['id']}/events/{event['id']}"
    again = await api("GET", path, if_none_match=event["etag"])
    assert (again.status_code, again.content) == (304, b"")
    assert (await api("GET", path, if_none_match='"7"')).status_code == 200


async def test_an_event_is_created_under_an_id_of_the_callers_choice_only_once(api: Caller, anna: dict[str, Any]) -> None:
    path = f"/resources/{anna['id']}/events/{uuid4()}"
    assert (await api("PUT", path, STANDUP, if_none_match="*")).status_code == 201
    assert (await api("PUT", path, STANDUP, if_none_match="*")).json()["code"] == "web.exists"
    assert (await api("PUT", path, STANDUP)).status_code == 200


async def test_the_applications_own_id_finds_and_replaces(api: Caller, anna: dict[str, Any]) -> None:
    events = f"/resources/{anna['id']}/events"
    first = await api.made(events, **STANDUP, external_id="b-1")
    again = await api("POST", events, {**STANDUP, "title": "Moved", "external_id": "b-1"})
    assert (again.status_code, again.json()["id"]) == (200, first["id"])
    found = (await api("GET", f"{events}?external_id=b-1")).json()["items"]
    assert [event["title"] for event in found] == ["Moved"]
    assert (await api("POST", events, {**STANDUP, "external_id": "b-1"}, if_none_match="*")).status_code == 412
    assert (await api("GET", f"{events}?external_id=b-2")).json()["items"] == []


async def test_one_external_id_stands_for_one_event(api: Caller, anna: dict[str, Any]) -> None:
    events = f"/resources/{anna['id']}/events"
    await api.made(events, **STANDUP, external_id="b-1")
    clash = await api("PUT", f"{events}/{uuid4()}", {**STANDUP, "external_id": "b-1"})
    assert (clash.status_code, clash.json()["code"]) == (409, "web.taken")


# --- answers that get lost ---------------------------------------------------------------------------------------


async def test_a_request_repeated_after_a_lost_answer_acts_once(api: Caller, anna: dict[str, Any]) -> None:
    events = f"/resources/{anna['id']}/events"
    first = await api("POST", events, STANDUP, idempotency_key="k-1")
    again = await api("POST", events, STANDUP, idempotency_key="k-1")
    assert (again.status_code, again.json(), again.headers["etag"]) == (201, first.json(), first.headers["etag"])
    assert again.headers["idempotency-replayed"] == "true"
    assert len((await api("GET", events)).json()["items"]) == 1
    other = await api("POST", events, {**STANDUP, "title": "Other"}, idempotency_key="k-1")
    assert (other.status_code, other.json()["code"]) == (422, "web.key_reused")


async def test_five_at_once_with_one_key_act_once(api: Caller, anna: dict[str, Any]) -> None:
    events = f"/resources/{anna['id']}/events"
    answers = await asyncio.gather(*(api("POST", events, STANDUP, idempotency_key="k-2") for _ in range(5)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert len((await api("GET", events)).json()["items"]) == 1


async def test_a_key_belongs_to_one_organization(api: Caller, stranger: Caller) -> None:
    mine = await api("POST", "/resources", {"name": "A"}, idempotency_key="k-3")
    theirs = await stranger("POST", "/resources", {"name": "A"}, idempotency_key="k-3")
    assert mine.json()["id"] != theirs.json()["id"]


async def test_a_refused_request_does_not_use_its_key_up(api: Caller, anna: dict[str, Any]) -> None:
    events = f"/resources/{anna['id']}/events"
    event = await api.made(events, **STANDUP)
    path = f"{events}/{event['id']}"
    assert (await api("PUT", path, STANDUP, if_match='"9"', idempotency_key="k-4")).status_code == 412
    assert (await api("PUT", path, STANDUP, if_match='"1"', idempotency_key="k-4")).status_code == 200


# --- events of others --------------------------------------------------------------------------------------------


async def test_an_event_from_a_calendar_is_read_but_not_changed(
    api: Caller, database: Database, anna: dict[str, Any], link: dict[str, Any]
) -> None:
    event = await api.made(f"/resources/{anna['id']}/events", **STANDUP)
    async with database.begin() as connection:
        await connection.execute(
            text("update series set origin = 'provider', origin_link_id = :link where id = :id"),
            {"link": link["id"], "id": event["id"]},
        )
    path = f"/resources/{anna['id']}/events/{event['id']}"
    assert (await api("GET", path)).json()["origin"] == "provider"
    refused = await api("PUT", path, {**STANDUP, "title": "Mine"})
    assert (refused.status_code, refused.json()["code"]) == (403, "web.foreign_event")
    assert (await api("DELETE", path)).status_code == 403
    assert (await api("PATCH", f"/links/{link['id']}/settings", {"app_writes_foreign": "allow"})).status_code == 200
    assert (await api("PUT", path, {**STANDUP, "title": "Mine"})).status_code == 200


async def test_a_written_event_makes_its_links_due(
    api: Caller, database: Database, anna: dict[str, Any], link: dict[str, Any]
) -> None:
    async with database.begin() as connection:
        await connection.execute(text("update lane set due = null where connection_id = :id"), {"id": link["connection_id"]})
    event = await api.made(f"/resources/{anna['id']}/events", **STANDUP)
    async with database.read() as connection:
        due = await connection.execute(
            text("select due <= now() from lane where connection_id = :id"), {"id": link["connection_id"]}
        )
        stale = await connection.execute(text("select series_id from pairing where stale and link_id = :id"), {"id": link["id"]})
        assert due.scalar_one()
        assert [str(row[0]) for row in stale] == [event["id"]]


# --- bad input ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({}, "start"),
        ({"start": None}, "start"),
        ({"start": "2026-11-23"}, "start"),
        ({"start": {"date": "2026-02-30"}}, "start.date"),
        ({"start": {"date_time": "noon", "time_zone": "UTC"}}, "start.date_time"),
        ({"start": {"date_time": "2026-11-23T09:00:00", "time_zone": "Mars/Phobos"}}, "start.time_zone"),
        ({**STANDUP, "title": 5}, "title"),
        ({**STANDUP, "show_as": "asleep"}, "show_as"),
        ({**STANDUP, "recurrence": {"rrule": "FREQ=SOMETIMES"}}, "recurrence.rrule"),
        ({**STANDUP, "recurrence": {"overrides": [{}]}}, "recurrence.overrides[0].recurrence_id"),
        ({**STANDUP, "attendees": [{"name": "Ben"}]}, "attendees[0]"),
        ({**STANDUP, "external_id": ""}, "external_id"),
    ],
)
async def test_a_document_that_is_no_event_is_refused_with_its_place(
    api: Caller, anna: dict[str, Any], body: dict[str, Any], place: str
) -> None:
    answer = await api("POST", f"/resources/{anna['id']}/events", body, accept_language="de")
    problem = answer.json()
    assert (answer.status_code, problem["code"], problem["errors"][0]["place"]) == (422, "web.invalid", place)
    assert "Stelle" in problem["remedy"]
    assert answer.headers["content-language"] == "de"


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"[]", b'"x"', b"null", b'{"start": NaN}', b'{"title": "\\ud800"}'])
async def test_a_body_that_is_no_json_object_is_refused(api: Caller, anna: dict[str, Any], body: bytes) -> None:
    answer = await api("POST", f"/resources/{anna['id']}/events", body, content_type="application/json")
    assert answer.status_code in (400, 422), answer.text
    assert answer.json()["remedy"]


async def test_five_megabytes_emoji_and_control_characters_survive(api: Caller, anna: dict[str, Any]) -> None:
    odd = "👩‍👩‍👧 \x01\x1f￾ ü" + "x" * 4_900_000
    event = await api.made(f"/resources/{anna['id']}/events", **{**STANDUP, "description": odd, "title": "nul\0l"})
    read = (await api("GET", f"/resources/{anna['id']}/events/{event['id']}")).json()
    assert (read["description"], read["title"]) == (odd, "null")
    listed = (await api("GET", f"/resources/{anna['id']}/events")).json()["items"]
    assert listed[0]["description"] == odd


async def test_more_than_a_body_may_hold_is_refused(api: Caller, anna: dict[str, Any]) -> None:
    answer = await api("POST", f"/resources/{anna['id']}/events", b"[" + b" " * 33_000_000, content_type="application/json")
    assert (answer.status_code, answer.json()["code"]) == (413, "web.too_large")


@pytest.mark.parametrize("year", ["0001-01-01", "1601-01-01", "9999-12-30"])
async def test_events_at_the_edge_of_the_world_are_kept(api: Caller, anna: dict[str, Any], year: str) -> None:
    await api.made(f"/resources/{anna['id']}/events", title="Edge", start={"date": year})
    await api.made(
        f"/resources/{anna['id']}/events", title="Edge", start={"date_time": f"{year}T23:59:59", "time_zone": "Pacific/Auckland"}
    )
    found = (await api("GET", f"/resources/{anna['id']}/events")).json()["items"]
    assert len(found) == 2
