"""SyncFolderItems of the simulated Exchange: what a client is told, page by page, and what it is never told."""

from __future__ import annotations

from datetime import UTC, datetime
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree
from tests.simulators.exchange.asking import (
    ANNA,
    BO,
    Office,
    attendee,
    bare,
    calendar_of,
    code,
    has,
    item_id,
    text,
    texts,
    timed,
    weekly,
)

from gleichtakt.simulators.exchange import items
from gleichtakt.simulators.exchange.ids import change_key
from gleichtakt.simulators.exchange.ids import item_id as written_id


@pytest.fixture
def office() -> Office:
    """A firm with empty calendars."""
    return Office()


def put(office: Office, subject: str) -> items.Item:
    """Make an item as somebody else would."""
    return items.put(office.simulator, office.anna.calendar, {"Subject": subject})


def told(page: etree._Element) -> list[tuple[str, str]]:
    """Give what a page says: the verb and the id."""
    changes = page.find(".//{*}Changes")
    return [(etree.QName(one).localname, one.find(".//{*}ItemId").get("Id")) for one in changes]


def test_the_newest_change_comes_first_and_the_last_page_says_so(office: Office) -> None:
    made = [written_id(put(office, str(number))) for number in range(5)]
    first = office.sync(most=3)
    assert told(first) == [("Create", one) for one in reversed(made[2:])]
    assert text(first, "IncludesLastItemInRange") == "false"
    last = office.sync(text(first, "SyncState"), most=3)
    assert told(last) == [("Create", one) for one in reversed(made[:2])]
    assert text(last, "IncludesLastItemInRange") == "true"
    assert told(office.sync(text(last, "SyncState"))) == []


def test_before_2010_sp2_the_oldest_change_came_first(office: Office) -> None:
    made = [written_id(put(office, str(number))) for number in range(3)]
    office.version = "Exchange2010_SP1"
    assert told(office.sync(most=2)) == [("Create", one) for one in made[:2]]


def test_a_change_a_deletion_and_a_new_item_are_told_once(office: Office) -> None:
    kept, gone = put(office, "kept"), put(office, "gone")
    state = text(office.sync(), "SyncState")
    items.change(office.simulator, kept, {"Subject": "changed"})
    items.remove(office.simulator, gone)
    new = put(office, "new")
    page = office.sync(state)
    expected = [("Create", new), ("Update", kept), ("Delete", gone)]
    assert told(page) == [(verb, written_id(item)) for verb, item in expected]
    assert told(office.sync(text(page, "SyncState"))) == []


def test_what_came_and_went_in_between_is_not_told(office: Office) -> None:
    state = text(office.sync(), "SyncState")
    items.remove(office.simulator, put(office, "short"))
    assert told(office.sync(state)) == []


def test_an_item_that_leaves_the_folder_is_a_deletion_here(office: Office) -> None:
    item = put(office, "x")
    state = text(office.sync(), "SyncState")
    moved = items.move(office.simulator, item, office.anna.add_folder("Projects"))
    assert told(office.sync(state)) == [("Delete", written_id(item))]
    assert written_id(moved) != written_id(item)


@given(seed=st.integers(0, 2**32), steps=st.integers(1, 25), most=st.integers(1, 4))
def test_a_client_that_follows_the_pages_ends_up_with_what_is_there(seed: int, steps: int, most: int) -> None:
    """However the folder changes between two pages."""
    office, random, mirror, state = Office(), Random(seed), {}, ""
    for _ in range(steps):
        alive = list(office.anna.calendar.items.values())
        deed = random.choice(["put", "put", "change", "remove", "page", "page"])
        if deed == "put" or (deed != "page" and not alive):
            put(office, "x")
        elif deed == "change":
            items.change(office.simulator, random.choice(alive), {"Subject": "y"})
        elif deed == "remove":
            items.remove(office.simulator, random.choice(alive))
        else:
            state, _ = follow(office, mirror, state, most)
    final = "false"
    while final == "false":
        state, final = follow(office, mirror, state, most)
    assert mirror == {written_id(item): change_key(item) for item in office.anna.calendar.items.values()}
    assert told(office.sync(state)) == []


def follow(office: Office, mirror: dict[str, str], state: str, most: int) -> tuple[str, str]:
    """Take one page over into a mirror; a creation is never of what it has, an update or deletion never of what it has not."""
    page = office.sync(state, most=most)
    for change in page.find(".//{*}Changes"):
        ident = change.find(".//{*}ItemId")
        verb, where = etree.QName(change).localname, ident.get("Id")
        assert (where in mirror) is (verb != "Create")
        if verb == "Delete":
            del mirror[where]
        else:
            mirror[where] = ident.get("ChangeKey")
    assert len(page.find(".//{*}Changes")) <= most
    return text(page, "SyncState"), text(page, "IncludesLastItemInRange")


