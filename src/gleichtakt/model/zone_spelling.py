"""What other systems call a time zone, resolved to a name we know.

Order: IANA name (vendor paths and old names included), Windows id, the rules the file itself carries (an IANA zone
with the same rules, else kept as a custom zone), display names and offsets, the calendar's own zone with a warning.
Never silently UTC. Sources: Unicode CLDR windowsZones; RFC 5545 §3.2.19; what producers were seen to write.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from functools import cache, lru_cache

from gleichtakt.model import windows_zones
from gleichtakt.model.zone_rules import Observance, RuleZone, normal_rules, write_rules
from gleichtakt.model.zones import canonical_zone, zone_names, zone_of

GUESSED = "ics.zone_guessed"
UNKNOWN = "ics.zone_unknown"

MATCHED_YEARS = 10  # how long rules must agree to be called the same zone
DEFAULT_YEAR = 2020

#: Added by Microsoft in 2026, not in CLDR yet: the default zone first.
_NEW_WINDOWS = {
    "Alberta Standard Time": ("America/Edmonton", "America/Inuvik"),
    "British Columbia Standard Time": ("America/Vancouver",),
    "Manitoba Standard Time": ("America/Winnipeg",),
}

#: Names without an offset or a city in them, as localised systems and old programs write them.
_BY_HAND = {
    "z": "UTC",
    "coordinated universal time": "UTC",
    "koordinierte weltzeit": "UTC",
    "greenwich mean time": "Europe/London",
    "mez": "Europe/Berlin",
    "mesz": "Europe/Berlin",
    "cest": "Europe/Berlin",
    "mitteleuropäische zeit": "Europe/Berlin",
    "mitteleuropäische normalzeit": "Europe/Berlin",
    "mitteleuropäische sommerzeit": "Europe/Berlin",
    "central european time": "Europe/Berlin",
    "central european summer time": "Europe/Berlin",
    "w. europe": "Europe/Berlin",
    "westeuropäische zeit": "Europe/Lisbon",
    "osteuropäische zeit": "Europe/Bucharest",
    "bst": "Europe/London",
    "eastern": "America/New_York",
    "eastern time": "America/New_York",
    "edt": "America/New_York",
    "central": "America/Chicago",
    "central time": "America/Chicago",
    "cst": "America/Chicago",
    "cdt": "America/Chicago",
    "mountain": "America/Denver",
    "mountain time": "America/Denver",
    "mdt": "America/Denver",
    "pacific": "America/Los_Angeles",
    "pacific time": "America/Los_Angeles",
    "pst": "America/Los_Angeles",
    "pdt": "America/Los_Angeles",
}

_ID_INSIDE = re.compile(r'id="([^"]+)"')  # Java prints sun.util.calendar.ZoneInfo[id="Europe/Berlin",…]
_LOTUS_NAME = re.compile(r"\$ZN=([^$]+)")  # Lotus Notes: Z=-1$DO=1$DL=3 -1 1 10 -1 1$ZX=45$ZN=W. Europe
_OFFSET = re.compile(r"(?:GMT|UTC|UT|Z)?\s*([+-])\s*(\d{1,2})(?:[:.]?(\d\d))?", re.IGNORECASE)
_PREFIX = re.compile(r"\((?:GMT|UTC)\s*(?:([+-])\s*(\d{1,2})[:.]?(\d\d)?)?\)\s*", re.IGNORECASE)
_BETWEEN_CITIES = re.compile(r"\s*[,;:/]\s*")


# --- Windows -----------------------------------------------------------------------------------------------------


@cache
def _windows() -> Mapping[str, Mapping[str, tuple[str, ...]]]:
    """Map Windows ids to their zones by territory, canonical; `001` is the default."""
    found: dict[str, dict[str, tuple[str, ...]]] = {}
    current: dict[str, tuple[str, ...]] = {}
    for line in windows_zones.TEXT.splitlines():
        if line.startswith(" "):
            for pair in line.split():
                territory, _, zone = pair.partition(":")
                current[territory] = (*current.get(territory, ()), canonical_zone(zone))
        else:
            name, _, rest = line.partition(" = ")
            current = found[name] = {"001": (canonical_zone(rest.partition(" | ")[0]),)}
    found.update({name: {"001": zones} for name, zones in _NEW_WINDOWS.items()})
    return found


@cache
def _windows_without_case() -> Mapping[str, str]:
    return {name.casefold(): name for name in _windows()}


@cache
def _windows_by_iana() -> Mapping[str, str]:
    """Map canonical IANA names to Windows ids. The newer ids win, then the default territory, then the others."""
    newer = [(zone, name) for name, zones in _NEW_WINDOWS.items() for zone in zones]
    firsts = [(territories["001"][0], name) for name, territories in _windows().items()]
    others = [(zone, name) for name, territories in _windows().items() for zones in territories.values() for zone in zones]
    found: dict[str, str] = {}
    for zone, name in [*newer, *firsts, *others]:
        found.setdefault(zone, name)
    return found


def iana_from_windows(name: str, territory: str = "001") -> str | None:
    """Give the IANA zone of a Windows id, for a territory (``AT``) where it has one of its own."""
    found = _windows_without_case().get(name.strip().casefold())
    if found is None:
        return None
    territories = _windows()[found]
    return territories.get(territory, territories["001"])[0]


def windows_from_iana(name: str) -> str | None:
    """Give the Windows id of an IANA zone; for a zone CLDR leaves out, that of a zone with the same rules, or None."""
    try:
        zone = canonical_zone(name)
    except ValueError:
        return None
    listed = _windows_by_iana().get(zone)
    if listed or zone.startswith("BEGIN:"):
        return listed
    return _windows_by_iana().get(_same_among(zone_of(zone), tuple(_windows_by_iana()), DEFAULT_YEAR) or "")


# --- resolving ---------------------------------------------------------------------------------------------------


@lru_cache(maxsize=2048)
def resolve_zone(tzid: str, vtimezone: str | None, calendar_default: str, year: int = DEFAULT_YEAR) -> tuple[str, str]:
    """Give the zone a TZID means, and the code of a warning or nothing.

    vtimezone: the file's own definition of it (unfolded lines). year: of the event, from which on rules are compared.
    The name is empty where nothing helps; the reading then floats, with the warning `ics.zone_unknown`.
    """
    spelled = tzid.strip().strip('"').strip()
    known = _by_iana(spelled) or iana_from_windows(spelled)
    if known:
        return known, ""
    if vtimezone:
        found = _by_rules(spelled, vtimezone, calendar_default, year)
        if found:
            return found, ""
    described = next(_described(spelled), None)
    if described:
        return described, ""
    return (calendar_default, GUESSED) if calendar_default else ("", UNKNOWN)


def _by_iana(spelled: str) -> str | None:
    """Find an IANA name: as it is, with blanks for underscores, inside Java's own print, or at the end of a path."""
    inside = _ID_INSIDE.search(spelled)
    name = (inside[1] if inside else spelled).replace(" ", "_")
    parts = name.strip("/").split("/")
    candidates = ["/".join(parts[-length:]) for length in (len(parts), 3, 2, 1) if 0 < length <= len(parts)]
    for candidate in candidates if len(parts) > 1 else candidates[:1]:
        try:
            return canonical_zone(candidate)
        except ValueError:
            continue
    return None


