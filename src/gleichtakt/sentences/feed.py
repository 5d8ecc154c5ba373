"""Sentences about feed."""

from gleichtakt.errors import Sentence

SENTENCES: dict[str, Sentence] = {}
