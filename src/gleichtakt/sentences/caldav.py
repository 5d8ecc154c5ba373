"""Sentences about caldav."""

from gleichtakt.errors import Sentence

SENTENCES: dict[str, Sentence] = {}
