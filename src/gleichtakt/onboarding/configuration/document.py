"""The configuration file: what may stand where, and every fault in it with its line. Pure; secrets stay references.

version: 1
organizations:
  - external_id: muster
    name: Muster GmbH
    settings: {conflict_rule: app_first}
    groups: [{name: Vertrieb}]
    connections:
      - name: radicale
        provider: caldav
        url: https://dav.example
        auth: {method: basic, username: sync, password: "env:DAV_PASSWORD"}
    resources:
      - external_id: "17"
        name: Anna
        group: Vertrieb
        links: [{connection: radicale, mailbox: anna, calendar: /anna/work/}]
    webhooks: [{url: "https://app.example/hook", secret: "file:/run/secrets/hook"}]
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

import yaml

from gleichtakt.errors import Permanent, Scope
from gleichtakt.model.zones import known_zone
from gleichtakt.providers.registry import provider_names
from gleichtakt.store.connections import SHOWN
from gleichtakt.store.resources import KINDS as RESOURCE_KINDS
from gleichtakt.sync import policy

VERSION: Final = 1
REFERENCES: Final = ("env:", "file:")  # how a secret is written: by where to find it
Read = Callable[[Any], Any]  # gives the value as kept; raises ValueError with what is expected


class Faults(Exception):
    """Everything that is wrong with a configuration, each a Permanent with `line` and `place` in its parameters."""

    def __init__(self, troubles: list[Permanent]) -> None:
        """troubles: in the order of their lines; at least one."""
        super().__init__("; ".join(str(trouble) for trouble in troubles))
        self.troubles = tuple(troubles)


@dataclass(frozen=True, slots=True)
class Wanted:
    """One object as the file wants it. values: only what the file names. settings None: not named, left alone.

    name: how other entries and people refer to it: `external_id`, else the name (a link: connection, mailbox, calendar).
    parts: the objects within, by the key they stand under.
    """

    kind: str
    name: str
    line: int
    place: str
    values: Mapping[str, Any]
    settings: Mapping[str, Any] | None = None
    parts: Mapping[str, tuple[Wanted, ...]] = field(default_factory=dict)


# --- what a value may be -----------------------------------------------------------------------------------------


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip() or len(value) > 500:
        raise ValueError("expected a text of at most 500 characters")
    return value.strip()


def _words(value: Any) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(word, str) and word for word in value):
        raise ValueError("expected a list of texts")
    return list(value)


def _optional(value: Any) -> str:
    return "" if value in (None, "") else _text(value)


def _flag(value: Any) -> bool:
    if value is True or value is False:
        return bool(value)
    raise ValueError("expected true or false")


def _choice(*allowed: str) -> Read:
    def read_choice(value: Any) -> str:
        if value not in allowed:
            raise ValueError(f"expected one of {', '.join(allowed)}")
        return str(value)

    return read_choice


def _zone(value: Any) -> str:
    if not isinstance(value, str) or value.startswith("BEGIN:") or not known_zone(value):
        raise ValueError("expected an IANA zone such as Europe/Berlin")
    return value


def _address(value: Any) -> str:
    text = _text(value)
    if urlsplit(text).scheme not in ("http", "https") or not urlsplit(text).hostname:
        raise ValueError("expected an address that begins with https://")
    return text


def _texts(value: Any) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
        raise ValueError("expected an object of texts")
    return {name: found if isinstance(found, str) else _plain(found) for name, found in value.items()}


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(value)
    raise ValueError("expected an object of texts")


def _reference(value: Any) -> str:
    if not isinstance(value, str) or not value.startswith(REFERENCES):
        raise ValueError("a secret is given by reference: env:NAME or file:/path")
    return value


def _auth(value: Any) -> dict[str, str]:
    given = _texts(value)
    for name, found in given.items():
        if name != "method" and name not in SHOWN:
            try:
                _reference(found)
            except ValueError as refused:
                raise ValueError(f"{name}: {refused}") from None
    return given


def _version(value: Any) -> int:
    if value != VERSION:
        raise ValueError(f"expected {VERSION}")
    return VERSION


# --- what may stand where ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of object: its fields, its parts (key in the file -> kind), the level of its settings, what names it."""

    fields: Mapping[str, Read]
    required: tuple[str, ...]
    names: tuple[str, ...]  # the first of these that is given names it; with `joined` all of them together
    parts: Mapping[str, str] = field(default_factory=dict)
    level: str = ""
    joined: bool = False


