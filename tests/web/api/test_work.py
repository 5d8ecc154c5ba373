"""What links do, asked for and decided over the interface, against a simulated calendar system."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from litestar import Litestar
from sqlalchemy import text
from tests.engine import Engine, engine, meeting
from tests.waiting import eventually
from tests.web.api.conftest import STANDUP, Caller, make_key
from tests.web.api.world import make_work

from gleichtakt.simulators.memory.faults import Fault
from gleichtakt.store.database import Database
from gleichtakt.web.app import services_of


@pytest.fixture
async def world(fresh: Database) -> AsyncIterator[Engine]:
    """A person with a simulated calendar elsewhere, in a database of the test's own."""
    async with engine(fresh) as made:
        yield made


@pytest.fixture
async def caller(world: Engine, made_once: Litestar) -> AsyncIterator[Caller]:
    """The application over that database, called with every right of that organization."""
    made_once.state.services = services_of(world.database, world.settings, world.box)
    transport = httpx.ASGITransport(app=made_once)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="https://calendars.example.org") as client:
        key = await make_key(world.database, world.organization_id, "admin")
        yield Caller(client, world.organization_id, key)


async def ended(caller: Caller, world: Engine, answer: httpx.Response) -> dict[str, Any]:
    """Let the worker do what was asked for; give the run."""
    assert answer.status_code == 202, answer.text
    body = answer.json()
    run = body.get("run", body)
    assert run["state"] == "queued"
    assert answer.headers["location"] == f"/api/v1/runs/{run['id']}"
    await world.sync()
    return await caller.read(f"/runs/{run['id']}")


async def test_a_run_is_asked_for_joined_and_awaited(caller: Caller, world: Engine) -> None:
    tie = await world.tie()
    await world.sync()
    events = f"/resources/{world.resource_id}/events"
    day = meeting().event.start
    await caller.made(events, title="Booking", start={"date_time": day.wall.isoformat(), "time_zone": "Europe/Berlin"})
    first = await caller("POST", f"/links/{tie.id}/sync")
    second = await caller("POST", f"/links/{tie.id}/sync")
    assert second.json()["id"] == first.json()["id"]  # a queued run is joined
    waiting, _ = await asyncio.gather(caller("POST", f"/links/{tie.id}/sync?wait=20"), world.sync())
    assert waiting.status_code == 200
    run = waiting.json()
    assert (run["id"], run["state"], run["kind"]) == (first.json()["id"], "done", "sync")
    assert run["counts"]["provider"] == {"created": 1, "updated": 0, "deleted": 0}
    assert tie.titles == ["Booking"]
    link = await caller.read(f"/links/{tie.id}")
    assert (link["state"], link["health"]["problem"]) == ("in_step", None)
    assert link["health"]["lag_seconds"] < 60


async def test_a_plan_says_what_a_run_would_do_and_does_nothing(caller: Caller, world: Engine) -> None:
    tie = await world.tie()
    await world.sync()
    await world.put(meeting("Booking"))
    world.forget()
    asked = await caller("POST", f"/links/{tie.id}/plan?wait=0")
    run = await ended(caller, world, asked)
    assert (run["kind"], run["state"]) == ("plan", "done")
    plan = await caller.read(f"/runs/{run['id']}/plan")
    assert [(one["side"], one["verb"], one["title"]) for one in plan["actions"]] == [("provider", "create", "Booking")]
    assert (plan["mails"], plan["next"]) == (0, None)
    nothing = await caller.read(f"/runs/{run['id']}/plan?cursor=1")
    assert nothing["actions"] == []


async def test_a_run_is_taken_back(caller: Caller, world: Engine) -> None:
    tie = await world.tie()
    await world.put(meeting("Booking"))
    run = await ended(caller, world, await caller("POST", f"/links/{tie.id}/sync"))
    assert tie.titles == ["Booking"]
    undone = await ended(caller, world, await caller("POST", f"/runs/{run['id']}/undo"))
    assert (undone["kind"], undone["undo_of"], undone["state"]) == ("undo", run["id"], "done")
    assert tie.titles == []
    assert await world.titles() == ["Booking"]  # the run had written there only
    again = await ended(caller, world, await caller("POST", f"/runs/{undone['id']}/undo"))
    problems = [one["code"] for one in await caller.items("/problems")]
    assert (again["state"], tie.titles, problems) == ("partial", [], ["sync.undo_not_stored"])
    planned = await ended(caller, world, await caller("POST", f"/links/{tie.id}/plan?wait=0"))
    refused = await caller.refused("POST", f"/runs/{planned['id']}/undo")
    assert (refused.status, refused.code) == (409, "web.nothing_to_undo")


