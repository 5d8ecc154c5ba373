"""`simulate`: a calendar system beside the server, with a control interface under `/_sim/`."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Final

from gleichtakt.commands.telling import DONE

#: System -> the module whose `run` serves it until SIGINT or SIGTERM and prints its addresses first.
SYSTEMS: Final[Mapping[str, str]] = {
    "caldav": "gleichtakt.simulators.caldav.__main__",
    "ews": "gleichtakt.simulators.exchange.__main__",
    "feed": "gleichtakt.simulators.feed.__main__",
    "memory": "gleichtakt.simulators.memory.__main__",
}


async def simulate(system: str, *, port: int, seed: Path | None, as_json: bool) -> int:
    """Run a simulator until it is told to stop."""
    await import_module(SYSTEMS[system]).run(host="127.0.0.1", port=port, seed=seed, as_json=as_json)
    return DONE
