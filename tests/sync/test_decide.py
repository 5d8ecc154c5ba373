"""What a pass does about one event: the truth tables of ownership, direction, deletion, filters and holds."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from tests.sync.world import (
    LOSSY,
    NOW,
    Remote,
    World,
    at,
    edited,
    excluded,
    full,
    lossy,
    one_link,
    overridden,
    single,
    weekly,
)

from gleichtakt.model.event import Attendee, Person, Sensitivity, Series, ShowAs, Status
from gleichtakt.sync.decide import plan
from gleichtakt.sync.flat import flatten
from gleichtakt.sync.plan import Action, Base, HoldKind, Outcome, Side, Theirs, Verb, Verdict, View
from gleichtakt.sync.policy import Limits, Policy

TIMES = {"start", "end"}


def brief(outcome: Outcome) -> list[str]:
    """Say in short what an outcome does: `app update`, `provider delete held` …"""
    return [f"{a.side} {a.verb}{' held' if a.hold else ''}" for a in outcome.actions] + (["clash"] if outcome.clash else [])


def agreed(series: Series) -> Base:
    """Give the base after both sides held the same."""
    return Base(flatten(series), flatten(series))


def decided(view: View, **policy: Any) -> Outcome:
    return plan(view, full(**policy), Limits(), now=NOW)


def both(ours: Series | None, theirs: Series | None, base: Series, **more: Any) -> View:
    """Give the view of an app-origin event that both sides once agreed on as *base*."""
    given: dict[str, Any] = {"origin": "app", "made_by_us": True, "ours_deleted": ours is None, "grace_over": True, **more}
    return View(ours=ours, theirs=Theirs(theirs) if theirs else None, base=agreed(base), **given)


A = single("a")
B = single("b")
C = single("c")


# --- the table of STYLE: who moved, and what follows -------------------------------------------------------------


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        (A, A, []),
        (B, A, ["provider update"]),
        (A, B, ["app update"]),
        (B, B, ["app link"]),  # the same edit on both sides
        (B, C, ["provider update"]),  # both moved: the rule is app_first
        (A, None, ["app delete"]),
        (None, A, ["provider delete"]),
        (None, None, ["provider unlink"]),  # deleted on both sides is clean (CON-07)
        (B, None, ["provider create"]),  # our edit against their deletion
        (None, B, ["provider delete"]),  # their edit against our deletion
    ],
)
def test_who_moved(ours: Series | None, theirs: Series | None, expected: list[str]) -> None:
    assert brief(decided(both(ours, theirs, A), on_remote_delete="cancel_booking")) == expected


@pytest.mark.parametrize(
    ("rule", "ours_newer", "expected"),
    [
        ("app_first", -60, "b"),
        ("provider_first", 60, "c"),
        ("newest", 60, "b"),
        ("newest", -60, "c"),
        ("newest", -1, "b"),  # nearer than two clocks can tell: the application
    ],
)
def test_con_04_the_rule_decides_a_clash(rule: str, ours_newer: int, expected: str) -> None:
    from datetime import timedelta

    view = both(B, C, A, ours_modified_at=NOW + timedelta(seconds=ours_newer))
    view = replace(view, theirs=Theirs(C, modified_at=NOW))
    (action,) = decided(view, conflict_rule=rule).actions
    assert action.series is not None
    assert action.series.event.title == expected
    assert action.loser == {"title": "b" if expected == "c" else "c"}  # kept for the history


def test_con_04_different_fields_go_together() -> None:
    ours = edited(A, start=at(11), end=at(11, 10))
    theirs = edited(A, title="neu")
    here, there = decided(both(ours, theirs, A)).actions
    assert (here.side, here.fields, there.side, there.fields) == (Side.APP, {"title"}, Side.PROVIDER, TIMES)
    assert here.series is not None
    assert here.series == there.series == edited(ours, title="neu")


def test_start_and_end_clash_as_one() -> None:
    ours = edited(A, start=at(11, 14), end=at(11, 15))
    theirs = edited(A, end=at(10, 12))
    (action,) = decided(both(ours, theirs, A)).actions
    assert action.series == ours  # not 14 o'clock until noon of the day before
    assert set(action.loser or {}) == TIMES


def test_a_series_moved_here_and_an_occurrence_edited_there_clash_as_one() -> None:
    series = weekly()
    ours = edited(series, start=at(3, 11), end=at(3, 12))
    theirs = overridden(series, at(10), title="Ausnahme")
    (action,) = decided(both(ours, theirs, series)).actions
    assert action.series == ours
    assert any(key.startswith("@") for key in action.loser or {})


def test_different_occurrences_edited_on_both_sides_go_together() -> None:
    series = weekly()
    ours = overridden(series, at(10), title="hier")
    theirs = excluded(series, at(17))
    here, there = decided(both(ours, theirs, series)).actions
    assert here.series == there.series == excluded(ours, at(17))
    assert here.fields == there.fields == {"recurrence"}


def test_an_occurrence_edited_here_and_deleted_there_follows_the_rule() -> None:
    series = weekly()
    view = both(overridden(series, at(10), title="hier"), excluded(series, at(10)), series)
    assert brief(decided(view)) == ["provider update"]
    assert brief(decided(view, conflict_rule="provider_first")) == ["app update"]
    assert brief(decided(view, conflict_rule="manual")) == ["clash"]


def test_manual_keeps_all_three_versions_for_a_person() -> None:
    outcome = decided(both(B, C, A), conflict_rule="manual")
    assert outcome.actions == ()
    assert outcome.clash is not None
    assert outcome.clash.fields == {"title"}
    assert [side and side["title"] for side in (outcome.clash.base, outcome.clash.ours, outcome.clash.theirs)] == ["a", "b", "c"]
    assert brief(decided(both(B, C, A, verdict=Verdict.OURS), conflict_rule="manual")) == ["provider update"]
    assert brief(decided(both(B, C, A, verdict=Verdict.THEIRS), conflict_rule="manual")) == ["app update"]


def test_a_field_may_have_an_owner() -> None:
    ours = edited(A, title="app", start=at(11), end=at(11, 10))
    theirs = edited(A, title="provider", start=at(12), end=at(12, 10))
    here, there = decided(both(ours, theirs, A), field_owners={"start": "provider"}).actions
    assert here.series is not None
    assert (here.series.event.title, here.series.event.start) == ("app", at(12))
    assert (here.fields, there.fields) == (TIMES, {"title"})


# --- deletions ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("ask", ["app delete held"]),
        ("cancel_booking", ["app delete"]),
        ("recreate", ["provider create"]),
        ("unlink", ["provider unlink"]),
    ],
)
def test_a_booking_deleted_there(setting: str, expected: list[str]) -> None:
    outcome = decided(both(A, None, A), on_remote_delete=setting)
    assert brief(outcome) == expected
    if setting == "ask":
        assert outcome.actions[0].hold is HoldKind.REMOTE_DELETE


def test_a_deletion_waits_for_its_grace() -> None:
    outcome = decided(both(A, None, A, grace_over=False), on_remote_delete="cancel_booking")
    assert outcome.actions == ()
    assert outcome.wait_until_grace


def test_a_held_deletion_does_as_it_is_told() -> None:
    assert brief(decided(both(A, None, A, verdict=Verdict.ACCEPT))) == ["app delete"]
    assert brief(decided(both(A, None, A, verdict=Verdict.RESTORE))) == ["provider create"]


@pytest.mark.parametrize(
    ("rule", "edited_here", "edited_there"),
    [
        ("app_first", ["provider create"], ["provider delete"]),
        ("provider_first", ["app delete"], ["app create"]),
        ("manual", ["clash"], ["clash"]),
    ],
)
def test_con_07_edited_here_deleted_there(rule: str, edited_here: list[str], edited_there: list[str]) -> None:
    policy = {"conflict_rule": rule, "on_remote_delete": "cancel_booking"}
    assert brief(decided(both(B, None, A), **policy)) == edited_here
    assert brief(decided(both(None, B, A), **policy)) == edited_there


def test_con_07_a_clash_over_a_deletion_says_which_fields_are_at_stake() -> None:
    clash = decided(both(B, None, A), conflict_rule="manual").clash
    assert clash is not None
    assert (clash.fields, clash.theirs) == ({"title"}, None)


def test_we_delete_there_only_what_we_made() -> None:
    found = both(None, A, A, made_by_us=False)
    assert brief(decided(found)) == ["provider unlink"]
    assert brief(decided(found, app_writes_foreign="allow")) == ["provider delete"]


def test_del_03_what_cannot_be_read_is_neither_deleted_nor_overwritten() -> None:
    unreadable = Theirs(None, "unreadable")
    assert decided(replace(both(B, A, A), theirs=unreadable)) == Outcome()
    assert decided(replace(both(None, A, A), theirs=unreadable)) == Outcome()


def test_del_06_leaving_the_window_deletes_nothing() -> None:
    outside = Theirs(None, "outside")
    assert decided(replace(both(A, A, A), theirs=outside)) == Outcome()
    assert decided(replace(foreign(A, A, A), theirs=outside)) == Outcome()


def test_del_06_an_event_dragged_across_the_border_is_moved_on_the_other_side() -> None:
    world = one_link(full(window_back_days=1))
    number = world.put(edited(A, start=at(2), end=at(2, 10)))
    world.run()
    world.ours[number].series = edited(A, start=at(10, month=1), end=at(10, 10, month=1))
    (action,) = world.run()
    assert (action.side, action.verb) == (Side.PROVIDER, Verb.UPDATE)
    (href,) = world.there
    world.there[href] = edited(A, start=at(12), end=at(12, 10))
    (action,) = world.run()
    assert (action.side, action.verb) == (Side.APP, Verb.UPDATE)
    assert world.ours[number].series.event.start == at(12)


def test_what_lies_outside_the_window_gets_no_copy() -> None:
    new = View("app", A, None, None, in_window=False)
    assert decided(new) == Outcome()


# --- whose event it is -------------------------------------------------------------------------------------------


def foreign(ours: Series | None, theirs: Series | None, base: Series, **more: Any) -> View:
    """Give the view of an event of theirs on the link it came from."""
    return replace(both(ours, theirs, base), origin="provider", is_origin_link=True, made_by_us=False, **more)


MOVED = edited(A, start=at(12), end=at(12, 10))


@pytest.mark.parametrize(
    ("writes", "ours", "expected"),
    [
        ("refuse", B, ["app update"]),  # set back on our side
        ("refuse", MOVED, ["app update"]),
        ("refuse", None, ["app create"]),  # and brought back
        ("times", MOVED, ["provider update"]),
        ("times", B, ["app update"]),
        ("times", None, ["app create"]),
        ("allow", B, ["provider update"]),
        ("allow", MOVED, ["provider update"]),
        ("allow", None, ["provider delete"]),
    ],
)
def test_what_the_application_may_do_to_their_events(writes: str, ours: Series | None, expected: list[str]) -> None:
    outcome = decided(foreign(ours, A, A, origin_writes=writes), app_writes_foreign=writes)
    assert brief(outcome) == expected
    if expected[0].startswith("app"):
        assert outcome.actions[0].series == A


def test_times_take_what_is_allowed_and_set_back_the_rest() -> None:
    here, there = decided(foreign(edited(MOVED, title="b"), A, A, origin_writes="times")).actions
    assert here.series == MOVED
    assert here.series is not None
    assert (there.fields, there.series) == (TIMES, MOVED)


def test_their_event_deleted_there_goes_here() -> None:
    assert brief(decided(foreign(A, None, A))) == ["app delete"]
    assert brief(decided(foreign(B, None, A, origin_writes="allow"))) == ["provider create"]  # our allowed edit counts
    assert brief(decided(foreign(B, None, A, origin_writes="refuse"))) == ["app delete"]


@pytest.mark.parametrize(
    ("setting", "expected"),
    [("allow", ["app update"]), ("revert", ["provider update"]), ("ask", ["app update held"])],
)
def test_what_the_calendar_system_may_do_to_our_events(setting: str, expected: list[str]) -> None:
    outcome = decided(both(A, B, A), provider_writes_own=setting)
    assert brief(outcome) == expected
    if setting == "revert":
        assert outcome.actions[0].series == A
        assert outcome.actions[0].why == "sync.own_restored"


def test_a_change_that_waits_for_a_person_does_as_it_is_told() -> None:
    assert brief(decided(both(A, B, A, verdict=Verdict.ACCEPT), provider_writes_own="ask")) == ["app update"]
    (action,) = decided(both(A, B, A, verdict=Verdict.RESTORE), provider_writes_own="ask").actions
    assert (action.side, action.series) == (Side.PROVIDER, A)


def test_a_rejected_mass_change_is_set_back_where_it_was_made() -> None:
    (theirs,) = decided(both(A, B, A, verdict=Verdict.RESTORE)).actions
    assert (theirs.side, theirs.series) == (Side.PROVIDER, A)
    (ours,) = decided(both(B, A, A, verdict=Verdict.RESTORE)).actions
    assert (ours.side, ours.series) == (Side.APP, A)
    assert brief(decided(both(None, A, A, verdict=Verdict.RESTORE))) == ["app create"]


def relayed(ours: Series | None, theirs: Series | None, base: Series, **more: Any) -> View:
    """Give the view of an event that came over another link."""
    return replace(both(ours, theirs, base), origin="provider", relayed=True, **more)


def test_an_edit_of_a_relayed_copy_needs_the_right_to_change_the_original() -> None:
    assert brief(decided(relayed(A, B, A, origin_writes="refuse"), relay="full")) == ["provider update"]
    assert brief(decided(relayed(A, B, A, origin_writes="allow"), relay="full")) == ["app update"]
    assert brief(decided(relayed(A, MOVED, A, origin_writes="times"), relay="full")) == ["app update"]
    assert brief(decided(relayed(A, None, A, origin_writes="refuse"), relay="full", on_remote_delete="cancel_booking")) == [
        "provider create"
    ]
    assert brief(decided(relayed(A, None, A, origin_writes="allow"), relay="full", on_remote_delete="cancel_booking")) == [
        "app delete"
    ]


def test_a_relayed_copy_goes_with_its_original() -> None:
    assert brief(decided(relayed(None, B, A))) == ["provider delete"]


def test_dup_03_a_meeting_both_calendars_hold_by_nature_is_linked_and_left_alone() -> None:
    world = World([Remote(full(relay="full")), Remote(full(relay="full"))])
    world.add(single("Besprechung", "m"))
    world.add(single("Besprechung (angenommen)", "m"), to=1)
    assert [(a.side, a.verb) for a in world.run()] == [(Side.APP, Verb.CREATE)]
    assert world.run() == []
    assert [len(remote.objects) for remote in world.remotes] == [1, 1]
    assert next(iter(world.remotes[1].objects.values())).event.title == "Besprechung (angenommen)"


def test_a_meeting_somebody_else_organizes_is_not_altered() -> None:
    view = replace(both(B, A, A, made_by_us=False), theirs=Theirs(A, is_organizer=False))
    assert decided(view) == Outcome()
    assert brief(decided(view, app_writes_foreign="allow")) == ["provider update"]


def test_a_copy_that_somebody_else_took_over_is_let_go() -> None:
    view = replace(both(B, A, A), theirs=Theirs(A, is_organizer=False))
    (action,) = decided(view).actions
    assert (action.verb, action.why) == (Verb.UNLINK, "sync.organizer_changed")


def test_a_booking_that_a_colleague_organizes_from_the_beginning_is_followed() -> None:
    ours, theirs = (
        replace(series, event=replace(series.event, organizer=Person(email), attendees=(Attendee("guest@example.org"),)))
        for series, email in ((A, "Chefin@example.org"), (B, "chefin@example.org"))
    )
    view = replace(both(ours, theirs, ours), theirs=Theirs(theirs, is_organizer=False))
    assert brief(decided(view, attendees="write")) == ["app update"]
    taken_over = replace(theirs, event=replace(theirs.event, organizer=Person("fremd@example.org")))
    (action,) = decided(replace(view, theirs=Theirs(taken_over, is_organizer=False)), attendees="write").actions
    assert action.verb is Verb.UNLINK


# --- directions --------------------------------------------------------------------------------------------------


def test_ops_05_switching_a_direction_off_asks_about_the_copies() -> None:
    (action,) = decided(both(B, A, A), direction="inbound").actions
    assert (action.side, action.verb, action.hold) == (Side.PROVIDER, Verb.DELETE, HoldKind.ON_DISABLE)
    (spared,) = decided(both(A, B, A), direction="inbound").actions
    assert (spared.verb, spared.why) == (Verb.UNLINK, "sync.copy_edited")
    assert decided(both(B, C, A), direction="inbound", on_disable="keep") == Outcome()
    assert brief(decided(both(A, A, A), direction="inbound", on_disable="delete_own")) == ["provider delete"]
    assert brief(decided(both(A, A, A, verdict=Verdict.RESTORE), direction="inbound")) == ["provider unlink"]
    (block,) = decided(foreign(A, A, A), direction="outbound").actions
    assert (block.side, block.verb, block.hold) == (Side.APP, Verb.DELETE, HoldKind.ON_DISABLE)


def test_an_outbound_link_sets_their_changes_back() -> None:
    (action,) = decided(both(A, B, A), direction="outbound").actions
    assert (action.side, action.series) == (Side.PROVIDER, A)
    assert brief(decided(both(A, None, A), direction="outbound", on_remote_delete="cancel_booking")) == ["provider create"]


@pytest.mark.parametrize(
    ("stopped", "ours", "theirs", "expected"),
    [
        ("inbound_enabled", B, A, ["provider update"]),
        ("inbound_enabled", A, B, []),
        ("inbound_enabled", B, C, []),  # to push without taking theirs would forget it
        ("inbound_enabled", A, None, []),
        ("outbound_enabled", A, B, ["app update"]),
        ("outbound_enabled", B, A, []),
        ("outbound_enabled", None, A, []),
    ],
)
def test_a_stopped_direction_writes_nothing_and_forgets_nothing(
    stopped: str, ours: Series | None, theirs: Series | None, expected: list[str]
) -> None:
    view = both(ours, theirs, A)
    assert brief(decided(view, **{stopped: False}, on_remote_delete="cancel_booking")) == expected


def test_what_waited_while_outbound_was_stopped_goes_out_later() -> None:
    world = one_link()
    number = world.put(A)
    world.run()
    (href,) = world.there
    world.remotes[0].policy = full(outbound_enabled=False)
    world.ours[number].series = edited(A, title="hier")
    world.there[href] = edited(A, location="dort")
    assert [(a.side, a.verb) for a in world.run()] == [(Side.APP, Verb.UPDATE)]
    assert world.run() == []
    world.remotes[0].policy = full()
    (action,) = world.run()
    assert (action.side, action.fields) == (Side.PROVIDER, {"title"})
    assert world.there[href] == world.ours[number].series == edited(A, title="hier", location="dort")


# --- what each side shows ----------------------------------------------------------------------------------------


def test_prv_02_only_what_was_changed_on_purpose_is_sent() -> None:
    private = edited(A, sensitivity=Sensitivity.CONFIDENTIAL, show_as=ShowAs.OOF)
    ours = edited(private, start=at(11), end=at(11, 10))
    (action,) = decided(both(ours, private, private), outbound_private="normal").actions
    assert action.fields == TIMES


def test_prv_03_narrowing_the_detail_takes_content_off_the_copies() -> None:
    world = one_link()
    world.put(single("Herr Meier", description="Diagnose", location="Raum 3"))
    world.run()
    world.remotes[0].policy = Policy(outbound_detail="busy")
    (action,) = world.run()
    assert action.fields == {"title", "description", "location"}
    (copy,) = world.there.values()
    assert (copy.event.title, copy.event.description, copy.event.location) == ("Belegt", "", "")
    assert world.run() == []


def test_prv_03_narrowing_inbound_purges_what_was_stored() -> None:
    world = one_link()
    world.add(single("Zahnarzt", description="Wurzel"))
    world.run()
    world.remotes[0].policy = Policy(inbound_detail="busy")
    world.run()
    (row,) = world.ours.values()
    assert (row.series.event.title, row.series.event.description) == ("Belegt", "")
    world.remotes[0].policy = full()
    world.run()
    assert (row.series.event.title, row.series.event.description) == ("Zahnarzt", "Wurzel")


def test_a_stand_in_title_is_never_written_over_theirs() -> None:
    world = one_link(Policy(app_writes_foreign="allow"))
    href = world.add(single("Zahnarzt"))
    world.run()
    (row,) = world.ours.values()
    row.series = edited(row.series, title="umbenannt", start=at(12), end=at(12, 10))
    world.run()
    assert world.there[href] == edited(single("Zahnarzt"), start=at(12), end=at(12, 10))


def test_prs_06_a_coarser_calendar_does_not_flatten_ours() -> None:
    world = one_link(full(), LOSSY, lossy)
    number = world.put(edited(A, show_as=ShowAs.WORKING_ELSEWHERE))
    world.run(rounds=5)
    assert world.ours[number].series.event.show_as is ShowAs.WORKING_ELSEWHERE
    (href,) = world.there
    world.there[href] = edited(world.there[href], show_as=ShowAs.BUSY)
    world.run()
    assert world.ours[number].series.event.show_as is ShowAs.BUSY


@pytest.mark.parametrize("state", list(ShowAs))
def test_prs_06_every_state_survives_the_way_round_a_coarser_calendar(state: ShowAs) -> None:
    source, coarse = Remote(full(relay="full")), Remote(full(relay="full"), LOSSY, lossy)
    world = World([source, coarse])
    href = world.add(edited(A, show_as=state))
    world.run(rounds=5)
    assert source.objects[href].event.show_as is state


def test_att_06_an_unchanged_body_is_never_sent() -> None:
    theirs = edited(A, description="Treffen", html="<div>join</div>")
    ours = edited(theirs, start=at(11), end=at(11, 10))
    (action,) = decided(both(ours, theirs, theirs)).actions
    assert action.fields == TIMES
    assert action.series is not None
    assert action.series.event.html == "<div>join</div>"


GUEST = (Attendee("gast@example.org", "Gast"),)


def test_att_01_copies_carry_no_people() -> None:
    ours = edited(A, attendees=GUEST, organizer=Person("chef@example.org"))
    (action,) = decided(View("app", ours, None, None)).actions
    assert action.series is not None
    assert (action.series.event.attendees, action.series.event.organizer, action.mails) == ((), None, 0)
    assert not action.fields & {"attendees", "organizer"}


def test_att_01_a_calendar_that_cannot_be_silent_gets_no_people_even_if_asked() -> None:
    ours = edited(A, attendees=GUEST)
    loud = Limits(silent_attendees=False)
    (silent,) = plan(View("app", ours, None, None), full(attendees="write"), loud, now=NOW).actions
    assert silent.series is not None
    assert silent.series.event.attendees == ()
    (asked,) = plan(View("app", ours, None, None), full(attendees="write", notify="all"), loud, now=NOW).actions
    assert asked.mails == 1


def test_att_05_people_already_there_are_never_touched() -> None:
    world = one_link()
    href = world.add(edited(single("Besprechung", "x"), attendees=GUEST))
    number = world.put(single("Besprechung", "x"))
    world.run()
    world.ours[number].series = edited(world.ours[number].series, title="Neuer Titel")
    (action,) = world.run()
    assert action.fields == {"title"}
    assert world.there[href].event.attendees == GUEST
    assert world.ours[number].series.event.attendees == ()


def test_att_07_switching_people_off_takes_them_off_the_copies() -> None:
    world = one_link(full(attendees="write"))
    world.put(edited(A, attendees=GUEST))
    world.run()
    world.remotes[0].policy = full(attendees="omit")
    (action,) = world.run()
    assert action.fields == {"attendees"}
    assert next(iter(world.there.values())).event.attendees == ()
    assert world.run() == []


# --- filters and the other side's limits -------------------------------------------------------------------------


def test_filtered_later_removes_the_copy_but_never_theirs() -> None:
    world = one_link()
    href = world.add(A)
    world.run()
    world.there[href] = edited(A, status=Status.CANCELLED)
    (action,) = world.run()
    assert (action.side, action.verb, action.why) == (Side.APP, Verb.DELETE, "sync.filtered")
    assert href in world.there
    assert world.run() == []
    kept = replace(foreign(A, A, A), theirs=Theirs(None, "filtered"))
    assert decided(kept, remove_copy=False) == Outcome()


def test_bad_05_a_year_the_other_side_cannot_hold_concerns_that_side_only() -> None:
    ours = edited(A, start=at(10), end=at(10, 10))
    limits = Limits(first_year=2027)
    outcome = plan(View("app", ours, None, None), full(), limits, now=NOW)
    assert (outcome.actions, outcome.notes) == ((), ("sync.year_not_held",))


def test_rec_06_a_rule_the_other_side_cannot_hold_is_refused_not_bent() -> None:
    outcome = plan(View("app", weekly(), None, None), full(), Limits(recurrence="none"), now=NOW)
    assert (outcome.actions, outcome.notes) == ((), ("sync.rule_not_held",))


def test_a_cancelled_event_leaves_a_calendar_that_cannot_say_so() -> None:
    world = one_link(full(), LOSSY, lossy)
    number = world.put(A)
    world.run()
    world.ours[number].series = edited(A, status=Status.CANCELLED)
    (action,) = world.run()
    assert (action.verb, action.why) == (Verb.DELETE, "sync.cancelled")
    assert world.run() == []


def test_bad_03_a_length_the_other_side_needs_is_not_an_edit() -> None:
    world = one_link(full(), Limits(zero_length=False))
    number = world.put(edited(A, end=A.event.start))
    world.run()
    (href,) = world.there
    assert world.there[href].event.end == at(10, 9, 1)
    assert world.run(rounds=3) == []
    assert world.ours[number].series.event.end == at(10, 9)


def test_bad_01_letters_no_calendar_takes_are_left_out_and_not_written_back() -> None:
    world = one_link()
    number = world.put(single("Glocke\x07"))
    href = world.add(single("Bi\x1ald", "t"))
    world.run()
    assert [series.event.title for series in world.there.values()] == ["Bi\x1ald", "Glocke"]
    assert world.run(rounds=3) == []
    assert world.ours[number].series.event.title == "Glocke\x07"
    assert world.there[href].event.title == "Bi\x1ald"


def test_a_mirrored_event_that_becomes_private_loses_its_content_there() -> None:
    world = one_link()
    number = world.put(single("Herr Meier", description="vertraulich"))
    world.run()
    world.ours[number].series = edited(world.ours[number].series, sensitivity=Sensitivity.PRIVATE)
    world.run()
    (copy,) = world.there.values()
    assert (copy.event.title, copy.event.description, copy.event.sensitivity) == ("Privat", "", Sensitivity.PRIVATE)
    world.remotes[0].policy = full(outbound_private="exclude")
    world.run()
    assert world.there == {}


# --- first meeting -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("merge", ["provider update"]),
        ("app_to_provider", ["provider update"]),
        ("provider_to_app", ["app update"]),
        ("link_only", ["app link"]),
    ],
)
def test_dup_02_differences_at_the_first_meeting(mode: str, expected: list[str]) -> None:
    assert brief(decided(View("app", A, Theirs(B), None), first_run=mode)) == expected


def test_dup_02_equal_events_are_linked_without_a_write() -> None:
    assert brief(decided(View("app", A, Theirs(A), None))) == ["app link"]


def test_dup_02_a_rule_that_means_the_same_is_no_difference() -> None:
    ours, theirs = (weekly(rrule=rule) for rule in ("FREQ=WEEKLY;COUNT=6", "FREQ=WEEKLY;BYDAY=TU;COUNT=6"))
    assert brief(decided(View("app", ours, Theirs(theirs), None))) == ["app link"]


def test_dup_02_what_only_one_side_says_is_carried_over() -> None:
    ours, theirs = edited(A, location="hier"), edited(A, description="dort")
    here, there = decided(View("app", ours, Theirs(theirs), None)).actions
    assert here.series == there.series == edited(A, location="hier", description="dort")


@pytest.mark.parametrize(
    ("mode", "titles"),
    [
        ("merge", ["provider create", "app create"]),
        ("app_to_provider", ["provider create"]),
        ("provider_to_app", ["app create"]),
        ("link_only", []),
    ],
)
def test_the_first_run_creates_only_what_its_mode_says(mode: str, titles: list[str]) -> None:
    ours = View("app", A, None, None, first_run=True)
    theirs = View("provider", None, Theirs(B), None, is_origin_link=True, first_run=True)
    assert brief(decided(ours, first_run=mode)) + brief(decided(theirs, first_run=mode)) == titles


# --- odds and ends -----------------------------------------------------------------------------------------------


def test_dup_07_a_linked_event_is_only_ever_updated() -> None:
    world = one_link()
    number = world.put(A)
    world.run()
    for changes in ({"title": "x"}, {"location": "y"}, {"description": "z"}, {"start": at(20), "end": at(20, 10)}):
        world.ours[number].series = edited(world.ours[number].series, **changes)
        assert [(action.side, action.verb) for action in world.run()] == [(Side.PROVIDER, Verb.UPDATE)]
    assert len(world.there) == 1


def test_rec_01_a_split_series_is_one_truncated_and_one_new() -> None:
    world = one_link()
    number = world.put(weekly(rrule="FREQ=WEEKLY"))
    world.run()
    (href,) = world.there
    world.there[href] = replace(world.there[href], rrule="FREQ=WEEKLY;UNTIL=20260316T225959Z")
    world.add(Series("tail", edited(weekly(), start=at(17, 11), end=at(17, 12)).event, "FREQ=WEEKLY"))
    assert sorted((a.side, a.verb) for a in world.run()) == [(Side.APP, Verb.CREATE), (Side.APP, Verb.UPDATE)]
    assert world.ours[number].series.rrule.endswith("Z")
    assert world.run(rounds=4) == []


def test_rec_04_deleted_occurrences_stay_deleted_after_a_lost_base() -> None:
    world = one_link()
    number = world.put(excluded(weekly(), at(10)))
    world.run()
    world.remotes[0].pairings[number].base = None  # re-linked, or the token was lost
    world.run()
    assert world.run() == []
    assert world.ours[number].series.exdate == (at(10),)
    assert next(iter(world.there.values())).exdate == (at(10),)


def test_tz_05_new_clock_rules_cause_no_write() -> None:
    """The stored truth is wall time and zone; no instant takes part in a comparison."""
    assert "Z" not in str(flatten(weekly())["start"])
    assert decided(both(weekly(), weekly(), weekly())) == Outcome()


def test_an_action_is_approved_by_what_it_does_not_by_why() -> None:
    action: Action = decided(both(A, None, A)).actions[0]
    assert action.digest() == replace(action, why="other", hold=None, title="").digest()
    assert action.digest() != replace(action, verb=Verb.UPDATE).digest()
