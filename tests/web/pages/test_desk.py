"""What the pages show, to whom, and what their buttons do."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text
from tests.web.pages.believable import PASSWORD, SECRET, Desk
from tests.web.pages.conftest import Client, browser, send, sign_in

from gleichtakt.store import accounts, calendars
from gleichtakt.store import desk as desk_store
from gleichtakt.store.database import Database

LISTS = ("/", "/links", "/runs", "/problems", "/holds", "/conflicts", "/resources", "/connections", "/account")


def pages_of(desk: Desk) -> list[str]:
    """Every page there is."""
    link = desk.links["Anna Berger"]
    return [
        *LISTS,
        "/?show=look&q=berger",
        "/runs?show=wrote",
        "/problems?state=ignored",
        "/holds?show=decided",
        "/conflicts?show=decided",
        "/resources?kind=room",
        f"/links/{link}",
        f"/links/{desk.links['Dora Ehlers']}/plan",
        f"/links/{link}/plan",
        f"/runs/{desk.run_id}",
        f"/runs/{desk.run_id}?titles=shown",
        f"/holds/{desk.hold_id}",
        f"/conflicts/{desk.conflict_id}",
        f"/conflicts/{desk.deletion_conflict_id}",
        f"/resources/{desk.resources['Anna Berger']}",
        f"/connections/{desk.connections['Exchange Hamburg']}",
    ]


async def state_of(database: Database, table: str, row_id: UUID) -> str:
    async with database.read() as connection:
        found = await connection.execute(text(f"select state from {table} where id = :id"), {"id": row_id})
        return str(found.scalar_one())


@pytest.mark.parametrize("language", ["de", "en"])
async def test_every_page_is_there_in_both_languages_and_keeps_private_titles(admin: Client, desk: Desk, language: str) -> None:
    await send(admin, "/preferences", language=language, next="/")
    for path in pages_of(desk):
        answer = await admin.get(path)
        assert answer.status_code == 200, path
        assert f'lang="{language}"' in answer.text
        assert SECRET not in answer.text, path
        assert "Zimmer 4" not in answer.text, path  # nor where it takes place


async def test_no_link_and_no_form_leads_nowhere(admin: Client, desk: Desk) -> None:
    """Every address on every page is answered; every form is one that the application knows."""
    known: set[str] = set()
    for path in pages_of(desk):
        page = (await admin.get(path)).text
        for action in re.findall(r'<form method="post" action="([^"]+)"', page):
            answer = await admin.post(action, data={})
            assert answer.status_code == 403, action  # refused for want of a token, not unknown
        hrefs: list[str] = re.findall(r'href="(/[^"#]*)"', page)
        known |= {href.replace("&amp;", "&") for href in hrefs}
    for href in sorted(known)[:400]:
        answer = await admin.get(href, follow_redirects=False)
        assert answer.status_code == 200, href


async def test_the_overview_puts_the_worst_first_and_says_what_to_do(admin: Client) -> None:
    page = (await admin.get("/")).text
    names = re.findall(r'class="name" href="[^"]+"><b>([^<]+)', page)
    assert names[:3] == ["Celik Demir", "Bernd Castrop", "Raum Isar"]
    assert "mail.muster.example refused the login." in page
    assert "Check user name and password of the connection" in page
    assert "4 of 10 calendars are in step" in page


async def test_someone_of_another_organization_sees_none_of_it(stranger: Client, desk: Desk) -> None:
    await sign_in(stranger, "fremd")
    for path in LISTS[:-1]:
        page = (await stranger.get(path)).text
        assert "Berger" not in page, path
        assert "Muster" not in page, path
    for path in pages_of(desk):
        if re.search("[0-9a-f]{8}-", path):
            assert (await stranger.get(path)).status_code == 404, path


def acts_of(desk: Desk) -> list[str]:
    """Every act on a row of this organization."""
    link = desk.links["Anna Berger"]
    return [
        *(f"/links/{link}/{act}" for act in ("sync", "plan", "pause", "resume")),
        f"/runs/{desk.run_id}/undo",
        *(f"/problems/{desk.problem_id}/{act}" for act in ("retry", "ignore")),
        *(f"/holds/{desk.hold_id}/{act}" for act in ("approve", "reject")),
        f"/conflicts/{desk.conflict_id}/resolve",
        f"/connections/{desk.connections['Exchange Hamburg']}/doctor",
    ]


@pytest.mark.parametrize(("username", "status"), [("fremd", 404), ("lena", 403)])
async def test_nobody_acts_on_what_is_not_theirs_to_act_on(
    stranger: Client, desk: Desk, database: Database, username: str, status: int
) -> None:
    await sign_in(stranger, username)
    async with database.read() as connection:
        before = await desk_store.pulse(connection, None, datetime.now(UTC))
    for act in acts_of(desk):
        assert (await send(stranger, act, resolution="ours")).status_code == status, act
    async with database.read() as connection:
        assert await desk_store.pulse(connection, None, datetime.now(UTC)) == before
        assert (await connection.execute(text("select count(*) from outbox"))).scalar_one() == 0


async def test_who_may_only_look_finds_no_buttons_and_no_titles(stranger: Client, desk: Desk, database: Database) -> None:
    await sign_in(stranger, "lena")
    for path in pages_of(desk):
        page = (await stranger.get(path)).text
        forms = set(re.findall(r'<form method="post" action="([^"]+)"', page))
        assert forms <= {"/preferences", "/logout", "/account/password", f"/conflicts/{desk.conflict_id}/resolve",
                         f"/conflicts/{desk.deletion_conflict_id}/resolve"}, path  # fmt: skip
        assert "Bewerbung Krüger" not in page
        assert "Beratung Kanzlei" not in page
    answer = await send(stranger, f"/holds/{desk.hold_id}/approve")
    assert answer.status_code == 403
    assert await state_of(database, "hold", desk.hold_id) == "open"


async def test_titles_in_a_run_are_masked_until_asked_for_and_that_is_recorded(
    admin: Client, desk: Desk, database: Database
) -> None:
    masked = (await admin.get(f"/runs/{desk.run_id}")).text
    assert "Wochenrunde" not in masked
    assert "W•••" in masked
    assert "Wochenrunde" in (await admin.get(f"/runs/{desk.run_id}?titles=shown")).text
    async with database.read() as connection:
        found = await connection.execute(text("select count(*) from audit where action = 'run.titles_shown'"))
    assert found.scalar_one() == 1


@pytest.mark.parametrize(("button", "state"), [("approve", "approved"), ("reject", "rejected")])
async def test_a_hold_is_decided_once(admin: Client, desk: Desk, database: Database, button: str, state: str) -> None:
    answer = await send(admin, f"/holds/{desk.hold_id}/{button}")
    assert answer.status_code == 200
    assert await state_of(database, "hold", desk.hold_id) == state
    again = await send(admin, f"/holds/{desk.hold_id}/approve")
    assert again.status_code == 409


async def test_sync_now_asks_for_one_run_however_often_it_is_pressed(admin: Client, desk: Desk, database: Database) -> None:
    link = desk.links["Georg Hinz"]
    for _ in range(2):
        assert "A run was asked for" in (await send(admin, f"/links/{link}/sync")).text
    async with database.read() as connection:
        found = await connection.execute(
            text("select count(*), min(asked_by) from run where link_id = :id and state = 'queued'"), {"id": link}
        )
    assert tuple(found.one()) == (1, f"account:{desk.admin_id}")


async def test_a_paused_link_says_so_and_goes_on(admin: Client, desk: Desk, database: Database) -> None:
    link = desk.links["Georg Hinz"]
    assert "Paused" in (await send(admin, f"/links/{link}/pause")).text
    assert await state_of(database, "link", link) == "paused"
    assert (await send(admin, f"/links/{link}/sync")).status_code == 409
    await send(admin, f"/links/{link}/resume")
    assert await state_of(database, "link", link) == "in_step"


async def test_a_dry_run_and_an_undo_are_asked_for(admin: Client, desk: Desk, database: Database) -> None:
    await send(admin, f"/links/{desk.links['Anna Berger']}/plan")
    undone = await send(admin, f"/runs/{desk.run_id}/undo")
    assert "undoes this run" in undone.text
    async with database.read() as connection:
        found = await connection.execute(
            text("select kind, undo_of from run where state = 'queued' and asked_by like 'account:%' order by kind")
        )
    assert [tuple(row) for row in found] == [("plan", None), ("undo", desk.run_id)]


async def test_the_plan_tells_counts_and_mails_in_words(admin: Client, desk: Desk) -> None:
    page = (await admin.get(f"/links/{desk.links['Dora Ehlers']}/plan")).text
    assert "mails to people outside" in page
    assert "1 held back" in page
    assert "Title, Start and End" in page
    only = (await admin.get(f"/links/{desk.links['Dora Ehlers']}/plan?side=app&verb=delete")).text
    assert "Angebot durchgehen" in only
    assert "Erstgespräch" not in only


async def test_a_problem_is_tried_again_or_laid_aside(admin: Client, desk: Desk, database: Database) -> None:
    assert "It is tried again now." in (await send(admin, f"/problems/{desk.problem_id}/retry")).text
    await send(admin, f"/problems/{desk.problem_id}/ignore")
    assert await state_of(database, "problem", desk.problem_id) == "ignored"


def form_of(page: str) -> dict[str, str]:
    """Read what a browser would send of a conflict's form, choices of ours checked."""
    seen = re.search(r'name="seen" value="([^"]+)"', page)
    assert seen is not None
    return {"seen": seen[1]}


