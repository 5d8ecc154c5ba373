"""What a side can and may hold of a series: privacy, detail, filters and the other side's limits.

`inward` runs before anything is stored, so what policy does not allow never enters the database (rule 3, PRV-01).
`outward` gives what goes to the other side. `Terms` says which fields two sides of one pairing compare, and whose
change of which field is carried over (ownership: app-origin and provider-origin events differ, relayed copies too).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, tzinfo
from enum import StrEnum
from typing import Any, Final

from gleichtakt.errors import Language
from gleichtakt.model.event import Event, Response, Sensitivity, Series, ShowAs, Status
from gleichtakt.model.point import Floating, Point, Timespan, Zoned, instant, shifted, wall_of
from gleichtakt.model.recurrence import bounds, same_slot
from gleichtakt.sync.flat import EVENT_FIELDS, TIME_FIELDS, content_of
from gleichtakt.sync.plan import Theirs
from gleichtakt.sync.policy import PEOPLE, TIMES_AND_STATE, Detail, Limits, Policy, detail_fields

BUSY_TITLES: Final[Mapping[str, str]] = {"de": "Belegt", "en": "Busy"}
PRIVATE_TITLES: Final[Mapping[str, str]] = {"de": "Privat", "en": "Private"}
HIDDEN: Final = frozenset({Sensitivity.PRIVATE, Sensitivity.CONFIDENTIAL})  # what rule 11 protects


class Role(StrEnum):
    """What the copy on the other side is to us."""

    OWN = "own"  # our event, their copy of it
    FOREIGN = "foreign"  # their event, our copy of it
    RELAYED = "relayed"  # somebody else's event that came over another link, their copy of it


def role_of(origin: str, *, is_origin_link: bool) -> Role:
    """Give the role of a pairing."""
    if origin == "app":
        return Role.OWN
    return Role.FOREIGN if is_origin_link else Role.RELAYED


@dataclass(frozen=True, slots=True)
class Withheld:
    """Why a side gets no copy: a code of `sentences.sync`. by_policy: not allowed, else not possible there."""

    reason: str
    by_policy: bool = True


# --- what crosses, in which direction ----------------------------------------------------------------------------


class Flow(StrEnum):
    """Whether a direction is open, closed for this link, or stopped for a while by the master switch."""

    OPEN = "open"
    CLOSED = "closed"
    STOPPED = "stopped"


def flows(policy: Policy, limits: Limits) -> tuple[Flow, Flow]:
    """Give (towards the provider, towards the application), after rule 1."""
    out = Flow.OPEN if policy.direction in ("two_way", "outbound") and limits.can_write else Flow.CLOSED
    into = Flow.OPEN if policy.direction in ("two_way", "inbound") else Flow.CLOSED
    if out is Flow.OPEN and not policy.outbound_enabled:
        out = Flow.STOPPED
    if into is Flow.OPEN and not policy.inbound_enabled:
        into = Flow.STOPPED
    return out, into


@dataclass(frozen=True, slots=True)
class Terms:
    """Which fields of one pairing cross.

    sends: fields compared on our side and written there; takes: fields compared on their side and written to ours.
    allowed_out, allowed_in: fields whose change is carried over; what is compared but not allowed is set back.
    times_in: of their changes, only those of times are taken. granted_*: the same before the other side's limits, so
    that a field policy withdrew is told from one the other side cannot hold.
    """

    role: Role
    out: Flow
    into: Flow
    sends: frozenset[str]
    takes: frozenset[str]
    allowed_out: frozenset[str]
    allowed_in: frozenset[str]
    times_in: bool = False
    times_out: bool = False
    asks: bool = False
    granted_out: frozenset[str] = frozenset()
    granted_in: frozenset[str] = frozenset()


def _withheld_people(policy: Policy, limits: Limits) -> frozenset[str]:
    """Give the people fields that stay out of what we write: all, unless asked for and writable without mail (rule 7)."""
    silent = limits.silent_attendees or policy.notify != "none"
    return frozenset() if policy.attendees == "write" and silent else PEOPLE


def inbound_fields(policy: Policy) -> frozenset[str]:
    """Give the fields of other people's events that policy lets us hold."""
    return detail_fields(policy.inbound_detail) - (PEOPLE if policy.attendees == "omit" else frozenset())


def outbound_fields(role: Role, policy: Policy, limits: Limits, origin_detail: Detail = "full") -> frozenset[str]:
    """Give the fields whose real values a copy on the other side may show."""
    granted = detail_fields(policy.outbound_detail)
    if role is Role.RELAYED:
        granted &= detail_fields(origin_detail)
        if policy.relay != "full":
            granted &= TIMES_AND_STATE
    return granted - _withheld_people(policy, limits)


