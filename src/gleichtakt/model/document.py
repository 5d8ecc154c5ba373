"""Series as JSON: the form of the REST interface, the store, the journal and the memory provider.

One codec for all of them, so that nothing is lost between two. Reading is strict and says where it stopped: a
`Malformed` with `place` (a path such as ``recurrence.overrides[2].start``) and `reason`. Overrides may be sparse when
read (what is missing is inherited from the occurrence they replace); they are written complete.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Any, TypeVar

from gleichtakt.model.event import (
    Attendee,
    Event,
    Override,
    Person,
    Reminder,
    Response,
    Series,
)
from gleichtakt.model.point import Day, Floating, Point, Zoned, instant, wall_of, with_wall
from gleichtakt.model.zones import canonical_zone, known_zone, zone_of

Json = Any  # what `json.loads` gives
E = TypeVar("E", bound=StrEnum)

MAX_TEXT = 5_000_000  # characters of one text field; beyond that it is refused, not cut
ATTENDEE_ROLES = ("required", "optional", "resource", "chair")


class Malformed(ValueError):
    """A document that is no series. place: path of the offending value; reason: English, names what is expected."""

    def __init__(self, place: str, reason: str) -> None:
        """Keep both parts, so that the web can show them apart."""
        super().__init__(f"{place}: {reason}")
        self.place, self.reason = place, reason


# --- writing -----------------------------------------------------------------------------------------------------


def point_document(point: Point) -> dict[str, Json]:
    """Give a point as JSON: `date`, or `date_time` with `time_zone` (none when floating)."""
    if isinstance(point, Day):
        return {"date": point.date.isoformat()}
    written: dict[str, Json] = {"date_time": point.wall.replace(fold=0).isoformat()}
    if isinstance(point, Zoned):
        written["time_zone"] = {"custom": point.tzid} if point.tzid.startswith("BEGIN:") else point.tzid
        if point.wall.fold:
            written["fold"] = 1
    else:
        written["time_zone"] = None
    return written


def event_document(event: Event) -> dict[str, Json]:
    """Give the content of one event as JSON, without identity and recurrence."""
    written: dict[str, Json] = {
        "title": event.title,
        "description": event.description,
        "location": event.location,
        "start": point_document(event.start),
        "end": point_document(event.end),
        "show_as": event.show_as.value,
        "sensitivity": event.sensitivity.value,
        "status": event.status.value,
        "organizer": {"email": event.organizer.email, "name": event.organizer.name} if event.organizer else None,
        "attendees": [{"email": a.email, "name": a.name, "response": a.response.value, "role": a.role} for a in event.attendees],
        "categories": list(event.categories),
        "reminders": [reminder.minutes for reminder in event.reminders],
        "conference_url": event.conference_url,
        "url": event.url,
    }
    if event.html:
        written["html"] = event.html
    return written


def series_document(series: Series) -> dict[str, Json]:
    """Give a series as JSON, in the form of the REST interface without its row's own columns."""
    written: dict[str, Json] = {"uid": series.uid, **event_document(series.event), "recurrence": None}
    if series.is_recurring or series.overrides or series.exdate:
        written["recurrence"] = {
            "rrule": series.rrule or None,
            "rdate": [point_document(point) for point in series.rdate],
            "exdate": [point_document(point) for point in series.exdate],
            "overrides": [
                {"recurrence_id": point_document(override.recurrence_id), **event_document(override.event)}
                for override in series.overrides
            ],
        }
    if series.is_detached:
        written["is_detached"] = True
    return written


# --- reading -----------------------------------------------------------------------------------------------------


def read_point(found: Json, place: str) -> Point:
    """Read a point; a `date_time` with Z or an offset becomes the same instant in its `time_zone`, or UTC."""
    if not isinstance(found, Mapping):
        raise Malformed(place, 'expected {"date": …} or {"date_time": …, "time_zone": …}')
    if "date" in found and found["date"] is not None:
        try:
            return Day(date.fromisoformat(found["date"]))
        except (TypeError, ValueError):
            raise Malformed(f"{place}.date", "expected a date such as 2026-11-23") from None
    try:
        moment = datetime.fromisoformat(found["date_time"])
    except KeyError:
        raise Malformed(place, 'expected "date" or "date_time"') from None
    except (TypeError, ValueError):
        raise Malformed(f"{place}.date_time", "expected a time such as 2026-11-23T09:00:00") from None
    moment = moment.replace(microsecond=0)
    tzid = _read_zone(found.get("time_zone"), place)
    if moment.tzinfo is not None:
        try:
            local = moment.astimezone(zone_of(tzid) if tzid else UTC)
        except OverflowError:
            raise Malformed(f"{place}.date_time", "lies outside the years 1 to 9999") from None
        return Zoned(local.replace(tzinfo=None), tzid or "UTC")
    if found.get("fold") == 1:
        moment = moment.replace(fold=1)
    return Zoned(moment, tzid) if tzid else Floating(moment)


