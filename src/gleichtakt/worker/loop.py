"""The worker: claims due lanes, makes passes over their links, and gives the lanes back.

Claims, the loading of links and the ending of quiet passes go through the database in groups, so that polling thousands
of calendars that did not change costs little. A lane is worked on by one worker at a time; its lease is renewed while a
pass runs and ends by itself when the process dies. Background jobs share the process (see `jobs`).
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from gleichtakt.errors import Trouble
from gleichtakt.onboarding.connect import Connections
from gleichtakt.providers.guarded import Guarded
from gleichtakt.settings import Settings
from gleichtakt.store import credentials, instance, lanes, passes
from gleichtakt.store.database import Database, new_id
from gleichtakt.store.passes import LinkRow
from gleichtakt.store.secrets import SecretBox
from gleichtakt.worker.link_pass.context import LeaseLost, utc_now
from gleichtakt.worker.read_out_of_office import Reader, read_out_of_office
from gleichtakt.worker.saying import say
from gleichtakt.worker.sync_link import Result, sync_link
from gleichtakt.worker.watching import Keeper, keep_watch

log = structlog.get_logger(__name__)

BEATS = 4  # in the time of one lease
IDLE_MOST_SECONDS = 5.0  # the longest sleep without a wake-up: what a lost notification can cost
INSTANCE_SECONDS = 10.0
AWAY_SECONDS = 1.0


@dataclass(slots=True)
class Worker:
    """One worker process at work. owner: names it in leases, unique for its life."""

    database: Database
    settings: Settings
    connections: Connections
    owner: str = field(default_factory=lambda: f"{socket.gethostname()}/{os.getpid()}/{new_id().hex[-6:]}")
    running: dict[UUID, lanes.Claim] = field(default_factory=dict)
    tasks: dict[UUID, asyncio.Task[None]] = field(default_factory=dict)
    finished: list[tuple[lanes.Claim, list[Result], bool]] = field(default_factory=list)
    something_ended: asyncio.Event = field(default_factory=asyncio.Event)  # a lane waits to be given back
    something_finished: asyncio.Event = field(default_factory=asyncio.Event)  # a slot is free again
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    giving_back: asyncio.Lock = field(default_factory=asyncio.Lock)
    epoch: str = ""
    verify: bool = False
    passes_made: int = 0


async def work(
    database: Database,
    settings: Settings,
    box: SecretBox,
    *,
    once: bool = False,
    lane_ids: Sequence[UUID] | None = None,
    stop: asyncio.Event | None = None,
) -> int:
    """Serve lanes until *stop*; give how many passes were made.

    once: serve what is due now (of *lane_ids*, where given) and return. Raises nothing that a retry could mend.
    """
    worker = Worker(database, settings, Connections(box, settings))
    if stop is not None:
        worker.stopping = stop
    async with AsyncExitStack() as stack:
        stack.push_async_callback(worker.connections.close)
        await _learn_instance(worker)
        log.info(
            "worker_started",
            owner=worker.owner,
            slots=settings.worker_slots,
            lease_seconds=settings.lease_seconds,
            verify=worker.verify,
        )
        async with asyncio.TaskGroup() as group:
            helpers = [group.create_task(_beat(worker)), group.create_task(_record(worker)), group.create_task(_watch(worker))]
            if not once:
                keeper = Keeper(database, settings, worker.connections, worker.owner)
                helpers.append(group.create_task(keep_watch(keeper)))
                helpers.append(group.create_task(read_out_of_office(Reader(database, worker.connections))))
            try:
                await (_serve_once(worker, lane_ids) if once else _serve(worker))
            finally:
                await _drain(worker)
                for helper in helpers:
                    helper.cancel()
        log.info("worker_stopped", owner=worker.owner, passes=worker.passes_made)
    return worker.passes_made


async def _serve(worker: Worker) -> None:
    """Claim and serve until stopping; sleep until a wake-up or the next due time when there is nothing to do."""
    async with worker.database.listen(lanes.CHANNEL) as wakes:
        while not worker.stopping.is_set():
            try:
                free = worker.settings.worker_slots - len(worker.running)
                worker.something_finished.clear()
                started = await _claim(worker, free) if free > 0 else 0
                pause = await _pause(worker) if started < free else IDLE_MOST_SECONDS
            except Trouble as away:
                say("claiming_failed", away)
                pause = AWAY_SECONDS
            await _wait_any(worker, wakes.wait(pause))


async def _pause(worker: Worker) -> float:
    """Give seconds until something is due, IDLE_MOST_SECONDS at most."""
    async with worker.database.read() as connection:
        due = await lanes.next_due(connection)
    if due is None:
        return IDLE_MOST_SECONDS
    return min(max((due - utc_now()).total_seconds(), 0.005), IDLE_MOST_SECONDS)


async def _wait_any(worker: Worker, waking: object) -> None:
    """Wait for a wake-up, a slot that became free, or the end."""
    waits = [
        asyncio.ensure_future(waking),  # type: ignore[call-overload]
        asyncio.ensure_future(worker.something_finished.wait()),
        asyncio.ensure_future(worker.stopping.wait()),
    ]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)


async def _serve_once(worker: Worker, lane_ids: Sequence[UUID] | None) -> None:
    """Serve what is due now, each lane once, and wait for the end of it. What others hold is left to them."""
    async with worker.database.read() as connection:
        left = set(await lanes.due_now(connection, lane_ids))
    while True:
        worker.something_finished.clear()
        free = worker.settings.worker_slots - len(worker.running)
        wanted = sorted(left)[: max(free, 0)]
        left -= set(wanted)
        if wanted:
            await _claim(worker, free, wanted)
        elif not worker.running:
            return
        elif not left or free <= 0:
            await worker.something_finished.wait()


async def _claim(worker: Worker, limit: int, wanted: Sequence[UUID] | None = None) -> int:
    """Take due lanes (of those wanted, where named) and start them; give how many were started."""
    async with worker.database.begin() as connection:
        if wanted is None:
            claims = await lanes.claim(connection, worker.owner, limit, worker.settings.lease_seconds)
        else:
            claims = await lanes.claim_these(connection, worker.owner, wanted, worker.settings.lease_seconds)
    if not claims:
        return 0
    worker.running.update({claim.id: claim for claim in claims})
    for claim in claims:
        if claim.attempt > 1:
            log.debug("lane_taken_again", lane=str(claim.id), attempt=claim.attempt)
    links: dict[UUID, list[LinkRow]] = defaultdict(list)
    try:
        async with worker.database.read() as connection:
            for link in await passes.due_links(connection, [claim.id for claim in claims]):
                links[link.lane_id].append(link)
    except BaseException:  # else the heartbeat would keep them from everybody
        worker.finished += [(claim, [], False) for claim in claims]
        worker.something_ended.set()
        raise
    for claim in claims:
        task = asyncio.create_task(_run_lane(worker, claim, links[claim.id]), name=f"lane {claim.id}")
        worker.tasks[claim.id] = task
    return len(claims)


async def _run_lane(worker: Worker, claim: lanes.Claim, links: Iterable[LinkRow]) -> None:
    """Make passes over the due links of one lane, one after the other, and hand the lane back."""
    results: list[Result] = []
    failed = False
    try:
        for link in links:
            result = await _run_link(worker, claim, link)
            worker.passes_made += 1
            results.append(result)
            if result.account_until is not None or result.lane_until is not None:
                break  # the account rests; its other links come after that
        failed = any(result.trouble for result in results)
    except LeaseLost:
        log.warning("lease_lost", lane=str(claim.id))
        return _let_go(worker, claim)
    except Trouble as away:  # our own database: given back once it answers again
        say("lane_given_up", away, lane=str(claim.id))
        failed = away.code != "store.database_away"
    except Exception:
        log.exception("pass_failed", lane=str(claim.id), owner=worker.owner)
        failed = True
    worker.finished.append((claim, results, failed))
    worker.something_ended.set()
    return None


def _let_go(worker: Worker, claim: lanes.Claim) -> None:
    """Forget a lane that is no longer ours, without giving it back."""
    worker.running.pop(claim.id, None)
    worker.tasks.pop(claim.id, None)
    worker.something_finished.set()


async def _run_link(worker: Worker, claim: lanes.Claim, link: LinkRow) -> Result:
    provider = await _provider(worker, link)
    if link.connection_state == "auth_required":
        async with worker.database.begin() as connection:
            resting = await credentials.may_try(connection, link.connection_id, utc_now())
        if resting is not None:
            return Result(link.id, resting, lane_until=resting)
    if link.connection_state in ("auth_required", "new"):
        provider.release()
    return await sync_link(worker.database, claim, link, provider, epoch=worker.epoch, verify=worker.verify)


async def _provider(worker: Worker, link: LinkRow) -> Guarded:
    async with worker.database.read() as connection:
        return await worker.connections.get(connection, link.connection_id, link.connection_version)


# --- keeping the leases, giving lanes back -----------------------------------------------------------------------


async def _beat(worker: Worker) -> None:
    """Renew the leases of what runs, four times in the time of one."""
    while True:
        await asyncio.sleep(worker.settings.lease_seconds / BEATS)
        try:
            await renew(worker)
        except Trouble as away:
            say("heartbeat_failed", away)


async def renew(worker: Worker) -> None:
    """Renew the leases of what runs now and stop what was taken over; what is claimed meanwhile has a fresh lease."""
    claims = list(worker.running.values())
    if not claims:
        return
    async with worker.database.begin() as connection:
        kept = await lanes.heartbeat(connection, claims, worker.settings.lease_seconds)
    for claim in claims:
        task = worker.tasks.get(claim.id)
        if claim.id not in kept and worker.running.get(claim.id) is claim and task is not None and not task.done():
            log.warning("lease_lost", lane=str(claim.id))
            task.cancel()
            _let_go(worker, claim)


async def _record(worker: Worker) -> None:
    """Give finished lanes back in groups."""
    while True:
        await worker.something_ended.wait()
        worker.something_ended.clear()
        await _give_back(worker)


async def _give_back(worker: Worker) -> None:
    """Note quiet polls and give lanes back, with the earliest due time of their links."""
    async with worker.giving_back:
        await _give_back_group(worker)


async def _give_back_group(worker: Worker) -> None:
    group, worker.finished = worker.finished, []
    if not group:
        return
    try:
        now = utc_now()
        async with worker.database.begin() as connection:
            await connection.exec_driver_sql("set local synchronous_commit = off")  # a lost «nothing new» is found again
            await passes.rest(
                connection,
                [(result.link_id, result.due, result.heard) for _, results, _ in group for result in results if result.quiet],
                now,
            )
            due = await passes.next_due(connection, [claim.id for claim, _, _ in group])
            for failed in (False, True):
                given = [(claim, _next_due(claim, results, due, failed)) for claim, results, bad in group if bad is failed]
                if given:
                    await lanes.finish_many(connection, given, failed=failed)
            for claim, results, _ in group:
                for result in results:
                    if result.account_until is not None:
                        await lanes.pause(connection, until=result.account_until, connection_id=claim.connection_id)
                    if await _must_rest(connection, claim, result):
                        await lanes.pause(connection, until=result.lane_until, lane_id=claim.id)
    except Trouble as away:
        say("giving_back_failed", away)
        worker.finished = group + worker.finished
        await asyncio.sleep(AWAY_SECONDS)
        worker.something_ended.set()
        return
    for claim, _, _ in group:
        worker.running.pop(claim.id, None)
        worker.tasks.pop(claim.id, None)
    worker.something_finished.set()


async def _must_rest(connection: AsyncConnection, claim: lanes.Claim, result: Result) -> bool:
    """Say whether a mailbox rests: its server asked for it, or its login is still not to be tried."""
    if result.lane_until is None:
        return False
    return result.trouble is not None or await credentials.is_resting(connection, claim.connection_id)


def _next_due(claim: lanes.Claim, results: Sequence[Result], due: dict[UUID, datetime], failed: bool) -> datetime | None:
    """Give when a lane is due again; after a bug not at once."""
    found = due.get(claim.id)
    if found is not None and failed and not any(result.trouble for result in results):
        return max(found, utc_now() + timedelta(seconds=min(900, 5 * 2 ** min(claim.attempt, 8))))
    return found


async def _drain(worker: Worker) -> None:
    """Let running passes stop where they are: every step is safe to interrupt."""
    tasks = [task for task in worker.tasks.values() if not task.done()]
    if worker.stopping.is_set():
        for task in tasks:
            task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for lane_id, claim in list(worker.running.items()):
        if not any(claim is given for given, _, _ in worker.finished):
            worker.finished.append((claim, [], False))  # interrupted, not failed: whoever is left takes it at once
        worker.tasks.pop(lane_id, None)
    await _give_back(worker)


# --- the instance ------------------------------------------------------------------------------------------------


async def _learn_instance(worker: Worker) -> None:
    async with worker.database.read() as connection:
        found = await instance.current(connection)
    worker.epoch, worker.verify = str(found.epoch), found.mode == "verify"


async def _watch(worker: Worker) -> None:
    """Notice when an operator ends the verification of a restored instance, or a clone appears."""
    while True:
        await asyncio.sleep(INSTANCE_SECONDS)
        try:
            await _learn_instance(worker)
        except Trouble as away:
            say("instance_unknown", away)
