"""`sync` and `plan`: ask for runs, let a living worker make them, else make them here."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from gleichtakt.commands.opening import Here, attended, has_worker, opened
from gleichtakt.commands.telling import DONE, PROBLEMS, either, language_here, say, say_json
from gleichtakt.errors import Permanent, Scope, cause
from gleichtakt.settings import Settings
from gleichtakt.store import runs
from gleichtakt.store.runs import ENDED, Run
from gleichtakt.worker.loop import work

ACTOR = "command"
COUNTED = {"create": "created", "update": "updated", "delete": "deleted"}
SIGNS = (("created", "+"), ("updated", "~"), ("deleted", "−"))


class Link:
    """A link as commands name it."""

    def __init__(self, row: Any) -> None:
        """row: of `_LINKS`."""
        self.id: UUID = row.id
        self.lane_id: UUID = row.lane_id
        self.organization_id: UUID = row.organization_id
        self.label = f"{row.resource} ↔ {row.connection}: {row.calendar_name or row.calendar or row.mailbox}"
        self.names = {str(row.id), row.resource, row.external_id, row.mailbox, row.calendar} - {"", None}
        self.is_resting = not row.active or row.state == "paused"


_LINKS = text("""
select l.id, l.lane_id, l.organization_id, l.mailbox, l.calendar, l.calendar_name, l.active, l.state,
       r.name as resource, r.external_id, c.name as connection
from link l join resource r on r.id = l.resource_id join connection c on c.id = l.connection_id
where l.state <> 'disconnected' order by l.id
""")


async def find_links(connection: AsyncConnection, names: Sequence[str]) -> list[Link]:
    """Give the links meant by names: an id or the beginning of one, a resource's name, a mailbox, a calendar.

    No names: all that are not resting. Raises Permanent for a name that means none.
    """
    known = [Link(row) for row in await connection.execute(_LINKS)]
    if not names:
        return [link for link in known if not link.is_resting]
    found: dict[UUID, Link] = {}
    for name in names:
        meant = [link for link in known if name in link.names or (len(name) >= 8 and str(link.id).startswith(name))]
        if not meant:
            raise Permanent("command.no_such_link", Scope.CALENDAR, name=name)
        found |= {link.id: link for link in meant}
    return list(found.values())


async def sync(settings: Settings, names: Sequence[str], *, dry_run: bool, seconds: float, as_json: bool) -> int:
    """Make one pass over links now; with *dry_run* only say what it would do."""
    async with opened(settings) as here:
        made = await _run(here, names, "plan" if dry_run else "sync", seconds)
        plans = {run.id: await _plan(here, run) for _, run in made} if dry_run else {}
    if as_json:
        say_json({"runs": [{"link_id": str(link.id), **_told(run), **plans.get(run.id, {})} for link, run in made]})
    for link, run in [] if as_json else made:
        say(f"{link.label}: {_summary(run)}")
        _say_plan(plans.get(run.id, {}).get("actions", []))
    return DONE if all(_went_well(run) for _, run in made) else PROBLEMS


async def plan(settings: Settings, name: str, *, seconds: float, as_json: bool) -> int:
    """Say what a pass over one link would do."""
    async with opened(settings) as here:
        made = await _run(here, [name], "plan", seconds)
        if len(made) != 1:
            raise Permanent("command.several_links", Scope.CALENDAR, name=name, number=str(len(made)))
        ((link, run),) = made
        planned = await _plan(here, run)
    if as_json:
        say_json({**planned, "run_id": str(run.id), "state": run.state, "problems": list(run.problems)})
    else:
        say(f"{link.label}: {_summary(run)}")
        _say_plan(planned["actions"])
    return DONE if _went_well(run) else PROBLEMS


async def _run(here: Here, names: Sequence[str], kind: str, seconds: float) -> list[tuple[Link, Run]]:
    async with here.database.begin() as connection:
        links = await find_links(connection, names)
    asked: list[tuple[Link, UUID]] = []
    for link in links:
        async with here.database.begin() as connection:
            asked.append((link, await runs.ask(connection, link.id, kind, ACTOR)))
    if not await has_worker(here.database):
        await attended(here)
        await work(here.database, here.settings, here.box, once=True, lane_ids=[link.lane_id for link in links])
        seconds = 0
    ended = await asyncio.gather(*(runs.wait(here.database, link.organization_id, run_id, seconds) for link, run_id in asked))
    return list(zip(links, ended, strict=True))


async def _plan(here: Here, run: Run) -> dict[str, Any]:
    """Give the plan of a run in the form of the REST interface."""
    actions: list[dict[str, Any]] = []
    mails, after = 0, -1
    async with here.database.read() as connection:
        while (page := await runs.plan_of(connection, run.id, after=after)) is not None:
            mails = page.mails
            actions += [
                {
                    "side": action.side,
                    "verb": action.verb,
                    "uid": action.uid,
                    "title": action.title,
                    "fields": sorted(action.fields),
                    "why": action.why,
                }
                for action in page.actions
            ]
            if page.next is None:
                break
            after = page.next
    counts: dict[str, dict[str, int]] = {side: dict.fromkeys(COUNTED.values(), 0) for side in ("app", "provider")}
    for action in actions:
        if action["verb"] in COUNTED:
            counts[action["side"]][COUNTED[action["verb"]]] += 1
    return {"actions": actions, "counts": counts, "mails": mails}


def _told(run: Run) -> dict[str, Any]:
    return {
        "id": str(run.id),
        "state": run.state,
        "counts": run.counts,
        "held": run.held,
        "conflicts": run.conflicts,
        "problems": list(run.problems),
    }


def _went_well(run: Run) -> bool:
    return run.state == "done" and not run.problems


def _summary(run: Run) -> str:
    """Give one line: how it ended and what was written on each side."""
    words = {
        "done": either("in Ordnung", "done"),
        "partial": either("teilweise", "partly done"),
        "failed": either("fehlgeschlagen", "failed"),
        "running": either("läuft noch", "still running"),
        "queued": either("wartet", "waiting"),
    }
    parts = [words[run.state]]
    for side, name in (("app", either("hier", "here")), ("provider", either("dort", "there"))):
        counted = run.counts.get(side, {})
        parts.append(f"{name} " + " ".join(f"{sign}{counted.get(verb, 0)}" for verb, sign in SIGNS))
    if run.held:
        parts.append(either(f"{run.held} warten auf Freigabe", f"{run.held} held for approval"))
    if run.conflicts:
        parts.append(either(f"{run.conflicts} Konflikte", f"{run.conflicts} conflicts"))
    if run.state not in ENDED:
        return ", ".join(parts[:1])
    if run.error_code:
        parts.append(cause(run.error_code, run.error_params, language_here()))
    return ", ".join(parts)


def _say_plan(actions: Sequence[dict[str, Any]]) -> None:
    sides = {"app": either("hier", "here"), "provider": either("dort", "there")}
    for action in actions:
        fields = f" ({', '.join(action['fields'])})" if action["fields"] else ""
        why = cause(action["why"], {}, language_here())
        say(f"  {sides.get(action['side'], action['side'])} {action['verb']}: {action['title'] or action['uid']}{fields} – {why}")
