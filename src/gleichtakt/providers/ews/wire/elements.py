"""Looking into answers by local name, whatever their namespace prefix, order and doubling. Pure.

Some servers put an element into the neighbouring namespace. Where speed counts (`items`) the full names are looked up.
"""

from __future__ import annotations

from collections.abc import Iterator

from gleichtakt.providers.ews.wire.names import local_name
from gleichtakt.providers.ews.wire.soap import Element


def children(element: Element | None, name: str = "") -> Iterator[Element]:
    """Yield the elements inside, all or those of a name."""
    if element is not None:
        yield from (each for each in element if not name or local_name(each.tag) == name)


def child(element: Element | None, *path: str) -> Element | None:
    """Give the first element at a path; None where a step is missing."""
    for name in path:
        element = next(children(element, name), None)
    return element


def said(element: Element | None, *path: str) -> str:
    """Give the text at a path without blanks around it; empty where there is none."""
    found = child(element, *path)
    return (found.text or "").strip() if found is not None else ""


def flag(element: Element | None, *path: str) -> bool:
    """Read a boolean; false where there is none."""
    return said(element, *path).lower() in ("true", "1")


def number(element: Element | None, *path: str) -> int | None:
    """Read a whole number; None where there is none."""
    try:
        return int(said(element, *path))
    except ValueError:
        return None


def inside(element: Element, name: str) -> Iterator[Element]:
    """Yield the elements of a name at any depth."""
    yield from (each for each in element.iter() if local_name(each.tag) == name)
