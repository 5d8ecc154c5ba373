"""Writing CalDAV objects: at a version, only what was meant, and without a mail to anybody."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace

import pytest
from tests.caldav_world import MAILBOX, SimulatedWorld, caldav_login, series_in, simulated_world
from tests.contract.samples import INVITED, RICH, at, meeting
from tests.contract.suite import MARK, create, delete, held, key, update, with_title

from gleichtakt.errors import Ambiguous, Conflict, Permanent, Scope, Throttled, Transient
from gleichtakt.model.event import Attendee, Person, Series
from gleichtakt.providers.protocol import Href, Mail, Stored
from gleichtakt.providers.registry import connect
from gleichtakt.simulators.caldav import Fault

OWN = Person(MAILBOX)
MEETING = replace(INVITED, event=replace(INVITED.event, organizer=OWN))


async def planted_meeting(world: SimulatedWorld) -> Stored:
    """Give a meeting our account organizes, whose attendees the server writes to."""
    text = world.text(await world.create(meeting()))
    people = f"ORGANIZER:mailto:{MAILBOX}\r\nATTENDEE;CN=Bela;X-A=1:mailto:bela@x.example\r\nSUMMARY"
    href = world.put("organized.ics", text.replace("SUMMARY", people).replace("meeting-1@", "organized@"))
    return Stored(href, (await held(world, href)).etag)


# --- versions ---------------------------------------------------------------------------------------------------------


async def test_con_01_the_version_sent_is_the_one_the_change_was_made_on() -> None:
    async with simulated_world() as world:
        stored = await create(world, meeting())
        base = (await held(world, stored.href)).series
        await world.edit(stored.href, {"location": "inzwischen woanders"})
        await world.provider.fetch(world.calendar, [stored.href])  # the newest version is at hand, and is not what we merged from
        with pytest.raises(Conflict):
            await update(world, stored, base, with_title(base, "zu spät"), "title")
        assert series_in(world.text(stored.href)).event.location == "inzwischen woanders"


async def test_an_update_after_a_fetch_needs_one_request() -> None:
    async with simulated_world() as world:
        stored = await create(world, meeting())
        base = (await held(world, stored.href)).series
        world.simulator.ledger.clear()
        await update(world, stored, base, with_title(base, "neu"), "title")
        assert [entry["method"] for entry in world.simulator.ledger] == ["PUT"]


async def test_updates_that_were_announced_are_read_in_one_request() -> None:
    async with simulated_world() as world:
        made = [await create(world, replace(meeting(), uid=f"m{n}@example.org"), number=n + 1) for n in range(3)]
        bases = [(await held(world, stored.href)).series for stored in made]
        other = await world.reconnect()  # one that has not read them
        world.simulator.ledger.clear()
        await other.prepare(world.calendar, [stored.href for stored in made])
        for stored, base in zip(made, bases, strict=True):
            what = {"base": base, "new": with_title(base, "neu"), "fields": frozenset({"title"}), "key": key(90), "mark": MARK}
            await other.update(world.calendar, stored.href, expect=stored.etag, mail=Mail.NONE, **what)
        assert [entry["method"] for entry in world.simulator.ledger] == ["REPORT", "PUT", "PUT", "PUT"]


async def test_an_update_whose_lost_answer_was_a_success_is_recognised() -> None:
    async with simulated_world() as world:
        stored = await create(world, meeting())
        base = (await held(world, stored.href)).series
        world.simulator.faults.add(Fault("status", "update", status=412, effect=True))
        again = await update(world, stored, base, with_title(base, "neu"), "title")
        assert again.etag == (await held(world, stored.href)).etag
        assert again.series is not None
        assert again.series.event.title == "neu"


@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_con_06_an_error_after_a_write_means_read_back(status: int) -> None:
    async with simulated_world() as world:
        world.simulator.faults.add(Fault("status", "create", status=status, effect=True, headers={"Retry-After": "5"}))
        with pytest.raises(Ambiguous):
            await create(world, meeting())
        assert len(await world.hrefs()) == 1


async def test_a_write_that_was_put_off_did_not_happen() -> None:
    async with simulated_world() as world:
        world.simulator.faults.add(Fault("status", "create", status=429, headers={"Retry-After": "5"}))
        with pytest.raises(Throttled):
            await create(world, meeting())


async def test_a_put_is_never_repeated_behind_our_back() -> None:
    async with simulated_world() as world:
        stored = await create(world, meeting())  # the connection is warm now
        base = (await held(world, stored.href)).series
        world.simulator.ledger.clear()
        world.simulator.faults.add(Fault("lost", "update"))
        with pytest.raises(Ambiguous):
            await update(world, stored, base, with_title(base, "neu"), "title")
        assert [entry["method"] for entry in world.simulator.ledger].count("PUT") == 1


async def test_dup_01_a_create_whose_answer_was_lost_is_adopted() -> None:
    async with simulated_world() as world:
        world.simulator.faults.add(Fault("lost", "create", effect=True))
        with pytest.raises(Ambiguous):
            await create(world, meeting())
        stored = await create(world, meeting())
        assert await world.hrefs() == {stored.href}
        assert stored.series is not None
        assert stored.series.uid == meeting().uid


async def test_without_an_etag_in_the_answer_the_object_is_read_back() -> None:
    async with simulated_world(put_etag=False, rewrites=True) as world:
        stored = await create(world, meeting(title="Titel mit Leerzeichen  "))
        assert stored.series is not None
        assert stored.series.event.title == "Titel mit Leerzeichen"
        assert stored.etag == (await held(world, stored.href)).etag


async def test_a_name_the_server_chose_is_taken_and_found_again() -> None:
    async with simulated_world(renames=True) as world:
        stored = await create(world, meeting())
        assert await world.hrefs() == {stored.href}
        found = await world.provider.find(world.calendar, key(), meeting().uid)
        assert found is not None
        assert found.href == stored.href


async def test_what_a_server_made_of_an_object_in_a_place_of_its_own_is_read_back_whatever_its_etag_claims() -> None:
    async with simulated_world(renames=True, rewrites=True, always_etag=True) as world:
        stored = await create(world, meeting(title="Titel mit Leerzeichen  "))
        assert stored.series is not None
        assert stored.series.event.title == "Titel mit Leerzeichen"


async def test_a_server_that_drops_our_properties_is_asked_by_name() -> None:
    async with simulated_world(strips=("X-GLEICHTAKT",)) as world:
        stored = await create(world, meeting())
        found = await world.provider.find(world.calendar, key(), meeting().uid)
        assert found is not None
        assert (found.href, found.marker) == (stored.href, "")


async def test_a_uid_the_server_refuses_twice_gets_a_suffix_and_always_the_same() -> None:
    async with simulated_world() as world:
        await world.create(meeting())
        first = await create(world, meeting())
        assert first.uid != meeting().uid
        assert first.uid.startswith(meeting().uid)
        again = await create(world, meeting())
        assert (again.href, again.uid) == (first.href, first.uid)


async def test_a_uid_that_may_be_there_twice_is_kept() -> None:
    async with simulated_world(unique_uids=False) as world:
        await world.create(meeting())
        assert (await create(world, meeting())).uid == meeting().uid


# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "condition", "code"),
    [
        (403, "C:max-resource-size", "general.too_large"),
        (403, "C:max-instances", "caldav.too_many_occurrences"),
        (403, "C:min-date-time", "caldav.date_out_of_range"),
        (403, "C:supported-calendar-component", "caldav.no_events_here"),
        (403, "C:valid-calendar-data", "general.rejected"),
        (403, "C:allowed-attendee-scheduling-object-change", "caldav.scheduling_refused"),
        (403, "D:need-privileges", "general.forbidden"),
        (403, "", "general.forbidden"),
        (413, "", "general.too_large"),
        (415, "", "general.rejected"),
        (400, "", "general.rejected"),
    ],
)
async def test_a_refusal_says_what_the_server_does_not_accept(status: int, condition: str, code: str) -> None:
    body = f'<D:error xmlns:D="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav"><{condition}/></D:error>' if condition else ""
    async with simulated_world() as world:
        world.simulator.faults.add(Fault("status", "create", status=status, body=body))
        with pytest.raises(Permanent) as raised:
            await create(world, meeting())
        assert raised.value.code == code
        assert raised.value.cause("de") != code
        assert await world.hrefs() == frozenset()


async def test_a_full_account_is_tried_again_later() -> None:
    async with simulated_world() as world:
        world.simulator.faults.add(Fault("status", "create", status=507))
        with pytest.raises(Transient) as raised:
            await create(world, meeting())
        assert raised.value.code == "general.storage_full"
        assert not isinstance(raised.value, Ambiguous)


async def test_a_locked_calendar_is_written_to_once_it_is_free() -> None:
    async with simulated_world() as world:
        world.simulator.faults.add(Fault("status", "create", status=423, times=2))
        stored = await create(world, meeting())
        assert series_in(world.text(stored.href)).uid == meeting().uid
        assert [entry["status"] for entry in world.simulator.ledger if entry["method"] == "PUT"] == [423, 423, 201]


async def test_a_calendar_that_stays_locked_is_tried_again_later() -> None:
    async with simulated_world() as world:
        world.simulator.faults.add(Fault("status", "create", status=423, times=-1))
        with pytest.raises(Transient) as raised:
            await create(world, meeting())
        assert raised.value.scope is Scope.SERIES
        assert not isinstance(raised.value, Ambiguous)


async def test_att_03_a_forbidden_update_never_becomes_delete_and_recreate() -> None:
    async with simulated_world() as world:
        stored = await create(world, meeting())
        base = (await held(world, stored.href)).series
        world.folder.can_write = False
        world.simulator.ledger.clear()
        with pytest.raises(Permanent):
            await update(world, stored, base, with_title(base, "neu"), "title")
        assert {entry["method"] for entry in world.simulator.ledger} <= {"GET", "PUT"}
        assert await world.hrefs() == {stored.href}
        assert world.simulator.outbox == []


async def test_a_missing_calendar_is_told_from_a_refused_event() -> None:
    async with simulated_world() as world:
        provider = connect(caldav_login(world.running.url))
        gone = replace(world.calendar, calendar="/dav/sync/gone/")
        with pytest.raises(Permanent) as raised:
            await provider.create(gone, meeting(), key=key(), mark=MARK, mail=Mail.NONE)
        await provider.close()
        assert raised.value.code == "general.calendar_missing"


# --- what stays as it was ---------------------------------------------------------------------------------------------


async def test_an_update_leaves_every_other_line_byte_for_byte() -> None:
    async with simulated_world() as world:
        stored = await create(world, RICH)
        odd = 'X-ODD;X-P="a;b":x\\,y\r\nGEO:1.5;2.5\r\nATTACH:https://x.example/a\r\nSUMMARY'
        href = world.put(stored.href.rpartition("/")[2], world.text(stored.href).replace("SUMMARY", odd))
        before, seen = world.text(href), await held(world, href)
        await update(world, Stored(href, seen.etag), seen.series, with_title(seen.series, "Anders"), "title")
        changed = [line for line in world.text(href).splitlines() if line not in before.splitlines()]
        assert changed == ["SUMMARY:Anders"]


async def test_dup_06_our_mark_on_a_copied_event_becomes_the_right_one() -> None:
    async with simulated_world() as world:
        stored = await create(world, meeting())
        base = (await held(world, stored.href)).series
        await world.provider.update(
            world.calendar,
            stored.href,
            expect=stored.etag,
            base=base,
            new=with_title(base, "neu"),
            fields=frozenset({"title"}),
            key=key(2),
            mark=replace(MARK, text="instance/link/other"),
            mail=Mail.NONE,
        )
        assert (await held(world, stored.href)).marker == "instance/link/other"


# --- mails ------------------------------------------------------------------------------------------------------------


async def test_att_05_attendees_written_are_left_to_us_and_get_no_mail() -> None:
    async with simulated_world() as world:
        stored = await create(world, MEETING)
        assert "SCHEDULE-AGENT=CLIENT" in world.text(stored.href)
        base = (await held(world, stored.href)).series
        more = replace(base, event=replace(base.event, attendees=(*base.event.attendees, Attendee("carl@x.example"))))
        await update(world, stored, base, more, "attendees")
        assert world.simulator.outbox == []


async def test_att_05_a_server_that_mails_anyway_gets_no_attendees_from_us() -> None:
    async with simulated_world(honours_agent=False) as world:
        probes = len(world.simulator.outbox)
        with pytest.raises(Permanent) as raised:
            await create(world, MEETING)
        assert raised.value.code == "caldav.would_mail"
        assert await world.hrefs() == frozenset()
        people = {mail["to"] for mail in world.simulator.outbox[probes:]}
        assert all(address.endswith(".invalid") for address in people)  # the probe, whose domain cannot exist


@pytest.mark.parametrize(
    "fault",
    [
        Fault("status", "update", status=500),
        Fault("lost", "update", effect=True),
        Fault("lost", "delete"),
        Fault("lost", "fetch"),
    ],
    ids=["refused", "answer lost", "removal lost", "look lost"],
)
async def test_att_05_a_probe_that_fails_is_no_answer_and_leaves_nothing_behind(fault: Fault) -> None:
    async with simulated_world() as world:
        world.simulator.faults.add(fault)
        with suppress(Transient):
            await create(world, MEETING)
        await create(world, MEETING)
        assert {series_in(thing.text).uid for thing in world.folder.things.values()} == {MEETING.uid}
        assert not world.simulator.outbox


async def test_att_05_many_meetings_at_once_share_one_probe() -> None:
    async with simulated_world() as world:
        await asyncio.gather(*(create(world, replace(MEETING, uid=f"{number}@x.example"), number) for number in range(6)))
        assert len(world.folder.things) == 6
        assert [entry["method"] for entry in world.simulator.ledger].count("PUT") == 7
        assert not world.simulator.outbox


async def test_att_05_a_server_without_scheduling_is_not_probed() -> None:
    async with simulated_world(schedules=False) as world:
        await create(world, MEETING)
        assert [entry["method"] for entry in world.simulator.ledger].count("PUT") == 1


async def test_att_05_attendees_of_a_meeting_on_the_server_stay_untouched() -> None:
    async with simulated_world(schedules=False) as world:
        stored = await planted_meeting(world)
        base = (await held(world, stored.href)).series
        await update(world, stored, base, with_title(base, "neu"), "title")
        assert "ATTENDEE;CN=Bela;X-A=1:mailto:bela@x.example" in world.text(stored.href)


@pytest.mark.parametrize("verb", ["update", "delete"])
async def test_a_meeting_whose_attendees_would_be_written_to_is_left_alone(verb: str) -> None:
    async with simulated_world() as world:
        stored = await planted_meeting(world)
        base = (await held(world, stored.href)).series
        with pytest.raises(Permanent) as raised:
            if verb == "update":
                await update(world, stored, base, with_title(base, "verlegt"), "title")
            else:
                await delete(world, stored)
        assert raised.value.code == "caldav.would_mail"
        assert world.simulator.outbox == []
        assert stored.href in await world.hrefs()


async def test_what_attendees_do_not_notice_may_change_in_silence() -> None:
    async with simulated_world() as world:
        stored = await planted_meeting(world)
        base = (await held(world, stored.href)).series
        await update(world, stored, base, replace(base, event=replace(base.event, categories=("Blau",))), "categories")
        assert world.simulator.outbox == []


async def test_mails_go_out_when_they_were_asked_for() -> None:
    async with simulated_world() as world:
        await world.provider.create(world.calendar, MEETING, key=key(), mark=MARK, mail=Mail.ALL)
        assert {mail["method"] for mail in world.simulator.outbox} == {"REQUEST"}
        assert {mail["to"] for mail in world.simulator.outbox} == {one.email for one in MEETING.event.attendees}


async def test_only_people_from_elsewhere_get_a_mail_when_that_was_asked_for() -> None:
    inside = Attendee("colleague@caldav.example")
    outside = Attendee("customer@x.example")
    series: Series = replace(MEETING, event=replace(MEETING.event, attendees=(inside, outside)))
    async with simulated_world() as world:
        await world.provider.create(world.calendar, series, key=key(), mark=MARK, mail=Mail.EXTERNAL)
        assert [mail["to"] for mail in world.simulator.outbox if not mail["to"].endswith(".invalid")] == [outside.email]


async def test_deleting_an_invitation_declines_nothing() -> None:
    async with simulated_world() as world:
        text = world.text(await world.create(meeting()))
        people = f"ORGANIZER:mailto:boss@x.example\r\nATTENDEE:mailto:{MAILBOX}\r\nSUMMARY"
        href = Href(world.put("in.ics", text.replace("SUMMARY", people).replace("meeting-1@", "in@")))
        await delete(world, Stored(href, (await held(world, href)).etag))
        assert world.simulator.outbox == []


# --- what is stored ---------------------------------------------------------------------------------------------------


async def test_what_icalendar_says_otherwise_is_told_as_it_will_be_read() -> None:
    second_hour = at(25, 2, 30, month=10)
    second_hour = replace(second_hour, wall=second_hour.wall.replace(fold=1))
    async with simulated_world() as world:
        plain = await create(world, meeting())
        assert plain.series is None  # as sent
        base = (await held(world, plain.href)).series
        moved = replace(base, event=replace(base.event, start=second_hour, end=at(25, 3, 30, month=10)))
        for stored in (
            await create(world, replace(moved, uid="twice@contract.example"), 7),
            await update(world, plain, base, moved, "start", "end"),
        ):
            assert stored.series is not None
            assert stored.series == (await held(world, stored.href)).series
            assert stored.series.event.start == at(25, 1, 30, month=10, tzid="UTC")
