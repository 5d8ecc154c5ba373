"""The control interface of the memory simulator: HTTP and JSON under `/_sim/`.

GET state, ledger, outbox, faults, clock, subscriptions show; POST state and faults, PUT clock, DELETE ledger, outbox and
faults change.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from gleichtakt.simulators.control import Body, Control, choose
from gleichtakt.simulators.memory.faults import Fault
from gleichtakt.simulators.memory.state import Failure, Folder, Simulator
from gleichtakt.simulators.memory.variants import VARIANTS, Refused


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


def _tell(simulator: Simulator, folder: Folder, body: Body) -> Any:
    """Say a word of one's own making to everybody who subscribed to a calendar."""
    told = list(simulator.subscriptions.by_place.get((folder.mailbox, folder.name), {}).values())
    for subscription in told:
        simulator.subscriptions.say(subscription, str(body.get("word", "changed")))
    return {"told": len(told)}


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
    "tell": _tell,
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


def _change(simulator: Simulator, body: Body) -> Any:
    operation = choose(OPERATIONS, body)
    return operation(simulator, simulator.folder(body["mailbox"], body.get("calendar", ""), body.get("variant", "exact")), body)


def control_of(simulator: Simulator) -> Control:
    """Give the control interface of a simulator."""
    return Control(
        views={
            "state": lambda: state_of(simulator),
            "ledger": lambda: {
                "calls": dict(simulator.calls),
                "refused_logins": simulator.refused_logins,
                "overlaps": simulator.overlaps,
                "entries": list(simulator.ledger),
            },
            "outbox": lambda: simulator.outbox,
            "faults": lambda: simulator.faults.rules,
            "clock": simulator.clock.show,
            "subscriptions": lambda: {
                "living": [
                    {"id": found.id, "mailbox": found.place[0], "calendar": found.place[1], "url": bool(found.url)}
                    for found in simulator.subscriptions.living.values()
                ],
                "told": simulator.subscriptions.told,
                "untold": simulator.subscriptions.untold,
            },
        },
        changes={
            "state": lambda body: _change(simulator, body),
            "faults": lambda body: simulator.faults.add(msgspec.convert(body, Fault)),
            "clock": simulator.clock.set,
        },
        wipes={
            "ledger": simulator.forget_calls,
            "outbox": simulator.outbox.clear,
            "faults": simulator.faults.clear,
            "state": simulator.folders.clear,
        },
        refusals=(Failure, Refused),
    )
