"""A client of other hands works against the simulated Exchange unchanged: exchangelib, which knows real servers.

It blocks, so each test does its part in a thread, and what it asked and was answered is held against the schema.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import pytest
from exchangelib import (
    DELEGATE,
    IMPERSONATION,
    NTLM,
    Account,
    CalendarItem,
    Configuration,
    Credentials,
    EWSDate,
    EWSDateTime,
    EWSTimeZone,
    OofSettings,
)
from exchangelib.errors import ErrorImpersonateUserDenied, ErrorIrresolvableConflict, UnauthorizedError
from exchangelib.protocol import BaseProtocol, NoVerifyHTTPAdapter, close_connections
from exchangelib.recurrence import Recurrence, WeeklyPattern
from tests.exchange_world import ROOM_LIST, SERVICE, SERVICE_PASSWORD, ExchangeWorld, everything_is_valid, exchange_world

ANNA = "anna@firm.example"
SILENT = {"send_meeting_invitations": "SendToNone"}
ZONE = EWSTimeZone("Europe/Berlin")


def at(day: int, hour: int, minute: int = 0, month: int = 11) -> EWSDateTime:
    """Give a time in Berlin, in the year 2026."""
    return EWSDateTime(2026, month, day, hour, minute, tzinfo=ZONE)


@contextmanager
def signed_in(world: ExchangeWorld, username: str = SERVICE, password: str = SERVICE_PASSWORD, **more: Any) -> Iterator[Account]:
    """Open Anna's mailbox as exchangelib does: with NTLM, and as the service account with impersonation."""
    access = IMPERSONATION if username == SERVICE else DELEGATE
    configuration = Configuration(
        service_endpoint=world.url, credentials=Credentials(f"FIRM\\{username}", password), auth_type=NTLM, **more
    )
    try:
        yield Account(ANNA, config=configuration, autodiscover=False, access_type=access, default_timezone=ZONE)
    finally:
        close_connections()


@asynccontextmanager
async def working(**more: Any) -> AsyncIterator[tuple[ExchangeWorld, Callable[[Callable[[Account], Any]], Any]]]:
    """Run a firm, and give what does something in Anna's mailbox, in a thread."""
    async with exchange_world(**more) as world:

        def work(deed: Callable[[Account], Any]) -> Any:
            with signed_in(world) as account:
                return deed(account)

        async def do(deed: Callable[[Account], Any]) -> Any:
            return await asyncio.to_thread(work, deed)

        yield world, do
        assert everything_is_valid(world.exchange)
        assert not world.simulator.outbox


def times(account: Account) -> list[tuple[str, str]]:
    """Give what a calendar view of November and December shows: subject, and start on the clock of Berlin."""
    found = account.calendar.view(start=at(1, 0), end=at(31, 0, month=12))
    return [(one.subject, f"{one.start.astimezone(ZONE):%m-%d %H:%M}") for one in found]


def weekly(account: Account) -> CalendarItem:
    """Make a series of five Mondays at ten, the third moved to Tuesday at two, the fourth deleted."""
    pattern = Recurrence(pattern=WeeklyPattern(interval=1, weekdays=["Monday"]), start=EWSDate(2026, 11, 2), number=5)
    series = CalendarItem(
        account=account, folder=account.calendar, subject="Weekly", start=at(2, 10), end=at(2, 11), recurrence=pattern
    )
    series.save(**SILENT)
    moved = series.occurrence(index=3)
    moved.subject, moved.start, moved.end = "Moved", at(17, 14), at(17, 15)
    moved.save(send_meeting_invitations="SendToNone", update_fields=["subject", "start", "end"])
    series.occurrence(index=4).delete(send_meeting_cancellations="SendToNone")
    return series


