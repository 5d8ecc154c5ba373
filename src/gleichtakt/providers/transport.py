"""HTTP for every provider: who is trusted, how long to wait, which hosts may be reached, what a failure means.

It sends and classifies; it never repeats a request by itself, because only the caller knows whether a second one is
safe. An answer that never came to a write is `Ambiguous`. What the bodies mean is left to the providers.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import ipaddress
import re
import socket
import ssl
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache
from types import MappingProxyType
from typing import Any
from urllib.parse import urljoin, urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from gleichtakt.errors import Ambiguous, AuthRequired, Permanent, Scope, Throttled, Transient, Trouble
from gleichtakt.providers.protocol import Login, Secret

USER_AGENT = "Gleichtakt/0.1"
CONNECT_SECONDS, READ_SECONDS, TOTAL_SECONDS, IDLE_SECONDS = 15.0, 90.0, 600.0, 15.0
MAX_ANSWER = 256 * 1024 * 1024
MAX_REDIRECTS = 5
WAIT_LEAST, WAIT_MOST, WAIT_DEFAULT = timedelta(seconds=1), timedelta(hours=1), timedelta(seconds=30)

#: Second-level names under which strangers register: `firm.co.uk` and `other.co.uk` are no neighbours.
_SHARED_SUFFIX = re.compile(r"(?:co|com|net|org|gov|ac|edu|or|ne|go|nom|ltd|plc|asso|gob|gv)\.[a-z]{2}\Z")
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
#: What OpenSSL says in its errors, and its verification codes (x509_vfy.h): expired, not yet valid, other host, other address.
_TLS_MARKS: Mapping[str, tuple[str, ...]] = {
    "general.tls_old": ("UNSUPPORTED_PROTOCOL", "PROTOCOL_VERSION", "NO_PROTOCOLS_AVAILABLE", "WRONG_SSL_VERSION"),
    "general.no_tls": ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST", "PACKET_LENGTH_TOO_LONG"),
}
_TLS_CODES: Mapping[int, str] = {
    9: "general.tls_expired",
    10: "general.tls_expired",
    62: "general.tls_name",
    64: "general.tls_name",
}


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer. url: where it came from in the end. headers: names compare without case."""

    status: int
    headers: CIMultiDictProxy[str]
    body: bytes
    url: str

    @property
    def host(self) -> str:
        """Give the host that answered, for sentences."""
        return urlsplit(self.url).hostname or ""


# --- who may be reached -------------------------------------------------------------------------------------------


def origin_of(url: str) -> tuple[str, str, int]:
    """Give scheme, host and port, with the scheme's usual port filled in."""
    parts = urlsplit(url)
    return parts.scheme.lower(), (parts.hostname or "").lower(), parts.port or (443 if parts.scheme == "https" else 80)


def is_neighbour(host: str, other: str) -> bool:
    """Say whether two hosts belong to the same house: equal, one below the other, or below the same domain.

    Without a list of public suffixes the parent counts only with two labels or more and not where strangers register.
    """
    host, other = host.lower().rstrip("."), other.lower().rstrip(".")
    if host == other:
        return True
    if _is_address(host) or _is_address(other):
        return False
    parent = host.partition(".")[2]
    houses = [host] + ([parent] if "." in parent and not _SHARED_SUFFIX.fullmatch(parent) else [])
    return any("." in house and (other == house or other.endswith("." + house)) for house in houses)


def is_loopback(host: str) -> bool:
    """Say whether a host is this machine by its name or address alone."""
    return host == "localhost" or (_is_address(host) and ipaddress.ip_address(host.strip("[]")).is_loopback)


