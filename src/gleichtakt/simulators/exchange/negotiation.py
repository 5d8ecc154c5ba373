"""The envelopes of Negotiate around NTLM (RFC 4178): reading what a client offers, writing what the server answers.

Kerberos is offered by clients and never chosen here, so that the fall-back to NTLM is always walked.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gleichtakt.simulators.exchange.ntlm import SIGNATURE, Acceptor, Refused

_SPNEGO = bytes.fromhex("06062b0601050502")
_NTLM = bytes.fromhex("060a2b06010401823702020a")
_COMPLETED, _INCOMPLETE, _REQUEST_MIC = 0, 1, 3


def _parts(data: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Yield tag, content and the whole of each value. Raises Refused for what is no DER."""
    at = 0
    while at < len(data):
        start, tag = at, data[at]
        length, at = (data[at + 1], at + 2) if at + 1 < len(data) else (-1, at)
        if length & 0x80:
            count = length & 0x7F
            length, at = int.from_bytes(data[at : at + count], "big"), at + count
        if length < 0 or at + length > len(data):
            raise Refused("a broken Negotiate message")
        yield tag, data[at : at + length], data[start : at + length]
        at += length


def _inside(data: bytes) -> bytes:
    for _, content, _ in _parts(data):
        return content
    raise Refused("an empty Negotiate message")


def _wrap(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    long = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(long))) + long + content


@dataclass(frozen=True, slots=True)
class Offer:
    """What a message of a client carries. mechanisms: their list as sent, only in the first."""

    mechanisms: bytes
    token: bytes
    mic: bytes

    @property
    def is_ntlm_first(self) -> bool:
        """Say whether the token that came with the list is one of NTLM."""
        return _inside(self.mechanisms) != b"" and _inside(self.mechanisms).startswith(_NTLM)


def read(message: bytes) -> Offer:
    """Read a message of a client, the first or a later one. Raises Refused."""
    if message[:1] == b"\x60":
        outer = _inside(message)
        if not outer.startswith(_SPNEGO):
            raise Refused("neither Negotiate nor NTLM")
        message = outer[len(_SPNEGO) :]
    fields = {tag: content for tag, content, _ in _parts(_inside(_inside(message)))}
    is_first = message[:1] == b"\xa0"
    token = _inside(fields[0xA2]) if 0xA2 in fields else b""
    mic = _inside(fields[0xA3]) if 0xA3 in fields else b""
    return Offer(fields.get(0xA0, b"") if is_first else b"", token, mic)


def write(state: int, token: bytes = b"", mic: bytes = b"", *, names_mechanism: bool = False) -> bytes:
    """Write an answer."""
    fields = _wrap(0xA0, _wrap(0x0A, bytes((state,))))
    if names_mechanism:
        fields += _wrap(0xA1, _NTLM)
    if token:
        fields += _wrap(0xA2, _wrap(0x04, token))
    if mic:
        fields += _wrap(0xA3, _wrap(0x04, mic))
    return _wrap(0xA1, _wrap(0x30, fields))


@dataclass(slots=True)
class Negotiator:
    """One sign-in with Negotiate on one connection. Bare NTLM inside the scheme is understood too, as IIS does."""

    acceptor: Acceptor
    who: tuple[str, str] | None = None
    _mechanisms: bytes = b""
    _is_greeted: bool = False

    def step(self, message: bytes) -> bytes:
        """Take a message and give the answer to it; `who` is set once the client has shown who it is. Raises Refused."""
        if message.startswith(SIGNATURE):
            return self._inner(message)
        offer = read(message)
        if offer.mechanisms:
            return self._first(offer)
        answer = self._inner(offer.token)
        if self.who is None:
            return write(_INCOMPLETE, answer)
        return write(_COMPLETED, mic=self._countersigned(offer.mic))

    def _first(self, offer: Offer) -> bytes:
        self._mechanisms = offer.mechanisms
        if not offer.is_ntlm_first:
            if _NTLM not in offer.mechanisms:
                raise Refused("offers nothing but Kerberos")
            return write(_REQUEST_MIC, names_mechanism=True)
        return write(_INCOMPLETE, self._inner(offer.token), names_mechanism=True)

    def _inner(self, token: bytes) -> bytes:
        if not self._is_greeted:
            self._is_greeted = True
            return self.acceptor.greet(token)
        self.who = self.acceptor.accept(token)
        return b""

    def _countersigned(self, given: bytes) -> bytes:
        """Check the client's signature under its list of mechanisms and give ours."""
        if not given or self.acceptor.signer is None:
            return b""
        if given != self.acceptor.signer.sign(self._mechanisms, "client-to-server"):
            raise Refused("the list of mechanisms was changed on its way")
        return self.acceptor.signer.sign(self._mechanisms, "server-to-client")
