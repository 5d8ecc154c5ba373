"""OPS: what operators live through, and what it must not cost."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime
from html import unescape
from pathlib import Path
from typing import Any

from tests.cli.shell import shell
from tests.engine import ZONE, Engine, engine, meeting
from tests.memory_world import MAILBOX
from tests.scenarios.calendars import edited, vevent
from tests.scenarios.conftest import SETTINGS
from tests.scenarios.desk import Desk
from tests.scenarios.places import FULL, Dav, Feeds
from tests.scenarios.test_duplicates import book

from gleichtakt.errors import LANGUAGES, cause, remedy
from gleichtakt.model.point import Zoned
from gleichtakt.settings import Settings
from gleichtakt.simulators import caldav
from gleichtakt.simulators.memory import Fault
from gleichtakt.store import accounts, backup, instance
from gleichtakt.store.database import Database
from gleichtakt.store.secrets import open_box

MOMENT = re.compile(r"\d\d:\d\d(?::\d\d)? UTC")  # pages tell it in the reader's zone

GUARDS: dict[str, Any] = {"guard_delete_min": 100, "guard_update_min": 100}


# --- OPS-01 ------------------------------------------------------------------------------------------------------


async def test_ops_01_a_database_from_noon_meets_the_evening_and_loses_nothing(database_url: str, tmp_path: Path) -> None:
    settings = Settings(database_url=database_url, data_dir=str(tmp_path / "data"))
    async with await Database.open(database_url, pool=4) as database:
        await instance.attend(database, settings.data_path, embedded=False)
        async with engine(database) as world:
            world.box, world.settings = open_box(settings), SETTINGS
            tie = await world.tie(**FULL, **GUARDS)
            rows = [await world.put(meeting(f"Ours {n}", uid=f"ours-{n}", days=n + 1)) for n in range(12)]
            things = [tie.add(meeting(f"Theirs {n}", uid=f"theirs-{n}", days=n + 1, hour=14)) for n in range(12)]
            await world.sync()
            await backup.backup(settings, tmp_path / "noon.tar")
            await book(world, [meeting(f"Ours later {n}", uid=f"later-{n}", days=n + 1, hour=16) for n in range(5)])
            for number in range(5):
                tie.add(meeting(f"Theirs later {number}", uid=f"theirs-later-{number}", days=number + 1, hour=18))
                await world.put(edited(rows[number], location="Moved here"), rows[number].id)
                tie.edit(things[number], location="Moved there")
            for number in (10, 11):
                await world.delete(rows[number].id)
                tie.remove(things[number])
            await world.sync(rounds=2)
            evening = {one.event.title: one.event.location for one in tie.there()}
            assert len(evening) == 30

            await database.close()
            await backup.restore(settings, tmp_path / "noon.tar")
            async with await Database.open(database_url, pool=4) as restored:
                world.database = restored
                world.forget()
                await world.sync(rounds=2)
                assert world.writes() == 0, "it only looks until somebody has confirmed"
                assert {one["state"] for one in await world.rows("select state from link")} == {"verify"}
                assert len(await world.rows("select * from plan")) > 0, "the report of what it would do"
                async with restored.begin() as connection:
                    await instance.confirm(connection)
                await world.sync(rounds=3)
                there = {one.event.title: one.event.location for one in tie.there()}
                assert len(tie.things) == len(there), "no duplicates"
                assert evening.items() <= there.items(), "nothing that stands there is lost"
                ours = {row.series.event.title: row.series.event.location for row in await world.ours()}
                assert evening.items() <= ours.items()
                assert len(await world.ours()) == len(ours)
                assert set(ours) - set(evening) <= {"Ours 10", "Ours 11"}  # for a person: they were deleted after noon
                world.forget()
                await world.sync(rounds=2)
                assert world.writes() == 0


# --- OPS-04 ------------------------------------------------------------------------------------------------------


async def failures(world: Engine, dav: Dav, feeds: Feeds) -> None:
    """Let many things go wrong at once, each in its own calendar."""
    exact = await world.tie(**FULL, relay="none")
    await world.tie("patterned", "patterned", **FULL, relay="none")
    await world.tie("lossy", "lossy", **FULL, relay="none", window_ahead_days=3650)
    there = await dav.tie(**FULL, relay="none")
    await world.put(meeting("Strange rule", uid="rule", rrule="FREQ=HOURLY;COUNT=800"))
    strange = meeting("Strange year", uid="year")
    start = Zoned(datetime.fromisoformat("2500-01-01T09:00"), ZONE)
    await world.put(replace(strange, event=replace(strange.event, start=start, end=start)))
    there.add(vevent("bad").replace("DTSTART", "X-DTSTART"))
    thing = exact.add(meeting("Unreadable", uid="unreadable"))
    world.simulator.spoil(exact.folder, thing.href)
    world.simulator.faults.add(Fault("rejected", "create", calendar="calendar"))
    dav.simulator.faults.add(caldav.Fault("status", "create", status=413))
    for name, status in {"gone": 404, "error": 500, "wait": 429}.items():
        broken = dav.simulator.add_calendar("sync", name)
        login = await world.login("caldav", dav.running.url)
        await world.bind(login, broken.path, MAILBOX, await world.resource(name))
        dav.simulator.faults.add(caldav.Fault("status", path=broken.path, status=status, times=-1))
    await world.bind(
        await world.login("caldav", dav.running.url, ("sync", "wrong")), there.folder.path, "x", await world.resource("x")
    )
    await world.bind(await world.login("caldav", "http://calendar.example.org/"), "/x/", "y", await world.resource("y"))
    await feeds.tie("missing", relay="none", **FULL)
    feeds.simulator.feeds.clear()


async def test_ops_04_every_problem_says_what_where_why_and_what_next_in_the_same_words_everywhere(
    world: Engine, desk: Desk, dav: Dav, feeds: Feeds, shared_url: str, tmp_path: Path
) -> None:
    await failures(world, dav, feeds)
    await world.sync()
    async with world.database.begin() as connection:
        hashed = accounts.hash_password("correct horse battery staple")
        await accounts.create(
            connection, username="admin", password_hash=hashed, role="admin", organization_id=world.organization_id, language="en"
        )
    problems = await desk.problems()
    assert len({one["code"] for one in problems}) >= 9, sorted({one["code"] for one in problems})
    german = {one["id"]: one for one in await desk.problems(language="de")}
    await desk.client.post("/login", data={"username": "admin", "password": "correct horse battery staple"})
    page = unescape((await desk.client.get("/problems")).text)
    run = shell(shared_url, tmp_path)
    command = await run("status", "--json")
    written = {one["id"]: one for link in command.json["links"] for one in link["problems"]}
    for one in problems:
        where = [one["link_id"], one["connection_id"], one["resource_id"]]
        assert all(where), "which calendar"
        assert one["side"] in ("app", "provider")
        if one["scope"] == "series":
            assert one["series_id"] or one["event_start"] or one["code"].startswith(("ics.", "general.unreadable"))
        else:
            assert one["next_try_at"] or one["kind"] == "auth_required", "what happens next and when"
        stored = (await world.rows("select params from problem where id = cast(:id as uuid)", id=one["id"]))[0]["params"]
        for language, told in zip(LANGUAGES, (german[one["id"]], one), strict=True):
            assert told["cause"] == cause(one["code"], stored, language)
            assert told["remedy"] == remedy(one["code"], stored, language)
        for shown in (one["cause"], one["remedy"]):
            assert all(piece in page for piece in MOMENT.split(shown)), one["code"]
        if one["id"] in written:
            assert (written[one["id"]]["cause"], written[one["id"]]["remedy"]) == (one["cause"], one["remedy"])
        for secret in ("Strange rule", "sync-password", "Unreadable"):
            assert secret not in one["cause"] + one["remedy"]
        answer = await desk("POST", f"/problems/{one['id']}/retry")
        assert answer.status_code == 202
    assert written
    (chosen,) = [one for one in problems if one["code"] == "recurrence.too_dense"]
    assert (await desk("POST", f"/problems/{chosen['id']}/ignore")).status_code == 200
    assert chosen["id"] not in {one["id"] for one in await desk.problems()}


# --- OPS-05 ------------------------------------------------------------------------------------------------------


async def test_ops_05_a_link_that_only_reads_never_writes_whatever_is_done(world: Engine, desk: Desk, feeds: Feeds) -> None:
    source = await world.tie("source", **FULL, direction="inbound", app_writes_foreign="allow", relay="full")
    target = await world.tie("target", **FULL, direction="outbound", relay="full")
    published, feed_id = await feeds.tie(**FULL)
    feeds.publish(published, meeting("Feed", uid="feed", days=9))
    thing = source.add(meeting("Theirs", uid="theirs"))
    target.add(meeting("Not ours to read", uid="other", days=5))
    rows = [await world.put(meeting(f"Ours {n}", days=n + 1)) for n in range(3)]
    steps: list[Callable[[], Awaitable[Any]]] = [
        lambda: world.put(edited(rows[0], title="Renamed"), rows[0].id),
        lambda: world.delete(rows[1].id),
        lambda: source.set(inbound_detail="busy"),
        lambda: source.set(window_ahead_days=10),
        lambda: source.set(conflict_rule="app_first", relay="busy"),
        lambda: desk.do(f"/links/{source.id}/reset"),
    ]
    for step in steps:
        await step()
        await world.sync(rounds=2)
    written = [entry for entry in world.simulator.ledger if entry["verb"] in ("create", "update", "delete")]
    assert written
    assert {entry["calendar"] for entry in written} == {"target"}
    assert source.titles == ["Theirs"]
    assert thing.document["title"] == "Theirs"
    assert "Not ours to read" not in await world.titles()
    refused = await desk("PATCH", f"/links/{feed_id}/settings", {"direction": "two_way"})
    assert refused.status_code == 422


async def test_ops_05_a_changed_link_shows_what_would_happen_before_it_does(world: Engine, desk: Desk) -> None:
    tie = await world.tie(**FULL)
    for number in range(4):
        await world.put(meeting(f"Ours {number}", uid=f"ours-{number}", days=number + 1))
    await world.sync()
    again = {
        "resource_id": str(world.resource_id),
        "connection_id": str(tie.connection_id),
        "mailbox": MAILBOX,
        "calendar": "calendar",
    }
    assert (await desk("POST", "/links", again)).status_code == 409, "two links at one calendar would copy each other's copies"

    await desk.do(f"/links/{tie.id}/pause")
    await tie.set(direction="inbound")
    world.forget()
    await desk.do(f"/links/{tie.id}/resume")
    plan = await desk.plan(tie.id)
    assert plan["counts"]["provider.delete"] == 4
    assert {action["why"]["code"] if isinstance(action["why"], dict) else action["why"] for action in plan["actions"]} == {
        "sync.switched_off"
    }
    assert world.writes() == 0
    await world.sync(rounds=2)
    assert len(tie.things) == 4
    assert (await desk.holds())[0]["kind"] == "on_disable"
    await desk.decide("reject")
    await world.sync(rounds=2)
    assert len(tie.things) == 4


# --- OPS-06 ------------------------------------------------------------------------------------------------------


async def test_ops_06_leaving_takes_our_copies_spares_what_people_edited_and_finds_them_without_our_records(
    world: Engine, desk: Desk
) -> None:
    tie = await world.tie(**FULL, **GUARDS)
    await book(world, [meeting(f"Ours {n}", uid=f"ours-{n}", days=n - 20) for n in range(60)])
    for number in range(10):
        tie.add(meeting(f"Theirs {number}", uid=f"theirs-{number}", days=number + 1, hour=15))
    await world.sync()
    assert len(tie.things) == 70
    async with world.database.begin() as connection:  # the table of links is lost
        for table in ("pairing", "observed", "link", "lane"):
            await connection.exec_driver_sql(f"delete from {table}")
    await tie.set()
    linked = await world.bind(tie.connection_id, "calendar", MAILBOX)
    await world.set("link", linked.id, **FULL, window_back_days=2)  # most of them lie outside
    await world.sync()
    assert len(tie.things) == 70, "our copies were found by their marks"
    assert len(await world.rows("select * from pairing where made_by_us and href is not null")) == 60

    edited_there = [thing for thing in tie.things if thing.document["title"].startswith("Ours")][:5]
    ended = await desk.do(f"/links/{linked.id}/disconnect", {"copies": "delete", "imported": "delete"})
    assert ended["copies"] == 60
    for thing in edited_there:
        tie.edit(thing, location="Somebody's note")
    await world.sync()
    (hold,) = await desk.holds()
    assert hold["count"] == 55
    assert len(tie.things) == 70
    await desk.decide("approve")
    world.simulator.faults.add(Fault("failure", "delete", skip=20, times=3))  # interrupted on the way
    await world.sync(rounds=3)
    assert len([title for title in tie.titles if title.startswith("Theirs")]) == 10
    assert sorted(thing.href for thing in tie.things if thing.document["title"].startswith("Ours")) == sorted(
        thing.href for thing in edited_there
    )
    assert not world.simulator.outbox
    assert (await desk.get(f"/links/{linked.id}"))["state"] == "disconnected"
    runs = (await desk.get(f"/runs?link_id={linked.id}"))["items"]
    assert sum(run["counts"]["provider"]["deleted"] for run in runs) == 55  # the report


# --- OPS-07 ------------------------------------------------------------------------------------------------------


async def test_ops_07_a_clone_reads_and_plans_and_writes_nothing_until_confirmed(database_url: str) -> None:
    async with await Database.open(database_url, pool=4) as database, engine(database) as world:
        world.settings = SETTINGS
        tie = await world.tie(**FULL)
        row = await world.put(meeting("Ours"))
        tie.add(meeting("Theirs", uid="theirs", days=2))
        await world.sync()
        async with database.begin() as connection:
            await instance.new_epoch(connection, "cloned")
        await world.put(edited(row, title="Renamed"), row.id)
        await world.put(meeting("New", days=3))
        tie.edit(tie.things[0], location="Room 2")
        world.forget()
        await world.sync(rounds=3)
        assert world.writes() == 0
        assert [one["state"] for one in await world.rows("select state from link")] == ["verify"]
        versions = {one.id: one.version for one in await world.ours()}
        assert versions[row.id] == row.version + 1, "only what the application itself wrote"
        async with database.begin() as connection:
            await instance.confirm(connection)
        await world.sync(rounds=2)
        assert tie.titles == await world.titles()
        assert len(tie.things) == 3
