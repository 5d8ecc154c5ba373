"""The clock of a simulated system: the real one, moved, or standing still."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any


@dataclass(slots=True)
class Clock:
    """offset: ahead of the real time. frozen_at: stands still there."""

    offset: timedelta = timedelta()
    frozen_at: datetime | None = None

    def now(self) -> datetime:
        """Give the time on this clock, UTC."""
        return self.frozen_at or datetime.now(UTC) + self.offset

    def show(self) -> dict[str, Any]:
        """Give the time and whether it stands still."""
        return {"now": self.now().isoformat(), "frozen": self.frozen_at is not None}

    def set(self, body: dict[str, Any]) -> dict[str, Any]:
        """Set it: `now` (aware) with or without `frozen`, else `offset_seconds`."""
        self.frozen_at = None
        if "now" in body:
            wanted = datetime.fromisoformat(body["now"])
            self.offset = wanted - datetime.now(UTC)
            self.frozen_at = wanted if body.get("frozen") else None
        else:
            self.offset = timedelta(seconds=float(body.get("offset_seconds", 0)))
        return self.show()
