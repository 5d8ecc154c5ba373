"""Reading calendars at Exchange: each item that is named is accounted for, whatever the server leaves out."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from tests.contract.samples import STANDUP, WINDOW, at, meeting
from tests.contract.suite import gone, upserts
from tests.contract.world import last_cursor, read
from tests.ews_world import ADDRESS, EwsWorld, ews_login, ews_world
from tests.exchange_world import everything_is_valid

from gleichtakt.errors import CursorExpired, Permanent, Scope, Throttled, Transient
from gleichtakt.providers.protocol import CalendarRef, Cursor, Known
from gleichtakt.providers.registry import connect
from gleichtakt.simulators.exchange import Fault
from gleichtakt.simulators.exchange.ids import folder_id
from gleichtakt.simulators.exchange.items import move


@asynccontextmanager
async def filled(count: int, **habits: Any) -> AsyncIterator[EwsWorld]:
    """Give a world with so many single events, and the ledger empty."""
    async with ews_world(**habits) as world:
        for number in range(count):
            await world.create(meeting(number))
        yield world
        assert everything_is_valid(world.exchange)


def asked(world: EwsWorld, operation: str) -> int:
    """Count the requests of an operation."""
    return sum(entry.operation == operation for entry in world.exchange.ledger)


def fault(world: EwsWorld, do: str, operation: str, **more: Any) -> None:
    """Let something go wrong once."""
    world.exchange.faults.add(Fault(do, operation, **more))


# --- batches ----------------------------------------------------------------------------------------------------------


async def test_items_are_read_some_at_a_time_and_exceptions_with_them() -> None:
    async with filled(6) as world:
        await world.create(STANDUP)
        found = upserts(await read(world))
        assert len(found) == 7
        assert asked(world, "GetItem") == 3  # 7 items and 2 exceptions, four at a time
        series = next(one.series for one in found.values() if one.series.is_recurring)
        assert [override.event.title for override in series.overrides] == ["Standup", "Standup mit Gast"]


async def test_where_the_server_stops_in_a_batch_the_rest_is_asked_for_again() -> None:
    async with filled(4) as world:
        for place in (1, 2, 3):
            fault(world, "item", "GetItem", place=place, code="ErrorBatchProcessingStopped")
        assert len(upserts(await read(world))) == 4
        assert asked(world, "GetItem") == 2


async def test_a_batch_that_takes_the_server_too_long_is_halved() -> None:
    async with filled(4) as world:
        fault(world, "fault", "GetItem", code="ErrorTimeoutExpired")
        assert len(upserts(await read(world))) == 4
        assert asked(world, "GetItem") == 3


async def test_an_item_deleted_between_its_name_and_its_content_is_gone() -> None:
    async with filled(3) as world:
        fault(world, "item", "GetItem", place=1, code="ErrorItemNotFound")
        pages = await read(world)
        assert (len(upserts(pages)), len(gone(pages))) == (2, 1)


async def test_one_sick_item_is_unreadable_and_a_page_of_them_is_a_sick_server() -> None:
    async with filled(4) as world:
        fault(world, "item", "GetItem", place=1, code="ErrorInternalServerTransientError")
        pages = await read(world)
        assert [one.trouble.code for page in pages for one in page.unreadable] == ["ews.internal_error"]
        fault(world, "item", "GetItem", code="ErrorInternalServerTransientError")
        with pytest.raises(Transient) as raised:
            await read(world)
        assert raised.value.scope is Scope.CALENDAR


@pytest.mark.parametrize("kind", ["fault", "item"])
async def test_slow_down_is_heard_wherever_it_is_said(kind: str) -> None:
    async with filled(3) as world:
        fault(world, kind, "GetItem", code="ErrorServerBusy", back_off=90_000)
        with pytest.raises(Throttled) as raised:
            await read(world)
        assert raised.value.scope is Scope.CALENDAR  # who impersonates spends the budget of the mailbox


# --- series -----------------------------------------------------------------------------------------------------------


async def test_a_series_whose_exception_went_while_it_was_read_is_read_once_more() -> None:
    async with filled(0) as world:
        href = await world.create(STANDUP)
        fault(world, "item", "GetItem", place=0, skip=1, code="ErrorItemNotFound")
        (seen,) = upserts(await read(world)).values()
        assert seen.href == href
        assert len(seen.series.overrides) == 2


async def test_a_series_with_an_exception_nobody_can_read_is_unreadable_and_not_half_of_it() -> None:
    async with filled(0) as world:
        await world.create(STANDUP)
        fault(world, "item", "GetItem", place=0, skip=1, code="ErrorItemCorrupt")
        fault(world, "item", "GetItem", place=0, skip=3, code="ErrorItemCorrupt")
        pages = await read(world)
        assert upserts(pages) == {}
        assert [one.trouble.code for page in pages for one in page.unreadable] == ["ews.not_done"]


async def test_a_series_that_cannot_be_read_once_more_keeps_no_other_back() -> None:
    async with filled(2) as world:
        await world.create(STANDUP)
        fault(world, "item", "GetItem", place=0, skip=1, code="ErrorItemCorrupt")  # an exception
        fault(world, "item", "GetItem", place=0, skip=2, code="ErrorItemCorrupt")  # then the series itself
        pages = await read(world)
        assert len(upserts(pages)) == 2
        assert [one.trouble.code for page in pages for one in page.unreadable] == ["ews.item_corrupt"]


async def test_a_changed_occurrence_the_server_keeps_silent_about_is_found_by_the_daily_listing() -> None:
    async with filled(2) as world:
        href = await world.create(STANDUP)
        known = Known({seen.href: seen.etag for seen in upserts(await read(world)).values()})
        listed = upserts(await read(world, known=known))
        assert set(listed) == {href}  # series are read although their version is known


async def test_an_occurrence_that_was_changed_or_deleted_is_a_change_of_its_series() -> None:
    async with filled(1) as world:
        href = await world.create(STANDUP)
        cursor = last_cursor(await read(world))
        (series,) = (await world.person.read([href])).values()
        await world.person.change(href, replace(series, exdate=(*series.exdate, at(23, 9))))
        (seen,) = upserts(await read(world, cursor)).values()
        assert seen.series.exdate == (at(16, 9), at(23, 9))


# --- what else stands in a calendar -----------------------------------------------------------------------------------


async def test_what_is_moved_to_another_folder_is_gone_from_this_one() -> None:
    async with filled(2) as world:
        pages = await read(world)
        href = next(iter(upserts(pages)))
        other = world.exchange.simulator.mailbox(ADDRESS).add_folder("Archiv")
        move(world.exchange.simulator, world.person.item(href), other)
        assert gone(await read(world, last_cursor(pages))) == {href}
        assert await world.provider.fetch(world.calendar, [href]) == ()


async def test_a_mail_in_a_calendar_is_left_alone() -> None:
    async with filled(1) as world:
        cursor = last_cursor(await read(world))
        world.exchange.carry_out(
            ADDRESS,
            '<m:CreateItem MessageDisposition="SaveOnly"><m:SavedItemFolderId><t:DistinguishedFolderId Id="calendar"/>'
            "</m:SavedItemFolderId><m:Items><t:Message><t:Subject>Hallo</t:Subject></t:Message></m:Items></m:CreateItem>",
        )
        (page,) = await read(world, cursor)
        assert (page.upserts, page.gone, page.unreadable, page.final) == ((), (), (), True)


# --- calendars and positions ------------------------------------------------------------------------------------------


async def test_a_calendar_that_is_not_there_is_a_trouble_of_that_calendar() -> None:
    async with filled(0) as world:
        folder = world.exchange.simulator.mailbox(ADDRESS).add_folder("Weg")
        name = folder_id(folder)
        del world.exchange.simulator.mailbox(ADDRESS).folders[folder.number]
        with pytest.raises(Permanent) as raised:
            await anext(world.provider.changes(CalendarRef(ADDRESS, name), None, known=Known(), window=WINDOW))
        assert (raised.value.code, raised.value.scope) == ("general.calendar_missing", Scope.CALENDAR)


async def test_a_cursor_of_another_kind_is_expired() -> None:
    async with filled(0) as world:
        with pytest.raises(CursorExpired):
            await read(world, Cursor("https://example.org/sync/7"))


async def test_a_delegate_reads_the_default_calendar_of_its_owner() -> None:
    async with filled(3) as world:
        world.folder.permissions["ben@firm.example"] = "Reviewer"
        provider = connect(ews_login(world.exchange.url, access="delegate"))
        try:
            assert len(upserts(await read(world, provider=provider))) == 3
        finally:
            await provider.close()
