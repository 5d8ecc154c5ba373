"""A refused login: no account is locked by trying, and one that only suffered from load comes back by itself."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from sqlalchemy import text
from tests.engine import KEY, Engine, Linked, engine, meeting

from gleichtakt.settings import Settings
from gleichtakt.simulators.memory import Fault
from gleichtakt.store import connections, problems
from gleichtakt.store.database import Database
from gleichtakt.store.secrets import SecretBox
from gleichtakt.worker.loop import work

MAILBOXES = 12
LOCKS_AT = 5  # refused logins after which a directory locks the account for everybody


@pytest.fixture
async def world(database: Database) -> AsyncIterator[Engine]:
    async with engine(database) as made:
        yield made


async def many_mailboxes(world: Engine) -> list[Linked]:
    """Tie many mailboxes through one login, as a firm does."""
    login = await world.login("memory", world.running.url)
    return [await world.bind(login, "calendar", f"m{number}@memory.example") for number in range(MAILBOXES)]


async def run(world: Engine) -> None:
    """Make the passes that are due, as worker processes would: at least two of them, each with a memory of its own."""
    for _ in range(2):
        await work(world.database, Settings(worker_slots=16), SecretBox(KEY), once=True)


async def later(world: Engine, by: timedelta) -> None:
    """Let time pass: everything that rests until then is due."""
    shift = "cast(:by as interval)"
    async with world.database.begin() as connection:
        for sql in (
            f"update connection set paused_until = paused_until - {shift}, updated_at = updated_at - {shift}",
            f"update lane set paused_until = paused_until - {shift}, due = due - {shift}",
            f"update link set due = due - {shift}, last_success = last_success - {shift}",
            f"""update connection set refusals = (select coalesce(jsonb_agg(at::float - extract(epoch from {shift})), '[]')
                from jsonb_array_elements_text(refusals) at)""",
        ):
            await connection.execute(text(sql), {"by": by})


async def change_password_there(world: Engine) -> None:
    """The password of the account is changed over there, and sessions end."""
    world.simulator.accounts["sync"] = "changed at nine"
    world.running.break_connections()


async def test_aut_03_a_changed_password_is_tried_three_times_at_most_for_all_mailboxes(world: Engine) -> None:
    linked = await many_mailboxes(world)
    await run(world)
    await change_password_there(world)
    for _ in range(15):
        await later(world, timedelta(minutes=1))
        await run(world)
    assert 1 <= world.simulator.refused_logins <= 3 < LOCKS_AT
    (listed,) = await world.rows("select code, scope, kind from problem where state = 'open'")
    assert dict(listed) == {"code": "general.login_refused", "scope": "account", "kind": "auth_required"}
    assert {row["state"] for row in await world.rows("select state from connection")} == {"auth_required"}

    counts = [world.simulator.refused_logins]
    for _ in range(12):
        await later(world, timedelta(minutes=5))
        await run(world)
        counts.append(world.simulator.refused_logins)
    assert all(after - before <= 1 for before, after in zip(counts, counts[3:], strict=False)), "once in a quarter of an hour"
    before = world.simulator.refused_logins  # an hour after the last success nothing speaks for a passing trouble any more
    await later(world, timedelta(days=3))
    await run(world)
    assert world.simulator.refused_logins == before

    async with world.database.begin() as connection:
        await connections.change(
            connection, world.box, world.organization_id, linked[0].connection_id, {}, {"password": "changed at nine"}
        )
    await run(world)
    assert world.simulator.refused_logins == before
    assert {row["state"] for row in await world.rows("select state from link")} == {"in_step"}
    assert not await world.rows("select 1 from problem where state = 'open'")


async def test_aut_03_a_login_that_never_worked_is_tried_once(world: Engine) -> None:
    world.simulator.accounts["sync"] = "something else"
    await many_mailboxes(world)
    for _ in range(10):
        await run(world)
        await later(world, timedelta(hours=7))
    assert world.simulator.refused_logins == 1
    (listed,) = await world.rows("select next_try_at, count from problem where state = 'open'")
    assert (listed["next_try_at"], listed["count"]) == (None, 1)


async def test_aut_03_refusals_under_load_with_a_good_password_heal_by_themselves(world: Engine) -> None:
    linked = await many_mailboxes(world)
    await run(world)
    world.simulator.faults.add(Fault("login", "hello", times=2))
    world.running.break_connections()
    for _ in range(3):
        await later(world, timedelta(minutes=6))
        await run(world)
    assert {row["state"] for row in await world.rows("select state from link")} == {"in_step"}
    assert [row["state"] for row in await world.rows("select state from connection")] == ["online"]
    assert not await world.rows("select 1 from problem where state = 'open'")
    served = await world.rows("select 1 from link where last_success > now() - interval '1 minute'")
    assert len(served) == len(linked), "one try for all: when it worked the others came at once"


@pytest.mark.parametrize("by", ["the doctor", "somebody who asks to try again"])
async def test_aut_03_a_person_releases_it(world: Engine, by: str) -> None:
    world.simulator.accounts["sync"] = "something else"
    linked = await many_mailboxes(world)
    await run(world)
    world.simulator.accounts["sync"] = "sync-password"  # set right over there
    await run(world)
    assert {row["state"] for row in await world.rows("select state from connection")} == {"auth_required"}
    (listed,) = await world.rows("select id from problem where state = 'open'")
    async with world.database.begin() as connection:
        if by == "the doctor":
            report = {"checks": [{"name": "login", "result": "pass", "facts": {}, "code": "", "params": {}}]}
            await connections.keep_report(connection, linked[0].connection_id, report)
        else:
            await problems.retry(connection, world.organization_id, listed["id"])
    await run(world)
    assert {row["state"] for row in await world.rows("select state from link")} == {"in_step"}
    assert world.simulator.refused_logins == 1


async def test_aut_03_a_doctor_who_was_refused_releases_nothing(world: Engine) -> None:
    world.simulator.accounts["sync"] = "something else"
    linked = await many_mailboxes(world)
    await run(world)
    report = {"checks": [{"name": "login", "result": "fail", "facts": {}, "code": "general.login_refused", "params": {}}]}
    async with world.database.begin() as connection:
        await connections.keep_report(connection, linked[0].connection_id, report)
    await run(world)
    assert world.simulator.refused_logins == 1


async def test_a_dead_server_is_waited_for_once_and_not_by_every_mailbox(world: Engine) -> None:
    await many_mailboxes(world)
    await world.put(meeting("Ours"))
    world.simulator.faults.add(Fault("lost", "hello", times=-1))
    await run(world)
    states = {row["state"] for row in await world.rows("select state from link")}
    assert states == {"delayed"}
    world.simulator.faults.clear()
    await world.sync()
    assert {row["state"] for row in await world.rows("select state from link")} == {"in_step"}
