"""The XML the simulated server answers with, and what it reads from requests."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import quote
from xml.sax.saxutils import escape

from lxml import etree

NAMESPACES = {
    "D": "DAV:",
    "C": "urn:ietf:params:xml:ns:caldav",
    "S": "http://calendarserver.org/ns/",
    "A": "http://apple.com/ns/ical/",
}
_PREFIX = {uri: prefix for prefix, uri in NAMESPACES.items()}
_DECLARED = " ".join(f'xmlns:{prefix}="{uri}"' for prefix, uri in NAMESPACES.items())


@dataclass(slots=True)
class Response:
    """One response. props: XML inside each property by prefixed name; None answers 404 for it. status: of the whole."""

    href: str
    props: dict[str, str | None] = field(default_factory=dict)
    status: int = 0

    def write(self) -> str:
        """Give it as XML."""
        href = f"<D:href>{escape(quote(self.href, safe='/:@'))}</D:href>"
        if self.status:
            return f"<D:response>{href}<D:status>HTTP/1.1 {self.status} .</D:status></D:response>"
        given = "".join(f"<{name}>{inner}</{name}>" for name, inner in self.props.items() if inner is not None)
        missing = "".join(f"<{name}/>" for name, inner in self.props.items() if inner is None)
        stats = [f"<D:propstat><D:prop>{given}</D:prop><D:status>HTTP/1.1 200 OK</D:status></D:propstat>"]
        if missing:
            stats.append(f"<D:propstat><D:prop>{missing}</D:prop><D:status>HTTP/1.1 404 Not Found</D:status></D:propstat>")
        return f"<D:response>{href}{''.join(stats)}</D:response>"


def multistatus(responses: Iterable[Response], token: str = "") -> str:
    """Write a multistatus."""
    tail = f"<D:sync-token>{escape(token)}</D:sync-token>" if token else ""
    written = "\n".join(response.write() for response in responses)
    return f'<?xml version="1.0" encoding="utf-8"?>\n<D:multistatus {_DECLARED}>{written}{tail}</D:multistatus>'


def error(condition: str, href: str = "") -> str:
    """Write the body of a refusal."""
    inner = f"<D:href>{escape(quote(href))}</D:href>" if href else ""
    return f'<?xml version="1.0" encoding="utf-8"?>\n<D:error {_DECLARED}><{condition}>{inner}</{condition}></D:error>'


def parse(body: bytes) -> etree._Element | None:
    """Read a request body; None without one. Raises ValueError for one that is no XML."""
    if not body.strip():
        return None
    try:
        return etree.fromstring(body, etree.XMLParser(resolve_entities=False, no_network=True))
    except etree.XMLSyntaxError as broken:
        raise ValueError(str(broken)) from None


def prefixed(tag: str) -> str:
    """Give a qualified name with the prefix used here; an unknown namespace keeps its name alone."""
    name = etree.QName(tag)
    return f"{_PREFIX.get(name.namespace or '', 'D')}:{name.localname}"


def asked(root: etree._Element | None) -> tuple[str, ...]:
    """Give the properties a request names."""
    prop = root.find("{DAV:}prop") if root is not None else None
    return () if prop is None else tuple(prefixed(str(each.tag)) for each in prop if isinstance(each.tag, str))
