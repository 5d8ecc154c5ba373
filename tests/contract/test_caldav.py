"""CalDAV keeps the contract: against our simulator in its habits, and against Radicale and Xandikos as real processes."""

from __future__ import annotations

from functools import partial
from typing import ClassVar

import pytest
from tests.caldav_world import server_world, simulated_world
from tests.contract.suite import ProviderContract
from tests.contract.world import ALL_TRICKS, Trick

from gleichtakt.providers.caldav import CalDAV

#: What can be done to a server one cannot look into.
FROM_OUTSIDE = Trick.EDIT | Trick.PLANT | Trick.SMALL_PAGES


class TestCalDAV(ProviderContract):
    start = staticmethod(simulated_world)
    abilities = CalDAV.abilities
    tricks = ALL_TRICKS


class TestCalDAVWithoutSync(ProviderContract):
    """A server with neither sync-collection nor multiget, that gives no etag on PUT: older and smaller ones."""

    start = staticmethod(partial(simulated_world, sync=False, multiget=False, put_etag=False))
    abilities = CalDAV.abilities
    tricks = ALL_TRICKS & ~Trick.EXPIRE
    exempt: ClassVar[dict[str, str]] = {
        "test_what_is_deleted_is_gone_and_reported_so": "without sync-collection absence from a listing is all there is",
        "test_what_is_deleted_during_a_listing_is_not_in_its_result": "likewise: the next listing tells",
    }


class TestCalDAVWithWeakEtags(ProviderContract):
    """A server behind a proxy that weakens etags, without ctag, cutting its reports at seven (507)."""

    start = staticmethod(partial(simulated_world, weak=True, ctag=False, page=7, sync_depth="1"))
    abilities = CalDAV.abilities
    tricks = ALL_TRICKS & ~Trick.LOSE  # the first of its two attempts has no effect to lose


@pytest.mark.servers
class TestRadicale(ProviderContract):
    start = staticmethod(partial(server_world, "radicale"))
    abilities = CalDAV.abilities
    tricks = FROM_OUTSIDE


@pytest.mark.servers
class TestXandikos(ProviderContract):
    start = staticmethod(partial(server_world, "xandikos"))
    abilities = CalDAV.abilities
    tricks = FROM_OUTSIDE
