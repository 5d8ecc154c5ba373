"""Content lines: bytes to lines and back, parameters, escaped text, durations.

Unfolding happens on bytes, since a fold may stand inside a character. What one producer or another gets wrong and
what can still only mean one thing is read: bare LF or CR, a byte order mark, UTF-16, Latin-1, lower-case names.
Sources: RFC 5545 §3.1, §3.3.6, §3.3.11; RFC 6868; vCalendar 1.0 (quoted-printable).
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from io import BytesIO
from typing import NamedTuple

from gleichtakt.errors import Permanent, Scope

FOLD_OCTETS = 75
BLOCK_BYTES = 262_144
_QUOTED_PRINTABLE = b"QUOTED-PRINTABLE"
_FIND_QP = re.compile(_QUOTED_PRINTABLE, re.IGNORECASE)
_NAME = re.compile(r"[A-Z0-9._-]+")
_SPACE_FOLD, _TAB_FOLD = "\x1c", "\x1d"  # stand for a fold while a block is split; neither occurs in text
_HEAD = re.compile(r'((?:[^":]|"[^"]*")*):')
_PARAMETER = re.compile(r'([^=;,:"]+)(?:=((?:"[^"]*"|[^";])*))?;?')
_PARAMETER_VALUE = re.compile(r'"([^"]*)"|([^,]+)')
_CARET = re.compile(r"\^([n'^])")
_CARET_MEANS = {"n": "\n", "'": '"', "^": "^"}
_ESCAPE = re.compile(r'\\([nN,;\\:"])')
_NEEDS_READING = re.compile("[\\\\\x00-\x08\x0b-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
_ESCAPE_MEANS = {"n": "\n", "N": "\n"}
#: What XML 1.0 or a database cannot hold: controls but tab and line feed, non-characters, halves of surrogate pairs.
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
_DURATION = re.compile(
    r"([+-]?)P(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?$",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one text may ask of us; beyond it is refused with the figure, never read in part."""

    total_bytes: int = 200_000_000
    line_bytes: int = 40_000_000
    depth: int = 20


DEFAULT_LIMITS = Limits()


class Line(NamedTuple):
    """One content line, unfolded. name: upper case, empty where the line has no form. params: raw, without the first `;`.

    raw: the bytes as they came, without the last line end, where writing it anew would not give the same bytes.
    """

    name: str
    params: str
    value: str
    number: int = 0
    raw: bytes | None = None


def refuse(code: str, line: int = 0, **params: str) -> Permanent:
    """Make the trouble that refuses a whole text."""
    return Permanent(f"ics.{code}", Scope.CALENDAR, line=str(line), **params)


def read_lines(data: bytes, limits: Limits = DEFAULT_LIMITS) -> Iterator[Line]:
    """Yield the content lines of a text, with the number of the physical line each begins on. Empty lines are left out.

    Works on blocks, so that memory does not grow with the text.
    """
    if len(data) > limits.total_bytes:
        raise refuse("too_large", found=str(len(data)), limit=str(limits.total_bytes))
    data = _plain(data)
    is_quoted = _QUOTED_PRINTABLE in data or _QUOTED_PRINTABLE.lower() in data
    number = 1
    for block in _blocks(data, limits):
        read = _careful_lines if is_quoted else _quick_lines
        yield from read(block, number, limits)
        number += block.count(b"\n")


def _blocks(data: bytes, limits: Limits) -> Iterator[bytes]:
    """Cut a text where a new content line begins, every 256 KiB or so."""
    start, size = 0, len(data)
    while start < size:
        end = min(start + BLOCK_BYTES, size)
        while end < size:
            end = data.find(b"\n", end - 1) + 1 or size
            if end - start > limits.line_bytes + BLOCK_BYTES:
                raise refuse("line_too_long", data.count(b"\n", 0, start) + 1, limit=str(limits.line_bytes))
            if data[end : end + 1] not in (b" ", b"\t"):
                break
            end += 1
        yield data[start:end]
        start = end


