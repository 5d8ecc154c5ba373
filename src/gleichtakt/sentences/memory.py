"""Sentences about memory."""

from gleichtakt.errors import Sentence

SENTENCES: dict[str, Sentence] = {}
