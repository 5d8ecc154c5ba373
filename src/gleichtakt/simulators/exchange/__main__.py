"""``python -m gleichtakt.simulators.exchange``: the simulator as a process of its own, until it is told to stop."""

from __future__ import annotations

import json
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gleichtakt.simulators.control import choose
from gleichtakt.simulators.exchange.control import OPERATIONS
from gleichtakt.simulators.exchange.faults import Fault
from gleichtakt.simulators.exchange.organization import DOMAIN, Exchange
from gleichtakt.simulators.exchange.server import Running, start
from gleichtakt.simulators.process import main, until_stopped

SERVICE, SERVICE_PASSWORD = "svc-gleichtakt", "svc-password"


def example() -> Exchange:
    """Make a small firm: two people, two rooms in a list, and a service account that may act for all of them."""
    made = Exchange(methods=("negotiate", "ntlm", "basic"))
    made.add_person("anna", "Anna Adler")
    made.add_person("ben", "Ben Bauer")
    rooms = [
        made.simulator.add_mailbox(f"{name}@{DOMAIN}", f"Room {name}", kind="room", accepts=True) for name in ("north", "south")
    ]
    made.directory.add_room_list(f"rooms@{DOMAIN}", "Rooms", *(room.address for room in rooms))
    made.add_account(SERVICE, SERVICE_PASSWORD, impersonates=(f"*@{DOMAIN}",))
    return made


def seeded(seed: Mapping[str, Any]) -> Exchange:
    """Make the firm a file describes: `domain`, and by name what the control interface takes under these names.

    Raises ValueError for something it does not know.
    """
    made = Exchange(domain=seed.get("domain", DOMAIN), **seed.get("habits", {}))
    for step in seed.get("state", ()):
        choose(OPERATIONS, step)(made, step)
    for account in seed.get("accounts", ()):
        scope = tuple(account.get("impersonates", ()))
        made.add_account(account["username"], account["password"], account.get("mailbox", ""), impersonates=scope)
    for fault in seed.get("faults", ()):
        made.faults.add(Fault(**fault))
    made.throttle.set(seed.get("throttle", {}))
    return made


def _told(running: Running) -> Mapping[str, Any]:
    accounts = [
        {"mailbox": account.mailbox, "username": account.username, "password": account.password}
        for account in running.exchange.accounts.values()
    ]
    version = running.exchange.habits.version
    return {"url": running.url, "control": running.control, "version": version, "accounts": accounts}


async def run(*, host: str, port: int, seed: Path | None, as_json: bool) -> None:
    """Serve until SIGINT or SIGTERM; say where, on standard output. A seed may name a PEM file as its `certificate`."""
    read = json.loads(seed.read_text(encoding="utf-8")) if seed is not None else {}  # noqa: ASYNC240  # before anyone is served
    exchange = seeded(read) if read else example()
    tls, certificate = _secured(Path(read["certificate"])) if "certificate" in read else (None, b"")
    starting = start(exchange, host=host, port=port, tls=tls, certificate=certificate)
    await until_stopped(starting, _told, name="Exchange simulator", as_json=as_json)


def _secured(pem: Path) -> tuple[ssl.SSLContext, bytes]:
    """Give TLS with a certificate and its key from one file, and the certificate itself (DER)."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    text = pem.read_text(encoding="ascii")
    first = text[text.index("-----BEGIN CERTIFICATE-----") :].partition("-----END CERTIFICATE-----")
    return context, ssl.PEM_cert_to_DER_cert(first[0] + first[1])


if __name__ == "__main__":
    main("exchange", run)
