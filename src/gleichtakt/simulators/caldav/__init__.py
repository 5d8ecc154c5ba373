"""A CalDAV server of our own making: what real servers cannot be made to do, on demand. It sends no mail; it lists them.

Started with ``python -m gleichtakt.simulators.caldav --json``; tests start it inside their own loop with `start`.
"""

from gleichtakt.simulators.caldav.faults import Fault
from gleichtakt.simulators.caldav.server import Running, start
from gleichtakt.simulators.caldav.state import Habits, Simulator, Thing

__all__ = ["Fault", "Habits", "Running", "Simulator", "Thing", "start"]
