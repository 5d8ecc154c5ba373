"""The published schema and the samples of answers, for tests of the wire."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from lxml import etree

from gleichtakt.providers.ews.wire import soap
from gleichtakt.providers.ews.wire.names import T
from gleichtakt.providers.ews.wire.soap import Element

DATA = Path(__file__).parents[2] / "data" / "ews"
NAMESPACES = (
    'xmlns:t="http://schemas.microsoft.com/exchange/services/2006/types" '
    'xmlns:m="http://schemas.microsoft.com/exchange/services/2006/messages"'
)


@cache
def schema() -> etree.XMLSchema:
    """Compile the published schema, once."""
    return etree.XMLSchema(etree.parse(DATA / "schema" / "ews-all.xsd"))


def violations(document: bytes) -> list[str]:
    """Say where a message breaks the schema."""
    schema().validate(etree.fromstring(document))
    return [f"{entry.line}: {entry.message}" for entry in schema().error_log]


def refused(body: bytes, version: str = "Exchange2013") -> list[str]:
    """Say why a server would refuse a request; nothing where it would not."""
    return violations(soap.envelope(body, soap.Header(version)))


def index() -> Sequence[Mapping[str, Any]]:
    """List the samples: file, operation, direction, codes, origin."""
    return [json.loads(line) for line in (DATA / "samples" / "INDEX.jsonl").read_text("utf-8").splitlines()]


def sample(name: str) -> bytes:
    """Read one sample."""
    return (DATA / "samples" / name).read_bytes()


def answer(name: str) -> Element:
    """Read the response message, or the whole answer, of a sample."""
    return soap.outcomes(soap.read(sample(name)))[0].element


def item(content: str, name: str = "CalendarItem") -> Element:
    """Make an element of types from its content."""
    return etree.fromstring(f"<t:{name} {NAMESPACES}>{content}</t:{name}>")


def element(text: str) -> Element:
    """Make an element; the prefixes t and m are known."""
    return etree.fromstring(f"<root {NAMESPACES}>{text}</root>")[0]


def written(fragment: str) -> Element:
    """Parse what one of our writers gave."""
    return element(fragment)


def calendar_items(document: Element) -> list[Element]:
    """Give the calendar items of an answer."""
    return list(document.iter(T + "CalendarItem"))
