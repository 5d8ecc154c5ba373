"""The line on a person's page that says whether they are away, in both languages, and silent where nobody could say."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text
from tests.web.pages.believable import Desk
from tests.web.pages.conftest import Client, send

from gleichtakt.errors import cause, remedy
from gleichtakt.store.database import Database

AWAY = "Celik Demir"  # at Exchange
HOUR = timedelta(hours=1)


async def says(database: Database, desk: Desk, **values: Any) -> None:
    """Let the mailbox of somebody at Exchange have said something a minute ago."""
    given = {"read_at": datetime.now(UTC) - timedelta(minutes=1), **values}
    names, marks = ", ".join(given), ", ".join(f":{name}" for name in given)
    sql = f"""insert into out_of_office (resource_id, lane_id, organization_id, {names})
              select resource_id, lane_id, organization_id, {marks} from link where id = :link
              on conflict (resource_id, lane_id) do update set ({names}) = row({marks})"""
    async with database.begin() as connection:
        await connection.execute(text(sql), {"link": desk.links[AWAY], **given})


async def line(client: Client, desk: Desk, name: str = AWAY) -> str:
    """Give the words of the line; empty where there is none."""
    page = (await client.get(f"/resources/{desk.resources[name]}")).text
    found = re.search(r'<div class="absence">(.*?)</div>', page, re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", found[1]).split()) if found else ""


@pytest.mark.parametrize(
    ("language", "absent", "until", "open_end", "announced", "present"),
    [
        ("en", "Away", "until ", "until further notice", "but from ", "Not away"),
        ("de", "Abwesend", "bis ", "bis auf Weiteres", "aber von ", "Nicht abwesend"),
    ],
)
async def test_the_line_says_who_is_away_and_until_when(
    admin: Client,
    desk: Desk,
    database: Database,
    language: str,
    absent: str,
    until: str,
    open_end: str,
    announced: str,
    present: str,
) -> None:
    await send(admin, "/preferences", language=language, next="/")
    now = datetime.now(UTC)
    await says(database, desk, state="scheduled", starts_at=now - HOUR, ends_at=now + HOUR)
    assert (await line(admin, desk)).startswith(f"{absent} {until}")
    await says(database, desk, state="enabled", starts_at=None, ends_at=None)
    assert (await line(admin, desk)).startswith(f"{absent} {open_end}")
    await says(database, desk, state="scheduled", starts_at=now + HOUR, ends_at=now + 2 * HOUR)
    assert (await line(admin, desk)).startswith(f"{present} {announced}")
    await says(database, desk, state="disabled", starts_at=None, ends_at=None)
    assert (await line(admin, desk)).startswith(present)
    assert open_end not in await line(admin, desk)


async def test_what_could_not_be_read_is_told_with_its_remedy(admin: Client, desk: Desk, database: Database) -> None:
    params = {"host": "mail.muster.example", "reason": "ErrorAccessDenied"}
    await says(database, desk, read_at=None, error_code="ews.replies_denied")
    async with database.begin() as connection:
        await connection.execute(
            text(
                """update out_of_office
                      set error_params = jsonb_build_object('host', cast(:host as text), 'reason', cast(:reason as text))"""
            ),
            params,
        )
    found = await line(admin, desk)
    assert found.startswith("Absence unknown")
    assert cause("ews.replies_denied", params, "en") in found
    assert remedy("ews.replies_denied", params, "en").partition("`")[0] in found


async def test_nothing_is_said_of_rooms_and_of_people_whose_system_tells_nothing(admin: Client, desk: Desk) -> None:
    for name in ("Raum Elbe", "Anna Berger"):
        assert await line(admin, desk, name) == ""
