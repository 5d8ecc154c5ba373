"""Restrictions: the conditions of FindItem and FindFolder, as a test of one item or folder.

Texts are compared without regard to case, binary values byte by byte; a property that is absent meets no comparison.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from operator import eq, ge, gt, le, lt, ne
from typing import Any

from lxml import etree

from gleichtakt.simulators.exchange.operations.call import first, whole
from gleichtakt.simulators.exchange.reading import read_bool, read_time
from gleichtakt.simulators.exchange.soap import local, t
from gleichtakt.simulators.exchange.state import Refused

Value = str | bool | datetime | tuple[str, ...] | None
Values = Callable[[etree._Element], Value]
Test = Callable[[Values], bool]

Compare = Callable[[Any, Any], Any]
_COMPARISONS: Mapping[str, Compare] = {
    "IsEqualTo": eq,
    "IsNotEqualTo": ne,
    "IsGreaterThan": gt,
    "IsGreaterThanOrEqualTo": ge,
    "IsLessThan": lt,
    "IsLessThanOrEqualTo": le,
}
_PATHS = ("FieldURI", "IndexedFieldURI", "ExtendedFieldURI")


def test_of(restriction: etree._Element | None) -> Test:
    """Read a Restriction element; without one everything passes. Raises Refused."""
    return _read(restriction[0]) if restriction is not None and len(restriction) else lambda values: True


def _read(element: etree._Element) -> Test:
    name = local(element)
    if name in _COMPARISONS:
        return _comparison(element, _COMPARISONS[name])
    if name not in _TESTS:
        raise Refused("ErrorInvalidRestriction", "The restriction is invalid.")
    return _TESTS[name](element)


def _path(element: etree._Element) -> etree._Element:
    found = next((one for one in element if local(one) in _PATHS), None)
    if found is None:
        raise Refused("ErrorInvalidRestriction", "The restriction names no property.")
    return found


def _comparison(element: etree._Element, compare: Compare) -> Test:
    path = _path(element)
    operand = element.find(t("FieldURIOrConstant"))
    if operand is None or not len(operand):
        raise Refused("ErrorInvalidRestriction", "The restriction has no operand.")
    other = operand[0]
    is_binary = path.get("PropertyType") == "Binary"

    def test(values: Values) -> bool:
        value = values(path)
        wished = other.get("Value", "") if local(other) == "Constant" else values(other)
        if value is None or wished is None:
            return compare is ne and value is None
        return _compared(value, wished, compare, is_binary=is_binary)

    return test


def _compared(value: Value, wished: Value, compare: Compare, *, is_binary: bool) -> bool:
    if isinstance(value, tuple):
        found = [_compared(one, wished, eq, is_binary=is_binary) for one in value]
        return not any(found) if compare is ne else any(found)
    if isinstance(wished, str):
        wished = _like(value, wished)
    if isinstance(value, str) and isinstance(wished, str) and not is_binary:
        return bool(compare(*_comparable(value, wished)))
    return bool(compare(value, wished))


def _like(value: Value, text: str) -> Value:
    if isinstance(value, bool):
        return read_bool(text)
    if isinstance(value, datetime):
        moment = read_time(text)
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return text


def _comparable(one: str, other: str) -> tuple[object, object]:
    """Whole numbers are compared as such, other texts without regard to case."""
    if one.lstrip("-").isdecimal() and other.lstrip("-").isdecimal():
        return int(one), int(other)
    return one.casefold(), other.casefold()


def _contains(element: etree._Element) -> Test:
    path, constant = _path(element), element.find(t("Constant"))
    mode, comparison = element.get("ContainmentMode", "FullString"), element.get("ContainmentComparison", "Exact")
    folds = "IgnoreCase" in comparison or comparison.startswith("Loose")
    needle = constant.get("Value", "") if constant is not None else ""

    def test(values: Values) -> bool:
        value = values(path)
        texts = value if isinstance(value, tuple) else (value,)
        return any(isinstance(text, str) and _holds(text, needle, mode, folds=folds) for text in texts)

    return test


def _holds(text: str, needle: str, mode: str, *, folds: bool) -> bool:
    if folds:
        text, needle = text.casefold(), needle.casefold()
    if mode == "FullString":
        return text == needle
    if mode == "Prefixed":
        return text.startswith(needle)
    if mode == "PrefixOnWords":
        return any(word.startswith(needle) for word in text.split())
    return needle in text


def _exists(element: etree._Element) -> Test:
    path = _path(element)
    return lambda values: values(path) not in (None, (), "")


def _all(element: etree._Element) -> Test:
    parts = [_read(one) for one in element]
    return lambda values: all(part(values) for part in parts)


def _any(element: etree._Element) -> Test:
    parts = [_read(one) for one in element]
    return lambda values: any(part(values) for part in parts)


def _not(element: etree._Element) -> Test:
    part = _read(first(element))
    return lambda values: not part(values)


def _excludes(element: etree._Element) -> Test:
    path, mask = _path(element), element.find(t("Bitmask"))
    bits = whole(mask.get("Value"), "Bitmask") if mask is not None else 0

    def test(values: Values) -> bool:
        value = values(path)
        return not (isinstance(value, str) and value.isdecimal() and int(value) & bits)

    return test


_TESTS: Mapping[str, Callable[[etree._Element], Test]] = {
    "And": _all,
    "Or": _any,
    "Not": _not,
    "Exists": _exists,
    "Contains": _contains,
    "Excludes": _excludes,
}
