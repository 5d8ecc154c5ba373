"""The nightly job that rolls the window of expanded occurrences; how, stands in `store.occurrences`."""

from __future__ import annotations

from datetime import datetime

import structlog

from gleichtakt.store import occurrences
from gleichtakt.store.database import Database

log = structlog.get_logger(__name__)


async def expand_window(database: Database, now: datetime, done_at: datetime | None) -> None:
    """Bring every resource's window up to *now*. done_at: the last time this was done."""
    added = await occurrences.roll(database, now, done_at)
    log.info("window_rolled", added=added)