def protects(role: Role, policy: Policy) -> bool:
    """Say whether a private event shows its times only across this pairing (rule 11)."""
    if role is Role.FOREIGN:
        return policy.private_events != "as_normal"
    return role is Role.RELAYED or policy.outbound_private == "private"


def real_fields(
    role: Role, policy: Policy, limits: Limits, *, origin_detail: Detail = "full", hidden: bool = False
) -> frozenset[str]:
    """Give the fields that show real values on both sides; hidden: the master is private."""
    real = inbound_fields(policy) if role is Role.FOREIGN else outbound_fields(role, policy, limits, origin_detail)
    return real & TIMES_AND_STATE if hidden and protects(role, policy) else real


def terms(
    role: Role,
    policy: Policy,
    limits: Limits,
    *,
    origin_writes: str = "refuse",
    origin_detail: Detail = "full",
    hidden: bool = False,
    made_by_us: bool = True,
    organizes: bool = True,
) -> Terms:
    """Give the terms of one pairing.

    hidden: the master is private on one side. made_by_us: the remote copy is our creation; on a copy somebody else
    made, a stand-in title is never written over theirs, and where somebody else organizes it, or it is only linked to
    an event of another calendar, nothing is written but what `app_writes_foreign` allows (rule 7, DUP-03).
    """
    real = real_fields(role, policy, limits, origin_detail=origin_detail, hidden=hidden)
    if role is Role.FOREIGN:
        return _foreign_terms(real, policy, limits, origin_writes)
    out, into = flows(policy, limits)
    granted = outbound_fields(role, policy, limits, origin_detail) | {"title"} if made_by_us else real
    if out is Flow.CLOSED:
        granted = frozenset()
    elif not made_by_us and (role is Role.RELAYED or not organizes):
        granted = _writable(policy.app_writes_foreign, real)
    writes = origin_writes if role is Role.RELAYED else _OWN_WRITES[policy.provider_writes_own]
    return Terms(
        role,
        out,
        into,
        sends=granted & limits.storable,
        takes=real & limits.storable,
        allowed_out=granted & limits.storable,
        allowed_in=_writable(writes, real) & limits.storable,
        times_in=writes == "times",
        asks=role is Role.OWN and policy.provider_writes_own == "ask",
        granted_out=granted,
        granted_in=real,
    )


_OWN_WRITES: Final = {"allow": "allow", "ask": "allow", "revert": "refuse"}


def _writable(writes: str, real: frozenset[str]) -> frozenset[str]:
    """Give the fields that `app_writes_foreign` opens."""
    return {"refuse": frozenset[str](), "times": real & (TIME_FIELDS | {"recurrence"})}.get(writes, real)


def _foreign_terms(real: frozenset[str], policy: Policy, limits: Limits, writes: str) -> Terms:
    """Give the terms on the link an event came from: their copy is the original, ours may carry a stand-in title."""
    out, into = flows(policy, limits)
    writable = real - _withheld_people(policy, limits)
    held = inbound_fields(policy) | {"title"}
    return Terms(
        Role.FOREIGN,
        out,
        into,
        sends=(writable if writes == "allow" else held) & limits.storable,
        takes=held & limits.storable,
        allowed_out=_writable(writes, writable) & limits.storable,
        allowed_in=held & limits.storable,
        times_out=writes == "times",
        granted_out=held,
        granted_in=held,
    )


def shared_fields(
    origin: str,
    *,
    is_origin_link: bool,
    policy: Policy,
    limits: Limits,
    origin_detail: Detail = "full",
    hidden: bool = False,
) -> frozenset[str]:
    """Give the fields that show real values on both sides and that the other side keeps."""
    role = role_of(origin, is_origin_link=is_origin_link)
    return real_fields(role, policy, limits, origin_detail=origin_detail, hidden=hidden) & limits.storable


def times_only(keys: Iterable[str]) -> frozenset[str]:
    """Keep of changed keys those that only say when: starts, ends, and what moves with the start of a series."""
    changed = frozenset(keys)
    kept = {key for key in changed if content_of(key) in TIME_FIELDS}
    if "start" in changed:  # slots are counted from the start: rule, dates and overrides move with it
        return frozenset(kept | {key for key in changed if content_of(key) == "recurrence" or key.startswith("@")})
    marks = {key.rpartition(":")[0] for key in kept if key.startswith("@")}
    return frozenset(kept | (marks & changed))


