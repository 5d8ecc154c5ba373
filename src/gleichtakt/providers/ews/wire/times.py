"""Times as Exchange writes them, and as it is told them. Pure.

Answers carry an offset by rule; other products leave it out, write it without colon, or add fractions of seconds.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, tzinfo

_DURATION = re.compile(
    r"(?P<sign>-?)P(?:(?P<days>\d+)D)?(?:T(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>\d+)(?:\.\d+)?S)?)?"
)


def read_instant(said: str, zone: tzinfo = UTC) -> datetime:
    """Read a time as aware UTC. zone: what one without offset is understood in. Raises ValueError."""
    found = datetime.fromisoformat(said.strip())
    return (found if found.tzinfo else found.replace(tzinfo=zone)).astimezone(UTC)


def read_date(said: str) -> date:
    """Read a date; an offset behind it says nothing about a day of the series' own zone. Raises ValueError."""
    return date.fromisoformat(said.strip()[:10])


def read_duration(said: str) -> timedelta:
    """Read an `xs:duration` of days and shorter parts, such as ``-PT60M`` or ``P0DT2H0M0.0S``. Raises ValueError."""
    found = _DURATION.fullmatch(said.strip())
    if not found:
        raise ValueError(f"{said[:20]!r} is no duration")
    parts = {name: int(found[name] or 0) for name in ("days", "hours", "minutes", "seconds")}
    length = timedelta(**parts)
    return -length if found["sign"] else length


def write_duration(length: timedelta) -> str:
    """Give an `xs:duration` of minutes, or of seconds where it is not whole minutes."""
    seconds = int(abs(length).total_seconds())
    sign = "-" if length < timedelta() else ""
    return f"{sign}PT{seconds}S" if seconds % 60 else f"{sign}PT{seconds // 60}M"
