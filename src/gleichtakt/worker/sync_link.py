"""The job of a pass over one link: join the steps, and say in rows how it went.

A poll that finds nothing leaves no run behind, only the link's new due time. Troubles of one series never stop the rest;
a trouble of the calendar stops this link, one of the account the lane. A bug is no trouble: the run is closed as failed
and the exception goes on to the loop, which logs it.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec
import structlog

from gleichtakt.errors import AuthRequired, NotTried, Permanent, Scope, Throttled, Transient, Trouble
from gleichtakt.onboarding.connect import limits_of
from gleichtakt.providers.guarded import MET_BY_ANOTHER
from gleichtakt.providers.protocol import Provider
from gleichtakt.store import changes, connections, credentials, lanes, links, pairings, passes, records, watches
from gleichtakt.store.database import Database, wake_after_commit
from gleichtakt.store.passes import LinkRow
from gleichtakt.sync.policy import Policy, resolve, to_json
from gleichtakt.worker.link_pass.context import LeaseLost, Pass, utc_now
from gleichtakt.worker.link_pass.match import match_new
from gleichtakt.worker.link_pass.observe import observe
from gleichtakt.worker.link_pass.plan import make_plan
from gleichtakt.worker.link_pass.resolve import resolve as resolve_intents
from gleichtakt.worker.link_pass.settle import settle
from gleichtakt.worker.undo_run import undo_run

log = structlog.get_logger(__name__)

CONTENDED_MOST = 3
ROUNDS = 4  # of planning and settling in one pass; what is left after that waits for the next
BACKOFF_FIRST, BACKOFF_MOST = timedelta(seconds=5), timedelta(minutes=15)
PERMANENT_MOST = timedelta(days=1)
ALARM_AFTER = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Result:
    """How a pass ended: when the link is due again, and what its row should say."""

    link_id: UUID
    due: datetime
    quiet: bool = False  # nothing had changed: only times are written
    trouble: Trouble | None = None
    account_until: datetime | None = None  # the whole connection rests until then
    lane_until: datetime | None = None  # this mailbox does: it was asked to, another one tries the login, or nobody may
    heard: int = 0  # reasons to look that were counted when it began


def digest_of(policy: Policy) -> str:
    """Name everything a policy says, so that a change of any setting is noticed."""
    plain = msgspec.json.encode({name: to_json(getattr(policy, name)) for name in policy.__slots__}, order="sorted")
    return hashlib.blake2b(plain, digest_size=12).hexdigest()


def link_policy(link: LinkRow, provider: Provider) -> Policy:
    """Give the policy of a link, capped by what its provider can do."""
    return resolve(link.layers, abilities=limits_of(provider.abilities), provider=link.provider).policy


async def sync_link(
    database: Database, claim: lanes.Claim, link: LinkRow, provider: Provider, *, epoch: str, verify: bool
) -> Result:
    """Make one pass over one link. verify: the instance was restored or cloned, so plan and write nothing remotely.

    Raises LeaseLost when another worker took the lane, and whatever is a bug.
    """
    now = utc_now()
    policy = link_policy(link, provider)
    work = Pass(
        database,
        claim,
        link,
        policy,
        limits_of(provider.abilities),
        provider,
        epoch,
        now,
        dry=verify or link.run_kind == "plan",
    )
    try:
        if link.run_id is not None or not link.first_run_done:
            await _begin(work)
        something_done = await _patiently(work)
        if work.is_cut:
            raise Transient("sync.listing_cut", Scope.CALENDAR)
        if something_done or link.state not in ("in_step", "degraded") or link.connection_state != "online":
            return await _finish(work)
        return Result(link.id, now + _interval(policy), quiet=True, heard=link.calls)
    except Trouble as trouble:
        return await _fail(work, trouble)
    except (LeaseLost, asyncio.CancelledError):  # whoever takes the lane next goes on with this run
        raise
    except BaseException:
        if work.run_id is not None:
            async with database.begin() as connection:
                await records.end_run(connection, work.run_id, state="failed", counts=work.totals(), trouble=_bug())
        raise


async def _patiently(work: Pass) -> bool:
    """Make the pass, again where it gave way to somebody else's change: every step can be repeated."""
    for _ in range(CONTENDED_MOST):
        try:
            return await _pass(work)
        except Transient as contended:
            if contended.code != "store.contended":
                raise
    return await _pass(work)


