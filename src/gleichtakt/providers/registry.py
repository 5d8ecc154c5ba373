"""Which provider a name stands for, and how to connect to it. The only list of providers.

Modules are imported when first asked for, so that a process pays only for the systems it talks to.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from typing import cast

from gleichtakt.providers.protocol import Abilities, Login, Provider

#: Name of the provider, `+` and the option `variant` where kinds of one provider differ in abilities -> its class.
CLASSES: Mapping[str, str] = {
    "caldav": "gleichtakt.providers.caldav:CalDAV",
    "ews": "gleichtakt.providers.ews:EWS",
    "feed": "gleichtakt.providers.feed:Feed",
    "memory": "gleichtakt.providers.memory:Memory",
    "memory+lossy": "gleichtakt.providers.memory:LossyMemory",
    "memory+normalising": "gleichtakt.providers.memory:NormalisingMemory",
    "memory+patterned": "gleichtakt.providers.memory:PatternedMemory",
}


def provider_names() -> tuple[str, ...]:
    """Give the names of all providers, sorted."""
    return tuple(sorted(name for name in CLASSES if "+" not in name))


def provider_class(name: str, options: Mapping[str, str] | None = None) -> type[Provider]:
    """Give the class behind a provider's name. Raises KeyError for a name that stands for none.

    options: those of the connection; an unknown `variant` is the ordinary kind.
    """
    variant = f"{name}+{(options or {}).get('variant', '')}"
    return _load(CLASSES.get(variant) or CLASSES[name])


@cache
def _load(place: str) -> type[Provider]:
    module, _, found = place.partition(":")
    return cast("type[Provider]", getattr(import_module(module), found))


def abilities_of(name: str, options: Mapping[str, str] | None = None) -> Abilities:
    """Give what a provider can do, without connecting."""
    return provider_class(name, options).abilities


def connect(login: Login) -> Provider:
    """Make the provider for a login. Talks to nobody yet: the first call does, and raises what is wrong."""
    return provider_class(login.provider, login.options).connect(login)
