"""The envelope: what goes around a request, and what any answer says first."""

from __future__ import annotations

import pytest
from lxml import etree
from tests.providers.ews.wire_world import refused, sample, violations

from gleichtakt.providers.ews.wire import requests, soap
from gleichtakt.providers.ews.wire.ids import Distinguished
from gleichtakt.providers.ews.wire.names import VERSIONS, knows
from gleichtakt.providers.ews.wire.soap import Envelopes, Fault, Header, NotSoap

BODY = requests.get_folder([Distinguished("calendar")])
FAULT = sample("synthetic/fault-errornonexistentmailbox.xml")


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("who", ["", "anna@contoso.example", "S-1-5-21-1085031214-1563985344", "upn:anna@contoso.local"])
def test_every_header_is_what_the_schema_asks_for(version: str, who: str) -> None:
    assert violations(soap.envelope(BODY, Header(version, who, "W. Europe Standard Time"))) == []


def test_an_address_is_impersonated_by_any_of_its_names_but_in_2007_only_by_the_first() -> None:
    assert b"<t:SmtpAddress>a@x</t:SmtpAddress>" in soap.envelope(BODY, Header("Exchange2010", "a@x"))
    assert b"<t:PrimarySmtpAddress>a@x</t:PrimarySmtpAddress>" in soap.envelope(BODY, Header("Exchange2007_SP1", "a@x"))


def test_a_server_of_2007_is_told_no_time_zone_context() -> None:
    assert b"TimeZoneContext" not in soap.envelope(BODY, Header("Exchange2007_SP1", zone="UTC"))


def test_what_xml_forbids_in_a_name_does_not_break_the_request() -> None:
    assert refused(requests.resolve_names("Anna\x0b <&> ü")) == []


@pytest.mark.parametrize(
    ("version", "since", "known"), [("Exchange2010", "Exchange2010", True), ("Exchange2010", "Exchange2013", False)]
)
def test_a_version_knows_what_came_with_it_or_before(version: str, since: str, known: bool) -> None:
    assert knows(version, since) is known


# --- answers ------------------------------------------------------------------------------------------------------


def test_a_fault_is_a_fault_whatever_the_status_it_came_with() -> None:
    with pytest.raises(Fault) as raised:
        soap.read(FAULT)  # nobody tells the reader a status
    assert raised.value.code == "ErrorNonExistentMailbox"


def test_a_fault_tells_how_long_to_wait() -> None:
    with pytest.raises(Fault) as raised:
        soap.read(sample("published/fault-response-errorserverbusy--test-services.xml"))
    assert (raised.value.code, raised.value.params) == ("ErrorServerBusy", {"BackOffMilliseconds": "297749"})


def test_a_fault_of_the_newer_soap_is_read_too() -> None:
    newer = (
        '<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Body><s:Fault><s:Code><s:Value>s:Sender</s:Value>'
        "<s:Subcode><s:Value>e:ErrorAccessDenied</s:Value></s:Subcode></s:Code><s:Reason><s:Text>No</s:Text></s:Reason>"
        '<s:Detail><e:ResponseCode xmlns:e="http://schemas.microsoft.com/exchange/services/2006/errors">ErrorAccessDenied'
        "</e:ResponseCode></s:Detail></s:Fault></s:Body></s:Envelope>"
    )
    with pytest.raises(Fault, match="ErrorAccessDenied"):
        soap.read(newer.encode())


def test_a_fault_without_a_code_of_exchange_has_that_of_soap() -> None:
    with pytest.raises(Fault, match="Client"):
        soap.read(sample("published/fault-response-error--testxml.xml"))


@pytest.mark.parametrize(
    "data",
    [b"", b"<html><body>Sign in</body></html>", b"not xml", FAULT[:-40], b"<s:Envelope/>", b'{"error": 1}'],
    ids=["empty", "page", "text", "broken off", "no namespace", "json"],
)
def test_what_is_no_envelope_is_said_to_be_none(data: bytes) -> None:
    with pytest.raises(NotSoap):
        soap.read(data)


def test_a_forbidden_character_costs_itself_not_the_answer() -> None:
    data = sample("synthetic/getitem-response-exception.xml").replace(b"Weekly plan (long)", b"Weekly &#x1F; plan \x07")
    assert "Weekly � plan �" in etree.tostring(soap.read(data), encoding="unicode")


def test_a_mark_or_blanks_before_the_document_do_no_harm() -> None:
    data = sample("synthetic/getitem-response-exception.xml")
    assert soap.read(b"\xef\xbb\xbf" + data).tag == soap.read(b"\r\n " + data).tag