def _quick_lines(block: bytes, number: int, limits: Limits) -> Iterator[Line]:
    """Read a block that is what it should be; a character folds at a mark until its line is looked at."""
    try:
        text = block.decode()
    except UnicodeDecodeError:
        yield from _careful_lines(block, number, limits)
        return
    if _SPACE_FOLD in text or _TAB_FOLD in text:
        yield from _careful_lines(block, number, limits)
        return
    text = text.replace("\r\n", "\n").replace("\n ", _SPACE_FOLD).replace("\n\t", _TAB_FOLD)
    if len(text) > limits.line_bytes and any(len(whole) > limits.line_bytes for whole in text.split("\n")):
        raise refuse("line_too_long", number, limit=str(limits.line_bytes))
    new = tuple.__new__  # half the cost of Line(…), and this is the innermost loop
    for whole in text.split("\n"):
        raw = None
        here = number
        number += 1
        if _SPACE_FOLD in whole or _TAB_FOLD in whole:
            number += whole.count(_SPACE_FOLD) + whole.count(_TAB_FOLD)
            raw = whole.replace(_SPACE_FOLD, "\r\n ").replace(_TAB_FOLD, "\r\n\t").encode()
            whole = whole.replace(_SPACE_FOLD, "").replace(_TAB_FOLD, "")  # noqa: PLW2901
        head, colon, value = whole.partition(":")
        name, _, params = head.partition(";")
        if raw is None and len(whole) > FOLD_OCTETS:
            raw = whole.encode()
        if not colon or '"' in head or not name.isupper() or " " in name:
            if whole and not whole.isspace():
                yield _odd_line(whole, here, raw)
            continue
        yield new(Line, (name, params, value, here, raw))


def _careful_lines(block: bytes, number: int, limits: Limits) -> Iterator[Line]:
    """Read a block byte by byte: other encodings, folds inside characters, soft breaks of quoted-printable."""
    start, size, pieces, continues_quoted = number, 0, list[bytes](), False
    for physical in BytesIO(block):
        number += 1
        if pieces and (physical[0] in b" \t" or continues_quoted):
            pieces.append(physical)
            size += len(physical)
            if size > limits.line_bytes:
                raise refuse("line_too_long", start, limit=str(limits.line_bytes))
            continues_quoted = continues_quoted and physical.rstrip(b"\r\n").endswith(b"=")
            continue
        if pieces:
            yield _careful_line(pieces, start)
        pieces.clear()
        if physical.isspace():
            continue
        start, size = number - 1, len(physical)
        pieces.append(physical)
        continues_quoted = physical.endswith((b"=\r\n", b"=\n")) and _FIND_QP.search(physical.partition(b":")[0]) is not None
    if pieces:
        yield _careful_line(pieces, start)


def _plain(data: bytes) -> bytes:
    """Bring other encodings of a whole text to UTF-8, and old line ends to LF."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        data = data.decode("utf-16", "replace").encode("utf-8", "replace")
    data = data.removeprefix(codecs.BOM_UTF8)
    return data if b"\n" in data else data.replace(b"\r", b"\n")


def _careful_line(pieces: list[bytes], number: int) -> Line:
    raw = None
    if len(pieces) == 1:
        whole = pieces[0].rstrip(b"\r\n")
        if len(whole) > FOLD_OCTETS:
            raw = whole
    else:
        raw = b"".join(pieces).rstrip(b"\r\n").replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
        whole = _unfolded(pieces)
    try:
        text = whole.decode()
    except UnicodeDecodeError:
        text, raw = _decoded(whole), raw or whole
    return _odd_line(text, number, raw)


def _odd_line(text: str, number: int, raw: bytes | None) -> Line:
    """Read a line whose head may hold quotes, lower case, or no name at all."""
    head, colon, value = text.partition(":")
    if '"' in head and head.count('"') % 2:
        found = _HEAD.match(text)
        if found:
            head, value = found[1], text[found.end() :]
    name, _, params = head.partition(";")
    upper = name.strip().upper()
    if not colon or not _NAME.fullmatch(upper):
        return Line("", "", text, number, raw or text.encode("utf-8", "replace"))
    if upper != name:
        raw = raw or text.encode("utf-8", "replace")
    return Line(upper, params, value, number, raw)


def _unfolded(pieces: list[bytes]) -> bytes:
    parts = [pieces[0].rstrip(b"\r\n")]
    for piece in pieces[1:]:
        bare = piece.rstrip(b"\r\n")
        if piece[0] in b" \t":
            parts.append(bare[1:])
        else:  # a soft line break of quoted-printable
            parts[-1] = parts[-1].removesuffix(b"=")
            parts.append(bare)
    return b"".join(parts)


def _decoded(whole: bytes) -> str:
    """Decode what is not UTF-8: surrogate pairs written byte by byte (old Java), else Windows-1252, else Latin-1."""
    try:
        return whole.decode("utf-8", "surrogatepass").encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    except UnicodeDecodeError:
        pass
    try:
        return whole.decode("cp1252")
    except UnicodeDecodeError:
        return whole.decode("latin-1")


def write_line(line: Line) -> bytes:
    """Write a line folded, without the last line end; untouched lines as they came."""
    if line.raw is not None:
        return line.raw
    return fold(f"{line.name};{line.params}:{line.value}" if line.params else f"{line.name}:{line.value}")


def fold(text: str) -> bytes:
    """Encode and fold at 75 octets, never inside a character."""
    encoded = text.encode("utf-8", "replace")
    if len(encoded) <= FOLD_OCTETS:
        return encoded
    parts, start, room = [], 0, FOLD_OCTETS
    while len(encoded) - start > room:
        end = start + room
        while encoded[end] & 0xC0 == 0x80:
            end -= 1
        parts.append(encoded[start:end])
        start, room = end, FOLD_OCTETS - 1  # the blank counts
    parts.append(encoded[start:])
    return b"\r\n ".join(parts)


# --- parameters --------------------------------------------------------------------------------------------------


def parameters(raw: str) -> dict[str, str]:
    """Read parameters by upper-case name; several values joined by a comma. A bare word is a value without name (1.0)."""
    found: dict[str, str] = {}
    if raw.count('"') % 2:
        raw = raw.replace('"', "")
    for match in _PARAMETER.finditer(raw):
        name, value = match[1].strip().upper(), match[2]
        if value is None:
            found.setdefault("", name)
        elif '"' in value:
            values = ",".join(part[1] if part[1] is not None else part[2] for part in _PARAMETER_VALUE.finditer(value))
            found.setdefault(name, _uncaret(values))
        else:
            found.setdefault(name, _uncaret(value))
    return found


def _uncaret(value: str) -> str:
    return _CARET.sub(lambda match: _CARET_MEANS[match[1]], value) if "^" in value else value


def parameter(name: str, value: str) -> str:
    """Write one parameter, quoted where it must be (RFC 6868)."""
    value = clean(value).replace("^", "^^").replace("\n", "^n").replace('"', "^'")
    return f'{name}="{value}"' if any(mark in value for mark in ":;,") else f"{name}={value}"


def with_parameter(raw: str, name: str, value: str | None) -> str:
    """Replace, add or (None) remove one parameter and leave the others as they are written."""
    kept = [match[0].rstrip(";") for match in _PARAMETER.finditer(raw) if match[1].strip().upper() != name]
    return ";".join([*kept, parameter(name, value)] if value is not None else kept)


# --- values ------------------------------------------------------------------------------------------------------


def clean(text: str) -> str:
    """Leave out what neither XML nor a database can hold, and make line ends LF."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return _FORBIDDEN.sub("", text) if _FORBIDDEN.search(text) else text


