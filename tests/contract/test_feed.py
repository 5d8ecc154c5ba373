"""Feeds keep the part of the contract that is about reading."""

from __future__ import annotations

from typing import ClassVar

from tests.contract.suite import ProviderContract
from tests.contract.world import Trick
from tests.feed_world import feed_world

from gleichtakt.providers.feed import Feed

NEEDS_KNOWN = "what changed shows only beside what is known; see tests/providers/feed"


class TestFeed(ProviderContract):
    start = staticmethod(feed_world)
    abilities = Feed.abilities
    tricks = Trick.EDIT | Trick.SPOIL | Trick.LOSE | Trick.FAIL | Trick.THROTTLE | Trick.REFUSE_LOGIN | Trick.STOP_SHORT
    exempt: ClassVar[dict[str, str]] = {
        "test_after_a_cursor_only_changes_come": NEEDS_KNOWN,
        "test_several_edits_of_one_object_end_in_its_last_state": NEEDS_KNOWN,
        "test_what_came_and_went_between_two_readings_leaves_nothing": NEEDS_KNOWN,
        "test_an_unreadable_object_is_neither_gone_nor_the_end": NEEDS_KNOWN,
        "test_reading_by_name_leaves_out_only_what_does_not_exist": "absence counts only in a file that was listed as a whole",
    }
