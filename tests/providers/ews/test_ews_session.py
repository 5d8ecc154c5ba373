"""Calls to Exchange: what goes with them, what comes back, what stops how much, and what the log tells."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import web
from tests.exchange_world import SERVICE, SERVICE_PASSWORD, everything_is_valid, exchange_world
from tests.iis import BUILD, IIS, Answering, Call, Reply, back_off, fault, logged, login, part, response, serving, usual
from tests.servers import free_port

from gleichtakt.errors import Ambiguous, Conflict, CursorExpired, Permanent, Scope, Throttled, Transient, Trouble
from gleichtakt.providers.ews.session import Affinity, Element, Session
from gleichtakt.providers.ews.wire import soap
from gleichtakt.simulators.exchange.versions import RELEASES

ANNA, BERT = "anna@firm.example", "bert@firm.example"
BODY = b"<m:GetFolder><m:FolderShape><t:BaseShape>IdOnly</t:BaseShape></m:FolderShape>" + (
    b'<m:FolderIds><t:DistinguishedFolderId Id="calendar"/></m:FolderIds></m:GetFolder>'
)
WRITE = b"<m:CreateItem/>"


@asynccontextmanager
async def meeting(answering: Answering = usual, **more: Any) -> AsyncIterator[tuple[Session, IIS]]:
    """Give a session at a server that answers in a way of its own; the question for its version is answered as usual."""

    def answer(call: Call) -> Any:
        return usual(call) if call.operation == "ResolveNames" else answering(call)

    async with serving(IIS(answering=answer)) as server:
        session = Session(login(server.url, **more))
        try:
            yield session, server
        finally:
            await session.close()


async def get_folder(session: Session, mailbox: str = ANNA, **more: Any) -> Element:
    """Make a call that reads."""
    return await session.call("GetFolder", BODY, mailbox=mailbox, **more)


async def create_item(session: Session, mailbox: str = ANNA) -> Element:
    """Make a call that writes."""
    return await session.call("CreateItem", WRITE, mailbox=mailbox, writes=True)


# --- what goes with a call --------------------------------------------------------------------------------------------


async def test_a_call_says_who_asks_and_is_found_in_the_servers_log() -> None:
    async with meeting() as (session, server):
        answer = await get_folder(session)
    assert str(answer.tag).endswith("GetFolderResponse")
    call = server.calls[-1]
    assert call.headers["X-AnchorMailbox"] == ANNA
    assert call.headers["User-Agent"].startswith("Gleichtakt/")
    assert len(call.headers["client-request-id"]) == 36
    assert call.path == "/EWS/Exchange.asmx"


@pytest.mark.parametrize(("access", "acts_as"), [("impersonation", ANNA), ("delegate", ""), ("own", "")])
async def test_a_mailbox_is_acted_for_only_under_impersonation(access: str, acts_as: str) -> None:
    async with meeting(access=access) as (session, server):
        await get_folder(session)
    assert server.calls[-1].acts_as == acts_as
    assert server.calls[0].acts_as == ""  # the version is asked for by the account itself


async def test_a_zone_for_readings_without_one_goes_along_where_it_is_asked_for() -> None:
    async with meeting() as (session, server):
        await get_folder(session, zone="W. Europe Standard Time")
        await get_folder(session)
    assert ["TimeZoneContext" in call.body for call in server.calls[1:]] == [True, False]


async def test_a_group_keeps_to_its_back_end() -> None:
    def set_cookie(call: Call) -> Reply:
        return Reply(response(call.operation), headers={"Set-Cookie": "X-BackEndOverrideCookie=EX1~194; path=/; secure"})

    async with meeting(set_cookie) as (session, server):
        group = Affinity(ANNA)
        for mailbox in (ANNA, BERT):
            await session.call("Subscribe", b"<m:Subscribe/>", mailbox=mailbox, affinity=group)
    first, second = server.calls[1:]
    assert (second.headers["X-AnchorMailbox"], second.headers["X-PreferServerAffinity"]) == (ANNA, "true")
    assert ("Cookie" in first.headers, second.headers["Cookie"]) == (False, "X-BackEndOverrideCookie=EX1~194")


# --- versions ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("build", "schema"),
    [("8.3.83.6", "Exchange2007_SP1"), ("14.1.218.15", "Exchange2010_SP1"), ("15.2.2562.17", "Exchange2013_SP1")],
)
async def test_the_version_is_asked_for_once_in_the_oldest_and_then_spoken(build: str, schema: str) -> None:
    async with serving(IIS(answering=lambda call: Reply(response(call.operation, build=build)))) as server:
        session = Session(login(server.url))
        await asyncio.gather(get_folder(session), get_folder(session, BERT))
        assert str(await session.version()) == build
        await session.close()
    assert [call.version for call in server.calls] == ["Exchange2007_SP1", schema, schema]


async def test_a_server_that_tells_no_build_is_asked_from_the_newest_version_down() -> None:
    def silent(call: Call) -> Reply:
        if call.version in {"Exchange2013_SP1", "Exchange2013"}:
            return Reply(fault("ErrorInvalidServerVersion"), 500)
        return Reply(response(call.operation, build=""))

    async with serving(IIS(answering=silent)) as server:
        session = Session(login(server.url))
        version = await session.version()
        await session.close()
    assert (version.schema, version.told) == ("Exchange2010_SP2", False)
    assert version.shown == "Exchange2010_SP2 or newer"


async def test_a_mailbox_on_an_older_server_is_spoken_to_in_its_own_version() -> None:
    def two_servers(call: Call) -> Reply:
        if call.acts_as != BERT:
            return usual(call)
        if call.version != "Exchange2010":
            return Reply(fault("ErrorInvalidServerVersion"), 500)
        return Reply(response(call.operation, build="14.0.639.21"))

    async with meeting(two_servers, access="impersonation") as (session, _):
        await get_folder(session)
        for _ in range(4):
            with pytest.raises(Transient) as raised:
                await get_folder(session, BERT)
            assert raised.value.code == "ews.other_version"
        await get_folder(session, BERT)
        assert str(await session.version(BERT)) == "14.0.639.21"
        assert str(await session.version(ANNA)) == BUILD


async def test_a_mailbox_that_moves_to_a_newer_server_is_spoken_to_in_the_newer_version() -> None:
    builds = iter(["14.3.123.4", BUILD])

    async with meeting(lambda call: Reply(response(call.operation, build=next(builds)))) as (session, _):
        await get_folder(session)
        assert (await session.version(ANNA)).schema == "Exchange2010_SP2"
        await get_folder(session)
        assert (await session.version(ANNA)).schema == "Exchange2013_SP1"


@pytest.mark.parametrize(("build", "code"), [("15.20.8000.1", "ews.exchange_online"), ("8.0.685.25", "ews.too_old")])
async def test_a_server_that_is_not_spoken_to_says_why(build: str, code: str) -> None:
    async with serving(IIS(answering=lambda call: Reply(response(call.operation, build=build)))) as server:
        session = Session(login(server.url))
        with pytest.raises(Permanent) as raised:
            await get_folder(session)
        await session.close()
    assert (raised.value.code, raised.value.scope) == (code, Scope.ACCOUNT)


@pytest.mark.parametrize("release", sorted(RELEASES))
async def test_every_server_on_sale_is_spoken_to_as_its_schema_says(release: str) -> None:
    async with exchange_world("anna", version=release) as world:
        session = Session(login(world.url, user=SERVICE, password=SERVICE_PASSWORD, access="impersonation"))
        await get_folder(session, zone="W. Europe Standard Time")
        version = await session.version()
        await session.close()
        assert version.build == RELEASES[release].build
        assert world.asked("GetFolder")[0].version == version.schema
        assert everything_is_valid(world.exchange)


# --- answers ----------------------------------------------------------------------------------------------------------


async def refused(answering: Answering, *, writes: bool = False, **more: Any) -> Trouble:
    """Make a call and give the trouble it ends in."""
    async with meeting(answering, **more) as (session, _):
        with pytest.raises(Trouble) as raised:
            await (create_item(session) if writes else get_folder(session))
        return raised.value


@pytest.mark.parametrize("status", [500, 200])
async def test_a_fault_is_a_fault_whatever_its_status(status: int) -> None:
    trouble = await refused(lambda _: Reply(fault("ErrorImpersonateUserDenied"), status))
    assert (type(trouble), trouble.scope, trouble.code) == (Permanent, Scope.CALENDAR, "ews.impersonation_denied")
    assert trouble.detail == "ErrorImpersonateUserDenied request-id 4f1f"
    assert "jemand" not in str(trouble)  # what the server says in words may name people


async def test_a_code_that_speaks_of_the_mailbox_is_raised_from_inside_an_answer() -> None:
    trouble = await refused(lambda _: Reply(response("SyncFolderItems", part("SyncFolderItems", "ErrorInvalidSyncStateData"))))
    assert isinstance(trouble, CursorExpired)


async def test_a_part_that_failed_is_left_to_the_caller() -> None:
    some = response("GetItem", part("GetItem"), part("GetItem", "ErrorNonExistentMailbox"))
    none = response("GetItem", part("GetItem", "ErrorItemNotFound"), part("GetItem", "ErrorItemNotFound"))
    answers = iter([some, none])
    async with meeting(lambda _: Reply(next(answers))) as (session, _):
        assert [each.is_error for each in soap.outcomes(await get_folder(session))] == [False, True]
        assert [each.is_error for each in soap.outcomes(await get_folder(session))] == [True, True]


@pytest.mark.parametrize(
    ("reply", "kind", "code"),
    [
        (Reply("<html><body>Sign in</body></html>"), Transient, "ews.not_ews"),
        (Reply("ok"), Transient, "ews.not_ews"),
        (Reply("<s:Envelope xmlns:s='http://schemas.xmlsoap.org/soap/envelope/'><s:Bo"), Transient, "ews.not_ews"),
        (Reply("", 403), Permanent, "ews.disabled"),
        (Reply("", 404), Permanent, "ews.not_ews"),
        (Reply("", 500), Transient, "general.server_error"),
        (Reply("", 503), Transient, "general.server_error"),
        (Reply("", 413), Permanent, "general.too_large"),
        (Reply("", 0), Transient, "general.broken_off"),
    ],
)
async def test_what_is_no_answer_of_exchange_is_told_apart(reply: Reply, kind: type[Trouble], code: str) -> None:
    trouble = await refused(lambda _: reply)
    assert (type(trouble), trouble.code) == (kind, code)


@pytest.mark.parametrize(
    "reply",
    [
        Reply("", 0),
        Reply("", 500),
        Reply("", 503, {"Retry-After": "60"}),
        Reply("<s:Envelope xmlns:s='http://schemas.xmlsoap.org/soap/envelope/'><s:Bo"),
        Reply("<html/>"),
        Reply(fault("ErrorInternalServerError"), 500),
        Reply(fault("ErrorTimeoutExpired"), 500),
    ],
)
async def test_a_write_whose_answer_is_lost_is_read_back(reply: Reply) -> None:
    assert isinstance(await refused(lambda _: reply, writes=True), Ambiguous)


async def test_an_answer_to_a_write_that_breaks_off_is_lost_too() -> None:
    async def handle(request: web.Request) -> web.StreamResponse:
        refusal = await server.handle(request)
        if not server.calls or server.calls[-1].operation != "CreateItem":
            return refusal
        answer = web.StreamResponse(headers={"Content-Length": "5000", "Content-Type": "text/xml"})
        await answer.prepare(request)
        await answer.write(response("CreateItem").encode()[:200])
        assert request.transport is not None
        request.transport.close()
        return answer

    server = IIS()
    async with serving(server, handler=handle):
        session = Session(login(server.url))
        with pytest.raises(Ambiguous):
            await create_item(session)
        await session.close()


async def test_a_write_that_was_refused_did_not_happen() -> None:
    trouble = await refused(lambda _: Reply(fault("ErrorSchemaValidation"), 500), writes=True)
    assert (type(trouble), trouble.scope) == (Permanent, Scope.SERIES)
    trouble = await refused(lambda _: Reply("", 0))
    assert not isinstance(trouble, Ambiguous)


async def test_a_question_over_a_connection_that_was_given_up_is_asked_again_and_a_write_is_not() -> None:
    given_up = iter([True, False, True, False])

    def once(call: Call) -> Reply:
        return Reply("", 0) if next(given_up) else usual(call)

    async with meeting(once) as (session, server):
        await get_folder(session)
        with pytest.raises(Ambiguous):
            await create_item(session)
        await get_folder(session)
    assert [call.operation for call in server.calls] == ["ResolveNames", "GetFolder", "GetFolder", "CreateItem", "GetFolder"]


async def test_a_write_to_a_server_that_is_away_did_not_happen() -> None:
    session = Session(login(f"http://127.0.0.1:{free_port()}"))
    with pytest.raises(Transient) as raised:
        await create_item(session)
    await session.close()
    assert raised.value.code == "general.unreachable"
    assert not isinstance(raised.value, Ambiguous)


# --- slowing down -----------------------------------------------------------------------------------------------------


def busy(call: Call) -> Reply:
    """Ask for a minute, as a fault."""
    return Reply(fault("ErrorServerBusy", f'<t:Value Name="BackOffMilliseconds">{60_000}</t:Value>'), 500)


async def test_a_busy_server_is_left_alone_as_long_as_it_asks() -> None:
    async with meeting(busy) as (session, server):
        before = datetime.now(UTC)
        with pytest.raises(Throttled) as raised:
            await get_folder(session)
        assert timedelta(seconds=60) <= raised.value.until - before < timedelta(seconds=70)
        assert raised.value.scope is Scope.ACCOUNT
        sent = len(server.calls)
        for attempt in (get_folder(session, BERT), create_item(session)):
            with pytest.raises(Throttled) as again:
                await attempt
            assert again.value.until == raised.value.until
        assert len(server.calls) == sent


async def test_under_impersonation_only_the_mailbox_rests() -> None:
    async with meeting(lambda call: busy(call) if call.acts_as == ANNA else usual(call), access="impersonation") as (session, _):
        with pytest.raises(Throttled) as raised:
            await get_folder(session)
        assert raised.value.scope is Scope.CALENDAR
        await get_folder(session, BERT)
        with pytest.raises(Throttled):
            await get_folder(session)


async def test_a_server_that_is_busy_inside_an_answer_is_left_alone_as_well() -> None:
    said = part("SyncFolderItems", "ErrorServerBusy", back_off(60_000))
    async with meeting(lambda _: Reply(response("SyncFolderItems", said))) as (session, server):
        for _ in range(2):
            with pytest.raises(Throttled):
                await get_folder(session)
    assert len(server.calls) == 2  # one for the version


async def test_what_a_busy_server_did_give_is_kept_and_the_next_call_waits() -> None:
    said = response("GetItem", part("GetItem"), part("GetItem", "ErrorServerBusy", back_off(60_000)))
    async with meeting(lambda _: Reply(said)) as (session, _):
        assert len(soap.outcomes(await get_folder(session))) == 2
        with pytest.raises(Throttled):
            await get_folder(session)


async def test_a_short_pause_is_sat_out() -> None:
    answers = iter([response("GetFolder", part("GetFolder", "ErrorServerBusy", back_off(80))), response("GetFolder")])
    async with meeting(lambda _: Reply(next(answers))) as (session, _):
        with pytest.raises(Throttled) as raised:
            await get_folder(session)
        await get_folder(session)
        assert datetime.now(UTC) >= raised.value.until


async def test_a_proxy_that_asks_to_wait_is_obeyed_too() -> None:
    async with meeting(lambda _: Reply("", 503, {"Retry-After": "60"})) as (session, server):
        for _ in range(2):
            with pytest.raises(Throttled):
                await get_folder(session)
    assert len(server.calls) == 2


async def test_a_crowded_server_is_asked_less_at_once() -> None:
    async with meeting(lambda _: Reply(fault("ErrorExceededConnectionCount"), 500), options={"concurrency": 6}) as (session, _):
        with pytest.raises(Throttled) as raised:
            await get_folder(session)
        assert raised.value.code == "ews.too_many_connections"
        assert session.budgets.of(ANNA).allowed == 3


async def test_a_mailbox_gets_no_more_at_once_than_the_connection_says() -> None:
    running = most = 0
    both = asyncio.Barrier(2)  # answers only when two are being asked for

    async def pairs(call: Call) -> Reply:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await both.wait()
        running -= 1
        return usual(call)

    async with meeting(pairs, access="impersonation", options={"concurrency": 2}) as (session, _):
        await asyncio.gather(*(get_folder(session) for _ in range(8)))
        assert most == 2
        await asyncio.gather(*(get_folder(session, mailbox) for mailbox in (ANNA, BERT) * 4))
    assert most <= 4


# --- streams ----------------------------------------------------------------------------------------------------------


def event(status: str, code: str = "NoError") -> str:
    """Write one piece of a stream."""
    inside = f"<m:ConnectionStatus>{status}</m:ConnectionStatus>"
    return response("GetStreamingEvents", part("GetStreamingEvents", code, inside))


@asynccontextmanager
async def streaming(pieces: Sequence[bytes], *, ends: bool = True) -> AsyncIterator[tuple[Session, IIS]]:
    """Give a session at a server that streams pieces and then ends, or hangs up."""
    server = IIS()

    async def handle(request: web.Request) -> web.StreamResponse:
        answer = await server.handle(request)
        if not server.calls or server.calls[-1].operation != "GetStreamingEvents" or answer.status != 200:
            return answer
        stream = web.StreamResponse(headers={"Content-Type": "text/xml"})
        await stream.prepare(request)
        for piece in pieces:
            await stream.write(piece)
            await asyncio.sleep(0)
        if not ends:
            assert request.transport is not None
            request.transport.close()
        return stream

    async with serving(server, handler=handle):
        session = Session(login(server.url))
        try:
            yield session, server
        finally:
            await session.close()


def listen(session: Session) -> AsyncIterator[Element]:
    """Open a stream."""
    return session.stream("GetStreamingEvents", b"<m:GetStreamingEvents/>", mailbox=ANNA, affinity=Affinity(ANNA))


async def test_a_stream_yields_its_envelopes_however_it_is_cut() -> None:
    whole = ("\r\n".join([event("OK"), event("OK"), event("Closed")])).encode()
    for size in (1 << 20, 97):
        async with streaming([whole[at : at + size] for at in range(0, len(whole), size)]) as (session, server):
            found = ["".join(each.itertext()) async for each in listen(session)]
        assert found == ["NoErrorOK", "NoErrorOK", "NoErrorClosed"]
        assert server.calls[-1].headers["X-PreferServerAffinity"] == "true"


async def test_a_stream_that_breaks_off_says_so_after_what_it_gave() -> None:
    for ends, rest in ((False, b""), (True, b"<s:Envelope>")):
        async with streaming([event("OK").encode(), rest or b" "], ends=ends) as (session, _):
            found = []
            with pytest.raises(Transient) as raised:
                async for each in listen(session):
                    found.append(each)
            assert (len(found), raised.value.code) == (1, "general.broken_off")


async def test_a_bad_subscription_is_told_to_who_listens() -> None:
    async with streaming([event("Closed", "ErrorInvalidSubscription").encode()]) as (session, _):
        (told,) = [each async for each in listen(session)]
    assert soap.outcomes(told)[0].code == "ErrorInvalidSubscription"


async def test_a_stream_that_is_refused_is_classified() -> None:
    async with meeting(busy) as (session, server):
        for _ in range(2):
            with pytest.raises(Throttled):
                await anext(aiter(listen(session)))
        assert len(server.calls) == 2
    async with meeting(lambda _: Reply(fault("ErrorSubscriptionNotFound"), 500)) as (session, _):
        with pytest.raises(Conflict):
            await anext(aiter(listen(session)))


async def test_a_stream_does_not_hold_up_calls() -> None:
    async with streaming([event("OK").encode()] * 3) as (session, _):
        stream = listen(session)
        await anext(stream)
        await asyncio.gather(*(get_folder(session) for _ in range(9)))
        await stream.aclose()  # type: ignore[attr-defined]


# --- the log ----------------------------------------------------------------------------------------------------------


async def test_the_log_tells_what_an_administrator_expects_and_names_nobody() -> None:
    with logged() as lines:
        async with meeting(lambda call: busy(call) if call.acts_as == ANNA else usual(call), access="impersonation") as (
            session,
            _,
        ):
            await get_folder(session, BERT)
            with pytest.raises(Throttled) as raised:
                await get_folder(session)
            with pytest.raises(Throttled):
                await get_folder(session)
    assert [line["event"] for line in lines] == ["endpoint_found", "connected", "paused_by_server"]
    assert lines[0] | {"host": "127.0.0.1", "by": "connection"} == lines[0]
    assert lines[1]["server"] == f"Exchange Server 2019 ({BUILD})"
    assert lines[2]["until"] == raised.value.until.isoformat(timespec="seconds")
    assert lines[2]["rests"] == "mailbox"
    assert "@" not in str(lines)


async def test_the_clock_of_the_server_is_heard() -> None:
    async with meeting(lambda call: Reply(response(call.operation), headers={"Date": "Sat, 01 Jan 2000 00:00:00 GMT"})) as (
        session,
        _,
    ):
        await get_folder(session)
        assert session.clock.ahead < -timedelta(days=9000)
