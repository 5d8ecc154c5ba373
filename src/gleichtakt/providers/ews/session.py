"""One login's way to an Exchange server: where it is, which version it is, and calls that bring back an element or a trouble.

What is remembered here only saves requests; nothing of it has to survive. A call is sent once: what could be repeated
safely is the caller's to know. Mailboxes are named in no log line.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from typing import Final
from uuid import uuid4

import aiohttp
import structlog
from lxml import etree

from gleichtakt.errors import Ambiguous, Permanent, Scope, Throttled, Transient, Trouble
from gleichtakt.providers.clock import TheirClock
from gleichtakt.providers.ews import faults, versions
from gleichtakt.providers.ews.autodiscover import Autodiscover, Found, given
from gleichtakt.providers.ews.budgets import Budget, Budgets
from gleichtakt.providers.ews.signin import Line, Lines, method_of, offers_of
from gleichtakt.providers.ews.versions import Version
from gleichtakt.providers.ews.wire import soap
from gleichtakt.providers.protocol import Login
from gleichtakt.providers.transport import Answer, origin_of, trouble_of

log = structlog.get_logger(__name__)

Element = etree._Element

IMPERSONATION: Final = "impersonation"
AT_ONCE: Final = 3  # requests at once for one mailbox under impersonation
AT_ONCE_ACCOUNT: Final = 8  # for one account otherwise: a server of 2010 allows ten
CONNECTIONS: Final = 20  # of one login, streams aside
_MESSAGES: Final = "http://schemas.microsoft.com/exchange/services/2006/messages"
#: Asks for nobody: servers of every version answer it at once, even to an account without a mailbox.
_PROBE: Final = (
    b'<m:ResolveNames ReturnFullContactData="false"><m:UnresolvedEntry>gleichtakt</m:UnresolvedEntry></m:ResolveNames>'
)


@dataclass(slots=True)
class Affinity:
    """A group of mailboxes that one back end serves: whom requests are anchored at, and the cookies that keep them there."""

    anchor: str
    cookies: dict[str, str] = field(default_factory=dict)

    def headers(self) -> dict[str, str]:
        """Give what each request of the group carries."""
        kept = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        return {"X-AnchorMailbox": self.anchor, "X-PreferServerAffinity": "true"} | ({"Cookie": kept} if kept else {})

    def hear(self, set_cookies: Sequence[str]) -> None:
        """Keep the cookies of an answer; one that cannot be read says nothing."""
        for text in set_cookies:
            try:
                read = SimpleCookie(text)
            except CookieError:
                continue
            self.cookies.update({name: morsel.coded_value for name, morsel in read.items()})


def _number(login: Login, name: str, usual: int) -> int:
    text = login.options.get(name, "").strip()
    return max(1, int(text)) if text.isdigit() else usual


class Session:
    """Calls of one login.

    Options of the connection: `concurrency` (requests at once per mailbox under impersonation, else per account),
    `connections` (of all), `approved_hosts`, `channel_binding` (`off` where a proxy makes it impossible), `proxy`.
    """

    def __init__(self, login: Login) -> None:
        """Keep the login; connect when first needed. Raises Permanent for a sign-in method Exchange does not have."""
        self.login, self.clock = login, TheirClock()
        self.impersonates = login.access == IMPERSONATION
        self.method = method_of(login)
        self.lines = Lines(login, _number(login, "connections", CONNECTIONS))
        usual = AT_ONCE if self.impersonates else AT_ONCE_ACCOUNT
        self.budgets = Budgets(not self.impersonates, _number(login, "concurrency", usual))
        self.autodiscover = Autodiscover(login, self.lines)
        self._found: Found | None = None
        self._version: Version | None = None
        self._versions: dict[str, Version] = {}  # of mailboxes that lie on a server of another version
        self._build = ""
        self._learning = asyncio.Lock()

    async def close(self) -> None:
        """Let go of connections."""
        await self.lines.close()

    # --- where, and what

    async def endpoint(self, mailbox: str = "") -> Found:
        """Give where the service is: as the connection says, else by Autodiscover, looked up once."""
        if self._found is None:
            async with self._learning:
                if self._found is None:
                    found = given(self.login) or await self.autodiscover.find(mailbox)
                    log.info("endpoint_found", host=origin_of(found.url)[1], by=found.by)
                    self._found = found
        return self._found

    async def version(self, mailbox: str = "") -> Version:
        """Give the version of the server, asked for once; of one mailbox where that lies on another one."""
        known = self._versions.get(mailbox.lower()) or self._version
        if known is not None:
            return known
        found = await self.endpoint(mailbox)
        async with self._learning:
            return self._version or await self._ask_version(found, mailbox)

    async def offered(self) -> tuple[str, ...]:
        """Give the sign-in methods the server offers, without signing in."""
        return await offers_of(self.login, (await self.endpoint()).url)

    async def groups(self, mailboxes: Sequence[str]) -> Mapping[str, str]:
        """Give for each mailbox the group of those that one back end serves; empty where that cannot be learnt."""
        found = await self.endpoint(next(iter(mailboxes), ""))
        return await self.autodiscover.groups(found, mailboxes)

    async def _ask_version(self, found: Found, mailbox: str) -> Version:
        """Ask in the oldest version, which all understand; from the newest down where the answer does not tell the build."""
        actor = mailbox if self.method in {"bearer", "oauth_app"} else ""  # an application is nobody without a mailbox
        for number, schema in enumerate((versions.OLDEST, *versions.LADDER)):
            header = soap.Header(schema, self._acting_for(actor))
            async with self.budgets.turn(actor, found.host) as budget:
                answer = await self._exchange(found, "ResolveNames", _PROBE, header, budget, mailbox=actor)
            if self._version is not None:
                return self._version
            try:
                soap.read(answer.body)
            except soap.Fault as fault:
                if fault.code not in faults.VERSION_REFUSED:
                    raise self._trouble(fault, answer, budget) from None
                continue
            except soap.NotSoap as broken:
                raise _not_ews(found.host, str(broken)) from None
            if number:
                return self._connected(versions.least(schema), found)
        raise Transient("ews.other_version", Scope.ACCOUNT, host=found.host, reason="ErrorInvalidServerVersion")

    def _connected(self, version: Version, found: Found) -> Version:
        self._version = version
        log.info("connected", host=found.host, server=version.shown, method=self.method)
        return version

    def _learn(self, told: str, found: Found, mailbox: str) -> None:
        """Take note of the build an answer tells, of the server or of one mailbox. Raises for those we do not speak to."""
        if told == self._build:
            if self._versions:
                self._versions.pop(mailbox.lower(), None)
            return
        version = versions.read(told)
        if version is None:
            return
        if version.is_online:
            raise Permanent("ews.exchange_online", Scope.ACCOUNT, host=found.host)
        if version.is_too_old:
            raise Permanent("ews.too_old", Scope.ACCOUNT, host=found.host, version=version.shown)
        if self._version is None or not self._version.told:
            self._build = told
            self._connected(version, found)
        elif version.schema == self._version.schema:  # another server of the same house, or an update since
            self._versions.pop(mailbox.lower(), None)
        elif mailbox:
            self._versions[mailbox.lower()] = version
        else:
            self._version, self._build = version, told

    # --- calls

    async def call(
        self,
        operation: str,
        body: bytes,
        *,
        mailbox: str,
        writes: bool = False,
        affinity: Affinity | None = None,
        zone: str = "",
    ) -> Element:
        """Make one call and give the element of its answer, in which single parts may still have failed.

        mailbox: whom the call is about; impersonated where the login does that. zone: Windows id for readings without
        an offset. Raises a `Trouble` when the whole call failed; after a write whose answer was lost, `Ambiguous`.
        """
        found = await self.endpoint(mailbox)
        version = await self.version(mailbox)
        header = soap.Header(version.schema, self._acting_for(mailbox), zone)
        async with self.budgets.turn(mailbox, found.host) as budget:
            answer = await self._exchange(
                found, operation, body, header, budget, mailbox=mailbox, writes=writes, affinity=affinity
            )
            return self._read(answer, budget, mailbox, writes=writes)

    async def stream(
        self, operation: str, body: bytes, *, mailbox: str, affinity: Affinity | None = None
    ) -> AsyncIterator[Element]:
        """Make one call whose answer comes in pieces, and yield the element of each as it comes.

        It has a connection of its own, which counts for no budget. Codes inside the pieces are the caller's to read.
        Raises a `Trouble` when the server refuses, falls silent or breaks off; ends when the server ends.
        """
        found = await self.endpoint(mailbox)
        version = await self.version(mailbox)
        header = soap.Header(version.schema, self._acting_for(mailbox))
        budget = self.budgets.of(mailbox)
        await self.budgets.ready(budget, found.host)
        headers = {**_headers(operation, mailbox, affinity), "Accept-Encoding": "identity"}
        line = self.lines.new(total_seconds=None)
        try:
            async with line.post(found.url, soap.envelope(body, header), headers) as response:
                if response.status != 200:
                    answer = await self._answer(line, response, found, budget, affinity)
                    yield self._read(answer, budget, mailbox, writes=False, is_stream=True)
                    return
                self._hear(response, affinity)
                async for data in _pieces(response, found.host):
                    answer = Answer(response.status, response.headers, data, found.url)
                    yield self._read(answer, budget, mailbox, writes=False, is_stream=True)
        finally:
            await line.close()

    def _acting_for(self, mailbox: str) -> str:
        return mailbox if self.impersonates else ""

    async def _exchange(
        self,
        found: Found,
        operation: str,
        body: bytes,
        header: soap.Header,
        budget: Budget,
        *,
        mailbox: str,
        writes: bool = False,
        affinity: Affinity | None = None,
    ) -> Answer:
        """Send one call and give its answer where that is an envelope. Raises what the HTTP status says otherwise."""
        headers = _headers(operation, mailbox, affinity)
        async with (
            self.lines.one() as line,
            line.post(found.url, soap.envelope(body, header), headers, writes=writes) as response,
        ):
            answer = await self._answer(line, response, found, budget, affinity, writes=writes)
        self._learn(soap.server_version(answer.body), found, mailbox)
        return answer

    async def _answer(
        self,
        line: Line,
        response: aiohttp.ClientResponse,
        found: Found,
        budget: Budget,
        affinity: Affinity | None,
        *,
        writes: bool = False,
    ) -> Answer:
        self._hear(response, affinity)
        body = await line.transport.read(response, writing=writes)
        answer = Answer(response.status, response.headers, body, found.url)
        if answer.status == 200 or b"Envelope" in answer.body[:1024]:
            return answer
        trouble = _trouble_of_status(answer, writes=writes, scope=self.budgets.scope)
        if isinstance(trouble, Throttled):
            self._rest(budget, trouble)
        raise trouble

    def _hear(self, response: aiohttp.ClientResponse, affinity: Affinity | None) -> None:
        self.clock.hear_date(response.headers.get("Date"))
        if affinity is not None:
            affinity.hear(response.headers.getall("Set-Cookie", []))

    # --- answers

    def _read(self, answer: Answer, budget: Budget, mailbox: str, *, writes: bool, is_stream: bool = False) -> Element:
        """Give the element of an answer. Raises a fault, and codes of its parts where these speak of the whole call."""
        try:
            element = soap.read(answer.body)
        except soap.Fault as fault:
            if fault.code in faults.VERSION_REFUSED:
                self._step_down(mailbox)
            raise self._trouble(fault, answer, budget, writes=writes) from None
        except soap.NotSoap as broken:
            raise _not_ews(answer.host, str(broken), writes=writes) from None
        outcomes = soap.outcomes(element)
        troubles = [self._trouble(each, answer, budget, writes=writes, is_part=True) for each in outcomes if each.is_error]
        if len(troubles) == len(outcomes) and all(_is_whole(each, is_stream=is_stream) for each in troubles):
            raise troubles[0]
        return element

    def _trouble(
        self, said: soap.Fault | soap.Outcome, answer: Answer, budget: Budget, *, writes: bool = False, is_part: bool = False
    ) -> Trouble:
        """Classify a refusal and draw from it what concerns the calls that follow."""
        now = self.budgets.now()
        request = answer.headers.get("request-id", "")
        trouble = faults.trouble(
            said.code,
            said.params,
            host=answer.host,
            now=now,
            writes=writes,
            least=Scope.SERIES if is_part or writes else Scope.CALENDAR,
            budget=self.budgets.scope,
            detail=f"request-id {request}" if request else "",
        )
        if isinstance(trouble, Throttled):
            self._rest(budget, trouble)
        if said.code in faults.CROWDED:
            budget.lower(now)
        if said.code in faults.MOVED and self._found is not None and not self._found.is_given:
            self._found = None
        return trouble

    def _rest(self, budget: Budget, trouble: Throttled) -> None:
        if self.budgets.pause(budget, trouble.until):
            rests = "account" if self.budgets.is_shared else "mailbox"
            log.warning("paused_by_server", until=trouble.until.isoformat(timespec="seconds"), rests=rests, code=trouble.detail)

    def _step_down(self, mailbox: str) -> None:
        """Speak the next older version to a mailbox, until its answers tell which one it is."""
        known = self._versions.get(mailbox.lower()) or self._version
        if known is not None and known.schema != versions.OLDEST:
            older = versions.LADDER[versions.LADDER.index(known.schema) + 1]
            self._versions[mailbox.lower()] = versions.least(older)


def _headers(operation: str, mailbox: str, affinity: Affinity | None) -> dict[str, str]:
    """Give the headers of a call. An administrator finds it in the server's log by its client-request-id."""
    headers = {
        "Content-Type": soap.CONTENT_TYPE,
        "Accept": "text/xml",
        "SOAPAction": f'"{_MESSAGES}/{operation}"',
        "client-request-id": str(uuid4()),
        "return-client-request-id": "true",
    }
    if affinity is not None:
        return headers | affinity.headers()
    return headers | ({"X-AnchorMailbox": mailbox} if mailbox.isprintable() and mailbox else {})


