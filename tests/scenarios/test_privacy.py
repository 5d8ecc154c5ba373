"""PRV: what is private is not stored, not shown, not written, and not to be found anywhere."""

from __future__ import annotations

from typing import Any

import pytest
import structlog
from tests.engine import Engine, meeting, moment
from tests.scenarios.calendars import edited, vevent
from tests.scenarios.desk import Desk
from tests.scenarios.places import FULL, Dav

from gleichtakt.model.document import point_document
from gleichtakt.model.event import Attendee, Person, Sensitivity, ShowAs
from gleichtakt.store.schema import metadata

#: One word for each field, so that a leak says where it came from.
CANARIES = {
    name: f"canary-{name}"
    for name in ("title", "description", "html", "location", "category", "organizer", "guest", "conference", "url")
}


def telling(title: str = "", **more: Any) -> Any:
    """Give an event that says something in every field."""
    return meeting(
        title or CANARIES["title"],
        description=CANARIES["description"],
        html=f"<p>{CANARIES['html']}</p>",
        location=CANARIES["location"],
        categories=(CANARIES["category"],),
        organizer=Person(f"{CANARIES['organizer']}@x.example"),
        attendees=(Attendee(f"{CANARIES['guest']}@x.example"),),
        conference_url=f"https://{CANARIES['conference']}.example/",
        url=f"https://{CANARIES['url']}.example/",
        **more,
    )


async def everything_stored(world: Engine) -> str:
    """Give all rows of all tables as text."""
    found = []
    for table in metadata.sorted_tables:
        found += [str(row) for row in await world.rows(f"select * from {table.name}")]
    return "\n".join(found)


def canaries_in(text: str) -> list[str]:
    """Give the canaries that sing in a text."""
    return [word for word in CANARIES.values() if word in text]


async def test_prv_01_a_private_event_is_a_time_and_nothing_more_wherever_one_looks(world: Engine, desk: Desk, dav: Dav) -> None:
    with structlog.testing.capture_logs() as logs:
        exact, there = await world.tie(**FULL, attendees="write"), await dav.tie(**FULL, attendees="write", relay="full")
        kinds = (Sensitivity.PRIVATE, Sensitivity.CONFIDENTIAL)
        things = [exact.add(telling(uid=f"private-{kind}", sensitivity=kind, days=n + 1)) for n, kind in enumerate(kinds)]
        there.add(telling(uid="private-dav", sensitivity=Sensitivity.PRIVATE, days=5))
        occurrence = meeting("Plain", uid="series", days=6, rrule="FREQ=DAILY;COUNT=3")
        exact.add(occurrence)
        await world.sync(rounds=2)
        exact.edit(things[0], location="canary-location elsewhere", title="canary-title changed")
        exact.edit(things[1], start=point_document(moment(8)), end=point_document(moment(8, 10)))
        world.simulator.spoil(exact.folder, things[0].href)
        await world.sync(rounds=2)
    assert len(await world.ours()) == 4
    assert (await world.titles()).count("Private") == 3
    assert not canaries_in(await everything_stored(world))
    assert not canaries_in(str(logs))
    seen = ""
    for path in (
        f"/resources/{world.resource_id}/events?from=2020-01-01T00:00:00Z&to=2035-01-01T00:00:00Z",
        "/changes",
        "/problems",
        "/runs",
    ):
        seen += (await desk("GET", path)).text
    made = await desk.do(f"/resources/{world.resource_id}/feeds", {"detail": "full"})
    seen += (await desk("GET", "/feeds/" + made["url"].rpartition("/")[2])).text
    assert not canaries_in(seen)
    assert not canaries_in("".join(thing.text for thing in there.things if "private-dav" not in thing.text))
    assert moment(8) in {row.series.event.start for row in await world.ours()}  # times are followed


