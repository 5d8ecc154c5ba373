"""Series as JSON: what is written is read back, and what is malformed says where."""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.model.builders import at, changed, series

from gleichtakt.model.document import Malformed, point_document, read_event, read_point, read_series, series_document
from gleichtakt.model.event import Attendee, Event, Override, Person, Reminder, Response, Sensitivity, Series, ShowAs, Status
from gleichtakt.model.point import Day, Floating, Point, Zoned, shifted, wall_of
from gleichtakt.model.recurrence import canonical_rule, slots

ZONES = ["Europe/Berlin", "America/St_Johns", "Pacific/Auckland", "UTC"]
CUSTOM = (
    "BEGIN:VTIMEZONE\nTZID:Works\nBEGIN:STANDARD\nDTSTART:19700101T000000\n"
    "TZOFFSETFROM:+0345\nTZOFFSETTO:+0345\nEND:STANDARD\nEND:VTIMEZONE"
)
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40)
WALLS = st.datetimes(datetime.fromisoformat("1601-01-01"), datetime.fromisoformat("9990-01-01")).map(
    lambda wall: wall.replace(microsecond=0)
)


def points(kind: str) -> st.SearchStrategy[Point]:
    if kind == "day":
        return st.dates(date(1601, 1, 1), date(9990, 1, 1)).map(Day)
    if kind == "floating":
        return WALLS.map(Floating)
    return st.builds(Zoned, WALLS, st.just(kind))


@st.composite
def events(draw: st.DrawFn, start: Point) -> Event:
    length = timedelta(days=draw(st.integers(1, 30))) if isinstance(start, Day) else timedelta(minutes=draw(st.integers(0, 3000)))
    people = st.builds(
        Attendee, TEXT, TEXT, st.sampled_from(list(Response)), st.sampled_from(["required", "optional", "resource", "chair"])
    )
    return Event(
        start=start,
        end=shifted(start, length),
        title=draw(TEXT),
        description=draw(TEXT),
        html=draw(TEXT),
        location=draw(TEXT),
        status=draw(st.sampled_from(list(Status))),
        show_as=draw(st.sampled_from(list(ShowAs))),
        sensitivity=draw(st.sampled_from(list(Sensitivity))),
        organizer=draw(st.none() | st.builds(Person, TEXT, TEXT)),
        attendees=tuple(draw(st.lists(people, max_size=3))),
        categories=tuple(draw(st.lists(TEXT, max_size=3))),
        reminders=tuple(draw(st.lists(st.builds(Reminder, st.integers(-100, 100_000)), max_size=2))),
        conference_url=draw(TEXT),
        url=draw(TEXT),
    )


@st.composite
def many_series(draw: st.DrawFn) -> Series:
    kind = draw(st.sampled_from(["day", "floating", *ZONES, CUSTOM]))
    start = draw(points(kind))
    rule = draw(
        st.sampled_from(
            ["", "FREQ=DAILY;COUNT=9", "FREQ=WEEKLY;BYDAY=MO,TH;UNTIL=99951231", "FREQ=MONTHLY\nFREQ=YEARLY;BYMONTH=3"]
        )
    )
    slots_of = st.lists(points(kind), max_size=4, unique_by=slot_name).map(lambda found: tuple(sorted(found, key=wall_of)))
    slots = draw(slots_of)
    moved = tuple(Override(slot, draw(events(draw(st.sampled_from([slot, start]))))) for slot in slots)
    return Series(
        uid=draw(TEXT),
        event=draw(events(start)),
        rrule=canonical_rule(rule, start) if rule else "",
        rdate=draw(slots_of),
        exdate=draw(slots_of),
        overrides=moved,
        is_detached=draw(st.booleans()) if moved else False,
    )


def slot_name(point: Point) -> datetime:
    return wall_of(point)