async def series_of(database: Database, desk: Desk, series_id: UUID) -> Any:
    async with database.read() as connection:
        row = await calendars.get_event(connection, desk.resources["Anna Berger"], series_id)
    assert row is not None
    return row.series.event


async def test_a_conflict_is_merged_field_by_field_with_what_only_they_changed(
    admin: Client, desk: Desk, database: Database
) -> None:
    page = (await admin.get(f"/conflicts/{desk.conflict_id}")).text
    assert "Beratung Kanzlei Rühl &amp; Partner" in page
    assert "merged by itself" in page
    fields = ["end", "start", "title"]
    choices = {f"choice-{number}": "ours" if name == "title" else "theirs" for number, name in enumerate(fields)}
    answer = await send(admin, f"/conflicts/{desk.conflict_id}/resolve", resolution="merged", **form_of(page), **choices)
    assert answer.status_code == 200
    async with database.read() as connection:
        found = await connection.execute(text("select series_id from conflict where id = :id"), {"id": desk.conflict_id})
        series_id = found.scalar_one()
    event = await series_of(database, desk, series_id)
    assert event.title == "Beratung Kanzlei Rühl"  # ours, as it stands in our calendar
    assert event.start.wall.hour == 11
    assert event.description == "Akte 17/26 mitbringen"


