"""SRV and TXT records, which the system's own resolver does not give; for discovery by domain alone.

One question per datagram, over TCP when the answer is cut. A name without records is an empty answer; silence of all
servers is an empty answer too, because discovery then goes on by other means.
Sources: RFC 1035 §4 (messages), RFC 2782 (SRV), RFC 6764 §3, §4 (which names CalDAV uses).
"""

from __future__ import annotations

import asyncio
import ipaddress
import secrets
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

SRV, TXT, ANSWER_SECONDS = 33, 16, 2.0
_TRUNCATED, _MAX_JUMPS = 0x0200, 32


@dataclass(frozen=True, slots=True)
class Service:
    """One SRV record: where a service runs. A lower priority is tried first; a target of `.` means «not offered»."""

    priority: int
    weight: int
    port: int
    target: str


def question(name: str, kind: int, number: int) -> bytes:
    """Build the message that asks for one record. ValueError for a name DNS cannot carry."""
    labels = [label.encode("idna") if not label.startswith("_") else label.encode() for label in name.rstrip(".").split(".")]
    if any(not 0 < len(label) < 64 for label in labels):
        raise ValueError(f"no host name: {name}")
    asked = b"".join(bytes([len(label)]) + label for label in labels)
    return struct.pack(">HHHHHH", number, 0x0100, 1, 0, 0, 0) + asked + struct.pack(">xHH", kind, 1)


def _name(message: bytes, at: int) -> tuple[str, int]:
    labels, end = [], -1
    for _ in range(_MAX_JUMPS * 4):
        length = message[at]
        if length >= 0xC0:
            end = at + 2 if end < 0 else end
            at = struct.unpack_from(">H", message, at)[0] & 0x3FFF
        elif length:
            labels.append(message[at + 1 : at + 1 + length].decode("ascii", "replace"))
            at += 1 + length
        else:
            return ".".join(labels), at + 1 if end < 0 else end
    raise ValueError("a name that points at itself")


def records(message: bytes, kind: int, number: int) -> list[tuple[bytes, int]] | None:
    """Give the records of a kind as (message, position of the data); None when the answer was cut. ValueError if foreign."""
    got, flags, questions, answers = struct.unpack_from(">HHHH", message)
    if got != number or not flags & 0x8000:
        raise ValueError("not the answer to this question")
    if flags & _TRUNCATED:
        return None
    at, found = 12, []
    for _ in range(questions):
        at = _name(message, at)[1] + 4
    for _ in range(answers):
        at = _name(message, at)[1]
        got_kind, _, _, length = struct.unpack_from(">HHIH", message, at)
        if got_kind == kind:
            found.append((message[: at + 10 + length], at + 10))
        at += 10 + length
    return found


def services(found: Sequence[tuple[bytes, int]]) -> tuple[Service, ...]:
    """Read SRV records, best first; none when the only one says that the service is not offered."""
    read = []
    for message, at in found:
        priority, weight, port = struct.unpack_from(">HHH", message, at)
        read.append(Service(priority, weight, port, _name(message, at + 6)[0]))
    return tuple(sorted((one for one in read if one.target), key=lambda one: (one.priority, -one.weight)))


def texts(found: Sequence[tuple[bytes, int]]) -> tuple[str, ...]:
    """Read TXT records, each with its strings joined."""
    read = []
    for message, position in found:
        at, parts = position, []
        while at < len(message):
            parts.append(message[at + 1 : at + 1 + message[at]])
            at += 1 + message[at]
        read.append(b"".join(parts).decode("utf-8", "replace"))
    return tuple(read)


def system_servers(configuration: Path = Path("/etc/resolv.conf")) -> tuple[tuple[str, int], ...]:
    """Give the name servers of this machine."""
    try:
        lines = configuration.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ()
    named = [line.split()[1] for line in lines if line.startswith("nameserver") and len(line.split()) > 1]
    return tuple((server, 53) for server in named if _is_address(server))


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return True


class _Asking(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, addr: object) -> None:
        if not self.answer.done():
            self.answer.set_result(data)

    def error_received(self, exc: Exception) -> None:
        if not self.answer.done():
            self.answer.set_exception(exc)


async def _by_datagram(server: tuple[str, int], message: bytes) -> bytes:
    channel, asking = await asyncio.get_running_loop().create_datagram_endpoint(_Asking, remote_addr=server)
    try:
        channel.sendto(message)
        return await asking.answer
    finally:
        channel.close()


async def _by_stream(server: tuple[str, int], message: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(*server)
    try:
        writer.write(struct.pack(">H", len(message)) + message)
        (length,) = struct.unpack(">H", await reader.readexactly(2))
        return await reader.readexactly(length)
    finally:
        writer.close()


async def look_up(
    name: str, kind: int, *, servers: Sequence[tuple[str, int]] | None = None, seconds: float = ANSWER_SECONDS
) -> list[tuple[bytes, int]]:
    """Ask the name servers in turn for the records of one name and kind."""
    number = secrets.randbelow(65_536)
    try:
        message = question(name, kind, number)
    except (ValueError, UnicodeError):
        return []
    for server in system_servers() if servers is None else servers:
        try:
            async with asyncio.timeout(seconds):
                found = records(await _by_datagram(server, message), kind, number)
                if found is None:
                    found = records(await _by_stream(server, message), kind, number)
        except (OSError, TimeoutError, ValueError, IndexError, struct.error, asyncio.IncompleteReadError):
            continue
        return found or []
    return []


async def find_service(name: str, *, servers: Sequence[tuple[str, int]] | None = None) -> tuple[Service, ...]:
    """Give the SRV records of a name such as `_caldavs._tcp.example.com`, best first."""
    return services(await look_up(name, SRV, servers=servers))


async def find_texts(name: str, *, servers: Sequence[tuple[str, int]] | None = None) -> tuple[str, ...]:
    """Give the TXT records of a name."""
    return texts(await look_up(name, TXT, servers=servers))