def may_follow(start: str, to: str, *, approved: Iterable[str] = (), allow_insecure: bool = False) -> bool:
    """Say whether credentials given for *start* may travel to *to*: encrypted, and the same house or an approved host."""
    scheme, host, _ = origin_of(to)
    first_scheme, first_host, _ = origin_of(start)
    if scheme not in {"http", "https"} or not host:
        return False
    if scheme == "http" and not ((first_scheme == "http" and allow_insecure) or (is_loopback(host) and first_host == host)):
        return False
    return is_neighbour(first_host, host) or host in {name.strip().lower() for name in approved}


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class PrivateHosts:
    """Which private hosts may be reached all the same: names, addresses or networks; `*` stands for all."""

    names: frozenset[str] = frozenset()
    networks: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...] = ()

    @classmethod
    def read(cls, text: str) -> PrivateHosts:
        """Read a comma-separated list such as `intranet.firm.example, 10.1.0.0/16`."""
        names, networks = set(), []
        for entry in filter(None, (part.strip().lower() for part in text.split(","))):
            try:
                networks.append(ipaddress.ip_network(entry, strict=False))
            except ValueError:
                names.add(entry)
        return cls(frozenset(names), tuple(networks))

    def allow(self, host: str, address: str) -> bool:
        """Say whether *address*, which *host* resolved to, may be reached."""
        if host.lower() in self.names or "*" in self.names:
            return True
        found = ipaddress.ip_address(address.partition("%")[0])
        found = getattr(found, "ipv4_mapped", None) or found
        return (found.is_global and not found.is_multicast) or any(found in network for network in self.networks)


class PrivateAddress(OSError):
    """A name resolved to an address inside some network, where a stranger's address must not lead us."""


class _GuardedResolver(AbstractResolver):
    """Resolves names and refuses those that lead inside; the addresses it gives are the ones that are connected to."""

    def __init__(self, allowed: PrivateHosts) -> None:
        self._inner, self._allowed = aiohttp.ThreadedResolver(), allowed

    async def resolve(self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET) -> list[ResolveResult]:
        found = await self._inner.resolve(host, port, family)
        if any(not self._allowed.allow(host, entry["host"]) for entry in found):
            raise PrivateAddress(host)
        return found

    async def close(self) -> None:
        await self._inner.close()


# --- certificates -------------------------------------------------------------------------------------------------


def read_pin(text: str) -> bytes:
    """Give the 32 bytes of a SHA-256 pin written in hex (colons allowed) or base64 (`sha256/` allowed). ValueError if not."""
    bare = text.strip().removeprefix("sha256/").removeprefix("sha256:")
    hexed = bare.replace(":", "").replace(" ", "")
    try:
        pin = bytes.fromhex(hexed) if len(hexed) == 64 else base64.b64decode(bare, validate=True)
    except (ValueError, binascii.Error):
        raise ValueError("a pin is a SHA-256 in hex or base64") from None
    if len(pin) != 32:
        raise ValueError("a pin is a SHA-256 in hex or base64")
    return pin


def fits_pin(certificate: bytes, pin: bytes) -> bool:
    """Say whether a certificate (DER) carries the pin: of itself, or of its public key."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    key = x509.load_der_x509_certificate(certificate).public_key()
    spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return pin in {hashlib.sha256(certificate).digest(), hashlib.sha256(spki).digest()}


def _pinned_object(pin: bytes) -> type[ssl.SSLObject]:
    class Pinned(ssl.SSLObject):
        """A TLS connection that ends its handshake only with the pinned certificate."""

        def do_handshake(self) -> None:
            super().do_handshake()
            if not fits_pin(self.getpeercert(binary_form=True) or b"", pin):
                raise ssl.SSLCertVerificationError("the certificate does not carry the stored pin")

    return Pinned


@lru_cache(maxsize=256)
def tls_context(ca_pem: str = "", pin_sha256: str = "") -> ssl.SSLContext:
    """Make the rules of trust: TLS 1.2 or newer, the system's authorities or the given ones, and the pin if there is one.

    A pin without own authorities replaces them: it is how self-signed servers are trusted. ValueError on a bad PEM or pin.
    """
    try:
        context = ssl.create_default_context(cadata=ca_pem or None)
    except ssl.SSLError:
        raise ValueError("the authority is not a PEM certificate") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if pin_sha256:
        context.sslobject_class = _pinned_object(read_pin(pin_sha256))
        if not ca_pem:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


# --- credentials --------------------------------------------------------------------------------------------------


def revealed(value: str | Secret | None) -> str:
    """Give a setting's text, secret or not."""
    return value.reveal() if isinstance(value, Secret) else value or ""


