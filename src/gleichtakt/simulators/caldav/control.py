"""The control interface of the CalDAV simulator: JSON under `/_sim/`, on the port of the server itself.

GET state, ledger, outbox, faults, habits, clock show; POST state and faults, PUT habits and clock, DELETE ledger,
outbox, faults and state change.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from gleichtakt.simulators.caldav.faults import Fault
from gleichtakt.simulators.caldav.state import Folder, Habits, Refused, Simulator
from gleichtakt.simulators.control import Body, Control, choose
from gleichtakt.simulators.faults import known


def _put(simulator: Simulator, folder: Folder, body: Body) -> Body:
    thing = simulator.put(folder, body["name"], body["text"], mails=False)
    return {"href": folder.path + thing.name, "etag": simulator.etag(thing)}


def _remove(simulator: Simulator, folder: Folder, body: Body) -> Body:
    simulator.remove(folder, body["name"], mails=False)
    return {}


def _spoil(simulator: Simulator, folder: Folder, body: Body) -> Body:
    folder.things[body["name"]].is_spoilt = bool(body.get("is_spoilt", True))
    folder.touch(body["name"])
    return {}


def _expire(simulator: Simulator, folder: Folder, body: Body) -> Body:
    simulator.expire(folder)
    return {}


def _calendar(simulator: Simulator, folder: Folder, body: Body) -> Body:
    folder.can_write = bool(body.get("can_write", folder.can_write))
    folder.title = str(body.get("title", folder.title))
    return {"path": folder.path}


#: `op` of a POST to state -> what it does to the calendar of `owner` named `calendar`.
OPERATIONS: Mapping[str, Callable[[Simulator, Folder, Body], Body]] = {
    "put": _put,
    "remove": _remove,
    "spoil": _spoil,
    "expire": _expire,
    "calendar": _calendar,
}


def state_of(simulator: Simulator) -> list[Body]:
    """Give every calendar with its objects, content included."""
    return [
        {
            "owner": folder.owner,
            "path": folder.path,
            "title": folder.title,
            "can_write": folder.can_write,
            "ctag": folder.ctag,
            "objects": [
                {"name": thing.name, "etag": simulator.etag(thing), "text": thing.text} for thing in folder.things.values()
            ],
        }
        for _, folder in sorted(simulator.folders.items())
    ]


def set_habits(habits: Habits, values: Mapping[str, Any]) -> Habits:
    """Change how the server behaves. Raises ValueError for a habit it does not have."""
    for name, value in values.items():
        known(name, {field.name for field in fields(Habits)}, "habit")
        setattr(habits, name, tuple(value) if isinstance(value, list) else value)
    return habits


def _change(simulator: Simulator, body: Body) -> Body:
    operation = choose(OPERATIONS, body)
    folder = simulator.add_calendar(body["owner"], body.get("calendar", "calendar"))
    result: Body = operation(simulator, folder, body)
    return result


def control_of(simulator: Simulator) -> Control:
    """Give the control interface of a simulator."""
    return Control(
        views={
            "state": lambda: state_of(simulator),
            "ledger": lambda: {"refused_logins": simulator.refused_logins, "entries": list(simulator.ledger)},
            "outbox": lambda: simulator.outbox,
            "faults": lambda: simulator.faults.rules,
            "habits": lambda: simulator.habits,
            "clock": simulator.clock.show,
        },
        changes={
            "state": lambda body: _change(simulator, body),
            "faults": lambda body: simulator.faults.add(Fault(**body)),
            "habits": lambda body: set_habits(simulator.habits, body),
            "clock": simulator.clock.set,
        },
        wipes={
            "ledger": simulator.ledger.clear,
            "outbox": simulator.outbox.clear,
            "faults": simulator.faults.clear,
            "state": simulator.folders.clear,
        },
        refusals=(Refused,),
    )
