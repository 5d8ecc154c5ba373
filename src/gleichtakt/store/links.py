"""Links: a resource's calendar tied to one remote calendar, and what people may do with the tie.

None of this talks to a calendar system. Pausing keeps copies and pairings; resetting forgets pairings and matches again
without deleting; disconnecting ends the tie and says what becomes of the copies on either side.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from gleichtakt.errors import Conflict, Scope
from gleichtakt.store import calendars, changes, lanes, levels, runs
from gleichtakt.store.calendars import Write
from gleichtakt.store.connections import connections
from gleichtakt.store.database import wake_after_commit
from gleichtakt.store.resources import resources
from gleichtakt.store.rows import Kept, missing
from gleichtakt.store.schema import link

TOMBSTONES_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Link:
    """A tie. due: its next run. error_code: why its last run failed; empty when it did not."""

    id: UUID
    organization_id: UUID
    resource_id: UUID
    connection_id: UUID
    lane_id: UUID
    mailbox: str
    calendar: str
    calendar_name: str
    active: bool
    state: str
    first_run_done: bool
    listed_at: datetime | None
    due: datetime | None
    last_attempt: datetime | None
    last_success: datetime | None
    failing_since: datetime | None
    error_code: str
    error_params: Mapping[str, str]
    facts: Mapping[str, Any]
    notified_by: str
    notified_since: datetime | None
    version: int
    created_at: datetime
    updated_at: datetime


links = Kept(link, Link, "link")


async def create(
    connection: AsyncConnection,
    *,
    organization_id: UUID,
    resource_id: UUID,
    connection_id: UUID,
    mailbox: str,
    calendar: str,
    calendar_name: str = "",
    active: bool = True,
) -> Link:
    """Tie a resource to a remote calendar and make the first run due.

    Raises `web.not_found` for a resource or connection of another organization, `web.taken` for a calendar that is
    already tied: two ties to one calendar would copy each other's copies.
    """
    await resources.get(connection, organization_id, resource_id)
    await connections.get(connection, organization_id, connection_id)
    lane_id = await lanes.ensure(connection, organization_id, connection_id, mailbox)
    await _drop_disconnected(connection, connection_id, mailbox, calendar)
    row = {
        "organization_id": organization_id,
        "resource_id": resource_id,
        "connection_id": connection_id,
        "lane_id": lane_id,
        "mailbox": mailbox,
        "calendar": calendar,
        "calendar_name": calendar_name,
        "active": active,
        "due": text("now()") if active else None,
    }
    made = await links.add(connection, row)
    if active:
        await lanes.wake(connection, [lane_id])
        wake_after_commit(connection, lanes.WATCHES)
    await changes.append(connection, organization_id, "link.created", resource_id, made.id)
    return made


async def _drop_disconnected(connection: AsyncConnection, connection_id: UUID, mailbox: str, calendar: str) -> None:
    """Make room for a tie where an ended one still stands; its remembered copies are found again by their UIDs."""
    ended = await connection.execute(
        text("""select id, resource_id from link where connection_id = :connection_id and mailbox = :mailbox
                and calendar = :calendar and state = 'disconnected' for update"""),
        {"connection_id": connection_id, "mailbox": mailbox, "calendar": calendar},
    )
    for row in ended.all():
        await _forget(connection, row.id, row.resource_id)
        await connection.execute(text("delete from link where id = :id"), {"id": row.id})


async def change(
    connection: AsyncConnection, organization_id: UUID, link_id: UUID, values: Mapping[str, Any], expect: int | None = None
) -> Link:
    """Change a tie: its activity, its name for the calendar. Another calendar is another tie."""
    if values.get("active") is False:
        await held_still(connection, organization_id, link_id)
    after = await links.change(connection, organization_id, link_id, values, expect)
    if values.get("active"):
        await runs.make_due(connection, [link_id])
    return after


async def pause(connection: AsyncConnection, organization_id: UUID, link_id: UUID) -> Link:
    """Let a tie rest. Copies and pairings stay."""
    found = await _living(connection, organization_id, link_id)
    if found.state == "paused":
        return found
    return await _enter(connection, found, "paused", {"due": None})


async def resume(connection: AsyncConnection, organization_id: UUID, link_id: UUID) -> Link:
    """Let a paused tie work again: it compares both sides at once."""
    found = await _living(connection, organization_id, link_id)
    if found.state != "paused":
        return found
    resumed = await _enter(connection, found, "in_step" if found.first_run_done else "new", {"force_listing": True})
    await runs.make_due(connection, [link_id])
    return resumed


async def reset(connection: AsyncConnection, organization_id: UUID, link_id: UUID) -> Link:
    """Forget what both sides agreed on and match them again as in a first run. Nothing is deleted on either side."""
    found = await _living(connection, organization_id, link_id)
    await _forget(connection, link_id, found.resource_id)
    values = {"cursor": None, "listing": None, "listed_at": None, "first_run_done": False, "policy_digest": ""}
    state = found.state if found.state == "paused" else "new"
    fresh = await _enter(connection, found, state, {**values, "force_listing": True, "error_code": "", "failing_since": None})
    await runs.make_due(connection, [link_id])
    return fresh


async def held_still(connection: AsyncConnection, organization_id: UUID, link_id: UUID) -> Link:
    """Give a tie with its row locked, and no pass over it under way. Raises `web.not_found`."""
    found = await links.get(connection, organization_id, link_id)
    await lanes.take_away(connection, [found.lane_id])
    return await links.get(connection, organization_id, link_id, lock=True)


async def _living(connection: AsyncConnection, organization_id: UUID, link_id: UUID) -> Link:
    found = await held_still(connection, organization_id, link_id)
    if found.state == "disconnected":
        raise Conflict("web.link_resting", Scope.CALENDAR, state=found.state)
    return found


async def _enter(connection: AsyncConnection, found: Link, state: str, values: Mapping[str, Any]) -> Link:
    after = await links.change(connection, found.organization_id, found.id, {"state": state, **values})
    if state != found.state:
        await changes.append(connection, found.organization_id, "link.state", found.resource_id, found.id)
        wake_after_commit(connection, lanes.WATCHES)
    return after


async def _forget(connection: AsyncConnection, link_id: UUID, resource_id: UUID) -> None:
    """Drop pairings, what was observed, and what waited for a person."""
    given = {"link_id": link_id, "resource_id": resource_id}
    for table in ("pairing", "part", "observed"):
        await connection.execute(text(f"delete from {table} where resource_id = :resource_id and link_id = :link_id"), given)
    for table in ("hold", "conflict", "problem"):
        await connection.execute(
            text(f"update {table} set state = 'resolved' where link_id = :link_id and state = 'open'"), {"link_id": link_id}
        )


# --- the end of a tie --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Ending:
    """What becomes of both sides when a tie ends.

    copies: ours at the provider, `keep` or `delete` (through the guards). imported: what came from there,
    `keep` or `delete`. memory: which copy belongs to what, `keep` (30 days) or `forget`.
    """

    copies: str = "keep"
    imported: str = "delete"
    memory: str = "keep"


async def hits(connection: AsyncConnection, found: Link) -> dict[str, int]:
    """Count what the end of a tie concerns: our copies there, and what came from there."""
    counted = await connection.execute(
        text("""select (select count(*) from pairing where resource_id = :resource_id and link_id = :link_id and made_by_us
                        and href is not null) as copies,
                       (select count(*) from series where resource_id = :resource_id and origin_link_id = :link_id
                        and deleted_at is null) as imported"""),
        {"resource_id": found.resource_id, "link_id": found.id},
    )
    return dict(counted.mappings().one())


async def disconnect(connection: AsyncConnection, found: Link, ending: Ending, actor: str) -> UUID | None:
    """End a tie as asked. Give the run that deletes our copies, or None where nothing is left to do.

    Copies are deleted by a worker, through the guards; the tie ends when they are gone.
    """
    found = await held_still(connection, found.organization_id, found.id)
    if found.state == "disconnected":
        return None
    copies = (await hits(connection, found))["copies"]
    if ending.imported == "delete":
        await drop_imported(connection, found, actor)
    if ending.copies == "delete" and copies:
        wanted = {"facts": {**found.facts, "ending": {"copies": "delete", "memory": ending.memory}}}
        await links.change(connection, found.organization_id, found.id, wanted)
        settings = {"direction": "off", "on_disable": "delete_own"}
        await levels.put(connection, found.organization_id, "link", found.id, settings, actor)
        return await runs.ask(connection, found.id, "sync", actor)
    await end(connection, found, forget=ending.memory == "forget")
    return None


async def end_when_gone(connection: AsyncConnection, organization_id: UUID, link_id: UUID) -> bool:
    """End a tie whose copies were to be deleted first, once none is left; say whether it has ended."""
    found = await links.get(connection, organization_id, link_id, lock=True)
    ending = found.facts.get("ending")
    if ending is None or (await hits(connection, found))["copies"]:
        return False
    await end(connection, found, forget=ending["memory"] == "forget")
    return True


async def end(connection: AsyncConnection, found: Link, *, forget: bool) -> Link:
    """Close a tie. Its pairings stay for 30 days unless they are to be forgotten, so that a new tie finds the copies."""
    if forget:
        await _forget(connection, found.id, found.resource_id)
    await connection.execute(
        text("update run set state = 'failed', finished_at = now() where link_id = :id and state in ('queued', 'running')"),
        {"id": found.id},
    )
    values = {"active": False, "due": None, "facts": {**found.facts, "disconnected_at": datetime.now(UTC).isoformat()}}
    return await _enter(connection, found, "disconnected", values)


async def drop_imported(connection: AsyncConnection, found: Link, actor: str) -> int:
    """Delete on our side what came over a tie; other ties of the resource follow. Give how many series."""
    home = await calendars.home_of(connection, found.resource_id)
    if home is None:
        raise missing("resource")
    ids = await _imported(connection, found)
    for begin in range(0, len(ids), TOMBSTONES_AT_ONCE):
        chunk = ids[begin : begin + TOMBSTONES_AT_ONCE]
        rows = await calendars.lock(connection, found.resource_id, chunk)
        writes = [Write(row.id, None, row, actor, link_id=found.id) for row in rows.values() if row.deleted_at is None]
        await calendars.write(connection, home, writes)
    return len(ids)


async def _imported(connection: AsyncConnection, found: Link) -> Sequence[UUID]:
    rows = await connection.execute(
        text("""select id from series where resource_id = :resource_id and origin_link_id = :link_id and deleted_at is null
                order by id"""),
        {"resource_id": found.resource_id, "link_id": found.id},
    )
    return [row.id for row in rows]


async def erase(connection: AsyncConnection, organization_id: UUID, link_id: UUID, actor: str, expect: int | None = None) -> Link:
    """Delete a tie with its history. Copies at the provider stay; what came from there goes."""
    found = await held_still(connection, organization_id, link_id)
    if expect is not None and found.version != expect:
        raise Conflict("web.etag_stale", Scope.SERIES)
    await drop_imported(connection, found, actor)
    given = {"resource_id": found.resource_id, "link_id": link_id}
    for table in ("pairing", "part", "observed"):
        await connection.execute(text(f"delete from {table} where resource_id = :resource_id and link_id = :link_id"), given)
    await connection.execute(text("delete from setting where level = 'link' and object_id = :link_id"), {"link_id": link_id})
    await links.remove(connection, organization_id, link_id)
    await connection.execute(
        text("delete from lane where id = :id and not exists (select from link where lane_id = :id)"), {"id": found.lane_id}
    )
    await changes.append(connection, organization_id, "link.deleted", found.resource_id, link_id)
    return found
