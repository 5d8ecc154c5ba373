"""Sentences about onboarding."""

from gleichtakt.errors import Sentence

SENTENCES: dict[str, Sentence] = {}
