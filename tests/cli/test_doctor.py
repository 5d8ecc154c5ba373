"""What the doctor finds when something is wrong: the step that fails, the sentence, and a remedy that can be copied."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tests.certificates import certificate, oldest_server
from tests.cli.shell import Ended, Run, shell
from tests.contract.samples import meeting
from tests.exchange_world import SERVICE, SERVICE_PASSWORD, exchange_world
from tests.feed_world import item_of

from gleichtakt.simulators import feed as feed_simulator
from gleichtakt.simulators.caldav import Running, Simulator, start

WORD = "sync-password"
BEFORE_SIGN_IN = ("dns", "tcp", "tls")


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Give a command as a shell would; no database is needed to look at a connection that is only described."""
    return shell("postgresql://nobody@127.0.0.1:1/none", tmp_path)


@pytest.fixture
async def server() -> AsyncIterator[Running]:
    """A CalDAV server behind a certificate of an authority nobody knows."""
    simulator = Simulator()
    simulator.add_calendar("sync", "team", "Team")
    async with start(simulator, tls=certificate().context()) as running:
        yield running


async def looked_at(run: Run, url: str, *words: str, password: str = WORD, **more: str) -> Ended:
    """Describe a CalDAV server to the doctor."""
    described = ("doctor", "--provider", "caldav", "--server", url, "--username", "sync", *words)
    return await run(*described, GLEICHTAKT_DOCTOR_PASSWORD=password, **more)


def trusted(tmp_path: Path) -> tuple[str, str]:
    """Give the words that name the authority."""
    (tmp_path / "ca.pem").write_text(certificate().ca_pem)
    return "--ca-file", str(tmp_path / "ca.pem")


def failed(ended: Ended) -> dict[str, Any]:
    """Give the one check that failed; those after it say nothing."""
    checks = ended.json["checks"]
    (first,) = (check for check in checks if check["result"] == "fail")
    assert {check["result"] for check in checks[checks.index(first) + 1 :]} <= {"skip"}
    assert ended.status == 1
    found: dict[str, Any] = first
    return found


async def test_a_sound_server_passes_every_check_and_keeps_nothing(run: Run, server: Running, tmp_path: Path) -> None:
    ended = await looked_at(run, server.url, *trusted(tmp_path), "--json")
    assert ended.status == 0
    assert ended.json["result"] == "pass"
    names = [check["name"] for check in ended.json["checks"]]
    assert names == [*BEFORE_SIGN_IN, "discovery", "calendars", "rights", "sync", "scheduling", "clock", "test_item"]
    tls = ended.json["checks"][2]["facts"]
    assert (tls["version"], tls["sha256"]) == ("TLSv1.3", certificate().pin)
    assert not server.simulator.folders["/dav/sync/team/"].things


async def test_a_wrong_password_fails_at_the_sign_in(run: Run, server: Running, tmp_path: Path) -> None:
    found = failed(await looked_at(run, server.url, *trusted(tmp_path), "--json", password="wrong"))
    assert (found["name"], found["code"]) == ("discovery", "general.login_refused")
    assert "user name and password" in found["remedy"]


async def test_an_unknown_calendar_is_named_with_those_that_are_there(run: Run, server: Running, tmp_path: Path) -> None:
    words = (*trusted(tmp_path), "--calendar", "/dav/sync/nowhere/", "--json")
    found = failed(await looked_at(run, server.url, *words))
    assert (found["name"], found["code"]) == ("rights", "general.calendar_missing")
    assert found["facts"]["known"] == "/dav/sync/team/"


async def test_an_untrusted_certificate_shows_its_pin_and_the_pin_makes_it_trusted(run: Run, server: Running) -> None:
    found = failed(await looked_at(run, server.url, "--json"))
    assert (found["name"], found["code"]) == ("tls", "general.tls")
    port = server.url.rstrip("/").rpartition(":")[2]
    assert f"openssl s_client -connect 127.0.0.1:{port} -showcerts </dev/null" in found["remedy"]
    assert found["facts"]["sha256"] == certificate().pin
    assert (await looked_at(run, server.url, "--pin", found["facts"]["sha256"])).status == 0


async def test_an_expired_certificate_is_told_apart(run: Run, tmp_path: Path) -> None:
    old = certificate(is_expired=True)
    (tmp_path / "old.pem").write_text(old.ca_pem)
    async with start(tls=old.context()) as server:
        found = failed(await looked_at(run, server.url, "--ca-file", str(tmp_path / "old.pem"), "--json"))
    assert (found["name"], found["code"]) == ("tls", "general.tls_expired")


