"""The doctor at Exchange: each thing that can be wrong is told by its own check, with what helps."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from tests.certificates import certificate
from tests.ews_world import ADDRESS, EwsWorld, ews_login, ews_world
from tests.exchange_world import SERVICE, everything_is_valid, exchange_world
from tests.exchange_world import firm as office

from gleichtakt.errors import LANGUAGES, cause, remedy
from gleichtakt.onboarding.doctor import NAMES
from gleichtakt.providers.protocol import CalendarRef, Check, Login, Secret
from gleichtakt.providers.registry import connect
from gleichtakt.simulators.exchange import Fault, start

PLACE = CalendarRef(ADDRESS)


async def examined(login: Login, of: CalendarRef | None = PLACE) -> dict[str, Check]:
    """Run the doctor; each check has a name people understand, each complaint a sentence and a remedy."""
    provider = connect(login)
    try:
        found = {check.name: check async for check in provider.examine(of)}
    finally:
        await provider.close()
    for check in found.values():
        assert check.name in NAMES
        for language in LANGUAGES if check.code else ():
            assert cause(check.code, check.params, language) != check.code
            assert "–" not in cause(check.code, check.params, language)
            assert remedy(check.code, check.params, language)
    return found


def failed(checks: Mapping[str, Check]) -> list[tuple[str, str, str]]:
    """Give what is not as it should be."""
    return [(one.name, one.state, one.code) for one in checks.values() if one.state in ("warn", "fail")]


@asynccontextmanager
async def firm(**habits: Any) -> AsyncIterator[EwsWorld]:
    """Give a world."""
    async with ews_world(**habits) as world:
        yield world


async def test_a_healthy_server_shows_where_it_is_what_it_is_and_that_nothing_is_left_behind() -> None:
    async with firm() as world:
        checks = await examined(world.login)
        assert failed(checks) == []
        assert checks["server"].facts["by"] == "connection"
        assert checks["methods"].facts["offered"] == "ntlm"
        assert checks["login"].facts["version"].startswith("Exchange Server Subscription Edition (15.2.2562")
        assert checks["mailbox"].facts["access"] == "impersonation"
        assert await world.hrefs() == frozenset()
        assert await world.mails() == 0
        assert everything_is_valid(world.exchange)


async def test_without_a_mailbox_a_service_account_is_examined_as_far_as_that_goes() -> None:
    async with firm() as world:
        checks = await examined(world.login, None)
        assert failed(checks) == []
        skipped = {name for name, check in checks.items() if check.state == "skip"}
        assert skipped >= {"mailbox", "calendars", "rights", "test_item"}


async def test_a_wrong_password_stops_at_the_login() -> None:
    async with firm() as world:
        auth = {**world.login.auth, "password": Secret("falsch")}
        checks = await examined(replace(world.login, auth=auth))
        assert failed(checks) == [("login", "fail", "ews.login_refused")]
        assert checks["test_item"].state == "skip"


async def test_a_method_the_server_does_not_offer_is_told_with_those_it_does() -> None:
    async with firm(methods=("negotiate", "ntlm")) as world:
        auth = {**world.login.auth, "method": "basic"}
        checks = await examined(replace(world.login, auth=auth))
        assert failed(checks) == [("methods", "fail", "ews.method_not_offered")]
        assert checks["methods"].params["offered"] == "negotiate, ntlm"


async def test_who_may_not_impersonate_learns_the_command_that_allows_it() -> None:
    async with firm() as world:
        world.exchange.accounts[SERVICE].impersonates = ()
        checks = await examined(world.login)
        assert failed(checks) == [("mailbox", "fail", "ews.impersonation_denied")]
        assert "New-ManagementRoleAssignment" in remedy("ews.impersonation_denied", checks["mailbox"].params)


async def test_a_mailbox_that_is_not_there_or_disabled_is_told_apart() -> None:
    async with firm() as world:
        missing = await examined(world.login, CalendarRef("niemand@firm.example"))
        assert failed(missing) == [("mailbox", "fail", "ews.mailbox_unknown")]
        world.exchange.simulator.mailbox(ADDRESS).is_enabled = False
        disabled = await examined(world.login)
        assert failed(disabled) == [("mailbox", "fail", "ews.mailbox_disabled")]


async def test_a_calendar_that_may_only_be_read_is_a_warning_and_nothing_is_written() -> None:
    async with firm() as world:
        world.folder.permissions["ben@firm.example"] = "Reviewer"
        checks = await examined(ews_login(world.exchange.url, access="delegate"))
        assert failed(checks)[0] == ("rights", "warn", "ews.read_only")
        assert await world.hrefs() == frozenset()


async def test_web_services_that_are_switched_off_are_named() -> None:
    async with firm(is_ews_on=False) as world:
        checks = await examined(world.login)
        assert failed(checks)[0] == ("login", "fail", "ews.disabled")


async def test_a_server_before_2010_sp1_works_and_does_not_tell_of_changes() -> None:
    async with firm(version="2007_SP1") as world:
        checks = await examined(world.login)
        assert failed(checks) == [("streaming", "warn", "ews.no_streaming")]


async def test_a_clock_that_is_wrong_is_a_warning() -> None:
    async with firm() as world:
        world.exchange.simulator.clock.offset = timedelta(minutes=7)
        checks = await examined(world.login)
        assert failed(checks) == [("clock", "warn", "ews.clock")]
        assert 410 <= int(checks["clock"].params["seconds"]) <= 430


async def test_replies_that_cannot_be_read_are_a_warning_only() -> None:
    async with firm() as world:
        world.exchange.faults.add(Fault("fault", "GetUserOofSettings", code="ErrorAccessDenied"))
        assert failed(await examined(world.login)) == [("out_of_office", "warn", "ews.access_denied")]


@pytest.mark.parametrize(("binding", "told"), [("allowed", "not required"), ("required", "required")])
async def test_extended_protection_is_told_by_trying_without_a_binding(binding: str, told: str) -> None:
    async with exchange_world("anna", tls=True, host="localhost", methods=("ntlm",), binding=binding) as world:
        assert world.certificate is not None
        login = replace(ews_login(world.url), ca_pem=world.certificate.ca_pem)
        checks = await examined(login)
        assert failed(checks) == []
        assert checks["binding"].facts["extended_protection"] == told


async def test_a_proxy_that_ends_the_encryption_with_another_certificate_is_found_out() -> None:
    shown, real = certificate(), certificate(is_expired=True)
    async with start(office(methods=("ntlm",)), host="localhost", tls=shown.context(), certificate=real.der) as running:
        login = replace(ews_login(running.url), ca_pem=shown.ca_pem)
        assert failed(await examined(login)) == [("login", "fail", "ews.binding_broken")]
        assert failed(await examined(replace(login, options={"channel_binding": "off"}))) == []
