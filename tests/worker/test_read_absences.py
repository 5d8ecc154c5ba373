"""Reading absences at the simulated Exchange: what is kept of them, who is asked how often, and what one trouble stops."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from tests.at_work import at_work, comes_true
from tests.engine import Engine, Linked, engine
from tests.exchange_world import SERVICE, SERVICE_PASSWORD, ExchangeWorld, everything_is_valid, exchange_world
from tests.iis import logged
from tests.waiting import eventually

from gleichtakt.onboarding.connect import Connections
from gleichtakt.simulators.exchange.availability import Absence
from gleichtakt.simulators.exchange.organization import DOMAIN
from gleichtakt.store import absences
from gleichtakt.store.database import Database
from gleichtakt.worker.read_out_of_office import Reader, list_mailboxes, read_due, read_out_of_office

PEOPLE = ("anna", "ben", "cleo")
ANNA = f"anna@{DOMAIN}"
START = datetime.now(UTC).replace(microsecond=0) - timedelta(days=1)
END = START + timedelta(days=8)
SECRET_TEXT = "In der Reha bis Montag"


@pytest.fixture
async def exchange() -> AsyncIterator[ExchangeWorld]:
    async with exchange_world(*PEOPLE, methods=("basic",)) as made:
        yield made


@pytest.fixture
async def world(database: Database) -> AsyncIterator[Engine]:
    async with engine(database) as made:
        yield made


async def link_everybody(
    world: Engine, exchange: ExchangeWorld, access: str = "impersonation", account: tuple[str, str] = (SERVICE, SERVICE_PASSWORD)
) -> dict[str, Linked]:
    """Link each person to their mailbox through one account, which has proven itself."""
    login = await world.login("ews", exchange.url, account)
    sql = "update connection set access = :access, allow_insecure = true, state = 'online' where id = :id"
    async with world.database.begin() as connection:
        await connection.execute(text(sql), {"access": access, "id": login})
    made = {name: await world.bind(login, "", f"{name}@{DOMAIN}", await world.resource(name)) for name in PEOPLE}
    await list_mailboxes(world.database, datetime.now(UTC), None)
    return made


@asynccontextmanager
async def reader_of(world: Engine) -> AsyncIterator[Reader]:
    """Give the reader of a worker that remembers nothing."""
    connections = Connections(world.box, world.settings)
    yield Reader(world.database, connections)
    await connections.close()


async def read(world: Engine, *, due: bool = True) -> None:
    """Let a new worker read what is due; *due* makes everything so first, as time would."""
    if due:
        async with world.database.begin() as connection:
            await connection.execute(text("update out_of_office set due = now()"))
    async with reader_of(world) as reader:
        await read_due(reader)


def is_away(exchange: ExchangeWorld, name: str, **how: Any) -> None:
    """Let somebody set their automatic replies in Outlook."""
    texts = {"internal": SECRET_TEXT, "external": SECRET_TEXT}
    exchange.exchange.availability.absences[f"{name}@{DOMAIN}"] = Absence(**{**texts, **how})


def asked(exchange: ExchangeWorld) -> list[str]:
    """Name whose settings were asked for, in order of names."""
    return sorted(entry.mailbox.partition("@")[0] for entry in exchange.asked("GetUserOofSettings"))


async def known(world: Engine) -> dict[str, tuple[str, datetime | None, datetime | None, str]]:
    """Give by name what was read."""
    rows = await world.rows(
        "select name, state, starts_at, ends_at, audience from out_of_office join resource on resource.id = resource_id"
    )
    return {row["name"]: (row["state"], row["starts_at"], row["ends_at"], row["audience"]) for row in rows}


async def told(world: Engine) -> list[str]:
    """Name those whose absence the feed said to have changed, in order."""
    rows = await world.rows(
        "select name from change join resource on resource.id = object_id where type = 'absence.changed' order by change.id"
    )
    return [row["name"] for row in rows]


@contextmanager
def told_in_the_log() -> Iterator[list[dict[str, Any]]]:
    """Collect what the log says of absences."""
    with logged() as lines:
        found: list[dict[str, Any]] = []
        yield found
    found.extend(line for line in lines if "absence" in line["event"])


async def test_s5_2_an_absence_is_read_without_its_words_and_its_change_is_told(world: Engine, exchange: ExchangeWorld) -> None:
    await link_everybody(world, exchange)
    is_away(exchange, "anna", state="Scheduled", audience="Known", start=START, end=END)
    is_away(exchange, "ben", state="Disabled", start=START, end=END)
    await read(world)
    assert await known(world) == {
        "anna": ("scheduled", START, END, "known"),
        "ben": ("disabled", None, None, "all"),  # the span is told and does not count
        "cleo": ("disabled", None, None, "all"),
    }
    assert await told(world) == ["anna"]
    is_away(exchange, "anna", state="Disabled")
    is_away(exchange, "ben", state="Enabled")
    await read(world)
    assert sorted(await told(world)) == ["anna", "anna", "ben"]
    await read(world)
    assert len(await told(world)) == 3, "nothing has changed since"
    assert SECRET_TEXT not in str(await world.rows("select to_jsonb(o)::text from out_of_office o"))
    assert everything_is_valid(exchange.exchange)


async def test_s5_16_the_log_says_how_many_are_read_and_nobodys_name(world: Engine, exchange: ExchangeWorld) -> None:
    ties = await link_everybody(world, exchange)
    is_away(exchange, "anna", state="Enabled")
    exchange.mailbox("ben").is_enabled = False
    with told_in_the_log() as lines:
        await read(world)
        await read(world)
    connection = str(ties["anna"].connection_id)
    assert lines == [
        {"event": "reading_absence_settings", "log_level": "info", "connection": connection, "users": 3},
        {
            **{"event": "absence_settings_not_read", "log_level": "warning", "connection": connection, "users": 1},
            "codes": ["ews.mailbox_disabled"],
        },
        {
            **{"event": "absence_settings_read", "log_level": "info", "connection": connection},
            "read": 2,
            "changed": 1,
            "refused": 1,
        },
        {"event": "reading_absence_settings", "log_level": "info", "connection": connection, "users": 3},
        {
            **{"event": "absence_settings_read", "log_level": "info", "connection": connection},
            "read": 2,
            "changed": 0,
            "refused": 1,
        },
    ]
    assert not [name for name in (*PEOPLE, "@", SECRET_TEXT) if name in str(lines)]


async def test_rooms_are_not_asked_and_two_calendars_of_a_mailbox_are_one_question(
    world: Engine, exchange: ExchangeWorld
) -> None:
    ties = await link_everybody(world, exchange)
    await world.bind(ties["anna"].connection_id, "", f"north@{DOMAIN}", await world.resource("North", kind="room"))
    (row,) = await world.rows("select resource_id from link where id = :id", id=ties["anna"].id)
    await world.bind(ties["anna"].connection_id, "second", ANNA, row["resource_id"])
    await list_mailboxes(world.database, datetime.now(UTC), None)
    await read(world)
    assert asked(exchange) == ["anna", "ben", "cleo"]


async def test_a_mailbox_that_refuses_is_asked_again_after_an_hour_and_stops_nobody(
    world: Engine, exchange: ExchangeWorld
) -> None:
    await link_everybody(world, exchange)
    is_away(exchange, "cleo", state="Enabled")
    exchange.fail("status", "GetUserOofSettings", mailbox=ANNA, times=-1)
    exchange.mailbox("ben").is_enabled = False
    await read(world)
    rows = await world.rows(
        """select name, error_code, out_of_office.due > now() + interval '55 minutes' as waits from out_of_office
           join resource on resource.id = resource_id order by name"""
    )
    assert [(row["name"], bool(row["error_code"]), row["waits"]) for row in rows] == [
        ("anna", True, False),  # it passes by itself: with the others again
        ("ben", True, True),
        ("cleo", False, False),
    ]
    assert await told(world) == ["cleo"]
    exchange.simulator.mailboxes[f"ben@{DOMAIN}"].is_enabled = True
    exchange.exchange.faults.clear()
    await read(world)
    assert {row["error_code"] for row in await world.rows("select error_code from out_of_office")} == {""}


async def test_who_may_only_see_calendars_is_told_what_it_takes(world: Engine, exchange: ExchangeWorld) -> None:
    await link_everybody(world, exchange, "delegate", ("anna", "anna-password"))
    await read(world)
    rows = await world.rows("select name, error_code from out_of_office join resource on resource.id = resource_id")
    assert {row["name"]: row["error_code"] for row in rows} == {
        "anna": "",
        "ben": "ews.replies_denied",
        "cleo": "ews.replies_denied",
    }


async def test_a_mailbox_that_is_to_rest_is_asked_by_no_worker_before_its_time(world: Engine, exchange: ExchangeWorld) -> None:
    ties = await link_everybody(world, exchange)
    exchange.exchange.throttle.pause(ANNA, 300)
    await read(world)
    refused = exchange.exchange.throttle.budget(ANNA).impatient
    assert refused == 1
    for _ in range(2):
        await read(world)
    assert exchange.exchange.throttle.budget(ANNA).impatient == refused
    assert asked(exchange).count("ben") == 3
    (lane,) = await world.rows("select paused_until from lane where id = :id", id=ties["anna"].lane_id)
    assert lane["paused_until"] > datetime.now(UTC) + timedelta(minutes=4), "passes leave it alone, too"
    assert (await known(world))["anna"][0] == "unknown"


async def test_an_account_that_is_to_rest_ends_the_round_for_everybody(world: Engine, exchange: ExchangeWorld) -> None:
    ties = await link_everybody(world, exchange, "own", ("anna", "anna-password"))
    exchange.exchange.throttle.pause("anna", 300)
    with told_in_the_log() as lines:
        await read(world)
    assert lines[-1]["postponed"] == len(PEOPLE)
    impatient = exchange.exchange.throttle.budget("anna").impatient
    assert impatient < len(PEOPLE), "one has learnt it for all, when it asked for the version and for itself"
    (row,) = await world.rows("select paused_until from connection where id = :id", id=ties["anna"].connection_id)
    assert row["paused_until"] > datetime.now(UTC) + timedelta(minutes=4)
    await read(world)
    assert exchange.exchange.throttle.budget("anna").impatient == impatient


async def test_a_refused_login_costs_one_try_and_is_told(world: Engine, exchange: ExchangeWorld) -> None:
    ties = await link_everybody(world, exchange, account=(SERVICE, "changed"))
    await read(world)
    await read(world)
    (row,) = await world.rows("select state, refusals from connection where id = :id", id=ties["anna"].connection_id)
    assert (row["state"], len(row["refusals"])) == ("auth_required", 1)
    assert [row["code"] for row in await world.rows("select code from problem")] == ["ews.login_refused"]
    assert asked(exchange) == []


async def test_two_workers_ask_everybody_once(world: Engine, exchange: ExchangeWorld) -> None:
    await link_everybody(world, exchange)
    async with reader_of(world) as one, reader_of(world) as other:
        taken = await asyncio.gather(read_due(one), read_due(other), read_due(one), read_due(other))
    assert sum(taken) == len(PEOPLE)
    assert asked(exchange) == list(PEOPLE)


async def test_a_worker_reads_by_itself_even_while_the_installation_only_compares(world: Engine, exchange: ExchangeWorld) -> None:
    ties = await link_everybody(world, exchange)
    async with world.database.begin() as connection:
        await connection.execute(text("update instance set mode = 'verify'"))
    is_away(exchange, "ben", state="Enabled")
    async with at_work(world):
        await comes_true(world, "select 1 from out_of_office where state = 'enabled'")
        is_away(exchange, "ben", state="Disabled")
        async with world.database.begin() as connection:  # as whoever asks for a run does
            await absences.make_due(connection, ties["ben"].id)
        await comes_true(world, "select 1 where not exists (select from out_of_office where state = 'enabled')")


async def test_what_a_worker_took_and_did_not_read_is_taken_by_the_next_at_once(world: Engine, exchange: ExchangeWorld) -> None:
    await link_everybody(world, exchange)
    exchange.fail("delay", "GetUserOofSettings", seconds=30, times=-1)
    async with reader_of(world) as reader:
        reading = asyncio.create_task(read_out_of_office(reader))

        async def has_taken() -> bool:
            return len(reader.taken) == len(PEOPLE)

        await eventually(has_taken)
        reading.cancel()
        await asyncio.wait([reading])
    exchange.exchange.faults.clear()
    await read(world, due=False)
    assert {state for state, *_ in (await known(world)).values()} == {"disabled"}
