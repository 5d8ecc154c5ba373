"""Signing in to Exchange: one connection per account, bound to its certificate, and nothing given to whom it is not due."""

from __future__ import annotations

import asyncio
import base64
import os
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from hashlib import sha256, sha384
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from tests.iis import IIS, PASSWORD, Call, Reply, login, serving, usual

from gleichtakt.errors import AuthRequired, Permanent, Scope, Transient
from gleichtakt.providers.ews.session import Session
from gleichtakt.providers.ews.signin import end_point, offered
from gleichtakt.providers.protocol import Login, Secret

BODY = b'<m:GetFolder><m:FolderIds><t:DistinguishedFolderId Id="calendar"/></m:FolderIds></m:GetFolder>'


@asynccontextmanager
async def signing_in(found: Login) -> AsyncIterator[Session]:
    """Give a session."""
    session = Session(found)
    try:
        yield session
    finally:
        await session.close()


async def asked(found: Login, times: int = 1) -> None:
    """Make calls, one after the other."""
    async with signing_in(found) as session:
        for _ in range(times):
            await session.call("GetFolder", BODY, mailbox="anna@firm.example")


# --- NTLM and Negotiate -----------------------------------------------------------------------------------------------


async def test_one_conversation_signs_in_a_connection_for_good() -> None:
    async with serving(IIS()) as server:
        await asked(login(server.url), times=3)
    assert server.handshakes == 1
    assert {call.user for call in server.calls} == {"FIRM\\svc"}
    assert {call.line for call in server.calls} == {1}


async def test_the_first_question_has_no_body_and_a_body_is_sent_once() -> None:
    async with serving(IIS()) as server:
        await asked(login(server.url))
    assert [method for method, _ in server.legs] == ["", "NTLM", "NTLM", ""]
    assert [size > 0 for _, size in server.legs] == [False, False, True, True]


async def test_a_login_is_bound_to_the_certificate_of_its_connection() -> None:
    async with serving(IIS(binds=True), tls=True) as server:
        await asked(login(server.url), times=2)
    assert server.handshakes == 1


async def test_a_login_without_binding_is_refused_where_protection_is_on() -> None:
    async with serving(IIS(binds=True), tls=True) as server:
        with pytest.raises(AuthRequired) as raised:
            await asked(login(server.url, options={"channel_binding": "off"}))
    assert raised.value.code == "ews.login_refused"
    assert "Extended Protection" in raised.value.remedy()
    assert server.failed == ["BadBindingsError"]


async def test_a_login_without_binding_is_enough_where_protection_is_off() -> None:
    async with serving(IIS(), tls=True) as server:
        await asked(login(server.url, options={"channel_binding": "off"}))
    assert server.handshakes == 1


async def test_negotiate_signs_in_too_and_is_bound_as_well() -> None:
    async with serving(IIS(binds=True), tls=True) as server:
        await asked(login(server.url, method="negotiate"), times=2)
    assert server.handshakes == 1
    assert {method for method, _ in server.legs} == {"", "Negotiate"}


@pytest.mark.parametrize(("method", "offers"), [("ntlm", ("Negotiate",)), ("negotiate", ("NTLM",))])
async def test_where_only_the_other_windows_method_is_offered_it_is_used(method: str, offers: tuple[str, ...]) -> None:
    async with serving(IIS(offers=offers)) as server:
        await asked(login(server.url, method=method))
    assert server.handshakes == 1


async def test_a_domain_beside_the_user_name_counts() -> None:
    async with serving(IIS()) as server:
        await asked(login(server.url, user="svc", auth={"domain": "FIRM"}))
    assert server.calls[0].user == "FIRM\\svc"


async def test_a_wrong_password_costs_one_refused_login() -> None:
    async with serving(IIS()) as server:
        with pytest.raises(AuthRequired) as raised:
            await asked(login(server.url, password="falsch"))
    assert (raised.value.code, raised.value.scope) == ("ews.login_refused", Scope.ACCOUNT)
    assert len(server.failed) == 1
    assert PASSWORD not in str(raised.value) and "svc" not in str(raised.value)


async def test_a_connection_that_is_asked_to_sign_in_again_is_made_anew_once() -> None:
    async with serving(IIS()) as server, signing_in(login(server.url)) as session:
        await session.call("GetFolder", BODY, mailbox="anna@firm.example")
        server.forget = True
        await session.call("GetFolder", BODY, mailbox="anna@firm.example")
    assert server.handshakes == 2
    assert [call.line for call in server.calls] == [1, 1, 2]


async def test_a_password_that_changed_meanwhile_is_a_refused_login() -> None:
    async with serving(IIS()) as server, signing_in(login(server.url)) as session:
        await session.call("GetFolder", BODY, mailbox="anna@firm.example")
        server.forget = True
        file = Path(os.environ["NTLM_USER_FILE"])
        file.write_text("FIRM:svc:Neu-789\n")
        with pytest.raises(AuthRequired):
            await session.call("GetFolder", BODY, mailbox="anna@firm.example")
    assert len(server.failed) == 1


