"""Delivers the change feed to webhooks: signed after the Standard Webhooks convention, in order, at least once.

Each webhook has its own position in the feed. A failure stops only this webhook; it is tried again with growing pauses
for a day and then switched off, keeping its position, so that nothing is lost when someone switches it on again. The
id of a message stays the same over all tries. Source: https://www.standardwebhooks.com, specification 1.0.0.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import random
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import urlsplit
from uuid import UUID

import msgspec
import structlog

from gleichtakt.errors import Throttled, Trouble
from gleichtakt.providers.protocol import Login
from gleichtakt.providers.transport import PrivateHosts, Transport, wait_until
from gleichtakt.settings import Settings
from gleichtakt.store import changes, deliveries, instance
from gleichtakt.store.changes import Change
from gleichtakt.store.database import Database, new_id
from gleichtakt.store.deliveries import Receiver
from gleichtakt.store.secrets import SecretBox, place_of

log = structlog.get_logger(__name__)

LEASE_SECONDS: Final = 90.0
ANSWER_SECONDS: Final = 20.0  # a receiver should answer before it works
AT_ONCE: Final = 8  # webhooks served at the same time by one process
BATCH: Final = 200
NOTE_SECONDS: Final = 1.0  # of messages that come twice, with the same ids, after a crash
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=5), timedelta(hours=4)
GIVE_UP_AFTER: Final = timedelta(hours=24)
MOST_ANSWER: Final = 1024 * 1024
GONE: Final = 410


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent: the body and the id it keeps over all tries."""

    id: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a try went. wait: as long as the receiver asked for, None if it did not."""

    status: str
    is_done: bool = False
    is_gone: bool = False
    wait: datetime | None = None


# --- pure ---------------------------------------------------------------------------------------------------------


def message_of(change: Change) -> Message:
    """Make the message about a change: no content, only what to look at and the cursor to go on from."""
    epoch = change.cursor.partition("-")[0]
    message_id = f"msg_{epoch}_{change.id}"
    return Message(
        message_id,
        msgspec.json.encode(
            {
                "id": message_id,
                "type": change.type,
                "organization_id": change.organization_id,
                "resource_id": change.resource_id,
                "object_id": change.object_id,
                "cursor": change.cursor,
                "occurred_at": change.occurred_at.astimezone(UTC),
            }
        ),
    )


def secret_bytes(secret: str) -> bytes:
    """Give the key of a secret as shown to the receiver: `whsec_` and base64; anything else counts as it is."""
    try:
        return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except binascii.Error:
        return secret.encode()


def sign(secret: str, message: Message, timestamp: int) -> str:
    """Give one signature: `v1,` and the base64 of HMAC-SHA256 over id, timestamp and body, joined by dots."""
    signed = b".".join((message.id.encode(), str(timestamp).encode(), message.body))
    return "v1," + base64.b64encode(hmac.new(secret_bytes(secret), signed, hashlib.sha256).digest()).decode()


def headers_of(secrets: Sequence[str], message: Message, timestamp: int) -> dict[str, str]:
    """Give the headers of a message; while two secrets live, it carries the signatures of both."""
    return {
        "content-type": "application/json",
        "webhook-id": message.id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(sign(secret, message, timestamp) for secret in secrets),
    }


def pause(attempt: int, dice: float) -> timedelta:
    """Give the pause after *attempt* failures in a row (0: the first). dice: 0 to 1, spreads receivers."""
    return min(FIRST_PAUSE * int(3 ** min(attempt, 12)), LONGEST_PAUSE) * (0.75 + dice / 2)


# --- sending ------------------------------------------------------------------------------------------------------


def transport_for(url: str, settings: Settings) -> Transport:
    """Give the way to a receiver. Private addresses are closed unless the operator allowed them; http needs that too."""
    allowed = PrivateHosts.read(settings.allow_private_hosts)
    host = urlsplit(url).hostname or ""
    trusted = host in allowed.names or "*" in allowed.names or _is_in(host, allowed)
    options = {"private_hosts": settings.allow_private_hosts}
    return Transport(Login("webhook", url, options=options, allow_insecure=trusted), guarded=True, limit=1)


def _is_in(host: str, allowed: PrivateHosts) -> bool:
    try:
        return bool(allowed.networks) and allowed.allow(host, host)
    except ValueError:  # a name, no address
        return False


async def post(transport: Transport, url: str, secrets: Sequence[str], message: Message, now: datetime) -> Verdict:
    """Send a message once and say how it went."""
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            headers = headers_of(secrets, message, int(now.timestamp()))
            answer = await transport.send("POST", url, headers=headers, body=message.body, writing=True, most=MOST_ANSWER)
    except TimeoutError:
        return Verdict("general.timeout")
    except Throttled as asked:
        return Verdict(asked.code, wait=asked.until)
    except Trouble as trouble:
        return Verdict(trouble.code)
    waits = answer.status in (429, 503) and "Retry-After" in answer.headers
    return Verdict(
        str(answer.status),
        is_done=200 <= answer.status < 300,
        is_gone=answer.status == GONE,
        wait=wait_until(answer.headers.get("Retry-After"), now) if waits else None,
    )


def _opened(box: SecretBox, receiver: Receiver) -> list[str]:
    sealed = (("secret", receiver.secret), ("previous_secret", receiver.previous_secret))
    return [box.open(value, place_of("webhook", name, receiver.id)).decode() for name, value in sealed if value]


# --- the job ------------------------------------------------------------------------------------------------------


async def deliver_due(database: Database, settings: Settings, box: SecretBox, owner: str) -> int:
    """Deliver to every webhook that has something to be told; give how many were served. Nothing while verifying."""
    async with database.begin() as connection:
        if not await instance.may_write(connection):
            return 0
        receivers = await deliveries.claim(connection, owner, AT_ONCE, LEASE_SECONDS)
    await asyncio.gather(*(_serve(database, settings, box, receiver) for receiver in receivers))
    return len(receivers)


async def _serve(database: Database, settings: Settings, box: SecretBox, receiver: Receiver) -> None:
    transport = transport_for(receiver.url, settings)
    try:
        secrets = _opened(box, receiver)
        async with database.read() as connection:
            found = await changes.read_after(connection, receiver.organization_id, receiver.position, BATCH)
        await _tell(database, transport, receiver, secrets, found)
    except Trouble as trouble:  # a key is missing, or the database went away: the webhook waits
        log.warning("webhook_postponed", webhook=str(receiver.id), code=trouble.code)
        await _failed(database, receiver, Verdict(trouble.code))
    finally:
        await transport.close()


async def _tell(
    database: Database, transport: Transport, receiver: Receiver, secrets: Sequence[str], found: Iterable[Change]
) -> None:
    """Deliver in order; stop at the first failure. What was reached is noted now and then, and at the end."""
    noted = reached = receiver.position
    status, noted_at = "", time.monotonic()
    verdict: Verdict | None = None
    for change in found:
        if not receiver.types or change.type in receiver.types:
            verdict = await post(transport, receiver.url, secrets, message_of(change), datetime.now(UTC))
            if not verdict.is_done:
                break
            status = verdict.status
        reached = change.position
        if time.monotonic() - noted_at >= NOTE_SECONDS:
            async with database.begin() as connection:
                if not await deliveries.advance(connection, receiver, noted, reached, status, LEASE_SECONDS):
                    await deliveries.release(connection, receiver)
                    return
            noted, noted_at = reached, time.monotonic()
    async with database.begin() as connection:
        is_ours = reached == noted or await deliveries.advance(connection, receiver, noted, reached, status, LEASE_SECONDS)
        if verdict is None or verdict.is_done or not is_ours:
            await deliveries.release(connection, receiver)
            return
    if status:  # it took something before it failed
        receiver = replace(receiver, attempt=0, failing_since=None)
    await _failed(database, receiver, verdict)


async def _failed(database: Database, receiver: Receiver, verdict: Verdict) -> None:
    now = datetime.now(UTC)
    since = receiver.failing_since or now
    async with database.begin() as connection:
        if verdict.is_gone or now - since > GIVE_UP_AFTER:
            log.warning("webhook_off", webhook=str(receiver.id), status=verdict.status)
            await deliveries.switch_off(connection, receiver, verdict.status)
            return
        retry_at = verdict.wait or now + pause(receiver.attempt, random.random())  # noqa: S311 - not a secret
        await deliveries.postpone(connection, receiver, verdict.status, retry_at)


async def send_test(database: Database, settings: Settings, box: SecretBox, webhook_id: UUID) -> None:
    """Send a test message and note how it went; it is tried once and moves no position."""
    async with database.read() as connection:
        receiver = await deliveries.find(connection, webhook_id)
        cursor, position = await changes.latest(connection)
    if receiver is None:
        return
    now = datetime.now(UTC)
    sample = Change(0, "test", receiver.organization_id, None, webhook_id, now, position, cursor)
    message_id = f"msg_test_{new_id().hex}"
    body = msgspec.json.decode(message_of(sample).body) | {"id": message_id}
    transport = transport_for(receiver.url, settings)
    try:
        message = Message(message_id, msgspec.json.encode(body))
        verdict = await post(transport, receiver.url, _opened(box, receiver), message, now)
    finally:
        await transport.close()
    async with database.begin() as connection:
        await deliveries.note_test(connection, webhook_id, verdict.status)
