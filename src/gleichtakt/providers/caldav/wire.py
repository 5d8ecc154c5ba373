"""WebDAV's words and ours: request bodies, multistatus answers, hrefs, etags and cursors. Pure.

An href is the decoded path of an object. Hosts are left out because a collection never spans two; a name whose
decoding could not be undone stays encoded (see `read_href`).
Sources: RFC 4918 (WebDAV), RFC 4791 (CalDAV), RFC 6578 (sync), RFC 3986 §2 (encoding).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import quote, unquote, urlsplit
from xml.sax.saxutils import escape

from lxml import etree

from gleichtakt.providers.protocol import Cursor, Etag, Href
from gleichtakt.providers.xml_repair import clean_xml, is_utf8, xml_text

DAV: Final = "{DAV:}"
CAL: Final = "{urn:ietf:params:xml:ns:caldav}"
SERVER: Final = "{http://calendarserver.org/ns/}"
APPLE: Final = "{http://apple.com/ns/ical/}"

_PREFIXES = {"D": DAV, "C": CAL, "S": SERVER, "A": APPLE}
_NAMESPACES = (
    'xmlns:D="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav" '
    'xmlns:S="http://calendarserver.org/ns/" xmlns:A="http://apple.com/ns/ical/"'
)
XML_TYPE = {"Content-Type": "application/xml; charset=utf-8"}
CALENDAR_TYPE = {"Content-Type": "text/calendar; charset=utf-8"}

#: What one PROPFIND asks, by purpose.
PRINCIPAL = ("D:current-user-principal", "D:principal-URL", "C:calendar-home-set", "D:resourcetype")
HOME = (
    "C:calendar-home-set",
    "C:calendar-user-address-set",
    "C:schedule-inbox-URL",
    "S:calendar-proxy-read-for",
    "S:calendar-proxy-write-for",
    "D:displayname",
)
INBOX = ("C:schedule-default-calendar-URL",)
CALENDARS = (
    "D:resourcetype",
    "D:displayname",
    "C:supported-calendar-component-set",
    "D:current-user-privilege-set",
    "D:owner",
    "A:calendar-color",
)
#: Without sync-token: Radicale reads the whole calendar for it, and once more for the ctag.
COLLECTION = ("D:resourcetype", "S:getctag", "D:supported-report-set", "D:current-user-privilege-set")
POLL = ("S:getctag",)
MEMBERS = ("D:getetag", "D:getcontenttype", "D:resourcetype")


# --- requests -----------------------------------------------------------------------------------------------------


def _props(names: Iterable[str]) -> str:
    return "<D:prop>" + "".join(f"<{name}/>" for name in names) + "</D:prop>"


def _document(body: str) -> bytes:
    return ('<?xml version="1.0" encoding="utf-8"?>' + body).encode()


def propfind(names: Sequence[str]) -> bytes:
    """Ask for properties."""
    return _document(f"<D:propfind {_NAMESPACES}>{_props(names)}</D:propfind>")


def sync_collection(token: str) -> bytes:
    """Ask what changed since a token; an empty one asks for everything."""
    return _document(
        f"<D:sync-collection {_NAMESPACES}><D:sync-token>{escape(token)}</D:sync-token>"
        f"<D:sync-level>1</D:sync-level>{_props(('D:getetag', 'D:getcontenttype'))}</D:sync-collection>"
    )


def multiget(hrefs: Iterable[str]) -> bytes:
    """Ask for objects by href."""
    named = "".join(f"<D:href>{escape(write_href(href))}</D:href>" for href in hrefs)
    return _document(
        f"<C:calendar-multiget {_NAMESPACES}>{_props(('D:getetag', 'C:calendar-data'))}{named}</C:calendar-multiget>"
    )


def query_by_uid(uid: str) -> bytes:
    """Ask which objects carry a UID; servers match more than asked, so the answer is only a hint."""
    return _document(
        f"<C:calendar-query {_NAMESPACES}>{_props(('D:getetag', 'C:calendar-data'))}<C:filter>"
        '<C:comp-filter name="VCALENDAR"><C:comp-filter name="VEVENT"><C:prop-filter name="UID">'
        f'<C:text-match collation="i;octet">{escape(xml_text(uid))}</C:text-match>'
        "</C:prop-filter></C:comp-filter></C:comp-filter></C:filter></C:calendar-query>"
    )


def principal_search(address: str) -> bytes:
    """Ask which principal has a calendar address."""
    return _document(
        f"<D:principal-property-search {_NAMESPACES}><D:property-search>{_props(('C:calendar-user-address-set',))}"
        f"<D:match>{escape(xml_text(address))}</D:match></D:property-search>"
        f"{_props(('C:calendar-home-set', 'C:calendar-user-address-set'))}</D:principal-property-search>"
    )


# --- hrefs and etags ----------------------------------------------------------------------------------------------

_ENCODED_SCHEME = re.compile(r"\A(https?)%3A//", re.IGNORECASE)
_SAFE = "/:@!$&'()*+,;=~-._"


def read_href(text: str) -> Href:
    """Give the path of an href, percent-decoded segment by segment; absolute URLs lose their host.

    A segment whose decoding could not be undone (an encoded slash or percent sign, bytes that are no UTF-8) keeps its
    encoding, in one spelling. So a decoded segment never holds a percent sign, and `write_href` tells the two apart.
    """
    text = text.strip()
    text = _ENCODED_SCHEME.sub(r"\1://", text)  # Xandikos encodes whole addresses
    path = urlsplit(text).path if "://" in text[:12] else text.partition("?")[0]
    if "%" not in path:
        return Href(path)
    return Href("/".join(_read_segment(segment) if "%" in segment else segment for segment in path.split("/")))


def _read_segment(segment: str) -> str:
    try:
        plain = unquote(segment, errors="strict")
    except UnicodeDecodeError:
        return re.sub("%[0-9a-fA-F]{2}", lambda found: found[0].upper(), segment)
    return quote(plain, safe=_SAFE.replace("/", "")) if "/" in plain or "%" in plain else plain


def write_href(href: str) -> str:
    """Give an href as it goes over the wire."""
    if "%" not in href:
        return quote(href, safe=_SAFE)
    return "/".join(segment if "%" in segment else quote(segment, safe=_SAFE) for segment in href.split("/"))


def below(collection: str, name: str) -> Href:
    """Give the href of a member by its name."""
    return Href(collection.rstrip("/") + "/" + name)


def read_etag(text: str | None) -> Etag:
    """Give an etag in quotes, whatever the server's spelling; empty without one."""
    bare = (text or "").strip()
    if not bare or bare.startswith(('"', 'W/"')):
        return Etag(bare)
    return Etag(f'"{bare}"')


