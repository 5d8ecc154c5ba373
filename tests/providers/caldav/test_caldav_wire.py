"""Multistatus answers, hrefs, etags and cursors, as servers write them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gleichtakt.providers.caldav import wire

DATA = Path(__file__).resolve().parents[2] / "data" / "caldav"
EXCHANGES = {path.stem: json.loads(path.read_text()) for path in sorted((DATA / "exchanges").glob("*.json"))}


def answer(name: str) -> wire.Multistatus:
    """Read the answer of a recorded exchange."""
    return wire.read_multistatus(EXCHANGES[name]["response"]["body"].encode())


def answer_with(text: str) -> bytes:
    """Give a multistatus with one object of that content."""
    return (
        '<D:multistatus xmlns:D="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav"><D:response><D:href>/c/a.ics</D:href>'
        f"<D:propstat><D:prop><C:calendar-data>{text}</C:calendar-data></D:prop><D:status>HTTP/1.1 200 OK</D:status>"
        "</D:propstat></D:response></D:multistatus>"
    ).encode()


class TestAnswers:
    @pytest.mark.parametrize("path", sorted((DATA / "multistatus").glob("caldav-*.xml")), ids=lambda path: path.stem)
    def test_answers_of_many_servers_are_read(self, path: Path) -> None:
        found = wire.read_multistatus(path.read_bytes())
        assert found.members
        assert all(member.href.startswith("/") for member in found.members)

    def test_a_response_without_a_name_is_passed_over(self) -> None:
        assert wire.read_multistatus((DATA / "multistatus" / "vdirsyncer-multistatus-103.xml").read_bytes()).members == ()

    def test_deleted_members_come_with_404_and_no_properties(self) -> None:
        found = answer("sync-incremental")
        assert [(member.href[-6:], member.status) for member in found.members] == [
            ("e1.ics", 200),
            ("e2.ics", 404),
            ("e3.ics", 200),
        ]
        assert found.token == "http://contoso.example/sync/21"

    def test_a_cut_report_says_507_on_the_collection_and_gives_a_token(self) -> None:
        found = answer("sync-truncated")
        assert found.members[-1].status == 507
        assert found.token.endswith("/23")

    def test_properties_that_were_not_given_do_not_count(self) -> None:
        (member,) = wire.read_multistatus((DATA / "multistatus" / "caldav-multistatus-12.xml").read_bytes()).members
        assert member.text(wire.CAL + "calendar-data") == ""
        assert member.failed == {wire.CAL + "calendar-data": 404}

    def test_the_collection_is_told_from_its_members(self) -> None:
        assert [member.is_event for member in answer("etag-listing").members] == [False, True, True]

    @pytest.mark.parametrize(
        "body",
        [
            b"",
            b"<html><body>Sign in</body></html>",
            b"BEGIN:VCALENDAR",
            answer_with("x")[:-20],
            b'<D:multistatus xmlns:D="DAV:">',
        ],
        ids=["nothing", "a page", "no xml", "cut", "cut early"],
    )
    def test_what_is_no_whole_multistatus_is_refused(self, body: bytes) -> None:
        with pytest.raises(wire.NotMultistatus):
            wire.read_multistatus(body)

    def test_members_are_read_one_by_one_whatever_the_size_of_the_pieces(self) -> None:
        body = EXCHANGES["sync-initial"]["response"]["body"].encode()
        reader = wire.MultistatusReader(body)
        assert [member.href for member in reader.members(step=7)] == [member.href for member in answer("sync-initial").members]
        assert reader.token == answer("sync-initial").token

    def test_entities_are_not_resolved(self) -> None:
        bomb = b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>' + answer_with("&b;")
        try:
            (member,) = wire.read_multistatus(bomb).members
        except wire.NotMultistatus:
            return
        assert "aaaa" not in member.text(wire.CAL + "calendar-data")


class TestForbiddenCharacters:
    @pytest.mark.parametrize("bad", ["\x00", "\x1a", "\x0b", "&#x11;", "&#0;", "&#xFFFF;", "\ufffe", "\uffff"], ids=repr)
    def test_bad_01_one_forbidden_character_is_replaced_and_told(self, bad: str) -> None:
        found = wire.read_multistatus(answer_with(f"SUMMARY:vor{bad}nach"))
        assert found.members[0].text(wire.CAL + "calendar-data") == "SUMMARY:vor�nach"
        assert found.repaired

    def test_bad_01_half_a_surrogate_pair_is_replaced(self) -> None:
        data = answer_with("a@@@b").replace(b"@@@", b"\xed\xa0\x80")
        assert wire.read_multistatus(data).members[0].text(wire.CAL + "calendar-data") == "a�b"

    def test_good_text_is_left_alone(self) -> None:
        text = "Zeile&#13;\nmit Emoji 🧑‍💻 &#x1F600; &amp; ]]&gt;"
        found = wire.read_multistatus(answer_with(text))
        assert found.members[0].text(wire.CAL + "calendar-data") == "Zeile\r\nmit Emoji 🧑‍💻 😀 & ]]>"
        assert not found.repaired


class TestHrefs:
    @pytest.mark.parametrize(
        ("written", "read"),
        [
            ("/dav/anna/weird%20name%26x.ics", "/dav/anna/weird name&x.ics"),
            ("https://p62-caldav.icloud.example:443/17/calendars/", "/17/calendars/"),
            ("http%3A//127.0.0.1/resource", "/resource"),
            ("/c/a%40b.ics", "/c/a@b.ics"),
            ("/c/gr%C3%BC%C3%9Fe.ics", "/c/grüße.ics"),
            ("/c/a%2fb.ics", "/c/a%2Fb.ics"),
            ("/c/50%25.ics", "/c/50%25.ics"),
            ("/c/caf%e9.ics", "/c/caf%E9.ics"),
            (" /c/a.ics\n", "/c/a.ics"),
        ],
    )
    def test_hrefs_are_compared_decoded(self, written: str, read: str) -> None:
        assert wire.read_href(written) == read

    @given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1).filter(lambda name: name.strip() == name))
    def test_every_name_finds_its_way_back(self, name: str) -> None:
        from urllib.parse import quote

        written = "/c/" + quote(name, safe="")
        assert wire.read_href(wire.write_href(wire.read_href(written))) == wire.read_href(written)

    @pytest.mark.parametrize("segment", ["a%2Fb", "50%25", "caf%E9", "%2525"])
    def test_names_that_cannot_be_decoded_go_out_as_they_came(self, segment: str) -> None:
        assert wire.write_href(wire.read_href(f"/c/{segment}")) == f"/c/{segment}"


class TestEtags:
    @pytest.mark.parametrize(
        ("written", "read"), [('"a"', '"a"'), ("a", '"a"'), ('W/"a"', 'W/"a"'), (' "a" ', '"a"'), ("", ""), (None, "")]
    )
    def test_etags_have_one_spelling(self, written: str | None, read: str) -> None:
        assert wire.read_etag(written) == read

    def test_a_weak_mark_tells_no_versions_apart_and_nothing_equals_nothing(self) -> None:
        assert wire.same_etag('W/"a"', '"a"')
        assert not wire.same_etag('"a"', '"b"')
        assert not wire.same_etag("", "")


class TestRequests:
    @pytest.mark.parametrize("name", ["ctag-unchanged", "sync-incremental", "multiget", "etag-listing"])
    def test_what_is_asked_is_what_the_exchange_asks(self, name: str) -> None:
        from lxml import etree

        theirs = etree.fromstring(EXCHANGES[name]["request"]["body"].encode())
        ours = etree.fromstring(
            {
                "ctag-unchanged": wire.propfind(wire.POLL),
                "sync-incremental": wire.sync_collection("http://contoso.example/sync/17"),
                "multiget": wire.multiget(["/dav/anna/team/e1.ics", "/dav/anna/team/gone.ics"]),
                "etag-listing": wire.propfind(wire.MEMBERS),
            }[name]
        )
        assert ours.tag == theirs.tag
        assert {str(each.tag) for each in theirs.iter()} <= {str(each.tag) for each in ours.iter()}
        assert [each.text for each in ours.iter(wire.DAV + "href")] == [each.text for each in theirs.iter(wire.DAV + "href")]

    def test_names_are_encoded_and_escaped_in_requests(self) -> None:
        assert b"<D:href>/c/a%20&amp;%3Cb%3E.ics</D:href>" in wire.multiget(["/c/a &<b>.ics"])

    def test_conditions_of_a_refusal_are_named(self) -> None:
        assert wire.read_conditions(EXCHANGES["put-uid-conflict"]["response"]["body"].encode()) == {"no-uid-conflict"}
        assert wire.read_conditions(EXCHANGES["sync-invalid-token"]["response"]["body"].encode()) == {"valid-sync-token"}
        assert wire.read_conditions(b"<html>error</html>") == frozenset()


def test_a_cursor_comes_back_and_a_foreign_one_is_none() -> None:
    position = wire.Position("http://x/sync/1", "c-17", "1")
    assert wire.read_position(position.write()) == position
    assert [wire.read_position(text) for text in ("", "{}", "[1]", "nonsense", '{"v":2}')] == [None] * 5
