"""The simulated Exchange as a command, and the page that describes it."""

from __future__ import annotations

import asyncio
import hashlib
import json
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from tests.certificates import certificate
from tests.simulators.exchange.plain_client import ROOMS, envelope, signed_in

from gleichtakt.simulators.exchange.__main__ import seeded
from gleichtakt.simulators.exchange.control import OPERATIONS, STREAMS
from gleichtakt.simulators.exchange.faults import KINDS
from gleichtakt.simulators.exchange.organization import Habits
from gleichtakt.simulators.exchange.throttling import Policy
from gleichtakt.simulators.exchange.versions import RELEASES

PAGE = Path(__file__).parents[3] / "docs" / "operations" / "simulate-exchange.md"


@asynccontextmanager
async def process(*arguments: str) -> AsyncIterator[dict[str, Any]]:
    """Start the command; give what it printed."""
    started = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gleichtakt.main", "simulate", "ews", "--json", *arguments, stdout=asyncio.subprocess.PIPE
    )
    assert started.stdout is not None
    try:
        yield json.loads(await started.stdout.readline())
    finally:
        if started.returncode is None:
            started.send_signal(signal.SIGTERM)
        assert await started.wait() == 0


async def test_the_command_serves_a_firm_and_says_how_to_sign_in() -> None:
    async with process() as told:
        (service,) = (one for one in told["accounts"] if not one["mailbox"])
        person = next(one for one in told["accounts"] if one["mailbox"])
        async with signed_in(told["url"]) as client:
            asked = envelope(ROOMS, impersonate=person["mailbox"])
            assert (await client.sign_in(service["username"], service["password"], data=asked)).status == 200


async def test_a_seed_describes_another_firm(tmp_path: Path) -> None:
    seed = json.loads(PAGE.read_text(encoding="utf-8").partition("```json\n")[2].partition("```")[0])
    path = tmp_path / "seed.json"
    path.write_text(json.dumps({**seed, "certificate": str(certificate().path)}))
    async with process("--seed", str(path)) as told, signed_in(told["url"], ca_pem=certificate().ca_pem) as client:
        (account,) = told["accounts"]
        assert (told["version"], account["mailbox"]) == (seed["habits"]["version"], "")
        asked = envelope(ROOMS, impersonate=seed["state"][0]["mailbox"])
        bound = hashlib.sha256(certificate().der).digest()
        reply = await client.sign_in(account["username"], account["password"], certificate=bound, data=asked)
        assert reply.texts("EmailAddress") == ["rooms@sample.example"]


@pytest.mark.parametrize(
    "seed", [{"state": [{"op": "x"}]}, {"habits": {"x": 1}}, {"throttle": {"x": 1}}, {"faults": [{"do": "x"}]}]
)
def test_a_seed_that_makes_no_sense_is_refused_with_what_there_is(seed: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"known are|is one of"):
        seeded(seed)


@pytest.mark.parametrize(
    "names",
    [KINDS, OPERATIONS, STREAMS, RELEASES, {one.name for one in fields(Habits)}, {one.name for one in fields(Policy)}],
)
def test_the_page_names_all_there_is(names: set[str]) -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert {name for name in names if f"`{name}`" not in text} == set()
