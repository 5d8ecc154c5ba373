"""What a link may do: the settings by name, their defaults, and how the nearest level wins.

`SETTINGS` is the one table; the REST interface, the pages and the documentation are made from it. A `Policy` is the
outcome for one link, complete and typed. `Limits` is what the other side can hold, as plain values, because this room
knows no provider.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, cast

from gleichtakt.errors import Language
from gleichtakt.model.point import Timespan
from gleichtakt.sync.flat import EVENT_FIELDS

Detail = str | tuple[str, ...]  # busy | title_time | full, or a list of fields

#: What each named level of detail covers. Times, recurrence and busy state are in all of them, and so is
#: sensitivity: a copy of a private event is marked private however little it says (rule 3, rule 11).
TIMES_AND_STATE: Final = frozenset({"start", "end", "recurrence", "show_as", "status", "sensitivity"})
DETAILS: Final[Mapping[str, frozenset[str]]] = {
    "busy": TIMES_AND_STATE,
    "title_time": TIMES_AND_STATE | {"title"},
    "full": EVENT_FIELDS | {"recurrence"},
}
PEOPLE: Final = frozenset({"organizer", "attendees"})

KIND_CHOICES: Final = ("ignore", "busy", "tentative")
#: Rule 9: per show-as, per answer, and per special type of a calendar system.
KIND_DEFAULTS: Final[Mapping[str, Any]] = {
    "free": "ignore",
    "tentative": "busy",
    "busy": "busy",
    "oof": "busy",
    "working_elsewhere": "ignore",
    "declined": "ignore",
    "unanswered": "busy",
    "cancelled": "ignore",
    "focus_time": "busy",
    "out_of_office": "busy",
    "working_location": "ignore",
    "birthday": "ignore",
    "categories_allow": (),
    "categories_deny": (),
    "subject_allow": "",
    "subject_deny": "",
    "min_minutes": 0,
    "max_minutes": 0,  # 0: no limit
}

MAX_PATTERN = 200  # characters of a subject pattern


def detail_fields(detail: Detail) -> frozenset[str]:
    """Give the fields a level of detail, or a list of fields, covers."""
    if isinstance(detail, str):
        return DETAILS[detail]
    return TIMES_AND_STATE | frozenset(detail)


@dataclass(frozen=True, slots=True)
class Limits:
    """What the other side can hold: `providers.protocol.Abilities` as plain values.

    fields: names of event fields that survive there, besides start, end and recurrence. recurrence: rfc5545, exchange
    or none. zero_length: an event may end when it begins.
    """

    fields: frozenset[str] = EVENT_FIELDS
    show_as: frozenset[str] = frozenset({"free", "tentative", "busy", "oof", "working_elsewhere"})
    sensitivity: frozenset[str] = frozenset({"normal", "personal", "private", "confidential"})
    recurrence: str = "rfc5545"
    zones: frozenset[str] = frozenset({"iana", "custom", "floating"})
    can_write: bool = True
    silent_attendees: bool = True
    first_year: int = 1
    last_year: int = 9999
    zero_length: bool = True

    @property
    def storable(self) -> frozenset[str]:
        """Give all field names the side keeps."""
        recurring = frozenset({"recurrence"}) if self.recurrence != "none" else frozenset[str]()
        return (self.fields & EVENT_FIELDS) | {"start", "end"} | recurring


@dataclass(frozen=True, slots=True)
class Policy:
    """Every setting of one link. See `SETTINGS` for what each means; defaults are the product's."""

    direction: str = "two_way"
    inbound_enabled: bool = True
    outbound_enabled: bool = True
    inbound_detail: Detail = "busy"
    outbound_detail: Detail = "title_time"
    conflict_rule: str = "app_first"
    field_owners: Mapping[str, str] = field(default_factory=dict)
    app_writes_foreign: str = "refuse"
    provider_writes_own: str = "allow"
    relay: str = "busy"
    on_remote_delete: str = "ask"
    on_disable: str = "ask"
    remove_copy: bool = True
    delete_grace_minutes: int = 15
    guard_delete_min: int = 5
    guard_delete_share: float = 0.2
    guard_update_min: int = 10
    guard_update_share: float = 0.5
    guard_mails: int = 20
    notify: str = "none"
    attendees: str = "omit"
    all_day: str = "follow_show_as"
    private_events: str = "busy_private"
    outbound_private: str = "private"
    event_kinds: Mapping[str, Any] = field(default_factory=lambda: dict(KIND_DEFAULTS))
    window_back_days: int = 30
    window_ahead_days: int = 365
    interval_seconds: int = 60
    first_run: str = "merge"
    busy_title: str = ""
    retention_days: int = 30

    def window(self, now: datetime) -> Timespan:
        """Give the stretch of time that is mirrored; it rolls once a day, at midnight UTC."""
        today = now.replace(hour=0, minute=0, second=0, microsecond=0)
        return Timespan(today - timedelta(days=self.window_back_days), today + timedelta(days=self.window_ahead_days + 1))


