"""What surprised us about servers that speak EWS, each a named function or table, with where it was seen.

Pure: it looks at answers and says what they mean; `client` acts on it. Not only Exchange answers here: gateways and
other groupware do too, and some of them leave parts of the protocol out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from gleichtakt.model.event import Series
from gleichtakt.model.exchange_pattern import NotExpressible
from gleichtakt.model.point import Point
from gleichtakt.providers.ews.wire.ids import ItemId
from gleichtakt.providers.ews.wire.items import Item
from gleichtakt.providers.ews.wire.patterns import pattern_of

# --- servers that leave something out -----------------------------------------------------------------------------


def unexpanded(view: Iterable[Item]) -> tuple[Item, ...]:
    """Give the masters in the answer to a CalendarView, which should hold single items and occurrences only.

    A server that answers so does not expand; the caller expands the series itself.
    """
    return tuple(item for item in view if item.type == "RecurringMaster" or item.series.is_recurring)


def overlooked(known: Mapping[str, str], listed: Iterable[ItemId], told: Iterable[str]) -> tuple[str, ...]:
    """Give the items whose version is another than we know although SyncFolderItems said nothing of them.

    Some servers keep a sync state that ignores changes of occurrences; a listing of the masters (FindItem without a
    view) tells. known: change key by id; told: ids that the same pass heard of.
    """
    heard = frozenset(told)
    return tuple(
        item.id for item in listed if item.id not in heard and item.change_key and known.get(item.id, "") != item.change_key
    )


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