def test_a_document_with_entities_of_its_own_is_not_read() -> None:
    trap = b'<!DOCTYPE s [<!ENTITY x SYSTEM "file:///etc/passwd">]>' + FAULT.split(b"?>", 1)[1].replace(b"The", b"&x;")
    with pytest.raises(NotSoap, match="document type"):
        soap.read(trap)


# --- outcomes -----------------------------------------------------------------------------------------------------


def test_each_part_of_a_call_has_its_own_outcome_in_the_order_asked() -> None:
    found = soap.outcomes(soap.read(sample("synthetic/getitem-response-batch-partial-failure.xml")))
    assert [(each.code, each.is_error) for each in found] == [
        ("NoError", False),
        ("ErrorItemNotFound", True),
        ("ErrorBatchProcessingStopped", True),  # a warning, but nothing was done
    ]


def test_a_warning_has_its_result() -> None:
    found = soap.outcomes(
        soap.read(sample("published/resolvenames-response-errornameresolutionmultipleresults--test-protocol.xml"))
    )
    assert [(each.response_class, each.is_error) for each in found] == [("Warning", False)]


def test_a_part_tells_how_long_to_wait() -> None:
    (found,) = soap.outcomes(soap.read(sample("synthetic/syncfolderitems-response-errorserverbusy.xml")))
    assert found.params["BackOffMilliseconds"] == "5000"


def _message(attributes: str, content: str) -> soap.Outcome:
    text = (
        f'<m:GetItemResponse xmlns:m="http://schemas.microsoft.com/exchange/services/2006/messages"><m:ResponseMessages>'
        f"<m:GetItemResponseMessage {attributes}>{content}</m:GetItemResponseMessage></m:ResponseMessages></m:GetItemResponse>"
    )
    return soap.outcomes(etree.fromstring(text))[0]


@pytest.mark.parametrize(
    ("attributes", "content", "code", "is_error"),
    [
        ('ResponseClass="Error"', "<m:ResponseCode>ErrorOfTomorrow</m:ResponseCode>", "ErrorOfTomorrow", True),
        ("", "<m:ResponseCode>ErrorItemNotFound</m:ResponseCode>", "ErrorItemNotFound", True),
        ("", "<m:ResponseCode> NoError </m:ResponseCode>", "NoError", False),
        ('ResponseClass="Success"', "", "NoError", False),
        ("", "", "", True),  # says nothing: surely no success
    ],
)
def test_a_code_or_class_that_is_unknown_or_missing_breaks_nothing(
    attributes: str, content: str, code: str, is_error: bool
) -> None:
    found = _message(attributes, content)
    assert (found.code, found.is_error) == (code, is_error)


def test_free_busy_has_one_outcome_per_mailbox() -> None:
    found = soap.outcomes(soap.read(sample("synthetic/getuseravailability-response-mixed.xml")))
    assert [each.code for each in found] == ["NoError", "ErrorMailRecipientNotFound"]


def test_the_server_tells_its_build_in_any_answer() -> None:
    assert soap.server_version(sample("synthetic/getitem-response-exception.xml")) == "15.2.2562.17"
    assert soap.server_version(sample("published/getuseravailability-response--getuseravailability-operation.xml")) == "8.0.665.7"
    assert soap.server_version(FAULT) == ""


# --- streams ------------------------------------------------------------------------------------------------------

BEAT = sample("synthetic/getstreamingevents-response-heartbeat.xml")


@pytest.mark.parametrize("size", [1, 7, 64, 1000, 100_000])
def test_a_stream_is_cut_into_envelopes_however_it_arrives(size: int) -> None:
    envelopes, stream = Envelopes(), BEAT + b"\r\n" + BEAT + BEAT
    found = [whole for at in range(0, len(stream), size) for whole in envelopes.feed(stream[at : at + size])]
    assert [soap.read(whole).tag for whole in found] == [soap.read(BEAT).tag] * 3
    assert envelopes.rest == b""


def test_an_envelope_that_never_ends_is_not_waited_for() -> None:
    envelopes = Envelopes(limit=1000)
    with pytest.raises(NotSoap):
        list(envelopes.feed(b"<x>" * 500))


def test_a_stream_that_breaks_off_leaves_a_rest() -> None:
    envelopes = Envelopes()
    assert list(envelopes.feed(BEAT[:-5])) == []
    assert envelopes.rest == BEAT[:-5].strip()
