"""DUP: what is one event stays one, and what is two stays two."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import permutations
from typing import Any
from uuid import UUID

import pytest
from tests.engine import Engine, engine, meeting, moment
from tests.scenarios.calendars import edited, shown, with_override
from tests.scenarios.desk import Desk
from tests.scenarios.places import FULL, Dav, Feeds
from tests.simulation.breaking import BreakingDatabase, Crash

from gleichtakt.model.document import series_document
from gleichtakt.model.event import Attendee, Person, Reminder, Series, ShowAs
from gleichtakt.simulators import caldav
from gleichtakt.store import calendars
from gleichtakt.store.calendars import Write
from gleichtakt.store.database import new_id
from gleichtakt.worker.loop import work

BORDERS = 30  # of transactions in a pass that creates one event; the last ones lie behind its end


async def book(world: Engine, events: Sequence[Series]) -> list[UUID]:
    """The application books many events at once."""
    ids = [new_id() for _ in events]
    async with world.database.begin() as connection:
        home = await calendars.home_of(connection, world.resource_id)
        assert home is not None
        await calendars.write(
            connection, home, [Write(one, series, None, "api:test") for one, series in zip(ids, events, strict=True)]
        )
    return ids


async def test_dup_01_a_create_of_which_the_answer_is_lost_makes_one_event_and_one_link(world: Engine, dav: Dav) -> None:
    tie = await dav.tie(**FULL)
    dav.simulator.faults.add(caldav.Fault("lost", "create", effect=True))
    dav.simulator.faults.add(caldav.Fault("status", "fetch", status=503))  # nor can it be looked up at once
    row = await world.put(meeting("Once"))
    await world.sync(rounds=3)
    assert tie.titles == ["Once"]
    (pair,) = await world.rows("select href, made_by_us, state from pairing where series_id = :id", id=row.id)
    assert pair == {"href": tie.href(tie.things[0]), "made_by_us": True, "state": "linked"}
    assert not await world.rows("select * from problem where state = 'open'")


async def test_dup_01_a_crash_anywhere_around_a_create_leaves_one_event_and_one_link(database_url: str) -> None:
    async with await BreakingDatabase.open(database_url, pool=4) as database:
        assert isinstance(database, BreakingDatabase)
        database.arm(None)
        async with engine(database) as world:
            tie = await world.tie(**FULL)
            await world.sync()
            for border in range(1, BORDERS):
                await world.put(meeting(f"Border {border:02}", days=border))
                await crash(world, database, border)
            await world.sync(rounds=2)
            titles = [f"Border {border:02}" for border in range(1, BORDERS)]
            assert tie.titles == await world.titles() == titles
            assert len(await world.rows("select * from pairing where state = 'linked' and href <> ''")) == len(titles)
            world.forget()
            await world.sync()
            assert world.writes() == 0


async def crash(world: Engine, database: BreakingDatabase, border: int) -> None:
    """Make a pass that dies at a border of a transaction, and let its lease run out."""
    await world.make_due()
    database.arm(border)
    running = asyncio.create_task(work(database, world.settings, world.box, once=True))
    died = asyncio.create_task(database.died.wait())
    await asyncio.wait({running, died}, return_when=asyncio.FIRST_COMPLETED)
    died.cancel()
    if database.is_dead:
        running.cancel()
    with suppress(Crash, asyncio.CancelledError, BaseExceptionGroup):
        await running
    database.arm(None)
    async with database.begin() as connection:
        await connection.exec_driver_sql("update lane set lease_until = now() - interval '1 second' where owner is not null")


async def test_dup_02_two_calendars_that_hold_the_same_are_linked_as_the_preview_said(world: Engine, desk: Desk) -> None:
    tie = await world.tie(**FULL, guard_update_min=1000)
    same = [meeting(f"Same {n}", uid=f"same-{n}", days=n % 300 + 1, hour=8 + n % 9) for n in range(450)]
    alike = [meeting(f"Alike {n}", days=n + 1, hour=18) for n in range(27)]
    twice = [meeting("Twice", days=40, hour=19) for _ in range(3)]
    mine = [meeting(f"Mine {n}", uid=f"mine-{n}", days=n + 1, hour=20) for n in range(10)]
    theirs = [meeting(f"Theirs {n}", uid=f"theirs-{n}", days=n + 1, hour=21) for n in range(10)]
    await book(world, [*same, *(replace(one, uid=f"a-{n}") for n, one in enumerate([*alike, *twice])), *mine])
    for number, series in enumerate([*same, *alike, *twice, *theirs]):
        tie.add(series if series.uid else replace(series, uid=f"b-{number}"))

    plan = await desk.plan(tie.id)
    assert world.writes() == 0
    planned = {side: plan["counts"].get(f"{side}.create", 0) for side in ("app", "provider")}
    assert planned == {"app": 10, "provider": 10}
    assert not any(action["verb"] in ("update", "delete") for action in plan["actions"])
    assert plan["mails"] == 0

    await world.sync()
    run = (await desk.get(f"/runs?link_id={tie.id}&kind=sync"))["items"][0]
    assert run["counts"]["app"] == {"created": planned["app"], "updated": 0, "deleted": 0}
    assert run["counts"]["provider"] == {"created": planned["provider"], "updated": 0, "deleted": 0}
    assert world.writes() == 10
    assert len(await world.ours()) == len(tie.things) == 500
    (hold,) = await desk.holds()  # look-alikes that are not unique are for a person
    assert (hold["kind"], hold["count"]) == ("ambiguous_match", 6)
    held = (await desk.get(f"/holds/{hold['id']}"))["actions"]
    assert {action["event_start"][:10] for action in held} == {f"{moment(40).wall:%Y-%m-%d}"}


ORDERS = [order for number, order in enumerate(permutations(("anna", "ben", "cora", "room"))) if number % 8 == 3]


@pytest.mark.parametrize("order", ORDERS, ids="-".join)
async def test_dup_03_one_meeting_in_several_mailboxes_is_one_in_each_whatever_the_order(
    world: Engine, order: tuple[str, ...]
) -> None:
    people = tuple(Attendee(f"{name}@memory.example", name.title()) for name in ("ben", "cora", "room"))
    series = with_override(
        meeting(
            "Review", uid="review@anna", rrule="FREQ=WEEKLY;COUNT=5", organizer=Person("anna@memory.example"), attendees=people
        ),
        moment(8),
        moment(9, 14),
    )
    connection_id = await world.login("memory", world.running.url)
    persons, folders = {}, {}
    for name in order:  # one after the other, each with runs in between
        mailbox = f"{name}@memory.example"
        folders[name] = world.simulator.folder(mailbox)
        thing = world.simulator.put(folders[name], series_document(series))
        thing.facts["is_organizer"] = name == "anna"
        thing.facts["response"] = "organizer" if name == "anna" else "accepted"
        persons[name] = await world.resource(name)
        linked = await world.bind(connection_id, "", mailbox, persons[name])
        await world.set("link", linked.id, **FULL)
        await world.sync()
    both = await world.login("memory", world.running.url)  # and one person with two of the mailboxes
    linked = await world.bind(both, "second", "ben@memory.example", persons["anna"])
    await world.set("link", linked.id, **FULL, relay="full")
    second = world.simulator.folder("ben@memory.example", "second")
    world.simulator.put(second, series_document(series)).facts["is_organizer"] = False
    world.forget()
    await world.sync(rounds=3)
    assert world.writes() == 0
    for name in order:
        held = await world.rows("select uid, document from series where resource_id = :id", id=persons[name])
        assert [one["uid"] for one in held] == ["review@anna"], name
        assert shown([calendars.read_document(held[0]["document"])]) == shown([series])
    world.simulator.remove(folders["ben"], next(iter(folders["ben"].things)))
    await world.sync(rounds=2)
    live = await world.rows("select resource_id from series where deleted_at is null")
    assert {one["resource_id"] for one in live} == {persons[name] for name in order if name != "ben"}


async def test_dup_05_a_feed_with_new_uids_at_each_download_makes_one_event_of_each(
    world: Engine, desk: Desk, feeds: Feeds
) -> None:
    published, link_id = await feeds.tie(**FULL)
    published.fresh_uids = True
    events = [meeting(f"Event {n % 280}", uid=f"u{n}", days=n % 90 + 1, hour=8 + n % 8) for n in range(300)]
    feeds.publish(published, *events)
    await world.sync()
    before = await world.rows("select id from series order by id")
    assert len(before) == 300
    await world.sync()
    feeds.publish(published, *events, meeting("Really new", uid="new", days=91))
    await world.sync(rounds=3)
    after = await world.rows("select id from series where deleted_at is null order by id")
    assert len(after) == 301
    assert {one["id"] for one in before} < {one["id"] for one in after}
    runs = (await desk.get(f"/runs?link_id={link_id}"))["items"]
    total = {verb: sum(run["counts"]["app"][verb] for run in runs) for verb in ("created", "updated", "deleted")}
    assert total == {"created": 301, "updated": 0, "deleted": 0}


async def test_dup_06_a_copied_event_is_an_event_of_its_own_and_nothing_is_deleted(world: Engine, dav: Dav) -> None:
    tie = await dav.tie(**FULL)
    row = await world.put(meeting("Original"))
    await world.sync()
    (original,) = tie.things
    assert str(row.id) in original.text  # our mark
    tie.add(original.text.replace(f"UID:{row.uid}", "UID:copied-in-a-client"), "copy.ics")
    (copy,) = [thing for thing in tie.things if thing.name == "copy.ics"]
    tie.edit(copy, start=moment(5), end=moment(5, 10))
    await world.sync(rounds=2)
    assert len(await world.ours()) == len(tie.things) == 2
    assert shown(tie.there()) == shown(one.series for one in await world.ours())
    await world.put(edited(row, title="Renamed"), row.id)
    await world.sync(rounds=2)
    assert tie.titles == ["Original", "Renamed"]  # the original is the one that is ours
    assert tie.folder.things[original.name].text.count("Renamed") == 1


CHANGES: dict[str, Any] = {
    "title": "Another title",
    "description": "Another text",
    "location": "Another place",
    "start": moment(20, 11),
    "end": moment(20, 12),
    "show_as": ShowAs.TENTATIVE,
    "categories": ("Blue",),
    "reminders": (Reminder(5),),
}


async def test_dup_07_whatever_is_edited_it_stays_the_same_event_on_both_sides(world: Engine, dav: Dav) -> None:
    exact, there = await world.tie(**FULL, guard_update_min=100), await dav.tie(**FULL, guard_update_min=100)
    changes = [*({name: value} for name, value in CHANGES.items() if name != "end"), CHANGES]
    changes = [{**one, "end": CHANGES["end"]} if "start" in one else one for one in changes]
    rows = [await world.put(meeting("Title", uid=f"uid-{n}", days=n + 1, location="Place")) for n in range(len(changes))]
    await world.sync(rounds=2)
    hrefs, names = {one.href for one in exact.things}, {one.name for one in there.things}
    world.forget()
    dav.forget()
    for number, (row, change) in enumerate(zip(rows, changes, strict=True)):
        if number % 2:
            await world.put(edited(row, **change), row.id)
        else:
            (thing,) = [one for one in exact.things if one.document["uid"] == row.uid]
            wanted = series_document(edited(row, **change))
            exact.edit(thing, **{name: wanted[name] for name in change})
    await world.sync(rounds=3)
    assert ({one.href for one in exact.things}, {one.name for one in there.things}) == (hrefs, names)
    assert len(await world.ours()) == len(changes)
    verbs = [entry["verb"] for entry in world.simulator.ledger] + [entry["verb"] for entry in dav.simulator.ledger]
    assert "create" not in verbs
    assert "delete" not in verbs
    for row, change in zip(rows, changes, strict=True):
        (after,) = [one for one in await world.ours() if one.id == row.id]
        assert {name: getattr(after.series.event, name) for name in change} == change
