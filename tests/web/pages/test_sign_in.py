"""Who gets in, who does not, and what a browser is told to be careful about."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from httpx import ASGITransport, AsyncClient
from sqlalchemy import text
from tests.web.pages.believable import PASSWORD, Desk
from tests.web.pages.conftest import Client, send, sign_in, token

from gleichtakt.settings import Settings
from gleichtakt.store import accounts
from gleichtakt.store.database import Database
from gleichtakt.store.secrets import SecretBox, new_key
from gleichtakt.web.app import create_app
from gleichtakt.web.login.attempts import PER_ADDRESS, PER_NAME, WINDOW_SECONDS, Attempts
from gleichtakt.web.login.viewer import SESSION, safe_path


async def test_a_stranger_is_led_to_the_door_and_back_to_where_they_wanted_to_go(stranger: Client) -> None:
    away = await stranger.get("/holds", follow_redirects=False)
    assert (away.status_code, away.headers["location"]) == (303, "/login?next=/holds")
    inside = await stranger.post(
        "/login", data={"username": "admin", "password": PASSWORD, "next": "/holds"}, follow_redirects=False
    )
    assert (inside.status_code, inside.headers["location"]) == (303, "/holds")
    assert (await stranger.get("/holds")).status_code == 200


async def test_a_fragment_asked_for_without_session_reloads_the_whole_page(stranger: Client) -> None:
    answer = await stranger.get("/", headers={"hx-request": "true"}, follow_redirects=False)
    assert (answer.status_code, answer.headers["hx-redirect"]) == (401, "/login")


async def test_the_session_cookie_is_for_us_alone(stranger: Client, database: Database) -> None:
    answer = await sign_in(stranger, "ADMIN")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    async with database.read() as connection:
        kept = (await connection.execute(text("select token_hash from session"))).scalar_one()
    assert str(stranger.cookies[SESSION]) not in kept


@pytest.mark.parametrize(("username", "password"), [("admin", "wrong"), ("nobody", PASSWORD), ("", "")])
async def test_a_wrong_name_and_a_wrong_password_read_the_same(stranger: Client, username: str, password: str) -> None:
    answer = await sign_in(stranger, username, password)
    assert answer.status_code == 422
    assert "User name and password do not match." in answer.text
    assert SESSION not in stranger.cookies


async def test_guessing_is_stopped_even_for_the_right_password(stranger: Client) -> None:
    for _ in range(PER_NAME):
        assert (await sign_in(stranger, "admin", "guess")).status_code == 422
    answer = await sign_in(stranger, "admin")
    assert answer.status_code == 429
    assert "Too many attempts" in answer.text
    assert (await sign_in(stranger, "lena")).status_code == 303  # others still get in


def test_attempts_are_forgotten_in_time_and_after_success() -> None:
    attempts = Attempts()
    for second in range(PER_NAME):
        attempts.failed("192.0.2.1", "Admin", float(second))
    assert attempts.wait_seconds("192.0.2.1", "admin", 10.0) == WINDOW_SECONDS - 10.0
    assert attempts.wait_seconds("192.0.2.1", "admin", WINDOW_SECONDS + 0.5) == 0.0
    attempts.failed("192.0.2.2", "lena", 1.0)
    attempts.succeeded("192.0.2.2", "lena")
    assert attempts.wait_seconds("192.0.2.2", "lena", 1.0) == 0.0


def test_an_address_that_tries_many_names_is_stopped_too() -> None:
    attempts = Attempts()
    for number in range(PER_ADDRESS):
        attempts.failed("192.0.2.1", f"name{number}", 0.0)
    assert attempts.wait_seconds("192.0.2.1", "someone new", 1.0) > 0
    assert attempts.wait_seconds("192.0.2.9", "someone new", 1.0) == 0.0


async def test_a_session_ends_when_its_time_is_over(database: Database, desk: Desk) -> None:
    now = datetime.now(UTC)
    async with database.begin() as connection:
        key = await accounts.open_session(connection, desk.admin_id, now)
        assert await accounts.read_session(connection, key, now + accounts.IDLE) is None
        found = await accounts.read_session(connection, key, now + timedelta(hours=11))
        assert found is not None
        session, prolong = found
        assert prolong
        await accounts.prolong_session(connection, session, now + accounts.LONGEST)
        assert await accounts.read_session(connection, key, now + accounts.LONGEST) is None  # never beyond


async def test_a_session_whose_time_is_over_leads_back_to_the_door(admin: Client, database: Database) -> None:
    async with database.begin() as connection:
        await connection.execute(text("update session set expires_at = now() - interval '1 second'"))
    away = await admin.get("/runs", follow_redirects=False)
    assert (away.status_code, away.headers["location"]) == (303, "/login?next=/runs")


async def test_whoever_is_in_already_may_sign_in_again_from_a_forgotten_tab(admin: Client) -> None:
    assert (await sign_in(admin, "lena")).status_code == 303
    assert "lena" in (await admin.get("/account")).text
    elsewhere = {"sec-fetch-site": "cross-site"}
    refused = await admin.post("/login", data={"username": "admin", "password": PASSWORD}, headers=elsewhere)
    assert refused.status_code == 403


async def test_an_address_nobody_knows_is_a_page_for_people_and_a_document_for_programs(database: Database) -> None:
    app = create_app(database, Settings(), SecretBox(new_key()))
    async with AsyncClient(transport=ASGITransport(app), base_url="http://testserver.local") as client:
        seen = await client.get("/nirgends", headers={"accept": "text/html", "accept-language": "de"})
        assert (seen.status_code, "Hier ist nichts" in seen.text) == (404, True)
        assert "default-src 'none'" in seen.headers["content-security-policy"]
        told = await client.get("/nirgends")
        assert (told.status_code, told.headers["content-type"]) == (404, "application/problem+json")


async def test_signing_out_ends_the_session_in_the_database_too(admin: Client, database: Database) -> None:
    await send(admin, "/logout")
    async with database.read() as connection:
        assert (await connection.execute(text("select count(*) from session"))).scalar_one() == 0
    assert (await admin.get("/", follow_redirects=False)).status_code == 303


@pytest.mark.parametrize("csrf", ["", "made-up"])
async def test_a_form_without_our_token_changes_nothing(admin: Client, desk: Desk, database: Database, csrf: str) -> None:
    answer = await admin.post(f"/holds/{desk.hold_id}/approve", data={"csrf": csrf})
    assert answer.status_code == 403
    async with database.read() as connection:
        state = (await connection.execute(text("select state from hold where id = :id"), {"id": desk.hold_id})).scalar_one()
    assert state == "open"


@pytest.mark.parametrize("headers", [{"sec-fetch-site": "cross-site"}, {"origin": "https://elsewhere.example"}])
async def test_a_form_sent_by_another_site_is_refused(admin: Client, desk: Desk, headers: dict[str, str]) -> None:
    fields = {"csrf": await token(admin)}
    answer = await admin.post(f"/holds/{desk.hold_id}/approve", data=fields, headers=headers)
    assert answer.status_code == 403


@pytest.mark.parametrize(
    "path", ["//elsewhere.example", "/\\elsewhere.example", "https://elsewhere.example", "javascript:x", "", "/a\nb"]
)
def test_the_way_back_never_leads_elsewhere(path: str) -> None:
    assert safe_path(path) == "/"


async def test_pages_tell_the_browser_to_be_strict(admin: Client) -> None:
    answer = await admin.get("/")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["cache-control"] == "no-store"
    assert "<script>" not in answer.text
    assert " style=" not in answer.text
    assert " onclick=" not in answer.text


async def test_a_new_password_ends_the_other_sessions_and_is_the_only_one_that_counts(
    admin: Client, desk: Desk, database: Database
) -> None:
    async with database.begin() as connection:
        await accounts.open_session(connection, desk.admin_id, datetime.now(UTC))
    wrong = await send(admin, "/account/password", old="wrong", new="neues-passwort", again="neues-passwort")
    assert wrong.status_code == 422
    short = await send(admin, "/account/password", old=PASSWORD, new="kurz", again="kurz")
    assert "at least 10 characters" in short.text
    done = await send(admin, "/account/password", old=PASSWORD, new="neues-passwort", again="neues-passwort")
    assert done.status_code == 200
    async with database.read() as connection:
        assert (await connection.execute(text("select count(*) from session"))).scalar_one() == 1
    await send(admin, "/logout")
    assert (await sign_in(admin, "admin")).status_code == 422
    assert (await sign_in(admin, "admin", "neues-passwort")).status_code == 303


async def test_the_first_account_is_made_once(database: Database) -> None:
    hashed = accounts.hash_password(PASSWORD)
    async with database.begin() as connection:
        assert await accounts.ensure_admin(connection, hashed)
        assert not await accounts.ensure_admin(connection, hashed)
    async with database.read() as connection:
        found = await accounts.find(connection, "Admin")
    assert found is not None
    assert found[0].role == "admin"
    assert accounts.password_fits(found[1], PASSWORD)


async def test_language_and_light_are_kept_with_and_without_an_account(stranger: Client) -> None:
    await stranger.post("/preferences", data={"language": "de", "theme": "dark", "next": "/login"})
    page = (await stranger.get("/login")).text
    assert 'lang="de"' in page
    assert 'data-theme="dark"' in page
    assert "Anmelden" in page
    await sign_in(stranger, "admin")
    await send(stranger, "/preferences", language="en", next="/")
    assert "calendars are in step" in (await stranger.get("/")).text
