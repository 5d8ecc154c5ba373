"""A calendar that holds some of our series in parts, as people there handle it: each part is an event of its own to them.

What stands there of a series in parts is told as a list of occurrences, each with all its content, under a name of its
own; ours is told in the same way, so that both can be compared and no edit of a part gets lost unnoticed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Protocol
from uuid import UUID

from tests.engine import Engine, moment
from tests.scenarios.calendars import READER
from tests.simulation.content import PATTERN, WITHOUT_PATTERN, edited, number_of, parts_of, token_of
from tests.simulation.history import APP, History, Remote

from gleichtakt.model.event import Event, Override, Series
from gleichtakt.model.exchange_pattern import Grade, grade
from gleichtakt.model.recurrence import slot_key
from gleichtakt.store.calendars import read_document
from gleichtakt.sync.flat import flatten, slot_point
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


class Marked(Remote, Protocol):
    """A calendar that repeats events only by patterns, and whose objects carry our mark."""

    @property
    def link_id(self) -> UUID:
        """Say which link ties it to us."""

    async def marked(self) -> Mapping[str, tuple[str, Series]]:
        """Give what stands there by href: our mark on it, and its content."""


@dataclass
class PartsRemote:
    """A calendar of patterns, in which the parts of a series are told as one event. parted: uids of such series."""

    calendar: Marked
    engine: Engine
    parted: set[str] = field(default_factory=set)

    @property
    def lane_id(self) -> UUID:
        """Say which lane works on it."""
        return self.calendar.lane_id

    async def _look(self) -> tuple[dict[str, Series], dict[str, dict[str, tuple[str, Series]]]]:
        """Give whole events by href, and the parts of others (their href and content) by series and slot."""
        whole: dict[str, Series] = {}
        groups: dict[str, dict[str, tuple[str, Series]]] = defaultdict(dict)
        for href, (mark, series) in (await self.calendar.marked()).items():
            if mark.count("/") == 3:
                _, _, series_id, slot = mark.split("/")
                assert slot not in groups[series_id], f"two parts for {slot}"
                groups[series_id][slot] = href, series
            else:
                whole[href] = series
        return whole, groups

    async def parts(self, name: str) -> dict[str, tuple[str, Series]]:
        """Give the parts of a series by slot, with their hrefs; none for an event that stands as a whole."""
        _, groups = await self._look()
        return groups.get(name.removeprefix(GROUP), {})

    async def content(self) -> dict[str, Series]:
        """Give what stands there by href; parts together under the name of their series."""
        found, groups = await self._look()
        self.parted.clear()
        for series_id, group in groups.items():
            (row,) = await self.engine.rows("select document from series where id = :id", id=UUID(series_id))
            ours = read_document(row["document"])
            self.parted.add(ours.uid)
            found[GROUP + series_id] = listed(token_of(ours), {slot: series.event for slot, (_, series) in group.items()})
        return found

    def as_stored(self, series: Series) -> Series:
        """Say how this calendar holds an event of ours; parts only where it has no pattern."""
        if series.uid not in self.parted:
            return self.calendar.as_stored(series)
        assert has_no_pattern(series), f"{series.uid} stands in parts and has a pattern"
        shown = {slot: self.calendar.as_stored(one).event for slot, one in occurrences(series).items()}
        return listed(token_of(series), shown)

    async def put(self, series: Series) -> str:
        """Someone else creates."""
        return await self.calendar.put(series)

    async def change(self, href: str, series: Series) -> None:
        """Someone else edits."""
        await self.calendar.change(href, series)

    async def drop(self, href: str) -> None:
        """Someone else deletes an event, or all of a series one by one."""
        for name in [name for name, _ in (await self.parts(href)).values()] or [href]:
            await self.calendar.drop(name)

    async def trouble(self, kind: str) -> None:
        """Play a trick at the next calls."""
        await self.calendar.trouble(kind)

    async def calm(self) -> None:
        """Stop all tricks."""
        await self.calendar.calm()

    async def mails(self) -> int:
        """Count the mails."""
        return await self.calendar.mails()

    async def writes(self) -> int:
        """Count the writes since `forget`."""
        return await self.calendar.writes()

    async def forget(self) -> None:
        """Forget the calls so far."""
        await self.calendar.forget()


def occurrences(series: Series) -> dict[str, Series]:
    """Give the single events that stand for a series where it has no pattern."""
    return singles(series, Policy().window(datetime.now(UTC)), READER, ())


def has_no_pattern(series: Series) -> bool:
    """Say whether no pattern gives the days of a series."""
    return grade(series, Policy().window(datetime.now(UTC))).grade is not Grade.EXACT


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
        group = await remote.parts(name)
        href, part = group[sorted(group)[number_of(value) % len(group)]]
        if what == "exdate":
            await remote.drop(href)
        elif (changed := edited(part, what, value)) is not None:
            await remote.change(href, changed)
        after = (await remote.content()).get(name)
        if after is None:
            self._withdraw_deeds(who, token_of(there[name]))
        else:
            self._note_parts(who, there[name], after)

    def _note_parts(self, who: int, before: Series, after: Series) -> None:
        """Note an edit of parts; one that went is an occurrence called off, as it is told where its series stands whole."""
        self._note(who, before, after)
        for slot in {slot_key(point) for point in before.rdate} - {slot_key(point) for point in after.rdate}:
            self.deeds[token_of(before), f"occurrence {slot}"][-1] = (who, [(f"exdate:{slot}", True)])

    async def _originals(self, remote: PartsRemote) -> set[str]:
        """Give the ids of the series that came from a calendar."""
        rows = await self.engine.rows(
            "select id from series where resource_id = :id and origin_link_id = :link",
            id=self.engine.resource_id,
            link=remote.calendar.link_id,
        )
        return {str(row["id"]) for row in rows}

    async def rewrites(self, which: int, rule: int) -> None:
        """The application gives a series another rule; not one whose original has to have a pattern."""
        there = await self._content(APP)
        bound = {name for remote in self.remotes if isinstance(remote, PartsRemote) for name in await self._originals(remote)}
        timed = {name: series for name, series in there.items() if not series.event.is_all_day and name not in bound}
        recurring = {name: series for name, series in timed.items() if series.is_recurring}
        if not recurring:
            return
        name = self._nth(recurring, which)
        before = recurring[name]
        bare = replace(before, rrule=REWRITTEN[rule % len(REWRITTEN)], rdate=(), exdate=(), overrides=())
        await self.engine.put(bare, UUID(name))
        self._note(APP, before, (await self._content(APP))[name])

    def _shown(self, remote: Remote, ours: Mapping[str, Series]) -> Mapping[str, Series]:
        """Give those of ours that have to stand in a calendar: of a series in parts that has none left, there is nothing."""
        if not isinstance(remote, PartsRemote):
            return ours
        return {token: series for token, series in ours.items() if not has_no_pattern(series) or occurrences(series)}

    async def _excused(self, remote: Remote, ours: Mapping[str, Series]) -> frozenset[str]:
        """Give the originals of a calendar that have no pattern any more, because somebody elsewhere moved an occurrence.

        The calendar can hold no such series, and nobody else's object is replaced by parts; so its original stays as it
        was or goes, as people there decide. What is edited there arrives all the same, and a problem tells what waits.
        """
        if not isinstance(remote, PartsRemote):
            return frozenset()
        link_id = remote.calendar.link_id
        refused = await self.engine.rows(
            """select s.document from series s
               join pairing p on p.series_id = s.id and p.link_id = :link and p.state = 'parked'
               join problem on problem.series_id = s.id and problem.link_id = :link and problem.state = 'open'
               where s.origin_link_id = :link""",
            link=link_id,
        )
        tokens = {token_of(read_document(row["document"])) for row in refused}
        return frozenset(token for token in tokens if has_no_pattern(ours[token]))

    def _standing(self, who: int, series: Series, part: str) -> Any:
        """Give a part of ours as its editor sees it; who edited the whole does not see it in a list of occurrences.

        In such a list an occurrence of whole days has a time in its name, and one called off is missing.
        """
        told = parts_of(series)
        if part != PATTERN and not part.startswith("occurrence"):
            return told.get(part)
        called_off = f"exdate:{part.removeprefix('occurrence ')}"
        if (called_off.removesuffix("T000000") if series.event.is_all_day else called_off) in flatten(series):
            return [(called_off, True)]
        return super()._standing(who, series, part)

    def _hangs_on_others(self, token: str, part: str, who: int) -> bool:
        """A part says everything about its occurrence, so whatever others edited may show in it."""
        if super()._hangs_on_others(token, part, who):
            return True
        if not part.startswith("occurrence") and part != PATTERN:
            return False
        return len({other for _, other, _ in self._said(token)}) > 1
