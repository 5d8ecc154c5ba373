"""How a worker logs troubles of our own side, so that an outage of the database is two lines and not a flood."""

from __future__ import annotations

from typing import Any

import structlog

from gleichtakt.errors import Trouble

log = structlog.get_logger(__name__)


def say(what: str, trouble: Trouble, **ids: Any) -> None:
    """Log what did not work; quietly where the database is away, which `Database` has said once for everybody."""
    tell = log.debug if trouble.code == "store.database_away" else log.warning
    tell(what, code=trouble.code, **ids)
