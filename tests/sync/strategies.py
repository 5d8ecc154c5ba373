"""Random series and random edits of them, small enough to meet each other often."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from typing import Any

from hypothesis import strategies as st
from tests.sync.world import ZONE, at, excluded, overridden

from gleichtakt.model.event import Event, Sensitivity, Series, ShowAs, Status
from gleichtakt.model.point import Day, Point, Zoned, wall_of

RULES = ("FREQ=DAILY;COUNT=5", "FREQ=WEEKLY;COUNT=6", "FREQ=WEEKLY;COUNT=8", "FREQ=DAILY;INTERVAL=2;COUNT=3")
WORDS = st.sampled_from(["", "Beratung", "Café", "Anruf", "Team\nzwei Zeilen", "Übergabe 🗓"])

texts = dict.fromkeys(("title", "description", "location"), WORDS)
states = {
    "show_as": st.sampled_from([ShowAs.BUSY, ShowAs.TENTATIVE, ShowAs.OOF]),
    "status": st.sampled_from([Status.CONFIRMED, Status.TENTATIVE]),
    "categories": st.lists(st.sampled_from(["rot", "blau"]), unique=True, max_size=2).map(tuple),
}


@st.composite
def spans(draw: st.DrawFn) -> tuple[Point, Point]:
    """Give start and end within the mirrored window."""
    day = draw(st.integers(2, 9))
    if draw(st.integers(0, 4)) == 0:
        return Day(date(2026, 3, day)), Day(date(2026, 3, day + draw(st.integers(1, 2))))
    start = at(day, draw(st.integers(7, 11)))
    return start, Zoned(start.wall + timedelta(minutes=draw(st.sampled_from([0, 30, 60]))), ZONE)


@st.composite
def events(draw: st.DrawFn) -> Event:
    start, end = draw(spans())
    fields = {name: draw(values) for name, values in (texts | states).items()}
    return Event(start, end, **fields)  # type: ignore[arg-type]


@st.composite
def serieses(draw: st.DrawFn, uid: str = "u") -> Series:
    """Give a single event or a small series, with some occurrences changed or taken out."""
    series = Series(uid, draw(events()), draw(st.sampled_from(["", "", *RULES])))
    for _ in range(draw(st.integers(0, 2)) if series.rrule else 0):
        series = draw(occurrence_edits(series))
    return series


def slots(series: Series) -> list[Point]:
    """Give the first slots of a series whose rule is one of `RULES`."""
    step = timedelta(days=7 if "WEEKLY" in series.rrule else 2 if "INTERVAL=2" in series.rrule else 1)
    start = series.event.start
    walls = [wall_of(start) + step * number for number in range(3)]
    return [Day(wall.date()) if isinstance(start, Day) else replace(start, wall=wall) for wall in walls]


@st.composite
def occurrence_edits(draw: st.DrawFn, series: Series) -> Series:
    """Change or take out one occurrence."""
    slot = draw(st.sampled_from(slots(series)))
    if slot in series.exdate:
        return replace(series, exdate=tuple(point for point in series.exdate if point != slot))
    if draw(st.integers(0, 2)) == 0:
        return excluded(series, slot)
    if isinstance(slot, Day) or draw(st.booleans()):
        name = draw(st.sampled_from(sorted(texts)))
        return overridden(series, slot, **{name: draw(WORDS)})
    start = Zoned(wall_of(slot) + timedelta(hours=draw(st.integers(1, 3))), ZONE)
    return overridden(series, slot, start=start, end=Zoned(start.wall + timedelta(minutes=45), ZONE))


@st.composite
def edits(draw: st.DrawFn, series: Series, *, privacy: bool = False) -> Series:
    """Change something of a series: one field, its times, its rule, or one occurrence."""
    kind = draw(st.sampled_from(["field", "field", "state", "time", "rule", "occurrence", "private" if privacy else "field"]))
    if kind == "occurrence" and series.rrule:
        return draw(occurrence_edits(series))
    if kind == "rule" and series.rrule:
        return Series(series.uid, series.event, draw(st.sampled_from(["", *RULES])))
    if kind == "time":
        start, end = draw(spans())
        moved = replace(series.event, start=start, end=end)
        return Series(series.uid, moved, series.rrule)  # a client that moves a series starts its exceptions afresh
    if kind == "private":
        sensitivity = draw(st.sampled_from([Sensitivity.NORMAL, Sensitivity.PRIVATE]))
        return replace(series, event=replace(series.event, sensitivity=sensitivity))
    choices: dict[str, Any] = states if kind == "state" else texts
    name = draw(st.sampled_from(sorted(choices)))
    return replace(series, event=replace(series.event, **{name: draw(choices[name])}))
