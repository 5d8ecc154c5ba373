"""Their words and ours: lines to send, and what the lines that come back mean. Pure; nothing here waits.

A call is ``[number, verb, mailbox, calendar, arguments]``; an answer ``[number, "ok", result]``, or a word of refusal
(see `oddities.KINDS`) with parameters. Objects travel as the JSON of `model.document`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields as fields_of_class
from datetime import datetime
from typing import Any

import msgspec

from gleichtakt.errors import Permanent, Scope
from gleichtakt.model.document import Malformed, event_document, point_document, read_series
from gleichtakt.model.event import Event, Series
from gleichtakt.providers.clock import TheirClock
from gleichtakt.providers.protocol import Calendar, CalendarRef, Cursor, Etag, Href, Known, Page, Seen, Stored, Unreadable

ALL_FIELDS = frozenset(found.name for found in fields_of_class(Event))


class Answer(msgspec.Struct, array_like=True):
    """One line that came back. result: still JSON, read by whoever asked."""

    number: int
    word: str
    result: msgspec.Raw


class Frame(msgspec.Struct):
    """One object as it travels."""

    href: str
    etag: str
    document: msgspec.Raw
    marker: str = ""
    key: str = ""
    modified_at: str = ""
    is_organizer: bool = True
    response: str = "none"
    kind: str = "default"
    foreign_marker: str = ""


class Changes(msgspec.Struct):
    """One page of changes; `next` is absent when the other side stopped without saying why."""

    upserts: list[Frame]
    gone: list[str]
    next: str | None
    final: bool
    listing: bool
    now: str = ""  # on their clock


class Fetched(msgspec.Struct):
    """The objects asked for by name, and which of them do not exist."""

    upserts: list[Frame]
    missing: list[str]
    now: str = ""  # on their clock


class Directory(msgspec.Struct):
    """One calendar in the list of a mailbox."""

    name: str
    title: str
    can_write: bool
    owner: str


class Subscribed(msgspec.Struct):
    """A subscription: how long it lasts unless renewed, and how often the connection shows a sign of life, in seconds."""

    subscription: str
    seconds: float
    beat: float


class Renewed(msgspec.Struct):
    """A subscription that lasts so many seconds more."""

    seconds: float


class Told(msgspec.Struct):
    """What was said unasked, and about which subscription; a sign of life is about none."""

    subscription: str = ""


UNASKED = 0  # the number of a line that answers no call

encode = msgspec.json.Encoder().encode
read_answer = msgspec.json.Decoder(Answer).decode
read_changes = msgspec.json.Decoder(Changes).decode
read_fetched = msgspec.json.Decoder(Fetched).decode
read_frame = msgspec.json.Decoder(Frame).decode
read_found = msgspec.json.Decoder(Frame | None).decode
read_directory = msgspec.json.Decoder(list[Directory]).decode
read_subscribed = msgspec.json.Decoder(Subscribed).decode
read_renewed = msgspec.json.Decoder(Renewed).decode
read_told = msgspec.json.Decoder(Told).decode
read_parameters = msgspec.json.Decoder(dict[str, str]).decode


def call_line(number: int, verb: str, mailbox: str, calendar: str, args: Mapping[str, Any]) -> bytes:
    """Give the line that asks for something."""
    return encode([number, verb, mailbox, calendar, args]) + b"\n"


def instant_of(text: str) -> datetime | None:
    """Read an instant; None where none is told."""
    return datetime.fromisoformat(text) if text else None


def page_of(changes: Changes, known: Known, clock: TheirClock) -> Page:
    """Give a page in our words; what is still at the version we know is not read again."""
    upserts: list[Seen] = []
    unreadable: list[Unreadable] = []
    unchanged: list[Href] = []
    for frame in changes.upserts:
        if changes.listing and known.etags.get(frame.href) == frame.etag:
            unchanged.append(Href(frame.href))
            continue
        found = seen(frame, clock)
        if isinstance(found, Seen):
            upserts.append(found)
        else:
            unreadable.append(found)
    return Page(
        tuple(upserts),
        tuple(Href(href) for href in changes.gone),
        tuple(unreadable),
        tuple(unchanged),
        Cursor(changes.next) if changes.next is not None else None,
        changes.final,
        changes.listing,
    )


def seen(frame: Frame, clock: TheirClock) -> Seen | Unreadable:
    """Give one object in our words, or the reason why it has none. clock: theirs, by which they tell times."""
    modified_at = instant_of(frame.modified_at)
    try:
        series = read_series(msgspec.json.decode(frame.document))
    except (Malformed, msgspec.DecodeError) as broken:
        reason = str(broken)
        trouble = Permanent("general.unreadable", Scope.SERIES, reason=reason)
        return Unreadable(Href(frame.href), Etag(frame.etag), trouble, bytes(frame.document))
    return Seen(
        Href(frame.href),
        Etag(frame.etag),
        series,
        marker=frame.marker,
        key=frame.key,
        is_organizer=frame.is_organizer,
        response=frame.response,
        kind=frame.kind,
        foreign_marker=frame.foreign_marker,
        modified_at=clock.ours(modified_at) if modified_at else None,
    )


def stored(frame: Frame) -> Stored:
    """Give what the other side holds after a write. Raises Permanent (SERIES) when it cannot be read."""
    found = seen(frame, TheirClock())
    if isinstance(found, Unreadable):
        raise found.trouble
    return Stored(found.href, found.etag, found.series, found.series.uid)


def calendars_of(mailbox: str, listed: Sequence[Directory]) -> tuple[Calendar, ...]:
    """Give the calendars of a mailbox in our words."""
    return tuple(
        Calendar(CalendarRef(mailbox, found.name), found.title, found.can_write, found.name == "calendar", found.owner)
        for found in listed
    )


def patch_of(base: Series, new: Series, fields: frozenset[str]) -> dict[str, Any]:
    """Give the update that turns *base* into *new* in *fields*, and says nothing about anything else.

    An override that both have changes in the same fields as the master; with `recurrence` in all of them, and then
    overrides, rule and dates come and go too.
    """
    patch: dict[str, Any] = {"set": _changes(base.event, new.event, fields), "recurrence": {}}
    recurrence = patch["recurrence"]
    whole = "recurrence" in fields
    old_overrides = {override.recurrence_id: override.event for override in base.overrides}
    new_overrides = {override.recurrence_id: override.event for override in new.overrides}
    put: list[dict[str, Any]] = []
    for slot, event in new_overrides.items():
        if slot in old_overrides:
            changed = _changes(old_overrides[slot], event, ALL_FIELDS if whole else fields)
        else:
            changed = event_document(event) if whole else {}
        if changed:
            put.append({"recurrence_id": point_document(slot), **changed})
    if put:
        recurrence["put"] = put
    if whole:
        dropped = [point_document(slot) for slot in old_overrides if slot not in new_overrides]
        recurrence.update({"drop": dropped} if dropped else {})
        recurrence.update(_rule_changes(base, new))
    return patch


def _rule_changes(base: Series, new: Series) -> dict[str, Any]:
    changed: dict[str, Any] = {"rrule": new.rrule or None} if new.rrule != base.rrule else {}
    for name, before, after in (("rdate", base.rdate, new.rdate), ("exdate", base.exdate, new.exdate)):
        if before != after:
            changed[name] = [point_document(point) for point in after]
    return changed


def _changes(base: Event, new: Event, fields: frozenset[str]) -> dict[str, Any]:
    names = {name for name in fields & ALL_FIELDS if getattr(base, name) != getattr(new, name)}
    if not names:
        return {}
    if "description" in names:
        names.add("html")  # an HTML body describes the text it came with, and no other
    written = event_document(new)
    return {name: written.get(name, "") for name in sorted(names)}
