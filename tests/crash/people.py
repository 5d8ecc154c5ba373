"""People who book, change and cancel on both sides, and what must stand everywhere once the workers are done.

Between two checks an event is handled by one side only, so that what must come of it is known exactly; that edits of both
sides meet well is the business of `tests/simulation`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any
from uuid import UUID

from tests.engine import Engine, meeting
from tests.simulation.history import Remote

from gleichtakt.model.event import Event, Override, Series
from gleichtakt.model.point import wall_of, with_wall
from gleichtakt.model.recurrence import occurrence_event
from gleichtakt.store import holds
from gleichtakt.sync.flat import flatten

OURS = -1  # who acts, beside the numbers of the calendars
RULES = ("", "", "FREQ=WEEKLY;COUNT=6", "FREQ=DAILY;COUNT=9")


def token_of(series: Series) -> str:
    """Give the first word of a title: the name of an event in these tests."""
    return series.event.title.split()[0]


def content_of(series: Series) -> dict[str, Any]:
    """Give what all sides must agree on; some calendars choose their own UIDs."""
    return {key: value for key, value in flatten(series).items() if not key.startswith("uid")}


def _moved(event: Event, by: timedelta) -> Event:
    return replace(
        event, start=with_wall(event.start, wall_of(event.start) + by), end=with_wall(event.end, wall_of(event.end) + by)
    )


def _renamed(series: Series, number: int) -> Series:
    return replace(series, event=replace(series.event, title=f"{token_of(series)} renamed {number}"))


def _elsewhere(series: Series, number: int) -> Series:
    return replace(series, event=replace(series.event, location=f"Raum {number}"))


def _later(series: Series, number: int) -> Series:
    return series if series.is_recurring else replace(series, event=_moved(series.event, timedelta(minutes=15)))


def _second_slot(series: Series) -> Any:
    days = 7 if "WEEKLY" in series.rrule else 1
    return with_wall(series.event.start, wall_of(series.event.start) + timedelta(days=days))


def _without_one(series: Series, number: int) -> Series:
    slot = _second_slot(series)
    if not series.is_recurring or slot in series.exdate:
        return series
    return replace(series, exdate=(*series.exdate, slot), overrides=())


def _with_one_moved(series: Series, number: int) -> Series:
    slot = _second_slot(series)
    if not series.is_recurring or slot in series.exdate:
        return series
    moved = replace(_moved(occurrence_event(series.event, slot), timedelta(minutes=30)), location=f"Saal {number}")
    return replace(series, overrides=(Override(slot, moved),))


EDITS: tuple[Callable[[Series, int], Series], ...] = (_renamed, _elsewhere, _later, _without_one, _with_one_moved)


@dataclass
class People:
    """Both sides at work. expected: token -> content, None once deleted. by: token -> who handled it since the last check."""

    engine: Engine
    remotes: list[Remote]
    rng: random.Random
    expected: dict[str, dict[str, Any] | None] = field(default_factory=dict)
    by: dict[str, int] = field(default_factory=dict)

    async def act(self) -> None:
        """Do a few things."""
        for _ in range(self.rng.randint(4, 8)):
            step = self.rng.choices([self._create, self._edit, self._delete], weights=[5, 7, 1])[0]
            await step(self.rng.randrange(OURS, len(self.remotes)))

    async def _create(self, who: int) -> None:
        token = f"e{len(self.expected) + 1}"
        series = meeting(f"{token} booked", days=self.rng.randint(2, 20), uid=token, rrule=self.rng.choice(RULES))
        if who == OURS:
            await self.engine.put(series)
        else:
            await self.remotes[who].put(series)
        self._note(token, who, series)

    async def _edit(self, who: int) -> None:
        chosen = await self._choose(who)
        if chosen is None:
            return
        name, series = chosen
        changed = self.rng.choice(EDITS)(series, self.rng.randrange(10**6))
        if who == OURS:
            await self.engine.put(changed, UUID(name))
        else:
            await self.remotes[who].change(name, changed)
        self._note(token_of(series), who, changed)

    async def _delete(self, who: int) -> None:
        chosen = await self._choose(who)
        if chosen is None:
            return
        name, series = chosen
        if who == OURS:
            await self.engine.delete(UUID(name))
        else:
            await self.remotes[who].drop(name)
        self._note(token_of(series), who, None)

    def _note(self, token: str, who: int, series: Series | None) -> None:
        self.by[token] = who
        self.expected[token] = self._kept(series) if series else None

    async def _choose(self, who: int) -> tuple[str, Series] | None:
        """Give an event on a side that nobody on another side has handled since the last check."""
        here = {name: series for name, series in (await self._at(who)).items() if self.by.get(token_of(series), who) == who}
        if not here:
            return None
        name = self.rng.choice(sorted(here, key=lambda name: token_of(here[name])))
        return name, here[name]

    async def _at(self, who: int) -> Mapping[str, Series]:
        if who == OURS:
            return {str(row.id): row.series for row in await self.engine.ours()}
        return await self.remotes[who].content()

    def _kept(self, series: Series) -> dict[str, Any]:
        """Give what of an event every calendar here keeps."""
        for remote in self.remotes:
            series = remote.as_stored(series)
        return content_of(series)

    async def approve(self) -> bool:
        """Approve what is held; say whether there was anything."""
        held = await self.engine.rows("select id from hold where state = 'open'")
        for hold in held:
            async with self.engine.database.begin() as connection:
                await holds.approve(connection, self.engine.organization_id, hold["id"], "account:test")
        return bool(held)

    async def check(self) -> None:
        """Compare every side with what people did."""
        standing = {token: content for token, content in self.expected.items() if content is not None}
        for who in range(OURS, len(self.remotes)):
            here = list((await self._at(who)).values())
            assert sorted(map(token_of, here)) == sorted(standing), f"lost or doubled at side {who}"
            for series in here:
                assert self._kept(series) == standing[token_of(series)], f"{token_of(series)} at side {who}"
        self.by.clear()
