"""The control interface of the CalDAV simulator: JSON under `/_sim/`, on the port of the server itself.

GET state, ledger, outbox, faults, habits, clock show; POST state and faults, PUT habits and clock, DELETE ledger,
outbox, faults and state change.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from datetime import timedelta
from typing import Any

from aiohttp import web

from gleichtakt.simulators.caldav.faults import Fault
from gleichtakt.simulators.caldav.state import Folder, Habits, Refused, Simulator

Body = dict[str, Any]


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


def set_habits(habits: Habits, values: Mapping[str, Any]) -> None:
    """Change how the server behaves. Raises ValueError for a habit it does not have."""
    known = {field.name for field in fields(Habits)}
    for name, value in values.items():
        if name not in known:
            raise ValueError(f"unknown habit {name!r}; known are {', '.join(sorted(known))}")
        setattr(habits, name, tuple(value) if isinstance(value, list) else value)


class Control:
    """The handlers, bound to one simulator."""

    def __init__(self, simulator: Simulator) -> None:
        """Control this simulator."""
        self.simulator = simulator

    async def show(self, request: web.Request) -> web.Response:
        """Show one of the six."""
        simulator = self.simulator
        views: Mapping[str, Callable[[], Any]] = {
            "state": lambda: state_of(simulator),
            "ledger": lambda: {"refused_logins": simulator.refused_logins, "entries": list(simulator.ledger)},
            "outbox": lambda: simulator.outbox,
            "faults": lambda: [asdict(rule) for rule in simulator.faults.rules],
            "habits": lambda: asdict(simulator.habits),
            "clock": lambda: {"now": simulator.now().isoformat()},
        }
        view = views.get(request.match_info["what"])
        return web.json_response(view()) if view else web.json_response({"error": "not found"}, status=404)

    async def change(self, request: web.Request) -> web.Response:
        """Do what someone else would do, or put a fault, a habit or a clock in force."""
        simulator, what = self.simulator, request.match_info["what"]
        try:
            body: Body = json.loads(await request.read())
            if what == "state":
                folder = simulator.add_calendar(body["owner"], body.get("calendar", "calendar"))
                return web.json_response(OPERATIONS[body["op"]](simulator, folder, body))
            if what == "faults":
                return web.json_response({"id": simulator.faults.add(Fault(**body)).id}, status=201)
            if what == "habits":
                set_habits(simulator.habits, body)
                return web.json_response(asdict(simulator.habits))
            if what == "clock":
                simulator.clock_offset = timedelta(seconds=float(body["offset_seconds"]))
                return web.json_response({"now": simulator.now().isoformat()})
        except KeyError as missing:
            return web.json_response({"error": f"missing or unknown: {missing}"}, status=404)
        except (ValueError, TypeError, Refused) as wrong:
            return web.json_response({"error": str(wrong)}, status=422)
        return web.json_response({"error": "not found"}, status=404)

    async def clear(self, request: web.Request) -> web.Response:
        """Empty the ledger, the outbox, the faults or everything."""
        simulator = self.simulator
        wipes: Mapping[str, Callable[[], None]] = {
            "ledger": simulator.ledger.clear,
            "outbox": simulator.outbox.clear,
            "faults": simulator.faults.clear,
            "state": simulator.folders.clear,
        }
        wipe = wipes.get(request.match_info["what"])
        if wipe is None:
            return web.json_response({"error": "not found"}, status=404)
        wipe()
        return web.json_response({})


def control_routes(simulator: Simulator) -> list[web.RouteDef]:
    """Give the routes of the control interface."""
    control = Control(simulator)
    return [
        web.get("/_sim/{what}", control.show),
        web.post("/_sim/{what}", control.change),
        web.put("/_sim/{what}", control.change),
        web.delete("/_sim/{what}", control.clear),
    ]
