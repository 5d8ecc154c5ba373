"""TZ: a meeting at nine is at nine, a day is a day, whoever's clock is asked."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from tests.engine import ZONE, Engine, moment
from tests.scenarios.calendars import edited, shown, stamp, vcalendar, vevent
from tests.scenarios.desk import Desk
from tests.scenarios.places import FULL, Dav

from gleichtakt.model.event import Event, Series, ShowAs
from gleichtakt.model.point import Day, Floating, Point, Zoned, shifted
from gleichtakt.store import instance
from gleichtakt.worker.expand_window import expand_window

WIDE = {**FULL, "window_back_days": 400, "window_ahead_days": 800}
CITIES = ("Europe/Berlin", "America/New_York", "Australia/Melbourne")


def at(start: Point, title: str, rrule: str = "", hours: int = 1) -> Series:
    """Give an event that starts at a point."""
    end = shifted(start, timedelta(days=hours) if isinstance(start, Day) else timedelta(hours=hours))
    return Series(f"{title}@example.org", Event(start, end, title), rrule)


async def test_tz_01_nine_stays_nine_across_every_change_of_clocks_and_every_calendar(world: Engine, dav: Dav) -> None:
    exact, there = await world.tie(**WIDE, relay="full"), await dav.tie(**WIDE, relay="full")
    winter = datetime(datetime.now(UTC).year, 1, 5, 9)  # noqa: DTZ001 - a wall-clock reading
    for number, city in enumerate(CITIES):
        series = at(Zoned(winter, city), city, "FREQ=WEEKLY;COUNT=78")
        (world.put, exact.add, there.add)[number](series) if number else await world.put(series)
    await world.sync(rounds=3)
    held = {row.series.event.title: row.series for row in await world.ours()}
    for places in (held, {one.event.title: one for one in exact.there()}, {one.event.title: one for one in there.there()}):
        assert places.keys() == set(CITIES)
        for city, series in places.items():
            assert series.event.start == Zoned(winter, city)
            starts = [start.astimezone(ZoneInfo(city)) for start, _ in shown([series], 800)]
            assert len(starts) >= 50
            assert {(start.hour, start.minute) for start in starts} == {(9, 0)}
    for row in await world.ours():  # and after an edit of ours
        if row.origin == "app":
            await world.put(edited(row, location="Room"), row.id)
    await world.sync(rounds=2)
    assert all(one.event.start == Zoned(winter, one.event.title) for one in [*exact.there(), *there.there()])


@pytest.fixture(params=["UTC", "Pacific/Auckland", "Pacific/Honolulu"])
def machine_zone(request: pytest.FixtureRequest) -> Iterator[str]:
    """The zone of the machine we run on."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = request.param
    time.tzset()
    yield request.param
    os.environ.pop("TZ") if before is None else os.environ.update(TZ=before)
    time.tzset()


async def test_tz_02_a_day_is_the_same_day_in_every_calendar_and_on_every_machine(
    world: Engine, dav: Dav, machine_zone: str
) -> None:
    exact, there = await world.tie(**FULL, relay="full"), await dav.tie(**FULL, relay="full")
    first = moment(3).wall.date()
    rows = [await world.put(at(Day(first), "one ours")), await world.put(at(Day(first), "three ours", hours=3))]
    exact.add(at(Day(first), "one exact"))
    there.add(at(Day(first), "three dav", hours=3))
    await world.sync(rounds=3)
    for row in rows:  # only the title
        await world.put(edited(row, title=f"{row.series.event.title}, renamed"), row.id)
    await world.sync(rounds=3)
    for places in ([row.series for row in await world.ours()], exact.there(), there.there()):
        assert len(places) == 4
        for series in places:
            days = 3 if "three" in series.event.title else 1
            assert (series.event.start, series.event.end) == (Day(first), Day(first + timedelta(days=days))), machine_zone
    assert all("DTSTART;VALUE=DATE:" in thing.text for thing in there.things)


def custom_zone(name: str, offset: str) -> list[str]:
    """Define a zone without summer time."""
    return [
        "BEGIN:VTIMEZONE",
        f"TZID:{name}",
        "BEGIN:STANDARD",
        "DTSTART:16010101T000000",
        f"TZOFFSETFROM:{offset}",
        f"TZOFFSETTO:{offset}",
        "END:STANDARD",
        "END:VTIMEZONE",
    ]


