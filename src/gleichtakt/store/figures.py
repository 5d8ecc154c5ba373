"""Figures for the operator's monitoring: how much is linked, waits, fails; counted per state, never per mailbox."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from gleichtakt.store import freshness

#: name -> (what it tells, label, query giving label value and number)
QUERIES: Mapping[str, tuple[str, str, str]] = {
    "gleichtakt_links": ("Links by state", "state", "select state, count(*) from link group by state"),
    "gleichtakt_links_notified": (
        "Working links by how changes there reach us",
        "by",
        "select notified_by, count(*) from link where active and state not in ('paused', 'disconnected') group by notified_by",
    ),
    "gleichtakt_connections": ("Connections by state", "state", "select state, count(*) from connection group by state"),
    "gleichtakt_holds_open": (
        "Holds waiting for a decision",
        "kind",
        "select kind, count(*) from hold where state = 'open' group by kind",
    ),
    "gleichtakt_conflicts_open": (
        "Conflicts waiting for a decision",
        "",
        "select '', count(*) from conflict where state = 'open'",
    ),
    "gleichtakt_problems_open": (
        "Open problems",
        "kind",
        "select kind, count(*) from problem where state = 'open' group by kind",
    ),
    "gleichtakt_lanes_overdue": (
        "Lanes due and not claimed",
        "",
        "select '', count(*) from lane where owner is null and due <= now()",
    ),
    "gleichtakt_lanes_running": (
        "Lanes being worked on",
        "",
        "select '', count(*) from lane where owner is not null and lease_until > now()",
    ),
    "gleichtakt_lag_seconds_max": (
        "Time since the least recently successful working link was in step",
        "",
        """select '', coalesce(extract(epoch from now() - min(coalesce(last_success, created_at))), 0) from link
           where active and state not in ('paused', 'disconnected')""",
    ),
    "gleichtakt_links_late": (
        "Working links that missed three of their intervals",
        "",
        f"select '', count(*) from link where {freshness.IS_LATE}",
    ),
    "gleichtakt_links_stale": (
        "Working links without success for an hour",
        "",
        f"select '', count(*) from link where {freshness.IS_STALE}",
    ),
    "gleichtakt_absences": (
        "Mailboxes of people by how the last reading of their automatic replies went",
        "reading",
        """select case when error_code <> '' then 'failed' when read_at is null then 'waiting' else 'read' end as reading,
             count(*) from out_of_office group by reading""",
    ),
    "gleichtakt_outbox_waiting": ("Jobs waiting in the outbox", "", "select '', count(*) from outbox"),
    "gleichtakt_webhooks_failing": (
        "Webhooks that are failing",
        "",
        "select '', count(*) from webhook where failing_since is not null and active",
    ),
}


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure with its values per label."""

    name: str
    tells: str
    label: str
    values: Sequence[tuple[str, float]]


async def read(connection: AsyncConnection) -> list[Figure]:
    """Count everything once."""
    figures = []
    for name, (tells, label, query) in QUERIES.items():
        rows = await connection.execute(text(query))
        figures.append(Figure(name, tells, label, [(str(row[0]), float(row[1])) for row in rows]))
    return figures
