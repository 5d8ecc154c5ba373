"""Random histories of an application and its calendars, and what must hold at their end.

A history is a list of steps over one resource and one or two links. `Model` keeps what people did since all sides were
last in step, and says what may stand there afterwards: an edit of one side survives; of two edits of one field the
winner's; an edit against a deletion follows the rule `app_first`.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Protocol

from sqlalchemy import text
from tests.engine import Engine, meeting, moment
from tests.simulation.breaking import BreakingDatabase, Crash

from gleichtakt.model.event import Event, Override, Series
from gleichtakt.model.point import Day, wall_of, with_wall
from gleichtakt.model.recurrence import occurrence_event
from gleichtakt.store import holds
from gleichtakt.store.passes import encode
from gleichtakt.sync.flat import flatten
from gleichtakt.worker.loop import work

POLICY: Mapping[str, Any] = {
    "inbound_detail": "full",
    "outbound_detail": "full",
    "relay": "full",
    "app_writes_foreign": "allow",
    "delete_grace_minutes": 0,
    "private_events": "as_normal",
    "outbound_private": "normal",
}
FIELDS = ("title", "description", "location", "time")


class Remote(Protocol):
    """One calendar as others see and handle it."""

    async def content(self) -> dict[str, Series]:
        """Give what stands there by href."""

    async def put(self, series: Series) -> str:
        """Someone else creates."""

    async def change(self, href: str, series: Series) -> None:
        """Someone else edits."""

    async def drop(self, href: str) -> None:
        """Someone else deletes."""

    async def trouble(self, kind: str) -> None:
        """Play a trick at the next calls. kind: one of TROUBLES."""

    async def calm(self) -> None:
        """Stop all tricks."""

    def mails(self) -> int:
        """Count the mails that would have gone out."""

    def writes(self) -> int:
        """Count the writes since `forget`."""

    def forget(self) -> None:
        """Forget the calls so far."""


TROUBLES = (
    "create applied, answer lost",
    "create lost",
    "update applied, answer lost",
    "update lost",
    "delete applied, answer lost",
    "delete lost",
    "write applied, error answered",
    "write refused with an error",
    "listing cut short",
    "cursor refused",
    "notification repeated",
    "fetch fails",
)


@dataclass
class Deed:
    """What one side did to one field of an event since all were in step: the values in order."""

    app: list[Any] = field(default_factory=list)
    remote: list[Any] = field(default_factory=list)


@dataclass
class History:
    """One history under way."""

    engine: Engine
    database: BreakingDatabase
    remotes: list[Remote]
    made: int = 0
    keys: dict[str, str] = field(default_factory=dict)  # token of an event -> how it was born
    deeds: dict[tuple[str, str], Deed] = field(default_factory=lambda: defaultdict(Deed))
    app_deleted: set[str] = field(default_factory=set)
    remote_deleted: set[str] = field(default_factory=set)

    # --- what people do ------------------------------------------------------------------------------------------

    def _new(self, kind: str) -> Series:
        self.made += 1
        token = f"e{self.made}"
        days = self.made % 20 + 1
        series = meeting(f"{token} title", days=days, uid=f"{token}@{self.engine.resource_id}")
        if kind == "all-day":
            day = moment(days).wall.date()
            series = replace(series, event=replace(series.event, start=Day(day), end=Day(day + timedelta(days=2))))
        if kind == "series":
            series = replace(series, rrule="FREQ=WEEKLY;COUNT=6")
        if kind == "daily":
            series = replace(series, rrule="FREQ=DAILY;COUNT=9")
        self.keys[token] = kind
        return series

    async def app_creates(self, kind: str) -> None:
        """The application books."""
        await self.engine.put(self._new(kind))

    async def remote_creates(self, index: int, kind: str) -> None:
        """Somebody books in a calendar."""
        await self.remotes[index].put(self._new(kind))

    async def app_edits(self, which: int, what: str, value: str) -> None:
        """The application changes an event."""
        rows = await self.engine.ours()
        if not rows:
            return
        row = rows[which % len(rows)]
        changed = edited(row.series, what, value)
        if changed is None:
            return
        self.deeds[token_of(row.series), _field(what)].app.append(reading(changed, what))
        await self.engine.put(changed, row.id)

    async def remote_edits(self, index: int, which: int, what: str, value: str) -> None:
        """Somebody changes an event in a calendar."""
        there = await self.remotes[index].content()
        if not there:
            return
        href = sorted(there)[which % len(there)]
        changed = edited(there[href], what, value)
        if changed is None:
            return
        self.deeds[token_of(changed), _field(what)].remote.append(reading(changed, what))
        await self.remotes[index].change(href, changed)

    async def app_deletes(self, which: int) -> None:
        """The application deletes an event."""
        rows = await self.engine.ours()
        if rows:
            row = rows[which % len(rows)]
            self.app_deleted.add(token_of(row.series))
            await self.engine.delete(row.id)

    async def remote_deletes(self, index: int, which: int) -> None:
        """Somebody deletes an event in a calendar."""
        there = await self.remotes[index].content()
        if there:
            href = sorted(there)[which % len(there)]
            self.remote_deleted.add(token_of(there[href]))
            await self.remotes[index].drop(href)

    # --- what we do ----------------------------------------------------------------------------------------------

    async def passes(self, crash_at: int | None = None) -> None:
        """Make the passes that are due; the process dies at a border of a transaction where asked to."""
        await self.engine.make_due()
        self.database.arm(crash_at)
        lane_ids = [tie.lane_id for tie in self.engine.ties]
        running = asyncio.create_task(work(self.database, self.engine.settings, self.engine.box, once=True, lane_ids=lane_ids))
        died = asyncio.create_task(self.database.died.wait())
        await asyncio.wait({running, died}, return_when=asyncio.FIRST_COMPLETED)
        died.cancel()
        if self.database.is_dead:
            running.cancel()
        with suppress(Crash, asyncio.CancelledError, BaseExceptionGroup):
            await running
        crashed = self.database.is_dead
        self.database.arm(None)
        if crashed:
            async with self.database.begin() as connection:
                await connection.execute(
                    text("update lane set lease_until = now() - interval '1 second' where id = any(:ids) and owner is not null"),
                    {"ids": lane_ids},
                )

    async def decide_holds(self, *, approve: bool = True) -> bool:
        """A person decides what is held; say whether there was anything."""
        open_holds = await self.engine.rows(
            "select id from hold where organization_id = :id and state = 'open'", id=self.engine.organization_id
        )
        for hold in open_holds:
            async with self.database.begin() as connection:
                decide = holds.approve if approve else holds.reject
                await decide(connection, self.engine.organization_id, hold["id"], "account:test")
        return bool(open_holds)

    async def settle(self) -> None:
        """Let all troubles end and make passes until nothing is left to do."""
        for remote in self.remotes:
            await remote.calm()
        for _ in range(12):
            for remote in self.remotes:
                remote.forget()
            await self.passes()
            held = await self.decide_holds()
            if not held and not any(remote.writes() for remote in self.remotes) and await self._in_step():
                return
        raise AssertionError(f"does not come to rest: {await self._state()}")

    async def _in_step(self) -> bool:
        found = await self.engine.rows(
            """select exists (select from pairing where resource_id = :id
                                and (stale and state <> 'unlinked' or intent is not null))
                   or exists (select from observed where resource_id = :id and stale) as busy""",
            id=self.engine.resource_id,
        )
        return not found[0]["busy"]

    async def _state(self) -> str:
        return str(
            await self.engine.rows(
                "select link_id, series_id, href, stale, state, hold_id, verdict, attempt, problem_code, intent::text"
                " from pairing where resource_id = :id",
                id=self.engine.resource_id,
            )
        )

    # --- what must hold ------------------------------------------------------------------------------------------

    async def check(self) -> None:
        """Come to rest and look at everything."""
        await self.settle()
        ours = {token_of(row.series): row.series for row in await self.engine.ours()}
        assert len(ours) == len(await self.engine.ours()), "a duplicate on our side"
        for remote in self.remotes:
            there = await remote.content()
            by_token = {token_of(series): series for series in there.values()}
            assert len(by_token) == len(there), f"a duplicate there: {sorted(there)}"
            assert by_token.keys() == ours.keys(), (sorted(by_token), sorted(ours))
            for token, series in ours.items():
                assert comparable(series) == comparable(by_token[token]), token
            assert not remote.mails(), "a mail would have gone out"
        self._check_edits(ours)
        await self._check_quiet()
        self.deeds.clear()
        self.app_deleted.clear()
        self.remote_deleted.clear()
        self.keys = {token: kind for token, kind in self.keys.items() if token in ours}

    def _check_edits(self, ours: Mapping[str, Series]) -> None:
        """No edit of one side alone is lost; nobody's event vanishes without a deletion."""
        vanished = self.keys.keys() - ours.keys() - self.app_deleted - self.remote_deleted
        assert not vanished, f"{vanished} vanished although nobody deleted them"
        for (token, what), deed in self.deeds.items():
            if token not in ours:
                continue
            now = reading(ours[token], what)
            if deed.app and not deed.remote:
                assert now == deed.app[-1], f"{token}.{what}: the application's edit is lost"
            elif deed.remote and not deed.app:
                assert now in deed.remote, f"{token}.{what}: the calendar's edit is lost"
            elif deed.app:
                assert now in (deed.app[-1], *deed.remote), f"{token}.{what}: {now} is nobody's edit"

    async def _check_quiet(self) -> None:
        """One more pass writes nothing on any side."""
        versions = await self.engine.rows(
            "select id, version from series where resource_id = :id order by id", id=self.engine.resource_id
        )
        for remote in self.remotes:
            remote.forget()
        await self.passes()
        assert not any(remote.writes() for remote in self.remotes), "a pass without changes wrote"
        assert versions == await self.engine.rows(
            "select id, version from series where resource_id = :id order by id", id=self.engine.resource_id
        )


