"""The first page: whether everything is in step, what waits for a person, and every link with its condition."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from litestar import Response, get, post
from litestar.exceptions import PermissionDeniedException

from gleichtakt.store import audit, desk, instance
from gleichtakt.store.desk import Tally
from gleichtakt.web.admin.frame import database_of, go, number_of, show
from gleichtakt.web.i18n import terms
from gleichtakt.web.login.viewer import Asked, Onlooker

TONES = ("good", "busy", "plain", "warn", "bad")
GAP = 4.0
LATEST = 4  # runs with changes beside what waits

#: The filters over the list of links: which conditions each lets through.
FILTERS = {
    "all": (),
    "look": desk.NEEDS_A_LOOK,
    "busy": ("new", "listing", "throttled", "verify"),
    "resting": ("paused", "disconnected"),
}


@dataclass(frozen=True, slots=True)
class Part:
    """One stretch of the gauge: how many of the links stand so. In thousandths of its length."""

    tone: str
    x: float
    width: float


def parts(tally: Tally) -> list[Part]:
    """Divide the gauge among the tones, the good first; links that rest are left out. The least is still seen."""
    counts = Counter[str]()
    for name, number in tally.conditions.items():
        if name not in ("paused", "disconnected"):
            counts[terms.CONDITIONS[name].tone] += number
    shares = [(tone, max(12.0, 1000 * counts[tone] / tally.links)) for tone in TONES if counts[tone]]
    scale, x, divided = 1000 / (sum(width for _, width in shares) or 1), 0.0, []
    for tone, width in shares:
        end = x + width * scale
        divided.append(Part(tone, round(x, 1), round(end - x - (GAP if end < 999 else 0.0), 1)))
        x = end
    return divided


def shown(tally: Tally, only: str) -> int:
    """Count the links a filter lets through."""
    return sum(number for name, number in tally.conditions.items() if only == "all" or name in FILTERS[only])


@get(["/", "/links"], include_in_schema=False)
async def overview(request: Asked, viewer: Onlooker) -> Response[str]:
    """Show it."""
    only = request.query_params.get("show", "all")
    only = only if only in FILTERS else "all"
    search = request.query_params.get("q", "").strip()[:200]
    now = viewer.words.now
    async with database_of(request).read() as connection:
        tally = await desk.tally(connection, viewer.scope, now)
        links = await desk.links(
            connection, viewer.scope, now, conditions=FILTERS[only], search=search, number=number_of(request)
        )
        beats = await desk.beats(connection, [link.id for link in links.rows])
        return await show(
            request,
            viewer,
            connection,
            "overview.html",
            tally=tally,
            links=links,
            beats=beats,
            ways=await desk.directions(connection, [link.id for link in links.rows]),
            latest=await desk.runs(connection, viewer.scope, only="wrote", size=LATEST),
            only=only,
            search=search,
            parts=parts(tally),
            shown=shown,
        )


@post("/writing/allow", include_in_schema=False)
async def allow_writing(request: Asked, viewer: Onlooker) -> Response[str]:
    """Let a restored or copied installation write again. It concerns all organizations, so only who sees them all may."""
    if not viewer.may_allow_writing:
        raise PermissionDeniedException("role")
    async with database_of(request).begin() as connection:
        await instance.confirm(connection)
        await audit.record(connection, organization_id=None, actor=viewer.actor, action="instance.confirm", of="instance")
    return go(request, "/", "writing")
