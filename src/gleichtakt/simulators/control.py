"""What every simulator has under `/_sim/`: JSON that shows its inside, and puts faults, habits and clocks in force.

GET shows, POST or PUT changes, DELETE empties. A wrong instruction is answered with its reason: 404 for what is not
there, 422 for what makes no sense, 409 for what the simulated system itself refuses.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import msgspec
from aiohttp import web

Body = dict[str, Any]
MAX_BODY_BYTES = 200_000_000


@dataclass(frozen=True, slots=True)
class Control:
    """The control interface of one simulator: by name of the thing, what GET shows, POST changes and DELETE empties.

    refusals: what the simulated system raises when it does not do what is asked.
    """

    views: Mapping[str, Callable[[], Any]]
    changes: Mapping[str, Callable[[Body], Any]]
    wipes: Mapping[str, Callable[[], object]]
    refusals: tuple[type[Exception], ...] = ()

    def routes(self) -> list[web.RouteDef]:
        """Give the routes of the control interface."""
        return [
            web.get("/_sim/{what}", self._show),
            web.post("/_sim/{what}", self._change),
            web.put("/_sim/{what}", self._change),
            web.delete("/_sim/{what}", self._clear),
        ]

    async def _show(self, request: web.Request) -> web.Response:
        view = self.views.get(request.match_info["what"])
        return _json(view()) if view else _unknown(request, self.views)

    async def _change(self, request: web.Request) -> web.Response:
        change = self.changes.get(request.match_info["what"])
        if change is None:
            return _unknown(request, self.changes)
        try:
            return _json(change(msgspec.json.decode(await request.read(), type=Body)))
        except self.refusals as refused:
            return _json({"error": str(refused)}, 409)
        except KeyError as missing:
            return _json({"error": f"missing or unknown: {missing}"}, 404)
        except (ValueError, TypeError) as wrong:
            return _json({"error": str(wrong)}, 422)

    async def _clear(self, request: web.Request) -> web.Response:
        wipe = self.wipes.get(request.match_info["what"])
        if wipe is None:
            return _unknown(request, self.wipes)
        wipe()
        return _json({})


def _json(value: Any, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(value), content_type="application/json", status=status)


def _unknown(request: web.Request, known: Mapping[str, Any]) -> web.Response:
    return _json({"error": f"{request.method} knows {', '.join(sorted(known))}"}, 404)


def choose(operations: Mapping[str, Any], body: Body) -> Any:
    """Give the operation named by `op`. Raises ValueError that names those there are."""
    if body.get("op") not in operations:
        raise ValueError(f"op is one of {', '.join(operations)}")
    return operations[body["op"]]


@asynccontextmanager
async def serving(
    routes: list[web.RouteDef],
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    tls: ssl.SSLContext | None = None,
    cancels: bool = False,
) -> AsyncIterator[str]:
    """Serve routes in this event loop until the block ends; give `scheme://host:port`. Port 0: any free one.

    cancels: whoever hangs up ends what is being done for them.
    """
    application = web.Application(client_max_size=MAX_BODY_BYTES)
    application.add_routes(routes)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1, handler_cancellation=cancels)
    await runner.setup()
    site = web.TCPSite(runner, host, port, ssl_context=tls)
    try:
        await site.start()
        yield f"{'https' if tls else 'http'}://{host}:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