async def _pass(work: Pass) -> bool:
    """Go through the steps; say whether there was anything to do."""
    link = work.link
    if link.facts.get("policy") != (policy := digest_of(work.policy)):
        async with work.writing() as connection:
            await pairings.look_at_all(connection, link)
            link.facts.update(policy=policy, interval=work.policy.interval_seconds)
            await passes.save_cursor(connection, link, {"facts": link.facts})
        moved_by_policy = link.first_run_done
    else:
        moved_by_policy = False
    if link.has_work and not work.dry:
        await resolve_intents(work)
    if link.run_kind == "undo" and link.run_id is not None and not work.dry:
        await observe(work)
        await undo_run(work)
    moved = await observe(work)
    if work.has_news:
        await _doubt(work)
    moved = moved or moved_by_policy
    if not moved and not link.has_work and link.first_run_done and link.run_kind != "undo":
        return work.run_id is not None  # a run that was asked for is closed all the same
    if work.is_cut and not link.first_run_done:
        return True  # what was not named yet may be the twin of what would be written
    await match_new(work)
    if not link.first_run_done:
        async with work.writing() as connection:
            await pairings.spread(connection, link)
    for _ in range(ROUNDS):
        if work.run_id is None and not await _something_stale(work):
            return False
        if work.run_id is None:
            await _begin(work)
        work.plan_id = await make_plan(work, "dry" if work.dry else "run") or work.plan_id
        if work.dry or work.plan_id is None:
            break
        await settle(work, work.plan_id)
        if not await _something_stale(work):
            break
    else:
        work.postponed += 1  # somebody is always faster: the next pass goes on
    return True


async def _doubt(work: Pass) -> None:
    """Ask for a new watch where something had happened and nothing was told: it may be deaf, whatever it says."""
    link = work.link
    if link.is_notified and link.calls == link.heard and link.first_run_done:
        async with work.writing(lazily=True) as connection:
            if await watches.doubt(connection, link.id):
                wake_after_commit(connection, watches.CHANNEL)
                log.warning("watch_doubted", link=str(link.id), notified_by=link.notified_by)


async def _something_stale(work: Pass) -> bool:
    async with work.database.read() as connection:
        return await pairings.has_stale(connection, work.link)


async def _begin(work: Pass) -> None:
    async with work.writing(lazily=True) as connection:
        work.run_id = await records.begin_run(connection, work.link, "plan" if work.link.run_kind == "plan" else "sync")


async def _finish(work: Pass) -> Result:
    """Close the run, bring the link's row up to date, and say when to come again."""
    link = work.link
    async with work.writing() as connection:
        retry = None if work.dry else await pairings.next_retry(connection, link)
        await records.close_problems(connection, link, wider=True)
        open_problems = await records.open_problem_count(connection, link)
        if work.run_id is not None:
            state = "partial" if work.problems or work.postponed or work.counts["unreadable"] else "done"
            await records.end_run(
                connection,
                work.run_id,
                state=state,
                counts=work.totals(),
                held=work.held,
                conflicts=work.conflicts,
                problems=work.problems,
            )
        due = work.now + _interval(work.policy)
        soon = None if retry is None else max(retry, utc_now() + timedelta(seconds=1))
        values: dict[str, Any] = {
            "due": due,
            "heard": link.calls,
            "last_attempt": work.now,
            "last_success": work.now,
            "failing_since": None,
            "error_code": "",
            "state": "verify" if work.dry and link.run_kind != "plan" else "degraded" if open_problems else "in_step",
        }
        if not work.dry:
            values["first_run_done"] = True
        await passes.save_cursor(connection, link, values)
        await passes.may_wait(connection, link, soon)
        if "ending" in link.facts and not work.dry and await links.end_when_gone(connection, link.organization_id, link.id):
            values["state"] = link.state  # the end has been told already
        if link.connection_state != "online":
            await records.note_connection(connection, link, None)
        if link.connection_state == "auth_required":  # the others need not wait any longer
            await connections.try_again(connection, link.connection_id)
        if values["state"] != link.state:
            await changes.append(connection, link.organization_id, "link.state", link.resource_id, link.id)
    _tell(work)
    return Result(link.id, due)


