"""Who is free when: one person's busy times, and times that suit several at once."""

from __future__ import annotations

from typing import Any

import pytest
from tests.web.api.conftest import Caller

DAY = "2026-11-23"  # a Monday
MONTH = "from=2026-11-01&to=2026-12-01"


def at(clock: str, day: str = DAY) -> dict[str, str]:
    """Give a time on the clock of Berlin."""
    return {"date_time": f"{day}T{clock}:00", "time_zone": "Europe/Berlin"}


async def book(api: Caller, resource: dict[str, Any], start: str, end: str, **more: Any) -> dict[str, Any]:
    """Add an event to somebody's day."""
    return await api.made(f"/resources/{resource['id']}/events", title="Secret", start=at(start), end=at(end), **more)


async def busy(api: Caller, resource: dict[str, Any], window: str = MONTH) -> list[tuple[str, str, str]]:
    """Give somebody's busy times."""
    found = await api.read(f"/resources/{resource['id']}/free-busy?{window}")
    assert found["resource_id"] == resource["id"]
    return [(one["start"], one["end"], one["show_as"]) for one in found["busy"]]


async def test_busy_times_join_cut_and_tell_no_content(api: Caller, anna: dict[str, Any]) -> None:
    await book(api, anna, "09:00", "10:00")
    await book(api, anna, "10:00", "11:00")
    await book(api, anna, "10:30", "12:00", show_as="tentative")
    await book(api, anna, "14:00", "15:00", show_as="free")
    await book(api, anna, "15:00", "16:00", status="cancelled")
    answer = await api("GET", f"/resources/{anna['id']}/free-busy?{MONTH}")
    assert "Secret" not in answer.text
    assert await busy(api, anna) == [
        (f"{DAY}T08:00:00Z", f"{DAY}T10:00:00Z", "busy"),
        (f"{DAY}T10:00:00Z", f"{DAY}T11:00:00Z", "tentative"),
    ]
    window = "from=2026-11-23T09:30:00&to=2026-11-23T09:45:00"
    assert await busy(api, anna, window) == [(f"{DAY}T08:30:00Z", f"{DAY}T08:45:00Z", "busy")]


async def test_series_and_whole_days_are_busy_where_they_happen(api: Caller, anna: dict[str, Any]) -> None:
    await book(api, anna, "09:00", "09:15", recurrence={"rrule": "FREQ=WEEKLY;COUNT=3", "exdate": [at("09:00", "2026-11-30")]})
    await api.made(f"/resources/{anna['id']}/events", start={"date": "2026-12-24"}, show_as="oof")
    assert await busy(api, anna, "from=2026-11-20&to=2026-12-31") == [
        ("2026-11-23T08:00:00Z", "2026-11-23T08:15:00Z", "busy"),
        ("2026-12-07T08:00:00Z", "2026-12-07T08:15:00Z", "busy"),
        ("2026-12-23T23:00:00Z", "2026-12-24T23:00:00Z", "oof"),
    ]


async def test_far_from_today_the_answer_is_the_same(api: Caller, anna: dict[str, Any]) -> None:
    for year in (1999, 2050):
        start = {"date_time": f"{year}-01-04T09:00:00", "time_zone": "UTC"}
        end = {"date_time": f"{year}-01-04T10:00:00", "time_zone": "UTC"}
        await api.made(f"/resources/{anna['id']}/events", start=start, end=end)
        found = await busy(api, anna, f"from={year}-01-01&to={year}-02-01")
        assert found == [(f"{year}-01-04T09:00:00Z", f"{year}-01-04T10:00:00Z", "busy")]


@pytest.mark.parametrize(
    ("query", "place"),
    [
        ("", "from"),
        ("from=2026-01-01", "to"),
        ("from=2026-02-01&to=2026-01-01", "to"),
        ("from=2020-01-01&to=2026-01-01", "to"),
        ("from=soon&to=2026-01-01", "from"),
        ("from=0001-01-01&to=0001-02-01", "from"),
        ("from=9998-12-01&to=9999-02-01", "to"),
    ],
)
async def test_a_stretch_that_cannot_be_meant_is_refused(api: Caller, anna: dict[str, Any], query: str, place: str) -> None:
    refused = await api.refused("GET", f"/resources/{anna['id']}/free-busy?{query}")
    assert (refused.status, refused.place) == (422, place)