@pytest.mark.parametrize("resolution", ["ours", "theirs"])
async def test_an_edit_against_a_deletion_is_decided_as_a_whole(
    admin: Client, desk: Desk, database: Database, resolution: str
) -> None:
    page = (await admin.get(f"/conflicts/{desk.deletion_conflict_id}")).text
    assert 'value="merged"' not in page
    await send(admin, f"/conflicts/{desk.deletion_conflict_id}/resolve", resolution=resolution, **form_of(page))
    assert await state_of(database, "conflict", desk.deletion_conflict_id) == "resolved"


async def test_a_choice_made_on_an_older_picture_is_refused(admin: Client, desk: Desk, database: Database) -> None:
    page = (await admin.get(f"/conflicts/{desk.conflict_id}")).text
    async with database.begin() as connection:
        await connection.execute(
            text('update conflict set theirs = theirs || \'{"title": "Noch einmal anders"}\' where id = :id'),
            {"id": desk.conflict_id},
        )
    answer = await send(admin, f"/conflicts/{desk.conflict_id}/resolve", resolution="ours", **form_of(page))
    assert answer.status_code == 409
    assert await state_of(database, "conflict", desk.conflict_id) == "open"


async def test_odd_addresses_are_answered_kindly(admin: Client, desk: Desk) -> None:
    for path in ("/links/nix", f"/links/{desk.run_id}", "/holds/%00", f"/runs/{desk.hold_id}"):
        answer = await admin.get(path)
        assert answer.status_code == 404, path
        assert "There is nothing here" in answer.text
    for path in ("/runs?page=0", "/runs?page=-1", "/runs?page=x", "/runs?page=99999999999999999999", "/?show=odd",
                 f"/resources/{desk.resources['Raum Elbe']}?week=9999-W99", "/?q=%25'%22<script>"):  # fmt: skip
        assert (await admin.get(path)).status_code == 200, path
    assert "<script>alert" not in (await admin.get("/?q=<script>alert")).text


async def test_an_empty_server_says_how_to_begin(database: Database) -> None:
    async with database.begin() as connection:
        await accounts.ensure_admin(connection, accounts.hash_password(PASSWORD), language="en")
    async with browser(database) as client:
        await sign_in(client, "admin")
        assert "Begin with a connection" in (await client.get("/")).text
        for path in LISTS[1:-1]:
            page = (await client.get(path)).text
            assert 'class="empty"' in page, path


async def test_one_who_runs_several_organizations_may_look_at_one_of_them(stranger: Client, desk: Desk) -> None:
    await sign_in(stranger, "root")
    every = (await stranger.get("/resources")).text
    assert "Fremde Person" in every
    assert "Anna Berger" in every
    await send(stranger, "/preferences", organization=str(desk.other_organization_id), next="/")
    one = (await stranger.get("/resources")).text
    assert "Fremde Person" in one
    assert "Anna Berger" not in one
