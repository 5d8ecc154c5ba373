"""The operations on items and folders: a request element in, a response element out.

`OPERATIONS` maps the name of an operation to what carries it out. Whatever concerns one item or folder of a request
is answered in its response message; `Refused` comes out only where the call as a whole is refused (a SOAP fault).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from lxml import etree

from gleichtakt.simulators.clock import Clock
from gleichtakt.simulators.exchange.state import VERSIONS, Mailbox, Refused, Simulator

__all__ = ["OPERATIONS", "Call", "Refused"]


@dataclass(frozen=True, slots=True)
class Call:
    """Who asks for what. caller: address of who signed in. mailbox: address of whom the call acts for (impersonation).

    version: what the request names as RequestServerVersion. zone: Windows id of its TimeZoneContext, or nothing.
    """

    simulator: Simulator
    caller: str
    mailbox: str
    version: str
    clock: Clock
    zone: str = ""

    @property
    def home(self) -> Mailbox:
        """The mailbox the call acts for. Raises Refused."""
        return self.simulator.mailbox(self.mailbox)

    def knows(self, version: str) -> bool:
        """Say whether the version the request asks for is at least this one."""
        return VERSIONS.index(self.version) >= VERSIONS.index(version)


Operation = Callable[[Call, etree._Element], etree._Element]

OPERATIONS: Mapping[str, Operation] = {}
