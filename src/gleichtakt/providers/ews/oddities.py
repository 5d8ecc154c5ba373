"""What surprised us about Exchange and series, each a named function, with where it was seen. Pure.

Not only Exchange speaks EWS: gateways and other groupware do too. What they leave out or say in their own way is passed
over where it is read, and `tests/providers/ews/test_ews_oddities.py` lists it.
"""

from __future__ import annotations

from gleichtakt.model.event import Series
from gleichtakt.model.exchange_pattern import NotExpressible
from gleichtakt.model.point import Point
from gleichtakt.providers.ews.wire.patterns import pattern_of

# --- what Exchange does to a series -------------------------------------------------------------------------------


def loses_exceptions(base: Series, new: Series, version: str) -> bool:
    """Say whether writing the master makes the server drop all exceptions and deletions: its start or pattern moves.

    They are written again after it. Source: Microsoft's page on updating recurring series.
    """
    if not base.is_recurring and not new.is_recurring:
        return False
    if (base.event.start, base.event.end) != (new.event.start, new.event.end):
        return True
    before, after = pattern_of(base, version), pattern_of(new, version)
    return isinstance(before, NotExpressible) or isinstance(after, NotExpressible) or before != after


def comes_back(base: Series, new: Series) -> tuple[Point, ...]:
    """Give the slots that were deleted and are to be there again: Exchange has no way to undelete one but a new pattern."""
    return tuple(slot for slot in base.exdate if slot not in new.exdate)
