"""What we write to Exchange, read back by a client of other hands and by ourselves: the same occurrences for any rule and zone.

exchangelib asks for a calendar view, which the simulated server expands by rules of its own; our reading gives the series,
which the model expands. Both must show what was meant.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice
from typing import Any, TypeVar

import pytest
from exchangelib import DELEGATE, NTLM, Account, CalendarItem, Configuration, Credentials, EWSDateTime, EWSTimeZone
from exchangelib.protocol import close_connections
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st
from tests.ews_world import ADDRESS, NAME, EwsWorld, ews_world
from tests.exchange_world import everything_is_valid
from tests.providers.ews.wire_series import cycles

from gleichtakt.model.event import Event, Override, Series
from gleichtakt.model.exchange_pattern import Grade, NotExpressible, Pattern, grade, to_rule
from gleichtakt.model.point import Day, Point, Timespan, Zoned, shifted, wall_of
from gleichtakt.model.recurrence import expand, occurrence_event
from gleichtakt.model.zones import windows_from_iana, zone_names, zone_of
from gleichtakt.providers.ews.wire.patterns import pattern_of
from gleichtakt.providers.protocol import IdempotencyKey, Mail, Mark, Seen
from gleichtakt.simulators.exchange.versions import release

T = TypeVar("T")
Shown = list[tuple[datetime | date, datetime | date, str]]
HERE = "Europe/Berlin"  # where the mailbox is
#: Zones that Exchange knows by name. The others travel as definitions, which are exact in one year.
ZONES = tuple(name for name in zone_names() if windows_from_iana(name))
NIGHTLY = bool(os.environ.get("GLEICHTAKT_NIGHTLY"))
DEEDS = ("nothing", "nothing", "leave out", "rename", "move")


# --- random series ------------------------------------------------------------------------------------------------


@st.composite
def starts(draw: st.DrawFn) -> Point:
    """A day, or a quarter of an hour by daylight in a zone."""
    day = draw(st.dates(date(2025, 1, 1), date(2027, 12, 31)))
    if draw(st.integers(0, 3)) == 0:
        return Day(day)
    return Zoned(
        datetime.combine(day, time(draw(st.integers(4, 21)), draw(st.sampled_from([0, 15, 30])))), draw(st.sampled_from(ZONES))
    )


@st.composite
def plans(draw: st.DrawFn, version: str) -> Series:
    """A series that a version can hold, in which some of the first occurrences are left out, renamed or moved."""
    start = draw(starts())
    first = wall_of(start).date()
    ends = draw(st.sampled_from(["never", "date", "count"]))
    last = first + timedelta(days=draw(st.integers(0, 600))) if ends == "date" else None
    count = draw(st.integers(1, 40)) if ends == "count" else None
    length = timedelta(days=1) if isinstance(start, Day) else timedelta(minutes=30)
    rule = to_rule(Pattern(draw(cycles()), first, last, count), start)
    series = Series("", Event(start, shifted(start, length), "Plan"), rule)
    slots = [one.slot for one in islice(expand(series, _window(series), zone_of(HERE)), 5)]
    assume(slots)
    for slot in slots[1:]:
        series = _after(draw(st.sampled_from(DEEDS)), series, slot)
    assume(grade(series, _window(series)).grade is Grade.EXACT)
    assume(not isinstance(pattern_of(series, version), NotExpressible))
    return series


def _after(deed: str, series: Series, slot: Point) -> Series:
    """Give a series after something was done to one of its occurrences."""
    event = occurrence_event(series.event, slot)
    by = timedelta(days=1) if isinstance(slot, Day) else timedelta(minutes=45)
    changed = {
        "rename": replace(event, title="Renamed"),
        "move": replace(event, start=shifted(event.start, by), end=shifted(event.end, by)),
    }
    if deed == "leave out":
        return replace(series, exdate=(*series.exdate, slot))
    return replace(series, overrides=(*series.overrides, Override(slot, changed[deed]))) if deed in changed else series


def _window(series: Series) -> Timespan:
    """Give a little over a year from the day before a series begins."""
    begin = datetime.combine(wall_of(series.event.start).date(), time(), UTC) - timedelta(days=1)
    return Timespan(begin, begin + timedelta(days=400))


# --- what is shown ------------------------------------------------------------------------------------------------


def shown(series: Series, window: Timespan) -> Shown:
    """Give the occurrences as the model has them, days as days."""
    found = [one.event for one in expand(series, window, zone_of(HERE))]
    return sorted(((*_times(event), event.title) for event in found), key=str)


def _times(event: Event) -> tuple[datetime | date, datetime | date]:
    if isinstance(event.start, Day) and isinstance(event.end, Day):
        return event.start.date, event.end.date
    start, end = (
        point.wall.replace(tzinfo=zone_of(point.tzid)).astimezone(UTC)
        for point in (event.start, event.end)
        if isinstance(point, Zoned)
    )
    return start, end


def seen_by_others(account: Account, window: Timespan) -> Shown:
    """Give the occurrences as exchangelib shows them.

    It names the last day of an all-day event, which it takes for the day before where the clocks went forward.
    """
    start, end = (EWSDateTime.from_datetime(moment) for moment in (window.start, window.end))
    found = account.calendar.view(start=start, end=end).only("subject", "start", "end", "is_all_day")
    return sorted(((*_their_times(item), item.subject) for item in found), key=str)


def _their_times(item: CalendarItem) -> tuple[datetime | date, datetime | date]:
    if item.is_all_day:
        first, last = (date.fromisoformat(str(each)) for each in (item.start, max(item.start, item.end)))
        return first, last + timedelta(days=1)
    return datetime.fromtimestamp(item.start.timestamp(), UTC), datetime.fromtimestamp(item.end.timestamp(), UTC)


# --- the world ----------------------------------------------------------------------------------------------------


@dataclass
class Both:
    """A calendar that we write, and how both clients see it."""

    runner: asyncio.Runner
    world: EwsWorld
    account: Account | None
    number: int = 0

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Let the server and our provider work."""
        return self.runner.run(coroutine)

    async def written(self, series: Series) -> tuple[Series, Shown | None]:
        """Write a series, give it as read back and as the others see it, and delete it."""
        self.number += 1
        provider, of = self.world.provider, self.world.calendar
        made = await provider.create(of, series, key=IdempotencyKey(f"{self.number:032x}"), mark=Mark("m"), mail=Mail.NONE)
        (found,) = await provider.fetch(of, [made.href])
        assert isinstance(found, Seen)
        theirs = await asyncio.to_thread(seen_by_others, self.account, _window(series)) if self.account else None
        await provider.delete(of, made.href, expect=found.etag, key=IdempotencyKey("0" * 32), mail=Mail.NONE)
        return found.series, theirs