@settings(max_examples=60, deadline=None)
@given(many_series())
def test_every_series_comes_back_as_it_was_written(one: Series) -> None:
    written = json.loads(json.dumps(series_document(one)))
    assert read_series(written) == one
    assert series_document(read_series(written)) == written


@pytest.mark.parametrize(
    "point",
    [
        at("2026-11-23"),
        at("2026-11-23T09:00"),
        at("2026-11-23T09:00", None),
        at("0001-01-01T00:00", "UTC"),
        Zoned(datetime.fromisoformat("2026-10-25T02:30").replace(fold=1), "Europe/Berlin"),
        Zoned(datetime.fromisoformat("2026-11-23T09:00"), CUSTOM),
    ],
)
def test_a_point_keeps_its_kind_zone_and_pass_of_the_clock(point: Point) -> None:
    back = read_point(json.loads(json.dumps(point_document(point))), "start")
    assert back == point
    assert wall_of(back).fold == wall_of(point).fold


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ({"date_time": "2026-11-23T08:00:00Z", "time_zone": "Europe/Berlin"}, at("2026-11-23T09:00")),
        ({"date_time": "2026-11-23T09:00:00+01:00"}, at("2026-11-23T08:00", "UTC")),
        (
            {"date_time": "2026-10-25T01:30:00Z", "time_zone": "Europe/Berlin"},
            Zoned(datetime.fromisoformat("2026-10-25T02:30"), "Europe/Berlin"),
        ),
        ({"date_time": "2026-11-23T09:00:00.123456"}, at("2026-11-23T09:00", None)),
        ({"date": "2026-11-23", "date_time": None}, at("2026-11-23")),
    ],
)
def test_a_time_with_an_offset_is_the_same_instant_in_its_zone(written: dict[str, Any], expected: Point) -> None:
    assert read_point(written, "start") == expected


def document(**changes: Any) -> dict[str, Any]:
    """A good weekly series with one override, and what a test changes about it."""
    start = at("2026-03-02T09:00")
    one = series(start, "FREQ=WEEKLY")
    whole = series(start, "FREQ=WEEKLY", overrides=(changed(one, at("2026-03-09T09:00"), at("2026-03-10T11:00")),))
    return {**series_document(whole), **changes}


def with_override(**changes: Any) -> dict[str, Any]:
    found = document()
    found["recurrence"]["overrides"][0].update(changes)
    return found


def with_recurrence(**changes: Any) -> dict[str, Any]:
    found = document()
    found["recurrence"].update(changes)
    return found


NINE = {"date_time": "2026-03-02T09:00:00", "time_zone": "Europe/Berlin"}

