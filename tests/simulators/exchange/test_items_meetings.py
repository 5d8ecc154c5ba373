"""Meetings in the simulated Exchange: who gets a mail, what lands in whose calendar, and what others may see."""

from __future__ import annotations

import pytest
from tests.simulators.exchange.asking import (
    ANNA,
    BO,
    MARK,
    ROOM,
    Office,
    attendee,
    bare,
    calendar_of,
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

ALL = "SendToAllAndSaveCopy"
SUBJECT = "<t:Subject>Budget</t:Subject>"


@pytest.fixture
def office() -> Office:
    """A firm with empty calendars."""
    return Office()


def meeting(who: str, start: str = "2026-03-02T09:00:00", end: str = "2026-03-02T10:00:00") -> str:
    """Write a meeting with one attendee."""
    return timed(start, end, SUBJECT, attendee(who) + in_zone())


def mails(office: Office) -> list[tuple[str, str]]:
    """Give the mails so far: kind and receiver."""
    return [(mail["kind"], mail["to"]) for mail in office.simulator.outbox]


def test_nothing_is_sent_where_nothing_shall_be(office: Office) -> None:
    made = item_id(office.create(meeting(BO)))
    changed = item_id(office.update(made, setting("calendar:Location", "<t:Location>Attic</t:Location>")))
    office.delete(changed)
    assert not office.simulator.outbox
    assert not office.bo.calendar.items


def test_a_request_lands_in_the_calendar_of_who_is_invited(office: Office) -> None:
    marked = f"<t:ExtendedProperty>{MARK}<t:Value>secret</t:Value></t:ExtendedProperty>"
    inside = meeting(BO).replace(SUBJECT, SUBJECT + "<t:Categories><t:String>Red</t:String></t:Categories>" + marked)
    office.create(inside, ALL)
    assert mails(office) == [("request", BO)]
    theirs = office.get(item_id(office.sync(who=BO)), BO, more=MARK)
    assert (text(theirs, "Subject"), text(theirs, "Start")) == ("Budget", "2026-03-02T08:00:00Z")
    assert text(theirs, "LegacyFreeBusyStatus") == "Tentative"
    assert text(theirs, "MyResponseType") == "NoResponseReceived"
    assert theirs.findtext(".//{*}Organizer//{*}EmailAddress") == ANNA
    assert text(theirs, "UID") == office.item.values["UID"]
    assert not has(theirs, "Value") and not has(theirs, "Categories"), "these stay with the organizer"


def test_the_request_itself_lies_in_the_inbox(office: Office) -> None:
    office.create(meeting(BO), ALL)
    found = office.ask(
        '<m:FindItem Traversal="Shallow"><m:ItemShape><t:BaseShape>AllProperties</t:BaseShape></m:ItemShape>'
        '<m:ParentFolderIds><t:DistinguishedFolderId Id="inbox"/></m:ParentFolderIds></m:FindItem>',
        BO,
    )
    request = office.get(item_id(found), BO)
    assert has(found, "MeetingRequest")
    assert bare(item_id(office.sync(who=BO)))[0] == request.find(".//{*}AssociatedCalendarItemId").get("Id")


def test_the_organizer_stands_among_the_attendees_once_they_know(office: Office) -> None:
    made = item_id(office.create(meeting(BO)))
    required = office.get(made).find(".//{*}RequiredAttendees")
    assert texts(required, "Name") == ["Bo Li"]
    office.update(made, setting("calendar:Location", "<t:Location>Attic</t:Location>"), send="SendToAllAndSaveCopy")
    assert texts(office.get(made).find(".//{*}RequiredAttendees"), "EmailAddress") == [ANNA, BO]


def test_an_attendees_master_says_it_recurs(office: Office) -> None:
    office.create(weekly(more=attendee(BO)), ALL)
    theirs = office.get(item_id(office.sync(who=BO)), BO)
    assert (text(theirs, "IsRecurring"), text(theirs, "CalendarItemType")) == ("true", "RecurringMaster")


@pytest.mark.parametrize(
    ("answer", "response", "status"), [("AcceptItem", "Accept", "Busy"), ("TentativelyAcceptItem", "Tentative", "Tentative")]
)
def test_an_answer_reaches_the_organizer(office: Office, answer: str, response: str, status: str) -> None:
    made = item_id(office.create(meeting(BO), ALL))
    where, key = bare(item_id(office.sync(who=BO)))
    item = f'<m:Items><t:{answer}><t:ReferenceItemId Id="{where}" ChangeKey="{key}"/></t:{answer}></m:Items>'
    office.ask(f'<m:CreateItem MessageDisposition="SendAndSaveCopy">{item}</m:CreateItem>', BO)
    theirs = office.get(item_id(office.sync(who=BO)), BO)
    assert (text(theirs, "MyResponseType"), text(theirs, "LegacyFreeBusyStatus")) == (response, status)
    assert texts(office.get(made).find(".//{*}RequiredAttendees"), "ResponseType") == ["Organizer", response]
    assert mails(office)[-1] == ("response", ANNA)


def test_who_declines_has_the_meeting_no_more(office: Office) -> None:
    made = item_id(office.create(meeting(BO), ALL))
    where, _ = bare(item_id(office.sync(who=BO)))
    item = f'<m:Items><t:DeclineItem><t:ReferenceItemId Id="{where}"/></t:DeclineItem></m:Items>'
    office.ask(f'<m:CreateItem MessageDisposition="SendAndSaveCopy">{item}</m:CreateItem>', BO)
    assert not office.bo.calendar.items
    assert texts(office.get(made).find(".//{*}RequiredAttendees"), "ResponseType") == ["Organizer", "Decline"]


def test_the_organizer_does_not_answer_the_own_meeting(office: Office) -> None:
    where, _ = bare(item_id(office.create(meeting(BO), ALL)))
    item = f'<m:Items><t:AcceptItem><t:ReferenceItemId Id="{where}"/></t:AcceptItem></m:Items>'
    answer = office.ask(f'<m:CreateItem MessageDisposition="SendAndSaveCopy">{item}</m:CreateItem>')
    assert code(answer) == "ErrorCalendarIsOrganizerForAccept"


def test_a_room_takes_one_meeting_at_a_time(office: Office) -> None:
    first = item_id(office.create(meeting(ROOM), ALL))
    second = item_id(office.create(meeting(ROOM, "2026-03-02T09:30:00", "2026-03-02T10:30:00"), ALL))
    later = item_id(office.create(meeting(ROOM, "2026-03-02T10:00:00", "2026-03-02T11:00:00"), ALL))
    answers = [texts(office.get(one).find(".//{*}RequiredAttendees"), "ResponseType")[1] for one in (first, second, later)]
    assert answers == ["Accept", "Decline", "Accept"]
    assert len(office.room.calendar.items) == 2


def test_another_time_asks_again_and_another_text_does_not(office: Office) -> None:
    made = item_id(office.create(meeting(BO), ALL))
    (copied,) = office.bo.calendar.items.values()
    copied.values |= {"MyResponseType": "Accept", "LegacyFreeBusyStatus": "Busy"}
    changed = item_id(office.update(made, setting("item:Subject", "<t:Subject>Budget 2027</t:Subject>"), send=ALL))
    assert (copied.values["MyResponseType"], copied.values["Subject"]) == ("Accept", "Budget 2027")
    office.update(changed, setting("calendar:End", "<t:End>2026-03-02T11:00:00Z</t:End>"), send=ALL)
    assert copied.values["MyResponseType"] == "NoResponseReceived"
    assert mails(office) == [("request", BO), ("update", BO), ("update", BO)]


def test_who_is_no_longer_invited_gets_a_cancellation(office: Office) -> None:
    made = item_id(office.create(meeting(BO), ALL))
    office.update(made, deleting("calendar:RequiredAttendees"), send="SendToChangedAndSaveCopy")
    assert mails(office) == [("request", BO), ("cancellation", BO)]
    theirs = office.get(item_id(office.sync(who=BO)), BO)
    assert (text(theirs, "IsCancelled"), text(theirs, "LegacyFreeBusyStatus")) == ("true", "Free")


def test_a_deleted_meeting_is_called_off_where_that_is_wished(office: Office) -> None:
    made = item_id(office.create(meeting(BO), ALL))
    office.delete(made, send=ALL)
    assert mails(office) == [("request", BO), ("cancellation", BO)]


def test_one_occurrence_called_off_goes_from_their_series(office: Office) -> None:
    made = item_id(office.create(weekly(more=attendee(BO)), ALL))
    office.delete(occurrence(made, 2), send=ALL)
    theirs = office.get(item_id(office.sync(who=BO)), BO)
    assert texts(theirs.find(".//{*}DeletedOccurrences"), "Start") == ["2026-03-17T08:00:00Z"]


def test_what_attendees_change_stays_with_them_until_the_next_update(office: Office) -> None:
    made = item_id(office.create(meeting(BO), ALL))
    theirs = item_id(office.sync(who=BO))
    office.update(theirs, setting("item:Subject", "<t:Subject>Mine</t:Subject>"), who=BO, send=ALL)
    assert text(office.get(made), "Subject") == "Budget"
    assert mails(office) == [("request", BO)]
    office.update(made, setting("calendar:Location", "<t:Location>Attic</t:Location>"), send=ALL)
    assert text(office.get(theirs, BO), "Subject") == "Budget"


# --- somebody else's calendar ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("level", "reading", "changing", "deleting_it"),
    [
        ("None", "ErrorItemNotFound", "ErrorItemNotFound", "ErrorItemNotFound"),
        ("FreeBusyTimeOnly", "ErrorItemNotFound", "ErrorItemNotFound", "ErrorItemNotFound"),
        ("Reviewer", "NoError", "ErrorAccessDenied", "ErrorAccessDenied"),
        ("Editor", "NoError", "NoError", "NoError"),
    ],
)
def test_a_permission_allows_what_it_says(office: Office, level: str, reading: str, changing: str, deleting_it: str) -> None:
    made = item_id(office.create(timed("2026-03-02T09:00:00Z", "2026-03-02T10:00:00Z", SUBJECT)))
    office.anna.calendar.permissions[BO] = level
    subject = setting("item:Subject", "<t:Subject>x</t:Subject>")
    assert code(office.get(made, BO)) == reading
    assert code(office.update(made, subject, who=BO)) == changing
    assert code(office.delete(made, who=BO)) == deleting_it


