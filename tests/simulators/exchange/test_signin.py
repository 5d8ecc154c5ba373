"""Who speaks on a connection: NTLM and Negotiate as a client of other hands speaks them, with and without channel bindings."""

from __future__ import annotations

import hashlib

import pytest
import spnego
from tests.exchange_world import SERVICE, SERVICE_PASSWORD, exchange_world
from tests.simulators.exchange.plain_client import ROOMS, envelope, signed_in

from gleichtakt.simulators.exchange.negotiation import Negotiator
from gleichtakt.simulators.exchange.ntlm import Acceptor, md4, rc4, secret_of


@pytest.mark.parametrize(
    ("text", "digest"),
    [
        ("", "31d6cfe0d16ae931b73c59d7e0c089c0"),
        ("abc", "a448017aaf21d8525fc10ae87aa6729d"),
        ("message digest", "d9130a8164549fe818874806e1c7014b"),
        ("1234567890" * 8, "e33b4ddc9c38f2199c3e7b164fcc0536"),
    ],
)
def test_the_digest_is_that_of_its_description(text: str, digest: str) -> None:
    assert md4(text.encode()).hex() == digest


def test_the_cipher_is_that_of_its_test_vector() -> None:
    assert rc4(b"Key", b"Plaintext").hex().upper() == "BBF316E8D940AF0AD3"


async def test_nobody_comes_in_without_a_name_and_hears_how_to_give_one() -> None:
    async with exchange_world() as world, signed_in(world.url) as client:
        reply = await client.ask(ROOMS)
        assert reply.status == 401
        assert [entry.status for entry in world.exchange.ledger] == [401]


@pytest.mark.parametrize("method", ["NTLM", "Negotiate"])
@pytest.mark.parametrize("name", ["anna", "FIRM\\anna", "anna@firm.example"])
async def test_a_connection_is_signed_in_once_and_stays_so(method: str, name: str) -> None:
    async with exchange_world() as world, signed_in(world.url) as client:
        first = await client.sign_in(name, "anna-password", method, data=envelope(ROOMS))
        assert (first.status, first.headers["Persistent-Auth"]) == (200, "true")
        assert (await client.ask(ROOMS)).status == 200
        assert world.exchange.door.handshakes == 1
        assert {entry.connection for entry in world.exchange.ledger} == {1}
        assert [entry.account for entry in world.asked()] == ["anna", "anna"]


@pytest.mark.parametrize("method", ["NTLM", "Negotiate"])
async def test_a_wrong_password_and_an_unknown_name_stay_outside(method: str) -> None:
    async with exchange_world() as world:
        for name, password in (("anna", "wrong"), ("nobody", "anna-password"), ("OTHER\\anna", "anna-password")):
            async with signed_in(world.url) as client:
                assert (await client.sign_in(name, password, method)).status == 401
                assert (await client.ask(ROOMS)).status == 401
        assert len(world.exchange.door.refused) == 3


async def test_another_connection_is_not_signed_in_by_the_first() -> None:
    async with exchange_world() as world, signed_in(world.url) as first, signed_in(world.url) as second:
        assert (await first.sign_in("anna", "anna-password", data=envelope(ROOMS))).status == 200
        assert (await second.ask(ROOMS)).status == 401


async def test_a_changed_password_ends_what_was_signed_in_with_the_old_one() -> None:
    async with exchange_world() as world, signed_in(world.url) as client:
        await client.sign_in("anna", "anna-password", data=envelope(ROOMS))
        world.exchange.accounts["anna"].password = "new"
        assert (await client.ask(ROOMS)).status == 401


@pytest.mark.parametrize("method", ["NTLM", "Negotiate"])
@pytest.mark.parametrize(
    ("binding", "bound_to", "status"),
    [
        ("required", "this", 200),
        ("required", "", 401),
        ("required", "other", 401),
        ("allowed", "", 200),
        ("allowed", "other", 401),
        ("off", "other", 200),
    ],
)
async def test_extended_protection_binds_a_sign_in_to_the_certificate(
    method: str, binding: str, bound_to: str, status: int
) -> None:
    async with exchange_world(tls=True, binding=binding) as world:
        assert world.certificate is not None
        digests = {"this": hashlib.sha256(world.certificate.der).digest(), "other": b"\1" * 32, "": b""}
        async with signed_in(world.url, ca_pem=world.certificate.ca_pem) as client:
            reply = await client.sign_in("anna", "anna-password", method, certificate=digests[bound_to], data=envelope(ROOMS))
            assert reply.status == status, world.exchange.door.refused


def test_a_client_that_prefers_kerberos_is_led_to_ntlm() -> None:
    def part(tag: int, *inside: bytes) -> bytes:
        content = b"".join(inside)
        return bytes((tag, 0x82)) + len(content).to_bytes(2, "big") + content

    kerberos, ntlm = bytes.fromhex("06092a864886f712010202"), bytes.fromhex("060a2b06010401823702020a")
    offer = part(0x30, part(0xA0, part(0x30, kerberos, ntlm)), part(0xA2, part(0x04, b"a ticket")))
    negotiator = Negotiator(Acceptor(lambda user, domain: secret_of("word"), "firm.example", "ex1"))
    assert ntlm in negotiator.step(part(0x60, bytes.fromhex("06062b0601050502"), part(0xA0, offer)))
    client = spnego.client("FIRM\\anna", "word", protocol="ntlm", options=spnego.NegotiateOptions.use_ntlm)
    token = b""
    while negotiator.who is None:
        greeting = negotiator.step(part(0xA1, part(0x30, part(0xA2, part(0x04, client.step(token) or b"")))))
        token = greeting[greeting.find(b"NTLMSSP") :]
    assert negotiator.who == ("anna", "FIRM")


async def test_basic_works_only_where_it_is_offered() -> None:
    async with exchange_world() as world, signed_in(world.url, "anna", "anna-password") as client:
        assert (await client.ask(ROOMS)).status == 401
        world.exchange.behave({"methods": ["basic"]})
        assert (await client.ask(ROOMS)).status == 200


async def test_a_client_with_its_secret_gets_a_token_and_is_let_in_with_it() -> None:
    async with exchange_world(methods=("bearer",)) as world, signed_in(world.url) as client:
        tokens = f"{world.running.root}/adfs/oauth2/token"
        form = {"grant_type": "client_credentials", "client_id": SERVICE, "client_secret": "wrong"}
        async with client.session.post(tokens, data=form) as answer:
            assert answer.status == 400
        async with client.session.post(tokens, data={**form, "client_secret": SERVICE_PASSWORD}) as answer:
            token = (await answer.json())["access_token"]
        assert (await client.ask(ROOMS, Authorization="Bearer wrong")).status == 401
        assert (await client.ask(ROOMS, Authorization=f"Bearer {token}")).status == 200