@contextmanager
def both(version: str, *, with_others: bool) -> Iterator[Both]:
    """Run a server of a release with two clients at one calendar."""
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        world = runner.run(stack.enter_async_context(ews_world("own", version=version)))
        account = runner.run(asyncio.to_thread(_signed_in, world)) if with_others else None
        try:
            yield Both(runner, world, account)
            assert everything_is_valid(world.exchange)
            assert not world.exchange.simulator.outbox
        finally:
            close_connections()
            runner.run(stack.aclose())


def _signed_in(world: EwsWorld) -> Account:
    credentials = Credentials(f"FIRM\\{NAME}", f"{NAME}-password")
    configuration = Configuration(service_endpoint=world.login.url, credentials=credentials, auth_type=NTLM)
    return Account(ADDRESS, config=configuration, autodiscover=False, access_type=DELEGATE)


@pytest.mark.parametrize(("version", "with_others"), [("SE", True), ("2010_SP2", True), ("2007_SP1", False)])
def test_any_series_has_the_same_occurrences_for_us_and_for_others(
    monkeypatch: pytest.MonkeyPatch, version: str, with_others: bool
) -> None:
    monkeypatch.setattr(EWSTimeZone, "localzone", lambda: EWSTimeZone(HERE))  # a view tells no zone: it takes the computer's
    with both(version, with_others=with_others) as calendar:

        @settings(
            max_examples=500 if NIGHTLY else 15,
            deadline=None,
            database=None,
            derandomize=not NIGHTLY,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(plans(release(version).speaks))
        def check(series: Series) -> None:
            meant = shown(series, _window(series))
            ours, theirs = calendar.run(calendar.written(series))
            assert shown(ours, _window(series)) == meant
            assert theirs in (None, meant)

        check()


# --- a zone without a name ----------------------------------------------------------------------------------------

WEST = "America/Vancouver"  # got a name in Windows of its own when its clocks stopped changing: servers learn it later


def _in_the_west(title: str, rrule: str = "") -> Series:
    start = Zoned(datetime(2025, 11, 26, 9), WEST)  # noqa: DTZ001  # the zone stands beside it
    return Series("", Event(start, shifted(start, timedelta(hours=1)), title), rrule)


@pytest.mark.parametrize("version", ["SE", "2007_SP1"])
async def test_a_zone_that_the_server_has_no_name_for_is_told_by_its_rules(version: str) -> None:
    async with ews_world(version=version) as world:
        provider, of, keys = world.provider, world.calendar, [IdempotencyKey(f"{number:032x}") for number in range(4)]
        weekly = _in_the_west("Weekly", rrule="FREQ=WEEKLY;COUNT=60")
        made = await provider.create(of, weekly, key=keys[0], mark=Mark("m"), mail=Mail.NONE)
        assert made.series is not None
        assert shown(made.series, _window(weekly)) == shown(weekly, _window(weekly))
        await provider.create(of, _in_the_west("Once"), key=keys[1], mark=Mark("m"), mail=Mail.NONE)
        asked = [entry.codes for entry in world.exchange.ledger if entry.operation == "CreateItem"]
        assert asked == [("ErrorTimeZone",), (), ()], "the second time it is known that the server does not know"

        other = await world.reconnect()
        berlin = replace(_in_the_west("Call"), event=replace(_in_the_west("Call").event, start=_at(18), end=_at(19)))
        call = await other.create(of, berlin, key=keys[2], mark=Mark("m"), mail=Mail.NONE)
        moved = _in_the_west("Call")
        fields = frozenset({"start", "end"})
        changed = await other.update(
            of, call.href, expect=call.etag, base=berlin, new=moved, fields=fields, key=keys[3], mark=Mark("m"), mail=Mail.NONE
        )
        assert changed.series is not None
        assert changed.series.event.start == moved.event.start
        assert everything_is_valid(world.exchange)


def _at(hour: int) -> Zoned:
    return Zoned(datetime(2025, 11, 26, hour), HERE)  # noqa: DTZ001  # the zone stands beside it
