"""Sentences as parts of answers: what is wrong with something, and what helps, in the caller's language."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from gleichtakt.errors import Language, cause, remedy


class Words(msgspec.Struct):
    """A trouble in words. code: names the sentence in every language."""

    code: str
    cause: str
    remedy: str


def words(code: str, params: Mapping[str, str], language: Language) -> Words | None:
    """Say a trouble; None where there is none."""
    return Words(code, cause(code, params, language), remedy(code, params, language)) if code else None
