"""Holding callers to their word who ask for it with `Prefer: handling=strict` (RFC 7240 §4.4).

Without it, fields nobody knows are ignored, so that what was read may be sent back, and a change without If-Match counts
whatever happened since. With it, both are refused: a slip of the pen cannot pass for «nothing to change».
"""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Request

from gleichtakt.errors import Permanent, Scope
from gleichtakt.web.api.access import header
from gleichtakt.web.api.shapes import BODY, DOCUMENT, EventBody
from gleichtakt.web.problems import Flaw, Flawed

#: Operations on objects that count no versions.
WITHOUT_VERSION = frozenset({"change_key", "revoke_key", "revoke_feed"})
CHANGING = frozenset({"PUT", "PATCH", "DELETE"})
_EVENT = frozenset({*(BODY.properties or ()), *(DOCUMENT.properties or ())})


async def hold_to_word(request: Request[Any, Any, Any]) -> None:
    """Look closer at a request that asks for it. Raises `web.unconditional` and `web.invalid`."""
    if b"handling=strict" not in header(request.scope, b"prefer").replace(b" ", b"").lower():
        return
    if _counts_versions(request) and not _is_conditional(request):
        raise Permanent("web.unconditional", Scope.SERIES)
    known = _known_fields(request)
    if known is None:
        return
    body = await _object(request)
    unknown = sorted(set(body) - known)
    if unknown:
        raise Flawed([Flaw(name, "is no field of this object") for name in unknown])


def _counts_versions(request: Request[Any, Any, Any]) -> bool:
    return request.method in CHANGING and request.route_handler.handler_name not in WITHOUT_VERSION


def _is_conditional(request: Request[Any, Any, Any]) -> bool:
    return bool(header(request.scope, b"if-match") or header(request.scope, b"if-none-match"))


def _known_fields(request: Request[Any, Any, Any]) -> frozenset[str] | None:
    """Give the fields a handler reads; None where it takes any, or no body."""
    form = request.route_handler.parsed_fn_signature.parameters.get("data")
    for kind in (form.annotation, *(inner.annotation for inner in form.inner_types)) if form else ():
        if kind is EventBody:
            return _EVENT
        if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            return frozenset(kind.__struct_encode_fields__)
    return None


async def _object(request: Request[Any, Any, Any]) -> dict[str, Any]:
    """Give the body if it is an object; what it is else, the handler refuses."""
    try:
        found = msgspec.json.decode(await request.body() or b"null")
    except (msgspec.DecodeError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
