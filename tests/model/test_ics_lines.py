"""Content lines: sloppy text is read where it can mean one thing only; our own text is exact."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.model.ics_text import calendar, event, read

from gleichtakt.errors import Permanent
from gleichtakt.model import ics
from gleichtakt.model.ics.lines import (
    Limits,
    Line,
    fold,
    parameter,
    parameters,
    read_duration,
    read_lines,
    read_text,
    split_texts,
    with_parameter,
    write_duration,
    write_line,
    write_text,
)

PLAIN = calendar(event("SUMMARY:Grüße aus Köln 🗓\nDESCRIPTION:eins"))

#: Text a calendar can hold: no controls but tab and line feed, no halves of surrogate pairs, no non-characters.
texts = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="￾￿") | st.sampled_from("\n\t"))


def title_of(data: bytes) -> str:
    (series,) = ics.read_calendar(data).series
    return series.event.title


# --- BAD-06 ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "sloppy",
    [
        PLAIN.replace(b"\r\n", b"\n"),
        PLAIN.replace(b"\r\n", b"\r"),
        PLAIN.replace(b"\r\n", b"\r\n\r\n"),
        b"\xef\xbb\xbf" + PLAIN,
        PLAIN.decode().encode("utf-16"),
        b"\xfe\xff" + PLAIN.decode().encode("utf-16-be"),
        PLAIN.removesuffix(b"\r\n"),
        PLAIN.replace(b"SUMMARY", b"summary").replace(b"BEGIN:VEVENT", b"begin:vevent").replace(b"DTSTART", b"DtStart"),
        PLAIN.replace("Grüße".encode(), b"Gr\xc3\r\n \xbc" + "ße".encode()),
        PLAIN.replace(b"SUMMARY:", b"SUMMARY:\r\n\t"),
        PLAIN + b"<html><body>Session expired</body></html>\r\n",
        b"\r\n\r\n" + PLAIN,
        PLAIN.replace(b"VERSION:2.0\r\nPRODID:-//test//EN\r\n", b""),
        PLAIN.replace(b"SUMMARY", b"X-EMPTY\r\nno line at all\r\n:neither\r\nSUMMARY"),
        PLAIN.replace(b"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//test//EN\r\n", b"").replace(b"END:VCALENDAR\r\n", b""),
    ],
    ids=range(15),
)
def test_bad_06_sloppy_text_is_read_as_what_it_must_mean(sloppy):
    assert title_of(sloppy) == "Grüße aus Köln 🗓"


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1"])
def test_bad_06_latin_1_is_read(encoding):
    assert title_of(PLAIN.decode().replace(" 🗓", "").encode(encoding)) == "Grüße aus Köln"


def test_bad_06_a_single_line_in_another_encoding_does_not_spoil_the_others():
    data = calendar(event("SUMMARY:Grüße", "1"), event("SUMMARY:LATIN", "2")).replace(b"LATIN", b"Gr\xfc\xdfe")
    assert [series.event.title for series in ics.read_calendar(data).series] == ["Grüße", "Grüße"]


def test_bad_06_emoji_written_as_two_halves_are_joined():
    data = calendar(event("SUMMARY:HALVES")).replace(b"HALVES", b"\xed\xa0\xbd\xed\xb7\x93")
    assert title_of(data) == "🗓".replace("🗓", "\U0001f5d3")


def test_bad_06_long_lines_are_read():
    assert len(read(event("SUMMARY:" + "x" * 100_000)).event.title) == 100_000
    assert len(read(event("DESCRIPTION:" + "é" * 3_000_000)).event.description) == 3_000_000


def test_bad_06_components_nested_in_an_event_are_kept():
    nested = event("SUMMARY:a\nBEGIN:PARTICIPANT\nUID:p\nBEGIN:VLOCATION\nUID:l\nEND:VLOCATION\nEND:PARTICIPANT")
    assert read(nested).event.title == "a"
    assert ics.parse(calendar(nested)).write() == calendar(nested)


def test_defects_of_the_file_are_named_with_their_line():
    reading = ics.read_calendar(b"hello\r\n" + PLAIN + b"goodbye\r\n")
    assert dict(reading.warnings) == {"ics.text_outside": 1}
    reading = ics.read_calendar(PLAIN.replace(b"END:VEVENT", b"END:VALARM\r\nEND:VEVENT"))
    assert dict(reading.warnings) == {"ics.stray_end": 10}


def test_bad_02_an_event_that_lost_its_end_does_not_take_the_next_one_with_it():
    data = calendar(event("SUMMARY:a", "1"), event("SUMMARY:b", "2").replace("END:VEVENT\n", ""), event("SUMMARY:c", "3"))
    reading = ics.read_calendar(data)
    assert [series.uid for series in reading.series] == ["1", "3"]
    assert [(broken.uid, broken.code) for broken in reading.broken] == [("2", "ics.unclosed")]


# --- refusals ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "ics.not_calendar"),
        (b"<!DOCTYPE html><html><body>Login</body></html>", "ics.not_calendar"),
        (b"BEGIN:VCARD\r\nVERSION:4.0\r\nFN:x\r\nEND:VCARD\r\n", "ics.not_calendar"),
        (b"\x00" * 1000, "ics.not_calendar"),
        (b"BEGIN:VCALENDAR\r\n", "ics.truncated"),
        (b"BEGIN:VCALENDAR\r\nBEGIN:VCALENDAR\r\nEND:VCALENDAR\r\nEND:VCALENDAR\r\n", "ics.nested_calendar"),
        (b"BEGIN:VCALENDAR\r\n" + b"BEGIN:X\r\n" * 100, "ics.too_deep"),
    ],
)
def test_what_is_no_calendar_is_refused_with_a_line(data, code):
    with pytest.raises(Permanent) as refused:
        ics.read_calendar(data)
    assert refused.value.code == code
    assert refused.value.params["line"].isdecimal()
    for language in ("de", "en"):
        assert "–" not in refused.value.cause(language)
        assert refused.value.remedy(language)


def test_limits_are_said_with_their_figure():
    with pytest.raises(Permanent, match="200 are allowed"):
        ics.read_calendar(PLAIN, limits=Limits(total_bytes=200))
    for long in ("SUMMARY:" + "x" * 5_000, "SUMMARY:" + "\n ".join("x" * 70 for _ in range(80))):
        with pytest.raises(Permanent) as refused:
            ics.read_calendar(calendar(event(long)), limits=Limits(line_bytes=4_000))
        assert refused.value.code == "ics.line_too_long"


# --- lines and values --------------------------------------------------------------------------------------------


@given(texts)
def test_bad_06_text_survives_writing_folding_unfolding_and_reading(text):
    written = fold(f"SUMMARY:{write_text(text)}")
    assert all(len(piece) <= 75 for piece in written.split(b"\r\n"))
    for piece in written.split(b"\r\n"):
        piece.decode()  # never inside a character
    (line,) = read_lines(written)
    assert read_text(line.value) == text


@given(st.lists(texts.filter(lambda text: text != ""), min_size=1))
def test_lists_of_text_survive(items):
    assert split_texts(",".join(map(write_text, items))) == items


@given(texts)
def test_parameter_values_survive(text):
    text = text.replace("\t", " ")
    found = parameters(parameter("CN", text) + ";" + parameter("X", "1"))
    assert found == {"CN": text, "X": "1"} or not text.strip()


def test_one_parameter_is_changed_and_the_others_stay_as_written():
    raw = 'CN="A; B";X-ODD=a:b,"c";PARTSTAT=NEEDS-ACTION'
    assert with_parameter(raw, "PARTSTAT", "ACCEPTED") == 'CN="A; B";X-ODD=a:b,"c";PARTSTAT=ACCEPTED'
    assert with_parameter(raw, "CN", None) == 'X-ODD=a:b,"c";PARTSTAT=NEEDS-ACTION'


@pytest.mark.parametrize("whole", [b"X-A:1", b"x-a;b=c:1", b"X-LONG:" + b"x" * 200, b"X-F:a\r\n b", b"X-L:\xfc", b"nonsense"])
def test_an_untouched_line_is_written_as_it_came(whole):
    (line,) = read_lines(whole + b"\r\n")
    assert write_line(line) == whole


def test_lines_have_the_number_of_the_physical_line_they_begin_on():
    assert [(line.name, line.number) for line in read_lines(b"A:1\r\n 2\r\n\r\nB:3\n\tx\nC:4")] == [("A", 1), ("B", 4), ("C", 6)]


def test_blocks_meet_between_lines():
    one = b"X-A;P=Q:" + b"x" * 60 + b"\r\n " + b"y" * 40 + b"\r\n"
    lines = list(read_lines(one * 10_000))
    assert len(lines) == 10_000
    assert set(lines[-1].value) == {"x", "y"}
    assert [line.number for line in lines[:3]] == [1, 3, 5]
    assert lines[-1].number == 19_999


@given(st.binary(max_size=300))
def test_any_bytes_give_lines(data):
    for line in read_lines(data):
        assert isinstance(line, Line)


@pytest.mark.parametrize(
    ("text", "days", "seconds"),
    [
        ("PT15M", 0, 900),
        ("-PT1H30M", 0, -5400),
        ("P1W", 7, 0),
        ("P1DT2H", 1, 7200),
        ("+PT0S", 0, 0),
        ("p1d", 1, 0),
    ],
)
def test_a_duration_tells_days_from_hours(text, days, seconds):
    length = read_duration(text)
    assert (length.days, length.exact) == (days, timedelta(seconds=seconds))


@pytest.mark.parametrize("text", ["", "P", "PT", "15M", "P1Y", "PT1.5H", "P999999999W"])
def test_nonsense_is_no_duration(text):
    with pytest.raises(ValueError, match=r"duration|long"):
        read_duration(text)


@given(st.timedeltas(timedelta(days=-1000), timedelta(days=1000)))
def test_durations_survive(length):
    length = timedelta(seconds=int(length.total_seconds()))
    assert read_duration(write_duration(length)).nominal == length
