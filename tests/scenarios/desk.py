"""An administrator's program: asks the interface, answers what waits for a person, reads what people read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

import httpx
from tests.engine import Engine

ROOT = "/api/v1"


@dataclass(slots=True)
class Desk:
    """A caller with every right in the organization of a world."""

    client: httpx.AsyncClient
    key: str
    world: Engine

    async def __call__(self, verb: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        """Send a request; header names with `_` for `-`."""
        sent = {"authorization": f"Bearer {self.key}", **{name.replace("_", "-"): value for name, value in headers.items()}}
        return await self.client.request(verb, path if path.startswith("/feeds/") else ROOT + path, json=body, headers=sent)

    async def get(self, path: str, language: str = "en") -> Any:
        """Read something that is there."""
        answer = await self("GET", path, accept_language=language)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def do(self, path: str, body: Any = None, verb: str = "POST") -> Any:
        """Do something that is allowed."""
        answer = await self(verb, path, body)
        assert answer.status_code in (200, 201, 202, 204), answer.text
        return answer.json() if answer.content else None

    async def problems(self, state: str = "open", language: str = "en") -> list[dict[str, Any]]:
        """List problems in a language."""
        found: list[dict[str, Any]] = (await self.get(f"/problems?state={state}", language))["items"]
        return found

    async def holds(self) -> list[dict[str, Any]]:
        """List what waits for a person."""
        found: list[dict[str, Any]] = (await self.get("/holds?state=open"))["items"]
        return found

    async def decide(self, verdict: str) -> None:
        """Approve or reject everything that waits."""
        for hold in await self.holds():
            await self.do(f"/holds/{hold['id']}/{verdict}")

    async def plan(self, link_id: UUID) -> dict[str, Any]:
        """Ask what a run would do, and let the worker work it out."""
        await self.do(f"/links/{link_id}/plan?wait=0")
        await self.world.sync(due=False)
        runs = (await self.get(f"/runs?link_id={link_id}"))["items"]
        planned = next(run for run in runs if run["kind"] == "plan")
        found: dict[str, Any] = await self.get(f"/runs/{planned['id']}/plan")
        return found