async def test_it_signs_in_as_oneself_and_as_somebody_else() -> None:
    async with exchange_world() as world:

        def work() -> None:
            with signed_in(world) as account:
                assert account.version.build.major_version == 15
                assert account.calendar.name == "Calendar"
            with signed_in(world, "anna", "anna-password") as account:
                assert account.calendar.total_count == 0
            with signed_in(world) as account:
                world.exchange.accounts[SERVICE].impersonates = ("ben@firm.example",)
                with pytest.raises(ErrorImpersonateUserDenied):
                    assert account.calendar
            with signed_in(world, "anna", "wrong") as account, pytest.raises(UnauthorizedError):
                assert account.calendar

        await asyncio.to_thread(work)
        assert {entry.mailbox for entry in world.asked("GetFolder")} == {ANNA}


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
async def test_it_signs_in_where_channel_bindings_are_required(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BaseProtocol, "HTTP_ADAPTER_CLS", NoVerifyHTTPAdapter)
    async with exchange_world(tls=True, binding="required") as world:

        def work() -> str:
            with signed_in(world) as account:
                return str(account.calendar.name)

        assert await asyncio.to_thread(work) == "Calendar"
        assert world.exchange.door.handshakes


async def test_single_items_are_made_listed_changed_and_deleted() -> None:
    async with working() as (_, do):

        def deed(account: Account) -> None:
            item = CalendarItem(account=account, folder=account.calendar, subject="One", start=at(23, 10), end=at(23, 11))
            item.body, item.location, item.categories = "Agenda", "North", ["red", "blue"]
            item.save(**SILENT)
            (read,) = account.calendar.all()
            assert (read.subject, read.location, read.categories, read.text_body) == ("One", "North", ["red", "blue"], "Agenda")
            assert (read.start, read.legacy_free_busy_status) == (at(23, 10), "Busy")
            read.subject = "Two"
            read.save(**SILENT)
            item.subject = "Stale"
            with pytest.raises(ErrorIrresolvableConflict):
                item.save(conflict_resolution="NeverOverwrite", **SILENT)
            assert times(account) == [("Two", "11-23 10:00")]
            read.delete(send_meeting_cancellations="SendToNone")
            assert not account.calendar.all().exists()

        await do(deed)


async def test_all_day_items_keep_their_days() -> None:
    async with working() as (_, do):

        def deed(account: Account) -> None:
            item = CalendarItem(account=account, folder=account.calendar, subject="Away", is_all_day=True)
            item.start, item.end = EWSDate(2026, 11, 24), EWSDate(2026, 11, 25)
            item.save(**SILENT)
            (read,) = account.calendar.all()
            assert (read.is_all_day, read.start, read.end) == (True, EWSDate(2026, 11, 24), EWSDate(2026, 11, 25))

        await do(deed)


async def test_series_have_moved_and_deleted_occurrences() -> None:
    async with working() as (_, do):

        def deed(account: Account) -> None:
            series = weekly(account)
            assert times(account) == [
                ("Weekly", "11-02 10:00"),
                ("Weekly", "11-09 10:00"),
                ("Moved", "11-17 14:00"),
                ("Weekly", "11-30 10:00"),
            ]
            series.refresh()
            assert [(one.original_start, one.start) for one in series.modified_occurrences] == [(at(16, 10), at(17, 14))]
            assert [one.start for one in series.deleted_occurrences] == [at(23, 10)]
            assert series.recurrence.boundary.number == 5

        await do(deed)


async def test_a_folder_is_kept_in_step_by_its_sync_state() -> None:
    async with working() as (_, do):

        def deed(account: Account) -> None:
            weekly(account)
            gone = CalendarItem(account=account, folder=account.calendar, subject="Gone", start=at(3, 9), end=at(3, 10))
            gone.save(**SILENT)
            first = {(kind, item.subject) for kind, item in account.calendar.sync_items(only_fields=["subject"])}
            assert first == {("create", "Weekly"), ("create", "Gone")}
            state = account.calendar.item_sync_state
            gone.delete(send_meeting_cancellations="SendToNone")
            series = account.calendar.get(subject="Weekly")
            series.occurrence(index=5).delete(send_meeting_cancellations="SendToNone")
            second = list(account.calendar.sync_items(sync_state=state, only_fields=["subject"]))
            assert sorted(kind for kind, _ in second) == ["delete", "update"]
            state = account.calendar.item_sync_state
            assert not list(account.calendar.sync_items(sync_state=state, only_fields=["subject"]))

        await do(deed)


