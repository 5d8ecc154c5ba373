"""What is thrown away, and when. Each period once, in a table; each deletion in small transactions.

The period of runs, logs and copies of disconnected calendars is a setting of the organization (`retention_days`); the
others follow from what they are for. The audit trail stays: its rows prove each other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from gleichtakt.store.database import Database

BATCH: Final = 2_000
DEFAULT_DAYS: Final = 30

#: Days per organization, from its global settings.
_DAYS = f"""
coalesce((SELECT (setting.value #>> '{{}}')::int FROM setting WHERE setting.level = 'global'
          AND setting.object_id = organization.id AND setting.name = 'retention_days'), {DEFAULT_DAYS})
"""
_KEPT = f"""(
    SELECT organization.id AS organization_id, CAST(:now AS timestamptz) - make_interval(days => {_DAYS}) AS since
    FROM organization) kept"""


@dataclass(frozen=True, slots=True)
class Rule:
    """Which rows go. chosen: a query that gives the keys of one batch (`:now`, `:batch`). along: what goes with `gone`."""

    name: str
    table: str
    key: tuple[str, ...]
    chosen: str
    along: str = ""


def _by_setting(name: str, table: str, key: tuple[str, ...], condition: str) -> Rule:
    """Make a rule for rows older than the organization's own period."""
    keys = ", ".join(f"{table}.{column}" for column in key)
    return Rule(
        name,
        table,
        key,
        f"SELECT {keys} FROM {_KEPT} JOIN {table} ON {table}.organization_id = kept.organization_id "
        f"WHERE {condition} LIMIT :batch",
    )


def _by_age(name: str, table: str, key: tuple[str, ...], condition: str, age: timedelta, along: str = "") -> Rule:
    """Make a rule for rows older than a period of their own."""
    keys = ", ".join(key)
    since = f"CAST(:now AS timestamptz) - make_interval(secs => {age.total_seconds()})"
    return Rule(name, table, key, f"SELECT {keys} FROM {table} WHERE {condition.format(since=since)} LIMIT :batch", along)


TOMBSTONES: Final = timedelta(days=90)
CHANGES: Final = timedelta(days=90)

RULES: Final = (
    _by_setting(
        "runs",
        "run",
        ("id",),
        "run.finished_at < kept.since AND NOT EXISTS (SELECT 1 FROM hold WHERE hold.run_id = run.id AND hold.state = 'open')",
    ),
    _by_setting(
        "plans",
        "plan",
        ("id",),
        "plan.created_at < kept.since AND NOT EXISTS "
        "(SELECT 1 FROM run WHERE run.id = plan.run_id AND run.state IN ('queued', 'running'))",
    ),
    _by_setting("problems", "problem", ("id",), "problem.last_at < kept.since AND problem.state <> 'open'"),
    _by_setting("holds", "hold", ("id",), "hold.decided_at < kept.since AND hold.state <> 'open'"),
    _by_setting("conflicts", "conflict", ("id",), "conflict.decided_at < kept.since AND conflict.state <> 'open'"),
    _by_setting("journal", "journal", ("resource_id", "id"), "journal.at < kept.since"),
    # A tombstone goes last: while a copy of it exists somewhere it still has to be deleted there.
    _by_age(
        "tombstones",
        "series",
        ("resource_id", "id"),
        "deleted_at < {since} AND NOT EXISTS (SELECT 1 FROM pairing WHERE pairing.resource_id = series.resource_id "
        "AND pairing.series_id = series.id AND pairing.href IS NOT NULL AND pairing.state <> 'unlinked')",
        TOMBSTONES,
        ", unpaired AS (DELETE FROM pairing USING gone "
        "WHERE pairing.resource_id = gone.resource_id AND pairing.series_id = gone.id)",
    ),
    _by_age("changes", "change", ("id",), "occurred_at < {since}", CHANGES),
    _by_age("idempotency keys", "idempotency", ("organization_id", "key"), "created_at < {since}", timedelta(days=1)),
    _by_age("sessions", "session", ("token_hash",), "expires_at < {since}", timedelta(0)),
)


async def clean(database: Database, now: datetime) -> Mapping[str, int]:
    """Apply every rule until nothing is left to throw away; counts by name. Can be interrupted at any point."""
    counts = {"disconnected copies": await _forget_disconnected(database, now)}
    for rule in RULES:
        counts[rule.name] = await _apply(database, rule, now)
    return counts


async def _apply(database: Database, rule: Rule, now: datetime) -> int:
    total = 0
    while True:
        async with database.begin() as connection:
            count = await _delete_batch(connection, rule, now)
        total += count
        if count < BATCH:
            return total


async def _delete_batch(connection: AsyncConnection, rule: Rule, now: datetime) -> int:
    keys = ", ".join(rule.key)
    matches = " AND ".join(f"{rule.table}.{column} = old.{column}" for column in rule.key)
    if rule.name == "changes":
        await _mark_pruned(connection, rule, now)
    returned = ", ".join(f"{rule.table}.{column}" for column in rule.key)
    deleted = await connection.execute(
        text(
            f"WITH old({keys}) AS ({rule.chosen}), "
            f"gone AS (DELETE FROM {rule.table} USING old WHERE {matches} RETURNING {returned}) "
            f"{rule.along} SELECT count(*) FROM gone"
        ),
        {"now": now, "batch": BATCH},
    )
    count: int = deleted.scalar_one()
    return count


async def _mark_pruned(connection: AsyncConnection, rule: Rule, now: datetime) -> None:
    """Remember up to where the feed is cut, so that a reader further back is told instead of losing something."""
    await connection.execute(
        text(f"""
            WITH old(id) AS ({rule.chosen}),
            last AS (SELECT xid, change.id FROM change JOIN old ON old.id = change.id ORDER BY xid DESC, change.id DESC LIMIT 1)
            UPDATE instance SET pruned_xid = last.xid, pruned_id = last.id FROM last
            WHERE (last.xid, last.id) > (pruned_xid, pruned_id)
        """),
        {"now": now, "batch": BATCH},
    )


async def _forget_disconnected(database: Database, now: datetime) -> int:
    """Drop what we hold of calendars that were disconnected long ago: their copies, and the events that came from them."""
    async with database.read() as connection:
        links = (
            await connection.execute(
                text(f"""
                    SELECT link.id, link.resource_id FROM {_KEPT} JOIN link ON link.organization_id = kept.organization_id
                    WHERE link.state = 'disconnected' AND link.updated_at < kept.since
                """),
                {"now": now},
            )
        ).all()
    return sum([await _forget_link(database, {"link_id": link_id, "resource_id": resource}) for link_id, resource in links])


async def _forget_link(database: Database, link: Mapping[str, Any]) -> int:
    imported = "(SELECT id FROM series WHERE resource_id = :resource_id AND origin_link_id = :link_id)"
    count = 0
    async with database.begin() as connection:
        for statement in (
            f"""INSERT INTO change (organization_id, type, resource_id, object_id)
                SELECT organization_id, 'event.deleted', resource_id, id FROM series
                WHERE resource_id = :resource_id AND deleted_at IS NULL AND id IN {imported}""",
            f"DELETE FROM occurrence WHERE resource_id = :resource_id AND series_id IN {imported}",
            f"DELETE FROM journal WHERE resource_id = :resource_id AND series_id IN {imported}",
            f"DELETE FROM pairing WHERE resource_id = :resource_id AND (link_id = :link_id OR series_id IN {imported})",
            f"DELETE FROM part WHERE resource_id = :resource_id AND (link_id = :link_id OR series_id IN {imported})",
            "DELETE FROM observed WHERE resource_id = :resource_id AND link_id = :link_id",
            "DELETE FROM series WHERE resource_id = :resource_id AND origin_link_id = :link_id",
        ):
            done = await connection.execute(text(statement), dict(link))
            count += done.rowcount if statement.startswith("DELETE") else 0
    return count
