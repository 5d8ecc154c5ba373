"""When a to and fro counts as a loop, and for how long it rests."""

from __future__ import annotations

import pytest

from gleichtakt.sync.breaker import Written, answers, closed_until, read_writes, write_row
from gleichtakt.sync.plan import Side

APP, THERE = Side.APP, Side.PROVIDER
FIRST = (THERE, False)
ANSWER = (THERE, True)
HOUR = 3600.0


def written(*writes: tuple[Side, bool]) -> tuple[Written, ...]:
    """Give writes a minute apart."""
    return tuple(Written(side, 60.0 * number, answer) for number, (side, answer) in enumerate(writes))


@pytest.mark.parametrize(
    ("writes", "until"),
    [
        ([], None),
        ([FIRST] * 29, None),  # a person moves a meeting again and again: each time it arrives
        ([FIRST] * 30, HOUR),  # a loop through a calendar that we do not see
        ([FIRST, *[ANSWER] * 3], None),
        ([FIRST, *[ANSWER] * 4], HOUR),  # five writes, each undone over there: the sixth waits
        ([FIRST, FIRST, *[ANSWER] * 4], HOUR + 60),  # until one of the last five is an hour old
        ([(APP, False), *[(APP, True)] * 9], None),  # the other side loops, this one does not
    ],
)
def test_the_sixth_answer_to_a_side_waits(writes: list[tuple[Side, bool]], until: float | None) -> None:
    assert closed_until(written(*writes), THERE) == until


@pytest.mark.parametrize(
    ("writes", "has_moved", "expected"),
    [
        ([], True, False),  # the first write of an hour answers nothing
        ([FIRST], False, False),  # that side stands as we left it
        ([FIRST], True, True),
        ([FIRST, (APP, False)], False, True),  # its change went to the other side meanwhile
    ],
)
def test_a_write_answers_what_moved_since_the_last(writes: list[tuple[Side, bool]], has_moved: bool, expected: bool) -> None:
    assert answers(written(*writes), THERE, has_moved=has_moved) is expected


def test_writes_are_read_back_and_forgotten_after_an_hour() -> None:
    rows = [write_row(THERE, 1000.0, False), write_row(APP, 2000.0, True)]
    assert read_writes(rows, now=2000.0) == (Written(THERE, 1000.0, False), Written(APP, 2000.0, True))
    assert read_writes(rows, now=4600.0) == (Written(APP, 2000.0, True),)
