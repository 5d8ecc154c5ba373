"""The simulated server on the network: EWS and Autodiscover over HTTP, with every fault on demand."""

from __future__ import annotations

import asyncio
import ssl
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from email.utils import format_datetime
from itertools import count
from uuid import uuid4
from weakref import WeakKeyDictionary

from aiohttp import web
from lxml import etree

from gleichtakt.simulators.control import serving
from gleichtakt.simulators.exchange import soap, versions
from gleichtakt.simulators.exchange.autodiscover import POX_PATH, SOAP_PATH, answer_pox, answer_soap
from gleichtakt.simulators.exchange.control import control_of
from gleichtakt.simulators.exchange.faults import Fault
from gleichtakt.simulators.exchange.notifications import Routed
from gleichtakt.simulators.exchange.operations import Refused
from gleichtakt.simulators.exchange.organization import Entry, Exchange
from gleichtakt.simulators.exchange.signin import Account

EWS_PATH = "/ews/exchange.asmx"
TOKEN_PATH = "/adfs/oauth2/token"  # noqa: S105  # a path
MOST_STREAMED = 1_000_000  # characters of a stream that are kept
AFFINITY_COOKIE = "X-BackEndOverrideCookie"
STREAMING = "GetStreamingEvents"
HEADERS: web.RequestKey[dict[str, str]] = web.RequestKey("headers", dict)
#: Operation -> the element of its request that holds one part for each response message.
_PARTS: Mapping[str, str] = {
    "CreateItem": "m:Items",
    "UpdateItem": "m:ItemChanges",
    "DeleteItem": "m:ItemIds",
    "GetItem": "m:ItemIds",
    "GetFolder": "m:FolderIds",
    "ConvertId": "m:SourceIds",
}
#: Operation -> the element its response message must have even where it says no.
_EMPTY: Mapping[str, str] = {"CreateItem": "Items", "UpdateItem": "Items", "GetItem": "Items", "GetFolder": "Folders"}
#: Operations whose answers have a response message, in which a busy server may say so.
_SPLIT = frozenset(_PARTS) | {"SyncFolderItems", "FindItem", "FindFolder", "Subscribe", "GetEvents", "ResolveNames"}
_WHILE_STREAMING = frozenset({"cut", "delay"})
_ANSWERS_BROKEN = frozenset({"lost", "status", "garbage"})


@dataclass(slots=True)
class Answer:
    """What goes back."""

    data: bytes
    status: int = 200
    content_type: str = soap.CONTENT_TYPE


