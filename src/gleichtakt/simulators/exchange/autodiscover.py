"""Autodiscover, in both forms: plain old XML, and SOAP. It says where the mailbox of an address is served."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from xml.sax.saxutils import escape

from lxml import etree

from gleichtakt.simulators.exchange.organization import Exchange
from gleichtakt.simulators.exchange.soap import local
from gleichtakt.simulators.exchange.state import Mailbox

POX_PATH = "/autodiscover/autodiscover.xml"
SOAP_PATH = "/autodiscover/autodiscover.svc"
POX_REQUEST = "http://schemas.microsoft.com/exchange/autodiscover/outlook/requestschema/2006"
_POX = "http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006"
_OUTLOOK = "http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a"
_SOAP = "http://schemas.microsoft.com/exchange/2010/Autodiscover"
_ADDRESSING = "http://www.w3.org/2005/08/addressing"
_INSTANCE = "http://www.w3.org/2001/XMLSchema-instance"


def _parse(data: bytes) -> etree._Element | None:
    try:
        return etree.fromstring(data, etree.XMLParser(resolve_entities=False, no_network=True, huge_tree=False))
    except etree.XMLSyntaxError:
        return None


def _texts(root: etree._Element | None, name: str) -> list[str]:
    return [] if root is None else [(one.text or "").strip() for one in root.iter(etree.Element) if local(one) == name]


def _served(exchange: Exchange, address: str) -> Mailbox | None:
    found = exchange.simulator.mailboxes.get(address.lower())
    return found if found is not None and found.is_enabled else None


# --- plain old XML -----------------------------------------------------------------------------------------------


def answer_pox(exchange: Exchange, data: bytes) -> str:
    """Answer a request in plain old XML."""
    address = next(iter(_texts(_parse(data), "EMailAddress")), "")
    if not address:
        return _pox_error("600", "Invalid Request")
    kind, target = exchange.redirects.get(address.lower(), ("", ""))
    if kind:
        action, name = {"address": ("redirectAddr", "RedirectAddr"), "url": ("redirectUrl", "RedirectUrl")}[kind]
        return _pox(f"<Account><Action>{action}</Action><{name}>{escape(target)}</{name}></Account>")
    mailbox = _served(exchange, address)
    if mailbox is None:
        return _pox_error("500", "The email address can't be found.")
    url, host = escape(exchange.url), escape(exchange.door.host)
    protocols = "".join(
        f"<Protocol><Type>{kind}</Type><Server>{host}</Server><ASUrl>{url}</ASUrl><EwsUrl>{url}</EwsUrl><OOFUrl>{url}</OOFUrl>"
        "</Protocol>"
        for kind in ("EXCH", "EXPR")
    )
    names = f"<DisplayName>{escape(mailbox.name)}</DisplayName>"
    names += f"<AutoDiscoverSMTPAddress>{escape(mailbox.address)}</AutoDiscoverSMTPAddress>"
    return _pox(f"<User>{names}</User><Account><AccountType>email</AccountType><Action>settings</Action>{protocols}</Account>")


def _pox(inner: str, space: str = _OUTLOOK) -> str:
    answered = f'<Response xmlns="{space}">{inner}</Response>'
    return f'<?xml version="1.0" encoding="utf-8"?><Autodiscover xmlns="{_POX}">{answered}</Autodiscover>'


def _pox_error(code: str, text: str) -> str:
    said = f"<ErrorCode>{code}</ErrorCode><Message>{escape(text)}</Message><DebugData/>"
    return _pox(f'<Error Time="00:00:00.0000000" Id="1">{said}</Error>', _POX)


# --- SOAP --------------------------------------------------------------------------------------------------------

SETTINGS: Mapping[str, Callable[[Exchange, Mailbox], str]] = {
    "UserDisplayName": lambda exchange, mailbox: mailbox.name,
    "AutoDiscoverSMTPAddress": lambda exchange, mailbox: mailbox.address,
    "InternalEwsUrl": lambda exchange, mailbox: exchange.url,
    "ExternalEwsUrl": lambda exchange, mailbox: exchange.url,
    "InternalMailboxServer": lambda exchange, mailbox: exchange.door.host,
    "EwsSupportedSchemas": lambda exchange, mailbox: exchange.release.speaks,
    "CasVersion": lambda exchange, mailbox: ".".join(str(number) for number in exchange.release.build),
    "GroupingInformation": lambda exchange, mailbox: f"{exchange.domain}-{exchange.backend_of(mailbox.address)}",
}


def answer_soap(exchange: Exchange, data: bytes) -> str:
    """Answer GetUserSettings."""
    root = _parse(data)
    addresses, wanted = _texts(root, "Mailbox"), _texts(root, "Setting")
    if not addresses or not wanted:
        return _soap(exchange, _outcome("InvalidRequest", "The request is invalid.") + "<UserResponses/>")
    users = "".join(_user(exchange, address, wanted) for address in addresses)
    return _soap(exchange, _outcome("NoError", "") + f"<UserResponses>{users}</UserResponses>")


def _outcome(code: str, text: str) -> str:
    return f"<ErrorCode>{code}</ErrorCode><ErrorMessage>{escape(text)}</ErrorMessage>"


def _user(exchange: Exchange, address: str, wanted: list[str]) -> str:
    kind, target = exchange.redirects.get(address.lower(), ("", ""))
    mailbox = _served(exchange, address)
    nowhere = '<RedirectTarget i:nil="true"/>'
    if kind:
        code = {"address": "RedirectAddress", "url": "RedirectUrl"}[kind]
        return _response(_outcome(code, "Redirection."), f"<RedirectTarget>{escape(target)}</RedirectTarget>")
    if mailbox is None:
        return _response(_outcome("InvalidUser", "Invalid user."), nowhere)
    errors = "".join(
        f"<UserSettingError><ErrorCode>SettingIsNotAvailable</ErrorCode><ErrorMessage>Not available.</ErrorMessage>"
        f"<SettingName>{escape(name)}</SettingName></UserSettingError>"
        for name in wanted
        if name not in SETTINGS
    )
    settings = "".join(
        f'<UserSetting i:type="StringSetting"><Name>{name}</Name><Value>{escape(SETTINGS[name](exchange, mailbox))}</Value>'
        "</UserSetting>"
        for name in wanted
        if name in SETTINGS
    )
    return _response(_outcome("NoError", "No error."), nowhere, errors, settings)


def _response(outcome: str, target: str, errors: str = "", settings: str = "") -> str:
    listed = f"<UserSettingErrors>{errors}</UserSettingErrors><UserSettings>{settings}</UserSettings>"
    return f"<UserResponse>{outcome}{target}{listed}</UserResponse>"


def _soap(exchange: Exchange, inner: str) -> str:
    numbers = zip(("MajorVersion", "MinorVersion", "MajorBuildNumber", "MinorBuildNumber"), exchange.release.build, strict=True)
    version = "".join(f"<h:{name}>{number}</h:{name}>" for name, number in numbers)
    return (
        '<?xml version="1.0" encoding="utf-8"?>'
        f'<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" xmlns:a="{_ADDRESSING}"><s:Header>'
        f'<a:Action s:mustUnderstand="1">{_SOAP}/Autodiscover/GetUserSettingsResponse</a:Action>'
        f'<h:ServerVersionInfo xmlns:h="{_SOAP}">{version}<h:Version>{exchange.release.speaks}</h:Version></h:ServerVersionInfo>'
        f'</s:Header><s:Body><GetUserSettingsResponseMessage xmlns="{_SOAP}"><Response xmlns:i="{_INSTANCE}">{inner}</Response>'
        "</GetUserSettingsResponseMessage></s:Body></s:Envelope>"
    )
