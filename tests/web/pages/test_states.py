"""Whatever the engine can write into the tables has words on the pages, and every state says what follows."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import text
from tests.web.pages.believable import Desk
from tests.web.pages.conftest import Client, send, sign_in

from gleichtakt.onboarding import directory
from gleichtakt.store import desk as desk_store
from gleichtakt.store import levels
from gleichtakt.store.database import Database
from gleichtakt.sync.plan import HoldKind, Side, Verb
from gleichtakt.sync.policy import SETTINGS
from gleichtakt.web.i18n import terms


async def change(database: Database, statement: str, row_id: UUID | None = None) -> None:
    async with database.begin() as connection:
        await connection.execute(text(statement), {"id": row_id} if row_id else {})


def test_every_word_of_the_engine_has_words_for_people() -> None:
    assert {kind.value for kind in HoldKind} == set(terms.HOLDS)
    assert {verb.value for verb in Verb} == set(terms.VERBS) == set(terms.VERBS_DONE)
    assert {side.value for side in Side} == set(terms.SIDES)
    assert set(desk_store.ORDER) == set(terms.CONDITIONS) == {"in_step", *(name for name, _ in desk_store.CONDITIONS)}
    assert {method for provider in directory.providers() for method in directory.methods(provider)} <= set(terms.AUTH_METHODS)
    assert {"two_way", "inbound", "outbound", "off"} == set(terms.WAYS) <= {"off", *SETTINGS["direction"].choices}


def test_every_state_says_what_follows() -> None:
    assert [name for name, term in terms.CONDITIONS.items() if not term.hint] == []
    assert [name for name, term in terms.CONNECTION_STATES.items() if not term.hint] == []
    assert [name for name, said in terms.HOLDS.items() if not all(said)] == []


#: What the worker writes into `link.state`, and what the pages call it.
STATES = {
    "new": "new",
    "listing": "listing",
    "in_step": "in_step",
    "degraded": "degraded",  # in step, but for events that could not be copied
    "delayed": "failing",
    "error": "error",
    "auth_required": "auth_required",
    "verify": "verify",
    "paused": "paused",
    "disconnected": "disconnected",
}


async def test_a_link_says_how_it_stands_and_what_follows(admin: Client, desk: Desk, database: Database) -> None:
    link = desk.links["Georg Hinz"]
    for state, condition in STATES.items():
        await change(database, f"update link set state = '{state}', due = now() + interval '1 minute' where id = :id", link)
        term = terms.CONDITIONS[condition]
        page = (await admin.get(f"/links/{link}")).text
        assert f"<span>{term.label}</span>" in page, state
        assert term.hint in page, state
        assert f"<span>{term.label}</span>" in (await admin.get("/?q=hinz")).text, state


async def test_a_hold_says_what_either_answer_does(admin: Client, desk: Desk, database: Database) -> None:
    for kind in HoldKind:
        await change(database, f"update hold set kind = '{kind.value}' where id = :id", desk.hold_id)
        page = (await admin.get(f"/holds/{desk.hold_id}")).text
        for sentence in (*terms.HOLDS[kind], terms.NO_UNDO.get(kind, terms.UNDO_LATER)):
            assert sentence in page, kind


async def test_a_link_says_which_way_it_goes_and_in_which_detail(admin: Client, desk: Desk, database: Database) -> None:
    link, organization = desk.links["Georg Hinz"], desk.organization_id
    page = (await admin.get(f"/links/{link}")).text
    assert "Bookings of the application go to the calendar with title and time." in page
    assert "Events of the calendar come into the application as busy time, without content." in page
    async with database.begin() as connection:
        await levels.put(connection, organization, "global", organization, {"direction": "outbound"}, "test")
        await levels.put(connection, organization, "link", link, {"direction": "inbound", "inbound_detail": "full"}, "test")
    page = (await admin.get(f"/links/{link}")).text
    assert "Nothing goes to the calendar." in page
    assert "come into the application with everything they hold" in page
    assert 'title="only from the calendar to the application"' in (await admin.get("/?q=hinz")).text
    assert 'title="only from the application to the calendar"' in (await admin.get("/?q=berger")).text
    assert 'title="only from the calendar to the application"' in (await admin.get("/?q=isar")).text  # a feed is only read
    async with database.begin() as connection:
        await levels.put(connection, organization, "global", organization, {"inbound_enabled": False}, "test")
        ways = await desk_store.directions(connection, [link, desk.links["Anna Berger"]])
    assert ways == {link: "off", desk.links["Anna Berger"]: "outbound"}


async def test_a_link_counts_what_it_carries_and_what_it_leaves_out(admin: Client, desk: Desk, database: Database) -> None:
    link, resource = desk.links["Georg Hinz"], desk.resources["Georg Hinz"]
    given = {"link": link, "resource": resource}
    async with database.begin() as connection:
        for number, state in enumerate(("linked", "linked", "parked")):
            await connection.execute(
                text("""insert into pairing (resource_id, link_id, series_id, href, state)
                        values (:resource, :link, gen_random_uuid(), :href, :state)"""),
                given | {"href": f"/{number}.ics", "state": state},
            )
        for number, reason in enumerate(("outside", "outside", "private", "")):
            await connection.execute(
                text("insert into observed (resource_id, link_id, href, reason) values (:resource, :link, :href, :reason)"),
                given | {"href": f"/{number}.ics", "reason": reason},
            )
    page = (await admin.get(f"/links/{link}")).text
    assert "2 events are in step on both sides" in page
    assert "1 could not be copied" in page
    assert "2 outside the mirrored days, 1 private" in page


async def test_a_restored_installation_says_so_until_an_administrator_of_all_allows_writing(
    stranger: Client, desk: Desk, database: Database
) -> None:
    await change(database, "delete from instance")
    await change(database, "insert into instance (id, epoch, mode, reason) values (1, gen_random_uuid(), 'verify', 'restored')")
    await sign_in(stranger, "admin")  # of one organization
    page = (await stranger.get("/holds")).text
    assert "This installation only compares" in page
    assert "It was restored from a backup." in page
    assert "gleichtakt confirm" in page
    assert (await send(stranger, "/writing/allow")).status_code == 403
    await sign_in(stranger, "root")  # of all of them
    assert "Writing is allowed again." in (await send(stranger, "/writing/allow")).text
    assert "only compares" not in (await stranger.get("/")).text
    async with database.read() as connection:
        assert await desk_store.verifying(connection) == ""
        acts = await connection.execute(text("select count(*) from audit where action = 'instance.confirm'"))
        assert acts.scalar_one() == 1


async def test_an_empty_week_leads_to_the_next_event(admin: Client, desk: Desk, database: Database) -> None:
    resource = desk.resources["Georg Hinz"]
    async with database.begin() as connection:
        await connection.execute(
            text("""insert into occurrence (resource_id, series_id, slot, starts_at, ends_at)
                    values (:id, gen_random_uuid(), '', now() + interval '20 days', now() + interval '21 days')"""),
            {"id": resource},
        )
    page = (await admin.get(f"/resources/{resource}")).text
    assert "Nothing in this week." in page
    assert "Next event:" in page
