"""OPS, PRV-04 and SCL at Exchange: a database from yesterday, what logs say while things go wrong, one event that is too big."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import structlog
from structlog.typing import EventDict
from tests.engine import Engine, engine, meeting, moment
from tests.scenarios.calendars import edited, with_override
from tests.scenarios.conftest import SETTINGS
from tests.scenarios.desk import Desk
from tests.scenarios.outlook import linked, there, titles, writes_nothing
from tests.worker.test_private_logs import MARK, MAY_HOLD

from gleichtakt.model.event import Attendee
from gleichtakt.settings import Settings
from gleichtakt.simulators.exchange import Fault
from gleichtakt.simulators.exchange.items import spoil
from gleichtakt.simulators.exchange.state import Refused
from gleichtakt.store import backup, instance
from gleichtakt.store.database import Database
from gleichtakt.store.schema import metadata
from gleichtakt.store.secrets import open_box


async def test_ops_01_a_database_from_noon_meets_the_evening_and_loses_nothing(database_url: str, tmp_path: Path) -> None:
    settings = Settings(database_url=database_url, data_dir=str(tmp_path / "data"))
    async with await Database.open(database_url, pool=4) as database:
        await instance.attend(database, settings.data_path, embedded=False)
        async with engine(database) as world:
            world.box, world.settings = open_box(settings), SETTINGS
            async with linked(world, guard_delete_min=100) as person:
                rows = [await world.put(meeting(f"Ours {n}", days=n + 1)) for n in range(5)]
                hrefs = [await person.create(meeting(f"Theirs {n}", days=n + 1, hour=14)) for n in range(5)]
                await world.sync()
                await backup.backup(settings, tmp_path / "noon.tar")

                weekly = meeting("Ours later, weekly", days=2, rrule="FREQ=WEEKLY;COUNT=4")
                await world.put(replace(with_override(weekly, moment(9), moment(9, 15)), exdate=(moment(16),)))
                await world.put(meeting("Ours later", days=3, hour=16))
                await person.create(meeting("Theirs later", days=3, hour=18))
                for row, href in zip(rows[:2], hrefs[:2], strict=True):
                    await world.put(edited(row, location="Moved here"), row.id)
                    (held,) = (await person.read([href])).values()
                    await person.change(href, replace(held, event=replace(held.event, location="Moved there")))
                await world.delete(rows[4].id)
                person.delete(hrefs[4])
                await world.sync()
                before = person.hrefs()
                evening = {series.event.title: series.event.location for series in await there(person)}
                assert len(evening) == len(before) == 11

                await database.close()
                await backup.restore(settings, tmp_path / "noon.tar")
                async with await Database.open(database_url, pool=4) as restored:
                    world.database = restored
                    await writes_nothing(world, person.exchange)  # it only looks until somebody has confirmed
                    assert {one["state"] for one in await world.rows("select state from link")} == {"verify"}
                    async with restored.begin() as connection:
                        await instance.confirm(connection)
                    await world.sync(rounds=2)
                    after = {series.event.title: series.event.location for series in await there(person)}
                    assert before <= person.hrefs(), "nothing that stands there is lost, nor made anew"
                    assert evening.items() <= after.items()
                    assert len(person.hrefs()) == len(after), "no duplicates"
                    ours = {row.series.event.title: row.series.event.location for row in await world.ours()}
                    assert evening.items() <= ours.items()
                    assert set(ours) - set(evening) <= {"Ours 4", "Theirs 4"}, "deleted after noon: for a person"
                    (later,) = [row.series for row in await world.ours() if row.series.event.title == "Ours later, weekly"]
                    assert (len(later.overrides), len(later.exdate)) == (1, 1)
                    await writes_nothing(world, person.exchange)


@pytest.fixture
def logs() -> Iterator[list[EventDict]]:
    """Everything that is logged, at every level."""
    before = structlog.get_config()["wrapper_class"]
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG))
    with structlog.testing.capture_logs() as found:
        yield found
    structlog.configure(wrapper_class=before)


def refuse_in_words(*_: Any) -> Any:
    """Refuse as Exchange does: with a sentence that names people."""
    raise Refused("ErrorCalendarIsNotOrganizer", f"The organizer {MARK}@example.org has to change «{MARK}».", {"Name": MARK})


async def test_prv_04_whatever_goes_wrong_at_exchange_no_log_or_problem_names_anything(
    world: Engine, desk: Desk, logs: list[EventDict]
) -> None:
    words: dict[str, Any] = {"description": MARK, "location": MARK, "attendees": (Attendee(f"{MARK}@example.org", MARK),)}
    async with linked(world, attendees="write") as person:
        rows = [await world.put(meeting(f"{MARK} {number}", days=number + 2, **words)) for number in range(3)]
        await world.put(meeting(f"{MARK} every hour", rrule="FREQ=HOURLY", **words))
        href = await person.create(meeting(f"{MARK} theirs", **words))
        await world.sync()
        spoil(person.exchange.simulator, person.item(href))
        operations = person.exchange.operations
        person.exchange.operations = {**operations, "UpdateItem": refuse_in_words}
        await world.put(edited(rows[0], title=f"{MARK} renamed"), rows[0].id)
        await world.sync()
        person.exchange.operations = operations
        for fault in (
            Fault("garbage", "SyncFolderItems", body=f"<html><title>{MARK}</title></html>"),
            Fault("status", "SyncFolderItems", status=500, body=f"{MARK} at line 1", headers={"X-Diagnostic": MARK}),
            Fault("item", "UpdateItem", code="ErrorAccessDenied"),
            Fault("cut", "GetItem"),
        ):
            person.exchange.faults.add(fault)
            await world.put(edited(rows[1], title=f"{MARK} {fault.do}"), rows[1].id)
            await world.sync()
        problems = [one for language in ("en", "de") for one in await desk.problems(language=language)]
        assert len(problems) >= 4
    assert {"link_synced", "link_stopped"} <= {entry["event"] for entry in logs}
    assert MARK not in str(logs), next(entry for entry in logs if MARK in str(entry))
    assert not [one for one in problems if MARK in str(one)]
    for table in metadata.sorted_tables:
        if table.name not in MAY_HOLD | {"part"}:
            assert MARK not in str(await world.rows(f"select * from {table.name}")), table.name


async def test_scl_06_one_oversized_event_is_told_and_holds_nobody_up(world: Engine, desk: Desk) -> None:
    async with linked(world, attendees="write") as person:
        guests = tuple(Attendee(f"guest-{number}@partner.example") for number in range(500))
        await world.put(meeting("Crowd", attendees=guests))
        series = meeting("Daily", rrule="FREQ=DAILY;COUNT=60")
        for day in range(1, 61, 2):
            series = with_override(series, moment(day), location=f"Room {day}")
        await world.put(series)
        row = await world.put(meeting("Huge", days=2, description="much too long " * 20_000))
        await world.put(meeting("Small", days=3))
        person.exchange.faults.add(
            Fault("item", "CreateItem", contains="much too long", code="ErrorMessageSizeExceeded", times=-1)
        )
        await world.sync()
        assert await titles(person) == ["Crowd", "Daily", "Small"]
        held = {series.event.title: series for series in await there(person)}
        assert (len(held["Crowd"].event.attendees), len(held["Daily"].overrides)) == (500, 30)
        (told,) = await desk.problems()
        assert (told["code"], told["series_id"], told["scope"]) == ("general.too_large", str(row.id), "series")
        await writes_nothing(world, person.exchange)
        await world.put(edited(row, description="short"), row.id)
        await world.sync()
        assert await titles(person) == ["Crowd", "Daily", "Huge", "Small"]
        assert not await desk.problems()