KINDS: Final[Mapping[str, Kind]] = {
    "file": Kind({"version": _version}, ("version",), (), {"organizations": "organization"}),
    "organization": Kind(
        {"external_id": _text, "name": _text, "time_zone": _zone, "language": _choice("de", "en")},
        ("name",),
        ("external_id", "name"),
        {"groups": "group", "connections": "connection", "resources": "resource", "webhooks": "webhook"},
        "global",
    ),
    "group": Kind({"external_id": _text, "name": _text}, ("name",), ("external_id", "name"), level="group"),
    "connection": Kind(
        {
            "external_id": _text,
            "name": _text,
            "provider": _choice(*provider_names()),
            "url": _optional,
            "autodiscover_address": _optional,
            "auth": _auth,
            "access": _choice("own", "delegate", "impersonation"),
            "tls": _texts,
            "allow_insecure": _flag,
            "options": _texts,
        },
        ("name", "provider"),
        ("external_id", "name"),
    ),
    "resource": Kind(
        {
            "external_id": _text,
            "name": _text,
            "kind": _choice(*RESOURCE_KINDS),
            "email": _optional,
            "time_zone": _zone,
            "language": _choice("de", "en"),
            "group": _text,
        },
        ("name",),
        ("external_id", "name"),
        {"links": "link"},
        "resource",
    ),
    "link": Kind(
        {"connection": _text, "mailbox": _optional, "calendar": _optional, "active": _flag},
        ("connection",),
        ("connection", "mailbox", "calendar"),
        level="link",
        joined=True,
    ),
    "webhook": Kind({"url": _address, "types": _words, "active": _flag, "secret": _reference}, ("url",), ("url",)),
}


# --- reading -----------------------------------------------------------------------------------------------------


