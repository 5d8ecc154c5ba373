"""The web application: the REST interface, the pages, sign-in and published calendars, joined over one database.

The application reads and writes the store and enqueues work; it never syncs and talks to no calendar system except to
list calendars and to run the doctor, through `onboarding`.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from litestar import Litestar, Request, Response, Router
from litestar.datastructures import State
from litestar.exceptions import NotFoundException
from litestar.openapi import OpenAPIConfig
from litestar.openapi.spec import Components, SecurityScheme
from litestar.types import ASGIApp

from gleichtakt import __version__
from gleichtakt.settings import Settings
from gleichtakt.store.database import Database
from gleichtakt.store.secrets import SecretBox
from gleichtakt.web import hooks, problems
from gleichtakt.web.api import PREFIX, feeds, health, router
from gleichtakt.web.api.access import KeyRing
from gleichtakt.web.api.context import Replayed, Services, replay
from gleichtakt.web.api.description import Description, openapi
from gleichtakt.web.api.events import KnownResources
from gleichtakt.web.api.shapes import EventBody, EventShapes, read_body
from gleichtakt.web.api.viewer import Viewer
from gleichtakt.web.hooks.postbox import Postbox
from gleichtakt.web.login.viewer import lost

ABOUT = (
    "Keeps the calendars of an application in two-way step with the calendars people already use. "
    "Sign in with «Authorization: Bearer <API key>». A key of every organization names the one it means with "
    "?organization_id= or the header X-Organization. Lists give {items, next}; send next as ?cursor=. "
    "Changing requests take an Idempotency-Key, and If-Match with the etag of what was read; "
    "with «Prefer: handling=strict» they need it, and unknown fields are refused. "
    "Errors are problem documents (RFC 9457) in the language of Accept-Language (de, en)."
)


def services_of(database: Database, settings: Settings, box: SecretBox) -> Services:
    """Join what handlers need; they find it as `app.state.services`."""
    return Services(database, settings, box, KeyRing(database), KnownResources(database))


def create_app(database: Database, settings: Settings, box: SecretBox) -> Litestar:
    """Make the application. The caller opens and closes the database."""
    from gleichtakt.web.admin import route_handlers as pages
    from gleichtakt.web.login import route_handlers as login

    answered: Counter[tuple[str, int]] = Counter()
    postbox = Postbox()

    def counting(app: ASGIApp) -> ASGIApp:
        return health.Counting(app, answered)

    return Litestar(
        route_handlers=[
            router(),
            feeds.subscribe,
            openapi,
            *health.route_handlers,
            *hooks.route_handlers,
            Router("/", route_handlers=[*pages, *login], include_in_schema=False),
        ],
        state=State({"services": services_of(database, settings, box), "answered": answered, "postbox": postbox}),
        on_shutdown=[postbox.close],
        exception_handlers={**problems.HANDLERS, NotFoundException: _lost, Replayed: replay},
        middleware=[counting],
        openapi_config=_description(),
        plugins=[EventShapes()],
        type_decoders=[(lambda kind: kind is EventBody, read_body)],
        request_max_body_size=problems.MAX_BODY,
        logging_config=None,
        debug=False,
    )


def _lost(request: Request[Any, Any, Any], error: NotFoundException) -> Response[Any]:
    """Answer an address nobody knows: people with a page, programs with a problem document."""
    return lost(request, error) or problems.on_http(request, error)


def _description() -> OpenAPIConfig:
    """Describe the interface: openapi.json for programs, docs for people."""
    return OpenAPIConfig(
        title="Gleichtakt",
        version=__version__,
        description=ABOUT,
        path=f"{PREFIX}/docs",  # below it, whatever nobody knows is the framework's own page
        render_plugins=[Description(), Viewer()],
        use_handler_docstrings=True,
        operation_id_creator=lambda handler, _method, _path: handler.handler_name,
        components=Components(security_schemes={"bearer": SecurityScheme(type="http", scheme="bearer")}),
    )
