"""Whatever a caller sends, the answer is one the description names: never a server error, always of the shape it tells.

The requests are made by Schemathesis from openapi.json and sent to the application over loopback, the same ones in every
run. Ids are mostly those of objects that exist, so that requests get past the first look.
"""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import requests
import schemathesis
import uvicorn
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from tests.web.api.conftest import SETTINGS, Caller, make_key, make_organization
from tests.web.api.world import Ids, make_world

from gleichtakt.store.database import Database
from gleichtakt.store.secrets import SecretBox, new_key
from gleichtakt.web.api.description import TAGS
from gleichtakt.web.app import create_app

NIGHTLY = bool(os.environ.get("GLEICHTAKT_NIGHTLY"))
EXAMPLES = 100 if NIGHTLY else 4
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
#: These end what others need; they meet unknown ids here, and have tests of their own.
ENDING = ("delete", "revoke", "disconnect")


@dataclass(slots=True)
class Served:
    """The application on a port, with one object of each kind."""

    url: str
    key: str
    ids: Ids
    session: requests.Session


@asynccontextmanager
async def serving(url: str, listening: socket.socket) -> AsyncIterator[tuple[str, Ids]]:
    """Run the application over a database; give a key of one organization and what there is in it."""
    async with await Database.open(url, pool=4) as database:
        app = create_app(database, SETTINGS, SecretBox(new_key()))
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, lifespan="off"))
        serving = asyncio.create_task(server.serve([listening]))
        organization_id = await make_organization(database, "Muster GmbH")
        key = await make_key(database, organization_id, "admin")
        transport = httpx.ASGITransport(app=app)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
            ids = await make_world(Caller(client, organization_id, key), database)
        yield key, ids
        server.should_exit = True
        await serving


@pytest.fixture(scope="module")
def served(shared_url: str) -> Iterator[Served]:
    """The application in a thread of its own."""
    listening = socket.create_server(("127.0.0.1", 0))
    ready, stop, found = threading.Event(), threading.Event(), []

    async def run() -> None:
        async with serving(shared_url, listening) as made:
            found.append(made)
            ready.set()
            await asyncio.to_thread(stop.wait)

    thread = threading.Thread(target=asyncio.run, args=(run(),), daemon=True)
    thread.start()
    assert ready.wait(60)
    key, ids = found[0]
    with requests.Session() as session:
        yield Served(f"http://127.0.0.1:{listening.getsockname()[1]}", key, ids, session)
    stop.set()
    thread.join(30)


@pytest.fixture(scope="module")
def description(served: Served) -> Any:
    """The interface as it describes itself."""
    return schemathesis.openapi.from_url(f"{served.url}/api/v1/openapi.json")


def aimed(case: Case[Any], ids: Ids) -> Case[Any]:
    """Let a request meet what exists, in three of four cases, in the caller's own organization, without waiting."""
    for name in ("X-Organization", "Idempotency-Key"):
        case.headers.pop(name, None)
    if any(parameter.name == "wait" for parameter in case.operation.query):
        case.query["wait"] = 0
    ends = str(case.operation.definition.raw["operationId"]).startswith(ENDING)
    for name, value in case.path_parameters.items():
        if not ends and ord(str(value)[-1:] or "0") % 4:
            case.path_parameters[name] = ids.get(name, value)
    if isinstance(case.body, dict):
        case.body = _with_ids(case.body, ids)
    return case


def _with_ids(body: dict[str, Any], ids: Ids) -> dict[str, Any]:
    known = {name: ids[name] for name in ("resource_id", "connection_id", "group_id") if isinstance(body.get(name), str)}
    return {**body, **known, **({"wait_seconds": 0} if "wait_seconds" in body else {})}


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["as described", "otherwise"])
@pytest.mark.parametrize("tag", TAGS)
def test_any_request_is_answered_as_described(served: Served, description: Any, tag: str, mode: GenerationMode) -> None:
    asked = 0
    for found in description.include(tag=tag).get_all_operations():
        operation = found.ok()
        if mode is GenerationMode.NEGATIVE and not (operation.query or operation.body):
            continue
        ask(served, operation, mode)
        asked += 1
    assert asked


def ask(served: Served, operation: Any, mode: GenerationMode) -> None:
    """Send many requests to one operation."""

    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def check(case: Case[Any]) -> None:
        sent = aimed(case, served.ids)
        answer = sent.call(headers={"authorization": f"Bearer {served.key}"}, session=served.session, timeout=30)
        sent.validate_response(answer, checks=CHECKS)

    check()
