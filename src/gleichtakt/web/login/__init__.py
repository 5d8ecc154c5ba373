"""Local sign-in. `route_handlers` is what the application mounts; see `viewer` for what it needs of `app.state`."""

from __future__ import annotations

from litestar import Router
from litestar.di import Provide

from gleichtakt.web.login import pages
from gleichtakt.web.login.viewer import ANSWERS, from_our_own_form, from_this_site, signed_in_only, viewer_of

route_handlers = [
    Router(
        "/",
        route_handlers=pages.DOOR,
        guards=[from_this_site],
        dependencies={"viewer": Provide(viewer_of)},
        exception_handlers=ANSWERS,
        include_in_schema=False,
    ),
    Router(
        "/",
        route_handlers=pages.OPEN,
        guards=[from_our_own_form],
        dependencies={"viewer": Provide(viewer_of)},
        exception_handlers=ANSWERS,
        include_in_schema=False,
    ),
    Router(
        "/",
        route_handlers=pages.OWN,
        guards=[signed_in_only, from_our_own_form],
        dependencies={"viewer": Provide(viewer_of)},
        exception_handlers=ANSWERS,
        include_in_schema=False,
    ),
]
