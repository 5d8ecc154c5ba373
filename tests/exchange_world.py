"""A simulated Exchange under test, inside the test's own loop: a firm with people, rooms and a service account.

`exchange_world` gives it running. What is asked and answered is kept word by word in `world.exchange.ledger`, and
`everything_is_valid` holds it against the schema.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from lxml import etree
from tests.certificates import Certificate, certificate

from gleichtakt.simulators.exchange import Exchange, Fault, Running, Simulator, start
from gleichtakt.simulators.exchange.organization import DOMAIN, Entry
from gleichtakt.simulators.exchange.soap import NAMESPACES
from gleichtakt.simulators.exchange.state import Mailbox

SCHEMA = Path(__file__).parent / "data" / "ews" / "schema" / "ews-all.xsd"
SERVICE, SERVICE_PASSWORD = "svc-sync", "svc-password"
MALFORMED = frozenset({"ErrorInvalidServerVersion", "ErrorSchemaValidation"})
ROOM_LIST = f"rooms@{DOMAIN}"


@dataclass(frozen=True, slots=True)
class ExchangeWorld:
    """A running firm. certificate: of its server, where it speaks TLS."""

    running: Running
    certificate: Certificate | None = None

    @property
    def exchange(self) -> Exchange:
        """All of it: habits, accounts, faults, ledger, throttle, notifications."""
        return self.running.exchange

    @property
    def simulator(self) -> Simulator:
        """What the mailboxes hold."""
        return self.running.exchange.simulator

    @property
    def url(self) -> str:
        """Address of EWS."""
        return self.running.url

    def mailbox(self, name: str) -> Mailbox:
        """Give a mailbox by the part of its address before the @."""
        return self.simulator.mailbox(f"{name}@{DOMAIN}")

    def put(self, name: str, item: str | Mapping[str, Any], folder: str = "calendar") -> str:
        """Let the owner of a mailbox make a calendar item; give its id."""
        return self.exchange.put(f"{name}@{DOMAIN}", item, folder)

    def do(self, name: str, operation: str) -> etree._Element:
        """Let the owner of a mailbox carry out an operation, given as XML with the prefixes t and m."""
        return self.exchange.carry_out(f"{name}@{DOMAIN}", operation)

    def fail(self, kind: str, operation: str = "*", **more: Any) -> Fault:
        """Order a fault, see `gleichtakt.simulators.exchange.faults`."""
        return self.exchange.faults.add(Fault(kind, operation, **more))

    def asked(self, operation: str = "") -> list[Entry]:
        """Give the requests that got past sign-in, of one operation or all."""
        return [one for one in self.exchange.ledger if one.operation and operation in ("", one.operation)]


def firm(*people: str, **habits: Any) -> Exchange:
    """Make a firm: its people with an account each, two rooms in a list, a service account that may act for everyone.

    A person's account is called as the mailbox before the @, with the password `NAME-password`.
    """
    made = Exchange(**habits)
    for name in people or ("anna", "ben", "cleo"):
        made.add_person(name)
    rooms = [
        made.simulator.add_mailbox(f"{name}@{DOMAIN}", name.title(), kind="room", accepts=True) for name in ("north", "south")
    ]
    made.directory.add_room_list(ROOM_LIST, "Rooms", *(room.address for room in rooms))
    made.add_account(SERVICE, SERVICE_PASSWORD, impersonates=(f"*@{DOMAIN}",))
    return made


@asynccontextmanager
async def exchange_world(
    *people: str, tls: bool = False, host: str = "127.0.0.1", port: int = 0, **habits: Any
) -> AsyncIterator[ExchangeWorld]:
    """Run a firm until the block ends. habits: see `gleichtakt.simulators.exchange.Habits`."""
    served = certificate() if tls else None
    context, der = (served.context(), served.der) if served is not None else (None, b"")
    async with start(firm(*people, **habits), host=host, port=port, tls=context, certificate=der) as running:
        yield ExchangeWorld(running, served)


# --- the schema --------------------------------------------------------------------------------------------------


@cache
def schema() -> etree.XMLSchema:
    """Give the schema published for Exchange, of everything in a SOAP body or header."""
    return etree.XMLSchema(etree.parse(SCHEMA))


def violations(text: str | bytes) -> list[str]:
    """Say where an envelope, or each of several in a row, breaks the schema."""
    found: list[str] = []
    for envelope in _envelopes(text.encode() if isinstance(text, str) else text):
        for part in (*envelope.findall("s:Header/*", NAMESPACES), *envelope.findall("s:Body/*", NAMESPACES)):
            if etree.QName(part).localname == "Fault":
                continue
            if not schema().validate(part):
                found += [f"{etree.QName(part).localname}: {error.message}" for error in schema().error_log]
    return found


def _envelopes(data: bytes) -> Iterator[etree._Element]:
    end = b":Envelope>"
    for one in data.split(end):
        if one.strip():
            yield etree.fromstring(one.strip() + end)


def everything_is_valid(exchange: Exchange) -> bool:
    """Hold every request and answer so far against the schema; fails the test where one breaks it.

    A request that was refused for its form is nobody's promise.
    """
    for entry in exchange.ledger:
        is_malformed = not MALFORMED.isdisjoint(entry.codes)
        for text in ("" if is_malformed else entry.request, entry.answer):
            wrong = violations(text) if text and entry.operation != "Autodiscover" else []
            assert not wrong, f"{entry.operation}: {wrong}\n{text}"
    return True
