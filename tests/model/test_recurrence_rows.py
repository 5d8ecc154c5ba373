"""Expansion against the recurrence tests of libical, ical.js and python-dateutil, and rows of our own."""

from __future__ import annotations

from datetime import UTC
from itertools import islice

import pytest
from tests.model.recurrence_rows import ALL_TIME, Row, ids, point, rows, series_of

from gleichtakt.model.point import Timespan, wall_of
from gleichtakt.model.recurrence import canonical_rule, expand
from gleichtakt.model.zones import zone_of

INSTANCES = rows("rrule-instances")
JUDGED = [row for row in INSTANCES if not row.get("contested") and not row.get("invalid")]
INVALID = [row for row in INSTANCES if row.get("invalid")]
COUNTS = rows("rrule-counts")
GAPS = [row for row in INSTANCES if "in_gap" in row]


@pytest.mark.parametrize("row", JUDGED, ids=ids(JUDGED))
def test_a_rule_has_the_instances_others_agree_on(row: Row) -> None:
    expected = [wall_of(point(text, row["tz"])) for text in row["expected"]]
    asked = len(expected) + (1 if row["complete"] else 0)
    found = list(islice(expand(series_of(row), ALL_TIME, UTC), asked))
    assert [occurrence.wall for occurrence in found] == expected
    if "expected_utc" in row:
        assert [f"{occurrence.start:%Y-%m-%dT%H:%M:%SZ}" for occurrence in found] == row["expected_utc"]


@pytest.mark.parametrize("row", COUNTS, ids=ids(COUNTS))
def test_a_rule_has_as_many_instances_as_others_count(row: Row) -> None:
    assert sum(1 for _ in expand(series_of(row), ALL_TIME, UTC)) == row["expected_count"]


@pytest.mark.parametrize("row", INVALID, ids=ids(INVALID))
def test_a_rule_others_refuse_is_refused_with_its_reason(row: Row) -> None:
    with pytest.raises(ValueError, match="only the Gregorian calendar"):
        canonical_rule(row["rrule"], point(row["dtstart"], row["tz"]))


@pytest.mark.parametrize("row", GAPS, ids=ids(GAPS))
def test_a_local_time_in_the_gap_is_shown_after_it(row: Row) -> None:
    found = expand(series_of(row), ALL_TIME, UTC)
    local = {
        occurrence.wall.isoformat(): occurrence.start.astimezone(zone_of(row["tz"])).replace(tzinfo=None).isoformat()
        for occurrence in found
    }
    assert [local[text] for text in row["expected"]] == row["expected_shown_as"]
    assert [text for text in row["expected"] if local[text] != text] == row["in_gap"]


@pytest.mark.parametrize("row", JUDGED, ids=ids(JUDGED))
def test_a_window_shows_the_same_instances_as_the_whole(row: Row) -> None:
    series = series_of(row)
    whole = list(islice(expand(series, ALL_TIME, UTC), 60))
    if len(whole) < 3:
        return
    window = Timespan(whole[1].start, whole[-1].start)
    assert list(expand(series, window, UTC)) == [found for found in whole if window.start <= found.start < window.end]


def test_other_calendars_are_named_in_the_refusal() -> None:
    start = point("2026-01-31", "date")
    for calendar in ("CHINESE", "HEBREW", "ISLAMIC-CIVIL", "ETHIOPIC"):
        with pytest.raises(ValueError, match=f"RSCALE={calendar} is not supported"):
            canonical_rule(f"RSCALE={calendar};FREQ=YEARLY", start)


@pytest.mark.parametrize(
    ("skip", "expected"),
    [("OMIT", "20260331"), ("BACKWARD", "20260228"), ("FORWARD", "20260301")],
)
def test_rfc7529_skip_says_what_becomes_of_the_31st(skip: str, expected: str) -> None:
    row = {"id": "skip", "tz": "Europe/Berlin", "dtstart": "2026-01-31T09:00:00"}
    series = series_of({**row, "rrule": f"RSCALE=GREGORIAN;FREQ=MONTHLY;SKIP={skip};COUNT=2"})
    second = list(expand(series, ALL_TIME, UTC))[1]
    assert f"{second.wall:%Y%m%d}" == expected
    assert second.wall.hour == 9