@pytest.mark.parametrize("verdict", ["approve", "reject"])
async def test_what_guards_hold_back_waits_for_a_decision(caller: Caller, world: Engine, verdict: str) -> None:
    tie = await world.tie()
    rows = [await world.put(meeting(f"Booking {number}", days=number + 1)) for number in range(10)]
    await world.sync()
    for row in rows[:6]:
        await world.delete(row.id)
    await world.sync()
    (hold,) = await caller.items(f"/holds?state=open&link_id={tie.id}")
    assert (hold["kind"], hold["count"]) == ("mass_delete", 6)
    assert len(tie.things) == 10
    shown = await caller.read(f"/holds/{hold['id']}?limit=4")
    following = await caller.read(f"/holds/{hold['id']}?limit=4&cursor={shown['next']}")
    titles = sorted(one["title"] for one in (*shown["actions"], *following["actions"]))
    assert titles == [f"Booking {number}" for number in range(6)]
    decided = await caller("POST", f"/holds/{hold['id']}/{verdict}")
    assert decided.json()["state"] == {"approve": "approved", "reject": "rejected"}[verdict]
    assert decided.json()["decided_by"].startswith("api:")
    for again in ("approve", "reject"):
        refused = await caller.refused("POST", f"/holds/{hold['id']}/{again}")
        assert (refused.status, refused.code) == (409, "web.decided")
    await world.sync(rounds=2)
    assert len(tie.things) == (4 if verdict == "approve" else 10)
    assert len(await world.ours()) == len(tie.things)
    assert await caller.items("/holds?state=open") == []


@pytest.mark.parametrize(("resolution", "title"), [("ours", "Ours"), ("theirs", "Theirs"), ("merged", "Both")])
async def test_a_conflict_is_shown_with_three_versions_and_resolved(
    caller: Caller, world: Engine, resolution: str, title: str
) -> None:
    tie = await world.tie(conflict_rule="manual", outbound_detail="full")
    row = await world.put(meeting("Base"))
    await world.sync()
    await world.put(meeting("Ours"), row.id)
    tie.edit(tie.things[0], title="Theirs")
    await world.sync()
    (conflict,) = await caller.items("/conflicts?state=open")
    versions = [conflict[side]["title"] for side in ("base", "ours", "theirs")]
    assert (versions, conflict["fields"]) == (["Base", "Ours", "Theirs"], ["title"])
    path = f"/conflicts/{conflict['id']}"
    refused = await caller.refused("POST", f"{path}/resolve", {"resolution": "merged"})
    assert (refused.status, refused.place) == (422, "event")
    body: dict[str, Any] = {"resolution": resolution}
    if resolution == "merged":
        event = await caller.read(f"/resources/{world.resource_id}/events/{row.id}")
        body["event"] = {**event, "title": title}
    resolved = await caller("POST", f"{path}/resolve", body)
    assert (resolved.json()["state"], resolved.json()["resolution"]) == ("resolved", resolution)
    assert (await caller.refused("POST", f"{path}/resolve", {"resolution": "ours"})).code == "web.decided"
    await world.sync(rounds=2)
    assert tie.titles == await world.titles() == [title]


async def test_a_link_rests_works_again_and_is_compared_anew(caller: Caller, world: Engine) -> None:
    tie = await world.tie()
    await world.put(meeting("Booking"))
    await world.sync()
    path = f"/links/{tie.id}"
    assert (await caller("POST", f"{path}/pause")).json()["state"] == "paused"
    refused = await caller.refused("POST", f"{path}/sync")
    assert (refused.status, refused.code) == (409, "web.link_resting")
    await world.put(meeting("Second", days=2))
    await world.sync()
    assert tie.titles == ["Booking"]
    assert (await caller("POST", f"{path}/resume")).status_code == 200
    await world.sync()
    assert tie.titles == ["Booking", "Second"]
    world.forget()
    assert (await caller("POST", f"{path}/reset")).status_code == 200
    await world.sync()
    assert tie.titles == ["Booking", "Second"]
    assert world.writes() == 0  # matched, neither doubled nor deleted