def test_a_private_item_shows_others_no_more_than_its_times(office: Office) -> None:
    private = SUBJECT + "<t:Sensitivity>Private</t:Sensitivity>"
    made = item_id(
        office.create(timed("2026-03-02T09:00:00Z", "2026-03-02T10:00:00Z", private, "<t:Location>Clinic</t:Location>"))
    )
    office.anna.calendar.permissions[BO] = "Editor"
    read = office.get(made, BO)
    assert (text(read, "Subject"), text(read, "Start")) == ("Private Appointment", "2026-03-02T09:00:00Z")
    assert not has(read, "Location") and not has(read, "Body")
    office.anna.calendar.permissions[BO] = "Delegate"
    assert text(office.get(made, BO), "Location") == "Clinic"
    assert text(office.get(made), "Subject") == "Budget"


def test_somebody_allowed_to_creates_in_anothers_calendar(office: Office) -> None:
    theirs = calendar_of(BO)
    inside = timed("2026-03-02T09:00:00Z", "2026-03-02T10:00:00Z", SUBJECT)
    assert code(office.create(inside, folder=theirs)) == "ErrorFolderNotFound"
    office.bo.calendar.permissions[ANNA] = "Reviewer"
    assert code(office.create(inside, folder=theirs)) == "ErrorCreateItemAccessDenied"
    office.bo.calendar.permissions[ANNA] = "Editor"
    made = office.create(inside, folder=theirs)
    assert text(office.get(item_id(made), BO), "LastModifiedName") == "Anna Meyer"


def test_a_folder_of_nobody_and_of_a_disabled_mailbox(office: Office) -> None:
    def asked(address: str) -> str:
        named = calendar_of(address)
        shape = "<m:FolderShape><t:BaseShape>IdOnly</t:BaseShape></m:FolderShape>"
        return code(office.ask(f"<m:GetFolder >{shape}<m:FolderIds>{named}</m:FolderIds></m:GetFolder>"))

    assert asked("nobody@firm.example") == "ErrorNonExistentMailbox"
    office.bo.is_enabled = False
    assert asked(BO) == "ErrorAccountDisabled"
