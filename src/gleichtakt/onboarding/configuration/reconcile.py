"""Brings the database to what a configuration file wants, in one transaction; a dry run is the same, rolled back.

So the plan is not a guess: it is what happened. Nothing is removed unless asked for; what the file does not name is
listed as `left`. Objects are found by `external_id`, else by their name among those without one.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from gleichtakt.errors import Permanent, Scope
from gleichtakt.onboarding.configuration.document import Faults, Wanted
from gleichtakt.onboarding.directory import methods
from gleichtakt.store import audit, connections, levels, links, organizations, resources, webhooks
from gleichtakt.store.connections import MASK, SHOWN
from gleichtakt.store.database import Database
from gleichtakt.store.rows import Kept
from gleichtakt.store.secrets import SecretBox
from gleichtakt.sync.policy import to_json

ACTOR = "command"
PAGE = 500


@dataclass(frozen=True, slots=True)
class Change:
    """One line of the plan. verb: create, update, remove, or `left` for what the file does not name.

    fields: name -> (before, after), secrets masked. note: the signing secret drawn for a new webhook, shown once.
    """

    verb: str
    kind: str
    name: str
    fields: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)
    note: str = ""


class _RolledBack(Exception):
    """Ends a dry run: the transaction is given up on purpose."""


async def apply(
    database: Database,
    box: SecretBox,
    wanted: Sequence[Wanted],
    *,
    dry_run: bool = False,
    prune: bool = False,
    environment: Mapping[str, str] | None = None,
) -> tuple[Change, ...]:
    """Bring the database to what is wanted; give what changed. Applying twice changes nothing the second time.

    prune: also remove what the file does not name, below the organizations it names. Links are disconnected: copies at
    the provider stay, what came from there goes. environment: where `env:` references are looked up.
    Raises Faults for references that lead nowhere, Trouble as the store does.
    """
    work = _Work(box, environment if environment is not None else os.environ, prune)
    try:
        async with database.begin() as connection:
            work.connection = connection
            for organization in wanted:
                await work.organization(organization)
            if work.troubles:
                raise Faults(work.troubles)
            if dry_run:
                raise _RolledBack
    except _RolledBack:
        pass
    return tuple(work.changes)


async def all_of(connection: AsyncConnection, kept: Kept[Any], organization_id: UUID | None) -> list[Any]:
    """Give every row of a table in an organization, oldest first."""
    found: list[Any] = []
    after: UUID | None = None
    conditions = [] if organization_id is None else [kept.table.c.organization_id == organization_id]
    while True:
        page = await kept.page(connection, *conditions, after=after, limit=PAGE)
        found += page.items
        if page.next is None:
            return found
        after = page.next


def handle(row: Any) -> str:
    """Give the name by which a file refers to a row."""
    return str(row.external_id or row.name)


class _Work:
    """One application under way."""

    connection: AsyncConnection

    def __init__(self, box: SecretBox, environment: Mapping[str, str], prune: bool) -> None:
        self.box, self.environment, self.prune = box, environment, prune
        self.changes: list[Change] = []
        self.troubles: list[Permanent] = []

    # --- one function per kind -----------------------------------------------------------------------------------

    async def organization(self, wanted: Wanted) -> None:
        rows = await all_of(self.connection, organizations.organizations, None)
        found = _by_handle(rows).get(wanted.name) or await self.fresh(rows)
        row = await self.row(organizations.organizations, None, wanted, found, wanted.values)
        if row is None:
            return
        await self.settings(row.id, "global", row.id, wanted)
        groups = await self.named(resources.groups, row.id, wanted.parts.get("groups"))
        for group, found in groups.wanted:
            made = await self.row(resources.groups, row.id, group, found, group.values)
            if made is not None:
                groups.rows[group.name] = made
                await self.settings(row.id, "group", made.id, group)
        logins = await self.named(connections.connections, row.id, wanted.parts.get("connections"))
        for login, found in logins.wanted:
            logins.rows[login.name] = await self.login(row.id, login, found)
        people = await self.named(resources.resources, row.id, wanted.parts.get("resources"))
        ties = await self.ties(row.id, wanted, logins.rows)
        for person, found in people.wanted:
            await self.resource(row.id, person, found, groups.rows, logins.rows, ties)
        await self.hooks(row.id, wanted)
        await self.leave(row.id, people.left, resources.resources)
        await self.leave(row.id, logins.left, connections.connections)
        await self.leave(row.id, groups.left, resources.groups)

    async def fresh(self, rows: Sequence[Any]) -> Any:
        """Give the organization made at the first start while nothing is in it: the first one wanted takes its place."""
        if len(rows) != 1 or rows[0].external_id or any((await organizations.contents(self.connection, rows[0].id)).values()):
            return None
        return rows[0]

    async def resource(
        self,
        organization_id: UUID,
        wanted: Wanted,
        found: Any,
        groups: Mapping[str, Any],
        logins: Mapping[str, Any],
        ties: Mapping[str, Any],
    ) -> None:
        values = {name: value for name, value in wanted.values.items() if name != "group"}
        if "group" in wanted.values:
            group = groups.get(wanted.values["group"])
            if group is None:
                self.reference(wanted, "group", groups)
                return
            values["group_id"] = group.id
        row = await self.row(resources.resources, organization_id, wanted, found, values)
        if row is None:
            return
        await self.settings(organization_id, "resource", row.id, wanted)
        for link in wanted.parts.get("links", ()):
            login = logins.get(link.values["connection"])
            if login is None:
                self.reference(link, "connection", logins)
                continue
            await self.link(organization_id, row, login, link, ties.get(link.name))

    async def link(self, organization_id: UUID, resource: Any, login: Any, wanted: Wanted, found: Any) -> None:
        label = f"{handle(resource)}: {wanted.name}"
        if found is not None and found.resource_id != resource.id:
            self.troubles.append(
                Permanent("onboarding.config_calendar_taken", Scope.ACCOUNT, line=str(wanted.line), place=wanted.place)
            )
            return
        if found is None:
            found = await links.create(
                self.connection,
                organization_id=organization_id,
                resource_id=resource.id,
                connection_id=login.id,
                mailbox=wanted.values.get("mailbox", ""),
                calendar=wanted.values.get("calendar", ""),
                active=wanted.values.get("active", True),
            )
            await self.note("create", "link", label, organization_id, found.id, {})
        elif wanted.values.get("active", found.active) != found.active:
            active = wanted.values["active"]
            await links.change(self.connection, organization_id, found.id, {"active": active})
            await self.note("update", "link", label, organization_id, found.id, {"active": (found.active, active)})
        await self.settings(organization_id, "link", found.id, replace(wanted, name=label))

    async def login(self, organization_id: UUID, wanted: Wanted, found: Any) -> Any:
        """Create or change a connection; secrets are compared in clear and told masked."""
        given = dict(wanted.values)
        auth: dict[str, str] | None = given.pop("auth", None)
        values = given
        if auth is not None and "method" in auth:
            values["auth_method"] = auth["method"]
        elif auth and found is None:
            values["auth_method"] = methods(values["provider"])[0]
        now = await connections.secrets_of(self.connection, self.box, found.id) if found is not None else {}
        whole = self.opened(wanted, auth or {}, now)
        if found is None:
            row = await connections.create(self.connection, self.box, {"organization_id": organization_id, **values}, whole)
            await self.note("create", "connection", wanted.name, organization_id, row.id, {})
            return row
        differing = _differing(found, values)
        secret_names: dict[str, tuple[Any, Any]] = {}
        sent: dict[str, str | None] | None = None
        if auth is not None:
            before = {**{name: value for name, value in found.auth.items() if value != MASK}, **now}
            sent = {name: whole.get(name) for name in {*before, *whole} if before.get(name) != whole.get(name)}
            secret_names = {f"auth.{name}": _told(name, before.get(name), whole.get(name)) for name in sorted(sent)}
        if not differing and not secret_names:
            return found
        changed = {name: after for name, (_, after) in differing.items()}
        row = await connections.change(
            self.connection, self.box, organization_id, found.id, changed, sent if secret_names else None
        )
        await self.note("update", "connection", wanted.name, organization_id, row.id, {**differing, **secret_names})
        return row

    async def hooks(self, organization_id: UUID, wanted: Wanted) -> None:
        listed = wanted.parts.get("webhooks")
        rows = {row.url: row for row in await all_of(self.connection, webhooks.webhooks, organization_id)}
        for hook in listed or ():
            found = rows.pop(hook.name, None)
            values = {name: hook.values[name] for name in ("types", "active") if name in hook.values}
            if found is not None:
                differing = _differing(found, values)
                if differing:
                    changed = {name: after for name, (_, after) in differing.items()}
                    await webhooks.change(self.connection, organization_id, found.id, changed)
                    await self.note("update", "webhook", hook.name, organization_id, found.id, differing)
                continue
            given = self.secret(hook, "secret", hook.values["secret"]) if "secret" in hook.values else ""
            made, drawn = await webhooks.create(
                self.connection, self.box, organization_id=organization_id, url=hook.values["url"], secret=given or "", **values
            )
            await self.note("create", "webhook", hook.name, organization_id, made.id, {}, note="" if given else drawn)
        if listed is not None:
            await self.leave(organization_id, list(rows.values()), webhooks.webhooks)

    # --- what they share -----------------------------------------------------------------------------------------

    async def row(
        self, kept: Kept[Any], organization_id: UUID | None, wanted: Wanted, found: Any, values: Mapping[str, Any]
    ) -> Any:
        """Create a row or change what differs of it; give it."""
        own = {} if organization_id is None else {"organization_id": organization_id}
        if found is None:
            made = await kept.add(self.connection, {**own, **values})
            await self.note("create", wanted.kind, wanted.name, organization_id or made.id, made.id, {})
            return made
        differing = _differing(found, values)
        if not differing:
            return found
        changed = {name: after for name, (_, after) in differing.items()}
        after = await kept.change(self.connection, organization_id, found.id, changed)
        await self.note("update", wanted.kind, wanted.name, organization_id or found.id, found.id, differing)
        return after

    async def settings(self, organization_id: UUID, level: str, object_id: UUID, wanted: Wanted) -> None:
        """Bring the settings of one place to exactly what the file says there; untouched where it says nothing."""
        if wanted.settings is None:
            return
        at = await levels.place(self.connection, level, object_id, organization_id)
        before = dict((await levels.layers(self.connection, at))[-1][1])
        after = {name: to_json(value) for name, value in wanted.settings.items()}
        differing = {
            f"settings.{name}": (before.get(name), after.get(name))
            for name in sorted({*before, *after})
            if before.get(name) != after.get(name)
        }
        if not differing:
            return
        values = {name.removeprefix("settings."): value for name, (_, value) in differing.items()}
        await levels.put(self.connection, organization_id, level, object_id, values, ACTOR)
        await self.note("update", wanted.kind, wanted.name, organization_id, object_id, differing)

    async def named(self, kept: Kept[Any], organization_id: UUID, listed: Sequence[Wanted] | None) -> _Named:
        rows = await all_of(self.connection, kept, organization_id)
        by_handle = _by_handle(rows)
        wanted = [(one, by_handle.get(one.name)) for one in listed or ()]
        kept_ids = {found.id for _, found in wanted if found is not None}
        left = [row for row in rows if row.id not in kept_ids] if listed is not None else []
        return _Named(wanted, by_handle, left)

    async def ties(self, organization_id: UUID, wanted: Wanted, logins: Mapping[str, Any]) -> Mapping[str, Any]:
        """Give the living links by their name in the file; those it does not name are left or disconnected."""
        handles = {login.id: name for name, login in logins.items() if login is not None}
        rows = [row for row in await all_of(self.connection, links.links, organization_id) if row.state != "disconnected"]
        ties = {" ".join((handles.get(row.connection_id, ""), row.mailbox, row.calendar)).strip(): row for row in rows}
        people = wanted.parts.get("resources")
        named = {link.name for person in people or () for link in person.parts.get("links", ())}
        for name, row in ties.items():
            if people is None or name in named:
                continue
            verb = "remove" if self.prune else "left"
            if self.prune:
                await links.disconnect(self.connection, row, links.Ending(), ACTOR)
            await self.note(verb, "link", name, organization_id, row.id, {})
        return {name: row for name, row in ties.items() if name in named}

    async def leave(self, organization_id: UUID, rows: Sequence[Any], kept: Kept[Any]) -> None:
        for row in rows:
            if self.prune:
                await self.erase(organization_id, row, kept)
            name = getattr(row, "url", "") if kept is webhooks.webhooks else handle(row)
            await self.note("remove" if self.prune else "left", kept.what, name, organization_id, row.id, {})

    async def erase(self, organization_id: UUID, row: Any, kept: Kept[Any]) -> None:
        if kept is resources.resources:
            await resources.erase(self.connection, organization_id, row.id)
        else:
            await kept.remove(self.connection, organization_id, row.id)
        if kept is resources.groups:
            await levels.forget(self.connection, "group", row.id)

    def opened(self, wanted: Wanted, auth: Mapping[str, str], now: Mapping[str, str]) -> dict[str, str]:
        """Give a login with its references followed. One that leads nowhere keeps the secret that is stored."""
        whole: dict[str, str] = {}
        for name, value in auth.items():
            if name == "method":
                continue
            if name in SHOWN:
                whole[name] = value
                continue
            found = self.secret(wanted, f"auth.{name}", value, kept=now.get(name))
            if found:
                whole[name] = found
        return whole

    def secret(self, wanted: Wanted, key: str, reference: str, kept: str | None = None) -> str | None:
        kind, _, where = reference.partition(":")
        found = self.environment.get(where) if kind == "env" else _content(Path(where))
        if not found and kept is None:
            self.troubles.append(
                Permanent(
                    "onboarding.config_secret",
                    Scope.ACCOUNT,
                    line=str(wanted.line),
                    place=f"{wanted.place}.{key}",
                    name=reference,
                )
            )
        return found or kept

    def reference(self, wanted: Wanted, key: str, known: Mapping[str, Any]) -> None:
        self.troubles.append(
            Permanent(
                "onboarding.config_reference",
                Scope.ACCOUNT,
                line=str(wanted.line),
                place=f"{wanted.place}.{key}",
                name=str(wanted.values[key]),
                known=", ".join(sorted(known)) or "–",
            )
        )

    async def note(
        self,
        verb: str,
        kind: str,
        name: str,
        organization_id: UUID,
        object_id: UUID,
        fields: Mapping[str, tuple[Any, Any]],
        note: str = "",
    ) -> None:
        """Keep a line of the plan; what changed is also written into the audit trail."""
        self.changes.append(Change(verb, kind, name, fields, note))
        if verb == "left":
            return
        await audit.record(
            self.connection,
            organization_id=organization_id,
            actor=ACTOR,
            action=f"{kind}.{verb}",
            of=f"{kind}/{object_id}",
            before={name: before for name, (before, _) in fields.items()} or None,
            after={name: after for name, (_, after) in fields.items()} or None,
        )


@dataclass(frozen=True, slots=True)
class _Named:
    """The rows of one table: those wanted with what was found, all by name, and those the file does not name."""

    wanted: list[tuple[Wanted, Any]]
    rows: dict[str, Any]
    left: list[Any]


def _by_handle(rows: Sequence[Any]) -> dict[str, Any]:
    """Index rows by name; the oldest counts where several share one, an `external_id` before a mere name."""
    found = {str(row.name): row for row in reversed(rows) if not row.external_id}
    return found | {row.external_id: row for row in rows if row.external_id}


def _differing(row: Any, values: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    return {
        name: (_json(getattr(row, name)), _json(value))
        for name, value in values.items()
        if _json(getattr(row, name)) != _json(value)
    }


def _json(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    return list(value) if isinstance(value, tuple) else value


def _told(name: str, before: str | None, after: str | None) -> tuple[str | None, str | None]:
    if name in SHOWN:
        return before, after
    return MASK if before else None, MASK if after else None


def _content(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""
