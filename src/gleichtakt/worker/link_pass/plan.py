"""Step 4: decide, for everything that moved on either side, what would bring both sides together.

The plan is rows, so that its size does not matter. Guards look at the whole of it: what looks like an accident is held
for a person, the rest goes on. What a person has approved is exempt, for exactly the actions that were shown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from gleichtakt import errors
from gleichtakt.errors import Permanent, Scope
from gleichtakt.model.event import Sensitivity, Series
from gleichtakt.model.exchange_pattern import Grade
from gleichtakt.store import calendars, levels, observations, pairings, parts, passes, records
from gleichtakt.store.database import new_id
from gleichtakt.store.pairings import PairRow
from gleichtakt.sync import breaker, decide, guards
from gleichtakt.sync.parts import in_parts
from gleichtakt.sync.plan import (
    Action,
    Base,
    Flat,
    Outcome,
    Side,
    Tally,
    Theirs,
    Verb,
    Verdict,
    View,
    action_document,
)
from gleichtakt.worker.link_pass.context import Pass
from gleichtakt.worker.link_pass.shape import Shape, completed, is_reshaped, look
from gleichtakt.worker.link_pass.shape import facts as shape_facts

BATCH = 250


@dataclass(slots=True)
class Planning:
    """A plan under way: where its rows go, and what the guards must know of it."""

    plan_id: UUID | None = None
    number: int = 0
    deletes: Counter[Side] = field(default_factory=Counter)
    updates: Counter[Side] = field(default_factory=Counter)
    verbs: Counter[str] = field(default_factory=Counter)
    mails: int = 0
    held_singly: dict[str, list[int]] = field(default_factory=dict)


async def make_plan(work: Pass, kind: str) -> UUID | None:
    """Plan all that is stale, let the guards look at it, and give the plan's id; None when both sides are in step."""
    planning = Planning()
    async with work.writing(lazily=True) as connection:
        mapped, present = await pairings.tally(connection, work.link)
        await pairings.mark_pairings(connection, work.link)
    await _plan_pairs(work, planning, kind)
    await _plan_new(work, planning, kind)
    if planning.plan_id is None:
        return None
    await _guard(work, planning, mapped, present, kind)
    return planning.plan_id


async def _plan_pairs(work: Pass, planning: Planning, kind: str) -> None:
    after: UUID | None = None
    while True:
        async with work.database.read() as connection:
            rows = await pairings.stale_pairs(connection, work.link, after, BATCH)
            held = await records.held_digests(connection, work.link, [row.series_id for row in rows if row.hold_id])
            kept = await parts.of(connection, work.link, [row.series_id for row in rows])
        if not rows:
            return
        after = rows[-1].series_id
        await _learn_origins(work, rows)
        shaped = [look(work, row, kept.get(row.series_id, ())) for row in rows]
        await _store_pairs(work, planning, kind, [decide_pair(work, row, shape) for row, shape in shaped], held)
        if len(rows) < BATCH:
            return


async def _plan_new(work: Pass, planning: Planning, kind: str) -> None:
    after = ""
    while True:
        async with work.database.read() as connection:
            rows = await observations.unpaired_observed(connection, work.link, after, BATCH)
        if not rows:
            return
        after = rows[-1].href
        quiet = [row.href for row in rows if row.gone or row.document is None]
        actions: list[dict[str, Any]] = []
        for row in rows:
            if row.gone or row.document is None:
                continue
            view = View(
                origin="provider",
                ours=None,
                theirs=Theirs(calendars.read_document(row.document), row.reason, row.is_organizer),
                base=None,
                is_origin_link=True,
                origin_writes=work.policy.app_writes_foreign,
                uid=row.uid,
                first_run=not work.link.first_run_done,
            )
            found = _decide(work, view)
            if not found.actions:
                quiet.append(row.href)
            facts = {"expect": row.etag, "version": 0, "origin": "provider", "from_here": True, "ours_gone": False}
            actions += _rows(work, planning, None, row.href, found.actions, facts, exempt=False)
        async with work.writing(lazily=True) as connection:
            await _store_actions(work, planning, connection, kind, actions)
            if not work.dry:
                await observations.planned(connection, work.link, quiet)
                gone = [row.href for row in rows if row.gone]
                await observations.forget_observed(connection, work.link, gone)
                await records.close_problems(connection, work.link, hrefs=gone)
        if len(rows) < BATCH:
            return


@dataclass(frozen=True, slots=True)
class Decided:
    """What was decided for one pairing.

    completing: the action needed for its parts only, where nothing else is to do. halved: the other half is planned
    again, because the first one gives the series another shape.
    """

    row: PairRow
    shape: Shape
    found: Outcome
    completing: bool = False
    halved: bool = False