async def test_tz_03_zones_nobody_knows_are_understood_or_told_and_never_silently_utc(
    world: Engine, desk: Desk, dav: Dav
) -> None:
    tie = await dav.tie(**FULL)
    day = moment(3).wall
    spellings = (
        "W. Europe Standard Time",
        "US/Eastern",
        "/freeassociation.sourceforge.net/Europe/Berlin",
        "(UTC+01:00) Amsterdam, Berlin, Bern, Rome, Stockholm, Vienna",
        "Nowhere/Unknown",
    )
    for number, name in enumerate(spellings):
        tie.add(
            vcalendar(
                "BEGIN:VEVENT",
                f"UID:{number}",
                "DTSTAMP:20260101T000000Z",
                f'DTSTART;TZID="{name}":{day:%Y%m%dT%H%M%S}',
                "DURATION:PT1H",
                f"SUMMARY:{name}",
                "END:VEVENT",
            )
        )
    embedded = vevent("embedded", title="Embedded").replace(f"TZID={ZONE}", "TZID=Customized Time Zone")
    tie.add(embedded.replace("BEGIN:VEVENT", "\r\n".join([*custom_zone("Customized Time Zone", "+0545"), "BEGIN:VEVENT"])))
    await world.sync()
    starts = {row.series.event.title: row.series.event.start for row in await world.ours()}
    assert starts["W. Europe Standard Time"] == Zoned(day, "Europe/Berlin")
    assert starts["US/Eastern"] == Zoned(day, "America/New_York")
    assert starts["/freeassociation.sourceforge.net/Europe/Berlin"] == Zoned(day, "Europe/Berlin")
    assert starts["(UTC+01:00) Amsterdam, Berlin, Bern, Rome, Stockholm, Vienna"] == Zoned(day, "Europe/Berlin")
    assert starts["Nowhere/Unknown"] == Floating(day)  # the calendar's own clock, not UTC
    kathmandu = [start for start, title in shown(row.series for row in await world.ours()) if title == "Embedded"]
    assert (kathmandu[0].hour, kathmandu[0].minute) == (3, 15)
    assert not await desk.problems()


async def test_tz_04_occurrences_follow_the_organizers_clock_where_two_countries_change_apart(
    world: Engine, desk: Desk, dav: Dav
) -> None:
    tie = await dav.tie(**WIDE)
    year = datetime.now(UTC).year + 1
    first = datetime(year, 3, 1, 9)  # noqa: DTZ001 - a wall-clock reading
    first += timedelta(days=(1 - first.weekday()) % 7)
    moved = first + timedelta(days=14)
    series = at(Zoned(first, "America/New_York"), "New York", "FREQ=WEEKLY;COUNT=6")
    text = vevent(series.uid, "RRULE:FREQ=WEEKLY;COUNT=6", start=Zoned(first, "America/New_York"), title="New York").replace(
        "END:VCALENDAR",
        "\r\n".join(
            [
                "BEGIN:VEVENT",
                f"UID:{series.uid}",
                "DTSTAMP:20260101T000000Z",
                f"RECURRENCE-ID;TZID=America/New_York:{stamp(Zoned(moved, ZONE))}",
                f"DTSTART;TZID=America/New_York:{stamp(Zoned(moved + timedelta(hours=1), ZONE))}",
                "DURATION:PT1H",
                "SUMMARY:New York, later",
                "END:VEVENT",
                "END:VCALENDAR",
            ]
        ),
    )
    tie.add(text)
    await world.sync()
    answer = await desk.get(f"/resources/{world.resource_id}/free-busy?from={year}-02-20T00:00:00Z&to={year}-05-01T00:00:00Z")
    starts = [datetime.fromisoformat(one["start"]) for one in answer["busy"]]
    expected = [(first + timedelta(days=7 * n)).replace(tzinfo=ZoneInfo("America/New_York")) for n in range(6)]
    expected[2] += timedelta(hours=1)
    assert starts == [one.astimezone(UTC) for one in expected]
    in_berlin = {start.astimezone(ZoneInfo("Europe/Berlin")).hour for start in starts}
    assert in_berlin >= {14, 15}, "the weeks in which the two countries differ"


