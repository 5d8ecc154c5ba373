"""A call as the operations see it, and the answer with one response message for each part of the request."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from lxml import etree

from gleichtakt.simulators.clock import Clock
from gleichtakt.simulators.exchange.ids import LEGACY_VERSION
from gleichtakt.simulators.exchange.items import Doer
from gleichtakt.simulators.exchange.soap import add, error_message, local, m, responses, success
from gleichtakt.simulators.exchange.state import VERSIONS, Mailbox, Refused, Simulator
from gleichtakt.simulators.exchange.zones import of_context

Filler = Callable[[etree._Element], None]


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

    @property
    def doer(self) -> Doer:
        """Who is noted for what the call changes. Raises Refused for a zone nobody knows."""
        return Doer(self.home.name, of_context(self.zone))

    @property
    def id_format(self) -> str:
        """The format of the ids in this call."""
        return "EwsLegacyId" if self.version == LEGACY_VERSION else "EwsId"

    def knows(self, version: str) -> bool:
        """Say whether the version the request asks for is at least this one."""
        return VERSIONS.index(self.version) >= VERSIONS.index(version)


def first(element: etree._Element) -> etree._Element:
    """Give the first element inside one. Raises Refused where it is empty, as the schema would."""
    if not len(element):
        raise Refused("ErrorSchemaValidation", f"The request failed schema validation: {local(element)} is empty.")
    return element[0]


def whole(text: str | None, name: str) -> int:
    """Read a whole number of a request. Raises Refused, as the schema would."""
    try:
        return int(text or "", 0)
    except ValueError:
        raise Refused("ErrorSchemaValidation", f"The request failed schema validation: {name} is no whole number.") from None


Operation = Callable[[Call, etree._Element], etree._Element]


def answer_each(
    operation: str, parts: Iterable[etree._Element], work: Callable[[etree._Element], Filler], *, empty: str = ""
) -> etree._Element:
    """Carry out a request part by part; what is refused stands in its message, and the others go on.

    work: gives what fills the message of a part. empty: element that the schema wants in a refusal too.
    """
    made: list[etree._Element] = []
    name = f"{operation}ResponseMessage"
    for part in parts:
        try:
            made.append(success(name, parts=work(part)))
        except Refused as refused:
            message = error_message(name, refused)
            if empty:
                add(message, m(empty))
            made.append(message)
    return responses(operation, *made)
