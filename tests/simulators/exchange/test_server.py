"""The simulated Exchange as a client meets it: versions, impersonation, faults, address book, absences, Autodiscover, control."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import aiohttp
import pytest
from tests.exchange_world import (
    ROOM_LIST,
    SERVICE,
    SERVICE_PASSWORD,
    ExchangeWorld,
    everything_is_valid,
    exchange_world,
)
from tests.simulators.exchange.plain_client import CREATE, MEETING, ROOMS, PlainClient, envelope, signed_in

ANNA = "anna@firm.example"
STREAMING = (
    '<m:Subscribe><m:StreamingSubscriptionRequest SubscribeToAllFolders="true"><t:EventTypes>'
    "<t:EventType>CreatedEvent</t:EventType></t:EventTypes></m:StreamingSubscriptionRequest></m:Subscribe>"
)
ZONES = "<m:GetServerTimeZones/>"


@asynccontextmanager
async def world_and_client(account: str = "anna", **habits: Any) -> AsyncIterator[tuple[ExchangeWorld, PlainClient]]:
    """Run a firm and sign somebody in."""
    password = SERVICE_PASSWORD if account == SERVICE else f"{account}-password"
    async with exchange_world(methods=("basic",), **habits) as world, signed_in(world.url, account, password) as client:
        yield world, client


def create(inner: str) -> str:
    """Write a request that makes a calendar item."""
    item = f"<t:CalendarItem>{inner}</t:CalendarItem>"
    return f'<m:CreateItem SendMeetingInvitations="SendToNone"><m:Items>{item}</m:Items></m:CreateItem>'


TIMES = "<t:Start>2026-11-23T09:00:00Z</t:Start><t:End>2026-11-23T09:30:00Z</t:End>"


# --- versions ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("server", "asked", "operation", "code"),
    [
        ("2007_SP1", "Exchange2007_SP1", CREATE, ""),
        ("2007_SP1", "Exchange2010", CREATE, "ErrorInvalidServerVersion"),
        ("2007_SP3", "", CREATE, ""),
        ("2010", "Exchange2010", ZONES, ""),
        ("2007_SP1", "Exchange2007_SP1", ZONES, "ErrorSchemaValidation"),
        ("SE", "Exchange2007_SP1", ZONES, "ErrorSchemaValidation"),
        ("2007_SP1", "Exchange2007_SP1", ROOMS, "ErrorSchemaValidation"),
        ("2010", "Exchange2010", STREAMING, "ErrorSchemaValidation"),
        ("2010_SP1", "Exchange2010_SP1", STREAMING, ""),
        ("2010_SP3", "Exchange2013", ROOMS, "ErrorInvalidServerVersion"),
        ("2013_SP1", "Exchange2013_SP1", ROOMS, ""),
        ("2016", "Exchange2016", ROOMS, ""),
        ("2019", "V2017_07_11", ROOMS, ""),
        ("SE", "Exchange2010_SP2", ROOMS, ""),
        ("SE", "Exchange2042", ROOMS, "ErrorInvalidServerVersion"),
    ],
)
async def test_a_server_refuses_what_it_does_not_know_yet(server: str, asked: str, operation: str, code: str) -> None:
    async with world_and_client(version=server) as (_, client):
        reply = await client.ask(operation, version=asked)
        assert (reply.status, reply.fault) == ((500, code) if code else (200, ""))


@pytest.mark.parametrize(
    ("inner", "version", "is_valid"),
    [
        (f"<t:Subject>x</t:Subject>{TIMES}<t:Location>here</t:Location>", "Exchange2010", True),
        (f"<t:Location>here</t:Location>{TIMES}", "Exchange2010", False),  # out of order
        (f"{TIMES}<t:Colour>red</t:Colour>", "Exchange2010", False),
        (f'{TIMES}<t:StartTimeZone Id="UTC"/>', "Exchange2010", True),
        (f'{TIMES}<t:StartTimeZone Id="UTC"/>', "Exchange2007_SP1", False),
        (f"{TIMES}<t:LegacyFreeBusyStatus>WorkingElsewhere</t:LegacyFreeBusyStatus>", "Exchange2013", True),
        (f"{TIMES}<t:LegacyFreeBusyStatus>WorkingElsewhere</t:LegacyFreeBusyStatus>", "Exchange2010", False),
    ],
)
async def test_an_item_the_schema_does_not_allow_is_refused(inner: str, version: str, is_valid: bool) -> None:
    async with world_and_client() as (_, client):
        reply = await client.ask(create(inner), version=version)
        assert (reply.fault, reply.status) == (("", 200) if is_valid else ("ErrorSchemaValidation", 500))


@pytest.mark.parametrize(("version", "hour"), [("Exchange2010", 8), ("Exchange2007_SP1", 10)])
async def test_an_older_version_passes_over_the_zone_of_a_request(version: str, hour: int) -> None:
    zone = '<t:TimeZoneContext><t:TimeZoneDefinition Id="W. Europe Standard Time"/></t:TimeZoneContext>'
    summer = "<t:Start>2026-07-01T10:00:00</t:Start><t:End>2026-07-01T11:00:00</t:End>"
    async with world_and_client() as (world, client):
        assert (await client.send(envelope(create(summer), version=version, header=zone))).codes == ["NoError"]
        (item,) = world.mailbox("anna").calendar.items.values()
        assert item.values["Start"] == datetime(2026, 7, 1, hour, tzinfo=UTC)


async def test_every_answer_tells_the_build() -> None:
    async with world_and_client(version="2010_SP1") as (_, client):
        assert b'MajorVersion="14" MinorVersion="1" MajorBuildNumber="218"' in (await client.ask(ROOMS)).data
        assert b'Version="Exchange2010_SP1"' in (await client.ask(ROOMS, version="Exchange2016")).data


async def test_nonsense_is_answered_with_a_fault() -> None:
    async with world_and_client() as (_, client):
        for data in (b"", b"<no", b"<a/>", envelope("")):
            assert (await client.send(data)).fault == "ErrorSchemaValidation"
        assert (await client.ask("<m:FlyAway/>")).fault == "ErrorSchemaValidation"


# --- whom a call is for ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("account", "whom", "code"),
    [
        (SERVICE, ANNA, ""),
        (SERVICE, "nobody@firm.example", "ErrorNonExistentMailbox"),
        ("ben", ANNA, "ErrorImpersonateUserDenied"),
    ],
)
async def test_impersonation_goes_as_far_as_its_scope(account: str, whom: str, code: str) -> None:
    async with world_and_client(account) as (world, client):
        reply = await client.ask(ROOMS, impersonate=whom)
        assert (reply.status, reply.fault) == ((500, code) if code else (200, ""))
        world.exchange.accounts[account].impersonates = ("ben@*",)
        if not code:
            assert (await client.ask(ROOMS, impersonate=whom)).fault == "ErrorImpersonateUserDenied"


async def test_a_mailbox_without_licence_is_disabled() -> None:
    async with world_and_client(SERVICE) as (world, client):
        world.mailbox("anna").is_enabled = False
        assert (await client.ask(ROOMS, impersonate=ANNA)).fault == "ErrorAccountDisabled"


@pytest.mark.parametrize("kind", ["PrincipalName", "SID", "SmtpAddress"])
async def test_who_is_meant_can_be_said_in_several_ways(kind: str) -> None:
    names = {"PrincipalName": ANNA, "SID": "S-1-5-21-1004336348-1177238915-682003330-1001", "SmtpAddress": ANNA.upper()}
    async with world_and_client(SERVICE) as (world, client):
        sid = f"<t:ConnectingSID><t:{kind}>{names[kind]}</t:{kind}></t:ConnectingSID>"
        header = f"<t:ExchangeImpersonation>{sid}</t:ExchangeImpersonation>"
        assert (await client.send(envelope(ROOMS, header=header))).status == 200
        assert world.asked()[-1].mailbox == ANNA


# --- faults ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("effect", [False, True])
async def test_a_lost_answer_may_or_may_not_have_taken_effect(effect: bool) -> None:
    async with world_and_client() as (world, client):
        world.fail("lost", "write", effect=effect)
        with pytest.raises(aiohttp.ClientError):
            await client.ask(CREATE)
        assert len(world.mailbox("anna").calendar.items) == effect


@pytest.mark.parametrize("effect", [False, True])
async def test_a_fault_may_or_may_not_have_taken_effect(effect: bool) -> None:
    async with world_and_client() as (world, client):
        world.fail("fault", "CreateItem", code="ErrorInternalServerTransientError", effect=effect)
        assert (await client.ask(CREATE)).fault == "ErrorInternalServerTransientError"
        assert len(world.mailbox("anna").calendar.items) == effect


@pytest.mark.parametrize("effect", [False, True])
async def test_one_item_of_several_can_fail(effect: bool) -> None:
    three = CREATE.replace(MEETING, "".join(MEETING.replace("Standup", name) for name in ("one", "two", "three")))
    async with world_and_client() as (world, client):
        world.fail("item", contains="two", code="ErrorServerBusy", back_off=700, effect=effect)
        reply = await client.ask(three)
        assert (reply.codes, reply.back_off) == (["NoError", "ErrorServerBusy", "NoError"], 700)
        assert len(world.mailbox("anna").calendar.items) == 2 + effect
        assert everything_is_valid(world.exchange)


async def test_a_rule_skips_and_counts() -> None:
    async with world_and_client() as (world, client):
        world.fail("status", status=503, headers={"Retry-After": "7"}, skip=1, times=2)
        replies = [await client.ask(ROOMS) for _ in range(4)]
        assert [reply.status for reply in replies] == [200, 503, 503, 200]
        assert replies[1].headers["Retry-After"] == "7"


async def test_an_answer_can_break_off_or_be_garbage() -> None:
    async with world_and_client() as (world, client):
        world.fail("cut", count=100)
        with pytest.raises(aiohttp.ClientPayloadError):
            await client.ask(ROOMS)
        world.fail("garbage", body="<html>proxy</html>")
        assert (await client.ask(ROOMS)).data == b"<html>proxy</html>"
        world.fail("spoil")
        assert b"\x1a" in (await client.ask(ROOMS)).data


async def test_a_fault_can_be_meant_for_one_mailbox() -> None:
    async with world_and_client(SERVICE) as (world, client):
        world.fail("fault", mailbox=ANNA, code="ErrorMailboxStoreUnavailable", times=-1)
        assert (await client.ask(ROOMS, impersonate="ben@firm.example")).status == 200
        assert (await client.ask(ROOMS, impersonate=ANNA)).fault == "ErrorMailboxStoreUnavailable"


async def test_a_server_without_ews_says_so() -> None:
    async with world_and_client() as (world, client):
        assert (await client.send(method="GET")).status == 200
        world.exchange.behave({"is_ews_on": False})
        assert (await client.ask(ROOMS)).status == 403
        assert (await client.send(url=f"{world.running.root}/owa/")).status == 404


# --- address book ------------------------------------------------------------------------------------------------


async def test_rooms_are_found_through_their_list() -> None:
    async with world_and_client() as (world, client):
        assert (await client.ask(ROOMS)).texts("EmailAddress") == [ROOM_LIST]
        wanted = "<m:GetRooms><m:RoomList><t:EmailAddress>{}</t:EmailAddress></m:RoomList></m:GetRooms>"
        rooms = await client.ask(wanted.format(ROOM_LIST))
        assert rooms.texts("EmailAddress") == ["north@firm.example", "south@firm.example"]
        assert (await client.ask(wanted.format("x@y"))).codes == ["ErrorNameResolutionNoResults"]
        assert everything_is_valid(world.exchange)


@pytest.mark.parametrize(
    ("name", "codes", "found"),
    [
        ("anna", ["NoError"], [ANNA]),
        (f"smtp:{ANNA}", ["NoError"], [ANNA]),
        ("nobody", ["ErrorNameResolutionNoResults"], []),
        ("room", ["NoError"], [ROOM_LIST]),
        ("a", ["ErrorNameResolutionMultipleResults"], [ANNA, "albert@firm.example"]),
    ],
)
async def test_names_are_resolved(name: str, codes: list[str], found: list[str]) -> None:
    async with world_and_client() as (world, client):
        world.exchange.add_person("albert")
        request = f'<m:ResolveNames ReturnFullContactData="true"><m:UnresolvedEntry>{name}</m:UnresolvedEntry></m:ResolveNames>'
        reply = await client.ask(request)
        assert reply.codes == codes
        assert set(reply.texts("EmailAddress")) == set(found)
        assert everything_is_valid(world.exchange)


# --- absences ----------------------------------------------------------------------------------------------------

ASK_ABSENCE = "<m:GetUserOofSettingsRequest><t:Mailbox><t:Address>{}</t:Address></t:Mailbox></m:GetUserOofSettingsRequest>"


def absent(state: str, start: str = "2026-12-24T00:00:00", end: str = "2027-01-02T00:00:00", replies: str = "") -> str:
    """Write a request that sets automatic replies."""
    said = "<t:Message>Away</t:Message>"
    return (
        f"<m:SetUserOofSettingsRequest><t:Mailbox><t:Address>{ANNA}</t:Address></t:Mailbox><t:UserOofSettings>"
        f"<t:OofState>{state}</t:OofState><t:ExternalAudience>All</t:ExternalAudience><t:Duration><t:StartTime>{start}</t:StartTime>"
        f"<t:EndTime>{end}</t:EndTime></t:Duration>"
        f"{replies or f'<t:InternalReply>{said}</t:InternalReply><t:ExternalReply>{said}</t:ExternalReply>'}"
        "</t:UserOofSettings></m:SetUserOofSettingsRequest>"
    )


async def test_automatic_replies_are_html_and_no_wider_than_allowed() -> None:
    async with world_and_client() as (world, client):
        world.exchange.availability.absence(ANNA).allowed = "Known"
        assert (await client.ask(absent("Scheduled"))).codes == ["NoError"]
        reply = await client.ask(ASK_ABSENCE.format(ANNA))
        assert (reply.texts("OofState"), reply.texts("ExternalAudience")) == (["Scheduled"], ["Known"])
        assert reply.texts("StartTime") == ["2026-12-24T00:00:00Z"]
        assert reply.texts("Message") == ["<html><body><div>Away</div></body></html>"] * 2
        assert everything_is_valid(world.exchange)


@pytest.mark.parametrize(
    ("request_body", "code"),
    [
        (absent("Scheduled", start="2027-02-01T00:00:00"), "ErrorInvalidScheduledOofDuration"),
        (absent("Scheduled", start="2020-01-01T00:00:00", end="2020-01-02T00:00:00"), "ErrorInvalidScheduledOofDuration"),
        (absent("Enabled", replies="<t:InternalReply/>"), "ErrorInvalidUserOofSettings"),
        (ASK_ABSENCE.format("ben@firm.example"), "ErrorAccessDenied"),
    ],
)
async def test_automatic_replies_that_make_no_sense_or_are_somebody_elses_are_refused(request_body: str, code: str) -> None:
    async with world_and_client() as (_, client):
        assert (await client.ask(request_body)).codes == [code]


# --- free/busy ---------------------------------------------------------------------------------------------------

BERLIN = (
    "<t:TimeZone><t:Bias>-60</t:Bias><t:StandardTime><t:Bias>0</t:Bias><t:Time>03:00:00</t:Time><t:DayOrder>5</t:DayOrder>"
    "<t:Month>10</t:Month><t:DayOfWeek>Sunday</t:DayOfWeek></t:StandardTime><t:DaylightTime><t:Bias>-60</t:Bias>"
    "<t:Time>02:00:00</t:Time><t:DayOrder>5</t:DayOrder><t:Month>3</t:Month><t:DayOfWeek>Sunday</t:DayOfWeek></t:DaylightTime></t:TimeZone>"
)


def availability(*people: str, start: str, end: str, zone: str = BERLIN, view: str = "DetailedMerged") -> str:
    """Write a question who is free when."""
    asked = "".join(
        f"<t:MailboxData><t:Email><t:Address>{one}@firm.example</t:Address></t:Email><t:AttendeeType>Required</t:AttendeeType></t:MailboxData>"
        for one in people
    )
    window = f"<t:TimeWindow><t:StartTime>{start}</t:StartTime><t:EndTime>{end}</t:EndTime></t:TimeWindow>"
    return (
        f"<m:GetUserAvailabilityRequest>{zone}<m:MailboxDataArray>{asked}</m:MailboxDataArray><t:FreeBusyViewOptions>{window}"
        f"<t:MergedFreeBusyIntervalInMinutes>60</t:MergedFreeBusyIntervalInMinutes><t:RequestedView>{view}</t:RequestedView>"
        "</t:FreeBusyViewOptions></m:GetUserAvailabilityRequest>"
    )


async def test_free_and_busy_is_told_on_the_wall_clock_of_who_asks() -> None:
    async with world_and_client() as (world, client):
        world.put("anna", {"Subject": "Summer", "Start": "2026-07-01T08:00:00Z", "End": "2026-07-01T09:00:00Z"})
        world.put("ben", {"Subject": "Secret", "Start": "2026-07-01T09:00:00Z", "End": "2026-07-01T10:30:00Z"})
        day = {"start": "2026-07-01T08:00:00", "end": "2026-07-01T16:00:00"}
        reply = await client.ask(availability("anna", "ben", "nobody", **day))
        assert reply.codes == ["NoError", "NoError", "ErrorMailRecipientNotFound"]
        assert reply.texts("MergedFreeBusy") == ["00200000", "00022000"]
        assert reply.texts("StartTime") == ["2026-07-01T10:00:00", "2026-07-01T11:00:00"]
        assert reply.texts("FreeBusyViewType") == ["DetailedMerged", "FreeBusyMerged", "None"]
        assert reply.texts("Subject") == ["Summer"]
        assert everything_is_valid(world.exchange)


@pytest.mark.parametrize(
    ("request_body", "code"),
    [
        (availability("anna", start="2026-07-01T00:00:00", end="2026-10-01T00:00:00"), "ErrorTimeIntervalTooBig"),
        (availability("anna", start="2026-07-02T00:00:00", end="2026-07-01T00:00:00"), "ErrorInvalidTimeInterval"),
        (availability("anna", start="2026-07-01T00:00:00", end="2026-07-02T00:00:00", zone=""), "ErrorTimeZone"),
        (availability(*["anna"] * 101, start="2026-07-01T00:00:00", end="2026-07-02T00:00:00"), "ErrorMailboxDataArrayTooBig"),
    ],
)
async def test_too_much_and_too_little_is_refused(request_body: str, code: str) -> None:
    async with world_and_client() as (_, client):
        assert (await client.ask(request_body)).fault == code


# --- Autodiscover ------------------------------------------------------------------------------------------------


def pox(address: str) -> bytes:
    """Write a question in plain old XML."""
    space = "http://schemas.microsoft.com/exchange/autodiscover/outlook/requestschema/2006"
    return f'<Autodiscover xmlns="{space}"><Request><EMailAddress>{address}</EMailAddress></Request></Autodiscover>'.encode()


def settings(address: str, *names: str) -> bytes:
    """Write a question in SOAP."""
    listed = "".join(f"<a:Setting>{name}</a:Setting>" for name in names)
    return (
        '<s:Envelope xmlns:a="http://schemas.microsoft.com/exchange/2010/Autodiscover" '
        'xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body><a:GetUserSettingsRequestMessage><a:Request><a:Users><a:User>'
        f"<a:Mailbox>{address}</a:Mailbox></a:User></a:Users><a:RequestedSettings>{listed}</a:RequestedSettings></a:Request>"
        "</a:GetUserSettingsRequestMessage></s:Body></s:Envelope>"
    ).encode()


async def test_autodiscover_in_plain_xml_tells_the_address_or_where_to_ask() -> None:
    async with world_and_client() as (world, client):
        url = f"{world.running.root}/autodiscover/autodiscover.xml"
        assert f"<EwsUrl>{world.url}</EwsUrl>".encode() in (await client.send(pox(ANNA), url=url)).data
        assert b"<ErrorCode>500</ErrorCode>" in (await client.send(pox("x@firm.example"), url=url)).data
        world.exchange.redirects[ANNA] = ("address", "anna@other.example")
        assert b"<RedirectAddr>anna@other.example</RedirectAddr>" in (await client.send(pox(ANNA), url=url)).data
        world.exchange.redirects[ANNA] = ("url", "https://other.example/autodiscover/autodiscover.xml")
        assert b"<Action>redirectUrl</Action>" in (await client.send(pox(ANNA), url=url)).data


async def test_autodiscover_in_soap_tells_the_settings_and_which_it_has_not() -> None:
    async with world_and_client(backends=2) as (world, client):
        url = f"{world.running.root}/autodiscover/autodiscover.svc"
        reply = await client.send(settings(ANNA, "ExternalEwsUrl", "GroupingInformation", "Unheard"), url=url)
        assert f"<Name>ExternalEwsUrl</Name><Value>{world.url}</Value>".encode() in reply.data
        assert b"<Value>firm.example-1</Value>" in reply.data
        assert b"<SettingName>Unheard</SettingName>" in reply.data
        world.exchange.redirects[ANNA] = ("address", "anna@other.example")
        assert b"<ErrorCode>RedirectAddress</ErrorCode>" in (await client.send(settings(ANNA, "ExternalEwsUrl"), url=url)).data


async def test_a_plain_question_for_autodiscover_is_sent_elsewhere_without_sign_in() -> None:
    async with (
        exchange_world(redirect="https://mail.firm.example/autodiscover/autodiscover.xml") as world,
        signed_in(world.url) as client,
    ):
        reply = await client.send(url=f"{world.running.root}/autodiscover/autodiscover.xml", method="GET")
        assert (reply.status, reply.headers["Location"]) == (302, "https://mail.firm.example/autodiscover/autodiscover.xml")


# --- control -----------------------------------------------------------------------------------------------------


async def test_the_control_interface_shows_and_changes_what_there_is() -> None:
    async with world_and_client() as (world, client), aiohttp.ClientSession(world.running.control) as control:

        async def do(what: str, status: int = 200, **body: Any) -> Any:
            async with control.post(what, json=body) as answer:
                assert answer.status == status, await answer.text()
                return await answer.json()

        async def show(what: str) -> Any:
            async with control.get(what) as answer:
                return await answer.json()

        times = {"Start": "2026-11-23T09:00:00Z", "End": "2026-11-23T10:00:00Z"}
        made = await do("state", op="put", mailbox=ANNA, item={"Subject": "Planned", **times})
        held = next(one for one in await show("state") if one["mailbox"] == ANNA)
        assert [(item["id"], item["subject"]) for folder in held["folders"] for item in folder["items"]] == [
            (made["id"], "Planned")
        ]
        await do("state", op="mailbox", mailbox=ANNA, is_enabled=False)
        assert "ErrorAccountDisabled" in (await client.ask(CREATE)).data.decode()
        await do("state", op="mailbox", mailbox="new@firm.example", name="New")
        await do("state", op="folder", mailbox="new@firm.example", name="Team")
        await do("state", op="permission", mailbox="new@firm.example", folder="Team", who="ben@firm.example", level="Editor")
        await do("state", op="absence", mailbox="new@firm.example", state="Enabled")
        await do("accounts", username="new", password="x", mailbox="new@firm.example")
        await do("throttle", owner="anna", seconds=60)
        await do("faults", do="fault", operation="GetItem")
        await do("habits", version="2013")
        await do("state", 422, op="nonsense")
        await do("habits", 422, version="Exchange 5.5")
        await do("state", 422, op="put", mailbox="ben@firm.example", item={"Colour": 1})
        await do("state", 409, op="put", mailbox="nobody@firm.example", item=times)
        await do("state", 404, op="move")
        assert (await show("throttle"))["budgets"]["anna"]["until"]
        assert (await show("absences"))["new@firm.example"]["state"] == "Enabled"
        assert (await show("outbox"), (await show("faults"))[0]["operation"]) == ([], "GetItem")
        assert (await show("ledger"))["entries"][-1]["operation"] == "CreateItem"
        assert world.exchange.release.build[:2] == (15, 0)
