"""Writing to Exchange: step by step, at a version, only what was meant, and without a mail to anybody."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import pytest
from tests.contract.samples import ALL_DAY, BIRTHDAY, INVITED, RICH, STANDUP, TWICE, at, meeting
from tests.contract.suite import MARK, create, delete, held, key, update, with_title
from tests.ews_world import EwsWorld, ews_world
from tests.exchange_world import everything_is_valid

from gleichtakt.errors import Ambiguous, Permanent, Scope, Transient
from gleichtakt.model.event import Override, Series
from gleichtakt.model.point import Day, shifted
from gleichtakt.model.recurrence import occurrence_event
from gleichtakt.providers.protocol import Mail, Mark
from gleichtakt.simulators.exchange import Fault
from gleichtakt.simulators.exchange.items import copy
from gleichtakt.simulators.exchange.zones import known


@asynccontextmanager
async def valid_world(*given: str, **habits: Any) -> AsyncIterator[EwsWorld]:
    """Give a world in which every request and answer is held against the schema, and nobody gets a mail."""
    async with ews_world(*given, **habits) as world:
        yield world
        assert everything_is_valid(world.exchange)
        assert await world.mails() == 0


def asked(world: EwsWorld) -> list[str]:
    """Give the operations that were asked for since the ledger was cleared."""
    return [entry.operation for entry in world.exchange.ledger if entry.operation]


def moved(series: Series, slot: Any, by: timedelta) -> Override:
    """Give an occurrence at another time."""
    plain = occurrence_event(series.event, slot)
    return Override(slot, replace(plain, start=shifted(plain.start, by), end=shifted(plain.end, by)))


#: Daily on the first days of March 2026.
DAILY = replace(STANDUP, rrule="FREQ=DAILY;COUNT=8", exdate=(), overrides=())


# --- a whole life -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["2007_SP1", "2010", "2013", "2016", "SE"])
async def test_what_is_sent_to_each_version_of_exchange_is_what_it_understands(version: str) -> None:
    async with valid_world("own", "basic", version=version) as world:
        for number, series in enumerate((RICH, STANDUP, ALL_DAY, BIRTHDAY, INVITED, TWICE), 1):
            stored = await create(world, series, number)
            base = (await held(world, stored.href)).series
            assert (base.event.start, base.exdate, len(base.overrides)) == (
                series.event.start,
                series.exdate,
                len(series.overrides),
            )
            later = replace(base, event=replace(base.event, title="Neu", location="Dort", description="Kurz"))
            again = await update(world, stored, base, later, "title", "location", "description", number=number + 50)
            there = (await held(world, stored.href)).series.event
            assert (there.title, there.location, there.description) == ("Neu", "Dort", "Kurz")
            await delete(world, again)
        assert await world.hrefs() == frozenset()


async def test_one_field_of_a_single_event_is_two_requests() -> None:
    async with valid_world() as world:
        stored = await create(world, RICH)
        base = (await held(world, stored.href)).series
        world.exchange.ledger.clear()
        await update(world, stored, base, with_title(base, "neu"), "title")
        assert asked(world) == ["UpdateItem", "GetItem"]


async def test_nobody_is_written_to_unless_asked_for() -> None:
    async with ews_world() as world:
        await create(world, INVITED)
        assert await world.mails() == 0
        await create(world, replace(INVITED, uid="second@contract.example"), 2, mail=Mail.EXTERNAL)
        assert await world.mails() == 0  # Exchange cannot choose among the invited
        await create(world, replace(INVITED, uid="third@contract.example"), 3, mail=Mail.ALL)
        assert await world.mails() > 0


async def test_what_is_deleted_can_be_taken_out_of_the_deleted_items() -> None:
    async with valid_world() as world:
        await delete(world, await create(world, meeting()))
        bin_ = world.exchange.simulator.mailbox(world.calendar.mailbox).at("deleteditems")
        assert [item.values["Subject"] for item in bin_.items.values()] == [meeting().event.title]


async def test_a_series_is_not_written_while_an_exception_of_it_cannot_be_read() -> None:
    async with valid_world() as world:
        stored = await create(world, STANDUP)
        world.exchange.faults.add(Fault("item", "GetItem", place=0, skip=1, code="ErrorItemCorrupt"))
        with pytest.raises(Transient):
            await update(world, stored, STANDUP, with_title(STANDUP, "neu"), "title")
        assert (await held(world, stored.href)).series.event.title == STANDUP.event.title


@pytest.mark.parametrize("what", ["delete", "update"])
async def test_a_write_before_which_the_item_cannot_be_read_is_tried_another_time(what: str) -> None:
    async with valid_world() as world:
        stored = await create(world, STANDUP)
        world.exchange.faults.add(Fault("item", "GetItem", place=0, code="ErrorItemCorrupt"))
        with pytest.raises(Transient) as raised:
            await (
                delete(world, stored) if what == "delete" else update(world, stored, STANDUP, with_title(STANDUP, "neu"), "title")
            )
        assert (raised.value.code, raised.value.scope) == ("ews.item_corrupt", Scope.SERIES)
        await delete(world, stored)
        assert await world.hrefs() == frozenset()


async def test_a_title_is_cut_where_exchange_cuts_it_and_the_answer_says_so() -> None:
    async with valid_world() as world:
        stored = await create(world, meeting(title="ä" * 300))
        assert stored.series is not None
        assert stored.series.event.title == "ä" * 255


async def test_a_body_nobody_edited_keeps_its_markup() -> None:
    async with valid_world() as world:
        html = "<html><body><p>Erste <b>fette</b> Zeile</p><p>zweite</p></body></html>"
        stored = await create(world, meeting(description="Erste fette Zeile\nzweite", html=html))
        base = (await held(world, stored.href)).series
        await update(world, stored, base, with_title(base, "neu"), "title")
        there = (await held(world, stored.href)).series.event
        assert "<b>fette</b>" in there.html
        assert there.description.split() == ["Erste", "fette", "Zeile", "zweite"]


async def test_a_day_is_a_day_in_the_zone_its_owner_works_in() -> None:
    async with valid_world() as world:
        world.exchange.simulator.mailbox(world.calendar.mailbox).zone = "Tokyo Standard Time"
        stored = await create(world, ALL_DAY)
        item = world.person.item(stored.href)
        assert item.values["StartTimeZone"] == known("Tokyo Standard Time")
        assert (await held(world, stored.href)).series.event.start == Day(date(2026, 5, 14))


# --- keys -------------------------------------------------------------------------------------------------------------


async def test_a_copy_a_person_made_is_not_taken_for_ours() -> None:
    async with valid_world() as world:
        stored = await create(world, meeting())
        item = world.person.item(stored.href)
        world.exchange.simulator.clock.offset += timedelta(minutes=1)
        copy(world.exchange.simulator, item, world.folder)
        found = await world.provider.find(world.calendar, key(), meeting().uid)
        assert found is not None
        assert found.href == stored.href


async def test_a_series_whose_creation_broke_off_has_its_key_and_not_its_end() -> None:
    async with valid_world() as world:
        world.exchange.faults.add(Fault("lost", "UpdateItem"))
        with pytest.raises(Ambiguous):
            await create(world, STANDUP)
        found = await world.provider.find(world.calendar, key(), STANDUP.uid)
        assert found is not None
        assert found.key == ""
        whole = await create(world, STANDUP)
        assert whole.href == found.href
        assert whole.series is not None
        assert (whole.series.exdate, len(whole.series.overrides)) == (STANDUP.exdate, 2)
        assert (await held(world, whole.href)).key == key()


async def test_a_series_that_cannot_be_made_whole_is_not_made_at_all() -> None:
    async with valid_world() as world:
        crossing = replace(DAILY, overrides=(moved(DAILY, at(3, 9), timedelta(days=2)),))
        with pytest.raises(Permanent) as refused:
            await create(world, crossing)
        assert refused.value.code == "ews.crossing"
        assert await world.hrefs() == frozenset()


# --- occurrences ------------------------------------------------------------------------------------------------------


async def test_occurrences_may_move_one_after_the_other_in_any_order() -> None:
    async with valid_world() as world:
        day = timedelta(days=1)
        weekly = replace(STANDUP, exdate=(), overrides=())
        stored = await create(world, replace(weekly, rrule="FREQ=DAILY;COUNT=3"))
        base = (await held(world, stored.href)).series
        shoved = tuple(moved(base, at(number, 9), day) for number in (2, 3, 4))
        await update(world, stored, base, replace(base, overrides=shoved), "recurrence")
        there = (await held(world, stored.href)).series
        assert [override.event.start for override in there.overrides] == [at(number, 9) for number in (3, 4, 5)]


async def test_what_no_pattern_holds_is_refused_before_anything_is_written() -> None:
    async with valid_world() as world:
        stored = await create(world, STANDUP)
        base = (await held(world, stored.href)).series
        (first, *rest), week = base.overrides, timedelta(days=7)
        crossing = replace(
            base, event=replace(base.event, title="Neu"), overrides=(moved(base, first.recurrence_id, week), *rest)
        )
        with pytest.raises(Permanent) as refused:
            await update(world, stored, base, crossing, "title", "recurrence")
        assert refused.value.code == "recurrence.order"
        assert (await held(world, stored.href)).etag == stored.etag


async def test_what_we_were_not_shown_of_an_exception_survives_a_new_hour_of_the_series() -> None:
    async with valid_world() as world:
        stored = await create(world, STANDUP)
        base = (await held(world, stored.href)).series
        first = replace(base.overrides[0], event=replace(base.overrides[0].event, location="Geheim"))
        await world.person.change(stored.href, replace(base, overrides=(first, base.overrides[1])))
        now = await held(world, stored.href)
        hour = timedelta(hours=1)

        def later(event: Any) -> Any:
            return replace(event, start=shifted(event.start, hour), end=shifted(event.end, hour))

        new = replace(
            base,
            event=later(base.event),
            exdate=tuple(shifted(point, hour) for point in base.exdate),
            overrides=tuple(Override(shifted(one.recurrence_id, hour), later(one.event)) for one in base.overrides),
        )
        await update(world, replace(stored, etag=now.etag), base, new, "start", "end", "recurrence")
        there = (await held(world, stored.href)).series
        assert there.event.start == at(2, 10)
        assert there.exdate == (at(16, 10),)
        assert [one.event.location for one in there.overrides] == ["Geheim", ""]
        assert [one.event.title for one in there.overrides] == ["Standup", "Standup mit Gast"]


async def test_an_occurrence_comes_back_and_the_other_exceptions_stay() -> None:
    async with valid_world() as world:
        stored = await create(world, STANDUP)
        base = (await held(world, stored.href)).series
        await update(world, stored, base, replace(base, exdate=(), overrides=base.overrides[:1]), "recurrence")
        there = (await held(world, stored.href)).series
        assert there.exdate == ()
        assert there.overrides == base.overrides[:1]


async def test_an_update_leaves_its_key_and_touches_no_mark_but_one_that_moves() -> None:
    async with valid_world() as world:
        href = await world.create(meeting())
        seen = await held(world, href)
        assert (seen.marker, seen.key) == ("", "")
        for number, mark, stands in ((7, MARK, ""), (8, Mark("epoch/link/series/slot", moves=True), "epoch/link/series/slot")):
            await world.provider.update(
                world.calendar,
                href,
                expect=seen.etag,
                base=seen.series,
                new=with_title(seen.series, f"unseres {number}"),
                fields=frozenset({"title"}),
                key=key(number),
                mark=mark,
                mail=Mail.NONE,
            )
            seen = await held(world, href)
            assert (seen.marker, seen.key) == (stands, key(number))
