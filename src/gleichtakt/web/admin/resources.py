"""Resources: people, rooms and things with their links, and one week of a calendar as the application holds it."""

from __future__ import annotations

from datetime import timedelta

from litestar import Response, get
from litestar.params import FromPath

from gleichtakt.model.zones import zone_of
from gleichtakt.onboarding import directory
from gleichtakt.store import absences, calendars, desk
from gleichtakt.web.admin import week
from gleichtakt.web.admin.frame import database_of, found, number_of, show, uuid_of
from gleichtakt.web.login.viewer import Asked, Onlooker

KINDS = ("person", "room", "equipment")
#: Nobody is to do anything about these, so the page is silent.
NO_NEWS = frozenset({"web.absence_of_people", "web.absence_unlinked", "web.absence_unsupported"})


@get("/resources", include_in_schema=False)
async def resources_page(request: Asked, viewer: Onlooker) -> Response[str]:
    """Show resources by name."""
    kind, search = request.query_params.get("kind", ""), request.query_params.get("q", "").strip()[:200]
    kind = kind if kind in KINDS else ""
    async with database_of(request).read() as connection:
        rows = await desk.resources(connection, viewer.scope, kind=kind, search=search, number=number_of(request))
        return await show(request, viewer, connection, "resources.html", resources=rows, kind=kind, search=search, kinds=KINDS)


@get("/resources/{resource_id:str}", include_in_schema=False)
async def resource_page(request: Asked, viewer: Onlooker, resource_id: FromPath[str]) -> Response[str]:
    """Show one resource with a week of its calendar."""
    now = viewer.words.now
    async with database_of(request).read() as connection:
        resource = found(await desk.resource(connection, viewer.scope, uuid_of(resource_id)))
        zone = zone_of(resource.time_zone)
        today = now.astimezone(zone).date()
        monday = week.monday_of(request.query_params.get("week", ""), today)
        span = week.span_of_week(monday, zone)
        rows = await calendars.list_events(connection, resource.id, span.start - timedelta(days=1), span.end + timedelta(days=1))
        links = await desk.links(connection, viewer.scope, now, resource_id=resource.id)
        laid_out = week.lay_out(monday, rows, zone, with_titles=viewer.may_see_titles)
        standing = await absences.of_resource(connection, resource.id, resource.kind, directory.tell_of_absence(), now)
        coming = await desk.next_start(connection, resource.id, span.end) if laid_out.is_empty else None
        coming_day = coming.astimezone(zone).date() if coming else None
        return await show(
            request,
            viewer,
            connection,
            "resource.html",
            resource=resource,
            standing=None if standing.code in NO_NEWS else standing,
            links=links,
            beats=await desk.beats(connection, [link.id for link in links.rows]),
            ways=await desk.directions(connection, [link.id for link in links.rows]),
            week=laid_out,
            coming=coming_day,
            coming_week=week.week_name(week.monday_of("", coming_day)) if coming_day else "",
            today=today,
            before=week.week_name(monday - timedelta(days=7)),
            after=week.week_name(monday + timedelta(days=7)),
            present=week.week_name(today - timedelta(days=today.weekday())),
        )
