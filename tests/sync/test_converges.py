"""Random histories on both sides: they end in step, a second pass writes nothing, and no edit is lost unless a rule says so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.sync.strategies import edits, serieses, texts
from tests.sync.world import LOSSY, Remote, Storing, World, faithful, full, lossy, normalising, one_link

from gleichtakt.model.event import Series
from gleichtakt.sync.flat import ALL_FIELDS, changed, content_of, flatten, level_text, restrict, same
from gleichtakt.sync.plan import Flat, Side, Verb, Verdict
from gleichtakt.sync.policy import PEOPLE, TIMES_AND_STATE, Limits, Policy

KINDS: Mapping[str, tuple[Limits, Storing]] = {
    "ideal": (Limits(), faithful),
    "normalising": (Limits(), normalising),
    "lossy": (LOSSY, lossy),
}
SHARED = ALL_FIELDS - PEOPLE
kinds = pytest.mark.parametrize("kind", KINDS)
RULES = ("app_first", "provider_first")


def _world(kind: str, **policy: Any) -> World:
    limits, stores = KINDS[kind]
    return one_link(full(**policy), limits, stores)


def _differences(left: Series, right: Series, fields: frozenset[str]) -> frozenset[str]:
    return changed(restrict(flatten(left), fields), restrict(flatten(right), fields))


def _reads(flat: Flat, key: str) -> Any:
    """Give what a reader sees under a key: an override that does not say inherits."""
    field = content_of(key)
    value = flat.get(key, flat.get(field) if key.startswith("@") and field in texts else None)
    return (level_text(value) if isinstance(value, str) else value) or None


@st.composite
def histories(draw: st.DrawFn, series: Series, steps: int = 3) -> Series:
    """Edit a series a few times."""
    for _ in range(draw(st.integers(1, steps))):
        series = draw(edits(series))
    return series


@kinds
@given(st.data())
def test_a_booking_and_its_copy_stay_in_step(kind: str, data: st.DataObject) -> None:
    world = _world(kind, conflict_rule=data.draw(st.sampled_from(RULES)))
    number = world.put(data.draw(serieses()))
    world.run()
    (href,) = world.there
    for _ in range(data.draw(st.integers(1, 3))):
        if data.draw(st.booleans()):
            world.ours[number].series = data.draw(histories(world.ours[number].series))
        if data.draw(st.booleans()):
            world.there[href] = world.remotes[0].stores(data.draw(histories(world.there[href])))
        world.run()
        assert world.run() == [], "a second pass writes nothing"
        if kind != "lossy":
            assert _differences(world.ours[number].series, world.there[href], SHARED) == frozenset()


@kinds
@given(st.data())
def test_an_event_of_theirs_and_our_copy_stay_in_step(kind: str, data: st.DataObject) -> None:
    world = _world(kind, app_writes_foreign="allow", event_kinds=Policy().event_kinds)
    href = world.add(world.remotes[0].stores(data.draw(serieses())))
    world.run()
    (number,) = world.ours
    for _ in range(data.draw(st.integers(1, 3))):
        world.ours[number].series = data.draw(histories(world.ours[number].series))
        world.there[href] = world.remotes[0].stores(data.draw(histories(world.there[href])))
        world.run()
        assert world.run() == []
        if kind != "lossy":
            assert _differences(world.ours[number].series, world.there[href], SHARED) == frozenset()


@kinds
@pytest.mark.parametrize("rule", RULES)
@given(st.data())
def test_no_edit_is_lost_unless_the_rule_says_who_wins(kind: str, rule: str, data: st.DataObject) -> None:
    world = _world(kind, conflict_rule=rule)
    number = world.put(data.draw(serieses()))
    world.run()
    (href,) = world.there
    old_ours, old_theirs = world.ours[number].series, world.there[href]
    new_ours, new_theirs = data.draw(histories(old_ours)), world.remotes[0].stores(data.draw(histories(old_theirs)))
    world.ours[number].series, world.there[href] = new_ours, new_theirs
    actions = world.run()
    lost = {key for action in actions for key in action.loser or {}}
    fields = SHARED & world.remotes[0].limits.storable
    kept, said_here, said_there = flatten(world.ours[number].series), flatten(new_ours), flatten(new_theirs)
    apart = changed(said_here, said_there) - lost  # what both say alike is nobody's loss
    apart -= {key for key in apart if key.startswith("@") and ":" not in key}  # an override stays for what only we say in it
    for key in _differences(old_theirs, new_theirs, fields) & apart:
        assert same(kept, said_there, key) or _reads(kept, key) == _reads(said_there, key), key
    for key in _differences(old_ours, new_ours, fields) & apart:
        assert same(kept, said_here, key) or _reads(kept, key) == _reads(said_here, key), key


@kinds
@given(st.data())
def test_manual_waits_with_all_versions_and_then_does_as_told(kind: str, data: st.DataObject) -> None:
    world = _world(kind, conflict_rule="manual")
    number = world.put(data.draw(serieses()))
    world.run()
    (href,) = world.there
    world.ours[number].series = data.draw(histories(world.ours[number].series))
    world.there[href] = world.remotes[0].stores(data.draw(histories(world.there[href])))
    before = world.ours[number].series, world.there[href]
    actions = world.run()
    if number in world.clashes:
        assert actions == []
        assert (world.ours[number].series, world.there[href]) == before
        assert world.run() == []  # it goes on waiting
        world.remotes[0].pairings[number].verdict = data.draw(st.sampled_from([Verdict.OURS, Verdict.THEIRS]))
        world.run()
    assert world.run() == []
    assert number not in world.clashes


@kinds
@given(st.data())
def test_policy_may_change_at_any_time(kind: str, data: st.DataObject) -> None:
    """Widening shows more, narrowing takes it back, and neither is taken for somebody's edit (PRV-03)."""
    world = _world(kind)
    number = world.put(data.draw(serieses()))
    href = world.add(world.remotes[0].stores(data.draw(serieses("theirs"))))
    original = world.there[href]
    world.run()
    details = st.sampled_from(["busy", "title_time", "full"])
    for _ in range(3):
        mine = world.ours[number].series
        chosen: dict[str, Any] = {"inbound_detail": data.draw(details), "outbound_detail": data.draw(details)}
        world.remotes[0].policy = Policy(**chosen)
        world.run()
        assert world.run() == []
        assert world.ours[number].series == mine, "a policy never edits a booking"
        assert world.there[href] == original, "nor an event of theirs"
        (copy,) = [series for name, series in world.there.items() if name != href]
        (block,) = [row.series for row in world.ours.values() if row.origin == "provider"]
        for shown, real, detail in (
            (copy, world.remotes[0].stores(mine), chosen["outbound_detail"]),
            (block, original, chosen["inbound_detail"]),
        ):
            if detail != "full":
                assert shown.event.description == ""
                assert shown.event.location == ""
            if detail == "busy":
                assert shown.event.title.strip() == "Belegt"
            elif kind == "ideal":
                assert shown.event.title == real.event.title


