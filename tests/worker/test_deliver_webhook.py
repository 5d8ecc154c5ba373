"""Webhooks: signed, in order, at least once, patient for a day, and never into a private network unasked."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest
from aiohttp import web
from sqlalchemy import text
from tests.firm import Firm
from tests.waiting import eventually

from gleichtakt.settings import Settings
from gleichtakt.store import changes, deliveries, instance, webhooks
from gleichtakt.store.database import Database
from gleichtakt.store.secrets import SecretBox, new_key
from gleichtakt.store.webhooks import Webhook
from gleichtakt.worker.deliver_webhook import (
    GIVE_UP_AFTER,
    LONGEST_PAUSE,
    Message,
    deliver_due,
    headers_of,
    pause,
    secret_bytes,
    send_test,
    sign,
)
from gleichtakt.worker.jobs import IDLE_SECONDS, Shop, serve_jobs


@dataclass
class Receiver:
    """An application that takes webhooks. answers: statuses to give, in turn; 200 after the last."""

    url: str = ""
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)

    async def take(self, request: web.Request) -> web.Response:
        """Take one message."""
        body = await request.read()
        status = self.answers.pop(0) if self.answers else 200
        self.got.append(({name.lower(): value for name, value in request.headers.items()}, body))
        return web.Response(status=status, headers=self.headers)

    @property
    def types(self) -> list[str]:
        """Give the types of the messages, in the order they came."""
        return [json.loads(body)["type"] for _, body in self.got]


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """A running receiver on loopback."""
    made = Receiver()
    app = web.Application()
    app.router.add_post("/hook", made.take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    yield made
    await runner.cleanup()


@pytest.fixture
def box() -> SecretBox:
    """A box of one's own."""
    return SecretBox(new_key())


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings that allow the receiver's address."""
    return Settings(data_dir=str(tmp_path / "data"), allow_private_hosts="127.0.0.1/32")


async def subscribe(database: Database, box: SecretBox, firm: Firm, url: str, types: tuple[str, ...] = ()) -> tuple[Webhook, str]:
    """Add a webhook."""
    async with database.begin() as connection:
        return await webhooks.create(connection, box, organization_id=firm.organization_id, url=url, types=types)


async def happen(database: Database, firm: Firm, *types: str) -> None:
    """Let changes happen, each in a transaction of its own."""
    for type_ in types:
        async with database.begin() as connection:
            await changes.append(connection, firm.organization_id, type_)


async def state(database: Database, webhook_id: UUID) -> Webhook:
    """Read a webhook."""
    async with database.read() as connection:
        return await webhooks.webhooks.get(connection, None, webhook_id)


async def due_again(database: Database) -> None:
    """Let the pauses be over."""
    async with database.begin() as connection:
        await connection.execute(text("UPDATE webhook SET retry_at = now() WHERE retry_at IS NOT NULL"))


# --- signatures ---------------------------------------------------------------------------------------------------


def test_the_signature_is_the_one_of_the_published_example() -> None:
    message = Message("msg_p5jXN8AQM9LWM0D4loKWxJek", b'{"test": 2432232314}')
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    assert sign(secret, message, 1614265330) == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_while_two_secrets_live_both_sign() -> None:
    headers = headers_of(["whsec_bmV1", "whsec_YWx0"], Message("msg_1", b"{}"), 1)
    new, old = headers["webhook-signature"].split(" ")
    assert new == sign("whsec_bmV1", Message("msg_1", b"{}"), 1)
    assert old == sign("whsec_YWx0", Message("msg_1", b"{}"), 1)


def test_pauses_grow_and_stay_below_the_longest() -> None:
    pauses = [pause(attempt, 0.5) for attempt in range(12)]
    assert pauses == sorted(pauses)
    assert pauses[0] == timedelta(seconds=5)
    assert pauses[-1] == LONGEST_PAUSE
    assert pause(10_000, 1.0) <= LONGEST_PAUSE * 1.25


# --- delivery -----------------------------------------------------------------------------------------------------


