"""A publisher of calendar feeds that does what publishers do: new UIDs at each download, a rolling window, broken files.

Started with ``python -m gleichtakt.simulators.feed --json``; tests start it inside their own loop with `start`.
"""

from gleichtakt.simulators.feed.server import Running, start
from gleichtakt.simulators.feed.state import Fault, Feed, Item, Simulator

__all__ = ["Fault", "Feed", "Item", "Running", "Simulator", "start"]
