"""The envelope around every call: what a request says beside its operation, and how answers and faults are written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from lxml import etree

from gleichtakt.simulators.exchange.state import Refused

SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
TYPES = "http://schemas.microsoft.com/exchange/services/2006/types"
MESSAGES = "http://schemas.microsoft.com/exchange/services/2006/messages"
ERRORS = "http://schemas.microsoft.com/exchange/services/2006/errors"
NAMESPACES = {"s": SOAP, "t": TYPES, "m": MESSAGES}
CONTENT_TYPE = "text/xml; charset=utf-8"
_DECLARED = {"t": TYPES, "m": MESSAGES}
_OWN_ELEMENTS = frozenset({"LineNumber", "LinePosition", "Violation"})


def t(name: str) -> str:
    """Give the full name of a type element."""
    return f"{{{TYPES}}}{name}"


def m(name: str) -> str:
    """Give the full name of a message element."""
    return f"{{{MESSAGES}}}{name}"


def local(element: etree._Element) -> str:
    """Give the name of an element without its namespace; nothing for a comment."""
    return element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""


def add(parent: etree._Element, name: str, text: str | None = None, **attributes: str) -> etree._Element:
    """Append an element by full name."""
    made = etree.SubElement(parent, name, attributes)
    made.text = text
    return made


def message(name: str, **attributes: str) -> etree._Element:
    """Make an element of the messages namespace that declares both prefixes."""
    return etree.Element(m(name), attributes, nsmap=_DECLARED)


def text_of(element: etree._Element, path: str) -> str:
    """Give the text under a path with the prefixes t and m; empty without."""
    return (element.findtext(path, "", NAMESPACES) or "").strip()


@dataclass(frozen=True, slots=True)
class Request:
    """One call as it came. version: RequestServerVersion as written. impersonated: kind of the name -> the name itself.

    zone: Windows id of the TimeZoneContext.
    """

    operation: etree._Element
    version: str = ""
    impersonated: tuple[str, str] = ("", "")
    zone: str = ""

    @property
    def name(self) -> str:
        """Give the name of the operation."""
        return local(self.operation)


def _parser() -> etree.XMLParser[etree._Element]:
    return etree.XMLParser(remove_comments=True, remove_pis=True, resolve_entities=False, no_network=True, huge_tree=False)


def read(data: bytes) -> Request:
    """Read a request. Raises ValueError for what is no SOAP envelope with exactly one operation."""
    try:
        root = etree.fromstring(data, _parser())
    except etree.XMLSyntaxError as broken:
        raise ValueError(str(broken)) from None
    body = root.find(f"{{{SOAP}}}Body")
    if root.tag != f"{{{SOAP}}}Envelope" or body is None or len(body) != 1:
        raise ValueError("not a SOAP envelope with one operation")
    version = root.find("s:Header/t:RequestServerVersion", NAMESPACES)
    named = root.find("s:Header/t:ExchangeImpersonation/t:ConnectingSID/*", NAMESPACES)
    zone = root.find("s:Header/t:TimeZoneContext/t:TimeZoneDefinition", NAMESPACES)
    return Request(
        body[0],
        version.get("Version", "") if version is not None else "",
        (local(named), (named.text or "").strip()) if named is not None else ("", ""),
        zone.get("Id", "") if zone is not None else "",
    )


def written(element: etree._Element) -> bytes:
    """Write an element without a declaration."""
    return etree.tostring(element, encoding="utf-8")


def envelope(content: bytes, header: Mapping[str, str]) -> bytes:
    """Write an answer around its content. header: what ServerVersionInfo says."""
    told = " ".join(f'{name}="{value}"' for name, value in header.items())
    return (
        b'<?xml version="1.0" encoding="utf-8"?>'
        b'<s:Envelope xmlns:s="%s"><s:Header><h:ServerVersionInfo %s xmlns:h="%s"/></s:Header><s:Body>%s</s:Body></s:Envelope>'
        % (SOAP.encode(), told.encode(), TYPES.encode(), content)
    )


def answer(element: etree._Element, header: Mapping[str, str]) -> bytes:
    """Write the answer of an operation."""
    return envelope(written(element), header)


def fault(refused: Refused, header: Mapping[str, str]) -> bytes:
    """Write a refusal of a whole call."""
    made = etree.Element(f"{{{SOAP}}}Fault", nsmap={"s": SOAP, "a": TYPES, "e": ERRORS, "t": TYPES})
    etree.SubElement(made, "faultcode").text = f"a:{refused.code}"
    told = etree.SubElement(made, "faultstring", {"{http://www.w3.org/XML/1998/namespace}lang": "en-US"})
    told.text = refused.text
    detail = etree.SubElement(made, "detail")
    add(detail, f"{{{ERRORS}}}ResponseCode", refused.code)
    add(detail, f"{{{ERRORS}}}Message", refused.text)
    if refused.params:
        detail.append(values_of(refused.params, t("MessageXml")))
    return envelope(written(made), header)


def values_of(params: Mapping[str, str], name: str) -> etree._Element:
    """Write what an error tells besides its code. name: of the element, which faults and messages take from two namespaces."""
    made = etree.Element(name, nsmap=_DECLARED)
    for key, value in params.items():
        if key in _OWN_ELEMENTS:
            add(made, t(key), value)
        else:
            add(made, t("Value"), value, Name=key)
    return made


def error_message(name: str, refused: Refused) -> etree._Element:
    """Write a response message that says no. name: of its element."""
    made = message(name, ResponseClass="Error")
    fill_error(made, refused)
    return made


def fill_error(made: etree._Element, refused: Refused) -> None:
    """Write what every refusal in an answer says into an element."""
    add(made, m("MessageText"), refused.text)
    add(made, m("ResponseCode"), refused.code)
    add(made, m("DescriptiveLinkKey"), "0")
    if refused.params:
        made.append(values_of(refused.params, m("MessageXml")))


def success(name: str, *, parts: Callable[[etree._Element], None] | None = None) -> etree._Element:
    """Write a response message that says yes; *parts* adds what it carries."""
    made = message(name, ResponseClass="Success")
    add(made, m("ResponseCode"), "NoError")
    if parts is not None:
        parts(made)
    return made


def responses(operation: str, *messages: etree._Element) -> etree._Element:
    """Write the answer of an operation that has one response message for each part of the request."""
    made = message(f"{operation}Response")
    add(made, m("ResponseMessages")).extend(messages)
    return made
