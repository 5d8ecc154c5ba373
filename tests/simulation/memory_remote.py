"""A calendar of the memory simulator as a history handles it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from uuid import UUID

from tests.engine import Tie

from gleichtakt.model.document import read_series, series_document
from gleichtakt.model.event import Series
from gleichtakt.simulators.memory import Fault, Simulator
from gleichtakt.simulators.memory.variants import VARIANTS, stored

FAULTS: dict[str, Fault] = {
    "create applied, answer lost": Fault("lost", "create", effect=True),
    "create lost": Fault("lost", "create"),
    "update applied, answer lost": Fault("lost", "update", effect=True),
    "update lost": Fault("lost", "update"),
    "delete applied, answer lost": Fault("lost", "delete", effect=True),
    "delete lost": Fault("lost", "delete"),
    "write applied, error answered": Fault("failure", "write", effect=True),
    "write refused with an error": Fault("failure", "write"),
    "listing cut short": Fault("cap", "changes", count=1, effect=True),
    "cursor refused": Fault("cursor", "changes"),
    "notification repeated": Fault("repeat", "changes", effect=True),
    "fetch fails": Fault("failure", "fetch"),
    "objects passed over": Fault("cap", "fetch", count=1, effect=True),
    "one object refused": Fault("unreadable", "changes", effect=True),
    "asked to wait": Fault("throttle", "changes", seconds=120),
    "garbage": Fault("garbage", "changes", effect=True),
}


@dataclass
class MemoryRemote:
    """One calendar, handled directly in the simulator."""

    tie: Tie

    @property
    def lane_id(self) -> UUID:
        """Say which lane works on it."""
        return self.tie.lane_id

    @property
    def link_id(self) -> UUID:
        """Say which link ties it to us."""
        return self.tie.id

    @property
    def _simulator(self) -> Simulator:
        return self.tie.engine.simulator

    async def content(self) -> dict[str, Series]:
        """Give what stands there by href."""
        return {thing.href: read_series(thing.document) for thing in self.tie.things}

    async def marked(self) -> Mapping[str, tuple[str, Series]]:
        """Give what stands there by href: our mark on it, and its content."""
        return {thing.href: (thing.marker, read_series(thing.document)) for thing in self.tie.things}

    def as_stored(self, series: Series) -> Series:
        """Say how this calendar holds an event of ours."""
        return read_series(stored(VARIANTS[self.tie.variant or "exact"], series_document(series)))

    async def put(self, series: Series) -> str:
        """Someone else creates."""
        return self.tie.add(series).href

    async def change(self, href: str, series: Series) -> None:
        """Someone else edits."""
        self._simulator.edit(self.tie.folder, href, series_document(series))

    async def drop(self, href: str) -> None:
        """Someone else deletes."""
        self._simulator.remove(self.tie.folder, href)

    async def trouble(self, kind: str) -> None:
        """Play a trick at the next calls on this calendar."""
        fault = FAULTS[kind]
        self._simulator.faults.add(
            Fault(fault.do, fault.verb, fault.effect, calendar=self.tie.calendar, mailbox=self.tie.mailbox, count=fault.count)
        )

    async def calm(self) -> None:
        """Stop all tricks."""
        self._simulator.faults.clear()

    async def mails(self) -> int:
        """Count the mails."""
        return len(self._simulator.outbox)

    async def writes(self) -> int:
        """Count the writes on this calendar."""
        return sum(
            entry["verb"] in ("create", "update", "delete") and entry["calendar"] == self.tie.calendar
            for entry in self._simulator.ledger
        )

    async def forget(self) -> None:
        """Forget the calls so far."""
        self._simulator.forget_calls()
