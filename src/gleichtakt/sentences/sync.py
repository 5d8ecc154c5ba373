"""Sentences about sync."""

from gleichtakt.errors import Sentence

SENTENCES: dict[str, Sentence] = {}
