"""The simulated publisher on the network: `/feeds/<name>.ics`, and its control interface under `/_sim/`."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any

from aiohttp import web

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
            "at": simulator.now().isoformat(),
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
        fault = simulator.take(request.path)
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
        body = feed.write(simulator.now())
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


def _change_feed(simulator: Simulator, body: dict[str, Any]) -> dict[str, Any]:
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
    feed.changed_at = simulator.now()
    return {"name": feed.name, "items": len(feed.items)}


class Control:
    """The control interface, bound to one publisher."""

    def __init__(self, simulator: Simulator) -> None:
        """Control this publisher."""
        self.simulator = simulator

    async def show(self, request: web.Request) -> web.Response:
        """Show one of the four."""
        simulator = self.simulator
        views: Mapping[str, Callable[[], Any]] = {
            "state": lambda: {name: [item.uid for item in feed.items] for name, feed in simulator.feeds.items()},
            "ledger": lambda: list(simulator.ledger),
            "outbox": list,
            "faults": lambda: [asdict(rule) for rule in simulator.faults],
            "clock": lambda: {"now": simulator.now().isoformat()},
        }
        view = views.get(request.match_info["what"])
        return web.json_response(view()) if view else web.json_response({"error": "not found"}, status=404)

    async def change(self, request: web.Request) -> web.Response:
        """Change a feed, put a fault in force, set the clock."""
        simulator, what = self.simulator, request.match_info["what"]
        try:
            body = json.loads(await request.read())
            if what == "state":
                return web.json_response(_change_feed(simulator, body))
            if what == "faults":
                simulator.add(Fault(**body))
                return web.json_response({}, status=201)
            if what == "clock":
                simulator.clock_offset = timedelta(seconds=float(body["offset_seconds"]))
                return web.json_response({"now": simulator.now().isoformat()})
        except (KeyError, ValueError, TypeError) as wrong:
            return web.json_response({"error": str(wrong)}, status=422)
        return web.json_response({"error": "not found"}, status=404)

    async def clear(self, request: web.Request) -> web.Response:
        """Empty the ledger, the faults or everything."""
        simulator = self.simulator
        wipes: Mapping[str, Callable[[], None]] = {
            "ledger": simulator.ledger.clear,
            "faults": simulator.faults.clear,
            "state": simulator.feeds.clear,
        }
        wipe = wipes.get(request.match_info["what"])
        if wipe is None:
            return web.json_response({"error": "not found"}, status=404)
        wipe()
        return web.json_response({})


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
    server, control = Server(held), Control(held)
    application = web.Application(client_max_size=200_000_000)
    application.add_routes(
        [
            web.get("/_sim/{what}", control.show),
            web.post("/_sim/{what}", control.change),
            web.put("/_sim/{what}", control.change),
            web.delete("/_sim/{what}", control.clear),
            web.get("/feeds/{name}.ics", server.handle),
        ]
    )
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, host, port, ssl_context=tls)
    try:
        await site.start()
        url = f"{'https' if tls else 'http'}://{host}:{runner.addresses[0][1]}/"
        yield Running(held, url, url + "_sim/")
    finally:
        await runner.cleanup()