def _read_zone(found: Json, place: str) -> str | None:
    if found is None:
        return None
    custom = found.get("custom") if isinstance(found, Mapping) else None
    name = custom if custom is not None else found
    if not isinstance(name, str) or not known_zone(name) or (custom is not None) != name.startswith("BEGIN:VTIMEZONE"):
        raise Malformed(f"{place}.time_zone", 'expected an IANA zone such as Europe/Berlin, or {"custom": "BEGIN:VTIMEZONE…"}')
    return name if custom is None else canonical_zone(name)


def _text(found: Mapping[str, Json], key: str, place: str, default: str) -> str:
    value = found.get(key, default)
    return "" if value is None else _word(value, f"{place}{key}")


def _choice(found: Mapping[str, Json], key: str, place: str, default: E) -> E:
    value = found.get(key)
    if value is None:
        return default
    try:
        return type(default)(value)
    except ValueError:
        allowed = ", ".join(choice.value for choice in type(default))
        raise Malformed(f"{place}{key}", f"expected one of {allowed}") from None


def _items(found: Mapping[str, Json], key: str, place: str) -> Iterable[tuple[str, Json]]:
    value = found.get(key)
    if value is None:
        return ()
    if not isinstance(value, list):
        raise Malformed(f"{place}{key}", "expected a list")
    return ((f"{place}{key}[{index}]", item) for index, item in enumerate(value))


def _person(found: Json, place: str) -> Mapping[str, Json]:
    if not isinstance(found, Mapping) or not isinstance(found.get("email"), str):
        raise Malformed(place, 'expected {"email": …, "name": …}')
    return found


def _attendee(found: Json, place: str) -> Attendee:
    person = _person(found, place)
    role = person.get("role") or "required"
    if role not in ATTENDEE_ROLES:
        raise Malformed(f"{place}.role", f"expected one of {', '.join(ATTENDEE_ROLES)}")
    response = _choice(person, "response", f"{place}.", Response.NONE)
    return Attendee(_word(person["email"], f"{place}.email"), _text(person, "name", f"{place}.", ""), response, role)


def _reminder(found: Json, place: str) -> Reminder:
    if isinstance(found, bool) or not isinstance(found, int) or abs(found) > 10_000_000:
        raise Malformed(place, "expected minutes before the start, as a whole number")
    return Reminder(found)


def _word(found: Json, place: str) -> str:
    if not isinstance(found, str):
        raise Malformed(place, "expected a text")
    if len(found) > MAX_TEXT:
        raise Malformed(place, f"longer than {MAX_TEXT} characters")
    try:
        found.encode()
    except UnicodeEncodeError:
        raise Malformed(place, "holds half of a surrogate pair") from None
    return found.replace("\0", "")  # PostgreSQL and XML hold no NUL