def read_text(value: str) -> str:
    """Read a TEXT value; a backslash that escapes nothing stands for itself."""
    if not _NEEDS_READING.search(value):
        return value
    if "\\" in value:
        value = _ESCAPE.sub(lambda match: _ESCAPE_MEANS.get(match[1], match[1]), value)
    return clean(value)


def split_texts(value: str) -> list[str]:
    """Read a comma-separated list of TEXT values."""
    if "\\" not in value:
        return [clean(item) for item in value.split(",")]
    items, current, escaped = [], "", False
    for char in value:
        if char == "," and not escaped:
            items.append(read_text(current))
            current = ""
        else:
            current += char
        escaped = char == "\\" and not escaped
    return [*items, read_text(current)]


def write_text(text: str) -> str:
    """Write a TEXT value."""
    text = clean(text)
    if "\\" in text:
        text = text.replace("\\", "\\\\")
    if "," in text:
        text = text.replace(",", "\\,")
    if ";" in text:
        text = text.replace(";", "\\;")
    return text.replace("\n", "\\n") if "\n" in text else text


class Length(NamedTuple):
    """A DURATION: days are nominal (a day is a day across a clock change), hours exact."""

    days: int
    exact: timedelta

    @property
    def nominal(self) -> timedelta:
        """Give it as if every day had 24 hours."""
        return timedelta(days=self.days) + self.exact


def read_duration(value: str) -> Length:
    """Read a DURATION. Raises ValueError."""
    found = _DURATION.match(value.strip())
    if not found or value.strip().upper().lstrip("+-") in ("P", "PT"):
        raise ValueError(f"{value[:40]!r} is no duration")
    weeks, days, hours, minutes, seconds = (int(part or 0) for part in found.groups()[1:])
    if max(weeks * 7 + days, hours // 24, minutes // 1440, seconds // 86400) > 100_000:
        raise ValueError(f"{value[:40]!r} is too long")
    sign = -1 if found[1] == "-" else 1
    return Length(sign * (weeks * 7 + days), sign * timedelta(hours=hours, minutes=minutes, seconds=seconds))


def write_duration(length: timedelta) -> str:
    """Write an exact DURATION in hours, minutes and seconds, or whole days where it is that."""
    seconds = abs(int(length.total_seconds()))
    sign = "-" if length < timedelta() else ""
    if seconds and seconds % 86400 == 0:
        return f"{sign}P{seconds // 86400}D"
    hours, rest = divmod(seconds, 3600)
    minutes, rest = divmod(rest, 60)
    parts = [f"{hours}H" if hours else "", f"{minutes}M" if minutes else "", f"{rest}S" if rest or not seconds else ""]
    return f"{sign}PT{''.join(parts)}"
