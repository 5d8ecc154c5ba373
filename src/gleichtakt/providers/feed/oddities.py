"""What surprised us about feeds: addresses, texts around the calendar, compression, hints about how often to come."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable
from datetime import timedelta
from typing import Final
from urllib.parse import SplitResult, urlsplit, urlunsplit

MOST_RATIO: Final = 200  # a calendar compresses 5 to 30 times; a bomb 1,000 times
RATIO_COUNTS_FROM: Final = 1 << 20

_SCHEMES = {"webcal": "https", "webcals": "https", "feed": "https", "ics": "https"}
_PORTS = {"http": 80, "https": 443}


def canonical(url: str) -> str:
    """Give one spelling for addresses that mean the same feed: `webcal` is https, hosts are lower case, no fragment."""
    parts = urlsplit(url.strip())
    scheme = _SCHEMES.get(parts.scheme.lower(), parts.scheme.lower())
    host, port = (parts.hostname or "").lower(), parts.port
    named = f"[{host}]" if ":" in host else host
    where = named if port in {None, _PORTS.get(scheme)} else f"{named}:{port}"
    path = re.sub("%[0-9a-fA-F]{2}", lambda found: found[0].upper(), parts.path) or "/"
    return urlunsplit(SplitResult(scheme, where, path, parts.query, ""))


_DURATION = re.compile(r"P(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?\Z")
_HINT = re.compile(rb"(?im)^(?:REFRESH-INTERVAL|X-PUBLISHED-TTL)(?:;[^:\r\n]*)?:([^\r\n]*)")
_NAME = re.compile(rb"(?im)^X-WR-CALNAME(?:;[^:\r\n]*)?:([^\r\n]*)")


def refresh_wish(head: bytes) -> int:
    """Give the seconds between visits that the publisher wants; 0 without a wish (RFC 7986 §5.7, and Outlook's own)."""
    for text in _HINT.findall(head):
        found = _DURATION.match(text.decode("ascii", "replace").strip().upper())
        if found and any(found.groups()):
            weeks, days, hours, minutes, seconds = (min(int(part or 0), 10_000) for part in found.groups())
            wish = timedelta(weeks=weeks, days=days, hours=hours, minutes=minutes, seconds=seconds)
            return int(wish.total_seconds())
    return 0


def calendar_name(head: bytes) -> str:
    """Give the name the publisher gave the calendar; empty without one."""
    found = _NAME.search(head)
    return found[1].decode("utf-8", "replace").strip().replace("\\,", ",").replace("\\;", ";")[:200] if found else ""


class TooLarge(Exception):
    """The file, unpacked, is larger than allowed."""


class Bomb(Exception):
    """The file unpacks to an absurd multiple of itself."""


class Incomplete(Exception):
    """The compressed file breaks off."""


class Unpacker:
    """Takes a download piece by piece and gives its plain bytes, within limits.

    Compression is taken from the first bytes as well: servers hand out `.ics.gz` without saying so.
    """

    def __init__(self, encoding: str, most: int) -> None:
        """encoding: the Content-Encoding header. most: bytes allowed after unpacking."""
        self.most, self.packed, self.plain = most, 0, 0
        self._encoding = encoding.strip().lower()
        self._inflate: zlib._Decompress | None = None
        self._held: bytes | None = b""  # until the first two bytes are there

    def feed(self, piece: bytes) -> bytes:
        """Unpack one piece. Raises TooLarge, Bomb or, where the compressed bytes make no sense, Incomplete."""
        self.packed += len(piece)
        if self._held is not None:
            piece = self._held + piece
            if len(piece) < 2:
                self._held = piece
                return b""
            self._held, self._inflate = None, self._begin(piece)
        given = piece if self._inflate is None else self._unpack(self._inflate, piece)
        self.plain += len(given)
        if self.plain > self.most:
            raise TooLarge
        return given

    def close(self) -> bytes:
        """Give what was held back. Raises Incomplete when the compressed file has not ended."""
        if self._inflate is not None and not self._inflate.eof:
            raise Incomplete
        return self._held or b""

    def _begin(self, piece: bytes) -> zlib._Decompress | None:
        openers: dict[str, Callable[[], zlib._Decompress]] = {
            "gzip": lambda: zlib.decompressobj(31),
            "x-gzip": lambda: zlib.decompressobj(31),
            "deflate": lambda: zlib.decompressobj(15 if piece[:1] == b"\x78" else -15),
        }
        encoding = "gzip" if piece[:2] == b"\x1f\x8b" else self._encoding
        is_plain = encoding in {"gzip", "x-gzip"} and piece[:2] != b"\x1f\x8b"  # says gzip and sends text
        return openers[encoding]() if encoding in openers and not is_plain else None

    def _unpack(self, inflate: zlib._Decompress, piece: bytes) -> bytes:
        try:
            given = inflate.decompress(piece, self.most - self.plain + 1)
        except zlib.error:
            raise Incomplete from None
        total = self.plain + len(given)
        if total > RATIO_COUNTS_FROM and total > MOST_RATIO * self.packed:
            raise Bomb
        return given
