"""GlobalObjectIds: the binary form of a UID, which carries the date of an occurrence. Source: [MS-OXOCAL] §2.2.1.27."""

from __future__ import annotations

from datetime import date, datetime

_CLASS = bytes.fromhex("040000008200E00074C5B7101A82E008")
_FOREIGN = b"vCal-Uid\x01\x00\x00\x00"
_TICKS_EPOCH = datetime(1601, 1, 1)  # noqa: DTZ001 - FILETIME counts from here in UTC


def new_uid(made: datetime, unique: bytes) -> str:
    """Give the UID of an item born here. made: aware UTC; unique: 16 bytes."""
    ticks = int((made.replace(tzinfo=None) - _TICKS_EPOCH).total_seconds()) * 10_000_000
    raw = _CLASS + bytes(4) + ticks.to_bytes(8, "little") + bytes(8) + len(unique).to_bytes(4, "little") + unique
    return raw.hex().upper()


def of_uid(uid: str, day: date | None = None) -> bytes:
    """Give the global id of a UID, own or foreign; with the day of an occurrence where it is meant."""
    raw = _own(uid)
    if raw is None:
        data = _FOREIGN + uid.encode() + b"\x00"
        raw = _CLASS + bytes(20) + len(data).to_bytes(4, "little") + data
    return raw if day is None else raw[:16] + day.year.to_bytes(2) + bytes((day.month, day.day)) + raw[20:]


def _own(uid: str) -> bytes | None:
    try:
        raw = bytes.fromhex(uid)
    except ValueError:
        return None
    return raw[:16] + bytes(4) + raw[20:] if raw.startswith(_CLASS) and len(raw) > 40 else None
