"""What time it is for a system, compared with us, so that what it says of «modified» can be read on our clock."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

SAME = timedelta(seconds=2)  # an answer travels and a header counts whole seconds: nearer than this is no difference
TRUNCATED = timedelta(milliseconds=500)  # the middle of the second that a Date header names


@dataclass(slots=True)
class TheirClock:
    """How far a system's clock is ahead of ours, by the last answer that told its time; nothing while none did."""

    ahead: timedelta = timedelta()

    def hear(self, theirs: datetime | None) -> None:
        """Take note of the time an answer tells (aware)."""
        if theirs is not None:
            apart = theirs - datetime.now(UTC)
            self.ahead = apart if abs(apart) > SAME else timedelta()

    def hear_date(self, header: str | None) -> None:
        """Take note of a Date header; one that cannot be read says nothing."""
        if not header:
            return
        try:
            told = parsedate_to_datetime(header)
        except ValueError:
            return
        self.hear((told if told.tzinfo else told.replace(tzinfo=UTC)) + TRUNCATED)

    def ours(self, told: datetime) -> datetime:
        """Give an instant of their clock on ours."""
        return told - self.ahead