def _by_rules(spelled: str, text: str, calendar_default: str, year: int) -> str | None:
    located = re.search(r"^X-LIC-LOCATION[^:]*:(.+?)\s*$", text, re.IGNORECASE | re.MULTILINE)
    if located and (name := _by_iana(located[1])):
        return name
    try:
        normal = normal_rules(text)
    except ValueError:
        return None
    rules = zone_of(normal)
    hints = tuple(dict.fromkeys([*_described(spelled), *([calendar_default] if calendar_default else [])]))
    found = _same_among(rules, hints, year)
    if found:
        return found
    fixed = _fixed_offset(rules, year)
    if fixed is not None and (name := _of_offset(fixed)) and not name.startswith("BEGIN:"):
        return name
    return _same_among(rules, _preferred(), year) or normal


@cache
def _preferred() -> tuple[str, ...]:
    """Give the IANA zones in the order a match is looked for: Windows' defaults first, then all."""
    firsts = [territories["001"][0] for territories in _windows().values()]
    return tuple(dict.fromkeys([*firsts, *zone_names()]))


def _same_among(rules: tzinfo, candidates: tuple[str, ...], year: int) -> str | None:
    """Find the first candidate that shows the same clock as *rules* in ten years from *year* on."""
    moments = _moments(rules, max(min(year, 2090), 1901))
    wanted = [moment.astimezone(rules).utcoffset() for moment in moments]
    for candidate in candidates:
        zone = zone_of(candidate)
        if all(moment.astimezone(zone).utcoffset() == offset for moment, offset in zip(moments, wanted, strict=True)):
            return candidate
    return None


