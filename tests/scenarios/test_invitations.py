"""ATT: nobody is mailed who was not meant to be, and no meeting of other people is touched."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.engine import Engine, engine, meeting, moment
from tests.scenarios.calendars import edited, vevent
from tests.scenarios.conftest import SETTINGS
from tests.scenarios.desk import Desk
from tests.scenarios.places import FULL, Dav, dav_server

from gleichtakt.model.document import point_document, series_document
from gleichtakt.model.event import Attendee, Person, Response, Series
from gleichtakt.simulators import caldav
from gleichtakt.simulators.caldav.state import DOMAIN
from gleichtakt.store.database import Database

GUESTS = tuple(Attendee(f"guest-{n}@partner.example", f"Guest {n}") for n in range(10))
ORGANIZER = Person(f"boss@{DOMAIN}", "The Boss")


def with_guests(title: str, days: int = 1, uid: str = "", organizer: Person | None = ORGANIZER) -> Series:
    """Give a meeting of many people."""
    return meeting(title, days=days, uid=uid or title, organizer=organizer, attendees=GUESTS)


async def test_att_01_connecting_one_person_after_another_mails_nobody_and_copies_no_guests(world: Engine, desk: Desk) -> None:
    connection_id = await world.login("memory", world.running.url)
    tie = await world.tie(**FULL, relay="full")
    for number in range(40):
        tie.add(with_guests(f"Meeting {number}", days=number % 60 + 1))
        await world.put(with_guests(f"Booking {number}", days=number % 60 + 1))
    await world.sync()
    for name in ("ben", "room"):  # the next ones connect: the same meetings stand in their mailboxes
        folder = world.simulator.folder(f"{name}@memory.example")
        person = await world.resource(name)
        for number in range(40):
            world.simulator.put(folder, series_document(with_guests(f"Meeting {number}", days=number % 60 + 1)))
        linked = await world.bind(connection_id, "", f"{name}@memory.example", person)
        await world.set("link", linked.id, **FULL)
        await world.sync()
    second = await world.tie("second", **FULL, relay="full")
    await world.sync(rounds=2)
    await desk.do(f"/links/{tie.id}/reset")
    await tie.set(window_ahead_days=500)
    await world.sync(rounds=2)
    assert not world.simulator.outbox
    copies = [one for one in [*tie.there(), *second.there()] if one.event.title.startswith("Booking")]
    assert len(copies) == 80
    assert not any(one.event.attendees or one.event.organizer for one in copies)
    relayed = [one for one in second.there() if one.event.title.startswith("Meeting")]
    assert len(relayed) == 40
    assert not any(one.event.attendees or one.event.organizer for one in relayed)
    assert all(len(one.event.attendees) == 10 for one in tie.there() if one.event.title.startswith("Meeting"))


@pytest.mark.parametrize("variant", ["exact", "lossy"])
async def test_att_02_cleaning_up_takes_our_copies_and_cancels_nobodys_meeting(world: Engine, desk: Desk, variant: str) -> None:
    tie = await world.tie("calendar", variant, **FULL, attendees="write", app_writes_foreign="allow")
    for number in range(6):
        tie.add(with_guests(f"Real {number}", days=number + 1))
        await world.put(meeting(f"Ours {number}", uid=f"ours-{number}", days=number + 1))
    await world.sync()
    assert len(tie.things) == 12
    ended = await desk.do(f"/links/{tie.id}/disconnect", {"copies": "delete", "imported": "delete"})
    assert (ended["copies"], ended["imported"]) == (6, 6)
    await world.sync()
    assert len(tie.things) == 12  # it waits for a person, who sees how many and how many mails
    (hold,) = await desk.holds()
    assert hold["count"] == 6
    await desk.decide("approve")
    await world.sync(rounds=2)
    assert sorted(tie.titles) == [f"Real {number}" for number in range(6)]
    assert not world.simulator.outbox
    assert (await desk.get(f"/links/{tie.id}"))["state"] == "disconnected"


async def test_att_02_a_deletion_that_would_mail_people_waits_until_somebody_has_seen_how_many(database: Database) -> None:
    async with engine(database) as world:
        world.settings = SETTINGS
        tie = await world.tie("calendar", **FULL, attendees="write", notify="all", guard_mails=5)
        await world.sync()
        row = await world.put(with_guests("Ours", organizer=None))
        await world.sync(rounds=2)
        assert not tie.things  # the invitations wait as well
        held = await world.rows("select kind, state from hold")
        assert held == [{"kind": "mails", "state": "open"}]
        (planned,) = await world.rows("select mails from plan order by id desc limit 1")
        assert planned["mails"] == 10
        await world.delete(row.id)
        await world.sync(rounds=2)
        assert not world.simulator.outbox


async def test_att_03_a_forbidden_change_is_kept_as_a_proposal_and_never_becomes_delete_and_create(
    world: Engine, desk: Desk, dav: Dav
) -> None:
    tie = await dav.tie(**FULL)
    row = await world.put(meeting("Ours", location="Room 1"))
    await world.put(meeting("Other", uid="other", days=2))
    await world.sync()
    (thing,) = [one for one in tie.things if "SUMMARY:Ours" in one.text]
    dav.simulator.faults.add(caldav.Fault("status", "update", status=403, path=thing.name, times=-1))
    await world.put(edited(row, title="Ours, renamed"), row.id)
    dav.forget()
    await world.sync(rounds=4)
    verbs = [entry["verb"] for entry in dav.simulator.ledger if entry["verb"] in ("create", "update", "delete")]
    assert verbs == ["update"]  # tried once; again only when something changes
    assert tie.titles == ["Other", "Ours"]
    assert "Ours, renamed" in await world.titles()
    (told,) = await desk.problems()
    assert (told["series_id"], told["scope"]) == (str(row.id), "series")
    assert told["remedy"]
    await world.put(meeting("Third", uid="third", days=3))
    await world.sync()
    assert "Third" in tie.titles  # the others go on
    dav.simulator.faults.clear()
    await desk.do(f"/problems/{told['id']}/retry")
    await world.sync(due=False)
    assert "Ours, renamed" in tie.titles
    assert not await desk.problems()


async def test_att_03_a_calendar_that_became_read_only_keeps_what_waits(world: Engine, desk: Desk) -> None:
    tie = await world.tie(**FULL)
    row = await world.put(meeting("Ours"))
    await world.sync()
    tie.folder.can_write = False
    await world.put(edited(row, title="Renamed"), row.id)
    world.forget()
    await world.sync(rounds=2)
    assert tie.titles == ["Ours"]
    assert "delete" not in {entry["verb"] for entry in world.simulator.ledger}
    (told,) = await desk.problems()
    assert told["code"] == "general.forbidden"
    tie.add(meeting("Still read", uid="read", days=2))
    await world.sync()
    assert "Still read" in await world.titles()
    tie.folder.can_write = True
    await world.sync()
    assert tie.titles == await world.titles() == ["Renamed", "Still read"]
    assert not await desk.problems()


async def test_att_04_a_copy_in_another_calendar_makes_nobody_the_organizer(world: Engine) -> None:
    first, second = await world.tie("one", **FULL, relay="full"), await world.tie("two", **FULL, relay="full")
    invited = replace(
        with_guests("Invitation"),
        event=replace(with_guests("Invitation").event, attendees=(*GUESTS, Attendee("anna@memory.example"))),
    )
    thing = first.add(invited)
    thing.facts.update(is_organizer=False, response="none")
    await world.sync(rounds=3)
    (copy,) = second.there()
    assert (copy.event.title, copy.event.organizer, copy.event.attendees) == ("Invitation", None, ())

    for answer in (Response.ACCEPTED, Response.TENTATIVE):  # given in the client, where the invitation is
        thing.facts["response"] = answer.value
        people = (*GUESTS, Attendee("anna@memory.example", response=answer))
        document = series_document(replace(invited, event=replace(invited.event, attendees=people)))
        first.edit(thing, attendees=document["attendees"])
        await world.sync(rounds=2)
        assert second.there()[0].event.attendees == ()
    first.edit(thing, start=point_document(moment(4)), end=point_document(moment(4, 10)))  # the organizer moves it
    await world.sync(rounds=2)
    assert second.there()[0].event.start == moment(4)
    thing.facts["response"] = "declined"
    first.edit(thing, location="Elsewhere")
    await world.sync(rounds=3)
    assert not second.things  # a declined meeting takes nobody's time
    assert len(first.things) == 1
    assert first.there()[0].event.organizer == ORGANIZER
    assert not world.simulator.outbox


async def test_att_05_a_scheduling_server_that_listens_mails_nobody(world: Engine, dav: Dav) -> None:
    tie = await dav.tie(**FULL, attendees="write", app_writes_foreign="allow")
    organizer = f"ORGANIZER:mailto:{ORGANIZER.email}"
    theirs = tie.add(vevent("theirs", organizer, f"ATTENDEE:mailto:sync@{DOMAIN}", "ATTENDEE:mailto:x@y.example"))
    await world.sync()
    row = await world.put(with_guests("Ours", organizer=None))
    await world.sync()
    await world.put(edited(row, title="Renamed", start=moment(3), end=moment(3, 10)), row.id)
    (imported,) = [one for one in await world.ours() if one.uid == "theirs"]
    await world.put(edited(imported, location="Room 9"), imported.id)
    await world.sync()
    assert "Renamed" in tie.titles
    text = tie.folder.things[theirs.name].text
    assert organizer in text
    assert "ATTENDEE:mailto:x@y.example" in text
    written = next(thing.text for thing in tie.things if "Renamed" in thing.text)
    assert written.count("SCHEDULE-AGENT=CLIENT") == 10
    await world.delete(row.id)
    await world.sync()
    assert tie.titles == ["Standup"]
    assert not dav.simulator.outbox


async def test_att_05_a_server_that_mails_whatever_it_is_told_gets_no_guests_and_people_are_told(
    world: Engine, desk: Desk
) -> None:
    async with dav_server(world, honours_agent=False) as dav:
        tie = await dav.tie(**FULL, attendees="write")
        row = await world.put(with_guests("Ours", organizer=None))
        await world.put(meeting("Plain", uid="plain", days=2))
        await world.sync()
        assert tie.titles == ["Plain"]
        (told,) = await desk.problems()
        assert (told["code"], told["series_id"]) == ("caldav.would_mail", str(row.id))
        await tie.set(attendees="omit")
        await world.sync()
        assert tie.titles == ["Ours", "Plain"]
        assert not await desk.problems()
        probes = {mail["to"] for mail in dav.simulator.outbox}
        assert all(address.endswith(".invalid") for address in probes), "the one question whether it listens, to nobody"
        dav.simulator.outbox.clear()


async def test_att_06_a_body_that_was_not_touched_is_never_sent(world: Engine, dav: Dav) -> None:
    exact, tie = (
        await world.tie(**FULL, app_writes_foreign="allow", relay="none"),
        await dav.tie(**FULL, app_writes_foreign="allow", relay="none"),
    )
    body = "Agenda\n\n____\nJoin: https://meet.example/j/123"
    exact.add(
        meeting("Online", uid="online", description=body, html=f"<p>{body}</p>", conference_url="https://meet.example/j/123")
    )
    tie.add(vevent("online-dav", "DESCRIPTION:Agenda\\n\\nJoin", "X-MS-TEAMS:blob", "X-ALT-DESC;FMTTYPE=text/html:<p>blob</p>"))
    await world.sync()
    before = exact.things[0].document
    world.forget()
    for row in await world.ours():
        await world.put(edited(row, start=moment(5), end=moment(5, 10)), row.id)
    await world.sync()
    (update,) = [entry for entry in world.simulator.ledger if entry["verb"] == "update"]
    assert update["fields"] == ["end", "start"]
    after = exact.things[0].document
    assert {name: after[name] for name in ("description", "html", "conference_url")} == {
        name: before[name] for name in ("description", "html", "conference_url")
    }
    for line in ("DESCRIPTION:Agenda\\n\\nJoin", "X-MS-TEAMS:blob", "X-ALT-DESC;FMTTYPE=text/html:<p>blob</p>"):
        assert line in tie.things[0].text


async def test_att_07_switching_people_off_takes_them_off_the_copies_in_silence(world: Engine, dav: Dav) -> None:
    exact, tie = await world.tie(**FULL, attendees="write"), await dav.tie(**FULL, attendees="write")
    rows = [await world.put(with_guests(f"Ours {n}", days=n + 1, organizer=None)) for n in range(3)]
    await world.sync()
    assert all(len(one.event.attendees) == 10 for one in [*exact.there(), *tie.there()])
    for link in (exact, tie):
        await link.set(attendees="omit")
    await world.sync(rounds=2)
    assert not any(one.event.attendees for one in [*exact.there(), *tie.there()])
    assert all(len(row.series.event.attendees) == 10 for row in await world.ours())  # ours keeps them
    await world.put(edited(rows[0], title="Renamed"), rows[0].id)
    await world.delete(rows[1].id)
    await world.sync()
    assert exact.titles == tie.titles == ["Ours 2", "Renamed"]
    assert not any("guest" in thing.text for thing in tie.things)
    assert not world.simulator.outbox
    assert not dav.simulator.outbox