async def test_a_server_that_hangs_up_after_each_answer_is_signed_in_to_each_time() -> None:
    async with serving(IIS(hang_up=True)) as server:
        await asked(login(server.url), times=2)
    assert server.handshakes == len(server.calls) == 3


async def test_a_server_that_signs_in_each_request_alone_is_obliged() -> None:
    async with serving(IIS(persistent="false")) as server:
        await asked(login(server.url), times=2)
    assert {call.user for call in server.calls} == {"FIRM\\svc"}


async def test_a_server_that_takes_the_first_token_for_all_gets_it_with_the_body() -> None:
    """Kerberos needs one message; the server looks at each request alone."""
    async with serving(IIS(offers=("Negotiate",), in_one=True, persistent="")) as server:
        await asked(login(server.url, method="negotiate"), times=3)
    assert [call.operation for call in server.calls] == ["", "ResolveNames", "GetFolder", "GetFolder", "GetFolder"]


async def test_connections_are_signed_in_one_by_one_and_not_shared() -> None:
    gate = asyncio.Event()

    async def together(call: Call) -> Reply:
        if call.operation == "GetFolder":
            if sum(each.operation == "GetFolder" for each in server.calls) == 4:
                gate.set()
            await gate.wait()
        return usual(call)

    async with (
        serving(IIS(answering=together)) as server,
        signing_in(login(server.url)) as ours,
        signing_in(login(server.url, user="FIRM\\other", password="Anders-456")) as others,
    ):
        both = (ours, others, ours, others)
        await asyncio.gather(*(session.call("GetFolder", BODY, mailbox="anna@firm.example") for session in both))
    by_line: dict[int, set[str]] = {}
    for call in server.calls:
        by_line.setdefault(call.line, set()).add(call.user)
    assert sorted(next(iter(users)) for users in by_line.values()) == ["FIRM\\other"] * 2 + ["FIRM\\svc"] * 2
    assert all(len(users) == 1 for users in by_line.values())


async def test_a_challenge_that_cannot_be_read_is_no_refused_login() -> None:
    async def babble(request: web.Request) -> web.Response:
        began = "Authorization" in request.headers
        return web.Response(status=401, headers={"WWW-Authenticate": "NTLM " + ("TlRMTVNTUAACAAAA" if began else "")})

    async with serving(IIS(), handler=babble) as server:
        with pytest.raises(Transient) as raised:
            await asked(login(server.url))
    assert raised.value.code == "general.malformed"


# --- recorded conversations -------------------------------------------------------------------------------------------

TRACES = Path(__file__).parents[2] / "data" / "ews" / "traces"
MORE_TRACES = os.environ.get("GLEICHTAKT_MORE_TRACES", "")  # a folder with others, to be tried by hand


def spoken(trace: Path) -> list[tuple[str, list[str]]]:
    """Read a trace: who speaks (`>` the client, `<` the server), and the lines."""
    turns: list[tuple[str, list[str]]] = []
    for line in trace.read_text(encoding="utf-8").splitlines():
        if line[:1] not in "<>" or not line:
            continue
        begins = re.match(r"> POST|< HTTP/", line)
        if begins:
            turns.append((line[0], []))
        turns[-1][1].append(line[2:])
    return turns


class Recorded:
    """Plays the server's part of a trace, connection by connection."""

    def __init__(self, trace: Path) -> None:
        """Read its answers: the challenge with its headers, and what was said after that."""
        self.answers = [lines for who, lines in spoken(trace) if who == "<"]
        self.tokens: list[bytes] = []
        self.signed: set[int] = set()
        self.bodies: list[bytes] = []

    async def handle(self, request: web.Request) -> web.Response:
        """Answer as recorded; a token is only looked at."""
        body = await request.read()
        if request.headers.get("Authorization"):
            self.tokens.append(base64.b64decode(request.headers["Authorization"].partition(" ")[2]))
        if id(request.transport) in self.signed or (self.tokens and self.tokens[-1][8] == 3):
            self.signed.add(id(request.transport))
            self.bodies.append(body)
            return self._say(next((each for each in self.answers if " 200 " in each[0]), []))
        challenge = next(each for each in self.answers if " 401 " in each[0])
        if not self.tokens:
            challenge = [re.sub(r"(WWW-Authenticate: \w+).*", r"\1", line) for line in challenge]
        return self._say(challenge)

    def _say(self, lines: list[str]) -> web.Response:
        at = lines.index("") if "" in lines else len(lines)
        status, text = int(lines[0].split(" ")[1]), "\n".join(lines[at + 1 :])
        answer = web.Response(status=status, body=text.encode(), content_type="text/xml")
        for line in lines[1:at]:
            name, _, value = line.partition(": ")
            if name in {"WWW-Authenticate", "Persistent-Auth", "Server", "Date"}:
                answer.headers.add(name, value)
        return answer


