"""The server's half of NTLMv2: it greets with a challenge and judges the answer, channel bindings included.

Written from the public description of the protocol (MS-NLMP) and knows nothing of the library our client signs in with,
so that the two can be wrong only where both read the same text wrongly. NTLMv1 is refused.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

SIGNATURE = b"NTLMSSP\0"
_VERSION = bytes((10, 0)) + struct.pack("<H", 17763) + bytes((0, 0, 0, 15))
_EPOCH = datetime(1601, 1, 1, tzinfo=UTC)
_MIC_AT = 72

# Flags of the negotiation (MS-NLMP 2.2.2.5).
_UNICODE, _REQUEST_TARGET, _SIGN, _SEAL, _NTLM = 0x1, 0x4, 0x10, 0x20, 0x200
_ALWAYS_SIGN, _DOMAIN, _EXTENDED, _TARGET_INFO = 0x8000, 0x10000, 0x80000, 0x800000
_WITH_VERSION, _128, _KEY_EXCHANGE, _56 = 0x2000000, 0x20000000, 0x40000000, 0x80000000
_OURS = _UNICODE | _REQUEST_TARGET | _NTLM | _ALWAYS_SIGN | _DOMAIN | _EXTENDED | _TARGET_INFO | _WITH_VERSION
_IF_ASKED = _SIGN | _SEAL | _128 | _KEY_EXCHANGE | _56

# Names of the attributes a challenge and its answer carry (2.2.2.1).
_END, _NB_COMPUTER, _NB_DOMAIN, _DNS_COMPUTER, _DNS_DOMAIN, _FLAGS, _TIMESTAMP, _BINDINGS = 0, 1, 2, 3, 4, 6, 7, 10
_HAS_MIC = 0x2

_SHIFTS = ((3, 7, 11, 19), (3, 5, 9, 13), (3, 9, 11, 15))
_ORDER = (
    tuple(range(16)),
    (0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15),
    (0, 8, 4, 12, 2, 10, 6, 14, 1, 9, 5, 13, 3, 11, 7, 15),
)
_ADDED = (0, 0x5A827999, 0x6ED9EBA1)
_MIXED: tuple[Callable[[int, int, int], int], ...] = (
    lambda x, y, z: (x & y) | (~x & z),
    lambda x, y, z: (x & y) | (x & z) | (y & z),
    lambda x, y, z: x ^ y ^ z,
)


class Refused(Exception):
    """A sign-in that is not accepted. The message is for the ledger, a client only sees 401."""


def md4(data: bytes) -> bytes:
    """Give the MD4 digest (RFC 1320), which OpenSSL no longer offers and NTLM still needs."""
    padded = data + b"\x80" + bytes((55 - len(data)) % 64) + struct.pack("<Q", len(data) * 8)
    held = (0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476)
    for start in range(0, len(padded), 64):
        words, (a, b, c, d) = struct.unpack_from("<16I", padded, start), held
        for turn in range(3):
            for step, at in enumerate(_ORDER[turn]):
                total = (a + _MIXED[turn](b, c, d) + words[at] + _ADDED[turn]) & 0xFFFFFFFF
                shift = _SHIFTS[turn][step % 4]
                a, b, c, d = d, ((total << shift) | (total >> (32 - shift))) & 0xFFFFFFFF, b, c
        held = tuple((old + new) & 0xFFFFFFFF for old, new in zip(held, (a, b, c, d), strict=True))  # type: ignore[assignment]
    return struct.pack("<4I", *held)


def secret_of(password: str) -> bytes:
    """Give what NTLM keeps of a password."""
    return md4(password.encode("utf-16-le"))


def rc4(key: bytes, data: bytes) -> bytes:
    """Encrypt or decrypt with RC4."""
    box, j = list(range(256)), 0
    for i in range(256):
        j = (j + box[i] + key[i % len(key)]) & 0xFF
        box[i], box[j] = box[j], box[i]
    out, i, j = bytearray(), 0, 0
    for byte in data:
        i = (i + 1) & 0xFF
        j = (j + box[i]) & 0xFF
        box[i], box[j] = box[j], box[i]
        out.append(byte ^ box[(box[i] + box[j]) & 0xFF])
    return bytes(out)


def _keyed(key: bytes, data: bytes) -> bytes:
    return hmac.digest(key, data, "md5")


def _md5(data: bytes) -> bytes:
    return hashlib.md5(data, usedforsecurity=False).digest()


def binding_hash(certificate: bytes, digest: str = "sha256") -> bytes:
    """Give what an answer must carry to be bound to a TLS server certificate (DER): tls-server-end-point, hashed."""
    data = b"tls-server-end-point:" + hashlib.new(digest, certificate).digest()
    return _md5(bytes(16) + struct.pack("<I", len(data)) + data)


def _pack_attributes(values: Mapping[int, bytes]) -> bytes:
    written = b"".join(struct.pack("<HH", name, len(value)) + value for name, value in values.items())
    return written + struct.pack("<HH", _END, 0)


def _read_attributes(data: bytes) -> dict[int, bytes]:
    found, at = {}, 0
    while at + 4 <= len(data):
        name, length = struct.unpack_from("<HH", data, at)
        if name == _END:
            break
        found[name] = data[at + 4 : at + 4 + length]
        at += 4 + length
    return found


def _field(message: bytes, at: int) -> bytes:
    length, _, start = struct.unpack_from("<HHI", message, at)
    return message[start : start + length]


@dataclass(slots=True)
class Signer:
    """Signs and checks what goes over a connection once both sides share a key. Messages are counted per direction."""

    key: bytes
    flags: int

    def sign(self, data: bytes, direction: str) -> bytes:
        """Give the signature of the first message in a direction, `client-to-server` or `server-to-client`."""
        length = 16 if self.flags & _128 else 7 if self.flags & _56 else 5
        signing = _md5(self.key + f"session key to {direction} signing key magic constant\0".encode())
        sealing = _md5(self.key[:length] + f"session key to {direction} sealing key magic constant\0".encode())
        number = bytes(4)
        checked = _keyed(signing, number + data)[:8]
        return struct.pack("<I", 1) + (rc4(sealing, checked) if self.flags & _KEY_EXCHANGE else checked) + number


@dataclass(slots=True)
class Acceptor:
    """One sign-in on one connection: `greet` the first message, `accept` the second.

    secrets_of: what is kept of a password, by user and domain as the client wrote them; None for nobody known.
    binding: of this server's certificate; empty without TLS. is_bound: an answer without it is refused.
    """

    secret_of: Callable[[str, str], bytes | None]
    domain: str
    host: str
    binding: bytes = b""
    is_bound: bool = False
    signer: Signer | None = None
    _greeted: bytes = b""
    _greeting: bytes = b""
    _nonce: bytes = field(default_factory=lambda: secrets.token_bytes(8))

    def greet(self, message: bytes) -> bytes:
        """Give the challenge to a first message."""
        if message[:8] != SIGNATURE or len(message) < 16 or struct.unpack_from("<I", message, 8)[0] != 1:
            raise Refused("not the first message of NTLM")
        asked = struct.unpack_from("<I", message, 12)[0]
        flags = _OURS | (asked & _IF_ASKED)
        name, netbios = self.domain.upper().partition(".")[0].encode("utf-16-le"), self.host.upper().partition(".")[0]
        info = _pack_attributes(
            {
                _NB_DOMAIN: name,
                _NB_COMPUTER: netbios.encode("utf-16-le"),
                _DNS_DOMAIN: self.domain.encode("utf-16-le"),
                _DNS_COMPUTER: self.host.encode("utf-16-le"),
                _TIMESTAMP: struct.pack("<Q", int((datetime.now(UTC) - _EPOCH).total_seconds() * 10_000_000)),
            }
        )
        start = 56
        self._greeted = message
        self._greeting = (
            SIGNATURE
            + struct.pack("<IHHII", 2, len(name), len(name), start, flags)
            + self._nonce
            + bytes(8)
            + struct.pack("<HHI", len(info), len(info), start + len(name))
            + _VERSION
            + name
            + info
        )
        return self._greeting

    def accept(self, message: bytes) -> tuple[str, str]:
        """Judge the answer; give user and domain as the client wrote them. Raises Refused."""
        if message[:8] != SIGNATURE or len(message) < 64 or struct.unpack_from("<I", message, 8)[0] != 3 or not self._greeting:
            raise Refused("not the last message of NTLM")
        flags = struct.unpack_from("<I", message, 60)[0]
        coding = "utf-16-le" if flags & _UNICODE else "cp1252"
        domain, user = (_field(message, at).decode(coding, "replace") for at in (28, 36))
        response, secret = _field(message, 20), self.secret_of(user, domain)
        if len(response) <= 24:
            raise Refused("NTLMv1 is not accepted")
        if secret is None:
            raise Refused("nobody of that name")
        owner = _keyed(secret, (user.upper() + domain).encode("utf-16-le"))
        proof, told = response[:16], response[16:]
        if not hmac.compare_digest(proof, _keyed(owner, self._nonce + told)):
            raise Refused("wrong password")
        attributes = _read_attributes(told[28:])
        self._check_binding(attributes.get(_BINDINGS, b""))
        self.signer = Signer(_session_key(_keyed(owner, proof), flags, message), flags)
        if int.from_bytes(attributes.get(_FLAGS, b""), "little") & _HAS_MIC:
            self._check_integrity(message, self.signer.key)
        return user, domain

    def _check_binding(self, given: bytes) -> None:
        if self.is_bound and given != self.binding:
            raise Refused("no channel binding" if given in {b"", bytes(16)} else "bound to another certificate")
        if self.binding and given not in {b"", bytes(16), self.binding}:
            raise Refused("bound to another certificate")

    def _check_integrity(self, message: bytes, key: bytes) -> None:
        blank = message[:_MIC_AT] + bytes(16) + message[_MIC_AT + 16 :]
        expected = _keyed(key, self._greeted + self._greeting + blank)
        if not hmac.compare_digest(message[_MIC_AT : _MIC_AT + 16], expected):
            raise Refused("the messages were changed on their way")


def _session_key(key: bytes, flags: int, message: bytes) -> bytes:
    if flags & _KEY_EXCHANGE and flags & (_SIGN | _SEAL):
        return rc4(key, _field(message, 52))
    return key