def token_of(series: Series) -> str:
    """Give the name a test gave an event: the first word of its title, which every calendar keeps."""
    return series.event.title.split()[0]


def _field(what: str) -> str:
    return what if what in FIELDS else "occurrences"


def reading(series: Series, what: str) -> Any:
    """Give what a test compares of a field."""
    if what == "time":
        return str((series.event.start, series.event.end))
    if what in FIELDS:
        return getattr(series.event, what)
    return "any"


def comparable(series: Series) -> dict[str, Any]:
    """Give the fields that every side must agree on; UIDs may differ where a system chooses its own."""
    return {key: value for key, value in flatten(series).items() if not key.startswith("uid")}


def edited(series: Series, what: str, value: str) -> Series | None:
    """Give a series with one thing changed; None where it has no such thing."""
    event = series.event
    if what == "time":
        by = timedelta(minutes=15 * (len(value) + hash_of(value) % 7 + 1))
        if isinstance(event.start, Day):
            by = timedelta(days=1)
        if series.is_recurring:
            return None  # moving a whole series is a story of its own
        return replace(series, event=moved(event, by))
    if what == "title":
        return replace(series, event=replace(event, title=f"{token_of(series)} {value}".replace("\n", " ")))
    if what in ("description", "location"):
        return replace(series, event=replace(event, **{what: value}))
    if not series.is_recurring:
        return None
    slot = with_wall(event.start, wall_of(event.start) + (timedelta(days=7) if "WEEKLY" in series.rrule else timedelta(days=2)))
    if what == "exdate":
        if slot in series.exdate:
            return None
        overrides = tuple(override for override in series.overrides if override.recurrence_id != slot)
        return replace(series, exdate=(*series.exdate, slot), overrides=overrides)
    if what == "override":
        if slot in series.exdate:
            return None
        changed = replace(moved(occurrence_event(event, slot), timedelta(minutes=30)), title=f"moved {value}")
        kept = tuple(override for override in series.overrides if override.recurrence_id != slot)
        return replace(series, overrides=(*kept, Override(slot, changed)))
    return None


def hash_of(value: str) -> int:
    """Give a small number that a text always gives."""
    return sum(value.encode())


def moved(event: Event, by: timedelta) -> Event:
    """Give an event at another time."""
    return replace(
        event,
        start=with_wall(event.start, wall_of(event.start) + by),
        end=with_wall(event.end, wall_of(event.end) + by),
    )


async def begin_history(engine: Engine, database: BreakingDatabase, remotes: list[Remote]) -> History:
    """Begin a history over an engine whose links are tied."""
    for name, value in POLICY.items():
        async with database.begin() as connection:
            await connection.execute(
                text("""insert into setting (organization_id, level, object_id, name, value)
                        values (:id, 'global', :id, :name, cast(:value as jsonb))"""),
                {"id": engine.organization_id, "name": name, "value": encode(value)},
            )
    return History(engine, database, remotes)
