"""A plain client of EWS for tests: envelopes by hand, one connection, the answer as it came."""

from __future__ import annotations

import base64
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
import spnego
from lxml import etree
from spnego.channel_bindings import GssChannelBindings

from gleichtakt.simulators.exchange.soap import CONTENT_TYPE, ERRORS, MESSAGES, NAMESPACES, SOAP, TYPES

CALENDAR = '<t:DistinguishedFolderId Id="calendar"/>'
ROOMS = "<m:GetRoomLists/>"
MEETING = (
    "<t:CalendarItem><t:Subject>Standup</t:Subject><t:Start>2026-11-23T09:00:00Z</t:Start>"
    "<t:End>2026-11-23T09:30:00Z</t:End></t:CalendarItem>"
)
CREATE = f'<m:CreateItem SendMeetingInvitations="SendToNone"><m:Items>{MEETING}</m:Items></m:CreateItem>'


def envelope(operation: str, *, version: str = "Exchange2010_SP2", impersonate: str = "", header: str = "") -> bytes:
    """Write a request."""
    acts_for = (
        f"<t:ExchangeImpersonation><t:ConnectingSID><t:PrimarySmtpAddress>{impersonate}</t:PrimarySmtpAddress>"
        "</t:ConnectingSID></t:ExchangeImpersonation>"
    )
    named = f'<t:RequestServerVersion Version="{version}"/>' if version else ""
    return (
        f'<s:Envelope xmlns:s="{SOAP}" xmlns:t="{TYPES}" xmlns:m="{MESSAGES}"><s:Header>{named}'
        f"{acts_for if impersonate else ''}{header}</s:Header><s:Body>{operation}</s:Body></s:Envelope>"
    ).encode()


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back."""

    status: int
    data: bytes
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def body(self) -> etree._Element:
        """The operation's answer, or the fault."""
        found = etree.fromstring(self.data).find("s:Body/*", NAMESPACES)
        assert found is not None
        return found

    @property
    def fault(self) -> str:
        """The code of the fault, empty where there is none."""
        return self.body.findtext(f"detail/{{{ERRORS}}}ResponseCode") or ""

    @property
    def codes(self) -> list[str]:
        """The codes of the response messages, in order."""
        return self.texts("ResponseCode")

    @property
    def back_off(self) -> int:
        """How many milliseconds to wait."""
        found = self.body.find(".//t:Value[@Name='BackOffMilliseconds']", NAMESPACES)
        return int(found.text or 0) if found is not None else 0

    def all(self, name: str) -> list[etree._Element]:
        """Give all elements of a name."""
        return list(self.body.iter(f"{{{TYPES}}}{name}", f"{{{MESSAGES}}}{name}"))

    def texts(self, name: str) -> list[str]:
        """Give the texts of all elements of a name."""
        return [one.text or "" for one in self.all(name)]


@dataclass(slots=True)
class PlainClient:
    """One account with one connection."""

    session: aiohttp.ClientSession
    url: str
    headers: dict[str, str]

    async def send(self, data: bytes = b"", *, url: str = "", method: str = "POST", **headers: str) -> Reply:
        """Send a request."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        told = {"Content-Type": CONTENT_TYPE, **self.headers, **named}
        async with self.session.request(method, url or self.url, data=data, headers=told, allow_redirects=False) as answer:
            return Reply(answer.status, await answer.read(), dict(answer.headers))

    async def ask(self, operation: str, *, version: str = "Exchange2010_SP2", impersonate: str = "", **headers: str) -> Reply:
        """Carry out an operation."""
        return await self.send(envelope(operation, version=version, impersonate=impersonate), **headers)

    async def sign_in(
        self, username: str, password: str, method: str = "NTLM", *, certificate: bytes = b"", data: bytes = b""
    ) -> Reply:
        """Walk the legs of NTLM or Negotiate; the last one carries the data. certificate: digest the sign-in is bound to."""
        bindings = GssChannelBindings(application_data=b"tls-server-end-point:" + certificate) if certificate else None
        context = spnego.client(
            username,
            password,
            hostname="exchange",
            service="HTTP",
            protocol=method.lower(),
            options=spnego.NegotiateOptions.use_ntlm if method == "NTLM" else spnego.NegotiateOptions.none,
            channel_bindings=bindings,
        )
        token = None
        while True:
            answer = base64.b64encode(context.step(token) or b"").decode()
            reply = await self.send(data if token else b"", Authorization=f"{method} {answer}")
            scheme, _, told = reply.headers.get("WWW-Authenticate", "").partition(" ")
            token = base64.b64decode(told) if scheme == method else b""
            if reply.status != 401 or not token:
                if token:
                    context.step(token)
                    assert context.complete
                return reply


@asynccontextmanager
async def signed_in(url: str, username: str = "", password: str = "", *, ca_pem: str = "") -> AsyncIterator[PlainClient]:
    """Give a client with one connection; with a name it signs each request with Basic. ca_pem: whom it trusts."""
    headers = {"Authorization": aiohttp.encode_basic_auth(username, password)} if username else {}
    trust: ssl.SSLContext | bool = ssl.create_default_context(cadata=ca_pem) if ca_pem else True
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1, ssl=trust)) as session:
        yield PlainClient(session, url, headers)