def traces() -> list[Path]:
    """Give the recorded conversations that hold a sign-in."""
    folders = [TRACES, *([Path(MORE_TRACES)] if MORE_TRACES else [])]
    found = [trace for folder in folders for trace in sorted(folder.glob("*.trace"))]
    return [trace for trace in found if "WWW-Authenticate: NTLM " in trace.read_text(encoding="utf-8")]


@pytest.mark.parametrize("trace", traces(), ids=lambda trace: trace.stem)
async def test_a_recorded_conversation_is_held_to_its_end(trace: Path) -> None:
    recorded = Recorded(trace)
    async with serving(IIS(), handler=recorded.handle) as server, signing_in(login(server.url)) as session:
        version = await session.version()
    assert [token[:9] for token in recorded.tokens] == [b"NTLMSSP\0\1", b"NTLMSSP\0\3"]
    assert "svc".encode("utf-16-le") in recorded.tokens[1]
    assert version.told and version.build[0] in {8, 14, 15}
    assert b"ResolveNames" in recorded.bodies[0]


# --- other ways -------------------------------------------------------------------------------------------------------


async def test_basic_is_used_only_where_the_connection_says_so() -> None:
    async with serving(IIS(offers=('Basic realm="mail.firm.example"',))) as server:
        with pytest.raises(AuthRequired) as raised:
            await asked(login(server.url, method=""))
        assert (raised.value.code, raised.value.params["offered"]) == ("ews.method_not_offered", "basic")
        assert {method for method, _ in server.legs} == {""}
        await asked(login(server.url, method="basic"))
    assert server.calls[-1].user == "FIRM\\svc"


async def test_basic_where_only_windows_methods_are_offered_says_which() -> None:
    async with serving(IIS()) as server:
        with pytest.raises(AuthRequired) as raised:
            await asked(login(server.url, method="basic"))
    assert raised.value.params["offered"] == "negotiate, ntlm"


async def test_a_method_that_exchange_does_not_have_is_named_at_once() -> None:
    with pytest.raises(Permanent) as raised:
        Session(login("https://mail.firm.example", method="digest"))
    assert raised.value.code == "ews.method_unknown"


class Issuer:
    """Gives tokens to an application, as AD FS does."""

    def __init__(self, server: IIS) -> None:
        """Tokens are good at a server."""
        self.server, self.forms, self.status = server, list[Mapping[str, str]](), 200

    async def handle(self, request: web.Request) -> web.Response:
        """Give a token, or refuse."""
        form = {name: str(value) for name, value in (await request.post()).items()}
        self.forms.append(form)
        if self.status != 200 or form.get("client_secret") != "geheim":
            return web.json_response({"error": "invalid_client"}, status=401)
        token = f"token-{len(self.forms)}"
        self.server.tokens = frozenset({token})
        return web.json_response({"access_token": token, "expires_in": 3600, "token_type": "bearer"})


@asynccontextmanager
async def issuing(server: IIS, secret: str = "geheim") -> AsyncIterator[tuple[Issuer, Login]]:
    """Run an issuer beside a server; give it and a login that uses it."""
    issuer = Issuer(server)
    async with serving(IIS(), handler=issuer.handle) as place:
        auth: dict[str, str | Secret] = {"token_url": f"{place.url}/adfs/oauth2/token", "client_id": "g"}
        auth["client_secret"] = Secret(secret)
        yield issuer, login(server.url, method="oauth_app", auth=auth, access="impersonation")


async def test_an_application_signs_in_with_tokens_and_renews_one_that_was_withdrawn() -> None:
    async with (
        serving(IIS(offers=("Bearer",))) as server,
        issuing(server) as (issuer, found),
        signing_in(found) as session,
    ):
        await asyncio.gather(*(session.call("GetFolder", BODY, mailbox="anna@firm.example") for _ in range(3)))
        assert len(issuer.forms) == 1
        server.tokens = frozenset()
        await asyncio.gather(*(session.call("GetFolder", BODY, mailbox="anna@firm.example") for _ in range(3)))
    assert len(issuer.forms) == 2
    assert issuer.forms[0]["grant_type"] == "client_credentials"
    assert issuer.forms[0]["resource"] == f"{server.url}/"
    assert {call.acts_as for call in server.calls} == {"anna@firm.example"}  # an application is nobody alone


async def test_a_token_that_never_works_is_a_refused_login() -> None:
    async with serving(IIS(offers=("Bearer",))) as server, issuing(server) as (issuer, found):
        server.offers = ("Bearer", "NTLM")
        issuer.server = IIS()  # its tokens are good elsewhere
        with pytest.raises(AuthRequired):
            await asked(found)
    assert len(issuer.forms) == 1


