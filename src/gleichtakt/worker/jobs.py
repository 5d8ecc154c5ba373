"""The background jobs that every worker process offers to do: each is done by one process at a time.

Webhooks and the outbox are served when there is something, chores when their time has come, and the heartbeat tells the
database that this installation lives. Troubles are logged and tried again; a bug ends one job's turn, not the process.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import UUID

import structlog

from gleichtakt.errors import Permanent, Throttled, Trouble
from gleichtakt.onboarding.doctor import examine_and_keep
from gleichtakt.settings import Settings
from gleichtakt.store import changes, chores, deliveries, instance, outbox, webhooks
from gleichtakt.store.database import Database, new_id
from gleichtakt.store.instance import Instance
from gleichtakt.store.outbox import Job
from gleichtakt.store.secrets import SecretBox
from gleichtakt.worker.deliver_webhook import deliver_due, send_test
from gleichtakt.worker.expand_window import expand_window
from gleichtakt.worker.read_out_of_office import list_mailboxes
from gleichtakt.worker.retention import clean
from gleichtakt.worker.saying import say
from gleichtakt.worker.send_mail import send_mail
from gleichtakt.worker.watch_freshness import watch_freshness

log = structlog.get_logger(__name__)

LEASE_SECONDS: Final = 300.0
CHORE_LEASE_SECONDS: Final = 3600.0  # two at once do no harm
IDLE_SECONDS: Final = 5.0  # the longest sleep without a wake-up: what a lost notification can cost
HELD_UP_SECONDS: Final = 0.05  # for a transaction to end that keeps a change from being read
CHORE_SECONDS: Final = 60.0
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=30), timedelta(hours=1)
MOST_ATTEMPTS: Final = 30  # about a day


@dataclass(frozen=True, slots=True)
class Shop:
    """What the jobs of one process work with. owner: names it in leases."""

    database: Database
    settings: Settings
    box: SecretBox
    owner: str = field(default_factory=lambda: f"jobs/{new_id().hex}")


Handler = Callable[[Shop, Job], Awaitable[None]]
Chore = Callable[[Database, datetime, datetime | None], Awaitable[None]]


async def _mail(shop: Shop, job: Job) -> None:
    async with shop.database.read() as connection:
        epoch = (await instance.current(connection)).epoch
    await send_mail(shop.settings, job.args, f"{job.id}.{epoch.hex}")


async def _test_webhook(shop: Shop, job: Job) -> None:
    await send_test(shop.database, shop.settings, shop.box, UUID(job.args["webhook_id"]))


async def _doctor(shop: Shop, job: Job) -> None:
    await examine_and_keep(shop.database, shop.box, shop.settings, UUID(job.args["connection_id"]))


#: What the outbox may ask for; other kinds are left to processes that know them.
HANDLERS: dict[str, Handler] = {outbox.MAIL: _mail, outbox.DOCTOR: _doctor, webhooks.TEST_JOB: _test_webhook}

#: What is done now and then: the hour (UTC) of each day, or None for every minute, and how.
CHORES: Final[Mapping[str, tuple[int | None, Chore]]] = {
    "retention": (2, clean),
    "expand_window": (1, expand_window),
    "freshness": (None, watch_freshness),
    "absences": (None, list_mailboxes),
}


async def serve_jobs(shop: Shop, data: Instance | None = None) -> None:
    """Do all background jobs until cancelled. data: what `instance.attend` gave; with it the heartbeat is kept."""
    async with asyncio.TaskGroup() as group:
        group.create_task(_serve(shop, changes.CHANNEL, deliver, _webhook_pause))
        group.create_task(_serve(shop, outbox.CHANNEL, do_outbox, _outbox_pause))
        group.create_task(_every(CHORE_SECONDS, lambda: do_chores(shop, datetime.now(UTC))))
        if data is not None:
            group.create_task(_keep_beating(shop, data))


async def deliver(shop: Shop) -> int:
    """Deliver to webhooks that have something to be told."""
    return await deliver_due(shop.database, shop.settings, shop.box, shop.owner)


async def do_outbox(shop: Shop) -> int:
    """Do the waiting jobs of the outbox that we know; give how many there were. Nothing is sent while verifying."""
    async with shop.database.begin() as connection:
        if not await instance.may_write(connection):
            return 0
        jobs = await outbox.claim(connection, shop.owner, 10, LEASE_SECONDS, kinds=list(HANDLERS))
    await asyncio.gather(*(_do(shop, job) for job in jobs))
    return len(jobs)


async def _do(shop: Shop, job: Job) -> None:
    try:
        if job.attempt <= MOST_ATTEMPTS + 1:  # a job that kills its worker comes back by its lease, but not for ever
            await HANDLERS[job.kind](shop, job)
    except Permanent as refused:
        log.warning("job_refused", kind=job.kind, job=job.id, code=refused.code)
    except Trouble as trouble:
        if job.attempt < MOST_ATTEMPTS:
            log.warning("job_postponed", kind=job.kind, job=job.id, code=trouble.code, attempt=job.attempt)
            async with shop.database.begin() as connection:
                await outbox.retry(connection, job, _again(job, trouble), trouble.code)
            return
        log.warning("job_given_up", kind=job.kind, job=job.id, code=trouble.code)
    async with shop.database.begin() as connection:
        await outbox.done(connection, job)


def _again(job: Job, trouble: Trouble) -> datetime:
    if isinstance(trouble, Throttled):
        return trouble.until
    return datetime.now(UTC) + min(FIRST_PAUSE * (1 << min(job.attempt - 1, 20)), LONGEST_PAUSE)


async def do_chores(shop: Shop, now: datetime) -> int:
    """Do the chores that are due and that nobody else does; give how many."""
    count = 0
    for name, (hour, chore) in CHORES.items():
        async with shop.database.begin() as connection:
            taken = await chores.claim(connection, name, shop.owner, CHORE_LEASE_SECONDS)
        if taken is None:
            continue
        count += 1
        await _do_chore(shop, taken, chore, now, next_at(hour, now))
    return count


async def _do_chore(shop: Shop, taken: chores.Chore, chore: Chore, now: datetime, next_due: datetime) -> None:
    try:
        await chore(shop.database, now, taken.done_at)
    except BaseException:
        async with shop.database.begin() as connection:
            await chores.finish(connection, taken, now + LONGEST_PAUSE, done_at=None)
        raise
    async with shop.database.begin() as connection:
        await chores.finish(connection, taken, next_due, done_at=now)


def next_at(hour: int | None, now: datetime) -> datetime:
    """Give the next time at which a day's *hour* begins, or the next minute's beginning."""
    if hour is None:
        return now.replace(second=0, microsecond=0) + timedelta(minutes=1)
    today = now.replace(hour=hour, minute=0, second=0, microsecond=0)
    return today if today > now else today + timedelta(days=1)


async def _serve(
    shop: Shop, channel: str, work: Callable[[Shop], Awaitable[int]], pause: Callable[[Shop], Awaitable[float]]
) -> None:
    async with shop.database.listen(channel) as wakes:
        while True:
            wait = IDLE_SECONDS
            try:
                if await work(shop):
                    continue
                wait = await pause(shop)
            except Trouble as away:
                say("jobs_delayed", away, channel=channel)
            except Exception:
                log.exception("job_failed", channel=channel)
            await wakes.wait(wait)


async def _webhook_pause(shop: Shop) -> float:
    async with shop.database.read() as connection:
        if await deliveries.is_held_up(connection) and (await instance.current(connection)).mode == instance.LIVE:
            return HELD_UP_SECONDS
        return _seconds_until(await deliveries.next_retry(connection))


async def _outbox_pause(shop: Shop) -> float:
    async with shop.database.read() as connection:
        return _seconds_until(await outbox.next_due(connection))


def _seconds_until(due: datetime | None) -> float:
    if due is None:
        return IDLE_SECONDS
    return min(max((due - datetime.now(UTC)).total_seconds(), 0.05), IDLE_SECONDS)


async def _every(seconds: float, work: Callable[[], Awaitable[object]]) -> None:
    while True:
        try:
            await work()
        except Trouble as away:
            say("jobs_delayed", away)
        except Exception:
            log.exception("job_failed")
        await asyncio.sleep(seconds)


async def _keep_beating(shop: Shop, found: Instance) -> None:
    last = found

    async def beat() -> None:
        nonlocal last
        last = await instance.beat(shop.database, shop.settings.data_path, last)

    await _every(instance.BEAT_SECONDS, beat)
