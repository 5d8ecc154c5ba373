"""`sync`, `plan` and `undo`: ask for runs, let a living worker make them, else make them here."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from gleichtakt.commands.opening import Here, attended, has_worker, opened
from gleichtakt.commands.telling import DONE, PROBLEMS, either, language_here, paint, progress, say, say_json, tell
from gleichtakt.errors import Permanent, Scope, cause, remedy
from gleichtakt.settings import Settings
from gleichtakt.store import runs
from gleichtakt.store.runs import ENDED, Run

ACTOR = "command"
COUNTED = {"create": "created", "update": "updated", "delete": "deleted"}
MARKS = {
    **{"done": ("✓", "good"), "partial": ("!", "warn"), "failed": ("✗", "bad")},
    **{"running": ("…", "faint"), "queued": ("…", "faint")},
}
VERBS = {"create": ("anlegen", "create"), "update": ("ändern", "update"), "delete": ("löschen", "delete")}
SIGNS = (("created", "+"), ("updated", "~"), ("deleted", "−"))


class Link:
    """A link as commands name it."""

    def __init__(self, row: Any) -> None:
        """row: of `_LINKS`."""
        self.id: UUID = row.id
        self.lane_id: UUID = row.lane_id
        self.organization_id: UUID = row.organization_id
        place = row.calendar_name or row.calendar or row.mailbox
        self.label = f"{row.resource} ↔ {row.connection}" + (f": {place}" if row.has_siblings else "")
        self.state: str = row.state if row.active else "inactive"
        self.last_success: datetime | None = row.last_success
        self.notified_by: str = row.notified_by
        self.notified_since: datetime | None = row.notified_since
        self.error: tuple[str, Mapping[str, str]] = (row.error_code, row.error_params)
        self.names = {str(row.id), row.resource, row.external_id, row.mailbox, row.calendar} - {"", None}
        self.is_resting = not row.active or row.state == "paused"


_LINKS = text("""
select l.id, l.lane_id, l.organization_id, l.mailbox, l.calendar, l.calendar_name, l.active, l.state,
       l.last_success, l.notified_by, l.notified_since, l.error_code, l.error_params,
       r.name as resource, r.external_id, c.name as connection,
       count(*) over (partition by l.resource_id, l.connection_id) > 1 as has_siblings
