"""Settings at four levels: global (an organization's own), group, resource, link. The nearest one that says something wins.

Values are checked when they are written, so that reading never fails on them. What a name means, where it may stand and
what it falls back to is `sync.policy`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from gleichtakt.errors import Permanent, Scope
from gleichtakt.store import runs
from gleichtakt.store.passes import decode, encode
from gleichtakt.store.rows import missing
from gleichtakt.sync import policy

LEVELS = ("global", "group", "resource", "link")

Layers = Sequence[tuple[str, Mapping[str, Any]]]


@dataclass(frozen=True, slots=True)
class Place:
    """Where settings are read or written: a level and the organization, group, resource or link it belongs to.

    group_id, resource_id: what lies between, for inheritance. provider, options: of a link's connection.
    """

    level: str
    object_id: UUID
    organization_id: UUID
    group_id: UUID | None = None
    resource_id: UUID | None = None
    provider: str = ""
    options: Mapping[str, str] | None = None
    language: str = "de"

    @property
    def chain(self) -> tuple[tuple[str, UUID], ...]:
        """Give the levels that count here with their objects, far to near."""
        found = (("global", self.organization_id), ("group", self.group_id), ("resource", self.resource_id))
        own = (self.level, self.object_id)
        return tuple(dict.fromkeys([*((level, at) for level, at in found if at is not None), own]))


_PLACES = {
    "global": "select id, id as organization_id, null::uuid, null::uuid, '', null::jsonb, language from organization o",
    "group": """select o.id, organization_id, null::uuid, null::uuid, '', null::jsonb, f.language
                from resource_group o join organization f on f.id = o.organization_id""",
    "resource": "select id, organization_id, group_id, null::uuid, '', null::jsonb, language from resource o",
    "link": """select o.id, o.organization_id, r.group_id, r.id, c.provider, c.options, r.language
               from link o join resource r on r.id = o.resource_id join connection c on c.id = o.connection_id""",
}


async def place(connection: AsyncConnection, level: str, object_id: UUID, organization_id: UUID | None = None) -> Place:
    """Find a place. organization_id: the one it must belong to, None for any. Raises `web.not_found`."""
    found = await connection.execute(text(f"{_PLACES[level]} where o.id = :id"), {"id": object_id})
    row = found.one_or_none()
    if row is None or organization_id not in (None, row.organization_id):
        raise missing(level if level != "global" else "organization")
    return Place(level, *row)


_VALUES = text("""
select s.level, s.object_id, s.name, s.value::text from setting s
join unnest(cast(:levels as text[]), cast(:objects as uuid[])) as wanted(level, object_id)
  on wanted.level = s.level and wanted.object_id = s.object_id
""")


async def layers(connection: AsyncConnection, at: Place) -> Layers:
    """Give what the levels that count at a place say, far to near."""
    chain = at.chain
    found = await connection.execute(_VALUES, {"levels": [level for level, _ in chain], "objects": [of for _, of in chain]})
    said: dict[str, dict[str, Any]] = {level: {} for level, _ in chain}
    for row in found:
        said[row[0]][row[2]] = decode(row[3])
    return tuple(said.items())


async def resolved(connection: AsyncConnection, at: Place, limits: policy.Limits | None = None) -> policy.Resolved:
    """Give what holds at a place, with the origin of each value. limits: of the provider of a link."""
    return policy.resolve(await layers(connection, at), abilities=limits, provider=at.provider)


async def link_policy(connection: AsyncConnection, link_id: UUID) -> policy.Policy | None:
    """Give the policy of a link as its levels say, or None for a link that is gone."""
    try:
        at = await place(connection, "link", link_id)
    except Permanent:
        return None
    return (await resolved(connection, at)).policy


def checked(level: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Give values as they are kept; None stays and clears. Raises Permanent `web.setting_*` with the name as `place`."""
    kept: dict[str, Any] = {}
    for name, value in values.items():
        setting = policy.SETTINGS.get(name)
        if setting is None:
            raise Permanent("web.setting_unknown", Scope.SERIES, place=name)
        if level not in setting.levels:
            raise Permanent("web.setting_level", Scope.SERIES, place=name, levels=", ".join(setting.levels))
        try:
            kept[name] = None if value is None else setting.check(value)
        except ValueError as refused:
            raise Permanent("web.setting_value", Scope.SERIES, place=name, reason=str(refused)) from None
    return kept


_PUT = text("""
insert into setting (organization_id, level, object_id, name, value, updated_by)
values (:organization_id, :level, :object_id, :name, cast(:value as jsonb), :by)
on conflict (level, object_id, name) do update set value = excluded.value, updated_by = excluded.updated_by, updated_at = now()
""")
_CLEAR = text("delete from setting where level = :level and object_id = :object_id and name = any(cast(:names as text[]))")


async def put(
    connection: AsyncConnection, organization_id: UUID, level: str, object_id: UUID, values: Mapping[str, Any], by: str
) -> list[UUID]:
    """Set values, or clear them with None; give the links they concern, which are made due. Raises as `checked`."""
    kept = checked(level, values)
    own = {"organization_id": organization_id, "level": level, "object_id": object_id}
    rows = [{**own, "name": name, "value": encode(value), "by": by} for name, value in kept.items() if value is not None]
    if rows:
        await connection.execute(_PUT, rows)
    cleared = [name for name, value in kept.items() if value is None]
    if cleared:
        await connection.execute(_CLEAR, {"level": level, "object_id": object_id, "names": cleared})
    concerned = await links_below(connection, organization_id, level, object_id)
    await runs.make_due(connection, concerned)
    return concerned


_BELOW = {
    "global": "l.organization_id = :object_id",
    "group": "r.group_id = :object_id",
    "resource": "l.resource_id = :object_id",
    "link": "l.id = :object_id",
}


async def links_below(connection: AsyncConnection, organization_id: UUID, level: str, object_id: UUID) -> list[UUID]:
    """Give the living links for which a level counts."""
    found = await connection.execute(
        text(f"""select l.id from link l join resource r on r.id = l.resource_id
                 where l.organization_id = :organization_id and l.state <> 'disconnected' and {_BELOW[level]} order by l.id"""),
        {"organization_id": organization_id, "object_id": object_id},
    )
    return [row.id for row in found]


async def forget(connection: AsyncConnection, level: str, object_id: UUID) -> None:
    """Drop what a level says when its object goes."""
    await connection.execute(
        text("delete from setting where level = :level and object_id = :object_id"), {"level": level, "object_id": object_id}
    )


def within_ability(values: Mapping[str, Any], limits: policy.Limits, provider: str) -> None:
    """Refuse for a link what its provider cannot do. Raises Permanent `web.setting_ability`."""
    for name, value in values.items():
        reason = policy.beyond_ability(name, value, abilities=limits, provider=provider)
        if reason:
            raise Permanent("web.setting_ability", Scope.SERIES, place=name, reason=reason)
