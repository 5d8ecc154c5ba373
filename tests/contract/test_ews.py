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
