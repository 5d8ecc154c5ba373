"""Which installation a database is, and whether it may write.

Two installations with the same credentials would write everything twice, and one that was set back to yesterday would
undo today. So the database is bound to where it lives, and a heartbeat counts upwards in it and in the data folder. A
copy, a move or a counter that went back makes a new epoch in mode `verify`: cursors are void, everything is listed and
compared anew, and nothing is written outside until an operator confirms.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import structlog
from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

from gleichtakt.store.database import Database, new_id, wake_after_commit
from gleichtakt.store.lanes import CHANNEL as LANES

log = structlog.get_logger(__name__)

LIVE, VERIFY = "live", "verify"
BEAT_SECONDS: Final = 15.0
#: Set in the same transaction as a restore: no database has this id, so the next start recognises it.
RESTORED: Final = "restored"


@dataclass(frozen=True, slots=True)
class Instance:
    """What the database says about itself. reason: why it is being verified (restored, copied, moved, rolled_back)."""

    epoch: UUID
    mode: str
    reason: str
    beat: int
    heartbeat_at: datetime | None

    @property
    def may_write(self) -> bool:
        """Say whether anything may be written or sent outside."""
        return self.mode == LIVE


async def current(connection: AsyncConnection) -> Instance:
    """Give the instance as stored."""
    return _instance((await connection.execute(text("SELECT * FROM instance"))).one())


def _instance(row: Row[Any]) -> Instance:
    return Instance(row.epoch, row.mode, row.reason, row.beat, row.heartbeat_at)


async def may_write(connection: AsyncConnection) -> bool:
    """Say whether anything may be sent outside now; the mode cannot change before the transaction ends."""
    row = await connection.execute(text("SELECT mode FROM instance FOR SHARE"))
    return bool(row.scalar_one() == LIVE)


async def zone_release(connection: AsyncConnection) -> str:
    """Give the release of the time zone rules by which stored instants were computed; empty before the first time."""
    return str((await connection.execute(text("SELECT zone_release FROM instance"))).scalar_one())


async def set_zone_release(connection: AsyncConnection, release: str) -> None:
    """Note that all stored instants follow this release."""
    await connection.execute(text("UPDATE instance SET zone_release = :release"), {"release": release})


async def attend(database: Database, data_dir: Path, *, embedded: bool) -> Instance:
    """Recognise the database at the start of a process, and beat for the first time.

    embedded: the database lives in the data folder, so it is bound to that folder on this machine. An external one may
    serve any number of machines and is bound to its server. A database that is bound to nothing yet is taken as ours.
    """
    here = host_of(data_dir) if embedded else ""
    async with database.begin() as connection:
        row = (await connection.execute(text("SELECT * FROM instance FOR UPDATE"))).one()
        database_id = await _database_id(connection)
        reason = _suspicion(row, database_id, here, _remembered(data_dir))
        if reason:
            log.warning("instance_verify", reason=reason, host=socket.gethostname())
            await new_epoch(connection, reason)
        await connection.execute(
            text("UPDATE instance SET database_id = :database_id, host = :host"), {"database_id": database_id, "host": here}
        )
        found = await _beat(connection)
    _remember(data_dir, found)
    return found


async def beat(database: Database, data_dir: Path, last: Instance) -> Instance:
    """Count a heartbeat; to be called every BEAT_SECONDS with what the last call gave.

    A counter below the last one means that the database was set back while we ran.
    """
    async with database.begin() as connection:
        row = (await connection.execute(text("SELECT * FROM instance FOR UPDATE"))).one()
        if row.epoch < last.epoch or (row.epoch == last.epoch and row.beat < last.beat):
            log.warning("instance_verify", reason="rolled_back")
            await new_epoch(connection, "rolled_back")
        found = await _beat(connection)
    _remember(data_dir, found)
    return found


async def new_epoch(connection: AsyncConnection, reason: str) -> UUID:
    """Begin a new epoch in mode `verify`: what refers to the past of this database counts no more.

    Cursors at the providers are dropped and calendars are listed anew; the change feed is renumbered, since transaction
    numbers of another server mean nothing here; what waited to be sent (mails, tests) has been sent by the original.
    """
    epoch = new_id()
    for statement in (
        "UPDATE instance SET epoch = :epoch, mode = 'verify', reason = :reason, beat = 0",
        """UPDATE webhook SET cursor_xid = 0, cursor_id = coalesce(
               (SELECT min(change.id) FROM change WHERE change.organization_id = webhook.organization_id
                AND (change.xid, change.id) > (webhook.cursor_xid, webhook.cursor_id)) - 1,
               (SELECT max(change.id) FROM change), 0)""",
        "UPDATE change SET xid = 0",
        "UPDATE instance SET pruned_xid = 0, pruned_id = coalesce((SELECT min(id) - 1 FROM change), 0)",
        "UPDATE link SET cursor = NULL, listing = NULL, force_listing = true",
        "UPDATE lane SET owner = NULL, lease_until = NULL, fence = fence + 1, due = CASE WHEN due IS NOT NULL THEN now() END",
        """UPDATE run SET state = 'failed', error_code = 'store.new_epoch', finished_at = now()
           WHERE state IN ('queued', 'running')""",
        "DELETE FROM outbox",
    ):
        parameters = {"epoch": epoch, "reason": reason} if ":epoch" in statement else {}
        await connection.execute(text(statement), parameters)
    wake_after_commit(connection, LANES)
    return epoch


async def confirm(connection: AsyncConnection) -> Instance:
    """Let the instance write again, because an operator has looked at the plans and knows that no other one does."""
    row = await connection.execute(text("UPDATE instance SET mode = 'live', reason = '' RETURNING *"))
    await connection.execute(text("UPDATE lane SET due = now() WHERE due IS NOT NULL"))
    wake_after_commit(connection, LANES)
    return _instance(row.one())


def _suspicion(row: Row[Any], database_id: str, here: str, remembered: tuple[UUID, int] | None) -> str:
    """Give the reason to doubt that this is the installation we know, or nothing."""
    if row.database_id == RESTORED:
        return "restored"
    if row.database_id and row.database_id != database_id:
        return "copied"
    if row.host and here and row.host != here:
        return "moved"
    if remembered and (row.epoch < remembered[0] or (row.epoch == remembered[0] and row.beat < remembered[1])):
        return "rolled_back"
    return ""


async def _beat(connection: AsyncConnection) -> Instance:
    row = await connection.execute(text("UPDATE instance SET beat = beat + 1, heartbeat_at = now() RETURNING *"))
    return _instance(row.one())


async def _database_id(connection: AsyncConnection) -> str:
    """Name this database among all: a copy on another server, or under another name, has another id."""
    row = await connection.execute(
        text(
            "SELECT (SELECT system_identifier FROM pg_control_system()) || '/' || oid "
            "FROM pg_database WHERE datname = current_database()"
        )
    )
    found: str = row.scalar_one()
    return found


def host_of(data_dir: Path) -> str:
    """Name a data folder on this machine; a copied folder, a folder put back and a copied machine have another name.

    PostgreSQL writes its control file in place for ever, so the file's inode tells whether the files are the original.
    """
    control = data_dir / "postgres" / "global" / "pg_control"
    inode = str(control.stat().st_ino) if control.exists() else ""
    known = [_read("/etc/machine-id"), _read("/sys/class/dmi/id/product_uuid"), str(data_dir.resolve()), inode]
    return hashlib.sha256("\n".join(known).encode()).hexdigest()[:32]


def _read(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:  # absent in containers, or not for us
        return ""


def _remembered(data_dir: Path) -> tuple[UUID, int] | None:
    """Give epoch and heartbeat as the data folder remembers them."""
    path = data_dir / "instance.json"
    if not path.exists():
        return None
    written = json.loads(path.read_text())
    return UUID(written["epoch"]), int(written["beat"])


def _remember(data_dir: Path, found: Instance) -> None:
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = data_dir / f"instance.{os.getpid()}.new"
    fresh.write_text(json.dumps({"epoch": str(found.epoch), "beat": found.beat}))
    fresh.replace(data_dir / "instance.json")