@pytest.fixture
async def people(api: Caller, anna: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Anna, Ben and Cleo in one group, and two rooms."""
    group = await api.made("/groups", name="Consultants")
    made = {"anna": anna, "group": group}
    await api("PATCH", f"/resources/{anna['id']}", {"group_id": group["id"]})
    for name in ("ben", "cleo"):
        made[name] = await api.made("/resources", name=name, external_id=name, group_id=group["id"])
    for name in ("room 1", "room 2"):
        made[name] = await api.made("/resources", name=name, external_id=name, kind="room")
    await book(api, anna, "09:00", "10:00")
    await book(api, made["ben"], "11:00", "12:00")
    await book(api, made["cleo"], "09:00", "17:00")
    await book(api, made["room 1"], "10:00", "11:00")
    await book(api, made["room 2"], "12:00", "17:00")
    return made


def question(*participants: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Ask about the working hours of the day."""
    return {
        "from": f"{DAY}T09:00:00+01:00",
        "to": f"{DAY}T17:00:00+01:00",
        "duration_minutes": 60,
        "participants": list(participants),
        **more,
    }


async def openings(api: Caller, asked: dict[str, Any]) -> list[tuple[str, str, set[str]]]:
    """Give where it fits: clock times in Berlin, and who."""
    answer = await api("POST", "/availability", asked)
    assert answer.status_code == 200, answer.text
    assert "Secret" not in answer.text

    def clock(moment: str) -> str:
        return f"{int(moment[11:13]) + 1:02}{moment[13:16]}"

    return [(clock(one["start"]), clock(one["end"]), set(one["resource_ids"])) for one in answer.json()["items"]]


async def test_all_who_are_needed_are_free(api: Caller, people: dict[str, dict[str, Any]]) -> None:
    both = {people["anna"]["id"], people["ben"]["id"]}
    found = await openings(api, question({"resource_ids": sorted(both)}))
    assert found == [("10:00", "11:00", both), ("12:00", "17:00", both)]
    with_cleo = question({"resource_ids": sorted(both)}, {"external_ids": ["cleo"]})
    assert await openings(api, with_cleo) == []


async def test_so_many_of_a_group_are_free(api: Caller, people: dict[str, dict[str, Any]]) -> None:
    found = await openings(api, question({"group_id": people["group"]["id"], "required": 2}))
    both = {people["anna"]["id"], people["ben"]["id"]}
    assert found == [("10:00", "11:00", both), ("12:00", "17:00", both)]
    one = await openings(api, question({"group_id": people["group"]["id"], "required": 1}, duration_minutes=480))
    assert one == []
    anyone = await openings(api, question({"group_id": people["group"]["id"], "required": 1}, duration_minutes=300))
    assert ("10:00", "17:00", {people["anna"]["id"]}) in anyone


async def test_a_room_is_found_for_the_people(api: Caller, people: dict[str, dict[str, Any]]) -> None:
    asked = question({"resource_ids": [people["anna"]["id"]]}, {"external_ids": ["room 1", "room 2"], "required": 1})
    found = await openings(api, asked)
    anna = people["anna"]["id"]
    assert ("10:00", "12:00", {anna, people["room 2"]["id"]}) in found
    assert ("11:00", "17:00", {anna, people["room 1"]["id"]}) in found


async def test_buffers_and_working_hours_narrow_the_times(api: Caller, people: dict[str, dict[str, Any]]) -> None:
    anna = {"resource_ids": [people["anna"]["id"]]}
    buffered = await openings(api, question(anna, buffer_before_minutes=30, buffer_after_minutes=15))
    assert buffered[0][0] == "10:30"
    hours = {
        "time_zone": "Europe/Berlin",
        "hours": [{"days": ["mon"], "start": "08:00", "end": "11:30"}, {"days": ["mon"], "start": "13:00", "end": "14:30"}],
    }
    found = await openings(api, question(anna, working_hours=hours))
    assert [(start, end) for start, end, _ in found] == [("10:00", "11:30"), ("13:00", "14:30")]
    closed = {**hours, "closed": [DAY]}
    assert await openings(api, question(anna, working_hours=closed)) == []


async def test_the_answer_says_what_it_rests_on(api: Caller, link: dict[str, Any], people: dict[str, dict[str, Any]]) -> None:
    answer = (await api("POST", "/availability", question({"resource_ids": [people["anna"]["id"], people["ben"]["id"]]}))).json()
    sources = {one["resource_id"]: one for one in answer["sources"]}
    assert sources[people["anna"]["id"]]["as_of"] is None  # her calendar has never been read
    assert sources[people["ben"]["id"]]["as_of"]
    assert answer["as_of"] is None
    assert set(answer["busy"]) == {people["anna"]["id"], people["ben"]["id"]}


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"participants": []}, "participants"),
        ({"participants": [{}]}, ""),
        ({"participants": [{"external_ids": ["anna", "nobody"]}]}, ""),
        ({"participants": [{"external_ids": ["ben"], "required": 2}]}, "participants[0].required"),
        ({"participants": [{"external_ids": ["ben"], "required": 0}]}, "participants[0].required"),
        ({"duration_minutes": 0}, "duration_minutes"),
        ({"from": "soon"}, "from"),
        ({"to": "2020-01-01"}, "to"),
        (
            {"working_hours": {"time_zone": "Mars", "hours": [{"days": ["mon"], "start": "09:00", "end": "10:00"}]}},
            "working_hours.time_zone",
        ),
        ({"working_hours": {"time_zone": "UTC", "hours": []}}, "working_hours.hours"),
        (
            {"working_hours": {"time_zone": "UTC", "hours": [{"days": ["mon"], "start": "24:00", "end": "25:00"}]}},
            "working_hours.hours[0].start",
        ),
    ],
)
async def test_a_question_without_sense_is_refused(
    api: Caller, people: dict[str, dict[str, Any]], change: dict[str, Any], place: str
) -> None:
    refused = await api.refused("POST", "/availability", {**question({"external_ids": ["ben"]}), **change})
    assert refused.status == (422 if place else 404)
    assert refused.place == place
