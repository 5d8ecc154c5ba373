"""What a new instance needs before anyone can use it: an organization, an administrator, an API key.

They are made once, by whichever process comes first, and kept in a file of the data folder that only its owner may read.
"""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import text

from gleichtakt.errors import Language
from gleichtakt.settings import Settings
from gleichtakt.store import accounts, keys, organizations
from gleichtakt.store.database import Database

ADMIN = "admin"
LOCK = 0x676C6569636873  # advisory: of several processes that start at once, one makes everything
NAMES: dict[Language, str] = {"de": "Meine Organisation", "en": "My organization"}


@dataclass(frozen=True, slots=True)
class Made:
    """What was made now; empty texts where it was there already. file: where both can be read again."""

    password: str = ""
    api_key: str = ""
    file: str = ""


def credentials_file(settings: Settings) -> Path:
    """Name the file with the first password and API key."""
    return settings.data_path / "first-start.json"


def first_credentials(settings: Settings) -> dict[str, Any]:
    """Read what the first start made: `api_key`, and `admin` with username and password."""
    kept: dict[str, Any] = json.loads(credentials_file(settings).read_text(encoding="utf-8"))
    return kept


async def first_start(database: Database, settings: Settings, *, language: Language = "de") -> Made:
    """Make what is missing; what is there stays. A key given as setting is accepted from now on, unless it was revoked."""
    password = settings.admin_password or secrets.token_urlsafe(12)
    password_hash = accounts.hash_password(password)
    async with database.begin() as connection:
        await connection.execute(text("select pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
        if await organizations.default_id(connection) is None:
            await organizations.organizations.add(connection, {"name": NAMES[language], "language": language})
        is_new = await accounts.ensure_admin(connection, password_hash, username=ADMIN, language=language)
        known = (await connection.execute(text("select exists (select from api_key)"))).scalar_one()
        api_key = "" if known else settings.api_key or keys.new_key()
        given = settings.api_key
        if api_key:
            await keys.create(connection, organization_id=None, name="first start", scopes=["admin"], key=api_key)
        elif given and not await _has_key(database, given):
            await keys.create(connection, organization_id=None, name="setting", scopes=["admin"], key=given)
        made = Made(password if is_new else "", api_key, str(credentials_file(settings)) if is_new or api_key else "")
        if made.file:
            _keep(Path(made.file), made)
    return made


async def _has_key(database: Database, key: str) -> bool:
    async with database.read() as connection:
        found = await connection.execute(
            text("select exists (select from api_key where key_hash = :hash)"), {"hash": keys.hash_of(key)}
        )
        return bool(found.scalar_one())


def _keep(path: Path, made: Made) -> None:
    """Write the file, readable for its owner from its first byte on."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    kept = {"admin": {"username": ADMIN, "password": made.password}, "api_key": made.api_key}
    fresh = path.with_suffix(".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as written:
        json.dump(kept, written, indent=2)
    fresh.replace(path)
