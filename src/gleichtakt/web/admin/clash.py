"""One conflict as a person reads it: field by field, before, ours and theirs; and what their choice makes of it.

Pure. Fields are keys of `sync.flat`. What only one side changed is merged by itself and shown, not asked.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from gleichtakt.model.document import read_point
from gleichtakt.model.event import Series
from gleichtakt.store.desk import ConflictRow
from gleichtakt.sync.flat import apply, changed, content_of, flatten, is_note, slot_of, unflatten
from gleichtakt.web.i18n import Words, terms

#: Fields that a private event does not show.
CONTENT = ("title", "description", "html", "location", "organizer", "attendees", "categories", "conference_url", "url")

Flat = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Line:
    """One field. taken: the side whose change counts by itself, empty where a person chooses."""

    key: str
    name: str
    slot: str
    base: str
    ours: str
    theirs: str
    taken: str
    is_long: bool


def lines(row: ConflictRow, words: Words) -> list[Line]:
    """Give the fields that clash, and those that only one side changed, in the order people read them."""
    ours, theirs = row.ours or {}, row.theirs or {}
    clashing = [key for key in row.fields if _is_shown(key)]
    moved = {key: side for key, side in _one_sided(row).items() if _is_shown(key) and key not in clashing}
    keys = sorted({*clashing, *moved}, key=_place)
    return [
        Line(
            key,
            words.say(terms.FIELDS.get(content_of(key), content_of(key))),
            _slot(key, words),
            _written(key, row.base or {}, row, words),
            _written(key, ours, row, words),
            _written(key, theirs, row, words),
            moved.get(key, ""),
            content_of(key) == "description",
        )
        for key in keys
    ]


def _is_shown(key: str) -> bool:
    return not (key == "html" or key.endswith(":html") or is_note(key))


def _place(key: str) -> tuple[str, int, str]:
    return slot_of(key), terms.place_of(content_of(key)), key


def _one_sided(row: ConflictRow) -> dict[str, str]:
    """Give the keys that only one side changed, with that side."""
    if row.base is None or row.ours is None or row.theirs is None:
        return {}
    ours, theirs = changed(row.base, row.ours), changed(row.base, row.theirs)
    return dict.fromkeys(ours - theirs, "ours") | dict.fromkeys(theirs - ours, "theirs")


def _slot(key: str, words: Words) -> str:
    """Name the occurrence a key speaks of by its date."""
    slot = slot_of(key)
    return words.day(_date(slot)) if slot else ""


def _date(slot: str) -> date:
    return date(int(slot[:4]), int(slot[4:6]), int(slot[6:8]))


def _written(key: str, flat: Flat, row: ConflictRow, words: Words) -> str:
    """Write a value for people; empty where the side says nothing."""
    value, field = flat.get(key), content_of(key)
    if value in (None, "", []):
        return ""
    if row.is_private and field in CONTENT:
        return words.say("private")
    if field in ("start", "end"):
        return words.point(read_point(value, field))
    if field in terms.VALUES:
        return words.say(terms.VALUES[field].get(str(value), str(value)))
    if field == "attendees":
        return "\n".join(person.get("name") or person.get("email", "") for person in value)
    if field == "organizer":
        return str(value.get("name") or value.get("email", ""))
    if field == "reminders":
        return words.join([words.length(minutes * 60) for minutes in value])
    if value is True:
        return words.say("yes")
    return ", ".join(str(part) for part in value) if isinstance(value, list) else str(value)


def fingerprint(row: ConflictRow) -> str:
    """Give a short name of what was shown, so that a choice made on an older picture is noticed."""
    content = json.dumps([sorted(row.fields), row.base, row.ours, row.theirs], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:16]


def merged(row: ConflictRow, present: Series, theirs_wins: Sequence[str]) -> Series:
    """Give the content that shall count: ours with what they alone changed and with the clashing fields they win."""
    keys = {key for key, side in _one_sided(row).items() if side == "theirs"} | set(theirs_wins)
    return unflatten(apply(flatten(present), keys, row.theirs or {}), present.uid)
