"""Feed addresses, hints and unpacking, without a network."""

from __future__ import annotations

import gzip
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gleichtakt.providers.feed import oddities, wire


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("webcal://Cal.Example/a.ics", "https://cal.example/a.ics"),
        ("WEBCALS://cal.example:443/a.ics", "https://cal.example/a.ics"),
        ("HTTPS://CAL.example/a.ics#x", "https://cal.example/a.ics"),
        ("https://cal.example", "https://cal.example/"),
        ("http://cal.example:80/A?b=C", "http://cal.example/A?b=C"),
        ("https://cal.example:8443/%c3%bc.ics", "https://cal.example:8443/%C3%BC.ics"),
        (" https://[::1]/a.ics ", "https://[::1]/a.ics"),
    ],
)
def test_addresses_of_one_feed_have_one_spelling(written: str, read: str) -> None:
    assert oddities.canonical(written) == read
    assert oddities.canonical(read) == read


@pytest.mark.parametrize(
    ("line", "seconds"),
    [
        ("REFRESH-INTERVAL;VALUE=DURATION:PT12H", 43_200),
        ("X-PUBLISHED-TTL:P1W", 604_800),
        ("X-PUBLISHED-TTL:P1DT1H", 90_000),
        ("X-PUBLISHED-TTL:PT", 0),
        ("X-PUBLISHED-TTL:often", 0),
        ("SUMMARY:X-PUBLISHED-TTL:PT1H", 0),
    ],
)
def test_the_publishers_wish_is_read(line: str, seconds: int) -> None:
    assert oddities.refresh_wish(f"BEGIN:VCALENDAR\r\n{line}\r\n".encode()) == seconds


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [
        ("gzip", gzip.compress),
        ("", gzip.compress),
        ("deflate", zlib.compress),
        ("deflate", lambda data: zlib.compress(data)[2:-4]),
        ("gzip", lambda data: data),
        ("br", lambda data: data),
    ],
    ids=["gzip", "gzip, not said", "zlib", "raw deflate", "said, but plain", "unknown"],
)
@given(data=st.binary(max_size=5000), step=st.integers(1, 700))
def test_every_packing_is_undone_piece_by_piece(encoding: str, pack, data: bytes, step: int) -> None:  # type: ignore[no-untyped-def]
    packed = pack(b"BEGIN:" + data)
    unpacker = oddities.Unpacker(encoding, 1 << 20)
    plain = b"".join(unpacker.feed(packed[at : at + step]) for at in range(0, len(packed), step))
    assert plain + unpacker.close() == b"BEGIN:" + data


def test_a_packed_file_without_its_end_is_incomplete() -> None:
    unpacker = oddities.Unpacker("gzip", 1 << 20)
    unpacker.feed(gzip.compress(b"x" * 1000)[:-4])
    with pytest.raises(oddities.Incomplete):
        unpacker.close()


def test_a_cursor_comes_back_and_a_foreign_one_is_none() -> None:
    position = wire.Position("d" * 64, '"e"', "Mon, 01 Jun 2026 12:00:00 GMT", 3600, 7)
    assert wire.read_position(position.write()) == position
    assert [wire.read_position(text) for text in ("", "[]", "[2,1,2,3,4,5]", "{}", "x")] == [None] * 5
