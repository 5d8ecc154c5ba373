"""What looks like an accident waits for a person, and what a person says is done."""

from __future__ import annotations

import pytest
from tests.sync.world import World, edited, full, one_link, single

from gleichtakt.sync.guards import held
from gleichtakt.sync.plan import HoldKind, Side, Tally, Verb, Verdict
from gleichtakt.sync.policy import Policy

APP, PROVIDER = Side.APP, Side.PROVIDER
DELETE, UPDATE = Verb.DELETE, Verb.UPDATE


def tally(mapped: int, deletes: int = 0, updates: int = 0, mails: int = 0) -> Tally:
    return Tally(mapped, {APP: deletes}, {APP: updates}, {APP: mapped, PROVIDER: mapped}, mails)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (tally(400, deletes=80), {}),
        (tally(400, deletes=81), {(APP, DELETE): HoldKind.MASS_DELETE}),
        (tally(10, deletes=5), {}),  # five are never many
        (tally(10, deletes=6), {(APP, DELETE): HoldKind.MASS_DELETE}),
        (tally(2, deletes=2), {}),
        (tally(3, deletes=3), {(APP, DELETE): HoldKind.SIDE_EMPTY}),  # never the last one of three
        (tally(400, deletes=400), {(APP, DELETE): HoldKind.SIDE_EMPTY}),
        (tally(100, updates=50), {}),
        (tally(100, updates=51), {(APP, UPDATE): HoldKind.MASS_UPDATE}),
        (tally(8, updates=8), {}),
        (tally(0), {}),
    ],
)
def test_del_02_what_is_held(found: Tally, expected: object) -> None:
    assert held(found, Policy()) == expected


def test_many_mails_wait() -> None:
    assert held(tally(100, mails=21), Policy())[PROVIDER, Verb.CREATE] is HoldKind.MAILS
    assert held(tally(100, mails=20), Policy()) == {}


def test_thresholds_are_settings() -> None:
    assert held(tally(100, deletes=30), Policy(guard_delete_share=0.3)) == {}
    assert held(tally(100, deletes=3), Policy(guard_delete_share=0, guard_delete_min=2)) != {}


def _emptied(left: int) -> World:
    """Give a world of twenty bookings whose copies somebody deleted but for a few."""
    world = one_link(full(on_remote_delete="cancel_booking"))
    world.guarded = True
    for number in range(20):
        world.put(single(f"Termin {number}", f"u{number}"))
    world.run()
    for href in list(world.there)[left:]:
        del world.there[href]
    return world


@pytest.mark.parametrize("left", [0, 2])
def test_del_02_a_calendar_suddenly_almost_empty_is_held_and_the_rest_goes_on(left: int) -> None:
    world = _emptied(left)
    world.put(single("Neu", "neu"))
    assert [(action.side, action.verb) for action in world.run()] == [(PROVIDER, Verb.CREATE)]
    assert len(world.held) == 20 - left
    assert len(world.live()) == 21
    assert world.run() == []  # still held in the next pass


def test_del_02_a_rejected_hold_restores_the_missing_side() -> None:
    world = _emptied(0)
    world.run()
    for pairing in world.remotes[0].pairings.values():
        pairing.verdict = Verdict.RESTORE
    world.run()
    assert len(world.there) == len(world.live()) == 20
    assert world.run() == []


def test_del_02_an_approved_hold_is_carried_out() -> None:
    world = _emptied(0)
    world.run()
    for pairing in world.remotes[0].pairings.values():
        pairing.verdict = Verdict.ACCEPT
    world.run()
    assert world.live() == world.there == {}


def test_a_rejected_mass_update_sets_theirs_back() -> None:
    world = one_link()
    world.guarded = True
    numbers = [world.put(single(f"Termin {number}", f"u{number}")) for number in range(20)]
    world.run()
    for href, series in list(world.there.items()):
        world.there[href] = edited(series, title="[überschrieben]")
    assert world.run() == []
    assert len(world.held) == 20
    for number in numbers:
        world.remotes[0].pairings[number].verdict = Verdict.RESTORE
    world.run()
    assert {series.event.title for series in world.there.values()} == {f"Termin {number}" for number in range(20)}