async def test_prv_02_how_private_an_event_is_changes_only_on_purpose(world: Engine, dav: Dav) -> None:
    tie = await dav.tie(**FULL, app_writes_foreign="allow", private_events="as_normal")
    lines = {
        "default": "",
        "private": "CLASS:PRIVATE",
        "confidential": "CLASS:CONFIDENTIAL",
        "public": "CLASS:PUBLIC",
        "odd": "CLASS:X-OWN",
    }
    for number, (name, line) in enumerate(lines.items()):
        tie.add(vevent(name, *([line] if line else []), start=moment(number + 1)))
    await world.sync()
    for row in await world.ours():
        await world.put(edited(row, start=moment(20), end=moment(20, 10)), row.id)
    await world.sync()
    assert len({one.event.start for one in tie.there()}) == 1
    for thing in tie.things:
        uid = next(name for name in lines if f"UID:{name}\r\n" in thing.text)
        assert [line for line in thing.text.split("\r\n") if line.startswith("CLASS")] == ([lines[uid]] if lines[uid] else [])


async def test_prv_03_busy_only_carries_times_and_going_back_to_it_takes_everything_away(world: Engine, dav: Dav) -> None:
    source = await world.tie(**FULL, guard_update_min=1000)
    target = await dav.tie(outbound_detail="busy", relay="busy", guard_update_min=1000, delete_grace_minutes=0)
    for number in range(3):
        source.add(telling(uid=f"theirs-{number}", days=number + 1))
        await world.put(telling(uid=f"ours-{number}", days=number + 10))
    await world.sync(rounds=2)
    assert len(target.things) == 6
    assert set(target.titles) == {"Busy"}
    assert not canaries_in(dav.sent())
    await target.set(outbound_detail="full", relay="full")
    await world.sync(rounds=2)
    assert "canary-description" in dav.sent()
    await target.set(outbound_detail="busy", relay="busy")
    dav.forget()
    await world.sync()  # one run
    assert not canaries_in("".join(thing.text for thing in target.things))
    assert set(target.titles) == {"Busy"}

    await source.set(inbound_detail="busy")
    await world.sync(rounds=2)
    held = await world.rows("select document from series where origin = 'provider'")
    held += await world.rows("select document from observed where link_id = :id and uid like 'theirs%'", id=source.id)
    assert not canaries_in(str(held))


async def test_prv_05_a_room_shows_as_much_as_its_level_says_and_gives_nothing_back(world: Engine) -> None:
    room = await world.resource("Room 1", kind="room")
    connection_id = await world.login("memory", world.running.url)
    await world.bind(connection_id, "", "room@memory.example", room)
    organizer = await world.tie(**FULL)
    row = await world.put(meeting("Process to fire user X", uid="meeting"))
    await world.sync()
    folder = world.simulator.folder("room@memory.example")
    thing = world.simulator.put(folder, organizer.things[0].document)
    thing.facts.update(is_organizer=False, response="accepted")
    private = world.simulator.put(
        folder, {**organizer.things[0].document, "uid": "private", "sensitivity": "private", "title": "Therapy"}
    )
    world.forget()
    await world.sync()
    shown = {one["document"] for one in await world.rows("select document from series where resource_id = :id", id=room)}
    assert len(shown) == 2
    assert "fire" not in str(shown)
    assert "Therapy" not in str(shown)
    world.simulator.edit(folder, thing.href, {"title": "Anna Beispiel"})  # the room's own rewriting, seconds later
    await world.sync(rounds=3)
    assert world.writes() == 0
    assert organizer.titles == ["Process to fire user X"]
    assert [one.series for one in await world.ours()] == [row.series]

    await world.set("resource", room, inbound_detail="title_time")
    await world.sync(rounds=2)
    shown = {
        one["document"]
        for one in await world.rows("select document from series where resource_id = :id and deleted_at is null", id=room)
    }
    assert "Anna Beispiel" in str(shown)
    assert "Therapy" not in str(shown)
    assert private.document["title"] == "Therapy"
    assert world.writes() == 0