def decide_pair(work: Pass, row: PairRow, shape: Shape) -> Decided:
    """Give the outcome for one pairing as it stands in the rows."""
    view = replace(view_of(work, row), obstacle=shape.obstacle)
    found = decide.plan(view, work.policy, shape.limits, language=work.language, now=work.now, reader=work.reader)
    if is_reshaped(work, row, shape, found):
        return Decided(row, shape, replace(found, actions=found.actions[:1]), halved=True)
    action = completed(work, row, shape, found)
    return Decided(row, shape, found) if action is None else Decided(row, shape, Outcome((action,)), completing=True)


def view_of(work: Pass, row: PairRow) -> View:
    """Turn rows into what the planner sees."""
    alive = row.document is not None and row.deleted_at is None and row.version is not None
    from_here = row.origin == "provider" and row.origin_link_id == work.link.id
    relayed = row.origin == "provider" and not from_here
    origin = work.origins.get(row.origin_link_id) if relayed and row.origin_link_id else work.policy
    origin = origin or work.policy
    theirs = None
    if row.href is not None and row.seen and not row.gone:
        content = calendars.read_document(row.theirs) if row.theirs is not None and row.reason != "unreadable" else None
        theirs = Theirs(content, row.reason, row.is_organizer, _modified_at(row))
    grace = timedelta(minutes=work.policy.delete_grace_minutes)
    base = None
    if row.base_ours is not None:
        base = Base(row.base_ours, row.base_ours if row.base_theirs is None else row.base_theirs)
    return View(
        origin=row.origin or "app",
        ours=calendars.read_document(row.document) if alive and row.document is not None else None,
        theirs=theirs,
        base=base,
        ours_deleted=row.deleted_at is not None,
        is_origin_link=from_here,
        relayed=relayed,
        origin_writes=origin.app_writes_foreign,
        origin_detail=origin.inbound_detail,
        made_by_us=row.made_by_us,
        verdict=Verdict(row.verdict) if row.verdict in set(Verdict) else Verdict.NONE,
        ours_modified_at=row.updated_at,
        grace_over=row.seen_at is None or row.seen_at + grace <= work.now,
        in_window=_in_window(work, row),
        first_run=not work.link.first_run_done,
        uid=row.uid,
    )


def shown_there(work: Pass, row: PairRow) -> Flat:
    """Give ours of a pairing as a calendar that takes every series in parts would hold it."""
    return decide.shown(view_of(work, row), work.policy, in_parts(work.limits), language=work.language, reader=work.reader)


def _modified_at(row: PairRow) -> datetime | None:
    """Give when theirs was last changed: by their word, but not after we saw it; where they say nothing, when we saw it."""
    if row.modified_at is None or row.seen_at is None:
        return row.seen_at
    return min(row.modified_at, row.seen_at)


def _in_window(work: Pass, row: PairRow) -> bool:
    if row.starts_at is None:
        return True
    return row.starts_at < work.window.end and (row.ends_at is None or row.ends_at >= work.window.start)


def _decide(work: Pass, view: View) -> Outcome:
    return decide.plan(view, work.policy, work.limits, language=work.language, now=work.now, reader=work.reader)


async def _learn_origins(work: Pass, rows: Sequence[PairRow]) -> None:
    """Load the policies of the other links that events of this resource came from."""
    wanted = {row.origin_link_id for row in rows if row.origin_link_id and row.origin_link_id != work.link.id}
    for link_id in wanted - work.origins.keys():
        async with work.database.read() as connection:
            policy = await levels.link_policy(connection, link_id)
        if policy is not None:
            work.origins[link_id] = policy


