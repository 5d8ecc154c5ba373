"""What handlers share: reading and acting on behalf of a caller, and answers with their headers.

`acting` is one request in one transaction: the effect, its audit row and the answer kept under the idempotency key are
committed together or not at all.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast
from urllib.parse import parse_qs
from uuid import UUID

import msgspec
from litestar import Request, Response
from litestar.datastructures import State
from sqlalchemy.ext.asyncio import AsyncConnection

from gleichtakt.errors import Language
from gleichtakt.settings import Settings
from gleichtakt.store import audit, idempotency
from gleichtakt.store.database import Database
from gleichtakt.store.rows import Listing
from gleichtakt.store.secrets import SecretBox
from gleichtakt.web.api.access import Access, KeyRing, header
from gleichtakt.web.problems import invalid, language_of

if TYPE_CHECKING:
    from gleichtakt.web.api.events import KnownResources

T = TypeVar("T")
V = TypeVar("V", bound=msgspec.Struct)
Ask = Request[Any, Access, State]

LONGEST_KEY = 255
_encode = msgspec.json.Encoder().encode


@dataclass(slots=True)
class Services:
    """What the application was made with; handlers find it in its state."""

    database: Database
    settings: Settings
    box: SecretBox
    keys: KeyRing
    resources: KnownResources


class Page(msgspec.Struct, Generic[T]):
    """One page of a list. next: send it as `cursor` for the following page; null on the last."""

    items: list[T]
    next: str | None = None


def services(request: Request[Any, Any, Any]) -> Services:
    """Give what the application was made with."""
    return cast("Services", request.app.state.services)


def language(request: Request[Any, Any, Any]) -> Language:
    """Give the language the caller reads."""
    return language_of(header(request.scope, b"accept-language").decode("latin-1"))


def access_of(request: Ask) -> Access:
    """Give who asks; the guard has put it there."""
    return cast("Access", request.scope["auth"])


async def organization_of(request: Ask) -> UUID:
    """Give the organization a request is about."""
    named = header(request.scope, b"x-organization").decode("latin-1").strip()
    query = request.scope["query_string"]
    if b"organization_id=" in query:
        named = parse_qs(query.decode("latin-1")).get("organization_id", [named])[-1]
    return await services(request).keys.organization(access_of(request), named)


# --- acting ------------------------------------------------------------------------------------------------------


class Replayed(Exception):
    """The request was answered before; carries that answer."""

    def __init__(self, answer: idempotency.Answer) -> None:
        """Keep the answer."""
        super().__init__("replayed")
        self.answer = answer


@dataclass(slots=True)
class Deed:
    """One change on behalf of a caller, in one transaction."""

    connection: AsyncConnection
    organization_id: UUID
    actor: str
    _noted: list[dict[str, Any]] = field(default_factory=list)
    _given: idempotency.Answer | None = None

    def note(self, action: str, of: str, before: object = None, after: object = None) -> None:
        """Put a row into the audit trail with this change. before, after: views, so that secrets are masked."""
        self._noted.append({"action": action, "of": of, "before": _content(before), "after": _content(after)})

    def answer(
        self, content: T, *, status: int = 200, etag: str = "", location: str = "", headers: Mapping[str, str] | None = None
    ) -> Response[T]:
        """Give the answer, which is kept with the effect."""
        sent = {name: value for name, value in (("etag", etag), ("location", location)) if value} | dict(headers or {})
        body = b"" if status == 204 else _encode(content)
        self._given = idempotency.Answer(status, sent, body)
        return cast("Response[T]", respond(self._given))


def _content(value: object) -> Mapping[str, Any] | None:
    return None if value is None else cast("Mapping[str, Any]", msgspec.to_builtins(value))


@asynccontextmanager
async def acting(request: Ask) -> AsyncIterator[Deed]:
    """Open the transaction of a change. A request repeated with its Idempotency-Key gets the first answer again.

    Raises Replayed, which the application answers; Permanent `web.key_reused` for a key of another request.
    """
    organization_id = await organization_of(request)
    access = access_of(request)
    key = header(request.scope, b"idempotency-key").decode("latin-1")
    if len(key) > LONGEST_KEY:
        raise invalid("Idempotency-Key", f"longer than {LONGEST_KEY} characters")
    digest = await _digest(request) if key else ""
    async with services(request).database.begin() as connection:
        if key:
            kept = await idempotency.take(connection, organization_id, key, digest)
            if kept is not None:
                raise Replayed(kept)
        deed = Deed(connection, organization_id, access.actor)
        yield deed
        if key and deed._given is not None:
            await idempotency.keep(connection, organization_id, key, deed._given)
        for noted in deed._noted:
            await audit.record(connection, organization_id=organization_id, actor=deed.actor, **noted)


async def _digest(request: Ask) -> str:
    """Name a request by what it asks for, so that another one under the same key is found out."""
    scope = request.scope
    parts = (scope["method"].encode(), scope["path"].encode(), scope["query_string"], await request.body())
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


@asynccontextmanager
async def reading(request: Ask) -> AsyncIterator[tuple[AsyncConnection, UUID]]:
    """Give a connection for queries and the organization they are about."""
    organization_id = await organization_of(request)
    async with services(request).database.read() as connection:
        yield connection, organization_id


# --- answers -----------------------------------------------------------------------------------------------------


def respond(answer: idempotency.Answer) -> Response[bytes]:
    """Send an answer as it was given."""
    media_type = "application/json" if answer.body else None
    return Response(answer.body, status_code=answer.status, media_type=media_type, headers=dict(answer.headers))


def replay(_request: Request[Any, Any, Any], replayed: Replayed) -> Response[bytes]:
    """Answer a repeated request with the first answer."""
    answer = replayed.answer
    return respond(idempotency.Answer(answer.status, {**answer.headers, "idempotency-replayed": "true"}, answer.body))


def shown(view: type[V], row: object, **more: Any) -> V:
    """Make the view of a row: fields of the same name, and what is given besides; `etag` from the row's version."""
    names = view.__struct_fields__
    if "etag" in names and "etag" not in more:
        more["etag"] = tag(row)
    return view(**{name: getattr(row, name) for name in names if name not in more}, **more)


def tag(row: object) -> str:
    """Give the strong entity tag of a row that counts its versions."""
    return f'"{row.version}"'  # type: ignore[attr-defined]


def found(request: Ask, content: T, etag: str = "") -> Response[T]:
    """Answer a GET; 304 where the caller has this version already."""
    headers = {"cache-control": "no-store"} if not etag else {"etag": etag, "cache-control": "private, no-cache"}
    if etag and etag in [one.strip() for one in header(request.scope, b"if-none-match").decode("latin-1").split(",")]:
        return cast("Response[T]", Response(b"", status_code=304, headers=headers, media_type=None))
    return cast("Response[T]", Response(_encode(content), media_type="application/json", headers=headers))


def paged(request: Ask, listing: Listing[Any], items: list[T]) -> Response[Page[T]]:
    """Answer with a page of views."""
    return found(request, Page(items, str(listing.next) if listing.next else None))


def expected(request: Ask) -> int | None:
    """Give the version the caller changes, from If-Match; None for any. A tag that is none of ours never fits."""
    sent = header(request.scope, b"if-match").decode("latin-1").strip()
    if sent in ("", "*"):
        return None
    version = sent.removeprefix('"').removesuffix('"')
    return int(version) if sent == f'"{version}"' and version.isascii() and version.isdigit() and len(version) < 19 else -1


def only_new(request: Ask) -> bool:
    """Say whether the caller wants to create and not to replace: `If-None-Match: *`."""
    return header(request.scope, b"if-none-match").strip() == b"*"
