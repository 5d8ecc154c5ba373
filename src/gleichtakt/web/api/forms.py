"""Reading what callers write: times, cursors, and the parts several handlers take alike."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar.params import QueryParameter
from msgspec import UNSET, Meta, UnsetType

from gleichtakt.model.zones import known_zone, zone_of
from gleichtakt.web.problems import invalid

MOST_PER_PAGE = 1000

Limit = Annotated[int, QueryParameter(ge=1, le=MOST_PER_PAGE, description="rows per page")]
Cursor = Annotated[str | None, QueryParameter(description="`next` of the page before")]
InState = Annotated[str | None, QueryParameter(name="state", description="only rows in this state, such as open or paused")]
From = Annotated[
    str | None, QueryParameter(name="from", description="2026-11-23T09:00:00Z, or a date; without offset on the resource's clock")
]
To = Annotated[str | None, QueryParameter(name="to", description="where the stretch ends, exclusive")]
NO_NUL = r"^[^\x00]*$"  # the one character PostgreSQL does not hold
Name = Annotated[str, Meta(max_length=500, pattern=NO_NUL)]
ExternalId = Annotated[str, Meta(min_length=1, max_length=500, pattern=NO_NUL)]
Address = Annotated[str, Meta(max_length=4000, pattern=NO_NUL)]
Language = Annotated[str, Meta(pattern="^(de|en)$")]

FIRST_YEAR, LAST_YEAR = 2, 9998  # of stretches in which occurrences are looked for
EARLIEST, LATEST = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)


def after_of(cursor: str | None) -> UUID | None:
    """Read the cursor of a list by age."""
    if cursor is None:
        return None
    try:
        return UUID(cursor)
    except ValueError:
        raise invalid("cursor", "expected `next` of an earlier page") from None


def number_of(cursor: str | None) -> int | None:
    """Read the cursor of a list by number."""
    if cursor is None:
        return None
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) < 19):
        raise invalid("cursor", "expected `next` of an earlier page")
    return int(cursor)


def moment(written: str, place: str, reader: tzinfo = UTC) -> datetime:
    """Read a time of a query as aware UTC: with offset or Z, else on the reader's clock; a date is its midnight.

    A `+` that arrives as a blank, because it was not escaped in the address, is understood.
    """
    text = written.strip()
    if "T" in text and " " in text:
        text = text.replace(" ", "+")
    try:
        found = datetime.fromisoformat(text)
        aware = found if found.tzinfo else found.replace(tzinfo=reader)
        return aware.astimezone(UTC)
    except ValueError:
        raise invalid(place, "expected a time such as 2026-11-23T09:00:00Z or a date such as 2026-11-23") from None
    except OverflowError:
        return EARLIEST if found.year < 5000 else LATEST


def stretch(
    start: str | None, end: str | None, reader: tzinfo = UTC, *, longest: timedelta | None = None
) -> tuple[datetime, datetime]:
    """Read `from` and `to` of a query. longest: refuses more than that; both are then needed."""
    if longest is not None and (start is None or end is None):
        raise invalid("from" if start is None else "to", "is missing")
    begin = moment(start, "from", reader) if start is not None else EARLIEST
    finish = moment(end, "to", reader) if end is not None else LATEST
    if finish < begin:
        raise invalid("to", "lies before `from`")
    if longest is None:
        return begin, finish
    if finish - begin > longest:
        raise invalid("to", f"lies more than {longest.days} days after `from`")
    for place, edge in (("from", begin), ("to", finish)):
        if not FIRST_YEAR <= edge.year <= LAST_YEAR:  # zones and buffers reach beyond a stretch
            raise invalid(place, f"expected a year from {FIRST_YEAR} to {LAST_YEAR}")
    return begin, finish


def zone_name(name: str, place: str = "time_zone") -> str:
    """Check the name of a zone."""
    if not known_zone(name) or name.startswith("BEGIN:"):
        raise invalid(place, "expected an IANA zone such as Europe/Berlin")
    return name


def reader_of(name: str) -> tzinfo:
    """Give the rules of a stored zone."""
    return zone_of(name)


def given(form: msgspec.Struct) -> dict[str, Any]:
    """Give the fields a caller has written, without those left out."""
    return {name: value for name in form.__struct_fields__ if (value := getattr(form, name)) is not UNSET}


def texts(values: Mapping[str, Any], *names: str) -> None:
    """Refuse null for fields that may only be left out or hold a text."""
    for name in names:
        if name in values and values[name] is None:
            raise invalid(name, "expected a text, not null")


__all__ = [
    "NO_NUL",
    "UNSET",
    "Address",
    "Cursor",
    "ExternalId",
    "From",
    "InState",
    "Language",
    "Limit",
    "Name",
    "To",
    "UnsetType",
    "after_of",
    "given",
    "moment",
    "number_of",
    "reader_of",
    "stretch",
    "texts",
    "zone_name",
]