def refused_fields(changed: Iterable[str], writes: str) -> frozenset[str]:
    """Give of changed flat keys the fields that the application may not change of a provider's event.

    writes: `app_writes_foreign` of the link the event came from.
    """
    keys = frozenset(changed)
    if writes == "allow":
        return frozenset()
    return frozenset(content_of(key) for key in (keys - times_only(keys) if writes == "times" else keys))


# --- inward ------------------------------------------------------------------------------------------------------


def inward(
    series: Series,
    *,
    own_copy: bool,
    policy: Policy,
    limits: Limits,
    kind: str = "default",
    response: str = "none",
    is_organizer: bool = True,
    window: Timespan,
    reader: tzinfo,
    language: Language = "de",
    paired: bool = False,
    relayed: bool = False,
    modified_at: datetime | None = None,
) -> Theirs:
    """Say what we may hold of an object of the other side.

    own_copy: a copy of an event that is ours or came over another link; it carries the outbound fields and nothing
    more, and no filter applies to it. relayed: and it came over another link. paired: an event we mirror already; it
    is followed beyond the window too, because leaving the window is no deletion (rule 13, DEL-06).
    """
    if own_copy:
        role = Role.RELAYED if relayed else Role.OWN
        kept = outbound_fields(role, policy, limits) if role is Role.OWN or policy.relay == "full" else TIMES_AND_STATE
        return Theirs(_reduced(series, lambda _: (kept, "")), "", is_organizer, modified_at)
    reason = _filtered(series, policy, kind, response, is_organizer)
    if not reason and not paired and _is_outside(series, window, reader):
        reason = "outside"
    if reason:
        return Theirs(None, reason, is_organizer, modified_at)
    kept = inbound_fields(policy)
    titles = _titles(policy, language)

    def reduction(event: Event) -> tuple[frozenset[str], str]:
        if event.sensitivity in HIDDEN and protects(Role.FOREIGN, policy):
            return kept & TIMES_AND_STATE, titles[1]
        return kept, titles[0]

    return Theirs(_counted(_reduced(series, reduction), policy, kind), "", is_organizer, modified_at)


def _titles(policy: Policy, language: str) -> tuple[str, str]:
    """Give the stand-in titles (of what is not shown, of what is private)."""
    return policy.busy_title or BUSY_TITLES[language], PRIVATE_TITLES[language]


def _each_event(series: Series, change: Callable[[Event], Event]) -> Series:
    """Give a series with the master and every override changed; what was one occurrence stays one."""
    event = change(series.event)
    overrides = tuple(replace(override, event=change(override.event)) for override in series.overrides)
    return replace(series, event=event, overrides=overrides)


def _reduced(series: Series, reduction: Callable[[Event], tuple[frozenset[str], str]]) -> Series:
    """Keep of each event the fields its reduction names, with a stand-in for a title that is not among them."""

    def reduce_event(event: Event) -> Event:
        kept, title = reduction(event)
        if kept >= EVENT_FIELDS:
            return event
        bare = {name: getattr(event, name) for name in kept if name in EVENT_FIELDS}
        if "title" not in kept:
            bare["title"] = title
        if "description" in kept:
            bare["html"] = event.html
        return Event(**bare)

    return _each_event(series, reduce_event)


def _is_outside(series: Series, window: Timespan, reader: tzinfo) -> bool:
    start, end = bounds(series, reader)
    return not window.touches(Timespan(start, end or max(start, window.end)))


#: Answers of the mailbox's owner that the filter asks about; `unanswered` counts only for invitations.
_ANSWERS: Final = {Response.DECLINED.value: "declined", Response.NONE.value: "unanswered"}


def _filtered(series: Series, policy: Policy, kind: str, response: str, is_organizer: bool) -> str:
    """Give the reason not to mirror an event of theirs: private or filtered; empty to mirror it (rules 9 to 11)."""
    event, kinds = series.event, policy.event_kinds
    if event.sensitivity in HIDDEN and policy.private_events == "ignore":
        return "private"
    if event.status is Status.CANCELLED and kinds["cancelled"] == "ignore":
        return "filtered"
    answer = "" if is_organizer and response != Response.DECLINED.value else _ANSWERS.get(response, "")
    choices = [kinds[name] for name in (answer, kind) if isinstance(kinds.get(name), str)]
    state = _all_day_state(event, policy)
    choices.append("ignore" if state is None else kinds[state.value])
    return "filtered" if "ignore" in choices or not _wanted(event, kinds) else ""


