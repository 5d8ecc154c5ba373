"""A simulated Exchange Server: EWS and Autodiscover over HTTP, from 2007 SP1 to Subscription Edition, with faults on demand.

Started with ``gleichtakt simulate ews``; tests start it inside their own loop with `start`. It sends no mail; it lists
what would have gone out.
"""

from gleichtakt.simulators.exchange.faults import Fault
from gleichtakt.simulators.exchange.organization import Exchange, Habits
from gleichtakt.simulators.exchange.server import Running, start
from gleichtakt.simulators.exchange.state import Simulator

__all__ = ["Exchange", "Fault", "Habits", "Running", "Simulator", "start"]
