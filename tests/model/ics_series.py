"""Random series as iCalendar can hold them, for round trips and patches."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from hypothesis import strategies as st

from gleichtakt.model.event import Attendee, Event, Override, Person, Reminder, Response, Sensitivity, Series, ShowAs, Status
from gleichtakt.model.point import Day, Floating, Point, Zoned, shifted, wall_of
from gleichtakt.model.recurrence import canonical_rule, occurrence_event

ZONES = st.sampled_from(["Europe/Berlin", "America/New_York", "Pacific/Auckland", "UTC", "Asia/Kolkata"])
RULES = ["", "", "FREQ=DAILY;COUNT=6", "FREQ=WEEKLY;BYDAY=MO,WE;COUNT=9", "FREQ=MONTHLY;BYMONTHDAY=-1", "FREQ=DAILY;INTERVAL=2"]
NASTY = st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="￾￿")
texts = st.sampled_from(["", "Beratung", "a;b,c\\n", 'x "y" ^n', " Rand "]) | st.text(NASTY, max_size=90).filter(
    lambda text: not text.isspace()
)
addresses = st.sampled_from(["anna@example.org", "Bo.Berg@example.org", "raum-1@example.org", "urn:uuid:1"])
walls = st.datetimes(datetime(2025, 11, 1), datetime(2026, 12, 1))  # noqa: DTZ001 - wall clocks
walls = walls.map(lambda wall: wall.replace(second=0, microsecond=0))
#: Every category and link as one line without blanks around it: that is how they are read.
words = st.text(NASTY, min_size=1, max_size=20).map(str.strip).filter(bool)
links = st.sampled_from(["", "https://example.org/a?b=c,d;e", "tel:+493012345"])


@st.composite
def spans(draw: st.DrawFn) -> tuple[Point, Point]:
    wall = draw(walls)
    kind = draw(st.sampled_from(["zoned", "zoned", "day", "floating"]))
    if kind == "day":
        return Day(wall.date()), Day(wall.date() + timedelta(days=draw(st.integers(1, 3))))
    start: Point = Floating(wall) if kind == "floating" else Zoned(wall, draw(ZONES))
    return start, shifted(start, timedelta(minutes=draw(st.sampled_from([0, 30, 60, 1440]))))


def people() -> st.SearchStrategy[tuple[Attendee, ...]]:
    responses = st.sampled_from([Response.NONE, Response.ACCEPTED, Response.DECLINED, Response.TENTATIVE])
    roles = st.sampled_from(["required", "optional", "resource", "chair"])
    one = st.builds(Attendee, addresses, texts.map(lambda text: text.replace("\t", " ")), responses, roles)
    return st.lists(one, max_size=3, unique_by=lambda attendee: attendee.email.casefold()).map(tuple)


@st.composite
def events(draw: st.DrawFn) -> Event:
    start, end = draw(spans())
    return Event(
        start,
        end,
        title=draw(texts),
        description=draw(texts),
        html=draw(st.sampled_from(["", "<p>a;b</p>"])),
        location=draw(texts),
        status=draw(st.sampled_from(Status)),
        show_as=draw(st.sampled_from(ShowAs)),
        sensitivity=draw(st.sampled_from([Sensitivity.NORMAL, Sensitivity.PRIVATE, Sensitivity.CONFIDENTIAL])),
        organizer=draw(st.none() | st.builds(Person, addresses, texts)),
        attendees=draw(people()),
        categories=draw(st.lists(words, max_size=3, unique=True).map(tuple)),
        reminders=draw(st.lists(st.integers(-60, 20_000), max_size=3, unique=True).map(lambda all_: tuple(map(Reminder, all_)))),
        conference_url=draw(links),
        url=draw(links),
    )


@st.composite
def serieses(draw: st.DrawFn, uid: str = "u@example.org") -> Series:
    event = draw(events())
    rule = draw(st.sampled_from(RULES))
    if not rule:
        return Series(uid, event)
    offsets = draw(st.lists(st.integers(0, 20), max_size=3, unique=True))
    slots = [shifted(event.start, timedelta(days=offset)) for offset in offsets]
    overrides = tuple(Override(slot, draw(overridden(event, slot))) for slot in slots[:2])
    return Series(
        uid,
        event,
        canonical_rule(rule, event.start),
        exdate=tuple(slots[2:]),
        overrides=tuple(sorted(overrides, key=lambda override: wall_of(override.recurrence_id))),
    )


@st.composite
def overridden(draw: st.DrawFn, event: Event, slot: Point) -> Event:
    plain = occurrence_event(event, slot)
    other = draw(events())
    names = draw(st.sets(st.sampled_from(["title", "description", "show_as", "attendees", "reminders", "categories"])))
    changed = replace(plain, **{name: getattr(other, name) for name in names})
    by = timedelta(hours=draw(st.sampled_from([0, 0, 1, 25])))
    if isinstance(slot, Day):
        by = timedelta(days=by.days)
    return replace(changed, start=shifted(changed.start, by), end=shifted(changed.end, by))