def authorization(auth: Mapping[str, str | Secret]) -> str:
    """Give the Authorization header of methods that need no challenge; empty for the others."""
    method, user = revealed(auth.get("method")), revealed(auth.get("username"))
    if method == "basic" or (not method and user):
        pair = f"{user}:{revealed(auth.get('password'))}"
        return "Basic " + base64.b64encode(pair.encode()).decode()
    if method == "bearer":
        return "Bearer " + (revealed(auth.get("token")) or revealed(auth.get("password")))
    return ""


# --- what a failure means -----------------------------------------------------------------------------------------


def wait_until(header: str | None, now: datetime) -> datetime:
    """Read Retry-After (seconds or a date) and give the instant to go on, between a second and an hour from *now*."""
    wait = WAIT_DEFAULT
    text = (header or "").strip()
    if text.isdigit():
        wait = timedelta(seconds=min(int(text[:9]), 86_400))
    elif text:
        try:
            then = parsedate_to_datetime(text)
            wait = (then if then.tzinfo else then.replace(tzinfo=UTC)) - now
        except (ValueError, OverflowError):
            wait = WAIT_DEFAULT
    return now + min(max(wait, WAIT_LEAST), WAIT_MOST)


def throttled(answer: Answer, now: datetime) -> Throttled:
    """Give the trouble of an answer that asks us to wait."""
    until = wait_until(answer.headers.get("Retry-After"), now)
    trouble = Throttled("general.throttled", Scope.ACCOUNT, until=until, host=answer.host)
    trouble.params["until"] = f"{until:%H:%M:%S} UTC"
    return trouble


def trouble_of(answer: Answer, *, writing: bool = False, scope: Scope = Scope.CALENDAR) -> Trouble:
    """Classify an answer that its caller has no better word for. writing: whether the request could have had an effect.

    Every 5xx on a write is ambiguous: a proxy may have lost the answer of a server that did the work.
    """
    host, status = answer.host, str(answer.status)
    match answer.status:
        case 401:
            return AuthRequired("general.login_refused", Scope.ACCOUNT, host=host)
        case 402 | 403 | 405 | 407:
            return Permanent("general.forbidden", scope, host=host, detail=f"HTTP {status}")
        case 404 | 410:
            return Permanent("general.calendar_missing", Scope.CALENDAR, host=host, detail=f"HTTP {status}")
        case 429:
            return throttled(answer, datetime.now(UTC))
        case 413:
            return Permanent("general.too_large", scope, host=host)
        case 507:
            return Transient("general.storage_full", Scope.CALENDAR, host=host)
        case 503 if "Retry-After" in answer.headers and not writing:
            return throttled(answer, datetime.now(UTC))
        case code if code >= 500 and code not in {501, 505}:
            kind = Ambiguous if writing else Transient
            return kind("general.server_error", scope, host=host, status=status)
        case 408 | 423 | 425:
            return Transient("general.server_error", scope, host=host, status=status)
        case code if code < 400:
            return Transient("general.malformed", scope, host=host, reason=f"HTTP {status}")
    return Permanent("general.rejected", scope, host=host, reason=f"HTTP {status}")


def address_of(url: str) -> str:
    """Give `host:port` of a URL, for sentences and for commands that people copy."""
    _, host, port = origin_of(url)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def tls_trouble(failed: Exception, url: str) -> Transient:
    """Classify a handshake that failed: too old, no TLS at all, expired, made out to others, or not trusted."""
    text, host = str(failed), origin_of(url)[1]
    inner = getattr(failed, "certificate_error", None) or getattr(failed, "os_error", None) or failed
    known = _TLS_CODES.get(getattr(inner, "verify_code", 0))
    code = known or next((code for code, marks in _TLS_MARKS.items() if any(mark in text for mark in marks)), "general.tls")
    reason = getattr(inner, "verify_message", "") or (inner.args[-1] if inner.args else "") or type(inner).__name__
    return Transient(code, Scope.ACCOUNT, host=host, address=address_of(url), reason=str(reason)[:160])