def _wanted(event: Event, kinds: Mapping[str, object]) -> bool:
    """Apply the lists, patterns and lengths of the filter."""
    labels = {label.casefold() for label in event.categories}
    allowed, denied = _labels(kinds["categories_allow"]), _labels(kinds["categories_deny"])
    if (allowed and not labels & allowed) or labels & denied:
        return False
    title = event.title[:500]  # a pattern meets no more than this, however long a title is
    if kinds["subject_deny"] and re.search(str(kinds["subject_deny"]), title, re.IGNORECASE):
        return False
    if kinds["subject_allow"] and not re.search(str(kinds["subject_allow"]), title, re.IGNORECASE):
        return False
    minutes = (wall_of(event.end) - wall_of(event.start)) / timedelta(minutes=1)
    most = kinds["max_minutes"]
    return minutes >= float(str(kinds["min_minutes"])) and (not most or minutes <= float(str(most)))


def _labels(listed: object) -> frozenset[str]:
    return frozenset(str(label).casefold() for label in listed) if isinstance(listed, Iterable) else frozenset()


def _all_day_state(event: Event, policy: Policy) -> ShowAs | None:
    """Give how an event counts after the all-day rule (rule 10); None where it is to be ignored."""
    if not event.is_all_day:
        return event.show_as
    ruled = {
        "follow_show_as": event.show_as,
        "free": ShowAs.FREE,
        "busy": ShowAs.BUSY,
        "ignore": None,
        "busy_if_oof": event.show_as if event.show_as is ShowAs.OOF else ShowAs.FREE,
    }
    return ruled[policy.all_day]


#: A kind that is to count as busy keeps its finer state where that blocks time already (PRS-06).
_BLOCKS: Final = frozenset({ShowAs.TENTATIVE, ShowAs.BUSY, ShowAs.OOF})


def _counted(series: Series, policy: Policy, kind: str) -> Series:
    """Let every event count as the all-day rule and the filter say (rules 9 and 10)."""

    def count(event: Event) -> Event:
        state = _all_day_state(event, policy) or event.show_as
        choices = [policy.event_kinds.get(name) for name in (kind, state.value)]
        if "tentative" in choices:
            return replace(event, show_as=ShowAs.TENTATIVE)
        if "ignore" in choices or state in _BLOCKS:  # an ignored state of a single occurrence stays what it is
            return replace(event, show_as=state)
        return replace(event, show_as=ShowAs.BUSY)

    return _each_event(series, count)


# --- outward -----------------------------------------------------------------------------------------------------


def outward(
    series: Series,
    *,
    role: Role,
    policy: Policy,
    limits: Limits,
    origin_detail: Detail = "full",
    reader: tzinfo = UTC,
    language: Language = "de",
) -> Series | Withheld:
    """Say what the other side may and can hold of a series of ours, or why it gets none."""
    reason = _forbidden(series, role, policy, limits) or (_impossible(series, limits) if role is not Role.FOREIGN else None)
    if reason:
        return reason
    if role is not Role.FOREIGN:
        series = _reduced(series, _outward_reduction(role, policy, limits, origin_detail, language))
    return fitted(series, limits, reader)


def fitted(series: Series, limits: Limits, reader: tzinfo) -> Series:
    """Bring a series into the words of the other side: its states, its letters, its zones, its lengths."""
    return _same_kinds(_each_event(series, lambda event: _fitted(event, limits, reader)))


def _same_kinds(series: Series) -> Series:
    """Keep the dates of a series in the kind and zone of its start, where fitting has moved that."""
    start = series.event.start
    return replace(
        series,
        rdate=tuple(same_slot(start, point) for point in series.rdate),
        exdate=tuple(same_slot(start, point) for point in series.exdate),
        overrides=tuple(replace(o, recurrence_id=same_slot(start, o.recurrence_id)) for o in series.overrides),
    )


def _outward_reduction(
    role: Role, policy: Policy, limits: Limits, origin_detail: Detail, language: str
) -> Callable[[Event], tuple[frozenset[str], str]]:
    shown = outbound_fields(role, policy, limits, origin_detail)
    busy_title, private_title = _titles(policy, language)

    def reduction(event: Event) -> tuple[frozenset[str], str]:
        if event.sensitivity in HIDDEN and protects(role, policy):
            return shown & TIMES_AND_STATE, private_title
        return shown, busy_title

    return reduction


def _forbidden(series: Series, role: Role, policy: Policy, limits: Limits) -> Withheld | None:
    """Say whether policy wants no copy there."""
    if role is Role.FOREIGN:
        return None
    if role is Role.RELAYED and policy.relay == "none":
        return Withheld("sync.relay_off")
    if series.event.sensitivity in HIDDEN and policy.outbound_private == "exclude":
        return Withheld("sync.private_excluded")
    if series.event.status is Status.CANCELLED and "status" not in limits.fields:
        return Withheld("sync.cancelled")
    return None


