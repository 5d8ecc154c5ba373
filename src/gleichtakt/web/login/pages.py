"""Sign-in, sign-out, the own account, and the preferences that need no account: language, light, organization."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime

from litestar import Response, get, post

from gleichtakt.store import accounts, audit
from gleichtakt.store.accounts import SHORTEST_PASSWORD
from gleichtakt.web.i18n import N_, language_of
from gleichtakt.web.login.attempts import Attempts
from gleichtakt.web.login.viewer import (
    LANGUAGE,
    ORGANIZATION,
    SESSION,
    THEME,
    THEMES,
    Asked,
    Onlooker,
    cookie,
    database_of,
    go,
    page,
    safe_path,
)

YEAR_SECONDS = 365 * 24 * 3600
LONGEST_FIELD = 1_000  # characters; nobody's password, and Argon2 need not chew on more


class Door:
    """What one process knows about sign-in: attempts so far, and how many passwords it checks at a time."""

    def __init__(self) -> None:
        """Begin without attempts. Two checks at once: each takes 64 MiB and a core for a moment."""
        self.attempts = Attempts()
        self._at_once = asyncio.Semaphore(2)
        self._nobody = ""

    async def fits(self, password_hash: str, password: str) -> bool:
        """Check a password in a thread. An empty hash stands for «no such account» and takes as long."""
        async with self._at_once:
            if not self._nobody:
                self._nobody = await asyncio.to_thread(accounts.hash_password, "nobody's password")
            fits = await asyncio.to_thread(accounts.password_fits, password_hash or self._nobody, password)
        return fits and bool(password_hash)

    async def hashed(self, password: str) -> str:
        """Hash a new password in a thread."""
        async with self._at_once:
            return await asyncio.to_thread(accounts.hash_password, password)


def door_of(request: Asked) -> Door:
    """Give the one door of this process."""
    state = request.app.state
    if "door" not in state:
        state.door = Door()
    door: Door = state.door
    return door


async def _fields(request: Asked, *names: str) -> list[str]:
    form = await request.form()
    return [str(form.get(name) or "")[:LONGEST_FIELD] for name in names]


@get("/login", include_in_schema=False)
async def sign_in_page(request: Asked, viewer: Onlooker) -> Response[str]:
    """Show the form, or go on for who is already in."""
    onward = safe_path(request.query_params.get("next"))
    if viewer.signed_in:
        return go(request, onward)
    return page(viewer, request, "login.html", onward=onward, username="", trouble="")


@post("/login", include_in_schema=False)
async def sign_in(request: Asked, viewer: Onlooker) -> Response[str]:
    """Check name and password; begin a new session, so that none known beforehand is of use."""
    username, password, onward = await _fields(request, "username", "password", "next")
    door, address, now = door_of(request), request.client.host if request.client else "", time.monotonic()
    wait = door.attempts.wait_seconds(address, username, now)
    if wait:
        trouble = viewer.words.say("Too many attempts. Try again in %(wait)s.", wait=viewer.words.length(wait))
        return page(viewer, request, "login.html", 429, onward=safe_path(onward), username=username, trouble=trouble)
    door.attempts.failed(address, username, now)
    async with database_of(request).read() as connection:
        found = await accounts.find(connection, username)
    account, password_hash = found or (None, "")
    if not await door.fits(password_hash, password) or account is None:
        trouble = viewer.words.say("User name and password do not match.")
        return page(viewer, request, "login.html", 422, onward=safe_path(onward), username=username, trouble=trouble)
    door.attempts.succeeded(address, username)
    async with database_of(request).begin() as connection:
        token = await accounts.open_session(connection, account.id, datetime.now(UTC))
        await audit.record(
            connection,
            organization_id=account.organization_id,
            actor=f"account:{account.id}",
            action="session.open",
            of=f"account/{account.id}",
        )
    answer = go(request, safe_path(onward))
    answer.set_cookie(cookie(request, SESSION, token))
    return answer


@post("/logout", include_in_schema=False)
async def sign_out(request: Asked, viewer: Onlooker) -> Response[str]:
    """End the session here and in the database."""
    token = request.cookies.get(SESSION)
    if viewer.signed_in and token:
        async with database_of(request).begin() as connection:
            await accounts.end_session(connection, token)
    answer = go(request, "/login")
    answer.set_cookie(cookie(request, SESSION, "", max_age=0))
    return answer


@post("/preferences", include_in_schema=False)
async def prefer(request: Asked, viewer: Onlooker) -> Response[str]:
    """Keep language, light or organization; back to the page it was asked on."""
    language, theme, organization, onward = await _fields(request, "language", "theme", "organization", "next")
    answer = go(request, safe_path(onward))
    chosen = language_of(language)
    if chosen:
        answer.set_cookie(cookie(request, LANGUAGE, chosen, YEAR_SECONDS))
        if viewer.signed_in:
            async with database_of(request).begin() as connection:
                await accounts.set_language(connection, viewer.account.id, chosen)
    if theme in THEMES:
        answer.set_cookie(cookie(request, THEME, theme, YEAR_SECONDS))
    if organization == "all" or organization in {str(known.id) for known in viewer.organizations}:
        answer.set_cookie(cookie(request, ORGANIZATION, organization, YEAR_SECONDS))
    return answer


@get("/account", include_in_schema=False)
async def account_page(request: Asked, viewer: Onlooker) -> Response[str]:
    """Show the own account."""
    return page(viewer, request, "account.html", trouble="", shortest=SHORTEST_PASSWORD)


@post("/account/password", include_in_schema=False)
async def change_password(request: Asked, viewer: Onlooker) -> Response[str]:
    """Change the own password and end the account's other sessions. The old one is asked for, as often as at sign-in."""
    old, new, again = await _fields(request, "old", "new", "again")
    door, now, session = door_of(request), time.monotonic(), viewer.signed_in
    trouble = _password_trouble(new, again)
    if not trouble and door.attempts.wait_seconds("account", viewer.account.username, now):
        trouble = N_("Too many attempts. Try again later.")
    if not trouble:
        door.attempts.failed("account", viewer.account.username, now)
        async with database_of(request).read() as connection:
            password_hash = await accounts.password_hash_of(connection, viewer.account.id)
        if not await door.fits(password_hash, old):
            trouble = N_("The present password is not right.")
    if trouble or session is None:
        said = viewer.words.say(trouble, shortest=SHORTEST_PASSWORD)
        return page(viewer, request, "account.html", 422, trouble=said, shortest=SHORTEST_PASSWORD)
    door.attempts.succeeded("account", viewer.account.username)
    made = await door.hashed(new)
    async with database_of(request).begin() as connection:
        await accounts.set_password(connection, viewer.account.id, made, keep_session=session.token_hash)
        await audit.record(
            connection,
            organization_id=viewer.account.organization_id,
            actor=viewer.actor,
            action="account.password",
            of=f"account/{viewer.account.id}",
        )
    return go(request, "/account", "password")


def _password_trouble(new: str, again: str) -> str:
    """Say why a new password is not taken; empty when it is."""
    if new != again:
        return N_("The two new passwords differ.")
    if len(new) < SHORTEST_PASSWORD:
        return N_("The new password needs at least %(shortest)s characters.")
    return ""


DOOR = [sign_in_page, sign_in]
OPEN = [sign_out, prefer]
OWN = [account_page, change_password]
