"""How often one may try to sign in: a few wrong passwords per name and address, some more per address.

Counted in the memory of one process: several web processes multiply the few by their number, which still keeps
guessing hopeless beside Argon2. The table is bounded, so that made-up names cannot fill the memory.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass, field

WINDOW_SECONDS = 15 * 60
PER_NAME = 5
PER_ADDRESS = 30
MOST_KEYS = 10_000


@dataclass(slots=True)
class Attempts:
    """Failed attempts of the last quarter of an hour, by address, and by address and name."""

    _times: OrderedDict[tuple[str, str], deque[float]] = field(default_factory=OrderedDict)

    def wait_seconds(self, address: str, username: str, now: float) -> float:
        """Say how long to wait before the next attempt; 0 when it may be made. now: of a monotonic clock."""
        return max(
            self._wait((address, username.lower()), PER_NAME, now),
            self._wait((address, ""), PER_ADDRESS, now),
        )

    def _wait(self, key: tuple[str, str], most: int, now: float) -> float:
        times = self._times.get(key)
        if times is None:
            return 0.0
        while times and times[0] <= now - WINDOW_SECONDS:
            times.popleft()
        return times[-most] + WINDOW_SECONDS - now if len(times) >= most else 0.0

    def failed(self, address: str, username: str, now: float) -> None:
        """Count a wrong password. To be called before the password is checked, so that a burst counts in full."""
        for key in ((address, username.lower()), (address, "")):
            self._times.setdefault(key, deque(maxlen=PER_ADDRESS)).append(now)
            self._times.move_to_end(key)
        while len(self._times) > MOST_KEYS:
            self._times.popitem(last=False)

    def succeeded(self, address: str, username: str) -> None:
        """Forget the wrong passwords of someone who got in, and take back what this attempt counted."""
        self._times.pop((address, username.lower()), None)
        times = self._times.get((address, ""))
        if times:
            times.pop()
