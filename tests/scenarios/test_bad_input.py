"""BAD, and everything else a calendar system can hand us: what is told, that nothing is lost, that it mends itself."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from tests.certificates import certificate, oldest_server
from tests.engine import ZONE, Engine, meeting, moment
from tests.scenarios.calendars import edited, shown, stamp, vcalendar, vevent
from tests.scenarios.desk import Desk
from tests.scenarios.places import FULL, Dav, Feeds

from gleichtakt.model.document import point_document
from gleichtakt.model.point import Day, Point, Zoned
from gleichtakt.simulators import caldav, feed
from gleichtakt.simulators.memory import Fault

LANGUAGES = ("en", "de")


async def told(desk: Desk, code: str, *, about: str = "") -> dict[str, Any]:
    """Give the open problem with a code, having looked that both languages say what happened and what helps."""
    spoken = []
    for language in LANGUAGES:
        found = [one for one in await desk.problems(language=language) if one["code"] == code and about in str(one)]
        assert len(found) == 1, (code, await desk.problems())
        spoken.append(found[0])
    english, german = spoken
    for part in ("cause", "remedy"):
        assert english[part], part
        assert german[part], part
        assert english[part] != german[part]
        assert "{" not in english[part] + german[part]
        assert "–" not in english[part]  # a parameter that nobody gave
    waits_for_a_person = english["kind"] == "auth_required" or english["scope"] == "series"
    assert english["next_try_at"] or waits_for_a_person, "when it is tried again by itself"
    return english


# --- whole calendars that cannot be reached or read --------------------------------------------------------------


@dataclass
class Case:
    """One broken calendar: what breaks it, what is told, and what mends it."""

    world: Engine
    desk: Desk
    dav: Dav
    number: int = 0
    connection_id: str = ""
    link_id: str = ""

    async def link(self, url: str, *, calendar: str = "", password: str = "sync-password", **more: Any) -> None:
        """Tie a new person to a calendar through the interface."""
        self.number += 1
        made = await self.desk.do(
            "/connections",
            {
                "provider": "caldav",
                "name": f"Case {self.number}",
                "url": url,
                "auth": {"method": "basic", "username": "sync", "password": password},
                **more,
            },
        )
        person = await self.desk.do("/resources", {"name": f"Person {self.number}"})
        wanted = {"resource_id": person["id"], "connection_id": made["id"], "calendar": calendar}
        self.connection_id, self.link_id = made["id"], (await self.desk.do("/links", {**wanted, "settings": FULL}))["id"]

    async def change(self, **fields: Any) -> None:
        """An administrator corrects the connection."""
        await self.desk.do(f"/connections/{self.connection_id}", fields, verb="PATCH")


async def wrong_password(case: Case, path: str) -> Callable[[], Awaitable[None]]:
    await case.link(case.dav.running.url, calendar=path, password="wrong")
    return lambda: case.change(auth={"password": "sync-password"})


async def nobody_there(case: Case, path: str) -> Callable[[], Awaitable[None]]:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    await case.link(f"http://127.0.0.1:{port}/", calendar=path)
    return lambda: case.change(url=case.dav.running.url)


async def no_such_calendar(case: Case, path: str) -> Callable[[], Awaitable[None]]:
    missing = f"/dav/sync/missing-{case.number}/"
    await case.link(case.dav.running.url, calendar=missing)

    async def mend() -> None:
        folder = case.dav.simulator.add_calendar("sync", missing.split("/")[3])
        case.dav.simulator.put(folder, "one.ics", vevent("one", title="Arrives later"), mails=False)

    return mend


async def unencrypted(case: Case, path: str) -> Callable[[], Awaitable[None]]:
    await case.link("http://calendar.example.org/", calendar=path)
    return lambda: case.change(url=case.dav.running.url)


def fault(*faults: caldav.Fault) -> Callable[[Case, str], Awaitable[Callable[[], Awaitable[None]]]]:
    async def breaking(case: Case, path: str) -> Callable[[], Awaitable[None]]:
        await case.link(case.dav.running.url, calendar=path)
        for one in faults:
            case.dav.simulator.faults.add(replace(one, path=path, times=-1))

        async def mend() -> None:
            case.dav.simulator.faults.clear()

        return mend

    return breaking


HTML = "<html><body>Please sign in at our portal</body></html>"
CASES: dict[str, tuple[str, Callable[[Case, str], Awaitable[Callable[[], Awaitable[None]]]]]] = {
    "wrong password": ("general.login_refused", wrong_password),
    "nobody there": ("general.unreachable", nobody_there),
    "no such calendar": ("general.calendar_missing", no_such_calendar),
    "unencrypted": ("general.unencrypted", unencrypted),
    "no right to read": ("general.forbidden", fault(caldav.Fault("status", status=403))),
    "a page instead of XML": ("general.malformed", fault(caldav.Fault("garbage", body=HTML))),
    "broken XML": ("general.malformed", fault(caldav.Fault("garbage", body="<multistatus xmlns='DAV:'><response><"))),
    "an empty answer": ("general.malformed", fault(caldav.Fault("garbage", body=""))),
    "a body cut in the middle": ("general.broken_off", fault(caldav.Fault("cut", "list"))),
}


async def test_what_is_wrong_with_a_whole_calendar_is_told_harms_nobody_else_and_mends_itself(
    world: Engine, desk: Desk, dav: Dav
) -> None:
    healthy = await world.tie(**FULL)
    case = Case(world, desk, dav)
    for name, (code, breaking) in CASES.items():
        folder = dav.simulator.add_calendar("sync", f"calendar-{case.number + 1}")
        dav.simulator.put(folder, "one.ics", vevent("one", title="Arrives later"), mails=False)
        mend = await breaking(case, folder.path)
        healthy.add(meeting(name, uid=name))
        await world.sync()
        await told(desk, code)
        assert name in await world.titles(), name  # the others go on
        link = await desk.get(f"/links/{case.link_id}")
        assert link["state"] in ("delayed", "error", "auth_required"), name
        assert link["health"]["problem"]["code"] == code
        assert link["health"]["last_success"] is None

        await mend()
        await world.sync()
        assert not await desk.problems(), name
        link = await desk.get(f"/links/{case.link_id}")
        assert (link["state"], link["health"]["problem"]) == ("in_step", None), name
        found = await world.rows("select document from series where resource_id = :id", id=link["resource_id"])
        assert "Arrives later" in str(found), name
    assert dav.simulator.refused_logins == 1


@asynccontextmanager
async def encrypted(dav: Dav, *, is_expired: bool = False) -> AsyncIterator[caldav.Running]:
    """Run a second server over TLS that holds the same calendars."""
    async with caldav.start(
        dav.simulator, tls=(certificate(is_expired=True) if is_expired else certificate()).context()
    ) as running:
        yield running


async def test_a_server_nobody_vouches_for_is_refused_until_its_authority_is_stored(world: Engine, desk: Desk, dav: Dav) -> None:
    folder = dav.simulator.add_calendar("sync", "calendar")
    dav.simulator.put(folder, "one.ics", vevent("one"), mails=False)
    case = Case(world, desk, dav)
    async with encrypted(dav) as running:
        url = running.url.replace("127.0.0.1", "localhost")
        await case.link(url, calendar=folder.path)
        await world.sync()
        assert "localhost" in (await told(desk, "general.tls"))["cause"]
        assert not dav.simulator.ledger, "not a word was said to it"
        await case.change(tls={"ca_pem": certificate().ca_pem})
        await world.sync()
        assert not await desk.problems()

        await case.change(tls={"pin_sha256": "00" * 32})
        await world.sync()
        await told(desk, "general.tls")
        await case.change(tls={"pin_sha256": certificate().pin})
        await world.sync()
        assert not await desk.problems()
    async with encrypted(dav, is_expired=True) as running:
        ca_pem = certificate(is_expired=True).ca_pem
        await case.change(url=running.url.replace("127.0.0.1", "localhost"), tls={"ca_pem": ca_pem})
        await world.sync()
        await told(desk, "general.tls_expired")
    with oldest_server() as port:
        await case.change(url=f"https://localhost:{port}/", tls={"ca_pem": certificate().ca_pem})
        await world.sync()
        await told(desk, "general.tls_old")
    found = await world.rows("select count(*) as number from series where deleted_at is null")
    assert found[0]["number"] == 1, "nothing was lost on the way"
    await case.change(url=dav.running.url, tls={})
    await world.sync()
    assert not await desk.problems()


async def test_garbage_instead_of_json_stops_one_calendar_and_mends_itself(world: Engine, desk: Desk) -> None:
    good, bad = await world.tie("good", **FULL), await world.tie("bad", relay="none", **FULL)
    bad.add(meeting("There", uid="there"))
    world.simulator.faults.add(Fault("garbage", "changes", calendar="bad", times=-1))
    good.add(meeting("Good", uid="good"))
    await world.sync()
    await told(desk, "general.malformed")
    assert await world.titles() == ["Good"]
    world.simulator.faults.clear()
    await world.sync()
    assert await world.titles() == ["Good", "There"]
    assert not await desk.problems()


FEED_CASES: dict[str, tuple[str, bytes | None, feed.Fault | None]] = {
    "a page": ("feed.not_a_calendar", HTML.encode(), None),
    "nothing": ("feed.not_a_calendar", b"", None),
    "the end is missing": ("feed.truncated", vevent("kept").encode().removesuffix(b"END:VCALENDAR\r\n"), None),
    "cut": ("feed.truncated", None, feed.Fault("cut", times=-1, tells_length=False)),
    "cut, length told": ("general.broken_off", None, feed.Fault("cut", times=-1)),
    "gone": ("feed.gone", None, feed.Fault("status", status=404, times=-1)),
    "error": ("general.server_error", None, feed.Fault("status", status=500, times=-1)),
}


async def test_bad_07_a_feed_that_cannot_be_read_whole_deletes_and_changes_nothing(
    world: Engine, desk: Desk, feeds: Feeds
) -> None:
    published, _ = await feeds.tie(**FULL)
    events = [meeting(f"Event {n}", uid=f"event-{n}", days=n + 1) for n in range(8)]
    feeds.publish(published, *events)
    published.etags = published.dates = False  # whatever is asked, the whole file is on its way
    await world.sync()
    before = await world.rows("select id, version from series order by id")
    assert len(before) == 8
    for name, (code, raw, broken) in FEED_CASES.items():
        published.raw, published.changed_at = raw, feeds.simulator.clock.now()
        if broken is not None:
            feeds.simulator.faults.add(broken)
        await world.sync()
        await told(desk, code)
        assert await world.rows("select id, version from series where deleted_at is null order by id") == before, name
        feeds.simulator.faults.clear()
        published.raw = None
        await world.sync()
        assert not await desk.problems(), name
        assert await world.rows("select id, version from series where deleted_at is null order by id") == before, name


# --- single events that cannot be read ---------------------------------------------------------------------------

BROKEN_EVENTS = {
    "no start": vcalendar("BEGIN:VEVENT", "UID:no-start", "DTSTAMP:20260101T000000Z", "SUMMARY:X", "END:VEVENT"),
    "a start that is none": vevent("bad-start").replace("DTSTART", "DTSTART;VALUE=DATE-TIME").replace(stamp(moment()), "soon"),
    "no end": vevent("no-end").replace("END:VCALENDAR", ""),
    "no end of the event": vevent("no-end-event").replace("END:VEVENT\r\n", ""),
    "lines that are none": vcalendar("BEGIN:VEVENT", "UID:lines", "this is no line", "DTSTART:what", "END:VEVENT"),
    "two events in one": vevent("first").replace("END:VCALENDAR\r\n", "") + vevent("second").removeprefix("BEGIN:VCALENDAR\r\n"),
}


async def test_bad_02_broken_events_are_listed_retried_and_never_hold_up_the_others(world: Engine, desk: Desk, dav: Dav) -> None:
    tie = await dav.tie(**FULL)
    names = {}
    for number in range(60):
        kind = list(BROKEN_EVENTS)[number // 10] if number % 10 in (0,) else ""
        if kind:
            names[kind] = tie.add(BROKEN_EVENTS[kind])
        else:
            tie.add(meeting("Fine", uid=f"fine-{number}", days=number % 30 + 1))
    await world.sync()
    assert len(await world.ours()) == 54
    problems = await desk.problems()
    assert len(problems) == len(BROKEN_EVENTS)
    assert {one["scope"] for one in problems} == {"series"}
    for one in problems:
        assert one["cause"], one
        assert one["remedy"], one
    listed = await world.rows("select href from problem where state = 'open'")
    assert {one["href"] for one in listed} == {tie.href(thing) for thing in names.values()}  # which one it is
    link = await desk.get(f"/links/{tie.id}")
    assert link["state"] == "degraded"
    assert link["health"]["last_success"]
    assert (await desk.get("/runs"))["items"][0]["state"] == "partial"

    tie.add(meeting("Later", uid="later", days=40))  # the position has moved on past the broken ones
    await world.sync(rounds=2)
    assert "Later" in await world.titles()
    assert len(await desk.problems()) == len(BROKEN_EVENTS)
    tie.rewrite(names["no start"], vevent("no-start", title="Mended"))  # retried when its version changes
    await world.sync()
    assert "Mended" in await world.titles()
    assert len(await desk.problems()) == len(BROKEN_EVENTS) - 1
    for thing in names.values():
        tie.remove(thing)
    await world.sync(rounds=2)
    assert not await desk.problems()  # what is gone is no problem any more
    assert (await desk.get(f"/links/{tie.id}"))["state"] == "in_step"


STRANGE_TITLES = {
    "control": "A\x01B\x1aC\x00",
    "noncharacters": "A\ufffeB\uffffC",
    "emoji": "🎈👩‍👩‍👧 Ägypten",
    "right to left": "שלום \u202eabc\u202c",
    "long": "x" * 5000,
    "line breaks": "one\r\ntwo\nthree",
    "calendar text": 'X\\nBEGIN:VEVENT\\;,:"',
}


async def test_bad_01_whatever_stands_in_a_text_arrives_without_what_xml_cannot_hold(world: Engine, desk: Desk, dav: Dav) -> None:
    tie = await dav.tie(**FULL)
    rows = {name: await world.put(meeting(text, uid=name, description=text)) for name, text in STRANGE_TITLES.items()}
    await world.sync()
    there = {one.uid: one.event for one in tie.there()}
    assert there.keys() == rows.keys()
    assert there["control"].title == "ABC"
    assert there["noncharacters"].description == "ABC"
    assert there["emoji"].title == STRANGE_TITLES["emoji"]
    assert there["calendar text"].description == STRANGE_TITLES["calendar text"]
    assert there["line breaks"].description.splitlines() == ["one", "two", "three"]
    kept = {row.id: row.series for row in await world.ours()}
    assert all(kept[row.id] == row.series for row in rows.values())  # the source is not touched
    dav.forget()
    await world.sync(rounds=2)
    assert dav.writes() == 0
    assert not await desk.problems()


async def test_bad_01_forbidden_characters_from_there_cost_a_character_and_are_not_written_back(
    world: Engine, desk: Desk, dav: Dav
) -> None:
    tie = await dav.tie(**FULL, app_writes_foreign="allow")
    for number, broken in enumerate(("\x1a", "\x00", "\x0b", "&#x11;", "\ufffe")):
        tie.add(vevent(f"odd-{number}", title=f"Meeting{broken}", start=moment(number + 1)))
    tie.add(vevent("plain", title="Plain", start=moment(20)))
    dav.simulator.faults.add(caldav.Fault("spoil", "fetch", body="Plain"))
    dav.forget()
    await world.sync(rounds=3)
    assert len(await world.ours()) == 6
    assert all(title.startswith(("Meeting", "Plain", "�", "&", "\u200b")) for title in await world.titles())
    assert dav.writes() == 0
    assert not await desk.problems()


async def test_bad_01_half_a_letter_cannot_come_in_through_the_interface(world: Engine, desk: Desk) -> None:
    body = (
        b'{"title": "half \\ud83d", "start": {"date_time": "2026-11-23T09:00:00", "time_zone": "Europe/Berlin"},'
        b' "end": {"date_time": "2026-11-23T10:00:00", "time_zone": "Europe/Berlin"}}'
    )
    answer = await desk.client.post(
        f"/api/v1/resources/{world.resource_id}/events",
        content=body,
        headers={"authorization": f"Bearer {desk.key}", "content-type": "application/json"},
    )
    assert answer.status_code in (400, 422)
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert not await world.ours()


async def test_a_description_of_five_megabytes_goes_both_ways_or_is_told(world: Engine, desk: Desk, dav: Dav) -> None:
    exact, small = await world.tie("exact", **FULL, relay="none"), await dav.tie(**FULL, relay="none")
    dav.simulator.habits.most_bytes = 1_000_000
    huge = "Größe 🎈\n" * 400_000  # 5.6 MB
    row = await world.put(meeting("Huge", description=huge))
    await world.put(meeting("Small", days=2))
    await world.sync()
    assert exact.titles == ["Huge", "Small"]
    assert small.titles == ["Small"]  # what is too large there keeps nobody back
    assert read_description(exact) == huge
    problems = [one for one in await desk.problems() if one["code"] == "general.too_large"]
    assert {one["link_id"] for one in problems} == {str(small.id)}
    assert {one["series_id"] for one in problems} == {str(row.id)}
    world.forget()
    dav.forget()
    await world.sync(rounds=2)
    assert (world.writes(), dav.writes()) == (0, 0), "it is not tried again and again"

    await world.put(edited(row, description="short"), row.id)
    await world.sync()
    assert exact.titles == small.titles == ["Huge", "Small"]
    assert not await desk.problems()
    (thing,) = [one for one in exact.things if one.document["title"] == "Small"]
    exact.edit(thing, description=huge)
    await world.sync()
    assert [one.series.event.description for one in await world.ours() if one.series.event.title == "Small"] == [huge]


def read_description(tie: Any) -> str:
    """Give the description of the event titled Huge."""
    (found,) = [one.event.description for one in tie.there() if one.event.title == "Huge"]
    return str(found)


EDGES: dict[str, Point] = {
    "1601": Zoned(datetime.fromisoformat("1601-01-01"), ZONE),
    "1899": Zoned(datetime.fromisoformat("1899-12-30"), ZONE),
    "1604": Day(date(1604, 2, 29)),
    "4501": Zoned(datetime.fromisoformat("4501-01-01"), ZONE),
    "9999": Zoned(datetime.fromisoformat("9999-12-31T22:59"), "UTC"),
    "0001": Zoned(datetime.fromisoformat("0001-01-01T12:00"), "UTC"),
}


async def test_bad_05_dates_at_the_edge_of_the_world_are_held_where_they_can_be_and_told_where_not(
    world: Engine, desk: Desk, dav: Dav
) -> None:
    wide: dict[str, Any] = {"window_back_days": 3650, "window_ahead_days": 3650}
    exact = await world.tie("exact", **FULL, **wide, relay="none")
    narrow = await world.tie("narrow", "lossy", **FULL, **wide, relay="none")
    tie = await dav.tie(**FULL, **wide, relay="none")
    for name, start in EDGES.items():
        event = replace(meeting(name).event, start=start, end=start if isinstance(start, Zoned) else Day(date(1604, 3, 1)))
        tie.add(replace(meeting(name, uid=f"there-{name}"), event=event))
        yearly = replace(meeting(name, uid=f"yearly-{name}", rrule="FREQ=YEARLY"), event=event)
        exact.add(yearly)
        await world.put(replace(yearly, uid=f"ours-{name}", event=replace(event, title=f"Ours {name}")))
    await world.put(meeting("Today", days=0, hour=12))
    await world.sync(rounds=2)
    assert "Today" in exact.titles
    assert "Today" in narrow.titles
    assert "Today" in tie.titles
    birthday = [row for row in await world.ours() if row.uid == "yearly-1604"]
    assert birthday
    leap = [start.date() for start, _ in shown([birthday[0].series], 1500)]
    assert all((day.month, day.day) in ((2, 28), (2, 29)) for day in leap)  # midnight in Berlin is the evening before in UTC
    refused = [one for one in await desk.problems() if one["code"] == "sync.year_not_held"]
    assert {one["link_id"] for one in refused} == {str(narrow.id)}, "for that target only"
    world.forget()
    dav.forget()
    await world.sync(rounds=2)
    assert (world.writes(), dav.writes()) == (0, 0)


BOMBS = {
    "every second": "FREQ=SECONDLY",
    "a thousand million": "FREQ=MINUTELY;COUNT=1000000000",
    "never": "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30",
    "all at once": "FREQ=DAILY;BYHOUR={h};BYMINUTE={m};BYSECOND={m}".format(
        h=",".join(map(str, range(24))), m=",".join(map(str, range(60)))
    ),
}


async def test_scl_01_a_rule_that_never_ends_is_told_and_costs_nobody_else_anything(world: Engine, desk: Desk, dav: Dav) -> None:
    tie = await dav.tie(**FULL)
    for name, rule in BOMBS.items():
        tie.add(vevent(name, f"RRULE:{rule}", title=name))
    tie.add(meeting("Fine", uid="fine", days=2))
    dates = ",".join(stamp(Zoned(moment().wall + timedelta(days=n), ZONE)) for n in range(20_000))
    tie.add(vevent("excluded", "RRULE:FREQ=DAILY", f"EXDATE;TZID={ZONE}:{dates}", title="Excluded"))
    await world.sync()
    assert "Fine" in await world.titles()
    problems = await desk.problems()
    assert {one["scope"] for one in problems} == {"series"}
    assert {"every second", "a thousand million", "all at once"} <= {
        name for name in BOMBS for one in problems if name in str(await href_or_uid(world, one))
    }
    for one in problems:
        assert one["cause"]
        assert one["remedy"]
    answer = await desk.get(f"/resources/{world.resource_id}/events?from=2026-01-01T00:00:00Z&to=2036-01-01T00:00:00Z")
    assert "Fine" in str(answer)
    tie.rewrite(tie.things[0], vevent("every second", "RRULE:FREQ=DAILY;COUNT=3", title="every second"))
    await world.sync()
    assert len(await desk.problems()) == len(problems) - 1


async def href_or_uid(world: Engine, problem: dict[str, Any]) -> str:
    """Say which event a problem is about."""
    found = await world.rows(
        "select o.uid, o.href from observed o left join pairing p on p.href = o.href and p.link_id = o.link_id"
        " where p.series_id = cast(:series as uuid) or o.href = (select href from problem where id = cast(:id as uuid))",
        series=problem["series_id"],
        id=problem["id"],
    )
    return str(found)


# --- what may be read in more than one way -----------------------------------------------------------------------


async def test_bad_03_ends_before_starts_are_levelled_once_and_never_sent_again(world: Engine, dav: Dav) -> None:
    tie = await dav.tie(**FULL, app_writes_foreign="allow")
    early = stamp(Zoned(moment().wall - timedelta(hours=2), ZONE))
    late = stamp(Zoned(moment().wall + timedelta(hours=2), ZONE))
    end = f"DTEND;TZID={ZONE}:{stamp(Zoned(moment().wall + timedelta(hours=1), ZONE))}\r\n"
    tie.add(vevent("before").replace(end, f"DTEND;TZID={ZONE}:{early}\r\n"))
    tie.add(vevent("zero").replace(end, f"DTEND;TZID={ZONE}:{stamp(moment())}\r\n"))
    tie.add(vevent("none").replace(end, ""))
    tie.add(vevent("both").replace(end, f"DTEND;TZID={ZONE}:{late}\r\nDURATION:PT0S\r\n"))
    tie.add(vevent("negative").replace(end, "DURATION:-PT1H\r\n"))
    day = moment().wall.date()
    for name, lines in {"day": [], "same day": [f"DTEND;VALUE=DATE:{day:%Y%m%d}"]}.items():
        text = vcalendar(
            "BEGIN:VEVENT",
            f"UID:{name}",
            "DTSTAMP:20260101T000000Z",
            "TRANSP:OPAQUE",
            f"DTSTART;VALUE=DATE:{day:%Y%m%d}",
            *lines,
            "END:VEVENT",
        )
        tie.add(text)
    texts = {thing.name: thing.text for thing in tie.things}
    dav.forget()
    await world.sync(rounds=2)
    lengths = {row.uid: _length(row.series.event) for row in await world.ours()}
    nothing, whole = timedelta(), timedelta(days=1)
    assert lengths == {
        "before": nothing,
        "zero": nothing,
        "none": nothing,
        "negative": nothing,
        "both": timedelta(hours=2),
        "day": whole,
        "same day": whole,
    }
    assert dav.writes() == 0
    assert {thing.name: thing.text for thing in tie.things} == texts  # the source is untouched

    zero = await world.put(meeting("Ours", uid="ours", minutes=0))
    await world.sync()
    dav.forget()
    await world.sync(rounds=2)
    assert dav.writes() == 0
    assert [row.series for row in await world.ours() if row.id == zero.id] == [zero.series]


def _length(event: Any) -> timedelta:
    if isinstance(event.start, Day):
        return timedelta(days=(event.end.date - event.start.date).days)
    length: timedelta = event.end.wall - event.start.wall
    return length


SLOPPY = {
    "count and until": "FREQ=DAILY;COUNT=3;UNTIL=20991231T000000Z",
    "no times": "FREQ=DAILY;COUNT=0",
    "fewer than none": "FREQ=DAILY;COUNT=-1",
    "ends before it starts": "FREQ=DAILY;UNTIL=19990101T000000Z",
    "no step": "FREQ=DAILY;INTERVAL=0;COUNT=3",
    "nothing by day": "FREQ=WEEKLY;BYDAY=;COUNT=3",
    "no frequency": "INTERVAL=2",
    "unknown parts": "FREQ=DAILY;X-SKIP=1;COUNT=3",
    "small letters": "freq=daily;count=3",
}


async def test_bad_04_every_broken_rule_is_shown_and_none_is_written_back_broken(world: Engine, desk: Desk, dav: Dav) -> None:
    tie = await dav.tie(**FULL, app_writes_foreign="allow")
    for name, rule in SLOPPY.items():
        tie.add(vevent(name, f"RRULE:{rule}", title=name))
    dav.forget()
    await world.sync(rounds=2)
    rows = {row.uid: row for row in await world.ours()}
    assert rows.keys() == SLOPPY.keys()
    assert all(1 <= len(shown([row.series])) <= 400 for row in rows.values())  # never none, and it ends
    assert dav.writes() == 0
    for name, row in rows.items():
        await world.put(edited(row, title=f"{name}, renamed"), row.id)
    await world.sync()
    for thing in tie.things:
        uid = next(name for name in SLOPPY if f"UID:{name}\r\n" in thing.text)
        assert f"RRULE:{SLOPPY[uid]}\r\n" in thing.text, "left as it was: we changed something else"
        assert "renamed" in thing.text
    assert not await desk.problems()


async def test_bad_06_sloppy_files_are_read_for_what_they_must_mean(world: Engine, desk: Desk, feeds: Feeds) -> None:
    plain = vevent("uid-of-one", title="Grüße 🎈 aus München")
    folded = plain.encode().replace("🎈".encode(), "🎈".encode()[:2] + b"\r\n " + "🎈".encode()[2:])
    variants = {
        "a mark at the start": b"\xef\xbb\xbf" + plain.encode(),
        "folded inside a letter": folded,
        "bare line feeds": plain.replace("\r\n", "\n").encode(),
        "without PRODID": plain.replace("PRODID:-//Other//EN\r\n", "").encode(),
        "a page glued behind": plain.encode() + HTML.encode(),
        "two bytes a letter": plain.encode("utf-16"),
        "tabs as folds": plain.replace("SUMMARY:Grüße", "SUMMARY:Grü\r\n\tße").encode(),
        "a long line": plain.replace("END:VEVENT", f"X-LONG:{'y' * 100_000}\r\nEND:VEVENT").encode(),
        "a component inside": plain.replace("END:VEVENT", "BEGIN:X-A\r\nBEGIN:X-B\r\nEND:X-B\r\nEND:X-A\r\nEND:VEVENT").encode(),
    }
    for number, (name, raw) in enumerate(variants.items()):
        published, _ = await feeds.tie(f"feed-{number}", relay="none", **FULL)
        published.raw = raw
        for encoding in ("utf-8", "utf-16-le"):  # another event each, on another day
            for old, new in (("uid-of-one", f"{name[:10]:x<10}"), (stamp(moment(1)), stamp(moment(number + 2)))):
                published.raw = published.raw.replace(old.encode(encoding), new.encode(encoding))
    await world.sync(rounds=2)
    titles = await world.titles()
    assert titles == ["Grüße 🎈 aus München"] * len(variants), dict(zip(sorted(variants), titles, strict=False))
    assert not await desk.problems()


@pytest.mark.parametrize("field", ["start"])
async def test_documents_of_another_shape_are_unreadable_one_by_one(world: Engine, desk: Desk, field: str) -> None:
    tie = await world.tie(**FULL)
    thing = tie.add(meeting("Broken", uid="broken"))
    tie.add(meeting("Fine", uid="fine", days=2))
    thing.raw = thing.raw.replace(b'"' + field.encode() + b'":', b'"other":')
    await world.sync()
    assert await world.titles() == ["Fine"]
    await told(desk, "general.unreadable")
    tie.edit(thing, start=point_document(moment()))
    await world.sync()
    assert await world.titles() == ["Broken", "Fine"]
    assert not await desk.problems()
