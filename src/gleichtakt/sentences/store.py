"""Sentences about store."""

from gleichtakt.errors import Sentence

SENTENCES: dict[str, Sentence] = {}
