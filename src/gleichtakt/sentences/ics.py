"""Sentences about ics."""

from gleichtakt.errors import Sentence

SENTENCES: dict[str, Sentence] = {}
