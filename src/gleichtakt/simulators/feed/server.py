"""The simulated publisher on the network: `/feeds/<name>.ics`, and its control interface under `/_sim/`."""

from __future__ import annotations

import asyncio
import base64
import gzip
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any

from aiohttp import web

from gleichtakt.simulators.control import Control, serving
from gleichtakt.simulators.feed.state import Fault, Feed, Item, Simulator, etag_of


class Server:
    """The handlers, bound to one publisher."""

    def __init__(self, simulator: Simulator) -> None:
        """Serve this publisher."""
        self.simulator = simulator

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one download."""
        simulator, name = self.simulator, request.match_info["name"]
        entry: dict[str, Any] = {
            "at": simulator.clock.now().isoformat(),
            "path": request.path,
            "conditional": "If-None-Match" in request.headers or "If-Modified-Since" in request.headers,
            "status": 0,
        }
        simulator.ledger.append(entry)
        answer = await self._answer(request, name)
        entry["status"] = answer.status
        return answer

    async def _answer(self, request: web.Request, name: str) -> web.StreamResponse:
        simulator = self.simulator
        if simulator.accounts and not self._is_signed_in(request):
            return web.Response(status=401, headers={"WWW-Authenticate": 'Basic realm="feeds"'})
        fault = next(iter(simulator.faults.take(request.path)), None)
        if fault is not None and fault.do == "delay":
            await asyncio.sleep(fault.seconds)
        if fault is not None and fault.do == "status":
            return web.Response(status=fault.status, headers=fault.headers, text=fault.body, content_type="text/html")
        if fault is not None and fault.do == "lost":
            if request.transport is not None:
                request.transport.abort()
            return web.Response(status=500)
        feed = simulator.feeds.get(name)
        if feed is None:
            return web.Response(status=404)
        body = feed.write(simulator.clock.now())
        headers = self._versions(feed, body)
        if self._is_unchanged(request, feed, headers):
            return web.Response(status=304, headers=headers)
        if feed.packed:
            body = gzip.compress(body, 9)
            if feed.says_packed:
                headers["Content-Encoding"] = "gzip"
        if fault is not None and fault.do == "cut":
            return await _cut(request, body, headers, fault)
        return web.Response(body=body, headers={**headers, "Content-Type": "text/calendar"})

    def _is_signed_in(self, request: web.Request) -> bool:
        coded = request.headers.get("Authorization", "").partition(" ")[2]
        user, _, password = base64.b64decode(coded + "==").decode("utf-8", "replace").partition(":")
        return user in self.simulator.accounts and self.simulator.accounts[user] == password

    def _versions(self, feed: Feed, body: bytes) -> dict[str, str]:
        headers = {"ETag": etag_of(body)} if feed.etags else {}
        if feed.dates:
            headers["Last-Modified"] = format_datetime(feed.changed_at.astimezone(UTC), usegmt=True)
        return headers

    def _is_unchanged(self, request: web.Request, feed: Feed, headers: Mapping[str, str]) -> bool:
        if feed.etags and (wanted := request.headers.get("If-None-Match")):
            return wanted == headers["ETag"]
        since = request.headers.get("If-Modified-Since")
        return bool(feed.dates and since) and parsedate_to_datetime(since or "") >= feed.changed_at.replace(microsecond=0)


async def _cut(request: web.Request, body: bytes, headers: Mapping[str, str], fault: Fault) -> web.StreamResponse:
    response = web.StreamResponse(headers={**headers, "Content-Type": "text/calendar"})
    if fault.tells_length:
        response.content_length = len(body)
    else:
        response.force_close()
        response.headers["Connection"] = "close"
    await response.prepare(request)
    await response.write(body[: int(len(body) * fault.at)])
    if fault.tells_length and request.transport is not None:
        request.transport.close()
    return response


# --- control ------------------------------------------------------------------------------------------------------


def _item(found: Mapping[str, Any]) -> Item:
    ends = datetime.fromisoformat(found["ends"]) if found.get("ends") else None
    return Item(found["uid"], tuple(found["lines"]), ends)


def change_feed(simulator: Simulator, body: dict[str, Any]) -> dict[str, Any]:
    """Make or change a feed as the control interface is told to. body: `name` and fields of `Feed`."""
    feed = simulator.feed(body["name"])
    for name, value in body.items():
        if name == "items":
            feed.items = [_item(found) for found in value]
        elif name == "rolls_after_days":
            feed.rolls_after = timedelta(days=value)
        elif name in {"fresh_uids", "etags", "dates", "packed", "says_packed", "bomb"}:
            setattr(feed, name, value)
        elif name == "raw":
            feed.raw = value.encode() if value is not None else None
        elif name == "head":
            feed.head = tuple(value)
    feed.changed_at = simulator.clock.now()
    return {"name": feed.name, "items": len(feed.items)}


def control_of(simulator: Simulator) -> Control:
    """Give the control interface of a publisher."""
    return Control(
        views={
            "state": lambda: {name: [item.uid for item in feed.items] for name, feed in simulator.feeds.items()},
            "ledger": lambda: list(simulator.ledger),
            "outbox": list,
            "faults": lambda: simulator.faults.rules,
            "clock": simulator.clock.show,
        },
        changes={
            "state": lambda body: change_feed(simulator, body),
            "faults": lambda body: simulator.faults.add(Fault(**body)),
            "clock": simulator.clock.set,
        },
        wipes={"ledger": simulator.ledger.clear, "faults": simulator.faults.clear, "state": simulator.feeds.clear},
    )


@dataclass(frozen=True, slots=True)
class Running:
    """A publisher that answers. url: of its feeds; control: address of its control interface."""

    simulator: Simulator
    url: str
    control: str

    def address(self, name: str) -> str:
        """Give the address of a feed."""
        return f"{self.url}feeds/{name}.ics"


@asynccontextmanager
async def start(
    simulator: Simulator | None = None, *, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Running]:
    """Run a publisher in this event loop until the block ends. Port 0: any free one."""
    held = simulator or Simulator()
    routes = [*control_of(held).routes(), web.get("/feeds/{name}.ics", Server(held).handle)]
    async with serving(routes, host=host, port=port, tls=tls) as url:
        yield Running(held, f"{url}/", f"{url}/_sim/")
