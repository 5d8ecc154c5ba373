"""From what a person knows of a calendar service to its calendars."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from tests.caldav_world import MAILBOX, caldav_login
from tests.contract.samples import WINDOW
from tests.providers.test_dns import serving as name_server
from tests.providers.test_dns import srv

from gleichtakt.errors import AuthRequired, Permanent, Transient, Trouble
from gleichtakt.providers import dns
from gleichtakt.providers.caldav import CalDAV
from gleichtakt.providers.caldav.discovery import Discovery, start_url
from gleichtakt.providers.protocol import CalendarRef, Known, Login, Secret
from gleichtakt.providers.transport import Transport
from gleichtakt.simulators.caldav import Fault, Habits, Running, Simulator, start


@asynccontextmanager
async def running(**habits: object) -> AsyncIterator[Running]:
    simulator = Simulator(Habits(**habits))  # type: ignore[arg-type]
    simulator.add_calendar("sync", "private", "Privat")
    simulator.add_calendar("sync", "tasks", "Aufgaben", ("VTODO",))
    simulator.add_calendar("sync", "team", "Team")
    simulator.add_calendar("bela", "own", "Béla")
    async with start(simulator) as found:
        yield found


async def titles(login: Login, mailbox: str = MAILBOX) -> list[str]:
    provider = CalDAV.connect(login)
    try:
        return [calendar.name for calendar in await provider.calendars(mailbox)]
    finally:
        await provider.close()


@pytest.mark.parametrize("path", ["", "dav/", "dav/principals/sync/", "dav/sync/"])
async def test_any_address_of_the_service_leads_to_the_calendars(path: str) -> None:
    async with running() as server:
        assert await titles(caldav_login(server.url + path)) == ["Privat", "Team"]


async def test_a_well_known_address_that_only_redirects_get_is_followed() -> None:
    async with running() as server:
        server.simulator.faults.add(Fault("status", "discover", path="well-known", status=405))
        assert await titles(caldav_login(server.url)) == ["Privat", "Team"]


async def test_a_calendar_given_by_its_own_address_is_the_only_one() -> None:
    async with running() as server:
        server.simulator.faults.add(Fault("status", "discover", path="principals", status=404, times=-1))
        provider = CalDAV.connect(caldav_login(server.url + "dav/sync/team/"))
        found = await provider.calendars("")
        await provider.close()
        assert [one.ref.calendar for one in found] == ["/dav/sync/team/"]


async def test_rights_colour_and_owner_are_told() -> None:
    async with running() as server:
        server.simulator.add_calendar("sync", "team").can_write = False
        provider = CalDAV.connect(caldav_login(server.url))
        private, team = await provider.calendars(MAILBOX)
        await provider.close()
    assert (private.can_write, private.is_default, private.colour) == (True, True, "#3366CC")
    assert (team.can_write, team.is_default, team.owner) == (False, False, "/dav/principals/sync/")


@pytest.mark.parametrize("tells_default", [True, False])
async def test_the_default_calendar_is_used_where_none_is_named(tells_default: bool) -> None:
    async with running(tells_default=tells_default) as server:
        provider = CalDAV.connect(caldav_login(server.url))
        place = await provider.session.place(CalendarRef(MAILBOX))
        await provider.close()
    assert place.path == "/dav/sync/private/"


async def test_a_named_calendar_needs_no_discovery() -> None:
    async with running() as server:
        provider = CalDAV.connect(caldav_login(server.url))
        pages = provider.changes(CalendarRef(MAILBOX, "/dav/sync/team/"), None, known=Known(), window=WINDOW)
        assert [page.final async for page in pages] == [True]
        await provider.close()
        assert {entry["verb"] for entry in server.simulator.ledger} == {"state", "list"}


async def test_a_colleagues_calendars_are_found_by_address() -> None:
    async with running() as server:
        login = replace(caldav_login(server.url), access="delegate")
        assert await titles(login, "bela@caldav.example") == ["Béla"]
        with pytest.raises(Permanent) as raised:
            await titles(login, "nobody@caldav.example")
        assert raised.value.code == "caldav.principal_unknown"


async def test_an_address_with_a_place_for_the_mailbox_is_filled_in() -> None:
    async with running() as server:
        login = caldav_login(server.url + "dav/principals/{user}/")
        assert await titles(login, "bela@caldav.example") == ["Béla"]
        home = caldav_login(server.url + "dav/{user}/")
        assert await titles(home, "bela@caldav.example") == ["Béla"]
    assert start_url(Login("caldav", "https://x.example/{mailbox}/{user}"), "a b@y.example") == (
        "https://x.example/a%20b@y.example/a%20b"
    )
    assert start_url(Login("caldav", "caldavs://x.example/dav")) == "https://x.example/dav"


# --- by domain --------------------------------------------------------------------------------------------------------


async def candidates(url: str, *records: tuple[int, bytes], **options: str) -> list[str]:
    async with name_server(*records) as server:
        login = Login("caldav", url, options=options)
        discovery = Discovery(login, Transport(login), name_servers=(server,))
        return [found async for found in discovery.candidates("")]


@pytest.mark.parametrize("url", ["firm.example", "anna@firm.example"])
async def test_a_domain_is_asked_for_its_service_record_first(url: str) -> None:
    assert await candidates(url, (dns.SRV, srv(0, 1, 8443, "cal.firm.example")), (dns.TXT, b"\x0apath=/dav/")) == [
        "https://cal.firm.example:8443/dav/",
        "https://firm.example/.well-known/caldav",
        "https://firm.example/",
    ]


async def test_a_service_record_that_leads_out_of_the_house_is_refused_unless_approved() -> None:
    record = (dns.SRV, srv(0, 1, 443, "hoster.example.net"))
    with pytest.raises(Permanent) as raised:
        await candidates("firm.example", record)
    assert raised.value.code == "general.redirect_refused"
    found = await candidates("firm.example", record, approved_hosts="hoster.example.net")
    assert found[0] == "https://hoster.example.net/.well-known/caldav"


async def test_without_a_service_record_the_well_known_address_is_tried() -> None:
    assert (await candidates("firm.example"))[0] == "https://firm.example/.well-known/caldav"


# --- what can be wrong ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Fault("status", times=-1, status=404), Permanent),
        (Fault("status", times=-1, status=500), Transient),
        (Fault("garbage", times=-1, body="<html>Sign in</html>"), Transient),
        (Fault("lost", times=-1), Transient),
    ],
    ids=["nothing there", "broken", "a page", "no answer"],
)
async def test_a_service_that_is_none_says_what_was_wrong(fault: Fault, kind: type[Trouble]) -> None:
    async with running() as server:
        server.simulator.faults.add(fault)
        with pytest.raises(kind) as raised:
            await titles(caldav_login(server.url))
        assert raised.value.remedy("de")


async def test_a_home_on_a_foreign_host_is_not_followed() -> None:
    async with running() as server:
        body = (
            '<D:multistatus xmlns:D="DAV:" xmlns:C="urn:ietf:params:xml:ns:caldav"><D:response><D:href>/dav/</D:href><D:propstat>'
            "<D:prop><C:calendar-home-set><D:href>https://evil.example/dav/</D:href></C:calendar-home-set></D:prop>"
            "<D:status>HTTP/1.1 200 OK</D:status></D:propstat></D:response></D:multistatus>"
        )
        server.simulator.faults.add(Fault("status", status=207, body=body, times=-1))
        with pytest.raises(Permanent) as raised:
            await titles(caldav_login(server.url))
        assert raised.value.code == "general.redirect_refused"


async def test_a_calendar_on_a_foreign_host_gets_no_credentials() -> None:
    async with running() as server:
        provider = CalDAV.connect(caldav_login(server.url))
        with pytest.raises(Permanent) as raised:
            await provider.fetch(CalendarRef("", "https://evil.example/dav/"), [])
        await provider.close()
        assert raised.value.code == "general.redirect_refused"


# --- sign-in ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["none", "basic", "digest", "bearer"])
async def test_every_way_to_sign_in_works(method: str) -> None:
    async with running(sign_in=method) as server:
        password = Secret("sync-password")
        auth: dict[str, str | Secret] = {"method": method, "username": "sync", "password": password, "token": password}
        assert await titles(Login("caldav", server.url, auth)) == ["Privat", "Team"]
        assert server.simulator.refused_logins == 0


@pytest.mark.parametrize("method", ["basic", "digest", "bearer"])
async def test_aut_03_a_wrong_password_asks_a_person_at_once(method: str) -> None:
    async with running(sign_in=method) as server:
        auth: dict[str, str | Secret] = {"method": method, "username": "sync", "password": Secret("no"), "token": Secret("no")}
        with pytest.raises(AuthRequired) as raised:
            await titles(Login("caldav", server.url, auth))
        assert raised.value.code == "general.login_refused"
        assert server.simulator.refused_logins == 1


async def test_a_method_the_server_does_not_offer_is_named() -> None:
    async with running(sign_in="digest") as server:
        with pytest.raises(AuthRequired) as raised:
            await titles(caldav_login(server.url))
        assert raised.value.code == "caldav.method_not_offered"
        assert raised.value.params["offered"] == "digest"
        assert "digest" in raised.value.cause("de")
