"""A series as a flat table of fields: the form in which sides are compared, merged and shown.

Keys of the master are field names (`title`, `start`); a listed occurrence is `rdate:<slot>` = true, an excluded one
`exdate:<slot>` = true; an override's field is `@<slot>:<field>` and stands only where it differs from what the
occurrence would inherit, so that an edit of the master's title and a move of one occurrence touch different keys.
`@<slot>` = true says that the override exists. A slot is the original start on the master's own wall clock. Values are
JSON, so a flat form is stored as it is. Empty values of the master are left out: empty and absent are the same.

`flatten` loses nothing; what does not count as a difference (line ends, trailing blanks, composed letters, the order of
people, a provider's own HTML over unchanged text) is levelled only when two forms are compared.
"""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import fields as dataclass_fields
from datetime import datetime
from typing import Any

from gleichtakt.model.document import event_document, read_event, read_point
from gleichtakt.model.event import Event, Override, Series
from gleichtakt.model.point import Day, Point, wall_of, with_wall
from gleichtakt.model.recurrence import are_alike, is_slot, occurrence_event, same_slot, slot_key
from gleichtakt.sync.plan import Flat

#: Names of what an event holds. `html` has no name of its own here: it travels with `description`.
EVENT_FIELDS = frozenset(field.name for field in dataclass_fields(Event)) - {"html"}
RECURRENCE = "recurrence"  # the field name of rule, dates and overrides together
ALL_FIELDS = EVENT_FIELDS | {RECURRENCE}
TIME_FIELDS = frozenset({"start", "end"})

_PATTERN_KEYS = frozenset({"rrule", "is_detached"})
_TEXTS = frozenset({"title", "description", "location", "conference_url", "url"})
_EMPTY: tuple[Any, ...] = ("", None, [])


# --- keys --------------------------------------------------------------------------------------------------------


def slot_of(key: str) -> str:
    """Give the slot a key speaks of; empty for keys of the master."""
    if key.startswith("@"):
        return key[1:].partition(":")[0]
    return key.partition(":")[2] if key.startswith(("exdate:", "rdate:")) else ""


def content_of(key: str) -> str:
    """Give the event field whose content a key holds; `recurrence` for rule, dates and marks of overrides."""
    if key.startswith("@"):
        return key.partition(":")[2] or RECURRENCE
    return RECURRENCE if key in _PATTERN_KEYS or key.startswith(("exdate:", "rdate:")) else key


def fields_of(keys: Iterable[str]) -> frozenset[str]:
    """Give the field names a provider is told about: all that concerns single occurrences is `recurrence`."""
    return frozenset(RECURRENCE if slot_of(key) else content_of(key) for key in keys if not is_note(key))


def is_note(key: str) -> bool:
    """Say whether a key is no content but a note of the planner's own, kept in a base (see `decide`)."""
    return key.startswith("#")


def _is_html(key: str) -> bool:
    return key == "html" or key.endswith(":html")


def _html_of(key: str) -> str:
    return key.removesuffix("description") + "html"


# --- there and back ----------------------------------------------------------------------------------------------


def flatten(series: Series) -> Flat:
    """Give the flat form of a series, without its uid."""
    master = series.event
    flat: Flat = {field: value for field, value in event_document(master).items() if value not in _EMPTY}
    if series.rrule:
        flat["rrule"] = series.rrule
    if series.is_detached:
        flat["is_detached"] = True
    for name, points in (("rdate", series.rdate), ("exdate", series.exdate)):
        for point in points:
            flat[f"{name}:{slot_key(same_slot(master.start, point))}"] = True
    for override in series.overrides:
        slot = same_slot(master.start, override.recurrence_id)
        mark = f"@{slot_key(slot)}"
        flat[mark] = True
        for field, value in _differences(occurrence_event(master, slot), override.event).items():
            flat[f"{mark}:{field}"] = value
    return flat


def _differences(inherited: Event, event: Event) -> dict[str, Any]:
    """Give what an override says itself. Its end counts only where its length is its own, and nothing counts that is no
    difference: systems that write every override out in full do not write every one the same way.
    """
    was, now = event_document(inherited), event_document(event)
    own = {field: value for field, value in now.items() if value != was.get(field) and _differs(field, value, was)}
    if "start" in own:
        own["end"] = now["end"]
        if read_event({"start": now["start"]}, inherited=inherited).end == event.end:
            del own["end"]
    if "description" in own and event.html:
        own["html"] = event.html
    elif inherited.html and not event.html and "description" not in own:
        own["html"] = ""
    return own


def _differs(field: str, value: Any, was: Mapping[str, Any]) -> bool:
    return bool(_plain(f"@:{field}", value) != _plain(f"@:{field}", was.get(field)))