class Server:
    """The handlers, bound to one simulated Exchange."""

    def __init__(self, exchange: Exchange) -> None:
        """Serve it."""
        self.exchange = exchange
        self._numbers: WeakKeyDictionary[asyncio.BaseTransport, int] = WeakKeyDictionary()
        self._count = count(1)
        self._ways: Mapping[str, Callable[[web.Request, Entry, bytes, Account], Awaitable[web.StreamResponse]]] = {
            EWS_PATH: self._ews,
            POX_PATH: self._pox,
            SOAP_PATH: self._soap,
        }

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request: sign-in, then what was asked."""
        exchange, path, transport = self.exchange, request.path.lower(), request.transport
        if transport is None:
            return web.Response(status=500)
        data = await request.read()
        if path == TOKEN_PATH:
            return await self._token(request)
        if path not in self._ways:
            return web.Response(status=404)
        entry = self._entered(request, transport)
        if path == POX_PATH and request.method == "GET" and exchange.habits.redirect:
            entry.status = 302
            return web.Response(status=302, headers={"Location": exchange.habits.redirect})
        shown = exchange.door.enter(request.headers.get("Authorization", ""), transport)
        if shown.account is None:
            entry.status = 401
            response = web.Response(status=401)
            for challenge in shown.challenges:
                response.headers.add("WWW-Authenticate", challenge)
            return response
        entry.account = shown.account.username
        request[HEADERS] = {**self._told(request), **shown.headers}
        answer = await self._ways[path](request, entry, data, shown.account)
        if not answer.prepared:
            answer.headers.update(request[HEADERS])
            entry.status = answer.status
        return answer

    def _entered(self, request: web.Request, transport: asyncio.BaseTransport) -> Entry:
        number = self._numbers.get(transport) or self._numbers.setdefault(transport, next(self._count))
        entry = Entry(
            self.exchange.simulator.clock.now().isoformat(),
            request.path,
            number,
            anchor=request.headers.get("X-AnchorMailbox", ""),
            user_agent=request.headers.get("User-Agent", ""),
            client_request_id=request.headers.get("client-request-id", ""),
        )
        self.exchange.ledger.append(entry)
        return entry

    def _told(self, request: web.Request) -> Mapping[str, str]:
        told = {
            "Date": format_datetime(self.exchange.simulator.clock.now(), usegmt=True),
            "request-id": str(uuid4()),
            "X-FEServer": self.exchange.door.host,
        }
        if request.headers.get("return-client-request-id", "").lower() == "true":
            told["client-request-id"] = request.headers.get("client-request-id", "")
        return told

    # --- what is asked

    async def _token(self, request: web.Request) -> web.Response:
        asked = await request.post()
        token = self.exchange.door.issue(str(asked.get("client_id", "")), str(asked.get("client_secret", "")))
        if asked.get("grant_type") != "client_credentials" or not token:
            return web.json_response({"error": "invalid_client"}, status=400)
        return web.json_response({"access_token": token, "token_type": "bearer", "expires_in": 3600})

    async def _pox(self, request: web.Request, entry: Entry, data: bytes, account: Account) -> web.StreamResponse:
        return await self._discovered(request, entry, data, answer_pox)

    async def _soap(self, request: web.Request, entry: Entry, data: bytes, account: Account) -> web.StreamResponse:
        return await self._discovered(request, entry, data, answer_soap)

    async def _discovered(
        self, request: web.Request, entry: Entry, data: bytes, answered: Callable[[Exchange, bytes], str]
    ) -> web.StreamResponse:
        entry.operation = "Autodiscover"
        if not self.exchange.habits.is_autodiscover_on:
            return web.Response(status=404)
        struck = self._struck(entry, data)
        return await self._sent(request, entry, Answer(answered(self.exchange, data).encode()), struck)

    async def _ews(self, request: web.Request, entry: Entry, data: bytes, account: Account) -> web.StreamResponse:
        exchange = self.exchange
        if not exchange.habits.is_ews_on:
            return web.Response(status=403)
        if request.method != "POST":
            return web.Response(text="<html><body>Exchange Web Services</body></html>", content_type="text/html")
        if exchange.habits.keeps_texts:
            entry.request = data.decode("utf-8", "replace")
        try:
            asked = soap.read(data)
        except ValueError as broken:
            return await self._sent(request, entry, self._fault(entry, versions.invalid(str(broken))), [])
        entry.operation = asked.name.removesuffix("Request")
        entry.is_impersonated = bool(asked.impersonated[0])
        entry.mailbox = asked.impersonated[1] if entry.is_impersonated else account.address
        struck = self._struck(entry, data)
        try:
            call = self._call(request, entry, asked, account)
            owner = entry.mailbox if entry.is_impersonated else account.username
            if entry.operation == STREAMING:
                return await self._stream(request, entry, call, asked.operation, owner, struck)
            with exchange.throttle.spending(owner):
                answer = Answer(soap.answer(self._carried_out(entry, call, asked.operation, struck), exchange.header()))
                return await self._sent(request, entry, answer, struck)
        except Refused as refused:
            return await self._sent(request, entry, self._refusal(entry, refused), struck)

    def _struck(self, entry: Entry, data: bytes) -> list[Fault]:
        if not self.exchange.faults.rules:
            return []
        return self.exchange.faults.take(entry.operation, entry.mailbox, data.decode("utf-8", "replace"))

    def _call(self, request: web.Request, entry: Entry, asked: soap.Request, account: Account) -> Routed:
        exchange = self.exchange
        version = entry.version = versions.agreed(asked, exchange.release)
        versions.check(asked, version)
        if entry.is_impersonated:
            entry.mailbox = exchange.impersonated(account, *asked.impersonated)
        entry.backend = self._backend(request, entry)
        return Routed(
            exchange.simulator,
            account.address,
            entry.mailbox,
            version,
            exchange.simulator.clock,
            versions.context(asked, version),
            account=account.username,
            backend=entry.backend,
        )

    def _backend(self, request: web.Request, entry: Entry) -> int:
        """Give the server a request reaches: the one of the cookie, else that of the anchor, else that of the mailbox."""
        wanted = request.cookies.get(AFFINITY_COOKIE, "").rpartition("~")[2]
        if _prefers_affinity(request) and wanted.isdigit() and int(wanted) < self.exchange.habits.backends:
            return int(wanted)
        return self.exchange.backend_of(entry.anchor or entry.mailbox)

    # --- carrying out

    def _carried_out(self, entry: Entry, call: Routed, operation: etree._Element, struck: list[Fault]) -> etree._Element:
        refusing = next((fault for fault in struck if fault.do == "fault"), None)
        broken = next((fault for fault in struck if fault.do in _ANSWERS_BROKEN), None)
        if any(fault is not None and not fault.effect for fault in (refusing, broken)):
            made = soap.message(f"{entry.operation}Response")
        else:
            made = self._in_parts(entry, call, operation, [fault for fault in struck if fault.do == "item"])
        if refusing is not None:
            raise refusing.refusal()
        entry.codes = tuple(code.text or "" for code in made.iter(soap.m("ResponseCode")) if code.text != "NoError")
        return made

    def _in_parts(self, entry: Entry, call: Routed, operation: etree._Element, faults: list[Fault]) -> etree._Element:
        if not faults:
            return self._run(call, operation)
        container = operation.find(_PARTS.get(entry.operation, "m:none"), soap.NAMESPACES)
        parts = list(container) if container is not None else [operation]
        hit = {place: fault for place, part in enumerate(parts) for fault in faults if _strikes(fault, place, part)}
        left = [part for place, part in enumerate(parts) if place not in hit or hit[place].effect]
        if container is not None:
            container[:] = left
        made = self._run(call, operation) if left else soap.responses(entry.operation)
        messages = made.find("m:ResponseMessages", soap.NAMESPACES)
        for place, fault in sorted(hit.items()):
            if messages is None:
                raise fault.refusal()
            messages[place : place + fault.effect] = [_said_no(entry.operation, fault.refusal())]
        return made

    def _run(self, call: Routed, operation: etree._Element) -> etree._Element:
        name = soap.local(operation)
        run = self.exchange.operations.get(name.removesuffix("Request"))
        if run is None:
            raise versions.invalid(f"The operation '{name}' is not known.")
        return run(call, operation)

    def _refusal(self, entry: Entry, refused: Refused) -> Answer:
        if refused.code == "ErrorServerBusy" and self.exchange.habits.busy_in_message and entry.operation in _SPLIT:
            made = soap.responses(entry.operation, _said_no(entry.operation, refused))
            entry.codes = (refused.code,)
            return Answer(soap.answer(made, self.exchange.header()))
        return self._fault(entry, refused)

    def _fault(self, entry: Entry, refused: Refused) -> Answer:
        entry.codes = (refused.code,)
        return Answer(soap.fault(refused, self.exchange.header()), 500)

    # --- sending

    async def _sent(self, request: web.Request, entry: Entry, answer: Answer, struck: list[Fault]) -> web.StreamResponse:
        kinds = {fault.do: fault for fault in struck}
        if "delay" in kinds:
            await asyncio.sleep(kinds["delay"].seconds)
        if "lost" in kinds:
            return _break(request)
        if "status" in kinds:
            fault = kinds["status"]
            return web.Response(status=fault.status, headers=fault.headers, text=fault.body)
        if "garbage" in kinds:
            return web.Response(status=answer.status, text=kinds["garbage"].body, content_type="text/html")
        if self.exchange.habits.keeps_texts:
            entry.answer = answer.data.decode("utf-8", "replace")
        if "spoil" in kinds:
            answer.data = answer.data.replace(b"</s:Body>", b"\x1a&#x11;\xef\xbf\xbf</s:Body>")
        response = web.Response(body=answer.data, status=answer.status, headers={"Content-Type": answer.content_type})
        if "cut" in kinds:
            return await _cut(request, response, answer.data, kinds["cut"].count)
        if entry.operation == "Subscribe" and _prefers_affinity(request):
            response.set_cookie(AFFINITY_COOKIE, f"{self.exchange.door.host}~{entry.backend}", path="/", httponly=True)
        return response

    async def _stream(
        self, request: web.Request, entry: Entry, call: Routed, operation: etree._Element, owner: str, struck: list[Fault]
    ) -> web.StreamResponse:
        exchange, header = self.exchange, self.exchange.header()
        if any(fault.do not in _WHILE_STREAMING for fault in struck):
            without = [replace(fault, effect=False) for fault in struck]  # listening has no effect
            made = self._carried_out(entry, call, operation, without)
            return await self._sent(request, entry, Answer(soap.answer(made, header)), without)
        await asyncio.sleep(sum(fault.seconds for fault in struck if fault.do == "delay"))
        told = request[HEADERS]
        told["Content-Type"] = soap.CONTENT_TYPE
        response = web.StreamResponse(headers=told)
        response.enable_chunked_encoding()
        left = next((fault.count for fault in struck if fault.do == "cut"), sys.maxsize)
        exchange.throttle.count(owner)
        with exchange.throttle.hanging(owner):
            async with aclosing(exchange.notifications.stream(call, operation)) as answers:
                try:
                    async for made in answers:
                        if not response.prepared:
                            await response.prepare(request)
                            entry.status = 200
                        data = soap.answer(made, header)
                        if exchange.habits.keeps_texts and len(entry.answer) < MOST_STREAMED:
                            entry.answer += data.decode()
                        await response.write(data[:left])
                        left -= len(data)
                        if left <= 0:
                            return _break(request)
                except ConnectionError:  # cut on demand, or the client is gone, and with it what it did not read
                    return _break(request)
        return response


def _said_no(operation: str, refused: Refused) -> etree._Element:
    made = soap.error_message(f"{operation}ResponseMessage", refused)
    if operation in _EMPTY:
        soap.add(made, soap.m(_EMPTY[operation]))
    return made


def _strikes(fault: Fault, place: int, part: etree._Element) -> bool:
    return fault.strikes(place, etree.tostring(part, encoding="unicode"))


def _prefers_affinity(request: web.Request) -> bool:
    return request.headers.get("X-PreferServerAffinity", "").lower() == "true"


def _break(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)


async def _cut(request: web.Request, response: web.Response, data: bytes, count: int) -> web.StreamResponse:
    told = request[HEADERS]
    told["Content-Type"] = response.content_type
    broken = web.StreamResponse(status=response.status, headers=told)
    broken.content_length = len(data)
    await broken.prepare(request)
    await broken.write(data[: count or len(data) // 2])
    if request.transport is not None:
        request.transport.close()
    return broken


@dataclass(frozen=True, slots=True)
class Running:
    """A simulated Exchange that answers. url: of EWS; control: address of its control interface; root: of the server."""

    exchange: Exchange
    url: str
    control: str
    root: str


@asynccontextmanager
async def start(
    exchange: Exchange | None = None,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    tls: ssl.SSLContext | None = None,
    certificate: bytes = b"",
) -> AsyncIterator[Running]:
    """Run a simulated Exchange in this event loop until the block ends. Port 0: any free one.

    certificate: of *tls* (DER), to which sign-ins may be bound.
    """
    held = exchange or Exchange()
    held.door.certificate = certificate
    routes = [*control_of(held).routes(), web.route("*", "/{path:.*}", Server(held).handle)]
    async with serving(routes, host=host, port=port, tls=tls, cancels=True) as root:
        held.url = f"{root}/EWS/Exchange.asmx"
        try:
            yield Running(held, held.url, f"{root}/_sim/", root)
        finally:
            await held.notifications.close()
