"""Random events and series, for what we write to Exchange."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st

from gleichtakt.model.event import Attendee, Event, Person, Reminder, Sensitivity, Series, ShowAs
from gleichtakt.model.exchange_pattern import (
    EVERY_DAY,
    WEEKDAYS,
    WEEKEND,
    AbsoluteMonthly,
    AbsoluteYearly,
    Cycle,
    Daily,
    Index,
    Pattern,
    RelativeMonthly,
    RelativeYearly,
    Weekly,
    to_rule,
)
from gleichtakt.model.point import Day, Point, Zoned
from gleichtakt.model.zones import zone_of

ZONES = (
    "Europe/Berlin",
    "America/New_York",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "America/Sao_Paulo",
    "Pacific/Apia",
    "UTC",
    "Antarctica/Troll",
    "Africa/Casablanca",
)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=30)
WORDS = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zs", "Zl", "Zp")), min_size=1, max_size=12)
DAYS = st.sampled_from([(0,), (3,), (6,), EVERY_DAY, WEEKDAYS, WEEKEND])


def cycles() -> st.SearchStrategy[Cycle]:
    """Any pattern Exchange knows."""
    week = st.lists(st.integers(0, 6), min_size=1, max_size=7, unique=True).map(lambda days: tuple(sorted(days)))
    few = st.integers(1, 12)
    return st.one_of(
        st.builds(Daily, st.integers(1, 999)),
        st.builds(Weekly, st.integers(1, 99), week, st.integers(0, 6)),
        st.builds(AbsoluteMonthly, few, st.integers(1, 31)),
        st.builds(RelativeMonthly, few, DAYS, st.sampled_from(Index)),
        st.builds(AbsoluteYearly, few, st.integers(1, 28)),
        st.builds(RelativeYearly, few, DAYS, st.sampled_from(Index)),
    )


def _lasts(wall: datetime, tzid: str) -> bool:
    """Say whether a reading exists in a zone and exists once: those that do not come back as another."""
    ahead = zone_of(tzid).utcoffset(wall)
    return (
        ahead == zone_of(tzid).utcoffset(wall.replace(fold=1))
        and (wall - (ahead or timedelta())).replace(tzinfo=UTC).astimezone(zone_of(tzid)).replace(tzinfo=None) == wall
    )


@st.composite
def starts(draw: st.DrawFn) -> Point:
    """A day, or a minute of one in a zone."""
    wall = draw(
        st.datetimes(datetime(1990, 1, 1), datetime(2080, 1, 1)).map(  # noqa: DTZ001 - wall clocks
            lambda moment: moment.replace(second=0, microsecond=0)
        )
    )
    tzid = draw(st.sampled_from(ZONES))
    if draw(st.booleans()) or not _lasts(wall, tzid) or not _lasts(wall + timedelta(minutes=45), tzid):
        return Day(wall.date())
    return Zoned(wall, tzid)


@st.composite
def events(draw: st.DrawFn) -> Event:
    """An event that Exchange can hold."""
    start = draw(starts())
    end: Point
    if isinstance(start, Day):
        end = Day(start.date + timedelta(days=draw(st.integers(1, 9))))
    else:
        assert isinstance(start, Zoned)
        end = Zoned(start.wall + timedelta(minutes=45), start.tzid)
    return Event(
        start,
        end,
        draw(TEXTS),
        draw(TEXTS),
        "",
        draw(TEXTS),
        show_as=draw(st.sampled_from(ShowAs)),
        sensitivity=draw(st.sampled_from(Sensitivity)),
        organizer=Person("boss@contoso.example", "Boss"),
        attendees=tuple(draw(st.lists(_people(), max_size=3))),
        categories=tuple(draw(st.lists(WORDS, max_size=3))),
        reminders=tuple(draw(st.lists(st.builds(Reminder, st.integers(-10, 10_000_000)), max_size=2))),
    )


def _people() -> st.SearchStrategy[Attendee]:
    roles = st.sampled_from(["required", "optional", "resource", "chair"])
    return st.builds(Attendee, WORDS.map(lambda word: f"{word}@contoso.example"), TEXTS, role=roles)


@st.composite
def series(draw: st.DrawFn) -> Series:
    """A single event, or a series with a pattern Exchange knows."""
    event = draw(events())
    uid = draw(st.one_of(WORDS, st.just("040000008200E00074C5B7101A82E008" + "00" * 24)))
    if draw(st.booleans()):
        return Series(uid, event)
    first = event.start.date if isinstance(event.start, Day) else event.start.wall.date()  # type: ignore[union-attr]
    ends = draw(st.sampled_from(["never", "count", "date"]))
    count = draw(st.integers(1, 999)) if ends == "count" else None
    last = first + timedelta(days=4000) if ends == "date" else None
    return Series(uid, event, to_rule(Pattern(draw(cycles()), first, last, count), event.start))
