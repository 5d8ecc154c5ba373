"""Whole passes against Radicale and Xandikos as real processes: what stands there, and here, and that it stays so."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace

import pytest
from sqlalchemy import text
from tests.caldav_world import OPTIONS, ServerWorld, server_world
from tests.engine import Engine, Linked, engine, meeting, moment
from tests.servers import SERVERS

from gleichtakt.model.event import Override, Series
from gleichtakt.model.point import Day, shifted
from gleichtakt.model.recurrence import occurrence_event
from gleichtakt.providers.caldav import wire
from gleichtakt.providers.protocol import Cursor, Href
from gleichtakt.store import holds
from gleichtakt.store.calendars import EventRow
from gleichtakt.store.database import Database

pytestmark = pytest.mark.servers

FULL = {
    "outbound_detail": "full",
    "inbound_detail": "full",
    "relay": "full",
    "app_writes_foreign": "allow",
    "delete_grace_minutes": 0,
}


@dataclass
class Meeting:
    """An application and a calendar on a real server, linked."""

    app: Engine
    there: ServerWorld
    link: Linked

    async def standing(self) -> dict[str, Series]:
        """Give what stands on the server by title."""
        found = [await self.there.content(href) for href in await self.there.hrefs()]
        return {series.event.title: series for series in found}

    async def versions(self) -> dict[Href, str]:
        """Give the whole text of every object."""
        return {href: await self.there.text(href) for href in await self.there.hrefs()}

    async def href(self, title: str) -> Href:
        """Give the name of the object with a title."""
        named = {(await self.there.content(href)).event.title: href for href in await self.there.hrefs()}
        return named[title]

    async def ours(self) -> dict[str, EventRow]:
        """Give the application's events by title."""
        return {row.series.event.title: row for row in await self.app.ours()}

    async def edit(self, row: EventRow, **changes: object) -> None:
        """The application changes an event."""
        await self.app.put(replace(row.series, event=replace(row.series.event, **changes)), row.id)  # type: ignore[arg-type]

    async def approve(self) -> None:
        """A person approves what is held."""
        for hold in await self.app.rows("select id from hold where state = 'open'"):
            async with self.app.database.begin() as connection:
                await holds.approve(connection, self.app.organization_id, hold["id"], "account:test")


async def link_to(app: Engine, there: ServerWorld) -> Linked:
    """Tie the application's resource to a calendar on a server."""
    login = (there.server.user, there.server.password)
    made = await app.link("caldav", there.server.url + "/", login, there.server.user, there.calendar.calendar, OPTIONS)
    await app.set("link", made.id, **FULL)
    return made


@pytest.fixture(params=sorted(SERVERS))
async def both(request: pytest.FixtureRequest, database: Database) -> AsyncIterator[Meeting]:
    async with engine(database) as app, server_world(request.param) as there:
        yield Meeting(app, there, await link_to(app, there))


def standup() -> Series:
    """Give a daily meeting with one occurrence moved and one left out, across the night the clocks may change."""
    series = meeting("Standup", uid="standup@app.example", rrule="FREQ=DAILY;COUNT=9")
    moved_from, left_out = (shifted(series.event.start, moment(days).wall - moment(0).wall) for days in (2, 4))
    changed = replace(occurrence_event(series.event, moved_from), title="Standup, später", location="Raum Havel")
    return replace(series, overrides=(Override(moved_from, changed),), exdate=(left_out,))


def fair() -> Series:
    """Give an all-day event of three days."""
    day = moment(5).wall.date()
    return replace(
        meeting("Messe 🎪", uid="fair@app.example"),
        event=replace(meeting("Messe 🎪").event, start=Day(day), end=Day(moment(8).wall.date())),
    )


async def test_bookings_stand_on_the_server_as_they_are_and_a_second_pass_writes_nothing(both: Meeting) -> None:
    bookings = (standup(), fair(), meeting("Beratung", uid="plain@app.example", description="Zeile 1\nZeile 2; \\ und «ü»"))
    for booking in bookings:
        await both.app.put(booking)
    await both.app.sync()
    assert await both.standing() == {booking.event.title: booking for booking in bookings}
    before = await both.versions()
    await both.app.sync(rounds=2)
    assert await both.versions() == before
    assert await both.app.rows("select * from problem where state = 'open'") == []


