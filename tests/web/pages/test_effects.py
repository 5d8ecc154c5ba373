"""What a person decides on a page happens in both calendars: pages, worker and simulator together."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from uuid import UUID

import pytest
from tests.engine import Engine, Tie, engine, meeting
from tests.web.pages.believable import PASSWORD
from tests.web.pages.conftest import Client, browser, send, sign_in

from gleichtakt.store import accounts
from gleichtakt.store.database import Database

FULL = {"inbound_detail": "full", "outbound_detail": "full"}
TITLES = [f"Beratung {number:02}" for number in range(12)]


@pytest.fixture
async def world(database: Database) -> AsyncIterator[Engine]:
    """One resource over a simulated calendar."""
    async with engine(database) as made:
        yield made


@pytest.fixture
async def person(world: Engine, database: Database) -> AsyncIterator[Client]:
    """A browser of an administrator of that organization."""
    hashed = accounts.hash_password(PASSWORD)
    async with database.begin() as connection:
        await accounts.create(
            connection,
            username="admin",
            password_hash=hashed,
            role="admin",
            organization_id=world.organization_id,
            language="en",
        )
    async with browser(database) as client:
        await sign_in(client, "admin")
        yield client


async def emptied(world: Engine) -> tuple[Tie, UUID]:
    """Let most of a calendar be deleted by accident; give its link and the hold."""
    tie = await world.tie(**FULL, app_writes_foreign="allow")
    for day, title in enumerate(TITLES, 1):
        tie.add(meeting(title, days=day))
    await world.sync()
    for thing in tie.things[:9]:
        tie.remove(thing)
    await world.sync()
    (hold,) = await world.rows("select id from hold where state = 'open'")
    assert await world.titles() == TITLES
    return tie, hold["id"]


async def test_an_approved_deletion_is_carried_out_and_can_be_undone(world: Engine, person: Client) -> None:
    tie, hold = await emptied(world)
    page = (await person.get(f"/holds/{hold}")).text
    assert "of 12 events in step" in page
    assert "Beratung 03" in page
    await send(person, f"/holds/{hold}/approve")
    await world.sync()
    assert await world.titles() == tie.titles == TITLES[9:]
    (run,) = await world.rows("select id from run where counts -> 'app' ->> 'deleted' = '9'")
    shown = (await person.get(f"/runs/{run['id']}?titles=shown")).text
    assert "9 deleted" in shown
    assert "Beratung 03" in shown
    assert "Deleted in the calendar system." in shown  # why
    await send(person, f"/runs/{run['id']}/undo")
    await world.sync(rounds=2)
    assert await world.titles() == TITLES  # what the run wrote is taken back; the calendar stays as its owner left it
    assert tie.titles == TITLES[9:]


async def test_a_rejected_deletion_brings_everything_back(world: Engine, person: Client) -> None:
    tie, hold = await emptied(world)
    await send(person, f"/holds/{hold}/reject")
    await world.sync(rounds=2)
    assert await world.titles() == tie.titles == TITLES
    assert "Nothing is held back" in (await person.get("/holds")).text


async def clashing(world: Engine) -> tuple[Tie, UUID]:
    """Let both sides name the same booking differently; give its link and the conflict."""
    tie = await world.tie(**FULL, conflict_rule="manual")
    row = await world.put(meeting("Sehtest"))
    await world.sync()
    (thing,) = tie.things
    tie.edit(thing, title="Sehtest, bitte früher")
    await world.put(meeting("Sehtest, Stammkundin"), row.id)
    await world.sync()
    (conflict,) = await world.rows("select id from conflict where state = 'open'")
    return tie, conflict["id"]


@pytest.mark.parametrize(
    ("sent", "title"),
    [
        ({"resolution": "ours"}, "Sehtest, Stammkundin"),
        ({"resolution": "theirs"}, "Sehtest, bitte früher"),
        ({"resolution": "merged", "choice-0": "theirs"}, "Sehtest, bitte früher"),
        ({"resolution": "merged", "choice-0": "ours"}, "Sehtest, Stammkundin"),
    ],
)
async def test_a_decided_conflict_ends_with_the_same_title_on_both_sides(
    world: Engine, person: Client, sent: dict[str, str], title: str
) -> None:
    tie, conflict = await clashing(world)
    seen = re.search(r'name="seen" value="([^"]+)"', (await person.get(f"/conflicts/{conflict}")).text)
    assert seen is not None
    await send(person, f"/conflicts/{conflict}/resolve", seen=seen[1], **sent)
    await world.sync(rounds=2)
    assert await world.titles() == tie.titles == [title]
    assert "No conflicts" in (await person.get("/conflicts")).text


async def test_what_a_dry_run_shows_is_what_a_run_then_does(world: Engine, person: Client) -> None:
    tie = await world.tie(**FULL)
    await world.sync()
    await world.put(meeting("Anprobe"))
    await send(person, f"/links/{tie.id}/plan")
    await world.sync(due=False)
    plan = (await person.get(f"/links/{tie.id}/plan")).text
    assert "Anprobe" in plan
    assert "New in the application." in plan
    assert tie.titles == []
    await send(person, f"/links/{tie.id}/sync")
    await world.sync()
    assert tie.titles == ["Anprobe"]