async def test_a_receiver_gets_what_happened_in_order_and_can_verify_it(
    database: Database, firm: Firm, receiver: Receiver, box: SecretBox, settings: Settings
) -> None:
    await happen(database, firm, "before.subscribing")
    _, secret = await subscribe(database, box, firm, receiver.url)
    await happen(database, firm, "event.created", "event.updated", "event.deleted")
    assert await deliver_due(database, settings, box, "worker") == 1
    assert receiver.types == ["event.created", "event.updated", "event.deleted"]
    for headers, body in receiver.got:
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        right = base64.b64encode(hmac.digest(secret_bytes(secret), signed, hashlib.sha256)).decode()
        assert headers["webhook-signature"] == f"v1,{right}"
        assert set(json.loads(body)) == {
            *("id", "type", "organization_id", "resource_id", "object_id", "cursor", "occurred_at"),
        }
    assert await deliver_due(database, settings, box, "worker") == 0


async def test_a_change_that_an_older_transaction_holds_up_is_told_as_soon_as_that_ends(
    database: Database, firm: Firm, receiver: Receiver, box: SecretBox, settings: Settings
) -> None:
    await subscribe(database, box, firm, receiver.url)
    shop = Shop(database, settings, box)
    serving = asyncio.create_task(serve_jobs(shop))
    async with database.begin() as older:
        await older.execute(text("select pg_current_xact_id()"))
        await happen(database, firm, "event.created")
        await eventually(lambda: _is_held_up(database))
        assert await deliver_due(database, settings, box, "worker") == 0
    begun = time.monotonic()
    await eventually(lambda: _has(receiver, "event.created"))
    assert time.monotonic() - begun < IDLE_SECONDS / 2, "it did not wait for its turn to come round"
    serving.cancel()
    await asyncio.gather(serving, return_exceptions=True)


async def _is_held_up(database: Database) -> bool:
    async with database.read() as connection:
        return await deliveries.is_held_up(connection)


async def _has(receiver: Receiver, *types: str) -> bool:
    return receiver.types == list(types)


async def test_the_cursor_in_a_message_goes_on_after_it(
    database: Database, firm: Firm, receiver: Receiver, box: SecretBox, settings: Settings
) -> None:
    await subscribe(database, box, firm, receiver.url)
    await happen(database, firm, "first", "second")
    await deliver_due(database, settings, box, "worker")
    cursor = json.loads(receiver.got[0][1])["cursor"]
    async with database.read() as connection:
        rows, _ = await changes.read(connection, firm.organization_id, cursor, 10)
    assert [row.type for row in rows] == ["second"]


async def test_a_receiver_gets_only_the_types_it_asked_for(
    database: Database, firm: Firm, receiver: Receiver, box: SecretBox, settings: Settings
) -> None:
    await subscribe(database, box, firm, receiver.url, ("hold.opened",))
    await happen(database, firm, "event.created", "hold.opened", "event.created")
    await deliver_due(database, settings, box, "worker")
    assert receiver.types == ["hold.opened"]
    assert await deliver_due(database, settings, box, "worker") == 0, "the rest was passed over, not left"


async def test_a_failure_holds_back_what_follows_and_the_same_message_comes_again(
    database: Database, firm: Firm, receiver: Receiver, box: SecretBox, settings: Settings
) -> None:
    made, _ = await subscribe(database, box, firm, receiver.url)
    await happen(database, firm, "first", "second", "third")
    receiver.answers = [200, 500]
    await deliver_due(database, settings, box, "worker")
    assert receiver.types == ["first", "second"]
    found = await state(database, made.id)
    assert (found.last_status, found.attempt) == ("500", 1)
    assert found.retry_at
    assert await deliver_due(database, settings, box, "worker") == 0, "not before its time"
    await due_again(database)
    await deliver_due(database, settings, box, "worker")
    assert receiver.types == ["first", "second", "second", "third"]
    assert receiver.got[1][0]["webhook-id"] == receiver.got[2][0]["webhook-id"]
    found = await state(database, made.id)
    assert (found.attempt, found.failing_since, found.retry_at) == (0, None, None)