def read_event(found: Json, place: str = "", inherited: Event | None = None) -> Event:
    """Read the content of one event. inherited: what an absent key stands for (an occurrence's own content)."""
    if not isinstance(found, Mapping):
        raise Malformed(place.rstrip(".") or "event", "expected an object")
    written = found.get("start")
    if written is None and inherited is None:
        raise Malformed(f"{place}start", "is missing")
    start = inherited.start if written is None and inherited else read_point(written, f"{place}start")
    base = inherited or Event(start, start)
    end = _read_end(found, place, start, inherited)

    def many(key: str, read: Callable[[Json, str], Any], default: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(read(item, where) for where, item in _items(found, key, place)) if key in found else default

    organizer = base.organizer
    if "organizer" in found:
        named = found["organizer"]
        organizer = None
        if named is not None:
            person = _person(named, f"{place}organizer")
            organizer = Person(_word(person["email"], f"{place}organizer.email"), _text(person, "name", f"{place}organizer.", ""))
    return Event(
        start=start,
        end=end,
        title=_text(found, "title", place, base.title),
        description=_text(found, "description", place, base.description),
        html=_text(found, "html", place, "" if "description" in found else base.html),
        location=_text(found, "location", place, base.location),
        status=_choice(found, "status", place, base.status),
        show_as=_choice(found, "show_as", place, base.show_as),
        sensitivity=_choice(found, "sensitivity", place, base.sensitivity),
        organizer=organizer,
        attendees=many("attendees", _attendee, base.attendees),
        categories=many("categories", _word, base.categories),
        reminders=many("reminders", _reminder, base.reminders),
        conference_url=_text(found, "conference_url", place, base.conference_url),
        url=_text(found, "url", place, base.url),
    )


def _read_end(found: Mapping[str, Json], place: str, start: Point, inherited: Event | None) -> Point:
    try:
        if found.get("end") is not None:
            return _normal_end(start, _like(start, read_point(found["end"], f"{place}end"), f"{place}end"))
        if inherited is not None and type(inherited.end) is type(start):
            length = wall_of(inherited.end) - wall_of(inherited.start)
            return with_wall(inherited.end, wall_of(start) + length)
        return Day(start.date + timedelta(days=1)) if isinstance(start, Day) else start
    except OverflowError:
        raise Malformed(f"{place}end", "lies outside the years 1 to 9999") from None


def _like(start: Point, end: Point, place: str) -> Point:
    """Demand the same kind for both; an end without a zone takes that of the start."""
    if isinstance(start, Zoned) and isinstance(end, Floating):
        return Zoned(end.wall, start.tzid)
    if type(end) is not type(start):
        raise Malformed(place, "expected the same kind as start: both dates, or both times, with a zone or without")
    return end


def _normal_end(start: Point, end: Point) -> Point:
    """Apply the published repair: an end before its start becomes the start, an all-day event lasts one day at least."""
    if isinstance(start, Day) and isinstance(end, Day):
        return end if end.date > start.date else Day(start.date + timedelta(days=1))
    if isinstance(start, Zoned) and isinstance(end, Zoned) and start.tzid != end.tzid:
        return end if instant(end, UTC) >= instant(start, UTC) else start
    return end if wall_of(end) >= wall_of(start) else start


def read_series(found: Json) -> Series:
    """Read a series. Keys it does not know are ignored (the row's own columns are among them)."""
    from gleichtakt.model.recurrence import canonical_rule, occurrence_event

    event = read_event(found)
    uid = _text(found, "uid", "", "")
    recurrence = found.get("recurrence")
    if recurrence is None:
        return Series(uid, event, is_detached=False)
    if not isinstance(recurrence, Mapping):
        raise Malformed("recurrence", "expected an object or null")
    rule = _text(recurrence, "rrule", "recurrence.", "")
    try:
        rule = canonical_rule(rule, event.start) if rule else ""
    except ValueError as refused:
        raise Malformed("recurrence.rrule", str(refused)) from None

    def points(key: str) -> tuple[Point, ...]:
        read = [_of_kind(event, read_point(item, place), place) for place, item in _items(recurrence, key, "recurrence.")]
        return tuple(sorted(set(read), key=wall_of))

    is_detached = bool(found.get("is_detached"))
    overrides: dict[Point, Override] = {}
    for place, item in _items(recurrence, "overrides", "recurrence."):
        if not isinstance(item, Mapping):
            raise Malformed(place, "expected an object")
        slot = read_point(item.get("recurrence_id"), f"{place}.recurrence_id")
        if not is_detached:  # single occurrences of an unknown series keep the slot they were given
            slot = _of_kind(event, slot, f"{place}.recurrence_id")
        overrides[slot] = Override(slot, read_event(item, f"{place}.", occurrence_event(event, slot)))
    ordered = tuple(sorted(overrides.values(), key=lambda override: wall_of(override.recurrence_id)))
    return Series(uid, event, rule, points("rdate"), points("exdate"), ordered, is_detached)


def _of_kind(event: Event, point: Point, place: str) -> Point:
    """Bring a point to the kind and zone of the master's start, so that equal slots are equal values."""
    from gleichtakt.model.recurrence import same_slot

    try:
        return same_slot(event.start, point)
    except ValueError as refused:
        raise Malformed(place, str(refused)) from None
