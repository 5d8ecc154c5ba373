"""From a mail address to the web services: every way there, and none on which credentials would stray."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

import pytest
from aiohttp import web
from tests.certificates import certificate
from tests.iis import IIS, Call, Reply, fault, forwarding, logged, login, serving, usual
from tests.providers.test_dns import serving as name_serving
from tests.providers.test_dns import srv

from gleichtakt.errors import AuthRequired, Permanent, Scope, Transient, Trouble
from gleichtakt.providers import dns
from gleichtakt.providers.ews import autodiscover
from gleichtakt.providers.ews.autodiscover import given, is_online, read_pox, read_soap
from gleichtakt.providers.ews.session import Session
from gleichtakt.providers.ews.wire import soap
from gleichtakt.providers.protocol import Login

ADDRESS = "anna@firm.example"
EWS = "https://mail.firm.example/EWS/Exchange.asmx"
POX = "http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a"


def pox(inside: str) -> str:
    """Write an answer in plain XML."""
    return (
        '<Autodiscover xmlns="http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006">'
        f'<Response xmlns="{POX}">{inside}</Response></Autodiscover>'
    )


def protocol(kind: str, url: str) -> str:
    """Write one section of such an answer."""
    return f"<Protocol><Type>{kind}</Type><EwsUrl>{url}</EwsUrl></Protocol>"


def settings(*users: Mapping[str, str], code: str = "NoError", target: str = "") -> str:
    """Write an answer in SOAP, with the settings of mailboxes."""
    told = "".join(
        f"<UserResponse><ErrorCode>{code}</ErrorCode><RedirectTarget>{target}</RedirectTarget><UserSettings>"
        + "".join(f"<UserSetting><Name>{name}</Name><Value>{value}</Value></UserSetting>" for name, value in user.items())
        + "</UserSettings></UserResponse>"
        for user in users
    )
    return (
        '<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/"><s:Body>'
        '<GetUserSettingsResponseMessage xmlns="http://schemas.microsoft.com/exchange/2010/Autodiscover"><Response>'
        f"<ErrorCode>NoError</ErrorCode><UserResponses>{told}</UserResponses></Response></GetUserSettingsResponseMessage>"
        "</s:Body></s:Envelope>"
    )


class Firm:
    """Hosts of a firm behind one server: what each answers in each form. Other paths are not there."""

    def __init__(self, answers: Mapping[str, str]) -> None:
        """answers: by `host form`, such as `autodiscover.firm.example pox`."""
        self.answers, self.asked, self.visitors = answers, list[str](), list[str]()

    def __call__(self, call: Call) -> Reply:
        """Answer by host and path."""
        if call.path == autodiscover.PATH:
            return usual(call)
        form = {autodiscover.SOAP_PATH: "soap", autodiscover.POX_PATH: "pox"}.get(call.path, call.path)
        host = call.headers["Host"]
        if call.body:
            self.asked.append(f"{host} {form}")
        found = self.answers.get(f"{host} {form}")
        return Reply(found) if found else Reply("", 404)


@asynccontextmanager
async def looking(
    answers: Mapping[str, str],
    *hosts: str,
    plain: Mapping[str, str] | None = None,
    name_servers: tuple[tuple[str, int], ...] = (),
    websites: Mapping[str, str] = MappingProxyType({}),
    pin: str = certificate().pin,
    **more: Any,
) -> AsyncIterator[tuple[Session, IIS, Firm]]:
    """Give a session that has to look for its server. hosts: those that exist, beside those that answer.

    websites: hosts that are no Exchange, and where they send their visitors; nowhere if empty.
    """
    firm = Firm(answers)
    server = IIS(answering=firm)

    async def handle(request: web.Request) -> web.StreamResponse:
        if request.host not in websites:
            return await server.handle(request)
        firm.visitors.append(request.headers.get("Authorization", ""))
        if websites[request.host]:
            raise web.HTTPFound(websites[request.host])
        return web.Response(text="<html>Welcome</html>", content_type="text/html")

    async with serving(server, tls=True, handler=handle):
        port = int(urlsplit(server.url).port or 0)
        named = {*hosts, *websites, *(name.partition(" ")[0] for name in answers)}
        places = {name if ":" in name else f"{name}:443": port for name in named}
        async with forwarding(places, plain) as proxy:
            options = {"proxy": proxy, **more.pop("options", {})}
            found = login("", autodiscover_address=ADDRESS, options=options, pin_sha256=pin, **more)
            session = Session(replace(found, ca_pem=""))
            session.autodiscover.name_servers = name_servers
            try:
                yield session, server, firm
            finally:
                await session.close()


# --- the ways there ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("place", "answer", "by"),
    [
        ("firm.example soap", settings({"ExternalEwsUrl": EWS}), "autodiscover soap at firm.example"),
        ("firm.example pox", pox(f"<Account>{protocol('EXPR', EWS)}</Account>"), "autodiscover pox at firm.example"),
        ("autodiscover.firm.example soap", settings({"InternalEwsUrl": EWS}), "autodiscover soap at autodiscover.firm.example"),
        ("autodiscover.firm.example pox", pox(protocol("EXCH", EWS)), "autodiscover pox at autodiscover.firm.example"),
    ],
)
async def test_each_place_is_asked_in_either_form(place: str, answer: str, by: str) -> None:
    with logged() as lines:
        async with looking({place: answer}) as (session, _, firm):
            found = await session.endpoint()
    assert (found.url, found.by) == (EWS, by)
    assert firm.asked[-1] == place
    assert next(line for line in lines if line["event"] == "endpoint_found")["host"] == "mail.firm.example"
    assert "anna" not in str(lines)


async def test_a_server_that_was_found_is_called() -> None:
    answers = {"autodiscover.firm.example soap": settings({"ExternalEwsUrl": EWS})}
    async with looking(answers, "mail.firm.example") as (session, server, _):
        await session.call("GetFolder", b"<m:GetFolder/>", mailbox=ADDRESS)
    assert (server.calls[-1].operation, server.calls[-1].headers["Host"]) == ("GetFolder", "mail.firm.example")


async def test_a_redirect_in_the_clear_is_followed_to_an_encrypted_place_of_the_firm() -> None:
    plain = {
        "http://autodiscover.firm.example/autodiscover/autodiscover.xml": "https://ex1.firm.example/autodiscover/autodiscover.xml"
    }
    async with looking({"ex1.firm.example pox": pox(protocol("EXPR", EWS))}, plain=plain) as (session, _, _firm):
        assert (await session.endpoint()).url == EWS


async def test_a_service_record_leads_there_with_its_port() -> None:
    answers = {"ex1.firm.example:8443 pox": pox(protocol("EXPR", EWS))}
    async with (
        name_serving((dns.SRV, srv(0, 0, 8443, "ex1.firm.example"))) as name_server,
        looking(answers, name_servers=(name_server,)) as (session, _, _firm),
    ):
        assert (await session.endpoint()).url == EWS


@pytest.mark.parametrize("form", ["soap", "pox"])
async def test_another_address_and_another_place_are_followed(form: str) -> None:
    moved = "anna@ex.firm.example"
    elsewhere = "https://ex2.firm.example/autodiscover/autodiscover." + ("svc" if form == "soap" else "xml")
    if form == "soap":
        first = settings({}, code="RedirectAddress", target=moved)
        second = settings({}, code="RedirectUrl", target=elsewhere)
        third = settings({"ExternalEwsUrl": EWS})
    else:
        first = pox(f"<Account><Action>redirectAddr</Action><RedirectAddr>{moved}</RedirectAddr></Account>")
        second = pox(f"<Account><Action>redirectUrl</Action><RedirectUrl>{elsewhere}</RedirectUrl></Account>")
        third = pox(protocol("EXPR", EWS))
    answers = {f"firm.example {form}": first, f"ex.firm.example {form}": second, f"ex2.firm.example {form}": third}
    async with looking(answers) as (session, _, firm):
        assert (await session.endpoint()).url == EWS
    assert [place for place in firm.asked if place in answers] == list(answers)


async def test_the_address_for_others_comes_before_the_one_inside() -> None:
    inside = protocol("EXCH", "https://ex1.firm.example/EWS/Exchange.asmx")
    async with looking({"firm.example pox": pox(inside + protocol("EXPR", EWS))}) as (session, _, _firm):
        assert (await session.endpoint()).url == EWS


async def test_an_address_that_may_not_be_followed_gives_way_to_one_that_may() -> None:
    outside = protocol("EXPR", "https://mail.hoster.example/EWS/Exchange.asmx")
    async with looking({"firm.example pox": pox(outside + protocol("EXCH", EWS))}) as (session, _, _firm):
        assert (await session.endpoint()).url == EWS


async def test_the_server_is_looked_up_again_after_a_mailbox_moved() -> None:
    answers = {"firm.example soap": settings({"ExternalEwsUrl": EWS})}
    async with looking(answers, "mail.firm.example") as (session, server, firm):
        await session.version()
        server.answering = lambda _: Reply(fault("ErrorMailboxMoveInProgress"), 500)
        with pytest.raises(Transient) as raised:
            await session.call("GetFolder", b"<m:GetFolder/>", mailbox=ADDRESS)
        assert raised.value.code == "ews.mailbox_moving"
        server.answering = firm
        await session.call("GetFolder", b"<m:GetFolder/>", mailbox=ADDRESS)
    assert firm.asked == ["firm.example soap", "firm.example soap"]


# --- what is not followed ---------------------------------------------------------------------------------------------


async def refused(answers: Mapping[str, str], *hosts: str, **more: Any) -> tuple[Trouble, IIS]:
    """Look for a server and give the trouble that ends in."""
    async with looking(answers, *hosts, **more) as (session, server, _):
        with pytest.raises(Trouble) as raised:
            await session.endpoint()
    return raised.value, server


STRANGE = "https://mail.hoster.example/EWS/Exchange.asmx"


@pytest.mark.parametrize(
    "answers",
    [
        {"firm.example pox": pox(protocol("EXPR", STRANGE))},
        {"firm.example soap": settings({"ExternalEwsUrl": STRANGE})},
        {"firm.example soap": settings({"ExternalEwsUrl": "http://mail.firm.example/EWS/Exchange.asmx"})},
        {
            "firm.example soap": settings(
                {}, code="RedirectUrl", target="https://mail.hoster.example/autodiscover/autodiscover.svc"
            )
        },
        {
            "firm.example pox": pox(
                "<Account><RedirectUrl>http://firm.example/autodiscover/autodiscover.xml</RedirectUrl></Account>"
            )
        },
        {"firm.example pox": pox("<Account><RedirectAddr>anna@hoster.example</RedirectAddr></Account>")},
        {"firm.example soap": settings({}, code="RedirectUrl", target="https://firm.example/autodiscover/autodiscover.svc")},
    ],
)
async def test_strangers_clear_text_and_circles_are_not_followed(answers: Mapping[str, str]) -> None:
    trouble, server = await refused(answers, "mail.hoster.example", "hoster.example")
    assert (trouble.code, trouble.scope) == ("general.redirect_refused", Scope.ACCOUNT)
    assert {call.headers["Host"] for call in server.calls} <= {"firm.example"}


async def test_a_redirect_in_the_clear_to_a_stranger_is_refused_by_name() -> None:
    plain = {
        "http://autodiscover.firm.example/autodiscover/autodiscover.xml": "https://hoster.example/autodiscover/autodiscover.xml"
    }
    trouble, server = await refused({"hoster.example pox": pox(protocol("EXPR", EWS))}, plain=plain)
    assert trouble.params["target"] == "hoster.example"
    assert not server.calls


async def test_an_approved_host_is_followed() -> None:
    async with looking(
        {"firm.example pox": pox(protocol("EXPR", STRANGE))}, options={"approved_hosts": "mail.hoster.example"}
    ) as (session, _, _firm):
        assert (await session.endpoint()).url == STRANGE


@pytest.mark.parametrize(
    ("answers", "address"),
    [
        ({"firm.example soap": settings({"ExternalEwsUrl": "https://outlook.office365.com/EWS/Exchange.asmx"})}, ADDRESS),
        ({"firm.example soap": settings({}, code="RedirectAddress", target="anna@firm.mail.onmicrosoft.com")}, ADDRESS),
        ({}, "anna@firm.onmicrosoft.com"),
    ],
)
async def test_exchange_online_is_refused_with_the_way_to_graph(answers: Mapping[str, str], address: str) -> None:
    async with looking(answers) as (session, _, _firm):
        session.autodiscover.login = replace(session.login, autodiscover_address=address)
        with pytest.raises(Permanent) as raised:
            await session.endpoint()
    assert raised.value.code == "ews.exchange_online"
    assert "Graph" in raised.value.remedy("de")


async def test_a_firm_that_moved_to_exchange_online_is_told_so() -> None:
    online = "https://autodiscover-s.outlook.com/autodiscover/autodiscover.xml"
    trouble, server = await refused({}, websites={"firm.example": "https://hoster.example/", "autodiscover.firm.example": online})
    assert (trouble.code, trouble.params["host"]) == ("ews.exchange_online", "autodiscover-s.outlook.com")
    plain = {"http://autodiscover.firm.example/autodiscover/autodiscover.xml": online}
    trouble, server = await refused({}, "autodiscover-s.outlook.com", plain=plain)
    assert trouble.code == "ews.exchange_online"
    assert {scheme for scheme, _ in server.legs} == {""}


@pytest.mark.parametrize("method", ["ntlm", "basic"])
async def test_the_firms_website_gets_no_credentials(method: str) -> None:
    answers = {"autodiscover.firm.example soap": settings({"ExternalEwsUrl": EWS})}
    async with looking(answers, websites={"firm.example": ""}, method=method) as (session, server, firm):
        server.offers = ("NTLM", 'Basic realm="firm.example"')
        await session.endpoint()
    assert firm.visitors == ["", ""]


async def test_basic_goes_only_to_a_host_that_asks_for_it() -> None:
    async with looking({"firm.example soap": settings({"ExternalEwsUrl": EWS})}, method="basic") as (session, server, _):
        with pytest.raises(AuthRequired) as raised:
            await session.endpoint()
        assert raised.value.code == "ews.method_not_offered"
        assert {scheme for scheme, _ in server.legs} == {""}
        server.offers = ('Basic realm="firm.example"',)
        assert (await session.endpoint()).url == EWS


async def test_a_wrong_password_is_tried_at_one_place_only() -> None:
    async with looking({}, "firm.example", "autodiscover.firm.example", password="falsch") as (session, server, _):
        with pytest.raises(AuthRequired) as raised:
            await session.endpoint()
    assert raised.value.code == "ews.login_refused"
    assert len(server.failed) == 1


async def test_a_firm_without_a_server_is_told_what_to_enter() -> None:
    trouble, _ = await refused({})
    assert (type(trouble), trouble.code, trouble.params["domain"]) == (Transient, "ews.not_discovered", "firm.example")
    assert "https://mail.firm.example/EWS/Exchange.asmx" in trouble.remedy()


async def test_a_certificate_nobody_trusts_is_what_is_told() -> None:
    trouble, _ = await refused({}, "autodiscover.firm.example", pin="")
    assert (type(trouble), trouble.code, trouble.params["host"]) == (Transient, "general.tls", "autodiscover.firm.example")


# --- groups -----------------------------------------------------------------------------------------------------------


async def test_mailboxes_are_grouped_by_the_back_end_that_serves_them() -> None:
    told = [{"ExternalEwsUrl": EWS, "GroupingInformation": group} for group in ("EX1", "EX2")]
    answers = {"firm.example soap": settings({"ExternalEwsUrl": EWS})}
    async with looking(answers, "mail.firm.example") as (session, _, firm):
        await session.endpoint()
        firm.answers = {"firm.example soap": settings(*told)}
        groups = await session.groups(["anna@firm.example", "bert@firm.example"])
        firm.answers = {}
        assert await session.groups(["anna@firm.example"]) == {"anna@firm.example": ""}
    assert groups["anna@firm.example"] == f"EX1 {EWS.lower()}"
    assert groups["anna@firm.example"] != groups["bert@firm.example"]


# --- a server by its name ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("mail.firm.example", EWS),
        ("mail.firm.example:444", "https://mail.firm.example:444/EWS/Exchange.asmx"),
        (" 10.1.2.3 ", "https://10.1.2.3/EWS/Exchange.asmx"),
        ("https://mail.firm.example/", EWS),
        ("https://mail.firm.example/ews/", "https://mail.firm.example/ews/Exchange.asmx"),
        ("https://mail.firm.example/EWS/Exchange.asmx", EWS),
        ("https://gw.firm.example/own/path.asmx", "https://gw.firm.example/own/path.asmx"),
        ("http://localhost:8080", "http://localhost:8080/EWS/Exchange.asmx"),
    ],
)
def test_a_server_may_be_named_in_every_way(text: str, url: str) -> None:
    found = given(Login("ews", text))
    assert found is not None
    assert (found.url, found.is_given) == (url, True)


def test_nothing_named_is_looked_up_and_nonsense_is_refused() -> None:
    assert given(Login("ews", "  ")) is None
    for text in ("ftp://mail.firm.example", "https://", "mail.firm.example:port"):
        with pytest.raises(Permanent) as raised:
            given(Login("ews", text))
        assert raised.value.code == "general.bad_address"


async def test_a_connection_without_server_and_address_says_what_to_enter() -> None:
    session = Session(login("", user="FIRM\\svc"))
    with pytest.raises(Permanent) as raised:
        await session.endpoint()
    await session.close()
    assert raised.value.code == "ews.no_address"


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("outlook.office365.com", True),
        ("OUTLOOK.OFFICE365.COM.", True),
        ("outlook.office365.us", True),
        ("partner.outlook.cn", True),
        ("autodiscover-s.outlook.com", True),
        ("firm.mail.onmicrosoft.com", True),
        ("mail.firm.example", False),
        ("outlook.firm.example", False),
        ("myoffice365.com", False),
    ],
)
def test_exchange_online_is_known_by_its_names(host: str, expected: bool) -> None:
    assert is_online(host) is expected
    if expected and "onmicrosoft" not in host:
        with pytest.raises(Permanent):
            given(Login("ews", host))


# --- words ------------------------------------------------------------------------------------------------------------


def test_an_answer_in_plain_xml_is_read_as_servers_of_2007_write_it() -> None:
    read = read_pox(pox(f"<Account><Protocol><Type>EXCH</Type><ASUrl>{EWS}</ASUrl></Protocol></Account>").encode())
    assert read.urls == (EWS,)


def test_an_error_in_either_form_has_its_code() -> None:
    told = '<Error Time="12:00" Id="1"><ErrorCode>500</ErrorCode><Message>…</Message></Error>'
    assert read_pox(pox(told).encode()).code == "500"
    (user,) = read_soap(settings({}, code="InvalidUser").encode())
    assert user.code == "InvalidUser"
    broken = settings().replace("NoError", "InvalidSetting")
    assert read_soap(broken.encode())[0].code == "InvalidSetting"


def test_what_is_no_answer_is_refused() -> None:
    for text in ("<html/>", "", "<Autodiscover"):
        with pytest.raises(soap.NotSoap):
            read_pox(text.encode())
    with pytest.raises(soap.Fault):
        read_soap(fault("a:InvalidRequest").encode())
