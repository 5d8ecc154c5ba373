"""Whether a person is away, as the interface tells it: now, until when, how fresh, and else why nobody knows."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from tests.web.api.conftest import Caller

from gleichtakt.store.database import Database

NOW = datetime.now(UTC).replace(microsecond=0)
HOUR = timedelta(hours=1)


async def change(database: Database, sql: str, **given: Any) -> None:
    async with database.begin() as connection:
        await connection.execute(text(sql), given)


@pytest.fixture
async def mailbox(database: Database, link: dict[str, Any], login: dict[str, Any], anna: dict[str, Any]) -> str:
    """Anna's link over a system that tells of automatic replies, and its mailbox on the list; give the id of the person."""
    await change(database, "update connection set provider = 'ews', state = 'online' where id = :id", id=login["id"])
    await change(
        database,
        """insert into out_of_office (resource_id, lane_id, organization_id, due)
           select resource_id, lane_id, organization_id, now() + interval '10 minutes' from link where id = :id""",
        id=link["id"],
    )
    return str(anna["id"])


async def says(database: Database, person: str, **values: Any) -> None:
    """Let the mailbox have said something."""
    given = {"read_at": datetime.now(UTC), **values}
    names = ", ".join(f"{name} = :{name}" for name in given)
    await change(database, f"update out_of_office set {names} where resource_id = :id", id=person, **given)


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"state": "disabled"}, ("disabled", False, None, None)),
        ({"state": "enabled"}, ("enabled", True, None, None)),
        (
            {"state": "scheduled", "starts_at": NOW - HOUR, "ends_at": NOW + HOUR},
            ("scheduled", True, (NOW - HOUR).isoformat(), (NOW + HOUR).isoformat()),
        ),
        (
            {"state": "scheduled", "starts_at": NOW + HOUR, "ends_at": NOW + 2 * HOUR},
            ("scheduled", False, (NOW + HOUR).isoformat(), (NOW + 2 * HOUR).isoformat()),
        ),
        ({"state": "enabled", "read_at": NOW - timedelta(days=2)}, ("unknown", None, None, None)),  # too long ago
    ],
)
async def test_who_is_away_and_until_when(
    reader: Caller, database: Database, mailbox: str, link: dict[str, Any], said: dict[str, Any], expected: tuple[Any, ...]
) -> None:
    await says(database, mailbox, audience="known", **said)
    found = await reader.read(f"/resources/{mailbox}/absence")
    moments = [found[name] and datetime.fromisoformat(found[name]).isoformat() for name in ("start", "end")]
    assert (found["state"], found["is_absent"], *moments) == expected
    if expected[0] == "unknown":
        assert (found["as_of"], found["problem"]["code"]) == (None, "web.absence_waiting")
    else:
        assert (found["link_id"], found["connection_id"]) == (link["id"], link["connection_id"])
        assert (found["audience"], found["problem"]) == ("known", None)
        assert found["as_of"]


async def test_why_nobody_knows(api: Caller, database: Database, anna: dict[str, Any], login: dict[str, Any]) -> None:
    path = f"/resources/{anna['id']}/absence"

    async def problem() -> str:
        found = await api.read(path)
        assert (found["state"], found["is_absent"]) == ("unknown", None)
        assert found["problem"]["remedy"]
        return str(found["problem"]["code"])

    assert await problem() == "web.absence_unlinked"
    await api.made("/links", resource_id=anna["id"], connection_id=login["id"], mailbox="anna@example.org")
    assert await problem() == "web.absence_unsupported"
    await change(database, "update connection set provider = 'ews' where id = :id", id=login["id"])
    assert await problem() == "web.absence_waiting"
    sql = "update connection set state = 'auth_required', state_code = 'general.login_refused' where id = :id"
    await change(database, sql, id=login["id"])
    assert await problem() == "general.login_refused"
    await api("PATCH", f"/resources/{anna['id']}", {"kind": "room"})
    assert await problem() == "web.absence_of_people"


async def test_what_could_not_be_read_anew_is_told_beside_what_was_read(
    api: Caller, database: Database, mailbox: str, login: dict[str, Any]
) -> None:
    await says(database, mailbox, state="enabled", error_code="ews.replies_denied")
    found = await api.read(f"/resources/{mailbox}/absence")
    assert (found["state"], found["is_absent"], found["problem"]["code"]) == ("enabled", True, "ews.replies_denied")
    await says(database, mailbox, error_code="")
    await change(database, "update connection set state_code = 'general.timeout' where id = :id", id=login["id"])
    assert (await api.read(f"/resources/{mailbox}/absence"))["problem"] is None, "it was read a moment ago"
    await says(database, mailbox, read_at=datetime.now(UTC) - HOUR)
    assert (await api.read(f"/resources/{mailbox}/absence"))["problem"]["code"] == "general.timeout"


async def test_the_mailbox_that_says_away_counts(api: Caller, database: Database, mailbox: str, login: dict[str, Any]) -> None:
    second = await api.made("/links", resource_id=mailbox, connection_id=login["id"], mailbox="second@example.org")
    sql = """insert into out_of_office (resource_id, lane_id, organization_id, state, read_at)
             select resource_id, lane_id, organization_id, 'enabled', now() - interval '5 minutes' from link where id = :id"""
    await change(database, sql, id=second["id"])
    lane = "lane_id <> (select lane_id from link where id = :link)"
    await change(database, f"update out_of_office set state = 'disabled', read_at = now() where {lane}", link=second["id"])
    found = await api.read(f"/resources/{mailbox}/absence")
    assert (found["is_absent"], found["link_id"]) == (True, second["id"])


async def test_whoever_asks_for_a_run_has_the_absence_read_too(
    writer: Caller, database: Database, mailbox: str, link: dict[str, Any]
) -> None:
    await writer("POST", f"/links/{link['id']}/sync")
    async with database.read() as connection:
        due = await connection.execute(text("select due <= now() from out_of_office where resource_id = :id"), {"id": mailbox})
        assert due.scalar_one()