async def _pieces(response: aiohttp.ClientResponse, host: str) -> AsyncIterator[bytes]:
    """Cut a streamed answer into its envelopes. Raises Transient when it ends in the middle of one."""
    cutter = soap.Envelopes()
    try:
        async for chunk in response.content.iter_any():
            for data in cutter.feed(chunk):
                yield data
    except soap.NotSoap as broken:
        raise _not_ews(host, str(broken)) from None
    if cutter.rest:
        raise Transient("general.broken_off", Scope.CALENDAR, host=host)


def _is_whole(trouble: Trouble, *, is_stream: bool) -> bool:
    """Say whether a trouble of each part speaks of the call: of the mailbox or the account, not of one object."""
    return isinstance(trouble, Throttled) or (trouble.scope is not Scope.SERIES and not is_stream)


def _not_ews(host: str, reason: str, *, writes: bool = False) -> Trouble:
    return (Ambiguous if writes else Transient)("ews.not_ews", Scope.ACCOUNT, host=host, reason=reason[:160])


def _trouble_of_status(answer: Answer, *, writes: bool, scope: Scope) -> Trouble:
    """Classify an answer that is no envelope. scope: of a request to slow down."""
    if answer.status in {403, 456, 457}:
        return Permanent("ews.disabled", Scope.CALENDAR, host=answer.host, detail=f"HTTP {answer.status}")
    if answer.status in {404, 405, 410}:
        return Permanent("ews.not_ews", Scope.ACCOUNT, host=answer.host, reason=f"HTTP {answer.status}")
    trouble = trouble_of(answer, writing=writes)
    if isinstance(trouble, Throttled):
        return faults.throttled(trouble.until, scope, answer.host)
    return trouble