async def test_free_and_busy_is_told_for_several_people() -> None:
    async with working() as (world, do):
        world.mailbox("anna").calendar.permissions[SERVICE] = "Reviewer"
        world.put("ben", {"Subject": "Private", "Start": "2026-11-09T12:00:00Z", "End": "2026-11-09T13:00:00Z"})

        def deed(account: Account) -> None:
            weekly(account)
            asked = [
                (account, "Organizer", False),
                ("ben@firm.example", "Required", False),
                ("x@firm.example", "Optional", False),
            ]
            views = list(account.protocol.get_free_busy_info(asked, start=at(9, 0), end=at(10, 0), merged_free_busy_interval=60))
            anna, ben, unknown = views
            assert [(event.start, event.busy_type, event.details.subject) for event in anna.calendar_events] == [
                (at(9, 10), "Busy", "Weekly")
            ]
            assert anna.merged == "0" * 10 + "2" + "0" * 13
            assert ben.merged == "0" * 13 + "2" + "0" * 10
            assert ben.calendar_events[0].details is None
            assert isinstance(unknown, Exception)

        await do(deed)


async def test_automatic_replies_are_read_and_written() -> None:
    async with working() as (_, do):

        def deed(account: Account) -> None:
            assert account.oof_settings.state == "Disabled"
            start, end = at(24, 0, month=12), at(31, 0, month=12)
            account.oof_settings = OofSettings(
                state="Scheduled", external_audience="Known", start=start, end=end, internal_reply="In", external_reply="Out"
            )
            read = account.oof_settings
            assert (read.state, read.external_audience, read.start, read.end) == ("Scheduled", "Known", start, end)
            assert "In" in read.internal_reply

        await do(deed)


async def test_rooms_and_names_are_found() -> None:
    async with working() as (_, do):

        def deed(account: Account) -> None:
            assert [one.email_address for one in account.protocol.get_roomlists()] == [ROOM_LIST]
            rooms = [room.email_address for room in account.protocol.get_rooms(ROOM_LIST)]
            assert rooms == ["north@firm.example", "south@firm.example"]
            ((mailbox, contact),) = account.protocol.resolve_names(["anna"], return_full_contact_data=True)
            assert (mailbox.email_address, contact.display_name) == (ANNA, "Anna")

        await do(deed)


async def test_events_are_pulled() -> None:
    async with working() as (world, do):

        def deed(account: Account) -> None:
            with account.calendar.pull_subscription(timeout=10) as (name, watermark):
                weekly(account)
                kinds: set[str] = set()
                for notification in account.calendar.get_events(name, watermark):
                    kinds |= {type(event).__name__ for event in notification.events}
                assert {"CreatedEvent", "ModifiedEvent"} <= kinds

        await do(deed)
        assert not world.exchange.notifications.held


async def test_events_are_streamed() -> None:
    async with working() as (_, do):

        def deed(account: Account) -> None:
            with account.calendar.streaming_subscription() as name:
                weekly(account)
                kinds: set[str] = set()
                stream = account.calendar.get_streaming_events(name, connection_timeout=1, max_notifications_returned=1)
                for notification in stream:
                    kinds |= {type(event).__name__ for event in notification.events}
                assert {"CreatedEvent", "ModifiedEvent"} <= kinds

        await do(deed)


@pytest.mark.parametrize("version", ["2010_SP2", "2013_SP1", "2016"])
async def test_it_works_with_older_servers_too(version: str) -> None:
    async with working(version=version) as (world, do):

        def deed(account: Account) -> None:
            weekly(account)
            assert len(times(account)) == 4

        await do(deed)
        assert world.exchange.release.build < (15, 2)
