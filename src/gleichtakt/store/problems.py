"""Problems: what could not be done, in words a person can act on, and the wish to try again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from gleichtakt.errors import Conflict, Scope
from gleichtakt.store import connections, runs
from gleichtakt.store.rows import Kept
from gleichtakt.store.schema import problem


@dataclass(frozen=True, slots=True)
class Problem:
    """One trouble that waits or is tried again. code, params: the sentence (`errors.cause`, `errors.remedy`)."""

    id: UUID
    organization_id: UUID
    resource_id: UUID | None
    link_id: UUID | None
    connection_id: UUID | None
    series_id: UUID | None
    href: str | None
    side: str
    code: str
    params: Mapping[str, str]
    kind: str
    scope: str
    state: str
    count: int
    event_start: datetime | None
    first_at: datetime
    last_at: datetime
    next_try_at: datetime | None


problems = Kept(problem, Problem, "problem")


async def retry(connection: AsyncConnection, organization_id: UUID, problem_id: UUID) -> Problem:
    """Try again now what this problem keeps from happening; it closes itself once that works.

    Raises `web.not_found`, Conflict `web.decided` for a problem that is over.
    """
    found = await problems.get(connection, organization_id, problem_id, lock=True)
    if found.state != "open":
        raise Conflict("web.decided", Scope.SERIES, state=found.state)
    await connection.execute(text("update problem set next_try_at = now() where id = :id"), {"id": problem_id})
    await _unpark(connection, found)
    if found.scope == "account" and found.connection_id is not None:
        await connections.try_again(connection, found.connection_id)
    if found.link_id is not None:
        await runs.make_due(connection, [found.link_id])
    return await problems.get(connection, organization_id, problem_id)


async def _unpark(connection: AsyncConnection, found: Problem) -> None:
    """Let the pairing or the unreadable object that waits be looked at again."""
    given = {"resource_id": found.resource_id, "link_id": found.link_id, "series_id": found.series_id, "href": found.href}
    if found.series_id is not None:
        await connection.execute(
            text("""update pairing set stale = true, retry_at = null, attempt = 0, writes = '[]',
                      state = case when state <> 'parked' then state when href is null then 'open' else 'linked' end
                    where resource_id = :resource_id and link_id = :link_id and series_id = :series_id"""),
            given,
        )
    if found.href is not None:
        await connection.execute(
            text("""update observed set retry_at = now(), stale = stale or reason <> 'unreadable'
                    where resource_id = :resource_id and link_id = :link_id and href = :href"""),
            given,
        )


async def ignore(connection: AsyncConnection, organization_id: UUID, problem_id: UUID) -> Problem:
    """Take a problem off the list; it comes back when it happens again."""
    found = await problems.get(connection, organization_id, problem_id, lock=True)
    if found.state == "open":
        await connection.execute(text("update problem set state = 'ignored' where id = :id"), {"id": problem_id})
    return await problems.get(connection, organization_id, problem_id)
