"""Every file of the corpus is read, or refused with line and reason, and survives a write and a re-read."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from tests.corpus.run import HERE, files, verdict

from gleichtakt.errors import Trouble
from gleichtakt.model import ics

FILES = files([HERE])
EXPECTED = json.loads((HERE / "expected.json").read_text("utf-8"))


def found_in(path: Path) -> dict[str, object]:
    """Say what a file holds, in the form of expected.json."""
    try:
        reading = ics.read_calendar(path.read_bytes())
    except Trouble as trouble:
        return {"refused": trouble.code, "line": int(trouble.params["line"])}
    found: dict[str, object] = {"series": len(reading.series)}
    if reading.broken:
        found["broken"] = [[broken.line, broken.code] for broken in reading.broken]
    codes = {code for series in reading.series for code in series.warnings} | {code for code, _ in reading.warnings}
    if codes:
        found["warnings"] = sorted(codes)
    if reading.others:
        found["others"] = reading.others
    return found


def test_every_file_has_its_verdict():
    assert {path.name for path in FILES} == set(EXPECTED)
    assert len(FILES) >= 100


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_file_is_read_or_refused_as_expected(path):
    started = time.process_time()
    assert found_in(path) == EXPECTED[path.name]
    assert time.process_time() - started < 2


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_what_was_read_survives_a_write_and_a_re_read(path):
    said, _ = verdict(path.read_bytes())
    assert said == "read" or said.startswith("refused")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_tree_gives_every_line_back(path):
    data = path.read_bytes()
    try:
        tree = ics.parse(data)
    except Trouble:
        return
    if data.count(b"BEGIN:VCALENDAR") > 1:
        return  # several calendars become one, with the head of the first
    assert ics.parse(tree.write()).write() == tree.write()
    written = tree.write()
    for line in data.replace(b"\r\n", b"\n").split(b"\n"):
        if line.strip() and not line.upper().startswith((b"BEGIN", b"END", b"\xef\xbb\xbf")):
            assert line.strip() in written, line
