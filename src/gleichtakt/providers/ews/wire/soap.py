"""The envelope: what goes around a request, and what an answer says before its content is looked at. Pure.

An answer is read by what it holds, not by the HTTP status it came with: some servers send faults with 200. Namespaces
of SOAP 1.1 and 1.2 are both read. Codes are told as they are; what they mean stands in `faults`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final
from xml.sax.saxutils import escape, quoteattr

from lxml import etree

from gleichtakt.providers.ews.wire.names import MESSAGES, SOAP, SOAP12, TYPES, local_name
from gleichtakt.providers.xml_repair import clean_xml, is_utf8, xml_text

Element = etree._Element

CONTENT_TYPE: Final = "text/xml; charset=utf-8"
NO_ERROR: Final = "NoError"


class NotSoap(ValueError):
    """The answer is no SOAP envelope, or one that breaks off."""


class Fault(Exception):
    """The server refused the whole call. code: of Exchange where it gave one, else of SOAP; text: for the log only.

    params: what the refusal tells beside, such as BackOffMilliseconds.
    """

    def __init__(self, code: str, text: str = "", params: Mapping[str, str] | None = None) -> None:
        """Keep what the server said."""
        super().__init__(code)
        self.code, self.text, self.params = code, text, params or {}


# --- requests -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Header:
    """What goes before each call. version: one of `names.VERSIONS`.

    impersonate: who the caller acts as: an SMTP address, a SID (``S-1-5-…``), or ``upn:`` and a user principal name.
    zone: Windows id in which readings without an offset are understood; servers of 2007 do not know it.
    """

    version: str
    impersonate: str = ""
    zone: str = ""


def text(value: str) -> str:
    """Give a text as content of an element."""
    return escape(xml_text(value))


def attribute(value: str) -> str:
    """Give a text as value of an attribute, in quotes."""
    return quoteattr(xml_text(value))


def envelope(body: bytes, header: Header) -> bytes:
    """Wrap a request; its prefixes `m` and `t` are declared here."""
    before = (
        '<?xml version="1.0" encoding="utf-8"?>'
        f'<s:Envelope xmlns:s="{SOAP}" xmlns:t="{TYPES}" xmlns:m="{MESSAGES}">'
        f'<s:Header><t:RequestServerVersion Version="{header.version}"/>{_identity(header)}{_context(header)}</s:Header><s:Body>'
    )
    return b"".join((before.encode(), body, b"</s:Body></s:Envelope>"))


def _identity(header: Header) -> str:
    who = header.impersonate
    if not who:
        return ""
    name = "PrimarySmtpAddress" if header.version == "Exchange2007_SP1" else "SmtpAddress"
    if who.startswith("S-1-"):
        name = "SID"
    elif who.startswith("upn:"):
        name, who = "PrincipalName", who.removeprefix("upn:")
    who = f"<t:{name}>{text(who)}</t:{name}>"
    return f"<t:ExchangeImpersonation><t:ConnectingSID>{who}</t:ConnectingSID></t:ExchangeImpersonation>"


def _context(header: Header) -> str:
    if not header.zone or header.version == "Exchange2007_SP1":
        return ""
    return f"<t:TimeZoneContext><t:TimeZoneDefinition Id={attribute(header.zone)}/></t:TimeZoneContext>"


# --- answers ------------------------------------------------------------------------------------------------------

_BODIES = (f"{{{SOAP}}}Body", f"{{{SOAP12}}}Body")


def parse(data: bytes) -> Element:
    """Parse a document; characters XML forbids become U+FFFD. Raises NotSoap, also for one that brings its own entities."""
    data = data.strip(b" \t\r\n")
    try:
        root = etree.fromstring(data, _parser())
    except (etree.XMLSyntaxError, ValueError) as broken:
        cleaned, repaired = clean_xml(data) if is_utf8(data) else (data, False)
        if not repaired:
            raise NotSoap(str(broken)[:200]) from None
        return parse(cleaned)
    if root.getroottree().docinfo.doctype:
        raise NotSoap("a document type")
    return root


def _parser() -> etree.XMLParser[Element]:
    return etree.XMLParser(
        resolve_entities=False, no_network=True, huge_tree=False, remove_comments=True, remove_pis=True, collect_ids=False
    )


def read(data: bytes) -> Element:
    """Give the one element in the body of an answer. Raises Fault, whatever the HTTP status was, and NotSoap."""
    root = parse(data)
    body = next((found for found in root if found.tag in _BODIES), None)
    content = next(iter(body), None) if body is not None and local_name(root.tag) == "Envelope" else None
    if content is None:
        raise NotSoap(f"{local_name(root.tag)[:40]} without a body")
    if local_name(content.tag) == "Fault":
        raise _fault(content)
    return content


def _fault(element: Element) -> Fault:
    """Read a fault. The code of Exchange stands in the detail, or behind a prefix in the code of SOAP."""
    names: dict[str, Element] = {}
    for found in element.iter(etree.Element):
        names.setdefault(local_name(found.tag), found)
    soap_code = _text(names.get("faultcode")) or _text(names.get("Value") if "Code" in names else None)
    code = _text(names.get("ResponseCode")) or soap_code.rpartition(":")[2]
    said = _text(names.get("Message")) or _text(names.get("faultstring")) or _text(names.get("Text"))
    return Fault(code, said, _params(names.get("MessageXml")))


def _text(element: Element | None) -> str:
    return (element.text or "").strip() if element is not None else ""


def _params(message: Element | None) -> Mapping[str, str]:
    """Read `MessageXml`: named values, and the places a schema validation complains about."""
    if message is None:
        return {}
    found = {(each.get("Name") or local_name(each.tag)): _text(each) for each in message.iter(etree.Element) if not len(each)}
    return {name: value for name, value in found.items() if value}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one part of a call. element: the response message, or what holds it.

    response_class: Success | Warning | Error. The code tells which error, never the text, which is translated.
    """

    element: Element
    response_class: str
    code: str
    params: Mapping[str, str] = field(default_factory=dict)
    text: str = ""  # for the log only

    @property
    def is_error(self) -> bool:
        """Say whether this part was refused or not done; a warning has its result, except after a stop."""
        return self.response_class == "Error" or self.code == "ErrorBatchProcessingStopped"


