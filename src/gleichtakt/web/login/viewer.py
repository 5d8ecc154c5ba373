"""Who looks at a page, in which language, zone and light; and the guards that every page stands behind.

`app.state.services` must carry `database` (store.database.Database) and `settings` (gleichtakt.settings.Settings).
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeAlias
from urllib.parse import quote, urlencode, urlsplit
from uuid import UUID

import structlog
from litestar import Request, Response
from litestar.connection import ASGIConnection
from litestar.datastructures import Cookie
from litestar.di import NamedDependency
from litestar.enums import MediaType
from litestar.exceptions import HTTPException, NotAuthorizedException, PermissionDeniedException
from litestar.handlers.base import BaseRouteHandler
from sqlalchemy import text

from gleichtakt.errors import LANGUAGES, Trouble, cause, remedy
from gleichtakt.model.zones import zone_of
from gleichtakt.store import accounts
from gleichtakt.store.accounts import Account, SignedIn
from gleichtakt.store.database import Database
from gleichtakt.web.i18n import NAMES, Words, best_language, language_of, terms
from gleichtakt.web.templates import render

log = structlog.get_logger(__name__)

SESSION, LANGUAGE, THEME, ORGANIZATION = (
    "gleichtakt_session",
    "gleichtakt_language",
    "gleichtakt_theme",
    "gleichtakt_organization",
)
THEMES = ("auto", "light", "dark")
UNSAFE = ("POST", "PUT", "PATCH", "DELETE")
STATUS = {"conflict": 409, "permanent": 422, "transient": 503, "throttled": 503, "auth_required": 409}
MAY_ACT = ("admin", "operator")
MAY_SEE_TITLES = ("admin", "operator")
_FOUND = "gleichtakt_viewer"

#: Nothing from elsewhere, no script or style inside a page, in nobody's frame.
SECURE_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True, slots=True)
class Organization:
    """An organization a viewer may look at."""

    id: UUID
    name: str
    time_zone: str


@dataclass(frozen=True, slots=True)
class Viewer:
    """A person in front of a page. organization None: of every one at once."""

    words: Words
    theme: str = "auto"
    signed_in: SignedIn | None = None
    organization: Organization | None = None
    organizations: tuple[Organization, ...] = ()

    @property
    def account(self) -> Account:
        """Give the account; only behind `signed_in_only`."""
        if self.signed_in is None:
            raise NotAuthorizedException
        return self.signed_in.account

    @property
    def csrf(self) -> str:
        """Give the token that forms carry back; empty before sign-in."""
        return self.signed_in.csrf if self.signed_in else ""

    @property
    def scope(self) -> UUID | None:
        """Give the organization whose rows are shown, None for all."""
        own = self.account.organization_id
        return own or (self.organization.id if self.organization else None)

    @property
    def may_act(self) -> bool:
        """Say whether buttons that change something are for this person."""
        return self.account.role in MAY_ACT

    @property
    def may_allow_writing(self) -> bool:
        """Say whether this person answers for the installation as a whole."""
        return self.account.role == "admin" and self.account.organization_id is None

    @property
    def may_see_titles(self) -> bool:
        """Say whether masked titles may be shown on request."""
        return self.account.role in MAY_SEE_TITLES

    @property
    def actor(self) -> str:
        """Give the name under which this person's acts are recorded."""
        return f"account:{self.account.id}"


Asked: TypeAlias = Request[Any, Any, Any]
Onlooker: TypeAlias = NamedDependency[Viewer]


def database_of(connection: ASGIConnection[Any, Any, Any, Any]) -> Database:
    """Give the database of the running application."""
    found: Database = connection.app.state.services.database
    return found


def is_secure(connection: ASGIConnection[Any, Any, Any, Any]) -> bool:
    """Say whether people reach us by TLS, so that cookies may insist on it."""
    return connection.url.scheme == "https" or connection.app.state.services.settings.public_url.startswith("https://")


def cookie(connection: ASGIConnection[Any, Any, Any, Any], key: str, value: str, max_age: int | None = None) -> Cookie:
    """Make a cookie that scripts cannot read and other sites cannot send along with a form."""
    return Cookie(key=key, value=value, max_age=max_age, path="/", httponly=True, samesite="lax", secure=is_secure(connection))