MALFORMED: list[tuple[Any, str, str]] = [
    ([], "event", "expected an object"),
    ({}, "start", "is missing"),
    (document(start="2026-03-02"), "start", "expected"),
    (document(start={}), "start", 'expected "date" or "date_time"'),
    (document(start={"date": "2026-02-30"}), "start.date", "expected a date"),
    (document(start={"date": 20260302}), "start.date", "expected a date"),
    (document(start={"date_time": "nine"}), "start.date_time", "expected a time"),
    (document(start={"date_time": "2026-03-02T25:00:00"}), "start.date_time", "expected a time"),
    (document(start={**NINE, "time_zone": "Europe/Atlantis"}), "start.time_zone", "IANA zone"),
    (document(start={**NINE, "time_zone": 1}), "start.time_zone", "IANA zone"),
    (document(start={**NINE, "time_zone": {"custom": "Europe/Berlin"}}), "start.time_zone", "IANA zone"),
    (document(start={"date_time": "0001-01-01T00:00:00+14:00"}), "start.date_time", "years 1 to 9999"),
    (document(end={"date": "2026-03-03"}), "end", "same kind"),
    (document(start={"date_time": "2026-03-02T09:00:00"}, recurrence=None), "end", "same kind"),
    (document(start={"date": "9999-12-31"}, end=None, recurrence=None), "end", "years 1 to 9999"),
    (document(title=1), "title", "expected a text"),
    (document(title="\ud800"), "title", "surrogate"),
    (document(description="x" * 5_000_001), "description", "longer than"),
    (document(show_as="asleep"), "show_as", "free, tentative, busy"),
    (document(sensitivity=["private"]), "sensitivity", "expected one of"),
    (document(status="maybe"), "status", "confirmed"),
    (document(organizer="chef@example.org"), "organizer", "email"),
    (document(organizer={"email": "\udfff"}), "organizer.email", "surrogate"),
    (document(attendees={}), "attendees", "expected a list"),
    (document(attendees=[{"email": "a@b"}, {"name": "x"}]), "attendees[1]", "email"),
    (document(attendees=[{"email": "a@b", "role": "king"}]), "attendees[0].role", "expected one of"),
    (document(attendees=[{"email": "a@b", "response": "sure"}]), "attendees[0].response", "expected one of"),
    (document(categories=["ok", 7]), "categories[1]", "expected a text"),
    (document(reminders=["soon"]), "reminders[0]", "minutes"),
    (document(reminders=[True]), "reminders[0]", "minutes"),
    (document(uid=5), "uid", "expected a text"),
    (document(recurrence=[]), "recurrence", "expected an object or null"),
    (with_recurrence(rrule="FREQ=SOMETIMES"), "recurrence.rrule", "FREQ=SOMETIMES is unknown"),
    (with_recurrence(rrule="FREQ=DAILY;COUNT=2;UNTIL=20270101"), "recurrence.rrule", "COUNT and UNTIL"),
    (with_recurrence(rrule="RSCALE=CHINESE;FREQ=YEARLY"), "recurrence.rrule", "only the Gregorian"),
    (with_recurrence(rrule=5), "recurrence.rrule", "expected a text"),
    (with_recurrence(exdate=[NINE, "x"]), "recurrence.exdate[1]", "expected"),
    (with_recurrence(rdate=NINE), "recurrence.rdate", "expected a list"),
    (with_recurrence(overrides=["x"]), "recurrence.overrides[0]", "expected an object"),
    (with_override(recurrence_id=None), "recurrence.overrides[0].recurrence_id", "expected"),
    (with_override(start={"date": "x"}), "recurrence.overrides[0].start.date", "expected a date"),
    (with_override(end={"date": "2026-03-10"}), "recurrence.overrides[0].end", "same kind"),
    (with_override(title=[]), "recurrence.overrides[0].title", "expected a text"),
]


