"""Seals what must not lie in the database in clear: passwords, tokens, signing secrets.

AES-256-GCM; a sealed value names the key it was sealed with and opens only in its own place (table, column, row), so
that values cannot be exchanged between rows. The key lives outside the database: in GLEICHTAKT_SECRET_KEY or in a file
of the data folder. Rotation seals everything anew under a new first key; older ones still open until nobody needs them.
"""

from __future__ import annotations

import base64
import hashlib
import os
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from gleichtakt.errors import Permanent, Scope
from gleichtakt.settings import Settings
from gleichtakt.store.database import Database

VERSION: Final = b"\x01"
KEY_BYTES, NONCE_BYTES, NAME_BYTES = 32, 12, 4
#: Every column that holds sealed values; rotation goes over them all.
SEALED: Final = (("connection", "secret"), ("webhook", "secret"), ("webhook", "previous_secret"))
BATCH: Final = 200


def place_of(table: str, column: str, row_id: UUID) -> bytes:
    """Name the place a value is sealed for."""
    return f"{table}.{column}/{row_id}".encode()


class SecretBox:
    """Seals with the first of its keys, opens with any. A box with a key file looks into it again when it has to."""

    def __init__(self, *keys: bytes, file: Path | None = None) -> None:
        """keys: 32 random bytes each, the current one first. file: where they came from, if they may change there."""
        self._file = file
        self._stamp = _stamp(file)
        self._use(keys)

    def __repr__(self) -> str:
        """Show nothing."""
        return "SecretBox(•••)"

    def _use(self, keys: Sequence[bytes]) -> None:
        self._keys = {name_of(key): AESGCM(key) for key in keys}
        self._first = name_of(keys[0])

    def _refresh(self) -> None:
        stamp = _stamp(self._file)
        if self._file and stamp != self._stamp:
            self._use(read_key_file(self._file))
            self._stamp = stamp

    @property
    def key_name(self) -> str:
        """Name the key that seals, for the operator; tells nothing about it."""
        return self._first.hex()

    def seal(self, value: bytes, place: bytes) -> bytes:
        """Seal *value* for *place*."""
        self._refresh()
        nonce = secrets.token_bytes(NONCE_BYTES)
        return VERSION + self._first + nonce + self._keys[self._first].encrypt(nonce, value, VERSION + place)

    def open(self, sealed: bytes, place: bytes) -> bytes:
        """Open what was sealed for *place*. Raises Permanent where the key is missing or the value was tampered with."""
        name = sealed[1 : 1 + NAME_BYTES]
        if name not in self._keys:
            self._refresh()
        key = self._keys.get(name)
        if sealed[:1] != VERSION or key is None:
            raise Permanent("store.key_missing", Scope.ACCOUNT, key=name.hex())
        nonce, rest = sealed[1 + NAME_BYTES :][:NONCE_BYTES], sealed[1 + NAME_BYTES + NONCE_BYTES :]
        try:
            return key.decrypt(nonce, rest, VERSION + place)
        except InvalidTag:
            raise Permanent("store.secret_tampered", Scope.ACCOUNT, place=place.decode()) from None

    def is_current(self, sealed: bytes) -> bool:
        """Say whether *sealed* was sealed with the current key."""
        return sealed[1 : 1 + NAME_BYTES] == self._first


def name_of(key: bytes) -> bytes:
    """Give a key's name: part of a hash, so that it can stand beside what it sealed."""
    return hashlib.sha256(b"gleichtakt key name" + key).digest()[:NAME_BYTES]


def new_key() -> bytes:
    """Draw a key."""
    return secrets.token_bytes(KEY_BYTES)


