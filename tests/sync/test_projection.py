"""What may be held of other people's events, and what of ours goes out: the privacy matrix as tables."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from tests.sync.world import BERLIN, NOW, at, edited, event, full, overridden, single, weekly

from gleichtakt.model.document import series_document
from gleichtakt.model.event import (
    Attendee,
    Event,
    Person,
    Reminder,
    Sensitivity,
    Series,
    ShowAs,
    Status,
)
from gleichtakt.model.point import Day, Floating, Zoned
from gleichtakt.sync.flat import ALL_FIELDS
from gleichtakt.sync.plan import Theirs
from gleichtakt.sync.policy import Limits, Policy
from gleichtakt.sync.projection import (
    Role,
    Withheld,
    inward,
    outward,
    refused_fields,
    shared_fields,
    times_only,
)

CANARIES = {
    "title": "kanarie-titel",
    "description": "kanarie-text",
    "html": "<p>kanarie-html</p>",
    "location": "kanarie-ort",
    "organizer": Person("kanarie-chef@example.org", "kanarie-chef"),
    "attendees": (Attendee("kanarie-gast@example.org", "kanarie-gast"),),
    "categories": ("kanarie-farbe",),
    "reminders": (Reminder(4711),),
    "conference_url": "https://kanarie-konferenz",
    "url": "https://kanarie-seite",
}


def seen(series: Series, policy: Policy | None = None, **facts: Any) -> Theirs:
    given: dict[str, Any] = {"own_copy": False, "window": (policy or full()).window(NOW), "reader": BERLIN, **facts}
    return inward(series, policy=policy or full(), limits=Limits(), **given)


def sent(series: Series, policy: Policy | None = None, limits: Limits | None = None, role: Role = Role.OWN) -> Series:
    found = outward(series, role=role, policy=policy or full(), limits=limits or Limits(), reader=BERLIN)
    assert isinstance(found, Series)
    return found


def text(series: Series | None) -> str:
    assert series is not None
    return json.dumps(series_document(series), ensure_ascii=False)


# --- detail ------------------------------------------------------------------------------------------------------


def test_prv_01_private_events_are_reduced_to_times_before_anything_is_stored() -> None:
    for sensitivity in (Sensitivity.PRIVATE, Sensitivity.CONFIDENTIAL):
        held = seen(Series("p", replace(event(**CANARIES), sensitivity=sensitivity)))  # type: ignore[arg-type]
        assert "kanarie" not in text(held.series)
        assert "4711" not in text(held.series)
        assert held.series is not None
        assert (held.series.event.title, held.series.event.sensitivity) == ("Privat", sensitivity)


def test_prv_01_one_private_occurrence_is_reduced_alone() -> None:
    series = overridden(weekly("Runde"), at(10), title="kanarie", sensitivity=Sensitivity.PRIVATE)
    held = seen(series).series
    assert "kanarie" not in text(held)
    assert held is not None
    assert (held.event.title, held.overrides[0].event.title) == ("Runde", "Privat")


@pytest.mark.parametrize(
    ("setting", "title", "reason"), [("busy_private", "Privat", ""), ("as_normal", "geheim", ""), ("ignore", None, "private")]
)
def test_private_events_of_others(setting: str, title: str | None, reason: str) -> None:
    held = seen(single("geheim", sensitivity=Sensitivity.PRIVATE), full(private_events=setting))
    assert held.reason == reason
    assert (held.series.event.title if held.series else None) == title


@pytest.mark.parametrize(
    ("detail", "kept"),
    [
        ("busy", set()),
        ("title_time", {"title"}),
        (("location",), {"location"}),
        ("full", {"title", "description", "html", "location", "categories", "conference_url", "url"}),
    ],
)
def test_prv_03_a_level_of_detail_is_all_that_is_held(detail: Any, kept: set[str]) -> None:
    series = Series("x", event(**CANARIES))  # type: ignore[arg-type]
    for result in (seen(series, Policy(inbound_detail=detail)).series, sent(series, Policy(outbound_detail=detail), html())):
        assert result is not None
        for name, canary in CANARIES.items():
            if name in kept:
                assert getattr(result.event, name) == canary
            elif name == "title":
                assert result.event.title == "Belegt"
            elif name != "reminders" or detail != "full":
                assert not getattr(result.event, name), name


def html() -> Limits:
    return Limits(fields=ALL_FIELDS | {"html"})


def test_the_stand_in_speaks_the_readers_language_or_the_firms() -> None:
    window = Policy().window(NOW)
    facts: dict[str, Any] = {"own_copy": False, "limits": Limits(), "window": window, "reader": BERLIN}
    english = inward(single(), policy=Policy(), language="en", **facts).series
    chosen = inward(single(), policy=Policy(busy_title="Im Termin"), **facts).series
    assert english is not None
    assert chosen is not None
    assert (english.event.title, chosen.event.title) == ("Busy", "Im Termin")


def test_own_copies_carry_the_outbound_fields_and_meet_no_filter() -> None:
    copy = edited(single("a", description="b"), status=Status.CANCELLED, show_as=ShowAs.FREE)
    held = seen(copy, Policy(), own_copy=True)
    assert held.series is not None
    assert (held.series.event.title, held.series.event.description) == ("a", "")


def test_people_are_held_only_where_they_are_asked_for() -> None:
    series = edited(single(), attendees=CANARIES["attendees"], organizer=CANARIES["organizer"])
    assert "kanarie" not in text(seen(series).series)
    assert "kanarie-gast" in text(seen(series, full(attendees="write")).series)


# --- filters -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "is_held"),
    [
        (ShowAs.FREE, False),
        (ShowAs.TENTATIVE, True),
        (ShowAs.BUSY, True),
        (ShowAs.OOF, True),
        (ShowAs.WORKING_ELSEWHERE, False),
    ],
)
def test_prs_06_states_by_default_keep_their_finer_value(state: ShowAs, is_held: bool) -> None:
    held = seen(edited(single(), show_as=state))
    assert (held.reason == "") is is_held
    if held.series:
        assert held.series.event.show_as is state


def kinds(**choices: Any) -> Policy:
    return full(event_kinds={**Policy().event_kinds, **choices})


@pytest.mark.parametrize(
    ("state", "choice", "expected"),
    [
        (ShowAs.FREE, "busy", ShowAs.BUSY),
        (ShowAs.WORKING_ELSEWHERE, "tentative", ShowAs.TENTATIVE),
        (ShowAs.OOF, "tentative", ShowAs.TENTATIVE),
        (ShowAs.TENTATIVE, "ignore", None),
    ],
)
def test_a_kind_counts_as_the_filter_says(state: ShowAs, choice: str, expected: ShowAs | None) -> None:
    held = seen(edited(single(), show_as=state), kinds(**{state.value: choice})).series
    assert (held.event.show_as if held else None) is expected


@pytest.mark.parametrize(
    ("facts", "policy", "is_held"),
    [
        ({"response": "declined", "is_organizer": False}, kinds(), False),
        ({"response": "none", "is_organizer": False}, kinds(), True),
        ({"response": "none", "is_organizer": False}, kinds(unanswered="ignore"), False),
        ({"response": "none", "is_organizer": True}, kinds(unanswered="ignore"), True),
        ({"response": "accepted", "is_organizer": False}, kinds(unanswered="ignore"), True),
        ({"kind": "birthday"}, kinds(), False),
        ({"kind": "focus_time"}, kinds(), True),
        ({"kind": "working_location"}, kinds(), False),
        ({"kind": "something_new"}, kinds(), True),
        ({}, kinds(subject_deny="^termin"), False),
        ({}, kinds(subject_allow="sprech"), False),
        ({}, kinds(subject_allow="TERM"), True),
        ({}, kinds(categories_deny=("Rot",)), False),
        ({}, kinds(categories_allow=("blau",)), False),
        ({}, kinds(categories_allow=("rot",)), True),
        ({}, kinds(min_minutes=61), False),
        ({}, kinds(max_minutes=59), False),
        ({}, kinds(min_minutes=60, max_minutes=60), True),
    ],
)
def test_kinds_of_events(facts: dict[str, Any], policy: Policy, is_held: bool) -> None:
    held = seen(edited(single("Termin"), categories=("rot",)), policy, **facts)
    assert (held.reason, held.series is not None) == (("", True) if is_held else ("filtered", False))


def test_a_cancelled_event_of_theirs_is_not_held() -> None:
    assert seen(edited(single(), status=Status.CANCELLED)).reason == "filtered"


WHOLE_DAY = Event(Day(date(2026, 3, 10)), Day(date(2026, 3, 12)), title="Messe")


@pytest.mark.parametrize(
    ("rule", "state", "expected"),
    [
        ("follow_show_as", ShowAs.BUSY, ShowAs.BUSY),
        ("follow_show_as", ShowAs.FREE, None),
        ("free", ShowAs.BUSY, None),
        ("busy", ShowAs.FREE, ShowAs.BUSY),
        ("ignore", ShowAs.BUSY, None),
        ("busy_if_oof", ShowAs.BUSY, None),
        ("busy_if_oof", ShowAs.OOF, ShowAs.OOF),
    ],
)
def test_how_whole_days_count(rule: str, state: ShowAs, expected: ShowAs | None) -> None:
    held = seen(Series("d", replace(WHOLE_DAY, show_as=state)), full(all_day=rule)).series
    assert (held.event.show_as if held else None) is expected


def test_tz_06_midnight_to_midnight_is_not_a_whole_day() -> None:
    timed = Event(at(10, 0), at(11, 0), show_as=ShowAs.BUSY)
    assert seen(Series("t", timed), full(all_day="ignore")).reason == ""


def test_what_lies_outside_the_window_is_not_held_unless_it_is_mirrored_already() -> None:
    old = edited(
        single(),
        start=Zoned(at(10).wall.replace(year=2024), "Europe/Berlin"),
        end=at(10).__class__(at(10, 10).wall.replace(year=2024), "Europe/Berlin"),
    )
    assert seen(old).reason == "outside"
    assert seen(old, paired=True).series == old
    assert seen(replace(old, rrule="FREQ=WEEKLY")).reason == ""  # a series that reaches into the window


# --- outward -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "expected"), [("private", "Privat"), ("normal", "geheim"), ("exclude", "sync.private_excluded")]
)
def test_our_private_events(setting: str, expected: str) -> None:
    found = outward(
        single("geheim", sensitivity=Sensitivity.PRIVATE), role=Role.OWN, policy=full(outbound_private=setting), limits=Limits()
    )
    assert (found.reason if isinstance(found, Withheld) else found.event.title) == expected


@pytest.mark.parametrize(
    ("relay", "detail", "origin", "expected"),
    [
        ("busy", "full", "full", "Belegt"),
        ("full", "full", "full", "Termin"),
        ("full", "title_time", "full", "Termin"),
        ("full", "busy", "full", "Belegt"),
        ("full", "full", "busy", "Belegt"),  # no more than the link it came from shows
        ("none", "full", "full", None),
    ],
)
def test_what_is_relayed_to_other_calendars(relay: str, detail: str, origin: str, expected: str | None) -> None:
    found = outward(
        single("Termin"),
        role=Role.RELAYED,
        policy=Policy(relay=relay, outbound_detail=detail),
        limits=Limits(),
        origin_detail=origin,
    )
    assert (found.event.title if isinstance(found, Series) else None) == expected


def test_a_private_event_is_relayed_as_times_only() -> None:
    found = sent(
        single("geheim", sensitivity=Sensitivity.PRIVATE), full(relay="full", outbound_private="normal"), role=Role.RELAYED
    )
    assert found.event.title == "Privat"


@pytest.mark.parametrize(
    ("held", "expected"),
    [
        (frozenset({"free", "busy"}), ["free", "busy", "busy", "busy", "free"]),
        (frozenset({"free", "busy", "tentative"}), ["free", "tentative", "busy", "busy", "free"]),
        (frozenset({"busy"}), ["busy"] * 5),
    ],
)
def test_prs_06_coarser_states(held: frozenset[str], expected: list[str]) -> None:
    states = [sent(edited(single(), show_as=state), limits=Limits(show_as=held)).event.show_as.value for state in ShowAs]
    assert states == expected


def test_prv_02_a_coarser_sensitivity_is_never_more_public() -> None:
    limits = Limits(sensitivity=frozenset({"normal", "private"}))
    results = [
        sent(edited(single(), sensitivity=s), full(outbound_private="normal"), limits).event.sensitivity for s in Sensitivity
    ]
    assert results == [Sensitivity.NORMAL, Sensitivity.PRIVATE, Sensitivity.PRIVATE, Sensitivity.PRIVATE]


def test_floating_times_get_the_readers_zone_where_the_other_side_needs_one() -> None:
    start, end = Floating(at(10).wall), Floating(at(10, 10).wall)
    limits = Limits(zones=frozenset({"iana"}))
    series = Series("f", Event(start, end), "FREQ=DAILY;COUNT=3", exdate=(Floating(at(11).wall),))
    fitted = sent(series, limits=limits)
    assert (fitted.event.start, fitted.exdate) == (at(10), (at(11),))


@pytest.mark.parametrize("letter", ["\x00", "\x07", "\x1a", "\x1f", "￾", "￿"])
def test_bad_01_letters_xml_cannot_carry_are_left_out(letter: str) -> None:
    fitted = sent(single(f"vor{letter}nach", description=f"{letter}x\ty\nz"))
    assert (fitted.event.title, fitted.event.description) == ("vornach", "x\ty\nz")


def test_shared_fields_are_what_the_preview_shows() -> None:
    busy = shared_fields("provider", is_origin_link=True, policy=Policy(), limits=Limits())
    assert busy == {"start", "end", "recurrence", "show_as", "status", "sensitivity"}
    assert "title" in shared_fields("app", is_origin_link=False, policy=Policy(), limits=Limits())
    assert "title" not in shared_fields("provider", is_origin_link=False, policy=Policy(), limits=Limits())


# --- who may change what -----------------------------------------------------------------------------------------


def test_times_are_starts_ends_and_moved_occurrences() -> None:
    keys = {"start", "end", "title", "exdate:20260310T090000"}
    assert times_only(keys) == {"start", "end", "exdate:20260310T090000"}  # slots move with the start
    moved = {"@20260310T090000", "@20260310T090000:start", "@20260317T090000:title", "rrule"}
    assert times_only(moved) == {"@20260310T090000", "@20260310T090000:start"}


@pytest.mark.parametrize(("writes", "refused"), [("refuse", {"start", "title"}), ("times", {"title"}), ("allow", set())])
def test_what_the_interface_refuses(writes: str, refused: set[str]) -> None:
    assert refused_fields({"start", "title"}, writes) == refused