@pytest.mark.parametrize(
    ("found", "place", "reason"), MALFORMED, ids=[f"{place}-{n}" for n, (_, place, _) in enumerate(MALFORMED)]
)
def test_a_malformed_document_names_its_place_and_what_is_expected(found: Any, place: str, reason: str) -> None:
    with pytest.raises(Malformed) as refused:
        read_series(found)
    assert refused.value.place == place
    assert reason in refused.value.reason


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=8)
    | st.sampled_from(["2026-03-02", "2026-03-02T09:00:00", "UTC"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["date", "date_time", "time_zone", "email", "custom", "rrule", "exdate", "overrides", "recurrence_id", "start"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(document())), JSON)
def test_whatever_stands_in_a_field_is_read_or_refused_with_its_place(key: str, value: Any) -> None:
    try:
        read_series(document(**{key: value}))
    except Malformed as refused:
        assert refused.place.split(".")[0].split("[")[0] in {key, "end", "recurrence"}


def test_an_override_inherits_what_it_leaves_out_from_the_occurrence_it_replaces() -> None:
    found = document(title="Standup", location="Raum 1")
    found["recurrence"]["overrides"] = [
        {"recurrence_id": {"date_time": "2026-03-09T09:00:00", "time_zone": "Europe/Berlin"}, "title": "Retro"}
    ]
    override = read_series(found).overrides[0].event
    assert (override.title, override.location) == ("Retro", "Raum 1")
    assert (override.start, override.end) == (at("2026-03-09T09:00"), at("2026-03-09T10:00"))


def test_an_override_that_only_moves_keeps_its_length_and_may_become_all_day() -> None:
    inherited = Event(at("2026-03-09T09:00"), at("2026-03-09T10:30"), "Standup")
    assert read_event({"start": point_document(at("2026-03-09T14:00"))}, "", inherited).end == at("2026-03-09T15:30")
    assert read_event({"start": {"date": "2026-03-09"}}, "", inherited).end == at("2026-03-10")


def test_slots_are_brought_to_the_masters_zone_so_that_equal_slots_are_equal() -> None:
    utc, paris = {"date_time": "2026-03-09T08:00:00Z"}, {"date_time": "2026-03-09T09:00:00", "time_zone": "Europe/Paris"}
    found = read_series(with_recurrence(exdate=[utc, paris, {"date": "2026-03-09"}], overrides=[]))
    assert found.exdate == (at("2026-03-09T09:00"),)


def test_single_occurrences_of_an_unknown_series_keep_the_slot_they_were_given() -> None:
    moved = Event(at("2026-03-10T11:00"), at("2026-03-10T12:00"))
    one = Series("u", moved, overrides=(Override(at("2026-03-09T09:00", None), moved),), is_detached=True)
    assert read_series(series_document(one)) == one


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (at("2026-03-02T10:00"), at("2026-03-02T09:00"), at("2026-03-02T10:00")),
        (at("2026-03-02T10:00"), at("2026-03-02T10:00"), at("2026-03-02T10:00")),
        (at("2026-03-02T10:00"), at("2026-03-02T10:00", None), at("2026-03-02T10:00")),
        (at("2026-03-02T10:00"), at("2026-03-02T08:00", "America/New_York"), at("2026-03-02T08:00", "America/New_York")),
        (at("2026-03-02T10:00"), at("2026-03-02T10:30", "Asia/Tokyo"), at("2026-03-02T10:00")),
        (at("2026-03-02"), at("2026-03-02"), at("2026-03-03")),
        (at("2026-03-02"), at("2026-02-01"), at("2026-03-03")),
        (at("2026-03-02"), None, at("2026-03-03")),
        (at("2026-03-02T10:00"), None, at("2026-03-02T10:00")),
    ],
)
def test_bad_03_an_end_before_its_start_becomes_the_start_and_a_day_lasts_a_day(
    start: Point, end: Point | None, expected: Point
) -> None:
    written = {"start": point_document(start), "end": point_document(end) if end else None}
    assert read_event(written).end == expected


def test_nul_is_dropped_wherever_text_stands_because_no_store_holds_it() -> None:
    found = read_series(
        document(
            title="a\0b",
            uid="\0u",
            categories=["\0x"],
            attendees=[{"email": "a\0@b", "name": "\0"}],
            organizer={"email": "c\0@d"},
        )
    )
    assert "\0" not in json.dumps(series_document(found))
    assert found.event.attendees == (Attendee("a@b"),)


def test_a_series_read_back_has_the_same_occurrences() -> None:
    found = read_series(document())
    start, end = wall_of(at("2026-03-01")), wall_of(at("2026-04-01"))
    assert [f"{wall:%d}" for wall in slots(found, start, end)] == ["02", "09", "16", "23", "30"]


def test_a_custom_zone_is_read_in_one_form_however_it_was_written() -> None:
    spelled = CUSTOM.replace("\n", "\r\n").replace(
        "TZOFFSETFROM:+0345\r\nTZOFFSETTO:+0345", "TZOFFSETTO:+0345\r\nTZOFFSETFROM:+0345"
    )
    point = {"date_time": "2026-03-02T09:00:00", "time_zone": {"custom": spelled + "\r\n"}}
    assert read_point(point, "start") == Zoned(datetime.fromisoformat("2026-03-02T09:00:00"), CUSTOM)