def failure(failed: Exception, url: str, *, writing: bool) -> Trouble:
    """Classify a request that got no answer. Before it was sent nothing can have happened; after, a write is ambiguous."""
    host = origin_of(url)[1]
    if isinstance(failed, (aiohttp.ClientConnectorCertificateError, aiohttp.ClientConnectorSSLError)):
        return tls_trouble(failed, url)
    if isinstance(failed, aiohttp.ClientConnectorError) and isinstance(failed.os_error, PrivateAddress):
        return Permanent("general.private_address", Scope.ACCOUNT, host=host)
    if isinstance(failed, aiohttp.ClientConnectorDNSError):
        return Transient("general.name_unknown", Scope.ACCOUNT, host=host)
    if isinstance(failed, (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.ClientHttpProxyError)):
        return unreachable(url, type(failed).__name__)
    if isinstance(failed, (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError)):
        return Permanent("general.bad_address", Scope.ACCOUNT, host=host)
    if isinstance(failed, TimeoutError):
        return (Ambiguous if writing else Transient)("general.timeout", Scope.CALENDAR, host=host)
    if writing:
        return Ambiguous("general.answer_lost", Scope.CALENDAR, host=host, detail=type(failed).__name__)
    return Transient("general.broken_off", Scope.CALENDAR, host=host, detail=type(failed).__name__)


def unreachable(url: str, detail: str = "") -> Transient:
    """Give the trouble of a server that takes no connection; its sentence offers the command that shows why."""
    scheme, host, _ = origin_of(url)
    return Transient("general.unreachable", Scope.ACCOUNT, host=host, url=f"{scheme}://{address_of(url)}/", detail=detail)


