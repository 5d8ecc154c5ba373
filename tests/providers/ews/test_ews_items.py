"""Calendar items as series and back: content, people, times, exceptions, and what sloppy servers make of them."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.providers.ews.wire_series import series as any_series
from tests.providers.ews.wire_world import calendar_items, item, sample, written

from gleichtakt.errors import Permanent
from gleichtakt.model.event import Attendee, Event, Override, Person, Reminder, Response, Sensitivity, Series, ShowAs, Status
from gleichtakt.model.point import Day, Floating, Zoned, wall_of
from gleichtakt.providers.ews.wire import soap
from gleichtakt.providers.ews.wire.bodies import plain, text_of_html
from gleichtakt.providers.ews.wire.drafts import Draft, changes, event_changes, write_item, write_point
from gleichtakt.providers.ews.wire.items import exception_ids, read_item
from gleichtakt.providers.ews.wire.marks import plain_uid
from gleichtakt.providers.ews.wire.names import T

BERLIN = "Europe/Berlin"
DRAFT = Draft("Exchange2013", BERLIN)
MASTER = calendar_items(soap.read(sample("synthetic/getitem-response-recurring-master-with-exceptions.xml")))[0]
EXCEPTION = calendar_items(soap.read(sample("synthetic/getitem-response-exception.xml")))[0]
ALL = frozenset(Event.__dataclass_fields__) | {"recurrence"}
ZONE = '<t:StartTimeZone Id="W. Europe Standard Time"/><t:EndTimeZone Id="W. Europe Standard Time"/>'
TIMES = "<t:Start>2026-03-10T08:00:00Z</t:Start><t:End>2026-03-10T09:00:00Z</t:End>"


def at(text: str, zone: str = BERLIN) -> Zoned:
    return Zoned(datetime.fromisoformat(text), zone)


def event(**fields: object) -> Event:
    return replace(Event(at("2026-03-10T09:00"), at("2026-03-10T10:00"), "Plan"), **fields)  # type: ignore[arg-type]


def read(content: str, zone: str = "UTC") -> Series:
    return read_item(item(content), zone=zone).series


# --- reading ------------------------------------------------------------------------------------------------------


def test_a_master_with_its_exceptions_is_one_series() -> None:
    given_content = {exception_ids(MASTER)[0].id: EXCEPTION}
    found = read_item(MASTER, exceptions=given_content)
    assert found.series.rrule == "FREQ=WEEKLY;BYDAY=TU;COUNT=8"
    assert found.series.event.start == at("2026-03-10T09:00")
    assert found.series.exdate == (at("2026-03-31T09:00"),)  # told as 07:00 UTC, after the clocks changed
    moved, unread = found.series.overrides
    assert (moved.recurrence_id, moved.event.start, moved.event.title) == (
        at("2026-03-17T09:00"),
        at("2026-03-17T11:00"),
        "Weekly plan (long)",
    )
    assert (unread.recurrence_id, unread.event.start, unread.event.title) == (
        at("2026-04-07T09:00"),
        at("2026-04-08T09:00"),
        "Weekly plan",
    )
    assert found.missing == (exception_ids(MASTER)[1].id,)


def test_content_is_read_as_it_stands_there() -> None:
    found = read_item(MASTER)
    one = found.series.event
    assert (one.title, one.description, one.location, one.categories) == (
        "Weekly plan",
        "Agenda\nin the wiki",
        "Room 101",
        ("Blue category",),
    )
    assert (one.show_as, one.sensitivity, one.status, one.reminders) == (
        ShowAs.BUSY,
        Sensitivity.NORMAL,
        Status.CONFIRMED,
        (Reminder(15),),
    )
    assert one.organizer == Person("anna@contoso.example", "Anna Meyer")
    assert [(who.email, who.role, who.response) for who in one.attendees] == [
        ("anna@contoso.example", "required", Response.ORGANIZER),
        ("bo@contoso.example", "required", Response.ACCEPTED),
        ("carl@partner.example", "optional", Response.NONE),
        ("room.101@contoso.example", "resource", Response.ACCEPTED),
    ]
    assert (found.is_organizer, found.response, found.type) == (True, "organizer", "RecurringMaster")
    assert found.modified_at == datetime(2026, 2, 28, 8, tzinfo=UTC)
    assert found.change_key == "DwAAABYAAADm001="


def test_an_appointment_without_guests_has_no_organizer() -> None:
    own = "<t:Organizer><t:Mailbox><t:EmailAddress>a@x</t:EmailAddress></t:Mailbox></t:Organizer>"
    found = read_item(item(f"{TIMES}<t:MyResponseType>Unknown</t:MyResponseType>{own}"))
    assert (found.series.event.organizer, found.is_organizer) == (None, True)


def test_what_the_server_leaves_out_is_empty() -> None:
    assert read(TIMES) == Series("", Event(at("2026-03-10T08:00", "UTC"), at("2026-03-10T09:00", "UTC")))


def test_an_exception_that_says_nothing_of_it_stays_as_private_as_its_series() -> None:
    private = item(
        "<t:Sensitivity>Private</t:Sensitivity>" + TIMES + "<t:LegacyFreeBusyStatus>OOF</t:LegacyFreeBusyStatus>"
        "<t:Recurrence><t:DailyRecurrence><t:Interval>1</t:Interval></t:DailyRecurrence><t:NoEndRecurrence>"
        "<t:StartDate>2026-03-10</t:StartDate></t:NoEndRecurrence></t:Recurrence><t:ModifiedOccurrences><t:Occurrence>"
        '<t:ItemId Id="e"/><t:Start>2026-03-12T10:00:00Z</t:Start><t:End>2026-03-12T11:00:00Z</t:End>'
        "<t:OriginalStart>2026-03-12T08:00:00Z</t:OriginalStart></t:Occurrence></t:ModifiedOccurrences>"
    )
    content = item('<t:ItemId Id="e"/><t:Subject>Doctor</t:Subject>')
    (override,) = read_item(private, exceptions={"e": content}).series.overrides
    assert (override.event.sensitivity, override.event.show_as, override.event.title) == (
        Sensitivity.PRIVATE,
        ShowAs.OOF,
        "Doctor",
    )
    assert override.event.start == at("2026-03-12T10:00", "UTC")


@pytest.mark.parametrize(
    ("start", "zone", "day"),
    [
        ("2026-03-09T23:00:00Z", ZONE, date(2026, 3, 10)),  # midnight in Berlin
        ("2026-07-09T22:00:00Z", ZONE, date(2026, 7, 10)),
        ("2026-03-10T08:00:00Z", '<t:StartTimeZone Id="Pacific Standard Time"/>', date(2026, 3, 10)),
        ("2026-03-09T10:00:00Z", '<t:StartTimeZone Id="Line Islands Standard Time"/>', date(2026, 3, 10)),
        ("2026-03-09T23:00:00Z", "", date(2026, 3, 10)),  # no zone told: the nearest midnight
        ("2026-03-10T00:00:00", "", date(2026, 3, 10)),
    ],
)
def test_a_whole_day_is_the_day_it_was_meant_to_be(start: str, zone: str, day: date) -> None:
    end = (datetime.fromisoformat(start) + timedelta(days=1)).isoformat()
    found = read(f"<t:Start>{start}</t:Start><t:End>{end}</t:End><t:IsAllDayEvent>true</t:IsAllDayEvent>{zone}")
    assert (found.event.start, found.event.end) == (Day(day), Day(day + timedelta(days=1)))


def test_a_whole_day_lasts_at_least_one() -> None:
    found = read(
        "<t:Start>2026-03-10T00:00:00Z</t:Start><t:End>2026-03-10T00:00:00Z</t:End><t:IsAllDayEvent>true</t:IsAllDayEvent>"
    )
    assert found.event.end == Day(date(2026, 3, 11))


def test_a_deleted_occurrence_is_found_by_its_day_where_the_zone_has_other_hours_since() -> None:
    found = read(
        "<t:Start>2026-03-10T08:00:00Z</t:Start><t:End>2026-03-10T09:00:00Z</t:End><t:Recurrence><t:DailyRecurrence>"
        "<t:Interval>1</t:Interval></t:DailyRecurrence><t:NoEndRecurrence><t:StartDate>2026-03-10</t:StartDate>"
        "</t:NoEndRecurrence></t:Recurrence><t:DeletedOccurrences><t:DeletedOccurrence><t:Start>2026-07-01T08:00:00Z</t:Start>"
        f"</t:DeletedOccurrence></t:DeletedOccurrences>{ZONE}"
    )
    assert found.exdate == (at("2026-07-01T09:00"),)  # 10:00 in Berlin by today's rules, but the series is at nine


def test_the_form_of_2007_has_its_zone_in_another_place() -> None:
    found = read(TIMES + '<t:MeetingTimeZone TimeZoneName="W. Europe Standard Time"/>')
    assert found.event.start == at("2026-03-10T09:00")


def test_start_and_end_may_lie_in_two_zones() -> None:
    zones = '<t:StartTimeZone Id="W. Europe Standard Time"/><t:EndTimeZone Id="GMT Standard Time"/>'
    found = read(TIMES + zones)
    assert (found.event.start, found.event.end) == (at("2026-03-10T09:00"), at("2026-03-10T09:00", "Europe/London"))


@pytest.mark.parametrize(
    "broken",
    [
        "<t:Subject>No time</t:Subject>",
        "<t:Start>soon</t:Start><t:End>later</t:End>",
        TIMES + "<t:CalendarItemType>RecurringMaster</t:CalendarItemType>",  # a lunar pattern is left out altogether
        TIMES + "<t:Recurrence><t:LunarRecurrence/></t:Recurrence>",
    ],
)
def test_an_item_we_do_not_understand_is_refused_alone(broken: str) -> None:
    with pytest.raises(Permanent) as raised:
        read(broken)
    assert (raised.value.code, raised.value.scope) == ("general.unreadable", "series")


def test_the_mark_of_another_product_is_recognised() -> None:
    theirs = (
        '<t:ExtendedProperty><t:ExtendedFieldURI DistinguishedPropertySetId="PublicStrings" PropertyName="googleEventID" '
        'PropertyType="String"/><t:Value>abc</t:Value></t:ExtendedProperty>'
    )
    assert read_item(item(theirs + TIMES)).foreign_marker == "Outlook Google Calendar Sync"


def test_our_name_under_the_guid_of_another_is_not_our_mark() -> None:
    theirs = (
        '<t:ExtendedProperty><t:ExtendedFieldURI PropertySetId="11111111-2222-3333-4444-555555555555" '
        'PropertyName="GleichtaktMark" PropertyType="String"/><t:Value>a/b/c</t:Value></t:ExtendedProperty>'
    )
    assert read_item(item(theirs + TIMES)).marker == ""


@given(
    place=st.integers(0, 10_000),
    said=st.sampled_from(
        ["", " ", "soon", "-1", "0", "99999999999", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "\u0661", None]
    ),
    more=st.integers(0, 10_000),
)
@settings(max_examples=300)
def test_whatever_a_server_writes_an_item_is_read_or_refused_never_a_bug(place: int, said: str | None, more: int) -> None:
    broken = deepcopy(MASTER)
    parts = list(broken.iter())[1:]
    for number in (place, more):
        part = parts[number % len(parts)]
        if said is None:
            part.clear()
        else:
            part.text = said
            part.attrib.update(dict.fromkeys(part.attrib, said))
    try:
        found = read_item(broken, exceptions={exception_ids(MASTER)[0].id: EXCEPTION})
    except Permanent as refusal:
        assert refusal.code == "general.unreadable"
    else:
        assert wall_of(found.series.event.start)


# --- what sloppy servers write ------------------------------------------------------------------------------------


def test_fields_may_stand_in_any_order() -> None:
    turned = item("")
    turned[:] = reversed(list(deepcopy(MASTER)))
    assert read_item(turned).series == read_item(MASTER).series


def test_of_a_doubled_field_the_last_counts() -> None:
    assert read(f"<t:Subject>Old</t:Subject>{TIMES}<t:Subject>New</t:Subject>").event.title == "New"


def test_an_exception_told_twice_is_one() -> None:
    doubled = deepcopy(MASTER)
    listed = doubled.find(T + "ModifiedOccurrences")
    assert listed is not None
    listed.append(deepcopy(listed[0]))
    assert len(read_item(doubled).series.overrides) == 2


@pytest.mark.parametrize(
    "start",
    [
        "2026-03-10T08:00:00Z",
        "2026-03-10T08:00:00.000Z",
        "2026-03-10T08:00:00.1234567Z",
        "2026-03-10T09:00:00+01:00",
        "2026-03-10T09:00:00+0100",
        "2026-03-10T09:00:00.5+0100",
        "2026-03-10T09:00:00",  # told on the item's own clock
        "2026-03-10T08:00Z",
        " 2026-03-10T08:00:00Z\n",
    ],
)
def test_a_time_is_understood_however_it_is_written(start: str) -> None:
    found = read(f"<t:Start>{start}</t:Start><t:End>2026-03-10T10:00:00Z</t:End>{ZONE}")
    assert found.event.start == at("2026-03-10T09:00")


@pytest.mark.parametrize(
    ("said", "meant"), [("NoData", ShowAs.BUSY), ("Sleeping", ShowAs.BUSY), ("WorkingElsewhere", ShowAs.WORKING_ELSEWHERE)]
)
def test_a_status_we_do_not_know_keeps_the_time_taken(said: str, meant: ShowAs) -> None:
    assert read(f"{TIMES}<t:LegacyFreeBusyStatus>{said}</t:LegacyFreeBusyStatus>").event.show_as is meant


def test_a_guest_without_name_or_answer_is_still_a_guest() -> None:
    guests = (
        "<t:RequiredAttendees><t:Attendee><t:Mailbox><t:EmailAddress>a@x</t:EmailAddress></t:Mailbox></t:Attendee>"
        "<t:Attendee><t:Mailbox><t:Name>Nobody</t:Name></t:Mailbox></t:Attendee>"
        "<t:Attendee><t:Mailbox><t:Name>B</t:Name><t:EmailAddress>b@x</t:EmailAddress></t:Mailbox>"
        "<t:ResponseType>Maybe</t:ResponseType></t:Attendee></t:RequiredAttendees>"
    )
    assert read(TIMES + guests).event.attendees == (Attendee("a@x"), Attendee("b@x", "B"))


def test_a_guest_known_by_the_directory_only_keeps_that_name() -> None:
    known = Attendee("/O=CONTOSO/OU=X/CN=RECIPIENTS/CN=ANNA", "Anna")
    draft = written(write_item(Series("u", event(attendees=(known,))), DRAFT))
    assert draft.findtext(f".//{T}RoutingType") == "EX"
    assert read_item(draft).series.event.attendees == (known,)


# --- bodies -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<html><head><title>x</title><style>p {}</style></head><body><p>Hello</p></body></html>", "Hello"),
        ("<p class=MsoNormal>One</p>\r\n<p class=MsoNormal>Two</p>", "One\nTwo"),
        ("<p>One</p><p>&nbsp;</p><p>Two</p>", "One\n\nTwo"),
        ("<div>One</div><div><br></div><div>Two<br></div>", "One\n\nTwo"),
        ("One<br>\r\nTwo<BR/>Three", "One\nTwo\nThree"),
        ("<ul><li>One</li><li>Two</li></ul>After", "- One\n- Two\nAfter"),
        ("a &lt;b&gt; &amp; c&uuml; &#8211;", "a <b> & cü –"),
        ("<!-- [if gte mso 9]><xml>no</xml><![endif]--><p>yes</p>", "yes"),
        ("<table><tr><td>A</td><td>B</td></tr><tr><td>C</td></tr></table>", "AB\nC"),
        ("<script>if (a < b) alert(1)</script>Hi <b>you</b>", "Hi you"),
        ("1 < 2 and 3 > 2", "1 < 2 and 3 > 2"),
        ("<style>endless", "endless"),
        ("", ""),
        ("<html><body></body></html>", ""),
    ],
)
def test_the_text_of_a_body_is_what_a_person_reads(html: str, text: str) -> None:
    assert text_of_html(html) == text


def test_no_body_takes_longer_than_its_length() -> None:
    for trap in ("<style>", "<!--", "<p ", "<?", "&#", "<br", "<![", " <div"):
        assert len(text_of_html(trap * 20_000)) <= 200_000  # seconds would be minutes if it looked back


def test_a_text_body_has_line_feeds_only_and_no_blank_end() -> None:
    assert plain("One\r\nTwo\rThree \r\n\r\n") == "One\nTwo\nThree"


def test_a_body_nobody_edited_is_never_written() -> None:
    html = "<html><body><p>Agenda</p></body></html>"
    kept = event(description="Agenda", html=html)
    assert event_changes(kept, replace(kept, title="Other", html="<p>Agenda</p>"), ALL, DRAFT) == event_changes(
        event(), event(title="Other"), ALL, DRAFT
    )


def test_a_body_is_written_as_html_only_while_that_says_what_the_text_says() -> None:
    html = "<html><body><p>Agenda</p></body></html>"
    assert read_item(written(write_item(Series("u", event(description="Agenda", html=html)), DRAFT))).series.event.html == html
    edited = read_item(written(write_item(Series("u", event(description="Other", html=html)), DRAFT))).series.event
    assert (edited.description, edited.html) == ("Other", "")


# --- writing ------------------------------------------------------------------------------------------------------


@given(one=any_series())
@settings(max_examples=80)
def test_what_is_written_is_read_the_same(one: Series) -> None:
    draft = Draft("Exchange2016", BERLIN)
    found = read_item(written(write_item(one, draft, mark="m/l/s", key="0" * 32, done="1" * 32)))
    assert (found.marker, found.key, found.done, found.series.uid) == ("m/l/s", "0" * 32, "1" * 32, one.uid)
    again = read_item(written(write_item(found.series, draft))).series
    assert again == found.series  # once through Exchange's words, nothing moves any more
    assert (found.series.rrule != "") is one.is_recurring
    if not one.is_recurring:
        assert wall_of(found.series.event.start) == wall_of(one.event.start)
        assert wall_of(found.series.event.end) == wall_of(one.event.end)
    assert (found.series.event.show_as, found.series.event.sensitivity) == (one.event.show_as, one.event.sensitivity)


def test_a_series_begins_with_its_first_occurrence() -> None:
    monday = at("2026-03-09T09:00")
    one = Series("u", event(start=monday, end=at("2026-03-09T10:00")), "FREQ=WEEKLY;BYDAY=TU")
    found = read_item(written(write_item(one, DRAFT))).series
    assert (found.event.start, found.event.end) == (at("2026-03-10T09:00"), at("2026-03-10T10:00"))


@pytest.mark.parametrize(
    ("one", "reason"),
    [
        (Series("u", event(), "FREQ=WEEKLY;BYDAY=TU", rdate=(at("2026-03-11T09:00"),)), "recurrence.extra_dates"),
        (Series("u", event(), "FREQ=YEARLY;BYWEEKNO=11"), "recurrence.week_numbers"),
    ],
)
def test_what_no_pattern_says_is_refused_with_its_reason(one: Series, reason: str) -> None:
    with pytest.raises(Permanent) as raised:
        write_item(one, DRAFT)
    assert raised.value.code == reason


@pytest.mark.parametrize(
    ("point", "text"),
    [
        (at("2026-03-10T09:00"), "2026-03-10T09:00:00+01:00"),
        (at("2026-07-10T09:00"), "2026-07-10T09:00:00+02:00"),
        (at("2026-03-29T02:30"), "2026-03-29T02:30:00+01:00"),  # does not exist: the offset before the gap
        (Zoned(at("2026-10-25T02:30").wall.replace(fold=1), BERLIN), "2026-10-25T02:30:00+01:00"),  # the second time
        (at("2026-03-10T09:00", "America/New_York"), "2026-03-10T09:00:00-04:00"),
        (at("2026-03-10T09:00", "Asia/Kathmandu"), "2026-03-10T09:00:00+05:45"),
        (at("1880-01-01T12:00", "Europe/Amsterdam"), "1880-01-01T11:40:28Z"),
        (Day(date(2026, 3, 10)), "2026-03-10T00:00:00+01:00"),  # in the zone days are written in
        (Floating(at("2026-03-10T09:00").wall), "2026-03-10T09:00:00+01:00"),
    ],
)
def test_a_time_travels_with_its_offset(point: Day | Floating | Zoned, text: str) -> None:
    if point == at("1880-01-01T12:00", "Europe/Amsterdam"):
        assert write_point(point, BERLIN).endswith("Z")
    else:
        assert write_point(point, BERLIN) == text


def test_an_older_server_shows_working_elsewhere_as_free() -> None:
    away = Series("u", event(show_as=ShowAs.WORKING_ELSEWHERE))
    assert read_item(written(write_item(away, Draft("Exchange2010_SP2")))).series.event.show_as is ShowAs.FREE


def test_a_server_of_2007_is_told_the_zone_of_single_events_too() -> None:
    found = read_item(written(write_item(Series("u", event()), Draft("Exchange2007_SP1"))), zone="UTC")
    assert found.series.event == event()


def test_a_reminder_after_the_start_rings_at_the_start() -> None:
    found = read_item(written(write_item(Series("u", event(reminders=(Reminder(-5), Reminder(10)))), DRAFT)))
    assert found.series.event.reminders == (Reminder(0),)


# --- changes ------------------------------------------------------------------------------------------------------


def uris(found: tuple[str, ...]) -> list[str]:
    return [part.split('FieldURI="')[1].split('"')[0] for part in found]


def test_only_what_differs_is_written_each_property_by_itself() -> None:
    found = event_changes(event(), event(title="Other", location="Room 1"), ALL, DRAFT)
    assert uris(found) == ["item:Subject", "calendar:Location"]


def test_what_is_empty_is_deleted_not_set() -> None:
    base = event(location="Room", description="Text", categories=("Red",), reminders=(Reminder(5),), attendees=(Attendee("a@x"),))
    found = event_changes(base, event(), ALL, DRAFT)
    assert [change.startswith("<t:DeleteItemField>") for change in found] == [True, True, False, True, True]
    assert uris(found) == [
        "item:Body",
        "item:Categories",
        "item:ReminderIsSet",
        "calendar:Location",
        "calendar:RequiredAttendees",
    ]


def test_fields_that_are_not_meant_stay_as_they_are() -> None:
    assert event_changes(event(), event(title="Other", location="Room"), frozenset({"location"}), DRAFT) == event_changes(
        event(), event(location="Room"), ALL, DRAFT
    )


def test_times_are_written_together_with_their_zones() -> None:
    found = uris(event_changes(event(), event(end=at("2026-03-10T11:00")), ALL, DRAFT))
    assert found == [
        "calendar:Start",
        "calendar:End",
        "calendar:IsAllDayEvent",
        "calendar:StartTimeZone",
        "calendar:EndTimeZone",
    ]
    older = uris(event_changes(event(), event(end=at("2026-03-10T11:00")), ALL, Draft("Exchange2007_SP1")))
    assert older == ["calendar:Start", "calendar:End", "calendar:IsAllDayEvent", "calendar:MeetingTimeZone"]


@pytest.mark.parametrize(
    ("base", "new", "expected"),
    [
        ("FREQ=DAILY", "FREQ=DAILY;INTERVAL=2", "SetItemField"),
        ("FREQ=DAILY", "", "DeleteItemField"),
        ("", "FREQ=DAILY", "SetItemField"),
        ("FREQ=DAILY", "FREQ=DAILY", ""),
        ("FREQ=DAILY;BYDAY=MO,TU,WE,TH,FR", "FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR", ""),  # the same pattern there
    ],
)
def test_a_pattern_is_written_where_it_differs(base: str, new: str, expected: str) -> None:
    found = changes(Series("u", event(), base), Series("u", event(), new), ALL, DRAFT)
    assert [part[3:].split(">")[0] for part in found] == ([expected] if expected else [])


def test_a_series_that_moves_to_another_day_takes_its_pattern_along() -> None:
    moved = event(start=at("2026-03-11T09:00"), end=at("2026-03-11T10:00"))
    found = uris(changes(Series("u", event(), "FREQ=DAILY"), Series("u", moved, "FREQ=DAILY"), ALL, DRAFT))
    assert found[-1] == "calendar:Recurrence"


def test_the_organizer_is_not_invited() -> None:
    boss = Person("boss@x", "Boss")
    guests = (Attendee("BOSS@x"), Attendee("chef@x", response=Response.ORGANIZER), Attendee("a@x"))
    draft = written(write_item(Series("u", event(organizer=boss, attendees=guests)), DRAFT))
    assert [who.email for who in read_item(draft).series.event.attendees] == ["a@x"]


# --- UIDs ---------------------------------------------------------------------------------------------------------

OWN = "040000008200E00074C5B7101A82E00800000000F0A1B2C3D4E5DA0100000000000000001000000000112233445566778899AABBCCDDEEFF"


def test_a_foreign_uid_is_unwrapped_where_it_is_told_as_exchange_keeps_it() -> None:
    # [MS-OXCICAL] shows this one in its example
    uid = "{81412D3C-2A24-4E9D-B20E-11F7BBE92799}"
    kept = (
        "040000008200E00074C5B7101A82E008"
        + "00" * 20
        + "33000000"
        + "7643616C2D55696401000000"
        + uid.encode().hex().upper()
        + "00"
    )
    assert plain_uid(kept) == uid


@pytest.mark.parametrize("said", ["", "a@b", OWN, "0400", "04" * 60])
def test_other_uids_are_told_as_they_are(said: str) -> None:
    assert plain_uid(said) == said


def test_overrides_come_in_the_order_of_their_slots() -> None:
    found = read_item(MASTER).series.overrides
    assert list(found) == sorted(found, key=lambda each: wall_of(each.recurrence_id))
    assert all(isinstance(each, Override) for each in found)
