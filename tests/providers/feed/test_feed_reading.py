"""Feeds: which event is which without lasting names, what a vanished event means, and how often a publisher is asked."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from tests.contract.samples import WINDOW, meeting
from tests.feed_world import FeedWorld, feed_login, feed_world, listing

from gleichtakt.errors import AuthRequired, CursorExpired, Permanent, Throttled, Transient, Trouble
from gleichtakt.providers.feed import Feed
from gleichtakt.providers.protocol import CalendarRef, Known, Page
from gleichtakt.providers.registry import connect
from gleichtakt.simulators.feed import Fault, Item, start

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


def upserted(pages: list[Page]) -> list[str]:
    return [seen.series.event.title for page in pages for seen in page.upserts]


def timed(number: int, begin: datetime, title: str = "") -> Item:
    """Give an hour in UTC."""
    lines = (f"DTSTART:{begin:%Y%m%dT%H%M%SZ}", f"DTEND:{begin + timedelta(hours=1):%Y%m%dT%H%M%SZ}")
    return Item(f"{number}@feed", (*lines, f"SUMMARY:{title or f'Termin {number}'}"), begin + timedelta(hours=1))


async def gone(world: FeedWorld, known: Mapping[str, str]) -> tuple[set[str], dict[str, str], list[Page]]:
    """Read again; give what went away, what is known now, and the pages."""
    pages, after = await listing(world.provider, None, known)
    return set(known) - set(after), after, pages


# --- DUP-05 -----------------------------------------------------------------------------------------------------------


async def test_dup_05_new_uids_at_each_download_make_no_new_events() -> None:
    async with feed_world() as world:
        world.feed.fresh_uids = True
        world.feed.items = [timed(number, NOW + timedelta(hours=number)) for number in range(300)]
        _, known = await listing(world.provider)
        for _ in range(4):
            vanished, known, pages = await gone(world, known)
            assert vanished == set()
            assert upserted(pages) == []
        world.feed.items.append(timed(999, NOW + timedelta(days=40), "neu"))
        vanished, known, pages = await gone(world, known)
        assert (vanished, upserted(pages)) == (set(), ["neu"])
        assert len(known) == 301


async def test_dup_05_the_reader_is_told_that_identifiers_do_not_last() -> None:
    async with feed_world() as world:
        world.feed.fresh_uids = True
        world.feed.items = [timed(number, NOW + timedelta(hours=number)) for number in range(10)]
        _, known = await listing(world.provider)
        world.feed.items[3] = Item("x", (*world.feed.items[3].lines, "LOCATION:Neu"), world.feed.items[3].ends)
        _, _, pages = await gone(world, known)
        (seen,) = [seen for page in pages for seen in page.upserts]
        assert "feed.unstable_uids" in seen.series.warnings
        assert seen.href in known
        assert seen.series.uid == seen.href.partition(":")[2]


async def test_dup_05_equal_events_are_counted_not_merged() -> None:
    async with feed_world() as world:
        world.feed.fresh_uids = True
        world.feed.items = [timed(number, NOW, "Zwilling") for number in range(3)]
        _, known = await listing(world.provider)
        assert len(known) == 3
        world.feed.items.pop()
        vanished, known, pages = await gone(world, known)
        assert (len(vanished), upserted(pages)) == (1, [])
        world.feed.items += [timed(7, NOW, "Zwilling"), timed(8, NOW, "Zwilling")]
        vanished, known, pages = await gone(world, known)
        assert (len(vanished), len(known), len(upserted(pages))) == (0, 4, 2)


async def test_dup_07_an_event_with_a_lasting_uid_may_change_altogether() -> None:
    async with feed_world() as world:
        href = await world.create(meeting())
        _, known = await listing(world.provider)
        for changes in (
            {"title": "Anders"},
            {"location": "Dort"},
            {"start": meeting(9).event.start, "end": meeting(9).event.end},
        ):
            await world.edit(href, changes)
            vanished, known, pages = await gone(world, known)
            assert (vanished, list(known)) == (set(), [href])
            assert len(upserted(pages)) == 1


async def test_an_event_is_found_by_name_in_another_process_even_with_a_new_uid() -> None:
    async with feed_world() as world:
        world.feed.fresh_uids = True
        world.feed.items = [timed(1, NOW)]
        _, known = await listing(world.provider)
        (found,) = await (await world.reconnect()).fetch(CalendarRef(""), list(known))  # type: ignore[arg-type]
        assert found.href in known


async def test_what_is_not_found_is_gone_only_for_who_read_the_whole_file() -> None:
    async with feed_world() as world:
        href = await world.create(meeting(1))
        other = await world.create(meeting(2))
        await listing(world.provider)
        await world.delete(href)
        (unsure,) = await world.provider.fetch(CalendarRef(""), [href])
        assert unsure.trouble.code == "feed.look_later"  # type: ignore[union-attr]
        await listing(world.provider, None, {other: ""})
        assert await world.provider.fetch(CalendarRef(""), [href]) == ()


# --- DEL-05 -----------------------------------------------------------------------------------------------------------


async def test_del_05_a_feed_that_forgets_the_past_deletes_nothing_but_what_was_cancelled() -> None:
    async with feed_world() as world:
        world.feed.rolls_after = timedelta(days=30)
        cancelled = timed(500, NOW + timedelta(days=60), "abgesagt")
        world.feed.items = [timed(number, NOW + timedelta(days=number)) for number in range(-29, 120)] + [cancelled]
        known: dict[str, str] = {}
        vanished: set[str] = set()
        for day in range(0, 91, 5):
            if day == 45:
                world.feed.items.remove(cancelled)
            with time_machine.travel(NOW + timedelta(days=day), tick=True):
                lost, known, _ = await gone(world, known)
                vanished |= lost
        assert [href.partition(":")[2] for href in vanished] == ["500@feed"]
        assert len(known) == 149


async def test_del_05_a_yearly_birthday_does_not_date_the_feed_back() -> None:
    async with feed_world() as world:
        birthday = Item("b@feed", ("DTSTART;VALUE=DATE:19600401", "RRULE:FREQ=YEARLY", "SUMMARY:Geburtstag"))
        old, new = timed(1, NOW - timedelta(days=90)), timed(2, NOW)
        world.feed.items = [birthday, old, new]
        _, known = await listing(world.provider)
        world.feed.items = [birthday, new]
        vanished, known, _ = await gone(world, known)
        assert (vanished, len(known)) == (set(), 3)


async def test_del_05_a_past_event_withdrawn_from_the_middle_is_deleted() -> None:
    async with feed_world() as world:
        world.feed.items = [timed(number, NOW - timedelta(days=number)) for number in (30, 20, 10)]
        _, known = await listing(world.provider)
        del world.feed.items[1]
        vanished, _, _ = await gone(world, known)
        assert [href.partition(":")[2] for href in vanished] == ["20@feed"]


# --- failed downloads -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tells_length", [True, False])
@pytest.mark.parametrize("packed", [False, True])
async def test_bad_07_a_download_cut_anywhere_deletes_and_changes_nothing(tells_length: bool, packed: bool) -> None:
    random.seed(7)
    async with feed_world() as world:
        world.feed.items = [timed(number, NOW + timedelta(hours=number)) for number in range(40)]
        world.feed.packed = packed
        pages, known = await listing(world.provider)
        cursor = pages[-1].next
        world.feed.items.append(timed(99, NOW + timedelta(days=9)))
        for at in [random.random() * 0.99 for _ in range(25)]:
            world.simulator.faults.add(Fault("cut", at=at, tells_length=tells_length))
            with pytest.raises((Transient, Permanent)):
                await listing(world.provider, cursor, known)
        pages, after = await listing(world.provider, cursor, known)
        assert upserted(pages) == ["Termin 99"]
        assert len(after) == 41


@pytest.mark.parametrize(
    ("status", "body", "kind", "code"),
    [
        (500, "", Transient, "general.server_error"),
        (403, "", Permanent, "general.forbidden"),
        (404, "", Permanent, "feed.gone"),
        (410, "", Permanent, "feed.gone"),
        (401, "", AuthRequired, "general.login_refused"),
        (429, "", Throttled, "general.throttled"),
        (200, "<html>Sign in</html>", Transient, "feed.not_a_calendar"),
        (200, "", Transient, "feed.not_a_calendar"),
        (200, "BEGIN:VCALENDAR\r\nVERSION:2.0\r\n", Transient, "feed.truncated"),
        (206, "", Transient, "general.malformed"),
    ],
)
async def test_del_01_no_failure_looks_like_an_empty_feed(status: int, body: str, kind: type[Trouble], code: str) -> None:
    async with feed_world() as world:
        await world.create(meeting())
        pages, known = await listing(world.provider)
        world.simulator.faults.add(Fault("status", status=status, body=body))
        with pytest.raises(kind) as raised:
            await listing(world.provider, pages[-1].next, known)
        assert raised.value.code == code
        assert raised.value.remedy("de")


async def test_bad_02_broken_events_are_listed_and_the_others_read() -> None:
    async with feed_world() as world:
        world.feed.items = [timed(number, NOW + timedelta(hours=number)) for number in range(100)]
        for number in (0, 50, 99):
            world.feed.items[number] = Item(f"{number}@feed", ("DTSTART:never", "SUMMARY:kaputt"))
        pages, _ = await listing(world.provider)
        assert len(upserted(pages)) == 97
        broken = [one for page in pages for one in page.unreadable]
        assert sorted(one.href for one in broken) == ["broken:0@feed", "broken:50@feed", "broken:99@feed"]
        (again,) = await world.provider.fetch(CalendarRef(""), [broken[0].href])
        assert again.href == broken[0].href


# --- size -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("says_packed", [True, False])
async def test_a_packed_feed_is_read_even_where_it_does_not_say_so(says_packed: bool) -> None:
    async with feed_world() as world:
        world.feed.items, world.feed.packed, world.feed.says_packed = [timed(1, NOW)], True, says_packed
        assert upserted((await listing(world.provider))[0]) == ["Termin 1"]


async def test_scl_02_a_compression_bomb_is_not_unpacked() -> None:
    async with feed_world(max_megabytes="200") as world:
        world.feed.items, world.feed.packed, world.feed.bomb = [timed(1, NOW)], True, 20
        with pytest.raises(Permanent) as raised:
            await listing(world.provider)
        assert raised.value.code == "feed.bomb"


@pytest.mark.parametrize("packed", [True, False])
async def test_scl_02_a_feed_beyond_its_limit_is_refused_with_the_figure(packed: bool) -> None:
    async with feed_world(max_megabytes="1") as world:
        world.feed.packed = packed
        world.feed.items = [timed(number, NOW, str(random.random()) * 20) for number in range(4_000)]
        with pytest.raises(Permanent) as raised:
            await listing(world.provider)
        assert raised.value.code == "feed.too_large"
        assert "1 MB" in raised.value.cause("de")


async def test_scl_02_an_unchanged_feed_costs_no_parse(monkeypatch: pytest.MonkeyPatch) -> None:
    async with feed_world() as world:
        world.feed.items = [timed(number, NOW) for number in range(10)]
        world.feed.etags = world.feed.dates = False  # no conditions: the whole file comes again
        pages, known = await listing(world.provider)
        provider = await world.reconnect()
        assert isinstance(provider, Feed)
        again, _ = await listing(provider, pages[-1].next, known)
        assert [(page.final, page.is_listing) for page in again] == [(True, False)]
        assert provider._read is None


# --- asking seldom ----------------------------------------------------------------------------------------------------


async def test_scl_03_many_readers_of_one_address_ask_once() -> None:
    async with start() as running:
        running.simulator.feed("calendar").items = [timed(1, NOW)]
        url = running.address("calendar")
        spellings = [url, url.upper().replace("/FEEDS/CALENDAR.ICS", "/feeds/calendar.ics"), url + "#today"]
        options = {"min_interval_seconds": "300", "max_interval_seconds": "300", "private_hosts": "127.0.0.1"}
        providers = [connect(feed_login(spellings[number % 3], **options)) for number in range(100)]
        results = await asyncio.gather(*(listing(provider) for provider in providers))
        assert [upserted(pages) for pages, _ in results] == [["Termin 1"]] * 100
        again = [
            await listing(provider, pages[-1].next, known) for provider, (pages, known) in zip(providers, results, strict=True)
        ]
        for provider in providers:
            await provider.close()
        assert len(running.simulator.ledger) == 1
        assert all(not pages[0].is_listing for pages, _ in again)


async def test_scl_03_being_asked_to_wait_holds_for_all_readers() -> None:
    async with start() as running:
        running.simulator.feed("calendar")
        running.simulator.faults.add(Fault("status", status=429, headers={"Retry-After": "60"}))
        providers = [connect(feed_login(running.address("calendar"))) for _ in range(3)]
        for provider in providers:
            with pytest.raises(Throttled):
                await listing(provider)
            await provider.close()
        assert len(running.simulator.ledger) == 1


@pytest.mark.parametrize(("etags", "dates"), [(True, False), (False, True)])
async def test_an_unchanged_feed_is_asked_with_a_condition(etags: bool, dates: bool) -> None:
    async with feed_world() as world:
        world.feed.items, world.feed.etags, world.feed.dates = [timed(1, NOW)], etags, dates
        pages, known = await listing(world.provider)
        again, _ = await listing(await world.reconnect(), pages[-1].next, known)
        assert [(page.final, page.upserts) for page in again] == [(True, ())]
        assert world.simulator.ledger[-1]["status"] == 304


async def test_the_publishers_wish_is_respected_within_the_limits() -> None:
    async with feed_world(min_interval_seconds="1", max_interval_seconds="3600") as world:
        world.feed.head = ("X-PUBLISHED-TTL:PT12H",)
        with time_machine.travel(NOW, tick=False) as clock:
            world.provider.fetcher.shelf.clock = lambda: clock_seconds(clock)  # type: ignore[attr-defined]
            try:
                for seconds in (0, 1800, 3500):
                    clock.move_to(NOW + timedelta(seconds=seconds))
                    await listing(world.provider)
                assert len(world.simulator.ledger) == 1
                clock.move_to(NOW + timedelta(seconds=3601))
                await listing(world.provider)
                assert len(world.simulator.ledger) == 2
            finally:
                import time

                world.provider.fetcher.shelf.clock = time.monotonic  # type: ignore[attr-defined]


def clock_seconds(_clock: object) -> float:
    return datetime.now(UTC).timestamp()


# --- the rest ---------------------------------------------------------------------------------------------------------


async def test_a_changed_file_without_what_is_known_asks_for_it() -> None:
    async with feed_world() as world:
        await world.create(meeting(1))
        pages, _ = await listing(world.provider)
        await world.create(meeting(2))
        with pytest.raises(CursorExpired):
            found = world.provider.changes(CalendarRef(""), pages[-1].next, known=Known(), window=WINDOW)
            [page async for page in found]


async def test_a_feed_has_the_name_its_publisher_gave_it_and_is_read_only() -> None:
    async with feed_world() as world:
        world.feed.head = ("X-WR-CALNAME:Belegung\\, Raum 3",)
        (calendar,) = await world.provider.calendars("")
        assert (calendar.name, calendar.can_write, calendar.is_default) == ("Belegung, Raum 3", False, True)


@pytest.mark.parametrize("allowed", ["", "/nowhere"])
async def test_local_files_are_read_only_where_that_is_allowed(tmp_path: object, allowed: str) -> None:
    from pathlib import Path

    file = Path(str(tmp_path)) / "feed.ics"
    file.write_text("BEGIN:VCALENDAR\r\nVERSION:2.0\r\nEND:VCALENDAR\r\n")
    provider = connect(feed_login(file.as_uri(), files_below=allowed))
    with pytest.raises(Permanent) as raised:
        await listing(provider)
    assert raised.value.code == "feed.file_refused"
    pages, _ = await listing(connect(feed_login(file.as_uri(), files_below=str(tmp_path))))
    assert pages[-1].final


async def test_a_private_address_needs_leave() -> None:
    async with start() as running:
        running.simulator.feed("calendar")
        provider = connect(feed_login(running.address("calendar"), private_hosts=""))
        with pytest.raises(Permanent) as raised:
            await listing(provider)
        await provider.close()
        assert raised.value.code == "general.private_address"


async def test_a_feed_behind_a_password_is_read_with_it() -> None:
    async with start() as running:
        running.simulator.feed("calendar").items = [timed(1, NOW)]
        running.simulator.accounts["reader"] = "secret"
        provider = connect(feed_login(running.address("calendar"), password="secret"))
        assert upserted((await listing(provider))[0]) == ["Termin 1"]
        await provider.close()