def read_keys(written: str) -> tuple[bytes, ...]:
    """Read keys written as base64, separated by commas or lines, the current one first. Raises Permanent."""
    keys = []
    for part in written.replace(",", "\n").split():
        try:
            key = base64.b64decode(part.replace("-", "+").replace("_", "/"), validate=True)
        except ValueError:  # not base64, or not even ASCII
            key = b""
        if len(key) != KEY_BYTES:
            raise Permanent("store.key_malformed", Scope.ACCOUNT)
        keys.append(key)
    if not keys:
        raise Permanent("store.key_malformed", Scope.ACCOUNT)
    return tuple(keys)


def key_file(settings: Settings) -> Path:
    """Name the file with the keys."""
    return settings.data_path / "secret.key"


def read_key_file(path: Path) -> tuple[bytes, ...]:
    """Read the keys of the data folder."""
    return read_keys(path.read_text())


def write_key_file(path: Path, keys: Sequence[bytes]) -> None:
    """Replace the file with the keys at once and for good; only its owner may read it."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_suffix(f".{secrets.token_hex(4)}")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.writelines(base64.b64encode(key).decode() + "\n" for key in keys)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)


def open_box(settings: Settings) -> SecretBox:
    """Give the box of this instance: from the setting, else from the data folder, where a key is made at first start."""
    if settings.secret_key:
        return SecretBox(*read_keys(settings.secret_key))
    path = key_file(settings)
    if not path.exists():
        _make_key_file(path)
    return SecretBox(*read_key_file(path), file=path)


def _make_key_file(path: Path) -> None:
    """Make the first key; of several processes that start at once one wins, and all use its key."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_suffix(f".{secrets.token_hex(4)}")
    write_key_file(fresh, [new_key()])
    try:
        os.link(fresh, path)
    except FileExistsError:
        pass
    finally:
        fresh.unlink()


def _stamp(path: Path | None) -> tuple[int, int] | None:
    if path is None or not path.exists():
        return None
    found = path.stat()
    return found.st_mtime_ns, found.st_ino


async def rotate_key(database: Database, settings: Settings) -> Mapping[str, int]:
    """Give the data folder a new key and seal every secret under it; counts per column.

    Running processes notice by themselves. The key before stays in the file, for processes that seal meanwhile and for
    backups; older ones go, since nothing is sealed with them any more. With GLEICHTAKT_SECRET_KEY set nothing is drawn:
    put the new key before the old one (`new,old`) and everything is sealed under the first.
    """
    if not settings.secret_key:
        path = key_file(settings)
        await reseal(database, open_box(settings))  # nothing may be left under a key that goes now
        write_key_file(path, [new_key(), read_key_file(path)[0]])
    return await reseal(database, open_box(settings))


async def reseal(database: Database, box: SecretBox) -> Mapping[str, int]:
    """Seal under the current key whatever is sealed under another; can be interrupted and run again."""
    return {f"{table}.{column}": await _reseal_column(database, box, table, column) for table, column in SEALED}


async def _reseal_column(database: Database, box: SecretBox, table: str, column: str) -> int:
    count, after = 0, UUID(int=0)
    while True:
        async with database.begin() as connection:
            rows = (
                await connection.execute(
                    text(
                        f"SELECT id, {column} FROM {table} WHERE {column} IS NOT NULL AND id > :after "
                        f"ORDER BY id LIMIT {BATCH} FOR NO KEY UPDATE"
                    ),
                    {"after": after},
                )
            ).all()
            for row_id, sealed in rows:
                count += await _reseal_value(connection, box, (table, column, row_id), bytes(sealed))
        if len(rows) < BATCH:
            return count
        after = rows[-1][0]


async def _reseal_value(connection: AsyncConnection, box: SecretBox, at: tuple[str, str, UUID], sealed: bytes) -> bool:
    if box.is_current(sealed):
        return False
    table, column, row_id = at
    place = place_of(table, column, row_id)
    await connection.execute(
        text(f"UPDATE {table} SET {column} = :sealed WHERE id = :id"),
        {"sealed": box.seal(box.open(sealed, place), place), "id": row_id},
    )
    return True
