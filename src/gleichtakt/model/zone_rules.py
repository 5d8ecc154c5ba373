"""Custom time zones: the rules a VTIMEZONE text states, as a `tzinfo`.

A file's own zone is read only where no IANA name fits; it belongs to the events that carry it, never to the process.
Transitions are computed for the years 1900 to 2100; beyond, the nearest known offset holds.
Source: RFC 5545 §3.6.5.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, tzinfo
from itertools import islice, pairwise

from gleichtakt.errors import Permanent
from gleichtakt.model.point import Day, Zoned, wall_of
from gleichtakt.model.rule import Rule, parse_rule
from gleichtakt.model.rule_walk import Budget, walk

FIRST_YEAR, LAST_YEAR = 1900, 2100
MAX_TEXT = 64_000  # characters of one VTIMEZONE
MAX_OBSERVANCES = 1_000
MAX_ONSETS = 2_000  # of all observances together

_BEFORE_ALL = datetime.min  # noqa: DTZ901 - naive UTC


@dataclass(frozen=True, slots=True)
class Observance:
    """One STANDARD or DAYLIGHT part. start: first onset on the wall clock before it. dates: further onsets."""

    start: datetime
    offset_from: timedelta
    offset_to: timedelta
    is_daylight: bool
    name: str = ""
    rule: str = ""
    dates: tuple[datetime, ...] = ()


@dataclass(frozen=True, slots=True)
class Transition:
    """A change of the clock. at: naive UTC."""

    at: datetime
    before: timedelta
    after: timedelta
    name: str
    saving: timedelta


def read_rules(text: str) -> tzinfo:
    """Read the rules of a VTIMEZONE text (unfolded lines). Raises ValueError where it states none."""
    return RuleZone(tzid_of(text), transitions(observances(text)))


def tzid_of(text: str) -> str:
    """Give the TZID a VTIMEZONE text names."""
    return next((value for name, value in _lines(text) if name == "TZID"), "")


def observances(text: str) -> tuple[Observance, ...]:
    """Read the parts of a VTIMEZONE text. Raises ValueError when one is incomplete, or none is there."""
    if len(text) > MAX_TEXT:
        raise ValueError("the VTIMEZONE is too long")
    found: list[Observance] = []
    part: dict[str, list[str]] | None = None
    for name, value in _lines(text):
        if name == "BEGIN" and value.upper() in ("STANDARD", "DAYLIGHT"):
            part = {}
        elif name == "END" and part is not None:
            found.append(_observance(part, is_daylight=value.upper() == "DAYLIGHT"))
            part = None
        elif part is not None:
            part.setdefault(name, []).append(value)
    if not found or len(found) > MAX_OBSERVANCES:
        raise ValueError("the VTIMEZONE has no rules, or too many")
    return tuple(found)


def _lines(text: str) -> Iterator[tuple[str, str]]:
    for line in text.replace("\r\n ", "").replace("\n ", "").replace("\n\t", "").splitlines():
        head, _, value = line.partition(":")
        yield head.partition(";")[0].upper(), value.strip()


def _observance(part: dict[str, list[str]], *, is_daylight: bool) -> Observance:
    try:
        return Observance(
            start=_moment(part["DTSTART"][0]),
            offset_from=offset(part.get("TZOFFSETFROM", part["TZOFFSETTO"])[0]),
            offset_to=offset(part["TZOFFSETTO"][0]),
            is_daylight=is_daylight,
            name=part.get("TZNAME", [""])[0],
            rule=part.get("RRULE", [""])[0].upper(),
            dates=tuple(_moment(value) for values in part.get("RDATE", ()) for value in values.split(",")),
        )
    except KeyError as missing:
        raise ValueError(f"a part of the VTIMEZONE lacks {missing.args[0]}") from None


def _moment(text: str) -> datetime:
    digits = text.strip().removesuffix("Z")
    return datetime.strptime(digits, "%Y%m%dT%H%M%S" if "T" in digits else "%Y%m%d")  # noqa: DTZ007 - wall clock


def offset(text: str) -> timedelta:
    """Read ``+0100``, ``-023000``, and the sloppy ``+01:00`` and ``0100``."""
    sign = -1 if text.startswith("-") else 1
    digits = text.lstrip("+-").replace(":", "").ljust(4, "0")
    if not digits.isdigit() or len(digits) not in (4, 6) or int(digits[2:4]) > 59:
        raise ValueError(f"{text[:20]!r} is no offset")
    found = timedelta(hours=int(digits[:2]), minutes=int(digits[2:4]), seconds=int(digits[4:] or 0))
    if found >= timedelta(hours=24):
        raise ValueError(f"{text[:20]!r} is no offset")
    return sign * found


def transitions(parts: Sequence[Observance]) -> tuple[Transition, ...]:
    """Give the changes of the clock in order, the first with the offset that held before it."""
    standard = next((part.offset_to for part in parts if not part.is_daylight), parts[0].offset_from)
    try:
        found = sorted(
            (
                Transition(
                    _utc(onset, part.offset_from),
                    part.offset_from,
                    part.offset_to,
                    part.name,
                    part.offset_to - standard if part.is_daylight else timedelta(),
                )
                for part in parts
                for onset in islice(_onsets(part), MAX_ONSETS)
            ),
            key=lambda transition: (transition.at, not transition.saving),
        )
    except Permanent:
        raise ValueError("the rules of the VTIMEZONE repeat too often") from None
    chained = [replace(later, before=earlier.after) for earlier, later in pairwise(found)]
    return (replace(found[0], before=_offset_before(parts, found[0])), *chained)


def _offset_before(parts: Sequence[Observance], first: Transition) -> timedelta:
    """Give the offset before all onsets; one lone part without a rule means a fixed offset."""
    return first.after if len(parts) == 1 else first.before


def _utc(wall: datetime, at_offset: timedelta) -> datetime:
    try:
        return wall - at_offset
    except OverflowError:
        return _BEFORE_ALL


def _onsets(part: Observance) -> Iterator[datetime]:
    """Yield the onsets up to LAST_YEAR; a rule from 1601 is walked from FIRST_YEAR on."""
    yield part.start
    yield from part.dates
    if not part.rule:
        return
    rule = parse_rule(part.rule)
    last = _last_onset(rule, part.offset_from)
    for onset in walk(rule, part.start, Budget(), since=datetime(FIRST_YEAR, 1, 1), before=last + timedelta(seconds=1)):  # noqa: DTZ001
        if onset > part.start:
            yield onset


def _last_onset(rule: Rule, at_offset: timedelta) -> datetime:
    """Give the last moment on the clock the onsets are counted on; UNTIL may be in UTC, or a day to its end."""
    last = datetime(LAST_YEAR, 12, 31)  # noqa: DTZ001 - wall clock
    if rule.until is None:
        return last
    until = wall_of(rule.until)
    if isinstance(rule.until, Zoned):
        until = _shifted(until, at_offset)
    elif isinstance(rule.until, Day):
        until = _shifted(until, timedelta(hours=23, minutes=59, seconds=59))
    return min(last, until)


def write_rules(tzid: str, parts: Sequence[Observance]) -> str:
    """Give the VTIMEZONE text of some rules in one form, so that equal rules are equal texts."""
    lines = ["BEGIN:VTIMEZONE", f"TZID:{tzid}"]
    for part in sorted(parts, key=lambda part: (part.start, part.is_daylight, part.rule)):
        kind = "DAYLIGHT" if part.is_daylight else "STANDARD"
        lines += [f"BEGIN:{kind}", f"DTSTART:{_basic(part.start)}"]
        lines += [f"RDATE:{_basic(onset)}" for onset in sorted(part.dates)]
        lines += [f"RRULE:{part.rule}"] if part.rule else []
        lines += [f"TZNAME:{part.name}"] if part.name else []
        lines += [f"TZOFFSETFROM:{_signed(part.offset_from)}", f"TZOFFSETTO:{_signed(part.offset_to)}", f"END:{kind}"]
    return "\n".join([*lines, "END:VTIMEZONE"])


def normal_rules(text: str) -> str:
    """Bring a VTIMEZONE text to the form of `write_rules`. Raises ValueError where it states no rules."""
    normal = write_rules(tzid_of(text), observances(text))
    read_rules(normal)
    return normal


def _basic(wall: datetime) -> str:
    return wall.isoformat().replace("-", "").replace(":", "")


def _signed(found: timedelta) -> str:
    sign, seconds = ("-", -found) if found < timedelta() else ("+", found)
    minutes, rest = divmod(int(seconds.total_seconds()), 60)
    return f"{sign}{minutes // 60:02}{minutes % 60:02}" + (f"{rest:02}" if rest else "")


class RuleZone(tzinfo):
    """A zone by its list of transitions. Gaps and overlaps as PEP 495: `fold=0` is the offset before the change."""

    __slots__ = ("_key", "_steps", "_utc", "_walls")

    def __init__(self, key: str, steps: Iterable[Transition]) -> None:
        """key: for display only."""
        self._key, self._steps = key, tuple(steps)
        self._utc = [step.at for step in self._steps]
        self._walls = (
            [_shifted(step.at, max(step.before, step.after)) for step in self._steps],
            [_shifted(step.at, min(step.before, step.after)) for step in self._steps],
        )

    @property
    def key(self) -> str:
        """Give the TZID the text names."""
        return self._key

    @property
    def steps(self) -> tuple[Transition, ...]:
        """Give the changes of the clock, in order."""
        return self._steps

    def _step(self, moment: datetime | None) -> Transition | None:
        if moment is None:
            return self._steps[-1]
        index = bisect_right(self._walls[moment.fold], moment.replace(tzinfo=None, fold=0))
        return self._steps[index - 1] if index else None

    def utcoffset(self, moment: datetime | None) -> timedelta:
        """Give the offset at a wall-clock reading."""
        step = self._step(moment)
        return step.after if step else self._steps[0].before

    def dst(self, moment: datetime | None) -> timedelta:
        """Give the part of the offset that is daylight saving."""
        step = self._step(moment)
        return step.saving if step else timedelta()

    def tzname(self, moment: datetime | None) -> str:
        """Give the name in use then; the zone's own where the text has none."""
        step = self._step(moment)
        return (step.name if step else "") or self._key

    def fromutc(self, moment: datetime) -> datetime:
        """Give the wall clock at an instant."""
        at = moment.replace(tzinfo=None, fold=0)
        index = bisect_right(self._utc, at)
        step = self._steps[index - 1] if index else None
        here = step.after if step else self._steps[0].before
        repeats = step is not None and step.after < step.before and at - step.at < step.before - step.after
        return (at + here).replace(tzinfo=self, fold=int(repeats))

    def __repr__(self) -> str:
        """Name it."""
        return f"RuleZone({self._key!r})"

    def __reduce__(self) -> tuple[object, ...]:
        """Travel as the list of transitions."""
        return (RuleZone, (self._key, self._steps))


def _shifted(moment: datetime, by: timedelta) -> datetime:
    try:
        return moment + by
    except OverflowError:
        return moment