async def _store_pairs(work: Pass, planning: Planning, kind: str, decided: Sequence[Decided], held: dict[UUID, str]) -> None:
    """Store what was decided for a batch of pairings."""
    outcomes = [(one.row, one.found) for one in decided]
    quiet: list[PairRow] = []
    settled: list[UUID] = []
    released: list[UUID] = []
    actions: list[dict[str, Any]] = []
    clashes: list[tuple[PairRow, Outcome]] = []
    refused = [(row, found.refused) for row, found in outcomes if found.refused and not found.actions]
    waiting: list[PairRow] = []
    looping: list[tuple[PairRow, Looping]] = []
    now = work.now.timestamp()
    for one in decided:
        row, found = one.row, one.found
        effects = found.actions
        if row.series_id in held:
            if effects and effects[0].digest() == held[row.series_id] and not row.verdict:
                quiet.append(row)
                continue
            released.append(row.series_id)
        if found.clash:
            clashes.append((row, found))
        elif found.wait_until_grace:
            waiting.append(row)
        elif not effects:
            quiet.append(row)
            if row.state == "conflict":
                settled.append(row.series_id)
        elif not work.dry and (loop := _loop_of(row, effects, now)) is not None:
            looping.append((row, loop))
        else:
            facts = {
                "answers": _answers(row, effects, now),
                "expect": row.etag,
                "version": row.version,
                "origin": row.origin or "app",
                "from_here": row.origin_link_id == work.link.id,
                "ours_gone": row.deleted_at is not None or row.version is None,
                "made_by_us": row.made_by_us,
                "halved": one.halved,
            }
            exempt = row.verdict != "" or one.completing
            actions += _rows(work, planning, row.series_id, row.href, found.actions, facts, exempt=exempt, of=one)
    async with work.writing(lazily=not clashes) as connection:
        await _store_actions(work, planning, connection, kind, actions)
        if work.dry:
            work.conflicts += len(clashes)
            return
        await records.release(connection, work.link, released)
        await pairings.hold_still(connection, work.link, [row.series_id for row in (*quiet, *(row for row, _ in clashes))])
        await pairings.in_step(connection, work.link, quiet)
        await observations.planned(connection, work.link, [row.href for row, _ in outcomes if row.href])
        await parts.planned(connection, work.link, [one.row.series_id for one in decided if not one.shape.is_plain])
        await _tell_grades(work, connection, decided)
        for row in quiet:
            if row.version is None or (row.deleted_at is not None and (row.href is None or row.gone)):
                await pairings.unpair(connection, work.link, row.series_id, forget=True)
        await observations.forget_observed(
            connection, work.link, [row.href for row in quiet if row.href and row.gone and row.deleted_at is not None]
        )
        await records.close_conflicts(connection, work.link, settled, "agreed")
        await _tell_refused(work, connection, refused, quiet)
        grace = timedelta(minutes=work.policy.delete_grace_minutes)
        for row in waiting:
            until = (row.seen_at or work.now) + grace
            await pairings.set_aside(connection, work.link, row.series_id, row.state, until=until)
            work.postponed += 1
        for row, loop in looping:
            await _rest(work, connection, row, loop)
        for row, found in clashes:
            if found.clash is None:
                continue
            clash = found.clash
            await records.open_conflict(
                connection,
                work.link,
                row.series_id,
                row.href,
                sorted(clash.fields),
                (clash.base, clash.ours, clash.theirs),
            )
            await pairings.set_aside(connection, work.link, row.series_id, "conflict", version=row.version)
            work.conflicts += 1


async def _tell_grades(work: Pass, connection: AsyncConnection, decided: Sequence[Decided]) -> None:
    """Note how the other side holds series, where that has changed, and list what is held in parts for information."""
    moved = [one for one in decided if one.shape.grade != (one.row.grade, one.row.grade_reason)]
    await parts.graded(connection, work.link, [(one.row.series_id, *one.shape.grade) for one in moved])
    exploded = [one for one in moved if one.shape.grade[0] == Grade.EXPLODED]
    await records.withdraw_notices(connection, work.link, [one.row.series_id for one in moved])
    for one in exploded:
        await records.post_notice(connection, work.link, one.shape.grade[1], one.row.series_id, one.row.starts_at)


async def _tell_refused(work: Pass, connection: Any, refused: Sequence[tuple[PairRow, str]], quiet: Sequence[PairRow]) -> None:
    """List what the other side cannot hold, and take off the list what is in step again."""
    still = {row.series_id for row, _ in refused}
    mended = [row.series_id for row in quiet if row.problem_code and row.series_id not in still]
    if mended:
        await records.close_problems(connection, work.link, series_ids=mended)
    for row, code in refused:
        trouble = Permanent(code, Scope.SERIES)
        await pairings.refuse(connection, work.link, row.series_id, code)
        await records.open_problem(connection, work.link, trouble, series_id=row.series_id, event_start=row.starts_at)
        work.problems.append({"code": code, "series_id": str(row.series_id), "side": "provider"})


@dataclass(frozen=True, slots=True)
class Looping:
    """A side of an event that may not be written for a while."""

    side: Side
    until: datetime
    writes: int


def _loop_of(row: PairRow, actions: Sequence[Action], now: float) -> Looping | None:
    """Say whether a write would go on with a loop. What a person has decided is written, and so is a deletion: it ends one."""
    writes = breaker.read_writes(row.writes, now)
    if not writes or row.verdict:
        return None
    for action in actions:
        until = breaker.closed_until(writes, action.side) if action.verb in (Verb.CREATE, Verb.UPDATE) else None
        if until is not None:
            number = sum(written.side is action.side for written in writes)
            return Looping(action.side, datetime.fromtimestamp(until, UTC), number)
    return None


def _answers(row: PairRow, actions: Sequence[Action], now: float) -> list[str]:
    """Name the sides at which what is written now answers a movement there."""
    writes = breaker.read_writes(row.writes, now)
    moved = {Side.PROVIDER: row.has_moved, Side.APP: row.version != row.series_version}
    return [action.side.value for action in actions if breaker.answers(writes, action.side, has_moved=moved[action.side])]