from link l join resource r on r.id = l.resource_id join connection c on c.id = l.connection_id
where l.state <> 'disconnected' order by l.id
""")


async def find_links(connection: AsyncConnection, names: Sequence[str], *, resting: bool = False) -> list[Link]:
    """Give the links meant by names: an id or the beginning of one, a resource's name, a mailbox, a calendar.

    No names: all that are not resting; with *resting* those too. Raises Permanent for a name that means none.
    """
    known = [Link(row) for row in await connection.execute(_LINKS)]
    if not names:
        return [link for link in known if resting or not link.is_resting]
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
        waiting = await open_questions(here)
    if as_json:
        say_json({"runs": [{"link_id": str(link.id), **_told(run), **plans.get(run.id, {})} for link, run in made]})
    for link, run in [] if as_json else made:
        _say_run(link, run, waiting.get(link.id, {}))
        _say_plan(plans.get(run.id, {}).get("actions", []))
    if not as_json and not made:
        say(either("Keine Verknüpfung ist aktiv.", "No link is active."))
    return DONE if all(_went_well(run) for _, run in made) else PROBLEMS


async def plan(settings: Settings, name: str, *, seconds: float, as_json: bool) -> int:
    """Say what a pass over one link would do."""
    async with opened(settings) as here:
        made = await _run(here, [name], "plan", seconds)
        if len(made) != 1:
            raise Permanent("command.several_links", Scope.CALENDAR, name=name, number=str(len(made)))
        ((link, run),) = made
        planned, waiting = await _plan(here, run), await open_questions(here)
    if as_json:
        say_json({**planned, "run_id": str(run.id), "state": run.state, "problems": list(run.problems)})
    else:
        _say_run(link, run, waiting.get(link.id, {}))
        _say_plan(planned["actions"])
    return DONE if _went_well(run) else PROBLEMS


async def undo(settings: Settings, name: str, *, seconds: float, as_json: bool) -> int:
    """Take back what a run wrote."""
    async with opened(settings) as here:
        async with here.database.begin() as connection:
            row = (await connection.execute(_RUN, {"name": name})).one_or_none()
            if row is None:
                raise Permanent("command.no_such_run", Scope.CALENDAR, name=name)
            run_id = await runs.undo(connection, row.organization_id, row.id, ACTOR)
            links = [link for link in await find_links(connection, [], resting=True) if link.id == row.link_id]
        run = (await _ended(here, [(link, run_id) for link in links], seconds))[0][1]
        waiting = await open_questions(here)
    if as_json:
        say_json({"link_id": str(row.link_id), "undo_of": str(row.id), **_told(run)})
    else:
        _say_run(links[0], run, waiting.get(row.link_id, {}))
    return DONE if _went_well(run) else PROBLEMS


_RUN = text("select id, organization_id, link_id from run where id::text = :name")
_QUESTIONS = text("""
select link_id, 'holds' as kind, count(*) as number from hold where state = 'open' group by link_id
union all select link_id, 'conflicts', count(*) from conflict where state = 'open' group by link_id
""")


async def open_questions(here: Here) -> dict[UUID, dict[str, int]]:
    """Count what waits for a person, by link: `holds` and `conflicts`."""
    found: dict[UUID, dict[str, int]] = {}
    async with here.database.read() as connection:
        for row in await connection.execute(_QUESTIONS):
            found.setdefault(row.link_id, {})[row.kind] = row.number
    return found


async def _run(here: Here, names: Sequence[str], kind: str, seconds: float) -> list[tuple[Link, Run]]:
    async with here.database.begin() as connection:
        links = await find_links(connection, names)
    asked: list[tuple[Link, UUID]] = []
    for link in links:
        async with here.database.begin() as connection:
            asked.append((link, await runs.ask(connection, link.id, kind, ACTOR)))
    return await _ended(here, asked, seconds)


async def _ended(here: Here, asked: Sequence[tuple[Link, UUID]], seconds: float) -> list[tuple[Link, Run]]:
    """Let a living worker make the runs, else make them here; give them as they are in the end or after so long."""
    if not await has_worker(here.database):
        from gleichtakt.worker.loop import work

        await attended(here)
        progress(either("Kein Worker läuft: der Abgleich geschieht hier …", "No worker is running: syncing here …"))
        await work(here.database, here.settings, here.box, once=True, lane_ids=[link.lane_id for link, _ in asked])
        seconds = 0
    ended = await asyncio.gather(*(runs.wait(here.database, link.organization_id, run_id, seconds) for link, run_id in asked))
    return [(link, run) for (link, _), run in zip(asked, ended, strict=True)]


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


def _say_run(link: Link, run: Run, waiting: Mapping[str, int]) -> None:
    """Write how a run ended, what it wrote, what was wrong and what waits for a person."""
    mark, style = MARKS["partial" if run.state == "done" and (run.problems or waiting) else run.state]
    say(f"{paint(mark, style)} {link.label}: {_summary(run)}")
    language = language_here()
    if run.error_code:
        tell(cause(run.error_code, run.error_params, language), indent=4, style=style)
        tell(remedy(run.error_code, run.error_params, language), indent=4, mark="→ ")
    for problem in run.problems:
        params = {name: str(value) for name, value in (problem.get("params") or {}).items()}
        tell(cause(problem.get("code", ""), params, language), indent=4, style="warn")
        tell(remedy(problem.get("code", ""), params, language), indent=4, mark="→ ")
    if waiting:
        say(paint(f"    {waits(waiting)}", "warn"))
    if run.kind == "sync" and any(sum(side.values()) for side in _counts(run).values()):
        say(paint(f"    {either('zurücknehmen', 'undo')}: gleichtakt undo {run.id}", "faint"))


def waits(waiting: Mapping[str, int]) -> str:
    """Say what waits for a person."""
    held, clashes = waiting.get("holds", 0), waiting.get("conflicts", 0)
    parts = []
    if held:
        parts.append(either(f"{held} mal zurückgehalten", f"{held} held back"))
    if clashes:
        parts.append(either(f"{clashes} Konflikt{'e' * (clashes > 1)}", f"{clashes} conflict{'s' * (clashes > 1)}"))
    return either("wartet auf Sie: ", "waits for you: ") + ", ".join(parts)


def _counts(run: Run) -> dict[str, dict[str, int]]:
    return {side: {verb: int(run.counts.get(side, {}).get(verb, 0)) for verb, _ in SIGNS} for side in ("app", "provider")}


def _summary(run: Run) -> str:
    """Give one line: how it ended and what was written on each side."""
    words = {
        "done": either("im Gleichtakt", "in step"),
        "partial": either("teilweise", "partly done"),
        "failed": either("fehlgeschlagen", "failed"),
        "running": either("läuft noch", "still running"),
        "queued": either("wartet auf einen Worker", "waiting for a worker"),
    }
    parts = [words[run.state]]
    if run.kind == "plan" and run.state == "done":
        parts = [either("geplant", "planned")]
    if run.state not in ENDED:
        return parts[0]
    names = {"app": either("hier", "here"), "provider": either("dort", "there")}
    for side, counted in _counts(run).items():
        if any(counted.values()):
            parts.append(f"{names[side]} " + " ".join(f"{sign}{counted[verb]}" for verb, sign in SIGNS if counted[verb]))
    if run.kind == "plan" and len(parts) == 1:
        parts.append(either("nichts zu tun", "nothing to do"))
    return ", ".join(parts)


def _say_plan(actions: Sequence[dict[str, Any]]) -> None:
    sides = {"app": either("hier", "here"), "provider": either("dort", "there")}
    for action in actions:
        verb = either(*VERBS.get(action["verb"], (action["verb"], action["verb"])))
        fields = f" ({', '.join(action['fields'])})" if action["fields"] else ""
        why = cause(action["why"], {}, language_here())
        tell(f"{sides.get(action['side'], action['side'])} {verb}: {action['title'] or action['uid']}{fields} – {why}", indent=2)
