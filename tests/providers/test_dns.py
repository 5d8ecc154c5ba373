"""SRV and TXT records over a name server of our own."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gleichtakt.providers import dns


def encoded(name: str) -> bytes:
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".") if label) + b"\0"


def srv(priority: int, weight: int, port: int, target: str) -> bytes:
    return struct.pack(">HHH", priority, weight, port) + encoded(target)


class NameServer(asyncio.DatagramProtocol):
    """Answers every question with the same records; `cuts` answers over UDP, `is_silent` does not."""

    def __init__(self, records: list[tuple[int, bytes]], *, cuts: bool = False, is_silent: bool = False) -> None:
        self.records, self.cuts, self.is_silent = records, cuts, is_silent
        self.asked: list[bytes] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.asked.append(data)
        if not self.is_silent:
            self.transport.sendto(self.answer(data, cut=self.cuts), addr)  # type: ignore[attr-defined]

    def answer(self, question: bytes, *, cut: bool) -> bytes:
        number = question[:2]
        listed = [] if cut else self.records
        head = number + struct.pack(">HHHHH", 0x8180 | (0x0200 if cut else 0), 1, len(listed), 0, 0)
        body = b"".join(b"\xc0\x0c" + struct.pack(">HHIH", kind, 1, 60, len(data)) + data for kind, data in listed)
        return head + question[12:] + body

    async def by_stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        (length,) = struct.unpack(">H", await reader.readexactly(2))
        answer = self.answer(await reader.readexactly(length), cut=False)
        writer.write(struct.pack(">H", len(answer)) + answer)
        await writer.drain()
        writer.close()


@asynccontextmanager
async def serving(*records: tuple[int, bytes], cuts: bool = False, is_silent: bool = False) -> AsyncIterator[tuple[str, int]]:
    """Run a name server."""
    loop, server = asyncio.get_running_loop(), NameServer(list(records), cuts=cuts, is_silent=is_silent)
    stream = await asyncio.start_server(server.by_stream, "127.0.0.1", 0)
    port = stream.sockets[0].getsockname()[1]
    transport, _ = await loop.create_datagram_endpoint(lambda: server, local_addr=("127.0.0.1", port))
    try:
        yield "127.0.0.1", port
    finally:
        transport.close()
        stream.close()


async def test_services_come_best_first() -> None:
    records = [
        (dns.SRV, srv(10, 5, 8443, "b.example")),
        (dns.SRV, srv(0, 1, 443, "a.example")),
        (dns.SRV, srv(10, 9, 443, "c.example")),
    ]
    async with serving(*records) as server:
        found = await dns.find_service("_caldavs._tcp.firm.example", servers=[server])
    assert [(one.target, one.port) for one in found] == [("a.example", 443), ("c.example", 443), ("b.example", 8443)]


async def test_a_service_that_is_declared_absent_is_none() -> None:
    async with serving((dns.SRV, srv(0, 0, 0, "."))) as server:
        assert await dns.find_service("_caldavs._tcp.firm.example", servers=[server]) == ()


async def test_texts_are_joined() -> None:
    async with serving((dns.TXT, b"\x05path=\x05/dav/")) as server:
        assert await dns.find_texts("_caldavs._tcp.firm.example", servers=[server]) == ("path=/dav/",)


async def test_an_answer_that_does_not_fit_is_asked_for_over_tcp() -> None:
    async with serving((dns.SRV, srv(0, 1, 443, "a.example")), cuts=True) as server:
        assert len(await dns.find_service("_caldavs._tcp.firm.example", servers=[server])) == 1


async def test_a_silent_server_is_passed_over() -> None:
    async with serving(is_silent=True) as silent, serving((dns.SRV, srv(0, 1, 443, "a.example"))) as server:
        found = await dns.look_up("_caldavs._tcp.firm.example", dns.SRV, servers=[silent, server], seconds=0.05)
    assert len(found) == 1


@pytest.mark.parametrize("name", ["", ".", "a..b", "x" * 64 + ".example"])
async def test_a_name_dns_cannot_carry_has_no_records(name: str) -> None:
    assert await dns.look_up(name, dns.SRV, servers=[]) == []


@given(st.binary(max_size=200))
def test_no_answer_makes_the_reader_hang_or_crash(data: bytes) -> None:
    message = b"\0\1\x81\x80" + data
    try:
        found = dns.records(message, dns.SRV, 1)
        dns.services(found or [])
        dns.texts(found or [])
    except (ValueError, IndexError, struct.error):
        return


def test_name_servers_are_those_of_the_machine(tmp_path: object) -> None:
    from pathlib import Path

    file = Path(str(tmp_path)) / "resolv.conf"
    file.write_text("# comment\nsearch firm.example\nnameserver 10.0.0.1\nnameserver nonsense\nnameserver ::1\n")
    assert dns.system_servers(file) == (("10.0.0.1", 53), ("::1", 53))
    assert dns.system_servers(file.parent / "absent") == ()
