"""MimeContent: calendar items of a simulated Exchange as iCalendar text, read and written, and properties by MAPI's names."""

from __future__ import annotations

import base64
from datetime import UTC, date, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.simulators.exchange.asking import (
    BERLIN,
    Office,
    attendee,
    code,
    deleting,
    has,
    in_zone,
    item_id,
    occurrence,
    setting,
    text,
    texts,
    timed,
    weekly,
)

from gleichtakt.model.event import Sensitivity, Series, ShowAs
from gleichtakt.model.ics import read_calendar
from gleichtakt.model.point import Day, Zoned
from gleichtakt.simulators.exchange import calendar
from gleichtakt.simulators.exchange.calendar import known_days
from gleichtakt.simulators.exchange.rules import pattern_of_rule, rule_of_pattern
from gleichtakt.simulators.exchange.state import Refused
from gleichtakt.simulators.exchange.zones import known

wall = datetime.fromisoformat  # readings without zone
MIME = '<t:FieldURI FieldURI="item:MimeContent"/>'
EVENT = """\
UID:{uid}
DTSTAMP:20260301T080000Z
SUMMARY:Planning
DTSTART;TZID={zone}:20260310T090000
DTEND;TZID={zone}:20260310T093000
"""


def encoded(*events: str) -> str:
    """Give events as MimeContent has them."""
    parts = "".join(f"BEGIN:VEVENT\n{one}END:VEVENT\n" for one in events)
    whole = f"BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:-//Test//EN\n{parts}END:VCALENDAR\n"
    return base64.b64encode(whole.replace("\n", "\r\n").encode()).decode()


def event(more: str = "", uid: str = "planning", zone: str = "Europe/Berlin") -> str:
    """Give a half hour in March, with further lines."""
    return EVENT.format(uid=uid, zone=zone) + more


def put(office: Office, *events: str, more: str = "") -> str:
    """Create an item from iCalendar text and give its id as it goes into a request."""
    made = office.create(f"<t:MimeContent>{encoded(*events)}</t:MimeContent>{more}")
    assert code(made) == "NoError", text(made, "MessageText")
    return item_id(made)


def read(office: Office, ident: str) -> bytes:
    """Give the iCalendar text of an item."""
    return base64.b64decode(text(office.get(ident, base="IdOnly", more=MIME), "MimeContent"))


def series(office: Office, ident: str) -> Series:
    """Give what the iCalendar text of an item means."""
    (found,) = read_calendar(read(office, ident)).series
    return found


# --- written -----------------------------------------------------------------------------------------------------


def test_an_item_is_written_as_exchange_writes_icalendar() -> None:
    office = Office()
    ident = item_id(
        office.create(timed("2026-03-10T09:00:00", "2026-03-10T09:30:00", "<t:Subject>Plan, A</t:Subject>", in_zone()))
    )
    lines = read(office, ident).decode().split("\r\n")
    assert lines[:4] == ["BEGIN:VCALENDAR", "METHOD:PUBLISH", "PRODID:Microsoft Exchange Server 2010", "VERSION:2.0"]
    for line in (
        "TZID:W. Europe Standard Time",
        "DTSTART:16010101T030000",
        "TZOFFSETFROM:+0200",
        "RRULE:FREQ=YEARLY;INTERVAL=1;BYDAY=-1SU;BYMONTH=10",
        "SUMMARY;LANGUAGE=en-US:Plan\\, A",
        "DTSTART;TZID=W. Europe Standard Time:20260310T090000",
        "DTEND;TZID=W. Europe Standard Time:20260310T093000",
        "X-MICROSOFT-CDO-BUSYSTATUS:BUSY",
        "X-MICROSOFT-CDO-INSTTYPE:0",
        "TRIGGER;RELATED=START:-PT15M",
    ):
        assert line in lines


def test_the_text_stands_in_answers_that_include_it_and_in_no_others() -> None:
    office = Office()
    ident = item_id(office.create(weekly()))
    shape = "<m:ItemShape><t:BaseShape>IdOnly</t:BaseShape><t:IncludeMimeContent>true</t:IncludeMimeContent></m:ItemShape>"
    answer = office.ask(f"<m:GetItem >{shape}<m:ItemIds>{ident}</m:ItemIds></m:GetItem>")
    assert base64.b64decode(text(answer, "MimeContent")).startswith(b"BEGIN:VCALENDAR")
    assert not has(office.get(ident), "MimeContent")
    assert not has(office.find(more=MIME), "MimeContent")