# --- checking values ---------------------------------------------------------------------------------------------

Check = Callable[[Any], Any]


class Unfit(ValueError):
    """A value that a setting does not take; the text says what is expected."""


def _one_of(*choices: str) -> Check:
    def check(value: Any) -> str:
        if not isinstance(value, str) or value not in choices:
            raise Unfit(f"expected one of {', '.join(choices)}")
        return value

    return check


def _whole(least: int, most: int) -> Check:
    def check(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise Unfit(f"expected a whole number from {least} to {most}")
        return value

    return check


def _share(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise Unfit("expected a share from 0 to 1")
    return float(value)


def _yes_or_no(value: Any) -> bool:
    if not isinstance(value, bool):
        raise Unfit("expected true or false")
    return value


def _short_text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > 200 or any(ord(sign) < 32 for sign in value):
        raise Unfit("expected a text of one line, 200 characters at most")
    return value.strip()


def _detail(value: Any) -> Detail:
    if isinstance(value, str):
        return cast("str", _one_of(*DETAILS)(value))
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
        raise Unfit("expected busy, title_time, full or a list of fields")
    unknown = sorted(set(value) - DETAILS["full"])
    if unknown:
        raise Unfit(f"unknown field {unknown[0]}; known are {', '.join(sorted(DETAILS['full']))}")
    return tuple(sorted(set(value)))


_kind = _one_of(*KIND_CHOICES)


def _pattern(value: Any) -> str:
    if not isinstance(value, str) or len(value) > MAX_PATTERN:
        raise Unfit(f"expected a regular expression of {MAX_PATTERN} characters at most")
    try:
        re.compile(value)
    except re.error as refused:
        raise Unfit(f"is no regular expression: {refused}") from None
    return value


def _words(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
        raise Unfit("expected a list of texts")
    return tuple(value)


_KIND_CHECKS: Final[Mapping[str, Check]] = {
    name: {str: _kind, tuple: _words, int: _whole(0, 10_000_000)}[type(default)] for name, default in KIND_DEFAULTS.items()
} | {"subject_allow": _pattern, "subject_deny": _pattern}


def _event_kinds(value: Any) -> Mapping[str, Any]:
    """Check a filter; what it does not name keeps its default."""
    if not isinstance(value, Mapping):
        raise Unfit('expected an object such as {"tentative": "ignore"}')
    checked = dict(KIND_DEFAULTS)
    for name, choice in value.items():
        if name not in _KIND_CHECKS:
            raise Unfit(f"unknown kind {name}; known are {', '.join(KIND_DEFAULTS)}")
        try:
            checked[name] = _KIND_CHECKS[name](choice)
        except Unfit as refused:
            raise Unfit(f"{name}: {refused}") from None
    return checked


def _field_owners(value: Any) -> Mapping[str, str]:
    if not isinstance(value, Mapping):
        raise Unfit('expected an object such as {"start": "provider"}')
    for name, owner in value.items():
        if name not in DETAILS["full"] or owner not in ("app", "provider"):
            raise Unfit(f"expected event fields owned by app or provider, found {name}: {owner}")
    return dict(value)


# --- the table ---------------------------------------------------------------------------------------------------

EVERYWHERE: Final = ("global", "group", "resource", "link")


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting. kind: choice, flag, number, share, text, detail, kinds or owners; choices where it is a choice."""

    name: str
    kind: str
    check: Check
    default: Any
    help: Mapping[Language, str]
    choices: tuple[str, ...] = ()
    levels: tuple[str, ...] = EVERYWHERE


_DEFAULTS: Final = Policy()


def _setting(name: str, kind: str, check: Check, de: str, en: str, **more: Any) -> Setting:
    return Setting(name, kind, check, getattr(_DEFAULTS, name), {"de": de, "en": en}, **more)


def _choice(name: str, choices: tuple[str, ...], de: str, en: str) -> Setting:
    return _setting(name, "choice", _one_of(*choices), de, en, choices=choices)


def _number(name: str, least: int, most: int, de: str, en: str) -> Setting:
    return _setting(name, "number", _whole(least, most), de, en)


def _flag(name: str, de: str, en: str, **more: Any) -> Setting:
    return _setting(name, "flag", _yes_or_no, de, en, **more)


SETTINGS: Final[Mapping[str, Setting]] = {
    setting.name: setting
    for setting in (
        _choice(
            "direction",
            ("two_way", "inbound", "outbound", "off"),
            "In welche Richtung abgeglichen wird.",
            "Which way events travel.",
        ),
        _flag(
            "inbound_enabled",
            "Hauptschalter: Änderungen aus Kalendersystemen übernehmen.",
            "Master switch: take changes from calendar systems.",
            levels=("global",),
        ),
        _flag(
            "outbound_enabled",
            "Hauptschalter: in Kalendersysteme schreiben.",
            "Master switch: write to calendar systems.",
            levels=("global",),
        ),
        _setting(
            "inbound_detail",
            "detail",
            _detail,
            "Wie viel von fremden Terminen übernommen und gespeichert wird.",
            "How much of other people's events is taken over and stored.",
            choices=tuple(DETAILS),
        ),
        _setting(
            "outbound_detail",
            "detail",
            _detail,
            "Wie viel von eigenen Terminen im anderen Kalender steht.",
            "How much of our events the other calendar shows.",
            choices=tuple(DETAILS),
        ),
        _choice(
            "conflict_rule",
            ("app_first", "provider_first", "newest", "manual"),
            "Wer gewinnt, wenn dasselbe Feld auf beiden Seiten geändert wurde.",
            "Who wins when one field was changed on both sides.",
        ),
        _setting(
            "field_owners",
            "owners",
            _field_owners,
            "Felder, bei denen immer dieselbe Seite gewinnt, z. B. start: provider.",
            "Fields in which one side always wins, such as start: provider.",
        ),
        _choice(
            "app_writes_foreign",
            ("refuse", "times", "allow"),
            "Ob die Anwendung Termine ändern darf, die aus dem Kalendersystem stammen.",
            "Whether the application may change events that came from the calendar system.",
        ),
        _choice(
            "provider_writes_own",
            ("allow", "ask", "revert"),
            "Ob Änderungen im Kalendersystem an Terminen der Anwendung übernommen werden.",
            "Whether changes made in the calendar system to the application's events are taken.",
        ),
        _choice(
            "relay",
            ("none", "busy", "full"),
            "Wie viel von einem Termin aus einem verknüpften Kalender in den anderen steht.",
            "How much of an event from one linked calendar the other ones show.",
        ),
        _choice(
            "on_remote_delete",
            ("ask", "cancel_booking", "recreate", "unlink"),
            "Was geschieht, wenn eine Buchung der Anwendung im Kalendersystem gelöscht wird.",
            "What happens when a booking of the application is deleted in the calendar system.",
        ),
        _choice(
            "on_disable",
            ("ask", "keep", "delete_own"),
            "Was mit vorhandenen Kopien geschieht, wenn eine Richtung abgeschaltet wird.",
            "What happens to existing copies when a direction is switched off.",
        ),
        _flag(
            "remove_copy",
            "Kopien entfernen, die ein Filter nicht mehr zulässt.",
            "Remove copies that a filter no longer lets through.",
        ),
        _number(
            "delete_grace_minutes",
            0,
            10_080,
            "Wie lange eine Löschung im Kalendersystem wartet, bevor sie gilt (Minuten).",
            "How long a deletion in the calendar system waits before it counts (minutes).",
        ),
        _number(
            "guard_delete_min",
            0,
            100_000,
            "So viele Löschungen je Lauf gehen immer ohne Rückfrage.",
            "This many deletions per run never need approval.",
        ),
        _setting(
            "guard_delete_share",
            "share",
            _share,
            "Über diesem Anteil gelöschter Termine wartet der Lauf auf Freigabe.",
            "Above this share of deleted events a run waits for approval.",
        ),
        _number(
            "guard_update_min",
            0,
            100_000,
            "So viele Änderungen je Lauf gehen immer ohne Rückfrage.",
            "This many updates per run never need approval.",
        ),
        _setting(
            "guard_update_share",
            "share",
            _share,
            "Über diesem Anteil geänderter Termine wartet der Lauf auf Freigabe.",
            "Above this share of updated events a run waits for approval.",
        ),
        _number(
            "guard_mails",
            0,
            100_000,
            "Mehr Benachrichtigungen je Lauf warten auf Freigabe.",
            "More notifications than this per run wait for approval.",
        ),
        _choice(
            "notify",
            ("none", "external_only", "all"),
            "Wen das Kalendersystem über unsere Änderungen benachrichtigen darf.",
            "Whom the calendar system may notify about our changes.",
        ),
        _choice(
            "attendees",
            ("omit", "write"),
            "Ob Teilnehmer in Kopien geschrieben werden.",
            "Whether attendees are written into copies.",
        ),
        _choice(
            "all_day",
            ("follow_show_as", "free", "busy", "ignore", "busy_if_oof"),
            "Wie ganztägige Termine zählen.",
            "How all-day events count.",
        ),
        _choice(
            "private_events",
            ("busy_private", "ignore", "as_normal"),
            "Wie private Termine anderer übernommen werden.",
            "How other people's private events are taken over.",
        ),
        _choice(
            "outbound_private",
            ("private", "normal", "exclude"),
            "Wie private Termine der Anwendung im anderen Kalender stehen.",
            "How the application's private events appear in the other calendar.",
        ),
        _setting(
            "event_kinds",
            "kinds",
            _event_kinds,
            "Welche Arten von Terminen übernommen werden und wie sie zählen.",
            "Which kinds of events are taken over and how they count.",
        ),
        _number("window_back_days", 0, 3_650, "Wie viele Tage zurück abgeglichen wird.", "How many days back are mirrored."),
        _number("window_ahead_days", 1, 3_650, "Wie viele Tage voraus abgeglichen wird.", "How many days ahead are mirrored."),
        _number(
            "interval_seconds",
            5,
            86_400,
            "Abstand der Abfragen, wo das Kalendersystem nicht selbst meldet (Sekunden).",
            "Pause between polls where the calendar system does not push (seconds).",
        ),
        _choice(
            "first_run",
            ("merge", "app_to_provider", "provider_to_app", "link_only"),
            "Was beim ersten Lauf mit Unterschieden zwischen gleichen Terminen geschieht.",
            "What the first run does about differences between equal events.",
        ),
        _setting(
            "busy_title",
            "text",
            _short_text,
            "Titel von Terminen, deren Inhalt nicht gezeigt wird; leer: «Belegt».",
            "Title of events whose content is not shown; empty: “Busy”.",
        ),
        _number(
            "retention_days",
            1,
            3_650,
            "Wie lange Läufe, Protokolle und abgetrennte Kopien aufbewahrt werden (Tage).",
            "How long runs, logs and disconnected copies are kept (days).",
        ),
    )
}


def check(name: str, value: Any) -> Any:
    """Give the value as the policy holds it. Raises Unfit with what is expected instead."""
    if name not in SETTINGS:
        raise Unfit(f"unknown setting {name}")
    try:
        return SETTINGS[name].check(value)
    except Unfit as refused:
        raise Unfit(f"{name}: {refused}") from None


# --- inheritance -------------------------------------------------------------------------------------------------

INBOUND_ONLY: Final = frozenset({"feed"})  # systems that can only be read, whatever is asked
PROVIDER_ABILITY: Final = "provider ability"
DEFAULT: Final = "default"


@dataclass(frozen=True, slots=True)
class Resolved:
    """The policy of one link, and for each setting the level its value came from."""

    policy: Policy
    origins: Mapping[str, str]


def resolve(layers: Sequence[tuple[str, Mapping[str, Any]]], *, abilities: Limits | None = None, provider: str = "") -> Resolved:
    """Join the levels, far to near; the nearest wins, and what the provider cannot do caps it.

    layers: (name of the level, settings stored there), for instance global, group, resource, link. A stored value
    that is no longer valid, or a setting that is not known, is passed over, so that an update cannot break a link.
    """
    values: dict[str, Any] = {}
    origins = dict.fromkeys(SETTINGS, DEFAULT)
    for level, stored in layers:
        for name, value in stored.items():
            if name not in SETTINGS or value is None:
                continue
            try:
                values[name] = check(name, value)
            except Unfit:
                continue
            origins[name] = level
    policy = Policy(**values)
    for name, value in _capped(policy, abilities, provider).items():
        values[name], origins[name] = value, PROVIDER_ABILITY
    return Resolved(Policy(**values), origins)


def _capped(policy: Policy, abilities: Limits | None, provider: str) -> dict[str, Any]:
    """Give the settings that what the provider can do decides."""
    reads_only = provider in INBOUND_ONLY or (abilities is not None and not abilities.can_write)
    if reads_only and policy.direction in ("two_way", "outbound"):
        return {"direction": "inbound"}
    return {}


def beyond_ability(name: str, value: Any, *, abilities: Limits | None = None, provider: str = "") -> str:
    """Say why a value asked for at a link exceeds what its provider can do; empty if it does not."""
    if name != "direction" or value not in ("two_way", "outbound"):
        return ""
    return "only inbound is possible" if _capped(Policy(direction=value), abilities, provider) else ""


def to_json(value: Any) -> Any:
    """Give a setting's value as JSON."""
    if isinstance(value, tuple):
        return list(value)
    return {name: to_json(part) for name, part in value.items()} if isinstance(value, Mapping) else value


#: What decides which content of the other side we may hold; a change means that everything is read and projected anew.
PROJECTING: Final = (
    "direction",
    "inbound_detail",
    "outbound_detail",
    "relay",
    "attendees",
    "all_day",
    "private_events",
    "outbound_private",
    "event_kinds",
    "window_back_days",
    "window_ahead_days",
    "busy_title",
)


def policy_digest(policy: Policy) -> str:
    """Name the part of a policy under which remote content is projected."""
    told = {name: to_json(getattr(policy, name)) for name in PROJECTING}
    return hashlib.sha256(json.dumps(told, sort_keys=True, ensure_ascii=False).encode()).hexdigest()[:32]