def outcomes(answer: Element) -> tuple[Outcome, ...]:
    """Give what became of each part of a call, in the order of the request.

    Most answers list messages; free/busy has one inside each result; others (rooms, automatic replies) speak for all.
    """
    listed = _named(answer, "ResponseMessages")
    if listed is not None:
        return tuple(_outcome(each, each) for each in listed)
    inner = tuple(each for each in answer.iter() if local_name(each.tag) == "ResponseMessage")
    if inner:
        return tuple(_outcome(_holder(message, answer), message) for message in inner)
    return (_outcome(answer, answer),)


def _named(element: Element, name: str) -> Element | None:
    return next((each for each in element if local_name(each.tag) == name), None)


def _holder(message: Element, answer: Element) -> Element:
    parent = message.getparent()
    return answer if parent is None else parent


def _outcome(element: Element, message: Element) -> Outcome:
    """Read one message; a missing class follows from the code, a missing code from the class. None of both is no success."""
    code, given = _text(_named(message, "ResponseCode")), (message.get("ResponseClass") or "").strip()
    if given == "Success" or (not given and code == NO_ERROR):
        return Outcome(element, "Success", code or NO_ERROR)
    said = _text(_named(message, "MessageText"))
    return Outcome(element, given or "Error", code, _params(_named(message, "MessageXml")), said)


_VERSION = re.compile(rb"<(?:[\w.-]+:)?ServerVersionInfo\b([^>]*)>")
_NUMBERS = ("MajorVersion", "MinorVersion", "MajorBuildNumber", "MinorBuildNumber")


def server_version(data: bytes) -> str:
    """Give the build the server says it is, such as ``15.2.2562.17``; empty where it says none."""
    found = _VERSION.search(data, 0, 8192)
    if not found:
        return ""
    said = found[1].decode("utf-8", "replace")
    numbers = (re.search(rf"\b{name}\s*=\s*[\"']\s*(\d+)", said) for name in _NUMBERS)
    return ".".join(number[1] for number in numbers if number)


# --- streams ------------------------------------------------------------------------------------------------------

_END = re.compile(rb"</(?:[\w.-]+:)?Envelope\s*>")
_LONGEST_END = 64  # characters; an end may be cut in two by a chunk


class Envelopes:
    """Cuts a streamed answer, which is one envelope after the other, into documents.

    Raises NotSoap when no end comes within *limit* bytes.
    """

    def __init__(self, limit: int = 16 * 1024 * 1024) -> None:
        """limit: bytes of one envelope."""
        self._limit, self._waiting, self._seen = limit, bytearray(), 0

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Take what came; yield the envelopes that are complete now."""
        self._waiting += chunk
        while end := _END.search(self._waiting, self._seen):
            whole = bytes(self._waiting[: end.end()])
            del self._waiting[: end.end()]
            self._seen = 0
            yield whole
        self._seen = max(0, len(self._waiting) - _LONGEST_END)
        if len(self._waiting) > self._limit:
            raise NotSoap("an envelope without end")

    @property
    def rest(self) -> bytes:
        """Give what came of an envelope that has not ended; blanks between envelopes are nothing."""
        return bytes(self._waiting).strip()
