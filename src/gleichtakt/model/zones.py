"""Time zones by name: which names we know, which one name stands for each, and the rules behind it.

Rules come from the `tzdata` package alone, never from the machine, so that two machines agree on an hour. A custom
zone is named by its own text (``BEGIN:VTIMEZONE…``), so that equal ids with different rules never meet. Names other
systems use are resolved in `zone_spelling`.
"""

from __future__ import annotations

import zoneinfo
from collections.abc import Mapping
from datetime import UTC, tzinfo
from functools import cache, lru_cache
from importlib.resources import files

import tzdata  # type: ignore[import-untyped]

zoneinfo.reset_tzpath(to=())

CUSTOM = "BEGIN:VTIMEZONE"

#: Names without a link, or whose link leads to another country's zone that merely agrees since 1970.
_BETTER_TARGETS = {
    "Iceland": "Atlantic/Reykjavik",
    "Africa/Asmera": "Africa/Asmara",
    "Africa/Timbuktu": "Africa/Bamako",
    "America/Coral_Harbour": "America/Atikokan",
    "America/Virgin": "America/St_Thomas",
    "Atlantic/Jan_Mayen": "Europe/Oslo",
    "Pacific/Ponape": "Pacific/Pohnpei",
    "Pacific/Truk": "Pacific/Chuuk",
    "Pacific/Yap": "Pacific/Chuuk",
    "GMT": "UTC",
    "Etc/GMT": "UTC",
    "Etc/UTC": "UTC",
    "EST5EDT": "America/New_York",
    "CST6CDT": "America/Chicago",
    "MST7MDT": "America/Denver",
    "PST8PDT": "America/Los_Angeles",
}

#: What the data marks as no zone at all.
_NO_ZONES = frozenset({"Factory"})


def tzdata_version() -> str:
    """Give the release of the rules in use, such as ``2026f``."""
    return str(tzdata.IANA_VERSION)


def known_zone(tzid: str) -> bool:
    """Say whether `zone_of` has rules for exactly this name: an IANA name, or the text of a custom zone."""
    if tzid.startswith(CUSTOM):
        return _is_custom(tzid)
    return tzid in _canonical_names() or tzid == "UTC"


@lru_cache(maxsize=4096)
def zone_of(tzid: str) -> tzinfo:
    """Give the rules of a zone. Raises ValueError for a name that `known_zone` denies."""
    if tzid == "UTC":
        return UTC
    if tzid.startswith(CUSTOM):
        from gleichtakt.model.zone_rules import read_rules

        return read_rules(tzid)
    if tzid not in _canonical_names():
        raise ValueError(f"unknown time zone {tzid[:80]!r}")
    return zoneinfo.ZoneInfo(tzid)


def canonical_zone(name: str) -> str:
    """Give the one modern name of an IANA zone, whatever its case or age: ``asia/calcutta`` is ``Asia/Kolkata``.

    A country's own zone stays, even where the data has merged its rules with another's (``Europe/Oslo``). All names
    of UTC and GMT are ``UTC``. The one text of a custom zone is that of `zone_rules.normal_rules`, whatever the order and
    the line ends of its parts. Raises ValueError for other names.
    """
    if name.startswith(CUSTOM):
        return _normal(name)
    found = _names_without_case().get(name.casefold())
    if found is None:
        raise ValueError(f"unknown time zone {name[:80]!r}")
    return _canonical_names()[found]


def zone_names() -> tuple[str, ...]:
    """Give the canonical names, sorted: what a person may choose from."""
    return tuple(sorted(set(_canonical_names().values())))


def iana_from_windows(name: str, territory: str = "001") -> str | None:
    """Give the IANA zone of a Windows id, for a territory (``AT``) where it has one of its own."""
    from gleichtakt.model import zone_spelling

    return zone_spelling.iana_from_windows(name, territory)


def windows_from_iana(name: str) -> str | None:
    """Give the Windows id of an IANA zone; None where no Windows zone has its rules."""
    from gleichtakt.model import zone_spelling

    return zone_spelling.windows_from_iana(name)


def resolve_zone(tzid: str, vtimezone: str | None, calendar_default: str, year: int | None = None) -> tuple[str, str]:
    """Give the zone that another system's name means, and the code of a warning or nothing (see `zone_spelling`)."""
    from gleichtakt.model import zone_spelling

    return zone_spelling.resolve_zone(tzid, vtimezone, calendar_default, year or zone_spelling.DEFAULT_YEAR)


@lru_cache(maxsize=256)
def _normal(text: str) -> str:
    from gleichtakt.model.zone_rules import normal_rules

    return normal_rules(text)


@lru_cache(maxsize=256)
def _is_custom(text: str) -> bool:
    try:
        zone_of(text)
    except ValueError:
        return False
    return True


@cache
def _names_without_case() -> Mapping[str, str]:
    return {name.casefold(): name for name in _canonical_names()}


@cache
def _canonical_names() -> Mapping[str, str]:
    """Map each IANA name to its canonical one.

    Canonical is what the data lists for a country (zone.tab); else what a link leads to; else the name itself.
    """
    data = files(tzdata)
    names = [name for name in (data / "zones").read_text("utf-8").split() if name not in _NO_ZONES]
    links = _links((data / "zoneinfo" / "tzdata.zi").read_text("utf-8"))
    table = (data / "zoneinfo" / "zone.tab").read_text("utf-8")
    finished = {"UTC", *(line.split("\t")[2] for line in table.splitlines() if line and not line.startswith("#"))}

    def canonical(name: str) -> str:
        while name not in finished and (name in _BETTER_TARGETS or name in links):
            name = _BETTER_TARGETS.get(name) or links[name]
        return name

    return {name: canonical(name) for name in (*names, "UTC")}


def _links(compiled: str) -> Mapping[str, str]:
    """Read the links (``L target name``) of the data's one-letter text form."""
    rows = (line.split() for line in compiled.splitlines() if line.startswith("L "))
    return {name: target for _, target, name in rows}