async def test_tz_05_new_rules_move_the_index_and_write_nothing(world: Engine, dav: Dav) -> None:
    tie = await dav.tie(**FULL)
    await world.put(at(Zoned(moment(3).wall, "America/Mexico_City"), "Mexico", "FREQ=DAILY;COUNT=3"))
    tie.add(at(Zoned(moment(3).wall, "Asia/Amman"), "Amman"))
    await world.sync()
    right = await world.rows("select series_id, slot, starts_at, ends_at from occurrence order by series_id, slot")
    series = await world.rows("select id, version, document from series order by id")
    async with world.database.begin() as connection:  # as they stood under the rules of an older release
        await connection.exec_driver_sql(
            "update occurrence set starts_at = starts_at + interval '1 hour', ends_at = ends_at + interval '1 hour'"
        )
        await instance.set_zone_release(connection, "2020a")
    dav.forget()
    now = datetime.now(UTC)
    await expand_window(world.database, now, now)
    await world.sync(rounds=2)
    assert await world.rows("select series_id, slot, starts_at, ends_at from occurrence order by series_id, slot") == right
    assert await world.rows("select id, version, document from series order by id") == series
    assert dav.writes() == 0


async def test_tz_05_definitions_of_one_name_stay_with_their_events(world: Engine, dav: Dav) -> None:
    tie = await dav.tie(**FULL)
    for uid, offset in (("east", "+0545"), ("west", "-0330")):
        text = vevent(uid, title=uid).replace(f"TZID={ZONE}", "TZID=Our Zone")
        tie.add(text.replace("BEGIN:VEVENT", "\r\n".join([*custom_zone("Our Zone", offset), "BEGIN:VEVENT"])))
    known = vevent("known", title="known").replace("BEGIN:VEVENT", "\r\n".join([*custom_zone(ZONE, "-0800"), "BEGIN:VEVENT"]))
    tie.add(known)  # a known name means our rules, whatever stands beside it
    await world.sync()
    seen = {title: start for start, title in shown(row.series for row in await world.ours())}
    assert (seen["east"].hour, seen["east"].minute) == (3, 15)
    assert (seen["west"].hour, seen["west"].minute) == (12, 30)
    assert seen["known"] == moment().wall.replace(tzinfo=ZoneInfo(ZONE)).astimezone(UTC)


async def test_tz_06_what_is_timed_stays_timed_and_a_day_stays_a_day(world: Engine, dav: Dav) -> None:
    exact, there = await world.tie(**FULL, relay="full"), await dav.tie(**FULL, relay="full")
    midnight = moment(3, 0)
    kinds: dict[str, tuple[Point, Point]] = {
        "a week from five to five": (
            Zoned(moment(3, 17).wall, "America/Los_Angeles"),
            Zoned(moment(10, 17).wall, "America/Los_Angeles"),
        ),
        "midnight to midnight": (midnight, moment(4, 0)),
        "midnight to midnight in UTC": (Zoned(midnight.wall, "UTC"), Zoned(moment(5, 0).wall, "UTC")),
        "a day": (Day(midnight.wall.date()), Day(midnight.wall.date() + timedelta(days=1))),
        "three days": (Day(midnight.wall.date()), Day(midnight.wall.date() + timedelta(days=3))),
        "floating": (Floating(midnight.wall), Floating(moment(4, 0).wall)),
    }
    for name, (start, end) in kinds.items():
        events = [Event(start, end, f"{name}, {place}", show_as=ShowAs.OOF) for place in ("ours", "exact", "dav")]
        await world.put(Series(f"ours {name}", events[0]))
        exact.add(Series(f"exact {name}", events[1]))
        there.add(Series(f"dav {name}", events[2]))
    await world.sync(rounds=3)
    for places in ([row.series for row in await world.ours()], exact.there(), there.there()):
        assert len(places) == 3 * len(kinds)
        for series in places:
            assert (series.event.start, series.event.end) == kinds[series.event.title.rpartition(",")[0]], series.uid
