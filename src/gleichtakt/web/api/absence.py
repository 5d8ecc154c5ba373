"""Whether somebody is away, as their mailbox said when it was last asked."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal, cast
from uuid import UUID

import msgspec
from litestar import Response, get
from litestar.params import FromPath

from gleichtakt.onboarding import directory
from gleichtakt.store import absences
from gleichtakt.store.absences import Standing
from gleichtakt.store.resources import resources
from gleichtakt.web.api.context import Ask, found, language, reading
from gleichtakt.web.api.words import Words, words


class AbsenceView(msgspec.Struct):
    """The automatic replies of a person's mailbox, read every ten minutes; what they say is not kept.

    state: unknown where nothing was read of late. is_absent: now; null where it is unknown. start, end: of a schedule; null
    is open. audience: who outside is answered. as_of: when it was read. problem: why it is unknown, or not newer.
    """

    resource_id: UUID
    state: Literal["unknown", "disabled", "enabled", "scheduled"]
    is_absent: bool | None
    start: datetime | None
    end: datetime | None
    audience: Literal["none", "known", "all"] | None
    as_of: datetime | None
    changed_at: datetime | None
    link_id: UUID | None
    connection_id: UUID | None
    problem: Words | None


@get("/resources/{resource_id:uuid}/absence")
async def get_absence(request: Ask, resource_id: FromPath[UUID]) -> Response[AbsenceView]:
    """Say whether a person is away, and until when. A change of it is told as `absence.changed`."""
    now = datetime.now(UTC)
    async with reading(request) as (connection, organization_id):
        row = await resources.get(connection, organization_id, resource_id)
        standing = await absences.of_resource(connection, row.id, row.kind, directory.tell_of_absence(), now)
    problem = words(standing.code, standing.params, language(request))
    return found(request, _view(row.id, standing, problem, now))


def _view(resource_id: UUID, standing: Standing, problem: Words | None, now: datetime) -> AbsenceView:
    known = standing.absence
    if known is None:
        return AbsenceView(resource_id, "unknown", None, None, None, None, None, None, None, None, problem)
    return AbsenceView(
        resource_id,
        cast("Any", known.state),
        known.is_away(now),
        known.starts_at,
        known.ends_at,
        cast("Any", known.audience if known.audience in ("none", "known", "all") else None),
        known.read_at,
        known.changed_at,
        known.link_id,
        known.connection_id,
        problem,
    )


route_handlers = [get_absence]
