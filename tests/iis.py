"""A web server that signs in as IIS does in front of Exchange, for the tests of the client alone; what it serves is scripted.

Sign-ins are held by pyspnego's server side: a second reading of NTLM and Negotiate, of other hands than ours.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import logging
import os
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from weakref import WeakKeyDictionary

import spnego
import structlog
from aiohttp import web
from lxml import etree
from spnego.channel_bindings import GssChannelBindings
from spnego.exceptions import NegotiateOptions, SpnegoError
from structlog.testing import capture_logs
from tests.certificates import certificate

from gleichtakt.providers.protocol import Login, Secret

MESSAGES = "http://schemas.microsoft.com/exchange/services/2006/messages"
TYPES = "http://schemas.microsoft.com/exchange/services/2006/types"
USER, PASSWORD = "FIRM\\svc", "Geheim-123"
BUILD = "15.2.1118.7"


def envelope(content: str, *, build: str = BUILD) -> str:
    """Wrap an answer, with the build of a server or without one."""
    names = ("MajorVersion", "MinorVersion", "MajorBuildNumber", "MinorBuildNumber")
    told = " ".join(f'{name}="{number}"' for name, number in zip(names, build.split("."), strict=False))
    header = f'<s:Header><h:ServerVersionInfo xmlns:h="{TYPES}" {told}/></s:Header>' if build else ""
    return f'<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/">{header}<s:Body>{content}</s:Body></s:Envelope>'


def part(operation: str, code: str = "NoError", inside: str = "") -> str:
    """Write one response message."""
    kind = "Success" if code == "NoError" else "Error"
    return (
        f'<m:{operation}ResponseMessage ResponseClass="{kind}"><m:ResponseCode>{code}</m:ResponseCode>{inside}'
        f"</m:{operation}ResponseMessage>"
    )


def response(operation: str, *parts: str, build: str = BUILD) -> str:
    """Write the answer to an operation; one success without anything else."""
    inside = "".join(parts or (part(operation),))
    return envelope(
        f'<m:{operation}Response xmlns:m="{MESSAGES}" xmlns:t="{TYPES}"><m:ResponseMessages>{inside}</m:ResponseMessages>'
        f"</m:{operation}Response>",
        build=build,
    )


def back_off(milliseconds: int) -> str:
    """Write how long to wait, as it stands inside a response message."""
    return f'<m:MessageXml><t:Value Name="BackOffMilliseconds">{milliseconds}</t:Value></m:MessageXml>'


def fault(code: str, inside: str = "", *, build: str = "") -> str:
    """Write a refusal of the whole call; it seldom tells the build."""
    return envelope(
        f'<s:Fault><faultcode xmlns:a="{TYPES}">a:{code}</faultcode><faultstring>Zugriff auf jemand@firm.example</faultstring>'
        f'<detail><e:ResponseCode xmlns:e="http://schemas.microsoft.com/exchange/services/2006/errors">{code}</e:ResponseCode>'
        f'<t:MessageXml xmlns:t="{TYPES}">{inside}</t:MessageXml></detail></s:Fault>',
        build=build,
    )


@dataclass(frozen=True, slots=True)
class Reply:
    """What the server answers."""

    text: str
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Call:
    """A request that got past the sign-in. line: number of its connection; user: who signed that one in."""

    operation: str
    body: str
    headers: Mapping[str, str]
    line: int
    user: str
    path: str = ""

    @property
    def version(self) -> str:
        """Give the version it asks in."""
        return self.body.partition('RequestServerVersion Version="')[2].partition('"')[0]

    @property
    def acts_as(self) -> str:
        """Give whom it impersonates."""
        read = etree.fromstring(self.body.encode())
        return str(read.findtext(f".//{{{TYPES}}}ConnectingSID/*") or "")


Answering = Callable[[Call], Reply | Awaitable[Reply] | web.StreamResponse]


def usual(call: Call) -> Reply:
    """Answer every operation with one success."""
    return Reply(response(call.operation))


@dataclass
class Line:
    """What the server knows of one connection."""

    number: int
    context: Any = None
    user: str = ""


@dataclass
class IIS:
    """The server. offers: the methods it names. binds: whether a sign-in must be bound to the certificate.

    persistent: what `Persistent-Auth` says; `""` leaves it out. in_one: takes the first token for the whole conversation.
    """

    offers: Sequence[str] = ("NTLM", "Negotiate")
    binds: bool = False
    persistent: str = "true"
    in_one: bool = False
    answering: Answering = usual
    tokens: frozenset[str] = frozenset()
    calls: list[Call] = field(default_factory=list)
    legs: list[tuple[str, int]] = field(default_factory=list)  # method of the Authorization, bytes of the body
    failed: list[str] = field(default_factory=list)
    handshakes: int = 0
    forget: bool = False  # the next request over a connection that was signed in is asked to do so again
    hang_up: bool = False  # close each connection after an answer
    url: str = ""
    _lines: WeakKeyDictionary[Any, Line] = field(default_factory=WeakKeyDictionary)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Sign in, then answer."""
        body = await request.read()
        line = self._lines.get(request.transport)
        if line is None:
            line = self._lines[request.transport] = Line(len(self._lines) + 1)
        scheme, _, text = request.headers.get("Authorization", "").partition(" ")
        self.legs.append((scheme, len(body)))
        if self.forget and line.user:
            self.forget, line.user, line.context = False, "", None
        if not line.user:
            refusal = self._sign_in(line, scheme.lower(), text)
            if refusal is not None:
                return refusal
        call = Call(self._operation(body), body.decode(), dict(request.headers), line.number, line.user, request.path)
        self.calls.append(call)
        if scheme.lower() in {"basic", "bearer"} or not self.persistent or self.in_one:
            line.user, line.context = "", None
        reply = self.answering(call)
        if isinstance(reply, web.StreamResponse):
            return reply
        if not isinstance(reply, Reply):
            reply = await reply
        if reply.status == 0:  # the answer is lost
            assert request.transport is not None
            request.transport.close()
        headers = {"request-id": "4f1f", **({"Persistent-Auth": self.persistent} if self.persistent else {}), **reply.headers}
        answer = web.Response(text=reply.text, status=reply.status or 200, content_type="text/xml", headers=headers)
        if self.hang_up:
            answer.force_close()
        return answer

    def _operation(self, body: bytes) -> str:
        try:
            root = etree.fromstring(body)
        except etree.XMLSyntaxError:
            return ""
        found = [each for each in root.iter(etree.Element) if each.getparent() is not None]
        inside = next((each[0] for each in found if etree.QName(each).localname == "Body" and len(each)), root)
        return etree.QName(inside).localname

    def _sign_in(self, line: Line, scheme: str, text: str) -> web.Response | None:
        if scheme == "basic" and "Basic realm" in " ".join(self.offers):
            user, _, password = base64.b64decode(text).decode().partition(":")
            if (user, password) == (USER, PASSWORD):
                line.user = user
                return None
        if scheme == "bearer" and text in self.tokens:
            line.user = "application"
            return None
        if scheme in {"ntlm", "negotiate"} and any(offer.lower() == scheme for offer in self.offers):
            return self._converse(line, scheme, base64.b64decode(text))
        return self._unauthorized(self.offers)

    def _converse(self, line: Line, scheme: str, token: bytes) -> web.Response | None:
        if self.in_one:
            line.user = "in one"
            return None
        if line.context is None:
            seen = b"tls-server-end-point:" + hashlib.sha256(certificate().der).digest()
            bound = GssChannelBindings(application_data=seen) if self.binds else None
            options = NegotiateOptions.use_ntlm if scheme == "ntlm" else NegotiateOptions.use_negotiate
            line.context = spnego.server(protocol=scheme, options=options, channel_bindings=bound)
        try:
            reply = line.context.step(token)
        except SpnegoError as refused:
            self.failed.append(type(refused).__name__)
            line.context = None
            return self._unauthorized(self.offers)
        if line.context.complete:
            self.handshakes += 1
            line.user = str(line.context.client_principal)
            return None
        name = next(offer for offer in self.offers if offer.lower() == scheme)
        others = [offer for offer in self.offers if offer != name]
        return self._unauthorized([f"{name} {base64.b64encode(reply).decode()}", *others])

    def _unauthorized(self, offers: Sequence[str]) -> web.Response:
        answer = web.Response(status=401, text="<html>401.1</html>", content_type="text/html")
        for offer in offers:
            answer.headers.add("WWW-Authenticate", offer)
        return answer


