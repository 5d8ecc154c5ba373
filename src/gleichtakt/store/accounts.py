"""People who sign in to us: local accounts, their passwords and their sessions.

Passwords are kept as Argon2id hashes; a session is 256 random bits of which only the SHA-256 is stored, so that a copy
of the database signs nobody in. A session ends after `IDLE` without a visit and after `LONGEST` in any case.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import CursorResult, text
from sqlalchemy.ext.asyncio import AsyncConnection

from gleichtakt.store.database import new_id

ROLES = ("admin", "operator", "dpo", "viewer")
IDLE = timedelta(hours=12)
LONGEST = timedelta(days=7)
RENEW_AFTER = timedelta(minutes=10)  # a visit prolongs the session at most this often: reading stays reading
SHORTEST_PASSWORD = 10

_hasher = PasswordHasher()  # the library's defaults are RFC 9106's second recommendation


@dataclass(frozen=True, slots=True)
class Account:
    """A person who signs in. organization_id None: of every organization."""

    id: UUID
    organization_id: UUID | None
    username: str
    role: str
    language: str
    active: bool


@dataclass(frozen=True, slots=True)
class SignedIn:
    """An account with the session it came by."""

    account: Account
    csrf: str
    token_hash: str


def hash_password(password: str) -> str:
    """Give the Argon2id hash of a password, salt and cost included. Takes some 50 ms on purpose: call it in a thread."""
    return _hasher.hash(password)


def password_fits(password_hash: str, password: str) -> bool:
    """Say whether a password is the hashed one. As slow as `hash_password`, whether it fits or not."""
    try:
        return _hasher.verify(password_hash, password)
    except (VerificationError, InvalidHashError):
        return False


def token_hash(token: str) -> str:
    """Give what is stored of a session's token."""
    return hashlib.sha256(token.encode()).hexdigest()


_ACCOUNT = "account.id, account.organization_id, account.username, account.role, account.language, account.active"


def _account(row: Any) -> Account:
    return Account(row.id, row.organization_id, row.username, row.role, row.language, row.active)


async def create(
    connection: AsyncConnection,
    *,
    username: str,
    password_hash: str,
    role: str = "viewer",
    organization_id: UUID | None = None,
    language: str = "de",
) -> Account:
    """Add an account. A username that is taken raises the database's IntegrityError."""
    values: Mapping[str, Any] = {
        "id": new_id(),
        "organization_id": organization_id,
        "username": username,
        "password_hash": password_hash,
        "role": role,
        "language": language,
    }
    row = await connection.execute(
        text(f"""insert into account (id, organization_id, username, password_hash, role, language)
                 values (:id, :organization_id, :username, :password_hash, :role, :language) returning {_ACCOUNT}"""),
        values,
    )
    return _account(row.one())


async def ensure_admin(connection: AsyncConnection, password_hash: str, *, username: str = "admin", language: str = "de") -> bool:
    """Add the first account unless there is one already; say whether it was added. Safe when two servers start at once."""
    await connection.execute(text("lock table account in share row exclusive mode"))
    if (await connection.execute(text("select exists (select from account)"))).scalar_one():
        return False
    await create(connection, username=username, password_hash=password_hash, role="admin", language=language)
    return True


async def find(connection: AsyncConnection, username: str) -> tuple[Account, str] | None:
    """Give an active account with its password hash, by its name in any case."""
    found = await connection.execute(
        text(f"select {_ACCOUNT}, password_hash from account where lower(username) = lower(:username) and active"),
        {"username": username},
    )
    row = found.one_or_none()
    return (_account(row), row.password_hash) if row else None


async def password_hash_of(connection: AsyncConnection, account_id: UUID) -> str:
    """Give the stored hash of one account; empty for none."""
    found = await connection.execute(text("select password_hash from account where id = :id"), {"id": account_id})
    return str(found.scalar_one_or_none() or "")


async def set_password(
    connection: AsyncConnection, account_id: UUID, password_hash: str, keep_session: str | None = None
) -> None:
    """Change a password and end the account's sessions, but the one whose token hash is *keep_session*."""
    await connection.execute(
        text("update account set password_hash = :password_hash where id = :id"),
        {"id": account_id, "password_hash": password_hash},
    )
    await end_sessions(connection, account_id, keep_session)


async def set_language(connection: AsyncConnection, account_id: UUID, language: str) -> None:
    """Remember the language an account reads."""
    await connection.execute(
        text("update account set language = :language where id = :id"), {"id": account_id, "language": language}
    )


# --- sessions ----------------------------------------------------------------------------------------------------


async def open_session(connection: AsyncConnection, account_id: UUID, now: datetime) -> str:
    """Begin a session and give its token, which is stored nowhere else. Expired sessions of all are swept."""
    token = secrets.token_urlsafe(32)
    await connection.execute(text("delete from session where expires_at <= :now"), {"now": now})
    await connection.execute(
        text("""insert into session (token_hash, account_id, csrf, created_at, expires_at)
                values (:token_hash, :account_id, :csrf, :now, :expires_at)"""),
        {
            "token_hash": token_hash(token),
            "account_id": account_id,
            "csrf": secrets.token_urlsafe(32),
            "now": now,
            "expires_at": now + IDLE,
        },
    )
    await connection.execute(text("update account set last_login_at = :now where id = :id"), {"now": now, "id": account_id})
    return token


_READ_SESSION = text(f"""
select {_ACCOUNT}, session.csrf, session.token_hash, session.created_at as began_at, session.expires_at
from session join account on account.id = session.account_id
where session.token_hash = :token_hash and session.expires_at > :now and account.active
""")


async def read_session(connection: AsyncConnection, token: str, now: datetime) -> tuple[SignedIn, bool] | None:
    """Give who a token belongs to, and whether the session is due to be prolonged; None for an ended or unknown one."""
    found = await connection.execute(_READ_SESSION, {"token_hash": token_hash(token), "now": now})
    row = found.one_or_none()
    if row is None:
        return None
    wanted = min(now + IDLE, row.began_at + LONGEST)
    return SignedIn(_account(row), row.csrf, row.token_hash), wanted - row.expires_at > RENEW_AFTER


async def prolong_session(connection: AsyncConnection, found: SignedIn, now: datetime) -> None:
    """Let a session live on after a visit, never beyond `LONGEST` after it began."""
    await connection.execute(
        text("update session set expires_at = least(:until, created_at + :longest) where token_hash = :token_hash"),
        {"until": now + IDLE, "longest": LONGEST, "token_hash": found.token_hash},
    )


async def end_session(connection: AsyncConnection, token: str) -> None:
    """End one session."""
    await connection.execute(text("delete from session where token_hash = :token_hash"), {"token_hash": token_hash(token)})


async def end_sessions(connection: AsyncConnection, account_id: UUID, but: str | None = None) -> int:
    """End the sessions of an account, but the one with this token hash; give how many were ended."""
    ended: CursorResult[Any] = await connection.execute(
        text("delete from session where account_id = :id and token_hash is distinct from :but"),
        {"id": account_id, "but": but},
    )
    return ended.rowcount
