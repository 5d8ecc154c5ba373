"""Every published sample of an answer is read, or refused with the code it carries."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.providers.ews.wire_world import answer, calendar_items, index, sample, violations

from gleichtakt.errors import Permanent
from gleichtakt.model.event import ShowAs
from gleichtakt.model.point import Timespan
from gleichtakt.providers.ews.wire import availability, directory, folders, notices, soap
from gleichtakt.providers.ews.wire.items import read_item
from gleichtakt.providers.ews.wire.names import local_name
from gleichtakt.providers.ews.wire.soap import Element

#: Autodiscover speaks other dialects, and this one is what we answer ourselves.
NOT_ANSWERS = frozenset({"Autodiscover", "GetUserSettingsResponseMessage", "SendNotificationResult"})
ANSWERS = [row for row in index() if row["direction"] == "response" and row["operation"] not in NOT_ANSWERS]
WINDOW = Timespan(datetime(2006, 10, 16, tzinfo=UTC), datetime(2006, 10, 17, tzinfo=UTC))

#: What reads a part of an answer that was no error, by operation; others are not ours to ask.
READERS: Mapping[str, Callable[[Element], object]] = {
    "GetFolder": lambda element: list(folders.read_folders(element)),
    "FindFolder": lambda element: list(folders.read_folders(element)),
    "SyncFolderItems": folders.read_changes,
    "FindItem": folders.read_found,
    "CreateItem": folders.read_ids,
    "UpdateItem": folders.read_ids,
    "ResolveNames": directory.read_resolutions,
    "GetRoomLists": directory.read_room_lists,
    "GetRooms": lambda element: directory.read_rooms(element, "list@contoso.example"),
    "GetUserAvailability": lambda element: (
        availability.read_busy(element, WINDOW),
        availability.read_working_hours(element),
    ),
    "GetUserOofSettings": availability.read_replies,
    "Subscribe": notices.read_subscription,
    "GetEvents": notices.read_told,
    "GetStreamingEvents": notices.read_told,
    "SendNotification": notices.read_told,
}


@pytest.mark.parametrize("row", ANSWERS, ids=[row["file"].rpartition("/")[2] for row in ANSWERS])
def test_every_answer_is_read_or_refused_with_its_code(row: Mapping[str, Any]) -> None:
    data, codes = sample(row["file"]), {*row["codes"], "NoError"}
    try:
        found = soap.read(data)
    except soap.NotSoap:
        assert not data.rstrip().endswith(b"Envelope>")  # a fragment
        return
    except soap.Fault as fault:
        assert fault.code in codes or fault.code == "Client"
        return
    operation = local_name(found.tag).removesuffix("Response")
    for outcome in soap.outcomes(found):
        assert outcome.code in codes
        if not outcome.is_error and operation in READERS:
            assert READERS[operation](outcome.element) is not None
    for element in calendar_items(found):
        try:
            read_item(element)
        except Permanent as refusal:
            assert refusal.code == "general.unreadable"  # the sample was asked in a shape without times or pattern


def test_the_samples_of_errors_are_all_noticed() -> None:
    wrong = {row["file"] for row in ANSWERS if any(code.startswith("Error") for code in row["codes"])}
    assert len(wrong) > 40
    for name in wrong:
        try:
            found = soap.outcomes(soap.read(sample(name)))
        except soap.Fault:
            continue
        assert any(outcome.code.startswith("Error") for outcome in found), name


@pytest.mark.parametrize(
    "row", [row for row in index() if row["schema_valid"]], ids=[row["file"] for row in index() if row["schema_valid"]]
)
def test_the_schema_we_test_by_accepts_what_it_should(row: Mapping[str, Any]) -> None:
    assert violations(sample(row["file"])) == []


# --- folders ------------------------------------------------------------------------------------------------------


def test_a_page_of_changes_tells_what_to_fetch_and_what_is_gone() -> None:
    page = folders.read_changes(answer("synthetic/syncfolderitems-response-incremental-mixed.xml"))
    assert [each.change_key for each in page.changed] == ["DwAAABYAAADm001=", "DwAAABYAAADs002="]
    assert (len(page.gone), page.others, page.is_last) == (1, 1, True)
    assert page.masters == {page.changed[0].id}
    assert page.state.startswith("H4sI")


def test_more_pages_follow_until_the_server_says_it_is_the_last() -> None:
    assert not folders.read_changes(answer("synthetic/syncfolderitems-response-initial-more.xml")).is_last


def test_calendars_are_told_with_what_may_be_done_there() -> None:
    (calendar,) = folders.read_folders(answer("published/getfolder-response--get-appointments-and-meetings.xml"))
    assert calendar.is_calendar
    assert calendar.can_create


# --- notifications ------------------------------------------------------------------------------------------------


def test_a_push_tells_where_something_happened() -> None:
    (notification,) = notices.read_told(answer("synthetic/sendnotification-push-events.xml")).notifications
    assert notification.events == ("CreatedEvent", "ModifiedEvent", "DeletedEvent", "MovedEvent")
    assert notification.folders == {"AQMkADU0AAAuAAADcal", "AQMkADU0AAAuAAADold"}
    assert notification.watermark == "AQAAAK74A"


def test_a_stream_names_the_subscriptions_it_lost_and_closes() -> None:
    told = notices.read_told(answer("synthetic/getstreamingevents-response-error-subscriptions-closed.xml"))
    assert told.closed
    assert [lost[:6] for lost in told.lost] == ["JgBib0"] * len(told.lost)
    assert told.lost


def test_a_sign_of_life_is_no_event() -> None:
    told = notices.read_told(answer("synthetic/getstreamingevents-response-heartbeat.xml"))
    assert (told.closed, told.lost, [each for each in told.notifications if not each.is_alive]) == (False, (), [])


# --- people -------------------------------------------------------------------------------------------------------


def test_busy_stretches_come_without_the_free_ones() -> None:
    first, second = soap.outcomes(soap.read(sample("synthetic/getuseravailability-response-mixed.xml")))
    window = Timespan(datetime(2026, 3, 9, tzinfo=UTC), datetime(2026, 3, 10, tzinfo=UTC))
    found = availability.read_busy(first.element, window)
    assert found is not None
    assert [(f"{each.span.start:%H:%M}", each.show_as) for each in found] == [
        ("10:00", ShowAs.BUSY),
        ("13:00", ShowAs.TENTATIVE),
        ("14:00", ShowAs.OOF),
        ("16:00", ShowAs.WORKING_ELSEWHERE),
    ]
    assert availability.read_busy(second.element, window) is None


def test_working_hours_come_with_their_zone() -> None:
    first = soap.outcomes(soap.read(sample("published/getuseravailability-response--getuseravailability-operation.xml")))[0]
    hours = availability.read_working_hours(first.element)
    assert hours is not None
    assert [shift.weekday for shift in hours.shifts] == [0, 1, 2, 3, 4]
    assert {(shift.start.hour, shift.end.hour) for shift in hours.shifts} == {(8, 17)}


def test_automatic_replies_are_read_with_what_the_server_allows() -> None:
    found = availability.read_replies(answer("synthetic/getuseroofsettings-response-enabled.xml"))
    assert (found.settings.state, found.settings.audience, found.allowed) == ("enabled", "all", "all")
    assert found.settings.internal == "<html><body>Away</body></html>"
    assert found.settings.span == Timespan(datetime(2026, 7, 1, 22, tzinfo=UTC), datetime(2026, 7, 15, 22, tzinfo=UTC))


def test_a_name_that_fits_several_people_finds_them_all() -> None:
    found = directory.read_resolutions(
        answer("published/resolvenames-response-errornameresolutionmultipleresults--test-protocol.xml")
    )
    assert [each.mailbox for each in found] == ["anne@example.com", "john@example.com"]


def test_rooms_are_read_whatever_namespace_they_are_put_in() -> None:
    rooms = directory.read_rooms(answer("published/getrooms-response--get-room-lists.xml"), "bldg1rooms@contoso.com")
    assert [(each.mailbox, each.kind, each.listed_in) for each in rooms][:1] == [
        ("cf3101@contoso.com", "room", "bldg1rooms@contoso.com")
    ]
    assert len(rooms) == 3
