"""What another system calls «modified» is read on our clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from gleichtakt.providers.caldav.objects import modified_at
from gleichtakt.providers.clock import TheirClock

AT = datetime(2026, 11, 23, 9, tzinfo=UTC)
OBJECT = """BEGIN:VCALENDAR
BEGIN:VTIMEZONE
TZID:Europe/Berlin
LAST-MODIFIED:20991231T000000Z
END:VTIMEZONE
BEGIN:VEVENT
{lines}
END:VEVENT
END:VCALENDAR
"""


@pytest.mark.parametrize("skew", [timedelta(minutes=-10), timedelta(), timedelta(minutes=10)])
def test_a_time_told_by_a_clock_that_is_wrong_is_read_on_ours(skew: timedelta) -> None:
    clock = TheirClock()
    clock.hear_date(format_datetime(datetime.now(UTC) + skew, usegmt=True))
    assert abs(clock.ours(AT + skew) - AT) < timedelta(seconds=2)


@pytest.mark.parametrize("header", [None, "", "yesterday", "Mon, 99 Foo 2026"])
def test_a_date_that_says_nothing_changes_nothing(header: str | None) -> None:
    clock = TheirClock()
    clock.hear_date(header)
    assert clock.ours(AT) == AT


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ("LAST-MODIFIED:20261123T090000Z", AT),
        ("LAST-MODIFIED:20250101T000000Z\nEND:VEVENT\nBEGIN:VEVENT\nLAST-MODIFIED:20261123T090000Z", AT),
        ("LAST-MODIFIED;X-SOURCE=odd:20261123T090000Z", AT),
        ("SUMMARY:no word of it", None),
        ("LAST-MODIFIED:20261323T090000Z", None),
        ("LAST-MODIFIED:20261123T090000", None),
    ],
)
def test_the_newest_part_of_an_object_says_when_it_was_changed(lines: str, told: datetime | None) -> None:
    assert modified_at(OBJECT.format(lines=lines).encode(), TheirClock()) == told
