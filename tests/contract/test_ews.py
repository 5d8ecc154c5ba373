"""Exchange keeps the contract: against our simulator in its versions, its ways to sign in and its ways to have access."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

from tests.contract.suite import ProviderContract
from tests.contract.world import ALL_TRICKS
from tests.ews_world import ews_world

from gleichtakt.providers.ews import EWS

#: What Exchange does to some events on purpose; `tests/providers/ews` shows what becomes of them.
CUT: dict[str, str] = {
    "test_emoji_and_markup_in_texts_survive": "Exchange cuts titles at 255 characters",
}


#: What differs between releases; the rest they have in common with those that run the whole suite.
OF_A_RELEASE = frozenset(
    {
        "test_what_is_created_is_read_back_as_it_was_sent",
        "test_what_a_key_made_is_found_by_it_after_a_restart",
        "test_an_update_changes_its_fields_and_leaves_the_rest",
        "test_an_update_at_a_stale_etag_is_a_conflict_and_changes_nothing",
        "test_a_meeting_becomes_all_day_and_back",
        "test_one_occurrence_is_changed_and_the_others_stay",
        "test_an_occurrence_is_cancelled_and_restored",
        "test_what_is_deleted_is_gone_and_reported_so",
        "test_without_a_cursor_everything_is_listed_once",
        "test_attendees_are_written_changed_and_deleted_without_a_mail",
    }
)
OLD: dict[str, str] = {
    **CUT,
    "test_the_doctor_finds_nothing_and_leaves_nothing_behind": "streams of notifications came with 2010 SP1; the doctor warns",
}
ALIKE = {name: "as in other releases" for name in dir(ProviderContract) if name.startswith("test_") and name not in OF_A_RELEASE}


class TestEWS(ProviderContract):
    """A service account that acts for everyone, by NTLM, at the newest server."""

    start = staticmethod(ews_world)
    abilities = EWS.abilities
    tricks = ALL_TRICKS
    exempt: ClassVar[dict[str, str]] = CUT


class TestEWSAsDelegate(ProviderContract):
    """A colleague who may edit and see private events, by Basic."""

    start = staticmethod(partial(ews_world, "delegate", "basic", version="2013_SP1"))
    abilities = EWS.abilities
    tricks = ALL_TRICKS
    exempt: ClassVar[dict[str, str]] = CUT


class TestEWSAsOwner(ProviderContract):
    """One's own login at an older server, in a calendar beside the default one."""

    start = staticmethod(partial(ews_world, "own", "negotiate", "Projekte", version="2010_SP1"))
    abilities = EWS.abilities
    tricks = ALL_TRICKS
    exempt: ClassVar[dict[str, str]] = CUT


class TestEWS2007(ProviderContract):
    """The oldest server: zones in a form of their own, no streams."""

    start = staticmethod(partial(ews_world, version="2007_SP1"))
    abilities = EWS.abilities
    tricks = ALL_TRICKS
    exempt: ClassVar[dict[str, str]] = OLD


class TestEWS2010(ProviderContract):
    """The first server with zones in the form of today."""

    start = staticmethod(partial(ews_world, version="2010"))
    abilities = EWS.abilities
    tricks = ALL_TRICKS
    exempt: ClassVar[dict[str, str]] = ALIKE


class TestEWS2013(ProviderContract):
    """The first server that knows «working elsewhere»."""

    start = staticmethod(partial(ews_world, version="2013"))
    abilities = EWS.abilities
    tricks = ALL_TRICKS
    exempt: ClassVar[dict[str, str]] = ALIKE
