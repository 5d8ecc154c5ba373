"""Who speaks on a connection: NTLM and Negotiate, which sign in a TCP connection, and Basic and Bearer, which sign each request.

An account is not a mailbox: it may have one, and it may act for others as far as its scope goes.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import secrets
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from functools import cache
from weakref import WeakKeyDictionary

from cryptography import x509

from gleichtakt.simulators.exchange.negotiation import Negotiator
from gleichtakt.simulators.exchange.ntlm import Acceptor, Refused, binding_hash, secret_of

METHODS = ("negotiate", "ntlm", "basic", "bearer")
BINDINGS = ("off", "allowed", "required")
_SHA256_INSTEAD = frozenset({"md5", "sha1"})


@dataclass(slots=True, eq=False)
class Account:
    """Someone who may sign in. mailbox: address, empty where there is none.

    impersonates: addresses, or patterns of addresses, for whom this account may act (the scope of its role).
    """

    username: str
    password: str
    mailbox: str = ""
    impersonates: tuple[str, ...] = ()

    @property
    def address(self) -> str:
        """Give the mailbox, or the name where there is none."""
        return self.mailbox or self.username

    def may_act_for(self, address: str) -> bool:
        """Say whether an address is in scope."""
        return any(fnmatchcase(address.lower(), pattern.lower()) for pattern in self.impersonates)

    def is_called(self, user: str, domain: str, home: str) -> bool:
        """Say whether a client that writes this name means this account. home: domain of the organization."""
        plain = user.lower()
        if "\\" in plain:
            domain, _, plain = plain.rpartition("\\")
        if domain and domain.lower() not in {home.lower(), home.lower().partition(".")[0]}:
            return False
        names = {self.username.lower(), f"{self.username}@{home}".lower(), self.mailbox.lower()}
        return plain in names - {""}


@dataclass(frozen=True, slots=True)
class Shown:
    """What a request showed. account: None is to be answered with 401 and the challenges. headers: for the answer."""

    account: Account | None
    challenges: tuple[str, ...] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    reason: str = ""


@dataclass(slots=True)
class _Connection:
    """One TCP connection. password: with which it was signed in; another one now ends that."""

    account: Account | None = None
    password: str = ""
    scheme: str = ""
    acceptor: Acceptor | None = None
    negotiator: Negotiator | None = None


@cache
def _kept(password: str) -> bytes:
    return secret_of(password)


def bound_to(certificate: bytes) -> bytes:
    """Give what an answer must carry to be bound to a certificate (DER); nothing without one."""
    if not certificate:
        return b""
    algorithm = x509.load_der_x509_certificate(certificate).signature_hash_algorithm
    name = algorithm.name if algorithm is not None else "sha256"
    return binding_hash(certificate, "sha256" if name in _SHA256_INSTEAD else name)


@dataclass(slots=True)
class Door:
    """Lets requests in. certificate: of the server (DER), for channel bindings. refused: reasons, newest last."""

    accounts: MutableMapping[str, Account]
    domain: str = "firm.example"
    host: str = "ex1.firm.example"
    methods: tuple[str, ...] = ("negotiate", "ntlm")
    binding: str = "allowed"
    certificate: bytes = b""
    tokens: dict[str, str] = field(default_factory=dict)
    refused: list[str] = field(default_factory=list)
    handshakes: int = 0
    _connections: WeakKeyDictionary[asyncio.BaseTransport, _Connection] = field(default_factory=WeakKeyDictionary)

    def find(self, user: str, domain: str = "") -> Account | None:
        """Give the account a client means."""
        return next((one for one in self.accounts.values() if one.is_called(user, domain, self.domain)), None)

    def enter(self, authorization: str, transport: asyncio.BaseTransport) -> Shown:
        """Say who speaks. authorization: the header as sent, empty without."""
        connection = self._connections.setdefault(transport, _Connection())
        scheme, _, token = authorization.partition(" ")
        ways: Mapping[str, Callable[[_Connection, str], Shown]] = {
            "negotiate": self._negotiate,
            "ntlm": self._ntlm,
            "basic": self._basic,
            "bearer": self._bearer,
        }
        if not authorization:
            return self._known(connection)
        if scheme.lower() not in self.methods or scheme.lower() not in ways:
            return self._challenge(f"{scheme} is not offered")
        try:
            return ways[scheme.lower()](connection, token.strip())
        except (Refused, ValueError, LookupError) as wrong:
            self._connections[transport] = _Connection()
            return self._challenge(str(wrong))

    def issue(self, client: str, secret: str) -> str:
        """Give an access token to an account that names its password as the secret; empty for a wrong one."""
        account = self.find(client)
        if account is None or account.password != secret:
            self.refused.append("wrong client secret")
            return ""
        token = secrets.token_urlsafe(24)
        self.tokens[token] = account.username
        return token

    # --- the ways in

    def _known(self, connection: _Connection) -> Shown:
        account = connection.account
        if account is None:
            return self._challenge("")
        if self.accounts.get(account.username) is not account or account.password != connection.password:
            connection.account = None
            return self._challenge("the account changed")
        return Shown(account)

    def _signed_in(self, connection: _Connection, user: str, domain: str, headers: Mapping[str, str]) -> Shown:
        account = self.find(user, domain)
        if account is None:
            raise Refused("nobody of that name")
        connection.account, connection.password = account, account.password
        connection.acceptor = connection.negotiator = None
        self.handshakes += 1
        return Shown(account, headers={"Persistent-Auth": "true", **headers})

    def _acceptor(self) -> Acceptor:
        def kept(user: str, domain: str) -> bytes | None:
            account = self.find(user, domain)
            return _kept(account.password) if account is not None else None

        binding = b"" if self.binding == "off" else bound_to(self.certificate)
        return Acceptor(kept, self.domain, self.host, binding, bool(binding) and self.binding == "required")

    def _ntlm(self, connection: _Connection, token: str) -> Shown:
        message = _decoded(token)
        if connection.acceptor is None or message[8:12] == b"\x01\0\0\0":
            connection.account, connection.acceptor = None, self._acceptor()
            greeting = connection.acceptor.greet(message)
            return Shown(None, (f"NTLM {base64.b64encode(greeting).decode()}",))
        return self._signed_in(connection, *connection.acceptor.accept(message), {})

    def _negotiate(self, connection: _Connection, token: str) -> Shown:
        message = _decoded(token)
        if connection.negotiator is None or message[:1] == b"\x60":
            connection.account, connection.negotiator = None, Negotiator(self._acceptor())
        answer = connection.negotiator.step(message)
        told = f"Negotiate {base64.b64encode(answer).decode()}".strip()
        if connection.negotiator.who is None:
            return Shown(None, (told,))
        return self._signed_in(connection, *connection.negotiator.who, {"WWW-Authenticate": told} if answer else {})

    def _basic(self, connection: _Connection, token: str) -> Shown:
        user, _, password = _decoded(token).decode("utf-8").partition(":")
        account = self.find(user)
        if account is None or account.password != password:
            raise Refused("wrong name or password")
        return Shown(account)

    def _bearer(self, connection: _Connection, token: str) -> Shown:
        account = self.accounts.get(self.tokens.get(token, ""))
        if account is None:
            raise Refused("unknown token")
        return Shown(account)

    def _challenge(self, reason: str) -> Shown:
        if reason:
            self.refused.append(reason)
        written = {
            "negotiate": "Negotiate",
            "ntlm": "NTLM",
            "basic": f'Basic realm="{self.host}"',
            "bearer": f'Bearer realm="{self.host}"',
        }
        return Shown(None, tuple(written[method] for method in self.methods), reason=reason)


def _decoded(token: str) -> bytes:
    try:
        return base64.b64decode(token, validate=True)
    except binascii.Error as broken:
        raise Refused("not base64") from broken
