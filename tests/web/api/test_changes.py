"""The change feed and the webhooks made from it, as an application sees them."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from typing import Any

import httpx
import pytest
from aiohttp import web
from litestar import Litestar
from sqlalchemy import text
from tests.web.api.conftest import SETTINGS, STANDUP, Caller, make_key, make_organization

from gleichtakt.settings import Settings
from gleichtakt.store.database import Database
from gleichtakt.store.secrets import SecretBox
from gleichtakt.web.app import services_of
from gleichtakt.worker.deliver_webhook import deliver_due
from gleichtakt.worker.jobs import Shop, do_outbox


async def test_every_change_of_a_calendar_is_read_in_order(api: Caller, anna: dict[str, Any]) -> None:
    here = (await api.read("/changes?cursor=now"))["next"]
    events = f"/resources/{anna['id']}/events"
    event = await api.made(events, **STANDUP)
    await api("PUT", f"{events}/{event['id']}", {**STANDUP, "title": "Moved"})
    await api("PUT", f"{events}/{event['id']}", {**STANDUP, "title": "Moved"})  # the same again is no change
    await api("DELETE", f"{events}/{event['id']}")
    page = await api.read(f"/changes?cursor={here}")
    told = [(one["type"], one["object_id"], one["resource_id"]) for one in page["items"]]
    assert told == [(f"event.{what}", event["id"], anna["id"]) for what in ("created", "updated", "deleted")]
    assert "Moved" not in json.dumps(page)  # what to look at, never content
    assert (await api.read(f"/changes?cursor={page['next']}"))["items"] == []
    second = await api.read(f"/changes?cursor={page['items'][0]['cursor']}")
    assert second["items"] == page["items"][1:]


async def test_the_feed_goes_on_page_by_page_while_it_grows(api: Caller, anna: dict[str, Any]) -> None:
    cursor = (await api.read("/changes?cursor=now"))["next"]
    made: list[str] = []
    seen: list[str] = []
    for _ in range(4):
        made += [(await api.made(f"/resources/{anna['id']}/events", **STANDUP))["id"] for _ in range(3)]
        page = await api.read(f"/changes?cursor={cursor}&limit=2")
        seen += [one["object_id"] for one in page["items"]]
        cursor = page["next"]
    while (page := await api.read(f"/changes?cursor={cursor}&limit=2"))["items"]:
        seen += [one["object_id"] for one in page["items"]]
        cursor = page["next"]
    assert seen == made


async def test_a_reader_who_waits_hears_of_a_change_when_it_happens(api: Caller, anna: dict[str, Any]) -> None:
    here = (await api.read("/changes?cursor=now"))["next"]
    waiting = asyncio.create_task(api("GET", f"/changes?cursor={here}&wait=30"))
    done, _ = await asyncio.wait([waiting], timeout=0.1)
    assert not done
    event = await api.made(f"/resources/{anna['id']}/events", **STANDUP)
    page = (await asyncio.wait_for(waiting, 20)).json()
    assert [one["object_id"] for one in page["items"]] == [event["id"]]
    empty = await api.read(f"/changes?cursor={page['next']}&wait=0.1")
    assert (empty["items"], empty["next"]) == ([], page["next"])


async def test_a_cursor_of_before_a_restore_is_gone_and_says_what_to_do(api: Caller) -> None:
    refused = await api.refused("GET", f"/changes?cursor={'0' * 32}-1-1")
    assert (refused.status, refused.code) == (410, "store.cursor_epoch")
    for nonsense in ("x", "now-1", "1-1-1"):
        refused = await api.refused("GET", f"/changes?cursor={nonsense}")
        assert (refused.status, refused.place) == (422, "cursor")
    assert (await api.refused("GET", "/changes?wait=61")).place == "wait"


# --- webhooks ----------------------------------------------------------------------------------------------------


@dataclass
class Receiver:
    """An application that takes webhooks and checks their signature. answers: statuses to give in turn; then 204."""

    url: str = ""
    secrets: list[str] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    got: list[dict[str, Any]] = field(default_factory=list)

    async def take(self, request: web.Request) -> web.Response:
        """Take one message."""
        body = await request.read()
        signed = ".".join((request.headers["webhook-id"], request.headers["webhook-timestamp"])).encode() + b"." + body
        valid = {_signature(secret, signed) for secret in self.secrets}
        assert valid & set(request.headers["webhook-signature"].split()), "a signature that does not fit"
        status = self.answers.pop(0) if self.answers else 204
        if status < 300:
            self.got.append(json.loads(body))
        return web.Response(status=status)


def _signature(secret: str, signed: bytes) -> str:
    key = base64.b64decode(secret.removeprefix("whsec_"))
    return "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """A running receiver on loopback."""
    made = Receiver()
    app = web.Application()
    app.router.add_post("/hook", made.take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    yield made
    await runner.cleanup()


@dataclass
class Firm:
    """A caller in a database of the test's own, with the worker's part of delivery."""

    call: Caller
    database: Database
    settings: Settings
    box: SecretBox
    resource_id: str = ""

    async def deliver(self) -> None:
        """Deliver what is due, pauses being over."""
        async with self.database.begin() as connection:
            await connection.execute(text("update webhook set retry_at = now() where retry_at is not null"))
        await deliver_due(self.database, self.settings, self.box, "test")

    async def event(self, **more: Any) -> str:
        """Add an event; give its id."""
        return str((await self.call.made(f"/resources/{self.resource_id}/events", **{**STANDUP, **more}))["id"])


@pytest.fixture
async def firm(fresh: Database, made_once: Litestar, box: SecretBox) -> AsyncIterator[Firm]:
    """An organization with a person."""
    settings = replace(SETTINGS, allow_private_hosts="127.0.0.1/32")
    made_once.state.services = services_of(fresh, settings, box)
    organization_id = await make_organization(fresh, "Muster GmbH")
    transport = httpx.ASGITransport(app=made_once)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="https://calendars.example.org") as client:
        caller = Caller(client, organization_id, await make_key(fresh, organization_id, "admin"))
        person = await caller.made("/resources", name="Anna")
        yield Firm(caller, fresh, settings, box, person["id"])


async def test_a_webhook_tells_signed_of_what_it_was_made_for(firm: Firm, receiver: Receiver) -> None:
    before = await firm.event()
    hook = await firm.call.made("/webhooks", url=receiver.url, types=["event.created"])
    receiver.secrets = [hook["secret"]]
    created = await firm.event(title="Told")
    await firm.call("DELETE", f"/resources/{firm.resource_id}/events/{before}")
    await firm.deliver()
    assert [(one["type"], one["object_id"]) for one in receiver.got] == [("event.created", created)]
    assert "Told" not in str(receiver.got)
    read = await firm.call.read(f"/webhooks/{hook['id']}")
    assert (read["secret"], read["last_status"], read["failing_since"]) == ("•••", "204", None)
    following = await firm.call.read(f"/changes?cursor={receiver.got[0]['cursor']}")
    assert [one["type"] for one in following["items"]] == ["event.deleted"]  # a message names its place in the feed


async def test_a_receiver_that_fails_is_told_again_in_order(firm: Firm, receiver: Receiver) -> None:
    hook = await firm.call.made("/webhooks", url=receiver.url)
    receiver.secrets = [hook["secret"]]
    first, second = await firm.event(), await firm.event()
    receiver.answers = [500, 503]
    for _ in range(2):
        await firm.deliver()
        failing = await firm.call.read(f"/webhooks/{hook['id']}")
        assert failing["failing_since"]
        assert failing["retry_at"]
    await firm.deliver()
    assert [one["object_id"] for one in receiver.got] == [first, second]
    assert (await firm.call.read(f"/webhooks/{hook['id']}"))["failing_since"] is None


async def test_everything_is_sent_again_from_a_cursor(firm: Firm, receiver: Receiver) -> None:
    hook = await firm.call.made("/webhooks", url=receiver.url)
    receiver.secrets = [hook["secret"]]
    sent = [await firm.event() for _ in range(3)]
    await firm.deliver()
    path = f"/webhooks/{hook['id']}/replay"
    assert (await firm.call("POST", path, {"cursor": receiver.got[0]["cursor"]})).status_code == 202
    await firm.deliver()
    assert [one["object_id"] for one in receiver.got] == [*sent, *sent[1:]]
    assert receiver.got[3]["id"] == receiver.got[1]["id"]  # the same message, so that a receiver can tell
    receiver.got.clear()
    assert (await firm.call("POST", path)).status_code == 202
    await firm.deliver()
    assert [one["object_id"] for one in receiver.got if one["type"] == "event.created"] == sent
    assert (await firm.call.refused("POST", path, {"cursor": "x"})).status == 422
    assert (await firm.call.refused("POST", path, {"cursor": f"{'0' * 32}-1-1"})).status == 410


async def test_a_new_secret_lives_beside_the_old_one(firm: Firm, receiver: Receiver) -> None:
    hook = await firm.call.made("/webhooks", url=receiver.url)
    renewed = (await firm.call("PATCH", f"/webhooks/{hook['id']}", {"renew_secret": True})).json()
    assert renewed["secret"].startswith("whsec_")
    assert renewed["secret"] != hook["secret"]
    for known in (hook["secret"], renewed["secret"]):
        receiver.secrets = [known]
        await firm.event()
        await firm.deliver()
    assert len(receiver.got) == 2


async def test_the_test_button_sends_one_signed_message(firm: Firm, receiver: Receiver) -> None:
    hook = await firm.call.made("/webhooks", url=receiver.url, active=False)
    receiver.secrets = [hook["secret"]]
    assert (await firm.call("POST", f"/webhooks/{hook['id']}/test")).status_code == 202
    await do_outbox(Shop(firm.database, firm.settings, firm.box, "test"))
    assert [one["type"] for one in receiver.got] == ["test"]
    assert (await firm.call.read(f"/webhooks/{hook['id']}"))["last_status"] == "204"


async def test_a_webhook_that_is_switched_off_hears_nothing_until_it_is_on(firm: Firm, receiver: Receiver) -> None:
    hook = await firm.call.made("/webhooks", url=receiver.url, active=False)
    receiver.secrets = [hook["secret"]]
    missed = await firm.event()
    await firm.deliver()
    assert receiver.got == []
    await firm.call("PATCH", f"/webhooks/{hook['id']}", {"active": True})
    await firm.deliver()
    assert [one["object_id"] for one in receiver.got] == [missed]


@pytest.mark.parametrize(
    "url", ["", "hook", "ftp://example.org/", "https://", "https://u:p@example.org/", "https://a:99999/", None, 5]
)
async def test_an_address_that_cannot_be_called_is_refused(api: Caller, url: Any) -> None:
    refused = await api.refused("POST", "/webhooks", {"url": url})
    assert (refused.status, refused.place) == (422, "url")
    hook = await api.made("/webhooks", url="https://hooks.example.org/")
    assert (await api.refused("PATCH", f"/webhooks/{hook['id']}", {"url": url})).place == "url"