def _impossible(series: Series, limits: Limits) -> Withheld | None:
    """Say whether the other side cannot hold it: years, rules, zones (BAD-05, REC-06)."""
    points = [point for event in _events(series) for point in (event.start, event.end)]
    if any(not limits.first_year <= wall_of(point).year <= limits.last_year for point in points):
        return Withheld("sync.year_not_held", by_policy=False)
    if limits.recurrence == "none" and (series.is_recurring or series.overrides):
        return Withheld("sync.rule_not_held", by_policy=False)
    if limits.recurrence == "exchange" and series.is_recurring and not _exchange_holds(series):
        return Withheld("sync.rule_not_held", by_policy=False)
    custom = any(isinstance(point, Zoned) and point.tzid.startswith("BEGIN:") for point in points)
    if custom and "custom" not in limits.zones and series.is_recurring:
        return Withheld("sync.zone_not_held", by_policy=False)
    return None


def _exchange_holds(series: Series) -> bool:
    from gleichtakt.model.exchange_pattern import NotExpressible, to_pattern

    return not series.rdate and not isinstance(to_pattern(series.rrule, series.event.start), NotExpressible)


def _events(series: Series) -> Iterable[Event]:
    yield series.event
    for override in series.overrides:
        yield override.event


#: Coarser states, tried in order: never freer than meant, except what is not busy at all (PRS-06).
COARSER_SHOW_AS: Final[Mapping[ShowAs, tuple[ShowAs, ...]]] = {
    ShowAs.FREE: (ShowAs.FREE, ShowAs.BUSY),
    ShowAs.TENTATIVE: (ShowAs.TENTATIVE, ShowAs.BUSY),
    ShowAs.BUSY: (ShowAs.BUSY,),
    ShowAs.OOF: (ShowAs.OOF, ShowAs.BUSY),
    ShowAs.WORKING_ELSEWHERE: (ShowAs.WORKING_ELSEWHERE, ShowAs.FREE, ShowAs.BUSY),
}
#: Never more public than meant (PRV-02).
COARSER_SENSITIVITY: Final[Mapping[Sensitivity, tuple[Sensitivity, ...]]] = {
    Sensitivity.NORMAL: (Sensitivity.NORMAL,),
    Sensitivity.PERSONAL: (Sensitivity.PERSONAL, Sensitivity.PRIVATE),
    Sensitivity.PRIVATE: (Sensitivity.PRIVATE, Sensitivity.CONFIDENTIAL),
    Sensitivity.CONFIDENTIAL: (Sensitivity.CONFIDENTIAL, Sensitivity.PRIVATE),
}
#: What XML 1.0 cannot carry, and so no calendar system takes (BAD-01).
_UNSPEAKABLE: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_TEXTS: Final = ("title", "description", "location", "conference_url", "url")


def _fitted(event: Event, limits: Limits, reader: tzinfo) -> Event:
    show_as = next((s for s in COARSER_SHOW_AS[event.show_as] if s.value in limits.show_as), event.show_as)
    sensitivity = next((s for s in COARSER_SENSITIVITY[event.sensitivity] if s.value in limits.sensitivity), event.sensitivity)
    start, end = (_fitted_point(point, limits, reader) for point in (event.start, event.end))
    if start == end and not limits.zero_length:
        end = shifted(start, timedelta(days=1) if event.is_all_day else timedelta(minutes=1))
    fitted = replace(event, show_as=show_as, sensitivity=sensitivity, start=start, end=end)
    unfit: dict[str, Any] = {
        name: _UNSPEAKABLE.sub("", text) for name in _TEXTS if _UNSPEAKABLE.search(text := getattr(event, name))
    }
    if event.html and ("html" not in limits.fields or _UNSPEAKABLE.search(event.html)):
        unfit["html"] = ""
    return replace(fitted, **unfit) if unfit else fitted


def _fitted_point(point: Point, limits: Limits, reader: tzinfo) -> Point:
    if isinstance(point, Floating) and "floating" not in limits.zones:
        name = getattr(reader, "key", None)
        return Zoned(point.wall, name) if name else Zoned(instant(point, reader).replace(tzinfo=None), "UTC")
    if isinstance(point, Zoned) and point.tzid.startswith("BEGIN:") and "custom" not in limits.zones:
        return Zoned(instant(point, reader).replace(tzinfo=None), "UTC")
    return point