def unflatten(flat: Mapping[str, Any], uid: str) -> Series:
    """Give the series a flat form stands for.

    A slot that is both excluded and overridden is excluded. An override with words that the whole series says by now (it
    took them over in a merge) is none.
    """
    master = read_event({key: value for key, value in flat.items() if key in EVENT_FIELDS or key == "html"})
    sparse: dict[str, dict[str, Any]] = {}
    dates: dict[str, list[Point]] = {"rdate": [], "exdate": []}
    for key, value in flat.items():
        if key.startswith("@"):
            slot, _, field = key[1:].partition(":")
            own = sparse.setdefault(slot, {})
            if field:
                own[field] = value
        elif slot_of(key):
            name, _, slot = key.partition(":")
            dates[name].append(slot_point(master.start, slot))
    overrides = []
    for slot, own in sparse.items():
        point = slot_point(master.start, slot)
        if f"exdate:{slot}" not in flat:
            inherited = occurrence_event(master, point)
            changed = read_event(own, inherited=inherited)
            if not own or "is_detached" in flat or _differences(inherited, changed):
                overrides.append(Override(point, changed))
    return Series(
        uid,
        master,
        rrule=flat.get("rrule", ""),
        rdate=tuple(sorted(dates["rdate"], key=_by_clock)),
        exdate=tuple(sorted(dates["exdate"], key=_by_clock)),
        overrides=tuple(sorted(overrides, key=lambda override: _by_clock(override.recurrence_id))),
        is_detached=bool(flat.get("is_detached")),
    )


def _by_clock(point: Point) -> tuple[datetime, int]:
    wall = wall_of(point)
    return wall.replace(fold=0), wall.fold


def slot_point(start: Point, slot: str) -> Point:
    """Give the point a slot's text names, in the kind and zone of a start."""
    if isinstance(start, Day):
        return with_wall(start, datetime.strptime(slot[:8], "%Y%m%d"))  # noqa: DTZ007 - a wall clock has no zone
    day, _, clock = slot.rstrip("f").partition("T")
    wall = datetime.strptime(day + (clock or "000000"), "%Y%m%d%H%M%S")  # noqa: DTZ007
    return with_wall(start, wall.replace(fold=1) if slot.endswith("f") else wall)


# --- comparing ---------------------------------------------------------------------------------------------------


def restrict(flat: Mapping[str, Any], fields: frozenset[str]) -> Flat:
    """Keep what these fields cover. An override that says nothing within them is none."""
    kept = {key: value for key, value in flat.items() if content_of(key) in fields or _rides(key, fields)}
    if RECURRENCE not in fields:
        return {key: value for key, value in kept.items() if not slot_of(key)}
    telling = {slot_of(key) for key in kept if key.startswith("@") and ":" in key and not _is_html(key)}
    return {key: value for key, value in kept.items() if not key.startswith("@") or slot_of(key) in telling}


def _rides(key: str, fields: frozenset[str]) -> bool:
    return _is_html(key) and "description" in fields


def changed(a: Mapping[str, Any], b: Mapping[str, Any]) -> frozenset[str]:
    """Give the keys in which two forms differ in a way that counts."""
    keys = a.keys() | b.keys() if a != b else ()
    return frozenset(key for key in keys if a.get(key) != b.get(key) and not same(a, b, key))


def same(a: Mapping[str, Any], b: Mapping[str, Any], key: str) -> bool:
    """Say whether two forms agree in one key, as far as it counts."""
    return is_note(key) or _is_html(key) or _plain(key, a.get(key)) == _plain(key, b.get(key))


def _plain(key: str, value: Any) -> Any:
    """Level what is no difference. In an override an empty value is a statement, in a master it is absence."""
    if value is None or (value in _EMPTY and not key.startswith("@")):
        return None
    field = content_of(key)
    if field in _TEXTS:
        return level_text(value) or (None if not key.startswith("@") else "")
    if field == "attendees":
        people = [(person["email"].casefold(), person.get("response"), person.get("role")) for person in value]
        return sorted(people, key=repr)
    if field == "organizer":
        return value["email"].casefold() if value else ""
    if field in ("categories", "reminders"):
        return sorted(set(value))
    return value


def level_text(text: str) -> str:
    """Level line ends, trailing blanks and the composition of letters."""
    if text.isascii() and not any(sign in text for sign in ("\r", " \n", "\t\n")):
        return text.rstrip()
    lines = unicodedata.normalize("NFC", text).replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return "\n".join(line.rstrip() for line in lines).rstrip()


def digest(flat: Mapping[str, Any]) -> str:
    """Give a short name of the content: equal for forms between which nothing `changed`."""
    plain = {key: _plain(key, value) for key, value in sorted(flat.items()) if not is_note(key) and not _is_html(key)}
    told = {key: value for key, value in plain.items() if value is not None}
    return hashlib.sha256(json.dumps(told, ensure_ascii=False).encode()).hexdigest()[:32]