def same_etag(one: str, other: str) -> bool:
    """Say whether two etags name one version; a weak mark, which proxies add, does not tell them apart."""
    return one.removeprefix("W/") == other.removeprefix("W/") and bool(one)


# --- answers ------------------------------------------------------------------------------------------------------


class NotMultistatus(ValueError):
    """The answer is no multistatus, or one that breaks off."""


@dataclass(frozen=True, slots=True)
class Member:
    """One response of a multistatus. props: those answered with success, by qualified name. status: of the whole, or 200."""

    href: Href
    status: int
    props: Mapping[str, etree._Element] = field(default_factory=dict)
    failed: Mapping[str, int] = field(default_factory=dict)  # status of properties that were not given
    url: str = ""  # the href as the server wrote it

    def text(self, name: str) -> str:
        """Give a property's text, stripped; empty where there is none."""
        found = self.props.get(name)
        return (found.text or "").strip() if found is not None else ""

    def hrefs(self, name: str) -> tuple[str, ...]:
        """Give the hrefs inside a property, as written."""
        found = self.props.get(name)
        return () if found is None else tuple((each.text or "").strip() for each in found.iter(DAV + "href") if each.text)

    def children(self, name: str) -> frozenset[str]:
        """Give the qualified names of the elements inside a property, at any depth."""
        found = self.props.get(name)
        return frozenset() if found is None else frozenset(str(each.tag) for each in found.iterdescendants(tag=etree.Element))

    @property
    def content(self) -> bytes:
        """Give the object itself; empty where it was not given."""
        found = self.props.get(CAL + "calendar-data")
        return (found.text or "").encode() if found is not None else b""

    @property
    def etag(self) -> Etag:
        """Give the version."""
        return read_etag(self.text(DAV + "getetag"))

    @property
    def is_event(self) -> bool:
        """Say whether it may hold events: not a collection, and not named as another kind of component."""
        kind = self.text(DAV + "getcontenttype").lower()
        if self.href.endswith("/") or DAV + "collection" in self.children(DAV + "resourcetype"):
            return False
        return "component=" not in kind or "component=vevent" in kind.replace('"', "")


