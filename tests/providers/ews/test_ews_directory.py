"""What Exchange tells beside events: calendars and rights, people, rooms, free/busy, automatic replies."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from tests.contract.samples import STANDUP, meeting
from tests.ews_world import ADDRESS, EwsWorld, ews_login, ews_world
from tests.exchange_world import everything_is_valid

from gleichtakt.errors import Permanent, Throttled, Trouble
from gleichtakt.model.event import ShowAs
from gleichtakt.model.freebusy import Busy
from gleichtakt.model.point import Timespan
from gleichtakt.providers.ews import EWS
from gleichtakt.providers.protocol import Entry, OutOfOffice
from gleichtakt.providers.registry import connect
from gleichtakt.simulators.exchange import Fault
from gleichtakt.simulators.exchange.availability import Absence

BEN = "ben@firm.example"
MARCH = Timespan(datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC))


def ews(world: EwsWorld) -> EWS:
    """Give the provider with all it can."""
    assert isinstance(world.provider, EWS)
    return world.provider


# --- calendars --------------------------------------------------------------------------------------------------------


async def test_the_default_calendar_is_named_by_nothing_and_the_others_by_their_id() -> None:
    async with ews_world() as world:
        mailbox = world.exchange.simulator.mailbox(ADDRESS)
        mailbox.add_folder("Urlaub")
        mailbox.add_folder("Projekte")
        mailbox.add_folder("Aufgaben", kind="TasksFolder", folder_class="IPF.Task")
        listed = await world.provider.calendars(ADDRESS)
        assert [(one.name, one.is_default, one.ref.calendar == "") for one in listed] == [
            ("Calendar", True, True),
            ("Projekte", False, False),
            ("Urlaub", False, False),
        ]
        assert everything_is_valid(world.exchange)


@pytest.mark.parametrize(("level", "writes"), [("Reviewer", False), ("Editor", True)])
async def test_a_delegate_sees_the_calendar_that_is_shared_and_what_may_be_done_there(level: str, writes: bool) -> None:
    async with ews_world() as world:
        world.folder.permissions[BEN] = level
        provider = connect(ews_login(world.exchange.url, access="delegate"))
        try:
            (only,) = await provider.calendars(ADDRESS)
            assert (only.ref.mailbox, only.is_default, only.can_write) == (ADDRESS, True, writes)
            world.folder.permissions[BEN] = "None"
            with pytest.raises(Permanent):
                await provider.calendars(ADDRESS)
        finally:
            await provider.close()


# --- people and rooms -------------------------------------------------------------------------------------------------


async def test_people_are_found_by_the_beginning_of_a_name_and_nobody_is_no_trouble() -> None:
    async with ews_world() as world:
        assert await ews(world).look_up("ann") == (Entry(ADDRESS, "Anna", "person"),)
        assert {one.mailbox for one in await ews(world).look_up("n")} >= {"north@firm.example"}
        assert await ews(world).look_up("niemand") == ()


async def test_each_room_is_listed_once_with_its_list() -> None:
    async with ews_world() as world:
        world.exchange.directory.add_room_list("all@firm.example", "Alle", "north@firm.example")
        found = await ews(world).rooms()
        assert sorted((room.mailbox, room.kind) for room in found) == [
            ("north@firm.example", "room"),
            ("south@firm.example", "room"),
        ]
        assert everything_is_valid(world.exchange)


async def test_a_server_of_2007_lists_no_rooms() -> None:
    async with ews_world(version="2007_SP1") as world:
        assert await ews(world).rooms() == ()


# --- free/busy --------------------------------------------------------------------------------------------------------


async def test_free_busy_is_asked_in_parts_and_joined() -> None:
    async with ews_world(version="2010_SP1") as world:
        await world.create(meeting())
        await world.create(replace(meeting(2), event=replace(meeting(2).event, show_as=ShowAs.FREE)))
        await world.create(STANDUP)
        year = Timespan(datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC))
        told = await ews(world).free_busy([ADDRESS, BEN, "weg@firm.example"], year)
        busy = told[ADDRESS]
        assert isinstance(busy, tuple)
        assert len(busy) == 8  # one meeting and seven occurrences
        assert busy[1] == Busy(Timespan(datetime(2026, 3, 3, 8, tzinfo=UTC), datetime(2026, 3, 3, 9, tzinfo=UTC)), ShowAs.BUSY)
        assert told[BEN] == ()
        missing = told["weg@firm.example"]
        assert isinstance(missing, Trouble)
        assert missing.code == "ews.mailbox_unknown"
        assert everything_is_valid(world.exchange)


async def test_an_account_that_may_slow_down_says_so_for_everybody() -> None:
    async with ews_world() as world:
        await world.provider.calendars(ADDRESS)  # the version is known from now on
        world.exchange.faults.add(Fault("fault", "GetUserAvailability", code="ErrorServerBusy", back_off=90_000))
        told = await ews(world).free_busy([ADDRESS], MARCH)
        assert isinstance(told[ADDRESS], Throttled)


async def test_a_mailbox_lives_in_the_zone_of_its_working_hours() -> None:
    async with ews_world() as world:
        zones = ews(world).reader.zones
        world.exchange.simulator.mailbox(BEN).zone = "Eastern Standard Time"
        assert await zones.of(BEN) == "America/New_York"
        assert (await zones.of(ADDRESS)).startswith("Europe/")


# --- automatic replies ------------------------------------------------------------------------------------------------

THEIRS = Absence("Disabled", "Known", internal="<p>Bin <b>weg</b>.</p>", external="<p>Away.</p>")


def tomorrow(days: float = 1) -> datetime:
    """Give a time some days ahead, in whole seconds."""
    return datetime.now(UTC).replace(microsecond=0) + timedelta(days=days)


async def test_prs_01_only_what_was_meant_is_written_and_the_texts_stay_as_they_are() -> None:
    async with ews_world() as world:
        world.exchange.availability.absences[ADDRESS] = THEIRS
        before = await ews(world).out_of_office(ADDRESS)
        assert (before.state, before.audience, before.internal) == ("disabled", "known", THEIRS.internal)
        world.exchange.availability.absences[ADDRESS].external = "<p>Edited meanwhile.</p>"
        wanted = replace(before, state="scheduled", span=Timespan(tomorrow(), tomorrow(5)))
        after = await ews(world).set_out_of_office(ADDRESS, before, wanted)
        assert (after.state, after.span) == ("scheduled", wanted.span)
        assert (after.internal, after.external, after.audience) == (THEIRS.internal, "<p>Edited meanwhile.</p>", "known")
        again = await ews(world).set_out_of_office(ADDRESS, after, replace(after, state="disabled"))
        assert (again.state, again.external) == ("disabled", "<p>Edited meanwhile.</p>")
        assert everything_is_valid(world.exchange)


async def test_prs_02_a_schedule_begins_now_at_the_earliest_and_one_that_is_over_is_refused() -> None:
    async with ews_world() as world:
        before = await ews(world).out_of_office(ADDRESS)
        begun = replace(before, state="scheduled", span=Timespan(tomorrow(-3), tomorrow(2)))
        after = await ews(world).set_out_of_office(ADDRESS, before, begun)
        assert after.span is not None
        assert tomorrow(-1) < after.span.start < tomorrow(1)
        over = replace(before, state="scheduled", span=Timespan(tomorrow(-3), tomorrow(-2)))
        with pytest.raises(Permanent) as refused:
            await ews(world).set_out_of_office(ADDRESS, after, over)
        assert refused.value.code == "ews.times_refused"


async def test_an_audience_is_no_wider_than_the_server_allows() -> None:
    async with ews_world() as world:
        world.exchange.availability.absences[ADDRESS] = Absence(allowed="Known", audience="None")
        before = await ews(world).out_of_office(ADDRESS)
        after = await ews(world).set_out_of_office(ADDRESS, before, replace(before, state="enabled", audience="all"))
        assert (after.state, after.audience) == ("enabled", "known")


async def test_nothing_to_change_is_nothing_written() -> None:
    async with ews_world() as world:
        before = await ews(world).out_of_office(ADDRESS)
        assert await ews(world).set_out_of_office(ADDRESS, OutOfOffice(), OutOfOffice()) == before
        assert [entry.operation for entry in world.exchange.ledger].count("SetUserOofSettings") == 0


async def test_a_delegate_may_not_read_automatic_replies() -> None:
    async with ews_world("delegate") as world:
        with pytest.raises(Permanent) as refused:
            await ews(world).out_of_office(ADDRESS)
        assert refused.value.code == "ews.replies_denied"


async def test_who_signs_in_with_an_address_reads_the_own_replies_without_naming_a_mailbox() -> None:
    async with ews_world("own") as world:
        login = ews_login(world.exchange.url, access="own")
        signed_in = replace(login, auth={**login.auth, "username": ADDRESS})
        world.exchange.availability.absences[ADDRESS] = Absence("Enabled")
        provider = connect(replace(signed_in, allow_insecure=True))
        try:
            assert isinstance(provider, EWS)
            assert (await provider.out_of_office("")).state == "enabled"
        finally:
            await provider.close()


async def test_times_of_an_absence_are_read_in_utc() -> None:
    async with ews_world() as world:
        start, end = datetime(2026, 12, 24, 9, tzinfo=UTC), datetime(2027, 1, 2, 9, tzinfo=UTC)
        world.exchange.availability.absences[ADDRESS] = Absence("Scheduled", start=start, end=end)
        assert (await ews(world).out_of_office(ADDRESS)).span == Timespan(start, end)
