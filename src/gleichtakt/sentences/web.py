"""Sentences about web."""

from gleichtakt.errors import Sentence

SENTENCES: dict[str, Sentence] = {}
