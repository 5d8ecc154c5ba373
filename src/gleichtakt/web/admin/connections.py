"""Connections: each login at a calendar system with its state, what the doctor found, and the links that use it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from litestar import Response, get, post
from litestar.params import FromPath

from gleichtakt.errors import cause, remedy
from gleichtakt.onboarding.doctor import name_of
from gleichtakt.store import desk, outbox
from gleichtakt.web.admin.frame import database_of, found, go, number_of, record, show, uuid_of
from gleichtakt.web.i18n import Words
from gleichtakt.web.login.viewer import Asked, Onlooker


@dataclass(frozen=True, slots=True)
class Finding:
    """One check of the doctor in the reader's words. result: pass, warn, fail or skip."""

    name: str
    result: str
    cause: str
    remedy: str


def findings(report: Mapping[str, Any] | None, words: Words) -> list[Finding]:
    """Read what the doctor left with the connection, in the order it looked."""
    return [
        Finding(
            name_of(check["name"], words.language),
            check["result"],
            cause(check["code"], check.get("params", {}), words.language) if check.get("code") else "",
            remedy(check["code"], check.get("params", {}), words.language) if check.get("code") else "",
        )
        for check in (report or {}).get("checks", [])
    ]


@get("/connections", include_in_schema=False)
async def connections_page(request: Asked, viewer: Onlooker) -> Response[str]:
    """Show connections, those that need someone first."""
    async with database_of(request).read() as connection:
        rows = await desk.connections(connection, viewer.scope, number_of(request))
        return await show(request, viewer, connection, "connections.html", connections=rows)


@get("/connections/{connection_id:str}", include_in_schema=False)
async def connection_page(request: Asked, viewer: Onlooker, connection_id: FromPath[str]) -> Response[str]:
    """Show one connection."""
    async with database_of(request).read() as connection:
        login = found(await desk.connection_of(connection, viewer.scope, uuid_of(connection_id)))
        links = await desk.links(connection, viewer.scope, viewer.words.now, connection_id=login.id, number=number_of(request))
        return await show(
            request,
            viewer,
            connection,
            "connection.html",
            login=login,
            findings=findings(login.doctor, viewer.words),
            links=links,
            beats=await desk.beats(connection, [link.id for link in links.rows]),
            ways=await desk.directions(connection, [link.id for link in links.rows]),
            problems=await desk.problems(connection, viewer.scope, connection_id=login.id, size=12),
        )


@post("/connections/{connection_id:str}/doctor", include_in_schema=False)
async def examine(request: Asked, viewer: Onlooker, connection_id: FromPath[str]) -> Response[str]:
    """Ask the doctor to look at it again."""
    async with database_of(request).begin() as connection:
        login = found(await desk.connection_of(connection, viewer.scope, uuid_of(connection_id)))
        await outbox.put(
            connection,
            outbox.DOCTOR,
            {"connection_id": str(login.id)},
            key=f"doctor/{login.id}",
            organization_id=login.organization_id,
        )
        await record(connection, viewer, login, "connection.doctor")
    return go(request, f"/connections/{login.id}", "doctor")
