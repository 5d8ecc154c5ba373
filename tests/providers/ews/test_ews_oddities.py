"""Servers that speak EWS in their own way: each tolerance by itself. Times, order and doubling stand in test_ews_items."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from tests.providers.ews.wire_world import element, item

from gleichtakt.model.event import Event, Series, ShowAs
from gleichtakt.model.point import Timespan, Zoned
from gleichtakt.providers.ews import oddities
from gleichtakt.providers.ews.wire import availability, folders, notices
from gleichtakt.providers.ews.wire.ids import ItemId
from gleichtakt.providers.ews.wire.items import read_item

TIMES = "<t:Start>2026-03-10T08:00:00Z</t:Start><t:End>2026-03-10T09:00:00Z</t:End>"
DAILY = (
    "<t:Recurrence><t:DailyRecurrence><t:Interval>1</t:Interval></t:DailyRecurrence><t:NoEndRecurrence>"
    "<t:StartDate>2026-03-10</t:StartDate></t:NoEndRecurrence></t:Recurrence>"
)
SINGLE = read_item(item(f'<t:ItemId Id="s"/>{TIMES}'))
MASTER = read_item(item(f'<t:ItemId Id="m"/>{TIMES}{DAILY}'))
OCCURRENCE = read_item(item(f'<t:ItemId Id="o"/>{TIMES}<t:CalendarItemType>Occurrence</t:CalendarItemType>'))


def at(text: str) -> Zoned:
    return Zoned(datetime.fromisoformat(text), "UTC")


def weekly(**fields: object) -> Series:
    return replace(Series("u", Event(at("2026-03-10T09:00"), at("2026-03-10T10:00")), "FREQ=WEEKLY;BYDAY=TU"), **fields)  # type: ignore[arg-type]


# --- answers with something missing -------------------------------------------------------------------------------


def test_events_without_a_watermark_are_heard_all_the_same() -> None:
    said = element(
        "<m:GetEventsResponseMessage><m:Notification><t:SubscriptionId>x</t:SubscriptionId><t:ModifiedEvent>"
        '<t:ItemId Id="i"/><t:ParentFolderId Id="f"/></t:ModifiedEvent></m:Notification></m:GetEventsResponseMessage>'
    )
    (found,) = notices.read_told(said).notifications
    assert (found.events, found.folders, found.watermark, found.more) == (("ModifiedEvent",), {"f"}, "", False)


def test_a_sign_of_life_moves_the_watermark_on() -> None:
    said = element(
        "<m:x><m:Notification><t:SubscriptionId>x</t:SubscriptionId><t:PreviousWatermark>1</t:PreviousWatermark>"
        "<t:MoreEvents>true</t:MoreEvents><t:StatusEvent><t:Watermark>2</t:Watermark></t:StatusEvent></m:Notification></m:x>"
    )
    (found,) = notices.read_told(said).notifications
    assert (found.is_alive, found.watermark, found.more) == (True, "2", True)


def test_an_event_of_a_kind_we_do_not_know_is_a_hint_too() -> None:
    said = element('<m:x><m:Notification><t:SnoozedEvent><t:ParentFolderId Id="f"/></t:SnoozedEvent></m:Notification></m:x>')
    (found,) = notices.read_told(said).notifications
    assert (found.events, found.folders) == (("SnoozedEvent",), {"f"})


def test_an_item_told_twice_in_one_page_counts_as_it_was_told_last() -> None:
    said = element(
        "<m:x><m:SyncState>s</m:SyncState><m:Changes>"
        '<t:Create><t:CalendarItem><t:ItemId Id="a" ChangeKey="1"/></t:CalendarItem></t:Create>'
        '<t:Update><t:CalendarItem><t:ItemId Id="a" ChangeKey="2"/></t:CalendarItem></t:Update>'
        '<t:Create><t:CalendarItem><t:ItemId Id="b" ChangeKey="1"/></t:CalendarItem></t:Create>'
        '<t:Delete><t:ItemId Id="b"/></t:Delete><t:Delete/></m:Changes></m:x>'
    )
    page = folders.read_changes(said)
    assert (page.changed, page.gone, page.is_last) == ((ItemId("a", "2"),), ("b",), True)


def test_a_listing_that_does_not_tell_series_apart_may_hold_one_anywhere() -> None:
    kinds = {"a": "Single", "b": "RecurringMaster", "c": ""}
    items = "".join(
        f'<t:Create><t:CalendarItem><t:ItemId Id="{name}"/>{f"<t:CalendarItemType>{kind}</t:CalendarItemType>" if kind else ""}'
        "</t:CalendarItem></t:Create>"
        for name, kind in kinds.items()
    )
    page = folders.read_changes(element(f"<m:x><m:SyncState>s</m:SyncState><m:Changes>{items}</m:Changes></m:x>"))
    assert page.masters == {"b", "c"}


def test_a_folder_that_tells_no_rights_is_tried() -> None:
    said = element('<m:x><m:Folders><t:CalendarFolder><t:FolderId Id="f"/></t:CalendarFolder></m:Folders></m:x>')
    (found,) = folders.read_folders(said)
    assert (found.is_calendar, found.can_read, found.can_create) == (True, True, True)


def test_free_busy_in_digits_alone_is_understood() -> None:
    said = element(
        "<m:FreeBusyResponse><m:FreeBusyView><t:FreeBusyViewType>MergedOnly</t:FreeBusyViewType>"
        "<t:MergedFreeBusy>0022301400</t:MergedFreeBusy></m:FreeBusyView></m:FreeBusyResponse>"
    )
    start = datetime(2026, 3, 9, 8, tzinfo=UTC)
    found = availability.read_busy(said, Timespan(start, start.replace(hour=13)), 30)
    assert found is not None
    assert [(f"{each.span.start:%H:%M}-{each.span.end:%H:%M}", each.show_as) for each in found] == [
        ("09:00-10:00", ShowAs.BUSY),
        ("10:00-10:30", ShowAs.OOF),
        ("11:00-11:30", ShowAs.TENTATIVE),
        ("11:30-12:00", ShowAs.WORKING_ELSEWHERE),
    ]


# --- what Exchange does to a series -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("new", "loses"),
    [
        (weekly(), False),
        (weekly(rrule="FREQ=WEEKLY;BYDAY=TU;WKST=SU"), False),  # no other pattern
        (weekly(rrule="FREQ=DAILY"), True),
        (weekly(rrule=""), True),
        (weekly(event=Event(at("2026-03-10T11:00"), at("2026-03-10T12:00"))), True),
        (weekly(event=Event(at("2026-03-10T09:00"), at("2026-03-10T10:00"), "Other")), False),
    ],
)
def test_a_moved_series_loses_its_exceptions(new: Series, loses: bool) -> None:
    assert oddities.loses_exceptions(weekly(), new, "Exchange2013") is loses


def test_what_was_deleted_does_not_come_back_by_itself() -> None:
    gone = weekly(exdate=(at("2026-03-17T09:00"), at("2026-03-24T09:00")))
    assert oddities.comes_back(gone, weekly(exdate=(at("2026-03-24T09:00"),))) == (at("2026-03-17T09:00"),)
