"""The control interface of the simulated Exchange: JSON under `/_sim/`, on the port of the server itself.

GET state, ledger, outbox, faults, habits, clock, accounts, throttle, subscriptions, absences show; POST state, faults,
accounts, throttle, streams, PUT habits and clock, DELETE ledger, outbox and faults change.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from lxml import etree

from gleichtakt.simulators.control import Body, Control, choose
from gleichtakt.simulators.exchange import items
from gleichtakt.simulators.exchange.faults import Fault
from gleichtakt.simulators.exchange.ids import folder_id, item_id, read_id
from gleichtakt.simulators.exchange.operations import Refused
from gleichtakt.simulators.exchange.organization import Exchange
from gleichtakt.simulators.exchange.state import Folder, Item, Mailbox


def _mailbox(exchange: Exchange, body: Body) -> Body:
    """Make a mailbox, or change one: name, zone, kind, accepts, is_enabled."""
    address = body["mailbox"]
    held = exchange.simulator.mailboxes.get(address.lower()) or exchange.simulator.add_mailbox(address)
    for name in ("name", "zone", "kind", "accepts", "is_enabled"):
        setattr(held, name, body.get(name, getattr(held, name)))
    return {"mailbox": held.address}


def _held(exchange: Exchange, body: Body) -> Mailbox:
    return exchange.simulator.mailboxes[body["mailbox"].lower()]


def _folder_of(exchange: Exchange, body: Body) -> Folder:
    """Give the folder named by `folder`: a distinguished name, or the name it shows. Without, the calendar."""
    wanted = body.get("folder", "calendar")
    return next(one for one in _held(exchange, body).folders.values() if wanted in (one.distinguished, one.name))


def _folder(exchange: Exchange, body: Body) -> Body:
    """Make a calendar beside the one everyone has."""
    return {"id": folder_id(_held(exchange, body).add_folder(body["name"]))}


def _permission(exchange: Exchange, body: Body) -> Body:
    """Let somebody into a folder."""
    _folder_of(exchange, body).permissions[body["who"]] = body["level"]
    return {}


def _put(exchange: Exchange, body: Body) -> Body:
    """Let the owner make a calendar item."""
    return {"id": exchange.put(body["mailbox"], body["item"], body.get("folder", "calendar"))}


def _call(exchange: Exchange, body: Body) -> Body:
    """Let the owner carry out any operation."""
    return {"xml": etree.tostring(exchange.carry_out(body["mailbox"], body["xml"]), encoding="unicode")}


def _expire(exchange: Exchange, body: Body) -> Body:
    """Refuse the sync states of a folder handed out so far."""
    _folder_of(exchange, body).expire_sync_states()
    return {}


def _spoil(exchange: Exchange, body: Body) -> Body:
    """Make the server stumble over an item."""
    item = _held(exchange, body).folders[read_id(body["id"]).folder].items[read_id(body["id"]).item]
    items.spoil(exchange.simulator, item, is_spoilt=bool(body.get("is_spoilt", True)))
    return {}


def _move(exchange: Exchange, body: Body) -> Body:
    """Move a mailbox to another database."""
    exchange.move(body["mailbox"], refusals=int(body.get("refusals", 0)))
    return {}


def _room_list(exchange: Exchange, body: Body) -> Body:
    """Make a list of rooms."""
    return asdict(exchange.directory.add_room_list(body["address"], body["name"], *body.get("rooms", ())))


def _absence(exchange: Exchange, body: Body) -> Body:
    """Change what a mailbox answers by itself: state, audience, internal, external, allowed."""
    held = exchange.availability.absence(_held(exchange, body).address)
    for name in ("state", "audience", "internal", "external", "allowed"):
        setattr(held, name, body.get(name, getattr(held, name)))
    return {}


def _redirect(exchange: Exchange, body: Body) -> Body:
    """Let Autodiscover send a client to another `address` or `url`; nowhere else without either."""
    kind = next((kind for kind in ("address", "url") if kind in body), "")
    if kind:
        exchange.redirects[body["mailbox"].lower()] = (kind, body[kind])
    else:
        exchange.redirects.pop(body["mailbox"].lower(), None)
    return {}


#: `op` of a POST to state -> what it does.
OPERATIONS: Mapping[str, Callable[[Exchange, Body], Body]] = {
    "mailbox": _mailbox,
    "folder": _folder,
    "permission": _permission,
    "put": _put,
    "call": _call,
    "expire": _expire,
    "spoil": _spoil,
    "move": _move,
    "room_list": _room_list,
    "absence": _absence,
    "redirect": _redirect,
}


def _lose(exchange: Exchange, body: Body) -> Body:
    return {"lost": exchange.notifications.lose(body.get("mailbox", ""))}


def _close(exchange: Exchange, body: Body) -> Body:
    return {"closed": exchange.notifications.interrupt(cut=False)}


def _cut(exchange: Exchange, body: Body) -> Body:
    return {"cut": exchange.notifications.interrupt(cut=True)}


#: `op` of a POST to streams -> what it does: forget subscriptions, end open streams politely, or break them off.
STREAMS: Mapping[str, Callable[[Exchange, Body], Body]] = {"lose": _lose, "close": _close, "cut": _cut}


def _change(operations: Mapping[str, Callable[[Exchange, Body], Body]], exchange: Exchange, body: Body) -> Body:
    result: Body = choose(operations, body)(exchange, body)
    return result


def _account(exchange: Exchange, body: Body) -> Body:
    made = exchange.add_account(
        body["username"], body["password"], body.get("mailbox", ""), impersonates=tuple(body.get("impersonates", ()))
    )
    return {"username": made.username}


def _throttle(exchange: Exchange, body: Body) -> Any:
    """Change the limits, or make one `owner` wait for `seconds`."""
    if "owner" in body:
        exchange.throttle.pause(body["owner"], float(body["seconds"]))
        return exchange.throttle.budget(body["owner"])
    return exchange.throttle.set(body)


# --- showing -----------------------------------------------------------------------------------------------------


def _item_of(item: Item) -> Body:
    return {
        "id": item_id(item),
        "kind": item.kind,
        "uid": item.values.get("UID", ""),
        "subject": item.values.get("Subject", ""),
        "start": item.values.get("Start"),
        "end": item.values.get("End"),
        "is_series": item.values.get("Recurrence") is not None,
        "changed": sorted(day.isoformat() for day in item.overrides),
        "deleted": sorted(day.isoformat() for day in item.deleted),
    }


def state_of(exchange: Exchange) -> list[Body]:
    """Give every mailbox with its folders that hold something, and its calendars."""
    return [
        {
            "mailbox": mailbox.address,
            "name": mailbox.name,
            "kind": mailbox.kind,
            "is_enabled": mailbox.is_enabled,
            "backend": exchange.backend_of(mailbox.address),
            "folders": [
                {
                    "id": folder_id(folder),
                    "name": folder.name,
                    "permissions": folder.permissions,
                    "items": [_item_of(item) for item in folder.items.values()],
                }
                for folder in mailbox.folders.values()
                if folder.items or folder.kind == "CalendarFolder"
            ],
        }
        for mailbox in exchange.simulator.mailboxes.values()
    ]


def _subscriptions(exchange: Exchange) -> list[Body]:
    return [
        {
            "id": one.id,
            "account": one.account,
            "mailbox": one.mailbox,
            "way": one.way,
            "backend": one.backend,
            "pending": len(one.pending),
            "is_heard": one.listener is not None,
        }
        for one in exchange.notifications.held.values()
    ]


def control_of(exchange: Exchange) -> Control:
    """Give the control interface of a simulated Exchange."""
    return Control(
        views={
            "state": lambda: state_of(exchange),
            "ledger": lambda: {
                "refused_logins": exchange.door.refused,
                "handshakes": exchange.door.handshakes,
                "entries": list(exchange.ledger),
            },
            "outbox": lambda: exchange.simulator.outbox,
            "faults": lambda: exchange.faults.rules,
            "habits": lambda: exchange.habits,
            "clock": exchange.simulator.clock.show,
            "accounts": lambda: [asdict(account) for account in exchange.accounts.values()],
            "throttle": lambda: {"policy": exchange.throttle.policy, "budgets": exchange.throttle.budgets},
            "subscriptions": lambda: _subscriptions(exchange),
            "absences": lambda: exchange.availability.absences,
        },
        changes={
            "state": lambda body: _change(OPERATIONS, exchange, body),
            "streams": lambda body: _change(STREAMS, exchange, body),
            "faults": lambda body: exchange.faults.add(Fault(**body)),
            "habits": exchange.behave,
            "clock": exchange.simulator.clock.set,
            "accounts": lambda body: _account(exchange, body),
            "throttle": lambda body: _throttle(exchange, body),
        },
        wipes={
            "ledger": exchange.ledger.clear,
            "outbox": exchange.simulator.outbox.clear,
            "faults": exchange.faults.clear,
        },
        refusals=(Refused,),
    )
