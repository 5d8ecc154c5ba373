"""XML that others wrote badly: characters it forbids, put right before reading and left out before writing. Pure.

One control character in one title must not cost the other 999 events.
"""

from __future__ import annotations

import re
from typing import Final

_CONTROL: Final = bytes.maketrans(bytes(range(9)) + b"\x0b\x0c" + bytes(range(14, 32)), b"\x1a" * 29)
_BAD_BYTES: Final = re.compile(rb"\x1a|\xef\xbf[\xbe\xbf]|\xed[\xa0-\xbf][\x80-\xbf]")
_REFERENCE: Final = re.compile(rb"&#(?:x([0-9a-fA-F]{1,8})|([0-9]{1,9}));")
_REPLACED: Final = "�".encode()
_FORBIDDEN: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def clean_xml(data: bytes) -> tuple[bytes, bool]:
    """Put U+FFFD for what XML forbids, as bytes or as reference; say whether there was any."""
    cleaned = _BAD_BYTES.sub(_REPLACED, data.translate(_CONTROL))
    if b"&#" in cleaned:
        cleaned = _REFERENCE.sub(_reference, cleaned)
    return (data, False) if cleaned == data else (cleaned, True)


def _reference(found: re.Match[bytes]) -> bytes:
    return found[0] if _is_allowed(int(found[1], 16) if found[1] else int(found[2])) else _REPLACED


def _is_allowed(code: int) -> bool:
    return code in (9, 10, 13) or 32 <= code <= 0xD7FF or 0xE000 <= code <= 0xFFFD or 0x10000 <= code <= 0x10FFFF


def xml_text(text: str) -> str:
    """Give a text with U+FFFD for the characters XML forbids."""
    return _FORBIDDEN.sub("�", text)


def is_utf8(data: bytes) -> bool:
    """Say whether a document is in UTF-8, so far as its first bytes tell."""
    head = data[:100].lower()
    return not head.startswith((b"\xff\xfe", b"\xfe\xff")) and (b"encoding" not in head or b"utf-8" in head or b"utf8" in head)
