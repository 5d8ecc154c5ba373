"""REC and TZ at Exchange: series that are split, moved and shifted, on either side, and the hours they are at."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from tests.caldav_world import MAILBOX
from tests.engine import Engine, meeting, moment
from tests.ews_world import Person
from tests.scenarios.calendars import edited, ours, shown, with_override
from tests.scenarios.desk import Desk
from tests.scenarios.outlook import linked, there, titles, writes_nothing
from tests.scenarios.test_time_zones import CITIES, at, custom_zone

from gleichtakt.model.event import Event, Series, ShowAs
from gleichtakt.model.point import Day, Point, Zoned, instant, shifted, wall_of
from gleichtakt.model.recurrence import canonical_rule
from gleichtakt.model.split import move, split
from gleichtakt.providers.protocol import Href
from gleichtakt.simulators.exchange import Fault
from gleichtakt.store import instance
from gleichtakt.worker.expand_window import expand_window

WEEK = timedelta(days=7)
AUCKLAND = "Pacific/Auckland"


async def in_step(world: Engine, person: Person, rounds: int = 2) -> None:
    """Both sides show the same, and a further pass writes nothing."""
    await world.sync(rounds=rounds)
    assert await ours(world) == shown(await there(person))
    await writes_nothing(world, person.exchange)


async def titled(person: Person, title: str) -> tuple[Href, Series]:
    """Give the only event there of a title."""
    ((href, series),) = [one for one in (await person.read(person.hrefs())).items() if one[1].event.title == title]
    return href, series


# --- REC-01 ----------------------------------------------------------------------------------------------------------


def in_two(series: Series) -> tuple[Series, Series]:
    """Cut a weekly series in its third week; from then on it is at eleven."""
    head, tail = split(series, shifted(series.event.start, 2 * WEEK), "")
    assert head is not None
    start = shifted(tail.event.start, timedelta(hours=2))
    later = replace(tail.event, start=start, end=shifted(start, timedelta(hours=1)))
    return head, move(tail, later, canonical_rule(tail.rrule, start)).series


def weekly() -> Series:
    """Give a weekly series without end: the second time moved, the fourth left out, the fifth renamed."""
    series = with_override(meeting("Weekly", rrule="FREQ=WEEKLY"), moment(8), moment(8, 14))
    return replace(with_override(series, moment(29), title="With guests"), exdate=(moment(22),))


@pytest.mark.parametrize("is_seen_half_done", [False, True])
async def test_rec_01_a_split_made_in_outlook_becomes_two_series_and_stays_so(world: Engine, is_seen_half_done: bool) -> None:
    async with linked(world) as person:
        href = await person.create(weekly())
        await world.sync()
        head, tail = in_two((await titled(person, "Weekly"))[1])
        await person.change(href, head)
        if is_seen_half_done:
            await world.sync()
        await person.create(tail)
        person.exchange.ledger.clear()
        await world.sync()
        expected = shown([head, tail])
        assert [title for _, title in expected][:4] == ["Weekly", "Weekly", "Weekly", "With guests"]
        for _ in range(5):
            await writes_nothing(world, person.exchange)
            assert await ours(world) == shown(await there(person)) == expected
            assert len(await world.ours()) == len(person.hrefs()) == 2


async def test_rec_01_a_split_made_here_becomes_two_series_at_exchange_and_stays_so(world: Engine) -> None:
    async with linked(world) as person:
        row = await world.put(weekly())
        await world.sync()
        (before,) = person.hrefs()
        head, tail = in_two(row.series)
        await world.put(head, row.id)
        await world.put(tail)
        await world.sync()
        for _ in range(5):
            assert await ours(world) == shown(await there(person)) == shown([head, tail])
            assert len(person.hrefs()) == 2
            await writes_nothing(world, person.exchange)
        assert before in person.hrefs(), "the old series is cut off, not made anew"


# --- REC-02 ----------------------------------------------------------------------------------------------------------


async def test_rec_02_an_occurrence_moved_in_auckland_is_shown_once_whatever_clock_tells_its_slot(world: Engine) -> None:
    async with linked(world) as person:
        person.exchange.habits.keeps_texts = True
        first = Zoned(moment(2).wall, AUCKLAND)
        slot = shifted(first, WEEK)
        series = replace(at(first, "Weekly", "FREQ=WEEKLY;COUNT=4"), uid="")
        await person.create(with_override(series, slot, shifted(slot, timedelta(days=5, hours=3)), title="Moved"))
        await world.sync()
        told = {found for entry in person.exchange.ledger for found in re.findall("<t:OriginalStart>([^<]+)<", entry.answer)}
        assert f"{instant(slot, UTC):%Y-%m-%dT%H:%M:%SZ}" in told, "another clock, and the day before"
        (row,) = await world.ours()
        assert [title for _, title in shown([row.series])] == ["Weekly", "Moved", "Weekly", "Weekly"]
        (override,) = row.series.overrides
        assert override.recurrence_id == slot
        renamed = replace(override, event=replace(override.event, title="Renamed"))
        await world.put(replace(row.series, overrides=(renamed,)), row.id)
        await in_step(world, person)
        assert [title for _, title in shown(await there(person))] == ["Weekly", "Renamed", "Weekly", "Weekly"]
        assert (await there(person))[0].overrides[0].recurrence_id == slot


BEYOND = {"beyond its neighbour": moment(16, 14), "before the first": moment(0)}


@pytest.mark.parametrize("where", BEYOND)
async def test_rec_02_an_occurrence_moved_here_past_another_one_is_kept_in_single_events(
    world: Engine, desk: Desk, where: str
) -> None:
    async with linked(world) as person:
        row = await world.put(meeting("Weekly", rrule="FREQ=WEEKLY;COUNT=4"))
        await world.sync()
        assert len(person.hrefs()) == 1
        await world.put(with_override(row.series, moment(8), BEYOND[where], title="Moved"), row.id)
        await in_step(world, person)
        assert len(person.hrefs()) == 4
        assert sorted(title for _, title in shown(await there(person))) == ["Moved", "Weekly", "Weekly", "Weekly"]
        (told,) = await desk.problems()
        assert (told["kind"], told["code"], told["series_id"]) == ("notice", "recurrence.order", str(row.id))

        href, moved = await titled(person, "Moved")  # and on it goes, by the hand of somebody there
        await person.change(href, replace(moved, event=replace(moved.event, location="Room 2")))
        await in_step(world, person)
        (after,) = await world.ours()
        (override,) = after.series.overrides
        assert (override.recurrence_id, override.event.location) == (moment(8), "Room 2")
        await world.put(replace(after.series, overrides=()), row.id)
        await in_step(world, person)
        assert len(person.hrefs()) == 1
        assert not await desk.problems()


async def test_rec_02_an_occurrence_that_lasts_into_the_next_one_is_kept_in_single_events(world: Engine, desk: Desk) -> None:
    async with linked(world) as person:
        row = await world.put(meeting("Daily", rrule="FREQ=DAILY;COUNT=4"))
        await world.sync()
        long = with_override(row.series, moment(2), title="Workshop", end=moment(3, 12))
        await world.put(long, row.id)
        await world.put(meeting("Two days each", rrule="FREQ=WEEKLY;BYDAY=MO,TU;COUNT=4", minutes=2880))
        await in_step(world, person)
        single = ["Daily", "Daily", "Daily", *["Two days each"] * 4, "Workshop"]
        assert sorted(title for _, title in shown(await there(person))) == await titles(person) == single
        assert [(told["kind"], told["code"]) for told in await desk.problems()] == [("notice", "recurrence.order")] * 2


# --- REC-04 ----------------------------------------------------------------------------------------------------------


async def test_rec_04_deleted_occurrences_stay_deleted_in_every_kind_of_run(world: Engine, desk: Desk) -> None:
    async with linked(world) as person:
        row = await world.put(meeting("Daily", rrule="FREQ=DAILY;COUNT=10"))
        href = await person.create(meeting("Theirs", hour=15, rrule="FREQ=DAILY;COUNT=10"))
        await world.sync()
        gone, gone_there = (moment(2), moment(5), moment(9)), tuple(moment(day, 15) for day in (3, 4, 10))
        await world.put(replace(row.series, exdate=gone), row.id)
        await person.change(href, replace((await titled(person, "Theirs"))[1], exdate=gone_there))
        await world.sync()

        async def stay_deleted(run: str) -> None:
            await writes_nothing(world, person.exchange)
            assert {one.series.exdate for one in await world.ours()} == {gone, gone_there}, run
            assert {one.exdate for one in await there(person)} == {gone, gone_there}, run
            assert len(await ours(world)) == len(shown(await there(person))) == 14, run

        await stay_deleted("incremental")
        async with world.database.begin() as connection:
            await connection.exec_driver_sql("update link set force_listing = true")
        await stay_deleted("full")
        person.folder.expire_sync_states()
        await stay_deleted("token lost")
        (link,) = await world.rows("select id from link")
        await desk.do(f"/links/{link['id']}/reset")
        await stay_deleted("linked anew")


# --- REC-05 ----------------------------------------------------------------------------------------------------------

SHIFTS = {
    "an hour later": (0, 10, "FREQ=WEEKLY;COUNT=6"),
    "two more": (0, 9, "FREQ=WEEKLY;COUNT=8"),
    "the day after": (1, 9, "FREQ=WEEKLY;COUNT=6"),
}


def with_two_exceptions(title: str) -> Series:
    """Give a weekly series: its second time is elsewhere, its third at another hour, its fourth does not take place."""
    series = with_override(meeting(title, rrule="FREQ=WEEKLY;COUNT=6"), moment(8), location="Room 2")
    return replace(with_override(series, moment(15), moment(15, 14)), exdate=(moment(22),))


def shift(series: Series, name: str) -> Series:
    """Give a series after a shift, with the exceptions that still have a slot."""
    days, hour, rule = SHIFTS[name]
    event = replace(series.event, start=moment(1 + days, hour), end=moment(1 + days, hour + 1))
    return move(series, event, canonical_rule(rule, event.start)).series


def by_title(series: Iterable[Series]) -> dict[str, Series]:
    """Give series by their titles."""
    return {one.event.title: one for one in series}


async def test_rec_05_a_series_shifted_here_keeps_its_exceptions_at_exchange_and_leaves_nothing_behind(
    world: Engine, desk: Desk
) -> None:
    async with linked(world) as person:
        rows = {name: await world.put(with_two_exceptions(name)) for name in SHIFTS}
        await world.sync()
        before, wanted = person.hrefs(), {name: shift(row.series, name) for name, row in rows.items()}
        assert all(len(one.overrides) == 2 and len(one.exdate) == 1 for one in wanted.values())
        for name, series in wanted.items():
            await world.put(series, rows[name].id)
        await in_step(world, person)
        assert person.hrefs() == before, "updated in place"
        assert shown(await there(person)) == shown(wanted.values())
        found = by_title(await there(person))
        assert {name: (len(found[name].overrides), len(found[name].exdate)) for name in SHIFTS} == dict.fromkeys(SHIFTS, (2, 1))
        assert not await desk.problems()


@pytest.mark.parametrize("keeps", [True, False], ids=["exceptions made again", "exceptions dropped"])
async def test_rec_05_a_series_shifted_in_outlook_is_followed_in_place(world: Engine, desk: Desk, keeps: bool) -> None:
    async with linked(world) as person:
        for name in SHIFTS:
            await person.create(with_two_exceptions(f"{name} theirs"))
            await world.put(with_two_exceptions(f"{name} ours"))
        await world.sync()
        before, rows = person.hrefs(), {row.series.event.title: row.id for row in await world.ours()}
        for href, series in (await person.read(before)).items():
            wanted = shift(series, series.event.title.rpartition(" ")[0])
            await person.change(href, wanted if keeps else replace(wanted, overrides=(), exdate=()))
        expected = shown(await there(person))
        await in_step(world, person)
        assert await ours(world) == expected
        assert person.hrefs() == before
        assert {row.series.event.title: row.id for row in await world.ours()} == rows
        kept = {(len(row.series.overrides), len(row.series.exdate)) for row in await world.ours()}
        assert kept == {(2, 1) if keeps else (0, 0)}
        assert not await desk.problems()
        assert not await desk.holds()


async def test_rec_05_a_shift_there_meets_a_new_exception_here(world: Engine) -> None:
    async with linked(world) as person:
        row = await world.put(with_two_exceptions("an hour later"))
        await world.sync()
        ((href, held),) = (await person.read(person.hrefs())).items()
        await person.change(href, replace(held, event=replace(held.event, title="Renamed")))
        await world.put(shift(row.series, "an hour later"), row.id)
        await in_step(world, person)
        assert {title for _, title in await ours(world)} == {"Renamed"}
        assert (await there(person))[0].event.start == moment(1, 10)
        assert len(person.hrefs()) == 1


async def test_pro_03_of_many_occurrences_written_at_once_one_may_be_refused_and_none_is_lost(world: Engine, desk: Desk) -> None:
    async with linked(world) as person:
        series = meeting("Daily", rrule="FREQ=DAILY;COUNT=20")
        for day in range(2, 14):
            series = with_override(series, moment(day), location=f"Room {day}")
        series = replace(series, exdate=tuple(moment(day) for day in range(15, 20)))
        for place, code in ((2, "ErrorServerBusy"), (0, "ErrorInternalServerError")):
            person.exchange.faults.add(Fault("item", "UpdateItem", place=place, code=code))
            person.exchange.faults.add(Fault("item", "DeleteItem", place=place, code=code))
        await world.put(series)
        await in_step(world, person, rounds=4)
        assert len(person.hrefs()) == 1
        (found,) = await there(person)
        assert (len(found.overrides), len(found.exdate)) == (12, 5)
        assert not await desk.problems()


# --- TZ --------------------------------------------------------------------------------------------------------------


async def test_tz_01_nine_stays_nine_across_every_change_of_clocks(world: Engine) -> None:
    async with linked(world, window_back_days=400, window_ahead_days=800) as person:
        winter = datetime(datetime.now(UTC).year, 1, 5, 9)  # noqa: DTZ001  # the zone stands beside it
        for number, city in enumerate(CITIES):
            series = replace(at(Zoned(winter, city), city, "FREQ=WEEKLY;COUNT=78"), uid="")
            await (person.create(series) if number else world.put(series))
        await world.sync()
        for row in await world.ours():  # and after an edit of ours
            await world.put(edited(row, location="Room"), row.id)
        await world.sync()
        for places in (by_title(row.series for row in await world.ours()), by_title(await there(person))):
            assert places.keys() == set(CITIES)
            for city, series in places.items():  # Windows has one name for Melbourne and Sydney
                assert (wall_of(series.event.start), series.event.location) == (winter, "Room")
                starts = [start.astimezone(ZoneInfo(city)) for start, _ in shown([series], 800)]
                assert len(starts) >= 50
                assert {(start.hour, start.minute) for start in starts} == {(9, 0)}


async def test_tz_03_a_zone_nobody_knows_travels_by_its_rules(world: Engine, desk: Desk) -> None:
    async with linked(world) as person:
        zone = "\r\n".join(custom_zone("Our Own Zone", "+0545"))
        start = Zoned(moment(3).wall, zone)
        row = await world.put(replace(at(start, "Ours", "FREQ=DAILY;COUNT=3"), uid=""))
        await world.sync()
        _, found = await titled(person, "Ours")
        wanted = [instant(shifted(start, timedelta(days=day)), UTC) for day in range(3)]
        assert [at_.astimezone(UTC) for at_, _ in shown([found])] == wanted
        await person.create(replace(found, uid="", event=replace(found.event, title="Theirs")))
        await in_step(world, person)
        (theirs,) = [one.series for one in await world.ours() if one.id != row.id]
        assert [at_.astimezone(UTC) for at_, _ in shown([theirs])] == wanted, "never silently UTC"
        assert not await desk.problems()


async def test_tz_05_new_rules_move_the_index_and_write_nothing(world: Engine) -> None:
    async with linked(world) as person:
        await world.put(at(Zoned(moment(3).wall, "America/Mexico_City"), "Mexico", "FREQ=DAILY;COUNT=3"))
        await person.create(replace(at(Zoned(moment(3).wall, "Asia/Amman"), "Amman"), uid=""))
        await world.sync()
        right = await world.rows("select series_id, slot, starts_at, ends_at from occurrence order by series_id, slot")
        versions = await world.rows("select id, version, document from series order by id")
        async with world.database.begin() as connection:  # as they stood under the rules of an older release
            await connection.exec_driver_sql(
                "update occurrence set starts_at = starts_at + interval '1 hour', ends_at = ends_at + interval '1 hour'"
            )
            await instance.set_zone_release(connection, "2020a")
        now = datetime.now(UTC)
        await expand_window(world.database, now, now)
        await writes_nothing(world, person.exchange)
        assert await world.rows("select series_id, slot, starts_at, ends_at from occurrence order by series_id, slot") == right
        assert await world.rows("select id, version, document from series order by id") == versions


async def test_tz_06_what_is_timed_stays_timed_and_a_day_stays_a_day(world: Engine) -> None:
    midnight = moment(3, 0)
    day = midnight.wall.date()
    kinds: dict[str, tuple[Point, Point]] = {
        "a week from five to five": (Zoned(moment(3, 17).wall, CITIES[1]), Zoned(moment(10, 17).wall, CITIES[1])),
        "midnight to midnight": (midnight, moment(4, 0)),
        "midnight to midnight in UTC": (Zoned(midnight.wall, "UTC"), Zoned(moment(5, 0).wall, "UTC")),
        "a day": (Day(day), Day(day + timedelta(days=1))),
        "three days": (Day(day), Day(day + timedelta(days=3))),
    }
    async with linked(world) as person:
        person.exchange.simulator.mailbox(MAILBOX).zone = "UTC"  # where midnight to midnight looks most like a day
        for name, (start, end) in kinds.items():
            event = Event(start, end, name, show_as=ShowAs.OOF)
            await world.put(Series("", replace(event, title=f"{name}, ours")))
            await person.create(Series("", replace(event, title=f"{name}, theirs")))
        await in_step(world, person, rounds=3)
        assert len(await titles(person)) == 2 * len(kinds)
        for places in ([row.series for row in await world.ours()], await there(person)):
            for series in places:
                assert (series.event.start, series.event.end) == kinds[series.event.title.rpartition(",")[0]]
