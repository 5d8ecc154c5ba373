"""FindItem, folders, ids and zones of the simulated Exchange."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from lxml import etree
from tests.simulators.exchange.asking import (
    ANNA,
    MARK,
    MESSAGES,
    TYPES,
    Office,
    bare,
    calendar_of,
    code,
    codes,
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

from gleichtakt.simulators.exchange import items, zones
from gleichtakt.simulators.exchange.operations import OPERATIONS, Call, Refused
from gleichtakt.simulators.exchange.zones import known


@pytest.fixture
def office() -> Office:
    """A firm with empty calendars."""
    return Office()


def restriction(test: str) -> str:
    """Write a Restriction."""
    return f"<m:Restriction>{test}</m:Restriction>"


def compared(verb: str, path: str, value: str) -> str:
    """Write a comparison with a constant."""
    uri = path if path.startswith("<") else f'<t:FieldURI FieldURI="{path}"/>'
    return f'<t:{verb}>{uri}<t:FieldURIOrConstant><t:Constant Value="{value}"/></t:FieldURIOrConstant></t:{verb}>'


def found(office: Office, test: str) -> list[str]:
    """Give the subjects of what passes, sorted by subject."""
    order = '<m:SortOrder><t:FieldOrder Order="Ascending"><t:FieldURI FieldURI="item:Subject"/></t:FieldOrder></m:SortOrder>'
    return texts(office.find(restriction(test) + order, base="Default"), "Subject")


@pytest.fixture
def three(office: Office) -> Office:
    """Apples on Monday, Berries on Tuesday, Cherries on Wednesday; Berries are marked."""
    for day, subject in enumerate(["Apples", "Berries", "Cherries"]):
        mark = f"<t:ExtendedProperty>{MARK}<t:Value>key-1</t:Value></t:ExtendedProperty>" if subject == "Berries" else ""
        office.create(
            timed(f"2026-03-0{2 + day}T09:00:00Z", f"2026-03-0{2 + day}T10:00:00Z", f"<t:Subject>{subject}</t:Subject>{mark}")
        )
    return office


CONTAINS = (
    '<t:Contains ContainmentMode="Substring" ContainmentComparison="IgnoreCase">'
    '<t:FieldURI FieldURI="item:Subject"/><t:Constant Value="ERR"/></t:Contains>'
)


@pytest.mark.parametrize(
    ("test", "subjects"),
    [
        (compared("IsEqualTo", MARK, "key-1"), ["Berries"]),
        (compared("IsNotEqualTo", MARK, "key-1"), ["Apples", "Cherries"]),
        (compared("IsEqualTo", "item:Subject", "apples"), ["Apples"]),  # regardless of case
        (compared("IsGreaterThan", "calendar:Start", "2026-03-03T09:00:00Z"), ["Cherries"]),
        (compared("IsGreaterThanOrEqualTo", "calendar:Start", "2026-03-03T10:00:00+01:00"), ["Berries", "Cherries"]),
        (compared("IsEqualTo", "calendar:IsAllDayEvent", "false"), ["Apples", "Berries", "Cherries"]),
        (CONTAINS, ["Berries", "Cherries"]),
        (f"<t:Exists>{MARK}</t:Exists>", ["Berries"]),
        (f"<t:Not><t:Exists>{MARK}</t:Exists></t:Not>", ["Apples", "Cherries"]),
        (f"<t:And>{CONTAINS}<t:Not><t:Exists>{MARK}</t:Exists></t:Not></t:And>", ["Cherries"]),
        (f"<t:Or>{compared('IsEqualTo', 'item:Subject', 'Apples')}<t:Exists>{MARK}</t:Exists></t:Or>", ["Apples", "Berries"]),
    ],
)
def test_items_are_found_by_condition(three: Office, test: str, subjects: list[str]) -> None:
    assert found(three, test) == subjects


def test_a_uid_is_found_by_its_global_id_and_not_by_itself(three: Office) -> None:
    clean = '<t:ExtendedFieldURI DistinguishedPropertySetId="Meeting" PropertyId="35" PropertyType="Binary"/>'
    value = text(three.get(item_id(three.sync()), more=clean), "Value")
    assert len(found(three, compared("IsEqualTo", clean, value))) == 1
    assert code(three.find(restriction(compared("IsEqualTo", "calendar:UID", "x")))) == "ErrorUnsupportedPathForQuery"


def test_what_is_found_comes_in_pages(three: Office) -> None:
    page = '<m:IndexedPageItemView MaxEntriesReturned="2" Offset="{}" BasePoint="Beginning"/>'
    first = three.find(view=page.format(0), base="Default").find(".//{*}RootFolder")
    second = three.find(view=page.format(2), base="Default").find(".//{*}RootFolder")
    assert (first.get("TotalItemsInView"), first.get("IncludesLastItemInRange"), first.get("IndexedPagingOffset")) == (
        "3",
        "false",
        "2",
    )
    assert (second.get("IncludesLastItemInRange"), len(texts(second, "Subject"))) == ("true", 1)


def test_without_a_view_a_series_is_found_as_its_master(office: Office) -> None:
    office.create(weekly())
    assert texts(office.find(base="Default"), "CalendarItemType") == ["RecurringMaster"]


def test_a_view_shows_occurrences_and_no_master(office: Office) -> None:
    office.create(weekly())
    shown = office.find(view='<m:CalendarView StartDate="2026-03-17T08:30:00Z" EndDate="2026-03-31T07:00:00Z"/>', base="Default")
    assert texts(shown, "Start") == ["2026-03-24T08:00:00Z"]
    assert texts(shown, "CalendarItemType") == ["Occurrence"]


@pytest.mark.parametrize(
    ("view", "more", "refusal"),
    [
        ('<m:CalendarView StartDate="2026-01-01T00:00:00Z" EndDate="2028-02-01T00:00:00Z"/>', "", "ErrorCalendarViewRangeTooBig"),
        (
            '<m:CalendarView StartDate="2026-02-01T00:00:00Z" EndDate="2026-01-01T00:00:00Z"/>',
            "",
            "ErrorCalendarEndDateIsEarlierThanStartDate",
        ),
        (
            '<m:CalendarView StartDate="2026-01-01T00:00:00Z" EndDate="2026-02-01T00:00:00Z"/>',
            restriction(compared("IsEqualTo", "item:Subject", "x")),
            "ErrorUnsupportedPathForQuery",
        ),
    ],
)
def test_a_view_is_refused_that_is_none(office: Office, view: str, more: str, refusal: str) -> None:
    assert code(office.find(more, view=view)) == refusal


def test_a_view_is_cut_and_cannot_be_turned_over(office: Office) -> None:
    office.create(weekly())
    root = office.find(
        view='<m:CalendarView MaxEntriesReturned="3" StartDate="2026-01-01T00:00:00Z" EndDate="2026-12-01T00:00:00Z"/>'
    )
    root = root.find(".//{*}RootFolder")
    assert (root.get("TotalItemsInView"), root.get("IncludesLastItemInRange"), root.get("IndexedPagingOffset")) == (
        "8",
        "false",
        None,
    )


def test_a_search_of_words_is_refused_where_nothing_is_indexed(office: Office) -> None:
    with pytest.raises(Refused, match="ErrorContentIndexingNotEnabled"):
        office.ask(
            '<m:FindItem Traversal="Shallow"><m:ItemShape><t:BaseShape>IdOnly</t:BaseShape></m:ItemShape>'
            '<m:ParentFolderIds><t:DistinguishedFolderId Id="calendar"/></m:ParentFolderIds>'
            "<m:QueryString>x</m:QueryString></m:FindItem>"
        )


# --- folders -----------------------------------------------------------------------------------------------------

SHAPE = "<m:FolderShape><t:BaseShape>AllProperties</t:BaseShape></m:FolderShape>"


def test_a_calendar_is_made_filled_and_taken_away(office: Office) -> None:
    made = office.ask(
        '<m:CreateFolder ><m:ParentFolderId><t:DistinguishedFolderId Id="calendar"/></m:ParentFolderId>'
        "<m:Folders><t:CalendarFolder><t:DisplayName>Projects</t:DisplayName></t:CalendarFolder></m:Folders></m:CreateFolder>"
    )
    where = made.find(".//{*}FolderId").get("Id")
    named = f'<t:FolderId Id="{where}"/>'
    assert code(office.create(timed("2026-03-02T09:00:00Z", "2026-03-02T10:00:00Z"), folder=named)) == "NoError"
    read = office.ask(f"<m:GetFolder >{SHAPE}<m:FolderIds>{named}</m:FolderIds></m:GetFolder>")
    assert (text(read, "DisplayName"), text(read, "TotalCount"), text(read, "FolderClass")) == (
        "Projects",
        "1",
        "IPF.Appointment",
    )
    gone = office.ask(f'<m:DeleteFolder DeleteType="HardDelete"><m:FolderIds>{named}</m:FolderIds></m:DeleteFolder>')
    again = office.ask(f"<m:GetFolder >{SHAPE}<m:FolderIds>{named}</m:FolderIds></m:GetFolder>")
    assert (code(gone), code(again)) == ("NoError", "ErrorFolderNotFound")


def test_folders_are_found_by_class_and_only_those_one_may_see(office: Office) -> None:
    office.anna.add_folder("Projects", parent=office.anna.calendar).permissions["bo@firm.example"] = "Reviewer"
    office.anna.add_folder("Diary", parent=office.anna.calendar)
    office.anna.calendar.permissions["bo@firm.example"] = "Reviewer"
    theirs = calendar_of(ANNA)
    test = restriction(compared("IsEqualTo", "folder:FolderClass", "IPF.Appointment"))
    body = f'<m:FindFolder Traversal="Deep">{SHAPE}{test}<m:ParentFolderIds>{theirs}</m:ParentFolderIds></m:FindFolder>'
    assert texts(office.ask(body), "DisplayName") == ["Diary", "Projects"]
    seen = office.ask(body, "bo@firm.example")
    assert texts(seen, "DisplayName") == ["Projects"]
    assert (text(seen, "Read"), text(seen, "CreateContents")) == ("true", "false")


# --- ids ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["EwsLegacyId", "EntryId", "HexEntryId", "StoreId", "OwaId"])
def test_an_id_survives_every_format(office: Office, form: str) -> None:
    where, _ = bare(item_id(office.create(timed("2026-03-02T09:00:00Z", "2026-03-02T10:00:00Z"))))

    def convert(ident: str, from_form: str, to: str) -> str:
        source = f'<t:AlternateId Format="{from_form}" Id="{ident}" Mailbox="anna@firm.example"/>'
        answer = office.ask(f'<m:ConvertId DestinationFormat="{to}"><m:SourceIds>{source}</m:SourceIds></m:ConvertId>')
        return str(answer.find(".//{*}AlternateId").get("Id"))

    there = convert(where, "EwsId", form)
    assert there != where
    assert convert(there, form, "EwsId") == where


def test_the_ids_of_2007_are_not_those_of_later_servers(office: Office) -> None:
    office.version = "Exchange2007"
    legacy = item_id(office.create(timed("2026-03-02T09:00:00Z", "2026-03-02T10:00:00Z")))
    assert code(office.get(legacy)) == "NoError"
    office.version = "Exchange2010"
    assert code(office.get(legacy)) == "ErrorInvalidIdMalformedEwsLegacyIdFormat"


# --- zones and versions ------------------------------------------------------------------------------------------


def test_2007_speaks_of_one_zone_in_its_own_way(office: Office) -> None:
    office.version = "Exchange2007_SP1"
    named = '<t:MeetingTimeZone TimeZoneName="W. Europe Standard Time"/>'
    made = item_id(office.create(timed("2026-07-01T09:00:00", "2026-07-01T10:00:00", after=named)))
    read = office.get(made)
    assert text(read, "Start") == "2026-07-01T07:00:00Z"
    assert not has(read, "StartTimeZone") and not has(read, "StartWallClock")
    assert read.findtext(".//{*}MeetingTimeZone/{*}BaseOffset") == "-PT1H"
    assert read.findtext(".//{*}MeetingTimeZone/{*}Daylight/{*}Offset") == "-PT1H"
    office.version = "Exchange2010"
    assert office.get(made).find(".//{*}StartTimeZone").get("Id") == "W. Europe Standard Time"


TURNS = """<t:{part} TimeZoneName="x"><t:Offset>{offset}</t:Offset><t:RelativeYearlyRecurrence><t:DaysOfWeek>Sunday</t:DaysOfWeek>
<t:DayOfWeekIndex>{index}</t:DayOfWeekIndex><t:Month>{month}</t:Month></t:RelativeYearlyRecurrence><t:Time>02:00:00</t:Time></t:{part}>"""


@pytest.mark.parametrize(
    ("wall", "instant"), [("2026-05-01T09:00:00", "2026-05-01T14:00:00Z"), ("2026-01-05T09:00:00", "2026-01-05T15:00:00Z")]
)
def test_a_zone_of_2007_may_bring_its_own_rules(office: Office, wall: str, instant: str) -> None:
    office.version = "Exchange2007_SP1"
    standard = TURNS.format(part="Standard", offset="PT0H", index="First", month="November")
    daylight = TURNS.format(part="Daylight", offset="-PT1H", index="Second", month="March")
    zone = (
        f'<t:MeetingTimeZone TimeZoneName="Somewhere"><t:BaseOffset>PT6H</t:BaseOffset>{standard}{daylight}</t:MeetingTimeZone>'
    )
    assert text(office.get(item_id(office.create(timed(wall, wall, after=zone)))), "Start") == instant


def test_a_zone_nobody_knows_is_refused(office: Office) -> None:
    named = '<t:CalendarItem><t:StartTimeZone Id="Mars Standard Time"/></t:CalendarItem>'
    spaces = f'xmlns:m="{MESSAGES}" xmlns:t="{TYPES}"'
    request = etree.fromstring(
        f'<m:CreateItem {spaces} SendMeetingInvitations="SendToNone"><m:Items>{named}</m:Items></m:CreateItem>'
    )
    call = Call(office.simulator, ANNA, ANNA, "Exchange2016", office.simulator.clock)
    assert code(OPERATIONS["CreateItem"](call, request)) == "ErrorTimeZone"


CUSTOM = """<t:{name} Id="Ours" Name="Ours">
<t:Periods><t:Period Bias="-PT1H" Name="Standard" Id="s"/><t:Period Bias="-PT2H" Name="Daylight" Id="d"/></t:Periods>
<t:TransitionsGroups><t:TransitionsGroup Id="0">
<t:RecurringDayTransition><t:To Kind="Period">d</t:To><t:TimeOffset>PT2H</t:TimeOffset>
<t:Month>4</t:Month><t:DayOfWeek>Sunday</t:DayOfWeek><t:Occurrence>1</t:Occurrence></t:RecurringDayTransition>
<t:RecurringDateTransition><t:To Kind="Period">s</t:To><t:TimeOffset>PT3H</t:TimeOffset>
<t:Month>10</t:Month><t:Day>1</t:Day></t:RecurringDateTransition>
</t:TransitionsGroup></t:TransitionsGroups>
<t:Transitions><t:Transition><t:To Kind="Group">0</t:To></t:Transition></t:Transitions></t:{name}>"""


@pytest.mark.parametrize(
    ("wall", "instant"),
    [
        ("2026-04-04T12:00:00", "2026-04-04T11:00:00Z"),  # the clock changes on the first Sunday in April, the fifth
        ("2026-04-05T12:00:00", "2026-04-05T10:00:00Z"),
        ("2026-09-30T12:00:00", "2026-09-30T10:00:00Z"),
        ("2026-10-01T12:00:00", "2026-10-01T11:00:00Z"),
    ],
)
def test_a_custom_zone_counts_by_its_own_rules_and_comes_back(office: Office, wall: str, instant: str) -> None:
    zones = CUSTOM.format(name="StartTimeZone") + CUSTOM.format(name="EndTimeZone")
    read = office.get(item_id(office.create(timed(wall, wall, after=zones))))
    assert text(read, "Start") == instant
    assert read.find(".//{*}StartTimeZone").get("Id") == "tzone://Microsoft/Custom"
    assert texts(read.find(".//{*}StartTimeZone"), "Day") == ["1"]


def test_the_same_custom_zone_once_more_is_no_change(office: Office) -> None:
    zones_of = CUSTOM.format(name="StartTimeZone") + CUSTOM.format(name="EndTimeZone")
    made = item_id(office.create(weekly().replace(in_zone(), zones_of)))
    office.delete(occurrence(made, 2))
    again = setting("calendar:StartTimeZone", CUSTOM.format(name="StartTimeZone"))
    office.update(item_id(office.get(made)), again)
    assert has(office.get(made), "DeletedOccurrences")


def test_the_table_of_zones_is_given_with_its_rules(office: Office) -> None:
    wished = "<m:Ids><t:Id>W. Europe Standard Time</t:Id><t:Id>Nonsense</t:Id><t:Id>India Standard Time</t:Id></m:Ids>"
    answer = office.ask(f'<m:GetServerTimeZones ReturnFullTimeZoneData="true">{wished}</m:GetServerTimeZones>')
    berlin, india = answer.findall(".//{*}TimeZoneDefinition")
    assert [one.get("Bias") for one in berlin.iter("{*}Period")] == ["-PT1H", "-PT2H"]
    assert texts(berlin, "TimeOffset") == ["PT2H", "PT3H"] and texts(berlin, "Occurrence") == ["-1", "-1"]
    assert [one.get("Bias") for one in india.iter("{*}Period")] == ["-PT5H30M"]


def test_every_zone_of_the_table_can_be_described(office: Office) -> None:
    answer = office.ask("<m:GetServerTimeZones />")
    assert len(answer.findall(".//{*}TimeZoneDefinition")) > 130
    named = office.ask('<m:GetServerTimeZones ReturnFullTimeZoneData="false"/>', is_valid=False)  # the schema always wants rules
    assert not has(named, "Periods")


@pytest.mark.parametrize(
    "name", ["W. Europe Standard Time", "Eastern Standard Time", "AUS Eastern Standard Time", "India Standard Time"]
)
def test_a_described_zone_read_back_shows_the_same_clock(office: Office, name: str) -> None:
    here = known(name)
    assert here is not None
    described = zones.definition(here, f"{{{TYPES}}}TimeZoneDefinition", 2026)
    described.set("Id", "Renamed")
    again = zones.read_definition(described)
    moments = [datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=7 * step) for step in range(1250)]
    assert [again.local(moment) for moment in moments] == [here.local(moment) for moment in moments]


def test_watchers_hear_of_every_change(office: Office) -> None:
    heard: list[str] = []
    office.simulator.watchers.append(lambda event: heard.append(event.kind))
    item = items.put(office.simulator, office.anna.calendar, {"Subject": "x"})
    items.change(office.simulator, item, {"Subject": "y"})
    items.move(office.simulator, item, office.anna.at("deleteditems"))
    kinds = [kind for kind in heard if kind != "FreeBusyChangedEvent"]
    assert kinds == ["CreatedEvent", "ModifiedEvent", "MovedEvent"]


def test_several_answers_come_in_the_order_of_the_questions(office: Office) -> None:
    made = item_id(office.create(timed("2026-03-02T09:00:00Z", "2026-03-02T10:00:00Z", after=in_zone())))
    gone = item_id(office.create(timed("2026-03-02T09:00:00Z", "2026-03-02T10:00:00Z")))
    office.delete(gone)
    assert codes(office.get(made + gone + made)) == ["NoError", "ErrorItemNotFound", "NoError"]
    assert code(office.update(gone, setting("item:Subject", "<t:Subject>x</t:Subject>"))) == "ErrorItemNotFound"
