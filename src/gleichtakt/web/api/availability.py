"""Who is free when: one resource's busy times, and times that suit several at once, with how fresh the answer is."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from litestar import Response, get, post
from litestar.params import FromPath, JSONBody
from msgspec import Meta

from gleichtakt.errors import Conflict
from gleichtakt.model.availability import Shift, WorkingHours, working_times
from gleichtakt.model.freebusy import Busy, common_free
from gleichtakt.model.point import Timespan
from gleichtakt.store import busy as store
from gleichtakt.store import runs
from gleichtakt.store.rows import missing
from gleichtakt.web.api.context import Ask, access_of, found, organization_of, services
from gleichtakt.web.api.forms import ExternalId, From, To, stretch, zone_name
from gleichtakt.web.problems import invalid

LONGEST = timedelta(days=800)
MOST_PEOPLE = 200
MOST_ANSWERS = 1000

Minutes = Annotated[int, Meta(ge=0, le=100_000)]
ClockTime = Annotated[str, Meta(pattern=r"^([01]\d|2[0-3]):[0-5]\d(:[0-5]\d)?$", description="such as 09:00", examples=["09:00"])]
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DayName = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]


class BusyView(msgspec.Struct):
    """A stretch in which somebody is not free, and how."""

    start: datetime
    end: datetime
    show_as: str


class FreeBusyView(msgspec.Struct):
    """The busy times of a resource. as_of: how old what connected calendars said may be; now, without any."""

    resource_id: UUID
    busy: list[BusyView]
    as_of: datetime | None


class Participants(msgspec.Struct):
    """People or rooms of which all, or so many, are needed."""

    resource_ids: Annotated[list[UUID], Meta(max_length=MOST_PEOPLE)] = []
    external_ids: Annotated[list[ExternalId], Meta(max_length=MOST_PEOPLE)] = []
    group_id: UUID | None = None
    required: Annotated[int, Meta(ge=1)] | Literal["all"] = "all"


class Hours(msgspec.Struct):
    """Hours of some weekdays; an end at or before the start lies on the next day."""

    days: Annotated[list[DayName], Meta(min_length=1, max_length=7)]
    start: ClockTime
    end: ClockTime


class WorkWeek(msgspec.Struct):
    """When people can be asked at all. closed: days without any hours."""

    time_zone: str
    hours: Annotated[list[Hours], Meta(min_length=1, max_length=50)]
    closed: Annotated[list[date], Meta(max_length=1000)] = []


class Question(msgspec.Struct):
    """What is looked for. max_age_seconds: knowledge older than that is renewed first, for `wait_seconds` at most."""

    start: str = msgspec.field(name="from")
    end: str = msgspec.field(name="to")
    participants: Annotated[list[Participants], Meta(min_length=1, max_length=20)]
    duration_minutes: Annotated[int, Meta(ge=1, le=100_000)] = 30
    buffer_before_minutes: Minutes = 0
    buffer_after_minutes: Minutes = 0
    working_hours: WorkWeek | None = None
    max_age_seconds: Annotated[int, Meta(ge=0, le=1_000_000_000)] | None = None
    wait_seconds: Annotated[float, Meta(ge=0, le=60)] = 10.0


class Opening(msgspec.Struct):
    """A stretch in which these resources are free from end to end."""

    start: datetime
    end: datetime
    resource_ids: list[UUID]


class Source(msgspec.Struct):
    """How fresh what we know of a resource is. stale: older than was asked for."""

    resource_id: UUID
    as_of: datetime | None
    stale: bool


class Answer(msgspec.Struct):
    """Where the meeting fits, and what the answer rests on. as_of: the oldest of its sources."""

    items: list[Opening]
    busy: dict[str, list[BusyView]]
    sources: list[Source]
    as_of: datetime | None


def _shown(found: Sequence[Busy]) -> list[BusyView]:
    return [BusyView(one.span.start, one.span.end, one.show_as.value) for one in found]


async def _busy(request: Ask, resource_ids: Sequence[UUID], window: Timespan) -> Mapping[UUID, tuple[Busy, ...]]:
    at = services(request)
    if store.is_kept(window, datetime.now(UTC)):
        async with at.database.raw() as raw:
            return await store.busy(raw, resource_ids, window)
    async with at.database.read() as connection:
        return await store.busy_beyond(connection, resource_ids, window)


@get("/resources/{resource_id:uuid}/free-busy")
async def free_busy(
    request: Ask,
    resource_id: FromPath[UUID],
    start: From = None,
    end: To = None,
) -> Response[FreeBusyView]:
    """Read when a resource is busy, without content."""
    at = services(request)
    known = await at.resources.get(await organization_of(request), resource_id)
    window = Timespan(*stretch(start, end, known.reader, longest=LONGEST))
    busy = await _busy(request, [resource_id], window)
    async with at.database.raw() as raw:
        fresh = (await store.freshness(raw, [resource_id])).get(resource_id)
    as_of = fresh.as_of if fresh else datetime.now(UTC)
    return found(request, FreeBusyView(resource_id, _shown(busy[resource_id]), as_of))


@dataclass(frozen=True, slots=True)
class Wanted:
    """Resources of which so many are needed."""

    resource_ids: Sequence[UUID]
    required: int


@post("/availability", status_code=200, opt={"needs": "read"})
async def find_times(request: Ask, data: JSONBody[Question]) -> Response[Answer]:
    """Find times that suit everyone needed: all of some and, say, one of several rooms."""
    organization_id = await organization_of(request)
    window = Timespan(*stretch(data.start, data.end, longest=LONGEST))
    hours = _hours(data.working_hours, window)
    wanted = await _wanted(request, organization_id, data.participants)
    everyone = list(dict.fromkeys(one for group in wanted for one in group.resource_ids))
    fresh = await _fresh(request, everyone, data.max_age_seconds, data.wait_seconds)
    busy = await _busy(request, everyone, window)
    openings = _openings(wanted, busy, window, hours, data)
    sources = [_source(one, fresh.get(one), data.max_age_seconds) for one in everyone]
    ages = [source.as_of for source in sources]
    as_of = None if None in ages else min(age for age in ages if age is not None)
    shown = {str(one): _shown(busy[one]) for one in everyone}
    return found(request, Answer(openings[:MOST_ANSWERS], shown, sources, as_of))


async def _wanted(request: Ask, organization_id: UUID, participants: Sequence[Participants]) -> list[Wanted]:
    """Find out who is meant. Raises `web.not_found` for ids that are nobody's."""
    groups = []
    async with services(request).database.read() as connection:
        for place, one in enumerate(participants):
            meant = await store.resolve(connection, organization_id, one.resource_ids, one.external_ids, one.group_id)
            named = set(one.resource_ids) - set(meant)
            if named or not meant or len(meant) < len(set(one.external_ids)):
                raise missing("resource")
            if len(meant) > MOST_PEOPLE:
                raise invalid(f"participants[{place}]", f"means more than {MOST_PEOPLE} resources")
            required = len(meant) if one.required == "all" else one.required
            if required > len(meant):
                raise invalid(f"participants[{place}].required", f"only {len(meant)} are there")
            groups.append(Wanted(meant, required))
    return groups


