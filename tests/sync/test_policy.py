"""Settings: the nearest level wins, origins are told, and what a provider cannot do caps all of them."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import pytest

from gleichtakt.sync.policy import (
    KIND_DEFAULTS,
    PROJECTING,
    SETTINGS,
    Limits,
    Policy,
    beyond_ability,
    check,
    policy_digest,
    resolve,
    to_json,
)


def test_every_setting_is_in_the_policy_and_the_other_way_round() -> None:
    assert {field.name for field in fields(Policy)} == set(SETTINGS)
    assert set(PROJECTING) <= set(SETTINGS)


def test_every_default_is_a_value_its_own_check_takes() -> None:
    for name, setting in SETTINGS.items():
        assert to_json(check(name, to_json(setting.default))) == to_json(setting.default)
        assert setting.help["de"]
        assert setting.help["en"]


#: ARCHITECTURE: the defaults others rely on by name.
PUBLISHED = {
    "direction": "two_way",
    "inbound_enabled": True,
    "outbound_enabled": True,
    "inbound_detail": "busy",
    "outbound_detail": "title_time",
    "conflict_rule": "app_first",
    "app_writes_foreign": "refuse",
    "provider_writes_own": "allow",
    "relay": "busy",
    "on_remote_delete": "ask",
    "delete_grace_minutes": 15,
    "guard_delete_min": 5,
    "guard_delete_share": 0.2,
    "guard_update_min": 10,
    "guard_update_share": 0.5,
    "notify": "none",
    "attendees": "omit",
    "all_day": "follow_show_as",
    "private_events": "busy_private",
    "window_back_days": 30,
    "window_ahead_days": 365,
    "interval_seconds": 60,
    "first_run": "merge",
    "retention_days": 30,
}


def test_published_defaults() -> None:
    assert {name: SETTINGS[name].default for name in PUBLISHED} == PUBLISHED


def test_the_nearest_level_wins_and_says_so() -> None:
    layers: list[tuple[str, dict[str, Any]]] = [
        ("global", {"conflict_rule": "newest", "inbound_detail": "full"}),
        ("group", {"inbound_detail": "title_time"}),
        ("resource", {}),
        ("link", {"conflict_rule": "manual", "relay": None}),
    ]
    found = resolve(layers)
    assert (found.policy.conflict_rule, found.origins["conflict_rule"]) == ("manual", "link")
    assert (found.policy.inbound_detail, found.origins["inbound_detail"]) == ("title_time", "group")
    assert (found.policy.relay, found.origins["relay"]) == ("busy", "default")


@pytest.mark.parametrize("asked", ["two_way", "outbound"])
def test_a_feed_is_inbound_whatever_is_inherited(asked: str) -> None:
    found = resolve([("global", {"direction": asked})], provider="feed")
    assert (found.policy.direction, found.origins["direction"]) == ("inbound", "provider ability")
    assert beyond_ability("direction", asked, provider="feed")


def test_what_cannot_be_written_is_inbound_and_off_stays_off() -> None:
    read_only = Limits(can_write=False)
    assert resolve([], abilities=read_only).policy.direction == "inbound"
    assert resolve([("link", {"direction": "off"})], abilities=read_only).policy.direction == "off"
    assert beyond_ability("direction", "inbound", abilities=read_only) == ""


def test_a_stored_value_that_no_longer_fits_is_passed_over() -> None:
    found = resolve([("global", {"conflict_rule": "oldest", "unknown": 1, "interval_seconds": 30})])
    assert found.policy.conflict_rule == "app_first"
    assert found.policy.interval_seconds == 30


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("nothing", 1),
        ("direction", "sideways"),
        ("direction", None),
        ("interval_seconds", 4),
        ("interval_seconds", "60"),
        ("interval_seconds", True),
        ("guard_delete_share", 1.5),
        ("inbound_enabled", "yes"),
        ("inbound_detail", ["title", "colour"]),
        ("inbound_detail", 3),
        ("busy_title", "zwei\nZeilen"),
        ("event_kinds", {"purple": "busy"}),
        ("event_kinds", {"free": "often"}),
        ("event_kinds", {"subject_deny": "("}),
        ("event_kinds", {"min_minutes": -1}),
        ("event_kinds", {"categories_deny": "rot"}),
        ("event_kinds", []),
        ("field_owners", {"title": "nobody"}),
        ("field_owners", "app"),
    ],
)
def test_what_a_setting_does_not_take_is_refused_with_a_reason(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=r"expected|unknown|regular expression"):
        check(name, value)


def test_a_filter_may_name_only_what_it_changes() -> None:
    assert check("event_kinds", {"tentative": "ignore"}) == {**KIND_DEFAULTS, "tentative": "ignore"}


def test_the_digest_follows_what_decides_about_stored_content() -> None:
    assert policy_digest(Policy()) == policy_digest(Policy(conflict_rule="manual", interval_seconds=5))
    for name, value in {
        "inbound_detail": "full",
        "private_events": "ignore",
        "busy_title": "x",
        "event_kinds": check("event_kinds", {"tentative": "ignore"}),
        "window_back_days": 1,
    }.items():
        assert policy_digest(Policy()) != policy_digest(Policy(**{name: value}))