def _tell(work: Pass) -> None:
    """Log what a pass did, in numbers: never what events are called or whose they are."""
    link, counts = work.link, {name.replace(".", "_"): count for name, count in sorted(work.counts.items()) if count}
    waiting = {"held": work.held, "conflicts": work.conflicts, "postponed": work.postponed, "problems": len(work.problems)}
    counts |= {name: count for name, count in waiting.items() if count}
    if work.run_id is not None:
        log.info("link_planned" if work.dry else "link_synced", link=str(link.id), run=str(work.run_id), **counts)
    if link.failing_since is not None:
        log.info("link_recovered", link=str(link.id), failing_since=link.failing_since.isoformat(timespec="seconds"))


async def _fail(work: Pass, trouble: Trouble) -> Result:
    """Note a trouble that stopped the calendar or the account; nothing that was known is given up."""
    link = work.link
    due, account_until = _when_again(work, trouble)
    next_try: datetime | None = due
    async with work.writing() as connection:
        if isinstance(trouble, AuthRequired) and trouble.scope is Scope.ACCOUNT and not isinstance(trouble, NotTried):
            next_try = await credentials.refused(connection, link.connection_id, utc_now())
            due = account_until = next_try or due
        tell = log.debug if isinstance(trouble, NotTried) or trouble.detail == MET_BY_ANOTHER else log.warning
        tell(
            "link_stopped",
            link=str(link.id),
            code=trouble.code,
            kind=trouble.kind,
            scope=trouble.scope.value,
            next_try=next_try.isoformat(timespec="seconds") if next_try else "when a person has helped",
        )
        if work.run_id is None and link.run_id is not None:
            work.run_id = link.run_id
        if work.run_id is not None:
            await records.end_run(
                connection,
                work.run_id,
                state="failed",
                counts=work.totals(),
                held=work.held,
                conflicts=work.conflicts,
                problems=work.problems,
                trouble=trouble,
            )
        failing_since = link.failing_since or work.now
        state = "auth_required" if isinstance(trouble, AuthRequired) else "error"
        if trouble.kind in ("throttled", "transient") and work.now - failing_since < ALARM_AFTER:
            state = "delayed"
        await passes.save_cursor(
            connection,
            link,
            {
                "due": due,
                "last_attempt": work.now,
                "failing_since": failing_since,
                "error_code": trouble.code,
                "error_params": trouble.params,
                "state": state,
            },
        )
        if not isinstance(trouble, NotTried):
            await records.open_problem(connection, link, trouble, next_try_at=next_try)
        if state != link.state:
            await changes.append(connection, link.organization_id, "link.state", link.resource_id, link.id)
        await records.note_connection(connection, link, trouble)
    lane_until = trouble.until if isinstance(trouble, Throttled) and account_until is None else None
    return Result(link.id, due, trouble=trouble, account_until=account_until, lane_until=lane_until)


def _when_again(work: Pass, trouble: Trouble) -> tuple[datetime, datetime | None]:
    """Say when the link is tried again, and until when the whole account rests, if it must."""
    now = utc_now()
    if isinstance(trouble, Throttled):
        return trouble.until, trouble.until if trouble.scope is Scope.ACCOUNT else None
    if isinstance(trouble, NotTried):
        return now + credentials.ONE_TRY, None
    if isinstance(trouble, AuthRequired):
        rest = now + credentials.LOOK_AGAIN
        return rest, rest if trouble.scope is Scope.ACCOUNT else None
    failing = now - (work.link.failing_since or now)
    pause = max(BACKOFF_FIRST, min(failing, BACKOFF_MOST)) * random.uniform(0.8, 1.2)  # noqa: S311 - jitter
    if isinstance(trouble, Permanent):  # a mailbox without a licence comes back after days, if at all
        pause = max(pause, BACKOFF_MOST, min(failing, PERMANENT_MOST))
    return now + pause, None


def _interval(policy: Policy) -> timedelta:
    return timedelta(seconds=policy.interval_seconds)


def _bug() -> Trouble:
    return Permanent("sync.internal_error", Scope.CALENDAR)