def test_a_series_is_written_with_what_its_occurrences_have_of_their_own() -> None:
    office = Office()
    ident = item_id(office.create(weekly()))
    office.delete(occurrence(ident, 2))
    moved = item_id(office.get(occurrence(item_id(office.find()), 3)))
    assert code(office.update(moved, setting("calendar:End", "<t:End>2026-03-24T10:00:00Z</t:End>"))) == "NoError"
    found = series(office, item_id(office.find()))
    assert found.rrule == "FREQ=WEEKLY;BYDAY=TU;COUNT=8"
    assert found.exdate == (Zoned(wall("2026-03-17T09:00"), "Europe/Berlin"),)
    (override,) = found.overrides
    assert override.recurrence_id == Zoned(wall("2026-03-24T09:00"), "Europe/Berlin")
    assert override.event.end == Zoned(wall("2026-03-24T11:00"), "Europe/Berlin")
    alone = read(office, moved.partition('" Change')[0] + '"/>')
    assert b"RECURRENCE-ID;TZID=W. Europe Standard Time:20260324T090000" in alone and b"INSTTYPE:3" in alone
    assert b"RRULE:FREQ=WEEKLY" not in alone


@pytest.mark.parametrize(
    ("version", "line"),
    [("Exchange2016", b"DTSTART;VALUE=DATE:20260310"), ("Exchange2007_SP1", b"DTSTART;TZID=UTC:20260310T000000")],
)
def test_whole_days_are_dates_since_2010_and_midnights_before(version: str, line: bytes) -> None:
    office = Office()
    ident = item_id(
        office.create(timed("2026-03-10T00:00:00Z", "2026-03-11T00:00:00Z", "", "<t:IsAllDayEvent>true</t:IsAllDayEvent>"))
    )
    office.version = version
    written = read(office, ident)
    assert line in written and b"X-MICROSOFT-CDO-ALLDAYEVENT:TRUE" in written
    assert read_calendar(written).series[0].event.start == Day(date(2026, 3, 10))


def test_a_meeting_is_written_with_its_people_and_as_a_request() -> None:
    office = Office()
    times = timed("2026-03-10T09:00:00Z", "2026-03-10T10:00:00Z", "", attendee("bo@firm.example"))
    written = read(office, item_id(office.create(times, "SendToAllAndSaveCopy")))
    assert b"METHOD:REQUEST" in written
    (found,) = read_calendar(written).series
    assert found.event.organizer is not None and found.event.organizer.email == "anna@firm.example"
    assert [one.email for one in found.event.attendees] == ["bo@firm.example"]


# --- read --------------------------------------------------------------------------------------------------------


def test_an_item_made_from_text_says_what_the_text_says() -> None:
    office = Office()
    more = (
        "LOCATION:Hall\nDESCRIPTION:One\\nTwo\nCLASS:PRIVATE\nCATEGORIES:Red,Blue\nX-MICROSOFT-CDO-BUSYSTATUS:OOF\n"
        "BEGIN:VALARM\nACTION:DISPLAY\nTRIGGER:-PT30M\nEND:VALARM\n"
    )
    answer = office.get(put(office, event(more)))
    told = {"UID": "planning", "Subject": "Planning", "Location": "Hall", "Sensitivity": "Private"}
    told |= {"LegacyFreeBusyStatus": "OOF", "ReminderMinutesBeforeStart": "30", "Start": "2026-03-10T08:00:00Z"}
    assert {name: text(answer, name) for name in told} == told
    assert text(answer, "Body").split() == ["One", "Two"]
    assert texts(answer, "String") == ["Red", "Blue"]
    zone = answer.find(".//{*}StartTimeZone")
    assert zone is not None and zone.get("Id") == BERLIN


def test_what_stands_beside_the_text_wins_over_it() -> None:
    office = Office()
    answer = office.get(put(office, event(), more="<t:Subject>Other</t:Subject>"))
    assert text(answer, "Subject") == "Other"


def test_a_series_made_from_text_has_its_moved_and_its_deleted_occurrences() -> None:
    office = Office()
    moved = event("RECURRENCE-ID;TZID=Europe/Berlin:20260324T090000\n").replace("20260310", "20260325")
    put(office, event("RRULE:FREQ=WEEKLY;COUNT=4\nEXDATE;TZID=Europe/Berlin:20260317T090000\n"), moved)
    assert sorted(office.item.deleted) == [date(2026, 3, 17)]
    assert list(office.item.overrides) == [date(2026, 3, 24)]
    assert calendar.span(office.item, date(2026, 3, 24)).start == datetime(2026, 3, 25, 8, tzinfo=UTC)
    (own,) = office.item.overrides.values()
    assert own.keys() == {"Start", "End"}


