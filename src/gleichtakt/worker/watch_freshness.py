"""The chore that notices what no pass can say of itself: that it does not happen, or never comes to an end."""

from __future__ import annotations

from datetime import datetime

import structlog

from gleichtakt.store import freshness, watches
from gleichtakt.store.database import Database

log = structlog.get_logger(__name__)

ABANDONED_SECONDS = 60.0  # without a holder


async def watch_freshness(database: Database, now: datetime, done_at: datetime | None) -> None:
    """Warn of links that missed three intervals, and list those without success for an hour.

    Before that, links whose watch nobody holds any more are looked at by the clock again.
    """
    async with database.begin() as connection:
        abandoned = await watches.abandoned(connection, ABANDONED_SECONDS)
    if abandoned:
        log.warning("links_no_longer_watched", links=abandoned)
    async with database.begin() as connection:
        late = await freshness.warn(connection)
    async with database.begin() as connection:
        stale = await freshness.alarm(connection)
    if late or stale:
        log.warning("links_not_fresh", late=late, stale=stale)
