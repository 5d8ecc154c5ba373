"""What the contract does not ask of a server, asked of Radicale and Xandikos as real processes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from tests.caldav_world import ServerWorld, caldav_login, server_world
from tests.contract.samples import STANDUP, WINDOW, at, meeting
from tests.contract.suite import create, held, update, upserts, with_title
from tests.contract.world import last_cursor, read
from tests.servers import SERVERS, Server, radicale

from gleichtakt.errors import AuthRequired, CursorExpired, Permanent
from gleichtakt.model.ics import write_calendar
from gleichtakt.providers.caldav import wire
from gleichtakt.providers.protocol import CalendarRef, Cursor, Href, Known, Stored
from gleichtakt.providers.registry import connect

pytestmark = pytest.mark.servers

#: What somebody types in as the address.
TYPED: Mapping[str, Callable[[Server], str]] = {
    "the server alone": lambda server: server.url,
    "the principal": lambda server: f"{server.url}/{server.user}/",
    "the well-known address": lambda server: f"{server.url}/.well-known/caldav",
    "the home": lambda server: server.url + server.home,
}
#: (server, test) -> why it is not asked.
EXEMPT: Mapping[tuple[str, str], str] = {
    ("xandikos", "wrong password"): "it asks nobody for a password: that is left to a proxy before it",
}
OWN_ZONE = (
    "BEGIN:VTIMEZONE\r\nTZID:Werk Nord\r\n"
    "BEGIN:STANDARD\r\nDTSTART:19701025T030000\r\nRRULE:FREQ=YEARLY;BYMONTH=10;BYDAY=-1SU\r\n"
    "TZOFFSETFROM:+0215\r\nTZOFFSETTO:+0115\r\nEND:STANDARD\r\n"
    "BEGIN:DAYLIGHT\r\nDTSTART:19700329T020000\r\nRRULE:FREQ=YEARLY;BYMONTH=3;BYDAY=-1SU\r\n"
    "TZOFFSETFROM:+0115\r\nTZOFFSETTO:+0215\r\nEND:DAYLIGHT\r\nEND:VTIMEZONE\r\n"
)
SENT_BY_OTHERS = (
    "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//Somebody//EN\r\n" + OWN_ZONE + "BEGIN:VEVENT\r\n"
    "UID:plant@contract.example\r\nDTSTAMP:20260101T000000Z\r\nSUMMARY:Schicht\r\n"
    "DTSTART;TZID=Werk Nord:20260303T090000\r\nDTEND;TZID=Werk Nord:20260303T100000\r\n"
    "RRULE:FREQ=WEEKLY;COUNT=6\r\nX-SHIFT;X-COLOUR=teal:früh\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n"
)


@pytest.fixture(params=sorted(SERVERS))
async def world(request: pytest.FixtureRequest) -> AsyncIterator[ServerWorld]:
    async with server_world(request.param) as made:
        yield made


@pytest.mark.parametrize("typed", TYPED)
async def test_a_calendar_is_found_from_whatever_somebody_types(world: ServerWorld, typed: str) -> None:
    provider = connect(caldav_login(TYPED[typed](world.server), world.server.user, world.server.password))
    try:
        found = {calendar.ref.calendar: calendar for calendar in await provider.calendars("")}
        assert found[world.calendar.calendar].can_write
    finally:
        await provider.close()


async def test_pro_01_a_token_the_server_never_gave_leads_to_a_listing(world: ServerWorld) -> None:
    href = await world.create(meeting())
    position = wire.read_position(last_cursor(await read(world)))
    assert position is not None
    assert position.token, "this server lists by sync-collection"
    unknown = replace(position, token=position.token[:-6] + "000000", ctag="")
    with pytest.raises(CursorExpired):
        await read(world, Cursor(unknown.write()))
    assert set(upserts(await read(world))) == {href}


async def test_pro_01_a_calendar_emptied_and_filled_again_is_told_apart(world: ServerWorld) -> None:
    first = await world.create(meeting(1))
    cursor = last_cursor(await read(world))
    await world.delete(first)
    second = await world.create(meeting(2))
    pages = await read(world, cursor)
    assert set(upserts(pages)) == {second}
    assert {href for page in pages for href in page.gone} == {first}


async def test_con_01_of_two_writers_at_one_version_the_second_is_told(world: ServerWorld) -> None:
    stored = await create(world, meeting())
    base = (await held(world, stored.href)).series
    changed = replace(base, event=replace(base.event, location="Raum Spree"))
    await update(world, stored, base, changed, "location")
    status, _ = await world.send(
        "PUT", stored.href, write_calendar([base]).decode(), **{"If-Match": stored.etag, "Content-Type": "text/calendar"}
    )
    assert status == 412
    assert (await world.content(stored.href)).event.location == "Raum Spree"


async def test_a_zone_of_somebodys_own_survives_our_edit(world: ServerWorld) -> None:
    href = Href(world.calendar.calendar + "plant.ics")
    await world.store(href, SENT_BY_OTHERS)
    seen = await held(world, href)
    edited = with_title(seen.series, "Spätschicht")
    stored = await update(world, Stored(href, seen.etag), seen.series, edited, "title")
    text = await world.text(stored.href)
    assert "TZOFFSETTO:+0215" in text
    assert "früh" in text
    assert (await held(world, stored.href)).series == edited


async def test_a_series_with_everything_is_the_same_after_a_restart(world: ServerWorld) -> None:
    stored = await create(world, STANDUP)
    fresh = await world.reconnect()
    (found,) = await fresh.fetch(world.calendar, [stored.href])
    assert getattr(found, "series", None) == STANDUP


async def test_an_event_on_the_night_of_the_clock_change_keeps_its_hours(world: ServerWorld) -> None:
    nightly = meeting(title="Nachtwache")
    nightly = replace(
        nightly,
        event=replace(nightly.event, start=at(28, 2, 30), end=at(28, 3, 30)),
        rrule="FREQ=DAILY;COUNT=4",
        exdate=(at(30, 2, 30),),
    )
    stored = await create(world, nightly)
    assert (await held(world, stored.href)).series == nightly


async def test_a_calendar_that_does_not_exist_says_so(world: ServerWorld) -> None:
    nowhere = CalendarRef("", world.calendar.calendar.rstrip("/") + "-nowhere/")
    with pytest.raises(Permanent) as raised:
        await anext(world.provider.changes(nowhere, None, known=Known(), window=WINDOW))
    assert raised.value.code == "general.calendar_missing"


def without(test: str) -> list[str]:
    """Give the servers that a test is asked of."""
    return [name for name in sorted(SERVERS) if (name, test) not in EXEMPT]


@pytest.mark.parametrize("name", without("wrong password"))
async def test_a_wrong_password_needs_a_person(name: str, tmp_path: Path) -> None:
    assert name == "radicale", "start the other server with a password, too"
    with radicale(tmp_path, users={"sync": "the right one"}) as server:
        path = await server.make_calendar("calendar")
        wrong, right = (connect(caldav_login(server.url + "/", "sync", word)) for word in ("a wrong one", "the right one"))
        try:
            with pytest.raises(AuthRequired):
                await wrong.calendars("")
            assert path in {calendar.ref.calendar for calendar in await right.calendars("")}
        finally:
            await wrong.close()
            await right.close()
