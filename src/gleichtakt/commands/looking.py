"""`status`: how the links are, and what waits for a person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import text

from gleichtakt.commands.opening import Here, has_worker, opened
from gleichtakt.commands.syncing import Link, find_links
from gleichtakt.commands.telling import DONE, PROBLEMS, either, language_here, paint, say, say_json, tell
from gleichtakt.errors import cause, remedy
from gleichtakt.settings import Settings
from gleichtakt.store import instance

MOST = 10  # of a kind that are written out for one link; `--json` has them all
STATES: Final[Mapping[str, tuple[str, str, str, str]]] = {
    "new": ("…", "faint", "beginnt gleich", "about to start"),
    "listing": ("…", "faint", "wird gelesen", "being read"),
    "in_step": ("✓", "good", "im Gleichtakt", "in step"),
    "degraded": ("!", "warn", "im Gleichtakt, mit Ausnahmen", "in step, with exceptions"),
    "verify": ("!", "warn", "wird nur verglichen", "only comparing"),
    "delayed": ("!", "warn", "verzögert", "delayed"),
    "error": ("✗", "bad", "steht", "stopped"),
    "auth_required": ("✗", "bad", "Anmeldung abgelehnt", "sign-in refused"),
    "paused": ("–", "faint", "angehalten", "paused"),
    "inactive": ("–", "faint", "ausgeschaltet", "switched off"),
    "disconnected": ("–", "faint", "getrennt", "disconnected"),
}
NOTICES: Final[Mapping[str, tuple[str, str]]] = {
    "streaming": (", benachrichtigt über Streaming", ", notified by streaming"),
    "push": (", benachrichtigt durch Anrufe", ", notified by calls"),
    "pull": (", benachrichtigt durch Abholen", ", notified by pull"),
}
RESTING: Final = frozenset({"paused", "inactive", "disconnected"})
STOPPED: Final = frozenset({"error", "auth_required"})
_HOLDS = text("select id, link_id, kind, params, count from hold where state = 'open' order by created_at")
_CONFLICTS = text("""
select id, link_id, fields, coalesce(ours ->> 'title', theirs ->> 'title', base ->> 'title') as title,
       ours is null or theirs is null as is_gone from conflict where state = 'open' order by created_at
