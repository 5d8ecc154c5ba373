"""The nightly job that rolls the window of expanded occurrences, and follows governments that change their clocks.

How it is done stands in `store.occurrences`.
"""

from __future__ import annotations

from datetime import datetime

import structlog

from gleichtakt.model.zones import tzdata_version
from gleichtakt.store import instance, occurrences
from gleichtakt.store.calendars import occurrences_window
from gleichtakt.store.database import Database

log = structlog.get_logger(__name__)


async def expand_window(database: Database, now: datetime, done_at: datetime | None) -> None:
    """Bring every resource's window up to *now*. done_at: the last time this was done.

    With other rules of time zones than the last time, everything still to come is computed anew.
    """
    rules = tzdata_version()
    async with database.read() as connection:
        before = await instance.zone_release(connection)
    if before not in ("", rules):
        moved = await occurrences.retime(database, occurrences_window(now).start)
        log.info("zone_rules_changed", before=before, after=rules, moved=moved)
    added = await occurrences.roll(database, now, done_at if before == rules else None)
    if before != rules:
        async with database.begin() as connection:
            await instance.set_zone_release(connection, rules)
    log.info("window_rolled", added=added)
