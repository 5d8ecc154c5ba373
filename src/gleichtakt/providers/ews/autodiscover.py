"""From a mail address to the web services of Exchange: SOAP and POX, the redirect over plain HTTP, and SRV.

Credentials go only to hosts of the firm's own domain or to approved ones, only encrypted, and only after the host asked
for a sign-in we know. Each step that leads elsewhere is held to that; what it finds in the end, too. Servers of 2007
speak only POX; only SOAP tells which mailboxes one back end serves. Exchange Online is recognised by its names.
Source: MS-OXDISCO, MS-OXWSADISC, and «Autodiscover for Exchange» in Microsoft's documents.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final
from urllib.parse import urljoin, urlsplit
from uuid import uuid4

import structlog
from lxml import etree

from gleichtakt.errors import AuthRequired, Permanent, Scope, Throttled, Transient, Trouble
from gleichtakt.providers import dns
from gleichtakt.providers.ews.signin import WINDOWS, Lines, not_offered
from gleichtakt.providers.ews.wire import soap
from gleichtakt.providers.ews.wire.names import local_name
from gleichtakt.providers.protocol import Login
from gleichtakt.providers.transport import Transport, may_follow, origin_of, revealed

log = structlog.get_logger(__name__)

PATH: Final = "/EWS/Exchange.asmx"
SOAP_PATH, POX_PATH = "/autodiscover/autodiscover.svc", "/autodiscover/autodiscover.xml"
MAX_JUMPS: Final = 10
STEP_SECONDS: Final = 20.0
AT_ONCE: Final = 100  # mailboxes in one SOAP request: Exchange takes no more
_ANSWER_MOST: Final = 4 << 20

#: Names under which Exchange Online and its national clouds answer, and those of addresses that only it has.
_ONLINE = re.compile(
    r"(?:\A|\.)(?:office365\.(?:com|us)|outlook\.(?:com|office\.com|office\.de)|outlook\.cn|office365\.cn|outlook-dod\.office365\.us"
    r"|mail\.onmicrosoft\.(?:com|us)|onmicrosoft\.(?:com|us|cn|de))\Z"
)
_REQUEST = "http://schemas.microsoft.com/exchange/autodiscover/outlook/requestschema/2006"
_RESPONSE = "http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a"
_SOAP = "http://schemas.microsoft.com/exchange/2010/Autodiscover"
_WSA = "http://www.w3.org/2005/08/addressing"
_URLS: Final = ("ExternalEwsUrl", "InternalEwsUrl")  # the better one first: its name is in the certificate
_GROUP: Final = "GroupingInformation"
#: Troubles after which no other place is asked: a second refused login may lock the account.
_FINAL: Final = frozenset({"ews.exchange_online", "ews.login_refused", "ews.no_ticket", "ews.token_refused", "general.bad_trust"})


@dataclass(frozen=True, slots=True)
class Found:
    """Where the web services are. by: how that is known. soap: where Autodiscover answers in SOAP, if it does."""

    url: str
    by: str
    soap: str = ""

    @property
    def host(self) -> str:
        """Give the host, for sentences."""
        return urlsplit(self.url).hostname or ""

    @property
    def is_given(self) -> bool:
        """Say whether a person named the server, so that looking again finds nothing else."""
        return self.by == GIVEN


GIVEN: Final = "connection"


def is_online(host: str) -> bool:
    """Say whether a host, or the domain of an address, belongs to Exchange Online."""
    return _ONLINE.search(host.lower().rstrip(".")) is not None


def online(host: str) -> Permanent:
    """Give the trouble of a server that is Exchange Online."""
    return Permanent("ews.exchange_online", Scope.ACCOUNT, host=host)


def given(login: Login) -> Found | None:
    """Read the server a connection names: a whole address, or a host with or without port. None where it names none."""
    text = login.url.strip()
    if not text:
        return None
    url = text if "://" in text else f"https://{text}"
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        host = ""
    if not host or parts.scheme not in {"http", "https"}:
        raise Permanent("general.bad_address", Scope.ACCOUNT, host=text[:100])
    if is_online(host):
        raise online(host)
    path = parts.path.rstrip("/")
    if not path:
        path = PATH
    elif path.lower() == "/ews":
        path += "/Exchange.asmx"
    return Found(f"{parts.scheme}://{parts.netloc}{path}", GIVEN)


# --- words --------------------------------------------------------------------------------------------------------


def pox_request(address: str) -> bytes:
    """Ask for the settings of one mailbox, in plain XML."""
    return (
        f'<?xml version="1.0" encoding="utf-8"?><Autodiscover xmlns="{_REQUEST}"><Request>'
        f"<EMailAddress>{soap.text(address)}</EMailAddress><AcceptableResponseSchema>{_RESPONSE}</AcceptableResponseSchema>"
        "</Request></Autodiscover>"
    ).encode()


def soap_request(url: str, addresses: Sequence[str]) -> bytes:
    """Ask for the settings of mailboxes, in SOAP."""
    users = "".join(f"<a:User><a:Mailbox>{soap.text(address)}</a:Mailbox></a:User>" for address in addresses)
    settings = "".join(f"<a:Setting>{name}</a:Setting>" for name in (*_URLS, _GROUP))
    return (
        f'<?xml version="1.0" encoding="utf-8"?><s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"'
        f' xmlns:a="{_SOAP}" xmlns:w="{_WSA}"><s:Header><a:RequestedServerVersion>Exchange2010</a:RequestedServerVersion>'
        f"<w:Action>{_SOAP}/Autodiscover/GetUserSettings</w:Action><w:To>{soap.text(url)}</w:To></s:Header>"
        f"<s:Body><a:GetUserSettingsRequestMessage><a:Request><a:Users>{users}</a:Users>"
        f"<a:RequestedSettings>{settings}</a:RequestedSettings></a:Request></a:GetUserSettingsRequestMessage></s:Body></s:Envelope>"
    ).encode()


@dataclass(frozen=True, slots=True)
class Settings:
    """What Autodiscover tells about one mailbox: its web services, or where to ask instead, or why it tells nothing."""

    urls: tuple[str, ...] = ()
    group: str = ""
    address: str = ""
    redirect: str = ""
    code: str = ""


def _name(element: etree._Element) -> str:
    return local_name(str(element.tag))


def _texts(element: etree._Element) -> Iterator[tuple[str, str]]:
    """Yield names and texts of what lies below, whatever its namespace."""
    for each in element.iter(etree.Element):
        yield _name(each), (each.text or "").strip()


def read_pox(data: bytes) -> Settings:
    """Read an answer in plain XML. Raises NotSoap when it is none."""
    root = soap.parse(data)
    if _name(root) != "Autodiscover":
        raise soap.NotSoap(f"{_name(root)[:40]} instead of settings")
    outside: list[str] = []
    inside: list[str] = []
    for protocol in (each for each in root.iter(etree.Element) if _name(each) == "Protocol"):
        told = dict(_texts(protocol))
        url = told.get("EwsUrl") or told.get("ASUrl") or ""
        if url:
            (inside if told.get("Type") == "EXCH" else outside).append(url)
    told = {name.lower(): text for name, text in reversed(list(_texts(root)))}
    urls = tuple(dict.fromkeys(outside + inside))
    return Settings(urls, "", told.get("redirectaddr", ""), told.get("redirecturl", ""), told.get("errorcode", ""))


def read_soap(data: bytes) -> tuple[Settings, ...]:
    """Read an answer in SOAP: settings in the order of the addresses asked for. Raises NotSoap, and Fault."""
    root = soap.read(data)
    found = tuple(_of_user(each) for each in root.iter(etree.Element) if _name(each) == "UserResponse")
    if found:
        return found
    code = next((text for name, text in _texts(root) if name == "ErrorCode" and text), "")
    return (Settings(code=code),)


def _of_user(user: etree._Element) -> Settings:
    said = {_name(each): (each.text or "").strip() for each in user if isinstance(each.tag, str)}
    named: dict[str, str] = {}
    for setting in (each for each in user.iter(etree.Element) if _name(each) == "UserSetting"):
        told = dict(_texts(setting))
        named[told.get("Name", "")] = told.get("Value", "")
    code, target = said.get("ErrorCode", ""), said.get("RedirectTarget", "")
    return Settings(
        tuple(named[name] for name in _URLS if named.get(name)),
        named.get(_GROUP, ""),
        target if code == "RedirectAddress" else "",
        target if code == "RedirectUrl" else "",
        "" if code == "NoError" else code,
    )


# --- asking -------------------------------------------------------------------------------------------------------


class _Elsewhere(Exception):
    """Autodiscover sends us to another place (an URL) or asks for another address."""

    def __init__(self, target: str) -> None:
        super().__init__(target)
        self.target = target


@dataclass(slots=True)
class Autodiscover:
    """Looks servers up for one login. name_servers: other than this machine's, for SRV."""

    login: Login
    lines: Lines
    name_servers: tuple[tuple[str, int], ...] | None = None
    _jumps: int = field(default=0, init=False)

    async def find(self, mailbox: str = "") -> Found:
        """Find the web services of the firm, for the address of the connection, else for a mailbox.

        Raises a refusal of the login at once; else, when no place leads there, the trouble that says most.
        """
        user = revealed(self.login.auth.get("username"))
        address = self.login.autodiscover_address.strip() or mailbox or (user if "@" in user else "")
        address = address if "@" in address or not address else f"autodiscover@{address}"
        if not address:
            raise Permanent("ews.no_address", Scope.ACCOUNT)
        self._jumps = 0
        return await self._find(address)

    async def groups(self, found: Found, mailboxes: Sequence[str]) -> Mapping[str, str]:
        """Give for each mailbox what names the group that one back end serves; empty for those not told about.

        A server of 2007 or 2010, and one that is not asked through Autodiscover, tells no groups.
        """
        url = found.soap or urljoin(found.url, SOAP_PATH)
        groups = dict.fromkeys(mailboxes, "")
        for start in range(0, len(mailboxes), AT_ONCE):
            part = mailboxes[start : start + AT_ONCE]
            try:
                told = read_soap(await self._ask(url, soap_request(url, part), "soap"))
            except (Transient, Permanent, soap.Fault, soap.NotSoap, _Elsewhere) as refused:
                log.info("groups_not_told", host=found.host, reason=type(refused).__name__)
                break
            if len(told) == len(part):
                for mailbox, settings in zip(part, told, strict=True):
                    groups[mailbox] = f"{settings.group} {settings.urls[0].lower()}" if settings.group and settings.urls else ""
        return groups

    async def _find(self, address: str) -> Found:
        domain = address.rpartition("@")[2].strip().rstrip(".").lower()
        if is_online(domain):
            raise online(domain)
        telling: Trouble | None = None  # the last trouble that says more than «not here»
        async for url, form in self._places(domain):
            try:
                async with asyncio.timeout(STEP_SECONDS):
                    return await self._at(url, form, address, domain)
            except _Elsewhere as other:
                return await self._find(other.target)
            except (Trouble, TimeoutError, soap.Fault, soap.NotSoap) as failed:
                code = getattr(failed, "code", type(failed).__name__)
                if isinstance(failed, Trouble) and (isinstance(failed, Throttled) or code in _FINAL):
                    raise
                if isinstance(failed, Trouble) and is_online(failed.params.get("target", "")):
                    raise online(failed.params["target"]) from None
                if isinstance(failed, (Permanent, AuthRequired)) or code.startswith("general.tls"):
                    telling = failed if isinstance(failed, Trouble) else telling
                log.debug("autodiscover_step", host=origin_of(url)[1], form=form, reason=code)
        raise telling or Transient("ews.not_discovered", Scope.ACCOUNT, domain=domain)

    async def _places(self, domain: str) -> AsyncIterator[tuple[str, str]]:
        """Yield where Autodiscover may answer, and in which form, the likeliest first."""
        for host in (domain, f"autodiscover.{domain}"):
            yield f"https://{host}{SOAP_PATH}", "soap"
            yield f"https://{host}{POX_PATH}", "pox"
        led = await self._by_redirect(f"http://autodiscover.{domain}{POX_PATH}")
        if led:
            yield led, "pox"
        for service in await dns.find_service(f"_autodiscover._tcp.{domain}", servers=self.name_servers):
            origin = f"https://{service.target}" + ("" if service.port == 443 else f":{service.port}")
            yield origin + SOAP_PATH, "soap"
            yield origin + POX_PATH, "pox"

    async def _by_redirect(self, url: str) -> str:
        """Ask in the clear, without credentials, where to go; only an encrypted place counts."""
        transport = Transport(replace(self.login, auth={}), roams=True, limit=1)
        try:
            async with asyncio.timeout(STEP_SECONDS):
                answer = await transport.send("GET", url, most=_ANSWER_MOST)
        except (Trouble, TimeoutError):
            return ""
        finally:
            await transport.close()
        return answer.url if answer.url != url and origin_of(answer.url)[0] == "https" else ""

    async def _at(self, url: str, form: str, address: str, domain: str) -> Found:
        """Ask one place, and the places it leads to."""
        while True:
            self.permit(domain, url)
            if form == "soap":
                settings = read_soap(await self._ask(url, soap_request(url, (address,)), form))[0]
            else:
                settings = read_pox(await self._ask(url, pox_request(address), form))
            if settings.urls:
                return self._take(settings, url, form, domain)
            if settings.redirect or settings.address:
                self._jump(url)
            if settings.address:
                self._permit_domain(domain, settings.address)
                raise _Elsewhere(settings.address)
            if not settings.redirect:
                raise Transient(
                    "general.malformed", Scope.ACCOUNT, host=origin_of(url)[1], reason=f"no settings {settings.code}".strip()
                )
            url = urljoin(url, settings.redirect)

    def _take(self, settings: Settings, url: str, form: str, domain: str) -> Found:
        """Choose among the addresses of the web services: the first that credentials may travel to."""
        refused: Trouble | None = None
        for found in settings.urls:
            try:
                self.permit(domain, found)
            except Permanent as trouble:
                refused = refused or trouble
                continue
            return Found(found, f"autodiscover {form} at {origin_of(url)[1]}", url if form == "soap" else "")
        raise refused or Transient("ews.not_discovered", Scope.ACCOUNT, domain=domain)

    def _jump(self, url: str) -> None:
        self._jumps += 1
        if self._jumps > MAX_JUMPS:
            host = origin_of(url)[1]
            raise Permanent("general.redirect_refused", Scope.ACCOUNT, host=host, target=host, detail="redirects without end")

    def permit(self, domain: str, url: str) -> None:
        """Raise unless credentials may travel to a place that the firm's domain led to."""
        host = origin_of(url)[1]
        if is_online(host):
            raise online(host)
        approved = self.login.options.get("approved_hosts", "").split(",")
        if not may_follow(f"https://{domain}", url, approved=approved):
            raise Permanent("general.redirect_refused", Scope.ACCOUNT, host=domain, target=host)

    def _permit_domain(self, domain: str, address: str) -> None:
        self.permit(domain, f"https://{address.rpartition('@')[2]}")

    async def _ask(self, url: str, body: bytes, form: str) -> bytes:
        """Ask a place that shows by a 401 that it knows a sign-in of ours; credentials go to no other."""
        line = self.lines.new()
        try:
            challenge = await line.ask(url)
            if challenge is not None and not self._knows(challenge.offers):
                raise not_offered(url, revealed(self.login.auth.get("method")) or WINDOWS[0], challenge.offers)
            if challenge is None:
                raise Transient("ews.not_ews", Scope.ACCOUNT, host=origin_of(url)[1], reason="no sign-in asked for")
            headers = {"Content-Type": soap.CONTENT_TYPE, "Accept": "text/xml", "client-request-id": str(uuid4())}
            if form == "soap":
                headers["SOAPAction"] = f'"{_SOAP}/Autodiscover/GetUserSettings"'
            async with line.post(url, body, headers) as response:
                data = await line.transport.read(response, _ANSWER_MOST)
                if response.status != 200 and not data.lstrip()[:1] == b"<":
                    raise Transient("ews.not_ews", Scope.ACCOUNT, host=origin_of(url)[1], reason=f"HTTP {response.status}")
                return data
        finally:
            await line.close()

    def _knows(self, offers: Mapping[str, bytes]) -> bool:
        method = revealed(self.login.auth.get("method")) or WINDOWS[0]
        if method in WINDOWS:
            return any(name in offers for name in WINDOWS)
        return ("basic" if method == "basic" else "bearer") in offers
