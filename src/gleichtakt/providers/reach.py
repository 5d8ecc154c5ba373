"""The doctor's first steps, for every provider that is spoken to over HTTP: the name, the network, the encryption.

They go the way a request would go (proxy, trust, refused private addresses), so that the step that fails is the one to
look at. What the server then answers is left to the provider's own checks.
"""

from __future__ import annotations

import asyncio
import hashlib
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from gleichtakt.errors import Permanent, Scope, Transient, Trouble
from gleichtakt.providers.protocol import Check, Login
from gleichtakt.providers.transport import (
    CONNECT_SECONDS,
    PrivateHosts,
    is_loopback,
    origin_of,
    tls_context,
    tls_trouble,
    unreachable,
)

ENDS_SOON = timedelta(days=14)
NAMES = ("dns", "tcp", "tls")


async def timed(name: str, step: Callable[[], Awaitable[Check]]) -> Check:
    """Run one check: a trouble is its result, and what was measured gets the time it took."""
    started = time.monotonic()
    try:
        done = await step()
    except Trouble as trouble:
        return Check(name, "fail", trouble.code, trouble.params)
    if done.state == "skip":
        return done
    facts = {**done.facts, "milliseconds": f"{(time.monotonic() - started) * 1000:.0f}"}
    return Check(done.name, done.state, done.code, done.params, facts)


async def reach(url: str, login: Login, *, guarded: bool = False) -> AsyncIterator[Check]:
    """Run the checks `dns`, `tcp` and `tls`; after one that fails the others are skipped.

    guarded: refuse private addresses, as the requests do.
    """
    way = _Way(login.options.get("proxy") or url, login, guarded=guarded, is_proxy=bool(login.options.get("proxy")))
    failed = False
    for name, step in zip(NAMES, (way.dns, way.tcp, way.tls), strict=True):
        check = Check(name, "skip") if failed else await timed(name, step)
        failed = failed or check.state == "fail"
        yield check


@dataclass(slots=True)
class _Way:
    """The way to one server, or to the proxy before it."""

    url: str
    login: Login
    guarded: bool
    is_proxy: bool
    addresses: tuple[str, ...] = ()
    address: str = ""  # the one that answered

    async def dns(self) -> Check:
        _, host, port = origin_of(self.url)
        if not host:
            raise Permanent("general.bad_address", Scope.ACCOUNT, host=self.url)
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            raise Transient("general.name_unknown", Scope.ACCOUNT, host=host) from None
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        allowed = PrivateHosts.read(self.login.options.get("private_hosts", ""))
        if self.guarded and not all(allowed.allow(host, address) for address in addresses):
            raise Permanent("general.private_address", Scope.ACCOUNT, host=host)
        self.addresses = tuple(addresses)
        return Check("dns", "pass", facts={"addresses": ", ".join(addresses)})

    async def tcp(self) -> Check:
        _, _, port = origin_of(self.url)
        for address in self.addresses:
            try:
                async with asyncio.timeout(CONNECT_SECONDS):
                    _, writer = await asyncio.open_connection(address, port)
            except OSError:  # TimeoutError among them
                continue
            writer.close()
            self.address = address
            return Check("tcp", "pass", facts={"address": f"[{address}]:{port}" if ":" in address else f"{address}:{port}"})
        raise unreachable(self.url)

    async def tls(self) -> Check:
        scheme, host, _ = origin_of(self.url)
        if self.is_proxy or (scheme == "http" and is_loopback(host)):
            return Check("tls", "skip")
        if scheme == "http":
            return Check("tls", "warn" if self.login.allow_insecure else "fail", "general.unencrypted", {"host": host})
        try:
            context = tls_context(self.login.ca_pem, self.login.pin_sha256)
        except ValueError as wrong:
            raise Permanent("general.bad_trust", Scope.ACCOUNT, reason=str(wrong)) from None
        try:
            version, certificate = await self._handshake(context)
        except (ssl.SSLError, ConnectionError, EOFError) as failed:
            trouble = tls_trouble(failed, self.url)
            return Check("tls", "fail", trouble.code, trouble.params, await self._shown())
        facts = {"version": version, **_described(certificate)}
        if datetime.fromisoformat(facts["until"]).replace(tzinfo=UTC) - datetime.now(UTC) < ENDS_SOON:
            return Check("tls", "warn", "general.tls_ends_soon", {"host": host, "until": facts["until"]}, facts)
        return Check("tls", "pass", facts=facts)

    async def _shown(self) -> dict[str, str]:
        """Describe the certificate a server shows, believing nothing of it; nothing where it shows none."""
        believing = ssl.create_default_context()
        believing.check_hostname, believing.verify_mode = False, ssl.CERT_NONE
        believing.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            _, certificate = await self._handshake(believing)
        except (OSError, EOFError, Transient):
            return {}
        return _described(certificate)

    async def _handshake(self, context: ssl.SSLContext) -> tuple[str, bytes]:
        _, host, port = origin_of(self.url)
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                _, writer = await asyncio.open_connection(self.address, port, ssl=context, server_hostname=host)
        except TimeoutError:
            raise Transient("general.timeout", Scope.ACCOUNT, host=host) from None
        found = writer.get_extra_info("ssl_object")
        writer.close()
        return found.version() or "", found.getpeercert(binary_form=True) or b""


def _described(certificate: bytes) -> dict[str, str]:
    """Say of a certificate (DER) who issued it, until when it counts, and the pin by which it can be trusted."""
    from cryptography import x509

    read = x509.load_der_x509_certificate(certificate)
    return {
        "issuer": read.issuer.rfc4514_string(),
        "until": f"{read.not_valid_after_utc:%Y-%m-%d}",
        "sha256": hashlib.sha256(certificate).hexdigest(),
    }