def test_whole_days_without_zone_are_days_in_the_zone_of_the_request() -> None:
    office = Office()
    office.zone = BERLIN
    lines = "UID:day\nDTSTAMP:20260301T080000Z\nDTSTART;VALUE=DATE:20260310\nDTEND;VALUE=DATE:20260312\n"
    ident = put(office, lines)
    assert calendar.span(office.item).start == datetime(2026, 3, 9, 23, tzinfo=UTC)
    assert series(office, ident).event.end == Day(date(2026, 3, 12))


def test_a_zone_the_server_does_not_know_is_kept_with_its_rules() -> None:
    office = Office()
    zone = "BEGIN:VTIMEZONE\nTZID:Office\nBEGIN:STANDARD\nDTSTART:19700101T000000\nTZOFFSETFROM:+0117\nTZOFFSETTO:+0117\n"
    whole = base64.b64decode(encoded(event(zone="Office"))).decode().replace("\r\n", "\n")
    whole = whole.replace("BEGIN:VEVENT", f"{zone}END:STANDARD\nEND:VTIMEZONE\nBEGIN:VEVENT")
    made = office.create(f"<t:MimeContent>{base64.b64encode(whole.encode()).decode()}</t:MimeContent>")
    assert text(office.get(item_id(made)), "Start") == "2026-03-10T07:43:00Z"
    assert b"TZOFFSETTO:+0117" in read(office, item_id(made))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("no base64!", "ErrorMimeContentInvalidBase64String"),
        (base64.b64encode(b"Subject: a mail").decode(), "ErrorMimeContentInvalid"),
        (encoded(event(), event(uid="other")), "ErrorMimeContentInvalid"),
        (encoded(event("RRULE:FREQ=MONTHLY;BYMONTHDAY=31\n")), "ErrorMimeContentConversionFailed"),
        (encoded(event("RDATE;TZID=Europe/Berlin:20260312T090000\n")), "ErrorMimeContentConversionFailed"),
        (
            encoded(event("RRULE:FREQ=DAILY;COUNT=1\nEXDATE;TZID=Europe/Berlin:20260310T090000\n")),
            "ErrorRecurrenceHasNoOccurrence",
        ),
    ],
)
def test_text_that_is_no_item_is_refused_and_nothing_is_made(content: str, expected: str) -> None:
    office = Office()
    assert code(office.create(f"<t:MimeContent>{content}</t:MimeContent>")) == expected
    assert not office.anna.calendar.items


def test_text_in_an_update_takes_the_place_of_the_whole_item() -> None:
    office = Office()
    rule = "RRULE:FREQ=WEEKLY;COUNT=4\n"
    ident = put(office, event(f"LOCATION:Hall\n{rule}EXDATE;TZID=Europe/Berlin:20260317T090000\n"))
    content = encoded(event(f"{rule}EXDATE;TZID=Europe/Berlin:20260324T090000\n").replace("Planning", "Review"))
    answer = office.update(ident, setting("item:MimeContent", f"<t:MimeContent>{content}</t:MimeContent>"))
    assert code(answer) == "NoError"
    assert office.item.values["Subject"] == "Review" and "Location" not in office.item.values
    assert sorted(office.item.deleted) == [date(2026, 3, 24)]


def test_a_refused_text_in_an_update_changes_nothing() -> None:
    office = Office()
    ident = put(office, event("RRULE:FREQ=WEEKLY;COUNT=4\nEXDATE;TZID=Europe/Berlin:20260317T090000\n"))
    stray = event("RECURRENCE-ID;TZID=Europe/Berlin:20270324T090000\n").replace("20260310", "20270324")
    content = encoded(event("RRULE:FREQ=WEEKLY;COUNT=3\n"), stray)
    before = read(office, ident)
    answer = office.update(ident, setting("item:MimeContent", f"<t:MimeContent>{content}</t:MimeContent>"))
    assert code(answer) == "ErrorMimeContentConversionFailed"
    assert read(office, ident) == before


def test_the_text_of_one_occurrence_cannot_be_set() -> None:
    office = Office()
    ident = put(office, event("RRULE:FREQ=WEEKLY;COUNT=4\n"))
    target = item_id(office.get(occurrence(ident, 2)))
    answer = office.update(target, setting("item:MimeContent", f"<t:MimeContent>{encoded(event())}</t:MimeContent>"))
    assert code(answer) == "ErrorInvalidPropertySet"


