"""The templates of the pages and what they may call. One environment per language; nothing here knows the store."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from gleichtakt.errors import Language
from gleichtakt.web.i18n import translations

HERE = Path(__file__).parent
STATIC = HERE.parent / "static"


@cache
def asset(name: str) -> str:
    """Give the address of a static file; it changes with the content, so that browsers may keep it for ever."""
    digest = hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]
    return f"/static/{name}?v={digest}"


@cache
def environment(language: Language) -> Environment:
    """Give the templates in one language. What a template does not get is an error, never an empty text."""
    made = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n", "jinja2.ext.do"],
    )
    made.policies["ext.i18n.trimmed"] = True
    made.install_gettext_translations(translations(language), newstyle=True)  # type: ignore[attr-defined]
    made.globals["asset"] = asset
    return made


def render(name: str, language: Language, values: Mapping[str, Any]) -> str:
    """Fill a template."""
    return environment(language).get_template(name).render(values)
