"""A calendar system of our own making, in a process of its own: many mailboxes, three ways of storing, every fault.

Started with ``python -m gleichtakt.simulators.memory --json``; tests start it inside their own loop with `start`.
"""

from gleichtakt.simulators.memory.faults import Fault
from gleichtakt.simulators.memory.server import Running, start
from gleichtakt.simulators.memory.state import Simulator, Thing

__all__ = ["Fault", "Running", "Simulator", "Thing", "start"]