async def test_a_failure_after_a_success_begins_a_day_of_its_own(
    database: Database, firm: Firm, receiver: Receiver, box: SecretBox, settings: Settings
) -> None:
    made, _ = await subscribe(database, box, firm, receiver.url)
    await happen(database, firm, "first", "second")
    async with database.begin() as connection:
        long_ago = {"since": datetime.now(UTC) - GIVE_UP_AFTER - timedelta(minutes=1)}
        await connection.execute(text("UPDATE webhook SET failing_since = :since, attempt = 9"), long_ago)
    receiver.answers = [200, 500]
    await deliver_due(database, settings, box, "worker")
    found = await state(database, made.id)
    assert (found.active, found.attempt, found.last_status) == (True, 1, "500")
    assert found.failing_since
    assert found.failing_since > datetime.now(UTC) - timedelta(minutes=1)


async def test_what_is_passed_over_says_nothing_of_the_receiver(
    database: Database, firm: Firm, receiver: Receiver, box: SecretBox, settings: Settings
) -> None:
    made, _ = await subscribe(database, box, firm, receiver.url, ("hold.opened",))
    await happen(database, firm, "hold.opened")
    receiver.answers = [503]
    await deliver_due(database, settings, box, "worker")
    await due_again(database)
    async with database.begin() as connection:
        await connection.execute(text("UPDATE webhook SET types = jsonb_build_array('problem.opened')"))
    await happen(database, firm, "event.created")
    await deliver_due(database, settings, box, "worker")
    found = await state(database, made.id)
    assert (found.last_status, found.attempt) == ("503", 1)
    assert found.failing_since


async def test_one_failing_receiver_does_not_hold_up_another(
    database: Database, firm: Firm, receiver: Receiver, box: SecretBox, settings: Settings
) -> None:
    await subscribe(database, box, firm, "http://127.0.0.1:1/nobody")
    await subscribe(database, box, firm, receiver.url)
    await happen(database, firm, "event.created")
    assert await deliver_due(database, settings, box, "worker") == 2
    assert receiver.types == ["event.created"]


async def test_a_receiver_that_asks_for_time_gets_it(
    database: Database, firm: Firm, receiver: Receiver, box: SecretBox, settings: Settings
) -> None:
    made, _ = await subscribe(database, box, firm, receiver.url)
    await happen(database, firm, "event.created")
    receiver.answers, receiver.headers = [429], {"Retry-After": "600"}
    await deliver_due(database, settings, box, "worker")
    retry_at = (await state(database, made.id)).retry_at
    assert retry_at
    assert timedelta(minutes=9) < retry_at - datetime.now(UTC) <= timedelta(minutes=10)


@pytest.mark.parametrize("reason", ["a day of failures", "the receiver says it is gone"])
async def test_a_hopeless_webhook_is_switched_off_listed_and_goes_on_where_it_stood(
    database: Database, firm: Firm, receiver: Receiver, box: SecretBox, settings: Settings, reason: str
) -> None:
    made, _ = await subscribe(database, box, firm, receiver.url, ("event.created",))
    await happen(database, firm, "event.created")
    if reason == "a day of failures":
        receiver.answers = [500]
        async with database.begin() as connection:
            await connection.execute(
                text("UPDATE webhook SET failing_since = :since"),
                {"since": datetime.now(UTC) - GIVE_UP_AFTER - timedelta(minutes=1)},
            )
    else:
        receiver.answers = [410]
    await deliver_due(database, settings, box, "worker")
    assert not (await state(database, made.id)).active
    async with database.read() as connection:
        problem = (await connection.execute(text("SELECT code, state FROM problem"))).one()
    assert tuple(problem) == ("store.webhook_off", "open")
    assert await deliver_due(database, settings, box, "worker") == 0

    async with database.begin() as connection:
        await connection.execute(text("UPDATE webhook SET active = true"))
    await deliver_due(database, settings, box, "worker")
    assert receiver.types == ["event.created", "event.created"], "nothing was lost"
    async with database.read() as connection:
        assert (await connection.execute(text("SELECT state FROM problem"))).scalar_one() == "resolved"


async def test_a_replay_sends_everything_again_from_a_cursor(
    database: Database, firm: Firm, receiver: Receiver, box: SecretBox, settings: Settings
) -> None:
    made, _ = await subscribe(database, box, firm, receiver.url)
    await happen(database, firm, "first", "second", "third")
    await deliver_due(database, settings, box, "worker")
    cursor = json.loads(receiver.got[0][1])["cursor"]
    async with database.begin() as connection:
        await webhooks.replay(connection, firm.organization_id, made.id, cursor)
    await deliver_due(database, settings, box, "worker")
    assert receiver.types == ["first", "second", "third", "second", "third"]


