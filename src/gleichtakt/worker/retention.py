"""The daily job that throws away what nobody needs any more; what that is stands in `store.retention`."""

from __future__ import annotations

from datetime import datetime

import structlog

from gleichtakt.store import retention
from gleichtakt.store.database import Database

log = structlog.get_logger(__name__)


async def clean(database: Database, now: datetime, _done_at: datetime | None) -> None:
    """Throw away what is past its time; can be interrupted and repeated at any point."""
    counts = await retention.clean(database, now)
    log.info("retention_done", **{name.replace(" ", "_"): count for name, count in counts.items() if count})