@pytest.mark.parametrize("copies", ["keep", "delete"])
async def test_a_link_ends_as_it_is_asked_to(caller: Caller, world: Engine, copies: str) -> None:
    tie = await world.tie(inbound_detail="full")
    await world.put(meeting("Ours"))
    tie.add(meeting("Theirs", days=3))
    await world.sync()
    assert await world.titles() == ["Ours", "Theirs"]
    answer = await caller("POST", f"/links/{tie.id}/disconnect", {"copies": copies, "imported": "delete"})
    ending = answer.json()
    assert (answer.status_code, ending["copies"], ending["imported"]) == (202, 1, 1)
    assert await world.titles() == ["Ours"]
    if copies == "delete":
        assert str(answer.json()["run_id"]) == (await caller.items("/runs"))[0]["id"]
        await world.sync(rounds=2)
    assert tie.titles == (["Theirs"] if copies == "delete" else ["Ours", "Theirs"])
    assert (await caller.read(f"/links/{tie.id}"))["state"] == "disconnected"


async def test_a_connection_with_links_ends_only_by_its_name(caller: Caller, world: Engine) -> None:
    tie = await world.tie()
    await world.put(meeting("Ours"))
    await world.sync()
    path = f"/connections/{tie.connection_id}"
    assert (await caller.refused("DELETE", path)).code == "web.still_linked"
    assert (await caller.refused("DELETE", f"/resources/{world.resource_id}")).code == "web.still_linked"
    refused = await caller.refused("POST", f"{path}/disconnect", {})
    assert (refused.status, refused.document["links"], refused.document["confirm"]) == (409, 1, "Memory")
    ended = await caller("POST", f"{path}/disconnect", {"confirm": refused.document["confirm"]})
    assert (ended.status_code, ended.json()["copies"]) == (202, 1)
    assert (await caller("DELETE", path)).status_code == 204
    assert tie.titles == ["Ours"]


async def test_a_deleted_link_leaves_copies_and_takes_what_it_brought(caller: Caller, world: Engine) -> None:
    tie = await world.tie()
    await world.put(meeting("Ours"))
    tie.add(meeting("Theirs", days=3))
    await world.sync()
    assert len(await world.ours()) == 2
    assert (await caller("DELETE", f"/links/{tie.id}")).status_code == 204
    assert await world.titles() == ["Ours"]
    assert tie.titles == ["Ours", "Theirs"]
    assert (await caller("DELETE", f"/resources/{world.resource_id}")).status_code == 204
    assert await caller.items("/resources") == []


async def test_the_doctor_and_the_calendars_of_a_login(caller: Caller, world: Engine) -> None:
    tie = await world.tie()
    await world.sync()
    path = f"/connections/{tie.connection_id}"
    calendars = await caller.items(f"{path}/calendars?mailbox={tie.mailbox}")
    assert tie.calendar in {one["calendar"] for one in calendars}
    report = (await caller("POST", f"{path}/doctor")).json()
    assert report["result"] in ("pass", "warn")
    assert {check["result"] for check in report["checks"]} <= {"pass", "warn", "skip"}
    assert (await caller.read(path))["doctor"]["checks"]


async def test_free_times_are_as_fresh_as_asked_for(caller: Caller, world: Engine) -> None:
    tie = await world.tie()
    await world.sync()
    tie.add(meeting("Theirs", days=1, hour=10))
    async with world.database.begin() as connection:
        await connection.execute(text("update link set last_success = now() - interval '1 hour'"))
    day = meeting(days=1, hour=0).event.start.wall.date().isoformat()
    question = {
        "from": f"{day}T00:00:00+01:00",
        "to": f"{day}T23:00:00+01:00",
        "participants": [{"resource_ids": [str(world.resource_id)]}],
        "wait_seconds": 0,
    }
    old = (await caller("POST", "/availability", {**question, "max_age_seconds": 60})).json()
    assert (old["sources"][0]["stale"], old["busy"][str(world.resource_id)]) == (True, [])
    asked = caller("POST", "/availability", {**question, "max_age_seconds": 60, "wait_seconds": 20})
    answer, _ = await asyncio.gather(asked, world.sync())
    assert answer.json()["sources"][0]["stale"] is False
    assert len(answer.json()["busy"][str(world.resource_id)]) == 1