@contextmanager
def accounts(*lines: str) -> Iterator[None]:
    """Tell pyspnego's server side whom it knows."""
    before = os.environ.get("NTLM_USER_FILE")
    with TemporaryDirectory() as folder:
        file = Path(folder) / "accounts"
        file.write_text("".join(f"{line}\n" for line in lines or (f"FIRM:svc:{PASSWORD}", "FIRM:other:Anders-456")))
        os.environ["NTLM_USER_FILE"] = str(file)
        try:
            yield
        finally:
            os.environ.pop("NTLM_USER_FILE", None)
            if before is not None:
                os.environ["NTLM_USER_FILE"] = before


@contextmanager
def logged() -> Iterator[list[Any]]:
    """Collect what is logged, from the level an administrator sees by default."""
    before = structlog.get_config()["wrapper_class"]
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.INFO))
    try:
        with capture_logs() as lines:
            yield lines
    finally:
        structlog.configure(wrapper_class=before)


@asynccontextmanager
async def serving(server: IIS, *, tls: bool = False, handler: Any = None) -> AsyncIterator[IIS]:
    """Run the server on loopback; its address is `url`."""
    application = web.Application(client_max_size=1 << 24)
    application.router.add_route("*", "/{path:.*}", handler or server.handle)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    context: ssl.SSLContext | None = certificate().context() if tls else None
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    server.url = f"{'https' if tls else 'http'}://127.0.0.1:{runner.addresses[0][1]}"
    try:
        with accounts():
            yield server
    finally:
        await runner.cleanup()


def login(url: str, *, method: str = "ntlm", user: str = USER, password: str = PASSWORD, **more: Any) -> Login:
    """Give a login to a server of these tests."""
    auth: dict[str, str | Secret] = {"username": user, "password": Secret(password), **more.pop("auth", {})}
    if method:
        auth["method"] = method
    options = {name: str(value) for name, value in more.pop("options", {}).items()}
    return Login("ews", url, auth, ca_pem=certificate().ca_pem, options=options, **more)


@asynccontextmanager
async def forwarding(places: Mapping[str, int], plain: Mapping[str, str] | None = None) -> AsyncIterator[str]:
    """Run a proxy that knows some hosts (`name:port` -> a port of this machine) and no others; give its address.

    plain: places asked for without encryption -> where they redirect to.
    """
    pumps: set[asyncio.Task[None]] = set()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except (ConnectionError, ssl.SSLError):
            return
        finally:
            writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()
            return
        verb, target, _ = head.split("\r\n")[0].split(" ")
        if verb == "CONNECT" and target in places:
            inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", places[target])
            writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
            for one in (pump(reader, inner_writer), pump(inner_reader, writer)):
                task = asyncio.create_task(one)
                pumps.add(task)
                task.add_done_callback(pumps.discard)
            return
        location = (plain or {}).get(target)
        writer.write(
            f"HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode()
            if location
            else b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
        )
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in tuple(pumps):
            task.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)