def test_an_item_made_from_the_text_of_another_is_the_same() -> None:
    office = Office()
    more = "LOCATION:Hall\nDESCRIPTION:One\nRRULE:FREQ=MONTHLY;BYDAY=2TU;UNTIL=20261230T080000Z\n"
    moved = event("RECURRENCE-ID;TZID=Europe/Berlin:20260414T090000\n").replace("20260310", "20260415")
    first = read(office, put(office, event(more), moved))
    made = office.create(f"<t:MimeContent>{base64.b64encode(first).decode()}</t:MimeContent>")
    assert read_calendar(read(office, item_id(made))).series == read_calendar(first).series


RULES = st.sampled_from(
    (
        "FREQ=DAILY;INTERVAL=3",
        "FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,TH;WKST=SU",
        "FREQ=MONTHLY;BYMONTHDAY=12",
        "FREQ=MONTHLY;BYMONTHDAY=-1",
        "FREQ=MONTHLY;BYDAY=-1FR",
        "FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=2",
        "FREQ=YEARLY;BYMONTH=5;BYMONTHDAY=4",
        "FREQ=YEARLY;BYMONTH=11;BYDAY=4TH",
    )
)
ENDS = st.sampled_from(("", ";COUNT=7", ";UNTIL=20300601T080000Z"))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(RULES, ENDS, st.dates(date(2026, 1, 1), date(2027, 12, 31)))
def test_a_pattern_written_as_a_rule_and_read_again_has_the_same_days(rule: str, end: str, day: date) -> None:
    start = Zoned(wall(f"{day}T10:00"), "Europe/Berlin")
    pattern = pattern_of_rule(rule + end, start)
    zone = known(BERLIN)
    assert zone is not None
    first = wall(f"{pattern.start}T10:00")
    again = pattern_of_rule(rule_of_pattern(pattern, first, zone, is_all_day=False), Zoned(first, "Europe/Berlin"))
    assert known_days(again)[:50] == known_days(pattern)[:50]


def test_a_rule_no_pattern_says_is_refused() -> None:
    with pytest.raises(Refused):
        pattern_of_rule("FREQ=DAILY;BYMONTH=3", Zoned(wall("2026-03-01T09:00"), "Europe/Berlin"))


@pytest.mark.parametrize("shown", ShowAs)
def test_what_it_does_to_the_time_survives_the_text(shown: ShowAs) -> None:
    office = Office()
    word = shown.value.upper().replace("_", "")
    assert series(office, put(office, event(f"X-MICROSOFT-CDO-BUSYSTATUS:{word}\n"))).event.show_as is shown


def test_a_confidential_item_stays_so() -> None:
    office = Office()
    assert series(office, put(office, event("CLASS:CONFIDENTIAL\n"))).event.sensitivity is Sensitivity.CONFIDENTIAL


# --- properties by the names of MAPI -----------------------------------------------------------------------------


def tag(number: str, kind: str) -> str:
    """Name a property by its tag."""
    return f'<t:ExtendedFieldURI PropertyTag="{number}" PropertyType="{kind}"/>'


def named(group: str, number: int, kind: str) -> str:
    """Name a property of a set."""
    return f'<t:ExtendedFieldURI DistinguishedPropertySetId="{group}" PropertyId="{number}" PropertyType="{kind}"/>'


@pytest.mark.parametrize(
    ("uri", "value"),
    [
        (tag("0x37", "String"), "Weekly plan"),
        (tag("0xe23", "Integer"), "1"),
        (tag("0x3008", "SystemTime"), "2026-03-01T08:00:00Z"),
        (named("Appointment", 0x8223, "Boolean"), "true"),
        (named("Appointment", 0x820D, "SystemTime"), "2026-03-10T08:00:00Z"),
        (named("Appointment", 0x8205, "Integer"), "2"),
    ],
)
def test_the_store_tells_properties_by_their_names_in_mapi(uri: str, value: str) -> None:
    office = Office()
    ident = item_id(office.create(weekly()))
    assert text(office.get(ident, base="IdOnly", more=uri), "Value") == value


def test_the_kind_of_instance_is_told_by_2007_alone() -> None:
    office = Office()
    ident = item_id(office.create(weekly()))
    uri = '<t:ExtendedFieldURI DistinguishedPropertySetId="PublicStrings" PropertyName="urn:schemas:calendar:instancetype" '
    uri += 'PropertyType="Integer"/>'
    assert not has(office.get(ident, base="IdOnly", more=uri), "Value")
    office.version = "Exchange2007_SP1"
    assert text(office.get(ident, base="IdOnly", more=uri), "Value") == "1"


