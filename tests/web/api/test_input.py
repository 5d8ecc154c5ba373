"""What no caller should send: it is refused with its place and a remedy, or taken, and never breaks the server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from tests.web.api.conftest import STANDUP, Caller
from tests.web.api.world import Ids, description_of, make_world

from gleichtakt.store.database import Database
from gleichtakt.web.api.description import operations
from gleichtakt.web.api.examples import BODIES, CONNECTION, RESOURCE

MALFORMED = [
    b"{",
    b"[]",
    b'"text"',
    b"5",
    b"\xff\xfe\x00",
    b"{'a': 1}",
    b'{"name": NaN}',
    b'{"name": 1e999}',
    b'{"name": "\\ud800"}',
    b'{"start": ' + b"[" * 20_000 + b"]" * 20_000 + b"}",
    b"\xef\xbb\xbf{}",
]
ODD: list[Any] = [
    None,
    True,
    -1,
    10**30,
    1e300,
    "",
    "x",
    "nul\0nul",
    "\x01\x1f\ufffe",
    "👩‍👩‍👧",
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-12:00",
    "x" * 5_000,
    [],
    [None],
    {},
    {"nul\0": "\0"},
]
QUERY = ["", "x", "-1", "0", "99999999999999999999", "1e400", "NaN", "%00", "%ff", "%F0%9F%92%A9", "a" * 3000]


@pytest.fixture
async def ids(api: Caller, database: Database) -> Ids:
    """One object of every kind in the organization of the test."""
    return await make_world(api, database)


@pytest.fixture
async def description(client: httpx.AsyncClient) -> dict[str, Any]:
    """The description as programs read it."""
    return await description_of(client)


def explained(answer: httpx.Response, where: object) -> None:
    """Demand that an answer is no server error, and that a refusal says what and what helps."""
    assert answer.status_code < 500 or answer.status_code == 503, (where, answer.text)
    if answer.status_code >= 400:
        problem = answer.json()
        assert problem["cause"], where
        assert problem["remedy"], where
        if answer.status_code == 422 and problem["code"] == "web.invalid":
            assert problem["errors"][0]["place"], where
            assert problem["errors"][0]["reason"], where


def bodies(description: dict[str, Any], ids: Ids) -> Iterator[tuple[str, str, str, dict[str, Any]]]:
    """Give name, verb, path and the example of every operation that takes a body."""
    for path, verb, operation in operations(description):
        name = operation["operationId"]
        if name in BODIES:
            written = json.dumps(BODIES[name]).replace(RESOURCE, ids["resource_id"]).replace(CONNECTION, ids["connection_id"])
            yield name, verb.upper(), path.format(**ids), json.loads(written)


async def test_a_body_that_is_not_json_or_no_object_is_refused(api: Caller, ids: Ids, description: dict[str, Any]) -> None:
    for name, verb, path, _ in bodies(description, ids):
        for body in MALFORMED:
            answer = await api(verb, path, body, content_type="application/json")
            explained(answer, (name, body[:30]))
            assert answer.status_code in (400, 422), (name, body[:30], answer.text)


async def test_whatever_stands_in_a_field_is_taken_or_refused_with_its_place(
    api: Caller, ids: Ids, description: dict[str, Any]
) -> None:
    for name, verb, path, example in bodies(description, ids):
        if name.startswith("disconnect"):
            continue  # ends what the others need; its fields are choices
        for field in example:
            for odd in ODD:
                answer = await api(verb, path, {**example, field: odd})
                explained(answer, (name, field, odd))
                if answer.status_code == 422 and field not in ("from", "to"):  # of those, either may be the wrong one
                    assert field in answer.json()["errors"][0]["place"], (name, field, odd, answer.text)


async def test_whatever_stands_in_a_query_is_taken_or_refused_with_its_place(
    api: Caller, ids: Ids, description: dict[str, Any]
) -> None:
    for path, verb, operation in operations(description):
        for one in operation["parameters"]:
            if one.get("in") != "query" or operation["operationId"].startswith("delete"):
                continue
            for value in QUERY:
                if one["name"] == "wait" and value == "0":
                    continue
                body = BODIES.get(operation["operationId"])
                answer = await api(verb.upper(), f"{path.format(**ids)}?wait=0&{one['name']}={value}", body)
                explained(answer, (operation["operationId"], one["name"], value))
                if answer.status_code == 422:
                    assert answer.json().get("errors"), (path, one["name"], value, answer.text)


@pytest.mark.parametrize("name", ["x", "1", "%00", "..%2f", "01a1fe81-e218-743c-b382", "'; drop table series; --", "👩"])
async def test_an_id_that_is_none_leads_nowhere(api: Caller, name: str) -> None:
    for kind in ("resources", "links", "runs", "connections", "organizations", "webhooks", "api-keys"):
        refused = await api.refused("GET", f"/{kind}/{name}")
        assert refused.status == 404


@pytest.mark.parametrize(
    "headers",
    [
        {"if_match": '"x'},
        {"if_match": "'; --"},
        {"if_none_match": "ü"},
        {"idempotency_key": "x" * 300},
        {"accept_language": "de;q=x, en;q=, *;q=5,,;;"},
        {"content_type": "text/plain"},
        {"content_type": "application/xml; charset=none"},
        {"content_type": ""},
        {"x_organization": "x" * 1000},
        {"authorization": "Bearer " + "x" * 5000},
    ],
    ids=str,
)
async def test_odd_headers_are_answered_with_sense(api: Caller, anna: dict[str, Any], headers: dict[str, str]) -> None:
    body = json.dumps({"name": "Anna"}).encode()
    sent = {name.replace("_", "-"): value.encode("latin-1") for name, value in headers.items()}
    sent = {"authorization": f"Bearer {api.key}".encode(), "x-organization": str(api.organization_id).encode(), **sent}
    answer = await api.client.request("PATCH", f"/api/v1/resources/{anna['id']}", content=body, headers=list(sent.items()))
    explained(answer, headers)


async def test_the_edges_of_time_break_nothing(api: Caller, anna: dict[str, Any]) -> None:
    events = f"/resources/{anna['id']}/events"
    for date in ("0001-01-01", "1601-01-01", "9999-12-31"):
        for zone in ("Pacific/Kiritimati", "Pacific/Pago_Pago", "Europe/Berlin"):
            start = {"date_time": f"{date}T00:00:01", "time_zone": zone}
            for rule in (None, {"rrule": "FREQ=DAILY;COUNT=5"}, {"rrule": "FREQ=YEARLY"}):
                answer = await api("POST", events, {"title": date, "start": start, "recurrence": rule})
                explained(answer, (date, zone, rule))
    for start, end in (("0001-01-01", "0002-01-01"), ("1601-01-01", "1602-01-01"), ("9998-12-31", "9999-12-31")):
        for path in (f"{events}?expand=true&from={start}&to={end}", f"/resources/{anna['id']}/free-busy?from={start}&to={end}"):
            explained(await api("GET", path), path)
        question = {
            "from": start,
            "to": end,
            "participants": [{"resource_ids": [anna["id"]]}],
            "buffer_before_minutes": 100_000,
            "buffer_after_minutes": 100_000,
            "working_hours": {
                "time_zone": "Pacific/Kiritimati",
                "hours": [{"days": ["mon", "sun"], "start": "22:00", "end": "06:00"}],
            },
        }
        explained(await api("POST", "/availability", question), question)


BAD_EVENTS = [
    ({"start": {"date_time": "2026-11-23T09:00:00", "time_zone": "W. Europe Standard Time"}}, "start.time_zone"),
    ({"start": {"date_time": "2026-11-23T09:00:00", "time_zone": {"custom": "BEGIN:VTIMEZONE"}}}, "start.time_zone"),
    ({"start": {"date_time": "2026-11-23T25:00:00", "time_zone": "UTC"}}, "start.date_time"),
    ({"start": {"date_time": "10000-01-01T00:00:00", "time_zone": "UTC"}}, "start.date_time"),
    ({"start": {"date": "0000-01-01"}}, "start.date"),
    ({**STANDUP, "end": {"date": "2026-11-24"}}, "end"),
    ({**STANDUP, "recurrence": {"rrule": "FREQ=DAILY;COUNT=2;UNTIL=20270101T000000Z"}}, "recurrence.rrule"),
    ({**STANDUP, "recurrence": {"rrule": "FREQ=DAILY;INTERVAL=0"}}, "recurrence.rrule"),
    ({**STANDUP, "recurrence": {"rrule": "RRULE:FREQ=DAILY\r\nDTSTART:20200101"}}, "recurrence.rrule"),
    ({**STANDUP, "recurrence": {"rrule": "FREQ=YEARLY;BYMONTHDAY=99"}}, "recurrence.rrule"),
    ({**STANDUP, "recurrence": {"rrule": "FREQ=DAILY", "exdate": ["2026-11-24"]}}, "recurrence.exdate[0]"),
    ({**STANDUP, "recurrence": []}, "recurrence"),
    ({**STANDUP, "attendees": {"email": "a"}}, "attendees"),
    ({**STANDUP, "attendees": [{"email": "a", "response": "perhaps"}]}, "attendees[0].response"),
    ({**STANDUP, "organizer": {"name": "Ben"}}, "organizer"),
    ({**STANDUP, "categories": [5]}, "categories[0]"),
    ({**STANDUP, "reminders": [1.5]}, "reminders[0]"),
    ({**STANDUP, "description": "x" * 5_000_001}, "description"),
]


@pytest.mark.parametrize("language", ["de", "en"])
async def test_an_event_that_cannot_be_is_refused_where_it_is_wrong(api: Caller, anna: dict[str, Any], language: str) -> None:
    for body, place in BAD_EVENTS:
        refused = await api.refused("POST", f"/resources/{anna['id']}/events", body, accept_language=language)
        assert (refused.status, refused.code, refused.place) == (422, "web.invalid", place)
    assert await api.items(f"/resources/{anna['id']}/events") == []


async def test_an_end_before_its_start_becomes_the_start(api: Caller, anna: dict[str, Any]) -> None:
    early = {"date_time": "2026-11-23T08:00:00", "time_zone": "Europe/Berlin"}
    event = await api.made(f"/resources/{anna['id']}/events", **{**STANDUP, "end": early})
    assert event["end"] == event["start"]


async def test_a_rule_denser_than_any_calendar_is_kept_without_flooding_it(api: Caller, anna: dict[str, Any]) -> None:
    events = f"/resources/{anna['id']}/events"
    await api.made(events, **{**STANDUP, "recurrence": {"rrule": "FREQ=SECONDLY"}})
    found = await api.items(f"{events}?expand=true&from=2026-11-01&to=2026-12-31")
    assert len(found) == 1
    assert found[0]["recurrence"] == {"rrule": "FREQ=SECONDLY", "rdate": [], "exdate": [], "overrides": []}


async def test_a_page_is_never_larger_than_allowed(api: Caller, anna: dict[str, Any]) -> None:
    for path in ("/resources", f"/resources/{anna['id']}/events", "/changes", "/runs"):
        assert (await api("GET", f"{path}?limit=1000")).status_code == 200
        refused = await api.refused("GET", f"{path}?limit=1001")
        assert (refused.status, refused.place) == (422, "limit")


async def test_a_cursor_of_another_list_is_refused_or_harmless(api: Caller, ids: Ids) -> None:
    lists = ["/resources", "/links", "/runs", "/holds", "/webhooks", "/api-keys", f"/resources/{ids['resource_id']}/events"]
    cursors = [ids["link_id"], "eyJ4IjoxfQ", "MjAyNi0xMS0yM3x4", "-1", "9" * 40, "٣", "0" * 32 + "-1-1"]
    for path in [*lists, "/changes", f"/holds/{ids['hold_id']}"]:
        for cursor in cursors:
            explained(await api("GET", f"{path}?cursor={cursor}"), (path, cursor))
