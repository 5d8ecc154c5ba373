"""What sync relies on, for every provider alike. The test names are the contract.

A provider joins with a class of its own that names its world; which tests apply follows from its abilities and its
world's tricks, and an exemption carries its reason:

    class TestCalDAV(ProviderContract):
        start = staticmethod(caldav_world)
        abilities = CalDAV.abilities
        tricks = ALL_TRICKS & ~Trick.THROTTLE
        exempt = {"test_a_listing_can_be_resumed_after_any_page": "RFC 6578 has no resumable listing"}
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

import pytest
from tests.contract import samples
from tests.contract.samples import ALL_DAY, HOLIDAY, INVITED, RICH, STANDUP, at, meeting
from tests.contract.world import Trick, World, last_cursor, read

from gleichtakt.errors import (
    Ambiguous,
    AuthRequired,
    Conflict,
    CursorExpired,
    Gone,
    Language,
    Permanent,
    Throttled,
    Transient,
    Trouble,
)
from gleichtakt.model.event import Event, Override, Series
from gleichtakt.model.exchange_pattern import to_pattern
from gleichtakt.model.point import Zoned
from gleichtakt.providers.protocol import (
    Abilities,
    Ability,
    Href,
    IdempotencyKey,
    Known,
    Mail,
    Mark,
    Page,
    Provider,
    Seen,
    Stored,
)

MARK = Mark("instance/link/series")
NO_ABILITY, NO_TRICK = Ability(0), Trick(0)
LANGUAGES: tuple[Language, ...] = ("de", "en")
Test = Callable[..., Any]


def needs(ability: Ability = NO_ABILITY, trick: Trick = NO_TRICK, field: str = "", zone: str = "") -> Callable[[Test], Test]:
    """Say what a provider and its world must be able to do for this test to concern them."""

    def mark(test: Test) -> Test:
        test.needs = (ability, trick, field, zone)  # type: ignore[attr-defined]
        return test

    return mark


def key(number: int = 1) -> IdempotencyKey:
    """Give an idempotency key."""
    return IdempotencyKey(f"{number:032x}")


def meaning(series: Series, abilities: Abilities) -> Any:
    """Give the rule as the system can hold it: by its text, or by the pattern that has the same days."""
    return to_pattern(series.rrule, series.event.start) if abilities.recurrence == "exchange" and series.rrule else series.rrule


def comparable(series: Series, abilities: Abilities) -> dict[str, Any]:
    """Give what must be equal after a round trip: the fields the provider says it holds, texts without their line ends."""

    def of(event: Event) -> dict[str, Any]:
        fields = {name: getattr(event, name) for name in sorted(abilities.fields - {"html"})}
        texts = {name: "\n".join(value.splitlines()).strip() for name, value in fields.items() if isinstance(value, str)}
        return {"start": event.start, "end": event.end, **fields, **texts}

    return {
        "master": of(series.event),
        "rrule": meaning(series, abilities),
        "rdate": series.rdate,
        "exdate": series.exdate,
        "overrides": {override.recurrence_id: of(override.event) for override in series.overrides},
    }


async def create(world: World, series: Series, number: int = 1, mail: Mail = Mail.NONE) -> Stored:
    """Create through the provider."""
    return await world.provider.create(world.calendar, series, key=key(number), mark=MARK, mail=mail)


async def update(world: World, at_version: Stored, base: Series, new: Series, *fields: str, number: int = 90) -> Stored:
    """Update through the provider, from one version to another."""
    return await world.provider.update(
        world.calendar,
        at_version.href,
        expect=at_version.etag,
        base=base,
        new=new,
        fields=frozenset(fields),
        key=key(number),
        mark=MARK,
        mail=Mail.NONE,
    )


async def delete(world: World, stored: Stored, number: int = 95) -> None:
    """Delete through the provider."""
    await world.provider.delete(world.calendar, stored.href, expect=stored.etag, key=key(number), mail=Mail.NONE)


async def held(world: World, href: Href, provider: Provider | None = None) -> Seen:
    """Give what is there under a name; it must be there and readable."""
    (found,) = await (provider or world.provider).fetch(world.calendar, [href])
    assert isinstance(found, Seen)
    return found


def with_title(series: Series, title: str) -> Series:
    """Rename the master only."""
    return replace(series, event=replace(series.event, title=title))


def upserts(pages: list[Page]) -> dict[Href, Seen]:
    """Give what a delta brings, the last word on each object."""
    return {seen.href: seen for page in pages for seen in page.upserts}


def gone(pages: list[Page]) -> set[Href]:
    """Give what a delta takes away."""
    return {href for page in pages for href in page.gone}


class ProviderContract:
    """The suite. Subclass it in `tests/contract/test_<provider>.py`."""

    start: ClassVar[Callable[[], AbstractAsyncContextManager[World]]]
    abilities: ClassVar[Abilities]
    tricks: ClassVar[Trick]
    exempt: ClassVar[Mapping[str, str]] = {}

    def __init_subclass__(cls) -> None:
        """Take out what does not concern this provider, so that nothing is skipped at run time."""
        for name in cls.exempt:
            assert hasattr(ProviderContract, name), f"exempt from a test that does not exist: {name}"
        for name in [name for name in dir(ProviderContract) if name.startswith("test_")]:
            test = getattr(ProviderContract, name)
            ability, trick, field, zone = getattr(test, "needs", (NO_ABILITY, NO_TRICK, "", ""))
            concerned = (
                ability in cls.abilities.can
                and trick in cls.tricks
                and (not field or field in cls.abilities.fields)
                and (not zone or zone in cls.abilities.zones)
            )
            if not concerned or name in cls.exempt:
                setattr(cls, name, None)

    @pytest.fixture
    async def world(self) -> AsyncIterator[World]:
        """A calendar with nothing in it, and a provider signed in to it."""
        async with type(self).start() as world:
            yield world

    # --- creating and finding ------------------------------------------------------------------------------------

    @needs(Ability.WRITE)
    @pytest.mark.parametrize(
        "series",
        [
            meeting(),
            RICH,
            ALL_DAY,
            HOLIDAY,
            STANDUP,
            samples.BIRTHDAY,
            samples.NEW_YORK,
            samples.IN_UTC,
            samples.TWICE,
        ],
        ids=lambda series: series.uid.split("@")[0],
    )
    async def test_what_is_created_is_read_back_as_it_was_sent(self, world: World, series: Series) -> None:
        stored = await create(world, series)
        found = await held(world, stored.href)
        assert comparable(found.series, self.abilities) == comparable(series, self.abilities)
        assert found.etag == stored.etag

    @needs(Ability.WRITE)
    async def test_a_write_says_what_the_other_side_really_stored(self, world: World) -> None:
        stored = await create(world, RICH)
        told = stored.series or RICH
        assert comparable((await held(world, stored.href)).series, self.abilities) == comparable(told, self.abilities)

    @needs(Ability.WRITE)
    async def test_the_uid_is_kept_where_the_system_promises_it(self, world: World) -> None:
        stored = await create(world, meeting())
        uid = (await held(world, stored.href)).series.uid
        assert stored.uid == uid
        assert uid == meeting().uid or not self.abilities.caller_uid

    @needs(Ability.WRITE)
    async def test_a_create_repeated_with_its_key_makes_no_second_object(self, world: World) -> None:
        first = await create(world, meeting())
        second = await create(world, meeting())
        assert (second.href, second.etag) == (first.href, first.etag)
        assert await world.hrefs() == {first.href}

    @needs(Ability.WRITE)
    async def test_what_a_key_made_is_found_by_it_after_a_restart(self, world: World) -> None:
        stored = await create(world, meeting(1), 1)
        await create(world, meeting(2), 2)
        provider = await world.reconnect()
        found = await provider.find(world.calendar, key(1), meeting(1).uid)
        assert found is not None
        assert (found.href, found.etag) == (stored.href, stored.etag)

    @needs(Ability.WRITE)
    async def test_a_key_that_made_nothing_finds_nothing(self, world: World) -> None:
        await create(world, meeting(1), 1)
        assert await world.provider.find(world.calendar, key(2), meeting(2).uid) is None

    @needs(Ability.WRITE)
    async def test_what_was_made_and_deleted_is_not_found_by_its_key(self, world: World) -> None:
        stored = await create(world, meeting())
        await delete(world, stored)
        assert await world.provider.find(world.calendar, key(), meeting().uid) is None

    @needs(Ability.WRITE)
    async def test_our_mark_comes_back_or_nothing_does(self, world: World) -> None:
        stored = await create(world, meeting())
        found = await held(world, stored.href)
        assert found.marker in (MARK.text, "")
        assert found.key in (key(), "")

    @needs(Ability.WRITE)
    async def test_a_second_object_with_a_uid_that_is_there_is_made_all_the_same(self, world: World) -> None:
        first = await create(world, meeting(), 1)
        second = await create(world, meeting(title="Doppelgänger"), 2)
        assert first.href != second.href
        assert (await held(world, second.href)).series.uid == second.uid
        assert await world.hrefs() == {first.href, second.href}

    # --- updating ------------------------------------------------------------------------------------------------

    @needs(Ability.WRITE)
    async def test_an_update_changes_its_fields_and_leaves_the_rest(self, world: World) -> None:
        stored = await create(world, RICH)
        base = (await held(world, stored.href)).series
        changed = await update(world, stored, base, with_title(base, "Neuer Titel"), "title")
        found = await held(world, stored.href)
        assert comparable(found.series, self.abilities) == comparable(with_title(base, "Neuer Titel"), self.abilities)
        assert found.etag == changed.etag != stored.etag

    @needs(Ability.WRITE)
    async def test_a_difference_in_a_field_that_was_not_named_is_not_written(self, world: World) -> None:
        stored = await create(world, RICH)
        base = (await held(world, stored.href)).series
        new = replace(base, event=replace(base.event, title="Neuer Titel", location="Nirgendwo"))
        await update(world, stored, base, new, "title")
        found = (await held(world, stored.href)).series.event
        assert (found.title, found.location) == ("Neuer Titel", base.event.location)

    @needs(Ability.WRITE, Trick.LEDGER)
    async def test_only_changed_fields_are_sent(self, world: World) -> None:
        stored = await create(world, RICH)
        base = (await held(world, stored.href)).series
        await update(world, stored, base, with_title(base, "Neuer Titel"), "title", "location", "start")
        assert await world.fields_sent() == {"title"}

    @needs(Ability.WRITE, Trick.PLANT)
    @pytest.mark.parametrize("series", [RICH, STANDUP], ids=["single", "series"])
    async def test_properties_we_do_not_know_survive_an_update(self, world: World, series: Series) -> None:
        stored = await create(world, series)
        await world.plant(stored.href)
        planted = await held(world, stored.href)
        changed = replace(stored, etag=planted.etag)
        base = planted.series
        await update(world, changed, base, with_title(base, "Neuer Titel"), "title")
        assert await world.has_planted(stored.href)

    @needs(Ability.WRITE, Trick.EDIT)
    async def test_an_update_at_a_stale_etag_is_a_conflict_and_changes_nothing(self, world: World) -> None:
        stored = await create(world, meeting())
        base = (await held(world, stored.href)).series
        await world.edit(stored.href, {"location": "Dort"})
        before = await held(world, stored.href)
        with pytest.raises(Conflict):
            await update(world, stored, base, with_title(base, "Zu spät"), "title")
        after = await held(world, stored.href)
        assert (after.etag, after.series) == (before.etag, before.series)

    @needs(Ability.WRITE, Trick.EDIT)
    async def test_an_update_of_what_someone_deleted_says_that_it_is_gone(self, world: World) -> None:
        stored = await create(world, meeting())
        base = (await held(world, stored.href)).series
        await world.delete(stored.href)
        with pytest.raises(Conflict):
            await update(world, stored, base, with_title(base, "Zu spät"), "title")
        assert await world.hrefs() == frozenset()

    @needs(Ability.WRITE)
    async def test_a_moved_meeting_keeps_its_length_and_zone(self, world: World) -> None:
        stored = await create(world, meeting())
        base = (await held(world, stored.href)).series
        new = replace(base, event=replace(base.event, start=at(20, 16), end=at(20, 17)))
        await update(world, stored, base, new, "start", "end")
        found = (await held(world, stored.href)).series.event
        assert (found.start, found.end) == (at(20, 16), at(20, 17))

    @needs(Ability.WRITE)
    async def test_a_meeting_becomes_all_day_and_back(self, world: World) -> None:
        stored = await create(world, meeting())
        base = (await held(world, stored.href)).series
        day = replace(base, event=replace(base.event, start=ALL_DAY.event.start, end=ALL_DAY.event.end))
        second = await update(world, stored, base, day, "start", "end")
        found = (await held(world, stored.href)).series
        assert found.event.start == ALL_DAY.event.start
        await update(world, second, found, replace(found, event=base.event), "start", "end", number=91)
        assert (await held(world, stored.href)).series.event.start == base.event.start

    @needs(Ability.WRITE)
    async def test_a_field_is_emptied(self, world: World) -> None:
        stored = await create(world, RICH)
        base = (await held(world, stored.href)).series
        await update(
            world, stored, base, replace(base, event=replace(base.event, location="", description="")), "location", "description"
        )
        found = (await held(world, stored.href)).series.event
        assert (found.location, found.description) == ("", "")

    # --- series --------------------------------------------------------------------------------------------------

    @needs(Ability.WRITE)
    async def test_one_occurrence_is_changed_and_the_others_stay(self, world: World) -> None:
        stored = await create(world, STANDUP)
        base = (await held(world, stored.href)).series
        moved = Override(at(23, 9), replace(base.event, start=at(23, 15), end=at(23, 15, 15), title="Nachmittags"))
        overrides = sorted((*base.overrides, moved), key=lambda o: o.recurrence_id.wall)  # type: ignore[union-attr]
        new = replace(base, overrides=tuple(overrides))
        await update(world, stored, base, new, "recurrence")
        found = (await held(world, stored.href)).series
        assert comparable(found, self.abilities) == comparable(new, self.abilities)

    @needs(Ability.WRITE)
    async def test_an_occurrence_is_cancelled_and_restored(self, world: World) -> None:
        stored = await create(world, STANDUP)
        base = (await held(world, stored.href)).series
        shorter = replace(base, exdate=(*base.exdate, at(23, 9)), overrides=base.overrides[1:])
        second = await update(world, stored, base, shorter, "recurrence")
        found = (await held(world, stored.href)).series
        assert comparable(found, self.abilities) == comparable(shorter, self.abilities)
        await update(world, second, found, replace(found, exdate=base.exdate), "recurrence", number=91)
        assert (await held(world, stored.href)).series.exdate == base.exdate

    @needs(Ability.WRITE)
    async def test_a_new_title_of_the_master_reaches_the_occurrences_that_had_the_old_one(self, world: World) -> None:
        stored = await create(world, STANDUP)
        base = (await held(world, stored.href)).series
        moved, renamed = base.overrides
        new = replace(with_title(base, "Daily"), overrides=(replace(moved, event=replace(moved.event, title="Daily")), renamed))
        await update(world, stored, base, new, "title")
        found = (await held(world, stored.href)).series
        assert comparable(found, self.abilities) == comparable(new, self.abilities)

    @needs(Ability.WRITE)
    async def test_a_single_meeting_becomes_a_series_and_back(self, world: World) -> None:
        stored = await create(world, meeting())
        base = (await held(world, stored.href)).series
        weekly = replace(base, rrule="FREQ=WEEKLY;COUNT=4")
        second = await update(world, stored, base, weekly, "recurrence")
        found = (await held(world, stored.href)).series
        assert meaning(found, self.abilities) == meaning(weekly, self.abilities)
        await update(world, second, found, replace(found, rrule=""), "recurrence", number=91)
        assert (await held(world, stored.href)).series.rrule == ""

    @needs(Ability.WRITE)
    async def test_a_series_without_end_is_cut_off(self, world: World) -> None:
        endless = replace(meeting(), rrule="FREQ=DAILY")
        stored = await create(world, endless)
        base = (await held(world, stored.href)).series
        assert base.rrule == "FREQ=DAILY"
        await update(world, stored, base, replace(base, rrule="FREQ=DAILY;UNTIL=20260320T080000Z"), "recurrence")
        assert (await held(world, stored.href)).series.rrule == "FREQ=DAILY;UNTIL=20260320T080000Z"

    # --- deleting ------------------------------------------------------------------------------------------------

    @needs(Ability.WRITE)
    async def test_what_is_deleted_is_gone_and_reported_so(self, world: World) -> None:
        stored = await create(world, meeting())
        cursor = last_cursor(await read(world))
        await delete(world, stored)
        assert await world.hrefs() == frozenset()
        assert await world.provider.fetch(world.calendar, [stored.href]) == ()
        assert gone(await read(world, cursor)) == {stored.href}

    @needs(Ability.WRITE, Trick.EDIT)
    async def test_a_delete_at_a_stale_etag_is_a_conflict_and_deletes_nothing(self, world: World) -> None:
        stored = await create(world, meeting())
        await world.edit(stored.href, {"title": "Doch noch wichtig"})
        with pytest.raises(Conflict) as raised:
            await delete(world, stored)
        assert not isinstance(raised.value, Gone)
        assert await world.hrefs() == {stored.href}

    @needs(Ability.WRITE, Trick.EDIT)
    async def test_a_delete_of_what_someone_deleted_says_that_it_is_gone(self, world: World) -> None:
        stored = await create(world, meeting())
        await world.delete(stored.href)
        with pytest.raises(Gone):
            await delete(world, stored)

    # --- reading changes -----------------------------------------------------------------------------------------

    async def test_an_empty_calendar_is_a_listing_with_its_end_mark(self, world: World) -> None:
        pages = await read(world)
        assert upserts(pages) == {}
        assert pages[-1].final
        assert pages[-1].is_listing
        assert [page.final for page in pages[:-1]] == [False] * (len(pages) - 1)

    @needs(trick=Trick.EDIT)
    async def test_without_a_cursor_everything_is_listed_once(self, world: World) -> None:
        made = {await world.create(meeting(number)) for number in range(25)}
        pages = await read(world)
        listed = [seen.href for page in pages for seen in page.upserts]
        assert sorted(listed) == sorted(made)
        assert all(page.is_listing for page in pages)
        assert pages[-1].final

    @needs(trick=Trick.EDIT)
    async def test_nothing_changed_is_one_empty_page(self, world: World) -> None:
        await world.create(meeting())
        cursor = last_cursor(await read(world))
        for _ in range(3):
            pages = await read(world, cursor)
            assert [(page.upserts, page.gone, page.unreadable, page.final) for page in pages] == [((), (), (), True)]
            cursor = last_cursor(pages)

    @needs(trick=Trick.EDIT)
    async def test_after_a_cursor_only_changes_come(self, world: World) -> None:
        hrefs = [await world.create(meeting(number)) for number in range(4)]
        cursor = last_cursor(await read(world))
        await world.edit(hrefs[1], {"title": "Geändert"})
        await world.delete(hrefs[2])
        new = await world.create(meeting(9))
        pages = await read(world, cursor)
        brought = upserts(pages)
        assert {href for href in brought if href not in _unchanged(pages)} >= {hrefs[1], new}
        assert brought[hrefs[1]].series.event.title == "Geändert"
        assert hrefs[2] in gone(pages) or (pages[-1].is_listing and hrefs[2] not in {*brought, *_unchanged(pages)})

    @needs(trick=Trick.EDIT)
    async def test_several_edits_of_one_object_end_in_its_last_state(self, world: World) -> None:
        href = await world.create(meeting())
        cursor = last_cursor(await read(world))
        for title in ("eins", "zwei", "drei"):
            await world.edit(href, {"title": title})
        assert upserts(await read(world, cursor))[href].series.event.title == "drei"

    @needs(trick=Trick.EDIT)
    async def test_what_came_and_went_between_two_readings_leaves_nothing(self, world: World) -> None:
        await world.create(meeting(1))
        cursor = last_cursor(await read(world))
        short = await world.create(meeting(2))
        await world.delete(short)
        assert short not in upserts(await read(world, cursor))

    @needs(Ability.WRITE)
    async def test_our_own_write_comes_back_at_the_version_we_were_told(self, world: World) -> None:
        cursor = last_cursor(await read(world))
        stored = await create(world, meeting())
        echo = upserts(await read(world, cursor))[stored.href]
        assert echo.etag == stored.etag

    @needs(trick=Trick.EDIT | Trick.SMALL_PAGES)
    async def test_a_listing_can_be_resumed_after_any_page(self, world: World) -> None:
        made = {await world.create(meeting(number)) for number in range(25)}
        pages = await read(world)
        assert len(pages) > 1
        for number, page in enumerate(pages[:-1]):
            if page.next is None:
                continue
            rest = await read(world, page.next, provider=await world.reconnect())
            before = {seen.href for earlier in pages[: number + 1] for seen in earlier.upserts}
            assert before | set(upserts(rest)) == made
            assert rest[-1].final

    @needs(trick=Trick.EDIT | Trick.SMALL_PAGES)
    async def test_what_is_deleted_during_a_listing_is_not_in_its_result(self, world: World) -> None:
        made = [await world.create(meeting(number)) for number in range(25)]
        pages: list[Page] = []
        async for page in world.provider.changes(world.calendar, None, known=Known(), window=samples.WINDOW):
            if not pages:
                await world.delete(page.upserts[0].href)
            pages.append(page)
        after = await read(world, last_cursor(pages))
        left = set(upserts(pages)) - gone(pages) - gone(after)
        assert left == await world.hrefs()
        assert len(left) == len(made) - 1

    @needs(trick=Trick.EDIT)
    async def test_an_object_at_a_known_version_is_listed_without_being_gone(self, world: World) -> None:
        hrefs = [await world.create(meeting(number)) for number in range(3)]
        known = Known({seen.href: seen.etag for seen in upserts(await read(world)).values()})
        await world.edit(hrefs[0], {"title": "Geändert"})
        pages = await read(world, known=known)
        assert hrefs[0] in upserts(pages)
        assert {*upserts(pages), *_unchanged(pages)} == set(hrefs)
        assert gone(pages) == set()

    @needs(trick=Trick.EDIT | Trick.EXPIRE)
    async def test_an_expired_cursor_says_so_and_a_listing_still_works(self, world: World) -> None:
        href = await world.create(meeting())
        cursor = last_cursor(await read(world))
        await world.expire_cursors()
        with pytest.raises(CursorExpired):
            await read(world, cursor)
        assert set(upserts(await read(world))) == {href}

    @needs(trick=Trick.EDIT | Trick.STOP_SHORT)
    async def test_a_listing_that_stops_short_has_no_end_mark(self, world: World) -> None:
        for number in range(5):
            await world.create(meeting(number))
        await world.stop_short(2)
        try:
            pages = await read(world)
        except Transient:
            return  # saying that the answer is incomplete is as good
        assert not any(page.final for page in pages)

    @needs(trick=Trick.EDIT | Trick.SPOIL)
    async def test_an_unreadable_object_is_neither_gone_nor_the_end(self, world: World) -> None:
        good, bad = await world.create(meeting(1)), await world.create(meeting(2))
        cursor = last_cursor(await read(world))
        await world.spoil(bad)
        later = await world.create(meeting(3))
        pages = await read(world, cursor)
        assert {found.href for page in pages for found in page.unreadable} == {bad}
        assert later in upserts(pages)
        assert gone(pages) == set()
        listing = await read(world)
        assert set(upserts(listing)) == {good, later}
        assert {found.href for page in listing for found in page.unreadable} == {bad}
        assert listing[-1].final

    @needs(trick=Trick.EDIT)
    async def test_reading_by_name_leaves_out_only_what_does_not_exist(self, world: World) -> None:
        hrefs = [await world.create(meeting(number)) for number in range(3)]
        await world.delete(hrefs[1])
        found = await world.provider.fetch(world.calendar, hrefs)
        assert {one.href for one in found} == {hrefs[0], hrefs[2]}

    @needs(trick=Trick.EDIT)
    async def test_what_lies_in_the_window_is_listed_whatever_else_is(self, world: World) -> None:
        inside = await world.create(meeting())
        endless = await world.create(
            replace(
                STANDUP,
                uid="endless@contract.example",
                event=replace(STANDUP.event, start=_years_back(at(2, 9)), end=_years_back(at(2, 10))),
                rrule="FREQ=DAILY",
                exdate=(),
                overrides=(),
            )
        )
        assert {inside, endless} <= set(upserts(await read(world)))

    # --- kinds of content ----------------------------------------------------------------------------------------

    @needs(Ability.WRITE, zone="floating")
    async def test_floating_times_stay_without_a_zone(self, world: World) -> None:
        stored = await create(world, samples.FLOATING)
        assert (await held(world, stored.href)).series.event.start == samples.FLOATING.event.start

    @needs(Ability.WRITE)
    async def test_emoji_and_markup_in_texts_survive(self, world: World) -> None:
        stored = await create(world, meeting(title=samples.NASTY, description=samples.NASTY))
        found = (await held(world, stored.href)).series.event
        assert found.title == samples.NASTY
        assert found.description == samples.NASTY

    @needs(Ability.WRITE)
    async def test_control_characters_cost_at_most_themselves(self, world: World) -> None:
        stored = await create(world, meeting(title=samples.CONTROL))
        title = (await held(world, stored.href)).series.event.title
        assert "".join(c for c in title if c.isalpha()) == "vornachdanachEnde"

    @needs(Ability.WRITE)
    async def test_a_long_description_arrives_whole_or_is_refused(self, world: World) -> None:
        text = "Zeile mit Inhalt\n" * 60_000
        try:
            stored = await create(world, meeting(description=text))
        except Permanent as refused:
            assert refused.code == "general.too_large"
            assert await world.hrefs() == frozenset()
            return
        found = (await held(world, stored.href)).series.event.description
        assert found.replace("\r\n", "\n").rstrip() == text.rstrip()

    @needs(Ability.WRITE)
    async def test_the_first_and_last_year_of_its_calendar_are_kept(self, world: World) -> None:
        for number, year in enumerate((max(self.abilities.first_year, 1601), min(self.abilities.last_year, 9998))):
            start, end = (
                Zoned(datetime(year, 6, 1, hour), "UTC")  # noqa: DTZ001  # the zone stands beside it
                for hour in (9, 10)
            )
            series = replace(meeting(number), event=replace(meeting(number).event, start=start, end=end))
            stored = await create(world, series, number)
            assert (await held(world, stored.href)).series.event.start == start

    # --- mail ----------------------------------------------------------------------------------------------------

    @needs(Ability.WRITE | Ability.SILENT_ATTENDEES, Trick.OUTBOX, field="attendees")
    async def test_attendees_are_written_changed_and_deleted_without_a_mail(self, world: World) -> None:
        stored = await create(world, INVITED)
        base = (await held(world, stored.href)).series
        fewer = replace(base, event=replace(base.event, attendees=base.event.attendees[:1]))
        second = await update(world, stored, base, fewer, "attendees")
        found = (await held(world, stored.href)).series
        third = await update(world, second, found, with_title(found, "Verlegt"), "title", number=91)
        await delete(world, third)
        assert await world.mails() == 0

    @needs(Ability.WRITE, Trick.OUTBOX)
    async def test_events_without_attendees_never_cause_a_mail(self, world: World) -> None:
        stored = await create(world, STANDUP, mail=Mail.ALL)
        await delete(world, stored)
        assert await world.mails() == 0

    # --- faults --------------------------------------------------------------------------------------------------

    @needs(Ability.WRITE, Trick.LOSE)
    @pytest.mark.parametrize("effect", [True, False], ids=["after_effect", "before_effect"])
    async def test_a_lost_answer_to_a_create_is_ambiguous_and_found_again_by_key(self, world: World, effect: bool) -> None:
        await world.lose_answer("create", effect=effect)
        with pytest.raises(Ambiguous):
            await create(world, meeting())
        found = await world.provider.find(world.calendar, key(), meeting().uid)
        assert (found is not None) == effect
        await create(world, meeting())
        assert len(await world.hrefs()) == 1

    @needs(Ability.WRITE, Trick.LOSE)
    @pytest.mark.parametrize("effect", [True, False], ids=["after_effect", "before_effect"])
    async def test_a_lost_answer_to_an_update_is_ambiguous_and_shows_when_read(self, world: World, effect: bool) -> None:
        stored = await create(world, meeting())
        base = (await held(world, stored.href)).series
        await world.lose_answer("update", effect=effect)
        with pytest.raises(Ambiguous):
            await update(world, stored, base, with_title(base, "Neu"), "title")
        assert ((await held(world, stored.href)).series.event.title == "Neu") == effect

    @needs(Ability.WRITE, Trick.LOSE)
    @pytest.mark.parametrize("effect", [True, False], ids=["after_effect", "before_effect"])
    async def test_a_lost_answer_to_a_delete_is_ambiguous_and_shows_when_read(self, world: World, effect: bool) -> None:
        stored = await create(world, meeting())
        await world.lose_answer("delete", effect=effect)
        with pytest.raises(Ambiguous):
            await delete(world, stored)
        assert (await world.provider.fetch(world.calendar, [stored.href]) == ()) == effect

    @needs(Ability.WRITE, Trick.FAIL)
    async def test_a_write_answered_with_an_error_may_have_happened(self, world: World) -> None:
        await world.fail("create", effect=True)
        with pytest.raises(Ambiguous):
            await create(world, meeting())
        assert await world.provider.find(world.calendar, key(), meeting().uid) is not None

    @needs(trick=Trick.FAIL)
    async def test_a_reading_that_fails_is_tried_again_later_and_says_nothing_of_the_calendar(self, world: World) -> None:
        await world.fail("changes", effect=False)
        with pytest.raises(Transient) as raised:
            await read(world)
        assert not isinstance(raised.value, Ambiguous)
        assert (await read(world))[-1].final

    @needs(trick=Trick.LOSE)
    async def test_a_connection_lost_while_reading_is_made_anew(self, world: World) -> None:
        await world.lose_answer("changes", effect=False)
        with pytest.raises(Transient):
            await read(world)
        assert (await read(world))[-1].final

    @needs(trick=Trick.THROTTLE)
    @pytest.mark.parametrize("seconds", [0, 30, 100_000])
    async def test_being_asked_to_wait_gives_a_time_within_bounds(self, world: World, seconds: int) -> None:
        await world.throttle(seconds)
        before = datetime.now(UTC)
        with pytest.raises(Throttled) as raised:
            await read(world)
        assert timedelta(0) < raised.value.until - before <= timedelta(hours=1, seconds=5)

    @needs(trick=Trick.REFUSE_LOGIN)
    async def test_a_refused_login_needs_a_person(self, world: World) -> None:
        await world.refuse_login()
        provider = await world.reconnect()
        with pytest.raises(AuthRequired):
            await read(world, provider=provider)

    @needs(trick=Trick.FAIL)
    async def test_every_trouble_has_a_sentence_in_both_languages(self, world: World) -> None:
        await world.fail("changes", effect=False)
        with pytest.raises(Trouble) as raised:
            await read(world)
        for language in LANGUAGES:
            assert raised.value.cause(language) != raised.value.code
            assert raised.value.remedy(language)

    # --- the rest ------------------------------------------------------------------------------------------------

    async def test_the_calendar_is_in_the_directory(self, world: World) -> None:
        listed = await world.provider.calendars(world.calendar.mailbox)
        assert world.calendar.calendar in {calendar.ref.calendar for calendar in listed} or any(c.is_default for c in listed)

    async def test_the_doctor_finds_nothing_and_leaves_nothing_behind(self, world: World) -> None:
        checks = [check async for check in world.provider.examine(world.calendar)]
        assert checks
        assert {check.state for check in checks} <= {"pass", "skip"}
        assert await world.hrefs() == frozenset()

    @needs(Ability.WRITE)
    async def test_as_many_calls_at_once_as_it_bears_do_not_disturb_each_other(self, world: World) -> None:
        numbers = range(self.abilities.max_in_flight * 2)
        stored = await asyncio.gather(*(create(world, meeting(number), number + 1) for number in numbers))
        assert {one.href for one in stored} == await world.hrefs()
        found = await world.provider.fetch(world.calendar, [one.href for one in stored])
        assert sorted(one.series.event.title for one in found if isinstance(one, Seen)) == sorted(
            meeting(number).event.title for number in numbers
        )


def _unchanged(pages: list[Page]) -> set[Href]:
    return {href for page in pages for href in page.unchanged}


def _years_back(point: Zoned) -> Zoned:
    return Zoned(point.wall.replace(year=2020), point.tzid)