def _moments(rules: tzinfo, year: int) -> list[datetime]:
    """Give the moments to compare: around each transition first, then every ten days."""
    first = datetime(year, 1, 1, tzinfo=UTC)
    last = datetime(year + MATCHED_YEARS, 1, 1, tzinfo=UTC)
    steps = rules.steps if isinstance(rules, RuleZone) else ()
    changes = [step.at.replace(tzinfo=UTC) for step in steps]
    around = [at + timedelta(seconds=nudge) for at in changes if first < at < last for nudge in (-1, 0)]
    return [*around, *(first + timedelta(days=days) for days in range(0, (last - first).days, 10))]


def _fixed_offset(rules: tzinfo, year: int) -> timedelta | None:
    offsets = {moment.astimezone(rules).utcoffset() for moment in _moments(rules, max(min(year, 2090), 1901))}
    return offsets.pop() if len(offsets) == 1 else None


# --- descriptions ------------------------------------------------------------------------------------------------


def _described(spelled: str) -> Iterator[str]:
    """Yield the zones a description may mean: by hand list, by the cities in it, by its offset."""
    lotus = _LOTUS_NAME.search(spelled)
    text = (lotus[1] if lotus else spelled).strip()
    prefix = _PREFIX.match(text)
    bare = _PREFIX.sub("", text).strip()
    by_hand = _BY_HAND.get(bare.casefold()) or iana_from_windows(bare) or iana_from_windows(f"{bare} Standard Time")
    if by_hand:
        yield by_hand
    places = [_city(part) for part in _BETWEEN_CITIES.split(bare)]
    grouped = Counter(zone for place in places for zone in _windows_of_place().get(place, ()))
    yield from (zone for zone, count in grouped.most_common(1) if count > 1)
    yield from (_zone_of_place()[place] for place in places if place in _zone_of_place())
    stated = prefix or _OFFSET.fullmatch(text)
    if stated and stated[1] and (zone := _of_offset(_timedelta(stated))):
        yield zone


def _city(text: str) -> str:
    return re.sub(r"[^a-zà-ÿ]+", " ", text.casefold()).strip()


@cache
def _windows_of_place() -> Mapping[str, tuple[str, ...]]:
    """Map the places in Windows' display names to the zones of those names."""
    found: dict[str, tuple[str, ...]] = {}
    for line in windows_zones.TEXT.splitlines():
        if not line.startswith(" "):
            zone, _, display = line.partition(" = ")[2].partition(" | ")
            for place in _BETWEEN_CITIES.split(_PREFIX.sub("", display)):
                found[_city(place)] = (*found.get(_city(place), ()), canonical_zone(zone))
    found.pop("", None)
    return found


@cache
def _zone_of_place() -> Mapping[str, str]:
    """Map places to zones: the last part of IANA names, then the places in Windows' display names."""
    cities = {_city(name.rpartition("/")[2]): name for name in zone_names() if "/" in name and not name.startswith("Etc/")}
    return {**{place: zones[0] for place, zones in _windows_of_place().items()}, **cities}


def _timedelta(found: re.Match[str]) -> timedelta:
    length = timedelta(hours=int(found[2]), minutes=int(found[3] or 0))
    return -length if found[1] == "-" else length


def _of_offset(offset: timedelta) -> str | None:
    """Give the zone that always has an offset; its sign is the other way round in ``Etc/GMT-2``."""
    seconds = int(offset.total_seconds())
    if seconds == 0:
        return "UTC"
    if seconds % 3600 == 0 and -12 <= seconds // 3600 <= 14:
        return f"Etc/GMT{-seconds // 3600:+d}"
    if abs(seconds) >= 86400:
        return None
    sign, minutes = ("-" if seconds < 0 else "+"), abs(seconds) // 60
    start = datetime(1970, 1, 1)  # noqa: DTZ001 - wall clock
    return write_rules(f"{sign}{minutes // 60:02}:{minutes % 60:02}", [Observance(start, offset, offset, False)])
