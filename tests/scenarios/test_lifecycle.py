"""AUT: logins that end, mailboxes that go away, links that are cut and tied again."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from tests.engine import Engine, meeting, moment
from tests.memory_world import MAILBOX
from tests.scenarios.calendars import edited
from tests.scenarios.desk import Desk
from tests.scenarios.places import FULL, Dav

from gleichtakt.simulators.memory import Fault


async def test_aut_01_a_login_that_ended_is_asked_once_told_once_and_caught_up_after(world: Engine, desk: Desk) -> None:
    connection_id = await world.login("memory", world.running.url)
    persons, links = [], []
    for number in range(6):
        persons.append(await world.resource(f"Person {number}"))
        linked = await world.bind(connection_id, "", f"person-{number}@memory.example", persons[-1])
        await world.set("link", linked.id, **FULL)
        links.append(linked.id)
    other = await world.tie(**FULL)
    await world.sync()
    row = await world.put(meeting("Waits"))
    world.simulator.accounts["sync"] = "changed"
    world.running.break_connections()
    other_mailbox = world.simulator.folder(MAILBOX)
    world.simulator.put(world.simulator.folder("person-0@memory.example"), _document("There", "there"))
    await world.sync()
    first = world.simulator.refused_logins
    assert first == 2, "one for each of the two connections, not one for each mailbox"
    for _ in range(3):
        await world.sync(due=False)
    assert world.simulator.refused_logins == first
    problems = [one for one in await desk.problems() if one["connection_id"] == str(connection_id)]
    assert len(problems) == 1
    assert (problems[0]["code"], problems[0]["kind"]) == ("general.login_refused", "auth_required")
    assert (await desk.get(f"/connections/{connection_id}"))["state"] == "auth_required"
    assert not other_mailbox.things, "what waits is kept"

    for connection in (connection_id, other.connection_id):  # two days later
        await desk.do(f"/connections/{connection}", {"auth": {"password": "changed"}}, verb="PATCH")
    await world.sync(rounds=2)
    assert not await desk.problems()
    assert other.titles == ["Waits"]
    assert [one.id for one in await world.ours()] == [row.id]
    held = await world.rows("select document from series where resource_id = :id", id=persons[0])
    assert "There" in str(held)
    assert (await desk.get(f"/connections/{connection_id}"))["state"] == "online"


def _document(title: str, uid: str) -> dict[str, Any]:
    from gleichtakt.model.document import series_document

    return series_document(meeting(title, uid=uid))


async def test_aut_05_a_mailbox_that_is_switched_off_rests_keeps_everything_and_goes_on_when_it_is_back(
    world: Engine, desk: Desk, dav: Dav
) -> None:
    tie, there = await world.tie(**FULL, relay="none"), await dav.tie(**FULL, relay="none")
    tie.add(meeting("Theirs", uid="theirs"))
    there.add(meeting("At dav", uid="dav", days=2))
    row = await world.put(meeting("Ours", days=3))
    await world.sync()
    world.simulator.faults.add(Fault("no_calendar", times=-1))
    folder = dav.simulator.folders.pop(there.folder.path)
    for days in (0, 1, 10, 40):
        async with world.database.begin() as connection:
            await connection.exec_driver_sql(
                f"update link set failing_since = now() - interval '{days} days' where failing_since is not null"
            )
        await world.sync()
        assert await world.titles() == ["At dav", "Ours", "Theirs"]
        assert not await desk.holds()
    for link in (tie.id, there.id):
        view = await desk.get(f"/links/{link}")
        assert view["state"] == "error"
        assert view["health"]["problem"]["code"] == "general.calendar_missing"
        pause = datetime.fromisoformat(view["health"]["next_run"]) - datetime.fromisoformat(view["health"]["last_attempt"])
        assert timedelta(hours=23) < pause < timedelta(hours=25), "asked less and less often, once a day in the end"
    assert len(await desk.problems()) == 2
    assert len(tie.things) == 2

    world.simulator.faults.clear()
    dav.simulator.folders[folder.path] = folder
    await world.put(edited(row, title="Ours, renamed"), row.id)
    world.forget()
    await world.sync(rounds=2)
    assert (tie.titles, there.titles) == (["Ours, renamed", "Theirs"], ["At dav", "Ours, renamed"])
    assert not {"create", "delete"} & {entry["verb"] for entry in world.simulator.ledger}
    assert not await desk.problems()


async def busy(desk: Desk, world: Engine) -> list[str]:
    """Give when the person is busy, as the application asks for it."""
    day = moment(1).wall.date()
    question = {
        "from": f"{day}T00:00:00Z",
        "to": f"{day + timedelta(days=1)}T00:00:00Z",
        "participants": [{"resource_ids": [str(world.resource_id)]}],
    }
    found: dict[str, Any] = await desk.do("/availability", question)
    return [one["start"] for one in found["busy"].get(str(world.resource_id), [])]


async def tied_again(world: Engine, desk: Desk, connection_id: str) -> str:
    """Tie the same calendar again through the interface."""
    wanted = {"resource_id": str(world.resource_id), "connection_id": connection_id, "mailbox": MAILBOX, "calendar": "calendar"}
    return str((await desk.do("/links", {**wanted, "settings": FULL}))["id"])


async def test_aut_06_tied_again_after_copies_were_kept_nothing_is_made_twice(world: Engine, desk: Desk) -> None:
    tie = await world.tie(**FULL)
    for number in range(4):
        await world.put(meeting(f"Ours {number}", days=number + 1))
        tie.add(meeting(f"Theirs {number}", uid=f"theirs-{number}", days=number + 1, hour=14))
    await world.sync()
    before = sorted(thing.href for thing in tie.things)
    assert len(await busy(desk, world)) == 2
    await desk.do(f"/links/{tie.id}/disconnect", {"copies": "keep", "imported": "delete"})
    assert len(await busy(desk, world)) == 1  # what came from there takes nobody's time any more
    world.forget()
    await world.sync()
    assert world.writes() == 0
    for memory in ("keep", "forget"):
        link_id = await tied_again(world, desk, str(tie.connection_id))
        world.forget()
        await world.sync(rounds=2)
        assert world.writes() == 0, memory
        assert sorted(thing.href for thing in tie.things) == before
        assert len(await world.ours()) == 8
        assert len(await busy(desk, world)) == 2
        await desk.do(f"/links/{link_id}/disconnect", {"copies": "keep", "imported": "delete", "memory": memory})


async def test_aut_06_copies_that_were_removed_leave_nothing_behind(world: Engine, desk: Desk) -> None:
    tie = await world.tie(**FULL)
    for number in range(4):
        await world.put(meeting(f"Ours {number}", days=number + 1))
    tie.add(meeting("Theirs", uid="theirs", hour=14))
    await world.sync()
    await desk.do(f"/links/{tie.id}/disconnect", {"copies": "delete", "imported": "delete"})
    await world.sync()
    await desk.decide("approve")
    await world.sync(rounds=2)
    assert tie.titles == ["Theirs"]
    assert not await world.rows("select * from pairing where href <> ''")
    await tied_again(world, desk, str(tie.connection_id))
    await world.sync(rounds=2)
    assert tie.titles == await world.titles() == ["Ours 0", "Ours 1", "Ours 2", "Ours 3", "Theirs"]


async def test_aut_06_another_account_under_the_same_name_is_another_calendar(world: Engine, desk: Desk) -> None:
    tie = await world.tie(**FULL)
    row = await world.put(meeting("Ours"))
    tie.add(meeting("Theirs", uid="theirs", days=2))
    await world.sync()
    await desk.do(f"/links/{tie.id}/disconnect", {"copies": "keep", "imported": "delete"})
    other = await world.tie(mailbox="someone.else@memory.example", **FULL)
    other.add(meeting("Of someone else", uid="else", days=3))
    await world.sync(rounds=2)
    assert tie.titles == ["Ours", "Theirs"]
    assert other.titles == await world.titles() == ["Of someone else", "Ours"]
    assert [one.id for one in await world.ours() if one.origin == "app"] == [row.id]
