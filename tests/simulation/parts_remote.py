"""A calendar that holds some of our series in parts, as people there handle it: each part is an event of its own to them.

What stands there of a series in parts is told as a list of occurrences, each with all its content, under a name of its
own; ours is told in the same way, so that both can be compared and no edit of a part gets lost unnoticed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from tests.engine import moment
from tests.scenarios.calendars import READER
from tests.simulation.content import PATTERN, WITHOUT_PATTERN, edited, number_of, parts_of, token_of
from tests.simulation.history import APP, History
from tests.simulation.memory_remote import MemoryRemote

from gleichtakt.model.document import read_series
from gleichtakt.model.event import Event, Override, Series
from gleichtakt.simulators.memory import Thing
from gleichtakt.store.calendars import read_document
from gleichtakt.sync.flat import slot_point
from gleichtakt.sync.parts import singles
from gleichtakt.sync.policy import Policy

GROUP = "series "
#: What the application makes of a series: with a pattern and without, in turn.
REWRITTEN = (
    "FREQ=WEEKLY;COUNT=4",
    "FREQ=WEEKLY;COUNT=2\nFREQ=DAILY;COUNT=3",
    "FREQ=DAILY;COUNT=5",
    "FREQ=HOURLY;INTERVAL=9;COUNT=6",
)


def listed(token: str, shown: Mapping[str, Event]) -> Series:
    """Give occurrences by slot as one series in which each says everything about itself."""
    event = Event(moment(0, 0), moment(0, 1), title=f"{token} in parts")
    overrides = tuple(Override(slot_point(event.start, slot), one) for slot, one in sorted(shown.items()))
    return Series(token, event, rdate=tuple(one.recurrence_id for one in overrides), overrides=overrides)


@dataclass
class PartsRemote(MemoryRemote):
    """A calendar of the variant `patterned`."""

    def groups(self) -> dict[str, dict[str, Thing]]:
        """Give the parts that stand there, by series and slot."""
        found: dict[str, dict[str, Thing]] = defaultdict(dict)
        for thing in self.tie.things:
            if thing.marker.count("/") == 3:
                _, _, series_id, slot = thing.marker.split("/")
                assert slot not in found[series_id], f"two parts for {slot}"
                found[series_id][slot] = thing
        return found

    async def content(self) -> dict[str, Series]:
        """Give what stands there by href; parts together under the name of their series."""
        groups = self.groups()
        parts = {thing.href for group in groups.values() for thing in group.values()}
        found = {thing.href: read_series(thing.document) for thing in self.tie.things if thing.href not in parts}
        for series_id, group in groups.items():
            found[GROUP + series_id] = await self.told(series_id, group)
        return found

    async def told(self, series_id: str, group: Mapping[str, Thing]) -> Series:
        """Give the parts of one series as one."""
        (row,) = await self.tie.engine.rows("select document from series where id = :id", id=UUID(series_id))
        events = {slot: read_series(thing.document).event for slot, thing in group.items()}
        return listed(token_of(read_document(row["document"])), events)

    def holds_in_parts(self, series: Series) -> bool:
        """Say whether a series of ours stands there in parts."""
        return any(thing.document["uid"].startswith(f"{series.uid}-") for thing in self.tie.things)

    def as_stored(self, series: Series) -> Series:
        """Say how this calendar holds an event of ours."""
        if not self.holds_in_parts(series):
            return super().as_stored(series)
        window = Policy().window(datetime.now(UTC))
        return listed(token_of(series), {slot: one.event for slot, one in singles(series, window, READER, ()).items()})

    async def drop(self, href: str) -> None:
        """Someone else deletes an event, or all of a series one by one."""
        group = self.groups().get(href.removeprefix(GROUP), {}) if href.startswith(GROUP) else {}
        for name in [thing.href for thing in group.values()] or [href]:
            await super().drop(name)


@dataclass
class PartsHistory(History):
    """A history in which people also edit single parts, and the application gives series other rules."""

    async def creates(self, who: int, kind: str) -> None:
        """Somebody books; what has no pattern cannot be made where there are only patterns."""
        only_patterns = who != APP and isinstance(self.remotes[who], PartsRemote)
        await super().creates(who, "series" if only_patterns and kind in WITHOUT_PATTERN else kind)

    async def edits(self, who: int, which: int, what: str, value: str) -> None:
        """Somebody changes an event, or one part of a series."""
        remote = None if who == APP else self.remotes[who]
        there = await self._content(who)
        name = self._nth(there, which) if there else ""
        if not isinstance(remote, PartsRemote) or not name.startswith(GROUP):
            await super().edits(who, which, what, value)
            return
        group = remote.groups()[name.removeprefix(GROUP)]
        thing = group[sorted(group)[number_of(value) % len(group)]]
        if what == "exdate":
            await remote.drop(thing.href)
        elif (changed := edited(read_series(thing.document), what, value)) is not None:
            await remote.change(thing.href, changed)
        after = (await remote.content()).get(name)
        if after is None:
            self._forget_deeds(who, token_of(there[name]))
        else:
            self._note(who, there[name], after)

    async def rewrites(self, which: int, rule: int) -> None:
        """The application gives a series another rule; not one whose original has to have a pattern."""
        there = await self._content(APP)
        patterned = {remote.tie.id for remote in self.remotes if isinstance(remote, PartsRemote)}
        originals = await self.engine.rows(
            "select id from series where resource_id = :id and origin_link_id = any(:links)",
            id=self.engine.resource_id,
            links=list(patterned),
        )
        bound = {str(row["id"]) for row in originals}
        timed = {name: series for name, series in there.items() if not series.event.is_all_day and name not in bound}
        recurring = {name: series for name, series in timed.items() if series.is_recurring}
        if not recurring:
            return
        name = self._nth(recurring, which)
        before = recurring[name]
        bare = replace(before, rrule=REWRITTEN[rule % len(REWRITTEN)], rdate=(), exdate=(), overrides=())
        await self.engine.put(bare, UUID(name))
        self._note(APP, before, (await self._content(APP))[name])

    def _shown(self, ours: Mapping[str, Series]) -> dict[str, Series]:
        """Give those of ours that have any occurrence left."""
        window = Policy().window(datetime.now(UTC))
        return {token: series for token, series in ours.items() if singles(series, window, READER, ())}

    def _standing(self, who: int, series: Series, part: str) -> Any:
        """Give a part of ours as its editor sees it; who edited the whole does not see it in a list of occurrences."""
        of_whole = part != PATTERN and not part.startswith("occurrence")
        return parts_of(series).get(part) if of_whole else super()._standing(who, series, part)

    def _hangs_on_others(self, token: str, part: str, who: int) -> bool:
        """A part says everything about its occurrence, so whatever others edited may show in it."""
        if super()._hangs_on_others(token, part, who):
            return True
        if not part.startswith("occurrence") and part != PATTERN:
            return False
        others = {other for (edited_token, _), deeds in self.deeds.items() if edited_token == token for other, _ in deeds}
        return len(others) > 1
