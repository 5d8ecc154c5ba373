"""The job that reads, every ten minutes, whether people's mailboxes say that they are away.

Mailboxes that are due are taken in groups and read a few at a time for each connection, in rounds; one that fails does
not stop the others, and what concerns the whole account ends its round. It shares the providers of the passes, and so
their budgets, their pauses and what they know of a login. Only reading: an installation that verifies itself does it too.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter, defaultdict
from collections.abc import Awaitable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Final
from uuid import UUID

import structlog

from gleichtakt.errors import AuthRequired, NotTried, Permanent, Scope, Throttled, Trouble
from gleichtakt.onboarding.connect import Connections
from gleichtakt.onboarding.directory import tell_of_absence
from gleichtakt.providers.guarded import Guarded
from gleichtakt.providers.protocol import OutOfOffice
from gleichtakt.store import absences, credentials, lanes, passes, records
from gleichtakt.store.absences import Asked, Failure, Reading
from gleichtakt.store.database import Database
from gleichtakt.worker.saying import say

log = structlog.get_logger(__name__)

PERIOD_SECONDS: Final = 600.0
SPREAD: Final = 0.2  # of a period by which a group comes earlier, so that groups part
AHEAD_SECONDS: Final = 60.0  # what is due so soon after another is read along: fewer, larger rounds
GROUP: Final = 100  # mailboxes taken at once
AT_ONCE: Final = 4  # readings at one connection
GROUPS_AT_ONCE: Final = 8
REFUSED_AGAIN: Final = timedelta(hours=1)
PACE_SECONDS: Final = 1.0  # between two groups
IDLE_SECONDS: Final = 60.0  # the longest sleep without a wake-up


@dataclass(slots=True)
class Reader:
    """The readings of one worker. reading: groups under way; taken: mailboxes that are ours and not yet read."""

    database: Database
    connections: Connections
    reading: int = 0
    taken: set[Asked] = field(default_factory=set)
    turns: defaultdict[UUID, asyncio.Semaphore] = field(default_factory=lambda: defaultdict(lambda: asyncio.Semaphore(AT_ONCE)))


@dataclass(slots=True)
class Round:
    """One group at one connection. stopped: what met one mailbox and concerns the whole account."""

    asked: Sequence[Asked]
    readings: list[Reading] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    resting: list[tuple[UUID, datetime]] = field(default_factory=list)  # lanes that are to rest, and until when
    stopped: Trouble | None = None

    @property
    def connection_id(self) -> UUID:
        """Say where they are."""
        return self.asked[0].connection_id


async def list_mailboxes(database: Database, now: datetime, done_at: datetime | None) -> None:
    """Keep the list of mailboxes that are read: those of people with a working link, and no others."""
    async with database.begin() as connection:
        joined, left = await absences.enrol(connection, tell_of_absence())
    if joined or left:
        log.info("absence_list_changed", joined=joined, left=left)


async def read_out_of_office(reader: Reader) -> None:
    """Read what is due until cancelled; what was taken and is not read by then is given back."""
    try:
        async with asyncio.TaskGroup() as group, reader.database.listen(absences.CHANNEL) as wakes:
            while True:
                pause = PACE_SECONDS
                try:
                    pause = await _until_due(reader)
                    if pause <= 0 and reader.reading < GROUPS_AT_ONCE:
                        reader.reading += 1
                        group.create_task(_read_a_group(reader))
                except Trouble as away:
                    say("absences_delayed", away)
                except Exception:
                    log.exception("absences_failed")
                await wakes.wait(max(pause, PACE_SECONDS))
    finally:
        await _farewell(reader)


async def _until_due(reader: Reader) -> float:
    """Give seconds until something is due, IDLE_SECONDS at most."""
    async with reader.database.read() as connection:
        due = await absences.next_due(connection)
    return IDLE_SECONDS if due is None else min((due - datetime.now(UTC)).total_seconds(), IDLE_SECONDS)


async def _read_a_group(reader: Reader) -> None:
    try:
        await _safely(read_due(reader))
    finally:
        reader.reading -= 1


async def _safely(work: Awaitable[object], **ids: str) -> None:
    """Do something of which nothing else depends: what was taken for it and is not read comes again in the next period."""
    try:
        await work
    except Trouble as away:
        say("absences_delayed", away, **ids)
    except Exception:
        log.exception("absences_failed", **ids)


async def read_due(reader: Reader) -> int:
    """Read a group of mailboxes that are due and that nobody else reads; give how many were taken."""
    period = PERIOD_SECONDS * (1 - SPREAD * random.random())  # noqa: S311 - jitter
    async with reader.database.begin() as connection:
        asked = await absences.claim(connection, GROUP, period_seconds=period, ahead_seconds=AHEAD_SECONDS)
    reader.taken.update(asked)
    rounds = [Round(list(those)) for _, those in groupby(asked, lambda one: one.connection_id)]
    await asyncio.gather(*(_safely(_read_round(reader, one), connection=str(one.connection_id)) for one in rounds))
    return len(asked)


async def _read_round(reader: Reader, round_: Round) -> None:
    """Read the mailboxes of one connection and write down what came of it."""
    connection_id = round_.connection_id
    log.info("reading_absence_settings", connection=str(connection_id), users=len(round_.asked))
    async with reader.database.read() as connection:
        provider = await reader.connections.get(connection, connection_id, round_.asked[0].version)
    await asyncio.gather(*(_read(reader.turns[connection_id], provider, round_, one) for one in round_.asked))
    changed = await _note(reader, round_)
    reader.taken.difference_update(round_.asked)
    counts = Counter("refused" if failure.again else "postponed" for failure in round_.failures)
    counts["postponed"] += len(round_.asked) - len(round_.readings) - len(round_.failures)
    log.info(
        "absence_settings_read",
        connection=str(connection_id),
        read=len(round_.readings),
        changed=changed,
        refused=counts["refused"],
        **({"postponed": counts["postponed"]} if counts["postponed"] else {}),
    )


async def _read(turns: asyncio.Semaphore, provider: Guarded, round_: Round, one: Asked) -> None:
    """Read one mailbox, unless something has stopped the round."""
    async with turns:
        if round_.stopped is not None:
            return
        try:
            round_.readings.append(_reading(one, await provider.out_of_office(one.mailbox)))
        except Trouble as trouble:
            _sort(round_, one, trouble)
        except Exception:  # a bug at one mailbox is nothing to the others
            log.exception("absence_not_read", lane=str(one.lane_id))


def _reading(one: Asked, found: OutOfOffice) -> Reading:
    """Keep what says whether and until when, and nothing of what is said."""
    state = found.state if found.state in (absences.DISABLED, absences.ENABLED, absences.SCHEDULED) else absences.UNKNOWN
    span = found.span if state == absences.SCHEDULED else None
    return Reading(one, state, span.start if span else None, span.end if span else None, found.audience)


def _sort(round_: Round, one: Asked, trouble: Trouble) -> None:
    """Tell what stops the account from what rests a mailbox, and a refusal from what passes by itself."""
    if trouble.scope is Scope.ACCOUNT:
        round_.stopped = round_.stopped or trouble
    elif isinstance(trouble, Throttled):
        round_.resting.append((one.lane_id, trouble.until))
    else:
        is_refused = isinstance(trouble, Permanent | AuthRequired)
        again = datetime.now(UTC) + REFUSED_AGAIN if is_refused else None
        round_.failures.append(Failure(one, trouble.code, trouble.params, again))


async def _note(reader: Reader, round_: Round) -> int:
    """Write a round down; give how many absences changed."""
    async with reader.database.begin() as connection:
        changed = await absences.keep(connection, round_.readings)
        fresh = await absences.note_failures(connection, round_.failures)
    if fresh:
        codes = sorted({failure.code for failure in round_.failures})
        log.warning("absence_settings_not_read", connection=str(round_.connection_id), users=fresh, codes=codes)
    async with reader.database.begin() as connection:
        for lane_id, until in round_.resting:
            await lanes.pause(connection, until=until, lane_id=lane_id)
        if isinstance(round_.stopped, Throttled):
            await lanes.pause(connection, until=round_.stopped.until, connection_id=round_.connection_id)
    if isinstance(round_.stopped, AuthRequired) and not isinstance(round_.stopped, NotTried):
        await _note_refusal(reader, round_.asked[0], round_.stopped)
    if round_.stopped is not None:
        log.warning("absence_round_ended", connection=str(round_.connection_id), code=round_.stopped.code)
    return changed


async def _note_refusal(reader: Reader, one: Asked, trouble: AuthRequired) -> None:
    """Count a refused login, and tell people, as a pass that met it would have."""
    async with reader.database.begin() as connection:
        until = await credentials.refused(connection, one.connection_id, datetime.now(UTC))
        await records.note_connection(connection, one, trouble)
        link = await passes.link_row(connection, one.link_id)
        if link is not None:
            await records.open_problem(connection, link, trouble, next_try_at=until)


async def _farewell(reader: Reader) -> None:
    """Give back what was taken and not read, because this worker ends."""
    if reader.taken:
        with suppress(Trouble):  # it is read in the next period then
            async with reader.database.begin() as connection:
                await absences.give_back(connection, reader.taken)