def _hours(week: WorkWeek | None, window: Timespan) -> tuple[Timespan, ...] | None:
    if week is None:
        return None
    zone_name(week.time_zone, "working_hours.time_zone")
    shifts = tuple(
        Shift(DAYS.index(day), time.fromisoformat(one.start), time.fromisoformat(one.end))
        for one in week.hours
        for day in one.days
    )
    return working_times(WorkingHours(week.time_zone, shifts, frozenset(week.closed)), window)


def _openings(
    wanted: Sequence[Wanted],
    busy: Mapping[UUID, tuple[Busy, ...]],
    window: Timespan,
    hours: tuple[Timespan, ...] | None,
    data: Question,
) -> list[Opening]:
    """Give the stretches in which every group has as many as it needs, by start, longest first."""
    length = timedelta(minutes=data.duration_minutes)
    fits: list[tuple[Timespan, frozenset[UUID]]] = [(window, frozenset())]
    for group in wanted:
        common = common_free(
            [busy[one] for one in group.resource_ids],
            window,
            length=length,
            required=group.required,
            before=timedelta(minutes=data.buffer_before_minutes),
            after=timedelta(minutes=data.buffer_after_minutes),
            hours=[hours] * len(group.resource_ids),
        )
        free = [(one.span, frozenset(group.resource_ids[place] for place in one.who)) for one in common]
        fits = _both(fits, free, length)
    return [Opening(span.start, span.end, sorted(who)) for span, who in fits]


def _both(
    first: Sequence[tuple[Timespan, frozenset[UUID]]], second: Sequence[tuple[Timespan, frozenset[UUID]]], length: timedelta
) -> list[tuple[Timespan, frozenset[UUID]]]:
    """Give what two lists share for at least a length, cut off where it grows beyond what anybody reads."""
    shared: list[tuple[Timespan, frozenset[UUID]]] = []
    for span, who in first:
        for other, others in second:
            if other.start >= span.end:
                break
            start, end = max(span.start, other.start), min(span.end, other.end)
            if end - start >= length:
                shared.append((Timespan(start, end), who | others))
        if len(shared) > MOST_ANSWERS * 4:
            break
    return sorted(shared, key=lambda one: (one[0].start, -(one[0].end - one[0].start)))


# --- freshness ---------------------------------------------------------------------------------------------------


def _is_stale(fresh: store.Freshness, max_age: int | None) -> bool:
    if max_age is None:
        return False
    return fresh.as_of is None or datetime.now(UTC) - fresh.as_of > timedelta(seconds=max_age)


def _source(resource_id: UUID, fresh: store.Freshness | None, max_age: int | None) -> Source:
    if fresh is None:
        return Source(resource_id, datetime.now(UTC), False)
    return Source(resource_id, fresh.as_of, _is_stale(fresh, max_age))


async def _fresh(
    request: Ask, resource_ids: Sequence[UUID], max_age: int | None, patience: float
) -> Mapping[UUID, store.Freshness]:
    """Say how fresh our knowledge is; what is older than asked for is read anew first, as far as patience goes."""
    at = services(request)
    async with at.database.raw() as raw:
        fresh = await store.freshness(raw, resource_ids)
    stale = [link_id for one in fresh.values() if _is_stale(one, max_age) for link_id in one.links]
    if not stale:
        return fresh
    await _renew(request, stale, patience)
    async with at.database.raw() as raw:
        return await store.freshness(raw, resource_ids)


async def _renew(request: Ask, link_ids: Sequence[UUID], patience: float) -> None:
    """Have links read now and wait for them."""
    database = services(request).database
    asked: list[tuple[UUID, Any]] = []
    organization_id = await organization_of(request)
    async with database.begin() as connection:
        for link_id in link_ids:
            try:
                asked.append((link_id, await runs.ask(connection, link_id, "sync", access_of(request).actor)))
            except Conflict:  # paused meanwhile
                continue
    await asyncio.gather(*(runs.wait(database, organization_id, run_id, patience) for _, run_id in asked))


route_handlers = [free_busy, find_times]
