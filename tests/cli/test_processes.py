"""`serve`, `work`, `simulate` and `demo` as processes: what they say when ready, and how they end."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import stat
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import aiohttp
import pytest
from tests.waiting import eventually

from gleichtakt import __version__
from gleichtakt.store.database import Database

READY_SECONDS = 120
DOCUMENTS = Path(__file__).resolve().parents[2] / "docs" / "operations"


@asynccontextmanager
async def process(environment: Mapping[str, str], *words: str) -> AsyncIterator[dict[str, Any]]:
    """Run a command around a block, which begins with its line of JSON and ends with SIGTERM."""
    program = "from gleichtakt.main import cli; cli()"
    started = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", program, *words, "--json"),
        stdout=asyncio.subprocess.PIPE,
        env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **environment},
    )
    assert started.stdout is not None
    try:
        line = await asyncio.wait_for(started.stdout.readline(), READY_SECONDS)
        yield json.loads(line)
    finally:
        if started.returncode is None:
            started.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(started.wait(), READY_SECONDS) == 0


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """An installation of its own on any free port."""
    return {"GLEICHTAKT_DATA_DIR": str(tmp_path / "data"), "GLEICHTAKT_LISTEN": "127.0.0.1:0"}


async def test_serve_runs_with_nothing_given_and_tells_its_secrets_once(environment: dict[str, str], tmp_path: Path) -> None:
    async with process(environment, "serve") as told:
        headers = {"Authorization": f"Bearer {told['api_key']}"}
        async with aiohttp.ClientSession(told["url"], headers=headers) as session:
            assert (await session.get("/readyz")).status == 200
            assert (await session.get("/api/v1/resources")).status == 200
        assert told["admin"]["username"] == "admin"
    kept = tmp_path / "data" / "first-start.json"
    assert json.loads(kept.read_text()) == {"admin": told["admin"], "api_key": told["api_key"]}
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    async with process(environment, "serve") as again:
        assert set(again) == {"url"}
        async with aiohttp.ClientSession(again["url"], headers=headers) as session:
            assert (await session.get("/api/v1/resources")).status == 200


async def test_the_log_of_a_service_begins_and_ends_with_it(environment: dict[str, str], database_url: str) -> None:
    external = {**environment, "GLEICHTAKT_DATABASE_URL": database_url, "GLEICHTAKT_LOG_FORMAT": "json"}
    started = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", "from gleichtakt.main import cli; cli()", "serve", "--json"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"PATH": os.environ["PATH"], **external},
    )
    assert started.stdout is not None
    told = json.loads(await asyncio.wait_for(started.stdout.readline(), READY_SECONDS))
    started.send_signal(signal.SIGTERM)
    _, said = await asyncio.wait_for(started.communicate(), READY_SECONDS)
    lines = [json.loads(line) for line in said.splitlines()]
    assert lines[0]["event"] == "service_starting"
    assert (f"http://{lines[0]['web']}", lines[0]["worker"], lines[0]["version"]) == (told["url"], True, __version__)
    assert {"service_ready", "worker_started", "service_stopping", "worker_stopped"} <= {line["event"] for line in lines}


async def test_a_living_worker_does_what_the_command_asks_for(
    environment: dict[str, str], database_url: str, database: Database
) -> None:
    from gleichtakt.commands.opening import has_worker

    assert not await has_worker(database)
    external = {**environment, "GLEICHTAKT_DATABASE_URL": database_url}
    async with process(external, "work") as told:
        assert told["ready"] is True
        assert await eventually(lambda: has_worker(database))
    assert not await has_worker(database)


async def test_a_given_key_and_password_are_used_and_not_repeated_elsewhere(
    environment: dict[str, str], database_url: str
) -> None:
    external = {**environment, "GLEICHTAKT_DATABASE_URL": database_url}
    given = {"GLEICHTAKT_API_KEY": "gt_given-by-the-operator", "GLEICHTAKT_ADMIN_PASSWORD": "correct horse"}
    async with process({**external, **given}, "web") as told:
        assert told["api_key"] == "gt_given-by-the-operator"
        assert told["admin"]["password"] == "correct horse"
    other = {**external, "GLEICHTAKT_API_KEY": "gt_another-one"}
    async with process(other, "web") as told:
        headers = {"Authorization": "Bearer gt_another-one"}
        async with aiohttp.ClientSession(told["url"], headers=headers) as session:
            assert (await session.get("/api/v1/resources")).status == 200


async def test_an_address_that_is_taken_is_told_and_ends_with_1(environment: dict[str, str], database_url: str) -> None:
    external = {**environment, "GLEICHTAKT_DATABASE_URL": database_url}
    async with process(external, "web") as told:
        taken = {**external, "GLEICHTAKT_LISTEN": told["url"].removeprefix("http://"), "LANG": "de_DE.UTF-8"}
        started = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", "from gleichtakt.main import cli; cli()", "web"),
            stderr=asyncio.subprocess.PIPE,
            env={"PATH": os.environ["PATH"], **taken},
        )
        _, said = await started.communicate()
        assert started.returncode == 1
        assert "lauscht schon etwas anderes" in said.decode()


@pytest.mark.parametrize("system", ["memory", "caldav", "ews", "feed"])
async def test_a_simulator_answers_under_its_control_address(environment: dict[str, str], system: str) -> None:
    async with process(environment, "simulate", system) as told, aiohttp.ClientSession() as session:
        assert bool(told["accounts"]) == (system != "feed"), "a feed is open to everyone"
        async with session.get(f"{told['control']}ledger") as answer:
            assert answer.status == 200


def instructions(document: str) -> list[tuple[str, str]]:
    """Give what a document tells to send to a control interface: the name of the thing, and what is posted, if anything."""
    written = (DOCUMENTS / document).read_text(encoding="utf-8")
    return re.findall(r"^curl \S*?/(\w+)(?: -d '(.*)')?(?:\s+#.*)?$", written, re.MULTILINE)


async def follow(control: str, document: str) -> list[Any]:
    """Do what a document tells, and give the answers."""
    answers = []
    async with aiohttp.ClientSession(control) as session:
        for what, body in instructions(document):
            async with session.request("POST" if body else "GET", what, data=body or None) as answer:
                assert answer.status == 200, f"{what} {body}: {await answer.text()}"
                answers.append(await answer.json())
    return answers


async def test_the_example_for_another_client_works_as_it_is_written(environment: dict[str, str]) -> None:
    document = (DOCUMENTS / "simulate-exchange.md").read_text(encoding="utf-8")
    example = document.partition("```python\n")[2].partition("```")[0]
    async with process(environment, "simulate", "ews") as told:
        fault, ledger, outbox = await follow(told["control"], "simulate-exchange.md")
        assert (fault["do"], ledger["entries"], outbox) == ("fault", [], [])
        async with aiohttp.ClientSession(told["control"]) as session:
            await session.delete("faults")
        written = example.replace("http://127.0.0.1:8090/EWS/Exchange.asmx", told["url"])
        started = await asyncio.create_subprocess_exec(sys.executable, "-c", written, stdout=asyncio.subprocess.PIPE)
        out, _ = await asyncio.wait_for(started.communicate(), READY_SECONDS)
    assert (started.returncode, out.decode()) == (0, "2026-11-23 08:00:00+00:00 Interview\n")


async def told_by(environment: Mapping[str, str], *words: str) -> Any:
    """Give what another process of the same installation says as JSON."""
    started = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", "from gleichtakt.main import cli; cli()", *words, "--json"),
        stdout=asyncio.subprocess.PIPE,
        env={"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **environment},
    )
    out, _ = await asyncio.wait_for(started.communicate(), READY_SECONDS)
    return json.loads(out)


@pytest.mark.servers
async def test_the_demo_shows_a_firm_with_something_to_decide(environment: dict[str, str]) -> None:
    async with process(environment, "demo") as told:
        assert [account["mailbox"] for account in told["accounts"]].count("") == 1, "the service account of Exchange"
        assert len(told["accounts"]) == 15
        headers = {"Authorization": f"Bearer {told['api_key']}"}
        async with aiohttp.ClientSession(told["url"], headers=headers) as session:

            async def items(what: str) -> list[dict[str, Any]]:
                async with session.get(f"/api/v1/{what}") as answer:
                    found: list[dict[str, Any]] = (await answer.json())["items"]
                    return found

            resources = await items("resources?limit=100")
            kinds = [resource["kind"] for resource in resources]
            assert (kinds.count("person"), kinds.count("room")) == (12, 3)
            names = {resource["id"]: resource["external_id"] for resource in resources}

            (conflict,) = await items("conflicts")
            assert (names[conflict["resource_id"]], conflict["fields"]) == ("jonas.petersen", ["title"])
            (hold,) = await items("holds")
            assert (names[hold["resource_id"]], hold["kind"], hold["count"]) == ("sehlabor", "mass_delete", 9)

            stopped = {names[link["resource_id"]]: link for link in await items("links?limit=100") if link["state"] != "in_step"}
            assert {name: link["state"] for name, link in stopped.items()} == {"david.krueger": "delayed", "paul.ritter": "error"}
            codes = {name: link["health"]["problem"]["code"] for name, link in stopped.items()}
            assert codes == {"david.krueger": "general.throttled", "paul.ritter": "ews.mailbox_disabled"}
            assert all(link["health"]["problem"]["remedy"] for link in stopped.values())

            async def events(name: str, more: str = "") -> list[dict[str, Any]]:
                (found,) = (resource for resource, one in names.items() if one == name)
                return await items(f"resources/{found}/events?{_span()}&limit=100{more}")

            of_anna = await events("anna.lorenz")
            assert {event["origin"] for event in of_anna} == {"app", "provider"}
            (weekly,) = [event for event in of_anna if event["recurrence"]]
            assert weekly["recurrence"]["rrule"] == "FREQ=WEEKLY;BYDAY=TU;COUNT=8"
            meetings = await events("anna.lorenz", "&expand=true")
            regular = [one for one in meetings if one["title"] == "Jour fixe Beratung"]
            assert {one["start"]["date_time"][11:16] for one in regular} == {"09:00"}
            assert len({_offset(one["start"]) for one in regular}) == 2  # summer time and winter time

            rounds = [one["title"] for one in await events("sofia.marin", "&expand=true") if "Werkstattrunde" in one["title"]]
            assert sorted(rounds) == [*["Werkstattrunde"] * 4, "Werkstattrunde (verlegt)"]  # of six, one is deleted

            assert {one["title"] for one in await events("hafenblick")} == {"Budgetrunde", "Teamrunde Beratung"}
            assert await _in_room_at_exchange(told) == await _in_room_at_radicale(told) == {"Budgetrunde", "Teamrunde Beratung"}
            *_, outbox = await follow(told["simulators"]["ews"]["control"], "demo.md")
            assert {mail["subject"] for mail in outbox} == {"Budgetrunde"}
        there = await told_by({**environment, "GLEICHTAKT_DATA_DIR": told["data_dir"]}, "status")
        assert there["worker"] is True
        waiting = [(len(link["holds"]), len(link["conflicts"])) for link in there["links"]]
        assert sorted(waiting)[-2:] == [(0, 1), (1, 0)]


def _span() -> str:
    today = datetime.now(UTC)
    return f"from={today - timedelta(days=90):%Y-%m-%d}T00:00:00Z&to={today + timedelta(days=400):%Y-%m-%d}T00:00:00Z"


async def _in_room_at_exchange(told: Mapping[str, Any]) -> set[str]:
    """Give what the shared room's mailbox holds; we sent no mail for it."""
    async with aiohttp.ClientSession(told["simulators"]["ews"]["control"]) as session:
        async with session.get("state") as answer:
            (room,) = [mailbox for mailbox in await answer.json() if mailbox["mailbox"].startswith("hafenblick@")]
        async with session.get("outbox") as answer:
            assert [mail["kind"] for mail in await answer.json()] == ["request", "response"], "Hanna invited the room in Outlook"
    return {item["subject"] for folder in room["folders"] for item in folder["items"]}


async def _in_room_at_radicale(told: Mapping[str, Any]) -> set[str]:
    """Give what the shared room's calendar at the CalDAV server holds."""
    (account,) = [account for account in told["accounts"] if account["mailbox"] == "hafenblick"]
    headers = {"Authorization": aiohttp.encode_basic_auth(account["username"], account["password"])}
    async with aiohttp.request("GET", f"{told['caldav']['url']}/hafenblick/kalender/", headers=headers) as answer:
        lines = (await answer.text()).splitlines()
    return {line.removeprefix("SUMMARY:") for line in lines if line.startswith("SUMMARY:")}


def _offset(start: dict[str, str]) -> timedelta | None:
    return datetime.fromisoformat(start["date_time"]).replace(tzinfo=ZoneInfo(start["time_zone"])).utcoffset()


async def test_a_demo_without_a_calendar_server_says_how_to_get_one(environment: dict[str, str], tmp_path: Path) -> None:
    told = await told_by({**environment, "GLEICHTAKT_SERVERS_DIR": str(tmp_path)}, "demo")
    assert told["problems"][0]["code"] == "command.no_server"
    assert "scripts/setup" in told["problems"][0]["remedy"]