async def test_an_application_that_gets_no_token_says_who_refused() -> None:
    async with serving(IIS(offers=("Bearer",))) as server, issuing(server, secret="falsch") as (_, found):
        with pytest.raises(AuthRequired) as raised:
            await asked(found)
    assert raised.value.code == "ews.token_refused"
    assert raised.value.params["reason"] == "invalid_client"
    assert not server.calls


async def test_a_token_given_by_hand_is_sent_as_it_is() -> None:
    async with serving(IIS(offers=("Bearer",), tokens=frozenset({"abc"}))) as server:
        await asked(login(server.url, method="bearer", auth={"token": Secret("abc")}))
    assert server.calls[-1].user == "application"


async def test_what_a_server_offers_is_asked_without_a_login() -> None:
    async with serving(IIS(offers=("Negotiate", "NTLM", 'Basic realm="x"'))) as server, signing_in(login(server.url)) as session:
        assert await session.offered() == ("basic", "negotiate", "ntlm")
    assert server.legs == [("", 0)]


async def test_a_redirect_to_a_stranger_takes_no_login_along() -> None:
    async def away(request: web.Request) -> web.Response:
        raise web.HTTPFound("https://elsewhere.example/EWS/Exchange.asmx")

    async with serving(IIS(), handler=away) as server:
        with pytest.raises(Permanent) as raised:
            await asked(login(server.url))
    assert raised.value.code == "general.redirect_refused"


# --- words ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (["NTLM", "Negotiate"], {"ntlm": b"", "negotiate": b""}),
        (["Negotiate, NTLM"], {"ntlm": b"", "negotiate": b""}),
        (["NTLM TlRMTVNTUAACAAAA", "Negotiate"], {"ntlm": b"NTLMSSP\0\2\0\0\0", "negotiate": b""}),
        (['Basic realm="a, b", charset="UTF-8"', "ntlm"], {"basic": b"", "ntlm": b""}),
        (['Bearer client_id="0", trusted_issuers="x@*", authorization_uri="https://x"'], {"bearer": b""}),
        (["NTLM no token!"], {"ntlm": b""}),
        ([], {}),
    ],
)
def test_what_a_server_offers_is_read_in_every_spelling(headers: list[str], expected: dict[str, bytes]) -> None:
    assert offered(headers) == expected


def self_signed(algorithm: hashes.SHA256 | hashes.SHA384 | None) -> bytes:
    """Make a certificate signed by an algorithm."""
    key = ec.generate_private_key(ec.SECP384R1()) if algorithm else ed25519.Ed25519PrivateKey.generate()
    name, now = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "mail.firm.example")]), datetime.now(UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(days=1))
    return builder.sign(key, algorithm).public_bytes(Encoding.DER)


def test_the_binding_is_hashed_as_the_certificate_was() -> None:
    cases: tuple[tuple[hashes.SHA256 | hashes.SHA384 | None, Any], ...]
    cases = ((hashes.SHA256(), sha256), (hashes.SHA384(), sha384), (None, sha256))
    for algorithm, digest in cases:
        der = self_signed(algorithm)
        assert end_point(der) == b"tls-server-end-point:" + digest(der).digest()


#: Signed with ECDSA and SHA-1, as servers of 2007 made them.
OLD_CERTIFICATE = base64.b64decode(
    "MIIBcTCCARigAwIBAgIUWjzwGYHEWScYd8e80mUYb2FeAMkwCQYHKoZIzj0EATAOMQwwCgYDVQQDDANvbGQwIBcNMjYxMTIxMTgwNDQ5WhgPMj"
    "EyNjEwMjgxODA0NDlaMA4xDDAKBgNVBAMMA29sZDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABOdc+hXh0IU37hX0eLVAFpX5rErLWh75BRsn"
    "PhEeA1tKVYjc9M7dJ98JjLNIgVI0vTEGRPCVBjsW5VnKWBclT+ejUzBRMB0GA1UdDgQWBBSC1QUIWLsBzxXOrvjtQbMRhnM/NTAfBgNVHSMEGD"
    "AWgBSC1QUIWLsBzxXOrvjtQbMRhnM/NTAPBgNVHRMBAf8EBTADAQH/MAkGByqGSM49BAEDSAAwRQIgOuy94Y4GqAK6JaNUrppktJEeib+tecHK"
    "qTDOMdGaeUgCIQDcv6IKK+OW8wmdcgTOuEkwbWStEQJJbErU0WTlahjfaQ=="
)


def test_a_binding_to_a_certificate_signed_by_an_old_hash_uses_sha_256() -> None:
    assert end_point(OLD_CERTIFICATE) == b"tls-server-end-point:" + sha256(OLD_CERTIFICATE).digest()