# --- sending ------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Transport:
    """The requests of one login. Opens its session with the first request; `close` lets go of the connections.

    guarded: refuse private addresses (for addresses that strangers choose). roams: follow redirects to any encrypted
    host, leaving the credentials behind (for public feeds); else only `may_follow`. idle_seconds: how long an unused
    connection is kept. answers: the class of what `stream` hands out.
    """

    login: Login
    guarded: bool = False
    roams: bool = False
    limit: int = 8
    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    total_seconds: float | None = TOTAL_SECONDS
    idle_seconds: float = IDLE_SECONDS
    answers: type[aiohttp.ClientResponse] = aiohttp.ClientResponse
    _session: aiohttp.ClientSession | None = None
    _private: PrivateHosts = field(default_factory=PrivateHosts)
    _digest: aiohttp.DigestAuthMiddleware | None = None

    def __post_init__(self) -> None:
        """Read once what holds for every request."""
        auth = self.login.auth
        self._private = PrivateHosts.read(self.login.options.get("private_hosts", ""))
        if revealed(auth.get("method")) == "digest":
            self._digest = aiohttp.DigestAuthMiddleware(revealed(auth.get("username")), revealed(auth.get("password")))

    async def close(self) -> None:
        """Let go of connections; a later request opens new ones."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        writing: bool = False,
        most: int = MAX_ANSWER,
    ) -> Answer:
        """Send one request and give its answer whatever its status; redirects are followed with the same method.

        Raises a `Trouble` when there is no answer, it breaks off, or it is longer than *most* bytes.
        """
        async with self.stream(method, url, headers=headers, body=body, writing=writing) as response:
            return Answer(response.status, response.headers, await self.read(response, most, writing=writing), str(response.url))

    @asynccontextmanager
    async def stream(
        self, method: str, url: str, *, headers: Mapping[str, str] | None = None, body: bytes | None = None, writing: bool = False
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send one request and hand out the answer before its body was read; failures become a `Trouble`."""
        start, host = url, urlsplit(url).hostname or ""
        try:
            for _ in range(MAX_REDIRECTS + 1):
                self._check(url, start)
                response = await self._request(method, url, start, headers, body)
                target = response.headers.get("Location")
                if response.status not in _REDIRECTS or not target:
                    break
                response.release()
                url = urljoin(url, target)
            else:
                raise Transient("general.malformed", Scope.ACCOUNT, host=host, reason="redirects without end")
            async with response:
                yield response
        except (aiohttp.ClientError, TimeoutError, OSError, ssl.SSLError) as failed:
            raise failure(failed, url, writing=writing) from failed

    async def read(self, response: aiohttp.ClientResponse, most: int = MAX_ANSWER, *, writing: bool = False) -> bytes:
        """Read the body of an answer that `stream` handed out. Raises a `Trouble` when it is longer than *most* bytes."""
        if (response.content_length or 0) <= most:
            chunks, size = [], 0
            while chunk := await response.content.readany():
                chunks.append(chunk)
                size += len(chunk)
                if size > most:
                    break
            else:
                return b"".join(chunks)
        raise (Ambiguous if writing else Transient)(
            "general.answer_too_large", Scope.CALENDAR, host=response.url.host or "", most=f"{most >> 20} MB"
        )

    def _check(self, url: str, start: str) -> None:
        scheme, host, _ = origin_of(url)
        login = self.login
        if scheme not in {"http", "https"} or not host:
            raise Permanent("general.bad_address", Scope.ACCOUNT, host=host or scheme)
        if url == start:
            if scheme == "http" and not (login.allow_insecure or is_loopback(host) or self.roams):
                raise Permanent("general.unencrypted", Scope.ACCOUNT, host=host)
        elif not self._follows(start, url):
            raise Permanent("general.redirect_refused", Scope.ACCOUNT, host=origin_of(start)[1], target=host)
        if self.guarded and _is_address(host) and not self._private.allow(host, host.strip("[]")):
            raise Permanent("general.private_address", Scope.ACCOUNT, host=host)

    def _follows(self, start: str, to: str) -> bool:
        if self.roams:
            return origin_of(to)[0] == "https" or origin_of(start)[0] == "http"
        return self._is_trusted(start, to)

    def _is_trusted(self, start: str, to: str) -> bool:
        approved = self.login.options.get("approved_hosts", "").split(",")
        return may_follow(start, to, approved=approved, allow_insecure=self.login.allow_insecure)

    async def _request(
        self, method: str, url: str, start: str, headers: Mapping[str, str] | None, body: bytes | None
    ) -> aiohttp.ClientResponse:
        login, sent = self.login, CIMultiDict(self.headers)
        sent.update(headers or {})
        more: dict[str, Any] = {}
        if url == start or origin_of(url) == origin_of(start) or self._is_trusted(start, url):
            if found := authorization(login.auth):
                sent["Authorization"] = found
            if self._digest is not None:
                more["middlewares"] = (self._digest,)
        if url.startswith("https:"):
            more["ssl"] = self._context()
        if proxy := login.options.get("proxy"):
            more["proxy"] = proxy
        return await self._open().request(method, URL(url, encoded=True), headers=sent, data=body, allow_redirects=False, **more)

    def _context(self) -> ssl.SSLContext:
        try:
            return tls_context(self.login.ca_pem, self.login.pin_sha256)
        except ValueError as wrong:
            raise Permanent("general.bad_trust", Scope.ACCOUNT, reason=str(wrong)) from None

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            resolver = _GuardedResolver(self._private) if self.guarded else None
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self.limit, resolver=resolver, keepalive_timeout=self.idle_seconds),
                timeout=aiohttp.ClientTimeout(total=self.total_seconds, sock_connect=CONNECT_SECONDS, sock_read=READ_SECONDS),
                headers={"User-Agent": USER_AGENT},
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=not self.roams,
                response_class=self.answers,
            )
            # aiohttp repeats PUT and DELETE by itself on a reused connection; a repeated write is ours to decide
            self._session._retry_connection = False
        return self._session
