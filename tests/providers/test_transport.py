"""HTTP for every provider: trust, redirects, waiting, and what each failure means."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from tests.certificates import certificate, oldest_server
from tests.servers import free_port

from gleichtakt.errors import Ambiguous, AuthRequired, Permanent, Scope, Throttled, Transient, Trouble
from gleichtakt.providers.protocol import Login, Secret
from gleichtakt.providers.transport import (
    Answer,
    PrivateHosts,
    Transport,
    is_neighbour,
    may_follow,
    read_pin,
    trouble_of,
    wait_until,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def ok(request: web.Request) -> web.StreamResponse:
    """Answer with what was sent."""
    return web.json_response({"authorization": request.headers.get("Authorization", ""), "method": request.method})


@asynccontextmanager
async def serving(handler: Handler = ok, **tls: object) -> AsyncIterator[str]:
    """Serve one handler for everything; give the address."""
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls.get("context"))  # type: ignore[arg-type]
    await site.start()
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def reaching(login: Login | None = None, **more: Any) -> AsyncIterator[Transport]:
    """Give a transport."""
    transport = Transport(login or Login("caldav", ""), **more)
    try:
        yield transport
    finally:
        await transport.close()


# --- encryption -------------------------------------------------------------------------------------------------------


async def reached(**trust: str) -> None:
    """Reach a server whose authority nobody knows."""
    async with serving(context=certificate().context()) as url, reaching(Login("caldav", url, **trust)) as transport:  # type: ignore[arg-type]
        assert (await transport.send("GET", url)).status == 200


async def test_an_unknown_authority_is_not_trusted_and_says_why() -> None:
    with pytest.raises(Transient) as raised:
        await reached()
    assert raised.value.code == "general.tls"
    assert "certificate" in raised.value.params["reason"]


async def test_an_authority_of_ones_own_is_trusted() -> None:
    await reached(ca_pem=certificate().ca_pem)


async def test_a_pin_is_trusted_in_hex_and_of_the_key_in_base64() -> None:
    spki = base64.b64encode(hashlib.sha256(certificate().public_key).digest()).decode()
    for pin in (certificate().pin, certificate().pin.upper(), ":".join(_pairs(certificate().pin)), f"sha256/{spki}"):
        await reached(pin_sha256=pin)


def _pairs(text: str) -> list[str]:
    return [text[at : at + 2] for at in range(0, len(text), 2)]


async def test_a_wrong_pin_is_refused_even_with_the_right_authority() -> None:
    for trust in ({"pin_sha256": "0" * 64}, {"pin_sha256": "0" * 64, "ca_pem": certificate().ca_pem}):
        with pytest.raises(Transient) as raised:
            await reached(**trust)
        assert raised.value.code == "general.tls"


async def test_an_authority_beside_the_pin_still_counts() -> None:
    other = certificate(is_expired=True)
    with pytest.raises(Transient) as raised:
        await reached(pin_sha256=certificate().pin, ca_pem=other.ca_pem)
    assert raised.value.code == "general.tls"


async def test_an_expired_certificate_says_so() -> None:
    old = certificate(is_expired=True)
    async with serving(context=old.context()) as url, reaching(Login("caldav", url, ca_pem=old.ca_pem)) as transport:
        with pytest.raises(Transient) as raised:
            await transport.send("GET", url)
    assert "expired" in raised.value.params["reason"]


async def test_tls_older_than_one_point_two_is_refused_by_its_name() -> None:
    with oldest_server() as port:
        login = Login("caldav", f"https://127.0.0.1:{port}/", ca_pem=certificate().ca_pem)
        async with reaching(login) as transport:
            with pytest.raises(Transient) as raised:
                await transport.send("GET", login.url)
    assert raised.value.code == "general.tls_old"


@pytest.mark.parametrize("trust", [{"ca_pem": "no certificate"}, {"pin_sha256": "too short"}])
async def test_trust_that_cannot_be_read_is_a_problem_of_the_connection(trust: dict[str, str]) -> None:
    with pytest.raises(Permanent) as raised:
        await reached(**trust)
    assert raised.value.code == "general.bad_trust"


async def test_without_encryption_only_this_machine_is_reached_unless_allowed() -> None:
    async with reaching() as transport:
        with pytest.raises(Permanent) as raised:
            await transport.send("GET", "http://calendar.example/")
    assert raised.value.code == "general.unencrypted"


@pytest.mark.parametrize("pin", ["", "zz", "00" * 31, "sha256/AAAA"])
def test_a_pin_is_a_sha256(pin: str) -> None:
    with pytest.raises(ValueError, match="SHA-256"):
        read_pin(pin)


# --- who may be reached -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("host", "other", "same"),
    [
        ("caldav.icloud.example", "p62-caldav.icloud.example", True),
        ("firm.example", "cal.firm.example", True),
        ("cal.firm.example", "firm.example", True),
        ("cal.firm.example", "firm.example.evil.example", False),
        ("firm.co.uk", "other.co.uk", False),
        ("cal.firm.co.uk", "dav.firm.co.uk", True),
        ("firm.example", "notfirm.example", False),
        ("firm.example", "example", False),
        ("10.0.0.1", "10.0.0.2", False),
        ("localhost", "localhost", True),
        ("localhost", "evil.localhost", False),
    ],
)
def test_neighbours_share_a_domain_of_their_own(host: str, other: str, same: bool) -> None:
    assert is_neighbour(host, other) is same


@pytest.mark.parametrize(
    ("start", "to", "may"),
    [
        ("https://cal.firm.example/", "https://dav.firm.example/x", True),
        ("https://cal.firm.example/", "http://dav.firm.example/x", False),
        ("https://cal.firm.example/", "https://else.example/", False),
        ("https://cal.firm.example/", "https://partner.example/", True),
        ("https://cal.firm.example/", "ftp://cal.firm.example/", False),
        ("http://127.0.0.1:1/", "http://127.0.0.1:2/", True),
        ("https://127.0.0.1:1/", "http://127.0.0.1:2/", True),
    ],
)
def test_credentials_travel_only_encrypted_within_the_house_or_to_approved_hosts(start: str, to: str, may: bool) -> None:
    assert may_follow(start, to, approved=("partner.example",)) is may


@pytest.mark.parametrize("method", ["PROPFIND", "REPORT", "GET"])
@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_redirects_keep_the_method_and_the_credentials_within_the_house(method: str, status: int) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        return await ok(request) if request.path == "/there" else web.Response(status=status, headers={"Location": "/there"})

    login = Login("caldav", "", {"method": "basic", "username": "a", "password": Secret("b")})
    async with serving(handler) as url, reaching(login) as transport:
        answer = await transport.send(method, url + "/here")
    assert answer.url.endswith("/there")
    assert f'"method": "{method}"'.encode() in answer.body
    assert b"Basic YTpi" in answer.body


async def test_a_redirect_out_of_the_house_is_refused_by_name() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        return web.Response(status=302, headers={"Location": "https://elsewhere.example/login"})

    async with serving(handler) as url, reaching() as transport:
        with pytest.raises(Permanent) as raised:
            await transport.send("PROPFIND", url)
    assert (raised.value.code, raised.value.params["target"]) == ("general.redirect_refused", "elsewhere.example")


async def test_redirects_in_a_circle_end() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        return web.Response(status=302, headers={"Location": "/again"})

    async with serving(handler) as url, reaching() as transport:
        with pytest.raises(Transient) as raised:
            await transport.send("GET", url)
    assert raised.value.code == "general.malformed"


@pytest.mark.parametrize(
    ("address", "listed", "may"),
    [
        ("8.8.8.8", "", True),
        ("127.0.0.1", "", False),
        ("10.1.2.3", "", False),
        ("169.254.169.254", "", False),
        ("::1", "", False),
        ("::ffff:10.0.0.1", "", False),
        ("fe80::1%eth0", "", False),
        ("10.1.2.3", "10.1.0.0/16", True),
        ("10.2.2.3", "10.1.0.0/16", False),
        ("10.2.2.3", "intranet.example", True),
        ("10.2.2.3", "*", True),
    ],
)
def test_private_addresses_need_leave(address: str, listed: str, may: bool) -> None:
    assert PrivateHosts.read(listed).allow("intranet.example", address) is may


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
async def test_a_guarded_transport_does_not_reach_inside_by_address_nor_by_name(name: str) -> None:
    async with serving() as url, reaching(guarded=True, roams=True) as transport:
        with pytest.raises(Permanent) as raised:
            await transport.send("GET", url.replace("127.0.0.1", name))
    assert raised.value.code == "general.private_address"


# --- sign-in ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("auth", "header"),
    [
        ({"method": "basic", "username": "ä", "password": Secret("ö")}, "Basic " + base64.b64encode("ä:ö".encode()).decode()),
        ({"username": "a", "password": Secret("b")}, "Basic YTpi"),
        ({"method": "bearer", "token": Secret("t")}, "Bearer t"),
        ({"method": "none"}, ""),
    ],
)
async def test_each_method_sends_its_header(auth: dict[str, str | Secret], header: str) -> None:
    async with serving() as url, reaching(Login("caldav", url, auth)) as transport:
        assert header.encode() in (await transport.send("GET", url)).body


# --- failures ---------------------------------------------------------------------------------------------------------


def answered(status: int, **headers: str) -> Answer:
    """Give an answer."""
    from multidict import CIMultiDict, CIMultiDictProxy

    named = CIMultiDict({name.replace("_", "-"): value for name, value in headers.items()})
    return Answer(status, CIMultiDictProxy(named), b"", "https://cal.example/")


@pytest.mark.parametrize(
    ("status", "reading", "writing"),
    [
        (401, AuthRequired, AuthRequired),
        (403, Permanent, Permanent),
        (404, Permanent, Permanent),
        (413, Permanent, Permanent),
        (423, Transient, Transient),
        (429, Throttled, Throttled),
        (500, Transient, Ambiguous),
        (501, Permanent, Permanent),
        (502, Transient, Ambiguous),
        (503, Transient, Ambiguous),
        (507, Transient, Transient),
        (200, Transient, Transient),
    ],
)
def test_every_status_has_a_kind(status: int, reading: type[Trouble], writing: type[Trouble]) -> None:
    assert type(trouble_of(answered(status))) is reading
    assert type(trouble_of(answered(status), writing=True)) is writing


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, 30),
        ("", 30),
        ("garbage", 30),
        ("-5", 30),
        ("0", 1),
        ("1", 1),
        ("120", 120),
        ("86400", 3600),
        ("9" * 40, 3600),
        (format_datetime(NOW + timedelta(seconds=90), usegmt=True), 90),
        (format_datetime(NOW - timedelta(days=1), usegmt=True), 1),
    ],
)
def test_pro_05_advice_is_followed_within_bounds(header: str | None, seconds: int) -> None:
    assert wait_until(header, NOW) == NOW + timedelta(seconds=seconds)


def test_the_sentence_about_waiting_says_until_when() -> None:
    assert "UTC" in trouble_of(answered(429, Retry_After="60")).cause("de")


async def test_nobody_there_is_no_ambiguous_write() -> None:
    async with reaching() as transport:
        with pytest.raises(Transient) as raised:
            await transport.send("PUT", f"http://127.0.0.1:{free_port()}/x", body=b"x", writing=True)
    assert not isinstance(raised.value, Ambiguous)
    assert (raised.value.code, raised.value.scope) == ("general.unreachable", Scope.ACCOUNT)


@pytest.mark.parametrize(("writing", "kind"), [(False, Transient), (True, Ambiguous)])
async def test_a_connection_lost_without_an_answer_is_ambiguous_for_a_write(writing: bool, kind: type[Trouble]) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    async with serving(handler) as url, reaching() as transport:
        with pytest.raises(Transient) as raised:
            await transport.send("PUT", url, body=b"x", writing=writing)
    assert type(raised.value) is kind


async def test_an_answer_without_end_is_not_read_to_the_end() -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(100):
            await response.write(b"x" * 65_536)
        return response

    async with serving(handler) as url, reaching() as transport:
        with pytest.raises(Transient) as raised:
            await transport.send("GET", url, most=1 << 20)
    assert raised.value.code == "general.answer_too_large"


@pytest.mark.parametrize("url", ["https://", "nonsense", "ftp://x.example/", "https://x y.example/"])
async def test_an_address_that_is_none_is_refused(url: str) -> None:
    async with reaching() as transport:
        with pytest.raises((Permanent, Transient)):
            await transport.send("GET", url)


# --- for callers that look at connections -----------------------------------------------------------------------------


class Noted(aiohttp.ClientResponse):
    """An answer of a caller's own kind."""


async def test_a_caller_may_have_answers_of_its_own_kind_and_read_them_within_a_limit() -> None:
    async with serving() as url, reaching(Login("caldav", url), answers=Noted) as transport:
        async with transport.stream("GET", url) as response:
            assert isinstance(response, Noted)
            assert b"GET" in await transport.read(response)
        async with transport.stream("GET", url) as response:
            with pytest.raises(Transient) as raised:
                await transport.read(response, 3)
    assert raised.value.code == "general.answer_too_large"