async def _rest(work: Pass, connection: AsyncConnection, row: PairRow, loop: Looping) -> None:
    """Let an event in a loop rest, and say so; what moved meanwhile is merged afterwards."""
    trouble = errors.Throttled("sync.loop", errors.Scope.SERIES, until=loop.until, writes=str(loop.writes))
    await pairings.postpone(connection, work.link, row.series_id, retry_at=loop.until, state=row.state, code=trouble.code)
    await records.open_problem(
        connection,
        work.link,
        trouble,
        series_id=row.series_id,
        href=row.href,
        side=loop.side.value,
        event_start=row.starts_at,
        next_try_at=loop.until,
    )
    work.postponed += 1
    work.problems.append({"code": trouble.code, "series_id": str(row.series_id), "side": loop.side.value})


def _rows(
    work: Pass,
    planning: Planning,
    series_id: UUID | None,
    href: str | None,
    actions: Sequence[Action],
    facts: dict[str, Any],
    *,
    exempt: bool,
    of: Decided | None = None,
) -> list[dict[str, Any]]:
    """Give the rows of one outcome's actions and count them for the guards."""
    rows = []
    identity = series_id or new_id()
    both = sum(action.is_effect for action in actions) > 1
    for action in actions:
        planning.number += 1
        if not exempt:
            if action.verb is Verb.DELETE and action.hold is None:
                planning.deletes[action.side] += 1
            if action.verb is Verb.UPDATE:
                planning.updates[action.side] += 1
        if action.hold is not None and not exempt:
            planning.held_singly.setdefault(action.hold.value, []).append(planning.number)
        planning.verbs[f"{action.side.value}.{action.verb.value}"] += 1
        planning.mails += action.mails
        version = facts["version"]
        after_ours = both and action.side is Side.PROVIDER and actions[0].side is Side.APP and actions[0].is_effect
        rows.append(
            {
                "number": planning.number,
                "resource_id": work.link.resource_id,
                "link_id": work.link.id,
                "series_id": identity,
                "href": href,
                "side": action.side.value,
                "verb": action.verb.value,
                "uid": action.uid,
                "title": _shown_title(action),
                "fields": passes.encode(sorted(action.fields)),
                "why": action.why,
                "action": passes.encode(
                    {
                        **facts,
                        **(shape_facts(of.row, of.shape, action) if of is not None else {}),
                        "version": (version or 0) + 1 if after_ours else version,
                        "action": action_document(action),
                    }
                ),
                "digest": action.digest(),
                "state": "approved" if exempt else "planned",
                "mails": action.mails,
            }
        )
    return rows


def _shown_title(action: Action) -> str:
    """Give the title an operator may see: none for what is private."""
    content: Series | None = action.series or action.before
    if content is not None and content.event.sensitivity is not Sensitivity.NORMAL:
        return ""
    return (action.title or (content.event.title if content else ""))[:200]


async def _store_actions(work: Pass, planning: Planning, connection: Any, kind: str, actions: list[dict[str, Any]]) -> None:
    if not actions:
        return
    if planning.plan_id is None:
        planning.plan_id = await records.add_plan(connection, work.link, work.run_id, kind)
    for action in actions:
        action["plan_id"] = planning.plan_id
    await records.add_actions(connection, actions)


async def _guard(work: Pass, planning: Planning, mapped: int, present: int, kind: str) -> None:
    """Hold back what looks like an accident, and what asks for a person on its own account."""
    if planning.plan_id is None:
        return
    tally = Tally(
        mapped=mapped,
        deletes={side: planning.deletes[side] for side in Side},
        updates={side: planning.updates[side] for side in Side},
        present={Side.APP: present, Side.PROVIDER: mapped},
        mails=planning.mails,
    )
    held = guards.held(tally, work.policy)
    by_kind: dict[str, list[tuple[str, str]]] = {}
    for (side, verb), why in held.items():
        by_kind.setdefault(why.value, []).append((side.value, verb.value))
    params = {"mapped": mapped, **{f"{side.value}_deletes": planning.deletes[side] for side in Side}}
    params |= {f"{side.value}_updates": planning.updates[side] for side in Side}
    async with work.writing() as connection:
        await records.close_plan(connection, planning.plan_id, dict(planning.verbs), planning.mails)
        if work.dry or kind == "dry":
            return
        for reason, numbers in planning.held_singly.items():
            work.held += await records.hold_actions(
                connection, work.link, planning.plan_id, work.run_id, reason, params, numbers=numbers
            )
        for reason, classes in by_kind.items():
            work.held += await records.hold_actions(
                connection, work.link, planning.plan_id, work.run_id, reason, params, classes=classes
            )
        await records.skip_after(connection, planning.plan_id, "held")
