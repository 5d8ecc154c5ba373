"""vCalendar 1.0, the format of old phones and programs, brought to the lines of iCalendar.

Source: vCalendar 1.0 (versit, 1996) §2.1 (encodings), appendix recurrence grammar.
"""

from __future__ import annotations

import quopri
import re
from collections.abc import Callable

from gleichtakt.model.ics.component import Component
from gleichtakt.model.ics.lines import Line, parameters, write_text

_TRANSP = {"0": "OPAQUE"}
_SEMICOLON_LISTS = frozenset({"CATEGORIES", "EXDATE", "RDATE", "RESOURCES"})
_BASIC_RULE = re.compile(r"(D|W|MP|MD|YM|YD)(\d+)((?:\s+[A-Z0-9+-]+?(?=\s|$))*)(?:\s+#(\d+))?(?:\s+(\d{8}(?:T\d{6}Z?)?))?\s*$")
_PERIODS = {"D": "DAILY", "W": "WEEKLY", "MP": "MONTHLY", "MD": "MONTHLY", "YM": "YEARLY", "YD": "YEARLY"}
_ORDINAL = re.compile(r"(\d)([+-])$")
_WEEKDAYS = frozenset({"SU", "MO", "TU", "WE", "TH", "FR", "SA"})


def is_old(root: Component) -> bool:
    """Say whether a calendar is written in version 1.0."""
    return root.value("VERSION").strip() == "1.0"


def upgraded(event: Component, root: Component) -> Component:
    """Give the event with the lines of version 2.0."""
    zone = root.value("TZ").strip()
    lines = [_upgraded(line, zone) for line in event.lines if line.name not in ("DALARM", "AALARM", "MALARM", "PALARM")]
    alarms = [_alarm(line, event) for line in event.lines if line.name in ("DALARM", "AALARM")]
    return Component(event.name, lines, [*event.children, *alarms], event.number, event.is_closed)


def _upgraded(line: Line, zone: str) -> Line:
    params = parameters(line.params)
    value = line.value
    if "QUOTED-PRINTABLE" in (params.get("ENCODING", "").upper(), params.get("", "")):
        value = _decoded(value, params.get("CHARSET", "utf-8"))
    if line.name in _CONVERSIONS:
        value = _CONVERSIONS[line.name](value)
    elif line.name in _SEMICOLON_LISTS:
        value = value.replace(";", ",")
    elif value != line.value:
        value = write_text(value)
    kept = "" if line.name not in ("DTSTART", "DTEND", "EXDATE", "RDATE", "RECURRENCE-ID") or value.endswith("Z") else line.params
    if line.name in ("DTSTART", "DTEND") and not kept and zone and re.fullmatch(r"\d{8}T\d{6}", value):
        kept = f"TZID={zone}"
    if line.name in ("ATTENDEE", "ORGANIZER"):
        kept = line.params
    return Line(line.name, kept, value, line.number)


def _decoded(value: str, charset: str) -> str:
    raw = quopri.decodestring(value.encode("utf-8", "replace"))
    try:
        return raw.decode(charset)
    except (LookupError, UnicodeDecodeError):
        return raw.decode("cp1252", "replace")


def _rule(value: str) -> str:
    """Turn ``W2 MO TH #10`` into ``FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,TH;COUNT=10``; without #n it happens twice."""
    if "FREQ=" in value.upper():
        return value
    found = _BASIC_RULE.match(value.strip().upper())
    if not found:
        return value
    kind, interval, words, count, until = found.groups()
    parts = [f"FREQ={_PERIODS[kind]}", f"INTERVAL={interval}"]
    if listed := _listed(kind, words.split()):
        parts.append(listed)
    if until:
        parts.append(f"UNTIL={until}")
    elif count != "0":
        parts.append(f"COUNT={count or 2}")
    return ";".join(parts)


def _listed(kind: str, words: list[str]) -> str:
    if kind == "MP":
        return _positions(words)
    names = {"W": "BYDAY", "MD": "BYMONTHDAY", "YM": "BYMONTH", "YD": "BYYEARDAY"}
    values = ["-1" if word == "LD" else _signed(word) for word in words]
    return f"{names[kind]}={','.join(values)}" if values and kind in names else ""


def _signed(word: str) -> str:
    found = _ORDINAL.match(word) if word[-1:] in "+-" else None
    if found is None and word[-1:] in "+-":
        return f"{'-' if word[-1] == '-' else ''}{word[:-1]}"
    return word if found is None else f"{'-' if found[2] == '-' else ''}{found[1]}"


def _positions(words: list[str]) -> str:
    """Read ``1+ SU 2- MO``: each day belongs to the ordinals before it."""
    days, ordinal = [], ""
    for word in words:
        if word in _WEEKDAYS:
            days.append(f"{ordinal}{word}")
        elif word[-1:] in "+-":
            ordinal = _signed(word)
    return f"BYDAY={','.join(days)}" if days else ""


def _status(value: str) -> str:
    word = value.strip().upper()
    return word if word in ("TENTATIVE", "CONFIRMED", "CANCELLED") else "CONFIRMED"


def _alarm(line: Line, event: Component) -> Component:
    """Turn ``DALARM:19960415T235000;PT5M;2;text`` into a VALARM at that time; local times count from the start."""
    moment = line.value.partition(";")[0].strip()
    trigger = Line("TRIGGER", "VALUE=DATE-TIME", moment, line.number)
    return Component("VALARM", [Line("ACTION", "", "DISPLAY", line.number), trigger], number=line.number)


_CONVERSIONS: dict[str, Callable[[str], str]] = {
    "RRULE": _rule,
    "EXRULE": _rule,
    "STATUS": _status,
    "TRANSP": lambda value: _TRANSP.get(value.strip(), "TRANSPARENT") if value.strip().isdecimal() else value,
}
