"""Who asks: API keys from the bearer header, their scopes, and the organization a request is about.

A verified key is remembered for `REMEMBER_SECONDS`, so that reading costs no query for it; a key that is revoked in
this process ends at once, elsewhere after that time.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from gleichtakt.errors import Permanent, Scope
from gleichtakt.store import keys, organizations
from gleichtakt.store.database import Database
from gleichtakt.store.rows import missing

if TYPE_CHECKING:
    from litestar.types import HTTPScope

REMEMBER_SECONDS = 30.0
MOST_REMEMBERED = 10_000
_RANK = {scope: rank for rank, scope in enumerate(keys.SCOPES)}


@dataclass(frozen=True, slots=True)
class Access:
    """What a verified key allows. organization_id None: every organization. rank: of its highest scope."""

    key_id: UUID
    organization_id: UUID | None
    rank: int
    name: str
    until: float  # monotonic; when it has to be verified again

    @property
    def actor(self) -> str:
        """Name the caller in journal and audit."""
        return f"api:{self.key_id}"


def unauthorized() -> Permanent:
    """Say that there is no valid key."""
    return Permanent("web.unauthorized", Scope.ACCOUNT)


class KeyRing:
    """The verified keys and the organizations this process knows."""

    def __init__(self, database: Database) -> None:
        """Begin empty."""
        self._database = database
        self._known: dict[bytes, Access] = {}
        self._asking: dict[bytes, asyncio.Future[Access]] = {}
        self._forgotten = 0
        self._organizations: dict[UUID, float] = {}
        self._default: tuple[UUID, float] | None = None

    async def access(self, header: bytes) -> Access:
        """Verify an Authorization header. Raises `web.unauthorized`.

        Keys are found by the hash of what was sent, so how long it takes tells nothing about a right key.
        """
        scheme, _, sent = header.partition(b" ")
        if scheme.lower() != b"bearer" or not sent:
            raise unauthorized()
        digest = hashlib.sha256(sent.strip()).digest()
        found = self._known.get(digest)
        if found is None or found.until < time.monotonic():
            found = await self._asked_once(digest)
        return found

    async def _asked_once(self, digest: bytes) -> Access:
        """Let requests that arrive together wait for one look-up of their key."""
        asking = self._asking.get(digest)
        if asking is None:
            asking = self._asking[digest] = asyncio.ensure_future(self._verify(digest))
            asking.add_done_callback(lambda _: self._asking.pop(digest, None))
        return await asyncio.shield(asking)

    async def _verify(self, digest: bytes) -> Access:
        self._known.pop(digest, None)
        forgotten = self._forgotten
        async with self._database.read() as connection:
            key = await keys.by_hash(connection, digest.hex())
        if key is None:
            raise unauthorized()
        rank = max((_RANK[scope] for scope in key.scopes if scope in _RANK), default=-1)
        until = time.monotonic() + REMEMBER_SECONDS
        if key.expires_at is not None:
            until = min(until, time.monotonic() + key.expires_at.timestamp() - time.time())
        access = Access(key.id, key.organization_id, rank, key.name, until)
        if len(self._known) >= MOST_REMEMBERED:
            self._known.clear()
        if forgotten == self._forgotten:  # else it may be the very key that was revoked while we asked
            self._known[digest] = access
        return access

    def forget(self) -> None:
        """Verify everything anew: a key or an organization has changed."""
        self._known.clear()
        self._asking.clear()
        self._forgotten += 1
        self._organizations.clear()
        self._default = None

    async def organization(self, access: Access, named: str) -> UUID:
        """Give the organization a request is about: the key's own, the one named, or the default one.

        Raises `web.forbidden_organization`, `web.not_found`.
        """
        if access.organization_id is not None:
            if named and named != str(access.organization_id):
                raise Permanent("web.forbidden_organization", Scope.ACCOUNT)
            return access.organization_id
        return await self._named(named) if named else await self._first()

    async def _named(self, named: str) -> UUID:
        try:
            wanted = UUID(named)
        except ValueError:
            raise missing("organization") from None
        if self._organizations.get(wanted, 0.0) < time.monotonic():
            async with self._database.read() as connection:
                await organizations.organizations.get(connection, None, wanted)
            self._organizations[wanted] = time.monotonic() + REMEMBER_SECONDS
        return wanted

    async def _first(self) -> UUID:
        if self._default is None or self._default[1] < time.monotonic():
            async with self._database.read() as connection:
                found = await organizations.default_id(connection)
            if found is None:
                raise missing("organization")
            self._default = found, time.monotonic() + REMEMBER_SECONDS
        return self._default[0]


def header(scope: Any, name: bytes) -> bytes:
    """Give a request header as sent, without building a mapping of all."""
    for found, value in scope["headers"]:
        if found == name:
            return bytes(value)
    return b""


async def authorized(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """Let a request pass whose key has the scope its handler needs: `opt["needs"]`, else read for GET and write for the rest."""
    scope = cast("HTTPScope", connection.scope)
    access = await connection.app.state.services.keys.access(header(scope, b"authorization"))
    needed = handler.opt.get("needs") or ("read" if scope["method"] in ("GET", "HEAD") else "write")
    if access.rank < _RANK[needed]:
        raise Permanent("web.forbidden", Scope.ACCOUNT, needed=needed)
    scope["auth"] = access
