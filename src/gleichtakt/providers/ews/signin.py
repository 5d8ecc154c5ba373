"""Signing in to Exchange: NTLM and Negotiate, which sign in a connection, and Basic and tokens, which sign in a request.

A Windows sign-in belongs to one TCP connection, so each `Line` is one connection of one account, never shared; its first
question has no body, and what is sent with a body is sent once. The login is bound to the certificate that was seen on
that very connection, which is what Extended Protection asks for. Basic is used only where the connection says so.
Sources: MS-NTHT (NTLM over HTTP), RFC 4559 (Negotiate), RFC 5929 §4 (tls-server-end-point), RFC 6749 §4.4 (tokens).
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import json
import re
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any, Final, Protocol
from urllib.parse import urlencode, urlsplit

import aiohttp
import spnego
from spnego.channel_bindings import GssChannelBindings
from spnego.exceptions import NegotiateOptions, SpnegoError

from gleichtakt.errors import AuthRequired, Permanent, Scope, Transient
from gleichtakt.providers.protocol import Login
from gleichtakt.providers.transport import TOTAL_SECONDS, Answer, Transport, authorization, origin_of, revealed, trouble_of

WINDOWS: Final = ("ntlm", "negotiate")
METHODS: Final = (*WINDOWS, "basic", "bearer", "oauth_app")
#: Below the two minutes after which IIS closes an unused connection, so that we are the first to let go.
IDLE_SECONDS: Final = 100.0
TOKEN_SPARE_SECONDS: Final = 60.0  # a token is renewed this long before its end
_TRIES: Final = 3
_REFUSAL_MOST: Final = 256 * 1024  # bytes of a refusal read to keep its connection


def method_of(login: Login) -> str:
    """Give the sign-in method; NTLM where none is named. Raises for one that Exchange does not have."""
    method = revealed(login.auth.get("method")) or "ntlm"
    if method not in METHODS:
        raise Permanent("ews.method_unknown", Scope.ACCOUNT, method=method, known=", ".join(METHODS))
    return method


def user_of(login: Login) -> str:
    """Give the user name as Windows takes it: with the domain where one is given beside it."""
    user, domain = revealed(login.auth.get("username")), revealed(login.auth.get("domain"))
    return f"{domain}\\{user}" if domain and not {"\\", "@"} & set(user) else user


_PIECE = re.compile(r'(?:[^,"]|"(?:\\.|[^"\\])*")+')  # between commas, save those inside quotes


# --- what a server asks for ---------------------------------------------------------------------------------------


def offered(headers: Sequence[str]) -> dict[str, bytes]:
    """Read WWW-Authenticate, which may come once or many times: methods in lower case, each with its token if it has one."""
    found: dict[str, bytes] = {}
    for value in headers:
        for part in _challenges(value):
            scheme, _, rest = part.partition(" ")
            token = _token(rest)
            if token or scheme.lower() not in found:
                found[scheme.lower()] = token
    return found


def _challenges(value: str) -> list[str]:
    """Split a header that names several methods; parameters of one (`realm="…"`) stay with it."""
    parts: list[str] = []
    for piece in filter(None, (each.strip() for each in _PIECE.findall(value))):
        if parts and "=" in piece.partition(" ")[0]:
            parts[-1] += f", {piece}"
        else:
            parts.append(piece)
    return parts


def _token(text: str) -> bytes:
    try:
        return base64.b64decode(text.strip(), validate=True)
    except (ValueError, binascii.Error):
        return b""


def end_point(certificate: bytes) -> bytes:
    """Give the channel binding of a server's certificate (DER): its hash by the algorithm it was signed with.

    MD5 and SHA-1 count as SHA-256, and so does an algorithm that has no hash of its own.
    """
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm

    try:
        named = x509.load_der_x509_certificate(certificate).signature_hash_algorithm
    except UnsupportedAlgorithm:
        named = None
    name = "sha256" if named is None or named.name in {"md5", "sha1"} else named.name
    return b"tls-server-end-point:" + hashlib.new(name, certificate).digest()


class Heard(aiohttp.ClientResponse):
    """An answer that remembers its connection, which aiohttp lets go of as soon as the body is complete."""

    line: asyncio.Transport | None = None

    async def start(self, connection: Any) -> aiohttp.ClientResponse:
        """Note the connection before reading from it."""
        self.line = connection.transport
        return await super().start(connection)


@dataclass(frozen=True, slots=True)
class Challenge:
    """A 401: what the server offers, over which connection, and the certificate (DER) seen there."""

    offers: Mapping[str, bytes]
    line: asyncio.Transport | None
    certificate: bytes = b""

    @classmethod
    def of(cls, response: aiohttp.ClientResponse) -> Challenge:
        """Read a refusal."""
        line = response.line if isinstance(response, Heard) else None
        inner = line.get_extra_info("ssl_object") if line is not None else None
        certificate = (inner.getpeercert(binary_form=True) or b"") if inner is not None else b""
        return cls(offered(response.headers.getall("WWW-Authenticate", [])), line, certificate)


# --- ways to sign in ----------------------------------------------------------------------------------------------


class Again(Enum):
    """What follows a 401."""

    NO = "the login is refused"
    HERE = "try once more over the same connection"
    ANEW = "try once more over a new connection"


class SignIn(Protocol):
    """How the requests over one connection prove who we are."""

    async def headers(self, line: Line, url: str) -> Mapping[str, str]:
        """Give what the next request carries; may talk to the server first."""

    def accepted(self, response: aiohttp.ClientResponse, sent: Mapping[str, str]) -> None:
        """Note an answer other than 401."""

    def refused(self, challenge: Challenge, sent: Mapping[str, str]) -> Again:
        """Note a 401 and say whether another try, which `headers` prepares, is worth it."""


@dataclass(slots=True)
class Fixed:
    """Basic, or a token we were given: the same header on every request."""

    value: str

    async def headers(self, line: Line, url: str) -> Mapping[str, str]:
        """Give the header."""
        return {"Authorization": self.value}

    def accepted(self, response: aiohttp.ClientResponse, sent: Mapping[str, str]) -> None:
        """Nothing to note."""

    def refused(self, challenge: Challenge, sent: Mapping[str, str]) -> Again:
        """It will not be better a second time."""
        return Again.NO


@dataclass(slots=True)
class Tokens:
    """Tokens of an application, from AD FS or another issuer: client credentials, shared by all connections."""

    login: Login
    value: str = ""
    until: float = 0.0
    is_proven: bool = False
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def headers(self, line: Line, url: str) -> Mapping[str, str]:
        """Give the header with a token that is good for a while yet."""
        async with self._turn:
            if not self.value or time.monotonic() > self.until:
                await self._renew(url)
            return {"Authorization": f"Bearer {self.value}"}

    def accepted(self, response: aiohttp.ClientResponse, sent: Mapping[str, str]) -> None:
        """Note that the token works."""
        self.is_proven = self.is_proven or sent.get("Authorization") == f"Bearer {self.value}"

    def refused(self, challenge: Challenge, sent: Mapping[str, str]) -> Again:
        """A token that worked may have been withdrawn: get one new one. One that never worked will not."""
        if sent.get("Authorization") != f"Bearer {self.value}":
            return Again.HERE  # another request has renewed it meanwhile
        worked, self.value, self.is_proven = self.is_proven, "", False
        return Again.HERE if worked else Again.NO

    async def _renew(self, url: str) -> None:
        auth = self.login.auth
        issuer = revealed(auth.get("token_url"))
        origin = urlsplit(url)
        form = {
            "grant_type": "client_credentials",
            "client_id": revealed(auth.get("client_id")),
            "client_secret": revealed(auth.get("client_secret")),
            "resource": revealed(auth.get("resource")) or f"{origin.scheme}://{origin.netloc}/",
        }
        if scope := revealed(auth.get("scope")):
            form["scope"] = scope
        transport = Transport(replace(self.login, auth={}), limit=1)
        try:
            headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
            answer = await transport.send("POST", issuer, headers=headers, body=urlencode(form).encode(), most=1 << 20)
        finally:
            await transport.close()
        self._take(answer)

    def _take(self, answer: Answer) -> None:
        try:
            read = json.loads(answer.body)
        except ValueError:
            read = None
        told = read if isinstance(read, dict) else {}
        token, reason = told.get("access_token"), str(told.get("error") or f"HTTP {answer.status}")[:60]
        if answer.status != 200 or not isinstance(token, str) or not token:
            if answer.status in {400, 401, 403}:
                raise AuthRequired("ews.token_refused", Scope.ACCOUNT, host=answer.host, reason=reason)
            if answer.status == 200:
                raise Transient("general.malformed", Scope.ACCOUNT, host=answer.host, reason="no token in the answer")
            raise trouble_of(answer, scope=Scope.ACCOUNT)
        try:
            seconds = float(told.get("expires_in") or 3600)
        except (TypeError, ValueError):
            seconds = 3600.0
        self.value, self.is_proven = token, False
        self.until = time.monotonic() + max(seconds - TOKEN_SPARE_SECONDS, seconds / 2)


@dataclass(slots=True)
class Windows:
    """NTLM, or Negotiate (Kerberos, else NTLM): one conversation signs in one connection.

    preferred: the method of the connection's settings; where a server offers only the other one, that is used, because
    either carries the same account. binds: whether the login is bound to the certificate.
    """

    login: Login
    preferred: str
    binds: bool = True
    _signed: asyncio.Transport | None = None
    _talking: asyncio.Transport | None = None  # the connection on which the server began a conversation
    _challenge: Challenge | None = None
    _in_one: bool = False  # the server takes the first token for the whole conversation (Kerberos)

    @property
    def is_signed(self) -> bool:
        """Say whether the connection is signed in and still open."""
        return self._signed is not None and not self._signed.is_closing()

    async def headers(self, line: Line, url: str) -> Mapping[str, str]:
        """Hold the conversation up to the message that the real request carries; nothing where it is over."""
        if self.is_signed:
            return {}
        self._signed = None
        challenge, self._challenge = self._challenge, None
        if challenge is None or challenge.line is None or challenge.line.is_closing():
            challenge = await line.ask(url)
        if challenge is None:  # it lets anybody in, or only looks at requests that have a body
            return {}
        return await self._converse(line, url, challenge)

    async def _converse(self, line: Line, url: str, challenge: Challenge) -> Mapping[str, str]:
        method = next((name for name in (self.preferred, *WINDOWS) if name in challenge.offers), "")
        if not method:
            raise not_offered(url, self.preferred, challenge.offers)
        talk = self._talk(method, url)
        first = await talk(None, challenge.certificate)
        if self._in_one:
            return _proof(method, first)
        reply = await line.ask(url, _proof(method, first))
        if reply is None:
            self._in_one = True
            return _proof(method, await self._talk(method, url)(None, challenge.certificate))
        token = reply.offers.get(method, b"")
        if not token:
            raise AuthRequired("ews.login_refused", Scope.ACCOUNT, host=origin_of(url)[1], method=method)
        self._talking = reply.line
        return _proof(method, await talk(token, reply.certificate))

    def _talk(self, method: str, url: str) -> Callable[[bytes | None, bytes], Awaitable[bytes]]:
        """Begin a conversation: what gives our next message to theirs, bound to the certificate seen with it."""
        host, password = origin_of(url)[1], revealed(self.login.auth.get("password"))
        options = NegotiateOptions.use_ntlm if method == "ntlm" else NegotiateOptions.use_negotiate
        began: list[Any] = []

        def take(token: bytes | None, bound: GssChannelBindings | None) -> bytes | None:
            if not began:
                began.append(spnego.client(user_of(self.login), password, host, "HTTP", protocol=method, options=options))
            reply: bytes | None = began[0].step(token, channel_bindings=bound)
            return reply

        async def step(token: bytes | None, certificate: bytes) -> bytes:
            bound = GssChannelBindings(application_data=end_point(certificate)) if self.binds and certificate else None
            try:  # Kerberos asks its own servers for tickets meanwhile, so it may not hold up the loop
                return (take(token, bound) if method == "ntlm" else await asyncio.to_thread(take, token, bound)) or b""
            except (SpnegoError, ValueError, IndexError, KeyError, struct.error) as failed:
                reason = type(failed).__name__
                if token is not None:
                    raise Transient("general.malformed", Scope.ACCOUNT, host=host, reason=f"{method}: {reason}") from failed
                raise AuthRequired("ews.no_ticket", Scope.ACCOUNT, host=host, method=method, reason=reason) from failed

        return step

    def accepted(self, response: aiohttp.ClientResponse, sent: Mapping[str, str]) -> None:
        """Note that the connection is signed in from now on, unless the server signs in each request alone."""
        if "Authorization" in sent and isinstance(response, Heard):
            told = response.headers.get("Persistent-Auth", "").lower()
            keeps = told == "true" or (not told and not self._in_one)
            self._signed = response.line if keeps else None

    def refused(self, challenge: Challenge, sent: Mapping[str, str]) -> Again:
        """Note a 401; the login is wrong only where a whole conversation on one connection ended with it."""
        if "Authorization" not in sent:
            was_signed, self._signed = self._signed is not None, None
            self._challenge = None if was_signed else challenge
            return Again.ANEW if was_signed else Again.HERE
        was_in_one, self._in_one = self._in_one, False
        return Again.ANEW if was_in_one or challenge.line is not self._talking else Again.NO


def _proof(method: str, token: bytes) -> dict[str, str]:
    scheme = "NTLM" if method == "ntlm" else "Negotiate"
    return {"Authorization": f"{scheme} {base64.b64encode(token).decode()}"}


def not_offered(url: str, method: str, offers: Mapping[str, bytes]) -> AuthRequired:
    """Give the trouble of a server that does not know our method."""
    named = ", ".join(sorted(offers)) or "–"
    return AuthRequired("ews.method_not_offered", Scope.ACCOUNT, host=origin_of(url)[1], method=method, offered=named)


def sign_in(login: Login) -> Callable[[], SignIn]:
    """Give what makes the sign-in of a new connection."""
    method = method_of(login)
    if method in WINDOWS:
        binds = login.options.get("channel_binding", "on").lower() not in {"off", "false", "0", "no"}
        return lambda: Windows(login, method, binds)
    if method == "oauth_app":
        shared = Tokens(login)
        return lambda: shared
    fixed = Fixed(authorization({**login.auth, "method": method}))
    return lambda: fixed


# --- connections --------------------------------------------------------------------------------------------------


class Line:
    """One connection of one account, used by one request at a time; opened anew when the server has closed it."""

    def __init__(self, login: Login, signing: SignIn, *, total_seconds: float | None = TOTAL_SECONDS) -> None:
        """total_seconds: how long one answer may take; None for one that is streamed."""
        self.login, self.signing, self._is_used = login, signing, False
        self.transport = Transport(
            replace(login, auth={}), limit=1, total_seconds=total_seconds, idle_seconds=IDLE_SECONDS, answers=Heard
        )

    async def close(self) -> None:
        """Let go of the connection."""
        self._is_used = False
        await self.transport.close()

    async def ask(self, url: str, headers: Mapping[str, str] | None = None) -> Challenge | None:
        """Send a request without a body and give the challenge that comes back; None where there is none."""
        async with self.transport.stream("POST", url, headers=headers, body=b"") as response:
            challenge = Challenge.of(response) if response.status == 401 else None
            await _read_off(response)
            return challenge

    @asynccontextmanager
    async def post(
        self, url: str, body: bytes, headers: Mapping[str, str], *, writes: bool = False
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send a request, signed in, and hand out the answer, which is no 401.

        Raises AuthRequired when the login is refused. A body that met a 401 was not looked at, so it is sent again; so is
        one question over a connection that the server had given up since it was last used, but never a write.
        """
        for _ in range(_TRIES):
            sent = await self.signing.headers(self, url)
            async with AsyncExitStack() as stack:
                stream = self.transport.stream("POST", url, headers={**headers, **sent}, body=body, writing=writes)
                try:
                    response = await stack.enter_async_context(stream)
                except Transient as lost:
                    if writes or not self._is_used or lost.code != "general.broken_off":
                        raise
                    await self.close()
                    continue
                if response.status != 401:
                    self._is_used = True
                    self.signing.accepted(response, sent)
                    yield response
                    return
                challenge = Challenge.of(response)
                await _read_off(response)
            again = self.signing.refused(challenge, sent)
            if again is Again.NO:
                raise self._refusal(url, challenge)
            if again is Again.ANEW:
                await self.close()
        raise AuthRequired("ews.login_refused", Scope.ACCOUNT, host=origin_of(url)[1], method=method_of(self.login))

    def _refusal(self, url: str, challenge: Challenge) -> AuthRequired:
        method = method_of(self.login)
        scheme = {"oauth_app": "bearer"}.get(method, method)
        if challenge.offers and scheme not in challenge.offers and method not in WINDOWS:
            return not_offered(url, method, challenge.offers)
        return AuthRequired("ews.login_refused", Scope.ACCOUNT, host=origin_of(url)[1], method=method)


