"""What is particular to the memory provider: its connection, its kinds of calendar, its faults."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from tests.contract.samples import FLOATING, INVITED, RICH, STANDUP, WINDOW, at, meeting
from tests.contract.suite import create, held, key
from tests.contract.world import last_cursor, read
from tests.memory_world import MAILBOX, memory_login, memory_world

from gleichtakt.errors import AuthRequired, Permanent, Throttled, Transient
from gleichtakt.model.event import Sensitivity, ShowAs
from gleichtakt.providers.memory.oddities import wait_until
from gleichtakt.providers.memory.wire import patch_of
from gleichtakt.providers.protocol import CalendarRef, Href, IdempotencyKey, Known, Mail, Mark, Seen
from gleichtakt.providers.registry import abilities_of, connect, provider_class, provider_names
from gleichtakt.simulators.memory import Fault, start

NOW = datetime(2026, 11, 23, 9, tzinfo=UTC)


@pytest.mark.parametrize(
    ("advice", "wait"),
    [
        ("", timedelta(minutes=1)),
        ("soon", timedelta(minutes=1)),
        ("2026-11-23T10:00:00", timedelta(minutes=1)),  # without a zone: whose ten o'clock?
        ("2026-11-23T08:00:00+00:00", timedelta(seconds=1)),
        ("2026-11-23T09:05:00+00:00", timedelta(minutes=5)),
        ("2027-11-23T09:05:00+00:00", timedelta(hours=1)),
    ],
)
def test_pro_05_advice_to_wait_is_brought_into_bounds(advice: str, wait: timedelta) -> None:
    assert wait_until(advice, NOW) - NOW == wait


def test_kinds_of_calendar_differ_in_their_abilities() -> None:
    assert provider_names() == ("caldav", "ews", "feed", "memory")
    assert provider_class("memory", {"variant": "lossy"}) is not provider_class("memory")
    assert "categories" in abilities_of("memory").fields - abilities_of("memory", {"variant": "lossy"}).fields


async def test_a_wrong_password_needs_a_person_and_is_counted() -> None:
    async with start(control=False) as running:
        login = replace(memory_login(running.url), auth={"username": "sync", "password": "wrong"})
        with pytest.raises(AuthRequired) as raised:
            await connect(login).calendars("anna@memory.example")
        assert "Anmeldung" in raised.value.cause("de")
        assert running.simulator.refused_logins == 1


@pytest.mark.parametrize("url", ["memory://127.0.0.1:1", "memory://127.0.0.1", "memory://nowhere.invalid:80"])
async def test_an_address_where_nobody_answers_is_tried_again(url: str) -> None:
    with pytest.raises(Transient):
        await connect(memory_login(url)).calendars("anna@memory.example")


async def test_answers_find_their_callers_although_they_come_in_another_order() -> None:
    async with memory_world() as world:
        made = [await world.create(meeting(number)) for number in range(3)]
        world.simulator.faults.add(Fault("delay", "fetch", times=1, seconds=0.05))
        answers = await asyncio.gather(*(world.provider.fetch(world.calendar, [href]) for href in made))
        assert [one.href for (one,) in answers] == made


async def test_a_cancelled_call_leaves_the_connection_usable() -> None:
    async with memory_world() as world:
        href = await world.create(meeting())
        world.simulator.faults.add(Fault("delay", "fetch", seconds=30))
        waiting = asyncio.create_task(world.provider.fetch(world.calendar, [href]))
        while world.simulator.calls["fetch"] == 0:
            await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert (await held(world, href)).href == href


async def test_an_answer_that_is_no_json_breaks_the_connection_and_nothing_else() -> None:
    async with memory_world() as world:
        world.simulator.faults.add(Fault("garbage", "changes"))
        with pytest.raises(Transient):
            await read(world)
        assert (await read(world))[-1].final


async def test_pro_02_objects_passed_over_in_an_answer_are_asked_for_again() -> None:
    async with memory_world() as world:
        made = [await world.create(meeting(number)) for number in range(7)]
        world.simulator.faults.add(Fault("cap", "fetch", count=3, times=2))
        assert {one.href for one in await world.provider.fetch(world.calendar, made)} == set(made)
        world.simulator.faults.add(Fault("cap", "fetch", count=0, times=-1))
        with pytest.raises(Transient):
            await world.provider.fetch(world.calendar, made)


async def test_what_is_delivered_twice_is_the_same_twice() -> None:
    async with memory_world() as world:
        href = await world.create(meeting())
        world.simulator.faults.add(Fault("repeat", "changes"))
        (page,) = await read(world)
        assert [seen.href for seen in page.upserts] == [href, href]


async def test_an_object_garbled_on_the_way_keeps_its_raw_text_for_a_look() -> None:
    async with memory_world() as world:
        await world.create(meeting(1))
        await world.create(meeting(2))
        world.simulator.faults.add(Fault("unreadable", "changes", count=1))
        (page,) = await read(world)
        (bad,) = page.unreadable
        assert bad.raw == b'{"start":7}'
        assert bad.trouble.code == "general.unreadable"
        assert len(page.upserts) == 1


async def test_pro_01_a_cursor_may_die_before_any_page() -> None:
    async with memory_world() as world:
        for number in range(35):
            await world.create(meeting(number))
        world.simulator.faults.add(Fault("cursor", "changes", skip=2))
        pages = world.provider.changes(world.calendar, None, known=Known(), window=WINDOW)
        assert len((await anext(pages)).upserts) == 10
        assert len((await anext(pages)).upserts) == 10
        with pytest.raises(Exception, match="cursor_expired"):
            await anext(pages)
        assert (await read(world))[-1].final


async def test_a_lossy_calendar_keeps_coarser_words_and_fewer_fields() -> None:
    async with memory_world("lossy") as world:
        rich = replace(RICH.event, show_as=ShowAs.OOF, sensitivity=Sensitivity.CONFIDENTIAL, categories=("Rot",))
        stored = await create(world, replace(RICH, event=rich))
        assert stored.series is not None
        kept = stored.series.event
        assert (kept.show_as, kept.sensitivity, kept.categories) == (ShowAs.BUSY, Sensitivity.PRIVATE, ())
        with pytest.raises(Permanent):
            await create(world, FLOATING, 2)


async def test_a_lossy_calendar_mails_attendees_whatever_is_asked() -> None:
    async with memory_world("lossy") as world:
        await create(world, INVITED)
        assert [mail["to"] for mail in world.simulator.outbox] == ["anna@contract.example", "bela@contract.example"]


async def test_a_normalising_calendar_rewrites_texts_and_uids_and_forgets_marks() -> None:
    async with memory_world("normalising") as world:
        stored = await create(world, meeting(title="  Viel   Luft ", categories=("b", "a"), description="eins \nzwei\n\n"))
        assert stored.series is not None
        kept = stored.series.event
        assert (kept.title, kept.categories, kept.description) == ("Viel Luft", ("a", "b"), "eins\r\nzwei")
        assert stored.uid != meeting().uid
        assert (await held(world, stored.href)).marker == ""


async def test_dup_06_a_copy_made_in_a_client_carries_our_mark_under_another_name() -> None:
    async with memory_world() as world:
        stored = await create(world, meeting())
        clone = world.simulator.clone(world.folder, stored.href)
        found = await world.provider.fetch(world.calendar, [stored.href, Href(clone.href)])
        assert len({one.marker for one in found if isinstance(one, Seen)}) == 1
        assert await world.provider.find(world.calendar, key(), meeting().uid) == found[0]


async def test_an_update_names_only_what_differs() -> None:
    moved = replace(STANDUP.overrides[0], event=replace(STANDUP.overrides[0].event, location="Raum 2"))
    new = replace(STANDUP, overrides=(moved,), exdate=())
    patch = patch_of(STANDUP, new, frozenset({"title", "recurrence"}))
    assert patch == {
        "set": {},
        "recurrence": {
            "put": [{"recurrence_id": {"date_time": "2026-03-09T09:00:00", "time_zone": "Europe/Berlin"}, "location": "Raum 2"}],
            "drop": [{"date_time": "2026-03-30T09:00:00", "time_zone": "Europe/Berlin"}],
            "exdate": [],
        },
    }
    assert patch_of(STANDUP, STANDUP, frozenset({"title", "start", "recurrence"})) == {"set": {}, "recurrence": {}}


async def test_an_edited_text_takes_its_html_with_it() -> None:
    base = replace(RICH, event=replace(RICH.event, html="<p>Erste Zeile</p>"))
    new = replace(RICH, event=replace(RICH.event, description="Neu", html=""))
    assert patch_of(base, new, frozenset({"description"}))["set"] == {"description": "Neu", "html": ""}


async def test_a_calendar_that_may_only_be_read_says_so_on_writing() -> None:
    async with memory_world() as world:
        world.folder.can_write = False
        (listed,) = await world.provider.calendars(world.calendar.mailbox)
        assert not listed.can_write
        with pytest.raises(Permanent) as refused:
            await create(world, meeting())
        assert refused.value.code == "general.forbidden"


async def test_a_restarted_system_is_found_again_on_the_next_call() -> None:
    async with memory_world() as world:
        await create(world, meeting())
        world.running.break_connections()
        with suppress(Transient):  # unless the break was noticed before the call was sent
            await read(world)
        assert len((await read(world))[0].upserts) == 1


async def test_throttling_names_the_time_in_its_sentence() -> None:
    async with memory_world() as world:
        world.simulator.clock.frozen_at = None
        await world.throttle(600)
        with pytest.raises(Throttled) as raised:
            await read(world)
        assert f"{raised.value.until:%H:%M} UTC" in raised.value.cause("de")


async def test_the_doctor_stops_at_the_first_failure_and_names_it() -> None:
    async with memory_world() as world:
        world.folder.can_write = False
        checks = [check async for check in world.provider.examine(world.calendar)]
        assert [(check.name, check.state, check.code) for check in checks] == [
            ("login", "pass", ""),
            ("calendars", "pass", ""),
            ("test_item", "fail", "general.forbidden"),
        ]


async def test_an_hour_that_happens_twice_keeps_its_second_reading() -> None:
    async with memory_world() as world:
        second = replace(at(25, 2, 30, month=10), wall=datetime(2026, 10, 25, 2, 30, fold=1))  # noqa: DTZ001
        series = replace(meeting(), event=replace(meeting().event, start=second, end=second))
        stored = await world.provider.create(world.calendar, series, key=IdempotencyKey("0" * 32), mark=Mark(""), mail=Mail.NONE)
        start_again = (await held(world, stored.href)).series.event.start
        assert start_again.wall.fold == 1  # type: ignore[union-attr]


async def test_nothing_changed_costs_one_call() -> None:
    async with memory_world() as world:
        cursor = last_cursor(await read(world))
        world.simulator.forget_calls()
        await read(world, cursor)
        assert dict(world.simulator.calls) == {"changes": 1}


async def test_mailboxes_do_not_see_each_other() -> None:
    async with memory_world() as world:
        await create(world, meeting())
        other = CalendarRef("bela@memory.example", "calendar")
        (page,) = [page async for page in world.provider.changes(other, None, known=Known(), window=WINDOW)]
        assert page.upserts == ()
        assert len(await world.provider.calendars(MAILBOX)) == 1