async def test_a_certificate_for_another_name_is_told_apart(run: Run, server: Running, tmp_path: Path) -> None:
    async with start(server.simulator, host="127.0.0.2", tls=certificate().context()) as elsewhere:
        found = failed(await looked_at(run, elsewhere.url, *trusted(tmp_path), "--json"))
    assert (found["name"], found["code"]) == ("tls", "general.tls_name")


async def test_a_server_that_knows_only_old_tls_is_told_apart(run: Run) -> None:
    with oldest_server() as port:
        found = failed(await looked_at(run, f"https://127.0.0.1:{port}/", "--json"))
    assert (found["name"], found["code"]) == ("tls", "general.tls_old")
    assert f"openssl s_client -connect 127.0.0.1:{port} -tls1_2" in found["remedy"]


async def test_a_port_without_tls_is_told_apart(run: Run) -> None:
    async with start() as server:
        found = failed(await looked_at(run, server.url.replace("http:", "https:"), "--json"))
    assert (found["name"], found["code"]) == ("tls", "general.no_tls")


async def test_a_host_that_takes_no_connection_fails_at_the_network(run: Run) -> None:
    with socket.socket() as found_port:
        found_port.bind(("127.0.0.1", 0))
        url = f"https://127.0.0.1:{found_port.getsockname()[1]}/"
    found = failed(await looked_at(run, url, "--json"))
    assert (found["name"], found["code"]) == ("tcp", "general.unreachable")
    assert f"`curl -v {url}`" in found["remedy"]


async def test_a_name_nobody_knows_fails_at_the_name(run: Run) -> None:
    found = failed(await looked_at(run, "https://calendar.invalid/", "--json"))
    assert (found["name"], found["code"]) == ("dns", "general.name_unknown")
    assert "`getent hosts calendar.invalid`" in found["remedy"]


async def test_the_report_speaks_the_readers_language_and_keeps_commands_in_one_piece(run: Run, server: Running) -> None:
    port = server.url.rstrip("/").rpartition(":")[2]
    command = f"`openssl s_client -connect 127.0.0.1:{port} -showcerts </dev/null`"
    german = await looked_at(run, server.url, LANG="de_DE.UTF-8")
    assert "✗ Verschlüsselung" in german.out
    assert "Dem Zertifikat von 127.0.0.1 wird nicht vertraut" in german.out
    assert "– Anmeldung (nicht geprüft)" in german.out
    english = await looked_at(run, server.url)
    assert "✗ Encryption" in english.out
    for said in (german, english):
        assert any(command in line for line in said.out.splitlines())
        assert all(len(line) <= 80 for line in said.out.splitlines() if "`" not in line and "sha" not in line.lower())
        assert "\x1b" not in said.out


async def test_a_feed_is_looked_at_from_its_name_to_its_content(run: Run) -> None:
    simulator = feed_simulator.Simulator()
    simulator.feed("holidays").items = [*item_of(meeting(1))]
    async with feed_simulator.start(simulator) as running:
        described = ("doctor", "--provider", "feed", "--server", running.address("holidays"), "--json")
        private = failed(await run(*described))
        assert (private["name"], private["code"]) == ("dns", "general.private_address")
        ended = await run(*described, GLEICHTAKT_ALLOW_PRIVATE_HOSTS="127.0.0.1")
        assert [check["name"] for check in ended.json["checks"]] == [*BEFORE_SIGN_IN, "download", "content", "conditional"]
        assert ended.status == 0
        gone = (*described[:4], running.address("holidays").replace("holidays", "nowhere"), "--json")
        missing = failed(await run(*gone, GLEICHTAKT_ALLOW_PRIVATE_HOSTS="127.0.0.1"))
        assert (missing["name"], missing["code"]) == ("download", "feed.gone")


async def test_an_exchange_server_is_examined_by_the_sign_in_and_the_access_that_are_named(run: Run) -> None:
    async with exchange_world("anna") as world:
        described = (
            "doctor",
            "--provider",
            "ews",
            "--server",
            world.url,
            "--username",
            SERVICE,
            "--mailbox",
            "anna@firm.example",
        )
        ended = await run(*described, "--access", "impersonation", "--json", GLEICHTAKT_DOCTOR_PASSWORD=SERVICE_PASSWORD)
        assert ended.json["result"] == "pass"
        facts = {check["name"]: check["facts"] for check in ended.json["checks"]}
        assert (facts["login"]["method"], facts["mailbox"]["access"]) == ("ntlm", "impersonation")
        refused = failed(await run(*described, "--method", "basic", "--json", GLEICHTAKT_DOCTOR_PASSWORD=SERVICE_PASSWORD))
        assert (refused["name"], refused["code"]) == ("methods", "ews.method_not_offered")
        unknown = await run(*described, "--method", "digest")
        assert unknown.status == 1
        assert "ntlm, negotiate, basic" in unknown.err
        misused = await run(*described, "--access", "anyone")
        assert misused.status == 2