@pytest.mark.parametrize("relay", ["none", "busy", "full"])
@given(st.data())
def test_two_links_settle_whatever_is_relayed(relay: str, data: st.DataObject) -> None:
    policy = full(relay=relay, app_writes_foreign="allow", on_remote_delete="cancel_booking")
    kind = data.draw(st.sampled_from(sorted(KINDS)))
    limits, stores = KINDS[kind]
    world = World([Remote(policy), Remote(policy, limits, stores)])
    mine = world.put(data.draw(serieses("mine")))
    original = world.add(data.draw(serieses("theirs")))
    world.run()
    for _ in range(data.draw(st.integers(1, 3))):
        world.ours[mine].series = data.draw(histories(world.ours[mine].series))
        for remote in world.remotes:
            for href in list(remote.objects):
                if data.draw(st.integers(0, 2)) == 0:
                    remote.objects[href] = remote.stores(data.draw(histories(remote.objects[href])))
        world.run(rounds=2)
        assert world.run() == [], "after two rounds everything is said"
    first, second = (remote.objects for remote in world.remotes)
    assert len(first) == 2
    assert len(second) == {"none": 1}.get(relay, 2)
    assert original in first
    if relay == "busy":
        (copy,) = [series for series in second.values() if series.uid == "theirs"]
        assert _differences(copy, first[original], TIMES_AND_STATE - {"status", "show_as", "sensitivity"}) == frozenset()


