"""ATT and AUT at Exchange: nobody is mailed who was not meant to be; links that are cut and tied again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID

from tests.caldav_world import MAILBOX
from tests.engine import ACCOUNT, Engine, meeting, moment
from tests.ews_world import OPTIONS, Person
from tests.scenarios.calendars import edited, with_override
from tests.scenarios.desk import Desk
from tests.scenarios.outlook import (
    DOMAIN,
    OWNED,
    answer,
    asked,
    firm,
    invite,
    linked,
    only_item,
    reschedule,
    there,
    titles,
    writes_nothing,
)
from tests.scenarios.places import FULL, Dav
from tests.scenarios.test_invitations import GUESTS
from tests.scenarios.test_lifecycle import busy
from tests.simulation.ews_remote import exchange_with_account

from gleichtakt.model.event import Series
from gleichtakt.providers.protocol import CalendarRef
from gleichtakt.simulators.exchange import start
from gleichtakt.simulators.exchange.ids import folder_id
from gleichtakt.simulators.exchange.state import Folder


def with_guests(title: str, days: int = 1, **more: Any) -> Series:
    """Give a meeting of many people; who invites is the owner of the calendar it is in."""
    return meeting(title, days=days, attendees=GUESTS, **more)


def people_in(folder: Folder) -> set[str]:
    """Give the titles of all items, and of all their exceptions, that anybody is invited to."""
    lists = ("RequiredAttendees", "OptionalAttendees", "Resources")
    return {
        str({**item.values, **own}["Subject"])
        for item in folder.items.values()
        for own in ({}, *item.overrides.values())
        if any({**item.values, **own}.get(name) for name in lists)
    }


# --- ATT -------------------------------------------------------------------------------------------------------------


async def test_att_01_connecting_one_mailbox_after_another_mails_nobody_and_copies_no_guests(
    world: Engine, desk: Desk, dav: Dav
) -> None:
    async with firm(world, "anna", "ben", "north") as (exchange, connection_id):
        for number in range(6):
            guests = [*(guest.email for guest in GUESTS), f"ben@{DOMAIN}", f"north@{DOMAIN}"]
            invite(exchange, "anna", f"Meeting {number}", guests, day=number + 3)
            await world.put(with_guests(f"Booking {number}", days=number + 3, hour=15))
        sent = list(exchange.simulator.outbox)  # by Anna herself
        persons = {
            "anna": world.resource_id,
            "ben": await world.resource("Ben"),
            "north": await world.resource("North", kind="room"),
        }
        links = []
        for name, resource_id in persons.items():
            tie = await world.bind(connection_id, "", f"{name}@{DOMAIN}", resource_id)
            await world.set("link", tie.id, **OWNED, relay="full")
            links.append(tie.id)
            await world.sync()
        second = await dav.tie(**FULL, relay="full")
        await world.sync()
        for link_id in links:
            await desk.do(f"/links/{link_id}/reset")
            await world.set("link", link_id, window_ahead_days=500)
        await world.sync(rounds=2)
        assert list(exchange.simulator.outbox) == sent
        assert people_in(exchange.simulator.mailbox(f"anna@{DOMAIN}").calendar) == {f"Meeting {n}" for n in range(6)}
        assert len(exchange.simulator.mailbox(f"anna@{DOMAIN}").calendar.items) == 12
        assert len(second.things) == 12
        assert not any(word in thing.text for thing in second.things for word in ("ATTENDEE", "ORGANIZER"))


async def test_att_02_cleaning_up_takes_our_copies_and_cancels_nobodys_meeting(world: Engine, desk: Desk) -> None:
    async with linked(world, attendees="write") as person:
        for number in range(6):
            await person.create(with_guests(f"Real {number}", days=number + 1))
            await world.put(meeting(f"Ours {number}", days=number + 1))
        await world.put(with_guests("Ours, with guests", days=8))
        await world.sync()
        assert len(person.hrefs()) == 13
        (link,) = await world.rows("select id from link")
        ended = await desk.do(f"/links/{link['id']}/disconnect", {"copies": "delete", "imported": "delete"})
        assert (ended["copies"], ended["imported"]) == (7, 6)
        await world.sync()
        assert len(person.hrefs()) == 13, "it waits for a person, who sees how many"
        (hold,) = await desk.holds()
        assert hold["count"] == 7
        await desk.decide("approve")
        await world.sync()
        assert await titles(person) == [f"Real {number}" for number in range(6)]
        assert people_in(person.folder) == {f"Real {number}" for number in range(6)}
        assert (await desk.get(f"/links/{link['id']}"))["state"] == "disconnected"


async def test_att_04_a_copy_of_an_invitation_makes_nobody_the_organizer_and_gives_no_answer(world: Engine, dav: Dav) -> None:
    async with firm(world, "anna", "ben") as (exchange, connection_id):
        await world.bind(connection_id, "", f"ben@{DOMAIN}")
        await world.set("resource", world.resource_id, **OWNED, relay="full")
        second = await dav.tie()
        invite(exchange, "anna", "Invitation", [f"ben@{DOMAIN}"])
        invited = list(exchange.simulator.outbox)
        await world.sync(rounds=3)
        (copy,) = second.there()
        assert (copy.event.title, copy.event.organizer, copy.event.attendees) == ("Invitation", None, ())
        assert list(exchange.simulator.outbox) == invited

        for said in ("TentativelyAcceptItem", "AcceptItem"):  # by Ben, where the invitation is
            answer(exchange, "ben", said)
            await world.sync(rounds=2)
        (row,) = await world.ours()
        second.edit(second.things[0], location="Written into the copy")
        await world.put(edited(row, categories=("Blue",)), row.id)
        await world.sync(rounds=3)
        mails = [(mail["from"], mail["kind"]) for mail in exchange.simulator.outbox]
        assert mails == [(f"anna@{DOMAIN}", "request"), *[(f"ben@{DOMAIN}", "response")] * 2], "one answer each, his own"
        item = only_item(exchange, "ben")
        assert item.values["Organizer"].address == f"anna@{DOMAIN}"
        assert item.values["MyResponseType"] == "Accept"

        reschedule(exchange, "anna", 4)
        await world.sync(rounds=2)
        assert second.there()[0].event.start == moment(4, 10)
        answer(exchange, "ben", "DeclineItem")
        await world.sync(rounds=3)
        assert not second.things
        assert only_item(exchange, "anna").values["RequiredAttendees"][0].response == "Decline"
        assert [mail["kind"] for mail in exchange.simulator.outbox] == ["request", "response", "response", "update", "response"]


async def test_att_05_meetings_of_exchange_make_a_scheduling_server_mail_nobody(world: Engine, dav: Dav) -> None:
    async with linked(world, relay="full") as person:
        quiet, writing = await dav.tie("quiet"), await dav.tie("writing", attendees="write")
        href = await person.create(with_guests("Theirs"))
        series = replace(with_guests("Theirs, weekly", days=2, rrule="FREQ=WEEKLY;COUNT=4"), exdate=(moment(9),))
        weekly = await person.create(with_override(series, moment(16), moment(16, 14)))
        await world.sync()
        (held,) = (await person.read([href])).values()
        await person.change(href, replace(held, event=replace(held.event, start=moment(4), end=moment(4, 10))))
        await world.sync()
        assert quiet.titles == writing.titles == ["Theirs", "Theirs, weekly"]
        assert not any(word in thing.text for thing in quiet.things for word in ("ATTENDEE", "ORGANIZER"))
        for thing in writing.things:
            assert thing.text.count("ATTENDEE") == thing.text.count("SCHEDULE-AGENT=CLIENT")
        person.delete(href)
        person.delete(weekly)
        await world.sync(rounds=2)
        assert not quiet.things
        assert not writing.things


async def test_att_06_a_body_that_nobody_edited_stays_as_it_is_byte_for_byte(world: Engine) -> None:
    block = '<p>Agenda</p><hr><div id="meeting">Join: <a href="https://meet.example/j/123">click here</a>&nbsp;</div>'
    async with linked(world) as person:
        await person.create(meeting("Online", description="Agenda", html=block))
        (item,) = person.folder.items.values()
        item.values["Body"] = replace(item.values["Body"], kind="HTML", text=f"<html><body>{block}</body></html>")
        before = item.values["Body"]
        person.folder.touch(item)
        await world.sync()
        for change in ({"start": moment(5), "end": moment(5, 10)}, {"title": "Online, later"}, {"location": "Room 2"}):
            (row,) = await world.ours()
            await world.put(edited(row, **change), row.id)
            await world.sync()
        (item,) = person.folder.items.values()
        assert item.values["Body"] == before
        assert (item.values["Subject"], item.values["Location"]) == ("Online, later", "Room 2")
        (row,) = await world.ours()
        await world.put(edited(row, description=f"{row.series.event.description}\n\nA note"), row.id)
        await world.sync()
        (found,) = await there(person)
        assert found.event.description.startswith("Agenda")
        assert found.event.description.endswith("A note")
        await writes_nothing(world, person.exchange)


async def test_att_07_switching_people_off_takes_them_off_the_copies_in_silence(world: Engine) -> None:
    async with linked(world, attendees="write") as person:
        rows = [await world.put(with_guests(f"Ours {n}", days=n + 1)) for n in range(3)]
        series = with_guests("Weekly", days=5, rrule="FREQ=WEEKLY;COUNT=4")
        rows.append(
            await world.put(with_override(series, moment(12), moment(12, 14), title="Weekly, moved", attendees=GUESTS[:3]))
        )
        theirs = await person.create(with_guests("Theirs", days=9))
        await world.sync()
        assert people_in(person.folder) == {"Ours 0", "Ours 1", "Ours 2", "Weekly", "Weekly, moved", "Theirs"}

        await world.set("resource", world.resource_id, attendees="omit")
        await world.sync()
        assert people_in(person.folder) == {"Theirs"}, "whose guests are nobody's business"
        assert all(row.series.event.attendees for row in await world.ours() if row.origin == "app"), "ours keeps them"
        await writes_nothing(world, person.exchange)

        await world.put(edited(rows[0], title="Renamed"), rows[0].id)
        await world.put(with_override(rows[3].series, moment(19), moment(19, 15)), rows[3].id)
        await world.delete(rows[1].id)
        await world.sync()
        assert await titles(person) == ["Ours 2", "Renamed", "Theirs", "Weekly"]
        assert people_in(person.folder) == {"Theirs"}
        assert theirs in person.hrefs()
        await world.delete(rows[3].id)
        await world.sync()
        assert await titles(person) == ["Ours 2", "Renamed", "Theirs"]


# --- AUT-06 ----------------------------------------------------------------------------------------------------------


async def link_of(world: Engine) -> tuple[UUID, UUID, str]:
    """Give link, connection and calendar of the only live link."""
    (link,) = await world.rows("select id, connection_id, calendar from link where state <> 'disconnected'")
    return link["id"], link["connection_id"], link["calendar"]


async def tied_again(world: Engine, desk: Desk, connection_id: UUID, calendar: str) -> str:
    """Tie the same calendar again through the interface."""
    wanted = {
        "resource_id": str(world.resource_id),
        "connection_id": str(connection_id),
        "mailbox": MAILBOX,
        "calendar": calendar,
    }
    return str((await desk.do("/links", {**wanted, "settings": OWNED}))["id"])


async def filled(world: Engine, person: Person) -> None:
    """Fill both sides with single events and series."""
    for number in range(4):
        await world.put(meeting(f"Ours {number}", days=number + 1))
        await person.create(meeting(f"Theirs {number}", days=number + 1, hour=14))
    weekly = meeting("Weekly", days=6, rrule="FREQ=WEEKLY;COUNT=4")
    await world.put(replace(with_override(weekly, moment(13), moment(13, 15)), exdate=(moment(20),)))
    await world.sync()


async def test_aut_06_tied_again_after_copies_were_kept_nothing_is_made_twice(world: Engine, desk: Desk) -> None:
    async with linked(world) as person:
        await filled(world, person)
        before = person.hrefs()
        link_id, connection_id, calendar = await link_of(world)
        assert len(await busy(desk, world)) == 2
        await desk.do(f"/links/{link_id}/disconnect", {"copies": "keep", "imported": "delete"})
        assert len(await busy(desk, world)) == 1, "what came from there takes nobody's time any more"
        await writes_nothing(world, person.exchange)
        for memory in ("keep", "forget"):
            tied = await tied_again(world, desk, connection_id, calendar)
            person.exchange.ledger.clear()
            await world.sync()
            assert asked(person.exchange, "CreateItem", "DeleteItem") == 0, memory
            assert person.hrefs() == before
            assert len(await world.ours()) == 9
            await writes_nothing(world, person.exchange)
            await desk.do(f"/links/{tied}/disconnect", {"copies": "keep", "imported": "delete", "memory": memory})


async def test_aut_06_copies_that_were_removed_leave_nothing_behind(world: Engine, desk: Desk) -> None:
    async with linked(world) as person:
        await filled(world, person)
        link_id, connection_id, calendar = await link_of(world)
        await desk.do(f"/links/{link_id}/disconnect", {"copies": "delete", "imported": "delete"})
        await world.sync()
        await desk.decide("approve")
        await world.sync()
        assert await titles(person) == [f"Theirs {number}" for number in range(4)]
        assert not await world.rows("select * from pairing where href <> ''")
        await tied_again(world, desk, connection_id, calendar)
        await world.sync()
        assert await titles(person) == await world.titles()
        assert len(person.hrefs()) == 9
        await writes_nothing(world, person.exchange)


async def test_aut_06_another_mailbox_under_the_same_name_is_another_calendar(world: Engine, desk: Desk) -> None:
    async with linked(world) as person:
        await filled(world, person)
        link_id, _, _ = await link_of(world)
        await desk.do(f"/links/{link_id}/disconnect", {"copies": "keep", "imported": "delete"})
        before, own = person.hrefs(), exchange_with_account()
        async with start(own) as running:  # another server, the same address, a calendar of the same name
            folder = own.simulator.mailbox(MAILBOX).add_folder(person.folder.name)
            other = Person(own, folder, CalendarRef(MAILBOX, folder_id(folder)))
            await other.create(meeting("Of someone else", days=3))
            tie = await world.link("ews", running.url, ACCOUNT, MAILBOX, folder_id(folder), OPTIONS)
            await world.set("link", tie.id, **OWNED)
            person.exchange.ledger.clear()
            await world.sync(rounds=2)
            assert asked(person.exchange, "SyncFolderItems", "CreateItem", "UpdateItem", "DeleteItem") == 0
            assert person.hrefs() == before
            expected = ["Of someone else", *(f"Ours {number}" for number in range(4)), "Weekly"]
            assert await titles(other) == await world.titles() == expected
            assert not own.simulator.outbox


async def test_aut_06_a_mailbox_made_anew_under_the_same_address_is_not_taken_for_an_emptied_one(
    world: Engine, desk: Desk
) -> None:
    async with firm(world, "anna") as (exchange, connection_id):
        tie = await world.bind(connection_id, "", f"anna@{DOMAIN}")
        await world.set("link", tie.id, **OWNED, on_remote_delete="cancel_booking")
        for number in range(8):
            await world.put(meeting(f"Ours {number}", days=number + 1))
        await world.sync()
        fresh = exchange.simulator.add_mailbox(f"anna@{DOMAIN}")  # the old one went with her namesake
        start, end = (f"{moment(5, hour).wall:%Y-%m-%dT%H:%M:%S}Z" for hour in (12, 13))
        exchange.put(f"anna@{DOMAIN}", {"Subject": "Of another Anna", "Start": start, "End": end})
        await world.sync(rounds=2)
        assert [title for title in await world.titles() if title.startswith("Ours")] == [f"Ours {n}" for n in range(8)]
        assert len(fresh.calendar.items) == 1, "nor is she given the appointments of the other one"
        (hold,) = await desk.holds()
        assert (hold["kind"], hold["count"]) == ("mass_delete", 8)
        assert not exchange.simulator.outbox