@dataclass(frozen=True, slots=True)
class Multistatus:
    """A whole answer. token: the sync-token it ends with. repaired: forbidden characters were replaced."""

    members: tuple[Member, ...]
    token: str = ""
    repaired: bool = False


_STATUS = re.compile(r"\s*HTTP/[0-9.]+\s+([0-9]{3})|\s*([0-9]{3})\b")


def _status(element: etree._Element | None) -> int:
    found = _STATUS.match(element.text or "") if element is not None else None
    return int(found[1] or found[2]) if found else 200


def _member(response: etree._Element) -> Member | None:
    url = (response.findtext(DAV + "href") or "").strip()
    props: dict[str, etree._Element] = {}
    failed: dict[str, int] = {}
    for stat in response.iterchildren(DAV + "propstat"):
        status = _status(stat.find(DAV + "status"))
        for prop in stat.iterfind(DAV + "prop/*"):
            if 200 <= status < 300:
                props[str(prop.tag)] = prop
            else:
                failed[str(prop.tag)] = status
    return Member(read_href(url), _status(response.find(DAV + "status")), props, failed, url) if url else None


def _parser(recover: bool) -> etree.XMLPullParser[etree._Element]:
    return etree.XMLPullParser(
        events=("start", "end"),
        recover=recover,
        resolve_entities=False,
        no_network=True,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )


@dataclass(slots=True)
class MultistatusReader:
    """Reads a multistatus piece by piece, so that memory does not grow with the calendar.

    Take `members` once; `token` and `repaired` are known after that. Raises NotMultistatus, also at a missing end.
    """

    data: bytes
    token: str = ""
    repaired: bool = False

    def members(self, step: int = 1 << 18) -> Iterator[Member]:
        """Yield each response in order."""
        data, self.repaired = clean_xml(self.data) if is_utf8(self.data) else (self.data, False)
        self.data = b""
        parser, root = _parser(recover=False), None
        try:
            for at in range(0, len(data) or 1, step):
                parser.feed(data[at : at + step])
                for event, element in parser.read_events():
                    if event == "start":
                        root = element if root is None and element.tag == DAV + "multistatus" else root
                    elif element.tag == DAV + "response" and element.getparent() is root:
                        yield from filter(None, (_member(element),))
                        _forget(element)
                    elif element.tag == DAV + "sync-token" and element.getparent() is root:
                        self.token = (element.text or "").strip()
            parser.close()
        except etree.XMLSyntaxError as broken:
            raise NotMultistatus(str(broken)[:120]) from None
        if root is None:
            raise NotMultistatus("no multistatus")


def _forget(element: etree._Element) -> None:
    """Let go of a response that was read, and of what stands before it."""
    parent = element.getparent()
    while parent is not None and (before := element.getprevious()) is not None:
        if before.tag == DAV + "sync-token":
            return
        parent.remove(before)


def read_multistatus(data: bytes) -> Multistatus:
    """Read a whole multistatus. Raises NotMultistatus."""
    reader = MultistatusReader(data)
    members = tuple(reader.members())
    return Multistatus(members, reader.token, reader.repaired)


def _recovered(data: bytes) -> etree._Element | None:
    try:
        return etree.fromstring(data, etree.XMLParser(resolve_entities=False, no_network=True, recover=True))
    except etree.XMLSyntaxError:
        return None


def read_conditions(data: bytes) -> frozenset[str]:
    """Give the names of the preconditions an error body states, e.g. `no-uid-conflict`; empty without such a body."""
    root = _recovered(data) if b"error" in data[:4096] else None
    errors = () if root is None else root.iter(DAV + "error")
    return frozenset(etree.QName(each).localname for error in errors for each in error if isinstance(each.tag, str))


# --- cursors ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Position:
    """A reading position. token: of sync-collection; ctag: of the whole calendar, read before the token. Either may lack.

    depth: the header this server wants on sync-collection.
    """

    token: str = ""
    ctag: str = ""
    depth: str = "0"

    def write(self) -> Cursor:
        """Give it as a cursor."""
        return Cursor(json.dumps({"v": 1, "token": self.token, "ctag": self.ctag, "depth": self.depth}, separators=(",", ":")))


def read_position(cursor: str) -> Position | None:
    """Read a cursor of ours; None for anything else."""
    try:
        found = json.loads(cursor)
        return Position(found["token"], found["ctag"], found["depth"]) if found["v"] == 1 else None
    except (ValueError, KeyError, TypeError):
        return None
