"""Who watches which connection, and what that means for its links.

A watch is held by one worker, on a lease that ends by itself; each taking raises the fence, and what the holder writes
about links checks it, so that one who was taken for dead says nothing late. What is told of a calendar is counted at its
link (`calls`) and wakes the lane; a link that is failing waits for its next try all the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from gleichtakt.store import lanes
from gleichtakt.store.database import wake_after_commit
from gleichtakt.store.freshness import INTERVAL_SECONDS
from gleichtakt.store.passes import decode, encode

CHANNEL: Final = lanes.WATCHES

Place = tuple[str, str]  # mailbox and calendar

_LIVE = "link.active and link.state not in ('paused', 'disconnected')"
#: Only a login that works is used for a watch: passes find out when it does again, at their own pace.
_MAY_BE_HELD = f"""watch.due <= now() and connection.state in ('online', 'degraded')
    and connection.options ->> 'notify' is distinct from 'polling'
    and (connection.paused_until is null or connection.paused_until <= now())
    and exists (select from link where link.connection_id = connection.id and {_LIVE})"""
_HELD = "watch.owner is not null and watch.lease_until > now()"


@dataclass(frozen=True, slots=True)
class Held:
    """The watch of one connection, held by us. version: of the connection. attempt: failures in a row before this."""

    connection_id: UUID
    organization_id: UUID
    provider: str
    version: int
    fence: int
    attempt: int
    owner: str


async def beat(connection: AsyncConnection, owner: str, held: Collection[Held], lease_seconds: float) -> set[UUID]:
    """Say that a worker lives and renew its leases; give the connections that are still its own."""
    await connection.execute(
        text("insert into watcher (owner) values (:owner) on conflict (owner) do update set beat_at = now()"), {"owner": owner}
    )
    await connection.execute(
        text("delete from watcher where beat_at < now() - make_interval(secs => :seconds)"), {"seconds": 2 * float(lease_seconds)}
    )
    rows = await connection.execute(
        text("""update watch set lease_until = now() + make_interval(secs => :seconds)
                from unnest(cast(:ids as uuid[]), cast(:fences as bigint[])) as mine(id, fence)
                where watch.connection_id = mine.id and watch.fence = mine.fence and watch.owner = :owner
                returning watch.connection_id"""),
        {
            "ids": [one.connection_id for one in held],
            "fences": [one.fence for one in held],
            "owner": owner,
            "seconds": float(lease_seconds),
        },
    )
    return set(rows.scalars())


async def share(connection: AsyncConnection, providers: Sequence[str], lease_seconds: float) -> int:
    """Give how many watches one worker should hold: as many as the others that live, the last one rounded up."""
    await connection.execute(
        text(f"""insert into watch (connection_id, organization_id)
                 select id, organization_id from connection where provider = any(cast(:providers as text[]))
                 and not exists (select from watch where watch.connection_id = connection.id)
                 and exists (select from link where link.connection_id = connection.id and {_LIVE})
                 order by id on conflict do nothing"""),
        {"providers": list(providers)},
    )
    found = await connection.execute(
        text(f"""select (select count(*) from watch join connection on connection.id = watch.connection_id
                         where {_HELD} or ({_MAY_BE_HELD})) as watches,
                        (select count(*) from watcher where beat_at > now() - make_interval(secs => :seconds)) as workers"""),
        {"seconds": float(lease_seconds)},
    )
    row = found.one()
    return -(-int(row.watches) // max(int(row.workers), 1))


async def claim(connection: AsyncConnection, owner: str, limit: int, lease_seconds: float) -> list[Held]:
    """Take up to *limit* watches that nobody holds, the longest waiting first. Addresses of earlier holders end."""
    rows = await connection.execute(
        text(f"""with free as (
                   select watch.connection_id from watch join connection on connection.id = watch.connection_id
                   where {_MAY_BE_HELD} and not ({_HELD}) order by watch.due limit :limit for update of watch skip locked)
                 update watch set owner = :owner, lease_until = now() + make_interval(secs => :seconds), fence = fence + 1,
                   since = now()
                 from free join connection on connection.id = free.connection_id
                 where watch.connection_id = free.connection_id
                 returning watch.connection_id, watch.organization_id, connection.provider, connection.version, watch.fence,
                   watch.attempt"""),
        {"owner": owner, "limit": limit, "seconds": float(lease_seconds)},
    )
    taken = [Held(**row, owner=owner) for row in rows.mappings()]
    if taken:
        await connection.execute(
            text("delete from hook where connection_id = any(cast(:ids as uuid[]))"),
            {"ids": [one.connection_id for one in taken]},
        )
    return taken


@dataclass(frozen=True, slots=True)
class Target:
    """One calendar that is to be watched. notified_by: as its link says."""

    mailbox: str
    calendar: str
    notified_by: str


async def targets(connection: AsyncConnection, held: Iterable[Held]) -> dict[UUID, tuple[int, list[Target]]]:
    """Give for each connection its version and its calendars; one that may not be used, or has none, is missing."""
    rows = await connection.execute(
        text(f"""select connection.id, connection.version, link.mailbox, link.calendar, link.notified_by
                 from connection join link on link.connection_id = connection.id
                 where connection.id = any(cast(:ids as uuid[])) and {_LIVE}
                 and connection.state not in ('auth_required', 'paused')"""),
        {"ids": [one.connection_id for one in held]},
    )
    found: dict[UUID, tuple[int, list[Target]]] = {}
    for connection_id, version, *target in rows:
        found.setdefault(connection_id, (version, []))[1].append(Target(*target))
    return found


async def _is_ours(connection: AsyncConnection, held: Held) -> bool:
    """Say whether a watch is still held by us, and keep it so until the transaction ends."""
    found = await connection.execute(
        text("select 1 from watch where connection_id = :id and owner = :owner and fence = :fence for share"),
        {"id": held.connection_id, "owner": held.owner, "fence": held.fence},
    )
    return found.first() is not None


async def ring(connection: AsyncConnection, told: Mapping[UUID, Collection[Place]]) -> int:
    """Count that something was told of calendars, by connection, and wake their lanes; give how many links it concerned."""
    places = [(connection_id, *place) for connection_id, found in told.items() for place in found]
    rows = await connection.execute(
        text(f"""with told as (
                   select link.id from link
                   join unnest(cast(:ids as uuid[]), cast(:mailboxes as text[]), cast(:calendars as text[]))
                     as place(connection_id, mailbox, calendar) using (connection_id, mailbox, calendar)
                   where {_LIVE} order by link.id for no key update of link)
                 update link set calls = calls + 1 from told where link.id = told.id
                 returning link.lane_id, link.failing_since is null as is_well"""),
        _columns(places),
    )
    found = rows.all()
    await lanes.wake(connection, {row.lane_id for row in found if row.is_well})
    return len(found)


def _columns(places: Sequence[tuple[UUID, str, str]]) -> dict[str, list[Any]]:
    return {
        "ids": [connection_id for connection_id, _, _ in places],
        "mailboxes": [mailbox for _, mailbox, _ in places],
        "calendars": [calendar for _, _, calendar in places],
    }


async def watched(connection: AsyncConnection, held: Held, places: Collection[Place], how: str) -> bool:
    """Note that calendars are told of from now on, and have each compared once for what nobody told; False if not ours."""
    if not await _is_ours(connection, held):
        return False
    rows = await connection.execute(
        text(f"""with told as (
                   select link.id from link join unnest(cast(:mailboxes as text[]), cast(:calendars as text[]))
                     as place(mailbox, calendar) using (mailbox, calendar)
                   where link.connection_id = :connection_id and {_LIVE} order by link.id for no key update of link)
                 update link set calls = calls + 1, notified_by = :how,
                   notified_since = case when notified_by = :how then notified_since else now() end
                 from told where link.id = told.id returning link.lane_id, link.failing_since is null as is_well"""),
        _places(held, places) | {"how": how},
    )
    await lanes.wake(connection, {row.lane_id for row in rows if row.is_well})
    return True


async def lost(connection: AsyncConnection, held: Held, places: Collection[Place] | None) -> bool:
    """Note that calendars (None: all) are not told of any more: they are looked at by the clock again. False if not ours."""
    if not await _is_ours(connection, held):
        return False
    await _by_the_clock(
        connection,
        f"""select link.id from link where link.connection_id = :connection_id and link.notified_by <> 'polling'
            {"" if places is None else _AMONG} order by link.id for no key update""",
        _places(held, places or ()),
    )
    return True


_AMONG = """and (link.mailbox, link.calendar) in (
    select * from unnest(cast(:mailboxes as text[]), cast(:calendars as text[])))"""


def _places(held: Held, places: Collection[Place]) -> dict[str, Any]:
    return {
        "connection_id": held.connection_id,
        "mailboxes": [mailbox for mailbox, _ in places],
        "calendars": [calendar for _, calendar in places],
    }


async def _by_the_clock(connection: AsyncConnection, which: str, given: Mapping[str, Any]) -> int:
    """Let links be looked at in their ordinary interval, spread over it; give how many."""
    rows = await connection.execute(
        text(f"""with those as materialized ({which}), moved as (
                   update link set notified_by = 'polling', notified_since = now(),
                     due = least(due, now()
                       + random() * coalesce((facts ->> 'interval')::int, {INTERVAL_SECONDS}) * interval '1 second')
                   from those where link.id = those.id returning link.lane_id, link.due)
                 select lane_id, min(due) as due from moved group by lane_id order by lane_id"""),
        given,
    )
    found = rows.all()
    if found:
        await connection.execute(
            text("""with later as (
                      select lane.id, first.due from lane join unnest(cast(:ids as uuid[]), cast(:dues as timestamptz[]))
                        as first(id, due) using (id) order by lane.id for no key update of lane)
                    update lane set due = greatest(least(lane.due, later.due), paused_until) from later
                    where lane.id = later.id"""),
            {"ids": [row.lane_id for row in found], "dues": [row.due for row in found]},
        )
        wake_after_commit(connection, lanes.CHANNEL)
    return len(found)


async def release(connection: AsyncConnection, held: Held) -> None:
    """Give a watch back in good order; whoever takes it goes on at once."""
    await _end(connection, held, "due = now()", {})
    wake_after_commit(connection, CHANNEL)


async def failed(
    connection: AsyncConnection, held: Held, again: datetime, attempt: int, code: str, params: Mapping[str, str]
) -> None:
    """Give a watch back that does not work, to be tried again then; nothing is told of any of its links."""
    if await lost(connection, held, None):
        values = {"again": again, "attempt": attempt, "code": code, "params": encode(dict(params))}
        await _end(
            connection,
            held,
            "due = :again, attempt = :attempt, error_code = :code, error_params = cast(:params as jsonb)",
            values,
        )


async def _end(connection: AsyncConnection, held: Held, values: str, given: Mapping[str, Any]) -> None:
    await connection.execute(
        text(f"""update watch set owner = null, lease_until = null, since = null, {values}
                 where connection_id = :id and owner = :owner and fence = :fence"""),
        {**given, "id": held.connection_id, "owner": held.owner, "fence": held.fence},
    )


async def works(connection: AsyncConnection, held: Held) -> None:
    """Note that a watch has proven itself: its next failure is a first one."""
    await connection.execute(
        text("""update watch set attempt = 0, error_code = '', error_params = '{}' where connection_id = :id and owner = :owner
                and fence = :fence and (attempt > 0 or error_code <> '')"""),
        {"id": held.connection_id, "owner": held.owner, "fence": held.fence},
    )


async def farewell(connection: AsyncConnection, owner: str) -> None:
    """Note that a worker stops."""
    await connection.execute(text("delete from watcher where owner = :owner"), {"owner": owner})
    wake_after_commit(connection, CHANNEL)


async def abandoned(connection: AsyncConnection, seconds: float) -> int:
    """Look by the clock at links whose watch nobody has held for so long; give how many.

    For workers that died while their login stopped working, so that nobody takes over.
    """
    return await _by_the_clock(
        connection,
        """select link.id from link left join watch on watch.connection_id = link.connection_id
             where link.notified_by <> 'polling'
             and coalesce(watch.lease_until, watch.due, '-infinity') < now() - make_interval(secs => :seconds)
             order by link.id limit 1000 for no key update of link""",
        {"seconds": float(seconds)},
    )


async def one_link(connection: AsyncConnection, held: Held) -> UUID | None:
    """Give one of the links of a watch, to tell about it what concerns all."""
    found = await connection.execute(
        text(f"select id from link where connection_id = :id and {_LIVE} order by id limit 1"), {"id": held.connection_id}
    )
    link_id: UUID | None = found.scalar_one_or_none()
    return link_id


async def doubt(connection: AsyncConnection, link_id: UUID) -> bool:
    """Note that something had happened at a link of which nothing was told; its watch is then asked for anew."""
    found = await connection.execute(
        text("""update link set notified_by = 'polling', notified_since = now()
                where id = :id and notified_by <> 'polling' and calls = heard returning id"""),
        {"id": link_id},
    )
    return found.first() is not None


# --- what providers call in to say -------------------------------------------------------------------------------

LETTERS: Final = "letters"  # woken when something was said
MOST_OF_ONE: Final = 1000  # letters that wait under one address before more are turned away


def hash_of(token: str) -> str:
    """Give the form in which a secret address is kept and compared."""
    return hashlib.sha256(token.encode()).hexdigest()


async def open_hook(connection: AsyncConnection, held: Held, place: Place, token: str) -> None:
    """Make a secret address known, in place of the one before it. Nothing happens when the watch is no longer ours."""
    await close_hook(connection, held, place)
    await connection.execute(
        text("""insert into hook (token_hash, connection_id, mailbox, calendar)
                select :token_hash, connection_id, :mailbox, :calendar from watch
                where connection_id = :id and owner = :owner and fence = :fence"""),
        {
            "token_hash": hash_of(token),
            "id": held.connection_id,
            "owner": held.owner,
            "fence": held.fence,
            "mailbox": place[0],
            "calendar": place[1],
        },
    )


async def close_hook(connection: AsyncConnection, held: Held, place: Place) -> None:
    """Let the address of a calendar be unknown from now on."""
    await connection.execute(
        text("delete from hook where connection_id = :id and mailbox = :mailbox and calendar = :calendar"),
        {"id": held.connection_id, "mailbox": place[0], "calendar": place[1]},
    )


async def keep_letters(connection: AsyncConnection, letters: Sequence[tuple[str, Mapping[str, str], bytes]]) -> set[str]:
    """Keep what was said, for (hash of the address, headers, body); give the hashes that stand for an address of ours."""
    rows = await connection.execute(
        text("select token_hash from hook where token_hash = any(cast(:hashes as text[]))"),
        {"hashes": list({token_hash for token_hash, _, _ in letters})},
    )
    known = set(rows.scalars())
    ours = [letter for letter in letters if letter[0] in known]
    if ours:
        await connection.execute(
            text("""insert into letter (token_hash, headers, body)
                    select said.token_hash, cast(said.headers as jsonb), said.body
                    from unnest(cast(:hashes as text[]), cast(:headers as text[]), cast(:bodies as bytea[]))
                      as said(token_hash, headers, body) join hook using (token_hash)
                    where (select count(*) from letter where letter.token_hash = said.token_hash) < :most"""),
            {
                "hashes": [token_hash for token_hash, _, _ in ours],
                "headers": [encode(dict(headers)) for _, headers, _ in ours],
                "bodies": [body for _, _, body in ours],
                "most": MOST_OF_ONE,
            },
        )
        wake_after_commit(connection, LETTERS)
    return known


async def take_letters(
    connection: AsyncConnection, connection_ids: Sequence[UUID]
) -> list[tuple[UUID, str, str, dict[str, str], bytes]]:
    """Take what was said about calendars of these connections, oldest first."""
    rows = await connection.execute(
        text("""with taken as (
                  delete from letter using hook where hook.token_hash = letter.token_hash
                  and hook.connection_id = any(cast(:ids as uuid[]))
                  returning letter.id, hook.connection_id, hook.mailbox, hook.calendar, letter.headers, letter.body)
                select connection_id, mailbox, calendar, headers::text, body from taken order by id"""),
        {"ids": list(connection_ids)},
    )
    return [(row[0], row[1], row[2], decode(row[3]), bytes(row[4])) for row in rows]