def safe_path(wanted: str | None, otherwise: str = "/") -> str:
    """Give a path of this server to go on to, never an address elsewhere: `//host` and `/\\host` lead away."""
    if not wanted or not wanted.startswith("/") or wanted[1:2] in ("/", "\\") or any(c < " " for c in wanted):
        return otherwise
    parts = urlsplit(wanted)
    return wanted if not parts.netloc and not parts.scheme else otherwise


# --- finding out who it is ---------------------------------------------------------------------------------------

_ORGANIZATIONS = text("""
select id, name, time_zone from organization
where cast(:only as uuid) is null or id = :only order by name, id limit 200
""")


async def find_viewer(request: ASGIConnection[Any, Any, Any, Any]) -> Viewer:
    """Read session and preferences from cookies and database; once per request."""
    kept = request.scope.setdefault("state", {})
    if _FOUND not in kept:
        kept[_FOUND] = await _read_viewer(request)
    found: Viewer = kept[_FOUND]
    return found


def _stranger(request: ASGIConnection[Any, Any, Any, Any]) -> Viewer:
    """Give a viewer by their preferences alone."""
    theme = request.cookies.get(THEME, "auto")
    language = language_of(request.cookies.get(LANGUAGE)) or best_language(request.headers.get("accept-language", ""))
    return Viewer(Words(language), theme if theme in THEMES else "auto")


async def _read_viewer(request: ASGIConnection[Any, Any, Any, Any]) -> Viewer:
    stranger = _stranger(request)
    token = request.cookies.get(SESSION)
    session = await _read_session(database_of(request), token) if token else None
    if session is None:
        return stranger
    language = language_of(session.account.language) or stranger.words.language
    async with database_of(request).read() as connection:
        rows = await connection.execute(_ORGANIZATIONS, {"only": session.account.organization_id})
        organizations = tuple(Organization(*row) for row in rows)
    chosen = _chosen(session.account, organizations, request.cookies.get(ORGANIZATION))
    zone = chosen or (organizations[0] if organizations else None)
    words = Words(language, zone_of(zone.time_zone) if zone else UTC)
    return Viewer(words, stranger.theme, session, chosen, organizations)


async def _read_session(database: Database, token: str) -> SignedIn | None:
    now = datetime.now(UTC)
    async with database.read() as connection:
        found = await accounts.read_session(connection, token, now)
        if found is None:
            return None
        session, prolong = found
        if prolong:
            await accounts.prolong_session(connection, session, now)
    return session


def _chosen(account: Account, organizations: tuple[Organization, ...], wished: str | None) -> Organization | None:
    """Give the one organization to show: the account's own, the only one, or the one chosen; None for all."""
    if account.organization_id is not None or len(organizations) == 1:
        return organizations[0] if organizations else None
    return next((found for found in organizations if str(found.id) == wished), None)


# --- guards ------------------------------------------------------------------------------------------------------