async def _read_off(response: aiohttp.ClientResponse) -> None:
    """Read a refusal to its end, so that its connection can be used again; a long one is not worth it."""
    size = 0
    async for chunk in response.content.iter_any():
        size += len(chunk)
        if size > _REFUSAL_MOST:
            return


class Lines:
    """The connections of one account, at most so many; the one used last is used first, so that few stay open."""

    def __init__(self, login: Login, most: int) -> None:
        """Open nothing yet."""
        self.login = login
        self._make = sign_in(login)
        self._room = asyncio.Semaphore(most)
        self._free: list[Line] = []
        self._all: set[Line] = set()

    def new(self, *, total_seconds: float | None = TOTAL_SECONDS) -> Line:
        """Make a connection that its caller closes."""
        return Line(self.login, self._make(), total_seconds=total_seconds)

    @asynccontextmanager
    async def one(self) -> AsyncIterator[Line]:
        """Lend a connection for one request."""
        async with self._room:
            line = self._free.pop() if self._free else self.new()
            self._all.add(line)
            try:
                yield line
            finally:
                self._free.append(line)

    async def close(self) -> None:
        """Let go of all."""
        lines, self._all = self._all, set()
        self._free.clear()
        for line in lines:
            await line.close()


async def offers_of(login: Login, url: str) -> tuple[str, ...]:
    """Ask a server, without any credentials, which methods it offers; empty where it asks for none."""
    line = Line(login, Fixed(""))
    try:
        challenge = await line.ask(url)
    finally:
        await line.close()
    return tuple(sorted(challenge.offers)) if challenge is not None else ()
