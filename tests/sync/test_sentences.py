"""Every code the planner speaks has a German and an English sentence."""

from __future__ import annotations

import re
from pathlib import Path

import gleichtakt.sync
from gleichtakt.errors import LANGUAGES
from gleichtakt.sentences.sync import SENTENCES
from gleichtakt.sync.plan import HoldKind

SOURCES = Path(gleichtakt.sync.__file__).parent.glob("*.py")
REASONS = ("outside", "filtered", "private", "unreadable", "mirror", "mark")
GRADES = ("degraded", "exploded")


def test_every_code_has_its_sentence() -> None:
    told = {code for source in SOURCES for code in re.findall(r'"(sync\.[a-z_]+)"', source.read_text())}
    told |= {f"sync.hold_{kind.value}" for kind in HoldKind}
    told |= {f"sync.reason_{reason}" for reason in REASONS} | {f"sync.{grade}" for grade in GRADES}
    told |= {"sync.filtered", "sync.private"}
    assert told - SENTENCES.keys() == set()


def test_every_sentence_is_complete_in_both_languages() -> None:
    for code, sentence in SENTENCES.items():
        for language in LANGUAGES:
            assert sentence.cause[language].endswith("."), code
            assert sentence.remedy[language].endswith("."), code