async def test_two_processes_never_deliver_for_one_webhook_at_once(
    database: Database, firm: Firm, receiver: Receiver, box: SecretBox, settings: Settings
) -> None:
    await subscribe(database, box, firm, receiver.url)
    names = [f"event.{number}" for number in range(20)]
    await happen(database, firm, *names)
    await asyncio.gather(*(deliver_due(database, settings, box, f"worker {number}") for number in range(3)))
    assert receiver.types == names


async def test_a_webhook_of_a_killed_worker_goes_on_with_another(
    database: Database, firm: Firm, receiver: Receiver, box: SecretBox, settings: Settings
) -> None:
    await subscribe(database, box, firm, receiver.url)
    await happen(database, firm, "event.created")
    async with database.begin() as connection:
        await connection.execute(text("UPDATE webhook SET owner = 'killed', lease_until = now() + interval '1 minute'"))
    assert await deliver_due(database, settings, box, "worker") == 0
    async with database.begin() as connection:
        await connection.execute(text("UPDATE webhook SET lease_until = now()"))
    assert await deliver_due(database, settings, box, "worker") == 1


async def test_a_private_address_is_not_reached_unless_allowed(
    database: Database, firm: Firm, receiver: Receiver, box: SecretBox, tmp_path: Path
) -> None:
    made, _ = await subscribe(database, box, firm, receiver.url)
    await happen(database, firm, "event.created")
    await deliver_due(database, Settings(data_dir=str(tmp_path)), box, "worker")
    assert receiver.got == []
    assert (await state(database, made.id)).last_status == "general.private_address"


async def test_ops_07_a_clone_delivers_nothing_until_confirmed(
    database: Database, firm: Firm, receiver: Receiver, box: SecretBox, settings: Settings
) -> None:
    await subscribe(database, box, firm, receiver.url)
    await happen(database, firm, "event.created")
    async with database.begin() as connection:
        await instance.new_epoch(connection, "copied")
    assert await deliver_due(database, settings, box, "worker") == 0
    async with database.begin() as connection:
        await instance.confirm(connection)
    await deliver_due(database, settings, box, "worker")
    assert receiver.types == ["event.created"]


async def test_a_renewed_secret_signs_beside_the_old_one(
    database: Database, firm: Firm, receiver: Receiver, box: SecretBox, settings: Settings
) -> None:
    made, old = await subscribe(database, box, firm, receiver.url)
    async with database.begin() as connection:
        _, new = await webhooks.renew_secret(connection, box, firm.organization_id, made.id)
    await happen(database, firm, "event.created")
    await deliver_due(database, settings, box, "worker")
    headers, body = receiver.got[0]
    message = Message(headers["webhook-id"], body)
    right = [sign(secret, message, int(headers["webhook-timestamp"])) for secret in (new, old)]
    assert headers["webhook-signature"].split(" ") == right


async def test_a_missing_key_postpones_and_names_itself(
    database: Database, firm: Firm, receiver: Receiver, box: SecretBox, settings: Settings
) -> None:
    made, _ = await subscribe(database, box, firm, receiver.url)
    await happen(database, firm, "event.created")
    await deliver_due(database, settings, SecretBox(new_key()), "worker")
    assert receiver.got == []
    assert (await state(database, made.id)).last_status == "store.key_missing"


async def test_a_test_message_is_signed_and_moves_nothing(
    database: Database, firm: Firm, receiver: Receiver, box: SecretBox, settings: Settings
) -> None:
    made, secret = await subscribe(database, box, firm, receiver.url)
    await happen(database, firm, "event.created")
    await send_test(database, settings, box, made.id)
    assert receiver.types == ["test"]
    headers, body = receiver.got[0]
    assert headers["webhook-signature"] == sign(secret, Message(headers["webhook-id"], body), int(headers["webhook-timestamp"]))
    assert (await state(database, made.id)).last_status == "200"
    await deliver_due(database, settings, box, "worker")
    assert receiver.types == ["test", "event.created"]