def read(text: str) -> tuple[Wanted, ...]:
    """Give the organizations the file wants. Raises Faults with every fault that was found."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as broken:
        raise Faults([_syntax(broken)]) from None
    reader = _Reader()
    wanted = reader.object(node, "file", "") if node is not None else None
    if node is None:
        reader.fault("onboarding.config_empty", 1, "")
    organizations = wanted.parts.get("organizations", ()) if wanted else ()
    reader.check_references(organizations)
    if reader.troubles:
        raise Faults(sorted(reader.troubles, key=lambda trouble: int(trouble.params["line"])))
    return organizations


def _syntax(broken: yaml.YAMLError) -> Permanent:
    mark = getattr(broken, "problem_mark", None)
    reason = getattr(broken, "problem", None) or str(broken)
    line = str(mark.line + 1 if mark else 1)
    return Permanent("onboarding.config_syntax", Scope.ACCOUNT, line=line, place="–", reason=str(reason))


class _Reader:
    """Walks the nodes of a file and collects what is wrong instead of stopping at the first fault."""

    def __init__(self) -> None:
        self.troubles: list[Permanent] = []
        self.loader = yaml.SafeLoader("")

    def fault(self, code: str, line: int, place: str, **params: str) -> None:
        self.troubles.append(Permanent(code, Scope.ACCOUNT, line=str(line), place=place or "–", **params))

    def object(self, node: yaml.Node, kind_name: str, place: str) -> Wanted | None:
        kind = KINDS[kind_name]
        line = _line(node)
        values: dict[str, Any] = {}
        parts: dict[str, tuple[Wanted, ...]] = {}
        settings: dict[str, Any] | None = None
        for key, key_node, found in self.entries(node, place):
            where = f"{place}.{key}" if place else key
            if key in kind.parts:
                parts[key] = self.parts(found, kind.parts[key], where)
            elif key == "settings" and kind.level:
                settings = self.settings(found, kind.level, where)
            elif key in kind.fields:
                self.value(values, key, kind.fields[key], found, where)
            else:
                known = sorted({*kind.fields, *kind.parts, *(("settings",) if kind.level else ())})
                self.fault("onboarding.config_unknown_key", _line(key_node), where, known=", ".join(known))
        missing = [name for name in kind.required if name not in values and not self.faulty(f"{place}.{name}" if place else name)]
        for name in missing:
            self.fault("onboarding.config_missing", line, f"{place}.{name}" if place else name)
        name = _name(kind, values)
        return None if missing else Wanted(kind_name, name, line, place, values, settings, parts)

    def faulty(self, place: str) -> bool:
        return any(trouble.params["place"] == place for trouble in self.troubles)

    def entries(self, node: yaml.Node, place: str) -> Iterator[tuple[str, yaml.Node, yaml.Node]]:
        if not isinstance(node, yaml.MappingNode):
            self.fault("onboarding.config_value", _line(node), place, reason="expected an object")
            return
        seen: set[str] = set()
        for key_node, found in node.value:
            key = str(key_node.value)
            if key in seen:
                self.fault("onboarding.config_twice", _line(key_node), f"{place}.{key}" if place else key)
            seen.add(key)
            yield key, key_node, found

    def parts(self, node: yaml.Node, kind: str, place: str) -> tuple[Wanted, ...]:
        if not isinstance(node, yaml.SequenceNode):
            self.fault("onboarding.config_value", _line(node), place, reason="expected a list")
            return ()
        found = [self.object(item, kind, f"{place}[{index}]") for index, item in enumerate(node.value)]
        wanted = [one for one in found if one is not None]
        names: set[str] = set()
        for one in wanted:
            if one.name in names:
                self.fault("onboarding.config_twice", one.line, one.place)
            names.add(one.name)
        return tuple(wanted)

    def value(self, values: dict[str, Any], key: str, reads: Read, node: yaml.Node, place: str) -> None:
        try:
            values[key] = reads(self.plain(node))
        except ValueError as refused:
            self.fault("onboarding.config_value", _line(node), place, reason=str(refused))

    def plain(self, node: yaml.Node) -> Any:
        try:
            return self.loader.construct_object(node, deep=True)
        except yaml.YAMLError as broken:
            raise ValueError(str(getattr(broken, "problem", broken))) from None

    def settings(self, node: yaml.Node, level: str, place: str) -> dict[str, Any]:
        read_settings: dict[str, Any] = {}
        for key, key_node, found in self.entries(node, place):
            where = f"{place}.{key}"
            known = policy.SETTINGS.get(key)
            if known is None:
                self.fault("onboarding.config_unknown_key", _line(key_node), where, known=", ".join(sorted(policy.SETTINGS)))
            elif level not in known.levels:
                self.fault("onboarding.config_value", _line(key_node), where, reason=f"is set at {', '.join(known.levels)} only")
            else:
                self.value(read_settings, key, known.check, found, where)
        return read_settings

    def check_references(self, organizations: tuple[Wanted, ...]) -> None:
        """See that a group or connection that an entry names is in the file, where the file names any of its kind."""
        for organization in organizations:
            named = {kind: {one.name for one in organization.parts.get(kind, ())} for kind in ("groups", "connections")}
            taken: dict[str, str] = {}
            for resource in organization.parts.get("resources", ()):
                self._check(resource, "group", named["groups"], "groups" in organization.parts)
                for link in resource.parts.get("links", ()):
                    self._check(link, "connection", named["connections"], "connections" in organization.parts)
                    if link.name in taken:
                        self.fault("onboarding.config_calendar_twice", link.line, link.place, other=taken[link.name])
                    taken[link.name] = link.place

    def _check(self, wanted: Wanted, key: str, named: set[str], is_listed: bool) -> None:
        if key in wanted.values and is_listed and wanted.values[key] not in named:
            known = ", ".join(sorted(named)) or "–"
            self.fault("onboarding.config_reference", wanted.line, f"{wanted.place}.{key}", name=wanted.values[key], known=known)


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1 if node.start_mark else 1


def _name(kind: Kind, values: Mapping[str, Any]) -> str:
    if kind.joined:
        return " ".join(str(values.get(name, "")) for name in kind.names).strip()
    return next((str(values[name]) for name in kind.names if name in values), "")
