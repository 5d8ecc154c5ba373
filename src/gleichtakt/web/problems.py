"""Every error a caller sees, as a problem document (RFC 9457) in the language asked for. The only place of the web that catches.

Ours and the caller's errors have a status of their own; a trouble of a calendar system behind us is 424, because the
request was fine and our server too.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

import asyncpg
import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, LitestarException, ValidationException
from sqlalchemy.exc import DBAPIError, IntegrityError

from gleichtakt.errors import LANGUAGES, Conflict, CursorExpired, Language, Permanent, Scope, Throttled, Transient, Trouble
from gleichtakt.model.document import Malformed

log = structlog.get_logger(__name__)

TYPES = "/api/v1/problem-types/"
MEDIA_TYPE = "application/problem+json"

#: Statuses by code; what is not listed goes by kind.
STATUS: Mapping[str, int] = {
    "web.unauthorized": 401,
    "web.forbidden": 403,
    "web.forbidden_organization": 403,
    "web.foreign_event": 403,
    "web.not_found": 404,
    "web.no_such_path": 404,
    "web.resource_missing": 404,
    "web.event_missing": 404,
    "web.method_not_allowed": 405,
    "web.malformed": 400,
    "web.etag_stale": 412,
    "web.unconditional": 428,
    "web.exists": 412,
    "web.too_large": 413,
    "web.busy": 409,
    "web.confirm": 409,
    "web.bug": 500,
    "store.cursor_malformed": 422,
}
OURS = {"transient": 503, "throttled": 429, "auth_required": 401, "permanent": 422, "conflict": 409}
BEHIND_US = 424
RETRY_SECONDS = 5


@dataclass(frozen=True, slots=True)
class Flaw:
    """One value that is not accepted. place: path in the body, or the parameter's name."""

    place: str
    reason: str


def language_of(accept: str) -> Language:
    """Choose a language from an Accept-Language header; English where neither of ours is wanted."""
    wanted: list[tuple[float, Language]] = []
    for part in accept.split(","):
        name, _, rest = part.strip().partition(";")
        quality = rest.strip().removeprefix("q=") or "1"
        primary = name.strip().lower().partition("-")[0]
        for language in LANGUAGES:
            if primary == language:
                try:
                    wanted.append((float(quality), language))
                except ValueError:
                    wanted.append((0.0, language))
    return max(wanted, key=lambda pair: pair[0])[1] if wanted else "en"


def status_of(trouble: Trouble) -> int:
    """Give the status for a trouble."""
    if trouble.code in STATUS:
        return STATUS[trouble.code]
    if isinstance(trouble, CursorExpired):
        return 410
    area = trouble.code.partition(".")[0]
    return OURS.get(trouble.kind, 500) if area in ("web", "store", "sync") else BEHIND_US