async def test_events_of_the_server_arrive_and_our_edit_leaves_the_rest_of_them(both: Meeting) -> None:
    href = await both.there.create(standup())
    await both.there.plant(href)
    await both.there.create(fair())
    await both.app.sync()
    ours = await both.ours()
    assert {title: row.series for title, row in ours.items()} == {"Standup": standup(), "Messe 🎪": fair()}
    await both.edit(ours["Standup"], description="Bitte pünktlich")
    await both.app.sync()
    assert await both.there.has_planted(href)
    there = await both.there.content(href)
    assert there.event.description == "Bitte pünktlich"
    assert (there.rrule, there.exdate) == (standup().rrule, standup().exdate)
    assert there.overrides[0].event.location == "Raum Havel"


async def test_edits_of_both_sides_meet_on_both_sides(both: Meeting) -> None:
    await both.app.put(standup())
    await both.app.sync()
    row = (await both.ours())["Standup"]
    await both.edit(row, location="Raum Spree")
    href = await both.href("Standup")
    await both.there.edit(href, {"description": "Agenda folgt"})
    await both.app.sync(rounds=2)
    there, here = await both.there.content(href), (await both.ours())["Standup"].series
    assert there == here
    assert (here.event.location, here.event.description) == ("Raum Spree", "Agenda folgt")
    assert here.overrides[0].event.location == "Raum Havel"


async def test_a_deletion_goes_both_ways(both: Meeting) -> None:
    for title in ("Erste", "Zweite", "Dritte"):
        await both.app.put(meeting(title))
    await both.app.sync()
    await both.app.delete((await both.ours())["Erste"].id)
    await both.there.delete(await both.href("Zweite"))
    await both.app.sync()
    await both.approve()
    await both.app.sync()
    assert list(await both.standing()) == list(await both.ours()) == ["Dritte"]


async def test_pro_01_a_server_that_forgot_our_token_is_listed_again_without_a_write(both: Meeting) -> None:
    for title in ("Erste", "Zweite"):
        await both.app.put(meeting(title))
    await both.app.sync(rounds=2)
    (kept,) = await both.app.rows("select cursor from link where id = :id", id=both.link.id)
    position = wire.read_position(Cursor(kept["cursor"]))
    assert position is not None
    forgotten = replace(position, token=position.token[:-6] + "000000", ctag="").write()
    async with both.app.database.begin() as connection:
        await connection.execute(
            text("update link set cursor = :cursor where id = :id"), {"cursor": forgotten, "id": both.link.id}
        )
    before = await both.versions()
    await both.there.create(meeting("Dritte", uid="third@there.example"))
    await both.app.sync()
    assert sorted(await both.ours()) == ["Dritte", "Erste", "Zweite"]
    assert before.items() <= (await both.versions()).items()


async def test_one_resource_in_a_calendar_on_each_server(database: Database) -> None:
    async with engine(database) as app, server_world("radicale") as one, server_world("xandikos") as other:
        first, second = Meeting(app, one, await link_to(app, one)), Meeting(app, other, await link_to(app, other))
        await one.create(meeting("Vom einen", uid="one@there.example"))
        await other.create(standup())
        await app.put(fair())
        await app.sync(rounds=3)
        assert await first.standing() == await second.standing()
        assert sorted(await first.standing()) == ["Messe 🎪", "Standup", "Vom einen"]
        await second.there.edit(await second.href("Vom einen"), {"title": "Vom anderen geändert"})
        await app.sync(rounds=3)
        assert sorted(await first.standing()) == sorted(await second.standing()) == sorted(await app.titles())
        assert "Vom anderen geändert" in await first.standing()
        before = (await first.versions(), await second.versions())
        await app.sync(rounds=2)
        assert (await first.versions(), await second.versions()) == before
