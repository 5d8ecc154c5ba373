"""The REST interface, one file per kind of object. `router` joins them under /api/v1 behind API keys."""

from __future__ import annotations

from litestar import Router

from gleichtakt.web.api import (
    absence,
    availability,
    changes,
    connections,
    decisions,
    events,
    feeds,
    links,
    organizations,
    resources,
    runs,
    settings,
)
from gleichtakt.web.api.access import authorized
from gleichtakt.web.api.strict import hold_to_word

PREFIX = "/api/v1"


def router() -> Router:
    """Make the router of everything an API key opens."""
    return Router(
        PREFIX,
        route_handlers=[
            *organizations.route_handlers,
            *connections.route_handlers,
            *resources.route_handlers,
            *absence.route_handlers,
            *events.route_handlers,
            *links.route_handlers,
            *settings.route_handlers,
            *runs.route_handlers,
            *decisions.route_handlers,
            *availability.route_handlers,
            *changes.route_handlers,
            *feeds.route_handlers,
        ],
        guards=[authorized],
        before_request=hold_to_word,
        security=[{"bearer": []}],
    )
