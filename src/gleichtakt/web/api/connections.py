"""Connections: logins at calendar systems. Their secrets can be written and never be read."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from litestar import Response, delete, get, patch, post
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from msgspec import UNSET, Meta, UnsetType

from gleichtakt.errors import Language
from gleichtakt.onboarding import directory, doctor
from gleichtakt.store import connections as store
from gleichtakt.store import links as link_store
from gleichtakt.store import outbox
from gleichtakt.store.connections import Connection, connections
from gleichtakt.store.links import Ending, links
from gleichtakt.store.schema import connection as table
from gleichtakt.store.schema import link as link_table
from gleichtakt.web.api.context import (
    Ask,
    Page,
    acting,
    expected,
    found,
    language,
    organization_of,
    paged,
    reading,
    services,
    shown,
)
from gleichtakt.web.api.forms import NO_NUL, Address, Cursor, ExternalId, Limit, Name, after_of, given, texts
from gleichtakt.web.api.words import Words, words
from gleichtakt.web.problems import Unconfirmed, invalid

Access = Literal["own", "delegate", "impersonation"]
AuthValue = Annotated[str, Meta(max_length=100_000, pattern=NO_NUL)]


class Tls(msgspec.Struct):
    """Whom to trust besides the system's authorities. ca_pem: certificates; pin_sha256: of the server's own one."""

    ca_pem: Annotated[str, Meta(max_length=1_000_000, pattern=NO_NUL)] = ""
    pin_sha256: Annotated[str, Meta(max_length=200, pattern=NO_NUL)] = ""


class ConnectionView(msgspec.Struct):
    """A connection. auth: its secrets are masked. problem: why its state is what it is."""

    id: UUID
    provider: str
    name: str
    external_id: str | None
    url: str
    autodiscover_address: str
    auth: dict[str, str]
    access: str
    tls: dict[str, str]
    allow_insecure: bool
    options: dict[str, str]
    state: str
    state_since: datetime | None
    problem: Words | None
    paused_until: datetime | None
    server_version: str
    doctor: dict[str, Any] | None
    doctor_at: datetime | None
    created_at: datetime
    updated_at: datetime
    etag: str


class NewConnection(msgspec.Struct):
    """What a connection is made from. auth: `method` and what belongs to it, secrets in clear."""

    provider: str
    name: Name = ""
    external_id: ExternalId | None = None
    url: Address = ""
    autodiscover_address: Address = ""
    auth: dict[Name, AuthValue | None] = {}
    access: Access = "own"
    tls: Tls | None = None
    allow_insecure: bool = False
    options: dict[Name, Address] = {}


class ConnectionChange(msgspec.Struct):
    """What changes. auth: only the parts written change, null removes one, ••• leaves a secret as it is."""

    provider: str | UnsetType = UNSET
    name: Name | UnsetType = UNSET
    external_id: ExternalId | UnsetType | None = UNSET
    url: Address | UnsetType = UNSET
    autodiscover_address: Address | UnsetType = UNSET
    auth: dict[Name, AuthValue | None] | UnsetType = UNSET
    access: Access | UnsetType = UNSET
    tls: Tls | UnsetType | None = UNSET
    allow_insecure: bool | UnsetType = UNSET
    options: dict[Name, Address] | UnsetType = UNSET


class CalendarView(msgspec.Struct):
    """A calendar a login sees. Send `calendar` and `mailbox` to POST /api/v1/links to tie it."""

    mailbox: str
    calendar: str
    name: str
    can_write: bool
    is_default: bool
    owner: str
    colour: str


class EndingForm(msgspec.Struct):
    """What becomes of both sides. confirm: the connection's name, needed where links end.

    copies: ours at the calendar system; deleting goes through the guards. imported: what came from there. memory: which
    copy belongs to what, kept for 30 days so that connecting again finds the copies.
    """

    confirm: str = ""
    copies: Literal["keep", "delete"] = "keep"
    imported: Literal["keep", "delete"] = "delete"
    memory: Literal["keep", "forget"] = "keep"

    @property
    def ending(self) -> Ending:
        """Give it in the words of the store."""
        return Ending(self.copies, self.imported, self.memory)


class Ended(msgspec.Struct):
    """What a disconnection concerned. runs: those that delete the copies, as far as the guards let them."""

    links: int
    resources: int
    copies: int
    imported: int
    runs: list[UUID]


class Examination(msgspec.Struct):
    """Where the doctor writes and removes a marked test item; without a place, in a linked calendar."""

    mailbox: Name = ""
    calendar: Address = ""


class CheckView(msgspec.Struct):
    """One check. result: pass, warn, fail or skip. facts: what was measured."""

    name: str
    result: str
    facts: dict[str, str]
    problem: Words | None


class Report(msgspec.Struct):
    """What the doctor found. result: the worst of its checks."""

    result: str
    checks: list[CheckView]


class Queued(msgspec.Struct):
    """Work that was taken on."""

    state: str


def view_of(row: Connection, spoken: Language) -> ConnectionView:
    """Show a connection."""
    return shown(
        ConnectionView,
        row,
        auth={"method": row.auth_method, **row.auth},
        options={name: str(value) for name, value in row.options.items()},
        problem=words(row.state_code, row.state_params, spoken),
    )


def _login(auth: Mapping[str, str | None], provider: str) -> tuple[dict[str, str], dict[str, str | None]]:
    """Part the method from the rest of a login."""
    rest = dict(auth)
    method = rest.pop("method", None)
    if "method" in auth and method not in directory.methods(provider):
        raise invalid("auth.method", f"expected one of {', '.join(directory.methods(provider))}")
    return ({"auth_method": method} if method is not None else {}), rest


def _checked(values: dict[str, Any]) -> dict[str, Any]:
    """Refuse what can never work, and give columns."""
    url = values.get("url") or ""
    if "@" in url.partition("://")[2].partition("/")[0]:
        raise invalid("url", "holds a user name; it belongs into auth.username")
    if "tls" in values:
        tls = values["tls"] or Tls()
        if tls.ca_pem and "-----BEGIN CERTIFICATE-----" not in tls.ca_pem:
            raise invalid("tls.ca_pem", "expected certificates in PEM form")
        values["tls"] = {name: value for name, value in msgspec.to_builtins(tls).items() if value}
    return values


@get("/connections")
async def list_connections(
    request: Ask,
    limit: Limit = 100,
    cursor: Cursor = None,
    external_id: FromQuery[str | None] = None,
    provider: FromQuery[str | None] = None,
) -> Response[Page[ConnectionView]]:
    """List the connections."""
    async with reading(request) as (connection, organization_id):
        conditions = [table.c.organization_id == organization_id]
        if external_id is not None:
            conditions.append(table.c.external_id == external_id)
        if provider is not None:
            conditions.append(table.c.provider == provider)
        listing = await connections.page(connection, *conditions, after=after_of(cursor), limit=limit)
    return paged(request, listing, [view_of(row, language(request)) for row in listing.items])


@post("/connections", opt={"needs": "admin"})
async def create_connection(request: Ask, data: JSONBody[NewConnection]) -> Response[ConnectionView]:
    """Add a connection. Nothing is sent to the calendar system yet; POST …/doctor tries it."""
    if data.provider not in directory.providers():
        raise invalid("provider", f"expected one of {', '.join(directory.providers())}")
    values = _checked(given(data))
    method, auth = _login(values.pop("auth"), data.provider)
    if not method:
        method = {"auth_method": directory.methods(data.provider)[0] if auth else "none"}
    async with acting(request) as deed:
        row = {**values, **method, "organization_id": deed.organization_id}
        secret = {name: value for name, value in auth.items() if value is not None}
        made = await store.create(deed.connection, services(request).box, row, secret)
        view = view_of(made, language(request))
        deed.note("connection.create", f"connection/{made.id}", None, view)
        return deed.answer(view, status=201, etag=view.etag, location=f"/api/v1/connections/{made.id}")


@get("/connections/{connection_id:uuid}")
async def get_connection(request: Ask, connection_id: FromPath[UUID]) -> Response[ConnectionView]:
    """Read a connection."""
    async with reading(request) as (connection, organization_id):
        view = view_of(await connections.get(connection, organization_id, connection_id), language(request))
    return found(request, view, view.etag)


@patch("/connections/{connection_id:uuid}", opt={"needs": "admin"})
async def change_connection(
    request: Ask, connection_id: FromPath[UUID], data: JSONBody[ConnectionChange]
) -> Response[ConnectionView]:
    """Change a connection. What its calendar system refused before is tried again at once."""
    values = _checked(given(data))
    texts(values, "name", "url", "autodiscover_address")
    spoken = language(request)
    async with acting(request) as deed:
        before = await connections.get(deed.connection, deed.organization_id, connection_id, lock=True)
        if values.pop("provider", before.provider) != before.provider:
            raise invalid("provider", "cannot change; make another connection")
        auth = values.pop("auth", None)
        if auth is not None:
            method, auth = _login(auth, before.provider)
            values |= method
        after = await store.change(
            deed.connection, services(request).box, deed.organization_id, connection_id, values, auth, expected(request)
        )
        view = view_of(after, spoken)
        deed.note("connection.change", f"connection/{connection_id}", view_of(before, spoken), view)
        return deed.answer(view, etag=view.etag)


@delete("/connections/{connection_id:uuid}", status_code=204, opt={"needs": "admin"})
async def delete_connection(request: Ask, connection_id: FromPath[UUID]) -> None:
    """Delete a connection without links; those that have some are disconnected first."""
    async with acting(request) as deed:
        gone = await store.erase(deed.connection, deed.organization_id, connection_id, expected(request))
        deed.note("connection.delete", f"connection/{connection_id}", view_of(gone, language(request)))
        deed.answer(None, status=204)


@post("/connections/{connection_id:uuid}/disconnect", status_code=202, opt={"needs": "admin"})
async def disconnect_connection(
    request: Ask, connection_id: FromPath[UUID], data: JSONBody[EndingForm | None] = None
) -> Response[Ended]:
    """End all links of a connection. Without the right `confirm` the answer (409) tells whom it would hit."""
    form = data or EndingForm()
    async with acting(request) as deed:
        row = await connections.get(deed.connection, deed.organization_id, connection_id)
        hits = await store.dependants(deed.connection, connection_id)
        name = row.name or str(row.id)
        if hits["links"] and form.confirm != name:
            raise Unconfirmed(name, hits)
        tied = await links.page(
            deed.connection,
            link_table.c.connection_id == connection_id,
            link_table.c.state != "disconnected",
            limit=max(1, hits["links"]),
        )
        asked = [await link_store.disconnect(deed.connection, one, form.ending, deed.actor) for one in tied.items]
        deed.note("connection.disconnect", f"connection/{connection_id}", None, form)
        return deed.answer(Ended(**hits, runs=[run for run in asked if run is not None]), status=202)


@get("/connections/{connection_id:uuid}/calendars")
async def list_calendars(
    request: Ask,
    connection_id: FromPath[UUID],
    mailbox: Annotated[str, QueryParameter(description="whose calendars; empty for the login's own")] = "",
) -> Response[Page[CalendarView]]:
    """Ask the calendar system which calendars a mailbox has."""
    at, organization_id = services(request), await organization_of(request)
    seen = await directory.calendars(at.database, at.box, at.settings, organization_id, connection_id, mailbox)
    items = [
        CalendarView(one.ref.mailbox, one.ref.calendar, one.name, one.can_write, one.is_default, one.owner, one.colour)
        for one in seen
    ]
    return found(request, Page(items))


@post("/connections/{connection_id:uuid}/doctor", status_code=200)
async def examine_connection(
    request: Ask, connection_id: FromPath[UUID], data: JSONBody[Examination | None] = None
) -> Response[Report]:
    """Check a connection step by step: what works, what does not, and what helps."""
    form = data or Examination()
    place = directory.CalendarRef(form.mailbox, form.calendar) if form.mailbox or form.calendar else None
    at = services(request)
    organization_id = await organization_of(request)
    checks = await doctor.examine(at.database, at.box, at.settings, organization_id, connection_id, place)
    async with acting(request) as deed:
        await store.keep_report(deed.connection, connection_id, doctor.report_of(checks))
        deed.note("connection.doctor", f"connection/{connection_id}", None, {"result": doctor.worst(checks)})
        spoken = language(request)
        views = [CheckView(one.name, one.state, dict(one.facts), words(one.code, one.params, spoken)) for one in checks]
        return deed.answer(Report(doctor.worst(checks), views))


@post("/connections/{connection_id:uuid}/match", status_code=202, opt={"needs": "admin"})
async def match_connection(request: Ask, connection_id: FromPath[UUID]) -> Response[Queued]:
    """Connect everyone the calendar system's directory knows by address."""
    async with acting(request) as deed:
        row = await connections.get(deed.connection, deed.organization_id, connection_id)
        directory.need_directory(row.provider, row.options)
        job = {"connection_id": str(connection_id)}
        key = f"match/{connection_id}"
        await outbox.put(deed.connection, "match_directory", job, key=key, organization_id=deed.organization_id)
        return deed.answer(Queued("queued"), status=202)


route_handlers = [
    list_connections,
    create_connection,
    get_connection,
    change_connection,
    delete_connection,
    disconnect_connection,
    list_calendars,
    examine_connection,
    match_connection,
]
