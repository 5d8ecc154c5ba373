"""The pages for those who run the server. `route_handlers` is what the application mounts, at its root.

`app.state.services` must carry `database` and `settings`; static files come along under `/static`.
"""

from __future__ import annotations

from litestar import Router
from litestar.datastructures import CacheControlHeader
from litestar.di import Provide
from litestar.static_files import create_static_files_router

from gleichtakt.web.admin import conflicts, connections, holds, links, live, overview, problems, resources, runs
from gleichtakt.web.login.viewer import ANSWERS, from_our_own_form, may_change, signed_in_only, viewer_of
from gleichtakt.web.templates import STATIC

_desk = Router(
    "/",
    route_handlers=[
        overview.overview,
        overview.allow_writing,
        live.live,
        links.link_page,
        links.plan_page,
        links.sync_now,
        links.plan_now,
        links.pause,
        links.resume,
        runs.runs_page,
        runs.run_page,
        runs.undo,
        problems.problems_page,
        problems.retry,
        problems.ignore,
        holds.holds_page,
        holds.hold_page,
        holds.approve,
        holds.reject,
        conflicts.conflicts_page,
        conflicts.conflict_page,
        conflicts.resolve,
        resources.resources_page,
        resources.resource_page,
        connections.connections_page,
        connections.connection_page,
        connections.examine,
    ],
    guards=[signed_in_only, from_our_own_form, may_change],
    dependencies={"viewer": Provide(viewer_of)},
    exception_handlers=ANSWERS,
    include_in_schema=False,
)

_static = create_static_files_router(
    "/static",
    directories=[STATIC],
    include_in_schema=False,
    cache_control=CacheControlHeader(public=True, max_age=31_536_000, immutable=True),
)

route_handlers = [_desk, _static]