async def test_prv_06_a_published_calendar_shows_what_it_was_made_for_until_it_is_closed(world: Engine, desk: Desk) -> None:
    await world.put(telling("canary-title", uid="source-uid-1"))
    await world.put(telling("canary-title", uid="source-uid-2", days=2, sensitivity=Sensitivity.PRIVATE))
    await world.put(telling("canary-title", uid="source-uid-3", days=3, show_as=ShowAs.FREE))
    with structlog.testing.capture_logs() as logs:
        owner = await desk.do(f"/resources/{world.resource_id}/feeds", {"name": "Mine", "detail": "full"})
        shares = [await desk.do(f"/resources/{world.resource_id}/feeds", {"name": "Shared"}) for _ in range(2)]
        paths = ["/feeds/" + one["url"].rpartition("/")[2] for one in (owner, *shares)]
        mine, shared, second = [await desk.client.get(path) for path in paths]
        guessed = await desk.client.get(paths[0][:-6] + "x" * 2 + ".ics")
    token = paths[0].removeprefix("/feeds/").removesuffix(".ics")
    assert len(token) >= 22, "128 bit in letters"
    assert len(set(paths)) == 3
    assert guessed.status_code == 404
    assert token not in str(logs)
    assert token not in await everything_stored(world)

    assert mine.text.count("SUMMARY:canary-title") == 2
    assert "canary-location" in mine.text
    assert mine.text.count("SUMMARY:Busy") == 1  # the private one, for its owner's own link too
    assert not canaries_in(shared.text)
    assert shared.text.count("SUMMARY:Busy") == 2  # what is free takes nobody's time
    assert not any(
        word in answer.text for word in ("canary-guest", "canary-organizer", "source-uid") for answer in (mine, shared)
    )
    uids = [{line for line in answer.text.splitlines() if line.startswith("UID:")} for answer in (shared, second)]
    assert not uids[0] & uids[1], "two readers cannot compare notes"
    for answer in (mine, shared):
        assert "private" in answer.headers["cache-control"]
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["content-type"].startswith("text/calendar")
    again = await desk.client.get(paths[0], headers={"if-none-match": mine.headers["etag"]})
    assert again.status_code == 304

    await desk.do(f"/resources/{world.resource_id}/feeds/{owner['id']}", verb="DELETE")
    assert (await desk.client.get(paths[0])).status_code == 404  # at once
    assert (await desk.client.get(paths[0], headers={"if-none-match": mine.headers["etag"]})).status_code == 404
    assert (await desk.client.get(paths[1])).status_code == 200
    renewed = await desk.do(f"/resources/{world.resource_id}/feeds", {"name": "Mine", "detail": "full"})
    assert renewed["url"] != owner["url"]
    listed = await desk.get(f"/resources/{world.resource_id}/feeds")
    assert token not in str(listed)
    assert "url" not in str(listed)


@pytest.mark.parametrize("variant", ["lossy", "normalising"])
async def test_prs_06_finer_states_come_back_unharmed_from_a_coarser_calendar(world: Engine, variant: str) -> None:
    coarse = await world.tie("coarse", variant, **FULL)
    rows = {
        state: await world.put(meeting(state.value, uid=state.value, days=n + 1, show_as=state)) for n, state in enumerate(ShowAs)
    }
    await world.sync()
    versions = {row.id: row.version for row in rows.values()}
    world.forget()
    await world.sync(rounds=5)
    assert {row.id: row.version for row in await world.ours()} == versions
    assert world.writes() == 0
    away = next(thing for thing in coarse.things if thing.document["title"] == "oof")
    coarse.edit(away, show_as="free")  # a real change counts
    coarse.edit(next(thing for thing in coarse.things if thing.document["title"] == "tentative"), location="Room 2")
    await world.sync()
    after = {row.series.event.title: row.series.event for row in await world.ours()}
    assert after["oof"].show_as is ShowAs.FREE
    assert (after["tentative"].show_as, after["tentative"].location) == (ShowAs.TENTATIVE, "Room 2")
    assert after["working_elsewhere"].show_as is ShowAs.WORKING_ELSEWHERE