async def signed_in_only(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """Let nobody pass who has not signed in."""
    viewer = await find_viewer(connection)
    if viewer.signed_in is None:
        raise NotAuthorizedException


async def from_our_own_form(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """Let a change pass only when it comes from a page of ours: same origin, and the session's token in the form."""
    request: Asked = connection  # type: ignore[assignment]
    if request.method not in UNSAFE:
        return
    refuse_other_sites(request)
    viewer = await find_viewer(connection)
    if viewer.signed_in is not None:
        sent = request.headers.get("x-csrf-token") or (await request.form()).get("csrf") or ""
        if not hmac.compare_digest(str(sent).encode(), viewer.csrf.encode()):
            raise PermissionDeniedException("csrf")


async def from_this_site(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """Let a form pass that was started here. Enough for sign-in, which a page opened before an earlier sign-in may repeat."""
    if connection.scope["method"] in UNSAFE:  # type: ignore[typeddict-item]
        refuse_other_sites(connection)


def refuse_other_sites(request: ASGIConnection[Any, Any, Any, Any]) -> None:
    """Refuse what the browser says was started by another site (Fetch Metadata, else Origin)."""
    site = request.headers.get("sec-fetch-site")
    origin = request.headers.get("origin")
    if site is not None and site not in ("same-origin", "none"):
        raise PermissionDeniedException("csrf")
    if site is None and origin is not None and urlsplit(origin).netloc != request.headers.get("host", ""):
        raise PermissionDeniedException("csrf")


async def may_change(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """Let only operators and administrators change something."""
    request: Asked = connection  # type: ignore[assignment]
    if request.method in UNSAFE and not (await find_viewer(connection)).may_act:
        raise PermissionDeniedException("role")


async def viewer_of(request: Asked) -> Viewer:
    """Give the viewer as a dependency of handlers."""
    return await find_viewer(request)


# --- answering ---------------------------------------------------------------------------------------------------


def masked(title: str) -> str:
    """Give a title as logs show it: recognisable for who knows it, for nobody else."""
    return f"{title[:1]}•••"


def page(viewer: Viewer, request: Asked, template: str, status: int = 200, **values: Any) -> Response[str]:
    """Answer with a filled template."""
    query = urlencode([pair for pair in request.query_params.multi_items() if pair[0] != "said"])
    address = request.url.path + (f"?{query}" if query else "")
    given = {
        "viewer": viewer,
        "words": viewer.words,
        "counted": viewer.words.count,
        "language": viewer.words.language,
        "languages": {code: NAMES[code] for code in LANGUAGES},
        "themes": THEMES,
        "path": request.url.path,
        "address": address,
        "said": request.query_params.get("said", ""),
        "terms": terms,
        "told": terms.SAID,
        "cause": lambda code, params: cause(code, viewer.words.at_home(params), viewer.words.language),
        "remedy": partial(remedy, language=viewer.words.language),
        "masked": masked,
        **values,
    }
    body = render(template, viewer.words.language, given)
    return Response(body, media_type=MediaType.HTML, status_code=status, headers=SECURE_HEADERS)


def go(request: Asked, path: str, said: str = "") -> Response[str]:
    """Send the reader on to another page. said: key of the sentence that tells what was done."""
    address = f"{path}{'&' if '?' in path else '?'}said={said}" if said else path
    return Response("", status_code=303, headers={**SECURE_HEADERS, "Location": address}, media_type=MediaType.HTML)


def seen(request: Asked) -> Viewer:
    """Give the viewer a guard has found already; a stranger where it did not come to that."""
    found = request.scope.get("state", {}).get(_FOUND)
    return found if isinstance(found, Viewer) else _stranger(request)


def to_sign_in(request: Asked, _: NotAuthorizedException) -> Response[str]:
    """Answer whoever is not signed in: with the sign-in page, and a way back to where they wanted to go."""
    back = request.url.path if request.method == "GET" and request.url.path != "/live" else "/"
    address = f"/login?next={quote(back, safe='/')}" if back != "/" else "/login"
    if request.headers.get("hx-request"):  # a fragment cannot be redirected; the whole page is
        return Response("", status_code=401, headers={**SECURE_HEADERS, "HX-Redirect": address}, media_type=MediaType.HTML)
    return go(request, address)


def refused(request: Asked, error: HTTPException) -> Response[str]:
    """Answer with a page that says what went wrong and what to do."""
    return page(seen(request), request, "refused.html", error.status_code, status_code=error.status_code, reason=error.detail)


def lost(request: Asked, error: HTTPException) -> Response[str] | None:
    """Answer a browser that asks for an address nobody knows, None for everyone else."""
    is_page = not request.url.path.startswith("/api/") and "text/html" in request.headers.get("accept", "")
    return refused(request, error) if is_page else None


def trouble(request: Asked, error: Trouble) -> Response[str]:
    """Answer an act that was refused: with its cause and its remedy."""
    viewer = seen(request)
    language, params = viewer.words.language, viewer.words.at_home(error.params)
    status = 404 if error.code.endswith("not_found") else STATUS.get(error.kind, 500)
    told = {"told_cause": cause(error.code, params, language), "told_remedy": remedy(error.code, params, language)}
    return page(viewer, request, "refused.html", status, status_code=status, reason="trouble", **told)


def broken(request: Asked, error: Exception) -> Response[str]:
    """Answer a bug: logged in full for those who run the server, a plain page for the reader."""
    log.error("page_broke", path=request.url.path, exc_info=error)
    return page(seen(request), request, "refused.html", 500, status_code=500, reason="")


ANSWERS: dict[int | type[Exception], Any] = {
    NotAuthorizedException: to_sign_in,
    HTTPException: refused,
    Trouble: trouble,
    Exception: broken,
}
