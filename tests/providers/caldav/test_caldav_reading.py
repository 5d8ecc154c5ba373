"""Reading CalDAV calendars: few requests, every object accounted for, nothing deleted by mistake."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from tests.caldav_world import SimulatedWorld, caldav_login, simulated_world
from tests.contract.samples import WINDOW, meeting
from tests.contract.suite import delete, held
from tests.contract.world import last_cursor, read

from gleichtakt.errors import AuthRequired, CursorExpired, Permanent, Throttled, Transient, Trouble
from gleichtakt.model import ics
from gleichtakt.providers.protocol import CalendarRef, Href, Known, Page, Seen, Stored
from gleichtakt.providers.registry import connect
from gleichtakt.simulators.caldav import Fault

VERBS = ("state", "list", "fetch")


def asked(world: SimulatedWorld) -> list[str]:
    """Give the requests so far, and forget them."""
    told = [entry["verb"] for entry in world.simulator.ledger]
    world.simulator.ledger.clear()
    return told


def found(pages: list[Page]) -> set[Href]:
    return {seen.href for page in pages for seen in page.upserts}


def unreadable(pages: list[Page]) -> Mapping[Href, str]:
    return {one.href: one.trouble.code for page in pages for one in page.unreadable}


async def filled(world: SimulatedWorld, count: int) -> list[Href]:
    return [await world.create(meeting(number)) for number in range(count)]


# --- how much a look costs --------------------------------------------------------------------------------------------


async def test_nothing_changed_costs_one_small_request() -> None:
    async with simulated_world() as world:
        await filled(world, 3)
        cursor = last_cursor(await read(world))
        asked(world)
        await read(world, cursor)
        (entry,) = world.simulator.ledger
        assert (entry["verb"], entry["depth"]) == ("state", "0")
        assert "getctag" in entry["body"]
        assert "sync-token" not in entry["body"]


async def test_without_a_ctag_the_token_is_asked_at_once() -> None:
    async with simulated_world(ctag=False) as world:
        await filled(world, 3)
        cursor = last_cursor(await read(world))
        asked(world)
        assert (await read(world, cursor))[-1].final
        assert asked(world) == ["list"]


async def test_changes_cost_three_requests_however_many_they_are() -> None:
    async with simulated_world() as world:
        hrefs = await filled(world, 8)
        cursor = last_cursor(await read(world))
        for href in hrefs[:5]:
            await world.edit(href, {"title": "neu"})
        asked(world)
        assert found(await read(world, cursor)) == set(hrefs[:5])
        assert asked(world) == ["state", "list", "fetch"]


async def test_our_own_writes_are_not_read_again() -> None:
    async with simulated_world() as world:
        hrefs = await filled(world, 4)
        cursor = last_cursor(await read(world))
        await world.edit(hrefs[0], {"title": "unser"})
        etag = world.simulator.etag(world.folder.things[hrefs[0].rpartition("/")[2]])
        asked(world)
        pages = await read(world, cursor, known=Known({hrefs[0]: etag}))
        assert found(pages) == set()
        assert asked(world) == ["state", "list"]


async def test_versions_are_looked_up_only_for_what_changed() -> None:
    async with simulated_world() as world:
        hrefs = await filled(world, 4)
        cursor = last_cursor(await read(world))
        looked_up: list[Href] = []

        async def look_up(wanted: Sequence[Href]) -> dict[str, str]:
            looked_up.extend(wanted)
            return {href: world.simulator.etag(world.folder.things[href.rpartition("/")[2]]) for href in wanted}

        assert found(await read(world, cursor, known=Known(look_up=look_up))) == set()
        assert looked_up == []
        await world.edit(hrefs[0], {"title": "unser"})
        asked(world)
        assert found(await read(world, cursor, known=Known(look_up=look_up))) == set()
        assert looked_up == [hrefs[0]]
        assert asked(world) == ["state", "list"]


async def test_known_versions_are_not_fetched_in_a_listing() -> None:
    async with simulated_world() as world:
        await filled(world, 12)
        known = Known({seen.href: seen.etag for page in await read(world) for seen in page.upserts})
        asked(world)
        pages = await read(world, known=known)
        assert found(pages) == set()
        assert {href for page in pages for href in page.unchanged} == await world.hrefs()
        assert asked(world) == ["state", "list"]


async def test_tasks_in_a_calendar_are_passed_over() -> None:
    async with simulated_world() as world:
        (href,) = await filled(world, 1)
        world.put("todo.ics", "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VTODO\r\nUID:t\r\nEND:VTODO\r\nEND:VCALENDAR\r\n")
        pages = await read(world)
        assert found(pages) == {href}
        assert unreadable(pages) == {}


# --- answers that are not whole ---------------------------------------------------------------------------------------


async def test_pro_02_a_silent_cap_on_objects_is_noticed_and_made_good() -> None:
    async with simulated_world() as world:
        hrefs = await filled(world, 10)
        world.simulator.faults.add(Fault("cap", "fetch", count=4, times=2))
        assert found(await read(world)) == set(hrefs)
        assert unreadable(await read(world)) == {}


async def test_pro_02_a_multiget_that_breaks_off_is_asked_again() -> None:
    async with simulated_world() as world:
        hrefs = await filled(world, 10)
        world.simulator.faults.add(Fault("garbage", "fetch", body="<D:multistatus", times=1))
        assert found(await read(world)) == set(hrefs)


async def test_pro_02_a_listing_that_breaks_off_has_no_end() -> None:
    async with simulated_world(sync=False) as world:
        await filled(world, 10)
        world.simulator.faults.add(Fault("garbage", "list", body='<?xml version="1.0"?><D:multistatus xmlns:D="DAV:">'))
        with pytest.raises(Transient):
            await read(world)


async def test_a_report_cut_by_the_server_goes_on_from_its_token() -> None:
    async with simulated_world(page=3) as world:
        hrefs = await filled(world, 10)
        pages = await read(world)
        assert found(pages) == set(hrefs)
        cursor = last_cursor(pages)
        for href in hrefs:
            await world.edit(href, {"title": "neu"})
        pages = await read(world, cursor)
        assert found(pages) == set(hrefs)
        assert [page.final for page in pages].count(True) == 1
        rest = await read(world, pages[0].next)
        assert found(pages[:1]) | found(rest) == set(hrefs)


async def test_pro_01_a_token_that_expires_between_two_parts_is_an_expired_cursor() -> None:
    async with simulated_world(page=3) as world:
        hrefs = await filled(world, 10)
        cursor = last_cursor(await read(world))
        for href in hrefs:
            await world.edit(href, {"title": "neu"})
        pages: list[Page] = []
        with pytest.raises(CursorExpired):
            async for page in world.provider.changes(world.calendar, cursor, known=Known(), window=WINDOW):
                pages.append(page)
                await world.expire_cursors()
        assert not any(page.final for page in pages)


@pytest.mark.parametrize("status", [400, 403, 409, 410, 412, 418, 500])
async def test_pro_01_whatever_a_server_says_to_an_old_token_leads_to_a_listing(status: int) -> None:
    async with simulated_world(ctag=False) as world:
        (href,) = await filled(world, 1)
        cursor = last_cursor(await read(world))
        world.simulator.faults.add(Fault("status", "list", status=status))
        with pytest.raises(CursorExpired):
            await read(world, cursor)
        assert found(await read(world)) == {href}


async def test_a_server_that_only_promises_sync_collection_is_listed_all_the_same() -> None:
    async with simulated_world() as world:
        (href,) = await filled(world, 1)
        world.simulator.faults.add(Fault("status", "list", status=501, times=2))
        pages = await read(world)
        assert found(pages) == {href}
        assert pages[-1].final


async def test_a_foreign_cursor_is_an_expired_one() -> None:
    async with simulated_world() as world:
        with pytest.raises(CursorExpired):
            await read(world, last_cursor([Page(next="something else")]))  # type: ignore[arg-type]


# --- objects that cannot be read --------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [403, 500])
async def test_del_03_an_object_that_is_not_given_is_neither_gone_nor_the_end(status: int) -> None:
    async with simulated_world() as world:
        hrefs = await filled(world, 9)
        world.simulator.faults.add(Fault("item", "fetch", path=hrefs[3], status=status, times=-1))
        pages = await read(world)
        assert unreadable(pages) == {hrefs[3]: "caldav.not_given"}
        assert found(pages) == set(hrefs) - {hrefs[3]}
        assert pages[-1].final
        again = await world.provider.fetch(world.calendar, [hrefs[3]])
        assert [one.href for one in again] == [hrefs[3]]


async def test_del_03_a_server_that_gives_nothing_is_sick_not_empty() -> None:
    async with simulated_world() as world:
        await filled(world, 9)
        world.simulator.faults.add(Fault("status", "fetch", status=500, times=-1))
        with pytest.raises(Transient):
            await read(world)


async def test_bad_01_a_control_character_costs_one_warning() -> None:
    async with simulated_world() as world:
        hrefs = await filled(world, 5)
        await world.edit(hrefs[2], {"title": "vor§nach"})
        world.simulator.faults.add(Fault("spoil", "fetch", body="§"))
        pages = await read(world)
        seen = {one.href: one.series for page in pages for one in page.upserts}
        assert set(seen) == set(hrefs)
        assert seen[hrefs[2]].event.title.replace("�", "") == "vornach"
        assert {href for href, series in seen.items() if "caldav.control_characters" in series.warnings} == {hrefs[2]}


async def test_bad_02_ten_broken_of_fifty_cost_ten() -> None:
    async with simulated_world() as world:
        hrefs = await filled(world, 50)
        broken = hrefs[::5]
        for href in broken:
            await world.spoil(href)
        pages = await read(world)
        assert set(unreadable(pages)) == set(broken)
        assert found(pages) == set(hrefs) - set(broken)
        assert pages[-1].final
        for one in (one for page in pages for one in page.unreadable):
            assert one.trouble.cause("de") != one.trouble.code
            assert b"BEGIN:VCALENDAR" in one.raw


async def test_two_events_in_one_object_are_unreadable_together() -> None:
    async with simulated_world() as world:
        one, other = world.text(await world.create(meeting(1))), world.text(await world.create(meeting(2)))
        second = other[other.index("BEGIN:VEVENT") : other.index("END:VCALENDAR")]
        world.simulator.habits.unique_uids = False
        href = world.put("both.ics", one.replace("END:VCALENDAR", second + "END:VCALENDAR").replace("meeting-1@", "third@"))
        assert unreadable(await read(world)) == {href: "caldav.several_uids"}


async def test_dup_06_a_copy_made_by_a_person_still_shows_our_mark_under_another_name() -> None:
    async with simulated_world(unique_uids=False) as world:
        href = world.put("a.ics", world.text(await world.create(meeting())).replace("SUMMARY", "X-GLEICHTAKT:i/l/s\r\nSUMMARY"))
        assert (await held(world, href)).marker == "i/l/s"


async def test_who_organizes_is_told_by_the_addresses_the_server_knows() -> None:
    async with simulated_world() as world:
        text = world.text(await world.create(meeting()))
        people = "ORGANIZER:mailto:{0}\r\nATTENDEE;PARTSTAT=DECLINED:mailto:SYNC@caldav.example\r\nSUMMARY"
        other = world.put("o.ics", text.replace("SUMMARY", people.format("boss@x.example")).replace("meeting-1@", "o@"))
        own = world.put("m.ics", text.replace("SUMMARY", people.format("sync@caldav.example")).replace("meeting-1@", "m@"))
        assert (await held(world, other)).is_organizer is False
        assert (await held(world, other)).response == "declined"
        assert (await held(world, own)).is_organizer is True
        assert (await held(world, own)).response == "organizer"


# --- failures of the whole --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault("status", status=500), Transient),
        (Fault("status", status=502), Transient),
        (Fault("status", status=403), Permanent),
        (Fault("status", status=404), Permanent),
        (Fault("status", status=503, headers={"Retry-After": "120"}), Throttled),
        (Fault("status", status=200, body="<html>Sign in</html>"), Transient),
        (Fault("status", status=207, body=""), Transient),
        (Fault("garbage", body="<html>Sign in</html>"), Transient),
        (Fault("lost"), Transient),
        (Fault("cut"), Transient),
    ],
    ids=lambda value: f"{value.do}-{value.status}" if isinstance(value, Fault) else "",
)
@pytest.mark.parametrize("verb", ["state", "list"])
async def test_del_01_no_failure_looks_like_an_empty_calendar(fault: Fault, kind: type[Trouble], verb: str) -> None:
    async with simulated_world(sync=False) as world:
        await filled(world, 3)
        world.simulator.faults.add(Fault(**{**_fields(fault), "verb": verb}))
        pages: list[Page] = []
        with pytest.raises(kind):
            async for page in world.provider.changes(world.calendar, None, known=Known(), window=WINDOW):
                pages.append(page)
        assert not any(page.final for page in pages)


def _fields(fault: Fault) -> dict[str, Any]:
    return {name: getattr(fault, name) for name in ("do", "status", "headers", "body", "count")}


async def test_a_calendar_that_became_a_folder_is_not_an_empty_calendar() -> None:
    async with simulated_world() as world:
        with pytest.raises(Permanent) as raised:
            provider = world.provider.changes(CalendarRef("", "/dav/sync/"), None, known=Known(), window=WINDOW)
            [page async for page in provider]
        assert raised.value.code == "caldav.not_a_calendar"


async def test_aut_03_a_wrong_password_is_tried_once() -> None:
    async with simulated_world() as world:
        provider = connect(caldav_login(world.running.url, password="wrong"))
        with pytest.raises(AuthRequired):
            [page async for page in provider.changes(world.calendar, None, known=Known(), window=WINDOW)]
        await provider.close()
        assert world.simulator.refused_logins == 1


@pytest.mark.parametrize("name", ["grüße & mehr.ics", "50%.ics", "a b+c;d=e,f.ics", "🗓.ics", "[x]{y}.ics"])
async def test_an_object_is_found_again_under_a_strange_name(name: str) -> None:
    async with simulated_world() as world:
        world.put(name, ics.write_calendar([meeting()]).decode())
        ((seen,),) = [page.upserts for page in await read(world)]
        (again,) = await world.provider.fetch(world.calendar, [seen.href])
        assert isinstance(again, Seen)
        assert again.series == seen.series
        await delete(world, Stored(seen.href, seen.etag))
        assert await world.hrefs() == frozenset()
