"""The control interface of the memory simulator: HTTP and JSON under `/_sim/`.

GET state, ledger, outbox, faults, clock show; POST state and faults, PUT clock, DELETE ledger, outbox and faults change.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from aiohttp import web

from gleichtakt.simulators.memory.faults import Fault
from gleichtakt.simulators.memory.state import Failure, Folder, Simulator
from gleichtakt.simulators.memory.variants import VARIANTS, Refused

Body = dict[str, Any]


def _put(simulator: Simulator, folder: Folder, body: Body) -> Any:
    made = simulator.put(folder, body["document"], href=body.get("href", ""), marker=body.get("marker", ""))
    made.facts.update(body.get("facts", {}))
    return {"href": made.href, "etag": made.etag}


def _edit(simulator: Simulator, folder: Folder, body: Body) -> Any:
    changed = simulator.edit(folder, body["href"], body.get("changes", {}))
    changed.facts.update(body.get("facts", {}))
    return {"href": changed.href, "etag": changed.etag}


def _remove(simulator: Simulator, folder: Folder, body: Body) -> Any:
    simulator.remove(folder, body["href"])
    return {}


def _clone(simulator: Simulator, folder: Folder, body: Body) -> Any:
    return {"href": simulator.clone(folder, body["href"]).href}


def _spoil(simulator: Simulator, folder: Folder, body: Body) -> Any:
    return {"href": simulator.spoil(folder, body["href"], is_spoilt=bool(body.get("is_spoilt", True))).href}


def _expire(simulator: Simulator, folder: Folder, body: Body) -> Any:
    simulator.expire_cursors(folder)
    return {}


def _calendar(simulator: Simulator, folder: Folder, body: Body) -> Any:
    if "variant" in body:
        folder.variant = VARIANTS[body["variant"]]
    folder.can_write = bool(body.get("can_write", folder.can_write))
    folder.title = str(body.get("title", folder.title))
    return {"name": folder.name, "variant": folder.variant.name}


#: `op` of a POST to state -> what it does to the calendar named by `mailbox` and `calendar`.
OPERATIONS: Mapping[str, Callable[[Simulator, Folder, Body], Any]] = {
    "put": _put,
    "edit": _edit,
    "remove": _remove,
    "clone": _clone,
    "spoil": _spoil,
    "expire_cursors": _expire,
    "calendar": _calendar,
}


def state_of(simulator: Simulator) -> list[Body]:
    """Give every calendar with its objects, content included."""
    return [
        {
            "mailbox": mailbox,
            "calendar": folder.name,
            "variant": folder.variant.name,
            "can_write": folder.can_write,
            "objects": [thing.frame() for thing in folder.things.values()],
        }
        for (mailbox, _), folder in sorted(simulator.folders.items())
    ]


def _json(value: Any, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(value), content_type="application/json", status=status)


class Control:
    """The handlers, bound to one simulator."""

    def __init__(self, simulator: Simulator) -> None:
        """Serve this simulator."""
        self.simulator = simulator

    async def show(self, request: web.Request) -> web.Response:
        """Show one of the five."""
        simulator = self.simulator
        views: Mapping[str, Callable[[], Any]] = {
            "state": lambda: state_of(simulator),
            "ledger": lambda: {
                "calls": dict(simulator.calls),
                "refused_logins": simulator.refused_logins,
                "overlaps": simulator.overlaps,
                "entries": list(simulator.ledger),
            },
            "outbox": lambda: simulator.outbox,
            "faults": lambda: simulator.faults.rules,
            "clock": lambda: {"now": simulator.now().isoformat(), "frozen": simulator.frozen_at is not None},
        }
        view = views.get(request.match_info["what"])
        return _json(view()) if view else _json({"error": "not found"}, 404)

    async def change_state(self, request: web.Request) -> web.Response:
        """Do what someone else would do in a calendar."""
        body = msgspec.json.decode(await request.read(), type=Body)
        operation = OPERATIONS.get(body.get("op", ""))
        if operation is None:
            return _json({"error": f"op is one of {', '.join(OPERATIONS)}"}, 422)
        folder = self.simulator.folder(body["mailbox"], body.get("calendar", ""), body.get("variant", "exact"))
        return _json(operation(self.simulator, folder, body))

    async def add_fault(self, request: web.Request) -> web.Response:
        """Put a fault in force."""
        fault = msgspec.json.decode(await request.read(), type=Fault)
        return _json({"id": self.simulator.faults.add(fault).id}, 201)

    async def set_clock(self, request: web.Request) -> web.Response:
        """Set the clock: `now` with `frozen`, or `offset_seconds`."""
        body = msgspec.json.decode(await request.read(), type=Body)
        simulator = self.simulator
        simulator.frozen_at = None
        if "now" in body:
            wanted = datetime.fromisoformat(body["now"])
            simulator.clock_offset = wanted - datetime.now(UTC)
            simulator.frozen_at = wanted if body.get("frozen") else None
        else:
            simulator.clock_offset = timedelta(seconds=float(body.get("offset_seconds", 0)))
        return _json({"now": simulator.now().isoformat()})

    async def clear(self, request: web.Request) -> web.Response:
        """Empty the ledger, the outbox or the faults."""
        simulator = self.simulator
        wipes: Mapping[str, Callable[[], None]] = {
            "ledger": simulator.forget_calls,
            "outbox": simulator.outbox.clear,
            "faults": simulator.faults.clear,
            "state": simulator.folders.clear,
        }
        wipe = wipes.get(request.match_info["what"])
        if wipe is None:
            return _json({"error": "not found"}, 404)
        wipe()
        return _json({})


@web.middleware
async def _explain(request: web.Request, handler: Callable[[web.Request], Any]) -> web.StreamResponse:
    """Answer a wrong instruction with its reason instead of a page of traceback."""
    try:
        answered: web.StreamResponse = await handler(request)
    except (ValueError, TypeError) as wrong:
        return _json({"error": str(wrong)}, 422)
    except KeyError as missing:
        return _json({"error": f"missing or unknown: {missing}"}, 404)
    except (Failure, Refused) as refused:
        return _json({"error": str(refused)}, 409)
    return answered


@asynccontextmanager
async def serve_control(simulator: Simulator, host: str, port: int) -> AsyncIterator[str]:
    """Serve the control interface until the block ends; give its address."""
    control = Control(simulator)
    application = web.Application(middlewares=[_explain], client_max_size=100_000_000)
    application.add_routes(
        [
            web.get("/_sim/{what}", control.show),
            web.post("/_sim/state", control.change_state),
            web.post("/_sim/faults", control.add_fault),
            web.put("/_sim/clock", control.set_clock),
            web.delete("/_sim/{what}", control.clear),
        ]
    )
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, host, port)
    try:
        await site.start()
        yield f"http://{host}:{runner.addresses[0][1]}/_sim/"
    finally:
        await runner.cleanup()
