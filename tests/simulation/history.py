"""Random histories of an application and its calendars, and what must hold at their end.

A history is a list of steps over one resource and one or two links. `History` keeps what people did since all sides were
last in step, and says what may stand there afterwards: an edit of one side survives; of two edits of one part the
winner's; an edit against a deletion follows the rule `app_first`.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol
from uuid import UUID

from sqlalchemy import text
from tests.engine import Engine
from tests.simulation.breaking import BreakingDatabase, Crash
from tests.simulation.content import PATTERN, edited, new_event, parts_of, token_of, touched

from gleichtakt.model.event import Series
from gleichtakt.store import holds
from gleichtakt.store.passes import encode
from gleichtakt.sync.flat import content_of
from gleichtakt.worker.loop import work

POLICY: Mapping[str, Any] = {
    "inbound_detail": "full",
    "outbound_detail": "full",
    "relay": "full",
    "app_writes_foreign": "allow",
    "delete_grace_minutes": 0,
    "private_events": "as_normal",
    "outbound_private": "normal",
    "attendees": "write",
}


OVER = (
    "update link set due = now() where lane_id = any(:ids) and state not in ('paused', 'disconnected')",
    "update pairing set retry_at = null, writes = '[]' where resource_id = :resource_id",
    "update observed set retry_at = now() where resource_id = :resource_id and retry_at is not null",
    "update lane set due = now(), paused_until = null where id = any(:ids) and owner is null",
)


class Remote(Protocol):
    """One calendar as others see and handle it."""

    @property
    def lane_id(self) -> UUID:
        """Say which lane works on it."""

    async def content(self) -> dict[str, Series]:
        """Give what stands there by href."""

    def as_stored(self, series: Series) -> Series:
        """Say how this calendar holds an event of ours."""

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

    async def mails(self) -> int:
        """Count the mails that would have gone out."""

    async def writes(self) -> int:
        """Count the writes since `forget`."""

    async def forget(self) -> None:
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
    "objects passed over",
    "one object refused",
    "asked to wait",
    "garbage",
)


APP = -1  # who edited, beside the numbers of the remotes


@dataclass
class History:
    """One history under way.

    deeds: (token, part) -> who made it what, in order, since all were in step. deleted: token -> who deleted it.
    withdrawn: deeds of those who deleted the event later. They need not stand, and may, where they had been carried over.
    """

    engine: Engine
    database: BreakingDatabase
    remotes: Sequence[Remote]
    made: int = 0
    born: set[str] = field(default_factory=set)  # tokens of events made since all were in step
    alive: set[str] = field(default_factory=set)
    deeds: dict[tuple[str, str], list[tuple[int, Any]]] = field(default_factory=lambda: defaultdict(list))
    withdrawn: dict[tuple[str, str], list[tuple[int, Any]]] = field(default_factory=lambda: defaultdict(list))
    deleted: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))

    # --- what people do ------------------------------------------------------------------------------------------

    def _new(self, kind: str) -> Series:
        self.made += 1
        token = f"e{self.made}"
        self.born.add(token)
        self.alive.add(token)
        return new_event(kind, token, self.made, f"{token}@{self.engine.resource_id}")

    def _note(self, who: int, before: Series, after: Series) -> None:
        for part, value in touched(before, after).items():
            self.deeds[token_of(before), part].append((who, value))

    async def creates(self, who: int, kind: str) -> None:
        """Somebody books."""
        if who == APP:
            await self.engine.put(self._new(kind))
        else:
            await self.remotes[who].put(self._new(kind))

    async def edits(self, who: int, which: int, what: str, value: str) -> None:
        """Somebody changes an event as it stands on this side, if there is any and it has such a thing."""
        there = await self._content(who)
        if not there:
            return
        name = self._nth(there, which)
        changed = edited(there[name], what, value)
        if changed is None:
            return
        if who == APP:
            await self.engine.put(changed, UUID(name))
        else:
            await self.remotes[who].change(name, changed)
        self._note(who, there[name], (await self._content(who))[name])

    async def deletes(self, who: int, which: int) -> None:
        """Somebody deletes an event on this side, if there is any."""
        there = await self._content(who)
        if not there:
            return
        name = self._nth(there, which)
        self._withdraw_deeds(who, token_of(there[name]))
        if who == APP:
            await self.engine.delete(UUID(name))
        else:
            await self.remotes[who].drop(name)

    def _nth(self, there: Mapping[str, Series], which: int) -> str:
        return sorted(there, key=lambda name: token_of(there[name]))[which % len(there)]

    async def trouble(self, index: int, kind: str) -> None:
        """Play a trick at the next calls on one calendar."""
        await self.remotes[index].trouble(kind)

    async def _content(self, who: int) -> dict[str, Series]:
        """Give the events on a side by the name they have there."""
        if who == APP:
            return {str(row.id): row.series for row in await self.engine.ours()}
        return await self.remotes[who].content()

    def _withdraw_deeds(self, who: int, token: str) -> None:
        """Note a deletion: what the same one edited before need not stand any more."""
        self.deleted[token].add(who)
        for (edited_token, part), deeds in self.deeds.items():
            if edited_token == token:
                self.withdrawn[token, part] += [deed for deed in deeds if deed[0] == who]
                deeds[:] = [deed for deed in deeds if deed[0] != who]

    # --- what we do ----------------------------------------------------------------------------------------------

    async def passes(self, crash_at: int | None = None) -> None:
        """Make the passes that are due; the process dies at a border of a transaction where asked to."""
        lane_ids = [remote.lane_id for remote in self.remotes]
        await self._make_due(lane_ids)
        self.database.arm(crash_at)
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

    async def _make_due(self, lane_ids: list[UUID]) -> None:
        """Let every pause and interval of this history be over."""
        given = {"ids": lane_ids, "resource_id": self.engine.resource_id}
        async with self.database.begin() as connection:
            for over in OVER:
                await connection.execute(text(over), given)

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
            await self._forget()
            await self.passes()
            held = await self.decide_holds()
            if not held and not await self._writes() and await self._in_step():
                return
        raise AssertionError(f"does not come to rest: {await self._state()}")

    async def _forget(self) -> None:
        for remote in self.remotes:
            await remote.forget()

    async def _writes(self) -> int:
        return sum([await remote.writes() for remote in self.remotes])

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
        rows = await self.engine.ours()
        ours = {token_of(row.series): row.series for row in rows}
        assert len(ours) == len(rows), f"a duplicate on our side: {[row.series.event.title for row in rows]}"
        waiting: set[str] = set()
        for remote in self.remotes:
            there = await remote.content()
            by_token = {token_of(series): series for series in there.values()}
            assert len(by_token) == len(there), f"a duplicate there: {sorted(there)}"
            shown = self._shown(remote, ours)
            excused = await self._excused(remote, ours)
            waiting |= excused
            assert by_token.keys() - excused == shown.keys() - excused, (sorted(by_token), sorted(shown))
            for token in shown.keys() - excused:
                assert not (differs := touched(remote.as_stored(shown[token]), by_token[token])), f"{token}: {differs} there"
            assert not await remote.mails(), "a mail would have gone out"
        self._check_deletions(ours)
        self._check_edits(ours)
        await self._check_quiet()
        for kept in (self.deeds, self.withdrawn):
            for token, part in [each for each in kept if each[0] not in waiting]:
                del kept[token, part]
        self.deleted.clear()
        self.born.clear()
        self.alive = set(ours)

    def _shown(self, remote: Remote, ours: Mapping[str, Series]) -> Mapping[str, Series]:
        """Give those of our events that have to stand in a calendar."""
        return ours

    async def _excused(self, remote: Remote, ours: Mapping[str, Series]) -> frozenset[str]:
        """Give those of our events that a calendar cannot hold as they are."""
        return frozenset()

    def _check_deletions(self, ours: Mapping[str, Series]) -> None:
        """Nobody's event vanishes without a deletion; what was deleted, and edited by nobody else, is gone."""
        vanished = self.alive - ours.keys() - self.deleted.keys()
        assert not vanished, f"{vanished} vanished although nobody deleted them"
        for token in self.deleted.keys() & ours.keys():
            assert APP not in self.deleted[token], f"{token} is back although the application deleted it"
            editors = {who for (edited_token, _), deeds in self.deeds.items() if edited_token == token for who, _ in deeds}
            assert token in self.born or editors - self.deleted[token], f"{token} is back although it was deleted there"

    def _check_edits(self, ours: Mapping[str, Series]) -> None:
        """No edit of one side alone is lost; where several edited one part, it is as one of them left it."""
        for (token, part), deeds in self.deeds.items():
            if token not in ours or not deeds or self._hangs_on_others(token, part, deeds[0][0]):
                continue
            said = [(who, value) for said_part, who, value in self._said(token) if said_part == part]
            edited_by_one = len({who for who, _ in said}) == 1
            may_stand = deeds[-1:] if edited_by_one else said
            standing = {who: self._standing(who, ours[token], part) for who, _ in may_stand}
            kept = any(self._is_as_left(who, ours[token], standing[who], value) for who, value in may_stand)
            merged = not edited_by_one and _is_merged(standing[may_stand[-1][0]], [value for _, value in may_stand])
            assert kept or merged, f"{token}: {part} of {deeds} is lost: {standing}"

    def _said(self, token: str) -> list[tuple[str, int, Any]]:
        """Give what anybody did to an event: (part, who, value), what was withdrawn included."""
        return [
            (part, who, value)
            for kept in (self.deeds, self.withdrawn)
            for (edited_token, part), deeds in kept.items()
            if edited_token == token
            for who, value in deeds
        ]

    def _is_as_left(self, who: int, series: Series, standing: Any, value: Any) -> bool:
        """Say whether a part is as its editor left it; an occurrence need not say what the whole series says by now."""
        if standing is None or value is None:
            return bool(standing == value)
        own = dict(standing)
        whole = {field: self._standing(who, series, field) for field in {content_of(key) for key, _ in value}}
        return own.items() <= dict(value).items() and all(
            key in own or [(content_of(key), said)] == whole[content_of(key)] for key, said in value
        )

    def _standing(self, who: int, series: Series, part: str) -> Any:
        """Give a part of ours as the one who edited it would see it."""
        return parts_of(series if who == APP else self.remotes[who].as_stored(series)).get(part)

    def _hangs_on_others(self, token: str, part: str, who: int) -> bool:
        """Say whether the pattern moved, and somebody else edited it or what is counted from it: then one goes with the other."""
        if part != PATTERN and not part.startswith("occurrence"):
            return False
        counted = [
            (edited_part, other)
            for edited_part, other, _ in self._said(token)
            if edited_part == PATTERN or edited_part.startswith("occurrence")
        ]
        has_moved = any(edited_part == PATTERN for edited_part, _ in counted)
        return has_moved and any(other != who for edited_part, other in counted if edited_part != part)

    async def _check_quiet(self) -> None:
        """One more pass writes nothing on any side."""
        versions = await self.engine.rows(
            "select id, version from series where resource_id = :id order by id", id=self.engine.resource_id
        )
        await self._forget()
        await self.passes()
        assert not await self._writes(), "a pass without changes wrote"
        assert versions == await self.engine.rows(
            "select id, version from series where resource_id = :id order by id", id=self.engine.resource_id
        )


def _is_merged(standing: Any, deeds: Sequence[Any]) -> bool:
    """Say whether each entry of a part is as one of several editors left it: who edits a master edits its exceptions too."""
    entries = [entry for value in deeds if value is not None for entry in value]
    return standing is not None and all(entry in entries for entry in standing)


async def begin_history(
    engine: Engine, database: BreakingDatabase, remotes: Sequence[Remote], of: type[History] | None = None
) -> History:
    """Begin a history over an engine whose links are tied."""
    for name, value in POLICY.items():
        async with database.begin() as connection:
            await connection.execute(
                text("""insert into setting (organization_id, level, object_id, name, value)
                        values (:id, 'global', :id, :name, cast(:value as jsonb))"""),
                {"id": engine.organization_id, "name": name, "value": encode(value)},
            )
    return (of or History)(engine, database, remotes)