def test_a_listing_leaves_out_what_only_the_item_itself_tells(office: Office) -> None:
    office.create(weekly(more=attendee(BO)).replace("</t:Subject>", '</t:Subject><t:Body BodyType="Text">text</t:Body>'))
    page = office.sync(base="AllProperties")
    assert text(page, "Subject") == "Weekly plan"
    for absent in ("Body", "Recurrence", "ModifiedOccurrences", "DeletedOccurrences", "RequiredAttendees", "StartTimeZone"):
        assert not has(page, absent)
    assert not has(page, "EmailAddress"), "people have names there, no addresses"


def test_by_id_alone_nothing_else_is_given(office: Office) -> None:
    put(office, "x")
    item = office.sync().find(".//{*}CalendarItem")
    assert [etree.QName(one).localname for one in item] == ["ItemId"]


def test_a_series_is_one_item(office: Office) -> None:
    office.create(weekly())
    assert len(told(office.sync())) == 1


@pytest.mark.parametrize("state", ["bm9uc2Vuc2U=", "not base64", "of another folder", "expired"])
def test_a_state_that_means_nothing_here_is_refused(office: Office, state: str) -> None:
    if state == "of another folder":
        state = text(office.sync(who=BO), "SyncState")
    elif state == "expired":
        state = text(office.sync(), "SyncState")
        office.anna.calendar.expire_sync_states()
    answer = office.sync(state)
    assert code(answer) == "ErrorInvalidSyncStateData"
    assert text(answer, "SyncState") == "" and text(answer, "IncludesLastItemInRange") == "true"


def test_the_folder_of_a_sync_must_be_there_and_open(office: Office) -> None:
    theirs = calendar_of(BO)
    body = (
        "<m:SyncFolderItems ><m:ItemShape><t:BaseShape>IdOnly</t:BaseShape></m:ItemShape>"
        f"<m:SyncFolderId>{theirs}</m:SyncFolderId><m:MaxChangesReturned>9</m:MaxChangesReturned></m:SyncFolderItems>"
    )
    assert code(office.ask(body)) == "ErrorSyncFolderNotFound"
    office.bo.calendar.permissions[ANNA] = "Contributor"
    assert code(office.ask(body)) == "ErrorAccessDenied"
    office.bo.calendar.permissions[ANNA] = "Reviewer"
    assert code(office.ask(body)) == "NoError"


def test_other_kinds_of_items_lie_in_calendars_too(office: Office) -> None:
    items.put(office.simulator, office.anna.calendar, {"Subject": "note"}, kind="Message")
    assert office.sync().find(".//{*}Create")[0].tag.endswith("}Message")


def test_ignored_items_are_not_told_and_not_told_later_either(office: Office) -> None:
    first, second = put(office, "a"), put(office, "b")
    page = office.ask(
        "<m:SyncFolderItems ><m:ItemShape><t:BaseShape>IdOnly</t:BaseShape></m:ItemShape>"
        '<m:SyncFolderId><t:DistinguishedFolderId Id="calendar"/></m:SyncFolderId>'
        f'<m:Ignore><t:ItemId Id="{written_id(first)}"/></m:Ignore><m:MaxChangesReturned>9</m:MaxChangesReturned>'
        "</m:SyncFolderItems>"
    )
    assert told(page) == [("Create", written_id(second))]
    assert told(office.sync(text(page, "SyncState"))) == []


def test_the_answer_of_an_item_is_made_anew_when_it_changed(office: Office) -> None:
    made = item_id(office.create(timed("2026-03-02T11:00:00Z", "2026-03-02T12:00:00Z", before="<t:Subject>a</t:Subject>")))
    office.get(made)
    items.change(office.simulator, office.item, {"Subject": "b", "Start": datetime(2026, 3, 2, 10, tzinfo=UTC)})
    read = office.get(made)
    assert (text(read, "Subject"), text(read, "Start")) == ("b", "2026-03-02T10:00:00Z")
    assert bare(item_id(read))[1] != bare(made)[1]


def test_the_hierarchy_tells_folders_that_come_and_go(office: Office) -> None:
    def hierarchy(state: str = "") -> etree._Element:
        given = f"<m:SyncState>{state}</m:SyncState>" if state else ""
        shape = "<m:FolderShape><t:BaseShape>AllProperties</t:BaseShape></m:FolderShape>"
        return office.ask(f"<m:SyncFolderHierarchy >{shape}{given}</m:SyncFolderHierarchy>")

    first = hierarchy()
    assert "Calendar" in texts(first, "DisplayName")
    made = office.anna.add_folder("Projects")
    second = hierarchy(text(first, "SyncState"))
    assert texts(second, "DisplayName") == ["Projects"]
    del office.anna.folders[made.number]
    third = hierarchy(text(second, "SyncState"))
    assert has(third, "Delete") and not has(third, "Create")