def test_a_property_set_by_its_name_in_mapi_is_the_property_itself() -> None:
    office = Office()
    ident = item_id(office.create(weekly()))
    subject, body = tag("0x37", "String"), tag("0x1000", "String")
    changes = "".join(
        setting(uri, f"<t:ExtendedProperty>{uri}<t:Value>{value}</t:Value></t:ExtendedProperty>")
        for uri, value in ((subject, "Renamed"), (body, "Bring cake"))
    )
    assert code(office.update(ident, changes)) == "NoError"
    answer = office.get(item_id(office.find()))
    assert text(answer, "Subject") == "Renamed" and text(answer, "Body") == "Bring cake"
    assert code(office.update(item_id(office.find()), deleting(body))) == "NoError"
    assert not has(office.get(item_id(office.find())), "Body")


def test_numbers_are_put_in_order_as_numbers() -> None:
    office = Office()
    for place in range(11):
        office.create(timed("2026-03-10T09:00:00Z", "2026-03-10T10:00:00Z", f"<t:Subject>{place}</t:Subject>"))
    order = f'<m:SortOrder><t:FieldOrder Order="Ascending">{tag("0xe23", "Integer")}</t:FieldOrder></m:SortOrder>'
    found = office.find(order, more='<t:FieldURI FieldURI="item:Subject"/>')
    assert texts(found, "Subject") == [str(place) for place in range(11)]


# --- what mailboxes and folders say ------------------------------------------------------------------------------


def configuration(office: Office, name: str, properties: str = "All") -> str:
    """Ask for settings and give the code, or the zone in them."""
    answer = office.ask(
        f'<m:GetUserConfiguration ><m:UserConfigurationName Name="{name}"><t:DistinguishedFolderId Id="root"/>'
        f"</m:UserConfigurationName><m:UserConfigurationProperties>{properties}</m:UserConfigurationProperties>"
        "</m:GetUserConfiguration>"
    )
    values = dict(zip(texts(answer, "Value")[::2], texts(answer, "Value")[1::2], strict=True))
    return values.get("timezone", code(answer))


def test_the_settings_of_the_web_client_name_the_zone() -> None:
    office = Office()
    assert configuration(office, "OWA.UserOptions") == BERLIN
    assert configuration(office, "OWA.UserOptions", "XmlData") == "NoError"
    assert configuration(office, "Somebody.Else") == "ErrorItemNotFound"


def test_a_folder_tells_when_anything_in_it_changed() -> None:
    office = Office()
    uri = tag("0x670a", "SystemTime")
    more = f"<t:AdditionalProperties>{uri}{tag('0x3613', 'String')}</t:AdditionalProperties>"
    shape = f"<m:FolderShape><t:BaseShape>IdOnly</t:BaseShape>{more}</m:FolderShape>"
    ask = f'<m:GetFolder >{shape}<m:FolderIds><t:DistinguishedFolderId Id="calendar"/></m:FolderIds></m:GetFolder>'
    ident = item_id(office.create(weekly()))
    assert texts(office.ask(ask), "Value") == ["2026-03-01T08:00:00Z", "IPF.Appointment"]
    office.simulator.clock.frozen_at = datetime(2026, 3, 2, tzinfo=UTC)
    office.delete(ident)
    assert texts(office.ask(ask), "Value")[0] == "2026-03-02T00:00:00Z"


def test_series_are_found_by_their_flag_and_single_items_by_their_time() -> None:
    """As gateways list a calendar: all series, and of the single items those of a stretch of time."""
    office = Office()
    office.create(weekly())
    for day in ("01", "12"):
        office.create(timed(f"2026-03-{day}T09:00:00Z", f"2026-03-{day}T10:00:00Z", f"<t:Subject>On {day}</t:Subject>"))
    flag = named("Appointment", 0x8223, "Boolean")

    def equals(path: str, value: str, name: str = "IsEqualTo") -> str:
        return f'<t:{name}>{path}<t:FieldURIOrConstant><t:Constant Value="{value}"/></t:FieldURIOrConstant></t:{name}>'

    late = equals('<t:FieldURI FieldURI="calendar:Start"/>', "2026-03-10T00:00:00Z", "IsGreaterThanOrEqualTo")
    either = f"<t:Or>{equals(flag, 'true')}<t:And>{equals(flag, 'false')}{late}</t:And></t:Or>"
    found = office.find(f"<m:Restriction>{either}</m:Restriction>", more='<t:FieldURI FieldURI="item:Subject"/>')
    assert sorted(texts(found, "Subject")) == ["On 12", "Weekly plan"]
