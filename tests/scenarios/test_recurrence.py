"""REC: series, their exceptions, and what becomes of them on the way."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from tests.engine import Engine, meeting, moment
from tests.scenarios.calendars import edited, ours, shown, stamp, vcalendar, vevent, with_override
from tests.scenarios.desk import Desk
from tests.scenarios.places import FULL, Dav

from gleichtakt.model.document import read_series, series_document
from gleichtakt.model.point import Day, Zoned, shifted
from gleichtakt.model.recurrence import canonical_rule
from gleichtakt.model.split import move, split
from gleichtakt.model.zones import zone_of

WEEK = timedelta(days=7)


@pytest.mark.parametrize("variant", ["exact", "normalising"])
async def test_rec_01_a_split_made_there_becomes_two_series_and_stays_so(world: Engine, variant: str) -> None:
    tie = await world.tie("calendar", variant, **FULL)
    whole = meeting("Weekly", rrule="FREQ=WEEKLY", uid="whole")
    whole = with_override(whole, moment(8), moment(8, 14))
    thing = tie.add(whole)
    await world.sync()
    head, tail = split(tie.there()[0], moment(15), "tail")
    assert head is not None
    tail = replace(tail, event=replace(tail.event, start=moment(15, 11), end=moment(15, 12)))
    tie.edit(thing, recurrence=series_document(head)["recurrence"])
    tie.add(tail)
    expected = shown([head, tail])
    world.forget()
    await world.sync(rounds=5)
    assert await ours(world) == shown(tie.there()) == expected
    assert len(await world.ours()) == len(tie.things) == 2
    assert world.writes() == 0


async def test_rec_01_a_split_made_here_becomes_two_series_and_stays_so(world: Engine) -> None:
    tie = await world.tie(**FULL)
    row = await world.put(with_override(meeting("Weekly", rrule="FREQ=WEEKLY"), moment(8), moment(8, 14)))
    await world.sync()
    head, tail = split(row.series, moment(15), "")
    assert head is not None
    tail = replace(tail, event=replace(tail.event, start=moment(15, 11), end=moment(15, 12)))
    await world.put(head, row.id)
    await world.put(tail)
    await world.sync()
    world.forget()
    await world.sync(rounds=4)
    assert await ours(world) == shown(tie.there()) == shown([head, tail])
    assert (len(tie.things), world.writes()) == (2, 0)


NOTATIONS = {
    "its own": "TZID=Pacific/Auckland:{auckland}",
    "another": "TZID=Europe/Paris:{paris}",
    "utc": "{utc}",
}


def stored_elsewhere(uid: str, first: Zoned, slot: Zoned, notation: str) -> str:
    """Write a weekly series one occurrence of which was moved beyond its neighbour, its slot in some notation."""
    at = slot.wall.replace(tzinfo=zone_of(slot.tzid))
    written = notation.format(
        auckland=stamp(slot),
        paris=f"{at.astimezone(zone_of('Europe/Paris')):%Y%m%dT%H%M%S}",
        utc=f"{at.astimezone(UTC):%Y%m%dT%H%M%SZ}",
    )
    beyond = Zoned(slot.wall + timedelta(days=9, hours=2), slot.tzid)
    override = [
        "BEGIN:VEVENT",
        f"UID:{uid}",
        "DTSTAMP:20260101T000000Z",
        "SUMMARY:Moved",
        f"DTSTART;TZID={slot.tzid}:{stamp(beyond)}",
        "DURATION:PT1H",
        ("RECURRENCE-ID;" if "=" in written else "RECURRENCE-ID:") + written,
        "END:VEVENT",
        "END:VCALENDAR",
    ]
    master = vevent(uid, "RRULE:FREQ=WEEKLY;COUNT=4", start=first, title="Weekly")
    return master.replace("END:VCALENDAR", "\r\n".join(override))


async def test_rec_02_a_moved_occurrence_is_shown_once_in_whatever_zone_its_slot_is_stored(world: Engine, dav: Dav) -> None:
    tie = await dav.tie(**FULL, app_writes_foreign="allow")
    first = Zoned(moment(2).wall, "Pacific/Auckland")
    slot = Zoned(first.wall + WEEK, "Pacific/Auckland")
    for uid, notation in NOTATIONS.items():
        tie.add(stored_elsewhere(uid, first, slot, notation))
    await world.sync()
    for row in await world.ours():
        seen = shown([row.series])
        assert [title for _, title in seen] == ["Weekly", "Weekly", "Moved", "Weekly"], row.uid
        assert slot.wall.replace(tzinfo=zone_of(slot.tzid)) not in [start for start, _ in seen]
        override = replace(row.series.overrides[0], event=replace(row.series.overrides[0].event, title="Renamed"))
        await world.put(replace(row.series, overrides=(override,)), row.id)
    await world.sync()
    assert all("Renamed" in thing.text for thing in tie.things)
    assert await ours(world) == shown(tie.there())
    assert len(shown(tie.there())) == 12


async def test_rec_02_an_occurrence_moved_here_is_written_in_the_masters_zone_and_kind(world: Engine, dav: Dav) -> None:
    tie = await dav.tie(**FULL)
    start = Zoned(moment(2).wall, "Pacific/Auckland")
    slot = Zoned(start.wall + WEEK, "Pacific/Auckland")
    series = replace(
        meeting("Weekly", rrule="FREQ=WEEKLY;COUNT=4"),
        event=replace(meeting("Weekly").event, start=start, end=shifted(start, timedelta(hours=1))),
    )
    row = await world.put(series)
    await world.sync()
    await world.put(with_override(row.series, slot, Zoned(slot.wall + timedelta(hours=3), "Pacific/Auckland")), row.id)
    await world.sync()
    assert f"RECURRENCE-ID;TZID=Pacific/Auckland:{stamp(slot)}" in tie.things[0].text
    assert await ours(world) == shown(tie.there())


async def test_rec_03_exceptions_of_an_all_day_series_match_as_dates_whoever_made_it(world: Engine, dav: Dav, desk: Desk) -> None:
    tie = await dav.tie(**FULL)
    first = moment(2).wall.date()
    moved, deleted = first + timedelta(days=2), first + timedelta(days=3)
    for zone in ("Pacific/Auckland", "Europe/Berlin", "America/Los_Angeles"):
        tie.add(daily_in(zone, first, moved, deleted))
    await world.sync()
    for row in await world.ours():
        assert row.series.exdate == (Day(deleted),), row.uid
        assert [one.recurrence_id for one in row.series.overrides] == [Day(moved)]
        assert len(shown([row.series])) == 5
    assert len(await world.ours()) == 3
    assert not await desk.problems()


def daily_in(zone: str, first: date, moved: date, deleted: date) -> str:
    """Write an all-day series whose exceptions stand there as midnights of a zone in UTC."""

    def midnight(day: date) -> str:
        return f"{datetime.combine(day, datetime.min.time(), zone_of(zone)).astimezone(UTC):%Y%m%dT%H%M%SZ}"

    head = [f"UID:{zone}", "DTSTAMP:20260101T000000Z", "TRANSP:OPAQUE"]
    return vcalendar(
        f"X-WR-TIMEZONE:{zone}",
        "BEGIN:VEVENT",
        *head,
        "SUMMARY:Days",
        f"DTSTART;VALUE=DATE:{first:%Y%m%d}",
        "RRULE:FREQ=DAILY;COUNT=6",
        f"EXDATE:{midnight(deleted)}",
        "END:VEVENT",
        "BEGIN:VEVENT",
        *head,
        "SUMMARY:Moved",
        f"RECURRENCE-ID:{midnight(moved)}",
        f"DTSTART;VALUE=DATE:{first + timedelta(days=20):%Y%m%d}",
        "END:VEVENT",
    )


async def test_rec_04_deleted_occurrences_stay_deleted_in_every_kind_of_run(world: Engine, desk: Desk) -> None:
    tie = await world.tie(**FULL)
    row = await world.put(meeting("Daily", rrule="FREQ=DAILY;COUNT=10"))
    thing = tie.add(meeting("Theirs", uid="theirs", hour=15, rrule="FREQ=DAILY;COUNT=10"))
    await world.sync()
    gone = (moment(2), moment(5), moment(9))
    gone_there = tuple(moment(day, 15) for day in (3, 4, 10))
    await world.put(replace(row.series, exdate=gone), row.id)
    tie.edit(thing, recurrence=series_document(replace(read_series(thing.document), exdate=gone_there))["recurrence"])
    await world.sync()

    async def stay_deleted(run: str) -> None:
        world.forget()
        await world.sync(rounds=2)
        assert {one.series.exdate for one in await world.ours()} == {gone, gone_there}, run
        assert {one.exdate for one in tie.there()} == {gone, gone_there}, run
        assert len(await ours(world)) == 14, run
        assert (len(tie.things), world.writes()) == (2, 0), run

    await stay_deleted("incremental")
    async with world.database.begin() as connection:
        await connection.exec_driver_sql("update link set force_listing = true")
    await stay_deleted("full")
    world.simulator.expire_cursors(tie.folder)
    await stay_deleted("token lost")
    await desk.do(f"/links/{tie.id}/reset")
    await stay_deleted("linked anew")


SHIFTS = {
    "an hour later": (0, 10, "FREQ=WEEKLY;COUNT=6"),
    "two more": (0, 9, "FREQ=WEEKLY;COUNT=8"),
    "the day after": (1, 9, "FREQ=WEEKLY;COUNT=6"),
}


async def test_rec_05_a_shifted_series_keeps_its_exceptions_and_leaves_nothing_behind(world: Engine) -> None:
    tie = await world.tie(**FULL, guard_update_min=100)
    for where in ("here", "there"):
        for shift in SHIFTS:
            series = meeting(f"{shift} {where}", uid=f"{shift} {where}", rrule="FREQ=WEEKLY;COUNT=6")
            series = with_override(series, moment(8), location="Room 2")
            await world.put(with_override(series, moment(15), moment(15, 14)))
    await world.sync()
    wanted = []
    for row in await world.ours():
        days, hour, rule = SHIFTS[row.uid.rpartition(" ")[0]]
        event = replace(row.series.event, start=moment(1 + days, hour), end=moment(1 + days, hour + 1))
        moved = move(row.series, event, canonical_rule(rule, event.start)).series
        wanted.append(moved)
        if row.uid.endswith("there"):
            document = series_document(moved)
            (thing,) = [one for one in tie.things if one.document["uid"] == row.uid]
            tie.edit(thing, start=document["start"], end=document["end"], recurrence=document["recurrence"])
        else:
            await world.put(moved, row.id)
    await world.sync(rounds=2)
    assert await ours(world) == shown(tie.there()) == shown(wanted)
    assert (len(await world.ours()), len(tie.things)) == (6, 6)
    world.forget()
    await world.sync()
    assert world.writes() == 0


async def test_rec_06_a_title_changed_at_a_place_for_patterns_leaves_the_rule_as_it_is(world: Engine) -> None:
    tie = await world.tie("patterns", "patterned", **FULL)
    row = await world.put(meeting("Weekly", rrule="FREQ=WEEKLY;BYDAY=MO,WE;COUNT=8;WKST=SU"))
    await world.sync()
    tie.edit(tie.things[0], title="Renamed")
    await world.sync()
    (after,) = await world.ours()
    assert after.series == edited(row, title="Renamed")