async def test_a_foreign_event_is_changed_only_as_far_as_its_link_allows(caller: Caller, world: Engine) -> None:
    tie = await world.tie(inbound_detail="full")
    tie.add(meeting("Theirs"))
    await world.sync()
    (event,) = await caller.items(f"/resources/{world.resource_id}/events")
    path = f"/resources/{world.resource_id}/events/{event['id']}"
    assert (event["origin"], event["link_id"]) == ("provider", str(tie.id))
    assert (await caller.refused("PUT", path, {**event, "title": "Mine"})).code == "web.foreign_event"
    await caller("PATCH", f"/links/{tie.id}/settings", {"app_writes_foreign": "times"})
    assert (await caller.refused("PUT", path, {**event, "title": "Mine"})).code == "web.foreign_event"
    assert (await caller.refused("DELETE", path)).code == "web.foreign_event"
    later = {**event["end"], "date_time": event["end"]["date_time"].replace(":00:00", ":30:00")}
    assert (await caller("PUT", path, {**event, "end": later})).status_code == 200
    await world.sync()
    assert tie.there()[0].event.end.wall.minute == 30  # type: ignore[union-attr]


async def test_narrowing_a_setting_names_the_plan_of_what_it_takes_away(caller: Caller, world: Engine) -> None:
    tie = await world.tie()
    await world.put(meeting("Ours"))
    await world.sync()
    answer = await caller("PATCH", f"/links/{tie.id}/settings", {"outbound_detail": "busy"})
    run = await caller.read(f"/runs/{answer.headers['gleichtakt-plan']}")
    assert (run["kind"], run["state"]) == ("plan", "queued")
    assert answer.json()["outbound_detail"] == {"value": "busy", "origin": "link"}
    same = await caller("PATCH", f"/links/{tie.id}/settings", {"outbound_detail": "busy"})
    assert "gleichtakt-plan" not in same.headers


async def test_a_problem_is_tried_again_or_put_aside(caller: Caller, world: Engine) -> None:
    tie = await world.tie()
    event = await caller.made(f"/resources/{world.resource_id}/events", **STANDUP)
    ids = {
        "organization_id": str(world.organization_id),
        "resource_id": str(world.resource_id),
        "link_id": str(tie.id),
        "connection_id": str(tie.connection_id),
        "event_id": event["id"],
    }
    first = (await make_work(world.database, ids))["problem_id"]
    second = (await make_work(world.database, ids))["problem_id"]
    shown = (await caller("GET", f"/problems/{first}", accept_language="de")).json()
    assert "Kalendersystem" in shown["cause"]
    assert shown["remedy"]
    again = await caller("POST", f"/problems/{first}/retry")
    assert (again.status_code, again.json()["next_try_at"] is not None) == (202, True)
    aside = await caller("POST", f"/problems/{second}/ignore")
    assert aside.json()["state"] == "ignored"
    assert (await caller.refused("POST", f"/problems/{second}/retry")).code == "web.decided"
    assert [one["id"] for one in await caller.items("/problems?state=open")] == [first]


@pytest.mark.parametrize(("word", "state"), [("pause", "paused"), ("reset", "in_step"), ("disconnect", "disconnected")])
async def test_a_pass_under_way_does_not_undo_a_persons_word(caller: Caller, world: Engine, word: str, state: str) -> None:
    tie = await world.tie()
    await world.sync()
    await world.put(meeting("Booking"))
    world.simulator.faults.add(Fault("delay", "create", effect=True, seconds=1.0))
    world.forget()

    async def is_writing() -> bool:
        return world.writes() > 0

    pass_under_way = asyncio.create_task(world.sync())
    await eventually(is_writing)
    assert (await caller("POST", f"/links/{tie.id}/{word}")).status_code in (200, 202)
    await pass_under_way
    if word == "reset":
        await world.sync(rounds=2)
        assert tie.titles == ["Booking"]  # the copy that was just made is found again
    assert (await caller.read(f"/links/{tie.id}"))["state"] == state
