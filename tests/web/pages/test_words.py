"""Both languages are complete, and write dates, lengths and plurals as their readers do."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

from gleichtakt.model.point import Day, Floating, Zoned
from gleichtakt.web import i18n
from gleichtakt.web.i18n import Words, best_language

WEB = Path(i18n.__file__).parent.parent
KEYWORDS = {
    "N_": None, "say": (1,), "count": (1, 2), "counted": (1, 2), "_": None, "gettext": None, "ngettext": (1, 2),
}  # fmt: skip
OPTIONS = {"**.html": {"extensions": "jinja2.ext.do", "newstyle_gettext": "true", "trimmed": "true"}}
BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 11, 18, 9, 40, tzinfo=UTC)


def wanted() -> Catalog:
    """Every message that pages and their words use."""
    catalog = Catalog()
    found = extract_from_dir(
        WEB, [("**.py", "python"), ("**.html", "jinja2")], OPTIONS, KEYWORDS, directory_filter=lambda folder: "api" not in folder
    )
    for _, _, message, _, _ in found:
        catalog.add(message)
    return catalog


def test_every_message_is_german_too_and_none_is_left_over() -> None:
    with (WEB / "i18n/de/LC_MESSAGES/messages.po").open("rb") as source:
        german = read_po(source, locale="de")
    used = {message.id for message in wanted() if message.id}
    told = {message.id for message in german if message.id}
    assert used - told == set()
    assert told - used == set()
    for message in german:
        assert all(message.string if isinstance(message.string, tuple) else (message.string,)), message.id
        assert list(message.check()) == [], message.id


def test_plurals_follow_the_number() -> None:
    words = Words("de")
    assert words.count("%(num)s link", "%(num)s links", 1) == "1 Verknüpfung"
    assert words.count("%(num)s link", "%(num)s links", 1200) == "1.200 Verknüpfungen"
    assert Words("en").count("%(num)s link", "%(num)s links", 1200) == "1,200 links"


@pytest.mark.parametrize(
    ("language", "ago", "soon", "moment"),
    [
        ("de", "vor 3 Minuten", "in 2 Stunden", "18.11.2026, 10:40:00 MEZ"),
        ("en", "3 minutes ago", "in 2 hours", "18 Nov 2026, 10:40:00 CET"),
    ],
)
def test_moments_are_told_in_the_readers_language_and_zone(language: str, ago: str, soon: str, moment: str) -> None:
    words = Words(language, BERLIN, NOW)  # type: ignore[arg-type]
    assert words.ago(NOW - timedelta(minutes=3)) == ago
    assert words.ago(NOW + timedelta(hours=2)) == soon
    assert words.moment(NOW) == moment


@pytest.mark.parametrize(
    ("told", "shown"),
    [
        ("09:50 UTC", "10:50"),
        ("09:50:11 UTC", "10:50"),
        ("23:30 UTC", "00:30"),  # the one just after midnight, whichever day that is
        ("2026-11-18 08:05 UTC", "09:05"),
        ("2026-07-01 08:05 UTC", "Mi., 1. Juli, 10:05"),  # summer time
        ("between 08:00 UTC and 09:00 UTC", "between 09:00 and 10:00"),
        ("99:99 UTC", "99:99 UTC"),
        ("mail.firm.example", "mail.firm.example"),
    ],
)
def test_sentences_of_troubles_tell_hours_of_the_readers_zone(told: str, shown: str) -> None:
    assert Words("de", BERLIN, NOW).at_home({"until": told}) == {"until": shown}


def test_a_point_names_its_zone_only_where_it_is_not_the_readers() -> None:
    words = Words("de", BERLIN, NOW)
    wall = datetime.combine(date(2026, 11, 20), time(9))
    assert words.point(Zoned(wall, "Europe/Berlin")) == "Fr., 20. Nov., 09:00"
    assert words.point(Zoned(wall, "America/New_York")) == "Fr., 20. Nov., 09:00 (America/New_York)"
    assert words.point(Floating(wall)) == "Fr., 20. Nov., 09:00 (ohne Zone)"
    assert words.point(Day(date(2027, 1, 4))) == "Mo., 4. Jan. 2027"


@pytest.mark.parametrize(
    ("accepted", "expected"),
    [("de-AT,de;q=0.9,en;q=0.5", "de"), ("en-US,en;q=0.9,de;q=0.8", "en"), ("fr,de;q=0.3", "de"), ("", "en"), ("*;q=odd", "en"),
     ("de;q=x,en", "en")],
)  # fmt: skip
def test_the_browsers_wish_decides_before_sign_in(accepted: str, expected: str) -> None:
    assert best_language(accepted) == expected
