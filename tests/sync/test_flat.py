"""The flat form: what it says of a series, what counts as a difference, and that it loses nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date, datetime

import pytest
from hypothesis import given
from tests.sync.strategies import serieses
from tests.sync.world import at, edited, event, excluded, overridden, single, weekly

from gleichtakt.model.event import Attendee, Event, Response, Series
from gleichtakt.model.point import Day, Zoned
from gleichtakt.sync.flat import ALL_FIELDS, apply, changed, digest, fields_of, flatten, restrict, unflatten


def test_a_single_event_is_its_fields() -> None:
    flat = flatten(single("Beratung", location="Raum 1"))
    assert flat["title"] == "Beratung"
    assert flat["start"] == {"date_time": "2026-03-10T09:00:00", "time_zone": "Europe/Berlin"}
    assert "description" not in flat  # empty is absent


def test_an_override_says_only_what_is_its_own() -> None:
    series = overridden(weekly(), at(10), title="Ausnahme")
    assert {key: value for key, value in flatten(series).items() if key.startswith("@")} == {
        "@20260310T090000": True,
        "@20260310T090000:title": "Ausnahme",
    }


def test_a_moved_occurrence_keeps_its_length_by_itself() -> None:
    series = overridden(weekly(), at(10), start=at(11, 14), end=at(11, 15))
    assert [key for key in flatten(series) if key.startswith("@")] == ["@20260310T090000", "@20260310T090000:start"]


def test_an_edit_of_the_master_reaches_occurrences_that_do_not_say_otherwise() -> None:
    series = overridden(weekly("Alt"), at(10), start=at(11, 14), end=at(11, 15))
    renamed = apply(flatten(series), {"title"}, flatten(weekly("Neu")))
    assert unflatten(renamed, "w1").overrides[0].event.title == "Neu"


def test_an_occurrence_that_says_what_the_whole_series_says_by_now_is_no_exception() -> None:
    ours = overridden(weekly(), at(10), location="Raum 2")
    theirs = weekly(location="Raum 2")
    merged = unflatten(apply(flatten(ours), {"location"}, flatten(theirs)), "w1")
    assert (merged.event.location, merged.overrides) == ("Raum 2", ())


def test_excluding_an_occurrence_ends_its_override() -> None:
    series = overridden(weekly(), at(10), title="Ausnahme")
    without = flatten(excluded(weekly(), at(10)))
    assert unflatten(apply(flatten(series), {"exdate:20260310T090000"}, without), "w1").overrides == ()


def test_moving_a_series_moves_what_only_we_know_of_its_occurrences() -> None:
    ours = overridden(weekly(), at(10), description="nur bei uns")
    theirs = edited(weekly(), start=at(3, 11), end=at(3, 12))
    (override,) = unflatten(apply(flatten(ours), {"start", "end"}, flatten(theirs)), "w1").overrides
    assert override.recurrence_id == at(10, 11)
    assert override.event.description == "nur bei uns"


@pytest.mark.parametrize(
    ("ours", "theirs", "kept"),
    [
        ("FREQ=WEEKLY;COUNT=6", "FREQ=WEEKLY;BYDAY=TU;COUNT=6", False),  # would begin on Wednesday and be on Tuesdays
        ("FREQ=MONTHLY", "FREQ=MONTHLY;BYMONTHDAY=3", False),
        ("FREQ=DAILY;COUNT=6", "FREQ=DAILY;COUNT=6;WKST=SU", True),
        ("FREQ=WEEKLY;COUNT=6", "FREQ=WEEKLY;BYDAY=WE;COUNT=6", True),
    ],
)
def test_rec_05_a_rule_goes_with_the_start_it_takes_its_days_from(ours: str, theirs: str, kept: bool) -> None:
    moved = edited(weekly(rrule=ours), start=at(4), end=at(4, 10))
    after = apply(flatten(weekly(rrule=theirs)), {"start", "end"}, flatten(moved))
    assert after["rrule"] == (theirs if kept else ours)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ({"title": "Café"}, {"title": "Café"}),  # composed and not
        ({"description": "eins\r\nzwei  \n"}, {"description": "eins\nzwei"}),
        ({"location": ""}, {}),
        ({"categories": ["b", "a"]}, {"categories": ["a", "b"]}),
        ({"description": "x", "html": "<b>x</b>"}, {"description": "x"}),
        (
            {"attendees": [{"email": "A@x", "name": "A", "response": "none", "role": "required"}]},
            {"attendees": [{"email": "a@X", "name": "", "response": "none", "role": "required"}]},
        ),
    ],
)
def test_what_is_no_difference(left: dict[str, object], right: dict[str, object]) -> None:
    assert changed(left, right) == frozenset()
    assert digest(left) == digest(right)


@pytest.mark.parametrize(
    ("left", "right", "key"),
    [
        ({"title": "a"}, {"title": "A"}, "title"),
        ({"@20260310T090000:title": ""}, {}, "@20260310T090000:title"),  # a blanked title is a statement
        ({"exdate:20260310": True}, {}, "exdate:20260310"),
        (
            {"attendees": [{"email": "a@x", "response": "none", "role": "required"}]},
            {"attendees": [{"email": "a@x", "response": "accepted", "role": "required"}]},
            "attendees",
        ),
    ],
)
def test_what_is_a_difference(left: dict[str, object], right: dict[str, object], key: str) -> None:
    assert changed(left, right) == {key}
    assert digest(left) != digest(right)


def test_html_goes_with_the_text_it_belongs_to() -> None:
    theirs = flatten(single("T", description="alt", html="<p>alt</p>"))
    ours = flatten(single("T", description="neu"))
    assert "html" not in apply(theirs, {"description"}, ours)
    assert apply(theirs, {"title"}, ours)["html"] == "<p>alt</p>"


def test_restricting_to_times_leaves_no_word_of_content() -> None:
    series = overridden(weekly("geheim", description="auch"), at(10), title="sehr geheim", location="hier")
    series = overridden(series, at(17), start=at(18), end=at(18, 10))
    text = json.dumps(restrict(flatten(series), frozenset({"start", "end", "recurrence"})))
    assert "geheim" not in text
    assert "auch" not in text
    assert "@20260310T090000" not in text  # an override that says nothing we may know is none
    assert "@20260317T090000" in text


def test_providers_are_told_field_names() -> None:
    assert fields_of({"title", "@20260310T090000:title", "exdate:20260310T090000"}) == {"title", "recurrence"}


def test_an_all_day_series_has_dates_as_slots() -> None:
    master = Event(Day(date(2026, 3, 3)), Day(date(2026, 3, 4)), title="Tag")
    series = Series("d", master, "FREQ=WEEKLY;COUNT=4", exdate=(Day(date(2026, 3, 10)),))
    assert flatten(series)["exdate:20260310"] is True
    assert unflatten(flatten(series), "d") == series


def test_the_second_of_two_equal_clock_times_is_a_slot_of_its_own() -> None:
    start = Zoned(datetime.fromisoformat("2026-10-25T02:30:00"), "Europe/Berlin")
    late = Zoned(datetime.fromisoformat("2026-10-25T02:30:00").replace(fold=1), "Europe/Berlin")
    master = Event(start, start, title="Nacht")
    series = Series("n", master, rdate=(start, late))
    assert unflatten(flatten(series), "n").rdate[1].wall.fold == 1  # type: ignore[union-attr]


def test_an_attendee_keeps_answer_and_role() -> None:
    people = (Attendee("a@example.org", "A", Response.ACCEPTED, "chair"),)
    series = Series("p", replace(event(), attendees=people))
    assert unflatten(flatten(series), "p") == series


@given(serieses())
def test_nothing_is_lost_there_and_back(series: Series) -> None:
    flat = flatten(series)
    assert unflatten(json.loads(json.dumps(flat)), series.uid) == series
    assert flatten(unflatten(flat, series.uid)) == flat


@given(serieses(), serieses())
def test_carrying_every_change_over_makes_both_equal(left: Series, right: Series) -> None:
    ours, theirs = flatten(left), flatten(right)
    merged = apply(ours, changed(ours, theirs), theirs)
    assert changed(merged, theirs) == frozenset()


@given(serieses())
def test_all_fields_restrict_nothing_that_counts(series: Series) -> None:
    kept = restrict(flatten(series), ALL_FIELDS)
    assert all(key.startswith("@") and ":" not in key for key in flatten(series).keys() - kept.keys())
