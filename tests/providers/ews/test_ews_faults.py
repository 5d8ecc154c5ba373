"""What each code of Exchange means, which version it is, and how much may be asked at once."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree

from gleichtakt.errors import (
    Ambiguous,
    AuthRequired,
    Conflict,
    CursorExpired,
    Gone,
    Permanent,
    Scope,
    Throttled,
    Transient,
    Trouble,
    sentences,
)
from gleichtakt.providers.ews import faults, versions
from gleichtakt.providers.ews.budgets import EASE, KEPT, Budgets
from gleichtakt.providers.ews.wire import names, soap

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HOST = "mail.firm.example"
SERIES, CALENDAR, ACCOUNT = Scope.SERIES, Scope.CALENDAR, Scope.ACCOUNT


def classified(code: str, params: dict[str, str] | None = None, *, writes: bool = False, budget: Scope = ACCOUNT) -> Trouble:
    """Classify a code at a set time."""
    return faults.trouble(code, params, host=HOST, now=NOW, writes=writes, budget=budget)


@pytest.mark.parametrize(
    ("code", "kind", "scope"),
    [
        # too much to do
        ("ErrorServerBusy", Throttled, ACCOUNT),
        ("ErrorExceededConnectionCount", Throttled, ACCOUNT),
        ("ErrorTimeoutExpired", Transient, SERIES),
        ("ErrorInternalServerError", Transient, SERIES),
        ("ErrorInternalServerTransientError", Transient, SERIES),
        ("ErrorMailboxStoreUnavailable", Transient, CALENDAR),
        ("ErrorMailboxMoveInProgress", Transient, CALENDAR),
        ("ErrorConnectionFailed", Transient, CALENDAR),
        ("ErrorBatchProcessingStopped", Transient, SERIES),
        # who, and what is allowed
        ("ErrorImpersonateUserDenied", Permanent, CALENDAR),
        ("ErrorImpersonationFailed", Permanent, CALENDAR),
        ("ErrorNonExistentMailbox", Permanent, CALENDAR),
        ("ErrorAccountDisabled", Permanent, CALENDAR),
        ("ErrorAccessDenied", Permanent, SERIES),
        ("ErrorPasswordExpired", AuthRequired, ACCOUNT),
        # where we read
        ("ErrorInvalidSyncStateData", CursorExpired, CALENDAR),
        ("ErrorSyncFolderNotFound", CursorExpired, CALENDAR),
        ("ErrorFolderNotFound", Permanent, CALENDAR),
        ("ErrorCalendarViewRangeTooBig", Permanent, CALENDAR),
        ("ErrorInvalidServerVersion", Transient, CALENDAR),
        ("ErrorNameResolutionNoResults", Permanent, SERIES),
        ("ErrorNameResolutionMultipleResults", Permanent, SERIES),
        # one event
        ("ErrorItemNotFound", Gone, SERIES),
        ("ErrorIrresolvableConflict", Conflict, SERIES),
        ("ErrorChangeKeyRequiredForWriteOperations", Conflict, SERIES),
        ("ErrorInvalidIdMalformed", Conflict, SERIES),
        ("ErrorInvalidIdMalformedEwsLegacyIdFormat", Conflict, SERIES),
        ("ErrorCalendarOccurrenceIsDeletedFromRecurrence", Conflict, SERIES),
        ("ErrorOccurrenceCrossingBoundary", Permanent, SERIES),
        ("ErrorSchemaValidation", Permanent, SERIES),
        ("ErrorTimeZone", Permanent, SERIES),
        ("ErrorCalendarEndDateIsEarlierThanStartDate", Permanent, SERIES),
        ("ErrorQuotaExceeded", Transient, CALENDAR),
        # notifications
        ("ErrorInvalidSubscription", Conflict, CALENDAR),
        ("ErrorSubscriptionNotFound", Conflict, CALENDAR),
        ("ErrorExpiredSubscription", Conflict, CALENDAR),
        ("ErrorInvalidWatermark", Conflict, CALENDAR),
        ("ErrorMissedNotificationEvents", Conflict, CALENDAR),
        ("ErrorReadEventsFailed", Conflict, CALENDAR),
        ("ErrorExceededSubscriptionCount", Transient, CALENDAR),
        ("ErrorInvalidPushSubscriptionUrl", Permanent, CALENDAR),
        # unlisted: by their names
        ("ErrorLocationServicesRequestTimedOut", Transient, SERIES),
        ("ErrorUMServerUnavailable", Transient, SERIES),
        ("ErrorProxyRequestProcessingFailed", Transient, CALENDAR),
        ("ErrorSendAsDenied", Permanent, SERIES),
        ("ErrorSubmissionQuotaExceeded", Transient, CALENDAR),
        ("ErrorInvalidPropertySet", Permanent, SERIES),
        ("ErrorUnsupportedPathForQuery", Permanent, SERIES),
        ("ErrorOfTheYear2031", Transient, SERIES),
        ("Server", Transient, SERIES),
        ("Client", Permanent, SERIES),
        ("", Transient, SERIES),
    ],
)
def test_each_code_has_its_kind_and_its_scope(code: str, kind: type[Trouble], scope: Scope) -> None:
    trouble = classified(code)
    assert (type(trouble), trouble.scope) == (kind, scope)
    assert trouble.cause("de") != trouble.code
    assert "{" not in trouble.cause("de") + trouble.remedy("en")


def test_every_code_speaks_in_a_sentence() -> None:
    assert {faults.meaning(code).sentence for code in faults.KINDS} <= set(sentences())


DATA = Path(__file__).parents[2] / "data" / "ews"


def test_every_code_of_the_published_schema_is_classified_and_most_say_what_they_are() -> None:
    schema = etree.parse(DATA / "schema" / "messages.xsd").getroot()
    named = schema.findall(".//{*}simpleType[@name='ResponseCodeType']//{*}enumeration")
    codes = {str(each.get("value")) for each in named} - {"NoError"}
    assert len(codes) > 500
    assert set(faults.KINDS) - codes == {"Client", "Sender"}
    assert all(classified(code).cause("de") for code in codes)
    nameless = {code for code in codes if faults.meaning(code).sentence == "ews.code_unknown"}
    assert len(nameless) < len(codes) / 2


def test_every_recorded_refusal_is_classified() -> None:
    refusals = 0
    for sample in sorted((DATA / "samples").rglob("*.xml")):
        try:
            element = soap.read(sample.read_bytes())
        except soap.Fault as fault:
            said = [(fault.code, fault.params)]
        except soap.NotSoap:
            continue
        else:
            said = [(each.code, each.params) for each in soap.outcomes(element) if each.is_error]
        for code, params in said:
            refusals += 1
            trouble = faults.trouble(code, params, host=HOST, now=NOW)
            assert "–" not in trouble.cause("de"), sample.name
            assert isinstance(trouble, Throttled) is (code == "ErrorServerBusy"), sample.name
    assert refusals >= 20


@given(st.text())
def test_whatever_a_server_calls_its_trouble_is_classified(code: str) -> None:
    assert isinstance(classified(code), Trouble)


def test_a_write_that_may_have_happened_is_read_back() -> None:
    for code in ("ErrorInternalServerError", "ErrorTimeoutExpired", "ErrorConnectionFailed", "ErrorOfTheYear2031"):
        assert type(classified(code, writes=True)) is Ambiguous
    for code in ("ErrorMailboxMoveInProgress", "ErrorQuotaExceeded", "ErrorBatchProcessingStopped"):
        assert type(classified(code, writes=True)) is Transient


@pytest.mark.parametrize(
    ("told", "waited"),
    [
        ("5000", timedelta(seconds=5)),
        ("297749", timedelta(milliseconds=297_749)),
        ("0", faults.PAUSE_LEAST),
        ("86400000", faults.PAUSE_MOST),
        ("1500.7", timedelta(milliseconds=1500)),
        ("soon", faults.PAUSE_UNTOLD),
        ("-1", faults.PAUSE_UNTOLD),
        (None, faults.PAUSE_UNTOLD),
    ],
)
def test_a_busy_server_says_how_long_to_wait(told: str | None, waited: timedelta) -> None:
    trouble = classified("ErrorServerBusy", {"BackOffMilliseconds": told} if told is not None else None, budget=CALENDAR)
    assert isinstance(trouble, Throttled)
    assert (trouble.until, trouble.scope) == (NOW + waited, CALENDAR)


def test_any_code_that_asks_to_wait_is_obeyed() -> None:
    trouble = classified("ErrorInternalServerTransientError", {"BackOffMilliseconds": "1000"})
    assert isinstance(trouble, Throttled)
    assert (trouble.until, trouble.params["until"]) == (NOW + timedelta(seconds=1), "12:00:01 UTC")


def test_a_code_that_met_a_whole_call_stops_the_calendar() -> None:
    assert faults.trouble("ErrorSchemaValidation", host=HOST, now=NOW, least=CALENDAR).scope is CALENDAR
    assert faults.trouble("ErrorPasswordExpired", host=HOST, now=NOW, least=CALENDAR).scope is ACCOUNT


# --- versions ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("build", "product", "schema"),
    [
        ("8.1.240.6", "Exchange Server 2007 SP1", "Exchange2007_SP1"),
        ("08.03.0083.006", "Exchange Server 2007 SP3", "Exchange2007_SP1"),
        ("14.0.639.21", "Exchange Server 2010", "Exchange2010"),
        ("14.1.218.15", "Exchange Server 2010 SP1", "Exchange2010_SP1"),
        ("14.2.247.5", "Exchange Server 2010 SP2", "Exchange2010_SP2"),
        ("14.3.123.4", "Exchange Server 2010 SP3", "Exchange2010_SP2"),
        ("15.0.516.32", "Exchange Server 2013", "Exchange2013"),
        ("15.0.847.32", "Exchange Server 2013 SP1", "Exchange2013_SP1"),
        ("15.1.2507.6", "Exchange Server 2016", "Exchange2013_SP1"),
        ("15.2.1748.10", "Exchange Server 2019", "Exchange2013_SP1"),
        ("15.2.2562.17", "Exchange Server Subscription Edition", "Exchange2013_SP1"),
        ("16.0.1.0", "Exchange Online", "Exchange2013_SP1"),
    ],
)
def test_a_build_names_the_product_and_the_version_to_speak(build: str, product: str, schema: str) -> None:
    version = versions.read(build)
    assert version is not None
    assert (version.product, version.schema) == (product, schema)
    assert schema in names.VERSIONS


def test_a_server_of_2007_without_a_service_pack_is_too_old() -> None:
    old, online = versions.read("8.0.685.25"), versions.read("15.20.8000.1")
    assert old is not None and online is not None
    assert old.is_too_old and not old.is_online
    assert online.is_online and not online.is_too_old


def test_a_build_that_is_none_says_nothing() -> None:
    assert [versions.read(text) for text in ("", "V2017_07_11x"[:1], "15")] == [None, None, None]


def test_a_version_knows_what_came_before_it() -> None:
    version = versions.read("14.1.218.15")
    assert version is not None
    assert [version.knows(since) for since in ("Exchange2007_SP1", "Exchange2010_SP1", "Exchange2013")] == [True, True, False]


def test_a_server_that_tells_no_build_is_taken_for_the_oldest_of_its_version() -> None:
    for schema in versions.LADDER:
        version = versions.least(schema)
        assert version.schema == schema
        assert version.shown == f"{schema} or newer"
        assert not version.is_too_old


# --- how much at once -------------------------------------------------------------------------------------------------


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        """Begin at noon."""
        self.now = NOW

    def __call__(self) -> datetime:
        """Tell the time."""
        return self.now


async def test_no_more_at_once_than_allowed_and_first_come_first_served() -> None:
    budgets, order, most = Budgets(is_shared=True, most=2), list[int](), 0
    running = 0

    async def work(number: int) -> None:
        nonlocal running, most
        async with budgets.turn("anna@firm.example", HOST):
            running += 1
            most = max(most, running)
            order.append(number)
            await asyncio.sleep(0)
            running -= 1

    await asyncio.gather(*(work(number) for number in range(7)))
    assert (most, order) == (2, list(range(7)))


async def test_a_budget_of_a_mailbox_rests_alone_and_one_of_an_account_for_all() -> None:
    for is_shared, scope in ((False, CALENDAR), (True, ACCOUNT)):
        budgets = Budgets(is_shared, 3, Clock())
        budgets.pause(budgets.of("Anna@firm.example"), NOW + timedelta(minutes=1))
        with pytest.raises(Throttled) as raised:
            async with budgets.turn("anna@firm.example", HOST):
                pytest.fail("it rests")
        assert (raised.value.until, raised.value.scope) == (NOW + timedelta(minutes=1), scope)
        other = budgets.of("bert@firm.example")
        assert (other.until is None) is not is_shared


async def test_a_budget_goes_on_after_its_pause_and_a_shorter_one_does_not_cut_it() -> None:
    clock = Clock()
    budgets = Budgets(is_shared=True, most=1, now=clock)
    budget = budgets.of("")
    assert budgets.pause(budget, NOW + timedelta(minutes=2))
    assert not budgets.pause(budget, NOW + timedelta(minutes=1))
    clock.now = NOW + timedelta(minutes=2)
    async with budgets.turn("", HOST):
        assert budget.running == 1


async def test_who_waits_in_line_hears_of_a_pause_before_sending() -> None:
    budgets = Budgets(is_shared=True, most=1, now=Clock())
    sent = 0

    async def second() -> None:
        nonlocal sent
        async with budgets.turn("", HOST):
            sent += 1

    async with budgets.turn("", HOST) as budget:
        waiting = asyncio.create_task(second())
        await asyncio.sleep(0)
        budgets.pause(budget, NOW + timedelta(minutes=1))
    with pytest.raises(Throttled):
        await waiting
    assert sent == 0


async def test_a_crowded_server_gets_half_as_much_and_slowly_more_again() -> None:
    clock = Clock()
    budgets = Budgets(is_shared=True, most=8, now=clock)
    budget = budgets.of("")
    budget.lower(NOW)
    assert budget.allowed == 4
    for minutes in range(5):
        clock.now = NOW + (minutes + 1) * EASE
        async with budgets.turn("", HOST):
            pass
    assert (budget.allowed, budget.told_off) == (8, None)
    for _ in range(9):
        budget.lower(NOW)
    assert budget.allowed == 1


async def test_a_call_that_is_given_up_in_line_leaves_no_gap() -> None:
    budgets = Budgets(is_shared=True, most=1)
    async with budgets.turn("", HOST):
        waiting = asyncio.create_task(budgets.turn("", HOST).__aenter__())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    async with budgets.turn("", HOST) as budget:
        assert (budget.running, budget.waiting) == (1, 0)


async def test_mailboxes_at_rest_are_forgotten_and_paused_ones_are_not() -> None:
    budgets = Budgets(is_shared=False, most=3, now=Clock())
    paused = budgets.of("busy@firm.example")
    budgets.pause(paused, NOW + timedelta(minutes=1))
    for number in range(KEPT + 1):
        budgets.of(f"{number}@firm.example")
    assert budgets.of("busy@firm.example") is paused
    assert len(budgets._kept) < KEPT
