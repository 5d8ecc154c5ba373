"""Every request we can make is one the published schema allows."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from tests.providers.ews.wire_series import series
from tests.providers.ews.wire_world import refused

from gleichtakt.errors import Permanent
from gleichtakt.model.event import Series
from gleichtakt.model.point import Timespan
from gleichtakt.providers.ews.wire import requests
from gleichtakt.providers.ews.wire.drafts import FIELDS, Draft, changes, drop_done, set_done, write_item
from gleichtakt.providers.ews.wire.ids import Distinguished, FolderId, ItemId, Occurrence
from gleichtakt.providers.ews.wire.marks import KEY
from gleichtakt.providers.ews.wire.names import VERSIONS
from gleichtakt.providers.protocol import Mail, OutOfOffice

CALENDAR = Distinguished("calendar", "anna@contoso.example")
OTHER = FolderId("AAMkAD=&<>", "AQ==")
ITEMS = (ItemId("AAMkAD1", "DwAA"), ItemId("AAMkAD2"), Occurrence("AAMkAD3", 4, "DwAA"))
START, END = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC)
AWAY = OutOfOffice("scheduled", Timespan(START, END), "known", "<p>Away</p>", "<p>Away & out</p>")

REQUESTS = {
    "folder": requests.get_folder([CALENDAR, OTHER]),
    "folders": requests.find_folder(Distinguished("msgfolderroot"), offset=500),
    "changes": requests.sync_folder_items(CALENDAR),
    "changes with types": requests.sync_folder_items(CALENDAR, with_type=True),
    "more changes": requests.sync_folder_items(OTHER, "H4sI+/==", 10),
    "items": requests.get_item(ITEMS, requests.item_shape("Exchange2013")),
    "items of 2007": requests.get_item(ITEMS, requests.item_shape("Exchange2007_SP1")),
    "versions of items": requests.get_item(ITEMS, requests.ID_ONLY),
    "one field": requests.get_item(ITEMS, requests.shape_of(["item:Subject"], [KEY])),
    "by key": requests.find_item(CALENDAR, requests.Paged(), where=requests.Holds(KEY, "0123abcd")),
    "second page": requests.find_item(OTHER, requests.Paged(offset=500)),
    "delete": requests.delete_item(ITEMS),
    "delete for good, with mail": requests.delete_item(ITEMS[:1], Mail.ALL, for_good=True),
    "names": requests.resolve_names("Ann"),
    "names with details": requests.resolve_names("smtp:anna@contoso.example", full=True),
    "room lists": requests.get_room_lists(),
    "rooms": requests.get_rooms("rooms@contoso.example"),
    "free and busy": requests.get_user_availability(["a@contoso.example", "b@contoso.example"], START, END),
    "replies": requests.get_user_oof_settings("anna@contoso.example"),
    "set replies": requests.set_user_oof_settings("anna@contoso.example", AWAY),
    "set no replies": requests.set_user_oof_settings("anna@contoso.example", OutOfOffice()),
    "stream": requests.subscribe_streaming([CALENDAR, OTHER]),
    "pull": requests.subscribe_pull([CALENDAR], minutes=1440, watermark="AQAA"),
    "push": requests.subscribe_push([CALENDAR], "https://sync.contoso.example/hooks/?a=1&b=2"),
    "unsubscribe": requests.unsubscribe("JgBib"),
    "events": requests.get_events("JgBib", "AQAA"),
    "streamed events": requests.get_streaming_events(["JgBib", "JgBic"], minutes=1),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_every_operation_asks_in_the_words_of_the_schema(name: str) -> None:
    assert refused(REQUESTS[name]) == []


@given(one=series())
@settings(max_examples=60)
def test_any_series_is_created_in_the_words_of_the_schema(one: Series) -> None:
    for version in ("Exchange2007_SP1", "Exchange2010", "Exchange2016"):
        try:
            items = [write_item(one, Draft(version, "Europe/Berlin"), mark="a/b/c", key="0" * 32, done="0" * 32)]
        except Permanent as refusal:
            assert refusal.code == "recurrence.weekly_limits"  # before 2010 SP1 weeks begin on Sunday
            assert version != "Exchange2016"
            continue
        assert refused(requests.create_item(items, CALENDAR), version) == []


@given(base=series(), new=series())
@settings(max_examples=60)
def test_any_change_is_made_in_the_words_of_the_schema(base: Series, new: Series) -> None:
    draft = Draft("Exchange2013", "Europe/Berlin")
    found = changes(base, new, frozenset({*FIELDS, "recurrence"}), draft, mark="a/b/c")
    for last in (set_done("0" * 32), drop_done()):
        assert refused(requests.update_item([requests.Update(ITEMS[0], (*found, last))], Mail.NONE)) == []


@given(one=series())
@settings(max_examples=20)
def test_what_did_not_change_is_not_written(one: Series) -> None:
    assert changes(one, one, frozenset({*FIELDS, "recurrence"}), Draft("Exchange2013")) == ()


def test_no_request_sends_mail_by_itself() -> None:
    quiet = [
        requests.create_item(["<t:CalendarItem/>"], CALENDAR),
        requests.update_item([requests.Update(ITEMS[0], ["<x/>"])]),
        requests.delete_item(ITEMS),
        requests.create_item(["<t:CalendarItem/>"], CALENDAR, Mail.EXTERNAL),  # Exchange cannot write to outsiders alone
        requests.delete_item(ITEMS, Mail.EXTERNAL),
    ]
    assert all(b"SendToNone" in request and b"SendToAll" not in request for request in quiet)


def test_an_update_never_overwrites_what_moved_on() -> None:
    assert b'ConflictResolution="NeverOverwrite"' in requests.update_item([requests.Update(ITEMS[0], ["<x/>"])])


@pytest.mark.parametrize("version", VERSIONS)
def test_a_server_is_asked_for_nothing_newer_than_itself(version: str) -> None:
    shape = requests.item_shape(version)
    assert ("StartTimeZone" in shape) is (version != "Exchange2007_SP1")
    assert ("JoinOnlineMeetingUrl" in shape) is (version in {"Exchange2013", "Exchange2013_SP1", "Exchange2016"})