def document(
    trouble: Trouble, language: Language, flaws: Sequence[Flaw] = (), more: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Give the problem document of a trouble. more: extension members, such as what a confirmation concerns."""
    status = status_of(trouble)
    written: dict[str, Any] = {
        "type": f"{TYPES}{trouble.code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": trouble.cause(language),
        "code": trouble.code,
        "kind": trouble.kind,
        "scope": trouble.scope.value,
        "cause": trouble.cause(language),
        "remedy": trouble.remedy(language),
    }
    if isinstance(trouble, Throttled):
        written["retry_at"] = trouble.until
    if "place" in trouble.params and not flaws:
        flaws = (Flaw(trouble.params["place"], trouble.params.get("reason") or trouble.cause(language)),)
    if flaws:
        written["errors"] = [{"place": flaw.place, "reason": flaw.reason} for flaw in flaws]
    return {**written, **(more or {})}


def respond(
    request: Request[Any, Any, Any], trouble: Trouble, flaws: Sequence[Flaw] = (), headers: Mapping[str, str] | None = None
) -> Response[bytes]:
    """Answer with a problem document."""
    language = language_of(request.headers.get("accept-language", ""))
    status = status_of(trouble)
    sent = {"content-language": language, "cache-control": "no-store", **(headers or {})}
    if status == 401:
        sent["www-authenticate"] = 'Bearer realm="gleichtakt"'
    if isinstance(trouble, Throttled):
        sent["retry-after"] = str(max(1, int((trouble.until - datetime.now(UTC)).total_seconds())))
    elif isinstance(trouble, Transient):
        sent["retry-after"] = str(RETRY_SECONDS)
    more = getattr(trouble, "more", None)
    body = msgspec.json.encode(document(trouble, language, flaws, more))
    return Response(body, status_code=status, media_type=MEDIA_TYPE, headers=sent)


class Unconfirmed(Permanent):
    """Something with consequences was asked for without saying so; `more` tells what it concerns."""

    def __init__(self, confirm: str, hits: Mapping[str, int]) -> None:
        """confirm: the text that has to come back."""
        counts = {"links": 0, "resources": 0, "copies": 0, "imported": 0, **hits}
        super().__init__("web.confirm", Scope.ACCOUNT, **{name: str(count) for name, count in counts.items()})
        self.more = {"confirm": confirm, **hits}


class Flawed(Permanent):
    """Several values that are not accepted."""

    def __init__(self, flaws: Sequence[Flaw]) -> None:
        """flaws: one at least."""
        super().__init__("web.invalid", Scope.SERIES, place=flaws[0].place, reason=flaws[0].reason)
        self.flaws = tuple(flaws)


def invalid(place: str, reason: str) -> Permanent:
    """Say that a value is not accepted."""
    return Permanent("web.invalid", Scope.SERIES, place=place, reason=reason)


# --- what the framework and the database raise ---------------------------------------------------------------------


def on_trouble(request: Request[Any, Any, Any], trouble: Trouble) -> Response[bytes]:
    """Answer what was raised on purpose."""
    return respond(request, trouble, trouble.flaws if isinstance(trouble, Flawed) else ())


def on_malformed(request: Request[Any, Any, Any], malformed: Malformed) -> Response[bytes]:
    """Answer a document that is no series, with the place where reading stopped."""
    return respond(request, invalid(malformed.place, malformed.reason))


def on_http(request: Request[Any, Any, Any], refused: HTTPException) -> Response[bytes]:
    """Answer what the framework refuses by itself."""
    if isinstance(refused, ValidationException):
        flaws = _flaws(refused)
        return respond(request, invalid(flaws[0].place, flaws[0].reason), flaws)
    headers = {name.lower(): value for name, value in (refused.headers or {}).items() if name.lower() == "allow"}
    return respond(request, _REFUSALS.get(refused.status_code, _unreadable)(refused), headers=headers)


_MISSING = re.compile(r"missing required field `([^`]+)`")


def _flaws(refused: ValidationException) -> list[Flaw]:
    found = refused.extra if isinstance(refused.extra, list) else []
    flaws = [_flaw(str(one.get("key", "")), str(one.get("message", ""))) for one in found if isinstance(one, Mapping)]
    return flaws or [Flaw("request", "is not valid")]


def _flaw(place: str, reason: str) -> Flaw:
    """Name a flaw as the caller sees it: the whole body is none of its fields, and a missing field has a place, too."""
    inner = "" if place == "data" else place
    missing = _MISSING.search(reason)
    if missing:
        return Flaw(f"{inner}.{missing[1]}".lstrip("."), "is missing")
    return Flaw(inner or "body", reason)


def _unreadable(refused: HTTPException) -> Trouble:
    return Permanent("web.malformed", Scope.SERIES, reason=str(refused.detail).partition("\n")[0][:200] or "not valid")


_REFUSALS: Mapping[int, Any] = {
    401: lambda _: Permanent("web.unauthorized", Scope.ACCOUNT),
    403: lambda _: Permanent("web.forbidden", Scope.ACCOUNT, needed="–"),
    404: lambda _: Permanent("web.no_such_path", Scope.SERIES),
    405: lambda _: Permanent("web.method_not_allowed", Scope.SERIES),
    413: lambda _: Permanent("web.too_large", Scope.SERIES, limit=str(MAX_BODY // 1_000_000)),
    500: lambda _: _bug(),
}

MAX_BODY = 32_000_000  # a description of 5 MB, written with every character escaped


_BROKEN_RULES: Mapping[str, Trouble] = {
    "23503": Permanent("web.not_found", Scope.SERIES, what="reference"),
    "23505": Conflict("web.taken", Scope.SERIES, what="object"),
}


def on_database(request: Request[Any, Any, Any], refused: DBAPIError | asyncpg.PostgresError) -> Response[bytes]:
    """Answer what the database refuses: values it cannot hold are the caller's, locks pass, the rest is a bug."""
    state = str(getattr(getattr(refused, "orig", refused), "sqlstate", "") or "")
    if state.startswith("22") or isinstance(getattr(refused, "orig", None), asyncpg.DataError | OverflowError):
        return respond(request, Permanent("web.unstorable", Scope.SERIES, place=_unstorable(request)))
    if state in ("55P03", "40001", "40P01"):  # lock timeout, serialization, deadlock
        return respond(request, Transient("web.busy", Scope.SERIES))
    if isinstance(refused, IntegrityError) and state in _BROKEN_RULES:
        return respond(request, _BROKEN_RULES[state])
    return on_bug(request, refused)


def _unstorable(request: Request[Any, Any, Any]) -> str:
    """Name the parameter with the character that no database holds; bodies are looked at when they are read."""
    return next((name for name, value in request.query_params.multi_items() if "\0" in f"{name}{value}"), "body")


def on_nested(request: Request[Any, Any, Any], deep: RecursionError) -> Response[bytes]:
    """Answer a body of lists within lists without end; any other endless descent is our bug."""
    if "deserializing" not in str(deep):
        return on_bug(request, deep)
    return respond(request, invalid("body", "is nested too deeply"))


def _bug() -> Permanent:
    return Permanent("web.bug", Scope.SERIES, report=secrets.token_hex(4))


def on_bug(request: Request[Any, Any, Any], bug: Exception) -> Response[bytes]:
    """Answer our own mistake without telling its inside; the log has it under the report number."""
    trouble = _bug()
    log.error("bug", report=trouble.params["report"], method=request.method, route=_route(request), exc_info=bug)
    return respond(request, trouble)


def _route(request: Request[Any, Any, Any]) -> str:
    """Name the route, never the path: a published address carries its secret there."""
    return str(request.scope.get("path_template", ""))


HANDLERS: dict[int | type[Exception], Any] = {
    Trouble: on_trouble,
    Malformed: on_malformed,
    HTTPException: on_http,
    LitestarException: on_bug,
    DBAPIError: on_database,
    asyncpg.PostgresError: on_database,
    RecursionError: on_nested,
    Exception: on_bug,
}
