"""Which part of what was found is answered, and what the answer says about the rest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from lxml import etree

from gleichtakt.simulators.exchange.operations.call import whole
from gleichtakt.simulators.exchange.soap import m
from gleichtakt.simulators.exchange.state import Refused

MOST_FOUND = 1000
Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class Page:
    """A stretch of a list. from_end: counted from there. share: numerator and denominator instead of an offset."""

    offset: int = 0
    most: int = MOST_FOUND
    from_end: bool = False
    share: tuple[int, int] | None = None

    def cut(self, found: Sequence[Found]) -> tuple[Sequence[Found], dict[str, str]]:
        """Give the part, and the attributes that tell where it lies."""
        total = len(found)
        start = self.share[0] * total // self.share[1] if self.share else self.offset
        if self.from_end:
            end = max(0, total - start)
            chosen, following, is_last = found[max(0, end - self.most) : end], start + self.most, end <= self.most
        else:
            chosen, following = found[start : start + self.most], start + self.most
            is_last = following >= total
        told = {"TotalItemsInView": str(total), "IncludesLastItemInRange": "true" if is_last else "false"}
        if self.share:
            return chosen, told | {"NumeratorOffset": str(min(following, total)), "AbsoluteDenominator": str(total)}
        return chosen, told | {"IndexedPagingOffset": str(min(following, total))}


def page_of(request: etree._Element, indexed: str, fractional: str) -> Page:
    """Read the paging of a request. Raises Refused."""
    view = request.find(m(indexed))
    if view is not None:
        page = Page(whole(view.get("Offset"), "Offset"), _most(view), from_end=view.get("BasePoint") == "End")
        if page.offset < 0:
            raise Refused("ErrorInvalidIndexedPagingParameters", "The offset is invalid.")
        return page
    view = request.find(m(fractional))
    if view is None:
        return Page()
    numerator, denominator = whole(view.get("Numerator"), "Numerator"), whole(view.get("Denominator"), "Denominator")
    if not 0 <= numerator <= denominator or denominator < 1:
        raise Refused("ErrorInvalidFractionalPagingParameters", "The fraction is invalid.")
    return Page(most=_most(view), share=(numerator, denominator))


def _most(view: etree._Element) -> int:
    most = whole(view.get("MaxEntriesReturned", str(MOST_FOUND)), "MaxEntriesReturned")
    if most < 1:
        raise Refused("ErrorInvalidPagingMaxRows", "MaxEntriesReturned must be positive.")
    return min(most, MOST_FOUND)
