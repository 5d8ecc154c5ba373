"""The commands as people and scripts give them: what they print, in which language, and how they end."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.cli.shell import Run, shell

from gleichtakt.commands.telling import language_here
from gleichtakt.errors import LANGUAGES, sentences
from gleichtakt.simulators.memory import Fault, Running, start

COMMANDS = (
    *("serve", "web", "work", "demo", "migrate", "sync", "plan", "status", "undo", "doctor", "apply", "export"),
    *("simulate", "backup", "restore", "confirm", "rotate-key"),
)
CONFIGURATION = """
version: 1
organizations:
  - external_id: muster
    name: Muster GmbH
    settings: {{inbound_detail: full, outbound_detail: full}}
    connections:
      - {{name: memory, provider: memory, url: "{url}", auth: {{method: basic, username: sync, password: "env:SYNC_PASSWORD"}}}}
    resources:
      - {{external_id: "17", name: Anna, links: [{{connection: memory, mailbox: anna@memory.example, calendar: calendar}}]}}
      - {{external_id: "18", name: Berta, links: [{{connection: memory, mailbox: berta@memory.example, calendar: calendar}}]}}
"""


@pytest.fixture
def bare(tmp_path: Path) -> Run:
    """Give a command as a shell would, where no database answers."""
    return shell("postgresql://nobody@127.0.0.1:1/none", tmp_path)


@pytest.fixture
def run(database_url: str, tmp_path: Path) -> Run:
    """Give a command as a shell would, over a fresh database."""
    return shell(database_url, tmp_path)


@pytest.fixture
async def memory() -> AsyncIterator[Running]:
    """A simulated calendar system."""
    async with start(control=False) as running:
        yield running


@pytest.fixture
async def linked(run: Run, memory: Running, tmp_path: Path) -> Running:
    """Two people linked to calendars of a simulated system."""
    (tmp_path / "firm.yaml").write_text(CONFIGURATION.format(url=memory.url))
    assert (await run("apply", str(tmp_path / "firm.yaml"))).status == 0
    return memory


def put(memory: Running, mailbox: str, title: str) -> None:
    """Somebody makes an event in the simulated calendar."""
    point = {"date_time": "2026-11-25T09:00:00", "time_zone": "Europe/Berlin"}
    document = {
        **{"uid": f"{title}@memory.example", "title": title, "description": "", "location": "", "start": point, "end": point},
        **{"show_as": "busy", "sensitivity": "normal", "status": "confirmed", "organizer": None, "attendees": []},
        **{"categories": [], "reminders": [], "conference_url": "", "url": "", "recurrence": None},
    }
    memory.simulator.put(memory.simulator.folder(mailbox), document)


@pytest.mark.parametrize("name", COMMANDS)
async def test_every_command_explains_itself(bare: Run, name: str) -> None:
    ended = await bare(name, "--help")
    assert ended.status == 0
    assert ended.out.startswith(f"Usage: gleichtakt {name}")
    assert all(len(line) <= 80 for line in ended.out.splitlines())


async def test_the_list_of_commands_is_complete(bare: Run) -> None:
    ended = await bare("--help")
    assert all(f"  {name} " in ended.out for name in COMMANDS)
    assert (await bare("--version")).out.strip() == "0.1.0"


@pytest.mark.parametrize(
    ("environment", "language"),
    [
        ({"LANG": "de_DE.UTF-8"}, "de"),
        ({"LANG": "de_DE.UTF-8", "LC_ALL": "C"}, "en"),
        ({"LC_MESSAGES": "de_AT", "LANG": "en_US"}, "de"),
        ({}, "en"),
    ],
)
def test_the_language_is_that_of_the_shell(environment: dict[str, str], language: str) -> None:
    assert language_here(environment) == language


@pytest.mark.parametrize(
    "words", [("sync",), ("sync", "--all", "x"), ("plan",), ("doctor",), ("simulate", "fax"), ("nonsense",), ("apply",)]
)
async def test_wrong_use_ends_with_2(bare: Run, words: tuple[str, ...]) -> None:
    assert (await bare(*words)).status == 2


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LISTEN", "nowhere"),
        ("LISTEN", "127.0.0.1:99999"),
        ("LOG_LEVEL", "loud"),
        ("LOG_FORMAT", "xml"),
        ("WORKER_SLOTS", "many"),
        ("WORKER_SLOTS", "0"),
        ("LEASE_SECONDS", "121"),
    ],
)
async def test_a_wrong_setting_ends_with_2_and_is_named(bare: Run, name: str, value: str) -> None:
    ended = await bare("migrate", **{f"GLEICHTAKT_{name}": value})
    assert ended.status == 2
    assert f"GLEICHTAKT_{name}" in ended.err
    assert "→ It takes: " in ended.err


async def test_a_settings_file_is_read_and_its_mistakes_are_told(bare: Run, tmp_path: Path) -> None:
    file = tmp_path / "own.toml"
    for text, said in (("nonsense", "no valid TOML"), ("lissten = 1", "«lissten»"), ("log_level = 'loud'", "log_level")):
        file.write_text(text)
        ended = await bare("migrate", GLEICHTAKT_CONFIG=str(file))
        assert ended.status == 2
        assert said in ended.err
    file.unlink()
    assert "own.toml" in (await bare("migrate", GLEICHTAKT_CONFIG=str(file))).err


async def test_a_folder_that_cannot_be_used_is_told_without_a_trace(bare: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    ended = await bare("status", GLEICHTAKT_DATABASE_URL="", GLEICHTAKT_DATA_DIR=str(tmp_path / "file" / "data"))
    assert ended.status == 1
    assert "[command.file_refused]" in ended.err
    assert "Traceback" not in ended.err


async def test_a_database_that_does_not_answer_is_told_with_a_remedy(bare: Run) -> None:
    ended = await bare("export")
    assert ended.status == 1
    assert "→" in ended.err
    told = (await bare("migrate", "--json")).json
    assert set(told["problems"][0]) >= {"kind", "code", "scope", "cause", "remedy"}


async def test_sync_copies_and_says_how_much(run: Run, linked: Running) -> None:
    put(linked, "anna@memory.example", "Zahnarzt")
    ended = await run("sync", "--all", "--json")
    assert ended.status == 0
    runs = ended.json["runs"]
    assert [run["state"] for run in runs] == ["done", "done"]
    assert sorted(run["counts"]["app"]["created"] for run in runs) == [0, 1]
    again = (await run("sync", "17")).out
    assert again == "✓ Anna ↔ memory: in step\n"


async def test_a_dry_run_and_a_plan_write_nothing(run: Run, linked: Running) -> None:
    put(linked, "anna@memory.example", "Zahnarzt")
    planned = (await run("plan", "Anna", "--json")).json
    assert [(action["side"], action["verb"], action["title"]) for action in planned["actions"]] == [("app", "create", "Zahnarzt")]
    assert planned["mails"] == 0
    dry = (await run("sync", "anna@memory.example", "--dry-run")).out
    assert "here create: Zahnarzt" in dry
    assert (await run("sync", "--all", "--json")).json["runs"][0]["counts"]["app"]["created"] == 1


async def test_a_link_is_found_by_id_name_mailbox_and_external_id(run: Run, linked: Running) -> None:
    runs = (await run("sync", "--all", "--json")).json["runs"]
    first = runs[0]["link_id"]
    for name in (first, first[:23], "17", "Anna", "anna@memory.example"):
        assert [run["link_id"] for run in (await run("sync", name, "--json")).json["runs"]] == [first]
    missing = await run("sync", "Cäsar", LANG="de_DE.UTF-8")
    assert missing.status == 1
    assert "Keine Verknüpfung heißt «Cäsar»" in missing.err
    several = await run("plan", "calendar")
    assert several.status == 1
    assert "means 2 links" in several.err


async def test_a_refused_login_is_a_problem_and_ends_with_1(run: Run, linked: Running) -> None:
    linked.simulator.accounts.clear()
    ended = await run("sync", "17")
    assert ended.status == 1
    assert "refused the login" in ended.out


async def test_status_tells_each_link_and_what_waits(run: Run, linked: Running) -> None:
    before = (await run("status", "--json")).json
    assert (before["mode"], before["worker"]) == ("live", False)
    assert [link["state"] for link in before["links"]] == ["new", "new"]
    await run("sync", "--all")
    fine = await run("status", LANG="de_DE.UTF-8")
    assert fine.status == 0
    assert fine.out.splitlines()[0].startswith("✓ Anna ↔ memory: im Gleichtakt, zuletzt vor ")
    linked.simulator.accounts.clear()
    await run("sync", "--all")
    broken = await run("status", "Anna")
    assert broken.status == 1
    assert broken.out.startswith("✗ Anna ↔ memory: sign-in refused")
    assert "  → Check user name and password" in broken.out


async def test_status_says_once_that_a_system_asked_us_to_wait(run: Run, linked: Running) -> None:
    await run("sync", "--all")
    linked.simulator.faults.add(Fault("throttle", "changes", seconds=300, times=-1))
    await run("sync", "17")
    waiting = await run("status", "17", LANG="de_DE.UTF-8")
    assert waiting.out.startswith("! Anna ↔ memory: verzögert, zuletzt vor ")
    assert waiting.out.count("langsamer zu machen") == 1


async def test_what_a_run_wrote_can_be_taken_back(run: Run, linked: Running) -> None:
    put(linked, "anna@memory.example", "Zahnarzt")
    ended = await run("sync", "17")
    (hint,) = [line.strip() for line in ended.out.splitlines() if "gleichtakt undo" in line]
    undone = await run(*hint.partition("gleichtakt ")[2].split(), "--json")
    assert undone.status == 0
    assert undone.json["counts"]["app"]["deleted"] == 1
    again = await run("undo", undone.json["undo_of"].replace("0", "1"), LANG="de_DE.UTF-8")
    assert again.status == 1
    assert "Kein Lauf hat die Kennung" in again.err


async def test_what_is_exported_applies_without_a_change(run: Run, linked: Running, tmp_path: Path) -> None:
    exported = await run("export")
    (tmp_path / "again.yaml").write_text(exported.out)
    ended = await run("apply", str(tmp_path / "again.yaml"), "--prune")
    assert ended.out == "Nothing to change.\n"
    told = (await run("apply", str(tmp_path / "again.yaml"), "--dry-run", "--json")).json
    assert told == {"dry_run": True, "changes": []}


async def test_a_broken_configuration_names_its_lines(bare: Run, tmp_path: Path) -> None:
    (tmp_path / "broken.yaml").write_text("version: 1\norganizations:\n - nmae: A")
    ended = await bare("apply", str(tmp_path / "broken.yaml"), LANG="de_DE.UTF-8")
    assert ended.status == 1
    assert "Zeile 3: organizations[0].nmae ist hier nicht bekannt." in ended.err
    assert (await bare("apply", str(tmp_path / "absent.yaml"))).status == 1


async def test_keys_are_rotated_and_secrets_still_open(run: Run, linked: Running) -> None:
    assert (await run("rotate-key", "--json")).json["resealed"]["connection.secret"] == 1
    assert (await run("sync", "17")).status == 0


async def test_a_restored_installation_only_verifies_until_confirmed(run: Run, linked: Running, tmp_path: Path) -> None:
    await run("sync", "--all")
    saved = (await run("backup", str(tmp_path / "saved"), "--json")).json
    assert saved["with_keys"] is False
    put(linked, "anna@memory.example", "Später")
    assert (await run("restore", str(tmp_path / "saved"), "--json")).json["mode"] == "verify"
    assert "`gleichtakt confirm`" in (await run("status")).out
    await run("sync", "17")
    assert (await run("plan", "17", "--json")).json["counts"]["app"]["created"] == 1
    assert (await run("confirm", "--json")).json == {"mode": "live"}
    assert (await run("sync", "17", "--json")).json["runs"][0]["counts"]["app"]["created"] == 1


async def test_the_doctor_looks_at_a_stored_connection(run: Run, linked: Running) -> None:
    ended = await run("doctor", "memory", "--mailbox", "anna@memory.example", "--calendar", "calendar")
    assert ended.status == 0
    checks = [line for line in ended.out.splitlines() if not line.startswith(" ")]
    assert [line.partition(" (")[0] for line in checks] == ["✓ Sign-in", "✓ Calendars", "✓ Test item"]
    linked.simulator.accounts.clear()
    for session in linked.sessions:
        session.is_signed_in = False
    told = await run("doctor", "memory", "--json", LANG="de_DE.UTF-8")
    assert told.status == 1
    assert told.json["checks"][0]["result"] == "fail"
    assert "Anmeldung" in told.json["checks"][0]["cause"]
    assert (await run("doctor", "fax")).status == 1


async def test_the_doctor_looks_at_a_connection_that_is_not_stored(run: Run, memory: Running) -> None:
    described = ("doctor", "--provider", "memory", "--server", memory.url, "--username", "sync")
    assert (await run(*described, GLEICHTAKT_DOCTOR_PASSWORD="sync-password")).status == 0
    assert (await run(*described, GLEICHTAKT_DOCTOR_PASSWORD="wrong")).status == 1
    unknown = await run("doctor", "--provider", "fax", "--server", "x")
    assert unknown.status == 1
    assert "Known are caldav, ews, feed, memory" in unknown.err


async def test_help_is_quick() -> None:
    """Measured in processor time, which does not depend on what else the machine does."""
    program = "import resource, sys; sys.argv = ['gleichtakt', '--help']\nfrom gleichtakt.main import cli\n"
    measure = "try: cli()\nfinally: sys.stderr.write(str(sum(resource.getrusage(resource.RUSAGE_SELF)[:2])))"
    times = []
    for _ in range(3):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", program + measure, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        _, told = await process.communicate()
        times.append(float(told))
    assert min(times) < 0.3


def test_every_sentence_of_the_commands_is_there_in_both_languages() -> None:
    own = {code: found for code, found in sentences().items() if code.startswith(("command.", "onboarding."))}
    assert own
    assert all(found.cause[language] and found.remedy[language] for found in own.values() for language in LANGUAGES)