@kinds
@given(st.data())
def test_deletions_and_edits_in_any_order_end_in_step(kind: str, data: st.DataObject) -> None:
    """CON-07: every pair of nothing, edit, deletion on both sides."""
    settings_drawn = {
        "conflict_rule": data.draw(st.sampled_from(RULES)),
        "on_remote_delete": data.draw(st.sampled_from(["cancel_booking", "recreate"])),
        "app_writes_foreign": "allow",
    }
    world = _world(kind, **settings_drawn)
    numbers = [world.put(data.draw(serieses("a")))]
    world.add(world.remotes[0].stores(data.draw(serieses("b"))))
    world.run()
    for _ in range(2):
        for number in numbers + [n for n in world.ours if n not in numbers]:
            step = data.draw(st.sampled_from(["nothing", "edit", "delete"]))
            row = world.ours[number]
            if step == "edit" and not row.deleted:
                row.series = data.draw(histories(row.series))
            elif step == "delete":
                row.deleted = True
        for href in list(world.there):
            step = data.draw(st.sampled_from(["nothing", "edit", "delete"]))
            if step == "edit":
                world.there[href] = world.remotes[0].stores(data.draw(histories(world.there[href])))
            elif step == "delete":
                del world.there[href]
        world.run()
        assert world.run() == []
        assert sorted(series.uid for series in world.live().values()) == sorted(s.uid for s in world.there.values())


@kinds
@pytest.mark.parametrize("first_run", ["merge", "app_to_provider", "provider_to_app", "link_only"])
@given(st.data())
def test_two_full_calendars_are_joined_without_a_deletion(kind: str, first_run: str, data: st.DataObject) -> None:
    """DUP-02."""
    world = _world(kind, first_run=first_run, conflict_rule=data.draw(st.sampled_from(RULES)))
    for uid in ("a", "b", "c"):
        series = data.draw(serieses(uid))
        if data.draw(st.booleans()):
            world.put(series)
        if data.draw(st.booleans()):
            there = data.draw(histories(series)) if data.draw(st.booleans()) else series
            world.add(world.remotes[0].stores(there))
    actions = world.run()
    assert not [action for action in actions if action.verb is Verb.DELETE]
    assert world.run() == []
    assert len(world.live()) == len(world.there)
    if first_run == "link_only":
        assert not [action for action in actions if action.verb is Verb.UPDATE]


@given(st.data())
def test_private_events_never_show_more_than_times(data: st.DataObject) -> None:
    """PRV-01, PRV-03: whatever happens, no word of a private event crosses."""
    world = one_link(full(relay="full"))
    world.remotes.append(Remote(full(relay="full")))
    number = world.put(data.draw(serieses("mine")))
    href = world.add(data.draw(serieses("theirs")))
    world.run()
    for _ in range(3):
        world.ours[number].series = data.draw(edits(world.ours[number].series, privacy=True))
        world.there[href] = data.draw(edits(world.there[href], privacy=True))
        world.run(rounds=2)
        assert world.run() == []
        if world.there[href].event.sensitivity.value == "private":
            for shown in (
                block for block in [*world.live().values(), *world.remotes[1].objects.values()] if block.uid == "theirs"
            ):
                assert shown.event.title == "Privat"
                assert shown.event.location == shown.event.description == ""
        if world.ours[number].series.event.sensitivity.value == "private":
            for remote in world.remotes:
                (copy,) = [series for series in remote.objects.values() if series.uid == "mine"]
                assert copy.event.title == "Privat"
                assert copy.event.location == copy.event.description == ""


@given(st.data())
def test_one_way_links_never_write_to_their_source(data: st.DataObject) -> None:
    """OPS-05: the write guard, whatever moves on either side."""
    direction = data.draw(st.sampled_from(["inbound", "outbound", "off"]))
    world = one_link(full(app_writes_foreign="allow"))
    number = world.put(data.draw(serieses("a")))
    href = world.add(data.draw(serieses("b")))
    if data.draw(st.booleans()):
        world.run()
    world.remotes[0].policy = full(direction=direction, app_writes_foreign="allow", on_disable="keep")
    for _ in range(2):
        world.ours[number].series = data.draw(histories(world.ours[number].series))
        if href in world.there:
            world.there[href] = data.draw(histories(world.there[href]))
        written = {action.side for action in world.run()}
        allowed = {"inbound": {Side.APP}, "outbound": {Side.PROVIDER}, "off": set()}[direction]
        assert written <= allowed
        assert world.run() == []