""")
_PROBLEMS = text("""
select id, link_id, code, params, count, last_at from problem where state = 'open' and link_id is not null order by first_at
""")


async def status(settings: Settings, names: Sequence[str], *, as_json: bool) -> int:
    """Say how links are. Ends with 1 when something waits for a person."""
    async with opened(settings) as here:
        async with here.database.read() as connection:
            links = await find_links(connection, names, resting=True)
            mode = (await instance.current(connection)).mode
        told = await _told(here, links)
        works = await has_worker(here.database)
    waiting = sum(len(one["holds"]) + len(one["conflicts"]) + len(one["problems"]) for one in told)
    if as_json:
        say_json({"mode": mode, "worker": works, "links": told})
    else:
        for one in told:
            _say(one)
        _say_sum(told, works, mode)
    return PROBLEMS if waiting or any(one["state"] in STOPPED for one in told) else DONE


async def _told(here: Here, links: Sequence[Link]) -> list[dict[str, Any]]:
    told: dict[UUID, dict[str, Any]] = {}
    for link in links:
        code, params = link.error
        told[link.id] = {
            "link_id": str(link.id),
            "label": link.label,
            "state": link.state,
            "last_success": link.last_success.isoformat() if link.last_success else None,
            "notified_by": link.notified_by,
            "notified_since": link.notified_since.isoformat() if link.notified_since else None,
            **({"error": _sentence(code, params)} if code else {}),
            **{"holds": [], "conflicts": [], "problems": []},
        }
    async with here.database.read() as connection:
        for row in await connection.execute(_HOLDS):
            if row.link_id in told:
                words = _sentence(f"sync.hold_{row.kind}", {**row.params, "count": row.count})
                told[row.link_id]["holds"].append({"id": str(row.id), "kind": row.kind, "count": row.count, **words})
        for row in await connection.execute(_CONFLICTS):
            if row.link_id in told:
                words = _sentence("sync.clash_deletion" if row.is_gone else "sync.clash", {})
                told[row.link_id]["conflicts"].append({"id": str(row.id), "fields": row.fields, "title": row.title, **words})
        for row in await connection.execute(_PROBLEMS):
            if row.link_id in told:
                told[row.link_id]["problems"].append({"id": str(row.id), "count": row.count, **_sentence(row.code, row.params)})
    return list(told.values())


def _sentence(code: str, params: Mapping[str, Any]) -> dict[str, str]:
    words, language = {name: str(value) for name, value in params.items()}, language_here()
    return {"code": code, "cause": cause(code, words, language), "remedy": remedy(code, words, language)}


def _say(one: Mapping[str, Any]) -> None:
    mark, style, *words = STATES.get(one["state"], ("?", "warn", one["state"], one["state"]))
    if style == "good" and (one["holds"] or one["conflicts"] or one["problems"]):
        mark, style = "!", "warn"
    say(f"{paint(mark, style)} {paint(one['label'], 'bold')}: {either(*words)}{_since(one['last_success'])}{_told_by(one)}")
    if "error" in one:
        _say_sentence(one["error"])
    for hold in one["holds"][:MOST]:
        _say_sentence(hold)
    for clash in one["conflicts"][:MOST]:
        tell(f"{clash['title'] or '–'} ({', '.join(clash['fields'])})", indent=4, style="bold")
        _say_sentence(clash)
    for problem in [problem for problem in one["problems"] if problem["cause"] != one.get("error", {}).get("cause")][:MOST]:
        _say_sentence(problem)


def _say_sentence(told: Mapping[str, str]) -> None:
    tell(told["cause"], indent=4, style="warn")
    tell(told["remedy"], indent=4, mark="→ ")


def _told_by(one: Mapping[str, Any]) -> str:
    """Say how changes there reach us, where somebody tells us."""
    stands = one["state"] in RESTING | STOPPED
    return either(*NOTICES[one["notified_by"]]) if one["notified_by"] in NOTICES and not stands else ""


def _since(moment: str | None) -> str:
    if moment is None:
        return ""
    seconds = max(0, int((datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds()))
    for size, de, en in ((86400, "Tg.", "d"), (3600, "Std.", "h"), (60, "Min.", "min")):
        if seconds >= size:
            return either(f", zuletzt vor {seconds // size} {de}", f", last {seconds // size} {en} ago")
    return either(f", zuletzt vor {seconds} s", f", last {seconds} s ago")


def _say_sum(told: Sequence[Mapping[str, Any]], works: bool, mode: str) -> None:
    fine = sum(one["state"] == "in_step" for one in told)
    holds, clashes, problems = (sum(len(one[kind]) for one in told) for kind in ("holds", "conflicts", "problems"))
    say(
        either(
            f"{len(told)} Verknüpfungen, {fine} im Gleichtakt; zurückgehalten {holds}, Konflikte {clashes}, Probleme {problems}",
            f"{len(told)} links, {fine} in step; held back {holds}, conflicts {clashes}, problems {problems}",
        )
    )
    if not works:
        tell(
            either(
                "Kein Worker läuft; `gleichtakt serve` oder `gleichtakt work` startet einen.",
                "No worker is running; `gleichtakt serve` or `gleichtakt work` starts one.",
            ),
            style="warn",
        )
    if mode == instance.VERIFY:
        tell(
            either(
                "Es wird nur verglichen und nichts geschrieben, bis `gleichtakt confirm` es erlaubt.",
                "It only compares and writes nothing until `gleichtakt confirm` allows it.",
            ),
            style="warn",
        )
