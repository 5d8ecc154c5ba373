"""A firm whose desk has something of everything: healthy and ailing links, runs, holds, conflicts, problems, a week.

For the tests of the pages, and to look at them: `python -m tests.web.pages.look` serves it on a free port.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncConnection

from gleichtakt.model.document import series_document
from gleichtakt.model.event import Event, Sensitivity, Series, ShowAs
from gleichtakt.model.point import Day, Zoned
from gleichtakt.store import accounts, calendars, schema
from gleichtakt.store.calendars import Write
from gleichtakt.store.database import Database, new_id
from gleichtakt.sync.flat import flatten

PASSWORD = "Gleichschritt-2026"
SECRET = "Kündigungsgespräch Brandt"  # the title of a private event: must appear nowhere
WEEKLY = "FREQ=WEEKLY"
PEOPLE = (
    "Anna Berger",
    "Bernd Castrop",
    "Celik Demir",
    "Dora Ehlers",
    "Emil Friedrich",
    "Fatma Güler",
    "Georg Hinz",
    "Hanna Ivers",
)
WHY = {"create": "sync.created_here", "update": "sync.changed_here", "delete": "sync.deleted_there"}
ROOMS = ("Raum Elbe", "Raum Spree", "Raum Isar")


@dataclass(frozen=True, slots=True)
class Desk:
    """What was made, by what tests ask for."""

    organization_id: UUID
    other_organization_id: UUID
    admin_id: UUID
    viewer_id: UUID
    links: dict[str, UUID]
    resources: dict[str, UUID]
    connections: dict[str, UUID]
    hold_id: UUID
    conflict_id: UUID
    deletion_conflict_id: UUID
    run_id: UUID
    problem_id: UUID
    private_series_id: UUID


async def fill(database: Database, now: datetime) -> Desk:
    """Store it. now: what the desk calls the present, aware UTC."""
    async with database.begin() as connection:
        return await _fill(connection, now)


@cache
def _hashed() -> str:
    return accounts.hash_password(PASSWORD)


async def _add(connection: AsyncConnection, table: Any, **values: Any) -> UUID:
    row = {"id": new_id(), **values}
    await connection.execute(insert(table).values(row))
    return row["id"]


async def _fill(connection: AsyncConnection, now: datetime) -> Desk:
    firm = await _add(connection, schema.organization, name="Muster & Söhne GmbH", time_zone="Europe/Berlin")
    other = await _add(connection, schema.organization, name="Andere AG", time_zone="Europe/Berlin")
    hashed = _hashed()
    admin = await accounts.create(
        connection, username="admin", password_hash=hashed, role="admin", organization_id=firm, language="en"
    )
    viewer = await accounts.create(
        connection, username="lena", password_hash=hashed, role="viewer", organization_id=firm, language="en"
    )
    await accounts.create(connection, username="fremd", password_hash=hashed, role="admin", organization_id=other, language="en")
    await accounts.create(connection, username="root", password_hash=hashed, role="admin", language="en")
    connections = await _connections(connection, firm, now)
    resources = await _resources(connection, firm)
    links = await _links(connection, firm, connections, resources, now)
    stranger = await _add(connection, schema.resource, organization_id=other, name="Fremde Person")
    other_login = await _add(connection, schema.connection, organization_id=other, provider="memory", name="Fremd")
    await _link(connection, other, other_login, stranger, "Fremder Kalender", state="in_step", now=now)
    private, series = await _week(connection, firm, resources["Anna Berger"], links["Anna Berger"], now)
    run = await _runs(connection, firm, links, resources["Anna Berger"], series, private, now)
    hold = await _hold(connection, firm, links["Raum Elbe"], resources["Raum Elbe"], now)
    clash, deletion = await _conflicts(connection, firm, links["Anna Berger"], resources["Anna Berger"], series, now)
    problem = await _problems(connection, firm, links, resources, connections, private, now)
    await _plan(connection, firm, links["Dora Ehlers"], resources["Dora Ehlers"], now)
    return Desk(firm, other, admin.id, viewer.id, links, resources, connections, hold, clash, deletion, run, problem, private)


async def _connections(connection: AsyncConnection, firm: UUID, now: datetime) -> dict[str, UUID]:
    checks = {
        "checks": [
            {"name": "dns", "result": "pass", "code": "", "params": {}, "took_ms": 4},
            {"name": "tls", "result": "pass", "code": "", "params": {}, "took_ms": 18},
            {"name": "login", "result": "fail", "code": "general.login_refused", "params": {"host": "dav.muster.example"}},
        ]
    }
    made = {}
    rows: tuple[dict[str, Any], ...] = (
        {
            "name": "Radicale der Zentrale",
            "provider": "caldav",
            "url": "https://dav.muster.example/",
            "state": "online",
            "auth_method": "basic",
            "server_version": "Radicale 3.9",
        },
        {
            "name": "Exchange Hamburg",
            "provider": "ews",
            "url": "https://mail.muster.example/EWS",
            "state": "auth_required",
            "auth_method": "ntlm",
            "state_code": "general.login_refused",
            "state_params": {"host": "mail.muster.example"},
            "access": "impersonation",
            "server_version": "Exchange 2019 CU14",
            "doctor": checks,
            "doctor_at": now - timedelta(minutes=12),
        },
        {"name": "Messekalender", "provider": "feed", "url": "https://messe.example/termine.ics", "state": "online"},
    )
    for row in rows:
        made[row["name"]] = await _add(
            connection, schema.connection, organization_id=firm, state_since=now - timedelta(days=3), **row
        )
    return made


async def _resources(connection: AsyncConnection, firm: UUID) -> dict[str, UUID]:
    group = await _add(connection, schema.resource_group, organization_id=firm, name="Vertrieb Nord")
    made = {}
    for name in PEOPLE:
        email = f"{name.split()[0].lower()}@muster.example"
        made[name] = await _add(
            connection, schema.resource, organization_id=firm, name=name, email=email, kind="person", group_id=group
        )
    for name in ROOMS:
        made[name] = await _add(connection, schema.resource, organization_id=firm, name=name, kind="room")
    return made


async def _link(
    connection: AsyncConnection, firm: UUID, login: UUID, resource: UUID, calendar_name: str, *, now: datetime, **values: Any
) -> UUID:
    address = calendar_name.lower().replace(" ", ".") + "@muster.example"
    lane = await _add(connection, schema.lane, organization_id=firm, connection_id=login, mailbox=address)
    row = {
        "mailbox": address,
        "calendar": "/kalender/",
        "calendar_name": calendar_name,
        "last_attempt": now - timedelta(seconds=41),
        "last_success": now - timedelta(seconds=41),
        "due": now + timedelta(seconds=19),
        "first_run_done": True,
        **values,
    }
    return await _add(
        connection, schema.link, organization_id=firm, connection_id=login, resource_id=resource, lane_id=lane, **row
    )


async def _links(
    connection: AsyncConnection, firm: UUID, logins: dict[str, UUID], resources: dict[str, UUID], now: datetime
) -> dict[str, UUID]:
    dav, ews, feed = logins.values()
    failing = {
        "failing_since": now - timedelta(minutes=34),
        "last_success": now - timedelta(minutes=35),
        "due": now + timedelta(minutes=2),
        "error_code": "general.timeout",
        "error_params": {"host": "dav.muster.example"},
    }
    odd: dict[str, tuple[UUID, dict[str, Any]]] = {
        "Bernd Castrop": (dav, failing),
        "Celik Demir": (ews, {"state": "auth_required", "due": None, "last_success": now - timedelta(hours=5)}),
        "Emil Friedrich": (dav, {"state": "paused", "due": None, "last_success": now - timedelta(days=2)}),
        "Fatma Güler": (dav, {"state": "listing", "first_run_done": False, "last_success": None}),
        "Raum Isar": (feed, {"due": now - timedelta(minutes=9), "last_success": now - timedelta(minutes=24)}),
    }
    made = {}
    for name, resource in resources.items():
        login, values = odd.get(name, (dav, {}))
        made[name] = await _link(
            connection, firm, login, resource, f"Kalender {name.split()[-1]}", now=now, **{"state": "in_step", **values}
        )
    return made


def _at(day: date, hour: int, minute: int, minutes: int, title: str, **values: Any) -> Event:
    start = datetime.combine(day, time(hour, minute))
    end = start + timedelta(minutes=minutes)
    return Event(Zoned(start, "Europe/Berlin"), Zoned(end, "Europe/Berlin"), title=title, **values)


async def _week(
    connection: AsyncConnection, firm: UUID, resource: UUID, link: UUID, now: datetime
) -> tuple[UUID, dict[str, tuple[UUID, Series]]]:
    monday = now.date() - timedelta(days=now.weekday())
    day = [monday + timedelta(days=number) for number in range(7)]
    events: list[tuple[Series, str]] = [
        (
            Series("1", _at(day[0] - timedelta(days=70), 9, 0, 30, "Wochenrunde", location="Raum Elbe"), rrule="FREQ=WEEKLY"),
            "app",
        ),
        (Series("2", _at(day[0], 10, 0, 60, "Erstgespräch Familie Otte")), "app"),
        (Series("3", _at(day[0], 10, 30, 90, "Angebot durchgehen", show_as=ShowAs.TENTATIVE)), "provider"),
        (Series("4", _at(day[1], 8, 15, 45, "Zahnarzt", sensitivity=Sensitivity.PERSONAL)), "provider"),
        (Series("5", _at(day[1], 13, 0, 120, SECRET, sensitivity=Sensitivity.PRIVATE, location="Zimmer 4")), "provider"),
        (Series("6", _at(day[2], 9, 30, 45, "Beratung Kanzlei Rühl", location="Raum Spree")), "app"),
        (Series("7", _at(day[2], 11, 0, 15, "Rückruf")), "app"),
        (Series("8", _at(day[2], 14, 0, 150, "Werkstatt: Fahrtkosten", show_as=ShowAs.OOF)), "provider"),
        (Series("9", _at(day[3], 16, 0, 240, "Messeaufbau Hannover", location="Halle 5")), "provider"),
        (
            Series("10", Event(Day(day[3]), Day(day[4] + timedelta(days=1)), title="Messe Hannover", show_as=ShowAs.OOF)),
            "provider",
        ),
        (Series("11", _at(day[4], 9, 0, 60, "Vertragsunterschrift")), "app"),
    ]
    home = await calendars.home_of(connection, resource)
    assert home is not None
    kept, writes, private = {}, [], new_id()
    for series, origin in events:
        identity = private if series.event.title == SECRET else new_id()
        kept[series.event.title] = (identity, series)
        writes.append(Write(identity, series, None, "sync", origin=origin, origin_link_id=link if origin == "provider" else None))
    await calendars.write(connection, home, writes, now)
    await connection.execute(text("update link set due = :due where id = :id"), {"due": now + timedelta(seconds=19), "id": link})
    return private, kept


def _text(series: Series) -> str:
    return msgspec.json.encode(series_document(series)).decode()


async def _runs(
    connection: AsyncConnection,
    firm: UUID,
    links: dict[str, UUID],
    resource: UUID,
    series: dict[str, tuple[UUID, Series]],
    private: UUID,
    now: datetime,
) -> UUID:
    dice = random.Random(7)
    rows = []
    for name, link in links.items():
        for back in range(0 if name == "Fatma Güler" else 26, 1, -1):
            failed = name == "Bernd Castrop" and back < 6
            there = dice.choice((0, 0, 1, 1, 3, 30))
            counts = {
                "app": {"created": dice.choice((0, 0, 0, 1, 2, 12))},
                "provider": {"created": there // 2, "updated": (there + 1) // 2},
            }
            at = now - timedelta(minutes=back * 6)
            row = {
                "id": new_id(),
                "organization_id": firm,
                "link_id": link,
                "asked_by": "schedule",
                "asked_at": at,
                "started_at": at,
            }
            row |= {"finished_at": at + timedelta(seconds=2), "counts": {} if failed else counts}
            row |= {"state": "failed" if failed else "partial" if back == 9 else "done"}
            row |= {"error_code": "general.timeout" if failed else "", "error_params": {"host": "dav.muster.example"}}
            rows.append(row)
    await connection.execute(insert(schema.run), rows)
    await _add(
        connection,
        schema.run,
        organization_id=firm,
        link_id=links["Fatma Güler"],
        state="running",
        asked_by="schedule",
        asked_at=now,
        started_at=now,
        progress={"read": 1200},
    )
    counts = {"app": {"created": 1, "updated": 1, "deleted": 0}, "provider": {"created": 1, "updated": 0, "deleted": 1}}
    run = await _add(
        connection,
        schema.run,
        organization_id=firm,
        link_id=links["Anna Berger"],
        state="done",
        asked_by="schedule",
        counts=counts,
        asked_at=now - timedelta(minutes=4),
        started_at=now - timedelta(minutes=4),
        held=1,
        finished_at=now - timedelta(minutes=4) + timedelta(seconds=3),
    )
    entries = (("provider", "create", "Wochenrunde", None), ("app", "create", SECRET, None),
               ("app", "update", "Angebot durchgehen", ["start", "end"]), ("provider", "delete", "Rückruf", None))  # fmt: skip
    for side, verb, title, fields in entries:
        identity, content = series[title]
        document = _text(content)
        await connection.execute(
            insert(schema.journal).values(
                resource_id=resource,
                organization_id=firm,
                link_id=links["Anna Berger"],
                run_id=run,
                series_id=identity,
                side=side,
                verb=verb,
                actor="sync",
                fields=fields or [],
                before=document if verb != "create" else None,
                after=document if verb != "delete" else None,
                at=now - timedelta(minutes=4),
            )
        )
    return run


async def _hold(connection: AsyncConnection, firm: UUID, link: UUID, resource: UUID, now: datetime) -> UUID:
    hold = await _add(
        connection,
        schema.hold,
        organization_id=firm,
        link_id=link,
        resource_id=resource,
        kind="mass_delete",
        count=14,
        created_at=now - timedelta(minutes=17),
    )
    titles = (
        "Bewerbung Krüger",
        "Teamklausur",
        "Schulung Kasse",
        "Abnahme Küche",
        "Jahresgespräch",
        "Lieferant Voss",
        "Inventur",
    )
    for number in range(14):
        await connection.execute(
            insert(schema.hold_action).values(
                hold_id=hold,
                number=number,
                resource_id=resource,
                link_id=link,
                series_id=new_id(),
                side="app",
                verb="delete",
                uid=f"{number}@x",
                title=titles[number % 7],
                why="sync.deleted_there",
                digest=f"d{number}",
                event_start=now + timedelta(days=number, hours=2),
            )
        )
    return hold


async def _conflicts(
    connection: AsyncConnection, firm: UUID, link: UUID, resource: UUID, series: dict[str, tuple[UUID, Series]], now: datetime
) -> tuple[UUID, UUID]:
    identity, base = series["Beratung Kanzlei Rühl"]
    day = base.event.start.wall.date()  # type: ignore[union-attr]
    ours = replace(base, event=replace(_at(day, 10, 0, 45, "Beratung Kanzlei Rühl & Partner"), location="Raum Spree"))
    theirs = replace(
        base, event=replace(_at(day, 11, 15, 45, "Beratung Rühl"), location="Raum Spree", description="Akte 17/26 mitbringen")
    )
    clash = await _add(
        connection,
        schema.conflict,
        organization_id=firm,
        link_id=link,
        resource_id=resource,
        series_id=identity,
        fields=["end", "start", "title"],
        base=flatten(base),
        ours=flatten(ours),
        theirs=flatten(theirs),
        created_at=now - timedelta(minutes=6),
    )
    identity, gone = series["Vertragsunterschrift"]
    moved = replace(gone, event=replace(gone.event, title="Vertragsunterschrift (Notar)"))
    deletion = await _add(
        connection,
        schema.conflict,
        organization_id=firm,
        link_id=link,
        resource_id=resource,
        series_id=identity,
        fields=["title"],
        base=flatten(gone),
        ours=flatten(moved),
        theirs=None,
        created_at=now - timedelta(hours=2),
    )
    return clash, deletion


async def _problems(
    connection: AsyncConnection,
    firm: UUID,
    links: dict[str, UUID],
    resources: dict[str, UUID],
    logins: dict[str, UUID],
    private: UUID,
    now: datetime,
) -> UUID:
    rows: tuple[dict[str, Any], ...] = (
        {
            "code": "general.too_large",
            "params": {"host": "dav.muster.example"},
            "kind": "permanent",
            "scope": "series",
            "link_id": links["Anna Berger"],
            "resource_id": resources["Anna Berger"],
            "series_id": private,
            "side": "provider",
            "event_start": now + timedelta(days=1),
            "count": 1,
        },
        {
            "code": "general.timeout",
            "params": {"host": "dav.muster.example"},
            "kind": "transient",
            "scope": "calendar",
            "link_id": links["Bernd Castrop"],
            "resource_id": resources["Bernd Castrop"],
            "side": "provider",
            "count": 5,
            "next_try_at": now + timedelta(minutes=2),
        },
        {
            "code": "general.login_refused",
            "params": {"host": "mail.muster.example"},
            "kind": "auth_required",
            "scope": "account",
            "connection_id": logins["Exchange Hamburg"],
            "count": 1,
        },
    )
    ids = [
        await _add(
            connection,
            schema.problem,
            organization_id=firm,
            key=f"k{number}",
            first_at=now - timedelta(minutes=34),
            last_at=now - timedelta(minutes=number),
            **row,
        )
        for number, row in enumerate(rows)
    ]
    return ids[0]


async def _plan(connection: AsyncConnection, firm: UUID, link: UUID, resource: UUID, now: datetime) -> UUID:
    run = await _add(
        connection,
        schema.run,
        organization_id=firm,
        link_id=link,
        kind="plan",
        state="done",
        asked_by="schedule",
        asked_at=now - timedelta(minutes=3),
        started_at=now - timedelta(minutes=3),
        finished_at=now - timedelta(minutes=3),
    )
    plan = await _add(
        connection,
        schema.plan,
        organization_id=firm,
        link_id=link,
        run_id=run,
        kind="dry",
        mails=2,
        created_at=now - timedelta(minutes=3),
    )
    rows = (
        ("provider", "create", "Erstgespräch Familie Otte", [], 0, "planned"),
        ("provider", "create", "Beratung Kanzlei Rühl", [], 2, "planned"),
        ("provider", "update", "Wochenrunde", ["title", "start", "end"], 0, "planned"),
        ("app", "create", "Belegt", [], 0, "planned"),
        ("app", "delete", "Angebot durchgehen", [], 0, "held"),
        ("app", "link", "Werkstatt", [], 0, "planned"),
    )
    for number, (side, verb, title, fields, mails, state) in enumerate(rows):
        await connection.execute(
            insert(schema.plan_action).values(
                plan_id=plan,
                number=number,
                resource_id=resource,
                link_id=link,
                side=side,
                verb=verb,
                uid=str(number),
                title=title,
                fields=fields,
                why=WHY.get(verb, "sync.matched"),
                digest=str(number),
                state=state,
                mails=mails,
            )
        )
    return plan


def present() -> datetime:
    """Give a Wednesday forenoon, so that a week lies on both sides of it."""
    return datetime(2026, 11, 18, 9, 40, tzinfo=UTC)