# --- changing ----------------------------------------------------------------------------------------------------


def take(onto: Mapping[str, Any], keys: Iterable[str], from_: Mapping[str, Any]) -> Flat:
    """Give *onto* with these keys as they stand in *from_*, absence included, and nothing else."""
    result = dict(onto)
    for key in keys:
        if key in from_:
            result[key] = from_[key]
        else:
            result.pop(key, None)
    return result


def apply(onto: Mapping[str, Any], keys: Iterable[str], from_: Mapping[str, Any]) -> Flat:
    """Give *onto* with an edit carried over: like `take`, and what hangs on the keys follows them.

    HTML goes with its description; excluding an occurrence ends its override; where the edit moved the whole series,
    what *onto* alone knows of single occurrences moves along, and goes where its occurrence is no more. A rule goes with
    the start it takes its days from: another side may have written them out, and would keep the old ones. A start goes
    with its rule where the other side begins on another day: some begin with the first one that the rule hits.
    """
    moved = set(keys)
    if "rrule" in moved:
        moved |= _start_along(onto, from_)
    if "start" in moved:
        onto = _moved_along(onto, moved, from_)
        moved |= _rule_along(onto, from_)
    moved |= {_html_of(key) for key in moved if content_of(key) == "description"}
    result = take(onto, moved, from_)
    ended = {slot_of(key) for key in moved if key.startswith("exdate:") and key in result}
    if ended:
        result = {key: value for key, value in result.items() if not key.startswith("@") or slot_of(key) not in ended}
    result = _marked(result)
    return _without_ghosts(result, from_) if any(key in _PATTERN_KEYS or key == "start" for key in moved) else result


def _marked(flat: Flat) -> Flat:
    """Give each override that says something its mark."""
    for key in [key for key in flat if key.startswith("@") and ":" in key]:
        flat[f"@{slot_of(key)}"] = True
    return flat


def _without_ghosts(flat: Flat, from_: Mapping[str, Any]) -> Flat:
    """Take out overrides that only our side knows and whose occurrence the moved pattern no longer has (REC-05)."""
    own = {slot_of(key) for key in flat if key.startswith("@")} - {slot_of(key) for key in from_}
    if not own:
        return flat
    series = unflatten(flat, "")
    if series.is_detached:
        return flat
    start = series.event.start
    gone = {slot for slot in own if not (series.is_recurring and is_slot(series, slot_point(start, slot)))}
    return {key: value for key, value in flat.items() if not key.startswith("@") or slot_of(key) not in gone}


def _moved_along(onto: Mapping[str, Any], moved: set[str], from_: Mapping[str, Any]) -> Mapping[str, Any]:
    """Move what only *onto* says of single occurrences by what the start moves on its own clock."""
    own = [key for key in onto if key.startswith("@") and ":" in key and key not in moved and key not in from_]
    if not own:
        return onto
    old, new = read_point(onto["start"], "start"), read_point(from_["start"], "start")
    slots = {slot: moved_slot(slot, old, new) for slot in {slot_of(key) for key in own}}
    left = {*own, *(f"@{slot}" for slot in slots if f"@{slot}" not in from_)}
    kept = {key: value for key, value in onto.items() if key not in left}
    return kept | {key.replace(slot_of(key), slots[slot_of(key)], 1): onto[key] for key in own}


def _rule_along(onto: Mapping[str, Any], from_: Mapping[str, Any]) -> set[str]:
    """Give the key of the rule where the one of *onto* means other days than that of *from_* once it starts there."""
    return {"rrule"} if "rrule" in onto and "rrule" in from_ and not has_same_days(onto, from_) else set()


def _start_along(onto: Mapping[str, Any], from_: Mapping[str, Any]) -> set[str]:
    """Give the keys of the times where two forms begin on different days."""
    days = {wall_of(read_point(flat["start"], "start")).date() for flat in (onto, from_) if "start" in flat}
    return {"start", "end"} if len(days) > 1 else set()


def has_same_days(a: Mapping[str, Any], b: Mapping[str, Any]) -> bool:
    """Say whether two rules mean the same from the start of *b* on, whatever of it they leave to that."""
    one, other = a.get("rrule", ""), b.get("rrule", "")
    return bool(one == other or (one and other and are_alike(one, other, read_point(b["start"], "start"))))


def moved_slot(slot: str, old: Point, new: Point) -> str:
    """Give the slot that an occurrence has once its series has moved from an old start to a new one."""
    try:
        wall = wall_of(slot_point(old, slot)) + (wall_of(new) - wall_of(old))
    except OverflowError:
        return slot
    return slot_key(with_wall(new, wall))
